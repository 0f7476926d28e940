/* The HTTP engine over fake streams: what goes wrong, whose fault it is said to be, and that nothing is left of it. */
#include "tests/l7/http_scene.h"

/* ---- requests that are refused ---- */

#define LINES10 "a:1\r\nb:1\r\nc:1\r\nd:1\r\ne:1\r\nf:1\r\ng:1\r\nh:1\r\ni:1\r\nj:1\r\n"
#define A100                                                                                       \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aaaaaaaaaaaa"
#define A1000 A100 A100 A100 A100 A100 A100 A100 A100 A100 A100

static const struct refusal {
	const char *why, *say;
	unsigned status, counter;
	uint32_t flags;
	bool close;
	uint8_t bad;
	uint32_t wait_ms;
} refusals[] = {
	{"no request line", "HELLO\r\n\r\n", 400, SL_HTTP_CNT_BAD_REQUEST, SL_RF_DPE, true,
	 SL_HTTP_BAD_LINE, 0},
	{"two lengths",
	 "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400,
	 SL_HTTP_CNT_BAD_REQUEST, SL_RF_DPE, true, SL_HTTP_BAD_LENGTH, 0},
	{"a length and chunked",
	 "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	 400, SL_HTTP_CNT_BAD_REQUEST, SL_RF_DPE, true, SL_HTTP_BAD_BOTH, 0},
	{"no Host", "GET / HTTP/1.1\r\n\r\n", 400, SL_HTTP_CNT_BAD_REQUEST, SL_RF_DPE, true,
	 SL_HTTP_BAD_HOST, 0},
	{"HTTP/2.0", "GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505, SL_HTTP_CNT_BAD_VERSION, SL_RF_DPE,
	 true, SL_HTTP_BAD_VERSION, 0},
	{"a path above the root", GET("/../x"), 400, SL_HTTP_CNT_BAD_PATH, SL_RF_DPE, true, 0, 0},
	{"a path with %00", GET("/a%00"), 400, SL_HTTP_CNT_BAD_PATH, SL_RF_DPE, true, 0, 0},
	{"a host that nobody has", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404, SL_HTTP_CNT_NO_HOST,
	 SL_RF_NR, false, 0, 0},
	{"a path that nobody has", "GET / HTTP/1.1\r\nHost: few\r\n\r\n", 404, SL_HTTP_CNT_NO_ROUTE,
	 SL_RF_NR, false, 0, 0},
	{"a service that is gone", GET("/nosvc"), 503, SL_HTTP_CNT_NO_SERVICE, SL_RF_NC, false, 0,
	 0},
	{"a head that is too long", "GET / HTTP/1.1\r\nHost: h\r\na: " A1000 A1000 "\r\n\r\n", 431,
	 SL_HTTP_CNT_HEAD_TOO_LARGE, SL_RF_DPE, true, SL_HTTP_BAD_TOO_LONG, 0},
	{"too many lines", "GET / HTTP/1.1\r\nHost: h\r\n" LINES10 LINES10 "\r\n", 431,
	 SL_HTTP_CNT_HEAD_TOO_LARGE, SL_RF_DPE, true, SL_HTTP_BAD_TOO_MANY, 0},
	{"a body that is too large by its length",
	 "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n01234567890", 413,
	 SL_HTTP_CNT_BODY_TOO_LARGE, SL_RF_DPE, true, 0, 0},
	{"a head that takes too long", "GET / HTTP/1.1\r\nHost: ", 408, SL_HTTP_CNT_HEAD_TIMEOUT,
	 SL_RF_DT, true, 0, 10100},
};

static void
refusals_say_why_and_close_where_the_end_is_not_known(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(refusals); i++) {
		const struct refusal *r = &refusals[i];
		struct scene s;

		scene_init(&s,
			   &(struct scene_conf){
				   .http = {.max_head = 2000, .max_headers = 15, .max_body = 10}});
		struct peer *c = scene_client(&s);
		peer_says(&s, c, r->say);
		if (r->wait_ms) {
			HEARS(c, NULL);
			scene_pass(&s, r->wait_ms);
		}
		bool ok = scene_error(c, r->status, r->close) &&
			  strcmp(peer_state(c), r->close ? "fin" : "open") == 0 &&
			  s.stats.count[r->counter] == 1 && s.logged == 1 &&
			  s.log.status == r->status && s.log.flags == r->flags &&
			  s.log.bad == r->bad && s.log.generation == 77 && s.log.why_len == 0 &&
			  s.stats.count[SL_HTTP_CNT_ANSWERS_1XX + r->status / 100 - 1] == 1 &&
			  !scene_up(&s, 0);
		if (!ok)
			printf("\n%s: %s, counted %lu, logged %u: %u flags %x bad %u\n", r->why,
			       peer_state(c), s.stats.count[r->counter], s.logged, s.log.status,
			       s.log.flags, s.log.bad);
		CU_ASSERT(ok);
		scene_end(&s);
	}
}

