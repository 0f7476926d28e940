#include "lb/choose.h"

#include <stdatomic.h>

#include "lb/maglev.h"
#include "lb/ring.h"
#include "lb/shares.h"
#include "sluice/pkt.h"
#include "tests/suite.h"

#define SEED 77
#define CTX(CURSOR)                                                                                \
	(struct sl_choose_ctx)                                                                     \
	{                                                                                          \
		.states = states, .seed = SEED, .conns = conns, .cursors = (CURSOR)                \
	}

enum { CNT = 10, FIRST_SLOT = 100 };

static struct sl_img_endpoint endpoints[CNT];
static struct sl_state_word2 states[SL_MAX_ENDPOINTS];
static uint32_t conns[SL_MAX_ENDPOINTS];
static uint16_t maglev[1009], sched[64];
static struct sl_service svc;

/* Ten endpoints of weight 1, slots from 100 on, all fresh. */
static void
set_up(uint8_t policy)
{
	struct sl_maglev_node nodes[CNT];

	memset(states, 0, sizeof(states));
	memset(conns, 0, sizeof(conns));
	for (unsigned i = 0; i < CNT; i++) {
		snprintf(endpoints[i].name, SL_NAME_MAX, "e%u", i);
		endpoints[i].slot = FIRST_SLOT + i;
		endpoints[i].incarnation = 5;
		endpoints[i].weight = 1;
		nodes[i] = (struct sl_maglev_node){endpoints[i].name, 1};
	}
	svc = (struct sl_service){.endpoints = endpoints,
				  .endpoint_cnt = CNT,
				  .top.member_cnt = CNT,
				  .set_cnt = 1,
				  .policy = policy};
	svc.source_bits4 = 32;
	svc.source_bits6 = 128;
	if (policy == SL_POLICY_LEAST_CONN)
		return;
	if (policy == SL_POLICY_ROUND_ROBIN) {
		svc.top.sched = sched;
		CU_ASSERT_EQUAL_FATAL(sl_maglev_schedule(nodes, CNT, sched, 64, &svc.top.sched_cnt),
				      0);
	} else {
		svc.top.maglev = maglev;
		svc.top.maglev_cnt = 1009;
		CU_ASSERT_EQUAL_FATAL(sl_maglev_build(nodes, CNT, SEED, maglev, 1009), 0);
	}
}

static void
set_admin(unsigned i, uint16_t flags, uint8_t fraction)
{
	atomic_store(&states[FIRST_SLOT + i].admin, sl_state_make(flags, fraction, 5));
}

static struct sl_tuple
tuple(uint32_t client, uint16_t sport)
{
	struct sl_tuple t = {.sport = sport, .dport = 80, .proto = 6};

	t.src = sl_addr_from_v4(&client);
	t.dst = sl_addr_from_v4("\xc0\0\2\1");
	return t;
}

static struct sl_choice
choose(uint32_t client, uint16_t sport)
{
	struct sl_tuple t = tuple(client, sport);
	uint32_t cursor = 0;

	return sl_choose(&svc, &CTX(&cursor), &t);
}

static void
words_admit_by_flags_incarnation_and_fraction(void)
{
	static const struct {
		uint64_t admin, passive;
		uint8_t hash2;
		bool admits, serves, lives;
		const char *reason;
	} rows[] = {
		{0, 0, 255, true, true, true, "never written: fresh"},
#define W(flags, fraction, inc)                                                                    \
	(uint64_t)(flags) | (uint64_t)(fraction) << 16 | (uint64_t)(inc) << 32
		{W(0, 255, 5), 0, 255, true, true, true, "whole admits every draw"},
		{W(0, 254, 5), 0, 253, true, true, true, "draw below the fraction"},
		{W(0, 254, 5), 0, 254, false, true, true, "draw at the fraction"},
		{W(0, 0, 5), 0, 0, false, true, true, "fraction 0 admits none"},
		{W(SL_ST_UNHEALTHY, 255, 5), 0, 0, false, true, false, "unhealthy"},
		{W(SL_ST_DRAIN, 255, 5), 0, 0, false, true, true, "draining"},
		{W(SL_ST_DISABLED, 255, 5), 0, 0, false, false, true, "disabled"},
		{W(0, 255, 5), W(SL_ST_EJECTED, 255, 5), 0, false, true, false, "ejected"},
		{0, W(SL_ST_EJECTED, 255, 5), 0, false, true, false,
		 "ejected, admin never written"},
		{W(SL_ST_DISABLED, 0, 4), 0, 255, true, true, true, "word of the one before"},
		{W(SL_ST_DISABLED, 0, 6), 0, 255, true, true, true, "word of the one after"},
		{W(0, 255, 5), W(0, 10, 5), 10, false, true, true, "smaller fraction rules"},
		{W(0, 10, 5), W(0, 255, 5), 10, false, true, true, "smaller fraction, other word"},
		{W(0, 255, 5), W(SL_ST_EJECTED, 0, 4), 255, true, true, true, "old ejection"},
#undef W
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_state_word2 w = {rows[i].admin, rows[i].passive};
		bool admits = sl_choose_admits(&w, 5, rows[i].hash2);
		if (admits != rows[i].admits)
			printf("  %s\n", rows[i].reason);
		CU_ASSERT_EQUAL(admits, rows[i].admits);
		CU_ASSERT_EQUAL(sl_choose_serves(sl_state_refusal(&w, 5)), rows[i].serves);
		CU_ASSERT_EQUAL(sl_choose_lives(sl_state_refusal(&w, 5)), rows[i].lives);
	}
}

static void
maglev_spreads_and_repeats_itself(void)
{
	unsigned cnt[CNT] = {0};

	set_up(SL_POLICY_MAGLEV);
	for (unsigned i = 0; i < 10000; i++) {
		struct sl_choice a = choose(i, (uint16_t)(i * 31)),
				 b = choose(i, (uint16_t)(i * 31));
		CU_ASSERT_EQUAL(a.endpoint, b.endpoint);
		CU_ASSERT_EQUAL(a.why, SL_WHY_MAGLEV);
		CU_ASSERT_EQUAL(a.tries, 0);
		cnt[a.endpoint]++;
	}
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT(cnt[i] > 850 && cnt[i] < 1150);
}

