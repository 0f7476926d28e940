/* icmp — echo requests to the gateway's addresses and VIPs are answered (RFC 792, RFC 4443).
 * Threads: [worker]. Pure. */
#ifndef SL_DATAPLANE_ICMP_H
#define SL_DATAPLANE_ICMP_H

#include "sluice/pkt.h"

/* sl_icmp_echo turns a parsed echo request round in place (addresses, type, checksum, TTL 64; MACs swapped):
 * SL_DROP_NONE, SL_DROP_L4_CSUM, SL_DROP_L4_HEADER or SL_DROP_ICMP_IGNORED (not an echo request, or to or from a
 * multicast or broadcast address). */
enum sl_drop sl_icmp_echo(struct sl_pkt *p);

#endif
