#include "tests/sim/tcp_wire.h"

#include <stdio.h>

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

uint32_t
wire_sum(uint32_t sum, const uint8_t *bytes, unsigned len)
{
	uint64_t s = sum;

	for (; len > 1; len -= 2, bytes += 2)
		s += get16(bytes);
	if (len)
		s += (uint32_t)bytes[0] << 8;
	while (s >> 32)
		s = (s & 0xffffffff) + (s >> 32);
	return (uint32_t)s;
}

uint16_t
wire_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Sum of the pseudo header and the segment. */
static uint32_t
sum_tcp(const uint8_t *ip, unsigned l3, unsigned len)
{
	uint32_t s = l3 == 20 ? wire_sum(0, ip + 12, 8) : wire_sum(0, ip + 8, 32);

	s = wire_sum(s, ip + l3, len - l3);
	return s + 6 + (len - l3);
}

void
wire_finish(uint8_t *ip, unsigned len)
{
	unsigned l3 = ip[0] >> 4 == 4 ? 20 : 40;

	if (l3 == 20) {
		put16(ip + 10, 0);
		put16(ip + 10, wire_fold(wire_sum(0, ip, 20)));
	}
	put16(ip + l3 + 16, 0);
	put16(ip + l3 + 16, wire_fold(sum_tcp(ip, l3, len)));
}

static const char *
read_ip(const uint8_t *ip, unsigned len, struct wire_seg *s, unsigned *ret_l3)
{
	if (len < 20)
		return "shorter than an IP header";
	if (ip[0] == 0x45) {
		if (get16(ip + 2) != len)
			return "IPv4 length";
		if (wire_fold(wire_sum(0, ip, 20)) != 0)
			return "IPv4 checksum";
		if (ip[9] != 6)
			return "IPv4 protocol";
		if (get16(ip + 6) & 0xbfff)
			return "fragment";
		s->may_split = !(ip[6] & 0x40);
		s->ttl = ip[8];
		s->src = sl_addr_from_v4(ip + 12);
		s->dst = sl_addr_from_v4(ip + 16);
		*ret_l3 = 20;
		return NULL;
	}
	if (ip[0] >> 4 != 6 || len < 40)
		return "IP version";
	if (get16(ip + 4) + 40u != len)
		return "IPv6 length";
	if (ip[6] != 6)
		return "IPv6 next header";
	s->ttl = ip[7];
	s->src = sl_addr_from_v6(ip + 8);
	s->dst = sl_addr_from_v6(ip + 24);
	*ret_l3 = 40;
	return NULL;
}

static const char *
read_option(const uint8_t *o, unsigned n, struct wire_seg *s)
{
	switch (o[0]) {
	case 2:
		if (n != 4)
			return "MSS option";
		s->has_mss = true;
		s->mss = get16(o + 2);
		return NULL;
	case 3:
		if (n != 3)
			return "window scale option";
		s->has_wscale = true;
		s->wscale = o[2];
		return NULL;
	case 4:
		if (n != 2)
			return "SACK-permitted option";
		s->sack_ok = true;
		return NULL;
	case 5:
		if (n < 10 || (n - 2) % 8 || n > 34)
			return "SACK option";
		s->block_cnt = (uint8_t)((n - 2) / 8);
		for (unsigned i = 0; i < s->block_cnt; i++)
			s->block[i] =
				(struct wire_block){get32(o + 2 + 8 * i), get32(o + 6 + 8 * i)};
		return NULL;
	case 8:
		if (n != 10)
			return "timestamp option";
		s->has_ts = true;
		s->ts_val = get32(o + 2);
		s->ts_ecr = get32(o + 6);
		return NULL;
	}
	return NULL;
}

static const char *
read_options(const uint8_t *o, unsigned n, struct wire_seg *s)
{
	for (unsigned i = 0; i < n;) {
		if (o[i] == 0)
			return NULL;
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= n || o[i + 1] < 2 || i + o[i + 1] > n)
			return "option length";
		const char *bad = read_option(o + i, o[i + 1], s);
		if (bad)
			return bad;
		i += o[i + 1];
	}
	return NULL;
}

const char *
wire_read(const uint8_t *ip, unsigned len, struct wire_seg *s)
{
	unsigned l3 = 0;

	memset(s, 0, sizeof(*s));
	const char *bad = read_ip(ip, len, s, &l3);
	if (bad)
		return bad;
	const uint8_t *h = ip + l3;
	if (len < l3 + 20 || (h[12] >> 4) < 5 || l3 + (h[12] >> 4) * 4u > len)
		return "TCP header length";
	if (wire_fold(sum_tcp(ip, l3, len)) != 0)
		return "TCP checksum";
	if (h[12] & 0x0f || h[13] & 0xc0)
		return "reserved bits";
	s->sport = get16(h);
	s->dport = get16(h + 2);
	s->seq = get32(h + 4);
	s->ack = get32(h + 8);
	s->flags = h[13];
	s->wnd = get16(h + 14);
	s->opt_bytes = (uint8_t)((h[12] >> 4) * 4 - 20);
	s->ip_bytes = (uint16_t)len;
	s->data = h + 20 + s->opt_bytes;
	s->len = len - l3 - 20 - s->opt_bytes;
	return read_options(h + 20, s->opt_bytes, s);
}

