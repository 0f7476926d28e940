/* HTTPRoute of a VirtualService → routes: one for each match, all with the same action. */
#include "mgmt/import_istio.h"

#include "mgmt/conf_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- edits ---- */

/* Envoy's "%REQ(x)%" in values has no like; "%%" is a percent sign. */
static const char *
value_of(struct sl_import *im, struct sl_yaml *n)
{
	char *out = sl_memory_take(&im->m, strlen(n->text) + 1), *p = out;

	for (const char *s = n->text; *s; s++) {
		if (*s == '%' && *++s != '%') {
			sl_left_out(&im->left, n,
				    "values are texts: there is nothing that is put in for %%…%%");
			return NULL;
		}
		*p++ = *s;
	}
	return out;
}

static void
put_operations(const struct sl_istio_place *p, struct sl_yaml *ops, struct sl_out *route,
	       const char *list, const char *op)
{
	struct sl_yaml *all = sl_yaml_get(ops, op);
	bool removes = strcmp(op, "remove") == 0, request = strcmp(list, "request_headers") == 0;
	const char *value;

	for (struct sl_yaml *n = sl_yaml_each(all, NULL); n; n = sl_yaml_each(all, n)) {
		const char *name = removes ? n->text : n->key;
		if (!name || !(value = removes ? "" : value_of(p->im, n)))
			continue;
		if (request && !removes &&
		    (!strcasecmp(name, "host") || !strcasecmp(name, ":authority")))
			sl_import_host(p->im, route, value, n);
		else
			sl_import_edit(p->im, route, list, op, name, value, n);
	}
}

/* Envoy removes before it sets and adds.  request: somebody gets the request. */
static void
put_headers(const struct sl_istio_place *p, struct sl_yaml *headers, struct sl_out *route,
	    bool request)
{
	static const char *const ways[][2] = {{"request", "request_headers"},
					      {"response", "response_headers"}};

	if (!request && sl_yaml_peek(headers, "request"))
		sl_left_out(&p->im->left, sl_yaml_peek(headers, "request"),
			    "nobody gets the request");
	for (size_t i = !request; i < 2; i++) {
		struct sl_yaml *ops = sl_yaml_get(headers, ways[i][0]);
		put_operations(p, ops, route, ways[i][1], "remove");
		put_operations(p, ops, route, ways[i][1], "set");
		put_operations(p, ops, route, ways[i][1], "add");
	}
}

/* ---- where to ---- */

static bool
put_targets(const struct sl_istio_place *p, struct sl_yaml *list, struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_out *split = sl_out_list(&im->m, NULL, NULL);
	int64_t sum = 0;

	for (struct sl_yaml *n = sl_yaml_each(list, NULL); n; n = sl_yaml_each(list, n)) {
		struct sl_yaml *weight = sl_yaml_get(n, "weight"),
			       *headers = sl_yaml_get(n, "headers");
		int64_t w = list->cnt == 1;
		if (weight && list->cnt > 1 && !sl_yaml_number(weight, 0, 1000000, &w))
			sl_left_out(&im->left, weight, "weights go from 0 to 1000000: 0");
		const char *subset;
		struct sl_backend *b = sl_istio_destination(im, p->vs, n, p->bind->port, &subset);
		if (!b)
			continue;
		sum += w;
		sl_import_target(im, split, b->name, subset, w);
		if (headers && list->cnt == 1)
			put_headers(p, headers, route, true);
		else if (headers)
			sl_left_out(&im->left, headers,
				    "edits are of a route, not of one of its shares");
	}
	if (sum == 0) {
		sl_left_changed(&im->left, list,
				"nobody takes these requests: they are answered 503");
		sl_out_number(&im->m, sl_out_group(&im->m, route, "respond"), "code", 503);
		return false;
	}
	sl_import_targets_end(im, route, split);
	return true;
}

static void
put_mirror(const struct sl_istio_place *p, struct sl_yaml *destination, const char *percent,
	   struct sl_out *route)
{
	const char *subset;
	struct sl_backend *b =
		sl_istio_destination(p->im, p->vs, destination, p->bind->port, &subset);

