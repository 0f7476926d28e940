/* route_image — see route_image.h. */
#include "tests/l7/route_image.h"

#include <ctype.h>
#include <hs/hs.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#define HS_FLAGS (HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | HS_FLAG_DOTALL)

static _Noreturn void
die(const char *what, const char *which)
{
	fprintf(stderr, "route_image: %s: %s\n", what, which ? which : "-");
	exit(2);
}

/* ---- growing arrays ---- */

struct array {
	uint8_t *p;
	size_t each, cnt, room;
};

static void *
array_add(struct array *a, const void *item, size_t cnt)
{
	while (a->cnt + cnt > a->room || !a->p) {
		a->room = a->room ? 2 * a->room : 64;
		a->p = realloc(a->p, a->room * a->each);
		if (!a->p)
			die("memory", NULL);
	}
	void *at = a->p + a->cnt * a->each;
	if (item && cnt)
		memcpy(at, item, cnt * a->each);
	else
		memset(at, 0, cnt * a->each);
	a->cnt += cnt;
	return at;
}

struct build {
	const struct sl_test_vhost *v;
	struct array route, cond, cond_id, scan, target, mirror, edit, str;
	struct array policy, rate, ref, cors, fault;
	struct array pattern; /* struct pattern */
	uint32_t *table;      /* conditions by hash: index + 1 */
	uint32_t table_room;
};

static struct sl_img_str
str_add(struct array *str, const char *s)
{
	struct sl_img_str ret = {0};

	if (s && *s) {
		ret = (struct sl_img_str){(uint32_t)str->cnt, (uint32_t)strlen(s)};
		array_add(str, s, ret.len);
	}
	return ret;
}

/* ---- patterns ---- */

struct pattern {
	uint32_t scan, id; /* id: in the base or the delta */
	bool delta;
	char *text;
};

static char *
pattern_text(const struct sl_test_cond *c)
{
	const char *value = c->value ? c->value : "";
	size_t n = strlen(value);
	char *text = malloc(4 * n + 32), *p = text;

	if (!text)
		die("memory", NULL);
	if (c->flags & SL_COND_ICASE)
		p += sprintf(p, "(?i)");
	if (c->op == SL_COND_REGEX) {
		sprintf(p, "^(?:%s)\\z", value);
		return text;
	}
	for (size_t i = 0; i < n; i++)
		p += sprintf(p, isalnum((unsigned char)value[i]) ? "%c" : "\\x%02x",
			     (unsigned char)value[i]);
	*p = '\0';
	return text;
}

static bool
same_str(const struct build *b, const struct sl_img_str *s, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	return s->len == n && (n == 0 || memcmp(b->str.p + s->off, text, n) == 0);
}

static uint32_t
scan_find(struct build *b, const struct sl_test_cond *c)
{
	struct sl_img_scan *s = (void *)b->scan.p;

	for (uint32_t i = 0; i < b->scan.cnt; i++)
		if (s[i].field == c->field && same_str(b, &s[i].name, c->name))
			return i;
	s = array_add(&b->scan, NULL, 1);
	s->field = c->field;
	s->name = str_add(&b->str, c->name);
	return (uint32_t)b->scan.cnt - 1;
}

/* The index of the pattern.  Those of one scan with one text are one.  (Many patterns: distinct ones are told by the
 * caller's conditions already; only the last ones are compared.) */
static uint32_t
pattern_find(struct build *b, const struct sl_test_cond *c, uint32_t scan)
{
	struct pattern *p = (void *)b->pattern.p, new = {.scan = scan, .text = pattern_text(c)};
	size_t from = b->pattern.cnt > 256 ? b->pattern.cnt - 256 : 0;
	uint32_t of_scan = 0;

	for (size_t i = from; i < b->pattern.cnt; i++)
		if (p[i].scan == scan && strcmp(p[i].text, new.text) == 0) {
			free(new.text);
			return (uint32_t)i;
		}
	struct sl_img_scan *s = (struct sl_img_scan *)(void *)b->scan.p + scan;
	of_scan = s->base_cnt + s->delta_cnt;
	new.delta = b->v->delta_every && s->base_cnt && s->delta_cnt < 256 &&
		    of_scan % b->v->delta_every == 0;
	new.id = new.delta ? s->delta_cnt++ : s->base_cnt++;
	array_add(&b->pattern, &new, 1);
	return (uint32_t)b->pattern.cnt - 1;
}

