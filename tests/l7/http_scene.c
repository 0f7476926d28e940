#include "tests/l7/http_scene.h"

#include <errno.h>

#define EVENTS_SIZE (64u << 10)
#define PEER_ROOM (4u << 20)

/* ---- the table ---- */

static const struct sl_test_edit quiet[] = {
	{SL_EDIT_REMOVE, "x-forwarded-for", NULL},
	{SL_EDIT_REMOVE, "x-forwarded-proto", NULL},
	{SL_EDIT_REMOVE, "x-forwarded-host", NULL},
	{SL_EDIT_REMOVE, "x-request-id", NULL},
	{0},
};
static const struct sl_test_edit marked[] = {
	{SL_EDIT_SET, "x-r", "1"}, {SL_EDIT_REMOVE, "server", NULL}, {0}};

static const struct sl_img_target to_a[] = {{.service = SCENE_A, .incarnation = 1, .weight = 1}};
static const struct sl_img_target to_b[] = {{.service = SCENE_B, .incarnation = 1, .weight = 1}};
static const struct sl_img_target to_none[] = {
	{.service = SCENE_GONE, .incarnation = 1, .weight = 1}};
static const struct sl_img_target to_both[] = {
	{.service = SCENE_A, .incarnation = 1, .weight = 1},
	{.service = SCENE_B, .incarnation = 1, .weight = 3},
};
static const struct sl_img_mirror shadow[] = {
	{.service = SCENE_B, .incarnation = 1, .per_million = 1000000}};

/* ---- policy ---- */

static const struct sl_test_policy shared = {
	.cors = &(const struct sl_test_cors){
		.origins = (const char *const[]){"https://shop.example",
						 "https://*.shop.example:8443", NULL},
		.methods = "GET, PUT",
		.headers = "x-a, x-b",
		.expose = "x-total",
		.max_age_s = 600,
		.credentials = true,
	}};
static const struct sl_test_policy open_to_all = {
	.cors = &(const struct sl_test_cors){.origins = (const char *const[]){"*", NULL},
					     .max_age_s = UINT32_MAX}};
