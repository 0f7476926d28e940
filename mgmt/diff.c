/* Both sides are turned into sorted lists of items (kind, name, values); a merge of the two lists gives added,
 * removed and changed.  A value is a (key, text) pair, so that one routine words all changes. */
#include "mgmt/diff.h"

#include "mgmt/diff_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluice/streams.h"

enum kind {
	GATEWAY,
	ADDRESS,
	ROUTE,
	SERVICE,
	ENDPOINT,
	LISTENER,
	TABLE,
	VHOST,
	HROUTE,
	LIMIT,
	ISSUER,
	SET,
	RULE
};
static const char *const kind_name[] = {
	"gateway", "address",    "route", "service", "endpoint",      "listener", "route_table",
	"host",    "http_route", "limit", "issuer",  "authorization", "rule"};

struct item {
	const struct sl_conf *conf;
	const void *thing;
	const void *whose; /* HROUTE, RULE: the host, the set it is of */
	uint32_t place;    /* likewise: among those */
	/* order: gateway 0, addresses 1, routes 2, services and endpoints 3, listeners 4, route tables with all that is
	 * theirs 5, limits 6, issuers of tokens 7, sets of rules with their rules 8 */
	uint8_t group;
	uint8_t kind;
	bool moved; /* likewise: out of order among those that both sides have */
	char name[3 * SL_NAME_MAX + 8];
};

#define VALUE_LEN SL_DIFF_LEN

/* ---- items ---- */

struct items {
	struct item *item;
	size_t cnt;
};

static struct item *
add(struct items *l, const struct sl_conf *c, enum kind kind, const void *thing)
{
	static const uint8_t group[] = {0, 1, 2, 3, 3, 4, 5, 5, 5, 6, 7, 8, 8};
	struct item *it = &l->item[l->cnt++];
	it->conf = c;
	it->thing = thing;
	it->kind = (uint8_t)kind;
	it->group = group[kind];
	return it;
}

static void
prefix_text(const struct sl_addr *a, uint32_t plen, char *buf, size_t size)
{
	char addr[SL_ADDR_STRLEN];
	bool v4 = sl_addr_is_v4(a) && plen >= 96;
	snprintf(buf, size, "%s/%u", sl_addr_format(a, addr), v4 ? plen - 96 : plen);
}

static int
item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	const char *p = x->name, *q = y->name;

	if (x->group != y->group)
		return (int)x->group - (int)y->group;
	while (*p && *p == *q)
		p++, q++;
	/* a slash sorts first, so that a service's endpoints follow it directly */
	int c = *p == '/' ? 1 : (unsigned char)*p, d = *q == '/' ? 1 : (unsigned char)*q;
	return c - d;
}

static void
collect_table(const struct sl_conf *c, const struct sl_conf_table *t, struct items *l)
{
	struct item *it = add(l, c, TABLE, t);

	snprintf(it->name, sizeof(it->name), "%s", t->name);
	for (uint32_t i = 0; i < t->vhost_cnt; i++) {
		const struct sl_conf_vhost *v = &t->vhosts[i];
		it = add(l, c, VHOST, v);
		snprintf(it->name, sizeof(it->name), "%s/%s", t->name, v->name);
		for (uint32_t j = 0; j < v->route_cnt; j++) {
			it = add(l, c, HROUTE, &v->routes[j]);
			it->whose = v;
			it->place = j;
			snprintf(it->name, sizeof(it->name), "%s/%s/%s", t->name, v->name,
				 v->routes[j].name);
		}
	}
}

static void
collect_set(const struct sl_conf *c, const struct sl_conf_authz *a, struct items *l)
{
	struct item *it = add(l, c, SET, a);

	snprintf(it->name, sizeof(it->name), "%s", a->name);
	for (uint32_t i = 0; i < a->rule_cnt; i++) {
		it = add(l, c, RULE, &a->rules[i]);
		it->whose = a;
		it->place = i;
		snprintf(it->name, sizeof(it->name), "%s/%s", a->name, a->rules[i].name);
	}
}

