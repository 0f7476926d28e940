/* Route tables.  A virtual host is gathered first, then its databases are got, then it is written:
 *
 *   gather   routes in list order; conditions and texts that are the same stand once
 *   scans    conditions that need Hyperscan, by field and name; of each scan the patterns that are not in its base
 *            become its delta; more than SL_DELTA_MAX of these, or no base: a base of exactly what it holds now
 *   write    one buffer; equal to the previous object: that one
 *
 * A base that has become poor is wished for anew (sl_compiled.wants); nothing waits for it. */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "mgmt/object.h"
#include "mgmt/shards.h"
#include "mgmt/slots.h"

/* Texts of an object, each once. */
struct texts {
	char *bytes;
	uint32_t len;
	uint32_t *index; /* hash → place in refs + 1 */
	struct sl_img_str *refs;
	uint32_t ref_cnt, mask;
};

struct scan {
	uint8_t field;
	const char *name; /* of a condition's */
	struct sl_img_scan img;
	uint32_t cond_cnt;
};

/* A condition that needs a scan. */
struct scanned {
	uint32_t cond, scan;
	struct sl_pattern pattern;
};

struct host {
	struct sl_compiling *k;
	struct sl_shards_run *run;
	const struct sl_conf_table *table;
	const struct sl_conf_vhost *vhost;
	struct texts texts;
	struct sl_img_http_route *routes;
	struct sl_img_cond *conds;
	uint32_t *cond_index, cond_mask; /* hash → place in conds + 1 */
	uint32_t *cond_ids;
	struct sl_img_target *targets;
	struct sl_img_mirror *mirrors;
	struct sl_img_edit *edits;
	struct sl_policy_rows policy;
	uint32_t table_slot, vhost_slot;
	struct scan *scans;
	struct scanned *scanned;
	struct sl_pattern *patterns; /* scratch, as many as scanned */
	uint32_t route_cnt, cond_cnt, cond_id_cnt, target_cnt, mirror_cnt, edit_cnt, scan_cnt,
		scanned_cnt;
	uint32_t first_route; /* into k->hroute_placed */
};

/* ---- order, slots ---- */

static int
table_order(const void *a, const void *b, void *arg)
{
	const struct sl_conf_table *t = arg;
	return strcmp(t[*(const uint32_t *)a].name, t[*(const uint32_t *)b].name);
}

static int
vhost_order(const void *a, const void *b, void *arg)
{
	const struct sl_conf_vhost *v = arg;
	return strcmp(v[*(const uint32_t *)a].name, v[*(const uint32_t *)b].name);
}

int
sl_compile_order_routes(struct sl_compiling *k)
{
	const struct sl_conf *c = k->c;
	uint32_t at = 0;

	for (uint32_t i = 0; i < c->table_cnt; i++) {
		k->vhost_cnt += c->tables[i].vhost_cnt;
		for (uint32_t j = 0; j < c->tables[i].vhost_cnt; j++)
			k->hroute_cnt += c->tables[i].vhosts[j].route_cnt;
	}
	k->table_order = calloc(c->table_cnt + 1u, sizeof(*k->table_order));
	k->vhost_order = calloc(k->vhost_cnt + 1u, sizeof(*k->vhost_order));
	k->table_placed = calloc(c->table_cnt + 1u, sizeof(*k->table_placed));
	k->vhost_placed = calloc(k->vhost_cnt + 1u, sizeof(*k->vhost_placed));
	k->hroute_placed = calloc(k->hroute_cnt + 1u, sizeof(*k->hroute_placed));
	k->table_ref = calloc(c->table_cnt + 1u, sizeof(*k->table_ref));
	k->vhost_ref = calloc(k->vhost_cnt + 1u, sizeof(*k->vhost_ref));
	if (!k->table_order || !k->vhost_order || !k->table_placed || !k->vhost_placed ||
	    !k->hroute_placed || !k->table_ref || !k->vhost_ref)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->table_cnt; i++)
		k->table_order[i] = i;
	if (c->table_cnt)
		qsort_r(k->table_order, c->table_cnt, sizeof(uint32_t), table_order, c->tables);
	for (uint32_t i = 0; i < c->table_cnt; i++) {
		const struct sl_conf_table *t = &c->tables[k->table_order[i]];
		for (uint32_t j = 0; j < t->vhost_cnt; j++)
			k->vhost_order[at + j] = j;
		if (t->vhost_cnt)
			qsort_r(k->vhost_order + at, t->vhost_cnt, sizeof(uint32_t), vhost_order,
				t->vhosts);
		at += t->vhost_cnt;
	}
	return 0;
}

uint32_t
sl_compile_table_place(const struct sl_compiling *k, const char *name)
{
	uint32_t lo = 0, hi = k->c->table_cnt;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = strcmp(k->c->tables[k->table_order[mid]].name, name);
		if (d == 0)
			return mid;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return UINT32_MAX;
}

/* Calls fn for each virtual host in order, until it fails.  place: of the table, of the host. */
typedef int vhost_fn(struct sl_compiling *k, const struct sl_conf_table *t,
		     const struct sl_conf_vhost *v, uint32_t place, void *arg);

static int
each_vhost(struct sl_compiling *k, vhost_fn *fn, void *arg)
{
	uint32_t at = 0;
	int err = 0;

	for (uint32_t i = 0; i < k->c->table_cnt && !err; i++) {
		const struct sl_conf_table *t = &k->c->tables[k->table_order[i]];
		for (uint32_t j = 0; j < t->vhost_cnt && !err; j++, at++)
			err = fn(k, t, &t->vhosts[k->vhost_order[at]], at, arg);
	}
	return err;
}

