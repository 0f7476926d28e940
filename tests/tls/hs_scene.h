/* hs_scene — a board with listeners and services, engines on it, and who talks with them: another engine, or plain OpenSSL.
 *
 *   hs_init ─▶ hs_pair, hs_trust ─▶ scene.listener[…], scene.service[…] ─▶ hs_publish ─▶ hs_talk
 */
#ifndef SL_TESTS_TLS_HS_SCENE_H
#define SL_TESTS_TLS_HS_SCENE_H

#include "l7/tls/handshake.h"
#include "tests/tls/tls_certs.h"

#include <openssl/ssl.h>

#define HS_ITEMS 4
#define HS_WIRE (1u << 19)

/* What a listener or service says; slots are the places + 10 and + 20, incarnations 1. */
struct hs_listener {
	bool there;
	struct sl_img_tls_listener
		img; /* firsts and counts of certs, trust and sans are filled in */
	const char *certs[8], *trust[4], *sans[8];
};
struct hs_service {
	bool there;
	struct sl_img_tls_service img;
	const char *trust[4], *sans[8];
};

struct hs_scene {
	struct sl_keyring *keys;
	struct sl_board board;
	uint64_t version;
	int64_t now_s;
	struct hs_listener listener[HS_ITEMS];
	struct hs_service service[HS_ITEMS];
	struct tls_cert *ca, *other_ca; /* bundles "mesh" and "other" */
	struct tls_cert *web_ec, *web_rsa,
		*client; /* pairs of these names: web.example twice; spiffe://td/ns/a/sa/client */
};

/* Listener 0 has both pairs of web.example, service 0 verifies web.example by "mesh"; both allow all there is.  Not published yet. */
void hs_init(struct hs_scene *s);
void hs_fini(struct hs_scene *s);
void hs_pair(struct hs_scene *s, const char *name, const struct tls_cert *c);
void hs_trust(struct hs_scene *s, const char *name, struct tls_cert *ca);
void hs_tickets(struct hs_scene *s, const unsigned *seeds, unsigned cnt);
void hs_publish(struct hs_scene *s);
struct sl_hs_engine *hs_engine(struct hs_scene *s);
struct sl_hs_engine *hs_engine_with(struct hs_scene *s, struct sl_hs_conf conf);

/* Bytes on their way to somebody. */
struct hs_wire {
	uint32_t len;
	uint8_t data[HS_WIRE];
};
void hs_wire_add(struct hs_wire *w, const void *bytes, uint32_t n);
void hs_wire_cut(struct hs_wire *w, uint32_t n);

/* An engine's end of a connection. */
struct hs_end {
	struct sl_hs_engine *e;
	const struct hs_scene *scene;
	uint8_t op;
	bool begun, over; /* over: DONE or FAILED */
	uint32_t slot;
	uint32_t endpoint;
	uint32_t chunk; /* bytes of a job at most; 0: all */
	uint32_t steps;
	const char *host;
	struct sl_hs_job job;
	struct hs_wire in;
};
struct hs_end *hs_server(struct hs_scene *s, struct sl_hs_engine *e, unsigned listener);
struct hs_end *hs_client(struct hs_scene *s, struct sl_hs_engine *e, unsigned service);
void hs_end_free(struct hs_end *end);
/* One job; what it says goes to `to`.  false: there was nothing to do. */
bool hs_go(struct hs_end *end, struct hs_wire *to);
/* Until both are over, or nothing moves. */
void hs_talk(struct hs_end *client, struct hs_end *server);
/* What the client's engine is fed after DONE, until it has no more use for it.  Sessions kept. */
unsigned hs_feed_tickets(struct hs_end *client);
const struct sl_tls_peer *hs_peer(const struct hs_end *end); /* NULL: nothing is known */
bool hs_text_is(const char *text, uint32_t len, const char *want);

/* Plain OpenSSL's end, on memory BIOs. */
struct hs_plain {
	SSL_CTX *ctx;
	SSL *ssl;
	struct hs_wire in;
};
struct hs_plain *hs_plain_client(const char *host);
struct hs_plain *hs_plain_server(const struct tls_cert *c);
void hs_plain_cert(struct hs_plain *p, const struct tls_cert *c);
void hs_plain_trust(struct hs_plain *p, const struct tls_cert *ca, int verify);
void hs_plain_free(struct hs_plain *p);
/* After ctx is as wanted: makes ssl; host: server name, or NULL. */
void hs_plain_begin(struct hs_plain *p, bool server, const char *host);
/* One SSL_do_handshake; what it says goes to `to`.  1: done. */
int hs_plain_go(struct hs_plain *p, struct hs_wire *to);
void hs_plain_talk(struct hs_plain *p, struct hs_end *end);
void hs_plain_flush(struct hs_plain *p, struct hs_wire *to);

#endif
