/* The settings tree (conf_tree.h) is walked against the rows of conf_keys.def, and never the other way
 * round: each setting finds its row or is unknown; each row finds its setting, or is missing, or has its
 * default.  A default is a text that goes through the same parser as a text of the file.
 *
 * A value that was wrong leaves its field as it was zeroed, which no good value is (conf.h); check.c passes
 * over such fields, so that one mistake is told once. */
#include "mgmt/conf_priv.h"

#include "mgmt/conf_value.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_WORDS 16

static void walk_into(struct walk *w, const struct sl_node *s, enum group g, void *out);
static void default_group(struct walk *w, enum group g, void *base);

/* ---- paths and messages ---- */

static size_t
push_bytes(struct walk *w, const char *text, size_t len)
{
	size_t was = w->path_len, n = SL_MIN(len, sizeof(w->path) - 1 - was);

	memcpy(w->path + was, text, n);
	w->path_len = was + n;
	w->path[w->path_len] = 0;
	return was;
}

static size_t
push_index(struct walk *w, unsigned i)
{
	char text[16], *p = text + sizeof(text);

	for (*--p = ']';; i /= 10) {
		*--p = (char)('0' + i % 10);
		if (i < 10)
			break;
	}
	*--p = '[';
	return push_bytes(w, p, (size_t)(text + sizeof(text) - p));
}

size_t
sl_walk_push(struct walk *w, const char *key)
{
	size_t was = w->path_len;

	if (was)
		push_bytes(w, ".", 1);
	push_bytes(w, key, strnlen(key, 64));
	return was;
}

void
sl_walk_pop(struct walk *w, size_t was)
{
	w->path[was] = 0;
	w->path_len = was;
}

int
sl_walk_line(const struct sl_node *s)
{
	return s ? s->line : 0;
}

void
sl_walk_tell(struct walk *w, const struct sl_node *s, const char *hint, const char *fmt, ...)
{
	char text[640];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(w->diag, w->file, sl_walk_line(s), w->path_len ? w->path : NULL, hint, "%s",
		    text);
	w->told++;
}

/* The words of a key as `"nat" or "dsr"`. */
static void
list_words(const struct word *words, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = 0;
	for (; words->text && n < size; words++)
		n += (size_t)snprintf(buf + n, size - n, "%s\"%s\"",
				      n == 0          ? ""
				      : words[1].text ? ", "
						      : " or ",
				      words->text);
}

static void
give(const struct key *k, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "give %s", k->range ? k->range : "");
	if (k->words)
		list_words(k->words, buf + n, size - n);
}

static const char *
setting_type_text(const struct sl_node *s)
{
	switch (s->type) {
	case SL_NODE_INT:
		return "an integer";
	case SL_NODE_FLOAT:
		return "a number with a fraction";
	case SL_NODE_BOOL:
		return "true or false";
	case SL_NODE_STRING:
		return "a string";
	case SL_NODE_GROUP:
		return "a group { ... }";
	case SL_NODE_ARRAY:
		return "an array [ ... ]";
	case SL_NODE_LIST:
		return "a list ( ... )";
	}
	return "nothing";
}

/* A list of texts, or of words. */
static bool
is_texts(const struct key *k)
{
	return k->type >= ADDRS && k->type <= WORDS;
}

static void
tell_type(struct walk *w, const struct sl_node *s, const struct key *k)
{
	char hint[256] = "";

	if (k->type == LIST)
		snprintf(hint, sizeof(hint), "write %s = ( { ... }, { ... } )", k->name);
	else if (k->type == SUB)
		snprintf(hint, sizeof(hint), "write %s = { ... }", k->name);
	else if (k->type == INTS)
		snprintf(hint, sizeof(hint), "write %s = ( 1, 2 )", k->name);
	else if (is_texts(k))
		snprintf(hint, sizeof(hint), "write %s = ( \"...\", \"...\" )", k->name);
	else
		give(k, hint, sizeof(hint));
	sl_walk_tell(w, s, hint, "is %s, must be %s", setting_type_text(s), sl_type_text[k->type]);
}

