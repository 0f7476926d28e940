/* secrets — certificates and ticket keys on their way: to the disk and to the dataplane, both or none.
 *
 * Walk:    checked → written beside the old one → SECRET → its answer → takes the old one's place.
 *          Refused, or the disk fails: the dataplane gets the old one back, or forgets.  No dataplane: at once, and it gets all
 *          when it comes, behind WELCOME and before anything is offered.
 * Time:    each minute: own ticket keys that are due are rotated; once a day a line for each that expires soon.
 * Threads: [loop].
 */
#ifndef SL_MGMT_SECRETS_H
#define SL_MGMT_SECRETS_H

#include "mgmt/certs.h"
#include "mgmt/tickets.h"
#include "mgmt/daemon.h"

struct sl_secrets;

struct sl_secrets_result {
	const char *
		code; /* NULL: done; else of api.h: busy, refused, unavailable, timeout, internal */
	const char *text, *hint; /* of an error; hint or NULL */
	bool sent;               /* the dataplane has it; false: it is not connected */
};
typedef void sl_secrets_fn(void *ctx, const struct sl_secrets_result *r);

int sl_secrets_create(struct sl_daemon *d, struct sl_diag *notes, struct sl_secrets **ret_secrets);
void sl_secrets_destroy(struct sl_secrets *s);

/* The stores, to look at. */
struct sl_certs *sl_secrets_certs(const struct sl_secrets *s);
struct sl_tickets *sl_secrets_tickets(const struct sl_secrets *s);

/* sl_secrets_up: a dataplane has come; before tables hear of it.  sl_secrets_fd is the link's `secret`; ctx: the daemon. */
void sl_secrets_up(struct sl_secrets *s);
int sl_secrets_fd(void *ctx, uint32_t kind, const char *name, uint32_t *ret_bytes);

/* Changes.  fn is called once, possibly before these return.  sl_secrets_put takes *m over. */
void sl_secrets_put(struct sl_secrets *s, const char *name, struct sl_cert_made *m,
		    sl_secrets_fn *fn, void *ctx);
void sl_secrets_remove(struct sl_secrets *s, const char *name, sl_secrets_fn *fn, void *ctx);
/* sl_secrets_put_tickets: the next set was made (tickets.h). */
void sl_secrets_put_tickets(struct sl_secrets *s, sl_secrets_fn *fn, void *ctx);
/* sl_secrets_busy: a change of that name is under way. */
bool sl_secrets_busy(const struct sl_secrets *s, const char *name);

/* sl_secrets_tick is what happens each minute. */
void sl_secrets_tick(struct sl_secrets *s, int64_t now_ms);

/* sl_secrets_notes calls fn with each sentence for `status`: what expires, is damaged, or was refused. */
void sl_secrets_notes(const struct sl_secrets *s, int64_t now_ms,
		      void (*fn)(void *ctx, const char *text), void *ctx);

/* "pair", "bundle", "tickets" */
const char *sl_secrets_kind(uint32_t kind);

#endif
