/* unplug — a port that went away while workers use it: they let go of it, then its device is closed.
 *
 *     sl_port_watch sees it ── shared.unplugged, qsbr token ──▶ every worker has turned since ──▶ sl_port_drop
 *
 * Workers look at the mask once a turn (lcore.h) and touch the device no more; packets for it are dropped (port_gone), the
 * other ports go on.  What is gone stays so until a restart.
 * Threads: [main].
 */
#ifndef SL_DATAPLANE_UNPLUG_H
#define SL_DATAPLANE_UNPLUG_H

#include "dataplane/gateway.h"

/* sl_unplug_turn after sl_port_watch; never waits. */
void sl_unplug_turn(struct sl_gateway *g);

#endif
