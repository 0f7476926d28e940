/* Order first, then slots, then bytes:
 *
 *   order   services by name, endpoints by name, listeners as image.h says, network as image.h says:
 *           nothing after this looks at the order of the file
 *   slots   sl_slot_space_assign over the keys in that order (slots.c)
 *   bytes   each object in one zeroed buffer, sections behind the struct in the order they are declared
 *
 * An object's bytes have a reference count in front, so that a result shares what did not change with the one
 * before: 1,000 services of which 10 changed cost 10 tables and 12 sums, not 131 MB of copying.
 *
 * A service's tables are a function of (endpoint names, weights, policy, max_endpoints, seed).  When the new
 * endpoint section and the fields before it equal the old ones, the object is taken as it is. */
#include "mgmt/compile.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "lb/maglev.h"
#include "mgmt/slots.h"

struct blob {
	_Atomic uint32_t refs; /* the last one to leave frees: release, then acquire, as usual */
	uint32_t zero[3];
	uint8_t bytes[];
};
static_assert(offsetof(struct blob, bytes) == 16, "objects are aligned to 8");

struct compile {
	const struct sl_conf *c;
	const struct sl_compiled *prev; /* or NULL */
	uint64_t prev_seed;
	struct sl_diag *diag;
	struct sl_conf_links links;
	uint32_t *service_place;  /* [service_cnt]: where a service stands in links.service_order */
	uint32_t *listener_order; /* [listener_cnt] */
	uint32_t *endpoint_order; /* all services' in turn, from endpoint_first on */
	uint32_t *endpoint_first; /* [service_cnt + 1], by place */
	struct sl_placed *listener_placed, *service_placed, *endpoint_placed; /* by place */
	uint16_t *sched;              /* [SL_MAX_SCHED] scratch */
	struct sl_maglev_node *nodes; /* [SL_MAX_SERVICE_ENDPOINTS] scratch */
	struct sl_img_endpoint *eps;  /* likewise */
	struct sl_addr *sources;      /* [SL_MAX_SOURCES] likewise */
	struct sl_compiled *out;
};

/* ---- objects ---- */

static struct blob *
blob_of(const void *bytes)
{
	return (struct blob *)((uintptr_t)bytes - offsetof(struct blob, bytes));
}

/* object_create gives a zeroed object with its head filled, or NULL. */
static void *
object_create(enum sl_obj_kind kind, size_t size)
{
	struct blob *b = calloc(1, sizeof(*b) + size);

	if (!b)
		return NULL;
	__atomic_store_n((uint32_t *)&b->refs, 1, __ATOMIC_RELAXED);
	*(struct sl_obj_head *)b->bytes = (struct sl_obj_head){
		.magic = SL_OBJ_MAGIC,
		.version = SL_IMAGE_VERSION,
		.kind = (uint16_t)kind,
		.size = (uint32_t)size,
	};
	return b->bytes;
}

