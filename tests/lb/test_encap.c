/* The outer header, byte by byte, against a builder that knows nothing of the code under test: every field is put down
 * by hand, checksums are summed 16 bits at a time over the finished bytes. */
#include "lb/encap.h"

#include "tests/suite.h"

#define ROOM 64
#define SIZE 2048

static uint64_t rng = 5;

static uint64_t
draw(void)
{
	rng += 0x9e3779b97f4a7c15ull;
	uint64_t z = rng;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void
put16(uint8_t *b, unsigned v)
{
	b[0] = (uint8_t)(v >> 8);
	b[1] = (uint8_t)v;
}

static unsigned
get16(const uint8_t *b)
{
	return (unsigned)b[0] << 8 | b[1];
}

static uint32_t
sum(const uint8_t *b, unsigned n, uint32_t s)
{
	for (unsigned i = 0; i < n; i++)
		s += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

static struct sl_addr
addr(const char *text)
{
	struct sl_addr a;

	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(text, &a), 0);
	return a;
}

/* An inner packet with Ethernet header, ROOM bytes into buf; its length. */
static unsigned
inner(uint8_t *buf, bool v4, uint8_t tos, unsigned payload)
{
	uint8_t *f = buf + ROOM, *ip = f + 14;
	unsigned l3 = v4 ? 20 : 40;

	for (unsigned i = 0; i < 14 + l3 + payload; i++)
		f[i] = (uint8_t)draw();
	put16(f + 12, v4 ? 0x0800 : 0x86dd);
	if (v4) {
		ip[0] = 0x45;
		ip[1] = tos;
		put16(ip + 2, l3 + payload);
	} else {
		ip[0] = (uint8_t)(0x60 | tos >> 4);
		ip[1] = (uint8_t)((tos << 4 & 0xf0) | (ip[1] & 0x0f));
		put16(ip + 4, payload);
	}
	return 14 + l3 + payload;
}

static struct sl_pkt
packet(uint8_t *buf, bool v4, unsigned len)
{
	return (struct sl_pkt){
		.data = buf + ROOM,
		.len = (uint16_t)len,
		.flags = (v4 ? SL_PKT_V4 : SL_PKT_V6) | SL_PKT_TCP,
		.l3_off = 14,
		.l4_off = v4 ? 34 : 54,
		.l4_len = len - (v4 ? 34 : 54),
	};
}

/* What stands before the inner IP packet, from the outer IP header on; its length.  label and sport are read from what
 * came out: which bits of the hash they are is the code's affair. */
static unsigned
build(uint8_t *o, bool gue, bool inner_v4, uint8_t tos, const struct sl_addr *src,
      const struct sl_addr *dst, unsigned gue_port, const uint8_t *ip, unsigned ip_len,
      const uint8_t *came)
{
	bool v4 = sl_addr_is_v4(dst);
	unsigned more = gue ? 12 : 0, l3 = v4 ? 20 : 40;
	uint8_t *u = o + l3, proto = inner_v4 ? 4 : 41;

	memset(o, 0, l3 + more);
	if (v4) {
		o[0] = 0x45;
		o[1] = tos;
		put16(o + 2, 20 + more + ip_len);
		o[6] = 0x40;
		o[8] = 64;
		o[9] = gue ? 17 : proto;
		memcpy(o + 12, src->b + 12, 4);
		memcpy(o + 16, dst->b + 12, 4);
		put16(o + 10, ~sum(o, 20, 0) & 0xffff);
	} else {
		o[0] = (uint8_t)(0x60 | tos >> 4);
		o[1] = (uint8_t)((tos & 15) << 4 | (came[1] & 15));
		o[2] = came[2];
		o[3] = came[3];
		put16(o + 4, more + ip_len);
		o[6] = gue ? 17 : proto;
		o[7] = 64;
		memcpy(o + 8, src->b, 16);
		memcpy(o + 24, dst->b, 16);
	}
	if (!gue)
		return l3;
	memcpy(u, came + l3, 2);
	put16(u + 2, gue_port);
	put16(u + 4, 12 + ip_len);
	u[9] = proto;
	if (!v4) {
		uint8_t tail[4] = {0, 17, (uint8_t)((12 + ip_len) >> 8), (uint8_t)(12 + ip_len)};
		uint32_t s = sum(tail, 4, sum(o + 8, 32, 0));
		s = sum(ip, ip_len, sum(u, 12, s));
		put16(u + 6, (~s & 0xffff) ? ~s & 0xffff : 0xffff);
	}
	return l3 + 12;
}

static void
judge(bool gue, bool inner_v4, bool outer_v4, unsigned payload, uint64_t hash)
{
	static uint8_t buf[ROOM + SIZE], was[ROOM + SIZE], want[64];
	uint8_t tos = (uint8_t)draw(), forward = gue ? SL_FORWARD_GUE : SL_FORWARD_IPIP;
	unsigned len = inner(buf, inner_v4, tos, payload), ip_len = len - 14;
	struct sl_pkt p = packet(buf, inner_v4, len);
	struct sl_addr src = addr(outer_v4 ? "172.16.3.4" : "2001:db8:5::77");
	struct sl_addr dst = addr(outer_v4 ? "10.0.2.11" : "fd00:2::11");
	unsigned more = sl_encap_bytes(forward, outer_v4);

	memcpy(was, buf, sizeof(buf));
	if (!gue && outer_v4) {
		/* the short form gives the same, from the IP header on */
		struct sl_pkt q = p;
		sl_encap_ipip4(&q, sl_load32(src.b + 12), sl_load32(dst.b + 12));
		unsigned got = build(want, gue, inner_v4, tos, &src, &dst, 6080, was + ROOM + 14,
				     ip_len, q.data + 14);
		CU_ASSERT_EQUAL(got, 20);
		CU_ASSERT_EQUAL(memcmp(q.data + 14, want, 20), 0);
		CU_ASSERT_EQUAL(memcmp(buf + ROOM + 14, was + ROOM + 14, SIZE - 14), 0);
		CU_ASSERT_PTR_EQUAL(q.data, buf + ROOM - 20);
		CU_ASSERT_EQUAL(q.grown, 20);
		CU_ASSERT_EQUAL(q.len, len + 20);
		memcpy(buf, was, sizeof(buf));
	}
	sl_encap(&p, forward, &src, &dst, hash, sl_to_be16(6080));
	CU_ASSERT_EQUAL(more, (outer_v4 ? 20u : 40u) + (gue ? 12u : 0u));
	CU_ASSERT_PTR_EQUAL(p.data, buf + ROOM - more);
	CU_ASSERT_EQUAL(p.grown, more);
	CU_ASSERT_EQUAL(p.len, len + more);
	CU_ASSERT_EQUAL(p.l3_off, 14);
	CU_ASSERT_EQUAL(p.l4_off, outer_v4 ? 34 : 54);
	CU_ASSERT_EQUAL(p.l4_len, p.len - p.l4_off);
	CU_ASSERT_EQUAL(get16(p.data + 12), outer_v4 ? 0x0800 : 0x86dd);
	unsigned n = build(want, gue, inner_v4, tos, &src, &dst, 6080, was + ROOM + 14, ip_len,
			   p.data + 14);
	CU_ASSERT_EQUAL(n, more);
	CU_ASSERT_EQUAL(memcmp(p.data + 14, want, n), 0);
	/* the inner packet, and what lies before the frame */
	CU_ASSERT_EQUAL(memcmp(buf + ROOM + 14, was + ROOM + 14, SIZE - 14), 0);
	CU_ASSERT_EQUAL(memcmp(buf, was, ROOM - more), 0);
	if (gue) {
		CU_ASSERT_TRUE(get16(p.data + p.l4_off) >= 49152);
		CU_ASSERT_TRUE(outer_v4 == (get16(p.data + p.l4_off + 6) == 0));
	}
	if (!outer_v4)
		CU_ASSERT_TRUE((sl_from_be32(sl_load32(p.data + 14)) & 0xfffff) != 0);
}

static void
headers_are_those_of_the_rfcs(void)
{
	for (unsigned i = 0; i < 8; i++)
		for (unsigned payload = 8; payload < 1400; payload += i & 1 ? 1 : 3)
			judge(i & 1, i & 2, i & 4, payload, draw());
}

static void
a_hash_of_nothing_still_labels(void)
{
	for (unsigned i = 0; i < 8; i++)
		judge(i & 1, i & 2, i & 4, 100, 0);
}

/* Known bytes, worked out by hand: 10.0.0.1 → 10.0.0.2, 40 bytes inside, DSCP 46 ECN 1. */
static void
one_header_known_by_heart(void)
{
	static const uint8_t known[20] = {0x45, 0xb9, 0x00, 0x3c, 0x00, 0x00, 0x40,
					  0x00, 0x40, 0x04, 0x26, 0x03, 0x0a, 0x00,
					  0x00, 0x01, 0x0a, 0x00, 0x00, 0x02};
	uint8_t buf[ROOM + SIZE];
	struct sl_pkt p = packet(buf, true, inner(buf, true, 0xb9, 20));
	struct sl_addr src = addr("10.0.0.1"), dst = addr("10.0.0.2");

	CU_ASSERT_EQUAL(sum(known, 20, 0), 0xffff);
	sl_encap(&p, SL_FORWARD_IPIP, &src, &dst, 1, 0);
	CU_ASSERT_EQUAL(memcmp(p.data + 14, known, 20), 0);
}

static void
the_source_port_spreads_with_the_hash(void)
{
	static uint8_t seen[65536];
	struct sl_addr src = addr("10.0.0.1"), dst = addr("10.0.0.2");
	unsigned distinct = 0;

	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < 4096; i++) {
		uint8_t buf[ROOM + SIZE];
		struct sl_pkt p = packet(buf, true, inner(buf, true, 0, 20));
		sl_encap(&p, SL_FORWARD_GUE, &src, &dst, draw(), sl_to_be16(6080));
		unsigned port = get16(p.data + 34);
		distinct += !seen[port];
		seen[port] = 1;
	}
	/* of 16,384, with 4096 draws: 3,625 expected */
	CU_ASSERT_TRUE(distinct > 3500);
}

