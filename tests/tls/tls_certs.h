/* tls_certs — certificates, chains and bundles for tests, made while they run; nothing here has a fixed date.
 *
 *   struct tls_cert *ca = tls_cert_make(&(struct tls_cert_spec){.cn = "ca", .ca = true});
 *   struct tls_cert *web = tls_cert_make(&(struct tls_cert_spec){.issuer = ca, .sans = {TLS_SAN("DNS:web.example")}});
 *
 * What cannot be made ends the test program.  Certificates hold what they were issued by: free them in any order.
 * Threads: one at a time (RSA keys are made once and lent again).
 */
#ifndef SL_TESTS_TLS_CERTS_H
#define SL_TESTS_TLS_CERTS_H

#include "sluice/secrets.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

enum tls_cert_key {
	TLS_CERT_EC, /* P-256, a new one each time */
	TLS_CERT_EC384,
	TLS_CERT_RSA,      /* 2048 bits, the same for all */
	TLS_CERT_RSA_NEW,  /* 2048 bits, a new one each time: slow */
	TLS_CERT_RSA_1024, /* too weak */
	TLS_CERT_ED25519,
};

/* "DNS:…", "URI:…", "EMAIL:…" or "IP:…" (numbers and dots, or colons). */
struct tls_cert_san {
	const char *text;
	size_t len; /* with its kind; 0: up to the terminator.  For text with NUL in it */
};
#define TLS_SAN(s)                                                                                 \
	(struct tls_cert_san)                                                                      \
	{                                                                                          \
		s, sizeof(s) - 1                                                                   \
	}
#define TLS_SAN_MAX 72

struct tls_cert_spec {
	enum tls_cert_key key;
	const char *cn; /* NULL: the subject is empty */
	struct tls_cert_san sans[TLS_SAN_MAX];
	struct tls_cert *issuer; /* NULL: signed by itself */
	bool ca;
	const char *
		usage; /* extended key usage: "serverAuth", "clientAuth", "serverAuth,clientAuth" …; NULL: both for who is no CA; "": no extension */
	int64_t from_s, until_s; /* from now; both 0: an hour ago, in 30 days */
};

struct tls_cert {
	X509 *x;
	EVP_PKEY *key;
	uint32_t refs;
	struct tls_cert *issuer; /* NULL: itself */
};

struct tls_cert *tls_cert_make(const struct tls_cert_spec *spec);
void tls_cert_free(struct tls_cert *c); /* NULL is accepted */

/* A pair for server names: EC, DNS SANs of one or two names. */
struct tls_cert *tls_cert_leaf(struct tls_cert *issuer, enum tls_cert_key key, const char *dns);
struct tls_cert *tls_cert_ca(const char *cn);

/* The certificate and its issuers but the last, who signed himself.  ret: [SL_SECRET_CHAIN].  How many, ≥ 1. */
unsigned tls_cert_chain(const struct tls_cert *c, X509 *ret[SL_SECRET_CHAIN]);

/* What SL_CTL_SECRET carries (secrets.h): aligned, to be freed with free. */
void *tls_secret_pair(const struct tls_cert *c, size_t *ret_bytes);
void *tls_secret_trust(struct tls_cert *const *cas, unsigned cnt, size_t *ret_bytes);
void *tls_secret_tickets(const struct sl_ticket_key *keys, unsigned cnt, size_t *ret_bytes);

/* PEM, 0-terminated, to be freed with free: the certificate with its chain; the key (PKCS #8). */
char *tls_cert_pem(const struct tls_cert *c);
char *tls_cert_key_pem(const struct tls_cert *c);

/* A ticket key of `seed`'s bytes. */
struct sl_ticket_key tls_ticket_key(unsigned seed);

#endif
