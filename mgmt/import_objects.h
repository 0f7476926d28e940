/* import_objects — the Kubernetes objects of the files, and what all kinds of them have alike. */
#ifndef SL_MGMT_IMPORT_OBJECTS_H
#define SL_MGMT_IMPORT_OBJECTS_H

#include "mgmt/import_left.h"

struct sl_object {
	const char *group; /* of apiVersion: "networking.istio.io"; of core kinds "" */
	const char *kind, *space, *name; /* space: "default" unless given */
	const char *title;               /* "VirtualService shop/cart", printable */
	const char *created;             /* creationTimestamp, or "" */
	struct sl_yaml *root, *spec;     /* spec: may be NULL; of kinds without one the root */
	struct sl_object *next;
	bool wanted; /* a kind that this import reads */
};

struct sl_objects {
	struct sl_memory *m;
	struct sl_left *left;
	struct sl_object *first, *last;
};

/* A kind that an import reads; group "" : core. */
struct sl_kind {
	const char *group, *kind;
};

/* sl_objects_add takes the documents, and the items of lists, as objects.  What is none, or of a kind that is not among kinds
 * (ends with a NULL kind), is left out, and told. */
void sl_objects_add(struct sl_objects *o, struct sl_yaml *docs, const struct sl_kind *kinds);

/* The objects of a kind in turn (before NULL: the first); one of a name, or NULL. */
struct sl_object *sl_objects_next(const struct sl_objects *o, const struct sl_object *before,
				  const char *kind);
struct sl_object *sl_objects_find(const struct sl_objects *o, const char *kind, const char *space,
				  const char *name);

#endif
