/* fake_streams — dataplane/tcp/stream.h over byte arrays, for tests of what stands on streams: no packets, no peer's stack.
 *
 * It is a fake: what it does not have is loss, windows by sequence numbers, checksums.  What it has is the contract: events
 * once a turn and never inside a call, room, half-close, `closed` as the header says; and it ends the program when a user
 * breaks the contract (a stream used after it was let go, more consumed than there is).
 */
#ifndef SL_TESTS_FAKE_STREAMS_H
#define SL_TESTS_FAKE_STREAMS_H

#include "l7/tls/session.h"

struct fake_conf {
	uint32_t streams; /* places */
	uint32_t rcv_max; /* bytes of a peer that are taken before they are consumed */
	uint32_t snd_max; /* bytes written that a peer has not read */
};

struct sl_tcp *fake_create(const struct fake_conf *conf);
void fake_destroy(struct sl_tcp *t);

/* fake_turn gives time and tells what happened, as sl_tcp_run.  fake_quiet: nothing is left to be told. */
void fake_turn(struct sl_tcp *t, uint32_t ms);
bool fake_quiet(const struct sl_tcp *t);

/* fake_accept: a client's connection whose handshake is done.  NULL: no place. */
struct sl_stream *fake_accept(struct sl_tcp *t, const struct sl_tcp_accept *accept,
			      const struct sl_tuple *tuple);

/* What the next sl_stream_connect answers instead of a stream (SL_END_OK: a stream); once. */
void fake_connect_fails(struct sl_tcp *t, enum sl_stream_end why);

/* The newest stream that was opened by connect; NULL: none yet.  fake_target: what was asked for. */
struct sl_stream *fake_connected(struct sl_tcp *t);
const struct sl_stream_target *fake_target(const struct sl_stream *s);

/* ---- the far side of a stream ---- */

void fake_peer_answers(struct sl_stream *s); /* SYN + ACK */
/* How many bytes were taken. */
uint32_t fake_peer_sends(struct sl_stream *s, const void *bytes, uint32_t n);
/* What ends it in order: a FIN, or with TLS a close_notify alone.  fake_peer_cuts: a FIN that TLS did not announce. */
void fake_peer_fin(struct sl_stream *s);
void fake_peer_cuts(struct sl_stream *s);
void fake_peer_ends(struct sl_stream *s, enum sl_stream_end why); /* RST, time-out … */
/* Reads up to n bytes that were sent; how many.  What was written before sl_stream_close is there until the place is used again. */
uint32_t fake_peer_reads(struct sl_stream *s, void *to, uint32_t n);

/* What was done to a stream; it may be asked of one that is gone, until its place is used again. */
struct fake_seen {
	bool let_go;            /* by abort or close, or closed was told */
	bool aborted;           /* with why */
	enum sl_stream_end why; /* of the abort */
	bool shut;
	uint32_t unread;   /* bytes sent that the peer has not read */
	uint32_t in;       /* bytes not consumed */
	uint32_t most_out; /* most that was ever unread */
	uint32_t forwards; /* calls of sl_stream_forward from it */
	uint32_t listener_slot, service_slot, endpoint_slot, partner;
	uint32_t keepalive_s; /* as set last */
};
struct fake_seen fake_seen(const struct sl_stream *s);
uint32_t fake_place(const struct sl_stream *s);
struct sl_stream *fake_stream(struct sl_tcp *t, uint32_t place); /* NULL: free */
uint32_t fake_live(const struct sl_tcp *t);                      /* streams that are not let go */

/* ---- TLS: l7/tls/session.h, without a byte of it ----
 *
 * sl_tls_server and _client take the tcp as their engine.  What the peer sends before the handshake is done waits, and is plaintext
 * afterwards. */

enum fake_tls_way {
	FAKE_TLS_DONE, /* in the next turn */
	FAKE_TLS_HOLD, /* by fake_tls_done, or fake_peer_ends */
	FAKE_TLS_FULL, /* no room */
};
struct sl_tls *fake_tls(struct sl_tcp *t);
void fake_tls_way(struct sl_tcp *t, enum fake_tls_way way);
/* What sessions are from now on, those with clients and those with endpoints; NULL: TLS 1.3, nothing known of the peer. */
void fake_tls_session(struct sl_tcp *t, const struct sl_tls_info *info);
void fake_tls_done(struct sl_stream *s);
/* fake_tls_waits: a handshake is under way that fake_tls_done may end.  fake_tls_open: it is done. */
bool fake_tls_waits(const struct sl_stream *s);
bool fake_tls_open(const struct sl_stream *s);

struct fake_tls_asked {
	bool server, client; /* which was called, if any */
	uint32_t slot, endpoint_slot, handshake_ms;
	uint16_t incarnation;
	char host[SL_HOST_MAX]; /* "": NULL */
	uint32_t in, out;       /* bytes that waited to be read, that were written before */
};
struct fake_tls_asked fake_tls_asked(const struct sl_stream *s);

#endif
