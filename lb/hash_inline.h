/* hash_inline — the bodies of hash.h.
 *
 * keyed:   the tuple is three AES blocks (source, destination, tail).  Each goes through two rounds under
 *          keys of its own order, the three are added (xor), two more rounds follow:
 *
 *            src ^ k0 ─▶ round k1 ─▶ round k2 ─┐
 *            dst ^ k1 ─▶ round k2 ─▶ round k3 ─┼ xor ─▶ round k0 ─▶ round k3 ─▶ low 64 bits
 *            tail ^ k2 ▶ round k3 ─▶ round k0 ─┘
 *
 *          Two rounds carry every bit into every byte, so each input bit meets that twice; the lanes run
 *          side by side, 16 cycles of latency in all.
 * agreed:  chain of 64 × 64 → 128 multiplications whose halves are folded, and a last avalanche, so that
 *          both the high bits (a place of a table) and the low ones (admission) are good.  These values
 *          are part of the agreement between gateways: they never change (tests hold known answers).
 */
#ifndef SL_LB_HASH_INLINE_H
#define SL_LB_HASH_INLINE_H

#include <immintrin.h>

static inline uint64_t
sl_hash_tuple_keyed(const struct sl_hash_key *key, const struct sl_tuple *t)
{
	const __m128i *k = (const __m128i *)(const void *)key->b;
	__m128i k0 = _mm_load_si128(k), k1 = _mm_load_si128(k + 1);
	__m128i k2 = _mm_load_si128(k + 2), k3 = _mm_load_si128(k + 3);
	__m128i a = _mm_loadu_si128((const __m128i *)(const void *)t->src.b);
	__m128i b = _mm_loadu_si128((const __m128i *)(const void *)t->dst.b);
	__m128i c = _mm_loadl_epi64((const __m128i *)(const void *)&t->sport);

	a = _mm_aesenc_si128(_mm_aesenc_si128(_mm_xor_si128(a, k0), k1), k2);
	b = _mm_aesenc_si128(_mm_aesenc_si128(_mm_xor_si128(b, k1), k2), k3);
	c = _mm_aesenc_si128(_mm_aesenc_si128(_mm_xor_si128(c, k2), k3), k0);
	a = _mm_xor_si128(_mm_xor_si128(a, b), c);
	a = _mm_aesenc_si128(_mm_aesenc_si128(a, k0), k3);
	return (uint64_t)_mm_cvtsi128_si64(a);
}

/* Odd constants without structure: digits of π (SHA-512's K are of another family). */
#define SL_HASH_P0 0x243f6a8885a308d3ull
#define SL_HASH_P1 0x13198a2e03707345ull
#define SL_HASH_P2 0xa4093822299f31d1ull
#define SL_HASH_P3 0x082efa98ec4e6c89ull

static inline uint64_t
sl_hash_fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t
sl_hash_start(uint64_t seed, unsigned salt)
{
	return sl_hash_fold(seed ^ SL_HASH_P0, (salt + 1) * SL_HASH_P1 ^ SL_HASH_P2) + seed;
}

static inline uint64_t
sl_hash_step(uint64_t h, uint64_t a, uint64_t b)
{
	return sl_hash_fold(a ^ h, b ^ SL_HASH_P1) + (h ^ SL_HASH_P3);
}

static inline uint64_t
sl_hash_end(uint64_t h)
{
	h = (h ^ h >> 32) * SL_HASH_P3;
	h = (h ^ h >> 29) * SL_HASH_P2;
	return h ^ h >> 32;
}

static inline uint64_t
sl_hash_tuple(uint64_t seed, const struct sl_tuple *t, unsigned salt)
{
	uint64_t h = sl_hash_start(seed, salt);

	h = sl_hash_step(h, sl_load64(t->src.b), sl_load64(t->src.b + 8));
	h = sl_hash_step(h, sl_load64(t->dst.b), sl_load64(t->dst.b + 8));
	h = sl_hash_step(h, sl_load64(&t->sport), SL_HASH_P0);
	return sl_hash_end(h);
}

static inline uint64_t
sl_hash_addr(uint64_t seed, const struct sl_addr *a, unsigned salt)
{
	uint64_t h = sl_hash_start(seed, salt);

	h = sl_hash_step(h, sl_load64(a->b), sl_load64(a->b + 8));
	return sl_hash_end(h);
}

#endif
