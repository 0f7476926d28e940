/* Who the peer is.
 *
 * A certificate that verifies is not enough: its names must be such that nobody can read them otherwise than the issuer wrote them
 * (RFC 5280, 4.2.1.6; a NUL in a name is an old trick), a SPIFFE ID stands alone and is well-formed (SPIFFE-ID 2; X509-SVID 2), and one of
 * them must be allowed, where names are. */
#include "l7/tls/handshake_priv.h"

#include <openssl/x509v3.h>

#define URI_MAX 2048 /* bytes of a SPIFFE ID (SPIFFE-ID, 2.3) */
#define SUBJECT_MAX 1024
#define CN_MAX 255

/* ---- dates ---- */

bool
hs_peer_dates(const X509 *x, int64_t now_s)
{
	int from = ASN1_TIME_cmp_time_t(X509_get0_notBefore(x), (time_t)now_s);
	int until = ASN1_TIME_cmp_time_t(X509_get0_notAfter(x), (time_t)now_s);

	/* -2: no date */
	return (from == -1 || from == 0) && (until == 0 || until == 1);
}

static int64_t
seconds_of(const ASN1_TIME *t)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days = 0, seconds = 0;
	bool ok = epoch && ASN1_TIME_diff(&days, &seconds, epoch, t) == 1;

	ASN1_TIME_free(epoch);
	return ok ? (int64_t)days * 86400 + seconds : 0;
}

/* ---- names ---- */

struct text {
	const char *data;
	uint32_t len;
};

static struct text
text_of(const ASN1_IA5STRING *s)
{
	return (struct text){(const char *)ASN1_STRING_get0_data(s),
			     (uint32_t)ASN1_STRING_length(s)};
}

/* Visible ASCII: no NUL, no control characters, no blanks. */
static bool
visible(struct text t)
{
	for (uint32_t i = 0; i < t.len; i++)
		if (t.data[i] <= 0x20 || t.data[i] >= 0x7f)
			return false;
	return t.len > 0;
}

static bool
begins(struct text t, const char *with)
{
	size_t n = strlen(with);

	return t.len >= n && !strncasecmp(t.data, with, n);
}

static bool
is_spiffe(struct text t)
{
	return begins(t, "spiffe:");
}

static bool
name_byte(char c, bool upper)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
	       c == '_' || (upper && c >= 'A' && c <= 'Z');
}

/* spiffe://trust-domain/segment/…: no segment is empty, "." or "..", so that what begins alike is of the same place. */
static bool
spiffe_ok(struct text t)
{
	const char *p = t.data + 9, *end = t.data + t.len;

	if (t.len <= 9 || t.len > URI_MAX || memcmp(t.data, "spiffe://", 9))
		return false;
	for (bool first = true; p <= end; first = false) {
		const char *from = p;
		while (p < end && *p != '/')
			if (!name_byte(*p++, !first))
				return false;
		size_t n = (size_t)(p - from);
		if (n == 0 || (!first && (n == 1 || n == 2) && !memcmp(from, "..", n)))
			return false;
		p++;
	}
	return true;
}

static struct text
name_text(const GENERAL_NAME *n)
{
	return n->type == GEN_DNS || n->type == GEN_URI || n->type == GEN_EMAIL ? text_of(n->d.ia5)
										: (struct text){0};
}

static bool
names_ok(const GENERAL_NAMES *names)
{
	unsigned uris = 0, spiffe = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type != GEN_DNS && n->type != GEN_URI && n->type != GEN_EMAIL)
			continue;
		struct text t = name_text(n);
		if (!visible(t))
			return false;
		uris += n->type == GEN_URI;
		if (n->type == GEN_URI && is_spiffe(t)) {
			spiffe++;
			if (!spiffe_ok(t))
				return false;
		}
	}
	return spiffe == 0 || uris == 1;
}

/* ---- what is allowed ---- */

/* One name of the certificate, "…*" as a beginning. */
static bool
pattern_holds(const char *pattern, struct text t, bool uri)
{
	size_t n = strlen(pattern);
	bool open = n && pattern[n - 1] == '*';

	if (open)
		n--;
	if (open ? t.len < n : t.len != n)
		return false;
	return uri ? !memcmp(pattern, t.data, n) : !strncasecmp(pattern, t.data, n);
}

