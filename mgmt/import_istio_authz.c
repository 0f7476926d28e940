/* AuthorizationPolicies → sets of rules (import_istio_rule.c), and who goes by them.
 *
 * Policies of one workload are one set, because one ALLOW that holds is enough; sets of several workloads each have to allow: for
 * every selection of policies that some route or listener goes by, a set is made.  A policy of a Gateway's workload goes to its route
 * tables, one of a service's to the routes that lead there.  A listener of connections has one set: of more, nobody passes.
 *
 * A policy that is perhaps of a service denies all the same, and what it allows is a set of its own, so that it opens nothing.
 */
#include "mgmt/import_istio.h"

#include "sluice/image_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- whose policy ---- */

const char *
sl_istio_action(const struct sl_object *policy)
{
	const char *action = sl_yaml_peek_text(policy->spec, "action");

	return action ? action : "ALLOW";
}

/* ---- sets ---- */

#define MOST 256
struct selection {
	const struct sl_object *policy[MOST];
	unsigned cnt;
	struct sl_asked asked;
	bool full; /* there are more */
};

/* A set that was made. */
struct made {
	const char *title, *key, *name, *text;
	struct made *next;
};

struct authz {
	struct sl_istio *is;
	struct sl_import *im;
	struct made *sets;
};

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

/* "deny-admins.shop_readers.shop": what the set is known by. */
static const char *
title_of(struct sl_import *im, const struct selection *s)
{
	const char *title = "";

	for (unsigned i = 0; i < s->cnt; i++)
		title = sl_memory_print(&im->m, "%s%s%s.%s", title, *title ? "_" : "",
					s->policy[i]->name, s->policy[i]->space);
	return s->asked.gateway  ? sl_memory_print(&im->m, "%s_gateway", title)
	       : s->asked.stream ? sl_memory_print(&im->m, "%s_connections", title)
				 : title;
}

/* What rules of one title may differ by. */
static const char *
key_of(struct sl_import *im, const struct selection *s)
{
	const struct sl_asked *a = &s->asked;
	const char *key = sl_memory_print(&im->m, "%d%d%d", a->stream, a->identity, a->claims);

	for (unsigned i = 0; i < a->issuers.cnt; i++)
		key = sl_memory_print(&im->m, "%s %s", key, a->issuers.of[i]->name);
	return key;
}

static struct sl_out *
new_set(struct sl_import *im, bool allows)
{
	struct sl_out *set = sl_out_group(&im->m, NULL, NULL);

	sl_out_text(&im->m, set, "name", "");
	sl_out_text(&im->m, set, "default", allows ? "deny" : "allow");
	sl_out_list(&im->m, set, "rules");
	return set;
}

static const char *
text_of(struct sl_import *im, const struct sl_out *set)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		abort();
	sl_out_write(set, f);
	if (fclose(f))
		abort();
	const char *copy = sl_memory_copy(&im->m, text, len);
	free(text);
	return copy;
}

static struct sl_out *
fill_set(struct sl_import *im, const struct selection *s)
{
	bool allows = false;

	for (unsigned i = 0; i < s->cnt; i++)
		allows = allows || !strcmp(sl_istio_action(s->policy[i]), "ALLOW");
	struct sl_out *set = new_set(im, allows);
	for (unsigned i = 0; i < s->cnt; i++) {
		sl_import_from(im, set, s->policy[i]->root);
		sl_istio_rules(im, s->policy[i], &s->asked, sl_out_find(set, "rules"));
	}
	return set;
}

