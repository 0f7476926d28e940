/* The HTTP engine over fake streams: what goes right.  test_http_fail.c: what does not. */
#include "tests/l7/http_scene.h"

/* ---- dialogues: on a fresh connection, in whole pieces and byte by byte ---- */

enum who {
	END,
	SAY, /* the client */
	HEAR,
	ENDPOINT_HEAR, /* endpoint 0, on its newest connection */
	ENDPOINT_SAY,
	FIN, /* the client */
	ENDPOINT_FIN,
	IS,          /* peer_state of the client */
	ENDPOINT_IS, /* of the connection to the endpoint */
};

struct dialogue {
	const char *why;
	struct {
		enum who who;
		const char *text;
	} step[14];
	bool whole; /* not byte by byte: framing follows the pieces */
};

#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"
#define R200 "HTTP/1.1 200 OK\r\n"

static const struct dialogue dialogues[] = {
	{.why = "a request, its answer, and both connections go on",
	 .step = {{SAY, GET("/a?b=c")},
		  {ENDPOINT_HEAR, GET("/a?b=c")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {IS, "open"},
		  {ENDPOINT_IS, "open"},
		  {SAY, GET("/b2")},
		  {ENDPOINT_HEAR, GET("/b2")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "three requests in one write are answered in order",
	 .step = {{SAY, GET("/1") GET("/2") GET("/direct")},
		  {ENDPOINT_HEAR, GET("/1")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {ENDPOINT_HEAR, GET("/2")},
		  {ENDPOINT_SAY, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
		  {HEAR, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n" R200
			 "Content-Type: text/plain\r\nx-r: 1\r\nContent-Length: 6\r\n\r\nhello\n"},
		  {IS, "open"}}},
	{.why = "HEAD has no body, whatever its length says",
	 .step = {{SAY, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"},
		  {ENDPOINT_HEAR, "HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n"},
		  {ENDPOINT_SAY, R200 "Content-Length: 99\r\n\r\n"},
		  {HEAR, R200 "Content-Length: 99\r\n\r\n"},
		  {IS, "open"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "204 and 304 have none either",
	 .step = {{SAY, GET("/a") GET("/b2")},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, "HTTP/1.1 204 No Content\r\n\r\n"},
		  {HEAR, "HTTP/1.1 204 No Content\r\n\r\n"},
		  {ENDPOINT_HEAR, GET("/b2")},
		  {ENDPOINT_SAY, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		  {HEAR, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"},
		  {IS, "open"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "a request body by its length, and what follows is the next request",
	 .step = {{SAY, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhelloGET /b2 "
			"HTTP/1.1\r\nHost: h\r\n\r\n"},
		  {ENDPOINT_HEAR, "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {ENDPOINT_HEAR, GET("/b2")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "chunked both ways, with trailers; extensions stay here",
	 .step = {{SAY, "PUT /a HTTP/1.1\r\nHost: h\r\n" CHUNKED
			"3;x=\"y\"\r\nabc\r\n00a\r\n0123456789\r\n0\r\nX-T:1\r\nx-u: 2\r\n\r\n"},
		  {ENDPOINT_HEAR, "PUT /a HTTP/1.1\r\nHost: h\r\n" CHUNKED
				  "3\r\nabc\r\na\r\n0123456789\r\n0\r\nX-T: 1\r\nx-u: 2\r\n\r\n"},
		  {ENDPOINT_SAY, R200 CHUNKED "2\r\nok\r\n000;last\r\nE: f\r\n\r\n"},
		  {HEAR, R200 CHUNKED "2\r\nok\r\n0\r\nE: f\r\n\r\n"},
		  {IS, "open"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "an empty chunked body",
	 .step = {{SAY, "PUT /a HTTP/1.1\r\nHost: h\r\n" CHUNKED "0\r\n\r\n"},
		  {ENDPOINT_HEAR, "PUT /a HTTP/1.1\r\nHost: h\r\n" CHUNKED "0\r\n\r\n"},
		  {ENDPOINT_SAY, R200 CHUNKED "0\r\n\r\n"},
		  {HEAR, R200 CHUNKED "0\r\n\r\n"},
		  {IS, "open"}}},
	{.why = "an answer that lasts until the end becomes chunked, and the client's connection "
		"goes on",
	 .step = {{SAY, GET("/a")},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, R200 "A: 1\r\n\r\nhello"},
		  {ENDPOINT_SAY, " you"},
		  {ENDPOINT_FIN, NULL},
		  {HEAR, R200 "A: 1\r\n" CHUNKED "5\r\nhello\r\n4\r\n you\r\n0\r\n\r\n"},
		  {IS, "open"},
		  {SAY, GET("/b2")},
		  {ENDPOINT_HEAR, GET("/b2")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}},
	 .whole = true},
	{.why = "to an HTTP/1.0 client it lasts until the end",
	 .step = {{SAY, "GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, R200 "A: 1\r\n\r\nhello"},
		  {ENDPOINT_FIN, NULL},
		  {HEAR, R200 "A: 1\r\nConnection: close\r\n\r\nhello"},
		  {IS, "fin"}}},
	{.why = "and so does a chunked one, without its framing",
	 .step = {{SAY, "GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, R200 CHUNKED "5\r\nhello\r\n4\r\n you\r\n0\r\nx: y\r\n\r\n"},
		  {HEAR, R200 "Connection: close\r\n\r\nhello you"},
		  {IS, "fin"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "HTTP/1.0 may keep its connection where the length is known",
	 .step = {{SAY, "GET /a HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, R200 "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nok"},
		  {IS, "open"}}},
	{.why = "and does not unless it asks for it",
	 .step = {{SAY, "GET /a HTTP/1.0\r\nHost: h\r\n\r\n"},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, R200 "Content-Length: 2\r\nConnection: close\r\n\r\nok"},
		  {IS, "fin"},
		  {FIN, NULL},
		  {IS, "gone"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "a client that says close is told so, and its FIN follows the answer",
	 .step = {{SAY, "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, R200 "Content-Length: 2\r\nConnection: close\r\n\r\nok"},
		  {IS, "fin"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "a client that ends its side still gets its answer",
	 .step = {{SAY, GET("/a")},
		  {FIN, NULL},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {IS, "gone"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "an endpoint that says close is not used again",
	 .step = {{SAY, GET("/a")},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, R200 "Content-Length: 2\r\nConnection: close\r\n\r\nok"},
		  {HEAR, OK2},
		  {IS, "open"},
		  {ENDPOINT_IS, "reset"}}},
	{.why = "an endpoint of HTTP/1.0 neither",
	 .step = {{SAY, GET("/a")},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
		  {HEAR, OK2},
		  {ENDPOINT_IS, "reset"}}},
	{.why = "100 passes before the answer, as often as it comes; the body waits for it",
	 .step = {{SAY, "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
			"2\r\n\r\n"},
		  {ENDPOINT_HEAR, "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: "
				  "100-continue\r\nContent-Length: 2\r\n\r\n"},
		  {ENDPOINT_SAY,
		   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
		  {HEAR,
		   "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"},
		  {SAY, "hi"},
		  {ENDPOINT_HEAR, "hi"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {IS, "open"},
		  {ENDPOINT_IS, "open"}}},
	{.why = "a final answer instead of 100 ends the connection: the body may come or not",
	 .step = {{SAY, "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
			"2\r\n\r\n"},
		  {ENDPOINT_HEAR, "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: "
				  "100-continue\r\nContent-Length: 2\r\n\r\n"},
		  {ENDPOINT_SAY, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n"},
		  {HEAR, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: "
			 "close\r\n\r\n"},
		  {IS, "fin"},
		  {ENDPOINT_IS, "reset"}}},
	{.why = "so does the gateway's own answer",
	 .step = {{SAY, "PUT /direct HTTP/1.1\r\nHost: h\r\nExpect: "
			"100-continue\r\nContent-Length: 2\r\n\r\n"},
		  {HEAR, R200 "Content-Type: text/plain\r\nx-r: 1\r\nContent-Length: "
			      "6\r\nConnection: close\r\n\r\nhello\n"},
		  {IS, "fin"}}},
	{.why = "interim answers are not for HTTP/1.0",
	 .step = {{SAY, "GET /a HTTP/1.0\r\nHost: h\r\n\r\n"},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, "HTTP/1.1 103 Early Hints\r\n\r\n" OK2},
		  {HEAR, R200 "Content-Length: 2\r\nConnection: close\r\n\r\nok"}}},
	{.why = "an upgrade becomes a tunnel, both ways and to both ends",
	 .step = {{SAY, "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: ws\r\nConnection: upgrade\r\n\r\n"},
		  {ENDPOINT_HEAR,
		   "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: ws\r\nConnection: upgrade\r\n\r\n"},
		  {ENDPOINT_SAY, "HTTP/1.1 101 Switching Protocols\r\nConnection: "
				 "Upgrade\r\nUpgrade: ws\r\n\r\n\1first"},
		  {HEAR, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: ws\r\nConnection: "
			 "upgrade\r\n\r\n\1first"},
		  {SAY, "GET \2"},
		  {ENDPOINT_HEAR, "GET \2"},
		  {ENDPOINT_FIN, NULL},
		  {IS, "fin"},
		  {SAY, "bye"},
		  {ENDPOINT_HEAR, "bye"},
		  {FIN, NULL},
		  {IS, "gone"},
		  {ENDPOINT_IS, "gone"}}},
	{.why = "an upgrade that is refused leaves HTTP; what was sent behind it is the next "
		"request",
	 .step = {{SAY,
		   "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: ws\r\nConnection: upgrade\r\n\r\n" GET(
			   "/b2")},
		  {ENDPOINT_HEAR,
		   "GET /a HTTP/1.1\r\nHost: h\r\nUpgrade: ws\r\nConnection: upgrade\r\n\r\n"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {ENDPOINT_HEAR, GET("/b2")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {IS, "open"}}},
	{.why = "101 that nobody asked for is nonsense",
	 .step = {{SAY, GET("/once")},
		  {ENDPOINT_HEAR, GET("/once")},
		  {ENDPOINT_SAY, "HTTP/1.1 101 Switching Protocols\r\nConnection: "
				 "Upgrade\r\nUpgrade: ws\r\n\r\n"},
		  {HEAR, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: "
			 "12\r\n\r\nBad Gateway\n"},
		  {ENDPOINT_IS, "reset"},
		  {IS, "open"}}},
	{.why = "an upgrade with a body stays here",
	 .step = {{SAY, "PUT /a HTTP/1.1\r\nHost: h\r\nUpgrade: ws\r\nConnection: "
			"upgrade\r\nContent-Length: 1\r\n\r\nx"},
		  {ENDPOINT_HEAR, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "the absolute form of a target",
	 .step = {{SAY, "GET http://shop.example:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n"},
		  {ENDPOINT_HEAR, "GET /a?b HTTP/1.1\r\nHost: shop.example:80\r\n\r\n"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "OPTIONS *",
	 .step = {{SAY, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
		  {ENDPOINT_HEAR, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "the path goes on in its normal form",
	 .step = {{SAY, GET("/%61//b/../c%2f")},
		  {ENDPOINT_HEAR, GET("/a/c%2F")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "a prefix is rewritten, and so is the host",
	 .step = {{SAY, GET("/api/x?y=1")},
		  {ENDPOINT_HEAR, "GET /v2/x?y=1 HTTP/1.1\r\nHost: internal.example\r\n\r\n"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "captures of a template",
	 .step = {{SAY, GET("/users/7/a/b")},
		  {ENDPOINT_HEAR, GET("/of/a/b/by/7")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2}}},
	{.why = "answers are edited",
	 .step = {{SAY, GET("/edits")},
		  {ENDPOINT_HEAR, GET("/edits")},
		  {ENDPOINT_SAY, R200 "Server: x\r\nContent-Length: 0\r\n\r\n"},
		  {HEAR, R200 "x-r: 1\r\nContent-Length: 0\r\n\r\n"}}},
	{.why = "a redirect, after which the connection goes on",
	 .step = {{SAY, GET("/old/x?y") GET("/secure/x?y")},
		  {HEAR, "HTTP/1.1 301 Moved Permanently\r\nLocation: "
			 "http://h/new/x?y\r\nContent-Length: 0\r\n\r\n"
			 "HTTP/1.1 308 Permanent Redirect\r\nLocation: "
			 "https://h/secure/x\r\nContent-Length: 0\r\n\r\n"},
		  {IS, "open"}}},
	{.why = "a body that the gateway does not want is read over",
	 .step = {{SAY, "POST /empty HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
			"POST /empty HTTP/1.1\r\nHost: h\r\n" CHUNKED "5\r\nhello\r\n0\r\n\r\n"
			"HEAD /direct HTTP/1.1\r\nHost: h\r\n\r\n"},
		  {HEAR, "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n" R200
			 "Content-Type: text/plain\r\nx-r: 1\r\nContent-Length: 6\r\n\r\n"},
		  {IS, "open"}}},
	{.why = "an answer before the end of the request: both connections end behind it, and it "
		"says so",
	 .step = {{SAY, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"},
		  {ENDPOINT_HEAR, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2_CLOSE},
		  {IS, "fin"},
		  {ENDPOINT_IS, "reset"}}},
	{.why = "empty lines between requests are passed over",
	 .step = {{SAY, "\r\n" GET("/a")},
		  {ENDPOINT_HEAR, GET("/a")},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
		  {IS, "open"}}},
};

static bool
same_state(const struct peer *p, const char *want)
{
	if (strcmp(peer_state(p), want) == 0)
		return true;
	printf("\nwanted %s, is %s", want, peer_state(p));
	return false;
}

static void
says(struct scene *s, struct peer *p, const char *text, bool bytewise)
{
	size_t n = strlen(text);

	for (size_t i = 0; bytewise && i < n; i++)
		CU_ASSERT_EQUAL(peer_says_bytes(s, p, text + i, 1), 1);
	if (!bytewise)
		peer_says(s, p, text);
}

static void
converse(const struct dialogue *d, bool bytewise)
{
	struct scene s;
	bool ok = true;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < SL_ARRAY_CNT(d->step) && d->step[i].who && ok; i++) {
		const char *text = d->step[i].text;
		struct peer *up = scene_up(&s, 0);
		switch (d->step[i].who) {
		case SAY:
			says(&s, c, text, bytewise);
			break;
		case HEAR:
			ok = peer_heard(c, text);
			break;
		case ENDPOINT_SAY:
			says(&s, up, text, bytewise);
			break;
		case ENDPOINT_HEAR:
			ok = peer_heard(up, text);
			break;
		case FIN:
			peer_fin(&s, c);
			break;
		case ENDPOINT_FIN:
			peer_fin(&s, up);
			break;
		case IS:
			ok = same_state(c, text);
			break;
		default:
			ok = same_state(up, text);
			break;
		}
		if (!ok)
			printf("\n%s, step %u%s\n", d->why, i, bytewise ? ", byte by byte" : "");
		CU_ASSERT(ok);
	}
	scene_end(&s);
}

static void
dialogues_go_as_written_in_whole_and_in_bytes(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(dialogues); i++) {
		converse(&dialogues[i], false);
		if (!dialogues[i].whole)
			converse(&dialogues[i], true);
	}
}

/* ---- one exchange, and what is told of it ---- */

#define ID "01234567-89ab-4cde-8f01-23456789abcd"

/* One request to the endpoint and its answer; whether both arrived. */
static void
exchange(struct scene *s, struct peer *c, const char *request, const char *heard, int endpoint)
{
	peer_says(s, c, request);
	struct peer *up = scene_up(s, endpoint);
	CU_ASSERT_PTR_NOT_NULL_FATAL(up);
	HEARS(up, heard);
	peer_says(s, up, OK2);
	HEARS(c, OK2);
}

static void
endpoints_hear_who_asks(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(
		&s, c,
		"GET /plain HTTP/1.1\r\nHost: h:80\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-ID: " ID
		"\r\n\r\n");
	HEARS(scene_up(&s, 0), "GET /plain HTTP/1.1\r\nHost: h:80\r\nX-Request-ID: " ID
			       "\r\nx-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: "
			       "http\r\nx-forwarded-host: h:80\r\n\r\n");
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, OK2);
	scene_end(&s);
}

static void
each_request_gets_an_id_that_the_log_knows(void)
{
	struct scene s;
	char ids[2][SL_REQUEST_ID_LEN + 1] = {{0}};

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 2; i++) {
		peer_says(&s, c, "GET /plain HTTP/1.1\r\nHost: h\r\nx-request-id: not one\r\n\r\n");
		struct peer *up = scene_up(&s, 0);
		up->got[up->len] = 0;
		const char *id = strstr(up->got, "x-request-id: ");
		CU_ASSERT_PTR_NOT_NULL_FATAL(id);
		memcpy(ids[i], id + 14, SL_REQUEST_ID_LEN);
		up->len = 0;
		peer_says(&s, up, OK2);
		HEARS(c, OK2);
		CU_ASSERT_EQUAL(s.log.id_len, SL_REQUEST_ID_LEN);
		CU_ASSERT_PTR_NOT_NULL(strstr(s.log_strings, ids[i]));
	}
	CU_ASSERT_STRING_NOT_EQUAL(ids[0], ids[1]);
	scene_end(&s);
}

static void
an_exchange_is_counted_and_logged(void)
{
	struct scene s;
	const struct sl_stats_route *r;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c,
		  "PUT /once/a?q HTTP/1.1\r\nHost: h:80\r\nUser-Agent: t\r\nReferer: "
		  "u\r\nContent-Length: 3\r\n\r\nabc");
	scene_pass(&s, 40);
	peer_says(&s, scene_up(&s, 0), "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n12");
	scene_pass(&s, 60);
	CU_ASSERT_EQUAL(s.logged, 0);
	peer_says(&s, scene_up(&s, 0), "34");
	CU_ASSERT_EQUAL(s.logged, 1);
	CU_ASSERT(s.log.status == 201 && s.log.upstream_status == 201 && s.log.flags == 0);
	CU_ASSERT(s.log.bytes_in == 3 && s.log.bytes_out == 4 && s.log.tries == 1 &&
		  s.log.version == 11);
	CU_ASSERT(s.log.try_us == 40000 && s.log.first_us == 40000 && s.log.last_us == 100000);
	CU_ASSERT(s.log.generation == 77 && s.log.listener_slot == SCENE_LISTENER &&
		  s.log.table_slot == 7 && s.log.vhost_slot == 20 &&
		  s.log.service_slot == SCENE_A && s.log.endpoint_slot == 0 &&
		  s.log.endpoint_incarnation == 1);
	CU_ASSERT(s.log.client_port == sl_to_be16(4321) && s.log.endpoint_port == sl_to_be16(8000));
	CU_ASSERT(strncmp(s.log_strings, "PUTh:80/once/a?qt", 17) == 0);
	CU_ASSERT_EQUAL(s.log_strings[17 + SL_REQUEST_ID_LEN], 'u');
	r = &s.route_stats[s.log.route_slot];
	CU_ASSERT(r->requests == 1 && r->answers[1] == 1 && r->bytes_in == 3 && r->bytes_out == 4 &&
		  r->local == 0 && r->retries == 0 && r->first_us_sum == 40000 &&
		  r->last_us_sum == 100000);
	CU_ASSERT(s.vhost_stats[20].requests == 1 && s.vhost_stats[20].no_route == 0);
	CU_ASSERT(s.endpoint_stats[0].bytes == 3 && s.endpoint_stats[0].reply_bytes == 4);
	CU_ASSERT(COUNTED(&s, CONNECTIONS) == 1 && COUNTED(&s, REQUESTS) == 1 &&
		  COUNTED(&s, ANSWERS_2XX) == 1);
	CU_ASSERT(s.ep[0].ok == 1 && s.ep[0].bad == 0);
	HEARS(c, "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\n1234");
	peer_says(&s, c, GET("/direct"));
	CU_ASSERT(s.logged == 2 && s.log.status == 200 && s.log.upstream_status == 0 &&
		  s.log.tries == 0 && s.log.service_slot == UINT32_MAX &&
		  s.log.endpoint_slot == UINT32_MAX && s.log.bytes_out == 6);
	CU_ASSERT(s.route_stats[s.log.route_slot].local == 1);
	scene_end(&s);
}

static void
who_names_no_host_is_taken_to_mean_the_listener(void)
{
	struct scene s;

	scene_init(&s, &(struct scene_conf){.any_host = true});
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "GET /plain HTTP/1.0\r\nx-request-id: 1\r\n\r\n");
	HEARS(scene_up(&s, 0), "GET /plain HTTP/1.1\r\nHost: 203.0.113.10:80\r\nx-request-id: "
			       "1\r\nx-forwarded-for: 192.0.2.7\r\n"
			       "x-forwarded-proto: http\r\n\r\n");
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, OK2_CLOSE);
	scene_end(&s);
}

/* ---- the pool ---- */

static void
connections_are_used_again_and_counted_once(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *a = scene_client(&s), *b = scene_client(&s);
	for (unsigned i = 0; i < 5; i++)
		exchange(&s, i % 2 ? a : b, GET("/x"), GET("/x"), 0);
	CU_ASSERT_EQUAL(scene_ups(&s, 0), 1);
	CU_ASSERT(COUNTED(&s, POOL_NEW) == 1 && COUNTED(&s, POOL_REUSED) == 4);
	peer_says(&s, a, GET("/y"));
	exchange(&s, b, GET("/z"), GET("/z"), 0); /* the other one is busy */
	CU_ASSERT_EQUAL(scene_ups(&s, 0), 2);
	scene_end(&s);
}

static void
an_answer_with_something_behind_it_spoils_its_connection(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/x"));
	peer_says(&s, scene_up(&s, 0), OK2 "HTTP/1.1 200 OK\r\n");
	HEARS(c, OK2);
	STATE(scene_up(&s, 0), "reset");
	CU_ASSERT_EQUAL(COUNTED(&s, POOL_UNCLEAN), 1);
	exchange(&s, c, GET("/y"), (scene_up(&s, 0)->len = 0, GET("/y")), 0);
	scene_end(&s);
}

/* ---- which endpoint ---- */

static void
targets_get_their_share_or_keep_who_they_had(void)
{
	struct scene s;
	unsigned to_b = 0, changes = 0;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 2000; i++) {
		peer_says(&s, c, GET("/split"));
		bool b = scene_up(&s, 2) && scene_up(&s, 2)->len;
		struct peer *up = scene_up(&s, b ? 2 : 0);
		HEARS(up, GET("/split"));
		peer_says(&s, up, OK2);
		HEARS(c, OK2);
		to_b += b;
	}
	CU_ASSERT(to_b > 1400 && to_b < 1600); /* 1500 ± 5 σ */
	to_b = 0;
	for (unsigned i = 0; i < 400; i++) {
		char text[128];
		bool first = false;
		for (unsigned k = 0; k < 2; k++) {
			snprintf(text, sizeof(text),
				 "GET /sticky HTTP/1.1\r\nHost: h\r\nCookie: sid=%u\r\n\r\n", i);
			peer_says(&s, c, text);
			bool b = scene_up(&s, 2)->len;
			struct peer *up = scene_up(&s, b ? 2 : 0);
			HEARS(up, text);
			peer_says(&s, up, OK2);
			HEARS(c, OK2);
			changes += k && b != first;
			first = b;
			to_b += b;
		}
	}
	CU_ASSERT_EQUAL(changes, 0);
	CU_ASSERT(to_b > 500 && to_b < 700);
	scene_end(&s);
}

/* ---- bodies of any size, memory of one ---- */

/* n bytes that tell their place. */
static void
fill(char *to, uint32_t from, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		to[i] = (char)((from + i) * 2654435761u >> 24);
}

enum { BIG = 3 << 20 };

/* Sends BIG bytes from one to the other, which reads nothing at first and 5,000 bytes a turn then; all arrives, and never lies
 * between them in larger amounts than both their windows. */
static void
trickle(struct scene *s, struct peer *from, struct peer *to)
{
	static char bytes[BIG], heard[BIG + 65536];
	uint32_t sent = 0, got = 0;

	fill(bytes, 0, BIG);
	to->hold = true;
	sent = peer_says_bytes(s, from, bytes, BIG);
	CU_ASSERT(sent < SCENE_SND + SCENE_RCV + 1);
	CU_ASSERT(fake_seen(to->s).most_out <= SCENE_SND && fake_seen(from->s).in <= SCENE_RCV);
	while (got < BIG) {
		uint32_t n = fake_peer_reads(to->s, heard + got, 5000);
		sent += peer_says_bytes(s, from, bytes + sent, BIG - sent);
		scene_run(s);
		got += n;
		CU_ASSERT_FATAL(n > 0);
	}
	CU_ASSERT(memcmp(bytes, heard, BIG) == 0);
	to->hold = false;
	scene_run(s);
}

static void
bodies_of_any_size_stream_both_ways(void)
{
	struct scene s;
	char text[128];

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	snprintf(text, sizeof(text), "PUT /big HTTP/1.1\r\nHost: h\r\nContent-Length: %u\r\n\r\n",
		 BIG);
	peer_says(&s, c, text);
	HEARS(scene_up(&s, 0), text);
	trickle(&s, c, scene_up(&s, 0));
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", BIG);
	peer_says(&s, scene_up(&s, 0), text);
	HEARS(c, text);
	trickle(&s, scene_up(&s, 0), c);
	STATE(scene_up(&s, 0), "open");
	CU_ASSERT(s.logged == 1 && s.log.bytes_in == BIG && s.log.bytes_out == BIG);
	/* one chunk, larger than all windows */
	snprintf(text, sizeof(text),
		 "PUT /big HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", BIG);
	peer_says(&s, c, text);
	HEARS(scene_up(&s, 0), text);
	trickle(&s, c, scene_up(&s, 0));
	peer_says(&s, c, "\r\n0\r\n\r\n");
	HEARS(scene_up(&s, 0), "\r\n0\r\n\r\n");
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, OK2);
	/* and a tunnel */
	peer_says(&s, c, "GET /t HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	scene_up(&s, 0)->len = 0;
	peer_says(&s, scene_up(&s, 0),
		  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	c->len = 0;
	trickle(&s, c, scene_up(&s, 0));
	trickle(&s, scene_up(&s, 0), c);
	scene_end(&s);
}

/* Chunks of all sizes, in pieces of all sizes, to a reader that reads as it likes: the same bytes come out. */
static void
chunks_stay_what_they_are_however_they_come(void)
{
	static char in[1 << 20];
	uint32_t n = 0, seed = 7;
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/x"));
	struct peer *up = scene_up(&s, 0);
	n += (uint32_t)sprintf(in, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 300; i++) {
		seed = seed * 1664525u + 1013904223u;
		uint32_t size = 1 + (seed >> 8) % (i % 50 == 0 ? 100000 : 300);
		n += (uint32_t)sprintf(in + n, "%x\r\n", size);
		fill(in + n, n, size);
		n += size;
		n += (uint32_t)sprintf(in + n, "\r\n");
	}
	n += (uint32_t)sprintf(in + n, "0\r\nsum: 1\r\n\r\n");
	for (uint32_t at = 0, k; at < n; at += k) {
		seed = seed * 1664525u + 1013904223u;
		c->hold = seed >> 30 == 0;
		k = peer_says_bytes(&s, up, in + at, SL_MIN(n - at, 1 + (seed >> 8) % 9000));
		c->hold = c->hold && k; /* all is full: somebody has to read */
		scene_run(&s);
	}
	c->hold = false;
	scene_run(&s);
	CU_ASSERT_EQUAL_FATAL(c->len, n);
	CU_ASSERT(memcmp(c->got, in, n) == 0);
	STATE(up, "open");
	scene_end(&s);
}

/* A client that pipelines and does not read is waited for: nothing is lost, and what it says stays with it. */
static void
who_pipelines_without_reading_is_waited_for(void)
{
	static char want[4 << 20], many[400000];
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nx-r: "
				     "1\r\nContent-Length: 6\r\n\r\nhello\n";
	struct scene s;
	uint32_t n = 0, w = 0;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (unsigned i = 0; i < 4000; i++) {
		n += (uint32_t)sprintf(many + n, GET("/direct"));
		w += (uint32_t)sprintf(want + w, "%s", answer);
	}
	c->hold = true;
	uint32_t sent = peer_says_bytes(&s, c, many, n);
	CU_ASSERT(sent < n);
	STATE(c, "open");
	c->hold = false;
	scene_run(&s);
	for (unsigned i = 0; i < 100 && sent < n; i++)
		sent += peer_says_bytes(&s, c, many + sent, n - sent);
	CU_ASSERT_EQUAL(sent, n);
	STATE(c, "open");
	CU_ASSERT_EQUAL_FATAL(c->len, w);
	CU_ASSERT(memcmp(c->got, want, w) == 0);
	c->len = 0;
	scene_end(&s);
}

/* ---- mirrors ---- */

static void
mirrors_get_a_copy_that_nobody_waits_for(void)
{
	static const struct {
		const char *why, *say, *main, *shadow, *answer;
		const char *is;
	} rows[] = {
		{"a GET, answered", GET("/mirror"), GET("/mirror"),
		 "GET /mirror HTTP/1.1\r\nHost: h-shadow\r\n\r\n", OK2, "open"},
		{"a body that came with it",
		 "PUT /mirror HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
		 "PUT /mirror HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
		 "PUT /mirror HTTP/1.1\r\nHost: h-shadow\r\nContent-Length: 3\r\n\r\nabc", OK2,
		 "open"},
		{"an answer of any status and length", GET("/mirror"), GET("/mirror"),
		 "GET /mirror HTTP/1.1\r\nHost: h-shadow\r\n\r\n",
		 "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		 "open"},
		{"nonsense", GET("/mirror"), GET("/mirror"),
		 "GET /mirror HTTP/1.1\r\nHost: h-shadow\r\n\r\n", "what\r\n\r\n", "reset"},
		{"too much", GET("/mirror"), GET("/mirror"),
		 "GET /mirror HTTP/1.1\r\nHost: h-shadow\r\n\r\n", OK2 "more", "reset"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene s;
		scene_init(&s, NULL);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, rows[i].say);
		HEARS(scene_up(&s, 2), rows[i].shadow);
		HEARS(scene_up(&s, 0), rows[i].main);
		peer_says(&s, scene_up(&s, 2), rows[i].answer);
		STATE(scene_up(&s, 2), rows[i].is);
		CU_ASSERT_EQUAL(s.stats.exchanges, 1);
		HEARS(c, NULL);
		peer_says(&s, scene_up(&s, 0), OK2);
		HEARS(c, OK2);
		CU_ASSERT(COUNTED(&s, MIRRORED) == 1 && COUNTED(&s, MIRROR_LOST) == 0);
		CU_ASSERT(s.logged == 1 && COUNTED(&s, REQUESTS) == 1);
		scene_end(&s);
	}
}

static void
mirrors_change_nothing_for_the_client(void)
{
	static const char later[] = "PUT /mirror HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	exchange(&s, c, GET("/mirror"), GET("/mirror"), 0); /* never answered */
	CU_ASSERT_EQUAL(s.stats.exchanges, 1);
	scene_pass(&s, 20000);
	CU_ASSERT_EQUAL(s.stats.exchanges, 0);
	CU_ASSERT_EQUAL(COUNTED(&s, MIRROR_LOST), 1);
	STATE(scene_up(&s, 2), "reset");
	s.ep[2].silent = true; /* nor connected to */
	exchange(&s, c, GET("/mirror"), GET("/mirror"), 0);
	fake_peer_ends(scene_up(&s, 2)->s, SL_END_CONNECT_TIMEOUT);
	scene_run(&s);
	CU_ASSERT_EQUAL(COUNTED(&s, MIRROR_LOST), 2);
	s.ep[2].silent = false;
	s.ep[2].down = true; /* nobody there */
	exchange(&s, c, GET("/mirror"), GET("/mirror"), 0);
	CU_ASSERT_EQUAL(COUNTED(&s, MIRROR_LOST), 3);
	s.ep[2].down = false;
	peer_says(&s, c, later); /* its body is still to come */
	HEARS(scene_up(&s, 0), later);
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, OK2_CLOSE);
	CU_ASSERT_EQUAL(COUNTED(&s, MIRROR_LOST), 4);
	s.service[1].tcp.max_connections = 1; /* they do not wait where requests do */
	peer_says(&s, scene_client(&s), GET("/b"));
	exchange(&s, scene_client(&s), GET("/mirror"), GET("/mirror"), 0);
	CU_ASSERT(COUNTED(&s, MIRROR_LOST) == 5 && s.stats.exchanges == 1);
	scene_end(&s);
}

/* ---- the client's connection ---- */

static void
a_connection_ends_after_as_many_requests_as_the_table_says(void)
{
	struct scene s;

	scene_init(&s, &(struct scene_conf){.http = {.conn_requests = 2}});
	struct peer *c = scene_client(&s);
	exchange(&s, c, GET("/x"), GET("/x"), 0);
	peer_says(&s, c, GET("/y") GET("/z"));
	HEARS(scene_up(&s, 0), GET("/y"));
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, OK2_CLOSE);
	STATE(c, "fin");
	CU_ASSERT_EQUAL(COUNTED(&s, REQUESTS), 2);
	scene_end(&s);
}

static void
a_proxy_header_says_who_the_client_is(void)
{
	static const struct sl_img_prefix trust = {
		.prefix = {.b = {[10] = 0xff, 0xff, 192, 0, 2, 0}}, .plen = 120};
	struct scene s;

	scene_init(&s, &(struct scene_conf){.proxy_in = true});
	s.rule.trust = &trust;
	s.rule.trust_cnt = 1;
	struct peer *c = scene_client(&s);
	peer_says(&s, c,
		  "PROXY TCP4 198.51.100.9 203.0.113.10 777 80\r\nGET /plain HTTP/1.1\r\nHost: "
		  "h\r\nx-request-id: 1\r\n\r\n");
	HEARS(scene_up(&s, 0), "GET /plain HTTP/1.1\r\nHost: h\r\nx-request-id: "
			       "1\r\nx-forwarded-for: 198.51.100.9\r\n"
			       "x-forwarded-proto: http\r\nx-forwarded-host: h\r\n\r\n");
	peer_says(&s, scene_up(&s, 0), OK2);
	HEARS(c, OK2);
	CU_ASSERT_EQUAL(s.log.client_port, sl_to_be16(777));
	struct peer *bad = scene_client(&s);
	peer_says(&s, bad, "GET / HTTP/1.1\r\n");
	STATE(bad, "reset");
	s.rule.trust_cnt = 0;
	STATE(scene_client(&s), "reset");
	scene_end(&s);
}

SL_SUITE("http", SL_TEST(dialogues_go_as_written_in_whole_and_in_bytes),
	 SL_TEST(endpoints_hear_who_asks), SL_TEST(each_request_gets_an_id_that_the_log_knows),
	 SL_TEST(an_exchange_is_counted_and_logged),
	 SL_TEST(who_names_no_host_is_taken_to_mean_the_listener),
	 SL_TEST(connections_are_used_again_and_counted_once),
	 SL_TEST(an_answer_with_something_behind_it_spoils_its_connection),
	 SL_TEST(targets_get_their_share_or_keep_who_they_had),
	 SL_TEST(bodies_of_any_size_stream_both_ways),
	 SL_TEST(chunks_stay_what_they_are_however_they_come),
	 SL_TEST(who_pipelines_without_reading_is_waited_for),
	 SL_TEST(mirrors_get_a_copy_that_nobody_waits_for),
	 SL_TEST(mirrors_change_nothing_for_the_client),
	 SL_TEST(a_connection_ends_after_as_many_requests_as_the_table_says),
	 SL_TEST(a_proxy_header_says_who_the_client_is))
