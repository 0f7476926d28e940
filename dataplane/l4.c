/* l4 — a burst of packets from parse to transmit.
 *
 *   parse ─ own? ─ streams ─ look up (flow table, all at once) ─ classify
 *             │       └ known: to the stack (streams.c)             ├ flow, forward half → its endpoint
 *             └ not ours: to the owner's ring                       ├ flow, reply half   → back to the client
 *                                                                   ├ nothing of ours, to the kernel's address → punt.c
 *                                                                   ├ no flow, TCP that ends here → streams.c
 *                                                                   ├ listener, no flow  → choose, insert → endpoint
 *                                                                   └ neither            → drop, with the reason
 *
 * ARP and ND go to worker 0, echo requests are answered where they arrive.  Fragments: fragments.c; ICMP errors: errors.c.
 */
#include "dataplane/worker_priv.h"

#include <limits.h>

#include "dataplane/icmp.h"
#include "dataplane/lane.h"
#include "dataplane/parse.h"

enum { VLAN_TAG = 0x8100, SERVICE_TAG = 0x88a8 };

SL_COLD void
sl_l4_drop(struct sl_worker *w, struct sl_pkt *p, enum sl_drop why)
{
	p->verdict = SL_VERDICT_DROP;
	p->drop = (uint8_t)why;
	if (sl_pkt_dry(p))
		return;
	w->stats->drop[why]++;
	w->stats->dropped++;
	sl_send_free(w, p->buf);
}

/* Frames for other stations reach a promiscuous port; group frames are only for ARP and ND. */
static bool
mac_is_ours(const struct sl_worker *w, const struct sl_pkt *p)
{
	return (sl_load64(p->data) ^ w->mac[p->port_in]) << 16 == 0;
}

/* A port with RSS has already brought a plain packet to its owner.  NICs disagree about what they
 * hash behind extension headers and options, so these are hashed here. */
static bool
hash_known(const struct sl_worker *w, const struct sl_pkt *p)
{
	unsigned plain = (p->flags & SL_PKT_V4) ? 14 + 20 : 14 + 40;

	return (p->flags & SL_PKT_OWNED) || (w->ports[p->port_in].rss && p->l4_off == plain);
}

SL_COLD void
sl_l4_hand_off(struct sl_worker *w, struct sl_pkt *p, unsigned owner)
{
	if (sl_pkt_dry(p))
		return;
	p->verdict = SL_VERDICT_HANDOFF;
	p->flags |= SL_PKT_OWNED;
	if (sl_ring_put(w->conf.pkt_out[owner], p, 1) == 1)
		w->stats->handoff_out++;
	else
		sl_l4_drop(w, p, SL_DROP_HANDOFF_FULL);
}

/* What parse refuses because no listener can have it: other EtherTypes, other protocols, fragments of ICMP. */
SL_COLD static bool
of_kernel(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, enum sl_drop why)
{
	if (why != SL_DROP_ETHERTYPE && why != SL_DROP_PROTOCOL && why != SL_DROP_FRAGMENT)
		return false;
	/* frames of a VLAN are of no port here, and no untagged interface of the kernel's may see them */
	uint16_t type = sl_load16(p->data + 12);
	if (type == sl_to_be16(VLAN_TAG) || type == sl_to_be16(SERVICE_TAG))
		return false;
	return sl_punt_take(w, view, p);
}

SL_COLD static void
not_for_us(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, enum sl_drop why)
{
	if (!sl_punt_take(w, view, p))
		sl_l4_drop(w, p, why);
}

