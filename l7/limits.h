/* limits — how much of something a service may have at a time, counted over all workers.
 *
 * Never exceeded.  A limit below SL_LIMIT_EXACT × workers is one shared counter; above, workers take shares of SL_LIMIT_SHARE from
 * it and give back what they do not use, so that up to workers × SL_LIMIT_SHARE of it may lie unused.  A worker that has none in
 * use holds no share.  Where a push lowers a limit below what is in use, nothing more is taken until it holds again.
 * Owner:   the ledger is shared memory of the process; a worker has its own shares.
 * Threads: [worker], each with its own struct sl_limits.
 */
#ifndef SL_L7_LIMITS_H
#define SL_L7_LIMITS_H

#include "sluice/image.h"
#include "sluice/stats.h"

#define SL_LIMIT_EXACT 64
#define SL_LIMIT_SHARE 16

enum sl_limit {
	SL_LIMIT_CONNECTIONS, /* to endpoints */
	SL_LIMIT_PENDING,
	SL_LIMIT_REQUESTS,
	SL_LIMIT_RETRIES,
	SL_LIMIT_CNT
};
static_assert(SL_LIMIT_CNT == SL_STATS_BREAKERS, "a row of statistics for each");

struct sl_ledger { /* zeroed */
	struct {
		SL_ALIGNED _Atomic uint32_t
			taken[SL_LIMIT_CNT]; /* relaxed: a number, nothing is ordered by it */
		_Atomic uint64_t retry_ns;   /* budget_per_s: when its next retry is due by then */
	} service[SL_MAX_SERVICES];
	SL_ALIGNED _Atomic uint32_t delays[SL_FAULT_COUNTERS]; /* under way, of faults: relaxed */
};

struct sl_limits;
size_t sl_limits_bytes(void);
struct sl_limits *sl_limits_init(void *mem, struct sl_ledger *ledger, unsigned worker_cnt);
void sl_limits_fini(struct sl_limits *l); /* gives everything back */

/* sl_limits_stats: this worker's [SL_MAX_SERVICES], to which it is told from now on; NULL: nowhere.  sl_limits_tell: housekeeping, each
 * turn: what one service has under way; all that ever had some in turn.  Its slot. */
void sl_limits_stats(struct sl_limits *l, struct sl_stats_service *stats);
uint32_t sl_limits_tell(struct sl_limits *l);

/* sl_limit_take: one more of it, max 0: no limit (counted all the same).  false: that would be one too many.
 * sl_limit_give: one less.  sl_limit_held: this worker's own. */
bool sl_limit_take(struct sl_limits *l, uint32_t service_slot, enum sl_limit what, uint32_t max);
void sl_limit_give(struct sl_limits *l, uint32_t service_slot, enum sl_limit what);
uint32_t sl_limit_held(const struct sl_limits *l, uint32_t service_slot, enum sl_limit what);

/* sl_limit_full: whether a take would say no now.  sl_limit_elsewhere: whether other workers have some of it. */
bool sl_limit_full(const struct sl_limits *l, uint32_t service_slot, enum sl_limit what,
		   uint32_t max);
bool sl_limit_elsewhere(const struct sl_limits *l, uint32_t service_slot, enum sl_limit what);

/* sl_limit_retry: takes a RETRIES when neither max_retries nor the budget is reached: budget_pct of this worker's requests
 * under way, but budget_min always; beyond it budget_per_s a second, of all workers, of which up to a second's are saved. */
bool sl_limit_retry(struct sl_limits *l, uint32_t service_slot,
		    const struct sl_img_http_service *http, uint64_t now_ns);

#endif