static void
object_unref(const void *bytes)
{
	if (bytes &&
	    __atomic_sub_fetch((uint32_t *)&blob_of(bytes)->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(blob_of(bytes));
}

static int
object_finish(const void *bytes, size_t size, struct sl_compiled_object *ret)
{
	struct sl_compiled_object o = {.bytes = bytes, .size = size};

	if (EVP_Digest(bytes, size, o.id.b, NULL, EVP_sha256(), NULL) != 1) {
		object_unref(bytes);
		return -ENOMEM;
	}
	*ret = o;
	return 0;
}

static void
object_share(const struct sl_compiled_object *from, struct sl_compiled_object *ret)
{
	__atomic_add_fetch((uint32_t *)&blob_of(from->bytes)->refs, 1, __ATOMIC_RELAXED);
	*ret = *from;
}

void
sl_compiled_free(struct sl_compiled *c)
{
	if (!c)
		return;
	object_unref(c->root.bytes);
	for (uint32_t i = 0; i < c->cnt; i++)
		object_unref(c->objs[i].bytes);
	free(c->objs);
	free(c);
}

/* A section of n elements at *end: its offset, 0 when it is empty; *end moves to the next multiple of 8. */
static uint32_t
section(uint32_t *end, uint32_t n, size_t size)
{
	uint32_t off = n ? *end : 0;

	*end = (uint32_t)((*end + n * size + 7) & ~(size_t)7);
	return off;
}

/* ---- order ---- */

static int
listener_order(const void *a, const void *b, void *arg)
{
	const struct sl_conf_listener *l = arg, *x = &l[*(const uint32_t *)a],
				      *y = &l[*(const uint32_t *)b];
	int d = sl_addr_cmp(&x->addr, &y->addr);

	if (!d)
		d = (x->plen > y->plen) - (x->plen < y->plen);
	if (!d)
		d = (int)x->port - (int)y->port;
	if (!d)
		d = (int)x->port_last - (int)y->port_last;
	return d ? d : (int)x->proto - (int)y->proto;
}

static int
source_order(const void *a, const void *b)
{
	return sl_addr_cmp(a, b);
}

static int
endpoint_order(const void *a, const void *b, void *arg)
{
	const struct sl_conf_endpoint *e = arg;
	return strcmp(e[*(const uint32_t *)a].name, e[*(const uint32_t *)b].name);
}

static const struct sl_conf_service *
service_at(const struct compile *k, uint32_t place)
{
	return &k->c->services[k->links.service_order[place]];
}

static void
order_endpoints(struct compile *k)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < k->c->service_cnt; p++) {
		const struct sl_conf_service *s = service_at(k, p);
		uint32_t *order = k->endpoint_order + n;
		k->endpoint_first[p] = n;
		n += s->endpoint_cnt;
		for (uint32_t i = 0; i < s->endpoint_cnt; i++)
			order[i] = i;
		if (s->endpoint_cnt)
			qsort_r(order, s->endpoint_cnt, sizeof(*order), endpoint_order,
				s->endpoints);
	}
	k->endpoint_first[k->c->service_cnt] = n;
}

static int
put_in_order(struct compile *k)
{
	const struct sl_conf *c = k->c;
	size_t endpoints = 0;

	if (sl_conf_link(c, &k->links) != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->service_cnt; i++)
		endpoints += c->services[i].endpoint_cnt;
	k->service_place = calloc(c->service_cnt + 1u, sizeof(*k->service_place));
	k->listener_order = calloc(c->listener_cnt + 1u, sizeof(*k->listener_order));
	k->endpoint_order = calloc(endpoints + 1, sizeof(*k->endpoint_order));
	k->endpoint_first = calloc(c->service_cnt + 1u, sizeof(*k->endpoint_first));
	k->listener_placed = calloc(c->listener_cnt + 1u, sizeof(*k->listener_placed));
	k->service_placed = calloc(c->service_cnt + 1u, sizeof(*k->service_placed));
	k->endpoint_placed = calloc(endpoints + 1, sizeof(*k->endpoint_placed));
	k->sched = malloc(SL_MAX_SCHED * sizeof(*k->sched));
	k->nodes = malloc(SL_MAX_SERVICE_ENDPOINTS * sizeof(*k->nodes));
	k->eps = malloc(SL_MAX_SERVICE_ENDPOINTS * sizeof(*k->eps));
	k->sources = malloc(SL_MAX_SOURCES * sizeof(*k->sources));
	if (!k->service_place || !k->listener_order || !k->endpoint_order || !k->endpoint_first ||
	    !k->listener_placed || !k->service_placed || !k->endpoint_placed || !k->sched ||
	    !k->nodes || !k->eps || !k->sources)
		return -ENOMEM;
	for (uint32_t p = 0; p < c->service_cnt; p++)
		k->service_place[k->links.service_order[p]] = p;
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		k->listener_order[i] = i;
	if (c->listener_cnt)
		qsort_r(k->listener_order, c->listener_cnt, sizeof(uint32_t), listener_order,
			c->listeners);
	order_endpoints(k);
	return 0;
}

/* ---- slots ---- */

static int
assign(struct compile *k, const char *what, struct sl_slot_space *space, uint64_t *seq,
       const char *const *keys, uint32_t n, struct sl_placed *placed)
{
	int err = sl_slot_space_assign(space, seq, keys, n, placed);

	if (err == 0 || err == -ENOMEM)
		return err;
	if (err == -ENOSPC)
		sl_diag_add(k->diag, NULL, 0, what, "split the table between gateways",
			    "%u %s are more than the %u slots of a gateway", n, what, space->max);
	else
		sl_diag_add(k->diag, NULL, 0, what, "names are distinct", "a name stands twice");
	return -EINVAL;
}

