#include "lb/flow.h"

#include "sluice/pkt.h"
#include "tests/lb/model.h"
#include "tests/suite.h"

#define NOW 1000u

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

static struct sl_flow_table *
table(uint32_t capacity, uint32_t xlat_capacity)
{
	struct sl_hash_key key;
	size_t bytes = sl_flow_bytes(capacity, xlat_capacity);
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		abort();
	for (unsigned i = 0; i < sizeof(key.b); i++)
		key.b[i] = (uint8_t)draw();
	return sl_flow_init(mem, capacity, xlat_capacity, &key);
}

static void
table_free(struct sl_flow_table *t)
{
	struct sl_flow_usage u;

	sl_flow_usage(t, &u);
	munmap(t, sl_flow_bytes(u.capacity, u.xlat_capacity));
}

/* Distinct tuples for distinct numbers; odd ones are IPv6. */
static struct sl_tuple
tuple(uint32_t n)
{
	struct sl_tuple k = {.sport = (sl_be16)(n * 7 + (n >> 16)), .dport = 80, .proto = 6};
	uint32_t ip = n * 2654435761u;

	if (n & 1) {
		k.src.b[0] = 0x20;
		k.dst.b[0] = 0x20;
	} else {
		k.src = sl_addr_from_v4("\0\0\0\0");
		k.dst = sl_addr_from_v4("\x0a\0\0\1");
	}
	memcpy(k.src.b + 12, &ip, 4);
	return k;
}

/* The number of a tuple lies in the endpoint of its flow. */
static uint32_t
number_of(const struct sl_flow *f)
{
	return f->slot | (uint32_t)f->incarnation << 16;
}

static uint32_t
put(struct sl_flow_table *t, uint32_t n, uint8_t state, uint32_t now_q)
{
	struct sl_flow_evicted ev;
	unsigned reason = 0;
	struct sl_tuple k = tuple(n);

	return sl_flow_insert(t, sl_flow_hash(t, &k), &k, n & 0xffff, (uint16_t)(n >> 16), state,
			      now_q, &ev, &reason);
}

static uint32_t
look(const struct sl_flow_table *t, uint32_t n, uint32_t now_q)
{
	struct sl_tuple k = tuple(n);
	return sl_flow_find(t, sl_flow_hash(t, &k), &k, now_q);
}

static bool
see(struct sl_flow_table *t, uint32_t n, uint32_t idx, uint8_t flags, bool other, uint32_t now_q)
{
	struct sl_tuple k = tuple(n);
	return sl_flow_seen(t, sl_flow_hash(t, &k), idx, flags, other, now_q);
}

static void
check(const struct sl_flow_table *t)
{
	const char *bad = sl_flow_check(t);

	if (bad)
		printf("  flow table: %s\n", bad);
	CU_ASSERT_PTR_NULL(bad);
}

static void
a_flow_costs_at_most_64_bytes(void)
{
	static const uint32_t capacities[] = {1024, 4096, 100000, 1000000, 1u << 27};

	for (unsigned i = 0; i < SL_ARRAY_CNT(capacities); i++)
		CU_ASSERT(sl_flow_bytes(capacities[i], 0) <= 64ull * capacities[i]);
}

static void
sizes_out_of_range_are_refused(void)
{
	static const struct {
		uint32_t capacity, xlat;
		bool ok;
		const char *reason;
	} rows[] = {
		{1024, 0, true, "smallest"},       {1023, 0, false, "too few"},
		{1u << 27, 0, true, "largest"},    {(1u << 27) + 1, 0, false, "index has 27 bits"},
		{2048, 2048, true, "all replies"}, {2048, 2049, false, "more records than flows"},
		{0, 0, false, "nothing"},          {UINT32_MAX, 0, false, "far too many"},
	};
	struct sl_hash_key key = {0};
	static SL_ALIGNED char mem[128];

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		size_t n = sl_flow_bytes(rows[i].capacity, rows[i].xlat);
		CU_ASSERT_EQUAL(n != 0, rows[i].ok);
		if (!rows[i].ok)
			CU_ASSERT_PTR_NULL(sl_flow_init(mem, rows[i].capacity, rows[i].xlat, &key));
	}
	CU_ASSERT_PTR_NULL(sl_flow_init(mem + 8, 1024, 0, &key));
}

static void
find_returns_what_was_inserted(void)
{
	struct sl_flow_table *t = table(4096, 0);

	for (uint32_t n = 0; n < 3000; n++)
		CU_ASSERT_NOT_EQUAL_FATAL(put(t, n, SL_FLOW_ESTABLISHED, NOW), SL_FLOW_NONE);
	for (uint32_t n = 0; n < 3000; n++) {
		uint32_t idx = look(t, n, NOW);
		CU_ASSERT_NOT_EQUAL_FATAL(idx, SL_FLOW_NONE);
		CU_ASSERT_EQUAL(sl_flow_get(t, idx)->slot, n);
	}
	for (uint32_t n = 3000; n < 6000; n++)
		CU_ASSERT_EQUAL(look(t, n, NOW), SL_FLOW_NONE);
	check(t);
	table_free(t);
}

static void
every_part_of_the_tuple_counts(void)
{
	struct sl_flow_table *t = table(1024, 0);
	struct sl_tuple k = tuple(7);

	put(t, 7, SL_FLOW_ESTABLISHED, NOW);
	uint64_t hash = sl_flow_hash(t, &k);
	CU_ASSERT_NOT_EQUAL(sl_flow_find(t, hash, &k, NOW), SL_FLOW_NONE);
	for (unsigned bit = 0; bit < 37 * 8; bit++) {
		struct sl_tuple d = k;
		((uint8_t *)&d)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* Under the same hash, so that the comparison of keys decides. */
		CU_ASSERT_EQUAL(sl_flow_find(t, hash, &d, NOW), SL_FLOW_NONE);
	}
	table_free(t);
}

static void
find_returns_none_after_expiry(void)
{
	static const struct {
		uint8_t state;
		uint32_t lasts;
	} rows[] = {
		{SL_FLOW_EMBRYONIC, 30 * 4}, {SL_FLOW_ESTABLISHED, 3600 * 4},
		{SL_FLOW_CLOSING, 7 * 4},    {SL_FLOW_UDP, 30 * 4},
		{SL_FLOW_UDP_NEW, 30 * 4},
	};
	static const uint32_t starts[] = {0, 65535 - 10, 65536 * 3 - 1, UINT32_MAX - 50};

	for (unsigned s = 0; s < SL_ARRAY_CNT(starts); s++) {
		struct sl_flow_table *t = table(1024, 0);
		for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
			uint32_t idx = put(t, i, rows[i].state, starts[s]);
			CU_ASSERT_EQUAL(look(t, i, starts[s]), idx);
			CU_ASSERT_EQUAL(look(t, i, starts[s] + rows[i].lasts - 1), idx);
			CU_ASSERT_EQUAL(look(t, i, starts[s] + rows[i].lasts), SL_FLOW_NONE);
			CU_ASSERT_EQUAL(look(t, i, starts[s] + rows[i].lasts + 16000),
					SL_FLOW_NONE);
		}
		table_free(t);
	}
}