#define FAULT(...)                                                                                 \
	{                                                                                          \
		.fault = &(const struct sl_img_fault)                                              \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
static const struct sl_test_policy delayed =
	FAULT(.delay_ppm = 1000000, .delay_ms = 200, .max_active = 2, .counter = 7);
static const struct sl_test_policy aborted = FAULT(.abort_ppm = 1000000, .abort_status = 503);
static const struct sl_test_policy both =
	FAULT(.delay_ppm = 1000000, .delay_ms = 200, .abort_ppm = 1000000, .abort_status = 418,
	      .max_active = 1, .counter = 8);
static const struct sl_test_policy some = FAULT(.abort_ppm = 50000, .abort_status = 503);
static const struct sl_test_policy asked =
	FAULT(.delay_ppm = 1000000, .delay_ms = 300, .abort_ppm = 1000000, .by_header = 1);
static const struct sl_test_policy kept = {.sticky_cookie = "canary", .sticky_ttl_s = 3600};

#define PREFIX(path) .conds = SL_TEST_CONDS(SL_TEST_PATH(SEGMENTS, path))
#define TO(t) .targets = t, .target_cnt = SL_ARRAY_CNT(t), .edits = {quiet}

#define RATE(i, n, per, by, ...)                                                                   \
	{                                                                                          \
		.slot = i, .incarnation = 1, .tokens = n, .per_ms = per, .key = SL_RATE_##by,      \
		__VA_ARGS__                                                                        \
	}
static const struct sl_img_rate rates[] = {
	RATE(10, 3, 10000, ALL, .name = "site", .flags = SL_RATE_HEADERS),
	RATE(11, 2, 2500, HEADER, .name = "per-key", .header = "x-key", .keys = 8,
	     .flags = SL_RATE_HEADERS),
	RATE(12, 9, 1000, SOURCE, .name = "per-client", .keys = 8, .plen4 = 24, .plen6 = 64),
	RATE(13, 100, 1000, ALL, .name = "wide"),
	RATE(14, 1, 1000, IDENTITY, .name = "per-peer", .keys = 8),
};
#define TOKENS(...)                                                                                \
	.policy = &(const struct sl_test_policy)                                                   \
	{                                                                                          \
		.refs = (const struct sl_img_policy_ref[]){__VA_ARGS__},                           \
		.ref_cnt = sizeof((const struct sl_img_policy_ref[]){__VA_ARGS__}) /               \
			   sizeof(struct sl_img_policy_ref)                                        \
	}
#define ISSUER(i, required)                                                                        \
	{                                                                                          \
		.kind = SL_OBJ_JWT, .slot = SCENE_ISSUER_##i, .flags = required                    \
	}
#define SCENE_RATES(first, cnt) &rates[first], .rate_cnt = cnt

static const struct sl_test_http_route routes[] = {
	{.name = "direct",
	 PREFIX("/direct"),
	 .action = SL_ACTION_RESPOND,
	 .code = 200,
	 .body = "hello\n",
	 .content_type = "text/plain",
	 .edits = {NULL, marked}},
	{.name = "empty", PREFIX("/empty"), .action = SL_ACTION_RESPOND, .code = 204},
	{.name = "old",
	 PREFIX("/old"),
	 .action = SL_ACTION_REDIRECT,
	 .code = 301,
	 .rewrite = SL_REWRITE_PREFIX,
	 .path = "/new"},
	{.name = "secure",
	 PREFIX("/secure"),
	 .action = SL_ACTION_REDIRECT,
	 .code = 308,
	 .redirect_https = 1,
	 .strip_query = 1},
	{.name = "api",
	 PREFIX("/api"),
	 TO(to_a),
	 .rewrite = SL_REWRITE_PREFIX,
	 .path = "/v2",
	 .host = "internal.example"},
	{.name = "users",
	 .conds = SL_TEST_CONDS(SL_TEST_PATH(TEMPLATE, "/users/{id}/{rest=**}")),
	 TO(to_a),
	 .rewrite = SL_REWRITE_TEMPLATE,
	 .path = "/of/{rest}/by/{id}"},
	{.name = "edits",
	 PREFIX("/edits"),
	 .targets = to_a,
	 .target_cnt = 1,
	 .edits = {quiet, marked}},
	{.name = "plain", PREFIX("/plain"), .targets = to_a, .target_cnt = 1},
	{.name = "b", PREFIX("/b"), TO(to_b)},
	{.name = "split", PREFIX("/split"), TO(to_both)},
	{.name = "sticky",
	 PREFIX("/sticky"),
	 TO(to_both),
	 .sticky = SL_STICKY_COOKIE,
	 .sticky_name = "sid"},
	{.name = "nosvc", PREFIX("/nosvc"), TO(to_none)},
	{.name = "mirror", PREFIX("/mirror"), TO(to_a), .mirrors = shadow, .mirror_cnt = 1},
	{.name = "once", PREFIX("/once"), TO(to_a)},
	{.name = "reset", PREFIX("/reset"), TO(to_a), .retries = 1, .retry_on = SL_RETRY_RESET},
	{.name = "5xx", PREFIX("/5xx"), TO(to_a), .retries = 1, .retry_on = SL_RETRY_5XX},
	{.name = "codes",
	 PREFIX("/codes"),
	 TO(to_a),
	 .retries = 1,
	 .retry_on = SL_RETRY_CODES,
	 .retry_codes = {404, 418}},
	{.name = "gateway",
	 PREFIX("/gateway"),
	 TO(to_a),
	 .retries = 3,
	 .retry_on = SL_RETRY_GATEWAY},
	{.name = "backoff",
	 PREFIX("/backoff"),
	 TO(to_a),
	 .retries = 2,
	 .retry_on = SL_RETRY_5XX,
	 .backoff_ms = 1000,
	 .backoff_max_ms = 1000},
	{.name = "slow", PREFIX("/slow"), TO(to_a), .timeout_ms = 1000},
	{.name = "try",
	 PREFIX("/try"),
	 TO(to_a),
	 .timeout_ms = 1000,
	 .try_ms = 700,
	 .retries = 5,
	 .retry_on = SL_RETRY_TIMEOUT | SL_RETRY_RESET},
	{.name = "idle", PREFIX("/idle"), TO(to_a), .stream_idle_ms = 300},
	{.name = "hedge",
	 PREFIX("/hedge"),
	 TO(to_a),
	 .timeout_ms = 5000,
	 .retries = 1,
	 .retry_on = SL_RETRY_CONNECT | SL_RETRY_REUSED,
	 .policy = &(const struct sl_test_policy){.hedge_ms = 50, .hedge_max = 1}},
	{.name = "hedges",
	 PREFIX("/hedges"),
	 TO(to_a),
	 .try_ms = 200,
	 .retries = 1,
	 .retry_on = SL_RETRY_5XX | SL_RETRY_RESET | SL_RETRY_TIMEOUT,
	 .policy = &(const struct sl_test_policy){.hedge_ms = 50, .hedge_max = 3}},
	{.name = "cors", PREFIX("/cors"), TO(to_a), .policy = &shared},
	{.name = "cors-any", PREFIX("/cors-any"), TO(to_a), .policy = &open_to_all},
	{.name = "cors-here",
	 PREFIX("/cors-here"),
	 .action = SL_ACTION_RESPOND,
	 .code = 200,
	 .body = "hi\n",
	 .content_type = "text/plain",
	 .policy = &shared},
	{.name = "delayed", PREFIX("/delayed"), TO(to_a), .timeout_ms = 500, .policy = &delayed},
	{.name = "aborted", PREFIX("/aborted"), TO(to_a), .policy = &aborted},
	{.name = "both", PREFIX("/both"), TO(to_a), .policy = &both},
	{.name = "some", PREFIX("/some"), TO(to_a), .policy = &some},
	{.name = "asked", PREFIX("/asked"), TO(to_a), .policy = &asked},
	{.name = "aborted-here",
	 PREFIX("/aborted-here"),
	 .action = SL_ACTION_RESPOND,
	 .code = 200,
	 .policy = &both},
	{.name = "kept",
	 PREFIX("/kept"),
	 TO(to_both),
	 .sticky = SL_STICKY_COOKIE,
	 .sticky_name = "canary",
	 .policy = &kept},
	{.name = "few",
	 PREFIX("/limited/few"),
	 TO(to_a),
	 .policy = &(const struct sl_test_policy){.rates = SCENE_RATES(3, 2)}},
	{.name = "many",
	 PREFIX("/limited"),
	 TO(to_a),
	 .policy = &(const struct sl_test_policy){.rates = SCENE_RATES(0, 3)}},
	{.name = "here",
	 PREFIX("/told"),
	 .action = SL_ACTION_RESPOND,
	 .code = 200,
	 .policy = &(const struct sl_test_policy){.rates = SCENE_RATES(0, 1)}},
	/* of these the test gives the issuers: rule.issuers */
	{.name = "must", PREFIX("/token/must"), TO(to_a), TOKENS(ISSUER(ONE, 1))},
	{.name = "open", PREFIX("/token/open"), TO(to_a), TOKENS(ISSUER(ONE, 0))},
	{.name = "two", PREFIX("/token/two"), TO(to_a), TOKENS(ISSUER(ONE, 1), ISSUER(TWO, 0))},
	{.name = "places", PREFIX("/token/places"), TO(to_a), TOKENS(ISSUER(PLACES, 1))},
	{.name = "spare", PREFIX("/token/spare"), TO(to_a), TOKENS(ISSUER(PLACES, 0))},
	{.name = "any", PREFIX("/token/any"), TO(to_a), TOKENS(ISSUER(ONE, 1), ISSUER(ANY, 1))},
	{.name = "new", PREFIX("/token/new"), TO(to_a), TOKENS(ISSUER(NEW, 1))},
	{.name = "token-here",
	 PREFIX("/token/here"),
	 .action = SL_ACTION_RESPOND,
	 .code = 200,
	 TOKENS(ISSUER(ONE, 1))},
	{.name = "all", TO(to_a), .retries = 1, .retry_on = SL_RETRY_CONNECT | SL_RETRY_REUSED},
};

#define ID(op, ...)                                                                                \
	.conds = SL_TEST_CONDS(SL_TEST_PATH(SEGMENTS, "/id"),                                      \
			       SL_TEST_HEADER(op, ":identity", __VA_ARGS__)),                      \
	.action = SL_ACTION_RESPOND, .code = 200

static const struct sl_test_http_route few[] = {
	{.name = "only", PREFIX("/only"), TO(to_a)},
	{.name = "exact", ID(EXACT, "spiffe://td/ns/a/sa/b"), .body = "exact"},
	{.name = "prefix", ID(PREFIX, "spiffe://td/ns/prod/"), .body = "prefix"},
	{.name = "suffix", ID(SUFFIX, ".example"), .body = "suffix"},
	{.name = "contains", ID(CONTAINS, "/canary-"), .body = "contains"},
	{.name = "regex", ID(REGEX, "spiffe://td/.*/robot-[0-9]+"), .body = "regex"},
	{.name = "nobody", ID(PRESENT, NULL, .flags = SL_COND_INVERT), .body = "nobody"},
	{.name = "not-x", ID(EXACT, "spiffe://td/x", .flags = SL_COND_INVERT), .body = "not x"},
	{.name = "anybody", ID(PRESENT, NULL), .body = "anybody"},
};
static const struct sl_test_vhost vhosts[] = {
	{.name = "any", .routes = routes, .route_cnt = SL_ARRAY_CNT(routes), .first_slot = 100},
	{.name = "few", .routes = few, .route_cnt = SL_ARRAY_CNT(few), .first_slot = 200},
};
static const struct sl_test_host hosts[] = {{"h", 0}, {"*.example", 0}, {"few", 1}, {"*", 0}};

/* ---- what the engine asks ---- */

static bool
env_rule(void *ctx, const struct sl_tuple *tuple, struct sl_http_rule *ret)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(tuple->dport, sl_to_be16(80));
	*ret = s->rule;
	return !s->no_listener;
}