static int
assign_endpoints(struct compile *k, struct sl_slot_map *m, const char **keys)
{
	uint32_t n = k->endpoint_first[k->c->service_cnt], at = 0;
	char(*text)[SL_SLOT_KEY_MAX] = malloc((n + 1u) * sizeof(*text));

	if (!text)
		return -ENOMEM;
	for (uint32_t p = 0; p < k->c->service_cnt; p++) {
		const struct sl_conf_service *s = service_at(k, p);
		for (; at < k->endpoint_first[p + 1]; at++)
			keys[at] = sl_slot_key_endpoint(
				s->name, &s->endpoints[k->endpoint_order[at]], text[at]);
	}
	int err = assign(k, "endpoints", &m->endpoints, &m->seq, keys, n, k->endpoint_placed);
	free(text);
	return err;
}

static int
assign_slots(struct compile *k, struct sl_slot_map *m)
{
	const struct sl_conf *c = k->c;
	size_t most =
		SL_MAX(SL_MAX(c->listener_cnt, c->service_cnt), k->endpoint_first[c->service_cnt]);
	const char **keys = malloc((most + 1) * sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		keys[i] = c->listeners[k->listener_order[i]].name;
	int err = assign(k, "listeners", &m->listeners, &m->seq, keys, c->listener_cnt,
			 k->listener_placed);
	for (uint32_t p = 0; p < c->service_cnt; p++)
		keys[p] = service_at(k, p)->name;
	if (err == 0)
		err = assign(k, "services", &m->services, &m->seq, keys, c->service_cnt,
			     k->service_placed);
	if (err == 0)
		err = assign_endpoints(k, m, keys);
	free(keys);
	return err;
}

/* ---- NETWORK ---- */

static int
address_order(const void *a, const void *b)
{
	const struct sl_img_address *x = a, *y = b;
	int d = memcmp(x->port, y->port, SL_NAME_MAX);

	if (!d)
		d = sl_addr_cmp(&x->addr, &y->addr);
	return d ? d : (x->plen > y->plen) - (x->plen < y->plen);
}

static int
route_order(const void *a, const void *b)
{
	const struct sl_img_route *x = a, *y = b;
	int d = sl_addr_cmp(&x->prefix, &y->prefix);
	return d ? d : (x->plen > y->plen) - (x->plen < y->plen);
}

static int
build_network(const struct compile *k, struct sl_compiled_object *ret)
{
	const struct sl_conf *c = k->c;
	uint32_t end = sizeof(struct sl_img_network);
	uint32_t address_off = section(&end, c->address_cnt, sizeof(struct sl_img_address));
	uint32_t route_off = section(&end, c->route_cnt, sizeof(struct sl_img_route));
	struct sl_img_network *net = object_create(SL_OBJ_NETWORK, end);

	if (!net)
		return -ENOMEM;
	net->address_cnt = c->address_cnt;
	net->address_off = address_off;
	net->route_cnt = c->route_cnt;
	net->route_off = route_off;
	struct sl_img_address *a = (void *)((char *)net + address_off);
	for (uint32_t i = 0; i < c->address_cnt; i++) {
		memcpy(a[i].port, c->addresses[i].port, SL_NAME_MAX);
		a[i].addr = c->addresses[i].addr;
		a[i].plen = c->addresses[i].plen;
	}
	qsort(a, c->address_cnt, sizeof(*a), address_order);
	struct sl_img_route *r = (void *)((char *)net + route_off);
	for (uint32_t i = 0; i < c->route_cnt; i++) {
		r[i].prefix = c->routes[i].prefix;
		r[i].via = c->routes[i].via;
		r[i].plen = c->routes[i].plen;
	}
	qsort(r, c->route_cnt, sizeof(*r), route_order);
	return object_finish(net, end, ret);
}

/* ---- LISTENERS ---- */

static int
prefix_order(const void *a, const void *b)
{
	const struct sl_img_prefix *x = a, *y = b;
	int d = sl_addr_cmp(&x->prefix, &y->prefix);
	return d ? d : (x->plen > y->plen) - (x->plen < y->plen);
}

/* Settings of mode tcp; its trusted prefixes become the next ones of trust. */
static void
describe_mode(const struct sl_conf_listener *x, struct sl_img_prefix *trust, uint32_t *used,
	      struct sl_img_listener *to)
{
	to->mode = x->mode;
	to->max_connections = x->max_connections;
	to->proxy_in = x->proxy_in;
	if (!x->trusted_cnt)
		return;
	to->trust_first = *used;
	to->trust_cnt = x->trusted_cnt;
	memcpy(trust + *used, x->trusted, x->trusted_cnt * sizeof(*trust));
	qsort(trust + *used, x->trusted_cnt, sizeof(*trust), prefix_order);
	*used += x->trusted_cnt;
}

static int
build_listeners(const struct compile *k, struct sl_compiled_object *ret)
{
	const struct sl_conf *c = k->c;
	uint32_t end = sizeof(struct sl_img_listeners), trusted = 0, used = 0;
	uint32_t off = section(&end, c->listener_cnt, sizeof(struct sl_img_listener));
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		trusted += c->listeners[i].trusted_cnt;
	uint32_t trust_off = section(&end, trusted, sizeof(struct sl_img_prefix));
	struct sl_img_listeners *obj = object_create(SL_OBJ_LISTENERS, end);

	if (!obj)
		return -ENOMEM;
	obj->listener_cnt = c->listener_cnt;
	obj->listener_off = off;
	obj->trust_cnt = trusted;
	obj->trust_off = trust_off;
	struct sl_img_prefix *trust = (void *)((char *)obj + trust_off);
	struct sl_img_listener *l = (void *)((char *)obj + off);
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		uint32_t from = k->listener_order[i], service = k->links.listener_service[from];
		const struct sl_conf_listener *x = &c->listeners[from];
		SL_ASSERT(service != UINT32_MAX);
		l[i].addr = x->addr;
		l[i].port_be = sl_to_be16(x->port);
		l[i].port_last_be = sl_to_be16(x->port_last);
		l[i].plen = (uint8_t)x->plen;
		l[i].proto = x->proto;
		describe_mode(x, trust, &used, &l[i]);
		l[i].ref = 2 + k->service_place[service];
		l[i].slot = k->listener_placed[i].slot;
		l[i].incarnation = k->listener_placed[i].incarnation;
		memcpy(l[i].name, x->name, SL_NAME_MAX);
	}
	return object_finish(obj, end, ret);
}