static bool
one_holds(const GENERAL_NAMES *names, const char *pattern)
{
	int type = strstr(pattern, "://") ? GEN_URI : GEN_DNS;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == type && pattern_holds(pattern, name_text(n), type == GEN_URI))
			return true;
	}
	return false;
}

/* An endpoint's host name: its certificate may be of a wildcard; the common name says nothing (RFC 6125, 6.4.4). */
static bool
host_holds(X509 *x, const char *host)
{
	unsigned flags = X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT;

	return X509_check_ip_asc(x, host, 0) == 1 ||
	       X509_check_host(x, host, strlen(host), flags, NULL) == 1;
}

static bool
client_allowed(const struct sl_book_listener *l, const GENERAL_NAMES *names)
{
	for (uint32_t i = 0; i < l->san_cnt; i++)
		if (one_holds(names, l->sans[i]))
			return true;
	return l->san_cnt == 0;
}

static bool
endpoint_allowed(const struct sl_hs *hs, X509 *x, const GENERAL_NAMES *names)
{
	const struct sl_book_service *s = hs->service;

	if (s->img.san_cnt == 0)
		return hs->host[0] && host_holds(x, hs->host);
	for (uint32_t i = 0; i < s->img.san_cnt; i++)
		if (one_holds(names, s->sans[i]) || host_holds(x, s->sans[i]))
			return true;
	return false;
}

uint32_t
hs_peer_check(const struct sl_hs *hs, X509 *x)
{
	int crit = 0;
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, &crit, NULL);
	uint32_t fail = 0;

	/* -1: there are none; -2: more than one extension; 0, 1: it is there, and must have been read */
	if ((!names && crit != -1) || !names_ok(names))
		fail = SL_TLS_CNT_FAIL_CERT;
	else if (hs->listener ? !client_allowed(hs->listener, names)
			      : !endpoint_allowed(hs, x, names))
		fail = SL_TLS_CNT_FAIL_NAME;
	GENERAL_NAMES_free(names);
	return fail;
}

/* ---- verification ---- */

uint32_t
hs_peer_fail(int x509_error)
{
	switch (x509_error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return SL_TLS_CNT_FAIL_EXPIRED;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return SL_TLS_CNT_FAIL_ISSUER;
	case X509_V_ERR_INVALID_PURPOSE:
		return SL_TLS_CNT_FAIL_USAGE;
	case X509_V_ERR_HOSTNAME_MISMATCH:
		return SL_TLS_CNT_FAIL_NAME;
	case X509_V_ERR_OUT_OF_MEM:
		return SL_TLS_CNT_FAIL_INTERNAL;
	default:
		return SL_TLS_CNT_FAIL_CERT;
	}
}

int
hs_verify(X509_STORE_CTX *ctx, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct sl_hs *hs = SSL_get_app_data(ssl);

	(void)arg;
	if (!hs)
		return 0;
	if (hs->service && !hs->service->img.verify)
		return 1;
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)hs->now_s);
	if (X509_verify_cert(ctx) != 1) {
		hs->fail = hs_peer_fail(X509_STORE_CTX_get_error(ctx));
		return 0;
	}
	hs->fail = hs_peer_check(hs, X509_STORE_CTX_get0_cert(ctx));
	if (hs->fail == SL_TLS_CNT_FAIL_NAME)
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_HOSTNAME_MISMATCH);
	else if (hs->fail) /* bad_certificate */
		X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
	return hs->fail == 0;
}

/* ---- telling ---- */

struct teller {
	struct sl_tls_peer *peer;
	uint32_t left; /* of text[] */
	char *at;
};

/* All of t, or nothing. */
static uint16_t
tell(struct teller *w, struct text t, uint32_t max)
{
	if (t.len > SL_MIN(max, w->left))
		return 0;
	if (t.len)
		memcpy(w->at, t.data, t.len);
	w->at += t.len;
	w->left -= t.len;
	return (uint16_t)t.len;
}

