/* Gateways, the mesh, and which VirtualService is served at which of their ports.
 *
 *   Gateway ─▶ binds (workload, port, mode) ─┐
 *   mesh    ─▶ binds of the hosts' ports ────┴▶ VirtualService ─▶ hosts of route tables, services of listeners
 *
 * Order: objects in the order of the files; of one host the routes of several VirtualServices stand behind each other.
 */
#include "mgmt/import_istio.h"

#include <string.h>

static bool
served_before(struct sl_istio *is, struct sl_bind *b, const struct sl_object *vs, const char *host)
{
	for (struct sl_bind_served *s = b->served; s; s = s->next)
		if (s->vs == vs && strcasecmp(s->host, host) == 0)
			return true;
	struct sl_bind_served *s = sl_memory_take(&is->im->m, sizeof(*s));
	*s = (struct sl_bind_served){vs, host, b->served};
	b->served = s;
	return false;
}

void
sl_istio_serve(struct sl_istio *is, struct sl_bind *b, struct sl_object *vs,
	       const struct sl_object *gateway, const char *host, struct sl_yaml *node)
{
	if (served_before(is, b, vs, b->mode == SL_BIND_HTTP ? host : ""))
		return;
	if (b->mode == SL_BIND_HTTP)
		sl_istio_serve_http(is, b, vs, gateway, host, node);
	else
		sl_istio_serve_streams(is, b, vs, gateway, b->mode == SL_BIND_TLS ? "tls" : "tcp");
}

/* ---- VirtualService at Gateways ---- */

static bool
names_gateway(const struct sl_object *vs, const char *name, const struct sl_object *gateway)
{
	const char *slash = strchr(name, '/');

	if (!slash)
		return !strcmp(name, gateway->name) && !strcmp(vs->space, gateway->space);
	return !strcmp(slash + 1, gateway->name) &&
	       strlen(gateway->space) == (size_t)(slash - name) &&
	       !strncmp(name, gateway->space, (size_t)(slash - name));
}

/* What a server's host and a VirtualService's have in common; NULL: nothing. */
static const char *
both(struct sl_import *im, const struct sl_object *gateway, const char *server, const char *space,
     const char *host)
{
	const char *slash = strchr(server, '/');

	if (slash) {
		size_t n = (size_t)(slash - server);
		const char *want = n == 1 && *server == '.' ? gateway->space
							    : sl_memory_copy(&im->m, server, n);
		if (strcmp(want, "*") && strcmp(want, space))
			return NULL;
		server = slash + 1;
	}
	if (sl_host_covers(server, host))
		return host;
	return sl_host_covers(host, server) ? server : NULL;
}

/* Whether some server of the gateway takes a host of the VirtualService. */
static bool
serve_at(struct sl_istio *is, struct sl_object *vs, struct sl_object *gateway)
{
	struct sl_yaml *hosts = sl_yaml_get(vs->spec, "hosts");
	bool any = false;

	for (struct sl_bind *b = is->binds; b; b = b->next) {
		for (struct sl_bind_server *s = b->servers; s; s = s->next) {
			if (s->gateway != gateway || s->https_redirect)
				continue;
			struct sl_yaml *of = sl_yaml_get(s->server, "hosts");
			for (struct sl_yaml *h = sl_yaml_each(hosts, NULL); h;
			     h = sl_yaml_each(hosts, h))
				for (struct sl_yaml *g = sl_yaml_each(of, NULL); g;
				     g = sl_yaml_each(of, g)) {
					const char *full =
						sl_istio_host(is->im, h->text, vs->space);
					const char *host =
						both(is->im, gateway, g->text, vs->space, full);
					if (host)
						sl_istio_serve(is, b, vs, gateway, host, h);
					any = any || host;
				}
		}
	}
	return any;
}

/* ---- objects ---- */

static void
take_virtual_service(struct sl_istio *is, struct sl_object *vs)
{
	struct sl_import *im = is->im;
	struct sl_yaml *gateways = sl_yaml_get(vs->spec, "gateways");

	if (!gateways || !gateways->first)
		sl_istio_serve_mesh(is, vs);
	for (struct sl_yaml *g = sl_yaml_each(gateways, NULL); g; g = sl_yaml_each(gateways, g)) {
		struct sl_object *o = NULL;
		if (strcmp(g->text, "mesh") == 0) {
			sl_istio_serve_mesh(is, vs);
			continue;
		}
		while ((o = sl_objects_next(&im->objects, o, "Gateway")) &&
		       !names_gateway(vs, g->text, o))
			;
		if (!o)
			sl_left_out(
				&im->left, g,
				"there is no such Gateway in the files: nothing is served by it");
		else if (!serve_at(is, vs, o))
			sl_left_out(&im->left, g, "no server of the Gateway has one of the hosts");
	}
	static const char *const keys[] = {"http", "tls", "tcp"};
	for (size_t i = 0; i < SL_ARRAY_CNT(keys); i++) {
		struct sl_yaml *routes = sl_yaml_peek(vs->spec, keys[i]);
		for (struct sl_yaml *r = routes ? routes->first : NULL; r; r = r->next) {
			const struct sl_yaml *act = sl_yaml_peek(r, "route");
			act = act ? act : sl_yaml_peek(r, "redirect");
			act = act ? act : sl_yaml_peek(r, "directResponse");
			if (act && !act->used && !r->told)
				sl_left_out(&im->left, r,
					    "no listener takes what the route is for");
		}
	}
}

/* Listeners that lead nowhere, and hosts without routes, are no table. */
static void
prune(struct sl_istio *is)
{
	struct sl_import *im = is->im;
	struct sl_out *l = im->listeners->first, *next;

	im->listeners->first = im->listeners->last = NULL;
	im->listeners->cnt = 0;
	for (; l; l = next) {
		next = l->next;
		l->next = NULL;
		struct sl_bind *b = is->binds;
		while (b->listener != l)
			b = b->next;
		if (b->mode == SL_BIND_HTTP || sl_out_find(l, "service") ||
		    sl_out_find(l, "server_names"))
			sl_out_attach(im->listeners, l);
		else if (b->servers)
			sl_left_out(&im->left, b->servers->server,
				    "no route leads anywhere from it");
	}
}

void
sl_istio_import(struct sl_import *im)
{
	struct sl_istio is = {.im = im};
	struct sl_object *o = NULL;

	sl_istio_delegate(im);
	sl_istio_gateways(&is);
	while ((o = sl_objects_next(&im->objects, o, "VirtualService")))
		take_virtual_service(&is, o);
	sl_istio_redirect_hosts(&is);
	sl_istio_entries(&is);
	sl_istio_policies_end(im);
	sl_istio_peers(&is);
	sl_istio_authenticate(&is);
	sl_istio_authorize(&is);
	prune(&is);
}
