/* Prefixes nest but never cross.  Sorted by (first address, length), a sweep with a stack of the prefixes
 * that are open gives the ranges: each range begins where a prefix opens, or where one closes and the one
 * around it shows again.
 *
 *   10.0.0.0/8 via A      ├──────────────────────────────┤
 *   10.1.0.0/16 on-link          ├─────────┤
 *   ranges             0: none │ 10.0: A │ 10.1: link │ 10.2: A │ 11.0: none
 *
 * A range reaches to the beginning of the next, the first begins at 0, so a look-up is: the last beginning
 * not above the address.  IPv4 and IPv6 have an array each: the IPv6 default route ::/0 must not catch
 * IPv4 addresses, and 32-bit keys are 16 to a line.
 */
#include "dataplane/fib.h"

#include <errno.h>
#include <stdlib.h>

#define HOP_NONE UINT32_MAX

typedef unsigned __int128 u128;

struct sl_fib {
	uint32_t v4_cnt, v6_cnt;
	uint32_t *v4_first; /* [v4_cnt], ascending, first 0 */
	uint32_t *v4_hop;   /* [v4_cnt] index into hops or HOP_NONE */
	u128 *v6_first;
	uint32_t *v6_hop;
	struct sl_fib_hop *hops; /* addresses, then routes */
};

static inline uint32_t
key4(const struct sl_addr *a)
{
	return sl_from_be32(sl_load32(a->b + 12));
}

static inline u128
key6(const struct sl_addr *a)
{
	return (u128)__builtin_bswap64(sl_load64(a->b)) << 64 |
	       __builtin_bswap64(sl_load64(a->b + 8));
}

/* ---- look-up ---- */

/* The last i with first[i] <= key, without a branch on the comparison. */
#define LAST_NOT_ABOVE(first, cnt, key, ret)                                                       \
	do {                                                                                       \
		uint32_t at_ = 0;                                                                  \
		for (uint32_t n_ = (cnt), half_; n_ > 1; n_ -= half_) {                            \
			half_ = n_ / 2;                                                            \
			at_ += half_ & -(uint32_t)((first)[at_ + half_] <= (key));                 \
		}                                                                                  \
		(ret) = at_;                                                                       \
	} while (0)

const struct sl_fib_hop *
sl_fib_find(const struct sl_fib *f, const struct sl_addr *dst)
{
	uint32_t i, hop;

	if (sl_likely(sl_addr_is_v4(dst))) {
		uint32_t key = key4(dst);
		LAST_NOT_ABOVE(f->v4_first, f->v4_cnt, key, i);
		hop = f->v4_hop[i];
	} else {
		u128 key = key6(dst);
		LAST_NOT_ABOVE(f->v6_first, f->v6_cnt, key, i);
		hop = f->v6_hop[i];
	}
	return hop == HOP_NONE ? NULL : &f->hops[hop];
}

/* ---- build ---- */

struct prefix {
	u128 first, last;
	uint32_t hop;
	uint8_t plen; /* over 128 bits for both families: comparable within one */
};

/* On-link prefixes have lower hop numbers than routes, so they win among equals. */
static int
prefix_cmp(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;

	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	if (x->plen != y->plen)
		return x->plen < y->plen ? -1 : 1;
	return x->hop < y->hop ? -1 : x->hop > y->hop;
}

/* A prefix is of IPv4 when it lies wholly within ::ffff:0:0/96. */
static bool
prefix_is_v4(const struct sl_addr *a, uint32_t plen)
{
	return plen >= 96 && sl_addr_is_v4(a);
}

static struct prefix
prefix_of(const struct sl_addr *a, uint32_t plen, uint32_t hop)
{
	bool v4 = prefix_is_v4(a, plen);
	u128 key = v4 ? key4(a) : key6(a);
	u128 rest = plen == 0 ? ~(u128)0 : (((u128)1 << (128 - plen)) - 1);

	return (struct prefix){
		.first = key & ~rest,
		.last = key | rest,
		.hop = hop,
		.plen = (uint8_t)plen,
	};
}

struct ranges {
	u128 *first;
	uint32_t *hop;
	uint32_t cnt;
};

static void
begin(struct ranges *r, u128 first, uint32_t hop)
{
	if (r->cnt && r->first[r->cnt - 1] == first)
		r->cnt--; /* opened and covered at the same address */
	if (r->cnt && r->hop[r->cnt - 1] == hop)
		return;
	r->first[r->cnt] = first;
	r->hop[r->cnt++] = hop;
}

/* max: the highest address of the family.  A stack of 130 holds every length once. */
static void
flatten(struct prefix *p, uint32_t n, u128 max, struct ranges *r)
{
	const struct prefix *open[130];
	unsigned depth = 0;

	qsort(p, n, sizeof(*p), prefix_cmp);
	begin(r, 0, HOP_NONE);
	for (uint32_t i = 0; i <= n; i++) {
		while (depth && (i == n || open[depth - 1]->last < p[i].first)) {
			u128 last = open[--depth]->last;
			if (last != max)
				begin(r, last + 1, depth ? open[depth - 1]->hop : HOP_NONE);
		}
		if (i == n || (depth && open[depth - 1]->first == p[i].first &&
			       open[depth - 1]->plen == p[i].plen))
			continue;
		open[depth++] = &p[i];
		begin(r, p[i].first, p[i].hop);
	}
}

