/* crew — the workers of one process: their memory, the rings between them, and who publishes tables to them.
 *
 * Threads: [main], before the first worker runs and after the last has ended.
 */
#ifndef SL_DATAPLANE_CREW_H
#define SL_DATAPLANE_CREW_H

#include "dataplane/gateway.h"

/* sl_crew_up makes all workers and what they share.  0, or -errno with the reason in g->diag. */
int sl_crew_up(struct sl_gateway *g);
void sl_crew_down(struct sl_gateway *g);

#endif
