/* Building, in the order the parts need each other (all of them run even when one complains):
 *
 *   refs ─▶ objects of the right kind and size ─▶ ports ─▶ fib (NETWORK)
 *        └▶ services[] (slots ascend) ─▶ listeners → service, families
 *           own addresses ─▶ locals ◀─ VIPs         listeners ─▶ vip_hash
 *           sources ─▶ locals                 other listeners ─▶ wide (wide.c)
 *           endpoints ─▶ hops[slot] ◀─ fib
 *           levels of services (view_levels.c)
 *           tables, virtual hosts, databases (view_http.c)
 *
 * Every step is linear or a look-up in something sorted.  Both hashes are open addressing with linear
 * probing and never change: VIPs at most a quarter full, because most packets should find theirs at
 * the first compare; local addresses, asked for seldom, at most half. */
#include "dataplane/view_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/neigh.h"
#include "dataplane/wide.h"

#define FIRST_SERVICE SL_VIEW_FIRST_SERVICE

void
sl_view_bad(struct sl_view_build *b, const char *path, const char *hint, const char *fmt, ...)
{
	char text[768];
	va_list ap;

	b->bad++;
	if (!b->diag)
		return;
	if (b->diag->cnt >= SL_DIAG_MAX) {
		b->diag->more++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(b->diag, NULL, 0, path, hint, "%s", text);
}

/* ---- memory ---- */

static uint32_t
pow2_at_least(uint32_t n)
{
	uint32_t p = 16;

	while (p < n)
		p *= 2;
	return p;
}

void *
sl_view_mem(size_t bytes)
{
	void *p = aligned_alloc(SL_CACHE_LINE, (bytes + SL_CACHE_LINE) & ~(size_t)63);

	if (p)
		memset(p, 0, (bytes + SL_CACHE_LINE) & ~(size_t)63);
	return p;
}

/* ---- look-up ---- */

uint32_t
sl_view_listener(const struct sl_view *v, const struct sl_addr *addr, sl_be16 port, uint8_t proto)
{
	for (uint64_t at = sl_wide_key(addr, port, proto);; at++) {
		uint32_t entry = v->vip_hash[at & v->vip_mask];
		if (entry == 0)
			return sl_likely(!v->wide) ? SL_VIEW_NONE
						   : sl_wide_find(v->wide, addr, port, proto);
		const struct sl_img_listener *l = &v->listeners[entry - 1];
		if (sl_likely(sl_addr_eq(&l->addr, addr) && l->port_be == port &&
			      l->proto == proto))
			return entry - 1;
	}
}

static struct sl_local *
local_place(const struct sl_local *locals, uint32_t mask, const struct sl_addr *addr)
{
	uint64_t at = sl_wide_key(addr, 0, 0);

	while (locals[at & mask].kind && !sl_addr_eq(&locals[at & mask].addr, addr))
		at++;
	return (struct sl_local *)(uintptr_t)&locals[at & mask];
}

const struct sl_local *
sl_view_local(const struct sl_view *v, const struct sl_addr *addr)
{
	const struct sl_local *l = local_place(v->locals, v->local_mask, addr);

	return l->kind ? l : NULL;
}

bool
sl_view_vip(const struct sl_view *v, const struct sl_addr *addr)
{
	const struct sl_local *l = sl_view_local(v, addr);

	if (l)
		return l->kind == SL_LOCAL_VIP;
	return v->wide && sl_wide_prefix(v->wide, addr) != SL_VIEW_NONE;
}

bool
sl_view_ours(const struct sl_view *v, const struct sl_addr *addr)
{
	return sl_view_local(v, addr) || sl_view_vip(v, addr);
}

const struct sl_addr *
sl_view_source(const struct sl_view *v, const struct sl_hop *hop, uint32_t *ret_cnt)
{
	const struct sl_service *s = &v->services[hop->service];

	*ret_cnt = s->source_cnt;
	if (s->source_cnt)
		return s->sources;
	*ret_cnt = hop->address < v->address_cnt;
	return *ret_cnt ? &v->addresses[hop->address].addr : NULL;
}

/* The place of the address in tunnel_hash. */
static uint32_t *
tunnel_place(const struct sl_view *v, const struct sl_addr *addr)
{
	uint64_t at = sl_wide_key(addr, 0, 0);
	const uint32_t *place;

	for (;; at++) {
		place = &v->tunnel_hash[at & v->tunnel_mask];
		if (*place == 0 || sl_addr_eq(&v->hops[*place - 1].addr, addr))
			return (uint32_t *)(uintptr_t)place;
	}
}

const struct sl_hop *
sl_view_tunnel(const struct sl_view *v, const struct sl_addr *endpoint)
{
	uint32_t slot = *tunnel_place(v, endpoint);

	return slot ? &v->hops[slot - 1] : NULL;
}

const struct sl_hop *
sl_view_tunnel_next(const struct sl_view *v, const struct sl_hop *hop)
{
	return hop->same ? &v->hops[hop->same - 1] : NULL;
}

/* ---- pins ---- */

static void
pin_add(struct sl_view *v, unsigned worker, uint32_t add)
{
	/* Only this worker writes, so no read-modify-write is needed.  Release, with the acquire in
	 * sl_view_pinned: whoever sees the pin gone sees all that its holder did with the view done. */
	uint32_t cnt = atomic_load_explicit(&v->pins[worker].cnt, memory_order_relaxed);
	atomic_store_explicit(&v->pins[worker].cnt, cnt + add, memory_order_release);
}

void
sl_view_pin(struct sl_view *v, unsigned worker)
{
	pin_add(v, worker, 1);
}

void
sl_view_unpin(struct sl_view *v, unsigned worker)
{
	SL_ASSERT(atomic_load_explicit(&v->pins[worker].cnt, memory_order_relaxed) > 0);
	pin_add(v, worker, UINT32_MAX);
}

bool
sl_view_pinned(const struct sl_view *v)
{
	for (unsigned i = 0; i < SL_VIEW_MAX_WORKERS; i++)
		if (atomic_load_explicit(&v->pins[i].cnt, memory_order_acquire) != 0)
			return true;
	return false;
}

/* ---- objects ---- */

static void
take_objects(struct sl_view_build *b, const struct sl_object *root, unsigned obj_cnt)
{
	char path[32];

	b->root = root->bytes;
	b->refs = sl_view_section(b->root, b->root->ref_cnt, b->root->ref_off);
	if (b->root->ref_cnt != obj_cnt) {
		sl_view_bad(b, "refs", NULL, "root names %u objects, %u were given",
			    b->root->ref_cnt, obj_cnt);
		return;
	}
	for (uint32_t i = 0; i < obj_cnt; i++) {
		const struct sl_obj_head *h = b->objs[i].bytes;
		snprintf(path, sizeof(path), "refs[%u]", i);
		if (h->kind != b->refs[i].kind)
			sl_view_bad(b, path, NULL,
				    "names an object of kind %u, its bytes are of kind %u",
				    b->refs[i].kind, h->kind);
		if (b->objs[i].size != b->refs[i].size)
			sl_view_bad(b, path, NULL, "names an object of %u bytes, it has %zu",
				    b->refs[i].size, b->objs[i].size);
	}
	if (b->bad)
		return;
	for (uint32_t i = obj_cnt; i-- > 0;) {
		b->first[b->refs[i].kind] = i;
		b->cnt[b->refs[i].kind]++;
	}
	b->net = b->objs[0].bytes;
	b->ls = b->objs[1].bytes;
}

/* ---- what messages show ---- */

static void
prefix_format(const struct sl_addr *a, uint32_t plen, char *buf, size_t size)
{
	char text[SL_ADDR_STRLEN];

	snprintf(buf, size, "%s/%u", sl_addr_format(a, text), sl_addr_is_v4(a) ? plen - 96 : plen);
}

static void append(char *buf, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void
append(char *buf, size_t size, const char *fmt, ...)
{
	size_t n = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
}

/* "addresses: 10.0.0.1/24 on front; routes: 0.0.0.0/0 via 10.0.0.254", the first few of each. */
static const char *
known(struct sl_view_build *b)
{
	const struct sl_img_address *a =
		sl_view_section(b->net, b->net->address_cnt, b->net->address_off);
	const struct sl_img_route *r =
		sl_view_section(b->net, b->net->route_cnt, b->net->route_off);
	char text[SL_ADDR_STRLEN + 8], via[SL_ADDR_STRLEN];
	enum { SHOWN = 4 };

	if (b->known[0])
		return b->known;
	append(b->known, sizeof(b->known), "addresses: %s", a ? "" : "none");
	for (uint32_t i = 0; i < SL_MIN(b->net->address_cnt, SHOWN); i++) {
		prefix_format(&a[i].addr, a[i].plen, text, sizeof(text));
		append(b->known, sizeof(b->known), "%s%s on %.16s", i ? ", " : "", text, a[i].port);
	}
	if (b->net->address_cnt > SHOWN)
		append(b->known, sizeof(b->known), " and %u more", b->net->address_cnt - SHOWN);
	append(b->known, sizeof(b->known), "; routes: %s", r ? "" : "none");
	for (uint32_t i = 0; i < SL_MIN(b->net->route_cnt, SHOWN); i++) {
		prefix_format(&r[i].prefix, r[i].plen, text, sizeof(text));
		append(b->known, sizeof(b->known), "%s%s via %s", i ? ", " : "", text,
		       sl_addr_format(&r[i].via, via));
	}
	if (b->net->route_cnt > SHOWN)
		append(b->known, sizeof(b->known), " and %u more", b->net->route_cnt - SHOWN);
	return b->known;
}

/* ---- NETWORK: ports, routes ---- */

static int
port_find(void *ctx, const char *name)
{
	const struct sl_view_ports *ports = ctx;

	for (unsigned i = 0; i < ports->cnt; i++)
		if (strcmp(ports->name[i], name) == 0)
			return (int)i;
	return -1;
}

/* For the fib: an unknown port has been reported, routes and endpoints still shall be. */
static int
port_find_any(void *ctx, const char *name)
{
	int port = port_find(ctx, name);

	return port < 0 ? 0 : port;
}

static void
ports_format(const struct sl_view_ports *ports, char *buf, size_t size)
{
	snprintf(buf, size, "this dataplane's ports: %s", ports->cnt ? "" : "none");
	for (unsigned i = 0; i < ports->cnt; i++)
		append(buf, size, "%s%s", i ? ", " : "", ports->name[i]);
}

static void
build_ports(struct sl_view_build *b)
{
	const struct sl_img_address *a =
		sl_view_section(b->net, b->net->address_cnt, b->net->address_off);
	char path[48], hint[512], text[SL_ADDR_STRLEN + 8];

	for (uint32_t i = 0; i < b->net->address_cnt; i++) {
		int port = port_find((void *)(uintptr_t)b->ports, a[i].port);
		b->address_port[i] = (uint16_t)SL_MAX(port, 0);
		if (port >= 0)
			continue;
		snprintf(path, sizeof(path), "network.addresses[%u].port", i);
		ports_format(b->ports, hint, sizeof(hint));
		prefix_format(&a[i].addr, a[i].plen, text, sizeof(text));
		sl_view_bad(b, path, hint, "address %s is on port \"%s\", which does not exist",
			    text, a[i].port);
	}
}

static bool
on_link(const struct sl_view_build *b, const struct sl_addr *via)
{
	const struct sl_img_address *a =
		sl_view_section(b->net, b->net->address_cnt, b->net->address_off);

	for (uint32_t i = 0; i < b->net->address_cnt; i++)
		if (sl_addr_is_v4(&a[i].addr) == sl_addr_is_v4(via) &&
		    sl_addr_in(via, &a[i].addr, a[i].plen))
			return true;
	return false;
}

/* The fib stops at the first route it cannot resolve: say them all. */
static void
report_routes(struct sl_view_build *b, uint32_t first)
{
	const struct sl_img_route *r =
		sl_view_section(b->net, b->net->route_cnt, b->net->route_off);
	unsigned before = b->bad;
	char path[48], text[SL_ADDR_STRLEN + 8], via[SL_ADDR_STRLEN];

	for (uint32_t i = 0; i < b->net->route_cnt; i++) {
		if (on_link(b, &r[i].via))
			continue;
		snprintf(path, sizeof(path), "network.routes[%u].via", i);
		prefix_format(&r[i].prefix, r[i].plen, text, sizeof(text));
		sl_view_bad(b, path, known(b),
			    "route %s goes via %s, which no address makes on-link", text,
			    sl_addr_format(&r[i].via, via));
	}
	if (b->bad == before)
		sl_view_bad(b, "network", known(b), "record %u cannot be resolved", first);
}

static int
build_fib(struct sl_view_build *b)
{
	uint32_t first = 0;
	/* With no port at all every address has been reported. */
	int err =
		sl_fib_create(b->net, port_find_any, (void *)(uintptr_t)b->ports, &b->fib, &first);

	if (err == -EINVAL)
		report_routes(b, first);
	return err == -ENOMEM ? err : 0;
}

/* ---- services, listeners, local addresses ---- */

static int
service_name_cmp(const void *a, const void *b, void *services)
{
	const struct sl_service *s = services;

	return memcmp(s[*(const uint32_t *)a].img->name, s[*(const uint32_t *)b].img->name,
		      SL_NAME_MAX);
}

static void
check_service_names(struct sl_view_build *b)
{
	uint32_t order[SL_MAX_SERVICES], cnt = b->v->service_cnt;
	char path[32];

	for (uint32_t i = 0; i < cnt; i++)
		order[i] = i;
	qsort_r(order, cnt, sizeof(order[0]), service_name_cmp, b->services);
	for (uint32_t i = 1; i < cnt; i++) {
		uint32_t x = SL_MIN(order[i - 1], order[i]), y = SL_MAX(order[i - 1], order[i]);
		if (service_name_cmp(&x, &y, b->services) != 0)
			continue;
		snprintf(path, sizeof(path), "refs[%u]", FIRST_SERVICE + y);
		sl_view_bad(b, path, NULL, "service \"%s\" has the name of refs[%u]",
			    b->services[y].img->name, FIRST_SERVICE + x);
	}
}

static void
build_services(struct sl_view_build *b)
{
	for (uint32_t i = 0; i < b->v->service_cnt; i++) {
		const struct sl_img_ref *ref = &b->refs[FIRST_SERVICE + i];
		const struct sl_img_service *s = b->objs[FIRST_SERVICE + i].bytes;
		b->v->service_at[ref->slot] = (uint16_t)(i + 1);
		b->services[i] = (struct sl_service){
			.img = s,
			.endpoints = sl_view_section(s, s->endpoint_cnt, s->endpoint_off),
			.endpoint_cnt = s->endpoint_cnt,
			.slot = ref->slot,
			.policy = s->policy,
			.forward = s->forward,
			.family = s->family,
			.source_bits4 = s->source_bits4,
			.source_bits6 = s->source_bits6,
			.gue_port = s->gue_port_be,
			.tunnel_plen = (uint8_t)s->tunnel_plen,
			.panic_pct = s->panic_pct,
			.zone_min = s->zone_min,
			.zone_traffic = s->zone_traffic,
			.incarnation = ref->incarnation,
			.source_cnt = s->source_cnt,
			.sources = sl_view_section(s, s->source_cnt, s->source_off),
			.tunnel = s->tunnel,
		};
	}
	check_service_names(b);
}

static void
build_own_addresses(struct sl_view_build *b)
{
	const struct sl_img_address *a = b->v->addresses;

	/* One address may be on several ports (a link-local one): the first record answers. */
	for (uint32_t i = 0; i < b->v->address_cnt; i++) {
		struct sl_local *l = local_place(b->locals, b->v->local_mask, &a[i].addr);
		if (!l->kind)
			*l = (struct sl_local){a[i].addr, i, SL_LOCAL_OWN};
	}
}

/* Own addresses and sources within a prefix of VIPs. */
static void
refuse_within(struct sl_view_build *b, const struct sl_addr *addr, const char *what,
	      const char *hint)
{
	char path[48], text[SL_ADDR_STRLEN], prefix[SL_PREFIX_STRLEN];
	uint32_t i = b->wide ? sl_wide_prefix(b->wide, addr) : SL_VIEW_NONE;

	if (i == SL_VIEW_NONE)
		return;
	const struct sl_img_listener *l = &b->v->listeners[i];
	snprintf(path, sizeof(path), "listeners[%u].addr", i);
	sl_view_bad(b, path, hint, "listener \"%s\": %s holds %s, %s", l->name,
		    sl_prefix_format(&l->addr, l->plen, prefix), sl_addr_format(addr, text), what);
}

/* After the listeners, so that a source that is a VIP is seen. */
static void
build_sources(struct sl_view_build *b, uint32_t service)
{
	const struct sl_service *s = &b->services[service];
	char path[48], what[48], text[SL_ADDR_STRLEN];

	for (uint32_t i = 0; i < s->source_cnt; i++) {
		const struct sl_addr *a = &s->sources[i];
		struct sl_local *l = local_place(b->locals, b->v->local_mask, a);
		if (!l->kind) {
			*l = (struct sl_local){*a, SL_VIEW_NONE, SL_LOCAL_SOURCE};
			snprintf(what, sizeof(what), "a source of a %s service",
				 sl_forward_name(s->forward));
			refuse_within(b, a, what, "take a source outside, or a longer prefix");
		} else if (l->kind == SL_LOCAL_VIP) {
			snprintf(path, sizeof(path), "refs[%u].sources[%u]",
				 FIRST_SERVICE + service, i);
			sl_view_bad(b, path, "give the service sources of its own",
				    "service \"%s\": %s is a listener's address", s->img->name,
				    sl_addr_format(a, text));
		}
	}
}

/* A reference of the listener to a service, at path; NULL: it leads to none that connections of that mode go to. */
static const struct sl_service *
service_of_ref(struct sl_view_build *b, const struct sl_img_listener *l, const char *path,
	       uint32_t ref)
{
	uint32_t cnt = b->v->service_cnt;

	if (ref < FIRST_SERVICE || ref - FIRST_SERVICE >= cnt) {
		sl_view_bad(b, path, NULL,
			    "listener \"%s\": is %u, the root has %u services from ref %d", l->name,
			    ref, cnt, FIRST_SERVICE);
		return NULL;
	}
	const struct sl_service *s = &b->services[ref - FIRST_SERVICE];
	if ((l->mode != SL_MODE_L4) != (s->forward == SL_FORWARD_PROXY))
		sl_view_bad(
			b, path,
			"modes \"tcp\" and \"tls-passthrough\" and forward \"proxy\" go together",
			"listener \"%s\" has mode \"%s\", but service \"%s\" has forward \"%s\"",
			l->name, sl_mode_name(l->mode), s->img->name, sl_forward_name(s->forward));
	return s;
}

static void
listener_to_names(struct sl_view_build *b, const struct sl_img_listener *l)
{
	char path[48];

	for (uint32_t k = l->sni_first; k < l->sni_first + l->sni_cnt; k++) {
		snprintf(path, sizeof(path), "sni[%u].ref", k);
		service_of_ref(b, l, path, b->v->snis[k].ref);
	}
}

static void
listener_to_service(struct sl_view_build *b, const struct sl_img_listener *l, uint32_t i)
{
	char path[48], text[SL_ADDR_STRLEN];

	b->listener_service[i] = SL_VIEW_NONE;
	if (l->mode == SL_MODE_PASSTHROUGH) {
		listener_to_names(b, l);
		if (l->ref == SL_VIEW_NONE)
			return;
	}
	snprintf(path, sizeof(path), "listeners[%u].ref", i);
	const struct sl_service *s = service_of_ref(b, l, path, l->ref);
	if (!s)
		return;
	if ((s->family == 4) != sl_addr_is_v4(&l->addr) && !sl_forward_mixes(s->forward))
		sl_view_bad(b, path, "listener and service must be of one family",
			    "listener \"%s\" is at %s, but service \"%s\" is IPv%u", l->name,
			    sl_addr_format(&l->addr, text), s->img->name, s->family);
	b->listener_service[i] = l->ref - FIRST_SERVICE;
}

static void
listener_to_table(struct sl_view_build *b, const struct sl_img_listener *l, uint32_t i)
{
	uint32_t first = b->first[SL_OBJ_ROUTES], cnt = b->cnt[SL_OBJ_ROUTES];
	char path[48];

	if (l->ref >= first && l->ref - first < cnt) {
		b->listener_service[i] = l->ref - first;
		return;
	}
	snprintf(path, sizeof(path), "listeners[%u].ref", i);
	sl_view_bad(b, path, "mode \"http\" goes by a route table",
		    "listener \"%s\": is %u, the root has %u route tables from ref %u", l->name,
		    l->ref, cnt, first);
}

static void
build_listener(struct sl_view_build *b, const struct sl_img_listener *l, uint32_t i)
{
	char path[48], text[SL_ADDR_STRLEN];

	b->v->listener_at[l->slot] = (uint16_t)(i + 1);
	if (l->plen == 128) {
		struct sl_local *local = local_place(b->locals, b->v->local_mask, &l->addr);
		if (!local->kind) {
			*local = (struct sl_local){l->addr, SL_VIEW_NONE, SL_LOCAL_VIP};
		} else if (local->kind == SL_LOCAL_OWN) {
			snprintf(path, sizeof(path), "listeners[%u].addr", i);
			sl_view_bad(
				b, path, "give the listener an address of its own",
				"listener \"%s\": %s is the gateway's own address on port \"%s\"",
				l->name, sl_addr_format(&l->addr, text),
				b->v->addresses[local->address].port);
		}
	}
	if (sl_wide_exact(l)) {
		uint64_t at = sl_wide_key(&l->addr, l->port_be, l->proto);
		while (b->vip_hash[at & b->v->vip_mask])
			at++;
		b->vip_hash[at & b->v->vip_mask] = i + 1;
	}

	if (l->mode == SL_MODE_HTTP)
		listener_to_table(b, l, i);
	else
		listener_to_service(b, l, i);
}

/* ---- endpoints ---- */

static void
report_endpoint(struct sl_view_build *b, uint32_t service, uint32_t endpoint, const char *hint,
		const char *why)
{
	const struct sl_service *s = &b->services[service];
	const struct sl_img_endpoint *e = &s->endpoints[endpoint];
	char path[64], text[SL_ADDR_STRLEN];

	snprintf(path, sizeof(path), "refs[%u].endpoints[%u]", FIRST_SERVICE + service, endpoint);
	sl_view_bad(b, path, hint, "endpoint \"%s\" of service \"%s\" at %s: %s", e->name,
		    s->img->name, sl_addr_format(&e->addr, text), why);
}

static void
report_slot(struct sl_view_build *b, uint32_t service, uint32_t endpoint,
	    const struct sl_hop *other)
{
	const struct sl_service *s = &b->services[other->service];
	char why[256];

	snprintf(why, sizeof(why), "slot %u is that of endpoint \"%s\" of service \"%s\"",
		 b->services[service].endpoints[endpoint].slot, s->endpoints[other->endpoint].name,
		 s->img->name);
	report_endpoint(b, service, endpoint, NULL, why);
}

static bool
link_local(const struct sl_addr *a)
{
	return a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80;
}

/* The gateway's address that tunnels and connections to the hop come from: the one of ARP and ND, unless that is good
 * for the link alone and the endpoint is not. */
static void
own_source(struct sl_view_build *b, struct sl_hop *h)
{
	const struct sl_view *v = b->v;
	const char *key = h->forward == SL_FORWARD_PROXY ? "sources" : "tunnel_source";

	if (!link_local(&v->addresses[h->address].addr) || link_local(&h->addr))
		return;
	for (uint32_t i = 0; i < v->address_cnt; i++) {
		const struct sl_addr *a = &v->addresses[i].addr;
		if (v->address_port[i] == h->out_port && (h->family == 4) == sl_addr_is_v4(a) &&
		    !link_local(a)) {
			h->address = i;
			return;
		}
	}
	char why[256], hint[128];
	snprintf(why, sizeof(why),
		 "there is no source to reach it from: port \"%s\" has no IPv%u address but "
		 "link-local ones, and the service has no %s",
		 h->out_port < b->ports->cnt ? b->ports->name[h->out_port] : "?", h->family, key);
	snprintf(hint, sizeof(hint), "add an address to that port, or give the service %s", key);
	report_endpoint(b, h->service, h->endpoint, hint, why);
}

static void
build_hop(struct sl_view_build *b, uint32_t service, uint32_t endpoint)
{
	static const struct sl_addr none;
	const struct sl_service *s = &b->services[service];
	const struct sl_img_endpoint *e = &s->endpoints[endpoint];
	struct sl_hop *h = &b->v->hops[e->slot];

	if (h->incarnation) {
		report_slot(b, service, endpoint, h);
		return;
	}
	*h = (struct sl_hop){
		.addr = e->addr,
		.next = e->addr,
		.port = e->port_be,
		.incarnation = (uint16_t)e->incarnation,
		.out_port = UINT16_MAX,
		.forward = s->forward,
		.family = s->family,
		.service = service,
		.endpoint = endpoint,
		.address = SL_VIEW_NONE,
		.neigh = SL_NEIGH_NONE,
	};
	if (sl_view_ours(b->v, &e->addr)) {
		report_endpoint(b, service, endpoint, "an endpoint is another machine",
				"that is an address of the gateway or of a listener, or a source");
		return;
	}
	if (!b->fib) /* its routes have been reported */
		return;
	const struct sl_fib_hop *f = sl_fib_find(b->fib, &e->addr);
	if (!f) {
		report_endpoint(b, service, endpoint, known(b), "no route to it");
		return;
	}
	bool link = sl_addr_eq(&f->via, &none);
	if (!link && s->forward == SL_FORWARD_DSR)
		report_endpoint(b, service, endpoint, known(b),
				"forward \"dsr\" needs it on-link, but it is behind a router");
	if (!link)
		h->next = f->via;
	h->out_port = f->port;
	h->address = f->address;
	if ((sl_forward_tunnels(s->forward) && s->tunnel_plen == 0) ||
	    (s->forward == SL_FORWARD_PROXY && s->source_cnt == 0))
		own_source(b, h);
	if (!sl_forward_tunnels(s->forward))
		return;
	uint32_t *place = tunnel_place(b->v, &h->addr);
	h->same = *place;
	*place = e->slot + 1;
}

static void
build_hops(struct sl_view_build *b)
{
	for (uint32_t i = 0; i < b->v->service_cnt; i++)
		for (uint32_t k = 0; k < b->services[i].endpoint_cnt; k++)
			build_hop(b, i, k);
}

/* ---- the whole ---- */

static uint32_t
hops_needed(const struct sl_view_build *b)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < b->cnt[SL_OBJ_SERVICE]; i++) {
		const struct sl_img_service *s = b->objs[FIRST_SERVICE + i].bytes;
		const struct sl_img_endpoint *e =
			sl_view_section(s, s->endpoint_cnt, s->endpoint_off);
		for (uint32_t k = 0; k < s->endpoint_cnt; k++)
			cnt = SL_MAX(cnt, e[k].slot + 1);
	}
	return cnt;
}

