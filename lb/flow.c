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
#include "lb/flow_priv.h"

/* ---- making ---- */

size_t
sl_flow_bytes(uint32_t capacity, uint32_t xlat_capacity)
{
	return layout_of(capacity, xlat_capacity).bytes;
}

struct sl_flow_table *
sl_flow_init(void *mem, uint32_t capacity, uint32_t xlat_capacity, const struct sl_hash_key *key)
{
	struct layout l = layout_of(capacity, xlat_capacity);
	struct sl_flow_table *t = mem;

	if (!l.bytes || (uintptr_t)mem % SL_CACHE_LINE)
		return NULL;
	t->version = SL_FLOWS_VERSION;
	t->capacity = capacity;
	t->xlat_capacity = xlat_capacity;
	t->bucket_cnt = l.bucket_cnt;
	t->embryonic_max = capacity / 4;
	t->entry_off = l.entry_off;
	t->xlat_off = l.xlat_off;
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

static void
refresh(struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint32_t now_q)
{
	struct place p = place_of(t, hash, idx);
	unsigned state = entry_at(t, idx)->state & SL_FLOW_STATE_MASK;

	SL_ASSERT(p.bucket != NONE);
	bucket_at(t, p.bucket)->expire[p.way] = (uint16_t)(now_q + timeout_of(state));
}

/* Three passes over the burst, each touching what the one before has asked for: buckets, entries (or the
 * second bucket), keys. */
void
sl_flow_find_burst(struct sl_flow_table *t, const struct sl_tuple *const *tuples,
		   uint64_t *ret_hash, uint32_t *ret_idx, unsigned n, uint32_t now_q)
{
	const struct sl_flow *entries = entries_of(t);
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
			sl_prefetch(&entries[ret_idx[i]]);
			sl_prefetch((const char *)&entries[ret_idx[i]] + sizeof(*entries) - 1);
			continue;
		}
		uint32_t at = primary_of(t, ret_hash[i]);
		ret_idx[i] = SL_FLOW_NONE;
		if (over_cnt(b))
			sl_prefetch(bucket_at(t, other_of(t, at, tag)));
	}
	for (unsigned i = 0; i < n; i++) {
		const struct sl_flow *f = &entries[ret_idx[i]];
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
	return has_record(f->state) ? xlat_at(t, f->xlat) : NULL;
}

uint32_t
sl_flow_left(const struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint32_t now_q)
{
	int left = left_at(t, place_of(t, hash, idx), now_q);

	return left > 0 ? (uint32_t)left : 0;
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
		unsigned more = state & SL_FLOW_PAIR ? 2 : 1;
		if (opens && t->embryonic + more <= t->embryonic_max)
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

static uint8_t
next(const struct sl_flow_table *t, uint8_t state, uint8_t tcp_flags, bool other)
{
	unsigned s = state & SL_FLOW_STATE_MASK;
	bool two_way = state & (SL_FLOW_NAT | SL_FLOW_REPLY);

	if (s == SL_FLOW_UDP)
		return state;
	if (s != SL_FLOW_UDP_NEW)
		return tcp_next(t, state, tcp_flags, other);
	/* One direction alone is seen, or the other one has to answer. */
	return two_way == other ? (state & (uint8_t)~SL_FLOW_STATE_MASK) | SL_FLOW_UDP : state;
}

static void
move(struct sl_flow_table *t, struct place p, uint32_t idx, uint8_t is, uint32_t now_q)
{
	struct sl_flow *f = entry_at(t, idx);
	struct sl_flow_bucket *b = bucket_at(t, p.bucket);
	uint16_t expire = (uint16_t)(now_q + timeout_of(is & SL_FLOW_STATE_MASK));

	SL_ASSERT(p.bucket != NONE);
	if (b->expire[p.way] != expire)
		b->expire[p.way] = expire;
	if (sl_likely(is == f->state))
		return;
	t->embryonic += (uint32_t)is_embryonic(is) - (uint32_t)is_embryonic(f->state);
	f->state = is;
	idx_store(b, p.way, idx | (is_embryonic(is) ? IDX_EMBRYONIC : 0));
}

bool
sl_flow_seen(struct sl_flow_table *t, uint64_t hash, uint32_t idx, uint8_t tcp_flags, bool other,
	     uint32_t now_q)
{
	const struct sl_flow *f = entry_at(t, idx);
	uint8_t was = f->state, is;

	if (sl_likely(!(was & SL_FLOW_PAIR))) {
		is = next(t, was, tcp_flags, other);
	} else {
		/* Judged by the forward half, so that both always agree. */
		bool reply = was & SL_FLOW_REPLY;
		is = next(t, reply ? mirror(was) : was, tcp_flags, other != reply);
		is = reply ? mirror(is) : is;
		move(t, place_of_entry(t, f->xlat), f->xlat, mirror(is), now_q);
	}
	move(t, place_of(t, hash, idx), idx, is, now_q);
	return is != was;
}

/* ---- time ---- */

#define SWEEP_AHEAD 8 /* buckets */
/* Quarter seconds: a half of a pair takes its partner's time over so long before its own is up, two passes of the
 * worker, that no packet meets it expired. */
#define PAIR_AHEAD 16

static void
prefetch_expired(const struct sl_flow_table *t, uint32_t at, uint32_t now_q)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);

	for (unsigned m = ways_expired(b, now_q); m; m &= m - 1)
		prefetch_entry(t, b->idx[__builtin_ctz(m)] & IDX_MASK);
}

