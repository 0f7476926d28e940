/* AuthorizationPolicy → sets of rules, and who goes by them.
 *
 * Policies of one workload are one set, because one ALLOW that holds is enough (sets of a table each have to allow): for every
 * selection of policies that some route or listener goes by, a set is made.  A policy of a Gateway's workload goes to its route tables,
 * one of a service's to the routes that lead there.
 *
 * What of a rule cannot be said denies more, never less: a condition of DENY is left out alone, an ALLOW with its rule.
 */
#include "mgmt/import_istio.h"

#include "l7/path.h"
#include "mgmt/conf_value.h"

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
		return text[0] == '/';
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

/* Values of a field, of which one has to hold (not_…: none). */
static void
put_texts(struct rule *r, const char *key, struct sl_yaml *all)
{
	struct sl_out *list;
	const char *text;

	if (!all)
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

	if (!all)
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

/* ---- headers, claims ---- */

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
put_named(struct rule *r, const char *list, const char *name, struct sl_yaml *all, bool invert)
{
	struct sl_import *im = r->im;
	const char *regex = NULL;

	if (!all || !all->first)
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
		struct sl_out *c = sl_out_group(&im->m, sl_out_in_list(&im->m, r->out, list), NULL);
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
	struct sl_out *c = sl_out_group(&im->m, sl_out_in_list(&im->m, r->out, list), NULL);
	sl_out_text(&im->m, c, "name", name);
	sl_out_text(&im->m, c, "regex", regex);
}

/* "ISSUER/SUBJECT": the last slash parts them. */
static void
put_request_principals(struct rule *r, struct sl_yaml *all, bool invert)
{
	struct sl_import *im = r->im;

	if (!all)
		return;
	struct sl_yaml *one = sl_yaml_each(all, NULL);
	const char *slash = one ? strrchr(one->text, '/') : NULL;
	if (one && all->cnt == 1 && strcmp(one->text, "*") == 0) {
		struct sl_out *c =
			sl_out_group(&im->m, sl_out_in_list(&im->m, r->out, "claims"), NULL);
		sl_out_text(&im->m, c, "name", "iss");
		sl_out_bool(&im->m, c, "present", true);
		if (invert)
			sl_out_bool(&im->m, c, "invert", true);
		return;
	}
	if (!one || all->cnt != 1 || invert || !slash || slash == one->text || !slash[1] ||
	    strchr(one->text, '*')) {
		lose(r, all, "rules know one issuer and subject, or any");
		return;
	}
	struct sl_out *list = sl_out_in_list(&im->m, r->out, "claims");
	struct sl_out *iss = sl_out_group(&im->m, list, NULL),
		      *sub = sl_out_group(&im->m, list, NULL);
	sl_out_text(&im->m, iss, "name", "iss");
	sl_out_text(&im->m, iss, "exact",
		    sl_memory_copy(&im->m, one->text, (size_t)(slash - one->text)));
	sl_out_text(&im->m, sub, "name", "sub");
	sl_out_text(&im->m, sub, "exact", slash + 1);
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
	put_request_principals(r, sl_yaml_get(source, "requestPrincipals"), false);
	put_request_principals(r, sl_yaml_get(source, "notRequestPrincipals"), true);
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
	} else if (strcmp(key, "request.auth.principal") == 0) {
		put_request_principals(r, values, false);
		put_request_principals(r, not_values, true);
	} else if ((name = bracketed(r->im, key, "request.headers")) && !sl_value_token(name) &&
		   strcasecmp(name, "host")) {
		put_named(r, "headers", name, values, false);
		put_named(r, "headers", name, not_values, true);
	} else if ((name = !strcmp(key, "request.auth.audiences") ? "aud"
			   : !strcmp(key, "request.auth.presenter")
				   ? "azp"
				   : bracketed(r->im, key, "request.auth.claims")) &&
		   !sl_value_plain(name)) {
		put_named(r, "claims", name, values, false);
		put_named(r, "claims", name, not_values, true);
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

/* Whether each label of want is among those of the other map. */
static bool
labels_within(const struct sl_yaml *want, const struct sl_yaml *labels)
{
	for (const struct sl_yaml *n = want ? want->first : NULL; n; n = n->next) {
		const char *is = n->key ? sl_yaml_peek_text(labels, n->key) : NULL;
		if (!is || strcmp(is, n->text))
			return false;
	}
	return true;
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
static bool
applies(const struct sl_object *policy, const char *kind, const struct sl_object *o,
	const char *space, const struct sl_yaml *labels)
{
	const struct sl_yaml *want =
		sl_yaml_peek(sl_yaml_peek(policy->spec, "selector"), "matchLabels");

	if (strcmp(policy->space, ROOT_SPACE) && strcmp(policy->space, space))
		return false;
	if (has_target(policy))
		return targets(policy, kind, o);
	return labels_within(want, labels);
}

static bool
applies_to_gateway(const struct sl_object *policy, const struct sl_object *gateway)
{
	return applies(policy, "Gateway", gateway, gateway->space,
		       sl_yaml_peek(gateway->spec, "selector"));
}

static bool
applies_to_service(const struct sl_object *policy, const struct sl_backend *b)
{
	const char *dot = strchr(b->host, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;

	if (b->service)
		return applies(policy, "Service", b->service, b->service->space,
			       sl_yaml_peek(b->service->spec, "selector"));
	if (b->entry) { /* nothing stands before what is outside of the mesh, unless a policy names it */
		const char *where = sl_yaml_peek_text(b->entry->spec, "location");
		return (has_target(policy) || (where && !strcmp(where, "MESH_INTERNAL"))) &&
		       applies(policy, "ServiceEntry", b->entry, b->entry->space, NULL);
	}
	if (!end || strcmp(end, SL_CLUSTER))
		return false;
	size_t n = (size_t)(end - dot - 1);
	return !has_target(policy) && !sl_yaml_peek(policy->spec, "selector") &&
	       (!strcmp(policy->space, ROOT_SPACE) ||
		(strlen(policy->space) == n && !strncmp(policy->space, dot + 1, n)));
}

/* ---- sets ---- */

#define MOST 256
struct selection {
	const struct sl_object *policy[MOST];
	unsigned cnt;
	bool gateway;
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

/* The set of the selection, made when it is not there; its name. */
static const char *
set_of(struct sl_import *im, const struct selection *s)
{
	const char *name = sl_words_name(&im->m, title_of(im, s));
	struct sl_out *sets = sl_out_in_list(&im->m, &im->root, "authorization");
	bool allows = false;

	for (struct sl_out *o = sets->first; o; o = o->next)
		if (strcmp(sl_out_find(o, "name")->text, name) == 0)
			return name;
	struct sl_out *set = sl_out_group(&im->m, sets, NULL);
	sl_out_text(&im->m, set, "name", name);
	for (unsigned i = 0; i < s->cnt; i++)
		allows = allows || !strcmp(action_of(s->policy[i]), "ALLOW");
	sl_out_text(&im->m, set, "default", allows ? "deny" : "allow");
	struct sl_out *rules = sl_out_list(&im->m, set, "rules");
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

static void
go_by(struct sl_import *im, struct sl_out *at, const struct selection *s)
{
	if (s->cnt == 0)
		return;
	struct sl_out *policy = sl_out_in_group(&im->m, at, "policy");
	sl_out_text(&im->m, sl_out_in_list(&im->m, policy, "authorization"), NULL, set_of(im, s));
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

static void
add_service(const struct sl_import *im, struct selection *s, const char *service)
{
	struct sl_backend *b = backend_named(im, service);
	struct sl_object *o = NULL;

	while (b && (o = sl_objects_next(&im->objects, o, "AuthorizationPolicy")))
		if (is_read(o) && applies_to_service(o, b))
			select_policy(s, o);
}

static void
route_goes_by(struct sl_import *im, struct sl_out *route)
{
	struct sl_out *service = sl_out_find(route, "service"),
		      *split = sl_out_find(route, "split");
	struct selection s = {.cnt = 0};

	if (service)
		add_service(im, &s, service->text);
	for (struct sl_out *t = split ? split->first : NULL; t; t = t->next)
		add_service(im, &s, sl_out_find(t, "service")->text);
	go_by(im, route, &s);
}

static void
table_goes_by(struct sl_import *im, struct sl_bind *b)
{
	struct selection s = {.gateway = true};
	struct sl_object *o = NULL;
	struct sl_out *table = im->tables->first;

	while (table && sl_out_find(table, "hosts") != b->hosts)
		table = table->next;
	while ((o = sl_objects_next(&im->objects, o, "AuthorizationPolicy")))
		for (struct sl_bind_server *v = b->servers; v; v = v->next)
			if (is_read(o) && v->gateway && applies_to_gateway(o, v->gateway))
				select_policy(&s, o);
	if (table)
		go_by(im, table, &s);
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
		if (b->tcp && applies_to_service(o, b))
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
		table_goes_by(im, b);
		for (struct sl_out *v = b->hosts->first; v; v = v->next) {
			struct sl_out *routes = sl_out_find(v, "routes");
			for (struct sl_out *r = routes->first; r; r = r->next)
				route_goes_by(im, r);
		}
	}
	while ((o = sl_objects_next(&im->objects, o, "AuthorizationPolicy"))) {
		struct sl_yaml *rules = sl_yaml_peek(o->spec, "rules");
		if (rules && !rules->used && is_read(o))
			sl_left_out(&im->left, o->root,
				    "no route or listener in the files is of what it is for");
	}
}
