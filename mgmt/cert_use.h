/* cert_use — what tables name, against what there is.
 * Threads: [loop].
 */
#ifndef SL_MGMT_CERT_USE_H
#define SL_MGMT_CERT_USE_H

#include "mgmt/certs.h"
#include "mgmt/daemon.h"

/* sl_cert_admit looks for every certificate and bundle that the table names: is there one of that name and kind, and is it for that
 * use?  Each that is not gets an error in diag (warn: a warning), with line and path; an expired one gets a warning.  0, or -ENOENT: there were errors. */
int sl_cert_admit(const struct sl_certs *certs, const struct sl_conf *conf, const char *file,
		  bool warn, int64_t now_s, struct sl_diag *diag);

/* sl_cert_users: who of the active and the pending table uses a name: [{"kind": "listener"|"service", "name"}…], each once. */
json_t *sl_cert_users(const struct sl_daemon *d, const char *name);

#endif
