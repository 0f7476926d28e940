/* Turning an echo request round: addresses and MACs change places, which no checksum notices; the type and the
 * TTL change, which theirs are told by difference (RFC 1624). */
#include "dataplane/icmp.h"

#include "lb/rewrite.h"

#define IP6_LEN 40
#define TTL 64

enum { ECHO4_REQUEST = 8, ECHO4_REPLY = 0, ECHO6_REQUEST = 128, ECHO6_REPLY = 129 };

static void
swap(uint8_t *a, uint8_t *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint8_t was = a[i];
		a[i] = b[i];
		b[i] = was;
	}
}

/* The 16-bit word at `at`, which the checksum covers, becomes `is`. */
static void
change(uint8_t *at, uint16_t is, uint8_t *csum)
{
	uint64_t sum = (uint16_t)~sl_load16(csum);

	sum += (uint64_t)(uint16_t)~sl_load16(at) + is;
	sl_store16(csum, (uint16_t)~sl_csum_fold(sum));
	sl_store16(at, is);
}

static enum sl_drop
echo4(const struct sl_pkt *p, uint8_t *ip, uint8_t *h)
{
	uint32_t dst = sl_load32(ip + 16);

	if (h[0] != ECHO4_REQUEST || h[1] != 0 || (dst & 0xf0) == 0xe0 || dst == UINT32_MAX)
		return SL_DROP_ICMP_IGNORED;
	if (sl_csum_fold(sl_csum_add(0, h, p->l4_len)) != 0xffff)
		return SL_DROP_L4_CSUM;
	swap(ip + 12, ip + 16, 4);
	change(ip + 8, (uint16_t)(TTL | (uint16_t)ip[9] << 8), ip + 10);
	change(h, ECHO4_REPLY, h + 2);
	return SL_DROP_NONE;
}

static enum sl_drop
echo6(const struct sl_pkt *p, uint8_t *ip, uint8_t *h)
{
	const struct sl_addr *src = &p->tuple.src, *dst = &p->tuple.dst;

	/* extension headers are not ours to reflect */
	if (h[0] != ECHO6_REQUEST || h[1] != 0 || ip[24] == 0xff ||
	    p->l4_off != p->l3_off + IP6_LEN)
		return SL_DROP_ICMP_IGNORED;
	uint64_t sum = sl_csum_pseudo(src, dst, SL_IPPROTO_ICMP6, p->l4_len);
	if (sl_csum_fold(sl_csum_add(sum, h, p->l4_len)) != 0xffff)
		return SL_DROP_L4_CSUM;
	swap(ip + 8, ip + 24, 16);
	ip[7] = TTL;
	change(h, ECHO6_REPLY, h + 2);
	return SL_DROP_NONE;
}

enum sl_drop
sl_icmp_echo(struct sl_pkt *p)
{
	uint8_t *ip = p->data + p->l3_off, *h = p->data + p->l4_off;

	if (p->l4_len < 8)
		return SL_DROP_L4_HEADER;
	if (!(p->flags & SL_PKT_ICMP) || (p->flags & SL_PKT_BCAST))
		return SL_DROP_ICMP_IGNORED;
	enum sl_drop why = p->flags & SL_PKT_V4 ? echo4(p, ip, h) : echo6(p, ip, h);
	if (why == SL_DROP_NONE)
		swap(p->data, p->data + 6, 6);
	return why;
}
