/* A small compiler without slot map or history: arrays → objects.  Independent of mgmt/compile, so that a
 * mistake there is not made twice. */
#include "tests/dataplane/image_build.h"

#include <stdlib.h>

#include "lb/maglev.h"

#define DIE(...)                                                                                   \
	do {                                                                                       \
		fprintf(stderr, "image_build: " __VA_ARGS__);                                      \
		fputc('\n', stderr);                                                               \
		abort();                                                                           \
	} while (0)

static const char *const default_ports[] = {"p0", "p1"};

/* Number of records up to the end mark; `end` is the member that is NULL there. */
#define COUNT(list, n, end)                                                                        \
	({                                                                                         \
		uint32_t n_ = (n);                                                                 \
		if ((list) && n_ == 0)                                                             \
			while ((list)[n_].end)                                                     \
				n_++;                                                              \
		n_;                                                                                \
	})

struct sl_addr
sl_test_addr(const char *text)
{
	struct sl_addr a;

	if (sl_addr_parse(text, &a))
		DIE("\"%s\" is not an address", text);
	return a;
}

void
sl_test_addr_port(const char *text, struct sl_addr *ret_addr, sl_be16 *ret_port)
{
	char host[SL_ADDR_STRLEN + 2];
	const char *colon = strrchr(text, ':'), *close = strchr(text, ']');
	bool v6 = text[0] == '[' || (colon && strchr(text, ':') != colon);

	if (v6 && (!close || colon < close))
		colon = NULL;
	size_t n = colon ? (size_t)(colon - text) : strlen(text);
	if (n >= sizeof(host))
		DIE("\"%s\" is not an address and port", text);
	memcpy(host, text, n);
	host[n] = 0;
	if (n && host[n - 1] == ']')
		host[n - 1] = 0;
	*ret_addr = sl_test_addr(host + (host[0] == '['));
	*ret_port = colon ? sl_to_be16(atoi(colon + 1)) : 0;
}

static void
parse_prefix(const char *text, struct sl_addr *ret_addr, uint32_t *ret_plen)
{
	char host[SL_ADDR_STRLEN];
	const char *slash = strchr(text, '/');

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		DIE("\"%s\" is not address/length", text);
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = 0;
	*ret_addr = sl_test_addr(host);
	*ret_plen = (uint32_t)atoi(slash + 1) + (sl_addr_is_v4(ret_addr) ? 96 : 0);
}

static void
set_name(char to[SL_NAME_MAX], const char *name, const char *prefix, uint32_t i)
{
	char made[16];

	snprintf(made, sizeof(made), "%s%u", prefix, i);
	strncpy(to, name ? name : made, SL_NAME_MAX - 1);
}

/* ---- objects ---- */

static size_t
round8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* Zeroed object of the kind with room for `size` bytes. */
static void *
object_new(struct sl_object *o, enum sl_obj_kind kind, size_t size)
{
	struct sl_obj_head *h = calloc(1, round8(size));

	if (!h)
		DIE("out of memory");
	*h = (struct sl_obj_head){SL_OBJ_MAGIC, SL_IMAGE_VERSION, (uint16_t)kind,
				  (uint32_t)round8(size), 0};
	*o = (struct sl_object){.bytes = h, .size = round8(size)};
	return h;
}

static int
address_cmp(const void *a, const void *b)
{
	const struct sl_img_address *x = a, *y = b;
	int d = memcmp(x->port, y->port, SL_NAME_MAX);

	if (d == 0)
		d = sl_addr_cmp(&x->addr, &y->addr);
	return d ? d : (int)x->plen - (int)y->plen;
}

static int
route_cmp(const void *a, const void *b)
{
	const struct sl_img_route *x = a, *y = b;
	int d = sl_addr_cmp(&x->prefix, &y->prefix);

	return d ? d : (int)x->plen - (int)y->plen;
}

static void
build_network(const struct sl_test_conf *c, struct sl_object *o)
{
	uint32_t na = COUNT(c->addresses, c->address_cnt, addr);
	uint32_t nr = COUNT(c->routes, c->route_cnt, prefix);
	size_t addresses = sizeof(struct sl_img_network);
	size_t routes = addresses + na * sizeof(struct sl_img_address);
	struct sl_img_network *n =
		object_new(o, SL_OBJ_NETWORK, routes + nr * sizeof(struct sl_img_route));
	struct sl_img_address *a = (void *)((char *)n + addresses);
	struct sl_img_route *r = (void *)((char *)n + routes);

	n->address_cnt = na;
	n->address_off = na ? (uint32_t)addresses : 0;
	n->route_cnt = nr;
	n->route_off = nr ? (uint32_t)routes : 0;
	for (uint32_t i = 0; i < na; i++) {
		set_name(a[i].port, c->addresses[i].port, "p", 0);
		parse_prefix(c->addresses[i].addr, &a[i].addr, &a[i].plen);
	}
	for (uint32_t i = 0; i < nr; i++) {
		parse_prefix(c->routes[i].prefix, &r[i].prefix, &r[i].plen);
		r[i].via = sl_test_addr(c->routes[i].via);
	}
	qsort(a, na, sizeof(*a), address_cmp);
	qsort(r, nr, sizeof(*r), route_cmp);
}

/* A service of the configuration and its place there. */
struct ordered {
	const struct sl_test_service *conf;
	uint32_t idx;
	uint32_t first_slot;
};

static int
listener_cmp(const void *a, const void *b)
{
	const struct sl_img_listener *x = a, *y = b;
	int d = sl_addr_cmp(&x->addr, &y->addr);

	if (d == 0)
		d = (int)x->plen - (int)y->plen;
	if (d == 0)
		d = memcmp(&x->port_be, &y->port_be, 2);
	if (d == 0)
		d = memcmp(&x->port_last_be, &y->port_last_be, 2);
	return d ? d : (int)x->proto - (int)y->proto;
}

static uint32_t
service_ref(const struct ordered *order, uint32_t cnt, const char *name)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (strcmp(order[i].conf->name, name) == 0)
			return i + 2;
	DIE("listener of service \"%s\", which is not there", name);
}

static uint32_t
table_ref(const struct sl_test_conf *c, uint32_t services, const char *name)
{
	for (uint32_t i = 0; i < c->table_cnt; i++)
		if (strcmp(c->tables[i].name ? c->tables[i].name : "table", name) == 0)
			return 2 + services + i;
	DIE("listener of table \"%s\", which is not there", name);
}

static uint8_t
mode_of(const struct sl_test_listener *l, const struct ordered *order, uint32_t ref)
{
	if (l->mode)
		return l->mode;
	if (l->snis[0].name)
		return SL_MODE_PASSTHROUGH;
	if (l->table)
		return SL_MODE_HTTP;
	return order[ref - 2].conf->forward == SL_FORWARD_PROXY ? SL_MODE_TCP : SL_MODE_L4;
}

/* The prefixes a listener of the configuration trusts. */
static uint32_t
trusted_of(const struct sl_test_listener *l)
{
	uint32_t n = 0;

	while (n < SL_ARRAY_CNT(l->trusted) && l->trusted[n])
		n++;
	return n;
}