static void
maglev_goes_by_the_whole_tuple_source_hash_by_the_client(void)
{
	unsigned differ = 0;

	set_up(SL_POLICY_MAGLEV);
	uint32_t one = choose(1, 1).endpoint;
	for (uint16_t p = 2; p < 100; p++)
		differ += choose(1, p).endpoint != one;
	CU_ASSERT(differ > 70);
	set_up(SL_POLICY_SOURCE_HASH);
	one = choose(1, 1).endpoint;
	CU_ASSERT_EQUAL(choose(1, 1).why, SL_WHY_SOURCE);
	for (uint16_t p = 2; p < 100; p++)
		CU_ASSERT_EQUAL(choose(1, p).endpoint, one);
	differ = 0;
	for (uint32_t c = 2; c < 100; c++)
		differ += choose(c, 1).endpoint != one;
	CU_ASSERT(differ > 70);
}

static void
round_robin_takes_turns(void)
{
	unsigned cnt[CNT] = {0};
	uint32_t cursor = UINT32_MAX; /* of a longer schedule */
	struct sl_tuple t = tuple(9, 9);

	set_up(SL_POLICY_ROUND_ROBIN);
	for (unsigned i = 0; i < 5 * CNT; i++) {
		struct sl_choice c = sl_choose(&svc, &CTX(&cursor), &t);
		CU_ASSERT_EQUAL(c.why, SL_WHY_ROUND_ROBIN);
		cnt[c.endpoint]++;
	}
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT_EQUAL(cnt[i], 5);
	/* One that refuses is passed over; its turn goes to the next. */
	set_admin(3, SL_ST_DRAIN, 255);
	for (unsigned i = 0; i < 9 * CNT; i++)
		CU_ASSERT_NOT_EQUAL(sl_choose(&svc, &CTX(&cursor), &t).endpoint, 3);
}

/* Else the first requests of all gateways, and of all their workers, would meet at the same endpoint. */
static void
turns_begin_where_the_cursor_says(void)
{
	unsigned seen = 0;
	struct sl_tuple t = tuple(9, 9);

	set_up(SL_POLICY_ROUND_ROBIN);
	for (uint32_t i = 0; i < CNT; i++) {
		uint32_t cursor = 1000000 + i;
		seen |= 1u << sl_choose(&svc, &CTX(&cursor), &t).endpoint;
	}
	CU_ASSERT_EQUAL(seen, (1u << CNT) - 1);
}

static void
refusing_endpoints_lose_only_their_own_flows(void)
{
	unsigned moved = 0, mine = 0;
	uint32_t before[5000];

	set_up(SL_POLICY_MAGLEV);
	for (unsigned i = 0; i < 5000; i++)
		before[i] = choose(i, 1).endpoint;
	set_admin(4, SL_ST_UNHEALTHY, 255);
	for (unsigned i = 0; i < 5000; i++) {
		struct sl_choice c = choose(i, 1);
		CU_ASSERT_NOT_EQUAL(c.endpoint, 4);
		moved += before[i] != 4 && c.endpoint != before[i];
		mine += before[i] == 4 && c.tries >= 1;
		CU_ASSERT_EQUAL(c.tries > 0, before[i] == 4);
	}
	CU_ASSERT_EQUAL(moved, 0);
	CU_ASSERT(mine > 400);
}

static void
fraction_admits_its_part_and_grows_monotonically(void)
{
	bool had[20000] = {false};

	set_up(SL_POLICY_MAGLEV);
	for (unsigned f = 0; f <= 255; f += 51) {
		unsigned cnt = 0;
		set_admin(0, 0, (uint8_t)f);
		for (unsigned i = 0; i < 20000; i++) {
			bool has = choose(i, 7).endpoint == 0;
			CU_ASSERT_TRUE(has || !had[i]);
			had[i] = has;
			cnt += has;
		}
		double want = 2000.0 * f / 255;
		CU_ASSERT(cnt > want * 0.8 - 20 && cnt < want * 1.3 + 20);
	}
}

static void
the_list_is_walked_when_every_salt_is_refused(void)
{
	unsigned walked = 0;

	set_up(SL_POLICY_MAGLEV);
	for (unsigned i = 0; i < CNT; i++)
		set_admin(i, i == 6 ? 0 : SL_ST_DRAIN, i == 6 ? 1 : 255);
	for (unsigned i = 0; i < 300; i++) {
		struct sl_choice c = choose(i, 3);
		CU_ASSERT_EQUAL(c.endpoint, 6);
		walked += c.why == SL_WHY_WALK;
		CU_ASSERT_EQUAL(c.tries == SL_CHOOSE_SALTS + 1, c.why == SL_WHY_WALK);
	}
	CU_ASSERT(walked > 280);
	/* The walk starts anywhere, so that the load of many refusals is spread. */
	unsigned cnt[CNT] = {0};
	for (unsigned i = 0; i < CNT; i++)
		set_admin(i, 0, 1);
	for (unsigned i = 0; i < 5000; i++)
		cnt[choose(i, 4).endpoint]++;
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT(cnt[i] > 350);
}

static void
nothing_is_chosen_when_nothing_admits(void)
{
	static const uint8_t policies[] = {SL_POLICY_MAGLEV, SL_POLICY_ROUND_ROBIN,
					   SL_POLICY_SOURCE_HASH, SL_POLICY_LEAST_CONN};

	for (unsigned p = 0; p < SL_ARRAY_CNT(policies); p++) {
		set_up(policies[p]);
		for (unsigned i = 0; i < CNT; i++)
			set_admin(i, i & 1 ? SL_ST_DISABLED : 0, i & 1 ? 255 : 0);
		struct sl_choice c = choose(1, 2);
		CU_ASSERT_EQUAL(c.endpoint, UINT32_MAX);
		CU_ASSERT_EQUAL(c.why, SL_WHY_NONE);
		/* Weight 0 is never the walk's answer. */
		set_admin(2, 0, 255);
		endpoints[2].weight = 0;
		set_admin(4, 0, 1);
		for (unsigned i = 0; i < 50; i++)
			CU_ASSERT_NOT_EQUAL(choose(i, 2).why == SL_WHY_WALK &&
						    choose(i, 2).endpoint == 2,
					    true);
		/* No endpoints, or none with weight: no table. */
		svc.top.maglev_cnt = svc.top.sched_cnt = 0;
		if (policies[p] != SL_POLICY_LEAST_CONN) /* which never has one */
			CU_ASSERT_EQUAL(choose(1, 2).endpoint, UINT32_MAX);
		svc.endpoint_cnt = svc.top.member_cnt = 0;
		CU_ASSERT_EQUAL(choose(1, 2).endpoint, UINT32_MAX);
	}
}

