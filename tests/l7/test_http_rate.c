/* Limits of routes and services, as clients, endpoints, log and statistics see them. */
#include "tests/l7/http_scene.h"

#define KEY(path, key) "GET " path " HTTP/1.1\r\nHost: h\r\nX-Key: " key "\r\n\r\n"

enum { SITE = 10, PER_KEY = 11, PER_CLIENT = 12, WIDE = 13, PER_PEER = 14 };

/* An answer 429 with these lines: its head is not compared otherwise. */
static bool
limited(struct peer *c, const char *retry, const char *more)
{
	char want[64];
	bool ok = c->len > 12 && memcmp(c->got, "HTTP/1.1 429", 12) == 0;

	c->got[c->len] = 0;
	snprintf(want, sizeof(want), "\r\nretry-after: %s\r\n", retry);
	ok = ok && strcasestr(c->got, want) && (!more || strcasestr(c->got, more)) &&
	     strstr(c->got, "\r\n\r\nrate limited\n");
	if (!ok)
		printf("\nheard %s\n", c->got);
	return ok;
}

static bool
has(struct peer *c, const char *line)
{
	c->got[c->len] = 0;
	bool ok = strcasestr(c->got, line) != NULL;
	if (!ok)
		printf("\nno %s in %s\n", line, c->got);
	return ok;
}

static void
the_request_too_many_is_told_when_to_come_back(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 3; i++) {
		peer_says(&s, c, GET("/told"));
		CU_ASSERT(has(c, "HTTP/1.1 200"));
		c->len = 0;
	}
	scene_pass(&s, 4200);
	peer_says(&s, c, GET("/told"));
	CU_ASSERT(limited(c, "6", "\r\nx-ratelimit-limit: 3\r\n")); /* 5.8 s */
	c->len = 0;
	LOGGED(&s, 429, SL_RF_RL);
	LOGGED_WHY(&s, "limits/site");
	CU_ASSERT_EQUAL(COUNTED(&s, RATE_LIMITED), 1);
	CU_ASSERT_EQUAL(s.rate_stats[SITE].allowed, 3);
	CU_ASSERT_EQUAL(s.rate_stats[SITE].refused, 1);
	STATE(c, "open");
	scene_pass(&s, 5850);
	peer_says(&s, c, GET("/told"));
	CU_ASSERT(has(c, "HTTP/1.1 200"));
	c->len = 0;
	scene_end(&s);
}

static void
answers_say_what_is_left_of_the_tightest(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/told"));
	CU_ASSERT(has(c, "\r\nx-ratelimit-limit: 3\r\n"));
	CU_ASSERT(has(c, "\r\nx-ratelimit-remaining: 2\r\n"));
	CU_ASSERT(has(c, "\r\nx-ratelimit-reset: 10\r\n"));
	c->len = 0;
	/* of two limits the one with less: 1 of per-key against 1 of site, the first; on an endpoint's answer, too */
	peer_says(&s, c, KEY("/limited", "a"));
	struct peer *up = scene_up(&s, 0);
	up->len = 0;
	peer_says(&s, up, OK2);
	CU_ASSERT(has(c, "\r\nx-ratelimit-limit: 3\r\n"));
	CU_ASSERT(has(c, "\r\nx-ratelimit-remaining: 1\r\n"));
	c->len = 0;
	scene_end(&s);
}

static void
a_refused_request_takes_of_no_limit(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 2; i++) {
		peer_says(&s, c, KEY("/limited", "a"));
		scene_up(&s, 0)->len = 0;
		peer_says(&s, scene_up(&s, 0), OK2);
		c->len = 0;
	}
	for (unsigned i = 0; i < 5; i++) {
		peer_says(&s, c, KEY("/limited", "a"));
		CU_ASSERT(limited(c, "3", "\r\nx-ratelimit-remaining: 0\r\n"));
		c->len = 0;
		LOGGED_WHY(&s, "limits/per-key");
	}
	/* site has had two of three: one is left for another key */
	peer_says(&s, c, KEY("/limited", "b"));
	scene_up(&s, 0)->len = 0;
	peer_says(&s, scene_up(&s, 0), OK2);
	CU_ASSERT(has(c, "HTTP/1.1 200"));
	c->len = 0;
	peer_says(&s, c, KEY("/limited", "c"));
	CU_ASSERT(limited(c, "10", NULL));
	c->len = 0;
	LOGGED_WHY(&s, "limits/site");
	CU_ASSERT_EQUAL(s.rate_stats[SITE].allowed, 3);
	CU_ASSERT_EQUAL(s.rate_stats[PER_KEY].allowed, 3);
	CU_ASSERT_EQUAL(s.rate_stats[PER_KEY].refused, 5);
	scene_end(&s);
}