static uint32_t
trusted_cnt(const struct sl_test_conf *c, uint32_t cnt)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cnt; i++)
		n += trusted_of(&c->listeners[i]);
	return n;
}

/* After the sort: a listener's slot is its place in the configuration. */
static void
fill_trust(const struct sl_test_conf *c, struct sl_img_listeners *ls, uint32_t off)
{
	struct sl_img_listener *l = (void *)(ls + 1);
	struct sl_img_prefix *t = (void *)((char *)ls + off);

	for (uint32_t i = 0; i < ls->listener_cnt; i++) {
		const struct sl_test_listener *from = &c->listeners[l[i].slot];
		l[i].trust_cnt = trusted_of(from);
		l[i].proxy_in = l[i].trust_cnt > 0;
		l[i].trust_first = l[i].trust_cnt ? ls->trust_cnt : 0;
		for (uint32_t k = 0; k < l[i].trust_cnt; k++, ls->trust_cnt++)
			parse_prefix(from->trusted[k], &t[ls->trust_cnt].prefix,
				     &t[ls->trust_cnt].plen);
	}
	ls->trust_off = ls->trust_cnt ? off : 0;
}

#define LISTED(list)                                                                               \
	({                                                                                         \
		uint32_t n_ = 0;                                                                   \
		while (n_ < SL_ARRAY_CNT(list) && (list)[n_])                                      \
			n_++;                                                                      \
		n_;                                                                                \
	})

static uint32_t
sni_count(const struct sl_test_listener *l)
{
	uint32_t n = 0;

	while (n < SL_ARRAY_CNT(l->snis) && l->snis[n].name)
		n++;
	return n;
}

static int
sni_cmp(const void *a, const void *b)
{
	return memcmp(a, b, SL_HOST_MAX);
}

/* Counts and places of the sections of TLS, behind *end, which moves there. */
static void
place_tls(const struct sl_test_conf *c, uint32_t cnt, struct sl_img_listeners *n, size_t *end)
{
	for (uint32_t i = 0; i < cnt; i++) {
		const struct sl_test_listener *from = &c->listeners[i];
		n->sni_cnt += sni_count(from);
		if (!from->tls)
			continue;
		n->tls_cnt++;
		n->tls_name_cnt += LISTED(from->tls->certs) + LISTED(from->tls->trust);
		n->tls_san_cnt += LISTED(from->tls->sans);
	}
	size_t at = *end;
	n->tls_off = n->tls_cnt ? (uint32_t)at : 0;
	at += n->tls_cnt * sizeof(struct sl_img_tls_listener);
	n->tls_name_off = n->tls_name_cnt ? (uint32_t)at : 0;
	at += n->tls_name_cnt * sizeof(struct sl_img_tls_name);
	n->tls_san_off = n->tls_san_cnt ? (uint32_t)at : 0;
	at += n->tls_san_cnt * sizeof(struct sl_img_tls_san);
	n->sni_off = n->sni_cnt ? (uint32_t)at : 0;
	*end = at + n->sni_cnt * sizeof(struct sl_img_sni);
}

/* Where the next records go. */
struct tls_fill {
	struct sl_img_tls_listener *tls;
	struct sl_img_tls_name *names;
	struct sl_img_tls_san *sans;
	struct sl_img_sni *snis;
	uint32_t tls_cnt, name_cnt, san_cnt, sni_cnt;
};

static uint32_t
fill_names(struct tls_fill *f, const char *const *list, uint32_t cnt)
{
	uint32_t first = cnt ? f->name_cnt : 0;

	for (uint32_t i = 0; i < cnt; i++)
		set_name(f->names[f->name_cnt++].name, list[i], "", 0);
	return first;
}

static void
fill_listener_tls(struct tls_fill *f, const struct sl_test_tls *from)
{
	struct sl_img_tls_listener *t = &f->tls[f->tls_cnt++];

	*t = from->img;
	t->min_version = t->min_version ? t->min_version : SL_TLS_1_2;
	t->max_version = t->max_version ? t->max_version : SL_TLS_1_3;
	t->suites = t->suites ? t->suites : SL_TLS_SUITES_ALL;
	t->groups = t->groups ? t->groups : SL_TLS_GROUPS_ALL;
	t->handshake_ms = t->handshake_ms ? t->handshake_ms : 10000;
	while (t->alpn_cnt < SL_TLS_ALPNS && t->alpn[t->alpn_cnt].protocol[0])
		t->alpn_cnt++;
	t->cert_cnt = LISTED(from->certs);
	t->cert_first = fill_names(f, from->certs, t->cert_cnt);
	t->trust_cnt = LISTED(from->trust);
	t->trust_first = fill_names(f, from->trust, t->trust_cnt);
	t->san_cnt = LISTED(from->sans);
	t->san_first = t->san_cnt ? f->san_cnt : 0;
	for (uint32_t k = 0; k < t->san_cnt; k++)
		snprintf(f->sans[f->san_cnt++].san, SL_HOST_MAX, "%s", from->sans[k]);
}

/* After the sort, as fill_trust. */
static void
fill_tls(const struct sl_test_conf *c, const struct ordered *order, uint32_t services,
	 struct sl_img_listeners *ls)
{
	struct sl_img_listener *l = (void *)(ls + 1);
	char *bytes = (char *)ls;
	struct tls_fill f = {(void *)(bytes + ls->tls_off),
			     (void *)(bytes + ls->tls_name_off),
			     (void *)(bytes + ls->tls_san_off),
			     (void *)(bytes + ls->sni_off),
			     0,
			     0,
			     0,
			     0};

	for (uint32_t i = 0; i < ls->listener_cnt; i++) {
		const struct sl_test_listener *from = &c->listeners[l[i].slot];
		struct sl_img_sni *sni = f.snis + f.sni_cnt;
		l[i].sni_cnt = sni_count(from);
		l[i].sni_first = l[i].sni_cnt ? f.sni_cnt : 0;
		for (uint32_t k = 0; k < l[i].sni_cnt; k++) {
			snprintf(sni[k].name, SL_HOST_MAX, "%s", from->snis[k].name);
			sni[k].ref = service_ref(order, services, from->snis[k].service);
		}
		qsort(sni, l[i].sni_cnt, sizeof(*sni), sni_cmp);
		f.sni_cnt += l[i].sni_cnt;
		if (from->tls)
			fill_listener_tls(&f, from->tls);
		l[i].tls = from->tls ? f.tls_cnt : 0;
	}
}

static void
build_listeners(const struct sl_test_conf *c, const struct ordered *order, uint32_t services,
		struct sl_object *o)
{
	uint32_t cnt = COUNT(c->listeners, c->listener_cnt, addr);
	size_t trust = sizeof(struct sl_img_listeners) + cnt * sizeof(struct sl_img_listener);
	size_t end = trust + trusted_cnt(c, cnt) * sizeof(struct sl_img_prefix);
	struct sl_img_listeners places = {0};
	place_tls(c, cnt, &places, &end);
	struct sl_img_listeners *ls = object_new(o, SL_OBJ_LISTENERS, end);
	struct sl_img_listener *l = (void *)(ls + 1);

