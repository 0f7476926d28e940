/* cert_check — may this certificate and key, or this bundle, be used?  And what is in it?
 *
 * PEM text in, a secret of the layout of secrets.h out.  All problems are found at once; each is a sentence in diag with the
 * path "cert", "key" or "ca" (which of the texts), and never a byte of a key.
 *   pair     one key, not encrypted: RSA of 2048 to 8192 bits, EC P-256 or P-384, Ed25519; its certificate, then the chain in order,
 *            each signed by the next, CAs but the first; all valid now; a name at least, well-formed (RFC 5280 4.2.1.6; SPIFFE
 *            X.509-SVID); for TLS servers or clients, or for anything.  Warned of: expires within SL_CERT_SOON_S
 *   bundle   CAs, none twice, one at least valid now.  Warned of: others
 * Time: given, in seconds since 1970 UTC.
 * Threads: [any].  Errors: -EINVAL with diag, -ENOMEM.
 */
#ifndef SL_MGMT_CERT_CHECK_H
#define SL_MGMT_CERT_CHECK_H

#include "sluice/diag.h"
#include "sluice/secrets.h"

#define SL_CERT_SOON_S (30 * 86400)
#define SL_CERT_TEXT_MAX                                                                           \
	256 /* bytes of a subject or issuer that are kept, the terminating 0 included */

enum { SL_CERT_SERVER = 1, SL_CERT_CLIENT = 2 }; /* usage, bits */

struct sl_cert_line { /* of one certificate, what people are told */
	char subject[SL_CERT_TEXT_MAX], issuer[SL_CERT_TEXT_MAX]; /* printable ASCII */
	char key[24];                                             /* "RSA 2048", "EC P-256" */
	char serial[68];                                          /* hex */
	char fingerprint[65];                                     /* SHA-256, hex */
	int64_t not_before_s, not_after_s;
};

struct sl_cert_info {
	uint32_t kind;              /* SL_SECRET_PAIR, SL_SECRET_TRUST */
	unsigned usage;             /* of a pair */
	struct sl_cert_line *lines; /* [line_cnt]; of a pair the first is its own */
	unsigned line_cnt;
	char **names; /* of a pair: "DNS:shop.example", "URI:spiffe://…", "IP:192.0.2.1"; [name_cnt] */
	unsigned name_cnt;
};

struct sl_cert_made {
	struct sl_cert_info info;
	void *secret; /* of sl_wipe_alloc */
	size_t bytes;
};

/* Texts need no terminating 0.  *ret is untouched on failure. */
int sl_cert_check_pair(const char *cert, size_t cert_len, const char *key, size_t key_len,
		       int64_t now_s, struct sl_diag *diag, struct sl_cert_made *ret);
int sl_cert_check_trust(const char *ca, size_t len, int64_t now_s, struct sl_diag *diag,
			struct sl_cert_made *ret);
void sl_cert_made_fini(struct sl_cert_made *m);

/* sl_cert_describe reads a secret that was made by the checks; the key is not looked at.  0, -ENOMEM, or -EINVAL with a static
 * sentence. */
int sl_cert_describe(const void *secret, size_t bytes, uint32_t kind, struct sl_cert_info *ret,
		     const char **ret_why);
void sl_cert_info_fini(struct sl_cert_info *i);

/* sl_cert_not_after: when it is over.  A pair with the first of its chain; a bundle with the next of its CAs that are not over
 * now, or when the last was. */
int64_t sl_cert_not_after(const struct sl_cert_info *i, int64_t now_s);

/* sl_cert_spiffe_ok: NULL, or what is wrong with a SPIFFE id (https://spiffe.io, SPIFFE-ID 2). */
const char *sl_cert_spiffe_ok(const char *id, size_t len);

#endif
