/* What the keys of one listener cannot say: which packets it takes from others, which service serves it, what goes with
 * its mode. */
#include "mgmt/check_priv.h"

#include <stdlib.h>

/* ---- names and places ---- */

static int
listener_name_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_listener *)a)->name,
		      ((const struct sl_conf_listener *)b)->name);
}

static void
listener_name_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_listener *l = k->c->listeners;

	(void)owner;
	if (!l[later].name[0])
		return;
	at(k, "listeners[%u].name", later);
	tell(k, l[later].line, "names are distinct", "\"%s\" is the listener at line %d",
	     l[later].name, l[first].line);
}

/* Which of the three a listener is: a packet takes the first that fits (image.h). */
enum width { SINGLE, RANGE, ANY };
static enum width
width_of(const struct sl_conf_listener *l)
{
	return l->port == l->port_last                 ? SINGLE
	       : l->port == 1 && l->port_last == 65535 ? ANY
						       : RANGE;
}

/* Listeners that could meet stand together: of one prefix, protocol and width, by first port. */
static int
listener_group_order(const void *a, const void *b)
{
	const struct sl_conf_listener *x = a, *y = b;
	int d = sl_addr_cmp(&x->addr, &y->addr);

	if (!d)
		d = (x->plen > y->plen) - (x->plen < y->plen);
	if (!d)
		d = (int)x->proto - (int)y->proto;
	return d ? d : (int)width_of(x) - (int)width_of(y);
}

static int
listener_place_order(const void *a, const void *b)
{
	const struct sl_conf_listener *x = a, *y = b;
	int d = listener_group_order(a, b);

	return d ? d : (x->port > y->port) - (x->port < y->port);
}

static void
listeners_meet(struct check *k, uint32_t i, uint32_t j)
{
	uint32_t first = SL_MIN(i, j), later = SL_MAX(i, j);
	const struct sl_conf_listener *a = &k->c->listeners[first], *b = &k->c->listeners[later];
	char prefix[SL_PREFIX_STRLEN], ports[2][SL_PORTS_STRLEN];
	const char *proto = b->proto == SL_IPPROTO_TCP ? "tcp" : "udp";

	sl_prefix_format(&b->addr, b->plen, prefix);
	sl_ports_format(b->port, b->port_last, ports[0]);
	sl_ports_format(a->port, a->port_last, ports[1]);
	at(k, "listeners[%u].address", later);
	if (strcmp(ports[0], ports[1]) == 0)
		tell(k, b->line, "a packet has one listener",
		     "%s port %s %s is listener \"%s\" at line %d", prefix, ports[0], proto,
		     a->name, a->line);
	else
		tell(k, b->line, "a packet has one listener",
		     "%s ports %s %s overlap ports %s of listener \"%s\" at line %d", prefix,
		     ports[0], proto, ports[1], a->name, a->line);
}

/* One pass over the sorted ones: `reach` is the listener that goes furthest up in its group. */
static void
check_places(struct check *k)
{
	const struct sl_conf_listener *l = k->c->listeners;
	uint32_t n = k->c->listener_cnt, reach = UINT32_MAX;
	uint32_t *idx = sl_check_order(l, n, sizeof(*l), listener_place_order);

	if (!idx) {
		k->oom = true;
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct sl_conf_listener *x = &l[idx[i]];
		if (unset(&x->addr) || !x->port || !x->proto)
			continue;
		bool together = reach != UINT32_MAX && listener_group_order(&l[reach], x) == 0;
		if (together && x->port <= l[reach].port_last)
			listeners_meet(k, reach, idx[i]);
		if (!together || x->port_last > l[reach].port_last)
			reach = idx[i];
	}
	free(idx);
}

