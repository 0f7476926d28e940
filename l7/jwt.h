/* jwt — a token (a signed JWT in compact form: RFC 7515, 7519), and whether an issuer of the table stands for it.
 *
 *   token ─▶ sl_jwt_read: three parts, header, claims ─▶ sl_jwt_claims: issuer, audience, times ─▶ signature (jwt_keys.h)
 *
 * Everything that costs little comes before the signature, so a token that is refused for another reason costs no signature check.
 * The key is one of the issuer's, as the table has them: what a header names by jwk, jku, x5u, x5c is not looked at.
 * Refused: "none", HMAC, any algorithm but RS256, ES256, EdDSA (Ed25519), another algorithm than the key's; `crit`, `b64`; a member twice
 *          at any depth; base64url with padding, foreign bytes or bits behind its end; a token without `exp`.
 * Limits:  a token has SL_JWT_TOKEN_MAX bytes; JSON as jwt_json.h says.
 * Memory:  the caller's: struct sl_jwt, about 15 KiB.
 * Threads: [any]; pure.
 */
#ifndef SL_L7_JWT_H
#define SL_L7_JWT_H

#include "l7/jwt_json.h"
#include "sluice/image_policy.h"

#define SL_JWT_TOKEN_MAX 8192
#define SL_JWT_SIGNATURE_MAX 512 /* RSA of 4,096 bits */
#define SL_JWT_KEY_TRIES 4       /* keys that a token without kid is tried against */

/* X(CODE, name, text): name stands in log and counters, text in the answer. */
#define SL_JWT_BADS(X)                                                                             \
	X(OK, "ok", "")                                                                            \
	X(MISSING, "no-token", "a token is required")                                              \
	X(SEVERAL, "several-tokens", "there is more than one token")                               \
	X(LONG, "too-long", "the token is longer than 8192 bytes")                                 \
	X(PARTS, "parts", "the token does not have three parts that are not empty")                \
	X(BASE64, "base64", "a part of the token is not base64url")                                \
	X(JSON, "json", "header or claims are no JSON object")                                     \
	X(DEEP, "deep", "header or claims are nested too deep")                                    \
	X(MANY, "many", "header or claims have too many values")                                   \
	X(DUPLICATE, "duplicate", "header or claims have a member twice")                          \
	X(CRIT, "crit", "the header has crit, of which nothing is understood")                     \
	X(B64, "b64", "the header has b64, which tokens must not have")                            \
	X(ALG_NONE, "alg-none", "the token is not signed")                                         \
	X(ALG_HMAC, "alg-hmac", "the token is signed with a shared secret")                        \
	X(ALG, "alg", "the algorithm is not RS256, ES256 or EdDSA")                                \
	X(ISSUER, "issuer", "the issuer is not one that is accepted")                              \
	X(AUDIENCE, "audience", "the token is for another audience")                               \
	X(TIME, "time", "exp, nbf or iat is missing or no number of seconds")                      \
	X(EXPIRED, "expired", "the token has expired")                                             \
	X(EARLY, "early", "the token is not valid yet")                                            \
	X(FUTURE, "future", "the token was issued in the future")                                  \
	X(NO_KEYS, "no-keys", "the keys of the issuer are not known yet")                          \
	X(KID, "kid", "the issuer has no key of that id")                                          \
	X(KID_WANTED, "kid-wanted", "the issuer has several keys, and the token says none")        \
	X(KEY_ALG, "key-alg", "the algorithm is not that of the key")                              \
	X(SIGNATURE, "signature", "the signature is not that of the issuer's key")                 \
	X(CLOCK, "no-clock", "the gateway does not know the time")                                 \
	X(BUSY, "busy", "too many tokens are to be verified")

enum sl_jwt_bad {
#define X(CODE, name, text) SL_JWT_##CODE,
	SL_JWT_BADS(X)
#undef X
		SL_JWT_BAD_CNT
};
const char *sl_jwt_bad_name(enum sl_jwt_bad bad);
const char *sl_jwt_bad_text(enum sl_jwt_bad bad);

/* A token that was read.  It points into its own text and the token's bytes. */
struct sl_jwt {
	struct sl_bytes token;
	uint32_t signed_len;     /* bytes of the token that are signed: header "." claims */
	struct sl_bytes payload; /* the claims as they were sent, base64url */
	uint8_t alg;             /* enum sl_jwt_alg */
	struct sl_bytes kid;     /* .at NULL: none */
	uint32_t signature_len;
	uint8_t signature[SL_JWT_SIGNATURE_MAX];
	struct sl_json header, claims;
	uint8_t text[SL_JWT_TOKEN_MAX];
};

/* sl_jwt_read: all that can be said of a token without an issuer. */
enum sl_jwt_bad sl_jwt_read(struct sl_bytes token, struct sl_jwt *ret);

/* sl_jwt_issuer: whether the token's `iss` is the issuer's; an issuer "" takes any. */
bool sl_jwt_issuer(const struct sl_jwt *t, const struct sl_img_jwt *issuer);

/* sl_jwt_claims: issuer, audience and times, with the issuer's leeway.  now_s: wall clock, seconds; ≤ 0: CLOCK. */
enum sl_jwt_bad sl_jwt_claims(const struct sl_jwt *t, const struct sl_img_jwt *issuer,
			      int64_t now_s);

/* sl_jwt_claim: a claim by name: of the whole, else, where it has dots, of objects in objects ("realm.role").  NULL: none. */
const struct sl_json_value *sl_jwt_claim(const struct sl_jwt *t, const void *name, uint32_t len);

/* sl_base64url: bytes of in, canonical; UINT32_MAX: it is none, or longer than max. */
uint32_t sl_base64url(const uint8_t *in, uint32_t len, uint8_t *out, uint32_t max);

static inline struct sl_bytes
sl_jwt_str(const struct sl_img_jwt *j, struct sl_img_str s)
{
	return (struct sl_bytes){(const uint8_t *)j + j->str_off + s.off, s.len};
}

#endif