static bool
collect(const struct sl_conf *c, struct items *l)
{
	size_t cnt = 1;
	char text[64];

	for (uint32_t i = 0; c && i < c->service_cnt; i++)
		cnt += c->services[i].endpoint_cnt;
	for (uint32_t i = 0; c && i < c->table_cnt; i++)
		for (uint32_t j = 0; j < c->tables[i].vhost_cnt; j++)
			cnt += 1u + c->tables[i].vhosts[j].route_cnt;
	for (uint32_t i = 0; c && i < c->authz_cnt; i++)
		cnt += 1u + c->authz[i].rule_cnt;
	if (c)
		cnt += c->table_cnt + c->address_cnt + c->route_cnt + c->service_cnt +
		       c->listener_cnt + c->rate_cnt + c->jwt_cnt;
	l->cnt = 0;
	l->item = calloc(cnt, sizeof(*l->item));
	if (!l->item || !c)
		return l->item;
	add(l, c, GATEWAY, c);
	for (uint32_t i = 0; i < c->address_cnt; i++) {
		const struct sl_conf_address *a = &c->addresses[i];
		struct item *it = add(l, c, ADDRESS, a);
		prefix_text(&a->addr, a->plen, text, sizeof(text));
		snprintf(it->name, sizeof(it->name), "%s %s", a->port, text);
	}
	for (uint32_t i = 0; i < c->route_cnt; i++) {
		struct item *it = add(l, c, ROUTE, &c->routes[i]);
		prefix_text(&c->routes[i].prefix, c->routes[i].plen, it->name, sizeof(it->name));
	}
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		const struct sl_conf_service *s = &c->services[i];
		snprintf(add(l, c, SERVICE, s)->name, SL_NAME_MAX, "%s", s->name);
		for (uint32_t k = 0; k < s->endpoint_cnt; k++) {
			struct item *it = add(l, c, ENDPOINT, &s->endpoints[k]);
			snprintf(it->name, sizeof(it->name), "%s/%s", s->name,
				 s->endpoints[k].name);
		}
	}
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		snprintf(add(l, c, LISTENER, &c->listeners[i])->name, SL_NAME_MAX, "%s",
			 c->listeners[i].name);
	for (uint32_t i = 0; i < c->table_cnt; i++)
		collect_table(c, &c->tables[i], l);
	for (uint32_t i = 0; i < c->rate_cnt; i++)
		snprintf(add(l, c, LIMIT, &c->rates[i])->name, SL_NAME_MAX, "%s", c->rates[i].name);
	for (uint32_t i = 0; i < c->jwt_cnt; i++)
		snprintf(add(l, c, ISSUER, &c->jwts[i])->name, SL_NAME_MAX, "%s", c->jwts[i].name);
	for (uint32_t i = 0; i < c->authz_cnt; i++)
		collect_set(c, &c->authz[i], l);
	qsort(l->item, l->cnt, sizeof(*l->item), item_cmp);
	return true;
}

/* ---- values ---- */

void
sl_diff_put(struct sl_diff_values *v, const char *key, const char *fmt, ...)
{
	va_list ap;

	if (v->cnt == SL_DIFF_VALUES) /* more keys than there is room for: a number to raise */
		abort();
	v->v[v->cnt].key = key;
	v->v[v->cnt].minor = v->minor;
	va_start(ap, fmt);
	vsnprintf(v->v[v->cnt].text, VALUE_LEN, fmt, ap);
	va_end(ap);
	v->cnt++;
}

