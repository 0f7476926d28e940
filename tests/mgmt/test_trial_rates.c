/* What a tried table's limits would refuse: counts of windows, against numbers worked out by hand. */
#include "mgmt/trial_rates.h"

#include "tests/suite.h"

#define HEAD "gateway = { name = \"g\"; }; services = ( { name = \"a\"; } ); "
#define LIMITS(rows) HEAD "limits = ( " rows " );"

static struct sl_stats_rate stats;

static struct sl_stats_rate
counted(void *ctx, struct sl_placed at)
{
	(void)ctx;
	CU_ASSERT_EQUAL(at.slot, 1);
	return stats;
}

static struct sl_conf *
conf_of(const char *text)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;

	CU_ASSERT_EQUAL_FATAL(sl_conf_parse("t", text, strlen(text), &diag, &c), 0);
	sl_diag_fini(&diag);
	return c;
}

/* The active limit "l" has slot 1. */
static void
begin(struct sl_trial_rates *r, const char *now, const char *then)
{
	struct sl_slot_owner owner[2] = {{0}, {.key = (char *)"l", .incarnation = 7}};
	uint32_t index[1] = {2}; /* every name is in slot 1 */
	const struct sl_slot_map map = {.rates = {.owner = owner, .cnt = 2, .index = index}};
	struct sl_conf *a = conf_of(now), *b = conf_of(then);

	stats = (struct sl_stats_rate){.allowed = 1000, .refused = 30};
	sl_trial_rates_begin(r, a, &map, b, 5000, counted, NULL);
	sl_conf_free(a);
	sl_conf_free(b);
}

static void
a_limit_is_foretold_when_its_number_or_time_changes(void)
{
	static const struct {
		const char *now, *then;
		unsigned cnt;
	} rows[] = {
		{LIMITS("{ name = \"l\"; requests = 9; }"),
		 LIMITS("{ name = \"l\"; requests = 9; }"), 0},
		{LIMITS("{ name = \"l\"; requests = 9; }"),
		 LIMITS("{ name = \"l\"; requests = 5; }"), 1},
		{LIMITS("{ name = \"l\"; requests = 9; per = \"1s\"; }"),
		 LIMITS("{ name = \"l\"; requests = 9; per = \"2s\"; }"), 1},
		{LIMITS("{ name = \"l\"; requests = 9; }"), HEAD, 0},
		{HEAD, LIMITS("{ name = \"l\"; requests = 5; }"), 0},
		{LIMITS("{ name = \"l\"; requests = 9; by = \"source\"; }"),
		 LIMITS("{ name = \"l\"; requests = 5; by = \"source\"; }"), 0},
		{LIMITS("{ name = \"l\"; requests = 9; }"),
		 LIMITS("{ name = \"l\"; requests = 5; shared = true; }"), 0},
	};
	struct sl_trial_rates r;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		begin(&r, rows[i].now, rows[i].then);
		CU_ASSERT_EQUAL(r.cnt, rows[i].cnt);
		sl_trial_rates_fini(&r);
	}
}

static void
what_is_asked_is_held_against_the_new_number_window_by_window(void)
{
	/* 100 in a second to 40 in two */
	static const struct {
		uint64_t ms, allowed, refused;
		unsigned windows, above, asked, refuses, over;
		const char *reason;
	} rows[] = {
		{5500, 1010, 30, 0, 0, 0, 0, 0, "a window is not over"},
		{7000, 1040, 30, 1, 0, 40, 0, 0, "as many as may"},
		{9000, 1100, 50, 2, 1, 120, 20, 40, "80 asked, 40 of them too many"},
		{13000, 1180, 50, 3, 1, 200, 20, 40, "a look that came late: 80 in four seconds"},
		{15000, 10, 0, 3, 1, 200, 20, 40, "counters began anew: no window"},
		{17000, 52, 0, 4, 2, 242, 20, 42, "and go on from there"},
	};
	struct sl_trial_rates r;

	begin(&r, LIMITS("{ name = \"l\"; requests = 100; per = \"1s\"; }"),
	      LIMITS("{ name = \"l\"; requests = 40; per = \"2s\"; }"));
	CU_ASSERT_EQUAL_FATAL(r.cnt, 1);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		stats.allowed = rows[i].allowed;
		stats.refused = rows[i].refused;
		sl_trial_rates_look(&r, rows[i].ms, counted, NULL);
		const struct sl_trial_rate *t = r.rate;
		bool ok = t->windows == rows[i].windows && t->above == rows[i].above &&
			  t->asked == rows[i].asked && t->refused == rows[i].refuses &&
			  t->over == rows[i].over;
		if (!ok)
			printf("\n  %s: %u windows, %u above, %u asked, %u refused, %u over",
			       rows[i].reason, t->windows, t->above, (unsigned)t->asked,
			       (unsigned)t->refused, (unsigned)t->over);
		CU_ASSERT(ok);
	}
	sl_trial_rates_fini(&r);
}

SL_SUITE("trial_rates", SL_TEST(a_limit_is_foretold_when_its_number_or_time_changes),
	 SL_TEST(what_is_asked_is_held_against_the_new_number_window_by_window))
