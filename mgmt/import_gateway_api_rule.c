/* HTTPRouteRule → routes: one for each match. */
#include "mgmt/import_gateway_api.h"

#include "mgmt/conf_value.h"

#include <stdlib.h>
#include <string.h>

/* ---- order ---- */

static const char *
path_type(const struct sl_yaml *match)
{
	const char *type = sl_yaml_peek_text(sl_yaml_peek(match, "path"), "type");

	return type ? type : "PathPrefix";
}

static int
type_rank(const struct sl_yaml *match)
{
	const char *type = path_type(match);

	return !strcmp(type, "Exact") ? 0 : !strcmp(type, "PathPrefix") ? 2 : 1;
}

static size_t
path_length(const struct sl_yaml *match)
{
	const char *value = sl_yaml_peek_text(sl_yaml_peek(match, "path"), "value");
	size_t n = value ? strlen(value) : 1;

	if (type_rank(match) == 2) /* "/a/" is "/a" */
		while (n > 1 && value && value[n - 1] == '/')
			n--;
	return n;
}

static uint32_t
count(const struct sl_yaml *match, const char *key)
{
	const struct sl_yaml *n = sl_yaml_peek(match, key);

	return n ? n->cnt : 0;
}

int
sl_match_order(const struct sl_yaml *a, const struct sl_yaml *b)
{
	size_t la = path_length(a), lb = path_length(b);
	bool ma = sl_yaml_peek(a, "method"), mb = sl_yaml_peek(b, "method");
	uint32_t ha = count(a, "headers"), hb = count(b, "headers"), qa = count(a, "queryParams"),
		 qb = count(b, "queryParams");

	if (type_rank(a) != type_rank(b))
		return type_rank(a) - type_rank(b);
	if (la != lb)
		return la > lb ? -1 : 1;
	if (ma != mb)
		return ma ? -1 : 1;
	if (ha != hb)
		return ha > hb ? -1 : 1;
	return (qa < qb) - (qa > qb);
}

/* ---- match ---- */

static bool
match_path(const struct sl_rule_place *p, struct sl_yaml *path, struct sl_out *route)
{
	struct sl_import *im = p->im;
	const char *type = sl_yaml_get_text(path, "type"), *text = sl_yaml_get_text(path, "value");

	type = type ? type : "PathPrefix";
	text = text ? text : "/";
	if (strcmp(type, "RegularExpression") == 0) {
		if (!*text || strlen(text) > 4096 || sl_value_plain(text)) {
			sl_left_out(&im->left, path,
				    "is no regex of 1 to 4096 bytes: its match is left out");
			return false;
		}
		sl_out_text(&im->m, route, "path_regex", text);
		return true;
	}
	if (strcmp(type, "Exact") && strcmp(type, "PathPrefix")) {
		sl_left_out(&im->left, path, "is of no known type: its match is left out");
		return false;
	}
	if (!sl_import_path_form(im, text, true, path))
		return false;
	if (!sl_value_route_path(text))
		sl_out_text(&im->m, route, *type == 'E' ? "path" : "prefix", text);
	else
		sl_out_text(&im->m, route, "path_regex",
			    sl_memory_print(&im->m, "%s%s", sl_words_escape(&im->m, text),
					    *type == 'E' ? "" : "(/.*)?"));
	return true;
}

static bool
match_list(const struct sl_rule_place *p, struct sl_yaml *match, const char *from, const char *list,
	   struct sl_out *route)
{
	struct sl_yaml *all = sl_yaml_get(match, from);

	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		const char *type = sl_yaml_get_text(n, "type"), *name = sl_yaml_get_text(n, "name"),
			   *value = sl_yaml_get_text(n, "value");
		bool regex = type && !strcmp(type, "RegularExpression");
		if (!name || !value || (type && !regex && strcmp(type, "Exact"))) {
			sl_left_out(&p->im->left, n,
				    "needs name and value, Exact or RegularExpression: its match "
				    "is left out");
			return false;
		}
		if (!sl_import_condition(p->im, route, list, name, regex ? "regex" : "exact", value,
					 false, n))
			return false;
	}
	return true;
}