struct keys {
	char (*vhost)[SL_SLOT_KEY_MAX];
	char (*hroute)[SL_SLOT_KEY_MAX];
	const char **key;
	uint32_t hroutes;
};

static int
name_keys(struct sl_compiling *k, const struct sl_conf_table *t, const struct sl_conf_vhost *v,
	  uint32_t place, void *arg)
{
	struct keys *keys = arg;

	(void)k;
	sl_slot_key_vhost(t->name, v->name, keys->vhost[place]);
	for (uint32_t i = 0; i < v->route_cnt; i++)
		sl_slot_key_hroute(t->name, v->name, v->routes[i].name,
				   keys->hroute[keys->hroutes++]);
	return 0;
}

static int
assign(struct sl_compiling *k, struct sl_slot_map *m, struct keys *keys)
{
	for (uint32_t i = 0; i < k->c->table_cnt; i++)
		keys->key[i] = k->c->tables[k->table_order[i]].name;
	int err = sl_compile_assign(k, "route tables", &m->tables, &m->seq, keys->key,
				    k->c->table_cnt, k->table_placed);
	for (uint32_t i = 0; i < k->vhost_cnt; i++)
		keys->key[i] = keys->vhost[i];
	if (err == 0)
		err = sl_compile_assign(k, "hosts", &m->vhosts, &m->seq, keys->key, k->vhost_cnt,
					k->vhost_placed);
	for (uint32_t i = 0; i < k->hroute_cnt; i++)
		keys->key[i] = keys->hroute[i];
	if (err == 0)
		err = sl_compile_assign(k, "routes", &m->hroutes, &m->seq, keys->key, k->hroute_cnt,
					k->hroute_placed);
	return err;
}

int
sl_compile_assign_routes(struct sl_compiling *k, struct sl_slot_map *m)
{
	uint32_t most = SL_MAX(SL_MAX(k->c->table_cnt, k->vhost_cnt), k->hroute_cnt);
	struct keys keys = {
		.vhost = malloc((k->vhost_cnt + 1u) * sizeof(*keys.vhost)),
		.hroute = malloc((k->hroute_cnt + 1u) * sizeof(*keys.hroute)),
		.key = malloc((most + 1u) * sizeof(*keys.key)),
	};
	int err = -ENOMEM;

	if (keys.vhost && keys.hroute && keys.key) {
		each_vhost(k, name_keys, &keys);
		err = assign(k, m, &keys);
	}
	free(keys.vhost);
	free(keys.hroute);
	free(keys.key);
	return err;
}

/* ---- texts ---- */

static uint64_t
hash_bytes(const void *bytes, size_t len)
{
	const uint8_t *b = bytes;
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ b[i]) * 0x100000001b3u;
	return h ^ h >> 32;
}

/* Room for cnt texts of `bytes` in all. */
static int
texts_init(struct texts *t, size_t cnt, size_t bytes)
{
	size_t size = 64;

	while (size < 2 * cnt)
		size *= 2;
	*t = (struct texts){
		.bytes = malloc(bytes + 8),
		.index = calloc(size, sizeof(*t->index)),
		.refs = malloc((cnt + 1) * sizeof(*t->refs)),
		.mask = (uint32_t)size - 1,
	};
	return t->bytes && t->index && t->refs ? 0 : -ENOMEM;
}

static void
texts_fini(struct texts *t)
{
	free(t->bytes);
	free(t->index);
	free(t->refs);
}

static struct sl_img_str
put_bytes(struct texts *t, const char *s, size_t len)
{
	if (len == 0)
		return (struct sl_img_str){0, 0};
	uint32_t at = (uint32_t)hash_bytes(s, len) & t->mask;
	for (; t->index[at]; at = (at + 1) & t->mask) {
		const struct sl_img_str *r = &t->refs[t->index[at] - 1];
		if (r->len == len && memcmp(t->bytes + r->off, s, len) == 0)
			return *r;
	}
	struct sl_img_str fresh = {t->len, (uint32_t)len};
	memcpy(t->bytes + t->len, s, len);
	t->len += (uint32_t)len;
	t->refs[t->ref_cnt++] = fresh;
	t->index[at] = t->ref_cnt;
	return fresh;
}

static struct sl_img_str
put_text(struct texts *t, const char *s)
{
	return put_bytes(t, s, s ? strlen(s) : 0);
}

/* ---- ROUTES ---- */

static int
name_order(const void *a, const void *b)
{
	const struct sl_conf_hostname *x = *(const struct sl_conf_hostname *const *)a,
				      *y = *(const struct sl_conf_hostname *const *)b;
	return x->kind != y->kind ? (int)x->kind - (int)y->kind : strcmp(x->name, y->name);
}

struct name {
	const struct sl_conf_hostname *name; /* first: name_order */
	uint32_t vhost;                      /* slot */
};

/* The host names of a table in order; vhosts: place of its first virtual host. */
static struct name *
order_names(const struct sl_compiling *k, const struct sl_conf_table *t, uint32_t vhosts,
	    uint32_t *ret_cnt)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < t->vhost_cnt; i++)
		cnt += t->vhosts[i].name_cnt;
	struct name *names = malloc((cnt + 1u) * sizeof(*names));
	if (!names)
		return NULL;
	cnt = 0;
	for (uint32_t i = 0; i < t->vhost_cnt; i++) {
		const struct sl_conf_vhost *v = &t->vhosts[k->vhost_order[vhosts + i]];
		for (uint32_t j = 0; j < v->name_cnt; j++)
			names[cnt++] =
				(struct name){&v->names[j], k->vhost_placed[vhosts + i].slot};
	}
	qsort(names, cnt, sizeof(*names), name_order);
	*ret_cnt = cnt;
	return names;
}