static const struct sl_img_service *
env_service(void *ctx, uint32_t slot, uint16_t incarnation)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(incarnation, 1);
	if (slot == SCENE_GONE || s->no_service)
		return NULL;
	return &s->service[slot - SCENE_A];
}

static const struct sl_img_bandwidth *
env_bandwidth(void *ctx, uint32_t slot, uint16_t incarnation)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(incarnation, 1);
	return slot == SCENE_GONE || s->no_service ? NULL : &s->bandwidth[slot - SCENE_A];
}

static bool
env_listens(void *ctx, uint32_t listener_slot, uint16_t incarnation)
{
	struct scene *s = ctx;

	CU_ASSERT(listener_slot == SCENE_LISTENER && incarnation == 9);
	return !s->no_listener;
}

static bool
env_serves(void *ctx, uint32_t endpoint_slot, uint16_t incarnation)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(incarnation, 1);
	return !s->ep[endpoint_slot].dead;
}

static void
env_result(void *ctx, uint32_t service_slot, uint32_t endpoint_slot, uint16_t incarnation,
	   enum sl_try what, uint32_t us)
{
	struct scene *s = ctx;

	CU_ASSERT(incarnation == 1 && service_slot == (endpoint_slot == 2 ? SCENE_B : SCENE_A));
	(void)us;
	s->ep[endpoint_slot].ok += what == SL_TRY_OK;
	s->ep[endpoint_slot].bad += what != SL_TRY_OK;
}

