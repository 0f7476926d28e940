/* input — a segment arrives: RFC 9293, 3.10.7, with RFC 7323 (timestamps, PAWS) and RFC 5961 (blind attacks).
 *
 *   checksum, options ─▶ TIME-WAIT? SYN-SENT? no stream? ─▶ timestamps ─▶ in the window? ─▶ RST, SYN ─▶ ACK ─▶ text, FIN
 *
 * What is refused leaves the stream as it was, but for an answer where the RFC asks for one. */
#include "dataplane/tcp/tcp_priv.h"

#include "lb/rewrite.h"

#define PAWS_IDLE_MS                                                                               \
	(24u * 24 * 3600 * 1000) /* after which an old timestamp may be a new one (RFC 7323, 5.5) */

#define QUICK_ACKS 16    /* segments behind a disorder that are acknowledged one by one */
#define BACKOFF_CLOSED 6 /* time-outs in a row, at most, of one who answers with a closed window */

/* ---- the segment ---- */

/* Reads header, checksum and options.  false: refused and counted. */
static bool
read_segment(struct sl_tcp *t, struct sl_pkt *p, struct sl_segment *seg)
{
	const uint8_t *l4 = p->data + p->l4_off;
	unsigned head = p->l4_len >= 20 ? (unsigned)(l4[12] >> 4) * 4 : 0;

	if (head < 20 || head > p->l4_len) {
		sl_tcp_count(t, BAD_OPTIONS);
		return false;
	}
	seg->p = p;
	seg->seq = sl_from_be32(sl_load32(l4 + 4));
	seg->ack = sl_from_be32(sl_load32(l4 + 8));
	seg->wnd = sl_from_be16(sl_load16(l4 + 14));
	seg->flags = p->tcp_flags;
	seg->data = p->data + p->l4_off + head;
	seg->len = p->l4_len - head;
	if (!p->csum_ok) {
		uint64_t sum =
			sl_csum_pseudo(&p->tuple.src, &p->tuple.dst, SL_IPPROTO_TCP, p->l4_len);
		seg->sum = sl_tcp_sum(seg->data, seg->len);
		seg->has_sum = true;
		sum = sl_csum_add(sum, l4, head) + seg->sum;
		if (sl_csum_fold(sum) != 0xffff) {
			sl_tcp_count(t, BAD_CSUM);
			return false;
		}
	}
	if (head > 20 && !sl_options_parse(l4 + 20, head - 20, seg->flags & SL_TCP_SYN, &seg->o)) {
		sl_tcp_count(t, BAD_OPTIONS);
		return false;
	}
	return true;
}

/* ---- before the state machine ---- */

/* An answer to what cannot be accepted: where we stand.  Bare segments are answered seldom, or two confused ends would answer
 * each other forever. */
static void
answer_duplicate(struct sl_tcp *t, struct sl_stream *s, const struct sl_segment *seg)
{
	if (seg->len == 0 && !(seg->flags & SL_TCP_FIN)) {
		sl_output_challenge(t, s);
		return;
	}
	s->flags |= SL_F_ACK_NOW;
	sl_tcp_dirty(t, s);
}

/* RFC 7323, 5.3 R1.  false: an old segment. */
static bool
timestamp_passes(struct sl_tcp *t, struct sl_stream *s, const struct sl_segment *seg)
{
	if (!(s->row.flags & SL_STREAM_TS) || (seg->flags & SL_TCP_RST))
		return true;
	/* 3.2: once agreed on, a segment without one is not his */
	if (!seg->o.has_ts)
		return false;
	return !sl_seq_lt(seg->o.ts_val, s->ts_recent) ||
	       t->now_ms - s->ts_recent_ms > PAWS_IDLE_MS;
}

/* RFC 9293, 3.4: whether part of it lies in the window.  Who has filled the window acknowledges from its edge: that counts, or a
 * hole in what he sent would stop what we send.  A closed window lets ACKs, RSTs and what stands exactly at its edge
 * through (3.10.7.4); text of such a one is cut off later. */
static bool
in_window(const struct sl_stream *s, const struct sl_segment *seg)
{
	uint32_t len =
		seg->len + ((seg->flags & SL_TCP_SYN) != 0) + ((seg->flags & SL_TCP_FIN) != 0);
	uint32_t wnd = s->rcv_adv - s->rcv_nxt;

	if (seg->seq == s->rcv_nxt)
		return true;
	if (len == 0)
		return seg->seq - s->rcv_nxt <= wnd;
	return seg->seq - s->rcv_nxt < wnd || seg->seq + len - 1 - s->rcv_nxt < wnd ||
	       (sl_seq_lt(seg->seq, s->rcv_nxt) && sl_seq_gt(seg->seq + len, s->rcv_adv));
}

