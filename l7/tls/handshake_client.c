/* Handshakes with endpoints: what is asked for, and whether what came is that.
 *
 * The key of kept sessions is the hash of (policy, endpoint, server name); the policy has all that the service says of TLS, its bundle
 * and its certificate in it. */
#include "l7/tls/handshake_priv.h"

#include <openssl/x509v3.h>

/* The names as they are sent: each behind its length. */
static bool
alpn_set(SSL_CTX *ctx, const struct sl_book_service *s)
{
	uint8_t wire[SL_TLS_ALPNS * SL_ALPN_MAX];
	unsigned len = 0;

	for (unsigned i = 0; i < s->img.alpn_cnt && i < SL_TLS_ALPNS; i++) {
		size_t n = strnlen(s->img.alpn[i].protocol, SL_ALPN_MAX - 1);
		wire[len] = (uint8_t)n;
		memcpy(wire + len + 1, s->img.alpn[i].protocol, n);
		len += 1 + (unsigned)n;
	}
	return len == 0 || SSL_CTX_set_alpn_protos(ctx, wire, len) == 0;
}

/* A session of an endpoint, while the handshake ends (1.2) or later (1.3). */
static int
on_session(SSL *ssl, SSL_SESSION *s)
{
	struct sl_hs *hs = SSL_get_app_data(ssl);

	if (!hs || !hs->job || !hs->service->img.resume || !hs_sessions_put(hs->e, hs->key, s))
		return 0;
	if (hs->job->tickets < UINT8_MAX)
		hs->job->tickets++;
	return 1;
}

bool
hs_client_ctx(SSL_CTX *ctx, const struct sl_book_service *s)
{
	SSL_CTX_set_verify(ctx, s->img.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (s->img.resume) {
		SSL_CTX_set_session_cache_mode(ctx,
					       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		SSL_CTX_sess_set_new_cb(ctx, on_session);
	} else {
		SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	}
	return alpn_set(ctx, s);
}

/* Lower case, without the dot at its end. */
static void
host_copy(char ret[SL_HOST_MAX], const char *from)
{
	size_t n = strnlen(from, SL_HOST_MAX - 1);

	for (size_t i = 0; i < n; i++)
		ret[i] = (char)(from[i] >= 'A' && from[i] <= 'Z' ? from[i] | 0x20 : from[i]);
	if (n && ret[n - 1] == '.')
		n--;
	ret[n] = 0;
}

/* RFC 6066, 3: addresses are no server names. */
static bool
is_address(const char *host)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(host);

	ASN1_OCTET_STRING_free(ip);
	return ip;
}

static bool
session_offer(struct sl_hs *hs, const struct sl_hs_job *job)
{
	struct {
		uint8_t policy[32];
		uint32_t endpoint;
	} part;

	if (!hs->service->img.resume)
		return true;
	memcpy(part.policy, hs->service->policy, sizeof(part.policy));
	part.endpoint = job->endpoint_slot;
	if (!hs_hash(hs->e, &part, sizeof(part), hs->host, strlen(hs->host), hs->key))
		return false;
	SSL_SESSION *s = hs_sessions_take(hs->e, hs->key, hs->now_s);
	bool ok = !s || SSL_set_session(hs->ssl, s) == 1;
	SSL_SESSION_free(s);
	return ok;
}

bool
hs_client_begin(struct sl_hs *hs, const struct sl_hs_job *job)
{
	const struct sl_img_tls_service *img = &hs->service->img;

	host_copy(hs->host, img->auto_sni && job->host[0] ? job->host : img->server_name);
	SSL_set_connect_state(hs->ssl);
	if (hs->host[0] && !is_address(hs->host) &&
	    SSL_set_tlsext_host_name(hs->ssl, hs->host) != 1)
		return false;
	return session_offer(hs, job);
}

/* An endpoint may choose none of the protocols offered; what it chooses was one of them. */
bool
hs_client_done(struct sl_hs *hs)
{
	const struct sl_img_tls_service *img = &hs->service->img;
	const uint8_t *alpn;
	unsigned len;

	SSL_get0_alpn_selected(hs->ssl, &alpn, &len);
	if (len == 0)
		return true;
	for (unsigned i = 0; i < img->alpn_cnt; i++)
		if (strlen(img->alpn[i].protocol) == len &&
		    !memcmp(img->alpn[i].protocol, alpn, len))
			return true;
	hs->fail = SL_TLS_CNT_FAIL_ALPN;
	return false;
}
