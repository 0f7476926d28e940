/* jwks_read — a JSON Web Key Set (RFC 7517) → the public keys that tokens are verified by.
 *
 * Hostile input is normal input: bytes, keys and texts are bounded, members that stand twice refuse the whole, and a key counts
 * only when OpenSSL reads it and l7/jwt_keys.h takes it.  Left out, and told: keys of other kinds, for encryption, of other
 * algorithms, private ones and secrets (they are not to be given out), a kid that another key of its algorithm has.
 * A set without a key that can be used is an error: it takes nothing away.
 * Threads: [any].
 */
#ifndef SL_MGMT_JWKS_READ_H
#define SL_MGMT_JWKS_READ_H

#include "mgmt/conf.h"

#define SL_JWKS_BYTES (256u << 10)
#define SL_JWKS_WHY 300
#define SL_JWKS_NOTE 200

/* Counted: shared by all tables that were made with it. */
struct sl_jwks_set {
	unsigned refs; /* atomic */
	uint32_t cnt, left_out;
	char note[SL_JWKS_NOTE]; /* the first that was left out, and why; "" */
	struct sl_conf_jwt_key key[];
};

/* 0; -EINVAL with why, -ENOMEM. */
int sl_jwks_read(const char *text, size_t len, char why[SL_JWKS_WHY], struct sl_jwks_set **ret);
struct sl_jwks_set *sl_jwks_set_ref(struct sl_jwks_set *s);
void sl_jwks_set_unref(struct sl_jwks_set *s); /* NULL is allowed */
bool sl_jwks_set_same(const struct sl_jwks_set *a, const struct sl_jwks_set *b);

/* Of a configuration's issuers: `keys` is that of a set, NULL: none. */
void sl_jwks_lend(struct sl_jwks_set *s, struct sl_conf_jwt *j);
void sl_jwks_give_back(struct sl_conf_jwt *j);

#endif
