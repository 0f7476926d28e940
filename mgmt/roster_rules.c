/* The addresses that others may not have are sorted once for a table and searched for each endpoint; prefixes of listeners
 * are few, and tried in turn. */
#include "mgmt/roster_rules.h"

#include <errno.h>
#include <stdlib.h>

static int
addr_order(const void *a, const void *b)
{
	return sl_addr_cmp(a, b);
}

static bool
among(const struct sl_addr *a, const struct sl_addr *sorted, uint32_t n)
{
	return n && bsearch(a, sorted, n, sizeof(*a), addr_order) != NULL;
}

static uint8_t
family_of(const struct sl_addr *a)
{
	static const struct sl_addr none;

	return sl_addr_eq(a, &none) ? 0 : sl_addr_is_v4(a) ? 4 : 6;
}

static int
way_order(const void *a, const void *b)
{
	const struct sl_roster_way *x = a, *y = b;

	if (x->plen != y->plen)
		return x->plen > y->plen ? -1 : 1;
	return (int)y->link - (int)x->link;
}

/* The prefix that leads to addr, or NULL. */
static const struct sl_roster_way *
way_to(const struct sl_roster_rules *r, const struct sl_addr *addr)
{
	for (uint32_t i = 0; i < r->way_cnt; i++)
		if (sl_addr_is_v4(&r->ways[i].prefix) == sl_addr_is_v4(addr) &&
		    sl_addr_in(addr, &r->ways[i].prefix, r->ways[i].plen))
			return &r->ways[i];
	return NULL;
}

/* Networks of the gateway's addresses; then routes, by the network that their next hop is in. */
static void
collect_ways(struct sl_roster_rules *r)
{
	const struct sl_conf *c = r->c;

	for (uint32_t i = 0; i < c->address_cnt; i++)
		r->ways[r->way_cnt++] =
			(struct sl_roster_way){c->addresses[i].addr, c->addresses[i].plen, i, true};
	qsort(r->ways, r->way_cnt, sizeof(*r->ways), way_order);
	uint32_t links = r->way_cnt;
	for (uint32_t i = 0; i < c->route_cnt; i++) {
		uint32_t all = r->way_cnt;
		r->way_cnt = links;
		const struct sl_roster_way *via = way_to(r, &c->routes[i].via);
		r->way_cnt = all;
		if (via)
			r->ways[r->way_cnt++] = (struct sl_roster_way){
				c->routes[i].prefix, c->routes[i].plen, via->address, false};
	}
	qsort(r->ways, r->way_cnt, sizeof(*r->ways), way_order);
}

static void
collect(struct sl_roster_rules *r)
{
	const struct sl_conf *c = r->c;

	for (uint32_t i = 0; i < c->address_cnt; i++)
		r->own[r->own_cnt++] = c->addresses[i].addr;
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		const struct sl_conf_listener *l = &c->listeners[i];
		uint32_t s = r->links.listener_service[i];
		if (l->plen == 128)
			r->vips[r->vip_cnt++] = l->addr;
		else
			r->wide[r->wide_cnt++] = i;
		if (s == UINT32_MAX)
			continue;
		uint16_t *kept = r->kept[s];
		kept[0] = kept[0] ? SL_MIN(kept[0], l->port) : l->port;
		kept[1] = SL_MAX(kept[1], l->port_last);
	}
	for (uint32_t i = 0; i < c->service_cnt; i++)
		for (uint32_t k = 0; k < c->services[i].source_cnt; k++)
			r->sources[r->source_cnt++] = c->services[i].sources[k];
	qsort(r->own, r->own_cnt, sizeof(*r->own), addr_order);
	qsort(r->vips, r->vip_cnt, sizeof(*r->vips), addr_order);
	qsort(r->sources, r->source_cnt, sizeof(*r->sources), addr_order);
}

int
sl_roster_rules_make(struct sl_roster_rules *r, const struct sl_conf *c)
{
	size_t sources = 0;

	*r = (struct sl_roster_rules){.c = c};
	for (uint32_t i = 0; i < c->service_cnt; i++)
		sources += c->services[i].source_cnt;
	r->own = malloc((c->address_cnt + 1u) * sizeof(*r->own));
	r->vips = malloc((c->listener_cnt + 1u) * sizeof(*r->vips));
	r->sources = malloc((sources + 1) * sizeof(*r->sources));
	r->ways = malloc((c->address_cnt + c->route_cnt + 1u) * sizeof(*r->ways));
	r->wide = malloc((c->listener_cnt + 1u) * sizeof(*r->wide));
	r->kept = calloc(c->service_cnt + 1u, sizeof(*r->kept));
	if (!r->own || !r->vips || !r->sources || !r->ways || !r->wide || !r->kept ||
	    sl_conf_link(c, &r->links))
		return -ENOMEM;
	collect(r);
	collect_ways(r);
	return 0;
}

