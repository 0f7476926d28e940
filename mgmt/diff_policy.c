/* Policy: limits; what of it tables, hosts and routes name. */
#include "mgmt/diff_priv.h"

void
sl_diff_names(struct sl_diff_values *v, const char *key, const struct sl_img_tls_name *names,
	      uint32_t cnt)
{
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < cnt; i++)
		sl_diff_addf(&t, "%s%s", i ? " " : "", names[i].name);
	sl_diff_put_text(v, key, &t);
}

void
sl_diff_policy_values(const struct sl_conf_policy *p, struct sl_diff_values *v)
{
	bool minor = v->minor;

	v->minor = false;
	sl_diff_names(v, "policy.limits", p->limits, p->limit_cnt);
	sl_diff_names(v, "policy.authorization", p->authz, p->authz_cnt);
	sl_diff_names(v, "policy.jwt", p->jwt, p->jwt_cnt);
	sl_diff_put(v, "policy.jwt_required", "%s", p->jwt_required ? "true" : "");
	v->minor = minor;
}

void
sl_diff_limit_values(const struct sl_conf_rate *r, struct sl_diff_values *v)
{
	static const char *const by[] = {
		[SL_RATE_ALL] = "all",
		[SL_RATE_SOURCE] = "source",
		[SL_RATE_IDENTITY] = "identity",
		[SL_RATE_HEADER] = "header",
	};

	sl_diff_put(v, "requests", "%u", r->requests);
	sl_diff_put(v, "per", "%u ms", r->per_ms);
	sl_diff_put(v, "by", "%s%s%s", by[r->by], r->header[0] ? " " : "", r->header);
	if (r->by == SL_RATE_SOURCE)
		sl_diff_put(v, "source_bits", "%u %u", r->bits4, r->bits6);
	else
		sl_diff_put(v, "source_bits", "%s", "");
	if (r->keys)
		sl_diff_put(v, "keys", "%u", r->keys);
	else
		sl_diff_put(v, "keys", "%s", "");
	sl_diff_put(v, "shared", "%s", r->shared ? "true" : "");
	if (r->floor)
		sl_diff_put(v, "floor", "%u", r->floor);
	else
		sl_diff_put(v, "floor", "%s", "");
	sl_diff_put(v, "headers", "%s", r->headers ? "true" : "");
}

static void
put_or_nothing(struct sl_diff_values *v, const char *key, const char *text)
{
	sl_diff_put(v, key, "%s", text ? text : "");
}

void
sl_diff_issuer_values(const struct sl_conf_jwt *j, struct sl_diff_values *v)
{
	static const char *const places[] = {"", "bearer", "header:", "cookie:", "query:"};
	struct sl_diff_text audiences = {0}, from = {0}, claims = {0};

	put_or_nothing(v, "issuer", j->issuer);
	put_or_nothing(v, "jwks", j->jwks);
	put_or_nothing(v, "jwks_ca", j->ca);
	sl_diff_put(v, "jwks_interval", "%u ms", j->interval_ms);
	sl_diff_put(v, "leeway", "%u ms", j->leeway_ms);
	sl_diff_put(v, "forward", "%s", j->forward ? "true" : "false");
	put_or_nothing(v, "payload_header", j->payload_header);
	for (uint32_t i = 0; i < j->audience_cnt; i++)
		sl_diff_addf(&audiences, "%s%s", i ? " " : "", j->audiences[i].text);
	sl_diff_put_text(v, "audiences", &audiences);
	for (uint32_t i = 0; i < j->from_cnt; i++)
		sl_diff_addf(&from, "%s%s%s", i ? " " : "", places[j->from[i].place],
			     j->from[i].name);
	sl_diff_put_text(v, "from", &from);
	for (uint32_t i = 0; i < j->claim_cnt; i++)
		sl_diff_addf(&claims, "%s%s %s", i ? ", " : "", j->claims[i].claim,
			     j->claims[i].header);
	sl_diff_put_text(v, "claim_headers", &claims);
}

void
sl_diff_set_values(const struct sl_conf_authz *a, struct sl_diff_values *v)
{
	sl_diff_put(v, "default", "%s", sl_conf_authz_denies_rest(a) ? "deny" : "allow");
	sl_diff_put(v, "audit_only", "%s", a->audit_only ? "true" : "");
	sl_diff_put(v, "rules", "%u", a->rule_cnt);
}

/* Headers, or claims: no keys of ours begin so. */
static void
put_conds(struct sl_diff_values *v, const char *key, const struct sl_conf_rule *r, bool claims)
{
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < r->all_cnt; i++) {
		const struct sl_conf_cond *c = &r->all[i];
		if (c->name && c->name[0] != ':' && (c->field == SL_FIELD_CLAIM) == claims)
			sl_diff_cond(&t, c);
	}
	sl_diff_put_text(v, key, &t);
}

void
sl_diff_rule_values(const struct sl_conf_rule *r, struct sl_diff_values *v)
{
	static const char *const action[] = {
		[SL_AUTHZ_DENY] = "deny", [SL_AUTHZ_ALLOW] = "allow", [SL_AUTHZ_AUDIT] = "audit"};

	sl_diff_put(v, "action", "%s", action[r->action]);
	for (unsigned i = 0; i < SL_CONF_RULE_LISTS; i++)
		for (unsigned no = 0; no < 2; no++) {
			struct sl_diff_text t = {0};
			sl_diff_add(&t, r->words[i][no]);
			sl_diff_put_text(v, sl_conf_rule_key(i, no), &t);
		}
	put_conds(v, "headers", r, false);
	put_conds(v, "claims", r, true);
	v->minor = true; /* of most rules it follows from the action */
	sl_diff_put(v, "ignore_case", "%s", r->icase ? "true" : "false");
	v->minor = false;
}
