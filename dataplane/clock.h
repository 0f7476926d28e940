/* clock — the worker clock: CLOCK_MONOTONIC and an hour, in ns, read from the TSC.
 *
 * It goes on across processes, as the flow tables do.  Between two calls of sl_clock_follow it runs by the TSC, a little
 * slower than measured, so that following is a step forward; readers never see it go back.
 *
 * Threads: init and follow [main], the rest [any].  Needs an invariant TSC, as DPDK does.
 */
#ifndef SL_DATAPLANE_CLOCK_H
#define SL_DATAPLANE_CLOCK_H

#include "sluice/base.h"

#include <stdatomic.h>
#include <x86intrin.h>

#define SL_CLOCK_AHEAD_NS (3600ull * 1000000000u) /* of CLOCK_MONOTONIC */
#define SL_CLOCK_SLOW 2000 /* one part in so many: more than a clock is ever slewed */

struct sl_clock {
	uint64_t start;       /* TSC at init */
	uint64_t ns_per_2_32; /* ns of 2^32 ticks */
	uint64_t slow_2_32;   /* the same, as time goes on with it */
	_Atomic uint64_t base_ns;
	uint64_t (*monotonic_ns)(void); /* CLOCK_MONOTONIC; [any] */
};

/* now_ns: what monotonic_ns says now.  Time 0 is an hour before its 0, so that ages can be subtracted from it. */
static inline void
sl_clock_init(struct sl_clock *c, uint64_t ticks_per_s, uint64_t now_ns,
	      uint64_t (*monotonic_ns)(void))
{
	c->start = __rdtsc();
	c->ns_per_2_32 = (uint64_t)(((unsigned __int128)1000000000u << 32) / ticks_per_s);
	c->slow_2_32 = c->ns_per_2_32 - c->ns_per_2_32 / SL_CLOCK_SLOW;
	c->base_ns = SL_CLOCK_AHEAD_NS + now_ns;
	c->monotonic_ns = monotonic_ns;
}

static inline uint64_t
sl_clock_ns(const struct sl_clock *c, uint64_t ticks)
{
	return (uint64_t)(((unsigned __int128)ticks * c->ns_per_2_32) >> 32);
}

static inline uint64_t
sl_clock_at(const struct sl_clock *c, uint64_t tsc)
{
	/* relaxed: one word, and nothing else goes by it */
	return atomic_load_explicit(&c->base_ns, memory_order_relaxed) +
	       (uint64_t)(((unsigned __int128)(tsc - c->start) * c->slow_2_32) >> 32);
}

static inline uint64_t
sl_clock_now(const struct sl_clock *c)
{
	return sl_clock_at(c, __rdtsc());
}

/* sl_clock_exact: on the same scale, and never behind: for what must not be a moment early.  Some 20 ns and more. */
static inline uint64_t
sl_clock_exact(const struct sl_clock *c)
{
	return SL_CLOCK_AHEAD_NS + c->monotonic_ns();
}

/* sl_clock_follow brings it up to CLOCK_MONOTONIC; about once a second. */
static inline void
sl_clock_follow(struct sl_clock *c, uint64_t monotonic_ns)
{
	uint64_t now = sl_clock_now(c), due = SL_CLOCK_AHEAD_NS + monotonic_ns;

	if (due > now)
		atomic_fetch_add_explicit(&c->base_ns, due - now, memory_order_relaxed);
}

#endif
