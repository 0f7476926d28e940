/* Answers stand in sets of four, the last one asked for first: the least asked for goes. */
#include "l7/jwt_keys.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- keys ---- */

/* Checking takes time that grows with the exponent: 65537 is what everybody has. */
static const char *
check_rsa(EVP_PKEY *pkey)
{
	BIGNUM *e = NULL;
	int bits = EVP_PKEY_get_bits(pkey);
	bool ok = EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) && BN_num_bits(e) <= 32 &&
		  BN_is_odd(e) && !BN_is_one(e);

	BN_free(e);
	if (bits < 2048 || bits > 4096)
		return "is an RSA key of less than 2048 or more than 4096 bits";
	return ok ? NULL : "is an RSA key with an exponent that is even, 1, or above 2^32";
}

static const char *
check_key(EVP_PKEY *pkey, enum sl_jwt_alg alg)
{
	char group[32] = "";

	switch (alg) {
	case SL_JWT_RS256:
		return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA ? check_rsa(pkey)
								  : "is no RSA key";
	case SL_JWT_ES256:
		return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
				       EVP_PKEY_get_group_name(pkey, group, sizeof(group), NULL) &&
				       strcmp(group, "prime256v1") == 0
			       ? NULL
			       : "is no key of P-256";
	case SL_JWT_EDDSA:
		return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519 ? NULL
								      : "is no key of Ed25519";
	}
	return "has an algorithm that is not known";
}

static EVP_PKEY *
read_key(const void *spki, uint32_t len)
{
	const uint8_t *at = spki;
	EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)len);

	if (pkey && at == (const uint8_t *)spki + len)
		return pkey;
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return NULL;
}

const char *
sl_jwt_key_check(enum sl_jwt_alg alg, const void *spki, uint32_t len)
{
	EVP_PKEY *pkey = read_key(spki, len);
	const char *why = pkey ? check_key(pkey, alg) : "is no SubjectPublicKeyInfo";

	EVP_PKEY_free(pkey);
	return why;
}

/* As measured on the reference machine (tests/bench/bench_jwt.c), rounded up. */
static uint32_t
cost_of(const EVP_PKEY *pkey, uint32_t alg)
{
	int bits = EVP_PKEY_get_bits(pkey);

	if (alg == SL_JWT_RS256)
		return bits <= 2048 ? 25000 : bits <= 3072 ? 45000 : 80000;
	return alg == SL_JWT_ES256 ? 75000 : 120000;
}

static bool
id_of(const struct sl_jwt_key *key, const void *spki, uint32_t len, uint8_t ret[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
		  EVP_DigestUpdate(md, &key->alg, sizeof(key->alg)) &&
		  EVP_DigestUpdate(md, spki, len) && EVP_DigestFinal_ex(md, ret, NULL);

	EVP_MD_CTX_free(md);
	return ok;
}

static int
make_key(const struct sl_img_jwt *img, uint32_t i, char why[SL_JWT_WHY_MAX], struct sl_jwt_key *ret)
{
	const struct sl_img_jwt_key *k =
		(const struct sl_img_jwt_key *)((const uint8_t *)img + img->key_off) + i;
	struct sl_bytes spki = sl_jwt_str(img, k->spki);
	const char *bad;

	*ret = (struct sl_jwt_key){.kid = sl_jwt_str(img, k->kid), .alg = k->alg};
	ret->pkey = read_key(spki.at, spki.len);
	bad = ret->pkey ? check_key(ret->pkey, k->alg) : "is no SubjectPublicKeyInfo";
	if (bad) {
		snprintf(why, SL_JWT_WHY_MAX, "keys[%u] %s", i, bad);
		return -EINVAL;
	}
	ret->cost_ns = cost_of(ret->pkey, ret->alg);
	return id_of(ret, spki.at, spki.len, ret->id) ? 0 : -ENOMEM;
}

int
sl_jwt_keys_create(const struct sl_img_jwt *img, char why[SL_JWT_WHY_MAX], struct sl_jwt_keys **ret)
{
	struct sl_jwt_keys *k = calloc(1, sizeof(*k));
	int err = k ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < img->key_cnt && !err; i++) {
		k->cnt++;
		err = make_key(img, i, why, &k->key[i]);
	}
	if (err) {
		sl_jwt_keys_destroy(k);
		return err;
	}
	k->img = img;
	*ret = k;
	return 0;
}

