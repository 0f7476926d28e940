/* cert_priv — between cert_check.c (what may be) and cert_read.c (what is there). */
#ifndef SL_MGMT_CERT_PRIV_H
#define SL_MGMT_CERT_PRIV_H

#include "mgmt/cert_check.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>

struct sl_cert_list {
	X509 *x[SL_SECRET_PARTS];
	unsigned cnt;
};

/* sl_cert_read_list takes all certificates of a PEM text, at most `max`; false: diag says what is wrong. */
bool sl_cert_read_list(const char *text, size_t len, const char *path, unsigned max,
		       struct sl_diag *diag, struct sl_cert_list *ret);
void sl_cert_list_fini(struct sl_cert_list *l);

/* sl_cert_read_key takes the one private key of a PEM text; NULL: diag says what is wrong. */
EVP_PKEY *sl_cert_read_key(const char *text, size_t len, struct sl_diag *diag);

/* sl_cert_line fills a row; sl_cert_subject, sl_cert_key_name and sl_cert_time fill buf and return it. */
void sl_cert_line(X509 *x, struct sl_cert_line *ret);
const char *sl_cert_subject(X509 *x, char buf[SL_CERT_TEXT_MAX]);
const char *sl_cert_key_name(EVP_PKEY *key, char buf[24]);
int64_t sl_cert_time(const ASN1_TIME *t);
const char *sl_cert_day(int64_t s, char buf[16]); /* "2026-01-31" */

/* sl_cert_names takes the names of a certificate.  0, -ENOMEM; names that are not well-formed get a row in diag (which may be
 * NULL), and are left out. */
int sl_cert_names(X509 *x, struct sl_diag *diag, char ***ret_names, unsigned *ret_cnt);

/* sl_cert_usage: SL_CERT_SERVER, SL_CERT_CLIENT. */
unsigned sl_cert_usage(X509 *x);

/* sl_cert_pack makes a secret of the key (NULL: none) and the certificates.  0, -ENOMEM, -E2BIG. */
int sl_cert_pack(uint32_t kind, EVP_PKEY *key, const struct sl_cert_list *l, void **ret_secret,
		 size_t *ret_bytes);

#endif
