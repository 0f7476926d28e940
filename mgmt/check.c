/* What the keys of one element cannot say: names that must be distinct or lead somewhere, addresses that must
 * or must not meet.  Everything is sorted once (indices, never the elements) and searched, so a table with
 * 65,536 endpoints costs n log n and nobody's choice of names makes it worse.
 *
 * Of twins the later one in the file is reported, and says where the first stands. */
#include "mgmt/check_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "mgmt/levels.h"

/* ---- sorting and searching ---- */

struct order {
	const char *base;
	size_t size;
	cmp_fn *cmp;
};

static int
by_element(const void *a, const void *b, void *arg)
{
	const struct order *o = arg;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	int d = o->cmp(o->base + i * o->size, o->base + j * o->size);
	return d ? d : (i > j) - (i < j);
}

uint32_t *
sl_check_order(const void *base, uint32_t n, size_t size, cmp_fn *cmp)
{
	struct order o = {base, size, cmp};
	uint32_t *idx = malloc((n + 1) * sizeof(*idx));
	bool sorted = true;

	if (!idx)
		return NULL;
	for (uint32_t i = 0; i < n; i++) {
		idx[i] = i;
		if (i > 0 && cmp(o.base + (i - 1) * size, o.base + i * size) > 0)
			sorted = false;
	}
	if (!sorted)
		qsort_r(idx, n, sizeof(*idx), by_element, &o);
	return idx;
}

void
sl_check_twins(struct check *k, uint32_t owner, const void *base, uint32_t n, size_t size,
	       cmp_fn *cmp, twin_fn *found)
{
	uint32_t *idx = sl_check_order(base, n, size, cmp);
	uint32_t first = 0;

	if (!idx) {
		k->oom = true;
		return;
	}
	for (uint32_t i = 1; i < n; i++) {
		const char *a = (const char *)base + idx[first] * size;
		if (cmp(a, (const char *)base + idx[i] * size) == 0)
			found(k, owner, idx[first], idx[i]);
		else
			first = i;
	}
	free(idx);
}

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

/* ---- links ---- */

static int
service_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_service *)a)->name,
		      ((const struct sl_conf_service *)b)->name);
}

static int
table_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_table *)a)->name,
		      ((const struct sl_conf_table *)b)->name);
}