static unsigned
write_options(uint8_t *o, const struct wire_seg *s)
{
	unsigned n = 0;

	if (s->has_mss) {
		o[n] = 2;
		o[n + 1] = 4;
		put16(o + n + 2, s->mss);
		n += 4;
	}
	if (s->sack_ok) {
		memcpy(o + n, "\4\2", 2);
		n += 2;
	}
	if (s->has_ts) {
		while (n % 4 != 2)
			o[n++] = 1;
		memcpy(o + n, "\10\12", 2);
		put32(o + n + 2, s->ts_val);
		put32(o + n + 6, s->ts_ecr);
		n += 10;
	}
	if (s->has_wscale) {
		memcpy(o + n, "\3\3", 2);
		o[n + 2] = s->wscale;
		n += 3;
	}
	if (s->block_cnt) {
		o[n] = 5;
		o[n + 1] = (uint8_t)(2 + 8 * s->block_cnt);
		for (unsigned i = 0; i < s->block_cnt; i++) {
			put32(o + n + 2 + 8 * i, s->block[i].from);
			put32(o + n + 6 + 8 * i, s->block[i].to);
		}
		n += 2 + 8u * s->block_cnt;
	}
	while (n % 4)
		o[n++] = 1;
	return n;
}

unsigned
wire_write(uint8_t *ip, const struct wire_seg *s)
{
	unsigned l3 = sl_addr_is_v4(&s->src) ? 20 : 40;
	uint8_t *h = ip + l3;

	memset(ip, 0, l3 + 20);
	unsigned opt = write_options(h + 20, s), len = l3 + 20 + opt + s->len;
	if (s->len)
		memcpy(h + 20 + opt, s->data, s->len);
	if (l3 == 20) {
		ip[0] = 0x45;
		put16(ip + 2, len);
		ip[6] = s->may_split ? 0 : 0x40;
		ip[8] = 64;
		ip[9] = 6;
		memcpy(ip + 12, s->src.b + 12, 4);
		memcpy(ip + 16, s->dst.b + 12, 4);
	} else {
		ip[0] = 0x60;
		put16(ip + 4, len - 40);
		ip[6] = 6;
		ip[7] = 64;
		memcpy(ip + 8, s->src.b, 16);
		memcpy(ip + 24, s->dst.b, 16);
	}
	put16(h, s->sport);
	put16(h + 2, s->dport);
	put32(h + 4, s->seq);
	put32(h + 8, s->ack);
	h[12] = (uint8_t)((20 + opt) / 4 << 4);
	h[13] = s->flags;
	put16(h + 14, s->wnd);
	wire_finish(ip, len);
	return len;
}

void
wire_text(const struct wire_seg *s, uint32_t seq0, uint32_t ack0, char *text, size_t bytes)
{
	static const char name[] = "FSRP.U";
	size_t n = 0;
	uint32_t seq = s->seq - seq0;

#define PUT(...)                                                                                   \
	n += (size_t)snprintf(text + n, n < bytes ? bytes - n : 0, __VA_ARGS__),                   \
		n = n < bytes ? n : bytes
	PUT("%u > %u: ", s->sport, s->dport);
	for (unsigned i = 0; i < 6; i++)
		if (s->flags >> i & 1)
			PUT("%c", name[i]);
	PUT(" seq %d", (int32_t)seq);
	if (s->len)
		PUT(":%d", (int32_t)(seq + s->len));
	if (s->flags & WIRE_ACK)
		PUT(" ack %d", (int32_t)(s->ack - ack0));
	PUT(" win %u", s->wnd);
	if (s->has_mss)
		PUT(" mss %u", s->mss);
	if (s->has_wscale)
		PUT(" wscale %u", s->wscale);
	if (s->sack_ok)
		PUT(" sackOK");
	if (s->has_ts)
		PUT(" ts %u %u", s->ts_val, s->ts_ecr);
	for (unsigned i = 0; i < s->block_cnt; i++)
		PUT(" %s{%d:%d}", i ? "" : "sack ", (int32_t)(s->block[i].from - ack0),
		    (int32_t)(s->block[i].to - ack0));
	PUT(" len %u", s->len);
#undef PUT
}
