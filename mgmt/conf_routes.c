/* Drafts → structs: what of a group's keys may stand together, and what they come to.
 *
 * A draft points into the tree; what is kept is copied here.  A copy that could not be made leaves NULL and
 * w->oom.  What depends on other groups is check_routes.c's. */
#include "mgmt/conf_priv.h"

#include "mgmt/conf_value.h"

#include <stdio.h>
#include <stdlib.h>

static char *
copy(struct walk *w, const char *text)
{
	char *s = text ? strdup(text) : NULL;

	if (text && !s)
		w->oom = true;
	return s;
}

static void
to_lower(char *s)
{
	for (; s && *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			*s |= 0x20;
}

static char *
copy_lower(struct walk *w, const char *text)
{
	char *s = copy(w, text);

	to_lower(s);
	return s;
}

bool
sl_conf_given(const struct sl_node *s, const char *key)
{
	return sl_node_member(s, key) != NULL;
}

/* ---- which of several keys ---- */

static void
list_keys(const char *const *keys, const char *word, char *buf, size_t size)
{
	size_t n = 0;

	for (unsigned i = 0; keys[i] && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s%s",
				      i == 0        ? ""
				      : keys[i + 1] ? ", "
						    : word,
				      keys[i]);
}

/* The one of keys (to NULL) that s has; NULL: none, or several, which is told; so is none, when there is a word for it. */
static const char *
one_of(struct walk *w, const struct sl_node *s, const char *const *keys, const char *none)
{
	const char *first = NULL, *second = NULL;
	char list[128], hint[192];

	for (unsigned i = 0; keys[i] && !second; i++) {
		if (!sl_conf_given(s, keys[i]))
			continue;
		if (first)
			second = keys[i];
		else
			first = keys[i];
	}
	if (first ? !second : !none || !w->clean)
		return first;
	list_keys(keys, first ? " and " : " or ", list, sizeof(list));
	snprintf(hint, sizeof(hint), first ? "keep one of %s" : "give %s", list);
	if (first)
		sl_walk_tell(w, sl_node_member(s, second), hint, "%s and %s exclude each other",
			     first, second);
	else
		sl_walk_tell(w, s, hint, "%s", none);
	return NULL;
}

/* key of s goes only with others. */
void
sl_conf_out_of_place(struct walk *w, const struct sl_node *s, const char *key, const char *with)
{
	char hint[192];

	if (!sl_conf_given(s, key))
		return;
	size_t was = sl_walk_push(w, key);
	snprintf(hint, sizeof(hint), "remove it, or give %s", with);
	sl_walk_tell(w, sl_node_member(s, key), hint, "goes with %s only", with);
	sl_walk_pop(w, was);
}

/* A key that has but one value: key = false says nothing. */
static bool
is_true(struct walk *w, const struct sl_node *s, const char *key, bool value)
{
	if (value || !w->clean)
		return value;
	size_t was = sl_walk_push(w, key);
	sl_walk_tell(w, sl_node_member(s, key), "remove it, or give true",
		     "is false, which means nothing");
	sl_walk_pop(w, was);
	return false;
}

/* ---- services, listeners ---- */

void
sl_finish_hash(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	static const char *const keys[] = {"source", "header", "cookie", "query", NULL};
	struct pick_draft *d = draft;
	struct sl_conf_http *http = out;
	const char *key = one_of(w, s, keys, "does not say by what");
	const char *name = d->header ? d->header : d->cookie ? d->cookie : d->query;

	http->hash_given = true;
	if (key && strcmp(key, "source") == 0)
		is_true(w, s, key, d->source);
	if (!key || !name)
		return;
	http->hash_on = d->header   ? SL_HASH_ON_HEADER
			: d->cookie ? SL_HASH_ON_COOKIE
				    : SL_HASH_ON_QUERY;
	snprintf(http->hash_name, sizeof(http->hash_name), "%s", name);
	if (d->header)
		to_lower(http->hash_name);
}

void
sl_finish_listener(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct sl_conf_listener *l = out;
	bool http = l->mode == SL_MODE_HTTP, pass = l->mode == SL_MODE_PASSTHROUGH;
	const char *wants = http ? "routes" : "service";

	(void)draft;
	if (http)
		sl_conf_out_of_place(w, s, "service",
				     "mode \"l4\", \"tcp\" or \"tls-passthrough\"");
	else if (l->mode)
		sl_conf_out_of_place(w, s, "routes", "mode \"http\"");
	if (l->mode)
		sl_finish_tls_mode(w, s, l);
	if (l->mode && l->mode != SL_MODE_TCP)
		sl_conf_out_of_place(w, s, "authorization", "mode \"tcp\"");
	if (sl_conf_given(s, wants) ||
	    (!l->mode && (sl_conf_given(s, "routes") || sl_conf_given(s, "server_names"))))
		return;
	if (!pass)
		sl_walk_missing(w, s, LISTENER, wants);
	else if (w->clean && !l->sni_cnt)
		sl_walk_tell(w, s, "give server_names, or a service for every name, or both",
			     "leads to no service");
}

/* ---- conditions ---- */

/* What the key of a condition makes of it; op stays 0 when the value was wrong. */
static void
finish_value(struct walk *w, const struct sl_node *s, const struct cond_draft *d,
	     struct sl_conf_cond *c, bool range)
{
	const char *const keys[] = {
		"exact", "prefix", "suffix", "contains", "regex", "present", range ? "range" : NULL,
		NULL};
	static const uint8_t ops[] = {SL_COND_EXACT,    SL_COND_PREFIX, SL_COND_SUFFIX,
				      SL_COND_CONTAINS, SL_COND_REGEX,  SL_COND_PRESENT,
				      SL_COND_RANGE};
	const char *const values[] = {d->exact, d->prefix, d->suffix, d->contains,
				      d->regex, NULL,      d->range};
	const char *key = one_of(w, s, keys, "has no condition"), *why;
	unsigned i = 0;

	while (key && strcmp(key, keys[i]))
		i++;
	if (!key || (ops[i] != SL_COND_PRESENT && !values[i]))
		return;
	if (ops[i] == SL_COND_PRESENT && !is_true(w, s, key, d->present))
		return;
	if (ops[i] == SL_COND_RANGE && (why = sl_value_range(d->range, &c->lo, &c->hi))) {
		char quoted[96];
		size_t was = sl_walk_push(w, key);
		sl_walk_tell(w, sl_node_member(s, key), "give two integers, as 1-10; both count",
			     "%s %s", sl_value_quote(d->range, quoted, sizeof(quoted)), why);
		sl_walk_pop(w, was);
		return;
	}
	c->op = ops[i];
	if (ops[i] < SL_COND_PRESENT) {
		bool low = d->icase && ops[i] != SL_COND_REGEX;
		c->value = low ? copy_lower(w, values[i]) : copy(w, values[i]);
	} else if (d->icase) {
		sl_conf_out_of_place(w, s, "ignore_case",
				     "exact, prefix, suffix, contains or regex");
	}
}

static void
finish_cond(struct walk *w, const struct sl_node *s, const struct cond_draft *d,
	    struct sl_conf_cond *c, enum sl_field field)
{
	bool identity = d->name && strcmp(d->name, SL_IDENTITY_NAME) == 0;

	c->field = (uint8_t)field;
	c->line = sl_walk_line(s);
	c->invert = d->invert;
	c->icase = d->icase;
	c->name = field == SL_FIELD_HEADER ? copy_lower(w, d->name) : copy(w, d->name);
	finish_value(w, s, d, c, !identity);
}

void
sl_finish_header(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	finish_cond(w, s, draft, out, SL_FIELD_HEADER);
}

void
sl_finish_rule_claim(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	finish_cond(w, s, draft, out, SL_FIELD_CLAIM);
}

void
sl_finish_parameter(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	finish_cond(w, s, draft, out, SL_FIELD_QUERY);
}

void
sl_finish_cookie(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	finish_cond(w, s, draft, out, SL_FIELD_COOKIE);
}

/* Literals of a template in lower case; names are names. */
void
sl_finish_identity(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct cond_draft *d = draft;

	d->name = SL_IDENTITY_NAME;
	finish_cond(w, s, d, out, SL_FIELD_HEADER);
}

static void
template_to_lower(char *text)
{
	bool name = false;

	for (; text && *text; text++) {
		name = *text == '{' || (name && *text != '}');
		if (!name && *text >= 'A' && *text <= 'Z')
			*text |= 0x20;
	}
}

/* "/api/" is "/api", "/" is "": segments alone count. */
static void
cut_slashes(char *text)
{
	size_t n = text ? strlen(text) : 0;

	while (n && text[n - 1] == '/')
		text[--n] = 0;
}

static void
finish_path(struct walk *w, const struct sl_node *s, const struct route_draft *d,
	    struct sl_conf_cond *c)
{
	const char *text = d->path       ? d->path
			   : d->prefix   ? d->prefix
			   : d->template ? d->template
					 : d->path_regex;
	const char *key = d->path       ? "path"
			  : d->prefix   ? "prefix"
			  : d->template ? "template"
					: "path_regex";

	c->field = SL_FIELD_PATH;
	c->op = d->path       ? SL_COND_EXACT
		: d->prefix   ? SL_COND_SEGMENTS
		: d->template ? SL_COND_TEMPLATE
			      : SL_COND_REGEX;
	c->icase = d->icase;
	c->line = sl_walk_line(sl_node_member(s, key));
	c->value = copy(w, text);
	if (d->prefix)
		cut_slashes(c->value);
	if (d->icase && d->template)
		template_to_lower(c->value);
	else if (d->icase && !d->path_regex)
		to_lower(c->value);
}

static void
cond_fini(struct sl_conf_cond *c)
{
	free(c->name);
	free(c->value);
}

static void
move_conds(struct sl_conf_hroute *r, struct sl_conf_cond *from, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		if (r->conds)
			r->conds[r->cond_cnt++] = from[i];
		else
			cond_fini(&from[i]);
	}
	free(from);
}

