/* tcp_priv — the inside of the stack, shared by its files.
 *
 *   tcp.c     init, run: timers → events → output          table.c     tuple → stream or TIME-WAIT
 *   input.c   a segment arrives (RFC 9293, 3.10.7)         timewait.c  what is left of a stream (RFC 6191)
 *   open.c    SYNs: passive, active, cookies               cookie.c    SYN cookies      isn.c  sequence numbers, clocks
 *   recvq.c   in order, out of order, SACK blocks          options.c   option bytes ↔ struct
 *   output.c  what may be sent, segments, headers          csum.c      sums, copies that sum
 *   stream.c  queues as users see them                     filter.c    stream.h: by a filter, or not
 *   ports.c   source ports
 *   loss.c cc.c  loss.h                                    mem.c       segments, blocks, pinned buffers
 *   wheel.c   timers                                       icmp.c      path MTU, unreachable
 *   pressure.c  memory runs short                          check.c   whether everything agrees
 *
 * Everything belongs to one worker.  Sequence numbers in host order; comparisons by sl_seq_*.
 */
#ifndef SL_DATAPLANE_TCP_PRIV_H
#define SL_DATAPLANE_TCP_PRIV_H

#include "dataplane/tcp/filter.h"
#include "dataplane/tcp/loss.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/wheel.h"
#include "sluice/stats.h"

/* ---- numbers ---- */

#define SL_MSS_DEFAULT4 536 /* RFC 9293, 3.7.1: no option */
#define SL_MSS_DEFAULT6 1220
#define SL_MSS_MIN                                                                                 \
	64 /* a peer that offers less gets segments of this size all the same: nothing on the Internet
			      * is so small, and tiny segments cost us 30 times what they cost him (SACK panic) */
#define SL_WSCALE 8     /* we offer */
#define SL_DELACK_MS 40 /* RFC 9293, 3.8.6.3: < 500 */
#define SL_DELACK_MIN_MS 4
#define SL_SYN_TRIES 5 /* of an active open: 1, 2, 4, … s, bounded by connect_ms */
#define SL_SYNACK_TRIES 4
#define SL_PERSIST_MIN_US SL_RTO_MIN_US
#define SL_FIN_WAIT2_MS 60000   /* of a stream that its user has let go */
#define SL_OOO_SEGS 1024        /* out of order, per stream: a whole window of 1 MiB */
#define SL_CHALLENGE_PER_S 1000 /* per worker; and at most one each half second for a stream */
#define SL_RST_PER_S 1000
#define SL_HEADERS_MAX 114 /* Ethernet + IPv6 + TCP with all options */

/* Sequence numbers: RFC 9293, 3.4. */
static inline bool
sl_seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}
static inline bool
sl_seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}
static inline bool
sl_seq_gt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}
static inline bool
sl_seq_ge(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) >= 0;
}
static inline uint32_t
sl_seq_max(uint32_t a, uint32_t b)
{
	return sl_seq_gt(a, b) ? a : b;
}
static inline uint32_t
sl_seq_min(uint32_t a, uint32_t b)
{
	return sl_seq_lt(a, b) ? a : b;
}

/* ---- memory: mem.c ---- */

#define SL_BLOCK                                                                                   \
	2048 /* bytes of a block, SL_BLOCK_HEAD of which are its head and headroom for packet headers */
#define SL_BLOCK_HEAD 128
#define SL_BLOCK_ROOM (SL_BLOCK - SL_BLOCK_HEAD)

/* A block: refs counts the segments that lie in it. */
struct sl_block {
	struct sl_block *next; /* free list */
	uint32_t refs;
	uint32_t used; /* bytes of room that have been given out, from its beginning */
};

enum sl_seg_kind {
	SL_SEG_NONE,  /* no bytes: a FIN alone */
	SL_SEG_IO,    /* in a packet buffer */
	SL_SEG_BLOCK, /* in a block */
	SL_SEG_EXT,   /* somebody else's (struct sl_ext) */
};

