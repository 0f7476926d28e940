/* wheel — the timers of one worker: hierarchical timing wheel (Varghese and Lauck 1987, scheme 6).
 *
 * Owner:   the worker.  An entry lies in what it times; nothing is allocated.
 * Units:   ticks of 2^18 ns (262 µs), 32 bits, wrapping: deadlines lie less than 2^31 ticks ahead.
 * Cost:    set, stop: O(1).  run: the slots passed since the last one, and each entry moves down at most three levels.
 */
#ifndef SL_DATAPLANE_TCP_WHEEL_H
#define SL_DATAPLANE_TCP_WHEEL_H

#include "sluice/base.h"

#define SL_TICK_SHIFT 18
#define SL_WHEEL_SLOTS 256
#define SL_WHEEL_LEVELS 4

struct sl_timer {
	struct sl_timer *next, **at; /* at: what points here; NULL: not set */
	uint32_t due;                /* tick */
};

struct sl_wheel {
	uint32_t now;          /* everything due before or at this tick has been called */
	uint32_t cnt;          /* timers set */
	struct sl_timer *late; /* not called yet: the budget was used up, or set in the past */
	uint64_t full[SL_WHEEL_LEVELS][SL_WHEEL_SLOTS / 64]; /* bit: the slot may hold something */
	struct sl_timer *slot[SL_WHEEL_LEVELS][SL_WHEEL_SLOTS];
};

typedef void sl_wheel_fn(void *ctx, struct sl_timer *timer);

void sl_wheel_init(struct sl_wheel *w, uint32_t now);
/* sl_wheel_set puts the timer at tick `due` (in the past: called with the next run), wherever it was before. */
void sl_wheel_set(struct sl_wheel *w, struct sl_timer *t, uint32_t due);
void sl_wheel_stop(struct sl_wheel *w, struct sl_timer *t);

static inline bool
sl_timer_is_set(const struct sl_timer *t)
{
	return t->at != NULL;
}

/* sl_wheel_run calls what is due up to `now`, at most `budget` timers (the rest with the next call), each taken out before;
 * it may set itself again, and set or stop any other.  How many were called. */
unsigned sl_wheel_run(struct sl_wheel *w, uint32_t now, unsigned budget, sl_wheel_fn *fn,
		      void *ctx);

#endif