static void
finish_conds(struct walk *w, const struct sl_node *s, struct route_draft *d,
	     struct sl_conf_hroute *r)
{
	static const char *const keys[] = {"path", "prefix", "template", "path_regex", NULL};
	const char *key = one_of(w, s, keys, NULL);
	bool path = key && (d->path || d->prefix || d->template || d->path_regex);
	bool identity = d->identity.line != 0;
	uint32_t cnt =
		d->header_cnt + d->query_cnt + d->cookie_cnt + path + (d->methods != 0) + identity;

	if (cnt && !(r->conds = calloc(cnt, sizeof(*r->conds))))
		w->oom = true;
	if (r->conds && path)
		finish_path(w, s, d, &r->conds[r->cond_cnt++]);
	if (r->conds && d->methods)
		r->conds[r->cond_cnt++] =
			(struct sl_conf_cond){.field = SL_FIELD_METHOD,
					      .op = SL_COND_IN,
					      .lo = d->methods,
					      .line = sl_walk_line(sl_node_member(s, "methods"))};
	move_conds(r, d->headers, d->header_cnt);
	move_conds(r, d->query, d->query_cnt);
	move_conds(r, d->cookies, d->cookie_cnt);
	if (r->conds && identity)
		r->conds[r->cond_cnt++] = d->identity;
	else
		cond_fini(&d->identity);
	if (!key && d->icase && w->clean)
		sl_conf_out_of_place(w, s, "ignore_case", "path, prefix, template or path_regex");
}

