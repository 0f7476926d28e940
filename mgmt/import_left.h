/* import_left — what an import could not say in a table, or had to say otherwise: one item each, with where it stands.
 *
 * LEFT_OUT: the table does less, or other, than the field asks for, and has nothing of it.  CHANGED: the nearest thing is in the
 * table.  NOTE: the same in other words, or something that the operator has to do.  DENIED: what protects could not be said as it is, and
 * without it more would pass than was meant: so nobody passes there.
 * What nobody read of an object is LEFT_OUT (sl_left_rest), so that nothing goes by in silence.
 */
#ifndef SL_MGMT_IMPORT_LEFT_H
#define SL_MGMT_IMPORT_LEFT_H

#include "mgmt/import_yaml.h"

enum sl_left_kind { SL_LEFT_NOTE, SL_LEFT_CHANGED, SL_LEFT_OUT, SL_LEFT_DENIED, SL_LEFT_KINDS };

struct sl_left_item {
	enum sl_left_kind kind;
	const char *file; /* "" : of no file in particular; line 0 */
	int line;
	const char *object; /* "VirtualService shop/cart", or "" */
	const char *path;   /* "spec.http[0].fault", or "" */
	const char *text;   /* why, and what was done instead */
	struct sl_left_item *next, *same_node;
};

struct sl_left {
	struct sl_memory *m;
	struct sl_left_item *first, *last;
	unsigned cnt[SL_LEFT_KINDS];
};

/* node NULL: of no place.  What was said of a node already is not said again. */
void sl_left_add(struct sl_left *l, enum sl_left_kind kind, struct sl_yaml *node, const char *fmt,
		 ...) __attribute__((format(printf, 4, 5)));
#define sl_left_note(l, node, ...) sl_left_add(l, SL_LEFT_NOTE, node, __VA_ARGS__)
#define sl_left_changed(l, node, ...) sl_left_add(l, SL_LEFT_CHANGED, node, __VA_ARGS__)
#define sl_left_denied(l, node, ...) sl_left_add(l, SL_LEFT_DENIED, node, __VA_ARGS__)

/* sl_left_out also marks the node and all below it as read. */
void sl_left_out(struct sl_left *l, struct sl_yaml *node, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* sl_left_rest adds what nobody read of the object: the highest nodes only. */
void sl_left_rest(struct sl_left *l, struct sl_yaml *root);

/* "spec.http[0].match[1].uri", of an object or document. */
const char *sl_left_path(struct sl_memory *m, const struct sl_yaml *node);
const char *sl_left_word(enum sl_left_kind kind);
/* How many items are more than notes. */
unsigned sl_left_lost(const struct sl_left *l);

#endif