	places.head = ls->head;
	*ls = places;
	ls->listener_cnt = cnt;
	ls->listener_off = cnt ? sizeof(*ls) : 0;
	for (uint32_t i = 0; i < cnt; i++) {
		const struct sl_test_listener *from = &c->listeners[i];
		sl_test_addr_port(from->addr, &l[i].addr, &l[i].port_be);
		l[i].port_last_be = from->last ? sl_to_be16(from->last) : l[i].port_be;
		l[i].plen = from->plen ? from->plen + (sl_addr_is_v4(&l[i].addr) ? 96 : 0) : 128;
		l[i].proto = from->proto ? from->proto : SL_IPPROTO_TCP;
		l[i].ref = from->table     ? table_ref(c, services, from->table)
			   : from->service ? service_ref(order, services, from->service)
					   : UINT32_MAX;
		l[i].mode = mode_of(from, order, l[i].ref);
		l[i].max_connections = from->max_connections;
		l[i].slot = i;
		l[i].incarnation = 1;
		set_name(l[i].name, from->name, "l", i);
	}
	qsort(l, cnt, sizeof(*l), listener_cmp);
	fill_trust(c, ls, (uint32_t)trust);
	fill_tls(c, order, services, ls);
}

static int
endpoint_cmp(const void *a, const void *b)
{
	const struct sl_img_endpoint *x = a, *y = b;

	return memcmp(x->name, y->name, SL_NAME_MAX);
}

static void
fill_endpoints(const struct ordered *s, struct sl_img_endpoint *e)
{
	for (uint32_t i = 0; i < s->conf->endpoint_cnt; i++) {
		const struct sl_test_endpoint *from = &s->conf->endpoints[i];
		sl_test_addr_port(from->addr, &e[i].addr, &e[i].port_be);
		e[i].weight = from->weight == SL_TEST_WEIGHT_0 ? 0
			      : from->weight                   ? from->weight
							       : 1;
		e[i].slot = from->slot ? from->slot : s->first_slot + i;
		e[i].incarnation = from->incarnation ? from->incarnation : 1;
		set_name(e[i].name, from->name, "e", i);
	}
	qsort(e, s->conf->endpoint_cnt, sizeof(*e), endpoint_cmp);
}

static int
addr_cmp(const void *a, const void *b)
{
	return sl_addr_cmp(a, b);
}

static uint32_t
source_count(const struct sl_test_service *s)
{
	uint32_t n = 0;

	while (n < SL_ARRAY_CNT(s->sources) && s->sources[n])
		n++;
	return n;
}

static const struct sl_img_http_service http_default = {
	.max_pending = 1024,
	.max_requests = 1024,
	.max_retries = 3,
	.conn_idle_ms = 3600000,
	.conn_idle_max = 256,
	.eject_ms = 30000,
	.eject_max_ms = 300000,
	.sweep_ms = 10000,
	.eject_after = 5,
	.eject_max_pct = 10,
	.budget_pct = 20,
	.budget_min = 3,
};

/* What goes with the mode and the policy; the sources stand behind the struct. */
static void
fill_modes(const struct sl_test_service *from, struct sl_img_service *v)
{
	struct sl_addr *a = (void *)(v + 1);

	v->source_cnt = source_count(from);
	v->source_off = v->source_cnt ? sizeof(*v) : 0;
	for (uint32_t i = 0; i < v->source_cnt; i++)
		a[i] = sl_test_addr(from->sources[i]);
	qsort(a, v->source_cnt, sizeof(*a), addr_cmp);
	if (from->tunnel)
		parse_prefix(from->tunnel, &v->tunnel, &v->tunnel_plen);
	if (v->forward == SL_FORWARD_GUE)
		v->gue_port_be = sl_to_be16(from->gue_port ? from->gue_port : 6080);
	if (v->forward == SL_FORWARD_PROXY) {
		v->tcp = from->tcp;
		v->tcp.connect_ms = from->tcp.connect_ms ? from->tcp.connect_ms : 1000;
		v->http = from->http.conn_idle_ms ? from->http : http_default;
		v->panic_pct = from->http.conn_idle_ms ? 0 : 50;
	}
	v->panic_pct = from->panic_pct ? from->panic_pct : v->panic_pct;
	if (v->policy == SL_POLICY_SOURCE_HASH) {
		v->source_bits4 = from->source_bits4 ? from->source_bits4 : 32;
		v->source_bits6 = from->source_bits6 ? from->source_bits6 : 128;
	}
}

#define POINTS 8 /* of an endpoint on the ring; they are spread evenly, not as compile does */

static int
point_cmp(const void *a, const void *b)
{
	const struct sl_img_point *x = a, *y = b;
	int d = (x->hash > y->hash) - (x->hash < y->hash);

	return d ? d : (x->endpoint > y->endpoint) - (x->endpoint < y->endpoint);
}

static uint32_t
fill_ring(const struct sl_img_endpoint *e, const uint16_t *members, uint32_t cnt,
	  struct sl_img_point *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cnt; i++)
		for (uint32_t k = 0; e[members[i]].weight && k < POINTS; k++)
			p[n++] = (struct sl_img_point){
				(members[i] + 1) * 2654435761u + k * 0x20000001u, members[i]};
	qsort(p, n, sizeof(*p), point_cmp);
	return n;
}

/* ---- levels ---- */

static uint32_t
subset_count(const struct sl_test_service *s)
{
	uint32_t n = 0;

	while (n < SL_ARRAY_CNT(s->subsets) && s->subsets[n].name)
		n++;
	return n;
}

/* Where an endpoint of the object stands in the configuration. */
static const struct sl_test_endpoint *
endpoint_from(const struct sl_test_service *s, const struct sl_img_endpoint *e)
{
	char name[SL_NAME_MAX];

	for (uint32_t i = 0; i < s->endpoint_cnt; i++) {
		memset(name, 0, sizeof(name));
		set_name(name, s->endpoints[i].name, "e", i);
		if (memcmp(name, e->name, SL_NAME_MAX) == 0)
			return &s->endpoints[i];
	}
	DIE("endpoint \"%s\" is not there", e->name);
}

static bool
has_levels(const struct sl_test_service *s)
{
	for (uint32_t i = 0; i < s->endpoint_cnt; i++)
		if (s->endpoints[i].level || s->endpoints[i].subsets)
			return true;
	return false;
}

/* The members of a level of a set, in the order of the object; set 0: the whole. */
static uint32_t
find_members(const struct sl_test_service *s, const struct sl_img_endpoint *e, uint32_t set,
	     uint32_t level, uint16_t *members)
{
	bool some = has_levels(s);
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->endpoint_cnt; i++) {
		const struct sl_test_endpoint *from = some ? endpoint_from(s, &e[i]) : s->endpoints;
		bool in = set == 0 || from->subsets >> (set - 1) & 1;
		if (in && from->level == level)
			members[n++] = (uint16_t)i;
	}
	return n;
}

