/* AuthorizationPolicy → sets of rules, and who goes by them.
 *
 * Policies of one workload are one set, because one ALLOW that holds is enough; sets of several workloads each have to allow: for
 * every selection of policies that some route or listener goes by, a set is made.  A policy of a Gateway's workload goes to its route
 * tables, one of a service's to the routes that lead there.
 *
 * What of a rule cannot be said denies more, never less: a condition of DENY is left out alone, an ALLOW with its rule.  So with all
 * that asks for claims: no issuer comes over, so they were never there, and their absence would always hold.
 */
#include "mgmt/import_istio.h"

#include "l7/path.h"
#include "mgmt/conf_value.h"
#include "sluice/image_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT_SPACE "istio-system"

/* Where a rule is being made. */
struct rule {
	struct sl_import *im;
	const struct sl_object *policy;
	struct sl_out *out;
	bool denies;  /* DENY, AUDIT */
	bool gateway; /* its ports are those that clients come to */
	bool lost;    /* a condition that cannot be said, of a rule that allows */
};

/* ---- texts ---- */

/* A condition that cannot be said. */
static void
lose(struct rule *r, struct sl_yaml *node, const char *why)
{
	if (r->denies) {
		sl_left_out(&r->im->left, node, "%s: the rule denies without it, so more", why);
	} else {
		sl_left_out(&r->im->left, node, "%s: the rule allows nothing, so less", why);
		r->lost = true;
	}
}

/* "x", "x*", "*x", "*". */
static bool
has_stars_within(const char *text)
{
	size_t n = strlen(text);
	const char *star = strchr(text + (*text == '*'), '*');

	return n == 0 || (star && (star[1] || *text == '*'));
}

/* Segments that are literal, {*} or, last, {**}: no others are Istio's. */
static bool
is_rule_template(struct sl_import *im, const char *text)
{
	char *named = sl_memory_take(&im->m, 4 * strlen(text) + 16), *to = named;
	uint8_t *form = sl_memory_take(&im->m, strlen(text) + 1);
	unsigned cnt = 0;
	uint32_t len;

	for (const char *p = text; *p; p++) {
		if (strncmp(p, "{*}", 3) == 0) {
			to += snprintf(to, 16, "{p%u}", cnt++);
			p += 2;
		} else if (strncmp(p, "{**}", 4) == 0) {
			to = stpcpy(to, "{**}");
			p += 3;
		} else if (strchr("{}*", *p)) {
			return false;
		} else {
			*to++ = *p;
		}
	}
	return !sl_value_template(named) &&
	       sl_path_normalise((const uint8_t *)text, (uint32_t)strlen(text), SL_2F_KEEP, true,
				 form, &len) == SL_PATH_SAME;
}

static bool
is_rule_path(struct sl_import *im, const char *text)
{
	size_t n = strlen(text), star = n && text[n - 1] == '*';
	uint32_t len;

	if (strcmp(text, "*") == 0)
		return true;
	if (n == 0 || n > 4000 || strpbrk(text, "?# ") || sl_value_plain(text))
		return false;
	if (strpbrk(text, "{}"))
		return is_rule_template(im, text);
	const char *path = *text == '*'
				   ? sl_memory_print(&im->m, "/%s", text + 1 + (text[1] == '/'))
				   : sl_memory_copy(&im->m, text, n - star);
	uint8_t *form = sl_memory_take(&im->m, n + 2);
	return !has_stars_within(text) && path[0] == '/' &&
	       sl_path_normalise((const uint8_t *)path, (uint32_t)strlen(path), SL_2F_KEEP, true,
				 form, &len) == SL_PATH_SAME;
}

static const char *
as_identity(struct sl_import *im, const char *text)
{
	if (*text == '*' || strncmp(text, "spiffe://", 9) == 0)
		return text;
	return sl_memory_print(&im->m, "spiffe://%s", text);
}

static const char *
as_account(struct rule *r, const char *text)
{
	return strchr(text, '/') ? text
				 : sl_memory_print(&r->im->m, "%s/%s", r->policy->space, text);
}

