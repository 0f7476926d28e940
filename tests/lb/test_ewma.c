/* What is known of latencies, and whom policy EWMA asks by it: in virtual time, endpoints that take requests one after the other. */
#include "lb/ewma.h"

#include <math.h>
#include <stdlib.h>

#include "lb/choose.h"
#include "tests/suite.h"

#define S 1000000000ull
#define MS 1000000ull

static double
us_at(const struct sl_ewma *e, uint64_t now_ns)
{
	return (double)sl_ewma_now(e, 1, now_ns) / SL_EWMA_US;
}

/* ---- what is known ---- */

static void
a_peak_is_believed_at_once_and_good_answers_by_and_by(void)
{
	struct sl_ewma e = {0};
	uint64_t now = 5 * S;

	CU_ASSERT_EQUAL(sl_ewma_now(&e, 1, now), 0);
	sl_ewma_fed(&e, 1, 1000, false, now);
	CU_ASSERT_EQUAL(us_at(&e, now), 1000);
	sl_ewma_fed(&e, 1, 80000, false, now);
	CU_ASSERT_EQUAL(us_at(&e, now), 80000);
	sl_ewma_fed(&e, 1, 1000, false, now); /* at the same moment: it says nothing yet */
	CU_ASSERT_EQUAL(us_at(&e, now), 80000);
	/* an answer each 10 ms for ten seconds: a part of 1/e is left */
	for (unsigned i = 0; i < 1000; i++)
		sl_ewma_fed(&e, 1, 1000, false, now += 10 * MS);
	CU_ASSERT_DOUBLE_EQUAL(us_at(&e, now), 1000 + 79000 * exp(-1), 100);
	for (unsigned i = 0; i < 10000; i++)
		sl_ewma_fed(&e, 1, 1000, false, now += 10 * MS);
	CU_ASSERT_DOUBLE_EQUAL(us_at(&e, now), 1000, 5);
	/* nor are ten thousand a second lost to rounding */
	sl_ewma_fed(&e, 1, 5000, false, now);
	for (unsigned i = 0; i < 300000; i++)
		sl_ewma_fed(&e, 1, 1000, false, now += MS / 10);
	CU_ASSERT_DOUBLE_EQUAL(us_at(&e, now), 1000 + 4000 * exp(-3), 20);
}

static void
what_is_known_fades_as_it_should(void)
{
	uint32_t before = UINT32_MAX;

	for (uint64_t ms = 0; ms < 400000; ms += 37) {
		struct sl_ewma e = {0};
		sl_ewma_fed(&e, 1, 10000000, false, S);
		uint32_t got = sl_ewma_now(&e, 1, S + ms * MS);
		double want = 160000000 * exp(-(double)ms / 10000);
		CU_ASSERT_TRUE(got <= before);
		CU_ASSERT_TRUE(fabs(got - want) <= want * 0.001 + 2);
		before = got;
	}
	CU_ASSERT_EQUAL(before, 0);
	/* a clock that seems to stand still or to go back says nothing */
	struct sl_ewma e = {0};
	sl_ewma_fed(&e, 1, 1000, false, S);
	CU_ASSERT_EQUAL(sl_ewma_now(&e, 1, 0), 16000);
}

static void
failures_cost_more_each_time_and_no_answer_is_too_long(void)
{
	struct sl_ewma e = {0};
	double before = 0;

	sl_ewma_fed(&e, 1, 1, true, S); /* a refusal at once */
	CU_ASSERT_EQUAL(us_at(&e, S), SL_EWMA_FAILED_MIN_US);
	for (unsigned i = 0; i < 20; i++) {
		before = us_at(&e, S);
		sl_ewma_fed(&e, 1, 0, true, S);
		CU_ASSERT_EQUAL(us_at(&e, S), fmin(2 * before, SL_EWMA_FAILED_MAX_US));
	}
	CU_ASSERT_EQUAL(us_at(&e, S), SL_EWMA_FAILED_MAX_US);
	/* what took longer than that is not made shorter by a failure */
	sl_ewma_fed(&e, 1, 60000000, false, S);
	sl_ewma_fed(&e, 1, 0, true, S);
	CU_ASSERT_EQUAL(us_at(&e, S), 60000000);
	sl_ewma_fed(&e, 1, UINT32_MAX, false, S);
	CU_ASSERT_EQUAL(sl_ewma_now(&e, 1, S), UINT32_MAX);
	sl_ewma_fed(&e, 1, 0, true, S);
	CU_ASSERT_EQUAL(sl_ewma_now(&e, 1, S), UINT32_MAX);
}