static uint32_t
sources_needed(const struct sl_view_build *b)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < b->cnt[SL_OBJ_SERVICE]; i++)
		cnt += ((const struct sl_img_service *)b->objs[FIRST_SERVICE + i].bytes)
			       ->source_cnt;
	return cnt;
}

static int
alloc_parts(struct sl_view_build *b)
{
	struct sl_view *v = b->v;

	v->seed = b->root->hash_seed;
	v->listener_cnt = b->ls->listener_cnt;
	v->listeners = sl_view_section(b->ls, b->ls->listener_cnt, b->ls->listener_off);
	v->trust = sl_view_section(b->ls, b->ls->trust_cnt, b->ls->trust_off);
	v->tls = sl_view_section(b->ls, b->ls->tls_cnt, b->ls->tls_off);
	v->tls_names = sl_view_section(b->ls, b->ls->tls_name_cnt, b->ls->tls_name_off);
	v->tls_sans = sl_view_section(b->ls, b->ls->tls_san_cnt, b->ls->tls_san_off);
	v->snis = sl_view_section(b->ls, b->ls->sni_cnt, b->ls->sni_off);
	v->service_cnt = b->cnt[SL_OBJ_SERVICE];
	v->table_cnt = b->cnt[SL_OBJ_ROUTES];
	v->address_cnt = b->net->address_cnt;
	v->addresses = sl_view_section(b->net, b->net->address_cnt, b->net->address_off);
	v->hop_cnt = hops_needed(b);
	v->vip_mask = pow2_at_least(4 * v->listener_cnt) - 1;
	v->local_mask =
		pow2_at_least(2 * (v->listener_cnt + v->address_cnt + sources_needed(b))) - 1;

	v->tunnel_mask = pow2_at_least(2 * v->hop_cnt) - 1;

	v->services = b->services = sl_view_mem(v->service_cnt * sizeof(*b->services));
	v->listener_service = b->listener_service = sl_view_mem(v->listener_cnt * sizeof(uint32_t));
	v->vip_hash = b->vip_hash = sl_view_mem((v->vip_mask + 1) * sizeof(uint32_t));
	v->locals = b->locals = sl_view_mem((v->local_mask + 1) * sizeof(*b->locals));
	v->address_port = b->address_port = sl_view_mem(v->address_cnt * sizeof(uint16_t));
	v->hops = sl_view_mem(v->hop_cnt * sizeof(*v->hops));
	v->tunnel_hash = sl_view_mem((v->tunnel_mask + 1) * sizeof(uint32_t));
	v->service_at = sl_view_mem(SL_MAX_SERVICES * sizeof(*v->service_at));
	v->listener_at = sl_view_mem(SL_MAX_LISTENERS * sizeof(*v->listener_at));
	return v->services && v->listener_service && v->vip_hash && v->locals && v->address_port &&
			       v->hops && v->tunnel_hash && v->service_at && v->listener_at
		       ? 0
		       : -ENOMEM;
}