/* The first of sorted addresses within the prefix, or NULL. */
static const struct sl_addr *
first_within(const struct sl_addr *sorted, uint32_t n, const struct sl_addr *prefix, uint32_t plen)
{
	uint32_t lo = 0, hi = n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (sl_addr_cmp(&sorted[mid], prefix) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && sl_addr_in(&sorted[lo], prefix, plen) ? &sorted[lo] : NULL;
}

/* The gateway answers for every address of the prefix.  Said once for a prefix; of a single address the endpoint's line
 * says it. */
static void
check_endpoints_within(struct check *k, uint32_t i)
{
	const struct sl_conf_listener *ls = k->c->listeners, *l = &ls[i];
	const struct sl_addr *e = first_within(k->endpoints, k->endpoint_cnt, &l->addr, l->plen);
	char prefix[SL_PREFIX_STRLEN];

	if (!e || l->plen == 128)
		return;
	for (uint32_t j = 0; j < i; j++)
		if (ls[j].plen == l->plen && sl_addr_eq(&ls[j].addr, &l->addr))
			return;
	tell(k, l->line, "give prefixes that leave it out", "%s holds %s, an endpoint of a service",
	     sl_prefix_format(&l->addr, l->plen, prefix), text_of(e));
}

static void
check_vip(struct check *k, uint32_t i)
{
	const struct sl_conf_listener *l = &k->c->listeners[i];
	const struct sl_addr *own, *source;
	char prefix[SL_PREFIX_STRLEN];

	if (unset(&l->addr))
		return;
	own = first_within(k->own, k->own_cnt, &l->addr, l->plen);
	source = first_within(k->sources, k->source_cnt, &l->addr, l->plen);
	sl_prefix_format(&l->addr, l->plen, prefix);
	at(k, "listeners[%u].address", i);
	if (own && l->plen == 128)
		tell(k, l->line, "a virtual address is not one of network.addresses",
		     "%s is the gateway's own address", prefix);
	else if (own)
		tell(k, l->line, "give prefixes that leave it out",
		     "%s holds %s, the gateway's own address", prefix, text_of(own));
	if (!own)
		check_endpoints_within(k, i);
	if (!source || own) /* its own address as a source, too: one mistake */
		return;
	const char *hint = "replies of endpoints would be taken for new packets";
	if (l->plen == 128)
		tell(k, l->line, hint, "%s is a source of a service", prefix);
	else
		tell(k, l->line, hint, "%s holds %s, a source of a service", prefix,
		     text_of(source));
}

static void
check_reference(struct check *k, uint32_t i)
{
	const struct sl_conf_listener *l = &k->c->listeners[i];
	uint32_t s = k->links.listener_service[i];

	if (l->mode == SL_MODE_HTTP) {
		if (!l->routes[0] || k->table_lost || k->links.listener_table[i] != UINT32_MAX)
			return;
		at(k, "listeners[%u].routes", i);
		tell(k, l->line, "name one of route_tables", "there is no route table \"%s\"",
		     l->routes);
		return;
	}
	if (s == UINT32_MAX) {
		if (k->service_lost || !l->service[0])
			return;
		at(k, "listeners[%u].service", i);
		tell(k, l->line, "name one of services", "there is no service \"%s\"", l->service);
		return;
	}
	if (!unset(&l->addr) && family_of(&l->addr) != k->links.family[s] &&
	    !sl_forward_mixes(k->c->services[s].forward)) {
		at(k, "listeners[%u].service", i);
		tell(k, l->line, "a listener and its service are of one family",
		     "the address is IPv%u, service \"%s\" is IPv%u", family_of(&l->addr),
		     l->service, k->links.family[s]);
	}
}

/* ---- what goes with the mode ---- */

static int
trusted_order(const void *a, const void *b)
{
	const struct sl_img_prefix *x = a, *y = b;
	int d = sl_addr_cmp(&x->prefix, &y->prefix);
	return d ? d : (x->plen > y->plen) - (x->plen < y->plen);
}

static void
trusted_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_listener *l = &k->c->listeners[owner];
	const struct sl_img_prefix *p = &l->trusted[later];
	char text[SL_PREFIX_STRLEN];

	if (p->plen > 128)
		return;
	at(k, "listeners[%u].trusted[%u]", owner, later);
	tell(k, l->line, "remove one of the two", "%s is trusted[%u] already",
	     sl_prefix_format(&p->prefix, p->plen, text), first);
}