static const char *
host_of(struct sl_import *im, const char *text)
{
	size_t n = strlen(text);

	/* with or without any port */
	if (n > 2 && strcmp(text + n - 2, ":*") == 0)
		return sl_memory_copy(&im->m, text, n - 2);
	return strchr(text, ':') ? NULL : text;
}

/* The text as the key has it; NULL: it cannot be said. */
static const char *
text_of(struct rule *r, const char *key, const char *text)
{
	struct sl_img_prefix p;
	const char *bare = strncmp(key, "not_", 4) ? key : key + 4;

	if (strcmp(bare, "paths") == 0)
		return is_rule_path(r->im, text) ? text : NULL;
	if (strcmp(bare, "addresses") == 0 || strcmp(bare, "remote_addresses") == 0)
		return sl_value_trusted(text, &p.prefix, &p.plen) ? NULL : text;
	if (strcmp(bare, "methods") == 0)
		return !strcmp(text, "*") || !sl_value_token(text) ? text : NULL;
	if (strcmp(bare, "service_accounts") == 0)
		return strpbrk(text, "*") || strlen(text) > 200 ? NULL : as_account(r, text);
	if (strcmp(bare, "hosts") == 0)
		text = host_of(r->im, text);
	if (!text)
		return NULL;
	if (has_stars_within(text) || sl_value_plain(text) || strlen(text) > 250)
		return NULL;
	if (strcmp(bare, "identities") == 0)
		return as_identity(r->im, text);
	return text;
}

/* Whether there are values to ask for; what is no list cannot be said. */
static bool
has_values(struct rule *r, struct sl_yaml *all)
{
	if (all && all->type != SL_YAML_LIST)
		lose(r, all, "is no list");
	return all && all->type == SL_YAML_LIST && all->first;
}

/* Values of a field, of which one has to hold (not_…: none). */
static void
put_texts(struct rule *r, const char *key, struct sl_yaml *all)
{
	struct sl_out *list;
	const char *text;

	if (!has_values(r, all))
		return;
	if (sl_out_find(r->out, key)) {
		lose(r, all, "is asked twice in one rule");
		return;
	}
	list = sl_out_list(&r->im->m, NULL, key);
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if ((text = text_of(r, key, n->text)) && list->cnt < 256) {
			sl_out_text(&r->im->m, list, NULL, text);
			continue;
		}
		lose(r, all, "has a value that rules cannot have");
		return;
	}
	if (list->first)
		sl_out_attach(r->out, list);
}

static void
put_ports(struct rule *r, const char *key, struct sl_yaml *all)
{
	struct sl_out *list = sl_out_list(&r->im->m, NULL, key);
	int64_t port;

	if (!has_values(r, all))
		return;
	if (!r->gateway || all->cnt > 16) {
		lose(r, all, "ports of workloads are not known to who comes to the gateway");
		return;
	}
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if (!sl_yaml_number(n, 1, 65535, &port)) {
			lose(r, all, "is no port");
			return;
		}
		sl_out_number(&r->im->m, list, NULL, port);
	}
	if (list->first)
		sl_out_attach(r->out, list);
}

/* ---- headers ---- */

static const char *
regex_of(struct sl_import *im, const char *text)
{
	size_t n = strlen(text), star = n && text[n - 1] == '*', first = *text == '*';

	if (n == 1 && first)
		return ".+";
	return sl_memory_print(
		&im->m, "%s%s%s", first ? ".*" : "",
		sl_words_escape(&im->m, sl_memory_copy(&im->m, text + first, n - first - star)),
		star ? ".*" : "");
}

/* One value, as a condition's own keys have it. */
static void
put_value(struct sl_import *im, struct sl_out *c, const char *text)
{
	size_t n = strlen(text);

	if (strcmp(text, "*") == 0)
		sl_out_bool(&im->m, c, "present", true);
	else if (*text == '*')
		sl_out_text(&im->m, c, "suffix", text + 1);
	else if (n && text[n - 1] == '*')
		sl_out_text(&im->m, c, "prefix", sl_memory_copy(&im->m, text, n - 1));
	else
		sl_out_text(&im->m, c, "exact", text);
}

