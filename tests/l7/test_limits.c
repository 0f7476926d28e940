#include "l7/limits.h"

#include <pthread.h>
#include <stdatomic.h>

#include "tests/suite.h"

enum { MAX_WORKERS = 8, SLOT = 4095, ROUNDS = 60000 };

struct gate {
	struct sl_ledger *ledger;
	struct sl_limits *worker[MAX_WORKERS];
	unsigned cnt;
};

static struct gate
gate_of(unsigned workers)
{
	struct gate g = {.cnt = workers};

	g.ledger = aligned_alloc(SL_CACHE_LINE, sizeof(*g.ledger));
	CU_ASSERT_PTR_NOT_NULL_FATAL(g.ledger);
	memset(g.ledger, 0, sizeof(*g.ledger));
	for (unsigned i = 0; i < workers; i++)
		g.worker[i] = sl_limits_init(malloc(sl_limits_bytes()), g.ledger, workers);
	return g;
}

static uint32_t
ledger(const struct gate *g, enum sl_limit what)
{
	return atomic_load(&g->ledger->service[SLOT].taken[what]);
}

/* Whatever was in use, nothing stays in the ledger. */
static void
gate_close(struct gate *g)
{
	for (unsigned i = 0; i < g->cnt; i++) {
		sl_limits_fini(g->worker[i]);
		free(g->worker[i]);
	}
	for (unsigned what = 0; what < SL_LIMIT_CNT; what++)
		CU_ASSERT_EQUAL(ledger(g, what), 0);
	free(g->ledger);
}

static bool
take(struct gate *g, unsigned w, uint32_t max)
{
	return sl_limit_take(g->worker[w], SLOT, SL_LIMIT_REQUESTS, max);
}

static void
give(struct gate *g, unsigned w)
{
	sl_limit_give(g->worker[w], SLOT, SL_LIMIT_REQUESTS);
}

static uint32_t
held(const struct gate *g, unsigned w)
{
	return sl_limit_held(g->worker[w], SLOT, SL_LIMIT_REQUESTS);
}

static void
a_small_limit_is_exact_whoever_takes(void)
{
	struct gate g = gate_of(3);
	uint32_t got = 0;

	/* 191 < 64 × 3 */
	for (unsigned i = 0; i < 300; i++)
		got += take(&g, i * i % 3, 191);
	CU_ASSERT_EQUAL(got, 191);
	CU_ASSERT_EQUAL(held(&g, 0) + held(&g, 1) + held(&g, 2), 191);
	give(&g, 1);
	CU_ASSERT_TRUE(take(&g, 0, 191)); /* at once, at another worker */
	CU_ASSERT_FALSE(take(&g, 1, 191));
	gate_close(&g);
}

static void
a_large_limit_leaves_at_most_a_share_of_each_other_worker_unused(void)
{
	struct gate g = gate_of(4);
	uint32_t got = 0;

	for (unsigned w = 1; w < 4; w++)
		CU_ASSERT_TRUE(take(&g, w, 1000));
	while (take(&g, 0, 1000))
		got++;
	CU_ASSERT_TRUE(got + 3 <= 1000 && got + 3 >= 1000 - 3 * (SL_LIMIT_SHARE - 1));
	/* what the others let go of wholly can be had by the one */
	for (unsigned w = 1; w < 4; w++)
		give(&g, w);
	while (take(&g, 0, 1000))
		got++;
	CU_ASSERT_EQUAL(got, 1000);
	gate_close(&g);
}

static void
shares_keep_off_the_ledger(void)
{
	struct gate g = gate_of(1);
	unsigned writes = 0;
	uint32_t last = 0;

	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_TRUE(take(&g, 0, 1000));
	last = ledger(&g, SL_LIMIT_REQUESTS);
	for (unsigned i = 0; i < 1000; i++) { /* up and down by five */
		i % 10 < 5 ? (void)take(&g, 0, 1000) : give(&g, 0);
		uint32_t now = ledger(&g, SL_LIMIT_REQUESTS);
		writes += now != last;
		last = now;
		CU_ASSERT_TRUE(now >= held(&g, 0) && now <= held(&g, 0) + SL_LIMIT_SHARE);
	}
	CU_ASSERT(writes <= 2);
	gate_close(&g);
}

