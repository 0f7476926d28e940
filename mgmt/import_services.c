/* Hosts and ports → services of the table.
 *
 *   ServiceEntry            its endpoints: addresses stand in the table, names are asked of the source "dns"
 *   Service, EndpointSlice  the slices' endpoints stand in the table
 *   Service alone           endpoints are asked of the source "kubernetes"
 *   neither                 NAME.NS.svc.cluster.local: of "kubernetes"; other hosts: of "dns"; told
 */
#include "mgmt/import_priv.h"

#include "mgmt/conf_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- hosts ---- */

bool
sl_host_covers(const char *pattern, const char *host)
{
	size_t p = strlen(pattern), h = strlen(host);

	if (strcmp(pattern, "*") == 0)
		return true;
	if (pattern[0] == '*')
		return h >= p && strcasecmp(pattern + 1, host + h - (p - 1)) == 0;
	return strcasecmp(pattern, host) == 0;
}

/* "NAME.NS.svc.cluster.local": its two parts, copied. */
static bool
cluster_host(struct sl_memory *m, const char *host, const char **ret_name, const char **ret_space)
{
	const char *dot = strchr(host, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;

	if (!end || strcmp(end, SL_CLUSTER))
		return false;
	*ret_name = sl_memory_copy(m, host, (size_t)(dot - host));
	*ret_space = sl_memory_copy(m, dot + 1, (size_t)(end - dot - 1));
	return true;
}

struct sl_object *
sl_host_service(const struct sl_import *im, const char *host)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "Service"))) {
		size_t n = strlen(o->name), s = strlen(o->space);
		if (strncmp(host, o->name, n) == 0 && host[n] == '.' &&
		    strncmp(host + n + 1, o->space, s) == 0 &&
		    strcmp(host + n + 1 + s, SL_CLUSTER) == 0)
			return o;
	}
	return NULL;
}

struct sl_object *
sl_host_entry(const struct sl_import *im, const char *host)
{
	struct sl_object *o = NULL, *wide = NULL;

	while ((o = sl_objects_next(&im->objects, o, "ServiceEntry"))) {
		struct sl_yaml *hosts = sl_yaml_peek(o->spec, "hosts");
		for (struct sl_yaml *n = hosts ? hosts->first : NULL; n; n = n->next) {
			if (strcasecmp(n->text, host) == 0)
				return o;
			if (!wide && sl_host_covers(n->text, host))
				wide = o;
		}
	}
	return wide;
}

/* A Service says port, a ServiceEntry number. */
static struct sl_yaml *
port_number(const struct sl_object *o, const struct sl_yaml *port)
{
	return sl_yaml_peek(port, strcmp(o->kind, "Service") ? "number" : "port");
}

/* The port of the number among a Service's or ServiceEntry's; 0: the only one.  NULL: none. */
static struct sl_yaml *
port_of(const struct sl_object *o, uint16_t number)
{
	struct sl_yaml *ports = o ? sl_yaml_peek(o->spec, "ports") : NULL;
	int64_t n;

	if (number == 0 && ports && ports->cnt != 1)
		return NULL;
	for (struct sl_yaml *p = ports ? ports->first : NULL; p; p = p->next) {
		struct sl_yaml *field = port_number(o, p);
		if (field && sl_yaml_number(field, 1, 65535, &n) && (!number || n == number))
			return p;
	}
	return NULL;
}

uint16_t
sl_host_only_port(const struct sl_import *im, const char *host)
{
	const struct sl_object *o = sl_host_service(im, host);

	if (!o)
		o = sl_host_entry(im, host);
	struct sl_yaml *p = port_of(o, 0);
	int64_t n = 0;
	struct sl_yaml *number = p ? port_number(o, p) : NULL;
	if (number && !sl_yaml_number(number, 1, 65535, &n))
		n = 0;
	return (uint16_t)n;
}

/* ---- endpoints in the table ---- */

struct placed {
	const char *name, *address;
	uint16_t port;
	struct sl_yaml *weight, *locality, *labels;
	const char *zone;
};

static void
put_labels(struct sl_import *im, struct sl_out *to, struct sl_yaml *labels)
{
	char meta[SL_META_MAX] = "";
	struct sl_out *list = NULL;

	for (struct sl_yaml *l = sl_yaml_each(labels, NULL); l; l = sl_yaml_each(labels, l)) {
		const char *pair = sl_memory_print(&im->m, "%s=%s", l->key, l->text);
		const char *why = sl_value_meta_add(pair, meta);
		if (why) {
			sl_left_out(&im->left, l, "the label %s as metadata of an endpoint",
				    sl_words_show(&im->m, why));
			continue;
		}
		if (!list)
			list = sl_out_list(&im->m, to, "metadata");
		sl_out_text(&im->m, list, NULL, pair);
	}
}

