/* A generation's tables and virtual hosts:
 *
 *   SHARD ─▶ database ─┐                        VHOST slot ─▶ index ─┐
 *   VHOST ─────────────┼▶ match ─▶ vhosts[]     ROUTES ──────────────┴▶ hosts ─▶ tables[]
 *   AUTHZ ─────────────┴▶ match ─▶ authz[slot]
 *   all databases ─▶ hs scratch, one for each worker; largest match ─▶ working memory, likewise
 *
 * References are checked first and nothing is made of objects that contradict each other.  Refs of a kind stand by slot, or
 * by id, so each look-up is a binary search. */
#include "dataplane/view_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <hs/hs_runtime.h>

/* A match or a database, by place of its ref behind the first VHOST's. */
struct sl_view_made {
	void *it;
	uint32_t ref;
	uint16_t kind; /* enum sl_obj_kind, of the ref */
	bool given;    /* or taken: not ours to free */
};

#define NOT_THERE UINT32_MAX

/* ---- look-up ---- */

/* Index within the kind of the ref with that slot, or NOT_THERE. */
static uint32_t
by_slot(const struct sl_view_build *b, enum sl_obj_kind kind, uint32_t slot)
{
	uint32_t lo = 0, hi = b->cnt[kind];

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		if (b->refs[b->first[kind] + mid].slot < slot)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < b->cnt[kind] && b->refs[b->first[kind] + lo].slot == slot ? lo : NOT_THERE;
}

/* Likewise of a SHARD with that id. */
static uint32_t
shard_by_id(const struct sl_view_build *b, const struct sl_obj_id *id)
{
	uint32_t lo = 0, hi = b->cnt[SL_OBJ_SHARD];

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;
		int d = memcmp(&b->refs[b->first[SL_OBJ_SHARD] + mid].id, id, sizeof(*id));
		if (d == 0)
			return mid;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NOT_THERE;
}

static const struct sl_img_vhost *
vhost_img(const struct sl_view_build *b, uint32_t i)
{
	return b->objs[b->first[SL_OBJ_VHOST] + i].bytes;
}

static const struct sl_img_shard *
shard_img(const struct sl_view_build *b, uint32_t i)
{
	return b->objs[b->first[SL_OBJ_SHARD] + i].bytes;
}

/* ---- tables ---- */

/* "shop.example", "*.example", "shop.*", "*" */
static void
host_format(const struct sl_img_routes *t, const struct sl_img_host *h, char *buf, size_t size)
{
	const char *strs = sl_view_section(t, t->str_bytes, t->str_off);

	snprintf(buf, size, "%s%.*s%s",
		 h->kind == SL_HOST_SUFFIX || h->kind == SL_HOST_ANY ? "*" : "", (int)h->name.len,
		 h->name.len ? strs + h->name.off : "", h->kind == SL_HOST_PREFIX ? "*" : "");
}

/* Where the host leads to, or NOT_THERE and a reason. */
static uint32_t
check_host(struct sl_view_build *b, uint32_t table, uint32_t host)
{
	const struct sl_img_routes *t = b->tables[table].img;
	const struct sl_img_host *h =
		(const struct sl_img_host *)sl_view_section(t, t->host_cnt, t->host_off) + host;
	uint32_t vhost = by_slot(b, SL_OBJ_VHOST, h->vhost);
	char path[48], name[260];

	if (vhost != NOT_THERE && memcmp(vhost_img(b, vhost)->table, t->name, SL_NAME_MAX) == 0)
		return vhost;
	snprintf(path, sizeof(path), "refs[%u].hosts[%u]", b->first[SL_OBJ_ROUTES] + table, host);
	host_format(t, h, name, sizeof(name));
	if (vhost == NOT_THERE)
		sl_view_bad(b, path, NULL,
			    "table \"%s\": host \"%s\" leads to virtual host slot %u, which the "
			    "root does not name",
			    t->name, name, h->vhost);
	else
		sl_view_bad(b, path, NULL,
			    "table \"%s\": host \"%s\" leads to virtual host \"%s\", which is of "
			    "table \"%s\"",
			    t->name, name, vhost_img(b, vhost)->name, vhost_img(b, vhost)->table);
	return NOT_THERE;
}

