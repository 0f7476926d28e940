#include "dataplane/unplug.h"

#include <rte_rcu_qsbr.h>
#include <stdatomic.h>

void
sl_unplug_turn(struct sl_gateway *g)
{
	struct sl_lcore_shared *s = &g->shared;
	uint32_t gone = sl_port_gone(&g->ports);

	if (gone != atomic_load_explicit(&s->unplugged, memory_order_relaxed)) {
		/* A worker that reports since the token loads the mask again before it touches a port: see lcore.h, view. */
		atomic_store_explicit(&s->unplugged, gone, memory_order_release);
		g->unplug_token = rte_rcu_qsbr_start(s->qsbr);
		g->unplugging = true;
	}
	if (g->unplugging && rte_rcu_qsbr_check(s->qsbr, g->unplug_token, false) == 1) {
		g->unplugging = false;
		sl_port_drop(&g->ports, gone);
	}
}
