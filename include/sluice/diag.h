/* diag — a list of things that are wrong, each with where and what to do.
 *
 * Control path only.  A function that can fail in more than one way takes a struct sl_diag *, adds
 * every problem it finds, and returns 0 or -errno.  Nothing here prints.
 *
 * Warnings stand apart: what is allowed, and hardly meant.  They refuse nothing.
 *
 * Threads: [any], one diag per thread.  The owner calls sl_diag_fini.
 * Limits:  at most SL_DIAG_MAX items and warnings each are kept; further ones are counted in `more`, `warning_more`.
 */
#ifndef SLUICE_DIAG_H
#define SLUICE_DIAG_H

#include "sluice/base.h"

#define SL_DIAG_MAX 256

struct sl_diag_item {
	char *file; /* configuration file or object name; NULL where there is none */
	int line;   /* 1-based; 0 where there is none */
	char *path; /* key path ("services[2].endpoints[0].port") or NULL */
	char *text; /* what is wrong */
	char *hint; /* what to do, or NULL */
};

struct sl_diag {
	struct sl_diag_item *items; /* [cnt] */
	unsigned cnt;
	unsigned more;                 /* items past SL_DIAG_MAX */
	struct sl_diag_item *warnings; /* [warning_cnt] */
	unsigned warning_cnt, warning_more;
};

/* A zeroed struct sl_diag is ready for use. */
void sl_diag_fini(struct sl_diag *d);

/* sl_diag_add copies its strings.  hint may be NULL; fmt makes the text.  d may be NULL: then it is
 * only a way to fail quietly. */
void sl_diag_add(struct sl_diag *d, const char *file, int line, const char *path, const char *hint,
		 const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* sl_diag_warn: the same for a warning. */
void sl_diag_warn(struct sl_diag *d, const char *file, int line, const char *path, const char *hint,
		  const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* sl_diag_name_file names the file of the items from `first` on that have a line and no file. */
void sl_diag_name_file(struct sl_diag *d, unsigned first, const char *file);

/* sl_diag_format writes "FILE:LINE: PATH: TEXT (HINT)" for one item into buf, always terminated. */
void sl_diag_format(const struct sl_diag_item *item, char *buf, size_t size);

#endif
