/* What `policy` of tables, hosts and routes names is there, and what comes together on a route is not too much. */
#include "mgmt/check_priv.h"

#include <errno.h>

/* A list of names, and what they may be: the i-th name at the top of the file, "" where it was not read; NULL: no more. */
struct named {
	const char *key, *what; /* "limits", "limit" */
	const char *(*name)(const struct sl_conf *c, uint32_t i);
};

static const char *
limit_name(const struct sl_conf *c, uint32_t i)
{
	return i < c->rate_cnt ? c->rates[i].name : NULL;
}

static const char *
authz_name(const struct sl_conf *c, uint32_t i)
{
	return i < c->authz_cnt ? c->authz[i].name : NULL;
}

static const char *
jwt_name(const struct sl_conf *c, uint32_t i)
{
	return i < c->jwt_cnt ? c->jwts[i].name : NULL;
}

static const struct named limits = {"limits", "limit", limit_name};
static const struct named authz = {"authorization", "set of rules in authorization", authz_name};
static const struct named jwt = {"jwt", "issuer in jwt", jwt_name};

/* Whether there is one of the name; so it is taken to be when one of the names could not be read. */
static bool
there(const struct check *k, const struct named *n, const char *name)
{
	const char *at;

	for (uint32_t i = 0; (at = n->name(k->c, i)); i++)
		if (!at[0] || strcmp(at, name) == 0)
			return true;
	return false;
}

/* path: of the list. */
static void
check_list(struct check *k, const char *path, const struct named *n, int line,
	   const struct sl_img_tls_name *names, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		if (!names[i].name[0] || there(k, n, names[i].name))
			continue;
		at(k, "%s[%u]", path, i);
		tell(k, line, "give the name of one, or add it at the top of the file",
		     "there is no %s \"%s\"", n->what, names[i].name);
	}
}

static void
check_names(struct check *k, const char *where, const struct named *n, int line,
	    const struct sl_img_tls_name *names, uint32_t cnt)
{
	char path[128];

	snprintf(path, sizeof(path), "%s.policy.%s", where, n->key);
	check_list(k, path, n, line, names, cnt);
}

static void
check_policy(struct check *k, const char *where, const struct sl_conf_policy *p)
{
	check_names(k, where, &limits, p->line, p->limits, p->limit_cnt);
	check_names(k, where, &authz, p->line, p->authz, p->authz_cnt);
	check_names(k, where, &jwt, p->line, p->jwt, p->jwt_cnt);
}

/* What only requests that are forwarded meet; where a table or a host says it, other routes of it are none of its business. */
static void
check_action(struct check *k, const char *where, const struct sl_conf_hroute *r)
{
	const struct sl_conf_policy *p = &r->policy;

	if (r->incomplete || r->action == SL_ACTION_FORWARD)
		return;
	at(k, "%s.policy.hedge", where);
	if (p->hedge.line)
		tell(k, p->hedge.line, "remove it, or give service or split",
		     "the gateway answers itself, nobody is tried");
	at(k, "%s.policy.fault.delay", where);
	if (p->fault.line && p->fault.delay)
		tell(k, p->fault.line, "remove it, or give service or split",
		     "the gateway answers itself, nothing goes on later");
}

/* What comes together on a route. */
static void
check_sum(struct check *k, const char *where, const struct sl_conf_policy *const from[3])
{
	uint32_t rates = 0, refs = 0, issuers = 0;
	int required = 0; /* line */

	for (unsigned i = 0; i < 3; i++) {
		rates += from[i]->limit_cnt;
		refs += from[i]->authz_cnt + from[i]->jwt_cnt;
		issuers += from[i]->jwt_cnt;
		if (from[i]->jwt_required)
			required = from[i]->line;
	}
	at(k, "%s.policy", where);
	if (required && issuers == 0)
		tell(k, required, "name issuers in jwt of the table, the host or the route",
		     "a token is required, but there is no issuer whose tokens are believed");
	if (rates > SL_MAX_ROUTE_RATES)
		tell(k, from[2]->line, "name fewer on the table, the host or the route",
		     "%u limits come together, more than %u", rates, SL_MAX_ROUTE_RATES);
	if (refs > SL_MAX_ROUTE_REFS)
		tell(k, from[2]->line, "name fewer on the table, the host or the route",
		     "%u sets of rules and issuers come together, more than %u", refs,
		     SL_MAX_ROUTE_REFS);
}

