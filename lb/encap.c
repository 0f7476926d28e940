/*   ipip            outer IP │ inner IP …                     protocol 4 or 41
 *   gue             outer IP │ UDP │ GUE │ inner IP …         destination port of the service
 *
 *   GUE, variant 0:  0 0│C=0│hlen=0│ proto 4 or 41 │ flags 0 0
 *
 * Different bits of the hash serve different ends: the high ones have already chosen the endpoint. */
#include "lb/encap.h"

#include "lb/rewrite.h"

#define ETH_LEN 14
#define IP4_LEN SL_ENCAP_IP4_LEN
#define IP6_LEN 40
#define UDP_LEN 8
#define GUE_LEN 4
#define TTL SL_ENCAP_TTL
#define PROTO_IP4 SL_ENCAP_PROTO_IP4
#define PROTO_IP6 SL_ENCAP_PROTO_IP6

static sl_be16
source_port(uint64_t hash)
{
	return sl_to_be16(0xc000 | (hash >> 16 & 0x3fff));
}

struct sl_addr
sl_encap_source(const struct sl_addr *prefix, unsigned plen, uint64_t hash)
{
	struct sl_addr a = *prefix;
	unsigned host = 128 - plen;

	if (host == 0)
		return a;
	if (sl_addr_is_v4(prefix)) {
		/* [1, 2^host - 2]; a /31 has two addresses and no others (RFC 3021) */
		uint64_t room = host > 1 ? (1ull << host) - 2 : 2;
		uint32_t at = (uint32_t)((hash >> 16 & UINT32_MAX) * room >> 32) + (host > 1);
		sl_store32(a.b + 12, sl_load32(a.b + 12) | sl_to_be32(at));
		return a;
	}
	/* IPv6: 0 is the routers' anycast address. */
	uint64_t low = hash ? hash : 1, high = (hash ^ hash >> 31) * 0x9e3779b97f4a7c15ull;
	if (host < 64) {
		low &= (1ull << host) - 1;
		low += low == 0;
	}
	high = host > 64 ? high >> (128 - host) : 0;
	sl_store64(a.b, sl_load64(a.b) | __builtin_bswap64(high));
	sl_store64(a.b + 8, sl_load64(a.b + 8) | __builtin_bswap64(low));
	return a;
}

static inline void
outer_v6(uint8_t *ip, uint8_t tos, unsigned bytes, uint8_t proto, uint64_t hash,
	 const struct sl_addr *src, const struct sl_addr *dst)
{
	uint32_t label = hash >> 14 & 0xfffff;

	/* 0 would say that there is no label (RFC 6437) */
	sl_store32(ip, sl_to_be32(6u << 28 | (uint32_t)tos << 20 | (label ? label : 1)));
	sl_store16(ip + 4, sl_to_be16(bytes));
	ip[6] = proto;
	ip[7] = TTL;
	memcpy(ip + 8, src->b, 16);
	memcpy(ip + 24, dst->b, 16);
}

void
sl_encap(struct sl_pkt *p, uint8_t forward, const struct sl_addr *outer_src,
	 const struct sl_addr *outer_dst, uint64_t hash, sl_be16 gue_port)
{
	uint8_t *inner = p->data + p->l3_off;
	bool inner_is_v4 = p->flags & SL_PKT_V4, is_v4 = sl_addr_is_v4(outer_dst);
	bool gue = forward == SL_FORWARD_GUE;
	unsigned ip_len = is_v4 ? IP4_LEN : IP6_LEN;
	unsigned bytes = p->len - p->l3_off + (gue ? UDP_LEN + GUE_LEN : 0);
	uint8_t proto = inner_is_v4 ? PROTO_IP4 : PROTO_IP6;
	uint8_t tos = inner_is_v4 ? inner[1] : (uint8_t)(inner[0] << 4 | inner[1] >> 4);
	uint8_t *l4 = inner - (gue ? UDP_LEN + GUE_LEN : 0), *ip = l4 - ip_len;

	if (gue) {
		sl_store16(l4, source_port(hash));
		sl_store16(l4 + 2, gue_port);
		sl_store16(l4 + 4, sl_to_be16(bytes));
		sl_store16(l4 + 6, 0);
		sl_store32(l4 + UDP_LEN, (uint32_t)proto << 8);
		if (!is_v4) {
			uint64_t sum = sl_csum_pseudo(outer_src, outer_dst, SL_IPPROTO_UDP, bytes);
			uint16_t csum = (uint16_t)~sl_csum_fold(sl_csum_add(sum, l4, bytes));
			sl_store16(l4 + 6, csum ? csum : UINT16_MAX);
		}
		proto = SL_IPPROTO_UDP;
	}
	if (is_v4)
		sl_encap_outer_v4(ip, tos, bytes, proto, sl_load32(outer_src->b + 12),
				  sl_load32(outer_dst->b + 12));
	else
		outer_v6(ip, tos, bytes, proto, hash, outer_src, outer_dst);
	sl_store16(ip - 2, is_v4 ? sl_to_be16(0x0800) : sl_to_be16(0x86dd));

	uint8_t *data = ip - ETH_LEN;
	p->grown = (uint8_t)(p->grown + (p->data - data));
	p->len = (uint16_t)(ETH_LEN + ip_len + bytes);
	p->data = data;
	p->l3_off = ETH_LEN;
	p->l4_off = (uint8_t)(ETH_LEN + ip_len);
	p->l4_len = bytes;
}
