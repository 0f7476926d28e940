#include "dataplane/outlier.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "dataplane/outlier_rate.h"
#include "tests/suite.h"

#define MS 1000000ull
#define INCARNATION 7

enum { CNT = 40, FIRST_SLOT = 100, HOPS = FIRST_SLOT + 2 * CNT };

/* Two services, each of up to CNT endpoints: slots from 100 and from 140 on. */
static struct sl_img_service img[2];
static struct sl_img_endpoint endpoints[2][CNT];
static struct sl_service services[2];
static struct sl_hop hops[HOPS + 1]; /* the last one is not the view's */
static struct sl_view view;
static struct sl_state_word2 states[SL_MAX_ENDPOINTS];
static struct sl_outlier_counts counts;
static struct sl_outlier_tally tally[2], *const tallies[2] = {&tally[0], &tally[1]};
static struct sl_stats_service service_stats[SL_MAX_SERVICES];
static struct sl_stats_endpoint endpoint_stats[SL_MAX_ENDPOINTS];
static struct sl_outlier *o;
static uint64_t now_ns;

enum { WORKERS = 2 };

/* A failure, where only eject_after counts. */
static bool
failed(uint32_t slot, uint16_t incarnation, uint16_t after)
{
	const struct sl_img_http_service h = {.eject_after = after};

	return sl_outlier_failed(&counts, slot, incarnation, SL_TRY_LOCAL, &h) != SL_EJECTED_NOT;
}

static void
set_up(uint32_t cnt)
{
	memset(&view, 0, sizeof(view));
	memset(hops, 0, sizeof(hops));
	memset(states, 0, sizeof(states));
	memset(&counts, 0, sizeof(counts));
	memset(tally, 0, sizeof(tally));
	for (unsigned s = 0; s < 2; s++) {
		img[s] = (struct sl_img_service){.http = {.eject_after = 5,
							  .sweep_ms = 10000,
							  .eject_ms = 30000,
							  .eject_max_ms = 100000,
							  .eject_max_pct = 10}};
		services[s] = (struct sl_service){.img = &img[s],
						  .endpoints = endpoints[s],
						  .endpoint_cnt = cnt,
						  .slot = s,
						  .incarnation = 1};
		for (uint32_t i = 0; i < cnt; i++) {
			uint32_t slot = FIRST_SLOT + s * CNT + i;
			endpoints[s][i] = (struct sl_img_endpoint){
				.slot = slot, .incarnation = INCARNATION, .weight = 1};
			hops[slot].incarnation = INCARNATION;
			hops[slot].service = s;
			hops[slot].endpoint = i;
		}
	}
	view.services = services;
	view.service_cnt = 2;
	view.hops = hops;
	view.hop_cnt = HOPS;
	now_ns = 1000000000ull;
	memset(service_stats, 0, sizeof(service_stats));
	memset(endpoint_stats, 0, sizeof(endpoint_stats));
	o = sl_outlier_create(states, &counts, tallies, WORKERS);
	CU_ASSERT_PTR_NOT_NULL_FATAL(o);
	sl_outlier_stats(o, service_stats, endpoint_stats);
}

static bool
report(uint32_t i)
{
	const struct sl_outlier_report r = {FIRST_SLOT + i, INCARNATION, 0};

	return sl_outlier_report(o, &view, &r, now_ns);
}

static bool
ejected(uint32_t i)
{
	return sl_state_refusal(&states[FIRST_SLOT + i], INCARNATION) & SL_ST_EJECTED;
}

/* Time goes by in ticks of a tenth of a second. */
static void
pass(uint64_t ms)
{
	for (uint64_t t = 0; t < ms; t += 100) {
		now_ns += 100 * MS;
		sl_outlier_tick(o, &view, now_ns);
	}
}

/* ---- workers ---- */

