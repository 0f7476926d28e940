#include "mgmt/levels.h"

#include <stdlib.h>

#include "lb/maglev.h"
#include "suite.h"

static void
distance_goes_by_region_and_zone_as_far_as_they_are_known(void)
{
	static const struct {
		const char *gateway, *endpoint;
		unsigned distance;
	} rows[] = {
		{"eu/a/r1", "eu/a/r1", 0},
		{"eu/a/r1", "eu/a/r2", 0},
		{"eu/a", "eu/b", 1},
		{"eu/a", "us/a", 2},
		{"eu/a", "us", 2},
		{"eu/a", "eu", 0},
		{"eu", "eu/b", 0},
		{"eu", "us/b", 2},
		{"", "eu/a", 0},
		{"eu/a", "", 0},
		{"", "", 0},
		{"eu/a", "-/a", 0},
		{"eu/a", "-/b", 1},
		{"-/a", "eu/a", 0},
		{"eu/a", "eu/-/r1", 0},
		{"eu/a", "eu/aa", 1},
		{"eu/aa", "eu/a", 1},
		{"eu", "e", 2},
		{"e", "eu", 2},
		{"a/eu", "eu/a", 2},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		unsigned got = sl_level_distance(rows[i].gateway, rows[i].endpoint);
		if (got != rows[i].distance)
			printf("\n  %s to %s: %u", rows[i].gateway, rows[i].endpoint, got);
		CU_ASSERT_EQUAL(got, rows[i].distance);
	}
}

static void
rank_is_the_priority_and_within_it_the_distance(void)
{
	struct sl_conf c = {.locality = "eu/a"};
	struct sl_conf_service s = {.locality_failover = false};
	struct sl_conf_endpoint e = {.priority = 2, .locality = "us/a"};

	CU_ASSERT_EQUAL(sl_level_rank(&c, &s, &e), 2);
	s.locality_failover = true;
	CU_ASSERT_EQUAL(sl_level_rank(&c, &s, &e), 8);
	strcpy(e.locality, "eu/b");
	CU_ASSERT_EQUAL(sl_level_rank(&c, &s, &e), 7);
	e.priority = SL_MAX_PRIORITY;
	strcpy(e.locality, "us/b");
	CU_ASSERT_EQUAL(sl_level_rank(&c, &s, &e), SL_RANKS - 1);
}

static void
levels_share_the_room_of_four_tables(void)
{
	static const uint32_t of[] = {1, 2, 5, 64, 655, 1000, 16384};

	for (unsigned i = 0; i < SL_ARRAY_CNT(of); i++)
		for (unsigned n = 1; n <= SL_RANKS; n++) {
			uint32_t places = sl_level_places(of[i], n), whole = sl_maglev_size(of[i]);
			CU_ASSERT(sl_maglev_size_listed(places));
			CU_ASSERT(places >= of[i]); /* each endpoint may be in this one */
			CU_ASSERT_EQUAL(places == whole, n <= 4 || whole == 101);
			/* the steps between the sizes of tables are not all of 2 */
			CU_ASSERT(n > of[i] || (uint64_t)n * places < 6ull * whole);
		}
}

/* No answer of a source makes a service larger than was reckoned when its table was taken. */
static void
what_sources_may_answer_is_reckoned_with(void)
{
	struct sl_conf c = {0};
	struct sl_conf_endpoint e[3] = {{.priority = 0}, {.priority = 5}, {.priority = 0}};
	struct sl_conf_service s = {.policy = SL_POLICY_MAGLEV,
				    .max_endpoints = 655,
				    .endpoints = e,
				    .endpoint_cnt = 3};
	uint64_t table = 2 * sl_maglev_size(655);

	CU_ASSERT_EQUAL(sl_level_bytes(&c, &s), 3 * (96 + 2) + 2 * table);
	s.subset_cnt = 2;
	CU_ASSERT_EQUAL(sl_level_bytes(&c, &s), 3 * (96 + 3 * 2) + 3 * 2 * table);
	s.subset_cnt = 0;
	s.discover_cnt = 1;
	CU_ASSERT_EQUAL(sl_level_bytes(&c, &s), 655 * (96 + 2) + 8 * 2 * 32771);
	s.policy = SL_POLICY_LEAST_CONN;
	CU_ASSERT_EQUAL(sl_level_bytes(&c, &s), 655 * (96 + 2));
}

SL_SUITE("levels", SL_TEST(distance_goes_by_region_and_zone_as_far_as_they_are_known),
	 SL_TEST(rank_is_the_priority_and_within_it_the_distance),
	 SL_TEST(levels_share_the_room_of_four_tables),
	 SL_TEST(what_sources_may_answer_is_reckoned_with))
