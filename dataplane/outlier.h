/* outlier — passive health: endpoints that fail request after request are ejected for a while (design.md 2.5, 10).
 *
 *   worker: each try's result → failures in a row, of all workers (shared) → at eject_after: a report to main
 *   main:   report → passive word SL_ST_EJECTED for eject_ms × times ejected, at most eject_max_ms; sweep: back again
 * At most eject_max_pct of a service's endpoints are ejected at a time, but one always may be.  Times ejected fall by one each sweep
 * that finds the endpoint in.
 * Threads: failed, ok [worker]; the rest [main].  Counters are relaxed: a number, nothing is ordered by it.
 */
#ifndef SL_DATAPLANE_OUTLIER_H
#define SL_DATAPLANE_OUTLIER_H

#include "dataplane/view.h"

/* Shared by workers; zeroed.  Low 16 bits: incarnation, high 16: failures in a row. */
struct sl_outlier_counts {
	_Atomic uint32_t slot[SL_MAX_ENDPOINTS];
};

struct sl_outlier_report {
	uint32_t endpoint_slot;
	uint16_t incarnation;
	uint16_t zero;
};

/* sl_outlier_failed: true when this failure is the after-th in a row: report it; counting begins anew.  after 0: never.
 * sl_outlier_ok ends the row; where there is none, that costs one load. */
bool sl_outlier_failed(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation,
		       uint16_t after);
void sl_outlier_ok(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation);

struct sl_outlier;
/* states: the segment's words, whose passive ones this writes. */
struct sl_outlier *sl_outlier_create(struct sl_state_word2 *states, struct sl_outlier_counts *c);
void sl_outlier_destroy(struct sl_outlier *o);
/* sl_outlier_report: whether it was ejected: not when it is already, its service has no ejection or may have no more at a time, or
 * the view does not have that incarnation. */
bool sl_outlier_report(struct sl_outlier *o, const struct sl_view *view,
		       const struct sl_outlier_report *r, uint64_t now_ns);
/* sl_outlier_tick: returns, sweeps (sweep_ms of the service, counted from the ejection); what left the table is forgotten, and
 * where ejection was turned off, all return. */
void sl_outlier_tick(struct sl_outlier *o, const struct sl_view *view, uint64_t now_ns);

#endif