static struct text
first_uri(const GENERAL_NAMES *names)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_URI)
			return visible(name_text(n)) ? name_text(n) : (struct text){0};
	}
	return (struct text){0};
}

/* With a ',' between two; a name that has one itself, or no sense, makes it nothing. */
static uint16_t
tell_dns(struct teller *w, const GENERAL_NAMES *names, uint32_t keep)
{
	char *from = w->at;
	uint32_t left = w->left > keep ? w->left - keep : 0, room = left;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		struct text t = name_text(n);
		if (n->type != GEN_DNS)
			continue;
		if (!visible(t) || memchr(t.data, ',', t.len) || t.len + 1 > left) {
			w->at = from;
			return 0;
		}
		if (w->at != from)
			*w->at++ = ',';
		memcpy(w->at, t.data, t.len);
		w->at += t.len;
		left = room - (uint32_t)(w->at - from);
	}
	w->left -= (uint32_t)(w->at - from);
	return (uint16_t)(w->at - from);
}

static uint16_t
tell_subject(struct teller *w, const X509 *x)
{
	BIO *b = BIO_new(BIO_s_mem());
	struct text t = {0};
	char *data;

	/* RFC 2253 with control characters and what is no ASCII escaped */
	if (b && X509_NAME_print_ex(b, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) >= 0) {
		long n = BIO_get_mem_data(b, &data);
		t = (struct text){data, n > 0 && n <= SUBJECT_MAX ? (uint32_t)n : 0};
	}
	uint16_t len = tell(w, t, SUBJECT_MAX);
	BIO_free(b);
	return len;
}

/* The last common name, in UTF-8; one with control characters is none. */
static uint16_t
tell_cn(struct teller *w, const X509 *x)
{
	const X509_NAME *name = X509_get_subject_name(x);
	uint8_t *utf8 = NULL;
	int at = -1, n = 0;

	for (int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1); i >= 0;
	     i = X509_NAME_get_index_by_NID(name, NID_commonName, i))
		at = i;
	if (at >= 0)
		n = ASN1_STRING_to_UTF8(&utf8,
					X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	for (int i = 0; i < n; i++)
		if (utf8[i] < 0x20 || utf8[i] == 0x7f)
			n = 0;
	uint16_t len = tell(w, (struct text){(char *)utf8, n > 0 ? (uint32_t)n : 0}, CN_MAX);
	OPENSSL_free(utf8);
	return len;
}

static void
tell_cert(struct teller *w, X509 *x, const char *sni)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	struct sl_tls_peer *p = w->peer;
	struct text host = {sni, (uint32_t)strlen(sni)};

	p->not_after = seconds_of(X509_get0_notAfter(x));
	p->uri_len = tell(w, first_uri(names), URI_MAX);
	p->subject_len = tell_subject(w, x);
	p->dns_len = tell_dns(w, names, CN_MAX + host.len);
	p->sni_len = tell(w, host, SL_HOST_MAX);
	p->cn_len = tell_cn(w, x);
	GENERAL_NAMES_free(names);
}

uint16_t
hs_peer_tell(const struct sl_hs *hs, uint8_t ret[SL_PEER_MAX])
{
	X509 *x = SSL_get0_peer_certificate(hs->ssl);
	const char *sni = hs->listener ? hs->host : "";
	struct sl_tls_peer peer = {0};
	struct teller w = {&peer, SL_PEER_MAX - sizeof(peer), (char *)ret + sizeof(peer)};

	if (!x && !*sni)
		return 0;
	if (x && X509_digest(x, hs->e->sha256, peer.hash, NULL) != 1)
		memset(peer.hash, 0, sizeof(peer.hash));
	if (x)
		tell_cert(&w, x, sni);
	else
		peer.sni_len = tell(&w, (struct text){sni, (uint32_t)strlen(sni)}, SL_HOST_MAX);
	if (x)
		peer.verified = hs->listener ? hs->listener->img.client != SL_TLS_CLIENT_NONE
					     : hs->service->img.verify != 0;
	peer.bytes = (uint16_t)((uint8_t *)w.at - ret);
	memcpy(ret, &peer, sizeof(peer));
	return peer.bytes;
}
