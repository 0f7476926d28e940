/* Which routes are served at which listeners of Gateways.
 *
 * The Gateway API has no order of routes, but precedence: of all rules that a virtual host could take, the one with the most
 * specific host name, then with the most specific match, then the oldest, then by name, then the first of its route.  Routes of a table
 * are in order: so the rules are brought into that one.
 */
#include "mgmt/import_gateway_api.h"

#include "mgmt/conf_value.h"

#include <stdlib.h>
#include <string.h>

/* One match of one rule, to be brought into order. */
struct candidate {
	const struct sl_api_attachment *a;
	struct sl_yaml *rule, *match; /* match NULL: every request */
	uint32_t place;               /* in the order of the files */
};

/* ---- which route is at which listener ---- */

static bool
text_is(struct sl_yaml *map, const char *key, const char *text)
{
	const char *is = sl_yaml_get_text(map, key);

	return !is || strcmp(is, text) == 0;
}

/* Whether every label that the selector asks for is the namespace's. */
static bool
selected(struct sl_api *api, struct sl_yaml *selector, const char *space)
{
	struct sl_object *o = NULL;
	struct sl_yaml *want = sl_yaml_get(selector, "matchLabels");

	while ((o = sl_objects_next(&api->im->objects, o, "Namespace")) && strcmp(o->name, space))
		;
	if (sl_yaml_peek(selector, "matchExpressions")) {
		sl_left_out(&api->im->left, sl_yaml_peek(selector, "matchExpressions"),
			    "namespaces are told by matchLabels: none is taken");
		return false;
	}
	const struct sl_yaml *labels =
		sl_yaml_peek(o ? sl_yaml_peek(o->root, "metadata") : NULL, "labels");
	for (struct sl_yaml *n = sl_yaml_each(want, NULL); n; n = sl_yaml_each(want, n)) {
		const char *is = sl_yaml_peek_text(labels, n->key);
		bool its_name =
			!strcmp(n->key, "kubernetes.io/metadata.name") && !strcmp(n->text, space);
		if (!its_name && (!is || strcmp(is, n->text)))
			return false;
	}
	return true;
}

/* Routes of requests are at listeners of requests, those of connections at theirs. */
static bool
fits(const struct sl_api_port *p, const struct sl_object *route)
{
	if (strcmp(route->kind, "HTTPRoute") == 0)
		return p->hosts;
	if (strcmp(route->kind, "TCPRoute") == 0)
		return strcmp(p->mode, "tcp") == 0;
	return strcmp(p->mode, "tls-passthrough") == 0 || (strcmp(p->mode, "tcp") == 0 && p->tls);
}

static bool
allowed(struct sl_api *api, const struct sl_api_port *p, const struct sl_api_listener *l,
	const struct sl_object *route)
{
	struct sl_yaml *routes = sl_yaml_get(l->node, "allowedRoutes"),
		       *spaces = sl_yaml_get(routes, "namespaces"),
		       *kinds = sl_yaml_get(routes, "kinds");
	const char *from = sl_yaml_get_text(spaces, "from");
	bool kind = !kinds || !kinds->first;

	for (struct sl_yaml *n = sl_yaml_each(kinds, NULL); n; n = sl_yaml_each(kinds, n)) {
		sl_yaml_get(n, "group");
		kind = kind || text_is(n, "kind", route->kind);
	}
	if (!kind)
		return false;
	if (from && strcmp(from, "All") == 0)
		return true;
	if (from && strcmp(from, "Selector") == 0)
		return selected(api, sl_yaml_get(spaces, "selector"), route->space);
	return strcmp(route->space, p->gateway->space) == 0;
}

static void
attach(struct sl_api *api, struct sl_api_port *p, struct sl_api_listener *l,
       struct sl_object *route, const char *host)
{
	struct sl_api_attachment *a = sl_memory_take(&api->im->m, sizeof(*a));

	*a = (struct sl_api_attachment){p, l, route, host, NULL};
	if (api->last_attachment)
		api->last_attachment->next = a;
	else
		api->attachments = a;
	api->last_attachment = a;
}

/* By the names that the route and the listener have in common; whether there is one. */
static bool
attach_hosts(struct sl_api *api, struct sl_api_port *p, struct sl_api_listener *l,
	     struct sl_object *route)
{
	struct sl_yaml *hosts = sl_yaml_get(route->spec, "hostnames");
	bool any = false;