static void
outer_sources_stay_in_their_prefix_and_spread(void)
{
	static const struct {
		const char *prefix;
		unsigned plen, least;
	} rows[] = {
		{"172.16.0.0", 112, 15000}, {"172.16.5.0", 120, 254},  {"172.16.5.8", 125, 6},
		{"172.16.5.8", 126, 2},     {"172.16.5.8", 127, 2},    {"172.16.5.9", 128, 1},
		{"10.0.0.0", 104, 19000},   {"2001:db8::", 64, 19000}, {"2001:db8::", 32, 19000},
		{"2001:db8::40", 122, 63},  {"2001:db8::7", 128, 1},   {"2001:db8::6", 127, 1},
	};
	struct sl_addr *seen = calloc(20000, sizeof(*seen));

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		struct sl_addr prefix = addr(rows[r].prefix);
		unsigned bits = 128 - rows[r].plen, distinct = 0;
		for (unsigned i = 0; i < 20000; i++) {
			struct sl_addr a = sl_encap_source(&prefix, rows[r].plen, draw());
			CU_ASSERT_TRUE_FATAL(sl_addr_in(&a, &prefix, rows[r].plen));
			uint32_t host = sl_from_be32(sl_load32(a.b + 12));
			if (bits > 1 && bits < 32) {
				host &= (1u << bits) - 1;
				CU_ASSERT_NOT_EQUAL(host, 0);
				if (sl_addr_is_v4(&prefix))
					CU_ASSERT_NOT_EQUAL(host, (1u << bits) - 1);
			}
			seen[i] = a;
		}
		qsort(seen, 20000, sizeof(*seen),
		      (int (*)(const void *, const void *))(uintptr_t)sl_addr_cmp);
		for (unsigned i = 0; i < 20000; i++)
			distinct += i == 0 || !sl_addr_eq(&seen[i], &seen[i - 1]);
		CU_ASSERT_TRUE(distinct >= rows[r].least);
		if (distinct < rows[r].least)
			printf("    %s/%u: %u\n", rows[r].prefix, rows[r].plen, distinct);
	}
	free(seen);
	struct sl_addr p = addr("172.16.5.8"), six = addr("2001:db8::");
	struct sl_addr least = sl_encap_source(&p, 125, 0),
		       most = sl_encap_source(&p, 125, UINT64_MAX);
	struct sl_addr a = addr("172.16.5.9"), b = addr("172.16.5.14"), c = addr("2001:db8::1");
	CU_ASSERT_TRUE(sl_addr_eq(&least, &a));
	CU_ASSERT_TRUE(sl_addr_eq(&most, &b));
	least = sl_encap_source(&six, 64, 0);
	CU_ASSERT_TRUE(sl_addr_eq(&least, &c));
}

SL_SUITE("encap", SL_TEST(headers_are_those_of_the_rfcs), SL_TEST(a_hash_of_nothing_still_labels),
	 SL_TEST(one_header_known_by_heart), SL_TEST(the_source_port_spreads_with_the_hash),
	 SL_TEST(outer_sources_stay_in_their_prefix_and_spread))
