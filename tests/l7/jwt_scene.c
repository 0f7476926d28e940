#include "tests/l7/jwt_scene.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

EVP_PKEY *
jwt_key(enum sl_jwt_alg alg)
{
	EVP_PKEY *k = alg == SL_JWT_RS256   ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048)
		      : alg == SL_JWT_ES256 ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
					    : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	if (!k)
		abort();
	return k;
}

/* ---- objects ---- */

struct draft {
	uint8_t bytes[65536];
	uint32_t end;
};

static uint32_t
section(struct draft *d, const void *of, size_t n)
{
	uint32_t at = d->end;

	if (n == 0)
		return 0;
	memcpy(d->bytes + at, of, n);
	d->end += (uint32_t)((n + 7) & ~(size_t)7);
	return at;
}

static struct sl_img_str
text(char *strs, uint32_t *at, const void *s, size_t n)
{
	struct sl_img_str ret = {*at, (uint32_t)n};

	memcpy(strs + *at, s, n);
	*at += (uint32_t)n;
	return ret;
}

static struct sl_img_str
word(char *strs, uint32_t *at, const char *s)
{
	return s ? text(strs, at, s, strlen(s)) : (struct sl_img_str){0};
}

static void
put_keys(const struct jwt_issuer *of, char *strs, uint32_t *at, struct sl_img_jwt_key *ret)
{
	for (uint32_t i = 0; i < of->key_cnt; i++) {
		uint8_t *der = NULL;
		int n = i2d_PUBKEY(of->keys[i].pkey, &der);
		ret[i].alg = of->keys[i].alg;
		ret[i].kid = word(strs, at, of->keys[i].kid);
		ret[i].spki = text(strs, at, der, (size_t)n);
		OPENSSL_free(der);
	}
}

struct sl_img_jwt *
jwt_build(const struct jwt_issuer *of)
{
	static const struct jwt_from bearer[] = {{SL_JWT_FROM_BEARER, NULL}, {0}};
	struct draft *d = calloc(1, sizeof(*d));
	struct sl_img_jwt_key k[SL_MAX_JWT_KEYS] = {0};
	struct sl_img_jwt_from from[SL_MAX_JWT_FROM] = {0};
	struct sl_img_jwt_claim claim[SL_MAX_JWT_CLAIMS] = {0};
	static char strs[32768];
	uint32_t at = 0;

	put_keys(of, strs, &at, k);
	struct sl_img_jwt img = {
		.head = {.magic = SL_OBJ_MAGIC, .version = SL_IMAGE_VERSION, .kind = SL_OBJ_JWT},
		.key_cnt = of->key_cnt,
		.audience_cnt = of->audience != NULL,
		.issuer = word(strs, &at, of->issuer),
		.payload_header = word(strs, &at, of->payload_header),
		.leeway_s = of->leeway_s,
		.flags = of->strip ? SL_JWT_STRIP : 0,
	};
	snprintf(img.name, sizeof(img.name), "%s", of->name ? of->name : "main");
	struct sl_img_str audience = word(strs, &at, of->audience);
	for (const struct jwt_from *f = of->from ? of->from : bearer; f->place; f++)
		from[img.from_cnt++] = (struct sl_img_jwt_from){.place = f->place,
								.name = word(strs, &at, f->name)};
	for (const struct jwt_claim *c = of->claims; c && c->claim; c++)
		claim[img.claim_cnt++] = (struct sl_img_jwt_claim){word(strs, &at, c->claim),
								   word(strs, &at, c->header)};
	d->end = sizeof(img);
	img.key_off = section(d, k, of->key_cnt * sizeof(k[0]));
	img.audience_off = section(d, &audience, img.audience_cnt * sizeof(audience));
	img.from_off = section(d, from, img.from_cnt * sizeof(from[0]));
	img.claim_off = section(d, claim, img.claim_cnt * sizeof(claim[0]));
	img.str_bytes = at;
	img.str_off = section(d, strs, at);
	img.head.size = d->end;
	memcpy(d->bytes, &img, sizeof(img));
	return (void *)d;
}

struct sl_img_jwt *
jwt_object(const char *issuer, const char *audience, const struct jwt_issuer_key *keys,
	   uint32_t cnt)
{
	const struct jwt_issuer of = {.issuer = issuer,
				      .audience = audience,
				      .leeway_s = 60,
				      .keys = keys,
				      .key_cnt = cnt};

	return jwt_build(&of);
}

/* ---- tokens ---- */

static char *
room(void)
{
	static char texts[8][4 * SL_JWT_TOKEN_MAX];
	static unsigned next;

	return texts[next++ % 8];
}

static size_t
put(char *to, const void *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const uint8_t *b = bytes;
	uint32_t bits = 0, have = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | b[i];
		for (have += 8; have >= 6; have -= 6)
			to[n++] = digits[bits >> (have - 6) & 63];
	}
	if (have)
		to[n++] = digits[bits << (6 - have) & 63];
	to[n] = 0;
	return n;
}

const char *
jwt_text(const void *bytes, size_t len)
{
	char *to = room();

	put(to, bytes, len);
	return to;
}

/* The two numbers of an ECDSA signature, 32 bytes each. */
static size_t
raw_of(uint8_t *der, size_t len)
{
	const uint8_t *at = der;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &at, (long)len);
	uint8_t raw[64];

	BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32);
	BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32);
	ECDSA_SIG_free(s);
	memcpy(der, raw, sizeof(raw));
	return sizeof(raw);
}

static size_t
begin(char *to, const char *header, const char *claims)
{
	size_t n = put(to, header, strlen(header));

	to[n++] = '.';
	n += put(to + n, claims, strlen(claims));
	return n;
}

const char *
jwt_sign(const char *header, const char *claims, enum sl_jwt_alg alg, EVP_PKEY *pkey)
{
	char *to = room();
	size_t n = begin(to, header, claims), len = 512;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[512];

	if (pkey) {
		EVP_DigestSignInit(ctx, NULL, alg == SL_JWT_EDDSA ? NULL : EVP_sha256(), NULL,
				   pkey);
		EVP_DigestSign(ctx, signature, &len, (const uint8_t *)to, n);
		if (alg == SL_JWT_ES256)
			len = raw_of(signature, len);
	} else {
		len = 0;
	}
	EVP_MD_CTX_free(ctx);
	to[n++] = '.';
	put(to + n, signature, len);
	return to;
}

const char *
jwt_sign_hmac(const char *header, const char *claims, const void *secret, size_t len)
{
	char *to = room();
	size_t n = begin(to, header, claims);
	uint8_t mac[32];
	unsigned mac_len;

	HMAC(EVP_sha256(), secret, (int)len, (const uint8_t *)to, n, mac, &mac_len);
	to[n++] = '.';
	put(to + n, mac, mac_len);
	return to;
}