/* ---- SERVICE ---- */

/* The fields that do not depend on the tables, the sources in k->sources and the endpoints in k->eps. */
static void
describe(const struct compile *k, uint32_t place, struct sl_img_service *img)
{
	const struct sl_conf_service *s = service_at(k, place);
	uint32_t first = k->endpoint_first[place];

	*img = (struct sl_img_service){
		.policy = (uint8_t)s->policy,
		.forward = (uint8_t)s->forward,
		.family = k->links.family[k->links.service_order[place]],
		.source_bits4 = (uint8_t)sl_conf_source_bits4(s),
		.source_bits6 = (uint8_t)sl_conf_source_bits6(s),
		.gue_port_be = sl_to_be16(sl_conf_gue_port(s)),
		.tunnel_plen = s->tunnel_plen,
		.tunnel = s->tunnel,
		.source_cnt = s->source_cnt,
		.endpoint_cnt = s->endpoint_cnt,
		.max_endpoints = s->max_endpoints,
	};
	memcpy(img->name, s->name, SL_NAME_MAX);
	if (s->forward == SL_FORWARD_PROXY)
		img->tcp = (struct sl_img_tcp){
			.connect_ms = s->tcp.connect_ms,
			.idle_ms = s->tcp.idle_ms,
			.max_connections = s->tcp.max_connections,
			.keepalive_s = (uint16_t)(s->tcp.keepalive_ms / 1000),
			.retries = s->tcp.retries,
			.proxy_out = s->tcp.proxy_out,
			.cc = s->tcp.cc,
		};
	if (s->source_cnt) {
		memcpy(k->sources, s->sources, s->source_cnt * sizeof(*k->sources));
		qsort(k->sources, s->source_cnt, sizeof(*k->sources), source_order);
	}
	memset(k->eps, 0, s->endpoint_cnt * sizeof(*k->eps));
	for (uint32_t i = 0; i < s->endpoint_cnt; i++) {
		const struct sl_conf_endpoint *e = &s->endpoints[k->endpoint_order[first + i]];
		struct sl_img_endpoint *to = &k->eps[i];
		to->addr = e->addr;
		to->port_be = sl_to_be16(e->port);
		to->weight = e->weight;
		to->slot = k->endpoint_placed[first + i].slot;
		to->incarnation = k->endpoint_placed[first + i].incarnation;
		memcpy(to->name, e->name, SL_NAME_MAX);
	}
}