static void
tell_value(struct walk *w, const struct sl_node *s, const struct key *k, const char *text,
	   const char *why)
{
	char hint[256], quoted[96];

	give(k, hint, sizeof(hint));
	sl_walk_tell(w, s, hint, "%s %s", sl_value_quote(text, quoted, sizeof(quoted)), why);
}

/* ---- scalars ---- */

static void
store_int(void *field, uint32_t size, uint32_t v)
{
	if (size == 1)
		*(uint8_t *)field = (uint8_t)v;
	else if (size == 2)
		*(uint16_t *)field = (uint16_t)v;
	else
		*(uint32_t *)field = v;
}

static void
take_int(struct walk *w, const struct sl_node *s, const struct key *k, void *field)
{
	char hint[256];

	if (!s->wide && s->number >= k->lo && s->number <= k->hi) {
		store_int(field, k->size, (uint32_t)s->number);
		return;
	}
	give(k, hint, sizeof(hint));
	sl_walk_tell(w, s, hint, "%.*s%s is out of range", (int)SL_MIN(s->cnt, 32u), s->written,
		     s->cnt > 32 ? "..." : "");
}

static const char *
parse_word(const struct key *k, const char *text, void *field)
{
	for (const struct word *word = k->words; word->text; word++) {
		if (strcmp(word->text, text) == 0) {
			store_int(field, k->size, word->value);
			return NULL;
		}
	}
	return "is not known";
}

static const char *
parse_duration(const struct key *k, const char *text, void *field)
{
	uint32_t ms;
	const char *why = sl_value_duration(text, &ms);

	if (why)
		return why;
	if (ms < k->lo || ms > k->hi)
		return "is out of range";
	*(uint32_t *)field = ms;
	return NULL;
}

/* 0 is always one: there the row's range says what it is for. */
static const char *
parse_size(const struct key *k, const char *text, uint64_t *ret)
{
	uint64_t bytes;
	const char *why = sl_value_size(text, &bytes);

	if (why)
		return why;
	if (bytes && (bytes < (uint64_t)k->lo || bytes > (uint64_t)k->hi))
		return "is out of range";
	*ret = bytes;
	return NULL;
}

static const char *
parse_percent(const struct key *k, const char *text, void *field)
{
	uint32_t per_million;
	const char *why = sl_value_percent(text, &per_million);

	if (why)
		return why;
	if (per_million < k->lo || per_million > k->hi)
		return "is out of range";
	*(uint32_t *)field = per_million;
	return NULL;
}

/* A text of a draft: looked at, and left in the tree. */
static const char *
parse_draft(const struct key *k, const char *text, void *field)
{
	size_t len = strlen(text);
	const char *why = (int64_t)len < k->lo   ? "is empty"
			  : (int64_t)len > k->hi ? "is too long"
			  : k->type == PLAIN     ? sl_value_plain(text)
			  : k->type == TOKEN     ? sl_value_token(text)
			  : k->type == FIELD     ? sl_value_field(text)
			  : k->type == RPATH     ? sl_value_route_path(text)
			  : k->type == TEMPLATE  ? sl_value_template(text)
			  : k->type == EXPANSION ? sl_value_expansion(text)
			  : k->type == AUTHORITY ? sl_value_authority(text)
						 : NULL;

	if (!why)
		memcpy(field, &text, sizeof(text));
	return why;
}

/* Defaults of WORDS: no word is part of another one. */
static void
default_words(const struct key *k, const char *text, void *field)
{
	uint32_t bits = 0;

	for (const struct word *word = k->words; word->text; word++)
		if (strstr(text, word->text))
			bits |= word->value;
	store_int(field, k->size, bits);
}