static void
a_refusal_leaves_what_came_before_it_alone(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/x") "what\r\n\r\n" GET("/y"));
	HEARS(scene_up(&s, 0), GET("/x"));
	HEARS(c, NULL);
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, OK2 "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: "
		     "12\r\nConnection: close\r\n\r\nBad Request\n");
	STATE(c, "fin");
	HEARS(scene_up(&s, 0), NULL);
	STATE(scene_up(&s, 0), "open");
	peer_says(&s, c, GET("/z")); /* read over */
	HEARS(c, NULL);
	scene_pass(&s, HTTP_LINGER_MS + 100);
	STATE(c, "gone");
	scene_end(&s);
}

static void
connect_is_not_offered_and_what_is_says_so(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n");
	HEARS(c, "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: text/plain\r\nAllow: GET, HEAD, "
		 "POST, PUT, DELETE, OPTIONS, TRACE, PATCH\r\n"
		 "Content-Length: 19\r\nConnection: close\r\n\r\nMethod Not Allowed\n");
	STATE(c, "fin");
	LOGGED(&s, 405, SL_RF_NR);
	CU_ASSERT_EQUAL(COUNTED(&s, METHOD_REFUSED), 1);
	scene_end(&s);
}

/* ---- bodies that are not what they should be ---- */

static void
a_chunked_body_over_the_limit_is_cut_at_the_endpoint(void)
{
	struct scene s;

	scene_init(&s, &(struct scene_conf){.http = {.max_body = 10}});
	struct peer *c = scene_client(&s);
	peer_says(&s, c,
		  "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
		  "chunked\r\n\r\na\r\n0123456789\r\n");
	HEARS(scene_up(&s, 0),
	      "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789");
	peer_says(&s, c, "1\r\nx\r\n0\r\n\r\n");
	ERROR_CLOSE(c, 413);
	STATE(c, "fin");
	STATE(scene_up(&s, 0), "reset");
	LOGGED(&s, 413, SL_RF_DPE);
	CU_ASSERT(COUNTED(&s, BODY_TOO_LARGE) == 1 && s.ep[0].bad == 0);
	scene_end(&s);
}

static void
a_broken_chunk_is_cut_at_the_endpoint(void)
{
	static const char *const rows[] = {"x\r\n",
					   "-1\r\n",
					   "3\r\nabcd\r\n",
					   "3\nabc\r\n",
					   "10000000000000000\r\n",
					   "0\r\nContent-Length: 1\r\n\r\n",
					   "0\r\n a: b\r\n\r\n"};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c,
			  "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
			  "chunked\r\n\r\n1\r\na\r\n");
		struct peer *up = scene_up(&s, 0);
		up->len = 0;
		peer_says(&s, c, rows[i]);
		ERROR_CLOSE(c, 400);
		STATE(c, "fin");
		STATE(up, "reset");
		LOGGED(&s, 400, SL_RF_DPE);
		CU_ASSERT_EQUAL(COUNTED(&s, BAD_REQUEST), 1);
		CU_ASSERT(s.ep[0].bad == 0);
		scene_end(&s);
	}
}

