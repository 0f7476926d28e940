/* flow_priv — what the files of the flow table share: where things lie, and the places of a bucket.
 *
 *   flow.c        making, look-up, state, time
 *   flow_place.c  insert, remove: which place, and who has to go for it
 *   flow_check.c  the walk over everything
 *   flow_head.c   the head of a region (flow_adopt.h)
 *   flow_adopt.c  another's table, judged and taken over
 *   flow_scan.c   reading beside the writer
 */
#ifndef SL_LB_FLOW_PRIV_H
#define SL_LB_FLOW_PRIV_H

#include "lb/flow.h"

#define MIN_CAPACITY 1024u
#define MAX_CAPACITY (1u << 27)
#define WAYS SL_FLOW_WAYS
#define NONE UINT32_MAX

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

/* For loops: what a store may have changed is read again, what is in a variable is not. */
static inline struct sl_flow *
entries_of(const struct sl_flow_table *t)
{
	return (struct sl_flow *)((uintptr_t)t + t->entry_off);
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
		[SL_FLOW_EMBRYONIC] = SL_FLOW_T_SYN,   [SL_FLOW_ESTABLISHED] = SL_FLOW_T_EST,
		[SL_FLOW_CLOSING] = SL_FLOW_T_CLOSING, [SL_FLOW_UDP] = SL_FLOW_T_UDP,
		[SL_FLOW_UDP_NEW] = SL_FLOW_T_UDP,
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

/* ---- where things lie ---- */

struct layout {
	uint32_t bucket_cnt;
	uint64_t entry_off, xlat_off;
	uint64_t bytes; /* 0: the ranges are not kept */
};

static inline struct layout
layout_of(uint32_t capacity, uint32_t xlat_capacity)
{
	struct layout l = {0};

	if (capacity < MIN_CAPACITY || capacity > MAX_CAPACITY || xlat_capacity > capacity)
		return l;
	l.bucket_cnt = (capacity + 5) / 6;
	l.entry_off = sizeof(struct sl_flow_table) + l.bucket_cnt * sizeof(struct sl_flow_bucket);
	l.xlat_off = l.entry_off + capacity * sizeof(struct sl_flow);
	l.bytes = l.xlat_off + xlat_capacity * sizeof(struct sl_xlat);
	return l;
}

/* Whether a table's head is of this version and says what its region says. */
static inline bool
head_agrees(const struct sl_flow_table *t, uint32_t capacity, uint32_t xlat_capacity)
{
	struct layout l = layout_of(capacity, xlat_capacity);

	return t->magic == SL_FLOWS_MAGIC && t->version == SL_FLOWS_VERSION &&
	       t->capacity == capacity && t->xlat_capacity == xlat_capacity &&
	       t->bucket_cnt == l.bucket_cnt && t->entry_off == l.entry_off &&
	       t->xlat_off == l.xlat_off;
}

/* An entry starts on a multiple of 16, so it lies on one line or two. */
static inline void
prefetch_entry(const struct sl_flow_table *t, uint32_t idx)
{
	const char *e = (const char *)entry_at(t, idx);

	sl_prefetch(e);
	sl_prefetch(e + sizeof(struct sl_flow) - 1);
}

static inline unsigned
state_of(const struct sl_flow *f)
{
	return f->state & SL_FLOW_STATE_MASK;
}

/* Not proved by a second packet yet: shares the cap, goes first. */
static inline bool
is_embryonic(uint8_t state)
{
	unsigned s = state & SL_FLOW_STATE_MASK;
	return s == SL_FLOW_EMBRYONIC || s == SL_FLOW_UDP_NEW;
}

/* Whether xlat names a translation record. */
static inline bool
has_record(uint8_t state)
{
	return (state & (SL_FLOW_REPLY | SL_FLOW_PAIR)) == SL_FLOW_REPLY;
}

/* The state byte of a pair's other half. */
static inline uint8_t
mirror(uint8_t state)
{
	const uint8_t swapped = SL_FLOW_REPLY | SL_FLOW_NAT | SL_FLOW_FIN_A | SL_FLOW_FIN_B;
	uint8_t up = state & (SL_FLOW_REPLY | SL_FLOW_FIN_A);
	uint8_t down = state & (SL_FLOW_NAT | SL_FLOW_FIN_B);

	static_assert(SL_FLOW_NAT == SL_FLOW_REPLY << 1, "");
	static_assert(SL_FLOW_FIN_B == SL_FLOW_FIN_A << 1, "");
	return (uint8_t)((state & (uint8_t)~swapped) | up << 1 | down >> 1);
}

/* What an entry found in memory may say, apart from whom it belongs to. */
static inline bool
is_plausible(const struct sl_flow *f)
{
	unsigned s = state_of(f);
	bool fin = f->state & (SL_FLOW_FIN_A | SL_FLOW_FIN_B);
	bool forward = f->state & SL_FLOW_NAT, reply = f->state & SL_FLOW_REPLY;

	if ((forward && reply) || ((f->state & SL_FLOW_PAIR) && !forward && !reply))
		return false;
	if (f->proto == SL_IPPROTO_TCP)
		return s >= SL_FLOW_EMBRYONIC && s <= SL_FLOW_CLOSING;
	return f->proto == SL_IPPROTO_UDP && (s == SL_FLOW_UDP || s == SL_FLOW_UDP_NEW) && !fin;
}

/* Whether the tuple of f leads to this bucket and tag, and its check is right. */
static inline bool
leads_to(const struct sl_flow_table *t, const struct sl_flow *f, uint32_t at, uint16_t tag,
	 uint64_t hash)
{
	uint32_t primary = primary_of(t, hash);

	return tag == tag_of(hash) && (at == primary || at == other_of(t, primary, tag)) &&
	       f->check == sl_flow_check16(hash, f->slot, f->incarnation, f->state);
}

/* Whether f, entry idx, and g, the entry it names, are the two halves of one flow.  State and FIN flags may differ for a
 * moment. */
static inline bool
are_partners(const struct sl_flow *f, uint32_t idx, const struct sl_flow *g)
{
	return ((f->state ^ mirror(g->state)) & SL_FLOW_ROLE_MASK) == 0 && g->xlat == idx &&
	       g->slot == f->slot && g->incarnation == f->incarnation && g->proto == f->proto;
}

static inline bool
is_record_of(const struct sl_xlat *x, uint32_t idx)
{
	return x->flow == idx && x->check == sl_xlat_check32(x);
}

static inline uint64_t
hash_of_entry(const struct sl_flow_table *t, const struct sl_flow *f)
{
	struct sl_tuple k = sl_flow_tuple(f);
	return sl_hash_tuple_keyed(key_of(t), &k);
}

static inline uint32_t
primary_of_entry(const struct sl_flow_table *t, const struct sl_flow *f)
{
	return primary_of(t, hash_of_entry(t, f));
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

static inline void
over_add(const struct sl_flow_table *t, uint32_t primary, int by)
{
	struct sl_flow_bucket *b = bucket_at(t, primary);
	uint32_t cnt = over_cnt(b);

	/* A saturated count has lost what it counted and stays. */
	if (cnt == OVER_MAX)
		return;
	b->idx[0] = (b->idx[0] & ~OVER_MASK) | (cnt + (uint32_t)by) << IDX_OVER_SHIFT;
}

static inline void
idx_store(struct sl_flow_bucket *b, unsigned way, uint32_t idx_and_flag)
{
	b->idx[way] = (way == 0 ? b->idx[0] & OVER_MASK : 0) | idx_and_flag;
}

static inline void
place_clear(const struct sl_flow_table *t, struct place p, uint32_t primary)
{
	struct sl_flow_bucket *b = bucket_at(t, p.bucket);

	b->tag[p.way] = 0;
	idx_store(b, p.way, 0);
	if (p.bucket != primary)
		over_add(t, primary, -1);
}

static inline void
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

static inline struct place
place_of_entry(const struct sl_flow_table *t, uint32_t idx)
{
	return place_of(t, hash_of_entry(t, entry_at(t, idx)), idx);
}

static inline int
left_at(const struct sl_flow_table *t, struct place p, uint32_t now_q)
{
	return (int16_t)(bucket_at(t, p.bucket)->expire[p.way] - now_q);
}

/* ---- flow_place.c ---- */

/* sl_flow_drop takes away the entry at p, whose primary bucket is given, and its partner. */
void sl_flow_drop(struct sl_flow_table *t, struct place p, uint32_t primary);

/* sl_flow_copy puts f, of another table, here, with its state and what is left of its time; for a reply half of nat
 * with record x, for a pair with partner g.  Nobody goes for it: false where there is no room, or its tuple is there. */
bool sl_flow_copy(struct sl_flow_table *t, const struct sl_flow *f, int left,
		  const struct sl_xlat *x, const struct sl_flow *g, int partner_left,
		  uint32_t now_q);

#endif