static int
build_table(const struct sl_compiling *k, uint32_t place, uint32_t vhosts,
	    struct sl_compiled_object *ret)
{
	const struct sl_conf_table *t = &k->c->tables[k->table_order[place]];
	uint32_t cnt = 0, end = sizeof(struct sl_img_routes), bytes = 0;
	struct name *names = order_names(k, t, vhosts, &cnt);

	if (!names)
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt; i++)
		bytes += (uint32_t)strlen(names[i].name->name);
	uint32_t host_off = sl_object_section(&end, cnt, sizeof(struct sl_img_host));
	uint32_t str_off = sl_object_section(&end, bytes, 1);
	struct sl_img_routes *img = sl_object_create(SL_OBJ_ROUTES, end);
	if (!img) {
		free(names);
		return -ENOMEM;
	}
	memcpy(img->name, t->name, SL_NAME_MAX);
	img->http = t->http;
	img->host_cnt = cnt;
	img->host_off = host_off;
	img->str_bytes = bytes;
	img->str_off = str_off;
	struct sl_img_host *host = (void *)((char *)img + host_off);
	char *text = (char *)img + str_off;
	for (uint32_t i = 0, at = 0; i < cnt; i++) {
		uint32_t len = (uint32_t)strlen(names[i].name->name);
		host[i] = (struct sl_img_host){
			.kind = names[i].name->kind,
			.vhost = names[i].vhost,
			.name = {len ? at : 0, len},
		};
		memcpy(text + at, names[i].name->name, len);
		at += len;
	}
	free(names);
	return sl_object_finish(
		img, end, sl_compile_previous(k, SL_OBJ_ROUTES, &k->table_placed[place]), ret);
}

/* ---- VHOST: gather ---- */

/* How much of everything there is at most. */
struct sizes {
	size_t conds, targets, mirrors, edits, texts, bytes;
};

static void
count_text(struct sizes *n, const char *s)
{
	n->texts++;
	n->bytes += s ? strlen(s) : 0;
}

static void
count_policy(void *sizes, const char *s, size_t len)
{
	struct sizes *n = sizes;

	(void)s;
	n->texts++;
	n->bytes += len;
}

static void
count_route(struct sizes *n, const struct sl_conf_hroute *r)
{
	n->conds += r->cond_cnt;
	n->targets += r->target_cnt;
	n->mirrors += r->mirror_cnt;
	for (uint32_t i = 0; i < r->cond_cnt; i++) {
		count_text(n, r->conds[i].name);
		count_text(n, r->conds[i].value);
	}
	for (unsigned way = 0; way < 2; way++) {
		n->edits += r->edit_cnt[way];
		for (uint32_t i = 0; i < r->edit_cnt[way]; i++) {
			count_text(n, r->edits[way][i].name);
			count_text(n, r->edits[way][i].value);
		}
	}
	count_text(n, r->sticky_name);
	count_text(n, r->host);
	count_text(n, r->path);
	count_text(n, r->body);
	count_text(n, r->content_type);
	sl_compile_policy_texts(&r->policy, count_policy, n);
}

static int
host_init(struct host *h)
{
	struct sizes n = {0};
	size_t size = 64;

	for (uint32_t i = 0; i < h->vhost->route_cnt; i++)
		count_route(&n, &h->vhost->routes[i]);
	for (uint32_t i = 0; i <= h->vhost->route_cnt; i++) { /* each row has them anew */
		sl_compile_policy_texts(&h->table->policy, count_policy, &n);
		sl_compile_policy_texts(&h->vhost->policy, count_policy, &n);
	}
	while (size < 2 * n.conds)
		size *= 2;
	h->routes = calloc(h->vhost->route_cnt + 1u, sizeof(*h->routes));
	h->conds = malloc((n.conds + 1) * sizeof(*h->conds));
	h->cond_index = calloc(size, sizeof(*h->cond_index));
	h->cond_mask = (uint32_t)size - 1;
	h->cond_ids = malloc((n.conds + 1) * sizeof(*h->cond_ids));
	h->targets = calloc(n.targets + 1, sizeof(*h->targets));
	h->mirrors = calloc(n.mirrors + 1, sizeof(*h->mirrors));
	h->edits = calloc(n.edits + 1, sizeof(*h->edits));
	if (!h->routes || !h->conds || !h->cond_index || !h->cond_ids || !h->targets ||
	    !h->mirrors || !h->edits)
		return -ENOMEM;
	return texts_init(&h->texts, n.texts, n.bytes);
}

static void
host_fini(struct host *h)
{
	texts_fini(&h->texts);
	free(h->routes);
	free(h->conds);
	free(h->cond_index);
	free(h->cond_ids);
	free(h->targets);
	free(h->mirrors);
	free(h->edits);
	sl_compile_policy_fini(&h->policy);
	free(h->scans);
	free(h->scanned);
	free(h->patterns);
}

static bool
needs_scan(const struct sl_conf_cond *c)
{
	return c->op == SL_COND_CONTAINS || c->op == SL_COND_REGEX;
}

static bool
host_needs_shards(const struct sl_conf_vhost *v)
{
	for (uint32_t i = 0; i < v->route_cnt; i++)
		for (uint32_t j = 0; j < v->routes[i].cond_cnt; j++)
			if (needs_scan(&v->routes[i].conds[j]))
				return true;
	return false;
}

static bool
conds_need_shards(const struct sl_conf_cond *c, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++)
		if (needs_scan(&c[i]))
			return true;
	return false;
}

