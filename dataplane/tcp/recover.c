/* recover — what follows from losses: less is sent, what was lost is sent again, and where it was no loss all is as before.
 *
 *              a segment is LOST                          all up to `recover` acknowledged, or it was needless
 *   OPEN ───────────────────────▶ RECOVERY (PRR) ──────────────────────────────────────────────────▶ OPEN
 *     │ time-out                     │ time-out                                                        ▲
 *     └──────────────────────────▶ TIMEOUT (slow start from one segment) ───────────────────────────────┘
 *
 * One reduction for each way out of OPEN.  Needless is proven by a timestamp, echoed, that is older than the first
 * retransmission (RFC 3522), or by DSACKs of all that was sent again (also after recovery has ended). */
#include "dataplane/tcp/loss_priv.h"

static void
remember(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	l->recover = s->row.snd_nxt;
	l->undo_cwnd = s->row.cwnd;
	l->undo_ssthresh = l->ssthresh;
	l->undo_una = s->row.snd_una;
	l->undo_again = 0;
	l->flags &= (uint8_t) ~(SL_LF_UNDO_TS | SL_LF_TLP | SL_LF_TLP_DUE | SL_LF_TLP_AGAIN);
	l->flags |= SL_LF_UNDO;
}

/* delivered: by the ACK that told of it.  The flight that PRR divides by leaves out what was SACKED before (RFC 9937). */
static void
begin(struct sl_tcp *t, struct sl_stream *s, uint32_t delivered)
{
	struct sl_loss *l = &s->loss;

	remember(s);
	sl_cc_reduce(s, false);
	l->state = SL_LOSS_RECOVERY;
	l->flight = SL_MAX(sl_loss_flight(s) + delivered - l->sacked, s->row.mss);
	l->prr_delivered = 0;
	l->prr_out = 0;
	s->row.flags |= SL_STREAM_RECOVERY;
	sl_tcp_count(t, FAST_RECOVERY);
}

static void
leave(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	l->state = SL_LOSS_OPEN;
	l->acked = 0;
	s->row.flags &= (uint8_t) ~(SL_STREAM_RECOVERY | SL_STREAM_BACKOFF);
	if (!(s->row.flags & SL_STREAM_SACK)) {
		l->sacked = 0;
		l->dupacks = 0;
	}
	sl_rack_recovered(s);
}

static void
finish(struct sl_stream *s)
{
	if (s->loss.state == SL_LOSS_RECOVERY)
		s->row.cwnd = s->loss.ssthresh;
	leave(s);
}

static void
undo(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	s->row.cwnd = SL_MAX(s->row.cwnd, l->undo_cwnd);
	l->ssthresh = SL_MAX(l->ssthresh, l->undo_ssthresh);
	l->flags &= (uint8_t) ~(SL_LF_UNDO | SL_LF_UNDO_TS);
	if (l->state != SL_LOSS_OPEN) {
		sl_sack_unlose(s);
		leave(s);
	}
}

/* What was sent again since the last way out of OPEN was needless, all of it.  Or it is still to be sent, and what was LOST
 * arrives. */
static bool
is_needless(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a,
	    const struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;
	bool again = l->flags & SL_LF_UNDO_TS;

	if (!(l->flags & SL_LF_UNDO))
		return false;
	if (again && r->needless && l->undo_again == 0)
		return true;
	if (l->state == SL_LOSS_OPEN || r->acked == 0)
		return false;
	if (again && (!a->has_ts || !r->acked_again || !sl_seq_lt(a->ts_ecr, l->undo_ts_ms)))
		return false;
	if (l->state == SL_LOSS_RECOVERY && l->again > 0)
		return false; /* others may prove to have been needed */
	if (again)
		sl_tcp_count(t, SPURIOUS);
	if (l->state == SL_LOSS_RECOVERY)
		sl_rack_needless(s);
	return true;
}

/* RFC 6937 with what came of it since: only where snd_una moves and nothing more is lost may more leave than arrived. */
static void
prr(struct sl_stream *s, uint32_t delivered, bool safe)
{
	struct sl_loss *l = &s->loss;
	uint32_t pipe = sl_loss_pipe(s), send = 0;

	l->prr_delivered += delivered;
	if (pipe > l->ssthresh) {
		uint64_t due = (uint64_t)l->prr_delivered * l->ssthresh / l->flight;

		due = (due + s->row.mss - 1) / s->row.mss * s->row.mss;
		send = due > l->prr_out ? (uint32_t)due - l->prr_out : 0;
	} else {
		uint32_t limit = l->prr_delivered > l->prr_out ? l->prr_delivered - l->prr_out : 0;

		if (safe)
			limit = SL_MAX(limit, delivered) + s->row.mss;
		send = SL_MIN(l->ssthresh - pipe, limit);
	}
	if (l->prr_out == 0 ||
	    pipe == 0) /* the first retransmission; or nothing else brings an ACK */
		send = SL_MAX(send, s->row.mss);
	s->row.cwnd = pipe + send;
}