/* ---- source hash under a mask ---- */

static uint32_t
choose_from(const char *client)
{
	struct sl_tuple t = {.sport = 9, .dport = 80, .proto = 6};
	uint32_t cursor = 0;

	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(client, &t.src), 0);
	t.dst = t.src;
	return sl_choose(&svc, &CTX(&cursor), &t).endpoint;
}

static void
clients_of_one_prefix_share_an_endpoint_others_need_not(void)
{
	/* The bit right behind the mask makes no difference; the last bit within it does, for some prefix. */
	static const struct {
		unsigned bits4, bits6;
		const char *base, *same, *other; /* %u: 0 … 63 */
	} rows[] = {
		{24, 128, "10.%u.8.0", "10.%u.8.255", "10.%u.9.0"},
		{23, 128, "10.%u.8.1", "10.%u.9.255", "10.%u.10.1"},
		{32, 128, "10.%u.8.1", "10.%u.8.1", "10.%u.8.0"},
		{31, 128, "10.%u.8.0", "10.%u.8.1", "10.%u.8.2"},
		{15, 128, "10.%u.8.1", "10.%u.255.0", "11.%u.8.1"},
		{1, 128, "10.%u.8.1", "127.1.%u.2", "128.%u.8.1"},
		{32, 64, "2001:db8:0:%x::1", "2001:db8:0:%x:ffff::", "2001:db8:1:%x::1"},
		{32, 63, "2001:db8:%x:2::1", "2001:db8:%x:3:8000::", "2001:db8:%x:4::1"},
		{32, 56, "2001:db8:%x:200::1", "2001:db8:%x:2ff::2", "2001:db8:%x:300::1"},
		{32, 65, "2001:db8:%x::1", "2001:db8:%x:0:7fff::1", "2001:db8:%x:0:8000::1"},
		{32, 127, "2001:db8:%x::2", "2001:db8:%x::3", "2001:db8:%x::1"},
		{32, 128, "2001:db8:%x::2", "2001:db8:%x::2", "2001:db8:%x::3"},
		{32, 1, "2001:db8:%x::2", "7fff:%x::", "8000:%x::"},
	};

	set_up(SL_POLICY_SOURCE_HASH);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		unsigned differ = 0;
		svc.source_bits4 = (uint8_t)rows[i].bits4;
		svc.source_bits6 = (uint8_t)rows[i].bits6;
		for (unsigned n = 0; n < 64; n++) {
			char base[64], same[64], other[64];
			unsigned even = 2 * n; /* /15: the bit before is within the mask */
			snprintf(base, sizeof(base), rows[i].base, even);
			snprintf(same, sizeof(same), rows[i].same, even);
			snprintf(other, sizeof(other), rows[i].other, even);
			CU_ASSERT_EQUAL(choose_from(base), choose_from(same));
			differ += choose_from(base) != choose_from(other);
		}
		/* Of one bit there are two prefixes: they differ always or, by chance, never. */
		CU_ASSERT(differ > 32 || rows[i].bits4 == 1 || rows[i].bits6 == 1);
	}
}

static void
the_whole_address_counts_as_it_did_before_there_was_a_mask(void)
{
	set_up(SL_POLICY_SOURCE_HASH);
	for (uint32_t i = 0; i < 1000; i++) {
		struct sl_tuple t = tuple(i, 1);
		uint32_t want = maglev[sl_hash_reduce(sl_hash_addr(SEED, &t.src, 0), 1009)];
		CU_ASSERT_EQUAL(choose(i, 1).endpoint, want);
	}
}

/* ---- least connections ---- */

static uint32_t
rnd(uint32_t n)
{
	static uint64_t s = 88172645463325252ull;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)((s >> 11) % n);
}

enum { MANY = 1000 };
static struct sl_img_endpoint many[MANY];

static void
set_up_many(uint32_t cnt)
{
	memset(states, 0, sizeof(states));
	for (uint32_t i = 0; i < cnt; i++) {
		/* slots in another order than the endpoints */
		many[i] = (struct sl_img_endpoint){
			.slot = FIRST_SLOT + (i * 7 + 3) % cnt, .incarnation = 5, .weight = 1};
		conns[many[i].slot] = 0;
	}
	svc = (struct sl_service){.endpoints = many,
				  .endpoint_cnt = cnt,
				  .top.member_cnt = cnt,
				  .set_cnt = 1,
				  .policy = SL_POLICY_LEAST_CONN};
}

static void
set_state(uint32_t i, uint16_t flags, uint8_t fraction)
{
	atomic_store(&states[many[i].slot].admin, sl_state_make(flags, fraction, 5));
}

/* No endpoint that admits the flow has fewer flows for its weight: compared as fractions of double, which these
 * small numbers are exact in. */
