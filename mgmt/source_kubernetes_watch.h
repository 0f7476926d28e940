/* source_kubernetes_watch — the EndpointSlices of one namespace: listed page by page, then watched from the list's
 * resourceVersion on.
 *
 *            ┌──────────────── trouble, after a pause; 410 ────────────────┐
 *            ▼                                                             │
 *   relist ──▶ list ──pages──▶ all of them ──▶ watch ──line by line──▶ puts, deletes
 *                                                ▲                         │
 *                                                └── it ended, was cut ────┘   from the last version that came
 *
 * A version is opaque: it is kept and given back, nothing else.  A watch that was cut goes on where it was; one that cannot,
 * says nonsense, or is refused leads to a list.  A line that was not whole when a watch ended is forgotten: it comes again.
 *
 * Threads: [loop]; texts are read in the pool, in the order in which they came.
 * Bounds:  a page, a line, and what waits to be read: SL_SOURCE_JSON_BYTES each; pages; endpoints of all that is wanted.
 */
#ifndef SL_MGMT_SOURCE_KUBERNETES_WATCH_H
#define SL_MGMT_SOURCE_KUBERNETES_WATCH_H

#include "mgmt/source_kubernetes_read.h"
#include "mgmt/web.h"

struct sl_slice_watch;

/* Never from within create, relist or destroy. */
struct sl_slice_watch_events {
	/* Whether slices of this service are to be kept. */
	bool (*wanted)(void *ctx, const char *service);
	/* All there are of those; the array is the watch's, the slices are taken over. */
	void (*list)(void *ctx, struct sl_slice **slices, size_t cnt);
	void (*put)(void *ctx, struct sl_slice *slice); /* taken over */
	void (*gone)(void *ctx, const char *service, const char *name);
	/* Nothing more came by now; at most once in ten seconds. */
	void (*confirm)(void *ctx);
	void (*trouble)(void *ctx, const char *why);
	void *ctx;
};

/* The first list begins in the next turn of the loop.  All but events outlive it.  NULL: no memory. */
struct sl_slice_watch *sl_slice_watch_create(uv_loop_t *loop, const struct sl_source_conf *conf,
					     struct sl_web *web, const char *space, uint64_t seed,
					     const struct sl_slice_watch_events *events);
void sl_slice_watch_destroy(struct sl_slice_watch *w);

/* sl_slice_watch_relist: more is wanted than before; what is under way is given up. */
void sl_slice_watch_relist(struct sl_slice_watch *w);

#endif
