/* tcp_wire — TCP segments as bytes, for the model and the judge: read, written and shown by code of the tests alone.
 *
 * Numbers in host order.  Independent of dataplane/: checksums are summed over the whole segment, options walked here.
 */
#ifndef SL_TESTS_TCP_WIRE_H
#define SL_TESTS_TCP_WIRE_H

#include "sluice/addr.h"

enum { WIRE_FIN = 1, WIRE_SYN = 2, WIRE_RST = 4, WIRE_PSH = 8, WIRE_ACK = 16, WIRE_URG = 32 };

struct wire_block {
	uint32_t from, to;
};

struct wire_seg {
	struct sl_addr src, dst;
	uint16_t sport, dport;
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags, ttl;
	bool may_split; /* IPv4 without DF */
	bool has_mss, has_wscale, sack_ok, has_ts;
	uint8_t wscale, block_cnt;
	uint16_t mss;
	uint16_t ip_bytes; /* of the whole packet, on reading */
	uint8_t opt_bytes; /* on reading */
	uint32_t ts_val, ts_ecr;
	struct wire_block block[4];
	const uint8_t *data;
	unsigned len; /* of the payload */
};

static inline int32_t
wire_diff(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* Payload, SYN and FIN: what the segment takes of the sequence numbers. */
static inline uint32_t
wire_span(const struct wire_seg *s)
{
	return s->len + !!(s->flags & WIRE_SYN) + !!(s->flags & WIRE_FIN);
}

/* wire_read: NULL, or what is wrong with the packet; data points into it. */
const char *wire_read(const uint8_t *ip, unsigned len, struct wire_seg *ret);

/* wire_write makes the IP packet (room for WIRE_HEADERS + len bytes); its length. */
#define WIRE_HEADERS 100
unsigned wire_write(uint8_t *ip, const struct wire_seg *s);

/* wire_sum: Internet sum over bytes, added to `sum`, not folded and not inverted; wire_fold: the checksum of it. */
uint32_t wire_sum(uint32_t sum, const uint8_t *bytes, unsigned len);
uint16_t wire_fold(uint32_t sum);
/* wire_finish puts IPv4's and TCP's checksums into a packet whose lengths are right. */
void wire_finish(uint8_t *ip, unsigned len);

/* wire_text: one line, as tcpdump would show it, sequence numbers less seq0 and ack0. */
void wire_text(const struct wire_seg *s, uint32_t seq0, uint32_t ack0, char *text, size_t bytes);

#endif