static void
put_header(struct rule *r, const char *name, struct sl_yaml *all, bool invert)
{
	struct sl_import *im = r->im;
	const char *regex = NULL;

	if (!has_values(r, all))
		return;
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		if (has_stars_within(n->text) || sl_value_plain(n->text) ||
		    strlen(n->text) > 1000) {
			lose(r, all, "has a value that rules cannot have");
			return;
		}
		const char *one = regex_of(im, n->text);
		regex = regex ? sl_memory_print(&im->m, "%s|%s", regex, one) : one;
		if (!invert && all->cnt > 1)
			continue;
		struct sl_out *c =
			sl_out_group(&im->m, sl_out_in_list(&im->m, r->out, "headers"), NULL);
		sl_out_text(&im->m, c, "name", name);
		put_value(im, c, n->text);
		if (invert)
			sl_out_bool(&im->m, c, "invert", true);
	}
	if (invert || all->cnt == 1)
		return;
	if (strlen(regex) > 4096) {
		lose(r, all, "has more values than rules can have");
		return;
	}
	struct sl_out *c = sl_out_group(&im->m, sl_out_in_list(&im->m, r->out, "headers"), NULL);
	sl_out_text(&im->m, c, "name", name);
	sl_out_text(&im->m, c, "regex", regex);
}

/* ---- claims ---- */

static const char no_claims[] = "no issuer comes over, so claims are not known";

static void
lose_principals(struct rule *r, struct sl_yaml *all)
{
	if (has_values(r, all))
		lose(r, all, no_claims);
}

/* ---- from, to, when ---- */

static const struct {
	const char *field, *key;
} source_fields[] =
	{
		{"principals", "identities"},
		{"notPrincipals", "not_identities"},
		{"namespaces", "namespaces"},
		{"notNamespaces", "not_namespaces"},
		{"serviceAccounts", "service_accounts"},
		{"notServiceAccounts", "not_service_accounts"},
		{"ipBlocks", "addresses"},
		{"notIpBlocks", "not_addresses"},
		{"remoteIpBlocks", "remote_addresses"},
		{"notRemoteIpBlocks", "not_remote_addresses"},
},
  operation_fields[] = {
	  {"hosts", "hosts"},     {"notHosts", "not_hosts"},
	  {"methods", "methods"}, {"notMethods", "not_methods"},
	  {"paths", "paths"},     {"notPaths", "not_paths"},
};

static void
put_source(struct rule *r, struct sl_yaml *source)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(source_fields); i++)
		put_texts(r, source_fields[i].key, sl_yaml_get(source, source_fields[i].field));
	lose_principals(r, sl_yaml_get(source, "requestPrincipals"));
	lose_principals(r, sl_yaml_get(source, "notRequestPrincipals"));
}

static void
put_operation(struct rule *r, struct sl_yaml *operation)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(operation_fields); i++)
		put_texts(r, operation_fields[i].key,
			  sl_yaml_get(operation, operation_fields[i].field));
	put_ports(r, "ports", sl_yaml_get(operation, "ports"));
	put_ports(r, "not_ports", sl_yaml_get(operation, "notPorts"));
}

/* "request.headers[x-y]" of the stem "request.headers": x-y; NULL: another. */
static const char *
bracketed(struct sl_import *im, const char *key, const char *stem)
{
	size_t n = strlen(stem), len = strlen(key);

	if (strncmp(key, stem, n) || key[n] != '[' || len < n + 3 || key[len - 1] != ']' ||
	    strpbrk(key + n + 1, "[") || strchr(key + n, ']') != key + len - 1)
		return NULL;
	return sl_memory_copy(&im->m, key + n + 1, len - n - 2);
}

static bool
asks_nothing(const struct sl_yaml *all)
{
	return !all || (all->type == SL_YAML_LIST && !all->first);
}

