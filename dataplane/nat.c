/* nat — the two halves of a nat flow, and what they say to each other.
 *
 * The client's packets and the endpoint's replies may belong to different workers (the port of the reply is
 * not ours to choose), so each direction has a half-entry at its own worker, and each translates alone:
 *
 *   forward half   key: client → VIP        value: endpoint slot;   xlat: when last told
 *   reply half     key: endpoint → client   value: endpoint slot;   xlat record: VIP
 *
 * The worker of the other half follows from the other half's key, so tables can be dealt to other workers.
 *
 *     forward's worker                      reply's worker
 *       HALF  ───────────────────────────▶  make, or refresh and move the state      (before the first packet)
 *       ◀─────────────────────────── REFUSE  cannot: the forward half goes
 *       ◀───────────────────────────── SEEN  packets went by; FIN and RST among them
 *       END   ◀─────────────────────────▶    expired, evicted or endpoint gone: drop yours
 *
 * A half tells the other on every change of state and otherwise at most every SL_TELL_*_S.  A message to the
 * worker itself is a call.  Where the mailbox is full, the next packet of the half tries again; a FIN once seen
 * goes with every message.  A half that hears nothing expires by itself.
 *
 * A half can come back under the tuple of one that has expired and lies in the table still: what is said about
 * the old one must not end the new one.  So a half that has a live successor goes silently, and an END names the
 * VIP as well as the endpoint.
 */
#include "dataplane/worker_priv.h"

static uint32_t
seconds(const struct sl_worker *w)
{
	return w->now_q >> 2;
}

static uint32_t
tell_after_s(uint8_t proto)
{
	return proto == SL_IPPROTO_UDP ? SL_TELL_UDP_S : SL_TELL_TCP_S;
}

/* xlat of a forward half: second of the last message in bits 16–31; bit 0: tell with the next packet. */
#define TELL_NOW 1u

static uint32_t
pack(uint32_t second)
{
	return (second & 0xffff) << 16;
}

static bool
deliver(struct sl_worker *w, const struct sl_view *view, unsigned to, struct sl_msg *m)
{
	m->from = (uint8_t)w->conf.id;
	if (to != w->conf.id)
		return sl_send_msg(w, to, m);
	if (!w->sweeping) {
		sl_nat_message(w, view, m);
		return true;
	}
	/* The table must not change under the sweep: afterwards.  One too many expires by itself. */
	if (w->later_cnt == SL_LATER_MAX) {
		w->stats->msg_lost++;
		return false;
	}
	w->later[w->later_cnt++] = *m;
	return true;
}

/* The reply's tuple for a forward packet to the endpoint behind hop. */
static struct sl_tuple
reply_tuple(const struct sl_tuple *fwd, const struct sl_hop *hop)
{
	return (struct sl_tuple){
		.src = hop->addr,
		.dst = fwd->src,
		.sport = hop->port ? hop->port : fwd->dport,
		.dport = fwd->sport,
		.proto = fwd->proto,
	};
}

/* A FIN that this half has seen, in case the message that told of it was lost. */
static uint8_t
fin_seen(const struct sl_flow *f)
{
	return f->state & SL_FLOW_FIN_A ? SL_TCP_FIN : 0;
}

static struct sl_msg
half_message(const struct sl_view *view, const struct sl_tuple *fwd, const struct sl_flow *f,
	     uint8_t tcp_flags)
{
	return (struct sl_msg){
		.type = SL_MSG_HALF,
		.tcp_flags = tcp_flags | fin_seen(f),
		.slot = f->slot,
		.incarnation = f->incarnation,
		.state = f->state & SL_FLOW_STATE_MASK,
		.addr = fwd->dst,
		.port = fwd->dport,
		.tuple = reply_tuple(fwd, &view->hops[f->slot]),
	};
}

static unsigned
owner_of(const struct sl_worker *w, const struct sl_tuple *t)
{
	if (w->conf.worker_cnt == 1)
		return 0;
	return w->conf.rss->owner[sl_rss_bucket(sl_rss_hash(w->conf.rss, t))];
}

/* ---- making and refreshing a reply half (its worker) ---- */

