/* lcore — a worker on its thread: which view it uses, what time it is, when it may sleep.
 *
 * Publication: main stores `view` (release), then asks qsbr for a token.  A worker loads the pointer once per
 * turn (acquire) and reports a quiescent state after the turn, when it holds no pointer into a view.  So when
 * every worker has reported since the token, each next load gives the new view, and nobody reads the old
 * one except through pins (view.h).  A sleeping worker is offline and not waited for; going online is a
 * full barrier before its next load.
 *
 * Flow table: workers start without one.  Before the first view main fills `hand` and stores ASKED; the worker takes or
 * makes its table between two turns, on its own thread (so all do it at once, and memory comes from where the worker
 * runs), and stores DONE.
 *
 *     NONE ── main, release ──▶ ASKED ── worker, acquire … release ──▶ DONE ── main, acquire
 *
 * Threads: sl_lcore_run [worker]; what it points to is set up by main before and torn down after.
 */
#ifndef SL_DATAPLANE_LCORE_H
#define SL_DATAPLANE_LCORE_H

#include "dataplane/clock.h"
#include "lb/flow_adopt.h"
#include "dataplane/port.h"
#include "dataplane/worker.h"

struct rte_rcu_qsbr;

/* Shared by all workers; written by main. */
struct sl_lcore_shared {
	SL_ALIGNED const struct sl_view *_Atomic view;
	const struct sl_shadow *_Atomic
		shadow;    /* tried beside it (shadow.h), published and taken away as the view */
	_Atomic bool stop; /* relaxed: seen within a turn or a sleep */
	_Atomic unsigned
		stopped; /* workers that took their last turn: release; read by the others, acquire */
	unsigned worker_cnt;
	bool adaptive;
	_Atomic uint32_t unplugged; /* ports (bit i) that went away: as view */
	struct rte_rcu_qsbr *qsbr;
	struct sl_clock clock;
};

enum sl_hand_state { SL_HAND_NONE = 0, SL_HAND_ASKED, SL_HAND_DONE };
enum sl_hand_how {
	SL_HAND_MAKE,  /* zeroed memory: an empty table is made in it */
	SL_HAND_ADOPT, /* of another dataplane: to be mended */
	SL_HAND_TAKE,  /* as it is */
};

struct sl_hand {
	_Atomic int state; /* enum sl_hand_state */
	int how;
	const struct sl_flows_head *head;
	struct sl_hash_key key; /* of a table that is made */
	bool populate;          /* MAKE: have the pages now */
	uint64_t gone;          /* TAKE: flows that ended or were lost before, for the statistics */
	uint32_t handed_over;   /* bit p: what port p receives is not spread as ours any more */
	/* the worker's answer */
	struct sl_flow_adopted got;
	const char *why; /* ADOPT: its table was not right and is empty; NULL: it was */
};

struct sl_lcore {
	SL_ALIGNED struct sl_lcore_shared *shared;
	struct sl_worker *worker;
	struct sl_stats_worker *stats;
	unsigned id;
	uint32_t unplugged;             /* what the worker was told of, */
	const struct sl_shadow *shadow; /* this, too */
	struct sl_port_io io;
	struct sl_hand hand;
};

/* sl_lcore_run turns the worker until stop; for rte_eal_remote_launch.  Always 0. */
int sl_lcore_run(void *lcore);

#endif