/* Whether the packet is this worker's to look up; everything else is settled here. */
static bool
triage(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (!(p->flags & SL_PKT_OWNED) || sl_pkt_dry(p)) {
		enum sl_drop why = sl_parse(p);
		if (sl_unlikely(why != SL_DROP_NONE)) {
			if (!of_kernel(w, view, p, why))
				sl_l4_drop(w, p, why);
			return false;
		}
	}
	unsigned kind = p->flags & (SL_PKT_TCP | SL_PKT_UDP | SL_PKT_FRAG);
	if (sl_likely(kind != 0 && kind < SL_PKT_FRAG)) {
		/* not even whose it is can be told: the RSS key may change before the first view */
		if (sl_unlikely(!view)) {
			not_for_us(w, view, p, SL_DROP_NO_TABLE);
			return false;
		}
		if (sl_unlikely(!mac_is_ours(w, p))) {
			not_for_us(w, view, p, SL_DROP_NOT_OURS);
			return false;
		}
		SL_ASSERT(!(p->flags & SL_PKT_OWNED) || sl_pkt_dry(p) || w->conf.worker_cnt == 1 ||
			  w->conf.rss->owner[sl_rss_bucket(sl_rss_hash(w->conf.rss, &p->tuple))] ==
				  w->conf.id);
		if (w->conf.worker_cnt > 1 && !hash_known(w, p)) {
			p->bucket = (uint8_t)sl_rss_bucket(sl_rss_hash(w->conf.rss, &p->tuple));
			unsigned owner = w->conf.rss->owner[p->bucket];
			if (owner != w->conf.id) {
				sl_l4_hand_off(w, p, owner);
				return false;
			}
		}
		return true;
	}
	if (p->flags & (SL_PKT_ARP | SL_PKT_ND)) {
		if (w->conf.id != 0)
			sl_l4_hand_off(w, p, 0);
		else
			sl_local_arp_nd(w, view, p);
		return false;
	}
	/* an echo request by a group frame is refused for that (icmp.c) */
	if ((kind || !(p->flags & SL_PKT_BCAST)) && !mac_is_ours(w, p))
		not_for_us(w, view, p, SL_DROP_NOT_OURS);
	else if (kind)
		return sl_fragments_triage(w, view, p);
	else if (!sl_errors_take(w, view, p))
		sl_local_echo(w, view, p);
	return false;
}

void
sl_l4_count_forward(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p)
{
	if (sl_unlikely(sl_pkt_dry(p)))
		return;
	struct sl_stats_endpoint *e = &w->endpoint_stats[p->endpoint_slot];
	e->packets++;
	e->bytes += p->len;
	if (sl_likely(p->listener != SL_VIEW_NONE)) {
		struct sl_stats_listener *l = &w->listener_stats[view->listeners[p->listener].slot];
		l->packets++;
		l->bytes += p->len;
	}
}

/* A flow without translation goes as its endpoint's service says today; where that translates or ends TCP now, it goes on
 * as it did, to the endpoint's MAC. */
static uint8_t
mode_of_stateful(const struct sl_hop *hop)
{
	bool translates = hop->forward == SL_FORWARD_NAT || hop->forward == SL_FORWARD_FULLNAT;

	return translates || hop->forward == SL_FORWARD_PROXY ? SL_FORWARD_DSR : hop->forward;
}

uint8_t
sl_l4_mode_of_flow(const struct sl_flow *f, const struct sl_hop *hop)
{
	if (!(f->state & SL_FLOW_NAT))
		return mode_of_stateful(hop);
	return f->state & SL_FLOW_PAIR ? SL_FORWARD_FULLNAT : SL_FORWARD_NAT;
}

/* Out to the endpoint.  mode is the flow's: a push does not change nat and fullnat under it.  reply: of fullnat, the
 * key of its reply half. */
static void
to_endpoint(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_hop *hop,
	    uint8_t mode, const struct sl_tuple *reply)
{

	p->service = hop->service;
	p->service_slot = view->services[hop->service].slot;
	enum sl_fit fit = sl_send_fit_hop(w, p, hop, mode);
	if (sl_unlikely(fit == SL_FIT_NOT))
		return;
	sl_l4_count_forward(w, view, p);
	if (mode == SL_FORWARD_NAT)
		sl_rewrite_dst(p, &hop->addr, hop->port);
	else if (mode == SL_FORWARD_FULLNAT)
		sl_rewrite_both(p, &reply->dst, reply->dport, &reply->src, reply->sport);
	sl_send_hop(w, view, p, hop, mode, fit);
}

