/* Our stack against a model of a peer, and the model against itself, over many seeds.  SIM_SEED=N runs that seed alone and
 * says what happened; SIM_SEEDS=N sets how many. */
#include "tests/suite.h"

#include "tests/sim/tcp_bed.h"

static unsigned
models(uint64_t seed)
{
	(void)seed;
	return 0;
}

static unsigned
ours_and_model(uint64_t seed)
{
	return seed % 2 ? 1 : 2;
}

static void
models_agree_with_each_other_and_the_judge(void)
{
	struct bed_sum sum;

	bed_seeds(600, models, &sum);
	CU_ASSERT_EQUAL(sum.bad, 0);
	CU_ASSERT_TRUE(sum.excused * 50 <= sum.runs);
}

static void
every_transfer_with_a_model_is_exact(void)
{
	struct bed_sum sum;

	bed_seeds(7000, ours_and_model, &sum);
	CU_ASSERT_EQUAL(sum.bad, 0);
	CU_ASSERT_TRUE(sum.excused * 50 <= sum.runs);
}

SL_SUITE("tcp_model", SL_TEST(models_agree_with_each_other_and_the_judge),
	 SL_TEST(every_transfer_with_a_model_is_exact))