/* parse_text stores the value of a text, or says why not. */
static const char *
parse_text(const struct key *k, const char *text, void *field)
{
	void *behind = (char *)field + sizeof(struct sl_addr); /* plen or port */

	switch ((enum type)k->type) {
	case NAME:
		return sl_value_name(text, field);
	case ADDR:
		return sl_value_addr(text, field);
	case IFADDR:
		return sl_value_ifaddr(text, field, behind);
	case PREFIX:
		return sl_value_prefix(text, field, behind);
	case TUNNEL:
		return sl_value_tunnel(text, field, behind);
	case VIP:
		return sl_value_vip(text, field, behind);
	case PORTS:
		return sl_value_ports(text, field, (uint16_t *)field + 1);
	case PROBE:
		return sl_value_probe(text, field, behind);
	case DURATION:
		return parse_duration(k, text, field);
	case HEX64:
		return sl_value_hex64(text, field);
	case PATH:
		return sl_value_path(text, field);
	case HOST:
		return sl_value_host(text, field);
	case SERVER:
		return sl_value_server(text, field);
	case SERVERS:
		return sl_value_servers(text, field);
	case LOCALITY:
		return sl_value_locality(text, field);
	case QUESTION:
		return sl_value_question(text, field);
	case HELD:
		return sl_value_held(text, field);
	case CODES:
		return sl_value_codes(text, (struct sl_health_conf *)((char *)field - k->off));
	case WORD:
		return parse_word(k, text, field);
	case INT:
		store_int(field, k->size, (uint32_t)strtoul(text, NULL, 10)); /* a default */
		return NULL;
	case SIZE:
		return parse_size(k, text, field);
	case PERCENT:
		return parse_percent(k, text, field);
	case TEXT:
	case PLAIN:
	case TOKEN:
	case FIELD:
	case RPATH:
	case TEMPLATE:
	case EXPANSION:
	case AUTHORITY:
		return parse_draft(k, text, field);
	case BOOL:
		store_int(field, k->size, strcmp(text, "true") == 0); /* a default, as the next */
		return NULL;
	case WORDS:
		default_words(k, text, field);
		return NULL;
	case SUB:
	case LIST:
	case ADDRS:
	case PREFIXES:
	case HOSTS:
	case NAMES:
	case SANS:
	case ORIGINS:
	case TOKENS:
	case ALPNS:
	case VALUES:
	case TEXTS:
	case METAS:
	case LINES:
	case INTS:
		break;
	}
	return "cannot be a text";
}

/* The value of a text was wrong; near words are named. */
static void
tell_text(struct walk *w, const struct sl_node *s, const struct key *k, const char *text,
	  const char *why)
{
	char hint[256], quoted[96];
	const char *words[MAX_WORDS];
	unsigned cnt = 0;
	int near = -1;

	for (; k->words && k->words[cnt].text && cnt < MAX_WORDS; cnt++)
		words[cnt] = k->words[cnt].text;
	near = cnt ? sl_value_nearest(text, words, cnt) : -1;
	if (near < 0) {
		tell_value(w, s, k, text, why);
		return;
	}
	size_t n = (size_t)snprintf(hint, sizeof(hint), "did you mean \"%s\"? ", words[near]);
	give(k, hint + n, sizeof(hint) - n);
	sl_walk_tell(w, s, hint, "%s %s", sl_value_quote(text, quoted, sizeof(quoted)), why);
}

static void
take_text(struct walk *w, const struct sl_node *s, const struct key *k, void *field)
{
	const char *text = s->text;
	const char *why = parse_text(k, text, field);

	if (why)
		tell_text(w, s, k, text, why);
}

/* ---- groups and lists ---- */

/* room_for gives the array that a list's n elements go to, with both fields set; NULL: none, too many (told), or no
 * memory. */