static void
the_nth_failure_in_a_row_is_reported(void)
{
	static const struct {
		const char *results; /* f: failed, o: ok */
		unsigned after, want;
		const char *reason;
	} rows[] = {
		{"ffff", 5, 0, "one too few"},
		{"fffff", 5, 1, "the fifth"},
		{"ffffofffff", 5, 1, "a success begins a new row"},
		{"fofofofofof", 2, 0, "never two in a row"},
		{"ffffffffff", 5, 2, "counting begins anew"},
		{"f", 1, 1, "the first"},
		{"fff", 1, 3, "each"},
		{"ffffffffffff", 0, 0, "never"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		unsigned got = 0;
		memset(&counts, 0, sizeof(counts));
		for (const char *p = rows[i].results; *p; p++)
			if (*p == 'f')
				got += failed(65535, 9, (uint16_t)rows[i].after);
			else
				sl_outlier_ok(&counts, 65535, 9);
		if (got != rows[i].want)
			printf("  %s\n", rows[i].reason);
		CU_ASSERT_EQUAL(got, rows[i].want);
		CU_ASSERT_EQUAL(counts.slot[65534], 0);
	}
}

static void
failures_count_for_their_own_incarnation(void)
{
	memset(&counts, 0, sizeof(counts));
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_FALSE(failed(1, 9, 5));
	CU_ASSERT_FALSE(failed(1, 10, 5)); /* another machine: its first */
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_FALSE(failed(1, 10, 5));
	sl_outlier_ok(&counts, 1, 9); /* late news of the old one */
	CU_ASSERT_TRUE(failed(1, 10, 5));
	/* a push may lower the number below what was counted */
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_FALSE(failed(2, 9, 5));
	CU_ASSERT_TRUE(failed(2, 9, 2));
	/* the largest numbers there are */
	unsigned told = 0;
	for (unsigned i = 0; i < 2 * 65535; i++)
		told += failed(3, 65535, 65535);
	CU_ASSERT_EQUAL(told, 2);
}

enum { THREADS = 4, ROUNDS = 100000, AFTER = 7 };

static void *
fails(void *arg)
{
	uintptr_t told = 0;

	(void)arg;
	for (unsigned i = 0; i < ROUNDS; i++)
		told += failed(5, 3, AFTER);
	return (void *)told;
}

static void
failures_of_all_workers_are_counted_exactly(void)
{
	pthread_t t[THREADS];
	uintptr_t told = 0;

	memset(&counts, 0, sizeof(counts));
	for (unsigned i = 0; i < THREADS; i++)
		CU_ASSERT_EQUAL_FATAL(pthread_create(&t[i], NULL, fails, NULL), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		void *ret;
		pthread_join(t[i], &ret);
		told += (uintptr_t)ret;
	}
	CU_ASSERT_EQUAL(told, THREADS * ROUNDS / AFTER);
	CU_ASSERT_EQUAL(counts.slot[5] >> 16 & 0xffff, THREADS * ROUNDS % AFTER);
}

/* Each row: what happened, and why the endpoint was reported after each of it. */
static void
gateway_errors_and_local_failures_are_told_apart(void)
{
	static const struct {
		uint16_t after, gateway, local;
		uint8_t split;
		const char *results; /* o: ok, 5: 500, g: 503, l: without an answer */
		const char *want;    /* .: nothing, F, G, L: enum sl_ejected */
		const char *reason;
	} rows[] = {
		{3, 0, 0, 0, "5gl", "..F", "each is a failure"},
		{3, 0, 0, 1, "5gl5", "...F",
		 "split: a local failure is none of these, nor ends them"},
		{0, 2, 0, 0, "gg", ".G", "gateway errors"},
		{0, 2, 0, 0, "g5gg", "...G", "another 5xx ends their row"},
		{0, 2, 0, 0, "gl", ".G", "a local failure is one, too"},
		{0, 2, 0, 1, "glglg", "..G..", "split: it is not"},
		{0, 0, 2, 0, "ll", ".L", "local failures without a split, too"},
		{0, 0, 2, 1, "l5lgl", ".....", "any answer ends their row"},
		{0, 0, 2, 1, "lol", "...", "a good one, too"},
		{0, 0, 2, 1, "llll", ".L.L", "counting begins anew"},
		{5, 3, 2, 0, "lllll", ".L.L.", "the smallest number first: then all begin anew"},
		{2, 2, 2, 0, "ll", ".F", "all at once: the most general"},
		{5, 0, 0, 0, "gglg5", "....F", "all kinds in one row"},
		{0, 0, 0, 0, "5gl5gl", "......", "never"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct sl_img_http_service h = {.eject_after = rows[i].after,
						      .gateway_after = rows[i].gateway,
						      .local_after = rows[i].local,
						      .split_local = rows[i].split};
		char got[16] = {0};
		memset(&counts, 0, sizeof(counts));
		for (unsigned k = 0; rows[i].results[k]; k++) {
			char r = rows[i].results[k];
			enum sl_try what = r == '5'   ? SL_TRY_5XX
					   : r == 'g' ? SL_TRY_GATEWAY
						      : SL_TRY_LOCAL;
			got[k] = '.';
			if (r == 'o')
				sl_outlier_ok(&counts, 7, 9);
			else
				got[k] = ".FGLRP"[sl_outlier_failed(&counts, 7, 9, what, &h)];
		}
		if (strcmp(got, rows[i].want) != 0)
			printf("  %s: %s is %s\n", rows[i].reason, rows[i].results, got);
		CU_ASSERT_STRING_EQUAL(got, rows[i].want);
	}
}

/* ---- main ---- */

static void
an_ejected_endpoint_takes_nothing_and_comes_back(void)
{
	set_up(10);
	atomic_store(&states[FIRST_SLOT].admin, sl_state_make(SL_ST_DRAIN, 100, INCARNATION));
	CU_ASSERT_TRUE(report(0));
	CU_ASSERT_TRUE(ejected(0) && !ejected(1));
	CU_ASSERT_FALSE(sl_choose_admits(&states[FIRST_SLOT], INCARNATION, 0));
	CU_ASSERT_FALSE(report(0)); /* what was under way fails, too */
	pass(29900);
	CU_ASSERT_TRUE(ejected(0));
	for (unsigned i = 0; i < 4; i++) /* counted while it was out */
		failed(FIRST_SLOT, INCARNATION, 5);
	pass(200);
	CU_ASSERT_FALSE(ejected(0));
	CU_ASSERT_FALSE(failed(FIRST_SLOT, INCARNATION, 5));
	CU_ASSERT_EQUAL(sl_state_refusal(&states[FIRST_SLOT], INCARNATION), SL_ST_DRAIN);
	CU_ASSERT_EQUAL(sl_state_fraction(states[FIRST_SLOT].passive), SL_FRACTION_WHOLE);
	sl_outlier_destroy(o);
}

static uint64_t
out_for(uint32_t i)
{
	uint64_t ms = 0;

	for (; ejected(i) && ms < 1000000; ms += 100)
		pass(100);
	return ms;
}

static void
each_time_is_longer_up_to_a_limit_and_is_forgiven_by_sweeps(void)
{
	static const uint64_t want[] = {30000, 60000, 90000, 100000, 100000, 100000, 100000};

	set_up(10);
	for (unsigned i = 0; i < SL_ARRAY_CNT(want); i++) {
		CU_ASSERT_TRUE(report(3));
		CU_ASSERT_EQUAL(out_for(3), want[i]);
	}
	/* four times are as long as it gets; two sweeps forgive two of them, so that this one is the third */
	img[0].http.eject_max_ms = 1000000;
	pass(25000);
	CU_ASSERT_TRUE(report(3));
	CU_ASSERT_EQUAL(out_for(3), 90000);
	CU_ASSERT_TRUE(report(3));
	CU_ASSERT_EQUAL(out_for(3), 120000);
	/* and more sweeps than times all of them */
	pass(1000000);
	CU_ASSERT_TRUE(report(3));
	CU_ASSERT_EQUAL(out_for(3), 30000);
	sl_outlier_destroy(o);
}

static void
returns_wait_for_the_sweep(void)
{
	set_up(10);
	img[0].http.sweep_ms = 25000;
	CU_ASSERT_TRUE(report(0));
	CU_ASSERT_EQUAL(out_for(0), 50000); /* the first sweep after 30 s */
	sl_outlier_destroy(o);
}

static void
not_all_endpoints_are_ejected_but_one_always_may_be(void)
{
	static const struct {
		uint32_t cnt;
		uint8_t pct;
		uint32_t want;
		const char *reason;
	} rows[] = {
		{10, 10, 1, "a tenth of ten"},       {40, 10, 4, "a tenth of forty"},
		{19, 10, 1, "rounded down"},         {3, 10, 1, "one always"},
		{1, 10, 1, "even the only one"},     {4, 100, 4, "all"},
		{40, 1, 1, "one per cent of forty"}, {7, 50, 3, "half of seven"},
	};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		uint32_t got = 0;
		set_up(rows[r].cnt);
		img[0].http.eject_max_pct = rows[r].pct;
		for (uint32_t i = 0; i < rows[r].cnt; i++)
			got += report(i);
		if (got != rows[r].want)
			printf("  %s\n", rows[r].reason);
		CU_ASSERT_EQUAL(got, rows[r].want);
		CU_ASSERT_TRUE(report(CNT)); /* of another service: its own share */
		/* a place that is free again can be had */
		CU_ASSERT_EQUAL(out_for(0), 30000);
		CU_ASSERT_TRUE(report(rows[r].cnt - 1));
		sl_outlier_destroy(o);
	}
}

static void
reports_of_what_is_not_in_the_table_are_not_believed(void)
{
	static const struct {
		struct sl_outlier_report r;
		const char *reason;
	} rows[] = {
		{{FIRST_SLOT, INCARNATION + 1, 0}, "another incarnation"},
		{{FIRST_SLOT - 1, INCARNATION, 0}, "a slot that nobody has"},
		{{FIRST_SLOT - 1, 0, 0}, "that nobody has, with its own number"},
		{{HOPS, INCARNATION, 0}, "behind the last"},
		{{UINT32_MAX, INCARNATION, 0}, "far behind"},
		{{FIRST_SLOT + CNT, INCARNATION, 0}, "a service without ejection"},
	};

	set_up(10);
	img[1].http.eject_after = 0;
	hops[HOPS].incarnation = INCARNATION;
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		bool out = sl_outlier_report(o, &view, &rows[i].r, now_ns);
		if (out)
			printf("  %s\n", rows[i].reason);
		CU_ASSERT_FALSE(out);
	}
	pass(1000);
	for (uint32_t i = 0; i < HOPS; i++)
		CU_ASSERT_EQUAL(states[i].passive, 0);
	sl_outlier_destroy(o);
}

