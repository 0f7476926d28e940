/* Words of 32 bits are added up in lanes of 64, so that no carry is lost: of 32 bytes the even words and the odd ones go to
 * sums of their own.  The folds are end-around: 2^64 and 2^32 are 1 modulo 2^16 - 1, and what is not 0 stays so. */
#include "dataplane/tcp/tcp_priv.h"

#include <immintrin.h>

#define WIDE 32

static inline uint32_t
fold64(uint64_t s)
{
	s = (s & UINT32_MAX) + (s >> 32);
	return (uint32_t)(s + (s >> 32));
}

static inline uint64_t
add64(uint64_t a, uint64_t b)
{
	unsigned long long s;
	bool carry = __builtin_add_overflow(a, b, &s);

	return s + carry;
}

/* The sum of four lanes, each below 2^62. */
static inline uint64_t
lanes(__m256i v)
{
	__m128i h = _mm_add_epi64(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));

	return (uint64_t)_mm_cvtsi128_si64(h) + (uint64_t)_mm_extract_epi64(h, 1);
}

/* One step of 32 bytes at `at`: to even and odd. */
#define STEP(at, even, odd)                                                                        \
	do {                                                                                       \
		__m256i v_ = _mm256_loadu_si256((const __m256i *)(const void *)(from + (at)));     \
		if (copy)                                                                          \
			_mm256_storeu_si256((__m256i *)(void *)(to + (at)), v_);                   \
		even = _mm256_add_epi64(even, _mm256_and_si256(v_, low));                          \
		odd = _mm256_add_epi64(odd, _mm256_srli_epi64(v_, 32));                            \
	} while (0)

static inline __attribute__((always_inline)) uint64_t
sum_wide(uint8_t *to, const uint8_t *from, size_t n, bool copy)
{
	const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
	__m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
	size_t at = 0;

	for (; n - at >= 4 * WIDE; at += 4 * WIDE) {
		STEP(at, a, b);
		STEP(at + WIDE, c, d);
		STEP(at + 2 * WIDE, a, b);
		STEP(at + 3 * WIDE, c, d);
	}
	for (; n - at >= WIDE; at += WIDE)
		STEP(at, a, b);
	return lanes(_mm256_add_epi64(_mm256_add_epi64(a, b), _mm256_add_epi64(c, d)));
}

/* Fewer than eight bytes, as one word filled up with 0. */
static inline uint64_t
last_word(const uint8_t *from, size_t n)
{
	uint64_t v = 0;

	if (n & 4) {
		v = sl_load32(from);
		from += 4;
	}
	if (n & 2) {
		v |= (uint64_t)sl_load16(from) << 8 * (n & 4);
		from += 2;
	}
	return n & 1 ? v | (uint64_t)*from << 8 * (n & 6) : v;
}

static inline void
store_last(uint8_t *to, uint64_t v, size_t n)
{
	if (n & 4) {
		sl_store32(to, (uint32_t)v);
		v >>= 32;
		to += 4;
	}
	if (n & 2) {
		sl_store16(to, (uint16_t)v);
		v >>= 16;
		to += 2;
	}
	if (n & 1)
		*to = (uint8_t)v;
}

static inline __attribute__((always_inline)) uint32_t
sum(uint8_t *to, const uint8_t *from, size_t n, bool copy)
{
	size_t at = n / WIDE * WIDE;
	uint64_t s = at ? sum_wide(to, from, at, copy) : 0;

	for (; n - at >= 8; at += 8) {
		uint64_t v = sl_load64(from + at);
		if (copy)
			sl_store64(to + at, v);
		s = add64(s, v);
	}
	if (n - at) {
		uint64_t v = last_word(from + at, n - at);
		if (copy)
			store_last(to + at, v, n - at);
		s = add64(s, v);
	}
	return fold64(s);
}

uint32_t
sl_tcp_sum(const uint8_t *bytes, size_t n)
{
	return sum(NULL, bytes, n, false);
}

uint32_t
sl_tcp_copy_sum(uint8_t *to, const uint8_t *from, size_t n)
{
	return sum(to, from, n, true);
}
