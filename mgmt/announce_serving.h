/* announce_serving — whether the dataplane serves: it is there, it has a table, and its workers turn.
 *
 * Looked at every SL_SERVING_LOOK_MS while it is connected.  A worker that has not ended a turn of its loop for SL_SERVING_STUCK_MS
 * forwards nothing, whatever else works.
 * Trust:   the segment is another process's memory: its head is copied and checked when it is attached, and nothing else of it is
 *          used as a size or an offset.
 * Threads: [loop].  Time: now_ms of any monotonic clock.
 */
#ifndef SL_MGMT_ANNOUNCE_SERVING_H
#define SL_MGMT_ANNOUNCE_SERVING_H

#include "sluice/stats.h"

#define SL_SERVING_LOOK_MS 200
#define SL_SERVING_STUCK_MS 1000

struct sl_serving {
	const void *stats; /* NULL: not connected */
	struct sl_stats_head head;
	uint64_t turns[SL_STATS_MAX_WORKERS];
	uint64_t moved_ms[SL_STATS_MAX_WORKERS];
	uint64_t looked_ms;
	char text[64];
};

/* sl_serving_attach: stats passed sl_stats_check and stays mapped until the next attach.  NULL: the link is down. */
void sl_serving_attach(struct sl_serving *s, const void *stats, size_t bytes, uint64_t now_ms);

/* sl_serving_look: NULL: it serves; else why not, until the next call.  generation: what it runs, 0: nothing. */
const char *sl_serving_look(struct sl_serving *s, uint64_t generation, uint64_t now_ms);

#endif