static int
table_name_cmp(const void *a, const void *b, void *tables)
{
	const struct sl_table *t = tables;

	return memcmp(t[*(const uint32_t *)a].img->name, t[*(const uint32_t *)b].img->name,
		      SL_NAME_MAX);
}

static void
check_table_names(struct sl_view_build *b)
{
	uint32_t order[SL_MAX_TABLES];
	char path[32];

	for (uint32_t i = 0; i < b->v->table_cnt; i++)
		order[i] = i;
	qsort_r(order, b->v->table_cnt, sizeof(order[0]), table_name_cmp, b->tables);
	for (uint32_t i = 1; i < b->v->table_cnt; i++) {
		if (table_name_cmp(&order[i - 1], &order[i], b->tables) != 0)
			continue;
		uint32_t at = b->first[SL_OBJ_ROUTES];
		snprintf(path, sizeof(path), "refs[%u]", at + SL_MAX(order[i - 1], order[i]));
		sl_view_bad(b, path, NULL, "table \"%s\" has the name of refs[%u]",
			    b->tables[order[i]].img->name, at + SL_MIN(order[i - 1], order[i]));
	}
}

/* Tables and where their hosts lead to; every virtual host is led to. */
static int
build_tables(struct sl_view_build *b)
{
	bool *used = calloc(b->v->vhost_cnt + 1u, sizeof(*used));
	int err = used ? 0 : -ENOMEM;
	char path[32];

	for (uint32_t i = 0; i < b->v->table_cnt && !err; i++) {
		const struct sl_img_ref *ref = &b->refs[b->first[SL_OBJ_ROUTES] + i];
		struct sl_table *t = &b->tables[i];
		*t = (struct sl_table){.img = b->objs[b->first[SL_OBJ_ROUTES] + i].bytes,
				       .slot = ref->slot,
				       .incarnation = (uint16_t)ref->incarnation};
		uint32_t *to = calloc(t->img->host_cnt + 1u, sizeof(*to));
		unsigned before = b->bad;
		for (uint32_t k = 0; to && k < t->img->host_cnt; k++) {
			to[k] = check_host(b, i, k);
			if (to[k] != NOT_THERE)
				used[to[k]] = true;
		}
		if (!to)
			err = -ENOMEM;
		else if (b->bad == before)
			err = sl_hosts_create(t->img, to, (struct sl_hosts **)(uintptr_t)&t->hosts);
		free(to);
	}
	for (uint32_t i = 0; i < b->v->vhost_cnt && !err; i++) {
		if (used[i])
			continue;
		snprintf(path, sizeof(path), "refs[%u]", b->first[SL_OBJ_VHOST] + i);
		sl_view_bad(b, path, NULL,
			    "virtual host \"%s\" of table \"%s\": no host name leads to it",
			    vhost_img(b, i)->name, vhost_img(b, i)->table);
	}
	free(used);
	if (!err)
		check_table_names(b);
	return err;
}

/* ---- virtual hosts: what they name ---- */

static int
vhost_name_cmp(const void *a, const void *b, void *build)
{
	const struct sl_img_vhost *x = vhost_img(build, *(const uint32_t *)a);
	const struct sl_img_vhost *y = vhost_img(build, *(const uint32_t *)b);
	int d = memcmp(x->table, y->table, SL_NAME_MAX);

	return d ? d : memcmp(x->name, y->name, SL_NAME_MAX);
}

static int
check_vhost_names(struct sl_view_build *b)
{
	uint32_t cnt = b->v->vhost_cnt, at = b->first[SL_OBJ_VHOST];
	uint32_t *order = malloc((cnt + 1u) * sizeof(*order));
	char path[32];

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt; i++)
		order[i] = i;
	qsort_r(order, cnt, sizeof(*order), vhost_name_cmp, b);
	for (uint32_t i = 1; i < cnt; i++) {
		if (vhost_name_cmp(&order[i - 1], &order[i], b) != 0)
			continue;
		snprintf(path, sizeof(path), "refs[%u]", at + SL_MAX(order[i - 1], order[i]));
		sl_view_bad(b, path, NULL,
			    "virtual host \"%s\" of table \"%s\" has the name of refs[%u]",
			    vhost_img(b, order[i])->name, vhost_img(b, order[i])->table,
			    at + SL_MIN(order[i - 1], order[i]));
	}
	free(order);
	return 0;
}

