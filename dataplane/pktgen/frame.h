/* frame — the packets a port of a script sends, one after the other.
 *
 * Threads: [any]. Pure.
 * The first packet of a range carries the start values; Pktgen-DPDK begins one step later or at the minimum, and
 * goes through the same set.  Frames come without FCS and with right checksums.
 * Fragments of a datagram come one after the other in the port's order; those that would be shorter than Ethernet
 * allows are padded.  A measured frame ends with a trail (trail.h), each fragment with its own.
 */
#ifndef SL_PKTGEN_FRAME_H
#define SL_PKTGEN_FRAME_H

#include "pktgen/script.h"
#include "pktgen/trail.h"

#define SL_FRAME_MAX SL_SCRIPT_SIZE_MAX
#define SL_FRAME_MIN 60

struct sl_frame {
	const struct sl_script_port *port;
	struct sl_script_packet now; /* the next packet */
	uint64_t at[SL_SPAN_CNT];
	unsigned seq_at, imix_at;
	uint32_t ident; /* of the next datagram that needs one */
	/* measuring: set by the owner after init */
	bool measured;
	uint8_t stream, run;
	uint64_t issued; /* frames with a trail so far: the next one's sequence number */
	uint64_t time;   /* what fragments carry; whole packets carry 0 until sl_trail_stamp */
	struct sl_trail_spot spot; /* of the frame just made */
	/* the datagram that is going out in fragments */
	struct sl_script_shape shape;
	unsigned piece_at; /* how many are out */
	uint64_t random;
	uint8_t order[SL_SCRIPT_PIECES];
	uint8_t datagram[UINT16_MAX + 1]; /* what is cut: extension headers and layer 4 */
};

/* sl_frame_init: port stays valid and unchanged while f is used. */
void sl_frame_init(struct sl_frame *f, const struct sl_script_port *port);

/* sl_frame_next writes the next frame to buf (SL_FRAME_MAX bytes) and returns its length.  ret_tuple may be
 * NULL. */
unsigned sl_frame_next(struct sl_frame *f, uint8_t *buf, struct sl_tuple *ret_tuple);

/* sl_frame_measurable: whether every frame of the port has room for a trail; else *ret_min is the size (with FCS)
 * that the packet needs, 0 when its fragments are too small. */
bool sl_frame_measurable(const struct sl_script_port *port, unsigned *ret_min);

/* sl_frame_period gives after how many packets they come again, UINT64_MAX when that is past 2^40. */
uint64_t sl_frame_period(const struct sl_script_port *port);

#endif
