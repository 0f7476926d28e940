/* The head of the queue is worked on, or waits for its verdict.  It leaves once it is decided, whether somebody still waits or not.
 *
 * A push that discovers is two jobs: the text is read in the first, the roster is asked on the loop, the second compiles. */
#include "mgmt/tables_priv.h"

#include "mgmt/roster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static_assert(SL_TABLES_ANSWER_MS > SL_CTL_HOLD_MS, "who pushed hears the reason");

/* ---- answers ---- */

static void
free_push(struct push *p)
{
	sl_table_destroy(p->table);
	sl_roster_conf_free(p->conf);
	sl_pushed_unref(p->pushed);
	sl_diag_fini(&p->diag);
	free((char *)(uintptr_t)p->q.user);
	free((char *)(uintptr_t)p->q.file);
	free((char *)(uintptr_t)p->q.comment);
	free((char *)(uintptr_t)p->q.text);
	free(p);
}

static void
answer(struct push *p, enum sl_push_outcome outcome, const struct sl_table *tab, uint64_t previous,
       const struct sl_publish_verdict *v, const char *note)
{
	struct sl_push_result r = {
		.outcome = outcome,
		.generation = tab ? tab->number : 0,
		.previous = previous,
		.rollback_of = tab ? tab->push->rollback_of : 0,
		.confirm_s = tab ? tab->push->confirm_s : 0,
		.objects = tab ? tab->compiled->cnt : 0,
		.compile_ms = tab ? tab->push->parse_ms + tab->compile_ms : 0,
		.total_ms = (double)(uv_hrtime() - p->since_ns) / 1e6,
		.verdict = v,
		.diag = &p->diag,
		.note = note,
	};
	sl_push_fn *fn = p->fn;
	p->fn = NULL;
	if (fn)
		fn(p->ctx, &r);
}

void
sl_tables_push_finish(struct sl_tables *t, enum sl_push_outcome outcome, const struct sl_table *tab,
		      uint64_t previous, const struct sl_publish_verdict *v, const char *note)
{
	struct push *p = t->pushes;

	t->pushes = p->next;
	if (!t->pushes)
		t->tail = &t->pushes;
	answer(p, outcome, tab, previous, v, note);
	free_push(p);
}

/* ---- a push, step by step ---- */

static uint64_t
previous_active(const struct sl_tables *t, uint64_t below)
{
	struct sl_generation_meta *list;
	unsigned cnt;
	uint64_t found = 0;

	if (sl_generations_list(t->generations, &list, &cnt))
		return 0;
	for (unsigned i = 0; i < cnt && !found; i++)
		if (list[i].state == SL_GENERATION_ACTIVE && list[i].number < below)
			found = list[i].number;
	sl_generations_list_free(list, cnt);
	return found;
}

/* [pool] The text of a rollback comes from disk. */
static int
fetch_old(struct push *p)
{
	struct sl_generation_meta m;
	struct sl_tables *t = p->tables;
	char *text;

	if (p->q.rollback_of == SL_TABLES_PREVIOUS) {
		uint64_t now = t->active ? t->active->push->number : 0;
		p->q.rollback_of = previous_active(t, now);
		if (p->q.rollback_of == 0) {
			sl_diag_add(&p->diag, NULL, 0, NULL, "see: show generations",
				    "no generation before %" PRIu64 " is there to go back to", now);
			return -ENOENT;
		}
	}
	int err = sl_generations_read(t->generations, p->q.rollback_of, &m, &text, &p->q.len,
				      &p->diag);
	if (err) {
		sl_diag_add(&p->diag, NULL, 0, NULL, "see: show generations",
			    "generation %" PRIu64 " %s", p->q.rollback_of,
			    err == -ENOENT ? "is not there" : "cannot be read");
		return -ENOENT;
	}
	p->q.text = text;
	free((char *)(uintptr_t)p->q.file);
	p->q.file = strdup(m.file);
	sl_generation_meta_fini(&m);
	return 0;
}

/* [pool] */
static void
compile_push(uv_work_t *w)
{
	struct push *p = w->data;
	struct sl_tables *t = p->tables;
	struct sl_conf *conf = p->conf;

	p->conf = NULL;
	p->outcome = SL_PUSH_CONFIG;
	int err = sl_table_create(p->pushed, conf, t->active, sl_tables_slots_now(t), t->shards,
				  &p->diag, &p->table);
	if (err == -EINVAL)
		return;
	p->outcome = SL_PUSH_INTERNAL;
	if (err) {
		sl_diag_add(&p->diag, NULL, 0, NULL, NULL, "out of memory");
		return;
	}
	p->table->number = p->pushed->number = p->number;
	p->table->pending = true;
	if (p->q.sample_ppm) { /* its slots are given to nobody */
		p->outcome = SL_PUSH_PENDING;
		return;
	}
	sl_tables_slots_note(t, p->table, p->map_id);
	if (sl_table_write(p->table, t->generations, &p->diag) == 0)
		p->outcome = SL_PUSH_PENDING;
}

/* [pool] */
static void
job(uv_work_t *w)
{
	struct push *p = w->data;
	struct sl_tables *t = p->tables;

	p->outcome = SL_PUSH_NOT_FOUND;
	if (p->q.rollback_of && fetch_old(p))
		return;
	if (p->q.sample_ppm && !t->active) {
		sl_diag_add(&p->diag, NULL, 0, NULL, "push it without --shadow",
			    "there is no active table that it could be tried beside");
		return;
	}
	if (p->q.confirm_s && !t->active) {
		sl_diag_add(&p->diag, NULL, 0, NULL, "push it without --confirm",
			    "there is no table before it that it could be taken back to");
		return;
	}
	p->outcome = SL_PUSH_CONFIG;
	int err = sl_pushed_create(&p->q, t->c.locality, &p->diag, &p->pushed);
	if (err == -ENOMEM) {
		p->outcome = SL_PUSH_INTERNAL;
		sl_diag_add(&p->diag, NULL, 0, NULL, NULL, "out of memory");
	}
	if (err)
		return;
	p->parsed = t->c.endpoints && p->pushed->discovers;
	if (!p->parsed)
		compile_push(w);
}