/* ---- actions ---- */

static void
finish_targets(struct walk *w, struct route_draft *d, struct sl_conf_hroute *r)
{
	r->targets = d->split;
	r->target_cnt = d->split_cnt;
	if (r->targets || !d->service[0])
		return;
	if (!(r->targets = calloc(1, sizeof(*r->targets)))) {
		w->oom = true;
		return;
	}
	r->target_cnt = 1;
	r->targets[0].weight = 1;
	r->targets[0].line = r->line;
	memcpy(r->targets[0].service, d->service, SL_NAME_MAX);
	memcpy(r->targets[0].subset, d->subset, SL_NAME_MAX);
}

static void
finish_sticky(struct walk *w, const struct sl_node *route, const struct pick_draft *d,
	      struct sl_conf_hroute *r)
{
	static const char *const keys[] = {"cookie", "header", "source", NULL};
	const struct sl_node *s = sl_node_member(route, "sticky");

	if (!s || s->type != SL_NODE_GROUP)
		return;
	size_t was = sl_walk_push(w, "sticky");
	const char *key = one_of(w, s, keys, "does not say by what");
	if (key && d->header) {
		r->sticky = SL_STICKY_HEADER;
		r->sticky_name = copy_lower(w, d->header);
	} else if (key && d->cookie) {
		r->sticky = SL_STICKY_COOKIE;
		r->sticky_name = copy(w, d->cookie);
	} else if (key && strcmp(key, "source") == 0 && is_true(w, s, key, d->source)) {
		r->sticky = SL_STICKY_SOURCE;
	}
	r->sticky_set = r->sticky_name && r->sticky == SL_STICKY_COOKIE && d->set;
	r->sticky_ttl_s = d->ttl_ms / 1000;
	if (w->clean && !d->cookie)
		sl_conf_out_of_place(w, s, "set", "cookie");
	if (w->clean && !d->set)
		sl_conf_out_of_place(w, s, "ttl", "set = true");
	if (d->ttl_ms % 1000)
		sl_walk_tell(w, sl_node_member(s, "ttl"), "give whole seconds",
			     "ttl is %u ms, which a cookie cannot say", d->ttl_ms);
	sl_walk_pop(w, was);
}

