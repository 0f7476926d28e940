/* registry_journal — records that are on disk before somebody hears that they are; many in one write.
 *
 * DIR/snapshot   all records at some time, one line each       DIR/journal   those that came since
 * A line is 16 hex digits (of the SHA-256 of the rest), a space, the record, a newline.  A later record of a thing stands for the
 * earlier ones, so reading a journal over a newer snapshot does no harm: a snapshot is renamed into place before the journal is
 * emptied.
 * Group:   while one write with its fdatasync is under way (in the pool), further records gather for the next.
 * Errors:  when a write or a sync fails, everyone who waits is told, and the next write begins with a snapshot: of what a failed
 *          sync left on the disk nothing is assumed.
 * Threads: [loop].
 */
#ifndef SL_MGMT_REGISTRY_JOURNAL_H
#define SL_MGMT_REGISTRY_JOURNAL_H

#include "sluice/diag.h"

#include <uv.h>

struct sl_registry_journal;

/* err: 0, or -errno: the record is not kept. */
typedef void sl_registry_journal_fn(void *ctx, int err);

struct sl_registry_journal_conf {
	uv_loop_t *loop;
	const char *dir; /* made */
	size_t compact; /* bytes of journal, and twice those of the snapshot, before a new snapshot; 0: 4 MB */
	/* Each record that is there, the oldest first, during open; false: it makes no sense, and counts as damaged. */
	bool (*read)(void *ctx, const char *record, size_t len);
	/* Calls sl_registry_journal_keep with the line of each record that is in force now. */
	void (*snapshot)(void *ctx, struct sl_registry_journal *j);
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

/* A torn tail is cut off and noted; other damage is noted, the damaged file is kept as NAME.damaged, and what is whole is used.
 * 0 or -errno with diag. */
int sl_registry_journal_open(const struct sl_registry_journal_conf *conf, struct sl_diag *diag,
			     struct sl_diag *notes, struct sl_registry_journal **ret_journal);
/* Not while it is busy. */
void sl_registry_journal_close(struct sl_registry_journal *j);
bool sl_registry_journal_busy(const struct sl_registry_journal *j);

/* sl_registry_journal_line: the line of a record (malloc'ed, with its newline; NULL: no memory). */
char *sl_registry_journal_line(const char *record);

/* sl_registry_journal_add: line is copied.  fn may be NULL, and is never called from within.  0 or -ENOMEM. */
int sl_registry_journal_add(struct sl_registry_journal *j, const char *line,
			    sl_registry_journal_fn *fn, void *ctx);
void sl_registry_journal_keep(struct sl_registry_journal *j, const char *line);

struct sl_registry_journal_stats {
	uint64_t writes, records, errors; /* since it was opened; errors: writes that failed */
	uint64_t bytes;                   /* of the file, after the last write */
	bool failing;                     /* the last write failed */
};
void sl_registry_journal_stats(const struct sl_registry_journal *j,
			       struct sl_registry_journal_stats *ret);

#endif