/* A SYN for a stream that is not open yet: his SYN+ACK of a simultaneous open, or his SYN again.  true: go on with it. */
static bool
syn_again(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg)
{
	if (!(seg->flags & SL_TCP_ACK) || seg->ack != s->row.snd_nxt) {
		sl_output_syn(t, s);
		return false;
	}
	seg->flags &= (uint8_t)~SL_TCP_SYN;
	seg->seq++;
	seg->wnd >>= s->wscale_snd; /* in a SYN it is not scaled (RFC 7323, 2.2) */
	return true;
}

/* RFC 5961, 3.2 */
static void
reset(struct sl_tcp *t, struct sl_stream *s, const struct sl_segment *seg)
{
	uint32_t both = SL_F_FIN_IN | SL_F_FIN_ACKED;

	if ((s->flags & both) == both)
		return; /* it is over, and what is not read yet stays: as in TIME-WAIT (RFC 1337) */
	if (seg->seq != s->rcv_nxt)
		sl_output_challenge(t, s);
	else if (s->row.state == SL_STREAM_SYN_RECEIVED && !(s->flags & SL_F_PASSIVE))
		sl_tcp_end(t, s, SL_END_REFUSED);
	else
		sl_tcp_end(t, s, SL_END_RESET);
}

/* ---- ACK ---- */

static void
take_window(struct sl_tcp *t, struct sl_stream *s, const struct sl_segment *seg)
{
	uint32_t wnd = seg->wnd << s->wscale_snd;

	s->snd_wl1 = seg->seq;
	s->snd_wl2 = seg->ack;
	if (wnd == s->row.snd_wnd)
		return;
	if (wnd == 0)
		sl_tcp_count(t, ZERO_WINDOW);
	s->probes = 0;
	s->row.snd_wnd = wnd;
	s->snd_wnd_max = SL_MAX(s->snd_wnd_max, wnd);
	if (s->sq_next)
		sl_tcp_dirty(t, s);
}

/* Room that a writer waits for. */
static void
tell_room(struct sl_tcp *t, struct sl_stream *s)
{
	if (s->flags & SL_F_WAIT_ROOM)
		sl_raw_wait_room(s, s->want_room);
	(void)t;
}

static void
acknowledge(struct sl_tcp *t, struct sl_stream *s, const struct sl_segment *seg,
	    bool window_changed)
{
	struct sl_ack a = {
		.ack = seg->ack,
		.ts_ecr = seg->o.ts_ecr - s->ts_offset,
		.has_ts = seg->o.has_ts && (s->row.flags & SL_STREAM_TS),
		.has_data = seg->len || (seg->flags & SL_TCP_FIN),
		.window_changed = window_changed,
		.block_cnt = s->row.flags & SL_STREAM_SACK ? seg->o.block_cnt : 0,
	};
	bool fin_was = s->flags & SL_F_FIN_ACKED;

	if (a.block_cnt)
		memcpy(a.block, seg->o.block, sizeof(a.block));
	uint32_t acked = sl_loss_ack(t, s, &a);
	if (acked) {
		s->row.bytes_out += acked - (!fin_was && (s->flags & SL_F_FIN_ACKED));
		s->active_ms = t->now_ms;
		tell_room(t, s);
	}
	/* A timer that is due in this very turn is put off by what came. */
	uint32_t due = s->due[SL_T_XMIT];
	if (s->row.snd_end == s->row.snd_una || (due && sl_seq_le(due, t->tick)))
		sl_loss_rearm(t, s);
	if (s->row.snd_end != s->row.snd_una)
		sl_tcp_dirty(t, s);
}

