#include "dataplane/watchdog.h"
#include "tests/suite.h"

#define S 1000000000ull

static void *
stats_of(unsigned workers)
{
	static const char *const names[] = {"front"};
	void *mem = calloc(1, sl_stats_bytes(workers, 1));

	if (!mem)
		abort();
	sl_stats_init(mem, workers, 1, names, 1, 1000000000);
	return mem;
}

static void
turn(void *stats, unsigned worker)
{
	sl_stats_worker(stats, worker)->turns++;
}

static void
without_a_manager_nothing_is_looked_at(void)
{
	struct sl_watchdog w;
	unsigned worker;

	sl_watchdog_init(&w, 0, 1);
	CU_ASSERT_EQUAL(sl_watchdog_wait_ms(&w), -1);
	CU_ASSERT_EQUAL(sl_watchdog_turn(&w, NULL, S, &worker), SL_WATCHDOG_WAIT);
}

static void
the_manager_is_told_while_all_turn(void)
{
	struct sl_watchdog w;
	void *stats = stats_of(2);
	unsigned worker, told = 0;

	sl_watchdog_init(&w, 4 * S, 2);
	CU_ASSERT_TRUE(sl_watchdog_wait_ms(&w) <= 1000);
	for (uint64_t now = S; now < 41 * S; now += S / 10) {
		turn(stats, 0);
		turn(stats, 1);
		told += sl_watchdog_turn(&w, stats, now, &worker) == SL_WATCHDOG_LIVES;
	}
	CU_ASSERT_EQUAL(told, 40); /* each quarter of the period */
	free(stats);
}

static void
one_worker_that_stands_still_is_enough(void)
{
	struct sl_watchdog w;
	void *stats = stats_of(3);
	unsigned worker = 9;

	sl_watchdog_init(&w, 4 * S, 3);
	for (unsigned i = 0; i < 3; i++)
		turn(stats, i);
	CU_ASSERT_EQUAL(sl_watchdog_turn(&w, stats, S, &worker), SL_WATCHDOG_LIVES);
	turn(stats, 0);
	turn(stats, 2);
	CU_ASSERT_EQUAL(sl_watchdog_turn(&w, stats, S + S / 2, &worker), SL_WATCHDOG_WAIT);
	CU_ASSERT_EQUAL(sl_watchdog_turn(&w, stats, 2 * S, &worker), SL_WATCHDOG_STANDS);
	CU_ASSERT_EQUAL(worker, 1);
	turn(stats, 0);
	turn(stats, 2);
	CU_ASSERT_EQUAL(sl_watchdog_turn(&w, stats, 3 * S, &worker), SL_WATCHDOG_STILL);
	for (unsigned i = 0; i < 3; i++)
		turn(stats, i);
	CU_ASSERT_EQUAL(sl_watchdog_turn(&w, stats, 4 * S, &worker), SL_WATCHDOG_LIVES);
	free(stats);
}

SL_SUITE("watchdog", SL_TEST(without_a_manager_nothing_is_looked_at),
	 SL_TEST(the_manager_is_told_while_all_turn),
	 SL_TEST(one_worker_that_stands_still_is_enough))