struct gone {
	unsigned cnt, replies;
	uint64_t slots;
};

static void
note_gone(void *ctx, const struct sl_flow *f, const struct sl_xlat *x)
{
	struct gone *g = ctx;

	g->cnt++;
	g->slots += f->slot;
	g->replies += x != NULL;
	CU_ASSERT_EQUAL(x != NULL, !!(f->state & SL_FLOW_REPLY));
}

static void
sweep_removes_what_expired_and_nothing_else(void)
{
	struct sl_flow_table *t = table(1024, 16);
	struct gone g = {0};
	struct sl_flow_usage u;

	for (uint32_t n = 0; n < 100; n++)
		put(t, n, n < 40 ? SL_FLOW_UDP : SL_FLOW_ESTABLISHED, NOW);
	for (uint32_t n = 100; n < 110; n++)
		put(t, n, SL_FLOW_CLOSING | SL_FLOW_REPLY, NOW);
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.xlat_used, 10);
	CU_ASSERT_EQUAL(sl_flow_sweep(t, 1u << 20, NOW + 27, note_gone, &g), 0);
	CU_ASSERT_EQUAL(sl_flow_sweep(t, 1u << 20, NOW + 28, note_gone, &g), 10);
	CU_ASSERT_EQUAL(g.replies, 10);
	CU_ASSERT_EQUAL(sl_flow_sweep(t, 1u << 20, NOW + 120, note_gone, &g), 40);
	CU_ASSERT_EQUAL(g.slots, 39 * 40 / 2 + 1045);
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.active, 60);
	CU_ASSERT_EQUAL(u.xlat_used, 0);
	check(t);
	/* In small steps a pass covers every bucket too. */
	unsigned cnt = 0;
	for (unsigned i = 0; i < u.bucket_cnt; i += 7)
		cnt += sl_flow_sweep(t, 7, NOW + 20000, NULL, NULL);
	CU_ASSERT_EQUAL(cnt, 60);
	check(t);
	table_free(t);
}

enum { S = SL_TCP_SYN, A = SL_TCP_ACK, F = SL_TCP_FIN, R = SL_TCP_RST };

static void
state_follows_the_packets(void)
{
	enum { EMB = SL_FLOW_EMBRYONIC, EST = SL_FLOW_ESTABLISHED, CLO = SL_FLOW_CLOSING };
	enum { NEW = SL_FLOW_UDP_NEW, UDP = SL_FLOW_UDP };
	const uint8_t nat = SL_FLOW_NAT, reply = SL_FLOW_REPLY, a = SL_FLOW_FIN_A,
		      b = SL_FLOW_FIN_B;
	const struct {
		uint8_t was, flags;
		bool other;
		uint8_t is;
		const char *reason;
	} rows[] = {
		{EMB, S, false, EMB, "SYN again"},
		{EMB, A, false, EST, "opener's ACK"},
		{EMB, SL_TCP_PSH | A, false, EST, "opener's data"},
		{EMB | nat, S | A, true, EMB | nat, "endpoint's SYN+ACK proves no opener"},
		{EMB | nat, 0, true, EMB | nat, "told of something"},
		{EMB | nat, A, true, EST | nat, "other direction acknowledges"},
		{EMB, R, false, CLO, "reset while opening"},
		{EST, S, false, EST, "SYN inside a connection (RFC 5961)"},
		{EST, A, false, EST, "data"},
		{EST, F | A, false, CLO | a, "dsr: only one direction is seen"},
		{EST | nat, F | A, false, EST | nat | a, "half closed"},
		{EST | nat, F | A, true, EST | nat | b, "other half closed"},
		{EST | nat | a, F | A, true, CLO | nat | a | b, "both closed"},
		{EST | nat | b, F | A, false, CLO | nat | a | b, "both closed, other order"},
		{EST | nat | a, F | A, false, EST | nat | a, "FIN again"},
		{EST | nat, R, true, CLO | nat, "reset by the endpoint"},
		{EST, R | A, false, CLO, "reset"},
		{CLO | a, A, false, CLO | a, "last ACK"},
		{CLO | a, S, false, EMB, "ports used again"},
		{CLO | nat | a | b, S, false, EMB | nat, "ports used again, nat"},
		{CLO | nat | a | b, S, true, EMB | nat, "ports used again, told"},
		{CLO | nat | a | b, S | A, true, CLO | nat | a | b, "late SYN+ACK opens nothing"},
		{NEW, 0, false, UDP, "dsr: a second datagram"},
		{NEW, 0, true, NEW, "dsr hears of no answer"},
		{NEW | nat, 0, false, NEW | nat, "not answered yet"},
		{NEW | nat, 0, true, UDP | nat, "answered"},
		{NEW | reply, 0, false, NEW | reply, "answers alone prove no client"},
		{NEW | reply, 0, true, UDP | reply, "the client goes on"},
		{UDP | nat, 0, false, UDP | nat, "goes on"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_flow_table *t = table(1024, 1);
		uint32_t idx = put(t, 5, rows[i].was, NOW);
		CU_ASSERT(rows[i].is == rows[i].was ||
			  sl_flow_moves(sl_flow_get(t, idx), rows[i].flags) || rows[i].other);
		bool changed = see(t, 5, idx, rows[i].flags, rows[i].other, NOW + 4);
		uint8_t is = sl_flow_get(t, idx)->state;
		if (is != rows[i].is)
			printf("  %s: state %#x\n", rows[i].reason, is);
		CU_ASSERT_EQUAL(is, rows[i].is);
		CU_ASSERT_EQUAL(changed, rows[i].is != rows[i].was);
		/* Expiry counts from this packet, by the new state. */
		uint32_t until = NOW + 4 + model_timeout(is);
		CU_ASSERT_EQUAL(look(t, 5, until - 1), idx);
		CU_ASSERT_EQUAL(look(t, 5, until), SL_FLOW_NONE);
		check(t);
		table_free(t);
	}
}

static void
a_reply_half_owns_a_record(void)
{
	struct sl_flow_table *t = table(1024, 2);
	struct sl_tuple k = tuple(3);
	struct sl_flow_evicted ev;
	unsigned reason = 0;

	uint32_t a = put(t, 1, SL_FLOW_UDP | SL_FLOW_REPLY, NOW);
	uint32_t b = put(t, 2, SL_FLOW_UDP | SL_FLOW_REPLY, NOW);
	struct sl_xlat *xa = sl_flow_xlat(t, sl_flow_get(t, a));
	struct sl_xlat *xb = sl_flow_xlat(t, sl_flow_get(t, b));
	CU_ASSERT_PTR_NOT_EQUAL(xa, xb);
	CU_ASSERT_EQUAL(xa->flow, a);
	CU_ASSERT_EQUAL(sl_flow_insert(t, sl_flow_hash(t, &k), &k, 0, 1,
				       SL_FLOW_UDP | SL_FLOW_REPLY, NOW, &ev, &reason),
			SL_FLOW_NONE);
	CU_ASSERT_EQUAL(reason, SL_DROP_XLAT_FULL);
	CU_ASSERT_FALSE(ev.any);
	struct sl_tuple k1 = tuple(1);
	sl_flow_remove(t, sl_flow_hash(t, &k1), a);
	CU_ASSERT_EQUAL(look(t, 1, NOW), SL_FLOW_NONE);
	a = put(t, 3, SL_FLOW_UDP | SL_FLOW_REPLY, NOW);
	CU_ASSERT_NOT_EQUAL(a, SL_FLOW_NONE);
	CU_ASSERT_PTR_NULL(sl_flow_xlat(t, sl_flow_get(t, put(t, 4, SL_FLOW_UDP, NOW))));
	check(t);
	table_free(t);
}

static void
embryonic_flows_are_capped_at_a_quarter(void)
{
	struct sl_flow_table *t = table(4096, 0);
	struct sl_flow_evicted ev;
	struct sl_flow_usage u;
	unsigned evicted = 0, refused = 0, reason;

	for (uint32_t n = 0; n < 2000; n++)
		put(t, n, SL_FLOW_ESTABLISHED, NOW);
	for (uint32_t n = 2000; n < 12000; n++) {
		struct sl_tuple k = tuple(n);
		reason = SL_DROP_NONE;
		uint32_t idx = sl_flow_insert(t, sl_flow_hash(t, &k), &k, n, 1, SL_FLOW_EMBRYONIC,
					      NOW + n / 1000, &ev, &reason);
		refused += idx == SL_FLOW_NONE;
		evicted += ev.any;
		if (ev.any)
			CU_ASSERT_EQUAL(ev.flow.state, SL_FLOW_EMBRYONIC);
		if (idx == SL_FLOW_NONE)
			CU_ASSERT_EQUAL(reason, SL_DROP_EMBRYONIC);
	}
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.embryonic, 1024);
	CU_ASSERT_EQUAL(evicted + refused, 10000 - 1024);
	CU_ASSERT(evicted > refused);
	for (uint32_t n = 0; n < 2000; n++)
		CU_ASSERT_NOT_EQUAL(look(t, n, NOW + 10), SL_FLOW_NONE);
	check(t);
	table_free(t);
}