static void
a_body_that_stands_still_is_given_up(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "PUT /idle HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
	scene_pass(&s, 200);
	peer_says(&s, c, "d");
	scene_pass(&s, 200);
	HEARS(c, NULL);
	scene_pass(&s, 120);
	ERROR_CLOSE(c, 408);
	STATE(c, "fin");
	STATE(scene_up(&s, 0), "reset");
	CU_ASSERT(COUNTED(&s, BODY_TIMEOUT) == 1 && s.ep[0].bad == 0);
	CU_ASSERT(s.log.status == 408 && s.log.flags & SL_RF_SI);
	scene_end(&s);
}

static const struct blameless {
	const char *why, *say;
	bool silent;
} blameless[] = {
	{"the body is there and there is no connection",
	 "PUT /idle HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", true},
	{"nobody said 100",
	 "PUT /idle HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
	 false},
};

static void
a_body_that_nobody_takes_is_not_the_clients_fault(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(blameless); i++) {
		struct scene s;
		scene_init(&s, NULL);
		s.ep[0].silent = blameless[i].silent;
		struct peer *c = scene_client(&s);
		peer_says(&s, c, blameless[i].say);
		scene_pass(&s, 400);
		if (!scene_error(c, 504, true)) {
			printf("\n%s", blameless[i].why);
			CU_FAIL("not 504");
		}
		STATE(c, "fin");
		CU_ASSERT(COUNTED(&s, BODY_TIMEOUT) == 0 && COUNTED(&s, STREAM_IDLE) == 1);
		scene_end(&s);
	}
}

/* ---- answers that are none ---- */

