/* Option bytes as written by hand, as they arrive and as they leave; nothing behind the last byte is read. */
#include "dataplane/tcp/tcp_priv.h"

#include "tests/suite.h"

static bool
parse(const uint8_t *bytes, unsigned n, bool syn, struct sl_tcp_options *ret)
{
	uint8_t *g = guard_buf(n ? n : 1);

	memcpy(g + (n ? 0 : 1), bytes, n);
	bool ok = sl_options_parse(g + (n ? 0 : 1), n, syn, ret);
	guard_free(g, n ? n : 1);
	return ok;
}

static void
the_options_of_a_syn_are_read_in_any_order(void)
{
	static const uint8_t linux_syn[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 1,
					    2, 3, 0, 0,   0, 0, 1, 3,  3, 7};
	static const uint8_t turned[] = {3, 3, 7, 8, 10, 0, 1, 2, 3,   0,
					 0, 0, 0, 4, 2,  2, 4, 5, 180, 0};
	const uint8_t *both[] = {linux_syn, turned};

	for (size_t i = 0; i < 2; i++) {
		struct sl_tcp_options o;
		CU_ASSERT_TRUE(parse(both[i], 20, true, &o));
		CU_ASSERT_EQUAL(o.mss, 1460);
		CU_ASSERT_TRUE(o.sack_ok && o.has_wscale && o.has_ts);
		CU_ASSERT_EQUAL(o.wscale, 7);
		CU_ASSERT_EQUAL(o.ts_val, 0x00010203);
		CU_ASSERT_EQUAL(o.ts_ecr, 0);
		CU_ASSERT_EQUAL(o.block_cnt, 0);
	}
}

static void
behind_a_syn_mss_scale_and_sack_permitted_do_not_count(void)
{
	static const uint8_t b[] = {2, 4, 5, 180, 4, 2, 3, 3, 7, 0};
	struct sl_tcp_options o;

	CU_ASSERT_TRUE(parse(b, sizeof(b), false, &o));
	CU_ASSERT_TRUE(o.mss == 0 && !o.sack_ok && !o.has_wscale);
}

static void
timestamps_and_sack_blocks_are_read(void)
{
	static const uint8_t ts[] = {1, 1, 8, 10, 0xff, 0xee, 0xdd, 0xcc, 1, 2, 3, 4};
	static const uint8_t sack[] = {1, 1, 8, 10, 0, 0, 0, 9, 0,    0, 0, 8, 1,    1, 5, 18,
				       0, 0, 0, 1,  0, 0, 0, 2, 0xff, 0, 0, 1, 0xff, 0, 0, 9};
	struct sl_tcp_options o;

	CU_ASSERT_TRUE(parse(ts, sizeof(ts), false, &o));
	CU_ASSERT_TRUE(o.has_ts && o.ts_val == 0xffeeddcc && o.ts_ecr == 0x01020304);
	CU_ASSERT_TRUE(parse(sack, sizeof(sack), false, &o));
	CU_ASSERT_TRUE(o.has_ts && o.ts_val == 9 && o.ts_ecr == 8);
	CU_ASSERT_EQUAL_FATAL(o.block_cnt, 2);
	CU_ASSERT_TRUE(o.block[0].from == 1 && o.block[0].to == 2);
	CU_ASSERT_TRUE(o.block[1].from == 0xff000001 && o.block[1].to == 0xff000009);
}

static void
what_is_told_too_large_or_too_small_is_made_fit(void)
{
	static const uint8_t b[] = {3, 3, 255, 2, 4, 0, 0, 0};
	struct sl_tcp_options o;

	CU_ASSERT_TRUE(parse(b, sizeof(b), true, &o));
	CU_ASSERT_EQUAL(o.wscale, 14);
	CU_ASSERT_EQUAL(o.mss, 1); /* told, so not the default */
}

static const struct {
	const char *why;
	bool ok;
	unsigned n;
	uint8_t b[40];
} rows[] = {
	{"nothing", true, 0, {0}},
	{"padding alone", true, 4, {1, 1, 1, 0}},
	{"behind the end anything", true, 4, {0, 8, 1, 2}},
	{"unknown kind", true, 4, {254, 4, 9, 9}},
	{"unknown kind of two bytes", true, 2, {77, 2}},
	{"the longest unknown", true, 40, {30, 40}},
	{"length 0", false, 4, {254, 0, 0, 0}},
	{"length 1", false, 4, {254, 1, 0, 0}},
	{"kind without length", false, 1, {8}},
	{"kind without length, behind padding", false, 4, {1, 1, 1, 254}},
	{"past the end by one", false, 4, {254, 5, 0, 0}},
	{"timestamps cut short", false, 9, {8, 10, 1, 1, 1, 1, 2, 2, 2}},
	{"mss too long", false, 5, {2, 5, 1, 1, 1}},
	{"mss too short", false, 3, {2, 3, 1}},
	{"scale too long", false, 4, {3, 4, 1, 1}},
	{"SACK permitted too long", false, 3, {4, 3, 0}},
	{"timestamps too short", false, 9, {8, 9, 1, 1, 1, 1, 2, 2, 2}},
	{"timestamps too long", false, 11, {8, 11, 1, 1, 1, 1, 2, 2, 2, 2, 2}},
	{"SACK without a block", false, 2, {5, 2}},
	{"SACK with half a block", false, 6, {5, 6, 1, 1, 1, 1}},
	{"SACK with five blocks cannot be", false, 40, {5, 42}},
	{"usual beginning, but short", false, 11, {1, 1, 8, 10}},
	{"usual beginning, other length", false, 12, {1, 1, 8, 9}},
};

