/* tunnel — ipip and gue: which outer header a packet gets (lb/encap.h writes it).
 *
 * The outer source is the gateway's own address towards the endpoint, or spread over the service's prefix by the hash that
 * gateways agree on, so that a flow looks the same from each of them and the NICs and routers behind see many flows. */
#include "dataplane/worker_priv.h"

#include "lb/encap.h"

void
sl_tunnel_wrap(const struct sl_view *view, struct sl_pkt *p, const struct sl_hop *hop, uint8_t mode)
{
	const struct sl_service *svc = &view->services[hop->service];
	const struct sl_addr *source = &view->addresses[hop->address].addr;
	struct sl_addr spread;
	uint64_t hash = 0;

	if (svc->tunnel_plen || mode == SL_FORWARD_GUE || hop->family == 6)
		hash = sl_hash_tuple(view->seed, &p->tuple, 0);
	if (svc->tunnel_plen) {
		spread = sl_encap_source(&svc->tunnel, svc->tunnel_plen, hash);
		source = &spread;
	}
	sl_encap(p, mode, source, &hop->addr, hash, svc->gue_port);
}