static void
put_locality(struct sl_import *im, struct sl_out *to, struct sl_yaml *node, const char *zone)
{
	const char *text = node ? node->text : zone;
	char locality[SL_LOCALITY_MAX];

	if (!text || !*text)
		return;
	const char *why = sl_value_locality(text, locality);
	if (!why)
		sl_out_text(&im->m, to, "locality", text);
	else if (node)
		sl_left_out(&im->left, node, "as a locality it %s", why);
}

/* All endpoints of a service are of one family: that of the first. */
static bool
same_family(struct sl_import *im, const struct sl_out *list, const struct sl_addr *a,
	    struct sl_yaml *node)
{
	struct sl_addr first;

	if (!list || !list->first)
		return true;
	sl_addr_parse(sl_out_find(list->first, "address")->text, &first);
	if (sl_addr_is_v4(&first) == sl_addr_is_v4(a))
		return true;
	sl_left_out(&im->left, node, "endpoints of a service are of one family, that of the first");
	return false;
}

static void
place(struct sl_import *im, struct sl_backend *b, const struct placed *p, uint32_t scale,
      struct sl_yaml *node)
{
	struct sl_addr a;
	struct sl_out *list = sl_out_find(b->out, "endpoints");
	int64_t weight = 1;

	sl_addr_parse(p->address, &a);
	if (!same_family(im, list, &a, node))
		return;
	list = list ? list : sl_out_list(&im->m, b->out, "endpoints");
	const char *name = sl_import_distinct(im, list, p->name);
	struct sl_out *e = sl_out_group(&im->m, list, NULL);
	sl_out_text(&im->m, e, "name", name);
	sl_out_text(&im->m, e, "address", p->address);
	sl_out_number(&im->m, e, "port", p->port);
	if (p->weight && sl_yaml_number(p->weight, 0, UINT32_MAX, &weight)) {
		int64_t small = scale > 1 ? SL_MAX(weight / scale, (int64_t)(weight > 0)) : weight;
		if (small != weight)
			sl_left_changed(&im->left, p->weight,
					"weights go to %u: all of the service were divided by %u",
					SL_MAX_WEIGHT, scale);
		sl_out_number(&im->m, e, "weight", small);
	} else if (p->weight) {
		sl_left_out(&im->left, p->weight, "is no weight: 1");
	}
	put_locality(im, e, p->locality, p->zone);
	if (p->labels) {
		put_labels(im, e, p->labels);
		b->labels = true;
	}
}

/* ---- endpoints that a source knows ---- */

/* NULL: it cannot be asked for, which is told at the node. */
static struct sl_out *
discover(struct sl_import *im, struct sl_backend *b, const char *source, const char *name,
	 struct sl_yaml *node)
{
	char question[256];
	const char *why = sl_value_question(name, question);
	struct sl_out *list = sl_out_find(b->out, "discover");

	if (!why && list && list->cnt == SL_MAX_DISCOVER)
		why = "is one more than the 8 questions of a service";
	if (why) {
		sl_left_out(&im->left, node, "as a name that \"%s\" is asked for it %s", source,
			    why);
		return NULL;
	}
	struct sl_out *d = sl_out_group(&im->m, sl_out_in_list(&im->m, b->out, "discover"), NULL);
	sl_out_text(&im->m, d, "source", source);
	sl_out_text(&im->m, d, "name", name);
	if (strcmp(source, "dns") == 0)
		im->wants_dns = true;
	else
		im->wants_kubernetes = true;
	return d;
}

static void
discover_dns(struct sl_import *im, struct sl_backend *b, const char *host, uint16_t port,
	     struct sl_yaml *node)
{
	struct sl_out *d = discover(im, b, "dns", host, node);

	if (d && port)
		sl_out_number(&im->m, d, "port", port);
	else if (d)
		sl_left_changed(
			&im->left, node,
			"no port is known of %s: its endpoints have none until discover has port",
			sl_words_show(&im->m, host));
}

static bool
is_name(struct sl_import *im, const char *text)
{
	return *text && strcmp(sl_words_name(&im->m, text), text) == 0;
}

