/* The HTTP engine over fake streams: faults.  Route /delayed: all by 200 ms, two at a time; /aborted: all with 503; /both: delayed, one
 * at a time, and aborted with 418; /some: 5 % aborted; /asked: by header. */
#include "tests/l7/http_scene.h"

#define DELAYS(s, i) ((s)->ledger->delays[i])

static void
a_delayed_request_goes_on_later(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/delayed"));
	scene_pass(&s, 180);
	CU_ASSERT(!scene_up(&s, 0) && DELAYS(&s, 7) == 1);
	/* it takes no place of the service meanwhile */
	CU_ASSERT_EQUAL(sl_limit_held(s.http->limits, SCENE_A, SL_LIMIT_REQUESTS), 0);
	scene_pass(&s, 40);
	CU_ASSERT_EQUAL(DELAYS(&s, 7), 0);
	HEARS(scene_up(&s, 0), GET("/delayed"));
	CU_ASSERT_EQUAL(sl_limit_held(s.http->limits, SCENE_A, SL_LIMIT_REQUESTS), 1);
	scene_answer(&s, c, 0);
	LOGGED(&s, 200, SL_RF_DI);
	LOGGED_WHY(&s, "fault/delay");
	CU_ASSERT(COUNTED(&s, FAULT_DELAY) == 1 && s.log.tries == 1 && COUNTED(&s, RETRY) == 0);
	CU_ASSERT(s.log.first_us >= 200000);
	scene_end(&s);
}

/* The route's time-out, 500 ms, begins behind the delay. */
static void
time_outs_begin_behind_the_delay(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/delayed"));
	scene_pass(&s, 680);
	HEARS(c, NULL);
	scene_pass(&s, 60);
	ERROR(c, 504);
	LOGGED(&s, 504, SL_RF_DI | SL_RF_UT);
	scene_end(&s);
}

static void
the_body_of_a_delayed_request_is_not_read(void)
{
	static const char head[] =
		"POST /delayed HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n";
	static char body[200000];
	struct scene s;

	memset(body, 'b', sizeof(body));
	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, head);
	uint32_t took = peer_says_bytes(&s, c, body, sizeof(body));
	CU_ASSERT(took <= SCENE_RCV && !scene_up(&s, 0)); /* as much as there is room for */
	scene_pass(&s, 220);
	took += peer_says_bytes(&s, c, body, (uint32_t)sizeof(body) - took);
	CU_ASSERT_EQUAL(took, sizeof(body));
	CU_ASSERT_EQUAL(scene_up(&s, 0)->len, sizeof(head) - 1 + sizeof(body));
	scene_answer(&s, c, 0);
	scene_end(&s);
}

static void
no_more_than_max_active_are_delayed(void)
{
	struct scene s;
	struct peer *c[4];

	scene_init(&s, NULL);
	for (unsigned i = 0; i < 4; i++) {
		c[i] = scene_client(&s);
		peer_says(&s, c[i], GET("/delayed"));
	}
	CU_ASSERT(DELAYS(&s, 7) == 2 && COUNTED(&s, FAULT_DELAY) == 2 &&
		  COUNTED(&s, FAULT_LIMIT) == 2 && scene_ups(&s, 0) == 2);
	scene_pass(&s, 220);
	CU_ASSERT(DELAYS(&s, 7) == 0 && scene_ups(&s, 0) == 4);
	for (unsigned i = 0; i < s.peer_cnt; i++)
		if (s.peers[i].endpoint == 0)
			peer_says(&s, &s.peers[i], OK2);
	for (unsigned i = 0; i < 4; i++)
		HEARS(c[i], OK2);
	/* another worker's count, too */
	s.ledger->delays[7] = 2;
	peer_says(&s, c[0], GET("/delayed"));
	CU_ASSERT(COUNTED(&s, FAULT_LIMIT) == 3 && COUNTED(&s, FAULT_DELAY) == 2);
	s.ledger->delays[7] = 0;
	scene_end(&s);
}

