/* One character of look-ahead, one pass.  Texts stay where they are in a copy of the file: escapes make them shorter, and the
 * NUL behind a name is written when what stood there has been passed.
 *
 *   members  = { name ("=" | ":") value [";" | ","] }
 *   value    = integer | float | boolean | string { string } | "{" members "}" | "[" [elements] "]" | "(" [elements] ")"
 *   elements = value { "," value }                of an array: scalars of one type
 */
#include "mgmt/conf_tree.h"

#include <errno.h>
#include <stdlib.h>

#define BLOCK_NODES 1024
struct sl_tree_block {
	struct sl_tree_block *next;
	uint32_t used;
	struct sl_node node[BLOCK_NODES];
};

struct reader {
	struct sl_tree *t;
	char *at; /* the copy ends with a NUL, which is no token's */
	int line;
	int err;
};

static bool parse_value(struct reader *r, struct sl_node *n);

/* ---- characters ---- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_hex(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool
is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool
is_name(char c)
{
	return is_letter(c) || is_digit(c) || c == '*' || c == '-' || c == '_';
}

static bool
fail(struct reader *r, const char *what, const char *hint)
{
	if (!r->err) {
		r->err = -EINVAL;
		r->t->error_line = r->line;
		r->t->error = what;
		r->t->error_hint = hint;
	}
	return false;
}

static bool
fail_syntax(struct reader *r)
{
	return fail(r, "syntax error",
		    "look at this line and the one before: a missing ';', ',' or bracket");
}

/* Up to the next token.  Comments that are not closed were refused. */
static void
skip_blank(struct reader *r)
{
	for (;; r->at++) {
		char c = *r->at;
		if (c == '\n') {
			r->line++;
		} else if (c == '#' || (c == '/' && r->at[1] == '/')) {
			r->at += strcspn(r->at, "\n") - 1;
		} else if (c == '/' && r->at[1] == '*') {
			for (r->at += 2; r->at[0] && !(r->at[0] == '*' && r->at[1] == '/'); r->at++)
				r->line += *r->at == '\n';
			r->at += *r->at ? 1 : -1;
		} else if (c != ' ' && c != '\t' && c != '\r' && c != '\f') {
			return;
		}
	}
}

/* ---- nodes ---- */

static struct sl_node *
add_node(struct reader *r)
{
	struct sl_tree_block *b = r->t->blocks;

	if (!b || b->used == BLOCK_NODES) {
		if (!(b = malloc(sizeof(*b)))) {
			r->err = -ENOMEM;
			return NULL;
		}
		b->used = 0;
		b->next = r->t->blocks;
		r->t->blocks = b;
	}
	struct sl_node *n = &b->node[b->used++];
	*n = (struct sl_node){.line = r->line};
	return n;
}

const struct sl_node *
sl_node_member(const struct sl_node *group, const char *name)
{
	for (const struct sl_node *n = group->first; n; n = n->next)
		if (n->name[0] == name[0] && strcmp(n->name, name) == 0)
			return n;
	return NULL;
}

/* ---- scalars ---- */

