/* region — a flow region with flows of every mode in it, and what may be found in it afterwards.
 *
 * Flow n of a region follows from n alone: kind, tuples, endpoint, VIP.  So whoever finds an entry can say what it
 * must be, whatever was done to the region in between.  No CUnit in here: fuzz targets use it too.
 */
#ifndef SL_TESTS_LB_REGION_H
#define SL_TESTS_LB_REGION_H

#include <stdlib.h>
#include <sys/mman.h>

#include "lb/flow_adopt.h"

#define REGION_NOW 100000u

enum region_kind { DSR_TCP, DSR_UDP, NAT_FORWARD, NAT_REPLY, PAIR_TCP, PAIR_UDP, REGION_KINDS };

static inline struct sl_flows_head *
region_make(unsigned workers, uint32_t capacity, uint32_t xlat_capacity)
{
	struct sl_flows_head want = {.region = 7, .boot_id = 8};

	for (unsigned i = 0; i < sizeof(want.rss_key); i++)
		want.rss_key[i] = (uint8_t)(i * 5 + 1);
	if (sl_flows_layout(&want, workers, capacity, xlat_capacity) != 0)
		abort();
	sl_flows_seal(&want);
	struct sl_flows_head *h =
		mmap(NULL, want.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (h == MAP_FAILED)
		abort();
	*h = want;
	for (unsigned w = 0; w < workers; w++) {
		struct sl_hash_key key;
		for (unsigned i = 0; i < sizeof(key.b); i++)
			key.b[i] = (uint8_t)(i * 37 + w * 11 + 3);
		if (!sl_flow_init(sl_flows_table(h, w), capacity, xlat_capacity, &key))
			abort();
	}
	return h;
}

static inline void
region_free(struct sl_flows_head *h, size_t bytes)
{
	munmap(h, bytes);
}

static inline enum region_kind
region_kind(uint32_t n)
{
	return (enum region_kind)(n % REGION_KINDS);
}

static inline bool
region_is_pair(uint32_t n)
{
	return region_kind(n) >= PAIR_TCP;
}

static inline uint32_t
region_slot(uint32_t n)
{
	return n * 40503u & 0xffff;
}

static inline uint16_t
region_incarnation(uint32_t n)
{
	return (uint16_t)(n * 7 + 1);
}

static inline struct sl_addr
region_vip(uint32_t n)
{
	return sl_addr_from_v4(&n);
}

/* half 1: the reply half of a pair.  The number is in the source (half 0) or the destination. */
static inline struct sl_tuple
region_tuple(uint32_t n, unsigned half)
{
	bool udp = region_kind(n) == DSR_UDP || region_kind(n) == PAIR_UDP;
	struct sl_tuple k = {.proto = udp ? SL_IPPROTO_UDP : SL_IPPROTO_TCP};
	struct sl_addr *a = half ? &k.dst : &k.src;

	k.src.b[0] = k.dst.b[0] = 0x20;
	k.dst.b[15] = half ? 0 : 9;
	memcpy(a->b + 10, &n, 4);
	k.sport = (sl_be16)(n * 31 + half);
	k.dport = half ? (sl_be16)(n + 5000) : 80;
	return k;
}

/* The role that flow n's entries have. */
static inline uint8_t
region_role(uint32_t n, unsigned half)
{
	switch (region_kind(n)) {
	case NAT_FORWARD:
		return SL_FLOW_NAT;
	case NAT_REPLY:
		return SL_FLOW_REPLY;
	case PAIR_TCP:
	case PAIR_UDP:
		return SL_FLOW_PAIR | (half ? SL_FLOW_REPLY : SL_FLOW_NAT);
	default:
		return 0;
	}
}

/* The state flow n is put in. */
static inline uint8_t
region_state(uint32_t n)
{
	static const uint8_t tcp[] = {SL_FLOW_ESTABLISHED, SL_FLOW_ESTABLISHED, SL_FLOW_EMBRYONIC,
				      SL_FLOW_CLOSING};
	static const uint8_t udp[] = {SL_FLOW_UDP, SL_FLOW_UDP, SL_FLOW_UDP, SL_FLOW_UDP_NEW};
	bool is_udp = region_tuple(n, 0).proto == SL_IPPROTO_UDP;

	return (is_udp ? udp : tcp)[n / REGION_KINDS % 4];
}

/* Puts flow n in; its (forward) entry, or SL_FLOW_NONE. */
static inline uint32_t
region_put(struct sl_flow_table *t, uint32_t n, uint32_t now_q)
{
	struct sl_tuple k = region_tuple(n, 0), r = region_tuple(n, 1);
	struct sl_flow_evicted ev[2];
	unsigned reason;

	if (region_is_pair(n))
		return sl_flow_insert_pair(t, &k, sl_flow_hash(t, &k), &r, sl_flow_hash(t, &r),
					   region_slot(n), region_incarnation(n), region_state(n),
					   now_q, ev, &reason);
	uint32_t idx =
		sl_flow_insert(t, sl_flow_hash(t, &k), &k, region_slot(n), region_incarnation(n),
			       region_state(n) | region_role(n, 0), now_q, ev, &reason);
	if (idx != SL_FLOW_NONE && region_kind(n) == NAT_REPLY) {
		struct sl_xlat *x = sl_flow_xlat(t, sl_flow_get(t, idx));
		x->addr = region_vip(n);
		x->port = (sl_be16)n;
		x->told_q = now_q;
		sl_flow_xlat_seal(x);
	} else if (idx != SL_FLOW_NONE && region_kind(n) == NAT_FORWARD) {
		sl_flow_get(t, idx)->xlat = (n & 0xffff) << 16;
	}
	return idx;
}

static inline uint32_t
region_find(const struct sl_flow_table *t, uint32_t n, unsigned half, uint32_t now_q)
{
	struct sl_tuple k = region_tuple(n, half);
	return sl_flow_find(t, sl_flow_hash(t, &k), &k, now_q);
}

/* The number and half of the flow that this tuple is of, below cnt; false: of none. */
static inline bool
region_number(const struct sl_tuple *k, uint32_t cnt, uint32_t *ret_n, unsigned *ret_half)
{
	for (unsigned half = 0; half < 2; half++) {
		uint32_t n = sl_load32((half ? k->dst.b : k->src.b) + 10);
		struct sl_tuple own = region_tuple(n, half);
		if (n < cnt && memcmp(&own, k, sizeof(own)) == 0) {
			*ret_n = n;
			*ret_half = half;
			return true;
		}
	}
	return false;
}

/* ---- judging a table afterwards ---- */

struct region_judge {
	struct sl_flow_table *t;
	uint32_t cnt;    /* flows that were ever put in */
	uint8_t *there;  /* [cnt] bits: half 0, half 1 */
	const char *bad; /* the first thing that is wrong */
};

static inline void
region_judge_one(void *ctx, struct sl_flow *f)
{
	struct region_judge *j = ctx;
	struct sl_tuple k = sl_flow_tuple(f);
	const struct sl_xlat *x = sl_flow_xlat(j->t, f);
	unsigned half;
	uint32_t n;

	if (!region_number(&k, j->cnt, &n, &half)) {
		j->bad = "a flow that never was";
		return;
	}
	if (j->there[n] >> half & 1)
		j->bad = "a flow twice";
	j->there[n] |= (uint8_t)(1 << half);
	if (f->slot != region_slot(n) || f->incarnation != region_incarnation(n))
		j->bad = "a flow of another endpoint";
	else if ((f->state & SL_FLOW_ROLE_MASK) != region_role(n, half))
		j->bad = "a flow in another role";
	else if (region_kind(n) == NAT_REPLY &&
		 (!x || memcmp(x->addr.b, region_vip(n).b, 16) != 0 || x->port != (sl_be16)n))
		j->bad = "a reply half of another VIP";
	else if (region_is_pair(n)) {
		struct sl_tuple g = sl_flow_tuple(sl_flow_get(j->t, sl_flow_partner(f)));
		struct sl_tuple want = region_tuple(n, !half);
		if (memcmp(&g, &want, sizeof(g)) != 0)
			j->bad = "a pair of strangers";
	}
}

/* region_wrong: NULL, or what is in t that must not be.  *ret_kept: flows found (a pair is one). */
static inline const char *
region_wrong(struct sl_flow_table *t, uint32_t cnt, uint32_t *ret_kept)
{
	struct region_judge j = {.t = t, .cnt = cnt, .there = calloc(cnt, 1)};

	*ret_kept = 0;
	j.bad = sl_flow_check(t);
	if (!j.bad)
		sl_flow_each(t, region_judge_one, &j);
	for (uint32_t n = 0; n < cnt && !j.bad; n++) {
		if (j.there[n] && region_is_pair(n) && j.there[n] != 3)
			j.bad = "half a pair";
		*ret_kept += j.there[n] != 0;
	}
	free(j.there);
	return j.bad;
}

#endif
