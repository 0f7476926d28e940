/* TLSRoutes and TCPRoutes → server names and services of listeners.
 *
 * A listener of mode tls-passthrough leads by the name that the client asks for; one of mode tcp leads all to one service.  Of routes that
 * ask for the same the oldest has it.
 */
#include "mgmt/import_gateway_api.h"

#include "mgmt/conf_value.h"

#include <string.h>

/* The service that most of what a rule sends goes to. */
static struct sl_backend *
heaviest(struct sl_import *im, const struct sl_api_attachment *a, struct sl_yaml *rule)
{
	struct sl_yaml *refs = sl_yaml_get(rule, "backendRefs");
	struct sl_rule_place place = {im, a->route, a->port->number};
	struct sl_backend *best = NULL;
	int64_t most = 0, w;

	sl_yaml_get(rule, "name");
	for (struct sl_yaml *n = sl_yaml_each(refs, NULL); n; n = sl_yaml_each(refs, n)) {
		struct sl_yaml *weight = sl_yaml_get(n, "weight");
		w = 1;
		if (weight && !sl_yaml_number(weight, 0, 1000000, &w))
			sl_left_out(&im->left, weight, "weights go from 0 to 1000000: 1");
		struct sl_backend *b =
			sl_rule_backend(&place, n, "its connections do not go there");
		if (b && w > most) {
			best = b;
			most = w;
		}
	}
	if (best && refs->cnt > 1)
		sl_left_changed(&im->left, refs, "connections are not split: all go to %s",
				best->name);
	if (best)
		best->tcp = true;
	return best;
}

/* The only rule that there is a place for. */
static struct sl_backend *
backend_of(struct sl_import *im, const struct sl_api_attachment *a)
{
	struct sl_yaml *rules = sl_yaml_get(a->route->spec, "rules"),
		       *first = rules ? rules->first : NULL;

	if (!first)
		return NULL;
	first->used = true;
	for (struct sl_yaml *n = first->next; n; n = n->next)
		sl_left_out(&im->left, n, "the rule before it takes all");
	return heaviest(im, a, first);
}

/* Whether another route has what this one asks for, being older, or before it. */
static bool
is_taken(const struct sl_api *api, const struct sl_api_attachment *a)
{
	bool names = strcmp(a->port->mode, "tls-passthrough") == 0;

	for (const struct sl_api_attachment *b = api->attachments; b; b = b->next) {
		if (b->port != a->port || b->route == a->route ||
		    (names && strcasecmp(a->hostname, b->hostname)))
			continue;
		if (sl_api_age_order(b->route, a->route) < 0)
			return true;
	}
	return false;
}

static bool
has_name(const struct sl_out *listener, const char *name)
{
	const struct sl_out *list = sl_out_find(listener, "server_names");

	for (const struct sl_out *o = list ? list->first : NULL; o; o = o->next)
		if (strcasecmp(sl_out_find(o, "name")->text, name) == 0)
			return true;
	return false;
}

static void
serve_name(struct sl_import *im, const struct sl_api_attachment *a, const struct sl_backend *to)
{
	char name[SL_HOST_MAX];
	const char *why = sl_value_servers(a->hostname, name);
	struct sl_out *l = a->port->listener;

	if (why) {
		sl_left_out(&im->left, a->route->root, "%s, as a server name, %s",
			    sl_words_show(&im->m, a->hostname), why);
		return;
	}
	if (has_name(l, a->hostname))
		return;
	struct sl_out *o = sl_out_group(&im->m, sl_out_in_list(&im->m, l, "server_names"), NULL);
	sl_import_from(im, o, a->route->root);
	sl_out_text(&im->m, o, "name", a->hostname);
	sl_out_text(&im->m, o, "service", to->name);
}

static void
serve(struct sl_api *api, const struct sl_api_attachment *a)
{
	struct sl_import *im = api->im;
	struct sl_out *l = a->port->listener;
	bool names = !strcmp(a->port->mode, "tls-passthrough") && strcmp(a->hostname, "*");
	struct sl_backend *to;

	if (is_taken(api, a)) {
		sl_left_out(&im->left, a->route->root,
			    "an older route leads what it asks for elsewhere");
		return;
	}
	if (!strcmp(a->port->mode, "tcp") && strcmp(a->hostname, "*")) {
		sl_left_denied(&im->left, a->route->root,
			       "where TLS ends, connections do not go by %s: they are not led on",
			       sl_words_show(&im->m, a->hostname));
		return;
	}
	if (!(to = backend_of(im, a)))
		return;
	if (names) {
		serve_name(im, a, to);
	} else if (!sl_out_find(l, "service")) {
		sl_import_from(im, l, a->route->root);
		sl_out_text(&im->m, l, "service", to->name);
	}
}

/* Ports that lead nowhere are no listeners. */
static void
prune(struct sl_api *api)
{
	struct sl_out *all = api->im->listeners, *l = all->first, *next;

	all->first = all->last = NULL;
	all->cnt = 0;
	for (; l; l = next) {
		next = l->next;
		l->next = NULL;
		struct sl_api_port *p = api->ports;
		while (p->listener != l)
			p = p->next;
		if (p->hosts || sl_out_find(l, "service") || sl_out_find(l, "server_names"))
			sl_out_attach(all, l);
		else if (p->listeners)
			sl_left_out(&api->im->left, p->listeners->node,
				    "no route leads anywhere from it");
	}
}

void
sl_api_streams(struct sl_api *api)
{
	for (const struct sl_api_attachment *a = api->attachments; a; a = a->next)
		if (!a->port->hosts)
			serve(api, a);
	prune(api);
}
