/* Cookies: what comes back is what was asked for; nothing else is believed, and nothing for longer than two minutes. */
#define LEAF_STREAMS 1
#define LEAF_TIMEWAITS 1
#include "leaf.h"

#define MINUTE 60000000000ull

static const struct sl_tcp_options full = {.mss = 1460,
					   .has_wscale = true,
					   .wscale = 7,
					   .sack_ok = true,
					   .has_ts = true,
					   .ts_val = 4711};

/* The third segment of a handshake: echoes what the SYN+ACK said. */
static bool
back(const struct sl_tuple *u, uint32_t peer_seq, uint32_t isn, const struct sl_tcp_options *syn,
     uint32_t ts, struct sl_tcp_options *ret)
{
	struct sl_tcp_options o = {.has_ts = syn->has_ts, .ts_val = syn->ts_val + 3, .ts_ecr = ts};

	return sl_cookie_check(&t, u, peer_seq + 1, isn + 1, &o, ret);
}

static const struct {
	const char *why;
	bool v6;
	uint16_t told, kept;
} sizes[] = {
	{"not told, IPv4", false, 0, 536},
	{"not told, IPv6", true, 0, 1220},
	{"Ethernet", false, 1460, 1460},
	{"Ethernet, IPv6", true, 1440, 1440},
	{"PPPoE", false, 1452, 1440},
	{"the default", false, 536, 536},
	{"tunnel", false, 1380, 1360},
	{"jumbo", false, 8960, 8960},
	{"one less than jumbo", false, 8959, 1460},
	{"the largest", false, 65535, 8960},
	{"below the default", false, 535, SL_MSS_MIN},
	{"next to nothing", false, 1, SL_MSS_MIN},
};

static void
the_segment_size_comes_back_rounded_down_to_one_of_eight(void)
{
	leaf_begin(32);
	for (size_t i = 0; i < SL_ARRAY_CNT(sizes); i++) {
		struct sl_tuple u = leaf_tuple(1000);
		struct sl_tcp_options syn = {.mss = sizes[i].told}, got;
		uint32_t ts = 0;
		if (sizes[i].v6)
			u.src.b[0] = u.dst.b[0] = 0x20;
		uint32_t isn = sl_cookie_make(&t, &u, 77, &syn, &ts);
		CU_ASSERT_TRUE_FATAL(back(&u, 77, isn, &syn, ts, &got));
		CU_ASSERT_EQUAL(got.mss, sizes[i].kept);
		CU_ASSERT_TRUE(!got.has_ts && !got.has_wscale && !got.sack_ok);
	}
}

static void
window_scale_and_sack_come_back_by_timestamps(void)
{
	struct sl_tuple u = leaf_tuple(1000);

	leaf_begin(32);
	for (unsigned c = 0; c < 32; c++) {
		struct sl_tcp_options syn = full, got;
		uint32_t ts = 0;
		syn.sack_ok = c & 16;
		syn.has_wscale = c % 16 != 15;
		syn.wscale = syn.has_wscale ? c % 16 : 0;
		uint32_t isn = sl_cookie_make(&t, &u, c, &syn, &ts);
		CU_ASSERT_TRUE_FATAL(back(&u, c, isn, &syn, ts, &got));
		CU_ASSERT_TRUE(got.has_ts && got.ts_val == 4714 && got.ts_ecr == ts);
		CU_ASSERT_TRUE(got.sack_ok == syn.sack_ok && got.has_wscale == syn.has_wscale);
		CU_ASSERT_EQUAL(got.wscale, syn.wscale);
	}
}

