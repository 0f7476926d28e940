/* frames — whole Ethernet frames for the tests of parse, icmp, neigh and the seeds of the parse fuzzer. */
#ifndef SL_TESTS_FRAMES_H
#define SL_TESTS_FRAMES_H

#include "lb/rewrite.h"
#include "sluice/pkt.h"

struct frame {
	unsigned len;
	uint8_t b[512];
};

enum frame_kind {
	FRAME_TCP4,
	FRAME_UDP4,
	FRAME_ICMP4,
	FRAME_TCP4_OPTIONS,
	FRAME_ARP,
	FRAME_TCP6,
	FRAME_UDP6,
	FRAME_ICMP6,
	FRAME_NS,
	FRAME_NA,
	FRAME_DAD,
	FRAME_HOP_BY_HOP,
	FRAME_ATOMIC_FRAGMENT,
	FRAME_FOUR_EXTENSIONS,
	FRAME_FIRST4,
	FRAME_LATER4,
	FRAME_FIRST6, /* with options behind the fragment header */
	FRAME_LATER6,
	FRAME_KINDS
};

static const uint8_t frame_client_mac[6] = {2, 0, 0, 0, 0, 0x0c};
static const uint8_t frame_my_mac[6] = {2, 0, 0, 0, 0, 0x01};
static const uint8_t frame_client4[4] = {198, 51, 100, 7}, frame_vip4[4] = {192, 0, 2, 10};
static const uint8_t frame_client6[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};
static const uint8_t frame_vip6[16] = {0x20, 1, 0xd, 0xb8, 0, 1, [14] = 0x12, [15] = 0x34};

static inline void
frame_eth(struct frame *f, uint16_t ethertype)
{
	*f = (struct frame){.len = 14};
	memcpy(f->b, frame_my_mac, 6);
	memcpy(f->b + 6, frame_client_mac, 6);
	sl_store16(f->b + 12, sl_to_be16(ethertype));
}

static inline uint8_t *
frame_more(struct frame *f, unsigned n)
{
	f->len += n;
	return f->b + f->len - n;
}

/* The IPv4 header checksum anew, for the header length that is there. */
static inline void
frame_sum4(struct frame *f)
{
	uint8_t *ip = f->b + 14;

	sl_store16(ip + 10, 0);
	sl_store16(ip + 10, (uint16_t)~sl_csum_fold(sl_csum_add(0, ip, (ip[0] & 15) * 4u)));
}

/* Transport header with payload behind IP; returns its offset. */
static inline unsigned
frame_l4(struct frame *f, uint8_t proto, unsigned payload)
{
	unsigned at = f->len;
	uint8_t *h;

	switch (proto) {
	case SL_IPPROTO_TCP:
		h = frame_more(f, 20 + payload);
		h[12] = 5 << 4;
		h[13] = 0x10;
		break;
	case SL_IPPROTO_UDP:
		h = frame_more(f, 8 + payload);
		sl_store16(h + 4, sl_to_be16(8 + payload));
		break;
	default:
		h = frame_more(f, 8 + payload);
		h[0] = proto == SL_IPPROTO_ICMP ? 8 : 128;
		h[5] = 9; /* identifier */
		h[7] = 1; /* sequence */
	}
	if (proto == SL_IPPROTO_TCP || proto == SL_IPPROTO_UDP) {
		sl_store16(h, sl_to_be16(40000));
		sl_store16(h + 2, sl_to_be16(443));
	}
	for (unsigned i = 0; i < payload; i++)
		f->b[f->len - payload + i] = (uint8_t)('a' + i);
	return at;
}

/* The checksum of the transport header at `at` anew. */
static inline void
frame_sum_l4(struct frame *f, unsigned at, uint8_t proto, const struct sl_addr *src,
	     const struct sl_addr *dst)
{
	unsigned where = at + (proto == SL_IPPROTO_TCP ? 16 : proto == SL_IPPROTO_UDP ? 6 : 2);
	uint64_t sum = proto == SL_IPPROTO_ICMP ? 0 : sl_csum_pseudo(src, dst, proto, f->len - at);

	sl_store16(f->b + where, 0);
	sl_store16(f->b + where, (uint16_t)~sl_csum_fold(sl_csum_add(sum, f->b + at, f->len - at)));
}

