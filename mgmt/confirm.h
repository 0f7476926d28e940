/* confirm — a push that takes itself back unless somebody says that it is good.
 *
 *   push --confirm 60s ─▶ active ─▶ waits ─┬─ confirm ───────────────────────▶ stands
 *                                          ├─ another push becomes active ───▶ over: that one counts
 *                                          └─ the time is over ─▶ due: rollback to the push before
 *
 * STATE_DIR/confirm.json says what waits, until when by the clock on the wall: a wait goes on over a restart, and one whose time
 * passed meanwhile is due at once.  However that clock was set, a wait is never longer than it was given.
 * Threads: [loop].
 */
#ifndef SL_MGMT_CONFIRM_H
#define SL_MGMT_CONFIRM_H

#include "mgmt/api.h"
#include "sluice/diag.h"

#include <uv.h>

#define SL_CONFIRM_AGAIN_MS 1000 /* until due is asked again, while the wait is not over */

struct sl_confirm_wait {
	uint64_t generation; /* of the push; 0: nothing waits */
	uint64_t back_to;
	uint32_t given_s;
	uint32_t left_ms; /* 0: due */
};

struct sl_confirm;

/* sl_confirm_create goes on with what is on disk; due is called from the loop, not before the first turn, and each
 * SL_CONFIRM_AGAIN_MS after that until the wait is over.  What could not be read is in notes.  0, -ENOMEM. */
int sl_confirm_create(uv_loop_t *loop, const char *state_dir,
		      void (*due)(void *ctx, const struct sl_confirm_wait *w), void *ctx,
		      struct sl_diag *notes, struct sl_confirm **ret_confirm);
void sl_confirm_destroy(struct sl_confirm *c); /* NULL is accepted; the loop must run once more */

/* sl_confirm_begin: what waits now, in place of what did.  It is on disk before this returns; else why not is in diag, and it waits
 * all the same as long as this process lives. */
void sl_confirm_begin(struct sl_confirm *c, uint64_t generation, uint64_t back_to, uint32_t given_s,
		      struct sl_diag *diag);
/* sl_confirm_end: nothing waits any more.  sl_confirm_renumber: the push has another number now. */
void sl_confirm_end(struct sl_confirm *c, struct sl_diag *diag);
void sl_confirm_renumber(struct sl_confirm *c, uint64_t from, uint64_t to, struct sl_diag *diag);

struct sl_confirm_wait sl_confirm_get(const struct sl_confirm *c);

#endif
