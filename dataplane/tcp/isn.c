/* ISN = M + F (RFC 6528): M ticks each 4 µs, F is keyed, of the tuple: the numbers of one tuple rise with time from one
 * connection to the next, and those of others say nothing of it.
 *
 *   tuple ── keyed hash (lb/hash.h) ──▶ 64 bits ┐
 *                                               ├─▶ one block ── ten AES rounds ──▶ low half: 64 bits
 *   what, 64 bits ──────────────────────────────┘
 *
 * The keyed hash alone has four rounds, enough for buckets that nobody sees.  These numbers are seen, so they get as many
 * rounds as AES has.  The four keys come round again, each time with another constant. */
#include "dataplane/tcp/tcp_priv.h"

#include <immintrin.h>

#define ROUNDS 10

uint64_t
sl_isn_mac(const struct sl_tcp *t, const struct sl_tuple *tuple, uint64_t what)
{
	const __m128i *k = (const __m128i *)(const void *)t->isn_key.b;
	uint64_t hash = sl_hash_tuple_keyed(&t->isn_key, tuple);
	__m128i v = _mm_set_epi64x((int64_t)what, (int64_t)hash);

	v = _mm_xor_si128(v, k[3]);
	for (unsigned i = 0; i < ROUNDS; i++)
		v = _mm_aesenc_si128(v, _mm_xor_si128(k[i % 4], _mm_set1_epi32((int)(i + 1))));
	return (uint64_t)_mm_cvtsi128_si64(v);
}

uint32_t
sl_isn(const struct sl_tcp *t, const struct sl_tuple *tuple)
{
	return (uint32_t)(t->now_ns / 4000) + (uint32_t)sl_isn_mac(t, tuple, SL_MAC_ISN);
}

uint32_t
sl_isn_ts_offset(const struct sl_tcp *t, const struct sl_tuple *tuple)
{
	return (uint32_t)(sl_isn_mac(t, tuple, SL_MAC_ISN) >> 32);
}

/* What is spent runs ahead of time, at most by one second: per_s tokens at once. */
bool
sl_tcp_token(const struct sl_tcp *t, uint64_t *spent_ns, unsigned per_s)
{
	uint64_t from = SL_MAX(*spent_ns, t->now_ns), each = 1000000000 / per_s;

	if (from + each > t->now_ns + 1000000000)
		return false;
	*spent_ns = from + each;
	return true;
}