/* A service that a route names as `what`. */
static void
check_service(struct sl_view_build *b, uint32_t vhost, uint32_t route, const char *what,
	      uint32_t slot, uint32_t incarnation)
{
	uint32_t i = by_slot(b, SL_OBJ_SERVICE, slot);
	const struct sl_service *s = i == NOT_THERE ? NULL : &b->services[i];

	if (sl_likely(s && s->incarnation == incarnation && s->forward == SL_FORWARD_PROXY))
		return;
	const struct sl_img_vhost *v = vhost_img(b, vhost);
	const struct sl_img_http_route *r =
		(const struct sl_img_http_route *)sl_view_section(v, v->route_cnt, v->route_off) +
		route;
	char path[64];
	snprintf(path, sizeof(path), "refs[%u].routes[%u]", b->first[SL_OBJ_VHOST] + vhost, route);
	if (!s || s->incarnation != incarnation)
		sl_view_bad(b, path, NULL,
			    "table \"%s\", virtual host \"%s\", route \"%s\": %s is service slot "
			    "%u, incarnation %u, which the root does not name",
			    v->table, v->name, r->name, what, slot, incarnation);
	else
		sl_view_bad(b, path, "routes need services with forward \"proxy\"",
			    "table \"%s\", virtual host \"%s\", route \"%s\": %s is service "
			    "\"%s\", which has forward \"%s\"",
			    v->table, v->name, r->name, what, s->img->name,
			    sl_forward_name(s->forward));
}

/* A target's subset is one of its service, of which check_service has said when it is not there. */
static void
check_subset(struct sl_view_build *b, uint32_t vhost, uint32_t route, const struct sl_img_target *t)
{
	uint32_t i = by_slot(b, SL_OBJ_SERVICE, t->service);

	if (i == NOT_THERE || sl_likely(t->subset <= b->services[i].img->subset_cnt))
		return;
	const struct sl_img_vhost *v = vhost_img(b, vhost);
	const struct sl_img_http_route *r =
		(const struct sl_img_http_route *)sl_view_section(v, v->route_cnt, v->route_off) +
		route;
	char path[64];
	snprintf(path, sizeof(path), "refs[%u].routes[%u]", b->first[SL_OBJ_VHOST] + vhost, route);
	sl_view_bad(b, path, NULL,
		    "table \"%s\", virtual host \"%s\", route \"%s\": a target is subset %u of "
		    "service \"%s\", which has %u",
		    v->table, v->name, r->name, t->subset - 1, b->services[i].img->name,
		    b->services[i].img->subset_cnt);
}

/* The virtual host and route that has a slot; for people, the slow way. */
static void
slot_owner(const struct sl_view_build *b, uint32_t slot, char *buf, size_t size)
{
	for (uint32_t i = 0; i < b->v->vhost_cnt; i++) {
		const struct sl_img_vhost *v = vhost_img(b, i);
		const struct sl_img_http_route *r = sl_view_section(v, v->route_cnt, v->route_off);
		for (uint32_t k = 0; k < v->route_cnt; k++)
			if (r[k].slot == slot) {
				snprintf(buf, size,
					 "route \"%s\" of virtual host \"%s\", table \"%s\"",
					 r[k].name, v->name, v->table);
				return;
			}
	}
}

