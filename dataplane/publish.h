/* publish — from an offer on the control socket to a view that all workers use.
 *
 * The store (store.h) puts offers together and keeps generations, the control server speaks; this is what
 * happens in between: wants, reasons and verdicts in their order, the swap, the release.
 *
 *   offer ─▶ WANT … objects … ─▶ complete ─▶ swap: store the pointer, wait until each worker was quiescent
 *                │                  │            └─▶ VERDICT active; the old view is released when unpinned
 *                └──────────────────┴── refused ─▶ REASON… VERDICT refused; nothing changes
 *
 * A table that is tried (shadow.h) comes the same way, but is stored beside the active one: VERDICT tried.  It goes when it is asked to end,
 * and when the daemon goes away, once each worker was quiescent.
 *
 * An offer that comes while a worker has not taken the generation before it, or its flow table (sl_publish_gate), is held for
 * SL_CTL_HOLD_MS at most: nobody has to offer it again.  The next offer takes its place, it gets VERDICT superseded.
 *
 * Threads: [main], which never waits for a worker that is stuck.
 */
#ifndef SL_DATAPLANE_PUBLISH_H
#define SL_DATAPLANE_PUBLISH_H

#include "dataplane/ctl_server.h"
#include "dataplane/lcore.h"
#include "dataplane/store.h"

struct sl_publish;

/* sl_publish_create: shared stays the caller's and has its qsbr and clock.  log gets one line at a time. */
int sl_publish_create(const struct sl_view_ports *ports, struct sl_lcore_shared *shared,
		      void (*log)(const char *line), struct sl_publish **ret_publish);
/* Workers have stopped; NULL is accepted. */
void sl_publish_destroy(struct sl_publish *p);

/* Where answers go; NULL before the server is there. */
void sl_publish_attach(struct sl_publish *p, struct sl_ctl_server *server);

/* sl_publish_before: ready is asked before a generation is published, and refuses it by another answer than 0: -errno with every
 * reason in diag. */
void sl_publish_before(struct sl_publish *p,
		       int (*ready)(void *ctx, const struct sl_view *view, struct sl_diag *diag),
		       void *ctx);

/* sl_publish_gate: gate is asked before an offer is looked at: 0, or -errno with one reason in diag.  -EBUSY holds the offer, and gate is
 * asked again each turn; another refuses it. */
void sl_publish_gate(struct sl_publish *p, int (*gate)(void *ctx, struct sl_diag *diag), void *ctx);

/* What the control server calls (struct sl_ctl_ops). */
void sl_publish_active(void *publish, uint64_t *ret_generation, struct sl_obj_id *ret_root);
/* sample_ppm: of a table that is tried beside the active one; 0: to be active. */
void sl_publish_offer(void *publish, uint64_t generation, const struct sl_obj_id *root,
		      uint32_t sample_ppm, int fd);
void sl_publish_object(void *publish, uint64_t generation, uint32_t ref, int fd);
void sl_publish_drop(void *publish);
/* sl_publish_shadow: op: SL_SHADOW_ASK, _END; answered with seq, of END when no worker sees the table any more. */
void sl_publish_shadow(void *publish, uint32_t seq, uint32_t op);

/* sl_publish_turn ends a swap that all workers have made, and releases what nobody holds.  Returns the
 * milliseconds after which it wants to be called again, or -1: when something comes. */
int sl_publish_turn(struct sl_publish *p);

const struct sl_view *sl_publish_view(const struct sl_publish *p);

#endif