static enum sl_drop
make_half(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m, uint64_t hash)
{
	struct sl_flow_table *t = w->conf.flows;
	struct sl_flow_evicted gone = {.any = false};
	unsigned reason = 0;
	uint32_t idx = sl_flow_insert(t, hash, &m->tuple, m->slot, m->incarnation,
				      m->state | SL_FLOW_REPLY, w->now_q, &gone, &reason);

	if (idx == SL_FLOW_NONE)
		return (enum sl_drop)reason;
	w->stats->flow_insert++;
	struct sl_xlat *x = sl_flow_xlat(t, sl_flow_get(t, idx));
	x->addr = m->addr;
	x->port = m->port;
	x->told_q = w->now_q;
	sl_flow_xlat_seal(x);
	if (sl_likely(!gone.any))
		return SL_DROP_NONE;
	sl_nat_evicted(w, view, &gone);
	/* In a full table the victim can be the forward half of this very flow: its end was ours too. */
	return sl_flow_find(t, hash, &m->tuple, w->now_q) == idx ? SL_DROP_NONE : SL_DROP_FLOW_FULL;
}

static enum sl_drop
take_half(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m)
{
	struct sl_flow_table *t = w->conf.flows;
	uint64_t hash = sl_flow_hash(t, &m->tuple);
	uint32_t idx = sl_flow_find(t, hash, &m->tuple, w->now_q);

	w->table_moved = true;
	if (idx != SL_FLOW_NONE) {
		struct sl_flow *f = sl_flow_get(t, idx);
		if (!(f->state & SL_FLOW_REPLY) || (f->state & SL_FLOW_PAIR))
			return SL_DROP_NAT_CONFLICT;
		struct sl_xlat *x = sl_flow_xlat(t, f);
		bool same = sl_addr_eq(&x->addr, &m->addr) && x->port == m->port;
		if (!same && (f->state & SL_FLOW_STATE_MASK) != SL_FLOW_CLOSING)
			return SL_DROP_NAT_CONFLICT;
		if (same && f->slot == m->slot && f->incarnation == m->incarnation) {
			/* UDP that was not answered yet moves nothing: this half has seen no packet. */
			bool answered = m->state != SL_FLOW_UDP_NEW;
			sl_flow_seen(t, hash, idx, m->tcp_flags, answered, w->now_q);
			return SL_DROP_NONE;
		}
		sl_flow_remove(t, hash, idx);
	}

	return make_half(w, view, m, hash);
}

enum sl_drop
sl_nat_open(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p, uint32_t idx)
{
	struct sl_flow *f = sl_flow_get(w->conf.flows, idx);
	struct sl_msg m = half_message(view, &p->tuple, f, p->tcp_flags);
	unsigned to = owner_of(w, &m.tuple);

	f->xlat = pack(seconds(w));
	if (to != w->conf.id)
		return deliver(w, view, to, &m) ? SL_DROP_NONE : SL_DROP_MAILBOX_FULL;
	m.from = (uint8_t)w->conf.id;
	return take_half(w, view, &m);
}

/* ---- telling ---- */

void
sl_nat_tell_reply(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p,
		  bool changed)
{
	struct sl_flow *f = sl_flow_get(w->conf.flows, p->flow);
	uint16_t silent = (uint16_t)(seconds(w) - (f->xlat >> 16));

	if (sl_likely(!changed && silent < tell_after_s(f->proto) && !(f->xlat & TELL_NOW)))
		return;
	struct sl_msg m = half_message(view, &p->tuple, f, p->tcp_flags);
	/* before the message: it can end in the removal of this half */
	f->xlat = pack(seconds(w));
	if (sl_unlikely(!deliver(w, view, owner_of(w, &m.tuple), &m)))
		f->xlat = TELL_NOW;
}

void
sl_nat_adopt(struct sl_flow *f)
{
	if ((f->state & (SL_FLOW_NAT | SL_FLOW_PAIR)) == SL_FLOW_NAT)
		f->xlat = TELL_NOW;
}

void
sl_nat_tell_forward(struct sl_worker *w, const struct sl_pkt *p, bool changed)
{
	struct sl_flow *f = sl_flow_get(w->conf.flows, p->flow);
	struct sl_xlat *x = sl_flow_xlat(w->conf.flows, f);

	if (sl_likely(!changed && w->now_q - x->told_q < 4 * tell_after_s(f->proto)))
		return;
	struct sl_msg m = {
		.type = SL_MSG_SEEN,
		.tcp_flags = p->tcp_flags | fin_seen(f),
		.tuple = {.src = f->dst,
			  .dst = x->addr,
			  .sport = f->dport,
			  .dport = x->port,
			  .proto = f->proto},
	};
	bool told = deliver(w, NULL, owner_of(w, &m.tuple), &m);
	x->told_q = told ? w->now_q : w->now_q - 4 * tell_after_s(f->proto);
}

/* Whether a live half has taken the place of f, which is expired or out of the table. */
static bool
has_successor(const struct sl_worker *w, const struct sl_flow *f)
{
	struct sl_tuple t = sl_flow_tuple(f);

	return sl_flow_find(w->conf.flows, sl_flow_hash(w->conf.flows, &t), &t, w->now_q) !=
	       SL_FLOW_NONE;
}