static uint32_t
find_table(const struct sl_conf *c, const uint32_t *order, const char *name)
{
	uint32_t lo = 0, hi = c->table_cnt;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (strcmp(c->tables[order[mid]].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (*name && lo < c->table_cnt && strcmp(c->tables[order[lo]].name, name) == 0)
		return order[lo];
	return UINT32_MAX;
}

uint32_t
sl_check_find_service(const struct sl_conf *c, const uint32_t *order, const char *name)
{
	uint32_t lo = 0, hi = c->service_cnt;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (strcmp(c->services[order[mid]].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (*name && lo < c->service_cnt && strcmp(c->services[order[lo]].name, name) == 0)
		return order[lo];
	return UINT32_MAX;
}

/* Server names, and who is used by a listener of mode tcp. */
static int
link_tls(const struct sl_conf *c, struct sl_conf_links *l)
{
	uint32_t cnt = 0;

	l->sni_first = calloc(c->listener_cnt + 1u, sizeof(*l->sni_first));
	l->streamed = calloc(c->service_cnt + 1u, sizeof(*l->streamed));
	for (uint32_t i = 0; l->sni_first && i < c->listener_cnt; i++) {
		l->sni_first[i] = cnt;
		cnt += c->listeners[i].sni_cnt;
	}
	l->sni_service = calloc(cnt + 1u, sizeof(*l->sni_service));
	if (!l->sni_first || !l->streamed || !l->sni_service)
		return -ENOMEM;
	l->sni_first[c->listener_cnt] = cnt;
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		const struct sl_conf_listener *x = &c->listeners[i];
		for (uint32_t j = 0; j < x->sni_cnt; j++)
			l->sni_service[l->sni_first[i] + j] =
				sl_check_find_service(c, l->service_order, x->snis[j].service);
		if (x->mode == SL_MODE_TCP && l->listener_service[i] != UINT32_MAX)
			l->streamed[l->listener_service[i]] = true;
	}
	return 0;
}

static uint8_t
endpoints_family(const struct sl_conf_service *s)
{
	uint8_t family = 0;

	for (uint32_t i = 0; i < s->endpoint_cnt && !family; i++)
		family = family_of(&s->endpoints[i].addr);
	for (uint32_t i = 0; i < s->source_cnt && !family; i++)
		family = family_of(&s->sources[i]);
	if (!family)
		family = family_of(&s->tunnel);
	return family ? family : sl_check_family_asked(s);
}

int
sl_conf_link(const struct sl_conf *c, struct sl_conf_links *ret_links)
{
	struct sl_conf_links l = {
		.service_order = sl_check_order(c->services, c->service_cnt, sizeof(*c->services),
						service_order),
		.listener_service = calloc(c->listener_cnt + 1u, sizeof(*l.listener_service)),
		.listener_table = calloc(c->listener_cnt + 1u, sizeof(*l.listener_table)),
		.family = calloc(c->service_cnt + 1u, 1),
	};

	uint32_t *tables = sl_check_order(c->tables, c->table_cnt, sizeof(*c->tables), table_order);

	if (!l.service_order || !l.listener_service || !l.listener_table || !l.family || !tables) {
		sl_conf_links_fini(&l);
		free(tables);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->service_cnt; i++)
		l.family[i] = endpoints_family(&c->services[i]);
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		const struct sl_conf_listener *x = &c->listeners[i];
		uint32_t s = sl_check_find_service(c, l.service_order, x->service);
		l.listener_service[i] = s;
		l.listener_table[i] = find_table(c, tables, x->routes);
		if (s != UINT32_MAX && !l.family[s])
			l.family[s] = family_of(&x->addr);
	}
	free(tables);
	if (link_tls(c, &l)) {
		sl_conf_links_fini(&l);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < c->service_cnt; i++)
		if (!l.family[i])
			l.family[i] = 4;
	*ret_links = l;
	return 0;
}

void
sl_conf_links_fini(struct sl_conf_links *l)
{
	free(l->service_order);
	free(l->listener_service);
	free(l->listener_table);
	free(l->sni_first);
	free(l->sni_service);
	free(l->streamed);
	free(l->family);
	*l = (struct sl_conf_links){0};
}

/* ---- network ---- */

static int
address_order(const void *a, const void *b)
{
	return sl_addr_cmp(&((const struct sl_conf_address *)a)->addr,
			   &((const struct sl_conf_address *)b)->addr);
}

static void
address_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_address *a = &k->c->addresses[first], *b = &k->c->addresses[later];

	(void)owner;
	if (unset(&b->addr))
		return;
	at(k, "network.addresses[%u].address", later);
	tell(k, b->line, "remove one of the two", "%s stands already at line %d", text_of(&b->addr),
	     a->line);
}

static int
route_order(const void *a, const void *b)
{
	const struct sl_conf_route *x = a, *y = b;
	int d = sl_addr_cmp(&x->prefix, &y->prefix);
	return d ? d : (x->plen > y->plen) - (x->plen < y->plen);
}

static void
route_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_route *a = &k->c->routes[first], *b = &k->c->routes[later];

	(void)owner;
	if (b->plen > 128)
		return;
	at(k, "network.routes[%u].prefix", later);
	tell(k, b->line, "remove one of the two", "the same prefix has a route at line %d",
	     a->line);
}

/* Whether some address of the gateway makes a on-link. */
static bool
on_link(const struct check *k, const struct sl_addr *a)
{
	for (uint32_t i = 0; i < k->c->address_cnt; i++) {
		const struct sl_conf_address *own = &k->c->addresses[i];
		if (own->plen <= 128 && family_of(&own->addr) == family_of(a) &&
		    sl_addr_in(a, &own->addr, own->plen))
			return true;
	}
	return false;
}

/* Some address could not be read: what is not on-link may be its echo. */
static bool
address_lost(const struct check *k)
{
	for (uint32_t i = 0; i < k->c->address_cnt; i++)
		if (k->c->addresses[i].plen > 128)
			return true;
	return false;
}