static void
health_values(const struct sl_health_conf *h, struct sl_diff_values *v)
{
	static const char *const type[] = {"none", "tcp", "http"};
	struct sl_diff_text headers = {0};
	char expect[VALUE_LEN] = "";
	size_t n = 0;

	sl_diff_put(v, "health", "%s", type[h->type]);
	v->minor = true;
	sl_diff_put(v, "health.interval", "%u ms", h->interval_ms);
	sl_diff_put(v, "health.timeout", "%u ms", h->timeout_ms);
	sl_diff_put(v, "health.rise", "%u", h->rise);
	sl_diff_put(v, "health.fall", "%u", h->fall);
	sl_diff_put(v, "health.jitter", "%u %%", h->jitter_pct);
	sl_diff_put(v, "health.port", "%u", h->port);
	sl_diff_put(v, "health.path", "%s", h->path);
	sl_diff_put(v, "health.host", "%s", h->host);
	for (uint32_t i = 0; i < h->expect_cnt && n < sizeof(expect) - 16; i++)
		n += (size_t)snprintf(expect + n, sizeof(expect) - n, "%s%u-%u", i ? "," : "",
				      h->expect[i].lo, h->expect[i].hi);
	sl_diff_put(v, "health.expect", "%s", expect);
	sl_diff_put(v, "health.unhealthy_interval", "%u ms",
		    h->unhealthy_ms ? h->unhealthy_ms : h->interval_ms);
	sl_diff_put(v, "health.method", "%s", sl_health_method_name(h->method));
	sl_diff_add(&headers, h->headers);
	sl_diff_put_text(v, "health.headers", &headers);
	sl_diff_put(v, "health.body", "%s", h->body);
	sl_diff_put(v, "health.through", "%s", h->through == SL_THROUGH_PORT ? "port" : "");
	if (h->agent_port)
		sl_diff_put(v, "health.agent", "port %u, %u ms", h->agent_port, h->agent_ms);
	else
		sl_diff_put(v, "health.agent", "%s", "");
	sl_diff_put(v, "health.tls", "%s", !h->tls_given ? "" : h->tls ? "true" : "false");
}

/* The default is not worth a word, nor is 0: the key does not apply. */
static void
put_number(struct sl_diff_values *v, const char *key, unsigned n, unsigned usual)
{
	if (n && n != usual)
		sl_diff_put(v, key, "%u", n);
	else
		sl_diff_put(v, key, "%s", "");
}

static int
source_order(const void *a, const void *b)
{
	return sl_addr_cmp(a, b);
}

/* A list of what there is no room for ends in the sum of the rest, so that a change of any is a change. */
struct list {
	char text[VALUE_LEN];
	size_t len;
	uint32_t more;
	uint64_t sum;
};

static void
list_add(struct list *l, const struct sl_addr *a, uint32_t plen)
{
	char text[SL_PREFIX_STRLEN];

	if (!l->more && l->len + SL_PREFIX_STRLEN + 48 < sizeof(l->text)) {
		l->len += (size_t)snprintf(l->text + l->len, sizeof(l->text) - l->len, "%s%s",
					   l->len ? " " : "", sl_prefix_format(a, plen, text));
		return;
	}
	l->more++;
	l->sum = (l->sum ^ sl_load64(a->b)) * 0x9e3779b97f4a7c15ull + sl_load64(a->b + 8);
	l->sum = (l->sum ^ plen) * 0x9e3779b97f4a7c15ull;
}

static void
put_list(struct sl_diff_values *v, const char *key, struct list *l)
{
	if (l->more)
		snprintf(l->text + l->len, sizeof(l->text) - l->len, " and %u more (sum %08x)",
			 l->more, (unsigned)(l->sum >> 32));
	sl_diff_put(v, key, "%s", l->text);
}

/* Their order in the file means nothing. */
static void
sources_value(const struct sl_conf_service *s, struct sl_diff_values *v)
{
	struct sl_addr sorted[SL_MAX_SOURCES];
	uint32_t cnt = SL_MIN(s->source_cnt, SL_MAX_SOURCES);
	struct list l = {0};

	if (cnt)
		memcpy(sorted, s->sources, cnt * sizeof(*sorted));
	qsort(sorted, cnt, sizeof(*sorted), source_order);
	for (uint32_t i = 0; i < cnt; i++)
		list_add(&l, &sorted[i], 128);
	put_list(v, "sources", &l);
}

static int
trusted_order(const void *a, const void *b)
{
	const struct sl_img_prefix *x = a, *y = b;
	int d = sl_addr_cmp(&x->prefix, &y->prefix);
	return d ? d : (x->plen > y->plen) - (x->plen < y->plen);
}