static int64_t
env_wall(void *ctx)
{
	return ((struct scene *)ctx)->wall_s;
}

static enum sl_up_verdict
env_pick(void *ctx, const struct sl_up_ask *ask, struct sl_up_target *ret)
{
	struct scene *s = ctx;
	unsigned from = ask->service_slot == SCENE_A ? 0 : 2;
	unsigned to = ask->service_slot == SCENE_A ? 2 : 3, found = SCENE_ENDPOINTS;

	s->asked_hash = ask->hash;
	s->asked_hashed = ask->hashed;
	if (ask->service_slot == SCENE_GONE || s->no_service)
		return SL_UP_NO_SERVICE;
	for (unsigned pass = 0; pass < 2 && found == SCENE_ENDPOINTS; pass++) {
		for (unsigned e = from; e < to && found == SCENE_ENDPOINTS; e++) {
			bool not_this = s->ep[e].down || s->ep[e].dead;
			for (unsigned a = 0; a < ask->avoid_cnt && pass == 0; a++)
				not_this |= ask->avoid[a] == e;
			found = not_this ? found : e;
		}
	}
	if (found == SCENE_ENDPOINTS)
		return SL_UP_NO_ENDPOINT;
	*ret = (struct sl_up_target){
		.addr = sl_addr_from_v4((uint8_t[]){10, 0, 0, (uint8_t)found}),
		.port = sl_to_be16(8000 + found),
		.incarnation = 1,
		.endpoint_slot = found,
		.sources = &s->source,
		.source_cnt = 1,
		.tcp = &s->service[from / 2].tcp,
		.http = &s->service[from / 2].http,
		.tls = s->service_tls[from / 2].is ? &s->service_tls[from / 2].says : NULL,
		.generation = s->rule.generation,
	};
	if (s->ep[found].refuses)
		fake_connect_fails(s->tcp, SL_END_NO_PORT);
	return SL_UP_READY;
}

static bool
env_lives(void *ctx, uint32_t service_slot, uint32_t endpoint_slot, uint16_t incarnation)
{
	struct scene *s = ctx;

	(void)service_slot, (void)incarnation;
	return !s->ep[endpoint_slot].dead && !s->no_service;
}

static void
env_began(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, uint32_t service_slot)
{
	struct scene *s = ctx;

	(void)service_slot, (void)incarnation;
	s->ep[endpoint_slot].conns++;
}

static void
env_ended(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, bool failed)
{
	struct scene *s = ctx;

	(void)incarnation;
	s->ep[endpoint_slot].conns--;
	s->ep[endpoint_slot].failed += failed;
}

static void
env_load(void *ctx, uint32_t endpoint_slot, int by)
{
	struct scene *s = ctx;

	s->ep[endpoint_slot].load += by;
	CU_ASSERT(s->ep[endpoint_slot].load >= 0);
}

/* ---- making it ---- */

static void *
zeroed(size_t n)
{
	void *p = aligned_alloc(SL_CACHE_LINE, (n + 63) & ~(size_t)63);

	if (!p)
		abort();
	return memset(p, 0, n);
}

