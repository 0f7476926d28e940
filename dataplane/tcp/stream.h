/* stream — one TCP connection as those see it who stand on it: bytes in, bytes out, ends.
 *
 * Walk:    packets → tcp (input) → events at the end of the turn → here → output at the end of the turn.
 * Owner:   a stream belongs to one worker's stack (struct sl_tcp), its bytes and chunks too; none ever crosses workers.
 * Threads: [worker] all.  No locks, no clock: time is the turn's.
 * Lives:   from `opened` (accepted) or sl_stream_connect until `closed` has returned, or until the caller has let go
 *          (sl_stream_close, sl_stream_abort): from then on the pointer is not to be used and nothing is called.
 * Events:  nothing is called from inside a call into this header.  Events of a turn are collected, and each stream is told
 *          once: opened, then timer, then readable, then writable, then closed.  In an event everything may be called, for
 *          any stream of the worker, and so it may between sl_tcp_begin and sl_tcp_run (answers of another thread).
 *          What is written during a turn leaves together at its end.  Nothing is told twice: who attaches looks himself.
 *          A stream that is over and whose `closed` is still to come may be used: it has no room and no bytes.
 * Memory:  bounded.  Bytes not consumed close the receive window; sl_stream_room bounds what is not acknowledged.
 * Filters: with TLS on a stream (filter.h) all this is about plaintext; sl_stream_reserve gives nothing then, and `opened` is
 *          told once more when the handshake is done.
 * Not here: who may connect, which endpoint, what bytes mean.
 *
 * Half-close: the peer's FIN shows as sl_stream_eof when all bytes before it are consumed; the other direction goes on
 * until sl_stream_shutdown.  `closed` with SL_END_OK comes when both directions ended: our FIN is acknowledged and sl_stream_eof
 * is true, so no unread byte is lost by it (where the FIN went out first, TIME-WAIT goes on without the stream).  With
 * any other end unread bytes are gone at once, also for a `readable` of the same turn.
 */
#ifndef SL_DATAPLANE_TCP_STREAM_H
#define SL_DATAPLANE_TCP_STREAM_H

#include "sluice/streams.h"

struct sl_tcp;
struct sl_stream;

/* How a stream ended; the rows of tcp.def, END_OK first. */
enum sl_stream_end {
	SL_END_OK,
	SL_END_ABORTED,
	SL_END_RESET,
	SL_END_REFUSED,
	SL_END_CONNECT_TIMEOUT,
	SL_END_TIMEOUT,
	SL_END_KEEPALIVE,
	SL_END_UNREACHABLE,
	SL_END_NO_ROUTE,
	SL_END_NO_PORT,
	SL_END_NO_MEMORY,
	SL_END_ADMIN,
	SL_END_TLS,
	SL_END_CNT
};

/* What happens to a stream.  NULL: not wanted; `closed` is required. */
struct sl_stream_ops {
	void (*opened)(struct sl_stream *s);   /* established */
	void (*readable)(struct sl_stream *s); /* more bytes in order, or the end (sl_stream_eof) */
	void (*writable)(
		struct sl_stream *s);       /* the room asked for (sl_stream_wait_room) is there */
	void (*timer)(struct sl_stream *s); /* sl_stream_set_timer's time has come */
	void (*closed)(struct sl_stream *s, enum sl_stream_end why); /* last */
};

/* ---- who it is ---- */

/* sl_stream_attach says whose it is from now on (a connection changes its filter, or is given to a pool). */
void sl_stream_attach(struct sl_stream *s, const struct sl_stream_ops *ops, void *user);
void *sl_stream_user(const struct sl_stream *s);
struct sl_tcp *sl_stream_tcp(const struct sl_stream *s);

/* sl_stream_row: addresses, state, figures (streams.h).  The pointer lives as long as the stream. */
const struct sl_stream_row *sl_stream_row(const struct sl_stream *s);

/* sl_stream_label writes what people see of it (show streams): slots as in the table, UINT32_MAX: none; partner: the
 * stream it is coupled with, or NULL. */
