/* fragments — from any worker to the endpoint of their datagram's flow.
 *
 *   received ─▶ worker of (source, destination) ─▶ worker of the tuple ─▶ as packets of the flow
 *               sl_frag_take: whose ports?          first: like any packet (l4.c)
 *                     └ held until the first comes  later: after the burst, so that the first has gone before
 *
 * NICs hash fragments by addresses alone, so the first step is often no step.  A later fragment follows its flow and
 * changes nothing of it; without one it goes where the first went only if that can be chosen again.
 */
#include "dataplane/worker_priv.h"

#define EXPIRE_NS 1000000ull
#define EXPIRE_MAX 256 /* a pass and more */

static unsigned
owner_of(const struct sl_worker *w, const struct sl_tuple *t)
{
	if (w->conf.worker_cnt == 1)
		return 0;
	return w->conf.rss->owner[sl_rss_bucket(sl_rss_hash(w->conf.rss, t))];
}

static unsigned
tracker_of(const struct sl_worker *w, const struct sl_pkt *p)
{
	struct sl_tuple t = {.src = p->tuple.src, .dst = p->tuple.dst};

	return owner_of(w, &t);
}

static void
gauges(struct sl_worker *w)
{
	uint32_t open, held;

	sl_frag_usage(w->frags, &open, &held);
	w->stats->frag_open = open;
	w->stats->frag_held = held;
}

/* ---- arrival ---- */

/* Learns or waits for the tuple.  false: settled here. */
static bool
track(struct sl_worker *w, struct sl_pkt *p)
{
	enum sl_drop why;

	w->frag_seen = true;
	switch (sl_frag_take(w->frags, p, w->now_ns, &why)) {
	case SL_FRAG_GO:
		p->flags |= SL_PKT_TRACKED;
		return true;
	case SL_FRAG_HOLD:
		p->verdict = SL_VERDICT_HELD;
		return false;
	default:
		sl_l4_drop(w, p, why);
		return false;
	}
}

bool
sl_fragments_triage(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	if (!(p->flags & SL_PKT_OWNED))
		w->stats->frag_rx++;
	if (!view) {
		if (!sl_punt_take(w, view, p))
			sl_l4_drop(w, p, SL_DROP_NO_TABLE);
		return false;
	}
	/* the kernel puts together what is its */
	if (sl_punt_only(w, view, p) && sl_punt_take(w, view, p))
		return false;
	if (!(p->flags & SL_PKT_TRACKED)) {
		unsigned tracker = tracker_of(w, p);
		if (tracker != w->conf.id) {
			sl_l4_hand_off(w, p, tracker);
			return false;
		}
		if (!track(w, p))
			return false;
	}
	unsigned owner = owner_of(w, &p->tuple);
	if (owner != w->conf.id) {
		sl_l4_hand_off(w, p, owner);
		return false;
	}
	if (!(p->flags & SL_PKT_FRAG_LATER))
		return true;
	w->frag_seen = true;
	w->late[w->late_cnt++] = p;
	return false;
}

/* ---- later fragments, at the worker of their tuple ---- */

/* reply: of fullnat, the key of its reply half. */
static void
to_endpoint(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_hop *hop,
	    uint8_t mode, const struct sl_tuple *reply)
{
	enum sl_fit fit = sl_send_fit_hop(w, p, hop, mode);

	if (fit == SL_FIT_NOT)
		return;
	sl_l4_count_forward(w, view, p);
	if (mode == SL_FORWARD_NAT)
		sl_rewrite_addrs(p, NULL, &hop->addr);
	else if (mode == SL_FORWARD_FULLNAT)
		sl_rewrite_addrs(p, &reply->dst, &reply->src);
	sl_send_hop(w, view, p, hop, mode, fit);
}

