/* probing — which endpoints of the active table are probed, where, how and through what; and what comes of it.
 *
 *   active table ──▶ targets ──▶ prober (health.h) ──up, down──▶ operstate
 *                └─▶ agents  ──▶ a prober of their own ──lines──▶ agent.h ──hints──▶ operstate
 *   dataplane's words ──every SL_PROBING_WATCH_MS──▶ ejected? ──▶ a probe at once
 *
 * Not probed: an endpoint in maintenance, and one whose service has no health.
 * Threads: [loop].
 */
#ifndef SL_MGMT_PROBING_H
#define SL_MGMT_PROBING_H

#include "mgmt/daemon.h"

#define SL_PROBING_WATCH_MS 200

struct sl_probing;

/* sl_probing_create sets d->prober, too; after secrets and port facts, before tables.  0 or -errno. */
int sl_probing_create(struct sl_daemon *d, struct sl_probing **ret);
/* sl_probing_destroy: NULL is accepted; the loop must run once more. */
void sl_probing_destroy(struct sl_probing *p);

/* sl_probing_table: t is active from now on, with its endpoints placed in operstate. */
void sl_probing_table(struct sl_probing *p, const struct sl_table *t);

/* sl_probing_endpoint: its maintenance began or ended: it is not probed any more, or at once. */
void sl_probing_endpoint(struct sl_probing *p, const char *service, const char *name);

#endif
