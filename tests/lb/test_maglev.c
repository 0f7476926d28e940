#include "lb/maglev.h"

#include <errno.h>
#include <sys/wait.h>

#include "lb/hash.h"
#include "sluice/image.h"
#include "tests/suite.h"

#define SEED 0x5eed5eed5eed5eedull

static const uint32_t listed[] = {
	101,   211,   503,    1009,   2003,   4093,    8191,    16381,
	32771, 65537, 131071, 262147, 524287, 1048573, 1638431,
};

struct set {
	struct sl_maglev_node node[16384];
	char name[16384][24];
	uint32_t cnt;
};

static struct set set, set2;
static uint16_t table[SL_MAX_MAGLEV], table2[SL_MAX_MAGLEV];

static void
fill_set(struct set *s, uint32_t cnt, uint32_t (*weight)(uint32_t i))
{
	s->cnt = cnt;
	for (uint32_t i = 0; i < cnt; i++) {
		snprintf(s->name[i], sizeof(s->name[i]), "endpoint-%05u", i);
		s->node[i] = (struct sl_maglev_node){s->name[i], weight(i)};
	}
}

static uint32_t
equal(uint32_t i)
{
	(void)i;
	return 1;
}

static uint32_t
mixed(uint32_t i)
{
	return 1 + i * 37 % 256;
}

static uint32_t
lopsided(uint32_t i)
{
	return i == 0 ? 256 : i % 3;
}

static void
count(const uint16_t *t, uint32_t size, uint32_t *cnt, uint32_t nodes)
{
	memset(cnt, 0, nodes * sizeof(*cnt));
	for (uint32_t i = 0; i < size; i++) {
		CU_ASSERT_FATAL(t[i] < nodes);
		cnt[t[i]]++;
	}
}

static bool
prime(uint32_t n)
{
	for (uint32_t d = 2; d * d <= n; d++)
		if (n % d == 0)
			return false;
	return n > 1;
}

static void
listed_sizes_are_primes(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(listed); i++) {
		CU_ASSERT_TRUE(prime(listed[i]));
		CU_ASSERT_TRUE(sl_maglev_size_listed(listed[i]));
		CU_ASSERT_FALSE(sl_maglev_size_listed(listed[i] - 1));
		CU_ASSERT_FALSE(sl_maglev_size_listed(listed[i] + 1));
	}
	CU_ASSERT_FALSE(sl_maglev_size_listed(0));
}

static void
size_is_the_smallest_listed_prime_of_a_hundred_places_each(void)
{
	for (uint32_t n = 1; n <= SL_MAX_SERVICE_ENDPOINTS; n++) {
		uint32_t want = 0;
		for (unsigned i = SL_ARRAY_CNT(listed); i-- > 0;)
			if (listed[i] >= 100 * n)
				want = listed[i];
		CU_ASSERT_EQUAL_FATAL(sl_maglev_size(n), want);
	}
	CU_ASSERT_EQUAL(sl_maglev_size(655), 65537);
	CU_ASSERT_EQUAL(sl_maglev_size(1), 101);
	CU_ASSERT_EQUAL(sl_maglev_size(SL_MAX_SERVICE_ENDPOINTS), SL_MAX_MAGLEV);
	CU_ASSERT_EQUAL(sl_maglev_size(0), 0);
	CU_ASSERT_EQUAL(sl_maglev_size(SL_MAX_SERVICE_ENDPOINTS + 1), 0);
}

static void
build_refuses_what_cannot_be_placed(void)
{
	static struct sl_maglev_node one = {"a", 1}, none = {"a", 0}, heavy = {"a", 257};

	CU_ASSERT_EQUAL(sl_maglev_build(&one, 1, SEED, table, 101), 0);
	CU_ASSERT_EQUAL(sl_maglev_build(&one, 0, SEED, table, 101), -EINVAL);
	CU_ASSERT_EQUAL(sl_maglev_build(&none, 1, SEED, table, 101), -EINVAL);
	CU_ASSERT_EQUAL(sl_maglev_build(&heavy, 1, SEED, table, 101), -EINVAL);
	CU_ASSERT_EQUAL(sl_maglev_build(&one, 1, SEED, table, 100), -EINVAL);
	fill_set(&set, 102, equal);
	CU_ASSERT_EQUAL(sl_maglev_build(set.node, 102, SEED, table, 101), -EINVAL);
	CU_ASSERT_EQUAL(sl_maglev_build(set.node, 101, SEED, table, 101), 0);
}

/* Full, and each share within two places of what its weight is due: one for its own rounding, one for the
 * rounds that other nodes' roundings added or took. */
