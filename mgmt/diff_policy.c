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