/* RFC 8985, 7.4: was the tail lost, and the probe repaired it unseen? */
static void
judge_probe(struct sl_stream *s, const struct sl_ack *a, const struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;
	bool over = false, lost = false;

	if (!(l->flags & SL_LF_TLP) || sl_seq_lt(a->ack, l->tlp_end))
		return;
	if (!(l->flags & SL_LF_TLP_AGAIN) || (r->dsack && r->dsack_end == l->tlp_end))
		over = true;
	else if (sl_seq_gt(a->ack, l->tlp_end))
		over = lost = true;
	else if (!r->acked && !r->sacked && !a->has_data && !a->window_changed)
		over = true; /* a second ACK for the second copy */
	if (!over)
		return;
	l->flags &= (uint8_t) ~(SL_LF_TLP | SL_LF_TLP_AGAIN);
	if (lost && l->state == SL_LOSS_OPEN) {
		sl_cc_reduce(s, false);
		s->row.cwnd = SL_MIN(s->row.cwnd, l->ssthresh);
		l->acked = 0;
	}
}

static bool
lose_head(struct sl_stream *s)
{
	struct sl_seg *seg = s->sq_head;

	if (!seg || seg == s->sq_next || seg->flags & SL_SEG_LOST)
		return false;
	sl_sack_lost(s, seg);
	return true;
}

/* Without SACK (RFC 5681, 6582): each duplicate ACK is a segment that has left the network; the third says that the first one is
 * lost; in recovery each partial ACK says so of the next. */
static bool
count_dupacks(struct sl_stream *s, const struct sl_ack *a, struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;
	uint32_t mss = s->row.mss, room = sl_loss_flight(s) - l->lost;

	if (r->acked > 0) {
		uint32_t known = SL_MIN(l->sacked, r->acked > mss ? r->acked - mss : 0);
		bool partial = l->state == SL_LOSS_RECOVERY && sl_seq_lt(a->ack, l->recover);

		l->dupacks = 0;
		l->sacked = partial ? SL_MIN(l->sacked - known, room) : 0;
		r->delivered -= SL_MIN(r->delivered, known);
		return partial && lose_head(s);
	}
	if (a->has_data || a->window_changed || room == 0 || l->state == SL_LOSS_TIMEOUT)
		return false;
	uint32_t left = SL_MIN(mss, room - SL_MIN(room, l->sacked + mss));

	l->sacked += left;
	r->delivered += left;
	if (l->dupacks < UINT8_MAX)
		l->dupacks++;
	return l->state == SL_LOSS_OPEN && l->dupacks == SL_DUPACKS &&
	       sl_seq_gt(a->ack, l->recover) && lose_head(s);
}

void
sl_recover_ack(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a, struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;
	bool sack = s->row.flags & SL_STREAM_SACK, found;

	if (r->needless)
		sl_rack_needless(s);
	/* What was acknowledged stands no longer for changed order. */
	if (sack && r->acked > 0)
		l->dupacks = (uint8_t)SL_MIN((uint32_t)l->dupacks,
					     (l->sacked + s->row.mss - 1) / s->row.mss);
	else if (sack && l->sacked == 0)
		l->dupacks = 0;
	judge_probe(s, a, r);
	if (is_needless(t, s, a, r))
		undo(s);
	else if (l->state != SL_LOSS_OPEN && sl_seq_ge(a->ack, l->recover))
		finish(s);
	found = sack ? sl_rack_mark(t, s) : count_dupacks(s, a, r);
	bool begun = found && l->state == SL_LOSS_OPEN;

	if (begun)
		begin(t, s, r->delivered);
	if (l->state != SL_LOSS_RECOVERY)
		sl_cc_acked(t, s, r->delivered, r->una);
	else if (r->delivered > 0 || begun)
		prr(s, r->delivered, r->acked > 0 && !found);
}

void
sl_recover_timer(struct sl_tcp *t, struct sl_stream *s)
{
	if (!sl_rack_mark(t, s) || s->loss.state != SL_LOSS_OPEN)
		return;
	begin(t, s, 0);
	prr(s, 0, false);
}

/* RFC 8985, 6.3: the head, and what had time to arrive.  What was sent just now is still under way. */
static void
lose_old(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;
	uint32_t time_us = l->rack_rtt_us + sl_rack_window(s);
	struct sl_seg *seg;

	while ((seg = s->sent_first) && sl_seq_le(seg->sent_us + time_us, t->now_us))
		sl_sack_lost(s, seg);
	lose_head(s);
}

bool
sl_recover_timeout(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	sl_tcp_count(t, RTO);
	if (++l->backoff > SL_RTO_GIVE_UP)
		return false;
	if (s->sq_head && s->sq_head->flags & SL_SEG_SACKED)
		sl_sack_renege(s); /* it has them no more (RFC 2018, 8) */
	if (!(s->row.flags & SL_STREAM_SACK))
		l->sacked = 0;
	l->dupacks = 0;
	if (l->state == SL_LOSS_OPEN) {
		remember(s);
		sl_cc_reduce(s, true);
	}
	l->recover = s->row.snd_nxt;
	l->state = SL_LOSS_TIMEOUT;
	l->acked = 0;
	lose_old(t, s);
	s->row.cwnd = sl_loss_pipe(s) + s->row.mss;
	s->row.flags = (s->row.flags & (uint8_t)~SL_STREAM_RECOVERY) | SL_STREAM_BACKOFF;
	s->rto_from_us = t->now_us;
	return true;
}
