/* Which place a flow gets, and who has to go for it: the primary bucket, the second one, a neighbour's that can be
 * moved, then that of a victim (flow.h has the order). */
#include "lb/flow_priv.h"

/* ---- entries and records ---- */

static uint32_t
entry_take(struct sl_flow_table *t)
{
	uint32_t idx;

	if (t->free_head) {
		idx = t->free_head - 1;
		t->free_head = entry_at(t, idx)->xlat;
		/* The next insert will want the link in there. */
		prefetch_entry(t, t->free_head - (t->free_head != 0));
	} else {
		idx = t->fresh++;
	}
	t->active++;
	return idx;
}

static void
entry_give(struct sl_flow_table *t, uint32_t idx)
{
	struct sl_flow *f = entry_at(t, idx);

	f->state = SL_FLOW_FREE;
	f->xlat = t->free_head;
	t->free_head = idx + 1;
	t->active--;
}

static uint32_t
xlat_take(struct sl_flow_table *t, uint32_t flow)
{
	uint32_t x;

	if (t->xlat_free_head) {
		x = t->xlat_free_head - 1;
		t->xlat_free_head = xlat_at(t, x)->flow;
	} else {
		x = t->xlat_fresh++;
	}
	t->xlat_used++;
	*xlat_at(t, x) = (struct sl_xlat){.flow = flow};
	return x;
}

static void
xlat_give(struct sl_flow_table *t, uint32_t x)
{
	xlat_at(t, x)->flow = t->xlat_free_head;
	t->xlat_free_head = x + 1;
	t->xlat_used--;
}

void
sl_flow_drop(struct sl_flow_table *t, struct place p, uint32_t primary)
{
	uint32_t idx = bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK;
	struct sl_flow *f = entry_at(t, idx);

	if (state_of(f) == SL_FLOW_EMBRYONIC)
		t->embryonic--;
	if (f->state & SL_FLOW_REPLY)
		xlat_give(t, f->xlat);
	place_clear(t, p, primary);
	entry_give(t, idx);
}

void
sl_flow_remove(struct sl_flow_table *t, uint64_t hash, uint32_t idx)
{
	struct place p = place_of(t, hash, idx);

	SL_ASSERT(p.bucket != NONE);
	sl_flow_drop(t, p, primary_of(t, hash));
}

/* ---- insert ---- */

static struct place
place_free(const struct sl_flow_table *t, uint32_t at)
{
	unsigned m = ways_free(bucket_at(t, at));
	return m ? (struct place){at, (unsigned)__builtin_ctz(m)} : (struct place){NONE, 0};
}

/* Of the used places of two buckets the one nearest to expiry (or longest past it); with embryonic set,
 * of the embryonic ones. */
static struct place
place_nearest(const struct sl_flow_table *t, uint32_t b1, uint32_t b2, bool embryonic,
	      uint32_t now_q)
{
	struct place best = {NONE, 0};
	int16_t least = INT16_MAX;

	for (unsigned i = 0; i < 2 * WAYS; i++) {
		uint32_t at = i < WAYS ? b1 : b2;
		const struct sl_flow_bucket *b = bucket_at(t, at);
		unsigned way = i % WAYS;
		int16_t left = (int16_t)(b->expire[way] - now_q);
		if (b->tag[way] == 0 || left >= least)
			continue;
		if (embryonic && !(b->idx[way] & IDX_EMBRYONIC))
			continue;
		least = left;
		best = (struct place){at, way};
	}
	return best;
}

/* Moves one entry of bucket `at` to its other bucket, if one of those has room, and returns the place it
 * had. */
static struct place
place_by_moving(const struct sl_flow_table *t, uint32_t at)
{
	struct sl_flow_bucket *b = bucket_at(t, at);

	for (unsigned way = 0; way < WAYS; way++)
		sl_prefetch(bucket_at(t, other_of(t, at, b->tag[way])));
	for (unsigned way = 0; way < WAYS; way++) {
		struct place from = {at, way};
		struct place to = place_free(t, other_of(t, at, b->tag[way]));
		if (to.bucket == NONE)
			continue;
		uint32_t idx_and_flag = b->idx[way] & (IDX_MASK | IDX_EMBRYONIC);
		uint32_t primary = primary_of_entry(t, entry_at(t, idx_and_flag & IDX_MASK));
		uint16_t tag = b->tag[way];
		place_clear(t, from, primary);
		place_set(t, to, primary, tag, b->expire[way], idx_and_flag);
		return from;
	}
	return (struct place){NONE, 0};
}

/* The established flow that has been silent for longest, at least SL_FLOW_IDLE_MIN: what is left of its time says
 * so, and no other state has so much of it. */
