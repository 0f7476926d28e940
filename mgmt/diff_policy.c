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
	sl_diff_put(v, "headers", "%s", r->headers ? "true" : "");
}