	if (!b)
		return;
	if (*subset)
		sl_left_changed(&p->im->left, destination,
				"copies go to the whole of %s, not to a subset", b->name);
	sl_import_mirror(p->im, route, b->name, percent, destination);
}

static void
put_mirrors(const struct sl_istio_place *p, struct sl_yaml *http, struct sl_out *route)
{
	struct sl_yaml *one = sl_yaml_get(http, "mirror"), *list = sl_yaml_get(http, "mirrors");
	const char *percent = sl_import_percent(
		p->im, http, "mirrorPercentage",
		sl_yaml_peek(http, "mirrorPercent") ? "mirrorPercent" : "mirror_percent");

	if (one)
		put_mirror(p, one, percent, route);
	for (struct sl_yaml *n = sl_yaml_each(list, NULL); n; n = sl_yaml_each(list, n))
		put_mirror(p, n, sl_import_percent(p->im, n, "percentage", "percent"), route);
}

/* ---- times ---- */

/* Envoy's words of retryOn. */
static const struct {
	const char *word;
	const char *on[4];
	uint16_t code;
} retry_words[] = {
	{"5xx", {"5xx", "reset", "connect", "reused"}, 0},
	{"gateway-error", {"gateway-error"}, 0},
	{"reset", {"reset", "reused"}, 0},
	{"reset-before-request", {"reused"}, 0},
	{"connect-failure", {"connect"}, 0},
	{"retriable-4xx", {"codes"}, 409},
	{"retriable-status-codes", {NULL}, 0},
	{"refused-stream", {NULL}, 0}, /* HTTP/2 alone has it; the next ones are gRPC's */
	{"unavailable", {NULL}, 0},
	{"cancelled", {NULL}, 0},
	{"deadline-exceeded", {NULL}, 0},
	{"internal", {NULL}, 0},
	{"resource-exhausted", {NULL}, 0},
};

static void
put_word(struct sl_import *im, struct sl_out *on, const char *word)
{
	for (struct sl_out *o = on->first; o; o = o->next)
		if (strcmp(o->text, word) == 0)
			return;
	sl_out_text(&im->m, on, NULL, word);
}

static void
put_code(struct sl_import *im, struct sl_out *retry, struct sl_out *on, int64_t code,
	 struct sl_yaml *node)
{
	struct sl_out *codes = sl_out_in_list(&im->m, retry, "codes");

	for (struct sl_out *o = codes->first; o; o = o->next)
		if (o->number == code)
			return;
	if (codes->cnt == SL_RETRY_CODES_MAX) {
		sl_left_out(&im->left, node, "the status %lld is one more than the %d of a route",
			    (long long)code, SL_RETRY_CODES_MAX);
		return;
	}
	put_word(im, on, "codes");
	sl_out_number(&im->m, codes, NULL, code);
}

static void
put_retry_word(struct sl_import *im, struct sl_out *retry, struct sl_out *on, const char *word,
	       struct sl_yaml *node)
{
	char *end;
	long code = strtol(word, &end, 10);
	size_t i = 0;

	if (end != word && *end == 0 && code >= 400 && code <= 599) {
		put_code(im, retry, on, code, node);
		return;
	}
	while (i < SL_ARRAY_CNT(retry_words) && strcmp(retry_words[i].word, word))
		i++;
	if (i == SL_ARRAY_CNT(retry_words)) {
		sl_left_out(&im->left, node, "%s is nothing that a route tries again",
			    sl_words_show(&im->m, word));
		return;
	}
	if (!retry_words[i].on[0] && strcmp(word, "retriable-status-codes") != 0 && node)
		sl_left_note(&im->left, node,
			     "%s is of HTTP/2 and gRPC: HTTP/1.1 has no such answer", word);
	if (retry_words[i].code)
		put_code(im, retry, on, retry_words[i].code, node);
	for (size_t k = 0; k < SL_ARRAY_CNT(retry_words[i].on) && retry_words[i].on[k]; k++)
		put_word(im, on, retry_words[i].on[k]);
}