/* Conditions that do stand among those that all hold. */
static bool
rules_need_shards(const struct sl_conf *c)
{
	for (uint32_t i = 0; i < c->authz_cnt; i++)
		for (uint32_t j = 0; j < c->authz[i].rule_cnt; j++)
			if (conds_need_shards(c->authz[i].rules[j].all,
					      c->authz[i].rules[j].all_cnt))
				return true;
	return false;
}

bool
sl_compile_needs_shards(const struct sl_conf *c)
{
	if (rules_need_shards(c))
		return true;
	for (uint32_t i = 0; i < c->table_cnt; i++)
		for (uint32_t j = 0; j < c->tables[i].vhost_cnt; j++)
			if (host_needs_shards(&c->tables[i].vhosts[j]))
				return true;
	return false;
}

/* Doubles an array when its count has come to a power of two, from 16 on. */
static int
grow(void *array, uint32_t cnt, size_t size)
{
	void **p = array;

	if (cnt && (cnt < 16 || (cnt & (cnt - 1)) != 0))
		return 0;
	void *more = realloc(*p, SL_MAX(2u * cnt, 16u) * size);
	if (!more)
		return -ENOMEM;
	*p = more;
	return 0;
}

/* The scan that answers the condition; UINT32_MAX: no memory. */
static uint32_t
scan_of(struct host *h, const struct sl_conf_cond *c)
{
	uint32_t i = 0;

	for (; i < h->scan_cnt; i++)
		if (h->scans[i].field == c->field &&
		    (c->field == SL_FIELD_PATH || strcmp(h->scans[i].name, c->name) == 0))
			return i;
	if (grow(&h->scans, h->scan_cnt, sizeof(*h->scans)))
		return UINT32_MAX;
	h->scans[h->scan_cnt] = (struct scan){
		.field = c->field,
		.name = c->name,
		.img = {.field = c->field, .name = put_text(&h->texts, c->name)},
	};
	return h->scan_cnt++;
}

static int
add_scanned(struct host *h, uint32_t cond, const struct sl_conf_hroute *r,
	    const struct sl_conf_cond *c)
{
	uint32_t scan = scan_of(h, c);

	if (scan == UINT32_MAX || grow(&h->scanned, h->scanned_cnt, sizeof(*h->scanned)))
		return -ENOMEM;
	h->scans[scan].cond_cnt++;
	h->conds[cond].scan = scan;
	h->scanned[h->scanned_cnt++] = (struct scanned){
		.cond = cond,
		.scan = scan,
		.pattern =
			{
				.text = c->value ? c->value : "",
				.len = c->value ? (uint32_t)strlen(c->value) : 0,
				.op = c->op,
				.icase = c->icase,
				.route = r,
				.cond = c,
			},
	};
	return 0;
}

static int
add_cond(struct host *h, const struct sl_conf_hroute *r, const struct sl_conf_cond *c)
{
	struct sl_img_cond img = {
		.field = c->field,
		.op = c->op,
		.flags = (uint8_t)((c->invert ? SL_COND_INVERT : 0) |
				   (c->icase ? SL_COND_ICASE : 0)),
		.name = put_text(&h->texts, c->name),
		.value = put_text(&h->texts, c->value),
		.lo = c->lo,
		.hi = c->hi,
	};
	uint32_t at = (uint32_t)hash_bytes(&img, sizeof(img)) & h->cond_mask;

	for (; h->cond_index[at]; at = (at + 1) & h->cond_mask) {
		struct sl_img_cond there = h->conds[h->cond_index[at] - 1];
		there.scan = 0; /* follows from the rest */
		if (memcmp(&there, &img, sizeof(img)) == 0)
			break;
	}
	int err = 0;
	if (!h->cond_index[at]) {
		h->conds[h->cond_cnt] = img;
		h->cond_index[at] = ++h->cond_cnt;
		err = needs_scan(c) ? add_scanned(h, h->cond_cnt - 1, r, c) : 0;
	}
	h->cond_ids[h->cond_id_cnt++] = h->cond_index[at] - 1;
	return err;
}

/* Where the service of that name is; its place. */
static uint32_t
service_place(const struct sl_compiling *k, const char *name)
{
	uint32_t lo = 0, hi = k->c->service_cnt;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int d = strcmp(sl_compile_service_at(k, mid)->name, name);
		if (d == 0)
			return mid;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	SL_ASSERT(!"sl_conf_check knows the service");
	return 0;
}

static void
add_targets(struct host *h, const struct sl_conf_hroute *r, struct sl_img_http_route *img)
{
	img->target_first = r->target_cnt ? h->target_cnt : 0;
	img->target_cnt = r->target_cnt;
	for (uint32_t i = 0; i < r->target_cnt; i++) {
		uint32_t place = service_place(h->k, r->targets[i].service);
		struct sl_placed p = h->k->service_placed[place];
		h->targets[h->target_cnt++] = (struct sl_img_target){
			.service = p.slot,
			.incarnation = p.incarnation,
			.weight = r->targets[i].weight,
			.subset = sl_compile_subset(sl_compile_service_at(h->k, place),
						    r->targets[i].subset),
		};
		img->weight_sum += r->targets[i].weight;
	}
	img->mirror_first = r->mirror_cnt ? h->mirror_cnt : 0;
	img->mirror_cnt = r->mirror_cnt;
	for (uint32_t i = 0; i < r->mirror_cnt; i++) {
		struct sl_placed p =
			h->k->service_placed[service_place(h->k, r->mirrors[i].service)];
		h->mirrors[h->mirror_cnt++] = (struct sl_img_mirror){
			.service = p.slot,
			.incarnation = p.incarnation,
			.per_million = r->mirrors[i].per_million,
		};
	}
}

