/* session — TLS on a stream: handshake by somebody else, records here.
 *
 *   sl_tls_server, _client ─▶ HANDSHAKE: bytes ↔ jobs ─▶ OPEN: records ↔ plaintext ─▶ close_notify ─▶ over
 *                                 └ `opened` told to the stream's user               └ stream.h as ever
 *
 * Walk:    stream (raw bytes) → here → whoever uses the stream (http, relay, upstream).
 * Owner:   one engine per worker, in the caller's memory (locked, not dumped).  Threads: [worker] after init [main].
 * Turn:    jobs that came back are looked at in sl_tls_tick, records are opened when their stream is readable, and sealed together at
 *          the end of the turn, into the buffers that packets are made of.
 * Bounds:  sessions, handshakes under way, jobs at handshake threads; plaintext that nobody reads closes the window at 64 KiB.
 */
#ifndef SL_L7_TLS_SESSION_H
#define SL_L7_TLS_SESSION_H

#include "dataplane/tcp/filter.h"
#include "dataplane/tcp/tcp.h"
#include "l7/tls/handshake.h"
#include "l7/tls/record.h"

struct sl_tls;

/* Where steps of handshakes are made.  submit: the job is taken over; false: not now (all threads have enough).  A job comes back by
 * poll, in any order but those of one hs one after the other: NULL: none has. */
struct sl_tls_steps {
	void *ctx;
	bool (*submit)(void *ctx, struct sl_hs_job *job);
	struct sl_hs_job *(*poll)(void *ctx);
};

struct sl_tls_conf {
	uint32_t sessions;   /* [16, 2^20] */
	uint32_t handshakes; /* under way, [1, 65536] */
	uint32_t jobs;       /* at threads at a time, [1, 4096] */
	uint32_t keys;       /* expanded keys kept, a power of two (record.h) */
	uint32_t peer_kb;    /* memory for what is known of peers, ≥ 64 */
	struct sl_tcp *tcp;
	struct sl_tls_steps steps;
	int64_t (*now_s)(void *ctx); /* seconds of the epoch; ctx of steps */
	struct sl_stats_tls *stats;
};

size_t sl_tls_bytes(const struct sl_tls_conf *conf);
/* mem: zeroed, aligned to 64.  NULL: ret_why. */
struct sl_tls *sl_tls_init(void *mem, const struct sl_tls_conf *conf, const char **ret_why);
/* sl_tls_fini cleanses; streams are not touched.  Jobs at threads are theirs until they come back: the caller has stopped them before. */
void sl_tls_fini(struct sl_tls *t);

/* sl_tls_server, sl_tls_client: s (established, no filter yet) is TLS from now on; what is readable belongs to the handshake.  Its user is told
 * `opened` once when the handshake is done, or `closed` with SL_END_TLS (or another end).  handshake_ms: for all of it.  Until then there
 * is nothing to read and no room to write; sl_stream_close and abort may be called.  false: no room (counted): the stream is as before.
 * host: server name with auto_sni, or NULL. */
bool sl_tls_server(struct sl_tls *t, struct sl_stream *s, uint32_t listener_slot,
		   uint16_t incarnation, uint32_t handshake_ms);
bool sl_tls_client(struct sl_tls *t, struct sl_stream *s, uint32_t service_slot,
		   uint16_t incarnation, uint32_t endpoint_slot, const char *host,
		   uint32_t handshake_ms);

/* What is known of a session. */
struct sl_tls_info {
	uint8_t version; /* SL_TLS_1_2, SL_TLS_1_3 */
	uint8_t suite;   /* enum sl_suite; NONE: OpenSSL's records */
	uint8_t resumed;
	uint8_t server;                 /* 1: the peer is a client */
	const char *alpn;               /* "": none */
	const struct sl_tls_peer *peer; /* NULL: nothing; lives as long as the session */
};
/* NULL: no TLS on s, or still in its handshake. */
const struct sl_tls_info *sl_tls_info(const struct sl_stream *s);

/* sl_tls_tick: jobs that came back, handshakes that took too long; each turn between sl_tcp_begin and sl_tcp_run.  Whether something was done. */
bool sl_tls_tick(struct sl_tls *t);
/* sl_tls_waits: jobs are out: the worker does not sleep for long. */
bool sl_tls_waits(const struct sl_tls *t);

#endif