/* The path that a rewrite or a redirect makes. */
static void
finish_new_path(struct walk *w, const struct sl_node *s, const char *path, const char *prefix,
		const char *expansion, struct sl_conf_hroute *r)
{
	static const char *const keys[] = {"path", "prefix", "template", NULL};

	if (!one_of(w, s, keys, NULL))
		return;
	r->rewrite = path        ? SL_REWRITE_PATH
		     : prefix    ? SL_REWRITE_PREFIX
		     : expansion ? SL_REWRITE_TEMPLATE
				 : SL_REWRITE_NONE;
	r->path = copy(w, path ? path : prefix ? prefix : expansion);
}

static bool
redirect_code(unsigned code)
{
	return code == 0 || (code >= 301 && code <= 303) || code == 307 || code == 308;
}

/* Where it leads: not back to where the client came from. */
static void
check_redirect(struct walk *w, const struct sl_node *s, const struct redirect_draft *d)
{
	size_t was;

	if (!redirect_code(d->code)) {
		was = sl_walk_push(w, "code");
		sl_walk_tell(w, sl_node_member(s, "code"), "give 301, 302, 303, 307 or 308",
			     "%u is not a redirect's", d->code);
		sl_walk_pop(w, was);
	}
	if (d->host && strchr(d->host[0] == '[' ? strchr(d->host, ']') : d->host, ':')) {
		was = sl_walk_push(w, "host");
		sl_walk_tell(w, sl_node_member(s, "host"), "give it as port = ...", "has a port");
		sl_walk_pop(w, was);
	}
	if (w->clean && !d->host && !sl_conf_given(s, "https") && !sl_conf_given(s, "http") &&
	    !d->port && !d->path && !d->prefix && !d->expansion && !d->strip_query)
		sl_walk_tell(w, s,
			     "give host, https, http, port, path, prefix, template or strip_query",
			     "changes nothing: clients would come back");
}

