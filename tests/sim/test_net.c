/* The gateway in a virtual network, over many seeds.  SIM_SEED=N runs that seed alone and says what happened;
 * SIM_SEEDS=N sets how many (default 2000). */
#include "tests/suite.h"

#include "tests/sim/net.h"

static struct net_conf
conf_of(uint64_t seed)
{
	struct net_conf c = {
		.seed = seed,
		.workers = 1 + (unsigned)(seed % 3),
		.rss = seed / 3 % 2,
		.flows = 120,
		.endpoints = 4 + (unsigned)(seed % 5),
		.delay_ns = 200000,
		.jitter_ns = 300000,
	};

	if (seed % 4) {
		c.loss = 0.03 * (double)(seed % 4);
		c.dup = 0.02;
		c.jitter_ns = 20000000;
	}
	if (seed % 2) {
		c.pushes = 12;
		c.changes = 20;
		c.kills = (unsigned)(seed % 3);
	}
	if (seed % 5 < 2) {
		c.restarts = 1 + (unsigned)(seed % 3);
		c.vary = seed % 5 == 1;
	}
	return c;
}

static bool
judged(uint64_t seed, const struct net_conf *c, struct net_result *ret)
{
	struct net_result r = net_run(c);

	if (r.wrong)
		printf("    seed %llu (%u workers%s): %s, %s\n", (unsigned long long)seed,
		       c->workers, c->rss ? ", rss" : "", r.wrong, r.detail);
	*ret = r;
	return !r.wrong;
}

static void
every_seed_is_served(void)
{
	const char *only = getenv("SIM_SEED"), *many = getenv("SIM_SEEDS");
	uint64_t from = only ? strtoull(only, NULL, 0) : 1;
	uint64_t to = only ? from : many ? strtoull(many, NULL, 0) : 2000;
	unsigned served = 0, excused = 0, packets = 0;

	for (uint64_t seed = from; seed <= to; seed++) {
		struct net_conf c = conf_of(seed);
		struct net_result r;
		CU_ASSERT_TRUE(judged(seed, &c, &r));
		served += r.served;
		excused += r.excused;
		packets += r.packets;
	}
	printf("    %u flows served, %u excused, %u packets ", served, excused, packets);
	CU_ASSERT_TRUE(served > 10 * excused);
}

static void
same_seed_same_trace(void)
{
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct net_conf c = conf_of(seed);
		struct net_result a, b;
		CU_ASSERT_TRUE(judged(seed, &c, &a) && judged(seed, &c, &b));
		CU_ASSERT_EQUAL(a.trace, b.trace);
	}
}

static void
clean_network_serves_everyone(void)
{
	for (unsigned w = 1; w <= 8; w++) {
		struct net_conf c = {.seed = w,
				     .workers = w,
				     .flows = 500,
				     .endpoints = 16,
				     .delay_ns = 100000,
				     .pushes = 20};
		struct net_result r;
		CU_ASSERT_TRUE(judged(w, &c, &r));
		CU_ASSERT_EQUAL(r.served + r.excused, 500);
	}
}

SL_SUITE("net", SL_TEST(clean_network_serves_everyone), SL_TEST(same_seed_same_trace),
	 SL_TEST(every_seed_is_served))
