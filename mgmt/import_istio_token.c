/* RequestAuthentications → issuers of tokens (`jwt`), and which routes ask for them.
 *
 * In the mesh a token is looked at twice: by the Gateway's workload, then by the service's, if the first lets it go on.  Here it is
 * looked at once, so a route's issuers are those that both take (core: what they take and where); of several services of a route,
 * all.  Where that cannot be had, nobody passes.
 */
#include "mgmt/import_istio.h"

#include "l7/http1.h"
#include "mgmt/conf_value.h"
#include "sluice/image_policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what an issuer's tokens are ---- */

/* The rule cannot be said. */
static void
lose(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *node, const char *why)
{
	sl_left_denied(&im->left, node, "%s: nobody passes where the tokens are asked for", why);
	i->lost = true;
}

static void
put_audiences(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *all)
{
	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		struct sl_out *list = sl_out_in_list(&im->m, i->out, "audiences");
		if (list->cnt == SL_MAX_JWT_AUDIENCES || !*n->text ||
		    strlen(n->text) > SL_JWT_TEXT_MAX || sl_value_plain(n->text)) {
			lose(im, i, n, "is an audience that a table cannot have");
			return;
		}
		sl_out_text(&im->m, list, NULL, n->text);
	}
}

/* https: anywhere, plaintext on this machine alone (conf_jwt.c). */
static bool
is_address(const char *url)
{
	static const char *const good[] = {"https://", "http://127.0.0.1:", "http://127.0.0.1/",
					   "http://[::1]:", "http://localhost:"};
	bool fits = false;

	for (size_t k = 0; k < SL_ARRAY_CNT(good); k++)
		fits = fits || (!strncmp(url, good[k], strlen(good[k])) && url[strlen(good[k])]);
	return fits && strlen(url) <= 2048 && !strpbrk(url, "@ \"") && !sl_value_plain(url);
}

/* Keys that have to be in a file, which the import writes when it has them (text). */
static void
put_key_file(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *node, const char *text)
{
	const char *name = sl_memory_print(&im->m, "%s.jwks.json", i->name);
	const char *path = sl_memory_print(&im->m, "%s/%s",
					   im->directory ? im->directory : "/etc/sluice", name);

	sl_out_text(&im->m, i->out, "jwks", sl_memory_print(&im->m, "file:%s", path));
	if (text && im->directory)
		sl_left_note(&im->left, node, "the keys are in %s: sluiced has to find them there",
			     path);
	else
		sl_left_changed(
			&im->left, node, "%s: until they are in %s all its tokens are refused",
			text ? "keys are not in a table"
			     : "keys are fetched by https: alone, and looked for nowhere else",
			path);
	if (!text)
		return;
	struct sl_import_made *f = sl_memory_take(&im->m, sizeof(*f));
	*f = (struct sl_import_made){name, text, im->files};
	im->files = f;
}

static void
put_keys(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *rule)
{
	struct sl_yaml *url = sl_yaml_get(rule, "jwksUri"), *keys = sl_yaml_get(rule, "jwks"),
		       *older = sl_yaml_get(rule, "jwks_uri"), *time = sl_yaml_get(rule, "timeout");

	url = url ? url : older;
	if (time)
		sl_left_note(&im->left, time, "how long fetching takes is the gateway's own");
	if (url && is_address(url->text))
		sl_out_text(&im->m, i->out, "jwks", url->text);
	else if (keys && keys->type == SL_YAML_TEXT)
		put_key_file(im, i, keys, keys->text);
	else
		put_key_file(im, i, url ? url : rule, NULL);
}

/* ---- where they are ---- */

static void
put_place(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *node, const char *kind,
	  const char *name)
{
	struct sl_out *list = sl_out_in_list(&im->m, i->out, "from");
	bool token = !sl_value_token(name) && strlen(name) <= SL_JWT_TEXT_MAX, good = token;

	if (strcmp(kind, "query") == 0)
		good = *name && strlen(name) <= SL_JWT_TEXT_MAX && !sl_value_plain(name);
	else if (strcmp(kind, "header") == 0)
		good = token && !sl_http_known((const uint8_t *)name, strlen(name));
	if (!good || list->cnt == SL_MAX_JWT_FROM)
		lose(im, i, node, "is a place where a table cannot look for tokens");
	else
		sl_out_text(&im->m, list, NULL,
			    strcmp(kind, "bearer") ? sl_memory_print(&im->m, "%s:%s", kind, name)
						   : kind);
}