static void
another_machine_in_the_slot_begins_without_a_record(void)
{
	set_up(10);
	CU_ASSERT_TRUE(report(0));
	/* it is replaced while it is out: the word says nothing of the new one, nor does it count for the share */
	hops[FIRST_SLOT].incarnation = endpoints[0][0].incarnation = INCARNATION + 1;
	CU_ASSERT_TRUE(sl_choose_admits(&states[FIRST_SLOT], INCARNATION + 1, 0));
	CU_ASSERT_TRUE(report(1));
	CU_ASSERT_EQUAL(out_for(1), 30000);
	const struct sl_outlier_report r = {FIRST_SLOT, INCARNATION + 1, 0};
	CU_ASSERT_TRUE(sl_outlier_report(o, &view, &r, now_ns));
	pass(29900);
	CU_ASSERT_TRUE(sl_state_refusal(&states[FIRST_SLOT], INCARNATION + 1));
	pass(100);
	CU_ASSERT_FALSE(sl_state_refusal(&states[FIRST_SLOT], INCARNATION + 1));
	/* without a tick between the two, too */
	CU_ASSERT_TRUE(sl_outlier_report(o, &view, &r, now_ns)); /* a second time: 60 s */
	hops[FIRST_SLOT].incarnation = endpoints[0][0].incarnation = INCARNATION + 2;
	const struct sl_outlier_report next = {FIRST_SLOT, INCARNATION + 2, 0};
	CU_ASSERT_TRUE(sl_outlier_report(o, &view, &next, now_ns));
	pass(30000);
	CU_ASSERT_FALSE(sl_state_refusal(&states[FIRST_SLOT], INCARNATION + 2));
	sl_outlier_destroy(o);
}