static void
least_conn_takes_the_smallest_share_of_all_that_admit(void)
{
	static const uint32_t sizes[] = {1, 2, 3, 7, 100, SL_CHOOSE_ALL};

	for (unsigned round = 0; round < 600; round++) {
		uint32_t cnt = sizes[round % SL_ARRAY_CNT(sizes)], refusing = 0;
		set_up_many(cnt);
		for (uint32_t i = 0; i < cnt; i++) {
			static const uint16_t flags[] = {
				0, 0, 0, SL_ST_UNHEALTHY, SL_ST_DRAIN, SL_ST_DISABLED};
			static const uint8_t fractions[] = {255, 255, 128, 10, 0};
			many[i].weight = (uint16_t)rnd(5);
			conns[many[i].slot] = rnd(round % 2 ? 4 : 1000);
			if (rnd(3) == 0)
				set_state(i, flags[rnd(6)], fractions[rnd(5)]);
		}
		for (unsigned n = 0; n < 20; n++) {
			uint32_t client = rnd(UINT32_MAX);
			struct sl_tuple t = tuple(client, 1);
			uint8_t hash2 = (uint8_t)sl_hash_tuple(SEED, &t, 0);
			double best = 1e18;
			for (uint32_t i = 0; i < cnt; i++)
				if (many[i].weight &&
				    sl_choose_admits(&states[many[i].slot], 5, hash2) &&
				    (conns[many[i].slot] + 1.0) / many[i].weight < best)
					best = (conns[many[i].slot] + 1.0) / many[i].weight;
			struct sl_choice c = choose(client, 1);
			if (best == 1e18) {
				refusing++;
				CU_ASSERT(c.endpoint == UINT32_MAX || c.tries == 9);
				continue;
			}
			CU_ASSERT_FATAL(c.endpoint < cnt);
			CU_ASSERT_EQUAL(c.why, SL_WHY_LEAST);
			CU_ASSERT_EQUAL(c.tries, 0);
			CU_ASSERT(many[c.endpoint].weight > 0);
			CU_ASSERT(sl_choose_admits(&states[many[c.endpoint].slot], 5, hash2));
			CU_ASSERT_EQUAL((conns[many[c.endpoint].slot] + 1.0) /
						many[c.endpoint].weight,
					best);
		}
		CU_ASSERT(refusing == 0 || cnt <= 7); /* of many some admit */
	}
}

