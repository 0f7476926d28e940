/* What objects of other namespaces say: who may refer to them, and how services are spoken to. */
#include "mgmt/import_gateway_api.h"

#include "mgmt/conf_value.h"

#include <string.h>

/* ---- ReferenceGrant ---- */

static bool
is_from(const struct sl_yaml *n, const struct sl_object *from)
{
	const char *group = sl_yaml_peek_text(n, "group"), *kind = sl_yaml_peek_text(n, "kind"),
		   *space = sl_yaml_peek_text(n, "namespace");

	return kind && !strcmp(kind, from->kind) && space && !strcmp(space, from->space) && group &&
	       !strcmp(group, from->group);
}

static bool
is_to(const struct sl_yaml *n, const char *kind, const char *name)
{
	const char *group = sl_yaml_peek_text(n, "group"), *is = sl_yaml_peek_text(n, "kind"),
		   *only = sl_yaml_peek_text(n, "name");

	return is && !strcmp(is, kind) && (!group || !*group) &&
	       (!only || !*only || !strcmp(only, name));
}

static bool
gives(const struct sl_object *grant, const struct sl_object *from, const char *kind,
      const char *name)
{
	const struct sl_yaml *froms = sl_yaml_peek(grant->spec, "from"),
			     *tos = sl_yaml_peek(grant->spec, "to");
	bool its = false, that = false;

	for (const struct sl_yaml *n = froms ? froms->first : NULL; n; n = n->next)
		its = its || is_from(n, from);
	for (const struct sl_yaml *n = tos ? tos->first : NULL; n; n = n->next)
		that = that || is_to(n, kind, name);
	return its && that;
}

bool
sl_api_granted(const struct sl_import *im, const struct sl_object *from, const char *space,
	       const char *kind, const char *name)
{
	struct sl_object *o = NULL;

	if (strcmp(space, from->space) == 0)
		return true;
	while ((o = sl_objects_next(&im->objects, o, "ReferenceGrant")))
		if (strcmp(o->space, space) == 0 && gives(o, from, kind, name))
			return true;
	return false;
}

/* ---- BackendTLSPolicy ---- */

/* Whether the target is the service's port: sectionName is the port's name. */
static bool
is_target(const struct sl_object *policy, const struct sl_yaml *ref, const struct sl_backend *b)
{
	const char *kind = sl_yaml_peek_text(ref, "kind"), *name = sl_yaml_peek_text(ref, "name"),
		   *section = sl_yaml_peek_text(ref, "sectionName");
	const char *dot = strchr(b->host, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;
	struct sl_yaml *ports = b->service ? sl_yaml_peek(b->service->spec, "ports") : NULL;
	int64_t n;

	if (!kind || strcmp(kind, "Service") || !name || !end ||
	    strlen(name) != (size_t)(dot - b->host) || strncmp(name, b->host, strlen(name)) ||
	    strlen(policy->space) != (size_t)(end - dot - 1) ||
	    strncmp(policy->space, dot + 1, strlen(policy->space)))
		return false;
	if (!section || !*section || !ports)
		return true;
	for (struct sl_yaml *p = ports->first; p; p = p->next) {
		const char *is = sl_yaml_peek_text(p, "name");
		struct sl_yaml *port = sl_yaml_peek(p, "port");
		if (is && !strcmp(is, section))
			return port && sl_yaml_number(port, 1, 65535, &n) && n == b->port;
	}
	return true;
}

static void
put_trust(struct sl_import *im, struct sl_out *tls, struct sl_yaml *validation)
{
	struct sl_yaml *refs = sl_yaml_get(validation, "caCertificateRefs"),
		       *known = sl_yaml_get(validation, "wellKnownCACertificates");
	struct sl_out *list = sl_out_list(&im->m, tls, "trust");

	for (struct sl_yaml *n = sl_yaml_each(refs, NULL); n; n = sl_yaml_each(refs, n)) {
		const char *name = sl_yaml_get_text(n, "name");
		sl_yaml_use(n);
		name = sl_words_name(&im->m, name ? name : "backend-cacert");
		if (list->cnt < 4 && !sl_out_has_text(list, name))
			sl_out_text(&im->m, list, NULL, name);
		else if (list->cnt >= 4)
			sl_left_out(&im->left, n, "a service trusts at most four bundles");
	}
	if (!list->first)
		sl_out_text(&im->m, list, NULL, "system");
	sl_left_note(&im->left,
		     known  ? known
		     : refs ? refs
			    : validation,
		     "the bundle \"%s\" has to be there: sluicectl cert add %s --ca FILE",
		     list->first->text, list->first->text);
}

static void
put_names(struct sl_import *im, struct sl_out *tls, struct sl_yaml *names)
{
	char san[SL_HOST_MAX];
	const char *why;

	for (struct sl_yaml *n = sl_yaml_each(names, NULL); n; n = sl_yaml_each(names, n)) {
		const char *type = sl_yaml_get_text(n, "type"),
			   *text = sl_yaml_get_text(n, type && !strcmp(type, "URI") ? "uri"
										    : "hostname");
		if ((why = text ? sl_value_san(text, san) : "is missing"))
			sl_left_out(&im->left, n, "as a name of a certificate it %s", why);
		else
			sl_out_text(&im->m, sl_out_in_list(&im->m, tls, "names"), NULL, text);
	}
}

static void
put_tls(struct sl_import *im, struct sl_object *policy, struct sl_backend *b)
{
	struct sl_yaml *validation = sl_yaml_get(policy->spec, "validation"),
		       *host = sl_yaml_get(validation, "hostname");
	struct sl_out *tls = sl_out_group(&im->m, b->out, "tls");
	char server[SL_HOST_MAX];

	sl_import_from(im, b->out, policy->root);
	put_trust(im, tls, validation);
	if (host && !sl_value_server(host->text, server))
		sl_out_text(&im->m, tls, "server_name", host->text);
	else {
		sl_left_denied(
			&im->left, host ? host : policy->root,
			"names no host that certificates could have: no endpoint is believed");
		sl_out_text(&im->m, tls, "server_name", "nobody.invalid");
	}
	put_names(im, tls, sl_yaml_get(validation, "subjectAltNames"));
}

/* The oldest policy of a service counts. */
static struct sl_object *
policy_of(struct sl_import *im, const struct sl_backend *b)
{
	struct sl_object *o = NULL, *best = NULL;

	while ((o = sl_objects_next(&im->objects, o, "BackendTLSPolicy"))) {
		struct sl_yaml *refs = sl_yaml_get(o->spec, "targetRefs");
		bool its = false;
		for (struct sl_yaml *n = sl_yaml_each(refs, NULL); n; n = sl_yaml_each(refs, n)) {
			sl_yaml_use(n);
			its = its || is_target(o, n, b);
		}
		if (its && (!best || sl_api_age_order(o, best) < 0))
			best = o;
	}
	return best;
}

void
sl_api_backend_tls(struct sl_import *im)
{
	struct sl_object *o = NULL;

	for (struct sl_backend *b = im->backends; b; b = b->next)
		if ((o = policy_of(im, b)))
			put_tls(im, o, b);
	o = NULL;
	while ((o = sl_objects_next(&im->objects, o, "BackendTLSPolicy"))) {
		struct sl_yaml *validation = sl_yaml_peek(o->spec, "validation");
		if (!validation || !validation->used)
			sl_left_out(&im->left, o->root,
				    "no route leads to what it is for, or an older one is for it");
	}
}
