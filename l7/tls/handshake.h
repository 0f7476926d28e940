/* handshake — OpenSSL on memory: what a peer said goes in, what is to be said comes out, at the end secrets and who it is.
 *
 *   worker ── job (op, bytes) ──▶ sl_hs_step ──▶ job (bytes, MORE | DONE | FAILED) ── worker
 *
 * Owner:   an engine belongs to one thread (a handshake thread, or the worker itself); it has an OSSL_LIB_CTX of its own, contexts
 *          made from the book as they are needed, tickets of endpoints.  A job belongs to whoever holds it: it goes there and back.
 *          A struct sl_hs is the engine's: between steps it is only named by the worker (job.hs).
 * Threads: [engine's].  Time comes with the job.  Randomness is OpenSSL's.
 * Budget:  a step is 10–400 µs.
 * Never:   0-RTT, renegotiation, compression, session ids, post-handshake authentication, resumption across listener, server name, client
 *          policy or trust bundle (session-id context = hash of these).
 */
#ifndef SL_L7_TLS_HANDSHAKE_H
#define SL_L7_TLS_HANDSHAKE_H

#include "l7/tls/book.h"
#include "l7/tls/keys.h"
#include "sluice/stats.h"

#define SL_HS_IN 4096
#define SL_HS_OUT 16384
#define SL_PEER_MAX 4096 /* bytes of a struct sl_tls_peer with its strings */

enum sl_hs_op {
	SL_HS_SERVER, /* begin: slot, incarnation of a listener; in: the first bytes (may be none) */
	SL_HS_CLIENT, /* begin: of a service; no bytes */
	/* more bytes; also none, after more_out.  After DONE with keep: records of the session, all from its first on, as they came and in order; answered DONE with keep
	 * again, and tickets; or FAILED: there is no more to be had of hs, the session goes on */
	SL_HS_FEED,
	SL_HS_END, /* the connection is over, or nothing more will be fed: hs is freed; nothing is answered but the job */
};

enum sl_hs_state {
	SL_HS_MORE, /* send out[], then feed what comes */
	SL_HS_DONE, /* send out[] (its last bytes may be under the session's own keys: done.write.seq has them counted) */
	SL_HS_FAILED, /* send out[] (an alert, perhaps), then end; hs is gone */
};

/* Who the peer is: kept by the session as long as it lives.  Strings follow, in this order, without terminators; what is longer than its
 * place is left out whole (len 0), never cut. */
struct sl_tls_peer {
	uint16_t bytes; /* of all */
	uint8_t verified;
	uint8_t zero;
	uint16_t uri_len;     /* the first URI SAN; SPIFFE: there is exactly one then */
	uint16_t subject_len; /* RFC 2253 */
	uint16_t dns_len;     /* DNS SANs, separated by ',' */
	uint16_t sni_len;     /* server name the client asked for, lower case */
	uint16_t cn_len;
	uint16_t zero2;
	int64_t not_after;
	uint8_t hash[32]; /* SHA-256 of the certificate (DER) */
	char text[];
};

struct sl_hs_secret {
	uint8_t secret[SL_SECRET_LEN_MAX]; /* 1.3: traffic secret, for key updates */
	uint8_t key[32], iv[12];
	uint64_t seq; /* of the next record */
};

struct sl_hs_done {
	uint8_t version; /* SL_TLS_1_2, SL_TLS_1_3 */
	uint8_t suite; /* enum sl_suite; NONE: the record layer has it not: ssl is set (fallback) */
	uint8_t resumed;
	uint8_t keep; /* client: hs stays: feed it the records that come until tickets is answered, then END */
	char alpn[SL_ALPN_MAX]; /* "": none agreed */
	struct sl_hs_secret read, write;
	void *ssl; /* SSL *, the worker's from now on (ossl.h), to be freed before the engine is destroyed; NULL but in a fallback */
	uint16_t peer_len; /* bytes of peer[]; 0: nothing is known */
	uint16_t zero[3];
};

struct sl_hs;

struct sl_hs_job {
	/* asked: the worker's to fill */
	uint8_t op; /* enum sl_hs_op */
	uint8_t zero[1];
	uint16_t incarnation;
	uint32_t slot;
	uint32_t endpoint_slot; /* CLIENT: part of the key of kept sessions */
	uint32_t in_len;
	struct sl_hs *hs;
	uint64_t tag; /* the worker's own */
	uint64_t asked_ns;
	int64_t now_s;          /* seconds of the epoch: dates of certificates */
	char host[SL_HOST_MAX]; /* CLIENT: server name with auto_sni; "": the service's */
	/* answered */
	uint8_t state; /* enum sl_hs_state */
	uint8_t more_out; /* MORE: out[] was too small: FEED with nothing for the rest, before anything else */
	uint8_t tickets; /* how many sessions were kept from what was fed: 1.2: at DONE; 1.3: after DONE with keep */
	uint8_t alert; /* FAILED: the alert sent or received; 0: none */
	uint32_t fail; /* FAILED: enum sl_tls_counter, FAIL_* */
	uint32_t
		in_used; /* bytes of in[] that belong to the handshake (the rest comes after it: records of the session); told with more_out already when DONE
			    comes behind what is to be sent */
	uint32_t out_len;
	struct sl_hs_done done;
	uint8_t peer[SL_PEER_MAX]; /* struct sl_tls_peer */
	uint8_t in[SL_HS_IN];
	uint8_t out[SL_HS_OUT];
};

struct sl_hs_conf {
	struct sl_board *board;
	bool fallback; /* records stay with OpenSSL, always (to compare, or to do without ipsec-mb) */
	bool key_log; /* debug builds only: lines of NSS key log go to key_log_fn */
	void (*key_log_fn)(void *ctx, const char *line);
	void *key_log_ctx;
	uint32_t sessions; /* tickets of endpoints that are kept, [1, 65536] */
};

struct sl_hs_engine;

/* NULL: no memory, or OpenSSL cannot do what is needed. */
struct sl_hs_engine *sl_hs_create(const struct sl_hs_conf *conf);
void sl_hs_destroy(struct sl_hs_engine *e); /* handshakes under way are freed, too */

/* sl_hs_step does what the job asks.  Everything answered is set; in_used = in_len but for DONE.  job.hs is NULL once hs is gone. */
void sl_hs_step(struct sl_hs_engine *e, struct sl_hs_job *job);

/* Strings of a peer, in place: "" where it has none. */
static inline const char *
sl_tls_peer_uri(const struct sl_tls_peer *p)
{
	return p->text;
}
static inline const char *
sl_tls_peer_subject(const struct sl_tls_peer *p)
{
	return p->text + p->uri_len;
}
static inline const char *
sl_tls_peer_dns(const struct sl_tls_peer *p)
{
	return p->text + p->uri_len + p->subject_len;
}
static inline const char *
sl_tls_peer_sni(const struct sl_tls_peer *p)
{
	return p->text + p->uri_len + p->subject_len + p->dns_len;
}
static inline const char *
sl_tls_peer_cn(const struct sl_tls_peer *p)
{
	return p->text + p->uri_len + p->subject_len + p->dns_len + p->sni_len;
}

#endif
