/* Judging a table that nobody stands by.
 *
 *   1. every place of a bucket: entry in range and claimed by no other place, plausible, check right, hash leads here,
 *      record right.  What is not is cleared; expired ones too.  Overflow counts and flags grow with what stays.
 *   2. pairs: halves that do not name each other are cleared; a half takes the time of a partner that was seen later.
 *   3. free lists: whatever nobody claimed.
 *
 * A kill in here leaves a table that the next adoption judges in the same way: nothing is written that was not true
 * before, and the head's counts are made last. */
#include "lb/flow_adopt.h"
#include "lb/flow_priv.h"

#include <stdlib.h>

#define OLD (3600 * 4) /* quarter seconds */
#define AHEAD 8        /* buckets */

struct adoption {
	struct sl_flow_table *t;
	uint64_t *entries, *records; /* bits: claimed */
	uint32_t now_q;
	bool all_over; /* too old, every flow of it */
	uint32_t fresh, xlat_fresh;
	uint64_t lost, lost_halves;
	struct sl_flow_adopted sum;
};

enum verdict {
	LOST,
	EXPIRED,
	KEPT,
	AGAIN, /* kept by another place */
};

static bool
bit_get(const uint64_t *bits, uint32_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static void
bit_flip(uint64_t *bits, uint32_t i)
{
	bits[i / 64] ^= 1ull << i % 64;
}

static uint64_t *
bits_alloc(uint32_t n)
{
	return calloc(n / 64 + 1, sizeof(uint64_t));
}

static bool
is_over(const struct adoption *a, struct place p)
{
	return a->all_over || left_at(a->t, p, a->now_q) <= 0;
}

/* ---- 1. places ---- */

/* The live entry of the same tuple as f's that lies in bucket `at`, in a way of `among`, or NONE. */
static uint32_t
twin_in(const struct adoption *a, const struct sl_flow *f, uint32_t at, uint16_t tag,
	unsigned among)
{
	const struct sl_flow_bucket *b = bucket_at(a->t, at);
	struct sl_tuple k = sl_flow_tuple(f);

	for (unsigned m = ways_matching(b, tag, a->now_q) & among; m; m &= m - 1) {
		uint32_t idx = b->idx[__builtin_ctz(m)] & IDX_MASK;
		if (idx < a->t->capacity && same_tuple(entry_at(a->t, idx), &k))
			return idx;
	}
	return NONE;
}

static enum verdict
judge(const struct adoption *a, struct place p, uint64_t *ret_hash)
{
	const struct sl_flow_table *t = a->t;
	const struct sl_flow_bucket *b = bucket_at(t, p.bucket);
	uint32_t idx = b->idx[p.way] & IDX_MASK;
	uint16_t tag = b->tag[p.way];

	if (idx >= t->capacity)
		return LOST;
	const struct sl_flow *f = entry_at(t, idx);
	uint64_t hash = hash_of_entry(t, f);
	if (!is_plausible(f) || !leads_to(t, f, p.bucket, tag, hash))
		return LOST;
	if (bit_get(a->entries, idx))
		return AGAIN;
	if (has_record(f->state) &&
	    (f->xlat >= t->xlat_capacity || !is_record_of(xlat_at(t, f->xlat), idx)))
		return LOST;
	/* Of a pair the partner may have time left. */
	if (!(f->state & SL_FLOW_PAIR) && is_over(a, p))
		return EXPIRED;
	uint32_t primary = primary_of(t, hash);
	uint32_t twin = twin_in(a, f, p.bucket, tag, (1u << p.way) - 1);
	if (twin == NONE && primary != p.bucket)
		twin = twin_in(a, f, primary, tag, 255);
	if (twin != NONE)
		return twin == idx ? AGAIN : LOST;
	if (is_embryonic(f->state) && t->embryonic == t->embryonic_max)
		return LOST;
	*ret_hash = hash;
	return KEPT;
}

static void
claim(struct adoption *a, struct place p, uint64_t hash)
{
	struct sl_flow_table *t = a->t;
	struct sl_flow_bucket *b = bucket_at(t, p.bucket);
	uint32_t idx = b->idx[p.way] & IDX_MASK, primary = primary_of(t, hash);
	struct sl_flow *f = entry_at(t, idx);
	uint16_t longest = timeout_of(state_of(f));

	idx_store(b, p.way, idx | (is_embryonic(f->state) ? IDX_EMBRYONIC : 0));
	if (left_at(t, p, a->now_q) > longest)
		b->expire[p.way] = (uint16_t)(a->now_q + longest);
	if (p.bucket != primary)
		over_add(t, primary, 1);
	bit_flip(a->entries, idx);
	a->fresh = SL_MAX(a->fresh, idx + 1);
	t->active++;
	t->embryonic += is_embryonic(f->state);
	if (f->state & SL_FLOW_PAIR) {
		t->pairs++;
	} else {
		a->sum.kept++;
		if (!(f->state & (SL_FLOW_NAT | SL_FLOW_REPLY)))
			f->xlat = 0;
	}
	if (has_record(f->state)) {
		bit_flip(a->records, f->xlat);
		a->xlat_fresh = SL_MAX(a->xlat_fresh, f->xlat + 1);
		t->xlat_used++;
	}
}

/* Whether what lies at a place that is lost calls itself half of a pair: then its partner will be lost too. */
static bool
looks_like_half(const struct sl_flow_table *t, struct place p)
{
	uint32_t idx = bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK;

	return idx < t->capacity && (entry_at(t, idx)->state & SL_FLOW_PAIR);
}

static void
judge_bucket(struct adoption *a, uint32_t at)
{
	struct sl_flow_bucket *b = bucket_at(a->t, at);

	for (unsigned way = 0; way < WAYS; way++) {
		struct place p = {at, way};
		uint64_t hash = 0;
		enum verdict v = b->tag[way] ? judge(a, p, &hash) : EXPIRED;
		if (v == KEPT) {
			claim(a, p, hash);
			continue;
		}
		if (v == LOST)
			*(looks_like_half(a->t, p) ? &a->lost_halves : &a->lost) += 1;
		else if (v == EXPIRED)
			a->sum.expired += b->tag[way] != 0;
		b->tag[way] = 0;
		idx_store(b, way, 0);
	}
}

static void
prefetch_named(const struct sl_flow_table *t, uint32_t at)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);

	for (unsigned m = 255u & ~ways_free(b); m; m &= m - 1) {
		uint32_t idx = b->idx[__builtin_ctz(m)] & IDX_MASK;
		if (idx < t->capacity)
			prefetch_entry(t, idx);
	}
}