static void
finish_redirect(struct walk *w, const struct sl_node *route, const struct redirect_draft *d,
		struct sl_conf_hroute *r)
{
	static const char *const schemes[] = {"https", "http", NULL};
	const struct sl_node *s = sl_node_member(route, "redirect");

	if (!s || s->type != SL_NODE_GROUP)
		return;
	size_t was = sl_walk_push(w, "redirect");
	const char *scheme = one_of(w, s, schemes, NULL);
	if (scheme && is_true(w, s, scheme, d->https || d->http))
		r->redirect_https = d->https ? 1 : 2;
	check_redirect(w, s, d);
	finish_new_path(w, s, d->path, d->prefix, d->expansion, r);
	r->action = SL_ACTION_REDIRECT;
	r->code = d->code;
	r->host = copy_lower(w, d->host);
	r->redirect_port = d->port;
	r->strip_query = d->strip_query;
	sl_walk_pop(w, was);
}

/* No body may stand there (RFC 9110, 6.4.1). */
static bool
bodiless(unsigned code)
{
	return code == 204 || code == 205 || code == 304;
}

static void
finish_respond(struct walk *w, const struct sl_node *route, const struct respond_draft *d,
	       struct sl_conf_hroute *r)
{
	const struct sl_node *s = sl_node_member(route, "respond");
	bool body = d->body && *d->body;

	if (!s || s->type != SL_NODE_GROUP)
		return;
	size_t was = sl_walk_push(w, "respond");
	if (body && bodiless(d->code))
		sl_walk_tell(w, sl_node_member(s, "body"), "remove the body, or give another code",
			     "an answer %u has no body", d->code);
	if (!body && w->clean)
		sl_conf_out_of_place(w, s, "content_type", "body");
	r->action = SL_ACTION_RESPOND;
	r->code = d->code;
	if (body) {
		r->body = copy(w, d->body);
		r->content_type = copy(w, d->content_type ? d->content_type : "text/plain");
	}
	sl_walk_pop(w, was);
}

static void
finish_rewrite(struct walk *w, const struct sl_node *route, const struct rewrite_draft *d,
	       struct sl_conf_hroute *r)
{
	const struct sl_node *s = sl_node_member(route, "rewrite");

	if (!s || s->type != SL_NODE_GROUP)
		return;
	size_t was = sl_walk_push(w, "rewrite");
	finish_new_path(w, s, d->path, d->prefix, d->expansion, r);
	r->host = copy_lower(w, d->host);
	sl_walk_pop(w, was);
}

static void
finish_retry(struct walk *w, const struct sl_node *route, const struct retry_draft *d,
	     struct sl_conf_hroute *r)
{
	const struct sl_node *s = sl_node_member(route, "retry");
	size_t was = sl_walk_push(w, "retry");

	r->retries = d->attempts;
	r->retry_on = d->on;
	r->backoff_ms = d->backoff_ms;
	r->backoff_max_ms = d->backoff_max_ms;
	memcpy(r->retry_codes, d->codes, sizeof(r->retry_codes));
	if (s && s->type == SL_NODE_GROUP && w->clean) {
		if (!(d->on & SL_RETRY_CODES))
			sl_conf_out_of_place(w, s, "codes", "\"codes\" in on");
		else if (!d->codes[0])
			sl_walk_missing(w, s, RETRY, "codes");
	}
	sl_walk_pop(w, was);
}

/* ---- edits ---- */

void
sl_finish_edit(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	static const char *const keys[] = {"set", "add", "append", "remove", NULL};
	struct edit_draft *d = draft;
	struct sl_conf_edit *e = out;
	const char *key = one_of(w, s, keys, "does not say what is done");
	const char *name = d->set ? d->set : d->add ? d->add : d->append ? d->append : d->remove;

	e->line = sl_walk_line(s);
	if (!key || !name)
		return;
	if (d->remove)
		sl_conf_out_of_place(w, s, "value", "set, add or append");
	else if (!sl_conf_given(s, "value"))
		sl_walk_missing(w, s, EDIT, "value");
	e->op = d->set      ? SL_EDIT_SET
		: d->add    ? SL_EDIT_ADD
		: d->append ? SL_EDIT_APPEND
			    : SL_EDIT_REMOVE;
	e->name = copy(w, name);
	if (!d->remove)
		e->value = copy(w, d->value);
}

