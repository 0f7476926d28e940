/* The wheel against a list of deadlines, at every boundary of its levels and where ticks wrap. */
#include "dataplane/tcp/wheel.h"

#include "tests/suite.h"

#define CNT 512

struct rig {
	struct sl_wheel w;
	struct sl_timer timer[CNT];
	uint32_t due[CNT]; /* as set; meaningless when not set */
	unsigned calls[CNT];
	unsigned called, early;
	uint32_t now;                     /* given to run */
	uint32_t again;                   /* each call sets its timer so many ticks ahead; 0: not */
	struct sl_timer *victim, *target; /* each call stops the one, and sets the other at due */
	uint32_t target_due;
};

static struct rig r;

static void
called(void *ctx, struct sl_timer *t)
{
	struct rig *g = ctx;
	size_t i = (size_t)(t - g->timer);

	CU_ASSERT_FALSE(sl_timer_is_set(t));
	g->calls[i]++;
	g->called++;
	g->early += (int32_t)(g->now - t->due) < 0;
	if (g->again)
		sl_wheel_set(&g->w, t, g->w.now + g->again);
	if (g->victim)
		sl_wheel_stop(&g->w, g->victim);
	if (g->target)
		sl_wheel_set(&g->w, g->target, g->target_due);
}

static void
begin(uint32_t now)
{
	memset(&r, 0, sizeof(r));
	r.now = now;
	sl_wheel_init(&r.w, now);
}

static unsigned
run(uint32_t now, unsigned budget)
{
	r.now = now;
	return sl_wheel_run(&r.w, now, budget, called, &r);
}

static const uint32_t bases[] = {0,          1,          255,        256,       65535,
				 0x00ffffff, 0x7fffffff, 0xffffff00, UINT32_MAX};