static void
what_is_given_back_can_be_had_elsewhere(void)
{
	struct gate g = gate_of(2);

	for (unsigned i = 0; i < 500; i++)
		CU_ASSERT_TRUE(take(&g, 0, 500));
	CU_ASSERT_FALSE(take(&g, 1, 500));
	for (unsigned i = 0; i < 400; i++) {
		give(&g, 0);
		CU_ASSERT_TRUE(ledger(&g, SL_LIMIT_REQUESTS) <= held(&g, 0) + SL_LIMIT_SHARE);
	}
	CU_ASSERT_TRUE(take(&g, 1, 500));
	gate_close(&g);
}

static void
a_share_in_hand_is_not_full(void)
{
	struct gate g = gate_of(2);

	for (unsigned i = 0; i < 161; i++) /* takes 176 */
		CU_ASSERT_TRUE(take(&g, 0, 176));
	CU_ASSERT_FALSE(sl_limit_full(g.worker[0], SLOT, SL_LIMIT_REQUESTS, 176));
	CU_ASSERT_TRUE(sl_limit_full(g.worker[1], SLOT, SL_LIMIT_REQUESTS, 176));
	gate_close(&g);
}

static void
who_gives_all_back_holds_no_share(void)
{
	static const uint32_t limits[] = {0, 10, 100000};

	for (unsigned i = 0; i < SL_ARRAY_CNT(limits); i++) {
		struct gate g = gate_of(2);
		for (unsigned n = 0; n < 9; n++)
			CU_ASSERT_TRUE(take(&g, 1, limits[i]));
		CU_ASSERT_TRUE(sl_limit_elsewhere(g.worker[0], SLOT, SL_LIMIT_REQUESTS) &&
			       !sl_limit_elsewhere(g.worker[1], SLOT, SL_LIMIT_REQUESTS));
		for (unsigned n = 0; n < 9; n++)
			give(&g, 1);
		CU_ASSERT_EQUAL(ledger(&g, SL_LIMIT_REQUESTS), 0);
		CU_ASSERT_FALSE(sl_limit_elsewhere(g.worker[0], SLOT, SL_LIMIT_REQUESTS));
		gate_close(&g);
	}
}

static void
no_limit_is_counted_all_the_same(void)
{
	struct gate g = gate_of(2);

	for (unsigned i = 0; i < 5000; i++)
		CU_ASSERT_TRUE(take(&g, i % 2, 0));
	CU_ASSERT_EQUAL(held(&g, 0), 2500);
	CU_ASSERT_FALSE(sl_limit_full(g.worker[0], SLOT, SL_LIMIT_REQUESTS, 0));
	gate_close(&g);
}