enum {
	SL_SEG_SENT = 1 << 0,
	SL_SEG_SACKED = 1 << 1,
	SL_SEG_LOST = 1 << 2,    /* and not sent again since */
	SL_SEG_RETRANS = 1 << 3, /* sent again, and under way as far as we know */
	SL_SEG_EVER = 1 << 4,    /* was ever sent again: no RTT from it (Karn) */
	SL_SEG_FIN = 1 << 5,     /* FIN behind its bytes */
	SL_SEG_SUM = 1 << 6,     /* sum is right */
	SL_SEG_PSH = 1 << 7,     /* end of what was written at once */
};

/* A run of payload in one buffer.  In the send queue: what one packet carries (at most row.mss when it is first sent).  In
 * the receive queue: what one packet brought, or several small ones.  One line. */
struct sl_seg {
	SL_ALIGNED struct sl_chunk
		chunk; /* first: a chunk is a segment that is in no queue.  len 0 only for a FIN alone */
	uint8_t kind;
	uint8_t flags;
	uint16_t reserve; /* stream.c: bytes that a reservation gave */
	uint32_t sent_us; /* send queue: when it was last sent (loss.c) */
	void *owner;      /* packet buffer, block or struct sl_ext */
	struct sl_seg *next;
	struct sl_seg *later, **at; /* order of sending: those under way; at NULL: not in it.  A
				     * SACKED one: a later one of the same run (loss.h) */
	uint32_t seq;               /* of the first byte */
	uint32_t
		sum; /* of the bytes, not folded to 16 bits: as sl_tcp_sum gives it, beginning at an even place */
};
static_assert(sizeof(struct sl_seg) == 64, "one line");

struct sl_mem {
	struct sl_seg *seg_free;
	struct sl_block *block_free;
	uint32_t seg_used, block_used, pinned;
	uint32_t taken; /* segments that users hold as chunks */
	/* how many have ever been in a free list: the rest is memory that nobody has touched */
	uint32_t seg_linked, block_linked;
	struct sl_seg *segs; /* [seg_cnt], [block_cnt × SL_BLOCK] */
	uint8_t *blocks;
};

#define SL_LINK_EACH 64 /* of untouched memory, put into a free list at once */

/* sl_mem_link puts untouched segments and blocks into free lists that are empty. */
void sl_mem_link(struct sl_tcp *t);

/* sl_mem_seg: a segment, zeroed, or NULL.  sl_mem_seg_free drops its buffer, too.
 * sl_mem_block: with room bytes behind it, refs 0; NULL: none left.
 * sl_mem_block_data: first byte of a block's room.
 * sl_mem_may_pin: whether another packet buffer may be kept with payload in it (design.md section 3: less than half of the
 * pool is held, and we are below pinned_max).
 * sl_mem_split cuts seg behind n bytes (0 < n < len): the rest as a new segment in the same buffer, flags of the first, but
 * FIN and PSH move to the rest; both lose their sums.  It stands in no list but seg->next.  NULL: no memory. */
struct sl_seg *sl_mem_seg(struct sl_tcp *t);
void sl_mem_seg_free(struct sl_tcp *t, struct sl_seg *seg);
struct sl_block *sl_mem_block(struct sl_tcp *t);
struct sl_seg *sl_mem_block_seg(
	struct sl_tcp *t); /* a segment, still empty, in a block of its own; or NULL */
void sl_mem_block_put(struct sl_tcp *t,
		      struct sl_block *b); /* one reference less; at 0 it is free */
bool sl_mem_may_pin(const struct sl_tcp *t);
/* sl_mem_seg_rehouse: seg lies in block b from now on, where the caller has copied its bytes; its old buffer is dropped. */
void sl_mem_seg_rehouse(struct sl_tcp *t, struct sl_seg *seg, struct sl_block *b);
struct sl_seg *sl_mem_split(struct sl_tcp *t, struct sl_seg *seg, uint32_t n);

static inline uint8_t *
sl_mem_block_data(struct sl_block *b)
{
	return (uint8_t *)b + SL_BLOCK_HEAD;
}

/* sl_mem_charge: what a segment costs its stream: the buffer it holds. */
static inline uint32_t
sl_mem_charge(const struct sl_seg *seg)
{
	return seg->kind == SL_SEG_IO ? 2048 + 64 : seg->chunk.len + 64;
}

/* ---- a stream ---- */

enum { SL_T_XMIT, SL_T_ACK, SL_T_SLOW, SL_T_PERSIST, SL_T_USER, SL_T_CNT };