	if (!hosts || !hosts->first) {
		attach(api, p, l, route, l->hostname);
		return true;
	}
	for (struct sl_yaml *h = sl_yaml_each(hosts, NULL); h; h = sl_yaml_each(hosts, h)) {
		const char *host = sl_host_covers(l->hostname, h->text)   ? h->text
				   : sl_host_covers(h->text, l->hostname) ? l->hostname
									  : NULL;
		if (host)
			attach(api, p, l, route, host);
		any = any || host;
	}
	return any;
}

static bool
attach_parent(struct sl_api *api, struct sl_object *route, struct sl_yaml *parent)
{
	const char *name = sl_yaml_get_text(parent, "name"),
		   *space = sl_yaml_get_text(parent, "namespace"),
		   *section = sl_yaml_get_text(parent, "sectionName");
	struct sl_yaml *port = sl_yaml_get(parent, "port");
	bool any = false;
	int64_t n = 0;

	if (!text_is(parent, "kind", "Gateway") || !name)
		return false;
	sl_yaml_get(parent, "group");
	if (port && !sl_yaml_number(port, 1, 65535, &n))
		return false;
	for (struct sl_api_port *p = api->ports; p; p = p->next) {
		if (strcmp(p->gateway->name, name) ||
		    strcmp(p->gateway->space, space ? space : route->space) ||
		    (n && n != p->number))
			continue;
		for (struct sl_api_listener *l = p->listeners; l; l = l->next) {
			const char *is = sl_yaml_peek_text(l->node, "name");
			if ((!section || (is && !strcmp(section, is))) && fits(p, route) &&
			    allowed(api, p, l, route))
				any = attach_hosts(api, p, l, route) || any;
		}
	}
	return any;
}

static void
take_route(struct sl_api *api, struct sl_object *route)
{
	struct sl_yaml *parents = sl_yaml_get(route->spec, "parentRefs");
	bool any = false;

	for (struct sl_yaml *n = sl_yaml_each(parents, NULL); n; n = sl_yaml_each(parents, n)) {
		if (attach_parent(api, route, n))
			any = true;
		else
			sl_left_out(&api->im->left, n,
				    "no listener of a Gateway in the files takes the route");
	}
	if (!any)
		sl_left_out(&api->im->left, route->spec ? route->spec : route->root,
			    "the route is at no listener");
}

/* ---- hosts of a port ---- */

static size_t
exact_length(const char *host)
{
	return host[0] == '*' ? 0 : strlen(host);
}

/* More specific first: exact before wildcard, longer before shorter. */
static int
host_order(const char *a, const char *b)
{
	size_t ea = exact_length(a), eb = exact_length(b), la = strlen(a), lb = strlen(b);

	if (ea != eb)
		return ea > eb ? -1 : 1;
	return (la < lb) - (la > lb);
}

int
sl_api_age_order(const struct sl_object *a, const struct sl_object *b)
{
	/* without a time: the youngest */
	int d = strcmp(*a->created ? a->created : "~", *b->created ? b->created : "~");

	if (!d)
		d = strcmp(a->space, b->space);
	return d ? d : strcmp(a->name, b->name);
}

static int
candidate_order(const void *x, const void *y)
{
	const struct candidate *a = x, *b = y;
	int d = host_order(a->a->hostname, b->a->hostname);

	if (!d)
		d = sl_match_order(a->match, b->match);
	if (!d && a->a->route != b->a->route)
		d = sl_api_age_order(a->a->route, b->a->route);
	return d ? d : (a->place > b->place) - (a->place < b->place);
}

/* A request is the listener's that has the most specific name for it. */
static const struct sl_api_listener *
listener_of(const struct sl_api_port *p, const char *host)
{
	const struct sl_api_listener *best = NULL;

	for (const struct sl_api_listener *l = p->listeners; l; l = l->next)
		if (sl_host_covers(l->hostname, host) &&
		    (!best || host_order(l->hostname, best->hostname) < 0))
			best = l;
	return best;
}

static bool
same_host(const struct sl_api_listener *a, const struct sl_api_listener *b)
{
	return a == b || strcasecmp(a->hostname, b->hostname) == 0;
}