static void
trusted_value(const struct sl_conf_listener *li, struct sl_diff_values *v)
{
	struct sl_img_prefix *sorted = malloc((li->trusted_cnt + 1u) * sizeof(*sorted));
	struct list l = {0};

	if (sorted && li->trusted_cnt) {
		memcpy(sorted, li->trusted, li->trusted_cnt * sizeof(*sorted));
		qsort(sorted, li->trusted_cnt, sizeof(*sorted), trusted_order);
	}
	for (uint32_t i = 0; sorted && i < li->trusted_cnt; i++)
		list_add(&l, &sorted[i].prefix, sorted[i].plen);
	free(sorted);
	put_list(v, "trusted", &l);
}

/* Of proxy services; of others the values are empty. */
static void
tcp_values(const struct sl_conf_service *s, struct sl_diff_values *v)
{
	static const char *const key[] = {
		"tcp.connect_timeout", "tcp.idle_timeout",   "tcp.max_connections", "tcp.retries",
		"tcp.keepalive",       "tcp.proxy_protocol", "tcp.congestion"};
	const struct sl_conf_tcp *t = &s->tcp;

	if (s->forward != SL_FORWARD_PROXY) {
		for (unsigned i = 0; i < SL_ARRAY_CNT(key); i++)
			sl_diff_put(v, key[i], "%s", "");
		return;
	}
	sl_diff_put(v, key[0], "%u ms", t->connect_ms);
	sl_diff_put(v, key[1], "%u ms", t->idle_ms);
	sl_diff_put(v, key[2], "%u", t->max_connections);
	sl_diff_put(v, key[3], "%u", t->retries);
	sl_diff_put(v, key[4], "%u s", t->keepalive_ms / 1000);
	sl_diff_put(v, key[5], "%s", sl_proxy_out_name(t->proxy_out));
	sl_diff_put(v, key[6], "%s", sl_stream_cc_name(t->cc));
}

static void
bandwidth_values(const struct sl_conf_bandwidth *b, struct sl_diff_values *v)
{
	static const char *const key[SL_WAYS] = {"bandwidth.to_endpoints", "bandwidth.to_clients"};

	for (unsigned way = 0; way < SL_WAYS; way++)
		if (b->rate[way])
			sl_diff_put(v, key[way], "%llu B/s, burst %u",
				    (unsigned long long)b->rate[way], sl_conf_burst(b, way));
		else
			sl_diff_put(v, key[way], "%s", "");
}

static void
service_values(const struct sl_conf_service *s, struct sl_diff_values *v)
{
	char text[SL_PREFIX_STRLEN];

	sl_diff_put(v, "forward", "%s", sl_forward_name(s->forward));
	sl_diff_put(v, "policy", "%s", sl_policy_name(s->policy));
	put_number(v, "source_bits4", sl_conf_source_bits4(s), 32);
	put_number(v, "source_bits6", sl_conf_source_bits6(s), 128);
	sources_value(s, v);
	sl_diff_put(v, "tunnel_source", "%s",
		    s->tunnel_plen ? sl_prefix_format(&s->tunnel, s->tunnel_plen, text) : "");
	put_number(v, "gue_port", sl_conf_gue_port(s), SL_GUE_PORT);
	sl_diff_service_members(s, v);
	sl_diff_names(v, "limits", s->limits, s->limit_cnt);
	v->minor = true;
	tcp_values(s, v);
	put_number(v, "tcp.endpoint_connections",
		   s->forward == SL_FORWARD_PROXY ? s->tcp.endpoint_connections : 0, 0);
	sl_diff_http_values(&s->http, v);
	v->minor = false;
	sl_diff_service_tls(s, v);
	bandwidth_values(&s->bandwidth, v);
	sl_diff_put(v, "max_endpoints", "%u", s->max_endpoints);
	sl_diff_put(v, "slow_start", "%u ms", s->slow_start_ms);
	health_values(&s->health, v);
}

