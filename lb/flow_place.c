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

static void
drop_half(struct sl_flow_table *t, struct place p, uint32_t primary)
{
	uint32_t idx = bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK;
	struct sl_flow *f = entry_at(t, idx);

	t->embryonic -= is_embryonic(f->state);
	if (has_record(f->state))
		xlat_give(t, f->xlat);
	place_clear(t, p, primary);
	entry_give(t, idx);
}

void
sl_flow_drop(struct sl_flow_table *t, struct place p, uint32_t primary)
{
	const struct sl_flow *f = entry_at(t, bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK);

	if (f->state & SL_FLOW_PAIR) {
		uint64_t hash = hash_of_entry(t, entry_at(t, f->xlat));
		struct place q = place_of(t, hash, f->xlat);
		SL_ASSERT(q.bucket != NONE);
		drop_half(t, q, primary_of(t, hash));
		t->pairs -= 2;
	}
	drop_half(t, p, primary);
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
		/* In two places for a moment, never in none: who reads beside us, or after a kill, finds it. */
		place_set(t, to, primary, tag, b->expire[way], idx_and_flag);
		__atomic_signal_fence(__ATOMIC_RELEASE);
		place_clear(t, from, primary);
		return from;
	}
	return (struct place){NONE, 0};
}

/* A flow that wants a place. */
struct wish {
	uint64_t hash;
	uint32_t b1, b2; /* primary bucket, second */
	uint32_t keep;   /* an entry that must not go for it, or NONE */
	uint8_t state;
};

static struct wish
wish_of(const struct sl_flow_table *t, uint64_t hash, uint8_t state, uint32_t keep)
{
	uint32_t b1 = primary_of(t, hash);

	return (struct wish){hash, b1, other_of(t, b1, tag_of(hash)), keep, state};
}

/* What is left of an entry's time; of a pair, by the half that was seen last. */
static int
left_of_flow(const struct sl_flow_table *t, struct place p, uint32_t now_q)
{
	const struct sl_flow *f = entry_at(t, bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK);
	int left = left_at(t, p, now_q);

	if (!(f->state & SL_FLOW_PAIR))
		return left;
	int partner = left_at(t, place_of_entry(t, f->xlat), now_q);
	return SL_MAX(left, partner);
}

/* Of the used places of w's buckets the one with the least time left between two bounds (exclusive); with embryonic
 * set, of the embryonic ones. */
static struct place
place_least(const struct sl_flow_table *t, const struct wish *w, bool embryonic, int above,
	    int below, uint32_t now_q)
{
	int left[2 * WAYS];
	unsigned best;

	for (unsigned i = 0; i < 2 * WAYS; i++) {
		const struct sl_flow_bucket *b = bucket_at(t, i < WAYS ? w->b1 : w->b2);
		unsigned way = i % WAYS;
		bool no = b->tag[way] == 0 || (b->idx[way] & IDX_MASK) == w->keep ||
			  (embryonic && !(b->idx[way] & IDX_EMBRYONIC));
		left[i] = no ? INT32_MAX : (int16_t)(b->expire[way] - now_q);
	}
	for (;;) {
		int least = below;
		best = 2 * WAYS;
		for (unsigned i = 0; i < 2 * WAYS; i++) {
			if (left[i] < least && left[i] > above) {
				least = left[i];
				best = i;
			}
		}
		if (best == 2 * WAYS)
			return (struct place){NONE, 0};
		struct place p = {best < WAYS ? w->b1 : w->b2, best % WAYS};
		if (t->pairs == 0)
			return p;
		/* The partner may have been seen later: then it competes with that. */
		int really = left_of_flow(t, p, now_q);
		if (really == least)
			return p;
		left[best] = really;
	}
}

/* What has to go so that w can be placed, or NONE with the reason.  The established flow that has been silent for
 * longest: what is left of its time says so, and no other state has so much of it. */
static struct place
victim_for(const struct sl_flow_table *t, const struct wish *w, bool at_embryonic_max,
	   uint32_t now_q, unsigned *ret_reason)
{
	struct place p = place_least(t, w, at_embryonic_max, INT16_MIN - 1, INT16_MAX + 1, now_q);

	if (p.bucket != NONE && left_of_flow(t, p, now_q) <= 0)
		return p;
	if (!at_embryonic_max)
		p = place_least(t, w, true, INT16_MIN - 1, INT16_MAX + 1, now_q);
	if (p.bucket != NONE)
		return p;
	*ret_reason = at_embryonic_max ? SL_DROP_EMBRYONIC : SL_DROP_FLOW_FULL;
	if (at_embryonic_max)
		return (struct place){NONE, 0};
	return place_least(t, w, false, SL_FLOW_T_SYN, SL_FLOW_T_EST - SL_FLOW_IDLE_MIN + 1, now_q);
}

