/* A tuple's keyed hash gives a tag (low 16 bits, never 0) and its primary bucket (high bits).  The second
 * bucket follows from bucket and tag alone and leads back by the same rule, for any number of buckets:
 *
 *     other(b, tag) = spread(tag) − b  (mod bucket_cnt)
 *
 * so an entry can be moved to its other bucket without reading it.  An insert goes to the primary bucket
 * while that has room, then to the second, then moves a neighbour out of the way; a count in the primary
 * says how many of its entries lie elsewhere, so most misses read one line.  All eight tags and expiries of
 * a bucket are judged at once; an entry is read only after its tag has matched.
 *
 *   table: head │ bucket[bucket_cnt] × 64 │ entry[capacity] × 48 │ xlat[xlat_capacity] × 32
 *
 * Free entries and records are linked through indices; those never used yet lie above a high-water mark,
 * so zeroed memory is an empty table.  Nothing here is a pointer. */
#include "lb/flow.h"

#include <stdlib.h>

#include "sluice/pkt.h"

#define MIN_CAPACITY 1024u
#define MAX_CAPACITY (1u << 27)
#define WAYS SL_FLOW_WAYS
#define NONE UINT32_MAX
#define SWEEP_AHEAD 8 /* buckets */

#define IDX_MASK SL_FLOW_IDX_MASK
#define IDX_EMBRYONIC SL_FLOW_IDX_EMBRYONIC
#define IDX_OVER_SHIFT SL_FLOW_IDX_OVER_SHIFT
#define OVER_MAX 15u
#define OVER_MASK (OVER_MAX << IDX_OVER_SHIFT)

/* A place in a bucket. */
struct place {
	uint32_t bucket; /* NONE: nowhere */
	unsigned way;
};

static inline const struct sl_hash_key *
key_of(const struct sl_flow_table *t)
{
	return (const struct sl_hash_key *)(const void *)t->key;
}

static inline struct sl_flow_bucket *
bucket_at(const struct sl_flow_table *t, uint32_t b)
{
	return (struct sl_flow_bucket *)(uintptr_t)(t + 1) + b;
}

static inline struct sl_flow *
entry_at(const struct sl_flow_table *t, uint32_t idx)
{
	return (struct sl_flow *)((uintptr_t)t + t->entry_off) + idx;
}

static inline struct sl_xlat *
xlat_at(const struct sl_flow_table *t, uint32_t x)
{
	return (struct sl_xlat *)((uintptr_t)t + t->xlat_off) + x;
}

static inline uint16_t
tag_of(uint64_t hash)
{
	uint16_t tag = (uint16_t)hash;
	return tag ? tag : 1;
}

static inline uint32_t
primary_of(const struct sl_flow_table *t, uint64_t hash)
{
	return sl_hash_reduce(hash, t->bucket_cnt);
}

static inline uint32_t
other_of(const struct sl_flow_table *t, uint32_t b, uint16_t tag)
{
	uint32_t spread = (uint32_t)((uint64_t)(tag * 0x9e3779b1u) * t->bucket_cnt >> 32);
	return spread >= b ? spread - b : spread - b + t->bucket_cnt;
}

static inline uint32_t
over_cnt(const struct sl_flow_bucket *b)
{
	return b->idx[0] >> IDX_OVER_SHIFT;
}

static inline __m128i
tags_of(const struct sl_flow_bucket *b)
{
	return _mm_load_si128((const __m128i *)(const void *)b->tag);
}

/* Eight 16-bit truths → eight bits. */
static inline unsigned
ways(__m128i truths)
{
	return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(truths, _mm_setzero_si128()));
}

/* 0xffff where the entry's time is still to come. */
static inline __m128i
live(const struct sl_flow_bucket *b, uint32_t now_q)
{
	__m128i expire = _mm_load_si128((const __m128i *)(const void *)b->expire);
	__m128i left = _mm_sub_epi16(expire, _mm_set1_epi16((short)now_q));
	return _mm_cmpgt_epi16(left, _mm_setzero_si128());
}