static void
to_client(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
	  const struct sl_flow *f)
{
	const struct sl_tuple as = sl_l4_reply_out(w, p, f);
	struct sl_route_cached *way = sl_send_route(w, view, &as.dst);
	enum sl_fit fit = sl_send_fit(w, p, way ? way->port : UINT32_MAX);

	if (fit == SL_FIT_NOT)
		return;
	w->endpoint_stats[f->slot].reply_packets++;
	w->endpoint_stats[f->slot].reply_bytes += p->len;
	sl_rewrite_addrs(p, &as.src, &as.dst);
	sl_send_routed(w, view, p, way, fit);
}

static void
follow(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p, struct sl_flow *f)
{
	unsigned refusal;
	struct sl_hop *hop = sl_l4_hop_of_flow(w, view, f, &refusal);
	bool reply = f->state & SL_FLOW_REPLY;

	if (!hop || (!reply && p->listener == SL_VIEW_NONE)) {
		sl_l4_drop(w, p, SL_DROP_ENDPOINT_GONE);
		return;
	}
	p->endpoint_slot = f->slot;
	p->endpoint_incarnation = f->incarnation;
	if (reply) {
		to_client(w, view, p, f);
		return;
	}
	struct sl_tuple key;
	if (f->state & SL_FLOW_PAIR)
		key = sl_flow_tuple(sl_flow_get(w->conf.flows, sl_flow_partner(f)));
	to_endpoint(w, view, p, hop, sl_l4_mode_of_flow(f, hop), &key);
}

static void
later(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p)
{
	const struct sl_tuple *t = &p->tuple;

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
		sl_l4_drop(w, p, SL_DROP_FRAG_NO_FLOW);
}

/* What the tracker gives back: the tuple is known, or it has to be dropped. */
static void
give_back(struct sl_worker *w, const struct sl_view *view)
{
	struct sl_pkt p;

	while (sl_frag_next(w->frags, &p)) {
		if (p.verdict == SL_VERDICT_DROP) {
			sl_l4_drop(w, &p, (enum sl_drop)p.drop);
			continue;
		}
		p.flags |= SL_PKT_TRACKED;
		unsigned owner = owner_of(w, &p.tuple);
		if (owner != w->conf.id)
			sl_l4_hand_off(w, &p, owner);
		else
			later(w, view, &p);
	}
}

SL_COLD void
sl_fragments_late(struct sl_worker *w, const struct sl_view *view)
{
	/* Those held came before those of this burst. */
	give_back(w, view);
	for (unsigned i = 0; i < w->late_cnt; i++)
		later(w, view, w->late[i]);
	w->late_cnt = 0;
	w->frag_seen = false;
	gauges(w);
}

/* ---- time and end ---- */

void
sl_fragments_tick(struct sl_worker *w, const struct sl_view *view)
{
	uint64_t due = (w->now_ns - w->frag_ns) / EXPIRE_NS;

	if (due == 0)
		return;
	w->frag_ns = w->now_ns;
	if (w->stats->frag_open == 0)
		return;
	for (due = SL_MIN(due, (uint64_t)EXPIRE_MAX); due > 0; due--)
		sl_frag_expire(w->frags, w->now_ns);
	give_back(w, view);
	gauges(w);
}

void
sl_fragments_fini(struct sl_worker *w)
{
	for (struct sl_pkt p; sl_frag_drain(w->frags, &p);)
		sl_send_free(w, p.buf);
}

/* Not agreed with anybody and not kept: spread from the worker's own seed (SplitMix64). */
void
sl_fragments_init(struct sl_worker *w, void *mem)
{
	uint64_t state = w->conf.seed ^ (w->conf.id + 1) * 0xd1342543de82ef95ull;
	struct sl_hash_key key;

	for (unsigned i = 0; i < sizeof(key.b); i += 8) {
		uint64_t z = state += 0x9e3779b97f4a7c15ull;
		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		sl_store64(key.b + i, z ^ z >> 31);
	}
	w->frags = sl_frag_init(mem, &key);
}
