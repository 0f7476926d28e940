/* PeerAuthentications → how listeners of the mesh meet their clients.
 *
 * What workloads ask of who connects to them is what the mesh's listeners ask that lead to them: STRICT a certificate of the mesh,
 * PERMISSIVE one of who speaks TLS, DISABLE none.  A listener that leads to several asks as the strictest of them does.  Gateways'
 * listeners ask as their servers say.
 */
#include "mgmt/import_istio.h"

#include <string.h>

enum mode { UNSET, DISABLE, PERMISSIVE, STRICT };

/* Who asks most of those that a listener leads to. */
struct asked {
	enum mode mode, least;
	struct sl_yaml *at; /* who says so */
};

/* ---- modes ---- */

static enum mode
mode_of(struct sl_import *im, struct sl_yaml *mtls)
{
	static const char *const words[] = {"UNSET", "DISABLE", "PERMISSIVE", "STRICT"};
	struct sl_yaml *n = sl_yaml_get(mtls, "mode");

	for (size_t i = 0; n && i < SL_ARRAY_CNT(words); i++)
		if (strcmp(n->text, words[i]) == 0)
			return (enum mode)i;
	if (!n)
		return UNSET;
	sl_left_denied(&im->left, n, "is no mode that is known: STRICT");
	return STRICT;
}

/* The port at the pods; 0: not known. */
static int64_t
target_of(const struct sl_backend *b)
{
	struct sl_yaml *ports = b->service ? sl_yaml_peek(b->service->spec, "ports") : NULL;
	int64_t n;

	for (struct sl_yaml *p = ports ? ports->first : NULL; p; p = p->next) {
		struct sl_yaml *port = sl_yaml_peek(p, "port"), *to = sl_yaml_peek(p, "targetPort");
		if (!port || !sl_yaml_number(port, 1, 65535, &n) || n != b->port)
			continue;
		if (!to)
			return n;
		return sl_yaml_number(to, 1, 65535, &n) ? n : 0;
	}
	return 0;
}

/* Of a policy of workloads: a port of theirs may have a mode of its own; one that is not known has the strictest of all. */
static enum mode
mode_at(struct sl_import *im, struct sl_object *o, const struct sl_backend *b, enum mode base)
{
	struct sl_yaml *ports = sl_yaml_get(o->spec, "portLevelMtls");
	int64_t target = target_of(b);
	enum mode most = base;

	for (struct sl_yaml *p = sl_yaml_each(ports, NULL); p; p = sl_yaml_each(ports, p)) {
		enum mode own = mode_of(im, p);
		struct sl_yaml number = {.type = SL_YAML_TEXT, .text = p->key ? p->key : ""};
		int64_t n = 0;
		bool good = sl_yaml_number(&number, 1, 65535, &n);
		if (own && good && target && n == target)
			return own;
		if (!target || !good)
			most = SL_MAX(most, own);
	}
	return most;
}

static bool
selects(const struct sl_object *o)
{
	const struct sl_yaml *labels =
		sl_yaml_peek(sl_yaml_peek(o->spec, "selector"), "matchLabels");

	return labels && labels->first;
}

/* The mode of a service: of its workload before its namespace before the mesh. */
static enum mode
mode_for(struct sl_import *im, const struct sl_backend *b, struct sl_yaml **ret_at)
{
	enum mode mode[3] = {UNSET, UNSET, UNSET}, perhaps = UNSET;
	struct sl_yaml *at[3] = {NULL, NULL, NULL}, *doubt = NULL;
	struct sl_object *o = NULL;

	while ((o = sl_objects_next(&im->objects, o, "PeerAuthentication"))) {
		enum sl_scope fit = sl_scope_service(im, o, b);
		if (fit == SL_SCOPE_OTHERS)
			continue;
		unsigned level = selects(o) ? 0 : strcmp(o->space, "istio-system") ? 1 : 2;
		struct sl_yaml *mtls = sl_yaml_get(o->spec, "mtls");
		enum mode own = mode_of(im, mtls);
		if (level == 0)
			own = mode_at(im, o, b, own);
		if (fit == SL_SCOPE_PERHAPS) {
			sl_scope_tell(im, o, b);
			doubt = own > perhaps ? o->root : doubt;
			perhaps = SL_MAX(perhaps, own);
		} else if (own > mode[level]) {
			mode[level] = own;
			at[level] = o->root;
		}
	}
	unsigned i = mode[0] ? 0 : mode[1] ? 1 : 2;
	*ret_at = perhaps > mode[i] ? doubt : at[i];
	return SL_MAX(perhaps, mode[i]);
}