static void
put_header_place(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *n)
{
	const char *name = sl_yaml_get_text(n, "name"), *prefix = sl_yaml_get_text(n, "prefix");
	char *lower = sl_memory_copy(&im->m, name ? name : "", name ? strlen(name) : 0);

	for (char *c = lower; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c |= 0x20;
	if (!strcmp(lower, "authorization") && prefix && !strcmp(prefix, "Bearer "))
		put_place(im, i, n, "bearer", "x");
	else if (prefix && *prefix)
		lose(im, i, n, "tokens behind a text of one's own are not found");
	else
		put_place(im, i, n, "header", lower);
}

static void
put_places(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *rule)
{
	struct sl_yaml *headers = sl_yaml_get(rule, "fromHeaders"),
		       *params = sl_yaml_get(rule, "fromParams"),
		       *cookies = sl_yaml_get(rule, "fromCookies"), *n;

	for (n = sl_yaml_each(headers, NULL); n; n = sl_yaml_each(headers, n))
		put_header_place(im, i, n);
	for (n = sl_yaml_each(params, NULL); n; n = sl_yaml_each(params, n))
		put_place(im, i, n, "query", n->text);
	for (n = sl_yaml_each(cookies, NULL); n; n = sl_yaml_each(cookies, n))
		put_place(im, i, n, "cookie", n->text);
	if (sl_out_find(i->out, "from"))
		return;
	put_place(im, i, rule, "bearer", "x"); /* Istio's default */
	put_place(im, i, rule, "query", "access_token");
}

/* ---- what endpoints see ---- */

static bool
is_free_header(const char *name)
{
	return name && !sl_value_token(name) && strlen(name) <= 255 &&
	       !sl_http_known((const uint8_t *)name, strlen(name));
}

static void
put_seen(struct sl_import *im, struct sl_issuer *i, struct sl_yaml *rule)
{
	struct sl_yaml *forward = sl_yaml_get(rule, "forwardOriginalToken"),
		       *payload = sl_yaml_get(rule, "outputPayloadToHeader"),
		       *claims = sl_yaml_get(rule, "outputClaimToHeaders");
	bool yes = false;

	if (forward && !sl_yaml_bool(forward, &yes))
		sl_left_out(&im->left, forward, "is neither true nor false");
	i->strips = !yes;
	sl_out_bool(&im->m, i->out, "forward", yes);
	for (struct sl_yaml *n = sl_yaml_each(claims, NULL); n; n = sl_yaml_each(claims, n)) {
		const char *header = sl_yaml_get_text(n, "header"),
			   *claim = sl_yaml_get_text(n, "claim");
		struct sl_out *list = sl_out_in_list(&im->m, i->out, "claim_headers");
		if (!is_free_header(header) || !claim || !*claim ||
		    strlen(claim) > SL_JWT_TEXT_MAX || sl_value_plain(claim) ||
		    list->cnt == SL_MAX_JWT_CLAIMS) {
			lose(im, i, n, "is a claim or header that a table cannot have");
			return;
		}
		struct sl_out *c = sl_out_group(&im->m, list, NULL);
		sl_out_text(&im->m, c, "claim", claim);
		sl_out_text(&im->m, c, "header", header);
		i->tells = true;
	}
	if (payload && !is_free_header(payload->text))
		lose(im, i, payload, "is a header that a table cannot have");
	else if (payload)
		sl_out_text(&im->m, i->out, "payload_header", payload->text);
	i->tells = i->tells || payload;
}

/* ---- an issuer ---- */

static const char *
core_of(struct sl_import *im, const struct sl_out *out)
{
	static const char *const keys[] = {"issuer", "audiences", "from", "jwks"};
	const char *text = "";

	for (size_t k = 0; k < SL_ARRAY_CNT(keys); k++) {
		const struct sl_out *o = sl_out_find(out, keys[k]);
		if (o && o->type == SL_OUT_TEXT)
			text = sl_memory_print(&im->m, "%s %s", text, o->text);
		for (o = o ? o->first : NULL; o; o = o->next)
			text = sl_memory_print(&im->m, "%s,%s", text, o->text);
		text = sl_memory_print(&im->m, "%s;", text);
	}
	return text;
}

static void
take_rule(struct sl_istio *is, struct sl_object *o, struct sl_yaml *rule)
{
	struct sl_import *im = is->im;
	struct sl_yaml *text = sl_yaml_get(rule, "issuer");
	struct sl_issuer *i = sl_memory_take(&im->m, sizeof(*i));
	struct sl_out *all = sl_out_in_list(&im->m, &im->root, "jwt");

	i->name = sl_import_distinct(
		im, all, sl_memory_print(&im->m, "%s.%s-%u", o->name, o->space, rule->index));
	i->from = o;
	i->text = text ? text->text : "";
	i->spaced = sl_yaml_get(rule, "spaceDelimitedClaims");
	if (i->spaced)
		sl_yaml_use(i->spaced);
	i->out = sl_out_group(&im->m, all, NULL);
	sl_out_text(&im->m, i->out, "name", i->name);
	sl_import_from(im, i->out, rule);
	if (!*i->text || strlen(i->text) > 1024 || sl_value_plain(i->text))
		lose(im, i, text ? text : rule, "an issuer has a name of 1 to 1024 bytes");
	else
		sl_out_text(&im->m, i->out, "issuer", i->text);
	put_audiences(im, i, sl_yaml_get(rule, "audiences"));
	put_keys(im, i, rule);
	put_places(im, i, rule);
	put_seen(im, i, rule);
	if (all->cnt > SL_MAX_JWT)
		lose(im, i, rule, "is one issuer more than the 64 of a table");
	i->core = core_of(im, i->out);
	if (is->last_issuer)
		is->last_issuer->next = i;
	else
		is->issuers = i;
	is->last_issuer = i;
}

/* ---- whose issuers ---- */

static void
add_issuers(struct sl_istio *is, const struct sl_object *policy, struct sl_issuers *to)
{
	for (struct sl_issuer *i = is->issuers; i; i = i->next) {
		bool is_there = false;
		if (i->from != policy)
			continue;
		to->lost = to->lost || i->lost;
		for (unsigned k = 0; k < to->cnt; k++)
			is_there = is_there || to->of[k] == i;
		if (is_there || i->lost)
			continue;
		if (to->cnt < SL_ISSUERS_MOST)
			to->of[to->cnt++] = i;
		else
			to->lost = true;
	}
}

static bool
is_like(const struct sl_issuers *a, const struct sl_issuers *b)
{
	return a->cnt == b->cnt && a->lost == b->lost &&
	       !memcmp(a->of, b->of, a->cnt * sizeof(a->of[0]));
}

static struct sl_issuers
of_gateway(struct sl_istio *is, const struct sl_object *gateway)
{
	struct sl_issuers set = {.cnt = 0};
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&is->im->objects, o, "RequestAuthentication")))
		if (sl_scope_gateway(o, gateway))
			add_issuers(is, o, &set);
	return set;
}

