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
		ip[6] = s->may_split ? 0 : 0x40;
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
	if (s->mark && s->payload >= 4)
		memcpy(seg + l4, &s->mark, 4);
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

uint32_t
frame_mark(const uint8_t *f, unsigned len)
{
	bool v4 = get16(f + 12) == 0x0800;
	unsigned at = 14 + (v4 ? 20u : 40u) + ((v4 ? f[23] : f[20]) == 6 ? 20 : 8);
	uint32_t mark = 0;

	if (len >= at + 4)
		memcpy(&mark, f + at, 4);
	return mark;
}

/* ---- fragments ---- */

unsigned
frame_piece(const uint8_t *f, unsigned each, unsigned n, uint32_t id, uint8_t *out)
{
	bool v4 = get16(f + 12) == 0x0800;
	unsigned l3 = v4 ? 20 : 40, total = v4 ? get16(f + 16) - 20 : get16(f + 18);
	unsigned off = n * each;

	if (off >= total)
		return 0;
	unsigned take = total - off < each ? total - off : each, more = off + take < total;
	memcpy(out, f, 14 + l3);
	uint8_t *ip = out + 14;
	if (v4) {
		put16(ip + 2, 20 + take);
		put16(ip + 4, id);
		put16(ip + 6, off / 8 | more << 13);
		put16(ip + 10, 0);
		put16(ip + 10, ~sum16(ip, 20, 0) & 0xffff);
		memcpy(ip + 20, f + 34 + off, take);
		return 34 + take;
	}
	put16(ip + 4, 8 + take);
	ip[40] = ip[6];
	ip[6] = 44;
	ip[41] = 0;
	put16(ip + 42, off | more);
	memcpy(ip + 44, &id, 4);
	memcpy(ip + 48, f + 54 + off, take);
	return 62 + take;
}

static uint64_t
mix(uint64_t h, const uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		h = (h ^ p[i]) * 1099511628211ull;
	return h;
}

static struct frame_whole *
whole_of(struct frame_pot *pot, uint64_t key)
{
	for (unsigned i = 0; i < FRAME_WHOLES; i++)
		if (pot->whole[i].key == key)
			return &pot->whole[i];
	struct frame_whole *w = &pot->whole[pot->next++ % FRAME_WHOLES];
	memset(w, 0, sizeof(*w));
	w->key = key;
	return w;
}

unsigned
frame_join(struct frame_pot *pot, const uint8_t *f, unsigned len, uint8_t *whole, bool *ret_twice)
{
	bool v4 = get16(f + 12) == 0x0800;
	unsigned l3 = v4 ? 20 : 40, skip = 0, off, more, n;
	uint64_t key = 14695981039346656037ull;

	*ret_twice = false;
	if (v4) {
		off = (get16(f + 20) & 0x1fff) * 8;
		more = get16(f + 20) >> 13 & 1;
		n = get16(f + 16) - 20;
		key = mix(mix(mix(key, f + 18, 2), f + 23, 1), f + 26, 8);
	} else {
		bool frag = f[20] == 44;
		skip = frag ? 8 : 0;
		off = frag ? get16(f + 56) & 0xfff8 : 0;
		more = frag ? get16(f + 56) & 1 : 0;
		n = get16(f + 18) - skip;
		key = frag ? mix(mix(key, f + 58, 4), f + 22, 32) : key;
	}
	if (off == 0 && !more) {
		memcpy(whole, f, len);
		return len;
	}
	struct frame_whole *w = whole_of(pot, key);
	if (off + n > sizeof(w->bytes))
		return 0;
	if (off == 0) {
		memcpy(w->head, f, 14 + l3);
		if (!v4)
			w->head[20] = f[54];
	}
	for (unsigned i = 0; i < n; i++) {
		if (w->got[off + i]) {
			*ret_twice = true;
			continue;
		}
		w->got[off + i] = 1;
		w->have++;
		w->bytes[off + i] = f[14 + l3 + skip + i];
	}
	if (!more)
		w->len = off + n;
	if (w->len == 0 || w->have != w->len)
		return 0;
	memcpy(whole, w->head, 14 + l3);
	memcpy(whole + 14 + l3, w->bytes, w->len);
	if (v4) {
		put16(whole + 16, 20 + w->len);
		put16(whole + 20, 0);
		put16(whole + 24, 0);
		put16(whole + 24, ~sum16(whole + 14, 20, 0) & 0xffff);
	} else {
		put16(whole + 18, w->len);
	}
	unsigned out = 14 + l3 + w->len;
	memset(w, 0, sizeof(*w));
	return out;
}

/* ---- tunnels ---- */

unsigned
frame_decap(const uint8_t *f, unsigned len, uint8_t *inner, struct sl_addr *ret_src,
	    struct sl_addr *ret_dst, const char **ret_bad)
{
	bool v4 = get16(f + 12) == 0x0800;
	unsigned l3 = v4 ? 20 : 40, at = 14 + l3, proto = v4 ? f[23] : f[20];

	*ret_bad = "outer header of a tunnel";
	if (len < at + 20 || (v4 && (f[14] != 0x45 || sum16(f + 14, 20, 0) != 0xffff)) ||
	    (v4 ? get16(f + 16) + 14 : get16(f + 18) + 54) != len || (v4 && !(f[20] & 0x40)))
		return 0;
	*ret_src = v4 ? sl_addr_from_v4(f + 26) : sl_addr_from_v6(f + 22);
	*ret_dst = v4 ? sl_addr_from_v4(f + 30) : sl_addr_from_v6(f + 38);
	if (proto == 17) {
		*ret_bad = "GUE header";
		if (get16(f + at + 4) != len - at || get16(f + at) < 49152 || f[at + 8] != 0 ||
		    f[at + 10] || f[at + 11])
			return 0;
		*ret_bad = "UDP checksum of GUE";
		if (v4 ? get16(f + at + 6) != 0 : l4_sum(f + 14, v4, f + at, len - at) != 0xffff)
			return 0;
		proto = f[at + 9];
		at += 12;
	}
	bool in4 = proto == 4;
	*ret_bad = "protocol of a tunnel";
	if ((proto != 4 && proto != 41) || f[at] >> 4 != (in4 ? 4 : 6))
		return 0;
	memcpy(inner, f, 12);
	put16(inner + 12, in4 ? 0x0800 : 0x86dd);
	memcpy(inner + 14, f + at, len - at);
	*ret_bad = NULL;
	return 14 + len - at;
}
