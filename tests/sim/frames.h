/* frames — Ethernet frames for tests, made and judged independently of the code under test: checksums are summed
 * over the whole packet here, never by difference. */
#ifndef SL_TESTS_FRAMES_H
#define SL_TESTS_FRAMES_H

#include "sluice/addr.h"
#include "sluice/pkt.h"

struct frame_spec {
	struct sl_tuple t;
	uint8_t dmac[6], smac[6];
	uint8_t tcp_flags;
	uint8_t ttl;      /* 0: 64 */
	uint16_t payload; /* bytes after the L4 header, a pattern */
	uint32_t seq;
	bool no_udp_csum; /* IPv4 UDP with checksum 0 */
	bool pad;         /* pad the frame to 60 bytes */
	bool may_split;   /* IPv4: without DF */
	uint32_t mark;    /* not 0: in the first four bytes of the payload */
};

/* frame_make writes the frame (room for 2048 bytes); its length. */
unsigned frame_make(const struct frame_spec *s, uint8_t *frame);

/* frame_judge: NULL when Ethernet, IP and L4 are consistent with right checksums; else what is wrong. */
const char *frame_judge(const uint8_t *frame, unsigned len);

/* frame_tuple reads addresses and ports. */
struct sl_tuple frame_tuple(const uint8_t *frame);

/* frame_mark: as given; 0 where the payload is shorter. */
uint32_t frame_mark(const uint8_t *frame, unsigned len);

/* frame_piece writes the n-th fragment of at most `each` bytes of payload (a multiple of 8); its length, 0: no such. */
unsigned frame_piece(const uint8_t *frame, unsigned each, unsigned n, uint32_t id, uint8_t *piece);

/* frame_decap takes the outer header of IPIP or GUE off (`inner` has the frame's MACs); its length, or 0 with *ret_bad. */
unsigned frame_decap(const uint8_t *frame, unsigned len, uint8_t *inner, struct sl_addr *ret_src,
		     struct sl_addr *ret_dst, const char **ret_bad);

/* Fragments put together, each byte once. */
#define FRAME_WHOLES 64
struct frame_whole {
	uint64_t key;
	unsigned len, have; /* of the datagram's payload; len 0: last not seen */
	uint8_t head[64], bytes[4096];
	uint8_t got[4096];
};
struct frame_pot {
	struct frame_whole whole[FRAME_WHOLES];
	unsigned next;
};

/* frame_join: a frame that is no fragment is copied; of a fragment, when it completes its datagram, the whole: its length.
 * 0: not complete.  *ret_twice: some byte had come before; the first one counts. */
unsigned frame_join(struct frame_pot *pot, const uint8_t *frame, unsigned len, uint8_t *whole,
		    bool *ret_twice);

/* frame_addr: "10.0.0.1" → address; aborts on nonsense. */
struct sl_addr frame_addr(const char *text);

#endif