const struct sl_issuers *
sl_istio_issuers_at(struct sl_istio *is, struct sl_bind *b)
{
	struct sl_issuers *set;
	bool any = false;

	if (b->issuers)
		return b->issuers;
	set = sl_memory_take(&is->im->m, sizeof(*set));
	for (struct sl_bind_server *v = b->servers; v; v = v->next) {
		struct sl_issuers own;
		if (!v->gateway)
			continue;
		own = of_gateway(is, v->gateway);
		if (any && !is_like(set, &own))
			own.lost = true; /* of one port, two answers */
		*set = own;
		any = true;
	}
	b->issuers = set;
	return set;
}

const struct sl_issuers *
sl_istio_issuers_of(struct sl_istio *is, struct sl_backend *b)
{
	struct sl_object *o = NULL;
	struct sl_issuers *set;

	if (b->issuers)
		return b->issuers;
	set = sl_memory_take(&is->im->m, sizeof(*set));
	while ((o = sl_objects_next(&is->im->objects, o, "RequestAuthentication"))) {
		enum sl_scope fit = sl_scope_service(is->im, o, b);
		if (fit == SL_SCOPE_OTHERS)
			continue;
		if (fit == SL_SCOPE_PERHAPS)
			sl_scope_tell(is->im, o, b);
		set->perhaps = set->perhaps || fit == SL_SCOPE_PERHAPS;
		add_issuers(is, o, set);
	}
	b->issuers = set;
	return set;
}

/* ---- the issuers of a route ---- */

/* What goes on from before: tokens that both take.  false: it cannot be said. */
static bool
meet(struct sl_issuers *all, const struct sl_issuers *next, bool gateway)
{
	struct sl_issuers both = {.cnt = 0};

	for (unsigned i = 0; i < all->cnt; i++) {
		struct sl_issuer *a = all->of[i], *found = NULL;
		if (gateway && a->strips) {
			both.of[both.cnt++] = a; /* next sees no token */
			continue;
		}
		for (unsigned k = 0; k < next->cnt && !found; k++)
			if (strcmp(next->of[k]->core, a->core) == 0)
				found = next->of[k];
		if (found && found != a && (a->tells || (found->tells && !gateway)))
			return false;
		if (found)
			both.of[both.cnt++] = found;
	}
	*all = both;
	return both.cnt > 0;
}

