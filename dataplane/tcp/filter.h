/* filter — what stands between a stream's bytes and who reads and writes them, as TLS does.
 *
 *   user ── stream.h ──▶ filter (plaintext) ── sl_raw_* ──▶ queues ──▶ packets
 *
 * A stream with a filter is used by stream.h like any other: what the user reads, writes, waits for and ends goes to the filter's
 * functions, and the stack's events go to its ops.  sl_raw_* are stream.h's functions on the bytes below it.
 * Owner: the stream's.  Threads: [worker].
 */
#ifndef SL_DATAPLANE_TCP_FILTER_H
#define SL_DATAPLANE_TCP_FILTER_H

#include "dataplane/tcp/stream.h"

struct sl_filter;

/* What stream.h's functions of the same name do on a filtered stream; all are required.  wrote: `c` is appended to what is sent, and
 * taken over (sl_stream_write, give, forward and write_ext all end there, in pieces, within the room they were told).
 * flush: at the end of each turn in which something was written, or sl_filter_dirty called: before the stack sends. */
struct sl_filter_ops {
	uint32_t (*readable_bytes)(const struct sl_filter *f);
	unsigned (*peek)(struct sl_filter *f, uint32_t skip, struct sl_span *ret_spans,
			 unsigned max);
	void (*consume)(struct sl_filter *f, uint32_t n);
	struct sl_chunk *(*take)(struct sl_filter *f, uint32_t max);
	bool (*eof)(const struct sl_filter *f);    /* said, and everything before it is consumed */
	bool (*ending)(const struct sl_filter *f); /* said */
	bool (*cut)(const struct sl_filter *f);    /* the end came without having been said */
	uint32_t (*room)(const struct sl_filter *f);
	void (*wait_room)(struct sl_filter *f, uint32_t n);
	void (*wrote)(struct sl_filter *f, struct sl_chunk *c);
	/* tail: the piece that was written last and is not sealed yet, or NULL; it may be grown by what sl_chunk_spare says.
	 * grew: it was, by n bytes */
	struct sl_chunk *(*tail)(struct sl_filter *f);
	void (*grew)(struct sl_filter *f, uint32_t n);
	void (*shutdown)(struct sl_filter *f);
	/* the user has let go, and is not called any more: the filter ends the raw stream in its own time */
	void (*close)(struct sl_filter *f);
	void (*abort)(struct sl_filter *f, enum sl_stream_end why);
	void (*flush)(struct sl_filter *f);
};

/* First member of what a filter keeps. */
struct sl_filter {
	const struct sl_filter_ops *ops;
	struct sl_stream *stream;
	const struct sl_stream_ops *user_ops; /* as attached; the filter calls them */
	void *user;
};

/* sl_filter_put puts f (ops set) on s: its user and ops become f's; raw events go to `events`, with sl_filter_of(s).
 * sl_filter_of: NULL: none.  A filter stays until the stream's end. */
void sl_filter_put(struct sl_stream *s, struct sl_filter *f, const struct sl_stream_ops *events);
struct sl_filter *sl_filter_of(const struct sl_stream *s);

/* sl_filter_remove: s has no filter any more, and no user: the caller lets go of it at once (sl_raw_close, sl_raw_abort).
 * sl_filter_hold: called in `closed`: the stream's place is kept, over as it is, until sl_filter_unhold (behind sl_filter_remove and
 * sl_raw_abort). */
void sl_filter_remove(struct sl_filter *f);
void sl_filter_hold(struct sl_filter *f);
void sl_filter_unhold(struct sl_stream *s);

/* sl_filter_wake: `events` are told of readable (and writable) in the coming sl_tcp_run, whatever the stack has to say.
 * sl_filter_dirty: flush is called in it. */
void sl_filter_wake(struct sl_filter *f, bool writable);
void sl_filter_dirty(struct sl_filter *f);

/* sl_chunk_new: memory for what is written, empty (len 0) with *ret_room bytes behind data; NULL: none.  sl_chunk_spare: bytes by which c
 * may grow at its end; sl_chunk_grow: they are written. */
struct sl_chunk *sl_chunk_new(struct sl_tcp *t, uint32_t *ret_room);
uint32_t sl_chunk_spare(const struct sl_chunk *c);
void sl_chunk_grow(struct sl_chunk *c, uint32_t n);
/* sl_chunk_split cuts c behind n bytes, 0 < n < len: the rest, which is next of c now; NULL: no memory.  sl_chunk_skip drops n < len bytes
 * at its beginning. */
struct sl_chunk *sl_chunk_split(struct sl_tcp *t, struct sl_chunk *c, uint32_t n);
void sl_chunk_skip(struct sl_chunk *c, uint32_t n);
/* Pieces in a queue of the holder's: */
struct sl_chunk *sl_chunk_next(const struct sl_chunk *c);
void sl_chunk_set_next(struct sl_chunk *c, struct sl_chunk *next);

/* stream.h on the bytes below the filter. */
uint32_t sl_raw_readable_bytes(const struct sl_stream *s);
unsigned sl_raw_peek(struct sl_stream *s, uint32_t skip, struct sl_span *ret_spans, unsigned max);
void sl_raw_consume(struct sl_stream *s, uint32_t n);
struct sl_chunk *sl_raw_take(struct sl_stream *s, uint32_t max);
bool sl_raw_eof(const struct sl_stream *s);
bool sl_raw_ending(const struct sl_stream *s);
uint32_t sl_raw_room(const struct sl_stream *s);
void sl_raw_wait_room(struct sl_stream *s, uint32_t n);
uint32_t sl_raw_write(struct sl_stream *s, const void *bytes, uint32_t n);
unsigned sl_raw_reserve(struct sl_stream *s, uint32_t n, struct sl_span *ret_spans, unsigned max);
void sl_raw_commit(struct sl_stream *s, uint32_t n);
void sl_raw_shutdown(struct sl_stream *s);
void sl_raw_close(struct sl_stream *s);
void sl_raw_abort(struct sl_stream *s, enum sl_stream_end why);

#endif
