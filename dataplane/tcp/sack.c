/* sack — the scoreboard: one flag per segment of the send queue.
 *
 *   sq_head                                        sq_next
 *     R     S──S──S     .     L     S──S     .     .  ┊ never sent
 *     └───────────────▶ └──▶ ...  order of sending: those neither SACKED nor LOST
 *
 * A walk for SACK blocks goes over holes segment by segment and over runs of SACKED segments at once; it begins at the highest
 * run where nothing lower is told.  It is cut off after SL_SACK_STEPS: what a peer says of segments beyond is not heard,
 * which costs him a retransmission, and us no more than that many steps for an ACK. */
#include "dataplane/tcp/loss_priv.h"

static void
unlink_sent(struct sl_stream *s, struct sl_seg *seg)
{
	if (!seg->at)
		return;
	*seg->at = seg->later;
	if (seg->later)
		seg->later->at = seg->at;
	else
		s->sent_last = seg->at;
	seg->later = NULL;
	seg->at = NULL;
}

void
sl_sack_sent(struct sl_stream *s, struct sl_seg *seg)
{
	unlink_sent(s, seg);
	if (!s->sent_first)
		s->sent_last = &s->sent_first;
	seg->later = NULL;
	seg->at = s->sent_last;
	*s->sent_last = seg;
	s->sent_last = &seg->later;
}

void
sl_sack_lost(struct sl_stream *s, struct sl_seg *seg)
{
	struct sl_loss *l = &s->loss;
	uint32_t n = sl_seg_bytes(seg);

	unlink_sent(s, seg);
	if (seg->flags & SL_SEG_RETRANS)
		l->again -= n;
	seg->flags = (seg->flags & (uint8_t)~SL_SEG_RETRANS) | SL_SEG_LOST;
	l->lost += n;
	if (l->lost_at && sl_seq_lt(seg->seq, l->lost_at->seq))
		l->lost_at = seg;
}

/* The first n bytes of seg, or all, are what it was no more. */
static void
uncount(struct sl_stream *s, const struct sl_seg *seg, uint32_t n)
{
	struct sl_loss *l = &s->loss;

	if (seg->flags & SL_SEG_SACKED)
		l->sacked -= n;
	if (seg->flags & SL_SEG_LOST)
		l->lost -= n;
	if (seg->flags & SL_SEG_RETRANS)
		l->again -= n;
}

/* seg arrived.  Of bytes that were sent once, and lie below others that arrived before, the network changed the order. */
static void
arrived(struct sl_loss *l, const struct sl_seg *seg, uint32_t end, struct sl_arrived *r)
{
	bool again = seg->flags & SL_SEG_EVER;

	if (!r->any || sl_sent_after(seg->sent_us, end, r->sent_us, r->end)) {
		r->any = true;
		r->again = again;
		r->sent_us = seg->sent_us;
		r->end = end;
	}
	if (!again && !r->has_first) {
		r->has_first = true;
		r->first_us = seg->sent_us;
	}
	if (sl_seq_gt(end, l->fack))
		l->fack = end;
	else if (!again && sl_seq_lt(end, l->fack))
		l->flags |= SL_LF_REORDERED;
}

static void
free_head(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg)
{
	struct sl_loss *l = &s->loss;

	uncount(s, seg, sl_seg_bytes(seg));
	if (seg->flags & SL_SEG_FIN)
		s->flags |= SL_F_FIN_ACKED;
	unlink_sent(s, seg);
	if (l->lost_at == seg)
		l->lost_at = NULL;
	if (l->sack_at == seg)
		l->sack_at = NULL;
	s->sq_charge -= sl_mem_charge(seg);
	sl_mem_seg_free(t, seg);
}

/* The first n bytes of the head, not all of it, were acknowledged. */
static void
cut_head(struct sl_stream *s, struct sl_seg *seg, uint32_t n)
{
	uint32_t before = sl_mem_charge(seg);

	uncount(s, seg, n);
	seg->chunk.data += n;
	seg->chunk.len -= n;
	seg->seq += n;
	seg->flags &= (uint8_t)~SL_SEG_SUM;
	s->sq_charge -= before - sl_mem_charge(seg);
}

