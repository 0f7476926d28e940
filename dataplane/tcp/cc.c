/* cc — how the congestion window grows and shrinks: slow start with HyStart++, Reno (RFC 5681) or CUBIC (cubic.c).
 *
 * Bytes are counted, not ACKs (RFC 3465): many small ACKs gain a receiver nothing, and one ACK of many segments (offloads merge
 * them) counts in full.  After a time-out one ACK adds at most two segments: it may tell of bytes that arrived
 * long ago.  ACKs of what was never sent do not come here, so an optimist gains no more than an honest
 * receiver with a shorter path.
 * The window grows only by bytes that were sent while it was filled (RFC 7661): what it was not used for, nobody has tried. */
#include "dataplane/tcp/loss_priv.h"

#define HYSTART_SAMPLES 8
#define HYSTART_MIN_US 4000u
#define HYSTART_MAX_US 16000u
#define HYSTART_SLOWER 4
#define HYSTART_ROUNDS 5

void
sl_cc_open(struct sl_stream *s, bool syn_again)
{
	struct sl_loss *l = &s->loss;
	uint32_t mss = s->row.mss;

	/* RFC 6928, 2; RFC 5681, 3.1 where a SYN was lost */
	s->row.cwnd = syn_again ? mss : SL_MIN(10 * mss, SL_MAX(2 * mss, 14600));
	l->ssthresh = UINT32_MAX;
	l->flags |= SL_LF_STARTING;
	l->rtt_last_us = l->rtt_round_us = UINT32_MAX;
	l->round_end = s->row.snd_nxt;
}

/* ---- HyStart++ (RFC 9406): css_rounds 0: slow start; else rounds of conservative slow start, whose baseline is rtt_last_us.
 * A round begins with the first ACK of what was sent after the last one began. ---- */

static void
new_round(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	l->round_end = s->row.snd_nxt;
	l->samples = 0;
	if (l->css_rounds == 0)
		l->rtt_last_us = l->rtt_round_us;
	else if (++l->css_rounds > HYSTART_ROUNDS)
		l->ssthresh = s->row.cwnd;
	l->rtt_round_us = UINT32_MAX;
}

void
sl_cc_rtt(struct sl_stream *s, uint32_t rtt_us)
{
	struct sl_loss *l = &s->loss;

	if (sl_seq_gt(s->row.snd_una, l->round_end))
		new_round(s);
	l->rtt_round_us = SL_MIN(l->rtt_round_us, rtt_us);
	if (l->samples < HYSTART_SAMPLES)
		l->samples++;
	if (l->samples == HYSTART_SAMPLES && l->rtt_last_us != UINT32_MAX) {
		uint32_t more = SL_MIN(SL_MAX(l->rtt_last_us / 8, HYSTART_MIN_US), HYSTART_MAX_US);

		if (l->css_rounds == 0 && l->rtt_round_us >= l->rtt_last_us + more) {
			l->css_rounds = 1;
			l->rtt_last_us = l->rtt_round_us;
		} else if (l->css_rounds > 0 && l->rtt_round_us < l->rtt_last_us) {
			l->css_rounds = 0;
		}
	}
}

/* ---- growth ---- */

/* What it leaves of `bytes` for congestion avoidance. */
static uint32_t
slow_start(struct sl_stream *s, uint32_t bytes)
{
	struct sl_loss *l = &s->loss;
	uint32_t n;

	if (l->state == SL_LOSS_TIMEOUT)
		bytes = SL_MIN(bytes, 2u * s->row.mss);
	n = bytes;
	if (l->flags & SL_LF_STARTING && l->css_rounds > 0)
		n /= HYSTART_SLOWER;
	n = SL_MIN(n, l->ssthresh - s->row.cwnd);
	s->row.cwnd += n;
	return s->row.cwnd < l->ssthresh ? 0 : bytes - n;
}

static void
reno_acked(struct sl_stream *s, uint32_t bytes)
{
	struct sl_loss *l = &s->loss;

	l->acked += bytes;
	while (l->acked >= s->row.cwnd) {
		l->acked -= s->row.cwnd;
		s->row.cwnd += s->row.mss;
	}
}

/* From here on the fields of the first slow start are CUBIC's. */
static void
started(struct sl_loss *l)
{
	if (!(l->flags & SL_LF_STARTING))
		return;
	l->flags &= (uint8_t)~SL_LF_STARTING;
	l->w_max = l->k_ms = l->epoch_ms = l->w_est = 0;
}

void
sl_cc_acked(struct sl_tcp *t, struct sl_stream *s, uint32_t bytes, uint32_t una)
{
	struct sl_loss *l = &s->loss;

	if (sl_seq_ge(una, l->full_end) || s->row.cwnd >= SL_CWND_MAX)
		return;
	if (s->row.cwnd < l->ssthresh) {
		bytes = slow_start(s, bytes);
		if (bytes == 0)
			return;
	}
	started(l);
	if (s->row.cc == SL_CC_RENO)
		reno_acked(s, bytes);
	else
		sl_cubic_acked(t, s, bytes);
}

/* What the network bore: the window, or, where it was not filled, what was under way. */
static uint32_t
used(const struct sl_stream *s)
{
	if (sl_seq_le(s->row.snd_una, s->loss.full_end))
		return s->row.cwnd;
	return SL_MIN(s->row.cwnd, sl_loss_flight(s));
}

void
sl_cc_reduce(struct sl_stream *s, bool timeout)
{
	struct sl_loss *l = &s->loss;
	uint32_t w = used(s);

	started(l);
	w = s->row.cc == SL_CC_RENO ? w / 2 : sl_cubic_reduce(s, w, timeout);
	l->ssthresh = SL_MAX(w, 2u * s->row.mss);
}

/* RFC 2861: half for each RTO of silence, down to what a new connection would have; what was known stays in ssthresh. */
void
sl_loss_idle(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;
	uint32_t mss = s->row.mss, restart = SL_MIN(10 * mss, SL_MAX(2 * mss, 14600));
	uint32_t idle_us = t->now_us - s->rto_from_us;

	if (idle_us < l->rto_us)
		return;
	restart = SL_MIN(restart, s->row.cwnd);
	if (!(l->flags & SL_LF_STARTING)) {
		l->ssthresh = SL_MAX(l->ssthresh, s->row.cwnd / 4 * 3);
		l->epoch_ms += idle_us / 1000;
	}
	for (; idle_us >= l->rto_us && s->row.cwnd > restart; idle_us -= l->rto_us)
		s->row.cwnd = SL_MAX(s->row.cwnd / 2, restart);
	l->full_end = s->row.snd_nxt;
}