/* The set of the selection, made when none is like it; its name. */
static const char *
set_of(struct authz *a, const struct selection *s)
{
	struct sl_import *im = a->im;
	const char *title = title_of(im, s), *key = key_of(im, s), *name = NULL;
	struct sl_out *all = sl_out_in_list(&im->m, &im->root, "authorization");

	for (const struct made *m = a->sets; m; m = m->next)
		if (strcmp(m->title, title) == 0 && strcmp(m->key, key) == 0)
			return m->name;
	struct sl_out *set = fill_set(im, s);
	if (sl_out_find(set, "rules")->cnt > SL_ISTIO_RULES) {
		sl_left_denied(&im->left, s->policy[0]->root,
			       "with those of one workload it comes to more than %d rules: nobody "
			       "passes there",
			       SL_ISTIO_RULES);
		set = new_set(im, true);
	}
	const char *text = text_of(im, set);
	for (const struct made *m = a->sets; m && !name; m = m->next)
		if (strcmp(m->title, title) == 0 && strcmp(m->text, text) == 0)
			name = m->name;
	if (!name) {
		name = sl_import_distinct(im, all, title);
		sl_out_find(set, "name")->text = name;
		sl_out_attach(all, set);
	}
	struct made *m = sl_memory_take(&im->m, sizeof(*m));
	*m = (struct made){title, key, name, text, a->sets};
	a->sets = m;
	return name;
}

/* ---- nobody ---- */

static const char nobody[] = "nobody"; /* titles have a dot, so none is called so */

static bool
is_denied(const struct sl_out *list)
{
	return list->first && strcmp(list->first->text, nobody) == 0;
}

static bool
is_passed_on(const struct sl_out *at)
{
	const struct sl_out *mode = sl_out_find(at, "mode");

	return mode && strcmp(mode->text, "tcp");
}

void
sl_istio_deny(struct sl_import *im, struct sl_out *at)
{
	if (is_passed_on(
		    at)) { /* connections that are not judged: their listener goes (import_istio.c, prune) */
		sl_out_remove(at, "service");
		sl_out_remove(at, "server_names");
		return;
	}
	struct sl_out *sets = sl_out_in_list(&im->m, &im->root, "authorization"), *o = sets->first;

	while (o && strcmp(sl_out_find(o, "name")->text, nobody))
		o = o->next;
	if (!o) {
		o = new_set(im, true);
		sl_out_find(o, "name")->text = nobody;
		sl_out_attach(sets, o);
	}
	if (sl_out_find(at, "mode")) {
		sl_import_set(im, at, "authorization", nobody);
		return;
	}
	struct sl_out *policy = sl_out_in_group(&im->m, at, "policy"),
		      *list = sl_out_in_list(&im->m, policy, "authorization");
	list->first = list->last = NULL;
	list->cnt = 0;
	sl_out_text(&im->m, list, NULL, nobody);
}

static void
deny_all(struct sl_import *im, struct sl_out *at, const struct selection *s, const char *why)
{
	sl_istio_deny(im, at);
	sl_left_denied(&im->left, s->policy[0]->root,
		       "%s come together at \"%s\": nobody passes there", why,
		       sl_out_find(at, "name")->text);
}

/* ---- who goes by them ---- */

/* A route or table goes by the selection, too.  false: nobody passes, whatever the others are. */
static bool
go_by(struct authz *a, struct sl_out *at, const struct selection *s, unsigned most)
{
	struct sl_import *im = a->im;

	if (s->cnt == 0)
		return true;
	struct sl_out *policy = sl_out_in_group(&im->m, at, "policy"),
		      *list = sl_out_in_list(&im->m, policy, "authorization");
	if (is_denied(list))
		return false;
	if (s->full) {
		deny_all(im, at, s, "more than 256 policies");
		return false;
	}
	const char *name = set_of(a, s);
	if (sl_out_has_text(list, name))
		return true;
	if (list->cnt < most) {
		sl_out_text(&im->m, list, NULL, name);
		return true;
	}
	deny_all(im, at, s, "more than 8 sets of rules and issuers");
	return false;
}

static bool
allows(const struct sl_object *policy)
{
	return strcmp(sl_istio_action(policy), "ALLOW") == 0;
}

