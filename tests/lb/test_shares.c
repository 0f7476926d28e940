/* Levels: a service of three of them, and a reference that works in whole numbers of its own. */
#include "lb/shares.h"

#include <math.h>
#include <stdatomic.h>

#include "lb/maglev.h"
#include "lb/ring.h"
#include "sluice/pkt.h"
#include "tests/suite.h"

#define SEED 77

enum { EACH = 20, LEVELS = 3, CNT = EACH * LEVELS, FIRST_SLOT = 100, PLACES = 2003 };

static struct sl_img_endpoint endpoints[CNT];
static struct sl_state_word2 states[SL_MAX_ENDPOINTS];
static uint32_t conns[SL_MAX_ENDPOINTS], cursors[SL_CHOOSE_CURSORS], sums[LEVELS][EACH];
static uint16_t members[LEVELS][EACH], maglev[LEVELS][PLACES], sched[LEVELS][64];
static struct sl_img_point ring[LEVELS][EACH * 64 * SL_RING_POINTS];
static struct sl_level levels[LEVELS];
static struct sl_set set;
static struct sl_service svc;
static struct sl_shares shares;

static const uint8_t policies[] = {
	SL_POLICY_MAGLEV,        SL_POLICY_ROUND_ROBIN, SL_POLICY_SOURCE_HASH, SL_POLICY_LEAST_CONN,
	SL_POLICY_LEAST_REQUEST, SL_POLICY_RING_HASH,   SL_POLICY_RANDOM,      SL_POLICY_EWMA};

/* Endpoint i is of level i % level_cnt, all of weight 1 and fresh. */
static void
set_up(uint8_t policy, uint32_t level_cnt, unsigned panic_pct)
{
	memset(states, 0, sizeof(states));
	memset(conns, 0, sizeof(conns));
	memset(cursors, 0, sizeof(cursors));
	memset(levels, 0, sizeof(levels));
	for (uint32_t i = 0; i < CNT; i++) {
		endpoints[i] = (struct sl_img_endpoint){
			.slot = FIRST_SLOT + i, .incarnation = 5, .weight = 1};
		snprintf(endpoints[i].name, SL_NAME_MAX, "e%u", i);
	}
	set = (struct sl_set){.levels = levels, .level_cnt = level_cnt};
	svc = (struct sl_service){.endpoints = endpoints,
				  .endpoint_cnt = EACH * level_cnt,
				  .sets = &set,
				  .set_cnt = 1,
				  .policy = policy,
				  .source_bits4 = 32,
				  .source_bits6 = 128,
				  .panic_pct = (uint8_t)panic_pct};
}

/* Tables for the endpoints' weights as they are now. */
static void
build(void)
{
	for (uint32_t l = 0; l < set.level_cnt; l++) {
		struct sl_maglev_node nodes[EACH];
		struct sl_level *at = &levels[l];
		for (uint32_t i = 0; i < EACH; i++) {
			uint32_t e = i * set.level_cnt + l;
			members[l][i] = (uint16_t)e;
			nodes[i] = (struct sl_maglev_node){endpoints[e].name, endpoints[e].weight};
		}
		*at = (struct sl_level){.members = members[l],
					.member_cnt = EACH,
					.maglev = maglev[l],
					.maglev_cnt = PLACES,
					.sched = sched[l],
					.ring = ring[l],
					.ring_cnt =
						sl_ring_size(nodes, EACH, SL_ARRAY_CNT(ring[l])),
					.weight_sums = sums[l],
					.cursor = sl_choose_cursor(7, 0, l)};
		sl_choose_sums(endpoints, members[l], EACH, sums[l]);
		CU_ASSERT_EQUAL_FATAL(sl_maglev_build(nodes, EACH, SEED, maglev[l], PLACES), 0);
		CU_ASSERT_EQUAL_FATAL(sl_maglev_schedule(nodes, EACH, sched[l], 64, &at->sched_cnt),
				      0);
		CU_ASSERT_FATAL(at->ring_cnt <= SL_ARRAY_CNT(ring[l]));
		sl_ring_build(nodes, EACH, SL_ARRAY_CNT(ring[l]), SEED, ring[l]);
		for (uint32_t i = 0; i < PLACES; i++)
			maglev[l][i] = members[l][maglev[l][i]];
		for (uint32_t i = 0; i < at->sched_cnt; i++)
			sched[l][i] = members[l][sched[l][i]];
		for (uint32_t i = 0; i < at->ring_cnt; i++)
			ring[l][i].endpoint = members[l][ring[l][i].endpoint];
	}
	svc.top = levels[0];
}

