/* takeover — which flow region this dataplane works in: that of the one before, or a new one.
 *
 *   at boot    a descriptor of systemd's store, or of a predecessor that upgraded itself   sl_takeover_boot
 *   PARKED     the daemon's, while there is none                                           sl_takeover_parked
 *   OFFER      a new one, if there is none still                                           sl_takeover_gate
 *
 * The same number of workers and the same capacities: its tables are mended where they lie, each by its worker.  Else
 * they are mended here and dealt to the tables of a new region.  Whatever is wrong: flows start empty, and a
 * line says what is wrong and what is lost.  No view is published before, so no packet needs a table, and
 * nothing reads the RSS key, which comes with the region.
 *
 * Threads: [main].  What is taken over is waited for at most SL_TAKEOVER_WAIT_NS; a worker that is stuck gets its table when it
 *          comes back, and an offer is held until then (publish.h).
 */
#ifndef SL_DATAPLANE_TAKEOVER_H
#define SL_DATAPLANE_TAKEOVER_H

#include "dataplane/region.h"
#include "sluice/ctl.h"

#define SL_TAKEOVER_WAIT_NS 5000000000ull

struct sl_diag;
struct sl_gateway;

struct sl_takeover {
	struct sl_region region; /* head NULL: not decided yet */
	bool handed;             /* every worker has its table */
	uint32_t handed_over;    /* ports that do not take its RSS key: sl_port_rekey */
	/* what became of the flows before, to be told */
	bool untold;
	enum sl_ctl_taken_how how;
	struct sl_flow_adopted got;
	char text[SL_CTL_TEXT_MAX];
};

/* sl_takeover_boot takes fd (-1: nothing is there), with the workers running. */
void sl_takeover_boot(struct sl_gateway *g, int fd);

/* sl_takeover_parked takes fd, or says in TAKEN why not. */
void sl_takeover_parked(struct sl_gateway *g, uint64_t bytes, uint64_t region, int fd);

/* sl_takeover_gate: whether every worker of gateway has its table, for sl_publish_gate.  0; -EBUSY: not yet; -ENOMEM, -EIO.
 * Does not wait. */
int sl_takeover_gate(void *gateway, struct sl_diag *diag);

/* sl_takeover_tell tells the first daemon what was taken at boot. */
void sl_takeover_tell(struct sl_gateway *g);

#endif
