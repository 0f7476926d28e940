/* A request line and headers become a head for a listener of mode http; the answer's slots become names, and the conditions
 * of the route words, of the active table. */
#include "mgmt/explain.h"

#include "mgmt/show.h"
#include "mgmt/traffic.h"
#include "sluice/events.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define CLIENT_PORT 40000

struct question {
	struct sl_verb_run r;
	struct sl_tuple tuple;
	char host[300]; /* that was assumed; "": none */
	size_t len;
	char head[SL_CTL_REQUEST_MAX + 1];
};

/* ---- the question ---- */

__attribute__((format(printf, 2, 3))) static bool
put(struct question *q, const char *fmt, ...)
{
	size_t room = sizeof(q->head) - q->len;
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(q->head + q->len, room, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= room)
		return false;
	q->len += (size_t)n;
	return true;
}

static const struct sl_conf_table *
table_of(const struct sl_conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->table_cnt; i++)
		if (strcmp(c->tables[i].name, name) == 0)
			return &c->tables[i];
	return NULL;
}

/* A host that the first virtual host of the table is asked by. */
static void
assume_host(const struct sl_conf_table *t, char host[300])
{
	const struct sl_conf_vhost *v = t && t->vhost_cnt ? &t->vhosts[0] : NULL;
	const struct sl_conf_hostname *h = v && v->name_cnt ? &v->names[0] : NULL;

	snprintf(host, 300, "%s%s%s", h && h->kind == SL_HOST_SUFFIX ? "www" : "",
		 h && h->kind != SL_HOST_ANY ? h->name : "host",
		 h && h->kind == SL_HOST_PREFIX ? "example" : "");
}