static void
put_retry_on(struct sl_import *im, struct sl_out *retry, struct sl_yaml *node, bool try_timeout)
{
	const char *text = node && *node->text
				   ? node->text
				   : "connect-failure,refused-stream,unavailable,cancelled";
	struct sl_out *on = sl_out_list(&im->m, NULL, "on");
	bool timeouts = false;

	for (const char *at = text; *at;) {
		size_t skip = strspn(at, ", "), n = strcspn(at + skip, ", ");
		const char *word = sl_memory_copy(&im->m, at + skip, n);
		if (n)
			put_retry_word(im, retry, on, word, node && *node->text ? node : NULL);
		timeouts = timeouts || !strcmp(word, "5xx") || !strcmp(word, "gateway-error") ||
			   !strcmp(word, "reset");
		at += skip + n;
	}
	if (timeouts && try_timeout)
		put_word(im, on, "timeout");
	put_word(im, on, "reused");
	struct sl_out *codes = sl_out_find(retry, "codes");
	sl_out_remove(retry, "codes");
	sl_out_attach(retry, on);
	if (codes) {
		codes->next = NULL;
		sl_out_attach(retry, codes);
	}
}

/* Istio tries twice more unless told. */
static void
put_retries(struct sl_import *im, struct sl_yaml *http, struct sl_out *route, uint64_t timeout_ms)
{
	struct sl_yaml *r = sl_yaml_get(http, "retries"), *attempts = sl_yaml_get(r, "attempts"),
		       *try = sl_yaml_get(r, "perTryTimeout"), *on = sl_yaml_get(r, "retryOn"),
		       *backoff = sl_yaml_get(r, "backoff"),
		       *ignore = sl_yaml_get(r, "retryIgnorePreviousHosts");
	struct sl_out *retry = sl_out_group(&im->m, NULL, "retry");
	uint64_t try_ms = 0;
	bool yes = true;

	if (try && sl_import_time(im, route, "try_timeout", try, 0, 604800000, &try_ms) &&
	    timeout_ms && try_ms > timeout_ms) {
		sl_out_remove(route, "try_timeout");
		try_ms = 0;
		sl_left_note(&im->left, try,
			     "is longer than the timeout, which ends all tries: no try_timeout");
	}
	if (!attempts || !sl_import_number(im, retry, "attempts", attempts, 0, SL_MAX_RETRIES))
		sl_out_number(&im->m, retry, "attempts", 2);
	put_retry_on(im, retry, on, try_ms > 0);
	if (backoff) {
		uint64_t ms;
		if (sl_import_time(im, retry, "backoff", backoff, 0, 3600000, &ms))
			sl_out_text(&im->m, retry, "backoff_max",
				    sl_words_time(&im->m, SL_MIN(10 * ms, (uint64_t)3600000)));
	}
	if (ignore && sl_yaml_bool(ignore, &yes) && !yes)
		sl_left_changed(&im->left, ignore,
				"a further try goes to another endpoint, where there is one");
	sl_out_attach(route, retry);
}

static void
put_times(struct sl_import *im, struct sl_yaml *http, struct sl_out *route)
{
	struct sl_yaml *timeout = sl_yaml_get(http, "timeout");
	uint64_t ms = 0;

	if (!timeout || !sl_import_time(im, route, "timeout", timeout, 0, 604800000, &ms))
		sl_out_text(&im->m, route, "timeout", "0s");
	else if (ms)
		sl_left_note(
			&im->left, timeout,
			"is until the answer begins: a body that is slow after it is not ended");
	put_retries(im, http, route, ms);
}

/* ---- redirect, direct answer, rewrite ---- */

/* uri of a redirect or rewrite as a key of the group: "path", or "prefix" where the route has a prefix that is replaced. */
static bool
put_path(struct sl_import *im, struct sl_out *group, const char *key, struct sl_yaml *uri)
{
	const char *path =
		uri->text[0] == '/' ? uri->text : sl_memory_print(&im->m, "/%s", uri->text);
	const char *why = sl_value_route_path(path);

	if (!why && strlen(path) > 4096)
		why = "is longer than 4096 bytes";
	if (why) {
		sl_left_out(&im->left, uri, "as a path it %s", why);
		return false;
	}
	sl_out_text(&im->m, group, key, path);
	return true;
}