static void
every_place_is_filled_by_weight(void)
{
	static const struct {
		uint32_t nodes, size;
		uint32_t (*weight)(uint32_t);
	} rows[] = {
		{1, 101, equal},         {2, 101, equal},        {101, 101, equal},
		{7, 211, mixed},         {10, 1009, lopsided},   {50, 8191, mixed},
		{655, 65537, equal},     {655, 65537, mixed},    {1000, 65537, equal},
		{1000, 65537, mixed},    {900, 65537, lopsided}, {5000, 524287, mixed},
		{16384, 1638431, mixed},
	};
	static uint32_t cnt[16384];

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		uint64_t total = 0;
		double worst = 0;
		fill_set(&set, rows[r].nodes, rows[r].weight);
		memset(table, 0xff, sizeof(table));
		CU_ASSERT_EQUAL_FATAL(sl_maglev_build(set.node, set.cnt, SEED, table, rows[r].size),
				      0);
		count(table, rows[r].size, cnt, set.cnt);
		for (uint32_t i = 0; i < set.cnt; i++)
			total += set.node[i].weight;
		for (uint32_t i = 0; i < set.cnt; i++) {
			double due = (double)rows[r].size * set.node[i].weight / (double)total;
			double off = due > cnt[i] ? due - cnt[i] : cnt[i] - due;
			worst = off > worst ? off : worst;
			if (set.node[i].weight == 0)
				CU_ASSERT_EQUAL(cnt[i], 0);
		}
		if (worst > 2)
			printf("  row %u: off by %f places\n", r, worst);
		CU_ASSERT(worst <= 2);
	}
}

static void
share_is_within_two_percent_of_the_weight(void)
{
	static uint32_t cnt[16384];
	uint64_t total = 0;

	fill_set(&set, 100, mixed);
	for (uint32_t i = 0; i < set.cnt; i++)
		total += set.node[i].weight;
	CU_ASSERT_EQUAL_FATAL(sl_maglev_build(set.node, set.cnt, SEED, table, 65537), 0);
	count(table, 65537, cnt, set.cnt);
	for (uint32_t i = 0; i < set.cnt; i++) {
		double due = 65537.0 * set.node[i].weight / (double)total;
		/* Below 75 places one place is more than that. */
		if (due >= 75)
			CU_ASSERT(cnt[i] > due * 0.98 && cnt[i] < due * 1.02);
	}
}

static void
order_of_the_input_does_not_matter(void)
{
	uint64_t x = 1;

	fill_set(&set, 500, mixed);
	CU_ASSERT_EQUAL_FATAL(sl_maglev_build(set.node, 500, SEED, table, 65537), 0);
	for (unsigned round = 0; round < 3; round++) {
		fill_set(&set2, 500, mixed);
		for (uint32_t i = 499; i > 0; i--) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			uint32_t j = (uint32_t)(x >> 33) % (i + 1);
			struct sl_maglev_node n = set2.node[i];
			set2.node[i] = set2.node[j];
			set2.node[j] = n;
		}
		CU_ASSERT_EQUAL_FATAL(sl_maglev_build(set2.node, 500, SEED, table2, 65537), 0);
		unsigned differ = 0;
		for (uint32_t i = 0; i < 65537; i++)
			differ += strcmp(set.node[table[i]].name, set2.node[table2[i]].name) != 0;
		CU_ASSERT_EQUAL(differ, 0);
	}
}

static void
seed_and_names_make_the_table_not_weightless_nodes(void)
{
	fill_set(&set, 20, equal);
	fill_set(&set2, 21, equal);
	set2.node[20].weight = 0;
	sl_maglev_build(set.node, 20, SEED, table, 2003);
	sl_maglev_build(set2.node, 21, SEED, table2, 2003);
	CU_ASSERT_EQUAL(memcmp(table, table2, 2003 * 2), 0);
	sl_maglev_build(set.node, 20, SEED + 1, table2, 2003);
	CU_ASSERT_NOT_EQUAL(memcmp(table, table2, 2003 * 2), 0);
	/* Weights count by their ratios. */
	for (uint32_t i = 0; i < 20; i++)
		set.node[i].weight = 50;
	sl_maglev_build(set.node, 20, SEED, table2, 2003);
	CU_ASSERT_EQUAL(memcmp(table, table2, 2003 * 2), 0);
}

static uint64_t
sum_of_tables(void)
{
	uint64_t sum = 0;

	fill_set(&set, 1000, mixed);
	sl_maglev_build(set.node, 1000, SEED, table, 65537);
	sum ^= sl_hash_name(1, (const char *)table, 65537 * 2, 0);
	fill_set(&set, 1000, equal);
	sl_maglev_build(set.node, 1000, SEED, table, 65537);
	sum ^= sl_hash_name(2, (const char *)table, 65537 * 2, 0);
	fill_set(&set, 37, lopsided);
	sl_maglev_build(set.node, 37, SEED, table, 4093);
	return sum ^ sl_hash_name(3, (const char *)table, 4093 * 2, 0);
}