static void
put_when(struct rule *r, struct sl_yaml *when)
{
	static const struct {
		const char *key, *yes, *no;
	} texts[] = {
		{"source.ip", "addresses", "not_addresses"},
		{"remote.ip", "remote_addresses", "not_remote_addresses"},
		{"source.namespace", "namespaces", "not_namespaces"},
		{"source.principal", "identities", "not_identities"},
		{"source.serviceAccount", "service_accounts", "not_service_accounts"},
		{"connection.sni", "server_names", "not_server_names"},
	};
	struct sl_yaml *values = sl_yaml_get(when, "values"),
		       *not_values = sl_yaml_get(when, "notValues");
	const char *key = sl_yaml_get_text(when, "key"), *name;

	key = key ? key : "";
	if (asks_nothing(values) && asks_nothing(not_values)) {
		lose(r, when, "asks for no value");
		return;
	}
	for (size_t i = 0; i < SL_ARRAY_CNT(texts); i++) {
		if (strcmp(key, texts[i].key) != 0)
			continue;
		put_texts(r, texts[i].yes, values);
		put_texts(r, texts[i].no, not_values);
		return;
	}
	if (strcmp(key, "destination.port") == 0) {
		put_ports(r, "ports", values);
		put_ports(r, "not_ports", not_values);
	} else if (strncmp(key, "request.auth.", 13) == 0) {
		lose(r, when, no_claims);
	} else if ((name = bracketed(r->im, key, "request.headers")) && !sl_value_token(name) &&
		   strcasecmp(name, "host")) {
		put_header(r, name, values, false);
		put_header(r, name, not_values, true);
	} else {
		lose(r, when, "is of nothing that rules know");
	}
}

/* ---- rules ---- */

static const char *
action_of(const struct sl_object *policy)
{
	const char *action = sl_yaml_peek_text(policy->spec, "action");

	return action ? action : "ALLOW";
}

/* One source and one operation (NULL: any) of a rule. */
static void
put_rule(struct rule *r, struct sl_out *rules, struct sl_yaml *rule, struct sl_yaml *source,
	 struct sl_yaml *operation)
{
	struct sl_import *im = r->im;
	struct sl_yaml *when = sl_yaml_get(rule, "when");
	const char *action = action_of(r->policy);

	r->lost = false;
	r->out = sl_out_group(&im->m, NULL, NULL);
	sl_out_text(
		&im->m, r->out, "name",
		sl_import_distinct(im, rules,
				   sl_memory_print(&im->m, "%s-%u", r->policy->name, rule->index)));
	sl_out_text(&im->m, r->out, "action",
		    !strcmp(action, "DENY")    ? "deny"
		    : !strcmp(action, "AUDIT") ? "audit"
					       : "allow");
	sl_import_from(im, r->out, rule);
	if (source)
		put_source(r, source);
	if (operation)
		put_operation(r, operation);
	for (struct sl_yaml *w = sl_yaml_each(when, NULL); w; w = sl_yaml_each(when, w))
		put_when(r, w);
	if (!r->lost)
		sl_out_attach(rules, r->out);
}

static void
put_rules(struct rule *r, struct sl_out *rules, struct sl_yaml *rule)
{
	struct sl_yaml *from = sl_yaml_get(rule, "from"), *to = sl_yaml_get(rule, "to");
	struct sl_yaml *f = sl_yaml_each(from, NULL);

	do {
		struct sl_yaml *t = sl_yaml_each(to, NULL);
		do {
			put_rule(r, rules, rule, f ? sl_yaml_get(f, "source") : NULL,
				 t ? sl_yaml_get(t, "operation") : NULL);
			t = t ? sl_yaml_each(to, t) : NULL;
		} while (t);
		f = f ? sl_yaml_each(from, f) : NULL;
	} while (f);
}

/* ---- whose policy ---- */

enum fit { OTHERS, PERHAPS, OWN };

/* Who is known to have these labels, and may have more, as one of whom those of want are asked for. */
static enum fit
labels_fit(const struct sl_yaml *want, const struct sl_yaml *labels)
{
	enum fit fit = OWN;

	for (const struct sl_yaml *n = want ? want->first : NULL; n; n = n->next) {
		const char *is = n->key ? sl_yaml_peek_text(labels, n->key) : NULL;
		if (is && strcmp(is, n->text))
			return OTHERS;
		if (!is)
			fit = PERHAPS;
	}
	return fit;
}

static const struct sl_yaml *
labels_of(const struct sl_object *policy)
{
	return sl_yaml_peek(sl_yaml_peek(policy->spec, "selector"), "matchLabels");
}

