/* Gateways, the mesh, and which VirtualService is served at which of their ports.
 *
 *   Gateway ─▶ binds (workload, port, mode) ─┐
 *   mesh    ─▶ binds of the hosts' ports ────┴▶ VirtualService ─▶ hosts of route tables, services of listeners
 *
 * Order: objects in the order of the files; of one host the routes of several VirtualServices stand behind each other.
 */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct istio {
	struct sl_import *im;
	struct sl_bind *binds, *last;
	struct workload *workloads;
};

struct workload {
	const char *name, *address;
	struct workload *next;
};

/* ---- binds ---- */

static const char *
address_of(struct istio *is, const char *workload, struct sl_yaml *node)
{
	struct workload *w;

	for (w = is->workloads; w; w = w->next)
		if (strcmp(w->name, workload) == 0)
			return w->address;
	w = sl_memory_take(&is->im->m, sizeof(*w));
	w->name = workload;
	w->address = sl_import_address(is->im, node,
				       strcmp(workload, "mesh") ? "the gateway" : "the mesh");
	w->next = is->workloads;
	is->workloads = w;
	return w->address;
}

static void
make_listener(struct istio *is, struct sl_bind *b, const char *base, struct sl_yaml *node)
{
	static const char *const modes[] = {"", "http", "tls-passthrough", "tcp"};
	struct sl_import *im = is->im;
	const char *name = sl_import_distinct(im, im->listeners,
					      sl_memory_print(&im->m, "%s-%u", base, b->port));
	struct sl_out *l = sl_out_group(&im->m, im->listeners, NULL);

	b->listener = l;
	sl_out_text(&im->m, l, "name", name);
	sl_out_text(&im->m, l, "address", address_of(is, b->workload, node));
	sl_out_number(&im->m, l, "port", b->port);
	sl_out_text(&im->m, l, "protocol", "tcp");
	sl_out_text(&im->m, l, "mode", modes[b->mode]);
	if (b->mode != SL_BIND_HTTP)
		return;
	sl_out_text(&im->m, l, "routes", name);
	struct sl_out *t = sl_out_group(&im->m, im->tables, NULL);
	sl_out_text(&im->m, t, "name", name);
	sl_out_bool(&im->m, t, "merge_slashes", false); /* as Istio matches */
	b->hosts = sl_out_list(&im->m, t, "hosts");
}

static struct sl_bind *
bind_get(struct istio *is, const char *workload, uint16_t port, enum sl_bind_mode mode,
	 const char *base, struct sl_yaml *node)
{
	struct sl_bind *b;

	for (b = is->binds; b; b = b->next)
		if (b->port == port && strcmp(b->workload, workload) == 0)
			return b;
	b = sl_memory_take(&is->im->m, sizeof(*b));
	b->workload = workload;
	b->port = port;
	b->mode = mode;
	make_listener(is, b, base, node);
	if (is->last)
		is->last->next = b;
	else
		is->binds = b;
	is->last = b;
	return b;
}

static void
bind_add(struct istio *is, struct sl_bind *b, struct sl_object *gateway, struct sl_yaml *server,
	 bool redirect)
{
	struct sl_bind_server *s = sl_memory_take(&is->im->m, sizeof(*s));

	*s = (struct sl_bind_server){
		.gateway = gateway, .server = server, .https_redirect = redirect};
	if (b->last_server)
		b->last_server->next = s;
	else
		b->servers = s;
	b->last_server = s;
}

/* ---- Gateway ---- */

/* "app=a,istio=b": what tells workloads apart. */
static const char *
selector_text(struct sl_import *im, struct sl_yaml *selector)
{
	const char *text = "gateway";

	for (struct sl_yaml *n = sl_yaml_each(selector, NULL); n; n = sl_yaml_each(selector, n))
		text = sl_memory_print(&im->m, "%s,%s=%s", text, n->key, n->text);
	return text;
}

static bool
has_text(const struct sl_out *list, const char *text)
{
	for (const struct sl_out *o = list->first; o; o = o->next)
		if (strcmp(o->text, text) == 0)
			return true;
	return false;
}

