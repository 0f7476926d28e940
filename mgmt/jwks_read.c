#include "mgmt/jwks_read.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l7/jwt_keys.h"
#include "mgmt/conf_value.h"

/* ---- sets ---- */

struct sl_jwks_set *
sl_jwks_set_ref(struct sl_jwks_set *s)
{
	if (s)
		__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void
sl_jwks_set_unref(struct sl_jwks_set *s)
{
	/* release: what was read of it is over; acquire: by all others, before it goes */
	if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(s);
}

bool
sl_jwks_set_same(const struct sl_jwks_set *a, const struct sl_jwks_set *b)
{
	return a->cnt == b->cnt && memcmp(a->key, b->key, a->cnt * sizeof(a->key[0])) == 0;
}

void
sl_jwks_lend(struct sl_jwks_set *s, struct sl_conf_jwt *j)
{
	j->keys = s ? sl_jwks_set_ref(s)->key : NULL;
	j->key_cnt = s ? s->cnt : 0;
}

void
sl_jwks_give_back(struct sl_conf_jwt *j)
{
	if (j->keys)
		sl_jwks_set_unref((struct sl_jwks_set *)((uintptr_t)j->keys -
							 offsetof(struct sl_jwks_set, key)));
	j->keys = NULL;
	j->key_cnt = 0;
}

/* ---- numbers ---- */

/* A member in base64url, at most max bytes; 0: it is none. */
static uint32_t
bytes_of(const json_t *j, const char *name, uint8_t *ret, uint32_t max)
{
	const json_t *v = json_object_get(j, name);
	uint32_t n =
		json_is_string(v)
			? sl_base64url((const uint8_t *)json_string_value(v),
				       (uint32_t)SL_MIN(json_string_length(v), (size_t)UINT16_MAX),
				       ret, max)
			: 0;

	return n == UINT32_MAX ? 0 : n;
}

/* ---- keys, as OpenSSL has them ---- */

static EVP_PKEY *
from_params(const char *type, OSSL_PARAM_BLD *b)
{
	OSSL_PARAM *params = b ? OSSL_PARAM_BLD_to_param(b) : NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *pkey = NULL;

	if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1)
		EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return pkey;
}

static EVP_PKEY *
read_rsa(const json_t *j)
{
	uint8_t n[SL_JWT_SPKI_MAX], e[8];
	uint32_t n_len = bytes_of(j, "n", n, sizeof(n)), e_len = bytes_of(j, "e", e, sizeof(e));
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	BIGNUM *bn_n = BN_bin2bn(n, (int)n_len, NULL), *bn_e = BN_bin2bn(e, (int)e_len, NULL);
	EVP_PKEY *pkey = NULL;

	if (b && n_len && e_len && bn_n && bn_e &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn_n) &&
	    OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, bn_e))
		pkey = from_params("RSA", b);
	OSSL_PARAM_BLD_free(b);
	BN_free(bn_n);
	BN_free(bn_e);
	return pkey;
}

static EVP_PKEY *
read_ec(const json_t *j)
{
	OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
	uint8_t point[65] = {4};
	EVP_PKEY *pkey = NULL;

	if (b && bytes_of(j, "x", point + 1, 32) == 32 && bytes_of(j, "y", point + 33, 32) == 32 &&
	    OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
		pkey = from_params("EC", b);
	OSSL_PARAM_BLD_free(b);
	return pkey;
}

static EVP_PKEY *
read_okp(const json_t *j)
{
	uint8_t x[32];

	return bytes_of(j, "x", x, sizeof(x)) == 32
		       ? EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x, sizeof(x))
		       : NULL;
}

/* ---- a key of a set ---- */

static bool
is(const json_t *j, const char *name, const char *text)
{
	const char *v = json_string_value(json_object_get(j, name));

	return v && strcmp(v, text) == 0;
}

static const struct kind {
	const char *kty, *crv, *alg; /* crv NULL: has none */
	enum sl_jwt_alg id;
	EVP_PKEY *(*read)(const json_t *j);
} kinds[] = {
	{"RSA", NULL, "RS256", SL_JWT_RS256, read_rsa},
	{"EC", "P-256", "ES256", SL_JWT_ES256, read_ec},
	{"OKP", "Ed25519", "EdDSA", SL_JWT_EDDSA, read_okp},
};

/* Members that only private keys and secrets have (RFC 7518, 6). */
static bool
is_private(const json_t *j)
{
	static const char *const members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(members); i++)
		if (json_object_get(j, members[i]))
			return true;
	return false;
}

/* Of what it is for, where it says so (RFC 7517, 4.2 and 4.3). */
static bool
verifies(const json_t *j)
{
	const json_t *ops = json_object_get(j, "key_ops"), *op;
	bool verify = false;
	size_t i;

	if (json_object_get(j, "use") && !is(j, "use", "sig"))
		return false;
	json_array_foreach(ops, i, op) if (json_is_string(op)) verify |=
		strcmp(json_string_value(op), "verify") == 0;
	return !ops || verify;
}

