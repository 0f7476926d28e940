/* conf_scan — a look at the text before it is read: whether it is one, and of bearable size.
 *
 * Refused are a NUL, a string or comment without its end, @include, nesting and groups that no table needs, and what is
 * longer than the limits below: conf_tree.h recurses as deep as the text nests, and compares each member of a group with
 * all others.  The scan walks the text once, with the same tokens.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_CONF_SCAN_H
#define SL_MGMT_CONF_SCAN_H

#include "sluice/diag.h"

#define SL_SCAN_MAX_BYTES (64u << 20)
#define SL_SCAN_MAX_LINE 65536u
#define SL_SCAN_MAX_STRING 16384u /* as written.  Longer values are several in a row */
#define SL_SCAN_MAX_DEPTH 32u
#define SL_SCAN_MAX_MEMBERS 64u       /* of one group: ours have at most two dozen */
#define SL_SCAN_MAX_VALUES (2u << 20) /* of a file: about twice the largest generation */

/* sl_scan_text: 0 when the text may be read; -EINVAL with diag when it must not. */
int sl_scan_text(const char *file, const char *text, size_t len, struct sl_diag *diag);

#endif
