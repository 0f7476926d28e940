/* segments — memory that the daemon maps, too: endpoint state, statistics, streams, events.
 *
 * Each is a memfd of fixed size; the control socket passes the descriptors (sluice/ctl.h).
 * Threads: [main], at boot and at the end.
 */
#ifndef SL_DATAPLANE_SEGMENTS_H
#define SL_DATAPLANE_SEGMENTS_H

#include "dataplane/gateway.h"

/* sl_segments_up makes them and the boot id.  0, or -errno with the reason in g->diag. */
int sl_segments_up(struct sl_gateway *g);
void sl_segments_down(struct sl_gateway *g);

#endif
