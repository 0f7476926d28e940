/* What a head leads to: told by sl_http_explain, and asked of the pool by the request itself. */
#include "sluice/ctl.h"
#include "tests/l7/http_scene.h"

enum { ALL = 45, SOME = 99 }; /* the last route of the scene's table; a service by chance */

static const struct explained {
	const char *why, *say;
	unsigned status;
	uint32_t flags, vhost, route, service;
	const char *path, *text;
} rows[] = {
	{"forwarded", GET("/x?y"), 0, 0, 20, ALL, SCENE_A, "/x", "/x"},
	{"the path in its normal form", GET("/%61/../b2"), 0, 0, 20, ALL, SCENE_A, "/b2", "/b2"},
	{"rewritten", GET("/api/x"), 0, 0, 20, 4, SCENE_A, "/api/x", "/v2/x"},
	{"another service", GET("/b/x"), 0, 0, 20, 8, SCENE_B, "/b/x", "/b/x"},
	{"another virtual host", "GET /only HTTP/1.1\r\nHost: few\r\n\r\n", 0, 0, 21, 0, SCENE_A,
	 "/only", "/only"},
	{"a redirect", GET("/old/x?y"), 301, 0, 20, 2, UINT32_MAX, "/old/x", "http://h/new/x?y"},
	{"a CORS preflight",
	 "OPTIONS /cors HTTP/1.1\r\nHost: h\r\nOrigin: https://shop.example\r\n"
	 "Access-Control-Request-Method: PUT\r\n\r\n",
	 204, 0, 20, 24, UINT32_MAX, "/cors",
	 "a CORS preflight of an origin that is allowed: cors/preflight"},
	{"a fault of all requests", GET("/aborted"), 503, SL_RF_FI, 20, 28, UINT32_MAX, "/aborted",
	 "fault injected: fault/abort"},
	{"of some, as it may be", GET("/some"), 0, 0, 20, 30, SCENE_A, "/some", "/some"},
	{"a direct answer", GET("/direct"), 200, 0, 20, 0, UINT32_MAX, "/direct", ""},
	{"one of two services", GET("/split"), 0, 0, 20, 9, SOME, "/split", "/split"},
	{"within its limits", GET("/told"), 200, 0, 20, 36, UINT32_MAX, "/told", ""},
	{"no host", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, SL_RF_NR, UINT32_MAX, UINT32_MAX,
	 UINT32_MAX, "/", "no virtual host has the name"},
	{"no route", "GET / HTTP/1.1\r\nHost: few\r\n\r\n", 404, SL_RF_NR, 21, UINT32_MAX,
	 UINT32_MAX, "/", "no route matches"},
	{"no service", GET("/nosvc"), 503, SL_RF_NC, 20, 11, SCENE_GONE, "/nosvc",
	 "the service is not in the table"},
	{"CONNECT", "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405, SL_RF_NR, UINT32_MAX,
	 UINT32_MAX, UINT32_MAX, "", "CONNECT is not offered"},
	{"a path above the root", GET("/../x"), 400, SL_RF_DPE, UINT32_MAX, UINT32_MAX, UINT32_MAX,
	 "/../x", "the path has no normal form"},
	{"no request", "what\r\n\r\n", 400, SL_RF_DPE, UINT32_MAX, UINT32_MAX, UINT32_MAX, "",
	 "request or status line is not one"},
	{"half a request", "GET / HTTP/1.1\r\n", 400, SL_RF_DPE, UINT32_MAX, UINT32_MAX, UINT32_MAX,
	 "", "the request head is not whole"},
};

static void
explanations_say_what_requests_would_do(void)
{
	const struct sl_tuple client = {.src = sl_addr_from_v4((uint8_t[]){192, 0, 2, 7}),
					.dport = sl_to_be16(80)};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct explained *r = &rows[i];
		char text[SL_CTL_TEXT_MAX + 1] = {0};
		uint8_t path[SL_CTL_REQUEST_MAX / 2 + 1] = {0};
		struct sl_ctl_explained_http e = {0};
		struct sl_up_ask ask;
		struct scene s;

		scene_init(&s, NULL);
		size_t len = strlen(r->say);
		uint8_t *say = guard_buf(len);
		memcpy(say, r->say, len);
		const struct sl_stats_http before = s.stats;
		uint64_t random[2] = {s.http->random[0], s.http->random[1]};
		sl_http_explain(s.http, &s.rule, &client, say, (uint32_t)len, &e, text, path, &ask);
		bool ok = e.status == r->status && e.flags == r->flags &&
			  e.vhost_slot == r->vhost && e.route == r->route &&
			  (r->service == SOME || e.service_slot == r->service) &&
			  e.generation == 77 && e.table_slot == 7 &&
			  e.listener_slot == SCENE_LISTENER && strcmp((char *)path, r->path) == 0 &&
			  e.path_len == strlen(r->path) && strcmp(text, r->text) == 0 &&
			  e.text_len == strlen(r->text) &&
			  (e.status || ask.service_slot == e.service_slot);
		if (!ok)
			printf("\n%s: %u flags %x vhost %u route %u service %u path %s text %s",
			       r->why, e.status, e.flags, e.vhost_slot, e.route, e.service_slot,
			       path, text);
		CU_ASSERT(ok);
		CU_ASSERT(memcmp(&before, &s.stats, sizeof(before)) == 0 &&
			  s.http->random[0] == random[0] && s.http->random[1] == random[1]);
		guard_free(say, len);
		scene_end(&s);
	}
}

/* ---- what a service hashes on ---- */