void
sl_jwt_keys_destroy(struct sl_jwt_keys *k)
{
	for (uint32_t i = 0; k && i < k->cnt; i++)
		EVP_PKEY_free(k->key[i].pkey);
	free(k);
}

/* ---- which key ---- */

/* Keys that may have signed it: by its kid one; without, all of its algorithm. */
static enum sl_jwt_bad
find_keys(const struct sl_jwt_keys *keys, const struct sl_jwt *t,
	  const struct sl_jwt_key *ret[SL_JWT_KEY_TRIES], uint32_t *ret_cnt)
{
	bool kid = false;

	*ret_cnt = 0;
	if (keys->cnt == 0)
		return SL_JWT_NO_KEYS;
	for (uint32_t i = 0; i < keys->cnt; i++) {
		const struct sl_jwt_key *k = &keys->key[i];
		if (t->kid.at &&
		    (k->kid.len != t->kid.len || memcmp(k->kid.at, t->kid.at, k->kid.len) != 0))
			continue;
		kid = true;
		if (k->alg != t->alg)
			continue;
		if (*ret_cnt == SL_JWT_KEY_TRIES)
			return SL_JWT_KID_WANTED;
		ret[(*ret_cnt)++] = k;
	}
	return *ret_cnt ? SL_JWT_OK : kid ? SL_JWT_KEY_ALG : SL_JWT_KID;
}

/* ---- a signature ---- */

struct answer {
	uint8_t id[32];
};

struct set {
	struct answer of[4];
};

#define GOOD_SETS (SL_JWT_GOOD / 4)
#define BAD_SETS (SL_JWT_BAD / 4)

struct sl_jwt_verifier {
	EVP_MD_CTX *check, *hash;
	EVP_MD *sha256;
	uint64_t seed;
	uint64_t last_ns;
	int64_t left_ns;
	struct set good[GOOD_SETS], bad[BAD_SETS];
};

/* One of its two numbers in DER: behind `to`, its length. */
static uint32_t
put_integer(uint8_t *to, const uint8_t n[32])
{
	uint32_t skip = 0, pad;

	while (skip < 31 && n[skip] == 0)
		skip++;
	pad = n[skip] >> 7;
	to[0] = 2;
	to[1] = (uint8_t)(32 - skip + pad);
	to[2] = 0;
	memcpy(to + 2 + pad, n + skip, 32 - skip);
	return 2 + 32 - skip + pad;
}

/* r and s as RFC 7518 has them, as OpenSSL has them. */
static uint32_t
ecdsa_der(const uint8_t rs[64], uint8_t to[72])
{
	uint32_t n = put_integer(to + 2, rs);

	n += put_integer(to + 2 + n, rs + 32);
	to[0] = 0x30;
	to[1] = (uint8_t)n;
	return 2 + n;
}

static bool
check_signature(struct sl_jwt_verifier *v, const struct sl_jwt_key *k, const struct sl_jwt *t)
{
	const EVP_MD *md = k->alg == SL_JWT_EDDSA ? NULL : EVP_sha256();
	const uint8_t *signature = t->signature;
	uint32_t len = t->signature_len;
	uint8_t der[72];

	if (k->alg != SL_JWT_RS256 && len != 64)
		return false;
	if (k->alg == SL_JWT_ES256) {
		len = ecdsa_der(signature, der);
		signature = der;
	}
	bool ok = EVP_DigestVerifyInit(v->check, NULL, md, NULL, k->pkey) == 1 &&
		  EVP_DigestVerify(v->check, signature, len, t->token.at, t->signed_len) == 1;
	EVP_MD_CTX_reset(v->check);
	if (!ok)
		ERR_clear_error();
	return ok;
}

/* ---- what is remembered ---- */

static bool
answer_id(struct sl_jwt_verifier *v, const struct sl_jwt_key *k, const struct sl_jwt *t,
	  struct answer *ret)
{
	return EVP_DigestInit_ex(v->hash, NULL, NULL) && /* that of init: made ready again */
	       EVP_DigestUpdate(v->hash, k->id, sizeof(k->id)) &&
	       EVP_DigestUpdate(v->hash, t->token.at, t->token.len) &&
	       EVP_DigestFinal_ex(v->hash, ret->id, NULL);
}