/* Each service judges by its own policies; as does each policy that perhaps allows. */
static bool
goes_to(struct authz *a, struct sl_out *route, const char *service, unsigned most,
	const struct sl_asked *asked)
{
	struct sl_backend *b = sl_backend_named(a->im, service);
	struct selection s = {.asked = *asked};
	struct sl_object *o = NULL;

	if (!b)
		return true;
	s.asked.issuers = *sl_istio_issuers_of(a->is, b);
	s.asked.claims = asked->claims && !s.asked.issuers.perhaps;
	while ((o = sl_objects_next(&a->im->objects, o, "AuthorizationPolicy"))) {
		enum sl_scope fit = sl_scope_service(a->im, o, b);
		if (fit == SL_SCOPE_PERHAPS)
			sl_scope_tell(a->im, o, b);
		if (fit == SL_SCOPE_OWN || (fit == SL_SCOPE_PERHAPS && !allows(o)))
			select_policy(&s, o);
	}
	if (!go_by(a, route, &s, most))
		return false;
	while ((o = sl_objects_next(&a->im->objects, o, "AuthorizationPolicy"))) {
		if (!allows(o) || sl_scope_service(a->im, o, b) != SL_SCOPE_PERHAPS)
			continue;
		s.cnt = 0;
		select_policy(&s, o);
		if (!go_by(a, route, &s, most))
			return false;
	}
	return true;
}

/* How many issuers and sets it names. */
static unsigned
refs_of(const struct sl_out *at)
{
	static const char *const keys[] = {"jwt", "authorization"};
	const struct sl_out *policy = at ? sl_out_find(at, "policy") : NULL, *list;
	unsigned cnt = 0;

	for (size_t i = 0; policy && i < SL_ARRAY_CNT(keys); i++)
		if ((list = sl_out_find(policy, keys[i])))
			cnt += list->cnt;
	return cnt;
}

/* Whether clients are asked for certificates. */
static bool
asks_clients(const struct sl_bind *b)
{
	const struct sl_out *tls = sl_out_find(b->listener, "tls");

	return tls && sl_out_find(tls, "client");
}

static bool
strips(const struct sl_issuers *s)
{
	for (unsigned i = 0; i < s->cnt; i++)
		if (s->of[i]->strips)
			return true;
	return false;
}

/* of_table: sets and issuers that each of the table's routes goes by. */
static void
route_goes_by(struct authz *a, struct sl_bind *b, struct sl_out *route, unsigned of_table)
{
	struct sl_out *service = sl_out_find(route, "service"),
		      *split = sl_out_find(route, "split"), *t = split ? split->first : NULL;
	const struct sl_asked asked = {.identity = asks_clients(b),
				       .claims = !strips(sl_istio_issuers_at(a->is, b))};
	struct sl_out *policy = sl_out_find(route, "policy"),
		      *jwt = policy ? sl_out_find(policy, "jwt") : NULL;
	unsigned taken = of_table + (jwt ? jwt->cnt : 0),
		 most = taken < SL_MAX_ROUTE_REFS ? SL_MAX_ROUTE_REFS - taken : 0;

	if (service)
		goes_to(a, route, service->text, most, &asked);
	while (t && goes_to(a, route, sl_out_find(t, "service")->text, most, &asked))
		t = t->next;
}

static bool
goes_through(struct authz *a, struct sl_out *at, struct sl_bind *b, const struct sl_object *gateway)
{
	struct selection s = {.asked = {.gateway = true, .identity = true, .claims = true}};
	struct sl_out *policy = sl_out_find(at, "policy"),
		      *jwt = policy ? sl_out_find(policy, "jwt") : NULL;
	struct sl_object *o = NULL;

	s.asked.issuers = *sl_istio_issuers_at(a->is, b);
	while ((o = sl_objects_next(&a->im->objects, o, "AuthorizationPolicy")))
		if (sl_scope_gateway(o, gateway))
			select_policy(&s, o);
	return go_by(a, at, &s,
		     SL_MAX_ROUTE_REFS - 1 - (jwt ? jwt->cnt : 0)); /* and one of a route's */
}

static void
serve_requests(struct authz *a, struct sl_bind *b)
{
	struct sl_out *table = a->im->tables->first;

	while (table && sl_out_find(table, "hosts") != b->hosts)
		table = table->next;
	for (struct sl_bind_server *v = table ? b->servers : NULL; v; v = v->next)
		if (v->gateway && !goes_through(a, table, b, v->gateway))
			break;
	unsigned of_table = refs_of(table);
	for (struct sl_out *v = b->hosts->first; v; v = v->next) {
		struct sl_out *routes = sl_out_find(v, "routes");
		for (struct sl_out *r = routes->first; r; r = r->next)
			route_goes_by(a, b, r, of_table);
	}
}