/* Whether a line of them is a Host. */
static bool
has_host(const char *headers)
{
	for (const char *line = headers; line && *line;) {
		if (strncasecmp(line, "host:", 5) == 0)
			return true;
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return false;
}

static bool
put_headers(struct question *q, const char *headers)
{
	while (*headers) {
		int n = (int)strcspn(headers, "\n");
		int len = n > 0 && headers[n - 1] == '\r' ? n - 1 : n;
		if (len > 0 && !put(q, "%.*s\r\n", len, headers))
			return false;
		headers += n + (headers[n] == '\n');
	}
	return put(q, "\r\n");
}

/* NULL, or what is wrong with the request. */
static const char *
make_head(struct question *q, const struct sl_conf_table *t)
{
	const char *request = sl_verb_text(&q->r, "request");
	const char *host = sl_verb_text(&q->r, "host");
	const char *headers = sl_verb_text(&q->r, "headers");
	const char *space = strchr(request, ' ');
	bool whole = space && strchr(space + 1, ' '); /* with its version */
	bool old = whole && strstr(space, " HTTP/1.0") != NULL;

	if (!space || strpbrk(request, "\r\n"))
		return "request: not \"METHOD TARGET\", with HTTP/1.0 or HTTP/1.1 behind it or not";
	headers = headers ? headers : "";
	if (host && has_host(headers))
		return "host: stands among the headers, too";
	if (!host && !old && !has_host(headers)) {
		assume_host(t, q->host);
		host = q->host;
	}
	bool fits = put(q, "%s%s\r\n", request, whole ? "" : " HTTP/1.1") &&
		    (!host || put(q, "Host: %s\r\n", host)) && put_headers(q, headers);
	return fits ? NULL : "request and headers are too long: 7168 bytes fit";
}

/* "192.0.2.77", "192.0.2.77:4711", "2001:db8::1", "[2001:db8::1]:4711" */
static const char *
take_from(const char *text, struct sl_tuple *t)
{
	const char *wrong = "from: neither ADDRESS nor ADDRESS:PORT ([ADDRESS]:PORT)";
	const char *colon = strrchr(text, ':');
	bool bracket = *text == '[';
	char addr[SL_ADDR_STRLEN + 2], *end;

	if (!bracket && colon && strchr(text, ':') != colon)
		colon = NULL; /* IPv6 alone */
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	if (n >= sizeof(addr) || n < 2)
		return wrong;
	snprintf(addr, sizeof(addr), "%.*s", (int)n, text);
	if (bracket && addr[n - 1] != ']')
		return wrong;
	if (bracket)
		addr[n - 1] = 0;
	if (sl_addr_parse(addr + bracket, &t->src))
		return wrong;
	if (colon) {
		unsigned long port = strtoul(colon + 1, &end, 10);
		if (colon[1] < '0' || colon[1] > '9' || *end || port == 0 || port > 65535)
			return wrong;
		t->sport = sl_to_be16(port);
	}
	return NULL;
}

static const char *
make_tuple(struct question *q, const struct sl_conf_listener *l)
{
	const uint8_t four[4] = {192, 0, 2, 1}; /* RFC 5737 */
	const char *from = sl_verb_text(&q->r, "from");
	struct sl_tuple *t = &q->tuple;

	*t = (struct sl_tuple){
		.dst = l->addr,
		.sport = sl_to_be16(CLIENT_PORT),
		.dport = sl_to_be16(l->port),
		.proto = SL_IPPROTO_TCP,
	};
	if (sl_addr_is_v4(&l->addr))
		t->src = sl_addr_from_v4(four);
	else
		t->src = (struct sl_addr){{0x20, 0x01, 0x0d, 0xb8, [15] = 1}}; /* RFC 3849 */
	const char *why = from ? take_from(from, t) : NULL;
	if (!why && sl_addr_is_v4(&t->src) != sl_addr_is_v4(&t->dst))
		why = "from: of another family than the listener";
	return why;
}

/* The one of that name, or the first of mode http; NULL with the error. */
static const struct sl_conf_listener *
find_listener(const struct sl_verb_run *r, const struct sl_table *t, json_t **ret_error)
{
	const char *name = sl_verb_text(r, "listener");
	bool known = false;

	for (uint32_t i = 0; t && i < t->conf->listener_cnt; i++) {
		const struct sl_conf_listener *l = &t->conf->listeners[i];
		known |= name && strcmp(l->name, name) == 0;
		if (l->mode == SL_MODE_HTTP && (!name || strcmp(l->name, name) == 0))
			return l;
	}
	if (known)
		*ret_error = sl_call_error(r->verb, "invalid", "see: show listeners",
					   "listener %s is not of mode http", name);
	else if (name)
		*ret_error = sl_call_error(r->verb, "not_found", "see: show listeners",
					   "no listener %s in the active table", name);
	else
		*ret_error = sl_call_error(r->verb, "not_found", "see: show listeners",
					   "the active table has no listener of mode http");
	return NULL;
}

/* ---- text ---- */

/* Any bytes: those of no UTF-8, and control bytes, as \xNN. */
static json_t *
text_json(const char *s, size_t len)
{
	bool plain = true;
	size_t n = 0;

	for (size_t i = 0; i < len && plain; i++)
		plain = (uint8_t)s[i] >= 0x20 && s[i] != 0x7f;
	json_t *o = plain ? json_stringn(s, len) : NULL;
	char *buf = o ? NULL : malloc(4 * len + 1);
	if (!buf)
		return o ? o : json_null();
	for (size_t i = 0; i < len; i++)
		n += (size_t)sprintf(
			buf + n, (uint8_t)s[i] >= 0x20 && (uint8_t)s[i] < 0x7f ? "%c" : "\\x%02x",
			(uint8_t)s[i]);
	o = json_stringn(buf, n);
	free(buf);
	return o;
}

/* ---- conditions in words ---- */

static const char *
operator_text(const struct sl_conf_cond *c)
{
	switch ((enum sl_cond_op)c->op) {
	case SL_COND_EXACT:
		return c->invert ? "is not" : "is";
	case SL_COND_SEGMENTS:
		return c->invert ? "does not lie under" : "lies under";
	case SL_COND_TEMPLATE:
		return c->invert ? "is not of the form" : "is of the form";
	case SL_COND_PREFIX:
		return c->invert ? "does not begin with" : "begins with";
	case SL_COND_SUFFIX:
		return c->invert ? "does not end in" : "ends in";
	case SL_COND_CONTAINS:
		return c->invert ? "does not hold" : "holds";
	case SL_COND_REGEX:
		return c->invert ? "does not match" : "matches";
	case SL_COND_PRESENT:
		return c->invert ? "is not there" : "is there";
	case SL_COND_RANGE:
		return c->invert ? "is no number from" : "is a number from";
	case SL_COND_IN:
		return c->invert ? "is none of" : "is";
	}
	return "?";
}

static size_t
methods_text(int64_t bits, char *buf, size_t size)
{
	size_t n = 0;

	for (unsigned i = 0; i < SL_METHOD_CNT && n < size; i++)
		if (bits >> i & 1)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? " or " : "",
					      sl_method_name(i));
	return n;
}

