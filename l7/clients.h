/* clients — how many connections each client has to a listener, of all workers: a listener's max_connections_per_client.
 *
 * A client is an IPv4 address or an IPv6 /64: what one machine, or one site, has.  A table of fixed size, filed by a keyed hash: a
 * client has a place from its first connection to the end of its last, and counts there exactly.  Where a client's line has no
 * place left, its connections are refused: a limit is never exceeded, and no client has another one's place.
 * Owner:   shared memory of the process, zeroed; `key` is written before workers run.
 * Threads: [any]; a line is locked while one connection is counted, never while anything is waited for.
 */
#ifndef SL_L7_CLIENTS_H
#define SL_L7_CLIENTS_H

#include "sluice/addr.h"

#include <stdatomic.h>

#define SL_CLIENT_LINES 16384
#define SL_CLIENT_PLACES 7 /* of a line */

struct sl_clients {
	struct {
		SL_ALIGNED _Atomic uint32_t
			lock; /* 1: held.  Acquired and released: orders the places */
		uint32_t zero[3];
		struct {
			uint64_t prefix;
			uint32_t whose; /* listener slot + 1; bit 31: IPv4 */
			uint32_t cnt;   /* 0: free */
		} place[SL_CLIENT_PLACES];
	} line[SL_CLIENT_LINES];
	uint64_t key;
};
static_assert(sizeof(((struct sl_clients *)0)->line[0]) == 128, "");

/* sl_clients_take: one connection more of the client to the listener; 0: there are max (≥ 1) already, or there is no place.  Else what
 * sl_clients_give takes when it ends; 0: nothing.
 * sl_clients_full: whether a take would say no now. */
uint32_t sl_clients_take(struct sl_clients *c, uint32_t listener_slot, const struct sl_addr *client,
			 uint32_t max);
void sl_clients_give(struct sl_clients *c, uint32_t taken);
bool sl_clients_full(struct sl_clients *c, uint32_t listener_slot, const struct sl_addr *client,
		     uint32_t max);

#endif