static void
another_machine_in_the_slot_is_not_known(void)
{
	struct sl_ewma e = {0};

	sl_ewma_fed(&e, 1, 50000, false, S);
	CU_ASSERT_EQUAL(sl_ewma_now(&e, 2, S), 0);
	sl_ewma_fed(&e, 2, 10, false, S);
	CU_ASSERT_EQUAL(sl_ewma_now(&e, 2, S), 10 * SL_EWMA_US);
	CU_ASSERT_EQUAL(sl_ewma_now(&e, 1, S), 0);
}

/* ---- a town of endpoints ---- */

enum { CNT = 5, WORKERS = 2, SERVERS = 8, BUSY = 4096, ANSWERS = 200000 };

struct job {
	uint64_t due_ns, begun_ns;
	uint32_t endpoint, worker;
};

static struct {
	struct sl_img_endpoint endpoint[CNT];
	struct sl_state_word2 states[CNT];
	struct sl_service svc;
	struct sl_ewma ewma[WORKERS][CNT];
	uint32_t load[WORKERS][CNT];
	uint64_t free_ns[CNT][SERVERS]; /* when each of its servers is idle */
	double mean_ms[CNT], fails[CNT];
	struct job busy[BUSY];
	unsigned busy_cnt;
	uint64_t now_ns, random;
	unsigned asked[CNT], in_flight_most;
	uint32_t took_us[ANSWERS];
	unsigned answers;
} t;

static double
draw(void)
{
	t.random = t.random * 6364136223846793005ull + 1442695040888963407ull;
	return ((double)(t.random >> 11) + 1) / 9007199254740993.0;
}

static void
town(uint8_t policy, uint64_t seed)
{
	memset(&t, 0, sizeof(t));
	t.random = seed * 77 + 1;
	t.now_ns = S;
	for (uint32_t i = 0; i < CNT; i++) {
		t.endpoint[i] = (struct sl_img_endpoint){.slot = i, .incarnation = 1, .weight = 1};
		t.mean_ms[i] = 10;
	}
	t.svc = (struct sl_service){.endpoints = t.endpoint,
				    .endpoint_cnt = CNT,
				    .policy = policy,
				    .top = {.member_cnt = CNT}};
}

static void
over(unsigned at)
{
	struct job j = t.busy[at];

	t.busy[at] = t.busy[--t.busy_cnt];
	t.load[j.worker][j.endpoint]--;
	uint32_t us = (uint32_t)((j.due_ns - j.begun_ns) / 1000) + 1;
	sl_ewma_fed(&t.ewma[j.worker][j.endpoint], 1, us, draw() < t.fails[j.endpoint], j.due_ns);
	if (t.answers < ANSWERS)
		t.took_us[t.answers++] = us;
}

/* All that is due by then, in order. */
static void
until(uint64_t ns)
{
	for (;;) {
		unsigned first = BUSY;
		for (unsigned i = 0; i < t.busy_cnt; i++)
			if (t.busy[i].due_ns <= ns &&
			    (first == BUSY || t.busy[i].due_ns < t.busy[first].due_ns))
				first = i;
		if (first == BUSY)
			break;
		over(first);
	}
	t.now_ns = ns;
}

static uint64_t
served_at(uint32_t endpoint)
{
	uint64_t *server = &t.free_ns[endpoint][0];

	for (unsigned i = 1; i < SERVERS; i++)
		if (t.free_ns[endpoint][i] < *server)
			server = &t.free_ns[endpoint][i];
	*server = SL_MAX(*server, t.now_ns) + (uint64_t)(-log(draw()) * t.mean_ms[endpoint] * 1e6);
	return *server;
}

static void
ask(void)
{
	const uint32_t *const loads[WORKERS] = {t.load[0], t.load[1]};
	uint32_t w = draw() < 0.5;
	const struct sl_choose_ctx ctx = {.states = t.states,
					  .seed = 1,
					  .loads = loads,
					  .load_cnt = WORKERS,
					  .ewma = t.ewma[w],
					  .now_ns = t.now_ns,
					  .random = (uint64_t)(draw() * 1e18)};
	uint32_t e = sl_choose_request(&t.svc, &ctx, false, 0, NULL, 0).endpoint;

	CU_ASSERT_FATAL(e < CNT && t.busy_cnt < BUSY);
	t.asked[e]++;
	t.load[w][e]++;
	t.busy[t.busy_cnt++] = (struct job){served_at(e), t.now_ns, e, w};
}