static void
check_trusted(struct check *k, uint32_t i)
{
	const struct sl_conf_listener *l = &k->c->listeners[i];

	at(k, "listeners[%u].trusted", i);
	if (l->proxy_in && !l->trusted_cnt)
		tell(k, l->line, "say whose headers are believed: trusted = ( \"10.0.0.0/8\" )",
		     "is missing, or empty: proxy_protocol = true needs it");
	else if (!l->proxy_in && l->trusted_cnt)
		tell(k, l->line, "remove it, or give proxy_protocol = true",
		     "goes with proxy_protocol = true only");
	sl_check_twins(k, i, l->trusted, l->trusted_cnt, sizeof(*l->trusted), trusted_order,
		       trusted_twice);
}

static void
check_mode_keys(struct check *k, uint32_t i)
{
	const struct sl_conf_listener *l = &k->c->listeners[i];
	static const char hint[] = "remove it, or give the listener mode = \"tcp\"";

	if (l->mode && l->mode != SL_MODE_L4 && l->proto == SL_IPPROTO_UDP) {
		at(k, "listeners[%u].protocol", i);
		tell(k, l->line, "give protocol = \"tcp\", or mode = \"l4\"",
		     "mode \"%s\" is for connections: it has no protocol \"udp\"",
		     sl_mode_name(l->mode));
	}
	if (l->mode == SL_MODE_L4 && l->max_connections) {
		at(k, "listeners[%u].max_connections", i);
		tell(k, l->line, hint,
		     "goes with mode \"tcp\", \"http\" or \"tls-passthrough\" only");
	}
	if (l->mode == SL_MODE_L4 && l->client_max) {
		at(k, "listeners[%u].max_connections_per_client", i);
		tell(k, l->line, hint,
		     "goes with mode \"tcp\", \"http\" or \"tls-passthrough\" only");
	}
	if (l->mode == SL_MODE_L4 && (l->proxy_in || l->trusted_cnt)) {
		at(k, "listeners[%u].%s", i, l->proxy_in ? "proxy_protocol" : "trusted");
		tell(k, l->line, hint,
		     "goes with mode \"tcp\", \"http\" or \"tls-passthrough\" only");
	} else {
		check_trusted(k, i);
	}
}

/* Connections end at the gateway, and go on to one service. */
static bool
ends(const struct sl_conf_listener *l)
{
	return l->mode == SL_MODE_TCP || l->mode == SL_MODE_PASSTHROUGH;
}

/* Modes tcp and tls-passthrough and forward proxy go together.  first: of each service its first listener of mode l4 and of these
 * modes, counted from 1. */
static void
check_mode(struct check *k, uint32_t i, const uint32_t (*first)[2])
{
	const struct sl_conf_listener *l = &k->c->listeners[i];
	uint32_t s = k->links.listener_service[i];

	if (s == UINT32_MAX || !l->mode)
		return;
	const struct sl_conf_service *service = &k->c->services[s];
	bool tcp = ends(l);
	if (!service->forward || tcp == (service->forward == SL_FORWARD_PROXY))
		return;
	uint32_t other = first[s][!tcp];
	at(k, "listeners[%u].service", i);
	if (other)
		tell(k, l->line, "make a service for each mode",
		     "service \"%s\" is used with mode \"%s\" by listener \"%s\" at line %d, here "
		     "with mode \"%s\"",
		     l->service, sl_mode_name(k->c->listeners[other - 1].mode),
		     k->c->listeners[other - 1].name, k->c->listeners[other - 1].line,
		     sl_mode_name(l->mode));
	else
		tell(k, l->line,
		     tcp ? "remove the service's forward, or give the listener mode = \"l4\""
			 : "give the service forward = \"nat\" or another way, or the listener "
			   "mode = "
			   "\"tcp\"",
		     "the listener has mode \"%s\", but service \"%s\" has forward \"%s\"",
		     sl_mode_name(l->mode), l->service, sl_forward_name(service->forward));
}

