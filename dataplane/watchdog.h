/* watchdog — whether the manager may hear that this dataplane lives: only while every worker turns.
 *
 * Every quarter of the manager's period main compares the workers' turns with those of the look before.  When one has not
 * moved, the manager is not told, and ends the process when its period is over; when it moves again, it is told again.
 *
 * Threads: [main]; the turns are counted by workers and read as they are.
 * Not here: the socket to the manager (fdstore.h).
 */
#ifndef SL_DATAPLANE_WATCHDOG_H
#define SL_DATAPLANE_WATCHDOG_H

#include "sluice/stats.h"

#define SL_WATCHDOG_WORKERS 64

enum sl_watchdog_say {
	SL_WATCHDOG_WAIT,   /* it is not time */
	SL_WATCHDOG_LIVES,  /* tell the manager */
	SL_WATCHDOG_STANDS, /* a worker stands still since now: do not, and say so in the log */
	SL_WATCHDOG_STILL,  /* it still does */
};

struct sl_watchdog {
	uint64_t period_ns; /* of the manager; 0: there is none */
	uint64_t next_ns;
	unsigned worker_cnt;
	bool stands;
	uint64_t turns[SL_WATCHDOG_WORKERS];
};

/* sl_watchdog_init: period_ns as the manager said it (sl_fdstore_watchdog), 0: none.  worker_cnt at most SL_WATCHDOG_WORKERS. */
void sl_watchdog_init(struct sl_watchdog *w, uint64_t period_ns, unsigned worker_cnt);

/* sl_watchdog_turn looks, when it is time; stats as sl_stats_init made it.  *ret_worker: which one stands. */
enum sl_watchdog_say sl_watchdog_turn(struct sl_watchdog *w, const void *stats, uint64_t now_ns,
				      unsigned *ret_worker);

/* How long main may wait for other things, at most: milliseconds, or -1: as long as it likes. */
int sl_watchdog_wait_ms(const struct sl_watchdog *w);

#endif