/* ---- conditions ---- */

static uint32_t
cond_hash(const struct sl_test_cond *c)
{
	uint32_t h = 2166136261u ^ c->field ^ (uint32_t)c->op << 8 ^ (uint32_t)c->flags << 16;

	for (const char *p = c->name; p && *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	for (const char *p = c->value; p && *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	h ^= (uint32_t)((uint64_t)c->lo * 31 + (uint64_t)c->hi) * 0x9e3779b1u;
	return h ^ h >> 15;
}

static bool
cond_same(const struct build *b, const struct sl_img_cond *i, const struct sl_test_cond *c)
{
	return i->field == c->field && i->op == c->op && i->flags == c->flags && i->lo == c->lo &&
	       i->hi == c->hi && same_str(b, &i->name, c->name) && same_str(b, &i->value, c->value);
}

static uint32_t
cond_find(struct build *b, const struct sl_test_cond *c)
{
	const struct sl_img_cond *cond = (void *)b->cond.p;
	uint32_t i = cond_hash(c);

	for (; b->table[i & (b->table_room - 1)]; i++)
		if (cond_same(b, &cond[b->table[i & (b->table_room - 1)] - 1], c))
			return b->table[i & (b->table_room - 1)] - 1;
	struct sl_img_cond new = {.field = c->field,
				  .op = c->op,
				  .flags = c->flags,
				  .name = str_add(&b->str, c->name),
				  .value = str_add(&b->str, c->value),
				  .lo = c->lo,
				  .hi = c->hi};
	if (c->op == SL_COND_REGEX || c->op == SL_COND_CONTAINS) {
		new.scan = scan_find(b, c);
		new.pattern = pattern_find(b, c, new.scan); /* made an id when all are known */
	}
	array_add(&b->cond, &new, 1);
	b->table[i & (b->table_room - 1)] = (uint32_t)b->cond.cnt;
	return (uint32_t)b->cond.cnt - 1;
}

static void
cond_patterns_set(struct build *b)
{
	struct sl_img_cond *c = (void *)b->cond.p;
	const struct sl_img_scan *s = (void *)b->scan.p;
	const struct pattern *p = (void *)b->pattern.p;

	for (size_t i = 0; i < b->cond.cnt; i++)
		if (c[i].op == SL_COND_REGEX || c[i].op == SL_COND_CONTAINS) {
			const struct pattern *of = &p[c[i].pattern];
			c[i].pattern = of->id + (of->delta ? s[c[i].scan].base_cnt : 0);
		}
}

/* ---- routes ---- */

static void
route_edits(struct build *b, const struct sl_test_http_route *t, struct sl_img_http_route *r)
{
	for (unsigned way = 0; way < 2; way++)
		for (const struct sl_test_edit *e = t->edits[way]; e && e->op; e++) {
			struct sl_img_edit img = {.op = e->op,
						  .name = str_add(&b->str, e->name),
						  .value = str_add(&b->str, e->value)};
			if (!r->edit_cnt[way]++)
				r->edit_first[way] = (uint32_t)b->edit.cnt;
			array_add(&b->edit, &img, 1);
		}
}

static void
route_targets(struct build *b, const struct sl_test_http_route *t, struct sl_img_http_route *r)
{
	for (uint32_t i = 0; i < t->target_cnt; i++)
		r->weight_sum += t->targets[i].weight;
	r->target_cnt = t->target_cnt;
	r->target_first = t->target_cnt ? (uint32_t)b->target.cnt : 0;
	for (uint32_t i = 0; i < t->target_cnt; i++) {
		struct sl_img_target *img = array_add(&b->target, &t->targets[i], 1);
		img->weight = r->weight_sum ? img->weight : 1;
		img->incarnation = img->incarnation ? img->incarnation : 1;
	}
	if (t->target_cnt && !r->weight_sum)
		r->weight_sum = t->target_cnt;
	r->mirror_cnt = t->mirror_cnt;
	r->mirror_first = t->mirror_cnt ? (uint32_t)b->mirror.cnt : 0;
	for (uint32_t i = 0; i < t->mirror_cnt; i++) {
		struct sl_img_mirror *img = array_add(&b->mirror, &t->mirrors[i], 1);
		img->incarnation = img->incarnation ? img->incarnation : 1;
	}
}

/* Each with a NUL behind it. */
static struct sl_img_str
origins_add(struct build *b, const char *const *origins)
{
	struct sl_img_str ret = {(uint32_t)b->str.cnt, 0};

	for (; *origins; origins++)
		array_add(&b->str, *origins, strlen(*origins) + 1);
	ret.len = (uint32_t)b->str.cnt - ret.off;
	return ret;
}

static void
route_policy(struct build *b, const struct sl_test_policy *p, struct sl_img_http_route *r)
{
	struct sl_img_policy row = {.hedge_ms = p->hedge_ms, .hedge_max = p->hedge_max};

	row.sticky_cookie = str_add(&b->str, p->sticky_cookie);
	row.sticky_ttl_s = p->sticky_ttl_s;
	if (p->cors) {
		const struct sl_img_cors cors = {
			.origins = origins_add(b, p->cors->origins),
			.methods = str_add(&b->str, p->cors->methods),
			.headers = str_add(&b->str, p->cors->headers),
			.expose = str_add(&b->str, p->cors->expose),
			.max_age_s = p->cors->max_age_s,
			.credentials = p->cors->credentials,
		};
		array_add(&b->cors, &cors, 1);
		row.cors = (uint32_t)b->cors.cnt;
	}
	row.rate_first = (uint32_t)b->rate.cnt;
	row.rate_cnt = p->rate_cnt;
	if (p->rate_cnt)
		array_add(&b->rate, p->rates, p->rate_cnt);
	row.ref_first = (uint32_t)b->ref.cnt;
	row.ref_cnt = p->ref_cnt;
	for (uint32_t i = 0; i < p->ref_cnt; i++) {
		struct sl_img_policy_ref *ref = array_add(&b->ref, &p->refs[i], 1);
		ref->incarnation = ref->incarnation ? ref->incarnation : 1;
	}
	if (p->fault) {
		array_add(&b->fault, p->fault, 1);
		row.fault = (uint32_t)b->fault.cnt;
	}
	array_add(&b->policy, &row, 1);
	r->policy = (uint32_t)b->policy.cnt;
}

static void
route_values(const struct sl_test_http_route *t, struct sl_img_http_route *r)
{
	r->action = t->action ? t->action : t->target_cnt ? SL_ACTION_FORWARD : SL_ACTION_RESPOND;
	r->code = t->code;
	if (!r->code && r->action != SL_ACTION_FORWARD)
		r->code = r->action == SL_ACTION_REDIRECT ? 302 : 204;
	r->rewrite = t->rewrite;
	r->sticky = t->sticky;
	r->retries = t->retries;
	r->retry_on = t->retry_on;
	memcpy(r->retry_codes, t->retry_codes, sizeof(r->retry_codes));
	r->timeout_ms = t->timeout_ms;
	r->try_ms = t->try_ms;
	r->stream_idle_ms = t->stream_idle_ms;
	r->backoff_ms = t->backoff_ms;
	r->backoff_max_ms = t->backoff_max_ms;
	r->redirect_port = t->redirect_port;
	r->redirect_https = t->redirect_https;
	r->strip_query = t->strip_query;
	r->incarnation = t->incarnation ? t->incarnation : 1;
}

static void
route_add(struct build *b, uint32_t i)
{
	const struct sl_test_http_route *t = &b->v->routes[i];
	struct sl_img_http_route r = {.slot = t->slot ? t->slot : b->v->first_slot + i};

	for (const struct sl_test_cond *c = t->conds; c && c->field; c++) {
		uint32_t id = cond_find(b, c);
		if (!r.cond_cnt++)
			r.cond_first = (uint32_t)b->cond_id.cnt;
		array_add(&b->cond_id, &id, 1);
	}
	route_values(t, &r);
	route_targets(b, t, &r);
	route_edits(b, t, &r);
	if (t->policy)
		route_policy(b, t->policy, &r);
	r.sticky_name = str_add(&b->str, t->sticky_name);
	r.host = str_add(&b->str, t->host);
	r.path = str_add(&b->str, t->path);
	r.body = str_add(&b->str, t->body);
	r.content_type = str_add(&b->str, t->content_type);
	if (t->name)
		snprintf(r.name, sizeof(r.name), "%s", t->name);
	else
		snprintf(r.name, sizeof(r.name), "r%u", i);
	array_add(&b->route, &r, 1);
}

/* ---- databases ---- */

static struct hs_database *
db_compile(const struct build *b, uint32_t scan, bool delta, uint32_t cnt)
{
	const struct pattern *p = (void *)b->pattern.p;
	const char **text = calloc(cnt, sizeof(*text));
	unsigned *flags = calloc(cnt, sizeof(*flags)), *ids = calloc(cnt, sizeof(*ids));
	hs_compile_error_t *err = NULL;
	hs_database_t *db = NULL;

	if (!text || !flags || !ids)
		die("memory", NULL);
	for (size_t i = 0; i < b->pattern.cnt; i++)
		if (p[i].scan == scan && p[i].delta == delta)
			text[p[i].id] = p[i].text;
	for (uint32_t i = 0; i < cnt; i++) {
		flags[i] = HS_FLAGS;
		ids[i] = i;
	}
	if (hs_compile_multi(text, flags, ids, cnt, HS_MODE_BLOCK, NULL, &db, &err) != HS_SUCCESS)
		die(err->message, err->expression >= 0 ? text[err->expression] : NULL);
	free(text);
	free(flags);
	free(ids);
	return db;
}

/* The object, its id and, from its bytes, the database that is used. */
static void
shard_build(struct sl_test_shard *ret, struct hs_database *db, uint32_t cnt)
{
	char *bytes = NULL;
	size_t n = 0;

	if (hs_serialize_database(db, &bytes, &n) != HS_SUCCESS)
		die("serialise", NULL);
	size_t size = (sizeof(*ret->img) + n + 7) & ~(size_t)7;
	ret->img = calloc(1, size);
	if (!ret->img)
		die("memory", NULL);
	*ret->img = (struct sl_img_shard){.head = {.magic = SL_OBJ_MAGIC,
						   .version = SL_IMAGE_VERSION,
						   .kind = SL_OBJ_SHARD,
						   .size = (uint32_t)size},
					  .pattern_cnt = cnt,
					  .db_bytes = (uint32_t)n,
					  .db_off = sizeof(*ret->img)};
	memcpy(ret->img + 1, bytes, n);
	free(bytes);
	if (EVP_Digest(ret->img, size, ret->id.b, NULL, EVP_sha256(), NULL) != 1)
		die("SHA-256", NULL);
	ret->db = db;
}

static void
shard_add(struct build *b, uint32_t scan, bool delta, uint32_t cnt, struct sl_test_vhost_image *ret)
{
	struct sl_test_shard *s = &ret->shards[ret->shard_cnt++];
	struct sl_img_scan *img = (struct sl_img_scan *)(void *)b->scan.p + scan;

	shard_build(s, db_compile(b, scan, delta, cnt), cnt);
	if (delta) {
		img->delta = s->id;
		ret->dbs[scan].delta = s->db;
	} else {
		img->base = s->id;
		ret->dbs[scan].base = s->db;
	}
	if (hs_alloc_scratch(s->db, &ret->hs) != HS_SUCCESS)
		die("scratch", NULL);
}

static void
shards_build(struct build *b, struct sl_test_vhost_image *ret)
{
	const struct sl_img_scan *s = (void *)b->scan.p;

	ret->dbs = calloc(b->scan.cnt + 1, sizeof(*ret->dbs));
	ret->shards = calloc(2 * b->scan.cnt + 1, sizeof(*ret->shards));
	if (!ret->dbs || !ret->shards)
		die("memory", NULL);
	for (uint32_t i = 0; i < b->scan.cnt; i++) {
		shard_add(b, i, false, s[i].base_cnt, ret);
		if (s[i].delta_cnt)
			shard_add(b, i, true, s[i].delta_cnt, ret);
	}
}

/* ---- objects ---- */

static size_t
section_size(const struct array *a)
{
	return (a->cnt * a->each + 7) & ~(size_t)7;
}

static void
section_put(uint8_t *obj, uint32_t *at, const struct array *a, uint32_t *ret_cnt, uint32_t *ret_off)
{
	*ret_cnt = (uint32_t)a->cnt;
	*ret_off = a->cnt ? *at : 0;
	if (a->cnt)
		memcpy(obj + *at, a->p, a->cnt * a->each);
	*at += (uint32_t)section_size(a);
}

static struct sl_img_vhost *
vhost_put(const struct build *b)
{
	size_t size = sizeof(struct sl_img_vhost) + section_size(&b->route) +
		      section_size(&b->cond) + section_size(&b->cond_id) + section_size(&b->scan) +
		      section_size(&b->target) + section_size(&b->mirror) + section_size(&b->edit) +
		      section_size(&b->policy) + section_size(&b->rate) + section_size(&b->ref) +
		      section_size(&b->cors) + section_size(&b->fault) + section_size(&b->str);
	uint8_t *obj = calloc(1, size);
	struct sl_img_vhost *v = (void *)obj;
	uint32_t at = sizeof(*v);

	if (!v)
		die("memory", NULL);
	v->head = (struct sl_obj_head){.magic = SL_OBJ_MAGIC,
				       .version = SL_IMAGE_VERSION,
				       .kind = SL_OBJ_VHOST,
				       .size = (uint32_t)size};
	snprintf(v->name, sizeof(v->name), "%s", b->v->name ? b->v->name : "vhost");
	snprintf(v->table, sizeof(v->table), "%s", b->v->table ? b->v->table : "table");
	section_put(obj, &at, &b->route, &v->route_cnt, &v->route_off);
	section_put(obj, &at, &b->cond, &v->cond_cnt, &v->cond_off);
	section_put(obj, &at, &b->cond_id, &v->cond_id_cnt, &v->cond_id_off);
	section_put(obj, &at, &b->scan, &v->scan_cnt, &v->scan_off);
	section_put(obj, &at, &b->target, &v->target_cnt, &v->target_off);
	section_put(obj, &at, &b->mirror, &v->mirror_cnt, &v->mirror_off);
	section_put(obj, &at, &b->edit, &v->edit_cnt, &v->edit_off);
	section_put(obj, &at, &b->policy, &v->policy_cnt, &v->policy_off);
	section_put(obj, &at, &b->rate, &v->rate_cnt, &v->rate_off);
	section_put(obj, &at, &b->ref, &v->policy_ref_cnt, &v->policy_ref_off);
	section_put(obj, &at, &b->cors, &v->cors_cnt, &v->cors_off);
	section_put(obj, &at, &b->fault, &v->fault_cnt, &v->fault_off);
	section_put(obj, &at, &b->str, &v->str_bytes, &v->str_off);
	return v;
}

static uint32_t
conds_max(const struct sl_test_vhost *v)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < v->route_cnt; i++)
		for (const struct sl_test_cond *c = v->routes[i].conds; c && c->field; c++)
			cnt++;
	return cnt;
}