static void
table_init(struct scene *s, const struct sl_img_http *http, bool any_host)
{
	struct sl_test_routes t = {
		.hosts = hosts,
		.host_cnt = SL_ARRAY_CNT(hosts) - !any_host,
		.http = {.header_ms = http->header_ms ? http->header_ms : 10000,
			 .idle_ms = http->idle_ms ? http->idle_ms : 60000,
			 .stream_idle_ms = http->stream_idle_ms ? http->stream_idle_ms : 300000,
			 .max_head = http->max_head ? http->max_head : SL_HTTP_HEAD_MAX,
			 .max_headers = http->max_headers ? http->max_headers : SL_HTTP_HEADERS_MAX,
			 .conn_requests = http->conn_requests,
			 .max_body = http->max_body,
			 .merge_slashes = 1,
			 .trusted_hops = http->trusted_hops,
			 .log = 1},
	};
	uint32_t order[SL_ARRAY_CNT(hosts)], lead[SL_ARRAY_CNT(hosts)];
	size_t most = 0;

	for (unsigned i = 0; i < 2; i++) {
		sl_test_vhost_build(&vhosts[i], &s->image[i]);
		if (sl_match_create(s->image[i].img, s->image[i].dbs, &s->match[i]))
			abort();
		most = SL_MAX(most, sl_match_bytes(s->match[i]));
		s->vhosts[i] = (struct sl_vhost){.img = s->image[i].img,
						 .match = s->match[i],
						 .slot = 20 + i,
						 .incarnation = 1};
	}
	s->scratch = sl_test_scratch(most, s->image[1].hs); /* the other has no database */
	s->routes = sl_test_routes_build(&t, order);
	for (unsigned i = 0; i < t.host_cnt; i++)
		lead[i] = hosts[order[i]].vhost;
	if (sl_hosts_create(s->routes, lead, &s->hosts))
		abort();
	s->table =
		(struct sl_table){.img = s->routes, .hosts = s->hosts, .slot = 7, .incarnation = 1};
}

static void
services_init(struct scene *s)
{
	for (unsigned i = 0; i < 2; i++) {
		s->service[i].tcp.connect_ms = 500;
		s->service[i].http = (struct sl_img_http_service){
			.max_pending = 64,
			.max_requests = 64,
			.max_retries = 3,
			.conn_idle_ms = 30000,
			.conn_idle_max = 8,
			.budget_pct = 20,
			.budget_min = 3,
		};
		s->service[i].tcp.max_connections = 64;
		s->service[i].rate_off =
			(uint32_t)((char *)s->service_rates[i] - (char *)&s->service[i]);
	}
}

static uint64_t
no_time(void *ctx)
{
	(void)ctx;
	return 1;
}

static struct sl_rates *
rates_init(struct scene *s)
{
	static const struct sl_hash_key key = {.b = {1, 2, 3}};
	struct sl_rates_shared *all;

	s->rates_mem = aligned_alloc(4096, SL_RATE_MEMORY_MIN);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->rates_mem);
	memset(s->rates_mem, 0, SL_RATE_MEMORY_MIN);
	all = sl_rates_shared_init(s->rates_mem, SL_RATE_MEMORY_MIN, &key);
	struct sl_rates *r = sl_rates_init(zeroed(sl_rates_bytes()), all, 1);
	s->shares = zeroed(sizeof(*s->shares));
	sl_rates_words(r, &(const struct sl_rate_words){s->shares, no_time, NULL, NULL});
	return r;
}