static void
a_timer_is_called_at_its_tick_and_not_before(void)
{
	static const uint32_t aheads[] = {1,     2,      254,      255,      256,      257,
					  511,   512,    65279,    65280,    65535,    65536,
					  65537, 131072, 16777215, 16777216, 16777217, 0x7fffffff};
	unsigned wrong = 0;

	for (size_t b = 0; b < SL_ARRAY_CNT(bases); b++) {
		for (size_t a = 0; a < SL_ARRAY_CNT(aheads); a++) {
			uint32_t due = bases[b] + aheads[a];
			begin(bases[b]);
			sl_wheel_set(&r.w, &r.timer[0], due);
			wrong += run(due - 1, 10) != 0 || r.w.cnt != 1;
			wrong += run(due, 10) != 1 || r.w.cnt != 0 || r.w.now != due;
		}
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

/* As well in one leap as in steps of any size. */
static void
all_are_called_once_however_time_goes_on(void)
{
	static const uint32_t steps[] = {1, 3, 100, 256, 1000, 70000, 1000000};

	srandom(5);
	for (size_t b = 0; b < SL_ARRAY_CNT(bases); b++) {
		for (size_t s = 0; s < SL_ARRAY_CNT(steps); s++) {
			uint32_t span = steps[s] * 1500, now = bases[b];
			unsigned late = 0;
			begin(now);
			for (unsigned i = 0; i < CNT; i++)
				sl_wheel_set(&r.w, &r.timer[i],
					     now + 1 + (uint32_t)random() % span);
			while (now - bases[b] < span) {
				now += steps[s];
				run(now, UINT32_MAX);
				for (unsigned i = 0; i < CNT; i++)
					late += r.calls[i] == 0 &&
						(int32_t)(now - r.timer[i].due) >= 0;
			}
			CU_ASSERT_EQUAL(r.called, CNT);
			CU_ASSERT_EQUAL(r.early, 0);
			CU_ASSERT_EQUAL(late, 0);
			CU_ASSERT_EQUAL(r.w.cnt, 0);
		}
	}
}

static void
sets_stops_and_runs_in_any_order_agree_with_a_list(void)
{
	for (unsigned seed = 1; seed <= 40; seed++) {
		unsigned wrong = 0, set = 0;
		srandom(seed);
		begin(bases[seed % SL_ARRAY_CNT(bases)]);
		for (unsigned step = 0; step < 4000; step++) {
			unsigned i = (unsigned)random() % CNT;
			uint32_t ahead = 1 + ((uint32_t)random() >> (unsigned)random() % 30);
			switch (random() % 4) {
			case 0:
			case 1:
				sl_wheel_set(&r.w, &r.timer[i], r.now + ahead);
				r.due[i] = r.now + ahead;
				break;
			case 2:
				sl_wheel_stop(&r.w, &r.timer[i]);
				break;
			default:
				run(r.now + ahead % 300000, UINT32_MAX);
				break;
			}
			set = 0;
			for (i = 0; i < CNT; i++) {
				bool on = sl_timer_is_set(&r.timer[i]);
				set += on;
				wrong += on && ((int32_t)(r.due[i] - r.now) <= 0 ||
						r.timer[i].due != r.due[i]);
			}
			wrong += set != r.w.cnt;
		}
		CU_ASSERT_EQUAL(wrong, 0);
		CU_ASSERT_EQUAL(r.early, 0);
	}
}

static void
setting_again_moves_a_timer(void)
{
	begin(100);
	sl_wheel_set(&r.w, &r.timer[0], 200);
	sl_wheel_set(&r.w, &r.timer[0], 90000);
	sl_wheel_set(&r.w, &r.timer[1], 90000);
	sl_wheel_set(&r.w, &r.timer[1], 150);
	CU_ASSERT_EQUAL(r.w.cnt, 2);
	CU_ASSERT_EQUAL(run(80000, 10), 1);
	CU_ASSERT_EQUAL(r.calls[1], 1);
	CU_ASSERT_EQUAL(run(90000, 10), 1);
	CU_ASSERT_EQUAL(r.calls[0], 1);
}

static void
what_is_due_already_is_called_with_the_next_run_even_in_the_same_tick(void)
{
	begin(1000);
	sl_wheel_set(&r.w, &r.timer[0], 1000);
	sl_wheel_set(&r.w, &r.timer[1], 7);
	CU_ASSERT_EQUAL(run(1000, 10), 2);
	CU_ASSERT_EQUAL(r.w.cnt, 0);
	sl_wheel_set(&r.w, &r.timer[0], 999);
	sl_wheel_stop(&r.w, &r.timer[0]);
	CU_ASSERT_EQUAL(run(1001, 10), 0);
}

static void
the_rest_of_a_budget_comes_with_the_next_run(void)
{
	begin(0);
	for (unsigned i = 0; i < 100; i++)
		sl_wheel_set(&r.w, &r.timer[i], 10 + i / 50);
	CU_ASSERT_EQUAL(run(20, 30), 30);
	CU_ASSERT_EQUAL(r.w.cnt, 70);
	sl_wheel_stop(&r.w, &r.timer[0]);
	sl_wheel_stop(&r.w, &r.timer[49]);
	CU_ASSERT_EQUAL(run(20, 0), 0);
	unsigned more = run(20, 1000);
	CU_ASSERT_EQUAL(r.w.cnt, 0);
	CU_ASSERT_EQUAL(more + 30 + !r.calls[0] + !r.calls[49], 100);
	CU_ASSERT_EQUAL(r.w.now, 20);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_TRUE(r.calls[i] == 1 || i == 0 || i == 49);
}

static void
a_timer_may_set_itself_again_from_its_call(void)
{
	begin(0);
	r.again = 7;
	sl_wheel_set(&r.w, &r.timer[0], 7);
	CU_ASSERT_EQUAL(run(700, UINT32_MAX), 100);
	CU_ASSERT_EQUAL(r.early, 0);
	CU_ASSERT_EQUAL(r.w.cnt, 1);
}

static void
a_timer_that_is_always_late_is_called_once_a_run(void)
{
	begin(50);
	r.target = &r.timer[0];
	r.target_due = 20;
	sl_wheel_set(&r.w, &r.timer[0], 51);
	CU_ASSERT_EQUAL(run(60, 1000), 1);
	CU_ASSERT_EQUAL(run(60, 1000), 1);
	CU_ASSERT_EQUAL(r.w.cnt, 1);
}

static void
a_call_may_stop_another_that_is_due_too(void)
{
	begin(0);
	sl_wheel_set(&r.w, &r.timer[0], 5);
	sl_wheel_set(&r.w, &r.timer[1], 5);
	sl_wheel_set(&r.w, &r.timer[2], 5);
	r.victim = &r.timer[1];
	unsigned before = run(5, 1); /* timer 2: the last one set */
	CU_ASSERT_EQUAL(before, 1);
	CU_ASSERT_FALSE(sl_timer_is_set(&r.timer[1]));
	CU_ASSERT_EQUAL(run(5, 10), 1);
	CU_ASSERT_EQUAL(r.calls[1], 0);
	CU_ASSERT_EQUAL(r.w.cnt, 0);
}

static void
time_that_stands_or_goes_back_calls_nothing(void)
{
	begin(500);
	sl_wheel_set(&r.w, &r.timer[0], 501);
	CU_ASSERT_EQUAL(run(500, 10), 0);
	CU_ASSERT_EQUAL(run(400, 10), 0);
	CU_ASSERT_EQUAL(r.w.now, 500);
	CU_ASSERT_EQUAL(run(501, 10), 1);
}

static void
an_empty_wheel_leaps(void)
{
	begin(3);
	CU_ASSERT_EQUAL(run(0x7ffffff0, 10), 0);
	CU_ASSERT_EQUAL(r.w.now, 0x7ffffff0);
	sl_wheel_stop(&r.w, &r.timer[0]); /* not set: nothing */
	CU_ASSERT_EQUAL(r.w.cnt, 0);
}

SL_SUITE("wheel", SL_TEST(a_timer_is_called_at_its_tick_and_not_before),
	 SL_TEST(all_are_called_once_however_time_goes_on),
	 SL_TEST(sets_stops_and_runs_in_any_order_agree_with_a_list),
	 SL_TEST(setting_again_moves_a_timer),
	 SL_TEST(what_is_due_already_is_called_with_the_next_run_even_in_the_same_tick),
	 SL_TEST(the_rest_of_a_budget_comes_with_the_next_run),
	 SL_TEST(a_timer_may_set_itself_again_from_its_call),
	 SL_TEST(a_timer_that_is_always_late_is_called_once_a_run),
	 SL_TEST(a_call_may_stop_another_that_is_due_too),
	 SL_TEST(time_that_stands_or_goes_back_calls_nothing), SL_TEST(an_empty_wheel_leaps))
