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

/* Ports that we choose (fullnat).  A destination port changes the bucket by a sum of its own bits alone, so the ports
 * that change it by c are one port of that kind, offset[c], combined (xor) with those that change nothing: 512 each. */
#define SL_RSS_PORTS 512
#define SL_RSS_PORT_MIN 1024
struct sl_rss_ports {
	uint16_t still[SL_RSS_PORTS]; /* ports that change nothing */
	uint16_t offset[SL_RSS_BUCKETS];
	uint32_t ok; /* 1: every change can be had (sl_rss_key_ok); else there are no ports */
};

struct sl_rss {
	uint32_t v4[12][256]; /* contribution of byte value at position: src, dst, sport, dport */
	uint32_t v6[36][256];
	uint8_t key[SL_RSS_KEY_BYTES];
	uint8_t owner[SL_RSS_BUCKETS]; /* bucket → worker */
	uint32_t worker_cnt;
	struct sl_rss_ports ports4, ports6;
};

/* worker_cnt in [1, 64]; owner[i] = i mod worker_cnt. */
void sl_rss_init(struct sl_rss *r, const uint8_t key[SL_RSS_KEY_BYTES], unsigned worker_cnt);

/* sl_rss_key_ok: whether ports can be chosen under the key, in both families: every bucket can be reached by the
 * destination port.  About one random key in 500 fails. */
bool sl_rss_key_ok(const uint8_t key[SL_RSS_KEY_BYTES]);

/* sl_rss_hash: Toeplitz over (src, dst, sport, dport) for TCP and UDP, (src, dst) for other protocols. */
uint32_t sl_rss_hash(const struct sl_rss *r, const struct sl_tuple *t);

static inline unsigned
sl_rss_bucket(uint32_t hash)
{
	return hash % SL_RSS_BUCKETS;
}

/* sl_rss_port: the n-th of the destination ports (n in [0, SL_RSS_PORTS)) that change the bucket of a tuple whose port
 * is 0 by `change`, which is the bucket it has xor the one it shall have.  0: there is none at that place, because it
 * would be below SL_RSS_PORT_MIN. */
static inline sl_be16
sl_rss_port(const struct sl_rss_ports *p, unsigned change, unsigned n)
{
	uint16_t port = p->offset[change] ^ p->still[n];

	return p->ok && port >= SL_RSS_PORT_MIN ? sl_to_be16(port) : 0;
}

#endif