static void *
room_for(struct walk *w, const struct sl_node *s, const struct key *k, void *base, unsigned n)
{
	char *elems;

	if (n > k->hi) {
		sl_walk_tell(w, s,
			     (k->hi <= 64 && k->type == LIST) || k->type >= NAMES ? "leave some out"
			     : k->type == LIST ? "split the table between gateways"
			     : k->type == ADDRS
				     ? "one carries tens of thousands of flows to each endpoint"
				     : "give shorter prefixes",
			     "has %u elements, more than %lld", n, (long long)k->hi);
		w->shape_bad = true;
		return NULL;
	}
	if (n == 0)
		return NULL;
	if (!(elems = calloc(n, k->size))) {
		w->oom = true;
		return NULL;
	}
	memcpy((char *)base + k->off, &elems, sizeof(elems));
	memcpy((char *)base + k->cnt_off, &n, sizeof(uint32_t));
	return elems;
}

static const char *
string_of(const struct sl_node *s)
{
	return s->type == SL_NODE_STRING ? s->text : NULL;
}

static const char *
take_short(const char *text, struct sl_conf_text *ret)
{
	const char *why = sl_value_plain(text);
	size_t n = strlen(text);

	if (why)
		return why;
	if (n == 0 || n >= sizeof(ret->text) || strchr(text, '\t'))
		return "is empty, has a tab, or is longer than 255 bytes";
	memcpy(ret->text, text, n);
	return NULL;
}

/* One text of a list.  What is wrong leaves the place as zeroed, the length of a prefix over 128. */
static const char *
take_element(const struct key *k, const char *text, int line, void *elem)
{
	struct sl_conf_hostname *h = elem;
	struct sl_img_prefix *p = elem;

	switch ((enum type)k->type) {
	case ADDRS:
		return sl_value_addr(text, elem);
	case HOSTS:
		h->line = line;
		return sl_value_hostname(text, &h->kind, h->name);
	case NAMES:
		return sl_value_name(text, elem);
	case SANS:
		return sl_value_san(text, elem);
	case ORIGINS:
		return sl_value_origin(text, elem, k->size);
	case TOKENS:
		return sl_value_header_name(text, elem, k->size);
	case ALPNS:
		return sl_value_alpn(text, elem);
	case TEXTS:
		return take_short(text, elem);
	case VALUES:
		*(struct text_draft *)elem = (struct text_draft){text, line};
		return sl_value_plain(text);
	default: /* PREFIXES */
		p->plen = UINT32_MAX;
		return sl_value_trusted(text, &p->prefix, &p->plen);
	}
}

static void
tell_element(struct walk *w, const struct sl_node *e, const struct key *k)
{
	const char *what = k->type == ADDRS     ? "give an address within quotes"
			   : k->type == HOSTS   ? "give a host name within quotes"
			   : k->type == WORDS   ? "give a word within quotes"
			   : k->type == METAS   ? "give a pair within quotes"
			   : k->type == LINES   ? "give a header within quotes"
			   : k->type == ORIGINS ? "give an origin within quotes"
			   : k->type == TEXTS || k->type == VALUES ? "give a text within quotes"
			   : k->type >= NAMES                      ? "give a name within quotes"
					      : "give an address or a prefix within quotes";
	sl_walk_tell(w, e, what, "is %s, must be a string", setting_type_text(e));
}

/* A list or an array of texts. */
static void
take_texts(struct walk *w, const struct sl_node *s, const struct key *k, void *base)
{
	char *elems = room_for(w, s, k, base, s->cnt);
	const struct sl_node *e = s->first;

	for (unsigned i = 0; elems && e; i++, e = e->next) {
		size_t was = push_index(w, i);
		const char *text = string_of(e);
		const char *why = take_element(k, text ? text : "", sl_walk_line(e),
					       elems + (size_t)i * k->size);
		if (!text)
			tell_element(w, e, k);
		else if (why)
			tell_value(w, e, k, text, why);
		sl_walk_pop(w, was);
	}
}