static bool
put_match(const struct sl_rule_place *p, struct sl_yaml *match, struct sl_out *route)
{
	struct sl_yaml *path = sl_yaml_get(match, "path"), *method = sl_yaml_get(match, "method");
	bool good = !path || match_path(p, path, route);

	good = (!method || sl_import_method(p->im, route, method->text, method)) && good;
	good = match_list(p, match, "headers", "headers", route) && good;
	return match_list(p, match, "queryParams", "query", route) && good;
}

/* ---- services ---- */

struct sl_backend *
sl_rule_backend(const struct sl_rule_place *p, struct sl_yaml *ref, const char *fate)
{
	struct sl_import *im = p->im;
	struct sl_yaml *name = sl_yaml_get(ref, "name"), *port = sl_yaml_get(ref, "port");
	const char *kind = sl_yaml_get_text(ref, "kind"),
		   *space = sl_yaml_get_text(ref, "namespace"),
		   *group = sl_yaml_get_text(ref, "group");
	int64_t n = 0;
	bool is_new;

	space = space ? space : p->route->space;
	if ((kind && strcmp(kind, "Service")) || (group && *group) || !name) {
		sl_left_changed(&im->left, ref, "only Services are led to: %s", fate);
		return NULL;
	}
	if (port && !sl_yaml_number(port, 1, 65535, &n))
		sl_left_out(&im->left, port, "is no port");
	if (!sl_api_granted(im, p->route, space, "Service", name->text)) {
		sl_left_changed(&im->left, ref, "no ReferenceGrant lets the route lead there: %s",
				fate);
		return NULL;
	}
	const char *host = sl_memory_print(&im->m, "%s.%s" SL_CLUSTER, name->text, space);
	return sl_backend_get(im, host, (uint16_t)(n ? n : sl_host_only_port(im, host)), "", ref,
			      &is_new);
}

/* A service without endpoints: who comes there is answered 503, the nearest to 500 that a share can be. */
static const char *
nobody(struct sl_import *im)
{
	for (struct sl_out *s = im->services->first; s; s = s->next)
		if (strcmp(sl_out_find(s, "name")->text, "nobody") == 0)
			return "nobody";
	struct sl_out *s = sl_out_group(&im->m, im->services, NULL);
	sl_out_comment(&im->m, s, "shares of requests that lead nowhere");
	sl_out_text(&im->m, s, "name", "nobody");
	return "nobody";
}

static void
put_status(struct sl_import *im, struct sl_out *route, int code)
{
	sl_out_number(&im->m, sl_out_group(&im->m, route, "respond"), "code", code);
}

static void put_backend_filters(const struct sl_rule_place *p, struct sl_yaml *ref, bool alone,
				struct sl_out *route);

static bool
put_targets(const struct sl_rule_place *p, struct sl_yaml *refs, struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_out *split = sl_out_list(&im->m, NULL, NULL);
	int64_t sum = 0, led = 0;

	for (struct sl_yaml *n = sl_yaml_each(refs, NULL); n; n = sl_yaml_each(refs, n)) {
		struct sl_yaml *weight = sl_yaml_get(n, "weight");
		int64_t w = 1;
		if (weight && !sl_yaml_number(weight, 0, 1000000, &w))
			sl_left_out(&im->left, weight, "weights go from 0 to 1000000: 1");
		struct sl_backend *b = sl_rule_backend(p, n, "its share is answered 500");
		sum += w;
		led += b ? w : 0;
		sl_import_target(im, split, b ? b->name : nobody(im), "", w);
		if (b && sl_yaml_peek(n, "filters"))
			put_backend_filters(p, n, refs->cnt == 1, route);
	}
	if (sl_out_find(route, "respond")) /* a filter of one */
		return false;
	if (sum == 0 || led == 0) {
		put_status(im, route, 500);
		return false;
	}
	sl_import_targets_end(im, route, split);
	return true;
}

/* ---- filters ---- */

static void
put_edits(const struct sl_rule_place *p, struct sl_yaml *filter, const char *key, const char *list,
	  struct sl_out *route)
{
	struct sl_yaml *edits = sl_yaml_get(filter, key);
	static const char *const ops[] = {"set", "add", "remove"};

