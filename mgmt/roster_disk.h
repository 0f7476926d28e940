/* roster_disk — last good answers, so that a restart without sources serves what was known.
 *
 *   STATE_DIR/roster/HASH.0.json, HASH.1.json     one question with its endpoints and the wall clock of the answer, with a checksum
 *
 * The two are overwritten in turns (a thousand new files a second cost more than all else of a revision), so that one is whole after
 * a crash of sluiced; they are not synced: after a crash of the machine it may be an older one.  At most once a second per
 * question, at most SL_ROSTER_DISK_BATCH files a second beside first answers, in the pool.
 * Threads: [loop].
 */
#ifndef SL_MGMT_ROSTER_DISK_H
#define SL_MGMT_ROSTER_DISK_H

#include "mgmt/roster_priv.h"

#define SL_ROSTER_DISK_BATCH 200
#define SL_ROSTER_DISK_MS 1000
#define SL_ROSTER_DISK_CONFIRM_MS 60000 /* a confirmed answer's time is written anew so often */

struct sl_roster_disk;

/* 0 or -errno with diag: the directory cannot be used. */
int sl_roster_disk_create(uv_loop_t *loop, const char *state_dir,
			  void (*say)(void *ctx, const char *line), void *ctx, struct sl_diag *diag,
			  struct sl_roster_disk **ret_disk);

/* sl_roster_disk_load gives every answer that can be read, endpoints by name, to fn, which owns eps then; of two of one question
 * that with the greater turn counts.  What cannot be read is in notes, and removed. */
void sl_roster_disk_load(struct sl_roster_disk *d, struct sl_diag *notes,
			 void (*fn)(void *ctx, const char *service,
				    const struct sl_conf_discover *q,
				    struct sl_source_endpoint *eps, uint32_t cnt, int64_t wall_ms,
				    uint64_t turn),
			 void *ctx);

/* note: q has another answer; confirm: the same is newer; forget: q is about to be freed (stays: its file does). */
void sl_roster_disk_note(struct sl_roster_disk *d, struct sl_roster_question *q);
void sl_roster_disk_confirm(struct sl_roster_disk *d, struct sl_roster_question *q);
void sl_roster_disk_forget(struct sl_roster_disk *d, struct sl_roster_question *q, bool stays);

/* sl_roster_disk_finish writes all that is to be written.  NULL is accepted by it and by destroy. */
bool sl_roster_disk_busy(const struct sl_roster_disk *d);
void sl_roster_disk_finish(struct sl_roster_disk *d);
void sl_roster_disk_destroy(struct sl_roster_disk *d);

#endif