static inline unsigned
ways_matching(const struct sl_flow_bucket *b, uint16_t tag, uint32_t now_q)
{
	__m128i same = _mm_cmpeq_epi16(tags_of(b), _mm_set1_epi16((short)tag));
	return ways(_mm_and_si128(same, live(b, now_q)));
}

static inline unsigned
ways_free(const struct sl_flow_bucket *b)
{
	return ways(_mm_cmpeq_epi16(tags_of(b), _mm_setzero_si128()));
}

static inline unsigned
ways_expired(const struct sl_flow_bucket *b, uint32_t now_q)
{
	return 255u & ~(ways_free(b) | ways(live(b, now_q)));
}

static inline uint16_t
timeout_of(unsigned state)
{
	static const uint16_t after[8] = {
		[SL_FLOW_EMBRYONIC] = SL_FLOW_T_SYN,
		[SL_FLOW_ESTABLISHED] = SL_FLOW_T_EST,
		[SL_FLOW_CLOSING] = SL_FLOW_T_CLOSING,
		[SL_FLOW_UDP] = SL_FLOW_T_UDP,
	};

	return after[state];
}

static inline bool
same_tuple(const struct sl_flow *f, const struct sl_tuple *k)
{
	__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)f);
	__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)k);
	__m256i d = _mm256_xor_si256(a, b);

	return _mm256_testz_si256(d, d) && sl_load32(&f->sport) == sl_load32(&k->sport) &&
	       f->proto == k->proto;
}

/* ---- making ---- */

static uint32_t
bucket_cnt_for(uint32_t capacity)
{
	return (capacity + 5) / 6;
}

size_t
sl_flow_bytes(uint32_t capacity, uint32_t xlat_capacity)
{
	if (capacity < MIN_CAPACITY || capacity > MAX_CAPACITY || xlat_capacity > capacity)
		return 0;
	return sizeof(struct sl_flow_table) +
	       bucket_cnt_for(capacity) * sizeof(struct sl_flow_bucket) +
	       capacity * sizeof(struct sl_flow) + xlat_capacity * sizeof(struct sl_xlat);
}

struct sl_flow_table *
sl_flow_init(void *mem, uint32_t capacity, uint32_t xlat_capacity, const struct sl_hash_key *key)
{
	struct sl_flow_table *t = mem;

	if (!sl_flow_bytes(capacity, xlat_capacity) || (uintptr_t)mem % SL_CACHE_LINE)
		return NULL;
	t->version = SL_FLOWS_VERSION;
	t->capacity = capacity;
	t->xlat_capacity = xlat_capacity;
	t->bucket_cnt = bucket_cnt_for(capacity);
	t->embryonic_max = capacity / 4;
	t->entry_off = sizeof(*t) + t->bucket_cnt * sizeof(struct sl_flow_bucket);
	t->xlat_off = t->entry_off + capacity * sizeof(struct sl_flow);
	memcpy(t->key, key->b, sizeof(t->key));
	t->magic = SL_FLOWS_MAGIC;
	return t;
}

/* ---- look-up ---- */

uint64_t
sl_flow_hash(const struct sl_flow_table *t, const struct sl_tuple *tuple)
{
	return sl_hash_tuple_keyed(key_of(t), tuple);
}

void
sl_flow_prefetch(const struct sl_flow_table *t, uint64_t hash)
{
	sl_prefetch(bucket_at(t, primary_of(t, hash)));
}

/* An entry starts on a multiple of 16, so it lies on one line or two. */
static inline void
prefetch_entry(const struct sl_flow_table *t, uint32_t idx)
{
	const char *e = (const char *)entry_at(t, idx);

	sl_prefetch(e);
	sl_prefetch(e + sizeof(struct sl_flow) - 1);
}

void
sl_flow_probe(const struct sl_flow_table *t, uint64_t hash)
{
	uint16_t tag = tag_of(hash);
	uint32_t at = primary_of(t, hash);
	const struct sl_flow_bucket *b = bucket_at(t, at);
	unsigned m = ways(_mm_cmpeq_epi16(tags_of(b), _mm_set1_epi16((short)tag)));

	if (m)
		prefetch_entry(t, b->idx[__builtin_ctz(m)] & IDX_MASK);
	else if (over_cnt(b))
		sl_prefetch(bucket_at(t, other_of(t, at, tag)));
}