void
sl_sack_acked(struct sl_tcp *t, struct sl_stream *s, uint32_t ack, struct sl_arrived *r)
{
	struct sl_seg *seg = s->sq_head;

	while (seg && seg != s->sq_next) {
		struct sl_seg *next = seg->next;
		uint32_t end = sl_seg_end(seg);

		if (sl_seq_gt(end, ack))
			break;
		if (seg->flags & SL_SEG_EVER)
			r->acked_again = true;
		if (!(seg->flags & SL_SEG_SACKED)) {
			r->delivered += sl_seg_bytes(seg);
			arrived(&s->loss, seg, end, r);
		}
		free_head(t, s, seg);
		seg = next;
	}
	s->sq_head = seg;
	if (!seg)
		s->sq_tail = NULL;
	else if (seg != s->sq_next && sl_seq_lt(seg->seq, ack)) {
		if (!(seg->flags & SL_SEG_SACKED))
			r->delivered += ack - seg->seq;
		cut_head(s, seg, ack - seg->seq);
	}
	s->row.snd_una = ack;
}

static void
mark_sacked(struct sl_stream *s, struct sl_seg *seg, struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;
	uint32_t n = sl_seg_bytes(seg);

	arrived(l, seg, sl_seg_end(seg), r);
	uncount(s, seg, n);
	unlink_sent(s, seg);
	seg->flags = (seg->flags & (uint8_t) ~(SL_SEG_LOST | SL_SEG_RETRANS)) | SL_SEG_SACKED;
	if (l->sacked == 0)
		l->dupacks = 0;
	if (l->dupacks < UINT8_MAX)
		l->dupacks++;
	l->sacked += n;
	r->delivered += n;
	r->sacked = true;
}

/* The last segment of the run that seg stands in, and a note of it. */
static struct sl_seg *
run_end(struct sl_seg *seg, unsigned *steps)
{
	struct sl_seg *e = seg;

	for (;; ++*steps) {
		if (e->later)
			e = e->later;
		else if (e->next && e->next->flags & SL_SEG_SACKED)
			e = e->next;
		else
			break;
	}
	if (e != seg)
		seg->later = e;
	return e;
}

/* Whole in one of the blocks, which ascend but may overlap. */
static bool
is_inside(const struct sl_seg *seg, const struct sl_sack_block *b, unsigned n)
{
	for (; n > 0 && sl_seq_le(b->from, seg->seq); b++, n--)
		if (sl_seq_le(sl_seg_end(seg), b->to))
			return true;
	return false;
}

/* Marks what lies whole in one of n blocks, ascending. */
static void
mark_blocks(struct sl_stream *s, const struct sl_sack_block *b, unsigned n, struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;
	struct sl_seg *seg = s->sq_head, *run = NULL;
	unsigned steps = 0;

	if (l->sack_at && sl_seq_ge(b->from, l->sack_at->seq))
		seg = l->sack_at;
	for (; seg && seg != s->sq_next && steps < SL_SACK_STEPS; steps++) {
		while (n > 0 && sl_seq_ge(seg->seq, b->to))
			b++, n--;
		if (n == 0)
			break;
		if (seg->flags & SL_SEG_SACKED) {
			struct sl_seg *e = run_end(seg, &steps);

			if (!run)
				run = seg;
			else
				run->later = e;
			seg = e->next;
			continue;
		}
		if (is_inside(seg, b, n)) {
			mark_sacked(s, seg, r);
			if (run)
				run->later = seg;
			else
				run = seg;
			if (!l->sack_at || sl_seq_gt(seg->seq, l->sack_at->seq))
				l->sack_at = run;
		} else {
			run = NULL;
		}
		seg = seg->next;
	}
}

static bool
is_of_flight(const struct sl_stream *s, const struct sl_sack_block *b)
{
	return sl_seq_lt(b->from, b->to) && sl_seq_ge(b->from, s->row.snd_una) &&
	       sl_seq_le(b->to, s->row.snd_nxt);
}

