/* loss_bed — one stream with a send queue, as loss.c sees it, and nothing around it: the test is output, network and peer.
 *
 * Sequence numbers begin at ISS so that they wrap early; seg(n) is the n-th segment written, acked or not gone yet.
 */
#ifndef SL_TESTS_LOSS_BED_H
#define SL_TESTS_LOSS_BED_H

#include "dataplane/tcp/tcp_priv.h"
#include "tests/suite.h"

#define MSS 1000u
#define ISS 0xfffff000u /* wraps after four segments */
#define SEGS 16384u

struct bed {
	struct sl_tcp *t;
	struct sl_stream *s;
	struct sl_seg *pool;
	uint64_t count[SL_TCP_CNT];
};

static inline void
bed_at(struct bed *b, uint64_t us)
{
	struct sl_tcp *t = b->t;

	t->now_ns = us * 1000;
	t->now_us = (uint32_t)us;
	t->now_ms = (uint32_t)(us / 1000);
	t->tick = (uint32_t)(t->now_ns >> SL_TICK_SHIFT);
}

/* An established stream at time us; row_flags: SL_STREAM_SACK, SL_STREAM_TS. */
static inline void
bed_open(struct bed *b, uint64_t us, uint8_t row_flags, uint8_t cc, uint32_t rtt_us)
{
	memset(b, 0, sizeof(*b));
	b->t = aligned_alloc(64, (sizeof(*b->t) + 63) / 64 * 64);
	b->s = aligned_alloc(64, sizeof(*b->s));
	b->pool = aligned_alloc(64, SEGS * sizeof(*b->pool));
	if (!b->t || !b->s || !b->pool)
		abort();
	memset(b->t, 0, sizeof(*b->t));
	memset(b->s, 0, sizeof(*b->s));
	memset(b->pool, 0, SEGS * sizeof(*b->pool));
	b->t->count = b->count;
	b->t->streams = b->s;
	for (unsigned i = SEGS; i-- > 0;) {
		b->pool[i].next = b->t->mem.seg_free;
		b->t->mem.seg_free = &b->pool[i];
	}
	bed_at(b, us);
	sl_wheel_init(&b->t->wheel, b->t->tick);
	struct sl_stream_row *row = &b->s->row;
	row->flags = row_flags;
	row->cc = cc;
	row->mss = MSS;
	row->state = SL_STREAM_ESTABLISHED;
	row->snd_una = row->snd_nxt = row->snd_end = ISS;
	sl_loss_open(b->t, b->s, rtt_us, false);
}

static inline void
bed_close(struct bed *b)
{
	free(b->t);
	free(b->s);
	free(b->pool);
}

/* Appends a segment of len bytes. */
static inline struct sl_seg *
bed_write(struct bed *b, uint32_t len)
{
	static uint8_t bytes[65536];
	struct sl_stream *s = b->s;
	struct sl_seg *seg = sl_mem_seg(b->t);

	if (!seg)
		abort();
	seg->chunk.data = bytes;
	seg->chunk.len = len;
	seg->seq = s->row.snd_end;
	s->row.snd_end += len;
	s->sq_charge += sl_mem_charge(seg);
	if (s->sq_tail)
		s->sq_tail->next = seg;
	else
		s->sq_head = seg;
	s->sq_tail = seg;
	if (!s->sq_next)
		s->sq_next = seg;
	return seg;
}

static inline void
bed_fin(struct bed *b)
{
	bed_write(b, 0)->flags = SL_SEG_FIN;
	b->s->row.snd_end++;
}

/* Sends the next new segment, which is written where there is none. */
static inline void
bed_send_new(struct bed *b)
{
	struct sl_stream *s = b->s;

	if (!s->sq_next)
		bed_write(b, MSS);
	struct sl_seg *seg = s->sq_next;
	s->sq_next = seg->next;
	s->row.snd_nxt = seg->seq + seg->chunk.len + (seg->flags & SL_SEG_FIN ? 1 : 0);
	sl_loss_sent(b->t, s, seg, false);
}

/* What the window lets go: lost segments first, then up to `most` new ones; how many of both. */
static inline unsigned
bed_output(struct bed *b, unsigned most, unsigned *ret_again)
{
	unsigned again = 0, fresh = 0;
	struct sl_seg *seg;

	while (sl_loss_allowance(b->s) > 0 && (seg = sl_loss_next(b->s))) {
		sl_loss_sent(b->t, b->s, seg, true);
		again++;
	}
	for (; fresh < most && sl_loss_allowance(b->s) >= MSS; fresh++)
		bed_send_new(b);
	sl_loss_rearm(b->t, b->s);
	if (ret_again)
		*ret_again = again;
	return again + fresh;
}

