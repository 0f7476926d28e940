/* trial — push --shadow: a table that the dataplane tries beside the active one (dataplane/shadow.h), and what came of it.
 *
 *   push with a sample ─▶ tables: compiled, offered ─▶ verdict tried ─▶ sl_trial_begin
 *       each SL_TRIAL_ASK_MS the counts are asked for;  its time is over, stop, another push is active ─▶ asked to end: the last counts
 *   show shadow: what is known so far, or of the last run
 *
 * Nothing of it is on disk but lines of the audit log.  When the link is lost the run is over: what was known last stays.
 * Threads: [loop].
 */
#ifndef SL_MGMT_TRIAL_H
#define SL_MGMT_TRIAL_H

#include "mgmt/tables.h"
#include "mgmt/trial_rates.h"

#include <jansson.h>

#define SL_TRIAL_ASK_MS 500

struct sl_trial_conf {
	uv_loop_t *loop;
	struct sl_audit *audit;
	const struct sl_table *(*active)(void *ctx); /* whose slots are those of `now` */
	sl_trial_counted *counted;                   /* of a limit of the active table */
	void (*say)(void *ctx, const char *line);
	void *ctx;
};

struct sl_trial;

int sl_trial_create(const struct sl_trial_conf *conf, struct sl_trial **ret_trial); /* 0, -ENOMEM */
void sl_trial_destroy(struct sl_trial *t); /* NULL is accepted; the loop must run once more */

/* sl_trial_begin: p has begun to try tab, which is the trial's from now on. */
void sl_trial_begin(struct sl_trial *t, struct sl_publish *p, struct sl_table *tab,
		    const struct sl_push_request *q);
/* sl_trial_end asks for the last counts.  why: "stopped by root".  false: nothing runs.  sl_trial_lost: the link went away. */
bool sl_trial_end(struct sl_trial *t, const char *why);
void sl_trial_lost(struct sl_trial *t);
/* sl_trial_revised: endpoints of the active table are other ones. */
void sl_trial_revised(struct sl_trial *t);

/* sl_trial_report as api.h says (show shadow); people: with examples, which have addresses of clients. */
json_t *sl_trial_report(const struct sl_trial *t, bool people);
/* sl_trial_of: whether the last run was of this text. */
bool sl_trial_of(const struct sl_trial *t, const char *text, size_t len);

#endif
