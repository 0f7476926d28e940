/* open — streams begin: SYNs from clients, SYNs to endpoints, cookies that come back.
 *
 *   SYN ─▶ admitted by the listener? ─▶ room among the half-open? ─ yes ─▶ SYN-RECEIVED ─▶ ACK ─▶ established
 *                                                                └ no ──▶ SYN+ACK that says it all (cookie.c) ─▶ ACK ─┘
 *
 * SYN and SYN+ACK are sent again after 1, 2, 4, … seconds. */
#include "dataplane/tcp/tcp_priv.h"

#define AGAIN_US 1000000ull

/* ---- what both ends agree on ---- */

void
sl_open_mss(struct sl_tcp *t, struct sl_stream *s)
{
	unsigned head = sl_addr_is_v4(&s->row.tuple.src) ? 40 : 60;
	unsigned mss = SL_MIN((unsigned)s->peer_mss, s->pmtu - head);

	(void)t;
	if (s->row.flags & SL_STREAM_TS)
		mss -= 12; /* RFC 6691 */
	s->row.mss = (uint16_t)SL_MAX(mss, (unsigned)SL_MSS_MIN - 12);
}

/* What the peer's SYN says of him. */
static void
take_options(struct sl_stream *s, const struct sl_tcp_options *o)
{
	bool v4 = sl_addr_is_v4(&s->row.tuple.src);

	s->peer_mss = o->mss ? o->mss : v4 ? SL_MSS_DEFAULT4 : SL_MSS_DEFAULT6;
	s->peer_mss = SL_MAX(s->peer_mss, (uint16_t)SL_MSS_MIN);
	if (o->sack_ok)
		s->row.flags |= SL_STREAM_SACK;
	if (o->has_ts)
		s->row.flags |= SL_STREAM_TS;
	if (o->has_wscale) {
		s->row.flags |= SL_STREAM_WSCALE;
		s->wscale_snd = o->wscale;
		s->wscale_rcv = SL_WSCALE;
	}
}

static void
label(struct sl_stream *s, uint32_t listener_slot, uint32_t service_slot)
{
	s->row.listener_slot = listener_slot;
	s->row.service_slot = service_slot;
	s->row.endpoint_slot = UINT32_MAX;
	s->row.partner = UINT32_MAX;
}

/* What all new streams have.  way: to the peer. */
static void
begin(struct sl_tcp *t, struct sl_stream *s, const struct sl_tuple *tuple, uint64_t hash,
      uint16_t mtu)
{
	s->row.tuple = *tuple;
	s->row.opened_ms = s->heard_ms = s->active_ms = t->now_ms;
	s->hash = (uint32_t)hash;
	s->pmtu = mtu;
	s->rcv_limit = SL_MIN(65536u, t->conf.rcv_max);
	sl_table_insert(t, sl_tcp_place(t, s), hash);
}

/* The state is stored last: a reader of the region sees a whole row. */
static void
enter(struct sl_stream *s, uint8_t state)
{
	__atomic_store_n(&s->row.state, state, __ATOMIC_RELEASE);
}

static void
keep_alive(struct sl_stream *s, uint16_t idle_s)
{
	s->keepalive_s = idle_s;
	s->keepalive_each_s = (uint8_t)SL_MAX(SL_MIN(idle_s / 4, 75), 1);
	s->keepalive_cnt = 5;
}

void
sl_open_established(struct sl_tcp *t, struct sl_stream *s)
{
	bool again = s->flags & SL_F_SYN_AGAIN, passive = s->flags & SL_F_PASSIVE;
	uint32_t rtt_us = again ? 0 : SL_MAX(t->now_us - s->loss.rack_xmit_us, 1u);

	if (passive && s->row.state == SL_STREAM_SYN_RECEIVED)
		t->half_open--;
	t->count[passive ? SL_TCP_ACCEPTED : SL_TCP_CONNECTED]++;
	enter(s, SL_STREAM_ESTABLISHED);
	s->tries = 0;
	sl_tcp_disarm(s, SL_T_SLOW);
	s->rcv_round = 0;
	s->rcv_round_seq = s->rcv_adv;
	sl_open_mss(t, s);
	sl_loss_open(t, s, rtt_us, again);
	if (s->keepalive_s)
		sl_tcp_arm(t, s, SL_T_SLOW, s->keepalive_s * 1000000ull);
	s->flags |= SL_F_OPENED;
	sl_tcp_event(t, s, SL_F_EV_OPENED);
}

/* ---- passive ---- */

static struct sl_stream *
make(struct sl_tcp *t, const struct sl_segment *seg, const struct sl_tcp_accept *accept,
     const struct sl_tcp_options *o, uint32_t irs, struct sl_tcp_way way)
{
	struct sl_stream *s = sl_tcp_new(t);

	if (!s)
		return NULL;
	begin(t, s, &seg->p->tuple, seg->hash, way.mtu);
	label(s, accept->listener_slot, accept->service_slot);
	s->ops = accept->ops;
	s->user = accept->user;
	s->row.cc = accept->cc;
	s->flags = SL_F_PASSIVE | (accept->nodelay ? SL_F_NODELAY : 0);
	keep_alive(s, accept->keepalive_s);
	take_options(s, o);
	s->irs = irs;
	s->rcv_nxt = s->rcv_adv = s->ack_sent = irs + 1;
	s->snd_wl1 = irs;
	s->ts_recent = o->ts_val;
	s->ts_recent_ms = t->now_ms;
	s->ts_offset = sl_isn_ts_offset(t, &seg->p->tuple);
	return s;
}

