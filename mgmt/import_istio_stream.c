/* Routes of connections: tls and tcp of VirtualServices → server names and services of listeners. */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <string.h>

/* The service that most of what a route of connections sends goes to. */
static struct sl_backend *
heaviest(struct sl_istio *is, const struct sl_object *vs, struct sl_bind *b, struct sl_yaml *list)
{
	struct sl_backend *best = NULL;
	int64_t most = -1, w;
	const char *subset;

	for (struct sl_yaml *n = sl_yaml_each(list, NULL); n; n = sl_yaml_each(list, n)) {
		struct sl_yaml *weight = sl_yaml_get(n, "weight");
		if (!weight || !sl_yaml_number(weight, 0, INT32_MAX, &w))
			w = 0;
		struct sl_backend *to = sl_istio_destination(is->im, vs, n, b->port, &subset);
		if (to && *subset)
			sl_left_changed(&is->im->left, n,
					"connections go to the whole of %s, not to a subset",
					to->name);
		if (to && w > most) {
			best = to;
			most = w;
		}
	}
	if (best && list->cnt > 1)
		sl_left_changed(&is->im->left, list, "connections are not split: all go to %s",
				best->name);
	if (best)
		best->tcp = true;
	return best;
}

/* Whether the match asks for nothing that is not known of a connection; if not, that is told, and it takes none. */
static bool
is_known(struct sl_istio *is, struct sl_yaml *m)
{
	static const char *const keys[][2] = {
		{"destinationSubnets", "what the client connects to is the listener's address"},
		{"sourceLabels", "labels of who calls are not known"},
		{"sourceNamespace", "who calls is not known"},
		{"sourceSubnet", "who calls is not looked at"},
	};
	bool known = true;

	for (size_t i = 0; i < SL_ARRAY_CNT(keys); i++) {
		struct sl_yaml *n = sl_yaml_peek(m, keys[i][0]);
		if (!n)
			continue;
		sl_left_out(&is->im->left, n, "%s: its match is left out", keys[i][1]);
		known = false;
	}
	return known;
}

void
sl_istio_serve_names(struct sl_istio *is, struct sl_bind *b, struct sl_yaml *names,
		     struct sl_backend *to)
{
	struct sl_import *im = is->im;
	char name[SL_HOST_MAX];
	const char *why;

	for (struct sl_yaml *n = sl_yaml_each(names, NULL); n; n = sl_yaml_each(names, n)) {
		struct sl_out *list = sl_out_in_list(&im->m, b->listener, "server_names");
		bool is_there = false;
		if (strcmp(n->text, "*") == 0) {
			if (!sl_out_find(b->listener, "service"))
				sl_out_text(&im->m, b->listener, "service", to->name);
			continue;
		}
		if ((why = sl_value_servers(n->text, name))) {
			sl_left_out(&im->left, n, "as a server name it %s", why);
			continue;
		}
		for (struct sl_out *o = list->first; o; o = o->next)
			is_there = is_there || !strcasecmp(sl_out_find(o, "name")->text, n->text);
		if (is_there) {
			sl_left_out(&im->left, n, "the name leads elsewhere by a route before it");
			continue;
		}
		struct sl_out *o = sl_out_group(&im->m, list, NULL);
		sl_out_text(&im->m, o, "name", n->text);
		sl_out_text(&im->m, o, "service", to->name);
	}
	struct sl_out *list = sl_out_find(b->listener, "server_names");
	if (list && !list->first)
		sl_out_remove(b->listener, "server_names");
}

/* The routes of connections: key "tls" by server name, "tcp" the first that is here. */
void
sl_istio_serve_streams(struct sl_istio *is, struct sl_bind *b, struct sl_object *vs,
		       const struct sl_object *gateway, const char *key)
{
	struct sl_yaml *routes = sl_yaml_get(vs->spec, key);
	struct sl_istio_place p = {is->im, b, vs, gateway, ""};

	for (struct sl_yaml *r = sl_yaml_each(routes, NULL); r; r = sl_yaml_each(routes, r)) {
		struct sl_yaml *match = sl_yaml_get(r, "match"), *list = sl_yaml_get(r, "route");
		bool here = !match || !match->first, names = strcmp(key, "tls") == 0;
		struct sl_backend *to = NULL;
		for (struct sl_yaml *m = sl_yaml_each(match, NULL); m; m = sl_yaml_each(match, m)) {
			if (!is_known(is, m) || !sl_istio_match_is_here(&p, m))
				continue;
			here = true;
			if (names && (to = heaviest(is, vs, b, list)))
				sl_istio_serve_names(is, b, sl_yaml_get(m, "sniHosts"), to);
		}
		if (!here || names)
			continue;
		if (sl_out_find(b->listener, "service"))
			sl_left_out(&is->im->left, r, "the listener leads elsewhere already");
		else if ((to = heaviest(is, vs, b, list))) {
			sl_import_from(is->im, b->listener, r);
			sl_out_text(&is->im->m, b->listener, "service", to->name);
		}
	}
}
