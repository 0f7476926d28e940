#include "tests/suite.h"

#include <errno.h>
#include <hs/hs.h>
#include <stdlib.h>
#include <time.h>

#include "tests/dataplane/http_conf.h"

static bool
says(const struct sl_diag *d, const char *text)
{
	char line[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		if (strstr(line, text))
			return true;
	}
	return false;
}

static void
print_diag(const char *why, const struct sl_diag *d)
{
	char line[2048];

	printf("\n  %s\n", why);
	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		printf("    said: %s\n", line);
	}
}

/* ---- what is there ---- */

/* Where a request goes in the worker's view: host → virtual host → route's name, or "". */
static const char *
route_of(const struct sl_view *v, unsigned worker, const char *host, const char *path,
	 const char *lines)
{
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	struct sl_http_head head;
	struct sl_match_result m;
	enum sl_http_bad why;
	char text[512];

	int n = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, lines);
	CU_ASSERT_FATAL(sl_http_request((const void *)text, (uint32_t)n, 0, &limits, &head, &why) ==
			n);
	uint32_t at = sl_hosts_find(v->tables[0].hosts, (const void *)host, (uint32_t)strlen(host));
	if (at == SL_MATCH_NONE)
		return "";
	struct sl_match_input in = {.head = &head,
				    .path = head.bytes + head.path,
				    .path_len = head.path_len,
				    .query = head.bytes + head.query,
				    .query_len = head.query_len};
	uint32_t r = sl_match_find(v->vhosts[at].match, &in, &v->scratch[worker], &m);
	if (r == SL_MATCH_NONE)
		return "";
	const struct sl_img_vhost *img = v->vhosts[at].img;
	return ((const struct sl_img_http_route *)(const void *)((const char *)img +
								 img->route_off))[r]
		.name;
}