/* RFC 9293, 3.10.7.4, fifth; RFC 5961, 5.2.  false: the segment ends here. */
static bool
take_ack(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg)
{
	if (sl_unlikely(s->row.state == SL_STREAM_SYN_RECEIVED)) {
		if (seg->ack != s->row.snd_nxt) {
			sl_tcp_count(t, BAD_ACK);
			sl_output_rst_for(t, seg);
			return false;
		}
		s->row.snd_una = seg->ack;
		take_window(t, s, seg);
		sl_open_established(t, s);
		return true;
	}
	if (sl_unlikely(sl_seq_gt(seg->ack, s->row.snd_nxt) ||
			sl_seq_lt(seg->ack, s->row.snd_una - s->snd_wnd_max))) {
		sl_tcp_count(t, BAD_ACK);
		sl_output_challenge(t, s);
		return false;
	}
	if (sl_seq_lt(seg->ack,
		      s->row.snd_una)) /* older than what we know: its text still counts */
		return true;
	/* What acknowledges more is newer, too, where it is his text that came again: with an old window behind a new edge we
	 * would send more than he ever offered. */
	uint32_t wnd_was = s->row.snd_wnd;
	if (sl_seq_lt(s->snd_wl1, seg->seq) || sl_seq_lt(s->row.snd_una, seg->ack) ||
	    (s->snd_wl1 == seg->seq && sl_seq_le(s->snd_wl2, seg->ack)))
		take_window(t, s, seg);
	/* Who closed his window over what is under way, and answers, is not gone (RFC 9293, 3.8.6.1). */
	if (s->row.snd_wnd == 0)
		s->loss.backoff = SL_MIN(s->loss.backoff, (uint8_t)BACKOFF_CLOSED);
	if (s->row.snd_una != s->row.snd_nxt || seg->o.block_cnt)
		acknowledge(t, s, seg, s->row.snd_wnd != wnd_was);
	else
		tell_room(t, s);
	return true;
}

/* ---- text and FIN ---- */

/* When this segment, in order, is acknowledged: at once when the peer has to know; every second full one; else within a moment,
 * in which an answer may carry it (RFC 5681, 4.2). */
static void
owe_ack(struct sl_tcp *t, struct sl_stream *s, const struct sl_segment *seg, bool now)
{
	/* full ones by what he sends, which may be less than what we send */
	if (seg->len >= SL_MIN((uint32_t)s->row.mss, (uint32_t)SL_MSS_DEFAULT4))
		s->acks_owed++;
	if (now || s->acks_owed >= 2) {
		s->flags |= SL_F_ACK_NOW;
		sl_tcp_dirty(t, s);
	} else if (!(s->flags & SL_F_ACK_LATER)) {
		uint32_t ms = s->row.srtt_us / 2000;
		ms = SL_MAX(SL_MIN(ms, (uint32_t)SL_DELACK_MS), (uint32_t)SL_DELACK_MIN_MS);
		s->flags |= SL_F_ACK_LATER;
		sl_tcp_arm(t, s, SL_T_ACK, ms * 1000);
	}
}

void
sl_input_finish(struct sl_tcp *t, struct sl_stream *s)
{
	uint32_t both = SL_F_FIN_IN | SL_F_FIN_ACKED;

	if ((s->flags & both) != both || s->rq_head || (s->flags & SL_F_DEAD))
		return;
	/* the stream is not there any more when output comes */
	if (s->flags & (SL_F_ACK_NOW | SL_F_ACK_LATER))
		sl_output_ack(t, s);
	/* Who sent his FIN first stays for a while (RFC 9293, 3.6). */
	if (s->row.state != SL_STREAM_LAST_ACK) {
		sl_timewait_enter(t, s, 0);
		s->flags |= SL_F_UNLISTED;
	}
	sl_tcp_end(t, s, SL_END_OK);
}

/* States after both FINs are as far as they are. */
static void
advance(struct sl_tcp *t, struct sl_stream *s)
{
	bool in = s->flags & SL_F_FIN_IN, out = s->flags & SL_F_FIN_ACKED;
	uint8_t *state = &s->row.state;

	if (*state == SL_STREAM_ESTABLISHED && in)
		*state = SL_STREAM_CLOSE_WAIT;
	else if (*state == SL_STREAM_FIN_WAIT_1 && in && !out)
		*state = SL_STREAM_CLOSING;
	else if (*state == SL_STREAM_FIN_WAIT_1 && out)
		*state = SL_STREAM_FIN_WAIT_2;
	if (in && out)
		sl_input_finish(t, s);
}

void
sl_input_text(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg)
{
	bool fin = seg->flags & SL_TCP_FIN;
	uint32_t before = s->rcv_nxt;

	if (seg->len == 0 && !fin)
		return;
	/* Nobody will read it: RFC 2525, 2.17. */
	if ((s->flags & SL_F_LET_GO) && seg->len && sl_seq_gt(seg->seq + seg->len, s->rcv_nxt)) {
		sl_output_rst(t, s);
		sl_tcp_end(t, s, SL_END_ABORTED);
		return;
	}
	uint32_t end = seg->seq + seg->len;
	bool took = sl_recvq_add(t, s, seg, fin);
	s->active_ms = t->now_ms;
	if (s->rcv_nxt != before)
		sl_tcp_event(t, s, SL_F_EV_READ);
	/* Out of order, or a gap was filled: each by an ACK of its own, since the sender counts them, and one may be lost.  For
	 * some segments behind, too: a line that loses segments loses ACKs, and the sender's window is small. */
	if (!fin && (!took || s->ooo || s->rcv_nxt != end)) {
		s->quick_acks = QUICK_ACKS;
		sl_output_ack(t, s);
	} else if (!fin && s->quick_acks) {
		s->quick_acks--;
		sl_output_ack(t, s);
	} else {
		owe_ack(t, s, seg, fin);
	}
}

