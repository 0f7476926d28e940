/* route_image — VHOST, ROUTES and SHARD objects from a few C arrays, for tests and benchmarks.
 *
 *   const struct sl_test_http_route routes[] = {          (or static, at file level)
 *           {.name = "canary", .conds = SL_TEST_CONDS(SL_TEST_PATH(SEGMENTS, "/api"), SL_TEST_HEADER(PREFIX, "x-env", "canary-"))},
 *           {.name = "old", .conds = SL_TEST_CONDS(SL_TEST_PATH(REGEX, "/v[0-9]+/.*"))},
 *           {.name = "rest"},
 *   };
 *   struct sl_test_vhost_image v;
 *   sl_test_vhost_build(&(struct sl_test_vhost){.routes = routes, .route_cnt = 3}, &v);
 *   sl_match_create(v.img, v.dbs, &match);          … v.hs is the scratch of its databases …
 *   sl_test_vhost_free(&v);
 *
 * Equal conditions become one; regexes and substrings of one field and name become one scan, its databases are compiled
 * here as image_http.h says (SHARD).  Anything that is 0 or NULL is filled in as said below.
 * What cannot be built ends the process with a message: it is the test that is wrong.
 */
#ifndef SL_TESTS_ROUTE_IMAGE_H
#define SL_TESTS_ROUTE_IMAGE_H

#include "l7/match.h"

struct sl_test_cond {
	uint8_t field, op, flags; /* field 0 ends a list */
	const char *name;
	const char *value; /* ICASE: lower case, regexes aside */
	int64_t lo, hi;
};
#define SL_TEST_CONDS(...) ((const struct sl_test_cond[]){__VA_ARGS__, {0}})
#define SL_TEST_COND_(f, o, ...)                                                                   \
	{                                                                                          \
		.field = SL_FIELD_##f, .op = SL_COND_##o, __VA_ARGS__                              \
	}
/* Further members may follow: SL_TEST_HEADER(EXACT, "x-env", "prod", .flags = SL_COND_INVERT). */
#define SL_TEST_PATH(o, ...) SL_TEST_COND_(PATH, o, .value = __VA_ARGS__)
#define SL_TEST_HEADER(o, n, ...) SL_TEST_COND_(HEADER, o, .name = n, .value = __VA_ARGS__)
#define SL_TEST_QUERY(o, n, ...) SL_TEST_COND_(QUERY, o, .name = n, .value = __VA_ARGS__)
#define SL_TEST_COOKIE(o, n, ...) SL_TEST_COND_(COOKIE, o, .name = n, .value = __VA_ARGS__)
#define SL_TEST_METHODS(bits) SL_TEST_COND_(METHOD, IN, .lo = (bits))

struct sl_test_edit {
	uint32_t op; /* 0 ends a list */
	const char *name, *value;
};

struct sl_test_cors {
	const char *const *origins; /* to NULL */
	const char *methods, *headers, *expose;
	uint32_t max_age_s; /* UINT32_MAX: not sent */
	bool credentials;
};

/* A route's row of policy. */
struct sl_test_policy {
	const struct sl_test_cors *cors;  /* NULL: none */
	const struct sl_img_fault *fault; /* likewise */
	uint32_t hedge_ms, hedge_max;
	const char *sticky_cookie;
	uint32_t sticky_ttl_s;
	const struct sl_img_rate *rates; /* [rate_cnt] */
	uint32_t rate_cnt;
	const struct sl_img_policy_ref *refs; /* [ref_cnt]; incarnation 0: 1 */
	uint32_t ref_cnt;
};

struct sl_test_http_route {
	const char *name;                 /* NULL: "r0", "r1" … in order */
	const struct sl_test_cond *conds; /* NULL: none */
	uint8_t action;                   /* 0: FORWARD with targets, else RESPOND */
	const struct sl_img_target *targets;
	uint32_t target_cnt; /* weights of 0 all: each 1; incarnation 0: 1 */
	const struct sl_img_mirror *mirrors;
	uint32_t mirror_cnt;
	const struct sl_test_edit *edits[2]; /* of the request, of the answer */
	uint8_t rewrite, sticky, retries, redirect_https, strip_query;
	uint16_t code; /* 0: REDIRECT 302, RESPOND 204 */
	uint16_t retry_on, redirect_port;
	uint16_t retry_codes[SL_RETRY_CODES_MAX];
	uint32_t timeout_ms, try_ms, stream_idle_ms, backoff_ms, backoff_max_ms;
	const char *sticky_name, *host, *path, *body, *content_type;
	const struct sl_test_policy *policy; /* NULL: none */
	uint32_t slot;                       /* 0: the vhost's first_slot + its place */
	uint32_t incarnation;                /* 0: 1 */
};

struct sl_test_vhost {
	const char *name, *table; /* NULL: "vhost", "table" */
	const struct sl_test_http_route *routes;
	uint32_t route_cnt;
	uint32_t first_slot;
	unsigned delta_every; /* n: each n-th pattern of a scan goes into its delta; 0: none does */
};

struct sl_test_shard {
	struct sl_img_shard *img;
	struct sl_obj_id id;
	struct hs_database *db;
};

struct sl_test_vhost_image {
	struct sl_img_vhost *img;
	struct sl_test_shard *shards; /* of the scans, base before delta; may hold one twice */
	unsigned shard_cnt;
	struct sl_match_dbs *dbs; /* [scan_cnt] */
	struct hs_scratch *hs;    /* NULL: no database */
};

void sl_test_vhost_build(const struct sl_test_vhost *v, struct sl_test_vhost_image *ret_image);
void sl_test_vhost_free(struct sl_test_vhost_image *image);

/* sl_test_scratch: working memory for the matches, of which the largest needs `bytes`. */
struct sl_match_scratch sl_test_scratch(size_t bytes, struct hs_scratch *hs);
void sl_test_scratch_free(struct sl_match_scratch *s);

/* "shop.example", "*.shop.example", "shop.*", "*" → vhost, a slot. */
struct sl_test_host {
	const char *match;
	uint32_t vhost;
};

struct sl_test_routes {
	const char *name; /* NULL: "table" */
	const struct sl_test_host *hosts;
	uint32_t host_cnt;
	struct sl_img_http http; /* header_ms 0: what design.md section 10 says, except `log` */
};

/* Hosts are sorted here: *ret_hosts_order[i] (may be NULL) is the place in hosts of the image's i-th.  The caller frees. */
struct sl_img_routes *sl_test_routes_build(const struct sl_test_routes *t,
					   uint32_t *ret_hosts_order);

#endif
