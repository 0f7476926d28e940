/* libyaml's events → nodes.  Its own document API is not used: it recurses, and knows no limits. */
#include "mgmt/import_yaml.h"

#include "mgmt/conf_value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct anchor {
	const char *name;
	struct sl_yaml *node;
	bool open; /* its end has not come */
};

struct reader {
	struct sl_memory *m;
	struct sl_diag *diag;
	const char *file;
	struct sl_yaml *docs, *last; /* the documents that are whole */
	struct sl_yaml *root, *at;   /* of this one; the map or list that is open */
	const char *key;             /* of the member that comes; NULL: its key comes */
	int key_line;
	uint32_t nodes, depth, anchor_cnt;
	struct anchor anchors[SL_YAML_ANCHORS];
};

static bool refuse(struct reader *r, int line, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static bool
refuse(struct reader *r, int line, const char *hint, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(r->diag, r->file, line, NULL, hint, "%s", text);
	return false;
}

/* ---- nodes ---- */

static uint32_t
hash_of(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

static struct sl_yaml *
member(const struct sl_yaml *map, const char *key)
{
	uint32_t hash = hash_of(key);

	if (!map || map->type != SL_YAML_MAP)
		return NULL;
	for (struct sl_yaml *n = map->first; n; n = n->next)
		if (n->hash == hash && strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

static void
append(struct sl_yaml *to, struct sl_yaml *n)
{
	n->parent = to;
	n->next = NULL;
	n->index = to->cnt++;
	if (to->last)
		to->last->next = n;
	else
		to->first = n;
	to->last = n;
}

/* A node of no parent yet; NULL: too many. */
static struct sl_yaml *
node_new(struct reader *r, enum sl_yaml_type type, int line)
{
	if (++r->nodes > SL_YAML_NODES) {
		refuse(r, line, "split the file; aliases count as what they stand for",
		       "more than %u values", SL_YAML_NODES);
		return NULL;
	}
	struct sl_yaml *n = sl_memory_take(r->m, sizeof(*n));
	n->type = (uint8_t)type;
	n->line = line;
	n->file = r->file;
	n->text = "";
	return n;
}

/* put hangs the node where we are: member, item, or root of the document. */
static bool
put(struct reader *r, struct sl_yaml *n)
{
	char quoted[96];

	if (!r->at) {
		r->root = n;
		return true;
	}
	if (r->at->type == SL_YAML_MAP) {
		if (member(r->at, r->key))
			return refuse(r, r->key_line, "keys are distinct",
				      "the key %s stands twice in its map",
				      sl_value_quote(r->key, quoted, sizeof(quoted)));
		if (r->at->cnt == SL_YAML_MEMBERS)
			return refuse(r, n->line, NULL, "a map of more than %u keys",
				      SL_YAML_MEMBERS);
		n->key = r->key;
		n->hash = hash_of(n->key);
		if (n->type == SL_YAML_TEXT)
			n->line = r->key_line;
		r->key = NULL;
	}
	append(r->at, n);
	return true;
}

/* A tree of its own.  depth: how much deeper it may go. */
static struct sl_yaml *
copy_of(struct reader *r, const struct sl_yaml *from, uint32_t depth)
{
	struct sl_yaml *n = node_new(r, from->type, from->line);

	if (!n)
		return NULL;
	if (depth == 0) {
		refuse(r, from->line, NULL, "nested more than %u deep", SL_YAML_DEPTH);
		return NULL;
	}
	n->key = from->key;
	n->hash = from->hash;
	n->text = from->text;
	n->plain = from->plain;
	for (const struct sl_yaml *c = from->first; c; c = c->next) {
		struct sl_yaml *copy = copy_of(r, c, depth - 1);
		if (!copy)
			return NULL;
		append(n, copy);
	}
	return n;
}

/* ---- merge keys ---- */

/* The members of from that the map does not have. */
static bool
merge_map(struct reader *r, struct sl_yaml *map, struct sl_yaml *from)
{
	struct sl_yaml *next;

	if (from->type != SL_YAML_MAP)
		return refuse(r, from->line, "give a map, or a list of maps",
			      "the merge key << has no map");
	for (struct sl_yaml *n = from->first; n; n = next) {
		next = n->next;
		if (member(map, n->key))
			continue;
		if (map->cnt == SL_YAML_MEMBERS)
			return refuse(r, from->line, NULL, "a map of more than %u keys",
				      SL_YAML_MEMBERS);
		append(map, n);
	}
	return true;
}

static bool
merge(struct reader *r, struct sl_yaml *map)
{
	struct sl_yaml *from = member(map, "<<"), *before = NULL, *next;

	if (!from || from == map->first)
		before = NULL;
	else
		for (before = map->first; before->next != from;)
			before = before->next;
	if (!from)
		return true;
	if (before)
		before->next = from->next;
	else
		map->first = from->next;
	if (map->last == from)
		map->last = before;
	map->cnt--;
	if (from->type != SL_YAML_LIST)
		return merge_map(r, map, from);
	for (struct sl_yaml *n = from->first; n; n = next) {
		next = n->next;
		if (!merge_map(r, map, n))
			return false;
	}
	return true;
}

/* ---- anchors ---- */

static bool
anchor_add(struct reader *r, const yaml_char_t *name, struct sl_yaml *n, bool open)
{
	const char *text = (const char *)name;

	if (!name)
		return true;
	if (r->anchor_cnt == SL_YAML_ANCHORS)
		return refuse(r, n->line, NULL, "more than %u anchors in a document",
			      SL_YAML_ANCHORS);
	r->anchors[r->anchor_cnt++] =
		(struct anchor){sl_memory_copy(r->m, text, strlen(text)), n, open};
	return true;
}

static void
anchor_close(struct reader *r, const struct sl_yaml *n)
{
	for (uint32_t i = 0; i < r->anchor_cnt; i++)
		if (r->anchors[i].node == n)
			r->anchors[i].open = false;
}

/* The last one of the name: an anchor may be given anew. */
static const struct anchor *
anchor_find(struct reader *r, const char *name, int line)
{
	char quoted[96];

	for (uint32_t i = r->anchor_cnt; i-- > 0;) {
		if (strcmp(r->anchors[i].name, name) != 0)
			continue;
		if (!r->anchors[i].open)
			return &r->anchors[i];
		refuse(r, line, "it would have no end", "the alias %s stands within its anchor",
		       sl_value_quote(name, quoted, sizeof(quoted)));
		return NULL;
	}
	refuse(r, line, "an anchor stands before its aliases, in the same document",
	       "there is no anchor %s", sl_value_quote(name, quoted, sizeof(quoted)));
	return NULL;
}

/* ---- events ---- */

static bool
wants_key(const struct reader *r)
{
	return r->at && r->at->type == SL_YAML_MAP && !r->key;
}

static bool
take_scalar(struct reader *r, const yaml_event_t *e, int line)
{
	const char *text = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;

	if (memchr(text, 0, len))
		return refuse(r, line, NULL, "a NUL byte in a text");
	char *copy = sl_memory_copy(r->m, text, len);
	if (wants_key(r)) {
		r->key = copy;
		r->key_line = line;
		return true;
	}
	struct sl_yaml *n = node_new(r, SL_YAML_TEXT, line);
	if (!n)
		return false;
	n->text = copy;
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !e->data.scalar.tag;
	return anchor_add(r, e->data.scalar.anchor, n, false) && put(r, n);
}

static bool
take_alias(struct reader *r, const yaml_event_t *e, int line)
{
	const struct anchor *a = anchor_find(r, (const char *)e->data.alias.anchor, line);

	if (!a)
		return false;
	if (wants_key(r)) {
		if (a->node->type != SL_YAML_TEXT)
			return refuse(r, line, "give a text", "a key that is no text");
		r->key = a->node->text;
		r->key_line = line;
		return true;
	}
	struct sl_yaml *n = copy_of(r, a->node, SL_YAML_DEPTH - r->depth);
	return n && put(r, n);
}

static bool
open_node(struct reader *r, enum sl_yaml_type type, const yaml_char_t *anchor, int line)
{
	if (wants_key(r))
		return refuse(r, line, "give a text", "a key that is no text");
	if (++r->depth > SL_YAML_DEPTH)
		return refuse(r, line, NULL, "nested more than %u deep", SL_YAML_DEPTH);
	struct sl_yaml *n = node_new(r, type, line);
	if (!n || !anchor_add(r, anchor, n, true) || !put(r, n))
		return false;
	r->at = n;
	return true;
}

static bool
close_node(struct reader *r)
{
	struct sl_yaml *n = r->at;

	if (n->type == SL_YAML_MAP && !merge(r, n))
		return false;
	anchor_close(r, n);
	r->at = n->parent;
	r->depth--;
	return true;
}

static void
end_document(struct reader *r)
{
	struct sl_yaml *n = r->root;

	r->root = NULL;
	r->anchor_cnt = 0;
	if (!n || sl_yaml_is_null(n))
		return;
	if (r->last)
		r->last->next = n;
	else
		r->docs = n;
	r->last = n;
}

static bool
take_event(struct reader *r, const yaml_event_t *e)
{
	int line = (int)e->start_mark.line + 1;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(r, e, line);
	case YAML_ALIAS_EVENT:
		return take_alias(r, e, line);
	case YAML_SEQUENCE_START_EVENT:
		return open_node(r, SL_YAML_LIST, e->data.sequence_start.anchor, line);
	case YAML_MAPPING_START_EVENT:
		return open_node(r, SL_YAML_MAP, e->data.mapping_start.anchor, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_node(r);
	case YAML_DOCUMENT_END_EVENT:
		end_document(r);
		return true;
	default:
		return true;
	}
}

/* ---- the whole ---- */

/* What libyaml found wrong; where the bytes are wrong it knows the offset alone. */
static bool
syntax_error(struct reader *r, const yaml_parser_t *p, const char *text, size_t len)
{
	int line = (int)p->problem_mark.line + 1;

	if (p->error == YAML_READER_ERROR) {
		line = 1;
		for (size_t i = 0; i < len && i < p->problem_offset; i++)
			line += text[i] == '\n';
		return refuse(r, line, "files are UTF-8 text", "is no text: %s",
			      p->problem ? p->problem : "wrong bytes");
	}
	return refuse(r, line, p->context, "is not YAML: %s", p->problem ? p->problem : "wrong");
}

static bool
read_events(struct reader *r, yaml_parser_t *p, const char *text, size_t len)
{
	bool good = true, end = false;
	yaml_event_t e;

	while (good && !end) {
		if (!yaml_parser_parse(p, &e))
			return syntax_error(r, p, text, len);
		end = e.type == YAML_STREAM_END_EVENT;
		good = take_event(r, &e);
		yaml_event_delete(&e);
	}
	return good;
}

int
sl_yaml_read(struct sl_memory *m, const char *file, const char *text, size_t len,
	     struct sl_diag *diag, struct sl_yaml **ret_docs)
{
	struct reader *r = sl_memory_take(m, sizeof(*r));
	yaml_parser_t p;

	*r = (struct reader){.m = m, .diag = diag, .file = file};
	if (len > SL_YAML_BYTES) {
		refuse(r, 0, "split it", "is longer than %u MB", SL_YAML_BYTES >> 20);
		return -EINVAL;
	}
	if (!yaml_parser_initialize(&p))
		abort();
	yaml_parser_set_input_string(&p, (const unsigned char *)text, len);
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	bool good = read_events(r, &p, text, len);
	yaml_parser_delete(&p);
	if (!good)
		return -EINVAL;
	*ret_docs = r->docs;
	return 0;
}

/* ---- reading nodes ---- */

bool
sl_yaml_is_null(const struct sl_yaml *n)
{
	return n->type == SL_YAML_TEXT && n->plain &&
	       (!*n->text || !strcmp(n->text, "~") || !strcmp(n->text, "null") ||
		!strcmp(n->text, "Null") || !strcmp(n->text, "NULL"));
}

struct sl_yaml *
sl_yaml_peek(const struct sl_yaml *map, const char *key)
{
	struct sl_yaml *n = member(map, key);

	return n && !sl_yaml_is_null(n) ? n : NULL;
}

struct sl_yaml *
sl_yaml_get(struct sl_yaml *map, const char *key)
{
	struct sl_yaml *n = member(map, key);

	if (n)
		n->used = true;
	return n && !sl_yaml_is_null(n) ? n : NULL;
}

const char *
sl_yaml_peek_text(const struct sl_yaml *map, const char *key)
{
	const struct sl_yaml *n = sl_yaml_peek(map, key);

	return n && n->type == SL_YAML_TEXT ? n->text : NULL;
}

const char *
sl_yaml_get_text(struct sl_yaml *map, const char *key)
{
	const struct sl_yaml *n = sl_yaml_peek(map, key);

	if (!n || n->type != SL_YAML_TEXT)
		return NULL;
	return sl_yaml_get(map, key)->text;
}

struct sl_yaml *
sl_yaml_each(struct sl_yaml *node, struct sl_yaml *before)
{
	struct sl_yaml *n = before ? before->next : node ? node->first : NULL;

	if (n)
		n->used = true;
	return n;
}

/* By the links, not by recursion: callers hand over whatever they like. */
void
sl_yaml_use(struct sl_yaml *node)
{
	struct sl_yaml *n = node;

	while (n) {
		n->used = true;
		if (n->first) {
			n = n->first;
			continue;
		}
		while (n != node && !n->next)
			n = n->parent;
		n = n == node ? NULL : n->next;
	}
}

bool
sl_yaml_number(const struct sl_yaml *n, int64_t lo, int64_t hi, int64_t *ret)
{
	char *end;

	if (n->type != SL_YAML_TEXT || !*n->text || strlen(n->text) > 18 ||
	    strspn(n->text, "-0123456789") != strlen(n->text))
		return false;
	long long v = strtoll(n->text, &end, 10);
	if (*end || v < lo || v > hi)
		return false;
	*ret = v;
	return true;
}

bool
sl_yaml_bool(const struct sl_yaml *n, bool *ret)
{
	bool yes =
		n->type == SL_YAML_TEXT && (!strcmp(n->text, "true") || !strcmp(n->text, "True"));

	if (!yes &&
	    (n->type != SL_YAML_TEXT || (strcmp(n->text, "false") && strcmp(n->text, "False"))))
		return false;
	*ret = yes;
	return true;
}
