/* The steps of image.h, for one object:
 *
 *   sum → head → fixed part (ranges) → sections (place, gaps) → records of each section
 *
 * A section whose place is wrong is reported and its records are left unread; everything else goes on,
 * so that one look reports all that can be known.  Messages are only put together while the diag has
 * room: a hostile object with a million wrong entries costs a million comparisons, not a million texts. */
#include "dataplane/image_check_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "sluice/streams.h"

void
sl_look_bad(struct sl_look *c, const char *section, uint32_t idx, const char *field,
	    const char *fmt, ...)
{
	char path[128], text[512];
	va_list ap;

	c->bad++;
	if (!c->diag)
		return;
	if (c->diag->cnt >= SL_DIAG_MAX) {
		c->diag->more++;
		return;
	}
	if (idx == SL_LOOK_NOWHERE)
		snprintf(path, sizeof(path), "%s%s%s", section, *section && *field ? "." : "",
			 field);
	else
		snprintf(path, sizeof(path), "%s[%u]%s%s", section, idx, *field ? "." : "", field);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_add(c->diag, c->what, 0, path, NULL, "%s", text);
}

/* ---- fields ---- */

void
sl_look_name(struct sl_look *c, const char *section, uint32_t idx, const char *field,
	     const char name[SL_NAME_MAX])
{
	char shown[SL_NAME_MAX];

	if (sl_likely(sl_name_ok(name)))
		return;
	for (unsigned i = 0; i < SL_NAME_MAX; i++)
		shown[i] = (char)(name[i] > ' ' && name[i] < 0x7f ? name[i] : name[i] ? '?' : 0);
	shown[SL_NAME_MAX - 1] = 0;
	sl_look_bad(
		c, section, idx, field,
		"\"%s\" is not a name: 1 to %d of A-Z a-z 0-9 . _ -, the first a letter or digit, "
		"padded with 0 to %d bytes",
		shown, SL_NAME_MAX - 1, SL_NAME_MAX);
}

static void
check_unicast(struct sl_look *c, const char *section, uint32_t idx, const char *field,
	      const struct sl_addr *a)
{
	char text[SL_ADDR_STRLEN];

	if (sl_unlikely(!sl_addr_src_ok(a)))
		sl_look_bad(c, section, idx, field, "%s is not a unicast address",
			    sl_addr_format(a, text));
}

static void
check_plen(struct sl_look *c, const char *section, uint32_t idx, const struct sl_addr *a,
	   uint32_t plen)
{
	sl_look_range(c, section, idx, "plen", plen, sl_addr_is_v4(a) ? 96 : 0, 128);
}

void
sl_look_order(struct sl_look *c, const char *section, uint32_t idx, int order, const char *by)
{
	if (sl_unlikely(order >= 0))
		sl_look_bad(c, section, idx, "",
			    "%s record %u; records must be sorted by %s and distinct",
			    order == 0 ? "equals" : "stands behind, but sorts before,", idx - 1,
			    by);
}

void
sl_look_slot(struct sl_look *c, const char *section, uint32_t idx, uint32_t slot, uint32_t max,
	     uint64_t *taken)
{
	if (slot >= max) {
		sl_look_bad(c, section, idx, "slot", "is %u, must be in [0, %u]", slot, max - 1);
		return;
	}
	if (taken[slot / 64] & 1ull << slot % 64)
		sl_look_bad(c, section, idx, "slot", "%u is used by an earlier record", slot);
	taken[slot / 64] |= 1ull << slot % 64;
}

/* ---- sections ---- */

static void
check_gap(struct sl_look *c, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (sl_unlikely(c->bytes[i] != 0)) {
			sl_look_bad(c, "", SL_LOOK_NOWHERE, "",
				    "byte %zu is 0x%02x, must be 0: it is in no section", i,
				    c->bytes[i]);
			return;
		}
}

const void *
sl_look_open(struct sl_look *c, const struct sl_look_section *s)
{
	uint64_t end = (uint64_t)s->off + (uint64_t)s->cnt * s->each;
	unsigned before = c->bad;

	sl_look_range(c, s->name, SL_LOOK_NOWHERE, "cnt", s->cnt, s->min, s->max);
	if (s->cnt == 0) {
		if (s->off != 0)
			sl_look_bad(c, s->name, SL_LOOK_NOWHERE, "off",
				    "is %u, must be 0 for an empty section", s->off);
		return NULL;
	}
	if (s->off % 8 != 0)
		sl_look_bad(c, s->name, SL_LOOK_NOWHERE, "off", "is %u, must be a multiple of 8",
			    s->off);
	if (s->off < c->end)
		sl_look_bad(c, s->name, SL_LOOK_NOWHERE, "off",
			    "is %u, but the bytes before %zu belong to what is declared earlier",
			    s->off, c->end);
	if (end > c->size)
		sl_look_bad(
			c, s->name, SL_LOOK_NOWHERE, "off",
			"%u records of %u bytes at %u end at %llu, behind the object's end at %zu",
			s->cnt, s->each, s->off, (unsigned long long)end, c->size);
	if (c->bad != before) {
		c->gaps = false;
		return NULL;
	}
	if (c->gaps)
		check_gap(c, c->end, s->off);
	c->end = end;
	return c->bytes + s->off;
}