/* The endpoint of an entry, or NULL: removed, replaced or disabled.  *ret_refusal: its state flags. */
struct sl_hop *
sl_l4_hop_of_flow(struct sl_worker *w, const struct sl_view *view, const struct sl_flow *f,
		  unsigned *ret_refusal)
{
	struct sl_hop *hop = f->slot < view->hop_cnt ? &view->hops[f->slot] : NULL;

	if (sl_unlikely(!hop || hop->incarnation != f->incarnation))
		return NULL;
	*ret_refusal = sl_state_refusal(&w->conf.states[f->slot], f->incarnation);
	return sl_likely(sl_choose_serves(*ret_refusal)) ? hop : NULL;
}

SL_COLD static void
drop_flow(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (!sl_pkt_dry(p)) {
		struct sl_flow f = *sl_flow_get(w->conf.flows, p->flow);
		struct sl_xlat x = {0};
		if ((f.state & (SL_FLOW_REPLY | SL_FLOW_PAIR)) == SL_FLOW_REPLY)
			x = *sl_flow_xlat(w->conf.flows, &f);
		sl_flow_remove(w->conf.flows, p->hash, p->flow);
		sl_tally_end(w, &f);
		w->table_moved = true;
		sl_nat_gone(w, view, &f, &x);
	}
	p->flow = SL_FLOW_NONE;
}

static void
count_insert(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p, bool pair)
{
	w->stats->flow_insert += 1 + pair;
	sl_tally_insert(w, p->endpoint_slot, (uint16_t)p->endpoint_incarnation, p->service_slot,
			pair);
	w->endpoint_stats[p->endpoint_slot].new_flows++;
	w->service_stats[p->service_slot].new_flows++;
	w->listener_stats[view->listeners[p->listener].slot].new_flows++;
}

SL_COLD static void
refuse(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, enum sl_drop why)
{
	if (!sl_pkt_dry(p)) {
		w->listener_stats[view->listeners[p->listener].slot].refused++;
		if (why == SL_DROP_NO_ENDPOINT)
			w->service_stats[p->service_slot].no_endpoint++;
	}
	sl_l4_drop(w, p, why);
}

/* Takes a forward half back whose reply half could not be made (and may have pushed it out). */
SL_COLD static void
forget(struct sl_worker *w, struct sl_pkt *p)
{
	if (sl_flow_find(w->conf.flows, p->hash, &p->tuple, w->now_q) == p->flow) {
		struct sl_flow f = *sl_flow_get(w->conf.flows, p->flow);
		sl_flow_remove(w->conf.flows, p->hash, p->flow);
		sl_tally_end(w, &f);
	}
	p->flow = SL_FLOW_NONE;
}

/* Put a new flow into the table.  dsr goes on without when there is no room; nat cannot. */
SL_COLD static enum sl_drop
remember(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, bool nat)
{
	uint8_t state = (p->flags & SL_PKT_TCP) ? SL_FLOW_EMBRYONIC : SL_FLOW_UDP_NEW;
	struct sl_flow_evicted gone = {.any = false};
	unsigned reason = 0;

	/* A RST ends what is not there: forward it, remember nothing. */
	if (p->tcp_flags & SL_TCP_RST)
		return SL_DROP_NONE;
	/* Half-open all the same, as to the cap; its next packet closes it. */
	if (p->tcp_flags & SL_TCP_FIN)
		state |= SL_FLOW_FIN_A;
	if (nat)
		state |= SL_FLOW_NAT;
	w->table_moved = true;
	p->flow =
		sl_flow_insert(w->conf.flows, p->hash, &p->tuple, p->endpoint_slot,
			       (uint16_t)p->endpoint_incarnation, state, w->now_q, &gone, &reason);
	if (sl_unlikely(p->flow == SL_FLOW_NONE)) {
		if (nat)
			return (enum sl_drop)reason;
		w->stats->maglev_only++;
		return SL_DROP_NONE;
	}
	count_insert(w, view, p, false);
	if (sl_unlikely(gone.any))
		sl_nat_evicted(w, view, &gone);
	if (!nat)
		return SL_DROP_NONE;
	/* The victim can be the reply half of an earlier flow of this very tuple: then its end was ours, too. */
	if (sl_unlikely(gone.any) &&
	    sl_flow_find(w->conf.flows, p->hash, &p->tuple, w->now_q) != p->flow) {
		p->flow = SL_FLOW_NONE;
		return SL_DROP_FLOW_FULL;
	}
	enum sl_drop why = sl_nat_open(w, view, p, p->flow);
	if (sl_unlikely(why != SL_DROP_NONE))
		forget(w, p);
	return why;
}

