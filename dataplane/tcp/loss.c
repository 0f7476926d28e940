/* loss — an ACK in the common case; sending; timers.
 *
 * Common: in order, nothing SACKED or LOST.  Then it frees segments, takes a sample of the round trip and lets the window
 * grow.  All else is recover.c's. */
#include "dataplane/tcp/loss_priv.h"

void
sl_loss_open(struct sl_tcp *t, struct sl_stream *s, uint32_t rtt_us, bool syn_again)
{
	struct sl_loss *l = &s->loss;

	memset(l, 0, sizeof(*l));
	l->rto_us = syn_again ? 3 * SL_RTO_INIT_US : SL_RTO_INIT_US; /* RFC 6298, 5.7 */
	l->rtt_min_us = UINT32_MAX;
	l->reo_mult = 1;
	l->recover = s->row.snd_una - 1;
	l->full_end = s->row.snd_una;
	l->fack = s->row.snd_una;
	s->rto_from_us = t->now_us;
	s->row.srtt_us = s->row.rttvar_us = 0;
	sl_cc_open(s, syn_again);
	if (rtt_us > 0) {
		sl_rtt_sample(s, rtt_us, 0);
		sl_rtt_min(t, s, rtt_us);
	}
}

/* Samples of the round trip.  Karn: not of what was sent again, unless the timestamp tells which it was. */
static void
take_rtt(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a, const struct sl_arrived *r)
{
	uint32_t flight = sl_loss_flight(s) + r->acked;

	if (!r->again) {
		uint32_t rtt_us = t->now_us - r->sent_us;

		sl_rtt_min(t, s, rtt_us);
		if (s->loss.flags & SL_LF_STARTING)
			sl_cc_rtt(s, rtt_us);
	}
	if (r->has_first && !r->acked_again) {
		sl_rtt_sample(s, t->now_us - r->first_us, flight);
	} else if (a->has_ts && r->acked > 0) {
		uint32_t ms = t->now_ms - a->ts_ecr;

		if (ms < SL_RTO_MAX_US / 1000)
			sl_rtt_sample(s, SL_MAX(ms, 1) * 1000, flight);
	}
	if (s->row.flags & SL_STREAM_SACK)
		sl_rack_arrived(t, s, a, r);
}

uint32_t
sl_loss_ack(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a)
{
	struct sl_loss *l = &s->loss;
	struct sl_arrived r = {.una = s->row.snd_una, .acked = a->ack - s->row.snd_una};

	if (r.acked > 0) {
		sl_sack_acked(t, s, a->ack, &r);
		s->rto_from_us = t->now_us;
		l->backoff = 0;
		s->row.flags &= (uint8_t)~SL_STREAM_BACKOFF;
	}
	if (a->block_cnt > 0 && s->row.flags & SL_STREAM_SACK)
		sl_sack_blocks(t, s, a, &r);
	if (r.any)
		take_rtt(t, s, a, &r);
	if (sl_likely(r.acked > 0 && l->state == SL_LOSS_OPEN && !(l->sacked | l->lost) &&
		      !r.dsack && !(l->flags & SL_LF_TLP) && sl_rack_wait_us(t, s) == 0)) {
		l->dupacks = 0;
		sl_cc_acked(t, s, r.delivered, r.una);
	} else {
		sl_recover_ack(t, s, a, &r);
	}
	return r.acked;
}

uint32_t
sl_loss_pipe(const struct sl_stream *s)
{
	uint32_t gone = s->loss.sacked + s->loss.lost, flight = sl_loss_flight(s);

	return flight > gone ? flight - gone : 0;
}

uint32_t
sl_loss_allowance(const struct sl_stream *s)
{
	uint32_t pipe = sl_loss_pipe(s);

	return s->row.cwnd > pipe ? s->row.cwnd - pipe : 0;
}

struct sl_seg *
sl_loss_next(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;
	struct sl_seg *seg;

	if (l->lost == 0)
		return NULL;
	seg = l->lost_at ? l->lost_at : s->sq_head;
	while (seg && !(seg->flags & SL_SEG_LOST))
		seg = seg->flags & SL_SEG_SACKED && seg->later ? seg->later : seg->next;
	l->lost_at = seg;
	return seg;
}

/* What is sent again: undo must be able to tell, and which time the round trip began nobody knows. */
static void
sent_again(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg)
{
	struct sl_loss *l = &s->loss;
	uint32_t n = sl_seg_bytes(seg);

	sl_tcp_count(t, RETRANS);
	s->row.retrans++;
	if (seg->flags & SL_SEG_LOST)
		l->lost -= n;
	if (!(seg->flags & SL_SEG_RETRANS))
		l->again += n;
	seg->flags = (seg->flags & (uint8_t)~SL_SEG_LOST) | SL_SEG_RETRANS | SL_SEG_EVER;
	if (!(l->flags & SL_LF_UNDO) || l->state == SL_LOSS_OPEN)
		return;
	l->undo_again += n;
	if (!(l->flags & SL_LF_UNDO_TS)) {
		l->flags |= SL_LF_UNDO_TS;
		l->undo_ts_ms = t->now_ms;
	}
}

