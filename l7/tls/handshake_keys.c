/* The end of a handshake: from OpenSSL's secrets to the keys and sequence numbers of the session's records.
 *
 *   1.3  key log lines "CLIENT_TRAFFIC_SECRET_0 random secret", "SERVER_…", in hex ─▶ HKDF-Expand-Label
 *        written under the new key already: the server's tickets, counted as records that follow the client's secret; all else is 0
 *   1.2  the session's master secret, both randoms ─▶ key expansion; Finished was record 0 in both directions */
#include "l7/tls/handshake_priv.h"

/* ---- key log ---- */

static int
nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes, 0 when it is no hex or too long. */
static uint8_t
unhex(const char *hex, uint8_t ret[SL_SECRET_LEN_MAX])
{
	size_t n = strlen(hex);

	if (n % 2 || n / 2 > SL_SECRET_LEN_MAX)
		return 0;
	for (size_t i = 0; i < n; i += 2) {
		int hi = nibble(hex[i]), lo = nibble(hex[i + 1]);
		if (hi < 0 || lo < 0)
			return 0;
		ret[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return (uint8_t)(n / 2);
}

/* The secret of a line that begins with `label` and a blank, behind the random; NULL: another line. */
static const char *
line_secret(const char *line, const char *label)
{
	size_t n = strlen(label);
	const char *random = !strncmp(line, label, n) && line[n] == ' ' ? line + n + 1 : NULL;
	const char *blank = random ? strchr(random, ' ') : NULL;

	return blank ? blank + 1 : NULL;
}

void
hs_keys_line(const SSL *ssl, const char *line)
{
	struct sl_hs *hs = SSL_get_app_data(ssl);
	const char *hex;

	if (!hs)
		return;
#ifndef NDEBUG
	if (hs->e->conf.key_log && hs->e->conf.key_log_fn)
		hs->e->conf.key_log_fn(hs->e->conf.key_log_ctx, line);
#endif
	if ((hex = line_secret(line, "CLIENT_TRAFFIC_SECRET_0"))) {
		hs->secrets.client_len = unhex(hex, hs->secrets.client);
		/* a server sees the client's Finished now: what it writes from here on is under its own new key */
		hs->count.on = hs->listener != NULL;
	} else if ((hex = line_secret(line, "SERVER_TRAFFIC_SECRET_0"))) {
		hs->secrets.server_len = unhex(hex, hs->secrets.server);
	}
}

/* ---- records that were written ---- */

void
hs_count(struct hs_count *c, const uint8_t *bytes, uint32_t n)
{
	while (n) {
		if (c->left) {
			uint32_t skip = SL_MIN(n, c->left);
			c->left -= skip;
			bytes += skip;
			n -= skip;
			continue;
		}
		c->head[c->head_len++] = *bytes++;
		n--;
		if (c->head_len == sizeof(c->head)) {
			c->left = (uint32_t)c->head[3] << 8 | c->head[4];
			c->head_len = 0;
			c->records++;
		}
	}
}

/* ---- keys ---- */

/* What the record layer calls it; NONE: it has not. */
static unsigned
suite_of(const SSL *ssl)
{
	switch (SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl))) {
	case 0x1301: /* TLS_AES_128_GCM_SHA256 */
	case 0xc02b: /* TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 */
	case 0xc02f: /* TLS_ECDHE_RSA_WITH_… */
		return SL_SUITE_AES128_GCM;
	case 0x1302:
	case 0xc02c:
	case 0xc030:
		return SL_SUITE_AES256_GCM;
	case 0x1303:
	case 0xcca9:
	case 0xcca8:
		return SL_SUITE_CHACHA20;
	default:
		return SL_SUITE_NONE;
	}
}

static bool
secret_set(struct sl_hs *hs, unsigned suite, const uint8_t *secret, uint32_t len,
	   struct sl_hs_secret *ret)
{
	if (len != sl_suite_hash_len(suite))
		return false;
	memcpy(ret->secret, secret, len);
	return sl_keys_expand(hs->e->keys, suite, secret, ret->key, ret->iv);
}

static bool
keys_13(struct sl_hs *hs, struct sl_hs_done *done)
{
	struct sl_hs_secret *client = hs->listener ? &done->read : &done->write;
	struct sl_hs_secret *server = hs->listener ? &done->write : &done->read;

	done->write.seq = hs->count.records;
	return secret_set(hs, done->suite, hs->secrets.client, hs->secrets.client_len, client) &&
	       secret_set(hs, done->suite, hs->secrets.server, hs->secrets.server_len, server);
}

static bool
keys_12(struct sl_hs *hs, struct sl_hs_done *done)
{
	struct sl_hs_secret *client = hs->listener ? &done->read : &done->write;
	struct sl_hs_secret *server = hs->listener ? &done->write : &done->read;
	uint8_t master[48], client_random[32], server_random[32];

	bool ok = SSL_SESSION_get_master_key(SSL_get_session(hs->ssl), master, 48) == 48 &&
		  SSL_get_client_random(hs->ssl, client_random, 32) == 32 &&
		  SSL_get_server_random(hs->ssl, server_random, 32) == 32 &&
		  sl_keys_expand_12(hs->e->keys, done->suite, master, client_random, server_random,
				    client->key, client->iv, server->key, server->iv);
	OPENSSL_cleanse(master, sizeof(master));
	done->read.seq = done->write.seq = 1;
	return ok;
}

static void
alpn_tell(const struct sl_hs *hs, char ret[SL_ALPN_MAX])
{
	const uint8_t *alpn;
	unsigned len;

	SSL_get0_alpn_selected(hs->ssl, &alpn, &len);
	if (len && len < SL_ALPN_MAX)
		memcpy(ret, alpn, len);
}

/* The SSL becomes the worker's: nothing of it leads back to the engine. */
static bool
hand_over(struct sl_hs *hs, struct sl_hs_done *done)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	if (!in || !out) {
		BIO_free(in);
		BIO_free(out);
		return false;
	}
	BIO_set_mem_eof_return(in, -1);
	SSL_set_bio(hs->ssl, in, out);
	SSL_set_app_data(hs->ssl, NULL);
	SSL_set_info_callback(hs->ssl, NULL);
	done->ssl = hs->ssl;
	done->suite = SL_SUITE_NONE;
	return true;
}

bool
hs_keys_end(struct sl_hs *hs, struct sl_hs_done *done)
{
	bool is_13 = SSL_version(hs->ssl) == TLS1_3_VERSION;

	done->version = is_13 ? SL_TLS_1_3 : SL_TLS_1_2;
	done->suite = (uint8_t)suite_of(hs->ssl);
	done->resumed = SSL_session_reused(hs->ssl) == 1;
	alpn_tell(hs, done->alpn);
	if (hs->e->conf.fallback || done->suite == SL_SUITE_NONE)
		return hand_over(hs, done);
	done->keep = is_13 && hs->service && hs->service->img.resume;
	if (is_13 ? keys_13(hs, done) : keys_12(hs, done))
		return true;
	hs->fail = SL_TLS_CNT_FAIL_INTERNAL;
	OPENSSL_cleanse(done, sizeof(*done));
	*done = (struct sl_hs_done){0};
	return false;
}
