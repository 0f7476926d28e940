/* announce — keeps BIRD on this node told which VIPs lead here.
 *
 *   table, health, link, drain ──▶ plan ──▶ the routes file ──▶ `configure` on BIRD's control socket ──▶ told
 *
 * File:     `routes`, which bird.conf includes: written whole, and right before BIRD is asked or starts.  A file of that name that
 *           sluiced did not write is left alone: an error at start.
 * BIRD:     away or refusing: said, and tried again for ever.  When it refuses the file's company (bird.conf is broken) and nothing
 *           is to be announced, the two protocols are disabled instead; the next `configure` that it takes enables them.
 * Restart:  what the file announces goes on until it is known whether a dataplane is there, so a restart of sluiced moves nothing.
 * Drain:    state_dir/drained, while the gateway is.
 * Serving:  announce_serving.h.
 * Threads:  [loop].
 */
#ifndef SL_MGMT_ANNOUNCE_H
#define SL_MGMT_ANNOUNCE_H

#include "mgmt/announce_plan.h"

#include <jansson.h>
#include <uv.h>

#define SL_ANNOUNCE_RETRY_MS 1000
#define SL_ANNOUNCE_SETTLE_MAX_MS 60000

struct sl_announce_conf {
	bool on; /* the group is in sluiced's file */
	char bird_socket[108];
	char routes[1024];
	uint32_t settle_ms; /* [0, SL_ANNOUNCE_SETTLE_MAX_MS] */
};

struct sl_announce_events {
	/* fills health of each service of the table given last, enum sl_announce_health; zeroed before */
	void (*health)(void *ctx, uint8_t *health);
	/* the generation that the dataplane runs, 0: none */
	uint64_t (*generation)(void *ctx);
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

struct sl_announce;

/* sl_announce_create: 0, or -errno with the reason in diag.  conf stays the caller's, and valid.  With conf->on false it announces
 * nothing and writes nothing; drains are kept all the same. */
int sl_announce_create(uv_loop_t *loop, const struct sl_announce_conf *conf, const char *state_dir,
		       const struct sl_announce_events *ev, struct sl_diag *diag,
		       struct sl_announce **ret_announce);
/* sl_announce_destroy leaves file and BIRD as they are; who waits is told so; the loop must run once more.  NULL is accepted. */
void sl_announce_destroy(struct sl_announce *a);

/* The table that is active, borrowed for the call; NULL: none. */
void sl_announce_table(struct sl_announce *a, const struct sl_conf *c);
/* The link came up, with the mapped statistics; or is down or was not to be had (NULL). */
void sl_announce_link(struct sl_announce *a, const void *stats, size_t bytes);
/* Health, an operator's state or the generation may have changed: looked at in a turn of the loop to come. */
void sl_announce_look(struct sl_announce *a);

/* fn is told once that BIRD announces nothing any more and `settle` is over: why NULL; or after wait_ms, or when sluiced ends, why
 * that is not so. */
typedef void sl_announce_fn(void *ctx, const char *why);

/* sl_announce_stopping: the dataplane is about to end: all is withdrawn until a link comes up.  May call fn at once. */
void sl_announce_stopping(struct sl_announce *a, uint32_t wait_ms, sl_announce_fn *fn, void *ctx);

/* sl_announce_drain: 0, or -errno with the reason in diag: nothing has changed.  who: for people.  fn is called only for a drain that
 * could be kept, perhaps at once; NULL: nobody waits. */
int sl_announce_drain(struct sl_announce *a, bool drained, const char *who, int64_t wall_ms,
		      bool *ret_changed, struct sl_diag *diag);
void sl_announce_wait(struct sl_announce *a, uint32_t wait_ms, sl_announce_fn *fn, void *ctx);
bool sl_announce_drained(const struct sl_announce *a);

/* What `show announce` says (api.h); names of listeners come from c. */
json_t *sl_announce_show(const struct sl_announce *a, const struct sl_conf *c);

/* For metrics: the plan, and whether BIRD answers. */
const struct sl_announce_plan *sl_announce_plan_of(const struct sl_announce *a);
bool sl_announce_bird_up(const struct sl_announce *a);

#endif
