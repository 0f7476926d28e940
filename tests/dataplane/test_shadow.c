/* What two tables would do, compared: each kind of difference, pairs of answers, examples, samples, sums over workers. */
#include "dataplane/shadow.h"
#include "tests/suite.h"

#include <stdio.h>
#include <stdlib.h>

static const struct sl_service none;
static const struct sl_view empty = {.services = &none, .generation = 7};

static struct sl_shadow_side
side(uint16_t status, uint32_t route, uint32_t service, uint8_t host)
{
	return (struct sl_shadow_side){
		.status = status,
		.route_slot = route,
		.service_slot = service,
		.service_incarnation = 1,
		.endpoint_slot = host,
		.endpoint = {{[15] = host}},
		.endpoint_port = 80,
	};
}

#define KIND(k) (1u << SL_SHADOW_##k)
#define NONE UINT32_MAX

static void
each_kind_of_difference_is_told_apart(void)
{
	struct sl_shadow *s = sl_shadow_create(&empty, 1000000, 1, 1, 0);
	struct sl_shadow_part *p = s->part;
	const struct sl_shadow_side same = side(0, 1, 1, 1);
	struct {
		struct sl_shadow_side now, then;
		bool undecided;
		unsigned kinds;
		const char *why;
	} rows[] = {
		{same, same, false, 0, "the same"},
		{same, side(0, 1, 1, 2), false, KIND(ENDPOINT), "another endpoint"},
		{same, side(0, 2, 1, 1), false, KIND(ROUTE), "another route, to the same"},
		{same, side(0, 1, 2, 1), false, KIND(SERVICE),
		 "another service with that endpoint"},
		{same, side(0, 2, 2, 2), false, KIND(ROUTE) | KIND(SERVICE) | KIND(ENDPOINT),
		 "all"},
		{same, side(403, 1, NONE, 0), false, KIND(STATUS),
		 "refused: no service to compare"},
		{side(200, 1, NONE, 0), side(404, NONE, NONE, 0), false, KIND(STATUS) | KIND(ROUTE),
		 "one answer in place of another"},
		{side(503, 1, 1, 0), side(503, 1, 2, 0), false, 0,
		 "nobody takes it, there or there"},
		{same, side(429, 2, NONE, 0), true, KIND(ROUTE), "limited: the route alone"},
		{same, same, false, KIND(SUBSET), "another subset"},
		{same, same, false, KIND(LISTENER), "no listener; routes are not compared then"},
		{same, same, false, KIND(SERVICE), "a slot that has become another's"},
		{same, side(0, 1, 1, 2), false, 0, "by chance now"},
		{same, side(0, 1, 1, 2), false, 0, "by chance then"},
		{same, same, false, KIND(ENDPOINT), "another port"},
	};
	uint64_t changed = 0, of_endpoint = 0;

	rows[9].then.subset = 99;
	rows[10].then.listener_slot = NONE;
	rows[10].then.route_slot = 5;
	rows[11].then.service_incarnation = 2;
	rows[12].now.by_chance = 1;
	rows[13].then.by_chance = 1;
	rows[14].then.endpoint_port = 81;
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		unsigned got = sl_shadow_differ(p, SL_SHADOW_REQUESTS, &rows[i].now, &rows[i].then,
						rows[i].undecided);
		if (got != rows[i].kinds)
			printf("\n  %s: %x in place of %x", rows[i].why, got, rows[i].kinds);
		CU_ASSERT_EQUAL(got, rows[i].kinds);
		changed += got != 0;
		of_endpoint += (got & KIND(ENDPOINT)) != 0;
	}
	const struct sl_shadow_tally *t = &p->what[SL_SHADOW_REQUESTS];
	CU_ASSERT(t->sampled == SL_ARRAY_CNT(rows) && t->changed == changed);
	CU_ASSERT(t->kind[SL_SHADOW_ENDPOINT] == of_endpoint && t->chance == 2 &&
		  t->undecided == 1);
	CU_ASSERT_EQUAL(p->what[SL_SHADOW_FLOWS].sampled, 0);
	sl_shadow_destroy(s);
}

