/* The HTTP engine over fake streams: CORS.  Route /cors: two origins, with credentials; /cors-any: "*"; /cors-here: a direct answer. */
#include "tests/l7/http_scene.h"

/* ---- origins ---- */

static const struct origin_row {
	const char *pattern, *origin;
	bool allowed;
} origins[] = {
	{"https://shop.example", "https://shop.example", true},
	{"https://shop.example", "HTTPS://Shop.example", true},
	{"https://shop.example", "http://shop.example", false},
	{"https://shop.example", "https://shop.example:444", false},
	{"https://shop.example", "https://shop.example.evil", false},
	{"https://shop.example", "https://evilshop.example", false},
	{"https://shop.example", "https://shop.exampl", false},
	{"https://shop.example", "null", false},
	{"https://shop.example", "", false},
	{"https://*.example", "https://a.example", true},
	{"https://*.example", "https://a.b-c.example", true},
	{"https://*.example", "https://example", false},
	{"https://*.example", "https://.example", false},
	{"https://*.example", "https://a..b.example", false},
	{"https://*.example", "https://a.example:444", false},
	{"https://*.example", "https://evil/.example", false},
	{"https://*.example", "https://evil:80@a.example", false},
	{"https://*.example", "https://evil?a.example", false},
	{"https://*.example", "https://evil\\a.example", false},
	{"https://*.example", "http://a.example", false},
	{"https://*.example:8443", "https://a.example:8443", true},
	{"https://*.example:8443", "https://a.example", false},
	{"*", "https://a.example", true},
	{"*", "null", true},
};

static void
origins_are_compared_whole(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(origins); i++) {
		const struct origin_row *r = &origins[i];
		struct sl_bytes list = {(const uint8_t *)r->pattern,
					(uint32_t)strlen(r->pattern) + 1};
		size_t n = strlen(r->origin);
		uint8_t *text = guard_buf(n);
		memcpy(text, r->origin, n);
		bool got = sl_http_cors_allows(list, (struct sl_bytes){text, (uint32_t)n});
		if (got != r->allowed)
			printf("\n%s %s: %d", r->pattern, r->origin, got);
		CU_ASSERT_EQUAL(got, r->allowed);
		guard_free(text, n);
	}
	static const char two[] = "https://a\0https://b";
	CU_ASSERT(sl_http_cors_allows((struct sl_bytes){(const uint8_t *)two, sizeof(two)},
				      (struct sl_bytes){(const uint8_t *)"https://b", 9}));
}

/* ---- preflights ---- */

#define ASK(path, ...) "OPTIONS " path " HTTP/1.1\r\nHost: h\r\n" __VA_ARGS__ "\r\n"
#define ORIGIN(o) "Origin: " o "\r\n"
#define METHOD(m) "Access-Control-Request-Method: " m "\r\n"
#define HEADERS(l) "Access-Control-Request-Headers: " l "\r\n"
#define VARY "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\r\n"
#define NOT_OURS "HTTP/1.1 204 No Content\r\nvary: Origin\r\n\r\n"

static const struct ask_row {
	const char *why, *ask, *answer; /* NULL: it goes to the endpoint */
} asks[] = {
	{"one of ours", ASK("/cors", ORIGIN("https://shop.example") METHOD("PUT") HEADERS("x-z")),
	 "HTTP/1.1 204 No Content\r\naccess-control-allow-origin: https://shop.example\r\n"
	 "access-control-allow-credentials: true\r\naccess-control-allow-methods: GET, PUT\r\n"
	 "access-control-allow-headers: x-a, x-b\r\naccess-control-max-age: 600\r\n" VARY "\r\n"},
	{"one below ours", ASK("/cors", ORIGIN("https://a.shop.example:8443") METHOD("GET")),
	 "HTTP/1.1 204 No Content\r\naccess-control-allow-origin: https://a.shop.example:8443\r\n"
	 "access-control-allow-credentials: true\r\naccess-control-allow-methods: GET, PUT\r\n"
	 "access-control-allow-headers: x-a, x-b\r\naccess-control-max-age: 600\r\n" VARY "\r\n"},
	{"none of ours is told nothing", ASK("/cors", ORIGIN("https://evil.example") METHOD("GET")),
	 NOT_OURS},
	{"a page without an origin", ASK("/cors", ORIGIN("null") METHOD("GET")), NOT_OURS},
	{"all: what was asked for",
	 ASK("/cors-any", ORIGIN("https://a") METHOD("DELETE") HEADERS("x-z, x-y")),
	 "HTTP/1.1 204 No Content\r\naccess-control-allow-origin: *\r\n"
	 "access-control-allow-methods: DELETE\r\naccess-control-allow-headers: x-z, x-y\r\n" VARY
	 "\r\n"},
	{"all, no headers asked for", ASK("/cors-any", ORIGIN("https://a") METHOD("GET")),
	 "HTTP/1.1 204 No Content\r\naccess-control-allow-origin: *\r\n"
	 "access-control-allow-methods: GET\r\n" VARY "\r\n"},
	{"a direct answer's", ASK("/cors-here", ORIGIN("https://evil.example") METHOD("GET")),
	 NOT_OURS},
	{"no origin: any OPTIONS", ASK("/cors", METHOD("GET")), NULL},
	{"no method: any OPTIONS", ASK("/cors", ORIGIN("https://shop.example")), NULL},
	{"two origins: any OPTIONS",
	 ASK("/cors", ORIGIN("https://shop.example") ORIGIN("https://shop.example") METHOD("GET")),
	 NULL},
	{"another route", ASK("/x", ORIGIN("https://shop.example") METHOD("GET")), NULL},
};