/* In its own mode; reply as for to_endpoint. */
static enum sl_drop
open_flow(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, uint8_t forward,
	  struct sl_tuple *ret_reply)
{
	if (!sl_pkt_dry(p))
		w->stats->flow_miss++;
	if (forward != SL_FORWARD_FULLNAT)
		return sl_pkt_dry(p) ? SL_DROP_NONE
				     : remember(w, view, p, forward == SL_FORWARD_NAT);
	w->table_moved = true;
	enum sl_drop why = sl_fullnat_open(w, view, p, &view->hops[p->endpoint_slot], ret_reply);
	if (why == SL_DROP_NONE && !sl_pkt_dry(p))
		count_insert(w, view, p, true);
	return why;
}

SL_COLD static void
new_flow(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (sl_streams_ends_here(w, view, p)) {
		sl_streams_take(w, view, p);
		return;
	}
	if (sl_unlikely(w->shadow) && !sl_pkt_dry(p))
		sl_trial_flow(w, view, p);
	p->service = view->listener_service[p->listener];
	const struct sl_service *svc = &view->services[p->service];

	p->service_slot = svc->slot;
	struct sl_choice c = sl_levels_choose(w, view, svc, &p->tuple, sl_pkt_dry(p));
	p->why = c.why;
	p->tries = c.tries;
	p->level = c.level;
	p->panic = c.panic;
	if (sl_unlikely(c.endpoint == UINT32_MAX)) {
		refuse(w, view, p, SL_DROP_NO_ENDPOINT);
		return;
	}
	p->endpoint_slot = svc->endpoints[c.endpoint].slot;
	p->endpoint_incarnation = svc->endpoints[c.endpoint].incarnation;
	struct sl_tuple reply;
	enum sl_drop why = open_flow(w, view, p, svc->forward, &reply);
	if (sl_unlikely(why != SL_DROP_NONE))
		refuse(w, view, p, why);
	else
		to_endpoint(w, view, p, &view->hops[p->endpoint_slot], svc->forward, &reply);
}

SL_COLD struct sl_hop *
sl_l4_choose_again(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	uint32_t service =
		p->listener == SL_VIEW_NONE ? SL_VIEW_NONE : sl_view_service(view, p->listener);
	if (service == SL_VIEW_NONE)
		return NULL;
	const struct sl_service *svc = &view->services[service];
	bool forwards = svc->forward != SL_FORWARD_NAT && svc->forward != SL_FORWARD_FULLNAT &&
			svc->forward != SL_FORWARD_PROXY;
	if (!forwards || (svc->policy != SL_POLICY_MAGLEV && svc->policy != SL_POLICY_SOURCE_HASH))
		return NULL;
	struct sl_choice c = sl_levels_choose(w, view, svc, &p->tuple, true);
	if (c.endpoint == UINT32_MAX)
		return NULL;
	p->endpoint_slot = svc->endpoints[c.endpoint].slot;
	p->endpoint_incarnation = svc->endpoints[c.endpoint].incarnation;
	return &view->hops[p->endpoint_slot];
}

