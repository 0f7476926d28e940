/* book — what handshakes go by: certificates, keys, trust bundles, ticket keys, and what listeners and services say of TLS.
 *
 * main builds a book from the active generation and the secrets it holds, and puts it onto the board whenever either changes; a book
 * never changes.  Who handshakes holds the book he works with; the last to let go frees it.
 * Owner:   main builds; Threads: [main] build and set; [any] take and put.
 * Memory:  OpenSSL's allocator, which is the vault in the dataplane (locked, not dumped, cleansed): certificates and keys are kept as
 *          DER, each engine makes its own objects of them.
 */
#ifndef SL_L7_TLS_BOOK_H
#define SL_L7_TLS_BOOK_H

#include "sluice/diag.h"
#include "sluice/image.h"
#include "sluice/secrets.h"

#include <pthread.h>

struct sl_blob {
	uint8_t *data;
	uint32_t len;
	uint32_t zero;
};

enum sl_key_type { SL_KEY_RSA = 1, SL_KEY_EC = 2, SL_KEY_ED = 3 };

/* A certificate with its key; shared between books by count. */
struct sl_pair {
	_Atomic uint32_t refs;
	uint32_t chain_cnt; /* ≥ 1; [0] is the certificate */
	char name[SL_NAME_MAX];
	uint8_t hash[32]; /* SHA-256 of the secret's bytes: the version */
	struct sl_blob key;
	struct sl_blob chain[SL_SECRET_CHAIN];
	uint8_t type; /* enum sl_key_type; ED is shown where EC is (struct sl_sni) */
	uint8_t zero[3];
	uint32_t host_cnt;
	char (*hosts)
		[SL_HOST_MAX]; /* DNS SANs, lower case, "*." kept; common name where there are none */
	int64_t not_before, not_after; /* seconds of the epoch */
};

struct sl_trust {
	_Atomic uint32_t refs;
	uint32_t cnt;
	char name[SL_NAME_MAX];
	uint8_t hash[32];
	struct sl_blob *certs; /* [cnt] */
};

/* Which certificates a server name has: two when it has one of each kind.  SL_NO_PAIR: none. */
#define SL_NO_PAIR UINT32_MAX
struct sl_sni {
	char host[SL_HOST_MAX]; /* lower case; of "*.x" the "x"; "" of the default */
	uint8_t wildcard;
	uint8_t zero[3];
	uint32_t rsa, ec; /* index into the listener's pairs */
};

struct sl_book_listener {
	uint32_t slot;
	uint16_t incarnation;
	uint16_t zero;
	struct sl_img_tls_listener img; /* numbers only; firsts are meaningless here */
	uint32_t pair_cnt;
	struct sl_pair **pairs; /* [pair_cnt]; [0] is the default */
	uint32_t trust_cnt;
	struct sl_trust **trust;
	uint32_t san_cnt;
	char (*sans)[SL_HOST_MAX];
	/* sorted by (wildcard, host); sni[sni_cnt - 1] … the default is kept apart */
	uint32_t sni_cnt;
	struct sl_sni *sni;
	struct sl_sni
		fallback; /* of the default certificate; another of the list that has one of its names and the other kind of key beside */
	uint8_t policy
		[32]; /* SHA-256 of (name, client policy, trust hashes, sans, versions), the same on gateways of the same table: part of the session-id context */
};

struct sl_book_service {
	uint32_t slot;
	uint16_t incarnation;
	uint16_t zero;
	struct sl_img_tls_service img;
	struct sl_pair *pair; /* NULL: none */
	uint32_t trust_cnt;
	struct sl_trust *trust[4];
	char (*sans)[SL_HOST_MAX]; /* [img.san_cnt] */
	uint8_t policy[32]; /* of everything here: sessions are not resumed across a change */
};

struct sl_book {
	_Atomic uint32_t refs;
	uint32_t listener_cnt, service_cnt, ticket_cnt;
	uint64_t version;                   /* grows with each book of a board, from 1 */
	struct sl_book_listener *listeners; /* sorted by slot */
	struct sl_book_service *services;   /* sorted by slot */
	struct sl_ticket_key tickets[SL_TICKET_KEYS];
};

/* NULL: not there, or of another incarnation.  Valid as long as the book is held, as is all that is in it. */
const struct sl_book_listener *sl_book_listener(const struct sl_book *b, uint32_t slot,
						uint16_t incarnation);
const struct sl_book_service *sl_book_service(const struct sl_book *b, uint32_t slot,
					      uint16_t incarnation);
/* sl_book_sni: exact, then the wildcard (its "*" is one label exactly, RFC 6125 6.4.3), then the default.  host: lower case, NULL or
 * "": the default.  Of certificates with the same host and kind of key the first of the list. */
const struct sl_sni *sl_book_sni(const struct sl_book_listener *l, const char *host);

/* ---- the board ---- */

struct sl_board {
	pthread_mutex_t lock;
	struct sl_book *now; /* NULL: none yet */
	_Atomic uint64_t
		version; /* of now; 0: none.  Release with lock held, acquire by who looks without */
};

void sl_board_init(struct sl_board *b);
void sl_board_fini(struct sl_board *b);
struct sl_book *sl_board_take(struct sl_board *b);           /* NULL: none yet */
void sl_board_set(struct sl_board *b, struct sl_book *book); /* takes one reference over */
void sl_book_put(struct sl_book *b);

/* ---- building [main] ---- */

/* What main holds of secrets, by name. */
struct sl_keyring;
struct sl_keyring *sl_keyring_create(void);
void sl_keyring_destroy(struct sl_keyring *k);
/* sl_keyring_put takes in a secret (secrets.h layout; the caller cleanses his bytes): certificates parse, the key belongs to the first,
 * the chain's signatures hold.  Another of the same name and kind is replaced.  0, or -errno with a sentence in ret_text; what is
 * held stays then, and when the bytes are the same.  The stack below is cleansed.  name: terminated.
 * sl_keyring_drop: -ENOENT.  TICKETS: back to own ones.
 * sl_keyring_pair, _trust: the keyring's, until it is replaced or dropped; NULL: none. */
#define SL_KEYRING_TEXT 256
int sl_keyring_put(struct sl_keyring *k, uint32_t kind, const char *name, const void *secret,
		   size_t bytes, char ret_text[SL_KEYRING_TEXT]);
int sl_keyring_drop(struct sl_keyring *k, uint32_t kind, const char *name);
struct sl_pair *sl_keyring_pair(struct sl_keyring *k, const char *name);
struct sl_trust *sl_keyring_trust(struct sl_keyring *k, const char *name);

/* One listener or service, as the builder is given them. */
struct sl_book_source {
	const struct sl_img_listener *listener; /* or */
	const struct sl_img_service *service;
	uint32_t slot;
	uint16_t incarnation;
	const struct sl_img_tls_listener *tls_listener;
	const struct sl_img_tls_name *names; /* of LISTENERS */
	const struct sl_img_tls_san *sans;   /* of LISTENERS, or of the service */
	const struct sl_img_tls_service *tls_service;
};
/* sl_book_build: one reference is the caller's.  NULL: no memory, or names that the keyring lacks: all of them in diag.  Objects passed
 * sl_image_check.  Without ticket keys in the keyring, tickets are by
 * keys of its own, made once per keyring. */
struct sl_book *sl_book_build(struct sl_keyring *k, const struct sl_book_source *sources,
			      uint32_t cnt, uint64_t version, struct sl_diag *diag);

#endif
