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
	{.why = "an answer before the end of the request: both connections end behind it",
	 .step = {{SAY, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"},
		  {ENDPOINT_HEAR, "PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc"},
		  {ENDPOINT_SAY, OK2},
		  {HEAR, OK2},
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

SL_SUITE("http", SL_TEST(dialogues_go_as_written_in_whole_and_in_bytes))
