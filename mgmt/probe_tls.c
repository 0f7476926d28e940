/* The names of a certificate are compared as l7/tls/handshake_peer.c does: a probe must not be content with whom requests are not. */
#include "mgmt/probe_tls.h"

#include "sluice/secrets.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#define DEPTH 10
#define ASIDES 64 /* messages of TLS itself that an answer may have with it */

struct sl_probe_tls {
	unsigned refs;
	bool http;
	struct sl_conf_tls conf; /* its lists are ours */
	struct sl_probe_secrets from;
	SSL_CTX *ctx;     /* NULL: not made yet */
	uint64_t version; /* of the certificates that ctx was made of */
};

/* What belongs to one SSL. */
struct talk {
	unsigned asides; /* messages of TLS itself, while the answer was waited for */
	char name[SL_HOST_MAX];
};

/* ---- life ---- */

static bool
copy_list(void *ret_list, const void *list, size_t cnt, size_t size)
{
	void *copy = cnt ? malloc(cnt * size) : NULL;

	if (cnt && copy)
		memcpy(copy, list, cnt * size);
	memcpy(ret_list, &copy, sizeof(copy));
	return !cnt || copy;
}

struct sl_probe_tls *
sl_probe_tls_create(const struct sl_conf_tls *t, bool http, const struct sl_probe_secrets *from)
{
	struct sl_probe_tls *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	*p = (struct sl_probe_tls){.refs = 1, .http = http, .conf = *t, .from = *from};
	p->conf.certs = NULL;
	p->conf.cert_cnt = 0;
	bool ok = copy_list(&p->conf.trust, t->trust, t->trust_cnt, sizeof(*t->trust));
	ok = copy_list(&p->conf.sans, t->sans, t->san_cnt, sizeof(*t->sans)) && ok;
	ok = copy_list(&p->conf.alpn, t->alpn, t->alpn_cnt, sizeof(*t->alpn)) && ok;
	if (ok)
		return p;
	sl_probe_tls_drop(p);
	return NULL;
}

struct sl_probe_tls *
sl_probe_tls_share(struct sl_probe_tls *t)
{
	if (t)
		t->refs++;
	return t;
}

void
sl_probe_tls_drop(struct sl_probe_tls *t)
{
	if (!t || --t->refs)
		return;
	SSL_CTX_free(t->ctx);
	free(t->conf.trust);
	free(t->conf.sans);
	free(t->conf.alpn);
	free(t);
}

static bool
same_list(const void *a, size_t a_cnt, const void *b, size_t b_cnt, size_t size)
{
	return a_cnt == b_cnt && (a_cnt == 0 || memcmp(a, b, a_cnt * size) == 0);
}

bool
sl_probe_tls_same(const struct sl_probe_tls *a, const struct sl_probe_tls *b)
{
	if (!a || !b)
		return a == b;
	const struct sl_conf_tls *x = &a->conf, *y = &b->conf;
	return a->http == b->http && x->min_version == y->min_version &&
	       x->max_version == y->max_version && x->suites == y->suites &&
	       x->groups == y->groups && x->verify == y->verify && x->auto_sni == y->auto_sni &&
	       !strcmp(x->server_name, y->server_name) && !strcmp(x->certificate, y->certificate) &&
	       same_list(x->trust, x->trust_cnt, y->trust, y->trust_cnt, sizeof(*x->trust)) &&
	       same_list(x->sans, x->san_cnt, y->sans, y->san_cnt, sizeof(*x->sans)) &&
	       same_list(x->alpn, x->alpn_cnt, y->alpn, y->alpn_cnt, sizeof(*x->alpn));
}

/* ---- the endpoint's names ---- */

struct text {
	const char *data;
	size_t len;
};

static struct text
name_text(const GENERAL_NAME *n)
{
	if (n->type != GEN_DNS && n->type != GEN_URI && n->type != GEN_EMAIL)
		return (struct text){"", 0};
	return (struct text){(const char *)ASN1_STRING_get0_data(n->d.ia5),
			     (size_t)ASN1_STRING_length(n->d.ia5)};
}

/* Visible ASCII, and at most one URI where one is a SPIFFE id (X509-SVID 2). */
static bool
names_ok(const GENERAL_NAMES *names)
{
	unsigned uris = 0, spiffe = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		struct text t = name_text(n);
		if (n->type != GEN_DNS && n->type != GEN_URI && n->type != GEN_EMAIL)
			continue;
		for (size_t k = 0; k < t.len; k++)
			if (t.data[k] <= 0x20 || t.data[k] >= 0x7f)
				return false;
		if (t.len == 0)
			return false;
		uris += n->type == GEN_URI;
		spiffe += n->type == GEN_URI && t.len >= 7 && !strncasecmp(t.data, "spiffe:", 7);
	}
	return spiffe == 0 || uris == 1;
}