static void
malformed_options_are_refused_and_unknown_ones_passed_over(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		for (unsigned syn = 0; syn < 2; syn++) {
			struct sl_tcp_options o;
			bool ok = parse(rows[i].b, rows[i].n, syn, &o);
			CU_ASSERT_EQUAL(ok, rows[i].ok);
			if (ok != rows[i].ok)
				printf("  %s\n", rows[i].why);
		}
	}
}

/* Whatever comes is read within its bytes, and what is accepted is within its ranges. */
static void
random_bytes_are_read_within_their_bounds(void)
{
	unsigned wrong = 0, ok = 0;
	uint8_t *g = guard_buf(40);

	srandom(3);
	for (unsigned round = 0; round < 200000; round++) {
		unsigned n = (unsigned)random() % 41;
		uint8_t *b = g + 40 - n;
		struct sl_tcp_options o;
		for (unsigned i = 0; i < n; i++)
			b[i] = (uint8_t)(random() % (random() % 4 ? 12 : 256));
		if (!sl_options_parse(b, n, round & 1, &o))
			continue;
		ok++;
		wrong += o.wscale > 14 || o.block_cnt > 4;
	}
	guard_free(g, 40);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_TRUE(ok > 1000);
}

static void
what_is_written_has_the_usual_form(void)
{
	static const uint8_t syn[] = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
				      0, 1, 0, 0,   0, 2, 1, 3,  3, 8};
	static const uint8_t bare[] = {2, 4, 2, 24, 1, 1, 4, 2};
	static const uint8_t ack[] = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
	struct sl_tcp_options o = {.mss = 1460,
				   .has_ts = true,
				   .ts_val = 1,
				   .ts_ecr = 2,
				   .sack_ok = true,
				   .has_wscale = true,
				   .wscale = 8};
	uint8_t b[40];

	CU_ASSERT_EQUAL_FATAL(sl_options_write(b, &o), sizeof(syn));
	CU_ASSERT_EQUAL(memcmp(b, syn, sizeof(syn)), 0);
	o = (struct sl_tcp_options){.mss = 536, .sack_ok = true};
	CU_ASSERT_EQUAL_FATAL(sl_options_write(b, &o), sizeof(bare));
	CU_ASSERT_EQUAL(memcmp(b, bare, sizeof(bare)), 0);
	o = (struct sl_tcp_options){.has_ts = true, .ts_val = 1, .ts_ecr = 2};
	CU_ASSERT_EQUAL_FATAL(sl_options_write(b, &o), sizeof(ack));
	CU_ASSERT_EQUAL(memcmp(b, ack, sizeof(ack)), 0);
	o = (struct sl_tcp_options){0};
	CU_ASSERT_EQUAL(sl_options_write(b, &o), 0);
}

/* Every combination: never more than 40 bytes, a multiple of 4, nothing beyond what was said, and read back as it was. */
static void
what_is_written_is_read_back(void)
{
	uint8_t *g = guard_buf(40);

	for (unsigned c = 0; c < 16 * 5; c++) {
		struct sl_tcp_options o = {.mss = c & 1 ? 1220 : 0,
					   .sack_ok = c & 2,
					   .has_ts = c & 4,
					   .has_wscale = c & 8,
					   .wscale = c & 8 ? 14 : 0,
					   .block_cnt = (uint8_t)(c / 16)};
		struct sl_tcp_options back;
		unsigned fixed = (c & 1 ? 4 : 0) + (c & 4 ? 12 : c & 2 ? 4 : 0) + (c & 8 ? 4 : 0);
		unsigned fit = SL_MIN(c / 16, (40 - fixed - 4) / 8);
		if (o.has_ts)
			o.ts_val = 0x80000001, o.ts_ecr = 77;
		for (unsigned i = 0; i < o.block_cnt; i++)
			o.block[i] = (struct sl_sack_block){10 * i, 10 * i + 5};
		memset(g, 0xee, 40);
		unsigned n = sl_options_write(g, &o);
		CU_ASSERT_EQUAL(n, fixed + (fit ? 4 + 8 * fit : 0));
		CU_ASSERT_TRUE(n % 4 == 0 && n <= 40 && (n == 40 || g[n] == 0xee));
		CU_ASSERT_TRUE_FATAL(sl_options_parse(g, n, true, &back));
		CU_ASSERT_EQUAL(back.block_cnt, fit);
		o.block_cnt = (uint8_t)fit;
		for (unsigned i = fit; i < 4; i++)
			o.block[i] = (struct sl_sack_block){0};
		CU_ASSERT_EQUAL(memcmp(&o, &back, sizeof(o)), 0);
	}
	guard_free(g, 40);
}

SL_SUITE("options", SL_TEST(the_options_of_a_syn_are_read_in_any_order),
	 SL_TEST(behind_a_syn_mss_scale_and_sack_permitted_do_not_count),
	 SL_TEST(timestamps_and_sack_blocks_are_read),
	 SL_TEST(what_is_told_too_large_or_too_small_is_made_fit),
	 SL_TEST(malformed_options_are_refused_and_unknown_ones_passed_over),
	 SL_TEST(random_bytes_are_read_within_their_bounds),
	 SL_TEST(what_is_written_has_the_usual_form), SL_TEST(what_is_written_is_read_back))
