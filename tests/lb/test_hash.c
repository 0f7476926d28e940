#include "lb/hash.h"

#include <math.h>

#include "tests/suite.h"

static uint64_t rng = 9;

static uint64_t
draw(void)
{
	rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = rng;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static struct sl_hash_key
random_key(void)
{
	struct sl_hash_key key;

	for (unsigned i = 0; i < sizeof(key.b); i++)
		key.b[i] = (uint8_t)draw();
	return key;
}

static struct sl_tuple
random_tuple(void)
{
	struct sl_tuple t = {.proto = draw() & 1 ? SL_IPPROTO_TCP : SL_IPPROTO_UDP};

	for (unsigned i = 0; i < 36; i++)
		((uint8_t *)&t)[i] = (uint8_t)draw();
	return t;
}

static struct sl_hash_key the_key;

static uint64_t
keyed(const struct sl_tuple *t)
{
	return sl_hash_tuple_keyed(&the_key, t);
}

static uint64_t
agreed(const struct sl_tuple *t)
{
	return sl_hash_tuple(0x5eed, t, 3);
}

/* Each input bit must turn each output bit about half the time. */
static void
assert_avalanche(uint64_t (*hash)(const struct sl_tuple *))
{
	enum { ROUNDS = 2000, BITS = 37 * 8 };
	static uint32_t turned[BITS][64];
	double worst = 0;

	memset(turned, 0, sizeof(turned));
	for (unsigned r = 0; r < ROUNDS; r++) {
		struct sl_tuple t = random_tuple();
		uint64_t h = hash(&t);
		for (unsigned in = 0; in < BITS; in++) {
			((uint8_t *)&t)[in / 8] ^= (uint8_t)(1u << in % 8);
			uint64_t d = h ^ hash(&t);
			((uint8_t *)&t)[in / 8] ^= (uint8_t)(1u << in % 8);
			for (unsigned out = 0; out < 64; out++)
				turned[in][out] += d >> out & 1;
		}
	}
	for (unsigned in = 0; in < BITS; in++)
		for (unsigned out = 0; out < 64; out++)
			worst = fmax(worst, fabs(turned[in][out] / (double)ROUNDS - 0.5));
	/* 19,000 coins thrown 2,000 times: the worst is near 4.4 σ = 0.05. */
	if (worst > 0.07)
		printf("  worst bias %f\n", worst);
	CU_ASSERT(worst < 0.07);
}

static void
keyed_every_input_bit_turns_every_output_bit(void)
{
	the_key = random_key();
	assert_avalanche(keyed);
}

static void
agreed_every_input_bit_turns_every_output_bit(void)
{
	assert_avalanche(agreed);
}

/* χ² over `bins` of tuples that differ little, as clients of one network do. */
static double
chi_square(uint64_t (*hash)(const struct sl_tuple *), uint32_t bins, unsigned shift)
{
	enum { CNT = 1 << 18 };
	uint32_t *bin = calloc(bins, sizeof(*bin));
	struct sl_tuple t = {.proto = 6, .dport = 80};
	double chi = 0, want = (double)CNT / bins;

	CU_ASSERT_PTR_NOT_NULL_FATAL(bin);
	t.src = sl_addr_from_v4("\x0a\0\0\0");
	t.dst = sl_addr_from_v4("\xc0\0\2\1");
	for (uint32_t i = 0; i < CNT; i++) {
		t.src.b[15] = (uint8_t)i;
		t.src.b[14] = (uint8_t)(i >> 8 & 3);
		t.sport = (sl_be16)(i >> 10);
		bin[sl_hash_reduce(hash(&t) << shift, bins)]++;
	}
	for (uint32_t i = 0; i < bins; i++)
		chi += (bin[i] - want) * (bin[i] - want) / want;
	free(bin);
	return (chi - bins) / sqrt(2.0 * bins);
}

static void
neighbouring_tuples_spread_evenly(void)
{
	static const uint32_t bins[] = {101, 256, 1000, 4096, 65537 / 8};

	for (unsigned k = 0; k < 8; k++) {
		the_key = random_key();
		for (unsigned i = 0; i < SL_ARRAY_CNT(bins); i++) {
			CU_ASSERT(fabs(chi_square(keyed, bins[i], 0)) < 5);
			CU_ASSERT(fabs(chi_square(keyed, bins[i], 48)) < 5);
		}
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(bins); i++) {
		CU_ASSERT(fabs(chi_square(agreed, bins[i], 0)) < 5);
		CU_ASSERT(fabs(chi_square(agreed, bins[i], 48)) < 5);
	}
}

static void
another_key_is_another_hash(void)
{
	struct sl_hash_key key = random_key();
	struct sl_tuple t = random_tuple();
	uint64_t h = sl_hash_tuple_keyed(&key, &t);

	for (unsigned i = 0; i < 512; i++) {
		key.b[i / 8] ^= (uint8_t)(1u << i % 8);
		CU_ASSERT_NOT_EQUAL(sl_hash_tuple_keyed(&key, &t), h);
		key.b[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	CU_ASSERT_EQUAL(sl_hash_tuple_keyed(&key, &t), h);
}

/* Two tuples that collide under one key must not do so under another: collisions over 2^16 values that an
 * attacker found with a known key are gone with the next. */
static void
collisions_of_one_key_mean_nothing_for_the_next(void)
{
	struct sl_hash_key mine = random_key(), theirs = random_key();
	unsigned same = 0, tried = 0;

	for (struct sl_tuple t = random_tuple(); tried < 200; t.src.b[3]++) {
		for (unsigned i = 0; i < 65536 && tried < 200; i++) {
			t.sport = (sl_be16)i;
			if (sl_hash_reduce(sl_hash_tuple_keyed(&mine, &t), 1024) != 0)
				continue;
			tried++;
			same += sl_hash_reduce(sl_hash_tuple_keyed(&theirs, &t), 1024) == 0;
		}
	}
	CU_ASSERT(same < 6);
}

static void
salts_and_seeds_are_independent(void)
{
	enum { CNT = 20000 };
	unsigned same_salt = 0, same_seed = 0, bits = 0;

	for (unsigned i = 0; i < CNT; i++) {
		struct sl_tuple t = random_tuple();
		unsigned a = (unsigned)(draw() % 9), b = (a + 1 + (unsigned)(draw() % 8)) % 9;
		uint64_t x = sl_hash_tuple(1, &t, a), y = sl_hash_tuple(1, &t, b);
		same_salt += sl_hash_reduce(x, 100) == sl_hash_reduce(y, 100);
		same_seed += sl_hash_reduce(x, 100) == sl_hash_reduce(sl_hash_tuple(2, &t, a), 100);
		bits += (unsigned)__builtin_popcountll(x ^ y);
	}
	CU_ASSERT(same_salt > 130 && same_salt < 270);
	CU_ASSERT(same_seed > 130 && same_seed < 270);
	CU_ASSERT(fabs(bits / (double)CNT - 32) < 0.3);
}

/* The place in a table (high bits) and the draw against a fraction (low 8 bits) do not know each other. */
static void
high_and_low_bits_are_independent(void)
{
	unsigned both = 0;

	for (unsigned i = 0; i < 40000; i++) {
		struct sl_tuple t = random_tuple();
		uint64_t h = agreed(&t);
		both += sl_hash_reduce(h, 2) == 0 && (uint8_t)h < 64;
	}
	CU_ASSERT(both > 4700 && both < 5300);
}

/* Gateways of different versions must agree: these values are for ever. */
static void
agreed_hashes_give_the_known_answers(void)
{
	struct sl_tuple t4 = {.sport = sl_to_be16(40000), .dport = sl_to_be16(443), .proto = 6};
	struct sl_tuple t6 = {.sport = sl_to_be16(1), .dport = sl_to_be16(53), .proto = 17};

	CU_ASSERT_EQUAL_FATAL(sl_addr_parse("192.0.2.7", &t4.src), 0);
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse("198.51.100.1", &t4.dst), 0);
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse("2001:db8::7", &t6.src), 0);
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse("2001:db8:1::1", &t6.dst), 0);
	const struct {
		uint64_t got, want;
	} rows[] = {
		{sl_hash_tuple(0, &t4, 0), 0xd695075a9d69f84bull},
		{sl_hash_tuple(0x0123456789abcdefull, &t4, 0), 0x451e0412264d294eull},
		{sl_hash_tuple(0x0123456789abcdefull, &t4, 7), 0x6cac669ed4fb3a75ull},
		{sl_hash_tuple(0x0123456789abcdefull, &t6, 0), 0x03f9e5b235923dd7ull},
		{sl_hash_addr(0x0123456789abcdefull, &t4.src, 0), 0x950b66eac8b55fa3ull},
		{sl_hash_addr(0x0123456789abcdefull, &t6.src, 2), 0x86a8804f69862a10ull},
		{sl_hash_name(0x0123456789abcdefull, "", 0, 0), 0x5441b356350e2a2aull},
		{sl_hash_name(0x0123456789abcdefull, "web-1", 5, 0), 0x7cefb69b2084306bull},
		{sl_hash_name(0x0123456789abcdefull, "web-1", 5, 1), 0x518b0d77cec712b9ull},
		{sl_hash_name(0x0123456789abcdefull, "a.name.of.just.32.bytes.for.test", 32, 0),
		 0xc46420b0d00d514bull},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		if (rows[i].got != rows[i].want)
			printf("  row %u: 0x%016llxull\n", i, (unsigned long long)rows[i].got);
		CU_ASSERT_EQUAL(rows[i].got, rows[i].want);
	}
}