/* Bytes behind the subsets that all levels take at most. */
static size_t
levels_room(const struct sl_test_service *s, uint32_t levels, uint32_t places)
{
	return levels * (s->endpoint_cnt * (2u + POINTS * sizeof(struct sl_img_point)) +
			 2 * SL_MAX(places, SL_MAX_SCHED) + 64);
}

/* The sections of one level, from *at on. */
static void
fill_level(const struct sl_test_conf *c, const struct sl_test_service *from,
	   struct sl_img_service *v, struct sl_img_level *l, const uint16_t *members, size_t *at)
{
	const struct sl_img_endpoint *e = (const void *)((char *)v + v->endpoint_off);
	struct sl_maglev_node *nodes = calloc(l->member_cnt + 1, sizeof(*nodes));
	uint64_t seed = c->hash_seed ? c->hash_seed : 0x5eedull;
	bool weighs = false;

	for (uint32_t i = 0; i < l->member_cnt; i++) {
		nodes[i] = (struct sl_maglev_node){e[members[i]].name, e[members[i]].weight};
		weighs |= e[members[i]].weight > 0;
	}
	if (l->member_cnt < v->endpoint_cnt) {
		l->member_off = (uint32_t)*at;
		memcpy((char *)v + *at, members, 2 * l->member_cnt);
		*at = round8(*at + 2 * l->member_cnt);
	}
	uint16_t *t = (void *)((char *)v + *at);
	uint32_t off = (uint32_t)*at;
	if (weighs && v->policy == SL_POLICY_ROUND_ROBIN) {
		if (sl_maglev_schedule(nodes, l->member_cnt, t, SL_MAX_SCHED, &l->sched_cnt))
			DIE("no schedule for service \"%s\"", from->name);
		l->sched_off = off;
	} else if (weighs && v->policy == SL_POLICY_RING_HASH) {
		l->ring_cnt = fill_ring(e, members, l->member_cnt, (void *)t);
		l->ring_off = off;
	} else if (weighs && sl_policy_has_table(v->policy)) {
		l->maglev_cnt = sl_maglev_size(v->max_endpoints);
		l->maglev_off = off;
		if (sl_maglev_build(nodes, l->member_cnt, seed, t, l->maglev_cnt))
			DIE("no Maglev table for service \"%s\"", from->name);
	}
	for (uint32_t i = 0; i < l->maglev_cnt + l->sched_cnt; i++)
		t[i] = members[t[i]];
	*at = round8(*at + 2 * (l->maglev_cnt + l->sched_cnt) +
		     l->ring_cnt * sizeof(struct sl_img_point));
	free(nodes);
}

/* Counts levels of all sets, and says where those of each begin. */
static uint32_t
count_levels(const struct sl_test_service *s, const struct sl_img_endpoint *e, uint16_t *members,
	     uint32_t first[1 + 8 + 1])
{
	uint32_t n = 0, sets = 1 + subset_count(s);

	for (uint32_t set = 0; set < sets; set++) {
		first[set] = n;
		for (uint32_t level = 0; find_members(s, e, set, level, members); level++)
			n++;
	}
	first[sets] = n;
	return n;
}

/* Levels and subsets with their sections, from *at on. */
static void
fill_levels(const struct sl_test_conf *c, const struct sl_test_service *from,
	    struct sl_img_service *v, const uint32_t *first, uint16_t *members, size_t *at)
{
	const struct sl_img_endpoint *e = (const void *)((char *)v + v->endpoint_off);
	struct sl_img_level *l = (void *)((char *)v + *at);

	v->level_off = v->level_cnt ? (uint32_t)*at : 0;
	*at += v->level_cnt * sizeof(*l);
	struct sl_img_subset *sub = (void *)((char *)v + *at);
	v->subset_cnt = subset_count(from);
	v->subset_off = v->subset_cnt ? (uint32_t)*at : 0;
	*at += v->subset_cnt * sizeof(*sub);
	for (uint32_t i = 0; i < v->subset_cnt; i++) {
		set_name(sub[i].name, from->subsets[i].name, "", 0);
		sub[i].any = from->subsets[i].any;
		sub[i].level_first = first[1 + i];
		sub[i].level_cnt = first[2 + i] - first[1 + i];
	}
	for (uint32_t set = 0; set <= v->subset_cnt; set++)
		for (uint32_t i = first[set]; i < first[set + 1]; i++) {
			l[i].subset = set;
			l[i].priority = i - first[set];
			l[i].member_cnt = find_members(from, e, set, l[i].priority, members);
			fill_level(c, from, v, &l[i], members, at);
		}
}

/* What goes behind all else, at `at`; its size. */
static size_t
fill_service_tls(const struct sl_test_service *from, struct sl_img_service *v, size_t at)
{
	struct sl_img_tls_service *t = (void *)((char *)v + at);
	struct sl_img_tls_san *san = (void *)(t + 1);

	if (!from->tls)
		return 0;
	v->tls_off = (uint32_t)at;
	*t = from->tls->img;
	t->min_version = t->min_version ? t->min_version : SL_TLS_1_2;
	t->max_version = t->max_version ? t->max_version : SL_TLS_1_3;
	t->suites = t->suites ? t->suites : SL_TLS_SUITES_ALL;
	t->groups = t->groups ? t->groups : SL_TLS_GROUPS_ALL;
	t->handshake_ms = t->handshake_ms ? t->handshake_ms : 5000;
	while (t->alpn_cnt < SL_TLS_ALPNS && t->alpn[t->alpn_cnt].protocol[0])
		t->alpn_cnt++;
	t->san_cnt = LISTED(from->tls->sans);
	for (uint32_t k = 0; k < t->san_cnt; k++)
		snprintf(san[k].san, SL_HOST_MAX, "%s", from->tls->sans[k]);
	return sizeof(*t) + t->san_cnt * sizeof(*san);
}

/* Likewise. */
static size_t
fill_rates(const struct sl_test_service *from, struct sl_img_service *v, size_t at)
{
	size_t bytes = from->rate_cnt * sizeof(*from->rates);

	v->rate_cnt = from->rate_cnt;
	v->rate_off = bytes ? (uint32_t)at : 0;
	if (bytes)
		memcpy((char *)v + at, from->rates, bytes);
	return bytes;
}