static void
values_of(const struct item *it, struct sl_diff_values *v)
{
	char addr[SL_ADDR_STRLEN];
	const struct sl_conf_endpoint *e = it->thing;
	const struct sl_conf_listener *l = it->thing;
	const struct sl_conf_route *r = it->thing;

	v->cnt = 0;
	v->minor = false;
	if (it->kind == GATEWAY) {
		sl_diff_put(v, "name", "%s", it->conf->name);
		sl_diff_put(v, "hash_seed", "%016llx", (unsigned long long)it->conf->hash_seed);
	} else if (it->kind == ROUTE) {
		sl_diff_put(v, "via", "%s", sl_addr_format(&r->via, addr));
	} else if (it->kind == SERVICE) {
		service_values(it->thing, v);
	} else if (it->kind == ENDPOINT) {
		sl_diff_put(v, "address", "%s", sl_addr_format(&e->addr, addr));
		sl_diff_put(v, "port", "%u", e->port);
		sl_diff_put(v, "weight", "%u", e->weight);
		sl_diff_put(v, "probe", "%s port %u", sl_addr_format(&e->probe_addr, addr),
			    e->probe_port);
		sl_diff_endpoint_members(e, v);
	} else if (it->kind == LISTENER) {
		char prefix[SL_PREFIX_STRLEN], ports[SL_PORTS_STRLEN];
		sl_diff_put(v, "address", "%s", sl_prefix_format(&l->addr, l->plen, prefix));
		sl_diff_put(v, "port", "%s", sl_ports_format(l->port, l->port_last, ports));
		sl_diff_put(v, "protocol", "%s", l->proto == SL_IPPROTO_TCP ? "tcp" : "udp");
		sl_diff_put(v, "mode", "%s", sl_mode_name(l->mode));
		sl_diff_put(v, "service", "%s", l->service);
		sl_diff_put(v, "routes", "%s", l->routes);
		sl_diff_put(v, "authorization", "%s", l->authz);
		sl_diff_put(v, "announce", "%s",
			    l->announce == SL_ANNOUNCE_NEVER ? "" : sl_announce_name(l->announce));
		put_number(v, "max_connections", l->max_connections, 0);
		put_number(v, "max_connections_per_client", l->client_max, 0);
		sl_diff_put(v, "proxy_protocol", "%s", l->proxy_in ? "required" : "");
		trusted_value(l, v);
		sl_diff_listener_tls(l, v);
	} else if (it->kind == TABLE) {
		sl_diff_table_values(it->thing, v);
	} else if (it->kind == VHOST) {
		sl_diff_vhost_values(it->thing, v);
	} else if (it->kind == HROUTE) {
		sl_diff_route_values(it->thing, v);
	} else if (it->kind == LIMIT) {
		sl_diff_limit_values(it->thing, v);
	} else if (it->kind == ISSUER) {
		sl_diff_issuer_values(it->thing, v);
	} else if (it->kind == SET) {
		sl_diff_set_values(it->thing, v);
	} else if (it->kind == RULE) {
		sl_diff_rule_values(it->thing, v);
	}
}

/* ---- the merge ---- */

static void
append(char *buf, size_t size, const char *key, const char *from, const char *to)
{
	size_t n = strlen(buf);
	if (from)
		snprintf(buf + n, size - n, "%s%s %s → %s", n ? ", " : "", key,
			 *from ? from : "(none)", *to ? to : "(none)");
	else
		snprintf(buf + n, size - n, "%s%s %s", n ? ", " : "", key, to);
}

/* Whether a trial tells nothing of such things at all. */
static bool
is_untried(const struct item *it)
{
	return it->kind == ADDRESS || it->kind == ROUTE || it->kind == LIMIT;
}

/* Two sides may have different counts of values only when their kinds differ, which the merge excludes. */
static void
word(const struct item *old, const struct item *now, bool untried, char *buf, size_t size)
{
	struct sl_diff_values a, b;

	buf[0] = 0;
	values_of(now ? now : old, &b);
	if (old && now)
		values_of(old, &a);
	for (unsigned i = 0; i < b.cnt; i++) {
		if (untried && !sl_diff_untried_key(b.v[i].key, old && now))
			continue;
		if (!old || !now) {
			if (b.v[i].text[0] && !b.v[i].minor)
				append(buf, size, b.v[i].key, NULL, b.v[i].text);
		} else if (strcmp(a.v[i].text, b.v[i].text)) {
			append(buf, size, b.v[i].key, a.v[i].text, b.v[i].text);
		}
	}
}

