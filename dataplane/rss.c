/* Toeplitz: the hash is the sum (xor) over all set bits of the input, most significant first, of the 32 key
 * bits that begin at the bit's position.  Being linear it splits by bytes: 256 sums for each position. */
#include "dataplane/rss.h"

/* The 32 bits of the key from bit `at`; at in [0, 288). */
static uint32_t
key_window(const uint8_t *key, unsigned at)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 5; i++)
		v = v << 8 | (at / 8 + i < SL_RSS_KEY_BYTES ? key[at / 8 + i] : 0);
	return (uint32_t)(v >> (8 - at % 8));
}

static void
fill(uint32_t row[256], const uint8_t *key, unsigned position)
{
	row[0] = 0;
	for (unsigned bit = 0; bit < 8; bit++) {
		unsigned value = 0x80u >> bit;
		row[value] = key_window(key, position * 8 + bit);
	}
	for (unsigned v = 1; v < 256; v++)
		row[v] = row[v & (v - 1)] ^ row[v & -v];
}

/* hi, lo: contributions of the port's two bytes. */
static void
build_ports(struct sl_rss_ports *p, const uint32_t hi[256], const uint32_t lo[256])
{
	bool seen[SL_RSS_BUCKETS] = {false};
	unsigned still = 0, changes = 0;

	*p = (struct sl_rss_ports){.ok = 0};
	for (unsigned port = 0; port <= UINT16_MAX; port++) {
		unsigned change = sl_rss_bucket(hi[port >> 8] ^ lo[port & 255]);
		if (!seen[change]) {
			seen[change] = true;
			p->offset[change] = (uint16_t)port;
			changes++;
		}
		if (change == 0 && still < SL_RSS_PORTS)
			p->still[still++] = (uint16_t)port;
	}
	p->ok = changes == SL_RSS_BUCKETS;
}

bool
sl_rss_key_ok(const uint8_t key[SL_RSS_KEY_BYTES])
{
	uint32_t hi[256], lo[256];
	struct sl_rss_ports p;

	for (unsigned at = 10; at <= 34; at += 34 - 10) {
		fill(hi, key, at);
		fill(lo, key, at + 1);
		build_ports(&p, hi, lo);
		if (!p.ok)
			return false;
	}
	return true;
}

void
sl_rss_init(struct sl_rss *r, const uint8_t key[SL_RSS_KEY_BYTES], unsigned worker_cnt)
{
	SL_ASSERT(worker_cnt >= 1 && worker_cnt <= 64);
	memcpy(r->key, key, SL_RSS_KEY_BYTES);
	for (unsigned i = 0; i < SL_ARRAY_CNT(r->v4); i++)
		fill(r->v4[i], key, i);
	for (unsigned i = 0; i < SL_ARRAY_CNT(r->v6); i++)
		fill(r->v6[i], key, i);
	for (unsigned i = 0; i < SL_RSS_BUCKETS; i++)
		r->owner[i] = (uint8_t)(i % worker_cnt);
	r->worker_cnt = worker_cnt;
	build_ports(&r->ports4, r->v4[10], r->v4[11]);
	build_ports(&r->ports6, r->v6[34], r->v6[35]);
}

static inline uint32_t
sum(const uint32_t (*rows)[256], const void *bytes, unsigned n)
{
	const uint8_t *b = bytes;
	uint32_t h = 0;

	for (unsigned i = 0; i < n; i++)
		h ^= rows[i][b[i]];
	return h;
}

uint32_t
sl_rss_hash(const struct sl_rss *r, const struct sl_tuple *t)
{
	bool ports = t->proto == SL_IPPROTO_TCP || t->proto == SL_IPPROTO_UDP;
	uint32_t h;

	/* sport and dport lie side by side in the tuple */
	if (sl_likely(sl_addr_is_v4(&t->dst))) {
		h = sum(r->v4, t->src.b + 12, 4) ^ sum(r->v4 + 4, t->dst.b + 12, 4);
		return ports ? h ^ sum(r->v4 + 8, &t->sport, 4) : h;
	}
	h = sum(r->v6, t->src.b, 16) ^ sum(r->v6 + 16, t->dst.b, 16);
	return ports ? h ^ sum(r->v6 + 32, &t->sport, 4) : h;
}