static void
check_via(struct check *k, uint32_t i, bool lost)
{
	const struct sl_conf_route *r = &k->c->routes[i];

	if (r->plen > 128 || unset(&r->via))
		return;
	at(k, "network.routes[%u].via", i);
	if (family_of(&r->via) != (sl_addr_is_v4(&r->prefix) ? 4 : 6))
		tell(k, r->line, "a next hop has the family of its prefix",
		     "%s is not of the prefix's family", text_of(&r->via));
	else if (among(&r->via, k->own, k->own_cnt))
		tell(k, r->line, "give the router's address", "%s is the gateway's own address",
		     text_of(&r->via));
	else if (among(&r->via, k->sources, k->source_cnt))
		tell(k, r->line, "give the router's address",
		     "%s is a source of a service: the gateway's own", text_of(&r->via));
	else if (!lost && !on_link(k, &r->via))
		tell(k, r->line, "add an address of that network to network.addresses",
		     "%s is not on-link by any address of the gateway", text_of(&r->via));
}

static void
check_network(struct check *k)
{
	const struct sl_conf *c = k->c;
	bool lost = address_lost(k);

	sl_check_twins(k, 0, c->addresses, c->address_cnt, sizeof(*c->addresses), address_order,
		       address_twice);
	sl_check_twins(k, 0, c->routes, c->route_cnt, sizeof(*c->routes), route_order, route_twice);
	for (uint32_t i = 0; i < c->route_cnt; i++)
		check_via(k, i, lost);
}

/* ---- services ---- */

static void
service_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_service *a = &k->c->services[first], *b = &k->c->services[later];

	(void)owner;
	if (!b->name[0])
		return;
	at(k, "services[%u].name", later);
	tell(k, b->line, "names are distinct", "\"%s\" is the service at line %d", b->name,
	     a->line);
}

static int
endpoint_name_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_endpoint *)a)->name,
		      ((const struct sl_conf_endpoint *)b)->name);
}

static void
endpoint_name_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_endpoint *e = k->c->services[owner].endpoints;

	if (!e[later].name[0])
		return;
	at(k, "services[%u].endpoints[%u].name", owner, later);
	tell(k, e[later].line, "names are distinct within a service",
	     "\"%s\" is the endpoint at line %d", e[later].name, e[first].line);
}

static int
endpoint_place_order(const void *a, const void *b)
{
	const struct sl_conf_endpoint *x = a, *y = b;
	int d = sl_addr_cmp(&x->addr, &y->addr);
	return d ? d : (x->port > y->port) - (x->port < y->port);
}

static void
endpoint_place_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_endpoint *e = k->c->services[owner].endpoints;

	if (unset(&e[later].addr) || e[first].incomplete || e[later].incomplete)
		return;
	at(k, "services[%u].endpoints[%u].address", owner, later);
	tell(k, e[later].line, "give one endpoint more weight instead",
	     "%s port %u is the endpoint at line %d already", text_of(&e[later].addr),
	     e[later].port, e[first].line);
}

static void
check_endpoint_addr(struct check *k, const struct sl_conf_service *s, uint32_t i, uint32_t j)
{
	const struct sl_conf_endpoint *e = &s->endpoints[j];
	uint8_t family = k->links.family[i];

	if (unset(&e->addr))
		return;
	at(k, "services[%u].endpoints[%u].address", i, j);
	if (family_of(&e->addr) != family)
		tell(k, e->line, "make a service for each family",
		     "%s is not IPv%u as the endpoints before it", text_of(&e->addr), family);
	if (among(&e->addr, k->own, k->own_cnt))
		tell(k, e->line, "an endpoint is another machine",
		     "%s is the gateway's own address", text_of(&e->addr));
	else if (among(&e->addr, k->sources, k->source_cnt))
		tell(k, e->line, "an endpoint is another machine",
		     "%s is a source of a service: the gateway's own", text_of(&e->addr));
	else if (among(&e->addr, k->vips, k->vip_cnt))
		tell(k, e->line, "packets would come back to the gateway",
		     "%s is a listener's address", text_of(&e->addr));
}

