/* One offer at a time, of `next` or, to a dataplane that has not got it, of `active`.  It ends with a verdict or with the link. */
#include "mgmt/tables_priv.h"

#include <errno.h>
#include <inttypes.h>

/* A dataplane whose generation is not below ours wants a larger number: the same table, written again; where numbers are those of
 * revisions, only offered under it. */
static int
renumber(struct sl_tables *t, struct sl_table *tab, uint64_t above)
{
	struct sl_diag diag = {0};
	uint64_t old = tab->number, push = tab->push->number;
	int err = 0;

	t->last = SL_MAX(t->last, above);
	tab->number = ++t->last;
	if (!tab->push->discovers) {
		tab->push->number = tab->number;
		err = sl_table_write(tab, t->generations, &diag);
	}
	if (err) { /* nothing is offered that is not on disk */
		tab->number = old;
		tab->push->number = push;
		sl_tables_say_diag(t, &diag);
		return err;
	}
	if (!tab->push->discovers)
		sl_confirm_renumber(t->confirm, push, tab->number, &diag);
	if (!tab->push->discovers && tab == t->active)
		err = sl_generations_mark(t->generations, tab->number, SL_GENERATION_ACTIVE, NULL,
					  &diag);
	sl_tables_say_diag(t, &diag);
	sl_tables_say(t,
		      "generation %" PRIu64 " is offered as %" PRIu64
		      ": the dataplane has seen numbers up "
		      "to %" PRIu64,
		      old, tab->number, above);
	return err;
}

void
sl_tables_offer_introduce(struct sl_tables *t, const struct sl_table *tab)
{
	const struct sl_conf *before = sl_tables_moved_from(t, tab);

	sl_oper_prepare_moved(t->c.oper, before, tab->conf, &tab->map);
	sl_counters_prepare_moved(t->c.counters, before, tab->conf, &tab->map);
	t->c.offering(t->c.ctx, tab);
}

/* Twice as long as the last time, once for all that goes wrong before it is tried again.  held_ms: so long the dataplane had the offer that it refused: so long, at least,
 * others have the way free. */
static void
retry_later(struct sl_tables *t, uint64_t held_ms)
{
	struct sl_tables_later *l = &t->later;

	if (!l->retry_at)
		l->retry_ms =
			SL_MIN(SL_MAX(2 * l->retry_ms, SL_TABLES_RETRY_MS), SL_TABLES_RETRY_MAX_MS);
	l->retry_at = SL_MAX(l->retry_at, uv_now(t->c.loop) + SL_MAX(l->retry_ms, held_ms));
}

static int
offer(struct sl_tables *t, struct sl_table *tab)
{
	const struct sl_publish_link *l = sl_publish_link(t->publish);

	if (!l)
		return -ENOTCONN;
	if (tab->number <= SL_MAX(l->generation, t->running) &&
	    renumber(t, tab, SL_MAX(l->generation, t->running)))
		return -EIO;
	if (tab == t->next) {
		sl_tables_offer_introduce(t, tab);
		sl_tables_slots_write(t, tab);
	}
	return sl_publish_offer(t->publish, tab->number, tab->compiled);
}

int
sl_tables_offer(struct sl_tables *t, struct sl_table *tab)
{
	t->later.opened_ms = uv_now(t->c.loop);
	int err = offer(t, tab);
	t->offered = err ? NULL : tab;
	if (err)
		retry_later(t, 0);
	return err;
}

/* What it runs may be a revision of before a restart, whose number nobody here remembers. */
static bool
runs(const struct sl_tables *t, const struct sl_publish_link *l, struct sl_table *tab)
{
	if (t->running != l->generation ||
	    memcmp(&l->root, &tab->compiled->root.id, sizeof(l->root)) != 0)
		return false;
	if (tab->push->discovers && l->generation > tab->number)
		tab->number = l->generation;
	return l->generation == tab->number;
}

static void on_settle(uv_timer_t *timer);

bool
sl_tables_offer_unsettled(const struct sl_tables *t)
{
	const struct sl_table *tab = t->next ? t->next : t->active;

	return t->later.settle_until && uv_now(t->c.loop) < t->later.settle_until && tab &&
	       tab->push->discovers && t->c.settled && (!t->c.settled(t->c.ctx) || t->stirred);
}