/* A list of words, each a bit; 0: not given, or wrong. */
static void
take_words(struct walk *w, const struct sl_node *s, const struct key *k, void *field)
{
	const struct sl_node *e = s->first;
	uint32_t bits = 0, bit = 0;

	if (!e)
		sl_walk_tell(w, s, "name some, or leave the key out", "is empty");
	for (unsigned i = 0; e; i++, e = e->next) {
		size_t was = push_index(w, i);
		const char *text = string_of(e);
		const char *why = text ? parse_word(k, text, &bit) : NULL;
		if (!text)
			tell_element(w, e, k);
		else if (why)
			tell_text(w, e, k, text, why);
		else if (bits & bit)
			sl_walk_tell(w, e, "remove one of the two", "\"%s\" stands twice", text);
		else
			bits |= bit;
		sl_walk_pop(w, was);
	}
	*(uint32_t *)field = bits;
}

/* A list of pairs or headers to one text (conf.h, SL_META_MAX, SL_HEALTH_HEADERS_MAX). */
static void
take_joined(struct walk *w, const struct sl_node *s, const struct key *k, void *field)
{
	const struct sl_node *e = s->first;

	for (unsigned i = 0; e; i++, e = e->next) {
		size_t was = push_index(w, i);
		const char *text = string_of(e);
		const char *why = !text              ? NULL
				  : k->type == METAS ? sl_value_meta_add(text, field)
						     : sl_value_line_add(text, field);
		if (!text)
			tell_element(w, e, k);
		else if (why)
			tell_value(w, e, k, text, why);
		sl_walk_pop(w, was);
	}
}

/* A list of integers to a field of fixed size; 0: unused. */
static void
take_ints(struct walk *w, const struct sl_node *s, const struct key *k, void *field)
{
	const struct sl_node *e = s->first;
	unsigned room = k->cnt_off;

	if (!e)
		sl_walk_tell(w, s, "name some, or leave the key out", "is empty");
	if (s->cnt > room)
		sl_walk_tell(w, s, "leave some out", "has %u elements, more than %u", s->cnt, room);
	for (unsigned i = 0; e && i < room; i++, e = e->next) {
		size_t was = push_index(w, i);
		if (e->type == SL_NODE_INT)
			take_int(w, e, k, (char *)field + (size_t)i * k->size);
		else
			sl_walk_tell(w, e, "give numbers", "is %s, must be an integer",
				     setting_type_text(e));
		sl_walk_pop(w, was);
	}
}

static void
take_list(struct walk *w, const struct sl_node *s, const struct key *k, void *base)
{
	char *elems = room_for(w, s, k, base, s->cnt);
	const struct sl_node *e = s->first;

	for (unsigned i = 0; elems && e; i++, e = e->next) {
		size_t was = push_index(w, i);
		if (e->type == SL_NODE_GROUP) {
			walk_into(w, e, k->sub, elems + (size_t)i * k->size);
		} else {
			sl_walk_tell(w, e, "write { key = value; ... }",
				     "is %s, must be a group { ... }", setting_type_text(e));
			w->shape_bad = true;
		}
		sl_walk_pop(w, was);
	}
}

static bool
fits(const struct key *k, int type)
{
	return k->type == INT                   ? type == SL_NODE_INT
	       : k->type == PORTS               ? type == SL_NODE_INT || type == SL_NODE_STRING
	       : k->type == BOOL                ? type == SL_NODE_BOOL
	       : k->type == SUB                 ? type == SL_NODE_GROUP
	       : k->type == LIST                ? type == SL_NODE_LIST
	       : k->type == INTS || is_texts(k) ? type == SL_NODE_LIST || type == SL_NODE_ARRAY
						: type == SL_NODE_STRING;
}

