/* conf_scan — what libconfig would not tell us: a look at the text before it is parsed.
 *
 * libconfig 1.5 wraps integers that do not fit, follows @include, recurses as deep as the text nests,
 * compares each member of a group with all others, takes a NUL for the end and an open comment for the end of
 * the file, and on a syntax error loses the memory of the string it looks at.  The scan walks the text once with the same tokens and refuses or notes these.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_CONF_SCAN_H
#define SL_MGMT_CONF_SCAN_H

#include "sluice/diag.h"

#define SL_SCAN_MAX_BYTES (64u << 20)
#define SL_SCAN_MAX_LINE 65536u
#define SL_SCAN_MAX_STRING                                                                         \
	16384u /* as written; bounds what libconfig loses.  Longer values are several in a row */
#define SL_SCAN_MAX_DEPTH 32u
#define SL_SCAN_MAX_MEMBERS 64u       /* of one group: ours have at most two dozen */
#define SL_SCAN_MAX_VALUES (2u << 20) /* of a file: about twice the largest generation */
#define SL_SCAN_MAX_NUMBERS 256u

/* An integer that libconfig will read as another one. */
struct sl_scan_number {
	int line;
	int64_t wrapped; /* what libconfig will say */
	char text[32];   /* as written, cut to fit */
	bool told;       /* for the caller: reported with its key path */
};

struct sl_scan {
	struct sl_scan_number number[SL_SCAN_MAX_NUMBERS];
	unsigned number_cnt; /* further ones are reported at once */
};

/* sl_scan_text: 0 when the text may go to libconfig (the numbers noted are the caller's to report);
 * -EINVAL with diag when it must not. */
int sl_scan_text(const char *file, const char *text, size_t len, struct sl_diag *diag,
		 struct sl_scan *ret_scan);

/* sl_scan_tell_number reports one noted number; path may be NULL. */
void sl_scan_tell_number(const char *file, const struct sl_scan_number *n, const char *path,
			 struct sl_diag *diag);

#endif