static bool
targets(const struct sl_object *policy, const char *kind, const struct sl_object *o)
{
	const struct sl_yaml *one = sl_yaml_peek(policy->spec, "targetRef"),
			     *list = sl_yaml_peek(policy->spec, "targetRefs");

	for (const struct sl_yaml *n = one    ? one
				       : list ? list->first
					      : NULL;
	     n; n = one ? NULL : n->next) {
		const char *is = sl_yaml_peek_text(n, "kind"), *name = sl_yaml_peek_text(n, "name");
		if (is && name && o && !strcmp(is, kind) && !strcmp(name, o->name))
			return true;
	}
	return false;
}

static bool
has_target(const struct sl_object *policy)
{
	return sl_yaml_peek(policy->spec, "targetRef") || sl_yaml_peek(policy->spec, "targetRefs");
}

/* labels: of the workload's pods, as far as they are known; NULL: none is. */
static enum fit
applies(const struct sl_object *policy, const char *kind, const struct sl_object *o,
	const char *space, const struct sl_yaml *labels)
{
	if (strcmp(policy->space, ROOT_SPACE) && strcmp(policy->space, space))
		return OTHERS;
	if (has_target(policy))
		return targets(policy, kind, o) ? OWN : OTHERS;
	return labels_fit(labels_of(policy), labels);
}

static bool
applies_to_gateway(const struct sl_object *policy, const struct sl_object *gateway)
{
	return applies(policy, "Gateway", gateway, gateway->space,
		       sl_yaml_peek(gateway->spec, "selector")) == OWN;
}

/* Whether all whom the policy selects are workloads of a Gateway. */
static bool
selects_gateway(const struct sl_import *im, const struct sl_object *policy)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "Gateway"))) {
		const struct sl_yaml *selector = sl_yaml_peek(o->spec, "selector");
		if (selector && selector->first && labels_fit(selector, labels_of(policy)) == OWN)
			return true;
	}
	return false;
}