static void
clients_that_go_meanwhile_are_not_counted_on(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/delayed"));
	CU_ASSERT_EQUAL(DELAYS(&s, 7), 1);
	peer_reset(&s, c);
	CU_ASSERT(DELAYS(&s, 7) == 0 && s.stats.exchanges == 0);
	scene_pass(&s, 300);
	CU_ASSERT_PTR_NULL(scene_up(&s, 0));
	scene_end(&s);
}

/* Another worker of the same ledger may delay as many as before. */
static void
an_engine_that_ends_gives_its_delays_back(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/delayed"));
	s.ledger->delays[7]++; /* another worker's */
	sl_http_fini(s.http);
	CU_ASSERT_EQUAL(DELAYS(&s, 7), 1);
	s.ledger->delays[7] = 0;
	/* the scene ends it once more */
	s.listeners->listener[SCENE_LISTENER]++;
	s.http->tokens.verifier = NULL;
	scene_end(&s);
}

static void
aborted_requests_reach_nobody(void)
{
	static const char teapot[] = "HTTP/1.1 418 \r\nContent-Type: text/plain\r\n"
				     "Content-Length: 15\r\n\r\nfault injected\n";
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/aborted"));
	HEARS(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
		 "Content-Length: 15\r\n\r\nfault injected\n");
	LOGGED(&s, 503, SL_RF_FI);
	LOGGED_WHY(&s, "fault/abort");
	/* a body is read over, and the connection goes on */
	peer_says(
		&s, c,
		"POST /aborted HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" GET("/empty"));
	c->len = 0;
	STATE(c, "open");
	CU_ASSERT(COUNTED(&s, FAULT_ABORT) == 2 && !scene_up(&s, 0) && s.log.status == 204);
	/* also what the gateway answers itself, which is not delayed */
	peer_says(&s, c, GET("/aborted-here"));
	HEARS(c, teapot);
	CU_ASSERT(COUNTED(&s, FAULT_ABORT) == 3 && COUNTED(&s, FAULT_DELAY) == 0);
	scene_end(&s);
}

static void
both_are_one_after_the_other(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s), *d = scene_client(&s);
	peer_says(&s, c, GET("/both"));
	scene_pass(&s, 180);
	HEARS(c, NULL);
	peer_says(&s, d, GET("/both")); /* too many: not delayed, but aborted */
	CU_ASSERT(d->len && s.log.status == 418 && s.log.flags == SL_RF_FI);
	scene_pass(&s, 40);
	CU_ASSERT(c->len && s.log.status == 418 && s.log.flags == (SL_RF_FI | SL_RF_DI));
	LOGGED_WHY(&s, "fault/abort");
	CU_ASSERT(COUNTED(&s, FAULT_ABORT) == 2 && COUNTED(&s, FAULT_DELAY) == 1 &&
		  COUNTED(&s, FAULT_LIMIT) == 1 && DELAYS(&s, 8) == 0 && !scene_up(&s, 0));
	scene_end(&s);
}

/* 5 % of 4000 are 200; chance alone keeps it within 60 of that but once in 10^5 seeds. */
static void
a_share_of_requests_is_drawn(void)
{
	unsigned first = 0;

	for (unsigned run = 0; run < 2; run++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		for (unsigned i = 0; i < 4000; i++) {
			uint64_t was = COUNTED(&s, FAULT_ABORT);
			peer_says(&s, c, GET("/some"));
			if (COUNTED(&s, FAULT_ABORT) == was)
				peer_says(&s, scene_up(&s, 0), OK2);
		}
		uint64_t n = COUNTED(&s, FAULT_ABORT);
		CU_ASSERT(n >= 140 && n <= 260);
		CU_ASSERT(run == 0 || n == first); /* the same seed, the same faults */
		first = (unsigned)n;
		scene_end(&s);
	}
}

/* ---- by header ---- */

