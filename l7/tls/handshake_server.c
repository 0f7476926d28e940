/* Handshakes with clients: which certificate, which protocol, which tickets.
 *
 *   ClientHello ─▶ server name ─▶ certificates, session-id context ─▶ ticket ─▶ ALPN ─▶ …
 *
 * The session-id context is the hash of the listener's policy and the name asked for: a ticket of another listener, another name, or
 * from before the policy changed decrypts, and is not taken.  Certificates are not part of it: sessions outlive their rotation. */
#include "l7/tls/handshake_priv.h"

#include <openssl/core_names.h>
#include <openssl/rand.h>

/* ---- server names ---- */

static bool
host_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* A host name in lower case, without the dot at its end; no label is empty. */
static bool
host_read(const uint8_t *p, size_t n, char ret[SL_HOST_MAX])
{
	if (n && p[n - 1] == '.')
		n--;
	if (n == 0 || n > 253)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = p[i] >= 'A' && p[i] <= 'Z' ? p[i] | 0x20 : p[i];
		if (!host_byte(c) || (c == '.' && (i == 0 || i + 1 == n || p[i - 1] == '.')))
			return false;
		ret[i] = (char)c;
	}
	ret[n] = 0;
	return true;
}

/* RFC 6066, 3: a list of one name of type 0.  0, or an alert. */
static int
sni_read(const uint8_t *p, size_t n, char ret[SL_HOST_MAX])
{
	if (n < 5 || (size_t)(p[0] << 8 | p[1]) != n - 2 || p[2] != 0 ||
	    (size_t)(p[3] << 8 | p[4]) != n - 5)
		return SSL_AD_DECODE_ERROR;
	return host_read(p + 5, n - 5, ret) ? 0 : SSL_AD_ILLEGAL_PARAMETER;
}

static int
hello_host(SSL *ssl, char ret[SL_HOST_MAX])
{
	const uint8_t *p;
	size_t n;

	ret[0] = 0;
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &n))
		return 0;
	return sni_read(p, n, ret);
}

/* ---- ClientHello ---- */

static bool
certs_use(struct sl_hs *hs, const struct sl_sni *sni)
{
	if (sni->rsa == hs->rsa && sni->ec == hs->ec)
		return true;
	SSL_CTX *ctx = hs_ctx_listener(hs->e, hs->view, hs->listener, sni->rsa, sni->ec);
	if (!ctx)
		return false;
	bool ok = SSL_set_SSL_CTX(hs->ssl, ctx) == ctx;
	SSL_CTX_set_keylog_callback(ctx, hs->log ? hs_keys_line : NULL);
	SSL_CTX_free(ctx); /* hs->ssl has its own */
	hs->rsa = sni->rsa;
	hs->ec = sni->ec;
	return ok;
}

static bool
host_use(struct sl_hs *hs)
{
	const struct sl_sni *sni = sl_book_sni(hs->listener, hs->host);
	uint8_t id[32];

	hs->named = sni != &hs->listener->fallback;
	if (!certs_use(hs, sni)) {
		hs->fail = SL_TLS_CNT_FAIL_CONFIG;
		return false;
	}
	return hs_hash(hs->e, hs->listener->policy, 32, hs->host, strlen(hs->host), id) &&
	       SSL_set_session_id_context(hs->ssl, id, sizeof(id)) == 1;
}