/* ---- connections ---- */

/* The policies of a service, of which all have to be of one set. */
static void
select_of(struct authz *a, const char *service, struct selection *s)
{
	struct sl_backend *b = sl_backend_named(a->im, service);
	struct sl_object *o = NULL;

	while (b && (o = sl_objects_next(&a->im->objects, o, "AuthorizationPolicy"))) {
		enum sl_scope fit = sl_scope_service(a->im, o, b);
		if (fit == SL_SCOPE_OTHERS)
			continue;
		if (fit == SL_SCOPE_PERHAPS)
			sl_scope_tell(a->im, o, b);
		s->full = s->full || (fit == SL_SCOPE_PERHAPS && allows(o));
		select_policy(s, o);
	}
}

static bool
is_like(const struct selection *s, const struct selection *t)
{
	return s->cnt == t->cnt && !memcmp(s->policy, t->policy, s->cnt * sizeof(s->policy[0]));
}

static void
serve_connections(struct authz *a, struct sl_bind *b)
{
	struct selection s = {.asked = {.gateway = true, .stream = true, .identity = true}}, t = s,
			 u;
	struct sl_out *service = sl_out_find(b->listener, "service"),
		      *names = sl_out_find(b->listener, "server_names");
	struct sl_object *o = NULL;
	bool alike = true;

	for (struct sl_bind_server *v = b->servers; v; v = v->next)
		while (v->gateway &&
		       (o = sl_objects_next(&a->im->objects, o, "AuthorizationPolicy")))
			if (sl_scope_gateway(o, v->gateway))
				select_policy(&s, o);
	t.asked = (struct sl_asked){.stream = true, .identity = asks_clients(b)};
	if (service)
		select_of(a, service->text, &t);
	for (struct sl_out *n = names ? names->first : NULL; n; n = n->next) {
		u = (struct selection){.asked = t.asked};
		select_of(a, sl_out_find(n, "service")->text, &u);
		alike = alike && ((n == names->first && !service) || is_like(&t, &u));
		t = u.cnt ? u : t;
	}
	if (!s.cnt && !t.cnt)
		return;
	if (b->mode == SL_BIND_TLS)
		deny_all(a->im, b->listener, s.cnt ? &s : &t, "TLS that is passed on and policies");
	else if ((s.cnt && t.cnt) || !alike || s.full || t.full)
		deny_all(a->im, b->listener, s.cnt ? &s : &t, "policies that are no one set");
	else
		sl_import_set(a->im, b->listener, "authorization", set_of(a, s.cnt ? &s : &t));
}

/* ---- all ---- */

static void
read_policy(struct sl_import *im, struct sl_object *o)
{
	const char *action = sl_istio_action(o);

	sl_yaml_get(o->spec, "action");
	sl_scope_use(o);
	if (strcmp(action, "ALLOW") && strcmp(action, "DENY") && strcmp(action, "AUDIT"))
		sl_left_denied(&im->left, o->root,
			       "nobody else is asked here: whom its rules are about is denied");
	if (sl_yaml_peek(o->spec, "provider"))
		sl_yaml_use(sl_yaml_peek(o->spec, "provider"));
}

void
sl_istio_authorize(struct sl_istio *is)
{
	struct authz a = {.is = is, .im = is->im};
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&is->im->objects, o, "AuthorizationPolicy")))
		read_policy(is->im, o);
	for (struct sl_bind *b = is->binds; b; b = b->next) {
		if (b->mode == SL_BIND_HTTP)
			serve_requests(&a, b);
		else
			serve_connections(&a, b);
	}
	while ((o = sl_objects_next(&is->im->objects, o, "AuthorizationPolicy"))) {
		struct sl_yaml *rules = sl_yaml_peek(o->spec, "rules");
		if (rules && !rules->used)
			sl_left_out(&is->im->left, o->root,
				    "no route or listener in the files is of what it is for");
	}
}
