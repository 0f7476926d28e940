/* Layout: an item that fits 120 columns is a line; else its members have lines of their own, two blanks deeper. */
#include "mgmt/import_out.h"

#include <string.h>

#define COLUMNS 120
#define TAB 2
#define PIECE 8192 /* of a text: the parser takes 16384 in one */

/* ---- the tree ---- */

static struct sl_out *
add(struct sl_memory *m, struct sl_out *to, const char *name, enum sl_out_type type)
{
	struct sl_out *o = sl_memory_take(m, sizeof(*o));

	o->name = name;
	o->type = type;
	if (to)
		sl_out_attach(to, o);
	return o;
}

void
sl_out_attach(struct sl_out *to, struct sl_out *o)
{
	if (to->last)
		to->last->next = o;
	else
		to->first = o;
	to->last = o;
	to->cnt++;
}

struct sl_out *
sl_out_group(struct sl_memory *m, struct sl_out *to, const char *name)
{
	return add(m, to, name, SL_OUT_GROUP);
}

struct sl_out *
sl_out_list(struct sl_memory *m, struct sl_out *to, const char *name)
{
	return add(m, to, name, SL_OUT_LIST);
}

struct sl_out *
sl_out_text(struct sl_memory *m, struct sl_out *to, const char *name, const char *text)
{
	struct sl_out *o = add(m, to, name, SL_OUT_TEXT);

	o->text = text;
	return o;
}

struct sl_out *
sl_out_number(struct sl_memory *m, struct sl_out *to, const char *name, int64_t number)
{
	struct sl_out *o = add(m, to, name, SL_OUT_NUMBER);

	o->number = number;
	return o;
}

struct sl_out *
sl_out_bool(struct sl_memory *m, struct sl_out *to, const char *name, bool yes)
{
	struct sl_out *o = add(m, to, name, SL_OUT_BOOL);

	o->number = yes;
	return o;
}