static inline void
frame_ip4(struct frame *f, uint8_t proto, const uint8_t *options, unsigned option_len,
	  unsigned payload)
{
	struct sl_addr src = sl_addr_from_v4(frame_client4), dst = sl_addr_from_v4(frame_vip4);

	frame_eth(f, 0x0800);
	uint8_t *ip = frame_more(f, 20 + option_len);
	ip[0] = (uint8_t)(0x40 | (20 + option_len) / 4);
	ip[6] = 0x40;
	ip[8] = 61;
	ip[9] = proto;
	memcpy(ip + 12, frame_client4, 4);
	memcpy(ip + 16, frame_vip4, 4);
	if (option_len)
		memcpy(ip + 20, options, option_len);
	unsigned at = frame_l4(f, proto, payload);
	sl_store16(ip + 2, sl_to_be16(f->len - 14));
	frame_sum4(f);
	frame_sum_l4(f, at, proto, &src, &dst);
}

/* An extension header of `size` bytes (a multiple of 8) is added by frame_ext; the chain is linked by the
 * caller's `next`. */
static inline uint8_t *
frame_ip6(struct frame *f, uint8_t next)
{
	frame_eth(f, 0x86dd);
	uint8_t *ip = frame_more(f, 40);
	ip[0] = 0x60;
	ip[6] = next;
	ip[7] = 62;
	memcpy(ip + 8, frame_client6, 16);
	memcpy(ip + 24, frame_vip6, 16);
	return ip;
}

static inline uint8_t *
frame_ext(struct frame *f, uint8_t next, unsigned size)
{
	uint8_t *h = frame_more(f, size);

	h[0] = next;
	h[1] = (uint8_t)(size / 8 - 1);
	return h;
}

/* An IPv6 options header of 8 bytes with one PadN. */
static inline void
frame_ext_options(struct frame *f, uint8_t next)
{
	uint8_t *h = frame_ext(f, next, 8);

	h[2] = 1;
	h[3] = 4;
}

static inline void
frame_end6(struct frame *f, uint8_t proto, unsigned payload)
{
	struct sl_addr src = sl_addr_from_v6(f->b + 22), dst = sl_addr_from_v6(f->b + 38);
	unsigned at = frame_l4(f, proto, payload);

	sl_store16(f->b + 18, sl_to_be16(f->len - 54));
	frame_sum_l4(f, at, proto, &src, &dst);
}

/* The ICMPv6 checksum of an ND message right behind the IPv6 header anew, and the payload length. */
static inline void
frame_sum_nd(struct frame *f)
{
	struct sl_addr src = sl_addr_from_v6(f->b + 22), dst = sl_addr_from_v6(f->b + 38);

	sl_store16(f->b + 18, sl_to_be16(f->len - 54));
	frame_sum_l4(f, 54, SL_IPPROTO_ICMP6, &src, &dst);
}

/* A solicitation by the client for the VIP, an advertisement of the client to us, or the
 * solicitation of address detection. */
static inline void
frame_nd(struct frame *f, enum frame_kind kind)
{
	uint8_t *ip = frame_ip6(f, SL_IPPROTO_ICMP6), *h = frame_more(f, 24);

	ip[7] = 255;
	h[0] = kind == FRAME_NA ? 136 : 135;
	h[4] = kind == FRAME_NA ? 0x60 : 0;
	memcpy(h + 8, kind == FRAME_NA ? frame_client6 : frame_vip6, 16);
	if (kind != FRAME_NA) {
		static const uint8_t group[13] = {0xff, 2, [11] = 1, [12] = 0xff};
		memcpy(ip + 24, group, 13);
		memcpy(ip + 37, frame_vip6 + 13, 3);
		f->b[0] = f->b[1] = 0x33;
		memcpy(f->b + 2, ip + 36, 4);
	}
	if (kind == FRAME_DAD) {
		memset(ip + 8, 0, 16);
	} else {
		uint8_t *o = frame_more(f, 8);
		o[0] = kind == FRAME_NA ? 2 : 1;
		o[1] = 1;
		memcpy(o + 2, frame_client_mac, 6);
	}
	frame_sum_nd(f);
}

/* The client asks for the VIP. */
static inline void
frame_arp(struct frame *f)
{
	static const uint8_t kind[8] = {0, 1, 8, 0, 6, 4, 0, 1};

	frame_eth(f, 0x0806);
	memset(f->b, 0xff, 6);
	uint8_t *h = frame_more(f, 28);
	memcpy(h, kind, 8);
	memcpy(h + 8, frame_client_mac, 6);
	memcpy(h + 14, frame_client4, 4);
	memcpy(h + 24, frame_vip4, 4);
}

