/* rate_share — this gateway's part in limits that several gateways share, by a document of each limit in etcd.
 *
 *   store = { source = "etcd"; limits = true; };     limits = ( { name = "api"; requests = 1000; shared = true; floor = 20; } )
 *
 * Promise: over any window of `per`, all gateways of the group together let no more than `requests` pass; of a limit by key, for each key.
 * Walk:    asked for here (counters.h) → what this gateway wants → PREFIXlimits/NAME, which says who has how many → the
 *          words of the state segment (state.h), which workers go by.
 * Threads: [loop].
 */
#ifndef SL_MGMT_RATE_SHARE_H
#define SL_MGMT_RATE_SHARE_H

#include "sluice/base.h"

struct sl_daemon;
struct sl_rate_shares;

/* After the tables were opened and before a dataplane is.  NULL in *ret_shares: the file does not say `limits`.  0 or -ENOMEM. */
int sl_rate_shares_create(struct sl_daemon *d, struct sl_rate_shares **ret_shares);
/* Leases are left: the shares are held until they end, or until the next sluiced here takes them up.  NULL is accepted, here and below. */
void sl_rate_shares_destroy(struct sl_rate_shares *s);

/* What the daemon tells: the table that is active; the segment of the dataplane, of that boot, NULL: there is none. */
struct sl_table;
struct sl_state_seg;
void sl_rate_shares_table(struct sl_rate_shares *s, const struct sl_table *t);
void sl_rate_shares_attach(struct sl_rate_shares *s, struct sl_state_seg *seg, uint64_t boot_id);

/* What people are told of a shared limit of the active table. */
struct sl_rate_share_look {
	uint32_t
		share; /* what workers of this gateway go by now: share, or floor; 0: all is refused */
	uint32_t total;    /* of all gateways together: `requests` */
	uint32_t wanted;   /* asked for here in a time of `per` */
	uint32_t gateways; /* that have a share, as etcd said last, this one counted */
	int64_t until_ms;  /* wall clock: when `share` ends unless it is renewed; 0: it is none */
	/* "shared"; "waits: …": it is there soon; "floor: …" why it is not the share; "no share: …" */
	char state[160];
};

/* false, nothing written: there is no such limit that is shared, or the file does not say `limits`. */
bool sl_rate_share_look(const struct sl_rate_shares *s, const char *limit,
			struct sl_rate_share_look *ret);

#endif
