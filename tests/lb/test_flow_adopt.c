#include "lb/flow_adopt.h"

#include "tests/lb/region.h"
#include "tests/suite.h"

#define NOW REGION_NOW
#define FLOWS 200

static const struct sl_hash_key new_key = {.b = {1, 2, 3}};
static uint64_t rng;

static uint64_t
draw(void)
{
	rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = rng;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* One worker's table with flows [0, cnt). */
static struct sl_flows_head *
filled(uint32_t cnt)
{
	struct sl_flows_head *h = region_make(1, 1024, 64);
	struct sl_flow_table *t = sl_flows_table(h, 0);

	sl_flow_sweep(t, 1, NOW, NULL, NULL);
	for (uint32_t n = 0; n < cnt; n++)
		CU_ASSERT_NOT_EQUAL_FATAL(region_put(t, n, NOW), SL_FLOW_NONE);
	return h;
}

static struct sl_flow_adopted
adopt(struct sl_flows_head *h, uint32_t now_q)
{
	struct sl_flow_adopted a;

	CU_ASSERT_PTR_NULL(sl_flow_adopt(h, 0, now_q, &new_key, &a));
	return a;
}

static uint32_t
judged(struct sl_flow_table *t, uint32_t cnt)
{
	uint32_t kept;
	const char *bad = region_wrong(t, cnt, &kept);

	if (bad)
		printf("  %s\n", bad);
	CU_ASSERT_PTR_NULL(bad);
	return kept;
}

static unsigned
pairs_below(uint32_t cnt)
{
	unsigned pairs = 0;

	for (uint32_t n = 0; n < cnt; n++)
		pairs += region_is_pair(n);
	return pairs;
}

/* The bucket place of a flow's half, found by looking at all of them. */
static struct sl_flow_bucket *
bucket_of(struct sl_flow_table *t, uint32_t n, unsigned half, unsigned *ret_way)
{
	uint32_t idx = region_find(t, n, half, NOW);

	CU_ASSERT_NOT_EQUAL_FATAL(idx, SL_FLOW_NONE);
	struct sl_flow_bucket *b = (struct sl_flow_bucket *)(t + 1);
	for (uint32_t i = 0; i < t->bucket_cnt * SL_FLOW_WAYS; i++) {
		*ret_way = i % SL_FLOW_WAYS;
		struct sl_flow_bucket *at = b + i / SL_FLOW_WAYS;
		if (at->tag[*ret_way] && (at->idx[*ret_way] & SL_FLOW_IDX_MASK) == idx)
			return at;
	}
	CU_FAIL_FATAL("an entry without a bucket");
	return NULL;
}

static void
a_table_that_nobody_harmed_is_kept_whole(void)
{
	struct sl_flows_head *h = filled(FLOWS);
	struct sl_flow_table *t = sl_flows_table(h, 0);
	uint8_t states[FLOWS];
	struct sl_flow_usage before, after;

	for (uint32_t n = 0; n < FLOWS; n++)
		states[n] = sl_flow_get(t, region_find(t, n, 0, NOW))->state;
	sl_flow_usage(t, &before);
	/* What the head counted is not believed. */
	t->active = t->embryonic = t->fresh = t->xlat_used = t->pairs = UINT32_MAX;
	t->free_head = t->xlat_free_head = 5;
	t->sweep_at = 1u << 30;
	struct sl_flow_adopted a = adopt(h, NOW + 4);
	CU_ASSERT_EQUAL(a.kept, FLOWS);
	CU_ASSERT_EQUAL(a.lost, 0);
	CU_ASSERT_EQUAL(a.expired, 0);
	CU_ASSERT_EQUAL(judged(t, FLOWS), FLOWS);
	sl_flow_usage(t, &after);
	CU_ASSERT_EQUAL(memcmp(&before, &after, sizeof(before)), 0);
	for (uint32_t n = 0; n < FLOWS; n++) {
		const struct sl_flow *f = sl_flow_get(t, region_find(t, n, 0, NOW));
		CU_ASSERT_EQUAL(f->state, states[n]);
		if (region_kind(n) == NAT_FORWARD)
			CU_ASSERT_EQUAL(f->xlat >> 16, n);
	}
	/* It goes on as a table does: until it is full, and until all is over. */
	for (uint32_t n = FLOWS; n < 4000; n++)
		region_put(t, n, NOW + 4);
	sl_flow_usage(t, &after);
	CU_ASSERT(after.active > 1000);
	judged(t, 4000);
	sl_flow_sweep(t, UINT32_MAX, NOW + 4 + SL_FLOW_T_EST, NULL, NULL);
	sl_flow_usage(t, &after);
	CU_ASSERT_EQUAL(after.active, 0);
	region_free(h, h->bytes);
}

static void
what_expired_since_is_counted_and_dropped(void)
{
	/* seconds later, which states are over */
	static const struct {
		uint32_t after_q;
		unsigned over;
	} rows[] = {
		{28, 1u << SL_FLOW_CLOSING},
		{119, 1u << SL_FLOW_CLOSING},
		{120, 1u << SL_FLOW_CLOSING | 1u << SL_FLOW_EMBRYONIC | 1u << SL_FLOW_UDP |
			      1u << SL_FLOW_UDP_NEW},
		{SL_FLOW_T_EST - 1, 1u << SL_FLOW_CLOSING | 1u << SL_FLOW_EMBRYONIC |
					    1u << SL_FLOW_UDP | 1u << SL_FLOW_UDP_NEW},
		{SL_FLOW_T_EST, 255},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_flows_head *h = filled(FLOWS);
		struct sl_flow_table *t = sl_flows_table(h, 0);
		unsigned over = 0;
		for (uint32_t n = 0; n < FLOWS; n++)
			over += rows[i].over >> region_state(n) & 1;
		struct sl_flow_adopted a = adopt(h, NOW + rows[i].after_q);
		CU_ASSERT_EQUAL(a.expired, over);
		CU_ASSERT_EQUAL(a.kept, FLOWS - over);
		CU_ASSERT_EQUAL(a.lost, 0);
		CU_ASSERT_EQUAL(judged(t, FLOWS), FLOWS - over);
		for (uint32_t n = 0; n < FLOWS; n++)
			CU_ASSERT_EQUAL(region_find(t, n, 0, NOW + rows[i].after_q) == SL_FLOW_NONE,
					rows[i].over >> region_state(n) & 1);
		region_free(h, h->bytes);
	}
}

static void
a_table_not_swept_for_an_hour_is_emptied(void)
{
	static const struct {
		int32_t after_q;
		bool emptied;
	} rows[] = {{3600 * 4, false},     {3600 * 4 + 1, true}, {-3600 * 4, false},
		    {-3600 * 4 - 1, true}, {20000000, true},     {INT32_MIN, true}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_flows_head *h = filled(FLOWS);
		struct sl_flow_table *t = sl_flows_table(h, 0);
		uint32_t now_q = NOW + (uint32_t)rows[i].after_q;
		/* As if all had been seen just now, by a clock that stands. */
		struct sl_flow_bucket *b = (struct sl_flow_bucket *)(t + 1);
		for (uint32_t at = 0; at < t->bucket_cnt; at++)
			for (unsigned way = 0; way < SL_FLOW_WAYS; way++)
				b[at].expire[way] = (uint16_t)(now_q + 20);
		struct sl_flow_adopted a = adopt(h, now_q);
		CU_ASSERT_EQUAL(a.expired, rows[i].emptied ? FLOWS : 0);
		CU_ASSERT_EQUAL(judged(t, FLOWS), rows[i].emptied ? 0 : FLOWS);
		CU_ASSERT_EQUAL(t->clock_q, now_q);
		region_free(h, h->bytes);
	}
}

static void
a_head_that_disagrees_makes_an_empty_table_with_a_new_key(void)
{
	for (unsigned i = 0; i < 7; i++) {
		struct sl_flows_head *h = filled(FLOWS);
		struct sl_flow_table *t = sl_flows_table(h, 0);
		struct sl_flow_adopted a;
		uint32_t *fields[] = {&t->magic,
				      &t->version,
				      &t->capacity,
				      &t->xlat_capacity,
				      &t->bucket_cnt,
				      (uint32_t *)&t->entry_off,
				      (uint32_t *)&t->xlat_off};
		*fields[i] ^= 1u << draw() % 32;
		CU_ASSERT_PTR_NOT_NULL(sl_flow_adopt(h, 0, NOW + 4, &new_key, &a));
		CU_ASSERT_EQUAL(a.kept, 0);
		CU_ASSERT_EQUAL(judged(t, FLOWS), 0);
		CU_ASSERT_EQUAL(memcmp(t->key, new_key.b, sizeof(new_key.b)), 0);
		for (uint32_t n = 0; n < FLOWS; n++)
			CU_ASSERT_NOT_EQUAL(region_put(t, n, NOW + 4), SL_FLOW_NONE);
		CU_ASSERT_EQUAL(judged(t, FLOWS), FLOWS);
		region_free(h, h->bytes);
	}
}

static void
a_pair_with_one_live_half_is_kept(void)
{
	for (unsigned half = 0; half < 2; half++) {
		struct sl_flows_head *h = filled(FLOWS);
		struct sl_flow_table *t = sl_flows_table(h, 0);
		const uint32_t n = PAIR_UDP;
		unsigned way;
		struct sl_flow_bucket *b = bucket_of(t, n, half, &way);
		b->expire[way] = (uint16_t)(NOW + 130);
		adopt(h, NOW + 125);
		CU_ASSERT_NOT_EQUAL(region_find(t, n, 0, NOW + 129), SL_FLOW_NONE);
		CU_ASSERT_NOT_EQUAL(region_find(t, n, 1, NOW + 129), SL_FLOW_NONE);
		CU_ASSERT_EQUAL(region_find(t, n, 0, NOW + 130), SL_FLOW_NONE);
		CU_ASSERT_EQUAL(region_find(t, n, 1, NOW + 130), SL_FLOW_NONE);
		judged(t, FLOWS);
		region_free(h, h->bytes);
	}
}

/* What a kill leaves in the middle of the table's own steps. */
static void
steps_that_a_kill_cut_off_are_mended(void)
{
	struct sl_flows_head *h = filled(FLOWS);
	struct sl_flow_table *t = sl_flows_table(h, 0);
	struct sl_flow_bucket *buckets = (struct sl_flow_bucket *)(t + 1);
	unsigned way, lost = 0;

	/* A pair whose reply half has moved on alone. */
	struct sl_flow *f = sl_flow_get(t, region_find(t, PAIR_TCP, 1, NOW));
	f->state = SL_FLOW_CLOSING | SL_FLOW_REPLY | SL_FLOW_PAIR;
	/* A flow on its way from one bucket to another, in both. */
	struct sl_flow_bucket *b = bucket_of(t, DSR_TCP, 0, &way);
	uint64_t spread = (uint64_t)(b->tag[way] * 0x9e3779b1u) * t->bucket_cnt >> 32;
	uint32_t other =
		(uint32_t)(spread + t->bucket_cnt - (uint32_t)(b - buckets)) % t->bucket_cnt;
	for (unsigned to = 0; to < SL_FLOW_WAYS; to++) {
		if (buckets[other].tag[to])
			continue;
		buckets[other].expire[to] = b->expire[way];
		buckets[other].idx[to] |= b->idx[way] & SL_FLOW_IDX_MASK;
		buckets[other].tag[to] = b->tag[way];
		break;
	}
	/* A pair whose forward half is out of its bucket, one whose reply half is. */
	b = bucket_of(t, PAIR_TCP + REGION_KINDS, 0, &way);
	b->tag[way] = 0;
	b = bucket_of(t, PAIR_TCP + 2 * REGION_KINDS, 1, &way);
	b->tag[way] = 0;
	lost += 2;
	/* A reply half whose record was not sealed. */
	f = sl_flow_get(t, region_find(t, NAT_REPLY, 0, NOW));
	sl_flow_xlat(t, f)->check = 0;
	lost++;

	struct sl_flow_adopted a = adopt(h, NOW + 4);
	CU_ASSERT_EQUAL(a.kept, FLOWS - lost);
	/* Pairs of which one half was in a bucket were being put in or taken out. */
	CU_ASSERT(a.lost >= 1 && a.lost <= lost);
	CU_ASSERT_EQUAL(judged(t, FLOWS), FLOWS - lost);
	CU_ASSERT_EQUAL(sl_flow_get(t, region_find(t, PAIR_TCP, 1, NOW))->state,
			SL_FLOW_ESTABLISHED | SL_FLOW_REPLY | SL_FLOW_PAIR);
	CU_ASSERT_NOT_EQUAL(region_find(t, DSR_TCP, 0, NOW + 4), SL_FLOW_NONE);
	region_free(h, h->bytes);
}

/* Until nothing goes in any more: entries in their second buckets, long lists. */
static void
a_crowded_table_is_kept_whole(void)
{
	struct sl_flows_head *h = region_make(1, 1024, 1024);
	struct sl_flow_table *t = sl_flows_table(h, 0);
	uint32_t flows = 0, in = 0;

	sl_flow_sweep(t, 1, NOW, NULL, NULL);
	for (; t->active < 1023; flows++)
		region_put(t, flows, NOW);
	in = judged(t, flows);
	for (uint32_t n = 0; n < flows; n += 9)
		if (region_find(t, n, 0, NOW) != SL_FLOW_NONE) {
			struct sl_tuple k = region_tuple(n, 0);
			sl_flow_remove(t, sl_flow_hash(t, &k), region_find(t, n, 0, NOW));
			in--;
		}
	CU_ASSERT_EQUAL(adopt(h, NOW + 4).kept, in);
	CU_ASSERT_EQUAL(judged(t, flows), in);
	/* All called embryonic: no more of them than may be. */
	struct sl_flow *f = (struct sl_flow *)((char *)t + t->entry_off);
	for (uint32_t i = 0; i < t->fresh; i++)
		if (f[i].proto == SL_IPPROTO_TCP && f[i].state)
			f[i].state = (f[i].state & SL_FLOW_ROLE_MASK) | SL_FLOW_EMBRYONIC;
	struct sl_flow_adopted a = adopt(h, NOW + 4);
	CU_ASSERT(a.lost > 100);
	CU_ASSERT_EQUAL(judged(t, flows), a.kept);
	region_free(h, h->bytes);
}

/* Flips in expiries bring a flow back to life beside a later one of its tuple. */
static void
of_two_flows_with_one_tuple_one_is_kept(void)
{
	struct sl_flows_head *h = region_make(1, 1024, 1024);
	struct sl_flow_table *t = sl_flows_table(h, 0);
	const uint32_t flows = 680;
	unsigned way, twins = 0, apart = 0;

	sl_flow_sweep(t, 1, NOW, NULL, NULL);
	for (uint32_t n = 0; n < flows; n++)
		region_put(t, n, NOW);
	for (uint32_t n = 0; n < flows && t->active < 1000; n += REGION_KINDS) {
		if (region_find(t, n, 0, NOW) == SL_FLOW_NONE)
			continue;
		struct sl_flow_bucket *b = bucket_of(t, n, 0, &way);
		uint16_t was = b->expire[way];
		uint32_t before = t->active;
		unsigned second;
		b->expire[way] = (uint16_t)NOW;
		region_put(t, n, NOW);
		struct sl_flow_bucket *c = bucket_of(t, n, 0, &second);
		if (t->active > before) {
			b->expire[way] = was;
			twins++;
			apart += b != c;
		}
	}
	CU_ASSERT(twins > 50);
	CU_ASSERT(apart > 5);
	uint32_t all = t->active;
	struct sl_flow_adopted a = adopt(h, NOW + 4);
	CU_ASSERT_EQUAL(a.lost, twins);
	CU_ASSERT_EQUAL(judged(t, flows), a.kept);
	CU_ASSERT_EQUAL(t->active, all - twins);
	region_free(h, h->bytes);
}

static void
no_expiry_lies_further_ahead_than_its_state_allows(void)
{
	struct sl_flows_head *h = filled(FLOWS);
	struct sl_flow_table *t = sl_flows_table(h, 0);
	struct sl_flow_bucket *b = (struct sl_flow_bucket *)(t + 1);

	for (uint32_t at = 0; at < t->bucket_cnt; at++)
		for (unsigned way = 0; way < SL_FLOW_WAYS; way++)
			b[at].expire[way] = (uint16_t)(NOW + 32000);
	adopt(h, NOW);
	CU_ASSERT_EQUAL(judged(t, FLOWS), FLOWS);
	for (uint32_t n = 0; n < FLOWS; n++)
		CU_ASSERT_EQUAL(region_find(t, n, 0, NOW + 120) != SL_FLOW_NONE,
				region_state(n) == SL_FLOW_ESTABLISHED);
	region_free(h, h->bytes);
}

/* ---- damage ---- */

/* The bytes of a table that mean something: head, buckets, entries and records that were used. */
static uint32_t
used_bytes(const struct sl_flow_table *t, uint32_t *ret_at)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->entry_off + t->fresh * sizeof(struct sl_flow); i++)
		ret_at[n++] = i;
	for (uint32_t i = 0; i < t->xlat_fresh * sizeof(struct sl_xlat); i++)
		ret_at[n++] = (uint32_t)t->xlat_off + i;
	return n;
}