/* pattern: "…*" is a beginning. */
static bool
one_holds(const GENERAL_NAMES *names, const char *pattern)
{
	bool uri = strstr(pattern, "://");
	size_t n = strlen(pattern);
	bool open = n && pattern[n - 1] == '*';

	n -= open;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		struct text t = name_text(g);
		if (g->type != (uri ? GEN_URI : GEN_DNS) || (open ? t.len < n : t.len != n))
			continue;
		if (uri ? !memcmp(pattern, t.data, n) : !strncasecmp(pattern, t.data, n))
			return true;
	}
	return false;
}

static bool
host_holds(X509 *x, const char *host)
{
	unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

	return X509_check_ip_asc(x, host, 0) == 1 ||
	       X509_check_host(x, host, strlen(host), flags, NULL) == 1;
}

static bool
allowed(const struct sl_probe_tls *t, X509 *x, const GENERAL_NAMES *names, const char *host)
{
	if (t->conf.san_cnt == 0)
		return *host && host_holds(x, host);
	for (uint32_t i = 0; i < t->conf.san_cnt; i++)
		if (one_holds(names, t->conf.sans[i].san) || host_holds(x, t->conf.sans[i].san))
			return true;
	return false;
}

static int
verify(X509_STORE_CTX *ctx, void *arg)
{
	const struct sl_probe_tls *t = arg;
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *x = X509_STORE_CTX_get0_cert(ctx);
	int crit = 0;

	if (!t->conf.verify)
		return 1;
	if (X509_verify_cert(ctx) != 1)
		return 0;
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &crit, NULL);
	const struct talk *talk = SSL_get_app_data(ssl);
	bool sound = (names || crit == -1) && names_ok(names);
	bool ok = sound && allowed(t, x, names, talk ? talk->name : "");
	GENERAL_NAMES_free(names);
	if (!ok)
		X509_STORE_CTX_set_error(ctx, sound ? X509_V_ERR_HOSTNAME_MISMATCH
						    : X509_V_ERR_CERT_REJECTED);
	return ok;
}

/* ---- what is stored ---- */

static int
read_parts(const struct sl_probe_tls *t, uint32_t kind, const char *name, void **ret_secret,
	   size_t *ret_bytes, struct sl_secret_part parts[SL_SECRET_PARTS])
{
	const char *why;
	int err = t->from.read(t->from.ctx, kind, name, ret_secret, ret_bytes);

	if (err)
		return err;
	int n = sl_secret_parts(*ret_secret, *ret_bytes, kind, parts, &why);
	if (n <= 0)
		t->from.release(*ret_secret, *ret_bytes);
	return n > 0 ? n : -EBADMSG;
}

static bool
trust_one(const struct sl_probe_tls *t, X509_STORE *store, const char *name)
{
	static struct sl_secret_part parts[SL_SECRET_PARTS]; /* [loop] */
	void *secret;
	size_t bytes;
	int n = read_parts(t, SL_SECRET_TRUST, name, &secret, &bytes, parts);
	bool ok = n > 0;

	for (int i = 0; i < n && ok; i++) {
		const unsigned char *p = parts[i].data;
		X509 *x = d2i_X509(NULL, &p, (long)parts[i].len);
		ok = x && X509_STORE_add_cert(store, x) == 1;
		X509_free(x);
	}
	if (n > 0)
		t->from.release(secret, bytes);
	return ok;
}

/* Our certificate, its key and its chain, when the endpoint asks; they live as long as the handshake's SSL. */
static int
show_ours(SSL *ssl, void *arg)
{
	static struct sl_secret_part parts[SL_SECRET_PARTS]; /* [loop] */
	struct sl_probe_tls *t = arg;
	void *secret;
	size_t bytes;
	int n = read_parts(t, SL_SECRET_PAIR, t->conf.certificate, &secret, &bytes, parts);

	if (n < 2) {
		if (n > 0)
			t->from.release(secret, bytes);
		return 0;
	}
	const unsigned char *p = parts[0].data, *c = parts[1].data;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)parts[0].len);
	X509 *x = d2i_X509(NULL, &c, (long)parts[1].len);
	STACK_OF(X509) *chain = sk_X509_new_null();
	for (int i = 2; i < n && chain; i++) {
		const unsigned char *q = parts[i].data;
		X509 *ca = d2i_X509(NULL, &q, (long)parts[i].len);
		if (ca && !sk_X509_push(chain, ca))
			X509_free(ca);
	}
	t->from.release(secret, bytes);
	int ok = key && x && chain && SSL_use_cert_and_key(ssl, x, key, chain, 1) == 1;
	EVP_PKEY_free(key);
	X509_free(x);
	sk_X509_pop_free(chain, X509_free);
	return ok;
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