static void
check_modes(struct check *k)
{
	const struct sl_conf *c = k->c;
	uint32_t(*first)[2] = calloc(c->service_cnt + 1u, sizeof(*first));
	uint64_t trusted = 0;

	if (!first) {
		k->oom = true;
		return;
	}
	for (uint32_t i = c->listener_cnt; i-- > 0;) {
		uint32_t s = k->links.listener_service[i];
		if (s != UINT32_MAX && c->listeners[i].mode)
			first[s][ends(&c->listeners[i])] = i + 1;
		trusted += c->listeners[i].trusted_cnt;
	}
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		check_mode_keys(k, i);
		check_mode(k, i, (const uint32_t(*)[2])first);
	}
	free(first);
	at(k, "listeners");
	if (trusted > SL_MAX_TRUST)
		tell(k, 0, "give shorter prefixes", "%llu trusted prefixes are more than %u",
		     (unsigned long long)trusted, SL_MAX_TRUST);
}

/* dsr and the tunnels leave ports as they are. */
static void
check_kept_port(struct check *k, uint32_t i, const uint16_t (*ports)[2])
{
	const struct sl_conf_listener *l = &k->c->listeners[i];
	uint32_t s = k->links.listener_service[i];

	if (s == UINT32_MAX || !l->port || !sl_forward_keeps_port(k->c->services[s].forward))
		return;
	uint16_t lo = ports[s][0], hi = ports[s][1];
	if (!hi || (lo == l->port && hi == l->port && l->port == l->port_last))
		return;
	const char *forward = sl_forward_name(k->c->services[s].forward);
	char kept[SL_PORTS_STRLEN];
	at(k, "listeners[%u].port", i);
	if (l->port == l->port_last)
		tell(k, l->line, "give the endpoints the listener's port, or 0, or use nat",
		     "an endpoint of \"%s\" has port %u, but %s keeps port %u", l->service,
		     lo != l->port ? lo : hi, forward, l->port);
	else
		tell(k, l->line, "give the endpoints port 0, or use nat",
		     "an endpoint of \"%s\" has port %u, but %s keeps the port, here %s",
		     l->service, lo, forward, sl_ports_format(l->port, l->port_last, kept));
}

/* The lowest and highest port of each service's endpoints, 0 left out. */
static uint16_t (*port_ranges(const struct sl_conf *c))[2]
{
	uint16_t(*ports)[2] = calloc(c->service_cnt + 1u, sizeof(*ports));

	for (uint32_t i = 0; ports && i < c->service_cnt; i++) {
		for (uint32_t j = 0; j < c->services[i].endpoint_cnt; j++) {
			uint16_t p = c->services[i].endpoints[j].port;
			if (p && (!ports[i][0] || p < ports[i][0]))
				ports[i][0] = p;
			ports[i][1] = SL_MAX(ports[i][1], p);
		}
	}
	return ports;
}

void
sl_check_listeners(struct check *k)
{
	const struct sl_conf *c = k->c;
	uint16_t(*ports)[2] = port_ranges(c);

	if (!ports) {
		k->oom = true;
		return;
	}
	sl_check_twins(k, 0, c->listeners, c->listener_cnt, sizeof(*c->listeners),
		       listener_name_order, listener_name_twice);
	check_places(k);
	check_modes(k);
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		check_reference(k, i);
		check_kept_port(k, i, (const uint16_t(*)[2])ports);
		check_vip(k, i);
	}
	free(ports);
}
