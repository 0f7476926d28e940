/* jwks — the public keys of the issuers that tables name: read from files, fetched from servers, kept on disk.
 *
 *   file or URL ─▶ jwks_read.h ─▶ other keys than before? ─▶ `changed` ─▶ tables make a revision: the issuer's object and the root
 *
 * Never emptied: trouble and nonsense leave the keys that were read last; they are in STATE_DIR/jwks, too, and so serve over a
 * restart without the server.  Until keys have been read once an issuer has none, and its tokens are refused.
 * Files:   read when a table first names them, before it is compiled; looked at each second.
 * URLs:    GET over verified TLS (or of this host), no redirects, body ≤ SL_JWKS_BYTES, 10 s; each interval; after trouble after 1 s, then
 *          twice as long each time up to the interval.
 * Threads: [loop].
 */
#ifndef SL_MGMT_JWKS_H
#define SL_MGMT_JWKS_H

#include "mgmt/jwks_read.h"
#include "sluice/diag.h"

#include <uv.h>

struct sl_jwks;

struct sl_jwks_conf {
	uv_loop_t *loop;
	const char *state_dir;
	void (*changed)(void *ctx); /* some issuer's keys are other ones now */
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

/* 0 or -errno with diag: STATE_DIR/jwks cannot be used.  destroy: handles close in the loop; NULL is accepted. */
int sl_jwks_create(const struct sl_jwks_conf *conf, struct sl_diag *diag, struct sl_jwks **ret);
void sl_jwks_destroy(struct sl_jwks *j);

/* sl_jwks_table: what c names is asked for from now on, all else no longer. */
void sl_jwks_table(struct sl_jwks *j, const struct sl_conf *c);

/* sl_jwks_fill lends the issuers of c the keys that are known now; they are given back by sl_jwks_give_back. */
void sl_jwks_fill(struct sl_jwks *j, struct sl_conf *c);

/* sl_jwks_settled: every source of the table has been read once, or was in trouble, since this process began. */
bool sl_jwks_settled(const struct sl_jwks *j);

struct sl_jwks_status {
	const char *source;            /* as the table names it */
	const struct sl_jwks_set *set; /* NULL: never read */
	int64_t good_ms;               /* wall clock of the last good reading; 0: none */
	int64_t trouble_ms;            /* since when there is trouble; 0: none */
	uint64_t reads, troubles;
	const char *why; /* the trouble, or what was left out; "" */
};
/* Of an issuer; -ENOENT. */
int sl_jwks_find(const struct sl_jwks *j, const struct sl_conf_jwt *issuer,
		 struct sl_jwks_status *ret);

#endif