void
sl_nat_evicted(struct sl_worker *w, const struct sl_view *view, const struct sl_flow_evicted *gone)
{
	w->stats->flow_evict++;
	sl_tally_end(w, &gone->flow);
	sl_nat_gone(w, view, &gone->flow, &gone->xlat);
}

void
sl_nat_gone(struct sl_worker *w, const struct sl_view *view, const struct sl_flow *f,
	    const struct sl_xlat *x)
{
	struct sl_msg m = {.type = SL_MSG_END};

	if (!(f->state & (SL_FLOW_REPLY | SL_FLOW_NAT)) || (f->state & SL_FLOW_PAIR) ||
	    has_successor(w, f))
		return;
	if (f->state & SL_FLOW_REPLY) {
		m.tuple = (struct sl_tuple){.src = f->dst,
					    .dst = x->addr,
					    .sport = f->dport,
					    .dport = x->port,
					    .proto = f->proto};
	} else {
		/* An endpoint that is gone from the view has no address any more: its reply half is dead
		 * by incarnation and expires by itself. */
		if (!view || f->slot >= view->hop_cnt ||
		    view->hops[f->slot].incarnation != f->incarnation)
			return;
		struct sl_tuple fwd = sl_flow_tuple(f);
		m.tuple = reply_tuple(&fwd, &view->hops[f->slot]);
		m.addr = fwd.dst;
		m.port = fwd.dport;
	}
	m.slot = f->slot;
	m.incarnation = f->incarnation;
	deliver(w, view, owner_of(w, &m.tuple), &m);
}

/* ---- hearing ---- */

/* Whether an END is about f, not about an older flow that had its place. */
static bool
end_is_of(const struct sl_worker *w, const struct sl_msg *m, const struct sl_flow *f)
{
	if (f->slot != m->slot || f->incarnation != m->incarnation)
		return false;
	if (!(f->state & SL_FLOW_REPLY))
		return true;
	const struct sl_xlat *x = sl_flow_xlat(w->conf.flows, f);
	return sl_addr_eq(&x->addr, &m->addr) && x->port == m->port;
}

static void
end_half(struct sl_worker *w, const struct sl_msg *m)
{
	struct sl_flow_table *t = w->conf.flows;
	uint64_t hash = sl_flow_hash(t, &m->tuple);
	uint32_t idx = sl_flow_find(t, hash, &m->tuple, w->now_q);

	if (idx == SL_FLOW_NONE)
		return;
	const struct sl_flow f = *sl_flow_get(t, idx);
	if (!(f.state & (SL_FLOW_REPLY | SL_FLOW_NAT)) || (f.state & SL_FLOW_PAIR))
		return;
	if (m->type == SL_MSG_END && !end_is_of(w, m, &f))
		return;
	sl_flow_remove(t, hash, idx);
	sl_tally_end(w, &f);
	w->table_moved = true;
}

static void
seen_by_other(struct sl_worker *w, const struct sl_msg *m)
{
	uint64_t hash = sl_flow_hash(w->conf.flows, &m->tuple);
	uint32_t idx = sl_flow_find(w->conf.flows, hash, &m->tuple, w->now_q);

	if (idx != SL_FLOW_NONE)
		sl_flow_seen(w->conf.flows, hash, idx, m->tcp_flags, true, w->now_q);
}

static void
count_refused(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m)
{
	uint32_t l = sl_view_listener(view, &m->tuple.dst, m->tuple.dport, m->tuple.proto);

	if (l != SL_VIEW_NONE)
		w->listener_stats[view->listeners[l].slot].refused++;
}

void
sl_nat_message(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m)
{
	enum sl_drop why;

	switch (m->type) {
	case SL_MSG_HALF:
		why = take_half(w, view, m);
		if (why == SL_DROP_NONE)
			return;
		struct sl_msg no = {
			.type = SL_MSG_REFUSE,
			.reason = (uint8_t)why,
			.tuple = {.src = m->tuple.dst,
				  .dst = m->addr,
				  .sport = m->tuple.dport,
				  .dport = m->port,
				  .proto = m->tuple.proto},
		};
		deliver(w, view, m->from, &no);
		return;
	case SL_MSG_SEEN:
		seen_by_other(w, m);
		return;
	case SL_MSG_REFUSE:
		count_refused(w, view, m);
		end_half(w, m);
		return;
	case SL_MSG_END:
		end_half(w, m);
		return;
	default:
		SL_ASSERT(!"message type");
	}
}