static const struct nonsense {
	const char *why, *say;
} nonsense[] = {
	{"no status line", "hello\r\n\r\n"},
	{"a status that is none", "HTTP/1.1 99 x\r\n\r\n"},
	{"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n"},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"},
	{"a length and chunked",
	 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{"another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"},
	{"a fold", "HTTP/1.1 200 OK\r\nA: 1\r\n 2\r\n\r\n"},
	{"204 with a body", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello"},
	{"101 that nobody asked for",
	 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
};

static void
nonsense_of_an_endpoint_is_502_and_its_connection_ends(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(nonsense); i++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/reset")); /* is not tried again: it is no reset */
		peer_says(&s, scene_up(&s, 0), nonsense[i].say);
		if (!scene_error(c, 502, false)) {
			printf("\n%s", nonsense[i].why);
			CU_FAIL("not 502");
		}
		STATE(c, "open");
		STATE(scene_up(&s, 0), "reset");
		LOGGED(&s, 502, SL_RF_UPE);
		CU_ASSERT(COUNTED(&s, UPSTREAM_BAD) == 1 && s.ep[0].bad == 1 &&
			  COUNTED(&s, RETRY) == 0);
		scene_end(&s);
	}
}

static void
a_head_without_end_is_nonsense_too(void)
{
	static char line[] = "a: " A1000 "\r\n";
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/once"));
	struct peer *up = scene_up(&s, 0);
	peer_says(&s, up, "HTTP/1.1 200 OK\r\n");
	for (unsigned i = 0; i < 70 && up->s; i++)
		peer_says_bytes(&s, up, line, sizeof(line) - 1);
	ERROR(c, 502);
	STATE(up, "reset");
	scene_end(&s);
}

/* ---- an endpoint dies ---- */

static const struct death {
	const char *why, *say; /* before it dies */
	bool fin;
	const char *heard; /* by the client, NULL: an error */
	const char *is;
	unsigned status, counter;
	uint32_t flags;
} deaths[] = {
	{"before a byte, by RST", NULL, false, NULL, "open", 502, SL_HTTP_CNT_UPSTREAM_RESET,
	 SL_RF_UC},
	{"before a byte, by FIN", NULL, true, NULL, "open", 502, SL_HTTP_CNT_UPSTREAM_RESET,
	 SL_RF_UC},
	{"in the head, by RST", "HTTP/1.1 200", false, NULL, "open", 502,
	 SL_HTTP_CNT_UPSTREAM_RESET, SL_RF_UC},
	{"in the head, by FIN", "HTTP/1.1 200", true, NULL, "open", 502, SL_HTTP_CNT_UPSTREAM_RESET,
	 SL_RF_UC},
	{"behind 100, by FIN", "HTTP/1.1 103 Early Hints\r\n\r\n", true,
	 "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 502 Bad Gateway\r\nContent-Type: "
	 "text/plain\r\nContent-Length: 12\r\n\r\nBad Gateway\n",
	 "open", 502, SL_HTTP_CNT_UPSTREAM_RESET, SL_RF_UC},
	{"in a body of a length, by RST", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", false,
	 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "reset", 200, SL_HTTP_CNT_ANSWER_CUT,
	 SL_RF_UC},
	{"in a body of a length, by FIN", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", true,
	 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "reset", 200, SL_HTTP_CNT_ANSWER_CUT,
	 SL_RF_UC},
	{"in a chunk, by FIN", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
	 true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "reset", 200,
	 SL_HTTP_CNT_ANSWER_CUT, SL_RF_UC},
	{"before the last chunk, by FIN",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true,
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", "reset", 200,
	 SL_HTTP_CNT_ANSWER_CUT, SL_RF_UC},
	{"in the trailers, by FIN", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\na: ",
	 true, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "reset", 200,
	 SL_HTTP_CNT_ANSWER_CUT, SL_RF_UC},
	{"in a body that lasts until the end, by RST", "HTTP/1.1 200 OK\r\n\r\nabc", false,
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc", "reset", 200,
	 SL_HTTP_CNT_ANSWER_CUT, SL_RF_UC},
	{"in no chunk at all", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
	 false, "", "reset", 200, SL_HTTP_CNT_ANSWER_CUT, SL_RF_UPE},
};

static void
an_endpoint_that_dies_is_502_before_its_answer_and_a_reset_in_it(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(deaths); i++) {
		const struct death *d = &deaths[i];
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/once"));
		struct peer *up = scene_up(&s, 0);
		if (d->say)
			peer_says(&s, up, d->say);
		if (d->fin)
			peer_fin(&s, up);
		else
			peer_reset(&s, up);
		bool ok = d->heard ? peer_heard(c, d->heard) : scene_error(c, 502, false);
		ok = ok && strcmp(peer_state(c), d->is) == 0 && s.stats.count[d->counter] == 1 &&
		     s.logged == 1 && s.log.status == d->status && s.log.flags == d->flags &&
		     s.ep[0].bad == 1;
		if (!ok)
			printf("\n%s: %s, counted %lu, logged %u %x, results %u %u\n", d->why,
			       peer_state(c), s.stats.count[d->counter], s.log.status, s.log.flags,
			       s.ep[0].ok, s.ep[0].bad);
		CU_ASSERT(ok);
		scene_end(&s);
	}
}

static void
an_endpoint_that_dies_between_requests_is_not_noticed(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/once"));
	scene_answer(&s, c, 0);
	peer_fin(&s, scene_up(&s, 0));
	STATE(c, "open");
	CU_ASSERT_EQUAL(COUNTED(&s, POOL_CLOSED), 1);
	peer_says(&s, c, GET("/once"));
	CU_ASSERT_EQUAL(scene_ups(&s, 0), 1);
	scene_answer(&s, c, 0);
	CU_ASSERT_EQUAL(s.ep[0].bad, 0);
	scene_end(&s);
}

/* ---- limits ---- */

static void
a_service_has_as_many_requests_as_it_may(void)
{
	struct scene s;

	scene_init(&s, NULL);
	s.service[0].http.max_requests = 1;
	struct peer *a = scene_client(&s), *b = scene_client(&s);
	peer_says(&s, a, GET("/x"));
	peer_says(&s, b, GET("/x"));
	ERROR(b, 503);
	LOGGED(&s, 503, SL_RF_UO);
	LOGGED_WHY(&s, "max_requests");
	CU_ASSERT_EQUAL(COUNTED(&s, OVERFLOW), 1);
	scene_answer(&s, a, 0);
	LOGGED_WHY(&s, "");
	peer_says(&s, b, GET("/x"));
	scene_answer(&s, b, 0);
	scene_end(&s);
}

static void
who_waits_for_a_connection_gets_the_next_one_that_is_free(void)
{
	struct scene s;

	scene_init(&s, NULL);
	s.service[0].tcp.max_connections = 1;
	s.service[0].http.max_pending = 1;
	struct peer *a = scene_client(&s), *b = scene_client(&s), *c = scene_client(&s);
	peer_says(&s, a, GET("/a"));
	peer_says(&s, b, GET("/b2"));
	peer_says(&s, c, GET("/c"));
	ERROR(c, 503);
	LOGGED(&s, 503, SL_RF_UO);
	LOGGED_WHY(&s, "max_pending");
	HEARS(scene_up(&s, 0), GET("/a"));
	scene_answer(&s, a, 0);
	HEARS(scene_up(&s, 0), GET("/b2"));
	peer_says(&s, c, GET("/c"));
	HEARS(c, NULL);
	peer_reset(&s, c); /* he who waits goes */
	scene_answer(&s, b, 0);
	CU_ASSERT_EQUAL(scene_ups(&s, 0), 1);
	scene_end(&s);
}

static void
without_memory_requests_are_refused_and_the_gateway_goes_on(void)
{
	static char big[70000];
	struct scene s;
	struct peer *c[20];
	unsigned refused = 0, sent = 0;

	scene_init(&s, &(struct scene_conf){.exchanges = 2});
	for (unsigned i = 0; i < 3; i++) {
		c[i] = scene_client(&s);
		peer_says(&s, c[i], GET("/x"));
	}
	ERROR_CLOSE(c[2], 503);
	LOGGED(&s, 503, SL_RF_OM);
	CU_ASSERT_EQUAL(COUNTED(&s, NO_MEMORY), 1);
	c[2] = scene_client(&s);
	peer_says(&s, c[2], "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
	HEARS(c[2], "HTTP/1.1 503 Service Unavailable\r\nContent-Type: "
		    "text/plain\r\nContent-Length: 20\r\nConnection: close\r\n\r\n");
	scene_end(&s);

	scene_init(&s, &(struct scene_conf){
			       .head_bytes = 1 << 20}); /* large heads, each a piece of 64 KiB */
	memset(big, 'x', 40000);
	for (unsigned i = 0; i < 20; i++) {
		c[i] = scene_client(&s);
		peer_says(&s, c[i], "GET /x HTTP/1.1\r\nHost: h\r\na: ");
		peer_says_bytes(&s, c[i], big, 40000);
		peer_says(&s, c[i], "\r\n\r\n");
		refused += c[i]->len > 0;
	}
	for (unsigned i = 0; i < s.peer_cnt; i++)
		sent += s.peers[i].endpoint == 0;
	CU_ASSERT(sent + refused == 20 && sent >= 14 && refused >= 1 &&
		  COUNTED(&s, NO_MEMORY) == refused);
	scene_end(&s);
}

/* A head goes in one piece: one that is larger than all a client may be sent at a time cannot. */
static void
a_head_that_no_room_will_hold_ends_the_connection(void)
{
	struct scene s;

	scene_init(&s, &(struct scene_conf){.snd_max = 4096});
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/x") GET("/x"));
	scene_answer(&s, c, 0);
	peer_says(&s, scene_up(&s, 0),
		  "HTTP/1.1 200 OK\r\na: " A1000 A1000 A1000 A1000 A1000
		  "\r\nContent-Length: 2\r\n\r\nok");
	STATE(c, "reset");
	STATE(scene_up(&s, 0), "reset");
	CU_ASSERT(COUNTED(&s, NO_MEMORY) == 1 && s.log.flags & SL_RF_OM && s.ep[0].bad == 0);
	scene_end(&s);
}

static void
a_listener_has_as_many_connections_as_it_may(void)
{
	struct scene s;

	scene_init(&s, NULL);
	s.rule.listener_max = 2;
	struct peer *a = scene_client(&s), *b = scene_client(&s);
	CU_ASSERT(a && b && !scene_client(&s));
	peer_reset(&s, a);
	CU_ASSERT_PTR_NOT_NULL(scene_client(&s));
	scene_end(&s);
}

/* ---- the client goes ---- */

enum stage {
	IN_HEAD,
	CONNECTING,
	WAITING,
	SENT,
	IN_BODY,
	IN_CHUNK,
	IN_TRAILERS,
	IN_ANSWER,
	IN_LOCAL_BODY,
	IN_TUNNEL,
	IN_BACKOFF,
	LINGERING,
	FULL,
	STAGES
};

/* To the stage; what the client has said does not end the request. */
static struct peer *
go_to(struct scene *s, enum stage stage)
{
	static char big[100000];

	s->ep[0].silent = stage == CONNECTING;
	struct peer *c = scene_client(s);
	switch (stage) {
	case IN_HEAD:
		peer_says(s, c, "GET /x HTTP");
		break;
	case CONNECTING:
	case SENT:
		peer_says(s, c, GET("/slow"));
		break;
	case WAITING:
		s->service[0].tcp.max_connections = 1;
		peer_says(s, scene_client(s), GET("/slow"));
		peer_says(s, c, GET("/slow"));
		break;
	case IN_BODY:
		peer_says(s, c, "PUT /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
		break;
	case IN_CHUNK:
		peer_says(s, c,
			  "PUT /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
			  "chunked\r\n\r\n9\r\nabc");
		break;
	case IN_TRAILERS:
		peer_says(s, c,
			  "PUT /slow HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
			  "chunked\r\n\r\n0\r\na: ");
		break;
	case IN_ANSWER:
		peer_says(s, c, GET("/slow"));
		peer_says(s, scene_up(s, 0), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
		break;
	case IN_LOCAL_BODY:
		peer_says(s, c, "PUT /direct HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc");
		break;
	case IN_TUNNEL:
		peer_says(
			s, c,
			"GET /x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
		peer_says(s, scene_up(s, 0),
			  "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
		break;
	case IN_BACKOFF:
		peer_says(s, c, GET("/backoff"));
		peer_says(s, scene_up(s, 0), "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
		break;
	case LINGERING:
		peer_says(s, c, "GET /x HTTP/2.0\r\n\r\n");
		break;
	default: /* neither reads what it is sent */
		c->hold = true;
		peer_says(s, c, GET("/slow"));
		peer_says(s, scene_up(s, 0), "HTTP/1.1 200 OK\r\n\r\n");
		peer_says_bytes(s, scene_up(s, 0), big, sizeof(big));
		break;
	}
	return c;
}

static void
a_client_may_go_at_every_stage_and_nothing_is_left(void)
{
	for (unsigned stage = 0; stage < STAGES; stage++) {
		for (unsigned how = 0; how < 4; how++) {
			struct scene s;
			scene_init(&s, NULL);
			struct peer *c = go_to(&s, stage);
			uint64_t exchanges = s.stats.exchanges;
			if (how == 0)
				peer_reset(&s, c);
			else if (how == 1)
				peer_fin(&s, c);
			if (how == 0 && exchanges) {
				CU_ASSERT_EQUAL(s.stats.exchanges, exchanges - 1);
				CU_ASSERT(s.log.flags & SL_RF_DC && COUNTED(&s, CLIENT_GONE) == 1);
				CU_ASSERT(s.ep[0].bad == (stage == IN_BACKOFF));
			}
			if (how == 1 && stage >= IN_BODY && stage <= IN_TRAILERS) {
				STATE(c, "reset");
				CU_ASSERT(COUNTED(&s, CLIENT_GONE) == 1);
			}
			if (how == 2) /* time does it all */
				scene_pass(&s, 400000);
			scene_end(&s); /* how 3: the gateway's own end, at once */
		}
	}
}

static void
the_gateway_may_stop_at_every_stage(void)
{
	for (unsigned stage = 0; stage < STAGES; stage++) {
		struct scene s;
		scene_init(&s, NULL);
		go_to(&s, stage);
		sl_http_drop_all(s.http);
		scene_run(&s);
		CU_ASSERT_EQUAL(fake_live(s.tcp), 0);
		scene_end(&s);
	}
}

/* ---- the operator ---- */

static void
a_listener_that_goes_takes_idle_connections_and_leaves_exchanges_their_end(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *idle = scene_client(&s), *busy = scene_client(&s);
	peer_says(&s, busy, GET("/x"));
	s.no_listener = true;
	scene_pass(&s, 2 * HTTP_SWEEP_MS + 100);
	STATE(idle, "reset");
	STATE(busy, "open");
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(busy, OK2);
	STATE(busy, "fin");
	CU_ASSERT_EQUAL(COUNTED(&s, DROPPED_ADMIN), 1);
	scene_end(&s);
}

static void
what_an_endpoint_was_answering_when_it_was_taken_away_may_end(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *a = scene_client(&s);
	peer_says(&s, a, GET("/once"));
	s.ep[0].dead = true;
	scene_pass(&s, HTTP_SWEEP_MS - 100);
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(a, OK2);
	CU_ASSERT_EQUAL(COUNTED(&s, DROPPED_ADMIN), 0);
	scene_end(&s);
}

static void
an_endpoint_that_is_taken_away_is_left_within_three_seconds(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *a = scene_client(&s), *b = scene_client(&s), *c = scene_client(&s),
		    *d = scene_client(&s);
	peer_says(&s, d, GET("/x")); /* its connection is idle then */
	scene_answer(&s, d, 0);
	peer_says(&s, a, GET("/reset"));
	peer_says(&s, b, GET("/once"));
	peer_says(&s, c, GET("/x"));
	peer_says(&s, scene_up(&s, 0), "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n1");
	s.ep[0].dead = true;
	scene_pass(&s, 3 * HTTP_SWEEP_MS + 100);
	CU_ASSERT_EQUAL(scene_ups(&s, 0), 0);
	HEARS(scene_up(&s, 1), GET("/reset"));
	scene_answer(&s, a, 1);
	ERROR(b, 503);
	STATE(c, "reset");
	STATE(d, "open");
	CU_ASSERT_EQUAL(COUNTED(&s, DROPPED_ADMIN), 3);
	CU_ASSERT_EQUAL(s.ep[0].bad, 0); /* it was not its fault */
	scene_end(&s);
}

static void
a_service_that_goes_leaves_no_retry(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/reset"));
	s.no_service = true;
	peer_reset(&s, scene_up(&s, 0));
	ERROR(c, 502);
	peer_says(&s, c, GET("/reset"));
	ERROR(c, 503);
	LOGGED(&s, 503, SL_RF_NC);
	scene_end(&s);
}

SL_SUITE("http_fail", SL_TEST(refusals_say_why_and_close_where_the_end_is_not_known),
	 SL_TEST(a_refusal_leaves_what_came_before_it_alone),
	 SL_TEST(connect_is_not_offered_and_what_is_says_so),
	 SL_TEST(a_chunked_body_over_the_limit_is_cut_at_the_endpoint),
	 SL_TEST(a_broken_chunk_is_cut_at_the_endpoint),
	 SL_TEST(a_body_that_stands_still_is_given_up),
	 SL_TEST(a_body_that_nobody_takes_is_not_the_clients_fault),
	 SL_TEST(nonsense_of_an_endpoint_is_502_and_its_connection_ends),
	 SL_TEST(a_head_without_end_is_nonsense_too),
	 SL_TEST(an_endpoint_that_dies_is_502_before_its_answer_and_a_reset_in_it),
	 SL_TEST(an_endpoint_that_dies_between_requests_is_not_noticed),
	 SL_TEST(a_service_has_as_many_requests_as_it_may),
	 SL_TEST(who_waits_for_a_connection_gets_the_next_one_that_is_free),
	 SL_TEST(without_memory_requests_are_refused_and_the_gateway_goes_on),
	 SL_TEST(a_head_that_no_room_will_hold_ends_the_connection),
	 SL_TEST(a_listener_has_as_many_connections_as_it_may),
	 SL_TEST(a_client_may_go_at_every_stage_and_nothing_is_left),
	 SL_TEST(the_gateway_may_stop_at_every_stage),
	 SL_TEST(a_listener_that_goes_takes_idle_connections_and_leaves_exchanges_their_end),
	 SL_TEST(what_an_endpoint_was_answering_when_it_was_taken_away_may_end),
	 SL_TEST(an_endpoint_that_is_taken_away_is_left_within_three_seconds),
	 SL_TEST(a_service_that_goes_leaves_no_retry))