static json_t *
condition(const struct sl_conf_cond *c)
{
	static const char *const field[] = {"?", "path", "method", "header", "parameter", "cookie"};
	const char *value = c->value ? c->value : "";
	size_t size = 256 + strlen(value) + (c->name ? strlen(c->name) : 0);
	char *buf = malloc(size);

	if (!buf)
		return json_null();
	bool identity = c->name && strcmp(c->name, SL_IDENTITY_NAME) == 0;
	const char *name = c->name && !identity ? c->name : "";
	size_t n = (size_t)snprintf(buf, size, "%s%s%s %s",
				    identity                         ? "the client's identity"
				    : c->field < SL_ARRAY_CNT(field) ? field[c->field]
								     : "?",
				    *name ? " " : "", name, operator_text(c));
	if (c->op == SL_COND_IN) {
		n += (size_t)snprintf(buf + n, size - n, " ");
		n += methods_text(c->lo, buf + n, size - n);
	} else if (c->op == SL_COND_RANGE) {
		n += (size_t)snprintf(buf + n, size - n, " %lld to %lld", (long long)c->lo,
				      (long long)c->hi - 1);
	} else if (c->op == SL_COND_SEGMENTS && !*value) {
		n += (size_t)snprintf(buf + n, size - n, " /");
	} else if (c->op == SL_COND_SEGMENTS || c->op == SL_COND_TEMPLATE) {
		n += (size_t)snprintf(buf + n, size - n, " %s", value);
	} else if (c->op != SL_COND_PRESENT) {
		n += (size_t)snprintf(buf + n, size - n, " \"%s\"", value);
	}
	if (c->icase)
		n += (size_t)snprintf(buf + n, size - n, ", in any case");
	json_t *o = text_json(buf, SL_MIN(n, size - 1));
	free(buf);
	return o;
}

/* ---- the answer ---- */

/* Where the table says it leads; NULL: not there, or the names are of another generation. */
struct place {
	const struct sl_conf_table *table;
	const struct sl_conf_vhost *vhost;
	const struct sl_conf_hroute *route;
};

static struct place
find_place(const struct sl_table *t, const struct sl_ctl_explained_http *e)
{
	struct place p = {0};
	struct sl_placed at;

	for (uint32_t i = 0; t && i < t->conf->table_cnt && !p.table; i++)
		if (sl_slot_find_table(&t->map, &t->conf->tables[i], &at) == 0 &&
		    at.slot == e->table_slot)
			p.table = &t->conf->tables[i];
	for (uint32_t i = 0; p.table && i < p.table->vhost_cnt && !p.vhost; i++)
		if (sl_slot_find_vhost(&t->map, p.table, &p.table->vhosts[i], &at) == 0 &&
		    at.slot == e->vhost_slot)
			p.vhost = &p.table->vhosts[i];
	for (uint32_t i = 0; p.vhost && i < p.vhost->route_cnt && !p.route; i++)
		if (sl_slot_find_hroute(&t->map, p.table, p.vhost, &p.vhost->routes[i], &at) == 0 &&
		    at.slot == e->route_slot)
			p.route = &p.vhost->routes[i];
	return p;
}

static json_t *
conditions(const struct sl_conf_hroute *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; r && i < r->cond_cnt; i++)
		json_array_append_new(list, condition(&r->conds[i]));
	return list;
}

static json_t *
flags_json(uint32_t flags)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < SL_RF_CNT; i++)
		if (flags >> i & 1)
			json_array_append_new(list,
					      json_pack("{s:s, s:s}", "flag", sl_rflag_name(i),
							"text", sl_rflag_text(i)));
	return list;
}

static json_t *
name_or_null(const char *name)
{
	return name ? json_string(name) : json_null();
}

/* The name that `subset` is of in the dataplane, where they stand by name; "": the whole service. */
static const char *
subset_at(const struct sl_conf_service *s, uint32_t subset)
{
	for (uint32_t i = 0; s && subset && i < s->subset_cnt; i++) {
		uint32_t before = 0;
		for (uint32_t k = 0; k < s->subset_cnt; k++)
			before += strcmp(s->subsets[k].name, s->subsets[i].name) < 0;
		if (before + 1 == subset)
			return s->subsets[i].name;
	}
	return "";
}