static void
check_route(struct sl_view_build *b, uint32_t vhost, uint32_t route, uint64_t *slots)
{
	const struct sl_img_vhost *v = vhost_img(b, vhost);
	const struct sl_img_http_route *r =
		(const struct sl_img_http_route *)sl_view_section(v, v->route_cnt, v->route_off) +
		route;
	const struct sl_img_target *t = sl_view_section(v, v->target_cnt, v->target_off);
	const struct sl_img_mirror *m = sl_view_section(v, v->mirror_cnt, v->mirror_off);

	for (uint32_t i = 0; i < r->target_cnt; i++) {
		check_service(b, vhost, route, "a target", t[r->target_first + i].service,
			      t[r->target_first + i].incarnation);
		check_subset(b, vhost, route, &t[r->target_first + i]);
	}
	for (uint32_t i = 0; i < r->mirror_cnt; i++)
		check_service(b, vhost, route, "a mirror", m[r->mirror_first + i].service,
			      m[r->mirror_first + i].incarnation);
	if (slots[r->slot / 64] >> r->slot % 64 & 1 && b->bad < SL_DIAG_MAX) {
		char path[64], other[256] = "";
		snprintf(path, sizeof(path), "refs[%u].routes[%u].slot",
			 b->first[SL_OBJ_VHOST] + vhost, route);
		slot_owner(b, r->slot, other, sizeof(other));
		sl_view_bad(b, path, NULL,
			    "table \"%s\", virtual host \"%s\", route \"%s\": slot %u is that of "
			    "%s",
			    v->table, v->name, r->name, r->slot, other);
	} else if (slots[r->slot / 64] >> r->slot % 64 & 1) {
		b->bad++; /* no room for its reason */
	}
	slots[r->slot / 64] |= 1ull << r->slot % 64;
}

static void
owner_format(const struct sl_img_vhost *v, char *buf, size_t size)
{
	if (v->head.kind == SL_OBJ_AUTHZ)
		snprintf(buf, size, "authorization \"%s\"", v->name);
	else
		snprintf(buf, size, "table \"%s\", virtual host \"%s\"", v->table, v->name);
}

/* The SHARD that a scan names, or NOT_THERE and a reason. */
static uint32_t
check_shard(struct sl_view_build *b, uint32_t ref, uint32_t scan, const char *which,
	    const struct sl_obj_id *id, uint32_t patterns)
{
	uint32_t i = shard_by_id(b, id);

	if (i != NOT_THERE && shard_img(b, i)->pattern_cnt == patterns)
		return i;
	char path[64], owner[160];
	snprintf(path, sizeof(path), "refs[%u].scans[%u].%s", ref, scan, which);
	owner_format(b->objs[ref].bytes, owner, sizeof(owner));
	if (i == NOT_THERE)
		sl_view_bad(b, path, NULL, "%s: %02x%02x%02x%02x… is no SHARD that the root names",
			    owner, id->b[0], id->b[1], id->b[2], id->b[3]);
	else
		sl_view_bad(b, path, NULL, "%s: the SHARD has %u patterns, the scan counts %u",
			    owner, shard_img(b, i)->pattern_cnt, patterns);
	return NOT_THERE;
}

static const struct sl_img_scan *
scans_of(const struct sl_img_vhost *v)
{
	return sl_view_section(v, v->scan_cnt, v->scan_off);
}

/* ref: of a VHOST or AUTHZ. */
static void
check_scans(struct sl_view_build *b, uint32_t ref, bool *used)
{
	const struct sl_img_vhost *v = b->objs[ref].bytes;

	for (uint32_t i = 0; i < v->scan_cnt; i++) {
		const struct sl_img_scan *s = &scans_of(v)[i];
		uint32_t at = check_shard(b, ref, i, "base", &s->base, s->base_cnt);
		if (at != NOT_THERE)
			used[at] = true;
		at = s->delta_cnt ? check_shard(b, ref, i, "delta", &s->delta, s->delta_cnt)
				  : NOT_THERE;
		if (at != NOT_THERE)
			used[at] = true;
	}
}

/* The sets of rules that rows of policy name. */
static void
check_policy_refs(struct sl_view_build *b, uint32_t vhost)
{
	const struct sl_img_vhost *v = vhost_img(b, vhost);
	const struct sl_img_policy_ref *r =
		sl_view_section(v, v->policy_ref_cnt, v->policy_ref_off);
	char path[64];

	for (uint32_t i = 0; i < v->policy_ref_cnt; i++) {
		uint32_t at =
			r[i].kind == SL_OBJ_AUTHZ ? by_slot(b, SL_OBJ_AUTHZ, r[i].slot) : NOT_THERE;
		if (r[i].kind != SL_OBJ_AUTHZ ||
		    (at != NOT_THERE &&
		     b->refs[b->first[SL_OBJ_AUTHZ] + at].incarnation == r[i].incarnation))
			continue;
		snprintf(path, sizeof(path), "refs[%u].policy_refs[%u]",
			 b->first[SL_OBJ_VHOST] + vhost, i);
		sl_view_bad(b, path, NULL,
			    "table \"%s\", virtual host \"%s\": a policy names authorization slot "
			    "%u, incarnation %u, which the root does not name",
			    v->table, v->name, r[i].slot, r[i].incarnation);
	}
}