static void
check_vhost(struct check *k, uint32_t table, uint32_t host)
{
	const struct sl_conf_table *t = &k->c->tables[table];
	const struct sl_conf_vhost *v = &t->vhosts[host];
	char where[96];

	snprintf(where, sizeof(where), "route_tables[%u].hosts[%u]", table, host);
	check_policy(k, where, &v->policy);
	for (uint32_t i = 0; i < v->route_cnt; i++) {
		const struct sl_conf_policy *const from[] = {&t->policy, &v->policy,
							     &v->routes[i].policy};
		snprintf(where, sizeof(where), "route_tables[%u].hosts[%u].routes[%u]", table, host,
			 i);
		check_policy(k, where, &v->routes[i].policy);
		check_action(k, where, &v->routes[i]);
		check_sum(k, where, from);
	}
}

/* ---- limits ---- */

static int
authz_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_authz *)a)->name,
		      ((const struct sl_conf_authz *)b)->name);
}

static void
authz_twin(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_authz *a = k->c->authz;

	(void)owner;
	if (!a[later].name[0])
		return;
	at(k, "authorization[%u].name", later);
	tell(k, a[later].line, "names are distinct", "\"%s\" is the set of rules at line %d",
	     a[later].name, a[first].line);
}

static int
rule_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_rule *)a)->name,
		      ((const struct sl_conf_rule *)b)->name);
}

static void
rule_twin(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_rule *r = k->c->authz[owner].rules;

	if (!r[later].name[0])
		return;
	at(k, "authorization[%u].rules[%u].name", owner, later);
	tell(k, r[later].line, "names are distinct within a set of rules",
	     "\"%s\" is the rule at line %d", r[later].name, r[first].line);
}

static void
check_rules(struct check *k)
{
	sl_check_twins(k, 0, k->c->authz, k->c->authz_cnt, sizeof(*k->c->authz), authz_order,
		       authz_twin);
	for (uint32_t i = 0; i < k->c->authz_cnt; i++) {
		const struct sl_conf_authz *a = &k->c->authz[i];
		uint64_t alternatives = 1;
		for (uint32_t j = 0; j < a->rule_cnt; j++)
			alternatives += a->rules[j].alternatives;
		at(k, "authorization[%u]", i);
		if (alternatives > SL_AUTHZ_ALTERNATIVES_MAX)
			tell(k, a->line, "make several sets of it, which all have to allow",
			     "its rules come to %llu alternatives, more than %u",
			     (unsigned long long)alternatives, SL_AUTHZ_ALTERNATIVES_MAX);
		sl_check_twins(k, i, a->rules, a->rule_cnt, sizeof(*a->rules), rule_order,
			       rule_twin);
	}
}

/* Nothing is known of a connection of mode tcp but who opens it, and where. */
static void
check_streams(struct check *k, uint32_t listener, const struct sl_conf_authz *a)
{
	const struct sl_conf_listener *l = &k->c->listeners[listener];

	for (uint32_t i = 0; i < a->rule_cnt; i++)
		if (a->rules[i].alternatives && !a->rules[i].streams) {
			tell(k, l->line,
			     "name a set of identities, addresses, ports and server names alone",
			     "rule \"%s\" of \"%s\" goes by requests, which listeners of mode tcp "
			     "do "
			     "not see",
			     a->rules[i].name, a->name);
			return;
		}
}

static void
check_listeners(struct check *k)
{
	for (uint32_t i = 0; i < k->c->listener_cnt; i++) {
		const struct sl_conf_listener *l = &k->c->listeners[i];
		const struct sl_conf_authz *a = NULL;
		if (!l->authz[0])
			continue;
		at(k, "listeners[%u].authorization", i);
		for (uint32_t j = 0; j < k->c->authz_cnt && !a; j++)
			if (strcmp(k->c->authz[j].name, l->authz) == 0)
				a = &k->c->authz[j];
		if (a)
			check_streams(k, i, a);
		else if (!there(k, &authz, l->authz))
			tell(k, l->line, "give the name of one, or add it at the top of the file",
			     "there is no set of rules in authorization \"%s\"", l->authz);
	}
}