/* Requests at random moments. */
static void
pass(double seconds, double per_second)
{
	uint64_t end = t.now_ns + (uint64_t)(seconds * 1e9);

	memset(t.asked, 0, sizeof(t.asked));
	t.answers = 0;
	for (;;) {
		uint64_t next = t.now_ns + (uint64_t)(-log(draw()) / per_second * 1e9);
		until(SL_MIN(next, end));
		if (next >= end)
			return;
		ask();
	}
}

/* Of its share, which is a fifth. */
static double
share(uint32_t endpoint)
{
	unsigned all = 0;

	for (unsigned i = 0; i < CNT; i++)
		all += t.asked[i];
	return (double)t.asked[endpoint] * CNT / all;
}

static void
a_slow_endpoint_gets_little_and_comes_back(void)
{
	double most = 0, least = 9;

	for (uint64_t seed = 1; seed <= 20; seed++) {
		town(SL_POLICY_EWMA, seed);
		pass(20, 300);
		CU_ASSERT(share(4) > 0.7 && share(4) < 1.3);
		t.mean_ms[4] = 100;
		pass(5, 300); /* it is found out */
		pass(60, 300);
		most = fmax(most, share(4));
		CU_ASSERT(share(4) < 0.1 && t.asked[4] > 0);
		t.mean_ms[4] = 10;
		pass(40, 300);
		pass(20, 300);
		least = fmin(least, share(4));
		CU_ASSERT(share(4) > 0.7);
	}
	printf("slow: at most %.3f of its share, well again: at least %.2f ", most, least);
}

static void
new_endpoints_are_neither_flooded_nor_starved(void)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		town(SL_POLICY_EWMA, seed);
		t.endpoint[4].weight = 0;
		pass(20, 300);
		CU_ASSERT_EQUAL(t.asked[4], 0);
		t.endpoint[4].weight = 1;
		for (unsigned i = 0; i < SERVERS; i++)
			t.free_ns[4][i] = t.now_ns + S; /* it takes a second to begin */
		pass(1, 300);
		CU_ASSERT_EQUAL(t.asked[4], 1);
		pass(60, 300);
		pass(20, 300);
		CU_ASSERT(share(4) > 0.7 && share(4) < 1.3);
	}
}

static void
fast_failures_attract_nobody(void)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		town(SL_POLICY_EWMA, seed);
		pass(10, 300);
		t.mean_ms[4] = 0.1;
		t.fails[4] = 1;
		pass(30, 300);
		CU_ASSERT(share(4) < 0.1);
	}
}

static int
by_size(const void *a, const void *b)
{
	return (*(const uint32_t *)a > *(const uint32_t *)b) -
	       (*(const uint32_t *)a < *(const uint32_t *)b);
}

/* Three of 10 ms, one of 30, one of 100: mean and 99th percentile of all answers, in ms. */
static void
mix(uint8_t policy, double per_second, double *ret_mean, double *ret_p99)
{
	double sum = 0;

	town(policy, 3);
	t.mean_ms[3] = 30;
	t.mean_ms[4] = 100;
	pass(10, per_second);
	pass(60, per_second);
	for (unsigned i = 0; i < t.answers; i++)
		sum += t.took_us[i];
	qsort(t.took_us, t.answers, sizeof(*t.took_us), by_size);
	*ret_mean = sum / t.answers / 1e3;
	*ret_p99 = t.took_us[t.answers * 99ull / 100] / 1e3;
}

static void
unequal_endpoints_answer_sooner_than_by_least_request(void)
{
	static const double rates[] = {100, 300, 1000};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rates); i++) {
		double mean[2], p99[2];
		mix(SL_POLICY_EWMA, rates[i], &mean[0], &p99[0]);
		mix(SL_POLICY_LEAST_REQUEST, rates[i], &mean[1], &p99[1]);
		printf("\n    %4.0f/s: ewma mean %.1f ms, 99 %% %.0f ms; least_request %.1f, %.0f ",
		       rates[i], mean[0], p99[0], mean[1], p99[1]);
		CU_ASSERT(mean[0] < 0.85 * mean[1] && p99[0] < 0.7 * p99[1]);
	}
}

SL_SUITE("ewma", SL_TEST(a_peak_is_believed_at_once_and_good_answers_by_and_by),
	 SL_TEST(what_is_known_fades_as_it_should),
	 SL_TEST(failures_cost_more_each_time_and_no_answer_is_too_long),
	 SL_TEST(another_machine_in_the_slot_is_not_known),
	 SL_TEST(a_slow_endpoint_gets_little_and_comes_back),
	 SL_TEST(new_endpoints_are_neither_flooded_nor_starved),
	 SL_TEST(fast_failures_attract_nobody),
	 SL_TEST(unequal_endpoints_answer_sooner_than_by_least_request))