static void
least_conn_spreads_ties_and_settles_by_weight(void)
{
	unsigned cnt[100] = {0};

	set_up_many(100);
	for (uint32_t i = 0; i < 20000; i++)
		cnt[choose(i, (uint16_t)(3 * i)).endpoint]++; /* all are equal: nobody counts */
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT(cnt[i] > 120 && cnt[i] < 290);
	/* When flows are counted the endpoints come to their weights exactly. */
	uint32_t total = 0;
	for (uint32_t i = 0; i < 100; i++)
		total += many[i].weight = (uint16_t)(i % 4 + 1);
	for (uint32_t i = 0; i < 8 * total; i++)
		conns[many[choose(i, 7).endpoint].slot]++;
	for (uint32_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(conns[many[i].slot], 8 * many[i].weight);
}

static void
least_conn_honours_fractions(void)
{
	bool had[4000] = {false};

	set_up_many(10);
	for (uint32_t i = 1; i < 10; i++)
		conns[many[i].slot] = 50; /* endpoint 0 is the one for all it admits */
	for (unsigned f = 0; f <= 255; f += 51) {
		unsigned got = 0;
		set_state(0, 0, (uint8_t)f);
		for (uint32_t i = 0; i < 4000; i++) {
			bool has = choose(i, 5).endpoint == 0;
			CU_ASSERT_TRUE(has || !had[i]);
			had[i] = has;
			got += has;
		}
		double want = 4000.0 * f / 255;
		CU_ASSERT(got > want * 0.9 - 10 && got < want * 1.1 + 10);
	}
	/* All refuse by their fractions alone: the least of those. */
	for (uint32_t i = 0; i < 10; i++)
		set_state(i, 0, 1);
	for (uint32_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(choose(i, 5).endpoint, 0);
}

static void
a_large_service_takes_the_best_of_some_draws(void)
{
	uint32_t most = 0, least = UINT32_MAX;

	set_up_many(MANY);
	for (uint32_t i = 0; i < MANY; i += 3)
		set_state(i, SL_ST_DRAIN, 255);
	for (uint32_t i = 0; i < 20 * MANY; i++) {
		struct sl_choice c = choose(i, (uint16_t)(i >> 16));
		CU_ASSERT_FATAL(c.endpoint < MANY && c.endpoint % 3 != 0);
		conns[many[c.endpoint].slot]++;
	}
	for (uint32_t i = 0; i < MANY; i++) {
		if (i % 3 == 0)
			continue;
		most = SL_MAX(most, conns[many[i].slot]);
		least = SL_MIN(least, conns[many[i].slot]);
	}
	/* By chance alone they would be 30 ± 5.5, the ends at about 14 and 48. */
	CU_ASSERT(least >= 26 && most <= 33);
	/* One that admits is found among a thousand that do not. */
	for (uint32_t i = 0; i < MANY; i++)
		set_state(i, i == 777 ? 0 : SL_ST_UNHEALTHY, 255);
	for (uint32_t i = 0; i < 50; i++)
		CU_ASSERT_EQUAL(choose(i, 2).endpoint, 777);
}

/* ---- requests ---- */

enum { RING_MAX = 64 * SL_RING_POINTS };
static struct sl_img_point ring[RING_MAX];
static uint32_t sums[CNT], loads[2][SL_MAX_ENDPOINTS], load_max;
static uint32_t conn_max, idle[SL_MAX_ENDPOINTS];
static _Atomic uint32_t opened[SL_MAX_ENDPOINTS];
static const uint32_t *const loads_of[2] = {loads[0], loads[1]};

static const uint8_t request_policies[] = {
	SL_POLICY_MAGLEV,        SL_POLICY_ROUND_ROBIN, SL_POLICY_SOURCE_HASH, SL_POLICY_LEAST_CONN,
	SL_POLICY_LEAST_REQUEST, SL_POLICY_RING_HASH,   SL_POLICY_RANDOM,      SL_POLICY_EWMA};

static void
build_ring(uint32_t without)
{
	struct sl_maglev_node nodes[CNT];

	for (unsigned i = 0; i < CNT; i++)
		nodes[i] = (struct sl_maglev_node){endpoints[i].name,
						   i == without ? 0 : endpoints[i].weight};
	svc.top.ring = ring;
	svc.top.ring_cnt = sl_ring_size(nodes, CNT, RING_MAX);
	CU_ASSERT_FATAL(svc.top.ring_cnt > 0 && svc.top.ring_cnt <= RING_MAX);
	sl_ring_build(nodes, CNT, RING_MAX, SEED, ring);
}

/* As set_up; weights: 1, or i % 4 + 1. */
static void
set_up_requests(uint8_t policy, bool weighted)
{
	set_up(policy);
	memset(loads, 0, sizeof(loads));
	for (unsigned i = 0; i < CNT && weighted; i++)
		endpoints[i].weight = (uint16_t)(i % 4 + 1);
	if (policy == SL_POLICY_RING_HASH)
		build_ring(CNT);
	sl_choose_sums(endpoints, NULL, CNT, sums);
	svc.top.weight_sums = sl_choose_draws(policy) ? sums : NULL;
}

static struct sl_choice
request_ctx(bool hashed, uint64_t hash, uint64_t random, bool panic, const uint32_t *avoid,
	    unsigned avoid_cnt)
{
	static uint32_t cursor;
	const struct sl_set set = {.levels = &svc.top, .level_cnt = 1};
	const struct sl_shares shares = {.panic = panic, .upto = {SL_SHARES_WHOLE}};
	const struct sl_choose_ctx ctx = {.states = states,
					  .seed = SEED,
					  .conns = conns,
					  .cursors = &cursor,
					  .loads = loads_of,
					  .load_cnt = 2,
					  .load_max = load_max,
					  .conn_max = conn_max,
					  .open = opened,
					  .idle = idle,
					  .set = panic ? &set : NULL,
					  .shares = panic ? &shares : NULL,
					  .random = random};

	return sl_choose_request(&svc, &ctx, hashed, hash, avoid, avoid_cnt);
}

static struct sl_choice
request(bool hashed, uint64_t hash, uint64_t random)
{
	return request_ctx(hashed, hash, random, false, NULL, 0);
}

static void
requests_with_a_hash_stay_with_an_endpoint(void)
{
	static const struct {
		uint8_t policy, why;
	} rows[] = {{SL_POLICY_MAGLEV, SL_WHY_MAGLEV},
		    {SL_POLICY_SOURCE_HASH, SL_WHY_SOURCE},
		    {SL_POLICY_RING_HASH, SL_WHY_RING}};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		unsigned cnt[CNT] = {0}, by_chance[CNT] = {0};
		set_up_requests(rows[r].policy, false);
		for (uint64_t i = 0; i < 10000; i++) {
			struct sl_choice a = request(true, i, i * 3);
			CU_ASSERT_EQUAL(a.endpoint, request(true, i, ~i).endpoint);
			CU_ASSERT_TRUE(a.why == rows[r].why && a.tries == 0);
			cnt[a.endpoint]++;
			by_chance[request(false, 7, i).endpoint]++;
		}
		for (unsigned i = 0; i < CNT; i++) {
			/* 160 points each: a share is within about a third of its size */
			unsigned off = rows[r].policy == SL_POLICY_RING_HASH ? 350 : 150;
			CU_ASSERT(cnt[i] > 1000 - off && cnt[i] < 1000 + off);
			CU_ASSERT(by_chance[i] > 1000 - off && by_chance[i] < 1000 + off);
		}
	}
}

static void
other_policies_do_not_mind_the_hash(void)
{
	static const uint8_t policies[] = {SL_POLICY_ROUND_ROBIN, SL_POLICY_LEAST_CONN,
					   SL_POLICY_LEAST_REQUEST, SL_POLICY_RANDOM};

	for (unsigned r = 0; r < SL_ARRAY_CNT(policies); r++) {
		unsigned cnt[CNT] = {0};
		set_up_requests(policies[r], false);
		for (uint64_t i = 0; i < 10000; i++)
			cnt[request(true, 7, i).endpoint]++;
		for (unsigned i = 0; i < CNT; i++)
			CU_ASSERT(cnt[i] > 850 && cnt[i] < 1150);
	}
}

/* What a request's hash is on the ring. */
static uint32_t
ring_place(uint64_t key)
{
	return (uint32_t)(sl_hash_end(sl_hash_step(sl_hash_start(SEED, 0), key, SL_HASH_P0)) >> 32);
}

static void
a_hash_goes_to_the_first_point_not_below_it(void)
{
	set_up_requests(SL_POLICY_RING_HASH, true);
	for (uint64_t i = 0; i < 5000; i++) {
		uint32_t at = 0;
		while (at < svc.top.ring_cnt && ring[at].hash < ring_place(i))
			at++;
		CU_ASSERT_EQUAL(request(true, i, 0).endpoint, ring[at % svc.top.ring_cnt].endpoint);
	}
	svc.top.ring = ring;
	svc.top.ring_cnt = 3;
	for (uint64_t i = 0; i < 100; i++) {
		uint32_t h = ring_place(i);
		static const struct {
			int32_t by; /* all points, from the hash on */
			uint32_t want;
			const char *reason;
		} rows[] = {
			{0, 1, "the point itself"},        {1, 1, "just below the first"},
			{-1, 2, "behind the first"},       {-2, 3, "behind the second"},
			{-3, 1, "behind the last: round"},
		};
		for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
			for (unsigned p = 0; p < 3; p++)
				ring[p] =
					(struct sl_img_point){h + (uint32_t)rows[r].by + p, p + 1};
			CU_ASSERT_EQUAL(request(true, i, 0).endpoint, rows[r].want);
		}
	}
}

static void
an_endpoint_that_goes_moves_no_others_requests(void)
{
	static uint32_t before[20000];
	unsigned moved = 0, mine = 0;

	set_up_requests(SL_POLICY_RING_HASH, true);
	for (uint64_t i = 0; i < 20000; i++)
		before[i] = request(true, i, 0).endpoint;
	/* from the table */
	build_ring(3);
	for (uint64_t i = 0; i < 20000; i++) {
		uint32_t now = request(true, i, 0).endpoint;
		moved += before[i] != 3 && now != before[i];
		mine += before[i] == 3;
		CU_ASSERT_NOT_EQUAL(now, 3);
	}
	CU_ASSERT_TRUE(moved == 0 && mine > 2000);
	/* by its state: its own are spread over all others */
	unsigned cnt[CNT] = {0};
	build_ring(CNT);
	set_admin(3, SL_ST_UNHEALTHY, 255);
	for (uint64_t i = 0; i < 20000; i++) {
		struct sl_choice c = request(true, i, 0);
		CU_ASSERT_EQUAL(c.tries > 0, before[i] == 3);
		moved += before[i] != 3 && c.endpoint != before[i];
		if (before[i] == 3)
			cnt[c.endpoint]++;
	}
	CU_ASSERT_EQUAL(moved, 0);
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT_EQUAL(cnt[i] > 0, i != 3);
}

