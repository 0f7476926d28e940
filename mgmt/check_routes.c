/* What the keys of one route cannot say: names and host names that must be distinct, services that must be there, what
 * goes with a route's path, what can never be. */
#include "mgmt/check_priv.h"

#include "l7/http1.h"
#include "l7/path.h"
#include "mgmt/conf_value.h"

#include <stdlib.h>

/* Above this many routes that no condition sorts out, each request of the virtual host pays for them. */
#define CATCH_ALL_MAX 64

static const struct sl_conf_table *
table(const struct check *k)
{
	return &k->c->tables[k->table];
}

static const struct sl_conf_vhost *
vhost(const struct check *k)
{
	return &table(k)->vhosts[k->vhost];
}

/* The path of a key of a route of the virtual host we are at. */
__attribute__((format(printf, 3, 4))) static void
at_route(struct check *k, uint32_t route, const char *fmt, ...)
{
	char key[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(key, sizeof(key), fmt, ap);
	va_end(ap);
	at(k, "route_tables[%u].hosts[%u].routes[%u].%s", k->table, k->vhost, route, key);
}

__attribute__((format(printf, 4, 5))) static void
warn(struct check *k, int line, const char *hint, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sl_diag_warn(k->diag, k->file, line, k->path, hint, "%s", text);
}

/* ---- names ---- */

static int
table_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_table *)a)->name,
		      ((const struct sl_conf_table *)b)->name);
}

static void
table_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_table *t = k->c->tables;

	(void)owner;
	if (!t[later].name[0])
		return;
	at(k, "route_tables[%u].name", later);
	tell(k, t[later].line, "names are distinct", "\"%s\" is the route table at line %d",
	     t[later].name, t[first].line);
}

static int
vhost_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_vhost *)a)->name,
		      ((const struct sl_conf_vhost *)b)->name);
}

static void
vhost_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_vhost *v = table(k)->vhosts;

	(void)owner;
	if (!v[later].name[0])
		return;
	at(k, "route_tables[%u].hosts[%u].name", k->table, later);
	tell(k, v[later].line, "names are distinct within a route table",
	     "\"%s\" is the host at line %d", v[later].name, v[first].line);
}

static int
route_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_conf_hroute *)a)->name,
		      ((const struct sl_conf_hroute *)b)->name);
}

static void
route_twice(struct check *k, uint32_t owner, uint32_t first, uint32_t later)
{
	const struct sl_conf_hroute *r = vhost(k)->routes;

	(void)owner;
	if (!r[later].name[0])
		return;
	at_route(k, later, "name");
	tell(k, r[later].line, "names are distinct within a host", "\"%s\" is the route at line %d",
	     r[later].name, r[first].line);
}

/* A host name, and where it stands. */
struct named {
	const struct sl_conf_hostname *host;
	uint32_t vhost, name;
};

static int
named_order(const void *a, const void *b)
{
	const struct sl_conf_hostname *x = ((const struct named *)a)->host,
				      *y = ((const struct named *)b)->host;
	int d = (int)x->kind - (int)y->kind;

	return d ? d : strcmp(x->name, y->name);
}

/* As it is written. */
static const char *
pattern_of(const struct sl_conf_hostname *h, char buf[260])
{
	snprintf(buf, 260, "%s%s%s", h->kind == SL_HOST_SUFFIX || h->kind == SL_HOST_ANY ? "*" : "",
		 h->name, h->kind == SL_HOST_PREFIX ? "*" : "");
	return buf;
}

/* One pass over the sorted names of a table; of twins the later one in the file is told. */
static void
check_named(struct check *k, const struct named *all, uint32_t n)
{
	uint32_t *idx = sl_check_order(all, n, sizeof(*all), named_order);
	char text[260];

	if (!idx) {
		k->oom = true;
		return;
	}
	for (uint32_t i = 1, first = 0; i < n; i++) {
		const struct named *a = &all[idx[first]], *b = &all[idx[i]];
		if (named_order(a, b) != 0) {
			first = i;
		} else if (b->host->kind) {
			at(k, "route_tables[%u].hosts[%u].match[%u]", k->table, b->vhost, b->name);
			tell(k, b->host->line, "a host name leads to one host",
			     "\"%s\" stands already at line %d", pattern_of(b->host, text),
			     a->host->line);
		}
	}
	free(idx);
}

static void
check_host_names(struct check *k)
{
	const struct sl_conf_table *t = table(k);
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->vhost_cnt; i++)
		n += t->vhosts[i].name_cnt;
	struct named *all = malloc((n + 1u) * sizeof(*all));
	if (!all) {
		k->oom = true;
		return;
	}
	n = 0;
	for (uint32_t i = 0; i < t->vhost_cnt; i++)
		for (uint32_t j = 0; j < t->vhosts[i].name_cnt; j++)
			all[n++] = (struct named){&t->vhosts[i].names[j], i, j};
	check_named(k, all, n);
	free(all);
}