void
scene_init(struct scene *s, const struct scene_conf *conf)
{
	static const struct scene_conf usual;
	const struct scene_conf *c = conf ? conf : &usual;
	const struct fake_conf fake = {.streams = c->streams ? c->streams : 64,
				       .rcv_max = SCENE_RCV,
				       .snd_max = c->snd_max ? c->snd_max : SCENE_SND};

	memset(s, 0, sizeof(*s));
	s->tcp = fake_create(&fake);
	s->peers = calloc(SCENE_PEERS, sizeof(s->peers[0]));
	s->source = sl_addr_from_v4((uint8_t[]){10, 9, 9, 9});
	s->listener_stats = zeroed(SL_MAX_LISTENERS * sizeof(*s->listener_stats));
	s->vhost_stats = zeroed(SL_MAX_VHOSTS * sizeof(*s->vhost_stats));
	s->authz_stats = zeroed(SL_MAX_AUTHZ * sizeof(*s->authz_stats));
	s->authz_rule_stats = zeroed(SL_MAX_RULE_SLOTS * sizeof(*s->authz_rule_stats));
	s->route_stats = zeroed(SL_MAX_HTTP_ROUTES * sizeof(*s->route_stats));
	s->endpoint_stats = zeroed(SL_MAX_ENDPOINTS * sizeof(*s->endpoint_stats));
	s->listeners = zeroed(sizeof(*s->listeners));
	s->ledger = zeroed(sizeof(*s->ledger));
	s->rate_stats = zeroed(SL_MAX_RATES * sizeof(*s->rate_stats));
	s->rates = rates_init(s);
	s->events = zeroed(sl_events_bytes(1, EVENTS_SIZE));
	sl_events_init(s->events, 1, EVENTS_SIZE, 1);
	table_init(s, &c->http, c->any_host);
	services_init(s);
	s->rule = (struct sl_http_rule){
		.generation = 77,
		.listener_slot = SCENE_LISTENER,
		.listener_incarnation = 9,
		.listener_max = 32,
		.proxy_in = c->proxy_in,
		.table = &s->table,
		.vhosts = s->vhosts,
		.scratch = &s->scratch,
	};
	if (c->tls) {
		s->tls = (struct sl_img_tls_listener){.client = SL_TLS_CLIENT_OPTIONAL,
						      .handshake_ms = 7000};
		s->rule.tls = &s->tls;
	}
	const struct sl_http_conf http = {
		.conns = c->conns ? c->conns : 32,
		.exchanges = c->exchanges ? c->exchanges : 32,
		.pool = 32,
		.head_bytes = c->head_bytes ? c->head_bytes : 4u << 20,
		.seed = 42,
		.worker_cnt = 1,
		.tcp = s->tcp,
		.tls = fake_tls(s->tcp),
		.listeners = s->listeners,
		.ledger = s->ledger,
		.rates = s->rates,
		.rate_stats = s->rate_stats,
		.env = {.ctx = s,
			.rule = env_rule,
			.service = env_service,
			.listens = env_listens,
			.serves = env_serves,
			.result = env_result,
			.wall = env_wall,
			.bandwidth = env_bandwidth},
		.upstream = {s, env_pick, env_lives, env_began, env_ended, env_load},
		.stats = &s->stats,
		.listener_stats = s->listener_stats,
		.vhost_stats = s->vhost_stats,
		.authz_stats = s->authz_stats,
		.authz_rule_stats = s->authz_rule_stats,
		.route_stats = s->route_stats,
		.endpoint_stats = s->endpoint_stats,
		.events = sl_events_worker(s->events, 0),
		.events_size = EVENTS_SIZE,
	};
	s->mem = zeroed(sl_http_bytes(&http));
	s->http = sl_http_init(s->mem, &http);
}

/* ---- TLS ---- */

static char *
shown_put(char *at, const char *text, uint16_t *ret_len)
{
	size_t n = text ? strlen(text) : 0;

	if (n)
		memcpy(at, text, n);
	*ret_len = (uint16_t)n;
	return at + n;
}

void
scene_shows(struct scene *s, const struct scene_peer *p)
{
	struct sl_tls_peer *peer = (void *)s->shown;
	char *at = peer->text;

	memset(peer, 0, sizeof(*peer));
	memset(peer->hash, 0xab, sizeof(peer->hash));
	peer->verified = p->verified;
	at = shown_put(at, p->uri, &peer->uri_len);
	at = shown_put(at, p->subject, &peer->subject_len);
	at = shown_put(at, p->dns, &peer->dns_len);
	at = shown_put(at, p->sni, &peer->sni_len);
	peer->bytes = (uint16_t)(at - (char *)s->shown);
	const struct sl_tls_info info = {.version = SL_TLS_1_3,
					 .suite = SL_SUITE_CHACHA20,
					 .resumed = 1,
					 .alpn = "http/1.1",
					 .peer = peer};
	fake_tls_session(s->tcp, &info);
}

void
scene_secures(struct scene *s, unsigned service)
{
	s->service_tls[service - SCENE_A].is = true;
	s->service_tls[service - SCENE_A].says = (struct sl_img_tls_service){
		.handshake_ms = 5000, .server_name = "internal.example"};
	s->service[service - SCENE_A].tls_off = 1; /* where it stands is the image's */
}

/* ---- turns ---- */

static void
peer_reads(struct peer *p)
{
	uint32_t n;

	while (!p->hold && p->s) {
		if (p->room - p->len < 65536) {
			p->room = p->room ? 2 * p->room : 1u << 17;
			if (p->room > PEER_ROOM || !(p->got = realloc(p->got, p->room)))
				abort();
		}
		n = fake_peer_reads(p->s, p->got + p->len, p->room - p->len);
		if (n == 0)
			break;
		p->len += n;
	}
}

static struct peer *
peer_new(struct scene *s, struct sl_stream *stream, int endpoint)
{
	unsigned i = 0;

	while (i < s->peer_cnt && !s->peers[i].spare)
		i++;
	if (i == SCENE_PEERS)
		abort();
	struct peer *p = &s->peers[i];
	s->peer_cnt = SL_MAX(s->peer_cnt, i + 1);
	free(p->got);
	*p = (struct peer){.s = stream, .endpoint = endpoint};
	return p;
}

