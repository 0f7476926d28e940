/* lane — the short way of most packets: a known flow without translation, to an endpoint that takes it.
 *
 * A lane remembers what such packets need of view, state words, neighbour table and port, on one line by endpoint slot.
 * It holds while all that it was made from is as it was: generation, endpoint, both state words, the neighbour's
 * word.  It is made anew each second, which marks the neighbour as used.
 *
 *   burst ─ flow, listener known ─ sl_lane_take ─┬ true: counted, rewritten, staged
 *                                                └ false: nothing was touched; l4.c goes the long way
 *
 * Left to the long way: what opens, moves or ends a flow, translation, fragments, explain, the last hop of a TTL, what
 * does not fit the port, long packets into a tunnel whose way is known to be narrow.
 * Threads: [worker], its own.
 */
#ifndef SL_DATAPLANE_LANE_H
#define SL_DATAPLANE_LANE_H

#include "dataplane/worker_priv.h"

/* What a burst knows once for all of its packets.  The counters are added up in sl_lane_end. */
struct sl_lanes {
	uint64_t tag;
	struct sl_lane *lane;
	const struct sl_state_word2 *states;
	struct sl_stats_endpoint *endpoint_stats;
	struct sl_stats_listener *listener; /* of the packet at hand */
	uint32_t taken;
};

/* sl_lane_make makes the lane of f's endpoint; false: its packets have to go the long way. */
bool sl_lane_make(struct sl_worker *w, const struct sl_view *view, const struct sl_flow *f,
		  uint64_t tag);

static inline struct sl_lanes
sl_lane_begin(struct sl_worker *w, const struct sl_view *view)
{
	return (struct sl_lanes){
		.tag = view->generation << 32 | w->now_q >> 2,
		.lane = w->lanes,
		.states = w->conf.states,
		.endpoint_stats = w->endpoint_stats,
	};
}

static inline void
sl_lane_end(struct sl_worker *w, const struct sl_lanes *c)
{
	w->stats->flow_hit += c->taken;
	w->stats->forwarded += c->taken;
}

/* Relaxed: each word is complete in itself and only compared. */
static inline bool
sl_lane_holds(const struct sl_lane *l, const struct sl_lanes *c, const struct sl_flow *f)
{
	const struct sl_state_word2 *s = &c->states[f->slot];

	return l->tag == c->tag && l->slot == f->slot && l->incarnation == f->incarnation &&
	       __atomic_load_n((const uint64_t *)&s->admin, __ATOMIC_RELAXED) == l->admin &&
	       __atomic_load_n((const uint64_t *)&s->passive, __ATOMIC_RELAXED) == l->passive &&
	       sl_neigh_watch_holds(&l->neigh);
}

/* Whether p can neither change the flow nor need more than its endpoint. */
static inline bool
sl_lane_suits(const struct sl_pkt *p, const struct sl_flow *f)
{
	unsigned state = f->state & ~(unsigned)(SL_FLOW_FIN_A | SL_FLOW_FIN_B);

	return (p->flags & (SL_PKT_FRAG | SL_PKT_DRY)) == 0 &&
	       (p->tcp_flags & (SL_TCP_FIN | SL_TCP_SYN | SL_TCP_RST)) == 0 &&
	       (state == SL_FLOW_ESTABLISHED || state == SL_FLOW_UDP) && sl_l4_hops_left(p) > 1;
}

/* Whether p is long and routers have told of its tunnel's way. */
static inline bool
sl_lane_narrow(const struct sl_worker *w, const struct sl_pkt *p, const struct sl_flow *f)
{
	return p->len - p->l3_off > (int)SL_PATH_SMALL && w->conf.paths &&
	       sl_path_mtu(w->conf.paths, f->slot, f->incarnation, w->now_q);
}

/* Takes p of flow f, whose listener's counters are c->listener. */
static inline __attribute__((always_inline)) bool
sl_lane_take(struct sl_worker *w, const struct sl_view *view, struct sl_lanes *c, struct sl_pkt *p,
	     const struct sl_flow *f)
{
	const struct sl_lane *l = &c->lane[f->slot % SL_LANES];

	if (sl_unlikely(!sl_lane_suits(p, f)))
		return false;
	if (sl_unlikely(!sl_lane_holds(l, c, f)) && !sl_lane_make(w, view, f, c->tag))
		return false;
	struct sl_tx_stage *stage = &w->tx[l->out_port];
	if (sl_unlikely(p->len > l->len_max || stage->cnt == SL_TX_STAGE))
		return false;
	if (l->kind != SL_LANE_PLAIN && sl_unlikely(sl_lane_narrow(w, p, f)))
		return false;

	struct sl_stats_endpoint *e = &c->endpoint_stats[f->slot];
	e->packets++;
	e->bytes += p->len;
	c->listener->packets++;
	c->listener->bytes += p->len;
	c->taken++;

	sl_rewrite_ttl(p);
	if (l->kind == SL_LANE_IPIP4)
		sl_encap_ipip4(p, l->outer_src, l->outer_dst);
	else if (l->kind == SL_LANE_TUNNEL)
		sl_tunnel_wrap(view, p, &view->hops[f->slot], view->hops[f->slot].forward);
	/* the first store's last two bytes are covered by the second */
	sl_store64(p->data, l->neigh.is);
	sl_store64(p->data + 6, l->src_type);

	struct sl_txd *d = &stage->d[stage->cnt++];
	d->buf = p->buf;
	d->len = p->len;
	d->port = l->out_port;
	d->grown = p->grown;
	d->zero = 0;
	return true;
}

#endif
