/* Hosts of binds → virtual hosts, and the http routes of VirtualServices in them. */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <string.h>

/* ---- hosts ---- */

/* The virtual host of the name; the mesh's services are known by shorter names, too. */
struct sl_out *
sl_istio_vhost(struct sl_istio *is, struct sl_bind *b, const char *host, struct sl_yaml *node)
{
	struct sl_import *im = is->im;
	char name[256];
	uint8_t kind;
	const char *why = sl_value_hostname(host, &kind, name);

	if (why) {
		sl_left_out(&im->left, node, "as a host name it %s", why);
		return NULL;
	}
	for (struct sl_out *v = b->hosts->first; v; v = v->next)
		if (sl_out_has_text(sl_out_find(v, "match"), host))
			return v;
	size_t len = strlen(host), tail = strlen(SL_CLUSTER);
	bool cluster = len > tail && !strcmp(host + len - tail, SL_CLUSTER) && host[0] != '*';
	const char *short_name = cluster ? sl_memory_copy(&im->m, host, len - tail) : host;
	const char *vname =
		sl_import_distinct(im, b->hosts, strcmp(host, "*") ? short_name : "any");
	struct sl_out *v = sl_out_group(&im->m, b->hosts, NULL);
	sl_out_text(&im->m, v, "name", vname);
	struct sl_out *match = sl_out_list(&im->m, v, "match");
	sl_out_text(&im->m, match, NULL, host);
	if (cluster && strcmp(b->workload, "mesh") == 0) {
		sl_out_text(&im->m, match, NULL, sl_memory_print(&im->m, "%s.svc", short_name));
		sl_out_text(&im->m, match, NULL, short_name);
		const char *first = sl_memory_copy(&im->m, short_name, strcspn(short_name, "."));
		bool free_name = true;
		for (struct sl_out *o = b->hosts->first; o; o = o->next)
			free_name = free_name && !sl_out_has_text(sl_out_find(o, "match"), first);
		if (free_name)
			sl_out_text(&im->m, match, NULL, first);
	}
	sl_out_list(&im->m, v, "routes");
	return v;
}

/* Names that matches ask for by authority are hosts of their own. */
static void
authorities(struct sl_istio *is, struct sl_bind *b, const struct sl_object *vs, const char *host)
{
	struct sl_yaml *http = sl_yaml_peek(vs->spec, "http");

	for (struct sl_yaml *h = http ? http->first : NULL; h; h = h->next) {
		struct sl_yaml *match = sl_yaml_peek(h, "match");
		for (struct sl_yaml *m = match ? match->first : NULL; m; m = m->next) {
			struct sl_yaml *a = sl_yaml_peek(m, "authority");
			const char *name = sl_yaml_peek_text(a, "exact");
			if (!name)
				continue;
			name = sl_memory_copy(&is->im->m, name, strcspn(name, ":"));
			if (strcasecmp(name, host) && *name && sl_host_covers(host, name))
				sl_istio_vhost(is, b, name, a);
		}
	}
}

/* ---- routes ---- */

void
sl_istio_serve_http(struct sl_istio *is, struct sl_bind *b, struct sl_object *vs,
		    const struct sl_object *gateway, const char *host, struct sl_yaml *node)
{
	struct sl_yaml *http = sl_yaml_get(vs->spec, "http");

	if (!http || !sl_istio_vhost(is, b, host, node))
		return;
	authorities(is, b, vs, host);
	for (struct sl_out *v = b->hosts->first; v; v = v->next) {
		const char *name = sl_out_find(v, "match")->first->text;
		struct sl_istio_place p = {is->im, b, vs, gateway, name};
		bool own = strcasecmp(name, host) == 0;
		if (!own && !(strchr(host, '*') && sl_host_covers(host, name) &&
			      !sl_out_find(v, "routes")->first))
			continue;
		if (own || !sl_out_find(v, "routes")->first)
			sl_import_from(is->im, v, vs->root);
		for (struct sl_yaml *h = sl_yaml_each(http, NULL); h; h = sl_yaml_each(http, h))
			sl_istio_routes(&p, h, sl_out_find(v, "routes"));
	}
}

/* Servers that send plaintext elsewhere do so for all of their hosts. */
void
sl_istio_redirect_hosts(struct sl_istio *is)
{
	struct sl_import *im = is->im;

	for (struct sl_bind *b = is->binds; b; b = b->next) {
		for (struct sl_bind_server *s = b->servers; s; s = s->next) {
			struct sl_yaml *hosts = sl_yaml_get(s->server, "hosts");
			for (struct sl_yaml *h = sl_yaml_each(hosts, NULL); h;
			     h = sl_yaml_each(hosts, h)) {
				const char *slash = strchr(h->text, '/');
				struct sl_out *v =
					!s->https_redirect || b->mode != SL_BIND_HTTP
						? NULL
						: sl_istio_vhost(is, b, slash ? slash + 1 : h->text,
								 h);
				if (!v)
					continue;
				struct sl_out *routes = sl_out_find(v, "routes");
				struct sl_out *r = sl_out_group(&im->m, routes, NULL);
				sl_import_from(im, r, s->server);
				sl_out_text(&im->m, r, "name",
					    sl_import_distinct(im, routes, "https"));
				struct sl_out *to = sl_out_group(&im->m, r, "redirect");
				sl_out_number(&im->m, to, "code", 301);
				sl_out_bool(&im->m, to, "https", true);
			}
		}
	}
}