/* Expiry was refreshed by the look-up. */
static bool
seen(struct sl_worker *w, const struct sl_pkt *p, const struct sl_flow *f)
{
	if (sl_likely(!sl_flow_moves(f, p->tcp_flags)))
		return false;
	/* The client's packet made the reply half: with its own first packet both directions have been seen. */
	const uint8_t reply_of_nat = SL_FLOW_UDP_NEW | SL_FLOW_REPLY;
	bool other =
		(f->state & (SL_FLOW_STATE_MASK | SL_FLOW_REPLY | SL_FLOW_PAIR)) == reply_of_nat;
	return sl_flow_seen(w->conf.flows, p->hash, p->flow, p->tcp_flags, other, w->now_q);
}

static void
forward_half(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_flow *f,
	     struct sl_hop *hop)
{
	/* kept: what the other half answers can remove this one */
	bool nat = f->state & SL_FLOW_NAT, pair = f->state & SL_FLOW_PAIR;
	struct sl_tuple reply;

	p->why = SL_WHY_FLOW;
	if (pair)
		reply = sl_flow_tuple(sl_flow_get(w->conf.flows, sl_flow_partner(f)));
	if (sl_likely(!sl_pkt_dry(p))) {
		w->stats->flow_hit++;
		bool changed = seen(w, p, f);
		if (nat && !pair)
			sl_nat_tell_reply(w, view, p, changed);
	}
	uint8_t mode = !nat ? mode_of_stateful(hop) : pair ? SL_FORWARD_FULLNAT : SL_FORWARD_NAT;
	to_endpoint(w, view, p, hop, mode, &reply);
}

struct sl_tuple
sl_l4_reply_out(struct sl_worker *w, const struct sl_pkt *p, const struct sl_flow *f)
{
	if (f->state & SL_FLOW_PAIR) {
		const struct sl_flow *fwd = sl_flow_get(w->conf.flows, sl_flow_partner(f));
		return (struct sl_tuple){
			.src = fwd->dst, .dst = fwd->src, .sport = fwd->dport, .dport = fwd->sport};
	}
	const struct sl_xlat *x = sl_flow_xlat(w->conf.flows, f);
	return (struct sl_tuple){
		.src = x->addr, .dst = p->tuple.dst, .sport = x->port, .dport = p->tuple.dport};
}

static void
reply_half(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_flow *f)
{
	const struct sl_tuple as = sl_l4_reply_out(w, p, f);
	struct sl_route_cached *way = sl_send_route(w, view, &as.dst);
	bool pair = f->state & SL_FLOW_PAIR;

	p->why = SL_WHY_REPLY;
	p->service = view->hops[f->slot].service;
	p->service_slot = view->services[p->service].slot;
	enum sl_fit fit = sl_send_fit(w, p, way ? way->port : UINT_MAX);
	if (sl_unlikely(fit == SL_FIT_NOT))
		return;
	if (sl_likely(!sl_pkt_dry(p))) {
		w->stats->flow_hit++;
		struct sl_stats_endpoint *e = &w->endpoint_stats[f->slot];
		e->reply_packets++;
		e->reply_bytes += p->len;
		bool changed = seen(w, p, f);
		if (!pair)
			sl_nat_tell_forward(w, p, changed);
	}
	if (pair)
		sl_rewrite_both(p, &as.src, as.sport, &as.dst, as.dport);
	else
		sl_rewrite_src(p, &as.src, as.sport);
	sl_send_routed(w, view, p, way, fit);
}

SL_COLD static void
no_flow(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	/* An endpoint would answer our own address, and the answer would come back as a request. */
	if (sl_unlikely(sl_view_ours(view, &p->tuple.src)))
		sl_l4_drop(w, p, SL_DROP_MARTIAN);
	else if (p->listener != SL_VIEW_NONE)
		new_flow(w, view, p);
	else if (sl_view_ours(view, &p->tuple.dst))
		sl_l4_drop(w, p, SL_DROP_NO_LISTENER);
	else
		sl_l4_drop(w, p, SL_DROP_NO_FLOW);
}