/* Into a scratch object with room for all. */
static void
build_service(const struct sl_test_conf *c, const struct ordered *s, struct sl_object *o)
{
	const struct sl_test_service *from = s->conf;
	uint32_t cnt = from->endpoint_cnt, first[1 + 8 + 1];
	uint32_t max = from->max_endpoints ? from->max_endpoints : SL_MAX(cnt, 1u);
	size_t at = sizeof(struct sl_img_service) + source_count(from) * sizeof(struct sl_addr);
	struct sl_img_endpoint *e = calloc(cnt + 1, sizeof(*e));
	uint16_t *members = calloc(cnt + 1, sizeof(*members));

	fill_endpoints(s, e);
	uint32_t levels = count_levels(from, e, members, first);
	struct sl_img_service *v = object_new(
		o, SL_OBJ_SERVICE,
		at + cnt * sizeof(*e) + levels * sizeof(struct sl_img_level) +
			8 * sizeof(struct sl_img_subset) +
			levels_room(from, levels, sl_maglev_size(max)) +
			sizeof(struct sl_img_tls_service) + 8 * sizeof(struct sl_img_tls_san) +
			from->rate_cnt * sizeof(*from->rates));
	set_name(v->name, from->name, "s", 0);
	v->policy = from->policy ? from->policy : SL_POLICY_MAGLEV;
	v->forward = from->forward ? from->forward : SL_FORWARD_NAT;
	v->max_endpoints = max;
	v->endpoint_cnt = cnt;
	v->endpoint_off = cnt ? (uint32_t)at : 0;
	v->level_cnt = levels;
	fill_modes(from, v);
	memcpy((char *)v + at, e, cnt * sizeof(*e));
	at += cnt * sizeof(*e);
	v->family = from->family ? from->family : cnt && !sl_addr_is_v4(&e[0].addr) ? 6 : 4;
	fill_levels(c, from, v, first, members, &at);
	free(e);
	free(members);
	at += fill_service_tls(from, v, at);
	at += fill_rates(from, v, at);
	o->size = v->head.size = (uint32_t)at;
	void *shrunk = realloc(v, o->size); /* so that ASan sees the true end */
	o->bytes = shrunk ? shrunk : v;
}

static struct ordered *
order_services(const struct sl_test_conf *c, uint32_t *ret_cnt)
{
	uint32_t cnt = COUNT(c->services, c->service_cnt, name), slot = 0;
	struct ordered *order = calloc(cnt + 1, sizeof(*order));

	for (uint32_t i = 0; i < cnt; i++) {
		order[i] = (struct ordered){&c->services[i], i, slot};
		slot += c->services[i].endpoint_cnt;
	}
	*ret_cnt = cnt;
	return order;
}

/* ---- HTTP ---- */

static struct sl_object
object_copy(const struct sl_obj_head *h)
{
	void *bytes = malloc(h->size);

	if (!bytes)
		DIE("out of memory");
	memcpy(bytes, h, h->size);
	return (struct sl_object){.bytes = bytes, .size = h->size};
}

struct shard {
	struct sl_obj_id id;
	struct sl_object o;
};

static int
shard_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct sl_obj_id));
}

/* The shards of all virtual hosts, each once, sorted. */
struct shards {
	struct shard *s;
	unsigned cnt;
};

static void
shards_add(struct shards *all_shards, const struct sl_test_shard *s)
{
	for (unsigned i = 0; i < all_shards->cnt; i++)
		if (memcmp(&all_shards->s[i].id, &s->id, sizeof(s->id)) == 0)
			return;
	all_shards->s = realloc(all_shards->s, (all_shards->cnt + 1) * sizeof(*all_shards->s));
	if (!all_shards->s)
		DIE("out of memory");
	all_shards->s[all_shards->cnt++] = (struct shard){s->id, object_copy(&s->img->head)};
}

/* Objects behind the services. */
static void
build_http(const struct sl_test_conf *c, struct sl_test_image *im)
{
	struct shards shards = {0};

	im->objs =
		realloc(im->objs, (im->obj_cnt + c->table_cnt + c->vhost_cnt) * sizeof(*im->objs));
	for (uint32_t i = 0; im->objs && i < c->table_cnt; i++) {
		struct sl_img_routes *r = sl_test_routes_build(&c->tables[i], NULL);
		im->objs[im->obj_cnt++] = object_copy(&r->head);
		free(r);
	}
	for (uint32_t i = 0; im->objs && i < c->vhost_cnt; i++) {
		struct sl_test_vhost_image v;
		sl_test_vhost_build(&c->vhosts[i], &v);
		im->objs[im->obj_cnt++] = object_copy(&v.img->head);
		for (unsigned k = 0; k < v.shard_cnt; k++)
			shards_add(&shards, &v.shards[k]);
		sl_test_vhost_free(&v);
	}
	if (shards.cnt)
		qsort(shards.s, shards.cnt, sizeof(*shards.s), shard_cmp);
	im->objs = realloc(im->objs, (im->obj_cnt + shards.cnt) * sizeof(*im->objs));
	for (unsigned i = 0; im->objs && i < shards.cnt; i++)
		im->objs[im->obj_cnt++] = shards.s[i].o;
	if (!im->objs)
		DIE("out of memory");
	free(shards.s);
}

/* ---- the whole ---- */

static void
build_root(const struct sl_test_conf *c, struct sl_test_image *im)
{
	struct sl_img_root *root = object_new(
		&im->root, SL_OBJ_ROOT, sizeof(*root) + im->obj_cnt * sizeof(struct sl_img_ref));
	struct sl_img_ref *ref = (void *)(root + 1);
	uint32_t slot = 0;

	root->hash_seed = c->hash_seed ? c->hash_seed : 0x5eedull;
	root->ref_cnt = im->obj_cnt;
	root->ref_off = sizeof(*root);
	set_name(root->name, "test", "", 0);
	for (uint32_t i = 0; i < im->obj_cnt; i++) {
		ref[i].kind = ((const struct sl_obj_head *)im->objs[i].bytes)->kind;
		slot = i && ref[i].kind == ref[i - 1].kind ? slot + 1 : 0;
		if (ref[i].kind < SL_OBJ_SERVICE || ref[i].kind == SL_OBJ_SHARD)
			continue;
		ref[i].slot = slot;
		ref[i].incarnation = 1;
	}
}

void
sl_test_image_build(const struct sl_test_conf *c, struct sl_test_image *ret_image)
{
	uint32_t services;
	struct ordered *order = order_services(c, &services);
	struct sl_test_image im = {.obj_cnt = services + 2};

	im.objs = calloc(im.obj_cnt, sizeof(*im.objs));
	build_network(c, &im.objs[0]);
	build_listeners(c, order, services, &im.objs[1]);
	for (uint32_t i = 0; i < services; i++)
		build_service(c, &order[i], &im.objs[2 + i]);
	free(order);
	if (c->table_cnt || c->vhost_cnt)
		build_http(c, &im);
	build_root(c, &im);
	sl_test_image_reseal(&im);
	*ret_image = im;
}

void
sl_test_image_reseal(struct sl_test_image *im)
{
	struct sl_img_root *root = sl_test_bytes(&im->root);
	struct sl_img_ref *ref = (void *)((char *)root + root->ref_off);

	for (uint32_t i = 0; i < im->obj_cnt; i++) {
		sl_image_id(im->objs[i].bytes, im->objs[i].size, &ref[i].id);
		ref[i].size = (uint32_t)im->objs[i].size;
	}
	sl_image_id(im->root.bytes, im->root.size, &im->root_id);
}

void
sl_test_image_free(struct sl_test_image *im)
{
	for (uint32_t i = 0; i < im->obj_cnt; i++)
		free(sl_test_bytes(&im->objs[i]));
	free(im->objs);
	free(sl_test_bytes(&im->root));
	*im = (struct sl_test_image){0};
}

/* ---- views ---- */

