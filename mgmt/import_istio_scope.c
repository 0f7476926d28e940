/* Whose a policy is: of the workloads of a Gateway, of those behind a service. */
#include "mgmt/import_istio.h"

#include <string.h>

#define ROOT_SPACE "istio-system"

/* Who is known to have these labels, and may have more, as one of whom those of want are asked for. */
static enum sl_scope
labels_fit(const struct sl_yaml *want, const struct sl_yaml *labels)
{
	enum sl_scope fit = SL_SCOPE_OWN;

	for (const struct sl_yaml *n = want ? want->first : NULL; n; n = n->next) {
		const char *is = n->key ? sl_yaml_peek_text(labels, n->key) : NULL;
		if (is && strcmp(is, n->text))
			return SL_SCOPE_OTHERS;
		if (!is)
			fit = SL_SCOPE_PERHAPS;
	}
	return fit;
}

static const struct sl_yaml *
labels_of(const struct sl_object *policy)
{
	return sl_yaml_peek(sl_yaml_peek(policy->spec, "selector"), "matchLabels");
}

static bool
targets(const struct sl_object *policy, const char *kind, const struct sl_object *o)
{
	const struct sl_yaml *one = sl_yaml_peek(policy->spec, "targetRef"),
			     *list = sl_yaml_peek(policy->spec, "targetRefs");

	for (const struct sl_yaml *n = one    ? one
				       : list ? list->first
					      : NULL;
	     n; n = one ? NULL : n->next) {
		const char *is = sl_yaml_peek_text(n, "kind"), *name = sl_yaml_peek_text(n, "name");
		if (is && name && o && !strcmp(is, kind) && !strcmp(name, o->name))
			return true;
	}
	return false;
}

static bool
has_target(const struct sl_object *policy)
{
	return sl_yaml_peek(policy->spec, "targetRef") || sl_yaml_peek(policy->spec, "targetRefs");
}

/* labels: of the workload's pods, as far as they are known; NULL: none is. */
static enum sl_scope
applies(const struct sl_object *policy, const char *kind, const struct sl_object *o,
	const char *space, const struct sl_yaml *labels)
{
	if (strcmp(policy->space, ROOT_SPACE) && strcmp(policy->space, space))
		return SL_SCOPE_OTHERS;
	if (has_target(policy))
		return targets(policy, kind, o) ? SL_SCOPE_OWN : SL_SCOPE_OTHERS;
	return labels_fit(labels_of(policy), labels);
}

bool
sl_scope_gateway(const struct sl_object *policy, const struct sl_object *gateway)
{
	return applies(policy, "Gateway", gateway, gateway->space,
		       sl_yaml_peek(gateway->spec, "selector")) == SL_SCOPE_OWN;
}

/* Whether all whom the policy selects are workloads of a Gateway. */
static bool
selects_gateway(const struct sl_import *im, const struct sl_object *policy)
{
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "Gateway"))) {
		const struct sl_yaml *selector = sl_yaml_peek(o->spec, "selector");
		if (selector && selector->first &&
		    labels_fit(selector, labels_of(policy)) == SL_SCOPE_OWN)
			return true;
	}
	return false;
}

static enum sl_scope
fit_of(struct sl_import *im, const struct sl_object *policy, const struct sl_backend *b)
{
	const char *dot = strchr(b->host, '.'), *end = dot ? strchr(dot + 1, '.') : NULL;

	if (b->service)
		return applies(policy, "Service", b->service, b->service->space,
			       sl_yaml_peek(b->service->spec, "selector"));
	if (b->entry) { /* nothing stands before what is outside of the mesh, unless a policy names it */
		const char *where = sl_yaml_peek_text(b->entry->spec, "location");
		if (!has_target(policy) && (!where || strcmp(where, "MESH_INTERNAL")))
			return SL_SCOPE_OTHERS;
		return applies(policy, "ServiceEntry", b->entry, b->entry->space, NULL);
	}
	if (!end || strcmp(end, SL_CLUSTER))
		return SL_SCOPE_OTHERS;
	return applies(policy, "Service", NULL,
		       sl_memory_copy(&im->m, dot + 1, (size_t)(end - dot - 1)), NULL);
}

enum sl_scope
sl_scope_service(struct sl_import *im, const struct sl_object *policy, const struct sl_backend *b)
{
	enum sl_scope fit = fit_of(im, policy, b);

	return fit == SL_SCOPE_PERHAPS && selects_gateway(im, policy) ? SL_SCOPE_OTHERS : fit;
}

void
sl_scope_use(struct sl_object *policy)
{
	static const char *const scope[] = {"selector", "targetRef", "targetRefs"};

	for (size_t i = 0; i < SL_ARRAY_CNT(scope); i++)
		if (sl_yaml_peek(policy->spec, scope[i]))
			sl_yaml_use(sl_yaml_peek(policy->spec, scope[i]));
}

void
sl_scope_tell(struct sl_import *im, struct sl_object *policy, const struct sl_backend *b)
{
	struct sl_yaml *at = sl_yaml_peek(policy->spec, "selector");

	sl_left_changed(&im->left, at ? at : policy->root,
			"who serves %s may have these labels, which the files do not say: the "
			"policy is held against all of it",
			b->host);
}

struct sl_backend *
sl_backend_named(const struct sl_import *im, const char *name)
{
	for (struct sl_backend *b = im->backends; b; b = b->next)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}