static void
add_edits(struct host *h, const struct sl_conf_hroute *r, struct sl_img_http_route *img)
{
	for (unsigned way = 0; way < 2; way++) {
		img->edit_first[way] = r->edit_cnt[way] ? h->edit_cnt : 0;
		img->edit_cnt[way] = r->edit_cnt[way];
		for (uint32_t i = 0; i < r->edit_cnt[way]; i++) {
			const struct sl_conf_edit *e = &r->edits[way][i];
			h->edits[h->edit_cnt++] = (struct sl_img_edit){
				.op = e->op,
				.name = put_text(&h->texts, e->name),
				.value = put_text(&h->texts, e->value),
			};
		}
	}
}

static struct sl_img_str
put_policy_text(void *host, const char *text, size_t len)
{
	struct host *h = host;

	return put_bytes(&h->texts, text, len);
}

static int
add_route(struct host *h, const struct sl_conf_hroute *r, const struct sl_placed *placed)
{
	struct sl_img_http_route *img = &h->routes[h->route_cnt++];
	int err = 0;

	*img = (struct sl_img_http_route){
		.slot = placed->slot,
		.incarnation = placed->incarnation,
		.cond_first = r->cond_cnt ? h->cond_id_cnt : 0,
		.cond_cnt = r->cond_cnt,
		.action = r->action,
		.rewrite = r->rewrite,
		.sticky = r->sticky,
		.retries = (uint8_t)r->retries,
		.code = r->code,
		.retry_on = (uint16_t)r->retry_on,
		.timeout_ms = r->timeout_ms,
		.try_ms = r->try_ms,
		.stream_idle_ms = r->stream_idle_ms,
		.sticky_name = put_text(&h->texts, r->sticky_name),
		.host = put_text(&h->texts, r->host),
		.path = put_text(&h->texts, r->path),
		.body = put_text(&h->texts, r->body),
		.content_type = put_text(&h->texts, r->content_type),
		.backoff_ms = r->backoff_ms,
		.backoff_max_ms = r->backoff_max_ms,
		.redirect_port = r->redirect_port,
		.redirect_https = r->redirect_https,
		.strip_query = r->strip_query,
	};
	memcpy(img->retry_codes, r->retry_codes, sizeof(img->retry_codes));
	memcpy(img->name, r->name, SL_NAME_MAX);
	for (uint32_t i = 0; i < r->cond_cnt && !err; i++)
		err = add_cond(h, r, &r->conds[i]);
	add_targets(h, r, img);
	add_edits(h, r, img);
	const struct sl_policy_texts texts = {h, put_policy_text};
	const uint32_t slots[3] = {h->table_slot, h->vhost_slot, placed->slot};
	if (!err)
		err = sl_compile_policy_row(h->k, &h->policy, &texts, h->table, h->vhost, r, slots,
					    &img->policy);
	return err;
}

/* ---- VHOST: scans ---- */

static int
pattern_order(const void *a, const void *b)
{
	return sl_pattern_order(a, b);
}

/* Sorts patterns and takes out what stands twice (a condition and its inverse); their number. */
static uint32_t
distinct(struct sl_pattern *p, uint32_t cnt)
{
	uint32_t kept = 0;

	if (cnt)
		qsort(p, cnt, sizeof(*p), pattern_order);
	for (uint32_t i = 0; i < cnt; i++)
		if (!kept || sl_pattern_order(&p[kept - 1], &p[i]) != 0)
			p[kept++] = p[i];
	return kept;
}

/* Lists the scan's patterns in h->patterns: all, or those that base has not; their number.  *ret_alive: how many of base's
 * are used. */
static uint32_t
list_patterns(struct host *h, uint32_t scan, const struct sl_shard *base, uint32_t *ret_alive)
{
	bool *alive = base && ret_alive ? calloc(base->cnt, 1) : NULL;
	uint32_t cnt = 0, used = 0;

	for (uint32_t i = 0; i < h->scanned_cnt; i++) {
		const struct scanned *s = &h->scanned[i];
		if (s->scan != scan)
			continue;
		uint32_t id = base ? sl_shard_find(base, &s->pattern) : UINT32_MAX;
		if (id == UINT32_MAX) {
			h->patterns[cnt++] = s->pattern;
		} else if (alive && !alive[id]) {
			alive[id] = true;
			used++;
		}
	}
	free(alive);
	if (ret_alive)
		*ret_alive = used;
	return distinct(h->patterns, cnt);
}

/* Remembers that the scan would be better served by a base of what it holds now. */
static int
want_base(struct host *h, uint32_t scan, const char *key, const struct sl_shard *base)
{
	struct sl_compiled *out = h->k->out;
	const struct scan *s = &h->scans[scan];
	uint32_t cnt = list_patterns(h, scan, NULL, NULL);
	size_t bytes = 1;

	if (grow(&out->wants, out->want_cnt, sizeof(*out->wants)))
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt; i++)
		bytes += h->patterns[i].len;
	struct sl_scan_want *w = &out->wants[out->want_cnt++];
	*w = (struct sl_scan_want){
		.scan = strdup(key),
		.from = base->key,
		.field = s->field,
		.name = s->name ? strdup(s->name) : NULL,
		.patterns = malloc((cnt + 1u) * sizeof(*w->patterns)),
		.cnt = cnt,
		.text = malloc(bytes),
	};
	memcpy(w->table, h->table->name, SL_NAME_MAX);
	memcpy(w->vhost, h->vhost->name, SL_NAME_MAX);
	if (!w->scan || (s->name && !w->name) || !w->patterns || !w->text)
		return -ENOMEM;
	char *to = w->text;
	for (uint32_t i = 0; i < cnt; i++) {
		w->patterns[i] = h->patterns[i];
		w->patterns[i].text = to;
		w->patterns[i].route = NULL;
		w->patterns[i].cond = NULL;
		memcpy(to, h->patterns[i].text, h->patterns[i].len);
		to += h->patterns[i].len;
	}
	return 0;
}

