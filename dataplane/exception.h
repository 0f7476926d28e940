/* exception — the way between ports and the kernel: interfaces, the thread that moves frames, the kernel's addresses.
 *
 *   worker ── out[class], wake ──▶ thread ──▶ interface of the port (kernel_if.h) ──▶ kernel
 *          ◀── back: the buffers                 │
 *          ── empty buffers ──▶ thread ◀─────────┘
 *          ◀── in ──  (worker port mod workers: it has a transmit queue)
 *
 * The thread is no worker: it may be late, sleep, or be stopped; workers then drop what their rings do not take, and
 * the kernel waits for buffers.  It serves each worker and each class in turn, a burst at a time.  After work it looks
 * every 100 µs for a while; then it sleeps, and a worker that has something wakes it.
 *
 * Owner:   main.
 * Threads: create, destroy, worker, watch [main]; workers have stopped when it is destroyed.
 */
#ifndef SL_DATAPLANE_EXCEPTION_H
#define SL_DATAPLANE_EXCEPTION_H

#include "dataplane/boot.h"
#include "dataplane/port.h"
#include "dataplane/punt.h"

struct sl_exception;

struct sl_exception_conf {
	const struct sl_boot *boot;
	const struct sl_port_set *ports;
	const void *set; /* cpu_set_t: where the thread runs */
	void (*log)(const char *line);
};

/* sl_exception_create makes the interfaces of all ports that have one; *ret is NULL where none has.  0, or -errno with
 * every problem in diag.  The configuration's pointers stay good until destroy (NULL is accepted). */
int sl_exception_create(const struct sl_exception_conf *conf, struct sl_diag *diag,
			struct sl_exception **ret);
void sl_exception_destroy(struct sl_exception *x);

/* sl_exception_worker fills what worker `id` needs; x may be NULL. */
void sl_exception_worker(struct sl_exception *x, unsigned id, struct sl_punt_conf *ret);

/* sl_exception_watch, about once a second: interfaces follow their ports' links; says what was lost.  x may be NULL. */
void sl_exception_watch(struct sl_exception *x);

/* sl_exception_by: what a port's interface is, SL_KERNEL_BY_* (sluice/ctl.h).  x may be NULL. */
int sl_exception_by(const struct sl_exception *x, unsigned port);

#endif
