/* keep — files of secrets: 0600, whole or not at all, and known to be what was written.
 *
 * A file is struct head of keep.c (with a SHA-256 over head and payload), then the payload.  A new version is written beside the
 * file (PATH.new, synced) by sl_keep_stage, and takes its place by sl_keep_commit, or goes by sl_keep_drop.
 * Threads: [loop]; a path has one writer.  Errors: -errno, and a sentence with the path in diag.
 */
#ifndef SL_MGMT_KEEP_H
#define SL_MGMT_KEEP_H

#include "sluice/diag.h"

#define SL_KEEP_MAX (1u << 20) /* bytes of payload */

int sl_keep_stage(const char *path, uint32_t kind, int64_t stamp_ms, const void *payload,
		  size_t bytes, struct sl_diag *diag);
int sl_keep_commit(const char *path, struct sl_diag *diag);
void sl_keep_drop(const char *path);

/* sl_keep_read gives the payload in memory of sl_wipe_alloc (sl_wipe_release it with *ret_bytes).  -ENOENT adds nothing to diag;
 * -EBADMSG: damaged. */
int sl_keep_read(const char *path, uint32_t kind, void **ret_payload, size_t *ret_bytes,
		 int64_t *ret_stamp_ms, struct sl_diag *diag);

/* sl_keep_dir makes the directory, 0700 whatever it was, and takes leftovers of sl_keep_stage away. */
int sl_keep_dir(const char *dir, struct sl_diag *diag);

#endif