int
sl_test_image_view(const struct sl_test_image *im, const struct sl_test_conf *c,
		   struct sl_diag *diag, struct sl_view **ret_view)
{
	struct sl_view_ports ports = {.worker_cnt = c->worker_cnt};
	int err = sl_image_check(im->root.bytes, im->root.size, SL_OBJ_ROOT, &im->root_id, "root",
				 diag);
	const struct sl_img_root *root = im->root.bytes;

	if (err)
		return err;
	const struct sl_img_ref *ref = (const void *)((const char *)root + root->ref_off);
	for (uint32_t i = 0; i < im->obj_cnt; i++) {
		char what[24];
		snprintf(what, sizeof(what), "object %u", i);
		int one = sl_image_check(im->objs[i].bytes, im->objs[i].size, ref[i].kind,
					 &ref[i].id, what, diag);
		err = err ? err : one;
	}
	if (err)
		return err;
	while (ports.cnt < SL_VIEW_MAX_PORTS && c->ports[ports.cnt]) {
		ports.name[ports.cnt] = c->ports[ports.cnt];
		ports.cnt++;
	}
	for (; !c->ports[0] && ports.cnt < SL_ARRAY_CNT(default_ports); ports.cnt++)
		ports.name[ports.cnt] = default_ports[ports.cnt];
	return sl_view_create(&im->root, &im->root_id, c->generation ? c->generation : 1, im->objs,
			      im->obj_cnt, &ports, diag, ret_view);
}

/* Views of sl_test_view and the objects they stand on. */
static struct held {
	struct held *next;
	struct sl_view *view;
	struct sl_test_image image;
} * all;

struct sl_view *
sl_test_view(const struct sl_test_conf *c)
{
	struct held *h = calloc(1, sizeof(*h));
	struct sl_diag diag = {0};
	char line[2048];

	sl_test_image_build(c, &h->image);
	if (sl_test_image_view(&h->image, c, &diag, &h->view)) {
		for (unsigned i = 0; i < diag.cnt; i++) {
			sl_diag_format(&diag.items[i], line, sizeof(line));
			fprintf(stderr, "image_build: %s\n", line);
		}
		DIE("the configuration is refused");
	}
	sl_diag_fini(&diag);
	h->next = all;
	all = h;
	return h->view;
}

void
sl_test_view_free(struct sl_view *v)
{
	for (struct held **p = &all; *p; p = &(*p)->next) {
		struct held *h = *p;
		if (h->view != v)
			continue;
		*p = h->next;
		sl_view_destroy(v);
		sl_test_image_free(&h->image);
		free(h);
		return;
	}
	if (v)
		DIE("not a view of sl_test_view");
}

/* ---- walk ---- */

static const char *
walk_endpoint(const struct sl_view *v, const struct sl_service *s, uint32_t i)
{
	const struct sl_img_endpoint *e = &s->endpoints[i];

	if (e->slot >= v->hop_cnt)
		return "endpoint's slot is behind the hops";
	const struct sl_hop *h = &v->hops[e->slot];
	if (h->incarnation != e->incarnation || !sl_addr_eq(&h->addr, &e->addr))
		return "hop is not the endpoint's";
	if (h->service >= v->service_cnt || &v->services[h->service] != s || h->endpoint != i)
		return "hop does not lead back to its endpoint";
	uint32_t sources;
	const struct sl_addr *source = sl_view_source(v, h, &sources);
	if (s->forward == SL_FORWARD_PROXY &&
	    (!source || !sources || sl_addr_is_v4(source) != (h->family == 4)))
		return "connections to the endpoint have no source";
	const struct sl_fib_hop *f = sl_fib_find(v->fib, &e->addr);
	if (!f || f->port != h->out_port || h->out_port >= SL_VIEW_MAX_PORTS)
		return "hop leaves by another port than its route";
	if (h->address >= v->address_cnt || v->address_port[h->address] != h->out_port)
		return "hop's source address is on another port";
	if (sl_addr_is_v4(&v->addresses[h->address].addr) != (h->family == 4))
		return "hop's source address is of the other family";
	if (sl_addr_is_v4(&h->next) != (h->family == 4))
		return "next hop is of the other family";
	return NULL;
}

/* Whether a place of a table holds a member with weight. */
static bool
walk_taker(const struct sl_service *s, const struct sl_level *l, uint32_t e)
{
	uint32_t i = 0;

	if (e >= s->endpoint_cnt || s->endpoints[e].weight == 0)
		return false;
	while (l->members && i < l->member_cnt && l->members[i] != e)
		i++;
	return !l->members || i < l->member_cnt;
}

static const char *
walk_level(const struct sl_service *s, const struct sl_level *l)
{
	for (uint32_t i = 0; l->members && i < l->member_cnt; i++)
		if (l->members[i] >= s->endpoint_cnt || (i && l->members[i - 1] >= l->members[i]))
			return "members of a level do not ascend, or are no endpoints";
	if (!l->members && l->member_cnt != s->endpoint_cnt)
		return "level of all endpoints has another number of members";
	for (uint32_t i = 0; i < l->maglev_cnt; i++)
		if (!walk_taker(s, l, l->maglev[i]))
			return "place of a table holds no member with weight";
	for (uint32_t i = 0; i < l->sched_cnt; i++)
		if (!walk_taker(s, l, l->sched[i]))
			return "place of a schedule holds no member with weight";
	for (uint32_t i = 0; i < l->ring_cnt; i++) {
		if (!walk_taker(s, l, l->ring[i].endpoint))
			return "point of the ring holds no member with weight";
		if (i && l->ring[i - 1].hash > l->ring[i].hash)
			return "points of the ring do not ascend";
	}
	for (uint32_t i = 0, sum = 0; l->weight_sums && i < l->member_cnt; i++) {
		sum += s->endpoints[l->members ? l->members[i] : i].weight;
		if (l->weight_sums[i] != sum)
			return "weights of a level are not as summed";
	}
	return l->cursor < SL_CHOOSE_CURSORS ? NULL : "cursor is out of range";
}

/* Levels of the whole and of each subset; the whole has everybody. */
static const char *
walk_levels(const struct sl_service *s)
{
	const char *wrong = walk_level(s, &s->top);
	uint32_t seen = 0;

	if (!s->sets)
		return s->set_cnt == 1 ? wrong : "service with subsets has no sets";
	for (uint32_t i = 0; !wrong && i < s->set_cnt; i++) {
		if (s->sets[i].level_cnt > SL_MAX_LEVELS)
			return "set has too many levels";
		for (uint32_t k = 0; !wrong && k < s->sets[i].level_cnt; k++) {
			wrong = walk_level(s, &s->sets[i].levels[k]);
			seen += i ? 0 : s->sets[i].levels[k].member_cnt;
		}
	}
	return wrong || seen == s->endpoint_cnt ? wrong : "levels of the whole lack endpoints";
}

/* The first and the last port of a listener, at its first and its last address, lead to it, or to one that comes
 * before it there. */