/* Another process, other addresses in memory: the same bytes. */
static void
other_processes_build_the_same_table(void)
{
	uint64_t mine = sum_of_tables(), theirs = 0;
	char exe[512];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	int fds[2];

	CU_ASSERT_FATAL(n > 0 && pipe(fds) == 0);
	exe[n] = 0;
	for (unsigned round = 0; round < 2; round++) {
		pid_t pid = fork();
		if (pid == 0) {
			dup2(fds[1], 1);
			setenv("SL_TEST_MAGLEV_SUM", "1", 1);
			execl(exe, exe, (char *)NULL);
			_exit(127);
		}
		int status = -1;
		CU_ASSERT_EQUAL(read(fds[0], &theirs, sizeof(theirs)), sizeof(theirs));
		CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
		CU_ASSERT_EQUAL(status, 0);
		CU_ASSERT_EQUAL(theirs, mine);
	}
	close(fds[0]);
	close(fds[1]);
}

/* Gateways of different versions must agree: this value is for ever. */
static void
tables_have_the_known_sum(void)
{
	uint64_t sum = sum_of_tables();

	if (sum != 0x1b69ef79d37f61cbull)
		printf("  0x%016llx\n", (unsigned long long)sum);
	CU_ASSERT_EQUAL(sum, 0x1b69ef79d37f61cbull);
}

/* Builds without node `gone`; returns places of other nodes that moved, per mille of the table. */
static double
moved_by_removing(uint32_t nodes, uint32_t size, uint32_t (*weight)(uint32_t), uint32_t gone)
{
	uint32_t moved = 0;

	fill_set(&set, nodes, weight);
	fill_set(&set2, nodes, weight);
	set2.node[gone].weight = 0;
	CU_ASSERT_EQUAL_FATAL(sl_maglev_build(set.node, nodes, SEED, table, size), 0);
	CU_ASSERT_EQUAL_FATAL(sl_maglev_build(set2.node, nodes, SEED, table2, size), 0);
	for (uint32_t i = 0; i < size; i++)
		moved += table[i] != gone && table[i] != table2[i];
	return 1000.0 * moved / size;
}

static void
removing_a_node_moves_little_beside_its_own_places(void)
{
	static const struct {
		uint32_t nodes, size;
		uint32_t (*weight)(uint32_t);
		double most; /* per mille */
	} rows[] = {
		{2, 211, equal, 0},       {10, 1009, equal, 35},   {100, 16381, equal, 20},
		{655, 65537, equal, 12},  {1000, 65537, equal, 9}, {100, 65537, mixed, 8},
		{1000, 131071, mixed, 5},
	};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		double sum = 0;
		for (uint32_t k = 0; k < 4; k++)
			sum += moved_by_removing(rows[r].nodes, rows[r].size, rows[r].weight,
						 k * (rows[r].nodes - 1) / 3);
		if (getenv("SL_TEST_VERBOSE") || sum / 4 > rows[r].most)
			printf("  row %u: %f per mille\n", r, sum / 4);
		CU_ASSERT(sum / 4 <= rows[r].most);
	}
}

/* ---- schedule ---- */

static void
schedule_has_each_node_by_its_weight(void)
{
	static uint16_t sched[65536];
	static const struct {
		uint32_t w[5], n, cnt, times[5];
		const char *reason;
	} rows[] = {
		{{1}, 1, 1, {1}, "alone"},
		{{100}, 1, 1, {1}, "alone, by the divisor"},
		{{5, 1, 1}, 3, 7, {5, 1, 1}, "classic"},
		{{10, 20, 30}, 3, 6, {1, 2, 3}, "common divisor"},
		{{0, 3, 0, 3}, 4, 2, {0, 1, 0, 1}, "no weight, no place"},
		{{256, 255}, 2, 511, {256, 255}, "no common divisor"},
	};
	static const char *const names[] = {"a", "b", "c", "d", "e"};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		struct sl_maglev_node nodes[5];
		uint32_t cnt = 0, times[5] = {0};
		for (unsigned i = 0; i < 5; i++)
			nodes[i] = (struct sl_maglev_node){names[i], rows[r].w[i]};
		CU_ASSERT_EQUAL_FATAL(sl_maglev_schedule(nodes, rows[r].n, sched, 65536, &cnt), 0);
		CU_ASSERT_EQUAL(cnt, rows[r].cnt);
		for (uint32_t i = 0; i < cnt; i++)
			times[sched[i]]++;
		CU_ASSERT_EQUAL(memcmp(times, rows[r].times, sizeof(times)), 0);
	}
}

