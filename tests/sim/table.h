/* table — from the text of a table file to a view, as the two programs do it: parse, compile, check, build. */
#ifndef SL_TESTS_TABLE_H
#define SL_TESTS_TABLE_H

#include "dataplane/view.h"
#include "mgmt/compile.h"

/* What a daemon keeps between pushes. */
struct table {
	struct sl_slot_map slots;
	uint64_t generation;
	void (*fill)(struct sl_conf *conf); /* keys of issuers, which no text has; or NULL */
};

/* A view and the objects it points into. */
struct table_view {
	struct sl_view *view;
	struct sl_compiled *compiled;
};

void table_init(struct table *t);
void table_fini(struct table *t);

/* table_push compiles text as the next generation; problems are printed and give a NULL view.  Port names
 * "front" and "back". */
struct table_view table_push(struct table *t, const char *text);
void table_release(struct table_view *v);

/* table_append writes printf-style text at the end of a growing buffer. */
struct table_text {
	char *buf;
	size_t len, room;
};
void table_append(struct table_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Slot of an endpoint by name, UINT32_MAX: not there. */
uint32_t table_slot(const struct sl_view *v, const char *service, const char *endpoint);

#endif
