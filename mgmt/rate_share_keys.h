/* rate_share_keys — how others in etcd see that this gateway lives: a key under a lease of seconds, one more under a lease of an hour.
 *
 *   grant, grant ──▶ put PREFIXlimits-floor/SESSION, PREFIXlimits-live/SESSION ──▶ every 2 s: keep-alive, and the live key's value counted up
 *     ▲                                                                            │ the key is gone, or its lease
 *     └────────────────────────────────────────────────────────────────────────────┘
 *
 * Counting up is what tells that etcd is the one that it was: the value that it replaces must be the one that was written last.
 * Threads: [loop].  Time: CLOCK_MONOTONIC.
 */
#ifndef SL_MGMT_RATE_SHARE_KEYS_H
#define SL_MGMT_RATE_SHARE_KEYS_H

#include "mgmt/etcd.h"
#include "mgmt/etcd_wire.h"

#define SL_SHARE_KEEP_NS 2000000000ull

struct sl_share_keys;

struct sl_share_keys_look {
	uint64_t epoch; /* rises with each put of the live key; 0: it is not there */
	uint64_t lease; /* that it is under */
	/* until when the leases are surely there, with a margin; 0: not */
	uint64_t sure_ns, floor_sure_ns;
	const char *trouble; /* ""; or why it does not get on */
};

/* etcd and gateway outlive it.  world: etcd is another one, or in an older state: from within tick, heard, or the loop.  0 or -ENOMEM. */
int sl_share_keys_create(uv_loop_t *loop, struct sl_etcd *etcd, const char *prefix,
			 const char *gateway, uint64_t session, uint64_t nonce,
			 void (*world)(void *ctx), void (*changed)(void *ctx), void *ctx,
			 struct sl_share_keys **ret_keys);
void sl_share_keys_destroy(struct sl_share_keys *k);

struct sl_share_keys_look sl_share_keys_look(const struct sl_share_keys *k);
/* PREFIXlimits-live/SESSION. */
void sl_share_keys_live(const struct sl_share_keys *k, uint64_t session, char ret[SL_ETCD_KEY_MAX]);
void sl_share_keys_floor(const struct sl_share_keys *k, uint64_t session,
			 char ret[SL_ETCD_KEY_MAX]);

/* Every 100 ms or so: what is due is asked. */
void sl_share_keys_tick(struct sl_share_keys *k, uint64_t now_ns);
/* The key was seen missing: it is looked at now. */
void sl_share_keys_doubt(struct sl_share_keys *k);
/* What is to be kept with a question, and given with its answer: answers do not come in the order of what they tell.  An answer had that
 * head: false: it is of a state that is over; or world was called. */
struct sl_share_asked {
	uint64_t revision, world;
};
struct sl_share_asked sl_share_keys_asked(const struct sl_share_keys *k);
bool sl_share_keys_heard(struct sl_share_keys *k, struct sl_share_asked asked,
			 const struct sl_etcd_answer *a);
/* etcd is in an older state, as something else than revisions tells: world is called. */
void sl_share_keys_older(struct sl_share_keys *k);

#endif
