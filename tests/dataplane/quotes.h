/* quotes — ICMP errors about packets, made and judged independently of the code under test: every checksum is summed
 * over the whole of what it covers, as 16-bit big-endian words. */
#ifndef SL_TESTS_QUOTES_H
#define SL_TESTS_QUOTES_H

#include "tests/sim/frames.h"

static inline void
quote_put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline unsigned
quote_get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static inline uint32_t
quote_sum(uint32_t sum, const uint8_t *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sum += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The sum of an upper-layer packet of n bytes with its pseudo header; IPv4 or IPv6 header at ip. */
static inline uint32_t
quote_l4_sum(const uint8_t *ip, unsigned proto, const uint8_t *l4, unsigned n)
{
	const uint8_t tail[4] = {0, (uint8_t)proto, (uint8_t)(n >> 8), (uint8_t)n};
	uint32_t sum = ip[0] >> 4 == 4 ? quote_sum(0, ip + 12, 8) : quote_sum(0, ip + 8, 32);

	return quote_sum(quote_sum(sum, tail, 4), l4, n);
}

struct quote_spec {
	const char *from, *to; /* of the outer header */
	uint8_t type, code;
	uint8_t rest[4]; /* bytes 4 to 7 of the ICMP header */
	struct frame_spec about;
	unsigned l4_bytes; /* of the quoted packet behind its IP header; 0: all */
	unsigned pad;      /* zeros behind the quote */
	uint8_t ttl;       /* 0: 64 */
};

/* quote_make writes the frame (room for 2048 bytes); its length. */
static inline unsigned
quote_make(const struct quote_spec *s, const uint8_t dmac[6], const uint8_t smac[6], uint8_t *f)
{
	struct sl_addr from = frame_addr(s->from), to = frame_addr(s->to);
	bool v4 = sl_addr_is_v4(&to);
	unsigned l3 = v4 ? 20 : 40;
	uint8_t packet[2048], *ip = f + 14, *icmp = ip + l3;
	unsigned whole = frame_make(&s->about, packet) - 14;
	unsigned quoted = s->l4_bytes ? l3 + s->l4_bytes : whole;
	unsigned n = 8 + quoted + s->pad;

	memset(f, 0, 14 + l3 + n);
	memcpy(f, dmac, 6);
	memcpy(f + 6, smac, 6);
	quote_put16(f + 12, v4 ? 0x0800 : 0x86dd);
	icmp[0] = s->type;
	icmp[1] = s->code;
	memcpy(icmp + 4, s->rest, 4);
	memcpy(icmp + 8, packet + 14, quoted);
	if (v4) {
		ip[0] = 0x45;
		quote_put16(ip + 2, 20 + n);
		ip[8] = s->ttl ? s->ttl : 64;
		ip[9] = 1;
		memcpy(ip + 12, from.b + 12, 4);
		memcpy(ip + 16, to.b + 12, 4);
		quote_put16(ip + 10, ~quote_sum(0, ip, 20) & 0xffff);
		quote_put16(icmp + 2, ~quote_sum(0, icmp, n) & 0xffff);
	} else {
		ip[0] = 0x60;
		quote_put16(ip + 4, n);
		ip[6] = 58;
		ip[7] = s->ttl ? s->ttl : 64;
		memcpy(ip + 8, from.b, 16);
		memcpy(ip + 24, to.b, 16);
		quote_put16(icmp + 2, ~quote_l4_sum(ip, 58, icmp, n) & 0xffff);
	}
	return 14 + l3 + n;
}

/* Whether the outer header and the ICMP message of a frame have right checksums. */
static inline bool
quote_sums_ok(const uint8_t *f, unsigned l4_off, unsigned l4_len)
{
	const uint8_t *ip = f + 14;

	if (ip[0] >> 4 == 4)
		return quote_sum(0, ip, (ip[0] & 15) * 4u) == 0xffff &&
		       quote_sum(0, f + l4_off, l4_len) == 0xffff;
	return quote_l4_sum(ip, 58, f + l4_off, l4_len) == 0xffff;
}

#endif