static const char *
walk_corner(const struct sl_view *v, uint32_t i, const struct sl_addr *at, sl_be16 port)
{
	const struct sl_img_listener *l = &v->listeners[i], *g;
	uint32_t got = sl_view_listener(v, at, port, l->proto);

	if (!sl_view_vip(v, at))
		return "listener's address is not a VIP";
	if (got == i)
		return NULL;
	if (got >= v->listener_cnt)
		return "listener is not found";
	g = &v->listeners[got];
	if (g->proto != l->proto || !sl_addr_in(at, &g->addr, g->plen) || g->plen < l->plen ||
	    sl_from_be16(port) < sl_from_be16(g->port_be) ||
	    sl_from_be16(port) > sl_from_be16(g->port_last_be))
		return "another listener is found, which is not for the packet";
	if (g->plen == l->plen && sl_from_be16(g->port_last_be) - sl_from_be16(g->port_be) >=
					  sl_from_be16(l->port_last_be) - sl_from_be16(l->port_be))
		return "a wider listener of the same prefix is found";
	return NULL;
}

static bool
walk_alpn(const struct sl_img_tls_alpn *alpn, uint32_t cnt)
{
	bool ok = cnt <= SL_TLS_ALPNS;

	for (uint32_t i = 0; ok && i < cnt; i++)
		ok = alpn[i].protocol[0] && !alpn[i].protocol[SL_ALPN_MAX - 1];
	return ok;
}

/* What is read of a listener's TLS: every text ends within its field. */
static const char *
walk_tls(const struct sl_view *v, uint32_t i)
{
	const struct sl_img_tls_listener *t = sl_view_tls(v, i);
	uint32_t cnt = 0;
	const struct sl_img_sni *sni = sl_view_sni(v, i, &cnt);

	for (uint32_t k = 0; k < cnt; k++) {
		uint32_t s = sl_view_sni_service(&sni[k]);
		if (!sni[k].name[0] || sni[k].name[SL_HOST_MAX - 1] ||
		    (k && strcmp(sni[k - 1].name, sni[k].name) >= 0))
			return "server names do not ascend";
		if (s >= v->service_cnt || v->services[s].forward != SL_FORWARD_PROXY)
			return "server name leads to no service of connections";
	}
	if (!t)
		return NULL;
	if (v->listeners[i].mode != SL_MODE_TCP && v->listeners[i].mode != SL_MODE_HTTP)
		return "TLS of a listener that does not end it";
	if (t->min_version < SL_TLS_1_2 || t->max_version > SL_TLS_1_3 ||
	    t->min_version > t->max_version || !t->cert_cnt || !t->suites || !t->groups ||
	    !t->handshake_ms || !walk_alpn(t->alpn, t->alpn_cnt) ||
	    (t->client != SL_TLS_CLIENT_NONE) != (t->trust_cnt > 0))
		return "TLS out of range";
	for (uint32_t k = 0; k < t->cert_cnt; k++)
		if (!sl_name_ok(v->tls_names[t->cert_first + k].name))
			return "certificate has no name";
	for (uint32_t k = 0; k < t->trust_cnt; k++)
		if (!sl_name_ok(v->tls_names[t->trust_first + k].name))
			return "trust bundle has no name";
	for (uint32_t k = 0; k < t->san_cnt; k++)
		if (v->tls_sans[t->san_first + k].san[SL_HOST_MAX - 1])
			return "name of clients does not end";
	return NULL;
}

static const char *
walk_service_tls(const struct sl_view *v, uint32_t i)
{
	const struct sl_img_tls_service *t = sl_view_service_tls(v, i);

	if (!t)
		return NULL;
	const struct sl_img_tls_san *sans = sl_view_service_sans(t);
	for (uint32_t k = 0; k < t->san_cnt; k++)
		if (!sans[k].san[0] || sans[k].san[SL_HOST_MAX - 1])
			return "name of endpoints does not end";
	return v->services[i].forward == SL_FORWARD_PROXY && t->min_version >= SL_TLS_1_2 &&
			       t->max_version <= SL_TLS_1_3 && t->min_version <= t->max_version &&
			       !t->server_name[SL_HOST_MAX - 1] &&
			       (!t->verify || sl_name_ok(t->trust[0])) &&
			       walk_alpn(t->alpn, t->alpn_cnt)
		       ? NULL
		       : "TLS of a service out of range";
}

static const char *
walk_listener(const struct sl_view *v, uint32_t i)
{
	const struct sl_img_listener *l = &v->listeners[i];
	const struct sl_local *local = sl_view_local(v, &l->addr);
	struct sl_addr end = l->addr;
	const char *wrong;

	for (unsigned bit = l->plen; bit < 128; bit++)
		end.b[bit / 8] |= 0x80u >> bit % 8;
	if ((wrong = walk_corner(v, i, &l->addr, l->port_be)) ||
	    (wrong = walk_corner(v, i, &l->addr, l->port_last_be)) ||
	    (wrong = walk_corner(v, i, &end, l->port_be)) ||
	    (wrong = walk_corner(v, i, &end, l->port_last_be)))
		return wrong;
	uint32_t other = sl_view_listener(v, &l->addr, l->port_be, (uint8_t)(l->proto ^ 23));
	if (other != SL_VIEW_NONE && v->listeners[other].proto == l->proto)
		return "listener of the other protocol is found";
	if (l->plen == 128 && (!local || local->kind != SL_LOCAL_VIP))
		return "listener's address is not a local VIP";
	if (l->proxy_in != (l->trust_cnt > 0) || (l->proxy_in && l->mode == SL_MODE_L4))
		return "listener trusts nobody, or has nobody to trust";
	for (uint32_t k = 0; k < l->trust_cnt; k++)
		if (v->trust[l->trust_first + k].plen > 128)
			return "trusted prefix is too long";
	if ((wrong = walk_tls(v, i)))
		return wrong;
	if (l->mode == SL_MODE_HTTP)
		return v->listener_service[i] < v->table_cnt ? NULL : "listener has no table";
	if (l->mode == SL_MODE_PASSTHROUGH && v->listener_service[i] == SL_VIEW_NONE)
		return NULL;
	if (v->listener_service[i] >= v->service_cnt)
		return "listener has no service";
	const struct sl_service *s = &v->services[v->listener_service[i]];
	if ((s->family == 4) != sl_addr_is_v4(&l->addr) && s->forward != SL_FORWARD_IPIP &&
	    s->forward != SL_FORWARD_GUE && s->forward != SL_FORWARD_PROXY)
		return "listener's service is of the other family";
	if ((l->mode != SL_MODE_L4) != (s->forward == SL_FORWARD_PROXY) ||
	    (l->mode != SL_MODE_L4 && l->proto != SL_IPPROTO_TCP))
		return "listener's mode does not fit its service or protocol";
	return NULL;
}

