/* tls_names — which certificates and trust bundles a table names, and who.
 *
 * For `cert remove`, which is refused while the table uses the name; for a push, which is refused when it names what there is
 * not; for `cert list`, which tells the users.
 * Threads: [any]. Pure.
 */
#ifndef SL_MGMT_TLS_NAMES_H
#define SL_MGMT_TLS_NAMES_H

#include "mgmt/conf.h"

struct sl_conf_tls_use {
	const char *
		name; /* of the certificate or bundle; terminated, as `by`; both live as long as the configuration */
	uint32_t kind;  /* SL_SECRET_PAIR or SL_SECRET_TRUST (secrets.h) */
	bool listener;  /* by a listener; else a service */
	const char *by; /* the listener's or service's name */
	const char
		*path; /* "listeners[2].tls.certificates[0]", for problems; valid during the call */
	int line;      /* of the group tls */
};

/* A user says 0 to go on. */
typedef int sl_conf_tls_fn(void *ctx, const struct sl_conf_tls_use *use);

/* sl_conf_tls_names calls fn for every use, in the order of the file: services, then listeners; a name used twice by one (as
 * certificate of two listeners, say) comes twice.  What a parse could not read is left out.  0, or what fn returned that was
 * not 0. */
int sl_conf_tls_names(const struct sl_conf *c, sl_conf_tls_fn *fn, void *ctx);

#endif
