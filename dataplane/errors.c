/* errors — ICMP errors on their way to who sent the packet that they are about (icmp_error.h finds and edits).
 *
 *   received ─▶ worker of the quote turned round ─▶ its flow ─ forward half → to the endpoint, in the flow's mode
 *                                                            ├ reply half   → to the client
 *                                                            └ none         → where a packet like it would be sent
 *                                                                             again, or dropped
 *                                         or its stream (streams.c)
 *
 * They neither refresh nor change a flow: anybody can send them.  One packet goes out for one that came in.
 *
 * Those about our own tunnel packets come to us.  That one was too big for its way is remembered for the endpoint (path.h), whatever
 * worker hears of it, and told to the sender of the inner packet where the quote holds enough of that (RFC 2003, 5; RFC
 * 2473, 8); else the next one that is too long gets its answer here (send.c).  What anybody can send must do little harm:
 * it must be about a tunnel that is there, with a source that is ours and to whom the error came; the MTU must be below what
 * the packet had and above 576 (IPv4) or 1280 (IPv6) bytes, and it is forgotten in ten minutes.  Other errors about
 * tunnel packets are dropped.
 */
#include "dataplane/worker_priv.h"

#include "dataplane/icmp_error.h"

#define ICMP_LEN 8

static unsigned
owner_of(const struct sl_worker *w, const struct sl_tuple *t)
{
	if (w->conf.worker_cnt == 1)
		return 0;
	return w->conf.rss->owner[sl_rss_bucket(sl_rss_hash(w->conf.rss, t))];
}

static struct sl_addr
outer(const struct sl_pkt *p, unsigned at4, unsigned at6)
{
	const uint8_t *ip = p->data + p->l3_off;

	return p->flags & SL_PKT_V4 ? sl_addr_from_v4(ip + at4) : sl_addr_from_v6(ip + at6);
}

static void
edit(struct sl_pkt *p, const struct sl_icmp_edit *e)
{
	sl_icmp_error_edit(p, (unsigned)p->l4_off + ICMP_LEN, e);
}

/* reply: of fullnat, the key of its reply half. */
static void
to_endpoint(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_hop *hop,
	    uint8_t mode, const struct sl_tuple *reply)
{
	enum sl_fit fit = sl_send_fit_hop(w, p, hop, mode);

	if (fit == SL_FIT_NOT)
		return;
	if (mode == SL_FORWARD_NAT)
		edit(p, &(struct sl_icmp_edit){.outer_dst = &hop->addr,
					       .inner_src = &hop->addr,
					       .inner_sport = hop->port});
	else if (mode == SL_FORWARD_FULLNAT)
		edit(p, &(struct sl_icmp_edit){.outer_dst = &reply->src,
					       .inner_src = &reply->src,
					       .inner_dst = &reply->dst,
					       .inner_sport = reply->sport,
					       .inner_dport = reply->dport});
	w->stats->icmp_error++;
	sl_send_hop(w, view, p, hop, mode, fit);
}

/* The client must not hear of the endpoint: where that complains itself, the VIP does. */
static void
to_client(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
	  const struct sl_flow *f)
{
	const struct sl_tuple as = sl_l4_reply_out(w, p, f);
	struct sl_addr from = outer(p, 12, 8);
	struct sl_route_cached *way = sl_send_route(w, view, &as.dst);
	enum sl_fit fit = sl_send_fit(w, p, way ? way->port : UINT32_MAX);

	if (fit == SL_FIT_NOT)
		return;
	edit(p,
	     &(struct sl_icmp_edit){.outer_src = sl_addr_eq(&from, &p->tuple.src) ? &as.src : NULL,
				    .outer_dst = &as.dst,
				    .inner_src = &as.dst,
				    .inner_dst = &as.src,
				    .inner_sport = as.dport,
				    .inner_dport = as.sport});
	w->stats->icmp_error++;
	sl_send_routed(w, view, p, way, fit);
}