static void
a_slot_is_kept_once_however_often_it_changes_hands(void)
{
	set_up(10);
	for (uint32_t n = 0; n < SL_MAX_ENDPOINTS + 10000; n++) {
		const struct sl_outlier_report r = {FIRST_SLOT, (uint16_t)(1 + n % 2), 0};
		hops[FIRST_SLOT].incarnation = r.incarnation;
		endpoints[0][0].incarnation = r.incarnation;
		CU_ASSERT_TRUE(sl_outlier_report(o, &view, &r, now_ns));
	}
	pass(30000);
	CU_ASSERT_FALSE(sl_state_refusal(&states[FIRST_SLOT], 2));
	CU_ASSERT_TRUE(report(1));
	CU_ASSERT_EQUAL(out_for(1), 30000);
	sl_outlier_destroy(o);
}

static void
what_left_the_table_is_forgotten(void)
{
	set_up(10);
	CU_ASSERT_TRUE(report(0));
	hops[FIRST_SLOT].incarnation = 0;
	services[0].endpoints = endpoints[0] + 1;
	services[0].endpoint_cnt = 9;
	pass(100);
	CU_ASSERT_TRUE(report(1)); /* the share is free */
	/* the same machine again, which a push had left out for a moment: as new */
	hops[FIRST_SLOT].incarnation = INCARNATION;
	services[0].endpoints = endpoints[0];
	services[0].endpoint_cnt = 10;
	CU_ASSERT_EQUAL(out_for(1), 30000);
	CU_ASSERT_TRUE(report(0));
	CU_ASSERT_EQUAL(out_for(0), 30000);
	sl_outlier_destroy(o);
}

