/* Tables change places in memory first, whoever waits is answered, then settle does the same on disk.
 *
 * At the start the generations that count are compiled from the slots on disk; nothing is offered before there is a link. */
#include "mgmt/tables_priv.h"

#include "mgmt/disk.h"
#include "mgmt/shards.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
sl_tables_say(struct sl_tables *t, const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	t->c.say(t->c.ctx, line);
}

void
sl_tables_say_diag(struct sl_tables *t, struct sl_diag *diag)
{
	char line[1800];

	for (unsigned i = 0; i < diag->cnt; i++) {
		sl_diag_format(&diag->items[i], line, sizeof(line));
		sl_tables_say(t, "%s", line);
	}
	sl_diag_fini(diag);
}

/* ---- generations changing places ---- */

void
sl_tables_mark(struct sl_tables *t, const struct sl_table *tab, enum sl_generation_state state,
	       const char *text)
{
	struct sl_diag diag = {0};
	sl_generations_mark(t->generations, tab->push->number, state, text, &diag);
	sl_tables_say_diag(t, &diag);
}

void
sl_tables_replace_next(struct sl_tables *t, struct sl_table *tab)
{
	if (t->next && t->next->pending && t->next->push != tab->push)
		sl_tables_mark(t, t->next, SL_GENERATION_SUPERSEDED, NULL);
	sl_table_destroy(t->next);
	t->next = tab;
}

const struct sl_conf *
sl_tables_moved_from(const struct sl_tables *t, const struct sl_table *tab)
{
	return t->active && t->active != tab && t->active->push == tab->push ? t->active->conf
									     : NULL;
}

struct sl_table *
sl_tables_put_active(struct sl_tables *t, struct sl_table *tab)
{
	struct sl_table *old = t->active;
	const struct sl_conf *before = sl_tables_moved_from(t, tab);

	if (sl_oper_place_moved(t->c.oper, before, tab->conf, &tab->map, uv_now(t->c.loop)))
		sl_tables_say(
			t, "out of memory: endpoint states are those of the previous generation");
	tab->pending = false;
	t->active = tab;
	t->c.activated(t->c.ctx, before);
	return old;
}

struct sl_table *
sl_tables_activate(struct sl_tables *t)
{
	struct sl_table *tab = t->next;

	t->next = NULL;
	t->running = tab->number;
	return sl_tables_put_active(t, tab);
}

/* Slots first, then the mark; whoever waits has been answered before, because a cut
 * anywhere in here only means that a pending generation is offered again, with the same bytes. */
void
sl_tables_settle(struct sl_tables *t, struct sl_table *old)
{
	struct sl_diag diag = {0};

	sl_tables_slots_save(t, &diag);
	sl_generations_mark(t->generations, t->active->push->number, SL_GENERATION_ACTIVE, NULL,
			    &diag);
	sl_tables_say_diag(t, &diag);
	sl_tables_slots_drop_start(t);
	sl_table_destroy(old);
	sl_generations_prune(t->generations, t->active->push->number,
			     sl_confirm_get(t->confirm).back_to);
	sl_tables_bases_tend(t);
}

/* ---- loading ---- */

static int
compile_read(struct sl_tables *t, struct sl_pushed *p, const struct sl_slot_map *map,
	     struct sl_diag *diag, struct sl_table **ret_table)
{
	struct sl_conf *conf = NULL;

	if (p->discovers && t->c.endpoints && !(conf = t->c.endpoints(t->c.ctx, p->conf)))
		return -ENOMEM;
	return sl_table_create(p, conf, NULL, map, t->shards, diag, ret_table);
}

static void
load_one(struct sl_tables *t, const struct sl_generation_meta *m, const struct sl_slot_map *map,
	 struct sl_diag *notes)
{
	struct sl_pushed *p = NULL;
	struct sl_table *tab;
	struct sl_diag diag = {0};
	char line[1800];

	if (sl_pushed_read(t->generations, m->number, t->c.locality, &diag, &p) == 0 &&
	    compile_read(t, p, map, &diag, &tab) == 0) {
		tab->pending = m->state != SL_GENERATION_ACTIVE;
		if (p->discovers && t->c.settled)
			sl_tables_slots_retain(t, tab);
		else
			sl_tables_slots_note(t, tab, sl_tables_slots_next_id(t));
		*(m->state == SL_GENERATION_ACTIVE ? &t->active : &t->next) = tab;
	} else {
		if (diag.cnt)
			sl_diag_format(&diag.items[0], line, sizeof(line));
		sl_diag_add(notes, NULL, 0, NULL, NULL, "generation %" PRIu64 " cannot be used: %s",
			    m->number, diag.cnt ? line : "out of memory");
	}
	sl_pushed_unref(p);
	sl_diag_fini(&diag);
}

