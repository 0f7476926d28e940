/* handshakers — who makes the steps of handshakes: threads beside the workers, or the workers themselves within a budget.
 *
 *   worker 0 ──ring──▶ ┐            ┌ ──ring──▶ worker 0
 *   worker 1 ──ring──▶ ┴─ thread ───┴ ──ring──▶ worker 1       for each thread; one job of each worker in turn
 *
 * A handshake begins at the thread that has least to do and stays there: its engine holds it (handshake.h).  job.hs, as workers see
 * it, names the thread, too.
 * A thread that finds nothing spins for a moment and sleeps; who submits wakes it then, and only then.  A worker is never woken:
 * it polls while sl_tls_waits, and naps 100 µs at most.
 * Owner:   main creates, stops, destroys; engines belong to the threads, or to the workers (threads 0).
 * Threads: create, stop, destroy, now [main]; what sl_handshakers_worker gives [that worker].  Stacks of threads are of the vault.
 * Limits:  a worker has at most `jobs` jobs out at a thread; its submit says no then.
 */
#ifndef SL_DATAPLANE_HANDSHAKERS_H
#define SL_DATAPLANE_HANDSHAKERS_H

#include "l7/tls/session.h"

#define SL_HANDSHAKERS_MAX 16 /* threads */
#define SL_HANDSHAKERS_TEXT 256

/* What makes steps: sl_hs_create, _step, _destroy (handshake.h), or what a test puts in its place.  hs is aligned to 16. */
struct sl_handshaker_ops {
	struct sl_hs_engine *(*create)(const struct sl_hs_conf *conf);
	void (*step)(struct sl_hs_engine *e, struct sl_hs_job *job);
	void (*destroy)(struct sl_hs_engine *e);
};

struct sl_handshakers_conf {
	unsigned worker_cnt; /* [1, 64] */
	unsigned thread_cnt; /* [0, SL_HANDSHAKERS_MAX]; 0: on the workers */
	uint32_t jobs;       /* [1, 4096] */
	uint64_t
		budget_ticks; /* threads 0: of the TSC, for the steps of a turn; one is made in any case */
	unsigned cpu_cnt; /* 0: on any of `set` */
	const int *cpus;  /* [cpu_cnt]: threads are pinned to them in turn */
	const void *set;  /* cpu_set_t, or NULL: as main.  Both are looked at by create alone */
	struct sl_hs_conf hs;
	const struct sl_handshaker_ops *ops;
};

struct sl_handshakers;

/* sl_handshakers_create makes engines and starts threads.  0, or -errno with a sentence. */
int sl_handshakers_create(const struct sl_handshakers_conf *conf, struct sl_handshakers **ret,
			  char ret_text[SL_HANDSHAKERS_TEXT]);
/* sl_handshakers_stop waits for the step that each thread makes, and ends the threads.  Jobs that are out do not come back: they are whose
 * they were before.  Workers have stopped.  NULL and a second time are accepted.
 * sl_handshakers_destroy stops, and frees engines with the handshakes under way. */
void sl_handshakers_stop(struct sl_handshakers *h);
void sl_handshakers_destroy(struct sl_handshakers *h);

/* What the worker submits to (struct sl_tls_conf: steps, now_s); before it runs. */
struct sl_tls_steps sl_handshakers_worker(struct sl_handshakers *h, unsigned worker);

/* sl_handshakers_now says what time it is, in seconds of the epoch: at least twice a second.  Threads at work say it, too.
 * sl_handshakers_now_s: ctx of a worker's steps. */
void sl_handshakers_now(struct sl_handshakers *h, int64_t now_s);
int64_t sl_handshakers_now_s(void *steps_ctx);

#endif