static void
set_admin(uint32_t endpoint, uint16_t flags, uint8_t fraction)
{
	atomic_store(&states[FIRST_SLOT + endpoint].admin, sl_state_make(flags, fraction, 5));
}

/* The first `down` endpoints of the level fail their probes, the others are fresh. */
static void
fail(uint32_t level, uint32_t down)
{
	for (uint32_t i = 0; i < EACH; i++)
		set_admin(i * set.level_cnt + level, i < down ? SL_ST_UNHEALTHY : 0, 255);
}

static void
measure(void)
{
	memset(&shares, 0xee, sizeof(shares));
	sl_shares_measure(&svc, &set, states, &shares);
}

static struct sl_choice
pick(uint32_t client)
{
	struct sl_tuple t = {.sport = 9, .dport = 80, .proto = 6};
	const struct sl_choose_ctx ctx = {.states = states,
					  .seed = SEED,
					  .conns = conns,
					  .cursors = cursors,
					  .set = &set,
					  .shares = &shares};

	t.src = sl_addr_from_v4(&client);
	t.dst = sl_addr_from_v4("\xc0\0\2\1");
	return sl_choose(&svc, &ctx, &t);
}

static uint32_t
rnd(uint32_t n)
{
	static uint64_t s = 88172645463325252ull;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return (uint32_t)((s >> 11) % n);
}

/* ---- the slow reference ---- */

struct wanted {
	double share[LEVELS];
	bool panic[LEVELS];
};

static bool
takes(uint32_t e)
{
	return sl_choose_admits(&states[FIRST_SLOT + e], 5, 0);
}

static bool
willing(uint32_t e)
{
	uint64_t w = states[FIRST_SLOT + e].admin;

	return sl_state_incarnation(w) != 5 ||
	       !(sl_state_flags(w) & (SL_ST_DRAIN | SL_ST_DISABLED));
}

/* Pour a hundred into the levels, a drop at a time. */
static struct wanted
reference(void)
{
	struct wanted want = {0};
	double health[LEVELS], base[LEVELS] = {0}, sum = 0, base_sum = 0, room = 100;
	uint32_t n = set.level_cnt, panics = 0, peopled = 0;

	for (uint32_t l = 0; l < n; l++) {
		double all = 0, up = 0, cnt = 0, up_cnt = 0;
		for (uint32_t e = l; e < svc.endpoint_cnt; e += n) {
			double weight = endpoints[e].weight;
			all += weight;
			cnt += weight > 0;
			up += takes(e) ? weight : 0;
			up_cnt += takes(e) && weight > 0;
			base[l] += willing(e) ? weight : 0;
		}
		health[l] = all > 0 ? fmin(100, 140 * up / all) : 0;
		sum += health[l];
		base_sum += base[l];
		want.panic[l] = cnt > 0 && up_cnt / cnt * 100 < svc.panic_pct - 1e-9;
		panics += want.panic[l];
		peopled += cnt > 0;
	}
	if (n > 1 && sum > 99.99)
		memset(want.panic, 0, sizeof(want.panic));
	else if (panics && panics == peopled && base_sum > 0)
		for (uint32_t l = 0; l < n; l++)
			health[l] = base[l], sum = base_sum;
	for (uint32_t l = 0; l < n && sum > 0; l++) {
		double part = fmin(room, sum > 99.99 && sum != base_sum ? health[l]
									: health[l] / sum * 100);
		want.share[l] = part;
		room -= part;
	}
	if (sum == 0)
		want.share[0] = 100;
	return want;
}

static void
compare(const char *what, unsigned a, unsigned b, unsigned c)
{
	struct wanted want = reference();
	bool same = true;
	uint32_t upto = 0;

	measure();
	for (uint32_t l = 0; l < set.level_cnt; l++) {
		/* three levels round down by at most a hundredth of a per cent each, and one gets what is left */
		same = same && fabs(sl_shares_of(&shares, l) / 100.0 - want.share[l]) < 0.05;
		same = same && (shares.panic >> l & 1) == want.panic[l];
		same = same && shares.upto[l] >= upto;
		upto = shares.upto[l];
	}
	if (!same || upto != SL_SHARES_WHOLE)
		printf("  %s %u %u %u: %u %u %u panic %x, wanted %.2f %.2f %.2f panic %d%d%d\n",
		       what, a, b, c, shares.upto[0], shares.upto[1], shares.upto[2], shares.panic,
		       want.share[0], want.share[1], want.share[2], want.panic[0], want.panic[1],
		       want.panic[2]);
	CU_ASSERT_TRUE(same);
	CU_ASSERT_EQUAL(upto, SL_SHARES_WHOLE);
	CU_ASSERT_EQUAL(shares.panic >> set.level_cnt, 0);
}