static struct place
place_idlest(const struct sl_flow_table *t, uint32_t b1, uint32_t b2, uint32_t now_q)
{
	const uint32_t at[2] = {b1, b2};
	struct place p = {NONE, 0};
	int least = SL_FLOW_T_EST - SL_FLOW_IDLE_MIN + 1;

	for (unsigned i = 0; i < 16; i++) {
		const struct sl_flow_bucket *b = bucket_at(t, at[i / 8]);
		int left = (int16_t)(b->expire[i % 8] - now_q);
		if (b->tag[i % 8] && left > SL_FLOW_T_SYN && left < least) {
			least = left;
			p = (struct place){at[i / 8], i % 8};
		}
	}
	return p;
}

/* What has to go so that a flow can be placed in b1 or b2, or NONE with the reason. */
static struct place
victim_for(const struct sl_flow_table *t, uint32_t b1, uint32_t b2, bool at_embryonic_max,
	   uint32_t now_q, unsigned *ret_reason)
{
	struct place p = place_nearest(t, b1, b2, at_embryonic_max, now_q);

	if (p.bucket != NONE) {
		const struct sl_flow_bucket *b = bucket_at(t, p.bucket);
		bool expired = (int16_t)(b->expire[p.way] - now_q) <= 0;
		if (expired || (b->idx[p.way] & IDX_EMBRYONIC))
			return p;
	}
	*ret_reason = at_embryonic_max ? SL_DROP_EMBRYONIC : SL_DROP_FLOW_FULL;
	return at_embryonic_max ? (struct place){NONE, 0} : place_idlest(t, b1, b2, now_q);
}

static void
evict(struct sl_flow_table *t, struct place p, struct sl_flow_evicted *ret_evicted)
{
	const struct sl_flow *f = entry_at(t, bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK);

	ret_evicted->any = true;
	ret_evicted->flow = *f;
	if (f->state & SL_FLOW_REPLY)
		ret_evicted->xlat = *xlat_at(t, f->xlat);
	sl_flow_drop(t, p, primary_of_entry(t, f));
}

static struct place
place_without_victim(const struct sl_flow_table *t, uint32_t b1, uint32_t b2, uint32_t now_q)
{
	struct place p = place_free(t, b1);

	if (p.bucket == NONE)
		p = place_free(t, b2);
	if (p.bucket != NONE || ways_expired(bucket_at(t, b1), now_q) ||
	    ways_expired(bucket_at(t, b2), now_q))
		return p;
	p = place_by_moving(t, b1);
	return p.bucket != NONE ? p : place_by_moving(t, b2);
}

static bool
xlat_left(const struct sl_flow_table *t, struct place victim)
{
	if (t->xlat_used < t->xlat_capacity)
		return true;
	if (victim.bucket == NONE)
		return false;
	uint32_t idx = bucket_at(t, victim.bucket)->idx[victim.way] & IDX_MASK;
	return entry_at(t, idx)->state & SL_FLOW_REPLY;
}

uint32_t
sl_flow_insert(struct sl_flow_table *t, uint64_t hash, const struct sl_tuple *tuple, uint32_t slot,
	       uint16_t incarnation, uint8_t state, uint32_t now_q,
	       struct sl_flow_evicted *ret_evicted, unsigned *ret_reason)
{
	uint16_t tag = tag_of(hash);
	uint32_t b1 = primary_of(t, hash), b2 = other_of(t, b1, tag);
	bool embryonic = (state & SL_FLOW_STATE_MASK) == SL_FLOW_EMBRYONIC;
	bool at_max = embryonic && t->embryonic >= t->embryonic_max;
	struct place p = {NONE, 0}, victim = {NONE, 0};

	ret_evicted->any = false;
	if (!at_max && t->active < t->capacity)
		p = place_without_victim(t, b1, b2, now_q);
	if (p.bucket == NONE) {
		victim = victim_for(t, b1, b2, at_max, now_q, ret_reason);
		if (victim.bucket == NONE)
			return SL_FLOW_NONE;
	}
	if ((state & SL_FLOW_REPLY) && !xlat_left(t, victim)) {
		*ret_reason = SL_DROP_XLAT_FULL;
		return SL_FLOW_NONE;
	}
	if (victim.bucket != NONE) {
		evict(t, victim, ret_evicted);
		p = place_free(t, b1);
		if (p.bucket == NONE)
			p = victim;
	}

	uint32_t idx = entry_take(t);
	struct sl_flow *f = entry_at(t, idx);
	*f = (struct sl_flow){
		.src = tuple->src,
		.dst = tuple->dst,
		.sport = tuple->sport,
		.dport = tuple->dport,
		.slot = (uint16_t)slot,
		.check = sl_flow_check16(slot, incarnation),
		.incarnation = incarnation,
		.proto = tuple->proto,
		.state = state,
		.xlat = state & SL_FLOW_REPLY ? xlat_take(t, idx) : 0,
	};
	uint16_t expire = (uint16_t)(now_q + timeout_of(state & SL_FLOW_STATE_MASK));
	place_set(t, p, b1, tag, expire, idx | (embryonic ? IDX_EMBRYONIC : 0));
	t->embryonic += embryonic;
	return idx;
}
