#include "dataplane/lane.h"

#define ETH_LEN 14

/* The endpoint's place in the neighbour table, looked up anew where the hop's hint is stale. */
static bool
watch(struct sl_worker *w, struct sl_hop *hop, struct sl_neigh_watch *ret_watch)
{
	/* Relaxed: as in sl_send_hop. */
	uint32_t neigh = __atomic_load_n((uint32_t *)&hop->neigh, __ATOMIC_RELAXED);

	if (!sl_neigh_watch(w->conf.neigh, neigh, hop->out_port, &hop->next, ret_watch)) {
		neigh = sl_neigh_find(w->conf.neigh, hop->out_port, &hop->next);
		if (!sl_neigh_watch(w->conf.neigh, neigh, hop->out_port, &hop->next, ret_watch))
			return false;
		__atomic_store_n((uint32_t *)&hop->neigh, neigh, __ATOMIC_RELAXED);
	}
	sl_neigh_used(w->conf.neigh, neigh, w->now_ns);
	return true;
}

/* An outer source that is not spread, and nothing of the flow's hash in the header. */
static uint8_t
kind_of(const struct sl_view *view, const struct sl_hop *hop, uint8_t mode)
{
	if (mode == SL_FORWARD_DSR)
		return SL_LANE_PLAIN;
	if (mode == SL_FORWARD_IPIP && hop->family == 4 &&
	    view->services[hop->service].tunnel_plen == 0)
		return SL_LANE_IPIP4;
	return SL_LANE_TUNNEL;
}

SL_COLD bool
sl_lane_make(struct sl_worker *w, const struct sl_view *view, const struct sl_flow *f, uint64_t tag)
{
	struct sl_hop *hop = f->slot < view->hop_cnt ? &view->hops[f->slot] : NULL;
	struct sl_neigh_watch neigh;

	if (!hop || hop->incarnation != f->incarnation || hop->out_port >= w->conf.port_cnt)
		return false;
	/* Judged and kept is one and the same reading.  Relaxed: as in sl_state_refusal. */
	const struct sl_state_word2 *now = &w->conf.states[f->slot];
	const struct sl_state_word2 state = {
		__atomic_load_n((const uint64_t *)&now->admin, __ATOMIC_RELAXED),
		__atomic_load_n((const uint64_t *)&now->passive, __ATOMIC_RELAXED)};
	unsigned refusal = sl_state_refusal(&state, f->incarnation);
	if (!sl_choose_serves(refusal) || !sl_choose_lives(refusal) || !watch(w, hop, &neigh))
		return false;

	uint8_t mode = sl_l4_mode_of_flow(f, hop);
	unsigned more = mode >= SL_FORWARD_IPIP ? sl_encap_bytes(mode, hop->family == 4) : 0;
	const struct sl_worker_port *port = &w->ports[hop->out_port];
	if (port->mtu < more)
		return false;
	w->lanes[f->slot % SL_LANES] = (struct sl_lane){
		.tag = tag,
		.neigh = neigh,
		.src_type = sl_load32(port->mac) | (uint64_t)sl_load16(port->mac + 4) << 32 |
			    (uint64_t)sl_to_be16(hop->family == 4 ? 0x0800 : 0x86dd) << 48,
		.admin = state.admin,
		.passive = state.passive,
		.slot = f->slot,
		.incarnation = f->incarnation,
		.len_max = (uint16_t)SL_MIN(ETH_LEN + port->mtu - more, (unsigned)UINT16_MAX),
		.out_port = (uint8_t)hop->out_port,
		.kind = kind_of(view, hop, mode),
		.outer_src = more ? sl_load32(view->addresses[hop->address].addr.b + 12) : 0,
		.outer_dst = sl_load32(hop->addr.b + 12),
	};
	return true;
}
