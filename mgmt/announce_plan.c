/* The file: two protocols, whose names bird.conf may refer to, and a route for each VIP.
 *
 *   # sluiced writes this file …
 *   protocol static sluice_vip4 {
 *           ipv4;
 *           route 203.0.113.10/32 blackhole;
 *   }
 *   protocol static sluice_vip6 { … } */
#include "mgmt/announce_plan.h"

#include "mgmt/check_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define HEAD "# sluiced writes this file, and writes it anew: what is edited here is lost.\n"
#define ROUTE "\troute "
#define ROUTE_END " blackhole;"
#define ROW_MAX (SL_ADDR_STRLEN + 32) /* bytes of a route's line, at most */

/* ---- VIPs of a table ---- */

static int
vip_cmp(const void *a, const void *b)
{
	const struct sl_announce_vip *x = a, *y = b;
	int c = sl_addr_cmp(&x->addr, &y->addr);

	return c ? c : (x->plen > y->plen) - (x->plen < y->plen);
}

static struct sl_announce_vip *
find(struct sl_announce_vip *vips, uint32_t cnt, const struct sl_announce_vip *like)
{
	return cnt ? bsearch(like, vips, cnt, sizeof(*like), vip_cmp) : NULL;
}

/* The services of one VIP after the other, each once. */
struct gather {
	const struct sl_conf *c;
	const struct sl_conf_links *links;
	uint32_t *out, cnt, room;
	uint32_t *seen; /* [service_cnt]: the last VIP that took it, + 1 */
	uint32_t vip;
	bool failed;
};

static void
gather_one(struct gather *g, uint32_t service)
{
	if (service == UINT32_MAX || g->seen[service] == g->vip + 1 || g->failed)
		return;
	if (g->cnt == g->room) {
		uint32_t room = g->room ? 2 * g->room : 64;
		uint32_t *more = realloc(g->out, room * sizeof(*more));
		if (!more) {
			g->failed = true;
			return;
		}
		g->out = more;
		g->room = room;
	}
	g->seen[service] = g->vip + 1;
	g->out[g->cnt++] = service;
}

/* False: no route of the table sends requests anywhere. */
static bool
gather_table(struct gather *g, const struct sl_conf_table *t)
{
	bool any = false;

	for (uint32_t i = 0; i < t->vhost_cnt; i++)
		for (uint32_t k = 0; k < t->vhosts[i].route_cnt; k++) {
			const struct sl_conf_hroute *r = &t->vhosts[i].routes[k];
			for (uint32_t n = 0; n < r->target_cnt; n++) {
				gather_one(g, sl_check_find_service(g->c, g->links->service_order,
								    r->targets[n].service));
				any = true;
			}
		}
	return any;
}

static void
gather_listener(struct gather *g, uint32_t listener, struct sl_announce_vip *v)
{
	const struct sl_conf_listener *l = &g->c->listeners[listener];
	uint32_t table = g->links->listener_table[listener];

	v->policy = SL_MAX(v->policy, l->announce);
	if (l->announce != SL_ANNOUNCE_HEALTHY)
		return;
	gather_one(g, g->links->listener_service[listener]);
	for (uint32_t i = 0; i < l->sni_cnt; i++)
		gather_one(g, g->links->sni_service[g->links->sni_first[listener] + i]);
	if (table != UINT32_MAX && !gather_table(g, &g->c->tables[table]))
		v->by_itself = true;
}

/* Listeners that announce, so that those of one VIP stand together. */
static int
listener_cmp(const void *a, const void *b, void *ctx)
{
	const struct sl_conf_listener *l = ctx, *x = &l[*(const uint32_t *)a],
				      *y = &l[*(const uint32_t *)b];
	int c = sl_addr_cmp(&x->addr, &y->addr);

	return c ? c : (x->plen > y->plen) - (x->plen < y->plen);
}

static uint32_t *
announcing(const struct sl_conf *c, uint32_t *ret_cnt)
{
	uint32_t *order = calloc(c->listener_cnt + 1u, sizeof(*order)), n = 0;

	for (uint32_t i = 0; order && i < c->listener_cnt; i++)
		if (c->listeners[i].announce > SL_ANNOUNCE_NEVER)
			order[n++] = i;
	if (order)
		qsort_r(order, n, sizeof(*order), listener_cmp, c->listeners);
	*ret_cnt = n;
	return order;
}

/* VIPs of the table into p, which has room for its listeners. */
static void
gather_vips(struct gather *g, struct sl_announce_plan *p, const uint32_t *order, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		const struct sl_conf_listener *l = &g->c->listeners[order[i]];
		struct sl_announce_vip *v = p->cnt ? &p->vips[p->cnt - 1] : NULL;
		if (!v || v->plen != l->plen || !sl_addr_eq(&v->addr, &l->addr)) {
			g->vip = p->cnt;
			v = &p->vips[p->cnt++];
			*v = (struct sl_announce_vip){
				.addr = l->addr, .plen = l->plen, .first = g->cnt};
		}
		gather_listener(g, order[i], v);
		v->cnt = g->cnt - v->first;
	}
}

