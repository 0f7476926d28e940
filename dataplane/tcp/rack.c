/* rack — RFC 8985, section 6: a segment is lost when one sent later has arrived, and the time that one took has passed since, with a
 * margin for changed order.
 *
 * Those under way stand in order of sending, so the ones to be marked come first, and the walk ends at the first that still
 * has time: constant work but for what is marked.  (The RFC's timer is for the last of them; ours for the first.)
 * A duplicate widens the margin only when it is of something that we sent again: a network that doubles packets does not. */
#include "dataplane/tcp/loss_priv.h"

/* The ACK is of what was sent first, not again: by the timestamp it echoes, or because nothing is so quick. */
static bool
is_of_first(const struct sl_tcp *t, const struct sl_stream *s, const struct sl_ack *a,
	    uint32_t age_us)
{
	uint32_t sent_ms = (uint32_t)((t->now_ns / 1000 - age_us) / 1000);

	return (a->has_ts && sl_seq_lt(a->ts_ecr, sent_ms)) || age_us < s->loss.rtt_min_us;
}

void
sl_rack_arrived(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a,
		const struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;
	uint32_t age_us = t->now_us - r->sent_us;

	if (r->again && is_of_first(t, s, a, age_us))
		return;
	if (l->rack_rtt_us == 0 ||
	    sl_sent_after(r->sent_us, r->end, l->rack_xmit_us, l->rack_end)) {
		l->rack_xmit_us = r->sent_us;
		l->rack_end = r->end;
		l->rack_rtt_us = SL_MAX(age_us, 1);
	}
}

uint32_t
sl_rack_window(const struct sl_stream *s)
{
	const struct sl_loss *l = &s->loss;

	if (!(l->flags & SL_LF_REORDERED) && (l->state != SL_LOSS_OPEN || l->dupacks >= SL_DUPACKS))
		return 0;
	if (l->rtt_min_us == UINT32_MAX)
		return 0;
	uint64_t w = (uint64_t)l->rtt_min_us * l->reo_mult / 4;

	return (uint32_t)SL_MIN(w, s->row.srtt_us);
}

static bool
is_judged(const struct sl_loss *l, const struct sl_seg *seg)
{
	return l->rack_rtt_us != 0 &&
	       sl_sent_after(l->rack_xmit_us, l->rack_end, seg->sent_us, sl_seg_end(seg));
}

bool
sl_rack_mark(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;
	struct sl_seg *seg = s->sent_first;

	if (!seg || !is_judged(l, seg))
		return false;
	uint32_t due_after = l->rack_rtt_us + sl_rack_window(s);
	bool any = false;

	for (; seg && is_judged(l, seg); seg = s->sent_first) {
		if (sl_seq_gt(seg->sent_us + due_after, t->now_us))
			break;
		sl_sack_lost(s, seg);
		any = true;
	}
	return any;
}

uint32_t
sl_rack_wait_us(const struct sl_tcp *t, const struct sl_stream *s)
{
	const struct sl_loss *l = &s->loss;
	const struct sl_seg *seg = s->sent_first;

	if (!seg || !is_judged(l, seg))
		return 0;
	int32_t wait = (int32_t)(seg->sent_us + l->rack_rtt_us + sl_rack_window(s) - t->now_us);
	return (uint32_t)SL_MAX(wait, 1);
}

/* RFC 8985, 6.2 step 4. */
void
sl_rack_needless(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	if ((l->flags & SL_LF_DSACK) && sl_seq_ge(s->row.snd_una, l->dsack_round))
		l->flags &= (uint8_t)~SL_LF_DSACK;
	if (l->flags & SL_LF_DSACK)
		return;
	l->flags |= SL_LF_DSACK;
	l->dsack_round = s->row.snd_nxt;
	l->reo_mult = (uint8_t)SL_MIN(l->reo_mult + 1, UINT8_MAX);
	l->reo_persist = SL_REO_RECOVERIES;
}

void
sl_rack_recovered(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	if (l->reo_persist > 0 && --l->reo_persist == 0)
		l->reo_mult = 1;
}