/* The shard becomes one of the generation's; its reference goes over. */
static int
use_shard(struct sl_compiling *k, const struct sl_shard *shard)
{
	if (grow(&k->used_shards, k->used_shard_cnt, sizeof(*k->used_shards))) {
		sl_shard_unref(shard);
		return -ENOMEM;
	}
	k->used_shards[k->used_shard_cnt++] = shard;
	return 0;
}

/* The scan's ids are known: its conditions get theirs. */
static void
give_ids(struct host *h, uint32_t scan, const struct sl_shard *base, const struct sl_shard *delta)
{
	for (uint32_t i = 0; i < h->scanned_cnt; i++) {
		const struct scanned *s = &h->scanned[i];
		if (s->scan != scan)
			continue;
		uint32_t id = sl_shard_find(base, &s->pattern);
		if (id == UINT32_MAX && delta)
			id = base->cnt + sl_shard_find(delta, &s->pattern);
		h->conds[s->cond].pattern = id;
	}
}

/* The base that counts until now, or NULL. */
static const struct sl_shard *
base_now(const struct host *h, const char *key)
{
	const struct sl_shard_key *was = sl_slot_base(h->k->prev_map, key);

	if (!was)
		return NULL;
	struct sl_shard_key now = sl_shards_base(h->k->shards, key, was);
	const struct sl_shard *base = sl_shards_find(h->k->shards, &now);
	return base || memcmp(&now, was, sizeof(now)) == 0 ? base
							   : sl_shards_find(h->k->shards, was);
}

/* Base and delta of one scan.  *base may come with what counts until now; both are the caller's to unref. */
static int
get_shards(struct host *h, uint32_t scan, const char *key, const struct sl_shard **base,
	   const struct sl_shard **delta)
{
	const struct scan *s = &h->scans[scan];
	const struct sl_scan_name what = {h->table->name, h->vhost->name, s->field, s->name};
	uint32_t alive = 0, fresh = list_patterns(h, scan, *base, &alive);
	int err;

	if (*base && fresh > SL_DELTA_MAX) {
		sl_shard_unref(*base);
		*base = NULL;
		fresh = list_patterns(h, scan, NULL, NULL);
	}
	if (!*base && fresh > SL_SHARD_PATTERNS) {
		sl_diag_add(
			h->k->diag, NULL, h->vhost->line, NULL,
			"spread the routes over several hosts",
			"host %s/%s has %u regex and contains conditions of one kind, more than %u",
			h->table->name, h->vhost->name, fresh, SL_SHARD_PATTERNS);
		return -EINVAL;
	}
	if (!*base)
		return sl_shards_make(h->run, &what, h->patterns, fresh, base);
	if (fresh && (err = sl_shards_make(h->run, &what, h->patterns, fresh, delta)))
		return err;
	uint32_t dead = (*base)->cnt - alive;
	bool poor = fresh > SL_DELTA_POOR || (dead > SL_DEAD_POOR && dead > alive + fresh);
	return poor ? want_base(h, scan, key, *base) : 0;
}

static int
build_scan(struct host *h, uint32_t scan)
{
	struct scan *s = &h->scans[scan];
	const struct sl_shard *base, *delta = NULL;
	char key[SL_SCAN_KEY_MAX];

	sl_slot_key_scan(h->table->name, h->vhost->name, s->field, s->name, key);
	base = base_now(h, key);
	int err = get_shards(h, scan, key, &base, &delta);
	if (err) {
		sl_shard_unref(base);
		sl_shard_unref(delta);
		return err;
	}
	s->img.base = base->obj.id;
	s->img.base_cnt = base->cnt;
	if (delta) {
		s->img.delta = delta->obj.id;
		s->img.delta_cnt = delta->cnt;
	}
	give_ids(h, scan, base, delta);
	err = sl_compile_keep_base(h->k, key, &base->key);
	int err2 = use_shard(h->k, base), err3 = delta ? use_shard(h->k, delta) : 0;
	return err ? err : err2 ? err2 : err3;
}

/* All of them, so that every bad regex is told. */
static int
build_scans(struct host *h)
{
	int err = 0;

	if (h->scan_cnt == 0)
		return 0;
	if (!h->k->shards) {
		sl_diag_add(h->k->diag, NULL, 0, NULL, NULL,
			    "host %s/%s has regex or contains conditions, which cannot be compiled "
			    "here",
			    h->table->name, h->vhost->name);
		return -EINVAL;
	}
	h->patterns = malloc(h->scanned_cnt * sizeof(*h->patterns));
	if (!h->patterns)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->scan_cnt && err != -ENOMEM; i++) {
		int e = build_scan(h, i);
		err = e ? e : err;
	}
	return err;
}

/* ---- VHOST: write ---- */

static void
copy(void *obj, uint32_t off, const void *from, size_t n, size_t size)
{
	if (n)
		memcpy((char *)obj + off, from, n * size);
}