/* Of a pair both go, and the forward half is reported. */
static void
evict(struct sl_flow_table *t, struct place p, struct sl_flow_evicted *ret_evicted)
{
	const struct sl_flow *f = entry_at(t, bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK);
	bool reply_of_pair = (f->state & SL_FLOW_PAIR) && (f->state & SL_FLOW_REPLY);

	ret_evicted->any = true;
	ret_evicted->flow = reply_of_pair ? *entry_at(t, f->xlat) : *f;
	if (has_record(f->state))
		ret_evicted->xlat = *xlat_at(t, f->xlat);
	sl_flow_drop(t, p, primary_of_entry(t, f));
}

static struct place
place_without_victim(const struct sl_flow_table *t, const struct wish *w, uint32_t now_q)
{
	struct place p = place_free(t, w->b1);

	if (p.bucket == NONE)
		p = place_free(t, w->b2);
	if (p.bucket != NONE || ways_expired(bucket_at(t, w->b1), now_q) ||
	    ways_expired(bucket_at(t, w->b2), now_q))
		return p;
	p = place_by_moving(t, w->b1);
	return p.bucket != NONE ? p : place_by_moving(t, w->b2);
}

static bool
xlat_left(const struct sl_flow_table *t, struct place victim)
{
	if (t->xlat_used < t->xlat_capacity)
		return true;
	if (victim.bucket == NONE)
		return false;
	uint32_t idx = bucket_at(t, victim.bucket)->idx[victim.way] & IDX_MASK;
	return has_record(entry_at(t, idx)->state);
}

/* Finds a place, empty, or with *ret_victim one to be emptied; ahead: entries that will come before this one. */
static struct place
place_find(const struct sl_flow_table *t, const struct wish *w, unsigned ahead, uint32_t now_q,
	   struct place *ret_victim, unsigned *ret_reason)
{
	bool embryonic = is_embryonic(w->state);
	bool at_max = embryonic && t->embryonic + ahead >= t->embryonic_max;
	struct place p = {NONE, 0};

	*ret_victim = p;
	if (!at_max && t->active + ahead < t->capacity)
		p = place_without_victim(t, w, now_q);
	if (p.bucket == NONE)
		p = *ret_victim = victim_for(t, w, at_max, now_q, ret_reason);
	if (p.bucket != NONE && has_record(w->state) && !xlat_left(t, *ret_victim)) {
		*ret_reason = SL_DROP_XLAT_FULL;
		return (struct place){NONE, 0};
	}
	return p;
}

/* Empties a place, and prefers one in the primary bucket. */
static struct place
place_empty(struct sl_flow_table *t, const struct wish *w, struct place victim,
	    struct sl_flow_evicted *ret_evicted)
{
	evict(t, victim, ret_evicted);
	struct place p = place_free(t, w->b1);
	return p.bucket != NONE ? p : victim;
}

static uint32_t
entry_put(struct sl_flow_table *t, const struct wish *w, struct place p,
	  const struct sl_tuple *tuple, uint32_t slot, uint16_t incarnation, uint16_t expire)
{
	uint32_t idx = entry_take(t);
	bool embryonic = is_embryonic(w->state);

	*entry_at(t, idx) = (struct sl_flow){
		.src = tuple->src,
		.dst = tuple->dst,
		.sport = tuple->sport,
		.dport = tuple->dport,
		.slot = (uint16_t)slot,
		.check = sl_flow_check16(w->hash, slot, incarnation, w->state),
		.incarnation = incarnation,
		.proto = tuple->proto,
		.state = w->state,
		.xlat = has_record(w->state) ? xlat_take(t, idx) : 0,
	};
	place_set(t, p, w->b1, tag_of(w->hash), expire, idx | (embryonic ? IDX_EMBRYONIC : 0));
	t->embryonic += embryonic;
	return idx;
}

static uint32_t
insert(struct sl_flow_table *t, const struct wish *w, const struct sl_tuple *tuple, uint32_t slot,
       uint16_t incarnation, uint32_t now_q, struct sl_flow_evicted *ret_evicted,
       unsigned *ret_reason)
{
	struct place victim, p = place_find(t, w, 0, now_q, &victim, ret_reason);

	if (p.bucket == NONE)
		return SL_FLOW_NONE;
	if (victim.bucket != NONE)
		p = place_empty(t, w, victim, ret_evicted);
	return entry_put(t, w, p, tuple, slot, incarnation,
			 (uint16_t)(now_q + timeout_of(w->state & SL_FLOW_STATE_MASK)));
}