static void
say_place(const struct item *old, const struct item *now, char *buf, size_t size)
{
	char from[16], to[16];

	snprintf(from, sizeof(from), "%u", old->place + 1);
	snprintf(to, sizeof(to), "%u", now->place + 1);
	append(buf, size, "place", from, to);
}

static int
emit(json_t *list, const struct item *old, const struct item *now, bool untried)
{
	char text[SL_DIFF_VALUES * (2 * VALUE_LEN + 32)];
	const struct item *it = now ? now : old;

	untried = untried && !is_untried(it); /* only some of its words */
	if (untried && !now)
		return 0;
	word(old, now, untried, text, sizeof(text));
	bool moved = old && now && now->moved && !untried, only = moved && !text[0];
	if (moved)
		say_place(old, now, text, sizeof(text));
	if (((old && now) || untried) && !text[0])
		return 0;
	const char *name = it->kind == GATEWAY ? it->conf->name : it->name;
	return json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "change",
						     !old   ? "added"
						     : !now ? "removed"
						     : only ? "moved"
							    : "changed",
						     "kind", kind_name[it->kind], "name", name,
						     "text", text));
}

/* ---- order ---- */

/* A route or rule that both sides have. */
struct pair {
	uint32_t from, to;
	struct item *now;
};

static int
pair_order(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

/* Those of one host, or set. */
static void
mark_moved(struct pair *p, uint32_t n, uint32_t *places, bool *moved)
{
	qsort(p, n, sizeof(*p), pair_order);
	for (uint32_t i = 0; i < n; i++)
		places[i] = p[i].to;
	sl_diff_moved(places, n, places + n, moved);
	for (uint32_t i = 0; i < n; i++)
		p[i].now->moved = moved[i];
}

/* Routes of a host, and rules of a set, stand together in both lists. */
static bool
find_moved(struct items *a, struct items *b)
{
	size_t max = SL_MIN(a->cnt, b->cnt) + 1, i = 0, k = 0;
	struct pair *pairs = malloc(max * sizeof(*pairs));
	uint32_t *places = malloc(3 * max * sizeof(*places)), n = 0;
	bool *moved = malloc(max * sizeof(*moved)), ok = pairs && places && moved;

	while (ok && i < a->cnt && k < b->cnt) {
		struct item *x = &a->item[i], *y = &b->item[k];
		int d = item_cmp(x, y);
		if (d == 0 && y->whose) {
			if (n && pairs[n - 1].now->whose != y->whose) {
				mark_moved(pairs, n, places, moved);
				n = 0;
			}
			pairs[n++] = (struct pair){x->place, y->place, y};
		}
		i += d <= 0;
		k += d >= 0;
	}
	if (ok)
		mark_moved(pairs, n, places, moved);
	free(pairs);
	free(places);
	free(moved);
	return ok;
}

static json_t *
merge(const struct sl_conf *old, const struct sl_conf *now, bool untried)
{
	struct items a = {0}, b = {0};
	json_t *list = json_array();
	size_t i = 0, k = 0;
	bool ok = list && collect(old, &a) && collect(now, &b) && find_moved(&a, &b);

	while (ok && (i < a.cnt || k < b.cnt)) {
		int d = i == a.cnt ? 1 : k == b.cnt ? -1 : item_cmp(&a.item[i], &b.item[k]);
		ok = emit(list, d <= 0 ? &a.item[i] : NULL, d >= 0 ? &b.item[k] : NULL, untried) ==
		     0;
		i += d <= 0;
		k += d >= 0;
	}
	free(a.item);
	free(b.item);
	if (ok)
		return list;
	json_decref(list);
	return NULL;
}

json_t *
sl_diff(const struct sl_conf *old, const struct sl_conf *now)
{
	return merge(old, now, false);
}

json_t *
sl_diff_untried(const struct sl_conf *old, const struct sl_conf *now)
{
	return merge(old, now, true);
}