/* The newest good active one, and a good pending one that is newer. */
static void
load(struct sl_tables *t, struct sl_diag *notes)
{
	struct sl_generation_meta *list;
	unsigned cnt;

	if (sl_generations_list(t->generations, &list, &cnt))
		return;
	for (unsigned i = 0; i < cnt && !t->active; i++) {
		const struct sl_generation_meta *m = &list[i];
		if (m->state == SL_GENERATION_CORRUPT)
			sl_diag_add(notes, NULL, 0, NULL, NULL, "generation %" PRIu64 ": %s",
				    m->number, m->text);
		else if (m->state == SL_GENERATION_ACTIVE ||
			 (m->state == SL_GENERATION_PENDING && !t->next))
			load_one(t, m, sl_tables_slots_now(t), notes);
	}
	sl_generations_list_free(list, cnt);
	/* compiled before the active one was known: again, from its slots */
	if (t->next && t->active) {
		uint64_t number = t->next->number;
		struct sl_generation_meta m = {.number = number, .state = SL_GENERATION_PENDING};
		sl_table_destroy(t->next);
		t->next = NULL;
		load_one(t, &m, &t->active->map, notes);
	}
}

/* ---- from start to end ---- */

static void
on_timer(uv_timer_t *timer)
{
	struct sl_tables *t = timer->data;

	if (t->active)
		sl_tables_revision_say(t);
	sl_tables_offer_retry(t);
	sl_tables_push_answer_late(t);
}

static int
open_shards(struct sl_tables *t, struct sl_diag *notes)
{
	char program[4096], dir[4096];
	const char *given = t->c.compile_program;

	snprintf(dir, sizeof(dir), "%s/shards", t->c.state_dir);
	struct sl_shards_conf conf = {
		.program = given && *given ? given : sl_shards_program(program, sizeof(program)),
		.dir = dir,
		.deadline_ms = t->c.compile_ms,
	};
	return sl_shards_create(&conf, notes, &t->shards);
}

int
sl_tables_create(const struct sl_tables_conf *conf, struct sl_diag *notes,
		 struct sl_tables **ret_tables)
{
	struct sl_tables *t = calloc(1, sizeof(*t));
	uv_timer_t *timer = calloc(1, sizeof(*timer)), *again = calloc(1, sizeof(*again));
	uv_timer_t *settle = calloc(1, sizeof(*settle));
	char *dir = NULL;
	int err = -ENOMEM;

	if (t && timer && again && settle && asprintf(&dir, "%s/generations", conf->state_dir) > 0)
		err = sl_disk_mkdir(dir, notes);
	if (err) {
		free(t);
		free(timer);
		free(again);
		free(settle);
		free(dir);
		return err;
	}
	t->c = *conf;
	t->generations = dir;
	t->tail = &t->pushes;
	t->timer = timer;
	uv_timer_init(conf->loop, timer);
	timer->data = t;
	uv_timer_start(timer, on_timer, 1000, 1000);
	t->revising.timer = again;
	uv_timer_init(conf->loop, again);
	again->data = t;
	t->later.settle_timer = settle;
	uv_timer_init(conf->loop, settle);
	settle->data = t;
	t->later.settle_until = uv_now(conf->loop) + SL_TABLES_SETTLE_MS;
	t->last = sl_generations_last(dir);
	err = sl_tables_confirm_open(t, notes);
	if (!err)
		err = sl_tables_slots_open(t, notes);
	if (!err)
		err = open_shards(t, notes);
	if (err) {
		sl_tables_destroy(t);
		return err;
	}
	load(t, notes);
	sl_tables_confirm_check(t, notes);
	if (t->active) {
		sl_tables_slots_begin(t, notes);
		sl_oper_place(t->c.oper, t->active->conf, &t->active->map, uv_now(conf->loop));
		sl_tables_bases_start(t);
	}
	*ret_tables = t;
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_tables_destroy(struct sl_tables *t)
{
	if (!t)
		return;
	sl_tables_push_drop(t);
	sl_table_destroy(t->active);
	sl_table_destroy(t->next);
	sl_table_destroy(t->trying);
	sl_tables_slots_close(t);
	sl_shards_destroy(t->shards);
	sl_confirm_destroy(t->confirm);
	uv_timer_stop(t->timer);
	uv_close((uv_handle_t *)t->timer, on_freed);
	uv_timer_stop(t->revising.timer);
	uv_close((uv_handle_t *)t->revising.timer, on_freed);
	uv_timer_stop(t->later.settle_timer);
	uv_close((uv_handle_t *)t->later.settle_timer, on_freed);
	free(t->generations);
	free(t);
}

bool
sl_tables_busy(const struct sl_tables *t)
{
	return t->job || t->bases.compaction;
}

void
sl_tables_stop(struct sl_tables *t)
{
	t->stopping = true;
	sl_shards_stop(t->shards);
}

struct sl_shards *
sl_tables_shards(const struct sl_tables *t)
{
	return t->shards;
}

const struct sl_table *
sl_tables_active(const struct sl_tables *t)
{
	return t->active;
}

const struct sl_table *
sl_tables_next(const struct sl_tables *t)
{
	return t->next;
}

const char *
sl_tables_dir(const struct sl_tables *t)
{
	return t->generations;
}

uint64_t
sl_tables_running(const struct sl_tables *t)
{
	return t->running;
}

void
sl_tables_count(const struct sl_tables *t, uint64_t *ret_active, uint64_t *ret_refused)
{
	*ret_active = t->count_active;
	*ret_refused = t->count_refused;
}
