/* audit — who changed what: one JSON object a line, appended and synced before the answer goes out.
 *
 *   {"time": RFC 3339 UTC, "uid": N, "user": NAME, "verb": …, "outcome": "ok"|"refused"|"pending"|…, …}
 *
 * uid -1 and user "sluiced" are the daemon's own doing (a pending generation taken by the dataplane).
 * Threads: the loop's.  The file is reopened when it has been moved away (log rotation).
 */
#ifndef SL_MGMT_AUDIT_H
#define SL_MGMT_AUDIT_H

#include "sluice/diag.h"
#include <jansson.h>

#define SL_AUDIT_LINE_MAX 65536 /* bytes; a longer entry has its "reasons" cut to the first */

struct sl_audit;

/* path "" : nothing is written, add and tail do nothing.  0 or −errno with diag. */
int sl_audit_create(const char *path, struct sl_diag *diag, struct sl_audit **ret_audit);
void sl_audit_destroy(struct sl_audit *a);

/* sl_audit_add takes over entry (object; verb and outcome in it) and stamps time, uid and user. */
int sl_audit_add(struct sl_audit *a, int64_t wall_ms, int64_t uid, const char *user, json_t *entry);
/* sl_audit_note does not sync: for what comes by the thousand, and is kept elsewhere (the registry). */
int sl_audit_note(struct sl_audit *a, int64_t wall_ms, int64_t uid, const char *user,
		  json_t *entry);

/* sl_audit_tail gives the last n lines as an array, oldest first; lines that are no JSON are left out. */
json_t *sl_audit_tail(struct sl_audit *a, unsigned n);

/* sl_audit_time writes "2026-01-31T12:00:00.123Z" and returns buf. */
#define SL_AUDIT_TIMELEN 32
const char *sl_audit_time(int64_t wall_ms, char buf[SL_AUDIT_TIMELEN]);

#endif
