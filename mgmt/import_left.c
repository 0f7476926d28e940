/* Items stand in the order in which they were found; the caller prints them. */
#include "mgmt/import_left.h"

#include "mgmt/conf_value.h"
#include "mgmt/import_objects.h"

#include <stdio.h>
#include <string.h>

const char *
sl_left_word(enum sl_left_kind kind)
{
	static const char *const words[] = {"note", "changed", "left out", "denied"};

	return words[kind];
}

unsigned
sl_left_lost(const struct sl_left *l)
{
	return l->cnt[SL_LEFT_CHANGED] + l->cnt[SL_LEFT_OUT] + l->cnt[SL_LEFT_DENIED];
}

static bool
is_word(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return n && s[n] == 0;
}

const char *
sl_left_path(struct sl_memory *m, const struct sl_yaml *node)
{
	const char *below = "";

	for (; node->parent && !node->object; node = node->parent) {
		char quoted[160];
		bool item = node->parent->type == SL_YAML_LIST;
		const char *gap = *below && *below != '[' ? "." : "";
		if (item)
			below = sl_memory_print(m, "[%u]%s%s", node->index, gap, below);
		else if (is_word(node->key))
			below = sl_memory_print(m, "%s%s%s", node->key, gap, below);
		else
			below = sl_memory_print(m, "[%s]%s%s",
						sl_value_quote(node->key, quoted, sizeof(quoted)),
						gap, below);
	}
	return below;
}

static const char *
object_of(const struct sl_yaml *node)
{
	while (node->parent && !node->object)
		node = node->parent;
	return node->object ? node->object->title : "";
}

static void
add(struct sl_left *l, enum sl_left_kind kind, struct sl_yaml *node, const char *text)
{
	for (struct sl_left_item *i = node ? node->told : l->first; i;
	     i = node ? i->same_node : i->next)
		if ((node || !*i->file) && strcmp(i->text, text) == 0)
			return;
	struct sl_left_item *i = sl_memory_take(l->m, sizeof(*i));
	*i = (struct sl_left_item){
		.kind = kind, .file = "", .object = "", .path = "", .text = text};
	if (node) {
		i->file = node->file;
		i->line = node->line;
		i->object = object_of(node);
		i->path = sl_left_path(l->m, node);
		i->same_node = node->told;
		node->told = i;
	}
	if (l->last)
		l->last->next = i;
	else
		l->first = i;
	l->last = i;
	l->cnt[kind]++;
}

void
sl_left_add(struct sl_left *l, enum sl_left_kind kind, struct sl_yaml *node, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(l, kind, node, sl_memory_vprint(l->m, fmt, ap));
	va_end(ap);
}

void
sl_left_out(struct sl_left *l, struct sl_yaml *node, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(l, SL_LEFT_OUT, node, sl_memory_vprint(l->m, fmt, ap));
	va_end(ap);
	sl_yaml_use(node);
}

/* Depth is bounded (SL_YAML_DEPTH). */
void
sl_left_rest(struct sl_left *l, struct sl_yaml *node)
{
	for (struct sl_yaml *n = node->first; n; n = n->next) {
		if (!n->used)
			sl_left_out(l, n, "nothing in a table is like it, or it is not known");
		else
			sl_left_rest(l, n);
	}
}