/* Who is gone is noted before its place is used again; new connections to endpoints become peers, and are answered. */
static void
look(struct scene *s)
{
	for (unsigned i = 0; i < s->peer_cnt; i++) {
		struct peer *p = &s->peers[i];
		if (!p->s)
			continue;
		p->seen = fake_seen(p->s);
		p->fin |= p->seen.shut;
		p->rst |= p->seen.aborted;
		p->hold =
			p->hold && !p->seen.let_go; /* its place may be used again: now or never */
		peer_reads(p);
		if (p->seen.let_go)
			p->s = NULL;
	}
	for (uint32_t place = 0; place < 64; place++) {
		struct sl_stream *stream = fake_stream(s->tcp, place);
		bool known = !stream || fake_target(stream)->connect_ms == 0;
		for (unsigned i = 0; i < s->peer_cnt; i++)
			known |= s->peers[i].s == stream;
		if (known)
			continue;
		int e = sl_from_be16(fake_target(stream)->port) - 8000;
		peer_new(s, stream, e);
		if (!s->ep[e].silent)
			fake_peer_answers(stream);
	}
}

static void
read_log(struct scene *s)
{
	static _Alignas(8) uint8_t buf[EVENTS_SIZE];
	long n;

	while ((n = sl_events_take(sl_events_worker(s->events, 0), EVENTS_SIZE, buf, sizeof(buf))) >
	       0) {
		memcpy(&s->log, buf, sizeof(s->log));
		size_t strings = (size_t)n - sizeof(s->log);
		memset(s->log_strings, 0, sizeof(s->log_strings));
		memcpy(s->log_strings, buf + sizeof(s->log),
		       SL_MIN(strings, sizeof(s->log_strings) - 1));
		s->logged++;
	}
	CU_ASSERT_EQUAL(n, 0);
}

const char *
scene_log_why(const struct scene *s)
{
	const struct sl_event_access *e = &s->log;
	static char why[SL_ACCESS_WHY_MAX + 1];

	CU_ASSERT_FATAL(e->why_len < sizeof(why));
	memcpy(why,
	       s->log_strings + e->method_len + e->host_len + e->path_len + e->agent_len +
		       e->id_len + e->referer_len + e->sni_len + e->identity_len,
	       e->why_len);
	why[e->why_len] = 0;
	return why;
}

bool
scene_turn(struct scene *s, uint32_t ms)
{
	/* a signature that waits does so for time, of which turns have none of their own */
	bool more = sl_http_tick(s->http) &&
		    (s->http->again != UINT32_MAX || s->http->tokens.wait == UINT32_MAX);

	look(s);
	fake_turn(s->tcp, ms);
	look(s);
	read_log(s);
	return more || !fake_quiet(s->tcp);
}

void
scene_run(struct scene *s)
{
	unsigned n = 0, still = 0;

	while (still < 3 && n++ < 10000)
		still = scene_turn(s, 0) ? 0 : still + 1;
	CU_ASSERT_FATAL(n < 10000);
}

void
scene_pass(struct scene *s, uint32_t ms)
{
	for (; ms > 20; ms -= 20)
		scene_turn(s, 20);
	scene_turn(s, ms);
	scene_run(s);
}

/* ---- peers ---- */

struct peer *
scene_client(struct scene *s)
{
	struct sl_tcp_accept accept;
	struct sl_tuple t = {
		.src = sl_addr_from_v4((uint8_t[]){192, 0, 2, 7}),
		.dst = sl_addr_from_v4((uint8_t[]){203, 0, 113, 10}),
		.sport = sl_to_be16(4321),
		.dport = sl_to_be16(80),
		.proto = SL_IPPROTO_TCP,
	};

	if (sl_http_admit(s->http, &s->rule, &t.src, &accept) != SL_ADMIT_YES)
		return NULL;
	struct sl_stream *stream = fake_accept(s->tcp, &accept, &t);
	if (!stream)
		return NULL;
	struct peer *p = peer_new(s, stream, -1);
	scene_run(s);
	return p;
}

struct peer *
scene_up(struct scene *s, int endpoint)
{
	for (unsigned i = s->peer_cnt; i--;)
		if (s->peers[i].endpoint == endpoint && !s->peers[i].spare)
			return &s->peers[i];
	return NULL;
}

unsigned
scene_ups(const struct scene *s, int endpoint)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->peer_cnt; i++)
		n += s->peers[i].endpoint == endpoint && s->peers[i].s;
	return n;
}

uint32_t
peer_says_bytes(struct scene *s, struct peer *p, const void *bytes, uint32_t n)
{
	uint32_t done = 0, k;

	while (p && p->s && done < n) {
		k = fake_peer_sends(p->s, (const char *)bytes + done, n - done);
		done += k;
		scene_run(s);
		if (k == 0)
			break;
	}
	return done;
}

void
peer_says(struct scene *s, struct peer *p, const char *text)
{
	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(peer_says_bytes(s, p, text, (uint32_t)strlen(text)), strlen(text));
}