enum {                        /* sl_stream.flags */
       SL_F_PASSIVE = 1 << 0, /* accepted */
       SL_F_OPENED = 1 << 1,  /* `opened` was or will be called */
       SL_F_LET_GO = 1 << 2,  /* its user is gone: closes by itself */
       SL_F_SHUT = 1 << 3,    /* FIN is in the send queue */
       SL_F_FIN_IN = 1 << 4,  /* the peer's FIN has been reached in order */
       SL_F_ACK_NOW = 1 << 5,
       SL_F_ACK_LATER = 1 << 6, /* due[SL_T_ACK] is set */
       SL_F_NODELAY = 1 << 7,
       SL_F_EV_OPENED = 1 << 8, /* events to be told */
       SL_F_EV_READ = 1 << 9,
       SL_F_EV_WRITE = 1 << 10,
       SL_F_EV_CLOSED = 1 << 11,
       SL_F_EV_TIMER = 1 << 12,
       SL_F_READY = 1 << 13, /* in the list of those with events */
       SL_F_DIRTY = 1 << 14, /* in the list of those with output */
       SL_F_PROBE = 1 << 15, /* output sends one probe (TLP, persist, keep-alive) */
       SL_F_WAIT_ROOM = 1 << 16,
       SL_F_SYN_AGAIN = 1 << 17, /* SYN or SYN+ACK was sent more than once */
       SL_F_DSACK = 1 << 18,     /* dsack is to be told */
       SL_F_PEER_ZERO = 1 << 19, /* the peer's window is closed */
       SL_F_FIN_ACKED = 1 << 21,
       SL_F_DEAD = 1 << 22, /* not in the table any more; place is freed when `closed` was called */
       SL_F_UNLISTED = 1 << 23, /* not in the table: TIME-WAIT took its place */
       SL_F_FILTER = 1 << 24,   /* user is a struct sl_filter, ops its events */
       SL_F_HELD = 1 << 25, /* over, its place kept by its filter; only the user's timer goes on */
};

struct sl_ooo { /* out of order: made when there is something, from the pool of segments */
	SL_ALIGNED struct sl_seg *head;
	struct sl_seg *tail;
	uint32_t cnt, bytes, charge;
	uint32_t block_cnt;
	struct sl_sack_block block[4]; /* most recent first (RFC 2018, 4) */
};
static_assert(sizeof(struct sl_ooo) == 64, "takes the place of a segment");

struct sl_stream {
	struct sl_stream_row row;
	/* line 2: receive */
	SL_ALIGNED const struct sl_stream_ops *ops;
	void *user;
	struct sl_seg *rq_head, *rq_tail; /* in order, not consumed */
	struct sl_ooo *ooo;               /* NULL: nothing */
	uint32_t rcv_nxt;
	uint32_t rcv_adv;    /* right edge of the window last offered */
	uint32_t rcv_limit;  /* window we would offer with nothing queued */
	uint32_t rcv_charge; /* of rq and ooo and chunks taken */
	uint32_t ack_sent;   /* rcv_nxt of the last segment sent (RFC 7323: Last.ACK.sent) */
	uint32_t ts_recent;
	/* line 3: send */
	SL_ALIGNED struct sl_seg *sq_head; /* from snd_una on */
	struct sl_seg *sq_tail;
	struct sl_seg *sq_next;                 /* first that was never sent; NULL: all were */
	struct sl_seg *sent_first, **sent_last; /* under way, in order of sending (seg.later) */
	uint32_t snd_wl1, snd_wl2;
	uint32_t snd_wnd_max;
	uint32_t flags; /* SL_F_* */
	uint32_t sq_charge;
	uint32_t want_room;
	/* line 4: timers, small things */
	SL_ALIGNED struct sl_timer timer; /* at the earliest of due[], or before */
	uint32_t due[SL_T_CNT];           /* ticks; 0: not set (a due tick of 0 is made 1) */
	uint32_t heard_ms;                /* the last segment of any kind */
	uint32_t active_ms;               /* the last one with data, or ACK of new data */
	uint32_t ts_recent_ms;            /* when ts_recent was taken */
	uint32_t ts_offset;               /* of our timestamps (isn.c) */
	uint32_t rto_from_us; /* what the retransmission time-out counts from (loss.c) */
	/* line 5 */
	SL_ALIGNED uint32_t hash_next;   /* table.c: handle */
	uint32_t hash;                   /* low 32 bits */
	uint32_t ready_next, dirty_next; /* lists: place + 1 */
	uint32_t iss, irs;
	uint32_t dsack_from, dsack_to;
	union {
		uint32_t rcv_round;   /* growing the window: bytes read, */
		uint32_t connect_due; /* before it is open: tick at which an active open ends */
	};
	uint32_t rcv_round_seq; /* … until this is reached */
	struct sl_tcp *tcp;
	uint16_t pmtu;     /* of the IP packet; what way.mtu allows or a router told */
	uint16_t peer_mss; /* as offered, or the default */
	uint16_t keepalive_s;
	uint8_t keepalive_each_s, keepalive_cnt;
	uint8_t wscale_snd, wscale_rcv; /* shift of his window, of ours; 0 unless agreed */
	uint8_t tries;       /* SYNs, probes of a closed window, keep-alive probes not answered */
	uint8_t end;         /* enum sl_stream_end, with SL_F_EV_CLOSED */
	uint8_t acks_owed;   /* full segments since the last ACK */
	uint8_t quick_acks;  /* still to be sent without delay */
	uint8_t challenge_q; /* quarter second of the last challenge ACK, low bits */
	uint8_t probes;      /* of a closed window, since it was open last */
	/* lines 6, 7 */
	SL_ALIGNED struct sl_loss loss;
};
static_assert(sizeof(struct sl_stream) == 512, "eight lines");