static bool
alpn_set(SSL_CTX *ctx, const struct sl_probe_tls *t)
{
	static const uint8_t http[] = "\x8http/1.1";
	uint8_t wire[SL_TLS_ALPNS * SL_ALPN_MAX];
	unsigned len = 0;

	if (!t->conf.alpn_given && t->http)
		return SSL_CTX_set_alpn_protos(ctx, http, sizeof(http) - 1) == 0;
	for (unsigned i = 0; i < t->conf.alpn_cnt && i < SL_TLS_ALPNS; i++) {
		size_t n = strnlen(t->conf.alpn[i].protocol, SL_ALPN_MAX - 1);
		wire[len] = (uint8_t)n;
		memcpy(wire + len + 1, t->conf.alpn[i].protocol, n);
		len += 1 + (unsigned)n;
	}
	return len == 0 || SSL_CTX_set_alpn_protos(ctx, wire, len) == 0;
}

static int
version_of(unsigned version)
{
	return version == SL_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static bool
ctx_settings(SSL_CTX *ctx, struct sl_probe_tls *t)
{
	const struct sl_conf_tls *c = &t->conf;

	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_TICKET | SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_clear_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT |
					   SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS |
				      SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY); /* see sl_probe_tls_recv */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(ctx, c->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, verify, t);
	if (c->certificate[0])
		SSL_CTX_set_cert_cb(ctx, show_ours, t);
	X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ctx);
	/* what is in a bundle is trusted, root or not */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
	X509_VERIFY_PARAM_set_depth(param, DEPTH);
	return SSL_CTX_set_min_proto_version(ctx, version_of(c->min_version)) == 1 &&
	       SSL_CTX_set_max_proto_version(ctx, version_of(c->max_version)) == 1 &&
	       suites_set(ctx, c->suites) && groups_set(ctx, c->groups) && alpn_set(ctx, t);
}

static SSL_CTX *
ctx_make(struct sl_probe_tls *t, char text[SL_PROBE_TLS_TEXT])
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	snprintf(text, SL_PROBE_TLS_TEXT, "not probed: TLS cannot be set up");
	bool ok = ctx && ctx_settings(ctx, t);
	for (uint32_t i = 0; ok && t->conf.verify && i < t->conf.trust_cnt; i++) {
		ok = trust_one(t, SSL_CTX_get_cert_store(ctx), t->conf.trust[i].name);
		if (!ok)
			snprintf(text, SL_PROBE_TLS_TEXT,
				 "not probed: the bundle %s cannot be read", t->conf.trust[i].name);
	}
	ERR_clear_error();
	if (ok)
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

/* ---- a probe ---- */

static bool
is_address(const char *host)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);

	ERR_clear_error();
	ASN1_OCTET_STRING_free(ip);
	return ip;
}

/* The server's name: of the settings, or the request's host without its port. */
static void
name_take(const struct sl_probe_tls *t, const char *host, char ret_name[SL_HOST_MAX])
{
	const char *from = t->conf.auto_sni && *host ? host : t->conf.server_name;
	size_t n = from == host && host[0] != '[' ? strcspn(host, ":") : strlen(from);

	n = SL_MIN(n, (size_t)SL_HOST_MAX - 1);
	if (n && from[n - 1] == '.')
		n--;
	for (size_t i = 0; i < n; i++)
		ret_name[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] | 0x20 : from[i]);
	ret_name[n] = 0;
}

