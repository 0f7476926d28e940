/* ossl — records by OpenSSL's own layer, for sessions that the seam (record.h) cannot do.  Counted (ossl_fallback), and slow.
 *
 * Owner: the session's worker, after the engine let go of the SSL.  Threads: [worker].  Allocates (OpenSSL does).
 */
#ifndef SL_L7_TLS_OSSL_H
#define SL_L7_TLS_OSSL_H

#include "sluice/base.h"

/* sl_ossl_in takes n bytes of ciphertext in; false: no memory.  sl_ossl_read: plaintext into buf: bytes; 0: none now; -1: close_notify;
 * -2: broken (sl_ossl_out has the alert, perhaps).  sl_ossl_write: n bytes of plaintext, [1, 16384]; false: broken.
 * sl_ossl_out: ciphertext to be sent, up to max: bytes.  sl_ossl_out_bytes: how much there is.  sl_ossl_close: close_notify goes out. */
bool sl_ossl_in(void *ssl, const void *bytes, uint32_t n);
long sl_ossl_read(void *ssl, void *buf, uint32_t max);
bool sl_ossl_write(void *ssl, const void *bytes, uint32_t n);
uint32_t sl_ossl_out_bytes(void *ssl);
uint32_t sl_ossl_out(void *ssl, void *buf, uint32_t max);
void sl_ossl_close(void *ssl);
void sl_ossl_free(void *ssl); /* NULL is accepted */

#endif