static void
a_full_table_refuses_and_keeps_what_it_has(void)
{
	struct sl_flow_table *t = table(4096, 0);
	struct sl_flow_evicted ev;
	struct sl_tuple k;
	struct sl_flow_usage u;
	unsigned reason = 0;
	uint32_t n = 0;

	/* Moving neighbours lets the very last entry find a place. */
	while (n < 4096 && put(t, n, SL_FLOW_ESTABLISHED, NOW) != SL_FLOW_NONE)
		n++;
	CU_ASSERT_EQUAL(n, 4096);
	k = tuple(n);
	CU_ASSERT_EQUAL(sl_flow_insert(t, sl_flow_hash(t, &k), &k, 0, 1, SL_FLOW_EMBRYONIC, NOW,
				       &ev, &reason),
			SL_FLOW_NONE);
	CU_ASSERT_EQUAL(reason, SL_DROP_FLOW_FULL);
	for (uint32_t i = 0; i < n; i++)
		CU_ASSERT_NOT_EQUAL(look(t, i, NOW), SL_FLOW_NONE);
	check(t);
	/* Once they have expired a new flow replaces one of its buckets without waiting for the sweep. */
	CU_ASSERT_NOT_EQUAL(sl_flow_insert(t, sl_flow_hash(t, &k), &k, 0, 1, SL_FLOW_EMBRYONIC,
					   NOW + SL_FLOW_T_EST, &ev, &reason),
			    SL_FLOW_NONE);
	CU_ASSERT_TRUE(ev.any);
	CU_ASSERT_EQUAL(ev.flow.state, SL_FLOW_ESTABLISHED);
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.active, 4096);
	check(t);
	table_free(t);
}

static void
a_full_table_gives_up_an_embryonic_flow_first(void)
{
	struct sl_flow_table *t = table(4096, 0);
	struct sl_flow_evicted ev;
	unsigned reason = 0, evicted = 0, refused = 0;

	for (uint32_t n = 0; n < 4096; n++)
		put(t, n, n % 8 ? SL_FLOW_ESTABLISHED : SL_FLOW_EMBRYONIC, NOW);
	for (uint32_t n = 4096; n < 4300; n++) {
		struct sl_tuple k = tuple(n);
		uint32_t idx = sl_flow_insert(t, sl_flow_hash(t, &k), &k, n, 1, SL_FLOW_ESTABLISHED,
					      NOW, &ev, &reason);
		evicted += ev.any;
		refused += idx == SL_FLOW_NONE;
		if (ev.any)
			CU_ASSERT_EQUAL(ev.flow.state, SL_FLOW_EMBRYONIC);
	}
	CU_ASSERT_EQUAL(evicted + refused, 204);
	CU_ASSERT(evicted > 100);
	check(t);
	table_free(t);
}

/* What closes and what flows of UDP have little time left too, but a claim: the half-open one beside them has none. */
static void
an_embryonic_flow_goes_before_an_idle_established_one(void)
{
	static const uint8_t short_lived[] = {SL_FLOW_CLOSING, SL_FLOW_UDP};

	for (unsigned i = 0; i < SL_ARRAY_CNT(short_lived); i++) {
		struct sl_flow_table *t = table(4096, 0);
		struct sl_flow_evicted ev;
		unsigned reason = 0, evicted = 0, idle = 0;

		for (uint32_t n = 0; n < 2048; n++)
			put(t, n, SL_FLOW_ESTABLISHED, NOW);
		/* the established ones could go by now; a quarter of each of the others */
		uint32_t now = NOW + SL_FLOW_IDLE_MIN + 4;
		for (uint32_t n = 2048; n < 4096; n++)
			put(t, n, n % 2 ? short_lived[i] : SL_FLOW_EMBRYONIC, now);
		now += 2;
		for (uint32_t n = 4096; n < 4300; n++) {
			struct sl_tuple k = tuple(n);
			sl_flow_insert(t, sl_flow_hash(t, &k), &k, n, 1, SL_FLOW_ESTABLISHED, now,
				       &ev, &reason);
			evicted += ev.any;
			idle += ev.any && ev.flow.state == SL_FLOW_ESTABLISHED;
			if (ev.any)
				CU_ASSERT_NOT_EQUAL(ev.flow.state, short_lived[i]);
		}
		CU_ASSERT(evicted > 190);
		/* where the two buckets have none: about (3/4)^16 */
		CU_ASSERT(idle < 20);
		check(t);
		table_free(t);
	}
}

