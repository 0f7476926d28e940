/* disk — files that are there whole or not at all.
 *
 * Threads: [any]; a path has one writer at a time (the state directory is locked by sluiced).
 * Errors:  −errno, and a sentence with the path in diag.
 */
#ifndef SL_MGMT_DISK_H
#define SL_MGMT_DISK_H

#include "sluice/diag.h"

/* sl_disk_write replaces path: a new file beside it, fsync, rename, fsync of the directory. */
int sl_disk_write(const char *path, const void *bytes, size_t len, struct sl_diag *diag);

/* sl_disk_create writes and syncs a file in a directory that nobody reads yet: no rename, and syncing the
 * directory is left to the caller. */
int sl_disk_create(const char *path, const void *bytes, size_t len, struct sl_diag *diag);

/* sl_disk_read reads a whole regular file of at most max bytes; *ret_text is malloc'ed and terminated.
 * -ENOENT adds nothing to diag: a file that may be absent is the caller's business. */
int sl_disk_read(const char *path, size_t max, char **ret_text, size_t *ret_len,
		 struct sl_diag *diag);

/* sl_disk_sync_dir makes what was renamed or made in dir survive a power cut. */
int sl_disk_sync_dir(const char *dir);

/* sl_disk_mkdir makes dir (mode 0700) and its missing parents (0755). */
int sl_disk_mkdir(const char *dir, struct sl_diag *diag);

/* sl_disk_sum is the SHA-256 of bytes as 64 hex digits. */
void sl_disk_sum(const void *bytes, size_t len, char ret_hex[65]);

#endif
