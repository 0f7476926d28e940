/* base — what every room may use: alignment, assertions, byte order, branches.
 *
 * Threads: [any]. Pure: no EAL, no clock, no globals.
 */
#ifndef SLUICE_BASE_H
#define SLUICE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SL_CACHE_LINE 64
#define SL_ALIGNED _Alignas(SL_CACHE_LINE)

#define sl_likely(x) __builtin_expect(!!(x), 1)
#define sl_unlikely(x) __builtin_expect(!!(x), 0)
#define SL_COLD __attribute__((noinline, cold))
#define sl_prefetch(p) __builtin_prefetch((p), 0, 3)
#define sl_prefetch_w(p) __builtin_prefetch((p), 1, 3)

#define SL_ARRAY_CNT(a) (sizeof(a) / sizeof((a)[0]))
#define SL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SL_MAX(a, b) ((a) > (b) ? (a) : (b))

/* SL_ASSERT checks our own invariants in debug builds.  Never on input. */
#ifdef NDEBUG
#define SL_ASSERT(x) ((void)0)
#else
#define SL_ASSERT(x) assert(x)
#endif

/* Parsers answer > 0 (bytes consumed), SL_PARTIAL or SL_BAD. */
enum { SL_PARTIAL = 0, SL_BAD = -1 };

/* Scalars in network byte order.  Convert with the functions below only. */
typedef uint16_t sl_be16;
typedef uint32_t sl_be32;

static inline uint16_t
sl_bswap16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint32_t
sl_bswap32(uint32_t v)
{
	return __builtin_bswap32(v);
}

/* Host order is little-endian: the project runs on x86-64 only. */
#define sl_to_be16(v) sl_bswap16((uint16_t)(v))
#define sl_from_be16(v) sl_bswap16((uint16_t)(v))
#define sl_to_be32(v) sl_bswap32((uint32_t)(v))
#define sl_from_be32(v) sl_bswap32((uint32_t)(v))

/* Unaligned loads and stores of packet bytes. */
static inline uint16_t
sl_load16(const void *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t
sl_load32(const void *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t
sl_load64(const void *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void
sl_store16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void
sl_store32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void
sl_store64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

#endif