static void
a_burst_answers_as_single_look_ups_do(void)
{
	struct sl_flow_table *t = table(2048, 0);
	struct sl_tuple tuples[64];
	const struct sl_tuple *at[64];
	uint64_t hash[64];
	uint32_t idx[64];

	for (uint32_t n = 0; n < 2048; n++)
		put(t, n, n % 3 ? SL_FLOW_ESTABLISHED : SL_FLOW_CLOSING, NOW);
	for (unsigned round = 0; round < 200; round++) {
		unsigned n = 1 + (unsigned)(draw() % 64);
		uint32_t now = NOW + (round & 1) * 100;
		for (unsigned i = 0; i < n; i++) {
			tuples[i] = tuple((uint32_t)(draw() % 4096));
			at[i] = &tuples[i];
		}
		sl_flow_find_burst(t, at, hash, idx, n, now);
		for (unsigned i = 0; i < n; i++) {
			CU_ASSERT_EQUAL(hash[i], sl_flow_hash(t, at[i]));
			CU_ASSERT_EQUAL(idx[i], sl_flow_find(t, hash[i], at[i], now));
		}
	}
	table_free(t);
}

static void
the_table_holds_no_pointers(void)
{
	struct sl_flow_table *t = table(1024, 64);
	size_t bytes = sl_flow_bytes(1024, 64);

	for (uint32_t n = 0; n < 700; n++)
		put(t, n, n < 64 ? SL_FLOW_UDP | SL_FLOW_REPLY : SL_FLOW_ESTABLISHED, NOW);
	struct sl_flow_table *moved = table(1024, 64);
	memcpy(moved, t, bytes);
	memset(t, 0xa5, bytes);
	munmap(t, bytes);
	for (uint32_t n = 0; n < 700; n++)
		CU_ASSERT_NOT_EQUAL(look(moved, n, NOW), SL_FLOW_NONE);
	check(moved);
	table_free(moved);
}

/* Forty tuples of one primary bucket: its count of those that lie elsewhere saturates. */
static void
a_bucket_that_many_tuples_lead_to_loses_none(void)
{
	struct sl_flow_table *t = table(1024, 0);
	struct sl_flow_usage u;
	uint32_t mine[40], cnt = 0;

	sl_flow_usage(t, &u);
	for (uint32_t n = 0; cnt < SL_ARRAY_CNT(mine); n++) {
		struct sl_tuple k = tuple(n);
		if (sl_hash_reduce(sl_flow_hash(t, &k), u.bucket_cnt) == 7)
			mine[cnt++] = n;
	}
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < cnt; i++)
			CU_ASSERT_NOT_EQUAL_FATAL(put(t, mine[i], SL_FLOW_ESTABLISHED, NOW),
						  SL_FLOW_NONE);
		check(t);
		for (uint32_t i = 0; i < cnt; i++) {
			struct sl_tuple k = tuple(mine[i]);
			uint32_t idx = look(t, mine[i], NOW);
			CU_ASSERT_NOT_EQUAL_FATAL(idx, SL_FLOW_NONE);
			sl_flow_remove(t, sl_flow_hash(t, &k), idx);
		}
		check(t);
	}
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.active, 0);
	table_free(t);
}

static void
check_sees_damage(void)
{
	for (unsigned i = 0; i < 3; i++) {
		struct sl_flow_table *t = table(1024, 0);
		uint32_t idx = put(t, 1, SL_FLOW_ESTABLISHED, NOW);
		struct sl_flow *f = sl_flow_get(t, idx);
		put(t, 2, SL_FLOW_EMBRYONIC, NOW);
		check(t);
		if (i == 0)
			f->sport ^= 1;
		else if (i == 1)
			f->state = SL_FLOW_EMBRYONIC;
		else
			f->state = SL_FLOW_FREE;
		CU_ASSERT_PTR_NOT_NULL(sl_flow_check(t));
		table_free(t);
	}
}

/* A flood of datagrams from ever new ports. */
static void
one_datagram_each_never_fills_the_table(void)
{
	struct sl_flow_table *t = table(4096, 0);
	struct sl_flow_usage u;

	for (uint32_t n = 0; n < 3000; n++) {
		uint32_t idx = put(t, n, SL_FLOW_UDP_NEW, NOW);
		CU_ASSERT_NOT_EQUAL_FATAL(idx, SL_FLOW_NONE);
		CU_ASSERT_TRUE(see(t, n, idx, 0, false, NOW));
	}
	for (uint32_t n = 3000; n < 23000; n++)
		put(t, n, SL_FLOW_UDP_NEW, NOW + 1);
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.embryonic, 1024);
	for (uint32_t n = 0; n < 3000; n++)
		CU_ASSERT_NOT_EQUAL(look(t, n, NOW + 1), SL_FLOW_NONE);
	check(t);
	table_free(t);
}

/* ---- pairs: flow n has the tuples 2n and 2n + 1 ---- */

static uint32_t
put_pair_ev(struct sl_flow_table *t, uint32_t n, uint8_t state, uint32_t now_q,
	    struct sl_flow_evicted ev[2], unsigned *reason)
{
	struct sl_tuple k = tuple(2 * n), r = tuple(2 * n + 1);

	return sl_flow_insert_pair(t, &k, sl_flow_hash(t, &k), &r, sl_flow_hash(t, &r), n & 0xffff,
				   (uint16_t)(n >> 16), state, now_q, ev, reason);
}

static uint32_t
put_pair(struct sl_flow_table *t, uint32_t n, uint8_t state, uint32_t now_q)
{
	struct sl_flow_evicted ev[2];
	unsigned reason;

	return put_pair_ev(t, n, state, now_q, ev, &reason);
}

/* Both halves are there, or none: which. */
static bool
pair_is_there(const struct sl_flow_table *t, uint32_t n, uint32_t now_q)
{
	uint32_t a = look(t, 2 * n, now_q), b = look(t, 2 * n + 1, now_q);

	CU_ASSERT_EQUAL(a == SL_FLOW_NONE, b == SL_FLOW_NONE);
	return a != SL_FLOW_NONE && b != SL_FLOW_NONE;
}

static void
a_pair_is_two_entries_that_name_each_other(void)
{
	struct sl_flow_table *t = table(1024, 0);
	struct sl_flow_usage u;

	for (uint32_t n = 0; n < 300; n++)
		CU_ASSERT_NOT_EQUAL_FATAL(put_pair(t, n, SL_FLOW_ESTABLISHED, NOW), SL_FLOW_NONE);
	for (uint32_t n = 0; n < 300; n++) {
		uint32_t a = look(t, 2 * n, NOW), b = look(t, 2 * n + 1, NOW);
		CU_ASSERT_FATAL(a != SL_FLOW_NONE && b != SL_FLOW_NONE);
		const struct sl_flow *f = sl_flow_get(t, a), *r = sl_flow_get(t, b);
		CU_ASSERT_EQUAL(sl_flow_partner(f), b);
		CU_ASSERT_EQUAL(sl_flow_partner(r), a);
		CU_ASSERT_EQUAL(f->state, SL_FLOW_ESTABLISHED | SL_FLOW_NAT | SL_FLOW_PAIR);
		CU_ASSERT_EQUAL(r->state, SL_FLOW_ESTABLISHED | SL_FLOW_REPLY | SL_FLOW_PAIR);
		CU_ASSERT_EQUAL(number_of(f), n);
		CU_ASSERT_EQUAL(number_of(r), n);
		CU_ASSERT_PTR_NULL(sl_flow_xlat(t, f));
		CU_ASSERT_PTR_NULL(sl_flow_xlat(t, r));
	}
	check(t);
	for (uint32_t n = 0; n < 300; n++) {
		struct sl_tuple k = tuple(2 * n + n % 2);
		sl_flow_remove(t, sl_flow_hash(t, &k), look(t, 2 * n + n % 2, NOW));
		CU_ASSERT_FALSE(pair_is_there(t, n, NOW));
	}
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.active, 0);
	check(t);
	table_free(t);
}