/* What a worker takes from a service by its mode and policy. */
static const char *
walk_modes(const struct sl_view *v, const struct sl_service *s)
{
	bool tunnel = s->forward == SL_FORWARD_IPIP || s->forward == SL_FORWARD_GUE;

	if (s->forward < SL_FORWARD_NAT || s->forward > SL_FORWARD_PROXY ||
	    s->policy < SL_POLICY_MAGLEV ||
	    s->policy > (s->forward == SL_FORWARD_PROXY ? SL_POLICY_RANDOM : SL_POLICY_LEAST_CONN))
		return "service has a mode or policy that there is not";
	if (s->forward != SL_FORWARD_PROXY &&
	    (s->source_cnt > 0) != (s->forward == SL_FORWARD_FULLNAT))
		return "service has sources it should not have, or none";
	const struct sl_img_tcp *t = &s->img->tcp;
	if (s->forward == SL_FORWARD_PROXY
		    ? !t->connect_ms || t->retries > 7 || t->proxy_out > SL_PROXY_V2 || t->cc > 1
		    : t->connect_ms || t->idle_ms || t->max_connections || t->keepalive_s ||
			      t->retries || t->proxy_out || t->cc)
		return "settings of connections out of range, or of no proxy service";
	for (uint32_t i = 0; i < s->source_cnt; i++) {
		const struct sl_local *l = sl_view_local(v, &s->sources[i]);
		if (!l || l->kind == SL_LOCAL_VIP || sl_view_vip(v, &s->sources[i]))
			return "source is not answered for, or is a VIP";
		if (sl_addr_is_v4(&s->sources[i]) != (s->family == 4))
			return "source is of the other family";
	}
	if (s->tunnel_plen && (!tunnel || sl_addr_is_v4(&s->tunnel) != (s->family == 4) ||
			       s->tunnel_plen > 128 || (s->family == 4 && s->tunnel_plen < 97)))
		return "tunnel prefix of the wrong mode, family or length";
	if ((s->gue_port != 0) != (s->forward == SL_FORWARD_GUE))
		return "GUE port missing, or not of a GUE service";
	if (s->policy == SL_POLICY_SOURCE_HASH &&
	    (!s->source_bits4 || s->source_bits4 > 32 || !s->source_bits6 || s->source_bits6 > 128))
		return "mask of the client's address out of range";
	return NULL;
}

/* What a worker takes from a route. */
static const char *
walk_route(const struct sl_view *v, const struct sl_img_vhost *img, uint32_t i)
{
	const uint8_t *o = (const void *)img;
	const struct sl_img_http_route *r =
		(const struct sl_img_http_route *)(const void *)(o + img->route_off) + i;
	const struct sl_img_target *t = (const void *)(o + img->target_off);
	const struct sl_img_str strs[] = {r->sticky_name, r->host, r->path, r->body,
					  r->content_type};
	uint64_t sum = 0;

	for (uint32_t k = 0; k < r->target_cnt; k++) {
		uint32_t s = 0;
		while (s < v->service_cnt && v->services[s].slot != t[r->target_first + k].service)
			s++;
		if (s == v->service_cnt || v->services[s].forward != SL_FORWARD_PROXY)
			return "target is no service of requests";
		if (t[r->target_first + k].subset >= v->services[s].set_cnt)
			return "target is no subset of its service";
		sum += t[r->target_first + k].weight;
	}
	if (sum != r->weight_sum || (r->action == SL_ACTION_FORWARD) != (sum > 0))
		return "weights are not as summed";
	for (unsigned k = 0; k < SL_ARRAY_CNT(strs); k++)
		if ((uint64_t)strs[k].off + strs[k].len > img->str_bytes)
			return "string outside";
	return r->slot < SL_MAX_HTTP_ROUTES ? NULL : "route's slot is out of range";
}

/* Requests that meet hashes, tries and databases. */
static const char *
walk_requests(const struct sl_view *v, const struct sl_vhost *vhost)
{
	static const char *const paths[] = {"/",        "/users/7/a/b", "/old/x",   "/no",
					    "/a/x.y/b", "/users/7",     "/users//", "/old"};
	static const char text[] = "GET /no?v=2 HTTP/1.1\r\nHost: a\r\nx-env: canary\r\nx-n: 5\r\n"
				   "Cookie: sid=1\r\n\r\n";
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	struct sl_http_head head;
	enum sl_http_bad why;
	struct sl_match_result m;

	if (sl_http_request((const void *)text, sizeof(text) - 1, 0, &limits, &head, &why) <= 0)
		return "request is not one";
	for (unsigned i = 0; i < SL_ARRAY_CNT(paths); i++) {
		struct sl_match_input in = {.head = &head,
					    .path = (const void *)paths[i],
					    .path_len = (uint32_t)strlen(paths[i]),
					    .query = (const void *)"v=2",
					    .query_len = 3};
		uint32_t r = sl_match_find(vhost->match, &in, &v->scratch[0], &m);
		if (r != SL_MATCH_NONE && r >= vhost->img->route_cnt)
			return "request leads to no route";
		for (uint32_t k = 0; r != SL_MATCH_NONE && k < m.capture_cnt; k++)
			if (m.capture[k].off + m.capture[k].len > in.path_len)
				return "capture outside the path";
	}
	return NULL;
}

static const char *
walk_http(const struct sl_view *v)
{
	const char *wrong = NULL;

	for (uint32_t i = 0; i < v->table_cnt; i++) {
		const struct sl_img_routes *img = v->tables[i].img;
		const struct sl_img_host *h = (const void *)((const char *)img + img->host_off);
		const uint8_t *strs = (const uint8_t *)img + img->str_off;
		for (uint32_t k = 0; k < img->host_cnt; k++) {
			uint8_t name[256] = "x";
			memcpy(name + 1, strs + h[k].name.off, h[k].name.len);
			name[1 + h[k].name.len] = 'x';
			bool front = h[k].kind == SL_HOST_SUFFIX;
			uint32_t at = sl_hosts_find(v->tables[i].hosts, name + !front,
						    h[k].name.len + (h[k].kind != SL_HOST_EXACT));
			if (at >= v->vhost_cnt)
				return "host name leads to no virtual host";
		}
	}
	for (uint32_t i = 0; !wrong && i < v->vhost_cnt; i++) {
		for (uint32_t k = 0; !wrong && k < v->vhosts[i].img->route_cnt; k++)
			wrong = walk_route(v, v->vhosts[i].img, k);
		if (!wrong && v->scratch)
			wrong = walk_requests(v, &v->vhosts[i]);
	}
	return wrong;
}

const char *
sl_test_view_walk(const struct sl_view *v)
{
	const char *wrong = NULL;

	for (uint32_t i = 0; !wrong && i < v->listener_cnt; i++)
		wrong = walk_listener(v, i);
	for (uint32_t i = 0; !wrong && i < v->service_cnt; i++) {
		const struct sl_service *s = &v->services[i];
		for (uint32_t k = 0; !wrong && k < s->endpoint_cnt; k++)
			wrong = walk_endpoint(v, s, k);
		wrong = wrong ? wrong : walk_modes(v, s);
		wrong = wrong ? wrong : walk_service_tls(v, i);
		wrong = wrong ? wrong : walk_levels(s);
	}
	for (uint32_t i = 0; !wrong && i < v->address_cnt; i++) {
		const struct sl_local *l = sl_view_local(v, &v->addresses[i].addr);
		if (!l || l->kind != SL_LOCAL_OWN || l->address >= v->address_cnt ||
		    v->address_port[i] >= SL_VIEW_MAX_PORTS)
			wrong = "own address is not local";
	}
	return wrong ? wrong : walk_http(v);
}