static void
sections_close(struct sl_look *c)
{
	if (c->gaps)
		check_gap(c, c->end, c->size);
}

/* ---- ROOT ---- */

/* What a kind may have as slots; 0: none. */
static uint32_t
slots_of(uint32_t kind)
{
	return kind == SL_OBJ_SERVICE  ? SL_MAX_SERVICES
	       : kind == SL_OBJ_ROUTES ? SL_MAX_TABLES
	       : kind == SL_OBJ_VHOST  ? SL_MAX_VHOSTS
	       : kind == SL_OBJ_AUTHZ  ? SL_MAX_AUTHZ
	       : kind == SL_OBJ_JWT    ? SL_MAX_JWT
				       : 0;
}

/* The ref's kind: the first two are given, the others come kind by kind. */
static void
check_ref_kind(struct sl_look *c, const struct sl_img_ref *r, uint32_t i)
{
	uint32_t min = i == 0 ? SL_OBJ_NETWORK : i == 1 ? SL_OBJ_LISTENERS : SL_OBJ_SERVICE;
	uint32_t max = i == 0 ? SL_OBJ_NETWORK : i == 1 ? SL_OBJ_LISTENERS : SL_OBJ_KIND_LAST;

	if (r->kind < min || r->kind > max)
		sl_look_bad(c, "refs", i, "kind",
			    "is %u, must be in [%u, %u] (NETWORK, LISTENERS, then SERVICE, "
			    "ROUTES, VHOST, SHARD, AUTHZ, JWT)",
			    r->kind, min, max);
	else if (i > 2 && r->kind < r[-1].kind)
		sl_look_bad(c, "refs", i, "kind",
			    "is %u, must be %u at least, as record %u: objects stand by kind",
			    r->kind, r[-1].kind, i - 1);
}

static void
check_ref(struct sl_look *c, const struct sl_img_ref *r, uint32_t i)
{
	uint32_t slots = i < 2 ? 0 : slots_of(r->kind);

	check_ref_kind(c, r, i);
	sl_look_range(c, "refs", i, "size", r->size, sizeof(struct sl_obj_head), SL_OBJ_MAX);
	if (r->size % 8 != 0)
		sl_look_bad(c, "refs", i, "size", "is %u, must be a multiple of 8", r->size);
	sl_look_range(c, "refs", i, "slot", r->slot, 0, slots ? slots - 1 : 0);
	sl_look_range(c, "refs", i, "incarnation", r->incarnation, slots > 0,
		      slots ? UINT16_MAX : 0);
	if (i <= 2 || r->kind != r[-1].kind)
		return;
	if (slots)
		sl_look_order(c, "refs", i, (r[-1].slot > r->slot) - (r[-1].slot < r->slot),
			      "slot");
	else
		sl_look_order(c, "refs", i, memcmp(&r[-1].id, &r->id, sizeof(r->id)), "id");
}

static void
check_root(struct sl_look *c)
{
	const struct sl_img_root *root = (const void *)c->bytes;
	uint32_t of[SL_OBJ_KIND_LAST + 1] = {0};

	sl_look_name(c, "", SL_LOOK_NOWHERE, "name", root->name);
	const struct sl_img_ref *refs =
		sl_look_open(c, &(struct sl_look_section){"refs", root->ref_cnt, root->ref_off, 2,
							  SL_MAX_REFS, sizeof(*refs)});
	for (uint32_t i = 0; refs && i < root->ref_cnt; i++) {
		check_ref(c, &refs[i], i);
		if (refs[i].kind <= SL_OBJ_KIND_LAST)
			of[refs[i].kind]++;
	}
	if (of[SL_OBJ_SHARD] > SL_MAX_SHARDS)
		sl_look_bad(c, "refs", SL_LOOK_NOWHERE, "",
			    "name %u objects of kind SHARD, must be %u at most", of[SL_OBJ_SHARD],
			    SL_MAX_SHARDS);
}

/* ---- NETWORK ---- */