/* The sets of rules that listeners name. */
static void
check_listener_authz(struct sl_view_build *b)
{
	char path[48];

	for (uint32_t i = 0; i < b->v->listener_cnt; i++) {
		const struct sl_img_listener *l = &b->v->listeners[i];
		uint32_t at = l->authz ? by_slot(b, SL_OBJ_AUTHZ, l->authz - 1) : NOT_THERE;
		if (!l->authz || at != NOT_THERE)
			continue;
		snprintf(path, sizeof(path), "listeners[%u].authz", i);
		sl_view_bad(b, path, NULL,
			    "listener \"%s\" names authorization slot %u, which the root does not "
			    "name",
			    l->name, l->authz - 1);
	}
}

static int
check_vhosts(struct sl_view_build *b)
{
	uint64_t slots[SL_MAX_HTTP_ROUTES / 64] = {0};
	bool used[SL_MAX_SHARDS] = {0};
	char path[32];

	for (uint32_t i = 0; i < b->v->vhost_cnt; i++) {
		for (uint32_t k = 0; k < vhost_img(b, i)->route_cnt; k++)
			check_route(b, i, k, slots);
		check_scans(b, b->first[SL_OBJ_VHOST] + i, used);
		check_policy_refs(b, i);
	}
	for (uint32_t i = 0; i < b->cnt[SL_OBJ_AUTHZ]; i++)
		check_scans(b, b->first[SL_OBJ_AUTHZ] + i, used);
	for (uint32_t i = 0; i < b->cnt[SL_OBJ_SHARD]; i++) {
		if (used[i])
			continue;
		snprintf(path, sizeof(path), "refs[%u]", b->first[SL_OBJ_SHARD] + i);
		sl_view_bad(b, path, NULL, "no virtual host scans this SHARD");
	}
	return check_vhost_names(b);
}

/* ---- databases ---- */

static const char *
hs_text(hs_error_t err)
{
	switch (err) {
	case HS_DB_VERSION_ERROR:
		return "it was made by another version of Hyperscan";
	case HS_DB_PLATFORM_ERROR:
		return "it was made for another CPU";
	case HS_DB_MODE_ERROR:
		return "it is not of block mode";
	default:
		return "its bytes are no database, or damaged";
	}
}

static bool
is_block(const hs_database_t *db)
{
	char *info = NULL;
	bool block = hs_database_info(db, &info) == HS_SUCCESS && strstr(info, "Mode: BLOCK");

	free(info);
	return block;
}

static int
make_database(struct sl_view_build *b, uint32_t ref, void **ret_db)
{
	const struct sl_img_shard *s = b->objs[ref].bytes;
	const char *from = sl_view_section(s, s->db_bytes, s->db_off);
	hs_database_t *db = NULL;
	size_t size = 0;
	char path[32];

	hs_error_t err = hs_serialized_database_size(from, s->db_bytes, &size);
	if (err == HS_SUCCESS && !(db = sl_view_mem(size)))
		return -ENOMEM;
	if (err == HS_SUCCESS)
		err = hs_deserialize_database_at(from, s->db_bytes, db);
	if (err == HS_SUCCESS && !is_block(db))
		err = HS_DB_MODE_ERROR;
	if (err == HS_SUCCESS) {
		*ret_db = db;
		return 0;
	}
	free(db);
	if (err == HS_NOMEM)
		return -ENOMEM;
	snprintf(path, sizeof(path), "refs[%u]", ref);
	sl_view_bad(b, path, "have sluice-compile run on this host, with the same libhyperscan",
		    "the SHARD's Hyperscan database cannot be used here: %s", hs_text(err));
	return 0;
}

/* ---- matches ---- */

static const struct hs_database *
database_of(const struct sl_view_build *b, const struct sl_obj_id *id)
{
	return b->v->made[b->v->vhost_cnt + shard_by_id(b, id)].it;
}