static inline uint32_t
find_in(const struct sl_flow_table *t, const struct sl_flow_bucket *b, uint16_t tag,
	const struct sl_tuple *tuple, uint32_t now_q)
{
	for (unsigned m = ways_matching(b, tag, now_q); m; m &= m - 1) {
		uint32_t idx = b->idx[__builtin_ctz(m)] & IDX_MASK;
		if (sl_likely(same_tuple(entry_at(t, idx), tuple)))
			return idx;
	}
	return SL_FLOW_NONE;
}

uint32_t
sl_flow_find(const struct sl_flow_table *t, uint64_t hash, const struct sl_tuple *tuple,
	     uint32_t now_q)
{
	uint16_t tag = tag_of(hash);
	uint32_t at = primary_of(t, hash);
	const struct sl_flow_bucket *b = bucket_at(t, at);
	uint32_t idx = find_in(t, b, tag, tuple, now_q);

	if (idx != SL_FLOW_NONE || over_cnt(b) == 0)
		return idx;
	return find_in(t, bucket_at(t, other_of(t, at, tag)), tag, tuple, now_q);
}

static void refresh(struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint32_t now_q);

/* Three passes over the burst, each touching what the one before has asked for: buckets, entries (or the
 * second bucket), keys. */
void
sl_flow_find_burst(struct sl_flow_table *t, const struct sl_tuple *const *tuples,
		   uint64_t *ret_hash, uint32_t *ret_idx, unsigned n, uint32_t now_q)
{
	struct sl_flow_bucket *bucket[SL_FLOW_BURST];
	uint8_t way[SL_FLOW_BURST];

	for (unsigned i = 0; i < n; i++) {
		ret_hash[i] = sl_hash_tuple_keyed(key_of(t), tuples[i]);
		bucket[i] = bucket_at(t, primary_of(t, ret_hash[i]));
		sl_prefetch_w(bucket[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		uint16_t tag = tag_of(ret_hash[i]);
		const struct sl_flow_bucket *b = bucket[i];
		unsigned m = ways_matching(b, tag, now_q);
		if (sl_likely(m)) {
			way[i] = (uint8_t)__builtin_ctz(m);
			ret_idx[i] = b->idx[way[i]] & IDX_MASK;
			prefetch_entry(t, ret_idx[i]);
			continue;
		}
		uint32_t at = primary_of(t, ret_hash[i]);
		ret_idx[i] = SL_FLOW_NONE;
		if (over_cnt(b))
			sl_prefetch(bucket_at(t, other_of(t, at, tag)));
	}
	for (unsigned i = 0; i < n; i++) {
		const struct sl_flow *f = entry_at(t, ret_idx[i]);
		if (sl_likely(ret_idx[i] != SL_FLOW_NONE) && sl_likely(same_tuple(f, tuples[i]))) {
			bucket[i]->expire[way[i]] =
				(uint16_t)(now_q + timeout_of(f->state & SL_FLOW_STATE_MASK));
			continue;
		}
		ret_idx[i] = sl_flow_find(t, ret_hash[i], tuples[i], now_q);
		if (ret_idx[i] != SL_FLOW_NONE)
			refresh(t, ret_hash[i], ret_idx[i], now_q);
	}
}

struct sl_flow *
sl_flow_get(struct sl_flow_table *t, uint32_t idx)
{
	return entry_at(t, idx);
}

struct sl_xlat *
sl_flow_xlat(struct sl_flow_table *t, const struct sl_flow *f)
{
	return f->state & SL_FLOW_REPLY ? xlat_at(t, f->xlat) : NULL;
}

/* ---- places ---- */

static inline struct place
place_in(const struct sl_flow_table *t, uint32_t at, uint32_t idx)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);
	__m256i all = _mm256_load_si256((const __m256i *)(const void *)b->idx);
	__m256i only = _mm256_and_si256(all, _mm256_set1_epi32((int)IDX_MASK));
	__m256i same = _mm256_cmpeq_epi32(only, _mm256_set1_epi32((int)idx));
	unsigned m = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(same)) & ~ways_free(b);

	if (m == 0)
		return (struct place){NONE, 0};
	return (struct place){at, (unsigned)__builtin_ctz(m)};
}