static void
the_timestamp_is_never_ahead_of_the_clock_and_at_most_64_ms_behind(void)
{
	struct sl_tuple u = leaf_tuple(1000);
	unsigned wrong = 0;

	leaf_begin(32);
	for (unsigned ms = 0; ms < 300; ms++) {
		struct sl_tcp_options syn = full;
		uint32_t ts = 0;
		leaf_at(1000000000000 + ms * 1000000ull);
		syn.sack_ok = ms & 1;
		syn.wscale = ms % 15;
		sl_cookie_make(&t, &u, 1, &syn, &ts);
		wrong += t.now_ms + sl_isn_ts_offset(&t, &u) - ts > 64;
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
a_cookie_is_good_in_its_minute_and_the_next(void)
{
	struct sl_tuple u = leaf_tuple(1000);

	leaf_begin(32);
	for (unsigned odd = 0; odd < 2; odd++) {
		uint64_t begin = (100 + odd) * MINUTE;
		struct sl_tcp_options got;
		uint32_t ts;
		leaf_at(begin);
		uint32_t isn = sl_cookie_make(&t, &u, 5, &full, &ts);
		CU_ASSERT_TRUE(back(&u, 5, isn, &full, ts, &got));
		leaf_at(begin + 2 * MINUTE - 1);
		CU_ASSERT_TRUE(back(&u, 5, isn, &full, ts, &got));
		for (unsigned later = 2; later < 20; later++) {
			leaf_at(begin + later * MINUTE);
			CU_ASSERT_FALSE(back(&u, 5, isn, &full, ts, &got));
		}
		leaf_at(begin - 1);
		CU_ASSERT_FALSE(back(&u, 5, isn, &full, ts, &got));
	}
}

/* One bit of anything changed: a cookie of somebody else, or none. */
static void
nothing_else_is_taken_for_a_cookie(void)
{
	struct sl_tuple u = leaf_tuple(1000);
	struct sl_tcp_options got;
	uint32_t ts;
	unsigned taken = 0;

	leaf_begin(32);
	uint32_t isn = sl_cookie_make(&t, &u, 5, &full, &ts);
	for (unsigned bit = 0; bit < 32; bit++) {
		taken += back(&u, 5, isn ^ 1u << bit, &full, ts, &got);
		taken += back(&u, 5 ^ 1u << bit, isn, &full, ts, &got);
	}
	for (unsigned bit = 0; bit < 36 * 8; bit++) {
		struct sl_tuple v = u;
		((uint8_t *)&v)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		taken += back(&v, 5, isn, &full, ts, &got);
	}
	t.isn_key.b[63] ^= 1;
	taken += back(&u, 5, isn, &full, ts, &got);
	CU_ASSERT_EQUAL(taken, 0);
}

/* 28 bits of proof: of a million guesses none, but for chance in 250. */
static void
guesses_are_wrong(void)
{
	struct sl_tuple u = leaf_tuple(1000);
	struct sl_tcp_options got;
	uint32_t ts;
	unsigned taken = 0;

	leaf_begin(32);
	sl_cookie_make(&t, &u, 5, &full, &ts);
	for (unsigned i = 0; i < 1000000; i++)
		taken += back(&u, 5, i * 2654435761u, &full, ts, &got);
	CU_ASSERT_EQUAL(taken, 0);
}

static void
none_is_taken_when_none_is_out(void)
{
	struct sl_tuple u = leaf_tuple(1000);
	struct sl_tcp_options got;
	uint32_t ts;

	leaf_begin(32);
	leaf_at(50 * MINUTE);
	uint32_t isn = sl_cookie_make(&t, &u, 5, &full, &ts);
	sl_cookie_expire(&t);
	CU_ASSERT_TRUE(t.cookie_out);
	leaf_at(52 * MINUTE - 1);
	sl_cookie_expire(&t);
	CU_ASSERT_TRUE(back(&u, 5, isn, &full, ts, &got));
	leaf_at(52 * MINUTE);
	sl_cookie_expire(&t);
	CU_ASSERT_FALSE(t.cookie_out);
	leaf_at(51 * MINUTE);
	CU_ASSERT_FALSE(back(&u, 5, isn, &full, ts, &got));
}

SL_SUITE("cookie", SL_TEST(the_segment_size_comes_back_rounded_down_to_one_of_eight),
	 SL_TEST(window_scale_and_sack_come_back_by_timestamps),
	 SL_TEST(the_timestamp_is_never_ahead_of_the_clock_and_at_most_64_ms_behind),
	 SL_TEST(a_cookie_is_good_in_its_minute_and_the_next),
	 SL_TEST(nothing_else_is_taken_for_a_cookie), SL_TEST(guesses_are_wrong),
	 SL_TEST(none_is_taken_when_none_is_out))
