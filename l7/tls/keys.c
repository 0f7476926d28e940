#include "l7/tls/keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>

struct sl_keys {
	EVP_KDF_CTX *expand; /* HKDF-Expand-Label, RFC 8446 7.1 */
	EVP_KDF_CTX *prf;    /* P_hash, RFC 5246 5 */
};

static EVP_KDF_CTX *
fetch(OSSL_LIB_CTX *libctx, const char *name)
{
	EVP_KDF *kdf = EVP_KDF_fetch(libctx, name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;

	EVP_KDF_free(kdf);
	return ctx;
}

struct sl_keys *
sl_keys_create(void *libctx)
{
	struct sl_keys *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->expand = fetch(libctx, OSSL_KDF_NAME_TLS1_3_KDF);
	k->prf = fetch(libctx, OSSL_KDF_NAME_TLS1_PRF);
	if (k->expand && k->prf)
		return k;
	sl_keys_destroy(k);
	return NULL;
}

void
sl_keys_destroy(struct sl_keys *k)
{
	if (!k)
		return;
	EVP_KDF_CTX_free(k->expand);
	EVP_KDF_CTX_free(k->prf);
	free(k);
}

uint32_t
sl_suite_key_len(unsigned suite)
{
	return suite == SL_SUITE_AES128_GCM ? 16 : 32;
}

uint32_t
sl_suite_hash_len(unsigned suite)
{
	return suite == SL_SUITE_AES256_GCM ? 48 : 32;
}

/* OpenSSL takes parameters that are not const. */
static OSSL_PARAM
text(const char *key, const char *value)
{
	return OSSL_PARAM_construct_utf8_string(key, (char *)(uintptr_t)value, 0);
}

static OSSL_PARAM
bytes(const char *key, const void *value, size_t len)
{
	return OSSL_PARAM_construct_octet_string(key, (void *)(uintptr_t)value, len);
}

static OSSL_PARAM
digest(unsigned suite)
{
	return text(OSSL_KDF_PARAM_DIGEST,
		    sl_suite_hash_len(suite) == 48 ? "SHA2-384" : "SHA2-256");
}

/* The context keeps nothing of it: reset cleanses. */
static bool
derive(EVP_KDF_CTX *ctx, const OSSL_PARAM *params, uint8_t *ret, size_t len)
{
	bool ok = EVP_KDF_derive(ctx, ret, len, params) == 1;

	EVP_KDF_CTX_reset(ctx);
	if (!ok)
		OPENSSL_cleanse(ret, len);
	return ok;
}

static bool
expand_label(struct sl_keys *k, unsigned suite, const uint8_t *secret, const char *label,
	     uint8_t *ret, uint32_t len)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		digest(suite),
		bytes(OSSL_KDF_PARAM_KEY, secret, sl_suite_hash_len(suite)),
		bytes(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
		bytes(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
		OSSL_PARAM_construct_end(),
	};

	return derive(k->expand, params, ret, len);
}

bool
sl_keys_expand(struct sl_keys *k, unsigned suite, const uint8_t *secret, uint8_t ret_key[32],
	       uint8_t ret_iv[12])
{
	return expand_label(k, suite, secret, "key", ret_key, sl_suite_key_len(suite)) &&
	       expand_label(k, suite, secret, "iv", ret_iv, 12);
}

bool
sl_keys_next(struct sl_keys *k, unsigned suite, uint8_t *secret)
{
	uint8_t next[SL_SECRET_LEN_MAX];
	uint32_t len = sl_suite_hash_len(suite);
	bool ok = expand_label(k, suite, secret, "traffic upd", next, len);

	if (ok)
		memcpy(secret, next, len);
	OPENSSL_cleanse(next, sizeof(next));
	return ok;
}

/* client key, server key, client iv, server iv: AEAD has no MAC keys (RFC 5246 6.3). */
static void
cut_block(const uint8_t *block, uint32_t key_len, uint32_t iv_len, uint8_t *client_key,
	  uint8_t *client_iv, uint8_t *server_key, uint8_t *server_iv)
{
	memcpy(client_key, block, key_len);
	memcpy(server_key, block + key_len, key_len);
	memcpy(client_iv, block + 2 * key_len, iv_len);
	memcpy(server_iv, block + 2 * key_len + iv_len, iv_len);
}

bool
sl_keys_expand_12(struct sl_keys *k, unsigned suite, const uint8_t master[48],
		  const uint8_t client_random[32], const uint8_t server_random[32],
		  uint8_t ret_client_key[32], uint8_t ret_client_iv[12], uint8_t ret_server_key[32],
		  uint8_t ret_server_iv[12])
{
	uint32_t key_len = sl_suite_key_len(suite), iv_len = suite == SL_SUITE_CHACHA20 ? 12 : 4;
	uint8_t block[2 * (32 + 12)];
	const OSSL_PARAM params[] = {
		digest(suite),
		bytes(OSSL_KDF_PARAM_SECRET, master, 48),
		bytes(OSSL_KDF_PARAM_SEED, "key expansion", 13),
		bytes(OSSL_KDF_PARAM_SEED, server_random, 32),
		bytes(OSSL_KDF_PARAM_SEED, client_random, 32),
		OSSL_PARAM_construct_end(),
	};
	bool ok = derive(k->prf, params, block, 2 * (key_len + iv_len));

	if (ok)
		cut_block(block, key_len, iv_len, ret_client_key, ret_client_iv, ret_server_key,
			  ret_server_iv);
	OPENSSL_cleanse(block, sizeof(block));
	return ok;
}
