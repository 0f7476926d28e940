/* roster — which endpoints each service has now: those of the table, and behind them what sources answer.
 *
 * Walk:    an answer → is it believed? → the service's endpoints → `changed`, once for all that came within one turn →
 *          tables ask for them (sl_roster_conf) and make a generation (sl_tables_revise).  What moves no table (drain, down,
 *          percent of an endpoint) goes to `state` at once: a word, no generation.
 * Never emptied: an answer without endpoints that can be used leaves the last good one in place (discover.empty = "accept" believes it),
 *          as does trouble, silence, or a restart: last good answers are on disk (STATE_DIR/roster/), with their time.
 *          Nor do states: where sources say of all endpoints of a service that has none of the table's that they drain or are
 *          down, those that serve, else all, take flows.
 * Bounds:  more endpoints than max_endpoints leaves: those that are there stay, further ones wait, in the order of names;
 *          another family than the service's, addresses of the gateway and its VIPs, names that an earlier one has: left out, told.
 * Same everywhere: of the same answers all gateways make the same endpoints, in the same order.
 * Threads: [loop].
 * Time:    wall clock in ms for people and on disk; ages never count backwards when the clock does.
 */
#ifndef SL_MGMT_ROSTER_H
#define SL_MGMT_ROSTER_H

#include "mgmt/source.h"

struct sl_roster;

struct sl_roster_conf {
	uv_loop_t *loop;
	const char *state_dir;
	const char *locality;                 /* of this gateway */
	const struct sl_source_conf *sources; /* [source_cnt] */
	unsigned source_cnt;
	uint64_t seed;
	void (*changed)(void *ctx); /* endpoints or weights of some service are other ones now */
	/* what a source says of one endpoint moved: by name, whether it is placed or not */
	void (*state)(void *ctx, const char *service, const char *endpoint, bool drain, bool down,
		      unsigned percent, const char *why);
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

/* 0 or -errno with diag: a source that cannot be made.  Notes: last good answers that could not be read. */
int sl_roster_create(const struct sl_roster_conf *conf, struct sl_diag *diag, struct sl_diag *notes,
		     struct sl_roster **ret_roster);
/* sl_roster_destroy writes what is not on disk yet, and runs the loop while a job is in the pool (sl_roster_busy); handles close
 * in the loop.  NULL is accepted by both. */
void sl_roster_destroy(struct sl_roster *r);
bool sl_roster_busy(const struct sl_roster *r);

/* The registry's answers come from outside (registry.h): sl_roster_registry is asked like a source and answers by this sink. */
void sl_roster_registry(struct sl_roster *r, const struct sl_source_ops *ops, void *registry);
const struct sl_source_sink *sl_roster_sink(struct sl_roster *r);

/* sl_roster_admit: whether every source that c names is there: errors to diag.  0 or -EINVAL. */
int sl_roster_admit(const struct sl_roster *r, const struct sl_conf *c, const char *file,
		    struct sl_diag *diag);

/* sl_roster_table: the questions of a pushed table are asked from now on, those of the one before no longer, unless they are
 * the same.  c stays valid until the next call. */
int sl_roster_table(struct sl_roster *r, const struct sl_conf *c);

/* sl_roster_conf makes c with all endpoints: services with `discover` have arrays of their own, and so have issuers of tokens,
 * for their keys (jwks.h: sl_jwks_fill); all else is c's, which must outlive it.  NULL: no memory.  The result passes sl_conf_check.  Any thread may read it, sl_roster_conf_free any. */
struct sl_conf *sl_roster_conf(struct sl_roster *r, const struct sl_conf *c);
void sl_roster_conf_free(struct sl_conf *c);

/* sl_roster_settled: every question of the table has been answered, confirmed, or said to be in trouble, since this process began, and
 * `changed` has been told of it. */
bool sl_roster_settled(const struct sl_roster *r);

/* What `show endpoints` and metrics say of one question. */
struct sl_roster_status {
	const char *service, *source, *name;
	uint32_t endpoints; /* of its last good answer, in the table */
	uint32_t left_out;  /* that could not be used or have no room */
	int64_t good_ms; /* wall clock of the last good answer, or its confirmation; 0: there was none */
	int64_t trouble_ms; /* since when there is trouble; 0: none */
	uint64_t answers, troubles;
	const char *why; /* the trouble, or what is odd about the answer; "" */
	bool kept;       /* the endpoints are of an older answer than the last */
};
int sl_roster_show(struct sl_roster *r, int (*fn)(void *ctx, const struct sl_roster_status *s),
		   void *ctx);
/* By service and 1-based index into its discover (sl_conf_endpoint.from); -ENOENT. */
int sl_roster_find(struct sl_roster *r, const char *service, unsigned from,
		   struct sl_roster_status *ret);

#endif
