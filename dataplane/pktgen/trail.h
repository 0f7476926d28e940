/* trail — the mark at the end of a test packet by which it is known again, wherever it comes back.
 *
 *   magic 4 · stream 1 · run 1 · sequence 4 · time 8     18 bytes, the last of the payload, little-endian
 *
 * It is found from the end of the packet, so rewritten headers, tunnels and tags around it do not matter; a packet
 * that was padded to Ethernet's minimum is searched at the end that its IP header tells.
 * The time is in ticks of the sender's clock; zero in the checksum when it is set later by sl_trail_stamp.
 * Threads: [any]. Pure.
 */
#ifndef SL_PKTGEN_TRAIL_H
#define SL_PKTGEN_TRAIL_H

#include "sluice/base.h"

#define SL_TRAIL_BYTES 18

struct sl_trail {
	uint64_t time;
	uint32_t seq; /* low half of the stream's count */
	uint8_t stream, run;
};

/* Where a frame's time and TCP or UDP checksum are. */
struct sl_trail_spot {
	uint16_t time_off; /* 0: none */
	uint16_t csum_off;
	bool odd; /* the time begins at an odd byte of the checksummed part */
	bool udp;
};

/* sl_trail_put writes t to the SL_TRAIL_BYTES bytes at p. */
void sl_trail_put(uint8_t *p, const struct sl_trail *t);

/* sl_trail_stamp puts time in place of a zero time and mends the checksum. */
void sl_trail_stamp(uint8_t *frame, const struct sl_trail_spot *spot, uint64_t time);

/* sl_trail_find: whether a frame that begins with the head_len bytes at head and ends with the tail_len bytes at
 * tail (they may overlap) is a test packet. */
bool sl_trail_find(const uint8_t *head, unsigned head_len, const uint8_t *tail, unsigned tail_len,
		   struct sl_trail *ret_trail);

#endif