static void
build_free(struct build *b)
{
	struct array *const arrays[] = {&b->route,  &b->cond, &b->cond_id, &b->scan,    &b->target,
					&b->mirror, &b->edit, &b->str,     &b->pattern, &b->policy,
					&b->rate,   &b->ref,  &b->cors,    &b->fault};
	struct pattern *p = (void *)b->pattern.p;

	for (size_t i = 0; i < b->pattern.cnt; i++)
		free(p[i].text);
	for (size_t i = 0; i < SL_ARRAY_CNT(arrays); i++)
		free(arrays[i]->p);
	free(b->table);
}

void
sl_test_vhost_build(const struct sl_test_vhost *v, struct sl_test_vhost_image *ret_image)
{
	struct build b = {.v = v,
			  .route.each = sizeof(struct sl_img_http_route),
			  .cond.each = sizeof(struct sl_img_cond),
			  .cond_id.each = sizeof(uint32_t),
			  .scan.each = sizeof(struct sl_img_scan),
			  .target.each = sizeof(struct sl_img_target),
			  .mirror.each = sizeof(struct sl_img_mirror),
			  .edit.each = sizeof(struct sl_img_edit),
			  .policy.each = sizeof(struct sl_img_policy),
			  .rate.each = sizeof(struct sl_img_rate),
			  .ref.each = sizeof(struct sl_img_policy_ref),
			  .cors.each = sizeof(struct sl_img_cors),
			  .fault.each = sizeof(struct sl_img_fault),
			  .str.each = 1,
			  .pattern.each = sizeof(struct pattern),
			  .table_room = 16};

	memset(ret_image, 0, sizeof(*ret_image));
	while (b.table_room < 2 * conds_max(v))
		b.table_room *= 2;
	b.table = calloc(b.table_room, sizeof(*b.table));
	if (!b.table)
		die("memory", NULL);
	for (uint32_t i = 0; i < v->route_cnt; i++)
		route_add(&b, i);
	cond_patterns_set(&b);
	shards_build(&b, ret_image);
	ret_image->img = vhost_put(&b);
	build_free(&b);
}

