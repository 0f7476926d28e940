/* handshake_priv — what the parts of the engine share.
 *
 *   handshake.c           engine, steps, what goes in and out, how a handshake fails
 *   handshake_ctx.c       SSL_CTX and trust stores by (listener or service, certificates), made when they are needed
 *   handshake_server.c    ClientHello, server names, ALPN, tickets
 *   handshake_client.c    towards endpoints
 *   handshake_sessions.c  sessions of endpoints that are kept
 *   handshake_peer.c      who the peer is, and whether it may be
 *   handshake_keys.c      the end: secrets, keys, sequence numbers
 */
#ifndef SL_L7_TLS_HANDSHAKE_PRIV_H
#define SL_L7_TLS_HANDSHAKE_PRIV_H

#include "l7/tls/handshake.h"

#include <openssl/ssl.h>

#define HS_IN_MAX 65536 /* bytes of a peer's handshake; afterwards, of what is fed for tickets */
#define HS_REST_MAX (1 << 18) /* bytes that are to be sent and had no room in out[] */
#define HS_DEPTH 10           /* certificates of a chain */

/* A book that is worked with, by this engine's own count. */
struct hs_view {
	struct sl_book *book;
	uint32_t refs;
};

/* Bytes to be sent that out[] had no room for. */
struct hs_rest {
	uint8_t *data;
	uint32_t at, len, room;
};

/* The last answer, when bytes have to go before it. */
struct hs_last {
	uint8_t state, alert, tickets;
	uint32_t fail;
	struct sl_hs_done done;
	uint8_t peer[SL_PEER_MAX];
};

/* Walks over records that are written, to count them. */
struct hs_count {
	bool on;
	uint8_t head_len; /* bytes of head */
	uint8_t head[5];
	uint32_t left; /* of the record's body */
	uint64_t records;
};

struct hs_secrets {
	uint8_t client[SL_SECRET_LEN_MAX], server[SL_SECRET_LEN_MAX];
	uint8_t client_len, server_len; /* 0: not told yet */
};

enum hs_phase {
	HS_RUNNING,
	HS_KEPT, /* client, after DONE: for tickets */
	HS_LAST, /* has its last answer; bytes go before it */
};

struct sl_hs {
	struct sl_hs_engine *e;
	struct sl_hs *next, *prev;
	struct hs_view *view; /* listener or service, of which one is set, point into its book */
	const struct sl_book_listener *listener;
	const struct sl_book_service *service;
	SSL *ssl;
	struct sl_hs_job *job; /* of this step */
	uint32_t in_at;        /* bytes of job->in that were read */
	uint32_t in_total;
	uint8_t phase;          /* enum hs_phase */
	bool log;               /* the traffic secrets come next: key log lines are asked for */
	bool hello;             /* a ClientHello was seen: host, rsa and ec are set */
	bool named;             /* the host has a certificate of its own */
	uint8_t alert;          /* sent or received */
	bool alerted;           /* by the peer */
	uint32_t fail;          /* enum sl_tls_counter, as a callback knows it; 0: none does */
	uint32_t rsa, ec;       /* server: whose certificates ssl has */
	int64_t now_s;          /* of this step */
	uint8_t key[32];        /* client: of kept sessions */
	char host[SL_HOST_MAX]; /* server: asked for; client: sent and expected; lower case */
	struct hs_rest rest;
	struct hs_count count;
	struct hs_secrets secrets;
	struct hs_last *last;
};

struct hs_session;
struct hs_ctx;

#define HS_CTX_BUCKETS 1024

struct sl_hs_engine {
	struct sl_hs_conf conf;
	OSSL_LIB_CTX *lib;
	OSSL_PROVIDER *provider;
	struct sl_keys *keys;
	BIO_METHOD *bio;
	EVP_MD *sha256;
	EVP_CIPHER *aes_cbc;
	EVP_MD_CTX *md_ctx;
	struct sl_hs *first;
	struct hs_view *view; /* of the board's book as last looked at; NULL: none */
	uint64_t version;     /* of it */
	struct hs_ctx **ctxs; /* [HS_CTX_BUCKETS] */
	struct hs_session **buckets;
	struct hs_session *newest, *oldest;
	uint32_t session_cnt, bucket_mask;
};

/* ---- handshake.c ---- */

/* SHA-256 of a and b, one after the other. */
bool hs_hash(struct sl_hs_engine *e, const void *a, size_t a_len, const void *b, size_t b_len,
	     uint8_t ret[32]);
struct hs_view *hs_view_hold(struct hs_view *v);
void hs_view_put(struct hs_view *v);

/* ---- handshake_ctx.c ---- */

/* hs_ctx_listener, hs_ctx_service: a reference that the caller frees; NULL: FAIL_CONFIG or memory. */
SSL_CTX *hs_ctx_listener(struct sl_hs_engine *e, struct hs_view *v,
			 const struct sl_book_listener *l, uint32_t rsa, uint32_t ec);
SSL_CTX *hs_ctx_service(struct sl_hs_engine *e, struct hs_view *v, const struct sl_book_service *s);
/* hs_ctx_sweep: of another book: what it says otherwise is dropped.  view NULL: all. */
void hs_ctx_sweep(struct sl_hs_engine *e, struct hs_view *v);

/* ---- handshake_server.c ---- */

void hs_server_ctx(SSL_CTX *ctx, const struct sl_book_listener *l); /* callbacks and modes */
bool hs_server_begin(struct sl_hs *hs);

/* ---- handshake_client.c ---- */

bool hs_client_ctx(SSL_CTX *ctx, const struct sl_book_service *s);
bool hs_client_begin(struct sl_hs *hs, const struct sl_hs_job *job);
/* What the handshake ended with is what was asked for. */
bool hs_client_done(struct sl_hs *hs);

/* ---- handshake_sessions.c ---- */

bool hs_sessions_init(struct sl_hs_engine *e);
void hs_sessions_fini(struct sl_hs_engine *e);
/* hs_sessions_put takes the reference over when it answers true.  hs_sessions_take: a reference, or NULL. */
bool hs_sessions_put(struct sl_hs_engine *e, const uint8_t key[32], SSL_SESSION *s);
SSL_SESSION *hs_sessions_take(struct sl_hs_engine *e, const uint8_t key[32], int64_t now_s);

/* ---- handshake_peer.c ---- */

/* hs_peer_check: 0, or FAIL_*: a verified certificate has names that are well-formed and allowed. */
uint32_t hs_peer_check(const struct sl_hs *hs, X509 *x);
/* hs_peer_dates: now is within them. */
bool hs_peer_dates(const X509 *x, int64_t now_s);
/* The counter of an X509_V_ERR_*. */
uint32_t hs_peer_fail(int x509_error);
/* hs_verify: SSL_CTX_set_cert_verify_callback */
int hs_verify(X509_STORE_CTX *ctx, void *arg);
/* hs_peer_tell writes a struct sl_tls_peer: bytes; 0: nothing is known. */
uint16_t hs_peer_tell(const struct sl_hs *hs, uint8_t ret[SL_PEER_MAX]);

/* ---- handshake_keys.c ---- */

/* hs_keys_line: a key log line.  hs_keys_end: done, but for its peer; false: OpenSSL failed. */
void hs_keys_line(const SSL *ssl, const char *line);
bool hs_keys_end(struct sl_hs *hs, struct sl_hs_done *done);
/* Bytes that are written to the peer. */
void hs_count(struct hs_count *c, const uint8_t *bytes, uint32_t n);

#endif
