/* The HTTP engine over fake streams: tries beside a slow one.  Route /hedge: one after 50 ms, /hedges: up to three. */
#include "tests/l7/http_scene.h"

#define PUT3 "PUT /hedge HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"

/* Nothing is held for tries any more. */
static bool
no_try_held(struct scene *s)
{
	return sl_limit_held(s->http->limits, SCENE_A, SL_LIMIT_RETRIES) == 0 &&
	       s->stats.exchanges == 0;
}

static void
the_other_endpoint_is_asked_when_the_first_is_slow(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedge"));
	HEARS(scene_up(&s, 0), GET("/hedge"));
	scene_pass(&s, 40);
	CU_ASSERT_PTR_NULL(scene_up(&s, 1));
	scene_pass(&s, 20);
	HEARS(scene_up(&s, 1), GET("/hedge"));
	CU_ASSERT(sl_limit_held(s.http->limits, SCENE_A, SL_LIMIT_RETRIES) == 1 &&
		  s.ep[0].load == 1 && s.ep[1].load == 1);
	scene_answer(&s, c, 1);
	STATE(scene_up(&s, 0), "reset");
	STATE(scene_up(&s, 1), "open");
	/* who was cut by us is neither good nor bad */
	CU_ASSERT(s.ep[0].ok + s.ep[0].bad == 0 && s.ep[1].ok == 1 && s.ep[1].bad == 0);
	CU_ASSERT(COUNTED(&s, HEDGE) == 1 && COUNTED(&s, HEDGE_WON) == 1 &&
		  COUNTED(&s, RETRY) == 0 && COUNTED(&s, RETRY_OK) == 0);
	CU_ASSERT(s.log.tries == 2 && s.log.endpoint_slot == 1 && no_try_held(&s));
	LOGGED(&s, 200, 0);
	/* and the connection that won is used again */
	s.ep[0].down = true;
	peer_says(&s, c, GET("/x"));
	scene_answer(&s, c, 1);
	CU_ASSERT_EQUAL(scene_ups(&s, 1), 1);
	scene_end(&s);
}

static void
the_first_wins_when_it_answers_first(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedge"));
	scene_pass(&s, 60);
	CU_ASSERT_PTR_NOT_NULL(scene_up(&s, 1));
	scene_answer(&s, c, 0);
	STATE(scene_up(&s, 0), "open");
	STATE(scene_up(&s, 1), "reset");
	CU_ASSERT(s.ep[1].ok + s.ep[1].bad == 0 && s.ep[0].ok == 1 && s.ep[1].load == 0);
	CU_ASSERT(COUNTED(&s, HEDGE) == 1 && COUNTED(&s, HEDGE_WON) == 0 &&
		  s.log.endpoint_slot == 0 && s.log.tries == 2 && no_try_held(&s));
	scene_end(&s);
}

static void
an_answer_that_has_begun_is_waited_for(void)
{
	static const char *const begins[] = {"H", "HTTP/1.1 100 Continue\r\n\r\n",
					     "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no"};

	for (size_t i = 0; i < SL_ARRAY_CNT(begins); i++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/hedge"));
		peer_says(&s, scene_up(&s, 0), begins[i]);
		scene_pass(&s, 200);
		CU_ASSERT(scene_up(&s, 1) == NULL && COUNTED(&s, HEDGE) == 0);
		scene_end(&s);
	}
}

