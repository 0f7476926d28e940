/* jwt_keys — the keys of an issuer, and the signatures they stand for (OpenSSL EVP).
 *
 *   JWT object ─▶ sl_jwt_keys [main, once an object] ─▶ sl_jwt_verifier [worker]: was this token's signature good?
 *
 * A verifier remembers answers by SHA-256 over (key, token), the bad ones apart from the good.  The question has one answer for
 * ever, so nothing is forgotten when keys, times or tables change: a key that is gone is not asked for, and what else a token
 * has to be is looked at each time.
 * Bound: signature checks take at most 1/SL_JWT_SHARE of a worker's time, in portions of SL_JWT_BURST_NS, counted by what each kind of
 *        key was measured to cost.  Past it the answer is BUSY, and sl_jwt_verifier_ready says when to ask again.
 * Memory: fixed (sl_jwt_verifier_bytes).  OpenSSL takes and gives back pieces of its own: one for an answer that is remembered, 11 to 54
 *         for a check (tests/bench/bench_jwt.c).
 */
#ifndef SL_L7_JWT_KEYS_H
#define SL_L7_JWT_KEYS_H

#include "l7/jwt.h"

#define SL_JWT_SHARE 4
#define SL_JWT_BURST_NS 5000000
#define SL_JWT_GOOD 8192 /* answers remembered */
#define SL_JWT_BAD 1024
#define SL_JWT_WHY_MAX 160

struct sl_jwt_key {
	void *pkey; /* EVP_PKEY */
	struct sl_bytes kid;
	uint32_t alg;     /* enum sl_jwt_alg */
	uint32_t cost_ns; /* of a check, about */
	uint8_t id[32];   /* SHA-256 of alg and key */
};

struct sl_jwt_keys {
	const struct sl_img_jwt *img;
	uint32_t cnt;
	struct sl_jwt_key key[SL_MAX_JWT_KEYS];
};

/* [any] sl_jwt_keys_create: of an object that passed its check and stays.  0, -EINVAL with why (which key, what is wrong with it)
 * or -ENOMEM.  Workers share the result.  destroy accepts NULL. */
int sl_jwt_keys_create(const struct sl_img_jwt *img, char why[SL_JWT_WHY_MAX],
		       struct sl_jwt_keys **ret);
void sl_jwt_keys_destroy(struct sl_jwt_keys *k);

/* [any] sl_jwt_key_check: whether spki is a key for alg: NULL, or what is wrong. */
const char *sl_jwt_key_check(enum sl_jwt_alg alg, const void *spki, uint32_t len);

struct sl_jwt_verifier;

/* Memory of a worker, given by main. */
size_t sl_jwt_verifier_bytes(void);
/* mem: zeroed, line-aligned; NULL: OpenSSL has no memory.  fini accepts NULL. */
struct sl_jwt_verifier *sl_jwt_verifier_init(void *mem, uint64_t seed);
void sl_jwt_verifier_fini(struct sl_jwt_verifier *v);

struct sl_jwt_asked {
	bool kept; /* the answer was remembered */
	uint32_t checks;
};

/* [worker] sl_jwt_verify: OK; NO_KEYS, KID, KID_WANTED, KEY_ALG, SIGNATURE, BUSY.  now_ns: worker clock.
 * dry: of a person's question: never BUSY. */
enum sl_jwt_bad sl_jwt_verify(struct sl_jwt_verifier *v, const struct sl_jwt_keys *keys,
			      const struct sl_jwt *t, uint64_t now_ns, bool dry,
			      struct sl_jwt_asked *ret);

/* [worker] sl_jwt_verifier_ready: whether a check may be made now. */
bool sl_jwt_verifier_ready(struct sl_jwt_verifier *v, uint64_t now_ns);

#endif
