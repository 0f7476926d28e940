/* What the store keeps of route tables from one generation to the next: run under the address sanitizer this also says that
 * nothing is read after it went, and nothing stays. */
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/store.h"
#include "tests/dataplane/http_conf.h"

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int
memfd_of(const struct sl_object *o)
{
	int fd = memfd_create("object", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, o->bytes, o->size) != (ssize_t)o->size ||
	    fcntl(fd, F_ADD_SEALS, ALL_SEALS))
		abort();
	return fd;
}

static struct sl_store *
store_new(void)
{
	struct sl_view_ports ports = {.worker_cnt = 2, .cnt = 2, .name = {"p0", "p1"}};
	struct sl_store *s = NULL;

	CU_ASSERT_EQUAL_FATAL(sl_store_create(&ports, &s), 0);
	return s;
}

/* Offers the image: 0 with the view published, or why not. */
static int
push(struct sl_store *s, uint64_t generation, const struct sl_test_image *im, struct sl_diag *d,
     struct sl_view **ret_view)
{
	int fd = memfd_of(&im->root),
	    err = sl_store_offer_begin(s, generation, &im->root_id, fd, d);
	unsigned cnt = 0;

	close(fd);
	const uint32_t *wanted = sl_store_offer_wanted(s, &cnt);
	for (unsigned i = 0; i < cnt && !err; i++) {
		fd = memfd_of(&im->objs[wanted[i]]);
		err = sl_store_offer_object(s, wanted[i], fd, d);
		close(fd);
	}
	if (!err)
		err = sl_store_offer_complete(s, d, ret_view);
	if (!err)
		sl_store_published(s, *ret_view);
	return err;
}

/* "plain" is another one here, "shop" is not. */
static struct sl_test_conf
changed_conf(const struct sl_test_vhost vhosts[2])
{
	struct sl_test_conf c = http_conf();

	c.vhosts = vhosts;
	return c;
}

static const struct sl_test_http_route two_plain[] = {
	{.name = "all", .targets = http_web, .target_cnt = 1}, {.name = "never", .code = 404}};
static const struct sl_test_vhost changed[] = {
	{.name = "shop", .table = "edge", .routes = http_routes, .route_cnt = 4},
	{.name = "plain", .table = "edge", .routes = two_plain, .route_cnt = 2, .first_slot = 10},
};

/* Scans a database: "/a/x.y" leads to route "rest". */
static bool
scans(const struct sl_view *v)
{
	static const char text[] = "GET /a/x.y HTTP/1.1\r\nHost: a\r\n\r\n";
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	struct sl_http_head head;
	struct sl_match_result m;
	enum sl_http_bad why;

	if (sl_http_request((const void *)text, sizeof(text) - 1, 0, &limits, &head, &why) <= 0)
		return false;
	struct sl_match_input in = {
		.head = &head, .path = head.bytes + head.path, .path_len = head.path_len};
	return sl_match_find(v->vhosts[0].match, &in, &v->scratch[0], &m) == R_REST && m.scanned;
}

static void
generations_share_the_match_of_a_virtual_host_that_did_not_change(void)
{
	struct sl_store *s = store_new();
	struct sl_test_conf conf = http_conf(), conf2 = changed_conf(changed);
	struct sl_test_image im, im2;
	struct sl_view *a = NULL, *b = NULL;

	sl_test_image_build(&conf, &im);
	sl_test_image_build(&conf2, &im2);
	CU_ASSERT_EQUAL_FATAL(push(s, 1, &im, NULL, &a), 0);
	CU_ASSERT_EQUAL_FATAL(push(s, 2, &im2, NULL, &b), 0);
	CU_ASSERT_PTR_EQUAL(a->vhosts[0].match, b->vhosts[0].match);
	CU_ASSERT_PTR_NOT_EQUAL(a->vhosts[1].match, b->vhosts[1].match);
	CU_ASSERT(scans(a) && scans(b));
	CU_ASSERT_EQUAL(sl_store_release(s, a), 0);
	CU_ASSERT(scans(b));
	CU_ASSERT_EQUAL_FATAL(push(s, 3, &im, NULL, &a), 0);
	CU_ASSERT_EQUAL(sl_store_release(s, b), 0);
	CU_ASSERT(scans(a));
	CU_ASSERT_PTR_NULL(sl_test_view_walk(a));
	sl_store_destroy(s);
	sl_test_image_free(&im);
	sl_test_image_free(&im2);
}