static void
requests_find_their_route_in_the_view_of_every_worker(void)
{
	static const struct {
		const char *host, *path, *lines, *route, *why;
	} rows[] = {
		{"shop.example", "/users/7/a", "x-env: can7\r\nx-n: 10\r\n", "split", "all hold"},
		{"shop.example", "/users/7/a", "x-env: canary\r\nx-n: 10\r\n", "",
		 "regex inverted"},
		{"shop.example", "/users/7/a", "x-env: can7\r\nx-n: 11\r\n", "", "range"},
		{"a.shop.example", "/old/a", "", "old", "segments, host by suffix"},
		{"shop.test", "/NO?v=2", "cookie: sid=1\r\n", "no", "host by prefix"},
		{"shop.example", "/a/x.y", "", "rest", "scanned"},
		{"shop.example", "/a/xzy", "", "", "a dot is a dot"},
		{"other.test", "/a", "", "all", "any host"},
		{"[2001:db8::1]", "/a", "", "all", "address"},
	};
	struct sl_test_conf conf = http_conf();
	struct sl_view *v = sl_test_view(&conf);

	CU_ASSERT_EQUAL(v->table_cnt, 1);
	CU_ASSERT_EQUAL(v->vhost_cnt, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(v->scratch);
	CU_ASSERT_PTR_NOT_EQUAL(v->scratch[0].hs, v->scratch[1].hs);
	CU_ASSERT_PTR_NOT_EQUAL(v->scratch[0].mem, v->scratch[1].mem);
	for (unsigned i = 0; i < 2 * SL_ARRAY_CNT(rows); i++) {
		unsigned k = i / 2;
		const char *got = route_of(v, i % 2, rows[k].host, rows[k].path, rows[k].lines);
		if (strcmp(got, rows[k].route))
			printf("\n  %s: \"%s\", not \"%s\"\n", rows[k].why, got, rows[k].route);
		CU_ASSERT_STRING_EQUAL(got, rows[k].route);
	}
	CU_ASSERT_PTR_NULL(sl_test_view_walk(v));
	sl_test_view_free(v);
}

static void
listener_of_mode_http_leads_to_a_table_and_to_no_service(void)
{
	struct sl_test_conf conf = http_conf();
	struct sl_view *v = sl_test_view(&conf);

	CU_ASSERT_EQUAL(v->listener_service[0], 0);
	CU_ASSERT_STRING_EQUAL(v->tables[v->listener_service[0]].img->name, "edge");
	CU_ASSERT_EQUAL(sl_view_service(v, 0), SL_VIEW_NONE);
	CU_ASSERT_STRING_EQUAL(v->services[sl_view_service(v, 1)].img->name, "web");
	CU_ASSERT_STRING_EQUAL(v->services[sl_view_service(v, 2)].img->name, "packets");
	sl_test_view_free(v);
}

static void
slots_incarnations_and_the_ring_are_the_roots(void)
{
	struct sl_test_conf conf = http_conf();
	struct sl_test_image im;
	struct sl_view *v = NULL;

	sl_test_image_build(&conf, &im);
	struct sl_img_root *root = sl_test_bytes(&im.root);
	struct sl_img_ref *r = (void *)((char *)root + root->ref_off);
	r[REF_TABLE].slot = 200;
	r[REF_TABLE].incarnation = 3;
	r[REF_PLAIN].incarnation = 65535;
	sl_image_id(root, im.root.size, &im.root_id);
	CU_ASSERT_EQUAL_FATAL(sl_test_image_view(&im, &conf, NULL, &v), 0);
	CU_ASSERT_EQUAL(v->tables[0].slot, 200);
	CU_ASSERT_EQUAL(v->tables[0].incarnation, 3);
	CU_ASSERT_EQUAL(v->vhosts[1].slot, 1);
	CU_ASSERT_EQUAL(v->vhosts[1].incarnation, 65535);
	CU_ASSERT_STRING_EQUAL(v->vhosts[1].img->name, "plain");
	CU_ASSERT_EQUAL(v->services[HTTP_CANARY].top.ring_cnt, 16);
	CU_ASSERT_PTR_NOT_NULL(v->services[HTTP_CANARY].top.ring);
	CU_ASSERT_EQUAL(v->services[HTTP_WEB].top.ring_cnt, 0);
	sl_view_destroy(v);
	sl_test_image_free(&im);
}

static void
a_scan_of_two_databases_finds_the_patterns_of_both(void)
{
	const struct sl_test_http_route routes[] = {
		{.name = "one",
		 .conds = SL_TEST_CONDS(SL_TEST_PATH(REGEX, "/a[0-9]+")),
		 .targets = http_web,
		 .target_cnt = 1},
		{.name = "two",
		 .conds = SL_TEST_CONDS(SL_TEST_PATH(REGEX, "/b[0-9]+")),
		 .targets = http_web,
		 .target_cnt = 1},
	};
	struct sl_test_vhost vhosts[] = {http_vhosts[0], http_vhosts[1]};
	struct sl_test_conf conf = http_conf();

	vhosts[0].routes = routes;
	vhosts[0].route_cnt = 2;
	vhosts[0].delta_every = 1;
	conf.vhosts = vhosts;
	struct sl_view *v = sl_test_view(&conf);
	const struct sl_img_scan *s =
		(const void *)((const char *)v->vhosts[0].img + v->vhosts[0].img->scan_off);
	CU_ASSERT_EQUAL(s->base_cnt, 1);
	CU_ASSERT_EQUAL(s->delta_cnt, 1);
	CU_ASSERT_STRING_EQUAL(route_of(v, 0, "shop.example", "/a1", ""), "one");
	CU_ASSERT_STRING_EQUAL(route_of(v, 0, "shop.example", "/b1", ""), "two");
	CU_ASSERT_STRING_EQUAL(route_of(v, 0, "shop.example", "/c1", ""), "");
	sl_test_view_free(v);
}

static void
without_workers_there_is_no_scratch_and_without_tables_neither(void)
{
	struct sl_test_conf conf = http_conf();

	conf.worker_cnt = 0;
	struct sl_view *v = sl_test_view(&conf);
	CU_ASSERT_PTR_NULL(v->scratch);
	CU_ASSERT_PTR_NULL(sl_test_view_walk(v));
	sl_test_view_free(v);
	conf.worker_cnt = 2;
	conf.table_cnt = conf.vhost_cnt = 0;
	conf.listeners = NULL;
	v = sl_test_view(&conf);
	CU_ASSERT_PTR_NULL(v->scratch);
	CU_ASSERT_EQUAL(v->table_cnt, 0);
	sl_test_view_free(v);
}

/* ---- contradictions ---- */

static struct sl_img_http_route *
routes_of(const struct sl_test_image *im, unsigned ref)
{
	struct sl_img_vhost *v = sl_test_bytes(&im->objs[ref]);

	return (void *)((char *)v + v->route_off);
}

static struct sl_img_target *
targets_of(const struct sl_test_image *im, unsigned ref)
{
	struct sl_img_vhost *v = sl_test_bytes(&im->objs[ref]);

	return (void *)((char *)v + v->target_off);
}

static struct sl_img_scan *
scans_of(const struct sl_test_image *im, unsigned ref)
{
	struct sl_img_vhost *v = sl_test_bytes(&im->objs[ref]);

	return (void *)((char *)v + v->scan_off);
}

static struct sl_img_ref *
refs_of(const struct sl_test_image *im)
{
	struct sl_img_root *root = sl_test_bytes(&im->root);

	return (void *)((char *)root + root->ref_off);
}

static void
host_leads_nowhere(struct sl_test_image *im)
{
	struct sl_img_routes *t = sl_test_bytes(&im->objs[REF_TABLE]);

	((struct sl_img_host *)(void *)((char *)t + t->host_off))[H_SUFFIX].vhost = 7;
}

static void
host_leads_to_another_tables(struct sl_test_image *im)
{
	((struct sl_img_vhost *)sl_test_bytes(&im->objs[REF_PLAIN]))->table[0] = 'E';
}

static void
nobody_leads_to_a_vhost(struct sl_test_image *im)
{
	struct sl_img_routes *t = sl_test_bytes(&im->objs[REF_TABLE]);
	struct sl_img_host *h = (void *)((char *)t + t->host_off);

	h[H_V6].vhost = h[H_ANY].vhost = 0;
}

static void
target_is_not_there(struct sl_test_image *im)
{
	targets_of(im, REF_SHOP)[1].service = 9;
}

static void
target_is_another_incarnation(struct sl_test_image *im)
{
	targets_of(im, REF_SHOP)[1].incarnation = 2;
}

static void
target_forwards_packets(struct sl_test_image *im)
{
	targets_of(im, REF_PLAIN)[0].service = HTTP_NAT;
}

static void
mirror_is_not_there(struct sl_test_image *im)
{
	struct sl_img_vhost *v = sl_test_bytes(&im->objs[REF_SHOP]);

	((struct sl_img_mirror *)(void *)((char *)v + v->mirror_off))->service = 4000;
}

static void
route_slot_twice(struct sl_test_image *im)
{
	routes_of(im, REF_PLAIN)[0].slot = R_NO;
}

static void
vhost_name_twice(struct sl_test_image *im)
{
	memcpy(((struct sl_img_vhost *)sl_test_bytes(&im->objs[REF_PLAIN]))->name, "shop\0", 6);
}

static void
scan_without_shard(struct sl_test_image *im)
{
	scans_of(im, REF_SHOP)[S_HEADER].base.b[0] ^= 1;
}

static void
delta_without_shard(struct sl_test_image *im)
{
	struct sl_img_scan *s = &scans_of(im, REF_SHOP)[S_HEADER];

	memset(&s->delta, 7, sizeof(s->delta));
	s->delta_cnt = 1;
}

static void
scan_counts_other_patterns(struct sl_test_image *im)
{
	scans_of(im, REF_SHOP)[S_PATH].base_cnt = 2;
}

static void
shard_not_scanned(struct sl_test_image *im)
{
	struct sl_img_scan *s = scans_of(im, REF_SHOP);

	s[S_HEADER].base = s[S_PATH].base;
}

static void
listener_of_a_service(struct sl_test_image *im)
{
	struct sl_img_listener *l =
		(void *)((struct sl_img_listeners *)sl_test_bytes(&im->objs[1]) + 1);

	l[0].ref = REF_WEB;
}

static void
l4_listener_of_a_table(struct sl_test_image *im)
{
	struct sl_img_listener *l =
		(void *)((struct sl_img_listeners *)sl_test_bytes(&im->objs[1]) + 1);

	l[2].ref = REF_TABLE;
}

/* The SHARD was changed: the scan names it by its new id, as a daemon of another host would. */
static void
name_database(struct sl_test_image *im)
{
	struct sl_obj_id old = refs_of(im)[REF_SHARDS].id, id;
	struct sl_img_scan *scan = scans_of(im, REF_SHOP);

	sl_image_id(im->objs[REF_SHARDS].bytes, im->objs[REF_SHARDS].size, &id);
	for (unsigned i = 0; i < 2; i++)
		if (memcmp(&scan[i].base, &old, sizeof(old)) == 0)
			scan[i].base = id;
	if (memcmp(&id, &refs_of(im)[REF_SHARDS + 1].id, sizeof(id)) > 0) { /* by id */
		struct sl_object o = im->objs[REF_SHARDS];
		im->objs[REF_SHARDS] = im->objs[REF_SHARDS + 1];
		im->objs[REF_SHARDS + 1] = o;
	}
}

static void
change_database(struct sl_test_image *im, unsigned word)
{
	struct sl_img_shard *s = sl_test_bytes(&im->objs[REF_SHARDS]);

	((uint32_t *)(void *)((char *)s + s->db_off))[word] ^= 0x100;
	name_database(im);
}

static void
database_of_streams(struct sl_test_image *im)
{
	hs_database_t *db = NULL;
	hs_compile_error_t *err = NULL;
	char *bytes = NULL;
	size_t n = 0;

	CU_ASSERT_FATAL(hs_compile("x", HS_FLAG_SINGLEMATCH, HS_MODE_STREAM, NULL, &db, &err) ==
				HS_SUCCESS &&
			hs_serialize_database(db, &bytes, &n) == HS_SUCCESS);
	size_t size = (sizeof(struct sl_img_shard) + n + 7) & ~(size_t)7;
	struct sl_img_shard *s = calloc(1, size);
	*s = *(const struct sl_img_shard *)im->objs[REF_SHARDS].bytes;
	s->head.size = (uint32_t)size;
	s->db_bytes = (uint32_t)n;
	memcpy(s + 1, bytes, n);
	free(sl_test_bytes(&im->objs[REF_SHARDS]));
	im->objs[REF_SHARDS] = (struct sl_object){.bytes = s, .size = size};
	free(bytes);
	hs_free_database(db);
	name_database(im);
}

static void
database_of_another_version(struct sl_test_image *im)
{
	change_database(im, 1);
}

static void
database_of_another_cpu(struct sl_test_image *im)
{
	change_database(im, 4);
}

static void
database_is_none(struct sl_test_image *im)
{
	change_database(im, 0);
}

static void
database_is_damaged(struct sl_test_image *im)
{
	change_database(im, 40);
}

static void
contradictions_are_refused_and_name_table_virtual_host_and_route(void)
{
	static const struct {
		void (*make)(struct sl_test_image *im);
		const char *says, *why;
	} rows[] = {
		{host_leads_nowhere,
		 "refs[5].hosts[2]: table \"edge\": host \"*.shop.example\" leads to virtual host "
		 "slot 7, which the root does not name",
		 "no such slot"},
		{host_leads_to_another_tables,
		 "table \"edge\": host \"*\" leads to virtual host \"plain\", which is of table "
		 "\"Edge\"",
		 "another table's"},
		{nobody_leads_to_a_vhost,
		 "refs[7]: virtual host \"plain\" of table \"edge\": no host name leads to it",
		 "unused"},
		{target_is_not_there,
		 "refs[6].routes[0]: table \"edge\", virtual host \"shop\", route \"split\": a "
		 "target is service slot 9, incarnation 1, which the root does not name",
		 "no such service"},
		{target_is_another_incarnation, "is service slot 1, incarnation 2, which the root",
		 "gone service"},
		{target_forwards_packets,
		 "virtual host \"plain\", route \"all\": a target is service \"packets\", which "
		 "has "
		 "forward \"nat\" (routes need services with forward \"proxy\")",
		 "service of packets"},
		{mirror_is_not_there, "route \"split\": a mirror is service slot 4000", "mirror"},
		{route_slot_twice,
		 "refs[7].routes[0].slot: table \"edge\", virtual host \"plain\", route \"all\": "
		 "slot "
		 "2 is that of route \"no\" of virtual host \"shop\", table \"edge\"",
		 "slot twice"},
		{vhost_name_twice,
		 "refs[7]: virtual host \"shop\" of table \"edge\" has the name of refs[6]",
		 "name"},
		{scan_without_shard,
		 "refs[6].scans[0].base: table \"edge\", virtual host \"shop\": ",
		 "base is not there"},
		{scan_without_shard, "is no SHARD that the root names", "base is not there"},
		{delta_without_shard, "refs[6].scans[0].delta: table", "delta is not there"},
		{scan_counts_other_patterns, "the SHARD has 1 patterns, the scan counts 2",
		 "patterns"},
		{shard_not_scanned, "no virtual host scans this SHARD", "unused"},
		{listener_of_a_service,
		 "listeners[0].ref: listener \"l0\": is 2, the root has 1 route tables from ref 5",
		 "mode http of a service"},
		{l4_listener_of_a_table,
		 "listeners[2].ref: listener \"l2\": is 5, the root has 3 services from ref 2",
		 "mode l4 of a table"},
		{database_of_another_version,
		 "the SHARD's Hyperscan database cannot be used here: it was made by another "
		 "version "
		 "of Hyperscan (have sluice-compile run on this host",
		 "version"},
		{database_of_another_cpu, "it was made for another CPU", "CPU"},
		{database_of_streams, "it is not of block mode", "mode"},
		{database_is_none, "its bytes are no database, or damaged", "magic"},
		{database_is_damaged, "its bytes are no database, or damaged", "sum"},
	};
	struct sl_test_conf conf = http_conf();

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_test_image im;
		struct sl_diag d = {0};
		struct sl_view *v = NULL;
		sl_test_image_build(&conf, &im);
		rows[i].make(&im);
		sl_test_image_reseal(&im);
		bool ok = sl_test_image_view(&im, &conf, &d, &v) == -EINVAL && !v &&
			  says(&d, rows[i].says);
		if (!ok) {
			printf("\n  row %u, \"%s\"", i, rows[i].says);
			print_diag(rows[i].why, &d);
		}
		CU_ASSERT(ok);
		sl_view_destroy(v);
		sl_diag_fini(&d);
		sl_test_image_free(&im);
	}
}