static void
preflights_are_answered_here(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(asks); i++) {
		const struct ask_row *r = &asks[i];
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, r->ask);
		bool ok = r->answer ? peer_heard(c, r->answer) && !scene_up(&s, 0) &&
					      s.log.status == 204 && s.log.flags == 0
				    : scene_up(&s, 0) && peer_heard(scene_up(&s, 0), r->ask);
		if (!ok)
			printf("\n%s", r->why);
		CU_ASSERT(ok);
		CU_ASSERT_EQUAL(COUNTED(&s, CORS_PREFLIGHT), r->answer != NULL);
		STATE(c, "open");
		scene_end(&s);
	}
}

/* ---- answers ---- */

#define FROM(path, o) "GET " path " HTTP/1.1\r\nHost: h\r\nOrigin: " o "\r\n\r\n"
#define END "Content-Length: 2\r\n\r\nok"
#define OWN                                                                                        \
	"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nVary: Accept\r\n"                    \
	"Access-Control-Allow-Methods: TRACE\r\naccess-control-allow-private-network: true\r\n"    \
	"ACCESS-CONTROL-EXPOSE-HEADERS: x-secret\r\nAccess-Control-Max-Age: 9\r\n" END

static const struct answer_row {
	const char *why, *ask, *says, *answer;
} answers[] = {
	{"one of ours may read", FROM("/cors", "https://shop.example"), OK2,
	 "HTTP/1.1 200 OK\r\naccess-control-allow-origin: https://shop.example\r\n"
	 "access-control-allow-credentials: true\r\naccess-control-expose-headers: x-total\r\n"
	 "vary: Origin\r\n" END},
	{"what the endpoint says is replaced", FROM("/cors", "https://shop.example"), OWN,
	 "HTTP/1.1 200 OK\r\naccess-control-allow-origin: https://shop.example\r\n"
	 "Vary: Accept, Origin\r\naccess-control-expose-headers: x-total\r\n"
	 "access-control-allow-credentials: true\r\n" END},
	{"or removed", FROM("/cors", "https://evil.example"), OWN,
	 "HTTP/1.1 200 OK\r\nVary: Accept, Origin\r\n" END},
	{"of an answer to nobody's page, too", GET("/cors"), OWN,
	 "HTTP/1.1 200 OK\r\nVary: Accept, Origin\r\n" END},
	{"all", FROM("/cors-any", "https://a"), OK2,
	 "HTTP/1.1 200 OK\r\naccess-control-allow-origin: *\r\n" END},
	{"another route's are the endpoint's", FROM("/x", "https://a"), OWN, OWN},
};

static void
answers_carry_what_the_policy_says(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(answers); i++) {
		const struct answer_row *r = &answers[i];
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, r->ask);
		peer_says(&s, scene_up(&s, 0), r->says);
		if (!peer_heard(c, r->answer)) {
			printf("\n%s", r->why);
			CU_FAIL("");
		}
		CU_ASSERT_EQUAL(COUNTED(&s, CORS_FOREIGN), strstr(r->ask, "evil") != NULL);
		scene_end(&s);
	}
}

static void
answers_of_the_gateway_carry_it_too(void)
{
	static const char here[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
				   "access-control-allow-origin: https://shop.example\r\n"
				   "access-control-allow-credentials: "
				   "true\r\naccess-control-expose-headers: x-total\r\n"
				   "vary: Origin\r\nContent-Length: 3\r\n\r\nhi\n";
	static const char error[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
		"access-control-allow-origin: https://shop.example\r\n"
		"access-control-allow-credentials: true\r\naccess-control-expose-headers: "
		"x-total\r\n"
		"vary: Origin\r\nContent-Length: 20\r\n\r\nService Unavailable\n";
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, FROM("/cors-here", "https://shop.example"));
	HEARS(c, here);
	s.ep[0].down = s.ep[1].down = true;
	peer_says(&s, c, FROM("/cors", "https://shop.example"));
	HEARS(c, error); /* so that the page can read what went wrong */
	scene_end(&s);
}

static void
a_long_origin_is_none_of_ours(void)
{
	char ask[2048], origin[1024];
	struct scene s;

	memset(origin, 'a', sizeof(origin));
	snprintf(origin + 700, 100, ".shop.example:8443");
	snprintf(ask, sizeof(ask), FROM("/cors", "https://%s"), origin);
	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, ask);
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, "HTTP/1.1 200 OK\r\nvary: Origin\r\n" END);
	scene_end(&s);
}

SL_SUITE("http_cors", SL_TEST(origins_are_compared_whole), SL_TEST(preflights_are_answered_here),
	 SL_TEST(answers_carry_what_the_policy_says), SL_TEST(answers_of_the_gateway_carry_it_too),
	 SL_TEST(a_long_origin_is_none_of_ours))