/* Whether a packet of a known flow may go to another endpoint.  A SYN that finds the end of a flow opens a new
 * one, from the same port; one towards a dead endpoint has nobody to talk to; UDP has no connection to lose.
 * A SYN on an established flow to a living endpoint stays: the endpoint answers it (RFC 5961, 4.2), and a
 * forged one moves nothing.  In a panic health moves nothing.  Where the listener ends TCP by now, a SYN that opens anything opens a stream. */
static bool
opens_elsewhere(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p,
		const struct sl_flow *f, const struct sl_hop *hop, unsigned refusal)
{
	bool udp = p->flags & SL_PKT_UDP;

	if (sl_likely(!udp && (p->tcp_flags & (SL_TCP_SYN | SL_TCP_ACK)) != SL_TCP_SYN) ||
	    (f->state & SL_FLOW_REPLY))
		return false;
	bool closing = (f->state & SL_FLOW_STATE_MASK) == SL_FLOW_CLOSING;
	if (closing && !udp && view->listeners[p->listener].mode != SL_MODE_L4)
		return true;
	if (closing)
		return !sl_choose_admits(&w->conf.states[f->slot], f->incarnation, 0);
	return sl_unlikely(!sl_choose_lives(refusal)) && !sl_levels_panic(w, view, hop);
}

/* p->flow, p->hash and p->listener are known. */
static void
classify(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	/* what ends here, or in the kernel, may have come as far as it could */
	if (p->flow == SL_FLOW_NONE && p->listener == SL_VIEW_NONE && sl_punt_take(w, view, p))
		return;
	if (p->flow == SL_FLOW_NONE && sl_streams_ends_here(w, view, p)) {
		sl_streams_take(w, view, p);
		return;
	}
	if (sl_unlikely(sl_l4_hops_left(p) <= 1)) {
		sl_l4_drop(w, p, SL_DROP_TTL);
		return;
	}
	if (p->flow == SL_FLOW_NONE) {
		no_flow(w, view, p);
		return;
	}
	struct sl_flow *f = sl_flow_get(w->conf.flows, p->flow);
	unsigned refusal = 0;
	struct sl_hop *hop = sl_l4_hop_of_flow(w, view, f, &refusal);
	bool reply = f->state & SL_FLOW_REPLY;
	if (sl_likely(hop && (reply || p->listener != SL_VIEW_NONE) &&
		      !opens_elsewhere(w, view, p, f, hop, refusal))) {
		p->endpoint_slot = f->slot;
		p->endpoint_incarnation = f->incarnation;
		if (reply)
			reply_half(w, view, p, f);
		else
			forward_half(w, view, p, f, hop);
		return;
	}
	/* The listener or the endpoint is gone, or not for this.  What opens a flow chooses anew; the rest
	 * ends here. */
	drop_flow(w, view, p);
	bool opens = (p->flags & SL_PKT_UDP) || (p->tcp_flags & SL_TCP_SYN);
	if (!reply && p->listener != SL_VIEW_NONE && opens)
		new_flow(w, view, p);
	else if (!reply && p->listener == SL_VIEW_NONE)
		no_flow(w, view, p);
	else
		sl_l4_drop(w, p, SL_DROP_ENDPOINT_GONE);
}

static void
clear(struct sl_pkt *p)
{
	p->verdict = SL_VERDICT_NONE;
	p->drop = SL_DROP_NONE;
	p->why = SL_WHY_NONE;
	p->tries = 0;
	p->level = 0;
	p->panic = 0;
	p->flow = SL_FLOW_NONE;
	p->listener = SL_VIEW_NONE;
	p->service = SL_VIEW_NONE;
	p->endpoint_slot = UINT32_MAX;
	p->service_slot = UINT32_MAX;
	p->neigh = SL_NEIGH_NONE;
	p->port_out = UINT16_MAX;
	p->stream = SL_TCP_NONE;
	p->grown = 0;
}