static void
a_flipped_byte_costs_its_own_flow_at_most(void)
{
	struct sl_flows_head *h = filled(FLOWS);
	struct sl_flow_table *t = sl_flows_table(h, 0);
	size_t bytes = sl_flow_bytes(1024, 64);
	uint8_t *whole = malloc(bytes), *raw = (uint8_t *)t;
	uint32_t *at = malloc(bytes * sizeof(*at)), cnt = used_bytes(t, at);
	unsigned bad = 0, untouched = 0;

	memcpy(whole, t, bytes);
	rng = 5;
	for (uint32_t i = 0; i < cnt && bad < 5; i++) {
		struct sl_flow_adopted a;
		uint32_t kept;
		uint8_t flip = (uint8_t)(1 + draw() % 255);
		raw[at[i]] ^= flip;
		const char *head = sl_flow_adopt(h, 0, NOW + 4, &new_key, &a);
		const char *wrong = region_wrong(t, FLOWS, &kept);
		bool in_head = at[i] < sizeof(*t);
		if (!wrong && kept != a.kept)
			wrong = "kept says something else";
		if (!wrong && !in_head && (head || a.kept + 1 < FLOWS))
			wrong = "more than one flow lost";
		if (!wrong && !in_head &&
		    (a.kept + a.lost + a.expired < FLOWS ||
		     a.kept + a.lost + a.expired > FLOWS + 1))
			wrong = "lost without a word";
		if (wrong) {
			printf("  byte %u ^ %#x: %s (kept %u, lost %u)\n", at[i], flip, wrong, kept,
			       (unsigned)a.lost);
			bad++;
		}
		untouched += a.kept == FLOWS;
		memcpy(t, whole, bytes);
	}
	CU_ASSERT_EQUAL(bad, 0);
	/* That is, most are seen. */
	CU_ASSERT(untouched < cnt / 2);
	free(at);
	free(whole);
	region_free(h, h->bytes);
}