static int
make_match(struct sl_view_build *b, uint32_t ref, void **ret_match)
{
	const struct sl_img_vhost *v = b->objs[ref].bytes;
	struct sl_match_dbs *dbs = calloc(v->scan_cnt + 1u, sizeof(*dbs));
	struct sl_match *m = NULL;
	char path[32], owner[160];

	if (!dbs)
		return -ENOMEM;
	for (uint32_t i = 0; i < v->scan_cnt; i++) {
		const struct sl_img_scan *s = &scans_of(v)[i];
		dbs[i].base = database_of(b, &s->base);
		dbs[i].delta = s->delta_cnt ? database_of(b, &s->delta) : NULL;
	}
	int err = sl_match_create(v, dbs, &m);
	free(dbs);
	*ret_match = m;
	if (err == -ENOMEM || err == 0)
		return err;
	snprintf(path, sizeof(path), "refs[%u]", ref);
	owner_format(v, owner, sizeof(owner));
	sl_view_bad(b, path, "give paths that differ earlier",
		    "%s: its path templates overlap in more ways than can be looked at", owner);
	return 0;
}

/* Where the databases end in made, and the sets of rules begin. */
static uint32_t
shards_end(const struct sl_view_build *b)
{
	return b->v->vhost_cnt + b->cnt[SL_OBJ_SHARD];
}

static int
make_authz(struct sl_view_build *b, uint32_t i)
{
	struct sl_view_made *made = &b->v->made[i];
	const struct sl_img_ref *ref = &b->refs[made->ref];
	int err = made->it ? 0 : make_match(b, made->ref, &made->it);

	if (!err && made->it)
		sl_authz_init(&b->authz[ref->slot], b->objs[made->ref].bytes, made->it,
			      (uint16_t)ref->incarnation);
	return err;
}

/* What was given is taken as it is, the rest is made: databases first. */
static int
make_all(struct sl_view_build *b)
{
	struct sl_view *v = b->v;
	int err = 0;

	for (uint32_t i = 0; i < v->made_cnt; i++) {
		uint32_t ref = b->first[SL_OBJ_VHOST] + i;
		v->made[i] = (struct sl_view_made){
			.ref = ref, .kind = (uint16_t)b->refs[ref].kind, .it = b->objs[ref].made};
		v->made[i].given = v->made[i].it != NULL;
	}
	for (uint32_t i = shards_end(b); i-- > v->vhost_cnt && !err;)
		if (!v->made[i].it)
			err = make_database(b, v->made[i].ref, &v->made[i].it);
	for (uint32_t i = shards_end(b); i < v->made_cnt && !err && !b->bad; i++)
		err = make_authz(b, i);
	for (uint32_t i = 0; i < v->vhost_cnt && !err && !b->bad; i++) {
		const struct sl_img_ref *ref = &b->refs[v->made[i].ref];
		if (!v->made[i].it)
			err = make_match(b, v->made[i].ref, &v->made[i].it);
		b->vhosts[i] = (struct sl_vhost){.img = vhost_img(b, i),
						 .match = v->made[i].it,
						 .slot = ref->slot,
						 .incarnation = (uint16_t)ref->incarnation};
	}
	return err;
}

void *
sl_view_take(struct sl_view *v, uint32_t ref)
{
	uint32_t i = v->made_cnt ? ref - v->made[0].ref : 0;

	if (i >= v->made_cnt || v->made[i].given)
		return NULL;
	v->made[i].given = true;
	return v->made[i].it;
}

void
sl_view_unmake(enum sl_obj_kind kind, void *made)
{
	if (kind == SL_OBJ_VHOST || kind == SL_OBJ_AUTHZ)
		sl_match_destroy(made);
	else if (kind == SL_OBJ_SHARD)
		free(made);
}

/* ---- scratch ---- */

/* Working memory of one worker, a copy of proto's. */
static int
make_scratch(struct sl_match_scratch *s, size_t bytes, const hs_scratch_t *proto)
{
	s->bytes = bytes;
	s->mem = sl_view_mem(bytes);
	if (!s->mem || (proto && hs_clone_scratch(proto, &s->hs) != HS_SUCCESS))
		return -ENOMEM;
	return 0;
}