/* A packet of a pair needs both halves.  Their entries are apart. */
static void
prefetch_partners(const struct sl_worker *w, const uint32_t *idx, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (idx[i] == SL_FLOW_NONE)
			continue;
		const struct sl_flow *f = sl_flow_get(w->conf.flows, idx[i]);
		if (!(f->state & SL_FLOW_PAIR))
			continue;
		f = sl_flow_get(w->conf.flows, sl_flow_partner(f));
		sl_prefetch(f);
		sl_prefetch((const uint8_t *)f + sizeof(*f) - 1);
	}
}

/* Packets come in trains: the one before often went to the same VIP. */
static bool
same_listener(const struct sl_pkt *p, const struct sl_pkt *prev)
{
	return sl_addr_eq(&prev->tuple.dst, &p->tuple.dst) && prev->tuple.dport == p->tuple.dport &&
	       prev->tuple.proto == p->tuple.proto;
}

static struct sl_stats_listener *
listener_stats(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p)
{
	if (p->listener == SL_VIEW_NONE)
		return NULL;
	return &w->listener_stats[view->listeners[p->listener].slot];
}

/* The way of a packet whose flow is known is one piece of code: everything called from here is drawn in, what is
 * marked cold stays out. */
static __attribute__((flatten)) void
burst(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *pkts, unsigned n)
{
	const struct sl_tuple *tuples[SL_BURST];
	struct sl_pkt *mine[SL_BURST];
	uint64_t hash[SL_BURST];
	uint32_t idx[SL_BURST];
	unsigned cnt = 0;

	for (unsigned i = 0; i < n; i++) {
		struct sl_pkt *p = &pkts[i];
		clear(p);
		if (triage(w, view, p)) {
			mine[cnt] = p;
			tuples[cnt++] = &p->tuple;
		}
	}
	if (sl_unlikely(w->tcp && !sl_tcp_empty(w->tcp)))
		cnt = sl_streams_burst(w, mine, tuples, cnt);
	if (cnt == 0)
		return;
	sl_flow_find_burst(w->conf.flows, tuples, hash, idx, cnt, w->now_q);
	w->table_moved = false;
	if (w->pair_cnt)
		prefetch_partners(w, idx, cnt);
	struct sl_lanes lanes = sl_lane_begin(w, view);
	const struct sl_pkt *prev = NULL;
	for (unsigned i = 0; i < cnt; i++) {
		struct sl_pkt *p = mine[i];
		if (!prev || !same_listener(p, prev)) {
			p->listener = sl_view_listener(view, &p->tuple.dst, p->tuple.dport,
						       p->tuple.proto);
			lanes.listener = listener_stats(w, view, p);
		} else {
			p->listener = prev->listener;
		}
		prev = p;
		/* An earlier packet of this burst changed the table under this answer. */
		if (sl_unlikely(w->table_moved))
			idx[i] = sl_flow_find(w->conf.flows, hash[i], &p->tuple, w->now_q);
		if (sl_likely(idx[i] != SL_FLOW_NONE && lanes.listener) &&
		    sl_lane_take(w, view, &lanes, p, sl_flow_get(w->conf.flows, idx[i])))
			continue;
		p->hash = hash[i];
		p->flow = idx[i];
		classify(w, view, p);
	}
	sl_lane_end(w, &lanes);
}

void
sl_l4_burst(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *pkts, unsigned n)
{
	burst(w, view, pkts, n);
	if (sl_unlikely(w->frag_seen))
		sl_fragments_late(w, view);
}

/* ---- explain ---- */

