/* rss — which worker owns a packet: Toeplitz hash of the tuple, 128 buckets (design.md section 3).
 *
 * The same function as the NIC's, so that a port with RSS, a port without, and a packet not yet sent
 * (the reply of a nat flow) all agree.  The table form costs one load per input byte.
 * Threads: [worker] after sl_rss_init [main]. Pure.
 */
#ifndef SL_DATAPLANE_RSS_H
#define SL_DATAPLANE_RSS_H

#include "sluice/addr.h"

#define SL_RSS_BUCKETS 128
#define SL_RSS_KEY_BYTES 40

struct sl_rss {
	uint32_t v4[12][256]; /* contribution of byte value at position: src, dst, sport, dport */
	uint32_t v6[36][256];
	uint8_t key[SL_RSS_KEY_BYTES];
	uint8_t owner[SL_RSS_BUCKETS]; /* bucket → worker */
	uint32_t worker_cnt;
};

/* worker_cnt in [1, 64]; owner[i] = i mod worker_cnt. */
void sl_rss_init(struct sl_rss *r, const uint8_t key[SL_RSS_KEY_BYTES], unsigned worker_cnt);

/* sl_rss_hash: Toeplitz over (src, dst, sport, dport) for TCP and UDP, (src, dst) for other protocols. */
uint32_t sl_rss_hash(const struct sl_rss *r, const struct sl_tuple *t);

static inline unsigned
sl_rss_bucket(uint32_t hash)
{
	return hash % SL_RSS_BUCKETS;
}

#endif
