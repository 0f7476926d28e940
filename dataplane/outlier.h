/* outlier — passive health: endpoints that fail request after request are ejected for a while (design.md 2.5, 10).
 *
 *   worker: each try's result → failures in a row, of all workers (shared) → at eject_after, gateway_after or local_after: a
 *           report to main; where rates are judged: a tally by endpoint
 *   main:   report → passive word SL_ST_EJECTED with its reason for eject_ms × times ejected, at most eject_max_ms; sweep: back again
 *           each sweep: tallies of all workers since the one before → success rates (outlier_rate.h) → as by report
 * At most eject_max_pct of a service's endpoints are ejected at a time, but one always may be.  Times ejected fall by one each sweep
 * that finds the endpoint in, and grow no further than eject_max_ms needs.
 * Rows:    an answer 5xx that is no gateway error ends the row of these; an answer ends the row of failures without one.
 * Tallies: of tries whose endpoint is still in the table when they end; an endpoint is judged from its second sweep on.
 * Threads: failed, ok, tally [worker]; the rest [main].  Counters are relaxed: a number, nothing is ordered by it.
 */
#ifndef SL_DATAPLANE_OUTLIER_H
#define SL_DATAPLANE_OUTLIER_H

#include "dataplane/view.h"
#include "l7/http.h"

/* Shared by workers; zeroed.  16 bits each, from the lowest: incarnation, rows of eject_after, gateway_after, local_after. */
struct sl_outlier_counts {
	_Atomic uint64_t slot[SL_MAX_ENDPOINTS];
};

/* A worker's own; zeroed. */
struct sl_outlier_tally {
	struct {
		uint32_t ok, failed;
	} slot[SL_MAX_ENDPOINTS];
};

struct sl_outlier_report {
	uint32_t endpoint_slot;
	uint16_t incarnation;
	uint16_t why; /* enum sl_ejected */
};

/* sl_outlier_ejects: whether the service ejects at all; sl_outlier_rates: whether it goes by rates. */
static inline bool
sl_outlier_rates(const struct sl_img_http_service *h)
{
	return h->rate_deviation || h->failure_pct;
}

static inline bool
sl_outlier_ejects(const struct sl_img_http_service *h)
{
	return h->eject_after || h->gateway_after || h->local_after || sl_outlier_rates(h);
}

/* sl_outlier_failed: why the endpoint is to be reported: this failure, not SL_TRY_OK, is the last of a row; counting begins anew.
 * SL_EJECTED_NOT: it is not.  sl_outlier_ok ends all rows; where there is none, that costs one load. */
enum sl_ejected sl_outlier_failed(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation,
				  enum sl_try what, const struct sl_img_http_service *h);
void sl_outlier_ok(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation);

static inline void
sl_outlier_tallied(struct sl_outlier_tally *t, uint32_t slot, bool ok)
{
	uint32_t *n = ok ? &t->slot[slot].ok : &t->slot[slot].failed;

	__atomic_store_n(n, *n + 1, __ATOMIC_RELAXED);
}

struct sl_outlier;
/* states: the segment's words, whose passive ones this writes.  tallies: [worker_cnt], read here; may be NULL with 0. */
struct sl_outlier *sl_outlier_create(struct sl_state_word2 *states, struct sl_outlier_counts *c,
				     struct sl_outlier_tally *const *tallies, unsigned worker_cnt);
void sl_outlier_destroy(struct sl_outlier *o);
/* sl_outlier_stats: [SL_MAX_SERVICES] and [SL_MAX_ENDPOINTS], by slot, where ejections are counted from now on: those of one worker
 * stand for all. */
void sl_outlier_stats(struct sl_outlier *o, struct sl_stats_service *services,
		      struct sl_stats_endpoint *endpoints);
/* sl_outlier_report: whether it was ejected: not when it is already, its service has no ejection or may have no more at a time, or
 * the view does not have that incarnation. */
bool sl_outlier_report(struct sl_outlier *o, const struct sl_view *view,
		       const struct sl_outlier_report *r, uint64_t now_ns);
/* sl_outlier_tick: returns, sweeps (sweep_ms of the service, counted from the ejection; for rates, from the first tick that finds
 * the service judged by them); what left the table is forgotten, and where ejection was turned off, all return. */
void sl_outlier_tick(struct sl_outlier *o, const struct sl_view *view, uint64_t now_ns);

#endif
