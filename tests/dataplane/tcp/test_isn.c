/* Sequence numbers and clocks: what they rise with, what they hide, what a bucket of tokens lets through. */
#include "dataplane/tcp/tcp_priv.h"

#include "tests/suite.h"

static struct sl_tcp t;

static struct sl_tuple
tuple(unsigned n)
{
	uint8_t a[4] = {192, 0, 2, 1}, b[4] = {198, 51, 100, 1};
	struct sl_tuple u = {.proto = SL_IPPROTO_TCP, .dport = sl_to_be16(80)};

	u.src = sl_addr_from_v4(a);
	u.dst = sl_addr_from_v4(b);
	u.sport = (sl_be16)n;
	return u;
}

static void
begin(unsigned seed, uint64_t now_ns)
{
	memset(&t, 0, sizeof(t));
	srandom(seed);
	for (unsigned i = 0; i < sizeof(t.isn_key.b); i++)
		t.isn_key.b[i] = (uint8_t)random();
	t.now_ns = now_ns;
}

static void
an_isn_rises_by_one_each_four_microseconds(void)
{
	struct sl_tuple u = tuple(1);

	begin(1, 5000000000);
	uint32_t isn = sl_isn(&t, &u);
	t.now_ns += 4000;
	CU_ASSERT_EQUAL(sl_isn(&t, &u), isn + 1);
	t.now_ns += 1000000000;
	CU_ASSERT_EQUAL(sl_isn(&t, &u), isn + 1 + 250000);
	t.now_ns = 5000000000 + (4000ull << 32);
	CU_ASSERT_EQUAL(sl_isn(&t, &u), isn);
}

static void
a_clock_of_a_tuple_stays_and_those_of_others_differ(void)
{
	unsigned same = 0;
	struct sl_tuple u = tuple(1);

	begin(2, 1000);
	uint32_t isn = sl_isn(&t, &u), off = sl_isn_ts_offset(&t, &u);
	for (unsigned i = 2; i < 10000; i++) {
		struct sl_tuple v = tuple(i);
		same += sl_isn(&t, &v) == isn;
		same += sl_isn_ts_offset(&t, &v) == off;
	}
	CU_ASSERT_TRUE(same <= 1);
	t.now_ns += 777777777;
	CU_ASSERT_EQUAL(sl_isn_ts_offset(&t, &u), off);
}

static void
another_key_gives_other_numbers(void)
{
	struct sl_tuple u = tuple(1);

	begin(3, 1000);
	uint32_t isn = sl_isn(&t, &u), off = sl_isn_ts_offset(&t, &u);
	for (unsigned i = 0; i < sizeof(t.isn_key.b); i++) {
		t.isn_key.b[i] ^= 1;
		CU_ASSERT_NOT_EQUAL(sl_isn(&t, &u), isn);
		CU_ASSERT_NOT_EQUAL(sl_isn_ts_offset(&t, &u), off);
		t.isn_key.b[i] ^= 1;
	}
}

/* Of each bit of tuple and purpose about half of the result turns. */
static void
every_bit_of_tuple_and_purpose_turns_half_of_the_function(void)
{
	struct sl_tuple u = tuple(4711);
	unsigned least = 64, most = 0;

	begin(4, 0);
	for (unsigned bit = 0; bit < 8 * 40 + 64; bit++) {
		unsigned turned = 0;
		for (unsigned k = 0; k < 64; k++) {
			uint64_t what = 0;
			u.sport = (sl_be16)k;
			uint64_t a = sl_isn_mac(&t, &u, what);
			if (bit < 320)
				((uint8_t *)&u)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			else
				what = 1ull << (bit - 320);
			turned += (unsigned)__builtin_popcountll(a ^ sl_isn_mac(&t, &u, what));
			if (bit < 320)
				((uint8_t *)&u)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		least = SL_MIN(least, turned / 64);
		most = SL_MAX(most, turned / 64);
	}
	CU_ASSERT_TRUE(least >= 29 && most <= 34);
}

static void
tokens_come_back_at_their_rate_and_not_above_a_second_of_them(void)
{
	static const uint64_t starts[] = {0, 1, 999999999, 123456789012345};

	for (size_t s = 0; s < SL_ARRAY_CNT(starts); s++) {
		uint64_t spent = 0;
		unsigned got = 0;
		begin(5, starts[s]);
		for (unsigned i = 0; i < 5000; i++)
			got += sl_tcp_token(&t, &spent, 1000);
		CU_ASSERT_EQUAL(got, 1000);
		t.now_ns += 10000000;
		for (got = 0; sl_tcp_token(&t, &spent, 1000);)
			got++;
		CU_ASSERT_EQUAL(got, 10);
		t.now_ns += 3600ull * 1000000000;
		for (got = 0; sl_tcp_token(&t, &spent, 1000);)
			got++;
		CU_ASSERT_EQUAL(got, 1000);
	}
}

SL_SUITE("isn", SL_TEST(an_isn_rises_by_one_each_four_microseconds),
	 SL_TEST(a_clock_of_a_tuple_stays_and_those_of_others_differ),
	 SL_TEST(another_key_gives_other_numbers),
	 SL_TEST(every_bit_of_tuple_and_purpose_turns_half_of_the_function),
	 SL_TEST(tokens_come_back_at_their_rate_and_not_above_a_second_of_them))