static void
two_tables_of_one_name_are_refused(void)
{
	static const struct sl_test_host hosts[] = {{"b.example", 1}};
	const struct sl_test_routes tables[] = {http_tables[0],
						{.name = "edge", .hosts = hosts, .host_cnt = 1}};
	struct sl_test_conf conf = http_conf();
	struct sl_test_image im;
	struct sl_diag d = {0};
	struct sl_view *v = NULL;

	conf.tables = tables;
	conf.table_cnt = 2;
	sl_test_image_build(&conf, &im);
	CU_ASSERT_EQUAL(sl_test_image_view(&im, &conf, &d, &v), -EINVAL);
	CU_ASSERT(says(&d, "refs[6]: table \"edge\" has the name of refs[5]"));
	CU_ASSERT_EQUAL(d.cnt, 1);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

/* Six segments, each literal or a capture: 64 ways to read one path. */
static void
templates_that_overlap_in_too_many_ways_are_refused(void)
{
	static struct sl_test_http_route routes[64];
	static struct sl_test_cond conds[64][2];
	static char texts[64][64];
	struct sl_test_vhost vhosts[] = {http_vhosts[0], http_vhosts[1]};
	struct sl_test_conf conf = http_conf();
	struct sl_test_image im;
	struct sl_diag d = {0};
	struct sl_view *v = NULL;

	for (unsigned i = 0; i < 64; i++) {
		for (unsigned k = 0; k < 6; k++)
			snprintf(texts[i] + strlen(texts[i]), 8, i >> k & 1 ? "/{c%u}" : "/a", k);
		conds[i][0] = (struct sl_test_cond)SL_TEST_PATH(TEMPLATE, texts[i]);
		routes[i] = (struct sl_test_http_route){
			.conds = conds[i], .targets = http_web, .target_cnt = 1};
	}
	vhosts[0].routes = routes;
	vhosts[0].route_cnt = 64;
	vhosts[1].first_slot = 64;
	conf.vhosts = vhosts;
	sl_test_image_build(&conf, &im);
	CU_ASSERT_EQUAL(sl_test_image_view(&im, &conf, &d, &v), -EINVAL);
	CU_ASSERT(says(&d, "refs[6]: table \"edge\", virtual host \"shop\": its path templates "
			   "overlap in more ways than can be looked at"));
	sl_view_destroy(v);
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

/* ---- what is made once ---- */

static void
what_was_taken_is_given_to_the_next_view_and_outlives_the_first(void)
{
	struct sl_test_conf conf = http_conf();
	struct sl_test_image im;
	struct sl_view *a = NULL, *b = NULL;
	void *made[REF_SHARDS + 2] = {0};

	sl_test_image_build(&conf, &im);
	CU_ASSERT_EQUAL_FATAL(sl_test_image_view(&im, &conf, NULL, &a), 0);
	for (unsigned i = 0; i < im.obj_cnt; i++) {
		made[i] = sl_view_take(a, i);
		CU_ASSERT_EQUAL(made[i] != NULL, i >= REF_SHOP);
		CU_ASSERT_PTR_NULL(sl_view_take(a, i)); /* once */
		im.objs[i].made = made[i];
	}
	CU_ASSERT_EQUAL_FATAL(sl_test_image_view(&im, &conf, NULL, &b), 0);
	CU_ASSERT_PTR_EQUAL(a->vhosts[0].match, b->vhosts[0].match);
	CU_ASSERT_PTR_NULL(sl_view_take(b, REF_SHOP)); /* it was given */
	sl_view_destroy(a);
	CU_ASSERT_STRING_EQUAL(route_of(b, 1, "shop.example", "/a/x.y", ""), "rest");
	sl_view_destroy(b);
	for (unsigned i = 0; i < im.obj_cnt; i++)
		sl_view_unmake(refs_of(&im)[i].kind, made[i]);
	sl_test_image_free(&im);
}

static double
ms_since(const struct timespec *from)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return 1e3 * (double)(now.tv_sec - from->tv_sec) +
	       1e-6 * (double)(now.tv_nsec - from->tv_nsec);
}

static void
ten_thousand_routes_are_checked_and_made_in_time_for_a_push(void)
{
	enum { ROUTES = 10000 };
	struct sl_test_http_route *routes = calloc(ROUTES, sizeof(*routes));
	struct sl_test_cond(*conds)[3] = calloc(ROUTES, sizeof(*conds));
	char(*texts)[2][32] = calloc(ROUTES, sizeof(*texts));
	struct sl_test_conf conf = http_conf();
	struct sl_test_vhost vhosts[] = {http_vhosts[0], http_vhosts[1]};
	struct timespec from;
	struct sl_test_image im;
	struct sl_view *v = NULL;

	for (unsigned i = 0; i < ROUTES; i++) {
		snprintf(texts[i][0], 32, "/api/v1/svc%u", i);
		snprintf(texts[i][1], 32, "u-%u", i);
		conds[i][0] = (struct sl_test_cond)SL_TEST_PATH(SEGMENTS, texts[i][0]);
		if (i % 4 == 0)
			conds[i][1] =
				(struct sl_test_cond)SL_TEST_HEADER(EXACT, "x-user", texts[i][1]);
		routes[i] = (struct sl_test_http_route){
			.conds = conds[i], .targets = http_web, .target_cnt = 1};
	}
	vhosts[0].routes = routes;
	vhosts[0].route_cnt = ROUTES;
	vhosts[1].first_slot = ROUTES;
	conf.vhosts = vhosts;
	sl_test_image_build(&conf, &im);
	clock_gettime(CLOCK_MONOTONIC, &from);
	CU_ASSERT_EQUAL(sl_image_check(im.objs[REF_SHOP].bytes, im.objs[REF_SHOP].size,
				       SL_OBJ_VHOST, NULL, "o", NULL),
			0);
	double check = ms_since(&from);
	clock_gettime(CLOCK_MONOTONIC, &from);
	CU_ASSERT_EQUAL_FATAL(sl_test_image_view(&im, &conf, NULL, &v), 0);
	double all = ms_since(&from);
	CU_ASSERT_STRING_EQUAL(route_of(v, 0, "shop.example", "/api/v1/svc9999/x", ""), "r9999");
	CU_ASSERT_STRING_EQUAL(route_of(v, 0, "shop.example", "/api/v1/svc10000/x", ""), "");
	printf("(10,000 routes: check %.1f ms, with sums and view %.1f ms) ", check, all);
	sl_view_destroy(v);
	sl_test_image_free(&im);
	free(routes);
	free(conds);
	free(texts);
}

SL_SUITE("view_http", SL_TEST(requests_find_their_route_in_the_view_of_every_worker),
	 SL_TEST(listener_of_mode_http_leads_to_a_table_and_to_no_service),
	 SL_TEST(slots_incarnations_and_the_ring_are_the_roots),
	 SL_TEST(a_scan_of_two_databases_finds_the_patterns_of_both),
	 SL_TEST(without_workers_there_is_no_scratch_and_without_tables_neither),
	 SL_TEST(contradictions_are_refused_and_name_table_virtual_host_and_route),
	 SL_TEST(two_tables_of_one_name_are_refused),
	 SL_TEST(templates_that_overlap_in_too_many_ways_are_refused),
	 SL_TEST(what_was_taken_is_given_to_the_next_view_and_outlives_the_first),
	 SL_TEST(ten_thousand_routes_are_checked_and_made_in_time_for_a_push))