static int
build_all(struct sl_view_build *b)
{
	int err = alloc_parts(b);

	if (err)
		return err;
	build_ports(b);
	err = build_fib(b);
	if (err)
		return err;
	b->v->fib = b->fib;
	build_services(b);
	err = sl_view_levels_build(b);
	if (err)
		return err;
	build_own_addresses(b);
	err = sl_wide_create(b->v->listeners, b->v->listener_cnt, &b->wide);
	if (err)
		return err;
	b->v->wide = b->wide;
	for (uint32_t i = 0; i < b->v->listener_cnt; i++)
		build_listener(b, &b->v->listeners[i], i);
	for (uint32_t i = 0; i < b->v->address_cnt; i++)
		refuse_within(b, &b->v->addresses[i].addr, "the gateway's own address",
			      "give the listener prefixes that leave it out");
	for (uint32_t i = 0; i < b->v->service_cnt; i++)
		build_sources(b, i);
	build_hops(b);
	err = sl_view_jwt_build(b);
	return err ? err : sl_view_http_build(b);
}

int
sl_view_create(const struct sl_object *root, const struct sl_obj_id *root_id, uint64_t generation,
	       const struct sl_object *objs, unsigned obj_cnt, const struct sl_view_ports *ports,
	       struct sl_diag *diag, struct sl_view **ret_view)
{
	struct sl_view_build b = {.objs = objs, .ports = ports, .diag = diag};
	int err = 0;

