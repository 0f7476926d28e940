/* Gateways → listeners, with TLS, and their route tables. */
#include "mgmt/import_gateway_api.h"

#include "sluice/addr.h"

#include <string.h>

static const char *
address_of(struct sl_api *api, struct sl_object *gateway)
{
	struct sl_yaml *list = sl_yaml_get(gateway->spec, "addresses");
	const char *found = NULL;
	struct sl_addr a;

	for (struct sl_yaml *n = sl_yaml_each(list, NULL); n; n = sl_yaml_each(list, n)) {
		const char *type = sl_yaml_get_text(n, "type"),
			   *value = sl_yaml_get_text(n, "value");
		if (found || !value || (type && strcmp(type, "IPAddress")) ||
		    sl_addr_parse(value, &a))
			sl_left_out(&api->im->left, n, "a Gateway's listeners have one address");
		else
			found = value;
	}
	return found ? found : sl_import_address(api->im, gateway->root, gateway->title);
}

static struct sl_api_port *
port_get(struct sl_api *api, struct sl_object *gateway, uint16_t number, const char *mode)
{
	struct sl_import *im = api->im;
	struct sl_api_port *p, *sibling = NULL;

	for (p = api->ports; p; p = p->next) {
		if (p->gateway != gateway)
			continue;
		sibling = p;
		if (p->number == number)
			return p;
	}
	p = sl_memory_take(&im->m, sizeof(*p));
	p->gateway = gateway;
	p->number = number;
	const char *name = sl_import_distinct(
		im, im->listeners, sl_memory_print(&im->m, "%s-%u", gateway->name, number));
	struct sl_out *l = sl_out_group(&im->m, im->listeners, NULL);
	sl_out_text(&im->m, l, "name", name);
	sl_out_text(&im->m, l, "address",
		    sibling ? sl_out_find(sibling->listener, "address")->text
			    : address_of(api, gateway));
	sl_out_number(&im->m, l, "port", number);
	sl_out_text(&im->m, l, "protocol", "tcp");
	sl_out_text(&im->m, l, "mode", mode);
	p->listener = l;
	p->mode = mode;
	if (strcmp(mode, "http") == 0) {
		sl_out_text(&im->m, l, "routes", name);
		struct sl_out *t = sl_out_group(&im->m, im->tables, NULL);
		sl_out_text(&im->m, t, "name", name);
		p->hosts = sl_out_list(&im->m, t, "hosts");
	}
	if (api->last)
		api->last->next = p;
	else
		api->ports = p;
	api->last = p;
	return p;
}

/* ---- TLS ---- */

static const char *
bundle_of(struct sl_import *im, struct sl_yaml *refs, struct sl_out *list)
{
	const char *name = "gateway-cacert";

	for (struct sl_yaml *n = sl_yaml_each(refs, NULL); n; n = sl_yaml_each(refs, n)) {
		sl_yaml_use(n);
		name = sl_yaml_get_text(n, "name");
		name = sl_words_name(&im->m, name ? name : "gateway-cacert");
		if (!sl_out_has_text(list, name))
			sl_out_text(&im->m, list, NULL, name);
	}
	if (!list->first)
		sl_out_text(&im->m, list, NULL, name);
	return name;
}

/* What a Gateway asks of its clients: of all its ports, of one, of a listener (older). */
static struct sl_yaml *
validation_of(struct sl_object *gateway, const struct sl_api_port *p, struct sl_yaml *tls)
{
	struct sl_yaml *front = sl_yaml_get(sl_yaml_get(gateway->spec, "tls"), "frontend"),
		       *ports = sl_yaml_get(front, "perPort"), *own = NULL;
	int64_t n;

	for (struct sl_yaml *e = sl_yaml_each(ports, NULL); e; e = sl_yaml_each(ports, e)) {
		struct sl_yaml *port = sl_yaml_get(e, "port");
		if (port && sl_yaml_number(port, 1, 65535, &n) && n == p->number)
			own = sl_yaml_get(e, "tls");
	}
	if (!own)
		own = sl_yaml_get(front, "default");
	own = sl_yaml_get(own, "validation");
	return own ? own : sl_yaml_get(tls, "frontendValidation");
}

static void
put_clients(struct sl_import *im, const struct sl_api_port *p, struct sl_out *to,
	    struct sl_yaml *validation)
{
	const char *mode = sl_yaml_get_text(validation, "mode");
	bool loose = mode && strcmp(mode, "AllowInsecureFallback") == 0;
	struct sl_out *client = sl_out_find(to, "client");

