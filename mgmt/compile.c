/* Order first, then slots, then bytes:
 *
 *   order   services by name, endpoints by name, listeners as image.h says, network as image.h says:
 *           nothing after this looks at the order of the file
 *   slots   sl_slot_space_assign over the keys in that order (slots.c)
 *   bytes   each object in one zeroed buffer (object.h), sections behind the struct in the order they are declared;
 *           services in compile_service.c and compile_levels.c, route tables in compile_routes.c */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "mgmt/object.h"
#include "mgmt/shards.h"
#include "mgmt/slots.h"

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
endpoint_order(const void *a, const void *b, void *arg)
{
	const struct sl_conf_endpoint *e = arg;
	return strcmp(e[*(const uint32_t *)a].name, e[*(const uint32_t *)b].name);
}

const struct sl_conf_service *
sl_compile_service_at(const struct sl_compiling *k, uint32_t place)
{
	return &k->c->services[k->links.service_order[place]];
}

static void
order_endpoints(struct sl_compiling *k)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < k->c->service_cnt; p++) {
		const struct sl_conf_service *s = sl_compile_service_at(k, p);
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
put_in_order(struct sl_compiling *k)
{
	const struct sl_conf *c = k->c;
	size_t endpoints = 0;

	if (sl_conf_link(c, &k->links) != 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->service_cnt; i++)
		endpoints += c->services[i].endpoint_cnt;
	k->service_place = calloc(c->service_cnt + 1u, sizeof(*k->service_place));
	k->service_ref = calloc(c->service_cnt + 1u, sizeof(*k->service_ref));
	k->listener_order = calloc(c->listener_cnt + 1u, sizeof(*k->listener_order));
	k->endpoint_order = calloc(endpoints + 1, sizeof(*k->endpoint_order));
	k->endpoint_first = calloc(c->service_cnt + 1u, sizeof(*k->endpoint_first));
	k->listener_placed = calloc(c->listener_cnt + 1u, sizeof(*k->listener_placed));
	k->service_placed = calloc(c->service_cnt + 1u, sizeof(*k->service_placed));
	k->endpoint_placed = calloc(endpoints + 1, sizeof(*k->endpoint_placed));
	k->levels = sl_compile_levels_create();
	k->nodes = malloc(SL_MAX_SERVICE_ENDPOINTS * sizeof(*k->nodes));
	k->eps = malloc(SL_MAX_SERVICE_ENDPOINTS * sizeof(*k->eps));
	k->sources = malloc(SL_MAX_SOURCES * sizeof(*k->sources));
	if (!k->service_place || !k->service_ref || !k->listener_order || !k->endpoint_order ||
	    !k->endpoint_first || !k->listener_placed || !k->service_placed ||
	    !k->endpoint_placed || !k->levels || !k->nodes || !k->eps || !k->sources)
		return -ENOMEM;
	for (uint32_t p = 0; p < c->service_cnt; p++)
		k->service_place[k->links.service_order[p]] = p;
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		k->listener_order[i] = i;
	if (c->listener_cnt)
		qsort_r(k->listener_order, c->listener_cnt, sizeof(uint32_t), listener_order,
			c->listeners);
	order_endpoints(k);
	return sl_compile_order_routes(k);
}

/* ---- slots ---- */

int
sl_compile_assign(struct sl_compiling *k, const char *what, struct sl_slot_space *space,
		  uint64_t *seq, const char *const *keys, uint32_t n, struct sl_placed *placed)
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
assign_endpoints(struct sl_compiling *k, struct sl_slot_map *m, const char **keys)
{
	uint32_t n = k->endpoint_first[k->c->service_cnt], at = 0;
	char(*text)[SL_SLOT_KEY_MAX] = malloc((n + 1u) * sizeof(*text));

	if (!text)
		return -ENOMEM;
	for (uint32_t p = 0; p < k->c->service_cnt; p++) {
		const struct sl_conf_service *s = sl_compile_service_at(k, p);
		for (; at < k->endpoint_first[p + 1]; at++)
			keys[at] = sl_slot_key_endpoint(
				s->name, &s->endpoints[k->endpoint_order[at]], text[at]);
	}
	int err = sl_compile_assign(k, "endpoints", &m->endpoints, &m->seq, keys, n,
				    k->endpoint_placed);
	free(text);
	return err;
}

static int
assign_slots(struct sl_compiling *k, struct sl_slot_map *m)
{
	const struct sl_conf *c = k->c;
	size_t most =
		SL_MAX(SL_MAX(c->listener_cnt, c->service_cnt), k->endpoint_first[c->service_cnt]);
	const char **keys = malloc((most + 1) * sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		keys[i] = c->listeners[k->listener_order[i]].name;
	int err = sl_compile_assign(k, "listeners", &m->listeners, &m->seq, keys, c->listener_cnt,
				    k->listener_placed);
	for (uint32_t p = 0; p < c->service_cnt; p++)
		keys[p] = sl_compile_service_at(k, p)->name;
	if (err == 0)
		err = sl_compile_assign(k, "services", &m->services, &m->seq, keys, c->service_cnt,
					k->service_placed);
	if (err == 0)
		err = assign_endpoints(k, m, keys);
	if (err == 0)
		err = sl_compile_assign_rates(k, m);
	if (err == 0)
		err = sl_compile_assign_authz(k, m);
	if (err == 0)
		err = sl_compile_assign_routes(k, m);
	if (err == 0)
		err = sl_compile_assign_jwt(k, m);
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
build_network(const struct sl_compiling *k, struct sl_compiled_object *ret)
{
	const struct sl_conf *c = k->c;
	uint32_t end = sizeof(struct sl_img_network);
	uint32_t address_off =
		sl_object_section(&end, c->address_cnt, sizeof(struct sl_img_address));
	uint32_t route_off = sl_object_section(&end, c->route_cnt, sizeof(struct sl_img_route));
	struct sl_img_network *net = sl_object_create(SL_OBJ_NETWORK, end);

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
	return sl_object_finish(net, end, NULL, ret);
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
	to->client_max = (uint16_t)x->client_max;
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
build_listeners(const struct sl_compiling *k, struct sl_compiled_object *ret)
{
	const struct sl_conf *c = k->c;
	uint32_t end = sizeof(struct sl_img_listeners), trusted = 0, used = 0;
	uint32_t off = sl_object_section(&end, c->listener_cnt, sizeof(struct sl_img_listener));
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		trusted += c->listeners[i].trusted_cnt;
	uint32_t trust_off = sl_object_section(&end, trusted, sizeof(struct sl_img_prefix));
	struct sl_img_listeners tls = {0};
	sl_compile_tls_sections(c, &end, &tls);
	struct sl_img_listeners *obj = sl_object_create(SL_OBJ_LISTENERS, end);

	if (!obj)
		return -ENOMEM;
	tls.head = obj->head;
	*obj = tls;
	obj->listener_cnt = c->listener_cnt;
	obj->listener_off = off;
	obj->trust_cnt = trusted;
	obj->trust_off = trust_off;
	struct sl_img_prefix *trust = (void *)((char *)obj + trust_off);
	struct sl_tls_used tls_used = {0};
	struct sl_img_listener *l = (void *)((char *)obj + off);
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		uint32_t from = k->listener_order[i], service = k->links.listener_service[from];
		const struct sl_conf_listener *x = &c->listeners[from];
		l[i].addr = x->addr;
		l[i].port_be = sl_to_be16(x->port);
		l[i].port_last_be = sl_to_be16(x->port_last);
		l[i].plen = (uint8_t)x->plen;
		l[i].proto = x->proto;
		describe_mode(x, trust, &used, &l[i]);
		sl_compile_listener_tls(k, from, obj, &tls_used, &l[i]);
		l[i].ref = x->mode == SL_MODE_HTTP
				   ? k->table_ref[sl_compile_table_place(k, x->routes)]
			   : service == UINT32_MAX ? UINT32_MAX /* mode tls-passthrough */
						   : k->service_ref[k->service_place[service]];
		l[i].authz = x->authz[0] ? sl_compile_authz_placed(k, x->authz).slot + 1 : 0;
		l[i].slot = k->listener_placed[i].slot;
		l[i].incarnation = k->listener_placed[i].incarnation;
		memcpy(l[i].name, x->name, SL_NAME_MAX);
	}
	return sl_object_finish(obj, end, NULL, ret);
}

/* ---- ROOT ---- */

static int
build_root(const struct sl_compiling *k)
{
	const struct sl_compiled *out = k->out;
	uint32_t end = sizeof(struct sl_img_root);
	uint32_t off = sl_object_section(&end, out->cnt, sizeof(struct sl_img_ref));
	struct sl_img_root *root = sl_object_create(SL_OBJ_ROOT, end);

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
		ref[i].slot = k->ref_placed[i].slot;
		ref[i].incarnation = k->ref_placed[i].incarnation;
	}
	return sl_object_finish(root, end, NULL, &k->out->root);
}

const struct sl_compiled_object *
sl_compile_previous(const struct sl_compiling *k, enum sl_obj_kind kind,
		    const struct sl_placed *placed)
{
	if (!k->prev)
		return NULL;
	const struct sl_img_root *root = k->prev->root.bytes;
	const struct sl_img_ref *ref = (const void *)((const char *)root + root->ref_off);
	uint32_t lo = 2, hi = k->prev->cnt;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct sl_img_ref *r = &ref[mid];
		if (r->kind < kind || (r->kind == kind && r->slot < placed->slot))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < k->prev->cnt && ref[lo].kind == kind && ref[lo].slot == placed->slot &&
			       ref[lo].incarnation == placed->incarnation
		       ? &k->prev->objs[lo]
		       : NULL;
}

/* ---- the whole ---- */

static int
by_slot(const void *a, const void *b, void *arg)
{
	const struct sl_placed *p = arg;
	uint32_t x = p[*(const uint32_t *)a].slot, y = p[*(const uint32_t *)b].slot;
	return (x > y) - (x < y);
}

/* Gives n owners the refs from *next on, in the order of their slots: ref[i] is that of owner i. */
static int
number_refs(struct sl_compiling *k, const struct sl_placed *placed, uint32_t n, uint32_t *next,
	    uint32_t *ref)
{
	uint32_t *order = malloc((n + 1u) * sizeof(*order));

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	qsort_r(order, n, sizeof(*order), by_slot, (void *)(uintptr_t)placed);
	for (uint32_t i = 0; i < n; i++) {
		ref[order[i]] = *next;
		k->ref_placed[(*next)++] = placed[order[i]];
	}
	free(order);
	return 0;
}

static int
scan_order(const void *a, const void *b)
{
	return strcmp(((const struct sl_scan_base *)a)->scan,
		      ((const struct sl_scan_base *)b)->scan);
}

int
sl_compile_keep_base(struct sl_compiling *k, const char *scan, const struct sl_shard_key *key)
{
	struct sl_scan_base *more = k->bases;

	if ((k->base_cnt & (k->base_cnt + 1)) == 0) /* room for 1, 3, 7, … */
		more = realloc(k->bases, (2 * k->base_cnt + 1u) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	k->bases = more;
	char *copy = strdup(scan);
	if (!copy)
		return -ENOMEM;
	k->bases[k->base_cnt++] = (struct sl_scan_base){copy, *key};
	return 0;
}

/* The bases in use become those of the new map. */
static int
put_bases(struct sl_compiling *k)
{
	if (k->base_cnt)
		qsort(k->bases, k->base_cnt, sizeof(*k->bases), scan_order);
	sl_slot_bases_clear(k->map);
	for (uint32_t i = 0; i < k->base_cnt; i++)
		if (sl_slot_base_add(k->map, k->bases[i].scan, &k->bases[i].key))
			return -ENOMEM;
	return 0;
}

static int
build(struct sl_compiling *k)
{
	uint32_t services = k->c->service_cnt, tables = k->c->table_cnt, next = 2;
	uint32_t cnt = 2 + services + tables + k->vhost_cnt;
	struct sl_compiled_object *objs;
	int err;

	k->out = calloc(1, sizeof(*k->out));
	k->ref_placed = calloc(cnt, sizeof(*k->ref_placed));
	if (!k->out || !k->ref_placed || !(objs = calloc(cnt, sizeof(*objs))))
		return -ENOMEM;
	k->out->objs = objs;
	k->out->cnt = cnt;
	err = number_refs(k, k->service_placed, services, &next, k->service_ref);
	if (err == 0)
		err = number_refs(k, k->table_placed, tables, &next, k->table_ref);
	if (err == 0)
		err = number_refs(k, k->vhost_placed, k->vhost_cnt, &next, k->vhost_ref);
	if (err == 0)
		err = build_network(k, &objs[0]);
	if (err == 0)
		err = build_listeners(k, &objs[1]);
	for (uint32_t p = 0; p < services && err == 0; p++)
		err = sl_compile_service(k, p, &objs[k->service_ref[p]]);
	if (err == 0)
		err = sl_compile_routes(k);
	if (err == 0)
		err = sl_compile_shards(k);
	if (err == 0)
		err = sl_compile_authz(k);
	if (err == 0)
		err = sl_compile_jwts(k);
	if (err == 0)
		err = put_bases(k);
	return err ? err : build_root(k);
}

void
sl_compiled_free(struct sl_compiled *c)
{
	if (!c)
		return;
	sl_object_unref(c->root.bytes);
	for (uint32_t i = 0; i < c->cnt; i++)
		sl_object_unref(c->objs[i].bytes);
	sl_scan_wants_free(c->wants, c->want_cnt);
	free(c->objs);
	free(c);
}

int
sl_compile(const struct sl_conf *c, const struct sl_slot_map *prev,
	   const struct sl_compiled *prev_compiled, struct sl_shards *shards, struct sl_diag *diag,
	   struct sl_slot_map *ret_map, struct sl_compiled **ret_compiled)
{
	struct sl_slot_map map;
	struct sl_compiling k = {.c = c,
				 .prev = prev_compiled,
				 .prev_map = prev,
				 .map = &map,
				 .shards = shards,
				 .diag = diag};
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
	free(k.service_ref);
	free(k.listener_order);
	free(k.endpoint_order);
	free(k.endpoint_first);
	free(k.listener_placed);
	free(k.service_placed);
	free(k.endpoint_placed);
	sl_compile_levels_destroy(k.levels);
	free(k.nodes);
	free(k.eps);
	free(k.sources);
	free(k.rate_order);
	free(k.rate_placed);
	free(k.jwt_placed);
	for (uint32_t i = 0; k.authz_objs && i < c->authz_cnt; i++)
		sl_object_unref(k.authz_objs[i].bytes);
	free(k.authz_objs);
	free(k.authz_order);
	free(k.authz_placed);
	free(k.ref_placed);
	for (uint32_t i = 0; i < k.base_cnt; i++)
		free(k.bases[i].scan);
	free(k.bases);
	sl_compile_routes_fini(&k);
	return err;
}

int
sl_compile_check(const struct sl_conf *c, const char *file, struct sl_shards *shards,
		 struct sl_diag *diag)
{
	unsigned first = diag ? diag->cnt : 0;
	struct sl_slot_map none, map;
	struct sl_compiled *out;

	if (!sl_compile_needs_shards(c))
		return 0;
	sl_slot_map_init(&none);
	int err = sl_compile(c, &none, NULL, shards, diag, &map, &out);
	if (err == 0) {
		sl_slot_map_fini(&map);
		sl_compiled_free(out);
	}
	sl_diag_name_file(diag, first, file);
	return err;
}
