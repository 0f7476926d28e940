/* live — a script run on DPDK ports: sends at a rate, receives, counts.
 *
 * Threads: everything on the calling lcore, after rte_eal_init; port i of the script is DPDK port i.
 * Loss is what was sent and did not come back on any port: meaningful when the tested device returns or forwards
 * the packets to a port of ours.  Received are TCP and UDP packets, also in tunnels and behind tags and extension
 * headers; the rest is counted as other.  When measuring, received are test packets that came for the first time,
 * known by their trail (trail.h), and the rest is other.
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
	double tail_s;     /* receive that long after sending; 0: until nothing came for a while */
	double catch_up_s; /* what was missed while held up is sent later, up to that much */
	bool quiet;        /* no line per second */
	bool measure;      /* test packets: loss, duplicates, reordering, latency */
	bool track; /* count packets that come back to another MAC than the one before of their source
		     * (IPv4, the 2^20 addresses from the first of port 0 on) */
	const struct sl_live_arp *arp; /* [arp_cnt] */
	unsigned arp_cnt;
	FILE *json;         /* summary as JSON goes there, or NULL */
	volatile int *stop; /* set by a signal */
};

enum { SL_LIVE_P50, SL_LIVE_P90, SL_LIVE_P99, SL_LIVE_P999, SL_LIVE_MAX, SL_LIVE_LAT_CNT };

struct sl_live_total {
	uint64_t sent, sent_bytes, received, received_bytes, other, refused, moved;
	uint64_t duplicate, reordered;        /* when measuring, */
	uint64_t latency_ns[SL_LIVE_LAT_CNT]; /* and at the end of a run */
	double seconds;                       /* of sending */
};

/* sl_live_run: 0 with *ret_total, or -errno with a sentence in diag. */
int sl_live_run(const struct sl_live_conf *c, struct sl_diag *diag,
		struct sl_live_total *ret_total);

#define SL_LIVE_SIZES 16

struct sl_live_search {
	unsigned sizes[SL_LIVE_SIZES]; /* with FCS */
	unsigned size_cnt;
	double min_pps, max_pps; /* per port; max 0: the line rate at the size */
	double trial_s, settle_s;
	double tolerance, resolution; /* parts of 1 */
	unsigned repeats;
};

/* sl_live_search finds the no-drop rate of each size (search.h) and the latency at it, with lines as it goes and a
 * table at the end.  The ports that the script names send.  0 or -errno with a sentence in diag. */
int sl_live_search(const struct sl_live_conf *c, const struct sl_live_search *s,
		   struct sl_diag *diag);

#endif
