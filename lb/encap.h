/* encap — the outer header of a tunnel: IP in IP (RFC 2003, 2473, 4213), GUE (draft-ietf-intarea-gue, variant 0).
 *
 * Walk:    after the endpoint is known and the packet's TTL is decremented; before the MACs are set.
 * Threads: [worker]. Pure: bytes in, bytes out; writes into the SL_HEADROOM bytes before the frame.
 *
 *   before          Ethernet │ inner IP …
 *   ipip    Ethernet │ outer IP │ inner IP …
 *   gue     Ethernet │ outer IP │ UDP 8 │ GUE 4 │ inner IP …
 *
 * Outer IPv4: DF set, identification 0 (RFC 6864), TTL 64, checksum.  Outer IPv6: hop limit 64, flow label from the
 * flow's hash (RFC 6438).  DSCP and ECN are the inner ones (RFC 6040, normal mode).
 * UDP source port: 49152–65535 from the flow's hash.  UDP checksum: 0 over IPv4; computed over IPv6 (RFC 8200 wants it,
 * and Linux refuses 0 unless told otherwise).
 */
#ifndef SL_LB_ENCAP_H
#define SL_LB_ENCAP_H

#include "sluice/addr.h"
#include "sluice/image.h"
#include "sluice/pkt.h"

#include "lb/rewrite.h"

#define SL_ENCAP_MAX 52 /* 40 + 8 + 4 */
#define SL_ENCAP_IP4_LEN 20
#define SL_ENCAP_TTL 64
#define SL_ENCAP_PROTO_IP4 4
#define SL_ENCAP_PROTO_IP6 41

/* sl_encap_bytes: what a mode (SL_FORWARD_IPIP, SL_FORWARD_GUE) adds for an endpoint of that family. */
static inline unsigned
sl_encap_bytes(uint8_t forward, bool outer_v4)
{
	return (outer_v4 ? 20u : 40u) + (forward == SL_FORWARD_GUE ? 12u : 0u);
}

/* sl_encap_source: the outer source of a flow: prefix/plen with the bits behind it filled from the hash, never all 0
 * or all 1 where the family minds (IPv4: network and broadcast address of the prefix).  hash: agreed
 * between gateways (sl_hash_tuple), so that all of them give a flow the same outer header. */
struct sl_addr sl_encap_source(const struct sl_addr *prefix, unsigned plen, uint64_t hash);

/* sl_encap puts the outer header before p's IP packet: data, len, grown, l3_off, l4_off follow; the MAC addresses
 * stay to be written; flags and tuple are those of the inner packet still.  The result fits the link: the
 * caller has looked. */
void sl_encap(struct sl_pkt *p, uint8_t forward, const struct sl_addr *outer_src,
	      const struct sl_addr *outer_dst, uint64_t hash, sl_be16 gue_port);

/* Writes the outer IPv4 header; bytes: of all that follows it; src, dst in wire order. */
static inline void
sl_encap_outer_v4(uint8_t *ip, uint8_t tos, unsigned bytes, uint8_t proto, uint32_t src,
		  uint32_t dst)
{
	const uint32_t df = 0x40;
	uint32_t first =
		0x45u | (uint32_t)tos << 8 | (uint32_t)sl_to_be16(SL_ENCAP_IP4_LEN + bytes) << 16;
	uint32_t third = SL_ENCAP_TTL | (uint32_t)proto << 8;
	uint64_t sum = (uint64_t)first + third + src + dst + ((uint64_t)df << 16);

	sl_store32(ip, first);
	sl_store32(ip + 4, df << 16);
	sl_store32(ip + 8, third | (uint32_t)(uint16_t)~sl_csum_fold(sum) << 16);
	sl_store32(ip + 12, src);
	sl_store32(ip + 16, dst);
}

/* sl_encap_ipip4: sl_encap for IPIP in IPv4, without the type of the Ethernet header and without l3_off, l4_off and
 * l4_len: of p, data, len and grown follow. */
static inline void
sl_encap_ipip4(struct sl_pkt *p, uint32_t outer_src, uint32_t outer_dst)
{
	const uint8_t *inner = p->data + p->l3_off;
	bool v4 = p->flags & SL_PKT_V4;
	uint8_t tos = v4 ? inner[1] : (uint8_t)(inner[0] << 4 | inner[1] >> 4);

	p->data -= SL_ENCAP_IP4_LEN;
	sl_encap_outer_v4(p->data + p->l3_off, tos, p->len - p->l3_off,
			  v4 ? SL_ENCAP_PROTO_IP4 : SL_ENCAP_PROTO_IP6, outer_src, outer_dst);
	p->len = (uint16_t)(p->len + SL_ENCAP_IP4_LEN);
	p->grown = (uint8_t)(p->grown + SL_ENCAP_IP4_LEN);
}

#endif
