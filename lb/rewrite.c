/* A checksum HC covers words m; when they become m', HC' = ~(~HC + ~m + m') (RFC 1624, eqn. 3).  Sums are
 * kept in 64 bits over 32-bit words in memory order: 2^16 ≡ 1 (mod 0xffff), so folding once at the end
 * gives the sum of 16-bit words, and one's-complement sums do not care for byte order.
 *
 * From a checksum that a sender can have computed (~HC ≥ 1, or UDP's 0xffff for 0) the result is bit for
 * bit what a full computation gives. */
#include "lb/rewrite.h"

uint64_t
sl_csum_add(uint64_t sum, const void *bytes, size_t n)
{
	const uint8_t *b = bytes;

	for (; n >= 8; n -= 8, b += 8) {
		uint64_t w = sl_load64(b);
		sum += (w & UINT32_MAX) + (w >> 32);
	}
	if (n >= 4) {
		sum += sl_load32(b);
		n -= 4;
		b += 4;
	}
	if (n >= 2) {
		sum += sl_load16(b);
		n -= 2;
		b += 2;
	}
	return n ? sum + *b : sum;
}

uint64_t
sl_csum_pseudo(const struct sl_addr *src, const struct sl_addr *dst, uint8_t proto, uint32_t l4_len)
{
	uint64_t sum = (uint64_t)proto << 8;

	if (sl_addr_is_v4(src)) {
		sum += (uint64_t)sl_load32(src->b + 12) + sl_load32(dst->b + 12);
		return sum + sl_to_be16(l4_len);
	}
	sum = sl_csum_add(sum, src->b, 16);
	sum = sl_csum_add(sum, dst->b, 16);
	return sum + sl_to_be32(l4_len);
}

/* What replacing a word of memory adds to a sum: ~m + m'. */
static uint64_t
delta16(uint16_t was, uint16_t is)
{
	return (uint64_t)(uint16_t)~was + is;
}

static uint64_t
delta32(uint32_t was, uint32_t is)
{
	return (uint64_t)~was + is;
}

static void
csum_update(uint8_t *csum, uint64_t delta)
{
	uint16_t was = (uint16_t)~sl_load16(csum);
	sl_store16(csum, (uint16_t)~sl_csum_fold(was + delta));
}

static void
l4_csum_update(const struct sl_pkt *p, uint64_t delta)
{
	uint8_t *l4 = p->data + p->l4_off;

	if (p->flags & SL_PKT_TCP) {
		csum_update(l4 + 16, delta);
		return;
	}
	if (sl_load16(l4 + 6) == 0)
		return;
	csum_update(l4 + 6, delta);
	if (sl_load16(l4 + 6) == 0)
		sl_store16(l4 + 6, UINT16_MAX);
}

/* Writes a v4 address over `at`; the IPv4 header checksum follows.  Returns the difference. */
static uint64_t
replace_v4(uint8_t *l3, uint8_t *at, const struct sl_addr *addr)
{
	uint32_t is = sl_load32(addr->b + 12);
	uint64_t delta = delta32(sl_load32(at), is);

	sl_store32(at, is);
	csum_update(l3 + 10, delta);
	return delta;
}

static uint64_t
replace_v6(uint8_t *at, const struct sl_addr *addr)
{
	uint64_t delta = 0;

	for (unsigned i = 0; i < 16; i += 4)
		delta += delta32(sl_load32(at + i), sl_load32(addr->b + i));
	memcpy(at, addr->b, 16);
	return delta;
}

static uint64_t
replace_port(uint8_t *at, sl_be16 port)
{
	uint64_t delta = delta16(sl_load16(at), port);

	sl_store16(at, port);
	return delta;
}

void
sl_rewrite_dst(const struct sl_pkt *p, const struct sl_addr *addr, sl_be16 port)
{
	uint8_t *l3 = p->data + p->l3_off;
	uint64_t delta =
		p->flags & SL_PKT_V4 ? replace_v4(l3, l3 + 16, addr) : replace_v6(l3 + 24, addr);

	if (port)
		delta += replace_port(p->data + p->l4_off + 2, port);
	l4_csum_update(p, delta);
}

void
sl_rewrite_src(const struct sl_pkt *p, const struct sl_addr *addr, sl_be16 port)
{
	uint8_t *l3 = p->data + p->l3_off;
	uint64_t delta =
		p->flags & SL_PKT_V4 ? replace_v4(l3, l3 + 12, addr) : replace_v6(l3 + 8, addr);

	if (port)
		delta += replace_port(p->data + p->l4_off, port);
	l4_csum_update(p, delta);
}

void
sl_rewrite_both(const struct sl_pkt *p, const struct sl_addr *src, sl_be16 sport,
		const struct sl_addr *dst, sl_be16 dport)
{
	uint8_t *l3 = p->data + p->l3_off, *l4 = p->data + p->l4_off;
	uint32_t ports = (uint32_t)dport << 16 | sport;
	uint64_t delta;

	if (p->flags & SL_PKT_V4) {
		uint32_t s = sl_load32(src->b + 12), d = sl_load32(dst->b + 12);
		delta = delta32(sl_load32(l3 + 12), s) + delta32(sl_load32(l3 + 16), d);
		sl_store32(l3 + 12, s);
		sl_store32(l3 + 16, d);
		csum_update(l3 + 10, delta);
	} else {
		delta = replace_v6(l3 + 8, src) + replace_v6(l3 + 24, dst);
	}
	delta += delta32(sl_load32(l4), ports);
	sl_store32(l4, ports);
	l4_csum_update(p, delta);
}

void
sl_rewrite_addrs(const struct sl_pkt *p, const struct sl_addr *src, const struct sl_addr *dst)
{
	uint8_t *l3 = p->data + p->l3_off;
	bool v4 = p->flags & SL_PKT_V4;

	if (src && v4)
		replace_v4(l3, l3 + 12, src);
	else if (src)
		replace_v6(l3 + 8, src);
	if (dst && v4)
		replace_v4(l3, l3 + 16, dst);
	else if (dst)
		replace_v6(l3 + 24, dst);
}