static void
follow(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_flow *f)
{
	unsigned refusal;
	struct sl_hop *hop = sl_l4_hop_of_flow(w, view, f, &refusal);
	struct sl_tuple key;

	if (!hop) {
		sl_l4_drop(w, p, SL_DROP_ENDPOINT_GONE);
		return;
	}
	p->endpoint_slot = f->slot;
	p->endpoint_incarnation = f->incarnation;
	if (f->state & SL_FLOW_REPLY) {
		to_client(w, view, p, f);
		return;
	}
	if (f->state & SL_FLOW_PAIR)
		key = sl_flow_tuple(sl_flow_get(w->conf.flows, sl_flow_partner(f)));
	to_endpoint(w, view, p, hop, sl_l4_mode_of_flow(f, hop), &key);
}

/* p->tuple is the flow's key, and the flow is this worker's. */
static void
pass_on(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	const struct sl_tuple *t = &p->tuple;
	struct sl_addr from = outer(p, 12, 8), to = outer(p, 16, 24);

	if (sl_view_ours(view, &from)) {
		sl_l4_drop(w, p, SL_DROP_MARTIAN);
		return;
	}
	/* One complains to who sent it. */
	if (!sl_addr_eq(&to, &t->dst)) {
		sl_l4_drop(w, p, SL_DROP_ICMP_ERROR);
		return;
	}
	if (sl_streams_error(w, p))
		return;
	if (sl_l4_hops_left(p) <= 1) {
		sl_l4_drop(w, p, SL_DROP_TTL);
		return;
	}
	p->hash = sl_flow_hash(w->conf.flows, t);
	p->flow = sl_flow_find(w->conf.flows, p->hash, t, w->now_q);
	p->listener = sl_view_listener(view, &t->dst, t->dport, t->proto);
	if (p->flow != SL_FLOW_NONE) {
		follow(w, view, p, sl_flow_get(w->conf.flows, p->flow));
		return;
	}
	struct sl_hop *hop = sl_l4_choose_again(w, view, p);
	if (hop)
		to_endpoint(w, view, p, hop, hop->forward, NULL);
	else if (!sl_punt_take(w, view, p))
		sl_l4_drop(w, p, SL_DROP_ICMP_ERROR);
}

/* ---- about our own tunnel packets ---- */

static bool
sent_in(const struct sl_view *view, const struct sl_hop *hop, const struct sl_icmp_tunnel *t)
{
	const struct sl_service *svc = &view->services[hop->service];

	if ((hop->forward == SL_FORWARD_GUE) != t->udp || (t->udp && t->udp_port != svc->gue_port))
		return false;
	if (svc->tunnel_plen)
		return sl_addr_in(&t->src, &svc->tunnel, svc->tunnel_plen);
	return sl_addr_eq(&t->src, &view->addresses[hop->address].addr);
}

/* The hop whose packet the error is about; NULL: none of ours is. */
static const struct sl_hop *
tunnel_of(const struct sl_view *view, const struct sl_icmp_tunnel *t)
{
	const struct sl_hop *hop = sl_view_tunnel(view, &t->dst);

	while (hop && !sent_in(view, hop, t))
		hop = sl_view_tunnel_next(view, hop);
	return hop;
}

/* What an error says of the way to hop, or 0: not to be believed. */
static unsigned
told(const struct sl_hop *hop, const struct sl_icmp_tunnel *t)
{
	bool v4 = hop->family == 4;
	unsigned mtu = v4 && t->mtu == 0 ? sl_path_plateau(t->sent) : t->mtu;

	/* RFC 8201, 4: less than 1280 is discarded. */
	if (mtu >= t->sent || mtu > UINT16_MAX || (!v4 && mtu < SL_PATH_MIN6))
		return 0;
	return v4 ? SL_MAX(mtu, SL_PATH_MIN4) : mtu;
}

/* All services that tunnel to the address use the same way. */
static void
learn(struct sl_worker *w, const struct sl_view *view, const struct sl_addr *endpoint, unsigned mtu)
{
	const struct sl_hop *hop = sl_view_tunnel(view, endpoint);

	for (; hop; hop = sl_view_tunnel_next(view, hop)) {
		uint32_t slot = (uint32_t)(hop - view->hops);
		if (mtu < sl_send_tunnel_mtu(w, hop, slot))
			sl_path_learn(w->conf.paths, slot, hop->incarnation, (uint16_t)mtu,
				      w->now_q);
	}
}

/* Whether the sender of the inner packet must hear of it, and where he is: he sent it to a listener of the hop's service,
 * and more than the tunnel takes. */
