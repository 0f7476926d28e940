/* HTTPMatchRequest → conditions.
 *
 * A match that has a condition which cannot be said is left out as a whole: without it, it would take requests that were not
 * meant.  A prefix is one of the text, not of segments: it becomes a regex, but where the path is rewritten, because a
 * rewrite needs the prefix.
 */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <stdlib.h>
#include <string.h>

/* exact, prefix or regex of a StringMatch; "present" of an empty one; NULL: told. */
static const char *
form_of(struct sl_import *im, struct sl_yaml *node, const char **ret_value)
{
	static const char *const forms[] = {"exact", "prefix", "regex", NULL};

	*ret_value = "";
	for (size_t i = 0; forms[i]; i++) {
		struct sl_yaml *n = sl_yaml_peek(node, forms[i]);
		if (!n || n->type != SL_YAML_TEXT)
			continue;
		n->used = true;
		*ret_value = n->text;
		return forms[i];
	}
	if (node->type == SL_YAML_TEXT ? sl_yaml_is_null(node) : !node->first)
		return "present";
	sl_left_out(&im->left, node, "has none of exact, prefix and regex: its match is left out");
	return NULL;
}

/* ---- uri ---- */

static void
put_prefix(const struct sl_istio_place *p, struct sl_yaml *uri, struct sl_out *route,
	   const char *prefix, const char *rewrite)
{
	struct sl_import *im = p->im;
	size_t len = strlen(prefix);
	bool slash = len && prefix[len - 1] == '/';

	if (len <= 1) { /* "/": every path */
		if (rewrite)
			sl_out_text(&im->m, route, "prefix", "/");
		return;
	}
	if (!rewrite) {
		sl_out_text(&im->m, route, "path_regex",
			    sl_memory_print(&im->m, "%s.*", sl_words_escape(&im->m, prefix)));
		sl_left_note(&im->left, uri,
			     "a prefix of the text is a regex here: a table's goes by segments");
		return;
	}
	const char *segments = sl_memory_copy(&im->m, prefix, len - slash);
	sl_out_text(&im->m, route, "prefix", segments);
	if (slash)
		sl_left_changed(
			&im->left, uri,
			"%s itself is of the route, too: what is rewritten goes by segments",
			segments);
	else
		sl_left_changed(&im->left, uri,
				"paths that go on within the segment, as %sx, are not of the "
				"route: what is "
				"rewritten goes by segments",
				segments);
}

static bool
match_uri(const struct sl_istio_place *p, struct sl_yaml *uri, bool icase, struct sl_out *route,
	  const char *rewrite)
{
	struct sl_import *im = p->im;
	const char *value, *form = form_of(im, uri, &value);

	if (!form)
		return false;
	if (strcmp(form, "present") == 0)
		return true;
	if (strcmp(form, "regex") == 0) {
		if (!*value || strlen(value) > 4096 || sl_value_plain(value)) {
			sl_left_out(&im->left, uri,
				    "is no regex of 1 to 4096 bytes: its match is left out");
			return false;
		}
		sl_out_text(&im->m, route, "path_regex", value);
		return true;
	}
	if (!*value && strcmp(form, "prefix") == 0) {
		return true;
	} else if (!sl_import_path_form(im, value, false, uri)) {
		return false;
	} else if (strcmp(form, "prefix") == 0) {
		put_prefix(p, uri, route, value, rewrite);
	} else if (sl_value_route_path(value)) {
		sl_out_text(&im->m, route, "path_regex", sl_words_escape(&im->m, value));
	} else {
		sl_out_text(&im->m, route, "path", value);
	}
	if (icase && (sl_out_find(route, "path") || sl_out_find(route, "prefix") ||
		      sl_out_find(route, "path_regex")))
		sl_out_bool(&im->m, route, "ignore_case", true);
	return true;
}

/* ---- what the place decides ---- */

/* Whether the virtual host is of the authority; names of hosts are hosts of their own (import_istio.c). */
static bool
match_authority(const struct sl_istio_place *p, struct sl_yaml *node)
{
	const char *value, *form = form_of(p->im, node, &value);

	if (!form)
		return false;
	if (strcmp(form, "present") == 0)
		return true;
	if (strcmp(form, "exact") == 0) {
		size_t n = strcspn(value, ":");
		return strlen(p->host) == n && strncasecmp(value, p->host, n) == 0;
	}
	if (strcmp(form, "prefix") == 0 && p->host[0] != '*')
		return strncasecmp(p->host, value, strlen(value)) == 0;
	sl_left_out(&p->im->left, node, "hosts go by whole names here: its match is left out");
	return false;
}

static bool
match_scheme(const struct sl_istio_place *p, struct sl_yaml *node)
{
	const char *value, *form = form_of(p->im, node, &value),
			   *here = p->bind->tls ? "https" : "http";

	if (!form)
		return false;
	if (strcmp(form, "exact") == 0)
		return strcmp(value, here) == 0;
	if (strcmp(form, "prefix") == 0)
		return strncmp(here, value, strlen(value)) == 0;
	if (strcmp(form, "present") == 0)
		return true;
	sl_left_out(&p->im->left, node, "a scheme is http or https here: its match is left out");
	return false;
}