/* ---- listeners ---- */

static void
ask_for(struct sl_import *im, struct asked *a, const char *service)
{
	const struct sl_backend *b = sl_backend_named(im, service);
	struct sl_yaml *at = NULL;
	enum mode mode = b ? mode_for(im, b, &at) : UNSET;

	a->least = SL_MIN(a->least, mode);
	if (mode <= a->mode)
		return;
	a->mode = mode;
	a->at = at;
}

static void
ask_for_route(struct sl_import *im, struct asked *a, const struct sl_out *route)
{
	const struct sl_out *service = sl_out_find(route, "service"),
			    *split = sl_out_find(route, "split");

	if (service)
		ask_for(im, a, service->text);
	for (const struct sl_out *t = split ? split->first : NULL; t; t = t->next)
		ask_for(im, a, sl_out_find(t, "service")->text);
}

static void
put_tls(struct sl_import *im, const struct sl_bind *b, const struct asked *a)
{
	struct sl_out *tls = sl_out_in_group(&im->m, b->listener, "tls");

	sl_out_text(&im->m, sl_out_list(&im->m, tls, "certificates"), NULL, "istio");
	sl_out_text(&im->m, tls, "client", "required");
	sl_out_text(&im->m, sl_out_list(&im->m, tls, "trust"), NULL, "istio-root");
	if (a->mode == PERMISSIVE)
		sl_out_text(&im->m, tls, "plaintext", "accept");
	sl_left_note(&im->left, a->at,
		     "the certificate \"istio\" and the bundle \"istio-root\" have to be there: "
		     "those of the mesh");
	if (a->least < a->mode)
		sl_left_changed(&im->left, a->at,
				"all clients of listener %s are met like this, as services of "
				"other modes share its port",
				sl_out_find(b->listener, "name")->text);
}

static void
meet(struct sl_import *im, const struct sl_bind *b)
{
	struct asked a = {.least = STRICT};
	const struct sl_out *names = sl_out_find(b->listener, "server_names");

	for (const struct sl_out *v = b->hosts ? b->hosts->first : NULL; v; v = v->next) {
		const struct sl_out *routes = sl_out_find(v, "routes");
		for (const struct sl_out *r = routes->first; r; r = r->next)
			ask_for_route(im, &a, r);
	}
	ask_for_route(im, &a, b->listener);
	for (const struct sl_out *n = names ? names->first : NULL; n; n = n->next)
		ask_for_route(im, &a, n);
	if (a.mode < PERMISSIVE)
		return;
	if (b->mode != SL_BIND_TLS) {
		put_tls(im, b, &a);
	} else if (a.mode == STRICT) {
		sl_istio_deny(im, b->listener);
		sl_left_denied(
			&im->left, a.at,
			"listener %s passes its clients' TLS on, so it cannot ask who they are: "
			"nobody passes there",
			sl_out_find(b->listener, "name")->text);
	}
}

void
sl_istio_peers(struct sl_istio *is)
{
	struct sl_object *o = NULL;

	for (struct sl_bind *b = is->binds; b; b = b->next)
		if (strcmp(b->workload, "mesh") == 0)
			meet(is->im, b);
	while ((o = sl_objects_next(&is->im->objects, o, "PeerAuthentication"))) {
		struct sl_yaml *mtls = sl_yaml_peek(o->spec, "mtls");
		sl_scope_use(o);
		if (mtls && !mtls->used)
			sl_left_out(
				&is->im->left, o->spec,
				"it is about who comes to services from within the mesh, and no "
				"listener of the mesh leads there");
	}
}