static void
many_flipped_bytes_are_harmless(void)
{
	struct sl_flows_head *h = filled(FLOWS);
	struct sl_flow_table *t = sl_flows_table(h, 0);
	size_t bytes = sl_flow_bytes(1024, 64);
	uint8_t *whole = malloc(bytes), *raw = (uint8_t *)t;
	uint32_t *at = malloc(bytes * sizeof(*at)), cnt = used_bytes(t, at);
	unsigned bad = 0;

	memcpy(whole, t, bytes);
	rng = 6;
	for (unsigned round = 0; round < 3000 && bad < 5; round++) {
		struct sl_flow_adopted a;
		uint32_t kept;
		/* Bytes, or 16 or 48 of one place copied over another's. */
		for (unsigned n = 1 + draw() % 40; n > 0; n--) {
			uint32_t to = at[sizeof(*t) + draw() % (cnt - sizeof(*t))];
			uint32_t from = at[sizeof(*t) + draw() % (cnt - sizeof(*t))];
			unsigned len = (unsigned)(draw() % 3 * 16);
			if (len == 0)
				raw[to] ^= (uint8_t)draw();
			else
				memcpy(raw + to / len * len, whole + from / len * len, len);
		}
		sl_flow_adopt(h, 0, NOW + 4, &new_key, &a);
		const char *wrong = region_wrong(t, FLOWS, &kept);
		if (wrong || kept != a.kept) {
			printf("  round %u: %s\n", round, wrong ? wrong : "kept");
			bad++;
		}
		memcpy(t, whole, bytes);
	}
	CU_ASSERT_EQUAL(bad, 0);
	free(at);
	free(whole);
	region_free(h, h->bytes);
}