static void
say_target(json_t *list, const struct sl_ctl_explained_http *e, const struct sl_conf_hroute *r,
	   const struct sl_conf_service *s, const struct sl_oper_endpoint *ep)
{
	const char *subset = subset_at(s, e->subset);
	char addr[SL_ADDR_STRLEN];

	if (r && r->action == SL_ACTION_FORWARD && r->target_cnt > 1)
		sl_explain_say(list, "it splits over %u services, kept by %s", r->target_cnt,
			       r->sticky == SL_STICKY_HEADER   ? "a header"
			       : r->sticky == SL_STICKY_COOKIE ? "a cookie"
			       : r->sticky == SL_STICKY_SOURCE
				       ? "the client's address"
				       : "nothing: another request may differ");
	if (s)
		sl_explain_say(list, "the request would go to service %s%s%s, policy %s", s->name,
			       *subset ? ", subset " : "", subset, sl_policy_name(s->policy));
	if (ep)
		sl_explain_say(list, "endpoint %s at %s port %u would be picked", ep->name,
			       sl_addr_format(&ep->addr, addr), ep->port);
	if (ep)
		sl_explain_say_level(list, &e->level);
}

static void
say_traffic(json_t *list, const struct place *p)
{
	struct sl_traffic said;

	if (!p->route)
		return;
	sl_traffic_of(p->table, p->vhost, p->route, &said);
	if (*said.cors)
		sl_explain_say(list, "pages of other origins may use it: %s", said.cors);
	if (*said.fault)
		sl_explain_say(list, "faults are injected: %s", said.fault);
	if (*said.hedge)
		sl_explain_say(list, "while no answer begins, others are asked, too: %s",
			       said.hedge);
	if (*said.sticky)
		sl_explain_say(list, "clients that have none are given a cookie: %s", said.sticky);
}

/* What the route's table, host and itself name, as "a, b"; "": no issuer. */
static bool
issuers_of(const struct place *p, char *text, size_t size)
{
	const struct sl_conf_policy *of[] = {&p->table->policy, &p->vhost->policy,
					     &p->route->policy};
	bool required = false;
	size_t n = 0;

	text[0] = 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(of); i++) {
		required |= of[i]->jwt_required;
		for (uint32_t j = 0; j < of[i]->jwt_cnt && n < size; j++)
			n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "",
					      of[i]->jwt[j].name);
	}
	return required;
}

static void
say_token(json_t *list, const struct question *q, const struct place *p)
{
	char issuers[256];
	bool claims = strstr(q->head, "\n:claim.") != NULL;

	if (!p->route)
		return;
	bool required = issuers_of(p, issuers, sizeof(issuers));
	if (*issuers)
		sl_explain_say(list, "a token (JWT) %s: issuers %s",
			       required ? "is required" : "may be there, and is verified then",
			       issuers);
	if (claims && *issuers)
		sl_explain_say(list, "the claims given stand for one that was verified: of it, "
				     "only iss and aud are looked at, where they are given");
	else if (claims)
		sl_explain_say(list, "the route names no issuer of tokens: real requests have no "
				     "claims there, whatever they carry");
}

static json_t *
sentences(const struct question *q, const struct sl_ctl_explained_http *e, const struct place *p,
	  const struct sl_conf_listener *l, const struct sl_conf_service *s,
	  const struct sl_oper_endpoint *ep)
{
	json_t *list = json_array();

	sl_explain_say(list, "worker %u has such a connection, and runs generation %llu", e->worker,
		       (unsigned long long)e->generation);
	if (l && l->proxy_in)
		sl_explain_say(list, "listener %s: the client's address in its PROXY header counts",
			       l->name);
	if (q->host[0])
		sl_explain_say(list, "no host was given: %s is taken, of the first virtual host",
			       q->host);
	if (p->route)
		sl_explain_say(list, "route %s of host %s in table %s matched first: %s",
			       p->route->name, p->vhost->name, p->table->name,
			       p->route->cond_cnt ? "all its conditions hold"
						  : "it has no condition");
	else if (p->vhost)
		sl_explain_say(list, "host %s in table %s is asked for, and no route of it matches",
			       p->vhost->name, p->table->name);
	else if (p->table)
		sl_explain_say(list, "no virtual host of table %s has that name", p->table->name);
	sl_explain_say(list, "%u candidates were verified, %u databases scanned", e->verified,
		       e->scanned);
	say_token(list, q, p);
	say_traffic(list, p);
	if (e->status)
		sl_explain_say(list, "the gateway itself answers %u", e->status);
	say_target(list, e, p->route, s, ep);
	return list;
}