static void
make_frame(const struct sl_worker *w, const struct sl_msg *m, uint8_t frame[128], struct sl_pkt *p)
{
	const struct sl_tuple *t = &m->tuple;
	bool v4 = sl_addr_is_v4(&t->dst);
	unsigned l3 = v4 ? 20 : 40, l4 = t->proto == SL_IPPROTO_TCP ? 20 : 8;
	uint8_t *ip = frame + 14, *seg = ip + l3;

	memset(frame, 0, 128);
	memcpy(frame, w->ports[m->port_in].mac, 6);
	sl_store16(frame + 12, v4 ? sl_to_be16(0x0800) : sl_to_be16(0x86dd));
	if (v4) {
		ip[0] = 0x45;
		sl_store16(ip + 2, sl_to_be16(l3 + l4));
		ip[8] = 64;
		ip[9] = t->proto;
		memcpy(ip + 12, t->src.b + 12, 4);
		memcpy(ip + 16, t->dst.b + 12, 4);
		sl_store16(ip + 10, (uint16_t)~sl_csum_fold(sl_csum_add(0, ip, 20)));
	} else {
		ip[0] = 0x60;
		sl_store16(ip + 4, sl_to_be16(l4));
		ip[6] = t->proto;
		ip[7] = 64;
		memcpy(ip + 8, t->src.b, 16);
		memcpy(ip + 24, t->dst.b, 16);
	}
	sl_store16(seg, t->sport);
	sl_store16(seg + 2, t->dport);
	if (t->proto == SL_IPPROTO_TCP) {
		seg[12] = 5 << 4;
		seg[13] = m->tcp_flags ? m->tcp_flags : SL_TCP_SYN;
	} else {
		sl_store16(seg + 4, sl_to_be16(8));
	}
	*p = (struct sl_pkt){
		.data = frame,
		.len = (uint16_t)(14 + l3 + l4),
		.port_in = m->port_in,
		.flags = SL_PKT_DRY | SL_PKT_OWNED,
	};
}

void
sl_l4_explain(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m)
{
	struct sl_explained e = {
		.cookie = m->cookie,
		.worker = w->conf.id,
		.generation = view ? view->generation : 0,
	};
	uint8_t frame[128];

	if (m->port_in >= w->conf.port_cnt)
		return;
	make_frame(w, m, frame, &e.pkt);
	struct sl_pkt *p = &e.pkt;
	clear(p);
	if (triage(w, view, p)) {
		p->bucket = (uint8_t)sl_rss_bucket(sl_rss_hash(w->conf.rss, &p->tuple));
		p->hash = sl_flow_hash(w->conf.flows, &p->tuple);
		p->flow = sl_flow_find(w->conf.flows, p->hash, &p->tuple, w->now_q);
		p->listener = sl_view_listener(view, &p->tuple.dst, p->tuple.dport, p->tuple.proto);
		if (!sl_streams_explain(w, view, p))
			classify(w, view, p);
	}
	if (p->why > SL_WHY_REPLY) {
		const struct sl_choose_ctx ctx =
			sl_levels_ctx(w, view, &view->services[p->service], true);
		e.level = sl_levels_explain(&ctx, p->level, p->panic);
	}
	if (p->verdict == SL_VERDICT_CONSUMED && p->endpoint_slot < view->hop_cnt) {
		const struct sl_hop *hop = &view->hops[p->endpoint_slot];
		uint32_t source_cnt;
		const struct sl_addr *source = sl_view_source(view, hop, &source_cnt);
		e.next = hop->next;
		e.out = (struct sl_tuple){.src = source ? *source : (struct sl_addr){{0}},
					  .dst = hop->addr,
					  .dport = hop->port ? hop->port : p->tuple.dport,
					  .proto = p->tuple.proto};
	}
	if (p->verdict == SL_VERDICT_FORWARD || p->verdict == SL_VERDICT_HELD) {
		struct sl_pkt out = {.data = frame, .len = p->len, .flags = SL_PKT_IP_CSUM_OK};
		if (sl_parse(&out) == SL_DROP_NONE)
			e.out = out.tuple;
		if (p->why == SL_WHY_REPLY) {
			const struct sl_route_cached *c = sl_send_route(w, view, &e.out.dst);
			if (c)
				e.next = c->next;
		} else {
			e.next = view->hops[p->endpoint_slot].next;
		}
	}
	p->data = NULL;
	if (w->conf.explain_out)
		sl_ring_put(w->conf.explain_out, &e, 1);
}
