/* Sets of rules at a request: each set that the row of policy names has to allow it; the first that does not answers.
 *
 * Asked is what endpoints will see: the path in normal form (and as a lenient endpoint may read it, authz.h), the host that
 * routed the request, headers as they came, the identity that TLS verified, claims that http_jwt.c verified. */
#include "l7/http_priv.h"

#include "sluice/events.h"

/* What all sets of the request are asked with. */
struct asked {
	struct sl_match_input in;
	struct sl_bytes loose;
	struct sl_authz_own own;
	struct sl_addr remote;
};

/* h->out, of which nothing has been written yet, has room for a path. */
static void
ask(struct sl_http *h, const struct sl_http_rule *rule, const struct http_ask *who,
    const struct sl_http_head *head, const struct http_decision *d, struct asked *ret)
{
	const struct http_claims *claims = who->claims ? who->claims : &h->claims;

	ret->remote = sl_authz_remote(head, rule->table->img->http.trusted_hops, &who->peer);
	const struct sl_authz_who w = {
		.source = &who->peer,
		.remote = &ret->remote,
		.identity = who->identity,
		.host = {head->bytes + head->host, head->host_len},
		.sni = who->sni,
		.port = who->port,
	};
	sl_authz_own(&w, &ret->own);
	ret->loose = sl_authz_loose(d->path.at, d->path.len, h->out);
	ret->in = (struct sl_match_input){
		.head = head,
		.path = d->path.at,
		.query = d->query.at,
		.path_len = d->path.len,
		.query_len = d->query.len,
		.identity = who->identity.at,
		.identity_len = who->identity.len,
		.own = ret->own.own,
		.own_cnt = ret->own.cnt,
		.claims = claims->claim,
		.claim_cnt = claims->cnt,
	};
}

/* "shop/log-writes (audit)": the first that only says so. */
static void
say_audit(struct http_decision *d, const char *set, const char *rule)
{
	static const char only[] = " (audit)";

	if (d->why[0])
		return;
	sl_http_policy_why(d, set, rule);
	size_t n = strlen(d->why);
	if (n + sizeof(only) <= sizeof(d->why))
		memcpy(d->why + n, only, sizeof(only));
}

static void
count(struct sl_http *h, const struct sl_authz *set, uint32_t slot,
      const struct sl_authz_verdict *v)
{
	sl_authz_count(set, v, &h->conf.authz_stats[slot], h->conf.authz_rule_stats);
	if (v->told_only || v->audit != SL_MATCH_NONE)
		http_count(h, SL_HTTP_CNT_AUTHZ_AUDITED);
}

/* Whether the set lets it pass. */
static bool
passes(struct sl_http *h, const struct sl_http_rule *rule, const struct sl_img_policy_ref *ref,
       const struct asked *a, struct http_decision *d, bool dry)
{
	const struct sl_authz *set = ref->slot < rule->authz_cnt ? &rule->authz[ref->slot] : NULL;
	struct sl_authz_verdict v;

	if (!set || !set->img || set->incarnation != ref->incarnation) { /* no view is like that */
		sl_http_policy_why(d, "authorization", "gone");
		return false;
	}
	sl_authz_judge(set, &a->in, a->loose, rule->scratch, &v);
	if (!dry)
		count(h, set, ref->slot, &v);
	if (v.denied && !v.told_only) {
		sl_http_policy_why(d, set->img->name, sl_authz_rule(set, v.rule));
		return false;
	}
	if (v.denied)
		say_audit(d, set->img->name, sl_authz_rule(set, v.rule));
	if (v.audit != SL_MATCH_NONE)
		say_audit(d, set->img->name, sl_authz_rule(set, v.audit));
	return true;
}

void
sl_http_judge_authz(struct sl_http *h, const struct sl_http_rule *rule, const struct http_ask *who,
		    const struct sl_http_head *head, struct http_decision *d, bool dry)
{
	const struct sl_img_vhost *v = d->vhost->img;
	const struct sl_img_policy_ref *ref =
		(const struct sl_img_policy_ref *)((const char *)v + v->policy_ref_off) +
		d->policy->ref_first;
	struct asked a;
	bool asked = false;

	for (uint32_t i = 0; i < d->policy->ref_cnt; i++) {
		if (ref[i].kind != SL_OBJ_AUTHZ)
			continue;
		if (!asked)
			ask(h, rule, who, head, d, &a);
		asked = true;
		if (passes(h, rule, &ref[i], &a, d, dry))
			continue;
		sl_http_policy_refuse(d, 403, SL_RF_UAEX, SL_HTTP_CNT_AUTHZ_DENIED,
				      "RBAC: access denied");
		return;
	}
}
