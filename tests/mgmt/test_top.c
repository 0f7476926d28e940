/* top: what is made of two answers to `stats`. */
#include "mgmt/ctl/top.h"
#include "sluice/base.h"
#include "tests/suite.h"

#include <stdio.h>
#include <stdlib.h>

/* Two endpoints web/a and web/b with `a` and `b` packets, one worker with `turns`, of which `empty` were so. */
static struct top_sample *
sample(const char *boot, int64_t at_ms, int64_t a, int64_t b, int64_t turns, int64_t empty)
{
	json_t *j = json_pack(
		"{s:b, s:s, s:s, s:I, s:{s:I, s:I}, s:[{s:s, s:I}, {s:s, s:I}],"
		" s:[{s:i, s:I, s:I, s:I, s:I, s:i}],"
		" s:[{s:s, s:s, s:s, s:I, s:I, s:i, s:I}, {s:s, s:s, s:s, s:I, s:I, s:i}]}",
		"ok", 1, "boot_id", boot, "gateway", "edge", "at_ns", (json_int_t)at_ms * 1000000,
		"total", "rx_packets", (json_int_t)(a + b), "flow_adopted", (json_int_t)5, "drops",
		"reason", "ttl", "packets", (json_int_t)a, "reason", "martian", "packets",
		(json_int_t)b, "workers", "worker", 0, "turns", (json_int_t)turns, "turns_empty",
		(json_int_t)empty, "rx_packets", (json_int_t)(a + b), "busy_ticks",
		(json_int_t)(300 * (a + b)), "tcp_streams", 6, "endpoints", "service", "web",
		"name", "b", "state", "up", "packets", (json_int_t)b, "bytes",
		(json_int_t)(125 * b), "flows", 7, "connect_failed", (json_int_t)(turns / 100),
		"service", "web", "name", "a", "state", "up", "packets", (json_int_t)a, "bytes",
		(json_int_t)(125 * a), "flows", 3);
	struct top_sample *s = top_sample_make(j);
	json_decref(j);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	return s;
}

static double
cell(const struct top_view *v, enum top_pane p, const char *name, const char *key, bool *ret_rated)
{
	for (size_t i = 0; i < v->pane[p].cnt; i++) {
		const struct top_row *r = &v->pane[p].row[i];
		for (unsigned c = 0;
		     !strcmp(r->item->text[0], name) && top_panes[p].columns[c].title; c++) {
			if (strcmp(top_panes[p].columns[c].key, key))
				continue;
			*ret_rated = r->rated;
			return r->cell[c];
		}
	}
	return -99;
}

#define NEAR(v, want) CU_ASSERT((v) > (want)-1e-6 && (v) < (want) + 1e-6)

static void
rates_are_differences_over_the_daemons_time(void)
{
	struct top_sample *old = sample("aa", 1000, 100, 2000, 1000, 400),
			  *now = sample("aa", 3000, 300, 2000, 2000, 1150);
	struct top_view v;
	bool rated = false;

	CU_ASSERT_FATAL(top_view_make(&v, old, now));
	CU_ASSERT(v.rated && !v.restarted);
	NEAR(v.seconds, 2);
	NEAR(v.rx, 100);
	NEAR(v.drops, 100);
	CU_ASSERT_STRING_EQUAL(v.drop, "ttl");
	NEAR(cell(&v, TOP_ENDPOINTS, "a", "pps", &rated), 100);
	NEAR(cell(&v, TOP_ENDPOINTS, "a", "mbit_s", &rated), 0.1);
	NEAR(cell(&v, TOP_ENDPOINTS, "b", "pps", &rated), 0);
	NEAR(cell(&v, TOP_ENDPOINTS, "b", "flows", &rated), 7);
	CU_ASSERT(rated);
	NEAR(cell(&v, TOP_ENDPOINTS, "b", "connect_failed_s", &rated), 5);
	NEAR(cell(&v, TOP_WORKERS, "0", "headroom_percent", &rated), 75);
	NEAR(cell(&v, TOP_WORKERS, "0", "streams", &rated), 6);
	NEAR(cell(&v, TOP_WORKERS, "0", "cycles_per_packet", &rated), 300);
	top_view_fini(&v);
	top_sample_free(old);
	top_sample_free(now);
}

static void
another_boot_gives_no_rates(void)
{
	struct top_sample *old = sample("aa", 1000, 100, 2000, 1000, 400),
			  *now = sample("bb", 2000, 3, 2, 10, 5);
	struct top_view v;
	char buf[TOP_TEXT_MAX];
	bool rated = true;

	CU_ASSERT_FATAL(top_view_make(&v, old, now));
	CU_ASSERT(!v.rated && v.restarted);
	NEAR(cell(&v, TOP_ENDPOINTS, "a", "flows", &rated), 3);
	CU_ASSERT(!rated);
	CU_ASSERT_STRING_EQUAL(top_cell(TOP_ENDPOINTS, 5, &v.pane[TOP_ENDPOINTS].row[0], true, buf),
			       "-");
	top_view_fini(&v);
	CU_ASSERT_FATAL(top_view_make(&v, NULL, now));
	CU_ASSERT(!v.rated && !v.restarted);
	top_view_fini(&v);
	top_sample_free(old);
	top_sample_free(now);
}