static struct sl_route_cached *
way_to_sender(struct sl_worker *w, const struct sl_view *view, const struct sl_hop *hop,
	      const struct sl_icmp_tunnel *t, unsigned takes)
{
	const struct sl_tuple *in = &t->inner.tuple;

	if (t->inner.len == 0 || t->inner_sent <= takes || sl_view_ours(view, &in->src))
		return NULL;
	uint32_t listener = sl_view_listener(view, &in->dst, in->dport, in->proto);
	if (listener == SL_VIEW_NONE || sl_view_service(view, listener) != hop->service)
		return NULL;
	return sl_send_route(w, view, &in->src);
}

/* The answer takes the place of the error p among what was received. */
static void
answer(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
       const struct sl_pkt *inner, unsigned takes, struct sl_route_cached *way)
{
	struct sl_pkt out = {.flags = inner->flags, .l3_off = inner->l3_off, .port_in = p->port_in};

	out.buf = w->conf.io.alloc(w->conf.io.ctx, &out.data);
	if (!out.buf) {
		sl_l4_drop(w, p, SL_DROP_NO_BUFFER);
		return;
	}
	out.len = (uint16_t)sl_icmp_too_big(inner, (uint16_t)takes, out.data);
	if (out.len == 0) {
		sl_send_free(w, out.buf);
		sl_l4_drop(w, p, SL_DROP_ICMP_ERROR);
		return;
	}
	w->stats->icmp_too_big++;
	sl_send_routed(w, view, &out, way, SL_FIT_WHOLE);
	p->verdict = SL_VERDICT_CONSUMED;
	sl_send_free(w, p->buf);
}

static void
take_tunnel(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
	    const struct sl_hop *hop, const struct sl_icmp_tunnel *t)
{
	struct sl_addr from = outer(p, 12, 8), to = outer(p, 16, 24);
	uint32_t slot = (uint32_t)(hop - view->hops);
	unsigned mtu = told(hop, t);

	if (sl_view_ours(view, &from)) {
		sl_l4_drop(w, p, SL_DROP_MARTIAN);
		return;
	}
	if (mtu == 0 || mtu > sl_send_tunnel_mtu(w, hop, slot) || !sl_addr_eq(&to, &t->src)) {
		sl_l4_drop(w, p, SL_DROP_ICMP_ERROR);
		return;
	}
	learn(w, view, &t->dst, mtu);
	w->stats->icmp_error++;
	unsigned takes = mtu - sl_encap_bytes(hop->forward, hop->family == 4);
	if (!(t->inner.flags & SL_PKT_V4))
		takes = SL_MAX(takes, SL_PATH_MIN6);
	struct sl_route_cached *way = way_to_sender(w, view, hop, t, takes);
	if (way && sl_local_allowed(w, &w->too_big_ns)) {
		answer(w, view, p, &t->inner, takes, way);
		return;
	}
	p->verdict = SL_VERDICT_CONSUMED;
	w->stats->consumed++;
	sl_send_free(w, p->buf);
}

bool
sl_errors_take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	struct sl_icmp_tunnel t;
	unsigned inner;

	if (sl_pkt_dry(p))
		return false;
	if (!(p->flags & SL_PKT_ICMP_ERR)) {
		if (view && w->conf.paths && sl_icmp_tunnel_read(p, &t)) {
			const struct sl_hop *hop = tunnel_of(view, &t);
			if (hop) {
				take_tunnel(w, view, p, hop, &t);
				return true;
			}
		}
		enum sl_drop why = sl_icmp_error_read(p, &inner);
		if (why == SL_DROP_ICMP_IGNORED)
			return false;
		if (why != SL_DROP_NONE) {
			/* ICMP_ERROR: about neither TCP nor UDP */
			if (why != SL_DROP_ICMP_ERROR || !sl_punt_take(w, view, p))
				sl_l4_drop(w, p, why);
			return true;
		}
	}
	unsigned owner = owner_of(w, &p->tuple);
	if (!view && sl_punt_take(w, view, p))
		return true;
	if (!view)
		sl_l4_drop(w, p, SL_DROP_NO_TABLE);
	else if (owner != w->conf.id)
		sl_l4_hand_off(w, p, owner);
	else
		pass_on(w, view, p);
	return true;
}