static int
address_cmp(const struct sl_img_address *a, const struct sl_img_address *b)
{
	int d = memcmp(a->port, b->port, SL_NAME_MAX);

	if (d == 0)
		d = sl_addr_cmp(&a->addr, &b->addr);
	return d ? d : (a->plen > b->plen) - (a->plen < b->plen);
}

static void
check_address(struct sl_look *c, const struct sl_img_address *a, uint32_t i)
{
	sl_look_name(c, "addresses", i, "port", a->port);
	check_unicast(c, "addresses", i, "addr", &a->addr);
	check_plen(c, "addresses", i, &a->addr, a->plen);
	sl_look_zero(c, "addresses", i, "zero", a->zero);
	if (i > 0)
		sl_look_order(c, "addresses", i, address_cmp(a - 1, a), "(port, addr, plen)");
}

static bool
bits_behind(const struct sl_addr *a, unsigned plen)
{
	for (unsigned bit = plen; bit < 128; bit++)
		if (a->b[bit / 8] & 0x80u >> bit % 8)
			return true;
	return false;
}

static void
check_route(struct sl_look *c, const struct sl_img_route *r, uint32_t i)
{
	char prefix[SL_ADDR_STRLEN], via[SL_ADDR_STRLEN];

	check_plen(c, "routes", i, &r->prefix, r->plen);
	if (r->plen <= 128 && bits_behind(&r->prefix, r->plen))
		sl_look_bad(c, "routes", i, "prefix", "%s has bits behind its length %u",
			    sl_addr_format(&r->prefix, prefix), r->plen);
	check_unicast(c, "routes", i, "via", &r->via);
	if (sl_addr_is_v4(&r->prefix) != sl_addr_is_v4(&r->via))
		sl_look_bad(c, "routes", i, "via", "%s is not of the family of prefix %s",
			    sl_addr_format(&r->via, via), sl_addr_format(&r->prefix, prefix));
	sl_look_zero(c, "routes", i, "zero", r->zero);
	if (i > 0) {
		int d = sl_addr_cmp(&r[-1].prefix, &r->prefix);
		if (d == 0)
			d = (r[-1].plen > r->plen) - (r[-1].plen < r->plen);
		sl_look_order(c, "routes", i, d, "(prefix, plen)");
	}
}

static void
check_network(struct sl_look *c)
{
	const struct sl_img_network *n = (const void *)c->bytes;

	const struct sl_img_address *a = sl_look_open(
		c, &(struct sl_look_section){"addresses", n->address_cnt, n->address_off, 0,
					     SL_MAX_ADDRESSES, sizeof(*a)});
	for (uint32_t i = 0; a && i < n->address_cnt; i++)
		check_address(c, &a[i], i);

	const struct sl_img_route *r =
		sl_look_open(c, &(struct sl_look_section){"routes", n->route_cnt, n->route_off, 0,
							  SL_MAX_ROUTES, sizeof(*r)});
	for (uint32_t i = 0; r && i < n->route_cnt; i++)
		check_route(c, &r[i], i);
}

/* ---- LISTENERS ---- */

static int
listener_cmp(const struct sl_img_listener *a, const struct sl_img_listener *b)
{
	int d = sl_addr_cmp(&a->addr, &b->addr);

	if (d == 0)
		d = (int)a->plen - (int)b->plen;
	if (d == 0) /* wire order compares like the number when taken as bytes */
		d = memcmp(&a->port_be, &b->port_be, sizeof(a->port_be));
	if (d == 0)
		d = memcmp(&a->port_last_be, &b->port_last_be, sizeof(a->port_last_be));
	return d ? d : (int)a->proto - (int)b->proto;
}

/* A prefix of addresses that all may stand in packets: no bits behind it, of one family. */
static void
check_prefix(struct sl_look *c, const char *section, uint32_t i, const char *field,
	     const struct sl_addr *a, uint32_t plen)
{
	char text[SL_ADDR_STRLEN];

	if (sl_likely(plen == 128) || plen > 128)
		return;
	if (bits_behind(a, plen))
		sl_look_bad(c, section, i, field, "%s has bits behind its length %u",
			    sl_addr_format(a, text), plen);
	if (sl_prefix_mixed(a, plen))
		sl_look_bad(c, section, i, field,
			    "%s with length %u is IPv6, but holds the IPv4 addresses",
			    sl_addr_format(a, text), plen);
}

static bool
is_any(const struct sl_img_listener *l)
{
	return sl_from_be16(l->port_be) == 1 && sl_from_be16(l->port_last_be) == UINT16_MAX;
}