static const struct method_row {
	const char *request;
	bool hedged;
} methods[] = {
	{GET("/hedge"), true},
	{"HEAD /hedge HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"PUT /hedge HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", true},
	{"DELETE /hedge HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"OPTIONS /hedge HTTP/1.1\r\nHost: h\r\n\r\n", true},
	{"POST /hedge HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", false},
	{"PATCH /hedge HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{"X-Y /hedge HTTP/1.1\r\nHost: h\r\n\r\n", false},
	{PUT3, false},
	{"PUT /hedge HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", false},
	{"GET /hedge HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false},
	{GET("/x"), false}, /* another route */
};

static void
only_what_may_be_done_twice_is_asked_twice(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(methods); i++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, methods[i].request);
		scene_pass(&s, 200);
		bool hedged = scene_up(&s, 1) != NULL;
		if (hedged != methods[i].hedged)
			printf("\n%s", methods[i].request);
		CU_ASSERT(hedged == methods[i].hedged && COUNTED(&s, HEDGE) == hedged);
		if (hedged)
			HEARS(scene_up(&s, 1), methods[i].request);
		scene_end(&s);
	}
}

/* A body goes to the connection that is there first. */
static void
a_request_with_a_body_is_hedged_while_it_waits_for_its_connection(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	s.ep[0].silent = true;
	peer_says(&s, c, PUT3);
	scene_pass(&s, 60);
	HEARS(scene_up(&s, 1), PUT3);
	HEARS(scene_up(&s, 0), NULL);
	scene_answer(&s, c, 1);
	CU_ASSERT(COUNTED(&s, HEDGE) == 1 && COUNTED(&s, HEDGE_WON) == 1 && no_try_held(&s) &&
		  s.log.endpoint_slot == 1 && s.ep[1].ok == 1 && s.ep[0].bad == 0);
	/* or its own was there first: the other one goes to the pool */
	peer_fin(&s, scene_up(&s, 1));
	fake_peer_ends(scene_up(&s, 0)->s, SL_END_REFUSED);
	scene_run(&s);
	s.ep[1].silent = true;
	peer_says(&s, c, PUT3);
	scene_pass(&s, 60);
	struct peer *first = scene_up(&s, 0), *second = scene_up(&s, 1);
	CU_ASSERT(first->s && second->s && COUNTED(&s, HEDGE) == 2);
	fake_peer_answers(first->s);
	scene_run(&s);
	HEARS(first, PUT3);
	fake_peer_answers(second->s);
	scene_run(&s);
	HEARS(second, NULL);
	scene_answer(&s, c, 0);
	CU_ASSERT(COUNTED(&s, HEDGE_WON) == 1 && s.log.endpoint_slot == 0);
	scene_end(&s);
}

/* ---- what is worth less ---- */

#define BAD "HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nbad"

static void
a_5xx_loses_against_what_is_under_way(void)
{
	for (int loser = 0; loser < 2; loser++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/hedge"));
		scene_pass(&s, 60);
		peer_says(&s, scene_up(&s, loser), BAD);
		HEARS(c, NULL);
		CU_ASSERT(s.ep[loser].bad == 1 && s.ep[loser].load == 0);
		scene_answer(&s, c, !loser);
		CU_ASSERT(s.ep[loser].bad == 1 && s.ep[!loser].ok == 1 && no_try_held(&s) &&
			  s.log.endpoint_slot == !loser && s.log.upstream_status == 200);
		LOGGED(&s, 200, 0);
		scene_end(&s);
	}
}

static void
the_last_answer_is_passed_on_whatever_it_is(void)
{
	for (int first = 0; first < 2; first++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/hedge"));
		scene_pass(&s, 60);
		peer_says(&s, scene_up(&s, first), BAD);
		peer_says(&s, scene_up(&s, !first), BAD);
		HEARS(c, BAD);
		CU_ASSERT(s.ep[0].bad == 1 && s.ep[1].bad == 1 && s.ep[0].ok + s.ep[1].ok <= 1 &&
			  no_try_held(&s) && COUNTED(&s, RETRY) == 0);
		LOGGED(&s, 503, 0);
		scene_end(&s);
	}
}

static void
an_endpoint_that_fails_is_replaced_by_what_is_under_way(void)
{
	for (int loser = 0; loser < 2; loser++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/hedge"));
		scene_pass(&s, 60);
		peer_reset(&s, scene_up(&s, loser));
		HEARS(c, NULL);
		CU_ASSERT_EQUAL(s.ep[loser].bad, 1);
		scene_answer(&s, c, !loser);
		CU_ASSERT(no_try_held(&s) && COUNTED(&s, RETRY) == 0 && s.ep[!loser].bad == 0);
		LOGGED(&s, 200, 0);
		/* not HTTP */
		peer_says(&s, c, GET("/hedge"));
		scene_pass(&s, 60);
		peer_says(&s, scene_up(&s, loser), "220 mail\r\n\r\n");
		HEARS(c, NULL);
		scene_answer(&s, c, !loser);
		scene_end(&s);
	}
}

static void
when_all_failed_it_goes_on_as_after_any_try(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedge")); /* no retry of what was reset */
	scene_pass(&s, 60);
	peer_reset(&s, scene_up(&s, 0));
	peer_reset(&s, scene_up(&s, 1));
	ERROR(c, 502);
	LOGGED(&s, 502, SL_RF_UC);
	CU_ASSERT(s.ep[0].bad == 1 && s.ep[1].bad == 1 && no_try_held(&s) &&
		  s.log.endpoint_slot == 1);
	peer_says(&s, c, GET("/hedges")); /* one */
	scene_pass(&s, 60);
	peer_says(&s, scene_up(&s, 1), BAD);
	peer_says(&s, scene_up(&s, 0), BAD);
	CU_ASSERT_EQUAL(COUNTED(&s, RETRY), 1);
	HEARS(c, NULL);
	scene_answer(&s, c, 0);
	CU_ASSERT(COUNTED(&s, RETRY_OK) == 1 && no_try_held(&s));
	scene_end(&s);
}

/* ---- time ---- */

static void
the_whole_has_its_time(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedge"));
	scene_pass(&s, 4980);
	HEARS(c, NULL);
	scene_pass(&s, 40);
	ERROR(c, 504);
	LOGGED(&s, 504, SL_RF_UT);
	STATE(scene_up(&s, 0), "reset");
	STATE(scene_up(&s, 1), "reset");
	CU_ASSERT(no_try_held(&s) && s.ep[0].bad == 1 && s.ep[1].bad == 0);
	scene_end(&s);
}

static void
each_try_has_its_own(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedges"));
	scene_pass(&s, 60);
	struct peer *own = scene_up(&s, 0);
	CU_ASSERT(COUNTED(&s, HEDGE) == 1);
	scene_pass(&s, 160); /* its own is over, the other one not */
	STATE(own, "reset");
	STATE(scene_up(&s, 1), "open");
	CU_ASSERT(COUNTED(&s, TRY_TIMEOUT) == 1 && COUNTED(&s, RETRY) == 0 && s.ep[0].bad == 1);
	scene_pass(&s, 40);
	STATE(scene_up(&s, 1), "reset");
	CU_ASSERT(COUNTED(&s, TRY_TIMEOUT) == 2 && COUNTED(&s, RETRY) == 1 && s.ep[1].bad == 1);
	HEARS(c, NULL);
	scene_answer(&s, c, 0);
	CU_ASSERT(no_try_held(&s));
	scene_end(&s);
}

/* ---- how many ---- */

static void
nobody_is_asked_twice_at_a_time(void)
{
	struct scene s;

	scene_init(&s, NULL); /* two endpoints, three further tries */
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedges"));
	scene_pass(&s, 180);
	CU_ASSERT(COUNTED(&s, HEDGE) == 1 && COUNTED(&s, HEDGE_LIMIT) == 1);
	HEARS(scene_up(&s, 1), GET("/hedges"));
	scene_answer(&s, c, 1);
	CU_ASSERT(no_try_held(&s) && s.log.tries == 2);
	/* nor when there is but one */
	s.ep[1].down = true;
	unsigned was = scene_ups(&s, 0);
	peer_says(&s, c, GET("/hedges"));
	scene_pass(&s, 180);
	CU_ASSERT(COUNTED(&s, HEDGE) == 1 && COUNTED(&s, HEDGE_LIMIT) == 2);
	CU_ASSERT(scene_ups(&s, 0) <= was + 2); /* one that is not used */
	for (unsigned i = 0, n = 0; i < s.peer_cnt; i++) {
		struct peer *p = &s.peers[i];
		n += p->endpoint == 0 && p->s && p->len;
		CU_ASSERT(n <= 1);
	}
	scene_end(&s);
}

static void
they_take_places_of_the_breaker_and_the_budget_of_retries(void)
{
	struct scene s;
	struct peer *c[5];

	scene_init(&s, NULL); /* 3 are allowed */
	for (unsigned i = 0; i < 5; i++) {
		c[i] = scene_client(&s);
		peer_says(&s, c[i], GET("/hedge"));
	}
	scene_pass(&s, 80);
	CU_ASSERT(COUNTED(&s, HEDGE) == 3 && COUNTED(&s, HEDGE_LIMIT) == 2);
	CU_ASSERT_EQUAL(sl_limit_held(s.http->limits, SCENE_A, SL_LIMIT_RETRIES), 3);
	for (unsigned i = 0; i < s.peer_cnt; i++)
		if (s.peers[i].endpoint == 0)
			peer_says(&s, &s.peers[i], OK2);
	for (unsigned i = 0; i < 5; i++)
		HEARS(c[i], OK2);
	CU_ASSERT(no_try_held(&s));
	scene_end(&s);
}

static void
they_do_not_queue_where_requests_do(void)
{
	struct scene s;

	scene_init(&s, NULL);
	s.service[0].tcp.max_connections = 1;
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedge"));
	scene_pass(&s, 80);
	CU_ASSERT(COUNTED(&s, HEDGE) == 0 && COUNTED(&s, HEDGE_LIMIT) == 1);
	CU_ASSERT_EQUAL(sl_limit_held(s.http->limits, SCENE_A, SL_LIMIT_PENDING), 0);
	scene_answer(&s, c, 0);
	scene_end(&s);
}

static void
clients_that_go_leave_nothing(void)
{
	for (unsigned ms = 0; ms < 160; ms += 20) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		s.ep[1].silent = ms % 40 == 0;
		peer_says(&s, c, GET("/hedges"));
		scene_pass(&s, ms + 1);
		peer_reset(&s, c);
		CU_ASSERT(no_try_held(&s) && s.ep[0].load == 0 && s.ep[1].load == 0);
		scene_end(&s);
	}
}

static void
a_hedge_whose_endpoint_is_taken_away_is_cut(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/hedge"));
	scene_pass(&s, 60);
	STATE(scene_up(&s, 1), "open");
	s.ep[1].dead = true;
	scene_pass(&s, 3600);
	STATE(scene_up(&s, 1), "reset");
	CU_ASSERT(COUNTED(&s, DROPPED_ADMIN) == 1 && s.ep[1].bad == 0);
	scene_answer(&s, c, 0);
	CU_ASSERT(no_try_held(&s));
	scene_end(&s);
}

SL_SUITE("http_hedge", SL_TEST(the_other_endpoint_is_asked_when_the_first_is_slow),
	 SL_TEST(the_first_wins_when_it_answers_first),
	 SL_TEST(an_answer_that_has_begun_is_waited_for),
	 SL_TEST(only_what_may_be_done_twice_is_asked_twice),
	 SL_TEST(a_request_with_a_body_is_hedged_while_it_waits_for_its_connection),
	 SL_TEST(a_5xx_loses_against_what_is_under_way),
	 SL_TEST(the_last_answer_is_passed_on_whatever_it_is),
	 SL_TEST(an_endpoint_that_fails_is_replaced_by_what_is_under_way),
	 SL_TEST(when_all_failed_it_goes_on_as_after_any_try), SL_TEST(the_whole_has_its_time),
	 SL_TEST(each_try_has_its_own), SL_TEST(nobody_is_asked_twice_at_a_time),
	 SL_TEST(they_take_places_of_the_breaker_and_the_budget_of_retries),
	 SL_TEST(they_do_not_queue_where_requests_do), SL_TEST(clients_that_go_leave_nothing),
	 SL_TEST(a_hedge_whose_endpoint_is_taken_away_is_cut))
