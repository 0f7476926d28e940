/* Route tables, virtual hosts and routes in the words of their file. */
#include "mgmt/diff_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- texts ---- */

/* Room at the end for what says that there is more. */
#define TAIL 32

static void
add_byte(struct sl_diff_text *t, uint8_t c)
{
	bool plain = c >= ' ' && c < 127;

	t->sum = (t->sum ^ c) * 0x9e3779b97f4a7c15ull;
	t->sum ^= t->sum >> 29;
	if (t->cut || t->len + 4 + TAIL > sizeof(t->text)) {
		t->cut = true;
		return;
	}
	t->len += (size_t)snprintf(t->text + t->len, 5, plain ? "%c" : "\\x%02x", c);
}

void
sl_diff_add(struct sl_diff_text *t, const char *bytes)
{
	for (; bytes && *bytes; bytes++)
		add_byte(t, (uint8_t)*bytes);
}

void
sl_diff_addf(struct sl_diff_text *t, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diff_add(t, text);
}

void
sl_diff_put_text(struct sl_diff_values *v, const char *key, struct sl_diff_text *t)
{
	if (t->cut)
		snprintf(t->text + t->len, TAIL, "... (sum %08x)", (unsigned)(t->sum >> 32));
	sl_diff_put(v, key, "%s", t->text);
}

/* A text or nothing. */
static void
put_plain(struct sl_diff_values *v, const char *key, const char *text)
{
	struct sl_diff_text t = {0};

	sl_diff_add(&t, text);
	sl_diff_put_text(v, key, &t);
}

static const char *
comma(const struct sl_diff_text *t)
{
	return t->len ? ", " : "";
}

/* ---- services ---- */

void
sl_diff_http_values(const struct sl_conf_http *h, struct sl_diff_values *v)
{
	sl_diff_put(v, "http.max_pending", "%u", h->max_pending);
	sl_diff_put(v, "http.max_requests", "%u", h->max_requests);
	sl_diff_put(v, "http.endpoint_requests", "%u", h->endpoint_requests);
	sl_diff_put(v, "http.adaptive.min", "%u", h->adaptive_min);
	sl_diff_put(v, "http.adaptive.buffer_percent", "%u %%", h->adaptive_pct);
	sl_diff_put(v, "http.max_retries", "%u", h->max_retries);
	sl_diff_put(v, "http.requests_per_connection", "%u", h->conn_requests);
	sl_diff_put(v, "http.idle_timeout", "%u ms", h->conn_idle_ms);
	sl_diff_put(v, "http.idle_connections", "%u", h->conn_idle_max);
	sl_diff_put(v, "http.panic_threshold", "%u %%", h->panic_pct);
	sl_diff_put(v, "http.hash", "%s%s%s", sl_hash_on_name(h->hash_on), *h->hash_name ? " " : "",
		    h->hash_name);
	sl_diff_put(v, "http.budget.percent", "%u %%", h->budget_pct);
	sl_diff_put(v, "http.budget.min", "%u", h->budget_min);
	sl_diff_put(v, "http.budget.min_per_second", "%u", h->budget_per_s);
	sl_diff_put(v, "http.ejection.after", "%u", h->eject_after);
	sl_diff_put(v, "http.ejection.gateway_after", "%u", h->gateway_after);
	sl_diff_put(v, "http.ejection.local_after", "%u", h->local_after);
	sl_diff_put(v, "http.ejection.split_local", "%s", h->split_local ? "true" : "false");
	sl_diff_put(v, "http.ejection.rate_deviation", "%u", h->rate_deviation);
	sl_diff_put(v, "http.ejection.failure_percent", "%u %%", h->failure_pct);
	sl_diff_put(v, "http.ejection.rate_endpoints", "%u", h->rate_endpoints);
	sl_diff_put(v, "http.ejection.rate_requests", "%u", h->rate_requests);
	sl_diff_put(v, "http.ejection.sweep", "%u ms", h->sweep_ms);
	sl_diff_put(v, "http.ejection.time", "%u ms", h->eject_ms);
	sl_diff_put(v, "http.ejection.max_time", "%u ms", h->eject_max_ms);
	sl_diff_put(v, "http.ejection.max_percent", "%u %%", h->eject_max_pct);
}

/* ---- tables, hosts ---- */