/* kind: VHOST, or AUTHZ, which is of no table. */
static int
write_host(struct host *h, enum sl_obj_kind kind, const struct sl_placed *placed,
	   struct sl_compiled_object *ret)
{
	struct sl_img_vhost v =
				    {
					    .route_cnt = h->route_cnt,
					    .cond_cnt = h->cond_cnt,
					    .cond_id_cnt = h->cond_id_cnt,
					    .scan_cnt = h->scan_cnt,
					    .target_cnt = h->target_cnt,
					    .mirror_cnt = h->mirror_cnt,
					    .edit_cnt = h->edit_cnt,
					    .policy_cnt = h->policy.policy_cnt,
					    .rate_cnt = h->policy.rate_cnt,
					    .policy_ref_cnt = h->policy.ref_cnt,
					    .cors_cnt = h->policy.cors_cnt,
					    .fault_cnt = h->policy.fault_cnt,
					    .str_bytes = h->texts.len,
				    },
			    *obj;
	uint32_t end = sizeof(v);

	memcpy(v.name, h->vhost->name, SL_NAME_MAX);
	if (kind == SL_OBJ_VHOST)
		memcpy(v.table, h->table->name, SL_NAME_MAX);
	v.route_off = sl_object_section(&end, v.route_cnt, sizeof(*h->routes));
	v.cond_off = sl_object_section(&end, v.cond_cnt, sizeof(*h->conds));
	v.cond_id_off = sl_object_section(&end, v.cond_id_cnt, sizeof(*h->cond_ids));
	v.scan_off = sl_object_section(&end, v.scan_cnt, sizeof(struct sl_img_scan));
	v.target_off = sl_object_section(&end, v.target_cnt, sizeof(*h->targets));
	v.mirror_off = sl_object_section(&end, v.mirror_cnt, sizeof(*h->mirrors));
	v.edit_off = sl_object_section(&end, v.edit_cnt, sizeof(*h->edits));
	v.policy_off = sl_object_section(&end, v.policy_cnt, sizeof(struct sl_img_policy));
	v.rate_off = sl_object_section(&end, v.rate_cnt, sizeof(struct sl_img_rate));
	v.policy_ref_off =
		sl_object_section(&end, v.policy_ref_cnt, sizeof(struct sl_img_policy_ref));
	v.cors_off = sl_object_section(&end, v.cors_cnt, sizeof(struct sl_img_cors));
	v.fault_off = sl_object_section(&end, v.fault_cnt, sizeof(struct sl_img_fault));
	v.str_off = sl_object_section(&end, v.str_bytes, 1);
	if (end > SL_OBJ_MAX) {
		sl_diag_add(h->k->diag, NULL, h->vhost->line, NULL,
			    "spread the routes over several hosts",
			    "host %s/%s takes %u bytes, more than the %u of an object",
			    h->table->name, h->vhost->name, end, SL_OBJ_MAX);
		return -EINVAL;
	}
	if (!(obj = sl_object_create(kind, end)))
		return -ENOMEM;
	v.head = obj->head;
	*obj = v;
	copy(obj, v.route_off, h->routes, v.route_cnt, sizeof(*h->routes));
	copy(obj, v.cond_off, h->conds, v.cond_cnt, sizeof(*h->conds));
	copy(obj, v.cond_id_off, h->cond_ids, v.cond_id_cnt, sizeof(*h->cond_ids));
	for (uint32_t i = 0; i < v.scan_cnt; i++)
		copy(obj, v.scan_off + i * (uint32_t)sizeof(h->scans[i].img), &h->scans[i].img, 1,
		     sizeof(h->scans[i].img));
	copy(obj, v.target_off, h->targets, v.target_cnt, sizeof(*h->targets));
	copy(obj, v.mirror_off, h->mirrors, v.mirror_cnt, sizeof(*h->mirrors));
	copy(obj, v.edit_off, h->edits, v.edit_cnt, sizeof(*h->edits));
	copy(obj, v.policy_off, h->policy.policies, v.policy_cnt, sizeof(*h->policy.policies));
	copy(obj, v.rate_off, h->policy.rates, v.rate_cnt, sizeof(*h->policy.rates));
	copy(obj, v.policy_ref_off, h->policy.refs, v.policy_ref_cnt, sizeof(*h->policy.refs));
	copy(obj, v.cors_off, h->policy.cors, v.cors_cnt, sizeof(*h->policy.cors));
	copy(obj, v.fault_off, h->policy.faults, v.fault_cnt, sizeof(*h->policy.faults));
	copy(obj, v.str_off, h->texts.bytes, v.str_bytes, 1);
	return sl_object_finish(obj, end, sl_compile_previous(h->k, kind, placed), ret);
}

struct hosts_build {
	struct sl_shards_run *run;
	uint32_t hroutes;
	bool bad;
};

static int
build_host(struct sl_compiling *k, const struct sl_conf_table *t, const struct sl_conf_vhost *v,
	   uint32_t place, void *arg)
{
	struct hosts_build *b = arg;
	struct host h = {
		.k = k,
		.run = b->run,
		.table = t,
		.vhost = v,
		.first_route = b->hroutes,
		.table_slot = k->table_placed[sl_compile_table_place(k, t->name)].slot,
		.vhost_slot = k->vhost_placed[place].slot,
	};
	int err = host_init(&h);

	b->hroutes += v->route_cnt;
	for (uint32_t i = 0; i < v->route_cnt && !err; i++)
		err = add_route(&h, &v->routes[i], &k->hroute_placed[h.first_route + i]);
	if (!err)
		err = build_scans(&h);
	if (!err)
		err = write_host(&h, SL_OBJ_VHOST, &k->vhost_placed[place],
				 &k->out->objs[k->vhost_ref[place]]);
	host_fini(&h);
	b->bad |= err == -EINVAL;
	return err == -EINVAL ? 0 : err; /* the next one's mistakes are told, too */
}