static json_t *
answer(const struct question *q, const struct sl_ctl_explained_http *e)
{
	struct sl_daemon *d = q->r.d;
	const struct sl_table *active = sl_tables_active(d->tables);
	const struct sl_table *t = active && active->number == e->generation ? active : NULL;
	const struct sl_conf_listener *l = sl_explain_listener_at(t, e->listener_slot);
	const struct sl_conf_service *s = sl_explain_service_at(t, e->service_slot);
	const struct sl_oper_endpoint *ep = sl_oper_by_slot(d->oper, e->endpoint_slot);
	const char *text = (const char *)(e + 1), *path = text + e->text_len;
	struct place p = find_place(t, e);
	json_t *a = sl_verb_ok(&q->r);

	if (ep && ep->at.incarnation != e->endpoint_incarnation)
		ep = NULL; /* another generation than the one we know */
	json_object_set_new(a, "generation", json_integer((json_int_t)e->generation));
	json_object_set_new(a, "worker", json_integer(e->worker));
	json_object_set_new(a, "status", e->status ? json_integer(e->status) : json_null());
	json_object_set_new(a, "flags", flags_json(e->flags));
	json_object_set_new(a, "listener", sl_explain_listener(l));
	json_object_set_new(a, "table", name_or_null(p.table ? p.table->name : NULL));
	json_object_set_new(a, "host", name_or_null(p.vhost ? p.vhost->name : NULL));
	json_object_set_new(a, "route", name_or_null(p.route ? p.route->name : NULL));
	json_object_set_new(a, "route_index",
			    e->route == UINT32_MAX ? json_null() : json_integer(e->route));
	json_object_set_new(a, "conditions", conditions(p.route));
	json_object_set_new(a, "action", name_or_null(p.route ? sl_show_action(p.route) : NULL));
	json_object_set_new(a, "service", sl_explain_service(s));
	json_object_set_new(a, "subset", json_string(subset_at(s, e->subset)));
	json_object_set_new(a, "level", sl_explain_level(&e->level));
	json_object_set_new(a, "endpoint", ep ? sl_show_endpoint(d, ep) : json_null());
	json_object_set_new(a, "path", e->path_len ? text_json(path, e->path_len) : json_null());
	json_object_set_new(a, "text", text_json(text, e->text_len));
	json_object_set_new(a, "assumed_host", name_or_null(q->host[0] ? q->host : NULL));
	json_object_set_new(a, "verified", json_integer(e->verified));
	json_object_set_new(a, "scanned", json_integer(e->scanned));
	json_object_set_new(a, "sentences", sentences(q, e, &p, l, s, ep));
	return a;
}

static void
on_explained(void *ctx, int err, const struct sl_ctl_explained_http *e, const char *why)
{
	struct question *q = ctx;
	json_t *a;

	if (err == -ETIMEDOUT)
		a = sl_call_error(q->r.verb, "timeout", NULL,
				  "the dataplane did not answer within %d s",
				  SL_PUBLISH_EXPLAIN_MS / 1000);
	else if (err == -EREMOTEIO)
		a = sl_call_error(q->r.verb, "unavailable", NULL, "the dataplane says: %s", why);
	else if (err)
		a = sl_call_error(q->r.verb, "unavailable", "try again",
				  "the dataplane went away before it answered");
	else
		a = answer(q, e);
	sl_call_answer(q->r.call, a);
	free(q);
}

/* NULL: it was asked; else the error. */
static json_t *
ask(struct question *q)
{
	const struct sl_verb_run *r = &q->r;
	const struct sl_table *t = sl_tables_active(r->d->tables);
	json_t *error = NULL;
	const struct sl_conf_listener *l = find_listener(r, t, &error);
	const char *why = l ? make_tuple(q, l) : NULL;

	if (l && !why)
		why = make_head(q, table_of(t->conf, l->routes));
	if (why)
		error = sl_call_error(r->verb, "invalid", NULL, "%s", why);
	if (!error && !sl_publish_link(r->d->publish))
		error = sl_call_error(r->verb, "unavailable", "see: status", "%s",
				      "the dataplane is not connected");
	int err = error ? 0
			: sl_publish_explain_http(r->d->publish, SL_CTL_ABOUT_REQUEST, &q->tuple,
						  q->head, q->len, on_explained, q);
	if (err)
		error = sl_call_error(r->verb, "busy", "try again", "cannot ask the dataplane: %s",
				      strerror(-err));
	return error;
}

void
sl_verb_explain_http(const struct sl_verb_run *r)
{
	struct question *q = calloc(1, sizeof(*q));
	json_t *error = NULL;

	if (q) {
		q->r = *r;
		error = ask(q);
	}
	if (error || !q) {
		sl_call_answer(r->call, error);
		free(q);
	}
}