/* false: refused, answered and counted. */
static bool
admitted(struct sl_tcp *t, struct sl_segment *seg, struct sl_tcp_accept *ret,
	 struct sl_tcp_way *ret_way)
{
	memset(ret, 0, sizeof(*ret));
	enum sl_tcp_admit verdict = t->conf.env.admit(t->conf.env.ctx, seg->p, ret);

	if (verdict != SL_ADMIT_YES) {
		t->count[SL_TCP_SYN_REFUSED] += verdict == SL_ADMIT_REFUSE;
		sl_output_rst_for(t, seg);
		return false;
	}
	*ret_way = t->conf.env.way(t->conf.env.ctx, &seg->p->tuple.src);
	return ret_way->known;
}

static void
send_cookie(struct sl_tcp *t, const struct sl_segment *seg, struct sl_tcp_way way)
{
	const struct sl_tuple *tuple = &seg->p->tuple;
	unsigned head = sl_addr_is_v4(&tuple->src) ? 40 : 60;
	struct sl_tcp_options o = {
		.mss = (uint16_t)(way.mtu - head),
		.has_ts = seg->o.has_ts,
		.ts_ecr = seg->o.ts_val,
		/* without timestamps the cookie has no room for these */
		.has_wscale = seg->o.has_ts && seg->o.has_wscale,
		.wscale = SL_WSCALE,
		.sack_ok = seg->o.has_ts && seg->o.sack_ok,
	};
	uint32_t iss = sl_cookie_make(t, tuple, seg->seq, &seg->o, &o.ts_val);

	sl_tcp_count(t, COOKIE_SENT);
	sl_output_bare(t, tuple, iss, seg->seq + 1, (uint16_t)SL_MIN(65535u, t->conf.rcv_max),
		       SL_TCP_SYN | SL_TCP_ACK, &o);
}

void
sl_open_passive(struct sl_tcp *t, struct sl_segment *seg, uint32_t iss_min, bool above)
{
	struct sl_tcp_accept accept;
	struct sl_tcp_way way;

	if (!admitted(t, seg, &accept, &way))
		return;
	sl_tcp_count(t, SYN_RECEIVED);
	if (t->stream_free == 0) {
		sl_tcp_count(t, SYN_FULL);
		return;
	}
	if (t->half_open >= t->conf.half_open_max) {
		send_cookie(t, seg, way);
		return;
	}
	struct sl_stream *s = make(t, seg, &accept, &seg->o, seg->seq, way);
	s->iss = sl_isn(t, &seg->p->tuple);
	if (above && sl_seq_le(s->iss, iss_min))
		s->iss = iss_min + 128 * 1024; /* RFC 6191: above all of the old connection's */
	s->row.snd_una = s->iss;
	s->row.snd_nxt = s->row.snd_end = s->iss + 1;
	s->row.snd_wnd = s->snd_wnd_max = seg->wnd; /* of a SYN: not scaled */
	s->loss.rack_xmit_us = t->now_us;
	t->half_open++;
	enter(s, SL_STREAM_SYN_RECEIVED);
	sl_output_syn(t, s);
	sl_tcp_arm(t, s, SL_T_SLOW, AGAIN_US);
}

void
sl_open_cookie(struct sl_tcp *t, struct sl_segment *seg)
{
	struct sl_tcp_options syn = {0};
	struct sl_tcp_accept accept;
	struct sl_tcp_way way;

	if (!sl_cookie_check(t, &seg->p->tuple, seg->seq, seg->ack, &seg->o, &syn)) {
		sl_tcp_count(t, COOKIE_BAD);
		/* No reset: the segment that brings the cookie may have been overtaken, or was lost and comes again. */
		return;
	}
	if (!admitted(t, seg, &accept, &way))
		return;
	syn.ts_val = seg->o.ts_val;
	struct sl_stream *s = make(t, seg, &accept, &syn, seg->seq - 1, way);
	if (!s) {
		sl_tcp_count(t, SYN_FULL);
		return;
	}
	sl_tcp_count(t, COOKIE_OK);
	/* The RTT of the handshake is not known. */
	s->flags |= SL_F_SYN_AGAIN;
	s->iss = seg->ack - 1;
	s->row.snd_una = s->row.snd_nxt = s->row.snd_end = seg->ack;
	s->row.snd_wnd = s->snd_wnd_max = seg->wnd << s->wscale_snd;
	s->snd_wl1 = seg->seq;
	s->snd_wl2 = seg->ack;
	/* as the SYN+ACK offered it */
	s->rcv_adv = s->rcv_nxt + SL_MIN(65535u, t->conf.rcv_max);
	s->row.rcv_wnd = s->rcv_adv - s->rcv_nxt;
	sl_open_established(t, s);
	sl_input_text(t, s, seg);
	if (s->flags & SL_F_FIN_IN)
		s->row.state = SL_STREAM_CLOSE_WAIT;
}