/* A push makes it another limit while some are in use. */
static void
a_changed_limit_holds_for_what_is_taken_from_then_on(void)
{
	static const struct {
		uint32_t before, use, after, more;
		const char *reason;
	} rows[] = {
		{1000, 500, 100, 0, "shares, then exact and below what is in use"},
		{1000, 50, 100, 50, "shares, then exact with some left"},
		{100, 100, 1000, 900, "exact and full, then shares"},
		{1000, 600, 500, 0, "shares, lowered to fewer than are in use"},
		{1000, 500, 505, 5, "shares that lie unused count"},
		{0, 700, 600, 0, "none, then fewer than are in use"},
		{5, 5, 0, 9000, "then none"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct gate g = gate_of(2);
		uint32_t more = 0;
		for (uint32_t n = 0; n < rows[i].use; n++)
			CU_ASSERT_TRUE(take(&g, 0, rows[i].before));
		while (more < 9000 && take(&g, 0, rows[i].after))
			more++;
		if (more != rows[i].more)
			printf("  %s: %u\n", rows[i].reason, more);
		CU_ASSERT_EQUAL(more, rows[i].more);
		CU_ASSERT_EQUAL(sl_limit_full(g.worker[0], SLOT, SL_LIMIT_REQUESTS, rows[i].after),
				rows[i].after != 0);
		gate_close(&g);
	}
}

static void
counters_and_services_are_apart(void)
{
	struct gate g = gate_of(1);

	CU_ASSERT_TRUE(sl_limit_take(g.worker[0], SLOT, SL_LIMIT_PENDING, 1));
	CU_ASSERT_FALSE(sl_limit_take(g.worker[0], SLOT, SL_LIMIT_PENDING, 1));
	CU_ASSERT_TRUE(sl_limit_take(g.worker[0], SLOT, SL_LIMIT_RETRIES, 1));
	CU_ASSERT_TRUE(sl_limit_take(g.worker[0], 0, SL_LIMIT_PENDING, 1));
	CU_ASSERT_EQUAL(sl_limit_held(g.worker[0], SLOT, SL_LIMIT_CONNECTIONS), 0);
	gate_close(&g);
}

static void
retries_keep_to_breaker_and_budget(void)
{
	static const struct {
		uint32_t requests, max;
		uint8_t pct, min;
		uint32_t want;
		const char *reason;
	} rows[] = {
		{0, 0, 20, 3, 3, "the floor holds with nothing under way"},
		{14, 0, 20, 3, 3, "20 per cent of 14 is below the floor"},
		{100, 0, 20, 3, 20, "a fifth"},
		{104, 0, 20, 3, 20, "rounded down"},
		{100, 7, 20, 3, 7, "the breaker first"},
		{100, 0, 0, 0, 0, "no budget at all"},
		{100, 0, 100, 0, 100, "every one"},
		{2, 1, 20, 3, 1, "a breaker below the floor"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct sl_img_http_service http = {.max_retries = rows[i].max,
							 .budget_pct = rows[i].pct,
							 .budget_min = rows[i].min};
		struct gate g = gate_of(1);
		uint32_t got = 0;
		for (uint32_t n = 0; n < rows[i].requests; n++)
			CU_ASSERT_TRUE(take(&g, 0, 0));
		while (got < 1000 && sl_limit_retry(g.worker[0], SLOT, &http, 0))
			got++;
		if (got != rows[i].want)
			printf("  %s: %u\n", rows[i].reason, got);
		CU_ASSERT_EQUAL(got, rows[i].want);
		CU_ASSERT_EQUAL(sl_limit_held(g.worker[0], SLOT, SL_LIMIT_RETRIES), got);
		gate_close(&g);
	}
}

static void
some_retries_a_second_may_always_be_made(void)
{
	const struct sl_img_http_service http = {.budget_per_s = 4, .max_retries = 100};
	struct gate g = gate_of(2);
	uint64_t now = 50 * 1000000000ull;
	unsigned got = 0;

	/* a second's at once, of both workers together */
	for (unsigned i = 0; i < 10; i++)
		got += sl_limit_retry(g.worker[i % 2], SLOT, &http, now);
	CU_ASSERT_EQUAL(got, 4);
	CU_ASSERT_EQUAL(sl_limit_held(g.worker[0], SLOT, SL_LIMIT_RETRIES), 2);
	/* then one each quarter; what was refused costs nothing */
	for (unsigned ms = 0; ms < 10000; ms++)
		got += sl_limit_retry(g.worker[ms % 2], SLOT, &http, now + ms * 1000000ull);
	CU_ASSERT_EQUAL(got, 4 + 39);
	/* beside the budget, not in its place; the breaker holds */
	const struct sl_img_http_service few = {
		.budget_per_s = 4, .budget_min = 60, .max_retries = 45};
	now += 100 * 1000000000ull;
	got = 0;
	for (unsigned i = 0; i < 10; i++)
		got += sl_limit_retry(g.worker[0], SLOT, &few, now);
	CU_ASSERT_EQUAL(got, 2);
	gate_close(&g);
}

static void
what_is_under_way_is_told(void)
{
	static struct sl_stats_service stats[SL_MAX_SERVICES];
	struct gate g = gate_of(1);

	sl_limits_stats(g.worker[0], stats);
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_TRUE(sl_limit_take(g.worker[0], SLOT, SL_LIMIT_PENDING, 3));
	CU_ASSERT_FALSE(sl_limit_take(g.worker[0], SLOT, SL_LIMIT_PENDING, 3));
	CU_ASSERT_TRUE(sl_limit_take(g.worker[0], 0, SL_LIMIT_RETRIES, 0));
	/* one service a turn, and only those that ever had something */
	for (uint32_t i = 0; i <= SLOT; i++)
		CU_ASSERT_EQUAL(sl_limits_tell(g.worker[0]), i);
	CU_ASSERT_EQUAL(sl_limits_tell(g.worker[0]), 0);
	CU_ASSERT_EQUAL(stats[SLOT].under_way[SL_LIMIT_PENDING], 3);
	CU_ASSERT_EQUAL(stats[SLOT].reached[SL_LIMIT_PENDING], 1);
	CU_ASSERT_EQUAL(stats[SLOT].under_way[SL_LIMIT_REQUESTS], 0);
	CU_ASSERT_EQUAL(stats[0].under_way[SL_LIMIT_RETRIES], 1);
	sl_limit_give(g.worker[0], SLOT, SL_LIMIT_PENDING);
	for (uint32_t i = 0; i <= SLOT; i++)
		sl_limits_tell(g.worker[0]);
	CU_ASSERT_EQUAL(stats[SLOT].under_way[SL_LIMIT_PENDING], 2);
	gate_close(&g);
}

/* ---- threads ---- */

struct crowd {
	struct gate *g;
	unsigned w;
	uint32_t max;
	_Atomic uint32_t *in_use, *refused;
	_Atomic bool *exceeded;
};

/* in_use is raised after a take and lowered before a give: what it says is never more than what is in use. */
static void *
runs(void *arg)
{
	struct crowd *c = arg;
	uint32_t mine = 0, x = c->w * 7919 + 1;

	for (unsigned i = 0; i < ROUNDS; i++) {
		x = x * 1664525 + 1013904223;
		/* waves: a time to take, a time to give back */
		bool up = x >> 24 < (i / 1000 % 2 ? 160u : 96u);
		if (up && take(c->g, c->w, c->max)) {
			if (atomic_fetch_add(c->in_use, 1) >= c->max)
				atomic_store(c->exceeded, true);
			mine++;
		} else if (up) {
			atomic_fetch_add(c->refused, 1);
		} else if (mine) {
			atomic_fetch_sub(c->in_use, 1);
			give(c->g, c->w);
			mine--;
		}
	}
	for (; mine; mine--) {
		atomic_fetch_sub(c->in_use, 1);
		give(c->g, c->w);
	}
	return NULL;
}

static void
threads_never_exceed_a_limit_and_leave_nothing(void)
{
	static const struct {
		unsigned workers;
		uint32_t max;
	} rows[] = {{2, 1}, {4, 7}, {4, 255}, {4, 256}, {4, 300}, {8, 512}, {2, 128}, {3, 129}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct gate g = gate_of(rows[i].workers);
		_Atomic uint32_t in_use = 0, refused = 0;
		_Atomic bool exceeded = false;
		struct crowd c[MAX_WORKERS];
		pthread_t thread[MAX_WORKERS];
		for (unsigned w = 0; w < rows[i].workers; w++) {
			c[w] = (struct crowd){&g, w, rows[i].max, &in_use, &refused, &exceeded};
			CU_ASSERT_EQUAL_FATAL(pthread_create(&thread[w], NULL, runs, &c[w]), 0);
		}
		for (unsigned w = 0; w < rows[i].workers; w++)
			pthread_join(thread[w], NULL);
		CU_ASSERT_FALSE(exceeded);
		CU_ASSERT_NOT_EQUAL(refused, 0); /* it was reached */
		CU_ASSERT_EQUAL(ledger(&g, SL_LIMIT_REQUESTS), 0);
		gate_close(&g);
	}
}

SL_SUITE("limits", SL_TEST(a_small_limit_is_exact_whoever_takes),
	 SL_TEST(a_large_limit_leaves_at_most_a_share_of_each_other_worker_unused),
	 SL_TEST(shares_keep_off_the_ledger), SL_TEST(what_is_given_back_can_be_had_elsewhere),
	 SL_TEST(a_share_in_hand_is_not_full), SL_TEST(who_gives_all_back_holds_no_share),
	 SL_TEST(no_limit_is_counted_all_the_same),
	 SL_TEST(a_changed_limit_holds_for_what_is_taken_from_then_on),
	 SL_TEST(counters_and_services_are_apart), SL_TEST(retries_keep_to_breaker_and_budget),
	 SL_TEST(some_retries_a_second_may_always_be_made), SL_TEST(what_is_under_way_is_told),
	 SL_TEST(threads_never_exceed_a_limit_and_leave_nothing))