/* ---- paths ---- */

static const struct sl_conf_cond *
path_cond(const struct sl_conf_hroute *r)
{
	return r->cond_cnt && r->conds[0].field == SL_FIELD_PATH ? &r->conds[0] : NULL;
}

static bool
same_but_case(const char *a, const uint8_t *b, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t c = b[i] >= 'A' && b[i] <= 'Z' ? b[i] | 0x20 : b[i];
		if (a[i] == 0 || (uint8_t)a[i] != c)
			return false;
	}
	return a[len] == 0;
}

/* Requests' paths are matched in one form: what is written in another one is never matched. */
static void
check_form(struct check *k, uint32_t route, const struct sl_conf_cond *c)
{
	const struct sl_img_http *http = &table(k)->http;
	const char *key = c->op == SL_COND_EXACT      ? "path"
			  : c->op == SL_COND_SEGMENTS ? "prefix"
						      : "template";
	uint32_t len = c->value ? (uint32_t)strlen(c->value) : 0, n = 0;
	uint8_t form[4096 + 1];
	char text[96], hint[128];

	if (len == 0 || len >= sizeof(form) || c->op == SL_COND_REGEX)
		return;
	switch (sl_path_normalise((const uint8_t *)c->value, len, http->slash_2f,
				  http->merge_slashes, form, &n)) {
	case SL_PATH_SAME:
		return;
	case SL_PATH_CHANGED:
		if (c->icase && same_but_case(c->value, form, n))
			return;
		form[n] = 0;
		snprintf(hint, sizeof(hint), "write %s",
			 sl_value_quote((const char *)form, text, sizeof(text)));
		break;
	case SL_PATH_REFUSED:
		snprintf(hint, sizeof(hint), "requests with such a path are refused");
	}
	at_route(k, route, "%s", key);
	tell(k, c->line, hint, "%s is in another form than the paths it is compared with",
	     sl_value_quote(c->value, text, sizeof(text)));
}

/* A target in absolute form overrules the header (RFC 9112, 3.2.2): what the gateway goes by is `match`. */
static void
check_host_cond(struct check *k, uint32_t route, const struct sl_conf_hroute *r)
{
	uint32_t header = 0;

	for (uint32_t i = 0; i < r->cond_cnt; i++) {
		if (r->conds[i].field != SL_FIELD_HEADER)
			continue;
		if (r->conds[i].name && strcmp(r->conds[i].name, "host") == 0) {
			at_route(k, route, "headers[%u].name", header);
			tell(k, r->conds[i].line, "make a host, and give the name to its match",
			     "host is not matched as a header");
		}
		header++;
	}
}

static bool
has_capture(const char *template, const struct sl_template_part *want)
{
	struct sl_template_part p;

	while (sl_template_next(&template, &p))
		if (p.name_len == want->name_len && memcmp(p.name, want->name, p.name_len) == 0)
			return true;
	return false;
}

/* What a rewrite or redirect makes of the path needs the right path condition. */
static void
check_new_path(struct check *k, uint32_t route, const struct sl_conf_hroute *r)
{
	const char *group = r->action == SL_ACTION_REDIRECT ? "redirect" : "rewrite", *at;
	const struct sl_conf_cond *c = path_cond(r);
	struct sl_template_part p;

	if (r->rewrite == SL_REWRITE_PREFIX && (!c || c->op != SL_COND_SEGMENTS)) {
		at_route(k, route, "%s.prefix", group);
		tell(k, r->line, "give the route a prefix, or give path in place of this",
		     "replaces what the route's prefix matched, and the route has none");
	}
	if (r->rewrite != SL_REWRITE_TEMPLATE || !r->path)
		return;
	at_route(k, route, "%s.template", group);
	if (!c || c->op != SL_COND_TEMPLATE) {
		tell(k, r->line, "give the route a template, or give path in place of this",
		     "is made of what the route's template captured, and the route has none");
		return;
	}
	at = r->path;
	while (c->value && sl_template_next(&at, &p))
		if (!has_capture(c->value, &p))
			tell(k, r->line, "name what the route's template captures",
			     "{%.*s} is not in the route's template", (int)p.name_len, p.name);
}

/* ---- services ---- */

/* One service that requests go to, by the key at k->path. */
static void
check_target(struct check *k, const struct sl_conf_target *t)
{
	const struct sl_conf *c = k->c;

	if (!t->service[0] || k->service_lost)
		return;
	uint32_t s = sl_check_find_service(c, k->links.service_order, t->service);
	if (s == UINT32_MAX)
		tell(k, t->line, "name one of services", "there is no service \"%s\"", t->service);
	else if (c->services[s].forward && c->services[s].forward != SL_FORWARD_PROXY)
		tell(k, t->line, "remove the service's forward, or make a service for requests",
		     "requests go to services with forward \"proxy\"; \"%s\" has forward \"%s\"",
		     t->service, sl_forward_name(c->services[s].forward));
}

