/* SSL_CTX and trust stores, made when a handshake wants them.
 *
 *   (kind, listener or service, certificates) ─▶ entry { print, SSL_CTX or X509_STORE }
 *
 * A print is the hash of all that went into an entry.  When the board has another book, each entry's print is taken again from it: what is
 * the same stays, the rest is dropped, and lives on only in handshakes that have it.  Handshakes of a book that is not the board's any
 * more get contexts of their own. */
#include "l7/tls/handshake_priv.h"

#include <openssl/x509.h>

enum { OF_LISTENER, OF_SERVICE, OF_TRUST /* a listener's */ };

struct hs_ctx {
	struct hs_ctx *next;
	uint32_t kind, slot;
	uint32_t rsa, ec; /* OF_LISTENER */
	uint16_t incarnation;
	uint8_t print[32];
	SSL_CTX *ctx;
	X509_STORE *store; /* OF_TRUST */
};

static void
ctx_free(struct hs_ctx *c)
{
	SSL_CTX_free(c->ctx);
	X509_STORE_free(c->store);
	OPENSSL_free(c);
}

/* ---- prints ---- */

struct listener_print {
	struct sl_img_tls_listener img;
	uint8_t pairs[2][32];
	uint8_t trust[32];
};

static bool
trust_print(struct sl_hs_engine *e, const struct sl_book_listener *l, uint8_t ret[32])
{
	memset(ret, 0, 32);
	for (uint32_t i = 0; i < l->trust_cnt; i++)
		if (!hs_hash(e, ret, 32, l->trust[i]->hash, 32, ret))
			return false;
	return true;
}

/* What the book says of c now; false: nothing, or OpenSSL failed. */
static bool
print_take(struct sl_hs_engine *e, const struct sl_book *b, const struct hs_ctx *c, uint8_t ret[32])
{
	if (c->kind == OF_SERVICE) {
		const struct sl_book_service *s = sl_book_service(b, c->slot, c->incarnation);
		if (s)
			memcpy(ret, s->policy, 32);
		return s;
	}
	const struct sl_book_listener *l = sl_book_listener(b, c->slot, c->incarnation);
	if (!l || c->kind == OF_TRUST)
		return l && trust_print(e, l, ret);
	if ((c->rsa != SL_NO_PAIR && c->rsa >= l->pair_cnt) ||
	    (c->ec != SL_NO_PAIR && c->ec >= l->pair_cnt))
		return false;
	struct listener_print p = {.img = l->img};
	p.img.cert_first = p.img.trust_first = p.img.san_first = 0;
	if (c->rsa != SL_NO_PAIR)
		memcpy(p.pairs[0], l->pairs[c->rsa]->hash, 32);
	if (c->ec != SL_NO_PAIR)
		memcpy(p.pairs[1], l->pairs[c->ec]->hash, 32);
	return trust_print(e, l, p.trust) && hs_hash(e, "listener", 8, &p, sizeof(p), ret);
}

/* ---- the table ---- */

static struct hs_ctx **
bucket(struct sl_hs_engine *e, const struct hs_ctx *id)
{
	uint32_t h =
		id->kind + 3 * id->slot + 0x9e3779b1u * (id->rsa + 1) + 0x85ebca6bu * (id->ec + 1);

	return &e->ctxs[(h ^ h >> 16) % HS_CTX_BUCKETS];
}

static bool
same(const struct hs_ctx *a, const struct hs_ctx *b)
{
	return a->kind == b->kind && a->slot == b->slot && a->incarnation == b->incarnation &&
	       a->rsa == b->rsa && a->ec == b->ec;
}

static struct hs_ctx *
find(struct sl_hs_engine *e, const struct hs_ctx *id)
{
	struct hs_ctx *c = *bucket(e, id);

	while (c && !same(c, id))
		c = c->next;
	return c;
}

/* The table's own references; without memory it has none. */
static void
insert(struct sl_hs_engine *e, struct hs_view *v, const struct hs_ctx *id, SSL_CTX *ctx,
       X509_STORE *store)
{
	struct hs_ctx **at = bucket(e, id), *c;

	if (v != e->view || !(c = OPENSSL_zalloc(sizeof(*c))))
		return;
	*c = *id;
	if (!print_take(e, v->book, c, c->print)) {
		OPENSSL_free(c);
		return;
	}
	if (ctx && SSL_CTX_up_ref(ctx))
		c->ctx = ctx;
	if (store && X509_STORE_up_ref(store))
		c->store = store;
	c->next = *at;
	*at = c;
}