	for (size_t i = 0; i < 3; i++) {
		struct sl_yaml *all = sl_yaml_get(edits, ops[i]);
		for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
			const char *name = i == 2 ? n->text : sl_yaml_get_text(n, "name"),
				   *value = i == 2 ? "" : sl_yaml_get_text(n, "value");
			if (!name || !value)
				sl_left_out(&p->im->left, n, "needs name and value");
			else if (i < 2 && !strcasecmp(name, "host") && *list == 'r' &&
				 list[2] == 'q')
				sl_import_host(p->im, route, value, n);
			else
				sl_import_edit(p->im, route, list, ops[i], name, value, n);
		}
	}
}

static const char *
share_of(struct sl_import *im, struct sl_yaml *mirror)
{
	struct sl_yaml *percent = sl_yaml_get(mirror, "percent"),
		       *f = sl_yaml_get(mirror, "fraction"), *over = sl_yaml_get(f, "numerator"),
		       *under = sl_yaml_get(f, "denominator");
	int64_t n, d = 100;
	const char *text = percent ? sl_words_percent(&im->m, percent->text) : NULL;

	if (over && sl_yaml_number(over, 0, INT32_MAX, &n) &&
	    (!under || sl_yaml_number(under, 1, INT32_MAX, &d)) && n <= d)
		text = sl_words_percent(
			&im->m, sl_memory_print(&im->m, "%.6f", 100.0 * (double)n / (double)d));
	if ((percent || f) && !text)
		sl_left_out(&im->left, percent ? percent : f, "is no share: all requests");
	return text;
}

static void
put_mirror(const struct sl_rule_place *p, struct sl_yaml *filter, struct sl_out *route)
{
	struct sl_yaml *mirror = sl_yaml_get(filter, "requestMirror"),
		       *ref = sl_yaml_get(mirror, "backendRef");
	struct sl_backend *b = ref ? sl_rule_backend(p, ref, "nobody gets copies") : NULL;

	if (b)
		sl_import_mirror(p->im, route, b->name, share_of(p->im, mirror), filter);
}

/* The path of a redirect or rewrite.  The part that a prefix matched goes only where the route has a prefix. */
static void
put_path(const struct sl_rule_place *p, struct sl_yaml *path, struct sl_out *route,
	 struct sl_out *to)
{
	struct sl_import *im = p->im;
	const char *type = sl_yaml_get_text(path, "type");
	struct sl_yaml *n = sl_yaml_get(path, "replaceFullPath");
	bool prefix = type && !strcmp(type, "ReplacePrefixMatch");

	if (prefix)
		n = sl_yaml_get(path, "replacePrefixMatch");
	if (!n)
		return;
	const char *text = prefix && !*n->text ? "/" : n->text, *why = sl_value_route_path(text);
	if (prefix && sl_out_find(route, "path_regex"))
		why = "replaces what the route's prefix matched, and the route has none";
	if (why) {
		sl_left_out(&im->left, n, "%s", why);
		return;
	}
	if (prefix && !sl_out_find(route, "prefix") && !sl_out_find(route, "path"))
		sl_out_text(&im->m, route, "prefix", "/");
	sl_out_text(&im->m, to, prefix && sl_out_find(route, "prefix") ? "prefix" : "path", text);
}

static void
put_redirect(const struct sl_rule_place *p, struct sl_yaml *filter, struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_yaml *r = sl_yaml_get(filter, "requestRedirect"),
		       *scheme = sl_yaml_get(r, "scheme"), *host = sl_yaml_get(r, "hostname"),
		       *port = sl_yaml_get(r, "port"), *code = sl_yaml_get(r, "statusCode"),
		       *path = sl_yaml_get(r, "path");
	struct sl_out *to = sl_out_group(&im->m, NULL, "redirect");
	int64_t n = 302;

	if (code && !sl_yaml_number(code, 301, 308, &n))
		sl_left_changed(&im->left, code, "is no status of a redirect: 302");
	sl_out_number(&im->m, to, "code", n);
	if (host && sl_value_authority(host->text))
		sl_left_out(&im->left, host, "is no host name");
	else if (host)
		sl_out_text(&im->m, to, "host", host->text);
	if (scheme && (!strcmp(scheme->text, "http") || !strcmp(scheme->text, "https")))
		sl_out_bool(&im->m, to, scheme->text, true);
	else if (scheme)
		sl_left_out(&im->left, scheme, "a scheme is http or https");
	if (port)
		sl_import_number(im, to, "port", port, 1, 65535);
	else if (!scheme && host && p->port != 80 && p->port != 443)
		sl_out_number(&im->m, to, "port", p->port);
	if (path)
		put_path(p, path, route, to);
	if (to->cnt > 1) {
		sl_out_attach(route, to);
		return;
	}
	sl_left_changed(&im->left, filter, "leads to where the client is already: answered 404");
	put_status(im, route, 404);
}