/* RFC 2883: the first block tells of bytes that had arrived before: below the ACK, or inside the second one. */
static bool
is_dsack(const struct sl_stream *s, const struct sl_ack *a)
{
	const struct sl_sack_block *b = a->block;

	if (sl_seq_ge(b[0].from, b[0].to))
		return false;
	if (sl_seq_le(b[0].to, a->ack))
		return true;
	return a->block_cnt > 1 && is_of_flight(s, &b[1]) && sl_seq_ge(b[0].from, b[1].from) &&
	       sl_seq_le(b[0].to, b[1].to);
}

/* Only what we sent again in the last recovery can prove something: the network, too, makes two of one. */
static bool
read_dsack(struct sl_tcp *t, struct sl_stream *s, const struct sl_sack_block *b,
	   struct sl_arrived *r)
{
	struct sl_loss *l = &s->loss;

	if (s->row.snd_una - b->from > SL_CWND_MAX && !sl_seq_ge(b->from, s->row.snd_una))
		return false;
	r->dsack = true;
	r->dsack_end = b->to;
	if ((l->flags & SL_LF_UNDO) && l->undo_again > 0 && sl_seq_ge(b->from, l->undo_una) &&
	    sl_seq_le(b->to, l->recover)) {
		l->undo_again -= SL_MIN(l->undo_again, b->to - b->from);
		r->needless = true;
		sl_tcp_count(t, SPURIOUS);
	}
	return true;
}

void
sl_sack_blocks(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a, struct sl_arrived *r)
{
	struct sl_sack_block b[SL_ARRAY_CNT(a->block)];
	unsigned n = 0, i = 0;

	if (is_dsack(s, a)) {
		if (!read_dsack(t, s, a->block, r))
			sl_tcp_count(t, BAD_SACK);
		i = 1;
	}
	for (; i < a->block_cnt; i++) {
		struct sl_sack_block x = a->block[i];
		unsigned at = n;

		if (!is_of_flight(s, &x)) {
			sl_tcp_count(t, BAD_SACK);
			continue;
		}
		for (; at > 0 && sl_seq_lt(x.from, b[at - 1].from); at--)
			b[at] = b[at - 1];
		b[at] = x;
		n++;
	}
	if (n > 0)
		mark_blocks(s, b, n, r);
}

void
sl_sack_renege(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	for (struct sl_seg *seg = s->sq_head; seg && seg != s->sq_next; seg = seg->next) {
		if (!(seg->flags & SL_SEG_SACKED))
			continue;
		seg->flags &= (uint8_t)~SL_SEG_SACKED;
		seg->later = NULL;
		l->sacked -= sl_seg_bytes(seg);
		sl_sack_lost(s, seg);
	}
	l->sack_at = NULL;
	l->lost_at = NULL;
}

/* Both lists are ordered by time: of the queue, because what was LOST had mostly been sent in its order; where not, a segment
 * counts as sent with the one before it, which only delays a judgement. */
void
sl_sack_unlose(struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;
	struct sl_seg **at = &s->sent_first;
	uint32_t last_us = 0;
	bool any = false;

	for (struct sl_seg *seg = s->sq_head; seg && seg != s->sq_next && l->lost > 0;
	     seg = seg->next) {
		if (!(seg->flags & SL_SEG_LOST))
			continue;
		seg->flags &= (uint8_t)~SL_SEG_LOST;
		l->lost -= sl_seg_bytes(seg);
		if (any && sl_seq_lt(seg->sent_us, last_us))
			seg->sent_us = last_us;
		last_us = seg->sent_us;
		any = true;
		while (*at && sl_seq_le((*at)->sent_us, seg->sent_us))
			at = &(*at)->later;
		seg->at = at;
		seg->later = *at;
		if (*at)
			(*at)->at = &seg->later;
		else
			s->sent_last = &seg->later;
		*at = seg;
		at = &seg->later;
	}
	l->lost_at = NULL;
}
