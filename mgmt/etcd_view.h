/* etcd_view — all keys that begin with a prefix, as they are now and as they change.
 *
 *   range, page by page ──all of it──▶ begin put… end ──▶ watch from the next revision ──▶ (put|gone)… end
 *     ▲                                                     │ every CHECK: is there anything that the watch did not tell?
 *     └── the stream ended, its revision is no longer kept, something does not fit: from the beginning
 *
 * Back in time: a revision lower than one that was seen, of the same cluster (an older state was restored), is trouble until etcd
 * has caught up.  Another cluster's keys are believed: a new world, and said.  Since an older state can also have caught up
 * unseen, every new stream begins with a range.
 * What is read is handed on as a whole or not at all.
 * Threads: [loop].
 */
#ifndef SL_MGMT_ETCD_VIEW_H
#define SL_MGMT_ETCD_VIEW_H

#include "mgmt/etcd.h"
#include "mgmt/etcd_wire.h"

#define SL_ETCD_VIEW_KEYS 131072         /* more are trouble */
#define SL_ETCD_VIEW_BYTES (64ull << 20) /* so are more, of keys and values in one range */
#define SL_ETCD_VIEW_CHECK_MS 5000

struct sl_etcd_view;

/* From the loop, never from within create or destroy.  Any of them may destroy the view. */
struct sl_etcd_view_events {
	void (*begin)(void *ctx); /* what is not put until end is not there any more */
	void (*put)(void *ctx, const struct sl_etcd_kv *kv); /* during the call */
	void (*gone)(void *ctx, const char *key);
	void (*end)(void *ctx);     /* everything is as of one revision */
	void (*confirm)(void *ctx); /* nothing has changed since */
	void (*trouble)(void *ctx, const char *why);
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

/* etcd outlives it.  timeout_ms: of one request.  0 or -ENOMEM. */
int sl_etcd_view_create(uv_loop_t *loop, struct sl_etcd *etcd, const char *prefix,
			uint32_t timeout_ms, uint64_t seed, const struct sl_etcd_view_events *ev,
			struct sl_etcd_view **ret_view);
void sl_etcd_view_destroy(struct sl_etcd_view *v);

#endif