	if (p->listeners && !client)
		sl_left_changed(&im->left, validation,
				"clients of all listeners of port %u are asked", p->number);
	if (!client || !loose)
		sl_import_set(im, to, "client", loose ? "optional" : "required");
	if (loose)
		sl_left_changed(&im->left, validation,
				"who shows a certificate that does not verify is refused");
	const char *name = bundle_of(im, sl_yaml_get(validation, "caCertificateRefs"),
				     sl_out_in_list(&im->m, to, "trust"));
	sl_left_note(&im->left, validation,
		     "the bundle \"%s\" has to be there: sluicectl cert add %s --ca FILE", name,
		     name);
}

/* Certificates of the listeners of a port add up. */
static void
put_tls(struct sl_api *api, struct sl_api_port *p, struct sl_yaml *tls, struct sl_yaml *node)
{
	struct sl_import *im = api->im;
	struct sl_out *to = sl_out_in_group(&im->m, p->listener, "tls");
	struct sl_out *list = sl_out_in_list(&im->m, to, "certificates");
	struct sl_yaml *refs = sl_yaml_get(tls, "certificateRefs");

	sl_yaml_get(tls, "mode");
	for (struct sl_yaml *n = sl_yaml_each(refs, NULL); n; n = sl_yaml_each(refs, n)) {
		const char *name = sl_yaml_get_text(n, "name");
		bool is_there = false;
		const char *space = sl_yaml_get_text(n, "namespace");
		sl_yaml_get(n, "kind");
		sl_yaml_get(n, "group");
		if (!sl_api_granted(im, p->gateway, space ? space : p->gateway->space, "Secret",
				    name ? name : "")) {
			sl_left_changed(&im->left, n,
					"no ReferenceGrant gives the Gateway this certificate: it "
					"has none of it");
			continue;
		}
		name = sl_words_name(&im->m, name ? name : "gateway");
		sl_left_note(&im->left, n,
			     "the certificate \"%s\" has to be there: sluicectl cert add %s --cert "
			     "FILE --key FILE",
			     name, name);
		for (struct sl_out *o = list->first; o; o = o->next)
			is_there = is_there || !strcmp(o->text, name);
		if (!is_there)
			sl_out_text(&im->m, list, NULL, name);
	}
	if (!list->first) {
		sl_left_changed(&im->left, node, "names no certificate: \"gateway\" stands for it");
		sl_out_text(&im->m, list, NULL, "gateway");
	}
	struct sl_yaml *validation = validation_of(p->gateway, p, tls);
	if (validation)
		put_clients(im, p, to, validation);
	else if (sl_out_find(to, "client"))
		sl_left_changed(&im->left, node,
				"clients of all listeners of port %u are asked for certificates",
				p->number);
}

/* The mode of a listener, and whether TLS ends there; NULL: none is like it. */
static const char *
mode_of(const char *protocol, const char *tls, bool *ret_ends)
{
	bool passes = tls && strcmp(tls, "Passthrough") == 0;

	*ret_ends = !passes && (!strcmp(protocol, "HTTPS") || !strcmp(protocol, "TLS"));
	if (!strcmp(protocol, "HTTP") || (!strcmp(protocol, "HTTPS") && !passes))
		return "http";
	if (!strcmp(protocol, "TLS"))
		return passes ? "tls-passthrough" : "tcp";
	return strcmp(protocol, "TCP") ? NULL : "tcp";
}

void
sl_api_listener(struct sl_api *api, struct sl_object *gateway, struct sl_yaml *node)
{
	struct sl_import *im = api->im;
	struct sl_yaml *port = sl_yaml_get(node, "port"), *tls = sl_yaml_get(node, "tls");
	const char *protocol = sl_yaml_get_text(node, "protocol"),
		   *host = sl_yaml_get_text(node, "hostname");
	bool ends;
	const char *mode = mode_of(protocol ? protocol : "", sl_yaml_peek_text(tls, "mode"), &ends);
	int64_t n;

	sl_yaml_get(node, "name");
	sl_yaml_get(tls, "mode");
	if (!port || !sl_yaml_number(port, 1, 65535, &n)) {
		sl_left_out(&im->left, node, "has no port");
		return;
	}
	if (!mode) {
		sl_left_out(&im->left, node,
			    "listeners of HTTP, HTTPS, TLS and TCP are read: no other");
		return;
	}
	struct sl_api_port *p = port_get(api, gateway, (uint16_t)n, mode);
	if (p->listeners && (p->tls != ends || strcmp(p->mode, mode))) {
		sl_left_out(&im->left, node, "port %u has another protocol by a listener before it",
			    p->number);
		return;
	}
	p->tls = ends;
	sl_import_from(im, p->listener, node);
	if (ends)
		put_tls(api, p, tls, node);
	struct sl_api_listener *l = sl_memory_take(&im->m, sizeof(*l));
	*l = (struct sl_api_listener){node, host && *host ? host : "*", p->listeners};
	p->listeners = l;
}
