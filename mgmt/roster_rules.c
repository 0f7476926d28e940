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
	r->wide = malloc((c->listener_cnt + 1u) * sizeof(*r->wide));
	r->kept = calloc(c->service_cnt + 1u, sizeof(*r->kept));
	if (!r->own || !r->vips || !r->sources || !r->wide || !r->kept ||
	    sl_conf_link(c, &r->links))
		return -ENOMEM;
	collect(r);
	return 0;
}

void
sl_roster_rules_fini(struct sl_roster_rules *r)
{
	sl_conf_links_fini(&r->links);
	free(r->own);
	free(r->vips);
	free(r->sources);
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

/* As check.c: dsr ends at the first router. */
static bool
out_of_reach(const struct sl_roster_rules *r, uint32_t i, const struct sl_addr *addr)
{
	bool have = false;

	if (r->c->services[i].forward != SL_FORWARD_DSR)
		return false;
	for (uint32_t a = 0; a < r->c->address_cnt; a++) {
		const struct sl_conf_address *own = &r->c->addresses[a];
		if (family_of(&own->addr) != family_of(addr))
			continue;
		if (sl_addr_in(addr, &own->addr, own->plen))
			return false;
		have = true;
	}
	return have;
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
	if (out_of_reach(r, i, addr))
		return "its address is not on-link, as dsr needs";
	if (other_port(r, i, port))
		return "its port is not the listener's, which the service's forward keeps";
	if (!port && h->type != SL_HEALTH_NONE && !h->port)
		return "it has no port to probe: give the question a port, or health.port";
	return NULL;
}