/* What is left of a stream in TIME-WAIT. */
struct sl_timewait {
	SL_ALIGNED struct sl_tuple tuple;
	uint32_t hash_next, hash;
	uint32_t next, prev; /* by age; place + 1 */
	uint32_t snd_nxt, rcv_nxt;
	uint32_t ts_recent, ts_recent_ms;
	uint32_t ts_offset;
	uint32_t due;        /* tick */
	uint32_t rcv_wnd;    /* as the header says it, as last offered */
	uint16_t flags;      /* SL_STREAM_TS, SL_STREAM_OUT; 1 << 15: in use */
	uint16_t answered_q; /* quarter second of the last answer, low bits */
	uint32_t began_ms;
	uint32_t zero[9];
};
static_assert(sizeof(struct sl_timewait) == 128, "two lines");

/* ---- the stack ---- */

struct sl_tcp {
	struct sl_tcp_conf conf;
	uint64_t now_ns;
	uint32_t now_us, now_ms, tick; /* now_ns / 1000, / 10^6, >> SL_TICK_SHIFT; low bits */
	uint64_t *count;               /* [SL_TCP_CNT] of the statistics */
	struct sl_stream *streams;     /* [capacity] */
	uint32_t stream_free;          /* list by ready_next: place + 1; empty: none is left */
	uint32_t stream_linked;        /* as of segments (struct sl_mem) */
	uint32_t stream_cnt, half_open;
	uint32_t ready, ready_last; /* lists: place + 1; 0: empty */
	uint32_t dirty, dirty_last;
	struct sl_mem mem;
	struct sl_hash_key key, isn_key;
	/* table.c */
	uint32_t *heads; /* [head_mask + 1]: handle + 1 */
	uint32_t head_mask;
	/* timewait.c */
	struct sl_timewait *timewaits; /* [timewait_cnt] */
	uint32_t timewait_free, timewait_first, timewait_last, timewait_used;
	uint32_t timewait_linked;
	/* cookie.c */
	uint32_t cookie_ms; /* when the last one was sent; cookie_out: one may still come back */
	bool cookie_out;
	bool begun;
	/* pressure.c: bytes a stream may hold, each way; where it looks next for who holds back */
	uint32_t may_hold, shed_next;
	/* stream.c: what was reserved and not committed */
	struct sl_seg *reserved;
	uint32_t reserved_tail; /* bytes of it behind the last written segment */
	/* limits of what is sent unasked: time up to which tokens are spent, at most a second ahead */
	uint64_t challenge_ns, rst_ns;
	uint16_t ip_id;
	uint32_t port_cursor;
	struct sl_wheel wheel;
};