static void
add_text(struct sl_import *im, struct sl_out *to, const char *key, const char *text)
{
	struct sl_out *list = sl_out_in_list(&im->m, to, key);

	if (!has_text(list, text))
		sl_out_text(&im->m, list, NULL, text);
}

static void
put_versions(struct sl_import *im, struct sl_out *to, struct sl_yaml *tls)
{
	static const char *const keys[][2] = {{"minProtocolVersion", "min_version"},
					      {"maxProtocolVersion", "max_version"}};

	for (size_t i = 0; i < 2; i++) {
		struct sl_yaml *n = sl_yaml_get(tls, keys[i][0]);
		if (!n || strcmp(n->text, "TLS_AUTO") == 0)
			continue;
		if (!strcmp(n->text, "TLSV1_2") || !strcmp(n->text, "TLSV1_3"))
			sl_import_set(im, to, keys[i][1], n->text[6] == '2' ? "1.2" : "1.3");
		else
			sl_left_changed(&im->left, n, "TLS is 1.2 or 1.3 here");
	}
}

/* What the certificate is called with sluicectl cert: as the secret, else as the file. */
static const char *
certificate_of(struct sl_import *im, struct sl_yaml *tls)
{
	struct sl_yaml *n = sl_yaml_get(tls, "credentialName"),
		       *file = sl_yaml_get(tls, "serverCertificate");

	sl_yaml_get(tls, "privateKey");
	n = n ? n : file;
	if (!n)
		return NULL;
	const char *slash = strrchr(n->text, '/');
	const char *name = sl_words_name(&im->m, slash ? slash + 1 : n->text);
	sl_left_note(&im->left, n,
		     "the certificate \"%s\" has to be there: sluicectl cert add %s --cert FILE "
		     "--key FILE",
		     name, name);
	return name;
}

static void
put_clients(struct sl_import *im, struct sl_out *to, struct sl_yaml *tls, const char *mode,
	    const char *certificate)
{
	struct sl_yaml *ca = sl_yaml_get(tls, "caCertificates"),
		       *sans = sl_yaml_get(tls, "subjectAltNames"), *at = sl_yaml_peek(tls, "mode");
	const char *trust, *why;
	char san[SL_HOST_MAX];

	if (strcmp(mode, "MUTUAL") && strcmp(mode, "OPTIONAL_MUTUAL") &&
	    strcmp(mode, "ISTIO_MUTUAL"))
		return;
	sl_import_set(im, to, "client", strcmp(mode, "OPTIONAL_MUTUAL") ? "required" : "optional");
	if (ca)
		trust = sl_words_name(&im->m, strrchr(ca->text, '/') ? strrchr(ca->text, '/') + 1
								     : ca->text);
	else if (strcmp(mode, "ISTIO_MUTUAL") == 0)
		trust = "istio-root";
	else
		trust = sl_words_name(&im->m, sl_memory_print(&im->m, "%s-cacert", certificate));
	sl_left_note(&im->left, ca ? ca : at,
		     "the bundle \"%s\" has to be there: sluicectl cert add %s --ca FILE", trust,
		     trust);
	add_text(im, to, "trust", trust);
	for (struct sl_yaml *n = sl_yaml_each(sans, NULL); n; n = sl_yaml_each(sans, n)) {
		if ((why = sl_value_san(n->text, san)))
			sl_left_out(&im->left, n, "as a name of a certificate it %s", why);
		else
			add_text(im, to, "client_names", n->text);
	}
}

/* Servers of one port share a listener: certificates add up, of the rest the first counts. */
static void
put_server_tls(struct istio *is, struct sl_bind *b, struct sl_yaml *tls, const char *mode,
	       bool first)
{
	struct sl_import *im = is->im;
	const char *certificate = certificate_of(im, tls);

	if (!certificate && strcmp(mode, "ISTIO_MUTUAL") == 0)
		certificate = "istio";
	if (!certificate) {
		sl_left_changed(&im->left, tls, "names no certificate: \"gateway\" stands for it");
		certificate = "gateway";
	}
	struct sl_out *to = sl_out_in_group(&im->m, b->listener, "tls");
	b->tls = true;
	add_text(im, to, "certificates", certificate);
	struct sl_out *client = sl_out_find(to, "client");
	bool asks = strcmp(mode, "SIMPLE") != 0;
	if (!first && asks != (client != NULL)) {
		sl_left_changed(&im->left, sl_yaml_peek(tls, "mode"),
				"servers of one port ask for clients' certificates alike: as the "
				"first one");
		return;
	}
	put_clients(im, to, tls, mode, certificate);
	put_versions(im, to, tls);
}