void
sl_test_vhost_free(struct sl_test_vhost_image *image)
{
	for (unsigned i = 0; i < image->shard_cnt; i++) {
		hs_free_database(image->shards[i].db);
		free(image->shards[i].img);
	}
	free(image->shards);
	free(image->dbs);
	free(image->img);
	hs_free_scratch(image->hs);
	memset(image, 0, sizeof(*image));
}

struct sl_match_scratch
sl_test_scratch(size_t bytes, struct hs_scratch *hs)
{
	size_t room = (bytes + SL_CACHE_LINE - 1) / SL_CACHE_LINE * SL_CACHE_LINE;
	void *mem = aligned_alloc(SL_CACHE_LINE, room);

	if (!mem)
		die("memory", NULL);
	memset(mem, 0, room);
	return (struct sl_match_scratch){mem, bytes, hs};
}

void
sl_test_scratch_free(struct sl_match_scratch *s)
{
	free(s->mem);
	s->mem = NULL;
}

/* ---- ROUTES ---- */

struct host {
	uint32_t kind, order;
	const char *name;
	size_t len;
};

static struct host
host_of(const char *match, uint32_t order)
{
	size_t n = strlen(match);

	if (strcmp(match, "*") == 0)
		return (struct host){SL_HOST_ANY, order, "", 0};
	if (match[0] == '*')
		return (struct host){SL_HOST_SUFFIX, order, match + 1, n - 1};
	if (match[n - 1] == '*')
		return (struct host){SL_HOST_PREFIX, order, match, n - 1};
	return (struct host){SL_HOST_EXACT, order, match, n};
}