static int
rate_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_rate *)a)->name,
		      ((const struct sl_conf_rate *)b)->name);
}

static void
rate_twin(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_rate *r = k->c->rates;

	(void)owner;
	if (!r[later].name[0])
		return;
	at(k, "limits[%u].name", later);
	tell(k, r[later].line, "names of limits are distinct",
	     "\"%s\" is the name of the limit of line %d, too", r[later].name, r[first].line);
}

static const struct sl_conf_rate *
rate_of(const struct check *k, const char *name)
{
	for (uint32_t i = 0; i < k->c->rate_cnt; i++)
		if (strcmp(k->c->rates[i].name, name) == 0)
			return &k->c->rates[i];
	return NULL;
}

/* A connection of mode tcp has no header. */
static void
check_connections(struct check *k, uint32_t service)
{
	const struct sl_conf_service *s = &k->c->services[service];

	for (uint32_t i = 0; i < s->limit_cnt; i++) {
		const struct sl_conf_rate *r = rate_of(k, s->limits[i].name);
		if (!r || r->by != SL_RATE_HEADER)
			continue;
		at(k, "services[%u].limits[%u]", service, i);
		tell(k, s->line, "name limits by all, source or identity",
		     "limit \"%s\" is by header, and a listener of mode tcp leads here", r->name);
	}
}

static void
check_service(struct check *k, uint32_t service)
{
	const struct sl_conf_service *s = &k->c->services[service];
	char path[64];

	if (s->forward && s->forward != SL_FORWARD_PROXY) {
		sl_check_out_of_place(k, service, "limits", s->limit_cnt != 0, "forward \"proxy\"");
		return;
	}
	snprintf(path, sizeof(path), "services[%u].limits", service);
	check_list(k, path, &limits, s->line, s->limits, s->limit_cnt);
	if (k->links.streamed && k->links.streamed[service])
		check_connections(k, service);
}

int
sl_conf_check_shared(const char *file, const struct sl_conf *c, struct sl_diag *diag)
{
	int err = 0;

	for (uint32_t i = 0; i < c->rate_cnt; i++) {
		char path[32];
		if (!c->rates[i].shared)
			continue;
		snprintf(path, sizeof(path), "limits[%u].shared", i);
		sl_diag_add(diag, file, c->rates[i].line, path,
			    "store = { source = \"…\"; limits = true; … } there, or shared = false "
			    "here",
			    "sluiced's file does not say store.limits: limit \"%s\" would let "
			    "nobody through",
			    c->rates[i].name);
		err = -EINVAL;
	}
	return err;
}

static void
check_issuers(struct check *k)
{
	const struct sl_conf *c = k->c;

	for (uint32_t i = 1; i < c->jwt_cnt; i++)
		for (uint32_t j = 0; j < i; j++) {
			if (!c->jwts[i].name[0] || strcmp(c->jwts[i].name, c->jwts[j].name) != 0)
				continue;
			at(k, "jwt[%u].name", i);
			tell(k, c->jwts[i].line, "give each a name of its own",
			     "\"%s\" is the name of jwt[%u], too", c->jwts[i].name, j);
		}
}

void
sl_check_policies(struct check *k)
{
	char where[32];

	check_rules(k);
	check_listeners(k);
	sl_check_twins(k, 0, k->c->rates, k->c->rate_cnt, sizeof(*k->c->rates), rate_order,
		       rate_twin);
	check_issuers(k);
	for (uint32_t i = 0; i < k->c->service_cnt; i++)
		check_service(k, i);

	for (uint32_t i = 0; i < k->c->table_cnt; i++) {
		snprintf(where, sizeof(where), "route_tables[%u]", i);
		check_policy(k, where, &k->c->tables[i].policy);
		for (uint32_t j = 0; j < k->c->tables[i].vhost_cnt; j++)
			check_vhost(k, i, j);
	}
}
