/* frame — the packets a port of a script sends, one after the other.
 *
 * Threads: [any]. Pure.
 * The first packet of a range carries the start values; Pktgen-DPDK begins one step later or at the minimum, and
 * goes through the same set.  Frames come without FCS and with right checksums.
 */
#ifndef SL_PKTGEN_FRAME_H
#define SL_PKTGEN_FRAME_H

#include "pktgen/script.h"

#define SL_FRAME_MAX SL_SCRIPT_SIZE_MAX

struct sl_frame {
	const struct sl_script_port *port;
	struct sl_script_packet now; /* the next packet */
	uint64_t at[SL_SPAN_CNT];
	unsigned seq_at;
};

/* sl_frame_init: port stays valid and unchanged while f is used. */
void sl_frame_init(struct sl_frame *f, const struct sl_script_port *port);

/* sl_frame_next writes the next frame to buf (SL_FRAME_MAX bytes) and returns its length.  ret_tuple may be
 * NULL. */
unsigned sl_frame_next(struct sl_frame *f, uint8_t *buf, struct sl_tuple *ret_tuple);

/* sl_frame_period gives after how many packets they come again, UINT64_MAX when that is past 2^40. */
uint64_t sl_frame_period(const struct sl_script_port *port);

#endif