static int
hex_value(char c)
{
	return is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The character that a backslash stands for with what follows; *at goes behind it.  A backslash that escapes nothing is
 * itself. */
static char
escape(const char **at)
{
	static const char from[] = "nrtf\\\"", to[] = "\n\r\t\f\\\"";
	const char *p = *at + 1, *known = *p ? strchr(from, *p) : NULL;

	if (known) {
		*at += 2;
		return to[known - from];
	}
	if ((*p | 0x20) == 'x' && is_hex(p[1]) && is_hex(p[2])) {
		*at += 4;
		return (char)(hex_value(p[1]) << 4 | hex_value(p[2]));
	}
	*at += 1;
	return '\\';
}

/* Several strings in a row are one. */
static bool
parse_string(struct reader *r, struct sl_node *n)
{
	char *out = r->at;

	n->type = SL_NODE_STRING;
	n->text = out;
	while (*r->at == '"') {
		const char *p = r->at + 1;
		while (*p && *p != '"') {
			r->line += *p == '\n';
			if (*p == '\\')
				*out++ = escape(&p);
			else
				*out++ = *p++;
		}
		if (!*p)
			return fail_syntax(r);
		r->at += p + 1 - r->at;
		skip_blank(r);
	}
	*out = 0;
	return true;
}

/* digits[0, cnt) to n->number. */
static void
read_number(struct sl_node *n, const char *digits, unsigned base, uint64_t max)
{
	uint64_t v = 0;

	for (; base == 16 ? is_hex(*digits) : is_digit(*digits); digits++) {
		unsigned d = (unsigned)hex_value(*digits);
		if (v > (max - d) / base) {
			n->wide = true;
			return;
		}
		v = v * base + d;
	}
	n->number = *n->written == '-' ? (int64_t)(0 - v) : (int64_t)v;
}

/* Behind the digits: a fraction, an exponent, or neither. */
static char *
pass_fraction(char *p)
{
	if (*p == '.')
		for (p++; is_digit(*p); p++)
			;
	char *e = p + 1 + (p[0] && (p[1] == '-' || p[1] == '+'));
	if ((*p | 0x20) == 'e' && is_digit(*e))
		for (p = e; is_digit(*p); p++)
			;
	return p;
}

static bool
parse_number(struct reader *r, struct sl_node *n)
{
	char *p = r->at, *digits;
	bool hex = p[0] == '0' && (p[1] | 0x20) == 'x' && is_hex(p[2]);

	n->written = p;
	p += hex ? 2 : *p == '-' || *p == '+';
	digits = p;
	while (hex ? is_hex(*p) : is_digit(*p))
		p++;
	char *end = hex ? p : pass_fraction(p);
	if (end != p) {
		n->type = SL_NODE_FLOAT;
	} else if (p == digits) {
		return fail_syntax(r);
	} else {
		n->type = SL_NODE_INT;
		n->cnt = (uint32_t)(p - n->written);
		read_number(n, digits, hex ? 16 : 10, (uint64_t)INT64_MAX + (*n->written == '-'));
		for (unsigned i = 0; i < 2 && *end == 'L'; i++)
			end++;
	}
	r->at = end;
	return true;
}

static bool
parse_bool(struct reader *r, struct sl_node *n)
{
	char *p = r->at;

	while (is_name(*p))
		p++;
	size_t len = (size_t)(p - r->at);
	bool yes = len == 4 && strncasecmp(r->at, "true", 4) == 0;
	if (!yes && !(len == 5 && strncasecmp(r->at, "false", 5) == 0))
		return fail_syntax(r);
	n->type = SL_NODE_BOOL;
	n->number = yes;
	r->at = p;
	return true;
}

/* ---- groups, arrays, lists ---- */

static bool
is_true_or_false(const char *name, size_t len)
{
	return (len == 4 && strcasecmp(name, "true") == 0) ||
	       (len == 5 && strcasecmp(name, "false") == 0);
}

/* A name and what stands behind it, up to the value. */
static bool
parse_name(struct reader *r, struct sl_node *group, struct sl_node *n)
{
	char *name = r->at, *end = name;

	while (is_name(*end))
		end++;
	r->at = end;
	skip_blank(r);
	if ((*name != '*' && !is_letter(*name)) || (*r->at != '=' && *r->at != ':'))
		return fail_syntax(r);
	r->at++;
	*end = 0;
	if (is_true_or_false(name, (size_t)(end - name)))
		return fail_syntax(r);
	if (sl_node_member(group, name))
		return fail(r, "a key stands twice in its group", "remove one of the two");
	n->name = name;
	skip_blank(r);
	return true;
}

/* Up to what is no name: the end of the group or of the file. */
static bool
parse_members(struct reader *r, struct sl_node *group)
{
	struct sl_node **tail = &group->first;

	group->type = SL_NODE_GROUP;
	for (skip_blank(r); is_letter(*r->at) || *r->at == '*'; skip_blank(r)) {
		struct sl_node *n = add_node(r);
		if (!n || !parse_name(r, group, n) || !parse_value(r, n))
			return false;
		*tail = n;
		tail = &n->next;
		group->cnt++;
		skip_blank(r);
		if (*r->at == ';' || *r->at == ',')
			r->at++;
	}
	return true;
}

static bool
fits_array(const struct sl_node *array, const struct sl_node *n)
{
	return n->type < SL_NODE_GROUP && n->type == array->first->type;
}

static bool
parse_elements(struct reader *r, struct sl_node *list, enum sl_node_type type, char close)
{
	struct sl_node **tail = &list->first;

	list->type = type;
	skip_blank(r);
	while (*r->at != close || list->cnt) {
		struct sl_node *n = add_node(r);
		if (!n || !parse_value(r, n))
			return false;
		*tail = n;
		tail = &n->next;
		list->cnt++;
		if (type == SL_NODE_ARRAY && !fits_array(list, n))
			return fail_syntax(r);
		skip_blank(r);
		if (*r->at != ',')
			break;
		r->at++;
		skip_blank(r);
	}
	return true;
}

static bool
parse_value(struct reader *r, struct sl_node *n)
{
	char open = *r->at, close;

	if (open == '"')
		return parse_string(r, n);
	if (is_digit(open) || open == '-' || open == '+' || open == '.')
		return parse_number(r, n);
	if (is_letter(open))
		return parse_bool(r, n);
	if (open != '{' && open != '[' && open != '(')
		return fail_syntax(r);
	close = open == '{' ? '}' : open == '[' ? ']' : ')';
	r->at++;
	if (open == '{' ? !parse_members(r, n)
			: !parse_elements(r, n, open == '[' ? SL_NODE_ARRAY : SL_NODE_LIST, close))
		return false;
	if (*r->at != close)
		return fail_syntax(r);
	r->at++;
	return true;
}

/* ---- the whole ---- */

int
sl_tree_parse(const char *text, size_t len, struct sl_tree *t)
{
	struct reader r = {.t = t, .line = 1};

	*t = (struct sl_tree){.copy = malloc(len + 1)};
	if (!t->copy)
		return -ENOMEM;
	memcpy(t->copy, text, len);
	t->copy[len] = 0;
	r.at = t->copy;
	if (parse_members(&r, &t->root) && *r.at)
		fail_syntax(&r);
	return r.err;
}

void
sl_tree_fini(struct sl_tree *t)
{
	for (struct sl_tree_block *b = t->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(t->copy);
	*t = (struct sl_tree){0};
}
