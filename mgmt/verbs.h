/* verbs — what a request may say, who may say it, and what is done about it (api.h has each of them).
 *
 * Walk:    server → sl_verbs_run: verb known? role enough? keys and ranges right? → the verb's function.
 * Threads: [loop]; texts are parsed in the pool.
 */
#ifndef SL_MGMT_VERBS_H
#define SL_MGMT_VERBS_H

#include "mgmt/daemon.h"

/* sl_verbs_run answers the call, at once or later. */
void sl_verbs_run(struct sl_daemon *d, struct sl_call *call, const struct sl_peer *peer,
		  json_t *body);

/* A verb that passed all checks. */
struct sl_verb_run {
	struct sl_daemon *d;
	struct sl_call *call;
	const struct sl_peer *peer;
	json_t *body;
	const char *verb;
};
typedef void sl_verb_fn(const struct sl_verb_run *r);

/* One file per family of verbs. */
sl_verb_fn sl_verb_show, sl_verb_stats;        /* show.c */
sl_verb_fn sl_verb_ports;                      /* verb_ports.c: show ports */
sl_verb_fn sl_verb_upgrade;                    /* verb_upgrade.c */
sl_verb_fn sl_verb_cert, sl_verb_tickets;      /* verb_cert.c */
sl_verb_fn sl_verb_gateway;                    /* verb_gateway.c */
sl_verb_fn sl_verb_explain;                    /* explain.c */
sl_verb_fn sl_verb_explain_http;               /* explain_http.c */
sl_verb_fn sl_verb_flows;                      /* verb_flows.c */
sl_verb_fn sl_verb_streams;                    /* verb_streams.c */
sl_verb_fn sl_verb_register, sl_verb_registry; /* verb_registry.c; the second: show registry */
sl_verb_fn sl_verb_endpoint;                   /* verb_endpoint.c */
sl_verb_fn sl_verb_check, sl_verb_diff, sl_verb_push, sl_verb_confirm,
	sl_verb_shadow;                            /* verb_table.c */
sl_verb_fn sl_verb_push_store, sl_verb_show_store; /* verb_store.c */

/* Helpers: the text or number of a key, NULL or the default when absent. */
const char *sl_verb_text(const struct sl_verb_run *r, const char *key);
int64_t sl_verb_number(const struct sl_verb_run *r, const char *key, int64_t absent);

/* {"ok": true, "verb": …} to be filled. */
json_t *sl_verb_ok(const struct sl_verb_run *r);

/* What is wrong with a table, and what is odd about one (verb_table.c). */
json_t *sl_verb_config_error(const char *verb, const struct sl_diag *diag);
void sl_verb_add_warnings(json_t *a, const struct sl_diag *diag);

/* ENDPOINT of api.h (show.c). */
json_t *sl_show_endpoint(struct sl_daemon *d, const struct sl_oper_endpoint *e);

#endif