/* A host with or without a port. */
static const char *
authority_of(struct sl_import *im, struct sl_yaml *n)
{
	const char *why = sl_value_authority(n->text);

	if (!why)
		return n->text;
	sl_left_out(&im->left, n, "%s", why);
	return NULL;
}

static void
put_redirect_port(struct sl_import *im, struct sl_yaml *redirect, struct sl_out *group)
{
	struct sl_yaml *port = sl_yaml_get(redirect, "port"),
		       *derive = sl_yaml_get(redirect, "derivePort");

	if (port)
		sl_import_number(im, group, "port", port, 1, 65535);
	if (derive && strcmp(derive->text, "FROM_PROTOCOL_DEFAULT") == 0)
		sl_left_note(&im->left, derive,
			     "no port is written when the scheme changes or a host is given");
	else if (derive)
		sl_left_changed(&im->left, derive,
				"the request's port is kept only where host and scheme are kept");
}

static void
put_redirect(struct sl_import *im, struct sl_yaml *redirect, struct sl_out *route)
{
	struct sl_yaml *uri = sl_yaml_get(redirect, "uri"),
		       *authority = sl_yaml_get(redirect, "authority"),
		       *scheme = sl_yaml_get(redirect, "scheme"),
		       *code = sl_yaml_get(redirect, "redirectCode");
	struct sl_out *group = sl_out_group(&im->m, route, "redirect");
	const char *host = authority ? authority_of(im, authority) : NULL;
	int64_t n = 301;

	if (code && (!sl_yaml_number(code, 301, 308, &n) || (n > 303 && n < 307))) {
		sl_left_changed(&im->left, code, "is no status of a redirect: 301");
		n = 301;
	}
	sl_out_number(&im->m, group, "code", n);
	if (host) {
		const char *colon =
			host[0] == '[' ? strchr(strchr(host, ']'), ':') : strchr(host, ':');
		if (colon)
			sl_out_number(&im->m, group, "port", atoi(colon + 1));
		sl_out_text(&im->m, group, "host",
			    sl_memory_copy(&im->m, host,
					   colon ? (size_t)(colon - host) : strlen(host)));
	}
	if (scheme && (!strcmp(scheme->text, "https") || !strcmp(scheme->text, "http")))
		sl_out_bool(&im->m, group, scheme->text, true);
	else if (scheme)
		sl_left_out(&im->left, scheme, "a scheme is http or https");
	if (!sl_out_find(group, "port"))
		put_redirect_port(im, redirect, group);
	if (uri)
		put_path(im, group, "path", uri);
	if (group->cnt > 1)
		return;
	sl_left_changed(&im->left, redirect, "leads to where the client is already: answered 404");
	sl_out_remove(route, "redirect");
	sl_out_number(&im->m, sl_out_group(&im->m, route, "respond"), "code", 404);
}

static void
put_respond(struct sl_import *im, struct sl_yaml *direct, struct sl_out *route)
{
	struct sl_yaml *status = sl_yaml_get(direct, "status"), *body = sl_yaml_get(direct, "body"),
		       *string = sl_yaml_get(body, "string"), *bytes = sl_yaml_get(body, "bytes");
	struct sl_out *group = sl_out_group(&im->m, route, "respond");
	const char *text = string  ? string->text
			   : bytes ? sl_words_base64(&im->m, bytes->text)
				   : "";

	if (!status || !sl_import_number(im, group, "code", status, 200, 599))
		sl_out_number(&im->m, group, "code", 500);
	if (!text)
		sl_left_out(&im->left, bytes, "a body is text: it has none");
	else if (strlen(text) > 65536)
		sl_left_out(&im->left, body, "a body goes to 65536 bytes: it has none");
	else if (*text)
		sl_out_text(&im->m, group, "body", text);
}

static void
put_rewrite(struct sl_import *im, struct sl_yaml *rewrite, const struct sl_yaml *match,
	    struct sl_out *route)
{
	struct sl_yaml *uri = sl_yaml_get(rewrite, "uri"),
		       *authority = sl_yaml_get(rewrite, "authority"),
		       *regex = sl_yaml_peek(rewrite, "uriRegexRewrite");
	const char *host = authority ? authority_of(im, authority) : NULL;
	struct sl_out *group = sl_out_in_group(&im->m, route, "rewrite");
	struct sl_out *prefix = sl_out_find(route, "prefix");

