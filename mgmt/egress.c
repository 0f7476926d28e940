#include "mgmt/egress.h"

/* The first plen bits are the same. */
static bool
within(const struct sl_addr *a, const struct sl_addr *prefix, uint32_t plen)
{
	uint32_t bytes = plen / 8, bits = plen % 8;

	if (plen > 128 || memcmp(a->b, prefix->b, bytes))
		return false;
	return bits == 0 || (a->b[bytes] ^ prefix->b[bytes]) >> (8 - bits) == 0;
}

/* The own address whose prefix has `to`, the longest; NULL: none. */
static const struct sl_conf_address *
on_link(const struct sl_conf *c, const struct sl_addr *to)
{
	const struct sl_conf_address *best = NULL;

	for (uint32_t i = 0; i < c->address_cnt; i++) {
		const struct sl_conf_address *a = &c->addresses[i];
		if (sl_addr_is_v4(&a->addr) == sl_addr_is_v4(to) && within(to, &a->addr, a->plen) &&
		    (!best || a->plen > best->plen))
			best = a;
	}
	return best;
}

const char *
sl_egress_port(const struct sl_conf *c, const struct sl_addr *to)
{
	const struct sl_conf_address *link = on_link(c, to);
	const struct sl_conf_route *best = NULL;

	for (uint32_t i = 0; i < c->route_cnt; i++) {
		const struct sl_conf_route *r = &c->routes[i];
		if (sl_addr_is_v4(&r->via) == sl_addr_is_v4(to) &&
		    within(to, &r->prefix, r->plen) && (!best || r->plen > best->plen))
			best = r;
	}
	if (best && (!link || best->plen > link->plen))
		link = on_link(c, &best->via);
	return link ? link->port : NULL;
}