void
sl_roster_rules_fini(struct sl_roster_rules *r)
{
	sl_conf_links_fini(&r->links);
	free(r->own);
	free(r->vips);
	free(r->sources);
	free(r->ways);
	free(r->wide);
	free(r->kept);
	*r = (struct sl_roster_rules){0};
}

uint8_t
sl_roster_rules_family(const struct sl_roster_rules *r, uint32_t i)
{
	const struct sl_conf_service *s = &r->c->services[i];
	bool either = s->forward == SL_FORWARD_PROXY || sl_forward_tunnels(s->forward);

	if (either && s->endpoint_cnt == 0 && s->source_cnt == 0 && !family_of(&s->tunnel))
		return 0;
	return r->links.family[i];
}

static bool
link_local(const struct sl_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* Whether packets of the gateway's own have an address to leave from: there has to be one that is good for more than the link. */
static bool
no_source(const struct sl_roster_rules *r, const struct sl_conf_service *s,
	  const struct sl_roster_way *w, const struct sl_addr *addr)
{
	const struct sl_conf_address *at = &r->c->addresses[w->address];
	bool own = (sl_forward_tunnels(s->forward) && s->tunnel_plen == 0) ||
		   (s->forward == SL_FORWARD_PROXY && s->source_cnt == 0);

	if (!own || sl_addr_is_v4(addr) || link_local(addr))
		return false;
	for (uint32_t i = 0; i < r->c->address_cnt; i++) {
		const struct sl_conf_address *a = &r->c->addresses[i];
		if (strcmp(a->port, at->port) == 0 && !sl_addr_is_v4(&a->addr) &&
		    !link_local(&a->addr))
			return false;
	}
	return true;
}

/* NULL, or why packets do not get there. */
static const char *
out_of_reach(const struct sl_roster_rules *r, uint32_t i, const struct sl_addr *addr)
{
	const struct sl_conf_service *s = &r->c->services[i];
	const struct sl_roster_way *w = way_to(r, addr);

	if (!w)
		return "there is no route to its address";
	if (!w->link && s->forward == SL_FORWARD_DSR)
		return "its address is not on-link, as dsr needs";
	if (no_source(r, s, w, addr))
		return "the gateway has no address to reach it from but link-local ones";
	return NULL;
}

static bool
other_port(const struct sl_roster_rules *r, uint32_t i, uint16_t port)
{
	const uint16_t *kept = r->kept[i];

	return sl_forward_keeps_port(r->c->services[i].forward) && port && kept[1] &&
	       (port != kept[0] || port != kept[1]);
}

const char *
sl_roster_rules_refuse(const struct sl_roster_rules *r, uint32_t i, const struct sl_addr *addr,
		       uint16_t port)
{
	const struct sl_health_conf *h = &r->c->services[i].health;
	uint8_t family = sl_roster_rules_family(r, i);

	if (!sl_addr_src_ok(addr))
		return "its address is none that a host on the network can have";
	if (family && family_of(addr) != family)
		return family == 4 ? "its address is not IPv4, as the service is"
				   : "its address is not IPv6, as the service is";
	if (among(addr, r->own, r->own_cnt))
		return "its address is the gateway's own";
	if (among(addr, r->sources, r->source_cnt))
		return "its address is a source of a service: the gateway's own";
	if (among(addr, r->vips, r->vip_cnt))
		return "its address is a listener's: packets would come back to the gateway";
	for (uint32_t k = 0; k < r->wide_cnt; k++) {
		const struct sl_conf_listener *l = &r->c->listeners[r->wide[k]];
		if (sl_addr_in(addr, &l->addr, l->plen))
			return "its address is within a listener's prefix";
	}
	const char *why = out_of_reach(r, i, addr);
	if (why)
		return why;
	if (other_port(r, i, port))
		return "its port is not the listener's, which the service's forward keeps";
	if (!port && h->type != SL_HEALTH_NONE && !h->port)
		return "it has no port to probe: give the question a port, or health.port";
	return NULL;
}