static inline uint32_t
sl_tcp_place(const struct sl_tcp *t, const struct sl_stream *s)
{
	return (uint32_t)(s - t->streams);
}

#define SL_TCP_OF_TIMEWAIT 0x80000000u /* of a handle: the rest is a place of timewaits[] */

#define sl_tcp_count(t, CODE) ((t)->count[SL_TCP_##CODE]++)

/* Ticks. */
static inline uint32_t
sl_ticks_of_us(uint64_t us)
{
	return (uint32_t)((us * 1000 + (1u << SL_TICK_SHIFT) - 1) >> SL_TICK_SHIFT);
}

/* sl_tcp_arm sets due[which] `us` from now (at least one tick); sl_tcp_disarm. */
void sl_tcp_arm(struct sl_tcp *t, struct sl_stream *s, unsigned which, uint64_t us);
static inline void
sl_tcp_disarm(struct sl_stream *s, unsigned which)
{
	s->due[which] = 0; /* the wheel may still come once for nothing */
}

/* sl_tcp_event: tell the user (SL_F_EV_*) at the end of the turn.  sl_tcp_dirty: output looks at it. */
void sl_tcp_event(struct sl_tcp *t, struct sl_stream *s, uint32_t ev);
void sl_tcp_dirty(struct sl_tcp *t, struct sl_stream *s);

/* sl_tcp_new: a place, zeroed, row.state still FREE; NULL: none left.  sl_tcp_end: the stream is over: out of the table, its
 * memory freed, `closed` told unless the user has let go; state becomes FREE. */
struct sl_stream *sl_tcp_new(struct sl_tcp *t);
void sl_tcp_end(struct sl_tcp *t, struct sl_stream *s, enum sl_stream_end why);

/* ---- table.c ---- */

/* Handles: a place of streams[], or SL_TCP_OF_TIMEWAIT | a place of timewaits[].  The tuple is not there yet. */
void sl_table_insert(struct sl_tcp *t, uint32_t handle, uint64_t hash);
void sl_table_remove(struct sl_tcp *t, uint32_t handle);

/* ---- timewait.c ---- */

/* sl_timewait_enter: s becomes an entry (its place in the table with it); the caller ends s without touching the table: its
 * hash_next is dead.  When there is no room the oldest goes.  for_ms: 0: the usual.
 * sl_timewait_input: a segment for an entry.  true: settled (answered or dropped; the caller frees the buffer).  false:
 * the entry is gone and the segment is to be treated as for no stream; then *ret_iss_min is a sequence number that
 * the new ISN must lie above (RFC 6191, RFC 9293 3.6.1), with *ret_above true.
 * sl_timewait_reuse: our own connect to this tuple: frees the entry where safe (timestamps, one second passed), with
 * *ret_ts_offset and *ret_iss_min to go on from; false: not to be reused.  sl_timewait_reusable: whether it would.
 * sl_timewait_expire: those that are due.
 * sl_timewait_link: some untouched entries into the free list, which is empty. */
struct sl_tcp_options;
struct sl_segment;
void sl_timewait_enter(struct sl_tcp *t, struct sl_stream *s, uint32_t for_ms);
bool sl_timewait_input(struct sl_tcp *t, uint32_t handle, const struct sl_segment *seg,
		       uint32_t *ret_iss_min, bool *ret_above);
bool sl_timewait_reusable(const struct sl_tcp *t, uint32_t handle);
bool sl_timewait_reuse(struct sl_tcp *t, uint32_t handle, uint32_t *ret_iss_min,
		       uint32_t *ret_ts_offset, uint32_t *ret_ts_recent);
unsigned sl_timewait_expire(struct sl_tcp *t);
void sl_timewait_link(struct sl_tcp *t);
void sl_timewait_drop(struct sl_tcp *t, uint32_t handle); /* out of table and list */

/* ---- options.c ---- */

struct sl_tcp_options {
	uint16_t mss;   /* 0: not there */
	uint8_t wscale; /* with has_wscale; > 14 is read as 14 (RFC 7323, 2.3) */
	uint8_t block_cnt;
	bool has_wscale, sack_ok, has_ts;
	uint32_t ts_val, ts_ecr;
	struct sl_sack_block block[4];
};

