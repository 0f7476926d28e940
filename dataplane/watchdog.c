#include "dataplane/watchdog.h"

void
sl_watchdog_init(struct sl_watchdog *w, uint64_t period_ns, unsigned worker_cnt)
{
	*w = (struct sl_watchdog){.period_ns = period_ns,
				  .worker_cnt = SL_MIN(worker_cnt, (unsigned)SL_WATCHDOG_WORKERS)};
}

/* The first worker that has not turned since the last look, or worker_cnt. */
static unsigned
look(struct sl_watchdog *w, const void *stats)
{
	unsigned still = w->worker_cnt;

	for (unsigned i = w->worker_cnt; i-- > 0;) {
		/* a plain counter of the worker: any value it had lately will do */
		uint64_t turns = __atomic_load_n(
			&sl_stats_worker((void *)(uintptr_t)stats, i)->turns, __ATOMIC_RELAXED);
		if (turns == w->turns[i])
			still = i;
		w->turns[i] = turns;
	}
	return still;
}

enum sl_watchdog_say
sl_watchdog_turn(struct sl_watchdog *w, const void *stats, uint64_t now_ns, unsigned *ret_worker)
{
	if (w->period_ns == 0 || now_ns < w->next_ns)
		return SL_WATCHDOG_WAIT;
	w->next_ns = now_ns + w->period_ns / 4;
	unsigned still = look(w, stats);
	bool before = w->stands;
	w->stands = still < w->worker_cnt;
	if (!w->stands)
		return SL_WATCHDOG_LIVES;
	*ret_worker = still;
	return before ? SL_WATCHDOG_STILL : SL_WATCHDOG_STANDS;
}

int
sl_watchdog_wait_ms(const struct sl_watchdog *w)
{
	return w->period_ns ? (int)SL_MIN(w->period_ns / 4000000u + 1, (uint64_t)1000) : -1;
}