static const struct sl_img_address *
addresses(const struct sl_img_network *net)
{
	return (const void *)((const char *)net + net->address_off);
}

static const struct sl_img_route *
routes(const struct sl_img_network *net)
{
	return (const void *)((const char *)net + net->route_off);
}

/* The address with the longest prefix of via's family around it, or address_cnt. */
static uint32_t
on_link_by(const struct sl_img_network *net, const struct sl_addr *via)
{
	const struct sl_img_address *a = addresses(net);
	uint32_t best = net->address_cnt;

	for (uint32_t i = 0; i < net->address_cnt; i++)
		if (sl_addr_is_v4(&a[i].addr) == sl_addr_is_v4(via) &&
		    sl_addr_in(via, &a[i].addr, a[i].plen) &&
		    (best == net->address_cnt || a[i].plen > a[best].plen))
			best = i;
	return best;
}

static int
fill_hops(struct sl_fib *f, const struct sl_img_network *net,
	  int (*port_of)(void *ctx, const char *name), void *ctx, uint32_t *ret_bad)
{
	const struct sl_img_address *a = addresses(net);
	const struct sl_img_route *r = routes(net);
	uint32_t by = 0;

	for (uint32_t i = 0; i < net->address_cnt; i++) {
		int port = port_of(ctx, a[i].port);
		if (port < 0 || port > UINT16_MAX) {
			*ret_bad = i;
			return -EINVAL;
		}
		f->hops[i] = (struct sl_fib_hop){.port = (uint16_t)port, .address = i};
	}
	for (uint32_t i = 0; i < net->route_cnt; i++) {
		/* many routes share few next hops: the last answer is often this one */
		if (i == 0 || !sl_addr_eq(&r[i].via, &r[i - 1].via))
			by = on_link_by(net, &r[i].via);
		if (by == net->address_cnt ||
		    prefix_is_v4(&r[i].prefix, r[i].plen) != sl_addr_is_v4(&r[i].via)) {
			*ret_bad = i;
			return -EINVAL;
		}
		f->hops[net->address_cnt + i] = (struct sl_fib_hop){
			.via = r[i].via, .port = f->hops[by].port, .address = by};
	}
	return 0;
}

/* Takes the prefixes of one family out of the network object. */
static uint32_t
gather(const struct sl_img_network *net, bool v4, struct prefix *ret_p)
{
	const struct sl_img_address *a = addresses(net);
	const struct sl_img_route *r = routes(net);
	uint32_t n = 0;

	for (uint32_t i = 0; i < net->address_cnt; i++)
		if (prefix_is_v4(&a[i].addr, a[i].plen) == v4)
			ret_p[n++] = prefix_of(&a[i].addr, a[i].plen, i);
	for (uint32_t i = 0; i < net->route_cnt; i++)
		if (prefix_is_v4(&r[i].prefix, r[i].plen) == v4)
			ret_p[n++] = prefix_of(&r[i].prefix, r[i].plen, net->address_cnt + i);
	return n;
}

/* Each array has at most two ranges for a prefix, and the one at 0. */
static int
fill_ranges(struct sl_fib *f, const struct sl_img_network *net, struct prefix *p)
{
	size_t most = 2 * ((size_t)net->address_cnt + net->route_cnt) + 1;
	struct ranges r = {.first = malloc(most * sizeof(u128)), .hop = malloc(most * 4)};

	f->v6_first = r.first;
	f->v6_hop = r.hop;
	f->v4_first = malloc(most * sizeof(*f->v4_first));
	f->v4_hop = malloc(most * sizeof(*f->v4_hop));
	if (!r.first || !r.hop || !f->v4_first || !f->v4_hop)
		return -ENOMEM;

	flatten(p, gather(net, true, p), UINT32_MAX, &r);
	for (uint32_t i = 0; i < r.cnt; i++) {
		f->v4_first[i] = (uint32_t)r.first[i];
		f->v4_hop[i] = r.hop[i];
	}
	f->v4_cnt = r.cnt;
	r.cnt = 0;
	flatten(p, gather(net, false, p), ~(u128)0, &r);
	f->v6_cnt = r.cnt;
	return 0;
}

int
sl_fib_create(const struct sl_img_network *net, int (*port_of)(void *ctx, const char *name),
	      void *ctx, struct sl_fib **ret_fib, uint32_t *ret_bad)
{
	size_t n = (size_t)net->address_cnt + net->route_cnt;
	struct sl_fib *f = calloc(1, sizeof(*f));
	struct prefix *p = malloc((n + 1) * sizeof(*p));
	int err = -ENOMEM;

	if (f && p && (f->hops = calloc(n + 1, sizeof(*f->hops))) != NULL)
		err = fill_hops(f, net, port_of, ctx, ret_bad);
	if (err == 0)
		err = fill_ranges(f, net, p);
	free(p);
	if (err) {
		sl_fib_destroy(f);
		return err;
	}
	*ret_fib = f;
	return 0;
}

void
sl_fib_destroy(struct sl_fib *f)
{
	if (!f)
		return;
	free(f->v4_first);
	free(f->v4_hop);
	free(f->v6_first);
	free(f->v6_hop);
	free(f->hops);
	free(f);
}
