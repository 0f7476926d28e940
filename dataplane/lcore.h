/* lcore — a worker on its thread: which view it uses, what time it is, when it may sleep.
 *
 * Publication: main stores `view` (release), then asks qsbr for a token.  A worker loads the pointer once per
 * turn (acquire) and reports a quiescent state after the turn, when it holds no pointer into a view.  So when
 * every worker has reported since the token, each next load gives the new view, and nobody reads the old
 * one except through pins (view.h).  A sleeping worker is offline and not waited for; going online is a
 * full barrier before its next load.
 *
 * Threads: sl_lcore_run [worker]; what it points to is set up by main before and torn down after.
 */
#ifndef SL_DATAPLANE_LCORE_H
#define SL_DATAPLANE_LCORE_H

#include "dataplane/clock.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

struct rte_rcu_qsbr;

/* Shared by all workers; written by main. */
struct sl_lcore_shared {
	SL_ALIGNED const struct sl_view *_Atomic view;
	_Atomic bool stop; /* relaxed: seen within a turn or a sleep */
	bool adaptive;
	struct rte_rcu_qsbr *qsbr;
	struct sl_clock clock;
};

struct sl_lcore {
	SL_ALIGNED struct sl_lcore_shared *shared;
	struct sl_worker *worker;
	struct sl_stats_worker *stats;
	unsigned id;
	struct sl_port_io io;
};

/* sl_lcore_run turns the worker until stop; for rte_eal_remote_launch.  Always 0. */
int sl_lcore_run(void *lcore);

#endif