/* Where a used entry's bucket slot is. */
static inline struct place
place_of(const struct sl_flow_table *t, uint64_t hash, uint32_t idx)
{
	uint32_t at = primary_of(t, hash);
	struct place p = place_in(t, at, idx);

	if (sl_likely(p.bucket != NONE))
		return p;
	return place_in(t, other_of(t, at, tag_of(hash)), idx);
}

static void
refresh(struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint32_t now_q)
{
	struct place p = place_of(t, hash, idx);
	unsigned state = entry_at(t, idx)->state & SL_FLOW_STATE_MASK;

	SL_ASSERT(p.bucket != NONE);
	bucket_at(t, p.bucket)->expire[p.way] = (uint16_t)(now_q + timeout_of(state));
}

static void
over_add(const struct sl_flow_table *t, uint32_t primary, int by)
{
	struct sl_flow_bucket *b = bucket_at(t, primary);
	uint32_t cnt = over_cnt(b);

	/* A saturated count has lost what it counted and stays. */
	if (cnt == OVER_MAX)
		return;
	b->idx[0] = (b->idx[0] & ~OVER_MASK) | (cnt + (uint32_t)by) << IDX_OVER_SHIFT;
}

static void
idx_store(struct sl_flow_bucket *b, unsigned way, uint32_t idx_and_flag)
{
	b->idx[way] = (way == 0 ? b->idx[0] & OVER_MASK : 0) | idx_and_flag;
}

static void
place_clear(const struct sl_flow_table *t, struct place p, uint32_t primary)
{
	struct sl_flow_bucket *b = bucket_at(t, p.bucket);

	b->tag[p.way] = 0;
	idx_store(b, p.way, 0);
	if (p.bucket != primary)
		over_add(t, primary, -1);
}

static void
place_set(const struct sl_flow_table *t, struct place p, uint32_t primary, uint16_t tag,
	  uint16_t expire, uint32_t idx_and_flag)
{
	struct sl_flow_bucket *b = bucket_at(t, p.bucket);

	b->tag[p.way] = tag;
	b->expire[p.way] = expire;
	idx_store(b, p.way, idx_and_flag);
	if (p.bucket != primary)
		over_add(t, primary, 1);
}

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

static inline unsigned
state_of(const struct sl_flow *f)
{
	return f->state & SL_FLOW_STATE_MASK;
}

static void
drop_at(struct sl_flow_table *t, struct place p, uint32_t primary)
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

static uint32_t
primary_of_entry(const struct sl_flow_table *t, const struct sl_flow *f)
{
	struct sl_tuple k = sl_flow_tuple(f);
	return primary_of(t, sl_hash_tuple_keyed(key_of(t), &k));
}