/* What became of VIPs in old goes on; those that are announced and in no table any more are kept behind the others. */
static void
go_on(struct sl_announce_plan *p, struct sl_announce_plan *old)
{
	uint32_t cnt = p->cnt;

	for (uint32_t i = 0; i < old->cnt; i++) {
		const struct sl_announce_vip *o = &old->vips[i];
		struct sl_announce_vip *v = find(p->vips, cnt, o);
		if (v) {
			v->announced = o->announced;
			v->told = o->told;
			v->was = o->was;
			v->wanted = o->wanted;
			v->wanted_ms = o->wanted_ms;
			v->changed_ms = o->changed_ms;
			v->why = o->why;
		} else if (o->announced) {
			v = &p->vips[p->cnt++];
			*v = *o;
			v->policy = SL_ANNOUNCE_NONE;
			v->by_itself = false;
			v->first = v->cnt = 0;
		}
	}
	qsort(p->vips, p->cnt, sizeof(*p->vips), vip_cmp);
}

static int
plan_of(const struct sl_conf *c, uint32_t room, struct sl_announce_plan *p)
{
	struct sl_conf_links links;
	struct gather g = {.c = c, .links = &links};
	uint32_t cnt;

	if (sl_conf_link(c, &links))
		return -ENOMEM;
	uint32_t *order = announcing(c, &cnt);
	g.seen = calloc(c->service_cnt + 1u, sizeof(*g.seen));
	p->vips = calloc(cnt + room + 1u, sizeof(*p->vips));
	bool ok = order && g.seen && p->vips;
	if (ok)
		gather_vips(&g, p, order, cnt);
	free(order);
	free(g.seen);
	sl_conf_links_fini(&links);
	p->service = g.out;
	return ok && !g.failed ? 0 : -ENOMEM;
}

int
sl_announce_plan_set(struct sl_announce_plan *p, const struct sl_conf *c)
{
	static const struct sl_conf none;
	struct sl_announce_plan next = {0};

	if (plan_of(c ? c : &none, p->cnt, &next)) {
		sl_announce_plan_fini(&next);
		return -ENOMEM;
	}
	go_on(&next, p);
	sl_announce_plan_fini(p);
	*p = next;
	return 0;
}

void
sl_announce_plan_fini(struct sl_announce_plan *p)
{
	free(p->vips);
	free(p->service);
	*p = (struct sl_announce_plan){0};
}

/* ---- what is wanted ---- */

enum want { NO, AS_IT_IS, YES };

static enum want
judge(const struct sl_announce_plan *p, const struct sl_announce_vip *v,
      const struct sl_announce_facts *f, const char **ret_why)
{
	uint8_t best = SL_ANNOUNCE_DEAD;

	if (v->policy <= SL_ANNOUNCE_NEVER)
		return *ret_why = "no listener of the table wants it", NO;
	if (f->drained)
		return *ret_why = "the gateway is drained", NO;
	if (f->not_serving)
		return *ret_why = f->not_serving, NO;
	if (v->policy == SL_ANNOUNCE_ALWAYS)
		return *ret_why = "always", YES;
	if (v->by_itself)
		return *ret_why = "its route table answers by itself", YES;
	for (uint32_t i = 0; i < v->cnt; i++)
		best = SL_MAX(best, f->health[p->service[v->first + i]]);
	if (best == SL_ANNOUNCE_ALIVE)
		return *ret_why = "a service has an endpoint that takes new flows", YES;
	if (best == SL_ANNOUNCE_UNKNOWN)
		return *ret_why = "no endpoint has been probed yet", AS_IT_IS;
	return *ret_why = "no endpoint takes new flows", NO;
}

/* One VIP; true: announced has changed. */
static bool
step(struct sl_announce_vip *v, enum want want, uint64_t now_ms, uint32_t settle_ms,
     uint64_t *next_ms)
{
	bool wanted = want == YES || (want == AS_IT_IS && v->announced);

	if (wanted && !v->wanted)
		v->wanted_ms = now_ms;
	v->wanted = wanted;
	uint64_t due = v->was ? v->wanted_ms + settle_ms : v->wanted_ms;
	if (wanted && !v->announced && now_ms < due) {
		v->why = "it was withdrawn: it comes back when it has settled";
		*next_ms = SL_MIN(*next_ms, due);
		return false;
	}
	if (wanted == v->announced)
		return false;
	v->announced = wanted;
	v->was = !wanted;
	v->changed_ms = now_ms;
	return true;
}