static void
ejection_that_is_turned_off_lets_all_back(void)
{
	set_up(40);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_TRUE(report(i));
	CU_ASSERT_TRUE(report(CNT));
	img[0].http.eject_after = 0;
	pass(100);
	for (uint32_t i = 0; i < 4; i++)
		CU_ASSERT_FALSE(ejected(i));
	CU_ASSERT_TRUE(ejected(CNT));
	sl_outlier_destroy(o);
}

/* Against a model that keeps nothing but when each may be back: shares are never exceeded, and in the end all are in. */
static void
whatever_is_reported_shares_hold_and_all_come_back(void)
{
	uint32_t x = 1;

	for (unsigned seed = 0; seed < 50; seed++) {
		set_up(CNT);
		img[0].http.eject_max_pct = (uint8_t)(1 + seed * 2 % 100);
		img[0].http.eject_ms = 1 + seed * 997 % 20000;
		uint32_t max = SL_MAX(CNT * img[0].http.eject_max_pct / 100u, 1u);
		for (unsigned step = 0; step < 500; step++) {
			x = x * 1664525 + 1013904223;
			uint32_t i = (x >> 16) % CNT, out = 0, before = ejected(i);
			CU_ASSERT_TRUE(report(i) ? !before && ejected(i) : ejected(i) == before);
			for (uint32_t e = 0; e < CNT; e++)
				out += ejected(e);
			CU_ASSERT_TRUE(out <= max);
			pass((x >> 8) % 2000);
		}
		pass(200000);
		for (uint32_t e = 0; e < CNT; e++)
			CU_ASSERT_FALSE(ejected(e));
		sl_outlier_destroy(o);
	}
}

/* ---- rates ---- */

/* A reference with a root, and numbers as people write them. */
static void
by_the_book(const struct sl_outlier_sample *s, uint32_t cnt, const struct sl_img_http_service *h,
	    uint8_t *why)
{
	double sum = 0, squares = 0;
	unsigned n = 0;

	for (uint32_t i = 0; i < cnt; i++) {
		why[i] = SL_EJECTED_NOT;
		if (s[i].ok + s[i].failed < SL_MAX(h->rate_requests, 1))
			continue;
		double rate = 100.0 * s[i].ok / (s[i].ok + s[i].failed);
		n++;
		sum += rate;
		squares += rate * rate;
	}
	double mean = n ? sum / n : 0, sigma = n ? sqrt(fabs(squares / n - mean * mean)) : 0;
	for (uint32_t i = 0; i < cnt && n && n >= h->rate_endpoints; i++) {
		if (s[i].ok + s[i].failed < SL_MAX(h->rate_requests, 1))
			continue;
		double rate = 100.0 * s[i].ok / (s[i].ok + s[i].failed);
		double limit = mean - h->rate_deviation / 1000.0 * sigma;
		if (h->failure_pct && 100 - rate >= h->failure_pct - 1e-9)
			why[i] = SL_EJECTED_PERCENT;
		else if (h->rate_deviation && fabs(rate - limit) < 1e-4 && rate < mean - 1e-6)
			why[i] = UINT8_MAX; /* too near to be said by this reference */
		else if (h->rate_deviation && rate < limit && rate < mean - 1e-6)
			why[i] = SL_EJECTED_RATE;
	}
}