static const struct asked_row {
	const char *lines;
	unsigned delay_ms, status;
} asked[] = {
	{"", 0, 0},
	{"x-sluice-fault-delay: 100\r\n", 100, 0},
	{"X-Sluice-Fault-Delay: 5000\r\n", 300, 0}, /* at most what the policy says */
	{"x-sluice-fault-abort: 404\r\n", 0, 404},
	{"x-sluice-fault-abort: 404\r\nx-sluice-fault-percent: 0\r\n", 0, 0},
	{"x-sluice-fault-abort: 404\r\nx-sluice-fault-percent: 0.00\r\n", 0, 0},
	{"x-sluice-fault-abort: 404\r\nx-sluice-fault-percent: 100.0\r\n", 0, 404},
	{"x-sluice-fault-abort: 404\r\nx-sluice-fault-percent: 900\r\n", 0, 404},
	{"x-sluice-fault-delay: 100\r\nx-sluice-fault-abort: 500\r\n", 100, 500},
	/* no such numbers */
	{"x-sluice-fault-abort: 199\r\n", 0, 0},
	{"x-sluice-fault-abort: 600\r\n", 0, 0},
	{"x-sluice-fault-abort: 66000\r\n", 0, 0},
	{"x-sluice-fault-abort: -503\r\n", 0, 0},
	{"x-sluice-fault-abort: 503x\r\n", 0, 0},
	{"x-sluice-fault-abort:\r\n", 0, 0},
	{"x-sluice-fault-delay: 1e3\r\n", 0, 0},
	{"x-sluice-fault-delay: 0\r\n", 0, 0},
	{"x-sluice-fault-delay: 99999999999999999999\r\n", 0, 0},
};

static void
requests_ask_for_faults_by_header(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(asked); i++) {
		const struct asked_row *r = &asked[i];
		struct scene s;
		char say[512];
		unsigned ms = 0;

		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		snprintf(say, sizeof(say), "GET /asked HTTP/1.1\r\nHost: h\r\nX-A: b\r\n%s\r\n",
			 r->lines);
		peer_says(&s, c, say);
		for (; !scene_up(&s, 0) && !c->len && ms < 1000; ms += 20)
			scene_pass(&s, 20);
		bool ok = ms >= r->delay_ms && ms <= r->delay_ms + 40 &&
			  COUNTED(&s, FAULT_DELAY) == (r->delay_ms != 0) &&
			  COUNTED(&s, FAULT_ABORT) == (r->status != 0);
		if (r->status)
			ok = ok && s.log.status == r->status;
		else /* endpoints do not see them */
			ok = ok && scene_up(&s, 0) &&
			     peer_heard(scene_up(&s, 0),
					"GET /asked HTTP/1.1\r\nHost: h\r\nX-A: b\r\n\r\n");
		if (!ok)
			printf("\n%s%u ms, status %u", r->lines, ms, s.log.status);
		CU_ASSERT(ok);
		scene_end(&s);
	}
}

static void
headers_mean_nothing_elsewhere(void)
{
	static const char say[] =
		"GET /delayed HTTP/1.1\r\nHost: h\r\nx-sluice-fault-abort: 500\r\n\r\n";
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, say);
	scene_pass(&s, 220);
	HEARS(scene_up(&s, 0), say);
	scene_answer(&s, c, 0);
	scene_end(&s);
}

SL_SUITE("http_fault", SL_TEST(a_delayed_request_goes_on_later),
	 SL_TEST(time_outs_begin_behind_the_delay),
	 SL_TEST(the_body_of_a_delayed_request_is_not_read),
	 SL_TEST(no_more_than_max_active_are_delayed),
	 SL_TEST(clients_that_go_meanwhile_are_not_counted_on),
	 SL_TEST(an_engine_that_ends_gives_its_delays_back), SL_TEST(aborted_requests_reach_nobody),
	 SL_TEST(both_are_one_after_the_other), SL_TEST(a_share_of_requests_is_drawn),
	 SL_TEST(requests_ask_for_faults_by_header), SL_TEST(headers_mean_nothing_elsewhere))