static inline void
bed_send(struct bed *b, unsigned n)
{
	while (n-- > 0)
		bed_send_new(b);
	sl_loss_rearm(b->t, b->s);
}

/* An ACK up to segment `ack` (of MSS each), with blocks [from, to) of segments. */
static inline struct sl_ack
bed_make(unsigned ack)
{
	return (struct sl_ack){.ack = ISS + ack * MSS};
}

static inline void
bed_block(struct sl_ack *a, unsigned from, unsigned to)
{
	a->block[a->block_cnt++] =
		(struct sl_sack_block){.from = ISS + from * MSS, .to = ISS + to * MSS};
}

static inline void
bed_ack(struct bed *b, unsigned ack)
{
	struct sl_ack a = bed_make(ack);

	sl_loss_ack(b->t, b->s, &a);
	sl_loss_rearm(b->t, b->s);
}

static inline void
bed_sack(struct bed *b, unsigned ack, unsigned from, unsigned to)
{
	struct sl_ack a = bed_make(ack);

	bed_block(&a, from, to);
	sl_loss_ack(b->t, b->s, &a);
	sl_loss_rearm(b->t, b->s);
}

static inline struct sl_seg *
bed_seg(struct bed *b, unsigned n)
{
	for (struct sl_seg *seg = b->s->sq_head; seg; seg = seg->next)
		if (seg->seq == ISS + n * MSS)
			return seg;
	return NULL;
}

static inline bool
bed_is(struct bed *b, unsigned n, uint8_t flag)
{
	struct sl_seg *seg = bed_seg(b, n);

	return seg && seg->flags & flag;
}

/* Whether flags, sums and lists agree. */
static inline const char *
bed_check(const struct bed *b)
{
	const struct sl_stream *s = b->s;
	const struct sl_loss *l = &s->loss;
	uint32_t sacked = 0, lost = 0, again = 0, charge = 0, seq = s->row.snd_una;
	unsigned out = 0, listed = 0;
	bool sent = true, before_lost_at = l->lost_at != NULL;

	for (const struct sl_seg *seg = s->sq_head; seg; seg = seg->next) {
		uint32_t n = seg->chunk.len + (seg->flags & SL_SEG_FIN ? 1 : 0);

		if (seg == s->sq_next)
			sent = false;
		if (seg == l->lost_at)
			before_lost_at = false;
		if (seg->seq != seq)
			return "queue has a gap";
		seq += n;
		charge += sl_mem_charge(seg);
		if (!sent && seg->flags & (SL_SEG_SENT | SL_SEG_SACKED | SL_SEG_LOST))
			return "flags on what was never sent";
		if (seg->flags & SL_SEG_SACKED && seg->flags & (SL_SEG_LOST | SL_SEG_RETRANS))
			return "SACKED and more";
		if (seg->flags & SL_SEG_LOST && seg->flags & SL_SEG_RETRANS)
			return "LOST and under way";
		if (before_lost_at && seg->flags & SL_SEG_LOST)
			return "LOST before lost_at";
		sacked += seg->flags & SL_SEG_SACKED ? n : 0;
		lost += seg->flags & SL_SEG_LOST ? n : 0;
		again += seg->flags & SL_SEG_RETRANS ? n : 0;
		bool on_way = sent && !(seg->flags & (SL_SEG_SACKED | SL_SEG_LOST));
		if (on_way != (seg->at != NULL))
			return "under way, and not in its list, or the reverse";
		out += on_way;
	}
	uint32_t us = s->sent_first ? s->sent_first->sent_us : 0;
	for (const struct sl_seg *seg = s->sent_first; seg; seg = seg->later, listed++) {
		if (*seg->at != seg)
			return "list of sending broken";
		if (sl_seq_lt(seg->sent_us, us))
			return "list of sending not in order";
		us = seg->sent_us;
	}
	if (listed != out)
		return "list of sending has others";
	if (seq != s->row.snd_end)
		return "queue does not end at snd_end";
	if (s->row.flags & SL_STREAM_SACK && sacked != l->sacked)
		return "sacked";
	if (lost != l->lost || again != l->again)
		return "lost or again";
	return charge == s->sq_charge ? NULL : "charge";
}

#define SANE(b) CU_ASSERT_PTR_NULL(bed_check(b))

#endif