/* The subset of it, by a key beside that of the service. */
static void
check_subset(struct check *k, const struct sl_conf_target *t)
{
	uint32_t s = sl_check_find_service(k->c, k->links.service_order, t->service);

	if (t->subset[0] && s != UINT32_MAX && k->c->services[s].forward == SL_FORWARD_PROXY)
		sl_check_subset_of(k, &k->c->services[s], t->subset, t->line);
}

/* Few, so each is compared with those before it. */
static bool
stands_twice(const struct sl_conf_target *t, uint32_t i)
{
	for (uint32_t j = 0; j < i && t[i].service[0]; j++)
		if (strcmp(t[i].service, t[j].service) == 0 &&
		    strcmp(t[i].subset, t[j].subset) == 0)
			return true;
	return false;
}

static void
check_split(struct check *k, uint32_t route, const struct sl_conf_hroute *r)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < r->target_cnt; i++) {
		sum += r->targets[i].weight;
		at_route(k, route, "split[%u].service", i);
		check_target(k, &r->targets[i]);
		if (stands_twice(r->targets, i))
			tell(k, r->targets[i].line, "add the weights",
			     "\"%s\" stands twice in the split", r->targets[i].service);
		at_route(k, route, "split[%u].subset", i);
		check_subset(k, &r->targets[i]);
	}
	at_route(k, route, "split");
	if (sum == 0 && !r->incomplete)
		tell(k, r->line, "give some service a weight", "%s",
		     r->target_cnt ? "no service has a weight above 0" : "is empty");
}

static void
check_services(struct check *k, uint32_t route, const struct sl_conf_hroute *r)
{
	if (r->action == SL_ACTION_FORWARD && !r->split && r->target_cnt) {
		at_route(k, route, "service");
		check_target(k, r->targets);
		at_route(k, route, "subset");
		check_subset(k, r->targets);
	} else if (r->action == SL_ACTION_FORWARD && r->split) {
		check_split(k, route, r);
	}
	for (uint32_t i = 0; i < r->mirror_cnt; i++) {
		at_route(k, route, "mirror[%u].service", i);
		check_target(k, &r->mirrors[i]);
		if (stands_twice(r->mirrors, i))
			tell(k, r->mirrors[i].line, "remove one of the two",
			     "\"%s\" gets copies already", r->mirrors[i].service);
	}
}

/* ---- times, edits ---- */

static void
check_times(struct check *k, uint32_t route, const struct sl_conf_hroute *r)
{
	if (r->action != SL_ACTION_FORWARD)
		return;
	if (r->timeout_ms && r->try_ms > r->timeout_ms) {
		at_route(k, route, "try_timeout");
		tell(k, r->line, "a try is part of the whole: lower it, or raise timeout",
		     "%ums is longer than timeout, %ums", r->try_ms, r->timeout_ms);
	}
	if (r->retry_on & SL_RETRY_TIMEOUT && !r->try_ms) {
		at_route(k, route, "retry.on");
		tell(k, r->line, "give try_timeout, or remove the word",
		     "\"timeout\" is about try_timeout, which is 0s");
	}
	if (r->backoff_max_ms && r->backoff_ms > r->backoff_max_ms) {
		at_route(k, route, "retry.backoff");
		tell(k, r->line, "lower it, or raise backoff_max",
		     "%ums is longer than backoff_max, %ums", r->backoff_ms, r->backoff_max_ms);
	}
}

static void
check_edits(struct check *k, uint32_t route, const struct sl_conf_hroute *r, unsigned way)
{
	for (uint32_t i = 0; i < r->edit_cnt[way]; i++) {
		const struct sl_conf_edit *e = &r->edits[way][i];
		if (!e->name || !sl_http_reserved((const uint8_t *)e->name, strlen(e->name)))
			continue;
		at_route(k, route, "%s_headers[%u]", way ? "response" : "request", i);
		tell(k, e->line,
		     strcasecmp(e->name, "host") ? "the gateway writes it itself"
						 : "give rewrite = { host = ...; }",
		     "%s is not for edits", e->name);
	}
}

/* ---- a virtual host ---- */

/* Whether the condition holds for every request. */
static bool
holds_always(const struct sl_conf_cond *c)
{
	return c->field == SL_FIELD_PATH && c->op == SL_COND_SEGMENTS && !c->invert && c->value &&
	       !c->value[0];
}

/* Whether a look-up finds the route by the condition (l7/match.h); methods are few. */
static bool
sorts_out(const struct sl_conf_cond *c)
{
	return !c->invert && c->field != SL_FIELD_METHOD && !holds_always(c);
}

