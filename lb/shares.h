/* shares — how much of the new flows and requests each level of a set takes, and which levels ignore health.
 *
 * Walk:    looked at with each choice of a service that is not plain (choose.h), measured anew every SL_SHARES_MS.
 * Threads: [worker]: each measures for itself.  Pure over (view of a service, state words).
 * Units:   parts of SL_SHARES_WHOLE.
 *
 * An endpoint takes when it has a weight, no flag of its state words refuses and its fraction is above 0.  A level's health is
 *
 *   min(whole, 1.4 × weight of those that take / weight of all)
 *
 * so that a level stands in for up to two sevenths of itself before the next one is asked.  Levels are filled from the first on until
 * the whole is given away; where all of them together lack, each gets its part of what there is.
 *
 * Zones: levels that stand beside each other (of one rank, each another zone) are one level in all of this; what that takes is
 * theirs by zone.  Zone z has the part c(z) of the capacity (weight of those that take) and its gateways take the part t(z) of
 * all traffic: this zone's zone_traffic, or all zones alike.  Our own zone keeps min(1, c / t) of what is ours to give, the others get
 * the rest in proportion to what they have to spare, max(0, c(z) − t(z)); when all gateways do so, every endpoint gets its weight's
 * part.  With fewer than zone_min endpoints that take, and in a panic, zones do not count: by capacity alone.
 *
 * Panic: a set of one level is in panic when fewer than panic_pct per cent of its endpoints with a weight take.  Of several levels
 * those are of which this holds while all together lack; when it holds of all, health says nothing any more, and what nobody
 * drained or disabled is loaded by weight.
 *
 * A key goes to the level in whose stretch of [0, whole) its hash lies: a level that loses share loses only keys of its edge, and
 * gateways that see the same health agree.
 */
#ifndef SL_LB_SHARES_H
#define SL_LB_SHARES_H

#include "lb/choose.h"

#define SL_SHARES_MS 100
#define SL_SHARES_WHOLE 10000u
#define SL_SHARES_OVER 14000u

/* One line. */
struct sl_shares {
	SL_ALIGNED uint64_t until_ns; /* the owner's: measured anew from then on */
	uint32_t panic;               /* bit i: level i ignores health and fractions */
	uint32_t zero;
	uint16_t upto[SL_MAX_LEVELS]; /* what levels [0, i] take together, ascending; [level_cnt) */
};
static_assert(sizeof(struct sl_shares) == 64, "one line");

/* sl_shares_measure looks at all members of the set: fills panic and upto.  The set has a level. */
void sl_shares_measure(const struct sl_service *svc, const struct sl_set *set,
		       const struct sl_state_word2 *states, struct sl_shares *ret);

/* sl_shares_level: the level of a key, by its hash. */
static inline uint32_t
sl_shares_level(const struct sl_shares *s, uint64_t hash)
{
	uint32_t at = sl_hash_reduce(hash, SL_SHARES_WHOLE), i = 0;

	while (s->upto[i] <= at)
		i++;
	return i;
}

/* sl_shares_of: what one level takes. */
static inline uint32_t
sl_shares_of(const struct sl_shares *s, uint32_t level)
{
	return s->upto[level] - (level ? s->upto[level - 1] : 0u);
}

#endif
