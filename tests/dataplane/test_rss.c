/* Toeplitz against the published vectors ("Verifying the RSS Hash Calculation", Microsoft). */
#include "dataplane/rss.h"

#include "tests/suite.h"

static const uint8_t key[SL_RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static const struct {
	const char *dst;
	uint16_t dport;
	const char *src;
	uint16_t sport;
	uint32_t addresses, ports;
} vectors[] = {
	{"161.142.100.80", 1766, "66.9.149.187", 2794, 0x323e8fc2, 0x51ccc178},
	{"65.69.140.83", 4739, "199.92.111.2", 14230, 0xd718262a, 0xc626b0ea},
	{"12.22.207.184", 38024, "24.19.198.95", 12898, 0xd2d0a5de, 0x5c2b394a},
	{"209.142.163.6", 2217, "38.27.205.30", 48228, 0x82989176, 0xafc7327f},
	{"202.188.127.2", 1303, "153.39.163.191", 44251, 0x5d1809c5, 0x10e828a2},
	{"3ffe:2501:200:3::1", 1766, "3ffe:2501:200:1fff::7", 2794, 0x2cc18cd5, 0x40207d3d},
	{"ff02::1", 4739, "3ffe:501:8::260:97ff:fe40:efab", 14230, 0x0f0c461c, 0xdde51bbf},
	{"fe80::200:f8ff:fe21:67cf", 38024, "3ffe:1900:4545:3:200:f8ff:fe21:67cf", 44251,
	 0x4b61e985, 0x02d1feef},
};

static struct sl_rss rss;

static struct sl_tuple
tuple(size_t i, uint8_t proto)
{
	struct sl_tuple t = {.proto = proto,
			     .sport = sl_to_be16(vectors[i].sport),
			     .dport = sl_to_be16(vectors[i].dport)};

	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(vectors[i].src, &t.src), 0);
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(vectors[i].dst, &t.dst), 0);
	return t;
}

static void
hash_matches_the_published_vectors(void)
{
	sl_rss_init(&rss, key, 1);
	for (size_t i = 0; i < SL_ARRAY_CNT(vectors); i++) {
		struct sl_tuple tcp = tuple(i, SL_IPPROTO_TCP), udp = tuple(i, SL_IPPROTO_UDP),
				icmp = tuple(i, SL_IPPROTO_ICMP),
				icmp6 = tuple(i, SL_IPPROTO_ICMP6);
		CU_ASSERT_EQUAL(sl_rss_hash(&rss, &tcp), vectors[i].ports);
		CU_ASSERT_EQUAL(sl_rss_hash(&rss, &udp), vectors[i].ports);
		CU_ASSERT_EQUAL(sl_rss_hash(&rss, &icmp), vectors[i].addresses);
		CU_ASSERT_EQUAL(sl_rss_hash(&rss, &icmp6), vectors[i].addresses);
	}
}

/* Bit by bit, as the definition has it, with a key of its own. */
static uint32_t
toeplitz(const uint8_t *k, const uint8_t *in, unsigned n)
{
	uint32_t h = 0;

	for (unsigned bit = 0; bit < n * 8; bit++) {
		if (!(in[bit / 8] >> (7 - bit % 8) & 1))
			continue;
		for (unsigned j = 0; j < 32; j++)
			h ^= (uint32_t)(k[(bit + j) / 8] >> (7 - (bit + j) % 8) & 1) << (31 - j);
	}
	return h;
}

static void
hash_equals_the_definition_on_random_tuples(void)
{
	uint8_t k[SL_RSS_KEY_BYTES], in[36];

	srandom(7);
	for (unsigned round = 0; round < 2000; round++) {
		if (round % 100 == 0) {
			for (unsigned i = 0; i < sizeof(k); i++)
				k[i] = (uint8_t)random();
			sl_rss_init(&rss, k, 3);
		}
		struct sl_tuple t = {.proto = SL_IPPROTO_TCP};
		bool v4 = round & 1;
		unsigned n = v4 ? 4 : 16;
		for (unsigned i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)random();
		t.src = v4 ? sl_addr_from_v4(in) : sl_addr_from_v6(in);
		t.dst = v4 ? sl_addr_from_v4(in + n) : sl_addr_from_v6(in + n);
		t.sport = sl_load16(in + 2 * n);
		t.dport = sl_load16(in + 2 * n + 2);
		CU_ASSERT_EQUAL(sl_rss_hash(&rss, &t), toeplitz(k, in, 2 * n + 4));
	}
}

