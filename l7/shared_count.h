/* shared_count — how many connections there are, of all workers, against a limit.  Taken when one opens and given back when it
 * ends, relaxed: a number, nothing is ordered by it.  Threads: [worker]. */
#ifndef SL_L7_SHARED_COUNT_H
#define SL_L7_SHARED_COUNT_H

#include "sluice/base.h"

#include <stdatomic.h>

static inline bool
sl_shared_count_full(_Atomic uint32_t *cnt, uint32_t max)
{
	return max && atomic_load_explicit(cnt, memory_order_relaxed) >= max;
}

static inline void
sl_shared_count_give(_Atomic uint32_t *cnt)
{
	atomic_fetch_sub_explicit(cnt, 1, memory_order_relaxed);
}

/* A number is taken first and given back when it is too high, so that two workers never both take the last one. */
static inline bool
sl_shared_count_take(_Atomic uint32_t *cnt, uint32_t max)
{
	if (atomic_fetch_add_explicit(cnt, 1, memory_order_relaxed) < max || max == 0)
		return true;
	sl_shared_count_give(cnt);
	return false;
}

#endif
