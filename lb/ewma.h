/* ewma — what an endpoint's answers take, as one worker saw it lately: the peak-sensitive mean of Finagle and Linkerd.
 *
 *   answer   slower than what is known: that is it now (a peak is believed at once)
 *            faster: mixed in, by the time since the last one: known × w + answer × (1 − w), w = 2^(−since / half life)
 *   failure  twice what is known, or as long as it took, at least 10 ms and at most 5 s: fast failures attract nobody
 *   silence  it fades: who was slow is asked again when it is forgotten
 *
 * Walk:    results of tries (dataplane/requests.c) → here → choices of policy EWMA (choose.c).
 * Threads: [worker], each has its own.  Pure over (state, time).
 * Units:   1/16 µs, below 2^32 (268 s); kept in 1/65536 µs, so that many answers a millisecond are not lost to rounding.
 */
#ifndef SL_LB_EWMA_H
#define SL_LB_EWMA_H

#include "sluice/base.h"

#define SL_EWMA_US 16u                     /* of a microsecond */
#define SL_EWMA_HALF_LIFE_NS 6931471806ull /* 10 s × ln 2: e times less in 10 s */
#define SL_EWMA_FAILED_MIN_US 10000u
#define SL_EWMA_FAILED_MAX_US 5000000u
/* What an endpoint counts as that has requests under way and has never answered: one is sent there at a time until it has. */
#define SL_EWMA_UNKNOWN (1000000u * SL_EWMA_US)

/* Of an endpoint, by slot; zeroed: not known. */
struct sl_ewma {
	uint64_t at_ns;
	uint64_t word; /* bits 0–47: cost at at_ns, 1/65536 µs; 48–63: incarnation */
};

/* sl_ewma_now: what is known at now_ns; 0: nothing, or it is forgotten. */
uint32_t sl_ewma_now(const struct sl_ewma *e, uint16_t incarnation, uint64_t now_ns);

/* sl_ewma_fed: an answer that took us (≥ 1), or a failure after us (0: not known). */
void sl_ewma_fed(struct sl_ewma *e, uint16_t incarnation, uint32_t us, bool failed,
		 uint64_t now_ns);

/* sl_ewma_cost: what the next request costs there: (known × (requests + 1)); the caller divides by weight. */
static inline uint64_t
sl_ewma_cost(uint32_t known, uint64_t requests)
{
	if (known == 0 && requests == 0)
		return 0;
	return (known ? known : SL_EWMA_UNKNOWN) * (requests + 1);
}

#endif
