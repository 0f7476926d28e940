/* passive — main's side of HTTP: what workers share for it, and their reports of failing endpoints.
 *
 * Threads: [main].  Memory is taken at boot and never given back.
 */
#ifndef SL_DATAPLANE_PASSIVE_H
#define SL_DATAPLANE_PASSIVE_H

#include "dataplane/boot.h"
#include "dataplane/host.h"
#include "dataplane/outlier.h"
#include "dataplane/worker.h"

#define SL_PASSIVE_WAIT_MS 100 /* main looks at least so often */

struct sl_passive {
	struct sl_ledger *ledger;
	struct sl_outlier_counts *counts;
	struct sl_outlier *outlier; /* NULL: no HTTP */
	uint32_t *loads[SL_BOOT_MAX_WORKERS];
	struct sl_outlier_tally *tallies[SL_BOOT_MAX_WORKERS];
	struct sl_ring *reports[SL_BOOT_MAX_WORKERS];
	unsigned worker_cnt;
};

/* sl_passive_up takes what all workers share, and counts in the statistics segment; sl_passive_worker fills conf->http of one, with memory of its own.  Nothing is done
 * where the boot file wants no HTTP.  0 or -ENOMEM. */
int sl_passive_up(struct sl_passive *p, const struct sl_boot *boot, bool huge,
		  struct sl_state_word2 *states, void *stats);
int sl_passive_worker(struct sl_passive *p, const struct sl_boot *boot, bool huge,
		      struct sl_worker_conf *conf);
void sl_passive_down(struct sl_passive *p);

/* sl_passive_turn takes reports and lets endpoints return.  view: the active one, or NULL. */
void sl_passive_turn(struct sl_passive *p, const struct sl_view *view, uint64_t now_ns);

#endif