static void
discover_cluster(struct sl_import *im, struct sl_backend *b, const char *name, const char *space,
		 struct sl_yaml *port, struct sl_yaml *node)
{
	const char *port_name = port ? sl_yaml_get_text(port, "name") : NULL;

	if (!is_name(im, space) || (port_name && *port_name && !is_name(im, port_name))) {
		sl_left_out(&im->left, node, "has a namespace or port that no cluster has");
		return;
	}
	struct sl_out *d = discover(im, b, "kubernetes", name, node);
	if (!d)
		return;
	sl_out_text(&im->m, d, "namespace", space);
	if (port_name && *port_name)
		sl_out_text(&im->m, d, "port_name", port_name);
}

/* ---- EndpointSlice ---- */

static bool
slice_is_of(const struct sl_object *slice, const struct sl_object *service)
{
	const struct sl_yaml *meta = sl_yaml_peek(slice->root, "metadata");
	const char *of =
		sl_yaml_peek_text(sl_yaml_peek(meta, "labels"), "kubernetes.io/service-name");

	return of && strcmp(of, service->name) == 0 && strcmp(slice->space, service->space) == 0;
}

/* The number that the slice has for the port of the Service; 0: none. */
static uint16_t
slice_port(const struct sl_object *slice, const struct sl_yaml *port)
{
	struct sl_yaml *ports = sl_yaml_get(slice->root, "ports");
	const char *want = sl_yaml_peek_text(port, "name");
	int64_t n;

	for (struct sl_yaml *p = sl_yaml_each(ports, NULL); p; p = sl_yaml_each(ports, p)) {
		const char *name = sl_yaml_get_text(p, "name");
		struct sl_yaml *number = sl_yaml_get(p, "port");
		sl_yaml_get(p, "protocol");
		sl_yaml_get(p, "appProtocol");
		if (strcmp(name ? name : "", want ? want : "") == 0 && number &&
		    sl_yaml_number(number, 1, 65535, &n))
			return (uint16_t)n;
	}
	return 0;
}

static bool
condition(struct sl_yaml *e, const char *key, bool otherwise)
{
	struct sl_yaml *n = sl_yaml_get(sl_yaml_get(e, "conditions"), key);
	bool yes;

	return n && sl_yaml_bool(n, &yes) ? yes : otherwise;
}

static void
place_slice_endpoint(struct sl_import *im, struct sl_backend *b, const struct sl_object *slice,
		     struct sl_yaml *e, uint16_t port)
{
	struct sl_yaml *target = sl_yaml_get(e, "targetRef"),
		       *addresses = sl_yaml_get(e, "addresses");
	const char *zone = sl_yaml_get_text(e, "zone"), *pod = sl_yaml_peek_text(target, "name");
	struct sl_yaml *address = sl_yaml_each(addresses, NULL);
	struct placed p = {.port = port};
	struct sl_addr a;

	if (target)
		sl_yaml_use(target);
	sl_yaml_get(e, "nodeName");
	sl_yaml_get(e, "hostname");
	condition(e, "serving", true);
	condition(e, "terminating", false);
	if (sl_yaml_peek(e, "hints"))
		sl_yaml_use(sl_yaml_peek(e, "hints"));
	if (!address || sl_addr_parse(address->text, &a))
		return;
	if (!condition(e, "ready", true)) {
		sl_left_changed(&im->left, e, "is not ready: it is not among the endpoints");
		return;
	}
	p.address = address->text;
	p.name = pod ? pod : sl_memory_print(&im->m, "%s-%u", address->text, port);
	p.zone = zone ? sl_memory_print(&im->m, "-/%s", zone) : NULL;
	const struct sl_object *o =
		pod ? sl_objects_find(&im->objects, "Pod", slice->space, pod) : NULL;
	p.labels = o ? sl_yaml_peek(sl_yaml_peek(o->root, "metadata"), "labels") : NULL;
	place(im, b, &p, 1, e);
}

/* Whether there was one. */
static bool
place_slices(struct sl_import *im, struct sl_backend *b, struct sl_yaml *port)
{
	struct sl_object *slice = NULL;
	bool any = false;

	while ((slice = sl_objects_next(&im->objects, slice, "EndpointSlice"))) {
		if (!slice_is_of(slice, b->service))
			continue;
		any = true;
		sl_import_from(im, b->out, slice->root);
		sl_yaml_get(slice->root, "addressType");
		uint16_t n = port ? slice_port(slice, port) : 0;
		struct sl_yaml *list = sl_yaml_get(slice->root, "endpoints");
		if (!n && list)
			sl_left_out(&im->left, list,
				    "the slice has no number for port %u of the Service", b->port);
		for (struct sl_yaml *e = n ? sl_yaml_each(list, NULL) : NULL; e;
		     e = sl_yaml_each(list, e))
			place_slice_endpoint(im, b, slice, e, n);
	}
	return any;
}