void
hs_ctx_sweep(struct sl_hs_engine *e, struct hs_view *v)
{
	uint8_t print[32];

	for (unsigned i = 0; i < HS_CTX_BUCKETS; i++)
		for (struct hs_ctx **at = &e->ctxs[i]; *at;) {
			struct hs_ctx *c = *at;
			if (v && print_take(e, v->book, c, print) && !memcmp(print, c->print, 32)) {
				at = &c->next;
				continue;
			}
			*at = c->next;
			ctx_free(c);
		}
}

/* ---- from DER ---- */

static X509 *
cert_read(struct sl_hs_engine *e, const struct sl_blob *der)
{
	const uint8_t *p = der->data;
	X509 *x = X509_new_ex(e->lib, NULL), *made = x;

	/* on failure d2i frees what it was given */
	return x && d2i_X509(&made, &p, der->len) ? x : NULL;
}

static EVP_PKEY *
key_read(struct sl_hs_engine *e, const struct sl_blob *der)
{
	const uint8_t *p = der->data;
	PKCS8_PRIV_KEY_INFO *p8 = d2i_PKCS8_PRIV_KEY_INFO(NULL, &p, der->len);
	EVP_PKEY *key = p8 ? EVP_PKCS82PKEY_ex(p8, e->lib, NULL) : NULL;

	PKCS8_PRIV_KEY_INFO_free(p8);
	return key;
}

static bool
pair_use(struct sl_hs_engine *e, SSL_CTX *ctx, const struct sl_pair *p)
{
	X509 *x = cert_read(e, &p->chain[0]);
	EVP_PKEY *key = key_read(e, &p->key);
	STACK_OF(X509) *chain = sk_X509_new_null();
	bool ok = x && key && chain;

	for (uint32_t i = 1; ok && i < p->chain_cnt; i++) {
		X509 *c = cert_read(e, &p->chain[i]);
		ok = c && sk_X509_push(chain, c) > 0;
		if (!ok)
			X509_free(c);
	}
	ok = ok && SSL_CTX_use_cert_and_key(ctx, x, key, chain, 1) == 1;
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
	X509_free(x);
	return ok;
}

static X509_STORE *
store_make(struct sl_hs_engine *e, struct sl_trust *const *trust, uint32_t cnt)
{
	X509_STORE *store = X509_STORE_new();
	bool ok = store;

	for (uint32_t i = 0; ok && i < cnt; i++)
		for (uint32_t j = 0; ok && j < trust[i]->cnt; j++) {
			X509 *x = cert_read(e, &trust[i]->certs[j]);
			ok = x && X509_STORE_add_cert(store, x) == 1;
			X509_free(x);
		}
	if (ok)
		return store;
	X509_STORE_free(store);
	return NULL;
}

/* ---- contexts ---- */

static bool
suites_set(SSL_CTX *ctx, unsigned suites)
{
	static const struct {
		unsigned bit;
		const char *v13, *v12;
	} of[] = {
		{SL_TLS_SUITE_AES128, "TLS_AES_128_GCM_SHA256",
		 "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"},
		{SL_TLS_SUITE_AES256, "TLS_AES_256_GCM_SHA384",
		 "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"},
		{SL_TLS_SUITE_CHACHA, "TLS_CHACHA20_POLY1305_SHA256",
		 "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"},
	};
	char v13[128] = "", v12[256] = "";

	for (unsigned i = 0; i < SL_ARRAY_CNT(of); i++)
		if (suites & of[i].bit) {
			strcat(strcat(v13, *v13 ? ":" : ""), of[i].v13);
			strcat(strcat(v12, *v12 ? ":" : ""), of[i].v12);
		}
	return SSL_CTX_set_ciphersuites(ctx, v13) == 1 && SSL_CTX_set_cipher_list(ctx, v12) == 1;
}

static bool
groups_set(SSL_CTX *ctx, unsigned groups)
{
	int nids[2], n = 0;

	if (groups & SL_TLS_GROUP_X25519)
		nids[n++] = NID_X25519;
	if (groups & SL_TLS_GROUP_P256)
		nids[n++] = NID_X9_62_prime256v1;
	return SSL_CTX_set1_groups(ctx, nids, n) == 1;
}