void sl_stream_label(struct sl_stream *s, uint32_t listener_slot, uint32_t service_slot,
		     uint32_t endpoint_slot, uint16_t incarnation, struct sl_stream *partner);

/* ---- opening ---- */

struct sl_stream_target {
	struct sl_addr dst; /* the endpoint */
	sl_be16 port;
	uint8_t cc;                    /* enum sl_stream_cc */
	uint8_t nodelay;               /* 1: Nagle off (the default of users here) */
	const struct sl_addr *sources; /* addresses we may speak from, of dst's family, */
	uint32_t source_cnt;           /* ≥ 1; begun with a hashed one.  Copied before return */
	uint32_t connect_ms;           /* [1, 2^31): until SL_END_CONNECT_TIMEOUT */
	uint16_t keepalive_s;          /* idle time before probes; 0: none */
	uint16_t zero;
};

/* sl_stream_connect sends a SYN.  NULL with *ret_why (NO_PORT, NO_MEMORY, NO_ROUTE): no stream came into being.
 * Else `opened` or `closed` follows, never within this call. */
struct sl_stream *sl_stream_connect(struct sl_tcp *t, const struct sl_stream_target *target,
				    const struct sl_stream_ops *ops, void *user,
				    enum sl_stream_end *ret_why);

/* ---- reading ---- */

struct sl_span {
	uint8_t *
		data; /* the reader may write into it (decryption in place): then sl_stream_touched */
	uint32_t len;
};

/* sl_stream_readable_bytes: in order and not consumed.  sl_stream_peek gives them as spans, from byte `skip` on, up to max
 * spans; how many.  Spans stay valid until bytes of this stream are consumed, taken or forwarded, and at most until
 * the event returns.  sl_stream_consume: n ≤ readable_bytes of them are done with. */
uint32_t sl_stream_readable_bytes(const struct sl_stream *s);
unsigned sl_stream_peek(struct sl_stream *s, uint32_t skip, struct sl_span *ret_spans,
			unsigned max);
void sl_stream_consume(struct sl_stream *s, uint32_t n);
void sl_stream_touched(struct sl_stream *s,
		       uint32_t n); /* the first n readable bytes were changed */

/* sl_stream_eof: the peer's FIN came, and everything before it is consumed. */
bool sl_stream_eof(const struct sl_stream *s);

/* sl_stream_ending: the peer has said that nothing more comes, whatever is still to be consumed.
 * sl_stream_cut: it ended without having said so where the protocol wants it (TLS close_notify, RFC 8446 6.1): who goes by the end
 * to know how long something is must take it for incomplete.  Always false without a filter. */
bool sl_stream_ending(const struct sl_stream *s);
bool sl_stream_cut(const struct sl_stream *s);

/* ---- writing ---- */

/* sl_stream_room: bytes that will be taken now.  0 after shutdown, before `opened`, and when memory is short.
 * sl_stream_wait_room: call writable once, when room ≥ n (or as much as there can be at all): also when memory was short and is
 * there again; when room is there already, in this turn or the next.  0: not any more. */
uint32_t sl_stream_room(const struct sl_stream *s);
void sl_stream_wait_room(struct sl_stream *s, uint32_t n);

/* sl_stream_write copies n bytes, or as many as there is room for; how many. */
uint32_t sl_stream_write(struct sl_stream *s, const void *bytes, uint32_t n);

/* sl_stream_reserve gives spans in transmit buffers for up to n bytes (at most room, and what max spans hold); how many
 * spans.  sl_stream_commit: the first n bytes of these are written (n may be less, also 0).  Nothing else is called for
 * the stream in between. */
unsigned sl_stream_reserve(struct sl_stream *s, uint32_t n, struct sl_span *ret_spans,
			   unsigned max);
void sl_stream_commit(struct sl_stream *s, uint32_t n);

/* ---- bytes that change hands ---- */

