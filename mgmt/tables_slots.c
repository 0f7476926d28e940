/* The map that counts is that of active; until there is one, what slots.json and the journal say, or an empty one.
 *
 *   compiled             note: the line that leads from it to the new map
 *   about to be offered  write: that line, into the journal
 *   a push is active     save: slots.json; the journal begins anew
 *   the journal is long  shorten: the same in the pool */
#include "mgmt/tables_priv.h"

#include <errno.h>
#include <stdlib.h>

const struct sl_slot_map *
sl_tables_slots_now(const struct sl_tables *t)
{
	return t->active ? &t->active->map : t->slots.start ? t->slots.start : &t->slots.empty;
}

static uint64_t
map_id_now(const struct sl_tables *t)
{
	return t->active ? t->active->map_id : t->slots.start_id;
}

uint64_t
sl_tables_slots_next_id(struct sl_tables *t)
{
	return ++t->slots.last_id;
}

void
sl_tables_slots_note(const struct sl_tables *t, struct sl_table *tab, uint64_t id)
{
	tab->map_id = id;
	tab->journal = sl_slot_journal_line(map_id_now(t), id, sl_tables_slots_now(t), &tab->map);
	if (!tab->journal || sl_slot_journal_says(tab->journal))
		return;
	free(tab->journal);
	tab->journal = NULL;
	tab->map_id = map_id_now(t);
}

void
sl_tables_slots_retain(struct sl_tables *t, struct sl_table *tab)
{
	if (sl_slot_map_retain(&tab->map, sl_tables_slots_now(t)))
		sl_tables_say(t, "out of memory: some endpoints may get other slots than before "
				 "the restart");
	free(tab->journal);
	sl_tables_slots_note(t, tab, sl_tables_slots_next_id(t));
}

void
sl_tables_slots_write(struct sl_tables *t, struct sl_table *tab)
{
	int err = tab->journal ? sl_slot_journal_add(t->slots.journal, tab->journal) : 0;

	free(tab->journal);
	tab->journal = NULL;
	if (err && !t->slots.journal_said)
		sl_tables_say(
			t,
			"%s/slots.journal: cannot write: %s: after a crash flows of new endpoints "
			"would end",
			t->c.state_dir, strerror(-err));
	t->slots.journal_said = err != 0;
}

int
sl_tables_slots_save(struct sl_tables *t, struct sl_diag *diag)
{
	const struct sl_table *a = t->active;
	int err = sl_table_save_slots(t->c.state_dir, a->number, a->map_id, &a->map, diag);

	if (!err)
		err = sl_slot_journal_turn(t->slots.journal);
	return err;
}

void
sl_tables_slots_drop_start(struct sl_tables *t)
{
	if (t->slots.start)
		sl_slot_map_fini(t->slots.start);
	free(t->slots.start);
	t->slots.start = NULL;
}

/* [pool] */
static void
rewrite(uv_work_t *w)
{
	struct rewriting *r = w->data;
	const struct sl_table *a = r->tables->active;

	r->err = sl_table_save_slots(r->tables->c.state_dir, a->number, a->map_id, &a->map,
				     &r->diag);
}

static void
rewritten(uv_work_t *w, int status)
{
	struct rewriting *r = w->data;
	struct sl_tables *t = r->tables;

	t->job = false;
	sl_tables_say_diag(t, &r->diag);
	if (!status && !r->err)
		sl_slot_journal_turn(t->slots.journal);
	sl_tables_offer_catch_up(t);
	sl_tables_push_run(t);
}

#define SHORTEN_MS 1000 /* a disk that is full stays so for a while */

bool
sl_tables_slots_shorten(struct sl_tables *t)
{
	struct rewriting *r = &t->slots.rewriting;

	uint64_t most = t->c.journal_bytes ? t->c.journal_bytes : SL_SLOT_JOURNAL_MAX;

	if (!t->active || sl_slot_journal_bytes(t->slots.journal) <= most ||
	    uv_now(t->c.loop) < t->slots.shorten_after)
		return false;
	t->slots.shorten_after = uv_now(t->c.loop) + SHORTEN_MS;
	*r = (struct rewriting){.tables = t, .work.data = r};
	t->job = true;
	if (uv_queue_work(t->c.loop, &r->work, rewrite, rewritten) == 0)
		return true;
	t->job = false;
	return false;
}

int
sl_tables_slots_open(struct sl_tables *t, struct sl_diag *notes)
{
	sl_slot_map_init(&t->slots.empty);
	int err = sl_slot_journal_load(t->c.state_dir, notes, notes, &t->slots.journal);
	t->slots.start = err ? NULL : calloc(1, sizeof(*t->slots.start));
	if (!t->slots.start)
		return err ? err : -ENOMEM;
	sl_table_load_slots(t->c.state_dir, notes, &t->slots.start_id, t->slots.start);
	t->slots.last_id = SL_MAX(t->slots.start_id, sl_slot_journal_last(t->slots.journal));
	t->slots.start_id =
		sl_slot_journal_replay(t->slots.journal, t->slots.start_id, t->slots.start, notes);
	return 0;
}

void
sl_tables_slots_begin(struct sl_tables *t, struct sl_diag *notes)
{
	sl_tables_slots_write(t, t->active);
	if (t->slots.start && sl_tables_slots_save(t, notes) == 0)
		sl_tables_slots_drop_start(t);
}

void
sl_tables_slots_close(struct sl_tables *t)
{
	sl_tables_slots_drop_start(t);
	sl_slot_journal_destroy(t->slots.journal);
	sl_slot_map_fini(&t->slots.empty);
}