static void
random_goes_by_weight_with_and_without_sums(void)
{
	for (unsigned summed = 0; summed < 2; summed++) {
		unsigned cnt[CNT] = {0};
		set_up_requests(SL_POLICY_RANDOM, true);
		endpoints[4].weight = 0;
		endpoints[9].weight = 0;
		sl_choose_sums(endpoints, NULL, CNT, sums);
		if (!summed)
			svc.top.weight_sums = NULL;
		for (uint64_t i = 0; i < 20000; i++) { /* 23 − 1 − 2 = 20 */
			struct sl_choice c = request(false, 0, i);
			CU_ASSERT_TRUE(c.why == SL_WHY_RANDOM && c.tries == 0);
			cnt[c.endpoint]++;
		}
		for (unsigned i = 0; i < CNT; i++) {
			double want = 1000.0 * endpoints[i].weight;
			CU_ASSERT(cnt[i] >= want * 0.85 && cnt[i] <= want * 1.15);
		}
	}
}

/* Both choices must say the same, whichever way the sums are come by. */
static void
sums_change_no_choice(void)
{
	static const uint8_t policies[] = {SL_POLICY_RANDOM, SL_POLICY_LEAST_REQUEST,
					   SL_POLICY_EWMA};

	for (unsigned r = 0; r < 600; r++) {
		set_up_requests(policies[r % 3], false);
		for (unsigned i = 0; i < CNT; i++) {
			endpoints[i].weight = (uint16_t)(rnd(3) ? rnd(257) : 0);
			loads[rnd(2)][FIRST_SLOT + i] = rnd(9);
		}
		sl_choose_sums(endpoints, NULL, CNT, sums);
		for (uint64_t i = 0; i < 50; i++) {
			svc.top.weight_sums = sums;
			struct sl_choice a = request(false, 0, i);
			svc.top.weight_sums = NULL;
			struct sl_choice b = request(false, 0, i);
			CU_ASSERT_TRUE(a.endpoint == b.endpoint && a.tries == b.tries);
			CU_ASSERT_TRUE(a.endpoint == UINT32_MAX ||
				       endpoints[a.endpoint].weight > 0);
		}
	}
}

/* Whatever the policy, in a panic and of those tried before, too. */
static void
who_has_all_that_he_may_takes_no_more(void)
{
	for (unsigned p = 0; p < SL_ARRAY_CNT(request_policies); p++) {
		set_up_requests(request_policies[p], true);
		load_max = 5;
		for (unsigned i = 0; i < CNT; i++) {
			loads[0][FIRST_SLOT + i] = i % 3;
			loads[1][FIRST_SLOT + i] = 3 + i % 2;
		}
		const uint32_t avoid[] = {FIRST_SLOT, FIRST_SLOT + 1};
		for (uint64_t k = 0; k < 2000; k++) {
			uint32_t e = request_ctx(k % 2, k, k * SL_HASH_P0, k % 3 == 0, avoid,
						 k % 5 ? 0 : 2)
					     .endpoint;
			CU_ASSERT_FATAL(e < CNT);
			CU_ASSERT_TRUE(loads[0][FIRST_SLOT + e] + loads[1][FIRST_SLOT + e] < 5);
		}
		for (unsigned i = 0; i < CNT; i++)
			loads[1][FIRST_SLOT + i] = 5;
		for (uint64_t k = 0; k < 20; k++)
			CU_ASSERT_EQUAL(request(k % 2, k, k).endpoint, UINT32_MAX);
		loads[0][FIRST_SLOT + 6] = loads[1][FIRST_SLOT + 6] = 2;
		for (uint64_t k = 0; k < 20; k++)
			CU_ASSERT_EQUAL(request(k % 2, k, k).endpoint, 6);
		load_max = 0;
		CU_ASSERT_TRUE(request(false, 0, 1).endpoint < CNT);
	}
}

/* But who has an idle connection for it. */
static void
who_has_all_connections_takes_no_more(void)
{
	for (unsigned p = 0; p < SL_ARRAY_CNT(request_policies); p++) {
		set_up_requests(request_policies[p], true);
		conn_max = 3;
		for (unsigned i = 0; i < CNT; i++) {
			opened[FIRST_SLOT + i] = 1 + i % 4;
			idle[FIRST_SLOT + i] = i == 3 || i == 6;
		}
		bool had_idle = false;
		for (uint64_t k = 0; k < 2000; k++) {
			uint32_t e =
				request_ctx(k % 2, k, k * SL_HASH_P0, k % 3 == 0, NULL, 0).endpoint;
			CU_ASSERT_FATAL(e < CNT);
			CU_ASSERT_TRUE(opened[FIRST_SLOT + e] < 3 || idle[FIRST_SLOT + e]);
			had_idle |= e == 3;
		}
		CU_ASSERT_TRUE(had_idle);
		for (unsigned i = 0; i < CNT; i++) {
			opened[FIRST_SLOT + i] = 3 + i % 2;
			idle[FIRST_SLOT + i] = 0;
		}
		for (uint64_t k = 0; k < 20; k++)
			CU_ASSERT_EQUAL(request(k % 2, k, k).endpoint, UINT32_MAX);
		conn_max = 0;
		CU_ASSERT_TRUE(request(false, 0, 1).endpoint < CNT);
	}
}

