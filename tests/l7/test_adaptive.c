/* Adaptive concurrency in virtual time, before a server that serves so many at a time and lets the others wait. */
#include "l7/adaptive.h"

#include <math.h>

#include "tests/suite.h"

#define S 1000000000ull
#define MS 1000000ull
#define MIN 8
#define BUFFER 25

enum { SERVERS = 20, BUSY = 65536 };

static struct {
	struct sl_adaptive a;
	uint64_t free_ns[SERVERS];
	struct {
		uint64_t due_ns, begun_ns;
	} busy[BUSY];
	uint32_t first, last; /* of busy: they end in turn */
	uint64_t now_ns, random;
	double service_ms; /* of one */
	bool flat;         /* it serves any number at a time */
	bool off;
	unsigned asked, shed, done, most;
	double took_ms;
} t;

static double
draw(void)
{
	t.random = t.random * 6364136223846793005ull + 1442695040888963407ull;
	return ((double)(t.random >> 11) + 1) / 9007199254740993.0;
}

static void
set_up(uint64_t seed, bool flat)
{
	memset(&t, 0, sizeof(t));
	t.random = seed * 77 + 1;
	t.now_ns = S;
	t.service_ms = 10;
	t.flat = flat;
}

static void
until(uint64_t ns)
{
	for (; t.first != t.last && t.busy[t.first % BUSY].due_ns <= ns; t.first++) {
		uint64_t took = t.busy[t.first % BUSY].due_ns - t.busy[t.first % BUSY].begun_ns;
		t.done++;
		t.took_ms += (double)took / 1e6;
		if (t.off)
			continue;
		sl_adaptive_give(&t.a);
		sl_adaptive_fed(&t.a, (uint32_t)(took / 1000) + 1, MIN, BUFFER,
				t.busy[t.first % BUSY].due_ns);
	}
	t.now_ns = ns;
}

static void
ask(void)
{
	uint64_t *server = &t.free_ns[0], took = (uint64_t)(t.service_ms * 1e6);

	t.asked++;
	if (!t.off && !sl_adaptive_take(&t.a, 1, MIN)) {
		t.shed++;
		return;
	}
	for (unsigned i = 1; i < SERVERS; i++)
		if (t.free_ns[i] < *server)
			server = &t.free_ns[i];
	uint64_t due = t.flat ? t.now_ns + took : SL_MAX(*server, t.now_ns) + took;
	*server = due;
	CU_ASSERT_FATAL(t.last - t.first < BUSY);
	t.busy[t.last++ % BUSY].due_ns = due;
	t.busy[(t.last - 1) % BUSY].begun_ns = t.now_ns;
	t.most = SL_MAX(t.most, t.last - t.first);
}

static void
pass(double seconds, double per_second)
{
	uint64_t end = t.now_ns + (uint64_t)(seconds * 1e9);

	t.asked = t.shed = t.done = t.most = 0;
	t.took_ms = 0;
	for (;;) {
		uint64_t next = t.now_ns + (uint64_t)(-log(draw()) / per_second * 1e9);
		until(SL_MIN(next, end));
		if (next >= end)
			return;
		ask();
	}
}

/* 2,000 a second is what the server can do. */
static void
an_overload_is_shed_and_what_is_let_through_is_fast(void)
{
	double slowest = 0, least = 1e9, without;

	for (uint64_t seed = 1; seed <= 10; seed++) {
		set_up(seed, false);
		pass(10, 1000);
		CU_ASSERT_EQUAL(t.shed, 0);
		pass(5, 6000);
		for (unsigned i = 0; i < 20; i++) {
			pass(10, 6000);
			slowest = fmax(slowest, t.took_ms / t.done);
			least = fmin(least, t.done / 10.0);
		}
		/* and as before when it is over */
		pass(2, 1000);
		pass(20, 1000);
		CU_ASSERT(t.shed < t.asked / 100);
	}
	set_up(1, false);
	t.off = true;
	pass(10, 6000);
	without = t.took_ms / t.done;
	printf("overload by 3: %.1f ms, at least %.0f/s of 2000; without: %.0f ms ", slowest, least,
	       without);
	CU_ASSERT(slowest < 30);
	CU_ASSERT(least > 1800);
	CU_ASSERT(without > 10 * slowest);
}

static void
where_answers_take_what_they_take_nothing_is_shed(void)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		set_up(seed, true);
		pass(30, 500);
		CU_ASSERT_EQUAL(t.shed, 0);
		/* ten times as many within half a minute */
		for (double rate = 500; rate < 5000; rate *= 1.1) {
			pass(1, rate);
			CU_ASSERT(t.shed * 200 <= t.asked);
		}
		pass(120, 5000);
		CU_ASSERT(t.shed * 1000 <= t.asked);
	}
}

/* A server that has become slower for good is no queue: what is least is found anew. */
static void
another_speed_is_learned(void)
{
	for (uint64_t seed = 1; seed <= 10; seed++) {
		set_up(seed, true);
		pass(60, 500);
		t.service_ms = 40;
		pass(100, 500);
		pass(30, 500);
		CU_ASSERT(t.shed * 100 <= t.asked);
	}
}

static void
so_many_are_always_let_through(void)
{
	struct sl_adaptive a = {0};
	uint64_t now = S;

	for (unsigned i = 0; i < 10000; i++) /* slower and slower */
		sl_adaptive_fed(&a, 1000 + i * 100, MIN, BUFFER, now += 10 * MS);
	CU_ASSERT(sl_adaptive_limit(&a, MIN) >= MIN && sl_adaptive_limit(&a, MIN) < 3 * MIN);
	for (unsigned i = 0; i < MIN; i++)
		CU_ASSERT_TRUE(sl_adaptive_take(&a, 0, MIN));
	/* nothing is known of another service in the slot, and what is under way of the one before is still counted */
	CU_ASSERT_TRUE(sl_adaptive_take(&a, 5, MIN));
	CU_ASSERT_EQUAL(sl_adaptive_limit(&a, MIN), UINT32_MAX);
	CU_ASSERT_EQUAL(a.under_way, MIN + 1);
	for (unsigned i = 0; i <= MIN; i++)
		sl_adaptive_give(&a);
	CU_ASSERT_EQUAL(a.under_way, 0);
	/* the longest times there are */
	for (unsigned i = 0; i < 1000; i++)
		sl_adaptive_fed(&a, UINT32_MAX, 65535, 200, now += 100 * MS);
	CU_ASSERT(sl_adaptive_limit(&a, 65535) >= 65535);
}

SL_SUITE("adaptive", SL_TEST(an_overload_is_shed_and_what_is_let_through_is_fast),
	 SL_TEST(where_answers_take_what_they_take_nothing_is_shed),
	 SL_TEST(another_speed_is_learned), SL_TEST(so_many_are_always_let_through))