/* dsr changes the next hop alone, so it ends at the first router. */
static void
check_reach(struct check *k, const struct sl_conf_service *s, uint32_t i, bool lost)
{
	bool have = false;

	for (uint32_t a = 0; a < k->own_cnt; a++)
		have = have || family_of(&k->own[a]) == k->links.family[i];
	if (s->forward != SL_FORWARD_DSR || !have || lost)
		return;
	for (uint32_t j = 0; j < s->endpoint_cnt; j++) {
		const struct sl_conf_endpoint *e = &s->endpoints[j];
		if (unset(&e->addr) || on_link(k, &e->addr))
			continue;
		at(k, "services[%u].endpoints[%u].address", i, j);
		tell(k, e->line, "add an address of its network to network.addresses, or use nat",
		     "%s is not on-link, as dsr needs", text_of(&e->addr));
	}
}

/* ---- what goes with forward and policy ---- */

void
sl_check_out_of_place(struct check *k, uint32_t i, const char *key, bool given, const char *with)
{
	const struct sl_conf_service *s = &k->c->services[i];

	if (!given)
		return;
	at(k, "services[%u].%s", i, key);
	tell(k, s->line, "remove it, or change what it goes with",
	     "goes with %s only; this service has forward \"%s\", policy \"%s\"", with,
	     sl_forward_name(s->forward), sl_policy_name(s->policy));
}

/* Some policies count requests or hash them. */
static void
check_policy(struct check *k, uint32_t i)
{
	const struct sl_conf_service *s = &k->c->services[i];

	if (s->policy < SL_POLICY_LEAST_REQUEST)
		return;
	at(k, "services[%u].policy", i);
	tell(k, s->line, "give another policy, or remove the service's forward",
	     "\"%s\" goes with forward \"proxy\" only; this service has forward \"%s\"",
	     sl_policy_name(s->policy), sl_forward_name(s->forward));
}

static void
check_keys(struct check *k, uint32_t i)
{
	const struct sl_conf_service *s = &k->c->services[i];

	if (s->policy && s->policy != SL_POLICY_MAGLEV && s->policy != SL_POLICY_RING_HASH)
		sl_check_out_of_place(k, i, "http.hash", s->http.hash_given,
				      "policy \"maglev\" or \"ring_hash\"");
	if (s->policy && s->policy != SL_POLICY_SOURCE_HASH) {
		sl_check_out_of_place(k, i, "source_bits4", s->source_bits4,
				      "policy \"source_hash\"");
		sl_check_out_of_place(k, i, "source_bits6", s->source_bits6,
				      "policy \"source_hash\"");
	}
	if (!s->forward)
		return;
	if (!sl_forward_has_sources(s->forward))
		sl_check_out_of_place(k, i, "sources", s->source_cnt,
				      "forward \"fullnat\" or \"proxy\"");
	if (s->forward != SL_FORWARD_PROXY) {
		sl_check_out_of_place(k, i, "tcp", s->tcp.given, "forward \"proxy\"");
		sl_check_out_of_place(k, i, "http", s->http.given, "forward \"proxy\"");
		sl_check_out_of_place(k, i, "tls", s->tls.given, "forward \"proxy\"");
		sl_check_out_of_place(k, i, "bandwidth", s->bandwidth.given, "forward \"proxy\"");
		check_policy(k, i);
	}
	if (!sl_forward_tunnels(s->forward))
		sl_check_out_of_place(k, i, "tunnel_source", !unset(&s->tunnel),
				      "forward \"ipip\" or \"gue\"");
	if (s->forward != SL_FORWARD_GUE)
		sl_check_out_of_place(k, i, "gue_port", s->gue_port, "forward \"gue\"");
}

static void
source_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_service *s = &k->c->services[owner];

	if (unset(&s->sources[later]))
		return;
	at(k, "services[%u].sources[%u]", owner, later);
	tell(k, s->line, "remove one of the two", "%s is sources[%u] already",
	     text_of(&s->sources[later]), first);
}