bool
sl_announce_plan_step(struct sl_announce_plan *p, const struct sl_announce_facts *f,
		      uint64_t now_ms, uint32_t settle_ms, uint64_t *ret_next_ms,
		      bool *ret_withdrawn)
{
	uint64_t next_ms = UINT64_MAX;
	bool changed = false, withdrawn = false;

	for (uint32_t i = 0; i < p->cnt; i++) {
		struct sl_announce_vip *v = &p->vips[i];
		enum want want = judge(p, v, f, &v->why);
		if (!step(v, want, now_ms, settle_ms, &next_ms))
			continue;
		changed = true;
		withdrawn = withdrawn || !v->announced;
	}
	*ret_next_ms = next_ms;
	*ret_withdrawn = withdrawn;
	return changed;
}

void
sl_announce_plan_prune(struct sl_announce_plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->cnt; i++)
		if (p->vips[i].policy != SL_ANNOUNCE_NONE || p->vips[i].announced)
			p->vips[n++] = p->vips[i];
	p->cnt = n;
}

uint32_t
sl_announce_plan_cnt(const struct sl_announce_plan *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->cnt; i++)
		n += p->vips[i].announced;
	return n;
}

/* ---- the file ---- */

static bool
is_v4(const struct sl_announce_vip *v)
{
	return sl_addr_is_v4(&v->addr) && v->plen >= 96;
}

static size_t
put_protocol(const struct sl_announce_plan *p, bool v4, char *to, size_t room)
{
	char addr[SL_ADDR_STRLEN];
	int family = v4 ? 4 : 6;
	size_t n = (size_t)snprintf(to, room, "protocol static sluice_vip%d {\n\tipv%d;\n", family,
				    family);

	for (uint32_t i = 0; i < p->cnt; i++) {
		const struct sl_announce_vip *v = &p->vips[i];
		if (v->announced && is_v4(v) == v4)
			n += (size_t)snprintf(to + n, room - n, ROUTE "%s/%u" ROUTE_END "\n",
					      sl_addr_format(&v->addr, addr),
					      v4 ? v->plen - 96 : v->plen);
	}
	return n + (size_t)snprintf(to + n, room - n, "}\n");
}

int
sl_announce_text(const struct sl_announce_plan *p, char **ret_text, size_t *ret_len)
{
	size_t room = sizeof(HEAD) + 256 + (size_t)p->cnt * ROW_MAX;
	char *text = malloc(room);

	if (!text)
		return -ENOMEM;
	size_t n = (size_t)snprintf(text, room, HEAD);
	n += put_protocol(p, true, text + n, room - n);
	n += put_protocol(p, false, text + n, room - n);
	*ret_text = text;
	*ret_len = n;
	return 0;
}

bool
sl_announce_text_ours(const char *text, size_t len)
{
	return len >= sizeof(HEAD) - 1 && memcmp(text, HEAD, sizeof(HEAD) - 1) == 0;
}

/* A line of the file: 1 with a VIP, 0 without, -1: not one of ours. */
static int
read_line(const char *line, size_t len, struct sl_announce_vip *v)
{
	static const char *const others[] = {"protocol static sluice_vip4 {", "\tipv4;", "}",
					     "protocol static sluice_vip6 {", "\tipv6;"};
	const size_t head = sizeof(ROUTE) - 1, end = sizeof(ROUTE_END) - 1;
	char prefix[ROW_MAX] = "";
	unsigned plen;

	for (unsigned i = 0; i < SL_ARRAY_CNT(others); i++)
		if (len == strlen(others[i]) && memcmp(line, others[i], len) == 0)
			return 0;
	if (len <= head + end || len - head - end >= sizeof(prefix) || memcmp(line, ROUTE, head) ||
	    memcmp(line + len - end, ROUTE_END, end))
		return -1;
	memcpy(prefix, line + head, len - head - end);
	if (strlen(prefix) != len - head - end || sl_addr_parse_prefix(prefix, &v->addr, &plen))
		return -1;
	v->plen = plen;
	return 1;
}

int
sl_announce_plan_read(struct sl_announce_plan *p, const char *text, size_t len)
{
	const size_t head = sizeof(HEAD) - 1;
	struct sl_announce_plan next = {0};
	uint32_t room = 1;

	for (size_t i = 0; i < len; i++)
		room += text[i] == '\n';
	next.vips = calloc(room, sizeof(*next.vips));
	if (!next.vips)
		return -ENOMEM;
	bool ok = sl_announce_text_ours(text, len);
	for (size_t at = head; ok && at < len;) {
		const char *nl = memchr(text + at, '\n', len - at);
		struct sl_announce_vip v = {.announced = true, .wanted = true};
		int got = nl ? read_line(text + at, (size_t)(nl - text) - at, &v) : -1;
		if (got > 0)
			next.vips[next.cnt++] = v;
		ok = got >= 0;
		at = nl ? (size_t)(nl - text) + 1 : len;
	}
	qsort(next.vips, next.cnt, sizeof(*next.vips), vip_cmp);
	for (uint32_t i = 1; i < next.cnt; i++)
		ok = ok && vip_cmp(&next.vips[i - 1], &next.vips[i]) != 0;
	if (!ok) {
		sl_announce_plan_fini(&next);
		return -EINVAL;
	}
	*p = next;
	return 0;
}
