/* What is taken back is a push of our own, a rollback; it waits in the queue like any other. */
#include "mgmt/tables_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Whether tab is what takes back what waits. */
static bool
takes_back(const struct sl_table *tab, const struct sl_confirm_wait *w)
{
	return tab && tab->push->uid == -1 && tab->push->rollback_of == w->back_to;
}

void
sl_tables_confirm_wait(struct sl_tables *t, const struct sl_table *tab)
{
	struct sl_confirm_wait w = sl_confirm_get(t->confirm);
	uint64_t back_to = w.generation ? w.back_to : t->active ? t->active->push->number : 0;
	struct sl_diag diag = {0};

	if (w.generation == tab->push->number) /* of before a restart */
		return;
	if (w.generation)
		sl_tables_say(t,
			      "generation %" PRIu64 " %s: generation %" PRIu64 " takes its place",
			      w.generation,
			      takes_back(tab, &w) ? "was not confirmed"
						  : "needs no confirmation any more",
			      tab->push->number);
	if (tab->push->confirm_s && back_to) {
		sl_confirm_begin(t->confirm, tab->push->number, back_to, tab->push->confirm_s,
				 &diag);
		sl_tables_say(t,
			      "generation %" PRIu64 " is taken back to %" PRIu64
			      " unless it is confirmed within %u s",
			      tab->push->number, back_to, tab->push->confirm_s);
	} else if (w.generation) {
		sl_confirm_end(t->confirm, &diag);
	}
	sl_tables_say_diag(t, &diag);
}

static void
on_taken_back(void *ctx, const struct sl_push_result *r)
{
	struct sl_tables *t = ctx;

	t->going_back = false;
	if (r->outcome != SL_PUSH_ACTIVE && r->outcome != SL_PUSH_PENDING)
		sl_tables_say(
			t, "generation %" PRIu64 " could not be taken back: %s; it is tried again",
			sl_confirm_get(t->confirm).generation,
			r->verdict && r->verdict->reason_cnt ? r->verdict->reasons[0]
			: r->diag && r->diag->cnt            ? r->diag->items[0].text
							     : "it took too long");
}

/* Its time is over. */
static void
on_due(void *ctx, const struct sl_confirm_wait *w)
{
	struct sl_tables *t = ctx;
	bool other = t->next && t->next->pending && t->next->push->number != w->generation;
	char comment[96];

	if (t->going_back || t->pushes || other || t->stopping)
		return;
	snprintf(comment, sizeof(comment), "generation %" PRIu64 " was not confirmed within %u s",
		 w->generation, w->given_s);
	sl_tables_say(t, "%s", comment);
	const struct sl_push_request q = {
		.uid = -1,
		.user = "sluiced",
		.comment = comment,
		.rollback_of = w->back_to,
	};
	t->going_back = true;
	sl_tables_push(t, &q, on_taken_back, t);
}

struct sl_confirm_wait
sl_tables_waits(const struct sl_tables *t)
{
	return sl_confirm_get(t->confirm);
}

int
sl_tables_confirm(struct sl_tables *t, uint64_t generation, int64_t uid, const char *user,
		  const char *comment, struct sl_confirm_wait *ret_wait)
{
	struct sl_confirm_wait w = sl_confirm_get(t->confirm);
	struct sl_diag diag = {0};

	*ret_wait = w;
	if (!w.generation || (generation && generation != w.generation))
		return -ENOENT;
	if (t->going_back || takes_back(t->next, &w))
		return -EALREADY;
	sl_confirm_end(t->confirm, &diag);
	sl_tables_say_diag(t, &diag);
	sl_tables_say(t, "generation %" PRIu64 " is confirmed", w.generation);
	sl_tables_audit_confirmed(t, w.generation, uid, user, comment);
	return 0;
}

int
sl_tables_confirm_open(struct sl_tables *t, struct sl_diag *notes)
{
	return sl_confirm_create(t->c.loop, t->c.state_dir, on_due, t, notes, &t->confirm);
}

void
sl_tables_confirm_check(struct sl_tables *t, struct sl_diag *notes)
{
	struct sl_confirm_wait w = sl_confirm_get(t->confirm);

	if (!w.generation || (t->active && t->active->push->number == w.generation) ||
	    (t->next && t->next->push->number == w.generation))
		return;
	sl_diag_add(notes, NULL, 0, NULL, "see: show generations",
		    "generation %" PRIu64
		    " waited to be confirmed, and is not the active one any more",
		    w.generation);
	sl_confirm_end(t->confirm, notes);
}