/* ---- routes ---- */

/* What only makes sense when a request goes on to a service. */
static void
check_action_keys(struct walk *w, const struct sl_node *s, const char *action)
{
	static const char *const keys[] = {"rewrite", "timeout", "try_timeout",    "idle_timeout",
					   "retry",   "mirror",  "request_headers"};

	if (strcmp(action, "split"))
		sl_conf_out_of_place(w, s, "sticky", "split");
	if (strcmp(action, "service"))
		sl_conf_out_of_place(w, s, "subset", "service");
	if (strcmp(action, "service") == 0 || strcmp(action, "split") == 0)
		return;
	for (unsigned i = 0; i < SL_ARRAY_CNT(keys); i++)
		sl_conf_out_of_place(w, s, keys[i], "service or split");
}

void
sl_finish_route(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	static const char *const actions[] = {"service", "split", "redirect", "respond", NULL};
	struct route_draft *d = draft;
	struct sl_conf_hroute *r = out;
	const char *action = one_of(w, s, actions, "does not say what becomes of the request");

	memcpy(r->name, d->name, sizeof(r->name));
	r->line = sl_walk_line(s);
	r->incomplete = !w->clean;
	finish_conds(w, s, d, r);
	finish_targets(w, d, r);
	r->policy = d->policy;
	r->mirrors = d->mirror;
	r->mirror_cnt = d->mirror_cnt;
	memcpy(r->edits, d->edits, sizeof(r->edits));
	memcpy(r->edit_cnt, d->edit_cnt, sizeof(r->edit_cnt));
	if (!action)
		return;
	check_action_keys(w, s, action);
	if (strcmp(action, "redirect") == 0) {
		finish_redirect(w, s, &d->redirect, r);
	} else if (strcmp(action, "respond") == 0) {
		finish_respond(w, s, &d->respond, r);
	} else {
		r->action = SL_ACTION_FORWARD;
		r->split = strcmp(action, "split") == 0;
		r->timeout_ms = d->timeout_ms;
		r->try_ms = d->try_ms;
		r->stream_idle_ms = d->idle_ms;
		finish_sticky(w, s, &d->sticky, r);
		finish_rewrite(w, s, &d->rewrite, r);
		finish_retry(w, s, &d->retry, r);
	}
}

/* ---- the end of them ---- */

static void
route_fini(struct sl_conf_hroute *r)
{
	for (uint32_t i = 0; i < r->cond_cnt; i++)
		cond_fini(&r->conds[i]);
	for (unsigned way = 0; way < 2; way++) {
		for (uint32_t i = 0; i < r->edit_cnt[way]; i++) {
			free(r->edits[way][i].name);
			free(r->edits[way][i].value);
		}
		free(r->edits[way]);
	}
	free(r->conds);
	free(r->sticky_name);
	free(r->host);
	free(r->path);
	free(r->body);
	free(r->content_type);
	free(r->targets);
	free(r->mirrors);
	sl_conf_policy_fini(&r->policy);
}

void
sl_conf_tables_free(struct sl_conf *c)
{
	for (uint32_t i = 0; i < c->table_cnt; i++) {
		struct sl_conf_table *t = &c->tables[i];
		for (uint32_t j = 0; j < t->vhost_cnt; j++) {
			struct sl_conf_vhost *v = &t->vhosts[j];
			for (uint32_t k = 0; k < v->route_cnt; k++)
				route_fini(&v->routes[k]);
			free(v->names);
			free(v->routes);
			sl_conf_policy_fini(&v->policy);
		}
		free(t->vhosts);
		sl_conf_policy_fini(&t->policy);
	}
	free(c->tables);
}