static void
judge_places(struct adoption *a)
{
	for (uint32_t at = 0; at < a->t->bucket_cnt; at++)
		bucket_at(a->t, at)->idx[0] &= ~OVER_MASK;
	for (uint32_t at = 0; at < a->t->bucket_cnt; at++) {
		if (at + AHEAD < a->t->bucket_cnt)
			prefetch_named(a->t, at + AHEAD);
		judge_bucket(a, at);
	}
}

/* ---- 2. pairs ---- */

static void
drop_half(struct adoption *a, struct place p)
{
	struct sl_flow_table *t = a->t;
	uint32_t idx = bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK;
	const struct sl_flow *f = entry_at(t, idx);

	t->active--;
	t->pairs--;
	t->embryonic -= is_embryonic(f->state);
	place_clear(t, p, primary_of_entry(t, f));
	bit_flip(a->entries, idx);
}

/* A killed writer can have moved one half's state alone: the forward half's holds. */
static void
reply_follows(struct sl_flow_table *t, const struct sl_flow *forward, struct sl_flow *reply,
	      struct place q)
{
	struct sl_flow_bucket *b = bucket_at(t, q.bucket);

	t->embryonic += (uint32_t)is_embryonic(forward->state) - is_embryonic(reply->state);
	reply->state = mirror(forward->state);
	idx_store(b, q.way, forward->xlat | (is_embryonic(reply->state) ? IDX_EMBRYONIC : 0));
}

static void
judge_pair(struct adoption *a, struct place p)
{
	struct sl_flow_table *t = a->t;
	uint32_t idx = bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK;
	const struct sl_flow *f = entry_at(t, idx);
	uint32_t partner = f->xlat;

	if (partner >= t->capacity || !bit_get(a->entries, partner) ||
	    !are_partners(f, idx, entry_at(t, partner))) {
		drop_half(a, p);
		a->lost_halves++;
		return;
	}
	if (f->state & SL_FLOW_REPLY)
		return;
	struct place q = place_of_entry(t, partner);
	if (is_over(a, p) && is_over(a, q)) {
		drop_half(a, p);
		drop_half(a, q);
		a->sum.expired++;
		return;
	}
	reply_follows(t, f, entry_at(t, partner), q);
	uint16_t *pe = &bucket_at(t, p.bucket)->expire[p.way];
	uint16_t *qe = &bucket_at(t, q.bucket)->expire[q.way];
	if (is_over(a, p))
		*pe = *qe;
	if (is_over(a, q))
		*qe = *pe;
	a->sum.kept++;
}

static void
judge_pairs(struct adoption *a)
{
	for (uint32_t at = 0; a->t->pairs && at < a->t->bucket_cnt; at++) {
		const struct sl_flow_bucket *b = bucket_at(a->t, at);
		for (unsigned way = 0; way < WAYS; way++) {
			uint32_t idx = b->idx[way] & IDX_MASK;
			if (b->tag[way] && (entry_at(a->t, idx)->state & SL_FLOW_PAIR))
				judge_pair(a, (struct place){at, way});
		}
	}
}

/* ---- 3. free lists ---- */

/* From above, so that low ones are taken first. */
static void
link_free(struct adoption *a)
{
	struct sl_flow_table *t = a->t;

	t->fresh = a->fresh;
	for (uint32_t i = t->fresh; i-- > 0;) {
		if (bit_get(a->entries, i))
			continue;
		entry_at(t, i)->state = SL_FLOW_FREE;
		entry_at(t, i)->xlat = t->free_head;
		t->free_head = i + 1;
	}
	t->xlat_fresh = a->xlat_fresh;
	for (uint32_t i = t->xlat_fresh; i-- > 0;) {
		if (bit_get(a->records, i))
			continue;
		xlat_at(t, i)->flow = t->xlat_free_head;
		t->xlat_free_head = i + 1;
	}
}