void *
sl_probe_tls_begin(struct sl_probe_tls *t, int fd, const char *host, char text[SL_PROBE_TLS_TEXT])
{
	uint64_t version = t->from.version(t->from.ctx);

	if (t->ctx && t->version != version) {
		SSL_CTX_free(t->ctx);
		t->ctx = NULL;
	}
	if (!t->ctx && !(t->ctx = ctx_make(t, text)))
		return NULL;
	t->version = version;
	SSL *ssl = SSL_new(t->ctx);
	struct talk *talk = ssl ? calloc(1, sizeof(*talk)) : NULL;
	if (talk) {
		SSL_set_app_data(ssl, talk);
		name_take(t, host, talk->name);
	}
	if (talk && SSL_set_fd(ssl, fd) == 1 &&
	    (!talk->name[0] || is_address(talk->name) ||
	     SSL_set_tlsext_host_name(ssl, talk->name) == 1)) {
		SSL_set_connect_state(ssl);
		return ssl;
	}
	sl_probe_tls_end(ssl);
	snprintf(text, SL_PROBE_TLS_TEXT, "not probed: no memory for TLS");
	return NULL;
}

void
sl_probe_tls_end(void *ssl)
{
	if (!ssl)
		return;
	free(SSL_get_app_data(ssl));
	SSL_free(ssl);
	ERR_clear_error();
}

const char *
sl_probe_tls_version(void *ssl)
{
	return SSL_version(ssl) == TLS1_3_VERSION ? "1.3" : "1.2";
}

/* Why it broke: the certificate that was refused, what the peer or OpenSSL says, or the socket. */
static void
why_broken(SSL *ssl, const char *when, char text[SL_PROBE_TLS_TEXT])
{
	long verified = SSL_get_verify_result(ssl);
	unsigned long e = ERR_peek_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;

	if (verified == X509_V_ERR_HOSTNAME_MISMATCH)
		snprintf(text, SL_PROBE_TLS_TEXT,
			 "TLS: the certificate has none of the names that are wanted");
	else if (verified != X509_V_OK)
		snprintf(text, SL_PROBE_TLS_TEXT, "TLS: the certificate does not verify: %s",
			 X509_verify_cert_error_string(verified));
	else if (reason)
		snprintf(text, SL_PROBE_TLS_TEXT, "TLS: %s", reason);
	else
		snprintf(text, SL_PROBE_TLS_TEXT, "TLS: connection closed %s", when);
}

/* What SSL_… returned: > 0, 0: the end, -1: wait, -2: broken. */
static ssize_t
outcome(SSL *ssl, int n, const char *when, char text[SL_PROBE_TLS_TEXT])
{
	int is = n > 0 ? SSL_ERROR_NONE : SSL_get_error(ssl, n);

	if (is == SSL_ERROR_NONE)
		return n;
	if (is == SSL_ERROR_WANT_READ || is == SSL_ERROR_WANT_WRITE)
		return -1;
	if (is == SSL_ERROR_ZERO_RETURN)
		return 0;
	why_broken(ssl, when, text);
	return -2;
}

int
sl_probe_tls_handshake(void *ssl, char text[SL_PROBE_TLS_TEXT])
{
	ERR_clear_error();
	ssize_t r = outcome(ssl, SSL_do_handshake(ssl), "in the handshake", text);

	if (r == 0)
		snprintf(text, SL_PROBE_TLS_TEXT, "TLS: connection closed in the handshake");
	return r > 0 ? 1 : r == -1 ? 0 : -1;
}

ssize_t
sl_probe_tls_send(void *ssl, const void *data, size_t len, char text[SL_PROBE_TLS_TEXT])
{
	ERR_clear_error();
	ssize_t r = outcome(ssl, SSL_write(ssl, data, (int)SL_MIN(len, 16384u)),
			    "before the request", text);

	if (r == 0)
		snprintf(text, SL_PROBE_TLS_TEXT, "TLS: connection closed before the request");
	return r ? r : -2;
}

/* Whether more can be read at once: in what OpenSSL holds, or in the socket. */
static bool
more(SSL *ssl)
{
	char c;

	return SSL_has_pending(ssl) || recv(SSL_get_fd(ssl), &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
}

/* Tickets, updates of keys and their like come back as WANT_READ, one by one: an endpoint that sends nothing else must not have the
 * loop for itself. */
ssize_t
sl_probe_tls_recv(void *ssl, void *buf, size_t size, char text[SL_PROBE_TLS_TEXT])
{
	struct talk *talk = SSL_get_app_data(ssl);

	for (;;) {
		ERR_clear_error();
		ssize_t r = outcome(ssl, SSL_read(ssl, buf, (int)size), "before the answer", text);
		if (r != -1 || !more(ssl))
			return r;
		if (++talk->asides > ASIDES)
			break;
	}
	snprintf(text, SL_PROBE_TLS_TEXT, "TLS: messages without end, and no answer");
	return -2;
}