static int
by_host(const void *a, const void *b)
{
	const struct host *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	int order = memcmp(x->name, y->name, SL_MIN(x->len, y->len));
	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static struct sl_img_http
http_of(const struct sl_img_http *http)
{
	if (http->header_ms)
		return *http;
	return (struct sl_img_http){.header_ms = 10000,
				    .idle_ms = 3600000,
				    .stream_idle_ms = 300000,
				    .max_head = SL_HTTP_HEAD_MAX,
				    .max_headers = SL_HTTP_HEADERS_MAX,
				    .merge_slashes = 1,
				    .log = http->log};
}

struct sl_img_routes *
sl_test_routes_build(const struct sl_test_routes *t, uint32_t *ret_hosts_order)
{
	struct host *host = calloc(t->host_cnt + 1, sizeof(*host));
	struct array hosts = {.each = sizeof(struct sl_img_host)}, str = {.each = 1};
	struct sl_img_routes head = {.http = http_of(&t->http)};
	uint32_t at = sizeof(head);

	if (!host)
		die("memory", NULL);
	for (uint32_t i = 0; i < t->host_cnt; i++)
		host[i] = host_of(t->hosts[i].match, i);
	qsort(host, t->host_cnt, sizeof(*host), by_host);
	for (uint32_t i = 0; i < t->host_cnt; i++) {
		struct sl_img_host h = {.kind = host[i].kind,
					.vhost = t->hosts[host[i].order].vhost};
		if (host[i].len)
			h.name = (struct sl_img_str){(uint32_t)str.cnt, (uint32_t)host[i].len};
		array_add(&str, host[i].name, host[i].len);
		array_add(&hosts, &h, 1);
		if (ret_hosts_order)
			ret_hosts_order[i] = host[i].order;
	}
	size_t size = at + section_size(&hosts) + section_size(&str);
	uint8_t *obj = calloc(1, size);
	if (!obj)
		die("memory", NULL);
	head.head = (struct sl_obj_head){.magic = SL_OBJ_MAGIC,
					 .version = SL_IMAGE_VERSION,
					 .kind = SL_OBJ_ROUTES,
					 .size = (uint32_t)size};
	snprintf(head.name, sizeof(head.name), "%s", t->name ? t->name : "table");
	section_put(obj, &at, &hosts, &head.host_cnt, &head.host_off);
	section_put(obj, &at, &str, &head.str_bytes, &head.str_off);
	memcpy(obj, &head, sizeof(head));
	free(hosts.p);
	free(str.p);
	free(host);
	return (void *)obj;
}