/* What it is for, or why it is left out. */
static const char *
kind_of(const json_t *j, const struct kind **ret)
{
	const json_t *alg = json_object_get(j, "alg");
	const struct kind *k = NULL;

	for (unsigned i = 0; i < SL_ARRAY_CNT(kinds); i++)
		if (is(j, "kty", kinds[i].kty) && (!kinds[i].crv || is(j, "crv", kinds[i].crv)))
			k = &kinds[i];
	if (!k)
		return "is no RSA key, no key of P-256 and none of Ed25519";
	if (is_private(j))
		return "is a private key, which nobody else should have";
	if (!verifies(j))
		return "is not for signatures";
	if (alg && !is(j, "alg", k->alg))
		return "is for another algorithm than RS256, ES256 or EdDSA";
	*ret = k;
	return NULL;
}

static const char *
read_kid(const json_t *j, struct sl_conf_jwt_key *ret)
{
	const json_t *kid = json_object_get(j, "kid");
	const char *text = json_string_value(kid);

	if (!kid)
		return NULL;
	if (!text || !text[0] || strlen(text) != json_string_length(kid) ||
	    strlen(text) > SL_JWT_TEXT_MAX || sl_value_plain(text) || strchr(text, '\t'))
		return "has a kid that is no text of 1 to 255 bytes";
	memcpy(ret->kid, text, strlen(text));
	return NULL;
}

static const char *
read_key(const json_t *j, struct sl_conf_jwt_key *ret)
{
	const struct kind *k;
	uint8_t *der = NULL;
	const char *why = kind_of(j, &k);

	if (!why)
		why = read_kid(j, ret);
	if (why)
		return why;
	EVP_PKEY *pkey = k->read(j);
	int n = pkey ? i2d_PUBKEY(pkey, &der) : 0;
	if (n <= 0)
		why = "is broken";
	else if (n > SL_JWT_SPKI_MAX)
		why = "is too long";
	else
		why = sl_jwt_key_check(k->id, der, (uint32_t)n);
	if (!why) {
		memcpy(ret->spki, der, (size_t)n);
		ret->spki_len = (uint16_t)n;
		ret->alg = (uint8_t)k->id;
	}
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return why;
}

/* ---- the set ---- */

static void
leave_out(struct sl_jwks_set *s, size_t i, const json_t *j, const char *why)
{
	const char *kid = json_string_value(json_object_get(j, "kid"));
	char quoted[80];

	if (s->left_out++ == 0)
		snprintf(s->note, sizeof(s->note), "keys[%zu]%s%s %s", i, kid ? ", kid " : "",
			 kid ? sl_value_quote(kid, quoted, sizeof(quoted)) : "", why);
}

static bool
has_kid(const struct sl_jwks_set *s, const struct sl_conf_jwt_key *k)
{
	for (uint32_t i = 0; i < s->cnt; i++)
		if (k->kid[0] && s->key[i].alg == k->alg && strcmp(s->key[i].kid, k->kid) == 0)
			return true;
	return false;
}

static void
take_key(struct sl_jwks_set *s, size_t i, const json_t *j)
{
	struct sl_conf_jwt_key *k = &s->key[s->cnt];
	const char *why = json_is_object(j) ? NULL : "is no object";

	if (!why && s->cnt == SL_MAX_JWT_KEYS) {
		leave_out(s, i, j, "is one more than the 64 that an issuer may have");
		return;
	}
	memset(k, 0, sizeof(*k));
	if (!why)
		why = read_key(j, k);
	if (!why && has_kid(s, k))
		why = "has the kid of a key before it";
	if (why)
		leave_out(s, i, j, why);
	else
		s->cnt++;
}

static int
read_set(const json_t *root, char why[SL_JWKS_WHY], struct sl_jwks_set **ret)
{
	const json_t *keys = json_object_get(root, "keys"), *j;
	struct sl_jwks_set *s;
	size_t i;

	if (!json_is_array(keys)) {
		snprintf(why, SL_JWKS_WHY, "is no JSON Web Key Set: it has no list \"keys\"");
		return -EINVAL;
	}
	/* one more: room to read what is then left out */
	s = calloc(1, sizeof(*s) + (SL_MAX_JWT_KEYS + 1) * sizeof(s->key[0]));
	if (!s)
		return -ENOMEM;
	s->refs = 1;
	json_array_foreach(keys, i, j) take_key(s, i, j);
	if (s->cnt == 0) {
		snprintf(why, SL_JWKS_WHY, "has no key that can be used%s%s",
			 s->note[0] ? ": " : "", s->note);
		free(s);
		return -EINVAL;
	}
	*ret = s;
	return 0;
}

int
sl_jwks_read(const char *text, size_t len, char why[SL_JWKS_WHY], struct sl_jwks_set **ret)
{
	json_error_t error;
	int err;

	if (len > SL_JWKS_BYTES) {
		snprintf(why, SL_JWKS_WHY, "is longer than %u bytes", SL_JWKS_BYTES);
		return -EINVAL;
	}
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		snprintf(why, SL_JWKS_WHY, "is no JSON: %s", error.text);
		return -EINVAL;
	}
	err = read_set(root, why, ret);
	json_decref(root);
	return err;
}