static void
put_rewrite(const struct sl_rule_place *p, struct sl_yaml *filter, struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_yaml *r = sl_yaml_get(filter, "urlRewrite"), *host = sl_yaml_get(r, "hostname"),
		       *path = sl_yaml_get(r, "path");
	struct sl_out *to = sl_out_in_group(&im->m, route, "rewrite");

	if (path)
		put_path(p, path, route, to);
	if (host && sl_value_authority(host->text))
		sl_left_out(&im->left, host, "is no host name");
	else if (host)
		sl_import_set(im, to, "host", host->text);
	if (!to->first)
		sl_out_remove(route, "rewrite");
}

static bool
is_type(struct sl_yaml *filter, const char *type)
{
	const char *is = sl_yaml_get_text(filter, "type");

	return is && strcmp(is, type) == 0;
}

static bool
is_known(struct sl_yaml *filter)
{
	return is_type(filter, "RequestHeaderModifier") || is_type(filter, "RequestMirror") ||
	       is_type(filter, "URLRewrite");
}

/* A filter is never passed over: it may be what protects. */
static void
refuse(const struct sl_rule_place *p, struct sl_yaml *filter, struct sl_out *route)
{
	static const char *const actions[] = {"service", "split", "subset", "redirect", "respond"};

	for (size_t i = 0; i < SL_ARRAY_CNT(actions); i++)
		if (sl_out_find(route, actions[i]))
			sl_out_remove(route, actions[i]);
	put_status(p->im, route, 500);
	sl_left_denied(&p->im->left, filter,
		       "a filter of no kind that routes have: its requests are answered 500");
	sl_yaml_use(filter);
}

/* All but redirects; forward: somebody gets the request. */
static void
put_filter(const struct sl_rule_place *p, struct sl_yaml *f, struct sl_out *route, bool forward)
{
	if (is_type(f, "ResponseHeaderModifier"))
		put_edits(p, f, "responseHeaderModifier", "response_headers", route);
	else if (is_type(f, "RequestRedirect"))
		return;
	else if (is_type(f, "CORS") && sl_yaml_peek(f, "cors"))
		sl_import_cors(p->im, route, sl_yaml_get(f, "cors"));
	else if (!is_known(f))
		refuse(p, f, route);
	else if (!forward)
		sl_left_out(&p->im->left, f, "nobody gets the request");
	else if (is_type(f, "RequestHeaderModifier"))
		put_edits(p, f, "requestHeaderModifier", "request_headers", route);
	else if (is_type(f, "RequestMirror"))
		put_mirror(p, f, route);
	else
		put_rewrite(p, f, route);
}

static void
put_backend_filters(const struct sl_rule_place *p, struct sl_yaml *ref, bool alone,
		    struct sl_out *route)
{
	struct sl_yaml *filters = sl_yaml_get(ref, "filters");

	if (!alone) {
		for (struct sl_yaml *f = sl_yaml_each(filters, NULL); f;
		     f = sl_yaml_each(filters, f))
			if (!is_known(f) && !is_type(f, "ResponseHeaderModifier") &&
			    !is_type(f, "RequestRedirect") && !is_type(f, "CORS"))
				refuse(p, f, route);
		sl_left_out(&p->im->left, filters,
			    "filters are of a route, not of one of its shares");
		return;
	}
	for (struct sl_yaml *f = sl_yaml_each(filters, NULL); f; f = sl_yaml_each(filters, f))
		put_filter(p, f, route, true);
}

/* ---- times ---- */

