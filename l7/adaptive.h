/* adaptive — how many requests of a service one worker lets be under way, by what their answers take (a gradient, as Envoy's and
 * Netflix's).
 *
 *   window   SL_ADAPTIVE_WINDOW_MS or longer, with SL_ADAPTIVE_SAMPLES answers: their mean time to the head is compared with the least
 *            mean of late: limit × least × (1 + buffer) / mean, a half at least and all at most, and √limit more while a third
 *            of it is used.  What grows with the load is shed, what takes its time however many ask is not.
 *   least    of the last SL_ADAPTIVE_LEAST_MS to twice that.  Each time it is begun anew the limit is the half of itself for a window,
 *            so that a queue which stands for good is not taken for the way things are.
 * Nothing is refused before the first window is over; never fewer than `min` are let through.
 * Owner:   one array per worker.  Threads: [worker].  Pure over (state, time): time in ns.
 */
#ifndef SL_L7_ADAPTIVE_H
#define SL_L7_ADAPTIVE_H

#include "sluice/base.h"

#define SL_ADAPTIVE_WINDOW_MS 100
#define SL_ADAPTIVE_SAMPLES 20
#define SL_ADAPTIVE_LEAST_MS 30000

/* Of one service; zeroed: nothing known, nothing under way.  One line. */
struct sl_adaptive {
	SL_ALIGNED uint64_t window_ns; /* it ends then; 0: none is open */
	uint64_t least_ns;             /* least[1] becomes the one before then */
	uint64_t sum_us;               /* of the window's answers */
	uint32_t answers;
	uint32_t under_way, most; /* most: in the window */
	uint32_t limit;           /* in 1/16; 0: not known yet */
	uint32_t least[2];        /* µs; of the time before, of now; 0: none */
	uint32_t incarnation;
	bool halved; /* for this window */
};
static_assert(sizeof(struct sl_adaptive) == 64, "one line");

/* sl_adaptive_take: one more under way; false: that would be one too many.  sl_adaptive_give: it is over.
 * sl_adaptive_fed: an answer that took us (≥ 1). */
bool sl_adaptive_take(struct sl_adaptive *a, uint32_t incarnation, uint32_t min);
void sl_adaptive_give(struct sl_adaptive *a);
void sl_adaptive_fed(struct sl_adaptive *a, uint32_t us, uint32_t min, uint32_t buffer_pct,
		     uint64_t now_ns);

/* sl_adaptive_limit: as many may be under way; UINT32_MAX: not known yet. */
uint32_t sl_adaptive_limit(const struct sl_adaptive *a, uint32_t min);

#endif
