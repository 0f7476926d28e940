/* table — one generation in memory: made from text, written to disk, read back.
 * Threads: [any] on data of its own; prev is only read. */
#ifndef SL_MGMT_TABLE_H
#define SL_MGMT_TABLE_H

#include "mgmt/tables.h"

/* sl_pushed_create parses q->text; locality: of this gateway.  0; -EINVAL with diag (the text); -ENOMEM. */
int sl_pushed_create(const struct sl_push_request *q, const char *locality, struct sl_diag *diag,
		     struct sl_pushed **ret_pushed);
struct sl_pushed *sl_pushed_ref(struct sl_pushed *p);
void sl_pushed_unref(struct sl_pushed *p); /* NULL is accepted */

/* sl_table_create compiles p with conf (of sl_roster_conf, the table's from now on, also on failure; NULL: p's own) against prev (NULL:
 * nothing before) and map.  It refers to p.  0; -EINVAL with diag; -ENOMEM. */
int sl_table_create(struct sl_pushed *p, struct sl_conf *conf, const struct sl_table *prev,
		    const struct sl_slot_map *map, struct sl_shards *shards, struct sl_diag *diag,
		    struct sl_table **ret_table);
void sl_table_destroy(struct sl_table *t);

/* sl_table_write puts its push into dir as pending under t->push->number. */
int sl_table_write(const struct sl_table *t, const char *dir, struct sl_diag *diag);

/* sl_pushed_read makes one of a generation on disk. */
int sl_pushed_read(const char *dir, uint64_t number, const char *locality, struct sl_diag *diag,
		   struct sl_pushed **ret_pushed);

/* The slot map on disk, with its id (slot_journal.h).  Load: 0; -ENOENT (there never was one); -EINVAL: both files are bad: *ret_map is then
 * one in which every slot has been used before under an incarnation that chance gave, so that nothing old is
 * taken for something new. */
int sl_table_save_slots(const char *state_dir, uint64_t number, uint64_t id,
			const struct sl_slot_map *map, struct sl_diag *diag);
int sl_table_load_slots(const char *state_dir, struct sl_diag *notes, uint64_t *ret_id,
			struct sl_slot_map *ret_map);

#endif
