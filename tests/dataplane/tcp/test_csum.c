/* Sums against one byte pair after the other, at every length and alignment, up to the last byte of a page. */
#include "dataplane/tcp/tcp_priv.h"

#include "tests/suite.h"

#define LEN 3000

/* RFC 1071, of words as they lie in memory; all ones and 0 are kept apart. */
static uint16_t
naive(const uint8_t *b, size_t n)
{
	uint32_t s = 0;

	for (size_t i = 0; i < n; i++) {
		s += (uint32_t)b[i] << i % 2 * 8;
		s = (s & 0xffff) + (s >> 16);
	}
	return (uint16_t)((s & 0xffff) + (s >> 16));
}

static void
fill(uint8_t *b, size_t n, unsigned seed)
{
	srandom(seed);
	for (size_t i = 0; i < n; i++)
		b[i] = (uint8_t)random();
}

static void
sums_agree_at_every_length_and_offset(void)
{
	uint8_t *g = guard_buf(LEN + 64);
	unsigned wrong = 0;

	fill(g, LEN + 64, 1);
	for (size_t n = 0; n <= LEN; n++) {
		/* the last one ends at the page's end */
		for (size_t off = 0; off <= 64; off += n < 300 ? 1 : 7 + n % 11) {
			const uint8_t *b = off + n > LEN ? g + LEN + 64 - n : g + off;
			wrong += sl_tcp_sum_fold(sl_tcp_sum(b, n)) != naive(b, n);
		}
		const uint8_t *end = g + LEN + 64 - n;
		wrong += sl_tcp_sum_fold(sl_tcp_sum(end, n)) != naive(end, n);
	}
	guard_free(g, LEN + 64);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
copies_are_the_same_bytes_and_the_same_sum(void)
{
	uint8_t *from = guard_buf(LEN), *to = guard_buf(LEN + 64);
	unsigned wrong = 0;

	fill(from, LEN, 2);
	for (size_t n = 0; n <= LEN; n++) {
		const uint8_t *b = from + LEN - n;
		size_t off = n % 64;
		uint8_t *a = n % 2 ? to + off : to + LEN + 64 - n;
		memset(to, 0x55, LEN + 64);
		wrong += sl_tcp_copy_sum(a, b, n) != sl_tcp_sum(b, n);
		wrong += n > 0 && memcmp(a, b, n) != 0;
		wrong += a > to && a[-1] != 0x55;
		wrong += a + n < to + LEN + 64 && a[n] != 0x55;
	}
	guard_free(from, LEN);
	guard_free(to, LEN + 64);
	CU_ASSERT_EQUAL(wrong, 0);
}

static void
no_carry_is_lost_when_all_bits_are_set(void)
{
	static uint8_t b[65536];

	memset(b, 0xff, sizeof(b));
	for (size_t n = 0; n <= sizeof(b); n += n < 300 ? 1 : 997)
		CU_ASSERT_EQUAL(sl_tcp_sum_fold(sl_tcp_sum(b, n)), naive(b, n));
}

static void
only_zeros_sum_up_to_zero(void)
{
	static uint8_t b[512];

	CU_ASSERT_EQUAL(sl_tcp_sum(b, 0), 0);
	CU_ASSERT_EQUAL(sl_tcp_sum(b, sizeof(b)), 0);
	for (size_t i = 0; i < sizeof(b); i++) {
		b[i] = 1;
		CU_ASSERT_NOT_EQUAL(sl_tcp_sum(b, sizeof(b)), 0);
		b[i] = 0;
	}
}

static void
sums_of_pieces_add_up_to_that_of_the_whole(void)
{
	static uint8_t b[1448];
	unsigned wrong = 0;

	fill(b, sizeof(b), 3);
	for (size_t cut = 0; cut <= sizeof(b); cut++) {
		uint32_t head = sl_tcp_sum(b, cut), rest = sl_tcp_sum(b + cut, sizeof(b) - cut);
		if (cut % 2)
			rest = sl_tcp_sum_odd(rest);
		wrong += sl_tcp_sum_fold(sl_tcp_sum_add(head, rest)) != naive(b, sizeof(b));
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

SL_SUITE("csum", SL_TEST(sums_agree_at_every_length_and_offset),
	 SL_TEST(copies_are_the_same_bytes_and_the_same_sum),
	 SL_TEST(no_carry_is_lost_when_all_bits_are_set), SL_TEST(only_zeros_sum_up_to_zero),
	 SL_TEST(sums_of_pieces_add_up_to_that_of_the_whole))
