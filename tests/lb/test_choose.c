#include "lb/choose.h"

#include <stdatomic.h>

#include "lb/maglev.h"
#include "sluice/pkt.h"
#include "tests/suite.h"

#define SEED 77

enum { CNT = 10, FIRST_SLOT = 100 };

static struct sl_img_endpoint endpoints[CNT];
static struct sl_state_word2 states[SL_MAX_ENDPOINTS];
static uint16_t maglev[1009], sched[64];
static struct sl_service svc;

/* Ten endpoints of weight 1, slots from 100 on, all fresh. */
static void
set_up(uint8_t policy)
{
	struct sl_maglev_node nodes[CNT];

	memset(states, 0, sizeof(states));
	for (unsigned i = 0; i < CNT; i++) {
		snprintf(endpoints[i].name, SL_NAME_MAX, "e%u", i);
		endpoints[i].slot = FIRST_SLOT + i;
		endpoints[i].incarnation = 5;
		endpoints[i].weight = 1;
		nodes[i] = (struct sl_maglev_node){endpoints[i].name, 1};
	}
	svc = (struct sl_service){.endpoints = endpoints, .endpoint_cnt = CNT, .policy = policy};
	if (policy == SL_POLICY_ROUND_ROBIN) {
		svc.sched = sched;
		CU_ASSERT_EQUAL_FATAL(sl_maglev_schedule(nodes, CNT, sched, 64, &svc.sched_cnt), 0);
	} else {
		svc.maglev = maglev;
		svc.maglev_cnt = 1009;
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

	return sl_choose(&svc, &(struct sl_choose_ctx){states, SEED, NULL, &cursor}, &t);
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
		struct sl_choice c =
			sl_choose(&svc, &(struct sl_choose_ctx){states, SEED, NULL, &cursor}, &t);
		CU_ASSERT_EQUAL(c.why, SL_WHY_ROUND_ROBIN);
		cnt[c.endpoint]++;
	}
	for (unsigned i = 0; i < CNT; i++)
		CU_ASSERT_EQUAL(cnt[i], 5);
	/* One that refuses is passed over; its turn goes to the next. */
	set_admin(3, SL_ST_DRAIN, 255);
	for (unsigned i = 0; i < 9 * CNT; i++)
		CU_ASSERT_NOT_EQUAL(
			sl_choose(&svc, &(struct sl_choose_ctx){states, SEED, NULL, &cursor}, &t)
				.endpoint,
			3);
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
					   SL_POLICY_SOURCE_HASH};

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
		svc.maglev_cnt = svc.sched_cnt = 0;
		CU_ASSERT_EQUAL(choose(1, 2).endpoint, UINT32_MAX);
		svc.endpoint_cnt = 0;
		CU_ASSERT_EQUAL(choose(1, 2).endpoint, UINT32_MAX);
	}
}

SL_SUITE("choose", SL_TEST(words_admit_by_flags_incarnation_and_fraction),
	 SL_TEST(maglev_spreads_and_repeats_itself),
	 SL_TEST(maglev_goes_by_the_whole_tuple_source_hash_by_the_client),
	 SL_TEST(round_robin_takes_turns), SL_TEST(refusing_endpoints_lose_only_their_own_flows),
	 SL_TEST(fraction_admits_its_part_and_grows_monotonically),
	 SL_TEST(the_list_is_walked_when_every_salt_is_refused),
	 SL_TEST(nothing_is_chosen_when_nothing_admits))
