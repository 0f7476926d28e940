/* AuthorizationPolicies → sets of rules (import_istio_rule.c), and who goes by them.
 *
 * Policies of one workload are one set, because one ALLOW that holds is enough; sets of several workloads each have to allow: for
 * every selection of policies that some route or listener goes by, a set is made.  A policy of a Gateway's workload goes to its route
 * tables, one of a service's to the routes that lead there.
 */
#include "mgmt/import_istio.h"

#include "sluice/image_policy.h"

#include <string.h>

#define ROOT_SPACE "istio-system"

/* ---- whose policy ---- */

const char *
sl_istio_action(const struct sl_object *policy)
{
	const char *action = sl_yaml_peek_text(policy->spec, "action");

	return action ? action : "ALLOW";
}

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
	return strcmp(sl_istio_action(policy), "ALLOW") && !selects_gateway(im, policy) ? PERHAPS
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
	const char *action = sl_istio_action(policy);

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
		allows = allows || !strcmp(sl_istio_action(s->policy[i]), "ALLOW");
	struct sl_out *set = make_set(im, name, allows), *rules = sl_out_find(set, "rules");
	for (unsigned i = 0; i < s->cnt; i++) {
		sl_import_from(im, set, s->policy[i]->root);
		sl_istio_rules(im, s->policy[i], s->gateway, rules);
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
