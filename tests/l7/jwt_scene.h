/* jwt_scene — keys, issuers and tokens of tests, by OpenSSL. */
#ifndef SL_TESTS_JWT_SCENE_H
#define SL_TESTS_JWT_SCENE_H

#include "l7/jwt_keys.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#define JWT_NOW 1700000000

/* A key of that algorithm; RS256: 2048 bits.  The caller frees it. */
EVP_PKEY *jwt_key(enum sl_jwt_alg alg);

struct jwt_issuer_key {
	const char *kid;
	enum sl_jwt_alg alg;
	EVP_PKEY *pkey;
};

struct jwt_from {
	enum sl_jwt_place place; /* 0 ends a list */
	const char *name;
};

struct jwt_claim {
	const char *claim, *header; /* NULL ends a list */
};

struct jwt_issuer {
	const char *name, *issuer, *audience; /* NULL: "main", any, any */
	const struct jwt_from *from;          /* NULL: Authorization: Bearer */
	const struct jwt_claim *claims;       /* or NULL */
	const char *payload_header;           /* or NULL */
	uint32_t leeway_s;
	bool strip;
	const struct jwt_issuer_key *keys;
	uint32_t key_cnt;
};

/* A JWT object.  free() frees it. */
struct sl_img_jwt *jwt_build(const struct jwt_issuer *issuer);

/* A JWT object: issuer "https://issuer.example", audience "api", leeway 60 s, Authorization: Bearer.  free() frees it. */
struct sl_img_jwt *jwt_object(const char *issuer, const char *audience,
			      const struct jwt_issuer_key *keys, uint32_t cnt);

/* header "." claims, each in base64url, and a signature by pkey (NULL: none).  Valid until eight more were made. */
const char *jwt_sign(const char *header, const char *claims, enum sl_jwt_alg alg, EVP_PKEY *pkey);
/* The same with HMAC. */
const char *jwt_sign_hmac(const char *header, const char *claims, const void *secret, size_t len);
/* base64url of bytes, likewise. */
const char *jwt_text(const void *bytes, size_t len);

#endif