/* All matches that a request of the host can meet; n counts on, list NULL: only counted. */
static uint32_t
gather(struct sl_api *api, const struct sl_api_port *p, const char *host, struct candidate *list)
{
	const struct sl_api_listener *l = listener_of(p, host);
	uint32_t n = 0;

	for (const struct sl_api_attachment *a = api->attachments; a; a = a->next) {
		if (a->port != p || !same_host(a->listener, l) ||
		    !sl_host_covers(a->hostname, host))
			continue;
		struct sl_yaml *rules = sl_yaml_get(a->route->spec, "rules");
		for (struct sl_yaml *r = sl_yaml_each(rules, NULL); r; r = sl_yaml_each(rules, r)) {
			struct sl_yaml *matches = sl_yaml_get(r, "matches");
			struct sl_yaml *m = sl_yaml_each(matches, NULL);
			do {
				if (list)
					list[n] = (struct candidate){a, r, m, n};
				n++;
				m = m ? sl_yaml_each(matches, m) : NULL;
			} while (m);
		}
	}
	return n;
}

static void
make_host(struct sl_api *api, struct sl_api_port *p, const char *host, struct sl_yaml *node)
{
	struct sl_import *im = api->im;
	char name[256];
	uint8_t kind;
	const char *why = sl_value_hostname(host, &kind, name);

	if (why) {
		sl_left_out(&im->left, node, "%s %s", sl_words_show(&im->m, host), why);
		return;
	}
	uint32_t n = gather(api, p, host, NULL);
	struct candidate *list = sl_memory_take(&im->m, (n + 1) * sizeof(*list));
	gather(api, p, host, list);
	qsort(list, n, sizeof(*list), candidate_order);
	const char *vname = sl_import_distinct(im, p->hosts, strcmp(host, "*") ? host : "any");
	struct sl_out *v = sl_out_group(&im->m, p->hosts, NULL);
	sl_out_text(&im->m, v, "name", vname);
	sl_out_text(&im->m, sl_out_list(&im->m, v, "match"), NULL, host);
	struct sl_out *routes = sl_out_list(&im->m, v, "routes");
	for (uint32_t i = 0; i < n; i++) {
		/* a rule that is attached twice (two listeners of one name) is there once */
		bool again = false;
		for (uint32_t j = 0; j < i && !again; j++)
			again = list[j].rule == list[i].rule && list[j].match == list[i].match;
		struct sl_rule_place place = {im, list[i].a->route, p->number};
		if (!again)
			sl_rule_add(&place, list[i].rule, list[i].match, routes);
	}
}

static bool
has_host(const struct sl_api_port *p, const char *host)
{
	for (struct sl_out *v = p->hosts->first; v; v = v->next)
		if (strcasecmp(sl_out_find(v, "match")->first->text, host) == 0)
			return true;
	return false;
}

void
sl_gateway_api_import(struct sl_import *im)
{
	static const char *const routes[] = {"HTTPRoute", "TLSRoute", "TCPRoute"};
	struct sl_api api = {.im = im};
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "Gateway"))) {
		struct sl_yaml *list = sl_yaml_get(o->spec, "listeners");
		sl_yaml_get(o->spec, "gatewayClassName");
		for (struct sl_yaml *n = sl_yaml_each(list, NULL); n; n = sl_yaml_each(list, n))
			sl_api_listener(&api, o, n);
	}
	for (size_t i = 0; i < SL_ARRAY_CNT(routes); i++)
		while ((o = sl_objects_next(&im->objects, o, routes[i])))
			take_route(&api, o);
	while ((o = sl_objects_next(&im->objects, o, "GRPCRoute")))
		sl_left_out(
			&im->left, o->root,
			"gRPC needs HTTP/2, which the gateway does not speak: nobody is led there");
	for (const struct sl_api_attachment *a = api.attachments; a; a = a->next)
		if (a->port->hosts && !has_host(a->port, a->hostname))
			make_host(&api, a->port, a->hostname, a->route->root);
	sl_api_streams(&api);
	sl_api_backend_tls(im);
	while ((o = sl_objects_next(&im->objects, o, "ReferenceGrant")))
		sl_yaml_use(o->root);
}