static void
rates_are_judged_as_the_book_says(void)
{
	struct sl_outlier_sample s[CNT];
	uint8_t got[CNT], want[CNT];
	unsigned out = 0, all = 0;
	uint32_t x = 7;

	for (unsigned seed = 0; seed < 20000; seed++) {
		uint32_t cnt = 1 + seed % CNT;
		const struct sl_img_http_service h = {
			.rate_deviation = (uint16_t)(seed % 3 == 1 ? 0 : seed % 7 * 500),
			.failure_pct = (uint8_t)(seed % 3 == 2 ? 0 : seed % 101),
			.rate_endpoints = (uint16_t)(seed % 8),
			.rate_requests = (uint16_t)(seed % 150)};
		for (uint32_t i = 0; i < cnt; i++) {
			x = x * 1664525 + 1013904223;
			s[i].ok = (x >> 8) % 300;
			s[i].failed = (x >> 24) % (seed % 5 == 0 ? 200 : 20);
		}
		sl_outlier_rate(s, cnt, &h, got);
		by_the_book(s, cnt, &h, want);
		for (uint32_t i = 0; i < cnt; i++) {
			if (want[i] != UINT8_MAX && got[i] != want[i])
				printf("  seed %u: endpoint %u is %u, not %u\n", seed, i, got[i],
				       want[i]);
			CU_ASSERT(want[i] == UINT8_MAX || got[i] == want[i]);
			out += got[i] != SL_EJECTED_NOT;
			all++;
		}
	}
	CU_ASSERT(out > all / 100 && out < all);
}

/* Tries of both workers in a sweep of ten seconds, and the sweep. */
static void
tries(uint32_t i, unsigned ok, unsigned bad)
{
	for (unsigned n = 0; n < ok + bad; n++)
		sl_outlier_tallied(&tally[n % WORKERS], FIRST_SLOT + i, n >= bad);
}

static void
rate_set_up(void)
{
	set_up(10);
	for (unsigned s = 0; s < 2; s++) {
		img[s].http.eject_after = 0;
		img[s].http.rate_endpoints = 5;
		img[s].http.rate_requests = 100;
	}
	img[0].http.rate_deviation = 1900;
	tries(9, 0, 1000); /* of a table before */
	pass(100);
}

static void
who_fails_more_than_the_others_is_ejected_at_the_sweep(void)
{
	rate_set_up();
	for (uint32_t i = 0; i < 10; i++)
		tries(i, i == 3 ? 150 : 199, i == 3 ? 50 : 1);
	pass(9900);
	CU_ASSERT_FALSE(ejected(3));
	pass(100);
	for (uint32_t i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(ejected(i), i == 3);
	CU_ASSERT_EQUAL(sl_state_why(states[FIRST_SLOT + 3].passive), SL_EJECTED_RATE);
	CU_ASSERT_EQUAL(out_for(3), 30000);
	CU_ASSERT_EQUAL(sl_state_why(states[FIRST_SLOT + 3].passive), SL_EJECTED_NOT);
	pass(20000); /* nothing was counted in these sweeps */
	CU_ASSERT_FALSE(ejected(3));
	sl_outlier_destroy(o);
}

/* By reason and endpoint, and what max_percent held back. */
static void
ejections_are_counted(void)
{
	rate_set_up();
	img[0].http.eject_after = 5;
	img[0].http.failure_pct = 85;
	for (uint32_t i = 0; i < 10; i++)
		tries(i, i == 3 || i == 4 ? 10 : 199, i == 3 || i == 4 ? 190 : 1);
	pass(10000); /* 3 by per cent, after which there is no place for 4 */
	CU_ASSERT_TRUE(ejected(3) && !ejected(4));
	const uint64_t *n = service_stats[0].ejections;
	CU_ASSERT(n[4] == 1 && n[5] == 1 && n[3] == 0);
	CU_ASSERT_EQUAL(out_for(3), 30000);
	for (unsigned why = SL_EJECTED_FAILED; why <= SL_EJECTED_RATE; why++) {
		const struct sl_outlier_report r = {FIRST_SLOT + 5, INCARNATION, (uint16_t)why};
		CU_ASSERT_TRUE(sl_outlier_report(o, &view, &r, now_ns));
		CU_ASSERT_FALSE(sl_outlier_report(o, &view, &r, now_ns)); /* it is out already */
		pass(200000);
	}
	CU_ASSERT(n[0] == 1 && n[1] == 1 && n[2] == 1 && n[3] == 1 && n[4] == 1 && n[5] == 1);
	CU_ASSERT_EQUAL(endpoint_stats[FIRST_SLOT + 5].ejections, 4);
	CU_ASSERT_EQUAL(endpoint_stats[FIRST_SLOT + 3].ejections, 1);
	CU_ASSERT_EQUAL(endpoint_stats[FIRST_SLOT + 4].ejections, 0);
	for (unsigned i = 0; i < SL_STATS_EJECTIONS; i++)
		CU_ASSERT_EQUAL(service_stats[1].ejections[i], 0);
	sl_outlier_destroy(o);
}

static void
few_endpoints_or_requests_are_not_judged(void)
{
	static const struct {
		uint32_t endpoints;
		unsigned requests;
		uint8_t pct;
		bool want;
		const char *reason;
	} rows[] = {
		{5, 100, 0, true, "just enough"},
		{4, 1000, 0, false, "four endpoints"},
		{10, 99, 0, false, "99 requests"},
		{4, 1000, 85, false, "per cent asks for five, too"},
		{5, 100, 85, true, "and for no more"},
	};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		rate_set_up();
		img[0].http.failure_pct = rows[r].pct;
		img[0].http.rate_deviation = rows[r].pct ? 0 : 1900;
		for (uint32_t i = 0; i < rows[r].endpoints; i++)
			tries(i, i ? rows[r].requests : 0, i ? 0 : rows[r].requests);
		pass(10100);
		if (ejected(0) != rows[r].want)
			printf("  %s\n", rows[r].reason);
		CU_ASSERT_EQUAL(ejected(0), rows[r].want);
		if (rows[r].want && rows[r].pct)
			CU_ASSERT_EQUAL(sl_state_why(states[FIRST_SLOT].passive),
					SL_EJECTED_PERCENT);
		sl_outlier_destroy(o);
	}
}

