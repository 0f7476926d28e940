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
};

/* frame_make writes the frame (room for 2048 bytes); its length. */
unsigned frame_make(const struct frame_spec *s, uint8_t *frame);

/* frame_judge: NULL when Ethernet, IP and L4 are consistent with right checksums; else what is wrong. */
const char *frame_judge(const uint8_t *frame, unsigned len);

/* frame_tuple reads addresses and ports. */
struct sl_tuple frame_tuple(const uint8_t *frame);

/* frame_addr: "10.0.0.1" → address; aborts on nonsense. */
struct sl_addr frame_addr(const char *text);

#endif
