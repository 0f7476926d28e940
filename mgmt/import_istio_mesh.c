/* What is served at the mesh: VirtualServices at the ports of their hosts, and ServiceEntries that none has. */
#include "mgmt/import_istio.h"

#include <string.h>

/* ---- the mesh ---- */

/* What connections to the port of a Service or ServiceEntry hold: HTTP unless it says another; 0: no connections. */
static enum sl_bind_mode
mode_of(const struct sl_object *o, struct sl_yaml *port)
{
	static const struct {
		const char *name;
		enum sl_bind_mode mode;
	} others[] = {{"tcp", SL_BIND_TCP},
		      {"tls", SL_BIND_TLS},
		      {"https", SL_BIND_TLS},
		      {"mongo", SL_BIND_TCP},
		      {"mysql", SL_BIND_TCP},
		      {"redis", SL_BIND_TCP},
		      {"udp", 0}};
	const char *name = sl_yaml_peek_text(port, "appProtocol");

	if (strcmp(o->kind, "Service"))
		name = sl_yaml_peek_text(port, "protocol");
	else if (!name)
		name = sl_yaml_peek_text(port, "name");
	for (size_t i = 0; name && i < SL_ARRAY_CNT(others); i++) {
		size_t n = strlen(others[i].name);
		if (strncasecmp(name, others[i].name, n) == 0 && (!name[n] || name[n] == '-'))
			return others[i].mode;
	}
	return SL_BIND_HTTP;
}

static void
serve_mesh_port(struct sl_istio *is, struct sl_object *vs, const char *host, struct sl_yaml *node,
		uint16_t port, enum sl_bind_mode mode)
{
	static const char *const keys[] = {"", "http", "tls", "tcp"};
	struct sl_bind *b;

	if (!mode || !sl_yaml_peek(vs->spec, keys[mode]))
		return;
	b = sl_bind_get(is, "mesh", port, mode, "mesh", node);
	if (b->mode == mode)
		sl_istio_serve(is, b, vs, NULL, host, node);
	else
		sl_left_out(&is->im->left, node, "port %u of the mesh has another protocol", port);
}

/* At the ports of its hosts. */
void
sl_istio_serve_mesh(struct sl_istio *is, struct sl_object *vs)
{
	struct sl_import *im = is->im;
	struct sl_yaml *hosts = sl_yaml_get(vs->spec, "hosts");
	int64_t n;

	for (struct sl_yaml *h = sl_yaml_each(hosts, NULL); h; h = sl_yaml_each(hosts, h)) {
		const char *host = sl_istio_host(im, h->text, vs->space);
		struct sl_object *o = sl_host_service(im, host);
		o = o ? o : sl_host_entry(im, host);
		struct sl_yaml *ports = o ? sl_yaml_peek(o->spec, "ports") : NULL;
		if (!ports) {
			if (!sl_yaml_peek(vs->spec, "http"))
				continue;
			sl_left_changed(
				&im->left, h,
				"the host's ports are not in the files: it is served at port 80");
			serve_mesh_port(is, vs, host, h, 80, SL_BIND_HTTP);
			continue;
		}
		for (struct sl_yaml *p = ports->first; p; p = p->next) {
			struct sl_yaml *number =
				sl_yaml_peek(p, strcmp(o->kind, "Service") ? "number" : "port");
			if (number && sl_yaml_number(number, 1, 65535, &n))
				serve_mesh_port(is, vs, host, h, (uint16_t)n, mode_of(o, p));
		}
	}
}

/* Whether some VirtualService of the mesh has the host. */
static bool
is_routed(const struct sl_import *im, const char *host)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "VirtualService"))) {
		struct sl_yaml *hosts = sl_yaml_peek(o->spec, "hosts");
		for (struct sl_yaml *h = hosts ? hosts->first : NULL; h; h = h->next)
			if (sl_host_covers(h->text, host))
				return true;
	}
	return false;
}

/* A host of a ServiceEntry that nobody routes is served as it is. */
static void
serve_entry_port(struct sl_istio *is, struct sl_object *o, struct sl_yaml *host,
		 struct sl_yaml *port)
{
	struct sl_import *im = is->im;
	struct sl_yaml *number = sl_yaml_get(port, "number");
	const char *protocol = sl_yaml_get_text(port, "protocol"), *subset;
	int64_t n;

	sl_yaml_get(port, "name");
	if (!number || !sl_yaml_number(number, 1, 65535, &n))
		return;
	struct sl_backend *to = sl_istio_backend(im, host->text, (uint16_t)n, "", host, &subset);
	enum sl_bind_mode mode = sl_bind_mode_of(protocol ? protocol : "TCP", "PASSTHROUGH");
	struct sl_bind *b = sl_bind_get(is, "mesh", (uint16_t)n, mode, "mesh", o->root);
	if (b->mode != mode) {
		sl_left_out(&im->left, port, "port %u of the mesh has another protocol", b->port);
	} else if (mode == SL_BIND_HTTP) {
		struct sl_out *v = sl_istio_vhost(is, b, host->text, host);
		struct sl_out *routes = v ? sl_out_find(v, "routes") : NULL;
		if (!routes || routes->first)
			return;
		sl_import_from(im, v, o->root);
		struct sl_out *r = sl_out_group(&im->m, routes, NULL);
		sl_out_text(&im->m, r, "name", "all");
		sl_out_text(&im->m, r, "service", to->name);
		sl_out_text(&im->m, r, "timeout", "0s");
	} else {
		to->tcp = true;
		if (mode == SL_BIND_TLS) {
			struct sl_yaml one = {.type = SL_YAML_LIST, .first = host};
			struct sl_yaml *next = host->next;
			host->next = NULL;
			sl_istio_serve_names(is, b, &one, to);
			host->next = next;
		} else if (!sl_out_find(b->listener, "service")) {
			sl_out_text(&im->m, b->listener, "service", to->name);
		} else {
			sl_left_out(&im->left, port, "port %u of the mesh leads elsewhere already",
				    b->port);
		}
	}
}

void
sl_istio_entries(struct sl_istio *is)
{
	struct sl_import *im = is->im;
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "ServiceEntry"))) {
		struct sl_yaml *hosts = sl_yaml_get(o->spec, "hosts"),
			       *ports = sl_yaml_get(o->spec, "ports"),
			       *addresses = sl_yaml_peek(o->spec, "addresses");
		sl_yaml_get(o->spec, "location");
		sl_yaml_get(o->spec, "resolution");
		if (addresses)
			sl_left_out(&im->left, addresses,
				    "a host's own addresses: what clients connect to is the "
				    "listener's");
		for (struct sl_yaml *h = sl_yaml_each(hosts, NULL); h; h = sl_yaml_each(hosts, h))
			for (struct sl_yaml *p = sl_yaml_each(ports, NULL); p;
			     p = sl_yaml_each(ports, p)) {
				sl_yaml_get(p, "number");
				sl_yaml_get(p, "name");
				sl_yaml_get(p, "protocol");
				if (!is_routed(im, h->text))
					serve_entry_port(is, o, h, p);
			}
	}
}