void
sl_loss_sent(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg, bool again)
{
	struct sl_loss *l = &s->loss;
	uint32_t end = sl_seg_end(seg), nxt = sl_seq_max(s->row.snd_nxt, end);

	if (again)
		sent_again(t, s, seg);
	else
		seg->flags |= SL_SEG_SENT;
	if (seg->seq == s->row.snd_una) {
		s->rto_from_us = t->now_us;
		if (!again)
			l->rack_rtt_us = 0; /* what was known is of another flight */
	}
	if (l->state == SL_LOSS_RECOVERY)
		l->prr_out += sl_seg_bytes(seg);
	if (l->flags & SL_LF_TLP_DUE) {
		l->flags &= (uint8_t) ~(SL_LF_TLP_DUE | SL_LF_TLP_AGAIN);
		l->flags |= SL_LF_TLP | (again ? SL_LF_TLP_AGAIN : 0);
		l->tlp_end = nxt;
	}
	seg->sent_us = t->now_us;
	sl_sack_sent(s, seg);

	uint32_t pipe = nxt - s->row.snd_una - l->sacked - l->lost;
	if (s->row.cwnd < l->ssthresh ? 2 * pipe >= s->row.cwnd : pipe + s->row.mss > s->row.cwnd)
		l->full_end = nxt;
}

/* RFC 8985, 7.2: when nothing has come for two round trips since what was sent last. */
static uint32_t
probe_us(const struct sl_tcp *t, const struct sl_stream *s)
{
	uint32_t from_us = s->rto_from_us, pto_us = 2 * s->row.srtt_us;

	if (s->row.srtt_us == 0)
		pto_us = SL_RTO_INIT_US;
	if (s->sent_first && !s->sent_first->later)
		pto_us += SL_TLP_ACK_DELAY_US;
	if (s->sent_first) {
		const struct sl_seg *last =
			(const void *)((const char *)s->sent_last - offsetof(struct sl_seg, later));

		from_us = sl_seq_max(from_us, last->sent_us);
	}
	int32_t left = (int32_t)(from_us + pto_us - t->now_us);
	return (uint32_t)SL_MAX(left, 1);
}

static bool
may_probe(const struct sl_stream *s)
{
	const struct sl_loss *l = &s->loss;

	return s->row.flags & SL_STREAM_SACK && l->state == SL_LOSS_OPEN &&
	       !(l->sacked | l->lost) && !(l->flags & (SL_LF_TLP | SL_LF_TLP_DUE));
}

void
sl_loss_rearm(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	if (s->row.snd_una == s->row.snd_nxt) {
		l->timer = SL_LOSS_NONE;
		sl_tcp_disarm(s, SL_T_XMIT);
		return;
	}
	uint32_t wait = sl_rack_wait_us(t, s);
	int32_t left = (int32_t)(s->rto_from_us + sl_rtt_rto(s) - t->now_us);
	uint32_t rto = (uint32_t)SL_MAX(left, 1);

	l->timer = SL_LOSS_RTO;
	if (wait > 0 && wait < rto) {
		l->timer = SL_LOSS_REORDER;
		rto = wait;
	} else if (may_probe(s)) {
		l->timer = SL_LOSS_TLP;
		rto = SL_MIN(rto, probe_us(t, s));
	}
	sl_tcp_arm(t, s, SL_T_XMIT, rto);
}

enum sl_loss_verdict
sl_loss_timer(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;
	uint8_t what = l->timer;

	l->timer = SL_LOSS_NONE;
	if (s->row.snd_una == s->row.snd_nxt || what == SL_LOSS_NONE)
		return SL_LOSS_GO_ON;
	if (what == SL_LOSS_REORDER) {
		sl_recover_timer(t, s);
	} else if (what == SL_LOSS_TLP) {
		sl_tcp_count(t, TLP);
		l->flags |= SL_LF_TLP_DUE;
		s->rto_from_us = t->now_us;
		return SL_LOSS_PROBE;
	} else if (!sl_recover_timeout(t, s)) {
		return SL_LOSS_DEAD;
	}
	return SL_LOSS_GO_ON;
}

/* RFC 1191, 6.4: too long for the path is no sign of congestion: the window stays. */
void
sl_loss_mtu(struct sl_tcp *t, struct sl_stream *s)
{
	(void)t;
	for (struct sl_seg *seg = s->sq_head; seg && seg != s->sq_next; seg = seg->next) {
		if (seg->chunk.len > s->row.mss && !(seg->flags & (SL_SEG_SACKED | SL_SEG_LOST)))
			sl_sack_lost(s, seg);
	}
}