static void
a_counter_that_fell_gives_0_and_a_worker_that_stands_no_headroom(void)
{
	struct top_sample *old = sample("aa", 1000, 100, 2000, 1000, 400),
			  *now = sample("aa", 2000, 50, 2010, 1000, 400);
	struct top_view v;
	char buf[TOP_TEXT_MAX];
	bool rated = false;

	CU_ASSERT_FATAL(top_view_make(&v, old, now));
	NEAR(cell(&v, TOP_ENDPOINTS, "a", "pps", &rated), 0);
	NEAR(cell(&v, TOP_ENDPOINTS, "b", "pps", &rated), 10);
	CU_ASSERT_STRING_EQUAL(top_cell(TOP_WORKERS, 1, &v.pane[TOP_WORKERS].row[0], true, buf),
			       "-");
	top_view_fini(&v);
	top_sample_free(old);
	top_sample_free(now);
}

static void
who_is_new_has_no_rate_yet(void)
{
	struct top_sample *old = sample("aa", 1000, 1, 1, 1, 1),
			  *now = sample("aa", 2000, 9, 9, 9, 9);
	struct top_view v;
	bool rated = false;

	old->pane[TOP_ENDPOINTS].cnt = 1; /* a alone: they are in order */
	CU_ASSERT_FATAL(top_view_make(&v, old, now));
	NEAR(cell(&v, TOP_ENDPOINTS, "a", "pps", &rated), 8);
	CU_ASSERT(rated);
	(void)cell(&v, TOP_ENDPOINTS, "b", "pps", &rated);
	CU_ASSERT(!rated);
	top_view_fini(&v);
	top_sample_free(old);
	top_sample_free(now);
}

static void
rows_are_sorted_and_found(void)
{
	struct top_sample *old = sample("aa", 1000, 1, 1, 1, 1),
			  *now = sample("aa", 2000, 9, 5, 9, 9);
	struct top_view v;

	CU_ASSERT_FATAL(top_view_make(&v, old, now));
	struct top_row *r = v.pane[TOP_ENDPOINTS].row;
	top_view_sort(&v, TOP_ENDPOINTS, 3, false); /* flows, downwards */
	CU_ASSERT_STRING_EQUAL(r[0].item->text[0], "b");
	top_view_sort(&v, TOP_ENDPOINTS, 3, true);
	CU_ASSERT_STRING_EQUAL(r[0].item->text[0], "a");
	top_view_sort(&v, TOP_ENDPOINTS, 5, false); /* pps */
	CU_ASSERT_STRING_EQUAL(r[0].item->text[0], "a");
	top_view_sort(&v, TOP_ENDPOINTS, 0, true);
	CU_ASSERT_STRING_EQUAL(r[0].item->text[0], "b");
	CU_ASSERT(top_row_matches(r, "") && top_row_matches(r, "WEB") && !top_row_matches(r, "x"));
	top_view_fini(&v);
	top_sample_free(old);
	top_sample_free(now);
}

static void
what_is_no_answer_makes_no_sample_and_bytes_no_escapes(void)
{
	static const char *const bad[] = {
		"{}",
		"{\"ok\": true}",
		"{\"ok\": true, \"total\": 7}",
		"{\"ok\": false, \"total\": {}}",
		"{\"ok\": true, \"total\": []}",
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(bad); i++) {
		json_t *j = json_loads(bad[i], 0, NULL);
		CU_ASSERT_PTR_NULL(top_sample_make(j));
		json_decref(j);
	}
	json_t *j =
		json_loads("{\"ok\": true, \"total\": {\"rx_packets\": -5}, \"endpoints\": [7, {}, "
			   "{\"name\": \"\\u001b[2J\\u00e9\", \"packets\": \"x\"}], \"drops\": 3}",
			   0, NULL);
	struct top_sample *s = top_sample_make(j);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT(s->rx == 0 && s->pane[TOP_ENDPOINTS].cnt == 3);
	CU_ASSERT_STRING_EQUAL(s->pane[TOP_ENDPOINTS].item[2].text[0], "?[2J??");
	top_sample_free(s);
	json_decref(j);
}

static void
numbers_are_short(void)
{
	static const struct {
		double v;
		const char *text;
	} row[] = {
		{0, "0"},
		{0.04, "0.0"},
		{7.25, "7.2"},
		{99.94, "99.9"},
		{100, "100"},
		{99999, "99999"},
		{100000, "100.0k"},
		{1234567, "1235k"},
		{99999499, "99999k"},
		{123456789, "123.5M"},
		{1e15, "1000T"},
	};
	char buf[TOP_TEXT_MAX];

	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		if (strcmp(top_short(row[i].v, buf), row[i].text))
			printf("  %f: %s, not %s\n", row[i].v, buf, row[i].text);
		CU_ASSERT_STRING_EQUAL(top_short(row[i].v, buf), row[i].text);
	}
	CU_ASSERT_STRING_EQUAL(top_age(59.9, buf), "00:00:59");
	CU_ASSERT_STRING_EQUAL(top_age(90061, buf), "1d 01:01");
	CU_ASSERT_STRING_EQUAL(top_age(-3, buf), "00:00:00");
}

SL_SUITE("top", SL_TEST(rates_are_differences_over_the_daemons_time),
	 SL_TEST(another_boot_gives_no_rates),
	 SL_TEST(a_counter_that_fell_gives_0_and_a_worker_that_stands_no_headroom),
	 SL_TEST(who_is_new_has_no_rate_yet), SL_TEST(rows_are_sorted_and_found),
	 SL_TEST(what_is_no_answer_makes_no_sample_and_bytes_no_escapes),
	 SL_TEST(numbers_are_short))