static int
on_hello(SSL *ssl, int *alert, void *arg)
{
	struct sl_hs *hs = SSL_get_app_data(ssl);
	char host[SL_HOST_MAX];

	(void)arg;
	*alert = SSL_AD_INTERNAL_ERROR;
	if (!hs)
		return SSL_CLIENT_HELLO_ERROR;
	int bad = hello_host(ssl, host);
	/* the second one, after a HelloRetryRequest, may not ask for another */
	if (!bad && hs->hello && strcmp(host, hs->host))
		bad = SSL_AD_ILLEGAL_PARAMETER;
	if (bad) {
		*alert = bad;
		hs->fail = SL_TLS_CNT_FAIL_PROTOCOL;
		return SSL_CLIENT_HELLO_ERROR;
	}
	if (hs->hello)
		return SSL_CLIENT_HELLO_SUCCESS;
	hs->hello = true;
	strcpy(hs->host, host);
	return host_use(hs) ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* Whether the client is told that its name was understood. */
static int
on_name(SSL *ssl, int *alert, void *arg)
{
	const struct sl_hs *hs = SSL_get_app_data(ssl);

	(void)alert;
	(void)arg;
	return hs && hs->named ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* Ours first.  theirs is well-formed: OpenSSL has looked. */
static int
on_alpn(SSL *ssl, const uint8_t **ret, uint8_t *ret_len, const uint8_t *theirs, unsigned len,
	void *arg)
{
	struct sl_hs *hs = SSL_get_app_data(ssl);

	(void)arg;
	if (!hs || hs->listener->img.alpn_cnt == 0)
		return SSL_TLSEXT_ERR_NOACK;
	for (unsigned a = 0; a < hs->listener->img.alpn_cnt; a++) {
		const char *ours = hs->listener->img.alpn[a].protocol;
		size_t n = strlen(ours);
		for (unsigned i = 0; i < len; i += 1u + theirs[i])
			if (theirs[i] == n && i + 1 + n <= len &&
			    !memcmp(theirs + i + 1, ours, n)) {
				*ret = theirs + i + 1;
				*ret_len = (uint8_t)n;
				return SSL_TLSEXT_ERR_OK;
			}
	}
	hs->fail = SL_TLS_CNT_FAIL_ALPN;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- tickets ---- */

static bool
ticket_use(struct sl_hs *hs, const struct sl_ticket_key *k, const uint8_t *iv, EVP_CIPHER_CTX *c,
	   EVP_MAC_CTX *m, int enc)
{
	char md[] = "SHA256";
	OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, md, 0),
			       OSSL_PARAM_construct_end()};

	return EVP_CipherInit_ex2(c, hs->e->aes_cbc, k->aes, iv, enc, NULL) == 1 &&
	       EVP_MAC_init(m, k->hmac, sizeof(k->hmac), params) == 1;
}

/* 0: no ticket, or none that we know; 1: good; 2: good, and to be renewed; -1: failed. */
static int
on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *c, EVP_MAC_CTX *m,
	  int enc)
{
	struct sl_hs *hs = SSL_get_app_data(ssl);

	if (!hs)
		return 0;
	const struct sl_book *b = hs->view->book;
	if (enc) {
		if (b->ticket_cnt == 0 || RAND_bytes_ex(hs->e->lib, iv, 16, 0) != 1)
			return -1;
		memcpy(name, b->tickets[0].name, sizeof(b->tickets[0].name));
		return ticket_use(hs, &b->tickets[0], iv, c, m, 1) ? 1 : -1;
	}
	for (uint32_t i = 0; i < b->ticket_cnt; i++) {
		if (memcmp(name, b->tickets[i].name, sizeof(b->tickets[i].name)))
			continue;
		/* clients use a ticket of 1.3 once: each resumption gives the next */
		bool renew = i || SSL_version(ssl) == TLS1_3_VERSION;
		return !ticket_use(hs, &b->tickets[i], iv, c, m, 0) ? -1 : renew ? 2 : 1;
	}
	return 0;
}

/* A client that proved who it is some time ago must still be who may come in. */
static bool
resumable(const struct sl_hs *hs, const SSL_SESSION *s)
{
	X509 *x = SSL_SESSION_get0_peer((SSL_SESSION *)s);

	if (hs->listener->img.client == SL_TLS_CLIENT_NONE)
		return !x;
	if (!x)
		return hs->listener->img.client == SL_TLS_CLIENT_OPTIONAL;
	return hs_peer_dates(x, hs->now_s) && hs_peer_check(hs, x) == 0;
}

static SSL_TICKET_RETURN
on_ticket_read(SSL *ssl, SSL_SESSION *s, const unsigned char *name, size_t name_len,
	       SSL_TICKET_STATUS status, void *arg)
{
	const struct sl_hs *hs = SSL_get_app_data(ssl);

	(void)name;
	(void)name_len;
	(void)arg;
	switch (status) {
	case SSL_TICKET_EMPTY:
	case SSL_TICKET_NO_DECRYPT:
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	case SSL_TICKET_SUCCESS:
	case SSL_TICKET_SUCCESS_RENEW:
		if (!hs || !s || !resumable(hs, s))
			return SSL_TICKET_RETURN_IGNORE_RENEW;
		return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE
						    : SSL_TICKET_RETURN_USE_RENEW;
	default:
		return SSL_TICKET_RETURN_ABORT;
	}
}

static int
on_ticket_write(SSL *ssl, void *arg)
{
	(void)ssl;
	(void)arg;
	return 1;
}

/* ---- */

void
hs_server_ctx(SSL_CTX *ctx, const struct sl_book_listener *l)
{
	int verify = SSL_VERIFY_NONE;

	if (l->img.client != SL_TLS_CLIENT_NONE)
		verify = SSL_VERIFY_PEER;
	if (l->img.client == SL_TLS_CLIENT_REQUIRED)
		verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	SSL_CTX_set_verify(ctx, verify, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_early_data(ctx, 0);
	SSL_CTX_set_client_hello_cb(ctx, on_hello, NULL);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
	SSL_CTX_set_session_ticket_cb(ctx, on_ticket_write, on_ticket_read, NULL);
}

bool
hs_server_begin(struct sl_hs *hs)
{
	bool tickets = hs->listener->img.tickets && hs->view->book->ticket_cnt;

	if (!tickets)
		SSL_set_options(hs->ssl, SSL_OP_NO_TICKET);
	/* one: a second would cost a tenth of the handshake, and each resumption gives the next */
	if (SSL_set_num_tickets(hs->ssl, tickets) != 1)
		return false;
	SSL_set_accept_state(hs->ssl);
	return true;
}