/* sl_options_parse reads n bytes of options; false: malformed (a length of 0 or 1, or past the end; known options with wrong
 * lengths).  Unknown ones are passed over.  syn: MSS, window scale and SACK-permitted count in SYNs only. */
bool sl_options_parse(const uint8_t *bytes, unsigned n, bool syn, struct sl_tcp_options *ret);
/* sl_options_write writes them, padded to a multiple of 4; bytes written, ≤ 40.  SACK blocks: as many as fit. */
unsigned sl_options_write(uint8_t *to, const struct sl_tcp_options *o);

/* A segment as input works on it. */
struct sl_segment {
	struct sl_pkt *p;
	uint64_t hash;
	uint32_t seq, ack;
	uint32_t len;  /* payload */
	uint32_t sum;  /* of the payload, with has_sum */
	uint32_t wnd;  /* as in the header, not scaled */
	uint8_t flags; /* SL_TCP_* */
	bool has_sum;
	uint8_t *data; /* payload */
	struct sl_tcp_options o;
};

/* ---- stream.c, filter.c ---- */

/* sl_raw_may_write: established, and no FIN of ours.  sl_raw_give appends seg to what s sends.  sl_filter_flush: s has output. */
bool sl_raw_may_write(const struct sl_stream *s);
void sl_raw_give(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg);
uint32_t sl_raw_forward(struct sl_stream *from, struct sl_stream *to, uint32_t n);
void sl_raw_touched(struct sl_stream *s, uint32_t n);
void sl_filter_flush(struct sl_stream *s);

/* ---- isn.c (RFC 6528, 7323 5.4) ---- */

/* sl_isn: 4 µs clock + keyed hash of the tuple.  sl_isn_ts_offset: likewise of (addresses, ports): what is added to now_ms in
 * our timestamps.  sl_tcp_token: a token of a bucket of per_s a second; false: none left.
 * sl_isn_mac: 64 bits of (tuple, what) that nobody without isn_key can tell from random ones; what: SL_MAC_*.  Those of
 * SL_MAC_ISN are halved between the two above. */
#define SL_MAC_ISN 0ull
#define SL_MAC_PORTS 1ull
#define SL_MAC_CHALLENGE (1ull << 62) /* with anything below */
#define SL_MAC_COOKIE (1ull << 63)    /* with anything below */
uint64_t sl_isn_mac(const struct sl_tcp *t, const struct sl_tuple *tuple, uint64_t what);
uint32_t sl_isn(const struct sl_tcp *t, const struct sl_tuple *tuple);
uint32_t sl_isn_ts_offset(const struct sl_tcp *t, const struct sl_tuple *tuple);
bool sl_tcp_token(const struct sl_tcp *t, uint64_t *spent_ns, unsigned per_s);

/* ---- cookie.c (RFC 4987, 3.6) ---- */

/* sl_cookie_make: the ISN that says mss (rounded down to one of a table), and, with timestamps, the timestamp that says window
 * scale and SACK in its low six bits.  sl_cookie_check: an ACK (seq, ack as in its header) whose ack - 1 may be one: false:
 * it is none, or older than two minutes; options then as the SYN's were, as far as the cookie could say, with ts_val and
 * ts_ecr of the ACK.  sl_cookie_expire, once a turn: forgets that cookies are out when none can come back.
 * The caller counts. */
uint32_t sl_cookie_make(struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t peer_seq,
			const struct sl_tcp_options *syn, uint32_t *ret_ts_val);
bool sl_cookie_check(const struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t seq,
		     uint32_t ack, const struct sl_tcp_options *o, struct sl_tcp_options *ret_syn);
void sl_cookie_expire(struct sl_tcp *t);

/* ---- ports.c ---- */

/* sl_ports_pick: a source address of `sources` and a port such that the peer's packets (dst:port → source:port) arrive at this
 * worker, whose tuple is in no use (or reusable TIME-WAIT: freed, with what to go on from).  false: none in a bounded search.
 * *ret_tuple: as packets arrive. */
struct sl_port_pick {
	struct sl_tuple tuple;
	uint64_t hash;
	bool reused;
	uint32_t iss_min, ts_offset, ts_recent; /* reused */
};
bool sl_ports_pick(struct sl_tcp *t, const struct sl_addr *dst, sl_be16 dport,
		   const struct sl_addr *sources, uint32_t source_cnt, struct sl_port_pick *ret);

