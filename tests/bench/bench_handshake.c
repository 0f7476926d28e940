/* Full and resumed handshakes of TLS 1.3 on the server's side, against the operations that no server can do without, in the same
 * process: one JSON object a line.
 *
 *   theory   1 / (sign + X25519 key generation + X25519 derivation), by EVP; resumed: without the signature
 *   value    handshakes a second of sl_hs_step, ClientHello to DONE, over it; 32 are under way; what clients do is not counted
 *   usage    bench_handshake [handshakes of a kind, default 3200]
 *
 * Medians of this thread's CPU time: other programs on the machine move them less. */
#include "tests/tls/hs_scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CROWD 32
#define ROUNDS_MAX 3000 /* of crowds */

static double took[ROUNDS_MAX];

static double
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
median(unsigned cnt)
{
	qsort(took, cnt, sizeof(took[0]), by_value);
	return took[cnt / 2];
}

static void
need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_handshake: %s\n", what);
	exit(1);
}

/* ---- what must be done ---- */

static double
sign_us(EVP_PKEY *key, unsigned rounds)
{
	static const uint8_t hash[32] = {1, 2, 3};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	uint8_t sig[512];

	need(ctx && EVP_PKEY_sign_init(ctx) == 1, "no signature");
	if (EVP_PKEY_is_a(key, "RSA"))
		need(EVP_PKEY_CTX_set_rsa_padding(ctx, 6 /* PSS */) == 1 &&
			     EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1,
		     "no PSS");
	for (unsigned i = 0; i < rounds; i++) {
		double from = now_us();
		for (unsigned j = 0; j < CROWD; j++) {
			size_t len = sizeof(sig);
			need(EVP_PKEY_sign(ctx, sig, &len, hash, sizeof(hash)) == 1, "not signed");
		}
		took[i] = (now_us() - from) / CROWD;
	}
	EVP_PKEY_CTX_free(ctx);
	return median(rounds);
}

static void
exchange(EVP_PKEY_CTX *gen, EVP_PKEY *peer)
{
	uint8_t secret[32];
	EVP_PKEY *own = NULL;
	size_t len = sizeof(secret);

	need(EVP_PKEY_generate(gen, &own) == 1, "no key");
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(own, NULL);
	need(ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
		     EVP_PKEY_derive(ctx, secret, &len) == 1,
	     "not derived");
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(own);
}

/* Of one X25519 key, and of what comes of it and the peer's. */
static double
exchange_us(unsigned rounds)
{
	EVP_PKEY *peer = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	EVP_PKEY_CTX *gen = EVP_PKEY_CTX_new_from_name(NULL, "X25519", NULL);

	need(peer && gen && EVP_PKEY_keygen_init(gen) == 1, "no X25519");
	for (unsigned i = 0; i < rounds; i++) {
		double from = now_us();
		for (unsigned j = 0; j < CROWD; j++)
			exchange(gen, peer);
		took[i] = (now_us() - from) / CROWD;
	}
	EVP_PKEY_CTX_free(gen);
	EVP_PKEY_free(peer);
	return median(rounds);
}

/* ---- what is done ---- */

/* Connections that are under way together, as a handshake thread has them when there are many. */
struct crowd {
	struct hs_scene *s;
	struct sl_hs_engine *e;
	struct hs_plain *client[CROWD];
	struct hs_end *server[CROWD];
};

static void
crowd_init(struct crowd *c, struct hs_scene *s, struct sl_hs_engine *e)
{
	c->s = s;
	c->e = e;
	for (unsigned i = 0; i < CROWD; i++) {
		c->client[i] = hs_plain_client(NULL);
		c->server[i] = hs_server(s, e, 0);
		SSL_CTX_set1_groups_list(c->client[i]->ctx, "X25519");
		SSL_CTX_set_min_proto_version(c->client[i]->ctx, TLS1_3_VERSION);
	}
}

static void
crowd_fini(struct crowd *c)
{
	for (unsigned i = 0; i < CROWD; i++) {
		hs_plain_free(c->client[i]);
		hs_end_free(c->server[i]);
	}
}

static void
begin(struct crowd *c, SSL_SESSION *with)
{
	for (unsigned i = 0; i < CROWD; i++) {
		/* a session is worth nothing once its connection is dropped */
		SSL_set_shutdown(c->client[i]->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		hs_plain_begin(c->client[i], false, "web.example");
		if (with)
			SSL_set_session(c->client[i]->ssl, with);
		c->server[i]->begun = c->server[i]->over = false;
		c->server[i]->in.len = 0;
	}
}

/* One handshake of each: microseconds of one. */
static double
shake_us(struct crowd *c, SSL_SESSION *with)
{
	double sum = 0;

	begin(c, with);
	for (unsigned flight = 0; flight < 2; flight++) {
		for (unsigned i = 0; i < CROWD; i++)
			hs_plain_go(c->client[i], &c->server[i]->in);
		double from = now_us();
		for (unsigned i = 0; i < CROWD; i++)
			hs_go(c->server[i], &c->client[i]->in);
		sum += now_us() - from;
	}
	for (unsigned i = 0; i < CROWD; i++) {
		const struct sl_hs_job *job = &c->server[i]->job;
		need(job->state == SL_HS_DONE && job->done.resumed == (with != NULL), "not done");
	}
	return sum / CROWD;
}

static SSL_SESSION *
session_of(struct crowd *c)
{
	char byte;

	shake_us(c, NULL);
	hs_plain_go(c->client[0], &c->server[0]->in);
	SSL_read(c->client[0]->ssl, &byte, 1);
	return SSL_get1_session(c->client[0]->ssl);
}

static void
tell(const char *name, double us, double theory_us)
{
	printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"ratio\",\"per_s\":%.0f,"
	       "\"theory_per_s\":%.0f}\n",
	       name, theory_us / us, 1e6 / us, 1e6 / theory_us);
}

static void
measure(struct hs_scene *s, struct sl_hs_engine *e, const char *kind, const char *cert,
	EVP_PKEY *key, unsigned rounds)
{
	struct crowd c;
	char name[64];

	s->listener[0].certs[0] = cert;
	s->listener[0].certs[1] = NULL;
	hs_publish(s);
	crowd_init(&c, s, e);
	SSL_SESSION *session = session_of(&c);
	for (unsigned i = 0; i < rounds; i++)
		took[i] = shake_us(&c, NULL);
	double full = median(rounds);
	for (unsigned i = 0; i < rounds; i++)
		took[i] = shake_us(&c, session);
	double resumed = median(rounds);
	double exchange = exchange_us(rounds), sign = sign_us(key, rounds);
	snprintf(name, sizeof(name), "tls.handshake.theory%s", kind);
	tell(name, full, exchange + sign);
	snprintf(name, sizeof(name), "tls.handshake.theory%s.resumed", kind);
	tell(name, resumed, exchange);
	SSL_SESSION_free(session);
	crowd_fini(&c);
}

int
main(int argc, char **argv)
{
	unsigned rounds = (argc > 1 ? (unsigned)atoi(argv[1]) : 3200) / CROWD;
	struct hs_scene s;

	need(rounds >= 5 && rounds <= ROUNDS_MAX, "handshakes: [160, 96000]");
	hs_init(&s);
	hs_publish(&s);
	struct sl_hs_engine *e = hs_engine(&s);
	measure(&s, e, "", "web_ec", s.web_ec->key, rounds);
	measure(&s, e, ".rsa", "web_rsa", s.web_rsa->key, rounds);
	sl_hs_destroy(e);
	hs_fini(&s);
	return 0;
}
