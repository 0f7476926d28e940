/* The HTTP engine over fake streams: what is tried again, and what takes too long. */
#include "tests/l7/http_scene.h"

/* ---- tries ---- */

static void
who_cannot_be_connected_to_is_passed_by(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	s.ep[0].silent = true;
	peer_says(
		&s, c,
		"PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"); /* safe: nothing was sent */
	fake_peer_ends(scene_up(&s, 0)->s, SL_END_REFUSED);
	scene_run(&s);
	HEARS(scene_up(&s, 1), "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	scene_answer(&s, c, 1);
	CU_ASSERT(COUNTED(&s, RETRY) == 1 && COUNTED(&s, RETRY_OK) == 1 && s.log.tries == 2 &&
		  s.ep[0].bad == 1 && s.ep[1].ok == 1);
	LOGGED(&s, 200, 0);
	CU_ASSERT_EQUAL(s.route_stats[s.log.route_slot].retries, 1);
	/* and when nobody can be: 503 */
	s.ep[0].refuses = s.ep[1].refuses = true;
	peer_reset(&s, scene_up(&s, 1));
	peer_says(&s, c, GET("/x"));
	ERROR(c, 503);
	LOGGED(&s, 503, SL_RF_UF | SL_RF_URX);
	CU_ASSERT_EQUAL(COUNTED(&s, CONNECT_FAILED), 1);
	s.ep[0].down = s.ep[1].down = true;
	peer_says(&s, c, GET("/x"));
	ERROR(c, 503);
	LOGGED(&s, 503, SL_RF_UH);
	CU_ASSERT_EQUAL(COUNTED(&s, NO_ENDPOINT), 1);
	scene_end(&s);
}

/* A connection of the pool that ended just then says nothing of the endpoint: idempotent requests are tried again. */
static void
a_stale_connection_hides_behind_a_retry_for_idempotent_methods(void)
{
	static const struct {
		const char *method;
		bool again;
	} rows[] = {{"GET", true},    {"HEAD", true},    {"PUT", true},
		    {"DELETE", true}, {"OPTIONS", true}, {"TRACE", true},
		    {"POST", false},  {"PATCH", false},  {"X-Y", false}};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene s;
		char text[64];
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/x"));
		scene_answer(&s, c, 0);
		snprintf(text, sizeof(text), "%s /x HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].method);
		struct peer *stale = scene_up(&s, 0);
		stale->len = 0;
		peer_says(&s, c, text);
		peer_reset(&s, stale);
		if (rows[i].again) {
			HEARS(scene_up(&s, 1), text);
			CU_ASSERT(COUNTED(&s, RETRY) == 1);
		} else {
			ERROR(c, 502);
			CU_ASSERT(COUNTED(&s, RETRY) == 0 && COUNTED(&s, UPSTREAM_RESET) == 1);
		}
		CU_ASSERT_EQUAL(s.ep[0].bad, 0);
		scene_end(&s);
	}
}

static void
a_fresh_connection_that_is_reset_is_tried_again_only_where_the_route_says(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/x"));
	peer_reset(&s, scene_up(&s, 0));
	ERROR(c, 502);
	peer_says(&s, c, "POST /reset HTTP/1.1\r\nHost: h\r\n\r\n");
	scene_up(&s, 0)->len = 0;
	peer_reset(&s, scene_up(&s, 0));
	HEARS(scene_up(&s, 1), "POST /reset HTTP/1.1\r\nHost: h\r\n\r\n");
	scene_answer(&s, c, 1);
	CU_ASSERT(COUNTED(&s, RETRY) == 1 && s.ep[0].bad == 2);
	scene_end(&s);
}

static void
a_body_that_was_touched_is_never_sent_again(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "PUT /reset HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n");
	peer_reset(&s, scene_up(&s, 0)); /* none of it yet */
	peer_says(&s, c, "a");
	HEARS(scene_up(&s, 1), "PUT /reset HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
	peer_says(&s, scene_up(&s, 1), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	c->len = 0;
	STATE(c, "fin");
	c = scene_client(&s);
	peer_says(&s, c, "PUT /reset HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\na");
	peer_reset(&s, scene_up(&s, 0));
	ERROR(c, 502);
	STATE(c, "open");
	CU_ASSERT_EQUAL(COUNTED(&s, RETRY), 1);
	peer_says(&s, c, "bc" GET("/empty")); /* the rest of it is read over */
	HEARS(c, "HTTP/1.1 204 No Content\r\n\r\n");
	scene_end(&s);
}

static const struct retry_row {
	const char *why, *path;
	unsigned status;
	bool again;
} retry_rows[] = {
	{"5xx", "/5xx", 500, true},
	{"5xx", "/5xx", 599, true},
	{"not 4xx", "/5xx", 499, false},
	{"a code that is named", "/codes", 418, true},
	{"another", "/codes", 404, true},
	{"one that is not", "/codes", 503, false},
	{"gateway errors", "/gateway", 502, true},
	{"likewise", "/gateway", 503, true},
	{"likewise", "/gateway", 504, true},
	{"500 is none", "/gateway", 500, false},
	{"501 neither", "/gateway", 501, false},
	{"nothing without being told", "/x", 503, false},
};

static void
answers_are_tried_again_as_the_route_says(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(retry_rows); i++) {
		const struct retry_row *r = &retry_rows[i];
		char say[64], bad[128];
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		snprintf(say, sizeof(say), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", r->path);
		snprintf(bad, sizeof(bad), "HTTP/1.1 %u No\r\nContent-Length: 3\r\n\r\nbad",
			 r->status);
		peer_says(&s, c, say);
		peer_says(&s, scene_up(&s, 0), bad);
		bool ok = s.ep[0].bad == (r->status >= 500 || r->again);
		if (r->again) {
			ok = ok && peer_heard(c, NULL) && scene_up(&s, 1) &&
			     peer_heard(scene_up(&s, 1), say);
			scene_answer(&s, c, 1);
			ok = ok && s.log.tries == 2 && s.log.status == 200 &&
			     COUNTED(&s, RETRY_OK) == 1;
		} else {
			ok = ok && peer_heard(c, bad) && s.log.tries == 1;
		}
		if (!ok)
			printf("\n%s %u: results %u %u", r->why, r->status, s.ep[0].ok,
			       s.ep[0].bad);
		CU_ASSERT(ok);
		CU_ASSERT_EQUAL(COUNTED(&s, RETRY), r->again);
		scene_end(&s);
	}
}

static void
the_last_answer_is_passed_on_when_no_try_is_left(void)
{
	static const char bad[] = "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nbad";
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/5xx"));
	peer_says(&s, scene_up(&s, 0), bad);
	peer_says(&s, scene_up(&s, 1), bad);
	HEARS(c, bad);
	LOGGED(&s, 503, SL_RF_URX);
	CU_ASSERT(COUNTED(&s, RETRY) == 1 && COUNTED(&s, RETRY_OK) == 0 &&
		  COUNTED(&s, ANSWERS_5XX) == 1);
	scene_end(&s);
}

static void
tries_are_bounded_by_the_budget_of_the_service(void)
{
	static const char bad[] = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
	struct scene s;
	struct peer *c[5];

	scene_init(&s, NULL); /* 20 % of 5 is 1; 3 are always allowed, and the most */
	for (unsigned i = 0; i < 5; i++) {
		c[i] = scene_client(&s);
		peer_says(&s, c[i], GET("/5xx"));
	}
	struct peer *ups[5];
	unsigned n = 0;
	for (unsigned i = 0; i < s.peer_cnt; i++)
		if (s.peers[i].endpoint == 0)
			ups[n++] = &s.peers[i];
	CU_ASSERT_EQUAL_FATAL(n, 5);
	for (unsigned i = 0; i < 5; i++)
		peer_says(&s, ups[i], bad);
	CU_ASSERT(COUNTED(&s, RETRY) == 3 && COUNTED(&s, RETRY_LIMIT) == 2);
	HEARS(c[2], NULL);
	HEARS(c[3], bad);
	LOGGED(&s, 503, SL_RF_URX);
	CU_ASSERT_EQUAL(sl_limit_held(s.http->limits, SCENE_A, SL_LIMIT_RETRIES), 3);
	scene_end(&s);
}

static void
tries_wait_as_long_as_the_backoff_says(void)
{
	static const char bad[] = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
	unsigned waits[100], early = 0;

	for (unsigned i = 0; i < 100; i++) {
		struct scene s;
		scene_init(&s, NULL);
		s.http->random[0] += i * 0x9e3779b97f4a7c15ull;
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/backoff"));
		peer_says(&s, scene_up(&s, 0), bad);
		for (waits[i] = 0; !scene_up(&s, 1) && waits[i] <= 1100; waits[i] += 20)
			scene_pass(&s, 20);
		early += waits[i] < 500;
		CU_ASSERT(waits[i] <= 1040);
		if (i % 2)
			scene_answer(&s, c, 1);
		scene_end(&s); /* in between, too */
	}
	CU_ASSERT(early > 25 && early < 75);
}

/* ---- time ---- */

static void
an_answer_that_does_not_begin_in_time_is_504(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/slow"));
	scene_pass(&s, 960);
	HEARS(c, NULL);
	scene_pass(&s, 60);
	ERROR(c, 504);
	STATE(c, "open");
	STATE(scene_up(&s, 0), "reset");
	LOGGED(&s, 504, SL_RF_UT);
	CU_ASSERT(COUNTED(&s, TIMEOUT) == 1 && s.ep[0].bad == 1);
	/* it counts from the end of the request, and ends with the beginning of the answer */
	peer_says(&s, c, "PUT /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
	scene_pass(&s, 2000);
	peer_says(&s, c, "b");
	scene_pass(&s, 900);
	peer_says(&s, scene_up(&s, 0), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
	scene_pass(&s, 2000);
	peer_says(&s, scene_up(&s, 0), "k");
	HEARS(c, OK2);
	/* and holds while a connection is awaited */
	peer_fin(&s, scene_up(&s, 0));
	s.ep[0].silent = true;
	peer_says(&s, c, GET("/slow"));
	scene_pass(&s, 1020);
	ERROR(c, 504);
	scene_end(&s);
}

static void
a_try_has_its_own_time_and_the_whole_another(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/try"));
	scene_pass(&s, 720);
	STATE(scene_up(&s, 0), "reset");
	CU_ASSERT(COUNTED(&s, TRY_TIMEOUT) == 1 && COUNTED(&s, RETRY) == 1 && s.ep[0].bad == 1);
	HEARS(c, NULL);
	scene_pass(&s, 300);
	ERROR(c, 504);
	STATE(scene_up(&s, 1), "reset");
	CU_ASSERT(COUNTED(&s, TIMEOUT) == 1);
	/* it counts from the end of the request; what was touched is not tried again */
	peer_says(&s, c, "PUT /try HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na");
	scene_pass(&s, 1500);
	HEARS(c, NULL);
	peer_says(&s, c, "b");
	scene_pass(&s, 680);
	HEARS(c, NULL);
	scene_pass(&s, 40);
	ERROR(c, 504);
	CU_ASSERT(COUNTED(&s, TRY_TIMEOUT) == 2 && COUNTED(&s, RETRY) == 1);
	/* also when the first try ended otherwise */
	peer_says(&s, c, GET("/try"));
	scene_pass(&s, 500);
	peer_reset(&s, scene_up(&s, 0));
	CU_ASSERT(COUNTED(&s, RETRY) == 2);
	scene_pass(&s, 480);
	HEARS(c, NULL);
	scene_pass(&s, 40);
	ERROR(c, 504);
	scene_end(&s);
}

static void
an_answer_that_stands_still_is_given_up(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/idle"));
	scene_pass(&s, 320);
	ERROR_CLOSE(c, 504);
	CU_ASSERT(s.log.status == 504 && s.log.flags & SL_RF_SI && COUNTED(&s, STREAM_IDLE) == 1);
	c = scene_client(&s);
	peer_says(&s, c, GET("/idle"));
	peer_says(&s, scene_up(&s, 0), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1");
	for (unsigned i = 0; i < 5; i++) {
		scene_pass(&s, 200);
		STATE(c, "open");
		peer_says(&s, scene_up(&s, 0), "x");
	}
	scene_pass(&s, 340);
	STATE(c, "reset");
	STATE(scene_up(&s, 0), "reset");
	CU_ASSERT(s.log.status == 200 && s.log.flags & SL_RF_SI && COUNTED(&s, STREAM_IDLE) == 2);
	scene_end(&s);
}

static void
clients_that_say_nothing_are_closed(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s), *d = scene_client(&s);
	peer_says(&s, d, GET("/direct"));
	scene_pass(&s, 10100); /* a first request may take as long as a head */
	STATE(c, "gone");
	STATE(d, "open");
	CU_ASSERT_EQUAL(COUNTED(&s, CLIENT_IDLE), 1);
	scene_pass(&s, 50100);
	STATE(d, "gone");
	CU_ASSERT(COUNTED(&s, CLIENT_IDLE) == 2 && s.logged == 1);
	scene_end(&s);
}

SL_SUITE("http_tries", SL_TEST(who_cannot_be_connected_to_is_passed_by),
	 SL_TEST(a_stale_connection_hides_behind_a_retry_for_idempotent_methods),
	 SL_TEST(a_fresh_connection_that_is_reset_is_tried_again_only_where_the_route_says),
	 SL_TEST(a_body_that_was_touched_is_never_sent_again),
	 SL_TEST(answers_are_tried_again_as_the_route_says),
	 SL_TEST(the_last_answer_is_passed_on_when_no_try_is_left),
	 SL_TEST(tries_are_bounded_by_the_budget_of_the_service),
	 SL_TEST(tries_wait_as_long_as_the_backoff_says),
	 SL_TEST(an_answer_that_does_not_begin_in_time_is_504),
	 SL_TEST(a_try_has_its_own_time_and_the_whole_another),
	 SL_TEST(an_answer_that_stands_still_is_given_up),
	 SL_TEST(clients_that_say_nothing_are_closed))