/* Ranges of the prefix we are in: the last port of each protocol's ranges so far, and whose it is. */
struct ranges {
	uint32_t end[2], idx[2]; /* by TCP, UDP */
};

static void
check_ports(struct sl_look *c, const struct sl_img_listener *l, uint32_t i, struct ranges *r)
{
	uint32_t first = sl_from_be16(l->port_be), last = sl_from_be16(l->port_last_be);
	unsigned p = l->proto == SL_IPPROTO_UDP;

	if (first == 0)
		sl_look_bad(c, "listeners", i, "port", "is 0, must be in [1, 65535]");
	if (last < first)
		sl_look_bad(c, "listeners", i, "port_last", "is %u, less than the first port, %u",
			    last, first);
	if (i == 0 || l[-1].plen != l->plen || !sl_addr_eq(&l[-1].addr, &l->addr))
		*r = (struct ranges){0};
	if (last <= first || is_any(l)) /* equal ones are not in order */
		return;
	if (first <= r->end[p])
		sl_look_bad(c, "listeners", i, "port",
			    "%u to %u overlap listeners[%u], which ends at %u", first, last,
			    r->idx[p], r->end[p]);
	if (last > r->end[p]) {
		r->end[p] = last;
		r->idx[p] = i;
	}
}

/* The trusted prefixes of listeners stand in the listeners' order, without a gap: *used of `total` are those of
 * listeners before. */
static void
check_trust_place(struct sl_look *c, const struct sl_img_listener *l, uint32_t i, uint32_t total,
		  uint32_t *used)
{
	uint32_t first = l->trust_cnt ? *used : 0;

	if (l->trust_first != first)
		sl_look_bad(c, "listeners", i, "trust_first", "is %u, must be %u", l->trust_first,
			    first);
	if (l->trust_cnt > total - *used)
		sl_look_bad(c, "listeners", i, "trust_cnt", "is %u, but only %u of %u are left",
			    l->trust_cnt, total - *used, total);
	*used += SL_MIN(l->trust_cnt, total - *used);
}

/* What goes with the mode. */
static void
check_mode(struct sl_look *c, const struct sl_img_listener *l, uint32_t i)
{
	bool ends =
		l->mode > SL_MODE_L4 && l->mode <= SL_MODE_PASSTHROUGH; /* connections end here */

	sl_look_range(c, "listeners", i, "mode", l->mode, SL_MODE_L4, SL_MODE_PASSTHROUGH);
	sl_look_range(c, "listeners", i, "proxy_in", l->proxy_in, 0, ends);
	sl_look_range(c, "listeners", i, "authz", l->authz, 0,
		      l->mode == SL_MODE_TCP ? SL_MAX_AUTHZ : 0);
	sl_look_range(c, "listeners", i, "client_max", l->client_max, 0, ends ? UINT16_MAX : 0);
	if (!ends)
		sl_look_zero(c, "listeners", i, "max_connections", l->max_connections);
	else if (l->proto != SL_IPPROTO_TCP)
		sl_look_bad(c, "listeners", i, "proto", "is %u, must be %d (TCP) with mode %s",
			    l->proto, SL_IPPROTO_TCP, sl_mode_name(l->mode));
	sl_look_range(c, "listeners", i, "trust_cnt", l->trust_cnt, l->proxy_in == 1,
		      l->proxy_in == 1 ? SL_MAX_TRUST : 0);
}

static void
check_listener(struct sl_look *c, const struct sl_img_listener *l, uint32_t i, uint64_t *slots,
	       struct ranges *ranges)
{
	check_unicast(c, "listeners", i, "addr", &l->addr);
	sl_look_range(c, "listeners", i, "plen", l->plen, sl_addr_is_v4(&l->addr) ? 97 : 1, 128);
	check_prefix(c, "listeners", i, "addr", &l->addr, l->plen);
	check_ports(c, l, i, ranges);
	if (l->proto != SL_IPPROTO_TCP && l->proto != SL_IPPROTO_UDP)
		sl_look_bad(c, "listeners", i, "proto", "is %u, must be %d (TCP) or %d (UDP)",
			    l->proto, SL_IPPROTO_TCP, SL_IPPROTO_UDP);
	check_mode(c, l, i);
	if (l->mode != SL_MODE_PASSTHROUGH || l->ref != UINT32_MAX)
		sl_look_range(c, "listeners", i, "ref", l->ref, 2,
			      SL_MAX_SERVICES + SL_MAX_TABLES + 1);
	sl_look_slot(c, "listeners", i, l->slot, SL_MAX_LISTENERS, slots);
	sl_look_range(c, "listeners", i, "incarnation", l->incarnation, 1, UINT16_MAX);
	sl_look_name(c, "listeners", i, "name", l->name);
	if (i > 0)
		sl_look_order(c, "listeners", i, listener_cmp(l - 1, l),
			      "(addr, plen, port, port_last, proto)");
}