/* Connections of mode tcp, whatever the policy. */
static void
full_endpoints_take_no_connections_either(void)
{
	static const uint8_t policies[] = {SL_POLICY_MAGLEV, SL_POLICY_ROUND_ROBIN,
					   SL_POLICY_SOURCE_HASH, SL_POLICY_LEAST_CONN};
	uint32_t cursor = 0;

	for (unsigned p = 0; p < SL_ARRAY_CNT(policies); p++) {
		set_up(policies[p]);
		for (unsigned i = 0; i < CNT; i++)
			opened[FIRST_SLOT + i] = i == 5 ? 1 : 2;
		const struct sl_choose_ctx ctx = {.states = states,
						  .seed = SEED,
						  .conns = conns,
						  .cursors = &cursor,
						  .conn_max = 2,
						  .open = opened};
		for (uint16_t k = 0; k < 200; k++) {
			const struct sl_tuple t = tuple(k, 1);
			const uint32_t avoid = FIRST_SLOT + 5;
			CU_ASSERT_EQUAL(sl_choose(&svc, &ctx, &t).endpoint, 5);
			CU_ASSERT_EQUAL(sl_choose_other(&svc, &ctx, &t, NULL, 0).endpoint, 5);
			CU_ASSERT_EQUAL(sl_choose_other(&svc, &ctx, &t, &avoid, 1).endpoint,
					UINT32_MAX);
		}
	}
}

