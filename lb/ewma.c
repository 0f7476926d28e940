/* 2^-x is a shift by the whole part of x, and for the rest a polynomial that meets both ends: within 0.1 % of the curve. */
#include "lb/ewma.h"

#define COST_BITS 48
#define COST_MAX (((uint64_t)1 << COST_BITS) - 1)
#define FINE_US 65536u /* of a microsecond */

/* 2^-x for x in [0, 1), both in 1/2^24: Taylor's terms, the last one such that 1 gives a half. */
static uint64_t
power(uint64_t x)
{
	uint64_t x2 = x * x >> 24, x3 = x2 * x >> 24, x4 = x3 * x >> 24;

	return (1u << 24) - (11629080 * x >> 24) + (4030332 * x2 >> 24) - (931205 * x3 >> 24) +
	       (141333 * x4 >> 24);
}

/* v × 2^(−since / half life), v at most COST_MAX. */
static uint64_t
faded(uint64_t v, uint64_t since_ns)
{
	uint64_t halves = since_ns / SL_EWMA_HALF_LIFE_NS;

	if (halves >= COST_BITS)
		return 0;
	uint64_t rest = since_ns - halves * SL_EWMA_HALF_LIFE_NS;
	uint64_t part = power((rest << 24) / SL_EWMA_HALF_LIFE_NS);
	return (uint64_t)((unsigned __int128)(v >> halves) * part >> 24);
}

static uint64_t
since(const struct sl_ewma *e, uint64_t now_ns)
{
	return now_ns > e->at_ns ? now_ns - e->at_ns : 0;
}

static uint64_t
cost_of(const struct sl_ewma *e, uint16_t incarnation)
{
	return e->word >> COST_BITS == incarnation ? e->word & COST_MAX : 0;
}

uint32_t
sl_ewma_now(const struct sl_ewma *e, uint16_t incarnation, uint64_t now_ns)
{
	uint64_t cost = faded(cost_of(e, incarnation), since(e, now_ns)) / (FINE_US / SL_EWMA_US);

	return (uint32_t)SL_MIN(cost, (uint64_t)UINT32_MAX);
}

/* What a failure counts as, where known is. */
static uint64_t
failure(uint64_t took, uint64_t known)
{
	took = SL_MAX(SL_MAX(took, 2 * known), (uint64_t)SL_EWMA_FAILED_MIN_US * FINE_US);
	return SL_MAX(SL_MIN(took, (uint64_t)SL_EWMA_FAILED_MAX_US * FINE_US), known);
}

void
sl_ewma_fed(struct sl_ewma *e, uint16_t incarnation, uint32_t us, bool failed, uint64_t now_ns)
{
	uint64_t before = cost_of(e, incarnation), known = faded(before, since(e, now_ns));
	uint64_t took = SL_MIN((uint64_t)us * FINE_US, COST_MAX);

	if (failed)
		took = failure(took, known);
	if (took < before)
		took = known + took - faded(took, since(e, now_ns));
	e->at_ns = now_ns;
	e->word = (uint64_t)incarnation << COST_BITS | took;
}