void
sl_diff_table_values(const struct sl_conf_table *t, struct sl_diff_values *v)
{
	static const char *const slash[] = {"keep", "decode", "reject"};
	const struct sl_img_http *h = &t->http;

	v->minor = true;
	sl_diff_put(v, "header_timeout", "%u ms", h->header_ms);
	sl_diff_put(v, "idle_timeout", "%u ms", h->idle_ms);
	sl_diff_put(v, "stream_idle_timeout", "%u ms", h->stream_idle_ms);
	sl_diff_put(v, "max_header_bytes", "%u", h->max_head);
	sl_diff_put(v, "max_headers", "%u", h->max_headers);
	sl_diff_put(v, "max_requests", "%u", h->conn_requests);
	sl_diff_put(v, "max_body", "%llu", (unsigned long long)h->max_body);
	sl_diff_put(v, "slash_2f", "%s", slash[h->slash_2f]);
	sl_diff_put(v, "merge_slashes", "%s", h->merge_slashes ? "true" : "false");
	sl_diff_put(v, "trusted_hops", "%u", h->trusted_hops);
	sl_diff_put(v, "access_log", "%s", h->log ? "true" : "false");
	sl_diff_traffic_values(&t->policy, v);
	sl_diff_policy_values(&t->policy, v);
}

static int
hostname_order(const void *a, const void *b)
{
	const struct sl_conf_hostname *const *x = a, *const *y = b;
	int d = (int)(*x)->kind - (int)(*y)->kind;

	return d ? d : strcmp((*x)->name, (*y)->name);
}

/* Their order in the file means nothing. */
void
sl_diff_vhost_values(const struct sl_conf_vhost *h, struct sl_diff_values *v)
{
	const struct sl_conf_hostname **sorted = malloc((h->name_cnt + 1u) * sizeof(*sorted));
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; sorted && i < h->name_cnt; i++)
		sorted[i] = &h->names[i];
	if (sorted)
		qsort(sorted, h->name_cnt, sizeof(*sorted), hostname_order);
	for (uint32_t i = 0; sorted && i < h->name_cnt; i++) {
		uint8_t kind = sorted[i]->kind;
		sl_diff_addf(&t, "%s%s%s%s", i ? " " : "",
			     kind == SL_HOST_SUFFIX || kind == SL_HOST_ANY ? "*" : "",
			     sorted[i]->name, kind == SL_HOST_PREFIX ? "*" : "");
	}
	free(sorted);
	sl_diff_put_text(v, "match", &t);
	sl_diff_traffic_values(&h->policy, v);
	sl_diff_policy_values(&h->policy, v);
}

/* ---- conditions ---- */

void
sl_diff_cond(struct sl_diff_text *t, const struct sl_conf_cond *c)
{
	static const char *const op[] = {
		[SL_COND_EXACT] = "exact",       [SL_COND_PREFIX] = "prefix",
		[SL_COND_SUFFIX] = "suffix",     [SL_COND_CONTAINS] = "contains",
		[SL_COND_REGEX] = "regex",       [SL_COND_PRESENT] = "present",
		[SL_COND_RANGE] = "range",       [SL_COND_SEGMENTS] = "prefix",
		[SL_COND_TEMPLATE] = "template", [SL_COND_IN] = "in"};

	sl_diff_addf(t, "%s%s", comma(t), c->invert ? "not " : "");
	sl_diff_add(t, c->name);
	sl_diff_addf(t, "%s%s", c->name ? " " : "", op[c->op]);
	if (c->op == SL_COND_RANGE)
		sl_diff_addf(t, " %lld-%lld", (long long)c->lo, (long long)c->hi - 1);
	if (!c->value)
		return;
	sl_diff_add(t, " \"");
	sl_diff_add(t, c->value);
	sl_diff_addf(t, "\"%s", c->icase ? " in any case" : "");
}

static bool
is_identity(const struct sl_conf_cond *c)
{
	return c->field == SL_FIELD_HEADER && strcmp(c->name, SL_IDENTITY_NAME) == 0;
}

static void
put_conds(const struct sl_conf_hroute *r, enum sl_field field, const char *key,
	  struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < r->cond_cnt; i++)
		if (r->conds[i].field == field && !is_identity(&r->conds[i]))
			sl_diff_cond(&t, &r->conds[i]);
	sl_diff_put_text(v, key, &t);
}

