/* keys — from the secrets of a handshake to the keys of its records, by OpenSSL's public functions.
 *
 * RFC 8446 7.1–7.3 (HKDF-Expand-Label: "key", "iv", "traffic upd"), RFC 5246 6.3 (key expansion of 1.2).
 * Threads: an sl_keys belongs to one thread (it has an OSSL_LIB_CTX's algorithms fetched).  What they leave on the stack is cleansed.
 */
#ifndef SL_L7_TLS_KEYS_H
#define SL_L7_TLS_KEYS_H

#include "l7/tls/record.h"

#define SL_SECRET_LEN_MAX 48 /* SHA-384 */

struct sl_keys;

/* NULL: no memory, or OpenSSL lacks the algorithms.  libctx: NULL: the default one. */
struct sl_keys *sl_keys_create(void *libctx);
void sl_keys_destroy(struct sl_keys *k);

/* Bytes of suite's key, and of the hash of its secrets (32 or 48). */
uint32_t sl_suite_key_len(unsigned suite);
uint32_t sl_suite_hash_len(unsigned suite);

/* sl_keys_expand: 1.3: key and iv of a traffic secret.  sl_keys_next: the next traffic secret, in place.
 * sl_keys_expand_12: 1.2: both directions' keys and ivs of a master secret (48 bytes) and the randoms (32 each).  false: OpenSSL failed. */
bool sl_keys_expand(struct sl_keys *k, unsigned suite, const uint8_t *secret, uint8_t ret_key[32],
		    uint8_t ret_iv[12]);
bool sl_keys_next(struct sl_keys *k, unsigned suite, uint8_t *secret);
bool sl_keys_expand_12(struct sl_keys *k, unsigned suite, const uint8_t master[48],
		       const uint8_t client_random[32], const uint8_t server_random[32],
		       uint8_t ret_client_key[32], uint8_t ret_client_iv[12],
		       uint8_t ret_server_key[32], uint8_t ret_server_iv[12]);

#endif
