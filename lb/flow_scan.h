/* flow_scan — reading a flow region that another process is writing.
 *
 * Threads: [any], beside the writer; reads only.  No lock, no stop: an entry that changes while it is copied fails its
 * hash or its check and is skipped (the flow is then moving, and seen at the next look).
 * The region is another process's: no index in it is believed before it is in range.
 */
#ifndef SL_LB_FLOW_SCAN_H
#define SL_LB_FLOW_SCAN_H

#include "sluice/flows.h"

struct sl_flow_scan {
	const void *region;
	struct sl_flows_head head; /* copy, judged */
	unsigned worker;
	uint32_t bucket;
	unsigned way;
	uint64_t looked;            /* entries looked at */
	uint64_t skipped;           /* changed while they were read */
	struct sl_flow_table table; /* copy of the present table's head, judged */
};

/* One flow.  A nat flow shows as two records, in its workers' tables; a pair as one. */
struct sl_flow_record {
	struct sl_tuple tuple;
	uint32_t slot, incarnation;
	uint8_t state; /* enum sl_flow_state | SL_FLOW_* */
	uint16_t worker;
	uint32_t left_q; /* until it expires unless a packet comes, quarter seconds */
	uint32_t idle_q; /* since the last packet that counted */
	struct sl_addr
		other_addr; /* fullnat: the source towards the endpoint; nat reply half: the VIP; else 0 */
	sl_be16 other_port;
};

/* sl_flow_scan_init: NULL, or a static sentence (not a region of this version, sizes that leave `bytes`).  The region
 * stays mapped, as long as `bytes` says, while the scan is used.  *s is aligned to a line (aligned_alloc). */
const char *sl_flow_scan_init(struct sl_flow_scan *s, const void *region, size_t bytes);

/* sl_flow_scan_next fills up to max records from at most `buckets` buckets; *ret_end: the region is through.  Expired
 * flows do not show.  A flow that the worker moves to its other bucket meanwhile can show twice, or not at all. */
unsigned sl_flow_scan_next(struct sl_flow_scan *s, struct sl_flow_record *ret, unsigned max,
			   unsigned buckets, bool *ret_end);

#endif