static void
owners_take_turns_over_all_buckets(void)
{
	for (unsigned workers = 1; workers <= 64; workers++) {
		sl_rss_init(&rss, key, workers);
		CU_ASSERT_EQUAL(rss.worker_cnt, workers);
		for (unsigned b = 0; b < SL_RSS_BUCKETS; b++)
			CU_ASSERT_EQUAL(rss.owner[b], b % workers);
	}
	CU_ASSERT_EQUAL(sl_rss_bucket(0x51ccc178), 0x78);
}

/* Every port that is given puts the tuple into the wanted bucket, by the definition; none comes twice. */
static void
chosen_ports_lead_to_any_bucket(void)
{
	static uint8_t seen[65536];

	sl_rss_init(&rss, key, 3);
	for (unsigned family = 0; family < 2; family++) {
		size_t vector = family ? 5 : 0;
		unsigned n = family ? 16 : 4, total = 0, wrong = 0;
		struct sl_tuple t = tuple(vector, SL_IPPROTO_TCP);
		uint8_t in[36];
		memset(seen, 0, sizeof(seen));
		memcpy(in, t.src.b + 16 - n, n);
		memcpy(in + n, t.dst.b + 16 - n, n);
		memcpy(in + 2 * n, &t.sport, 2);
		t.dport = 0;
		unsigned bare = sl_rss_bucket(sl_rss_hash(&rss, &t));
		const struct sl_rss_ports *ports = family ? &rss.ports6 : &rss.ports4;
		for (unsigned want = 0; want < SL_RSS_BUCKETS; want++) {
			unsigned each = 0;
			for (unsigned i = 0; i < SL_RSS_PORTS; i++) {
				sl_be16 port = sl_rss_port(ports, bare ^ want, i);
				if (port == 0)
					continue;
				memcpy(in + 2 * n + 2, &port, 2);
				wrong += i % 8 == 0 && toeplitz(key, in, 2 * n + 4) % 128 != want;
				wrong += sl_from_be16(port) < 1024 || seen[port];
				seen[port] = 1;
				each++;
			}
			CU_ASSERT_TRUE(each >= 490);
			total += each;
		}
		CU_ASSERT_EQUAL(total, 65536 - 1024);
		CU_ASSERT_EQUAL(wrong, 0);
	}
}

static void
a_key_that_cannot_reach_every_bucket_is_told_apart(void)
{
	uint8_t k[SL_RSS_KEY_BYTES] = {0}, symmetric[SL_RSS_KEY_BYTES];
	unsigned bad = 0;

	CU_ASSERT_TRUE(sl_rss_key_ok(key));
	CU_ASSERT_FALSE(sl_rss_key_ok(k));
	sl_rss_init(&rss, k, 2);
	CU_ASSERT_EQUAL(sl_rss_port(&rss.ports4, 0, 0), 0);
	CU_ASSERT_EQUAL(sl_rss_port(&rss.ports6, 0, 511), 0);
	for (unsigned i = 0; i < sizeof(symmetric); i++)
		symmetric[i] = i % 2 ? 0x5a : 0x6d;
	CU_ASSERT_TRUE(sl_rss_key_ok(symmetric));
	/* Ones only: all ports alike in their effect, but for their number of bits. */
	memset(k, 0xff, sizeof(k));
	CU_ASSERT_FALSE(sl_rss_key_ok(k));
	/* One family alone. */
	memcpy(k, key, sizeof(k));
	memset(k + 34, 0, sizeof(k) - 34);
	CU_ASSERT_FALSE(sl_rss_key_ok(k));
	srandom(11);
	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < sizeof(k); i++)
			k[i] = (uint8_t)random();
		bad += !sl_rss_key_ok(k);
	}
	CU_ASSERT_TRUE(bad < 20);
}

SL_SUITE("rss", SL_TEST(chosen_ports_lead_to_any_bucket),
	 SL_TEST(a_key_that_cannot_reach_every_bucket_is_told_apart),
	 SL_TEST(hash_matches_the_published_vectors),
	 SL_TEST(hash_equals_the_definition_on_random_tuples),
	 SL_TEST(owners_take_turns_over_all_buckets))
