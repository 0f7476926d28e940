/* clock — the worker clock: nanoseconds since boot of the process, from the TSC.
 *
 * Threads: init [main], the rest [any].  Needs an invariant TSC, as DPDK does.
 */
#ifndef SL_DATAPLANE_CLOCK_H
#define SL_DATAPLANE_CLOCK_H

#include "sluice/base.h"

#include <x86intrin.h>

struct sl_clock {
	uint64_t start;       /* TSC at init */
	uint64_t ns_per_2_32; /* ns of 2^32 ticks */
};

static inline void
sl_clock_init(struct sl_clock *c, uint64_t ticks_per_s)
{
	c->start = __rdtsc();
	c->ns_per_2_32 = (uint64_t)(((unsigned __int128)1000000000u << 32) / ticks_per_s);
}

static inline uint64_t
sl_clock_ns(const struct sl_clock *c, uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * c->ns_per_2_32) >> 32);
}

/* Time 0 is an hour before init, so that ages can be subtracted from it. */
static inline uint64_t
sl_clock_at(const struct sl_clock *c, uint64_t tsc)
{
	return 3600ull * 1000000000u + sl_clock_ns(c, tsc - c->start);
}

static inline uint64_t
sl_clock_now(const struct sl_clock *c)
{
	return sl_clock_at(c, __rdtsc());
}

#endif