bool
sl_tables_offer_waits(struct sl_tables *t)
{
	const struct sl_publish_link *l = sl_publish_link(t->publish);

	if (l && l->generation && sl_tables_offer_unsettled(t)) {
		uv_timer_start(t->later.settle_timer, on_settle, SL_TABLES_REVISE_MS, 0);
		return true;
	}
	t->later.settle_until = l ? 0 : t->later.settle_until;
	return false;
}

void
sl_tables_offer_current(struct sl_tables *t)
{
	const struct sl_publish_link *l = t->linked ? sl_publish_link(t->publish) : NULL;
	struct sl_table *tab = t->next ? t->next : t->active;

	if (!l || t->offered || t->job || !tab)
		return;
	if (!runs(t, l, tab)) {
		if (!sl_tables_offer_waits(t))
			sl_tables_offer(t, tab);
		return;
	}
	sl_tables_say(t, "the dataplane already runs generation %" PRIu64, tab->number);
	if (t->later.said && !(tab == t->next && tab->pending))
		sl_tables_audit_push(t, NULL, tab, "active", NULL);
	t->later.said = false;
	if (tab == t->next) { /* its verdict was lost with the previous link */
		if (!tab->pending) {
			sl_table_destroy(sl_tables_activate(t));
			return;
		}
		sl_tables_confirm_wait(t, tab);
		sl_tables_audit_push(t, NULL, tab, "active", NULL);
		sl_tables_settle(t, sl_tables_activate(t));
	}
}

static void
on_settle(uv_timer_t *timer)
{
	struct sl_tables *t = timer->data;
	const struct sl_table *tab = t->next ? t->next : t->active;

	if (tab && t->running != tab->number)
		sl_tables_offer_current(t);
}

void
sl_tables_offer_catch_up(struct sl_tables *t)
{
	if (t->next || (t->active && t->running != t->active->number))
		sl_tables_offer_current(t);
}

void
sl_tables_offer_revision(struct sl_tables *t, struct sl_table *tab)
{
	const struct sl_publish_link *l = sl_publish_link(t->publish);

	if (l && runs(t, l, tab)) {
		sl_tables_offer_introduce(t, tab);
		sl_tables_slots_write(t, tab);
		sl_tables_offer_current(t);
		return;
	}
	tab->number = ++t->last;
	sl_tables_offer(t, tab);
}

/* ---- verdicts ---- */

/* What is owed is made as soon as nothing is in the way. */
static void
ask_owed(struct sl_tables *t)
{
	t->stirred = t->stirred || t->later.owed;
	t->later.owed = false;
}

/* A dataplane that took one may take what is owed, too. */
static void
eased(struct sl_tables *t)
{
	t->later.retry_at = 0;
	if (!t->later.owed)
		t->later.retry_ms = 0;
	ask_owed(t);
}

static void
taken(struct sl_tables *t, struct sl_table *tab, struct push *p, const struct sl_publish_verdict *v)
{
	uint64_t previous = t->active ? t->active->number : 0;
	bool fresh = tab == t->next, push = tab->pending;
	struct sl_table *old = NULL;

	t->running = tab->number;
	eased(t);
	if (!fresh || push)
		sl_tables_say(t,
			      "generation %" PRIu64
			      " is active (%.1f ms to check, %.1f to build, %.1f to swap)",
			      tab->number, (double)v->check_ns / 1e6, (double)v->build_ns / 1e6,
			      (double)v->swap_ns / 1e6);
	if (fresh && push) {
		t->count_active++;
		sl_tables_confirm_wait(t, tab);
		sl_tables_audit_push(t, p, tab, "active", NULL);
	}
	if (t->later.said && !(fresh && push))
		sl_tables_audit_push(t, NULL, tab, "active", NULL);
	t->later.said = false;
	if (fresh)
		old = sl_tables_activate(t);
	if (p)
		sl_tables_push_finish(t, SL_PUSH_ACTIVE, tab, previous, v, NULL);
	if (fresh && push) {
		sl_tables_settle(t, old);
	} else if (fresh) {
		sl_table_destroy(old);
		sl_tables_revision_taken(t, v);
	}
}

static uint64_t
held_ms(const struct sl_tables *t)
{
	return uv_now(t->c.loop) - t->later.opened_ms;
}

/* What runs elsewhere, or ran before.  A row of refusals is told once. */
static void
active_refused(struct sl_tables *t, struct sl_table *tab, struct push *p,
	       const struct sl_publish_verdict *v)
{
	if (!t->later.said) {
		t->count_refused++;
		sl_tables_audit_push(t, p, tab, "refused", v);
	}
	t->later.said = true;
	retry_later(t, held_ms(t));
}