static void
what_was_made_goes_with_the_last_generation_that_names_it(void)
{
	struct sl_store *s = store_new();
	struct sl_test_conf conf = http_conf(), none = http_conf();
	struct sl_test_image im, im_none;
	struct sl_view *a = NULL, *b = NULL;
	struct sl_store_usage u;

	none.table_cnt = none.vhost_cnt = 0;
	none.listeners = NULL;
	sl_test_image_build(&conf, &im);
	sl_test_image_build(&none, &im_none);
	CU_ASSERT_EQUAL_FATAL(push(s, 1, &im, NULL, &a), 0);
	CU_ASSERT_EQUAL_FATAL(push(s, 2, &im_none, NULL, &b), 0);
	CU_ASSERT(scans(a));
	CU_ASSERT_EQUAL(sl_store_release(s, a), 0);
	sl_store_usage(s, &u);
	CU_ASSERT_EQUAL(u.objects, im_none.obj_cnt + 1);
	/* And it is made anew. */
	CU_ASSERT_EQUAL_FATAL(push(s, 3, &im, NULL, &a), 0);
	CU_ASSERT(scans(a));
	sl_store_destroy(s);
	sl_test_image_free(&im);
	sl_test_image_free(&im_none);
}

/* An offer that holds the virtual host, but not its shards, when the only generation with both goes: the match stays whole until the
 * host goes. */
static void
a_match_keeps_the_databases_it_was_made_with(void)
{
	struct sl_store *s = store_new();
	struct sl_test_conf conf = http_conf(), none = http_conf();
	struct sl_test_image im, im_none, lacks;
	struct sl_view *a = NULL, *b = NULL, *c = NULL;
	struct sl_store_usage u;
	struct sl_diag d = {0};

	none.table_cnt = none.vhost_cnt = 0;
	none.listeners = NULL;
	sl_test_image_build(&conf, &im);
	sl_test_image_build(&conf, &lacks);
	sl_test_image_build(&none, &im_none);
	struct sl_img_root *root = sl_test_bytes(&lacks.root);
	root->ref_cnt = REF_SHARDS;
	memset((char *)root + root->ref_off + REF_SHARDS * sizeof(struct sl_img_ref), 0,
	       2 * sizeof(struct sl_img_ref));
	sl_image_id(root, lacks.root.size, &lacks.root_id);

	CU_ASSERT_EQUAL_FATAL(push(s, 1, &im, NULL, &a), 0);
	CU_ASSERT_EQUAL_FATAL(push(s, 2, &im_none, NULL, &b), 0);
	int fd = memfd_of(&lacks.root);
	CU_ASSERT_EQUAL_FATAL(sl_store_offer_begin(s, 3, &lacks.root_id, fd, &d), 0);
	close(fd);
	CU_ASSERT_EQUAL(sl_store_offer_missing(s), 0);
	CU_ASSERT_EQUAL(sl_store_release(s, a), 0);
	/* The offer's own: root, listeners, table, two virtual hosts; and the shards, which it does not name. */
	sl_store_usage(s, &u);
	CU_ASSERT_EQUAL(u.objects, im_none.obj_cnt + 1 + 5 + 2);
	CU_ASSERT_EQUAL(sl_store_offer_complete(s, &d, &c), -EINVAL);
	CU_ASSERT(d.cnt >= 2);
	sl_diag_fini(&d);
	sl_store_usage(s, &u);
	CU_ASSERT_EQUAL(u.objects, im_none.obj_cnt + 1);
	sl_store_destroy(s);
	sl_test_image_free(&im);
	sl_test_image_free(&im_none);
	sl_test_image_free(&lacks);
}

