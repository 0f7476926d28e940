/* conf_tree — the text of a table file as a tree of settings.
 *
 * The language is libconfig's (its manual, "Configuration Files"): what libconfig 1.5 takes this takes as the same tree,
 * tests/mgmt/test_conf_tree.c compares the two.  Otherwise than libconfig: integers are 64 bits wide, with or without L, and one
 * that does not fit is marked, never another number; a comment may end the file without a line end; an element's line is where it begins.
 * conf_scan.h has refused what is no text, nests too deep or includes other files: sl_tree_parse relies on it.
 * Not libconfig itself: of a push with 10,000 routes most of the time before compilation went into its scanner and its
 * allocations, and at a syntax error it loses memory.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_CONF_TREE_H
#define SL_MGMT_CONF_TREE_H

#include "sluice/base.h"

enum sl_node_type {
	SL_NODE_INT,
	SL_NODE_FLOAT,
	SL_NODE_BOOL,
	SL_NODE_STRING,
	SL_NODE_GROUP,
	SL_NODE_ARRAY,
	SL_NODE_LIST,
};

struct sl_node {
	const char *name;     /* of a member of a group; else NULL */
	struct sl_node *next; /* in its group, array or list */
	union {
		const char *text;      /* STRING */
		struct sl_node *first; /* GROUP, ARRAY, LIST */
		int64_t number;        /* INT; BOOL: 0 or 1; FLOAT: 0 */
	};
	const char *written; /* INT: its first character */
	uint32_t cnt;        /* GROUP, ARRAY, LIST: members; INT: characters */
	int line;            /* of the name, or of the value's beginning */
	uint8_t type;        /* enum sl_node_type */
	bool wide;           /* INT: does not fit; number is 0 */
};

struct sl_tree {
	struct sl_node root; /* GROUP */
	char *copy;
	struct sl_tree_block *blocks;
	int error_line;
	const char *error; /* what is wrong there, and what to do */
	const char *error_hint;
};

/* sl_tree_parse: 0, the nodes point into *t until sl_tree_fini; -EINVAL with the error's line and words; -ENOMEM.  fini is
 * to be called after each of them. */
int sl_tree_parse(const char *text, size_t len, struct sl_tree *t);
void sl_tree_fini(struct sl_tree *t);

/* The member of a group, or NULL. */
const struct sl_node *sl_node_member(const struct sl_node *group, const char *name);

#endif
