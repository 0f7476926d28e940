/* view_priv — a view while it is built: what view.c, view_levels.c and view_http.c share.
 * Threads: [main].  Private to these. */
#ifndef SL_DATAPLANE_VIEW_PRIV_H
#define SL_DATAPLANE_VIEW_PRIV_H

#include "dataplane/view.h"

struct sl_view_build {
	const struct sl_img_root *root;
	const struct sl_img_ref *refs;
	const struct sl_object *objs;
	uint32_t first[SL_OBJ_KIND_LAST + 1]; /* by kind: its first ref */
	uint32_t cnt[SL_OBJ_KIND_LAST + 1];   /* and how many there are: one after the other */
	const struct sl_view_ports *ports;
	struct sl_diag *diag;
	const struct sl_img_network *net;
	const struct sl_img_listeners *ls;
	struct sl_view *v;
	unsigned bad;
	/* made by create, given to v */
	struct sl_service *services;
	uint32_t *listener_service;
	uint32_t *vip_hash;
	struct sl_local *locals;
	struct sl_wide *wide;
	uint16_t *address_port;
	struct sl_fib *fib;
	struct sl_table *tables;
	struct sl_vhost *vhosts;
	struct sl_authz *authz;
	char known[512]; /* text: what addresses and routes there are; made at the first need */
};

/* sl_view_bad adds a reason and counts it. */
void sl_view_bad(struct sl_view_build *b, const char *path, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* sl_view_mem: zeroed memory, aligned to a line; freed by free. */
void *sl_view_mem(size_t bytes);

/* A section of an object that passed its check. */
static inline const void *
sl_view_section(const void *object, uint32_t cnt, uint32_t off)
{
	return cnt ? (const uint8_t *)object + off : NULL;
}

/* sl_view_levels_build: sets and levels of the services, which are filled in but for these.  0 (problems may have been added),
 * -ENOMEM. */
int sl_view_levels_build(struct sl_view_build *b);

/* sl_view_http_build: tables, virtual hosts, databases, scratch; after the services.  0 (problems may have been added),
 * -ENOMEM. */
int sl_view_http_build(struct sl_view_build *b);
void sl_view_http_free(struct sl_view *v);

/* sl_view_jwt_build: issuers, which virtual hosts name.  As above. */
int sl_view_jwt_build(struct sl_view_build *b);
void sl_view_jwt_free(struct sl_view *v);

#endif