static void
a_refused_generation_leaves_nothing_behind(void)
{
	struct sl_store *s = store_new();
	struct sl_test_conf conf = http_conf();
	struct sl_test_image im;
	struct sl_view *v = NULL;
	struct sl_store_usage u;
	struct sl_diag d = {0};

	sl_test_image_build(&conf, &im);
	struct sl_img_shard *shard = sl_test_bytes(&im.objs[REF_SHARDS]);
	shard->pattern_cnt = 3; /* its id changes, so the scan's SHARD is not there either */
	sl_test_image_reseal(&im);
	struct sl_img_root *root = sl_test_bytes(&im.root);
	struct sl_img_ref *r = (void *)((char *)root + root->ref_off);
	if (memcmp(&r[REF_SHARDS].id, &r[REF_SHARDS + 1].id, sizeof(r->id)) > 0) {
		struct sl_object o = im.objs[REF_SHARDS];
		im.objs[REF_SHARDS] = im.objs[REF_SHARDS + 1];
		im.objs[REF_SHARDS + 1] = o;
		sl_test_image_reseal(&im);
	}
	CU_ASSERT_EQUAL(push(s, 1, &im, &d, &v), -EINVAL);
	CU_ASSERT(d.cnt > 0);
	sl_diag_fini(&d);
	sl_store_usage(s, &u);
	CU_ASSERT_EQUAL(u.objects, 0);
	sl_store_destroy(s);
	sl_test_image_free(&im);
}

/* ---- time ---- */

enum { MANY = 10000 };

struct many {
	struct sl_test_http_route route[MANY];
	struct sl_test_cond cond[MANY][3];
	char path[MANY][32], user[MANY][32];
	struct sl_test_vhost vhost[2];
};

/* Prefixes, each tenth with a regex on a header besides; ten routes have another path when `other`. */
static struct many *
many_new(bool other)
{
	struct many *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(m->path[i], 32, "/api/%s/svc%u", other && i % 1000 == 7 ? "v2" : "v1", i);
		snprintf(m->user[i], 32, "u-%u-[a-z]+", i);
		m->cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(SEGMENTS, m->path[i]);
		if (i % 10 == 0)
			m->cond[i][1] =
				(struct sl_test_cond)SL_TEST_HEADER(REGEX, "x-user", m->user[i]);
		m->route[i] = (struct sl_test_http_route){
			.conds = m->cond[i], .targets = http_web, .target_cnt = 1};
	}
	m->vhost[0] = (struct sl_test_vhost){
		.name = "shop", .table = "edge", .routes = m->route, .route_cnt = MANY};
	m->vhost[1] = http_vhosts[1];
	m->vhost[1].first_slot = MANY;
	return m;
}

static void
a_push_of_ten_among_ten_thousand_routes_takes_the_database_that_is_there(void)
{
	struct sl_store *s = store_new();
	struct many *m[2] = {many_new(false), many_new(true)};
	struct sl_test_image im[2];
	struct sl_view *v[2] = {NULL};
	struct timespec from, to;

	for (unsigned i = 0; i < 2; i++) {
		struct sl_test_conf conf = changed_conf(m[i]->vhost);
		sl_test_image_build(&conf, &im[i]);
	}
	CU_ASSERT_EQUAL_FATAL(push(s, 1, &im[0], NULL, &v[0]), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	CU_ASSERT_EQUAL_FATAL(push(s, 2, &im[1], NULL, &v[1]), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	printf("(%.1f ms of CPU) ", 1e3 * (double)(to.tv_sec - from.tv_sec) +
					    1e-6 * (double)(to.tv_nsec - from.tv_nsec));
	CU_ASSERT_PTR_NOT_EQUAL(v[0]->vhosts[0].match, v[1]->vhosts[0].match);
	CU_ASSERT_EQUAL(sl_store_release(s, v[0]), 0);
	CU_ASSERT_PTR_NULL(sl_test_view_walk(v[1]));
	sl_store_destroy(s);
	for (unsigned i = 0; i < 2; i++) {
		sl_test_image_free(&im[i]);
		free(m[i]);
	}
}

SL_SUITE("store_http", SL_TEST(generations_share_the_match_of_a_virtual_host_that_did_not_change),
	 SL_TEST(what_was_made_goes_with_the_last_generation_that_names_it),
	 SL_TEST(a_match_keeps_the_databases_it_was_made_with),
	 SL_TEST(a_refused_generation_leaves_nothing_behind),
	 SL_TEST(a_push_of_ten_among_ten_thousand_routes_takes_the_database_that_is_there))