/* ---- Service ---- */

static void
serve_service(struct sl_import *im, struct sl_backend *b, struct sl_yaml *asked)
{
	struct sl_yaml *port = port_of(b->service, b->port);
	const char *type = sl_yaml_get_text(b->service->spec, "type");

	sl_import_from(im, b->out, b->service->root);
	if (!port && b->port)
		sl_left_changed(&im->left, asked,
				"%s has no port %u: its endpoints are taken as they are",
				b->service->title, b->port);
	if (type && strcmp(type, "ExternalName") == 0) {
		struct sl_yaml *n = sl_yaml_get(b->service->spec, "externalName");
		if (n)
			discover_dns(im, b, n->text, b->port, n);
		return;
	}
	if (place_slices(im, b, port))
		return;
	discover_cluster(im, b, b->service->name, b->service->space, port, asked);
}

/* ---- ServiceEntry ---- */

static uint16_t
entry_port(const struct sl_backend *b, struct sl_yaml *endpoint)
{
	struct sl_yaml *port = port_of(b->entry, b->port), *n = NULL;
	const char *name = port ? sl_yaml_get_text(port, "name") : NULL;
	int64_t number;

	if (endpoint && name)
		n = sl_yaml_get(sl_yaml_get(endpoint, "ports"), name);
	if (!n && port)
		n = sl_yaml_get(port, "targetPort");
	return n && sl_yaml_number(n, 1, 65535, &number) ? (uint16_t)number : b->port;
}

/* By what weights are divided, so that the largest fits. */
static uint32_t
weight_scale(const struct sl_yaml *endpoints)
{
	int64_t most = 1, w;

	for (const struct sl_yaml *e = endpoints ? endpoints->first : NULL; e; e = e->next) {
		const struct sl_yaml *n = sl_yaml_peek(e, "weight");
		if (n && sl_yaml_number(n, 0, UINT32_MAX, &w))
			most = SL_MAX(most, w);
	}
	return (uint32_t)((most + SL_MAX_WEIGHT - 1) / SL_MAX_WEIGHT);
}

static void
serve_endpoint(struct sl_import *im, struct sl_backend *b, struct sl_yaml *e, uint32_t scale)
{
	struct sl_yaml *address = sl_yaml_get(e, "address");
	struct placed p = {.weight = sl_yaml_get(e, "weight"),
			   .locality = sl_yaml_get(e, "locality"),
			   .labels = sl_yaml_get(e, "labels")};
	struct sl_addr a;

	p.port = entry_port(b, e);
	if (!address) {
		sl_left_out(&im->left, e, "has no address");
	} else if (sl_addr_parse(address->text, &a) == 0) {
		p.address = address->text;
		p.name = sl_memory_print(&im->m, "%s-%u", address->text, p.port);
		place(im, b, &p, scale, e);
	} else if (strchr(address->text, '/')) {
		sl_left_out(&im->left, e, "endpoints are addresses, not sockets");
	} else {
		discover_dns(im, b, address->text, p.port, address);
		if (p.labels)
			sl_left_out(&im->left, p.labels, "what DNS finds has no metadata");
		if (p.locality)
			sl_left_out(&im->left, p.locality, "what DNS finds has no locality");
	}
}

static void
serve_entry(struct sl_import *im, struct sl_backend *b)
{
	struct sl_yaml *endpoints = sl_yaml_get(b->entry->spec, "endpoints"),
		       *resolution = sl_yaml_get(b->entry->spec, "resolution");
	const char *how = resolution ? resolution->text : "NONE";
	uint32_t scale = weight_scale(endpoints);

	sl_import_from(im, b->out, b->entry->root);
	if (resolution && strcmp(how, "DNS_ROUND_ROBIN") == 0)
		sl_left_changed(&im->left, resolution, "all addresses that DNS has take requests");
	for (struct sl_yaml *e = sl_yaml_each(endpoints, NULL); e; e = sl_yaml_each(endpoints, e))
		serve_endpoint(im, b, e, scale);
	if (endpoints && endpoints->first)
		return;
	if (strncmp(how, "DNS", 3) == 0)
		discover_dns(im, b, b->host, entry_port(b, NULL), b->entry->root);
	else if (strcmp(how, "STATIC") == 0)
		sl_left_changed(&im->left, resolution,
				"there are no endpoints: the service is empty");
	else if (strchr(b->host, '*'))
		sl_left_changed(
			&im->left, resolution ? resolution : b->entry->spec,
			"requests do not go where the client meant to: the service is empty");
	else {
		sl_left_changed(&im->left, resolution ? resolution : b->entry->spec,
				"requests do not go where the client meant to, but to what DNS has "
				"for the host");
		discover_dns(im, b, b->host, entry_port(b, NULL), b->entry->root);
	}
}