/* ---- the state machine ---- */

/* RFC 9293, 3.10.7.4.  s is in SYN-RECEIVED or a synchronized state. */
static void
arrive(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg)
{
	if (sl_unlikely(!timestamp_passes(t, s, seg))) {
		sl_tcp_count(t, PAWS);
		if (seg->o.has_ts) /* without one: silence (RFC 7323, 3.2) */
			answer_duplicate(t, s, seg);
		return;
	}
	if (sl_unlikely(s->row.state == SL_STREAM_SYN_RECEIVED && (seg->flags & SL_TCP_SYN) &&
			seg->seq == s->irs && !(seg->flags & SL_TCP_RST)) &&
	    !syn_again(t, s, seg))
		return;
	if (sl_unlikely(!in_window(s, seg))) {
		sl_tcp_count(t, BAD_SEQ);
		if (seg->flags & SL_TCP_RST)
			return;
		if (seg->len && (s->row.flags & SL_STREAM_SACK) &&
		    sl_seq_lt(seg->seq, s->rcv_nxt) && sl_seq_le(seg->seq + seg->len, s->rcv_nxt)) {
			s->dsack_from = seg->seq;
			s->dsack_to = seg->seq + seg->len;
			s->flags |= SL_F_DSACK;
		}
		answer_duplicate(t, s, seg);
		return;
	}
	if (sl_unlikely(seg->flags & SL_TCP_RST)) {
		reset(t, s, seg);
		return;
	}
	if (sl_unlikely(seg->flags & SL_TCP_SYN)) {
		sl_output_challenge(t, s);
		return;
	}
	if (!(seg->flags & SL_TCP_ACK))
		return;
	if (!take_ack(t, s, seg))
		return;
	/* RFC 7323, 4.3; of who knows what we sent: one too high would shut the peer out */
	if ((s->row.flags & SL_STREAM_TS) && sl_seq_le(seg->seq, s->ack_sent) &&
	    sl_seq_ge(seg->o.ts_val, s->ts_recent)) {
		s->ts_recent = seg->o.ts_val;
		s->ts_recent_ms = t->now_ms;
	}
	s->heard_ms = t->now_ms;
	s->tries = 0;
	sl_input_text(t, s, seg);
	if (!(s->flags & SL_F_DEAD) && (s->flags & (SL_F_FIN_IN | SL_F_FIN_ACKED)))
		advance(t, s);
}

/* No stream (3.10.7.1, 3.10.7.2). */
static void
unknown(struct sl_tcp *t, struct sl_segment *seg, uint32_t iss_min, bool above)
{
	uint8_t kind = seg->flags & (SL_TCP_SYN | SL_TCP_ACK | SL_TCP_RST);

	if (kind == SL_TCP_SYN)
		sl_open_passive(t, seg, iss_min, above);
	else if (kind == SL_TCP_ACK && t->cookie_out)
		sl_open_cookie(t, seg);
	else
		sl_output_rst_for(t, seg);
}

void
sl_tcp_input(struct sl_tcp *t, struct sl_pkt *p, uint64_t hash, uint32_t idx)
{
	struct sl_segment seg;
	uint32_t iss_min = 0;
	bool above = false;

	memset(&seg, 0, offsetof(struct sl_segment, o.block));
	seg.hash = hash;
	sl_tcp_count(t, SEGS_IN);
	if (read_segment(t, p, &seg)) {
		if (idx == SL_TCP_NONE) {
			unknown(t, &seg, 0, false);
		} else if (idx & SL_TCP_OF_TIMEWAIT) {
			if (!sl_timewait_input(t, idx, &seg, &iss_min, &above))
				unknown(t, &seg, iss_min, above);
		} else if (t->streams[idx].row.state == SL_STREAM_SYN_SENT) {
			sl_open_syn_sent(t, &t->streams[idx], &seg);
		} else {
			arrive(t, &t->streams[idx], &seg);
		}
	}
	if (p->buf)
		t->conf.env.free(t->conf.env.ctx, p->buf);
	p->buf = NULL;
}
