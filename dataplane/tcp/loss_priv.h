/* loss_priv — the inside of loss.h, shared by its files.
 *
 *   loss.c     what loss.h offers: a segment was sent, an ACK came, the timer     rtt.c      RFC 6298, minimum
 *   sack.c     scoreboard: acknowledged, SACKED, LOST, under way                  rack.c     RFC 8985: which are lost
 *   recover.c  recovery: begin, PRR, end, undo; time-outs; probes; without SACK   cc.c       how the window grows and shrinks
 *   cubic.c    RFC 9438
 */
#ifndef SL_DATAPLANE_TCP_LOSS_PRIV_H
#define SL_DATAPLANE_TCP_LOSS_PRIV_H

#include "dataplane/tcp/tcp_priv.h"

enum {                           /* sl_loss.flags */
       SL_LF_REORDERED = 1 << 0, /* the network was seen to change the order */
       SL_LF_DSACK = 1 << 1,     /* dsack_round holds */
       SL_LF_TLP_DUE = 1 << 2,   /* what is sent next is the probe */
       SL_LF_TLP = 1 << 3,       /* a probe is out */
       SL_LF_TLP_AGAIN = 1 << 4, /* of bytes that had been sent before */
       SL_LF_UNDO = 1 << 5,      /* undo_cwnd, _ssthresh, _una, _again hold */
       SL_LF_UNDO_TS = 1 << 6,   /* something was sent again: undo_ts_ms holds */
       SL_LF_STARTING = 1 << 7,  /* first slow start: no loss yet, HyStart++'s fields hold */
};

#define SL_DUPACKS 3
#define SL_TLP_ACK_DELAY_US 50000u /* how long common peers keep back the ACK of a single segment */
#define SL_REO_RECOVERIES 16
#define SL_RTT_MIN_MS 10000u
#define SL_SACK_STEPS 4096 /* of a walk for one ACK: blocks beyond are not looked at */
#define SL_CWND_MAX (1u << 28)

/* What an ACK told. */
struct sl_arrived {
	uint32_t una;       /* snd_una before */
	uint32_t acked;     /* bytes that snd_una moved */
	uint32_t delivered; /* bytes that arrived and that we did not know of */
	bool any;           /* a segment, the most recently sent of which: */
	bool again;         /* sent more than once */
	uint32_t sent_us, end;
	bool has_first; /* first_us: the first of them that was sent only once */
	uint32_t first_us;
	bool acked_again; /* among those acknowledged are segments that had been sent again */
	bool sacked;      /* new segments were SACKED */
	bool dsack;       /* something arrived twice, its end: */
	uint32_t dsack_end;
	bool needless; /* it was what we had sent again */
};

static inline uint32_t
sl_seg_bytes(const struct sl_seg *seg)
{
	return seg->chunk.len + (seg->flags & SL_SEG_FIN ? 1 : 0);
}

static inline uint32_t
sl_seg_end(const struct sl_seg *seg)
{
	return seg->seq + sl_seg_bytes(seg);
}

static inline uint32_t
sl_loss_flight(const struct sl_stream *s)
{
	return s->row.snd_nxt - s->row.snd_una;
}

/* RFC 8985, 5.1: what was sent last, of two. */
static inline bool
sl_sent_after(uint32_t us_a, uint32_t end_a, uint32_t us_b, uint32_t end_b)
{
	return sl_seq_gt(us_a, us_b) || (us_a == us_b && sl_seq_gt(end_a, end_b));
}

/* ---- rtt.c ---- */

/* sl_rtt_sample: flight: bytes under way, of segments of mss (RFC 7323, app. G: many samples of one round trip weigh as one).
 * sl_rtt_min keeps the minimum.  sl_rtt_rto: with back-off. */
void sl_rtt_sample(struct sl_stream *s, uint32_t rtt_us, uint32_t flight);
void sl_rtt_min(struct sl_tcp *t, struct sl_stream *s, uint32_t rtt_us);
uint32_t sl_rtt_rto(const struct sl_stream *s);

/* ---- sack.c ---- */

/* sl_sack_acked frees what lies before ack and moves snd_una.  sl_sack_blocks reads SACK blocks of an ACK (snd_una has moved).
 * sl_sack_sent: seg goes out: last in order of sending.  sl_sack_lost: seg is under way no more.
 * sl_sack_renege: no segment is SACKED any more; those that were are LOST.
 * sl_sack_unlose: what is LOST is under way again: it was a mistake. */
void sl_sack_acked(struct sl_tcp *t, struct sl_stream *s, uint32_t ack, struct sl_arrived *r);
void sl_sack_blocks(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a,
		    struct sl_arrived *r);
void sl_sack_sent(struct sl_stream *s, struct sl_seg *seg);
void sl_sack_lost(struct sl_stream *s, struct sl_seg *seg);
void sl_sack_renege(struct sl_stream *s);
void sl_sack_unlose(struct sl_stream *s);

/* ---- rack.c ---- */

/* sl_rack_arrived: what an ACK brought.  sl_rack_mark marks segments LOST; whether there were any.  sl_rack_wait_us: until it
 * would mark the next one if nothing arrived; 0: there is none.  sl_rack_recovered: a recovery ended. */
void sl_rack_arrived(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a,
		     const struct sl_arrived *r);
bool sl_rack_mark(struct sl_tcp *t, struct sl_stream *s);
uint32_t sl_rack_window(const struct sl_stream *s);
uint32_t sl_rack_wait_us(const struct sl_tcp *t, const struct sl_stream *s);
void sl_rack_needless(struct sl_stream *s);
void sl_rack_recovered(struct sl_stream *s);

/* ---- recover.c ---- */

/* sl_recover_ack: an ACK that is not plain progress.  sl_recover_timer: the reordering timer marked segments LOST.
 * sl_recover_timeout: false: give up. */
void sl_recover_ack(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a,
		    struct sl_arrived *r);
void sl_recover_timer(struct sl_tcp *t, struct sl_stream *s);
bool sl_recover_timeout(struct sl_tcp *t, struct sl_stream *s);

/* ---- cc.c, cubic.c ---- */

/* sl_cc_acked: bytes arrived, una: snd_una before: the window grows if they were sent while it was filled.
 * sl_cc_rtt: a sample, for the first slow start.
 * sl_cc_reduce: a congestion event: ssthresh (and what CUBIC remembers).  timeout: it was one. */
void sl_cc_open(struct sl_stream *s, bool syn_again);
void sl_cc_acked(struct sl_tcp *t, struct sl_stream *s, uint32_t bytes, uint32_t una);
void sl_cc_rtt(struct sl_stream *s, uint32_t rtt_us);
void sl_cc_reduce(struct sl_stream *s, bool timeout);

uint32_t sl_cubic_reduce(struct sl_stream *s, uint32_t cwnd, bool timeout); /* ssthresh */
void sl_cubic_acked(struct sl_tcp *t, struct sl_stream *s, uint32_t bytes);

#endif
