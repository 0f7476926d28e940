/* parse — bytes of a frame → what the pipeline needs to know, or why it is refused.
 *
 * Walk:    first stage after receive.
 * Threads: [worker]. Pure: reads data[0, len), never beyond; fills *p.
 *
 * p comes with data, len, port_in and the driver's flags (SL_PKT_IP_CSUM_OK, SL_PKT_L4_CSUM_BAD) set.
 * On success sl_parse returns SL_DROP_NONE and has set flags, l3_off, l4_off, l4_len, tcp_flags and the tuple
 * (ICMP and ARP: ports 0; ARP: addresses of the sender and target, protocol 0).
 * Fragments: SL_PKT_FRAG, frag_off, frag_more and frag_id, too.  The first is judged like a whole packet, except for what
 * its UDP length says; a later one has ports 0 and l4_off at its payload (in IPv6, what its fragment header says comes
 * first there may be options: then neither SL_PKT_TCP nor SL_PKT_UDP; the first fragment decides).  An IPv6 fragment
 * header with offset 0 and no more fragments (RFC 6946) makes none.
 * Trailing bytes after the IP datagram (Ethernet padding) are cut: p->len becomes the frame without them.
 *
 * Refused here, with the reason of drop.def: truncated and lying headers at every layer, IPv4 header
 * checksum, source-route and malformed options, martians (also v4-mapped addresses in IPv6), fragments that
 * are empty, not the last and no multiple of 8, past 65,535 bytes, of ICMP, or of TCP and inside its header (RFC 3128),
 * first fragments without all headers (RFC 7112), extension headers past 4 or out of a sane order, TCP flags no state
 * allows, TCP offset < 5 or past the end, UDP length ≠ payload, protocols other than TCP, UDP, ICMP, ICMPv6.
 * SL_PKT_L4_CSUM_BAD (the NIC summed it) is refused as L4_CSUM.  TTL and hop limit are not looked at: who
 * forwards checks them.
 * Not verified here: L4 checksums of forwarded packets (rewrite keeps them by difference; the endpoint
 * verifies); packets the gateway consumes or answers itself are verified where they are handled.
 */
#ifndef SL_DATAPLANE_PARSE_H
#define SL_DATAPLANE_PARSE_H

#include "sluice/pkt.h"

enum sl_drop sl_parse(struct sl_pkt *p);

#endif
