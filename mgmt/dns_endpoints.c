#include "mgmt/dns_endpoints.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- what is left out ---- */

static void leave_out(struct sl_dns_endpoints *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Counted; the first is named. */
static void
leave_out(struct sl_dns_endpoints *e, const char *fmt, ...)
{
	va_list ap;

	if (e->left_out++ > 0)
		return;
	va_start(ap, fmt);
	vsnprintf(e->note, sizeof(e->note), fmt, ap);
	va_end(ap);
}

/* One more, or NULL: left out. */
static struct sl_source_endpoint *
add(struct sl_dns_endpoints *e, const struct sl_addr *addr, const char *target)
{
	char text[SL_ADDR_STRLEN];

	sl_addr_format(addr, text);
	if (!sl_addr_src_ok(addr)) {
		leave_out(e, "%s%s%s is no address that an endpoint can have", target,
			  *target ? ": " : "", text);
		return NULL;
	}
	if (e->cnt == SL_MAX_SERVICE_ENDPOINTS) {
		leave_out(e, "%s%s%s is one more than any service can have", target,
			  *target ? ": " : "", text);
		return NULL;
	}
	struct sl_source_endpoint *one = &e->list[e->cnt++];
	memset(one, 0, sizeof(*one));
	one->addr = *addr;
	one->weight = UINT16_MAX;
	one->percent = 100;
	return one;
}

static int
make_room(struct sl_dns_endpoints *e, uint64_t cnt)
{
	*e = (struct sl_dns_endpoints){0};
	cnt = SL_MIN(cnt, (uint64_t)SL_MAX_SERVICE_ENDPOINTS);
	e->list = malloc((size_t)(cnt + 1) * sizeof(*e->list));
	return e->list ? 0 : -ENOMEM;
}

/* ---- order ---- */

static int
by_name(const void *a, const void *b)
{
	const struct sl_source_endpoint *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int
by_place(const void *a, const void *b)
{
	const struct sl_source_endpoint *x = a, *y = b;
	int d = sl_addr_cmp(&x->addr, &y->addr);

	if (d == 0 && x->port != y->port)
		d = x->port < y->port ? -1 : 1;
	return d ? d : by_name(a, b);
}

/* Of two at one place the one of better priority stays, else the one whose name comes first. */
static void
put_in_order(struct sl_dns_endpoints *e)
{
	uint32_t n = 0;

	qsort(e->list, e->cnt, sizeof(*e->list), by_place);
	for (uint32_t i = 0; i < e->cnt; i++) {
		const struct sl_source_endpoint *one = &e->list[i];
		if (n && sl_addr_eq(&one->addr, &e->list[n - 1].addr) &&
		    one->port == e->list[n - 1].port)
			leave_out(e, "%s is %s, too", one->name, e->list[n - 1].name);
		else
			e->list[n++] = *one;
	}
	e->cnt = n;
	qsort(e->list, e->cnt, sizeof(*e->list), by_name);
}

/* ---- addresses ---- */

int
sl_dns_endpoints_addrs(const struct sl_addr *addrs, uint32_t cnt, uint16_t port,
		       struct sl_dns_endpoints *ret)
{
	struct sl_dns_endpoints e;

	if (make_room(&e, cnt))
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt; i++) {
		struct sl_source_endpoint *one = add(&e, &addrs[i], "");
		if (one)
			sl_source_name_addr(&one->addr, port, one->name);
	}
	put_in_order(&e);
	*ret = e;
	return 0;
}

/* ---- SRV ---- */

static int
by_priority(const void *a, const void *b)
{
	const struct sl_dns_srv *x = a, *y = b;
	int d = strcmp(x->target, y->target);

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (d == 0 && x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (d == 0 && x->weight != y->weight)
		return x->weight < y->weight ? 1 : -1;
	return d;
}

/* What a weight becomes among those of one priority. */
struct scale {
	uint16_t most;
	bool zeros;
};

static uint16_t
scaled(const struct scale *s, uint16_t weight)
{
	if (s->most == 0)
		return 1;
	if (s->most <= SL_MAX_WEIGHT && !s->zeros)
		return weight;
	uint32_t w = ((uint32_t)weight * SL_MAX_WEIGHT + s->most / 2) / s->most;
	return (uint16_t)SL_MAX(w, 1u);
}

/* The records of one priority: how many, and their scale. */
static uint32_t
measure(const struct sl_dns_srv *srvs, uint32_t cnt, struct scale *ret)
{
	uint32_t n = 0;

	*ret = (struct scale){0};
	for (; n < cnt && srvs[n].priority == srvs[0].priority; n++) {
		ret->most = SL_MAX(ret->most, srvs[n].weight);
		ret->zeros |= srvs[n].weight == 0;
	}
	return n;
}

static int
compare_target(const void *key, const void *target)
{
	return strcmp(key, ((const struct sl_dns_target *)target)->host);
}

/* "web1.example-192.0.2.1-80" */
static void
name_of(const struct sl_dns_srv *srv, const struct sl_addr *addr, char ret_name[SL_NAME_MAX])
{
	char place[SL_NAME_MAX], text[SL_DNS_HOST_MAX + SL_NAME_MAX + 1];

	sl_source_name_addr(addr, srv->port, place);
	int n = snprintf(text, sizeof(text), "%s-%s", srv->target, place);
	sl_source_name(text, (size_t)n, ret_name);
}

static void
add_srv(struct sl_dns_endpoints *e, const struct sl_dns_srv *srv, const struct sl_dns_target *t,
	unsigned priority, uint16_t weight)
{
	if (priority > SL_MAX_PRIORITY) {
		leave_out(e, "%s has the priority %u, behind %d others", srv->target, srv->priority,
			  SL_MAX_PRIORITY + 1);
		return;
	}
	if (!*srv->target) { /* an answer, and nothing that is left out */
		if (!e->note[0])
			snprintf(e->note, sizeof(e->note),
				 "DNS says that there is no such service (target \".\")");
		return;
	}
	if (srv->port == 0 || !t || t->addr_cnt == 0) {
		leave_out(e, "%s has no %s", srv->target, srv->port == 0 ? "port" : "address");
		return;
	}
	for (uint32_t i = 0; i < t->addr_cnt; i++) {
		struct sl_source_endpoint *one = add(e, &t->addrs[i], srv->target);
		if (!one)
			continue;
		one->port = srv->port;
		one->priority = (uint8_t)priority;
		one->weight = weight;
		name_of(srv, &one->addr, one->name);
	}
}

static const struct sl_dns_target *
find_target(const char *host, const struct sl_dns_target *targets, uint32_t cnt)
{
	return cnt ? bsearch(host, targets, cnt, sizeof(*targets), compare_target) : NULL;
}

int
sl_dns_endpoints_srv(struct sl_dns_srv *srvs, uint32_t srv_cnt, const struct sl_dns_target *targets,
		     uint32_t target_cnt, struct sl_dns_endpoints *ret)
{
	struct sl_dns_endpoints e;
	struct scale scale;
	uint64_t room = 0;
	unsigned priority = 0;

	if (srv_cnt)
		qsort(srvs, srv_cnt, sizeof(*srvs), by_priority);
	for (uint32_t i = 0; i < srv_cnt; i++) {
		const struct sl_dns_target *t = find_target(srvs[i].target, targets, target_cnt);
		room += t ? t->addr_cnt : 0;
	}
	if (make_room(&e, room))
		return -ENOMEM;
	for (uint32_t i = 0, n; i < srv_cnt; i += n, priority++) {
		n = measure(srvs + i, srv_cnt - i, &scale);
		for (uint32_t k = i; k < i + n; k++)
			add_srv(&e, &srvs[k], find_target(srvs[k].target, targets, target_cnt),
				priority, scaled(&scale, srvs[k].weight));
	}
	put_in_order(&e);
	*ret = e;
	return 0;
}

/* ---- */

void
sl_dns_endpoints_fini(struct sl_dns_endpoints *e)
{
	free(e->list);
	*e = (struct sl_dns_endpoints){0};
}

bool
sl_dns_endpoints_same(const struct sl_dns_endpoints *a, const struct sl_dns_endpoints *b)
{
	return a->cnt == b->cnt && a->left_out == b->left_out && strcmp(a->note, b->note) == 0 &&
	       (a->cnt == 0 || memcmp(a->list, b->list, a->cnt * sizeof(*a->list)) == 0);
}
