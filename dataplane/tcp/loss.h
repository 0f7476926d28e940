/* loss — what was sent and what became of it: RTT, scoreboard, loss detection, recovery, congestion control.
 *
 * Walk:    input (each acceptable ACK) → sl_loss_ack; output asks sl_loss_next, sl_loss_allowance and tells sl_loss_sent;
 *          its timer → sl_loss_timer.
 * What:    RFC 6298 RTO; 2018 and 6675 scoreboard (a flag of each segment in the send queue); 8985 RACK and TLP; 6937 PRR;
 *          5681 and 6582 without SACK; 9438 CUBIC or Reno; 6928 initial window; 3522/2883 undo of needless recoveries
 *          (timestamps, DSACK); 2861 after idle.
 * Units:   bytes; µs, 32 bits, of the worker clock.
 */
#ifndef SL_DATAPLANE_TCP_LOSS_H
#define SL_DATAPLANE_TCP_LOSS_H

#include "sluice/base.h"

struct sl_tcp;
struct sl_stream;
struct sl_seg;

struct sl_sack_block {
	uint32_t from, to; /* [from, to), sequence numbers, host order, as they came */
};

struct sl_ack {
	uint32_t ack;
	uint32_t ts_ecr; /* with has_ts: our clock echoed, offset taken off: ms */
	bool has_ts;
	bool has_data; /* the segment carried data, SYN or FIN: no duplicate ACK */
	bool window_changed;
	uint8_t block_cnt; /* [0, 4] */
	struct sl_sack_block block[4];
};

/* What timer of loss is set (struct sl_loss, timer). */
enum sl_loss_timer { SL_LOSS_NONE = 0, SL_LOSS_RTO, SL_LOSS_TLP, SL_LOSS_REORDER };

/* state.  Losses found while it is not OPEN belong to the event that ended it: the window is not reduced again. */
enum sl_loss_state {
	SL_LOSS_OPEN,
	SL_LOSS_RECOVERY, /* losses were seen by what arrived: until snd_una reaches `recover` */
	SL_LOSS_TIMEOUT,  /* nothing arrived: likewise */
};

/* One per stream, two lines.  Zeroed with the stream; sl_loss_open before anything is sent.
 *
 * A segment of the send queue is, from snd_una to snd_nxt, one of three things: SACKED; LOST (and not sent again since); under
 * way: only these stand in the list sent_first (order of sending).  RETRANS: under way, and not for the first time.
 * pipe = snd_nxt - snd_una - sacked - lost.
 * SACKED segments side by side are a run.  Where `later` of one is set it is a later one of the same run: a walk skips to it.
 * Without SACK no segment is SACKED; `sacked` is then what duplicate ACKs say has left the network. */
struct sl_loss {
	struct sl_seg *lost_at; /* no LOST segment lies before it; NULL: look from sq_head */
	struct sl_seg *sack_at; /* where the highest run of SACKED segments begins, or NULL */
	uint32_t rto_us;        /* without back-off */
	uint32_t ssthresh;
	uint32_t sacked;  /* bytes (a FIN is one) of segments marked SACKED, */
	uint32_t lost;    /* LOST, */
	uint32_t again;   /* and RETRANS */
	uint32_t recover; /* snd_nxt when recovery began, or at the last time-out */
	uint32_t
		full_end; /* bytes before this were sent while the window was filled: it grows by their ACKs */
	uint32_t rtt_min_us; /* of some ten seconds; UINT32_MAX: not measured */
	uint32_t rtt_min_ms; /* when it was taken */
	/* RACK: the most recently sent segment that was delivered */
	uint32_t rack_xmit_us, rack_end, rack_rtt_us;
	uint32_t fack;        /* end of the highest segment known to have arrived */
	uint32_t dsack_round; /* snd_nxt at the last widening of the reordering window */
	/* recovery: PRR, undo */
	union {
		uint32_t flight;  /* RECOVERY: bytes under way when it began */
		uint32_t tlp_end; /* OPEN, with a probe out: snd_nxt behind it */
	};
	union {
		uint32_t prr_delivered; /* RECOVERY */
		uint32_t acked;         /* else: bytes that have not widened the window yet */
	};
	uint32_t prr_out;
	uint32_t undo_cwnd, undo_ssthresh, undo_ts_ms, undo_una;
	uint32_t undo_again; /* bytes sent again and not yet proven needless */
	union {
		struct { /* congestion avoidance by CUBIC */
			uint32_t w_max, k_ms, epoch_ms, w_est;
		};
		struct { /* the first slow start: HyStart++ */
			uint32_t round_end, rtt_last_us, rtt_round_us;
			uint8_t samples, css_rounds;
			uint16_t zero;
		};
	};
	uint8_t timer;       /* enum sl_loss_timer: what due[SL_T_XMIT] means */
	uint8_t backoff;     /* RTOs in a row */
	uint8_t dupacks;     /* in a row; with SACK: segments SACKED since none was.  At most 255 */
	uint8_t state;       /* enum sl_loss_state */
	uint8_t reo_mult;    /* of a quarter of the minimal RTT */
	uint8_t reo_persist; /* recoveries until it goes back to 1 */
	uint8_t flags;       /* loss_priv.h */
	uint8_t zero8;
};
static_assert(sizeof(struct sl_loss) <= 128, "");

