/* live — a script run on DPDK ports: sends at a rate, receives, counts.
 *
 * Threads: everything on the calling lcore, after rte_eal_init; port i of the script is DPDK port i.
 * Loss is what was sent and did not come back on any port: meaningful when the tested device returns or forwards
 * the packets to a port of ours.  Received are TCP and UDP packets; the rest is counted as other.
 */
#ifndef SL_PKTGEN_LIVE_H
#define SL_PKTGEN_LIVE_H

#include "pktgen/script.h"

#include <stdio.h>

/* An address that is answered for when a device on the other side asks. */
struct sl_live_arp {
	uint8_t ip[4];
	uint8_t target[4]; /* captures only: whom the answer is for */
	uint64_t mac;
};

struct sl_live_conf {
	const struct sl_script *script;
	double pps;        /* per port, replaces the script's rate; 0: the script's */
	double duration_s; /* stop sending after that long; 0: by count or stop */
	double warm_s;     /* send that long first and count nothing of it */
	bool quiet;        /* no line per second */
	bool track; /* count packets that come back to another MAC than the one before of their source
		     * (IPv4, the 2^20 addresses from the first of port 0 on) */
	const struct sl_live_arp *arp; /* [arp_cnt] */
	unsigned arp_cnt;
	FILE *json;         /* summary as JSON goes there, or NULL */
	volatile int *stop; /* set by a signal */
};

struct sl_live_total {
	uint64_t sent, sent_bytes, received, received_bytes, other, refused, moved;
	double seconds; /* of sending */
};

/* sl_live_run: 0 with *ret_total, or -errno with a sentence in diag. */
int sl_live_run(const struct sl_live_conf *c, struct sl_diag *diag,
		struct sl_live_total *ret_total);

#endif
