/* Gateways → binds: their listeners, with TLS, and route tables. */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <string.h>

/* ---- binds ---- */

static const char *
address_of(struct sl_istio *is, const char *workload, struct sl_yaml *node)
{
	struct sl_workload *w;

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
make_listener(struct sl_istio *is, struct sl_bind *b, const char *base, struct sl_yaml *node)
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

struct sl_bind *
sl_bind_get(struct sl_istio *is, const char *workload, uint16_t port, enum sl_bind_mode mode,
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
bind_add(struct sl_istio *is, struct sl_bind *b, struct sl_object *gateway, struct sl_yaml *server,
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

static void
add_text(struct sl_import *im, struct sl_out *to, const char *key, const char *text)
{
	struct sl_out *list = sl_out_in_list(&im->m, to, key);

	if (!sl_out_has_text(list, text))
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
put_server_tls(struct sl_istio *is, struct sl_bind *b, struct sl_yaml *tls, const char *mode,
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

enum sl_bind_mode
sl_bind_mode_of(const char *protocol, const char *tls)
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
take_server(struct sl_istio *is, struct sl_object *gateway, const char *workload,
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
	enum sl_bind_mode mode = sl_bind_mode_of(protocol, tls_mode);
	if (!strncasecmp(protocol, "GRPC", 4) || !strcasecmp(protocol, "HTTP2"))
		sl_left_changed(&im->left, port, "clients are spoken to in HTTP/1.1");
	struct sl_bind *b = sl_bind_get(is, workload, (uint16_t)n, mode, gateway->name, server);
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

void
sl_istio_gateways(struct sl_istio *is)
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