#define SL_RTO_MIN_US 200000u
#define SL_RTO_INIT_US 1000000u
#define SL_RTO_MAX_US 60000000u
#define SL_RTO_GIVE_UP                                                                             \
	12 /* RTOs in a row; with back-off about 8 minutes (RFC 9293, 3.8.3: R2 at least 100 s) */

/* sl_loss_open: the stream is established; row.mss is known.  rtt_us: of the handshake, 0: not known; syn_again: SYN or SYN+ACK
 * was retransmitted (RFC 6298, 5.7). */
void sl_loss_open(struct sl_tcp *t, struct sl_stream *s, uint32_t rtt_us, bool syn_again);

/* sl_loss_ack: an acknowledgement that input found acceptable: snd_una ≤ ack ≤ snd_nxt.  SACK blocks are judged here.  Moves
 * row.snd_una, frees what was acknowledged, marks, enters and leaves recovery, sets the window.  Bytes newly acknowledged
 * (a FIN counts one). */
uint32_t sl_loss_ack(struct sl_tcp *t, struct sl_stream *s, const struct sl_ack *a);

/* sl_loss_pipe: bytes under way as far as known (RFC 6675).  sl_loss_allowance: bytes that the congestion window lets go
 * now, new or again.  sl_loss_next: the first segment that is lost and not sent again yet; NULL: none. */
uint32_t sl_loss_pipe(const struct sl_stream *s);
uint32_t sl_loss_allowance(const struct sl_stream *s);
struct sl_seg *sl_loss_next(struct sl_stream *s);

/* sl_loss_sent: output sent seg (again: it was sent before).  Time, flags, order of sending. */
void sl_loss_sent(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg, bool again);

/* sl_loss_rearm sets due[SL_T_XMIT] after output or input changed what is under way; stops it when nothing is. */
void sl_loss_rearm(struct sl_tcp *t, struct sl_stream *s);

/* sl_loss_timer: due[SL_T_XMIT] passed.  Marks what is to be sent again (or asks for one probe segment of new or old data:
 * SL_LOSS_PROBE); output follows.  SL_LOSS_DEAD: give up. */
enum sl_loss_verdict { SL_LOSS_GO_ON, SL_LOSS_PROBE, SL_LOSS_DEAD };
enum sl_loss_verdict sl_loss_timer(struct sl_tcp *t, struct sl_stream *s);

/* sl_loss_idle: before new data is sent after all was acknowledged: where an RTO has passed the window shrinks (RFC 2861,
 * 5681 4.1). */
void sl_loss_idle(struct sl_tcp *t, struct sl_stream *s);

/* sl_loss_mtu: row.mss became smaller; segments sent with the old size that did not arrive are lost (RFC 1191, 6.4). */
void sl_loss_mtu(struct sl_tcp *t, struct sl_stream *s);

#endif
