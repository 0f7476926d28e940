/* match_bytes — comparing and hashing short byte strings, in their case or with A–Z and a–z alike.
 *
 * Never a byte behind the end is read.  Hashes are for tables whose entries the operator wrote: whoever sends requests cannot
 * put anything into them; what decides is compared.  Pure.  Threads: [any].
 */
#ifndef SL_L7_MATCH_BYTES_H
#define SL_L7_MATCH_BYTES_H

#include "sluice/base.h"

#define SL_BYTES_ALL(b) (0x0101010101010101ull * (uint8_t)(b))

static inline uint8_t
sl_byte_fold(uint8_t c)
{
	return (uint8_t)(c - 'A') < 26 ? c | 0x20 : c;
}

/* Eight bytes at once: 0x20 is added to those in A–Z. */
static inline uint64_t
sl_bytes_fold8(uint64_t w)
{
	uint64_t low = w & SL_BYTES_ALL(0x7f);
	uint64_t from_a = low + SL_BYTES_ALL(0x80 - 'A');
	uint64_t past_z = low + SL_BYTES_ALL(0x80 - 'Z' - 1);

	return w + (((from_a & ~past_z & ~w) & SL_BYTES_ALL(0x80)) >> 2);
}

/* The n < 8 bytes at p, 0 above them. */
static inline uint64_t
sl_bytes_tail(const uint8_t *p, uint32_t n)
{
	if (n >= 4)
		return sl_load32(p) | (uint64_t)sl_load32(p + n - 4) << (n - 4) * 8;
	if (n == 0)
		return 0;
	return p[0] | (uint64_t)p[n >> 1] << (n >> 1) * 8 | (uint64_t)p[n - 1] << (n - 1) * 8;
}

static inline uint64_t
sl_bytes_first8(const uint8_t *p, uint32_t n, bool fold)
{
	uint64_t w = n >= 8 ? sl_load64(p) : sl_bytes_tail(p, n);

	return fold ? sl_bytes_fold8(w) : w;
}

/* fold: a is folded, b is in lower case. */
static inline bool
sl_bytes_eq(const uint8_t *a, const uint8_t *b, uint32_t n, bool fold)
{
	for (; n >= 8; a += 8, b += 8, n -= 8)
		if (sl_bytes_first8(a, 8, fold) != sl_load64(b))
			return false;
	return sl_bytes_first8(a, n, fold) == sl_bytes_tail(b, n);
}

/* 32 bits of h are used and given: what bytes are alike in them is told apart by comparing. */
static inline uint64_t
sl_bytes_hash(uint64_t h, const uint8_t *p, uint32_t n, bool fold)
{
	h ^= n;
	for (; n >= 8; p += 8, n -= 8)
		h = __builtin_ia32_crc32di(h, sl_bytes_first8(p, 8, fold));
	return n ? __builtin_ia32_crc32di(h, sl_bytes_first8(p, n, fold)) : h;
}

/* From a hash and what else an entry goes by, to well spread bits. */
static inline uint64_t
sl_bytes_mix(uint64_t h, uint64_t w)
{
	h = (h ^ w) * 0x9fb21c651e98df25ull;
	return h ^ h >> 32;
}

#endif