/* ---- a table ---- */

/* What the worker wrote in the head starts from nothing; its constants are those of its capacity. */
static void
head_reset(struct sl_flow_table *t)
{
	const size_t written = offsetof(struct sl_flow_table, active);

	memset((char *)t + written, 0, sizeof(*t) - written);
	t->embryonic_max = t->capacity / 4;
}

static const char *
make_empty(struct sl_flow_table *t, const struct sl_flows_head *h, uint32_t now_q,
	   const struct sl_hash_key *key, const char *why)
{
	/* Entries and records are written before they are read. */
	memset(t, 0, layout_of(h->capacity, h->xlat_capacity).entry_off);
	sl_flow_init(t, h->capacity, h->xlat_capacity, key);
	t->clock_q = now_q;
	return why;
}

static void
adopt(struct adoption *a)
{
	head_reset(a->t);
	judge_places(a);
	judge_pairs(a);
	link_free(a);
	/* Two halves are one flow. */
	a->sum.lost = a->lost + (a->lost_halves + 1) / 2;
	a->t->clock_q = a->now_q;
}

const char *
sl_flow_adopt(const struct sl_flows_head *h, unsigned worker, uint32_t now_q,
	      const struct sl_hash_key *key, struct sl_flow_adopted *ret)
{
	struct sl_flow_table *t = sl_flows_table(h, worker);
	const char *bad = NULL;

	*ret = (struct sl_flow_adopted){0};
	if (!head_agrees(t, h->capacity, h->xlat_capacity))
		return make_empty(t, h, now_q, key,
				  "a flow table's head does not agree with its region's");
	int32_t age = (int32_t)(now_q - t->clock_q);
	struct adoption a = {
		.t = t,
		.entries = bits_alloc(t->capacity),
		.records = bits_alloc(t->xlat_capacity),
		.now_q = now_q,
		.all_over = age > OLD || age < -OLD,
	};
	if (a.entries && a.records) {
		adopt(&a);
		*ret = a.sum;
	} else {
		bad = make_empty(t, h, now_q, key, "no memory to judge a flow table with");
	}
	free(a.entries);
	free(a.records);
	return bad;
}

/* ---- other workers ---- */

static void
deal_one(const struct sl_flow_table *from, struct place p, struct sl_flow_table *const *to,
	 unsigned (*owner)(void *ctx, const struct sl_tuple *t), void *ctx, uint32_t now_q,
	 struct sl_flow_adopted *ret)
{
	const struct sl_flow *f = entry_at(from, bucket_at(from, p.bucket)->idx[p.way] & IDX_MASK);
	bool pair = f->state & SL_FLOW_PAIR;
	const struct sl_flow *g = pair ? entry_at(from, f->xlat) : NULL;
	int left = left_at(from, p, now_q), partner_left = 0;
	struct sl_tuple k = sl_flow_tuple(f);

	/* A pair goes with its forward half. */
	if (pair && (f->state & SL_FLOW_REPLY))
		return;
	if (pair) {
		partner_left = left_at(from, place_of_entry(from, f->xlat), now_q);
		int longer = SL_MAX(left, partner_left);
		left = left > 0 ? left : longer;
		partner_left = partner_left > 0 ? partner_left : longer;
	}
	if (left <= 0) {
		ret->expired++;
		return;
	}
	unsigned w = owner(ctx, &k);
	bool together = true;
	if (pair) {
		struct sl_tuple r = sl_flow_tuple(g);
		together = owner(ctx, &r) == w;
	}
	const struct sl_xlat *x = has_record(f->state) ? xlat_at(from, f->xlat) : NULL;
	bool dealt = together && sl_flow_copy(to[w], f, left, x, g, partner_left, now_q);
	*(dealt ? &ret->kept : &ret->lost) += 1;
}

void
sl_flow_deal(const struct sl_flow_table *from, struct sl_flow_table *const *to,
	     unsigned (*owner)(void *ctx, const struct sl_tuple *t), void *ctx, uint32_t now_q,
	     struct sl_flow_adopted *ret)
{
	*ret = (struct sl_flow_adopted){0};
	for (uint32_t at = 0; at < from->bucket_cnt; at++) {
		unsigned m = 255u & ~ways_free(bucket_at(from, at));
		for (; m; m &= m - 1)
			deal_one(from, (struct place){at, (unsigned)__builtin_ctz(m)}, to, owner,
				 ctx, now_q, ret);
	}
}

void
sl_flow_each(struct sl_flow_table *t, void (*fn)(void *ctx, struct sl_flow *f), void *ctx)
{
	for (uint32_t at = 0; at < t->bucket_cnt; at++) {
		const struct sl_flow_bucket *b = bucket_at(t, at);
		for (unsigned m = 255u & ~ways_free(b); m; m &= m - 1)
			fn(ctx, entry_at(t, b->idx[__builtin_ctz(m)] & IDX_MASK));
	}
}
