/* stirred ─▶ compiled in the pool ─┬─ the same bytes, or nobody to offer it to ─▶ in place of what it revises
 *                                  └─ next, offered ─▶ taken: active;  refused: gone, made anew later
 *
 * What stirs while one is compiled or offered goes into the next. */
#include "mgmt/tables_priv.h"

#include "mgmt/roster.h"

#include <errno.h>
#include <inttypes.h>
#include <time.h>

static uint64_t
thread_cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* [pool] */
static void
compile_revision(uv_work_t *w)
{
	struct revision *v = w->data;
	struct sl_tables *t = v->tables;
	struct sl_conf *conf = v->conf;
	uint64_t begun = thread_cpu_ms();

	v->conf = NULL;
	v->err = sl_table_create(v->base->push, conf, t->active, sl_tables_slots_now(t), t->shards,
				 &v->diag, &v->table);
	if (!v->err) {
		v->table->begun_ns = v->begun_ns;
		sl_tables_slots_note(t, v->table, v->map_id);
	}
	v->cpu_ms = thread_cpu_ms() - begun;
}

/* tab in place of what it revises, without an offer: the same bytes, or nobody to offer it to. */
static void
replace(struct sl_tables *t, struct sl_table *tab)
{
	if (t->next) {
		tab->number = t->next->number;
		tab->pending = t->next->pending;
		sl_tables_replace_next(t, tab);
		return;
	}
	tab->number = t->active->number;
	sl_tables_offer_introduce(t, tab);
	sl_tables_slots_write(t, tab);
	sl_table_destroy(sl_tables_put_active(t, tab));
}

static void
revised(uv_work_t *w, int status)
{
	struct revision *v = w->data;
	struct sl_tables *t = v->tables;
	struct sl_table *tab = v->table;

	t->job = false;
	t->revising.after = SL_MAX(t->revising.after, uv_now(t->c.loop) + v->cpu_ms);
	v->table = NULL;
	sl_roster_conf_free(v->conf); /* the job did not run */
	v->conf = NULL;
	if (status || v->err) {
		t->revising.counts.refused++;
		if (v->diag.cnt == 0)
			sl_diag_add(&v->diag, NULL, 0, NULL, NULL, "out of memory");
		sl_tables_say(t,
			      "generation %" PRIu64 " cannot take its endpoints as they are now:",
			      v->base->number);
		sl_tables_say_diag(t, &v->diag);
		sl_tables_offer_owe(t);
		sl_tables_offer_catch_up(t);
		sl_tables_push_run(t);
		return;
	}
	sl_diag_fini(&v->diag);
	t->revising.counts.compile_ms = tab->compile_ms;
	bool same = memcmp(&tab->compiled->root.id, &v->base->compiled->root.id,
			   sizeof(struct sl_obj_id)) == 0;
	if (sl_tables_offer_unsettled(t))
		sl_tables_slots_retain(t, tab);
	bool waiting = t->linked && sl_tables_offer_waits(t);
	if (same || !t->linked || waiting) {
		replace(t, tab);
		sl_tables_offer_paid(t);
		sl_tables_offer_catch_up(t);
	} else {
		tab->pending = t->next && t->next->pending;
		sl_tables_replace_next(t, tab);
		sl_tables_offer_revision(t, tab);
	}
	sl_tables_push_run(t);
}

static void
on_revise(uv_timer_t *timer)
{
	sl_tables_revision_run(timer->data);
}

void
sl_tables_revision_run(struct sl_tables *t)
{
	struct sl_table *base = t->next ? t->next : t->active;
	struct revision *v = &t->revising.now;
	uint64_t now = uv_now(t->c.loop);

	if (!t->stirred || t->job || t->offered || t->pushes || t->stopping || !base)
		return;
	if (now < t->revising.after) {
		uv_timer_start(t->revising.timer, on_revise, t->revising.after - now, 0);
		return;
	}
	if (sl_tables_slots_shorten(t))
		return;
	t->stirred = false;
	if (!base->push->discovers || !t->c.endpoints) {
		sl_tables_offer_paid(t);
		return;
	}
	t->revising.after = now + SL_TABLES_REVISE_MS;
	*v = (struct revision){.tables = t,
			       .base = base,
			       .map_id = sl_tables_slots_next_id(t),
			       .begun_ns = uv_hrtime()};
	v->conf = t->c.endpoints(t->c.ctx, base->push->conf);
	v->work.data = v;
	t->job = true;
	int err = v->conf ? uv_queue_work(t->c.loop, &v->work, compile_revision, revised) : -ENOMEM;
	if (err)
		revised(&v->work, err);
}

void
sl_tables_revise(struct sl_tables *t)
{
	t->stirred = true;
	sl_tables_revision_run(t);
}

void
sl_tables_revisions(const struct sl_tables *t, struct sl_tables_revisions *ret)
{
	*ret = t->revising.counts;
}

#define SAY_MS 10000

void
sl_tables_revision_say(struct sl_tables *t)
{
	uint64_t now = uv_now(t->c.loop);

	if (!t->revising.said_cnt || (t->revising.said_ms && now < t->revising.said_ms + SAY_MS))
		return;
	sl_tables_say(t,
		      "generation %" PRIu64 " is active: push %" PRIu64 " with endpoints of now%s",
		      t->active->number, t->active->push->number,
		      t->revising.said_cnt > 1 ? ", as those before it that were not said" : "");
	t->revising.said_ms = now;
	t->revising.said_cnt = 0;
}

void
sl_tables_revision_taken(struct sl_tables *t, const struct sl_publish_verdict *v)
{
	t->revising.counts.active++;
	t->revising.counts.check_ms = (double)v->check_ns / 1e6;
	t->revising.counts.build_ms = (double)v->build_ns / 1e6;
	t->revising.counts.swap_ms = (double)v->swap_ns / 1e6;
	t->revising.said_cnt++;
	sl_tables_revision_say(t);
}

void
sl_tables_revision_refused(struct sl_tables *t)
{
	t->revising.counts.refused++;
}