static int
by_listener_name(const void *a, const void *b, void *listeners)
{
	const struct sl_img_listener *l = listeners;

	return memcmp(l[*(const uint16_t *)a].name, l[*(const uint16_t *)b].name, SL_NAME_MAX);
}

static void
check_listener_names(struct sl_look *c, const struct sl_img_listener *l, uint32_t cnt)
{
	uint16_t order[SL_MAX_LISTENERS];

	for (uint32_t i = 0; i < cnt; i++)
		order[i] = (uint16_t)i;
	qsort_r(order, cnt, sizeof(order[0]), by_listener_name, (void *)(uintptr_t)l);
	for (uint32_t i = 1; i < cnt; i++)
		if (memcmp(l[order[i - 1]].name, l[order[i]].name, SL_NAME_MAX) == 0)
			sl_look_bad(c, "listeners", SL_MAX(order[i - 1], order[i]), "name",
				    "\"%.*s\" is also the name of listeners[%u]", SL_NAME_MAX - 1,
				    l[order[i]].name, SL_MIN(order[i - 1], order[i]));
}

/* Of the listener that begins at `first` the prefix before is another's. */
static void
check_trusted(struct sl_look *c, const struct sl_img_prefix *t, uint32_t i, bool first)
{
	char text[SL_ADDR_STRLEN];

	check_plen(c, "trust", i, &t->prefix, t->plen);
	if (t->plen <= 128 && bits_behind(&t->prefix, t->plen))
		sl_look_bad(c, "trust", i, "prefix", "%s has bits behind its length %u",
			    sl_addr_format(&t->prefix, text), t->plen);
	sl_look_zero(c, "trust", i, "zero", t->zero);
	if (first)
		return;
	int d = sl_addr_cmp(&t[-1].prefix, &t->prefix);
	if (d == 0)
		d = (t[-1].plen > t->plen) - (t[-1].plen < t->plen);
	sl_look_order(c, "trust", i, d, "(prefix, plen)");
}

static void
check_trust(struct sl_look *c, const struct sl_img_listeners *ls, const struct sl_img_listener *l)
{
	uint32_t used = 0, at = 0;

	const struct sl_img_prefix *t =
		sl_look_open(c, &(struct sl_look_section){"trust", ls->trust_cnt, ls->trust_off, 0,
							  SL_MAX_TRUST, sizeof(*t)});
	for (uint32_t i = 0; l && i < ls->listener_cnt; i++) {
		check_trust_place(c, &l[i], i, ls->trust_cnt, &used);
		for (uint32_t first = at; t && at < used; at++)
			check_trusted(c, &t[at], at, at == first);
	}
	if (used < ls->trust_cnt && (l || ls->listener_cnt == 0))
		sl_look_bad(c, "trust", SL_LOOK_NOWHERE, "cnt", "is %u, but listeners have %u",
			    ls->trust_cnt, used);
}

static void
check_listeners(struct sl_look *c)
{
	const struct sl_img_listeners *ls = (const void *)c->bytes;
	uint64_t slots[SL_MAX_LISTENERS / 64] = {0};
	struct ranges ranges = {0};

	const struct sl_img_listener *l = sl_look_open(
		c, &(struct sl_look_section){"listeners", ls->listener_cnt, ls->listener_off, 0,
					     SL_MAX_LISTENERS, sizeof(*l)});
	for (uint32_t i = 0; l && i < ls->listener_cnt; i++)
		check_listener(c, &l[i], i, slots, &ranges);
	if (l)
		check_listener_names(c, l, ls->listener_cnt);
	check_trust(c, ls, l);
	sl_look_tls(c, ls, l);
}

/* ---- SERVICE ---- */

static void
check_endpoint(struct sl_look *c, const struct sl_img_endpoint *e, uint32_t i, uint8_t family,
	       uint64_t *slots)
{
	char text[SL_ADDR_STRLEN];

	check_unicast(c, "endpoints", i, "addr", &e->addr);
	if ((family == 4) != sl_addr_is_v4(&e->addr))
		sl_look_bad(c, "endpoints", i, "addr", "%s is not of the service's family, IPv%u",
			    sl_addr_format(&e->addr, text), family);
	sl_look_range(c, "endpoints", i, "weight", e->weight, 0, SL_MAX_WEIGHT);
	sl_look_slot(c, "endpoints", i, e->slot, SL_MAX_ENDPOINTS, slots);
	sl_look_range(c, "endpoints", i, "incarnation", e->incarnation, 1, UINT16_MAX);
	sl_look_zero(c, "endpoints", i, "zero", e->zero);
	sl_look_name(c, "endpoints", i, "name", e->name);
	if (i > 0)
		sl_look_order(c, "endpoints", i, memcmp(e[-1].name, e->name, SL_NAME_MAX), "name");
}

