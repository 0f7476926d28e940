/* Who is waited for before the end, and for how long. */
#include "dataplane/farewell.h"
#include "sluice/ctl.h"
#include "tests/suite.h"

#define MS 1000000ull
enum { STOP = SL_STOPPING_STOP, UPGRADE = SL_STOPPING_UPGRADE };

static void
whoever_is_not_there_is_not_waited_for(void)
{
	static const struct {
		const char *why;
		uint64_t peer;
		uint32_t wait_ms;
		bool waits;
	} rows[] = {
		{"no sluiced", 0, 3000, false},
		{"no time", 7, 0, false},
		{"both are there", 7, 3000, true},
		{"the longest time", 7, UINT32_MAX, true},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_farewell f = {0};
		bool waits = sl_farewell_begin(&f, STOP, rows[i].peer, rows[i].wait_ms, 5 * MS);
		CU_ASSERT_EQUAL(waits, rows[i].waits);
		CU_ASSERT_EQUAL(f.open, rows[i].waits);
		CU_ASSERT_PTR_NULL(sl_farewell_over(&f, rows[i].peer, 5 * MS));
	}
}

static void
it_ends_by_stop_by_time_or_with_the_connection(void)
{
	static const struct {
		const char *how; /* NULL: not over */
		bool released;
		uint64_t peer, now_ms;
	} rows[] = {
		{NULL, false, 7, 3099},
		{"stop_wait_ms", false, 7, 3100},
		{"went away", false, 0, 101},
		{"went away", false, 8, 101}, /* another sluiced knows nothing of it */
		{"taken back", true, 7, 101},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_farewell f = {0};
		CU_ASSERT_TRUE(sl_farewell_begin(&f, STOP, 7, 3000, 100 * MS));
		if (rows[i].released)
			sl_farewell_release(&f);
		const char *how = sl_farewell_over(&f, rows[i].peer, rows[i].now_ms * MS);
		CU_ASSERT_EQUAL(how != NULL, rows[i].how != NULL);
		CU_ASSERT(!how || !rows[i].how || strstr(how, rows[i].how));
	}
}

static void
a_second_signal_ends_it_and_a_stop_overrides_an_upgrade(void)
{
	static const struct {
		uint32_t first, second, why;
		bool waits;
	} rows[] = {
		{STOP, STOP, STOP, false},
		{UPGRADE, STOP, STOP, true},
		{STOP, UPGRADE, STOP, false},
		{UPGRADE, UPGRADE, UPGRADE, false},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_farewell f = {0};
		CU_ASSERT_TRUE(sl_farewell_begin(&f, rows[i].first, 7, 3000, 0));
		CU_ASSERT_EQUAL(sl_farewell_begin(&f, rows[i].second, 7, 3000, 2000 * MS),
				rows[i].waits);
		CU_ASSERT_EQUAL(f.why, rows[i].why);
		CU_ASSERT_PTR_NOT_NULL(sl_farewell_over(&f, 7, 3000 * MS)); /* not begun anew */
	}
}

static void
a_stop_that_nobody_asked_for_means_nothing(void)
{
	struct sl_farewell f = {0};

	sl_farewell_release(&f);
	CU_ASSERT_TRUE(sl_farewell_begin(&f, STOP, 7, 3000, 0));
	CU_ASSERT_PTR_NULL(sl_farewell_over(&f, 7, 0));
}

SL_SUITE("farewell", SL_TEST(whoever_is_not_there_is_not_waited_for),
	 SL_TEST(it_ends_by_stop_by_time_or_with_the_connection),
	 SL_TEST(a_second_signal_ends_it_and_a_stop_overrides_an_upgrade),
	 SL_TEST(a_stop_that_nobody_asked_for_means_nothing))
