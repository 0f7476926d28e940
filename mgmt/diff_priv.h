/* diff_priv — what the files of diff have in common: the values of a thing, as texts that can be compared. */
#ifndef SL_MGMT_DIFF_PRIV_H
#define SL_MGMT_DIFF_PRIV_H

#include "mgmt/conf.h"

#define SL_DIFF_VALUES 96
#define SL_DIFF_LEN 320
struct sl_diff_values {
	unsigned cnt;
	bool minor; /* of what is put next: not said of what is added or removed */
	struct {
		const char *key;
		bool minor;
		char text[SL_DIFF_LEN];
	} v[SL_DIFF_VALUES];
};

void sl_diff_put(struct sl_diff_values *v, const char *key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A text of any length, made printable.  What there is no room for is summed up, so that a change there is a change. */
struct sl_diff_text {
	char text[SL_DIFF_LEN];
	size_t len;
	uint64_t sum;
	bool cut;
};
void sl_diff_add(struct sl_diff_text *t, const char *bytes);
void sl_diff_addf(struct sl_diff_text *t, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void sl_diff_put_text(struct sl_diff_values *v, const char *key, struct sl_diff_text *t);

/* diff_routes.c: the values of each. */
void sl_diff_table_values(const struct sl_conf_table *t, struct sl_diff_values *v);
void sl_diff_vhost_values(const struct sl_conf_vhost *h, struct sl_diff_values *v);
void sl_diff_route_values(const struct sl_conf_hroute *r, struct sl_diff_values *v);
void sl_diff_cond(struct sl_diff_text *t,
		  const struct sl_conf_cond *c); /* with a comma before it */
void sl_diff_http_values(const struct sl_conf_http *h, struct sl_diff_values *v);

/* diff_policy.c: what tables, hosts and routes say of policy; a limit; an issuer; a set of rules, without these; a rule; a list of names, in their order. */
void sl_diff_policy_values(const struct sl_conf_policy *p, struct sl_diff_values *v);
void sl_diff_limit_values(const struct sl_conf_rate *r, struct sl_diff_values *v);
void sl_diff_issuer_values(const struct sl_conf_jwt *j, struct sl_diff_values *v);
void sl_diff_set_values(const struct sl_conf_authz *a, struct sl_diff_values *v);
void sl_diff_rule_values(const struct sl_conf_rule *r, struct sl_diff_values *v);
void sl_diff_names(struct sl_diff_values *v, const char *key, const struct sl_img_tls_name *names,
		   uint32_t cnt);

/* diff_members.c: discover, subsets, panic; priority, locality, metadata */
void sl_diff_service_members(const struct sl_conf_service *s, struct sl_diff_values *v);
void sl_diff_endpoint_members(const struct sl_conf_endpoint *e, struct sl_diff_values *v);

/* diff_traffic.c: CORS, faults, hedging of what a table, a host or a route says of policy. */
void sl_diff_traffic_values(const struct sl_conf_policy *p, struct sl_diff_values *v);

/* diff_untried.c: whether a trial does not tell of the key; stays: of a thing that both sides have. */
bool sl_diff_untried_key(const char *key, bool stays);

/* diff_tls.c */
void sl_diff_listener_tls(const struct sl_conf_listener *l, struct sl_diff_values *v);
void sl_diff_service_tls(const struct sl_conf_service *s, struct sl_diff_values *v);

/* sl_diff_moved: which of n things left their order: the fewest that could have been moved.  place[i]: where the i-th of
 * the old order stands now, distinct.  Scratch: 2 × n; ret_moved[n]. */
void sl_diff_moved(const uint32_t *place, uint32_t n, uint32_t *scratch, bool *ret_moved);

#endif