uint32_t
sl_flow_insert(struct sl_flow_table *t, uint64_t hash, const struct sl_tuple *tuple, uint32_t slot,
	       uint16_t incarnation, uint8_t state, uint32_t now_q,
	       struct sl_flow_evicted *ret_evicted, unsigned *ret_reason)
{
	struct wish w = wish_of(t, hash, state, NONE);

	SL_ASSERT(!(state & SL_FLOW_PAIR));
	ret_evicted->any = false;
	return insert(t, &w, tuple, slot, incarnation, now_q, ret_evicted, ret_reason);
}

/* ---- pairs ---- */

static void
pair_join(struct sl_flow_table *t, uint32_t forward, uint32_t reply)
{
	entry_at(t, forward)->xlat = reply;
	entry_at(t, reply)->xlat = forward;
	t->pairs += 2;
}

/* Takes back the first half of a pair that will have no second. */
static void
pair_undo(struct sl_flow_table *t, uint32_t forward)
{
	uint64_t hash = hash_of_entry(t, entry_at(t, forward));

	drop_half(t, place_of(t, hash, forward), primary_of(t, hash));
}

uint32_t
sl_flow_insert_pair(struct sl_flow_table *t, const struct sl_tuple *forward, uint64_t forward_hash,
		    const struct sl_tuple *reply, uint64_t reply_hash, uint32_t slot,
		    uint16_t incarnation, uint8_t state, uint32_t now_q,
		    struct sl_flow_evicted ret_evicted[2], unsigned *ret_reason)
{
	struct wish first = wish_of(t, forward_hash, state | SL_FLOW_NAT | SL_FLOW_PAIR, NONE);
	struct wish second = wish_of(t, reply_hash, state | SL_FLOW_REPLY | SL_FLOW_PAIR, NONE);
	struct place victim;

	ret_evicted[0].any = ret_evicted[1].any = false;
	/* Nothing is taken away for the first half where the second has no hope. */
	if (place_find(t, &second, 1, now_q, &victim, ret_reason).bucket == NONE)
		return SL_FLOW_NONE;
	uint32_t a =
		insert(t, &first, forward, slot, incarnation, now_q, &ret_evicted[0], ret_reason);
	if (a == SL_FLOW_NONE)
		return SL_FLOW_NONE;
	second.keep = a;
	uint32_t b =
		insert(t, &second, reply, slot, incarnation, now_q, &ret_evicted[1], ret_reason);
	if (sl_unlikely(b == SL_FLOW_NONE)) {
		pair_undo(t, a);
		return SL_FLOW_NONE;
	}
	pair_join(t, a, b);
	return a;
}

/* ---- copies ---- */

static uint32_t
copy_half(struct sl_flow_table *t, const struct sl_flow *f, int left, uint32_t now_q)
{
	struct wish w = wish_of(t, hash_of_entry(t, f), f->state, NONE);
	bool at_max = is_embryonic(f->state) && t->embryonic >= t->embryonic_max;
	struct sl_tuple k = sl_flow_tuple(f);

	if (at_max || t->active == t->capacity ||
	    sl_flow_find(t, w.hash, &k, now_q) != SL_FLOW_NONE)
		return SL_FLOW_NONE;
	struct place p = place_without_victim(t, &w, now_q);
	if (p.bucket == NONE)
		return SL_FLOW_NONE;
	return entry_put(t, &w, p, &k, f->slot, f->incarnation, (uint16_t)(now_q + (uint32_t)left));
}

bool
sl_flow_copy(struct sl_flow_table *t, const struct sl_flow *f, int left, const struct sl_xlat *x,
	     const struct sl_flow *g, int partner_left, uint32_t now_q)
{
	if (has_record(f->state) && t->xlat_used == t->xlat_capacity)
		return false;
	uint32_t a = copy_half(t, f, left, now_q);
	if (a == SL_FLOW_NONE)
		return false;
	if (f->state & SL_FLOW_PAIR) {
		uint32_t b = copy_half(t, g, partner_left, now_q);
		if (b == SL_FLOW_NONE) {
			pair_undo(t, a);
			return false;
		}
		pair_join(t, a, b);
	} else if (has_record(f->state)) {
		struct sl_xlat *r = xlat_at(t, entry_at(t, a)->xlat);
		*r = *x;
		r->flow = a;
		sl_flow_xlat_seal(r);
	} else {
		entry_at(t, a)->xlat = f->xlat;
	}
	return true;
}
