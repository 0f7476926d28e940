/* errors — ICMP errors on their way to who sent the packet that they are about (icmp_error.h finds and edits).
 *
 *   received ─▶ worker of the quote turned round ─▶ its flow ─ forward half → to the endpoint, in the flow's mode
 *                                                            ├ reply half   → to the client
 *                                                            └ none         → where a packet like it would be sent
 *                                                                             again, or dropped
 *
 * They neither refresh nor change a flow: anybody can send them.  One packet goes out for one that came in.
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
	unsigned more = mode >= SL_FORWARD_IPIP ? sl_encap_bytes(mode, hop->family == 4) : 0;
	enum sl_fit fit = sl_send_fit(w, p, hop->out_port, more);

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
	enum sl_fit fit = sl_send_fit(w, p, way ? way->port : UINT32_MAX, 0);

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

	if (sl_l4_hops_left(p) <= 1) {
		sl_l4_drop(w, p, SL_DROP_TTL);
		return;
	}
	if (sl_view_local(view, &from)) {
		sl_l4_drop(w, p, SL_DROP_MARTIAN);
		return;
	}
	/* One complains to who sent it. */
	if (!sl_addr_eq(&to, &t->dst)) {
		sl_l4_drop(w, p, SL_DROP_ICMP_ERROR);
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
	else
		sl_l4_drop(w, p, SL_DROP_ICMP_ERROR);
}

bool
sl_errors_take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	unsigned inner;

	if (sl_pkt_dry(p))
		return false;
	if (!(p->flags & SL_PKT_ICMP_ERR)) {
		enum sl_drop why = sl_icmp_error_read(p, &inner);
		if (why == SL_DROP_ICMP_IGNORED)
			return false;
		if (why != SL_DROP_NONE) {
			sl_l4_drop(w, p, why);
			return true;
		}
	}
	unsigned owner = owner_of(w, &p->tuple);
	if (!view)
		sl_l4_drop(w, p, SL_DROP_NO_TABLE);
	else if (owner != w->conf.id)
		sl_l4_hand_off(w, p, owner);
	else
		pass_on(w, view, p);
	return true;
}