static void
every_flipped_bit_of_a_region_head_is_refused(void)
{
	struct sl_flows_head *h = filled(1);
	size_t bytes = h->bytes;

	CU_ASSERT_PTR_NULL(sl_flows_head_check(h, bytes));
	CU_ASSERT_PTR_NOT_NULL(sl_flows_head_check(h, bytes - 1));
	CU_ASSERT_PTR_NOT_NULL(sl_flows_head_check(h, bytes + SL_FLOWS_ALIGN));
	CU_ASSERT_PTR_NOT_NULL(sl_flows_head_check(h, 100));
	for (unsigned bit = 0; bit < sizeof(*h) * 8; bit++) {
		((uint8_t *)h)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CU_ASSERT_PTR_NOT_NULL(sl_flows_head_check(h, bytes));
		((uint8_t *)h)[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	/* Sealed again, so that the sizes alone are to blame. */
	for (unsigned i = 0; i < 6; i++) {
		struct sl_flows_head d = *h;
		uint64_t *wide[] = {&d.bytes, &d.table_off, &d.table_bytes};
		uint32_t *narrow[] = {&d.worker_cnt, &d.capacity, &d.zero};
		if (i < 3)
			*wide[i] += SL_FLOWS_ALIGN;
		else
			*narrow[i - 3] += 100000;
		sl_flows_seal(&d);
		CU_ASSERT_PTR_NOT_NULL(sl_flows_head_check(&d, bytes));
	}
	region_free(h, bytes);
}

static void
layouts_out_of_range_are_refused(void)
{
	struct sl_flows_head h = {0};

	CU_ASSERT_EQUAL(sl_flows_layout(&h, 1, 1024, 0), 0);
	CU_ASSERT_EQUAL(sl_flows_layout(&h, 64, 1u << 27, 1u << 27), 0);
	CU_ASSERT_EQUAL(h.bytes, h.table_off + 64 * h.table_bytes);
	CU_ASSERT_EQUAL(h.table_bytes % SL_FLOWS_ALIGN, 0);
	CU_ASSERT(h.table_bytes >= sl_flow_bytes(1u << 27, 1u << 27));
	CU_ASSERT_NOT_EQUAL(sl_flows_layout(&h, 0, 1024, 0), 0);
	CU_ASSERT_NOT_EQUAL(sl_flows_layout(&h, 65, 1024, 0), 0);
	CU_ASSERT_NOT_EQUAL(sl_flows_layout(&h, 1, 1023, 0), 0);
	CU_ASSERT_NOT_EQUAL(sl_flows_layout(&h, 1, 1024, 1025), 0);
}

/* A check that a change of endpoint or role gets past is none. */
static void
the_check_of_an_entry_sees_every_bit(void)
{
	rng = 9;
	for (unsigned round = 0; round < 2000; round++) {
		uint64_t hash = draw();
		uint32_t slot = draw() & 0xffff, inc = draw() & 0xffff;
		uint8_t state = (uint8_t)draw();
		uint16_t own = sl_flow_check16(hash, slot, inc, state);
		for (unsigned bit = 0; bit < 16; bit++) {
			CU_ASSERT_NOT_EQUAL(own,
					    sl_flow_check16(hash, slot ^ 1u << bit, inc, state));
			CU_ASSERT_NOT_EQUAL(own,
					    sl_flow_check16(hash, slot, inc ^ 1u << bit, state));
		}
		static const uint8_t roles[] = {SL_FLOW_REPLY, SL_FLOW_NAT, SL_FLOW_PAIR};
		for (unsigned i = 0; i < 3; i++)
			CU_ASSERT_NOT_EQUAL(own,
					    sl_flow_check16(hash, slot, inc, state ^ roles[i]));
		CU_ASSERT_EQUAL(own, sl_flow_check16(hash, slot, inc, state ^ SL_FLOW_FIN_A ^ 3));
	}
}

/* ---- dealing ---- */

/* By the flow's number, which both halves of a pair carry. */
static unsigned
owner_by_number(void *ctx, const struct sl_tuple *k)
{
	uint32_t n = 0;
	unsigned half = 0;

	CU_ASSERT_TRUE_FATAL(region_number(k, 1u << 20, &n, &half));
	return n % *(unsigned *)ctx;
}

static unsigned
owner_by_half(void *ctx, const struct sl_tuple *k)
{
	uint32_t n = 0;
	unsigned half = 0;

	CU_ASSERT_TRUE_FATAL(region_number(k, 1u << 20, &n, &half));
	return (n + half) % *(unsigned *)ctx;
}

static void
flows_are_dealt_to_their_owners_with_the_time_they_had(void)
{
	struct sl_flows_head *old = filled(FLOWS);
	struct sl_flow_table *from = sl_flows_table(old, 0);
	unsigned workers = 3;
	struct sl_flows_head *h = region_make(workers, 1024, 1024);
	struct sl_flow_table *to[3];
	struct sl_flow_adopted a;
	uint32_t kept = 0;

	for (unsigned w = 0; w < workers; w++)
		to[w] = sl_flows_table(h, w);
	adopt(old, NOW + 4);
	sl_flow_deal(from, to, owner_by_number, &workers, NOW + 8, &a);
	CU_ASSERT_EQUAL(a.kept, FLOWS);
	CU_ASSERT_EQUAL(a.lost + a.expired, 0);
	for (unsigned w = 0; w < workers; w++)
		kept += judged(to[w], FLOWS);
	CU_ASSERT_EQUAL(kept, FLOWS);
	for (uint32_t n = 0; n < FLOWS; n++) {
		for (unsigned half = 0; half < 1u + region_is_pair(n); half++) {
			static const uint16_t lasts[8] = {0, 120, 14400, 28, 120, 120};
			uint32_t until = NOW + lasts[region_state(n)];
			struct sl_flow_table *t = to[n % workers];
			uint32_t was = region_find(from, n, half, until - 1);
			uint32_t is = region_find(t, n, half, until - 1);
			CU_ASSERT_FATAL(was != SL_FLOW_NONE && is != SL_FLOW_NONE);
			CU_ASSERT_EQUAL(region_find(t, n, half, until), SL_FLOW_NONE);
			CU_ASSERT_EQUAL(sl_flow_get(from, was)->state, sl_flow_get(t, is)->state);
			if (region_kind(n) == NAT_FORWARD)
				CU_ASSERT_EQUAL(sl_flow_get(t, is)->xlat >> 16, n);
		}
	}
	region_free(h, h->bytes);
	region_free(old, old->bytes);
}

static void
a_pair_of_two_owners_is_lost_and_nothing_is_evicted(void)
{
	struct sl_flows_head *old = filled(FLOWS);
	struct sl_flow_table *from = sl_flows_table(old, 0);
	unsigned workers = 2;
	struct sl_flows_head *h = region_make(workers, 1024, 16);
	struct sl_flow_table *to[2] = {sl_flows_table(h, 0), sl_flows_table(h, 1)};
	struct sl_flow_adopted a;
	unsigned replies = 0;

	adopt(old, NOW + 4);
	sl_flow_deal(from, to, owner_by_half, &workers, NOW + 4, &a);
	for (uint32_t n = 0; n < FLOWS; n++)
		replies += region_kind(n) == NAT_REPLY;
	/* Reply halves are all of odd number: one table's records. */
	CU_ASSERT_EQUAL(a.lost, pairs_below(FLOWS) + replies - 16);
	CU_ASSERT_EQUAL(a.kept, FLOWS - a.lost);
	CU_ASSERT_EQUAL(judged(to[0], FLOWS) + judged(to[1], FLOWS), a.kept);
	/* Again, to the same: all are there already. */
	uint64_t kept = a.kept;
	sl_flow_deal(from, to, owner_by_half, &workers, NOW + 4, &a);
	CU_ASSERT_EQUAL(a.kept, 0);
	CU_ASSERT_EQUAL(a.lost, FLOWS);
	CU_ASSERT_EQUAL(judged(to[0], FLOWS) + judged(to[1], FLOWS), kept);
	/* Into a full table. */
	for (uint32_t n = 5000; n < 9000; n++)
		region_put(to[0], n, NOW + 4);
	uint32_t full = judged(to[0], 9000);
	for (uint32_t n = FLOWS; n < 500; n++)
		region_put(from, n, NOW + 4);
	unsigned one = 1;
	sl_flow_deal(from, to, owner_by_number, &one, NOW + 4, &a);
	CU_ASSERT(a.lost > FLOWS);
	CU_ASSERT_EQUAL(judged(to[0], 9000), full + a.kept);
	/* Later, what has expired since. */
	sl_flow_deal(from, to, owner_by_number, &one, NOW + 4 + SL_FLOW_T_EST, &a);
	CU_ASSERT_EQUAL(a.kept + a.lost, 0);
	CU_ASSERT(a.expired > FLOWS);
	region_free(h, h->bytes);
	region_free(old, old->bytes);
}

SL_SUITE("flow_adopt", SL_TEST(a_table_that_nobody_harmed_is_kept_whole),
	 SL_TEST(what_expired_since_is_counted_and_dropped),
	 SL_TEST(a_table_not_swept_for_an_hour_is_emptied),
	 SL_TEST(a_head_that_disagrees_makes_an_empty_table_with_a_new_key),
	 SL_TEST(a_pair_with_one_live_half_is_kept), SL_TEST(steps_that_a_kill_cut_off_are_mended),
	 SL_TEST(no_expiry_lies_further_ahead_than_its_state_allows),
	 SL_TEST(a_crowded_table_is_kept_whole), SL_TEST(of_two_flows_with_one_tuple_one_is_kept),
	 SL_TEST(a_flipped_byte_costs_its_own_flow_at_most),
	 SL_TEST(many_flipped_bytes_are_harmless),
	 SL_TEST(every_flipped_bit_of_a_region_head_is_refused),
	 SL_TEST(layouts_out_of_range_are_refused), SL_TEST(the_check_of_an_entry_sees_every_bit),
	 SL_TEST(flows_are_dealt_to_their_owners_with_the_time_they_had),
	 SL_TEST(a_pair_of_two_owners_is_lost_and_nothing_is_evicted))