static void
tries_of_a_machine_before_do_not_count(void)
{
	rate_set_up();
	for (uint32_t i = 0; i < 10; i++)
		tries(i, i == 3 ? 0 : 200, i == 3 ? 200 : 0);
	hops[FIRST_SLOT + 3].incarnation = endpoints[0][3].incarnation = INCARNATION + 1;
	pass(10100);
	for (uint32_t i = 0; i < 10; i++)
		CU_ASSERT_FALSE(ejected(i));
	CU_ASSERT_EQUAL(states[FIRST_SLOT + 3].passive, 0);
	/* nor those from before the rates were turned on */
	img[0].http.rate_deviation = 0;
	img[0].http.eject_after = 5;
	for (uint32_t i = 0; i < 10; i++)
		tries(i, i == 4 ? 0 : 200, i == 4 ? 200 : 0);
	pass(10000);
	img[0].http.rate_deviation = 1900;
	pass(10100);
	CU_ASSERT_FALSE(ejected(4));
	sl_outlier_destroy(o);
}

SL_SUITE("outlier", SL_TEST(the_nth_failure_in_a_row_is_reported),
	 SL_TEST(failures_count_for_their_own_incarnation),
	 SL_TEST(failures_of_all_workers_are_counted_exactly),
	 SL_TEST(gateway_errors_and_local_failures_are_told_apart),
	 SL_TEST(rates_are_judged_as_the_book_says),
	 SL_TEST(who_fails_more_than_the_others_is_ejected_at_the_sweep),
	 SL_TEST(ejections_are_counted), SL_TEST(few_endpoints_or_requests_are_not_judged),
	 SL_TEST(tries_of_a_machine_before_do_not_count),
	 SL_TEST(an_ejected_endpoint_takes_nothing_and_comes_back),
	 SL_TEST(each_time_is_longer_up_to_a_limit_and_is_forgiven_by_sweeps),
	 SL_TEST(returns_wait_for_the_sweep),
	 SL_TEST(not_all_endpoints_are_ejected_but_one_always_may_be),
	 SL_TEST(reports_of_what_is_not_in_the_table_are_not_believed),
	 SL_TEST(another_machine_in_the_slot_begins_without_a_record),
	 SL_TEST(a_slot_is_kept_once_however_often_it_changes_hands),
	 SL_TEST(what_left_the_table_is_forgotten),
	 SL_TEST(ejection_that_is_turned_off_lets_all_back),
	 SL_TEST(whatever_is_reported_shares_hold_and_all_come_back))