/* It names what there is not, and never becomes `next`. */
static void
turn_away(struct sl_tables *t, struct sl_table *tab, uint64_t previous)
{
	const struct sl_diag *diag = &t->pushes->diag;

	t->count_refused++;
	sl_tables_mark(t, tab, SL_GENERATION_REFUSED, diag->cnt ? diag->items[0].text : "");
	sl_tables_audit_push(t, t->pushes, tab, "config", NULL);
	sl_tables_push_finish(t, SL_PUSH_CONFIG, NULL, previous, NULL, NULL);
	sl_table_destroy(tab);
	sl_tables_offer_catch_up(t);
	sl_tables_push_run(t);
}

static void job_done(uv_work_t *w, int status);

/* The second job of a push that discovers; false: there is none. */
static bool
go_on(struct push *p)
{
	struct sl_tables *t = p->tables;

	if (!p->parsed)
		return false;
	p->parsed = false;
	p->outcome = SL_PUSH_INTERNAL;
	p->conf = t->c.endpoints(t->c.ctx, p->pushed->conf);
	return p->conf && uv_queue_work(t->c.loop, &p->work, compile_push, job_done) == 0;
}

static void
job_done(uv_work_t *w, int status)
{
	struct push *p = w->data;
	struct sl_tables *t = p->tables;
	uint64_t previous = t->active ? t->active->number : 0;

	if (!status && go_on(p))
		return;
	struct sl_table *tab = p->table;
	t->job = false;
	if (status || p->outcome != SL_PUSH_PENDING) {
		t->count_refused++;
		sl_tables_push_finish(t, status ? SL_PUSH_INTERNAL : p->outcome, NULL, previous,
				      NULL, NULL);
		sl_tables_offer_catch_up(t);
		sl_tables_push_run(t);
		return;
	}
	p->table = NULL;
	t->last = SL_MAX(t->last, tab->number);
	if (p->q.sample_ppm) {
		sl_tables_try(t, tab);
		return;
	}
	if (t->c.admit && t->c.admit(t->c.ctx, tab, &p->diag)) {
		turn_away(t, tab, previous);
		return;
	}
	sl_tables_replace_next(t, tab);
	if (t->linked && sl_tables_offer(t, tab) == 0)
		return; /* the verdict goes on */
	sl_tables_say(t, "generation %" PRIu64 " is kept; %s", tab->number,
		      t->linked ? "it could not be offered, and is offered again"
				: "no dataplane is connected");
	sl_tables_audit_push(t, p, tab, "pending", NULL);
	sl_tables_push_finish(
		t, SL_PUSH_PENDING, tab, previous, NULL,
		t->linked ? "kept; it could not be offered now, it is offered again soon"
			  : "kept; the dataplane is not connected, it is offered as soon as it "
			    "comes");
	sl_tables_push_run(t);
}

/* ---- the queue ---- */

void
sl_tables_push_run(struct sl_tables *t)
{
	struct push *p = t->pushes;

	if (!p)
		sl_tables_revision_run(t);
	if (!p || p->working || t->job || t->offered)
		return;
	p->working = true;
	p->number = t->last + 1;
	p->map_id = sl_tables_slots_next_id(t);
	p->work.data = p;
	t->job = true;
	int err = uv_queue_work(t->c.loop, &p->work, job, job_done);
	if (err)
		job_done(&p->work, err);
}

void
sl_tables_push(struct sl_tables *t, const struct sl_push_request *q, sl_push_fn *fn, void *ctx)
{
	struct push *p = calloc(1, sizeof(*p));
	struct sl_push_result oom = {.outcome = SL_PUSH_INTERNAL};

	if (!p) {
		fn(ctx, &oom);
		return;
	}
	p->tables = t;
	p->fn = fn;
	p->ctx = ctx;
	p->since_ns = uv_hrtime();
	p->q = *q;
	p->q.user = strdup(q->user);
	p->q.file = strdup(q->file ? q->file : "");
	p->q.comment = strdup(q->comment ? q->comment : "");
	char *text = q->text ? malloc(q->len + 1) : NULL;
	if (text)
		memcpy(text, q->text, q->len);
	p->q.text = text;
	if (!p->q.user || !p->q.file || !p->q.comment || (q->text && !text)) {
		free_push(p);
		fn(ctx, &oom);
		return;
	}
	*t->tail = p;
	t->tail = &p->next;
	sl_tables_push_run(t);
}

void
sl_tables_push_answer_late(struct sl_tables *t)
{
	uint64_t now = uv_hrtime();

	for (struct push **at = &t->pushes; *at;) {
		struct push *p = *at;
		bool late = p->fn && now >= p->since_ns + SL_TABLES_ANSWER_MS * 1000000ull;
		if (late && p->working)
			answer(p, SL_PUSH_TIMEOUT, t->offered, 0, NULL,
			       "it goes on; see: show generations");
		if (!late || p->working) {
			at = &p->next;
			continue;
		}
		answer(p, SL_PUSH_BUSY, NULL, 0, NULL, NULL);
		*at = p->next;
		if (!*at)
			t->tail = at;
		free_push(p);
	}
}

void
sl_tables_push_drop(struct sl_tables *t)
{
	while (t->pushes) {
		struct push *p = t->pushes;
		t->pushes = p->next;
		free_push(p);
	}
}