static void
put_identity(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < r->cond_cnt; i++)
		if (is_identity(&r->conds[i])) {
			struct sl_conf_cond c = r->conds[i];
			c.name = NULL;
			sl_diff_cond(&t, &c);
		}
	sl_diff_put_text(v, "identity", &t);
}

static void
path_values(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	static const struct {
		uint8_t op;
		const char *key;
	} row[] = {{SL_COND_EXACT, "path"},
		   {SL_COND_SEGMENTS, "prefix"},
		   {SL_COND_TEMPLATE, "template"},
		   {SL_COND_REGEX, "path_regex"}};
	const struct sl_conf_cond *c =
		r->cond_cnt && r->conds->field == SL_FIELD_PATH ? r->conds : NULL;

	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		const char *value = c && c->op == row[i].op ? c->value : NULL;
		put_plain(v, row[i].key, value && !*value ? "/" : value);
	}
	sl_diff_put(v, "ignore_case", "%s", c && c->icase ? "true" : "");
}

static void
methods_value(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < r->cond_cnt; i++)
		for (unsigned m = 0; r->conds[i].field == SL_FIELD_METHOD && m < SL_METHOD_CNT; m++)
			if (r->conds[i].lo >> m & 1)
				sl_diff_addf(&t, "%s%s", t.len ? " " : "", sl_method_name(m));
	sl_diff_put_text(v, "methods", &t);
}

/* ---- actions ---- */

static void
target_values(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	static const char *const sticky[] = {[SL_STICKY_NONE] = "",
					     [SL_STICKY_HEADER] = "header ",
					     [SL_STICKY_COOKIE] = "cookie ",
					     [SL_STICKY_SOURCE] = "source"};
	bool forward = r->action == SL_ACTION_FORWARD;
	struct sl_diff_text t = {0}, s = {0};

	bool one = forward && !r->split && r->target_cnt;
	for (uint32_t i = 0; i < r->target_cnt && r->split; i++)
		sl_diff_addf(&t, "%s%s%s%s %u", comma(&t), r->targets[i].service,
			     r->targets[i].subset[0] ? " subset " : "", r->targets[i].subset,
			     r->targets[i].weight);
	sl_diff_put(v, "service", "%s", one ? r->targets->service : "");
	sl_diff_put(v, "subset", "%s", one ? r->targets->subset : "");
	sl_diff_put_text(v, "split", &t);
	sl_diff_add(&s, sticky[r->sticky]);
	sl_diff_add(&s, r->sticky_name);
	if (r->sticky_set)
		sl_diff_addf(&s, " set for %u s", r->sticky_ttl_s);
	sl_diff_put_text(v, "sticky", &s);
}

/* The key of what a rewrite or redirect makes of the path. */
static const char *
rewrite_key(const struct sl_conf_hroute *r)
{
	return r->rewrite == SL_REWRITE_PREFIX     ? "prefix"
	       : r->rewrite == SL_REWRITE_TEMPLATE ? "template"
						   : "path";
}

static void
redirect_value(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	static const char *const scheme[] = {"", " https", " http"};
	struct sl_diff_text t = {0};

	if (r->action == SL_ACTION_REDIRECT) {
		sl_diff_addf(&t, "%u%s", r->code, scheme[r->redirect_https]);
		sl_diff_addf(&t, "%s%s", r->host ? " host " : "", r->host ? r->host : "");
		if (r->redirect_port)
			sl_diff_addf(&t, " port %u", r->redirect_port);
		if (r->path)
			sl_diff_addf(&t, " %s ", rewrite_key(r));
		sl_diff_add(&t, r->path);
		sl_diff_add(&t, r->strip_query ? " strip_query" : "");
	}
	sl_diff_put_text(v, "redirect", &t);
}

static void
respond_value(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};

	if (r->action == SL_ACTION_RESPOND)
		sl_diff_addf(&t, "%u", r->code);
	if (r->body) {
		sl_diff_add(&t, " ");
		sl_diff_add(&t, r->content_type);
		sl_diff_add(&t, " \"");
		sl_diff_add(&t, r->body);
		sl_diff_add(&t, "\"");
	}
	sl_diff_put_text(v, "respond", &t);
}

static void
rewrite_values(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	static const char *const key[] = {"rewrite.path", "rewrite.prefix", "rewrite.template"};
	bool forward = r->action == SL_ACTION_FORWARD;

	for (unsigned i = 0; i < SL_ARRAY_CNT(key); i++) {
		bool this = forward && r->path && strcmp(key[i] + 8, rewrite_key(r)) == 0;
		put_plain(v, key[i], this ? r->path : NULL);
	}
	put_plain(v, "rewrite.host", forward ? r->host : NULL);
}

