/* port_facts — what the dataplane said last of its ports, for metrics: asked once a second while it is connected.
 *
 * Threads: [loop].
 */
#ifndef SL_MGMT_PORT_FACTS_H
#define SL_MGMT_PORT_FACTS_H

#include "mgmt/metrics.h"
#include "mgmt/publish.h"

#define SL_PORT_FACTS_MS 1000

struct sl_port_facts;

int sl_port_facts_create(uv_loop_t *loop, struct sl_port_facts **ret);
/* sl_port_facts_destroy after the link; NULL is accepted.  The loop must run once more before it is closed. */
void sl_port_facts_destroy(struct sl_port_facts *f);

/* From up to down the dataplane is asked. */
void sl_port_facts_up(struct sl_port_facts *f, struct sl_publish *publish);
void sl_port_facts_down(struct sl_port_facts *f);

/* sl_port_facts_get: of all ports, or none: nothing was answered yet.  Good until the loop's turn ends. */
const struct sl_metrics_port *sl_port_facts_get(const struct sl_port_facts *f, size_t *ret_cnt);

#endif