/* A piece of payload in the buffer it arrived in (or was copied to).  The holder may change the bytes. */
struct sl_chunk {
	uint8_t *data;
	uint32_t len; /* ≥ 1 */
};

/* sl_stream_take detaches the next readable bytes as one piece, at most max; NULL: there are none, or no memory.  They
 * close the window no more: the taker bounds what he holds.
 * sl_chunk_trim cuts bytes off its ends, leaving at least one; sl_chunk_touched: its bytes were changed.
 * sl_stream_give appends a piece to what `s` sends and takes it over; the caller has looked at sl_stream_room (a piece
 * longer than that is taken all the same).  Pieces go between streams of one worker only.  sl_chunk_free. */
struct sl_chunk *sl_stream_take(struct sl_stream *s, uint32_t max);
void sl_chunk_trim(struct sl_chunk *c, uint32_t head, uint32_t tail);
void sl_chunk_touched(struct sl_chunk *c);
void sl_stream_give(struct sl_stream *s, struct sl_chunk *c);
void sl_chunk_free(struct sl_tcp *t, struct sl_chunk *c);

/* sl_stream_forward moves up to n readable bytes of `from` to what `to` sends, without a copy where buffers allow, and never
 * more than `to` has room for (a piece is not cut for the last few bytes of room: it may be exceeded by less than one
 * segment); how many.  Less than bytes, n and room allow: memory was short, sl_stream_wait_room says when to try again. */
uint32_t sl_stream_forward(struct sl_stream *from, struct sl_stream *to, uint32_t n);

/* Bytes that somebody else keeps (a response made once): sent from where they lie.  They must not change until release is
 * called, which is when no stream needs them any more.  refs counts holders, the maker one of them: streams count themselves,
 * he lets go by sl_ext_put.  All of one worker. */
struct sl_ext {
	uint32_t refs;
	void (*release)(struct sl_ext *e); /* refs has become 0 */
};
/* n ≤ room.  false: no memory, nothing taken. */
bool sl_stream_write_ext(struct sl_stream *s, const uint8_t *data, uint32_t n, struct sl_ext *e);
void sl_ext_put(struct sl_ext *e);

/* ---- behaviour ---- */

void sl_stream_set_nodelay(struct sl_stream *s, bool on); /* off: RFC 9293, 3.7.4 */
/* Probes after idle_s without a segment (0: none), every interval_s, until cnt went unanswered. */
void sl_stream_set_keepalive(struct sl_stream *s, uint16_t idle_s, uint8_t interval_s, uint8_t cnt);
void sl_stream_set_cc(struct sl_stream *s, uint8_t cc);

/* One timer: `timer` is called once, ms from now (rounded up to about a quarter of a millisecond); setting it again moves
 * it, 0 stops it; ms ≤ 2^28, three days.  sl_stream_idle_ms: since a segment with data, or an acknowledgement of new data, came. */
void sl_stream_set_timer(struct sl_stream *s, uint32_t ms);
uint32_t sl_stream_idle_ms(const struct sl_stream *s);

/* ---- ending ---- */

/* sl_stream_shutdown: FIN after what was written; reading goes on.
 * sl_stream_close: shutdown, and the caller lets go: what still comes is discarded (bytes that nobody will read answer
 * with RST, RFC 2525 2.17), and it ends by itself, at the latest when sl_stream_idle_ms would be a minute.
 * sl_stream_abort: RST now; the caller lets go.  why: only counted. */
void sl_stream_shutdown(struct sl_stream *s);
void sl_stream_close(struct sl_stream *s);
void sl_stream_abort(struct sl_stream *s, enum sl_stream_end why);

/* ---- the worker ---- */

/* now: of the worker clock in this turn, in ms and ns.  sl_tcp_context: what the worker's owner of streams left there. */
uint32_t sl_tcp_now_ms(const struct sl_tcp *t);
uint64_t sl_tcp_now_ns(const struct sl_tcp *t);
void *sl_tcp_context(const struct sl_tcp *t);

/* The sentence of an end. */
const char *sl_stream_end_text(enum sl_stream_end why);

#endif
