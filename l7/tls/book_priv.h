/* book_priv — what books and the keyring share: certificates that several hold, ticket keys.
 * Private to book.c, book_build.c, keyring.c. */
#ifndef SL_L7_TLS_BOOK_PRIV_H
#define SL_L7_TLS_BOOK_PRIV_H

#include "l7/tls/book.h"

/* [any] One reference more, one less; the last one frees, and cleanses the key.  NULL is accepted by put. */
struct sl_pair *sl_pair_hold(struct sl_pair *p);
void sl_pair_put(struct sl_pair *p);
struct sl_trust *sl_trust_hold(struct sl_trust *t);
void sl_trust_put(struct sl_trust *t);

/* [main] The keys tickets are made with now, the first one encrypts: those that were put in, else its own. */
const struct sl_ticket_key *sl_keyring_tickets(const struct sl_keyring *k, uint32_t *ret_cnt);

/* Order of struct sl_sni (wildcard, host). */
int sl_sni_cmp(const void *a, const void *b);

#endif