	if (regex)
		sl_left_out(&im->left, regex,
			    "a path is rewritten by prefix, template or as a whole: it is kept");
	if (uri && put_path(im, group, prefix ? "prefix" : "path", uri) && prefix) {
		const char *from = sl_yaml_peek_text(sl_yaml_peek(match, "uri"), "prefix");
		bool slash = !from || !*from || from[strlen(from) - 1] == '/';
		if (slash != (uri->text[0] && uri->text[strlen(uri->text) - 1] == '/'))
			sl_left_note(&im->left, uri,
				     "prefixes are replaced by segments: between them and the rest "
				     "stands one /");
	}
	if (host)
		sl_out_text(&im->m, group, "host", host);
	if (!group->first)
		sl_out_remove(route, "rewrite");
}

/* ---- a route ---- */

static void
put_action(const struct sl_istio_place *p, struct sl_yaml *http, const struct sl_yaml *match,
	   struct sl_out *route)
{
	struct sl_import *im = p->im;
	struct sl_yaml *list = sl_yaml_get(http, "route"),
		       *redirect = sl_yaml_get(http, "redirect"),
		       *direct = sl_yaml_get(http, "directResponse"),
		       *rewrite = sl_yaml_get(http, "rewrite"),
		       *headers = sl_yaml_get(http, "headers");

	if (redirect) {
		put_redirect(im, redirect, route);
	} else if (direct) {
		put_respond(im, direct, route);
	} else if (!list || !list->first) {
		sl_left_changed(&im->left, http, "leads nowhere: answered 503");
		sl_out_number(&im->m, sl_out_group(&im->m, route, "respond"), "code", 503);
	} else if (put_targets(p, list, route)) {
		if (rewrite)
			put_rewrite(im, rewrite, match, route);
		put_times(im, http, route);
		put_mirrors(p, http, route);
	}
	if (sl_yaml_peek(http, "corsPolicy"))
		sl_import_cors(im, route, sl_yaml_get(http, "corsPolicy"));
	if (sl_yaml_peek(http, "fault"))
		sl_import_fault(im, route, sl_yaml_get(http, "fault"));
	if (headers)
		put_headers(p, headers, route,
			    sl_out_find(route, "service") || sl_out_find(route, "split"));
}

static void
add_route(const struct sl_istio_place *p, struct sl_yaml *http, struct sl_yaml *match,
	  struct sl_out *routes)
{
	struct sl_import *im = p->im;
	const char *rewrite = sl_yaml_peek_text(sl_yaml_peek(http, "rewrite"), "uri");
	const char *name = sl_yaml_get_text(http, "name"), *of = sl_yaml_peek_text(match, "name");
	struct sl_out *route = sl_out_group(&im->m, NULL, NULL);

	name = name && *name ? name : sl_memory_print(&im->m, "%s-%u", p->vs->name, http->index);
	if (of && *of)
		name = sl_memory_print(&im->m, "%s.%s", name, of);
	sl_out_text(&im->m, route, "name", sl_import_distinct(im, routes, name));
	sl_import_from(im, route, match ? match : http);
	if (match && !sl_istio_match(p, match, route, rewrite))
		return;
	if (!match && rewrite)
		sl_out_text(&im->m, route, "prefix", "/");
	put_action(p, http, match, route);
	sl_out_attach(routes, route);
}

void
sl_istio_routes(const struct sl_istio_place *p, struct sl_yaml *http, struct sl_out *routes)
{
	struct sl_yaml *match = sl_yaml_get(http, "match");

	if (!match || !match->first) {
		add_route(p, http, NULL, routes);
		return;
	}
	for (struct sl_yaml *n = sl_yaml_each(match, NULL); n; n = sl_yaml_each(match, n)) {
		if (!n->first && n->type == SL_YAML_MAP)
			add_route(p, http, NULL, routes);
		else if (sl_istio_match_is_here(p, n))
			add_route(p, http, n, routes);
	}
}