static const struct hashed {
	uint8_t on;
	const char *name, *one, *same, *other, *none;
} hashes[] = {
	{SL_HASH_ON_HEADER, "x-user", "GET /x HTTP/1.1\r\nHost: h\r\nX-User: a\r\n\r\n",
	 "PUT /y HTTP/1.1\r\nHost: h\r\nx-user:a \r\n\r\n",
	 "GET /x HTTP/1.1\r\nHost: h\r\nX-User: b\r\n\r\n", GET("/x")},
	{SL_HASH_ON_COOKIE, "sid", "GET /x HTTP/1.1\r\nHost: h\r\nCookie: a=b; sid=1\r\n\r\n",
	 "GET /x HTTP/1.1\r\nHost: h\r\nCookie: sid=1; c=d\r\n\r\n",
	 "GET /x HTTP/1.1\r\nHost: h\r\nCookie: sid=2\r\n\r\n",
	 "GET /x HTTP/1.1\r\nHost: h\r\nCookie: sidx=1\r\n\r\n"},
	{SL_HASH_ON_QUERY, "k", GET("/x?k=a%62"), GET("/y?j=1&k=ab"), GET("/x?k=aB"),
	 GET("/x?kk=ab")},
	{SL_HASH_ON_SOURCE, "", GET("/x"), GET("/y?z"), NULL, NULL},
};

/* The hash a request asks an endpoint by; false: by none. */
static bool
hash_of(struct scene *s, struct peer *c, const char *request, uint64_t *ret)
{
	peer_says(s, c, request);
	*ret = s->asked_hash;
	scene_answer(s, c, 0);
	return s->asked_hashed;
}

static void
requests_are_hashed_on_what_the_service_says(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(hashes); i++) {
		const struct hashed *r = &hashes[i];
		uint64_t one, same, other;
		struct scene s;

		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		s.service[0].http.hash_on = r->on;
		snprintf(s.service[0].http.hash_name, SL_NAME_MAX, "%s", r->name);
		CU_ASSERT(hash_of(&s, c, r->one, &one) && hash_of(&s, c, r->same, &same) &&
			  one == same);
		CU_ASSERT(!r->other || (hash_of(&s, c, r->other, &other) && one != other));
		CU_ASSERT(!r->none || !hash_of(&s, c, r->none, &other));
		scene_end(&s);
	}
}

/* Asking takes nothing; and it says which limit would refuse. */
static void
limits_are_asked_without_taking(void)
{
	const struct sl_tuple client = {.src = sl_addr_from_v4((uint8_t[]){192, 0, 2, 7}),
					.dport = sl_to_be16(80)};
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 12; i++) {
		char text[SL_CTL_TEXT_MAX + 1] = {0};
		uint8_t path[SL_CTL_REQUEST_MAX / 2 + 1] = {0};
		struct sl_ctl_explained_http e = {0};
		struct sl_up_ask ask;
		if (i % 3 == 2) {
			peer_says(&s, c, GET("/told"));
			c->len = 0;
		}
		const uint8_t *say = (const uint8_t *)GET("/told");
		sl_http_explain(s.http, &s.rule, &client, say, strlen(GET("/told")), &e, text, path,
				&ask);
		CU_ASSERT_EQUAL(e.status, i < 8 ? 200 : 429);
		CU_ASSERT_STRING_EQUAL(text, i < 8 ? "" : "rate limited: limits/site");
	}
	scene_end(&s);
}

/* What would be refused is told with what this gateway has of the limit. */
static void
shares_of_limits_are_told(void)
{
	static const struct {
		uint32_t share;
		unsigned ask; /* requests before */
		const char *text;
	} told[] = {
		{0, 0, "rate limited: limits/group (no share)"},
		{2, 1, "/plain"},
		{2, 2, "rate limited: limits/group (share 2 of 500)"},
	};
	const struct sl_tuple client = {.src = sl_addr_from_v4((uint8_t[]){192, 0, 2, 7}),
					.dport = sl_to_be16(80)};

	for (size_t i = 0; i < SL_ARRAY_CNT(told); i++) {
		char text[SL_CTL_TEXT_MAX + 1] = {0};
		uint8_t path[SL_CTL_REQUEST_MAX / 2 + 1] = {0};
		struct sl_ctl_explained_http e = {0};
		struct sl_up_ask ask;
		struct scene s;
		scene_init(&s, NULL);
		s.service_rates[0][0] = (struct sl_img_rate){
			.slot = 20,
			.incarnation = 7,
			.tokens = 500,
			.per_ms = 10000,
			.key = SL_RATE_ALL,
			.flags = SL_RATE_SHARED,
			.name = "group",
		};
		s.service[0].rate_cnt = 1;
		s.shares->share_until_ns = 2;
		s.shares->share[20].share = sl_state_share_make(told[i].share, 7);
		struct peer *c = scene_client(&s);
		for (unsigned j = 0; j < told[i].ask; j++) {
			peer_says(&s, c, GET("/plain"));
			scene_up(&s, 0)->len = 0;
			peer_says(&s, scene_up(&s, 0), OK2);
			c->len = 0;
		}
		sl_http_explain(s.http, &s.rule, &client, (const uint8_t *)GET("/plain"),
				strlen(GET("/plain")), &e, text, path, &ask);
		CU_ASSERT_STRING_EQUAL(text, told[i].text);
		scene_end(&s);
	}
}

SL_SUITE("http_explain", SL_TEST(limits_are_asked_without_taking),
	 SL_TEST(shares_of_limits_are_told), SL_TEST(explanations_say_what_requests_would_do),
	 SL_TEST(requests_are_hashed_on_what_the_service_says))
