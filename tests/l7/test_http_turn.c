/* What one connection, or one endpoint, may take of a worker's turn. */
#include "tests/l7/http_scene.h"

static void
a_thousand_pipelined_requests_share_the_worker_with_others(void)
{
	struct scene s;
	struct scene_conf conf = {.snd_max = 1 << 20};

	scene_init(&s, &conf);
	struct peer *p = scene_client(&s);
	scene_run(&s);
	uint64_t before = COUNTED(&s, REQUESTS);
	for (unsigned i = 0; i < 1000; i++)
		CU_ASSERT_FATAL(fake_peer_sends(p->s, GET("/empty"), sizeof(GET("/empty")) - 1));
	uint64_t most = 0, last = before;
	for (unsigned i = 0; i < 200 && last < before + 1000; i++) {
		sl_http_tick(s.http);
		fake_turn(s.tcp, 0);
		uint64_t now = COUNTED(&s, REQUESTS);
		most = SL_MAX(most, now - last);
		last = now;
		while (fake_peer_reads(p->s, s.log_strings, sizeof(s.log_strings)))
			;
	}
	CU_ASSERT_EQUAL(last, before + 1000);
	/* what is left of the turn before, and what the stream's own event reads */
	CU_ASSERT(most <= 2 * HTTP_HEADS_MAX);
	scene_end(&s);
}

/* Requests answered here take a place for an exchange each, which is theirs no longer than it takes to answer them. */
static void
pipelined_requests_of_many_leave_exchanges_for_others(void)
{
	enum { CLIENTS = 8, EACH = 200 };
	struct scene s;
	struct scene_conf conf = {.snd_max = 1 << 20, .exchanges = 3 * HTTP_HEADS_MAX};
	struct peer *p[CLIENTS];

	scene_init(&s, &conf);
	for (unsigned i = 0; i < CLIENTS; i++)
		p[i] = scene_client(&s);
	scene_run(&s);
	for (unsigned i = 0; i < CLIENTS; i++) {
		for (unsigned n = 0; n < EACH; n++)
			CU_ASSERT_FATAL(
				fake_peer_sends(p[i]->s, GET("/empty"), sizeof(GET("/empty")) - 1));
		sl_http_tick(s.http);
		fake_turn(s.tcp, 0);
	}
	for (unsigned i = 0; i < 2 * EACH && COUNTED(&s, REQUESTS) < CLIENTS * EACH; i++)
		scene_turn(&s, 0);
	scene_run(&s);
	CU_ASSERT_EQUAL(COUNTED(&s, REQUESTS), CLIENTS * EACH);
	CU_ASSERT_EQUAL(COUNTED(&s, NO_MEMORY), 0);
	scene_end(&s);
}

static void
an_endpoint_that_says_only_interim_answers_is_refused(void)
{
	struct scene s;
	struct scene_conf conf = {0};

	scene_init(&s, &conf);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/plain"));
	for (unsigned i = 0; i <= HTTP_INTERIMS_MAX; i++)
		peer_says(&s, scene_up(&s, 0), "HTTP/1.1 103 Early Hints\r\n\r\n");
	CU_ASSERT_EQUAL(COUNTED(&s, ANSWERS_1XX), HTTP_INTERIMS_MAX);
	CU_ASSERT_EQUAL(COUNTED(&s, UPSTREAM_BAD), 1);
	STATE(scene_up(&s, 0), "reset");
	scene_end(&s);
}

SL_SUITE("http turn", SL_TEST(a_thousand_pipelined_requests_share_the_worker_with_others),
	 SL_TEST(pipelined_requests_of_many_leave_exchanges_for_others),
	 SL_TEST(an_endpoint_that_says_only_interim_answers_is_refused))