static void
least_request_counts_what_all_workers_have_under_way(void)
{
	set_up_requests(SL_POLICY_LEAST_REQUEST, false);
	/* of two there is always a choice */
	for (unsigned i = 2; i < CNT; i++)
		endpoints[i].weight = 0;
	sl_choose_sums(endpoints, NULL, CNT, sums);
	loads[0][FIRST_SLOT] = 3;
	loads[1][FIRST_SLOT] = 3;
	loads[0][FIRST_SLOT + 1] = 0;
	loads[1][FIRST_SLOT + 1] = 5;
	for (uint64_t i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(request(false, 0, i).endpoint, 1);
	loads[1][FIRST_SLOT + 1] = 7;
	for (uint64_t i = 0; i < 1000; i++) {
		struct sl_choice c = request(false, 0, i);
		CU_ASSERT_TRUE(c.endpoint == 0 && c.why == SL_WHY_LEAST);
	}
	/* 7 on three times the weight is less than 6 on one */
	endpoints[1].weight = 3;
	sl_choose_sums(endpoints, NULL, CNT, sums);
	for (uint64_t i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(request(false, 0, i).endpoint, 1);
	/* the one that is busier takes what the other does not */
	set_admin(1, SL_ST_DRAIN, 255);
	for (uint64_t i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(request(false, 0, i).endpoint, 0);
}

static void
least_request_levels_where_random_does_not(void)
{
	static const uint8_t policies[] = {SL_POLICY_LEAST_REQUEST, SL_POLICY_RANDOM};
	uint32_t spread[2];

	for (unsigned r = 0; r < 2; r++) {
		uint32_t most = 0, least = UINT32_MAX;
		set_up_requests(policies[r], false);
		for (uint64_t i = 0; i < 10000; i++)
			loads[i % 2][FIRST_SLOT + request(false, 0, i).endpoint]++;
		for (unsigned i = 0; i < CNT; i++) {
			uint32_t n = loads[0][FIRST_SLOT + i] + loads[1][FIRST_SLOT + i];
			most = SL_MAX(most, n);
			least = SL_MIN(least, n);
		}
		spread[r] = most - least;
	}
	CU_ASSERT(spread[0] <= 6 && spread[1] > 20);
	/* by weight, too */
	set_up_requests(SL_POLICY_LEAST_REQUEST, true);
	for (uint64_t i = 0; i < 23000; i++)
		loads[i % 2][FIRST_SLOT + request(false, 0, i).endpoint]++;
	for (unsigned i = 0; i < CNT; i++) {
		double n = loads[0][FIRST_SLOT + i] + loads[1][FIRST_SLOT + i];
		CU_ASSERT(n > 990.0 * endpoints[i].weight && n < 1010.0 * endpoints[i].weight);
	}
	/* nothing under way anywhere: by weight as well, so that a quiet service does not favour one */
	unsigned cnt[CNT] = {0};
	memset(loads, 0, sizeof(loads));
	for (uint64_t i = 0; i < 23000; i++)
		cnt[request(false, 0, i).endpoint]++;
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT(cnt[i] > 0);
}

static void
who_was_tried_is_avoided_while_another_one_admits(void)
{
	for (unsigned r = 0; r < SL_ARRAY_CNT(request_policies); r++) {
		set_up_requests(request_policies[r], false);
		uint32_t avoid[8];
		for (unsigned n = 1; n <= 8; n++) {
			unsigned seen = 0;
			for (unsigned i = 0; i < n; i++)
				avoid[i] = FIRST_SLOT + i;
			for (uint64_t i = 0; i < 500; i++) {
				struct sl_choice c = request_ctx(true, i, i, false, avoid, n);
				CU_ASSERT_FATAL(c.endpoint < CNT);
				CU_ASSERT(c.endpoint >= n);
				seen |= 1u << c.endpoint;
			}
			CU_ASSERT_EQUAL(seen, (1u << CNT) - (1u << n)); /* all the others */
		}
		/* the only other one admits hardly anything: it all the same */
		for (unsigned i = 8; i < CNT; i++)
			set_admin(i, i == 9 ? 0 : SL_ST_UNHEALTHY, i == 9 ? 1 : 255);
		for (uint64_t i = 0; i < 100; i++)
			CU_ASSERT_EQUAL(request_ctx(true, i, i, false, avoid, 8).endpoint, 9);
		/* nobody else: one that was tried, but not one that is down */
		set_admin(9, SL_ST_EJECTED, 255);
		set_admin(0, SL_ST_DRAIN, 255);
		for (uint64_t i = 0; i < 100; i++) {
			struct sl_choice c = request_ctx(true, i, i, false, avoid, 8);
			CU_ASSERT(c.endpoint >= 1 && c.endpoint < 8);
		}
	}
}

static void
panic_minds_people_not_health(void)
{
	for (unsigned r = 0; r < SL_ARRAY_CNT(request_policies); r++) {
		unsigned seen = 0;
		set_up_requests(request_policies[r], false);
		for (unsigned i = 0; i < CNT; i++)
			set_admin(i, i % 2 ? SL_ST_UNHEALTHY : 0, i % 2 ? 255 : 0);
		atomic_store(&states[FIRST_SLOT + 5].passive, sl_state_make(SL_ST_EJECTED, 255, 5));
		set_admin(2, SL_ST_DRAIN, 255);
		set_admin(3, SL_ST_DISABLED | SL_ST_UNHEALTHY, 255);
		CU_ASSERT_EQUAL(request(true, 1, 1).endpoint, UINT32_MAX);
		for (uint64_t i = 0; i < 2000; i++) {
			struct sl_choice c = request_ctx(true, i, i, true, NULL, 0);
			CU_ASSERT_FATAL(c.endpoint < CNT);
			seen |= 1u << c.endpoint;
		}
		CU_ASSERT_EQUAL(seen, (1u << CNT) - 1 - (1u << 2) - (1u << 3));
	}
	/* weight 0 is what people said, too: also when the list is walked */
	set_up_requests(SL_POLICY_RING_HASH, false);
	endpoints[7].weight = 0;
	build_ring(CNT);
	for (unsigned i = 0; i < CNT; i++)
		set_admin(i, i == 7 ? 0 : SL_ST_DRAIN, 255);
	for (uint64_t i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(request_ctx(true, i, i, true, NULL, 0).endpoint, UINT32_MAX);
}

static void
requests_honour_fractions(void)
{
	for (unsigned r = 0; r < SL_ARRAY_CNT(request_policies); r++) {
		unsigned cnt = 0, whole = 0;
		set_up_requests(request_policies[r], false);
		for (uint64_t i = 0; i < 20000; i++)
			whole += request(true, i, i).endpoint == 6;
		set_admin(6, 0, 51);
		for (uint64_t i = 0; i < 20000; i++)
			cnt += request(true, i, i).endpoint == 6;
		CU_ASSERT(cnt > whole * 0.15 && cnt < whole * 0.3);
	}
}

static void
nobody_is_chosen_where_nobody_has_a_weight(void)
{
	for (unsigned r = 0; r < SL_ARRAY_CNT(request_policies); r++) {
		set_up_requests(request_policies[r], false);
		for (unsigned i = 0; i < CNT; i++)
			endpoints[i].weight = 0;
		svc.top.maglev_cnt = svc.top.sched_cnt = svc.top.ring_cnt = 0;
		sl_choose_sums(endpoints, NULL, CNT, sums);
		struct sl_choice c = request(true, 1, 2);
		CU_ASSERT_TRUE(c.endpoint == UINT32_MAX && c.why == SL_WHY_NONE);
		CU_ASSERT_EQUAL(choose(1, 2).endpoint, UINT32_MAX);
		svc.endpoint_cnt = svc.top.member_cnt = 0;
		CU_ASSERT_EQUAL(request(true, 1, 2).endpoint, UINT32_MAX);
	}
}

/* Mode tcp: no request, no random number, the tuple alone. */
static void
flows_find_endpoints_by_the_new_policies_too(void)
{
	unsigned cnt[CNT] = {0}, differ = 0;

	set_up_requests(SL_POLICY_RING_HASH, false);
	svc.source_bits4 = svc.source_bits6 = 0;
	for (uint32_t i = 0; i < 2000; i++) {
		CU_ASSERT_EQUAL(choose(i, 1).endpoint, choose(i, 2).endpoint);
		CU_ASSERT_EQUAL(choose(i, 1).why, SL_WHY_RING);
		differ += choose(i, 1).endpoint != choose(0, 1).endpoint;
	}
	CU_ASSERT(differ > 1500);
	set_up_requests(SL_POLICY_RANDOM, false);
	for (uint32_t i = 0; i < 10000; i++)
		cnt[choose(1, (uint16_t)i).endpoint]++;
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT(cnt[i] > 850 && cnt[i] < 1150);
	set_up_requests(SL_POLICY_LEAST_REQUEST, false); /* without loads: this worker's flows */
	for (uint32_t i = 0; i < 10000; i++)
		conns[FIRST_SLOT + choose(1, (uint16_t)i).endpoint]++;
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT(conns[FIRST_SLOT + i] > 990 && conns[FIRST_SLOT + i] < 1010);
}

SL_SUITE("choose", SL_TEST(words_admit_by_flags_incarnation_and_fraction),
	 SL_TEST(maglev_spreads_and_repeats_itself),
	 SL_TEST(maglev_goes_by_the_whole_tuple_source_hash_by_the_client),
	 SL_TEST(round_robin_takes_turns), SL_TEST(turns_begin_where_the_cursor_says),
	 SL_TEST(refusing_endpoints_lose_only_their_own_flows),
	 SL_TEST(fraction_admits_its_part_and_grows_monotonically),
	 SL_TEST(the_list_is_walked_when_every_salt_is_refused),
	 SL_TEST(nothing_is_chosen_when_nothing_admits),
	 SL_TEST(clients_of_one_prefix_share_an_endpoint_others_need_not),
	 SL_TEST(the_whole_address_counts_as_it_did_before_there_was_a_mask),
	 SL_TEST(least_conn_takes_the_smallest_share_of_all_that_admit),
	 SL_TEST(least_conn_spreads_ties_and_settles_by_weight),
	 SL_TEST(least_conn_honours_fractions),
	 SL_TEST(a_large_service_takes_the_best_of_some_draws),
	 SL_TEST(requests_with_a_hash_stay_with_an_endpoint),
	 SL_TEST(other_policies_do_not_mind_the_hash),
	 SL_TEST(a_hash_goes_to_the_first_point_not_below_it),
	 SL_TEST(an_endpoint_that_goes_moves_no_others_requests),
	 SL_TEST(random_goes_by_weight_with_and_without_sums), SL_TEST(sums_change_no_choice),
	 SL_TEST(who_has_all_that_he_may_takes_no_more),
	 SL_TEST(who_has_all_connections_takes_no_more),
	 SL_TEST(full_endpoints_take_no_connections_either),
	 SL_TEST(least_request_counts_what_all_workers_have_under_way),
	 SL_TEST(least_request_levels_where_random_does_not),
	 SL_TEST(who_was_tried_is_avoided_while_another_one_admits),
	 SL_TEST(panic_minds_people_not_health), SL_TEST(requests_honour_fractions),
	 SL_TEST(nobody_is_chosen_where_nobody_has_a_weight),
	 SL_TEST(flows_find_endpoints_by_the_new_policies_too))