static void
compare(struct sl_shadow_part *p, uint16_t from, uint16_t to)
{
	const struct sl_shadow_side now = side(from, 1, from ? NONE : 1, 0),
				    then = side(to, 1, to ? NONE : 1, 0);
	unsigned kinds = sl_shadow_differ(p, SL_SHADOW_REQUESTS, &now, &then, false);
	struct sl_ctl_shadow_example *e =
		kinds ? sl_shadow_keep(p, SL_SHADOW_REQUESTS, kinds, &now, &then) : NULL;

	if (e)
		sl_shadow_commit(p);
}

static void
answers_are_counted_by_pair_over_all_workers_with_examples_of_each(void)
{
	struct sl_shadow *s = sl_shadow_create(&empty, 10000, 2, 1, 1000);
	static struct sl_ctl_shadow_example examples[SL_SHADOW_EXAMPLES];
	struct sl_ctl_shadow_counts c;
	unsigned of_403 = 0;

	for (unsigned i = 0; i < 12; i++)
		compare(&s->part[i % 2], 0, 403);
	compare(&s->part[1], 200, 404);
	compare(&s->part[0], 200, 200);
	sl_shadow_sum(s, 5000, &c, examples);
	CU_ASSERT(c.generation == 7 && c.ran_ns == 4000 && c.sample_ppm == 10000);
	CU_ASSERT(c.pair_cnt == 2 && c.pairs_more == 0);
	CU_ASSERT(c.pair[0].from == 0 && c.pair[0].to == 403 && c.pair[0].count == 12);
	CU_ASSERT(c.pair[1].from == 200 && c.pair[1].to == 404 && c.pair[1].count == 1);
	CU_ASSERT(c.what[SL_SHADOW_REQUESTS].sampled == 14 &&
		  c.what[SL_SHADOW_REQUESTS].changed == 13);
	for (uint32_t i = 0; i < c.example_cnt; i++)
		of_403 += examples[i].then.status == 403;
	CU_ASSERT(c.example_cnt == 5 && of_403 == 4);
	sl_shadow_destroy(s);
}

static void
what_there_is_no_place_for_is_still_counted(void)
{
	struct sl_shadow *s = sl_shadow_create(&empty, 10000, 1, 1, 0);
	static struct sl_ctl_shadow_example examples[SL_SHADOW_EXAMPLES];
	struct sl_ctl_shadow_counts c;

	for (uint16_t i = 0; i < SL_SHADOW_PAIRS + 10; i++)
		compare(s->part, 0, (uint16_t)(400 + i));
	sl_shadow_sum(s, 0, &c, examples);
	CU_ASSERT(c.pair_cnt == SL_SHADOW_PAIRS && c.pairs_more == 10);
	CU_ASSERT_EQUAL(c.what[SL_SHADOW_REQUESTS].kind[SL_SHADOW_STATUS], SL_SHADOW_PAIRS + 10);
	CU_ASSERT_EQUAL(c.example_cnt, SL_SHADOW_OWN);
	sl_shadow_destroy(s);
}

static void
as_many_are_sampled_as_was_asked_for(void)
{
	static const uint32_t ppm[] = {1000000, 500000, 10000, 100};

	for (unsigned i = 0; i < SL_ARRAY_CNT(ppm); i++) {
		struct sl_shadow *s = sl_shadow_create(&empty, ppm[i], 1, 42 + i, 0);
		const unsigned n = 4000000;
		double want = (double)n * ppm[i] / 1e6, cnt = 0;
		for (unsigned k = 0; k < n; k++)
			cnt += sl_shadow_draws(s, s->part, SL_SHADOW_FLOWS);
		CU_ASSERT(ppm[i] == 1000000 ? cnt == n
					    : cnt > want - 6 * (1 + __builtin_sqrt(want)) &&
						      cnt < want + 6 * (1 + __builtin_sqrt(want)));
		CU_ASSERT_EQUAL(s->part->what[SL_SHADOW_FLOWS].seen, n);
		sl_shadow_destroy(s);
	}
}

SL_SUITE("shadow", SL_TEST(each_kind_of_difference_is_told_apart),
	 SL_TEST(answers_are_counted_by_pair_over_all_workers_with_examples_of_each),
	 SL_TEST(what_there_is_no_place_for_is_still_counted),
	 SL_TEST(as_many_are_sampled_as_was_asked_for))
