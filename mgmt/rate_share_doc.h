/* rate_share_doc — the document of a limit that gateways share: who has how many tokens of it.
 *
 *   {"gateways": [{"session": "00c0ffee00c0ffee", "gateway": "gw-1", "share": 500, "floor": 20, "want": 480, "per_ms": 1000, "seq": 7}, …]}
 *
 * An entry is written by the gateway that it is about; others only take from it what is over its floor when it is gone, then all.
 * It is read as a whole or not at all.  That all shares together are no more than the limit has is not looked at here.
 * Threads: [any].  Pure.
 */
#ifndef SL_MGMT_RATE_SHARE_DOC_H
#define SL_MGMT_RATE_SHARE_DOC_H

#include "sluice/image.h"

#define SL_SHARE_GATEWAYS 64
#define SL_SHARE_DOC_BYTES 65536
#define SL_SHARE_TOKENS_MAX 10000000
#define SL_SHARE_PER_MS_MAX 86400000

struct sl_share_entry {
	uint64_t session; /* of a sluiced, kept over its restarts; not 0 */
	char gateway[SL_NAME_MAX];
	uint32_t share; /* tokens that are its own; all at most SL_SHARE_TOKENS_MAX */
	uint32_t floor; /* what of them stays its own when its short lease has ended */
	uint32_t want;
	uint32_t per_ms; /* of its table: [1, SL_SHARE_PER_MS_MAX] */
	uint64_t seq;    /* of its writes; below 2^62 */
};

struct sl_share_doc {
	unsigned cnt;
	struct sl_share_entry e[SL_SHARE_GATEWAYS]; /* [cnt], by session, each once */
};

/* 0, or -EINVAL with why: the end of a sentence ("is not JSON …"), printable. */
int sl_share_doc_read(const char *text, size_t len, struct sl_share_doc *ret, char *why,
		      size_t size);
/* To be freed; NULL: no memory. */
char *sl_share_doc_write(const struct sl_share_doc *d);

/* Its entry, or NULL. */
struct sl_share_entry *sl_share_doc_find(struct sl_share_doc *d, uint64_t session);
/* A new one, all 0 but the session; NULL: there is no room. */
struct sl_share_entry *sl_share_doc_add(struct sl_share_doc *d, uint64_t session);
void sl_share_doc_remove(struct sl_share_doc *d, struct sl_share_entry *e);
/* Of all shares. */
uint64_t sl_share_doc_sum(const struct sl_share_doc *d);
bool sl_share_doc_equal(const struct sl_share_doc *a, const struct sl_share_doc *b);

#endif