void
sl_flow_remove(struct sl_flow_table *t, uint64_t hash, uint32_t idx)
{
	struct place p = place_of(t, hash, idx);

	SL_ASSERT(p.bucket != NONE);
	drop_at(t, p, primary_of(t, hash));
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
	drop_at(t, p, primary_of_entry(t, f));
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

/* ---- state ---- */

/* The state byte after a TCP packet. */
static uint8_t
tcp_next(const struct sl_flow_table *t, uint8_t state, uint8_t tcp_flags, bool other)
{
	unsigned s = state & SL_FLOW_STATE_MASK;
	uint8_t rest = state & (uint8_t)~SL_FLOW_STATE_MASK;
	const uint8_t fins = SL_FLOW_FIN_A | SL_FLOW_FIN_B;

	if (s == SL_FLOW_CLOSING) {
		/* The same ports again: a new connection, as long as new ones are let in. */
		bool opens = (tcp_flags & (SL_TCP_SYN | SL_TCP_ACK)) == SL_TCP_SYN;
		if (opens && t->embryonic < t->embryonic_max)
			return (uint8_t)(rest & ~fins) | SL_FLOW_EMBRYONIC;
	}
	if (tcp_flags & SL_TCP_FIN)
		rest |= other ? SL_FLOW_FIN_B : SL_FLOW_FIN_A;
	bool two_way = rest & (SL_FLOW_NAT | SL_FLOW_REPLY);
	if ((tcp_flags & SL_TCP_RST) || (two_way ? (rest & fins) == fins : (rest & fins) != 0))
		return rest | SL_FLOW_CLOSING;
	/* Told of the other direction, a bare "seen" or a SYN+ACK proves nothing about the opener. */
	bool answers = !(tcp_flags & SL_TCP_SYN) && (!other || (tcp_flags & SL_TCP_ACK));
	if (s == SL_FLOW_EMBRYONIC && answers)
		s = SL_FLOW_ESTABLISHED;
	return rest | (uint8_t)s;
}

bool
sl_flow_seen(struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint8_t tcp_flags, bool other,
	     uint32_t now_q)
{
	struct sl_flow *f = entry_at(t, idx);
	struct place p = place_of(t, hash, idx);
	struct sl_flow_bucket *b = bucket_at(t, p.bucket);
	uint8_t was = f->state, is = was;

	SL_ASSERT(p.bucket != NONE);
	if ((was & SL_FLOW_STATE_MASK) != SL_FLOW_UDP)
		is = tcp_next(t, was, tcp_flags, other);
	uint16_t expire = (uint16_t)(now_q + timeout_of(is & SL_FLOW_STATE_MASK));
	if (b->expire[p.way] != expire)
		b->expire[p.way] = expire;
	if (sl_likely(is == was))
		return false;

	bool was_embryonic = (was & SL_FLOW_STATE_MASK) == SL_FLOW_EMBRYONIC;
	bool is_embryonic = (is & SL_FLOW_STATE_MASK) == SL_FLOW_EMBRYONIC;
	f->state = is;
	t->embryonic += (uint32_t)is_embryonic - (uint32_t)was_embryonic;
	idx_store(b, p.way, idx | (is_embryonic ? IDX_EMBRYONIC : 0));
	return true;
}

/* ---- time ---- */

static void
prefetch_expired(const struct sl_flow_table *t, uint32_t at, uint32_t now_q)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);

	for (unsigned m = ways_expired(b, now_q); m; m &= m - 1)
		prefetch_entry(t, b->idx[__builtin_ctz(m)] & IDX_MASK);
}

static unsigned
sweep_bucket(struct sl_flow_table *t, uint32_t at, uint32_t now_q, sl_flow_gone_fn *gone, void *ctx)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);
	unsigned cnt = 0;

	for (unsigned m = ways_expired(b, now_q); m; m &= m - 1, cnt++) {
		struct place p = {at, (unsigned)__builtin_ctz(m)};
		const struct sl_flow *f = entry_at(t, b->idx[p.way] & IDX_MASK);
		if (gone)
			gone(ctx, f, sl_flow_xlat(t, f));
		drop_at(t, p, primary_of_entry(t, f));
	}
	return cnt;
}

unsigned
sl_flow_sweep(struct sl_flow_table *t, unsigned buckets, uint32_t now_q, sl_flow_gone_fn *gone,
	      void *ctx)
{
	unsigned cnt = 0;

	for (buckets = SL_MIN(buckets, t->bucket_cnt); buckets; buckets--) {
		if (t->sweep_at + SWEEP_AHEAD < t->bucket_cnt)
			prefetch_expired(t, t->sweep_at + SWEEP_AHEAD, now_q);
		cnt += sweep_bucket(t, t->sweep_at, now_q, gone, ctx);
		if (++t->sweep_at == t->bucket_cnt)
			t->sweep_at = 0;
	}
	return cnt;
}

void
sl_flow_usage(const struct sl_flow_table *t, struct sl_flow_usage *ret_usage)
{
	*ret_usage = (struct sl_flow_usage){
		.capacity = t->capacity,
		.active = t->active,
		.embryonic = t->embryonic,
		.xlat_capacity = t->xlat_capacity,
		.xlat_used = t->xlat_used,
		.bucket_cnt = t->bucket_cnt,
	};
}

/* ---- check ---- */

