/* icmp_error — ICMP errors: about which flow, its inner header translated, and those the gateway sends itself.
 *
 * An error about a packet of a flow quotes that packet; the flow is found by the quoted tuple turned round, which is the
 * key under which packets of the other direction arrive here, whoever complains:
 *
 *   complaint about                          quoted            turned round = key
 *   endpoint → client, seen as VIP → client  VIP → client      client → VIP     forward half → to the endpoint
 *   nat: client → endpoint                   client → endpoint endpoint → client  reply half → to the client
 *   fullnat: source → endpoint               source → endpoint endpoint → source  reply half → to the client
 *
 * RFC 792, 4443, 5508 (what NATs do), 4884 (longer quotes).  The quote may hold only 8 bytes of L4: ports are enough.
 * Threads: [worker]. Pure.
 */
#ifndef SL_DATAPLANE_ICMP_ERROR_H
#define SL_DATAPLANE_ICMP_ERROR_H

#include "sluice/pkt.h"

/* sl_icmp_error_read: p is parsed, SL_PKT_ICMP.  When it is an error that may be passed on (IPv4: unreachable, time
 * exceeded, parameter problem; IPv6: unreachable, too big, time exceeded, parameter problem) about a TCP or UDP
 * packet: SL_DROP_NONE, p->tuple is the turned quote, SL_PKT_ICMP_ERR is set, and *ret_inner_off is where the
 * quoted IP header lies, from data.  Otherwise: SL_DROP_ICMP_IGNORED (not an error), or why it is refused:
 * ICMP_ERROR (quote is no TCP or UDP, a later fragment, or cut before the ports), L4_CSUM, L4_HEADER. */
enum sl_drop sl_icmp_error_read(struct sl_pkt *p, unsigned *ret_inner_off);

/* What frag-needed or packet-too-big says about a packet in a tunnel. */
struct sl_icmp_tunnel {
	struct sl_addr src, dst; /* of the outer header */
	bool udp;                /* else IP in IP */
	sl_be16 udp_port;        /* destination */
	uint32_t mtu;            /* as told; 0: an old router, that tells none */
	uint32_t sent;           /* what the outer packet's length was */
	/* The inner packet inside p, as if a frame began 14 bytes before it: data, l3_off, len (as far as it is there), family
	 * in flags, tuple; no MACs.  len 0: the quote is too short for it (28 bytes are usual in IPv4), or its sender needs
	 * no answer. */
	struct sl_pkt inner;
	uint32_t inner_sent; /* its length as it was sent */
};

/* sl_icmp_tunnel_read: p is parsed.  false: no such error, or not whole (checksum).  true says nothing about whose
 * tunnel it is: the caller compares. */
bool sl_icmp_tunnel_read(const struct sl_pkt *p, struct sl_icmp_tunnel *ret);

/* What the translated error shall say.  Addresses of p's family.  NULL or port 0: leave. */
struct sl_icmp_edit {
	const struct sl_addr
		*outer_src; /* only where the complainer itself must not be seen (the endpoint) */
	const struct sl_addr *outer_dst;
	const struct sl_addr *inner_src, *inner_dst;
	sl_be16 inner_sport, inner_dport;
};

/* sl_icmp_error_edit rewrites outer and quoted addresses and ports; the quoted header's and L4's checksums (as far as
 * the quote holds them) follow by difference, the ICMP checksum is right afterwards. */
void sl_icmp_error_edit(struct sl_pkt *p, unsigned inner_off, const struct sl_icmp_edit *edit);

/* sl_icmp_too_big makes, in a frame of its own, the answer to p that says its way takes mtu bytes: IPv4 type 3 code 4
 * (RFC 1191; quotes 28 bytes at least, at most 576 in all), IPv6 type 2 (RFC 4443; at most 1280 in all).  Source is
 * p's destination, the MACs are p's turned round, TTL 64.  frame has room for 1300 bytes; returns the length,
 * or 0: p may not be answered (itself an ICMP error, a later fragment, group address, unspecified source). */
unsigned sl_icmp_too_big(const struct sl_pkt *p, uint16_t mtu, uint8_t *frame);

#endif