/* The client's address counts under a mask for SOURCE_HASH alone. */
static void
check_source_bits(struct sl_look *c, const struct sl_img_service *s)
{
	if (s->policy == SL_POLICY_SOURCE_HASH) {
		sl_look_range(c, "", SL_LOOK_NOWHERE, "source_bits4", s->source_bits4, 1, 32);
		sl_look_range(c, "", SL_LOOK_NOWHERE, "source_bits6", s->source_bits6, 1, 128);
	} else {
		sl_look_zero(c, "", SL_LOOK_NOWHERE, "source_bits4", s->source_bits4);
		sl_look_zero(c, "", SL_LOOK_NOWHERE, "source_bits6", s->source_bits6);
	}
}

static void
check_tunnel(struct sl_look *c, const struct sl_img_service *s)
{
	char text[SL_ADDR_STRLEN];

	if (s->forward == SL_FORWARD_GUE && s->gue_port_be == 0)
		sl_look_bad(c, "", SL_LOOK_NOWHERE, "gue_port", "is 0, must be in [1, 65535]");
	if (s->forward != SL_FORWARD_GUE)
		sl_look_zero(c, "", SL_LOOK_NOWHERE, "gue_port", sl_from_be16(s->gue_port_be));
	if (!sl_forward_tunnels(s->forward) || s->tunnel_plen == 0) {
		sl_look_zero(c, "", SL_LOOK_NOWHERE, "tunnel_plen", s->tunnel_plen);
		if (sl_load64(s->tunnel.b) | sl_load64(s->tunnel.b + 8))
			sl_look_bad(c, "", SL_LOOK_NOWHERE, "tunnel", "is %s, must be all 0: %s",
				    sl_addr_format(&s->tunnel, text),
				    s->tunnel_plen ? "forward is no tunnel" : "its length is 0");
		return;
	}
	sl_look_range(c, "", SL_LOOK_NOWHERE, "tunnel_plen", s->tunnel_plen,
		      sl_addr_is_v4(&s->tunnel) ? 97 : 1, 128);
	check_unicast(c, "", SL_LOOK_NOWHERE, "tunnel", &s->tunnel);
	check_prefix(c, "", SL_LOOK_NOWHERE, "tunnel", &s->tunnel, s->tunnel_plen);
	if ((s->family == 4) != sl_addr_is_v4(&s->tunnel))
		sl_look_bad(c, "", SL_LOOK_NOWHERE, "tunnel",
			    "%s is not of the service's family, IPv%u",
			    sl_addr_format(&s->tunnel, text), s->family);
}

static void
check_sources(struct sl_look *c, const struct sl_img_service *s)
{
	bool fullnat = s->forward == SL_FORWARD_FULLNAT;
	char text[SL_ADDR_STRLEN];

	if (!sl_forward_has_sources(s->forward))
		sl_look_zero(c, "sources", SL_LOOK_NOWHERE, "cnt", s->source_cnt);
	const struct sl_addr *a =
		sl_look_open(c, &(struct sl_look_section){"sources", s->source_cnt, s->source_off,
							  fullnat, SL_MAX_SOURCES, sizeof(*a)});
	for (uint32_t i = 0; a && i < s->source_cnt; i++) {
		check_unicast(c, "sources", i, "", &a[i]);
		if ((s->family == 4) != sl_addr_is_v4(&a[i]))
			sl_look_bad(c, "sources", i, "", "%s is not of the service's family, IPv%u",
				    sl_addr_format(&a[i], text), s->family);
		if (i > 0)
			sl_look_order(c, "sources", i, sl_addr_cmp(&a[i - 1], &a[i]), "address");
	}
}