static enum sl_bind_mode
mode_of(const char *protocol, const char *tls)
{
	bool pass = !strcmp(tls, "PASSTHROUGH") || !strcmp(tls, "AUTO_PASSTHROUGH");

	if (!strcasecmp(protocol, "HTTP") || !strcasecmp(protocol, "HTTP2") ||
	    !strcasecmp(protocol, "GRPC") || !strcasecmp(protocol, "GRPC-WEB"))
		return SL_BIND_HTTP;
	if (!strcasecmp(protocol, "HTTPS"))
		return pass ? SL_BIND_TLS : SL_BIND_HTTP;
	if (!strcasecmp(protocol, "TLS"))
		return pass || !*tls ? SL_BIND_TLS : SL_BIND_TCP;
	return SL_BIND_TCP;
}

static void
take_server(struct istio *is, struct sl_object *gateway, const char *workload,
	    struct sl_yaml *server)
{
	struct sl_import *im = is->im;
	struct sl_yaml *port = sl_yaml_get(server, "port"), *tls = sl_yaml_get(server, "tls"),
		       *number = sl_yaml_get(port, "number"), *mode_node = sl_yaml_get(tls, "mode"),
		       *redirect = sl_yaml_get(tls, "httpsRedirect");
	const char *protocol = sl_yaml_get_text(port, "protocol"),
		   *tls_mode = mode_node ? mode_node->text : "";
	bool yes = false;
	int64_t n;

	sl_yaml_get(port, "name");
	sl_yaml_get(port, "targetPort");
	sl_yaml_get(server, "name");
	if (!number || !sl_yaml_number(number, 1, 65535, &n)) {
		sl_left_out(&im->left, server, "has no port");
		return;
	}
	if (redirect && !sl_yaml_bool(redirect, &yes))
		sl_left_out(&im->left, redirect, "is neither true nor false");
	protocol = protocol ? protocol : "TCP";
	enum sl_bind_mode mode = mode_of(protocol, tls_mode);
	if (!strncasecmp(protocol, "GRPC", 4) || !strcasecmp(protocol, "HTTP2"))
		sl_left_changed(&im->left, port, "clients are spoken to in HTTP/1.1");
	struct sl_bind *b = bind_get(is, workload, (uint16_t)n, mode, gateway->name, server);
	bool first = !b->servers, ends = *tls_mode && mode != SL_BIND_TLS;
	if (b->mode != mode || (!first && b->tls != ends)) {
		sl_left_out(&im->left, server, "port %u has another protocol by a server before it",
			    b->port);
		return;
	}
	sl_import_from(im, b->listener, server);
	bind_add(is, b, gateway, server, yes);
	if (ends)
		put_server_tls(is, b, tls, tls_mode, first);
	struct sl_yaml *bind = sl_yaml_get(server, "bind");
	struct sl_addr a;
	if (bind && sl_addr_parse(bind->text, &a) == 0)
		sl_import_set(im, b->listener, "address", bind->text);
	else if (bind)
		sl_left_out(&im->left, bind, "is no address");
}

static void
take_gateways(struct istio *is)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&is->im->objects, o, "Gateway"))) {
		const char *workload = selector_text(is->im, sl_yaml_get(o->spec, "selector"));
		struct sl_yaml *servers = sl_yaml_get(o->spec, "servers");
		for (struct sl_yaml *s = sl_yaml_each(servers, NULL); s;
		     s = sl_yaml_each(servers, s))
			take_server(is, o, workload, s);
	}
}

/* ---- hosts ---- */

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

/* The virtual host of the name; the mesh's services are known by shorter names, too. */
static struct sl_out *
vhost_get(struct istio *is, struct sl_bind *b, const char *host, struct sl_yaml *node)
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
		if (has_text(sl_out_find(v, "match"), host))
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
			free_name = free_name && !has_text(sl_out_find(o, "match"), first);
		if (free_name)
			sl_out_text(&im->m, match, NULL, first);
	}
	sl_out_list(&im->m, v, "routes");
	return v;
}

