/* access_log — the records that workers leave in their rings (include/sluice/events.h), written to a file.
 *
 *   rings ── a job in the pool, when there is something: take, make lines, write, rotate ──▶ FILE, FILE.1 … FILE.keep
 *
 * The loop looks at the rings every SL_ACCESS_LOOK_MS, sooner while they fill; a job takes what is there, in turns from all
 * workers, up to SL_ACCESS_JOB_BYTES of lines.  So the loop never writes, and a slow disk costs records, not traffic: a ring
 * that is full loses them, and its worker counts that.
 * A dataplane that goes away has its rings read to their end.
 * File:    appended to, lines whole.  What cannot be written (disk full) is counted and said once; the daemon goes on, and
 *          writes again when it can.  Over rotate_mb it becomes FILE.1, that FILE.2, …; FILE.keep goes.  After
 *          sl_access_log_reopen the name is opened anew: for other programs that rotate.
 * Without a file the rings are emptied and nothing is written.
 * Threads: [loop].
 */
#ifndef SL_MGMT_ACCESS_LOG_H
#define SL_MGMT_ACCESS_LOG_H

#include "mgmt/compile.h"
#include "sluice/diag.h"
#include "sluice/events.h"

#include <uv.h>

#define SL_ACCESS_LOOK_MS 50
#define SL_ACCESS_HASTE_MS 5 /* while a ring was more than a quarter full */
#define SL_ACCESS_JOB_BYTES (16u << 20)

struct sl_access_log_conf {
	char file[1024];    /* "": none */
	uint32_t rotate_mb; /* MiB, [0, 1048576]; 0: never */
	uint32_t keep;      /* old files, [0, 1000] */
};

/* Since the daemon started; lost: since the dataplane did. */
struct sl_access_stats {
	uint64_t lines, bytes; /* written */
	uint64_t dropped;      /* lines that could not be */
	uint64_t malformed;    /* what was in a ring and is no record */
	uint64_t rotations;
	uint64_t lost
		[SL_EVENTS_MAX_WORKERS]; /* [worker_cnt]: records for which a ring had no room */
	unsigned worker_cnt;             /* 0: no dataplane with rings is connected */
};

struct sl_access_log;

/* say: one line for the log.  0, or -errno with the reason in diag: the file cannot be opened. */
int sl_access_log_create(uv_loop_t *loop, const struct sl_access_log_conf *conf,
			 void (*say)(void *ctx, const char *line), void *ctx, struct sl_diag *diag,
			 struct sl_access_log **ret_log);
/* sl_access_log_finish: what is in the rings is written (up to SL_ACCESS_JOB_BYTES: the rest waits for the next daemon), then
 * nothing more; the loop is run until sl_access_log_busy is
 * false.  Destroy after that; the loop must run once more.  NULL is accepted by all three. */
void sl_access_log_finish(struct sl_access_log *l);
bool sl_access_log_busy(const struct sl_access_log *l);
void sl_access_log_destroy(struct sl_access_log *l);

/* sl_access_log_attach: the rings of a dataplane; fd (open for reading and writing, sealed against shrinking) stays the
 * caller's.  NULL, or what is wrong with it.  sl_access_log_detach: it went away. */
const char *sl_access_log_attach(struct sl_access_log *l, int fd, uint64_t bytes, uint64_t boot_id);
void sl_access_log_detach(struct sl_access_log *l);

/* sl_access_log_learn: names of a generation, before its first record can come. */
void sl_access_log_learn(struct sl_access_log *l, uint64_t generation,
			 const struct sl_slot_map *map);

void sl_access_log_reopen(struct sl_access_log *l);

void sl_access_log_stats(const struct sl_access_log *l, struct sl_access_stats *ret);

#endif