/* Settings of connections: of PROXY alone. */
static void
check_tcp(struct sl_look *c, const struct sl_img_service *s)
{
	const struct sl_img_tcp *t = &s->tcp;
	bool proxy = s->forward == SL_FORWARD_PROXY;

	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "connect_ms", t->connect_ms, proxy,
		      proxy ? 600000 : 0);
	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "idle_ms", t->idle_ms, 0, proxy ? 604800000 : 0);
	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "max_connections", t->max_connections, 0,
		      proxy ? UINT32_MAX : 0);
	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "endpoint_connections", t->endpoint_connections, 0,
		      proxy ? UINT32_MAX : 0);
	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "keepalive_s", t->keepalive_s, 0,
		      proxy ? UINT16_MAX : 0);
	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "retries", t->retries, 0,
		      proxy ? SL_MAX_RETRIES : 0);
	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "proxy_out", t->proxy_out, SL_PROXY_NONE,
		      proxy ? SL_PROXY_V2 : 0);
	sl_look_range(c, "tcp", SL_LOOK_NOWHERE, "cc", t->cc, SL_CC_CUBIC, proxy ? SL_CC_RENO : 0);
	for (unsigned i = 0; i < sizeof(t->zero); i++)
		sl_look_zero(c, "tcp", SL_LOOK_NOWHERE, "zero", t->zero[i]);
}

static void
check_bandwidth(struct sl_look *c, const struct sl_img_service *s)
{
	static const char *const rate[SL_WAYS] = {"rate[0]", "rate[1]"};
	static const char *const burst[SL_WAYS] = {"burst[0]", "burst[1]"};
	const struct sl_img_bandwidth *b = &s->bandwidth;

	for (unsigned way = 0; way < SL_WAYS; way++) {
		bool limited = s->forward == SL_FORWARD_PROXY && b->rate[way];
		if (b->rate[way] && (!limited || b->rate[way] < SL_BANDWIDTH_MIN ||
				     b->rate[way] > SL_BANDWIDTH_MAX))
			sl_look_bad(c, "bandwidth", SL_LOOK_NOWHERE, rate[way],
				    "is %llu, must be 0, or of PROXY in [%u, %llu]",
				    (unsigned long long)b->rate[way], SL_BANDWIDTH_MIN,
				    SL_BANDWIDTH_MAX);
		sl_look_range(c, "bandwidth", SL_LOOK_NOWHERE, burst[way], b->burst[way],
			      limited ? SL_BURST_MIN : 0, limited ? SL_BURST_MAX : 0);
	}
}

static void
check_service_fields(struct sl_look *c, const struct sl_img_service *s)
{
	sl_look_name(c, "", SL_LOOK_NOWHERE, "name", s->name);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "policy", s->policy, SL_POLICY_MAGLEV,
		      s->forward == SL_FORWARD_PROXY ? SL_POLICY_LAST : SL_POLICY_LEAST_CONN);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "forward", s->forward, SL_FORWARD_NAT,
		      SL_FORWARD_PROXY);
	if (s->family != 4 && s->family != 6)
		sl_look_bad(c, "", SL_LOOK_NOWHERE, "family", "is %u, must be 4 or 6", s->family);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "panic_pct", s->panic_pct, 0, 100);
	check_source_bits(c, s);
	check_tunnel(c, s);
	check_tcp(c, s);
	check_bandwidth(c, s);
	sl_look_http_service(c, s);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "zone_min", s->zone_min, 0, SL_MAX_SERVICE_ENDPOINTS);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "zone_traffic", s->zone_traffic, 0,
		      s->zone_min ? 10000 : 0);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "max_endpoints", s->max_endpoints, 1,
		      SL_MAX_SERVICE_ENDPOINTS);
}

static void
check_rates(struct sl_look *c, const struct sl_img_service *s)
{
	const struct sl_img_rate *r = sl_look_open(
		c, &(struct sl_look_section){
			   "rates", s->rate_cnt, s->rate_off, 0,
			   s->forward == SL_FORWARD_PROXY ? SL_MAX_SERVICE_RATES : 0, sizeof(*r)});

	for (uint32_t i = 0; r && i < s->rate_cnt; i++)
		sl_look_rate(c, "rates", &r[i], i);
}

static void
check_service(struct sl_look *c)
{
	const struct sl_img_service *s = (const void *)c->bytes;
	uint64_t slots[SL_MAX_ENDPOINTS / 64] = {0};

	check_service_fields(c, s);
	check_sources(c, s);
	const struct sl_img_endpoint *e = sl_look_open(
		c, &(struct sl_look_section){"endpoints", s->endpoint_cnt, s->endpoint_off, 0,
					     SL_MAX_SERVICE_ENDPOINTS, sizeof(*e)});
	for (uint32_t i = 0; e && i < s->endpoint_cnt; i++)
		check_endpoint(c, &e[i], i, s->family, slots);
	sl_look_levels(c, s, e);
	check_rates(c, s);
	sl_look_service_tls(c, s);
}

/* ---- any object ---- */