enum width { NARROW, WIDE, ALL };
static enum width
width_of(const struct sl_conf_hroute *r)
{
	bool all = true;

	for (uint32_t i = 0; i < r->cond_cnt; i++) {
		if (sorts_out(&r->conds[i]))
			return NARROW;
		all = all && holds_always(&r->conds[i]);
	}
	return all && r->action ? ALL : WIDE;
}

/* Warnings. */
static void
look_at_order(struct check *k)
{
	const struct sl_conf_vhost *v = vhost(k);
	uint32_t wide = 0, all = UINT32_MAX;

	for (uint32_t i = 0; i < v->route_cnt && all == UINT32_MAX; i++) {
		enum width width = width_of(&v->routes[i]);
		wide += width != NARROW;
		if (width == ALL)
			all = i;
	}
	if (all != UINT32_MAX && all + 1 < v->route_cnt) {
		at_route(k, all + 1, "name");
		warn(k, v->routes[all + 1].line, "move it behind them, or give it conditions",
		     "\"%s\"%s never reached: route \"%s\" at line %d takes every request",
		     v->routes[all + 1].name,
		     all + 2 < v->route_cnt ? " and what stands behind it are" : " is",
		     v->routes[all].name, v->routes[all].line);
	}
	if (wide > CATCH_ALL_MAX) {
		at(k, "route_tables[%u].hosts[%u].routes", k->table, k->vhost);
		warn(k, v->line,
		     "give them a path, or a header, parameter or cookie that is not inverted",
		     "%u routes have no condition that a look-up finds them by: every request is "
		     "compared with them one by one",
		     wide);
	}
}

static void
check_route(struct check *k, uint32_t i)
{
	const struct sl_conf_hroute *r = &vhost(k)->routes[i];
	const struct sl_conf_cond *path = path_cond(r);

	if (r->cond_cnt > SL_CONF_MAX_CONDS) {
		at_route(k, i, "name");
		tell(k, r->line, "split it into several", "%u conditions are more than %u",
		     r->cond_cnt, SL_CONF_MAX_CONDS);
	}
	if (path)
		check_form(k, i, path);
	check_host_cond(k, i, r);
	check_services(k, i, r);
	if (!r->incomplete) {
		check_new_path(k, i, r);
		check_times(k, i, r);
	}
	check_edits(k, i, r, 0);
	check_edits(k, i, r, 1);
}

static void
check_vhost(struct check *k)
{
	const struct sl_conf_vhost *v = vhost(k);

	if (v->name_cnt == 0) {
		at(k, "route_tables[%u].hosts[%u].match", k->table, k->vhost);
		tell(k, v->line,
		     "say which host names it is for: match = ( \"shop.example\" ), or ( \"*\" )",
		     "is missing, or empty");
	}
	sl_check_twins(k, 0, v->routes, v->route_cnt, sizeof(*v->routes), route_order, route_twice);
	for (uint32_t i = 0; i < v->route_cnt; i++)
		check_route(k, i);
}

/* Not of a file that is wrong: a condition may be missing because it was. */
static void
look_at_orders(struct check *k)
{
	if (k->bad || !k->diag || k->diag->cnt)
		return;
	for (k->table = 0; k->table < k->c->table_cnt; k->table++)
		for (k->vhost = 0; k->vhost < table(k)->vhost_cnt; k->vhost++)
			look_at_order(k);
}

/* ---- the whole ---- */

void
sl_check_tables(struct check *k)
{
	const struct sl_conf *c = k->c;
	uint64_t vhosts = 0, routes = 0;

	sl_check_twins(k, 0, c->tables, c->table_cnt, sizeof(*c->tables), table_order, table_twice);
	for (k->table = 0; k->table < c->table_cnt; k->table++) {
		const struct sl_conf_table *t = table(k);
		vhosts += t->vhost_cnt;
		sl_check_twins(k, 0, t->vhosts, t->vhost_cnt, sizeof(*t->vhosts), vhost_order,
			       vhost_twice);
		check_host_names(k);
		for (k->vhost = 0; k->vhost < t->vhost_cnt; k->vhost++) {
			routes += vhost(k)->route_cnt;
			check_vhost(k);
		}
	}
	at(k, "route_tables");
	if (vhosts > SL_MAX_VHOSTS)
		tell(k, 0, "split the table between gateways",
		     "%llu hosts are more than a gateway has slots for, %u",
		     (unsigned long long)vhosts, SL_MAX_VHOSTS);
	if (routes > SL_MAX_HTTP_ROUTES)
		tell(k, 0, "split the table between gateways",
		     "%llu routes are more than a gateway has slots for, %u",
		     (unsigned long long)routes, SL_MAX_HTTP_ROUTES);
	look_at_orders(k);
}