	take_objects(&b, root, obj_cnt);
	if (b.bad)
		return -EINVAL;
	b.v = sl_view_mem(sizeof(*b.v));
	if (!b.v)
		return -ENOMEM;
	b.v->generation = generation;
	b.v->root_id = *root_id;
	err = build_all(&b);
	if (err == 0 && b.bad)
		err = -EINVAL;
	if (err) {
		sl_view_destroy(b.v);
		return err;
	}
	*ret_view = b.v;
	return 0;
}

void
sl_view_destroy(struct sl_view *v)
{
	if (!v)
		return;
	sl_fib_destroy((struct sl_fib *)(uintptr_t)v->fib);
	free((void *)(uintptr_t)v->services);
	free(v->levels);
	free(v->sets);
	free(v->shares);
	free(v->weight_sums);
	free((void *)(uintptr_t)v->listener_service);
	free((void *)(uintptr_t)v->vip_hash);
	sl_wide_destroy((struct sl_wide *)(uintptr_t)v->wide);
	free((void *)(uintptr_t)v->locals);
	free((void *)(uintptr_t)v->address_port);
	free(v->hops);
	free(v->fresh);
	free((void *)(uintptr_t)v->tunnel_hash);
	free(v->service_at);
	free(v->listener_at);
	sl_view_http_free(v);
	sl_view_jwt_free(v);
	free(v);
}