/* Gives a half of a pair the time of its partner, if that has more and is live.  Not when another flow has its tuple
 * by now: then the pair is over. */
static bool
revive(struct sl_flow_table *t, struct place p, uint32_t now_q)
{
	const struct sl_flow *f = entry_at(t, bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK);

	if (!(f->state & SL_FLOW_PAIR))
		return false;
	struct place q = place_of_entry(t, f->xlat);
	int own = left_at(t, p, now_q), left = left_at(t, q, now_q);
	if (left <= 0 || left <= own)
		return false;
	if (own <= 0) {
		struct sl_tuple k = sl_flow_tuple(f);
		if (sl_flow_find(t, sl_flow_hash(t, &k), &k, now_q) != SL_FLOW_NONE)
			return false;
	}
	bucket_at(t, p.bucket)->expire[p.way] = bucket_at(t, q.bucket)->expire[q.way];
	return true;
}

static void
expire(struct sl_flow_table *t, struct place p, sl_flow_gone_fn *gone, void *ctx)
{
	const struct sl_flow *f = entry_at(t, bucket_at(t, p.bucket)->idx[p.way] & IDX_MASK);
	bool reply_of_pair = (f->state & SL_FLOW_PAIR) && (f->state & SL_FLOW_REPLY);

	if (gone)
		gone(ctx, reply_of_pair ? entry_at(t, f->xlat) : f, sl_flow_xlat(t, f));
	sl_flow_drop(t, p, primary_of_entry(t, f));
}

static unsigned
sweep_bucket(struct sl_flow_table *t, uint32_t at, uint32_t now_q, sl_flow_gone_fn *gone, void *ctx)
{
	const struct sl_flow_bucket *b = bucket_at(t, at);
	unsigned cnt = 0;

	for (unsigned m = ways_expired(b, now_q + (t->pairs ? PAIR_AHEAD : 0)); m; m &= m - 1) {
		struct place p = {at, (unsigned)__builtin_ctz(m)};
		/* The partner of one before it: gone with it. */
		if (b->tag[p.way] == 0)
			continue;
		if ((t->pairs && revive(t, p, now_q)) || left_at(t, p, now_q) > 0)
			continue;
		expire(t, p, gone, ctx);
		cnt++;
	}
	return cnt;
}

unsigned
sl_flow_sweep(struct sl_flow_table *t, unsigned buckets, uint32_t now_q, sl_flow_gone_fn *gone,
	      void *ctx)
{
	unsigned cnt = 0;

	t->clock_q = now_q;
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
