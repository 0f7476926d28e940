/* rewrite — the edit that forwards a packet, with checksums kept by difference (RFC 1624, eqn. 3).
 *
 * Walk:    after the endpoint is known; before transmit.
 * Threads: [worker]. Pure: bytes in, bytes out.
 * Checksum by difference keeps a wrong checksum wrong, so the endpoint still catches damage.
 * A UDP/IPv4 checksum of 0 (none) stays 0; a computed 0 is sent as 0xffff (RFC 768).
 */
#ifndef SL_LB_REWRITE_H
#define SL_LB_REWRITE_H

#include "sluice/addr.h"
#include "sluice/pkt.h"

/* sl_rewrite_dst / sl_rewrite_src replace destination / source address and port (port 0: keep) of the
 * TCP or UDP packet p, of p's family; p->tuple is not touched. */
void sl_rewrite_dst(const struct sl_pkt *p, const struct sl_addr *addr, sl_be16 port);
void sl_rewrite_src(const struct sl_pkt *p, const struct sl_addr *addr, sl_be16 port);

/* sl_rewrite_both replaces both addresses and both ports (0 is a port here) in one pass. */
void sl_rewrite_both(const struct sl_pkt *p, const struct sl_addr *src, sl_be16 sport,
		     const struct sl_addr *dst, sl_be16 dport);

/* sl_rewrite_addrs replaces addresses alone (NULL: keep), of a later fragment: what is behind the IP header and its
 * extensions is not touched. */
void sl_rewrite_addrs(const struct sl_pkt *p, const struct sl_addr *src, const struct sl_addr *dst);

/* sl_rewrite_ttl decrements TTL (with the IPv4 checksum) or hop limit.  The caller has checked > 1. */
static inline void
sl_rewrite_ttl(const struct sl_pkt *p)
{
	uint8_t *l3 = p->data + p->l3_off;

	if (!(p->flags & SL_PKT_V4)) {
		l3[7]--;
		return;
	}
	/* One less in the high byte of its word is one more in the complement (RFC 1141), which in
	 * little-endian is + 1 with the carry brought round; 0xffff is never left standing. */
	l3[8]--;
	uint32_t sum = (uint32_t)sl_load16(l3 + 10) + 1;
	sl_store16(l3 + 10, (uint16_t)(sum + (sum >= 0xffff)));
}

/* sl_rewrite_mac sets the Ethernet addresses. */
static inline void
sl_rewrite_mac(const struct sl_pkt *p, const uint8_t dst[6], const uint8_t src[6])
{
	memcpy(p->data, dst, 6);
	memcpy(p->data + 6, src, 6);
}

/* Internet checksum (RFC 1071).  sl_csum_add sums bytes (any alignment, any length; an odd last byte is
 * padded with 0) onto a partial sum; sl_csum_fold gives the 16 bits to compare with 0xffff, or, inverted,
 * to store.  sl_csum_pseudo: pseudo header of the packet's family for l4_len bytes of proto. */
uint64_t sl_csum_add(uint64_t sum, const void *bytes, size_t n);
uint64_t sl_csum_pseudo(const struct sl_addr *src, const struct sl_addr *dst, uint8_t proto,
			uint32_t l4_len);

static inline uint16_t
sl_csum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32); /* < 2^33 */
	sum = (sum & 0xffff) + (sum >> 16);     /* < 2^18 */
	sum = (sum & 0xffff) + (sum >> 16);     /* ≤ 2^16 + 2 */
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

#endif