static bool
gateway_is(const struct sl_istio_place *p, const char *name)
{
	const char *slash = strchr(name, '/');

	if (!p->gateway)
		return strcmp(name, "mesh") == 0;
	if (!slash)
		return !strcmp(p->gateway->name, name) && !strcmp(p->gateway->space, p->vs->space);
	return !strcmp(p->gateway->name, slash + 1) &&
	       strlen(p->gateway->space) == (size_t)(slash - name) &&
	       !strncmp(p->gateway->space, name, (size_t)(slash - name));
}

bool
sl_istio_match_is_here(const struct sl_istio_place *p, struct sl_yaml *match)
{
	struct sl_yaml *gateways = sl_yaml_get(match, "gateways"),
		       *port = sl_yaml_get(match, "port");
	bool any = !gateways;
	int64_t n;

	for (struct sl_yaml *g = sl_yaml_each(gateways, NULL); g; g = sl_yaml_each(gateways, g))
		any = any || gateway_is(p, g->text);
	if (port && (!sl_yaml_number(port, 1, 65535, &n) || n != p->bind->port))
		return false;
	return any;
}

/* ---- methods, maps ---- */

static bool
match_method(const struct sl_istio_place *p, struct sl_yaml *node, struct sl_out *route)
{
	struct sl_import *im = p->im;
	const char *value, *form = form_of(im, node, &value);
	bool good = true;

	if (!form || strcmp(form, "present") == 0)
		return form != NULL;
	if (strcmp(form, "exact") == 0)
		return sl_import_method(im, route, value, node);
	if (strcmp(form, "regex") == 0 &&
	    strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ|()^$") == strlen(value)) {
		const char *at = value + strspn(value, "|()^$");
		for (; good && *at; at += strspn(at, "|()^$")) {
			size_t len = strcspn(at, "|()^$");
			good = sl_import_method(im, route, sl_memory_copy(&im->m, at, len), node);
			at += len;
		}
		return good;
	}
	sl_left_out(&im->left, node, "a route names its methods: its match is left out");
	return false;
}

static bool
match_map(const struct sl_istio_place *p, struct sl_yaml *map, const char *list, bool invert,
	  struct sl_out *route)
{
	const char *value, *form;

	for (struct sl_yaml *n = sl_yaml_each(map, NULL); n; n = sl_yaml_each(map, n)) {
		if (n->key[0] == ':') {
			sl_left_out(&p->im->left, n,
				    "match it by uri, method, scheme or authority: its match is "
				    "left out");
			return false;
		}
		if (!(form = form_of(p->im, n, &value)) ||
		    !sl_import_condition(p->im, route, list, n->key, form, value, invert, n))
			return false;
	}
	return true;
}

/* Who calls is known by his certificate. */
static bool
match_source(const struct sl_istio_place *p, struct sl_yaml *match, struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_yaml *labels = sl_yaml_peek(match, "sourceLabels"),
		       *space = sl_yaml_get(match, "sourceNamespace");

	if (labels) {
		sl_left_out(&im->left, labels,
			    "labels of who calls are not known: its match is left out");
		return false;
	}
	if (!space)
		return true;
	struct sl_out *c = sl_out_group(&im->m, route, "identity");
	sl_out_text(&im->m, c, "regex",
		    sl_memory_print(&im->m, "spiffe://[^/]+/ns/%s/sa/.+",
				    sl_words_escape(&im->m, space->text)));
	sl_left_changed(&im->left, space,
			"the namespace is that of the client's certificate: the listener has to "
			"ask for one");
	return true;
}

bool
sl_istio_match(const struct sl_istio_place *p, struct sl_yaml *match, struct sl_out *route,
	       const char *rewrite)
{
	struct sl_yaml *uri = sl_yaml_get(match, "uri"), *scheme = sl_yaml_get(match, "scheme"),
		       *authority = sl_yaml_get(match, "authority"),
		       *method = sl_yaml_get(match, "method"),
		       *icase = sl_yaml_get(match, "ignoreUriCase"),
		       *headers = sl_yaml_get(match, "headers"),
		       *without = sl_yaml_get(match, "withoutHeaders"),
		       *query = sl_yaml_get(match, "queryParams");
	bool fold = false;

	sl_yaml_get(match, "name");
	if (icase && !sl_yaml_bool(icase, &fold))
		sl_left_out(&p->im->left, icase, "is neither true nor false");
	if (!uri && rewrite)
		sl_out_text(&p->im->m, route, "prefix", "/");
	/* Each that is there is looked at, so that all is told at once. */
	bool here = !authority || match_authority(p, authority);
	here = (!scheme || match_scheme(p, scheme)) && here;
	here = (!uri || match_uri(p, uri, fold, route, rewrite)) && here;
	here = (!method || match_method(p, method, route)) && here;
	here = (!headers || match_map(p, headers, "headers", false, route)) && here;
	here = (!without || match_map(p, without, "headers", true, route)) && here;
	here = (!query || match_map(p, query, "query", false, route)) && here;
	return match_source(p, match, route) && here;
}