/* ---- AUTHZ: likewise ---- */

/* Where the rule of an alternative is counted, + 1; 0: there was no room.  Those of a rule stand one behind the other. */
static uint32_t
rule_slot(const struct host *h, const struct sl_conf_hroute *r)
{
	uint32_t n = h->route_cnt;
	struct sl_placed at;

	if (n && strcmp(h->routes[n - 1].name, r->name) == 0)
		return h->routes[n - 1].slot;
	return sl_slot_find_rule(h->k->map, h->vhost->name, r->name, &at) == 0 ? at.slot + 1 : 0;
}

static int
add_rule(struct host *h, const struct sl_conf_hroute *r)
{
	uint32_t slot = rule_slot(h, r);
	struct sl_img_http_route *img = &h->routes[h->route_cnt++];
	int err = 0;

	*img = (struct sl_img_http_route){
		.slot = slot,
		.incarnation = 1,
		.cond_first = r->cond_cnt ? h->cond_id_cnt : 0,
		.cond_cnt = r->cond_cnt,
		.action = r->action,
		.code = r->code,
	};
	memcpy(img->name, r->name, SL_NAME_MAX);
	for (uint32_t i = 0; i < r->cond_cnt && !err; i++)
		err = add_cond(h, r, &r->conds[i]);
	return err;
}

/* The set at a place in the order of names. */
static int
build_authz(struct sl_compiling *k, struct sl_shards_run *run, uint32_t place)
{
	static const struct sl_conf_table table = {
		.name = ".authorization"}; /* of no table's name */
	struct sl_conf_vhost v;
	struct host h = {.k = k, .run = run, .table = &table, .vhost = &v};
	int err = sl_compile_alternatives(&k->c->authz[k->authz_order[place]], &v);

	if (!err)
		err = host_init(&h);
	for (uint32_t i = 0; i < v.route_cnt && !err; i++)
		err = add_rule(&h, &v.routes[i]);
	if (!err)
		err = build_scans(&h);
	if (!err)
		err = write_host(&h, SL_OBJ_AUTHZ, &k->authz_placed[place], &k->authz_objs[place]);
	host_fini(&h);
	sl_compile_alternatives_fini(&v);
	return err;
}

static int
build_all_authz(struct sl_compiling *k, struct sl_shards_run *run)
{
	int bad = 0;

	for (uint32_t i = 0; i < k->c->authz_cnt; i++) {
		int err = build_authz(k, run, i);
		if (err == -ENOMEM)
			return err;
		bad = err ? err : bad;
	}
	return bad;
}

int
sl_compile_routes(struct sl_compiling *k)
{
	struct sl_shards_run run;
	struct hosts_build b = {.run = &run};
	uint32_t vhosts = 0;
	int err = 0;

	for (uint32_t i = 0; i < k->c->table_cnt && !err; i++) {
		err = build_table(k, i, vhosts, &k->out->objs[k->table_ref[i]]);
		vhosts += k->c->tables[k->table_order[i]].vhost_cnt;
	}
	if (err)
		return err;
	if (k->shards)
		sl_shards_begin(&run, k->shards, k->diag);
	err = each_vhost(k, build_host, &b);
	int rules = err ? 0 : build_all_authz(k, &run);
	if (k->shards)
		sl_shards_end(&run);
	return err ? err : b.bad ? -EINVAL : rules;
}

/* ---- SHARD ---- */

static int
by_id(const void *a, const void *b)
{
	const struct sl_shard *x = *(const struct sl_shard *const *)a,
			      *y = *(const struct sl_shard *const *)b;
	return memcmp(&x->obj.id, &y->obj.id, sizeof(x->obj.id));
}

/* Appends the databases in use to the objects, by id, each once. */
int
sl_compile_shards(struct sl_compiling *k)
{
	struct sl_compiled *out = k->out;
	uint32_t cnt = 0;

	if (k->used_shard_cnt == 0)
		return 0;
	qsort(k->used_shards, k->used_shard_cnt, sizeof(*k->used_shards), by_id);
	struct sl_compiled_object *objs =
		realloc(out->objs, (out->cnt + k->used_shard_cnt) * sizeof(*objs));
	if (!objs)
		return -ENOMEM;
	out->objs = objs;
	struct sl_placed *placed =
		realloc(k->ref_placed, (out->cnt + k->used_shard_cnt) * sizeof(*placed));
	if (!placed)
		return -ENOMEM;
	k->ref_placed = placed;
	for (uint32_t i = 0; i < k->used_shard_cnt; i++) {
		if (i && by_id(&k->used_shards[i - 1], &k->used_shards[i]) == 0)
			continue;
		sl_object_share(&k->used_shards[i]->obj, &objs[out->cnt]);
		placed[out->cnt++] = (struct sl_placed){0, 0};
		cnt++;
	}
	if (cnt <= SL_MAX_SHARDS)
		return 0;
	sl_diag_add(k->diag, NULL, 0, "route_tables",
		    "use exact, prefix or template, or the same header in several hosts",
		    "%u databases for regexes are more than the %u of a gateway", cnt,
		    SL_MAX_SHARDS);
	return -EINVAL;
}

void
sl_compile_routes_fini(struct sl_compiling *k)
{
	for (uint32_t i = 0; i < k->used_shard_cnt; i++)
		sl_shard_unref(k->used_shards[i]);
	free(k->used_shards);
	free(k->table_order);
	free(k->vhost_order);
	free(k->table_placed);
	free(k->vhost_placed);
	free(k->hroute_placed);
	free(k->table_ref);
	free(k->vhost_ref);
}