static int
version_of(unsigned version)
{
	return version == SL_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

#define SIGALGS                                                                                    \
	"ECDSA+SHA256:ed25519:rsa_pss_rsae_sha256:ECDSA+SHA384:ECDSA+SHA512:rsa_pss_rsae_sha384:"  \
	"rsa_pss_rsae_sha512:rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"            \
	"RSA+SHA256:RSA+SHA384:RSA+SHA512"

static SSL_CTX *
ctx_make(struct sl_hs_engine *e, const SSL_METHOD *method, unsigned min, unsigned max,
	 unsigned suites, unsigned groups)
{
	SSL_CTX *ctx = SSL_CTX_new_ex(e->lib, NULL, method);

	if (!ctx)
		return NULL;
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT |
					   SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, HS_IN_MAX);
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	/* what is in a bundle is trusted, root or not */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
	X509_VERIFY_PARAM_set_depth(param, HS_DEPTH);
	SSL_CTX_set_cert_verify_callback(ctx, hs_verify, NULL);
	if (SSL_CTX_set_min_proto_version(ctx, version_of(min)) == 1 &&
	    SSL_CTX_set_max_proto_version(ctx, version_of(max)) == 1 && suites_set(ctx, suites) &&
	    groups_set(ctx, groups) && SSL_CTX_set1_sigalgs_list(ctx, SIGALGS) == 1)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* The listener's trust: one store for all of its contexts. */
static bool
trust_use(struct sl_hs_engine *e, struct hs_view *v, SSL_CTX *ctx, const struct sl_book_listener *l)
{
	struct hs_ctx id = {.kind = OF_TRUST, .slot = l->slot, .incarnation = l->incarnation};
	struct hs_ctx *c = v == e->view ? find(e, &id) : NULL;

	if (c) {
		SSL_CTX_set1_cert_store(ctx, c->store);
		return true;
	}
	X509_STORE *store = store_make(e, l->trust, l->trust_cnt);
	if (!store)
		return false;
	insert(e, v, &id, NULL, store);
	SSL_CTX_set_cert_store(ctx, store);
	return true;
}

SSL_CTX *
hs_ctx_listener(struct sl_hs_engine *e, struct hs_view *v, const struct sl_book_listener *l,
		uint32_t rsa, uint32_t ec)
{
	struct hs_ctx id = {.kind = OF_LISTENER,
			    .slot = l->slot,
			    .incarnation = l->incarnation,
			    .rsa = rsa,
			    .ec = ec};
	struct hs_ctx *c = v == e->view ? find(e, &id) : NULL;

	if (c)
		return SSL_CTX_up_ref(c->ctx) ? c->ctx : NULL;
	SSL_CTX *ctx = ctx_make(e, TLS_server_method(), l->img.min_version, l->img.max_version,
				l->img.suites, l->img.groups);
	if (!ctx)
		return NULL;
	hs_server_ctx(ctx, l);
	if ((rsa == SL_NO_PAIR || pair_use(e, ctx, l->pairs[rsa])) &&
	    (ec == SL_NO_PAIR || pair_use(e, ctx, l->pairs[ec])) &&
	    (l->img.client == SL_TLS_CLIENT_NONE || trust_use(e, v, ctx, l))) {
		insert(e, v, &id, ctx, NULL);
		return ctx;
	}
	SSL_CTX_free(ctx);
	return NULL;
}

SSL_CTX *
hs_ctx_service(struct sl_hs_engine *e, struct hs_view *v, const struct sl_book_service *s)
{
	struct hs_ctx id = {.kind = OF_SERVICE, .slot = s->slot, .incarnation = s->incarnation};
	struct hs_ctx *c = v == e->view ? find(e, &id) : NULL;

	if (c)
		return SSL_CTX_up_ref(c->ctx) ? c->ctx : NULL;
	SSL_CTX *ctx = ctx_make(e, TLS_client_method(), s->img.min_version, s->img.max_version,
				s->img.suites, s->img.groups);
	X509_STORE *store = ctx ? store_make(e, s->trust, s->trust_cnt) : NULL;
	if (store) {
		SSL_CTX_set_cert_store(ctx, store);
		if (hs_client_ctx(ctx, s) && (!s->pair || pair_use(e, ctx, s->pair))) {
			insert(e, v, &id, ctx, NULL);
			return ctx;
		}
	}
	SSL_CTX_free(ctx);
	return NULL;
}