static void
check_sources(struct check *k, uint32_t i)
{
	const struct sl_conf_service *s = &k->c->services[i];
	uint8_t family = k->links.family[i];

	if (!unset(&s->tunnel) && family_of(&s->tunnel) != family) {
		at(k, "services[%u].tunnel_source", i);
		tell(k, s->line, "the outer packet is of the endpoints' family",
		     "is IPv%u, the endpoints are IPv%u", family_of(&s->tunnel), family);
	}
	if (!sl_forward_has_sources(s->forward))
		return;
	if (s->source_cnt == 0 && s->forward == SL_FORWARD_FULLNAT) {
		at(k, "services[%u].sources", i);
		tell(k, s->line,
		     "give addresses that endpoints send replies to: sources = ( \"...\" )",
		     "forward \"fullnat\" needs at least one");
		return;
	}
	sl_check_twins(k, i, s->sources, s->source_cnt, sizeof(*s->sources), addr_order,
		       source_twice);
	for (uint32_t j = 0; j < s->source_cnt; j++) {
		if (unset(&s->sources[j]) || family_of(&s->sources[j]) == family)
			continue;
		at(k, "services[%u].sources[%u]", i, j);
		tell(k, s->line, "sources and endpoints of a service are of one family",
		     "%s is not IPv%u, as the service is", text_of(&s->sources[j]), family);
	}
}

static void
check_health(struct check *k, const struct sl_conf_service *s, uint32_t i)
{
	const struct sl_health_conf *h = &s->health;

	if (h->interval_ms && h->timeout_ms > h->interval_ms) {
		at(k, "services[%u].health.timeout", i);
		tell(k, s->line, "give a timeout that is not longer",
		     "%ums is longer than the interval of %ums", h->timeout_ms, h->interval_ms);
	}
	if (h->unhealthy_ms && h->timeout_ms > h->unhealthy_ms) {
		at(k, "services[%u].health.unhealthy_interval", i);
		tell(k, s->line, "give one that is not shorter",
		     "%ums is shorter than the timeout of %ums", h->unhealthy_ms, h->timeout_ms);
	}
	if (h->tls && !s->tls.given) {
		at(k, "services[%u].health.tls", i);
		tell(k, s->line, "give the service a group tls, or leave it out",
		     "probes have the TLS of the service, which has none");
	}
	if (h->method == SL_HEALTH_HEAD && h->body[0]) {
		at(k, "services[%u].health.body", i);
		tell(k, s->line, "give another method, or leave body out",
		     "answers to HEAD have no body");
	}
	if (h->type == SL_HEALTH_NONE || h->port)
		return;
	for (uint32_t j = 0; j < s->endpoint_cnt; j++) {
		const struct sl_conf_endpoint *e = &s->endpoints[j];
		if (e->port || e->probe_port || e->incomplete)
			continue;
		at(k, "services[%u].endpoints[%u].port", i, j);
		tell(k, e->line, "give health.port, or a port in probe",
		     "no port to probe: the endpoint takes any");
	}
}

static void
check_tcp(struct check *k, const struct sl_conf_service *s, uint32_t i)
{
	if (s->tcp.keepalive_ms % 1000 == 0)
		return;
	at(k, "services[%u].tcp.keepalive", i);
	tell(k, s->line, "give 1s to 65535s, or 0s for none",
	     "%ums is not a whole number of seconds", s->tcp.keepalive_ms);
}

static void
check_http(struct check *k, const struct sl_conf_service *s, uint32_t i)
{
	const struct sl_conf_http *h = &s->http;

	if (!h->eject_max_ms || h->eject_ms <= h->eject_max_ms)
		return;
	at(k, "services[%u].http.ejection.time", i);
	tell(k, s->line, "raise max_time, or lower time", "%ums is longer than max_time, %ums",
	     h->eject_ms, h->eject_max_ms);
}

static void
check_service(struct check *k, uint32_t i, bool lost)
{
	const struct sl_conf_service *s = &k->c->services[i];

	if (s->max_endpoints && s->endpoint_cnt > s->max_endpoints) {
		at(k, "services[%u].endpoints", i);
		tell(k, s->line, "raise max_endpoints; flows in no flow table will move",
		     "%u endpoints are more than max_endpoints = %u", s->endpoint_cnt,
		     s->max_endpoints);
	}
	sl_check_twins(k, i, s->endpoints, s->endpoint_cnt, sizeof(*s->endpoints),
		       endpoint_name_order, endpoint_name_twice);
	sl_check_twins(k, i, s->endpoints, s->endpoint_cnt, sizeof(*s->endpoints),
		       endpoint_place_order, endpoint_place_twice);
	for (uint32_t j = 0; j < s->endpoint_cnt; j++)
		check_endpoint_addr(k, s, i, j);
	check_keys(k, i);
	check_sources(k, i);
	check_tcp(k, s, i);
	check_http(k, s, i);
	check_reach(k, s, i, lost);
	check_health(k, s, i);
	sl_check_members(k, i);
}