/* ---- tests ---- */

static void
shares_follow_the_health_of_two_and_three_levels(void)
{
	static const unsigned panics[] = {0, 1, 30, 50, 100};

	for (unsigned p = 0; p < SL_ARRAY_CNT(panics); p++)
		for (unsigned n = 2; n <= LEVELS; n++) {
			set_up(SL_POLICY_RANDOM, n, panics[p]);
			build();
			for (unsigned i = 0; i < (EACH + 1) * (EACH + 1) * (n == 3 ? EACH + 1 : 1);
			     i++) {
				unsigned down[3] = {i % (EACH + 1), i / (EACH + 1) % (EACH + 1),
						    i / (EACH + 1) / (EACH + 1)};
				for (unsigned l = 0; l < n; l++)
					fail(l, down[l]);
				compare("down", down[0], down[1], down[2]);
			}
		}
}

static void
shares_follow_any_weights_and_words(void)
{
	static const uint16_t flags[] = {0, 0, 0, SL_ST_UNHEALTHY, SL_ST_DRAIN, SL_ST_DISABLED};
	static const uint8_t fractions[] = {255, 255, 1, 0};

	for (unsigned round = 0; round < 20000; round++) {
		set_up(SL_POLICY_RANDOM, 1 + rnd(LEVELS), rnd(2) ? rnd(101) : 0);
		unsigned sick = rnd(101), weightless = rnd(4);
		for (uint32_t e = 0; e < svc.endpoint_cnt; e++) {
			endpoints[e].weight = rnd(4) < weightless ? 0 : (uint16_t)rnd(257);
			if (rnd(100) < sick)
				set_admin(e, flags[rnd(6)], fractions[rnd(4)]);
			if (rnd(100) < sick / 4)
				atomic_store(
					&states[FIRST_SLOT + e].passive,
					sl_state_make(rnd(2) ? SL_ST_EJECTED : 0, 255, 5 + rnd(2)));
		}
		for (uint32_t l = 0; l < set.level_cnt; l++) {
			for (uint32_t i = 0; i < EACH; i++)
				members[l][i] = (uint16_t)(i * set.level_cnt + l);
			levels[l] = (struct sl_level){.members = members[l], .member_cnt = EACH};
		}
		compare("round", round, 0, 0);
	}
}

/* The rows that people know from Envoy's documentation (priority levels, panic threshold). */
static void
known_rows_come_out(void)
{
	static const struct {
		unsigned up[3], panic_pct;
		unsigned want[3];
		uint32_t panic;
		const char *reason;
	} rows[] = {
		{{100, 0, 0}, 0, {100, 0, 0}, 0, "all there is is well"},
		{{75, 100, 0}, 0, {100, 0, 0}, 0, "140 % of 75 is above 100"},
		{{50, 100, 0}, 0, {70, 30, 0}, 0, "70, and the rest"},
		{{25, 100, 0}, 0, {35, 65, 0}, 0, "35"},
		{{25, 25, 0}, 0, {50, 50, 0}, 0, "35 and 35 of 70"},
		{{5, 65, 0}, 0, {7, 92, 0}, 0, "7 and 91 of 98"},
		{{0, 100, 0}, 0, {0, 100, 0}, 0, "nobody on the first"},
		{{0, 0, 0}, 0, {100, 0, 0}, 0, "nobody at all"},
		{{70, 70, 0}, 50, {98, 2, 0}, 0, "98"},
		{{25, 25, 0}, 50, {50, 50, 0}, 3, "both in panic"},
		{{25, 75, 0}, 50, {35, 65, 0}, 0, "together they have 140: no panic"},
		{{5, 65, 0}, 50, {7, 92, 0}, 1, "98: the first one panics"},
	};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		set_up(SL_POLICY_RANDOM, 2, rows[r].panic_pct);
		build();
		for (unsigned l = 0; l < 2; l++)
			fail(l, EACH - rows[r].up[l] * EACH / 100);
		measure();
		bool same = shares.panic == rows[r].panic;
		for (unsigned l = 0; l < 2; l++)
			same = same && abs((int)sl_shares_of(&shares, l) -
					   (int)rows[r].want[l] * 100) <= 100;
		if (!same)
			printf("  %s: %u %u panic %x\n", rows[r].reason, shares.upto[0],
			       shares.upto[1], shares.panic);
		CU_ASSERT_TRUE(same);
	}
}

