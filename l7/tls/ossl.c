/* Records by OpenSSL over two memory BIOs.  SSL_read and SSL_write do all there is: tickets, key updates, alerts. */
#include "l7/tls/ossl.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

bool
sl_ossl_in(void *ssl, const void *bytes, uint32_t n)
{
	size_t done = 0;

	ERR_clear_error();
	return n == 0 || (BIO_write_ex(SSL_get_rbio(ssl), bytes, n, &done) == 1 && done == n);
}

long
sl_ossl_read(void *ssl, void *buf, uint32_t max)
{
	ERR_clear_error();
	int n = SSL_read(ssl, buf, (int)SL_MIN(max, INT32_MAX));
	if (n > 0)
		return n;
	int err = SSL_get_error(ssl, n);
	ERR_clear_error();
	return err == SSL_ERROR_WANT_READ ? 0 : err == SSL_ERROR_ZERO_RETURN ? -1 : -2;
}

/* A memory BIO takes all, so nothing is ever written in part. */
bool
sl_ossl_write(void *ssl, const void *bytes, uint32_t n)
{
	size_t done = 0;

	ERR_clear_error();
	bool ok = SSL_write_ex(ssl, bytes, n, &done) == 1 && done == n;
	ERR_clear_error();
	return ok;
}

uint32_t
sl_ossl_out_bytes(void *ssl)
{
	return (uint32_t)BIO_ctrl_pending(SSL_get_wbio(ssl));
}

uint32_t
sl_ossl_out(void *ssl, void *buf, uint32_t max)
{
	size_t done = 0;

	if (sl_ossl_out_bytes(ssl) == 0 || BIO_read_ex(SSL_get_wbio(ssl), buf, max, &done) != 1)
		return 0;
	return (uint32_t)done;
}

void
sl_ossl_close(void *ssl)
{
	ERR_clear_error();
	SSL_shutdown(ssl);
	ERR_clear_error();
}

void
sl_ossl_free(void *ssl)
{
	SSL_free(ssl);
	ERR_clear_error();
}