static inline void
frame_extensions(struct frame *f, enum frame_kind kind)
{
	enum { HOP = 0, ROUTING = 43, FRAGMENT = 44, OPTIONS = 60 };

	if (kind == FRAME_HOP_BY_HOP) {
		frame_ip6(f, HOP);
		frame_ext_options(f, SL_IPPROTO_UDP);
		frame_end6(f, SL_IPPROTO_UDP, 12);
	} else if (kind == FRAME_ATOMIC_FRAGMENT) {
		frame_ip6(f, FRAGMENT);
		frame_ext(f, SL_IPPROTO_TCP, 8)[1] = 0;
		frame_end6(f, SL_IPPROTO_TCP, 0);
	} else {
		frame_ip6(f, HOP);
		frame_ext_options(f, OPTIONS);
		frame_ext_options(f, ROUTING);
		frame_ext(f, OPTIONS, 8)[2] = 2;
		frame_ext_options(f, SL_IPPROTO_TCP);
		frame_end6(f, SL_IPPROTO_TCP, 3);
	}
}

/* Pieces of a datagram: UDP with 300 bytes to come, TCP in the middle; TCP behind options, the end of UDP. */
static inline void
frame_piece(struct frame *f, enum frame_kind kind)
{
	static const uint8_t id[4] = {0x12, 0x34, 0x56, 0x78};

	if (kind == FRAME_FIRST4 || kind == FRAME_LATER4) {
		bool first = kind == FRAME_FIRST4;
		frame_ip4(f, first ? SL_IPPROTO_UDP : SL_IPPROTO_TCP, NULL, 0, first ? 24 : 4);
		sl_store16(f->b + 18, sl_to_be16(0xabcd));
		sl_store16(f->b + 20, sl_to_be16(0x2000 | (first ? 0 : 999)));
		if (first)
			sl_store16(f->b + 38, sl_to_be16(308));
		frame_sum4(f);
		return;
	}
	frame_ip6(f, 44);
	uint8_t *h = frame_ext(f, kind == FRAME_FIRST6 ? 60 : SL_IPPROTO_UDP, 8);
	h[1] = 0;
	sl_store16(h + 2, sl_to_be16(kind == FRAME_FIRST6 ? 1 : 999 * 8));
	memcpy(h + 4, id, 4);
	if (kind == FRAME_FIRST6) {
		h = frame_ext(f, SL_IPPROTO_TCP, 16);
		h[2] = 1;
		h[3] = 12;
	}
	frame_end6(f, kind == FRAME_FIRST6 ? SL_IPPROTO_TCP : SL_IPPROTO_UDP,
		   kind == FRAME_FIRST6 ? 4 : 13);
}

static inline void
frame_make(struct frame *f, enum frame_kind kind)
{
	static const uint8_t options[8] = {1, 0x94, 4, 0, 0, 0, 0, 0}; /* NOP, router alert, END */

	switch (kind) {
	case FRAME_TCP4:
		frame_ip4(f, SL_IPPROTO_TCP, NULL, 0, 0);
		break;
	case FRAME_UDP4:
		frame_ip4(f, SL_IPPROTO_UDP, NULL, 0, 5);
		break;
	case FRAME_ICMP4:
		frame_ip4(f, SL_IPPROTO_ICMP, NULL, 0, 9);
		break;
	case FRAME_TCP4_OPTIONS:
		frame_ip4(f, SL_IPPROTO_TCP, options, 8, 4);
		break;
	case FRAME_ARP:
		frame_arp(f);
		break;
	case FRAME_TCP6:
	case FRAME_UDP6:
	case FRAME_ICMP6: {
		uint8_t proto = kind == FRAME_TCP6   ? SL_IPPROTO_TCP
				: kind == FRAME_UDP6 ? SL_IPPROTO_UDP
						     : SL_IPPROTO_ICMP6;
		frame_ip6(f, proto);
		frame_end6(f, proto, 7);
		break;
	}
	case FRAME_NS:
	case FRAME_NA:
	case FRAME_DAD:
		frame_nd(f, kind);
		break;
	case FRAME_FIRST4:
	case FRAME_LATER4:
	case FRAME_FIRST6:
	case FRAME_LATER6:
		frame_piece(f, kind);
		break;
	default:
		frame_extensions(f, kind);
	}
}

#endif