static void
names_are_hashed_whole_and_no_further(void)
{
	for (size_t n = 0; n <= 64; n++) {
		char *b = (char *)guard_buf(n);
		memset(b, 'a', n);
		uint64_t h = sl_hash_name(5, b, n, 0);
		for (size_t i = 0; i < n; i++) {
			b[i] ^= 1;
			CU_ASSERT_NOT_EQUAL(sl_hash_name(5, b, n, 0), h);
			b[i] ^= 1;
		}
		/* A zero byte at the end is content, not padding. */
		char longer[65] = {0};
		memcpy(longer, b, n);
		CU_ASSERT_NOT_EQUAL(sl_hash_name(5, longer, n + 1, 0), h);
		guard_free((uint8_t *)b, n);
	}
}

static void
reduce_stays_in_range_and_is_monotonic(void)
{
	CU_ASSERT_EQUAL(sl_hash_reduce(0, 7), 0);
	CU_ASSERT_EQUAL(sl_hash_reduce(UINT64_MAX, 7), 6);
	CU_ASSERT_EQUAL(sl_hash_reduce(UINT64_MAX, 1), 0);
	CU_ASSERT_EQUAL(sl_hash_reduce(UINT64_MAX, UINT32_MAX), UINT32_MAX - 1);
	CU_ASSERT_EQUAL(sl_hash_reduce(1ull << 63, 1000), 500);
}

SL_SUITE("hash", SL_TEST(keyed_every_input_bit_turns_every_output_bit),
	 SL_TEST(agreed_every_input_bit_turns_every_output_bit),
	 SL_TEST(neighbouring_tuples_spread_evenly), SL_TEST(another_key_is_another_hash),
	 SL_TEST(collisions_of_one_key_mean_nothing_for_the_next),
	 SL_TEST(salts_and_seeds_are_independent), SL_TEST(high_and_low_bits_are_independent),
	 SL_TEST(agreed_hashes_give_the_known_answers),
	 SL_TEST(names_are_hashed_whole_and_no_further),
	 SL_TEST(reduce_stays_in_range_and_is_monotonic))