static int
make_scratches(struct sl_view_build *b)
{
	struct sl_view *v = b->v;
	hs_scratch_t *proto = NULL;
	size_t bytes = 0;
	int err = 0;

	v->scratch = calloc(b->ports->worker_cnt, sizeof(*v->scratch));
	if (!v->scratch)
		return -ENOMEM;
	v->scratch_cnt = b->ports->worker_cnt;
	for (uint32_t i = 0; i < v->vhost_cnt; i++)
		bytes = SL_MAX(bytes, sl_match_bytes(v->vhosts[i].match));
	for (uint32_t i = shards_end(b); i < v->made_cnt; i++)
		bytes = SL_MAX(bytes, sl_match_bytes(v->made[i].it));
	for (uint32_t i = v->vhost_cnt; i < shards_end(b) && !err; i++)
		if (hs_alloc_scratch(v->made[i].it, &proto) != HS_SUCCESS)
			err = -ENOMEM;
	for (uint32_t i = 0; i < v->scratch_cnt && !err; i++)
		err = make_scratch(&v->scratch[i], bytes, proto);
	hs_free_scratch(proto);
	return err;
}

/* ---- the whole ---- */

int
sl_view_http_build(struct sl_view_build *b)
{
	struct sl_view *v = b->v;

	v->vhost_cnt = b->cnt[SL_OBJ_VHOST];
	v->made_cnt = v->vhost_cnt + b->cnt[SL_OBJ_SHARD] + b->cnt[SL_OBJ_AUTHZ];
	if (!v->vhost_cnt) /* all that is made stands one behind the other */
		b->first[SL_OBJ_VHOST] =
			b->cnt[SL_OBJ_SHARD] ? b->first[SL_OBJ_SHARD] : b->first[SL_OBJ_AUTHZ];
	check_listener_authz(b);
	if (!v->table_cnt && !v->made_cnt)
		return 0;
	if (b->cnt[SL_OBJ_AUTHZ])
		v->authz_cnt = b->refs[b->first[SL_OBJ_AUTHZ] + b->cnt[SL_OBJ_AUTHZ] - 1].slot + 1;
	v->tables = b->tables = sl_view_mem(v->table_cnt * sizeof(*b->tables));
	v->vhosts = b->vhosts = sl_view_mem(v->vhost_cnt * sizeof(*b->vhosts));
	v->authz = b->authz = sl_view_mem(v->authz_cnt * sizeof(*b->authz));
	v->made = calloc(v->made_cnt + 1u, sizeof(*v->made));
	if (!v->tables || !v->vhosts || !v->authz || !v->made) {
		v->made_cnt = v->table_cnt = 0;
		return -ENOMEM;
	}
	int err = build_tables(b);
	if (!err)
		err = check_vhosts(b);
	if (!err && !b->bad)
		err = make_all(b);
	if (!err && !b->bad && (v->table_cnt || v->authz_cnt) && b->ports->worker_cnt)
		err = make_scratches(b);
	return err;
}

void
sl_view_http_free(struct sl_view *v)
{
	for (uint32_t i = 0; i < v->scratch_cnt; i++) {
		free(v->scratch[i].mem);
		hs_free_scratch(v->scratch[i].hs);
	}
	free(v->scratch);
	for (uint32_t i = 0; v->tables && i < v->table_cnt; i++)
		sl_hosts_destroy((struct sl_hosts *)(uintptr_t)v->tables[i].hosts);
	for (uint32_t i = 0; i < v->made_cnt; i++) /* matches go before their databases */
		if (!v->made[i].given && v->made[i].kind != SL_OBJ_SHARD)
			sl_view_unmake(v->made[i].kind, v->made[i].it);
	for (uint32_t i = 0; i < v->made_cnt; i++)
		if (!v->made[i].given && v->made[i].kind == SL_OBJ_SHARD)
			sl_view_unmake(v->made[i].kind, v->made[i].it);
	free(v->made);
	free((void *)(uintptr_t)v->tables);
	free((void *)(uintptr_t)v->vhosts);
	free((void *)(uintptr_t)v->authz);
}
