/* rate_judge — whether somebody who asks is within limits: which bucket of each, in order; the first that is empty refuses, and what
 * was taken of those before it is given back.
 *
 * Threads: [worker].
 */
#ifndef SL_L7_RATE_JUDGE_H
#define SL_L7_RATE_JUDGE_H

#include "l7/rate.h"
#include "sluice/stats.h"

struct sl_http_head;

/* Who asks.  identity: of a verified certificate; NULL: none.  head: NULL: a connection, which has none. */
struct sl_rate_who {
	struct sl_addr source;
	const uint8_t *identity;
	uint32_t identity_len;
	const struct sl_http_head *head;
};

/* What limits came to; what they point to is of the list. */
struct sl_rate_said {
	const struct sl_img_rate *refused; /* NULL: within all of them */
	uint32_t retry_ms;                 /* refused: ≥ 1 */
	uint32_t share; /* refused: tokens of it here; below its own: it is shared */
	const struct sl_img_rate
		*tight; /* with SL_RATE_HEADERS: the one with the least left; NULL: none */
	uint32_t tokens, remaining, reset_ms; /* of tight */
};

/* sl_rate_judge: cnt in [0, SL_MAX_ROUTE_RATES].  stats: by slot of limits, this worker's.  dry: nothing is taken or counted. */
void sl_rate_judge(struct sl_rates *r, struct sl_stats_rate *stats, const struct sl_img_rate *rate,
		   uint32_t cnt, const struct sl_rate_who *who, uint64_t now_ns, bool dry,
		   struct sl_rate_said *ret);

#endif