void
peer_fin(struct scene *s, struct peer *p)
{
	if (p->s)
		fake_peer_fin(p->s);
	scene_run(s);
}

void
peer_reset(struct scene *s, struct peer *p)
{
	if (p->s)
		fake_peer_ends(p->s, SL_END_RESET);
	scene_run(s);
}

bool
peer_heard(struct peer *p, const char *text)
{
	uint32_t len = text ? (uint32_t)strlen(text) : 0;

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	bool same = p->len == len && memcmp(p->got ? p->got : "", text ? text : "", len) == 0;
	if (!same)
		printf("\n--- wanted (%u)\n%s\n--- heard (%u)\n%.*s\n---\n", len, text ? text : "",
		       p->len, (int)p->len, p->got ? p->got : "");
	p->len = 0;
	return same;
}

const char *
peer_state(const struct peer *p)
{
	return !p ? "none" : p->rst ? "reset" : !p->s ? "gone" : p->fin ? "fin" : "open";
}

bool
scene_error(struct peer *c, unsigned status, bool close)
{
	char text[256];
	const char *reason = sl_status_text(status);

	snprintf(text, sizeof(text),
		 "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s\n",
		 status, reason, strlen(reason) + 1, close ? "Connection: close\r\n" : "", reason);
	return peer_heard(c, text);
}

void
scene_answer(struct scene *s, struct peer *c, int endpoint)
{
	peer_says(s, scene_up(s, endpoint), OK2);
	HEARS(c, OK2);
}

/* ---- the end ---- */

static void
nothing_is_left(struct scene *s)
{
	int pooled = 0;

	for (unsigned e = 0; e < SCENE_ENDPOINTS; e++) {
		CU_ASSERT_EQUAL(s->ep[e].load, 0);
		pooled += s->ep[e].conns;
	}
	CU_ASSERT_EQUAL(s->stats.conns, 0);
	CU_ASSERT_EQUAL(s->stats.exchanges, 0);
	CU_ASSERT_EQUAL(sl_arena_used(s->http->arena), 0);
	CU_ASSERT_EQUAL((int)fake_live(s->tcp), pooled);
	for (unsigned svc = SCENE_A; svc <= SCENE_B; svc++) {
		CU_ASSERT_EQUAL(sl_limit_held(s->http->limits, svc, SL_LIMIT_PENDING), 0);
		CU_ASSERT_EQUAL(sl_limit_held(s->http->limits, svc, SL_LIMIT_REQUESTS), 0);
		CU_ASSERT_EQUAL(sl_limit_held(s->http->limits, svc, SL_LIMIT_RETRIES), 0);
	}
	CU_ASSERT_EQUAL(s->listeners->listener[SCENE_LISTENER], 0);
	sl_http_drop_all(s->http);
	scene_run(s);
	CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
	for (unsigned e = 0; e < SCENE_ENDPOINTS; e++)
		CU_ASSERT_EQUAL(s->ep[e].conns, 0);
	for (unsigned svc = SCENE_A; svc <= SCENE_B; svc++)
		for (unsigned way = 0; way < SL_WAYS; way++)
			CU_ASSERT_EQUAL(s->listeners->shape.service[svc].waiters[way], 0);
	sl_http_fini(s->http);
	for (unsigned svc = 0; svc < SL_MAX_SERVICES; svc++)
		for (unsigned what = 0; what < SL_LIMIT_CNT; what++)
			CU_ASSERT_EQUAL(s->ledger->service[svc].taken[what], 0);
}

void
scene_end(struct scene *s)
{
	for (unsigned i = 0; i < s->peer_cnt; i++)
		if (s->peers[i].endpoint < 0)
			peer_reset(s, &s->peers[i]);
	scene_pass(s, 20000); /* mirrors, closed ones */
	nothing_is_left(s);
	for (unsigned i = 0; i < s->peer_cnt; i++)
		free(s->peers[i].got);
	for (unsigned i = 0; i < 2; i++) {
		sl_match_destroy(s->match[i]);
		sl_test_vhost_free(&s->image[i]);
	}
	sl_hosts_destroy(s->hosts);
	sl_test_scratch_free(&s->scratch);
	fake_destroy(s->tcp);
	void *const all[] = {s->routes,
			     s->listener_stats,
			     s->vhost_stats,
			     s->authz_stats,
			     s->authz_rule_stats,
			     s->route_stats,
			     s->endpoint_stats,
			     s->listeners,
			     s->ledger,
			     s->rates_mem,
			     s->rates,
			     s->rate_stats,
			     s->events,
			     s->mem,
			     s->peers,
			     s->shares};
	for (size_t i = 0; i < SL_ARRAY_CNT(all); i++)
		free(all[i]);
}
