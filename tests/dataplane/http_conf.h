/* http_conf — a small configuration with a route table that uses every kind of record, for tests of objects and views. */
#ifndef SL_TESTS_HTTP_CONF_H
#define SL_TESTS_HTTP_CONF_H

#include "tests/dataplane/image_build.h"

static const struct sl_test_endpoint http_eps[] = {{.addr = "10.0.0.11:80"},
						   {.addr = "10.0.0.12:80", .weight = 3}};
static const struct sl_test_endpoint http_eps_nat[] = {{.addr = "10.0.0.13:80"}};
static const struct sl_test_address http_addresses[] = {{"p0", "10.0.0.1/24"}, {0}};

enum { HTTP_WEB, HTTP_CANARY, HTTP_NAT }; /* services by slot */
static const struct sl_test_service http_services[] = {
	{.name = "web",
	 .endpoints = http_eps,
	 .endpoint_cnt = 2,
	 .forward = SL_FORWARD_PROXY,
	 .policy = SL_POLICY_LEAST_REQUEST},
	{.name = "canary",
	 .endpoints = (const struct sl_test_endpoint[]){{.addr = "10.0.0.14:80"},
							{.addr = "10.0.0.15:80"}},
	 .endpoint_cnt = 2,
	 .forward = SL_FORWARD_PROXY,
	 .policy = SL_POLICY_RING_HASH,
	 .http = {.conn_idle_ms = 1000,
		  .eject_ms = 1,
		  .eject_max_ms = 1,
		  .sweep_ms = 10,
		  .eject_max_pct = 1,
		  .hash_on = SL_HASH_ON_HEADER,
		  .hash_name = "x-user"}},
	{.name = "packets", .endpoints = http_eps_nat, .endpoint_cnt = 1},
	{0}};

static const struct sl_img_target http_split[] = {{.service = HTTP_WEB, .weight = 90},
						  {.service = HTTP_CANARY, .weight = 10}};
static const struct sl_img_target http_web[] = {{.service = HTTP_WEB, .weight = 1}};
static const struct sl_img_mirror http_mirror[] = {
	{.service = HTTP_CANARY, .incarnation = 1, .per_million = 105000}};

/* Routes, conditions (C_…), scans and edits of the first virtual host, in the order they come to stand in. */
enum { R_SPLIT, R_OLD, R_NO, R_REST };
enum {
	C_TEMPLATE,
	C_PREFIX,
	C_REGEX,
	C_IN,
	C_RANGE,
	C_SEGMENTS,
	C_EXACT,
	C_QUERY,
	C_COOKIE,
	C_CONTAINS
};
enum { S_HEADER, S_PATH };
enum { E_SET, E_REMOVE, E_ADD };
static const struct sl_test_http_route http_routes[] = {
	[R_SPLIT] = {.name = "split",
		     .conds =
			     (const struct sl_test_cond[]){
				     SL_TEST_PATH(TEMPLATE, "/users/{id}/{rest=**}"),
				     SL_TEST_HEADER(PREFIX, "x-env", "can"),
				     SL_TEST_HEADER(REGEX, "x-env", "c[a-z]+",
						    .flags = SL_COND_INVERT),
				     SL_TEST_METHODS(1 << SL_METHOD_GET | 1 << SL_METHOD_OTHER),
				     SL_TEST_HEADER(RANGE, "x-n", NULL, .lo = -1, .hi = 11),
				     {0}},
		     .targets = http_split,
		     .target_cnt = 2,
		     .mirrors = http_mirror,
		     .mirror_cnt = 1,
		     .edits = {(const struct sl_test_edit[]){{SL_EDIT_SET, "X-A", "b c"},
							     {SL_EDIT_REMOVE, "x-e", NULL},
							     {0}},
			       (const struct sl_test_edit[]){{SL_EDIT_ADD, "x-c", "d"}, {0}}},
		     .sticky = SL_STICKY_COOKIE,
		     .sticky_name = "sid",
		     .rewrite = SL_REWRITE_TEMPLATE,
		     .path = "/v2/{id}.x",
		     .host = "internal.example:8080",
		     .retries = 2,
		     .retry_on = SL_RETRY_CONNECT | SL_RETRY_CODES,
		     .retry_codes = {503, 0, 429},
		     .backoff_ms = 25,
		     .backoff_max_ms = 250,
		     .timeout_ms = 15000,
		     .try_ms = 1000},
	[R_OLD] = {.name = "old",
		   .conds = (const struct sl_test_cond[]){SL_TEST_PATH(SEGMENTS, "/old"), {0}},
		   .action = SL_ACTION_REDIRECT,
		   .code = 308,
		   .rewrite = SL_REWRITE_PREFIX,
		   .path = "/new",
		   .host = "shop.example",
		   .redirect_https = 1,
		   .redirect_port = 8443,
		   .strip_query = 1},
	[R_NO] = {.name = "no",
		  .conds = (const struct sl_test_cond[]){SL_TEST_PATH(EXACT, "/no",
								      .flags = SL_COND_ICASE),
							 SL_TEST_QUERY(EXACT, "v", "2"),
							 SL_TEST_COOKIE(PRESENT, "sid", NULL),
							 {0}},
		  .action = SL_ACTION_RESPOND,
		  .code = 403,
		  .body = "no\n",
		  .content_type = "text/plain"},
	[R_REST] = {.name = "rest",
		    .conds = (const struct sl_test_cond[]){SL_TEST_PATH(CONTAINS, "x.y"), {0}},
		    .targets = http_web,
		    .target_cnt = 1},
};
static const struct sl_test_http_route http_plain[] = {
	{.name = "all", .targets = http_web, .target_cnt = 1}};

static const struct sl_test_vhost http_vhosts[] = {
	{.name = "shop", .table = "edge", .routes = http_routes, .route_cnt = 4},
	{.name = "plain", .table = "edge", .routes = http_plain, .route_cnt = 1, .first_slot = 10},
};
/* In the order they come to stand in. */
enum { H_V6, H_EXACT, H_SUFFIX, H_PREFIX, H_ANY };
static const struct sl_test_host http_hosts[] = {
	{"shop.example", 0}, {"[2001:db8::1]", 1}, {"*.shop.example", 0}, {"shop.*", 0}, {"*", 1}};
static const struct sl_test_routes http_tables[] = {
	{.name = "edge", .hosts = http_hosts, .host_cnt = 5}};
static const struct sl_test_listener http_listeners[] = {
	{.addr = "203.0.113.10:80",
	 .table = "edge",
	 .max_connections = 9,
	 .trusted = {"10.0.0.0/8"}},
	{.addr = "203.0.113.10:81", .service = "web"},
	{.addr = "203.0.113.10:82", .service = "packets"},
	{0}};

/* Refs by index. */
enum { REF_WEB = 2, REF_CANARY, REF_NAT, REF_TABLE, REF_SHOP, REF_PLAIN, REF_SHARDS };

static inline struct sl_test_conf
http_conf(void)
{
	return (struct sl_test_conf){
		.addresses = http_addresses,
		.services = http_services,
		.listeners = http_listeners,
		.tables = http_tables,
		.table_cnt = 1,
		.vhosts = http_vhosts,
		.vhost_cnt = 2,
		.worker_cnt = 2,
	};
}

#endif