static enum fit
fit_of(struct sl_import *im, const struct sl_object *policy, const struct sl_backend *b)
{
	const char *dot = strchr(b->host, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;

	if (b->service)
		return applies(policy, "Service", b->service, b->service->space,
			       sl_yaml_peek(b->service->spec, "selector"));
	if (b->entry) { /* nothing stands before what is outside of the mesh, unless a policy names it */
		const char *where = sl_yaml_peek_text(b->entry->spec, "location");
		if (!has_target(policy) && (!where || strcmp(where, "MESH_INTERNAL")))
			return OTHERS;
		return applies(policy, "ServiceEntry", b->entry, b->entry->space, NULL);
	}
	if (!end || strcmp(end, SL_CLUSTER))
		return OTHERS;
	return applies(policy, "Service", NULL,
		       sl_memory_copy(&im->m, dot + 1, (size_t)(end - dot - 1)), NULL);
}

/* Pods have more labels than their Service asks for: what denies is held against who may have them, what allows is not. */
static enum fit
applies_to_service(struct sl_import *im, const struct sl_object *policy, const struct sl_backend *b)
{
	enum fit fit = fit_of(im, policy, b);

	if (fit != PERHAPS)
		return fit;
	return strcmp(action_of(policy), "ALLOW") && !selects_gateway(im, policy) ? PERHAPS
										  : OTHERS;
}

/* ---- sets ---- */

#define MOST 256
struct selection {
	const struct sl_object *policy[MOST];
	unsigned cnt;
	bool gateway, full; /* full: there are more */
};

static bool
is_read(const struct sl_object *policy)
{
	const char *action = action_of(policy);

	return !strcmp(action, "ALLOW") || !strcmp(action, "DENY") || !strcmp(action, "AUDIT");
}

static void
select_policy(struct selection *s, const struct sl_object *policy)
{
	for (unsigned i = 0; i < s->cnt; i++)
		if (s->policy[i] == policy)
			return;
	if (s->cnt < MOST)
		s->policy[s->cnt++] = policy;
	else
		s->full = true;
}

/* "shop/deny-admins+shop/readers": what the set is known by. */
static const char *
title_of(struct sl_import *im, const struct selection *s)
{
	const char *title = "";

	for (unsigned i = 0; i < s->cnt; i++)
		title = sl_memory_print(&im->m, "%s%s%s.%s", title, *title ? "_" : "",
					s->policy[i]->name, s->policy[i]->space);
	return s->gateway ? sl_memory_print(&im->m, "%s_gateway", title) : title;
}

static struct sl_out *
set_named(const struct sl_import *im, const char *name)
{
	struct sl_out *sets = sl_out_find(&im->root, "authorization");

	for (struct sl_out *o = sets ? sets->first : NULL; o; o = o->next)
		if (strcmp(sl_out_find(o, "name")->text, name) == 0)
			return o;
	return NULL;
}

static struct sl_out *
make_set(struct sl_import *im, const char *name, bool allows)
{
	struct sl_out *set =
		sl_out_group(&im->m, sl_out_in_list(&im->m, &im->root, "authorization"), NULL);

	sl_out_text(&im->m, set, "name", name);
	sl_out_text(&im->m, set, "default", allows ? "deny" : "allow");
	sl_out_list(&im->m, set, "rules");
	return set;
}

/* The set of the selection, made when it is not there; its name. */
static const char *
set_of(struct sl_import *im, const struct selection *s)
{
	const char *name = sl_words_name(&im->m, title_of(im, s));
	bool allows = false;

	if (set_named(im, name))
		return name;
	for (unsigned i = 0; i < s->cnt; i++)
		allows = allows || !strcmp(action_of(s->policy[i]), "ALLOW");
	struct sl_out *set = make_set(im, name, allows), *rules = sl_out_find(set, "rules");
	for (unsigned i = 0; i < s->cnt; i++) {
		struct rule r = {.im = im, .policy = s->policy[i], .gateway = s->gateway};
		struct sl_yaml *list = sl_yaml_get(s->policy[i]->spec, "rules");
		r.denies = strcmp(action_of(s->policy[i]), "ALLOW") != 0;
		sl_import_from(im, set, s->policy[i]->root);
		for (struct sl_yaml *n = sl_yaml_each(list, NULL); n; n = sl_yaml_each(list, n))
			put_rules(&r, rules, n);
	}
	return name;
}

/* A set that allows nothing, in place of those that cannot be had; titles have a dot, so none is called so. */
static void
deny_all(struct sl_import *im, const struct sl_out *at, struct sl_out *list,
	 const struct selection *s, const char *why)
{
	static const char name[] = "nobody";

	if (!set_named(im, name))
		make_set(im, name, true);
	list->first = list->last = NULL;
	list->cnt = 0;
	sl_out_text(&im->m, list, NULL, name);
	sl_left_changed(&im->left, s->policy[0]->root,
			"%s come together at \"%s\": nobody passes there", why,
			sl_out_find(at, "name")->text);
}

/* A route or table goes by the selection, too.  false: nobody passes, whatever the others are. */
static bool
go_by(struct sl_import *im, struct sl_out *at, const struct selection *s, unsigned most)
{
	if (s->cnt == 0)
		return true;
	struct sl_out *policy = sl_out_in_group(&im->m, at, "policy"),
		      *list = sl_out_in_list(&im->m, policy, "authorization");
	if (s->full) {
		deny_all(im, at, list, s, "more than 256 policies");
		return false;
	}
	const char *name = set_of(im, s);
	for (const struct sl_out *o = list->first; o; o = o->next)
		if (strcmp(o->text, name) == 0)
			return true;
	if (list->cnt < most) {
		sl_out_text(&im->m, list, NULL, name);
		return true;
	}
	deny_all(im, at, list, s, "more than 8 sets of rules");
	return false;
}

/* ---- who goes by them ---- */

static struct sl_backend *
backend_named(const struct sl_import *im, const char *name)
{
	for (struct sl_backend *b = im->backends; b; b = b->next)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}

/* Each service judges by its own policies. */
static bool
goes_to(struct sl_import *im, struct sl_out *route, const char *service, unsigned most)
{
	struct sl_backend *b = backend_named(im, service);
	struct selection s = {.cnt = 0};
	struct sl_object *o = NULL;

	while (b && (o = sl_objects_next(&im->objects, o, "AuthorizationPolicy"))) {
		enum fit fit = is_read(o) ? applies_to_service(im, o, b) : OTHERS;
		if (fit == OTHERS)
			continue;
		select_policy(&s, o);
		if (fit == PERHAPS)
			sl_left_changed(
				&im->left, sl_yaml_peek(o->spec, "selector"),
				"who serves %s may have these labels, which the files do not "
				"say: the policy is held against all of it",
				b->host);
	}
	return go_by(im, route, &s, most);
}

/* of_table: sets that each of the table's routes goes by. */
static void
route_goes_by(struct sl_import *im, struct sl_out *route, unsigned of_table)
{
	struct sl_out *service = sl_out_find(route, "service"),
		      *split = sl_out_find(route, "split"), *t = split ? split->first : NULL;
	unsigned most = SL_MAX_ROUTE_REFS - of_table;

	if (service)
		goes_to(im, route, service->text, most);
	while (t && goes_to(im, route, sl_out_find(t, "service")->text, most))
		t = t->next;
}

static bool
goes_through(struct sl_import *im, struct sl_out *table, const struct sl_object *gateway)
{
	struct selection s = {.gateway = true};
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "AuthorizationPolicy")))
		if (is_read(o) && applies_to_gateway(o, gateway))
			select_policy(&s, o);
	return go_by(im, table, &s, SL_MAX_ROUTE_REFS - 1); /* and one of a route's */
}