struct sl_out *
sl_out_find(const struct sl_out *group, const char *name)
{
	for (struct sl_out *o = group->first; o; o = o->next)
		if (o->name && strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

void
sl_out_remove(struct sl_out *group, const char *name)
{
	struct sl_out *o = sl_out_find(group, name), *before = NULL;

	if (!o)
		return;
	for (struct sl_out *p = group->first; p != o; p = p->next)
		before = p;
	if (before)
		before->next = o->next;
	else
		group->first = o->next;
	if (group->last == o)
		group->last = before;
	group->cnt--;
}

struct sl_out *
sl_out_in_group(struct sl_memory *m, struct sl_out *to, const char *name)
{
	struct sl_out *o = sl_out_find(to, name);

	return o ? o : sl_out_group(m, to, name);
}

struct sl_out *
sl_out_in_list(struct sl_memory *m, struct sl_out *to, const char *name)
{
	struct sl_out *o = sl_out_find(to, name);

	return o ? o : sl_out_list(m, to, name);
}

/* A line end in a name would end the comment, and the rest were settings. */
bool
sl_out_has_text(const struct sl_out *list, const char *text)
{
	for (const struct sl_out *o = list->first; o; o = o->next)
		if (strcmp(o->text, text) == 0)
			return true;
	return false;
}

void
sl_out_comment(struct sl_memory *m, struct sl_out *at, const char *fmt, ...)
{
	struct sl_out_comment *c = sl_memory_take(m, sizeof(*c));
	va_list ap;

	va_start(ap, fmt);
	char *text = sl_memory_vprint(m, fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	c->text = text;
	if (at->comment_last)
		at->comment_last->next = c;
	else
		at->comment = c;
	at->comment_last = c;
}

/* ---- text ---- */

/* Where text goes: to a file, or nowhere, to be measured. */
struct pen {
	FILE *f;
	size_t columns;
};

static void
put(struct pen *p, const char *text)
{
	if (p->f)
		fputs(text, p->f);
	p->columns += strlen(text);
}

static void
put_byte(struct pen *p, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char text[5] = {(char)c};

	if (c == '"' || c == '\\')
		memcpy(text, (char[]){'\\', (char)c, 0}, 3);
	else if (c == '\n')
		strcpy(text, "\\n");
	else if (c == '\r')
		strcpy(text, "\\r");
	else if (c == '\t')
		strcpy(text, "\\t");
	else if (c < ' ' || c == 127)
		memcpy(text, (char[]){'\\', 'x', hex[c >> 4], hex[c & 15], 0}, 5);
	put(p, text);
}

static void
put_text(struct pen *p, const char *text)
{
	size_t piece = 0;

	put(p, "\"");
	for (size_t i = 0; text[i]; i++, piece++) {
		if (piece >= PIECE && ((unsigned char)text[i] & 0xc0) != 0x80) {
			put(p, "\"\n\"");
			piece = 0;
		}
		put_byte(p, (unsigned char)text[i]);
	}
	put(p, "\"");
}

static void
put_value(struct pen *p, const struct sl_out *o)
{
	char number[24];

	switch (o->type) {
	case SL_OUT_TEXT:
		put_text(p, o->text);
		return;
	case SL_OUT_NUMBER:
		snprintf(number, sizeof(number), "%lld", (long long)o->number);
		put(p, number);
		return;
	case SL_OUT_BOOL:
		put(p, o->number ? "true" : "false");
		return;
	case SL_OUT_GROUP:
	case SL_OUT_LIST:
		break;
	}
	put(p, o->type == SL_OUT_GROUP ? "{" : "(");
	for (const struct sl_out *c = o->first; c; c = c->next) {
		put(p, " ");
		if (c->name) {
			put(p, c->name);
			put(p, " = ");
		}
		put_value(p, c);
		put(p, o->type == SL_OUT_GROUP ? ";" : c->next ? "," : "");
	}
	put(p, o->type == SL_OUT_GROUP ? " }" : " )");
}

/* Whether something below has a comment, which needs a line. */
static bool
speaks(const struct sl_out *o)
{
	for (const struct sl_out *c = o->first; c; c = c->next)
		if (c->comment || speaks(c))
			return true;
	return false;
}

static bool
fits(const struct sl_out *o, unsigned depth)
{
	struct pen p = {0};

	if (o->type != SL_OUT_GROUP && o->type != SL_OUT_LIST)
		return true;
	if (speaks(o))
		return false;
	put_value(&p, o);
	return depth * TAB + p.columns + (o->name ? strlen(o->name) + 4 : 1) <= COLUMNS;
}

static void
indent(FILE *f, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		fputs("  ", f);
}

static void write_members(const struct sl_out *o, FILE *f, unsigned depth);

static void
write_one(const struct sl_out *o, FILE *f, unsigned depth, const char *end)
{
	struct pen p = {.f = f};

	for (const struct sl_out_comment *c = o->comment; c; c = c->next) {
		indent(f, depth);
		fprintf(f, "# %s\n", c->text);
	}
	indent(f, depth);
	if (o->name)
		fprintf(f, "%s = ", o->name);
	if (fits(o, depth)) {
		put_value(&p, o);
	} else {
		fputs(o->type == SL_OUT_GROUP ? "{\n" : "(\n", f);
		write_members(o, f, depth + 1);
		indent(f, depth);
		fputs(o->type == SL_OUT_GROUP ? "}" : ")", f);
	}
	fprintf(f, "%s\n", end);
}

static void
write_members(const struct sl_out *o, FILE *f, unsigned depth)
{
	for (const struct sl_out *c = o->first; c; c = c->next)
		write_one(c, f, depth, o->type == SL_OUT_GROUP ? ";" : c->next ? "," : "");
}

void
sl_out_write(const struct sl_out *root, FILE *f)
{
	for (const struct sl_out_comment *c = root->comment; c; c = c->next)
		fprintf(f, "# %s\n", c->text);
	for (const struct sl_out *c = root->first; c; c = c->next) {
		fputs("\n", f);
		write_one(c, f, 0, ";");
	}
}
