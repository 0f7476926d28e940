/* import_yaml — a YAML file as trees of nodes, one for each document; JSON is YAML.
 *
 * Every node remembers its line, and whether somebody read it: what nobody did is told at the end (import_left.h).
 * Aliases become copies, merge keys ("<<") members, so that a tree is one.  Keys are texts, distinct within a map.
 * Hostile input is refused with words: what is no UTF-8, a NUL in a text, an alias within its own anchor, and what is beyond the
 * limits below, copies included; so aliases of aliases cost no more than a file that is written out.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_IMPORT_YAML_H
#define SL_MGMT_IMPORT_YAML_H

#include "mgmt/import_memory.h"

#include "sluice/diag.h"

#define SL_YAML_BYTES (16u << 20) /* of a file */
#define SL_YAML_NODES (1u << 20)  /* of a file */
#define SL_YAML_DEPTH 64
#define SL_YAML_MEMBERS 1024 /* of a map */
#define SL_YAML_ANCHORS 256  /* of a document */

enum sl_yaml_type { SL_YAML_TEXT, SL_YAML_MAP, SL_YAML_LIST };

struct sl_left_item;
struct sl_object;

struct sl_yaml {
	const char *key;  /* of a member of a map; else NULL */
	const char *text; /* TEXT; else "" */
	struct sl_yaml *parent, *first, *last, *next;
	const char *file;
	struct sl_object *object;  /* of which it is the root, or NULL */
	struct sl_left_item *told; /* import_left.h */
	uint32_t cnt, index;       /* members or items; place in its list */
	uint32_t hash;             /* of the key */
	int line;
	uint8_t type; /* enum sl_yaml_type */
	bool plain;   /* TEXT that is not quoted: it may be a number, true, null */
	bool used;
};

/* sl_yaml_read: 0, the documents in a list by `next`; empty ones are left out.  -EINVAL with what is wrong in diag.  file is
 * not copied. */
int sl_yaml_read(struct sl_memory *m, const char *file, const char *text, size_t len,
		 struct sl_diag *diag, struct sl_yaml **ret_docs);

/* The member of a map, which counts as read then; NULL: not there, or null, or map is none.  peek: leaves no mark. */
struct sl_yaml *sl_yaml_get(struct sl_yaml *map, const char *key);
struct sl_yaml *sl_yaml_peek(const struct sl_yaml *map, const char *key);
/* The text of such a member, or NULL. */
const char *sl_yaml_get_text(struct sl_yaml *map, const char *key);
const char *sl_yaml_peek_text(const struct sl_yaml *map, const char *key);

/* sl_yaml_each: the items of a list or the members of a map in turn, each counts as read; before NULL: the first.  A node that is
 * neither has none. */
struct sl_yaml *sl_yaml_each(struct sl_yaml *node, struct sl_yaml *before);

/* sl_yaml_use marks the node and all below it. */
void sl_yaml_use(struct sl_yaml *node);

/* Whether it is what a key with nothing behind it has. */
bool sl_yaml_is_null(const struct sl_yaml *node);
/* A whole number in [lo, hi], a boolean: false: it is none. */
bool sl_yaml_number(const struct sl_yaml *node, int64_t lo, int64_t hi, int64_t *ret);
bool sl_yaml_bool(const struct sl_yaml *node, bool *ret);

#endif