/* One level: health does not spread it, people's words are no panic of their own. */
static void
panic_of_one_level_begins_below_the_threshold(void)
{
	static const struct {
		unsigned weighty, down, pct;
		bool want;
		const char *reason;
	} rows[] = {
		{10, 5, 50, false, "half is not fewer than half"},
		{10, 6, 50, true, "four of ten"},
		{10, 10, 0, false, "never"},
		{10, 10, 1, true, "none of ten"},
		{10, 1, 100, true, "nine of ten"},
		{10, 0, 100, false, "all"},
		{4, 1, 75, false, "three of the four that have a weight"},
		{4, 2, 75, true, "two of them"},
		{0, 0, 50, false, "nobody has a weight"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		set_up(SL_POLICY_RANDOM, 1, rows[i].pct);
		for (unsigned e = 0; e < EACH; e++) {
			endpoints[e].weight = e < rows[i].weighty;
			if (e < rows[i].down)
				set_admin(e, e % 2 ? SL_ST_UNHEALTHY : 0, e % 2 ? 255 : 0);
		}
		levels[0] = (struct sl_level){.member_cnt = EACH};
		measure();
		if (shares.panic != rows[i].want)
			printf("  %s\n", rows[i].reason);
		CU_ASSERT_EQUAL(shares.panic, rows[i].want);
		CU_ASSERT_EQUAL(shares.upto[0], SL_SHARES_WHOLE);
	}
}

static void
every_policy_gives_each_level_its_share(void)
{
	for (unsigned p = 0; p < SL_ARRAY_CNT(policies); p++)
		for (unsigned down = 0; down <= EACH; down += 4) {
			unsigned cnt[LEVELS] = {0}, wrong = 0;
			set_up(policies[p], LEVELS, 0);
			build();
			fail(0, down);
			fail(1, 12); /* 56 of 100 */
			measure();
			for (uint32_t i = 0; i < 20000; i++) {
				struct sl_choice c = pick(i);
				CU_ASSERT_FATAL(c.endpoint < CNT);
				wrong += c.level != c.endpoint % LEVELS || !takes(c.endpoint);
				cnt[c.level]++;
			}
			CU_ASSERT_EQUAL(wrong, 0);
			for (uint32_t l = 0; l < LEVELS; l++) {
				/* a level whose members take but that has no share is not asked */
				double want = 2.0 * sl_shares_of(&shares, l);
				CU_ASSERT(fabs(cnt[l] - want) <= 5 * sqrt(want) + (want > 0));
			}
		}
}

static void
shares_within_a_level_go_by_weight(void)
{
	for (unsigned p = 0; p < SL_ARRAY_CNT(policies); p++) {
		unsigned cnt[CNT] = {0}, of_level[2] = {0};
		set_up(policies[p], 2, 0);
		for (uint32_t e = 0; e < 2 * EACH; e++)
			endpoints[e].weight = (uint16_t)(1 + e / 2 % 3);
		build();
		fail(0, EACH / 2);
		measure();
		for (uint32_t i = 0; i < 60000; i++) {
			struct sl_choice c = pick(i);
			cnt[c.endpoint]++;
			of_level[c.level]++;
			if (policies[p] == SL_POLICY_LEAST_CONN ||
			    policies[p] == SL_POLICY_LEAST_REQUEST || policies[p] == SL_POLICY_EWMA)
				conns[endpoints[c.endpoint].slot]++;
		}
		for (uint32_t e = 0; e < 2 * EACH; e++) {
			double weight = 0;
			for (uint32_t k = e % 2; k < 2 * EACH; k += 2)
				weight += takes(k) ? endpoints[k].weight : 0;
			double want = takes(e) ? of_level[e % 2] * endpoints[e].weight / weight : 0;
			double off = policies[p] == SL_POLICY_RING_HASH ? 0.5 : 0.2;
			CU_ASSERT(cnt[e] >= want * (1 - off) && cnt[e] <= want * (1 + off));
		}
	}
}

/* A level that loses an endpoint keeps all other keys that it keeps at all; keys leave it only for levels behind it. */
static void
a_level_that_lacks_loses_keys_of_its_edge_alone(void)
{
	static struct sl_choice before[20000];

	set_up(SL_POLICY_MAGLEV, LEVELS, 0);
	build();
	measure();
	for (uint32_t i = 0; i < SL_ARRAY_CNT(before); i++)
		before[i] = pick(i);
	for (unsigned down = 1; down <= EACH; down++) {
		unsigned lost = 0, back = 0, elsewhere = 0;
		uint32_t was = shares.upto[0];
		fail(0, down);
		measure();
		for (uint32_t i = 0; i < SL_ARRAY_CNT(before); i++) {
			struct sl_choice c = pick(i);
			lost += c.level != before[i].level;
			back += c.level < before[i].level;
			/* same level, and its endpoint still takes: it is the same one */
			elsewhere += c.level == before[i].level && takes(before[i].endpoint) &&
				     c.endpoint != before[i].endpoint;
			before[i] = c;
		}
		CU_ASSERT_EQUAL(back, 0);
		/* those that had been pushed on within the level may be pushed on again */
		CU_ASSERT_EQUAL(elsewhere, 0);
		double want = 2.0 * (was - shares.upto[0]);
		CU_ASSERT(fabs(lost - want) <= 5 * sqrt(want) + 1);
	}
}

/* Maglev's own bound for one more endpoint (its share, and not much besides) holds in a level as in a service. */
static void
an_endpoint_more_moves_few_keys_of_its_level_and_none_of_others(void)
{
	static struct sl_choice before[20000];
	unsigned moved = 0, to_it = 0, others = 0, of_level = 0;

	set_up(SL_POLICY_MAGLEV, 2, 0);
	endpoints[6].weight = 0;
	build();
	fail(0, 0);
	set_admin(0, SL_ST_UNHEALTHY, 255);
	for (uint32_t e = 2; e < 20; e += 2)
		set_admin(e, SL_ST_UNHEALTHY, 255);
	set_admin(6, 0, 255);
	shares = (struct sl_shares){.upto = {6000, SL_SHARES_WHOLE}};
	for (uint32_t i = 0; i < SL_ARRAY_CNT(before); i++)
		before[i] = pick(i);
	endpoints[6].weight = 1;
	build();
	for (uint32_t i = 0; i < SL_ARRAY_CNT(before); i++) {
		struct sl_choice c = pick(i);
		CU_ASSERT_EQUAL(c.level, before[i].level);
		if (c.level == 1)
			others += c.endpoint != before[i].endpoint;
		else {
			of_level++;
			moved += c.endpoint != before[i].endpoint;
			to_it += c.endpoint == 6;
		}
	}
	CU_ASSERT_EQUAL(others, 0);
	CU_ASSERT(to_it > of_level / 15 && to_it < of_level / 7); /* one of eleven that take */
	CU_ASSERT(moved < to_it + of_level / 10);
}

/* As a fraction grows, more of the level's keys come to the endpoint, each to stay, and the level's share does not change. */
static void
slow_start_grows_an_endpoint_within_its_level(void)
{
	static bool had[20000];

	set_up(SL_POLICY_MAGLEV, 2, 0);
	build();
	fail(0, 0);
	memset(had, 0, sizeof(had));
	for (unsigned f = 0; f <= 255; f += 17) {
		unsigned cnt = 0, level0 = 0;
		set_admin(4, 0, (uint8_t)f);
		measure();
		/* 19 of 20 are 133 % */
		CU_ASSERT_EQUAL(shares.upto[0], SL_SHARES_WHOLE);
		for (uint32_t i = 0; i < SL_ARRAY_CNT(had); i++) {
			struct sl_choice c = pick(i);
			bool has = c.endpoint == 4;
			CU_ASSERT_TRUE(has || !had[i]);
			had[i] = has;
			cnt += has;
			level0 += c.level == 0;
		}
		double want = 1000.0 * f / 255;
		CU_ASSERT(cnt >= want * 0.85 - 20 && cnt <= want * 1.2 + 20);
		CU_ASSERT_EQUAL(level0, SL_ARRAY_CNT(had));
	}
}

static void
panic_of_a_level_minds_people_not_health(void)
{
	for (unsigned p = 0; p < SL_ARRAY_CNT(policies); p++) {
		unsigned seen[2] = {0}, panicked = 0;
		set_up(policies[p], 2, 60);
		build();
		fail(0, EACH - 1); /* 7 of 100 */
		fail(1, 8);        /* 84, 60 per cent of them take */
		set_admin(2, SL_ST_DRAIN | SL_ST_UNHEALTHY, 255);
		set_admin(4, SL_ST_DISABLED, 255);
		measure();
		CU_ASSERT_EQUAL(shares.panic, 1);
		for (uint32_t i = 0; i < 60000; i++) {
			struct sl_choice c = pick(i);
			CU_ASSERT_TRUE(c.level == 0 ? c.panic : !c.panic && takes(c.endpoint));
			if (c.level == 0)
				seen[c.endpoint / 2 >= 16] |= 1u << (c.endpoint / 2 & 15);
			panicked += c.panic;
		}
		/* all of the level but the two */
		CU_ASSERT_TRUE(seen[0] == 0xffff - 2 - 4 && seen[1] == 15);
		CU_ASSERT(panicked > 4000 && panicked < 5300);
	}
}

static void
who_finds_nobody_goes_to_the_other_levels_from_the_first_on(void)
{
	for (unsigned p = 0; p < SL_ARRAY_CNT(policies); p++) {
		set_up(policies[p], LEVELS, 0);
		build();
		/* measured while all were well; the worker does not know better for a while */
		shares = (struct sl_shares){.upto = {0, SL_SHARES_WHOLE, SL_SHARES_WHOLE}};
		CU_ASSERT_EQUAL(pick(1).level, 1);
		fail(1, EACH);
		CU_ASSERT_EQUAL(pick(1).level, 0);
		fail(0, EACH);
		CU_ASSERT_EQUAL(pick(1).level, 2);
		fail(2, EACH);
		CU_ASSERT_EQUAL(pick(1).endpoint, UINT32_MAX);
		fail(1, EACH - 1);
		CU_ASSERT_EQUAL(pick(1).endpoint, (EACH - 1) * LEVELS + 1);
		set.level_cnt = 0;
		CU_ASSERT_EQUAL(pick(1).endpoint, UINT32_MAX);
	}
}

static void
levels_that_take_turns_do_so_each_for_itself(void)
{
	unsigned cnt[2 * EACH] = {0};

	set_up(SL_POLICY_ROUND_ROBIN, 2, 0);
	build();
	shares = (struct sl_shares){.upto = {5000, SL_SHARES_WHOLE}};
	for (uint32_t i = 0; i < 4000; i++)
		cnt[pick(i).endpoint]++;
	for (uint32_t e = 2; e < 2 * EACH; e++)
		CU_ASSERT(abs((int)cnt[e] - (int)cnt[e % 2]) <= 1);
	/* a question moves nothing */
	uint32_t was[SL_CHOOSE_CURSORS];
	memcpy(was, cursors, sizeof(was));
	const struct sl_choose_ctx dry = {.states = states,
					  .seed = SEED,
					  .cursors = cursors,
					  .dry = true,
					  .set = &set,
					  .shares = &shares};
	const struct sl_tuple t = {.dport = 80};
	uint32_t next = sl_choose(&svc, &dry, &t).endpoint;
	CU_ASSERT_EQUAL(sl_choose(&svc, &dry, &t).endpoint, next);
	set_admin(next, SL_ST_DRAIN, 255);
	CU_ASSERT_TRUE(sl_choose(&svc, &dry, &t).endpoint != next);
	CU_ASSERT_EQUAL(memcmp(was, cursors, sizeof(was)), 0);
}

static void
cursors_lie_in_the_table_and_the_plain_ones_apart(void)
{
	for (uint32_t slot = 0; slot < SL_MAX_SERVICES; slot += 13) {
		CU_ASSERT_EQUAL(sl_choose_cursor(slot, 0, 0), slot);
		for (uint32_t s = 0; s < 65; s += 8)
			for (uint32_t l = s == 0; l < SL_MAX_LEVELS; l++) {
				uint32_t at = sl_choose_cursor(slot, s, l);
				CU_ASSERT(at >= SL_MAX_SERVICES && at < SL_CHOOSE_CURSORS);
			}
	}
	/* two that meet count on together, and each still gets to all its places */
	unsigned cnt[2 * EACH] = {0};
	set_up(SL_POLICY_ROUND_ROBIN, 2, 0);
	build();
	levels[1].cursor = levels[0].cursor = SL_MAX_SERVICES + 5;
	levels[1].sched_cnt = 7;
	shares = (struct sl_shares){.upto = {5000, SL_SHARES_WHOLE}};
	for (uint32_t i = 0; i < 40000; i++)
		cnt[pick(i).endpoint]++;
	for (uint32_t i = 0; i < EACH; i++)
		CU_ASSERT(cnt[sched[0][i]] > 800);
	for (uint32_t i = 0; i < 7; i++)
		CU_ASSERT(cnt[sched[1][i]] > 2500);
}

/* ---- zones ---- */

enum { ZONES = LEVELS };

/* Endpoint i is in zone i % zones, `own` of them is the gateway's; all of one rank. */
static void
set_up_zones(uint32_t zones, uint32_t own, uint16_t traffic, unsigned panic_pct)
{
	set_up(SL_POLICY_RANDOM, zones, panic_pct);
	build();
	svc.zone_min = 6;
	svc.zone_traffic = traffic;
	for (uint32_t z = 0; z < zones; z++) {
		levels[z].zone = (uint8_t)(z + (own != 0));
		levels[z].beside = z > 0;
	}
}

/* As the sentence says it, in numbers with a point. */
static void
zones_by_hand(double share[ZONES])
{
	double cap[ZONES] = {0}, base[ZONES] = {0}, spare[ZONES] = {0}, all = 0, base_all = 0;
	uint32_t n = set.level_cnt, taking = 0, people = 0;

	for (uint32_t e = 0; e < svc.endpoint_cnt; e++) {
		double weight = endpoints[e].weight;
		cap[e % n] += takes(e) ? weight : 0;
		base[e % n] += willing(e) ? weight : 0;
		taking += takes(e) && weight > 0;
		people += weight > 0;
	}
	for (uint32_t z = 0; z < n; z++)
		all += cap[z], base_all += base[z];
	bool panic = people && 100.0 * taking / people < svc.panic_pct - 1e-9;
	double zones = n + (levels[0].zone != 0), spares = 0, own = 0;
	double ours = svc.zone_traffic ? svc.zone_traffic / 10000.0 : 1 / zones;
	for (uint32_t z = 0; z < n; z++)
		share[z] = panic && base_all > 0 ? base[z] / base_all
			   : all > 0             ? cap[z] / all
						 : z == 0;
	if (panic || all == 0 || zones < 2 || taking < svc.zone_min)
		return;
	if (levels[0].zone == 0)
		own = fmin(1, cap[0] / all / ours);
	for (uint32_t z = levels[0].zone == 0; z < n; z++) {
		spare[z] = fmax(0, cap[z] / all - (1 - ours) / (zones - 1));
		spares += spare[z];
	}
	for (uint32_t z = 0; z < n; z++)
		share[z] = z == 0 && levels[0].zone == 0 ? own
			   : spares > 0                  ? (1 - own) * spare[z] / spares
							 : 0;
}

static void
zones_get_what_the_reference_gives_them(void)
{
	static const uint16_t flags[] = {0, 0, 0, SL_ST_UNHEALTHY, SL_ST_DRAIN, SL_ST_DISABLED};

	for (unsigned round = 0; round < 20000; round++) {
		double want[ZONES], got[ZONES] = {0}, off = 0;
		set_up_zones(1 + rnd(ZONES), rnd(3) == 0, (uint16_t)(rnd(2) ? rnd(10001) : 0),
			     rnd(2) ? rnd(101) : 0);
		svc.zone_min = (uint16_t)(1 + rnd(30));
		unsigned sick = rnd(101);
		for (uint32_t e = 0; e < svc.endpoint_cnt; e++) {
			endpoints[e].weight = rnd(4) ? (uint16_t)(1 + rnd(256)) : 0;
			bool ill = rnd(100) < sick / (1 + e % 3);
			set_admin(e, ill ? flags[rnd(SL_ARRAY_CNT(flags))] : 0, 255);
		}
		measure();
		zones_by_hand(want);
		for (uint32_t z = 0; z < set.level_cnt; z++) {
			got[z] = sl_shares_of(&shares, z) / 10000.0;
			off = fmax(off, fabs(got[z] - want[z]));
		}
		/* what zones have to spare may be of the size of what is rounded */
		if (off > 0.01)
			printf("  round %u: %.3f %.3f %.3f, wanted %.3f %.3f %.3f\n", round, got[0],
			       got[1], got[2], want[0], want[1], want[2]);
		CU_ASSERT(off <= 0.01);
		CU_ASSERT_EQUAL(shares.upto[set.level_cnt - 1], SL_SHARES_WHOLE);
	}
}

/* Gateways in every zone, each with its part of the traffic, which all know: all endpoints get alike, and no more leaves a zone than
 * must. */
static void
gateways_of_all_zones_together_load_all_endpoints_alike(void)
{
	for (unsigned round = 0; round < 300; round++) {
		uint32_t first = 1 + rnd(18), second = 1 + rnd(19 - first);
		const double cnt[ZONES] = {first, second, 20 - first - second + 1.0};
		double got[ZONES] = {0};
		for (uint32_t own = 0; own < ZONES; own++) {
			set_up_zones(ZONES, 0, 0, 0);
			/* zone `own` stands first, the others behind it: so many of each take */
			uint32_t zone[ZONES] = {own, own == 0 ? 1 : 0, own == 2 ? 1 : 2};
			for (uint32_t z = 0; z < ZONES; z++)
				fail(z, EACH - (uint32_t)cnt[zone[z]]);
			measure();
			for (uint32_t z = 0; z < ZONES; z++)
				got[zone[z]] += sl_shares_of(&shares, z) / 10000.0 / ZONES;
			double kept = fmin(1, cnt[own] / 21 * ZONES);
			CU_ASSERT_DOUBLE_EQUAL(sl_shares_of(&shares, 0) / 10000.0, kept, 0.002);
		}
		for (uint32_t z = 0; z < ZONES; z++) {
			if (fabs(got[z] - cnt[z] / 21) > 0.005)
				printf("  of %g, %g, %g zone %u gets %.3f\n", cnt[0], cnt[1],
				       cnt[2], z, got[z]);
			CU_ASSERT_DOUBLE_EQUAL(got[z], cnt[z] / 21, 0.005);
		}
	}
}

/* Two ranks, of which the first has two zones: health is counted of the rank, and its share is split. */
static void
zones_of_a_rank_stand_for_each_other_before_the_next_rank(void)
{
	set_up_zones(3, 0, 0, 0);
	levels[2].zone = 0;
	levels[2].beside = false;
	measure();
	CU_ASSERT_EQUAL(shares.upto[0], SL_SHARES_WHOLE); /* two zones alike: all stays */
	fail(0, EACH); /* our zone is gone: the other one has 70 % of what the rank had */
	measure();
	CU_ASSERT_EQUAL(sl_shares_of(&shares, 0), 0);
	CU_ASSERT_EQUAL(sl_shares_of(&shares, 1), 7000);
	CU_ASSERT_EQUAL(sl_shares_of(&shares, 2), 3000);
	fail(0, EACH / 2); /* half of it */
	measure();
	CU_ASSERT_EQUAL(sl_shares_of(&shares, 0) + sl_shares_of(&shares, 1), SL_SHARES_WHOLE);
	CU_ASSERT_DOUBLE_EQUAL(sl_shares_of(&shares, 0), 6666, 3);
}

SL_SUITE("shares", SL_TEST(zones_get_what_the_reference_gives_them),
	 SL_TEST(gateways_of_all_zones_together_load_all_endpoints_alike),
	 SL_TEST(zones_of_a_rank_stand_for_each_other_before_the_next_rank),
	 SL_TEST(shares_follow_the_health_of_two_and_three_levels),
	 SL_TEST(shares_follow_any_weights_and_words), SL_TEST(known_rows_come_out),
	 SL_TEST(panic_of_one_level_begins_below_the_threshold),
	 SL_TEST(every_policy_gives_each_level_its_share),
	 SL_TEST(shares_within_a_level_go_by_weight),
	 SL_TEST(a_level_that_lacks_loses_keys_of_its_edge_alone),
	 SL_TEST(an_endpoint_more_moves_few_keys_of_its_level_and_none_of_others),
	 SL_TEST(slow_start_grows_an_endpoint_within_its_level),
	 SL_TEST(panic_of_a_level_minds_people_not_health),
	 SL_TEST(who_finds_nobody_goes_to_the_other_levels_from_the_first_on),
	 SL_TEST(levels_that_take_turns_do_so_each_for_itself),
	 SL_TEST(cursors_lie_in_the_table_and_the_plain_ones_apart))