static void
check_services(struct check *k)
{
	const struct sl_conf *c = k->c;
	uint64_t endpoints = 0, bytes = 0;
	bool lost = address_lost(k);

	sl_check_twins(k, 0, c->services, c->service_cnt, sizeof(*c->services), service_order,
		       service_twice);
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		check_service(k, i, lost);
		endpoints += c->services[i].endpoint_cnt;
		bytes += sl_level_bytes(c, &c->services[i]);
	}
	at(k, "services");
	if (endpoints > SL_MAX_ENDPOINTS)
		tell(k, 0, "split the table between gateways",
		     "%llu endpoints are more than a gateway has slots for, %u",
		     (unsigned long long)endpoints, SL_MAX_ENDPOINTS);
	if (bytes > SL_CONF_MAX_TABLE_BYTES)
		tell(k, 0, "lower max_endpoints where services are small",
		     "the tables would take %llu MiB, more than 1024",
		     (unsigned long long)(bytes >> 20));
}

/* ---- the whole ---- */

/* Sorted copies of the addresses that others are compared with; what was not read is left out. */
static int
collect(struct check *k)
{
	const struct sl_conf *c = k->c;
	size_t sources = 0, endpoints = 0;

	for (uint32_t i = 0; i < c->service_cnt; i++) {
		sources += c->services[i].source_cnt;
		endpoints += c->services[i].endpoint_cnt;
	}
	k->own = malloc((c->address_cnt + 1u) * sizeof(*k->own));
	k->vips = malloc((c->listener_cnt + 1u) * sizeof(*k->vips));
	k->sources = malloc((sources + 1) * sizeof(*k->sources));
	k->endpoints = malloc((endpoints + 1) * sizeof(*k->endpoints));
	if (!k->own || !k->vips || !k->sources || !k->endpoints)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->address_cnt; i++)
		if (!unset(&c->addresses[i].addr))
			k->own[k->own_cnt++] = c->addresses[i].addr;
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		if (!unset(&c->listeners[i].addr) && c->listeners[i].plen == 128)
			k->vips[k->vip_cnt++] = c->listeners[i].addr;
	for (uint32_t i = 0; i < c->service_cnt; i++)
		for (uint32_t j = 0; j < c->services[i].source_cnt; j++)
			if (!unset(&c->services[i].sources[j]))
				k->sources[k->source_cnt++] = c->services[i].sources[j];
	for (uint32_t i = 0; i < c->service_cnt; i++)
		for (uint32_t j = 0; j < c->services[i].endpoint_cnt; j++)
			if (!unset(&c->services[i].endpoints[j].addr))
				k->endpoints[k->endpoint_cnt++] = c->services[i].endpoints[j].addr;
	qsort(k->endpoints, k->endpoint_cnt, sizeof(*k->endpoints), addr_order);
	qsort(k->own, k->own_cnt, sizeof(*k->own), addr_order);
	qsort(k->vips, k->vip_cnt, sizeof(*k->vips), addr_order);
	qsort(k->sources, k->source_cnt, sizeof(*k->sources), addr_order);
	for (uint32_t i = 0; i < c->service_cnt; i++)
		k->service_lost = k->service_lost || !c->services[i].name[0];
	for (uint32_t i = 0; i < c->table_cnt; i++)
		k->table_lost = k->table_lost || !c->tables[i].name[0];
	return sl_conf_link(c, &k->links);
}

int
sl_conf_check(const char *file, const struct sl_conf *c, struct sl_diag *diag)
{
	struct check k = {.file = file, .c = c, .diag = diag};
	int err = collect(&k);

	if (err == 0) {
		check_network(&k);
		check_services(&k);
		sl_check_listeners(&k);
		sl_check_tables(&k);
		sl_check_policies(&k);
		sl_check_tls(&k);
		if (!k.bad)
			sl_check_members_warn(&k);
		err = k.oom ? -ENOMEM : k.bad ? -EINVAL : 0;
	}
	sl_conf_links_fini(&k.links);
	free(k.own);
	free(k.vips);
	free(k.sources);
	free(k.endpoints);
	return err;
}
