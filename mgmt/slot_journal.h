/* slot_journal — what became of slots since slots.json was written.
 *
 * Flows carry slot and incarnation, so one that was given by a table that was offered has to be known after a kill.  slots.json
 * is written when a push becomes active; before each offer the difference of its map to the one before goes to the journal.
 *
 *   STATE_DIR/slots.journal        a line per map: 16 digits of a checksum, then JSON:
 *                                  {"from":6,"id":7,"seq":12,"spaces":{"endpoints":[[3,2,"web/b/192.0.2.2:80"],[4,1,11]]}}
 *   STATE_DIR/slots.journal.prev   the one of before the present slots.json, for the case that this cannot be read
 *
 * Maps have ids, which rise for ever; `from` is the one that it was made from.  Maps that were refused have no successors: the
 * chain that counts ends at the last line that leads back to slots.json.  A line is one write(2), not synced: flows do
 * not outlive the machine.  What is torn at the end is cut off.
 * Threads: [loop]; sl_slot_journal_line [any].
 */
#ifndef SL_MGMT_SLOT_JOURNAL_H
#define SL_MGMT_SLOT_JOURNAL_H

#include "mgmt/slots.h"

#define SL_SLOT_JOURNAL_MAX                                                                        \
	(8u << 20) /* bytes, after which slots.json is written anew by default */

struct sl_slot_journal;

/* sl_slot_journal_load reads what is there and opens the journal for what comes: every line of both files that is whole.  Notes: what was cut
 * off.  0 or -errno with diag. */
int sl_slot_journal_load(const char *state_dir, struct sl_diag *notes, struct sl_diag *diag,
			 struct sl_slot_journal **ret_journal);
void sl_slot_journal_destroy(struct sl_slot_journal *j); /* NULL is accepted */

/* sl_slot_journal_replay brings m, which is map id, to the last one that leads back to it, whose id it returns; id: there is none, or
 * m could not be brought there (told in notes). */
uint64_t sl_slot_journal_replay(struct sl_slot_journal *j, uint64_t id, struct sl_slot_map *m,
				struct sl_diag *notes);

/* The largest id in it. */
uint64_t sl_slot_journal_last(const struct sl_slot_journal *j);

/* sl_slot_journal_line is the line that leads from one map to another, NULL: no memory. */
char *sl_slot_journal_line(uint64_t from, uint64_t id, const struct sl_slot_map *before,
			   const struct sl_slot_map *after);
/* sl_slot_journal_says: whether the two maps differ. */
bool sl_slot_journal_says(const char *line);
/* 0 or -errno. */
int sl_slot_journal_add(struct sl_slot_journal *j, const char *line);

/* sl_slot_journal_turn: slots.json is written: a new journal begins.  0 or -errno. */
int sl_slot_journal_turn(struct sl_slot_journal *j);
/* sl_slot_journal_bytes: of its lines. */
uint64_t sl_slot_journal_bytes(const struct sl_slot_journal *j);

#endif