/* ---- active ---- */

struct sl_stream *
sl_stream_connect(struct sl_tcp *t, const struct sl_stream_target *target,
		  const struct sl_stream_ops *ops, void *user, enum sl_stream_end *ret_why)
{
	struct sl_tcp_way way = t->conf.env.way(t->conf.env.ctx, &target->dst);
	struct sl_port_pick pick = {0};

	if (!way.known || target->source_cnt == 0) {
		*ret_why = SL_END_NO_ROUTE;
		return NULL;
	}
	if (!sl_ports_pick(t, &target->dst, target->port, target->sources, target->source_cnt,
			   &pick)) {
		*ret_why = SL_END_NO_PORT;
		return NULL;
	}
	struct sl_stream *s = sl_tcp_new(t);
	if (!s) {
		*ret_why = SL_END_NO_MEMORY;
		return NULL;
	}
	begin(t, s, &pick.tuple, pick.hash, way.mtu);
	label(s, UINT32_MAX, UINT32_MAX);
	s->ops = ops;
	s->user = user;
	s->row.cc = target->cc;
	s->row.flags = SL_STREAM_OUT;
	s->flags = target->nodelay ? SL_F_NODELAY : 0;
	keep_alive(s, target->keepalive_s);
	s->peer_mss = SL_MSS_DEFAULT4;
	s->row.mss = SL_MSS_DEFAULT4;
	s->iss = sl_isn(t, &pick.tuple);
	s->ts_offset = pick.reused ? pick.ts_offset : sl_isn_ts_offset(t, &pick.tuple);
	if (pick.reused && sl_seq_le(s->iss, pick.iss_min))
		s->iss = pick.iss_min + 128 * 1024;
	s->row.snd_una = s->iss;
	s->row.snd_nxt = s->row.snd_end = s->iss + 1;
	s->loss.rack_xmit_us = t->now_us;
	s->connect_due = t->tick + sl_ticks_of_us(target->connect_ms * 1000ull);
	enter(s, SL_STREAM_SYN_SENT);
	sl_output_syn(t, s);
	sl_tcp_arm(t, s, SL_T_SLOW, SL_MIN(AGAIN_US, target->connect_ms * 1000ull));
	return s;
}

/* The SYN or SYN+ACK was not answered. */
void
sl_open_timer(struct sl_tcp *t, struct sl_stream *s)
{
	bool active = !(s->flags & SL_F_PASSIVE);
	int32_t left = active ? (int32_t)(s->connect_due - t->tick) : INT32_MAX;
	unsigned tries = active ? SL_SYN_TRIES : SL_SYNACK_TRIES;

	if (left <= 0 || (!active && s->tries >= tries)) {
		sl_tcp_end(t, s, SL_END_CONNECT_TIMEOUT);
		return;
	}
	s->tries++;
	s->flags |= SL_F_SYN_AGAIN;
	sl_output_syn(t, s);
	uint64_t us = AGAIN_US << SL_MIN((unsigned)s->tries, tries);
	uint64_t left_us = ((uint64_t)left << SL_TICK_SHIFT) / 1000;
	sl_tcp_arm(t, s, SL_T_SLOW, active ? SL_MIN(us, left_us) : us);
}

/* RFC 9293, 3.10.7.3 */
void
sl_open_syn_sent(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg)
{
	bool ack = seg->flags & SL_TCP_ACK;

	if (ack && seg->ack != s->row.snd_nxt) {
		sl_tcp_count(t, BAD_ACK);
		sl_output_rst_for(t, seg);
		return;
	}
	if (seg->flags & SL_TCP_RST) {
		if (ack)
			sl_tcp_end(t, s, SL_END_REFUSED);
		return;
	}
	if (!(seg->flags & SL_TCP_SYN))
		return;
	take_options(s, &seg->o);
	s->irs = seg->seq;
	s->rcv_nxt = s->rcv_adv = s->ack_sent = seg->seq + 1;
	s->ts_recent = seg->o.ts_val;
	s->ts_recent_ms = s->heard_ms = t->now_ms;
	s->snd_wl1 = seg->seq;
	s->snd_wl2 = seg->ack;
	s->row.snd_wnd = s->snd_wnd_max = seg->wnd;
	if (!ack) { /* both opened at once */
		enter(s, SL_STREAM_SYN_RECEIVED);
		sl_output_syn(t, s);
		return;
	}
	s->row.snd_una = seg->ack;
	/* as the SYN offered it */
	s->rcv_adv = s->rcv_nxt + SL_MIN(sl_recvq_window(t, s), 65535u);
	sl_open_established(t, s);
	s->flags |= SL_F_ACK_NOW;
	sl_tcp_dirty(t, s);
	seg->seq++;
	sl_input_text(t, s, seg);
	if (s->flags & SL_F_FIN_IN)
		s->row.state = SL_STREAM_CLOSE_WAIT;
}