static const struct {
	const char *name;
	size_t fixed; /* bytes before the first section */
	void (*check)(struct sl_look *c);
} kinds[] = {
	[SL_OBJ_ROOT] = {"ROOT", sizeof(struct sl_img_root), check_root},
	[SL_OBJ_NETWORK] = {"NETWORK", sizeof(struct sl_img_network), check_network},
	[SL_OBJ_LISTENERS] = {"LISTENERS", sizeof(struct sl_img_listeners), check_listeners},
	[SL_OBJ_SERVICE] = {"SERVICE", sizeof(struct sl_img_service), check_service},
	[SL_OBJ_ROUTES] = {"ROUTES", sizeof(struct sl_img_routes), sl_look_routes},
	[SL_OBJ_VHOST] = {"VHOST", sizeof(struct sl_img_vhost), sl_look_vhost},
	[SL_OBJ_SHARD] = {"SHARD", sizeof(struct sl_img_shard), sl_look_shard},
	[SL_OBJ_AUTHZ] = {"AUTHZ", sizeof(struct sl_img_vhost), sl_look_authz},
	[SL_OBJ_JWT] = {"JWT", sizeof(struct sl_img_jwt), sl_look_jwt},
};

void
sl_image_id(const void *bytes, size_t size, struct sl_obj_id *ret_id)
{
	/* Fails only without memory or without SHA-256 in the library: then no id is right. */
	if (EVP_Digest(bytes, size, ret_id->b, NULL, EVP_sha256(), NULL) != 1)
		memset(ret_id, 0, sizeof(*ret_id));
}

static void
check_id(struct sl_look *c, const struct sl_obj_id *id)
{
	struct sl_obj_id got;
	char hex[2][2 * 8 + 1];

	sl_image_id(c->bytes, c->size, &got);
	if (memcmp(&got, id, sizeof(got)) == 0)
		return;
	for (unsigned i = 0; i < 8; i++) {
		snprintf(hex[0] + 2 * i, 3, "%02x", got.b[i]);
		snprintf(hex[1] + 2 * i, 3, "%02x", id->b[i]);
	}
	sl_look_bad(c, "", SL_LOOK_NOWHERE, "id",
		    "the bytes have SHA-256 %s…, but %s… was announced", hex[0], hex[1]);
}

static void
check_head(struct sl_look *c, enum sl_obj_kind kind)
{
	const struct sl_obj_head *h = (const void *)c->bytes;

	if (h->magic != SL_OBJ_MAGIC)
		sl_look_bad(c, "head", SL_LOOK_NOWHERE, "magic",
			    "is 0x%08x, must be 0x%08x: not a table object", h->magic,
			    SL_OBJ_MAGIC);
	if (h->version != SL_IMAGE_VERSION)
		sl_look_bad(c, "head", SL_LOOK_NOWHERE, "version",
			    "is %u, this program reads %u: run sluiced and sluice-dataplane of "
			    "one release",
			    h->version, SL_IMAGE_VERSION);
	if (h->kind != kind)
		sl_look_bad(c, "head", SL_LOOK_NOWHERE, "kind", "is %u, must be %u (%s)", h->kind,
			    kind, kinds[kind].name);
	if (h->size != c->size)
		sl_look_bad(c, "head", SL_LOOK_NOWHERE, "size",
			    "is %u, but the object has %zu bytes", h->size, c->size);
	sl_look_zero(c, "head", SL_LOOK_NOWHERE, "zero", h->zero);
	if (c->size < kinds[kind].fixed)
		sl_look_bad(c, "head", SL_LOOK_NOWHERE, "size",
			    "is %zu, but %s takes at least %zu bytes", c->size, kinds[kind].name,
			    kinds[kind].fixed);
}

int
sl_image_check(const void *bytes, size_t size, enum sl_obj_kind kind, const struct sl_obj_id *id,
	       const char *what, struct sl_diag *diag)
{
	struct sl_look c = {.bytes = bytes, .size = size, .what = what, .diag = diag, .gaps = true};

	SL_ASSERT(kind >= SL_OBJ_ROOT && kind <= SL_OBJ_KIND_LAST);
	if (size < sizeof(struct sl_obj_head) || size > SL_OBJ_MAX || size % 8 != 0) {
		sl_look_bad(&c, "", SL_LOOK_NOWHERE, "size",
			    "is %zu, must be a multiple of 8 in [%zu, %u]", size,
			    sizeof(struct sl_obj_head), SL_OBJ_MAX);
		return -EINVAL;
	}
	if (id)
		check_id(&c, id);
	unsigned before = c.bad;
	check_head(&c, kind);
	if (c.bad != before) /* what follows would be guessing */
		return -EINVAL;
	c.end = kinds[kind].fixed;
	kinds[kind].check(&c);
	sections_close(&c);
	return c.bad ? -EINVAL : 0;
}
