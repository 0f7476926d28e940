/* Two of our stacks over many seeds.  SIM_SEED=N runs that seed alone and says what happened; SIM_SEEDS=N sets how many. */
#include "tests/suite.h"

#include "tests/sim/tcp_bed.h"

static unsigned
both_ours(uint64_t seed)
{
	(void)seed;
	return 3;
}

static void
every_transfer_is_exact(void)
{
	struct bed_sum sum;

	bed_seeds(5500, both_ours, &sum);
	CU_ASSERT_EQUAL(sum.bad, 0);
	CU_ASSERT_TRUE(sum.excused * 50 <= sum.runs);
}

SL_SUITE("tcp_pair", SL_TEST(every_transfer_is_exact))