/* Names that matches ask for by authority are hosts of their own. */
static void
authorities(struct istio *is, struct sl_bind *b, const struct sl_object *vs, const char *host)
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
				vhost_get(is, b, name, a);
		}
	}
}

/* ---- routes ---- */

static void
serve_http(struct istio *is, struct sl_bind *b, struct sl_object *vs,
	   const struct sl_object *gateway, const char *host, struct sl_yaml *node)
{
	struct sl_yaml *http = sl_yaml_get(vs->spec, "http");

	if (!http || !vhost_get(is, b, host, node))
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

/* The service that most of what a route of connections sends goes to. */
static struct sl_backend *
heaviest(struct istio *is, const struct sl_object *vs, struct sl_bind *b, struct sl_yaml *list)
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

static void
destination_subnets(struct istio *is, struct sl_yaml *m)
{
	struct sl_yaml *n = sl_yaml_peek(m, "destinationSubnets");

	if (n)
		sl_left_out(&is->im->left, n,
			    "what the client connects to is the listener's address");
	if ((n = sl_yaml_peek(m, "sourceLabels")))
		sl_left_out(&is->im->left, n, "labels of who calls are not known");
	if ((n = sl_yaml_peek(m, "sourceNamespace")))
		sl_left_out(&is->im->left, n, "who calls is not known");
	if ((n = sl_yaml_peek(m, "sourceSubnet")))
		sl_left_out(&is->im->left, n, "who calls is not looked at");
}

static void
serve_names(struct istio *is, struct sl_bind *b, struct sl_yaml *names, struct sl_backend *to)
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
static void
serve_connections(struct istio *is, struct sl_bind *b, struct sl_object *vs,
		  const struct sl_object *gateway, const char *key)
{
	struct sl_yaml *routes = sl_yaml_get(vs->spec, key);
	struct sl_istio_place p = {is->im, b, vs, gateway, ""};

	for (struct sl_yaml *r = sl_yaml_each(routes, NULL); r; r = sl_yaml_each(routes, r)) {
		struct sl_yaml *match = sl_yaml_get(r, "match"), *list = sl_yaml_get(r, "route");
		bool here = !match || !match->first, names = strcmp(key, "tls") == 0;
		struct sl_backend *to = NULL;
		for (struct sl_yaml *m = sl_yaml_each(match, NULL); m; m = sl_yaml_each(match, m)) {
			destination_subnets(is, m);
			if (!sl_istio_match_is_here(&p, m))
				continue;
			here = true;
			if (names && (to = heaviest(is, vs, b, list)))
				serve_names(is, b, sl_yaml_get(m, "sniHosts"), to);
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

static bool
served_before(struct istio *is, struct sl_bind *b, const struct sl_object *vs, const char *host)
{
	for (struct sl_bind_served *s = b->served; s; s = s->next)
		if (s->vs == vs && strcasecmp(s->host, host) == 0)
			return true;
	struct sl_bind_served *s = sl_memory_take(&is->im->m, sizeof(*s));
	*s = (struct sl_bind_served){vs, host, b->served};
	b->served = s;
	return false;
}

static void
serve(struct istio *is, struct sl_bind *b, struct sl_object *vs, const struct sl_object *gateway,
      const char *host, struct sl_yaml *node)
{
	if (served_before(is, b, vs, b->mode == SL_BIND_HTTP ? host : ""))
		return;
	if (b->mode == SL_BIND_HTTP)
		serve_http(is, b, vs, gateway, host, node);
	else
		serve_connections(is, b, vs, gateway, b->mode == SL_BIND_TLS ? "tls" : "tcp");
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

/* Whether some server of the gateway takes a host of the VirtualService. */
static bool
serve_at(struct istio *is, struct sl_object *vs, struct sl_object *gateway)
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
						serve(is, b, vs, gateway, host, h);
					any = any || host;
				}
		}
	}
	return any;
}

/* ---- the mesh ---- */

static bool
speaks_http(const struct sl_object *o, struct sl_yaml *port)
{
	static const char *const others[] = {"tcp",   "tls",   "https", "mongo",
					     "mysql", "redis", "udp"};
	const char *name = sl_yaml_peek_text(port, "appProtocol");

	if (strcmp(o->kind, "Service"))
		name = sl_yaml_peek_text(port, "protocol");
	else if (!name)
		name = sl_yaml_peek_text(port, "name");
	for (size_t i = 0; name && i < SL_ARRAY_CNT(others); i++) {
		size_t n = strlen(others[i]);
		if (strncasecmp(name, others[i], n) == 0 && (!name[n] || name[n] == '-'))
			return false;
	}
	return true;
}

static void
serve_mesh_port(struct istio *is, struct sl_object *vs, const char *host, struct sl_yaml *node,
		uint16_t port)
{
	struct sl_bind *b = bind_get(is, "mesh", port, SL_BIND_HTTP, "mesh", node);

	serve(is, b, vs, NULL, host, node);
}

/* At the ports of its hosts, as far as they speak HTTP. */
static void
serve_mesh(struct istio *is, struct sl_object *vs)
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
			serve_mesh_port(is, vs, host, h, 80);
			continue;
		}
		for (struct sl_yaml *p = ports->first; p; p = p->next) {
			struct sl_yaml *number =
				sl_yaml_peek(p, strcmp(o->kind, "Service") ? "number" : "port");
			if (number && sl_yaml_number(number, 1, 65535, &n) && speaks_http(o, p))
				serve_mesh_port(is, vs, host, h, (uint16_t)n);
		}
	}
}