static void
the_halves_of_a_pair_change_state_together(void)
{
	enum { EMB = SL_FLOW_EMBRYONIC, EST = SL_FLOW_ESTABLISHED, CLO = SL_FLOW_CLOSING };
	enum { NEW = SL_FLOW_UDP_NEW, UDP = SL_FLOW_UDP };
	const uint8_t a = SL_FLOW_FIN_A, b = SL_FLOW_FIN_B;
	const struct {
		uint8_t state; /* to start with */
		struct {
			bool reply; /* from the endpoint */
			uint8_t flags, is;
		} step[4]; /* is: of the forward half; 0 ends */
		const char *reason;
	} rows[] = {
		{EMB, {{true, S | A, EMB}, {false, S, EMB}, {false, A, EST}}, "handshake"},
		{EMB, {{true, S | A, EMB}, {true, A, EST}}, "the client's ACK was lost"},
		{EMB, {{true, R | A, CLO}, {false, S, EMB}}, "refused, and tried again"},
		{EST,
		 {{false, F | A, EST | a}, {true, A, EST | a}, {true, F | A, CLO | a | b}},
		 "the client closes"},
		{EST,
		 {{true, F | A, EST | b}, {false, F | A, CLO | a | b}, {false, A, CLO | a | b}},
		 "the endpoint closes"},
		{EST, {{true, R, CLO}}, "reset"},
		{NEW, {{false, 0, NEW}, {true, 0, UDP}, {false, 0, UDP}}, "datagram, answered"},
		{NEW, {{false, 0, NEW}, {false, 0, NEW}}, "not answered"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_flow_table *t = table(1024, 0);
		uint32_t fwd = put_pair(t, 5, rows[i].state, NOW);
		uint32_t rep = sl_flow_partner(sl_flow_get(t, fwd));
		uint32_t now_q = NOW;
		for (unsigned s = 0; s < 4 && rows[i].step[s].is; s++) {
			bool reply = rows[i].step[s].reply;
			uint8_t was = sl_flow_get(t, fwd)->state, is = rows[i].step[s].is;
			now_q += 4;
			bool changed = see(t, 10 + reply, reply ? rep : fwd, rows[i].step[s].flags,
					   false, now_q);
			uint8_t fins = (uint8_t)((is & a ? b : 0) | (is & b ? a : 0));
			CU_ASSERT_EQUAL(sl_flow_get(t, fwd)->state,
					is | SL_FLOW_NAT | SL_FLOW_PAIR);
			CU_ASSERT_EQUAL(sl_flow_get(t, rep)->state, (is & SL_FLOW_STATE_MASK) |
									    fins | SL_FLOW_REPLY |
									    SL_FLOW_PAIR);
			CU_ASSERT_EQUAL(changed, was != sl_flow_get(t, fwd)->state);
			check(t);
		}
		now_q += model_timeout(sl_flow_get(t, fwd)->state);
		CU_ASSERT_TRUE(pair_is_there(t, 5, now_q - 1));
		CU_ASSERT_FALSE(pair_is_there(t, 5, now_q));
		table_free(t);
	}
}

/* As the worker does: look-ups refresh one half alone, and the sweep goes round every two seconds. */
static void
a_half_lives_as_long_as_its_partner(void)
{
	for (unsigned talks = 0; talks < 2; talks++) {
		struct sl_flow_table *t = table(1024, 0);
		struct gone g = {0};
		struct sl_tuple k = tuple(10 + talks);
		const struct sl_tuple *at = &k;
		uint64_t hash;
		uint32_t idx, now_q = NOW;

		put_pair(t, 5, SL_FLOW_UDP, NOW);
		for (; now_q < NOW + 5 * SL_FLOW_T_UDP; now_q += 8) {
			sl_flow_find_burst(t, &at, &hash, &idx, 1, now_q);
			CU_ASSERT_TRUE(pair_is_there(t, 5, now_q));
			sl_flow_sweep(t, UINT32_MAX, now_q, note_gone, &g);
		}
		CU_ASSERT_EQUAL(g.cnt, 0);
		/* Silence of both: one flow goes, named by its forward half. */
		CU_ASSERT_EQUAL(sl_flow_sweep(t, UINT32_MAX, now_q + SL_FLOW_T_UDP, note_gone, &g),
				1);
		CU_ASSERT_EQUAL(g.cnt, 1);
		check(t);
		/* The sweep comes late, and the half that was silent is past its time already. */
		put_pair(t, 5, SL_FLOW_UDP, NOW);
		sl_flow_find_burst(t, &at, &hash, &idx, 1, NOW + 100);
		CU_ASSERT_EQUAL(sl_flow_sweep(t, UINT32_MAX, NOW + 130, note_gone, &g), 0);
		CU_ASSERT_TRUE(pair_is_there(t, 5, NOW + 219));
		CU_ASSERT_EQUAL(sl_flow_sweep(t, UINT32_MAX, NOW + 220, note_gone, &g), 1);
		table_free(t);
	}
}

static void
a_pair_does_not_come_back_beside_a_new_flow_of_its_tuple(void)
{
	struct sl_flow_table *t = table(1024, 0);
	struct sl_tuple r = tuple(11);
	const struct sl_tuple *at = &r;
	uint64_t hash;
	uint32_t idx;
	struct gone g = {0};

	put_pair(t, 5, SL_FLOW_UDP, NOW);
	sl_flow_find_burst(t, &at, &hash, &idx, 1, NOW + 100);
	/* The forward half has expired, and no sweep came: the client opens a new flow. */
	uint32_t now_q = NOW + SL_FLOW_T_UDP;
	CU_ASSERT_EQUAL(look(t, 10, now_q), SL_FLOW_NONE);
	uint32_t fresh = put(t, 10, SL_FLOW_UDP_NEW, now_q);
	CU_ASSERT_EQUAL(sl_flow_sweep(t, UINT32_MAX, now_q, note_gone, &g), 1);
	CU_ASSERT_EQUAL(look(t, 10, now_q), fresh);
	CU_ASSERT_EQUAL(look(t, 11, now_q), SL_FLOW_NONE);
	check(t);
	table_free(t);
}

static void
embryonic_pairs_stay_below_the_cap(void)
{
	struct sl_flow_table *t = table(4096, 0);
	struct sl_flow_evicted ev[2];
	struct sl_flow_usage u;
	unsigned in = 0, gone = 0, reason = 0;

	for (uint32_t n = 0; n < 600; n++)
		put_pair(t, n, SL_FLOW_ESTABLISHED, NOW);
	for (uint32_t n = 600; n < 4600; n++) {
		uint32_t idx = put_pair_ev(t, n, n % 2 ? SL_FLOW_EMBRYONIC : SL_FLOW_UDP_NEW,
					   NOW + n / 100, ev, &reason);
		in += idx != SL_FLOW_NONE;
		for (unsigned i = 0; i < 2; i++) {
			if (!ev[i].any)
				continue;
			gone++;
			CU_ASSERT_TRUE(ev[i].flow.state & SL_FLOW_NAT);
			CU_ASSERT(number_of(&ev[i].flow) >= 600 && number_of(&ev[i].flow) < n);
			CU_ASSERT_FALSE(pair_is_there(t, number_of(&ev[i].flow), NOW + n / 100));
		}
		CU_ASSERT_EQUAL(pair_is_there(t, n, NOW + n / 100), idx != SL_FLOW_NONE);
		CU_ASSERT(idx != SL_FLOW_NONE || reason == SL_DROP_EMBRYONIC);
	}
	sl_flow_usage(t, &u);
	CU_ASSERT(u.embryonic <= 1024 && u.embryonic > 1000);
	CU_ASSERT_EQUAL(u.embryonic, 2 * (in - gone));
	CU_ASSERT(gone > 1000);
	for (uint32_t n = 0; n < 600; n++)
		CU_ASSERT_TRUE(pair_is_there(t, n, NOW));
	check(t);
	table_free(t);
}

static void
a_full_table_gives_up_the_idlest_pair_whole(void)
{
	struct sl_flow_table *t = table(1024, 0);
	struct sl_flow_evicted ev[2];
	unsigned reason = 0, gone = 0, refused = 0;
	uint32_t later = NOW + 10 * SL_FLOW_IDLE_MIN;

	/* Of every third only the reply half was seen of late, of every third both, of the rest neither. */
	for (uint32_t n = 0; n < 512; n++) {
		CU_ASSERT_NOT_EQUAL_FATAL(put_pair(t, n, SL_FLOW_ESTABLISHED, NOW), SL_FLOW_NONE);
		for (unsigned half = n % 3 == 0 ? 1 : 0; half < 2 && n % 3 < 2; half++) {
			struct sl_tuple k = tuple(2 * n + half);
			const struct sl_tuple *at = &k;
			uint64_t hash;
			uint32_t idx;
			sl_flow_find_burst(t, &at, &hash, &idx, 1, later);
		}
	}
	for (uint32_t n = 512; n < 600; n++) {
		uint32_t idx = put_pair_ev(t, n, SL_FLOW_ESTABLISHED, later, ev, &reason);
		refused += idx == SL_FLOW_NONE;
		CU_ASSERT_EQUAL(pair_is_there(t, n, later), idx != SL_FLOW_NONE);
		for (unsigned i = 0; i < 2; i++) {
			gone += ev[i].any;
			if (!ev[i].any)
				continue;
			CU_ASSERT_EQUAL(number_of(&ev[i].flow) % 3, 2);
			CU_ASSERT_TRUE(ev[i].flow.state & SL_FLOW_NAT);
			CU_ASSERT_FALSE(pair_is_there(t, number_of(&ev[i].flow), later));
		}
		check(t);
	}
	CU_ASSERT(gone > 60);
	CU_ASSERT(refused < 28);
	for (uint32_t n = 0; n < 512; n++)
		if (n % 3 < 2)
			CU_ASSERT_TRUE(pair_is_there(t, n, later));
	table_free(t);
}

/* Where both halves look into one bucket, the first is sometimes all that could go for the second. */
static void
the_second_half_never_takes_the_place_of_the_first(void)
{
	struct sl_flow_evicted ev[2];
	unsigned reason = 0, refused = 0, for_nothing = 0;

	for (unsigned round = 0; round < 100; round++) {
		struct sl_flow_table *t = table(1024, 0);
		for (uint32_t n = 0; n < 1024; n++)
			put(t, 100000 + n, n % 8 ? SL_FLOW_ESTABLISHED : SL_FLOW_EMBRYONIC, NOW);
		for (uint32_t n = round * 60; n < round * 60 + 60; n++) {
			uint32_t idx = put_pair_ev(t, n, SL_FLOW_EMBRYONIC, NOW + 1, ev, &reason);
			CU_ASSERT_EQUAL(pair_is_there(t, n, NOW), idx != SL_FLOW_NONE);
			refused += idx == SL_FLOW_NONE;
			for_nothing += idx == SL_FLOW_NONE && (ev[0].any || ev[1].any);
			CU_ASSERT(idx != SL_FLOW_NONE || reason == SL_DROP_FLOW_FULL);
		}
		check(t);
		table_free(t);
	}
	CU_ASSERT(refused > 500);
	/* It has happened, but where the second half had no hope from the start nothing went. */
	CU_ASSERT(for_nothing > 0 && for_nothing < refused / 20);
	if (for_nothing == 0 || for_nothing >= refused / 20)
		printf("  %u refused, %u of them after an eviction\n", refused, for_nothing);
}

static void
a_pair_that_opens_again_takes_two_of_the_embryonic(void)
{
	struct sl_flow_table *t = table(1024, 0);
	struct sl_flow_usage u;

	uint32_t fwd = put_pair(t, 5, SL_FLOW_CLOSING, NOW);
	for (uint32_t n = 0; n < 255; n++)
		put(t, 1000 + n, SL_FLOW_EMBRYONIC, NOW);
	CU_ASSERT_FALSE(see(t, 10, fwd, S, false, NOW));
	check(t);
	struct sl_tuple k = tuple(1000);
	sl_flow_remove(t, sl_flow_hash(t, &k), look(t, 1000, NOW));
	CU_ASSERT_TRUE(see(t, 10, fwd, S, false, NOW));
	sl_flow_usage(t, &u);
	CU_ASSERT_EQUAL(u.embryonic, 256);
	check(t);
	table_free(t);
}

/* Pairs and single flows of the same tuples, in a table too small for them: whatever happens, a pair is whole, and
 * what was reported gone is gone. */
static void
pairs_stay_whole_in_a_crowd(void)
{
	static const uint8_t states[] = {SL_FLOW_EMBRYONIC, SL_FLOW_ESTABLISHED, SL_FLOW_CLOSING,
					 SL_FLOW_UDP, SL_FLOW_UDP_NEW};
	static const uint8_t flags[] = {A, A, A, S, F | A, R, S | A};
	struct sl_flow_table *t = table(1024, 0);
	uint32_t now_q = UINT32_MAX - 100000;
	unsigned evicted = 0, refused = 0;

	rng = 21;
	for (unsigned i = 0; i < 200000; i++) {
		uint32_t n = (uint32_t)(draw() % 700), half = (uint32_t)(draw() % 2);
		uint32_t a = look(t, 2 * n, now_q), b = look(t, 2 * n + 1, now_q);
		uint32_t idx = half ? b : a;
		struct sl_tuple k = tuple(2 * n + half);
		struct sl_flow_evicted ev[2] = {{.any = false}};
		unsigned reason = 0;
		if (a == SL_FLOW_NONE && b == SL_FLOW_NONE && n % 4) {
			a = put_pair_ev(t, n, states[draw() % 5], now_q, ev, &reason);
			refused += a == SL_FLOW_NONE;
			CU_ASSERT_EQUAL(pair_is_there(t, n, now_q), a != SL_FLOW_NONE);
		} else if (idx == SL_FLOW_NONE && n % 4 == 0) {
			sl_flow_insert(t, sl_flow_hash(t, &k), &k, n, 0, states[draw() % 5], now_q,
				       ev, &reason);
		} else if (idx != SL_FLOW_NONE && draw() % 8 == 0) {
			sl_flow_remove(t, sl_flow_hash(t, &k), idx);
		} else if (idx != SL_FLOW_NONE) {
			see(t, 2 * n + half, idx, flags[draw() % SL_ARRAY_CNT(flags)], false,
			    now_q);
		}
		for (unsigned e = 0; e < 2; e++) {
			evicted += ev[e].any;
			if (ev[e].any && (ev[e].flow.state & SL_FLOW_PAIR))
				CU_ASSERT_TRUE(ev[e].flow.state & SL_FLOW_NAT);
		}
		now_q += draw() % 64 == 0;
		if (i % 64 == 0)
			sl_flow_sweep(t, 20, now_q, NULL, NULL);
		if (i % 512 == 0)
			check(t);
	}
	check(t);
	CU_ASSERT(evicted > 1000);
	CU_ASSERT(refused > 100);
	table_free(t);
}

/* ---- against the model ---- */

struct trial {
	struct sl_flow_table *t;
	struct model m;
	uint32_t now_q;
	uint64_t wrong;
};

static void
expect(struct trial *x, bool ok, const char *what)
{
	if (!ok && x->wrong++ < 5)
		printf("  at %u: %s\n", x->now_q, what);
}

static void
model_gone(void *ctx, const struct sl_flow *f, const struct sl_xlat *rec)
{
	struct trial *x = ctx;
	struct model_flow *mf = &x->m.flow[number_of(f)];

	(void)rec;
	expect(x, mf->used && !model_live(mf, x->now_q), "swept a live flow");
	expect(x, mf->state == f->state, "swept in another state");
	if (mf->used)
		model_del(&x->m, number_of(f));
}

static void
trial_insert(struct trial *x, uint32_t key, const struct sl_tuple *k, uint64_t hash)
{
	static const uint8_t states[] = {
		SL_FLOW_EMBRYONIC,
		SL_FLOW_EMBRYONIC | SL_FLOW_NAT,
		SL_FLOW_ESTABLISHED,
		SL_FLOW_UDP,
		SL_FLOW_UDP | SL_FLOW_REPLY,
		SL_FLOW_EMBRYONIC | SL_FLOW_REPLY,
		SL_FLOW_UDP_NEW,
		SL_FLOW_UDP_NEW | SL_FLOW_NAT,
	};
	uint8_t state = states[draw() % SL_ARRAY_CNT(states)];
	struct sl_flow_evicted ev;
	unsigned reason = SL_DROP_NONE;
	struct sl_flow_usage u;

	/* An expired entry of the same tuple may lie there still: the model holds one row a key, so it
	 * is swept first in that case. */
	if (x->m.flow[key].used)
		sl_flow_sweep(x->t, UINT32_MAX, x->now_q, model_gone, x);
	sl_flow_usage(x->t, &u);
	uint32_t idx = sl_flow_insert(x->t, hash, k, key & 0xffff, (uint16_t)(key >> 16), state,
				      x->now_q, &ev, &reason);
	if (ev.any) {
		struct model_flow *gone = &x->m.flow[number_of(&ev.flow)];
		bool embryonic = model_embryonic(gone->state);
		expect(x, gone->used && gone->state == ev.flow.state, "evicted a stranger");
		bool idle = (gone->state & SL_FLOW_STATE_MASK) == SL_FLOW_ESTABLISHED &&
			    gone->until_q - x->now_q <= SL_FLOW_T_EST - SL_FLOW_IDLE_MIN;
		expect(x, !model_live(gone, x->now_q) || embryonic || idle,
		       "evicted a flow with a claim");
		if (gone->used)
			model_del(&x->m, number_of(&ev.flow));
	}
	if (idx == SL_FLOW_NONE) {
		expect(x, !ev.any, "refused and evicted");
		if (reason == SL_DROP_EMBRYONIC)
			expect(x, u.embryonic == u.capacity / 4, "refused below the cap");
		else if (reason == SL_DROP_XLAT_FULL)
			expect(x, u.xlat_used == u.xlat_capacity, "refused with records left");
		else
			expect(x, reason == SL_DROP_FLOW_FULL && u.active > u.capacity * 9 / 10,
			       "refused for no reason");
		return;
	}
	model_add(&x->m, key,
		  (struct model_flow){
			  .used = true,
			  .state = state,
			  .idx = idx,
			  .until_q = x->now_q + model_timeout(state),
		  });
}

static void
trial_seen(struct trial *x, uint32_t key, uint64_t hash, uint32_t idx)
{
	static const uint8_t flags[] = {A, A, A, A, A, A, S, F | A, R, S | A};
	struct model_flow *mf = &x->m.flow[key];
	struct sl_flow *f = sl_flow_get(x->t, idx);
	uint8_t was = f->state;

	bool changed = sl_flow_seen(x->t, hash, idx, flags[draw() % SL_ARRAY_CNT(flags)],
				    draw() & 1, x->now_q);
	/* Transitions have a table of their own (state_follows_the_packets). */
	expect(x, changed == (f->state != was), "change not told");
	x->m.embryonic += (uint32_t)model_embryonic(f->state) - model_embryonic(was);
	mf->state = f->state;
	mf->until_q = x->now_q + model_timeout(f->state);
}

static void
trial_step(struct trial *x)
{
	uint32_t key = (uint32_t)(draw() % x->m.cnt);
	struct sl_tuple k = tuple(key);
	uint64_t hash = sl_flow_hash(x->t, &k);
	struct model_flow *mf = &x->m.flow[key];
	bool live = model_live(mf, x->now_q);
	uint32_t idx = sl_flow_find(x->t, hash, &k, x->now_q);

	expect(x, (idx != SL_FLOW_NONE) == live, "found what is not, or not what is");
	if (idx == SL_FLOW_NONE) {
		trial_insert(x, key, &k, hash);
		return;
	}
	const struct sl_flow *f = sl_flow_get(x->t, idx);
	expect(x, idx == mf->idx && number_of(f) == key && f->state == mf->state,
	       "found another entry");
	unsigned what = (unsigned)(draw() % 8);
	if (what == 0) {
		sl_flow_remove(x->t, hash, idx);
		model_del(&x->m, key);
	} else if (what < 6) {
		trial_seen(x, key, hash, idx);
	}
}

static void
trial_compare(struct trial *x)
{
	struct sl_flow_usage u;

	sl_flow_usage(x->t, &u);
	expect(x, u.active == x->m.used, "number of entries");
	expect(x, u.embryonic == x->m.embryonic, "number of embryonic entries");
	expect(x, u.xlat_used == x->m.replies, "number of records");
	const char *bad = sl_flow_check(x->t);
	expect(x, bad == NULL, bad ? bad : "");
}

static void
run_trial(uint32_t capacity, uint32_t xlat, uint32_t keys, unsigned batches, unsigned steps,
	  uint32_t leap_q)
{
	struct trial x = {.t = table(capacity, xlat), .now_q = UINT32_MAX - 3 * 65536};
	struct sl_flow_usage u;

	x.m.flow = calloc(keys, sizeof(*x.m.flow));
	x.m.cnt = keys;
	CU_ASSERT_PTR_NOT_NULL_FATAL(x.m.flow);
	sl_flow_usage(x.t, &u);
	for (unsigned i = 0; i < batches; i++) {
		for (unsigned j = 0; j < steps; j++) {
			trial_step(&x);
			if (j % 256 == 0)
				sl_flow_sweep(x.t, u.bucket_cnt / 64 + 1, x.now_q, model_gone, &x);
		}
		trial_compare(&x);
		x.now_q += (uint32_t)(draw() % leap_q);
		/* The worker's pass every two seconds, here only before time leaps. */
		if (leap_q > 1000)
			sl_flow_sweep(x.t, u.bucket_cnt, x.now_q, model_gone, &x);
	}
	CU_ASSERT_EQUAL(x.wrong, 0);
	free(x.m.flow);
	table_free(x.t);
}

static void
a_small_crowded_table_agrees_with_the_model(void)
{
	for (uint64_t seed = 1; seed <= 4; seed++) {
		rng = seed;
		run_trial(1024, 200, 3000, 150, 2000, 30);
	}
}

static void
the_table_agrees_with_the_model_over_wraps_of_the_clock(void)
{
	rng = 77;
	run_trial(4096, 1000, 6000, 400, 1000, 9000);
}

static void
a_million_flows_agree_with_the_model(void)
{
	rng = 4711;
	run_trial(1000000, 300000, 1300000, 6, 350000, 20);
}

static void
a_full_table_gives_up_the_idlest_established_flow(void)
{
	struct sl_flow_table *t = table(1024, 0);
	struct sl_flow_evicted ev;
	unsigned reason = 0, evicted = 0, young = 0;
	uint32_t later = NOW + 10 * SL_FLOW_IDLE_MIN;

	/* Half were seen long ago, half just now; n tells which. */
	for (uint32_t n = 0; n < 1024; n++)
		put(t, n, SL_FLOW_ESTABLISHED, n % 2 ? later : NOW + n);
	for (uint32_t n = 1024; n < 1224; n++) {
		struct sl_tuple k = tuple(n);
		sl_flow_insert(t, sl_flow_hash(t, &k), &k, n, 1, SL_FLOW_ESTABLISHED, later, &ev,
			       &reason);
		evicted += ev.any;
		young += ev.any && ev.flow.slot % 2;
	}
	CU_ASSERT(evicted > 190);
	CU_ASSERT_EQUAL(young, 0);
	check(t);
	table_free(t);
}

/* How many of `cnt` numbers find a place. */
static unsigned
placed(struct sl_flow_table *t, const uint32_t *n, unsigned cnt)
{
	unsigned in = 0;

	for (unsigned i = 0; i < cnt; i++) {
		struct sl_tuple k = tuple(n[i]);
		struct sl_flow_evicted ev;
		unsigned why;
		in += sl_flow_insert(t, sl_flow_hash(t, &k), &k, 1, 1, SL_FLOW_ESTABLISHED, NOW,
				     &ev, &why) != SL_FLOW_NONE;
	}
	return in;
}

/* Tuples that somebody chose so that both their buckets are the same, by a key that is not this table's. */
static void
chosen_tuples_meet_only_under_the_key_they_were_chosen_for(void)
{
	enum { CNT = 64, BUCKETS = 171 };
	struct sl_flow_table *theirs = table(1024, 0), *ours = table(1024, 0);
	static uint32_t chosen[CNT];
	unsigned cnt = 0;

	CU_ASSERT_EQUAL_FATAL(theirs->bucket_cnt, BUCKETS);
	for (uint32_t n = 0; cnt < CNT; n++) {
		struct sl_tuple k = tuple(n);
		uint64_t hash = sl_flow_hash(theirs, &k);
		uint32_t tag = (uint16_t)hash ? (uint16_t)hash : 1;
		uint64_t spread = (uint64_t)(tag * 0x9e3779b1u) * BUCKETS >> 32;
		if (sl_hash_reduce(hash, BUCKETS) == 77 && spread == 99)
			chosen[cnt++] = n;
	}
	CU_ASSERT_EQUAL(placed(theirs, chosen, CNT), 16);
	CU_ASSERT_EQUAL(placed(ours, chosen, CNT), CNT);
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT_NOT_EQUAL(look(ours, chosen[i], NOW), SL_FLOW_NONE);
	check(theirs);
	check(ours);
	table_free(theirs);
	table_free(ours);
}

SL_SUITE("flow", SL_TEST(chosen_tuples_meet_only_under_the_key_they_were_chosen_for),
	 SL_TEST(a_full_table_gives_up_the_idlest_established_flow),
	 SL_TEST(a_flow_costs_at_most_64_bytes), SL_TEST(sizes_out_of_range_are_refused),
	 SL_TEST(find_returns_what_was_inserted), SL_TEST(every_part_of_the_tuple_counts),
	 SL_TEST(find_returns_none_after_expiry),
	 SL_TEST(sweep_removes_what_expired_and_nothing_else), SL_TEST(state_follows_the_packets),
	 SL_TEST(a_reply_half_owns_a_record), SL_TEST(embryonic_flows_are_capped_at_a_quarter),
	 SL_TEST(a_full_table_refuses_and_keeps_what_it_has),
	 SL_TEST(a_full_table_gives_up_an_embryonic_flow_first),
	 SL_TEST(an_embryonic_flow_goes_before_an_idle_established_one),
	 SL_TEST(a_burst_answers_as_single_look_ups_do), SL_TEST(the_table_holds_no_pointers),
	 SL_TEST(a_bucket_that_many_tuples_lead_to_loses_none), SL_TEST(check_sees_damage),
	 SL_TEST(one_datagram_each_never_fills_the_table),
	 SL_TEST(a_pair_is_two_entries_that_name_each_other),
	 SL_TEST(the_halves_of_a_pair_change_state_together),
	 SL_TEST(a_half_lives_as_long_as_its_partner),
	 SL_TEST(a_pair_does_not_come_back_beside_a_new_flow_of_its_tuple),
	 SL_TEST(embryonic_pairs_stay_below_the_cap),
	 SL_TEST(a_full_table_gives_up_the_idlest_pair_whole),
	 SL_TEST(the_second_half_never_takes_the_place_of_the_first),
	 SL_TEST(pairs_stay_whole_in_a_crowd),
	 SL_TEST(a_pair_that_opens_again_takes_two_of_the_embryonic),
	 SL_TEST(a_small_crowded_table_agrees_with_the_model),
	 SL_TEST(the_table_agrees_with_the_model_over_wraps_of_the_clock),
	 SL_TEST(a_million_flows_agree_with_the_model))
