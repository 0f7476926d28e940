/* What an exchange leaves behind: bytes that nobody reads, the id in its record, results of shadows, waits. */
#include "tests/l7/http_scene.h"

/* Some clients put a CR LF behind a body, and end then: a reset would take the answer from them (RFC 9112, 2.2). */
static void
bytes_before_a_clients_end_do_not_reset_it(void)
{
	static const struct {
		const char *bytes, *reason;
	} rows[] = {
		{"", "nothing"},
		{"\r\n", "an empty line"},
		{"GET / HT", "half a head"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene s;
		struct scene_conf conf = {0};
		scene_init(&s, &conf);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/empty"));
		peer_says(&s, c, rows[i].bytes);
		peer_fin(&s, c);
		CU_ASSERT(!c->rst);
		if (c->rst)
			printf("reset behind %s\n", rows[i].reason);
		scene_end(&s);
	}
}

static void
log_id(const struct scene *s, char ret[SL_REQUEST_ID_LEN + 1])
{
	const struct sl_event_access *e = &s->log;

	CU_ASSERT_EQUAL_FATAL(e->id_len, SL_REQUEST_ID_LEN);
	memcpy(ret, s->log_strings + e->method_len + e->host_len + e->path_len + e->agent_len,
	       SL_REQUEST_ID_LEN);
	ret[SL_REQUEST_ID_LEN] = 0;
}

static void
each_record_has_an_id_of_its_own(void)
{
	static const char *const says[] = {
		GET("/direct"),
		GET("/old"),
		"GET / HTTP/1.1\r\nHost: few\r\n\r\n",
		"GET /%00 HTTP/1.1\r\nHost: h\r\n\r\n",
	};
	char before[SL_REQUEST_ID_LEN + 1], id[SL_REQUEST_ID_LEN + 1];
	struct scene s;
	struct scene_conf conf = {0};

	scene_init(&s, &conf);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/plain"));
	scene_answer(&s, c, 0);
	log_id(&s, before);
	for (size_t i = 0; i < SL_ARRAY_CNT(says); i++) {
		peer_says(&s, c, says[i]);
		CU_ASSERT_EQUAL(s.logged, i + 2);
		log_id(&s, id);
		CU_ASSERT_STRING_NOT_EQUAL(id, before);
		memcpy(before, id, sizeof(id));
	}
	scene_end(&s);
}

static void
answers_to_shadows_say_whether_their_endpoint_is_well(void)
{
	struct scene s;
	struct scene_conf conf = {0};

	scene_init(&s, &conf);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/mirror"));
	peer_says(&s, scene_up(&s, 2), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	CU_ASSERT(s.ep[2].ok == 1 && s.ep[2].bad == 0);
	scene_answer(&s, c, 0);
	peer_says(&s, c, GET("/mirror"));
	peer_says(&s, scene_up(&s, 2), "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
	CU_ASSERT(s.ep[2].ok == 1 && s.ep[2].bad == 1);
	scene_answer(&s, c, 0);
	peer_says(&s, c, GET("/mirror"));
	peer_says(&s, scene_up(&s, 2), "what\r\n\r\n");
	CU_ASSERT(s.ep[2].ok == 1 && s.ep[2].bad == 2);
	scene_end(&s);
}

/* A refusal holds an exchange while the body is read over: no longer than a stream may stand still. */
static void
a_refused_body_that_never_comes_is_not_waited_for_like_an_idle_client(void)
{
	struct scene s;
	struct scene_conf conf = {.http = {.stream_idle_ms = 3000, .idle_ms = 600000}};

	scene_init(&s, &conf);
	struct peer *c = scene_client(&s);
	scene_run(&s);
	peer_says(&s, c, GET("/empty"));
	scene_pass(&s, 20000); /* the timer of the first request is over */
	peer_says(&s, c, "POST / HTTP/1.1\r\nHost: few\r\nContent-Length: 5\r\n\r\n");
	CU_ASSERT_EQUAL(s.stats.exchanges, 1);
	scene_pass(&s, 4000);
	CU_ASSERT_EQUAL(s.stats.exchanges, 0);
	scene_end(&s);
}

/* Of 64 KiB of a direct response there is never room for all, and of less when the client has not read what came before. */
static void
answers_of_the_gateway_wait_for_a_client_with_little_room(void)
{
	static const char post[] = "POST /direct HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nx-r: 1\r\n"
				     "Content-Length: 6\r\n\r\nhello\n";
	struct scene s;
	struct scene_conf conf = {.snd_max = 64};

	scene_init(&s, &conf);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/direct") GET("/direct"));
	CU_ASSERT_EQUAL(c->len, 2 * strlen(answer));
	peer_says(&s, c, post);
	peer_says(&s, c, "abc" GET("/empty"));
	STATE(c, "open");
	CU_ASSERT_FATAL(c->len > 3 * strlen(answer));
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_NSTRING_EQUAL(c->got + i * strlen(answer), answer, strlen(answer));
	CU_ASSERT_EQUAL(COUNTED(&s, REQUESTS), 4);
	CU_ASSERT_EQUAL(s.stats.exchanges, 0);
	c->hold = true;
	peer_says(&s, c, "GET /direct HTTP/1.0\r\nHost: h\r\n\r\n");
	CU_ASSERT_EQUAL(s.stats.exchanges, 1);
	peer_reset(&s, c);
	CU_ASSERT_EQUAL(s.stats.exchanges, 0);
	scene_end(&s);
	CU_ASSERT_EQUAL(s.stats.head_bytes, 0);
}

SL_SUITE("http rest", SL_TEST(bytes_before_a_clients_end_do_not_reset_it),
	 SL_TEST(each_record_has_an_id_of_its_own),
	 SL_TEST(answers_to_shadows_say_whether_their_endpoint_is_well),
	 SL_TEST(a_refused_body_that_never_comes_is_not_waited_for_like_an_idle_client),
	 SL_TEST(answers_of_the_gateway_wait_for_a_client_with_little_room))