static void
refused(struct sl_tables *t, struct sl_table *tab, struct push *p,
	const struct sl_publish_verdict *v)
{
	uint64_t previous = t->active ? t->active->number : 0;

	sl_tables_say(t, "generation %" PRIu64 " was refused: %s", tab->number,
		      v->reason_cnt ? v->reasons[0] : "no reason given");
	if (tab != t->next) {
		active_refused(t, tab, p, v);
		return;
	}
	t->next = NULL;
	if (tab->pending) {
		t->count_refused++;
		sl_tables_audit_push(t, p, tab, "refused", v);
		sl_tables_mark(t, tab, SL_GENERATION_REFUSED, v->reason_cnt ? v->reasons[0] : "");
		t->stirred = true; /* what moved went into it alone */
	} else {
		sl_tables_revision_refused(t);
		t->later.owed = true;
		retry_later(t, held_ms(t));
	}
	if (p)
		sl_tables_push_finish(t, SL_PUSH_REFUSED, tab, previous, v, NULL);
	sl_table_destroy(tab);
	if (t->active && t->running != t->active->number && !t->pushes)
		sl_tables_offer_current(t); /* a dataplane that has nothing yet */
}

void
sl_tables_verdict(struct sl_tables *t, const struct sl_publish_verdict *v)
{
	struct sl_table *tab = t->offered;
	struct push *p = t->pushes && t->pushes->working ? t->pushes : NULL;

	if (!tab || tab->number != v->generation || v->outcome == SL_CTL_SUPERSEDED)
		return;
	t->offered = NULL;
	if (tab == t->trying) {
		sl_tables_try_verdict(t, v);
		return;
	}
	if (v->outcome == SL_CTL_ACTIVE)
		taken(t, tab, p, v);
	else
		refused(t, tab, p, v);
	sl_tables_push_run(t);
}

void
sl_tables_offer_owe(struct sl_tables *t)
{
	t->later.owed = true;
	retry_later(t, 0);
}

void
sl_tables_offer_paid(struct sl_tables *t)
{
	t->later.owed = false;
	if (t->active && !t->next && t->running == t->active->number)
		t->later.retry_at = t->later.retry_ms = 0;
}

void
sl_tables_offer_retry(struct sl_tables *t)
{
	struct sl_tables_later *l = &t->later;
	const struct sl_publish_link *at = t->linked ? sl_publish_link(t->publish) : NULL;
	struct sl_table *tab = t->next ? t->next : t->active;

	if (!l->retry_at || uv_now(t->c.loop) < l->retry_at || t->offered || t->job || !at ||
	    t->stopping)
		return;
	l->retry_at = 0;
	/* with other endpoints it may be taken; a refusal of that offers active again */
	if (l->owed && l->said) {
		ask_owed(t);
		sl_tables_revision_run(t);
	}
	if (t->job)
		return;
	if (tab && (t->running != tab->number || !runs(t, at, tab)))
		sl_tables_offer_current(t);
	if (t->offered) /* what is owed comes behind it */
		return;
	ask_owed(t);
	sl_tables_revision_run(t);
}

/* ---- the link ---- */

void
sl_tables_link(struct sl_tables *t, struct sl_publish *p)
{
	t->publish = p;
}

void
sl_tables_up(struct sl_tables *t, const struct sl_publish_link *l)
{
	t->linked = true;
	t->running = l->generation;
	t->last = SL_MAX(t->last, l->generation);
	t->later.retry_at = t->later.retry_ms = 0; /* of the dataplane of before */
	sl_tables_offer_current(t);
	if (!t->offered)
		ask_owed(t);
	sl_tables_push_run(t);
}

void
sl_tables_down(struct sl_tables *t)
{
	struct sl_table *tab = t->offered;

	t->linked = false;
	t->running = 0;
	t->offered = NULL;
	if (sl_tables_try_lost(t))
		return;
	if (!t->pushes || !t->pushes->working || t->job || !tab)
		return;
	sl_tables_audit_push(t, t->pushes, tab, "pending", NULL);
	sl_tables_push_finish(
		t, SL_PUSH_PENDING, tab, t->active ? t->active->number : 0, NULL,
		"the dataplane went away before it answered; it is offered again when it comes "
		"back");
	sl_tables_push_run(t);
}