/* Who makes tokens cannot choose the set that they fall into. */
static struct set *
set_of(const struct sl_jwt_verifier *v, struct set *sets, uint32_t cnt, const struct answer *a)
{
	uint64_t h;

	memcpy(&h, a->id, sizeof(h));
	h = (h ^ v->seed) * 0x9e3779b97f4a7c15u;
	return &sets[(h >> 32) % cnt];
}

static void
put_first(struct set *s, unsigned from, const struct answer *a)
{
	struct answer first = *a;

	memmove(&s->of[1], &s->of[0], from * sizeof(s->of[0]));
	s->of[0] = first;
}

static bool
remembered(struct set *s, const struct answer *a)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(s->of); i++)
		if (memcmp(&s->of[i], a, sizeof(*a)) == 0) {
			if (i)
				put_first(s, i, a);
			return true;
		}
	return false;
}

/* ---- the bound ---- */

bool
sl_jwt_verifier_ready(struct sl_jwt_verifier *v, uint64_t now_ns)
{
	uint64_t since = now_ns - v->last_ns;

	if (v->last_ns == 0 || since >= (uint64_t)SL_JWT_BURST_NS * SL_JWT_SHARE)
		v->left_ns = SL_JWT_BURST_NS;
	else
		v->left_ns = SL_MIN(v->left_ns + (int64_t)(since / SL_JWT_SHARE),
				    (int64_t)SL_JWT_BURST_NS);
	v->last_ns = now_ns;
	return v->left_ns > 0;
}

static enum sl_jwt_bad
ask_key(struct sl_jwt_verifier *v, const struct sl_jwt_key *k, const struct sl_jwt *t,
	uint64_t now_ns, bool dry, struct sl_jwt_asked *asked)
{
	struct answer a;

	if (!answer_id(v, k, t, &a))
		return SL_JWT_BUSY;
	struct set *good = set_of(v, v->good, GOOD_SETS, &a);
	struct set *bad = set_of(v, v->bad, BAD_SETS, &a);
	if (remembered(good, &a)) {
		asked->kept = true;
		return SL_JWT_OK;
	}
	if (remembered(bad, &a)) {
		asked->kept = true;
		return SL_JWT_SIGNATURE;
	}
	if (!sl_jwt_verifier_ready(v, now_ns) && !dry)
		return SL_JWT_BUSY;
	v->left_ns -= k->cost_ns;
	asked->checks++;
	asked->kept = false;
	bool ok = check_signature(v, k, t);
	put_first(ok ? good : bad, SL_ARRAY_CNT(good->of) - 1, &a);
	return ok ? SL_JWT_OK : SL_JWT_SIGNATURE;
}

enum sl_jwt_bad
sl_jwt_verify(struct sl_jwt_verifier *v, const struct sl_jwt_keys *keys, const struct sl_jwt *t,
	      uint64_t now_ns, bool dry, struct sl_jwt_asked *ret)
{
	const struct sl_jwt_key *of[SL_JWT_KEY_TRIES];
	uint32_t cnt;
	enum sl_jwt_bad bad = find_keys(keys, t, of, &cnt);

	*ret = (struct sl_jwt_asked){0};
	if (bad)
		return bad;
	for (uint32_t i = 0; i < cnt; i++) {
		bad = ask_key(v, of[i], t, now_ns, dry, ret);
		if (bad != SL_JWT_SIGNATURE)
			return bad;
	}
	return SL_JWT_SIGNATURE;
}

/* ---- life ---- */

size_t
sl_jwt_verifier_bytes(void)
{
	return sizeof(struct sl_jwt_verifier);
}

struct sl_jwt_verifier *
sl_jwt_verifier_init(void *mem, uint64_t seed)
{
	struct sl_jwt_verifier *v = mem;

	v->seed = seed;
	v->check = EVP_MD_CTX_new();
	v->hash = EVP_MD_CTX_new();
	v->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (v->check && v->hash && v->sha256 && EVP_DigestInit_ex(v->hash, v->sha256, NULL))
		return v;
	sl_jwt_verifier_fini(v);
	return NULL;
}

void
sl_jwt_verifier_fini(struct sl_jwt_verifier *v)
{
	if (!v)
		return;
	EVP_MD_CTX_free(v->check);
	EVP_MD_CTX_free(v->hash);
	EVP_MD_free(v->sha256);
}