static void
put_times(const struct sl_rule_place *p, struct sl_yaml *rule, struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_yaml *times = sl_yaml_get(rule, "timeouts"),
		       *whole = sl_yaml_get(times, "request"),
		       *one = sl_yaml_get(times, "backendRequest");
	uint64_t ms = 0, try_ms = 0;

	if (whole && sl_import_time(im, route, "timeout", whole, 0, 604800000, &ms) && ms)
		sl_left_note(
			&im->left, whole,
			"is until the answer begins: a body that is slow after it is not ended");
	if (!one || !sl_import_time(im, route, "try_timeout", one, 0, 604800000, &try_ms))
		return;
	uint64_t limit = whole ? ms : 15000; /* the table's default */
	if (limit && try_ms > limit) {
		if (whole)
			sl_out_remove(route, "try_timeout");
		else
			sl_import_set(im, route, "timeout", sl_words_time(&im->m, try_ms));
	}
}

static void
put_retry(const struct sl_rule_place *p, struct sl_yaml *rule, struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_yaml *r = sl_yaml_get(rule, "retry"), *attempts = sl_yaml_get(r, "attempts"),
		       *codes = sl_yaml_get(r, "codes"), *backoff = sl_yaml_get(r, "backoff");
	struct sl_out *to, *on, *list;
	int64_t code;
	uint64_t ms;

	if (!r)
		return;
	to = sl_out_group(&im->m, route, "retry");
	if (attempts)
		sl_import_number(im, to, "attempts", attempts, 0, SL_MAX_RETRIES);
	on = sl_out_list(&im->m, to, "on");
	sl_out_text(&im->m, on, NULL, "connect");
	sl_out_text(&im->m, on, NULL, "reused");
	list = sl_out_list(&im->m, NULL, "codes");
	for (struct sl_yaml *n = sl_yaml_each(codes, NULL); n; n = sl_yaml_each(codes, n)) {
		if (list->cnt == SL_RETRY_CODES_MAX || !sl_yaml_number(n, 400, 599, &code))
			sl_left_out(&im->left, n,
				    "tried again are at most %d statuses from 400 to 599",
				    SL_RETRY_CODES_MAX);
		else
			sl_out_number(&im->m, list, NULL, code);
	}
	if (list->first) {
		sl_out_text(&im->m, on, NULL, "codes");
		sl_out_attach(to, list);
	}
	if (backoff && sl_import_time(im, to, "backoff", backoff, 0, 3600000, &ms) && ms > 250)
		sl_out_text(&im->m, to, "backoff_max", sl_words_time(&im->m, ms));
}

/* ---- a rule ---- */

static const char *const of_endpoints[] = {"rewrite", "request_headers", "mirror"};

static void
put_action(const struct sl_rule_place *p, struct sl_yaml *rule, struct sl_out *route)
{
	struct sl_yaml *filters = sl_yaml_get(rule, "filters"), *redirect = NULL,
		       *refs = sl_yaml_get(rule, "backendRefs");
	bool forward = false;

	for (struct sl_yaml *f = sl_yaml_each(filters, NULL); f; f = sl_yaml_each(filters, f))
		if (is_type(f, "RequestRedirect"))
			redirect = f;
	if (redirect)
		put_redirect(p, redirect, route);
	else if (refs && refs->first)
		forward = put_targets(p, refs, route);
	else
		put_status(p->im, route, 500);
	for (struct sl_yaml *f = sl_yaml_each(filters, NULL); f; f = sl_yaml_each(filters, f))
		put_filter(p, f, route, forward);
	if (forward && !sl_out_find(route, "respond")) {
		put_times(p, rule, route);
		put_retry(p, rule, route);
	}
	if (sl_out_find(route, "respond")) /* of those that a refused filter came behind */
		for (size_t i = 0; i < 3; i++)
			if (sl_out_find(route, of_endpoints[i]))
				sl_out_remove(route, of_endpoints[i]);
}

void
sl_rule_add(const struct sl_rule_place *p, struct sl_yaml *rule, struct sl_yaml *match,
	    struct sl_out *routes)
{
	struct sl_import *im = p->im;
	const char *name = sl_yaml_get_text(rule, "name");
	struct sl_out *route = sl_out_group(&im->m, NULL, NULL);

	name = sl_memory_print(&im->m, "%s-%s", p->route->name,
			       name && *name ? name : sl_memory_print(&im->m, "%u", rule->index));
	sl_out_text(&im->m, route, "name", sl_import_distinct(im, routes, name));
	sl_import_from(im, route, match ? match : rule);
	if (match && !put_match(p, match, route))
		return;
	put_action(p, rule, route);
	sl_out_attach(routes, route);
}
