/* pace — when the next packets are due at a rate: a token bucket of time, refilled by the clock.
 *
 * Threads: one. Pure: ticks are an argument.
 * A sender that was held up catches up with what it missed in at most depth_s, at twice the rate; what lies further
 * back is given up, and the rate then is what was sent, not what was asked for.
 */
#ifndef SL_PKTGEN_PACE_H
#define SL_PKTGEN_PACE_H

#include "sluice/base.h"

struct sl_pace {
	uint64_t next; /* the tick the next packet is due at */
	uint64_t last; /* that packets went out at */
	uint64_t soon; /* ticks that must lie between */
	uint64_t depth;
	uint64_t gap;            /* ticks per packet: whole, */
	uint32_t gap_frac, frac; /* and in 2^-32 */
};

#define SL_PACE_DEPTH_S 0.01 /* for a machine with a core for each who polls */

/* sl_pace_init: the first packet is due now.  hz, pps > 0. */
static inline void
sl_pace_init(struct sl_pace *p, double hz, double pps, double depth_s, uint64_t now)
{
	double gap = hz / pps;

	*p = (struct sl_pace){.next = now, .last = now, .depth = (uint64_t)(hz * depth_s)};
	p->gap = (uint64_t)gap;
	p->gap_frac = (uint32_t)((gap - (double)p->gap) * 4294967295.0);
}

static inline bool
sl_pace_due(const struct sl_pace *p, uint64_t now)
{
	return now >= p->next && now - p->last >= p->soon;
}

/* sl_pace_sent notes that n packets that were due went out. */
static inline void
sl_pace_sent(struct sl_pace *p, uint64_t now, unsigned n)
{
	uint64_t frac = p->frac + (uint64_t)n * p->gap_frac, span = n * p->gap + (frac >> 32);
	uint64_t depth = SL_MAX(p->depth, span);

	p->frac = (uint32_t)frac;
	p->next += span;
	p->last = now;
	p->soon = span / 2;
	if (now > p->next && now - p->next > depth)
		p->next = now - depth;
}

#endif
