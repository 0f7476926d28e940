/* rate_share_divide — how the tokens of a limit are best divided among gateways: who wants less than its part gets what it wants and a
 * little more, the others the same each; what nobody wants is spread evenly.
 *
 * Threads: [any].  Pure: all gateways come to the same.
 */
#ifndef SL_MGMT_RATE_SHARE_DIVIDE_H
#define SL_MGMT_RATE_SHARE_DIVIDE_H

#include "sluice/base.h"

struct sl_share_part {
	uint32_t want, floor; /* at most SL_SHARE_TOKENS_MAX */
	uint32_t goal;        /* the outcome */
};

/* sl_share_divide fills in the goals of parts [cnt], cnt ≥ 1: together exactly tokens.  Nobody has less than its floor while all floors
 * fit, and nobody less than its part of the tokens, floor by floor, when they do not; after that, nobody less than the smaller of what it wants and tokens / cnt. */
void sl_share_divide(uint32_t tokens, struct sl_share_part *parts, unsigned cnt);

/* The little that is left to who wants nothing, so that its first requests pass; all of them together have at most a 16th. */
uint32_t sl_share_little(uint32_t tokens, unsigned cnt);

#endif
