/* punt — what is the kernel's, on its way between a worker and the thread that has the kernel's interface.
 *
 *   packet that no stream, flow or listener takes ─ to an address of the kernel, or to a group?
 *       ─ class ─ token bucket of (port, class) ─▶ out[class] ─▶ thread ─▶ interface (exception.h)
 *                                                  back      ◀─ its buffer
 *   sl_punt_turn: room ─▶ empty buffers ─▶ thread, which fills them from the interface ─▶ in ─▶ transmit queue
 *
 * Buffers stay the worker's: what the thread is done with comes back, so nobody but workers touches the pool of buffers.
 * Threads: [worker] what a worker calls; [thread] the other end of the rings; sl_punt_addrs_set by one thread alone.
 * Pure:    rings, addresses and the wake function are passed in; the simulator runs the same code.
 * Not here: what addresses the kernel has (kernel_addrs.h), the interface (kernel_if.h).
 */
#ifndef SL_DATAPLANE_PUNT_H
#define SL_DATAPLANE_PUNT_H

#include "sluice/addr.h"
#include "sluice/pkt.h"
#include "sluice/ring.h"

#define SL_PUNT_ADDRS 256 /* of the kernel, at most */
#define SL_PUNT_PORTS 32
#define SL_PUNT_ROOM 64 /* empty buffers a worker has out for what comes from the kernel */

/* Each has its part of the port's rate and a ring of its own, so that none starves another. */
enum sl_punt_class {
	SL_PUNT_NEIGH,   /* ARP, neighbour discovery, other EtherTypes, groups: a quarter */
	SL_PUNT_ROUTING, /* BGP, BFD, OSPF: a quarter */
	SL_PUNT_OTHER,   /* everything else: half */
	SL_PUNT_CLASSES
};

struct sl_punt_item {
	void *buf;
	uint8_t *data; /* the frame's first byte */
	uint16_t len;
	uint16_t port;
	uint32_t zero;
};

/* The kernel's addresses, sorted.  One thread writes the side that is not read and then moves `version` on; a reader
 * whose version moved meanwhile looks again, because its side may have been written to. */
struct sl_punt_addrs {
	SL_ALIGNED _Atomic uint32_t version; /* side[version & 1] is read */
	struct {
		_Atomic uint32_t cnt;
		_Atomic uint64_t half[SL_PUNT_ADDRS][2];
	} side[2];
};

/* [thread] sl_punt_addrs_set publishes n addresses, n ≤ SL_PUNT_ADDRS; sorts them in place. */
void sl_punt_addrs_set(struct sl_punt_addrs *a, struct sl_addr *addrs, unsigned n);
/* [any] sl_punt_addrs_has never waits for the writer. */
bool sl_punt_addrs_has(const struct sl_punt_addrs *a, const struct sl_addr *addr);

/* What a worker has of it.  addrs NULL: no port has an exception path, and nothing else is looked at. */
struct sl_punt_conf {
	const struct sl_punt_addrs *addrs;
	uint32_t pps[SL_PUNT_PORTS]; /* of the port, all workers together; 0: it has none */
	struct sl_ring *out[SL_PUNT_CLASSES]; /* struct sl_punt_item; we put */
	struct sl_ring *back;                 /* void *: buffers of out; we take, room for all */
	struct sl_ring *empty;   /* struct sl_punt_item: buffers to be filled; we put; NULL: no port
				* of the kernel's sends by this worker */
	struct sl_ring *in;      /* struct sl_punt_item: filled, or with len 0; we take */
	void (*wake)(void *ctx); /* there is something in a ring: at most once a turn */
	void *ctx;
};

struct sl_worker;
struct sl_view;

/* sl_punt_take gives p to the kernel if it is its; true: settled (given, or over the rate and dropped).  What is the
 * worker's own (streams, flows, listeners) was looked for before.  sl_punt_only: the address is the kernel's and nothing
 * of the table's. */
bool sl_punt_take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p);
bool sl_punt_only(const struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p);

/* sl_punt_turn: at the end of a turn: buffers back, what the kernel sends, wake.  How much was done. */
unsigned sl_punt_turn(struct sl_worker *w);

#endif