/* One more service of the route. */
static bool
meet_service(struct sl_istio *is, const char *name, const struct sl_issuers *at,
	     struct sl_issuers *all, bool *any)
{
	struct sl_backend *b = sl_backend_named(is->im, name);
	const struct sl_issuers *own = b ? sl_istio_issuers_of(is, b) : NULL;

	if (!own || (!own->cnt && !own->lost))
		return true;
	if (own->lost)
		return false;
	if (!at->cnt && !*any)
		*all = *own;
	else if (!meet(all, own, at->cnt && !*any))
		return false;
	*any = true;
	return true;
}

static bool
issuers_of_route(struct sl_istio *is, struct sl_bind *b, const struct sl_out *route,
		 struct sl_issuers *ret)
{
	const struct sl_issuers *at = sl_istio_issuers_at(is, b);
	const struct sl_out *service = sl_out_find(route, "service"),
			    *split = sl_out_find(route, "split");
	bool any = false;

	*ret = *at;
	if (at->lost)
		return false;
	if (service)
		return meet_service(is, service->text, at, ret, &any);
	for (const struct sl_out *t = split ? split->first : NULL; t; t = t->next)
		if (!meet_service(is, sl_out_find(t, "service")->text, at, ret, &any))
			return false;
	return true;
}

static void
put_issuers(struct sl_import *im, struct sl_out *at, const struct sl_issuers *set)
{
	if (!set->cnt)
		return;
	struct sl_out *list = sl_out_list(&im->m, sl_out_in_group(&im->m, at, "policy"), "jwt");
	for (unsigned i = 0; i < set->cnt; i++) {
		set->of[i]->used = true;
		sl_out_text(&im->m, list, NULL, set->of[i]->name);
	}
}

/* ---- the routes of a listener ---- */

static void
deny_route(struct sl_istio *is, struct sl_out *route)
{
	sl_istio_deny(is->im, route);
	sl_left_add(
		&is->im->left, SL_LEFT_DENIED, NULL,
		"route %s: what its Gateway and services take for tokens cannot be had together: "
		"nobody passes there",
		sl_out_find(route, "name")->text);
}

/* Each route of the bind in turn (vhost and route NULL: the first). */
static struct sl_out *
next_route(const struct sl_bind *b, struct sl_out **vhost, struct sl_out *route)
{
	struct sl_out *v = *vhost ? *vhost : b->hosts->first;

	route = *vhost ? route->next : v ? sl_out_find(v, "routes")->first : NULL;
	while (v && !route && (v = v->next))
		route = sl_out_find(v, "routes")->first;
	*vhost = v;
	return route;
}

static void
authenticate_bind(struct sl_istio *is, struct sl_bind *b)
{
	struct sl_out *vhost = NULL, *r = NULL, *table = is->im->tables->first;
	const struct sl_issuers *at = sl_istio_issuers_at(is, b);
	struct sl_issuers set;
	bool alike = true;

	while ((r = next_route(b, &vhost, r)))
		alike = alike && issuers_of_route(is, b, r, &set) && is_like(&set, at);
	while (table && sl_out_find(table, "hosts") != b->hosts)
		table = table->next;
	if (alike && table) {
		put_issuers(is->im, table, at);
		return;
	}
	vhost = r = NULL;
	while ((r = next_route(b, &vhost, r))) {
		if (issuers_of_route(is, b, r, &set))
			put_issuers(is->im, r, &set);
		else
			deny_route(is, r);
	}
}

/* ---- all ---- */

/* Issuers that cannot be said, and what no route asks for, are no part of the table. */
static void
drop_unused(struct sl_istio *is)
{
	struct sl_out *all = sl_out_find(&is->im->root, "jwt"), *next;

	if (!all)
		return;
	struct sl_out *o = all->first;
	all->first = all->last = NULL;
	all->cnt = 0;
	for (struct sl_issuer *i = is->issuers; i; i = i->next, o = next) {
		next = o->next;
		o->next = NULL;
		if (i->used)
			sl_out_attach(all, o);
		else if (!i->lost)
			sl_left_out(&is->im->left, i->from->root, "no route asks for its tokens");
	}
	if (!all->first)
		sl_out_remove(&is->im->root, "jwt");
}

void
sl_istio_authenticate(struct sl_istio *is)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&is->im->objects, o, "RequestAuthentication"))) {
		struct sl_yaml *rules = sl_yaml_get(o->spec, "jwtRules");
		sl_scope_use(o);
		for (struct sl_yaml *n = sl_yaml_each(rules, NULL); n; n = sl_yaml_each(rules, n))
			take_rule(is, o, n);
	}
	for (struct sl_bind *b = is->binds; b && is->issuers; b = b->next)
		if (b->mode == SL_BIND_HTTP)
			authenticate_bind(is, b);
	drop_unused(is);
}