/* ---- objects ---- */

static void
take_virtual_service(struct istio *is, struct sl_object *vs)
{
	struct sl_import *im = is->im;
	struct sl_yaml *gateways = sl_yaml_get(vs->spec, "gateways");

	if (!gateways || !gateways->first)
		serve_mesh(is, vs);
	for (struct sl_yaml *g = sl_yaml_each(gateways, NULL); g; g = sl_yaml_each(gateways, g)) {
		struct sl_object *o = NULL;
		if (strcmp(g->text, "mesh") == 0) {
			serve_mesh(is, vs);
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

/* Servers that send plaintext elsewhere do so for all of their hosts. */
static void
redirect_hosts(struct istio *is)
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
						: vhost_get(is, b, slash ? slash + 1 : h->text, h);
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
serve_entry_port(struct istio *is, struct sl_object *o, struct sl_yaml *host, struct sl_yaml *port)
{
	struct sl_import *im = is->im;
	struct sl_yaml *number = sl_yaml_get(port, "number");
	const char *protocol = sl_yaml_get_text(port, "protocol"), *subset;
	int64_t n;

	sl_yaml_get(port, "name");
	if (!number || !sl_yaml_number(number, 1, 65535, &n))
		return;
	struct sl_backend *to = sl_istio_backend(im, host->text, (uint16_t)n, "", host, &subset);
	enum sl_bind_mode mode = mode_of(protocol ? protocol : "TCP", "PASSTHROUGH");
	struct sl_bind *b = bind_get(is, "mesh", (uint16_t)n, mode, "mesh", o->root);
	if (b->mode != mode) {
		sl_left_out(&im->left, port, "port %u of the mesh has another protocol", b->port);
	} else if (mode == SL_BIND_HTTP) {
		struct sl_out *v = vhost_get(is, b, host->text, host);
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
			serve_names(is, b, &one, to);
			host->next = next;
		} else if (!sl_out_find(b->listener, "service")) {
			sl_out_text(&im->m, b->listener, "service", to->name);
		} else {
			sl_left_out(&im->left, port, "port %u of the mesh leads elsewhere already",
				    b->port);
		}
	}
}

static void
take_entries(struct istio *is)
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

/* Listeners that lead nowhere, and hosts without routes, are no table. */
static void
prune(struct istio *is)
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
	struct istio is = {.im = im};
	struct sl_object *o = NULL;

	take_gateways(&is);
	while ((o = sl_objects_next(&im->objects, o, "VirtualService")))
		take_virtual_service(&is, o);
	redirect_hosts(&is);
	take_entries(&is);
	sl_istio_policies_end(im);
	sl_istio_authorize(im, is.binds);
	prune(&is);
}
