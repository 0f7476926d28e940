#include "tests/sim/frames.h"

#include <stdlib.h>

static uint32_t
sum16(const uint8_t *p, unsigned n, uint32_t sum)
{
	for (unsigned i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (n & 1)
		sum += (uint32_t)p[n - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned
get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Sum over pseudo header and segment, with the checksum field as it stands. */
static uint32_t
l4_sum(const uint8_t *ip, bool v4, const uint8_t *seg, unsigned n)
{
	uint8_t tail[4] = {0, v4 ? ip[9] : ip[6], (uint8_t)(n >> 8), (uint8_t)n};
	uint32_t sum = v4 ? sum16(ip + 12, 8, 0) : sum16(ip + 8, 32, 0);

	return sum16(seg, n, sum16(tail, 4, sum));
}

unsigned
frame_make(const struct frame_spec *s, uint8_t *f)
{
	bool v4 = sl_addr_is_v4(&s->t.dst), tcp = s->t.proto == SL_IPPROTO_TCP;
	unsigned l3 = v4 ? 20 : 40, l4 = tcp ? 20 : 8, seg_len = l4 + s->payload;
	uint8_t *ip = f + 14, *seg = ip + l3;
	unsigned len = 14 + l3 + seg_len;

	memset(f, 0, len < 60 ? 60 : len);
	memcpy(f, s->dmac, 6);
	memcpy(f + 6, s->smac, 6);
	put16(f + 12, v4 ? 0x0800 : 0x86dd);
	if (v4) {
		ip[0] = 0x45;
		put16(ip + 2, l3 + seg_len);
		put16(ip + 4, s->seq);
		ip[6] = 0x40;
		ip[8] = s->ttl ? s->ttl : 64;
		ip[9] = s->t.proto;
		memcpy(ip + 12, s->t.src.b + 12, 4);
		memcpy(ip + 16, s->t.dst.b + 12, 4);
		put16(ip + 10, ~sum16(ip, 20, 0) & 0xffff);
	} else {
		ip[0] = 0x60;
		put16(ip + 4, seg_len);
		ip[6] = s->t.proto;
		ip[7] = s->ttl ? s->ttl : 64;
		memcpy(ip + 8, s->t.src.b, 16);
		memcpy(ip + 24, s->t.dst.b, 16);
	}
	memcpy(seg, &s->t.sport, 2);
	memcpy(seg + 2, &s->t.dport, 2);
	for (unsigned i = 0; i < s->payload; i++)
		seg[l4 + i] = (uint8_t)(i * 7 + s->seq);
	if (tcp) {
		seg[4] = (uint8_t)(s->seq >> 24);
		seg[5] = (uint8_t)(s->seq >> 16);
		put16(seg + 6, s->seq);
		seg[12] = 0x50;
		seg[13] = s->tcp_flags;
		put16(seg + 14, 65535);
		put16(seg + 16, ~l4_sum(ip, v4, seg, seg_len) & 0xffff);
	} else {
		put16(seg + 4, seg_len);
		unsigned c = ~l4_sum(ip, v4, seg, seg_len) & 0xffff;
		put16(seg + 6, s->no_udp_csum ? 0 : c ? c : 0xffff);
	}
	return s->pad && len < 60 ? 60 : len;
}

const char *
frame_judge(const uint8_t *f, unsigned len)
{
	unsigned type = len >= 34 ? get16(f + 12) : 0, l3, seg_len;
	const uint8_t *ip = f + 14;
	bool v4 = type == 0x0800;

	if (v4) {
		l3 = (ip[0] & 15) * 4u;
		if (ip[0] >> 4 != 4 || l3 < 20 || get16(ip + 2) + 14 > len)
			return "IPv4 header";
		if (sum16(ip, l3, 0) != 0xffff)
			return "IPv4 checksum";
		seg_len = get16(ip + 2) - l3;
	} else if (type == 0x86dd) {
		l3 = 40;
		if (ip[0] >> 4 != 6 || get16(ip + 4) + 54 > len)
			return "IPv6 header";
		seg_len = get16(ip + 4);
	} else {
		return "EtherType";
	}
	unsigned proto = v4 ? ip[9] : ip[6];
	const uint8_t *seg = ip + l3;
	if (v4 && proto == 1)
		return sum16(seg, seg_len, 0) == 0xffff ? NULL : "ICMP checksum";
	if (v4 && proto == 17 && get16(seg + 6) == 0)
		return NULL;
	if (proto == 17 && get16(seg + 6) == 0)
		return "UDP over IPv6 without checksum";
	return l4_sum(ip, v4, seg, seg_len) == 0xffff ? NULL : "L4 checksum";
}

struct sl_tuple
frame_tuple(const uint8_t *f)
{
	struct sl_tuple t = {0};
	const uint8_t *ip = f + 14, *seg;

	if (get16(f + 12) == 0x0800) {
		t.src = sl_addr_from_v4(ip + 12);
		t.dst = sl_addr_from_v4(ip + 16);
		t.proto = ip[9];
		seg = ip + (ip[0] & 15) * 4;
	} else {
		t.src = sl_addr_from_v6(ip + 8);
		t.dst = sl_addr_from_v6(ip + 24);
		t.proto = ip[6];
		seg = ip + 40;
	}
	memcpy(&t.sport, seg, 2);
	memcpy(&t.dport, seg + 2, 2);
	return t;
}

struct sl_addr
frame_addr(const char *text)
{
	struct sl_addr a;

	if (sl_addr_parse(text, &a))
		abort();
	return a;
}
