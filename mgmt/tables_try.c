/* It has a number, and a place neither on disk nor in `next`: compiled, offered to be tried, and then trial.h's.  Its offer is open as
 * any other. */
#include "mgmt/tables_priv.h"

#include <inttypes.h>

static void
end_try(struct sl_tables *t, enum sl_push_outcome outcome, struct sl_table *tab,
	const struct sl_publish_verdict *v)
{
	sl_tables_push_finish(t, outcome, tab, t->active ? t->active->number : 0, v, NULL);
	sl_table_destroy(tab);
	sl_tables_offer_catch_up(t);
	sl_tables_push_run(t);
}

void
sl_tables_try(struct sl_tables *t, struct sl_table *tab)
{
	struct push *p = t->pushes;

	if (t->c.admit && t->c.admit(t->c.ctx, tab, &p->diag)) {
		sl_tables_audit_trial(t, tab, "config", NULL);
		end_try(t, SL_PUSH_CONFIG, tab, NULL);
		return;
	}
	sl_oper_prepare(t->c.oper, tab->conf, &tab->map);
	if (!t->linked || sl_publish_try(t->publish, tab->number, tab->compiled, p->q.sample_ppm)) {
		end_try(t, SL_PUSH_AWAY, tab, NULL);
		return;
	}
	t->offered = t->trying = tab;
}

void
sl_tables_try_verdict(struct sl_tables *t, const struct sl_publish_verdict *v)
{
	struct sl_table *tab = t->trying;

	t->trying = NULL;
	if (v->outcome != SL_CTL_TRIED) {
		sl_tables_audit_trial(t, tab, "refused", v);
		end_try(t, SL_PUSH_REFUSED, tab, v);
		return;
	}
	sl_tables_audit_trial(t, tab, "begun", NULL);
	sl_tables_say(t, "generation %" PRIu64 " is tried beside generation %" PRIu64, tab->number,
		      t->active->number);
	t->c.tried(t->c.ctx, tab, &t->pushes->q);
	sl_tables_push_finish(t, SL_PUSH_TRIED, tab, t->active->number, v, NULL);
	sl_tables_offer_catch_up(t);
	sl_tables_push_run(t);
}

bool
sl_tables_try_lost(struct sl_tables *t)
{
	struct sl_table *tab = t->trying;

	if (!tab)
		return false;
	t->trying = NULL;
	end_try(t, SL_PUSH_AWAY, tab, NULL);
	return true;
}