/* Between two turns of a node lie about total / weight places. */
static void
schedule_is_spread_evenly(void)
{
	static uint16_t sched[65536];
	static uint32_t last[200];
	uint32_t cnt = 0, total = 0;
	double worst = 0;

	fill_set(&set, 200, mixed);
	CU_ASSERT_EQUAL_FATAL(sl_maglev_schedule(set.node, 200, sched, 65536, &cnt), 0);
	for (uint32_t i = 0; i < 200; i++)
		total += set.node[i].weight;
	CU_ASSERT_EQUAL(cnt, total);
	memset(last, 0xff, sizeof(last));
	for (uint32_t i = 0; i < 2 * cnt; i++) {
		uint32_t n = sched[i % cnt];
		if (last[n] != UINT32_MAX) {
			double want = (double)total / set.node[n].weight;
			double ratio = (i - last[n]) / want;
			worst = ratio > worst ? ratio : worst;
		}
		last[n] = i;
	}
	CU_ASSERT(worst < 1.6);
}

static void
schedule_scales_weights_that_do_not_fit(void)
{
	static uint16_t sched[65536];
	static uint32_t times[16384];
	uint32_t cnt = 0;
	uint64_t total = 0;

	fill_set(&set, 2000, mixed);
	set.node[7].weight = 1;
	CU_ASSERT_EQUAL_FATAL(sl_maglev_schedule(set.node, 2000, sched, 65536, &cnt), 0);
	CU_ASSERT(cnt <= 65536 && cnt > 60000);
	count(sched, cnt, times, 2000);
	for (uint32_t i = 0; i < 2000; i++)
		total += set.node[i].weight;
	for (uint32_t i = 0; i < 2000; i++) {
		double due = (double)cnt * set.node[i].weight / (double)total;
		CU_ASSERT(times[i] >= 1);
		CU_ASSERT(times[i] <= due + 1.01 && times[i] + 1.01 >= due);
	}
	CU_ASSERT_EQUAL(sl_maglev_schedule(set.node, 2000, sched, 2000, &cnt), 0);
	CU_ASSERT_EQUAL(cnt, 2000);
	CU_ASSERT_EQUAL(sl_maglev_schedule(set.node, 2000, sched, 1999, &cnt), -EINVAL);
	CU_ASSERT_EQUAL(sl_maglev_schedule(set.node, 0, sched, 2000, &cnt), -EINVAL);
	set.node[0].weight = 300;
	CU_ASSERT_EQUAL(sl_maglev_schedule(set.node, 2000, sched, 65536, &cnt), -EINVAL);
}

static void
schedule_does_not_depend_on_the_order_of_input(void)
{
	static uint16_t a[1000], b[1000];
	uint32_t na = 0, nb = 0;

	fill_set(&set, 20, lopsided);
	for (uint32_t i = 0; i < 20; i++)
		set2.node[i] = set.node[19 - i];
	CU_ASSERT_EQUAL(sl_maglev_schedule(set.node, 20, a, 1000, &na), 0);
	CU_ASSERT_EQUAL(sl_maglev_schedule(set2.node, 20, b, 1000, &nb), 0);
	CU_ASSERT_EQUAL_FATAL(na, nb);
	for (uint32_t i = 0; i < na; i++)
		CU_ASSERT_EQUAL(a[i], 19 - b[i]);
}

static const CU_TestInfo tests[] = {
	SL_TEST(listed_sizes_are_primes),
	SL_TEST(size_is_the_smallest_listed_prime_of_a_hundred_places_each),
	SL_TEST(build_refuses_what_cannot_be_placed),
	SL_TEST(every_place_is_filled_by_weight),
	SL_TEST(share_is_within_two_percent_of_the_weight),
	SL_TEST(order_of_the_input_does_not_matter),
	SL_TEST(seed_and_names_make_the_table_not_weightless_nodes),
	SL_TEST(other_processes_build_the_same_table),
	SL_TEST(tables_have_the_known_sum),
	SL_TEST(removing_a_node_moves_little_beside_its_own_places),
	SL_TEST(schedule_has_each_node_by_its_weight),
	SL_TEST(schedule_is_spread_evenly),
	SL_TEST(schedule_scales_weights_that_do_not_fit),
	SL_TEST(schedule_does_not_depend_on_the_order_of_input),
	CU_TEST_INFO_NULL,
};

/* With SL_TEST_MAGLEV_SUM set this is the other process: it writes its sum and leaves. */
int
main(void)
{
	if (getenv("SL_TEST_MAGLEV_SUM")) {
		uint64_t sum = sum_of_tables();
		return write(1, &sum, sizeof(sum)) == sizeof(sum) ? 0 : 1;
	}
	return sl_suite_run("maglev", tests);
}