/* ---- a service ---- */

static void
serve_unknown(struct sl_import *im, struct sl_backend *b, struct sl_yaml *asked)
{
	const char *name, *space;

	if (cluster_host(&im->m, b->host, &name, &space)) {
		sl_left_changed(&im->left, asked,
				"no Service %s/%s was given: its endpoints and their port are what "
				"the source "
				"\"kubernetes\" says",
				sl_words_show(&im->m, space), sl_words_show(&im->m, name));
		discover_cluster(im, b, name, space, NULL, asked);
		return;
	}
	sl_left_changed(&im->left, asked,
			"neither a Service nor a ServiceEntry of %s was given: it is asked of DNS",
			sl_words_show(&im->m, b->host));
	discover_dns(im, b, b->host, b->port, asked);
}

static const char *
name_of(struct sl_import *im, const struct sl_backend *b)
{
	const char *name, *space, *base = b->host;

	if (cluster_host(&im->m, b->host, &name, &space))
		base = sl_memory_print(&im->m, "%s.%s", name, space);
	if (b->port)
		base = sl_memory_print(&im->m, "%s-%u", base, b->port);
	if (*b->variant)
		base = sl_memory_print(&im->m, "%s-%s", base, b->variant);
	return sl_import_distinct(im, im->services, base);
}

struct sl_backend *
sl_backend_get(struct sl_import *im, const char *host, uint16_t port, const char *variant,
	       struct sl_yaml *asked, bool *ret_new)
{
	struct sl_backend *b;

	*ret_new = false;
	for (b = im->backends; b; b = b->next)
		if (b->port == port && !strcasecmp(b->host, host) && !strcmp(b->variant, variant))
			return b;
	b = sl_memory_take(&im->m, sizeof(*b));
	b->host = host;
	b->port = port;
	b->variant = variant;
	b->name = name_of(im, b);
	b->out = sl_out_group(&im->m, im->services, NULL);
	sl_out_text(&im->m, b->out, "name", b->name);
	b->service = sl_host_service(im, host);
	b->entry = b->service ? NULL : sl_host_entry(im, host);
	if (im->last_backend)
		im->last_backend->next = b;
	else
		im->backends = b;
	im->last_backend = b;
	if (b->service)
		serve_service(im, b, asked);
	else if (b->entry)
		serve_entry(im, b);
	else
		serve_unknown(im, b, asked);
	struct sl_out *list = sl_out_find(b->out, "endpoints");
	if (list && list->cnt > 655)
		sl_out_number(&im->m, b->out, "max_endpoints", list->cnt);
	*ret_new = true;
	return b;
}

void
sl_backend_subset(struct sl_import *im, struct sl_backend *b, const char *name,
		  struct sl_yaml *labels, struct sl_yaml *asked)
{
	struct sl_out *list = sl_out_in_list(&im->m, b->out, "subsets");

	for (struct sl_out *s = list->first; s; s = s->next)
		if (strcmp(sl_out_find(s, "name")->text, name) == 0)
			return;
	struct sl_out *s = sl_out_group(&im->m, list, NULL);
	sl_out_text(&im->m, s, "name", name);
	if (labels && labels->first) {
		sl_import_from(im, s, labels);
		put_labels(im, s, labels);
	}
	if (!sl_out_find(s, "metadata")) {
		struct sl_out *none = sl_out_list(&im->m, s, "metadata");
		sl_out_text(&im->m, none, NULL, "subset=unknown");
		sl_left_changed(&im->left, asked,
				"no labels are known of the subset %s: nobody is in it, so "
				"requests get 503",
				name);
	} else if (!b->labels) {
		sl_left_changed(&im->left, labels,
				"the source of %s's endpoints tells no labels: until their "
				"metadata has these, "
				"nobody is in the subset, and requests get 503",
				b->name);
	}
}