/* ---- csum.c ---- */

/* sl_tcp_sum: Internet sum of n bytes, in 32 bits, not inverted; sl_tcp_copy_sum copies them, too.  Sums of runs that begin
 * at even places add up; sl_tcp_sum_odd turns the sum of a run for an odd place. */
uint32_t sl_tcp_sum(const uint8_t *bytes, size_t n);
uint32_t sl_tcp_copy_sum(uint8_t *to, const uint8_t *from, size_t n);
static inline uint32_t
sl_tcp_sum_add(uint32_t a, uint32_t b)
{
	uint64_t s = (uint64_t)a + b;
	return (uint32_t)(s + (s >> 32));
}
static inline uint32_t
sl_tcp_sum_odd(uint32_t a)
{
	return a << 8 | a >> 24;
}
static inline uint16_t
sl_tcp_sum_fold(uint32_t a)
{
	a = (a & 0xffff) + (a >> 16);
	return (uint16_t)((a & 0xffff) + (a >> 16));
}

/* ---- open.c ---- */

void sl_open_passive(struct sl_tcp *t, struct sl_segment *seg, uint32_t iss_min, bool above);
void sl_open_cookie(struct sl_tcp *t, struct sl_segment *seg);
void sl_open_syn_sent(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg);
void sl_open_established(struct sl_tcp *t, struct sl_stream *s);
void sl_open_timer(struct sl_tcp *t, struct sl_stream *s); /* SYN or SYN+ACK again */
void sl_open_mss(struct sl_tcp *t,
		 struct sl_stream *s); /* row.mss from pmtu, peer_mss and options */

/* ---- recvq.c ---- */

/* sl_recvq_add takes the payload of seg (trimmed to the window): in order → rq, rcv_nxt moves, and what it joins up; else out
 * of order.  Takes p->buf over where it pins it (then p->buf is NULL).  false: nothing new, or no memory (counted). */
bool sl_recvq_add(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg, bool fin);
/* what came out of order is dropped (RFC 2018, 8) */
void sl_recvq_forget(struct sl_tcp *t, struct sl_stream *s);
void sl_recvq_clear(struct sl_tcp *t, struct sl_stream *s);
uint32_t sl_recvq_window(const struct sl_tcp *t, const struct sl_stream *s); /* to offer, bytes */
unsigned sl_recvq_sacks(const struct sl_stream *s, struct sl_sack_block ret[4]);
void sl_recvq_round(struct sl_tcp *t, struct sl_stream *s,
		    uint32_t consumed); /* the window grows */
void sl_recvq_popped(struct sl_tcp *t, struct sl_stream *s, uint32_t consumed); /* bytes left rq */

/* ---- pressure.c ---- */

void sl_pressure_look(struct sl_tcp *t);

/* ---- input.c ---- */

/* sl_input_finish: both directions may be over, and all was read: TIME-WAIT, or the end. */
void sl_input_finish(struct sl_tcp *t, struct sl_stream *s);
/* sl_input_text: payload and FIN of a segment that stands at or behind rcv_nxt or overlaps it. */
void sl_input_text(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *seg);

/* ---- output.c ---- */

void sl_output(struct sl_tcp *t, struct sl_stream *s);
/* Segments that belong to no stream, or carry no data of it. */
void sl_output_syn(struct sl_tcp *t, struct sl_stream *s); /* SYN or SYN+ACK by state */
void sl_output_ack(struct sl_tcp *t, struct sl_stream *s);
void sl_output_rst(struct sl_tcp *t, struct sl_stream *s);
void sl_output_rst_for(struct sl_tcp *t, const struct sl_segment *seg);
void sl_output_challenge(struct sl_tcp *t, struct sl_stream *s);
/* A bare segment: tuple as packets arrive; seq, ack, wnd as in the header, flags, options. */
void sl_output_bare(struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t seq, uint32_t ack,
		    uint16_t wnd, uint8_t flags, const struct sl_tcp_options *o);
void sl_output_probe(struct sl_tcp *t, struct sl_stream *s); /* closed window, keep-alive */
void sl_sendq_clear(struct sl_tcp *t, struct sl_stream *s);

#endif
