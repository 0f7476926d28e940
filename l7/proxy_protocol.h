/* proxy_protocol — who the client is, told before the first byte: PROXY protocol version 1 and 2 (haproxy.org,
 * proxy-protocol.txt, 2020/03/05).
 *
 * Threads: [any]. Pure: bytes in, answer out.
 * Trust:   whoever may connect may write anything; the caller believes it of trusted addresses only.
 */
#ifndef SL_L7_PROXY_PROTOCOL_H
#define SL_L7_PROXY_PROTOCOL_H

#include "sluice/addr.h"
#include "sluice/image.h"

#define SL_PROXY_MAX 1024    /* bytes of a header we read, TLVs included; v1: 107 */
#define SL_PROXY_OUT_MAX 128 /* bytes of a header we write */

struct sl_proxy_header {
	uint8_t version; /* 1 or 2 */
	bool local; /* v2 LOCAL, v1 UNKNOWN, v2 AF_UNSPEC: no address is told; the connection's own counts */
	struct sl_addr src, dst;
	sl_be16 sport, dport;
};

/* sl_proxy_parse reads a header at the beginning of n bytes: bytes consumed, SL_PARTIAL (all so far could be one; never with
 * n ≥ SL_PROXY_MAX), or SL_BAD with *ret_why a sentence.  Both versions by their signatures.  Checked: lengths, families against
 * lengths, TLVs well-formed to the end, v1 numbers without signs or leading zeros, CRLF; v2 PP2_TYPE_CRC32C where it is there.
 * Families other than TCP over IPv4 or IPv6 in v2 (UDP, UNIX): refused.  Behind LOCAL and AF_UNSPEC nothing is read: the whole
 * length is passed over. */
int sl_proxy_parse(const uint8_t *bytes, size_t n, struct sl_proxy_header *ret,
		   const char **ret_why);

/* sl_proxy_write writes a header of version (enum sl_proxy_out, not NONE) that says src → dst (both of one family; when they are
 * not, IPv4 ones go as v4-mapped IPv6): bytes written, ≤ SL_PROXY_OUT_MAX. */
unsigned sl_proxy_write(uint8_t to[SL_PROXY_OUT_MAX], unsigned version, const struct sl_addr *src,
			sl_be16 sport, const struct sl_addr *dst, sl_be16 dport);

#endif
