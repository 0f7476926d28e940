/* check_priv — what check.c, check_listener.c, check_members.c, check_routes.c and check_tls.c have in common. */
#ifndef SL_MGMT_CHECK_PRIV_H
#define SL_MGMT_CHECK_PRIV_H

#include "mgmt/conf.h"

#include <stdarg.h>
#include <stdio.h>

struct check {
	const char *file;
	const struct sl_conf *c;
	struct sl_diag *diag;
	struct sl_conf_links links;
	struct sl_addr *own;       /* [own_cnt] addresses of the gateway, sorted */
	struct sl_addr *vips;      /* [vip_cnt] listeners' single addresses, sorted */
	struct sl_addr *sources;   /* [source_cnt] of all services, sorted */
	struct sl_addr *endpoints; /* [endpoint_cnt] of all services, sorted */
	uint32_t own_cnt, vip_cnt, source_cnt, endpoint_cnt;
	uint32_t table, vhost; /* check_routes.c: where it is */
	bool table_lost;       /* as the next one */
	bool service_lost; /* a service has no readable name: a dead reference may be its echo */
	bool bad;
	bool oom;
	char path[128];
};

/* check_listener.c: names, places, services, modes and addresses of all listeners. */
void sl_check_listeners(struct check *k);
/* check_routes.c: route tables, their virtual hosts and routes. */
void sl_check_tables(struct check *k);
/* check_policy.c: what tables, hosts and routes name of policy is there, and not too much comes together. */
void sl_check_policies(struct check *k);
/* check_tls.c: TLS of listeners and services, server names, and warnings. */
void sl_check_tls(struct check *k);

/* check_members.c: a service's subsets, its questions to sources, panic.  subset_of: that there is a subset of the name, for the key at
 * k->path.  family_asked: of which family its questions ask for, 0: of any.  warn: what is
 * allowed, and hardly meant. */
void sl_check_members(struct check *k, uint32_t service);
void sl_check_members_warn(struct check *k);
void sl_check_subset_of(struct check *k, const struct sl_conf_service *s, const char *name,
			int line);
uint8_t sl_check_family_asked(const struct sl_conf_service *s);

/* sl_check_out_of_place tells a key of the service that is given, but goes `with` something else only. */
void sl_check_out_of_place(struct check *k, uint32_t service, const char *key, bool given,
			   const char *with);

/* sl_check_find_service: the index of the service of the name, or UINT32_MAX; order: by name. */
uint32_t sl_check_find_service(const struct sl_conf *c, const uint32_t *order, const char *name);

/* sl_check_order gives the indices of n elements in the order of cmp, ties by index; NULL: out of memory. */
typedef int cmp_fn(const void *a, const void *b);
uint32_t *sl_check_order(const void *base, uint32_t n, size_t size, cmp_fn *cmp);

/* sl_check_twins calls found(first, later) for every element that equals an earlier one. */
typedef void twin_fn(struct check *k, uint32_t owner, uint32_t first, uint32_t later);
void sl_check_twins(struct check *k, uint32_t owner, const void *base, uint32_t n, size_t size,
		    cmp_fn *cmp, twin_fn *found);

/* at: the path of the problems that are told next.  tell: one problem. */
static inline void at(struct check *k, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline void
at(struct check *k, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->path, sizeof(k->path), fmt, ap);
	va_end(ap);
}

static inline void tell(struct check *k, int line, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static inline void
tell(struct check *k, int line, const char *hint, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(k->diag, k->file, line, k->path[0] ? k->path : NULL, hint, "%s", text);
	k->bad = true;
}

static inline bool
unset(const struct sl_addr *a)
{
	static const struct sl_addr none;
	return sl_addr_eq(a, &none);
}

static inline uint8_t
family_of(const struct sl_addr *a)
{
	return unset(a) ? 0 : sl_addr_is_v4(a) ? 4 : 6;
}

static inline const char *
text_of(const struct sl_addr *a)
{
	static _Thread_local char buf[SL_ADDR_STRLEN];
	return sl_addr_format(a, buf);
}

#endif