/* What the walk over buckets adds up. */
struct tally {
	uint8_t *over; /* [bucket_cnt] entries that lie elsewhere, saturating */
	uint32_t used, embryonic, xlat;
};

static const char *
check_way(const struct sl_flow_table *t, uint32_t at, unsigned way, struct tally *y)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);
	uint32_t idx = b->idx[way] & IDX_MASK;

	if (idx >= t->fresh)
		return "a bucket names an entry that was never used";
	const struct sl_flow *f = entry_at(t, idx);
	unsigned s = state_of(f);
	if (s == SL_FLOW_FREE || s > SL_FLOW_UDP)
		return "a bucket names an entry without a state";
	if ((s == SL_FLOW_EMBRYONIC) != !!(b->idx[way] & IDX_EMBRYONIC))
		return "a bucket and its entry disagree about being embryonic";
	struct sl_tuple k = sl_flow_tuple(f);
	uint64_t hash = sl_hash_tuple_keyed(key_of(t), &k);
	uint32_t primary = primary_of(t, hash);
	if (b->tag[way] != tag_of(hash))
		return "a tag is not that of the entry's tuple";
	if (at != primary && at != other_of(t, primary, tag_of(hash)))
		return "an entry lies in a bucket its tuple does not lead to";
	struct place p = place_of(t, hash, idx);
	if (p.bucket != at || p.way != way)
		return "an entry is named by two places";
	if (at != primary && y->over[primary] < OVER_MAX)
		y->over[primary]++;
	if (f->state & SL_FLOW_REPLY) {
		if (f->xlat >= t->xlat_fresh || xlat_at(t, f->xlat)->flow != idx)
			return "a reply half and its translation record disagree";
		y->xlat++;
	}
	y->used++;
	y->embryonic += s == SL_FLOW_EMBRYONIC;
	return NULL;
}

static const char *
check_free_lists(const struct sl_flow_table *t)
{
	uint32_t n = 0;

	for (uint32_t i = t->free_head; i; i = entry_at(t, i - 1)->xlat, n++)
		if (i > t->fresh || n >= t->fresh || entry_at(t, i - 1)->state != SL_FLOW_FREE)
			return "the list of free entries is broken";
	if (n + t->active != t->fresh)
		return "an entry is neither used nor free";
	n = 0;
	for (uint32_t i = t->xlat_free_head; i; i = xlat_at(t, i - 1)->flow, n++)
		if (i > t->xlat_fresh || n >= t->xlat_fresh)
			return "the list of free translation records is broken";
	if (n + t->xlat_used != t->xlat_fresh)
		return "a translation record is neither used nor free";
	return NULL;
}

static const char *
check_buckets(const struct sl_flow_table *t, struct tally *y)
{
	for (uint32_t at = 0; at < t->bucket_cnt; at++) {
		unsigned m = 255u & ~ways_free(bucket_at(t, at));
		for (; m; m &= m - 1) {
			const char *bad = check_way(t, at, (unsigned)__builtin_ctz(m), y);
			if (bad)
				return bad;
		}
	}
	if (y->used != t->active || y->embryonic != t->embryonic || y->xlat != t->xlat_used)
		return "the counts of the head are not those of the buckets";
	for (uint32_t at = 0; at < t->bucket_cnt; at++) {
		uint32_t cnt = over_cnt(bucket_at(t, at));
		if (cnt != y->over[at] && cnt != OVER_MAX)
			return "an overflow count is wrong";
	}
	return NULL;
}

const char *
sl_flow_check(const struct sl_flow_table *t)
{
	struct tally y = {0};

	if (t->magic != SL_FLOWS_MAGIC || t->version != SL_FLOWS_VERSION)
		return "not a flow table of this version";
	if (t->fresh > t->capacity || t->xlat_fresh > t->xlat_capacity ||
	    t->embryonic > t->embryonic_max)
		return "more entries in use than there are";
	y.over = calloc(t->bucket_cnt, 1);
	if (!y.over)
		return "no memory to check the table with";
	const char *bad = check_buckets(t, &y);
	free(y.over);
	return bad ? bad : check_free_lists(t);
}