/* A setting that fits its row. */
static void
take_fitting(struct walk *w, const struct sl_node *s, const struct key *k, void *base)
{
	void *field = (char *)base + k->off;

	if (s->type == SL_NODE_INT) {
		take_int(w, s, k, field);
		if (k->type == PORTS)
			((uint16_t *)field)[1] = *(uint16_t *)field;
	} else if (k->type == WORDS) {
		take_words(w, s, k, field);
	} else if (k->type == METAS || k->type == LINES) {
		take_joined(w, s, k, field);
	} else if (k->type == INTS) {
		take_ints(w, s, k, field);
	} else if (is_texts(k)) {
		take_texts(w, s, k, base);
	} else if (k->type == BOOL) {
		store_int(field, k->size, (uint32_t)s->number);
	} else if (k->type == SUB) {
		walk_into(w, s, k->sub, field);
	} else if (k->type == LIST) {
		take_list(w, s, k, base);
	} else if (!(k->type == PROBE && *s->text == 0)) {
		take_text(w, s, k, field);
	}
}

static void
take(struct walk *w, const struct sl_node *s, const struct key *k, void *base)
{
	if (fits(k, s->type)) {
		take_fitting(w, s, k, base);
		return;
	}
	tell_type(w, s, k);
	if (k->type == SUB || k->type == LIST || (is_texts(k) && k->type < METAS))
		w->shape_bad = true;
}

static const struct key *
find_key(const struct walk *w, enum group g, const char *name)
{
	for (unsigned i = 0; i < w->group[g].cnt; i++)
		if (w->group[g].key[i].name[0] == name[0] &&
		    strcmp(w->group[g].key[i].name, name) == 0)
			return &w->group[g].key[i];
	return NULL;
}

static void
tell_unknown(struct walk *w, const struct sl_node *s, enum group g)
{
	const char *names[MAX_GROUP_KEYS];
	char hint[256];
	size_t n = 0;

	for (unsigned i = 0; i < w->group[g].cnt; i++)
		names[i] = w->group[g].key[i].name;
	int near = sl_value_nearest(s->name, names, w->group[g].cnt);
	if (near >= 0) {
		snprintf(hint, sizeof(hint), "did you mean %s?", names[near]);
	} else {
		n = (size_t)snprintf(hint, sizeof(hint), "the keys here are");
		for (unsigned i = 0; i < w->group[g].cnt && n < sizeof(hint); i++)
			n += (size_t)snprintf(hint + n, sizeof(hint) - n, "%s %s", i ? "," : "",
					      names[i]);
	}
	sl_walk_tell(w, s, hint, "unknown key");
}

static void
tell_missing(struct walk *w, const struct sl_node *s, const struct key *k)
{
	char hint[400], what[256];

	give(k, what, sizeof(what));
	snprintf(hint, sizeof(hint), "%s: %s", k->help, what);
	sl_walk_tell(w, s, hint, "is missing");
}

void
sl_walk_missing(struct walk *w, const struct sl_node *s, enum group g, const char *key)
{
	size_t was = sl_walk_push(w, key);

	tell_missing(w, s, find_key(w, g, key));
	sl_walk_pop(w, was);
}

/* What a key has that is not there.  A zeroed list is an empty one. */
static void
take_default(struct walk *w, const struct key *k, void *base)
{
	void *field = (char *)base + k->off;

	if (k->type == SUB && !sl_group_info[k->sub].draft)
		default_group(w, k->sub, field);
	else if (k->def && *k->def)
		parse_text(k, k->def, field);
}

static void
default_group(struct walk *w, enum group g, void *base)
{
	for (unsigned i = 0; i < w->group[g].cnt; i++)
		take_default(w, &w->group[g].key[i], base);
}