/* The previous object of the service of that name, or NULL. */
static const struct sl_compiled_object *
previous(const struct compile *k, const char name[SL_NAME_MAX])
{
	if (!k->prev)
		return NULL;
	uint32_t lo = 2, hi = k->prev->cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct sl_img_service *s = k->prev->objs[mid].bytes;
		int d = memcmp(s->name, name, SL_NAME_MAX);
		if (d == 0)
			return &k->prev->objs[mid];
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static const struct sl_img_endpoint *
endpoints_of(const struct sl_img_service *s)
{
	return (const void *)((const char *)s + s->endpoint_off);
}

static const struct sl_addr *
sources_of(const struct sl_img_service *s)
{
	return (const void *)((const char *)s + s->source_off);
}

static bool
unchanged(const struct compile *k, const struct sl_img_service *old,
	  const struct sl_img_service *img)
{
	return k->prev_seed == k->c->hash_seed && old->policy == img->policy &&
	       old->forward == img->forward && old->family == img->family &&
	       old->source_bits4 == img->source_bits4 && old->source_bits6 == img->source_bits6 &&
	       old->gue_port_be == img->gue_port_be && old->tunnel_plen == img->tunnel_plen &&
	       sl_addr_eq(&old->tunnel, &img->tunnel) && old->source_cnt == img->source_cnt &&
	       memcmp(sources_of(old), k->sources, img->source_cnt * sizeof(*k->sources)) == 0 &&
	       memcmp(&old->tcp, &img->tcp, sizeof(img->tcp)) == 0 &&
	       old->max_endpoints == img->max_endpoints && old->endpoint_cnt == img->endpoint_cnt &&
	       memcmp(endpoints_of(old), k->eps, img->endpoint_cnt * sizeof(*k->eps)) == 0;
}

/* Whether the Maglev table of old is that of the endpoints in k->eps at `size`. */
static bool
same_table(const struct compile *k, const struct sl_img_service *old,
	   const struct sl_img_service *img, uint32_t size)
{
	if (!old || k->prev_seed != k->c->hash_seed || old->maglev_cnt != size ||
	    old->endpoint_cnt != img->endpoint_cnt)
		return false;
	const struct sl_img_endpoint *e = endpoints_of(old);
	for (uint32_t i = 0; i < img->endpoint_cnt; i++)
		if (e[i].weight != k->eps[i].weight ||
		    memcmp(e[i].name, k->eps[i].name, SL_NAME_MAX) != 0)
			return false;
	return true;
}

static bool
some_weight(const struct compile *k, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (k->eps[i].weight)
			return true;
	return false;
}

static void
list_nodes(const struct compile *k, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		k->nodes[i] = (struct sl_maglev_node){k->eps[i].name, k->eps[i].weight};
}

static int
build_service(const struct compile *k, uint32_t place, struct sl_compiled_object *ret)
{
	struct sl_img_service img, *obj;
	uint32_t end = sizeof(img), n, maglev_cnt = 0, sched_cnt = 0;
	int err;

	describe(k, place, &img);
	n = img.endpoint_cnt;
	const struct sl_compiled_object *prev = previous(k, img.name);
	const struct sl_img_service *old = prev ? prev->bytes : NULL;
	if (old && unchanged(k, old, &img)) {
		object_share(prev, ret);
		return 0;
	}

	list_nodes(k, n);
	if (some_weight(k, n)) {
		if (sl_policy_has_table(img.policy))
			maglev_cnt = sl_maglev_size(img.max_endpoints);
		else if (img.policy == SL_POLICY_ROUND_ROBIN &&
			 (err = sl_maglev_schedule(k->nodes, n, k->sched, SL_MAX_SCHED,
						   &sched_cnt)) != 0)
			return err;
	}
	img.source_off = section(&end, img.source_cnt, sizeof(struct sl_addr));
	img.endpoint_off = section(&end, n, sizeof(struct sl_img_endpoint));
	img.maglev_cnt = maglev_cnt;
	img.maglev_off = section(&end, maglev_cnt, sizeof(uint16_t));
	img.sched_cnt = sched_cnt;
	img.sched_off = section(&end, sched_cnt, sizeof(uint16_t));
	if (!(obj = object_create(SL_OBJ_SERVICE, end)))
		return -ENOMEM;
	img.head = obj->head;
	*obj = img;
	memcpy((char *)obj + img.source_off, k->sources,
	       img.source_cnt * sizeof(*k->sources) * (img.source_cnt > 0));
	memcpy((char *)obj + img.endpoint_off, k->eps, n * sizeof(*k->eps) * (n > 0));
	if (sched_cnt)
		memcpy((char *)obj + img.sched_off, k->sched, sched_cnt * sizeof(uint16_t));
	uint16_t *table = (void *)((char *)obj + img.maglev_off);
	if (maglev_cnt && same_table(k, old, &img, maglev_cnt))
		memcpy(table, (const char *)old + old->maglev_off, maglev_cnt * sizeof(*table));
	else if (maglev_cnt &&
		 (err = sl_maglev_build(k->nodes, n, k->c->hash_seed, table, maglev_cnt)) != 0) {
		object_unref(obj);
		return err;
	}
	return object_finish(obj, end, ret);
}

/* ---- ROOT ---- */

static int
build_root(const struct compile *k)
{
	const struct sl_compiled *out = k->out;
	uint32_t end = sizeof(struct sl_img_root);
	uint32_t off = section(&end, out->cnt, sizeof(struct sl_img_ref));
	struct sl_img_root *root = object_create(SL_OBJ_ROOT, end);

	if (!root)
		return -ENOMEM;
	root->hash_seed = k->c->hash_seed;
	root->ref_cnt = out->cnt;
	root->ref_off = off;
	memcpy(root->name, k->c->name, SL_NAME_MAX);
	struct sl_img_ref *ref = (void *)((char *)root + off);
	for (uint32_t i = 0; i < out->cnt; i++) {
		ref[i].id = out->objs[i].id;
		ref[i].kind = ((const struct sl_obj_head *)out->objs[i].bytes)->kind;
		ref[i].size = (uint32_t)out->objs[i].size;
		if (i >= 2) {
			ref[i].slot = k->service_placed[i - 2].slot;
			ref[i].incarnation = k->service_placed[i - 2].incarnation;
		}
	}
	return object_finish(root, end, &k->out->root);
}

/* ---- the whole ---- */

static int
build(struct compile *k)
{
	uint32_t services = k->c->service_cnt;
	int err;

	k->out = calloc(1, sizeof(*k->out));
	if (!k->out || !(k->out->objs = calloc(services + 2u, sizeof(*k->out->objs))))
		return -ENOMEM;
	k->out->cnt = services + 2;
	if ((err = build_network(k, &k->out->objs[0])) != 0 ||
	    (err = build_listeners(k, &k->out->objs[1])) != 0)
		return err;
	for (uint32_t p = 0; p < services; p++)
		if ((err = build_service(k, p, &k->out->objs[2 + p])) != 0)
			return err;
	return build_root(k);
}

int
sl_compile(const struct sl_conf *c, const struct sl_slot_map *prev,
	   const struct sl_compiled *prev_compiled, struct sl_diag *diag,
	   struct sl_slot_map *ret_map, struct sl_compiled **ret_compiled)
{
	struct compile k = {.c = c, .prev = prev_compiled, .diag = diag};
	struct sl_slot_map map;
	int err = sl_slot_map_copy(prev, &map);

	if (err)
		return err;
	if (k.prev)
		k.prev_seed = ((const struct sl_img_root *)k.prev->root.bytes)->hash_seed;
	err = put_in_order(&k);
	if (err == 0)
		err = assign_slots(&k, &map);
	if (err == 0)
		err = build(&k);
	if (err == 0) {
		*ret_map = map;
		*ret_compiled = k.out;
	} else {
		sl_slot_map_fini(&map);
		sl_compiled_free(k.out);
	}
	sl_conf_links_fini(&k.links);
	free(k.service_place);
	free(k.listener_order);
	free(k.endpoint_order);
	free(k.endpoint_first);
	free(k.listener_placed);
	free(k.service_placed);
	free(k.endpoint_placed);
	free(k.sched);
	free(k.nodes);
	free(k.eps);
	free(k.sources);
	return err;
}
