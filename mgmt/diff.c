/* Both sides are turned into sorted lists of items (kind, name, values); a merge of the two lists gives added,
 * removed and changed.  A value is a (key, text) pair, so that one routine words all changes. */
#include "mgmt/diff.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sluice/streams.h"

enum kind { GATEWAY, ADDRESS, ROUTE, SERVICE, ENDPOINT, LISTENER };
static const char *const kind_name[] = {"gateway", "address",  "route",
					"service", "endpoint", "listener"};

struct item {
	const struct sl_conf *conf;
	const void *thing;
	uint8_t group; /* order: gateway 0, addresses 1, routes 2, services and endpoints 3, listeners 4 */
	uint8_t kind;
	char name[2 * SL_NAME_MAX + 64];
};

#define VALUES 32
#define VALUE_LEN 320
struct values {
	unsigned cnt;
	struct {
		const char *key;
		char text[VALUE_LEN];
	} v[VALUES];
};

/* ---- items ---- */

struct items {
	struct item *item;
	size_t cnt;
};

static struct item *
add(struct items *l, const struct sl_conf *c, enum kind kind, const void *thing)
{
	static const uint8_t group[] = {0, 1, 2, 3, 3, 4};
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

static bool
collect(const struct sl_conf *c, struct items *l)
{
	size_t cnt = 1;
	char text[64];

	for (uint32_t i = 0; c && i < c->service_cnt; i++)
		cnt += c->services[i].endpoint_cnt;
	if (c)
		cnt += c->address_cnt + c->route_cnt + c->service_cnt + c->listener_cnt;
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
	qsort(l->item, l->cnt, sizeof(*l->item), item_cmp);
	return true;
}

/* ---- values ---- */

__attribute__((format(printf, 3, 4))) static void
put(struct values *v, const char *key, const char *fmt, ...)
{
	va_list ap;

	v->v[v->cnt].key = key;
	va_start(ap, fmt);
	vsnprintf(v->v[v->cnt].text, VALUE_LEN, fmt, ap);
	va_end(ap);
	v->cnt++;
}

static void
health_values(const struct sl_health_conf *h, struct values *v)
{
	static const char *const type[] = {"none", "tcp", "http"};
	char expect[VALUE_LEN] = "";
	size_t n = 0;

	put(v, "health", "%s", type[h->type]);
	put(v, "health.interval", "%u ms", h->interval_ms);
	put(v, "health.timeout", "%u ms", h->timeout_ms);
	put(v, "health.rise", "%u", h->rise);
	put(v, "health.fall", "%u", h->fall);
	put(v, "health.jitter", "%u %%", h->jitter_pct);
	put(v, "health.port", "%u", h->port);
	put(v, "health.path", "%s", h->path);
	put(v, "health.host", "%s", h->host);
	for (uint32_t i = 0; i < h->expect_cnt && n < sizeof(expect) - 16; i++)
		n += (size_t)snprintf(expect + n, sizeof(expect) - n, "%s%u-%u", i ? "," : "",
				      h->expect[i].lo, h->expect[i].hi);
	put(v, "health.expect", "%s", expect);
}

/* The default is not worth a word, nor is 0: the key does not apply. */
static void
put_number(struct values *v, const char *key, unsigned n, unsigned usual)
{
	if (n && n != usual)
		put(v, key, "%u", n);
	else
		put(v, key, "%s", "");
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
put_list(struct values *v, const char *key, struct list *l)
{
	if (l->more)
		snprintf(l->text + l->len, sizeof(l->text) - l->len, " and %u more (sum %08x)",
			 l->more, (unsigned)(l->sum >> 32));
	put(v, key, "%s", l->text);
}

/* Their order in the file means nothing. */
static void
sources_value(const struct sl_conf_service *s, struct values *v)
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
trusted_value(const struct sl_conf_listener *li, struct values *v)
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
tcp_values(const struct sl_conf_service *s, struct values *v)
{
	static const char *const key[] = {
		"tcp.connect_timeout", "tcp.idle_timeout",   "tcp.max_connections", "tcp.retries",
		"tcp.keepalive",       "tcp.proxy_protocol", "tcp.congestion"};
	const struct sl_conf_tcp *t = &s->tcp;

	if (s->forward != SL_FORWARD_PROXY) {
		for (unsigned i = 0; i < SL_ARRAY_CNT(key); i++)
			put(v, key[i], "%s", "");
		return;
	}
	put(v, key[0], "%u ms", t->connect_ms);
	put(v, key[1], "%u ms", t->idle_ms);
	put(v, key[2], "%u", t->max_connections);
	put(v, key[3], "%u", t->retries);
	put(v, key[4], "%u s", t->keepalive_ms / 1000);
	put(v, key[5], "%s", sl_proxy_out_name(t->proxy_out));
	put(v, key[6], "%s", sl_stream_cc_name(t->cc));
}

static void
service_values(const struct sl_conf_service *s, struct values *v)
{
	char text[SL_PREFIX_STRLEN];

	put(v, "forward", "%s", sl_forward_name(s->forward));
	put(v, "policy", "%s", sl_policy_name(s->policy));
	put_number(v, "source_bits4", sl_conf_source_bits4(s), 32);
	put_number(v, "source_bits6", sl_conf_source_bits6(s), 128);
	sources_value(s, v);
	put(v, "tunnel_source", "%s",
	    s->tunnel_plen ? sl_prefix_format(&s->tunnel, s->tunnel_plen, text) : "");
	put_number(v, "gue_port", sl_conf_gue_port(s), SL_GUE_PORT);
	tcp_values(s, v);
	put(v, "max_endpoints", "%u", s->max_endpoints);
	put(v, "slow_start", "%u ms", s->slow_start_ms);
	health_values(&s->health, v);
}

static void
values_of(const struct item *it, struct values *v)
{
	char addr[SL_ADDR_STRLEN];
	const struct sl_conf_endpoint *e = it->thing;
	const struct sl_conf_listener *l = it->thing;
	const struct sl_conf_route *r = it->thing;

	v->cnt = 0;
	if (it->kind == GATEWAY) {
		put(v, "name", "%s", it->conf->name);
		put(v, "hash_seed", "%016llx", (unsigned long long)it->conf->hash_seed);
	} else if (it->kind == ROUTE) {
		put(v, "via", "%s", sl_addr_format(&r->via, addr));
	} else if (it->kind == SERVICE) {
		service_values(it->thing, v);
	} else if (it->kind == ENDPOINT) {
		put(v, "address", "%s", sl_addr_format(&e->addr, addr));
		put(v, "port", "%u", e->port);
		put(v, "weight", "%u", e->weight);
		put(v, "probe", "%s port %u", sl_addr_format(&e->probe_addr, addr), e->probe_port);
	} else if (it->kind == LISTENER) {
		char prefix[SL_PREFIX_STRLEN], ports[SL_PORTS_STRLEN];
		put(v, "address", "%s", sl_prefix_format(&l->addr, l->plen, prefix));
		put(v, "port", "%s", sl_ports_format(l->port, l->port_last, ports));
		put(v, "protocol", "%s", l->proto == SL_IPPROTO_TCP ? "tcp" : "udp");
		put(v, "mode", "%s", sl_mode_name(l->mode));
		put(v, "service", "%s", l->service);
		put_number(v, "max_connections", l->max_connections, 0);
		put(v, "proxy_protocol", "%s", l->proxy_in ? "required" : "");
		trusted_value(l, v);
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

/* Two sides may have different counts of values only when their kinds differ, which the merge excludes. */
static void
word(const struct item *old, const struct item *now, char *buf, size_t size)
{
	struct values a, b;

	buf[0] = 0;
	values_of(now ? now : old, &b);
	if (old && now)
		values_of(old, &a);
	for (unsigned i = 0; i < b.cnt; i++) {
		if (!old || !now) {
			if (b.v[i].text[0] && strncmp(b.v[i].key, "health.", 7) &&
			    strncmp(b.v[i].key, "tcp.", 4))
				append(buf, size, b.v[i].key, NULL, b.v[i].text);
		} else if (strcmp(a.v[i].text, b.v[i].text)) {
			append(buf, size, b.v[i].key, a.v[i].text, b.v[i].text);
		}
	}
}

static int
emit(json_t *list, const struct item *old, const struct item *now)
{
	char text[VALUES * (2 * VALUE_LEN + 32)];
	const struct item *it = now ? now : old;

	word(old, now, text, sizeof(text));
	if (old && now && !text[0])
		return 0;
	const char *name = it->kind == GATEWAY ? it->conf->name : it->name;
	return json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "change",
						     !old   ? "added"
						     : !now ? "removed"
							    : "changed",
						     "kind", kind_name[it->kind], "name", name,
						     "text", text));
}

json_t *
sl_diff(const struct sl_conf *old, const struct sl_conf *now)
{
	struct items a = {0}, b = {0};
	json_t *list = json_array();
	size_t i = 0, k = 0;
	bool ok = list && collect(old, &a) && collect(now, &b);

	while (ok && (i < a.cnt || k < b.cnt)) {
		int d = i == a.cnt ? 1 : k == b.cnt ? -1 : item_cmp(&a.item[i], &b.item[k]);
		ok = emit(list, d <= 0 ? &a.item[i] : NULL, d >= 0 ? &b.item[k] : NULL) == 0;
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