/* Of several lines of the header, or none, nobody knows whose request it is. */
static void
requests_without_a_key_and_with_two_share_a_bucket(void)
{
	static const char *const says[] = {
		GET("/limited/few"),
		"GET /limited/few HTTP/1.1\r\nHost: h\r\nX-Key: a\r\nx-key: b\r\n\r\n",
		"GET /limited/few HTTP/1.1\r\nHost: h\r\nX-Key: \r\n\r\n",
	};
	struct scene s;

	scene_init(&s, NULL);
	s.service_rates[0][0] = (struct sl_img_rate){
		.slot = PER_KEY,
		.incarnation = 1,
		.tokens = 2,
		.per_ms = 1000,
		.keys = 8,
		.key = SL_RATE_HEADER,
		.header = "x-key",
		.name = "per-key",
	};
	s.service[0].rate_cnt = 1;
	struct peer *c = scene_client(&s);
	unsigned passed = 0, refused = 0;
	scene_shows(&s, &(struct scene_peer){0});
	for (unsigned i = 0; i < 6; i++) {
		peer_says(&s, c, says[i % 3]);
		c->got[c->len] = 0;
		if (c->len && strstr(c->got, "429")) {
			refused++;
		} else {
			passed++;
			scene_up(&s, 0)->len = 0;
			peer_says(&s, scene_up(&s, 0), OK2);
		}
		c->len = 0;
	}
	CU_ASSERT_EQUAL(passed, 1);
	CU_ASSERT_EQUAL(refused, 5);
	LOGGED_WHY(&s, "limits/per-peer");
	scene_end(&s);
}

static void
limits_of_a_service_stand_before_its_endpoints(void)
{
	struct scene s;

	scene_init(&s, NULL);
	s.service_rates[0][0] = (struct sl_img_rate){
		.slot = 20,
		.incarnation = 1,
		.tokens = 2,
		.per_ms = 1000,
		.key = SL_RATE_ALL,
		.flags = SL_RATE_HEADERS,
		.name = "db",
	};
	s.service[0].rate_cnt = 1;
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 2; i++) {
		peer_says(&s, c, GET("/plain"));
		scene_up(&s, 0)->len = 0;
		peer_says(&s, scene_up(&s, 0), OK2);
		CU_ASSERT(has(c, i ? "\r\nx-ratelimit-remaining: 0\r\n"
				   : "\r\nx-ratelimit-remaining: 1\r\n"));
		c->len = 0;
	}
	peer_says(&s, c, GET("/plain"));
	CU_ASSERT(limited(c, "1", "\r\nx-ratelimit-limit: 2\r\n"));
	c->len = 0;
	LOGGED(&s, 429, SL_RF_RL);
	LOGGED_WHY(&s, "limits/db");
	CU_ASSERT_EQUAL(scene_up(&s, 0)->len, 0);
	CU_ASSERT_EQUAL(s.rate_stats[20].refused, 1);
	/* a body behind it is read over, the connection goes on */
	peer_says(&s, c, "POST /plain HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	CU_ASSERT(has(c, "429"));
	c->len = 0;
	scene_pass(&s, 1100);
	peer_says(&s, c, GET("/plain"));
	scene_up(&s, 0)->len = 0;
	peer_says(&s, scene_up(&s, 0), OK2);
	CU_ASSERT(has(c, "HTTP/1.1 200"));
	c->len = 0;
	scene_end(&s);
}

/* Of a limit that gateways share, as much as the words say. */
static void
a_share_is_all_that_there_is_and_no_share_is_told(void)
{
	struct scene s;

	scene_init(&s, NULL);
	s.service_rates[0][0] = (struct sl_img_rate){
		.slot = 20,
		.incarnation = 7,
		.tokens = 500,
		.per_ms = 10000,
		.key = SL_RATE_ALL,
		.flags = SL_RATE_HEADERS | SL_RATE_SHARED,
		.name = "group",
	};
	s.service[0].rate_cnt = 1;
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/plain"));
	CU_ASSERT(limited(c, "1", "\r\nx-ratelimit-limit: 0\r\n"));
	c->len = 0;
	LOGGED_WHY(&s, "limits/group (no share)");
	s.shares->share_until_ns = 2;
	s.shares->share[20].share = sl_state_share_make(1, 7);
	peer_says(&s, c, GET("/plain"));
	scene_up(&s, 0)->len = 0;
	peer_says(&s, scene_up(&s, 0), OK2);
	CU_ASSERT(has(c, "HTTP/1.1 200"));
	c->len = 0;
	peer_says(&s, c, GET("/plain"));
	CU_ASSERT(limited(c, "10", "\r\nx-ratelimit-limit: 1\r\n"));
	c->len = 0;
	LOGGED_WHY(&s, "limits/group");
	CU_ASSERT_EQUAL(s.rate_stats[20].allowed, 1);
	CU_ASSERT_EQUAL(s.rate_stats[20].refused, 2);
	scene_end(&s);
}

static void
routes_without_limits_know_of_none(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 50; i++) {
		peer_says(&s, c, GET("/direct"));
		CU_ASSERT(has(c, "HTTP/1.1 200"));
		CU_ASSERT_PTR_NULL(strcasestr(c->got, "ratelimit"));
		c->len = 0;
	}
	for (unsigned i = 0; i < SL_MAX_RATES; i++)
		CU_ASSERT_EQUAL(s.rate_stats[i].allowed, 0);
	scene_end(&s);
}

SL_SUITE("http_rate", SL_TEST(the_request_too_many_is_told_when_to_come_back),
	 SL_TEST(answers_say_what_is_left_of_the_tightest),
	 SL_TEST(a_refused_request_takes_of_no_limit),
	 SL_TEST(requests_without_a_key_and_with_two_share_a_bucket),
	 SL_TEST(limits_of_a_service_stand_before_its_endpoints),
	 SL_TEST(a_share_is_all_that_there_is_and_no_share_is_told),
	 SL_TEST(routes_without_limits_know_of_none))