/* Elements remember where they stood; a prefix length out of range says: not read yet. */
static void
init_element(enum group g, void *base, int line)
{
	if (g == ADDRESS) {
		((struct sl_conf_address *)base)->line = line;
		((struct sl_conf_address *)base)->plen = UINT32_MAX;
	} else if (g == ROUTE) {
		((struct sl_conf_route *)base)->line = line;
		((struct sl_conf_route *)base)->plen = UINT32_MAX;
	} else if (g == SERVICE) {
		((struct sl_conf_service *)base)->line = line;
		((struct sl_conf_service *)base)->panic_pct = SL_CONF_NO_PANIC;
	} else if (g == TCP) {
		((struct sl_conf_tcp *)base)->given = true;
	} else if (g == ENDPOINT) {
		((struct sl_conf_endpoint *)base)->line = line;
	} else if (g == DISCOVER) {
		((struct sl_conf_discover *)base)->line = line;
	} else if (g == SUBSET) {
		((struct sl_conf_subset *)base)->line = line;
	} else if (g == LISTENER) {
		((struct sl_conf_listener *)base)->line = line;
	} else if (g == ZONES) {
		((struct sl_conf_zones *)base)->given = true;
	} else if (g == HTTP) {
		((struct sl_conf_http *)base)->given = true;
	} else if (g == BANDWIDTH) {
		((struct sl_conf_bandwidth *)base)->given = true;
	} else if (g == LTLS || g == STLS) {
		((struct sl_conf_tls *)base)->line = line;
		((struct sl_conf_tls *)base)->given = true;
	} else if (g == SNI) {
		((struct sl_conf_sni *)base)->line = line;
	} else if (g == TABLE) {
		((struct sl_conf_table *)base)->line = line;
	} else if (g == VHOST) {
		((struct sl_conf_vhost *)base)->line = line;
	} else if (g == TARGET || g == MIRROR) {
		((struct sl_conf_target *)base)->line = line;
	}
}

static void walk_group(struct walk *w, const struct sl_node *s, enum group g, void *base);

/* It has a key that is required. */
static void
walk_absent_gateway(struct walk *w, const struct key *k, void *base)
{
	size_t was = sl_walk_push(w, k->name);

	walk_group(w, NULL, k->sub, base);
	sl_walk_pop(w, was);
}

/* walk_group reads the members of s (NULL: the group is absent, and has a key that is required). */
static void
walk_group(struct walk *w, const struct sl_node *s, enum group g, void *base)
{
	uint32_t seen = 0;
	unsigned told = w->told;

	init_element(g, base, sl_walk_line(s));
	for (const struct sl_node *e = s ? s->first : NULL; e; e = e->next) {
		const struct key *k = find_key(w, g, e->name);
		size_t was = sl_walk_push(w, e->name);
		if (k) {
			seen |= 1u << (k - w->group[g].key);
			take(w, e, k, base);
		} else {
			tell_unknown(w, e, g);
		}
		sl_walk_pop(w, was);
	}
	for (unsigned i = 0; i < w->group[g].cnt; i++) {
		const struct key *k = &w->group[g].key[i];
		if (seen & 1u << i)
			continue;
		if (k->need == REQUIRED)
			sl_walk_missing(w, s, g, k->name);
		else if (k->type == SUB && k->sub == GATEWAY)
			walk_absent_gateway(w, k, base);
		else
			take_default(w, k, base);
	}
	if (g == ENDPOINT)
		((struct sl_conf_endpoint *)base)->incomplete = w->told != told;
	else if (g == DISCOVER)
		((struct sl_conf_discover *)base)->incomplete = w->told != told;
	else if (g == SUBSET)
		((struct sl_conf_subset *)base)->incomplete = w->told != told;
}

static void
walk_into(struct walk *w, const struct sl_node *s, enum group g, void *out)
{
	const struct group_info *info = &sl_group_info[g];
	_Alignas(max_align_t) char draft[MAX_DRAFT];
	void *base = info->draft ? draft : out;
	unsigned told = w->told;

	memset(draft, 0, info->draft);
	walk_group(w, s, g, base);
	w->clean = w->told == told;
	if (info->finish)
		info->finish(w, s, base, out);
}

void
sl_walk_tree(struct walk *w, const struct sl_node *root, struct sl_conf *c)
{
	for (unsigned i = 0; i < sl_key_cnt; i++) {
		if (w->group[sl_keys[i].group].cnt++ == 0)
			w->group[sl_keys[i].group].key = &sl_keys[i];
		SL_ASSERT(w->group[sl_keys[i].group].cnt <= MAX_GROUP_KEYS);
	}
	walk_into(w, root, ROOT, c);
}