static void
retry_value(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	static const char *const on[] = {"connect",       "reused", "reset",  "5xx",
					 "gateway-error", "codes",  "timeout"};
	struct sl_diff_text t = {0};

	if (r->action == SL_ACTION_FORWARD && r->retries) {
		sl_diff_addf(&t, "%u on", r->retries);
		for (unsigned i = 0; i < SL_ARRAY_CNT(on); i++)
			if (r->retry_on >> i & 1)
				sl_diff_addf(&t, " %s", on[i]);
		for (unsigned i = 0; i < SL_RETRY_CODES_MAX && r->retry_codes[i]; i++)
			sl_diff_addf(&t, " %u", r->retry_codes[i]);
		sl_diff_addf(&t, " after %u to %u ms", r->backoff_ms, r->backoff_max_ms);
	}
	sl_diff_put_text(v, "retry", &t);
}

static void
mirror_value(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < r->mirror_cnt; i++)
		sl_diff_addf(&t, "%s%s %g %%", comma(&t), r->mirrors[i].service,
			     r->mirrors[i].per_million / 1e4);
	sl_diff_put_text(v, "mirror", &t);
}

static void
edits_value(const struct sl_conf_hroute *r, unsigned way, const char *key, struct sl_diff_values *v)
{
	static const char *const op[] = {[SL_EDIT_SET] = "set",
					 [SL_EDIT_ADD] = "add",
					 [SL_EDIT_APPEND] = "append",
					 [SL_EDIT_REMOVE] = "remove"};
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < r->edit_cnt[way]; i++) {
		const struct sl_conf_edit *e = &r->edits[way][i];
		sl_diff_addf(&t, "%s%s %s", comma(&t), op[e->op], e->name);
		sl_diff_add(&t, e->value ? " \"" : "");
		sl_diff_add(&t, e->value);
		sl_diff_add(&t, e->value ? "\"" : "");
	}
	sl_diff_put_text(v, key, &t);
}

static void
time_value(struct sl_diff_values *v, const char *key, const struct sl_conf_hroute *r, uint32_t ms)
{
	if (r->action == SL_ACTION_FORWARD)
		sl_diff_put(v, key, "%u ms", ms);
	else
		sl_diff_put(v, key, "%s", "");
}

void
sl_diff_route_values(const struct sl_conf_hroute *r, struct sl_diff_values *v)
{
	path_values(r, v);
	methods_value(r, v);
	put_conds(r, SL_FIELD_HEADER, "headers", v);
	put_conds(r, SL_FIELD_QUERY, "query", v);
	put_conds(r, SL_FIELD_COOKIE, "cookies", v);
	put_identity(r, v);
	target_values(r, v);
	redirect_value(r, v);
	respond_value(r, v);
	rewrite_values(r, v);
	mirror_value(r, v);
	edits_value(r, 0, "request_headers", v);
	edits_value(r, 1, "response_headers", v);
	sl_diff_traffic_values(&r->policy, v);
	sl_diff_policy_values(&r->policy, v);
	v->minor = true;
	time_value(v, "timeout", r, r->timeout_ms);
	time_value(v, "try_timeout", r, r->try_ms);
	time_value(v, "idle_timeout", r, r->stream_idle_ms);
	retry_value(r, v);
}

/* ---- order ---- */

/* What stayed is a longest rising run of places (patience sorting): end[k] is the thing with the lowest place that a run of
 * k + 1 can end in, before[i] the one in front of i in its run. */
void
sl_diff_moved(const uint32_t *place, uint32_t n, uint32_t *scratch, bool *ret_moved)
{
	uint32_t *end = scratch, *before = scratch + n, runs = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t lo = 0, hi = runs;
		while (lo < hi) {
			uint32_t mid = lo + (hi - lo) / 2;
			if (place[end[mid]] < place[i])
				lo = mid + 1;
			else
				hi = mid;
		}
		before[i] = lo ? end[lo - 1] : UINT32_MAX;
		end[lo] = i;
		runs += lo == runs;
		ret_moved[i] = true;
	}
	for (uint32_t i = runs ? end[runs - 1] : UINT32_MAX; i != UINT32_MAX; i = before[i])
		ret_moved[i] = false;
}
