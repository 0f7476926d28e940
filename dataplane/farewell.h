/* farewell — the time between "stop" and the end, in which the gateway goes on as it is, while sluiced takes back the VIPs that
 * lead traffic here.
 *
 *   begin ── STOPPING goes out ──▶ open ── STOP came, sluiced is gone, or wait_ms are over ──▶ over
 *
 * Owner:   the gateway's.
 * Threads: [main].  No clock and no socket: main gives the time and the number of the connection.
 */
#ifndef SL_DATAPLANE_FAREWELL_H
#define SL_DATAPLANE_FAREWELL_H

#include "sluice/base.h"

struct sl_farewell {
	bool open;
	bool released;     /* STOP came */
	uint32_t why;      /* SL_STOPPING_* (ctl.h) */
	uint64_t peer;     /* the connection that was told (sl_ctl_server_peer) */
	uint64_t until_ns; /* of the clock that now_ns is of */
};

/* sl_farewell_begin: true: peer is to be told STOPPING now, and waited for; false: there is nobody to wait for (peer 0), no time
 * (wait_ms 0), or a farewell with the same end is open already: the end is now.  A stop takes the place of an upgrade; the time
 * runs on then. */
bool sl_farewell_begin(struct sl_farewell *f, uint32_t why, uint64_t peer, uint32_t wait_ms,
		       uint64_t now_ns);

/* sl_farewell_release: STOP came; without a farewell it means nothing. */
void sl_farewell_release(struct sl_farewell *f);

/* sl_farewell_over: NULL: it is not open, or not over yet; else how it ended, for the log. */
const char *sl_farewell_over(const struct sl_farewell *f, uint64_t peer, uint64_t now_ns);

#endif