/* How many sets the table has. */
static unsigned
table_goes_by(struct sl_import *im, struct sl_bind *b)
{
	struct sl_out *table = im->tables->first;

	while (table && sl_out_find(table, "hosts") != b->hosts)
		table = table->next;
	for (struct sl_bind_server *v = table ? b->servers : NULL; v; v = v->next)
		if (v->gateway && !goes_through(im, table, v->gateway))
			break;
	struct sl_out *policy = table ? sl_out_find(table, "policy") : NULL,
		      *list = policy ? sl_out_find(policy, "authorization") : NULL;
	return list ? list->cnt : 0;
}

static void
use_scope(struct sl_object *o)
{
	static const char *const scope[] = {"selector", "targetRef", "targetRefs"};

	sl_yaml_get(o->spec, "action");
	for (size_t i = 0; i < SL_ARRAY_CNT(scope); i++)
		if (sl_yaml_peek(o->spec, scope[i]))
			sl_yaml_use(sl_yaml_peek(o->spec, scope[i]));
}

/* Connections of modes tcp and tls-passthrough are told, not judged. */
static void
tell_streams(struct sl_import *im, struct sl_object *o)
{
	for (struct sl_backend *b = im->backends; b; b = b->next)
		if (b->tcp && applies_to_service(im, o, b) != OTHERS)
			sl_left_changed(
				&im->left, o->root,
				"is not held against connections to %s: requests alone are judged",
				b->name);
}

void
sl_istio_authorize(struct sl_import *im, struct sl_bind *binds)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "AuthorizationPolicy"))) {
		use_scope(o);
		if (!is_read(o))
			sl_left_out(&im->left, o->root,
				    "nobody else is asked, so requests pass: its action is none of "
				    "ALLOW, DENY and "
				    "AUDIT");
		else
			tell_streams(im, o);
	}
	for (struct sl_bind *b = binds; b; b = b->next) {
		if (b->mode != SL_BIND_HTTP)
			continue;
		unsigned of_table = table_goes_by(im, b);
		for (struct sl_out *v = b->hosts->first; v; v = v->next) {
			struct sl_out *routes = sl_out_find(v, "routes");
			for (struct sl_out *r = routes->first; r; r = r->next)
				route_goes_by(im, r, of_table);
		}
	}
	while ((o = sl_objects_next(&im->objects, o, "AuthorizationPolicy"))) {
		struct sl_yaml *rules = sl_yaml_peek(o->spec, "rules");
		if (rules && !rules->used && is_read(o))
			sl_left_out(&im->left, o->root,
				    "no route or listener in the files is of what it is for");
	}
}
