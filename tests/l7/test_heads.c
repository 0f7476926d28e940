/* Heads that go out, byte for byte; and again through the parser that read them in. */
#include "tests/suite.h"
#include "l7/heads.h"
#include "l7/match.h"

#define ROOM (80u << 10)

static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};

/* ---- edits as rows write them: "+name: v" adds, "=name: v" sets, "~name: v" appends, "-name" removes, ";" between ---- */

struct edits {
	struct sl_img_edit edit[SL_MAX_EDITS];
	struct sl_edits e;
};

static struct sl_edits
edits(struct edits *to, const char *text)
{
	uint32_t cnt = 0;

	for (const char *p = text; p && *p; cnt++) {
		const char *end = strchrnul(p, ';'), *colon = memchr(p, ':', (size_t)(end - p));
		const char *name_end = colon ? colon : end, *value = colon ? colon + 2 : end;
		to->edit[cnt] = (struct sl_img_edit){
			.op = *p == '='   ? SL_EDIT_SET
			      : *p == '+' ? SL_EDIT_ADD
			      : *p == '~' ? SL_EDIT_APPEND
					  : SL_EDIT_REMOVE,
			.name = {(uint32_t)(p + 1 - text), (uint32_t)(name_end - p - 1)},
			.value = {(uint32_t)(value - text), (uint32_t)(end - value)},
		};
		p = *end ? end + 1 : end;
	}
	return (struct sl_edits){to->edit, (const uint8_t *)text, cnt};
}

static struct sl_bytes
bytes(const char *text)
{
	return (struct sl_bytes){(const uint8_t *)text, text ? (uint32_t)strlen(text) : 0};
}

/* What the writer gives with exactly the room it needs, in front of a page that must not be touched; and nothing with less. */
typedef uint32_t (*write_fn)(uint8_t *out, uint32_t max, const void *head, const void *how);

static char *
written(write_fn fn, const void *head, const void *how)
{
	static char text[ROOM + 1];
	uint32_t n = fn((uint8_t *)text, ROOM, head, how);

	CU_ASSERT_FATAL(n > 0);
	uint8_t *tight = guard_buf(n);
	CU_ASSERT_EQUAL(fn(tight, n, head, how), n);
	CU_ASSERT(memcmp(tight, text, n) == 0);
	guard_free(tight, n);
	for (uint32_t max = n > 2000 ? n - 2000 : 0; max < n; max++) {
		tight = guard_buf(max ? max : 1);
		if (fn(tight + (max == 0), max, head, how) != 0)
			CU_FAIL("more was written than there was room for");
		guard_free(tight, max ? max : 1);
	}
	text[n] = 0;
	return text;
}

static uint32_t
write_request(uint8_t *out, uint32_t max, const void *head, const void *how)
{
	return sl_head_write_request(out, max, head, how);
}

static uint32_t
write_response(uint8_t *out, uint32_t max, const void *head, const void *how)
{
	return sl_head_write_response(out, max, head, how);
}

static uint32_t
write_local(uint8_t *out, uint32_t max, const void *head, const void *how)
{
	(void)head;
	return sl_head_write_local(out, max, how);
}

static void
same(const char *got, const char *want, const char *why)
{
	if (strcmp(got, want) == 0)
		return;
	printf("\n%s:\n--- wanted\n%s--- got\n%s---\n", why, want, got);
	CU_FAIL("not the bytes that were wanted");
}

/* ---- requests ---- */

#define ID "01234567-89ab-4cde-8f01-23456789abcd"
#define XFF "x-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: http\r\n"
#define TAIL XFF "x-forwarded-host: h\r\nx-request-id: " ID "\r\n"

struct request_row {
	const char *why, *in, *out, *edits, *host, *path;
	int hops, upgrade, shadow, https;
	const char *client;
	int xfcc;
	const char *cert;
};

static const struct request_row request_rows[] = {
	{.why = "a bare request gets what the gateway says",
	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "Host comes first, wherever it stood; lines keep their order, case and bytes",
	 "GET /a?b=c HTTP/1.1\r\nB: 1\r\nhOST: h\r\na_B: 2  3\r\nB: \xff\t4\r\n\r\n",
	 "GET /a?b=c HTTP/1.1\r\nHost: h\r\nB: 1\r\na_B: 2  3\r\nB: \xff\t4\r\n" TAIL "\r\n"},
	{.why = "white space around values goes",
	 "GET / HTTP/1.1\r\nHost: h\r\nA:1\r\nB:\t 2 \t\r\nC: 3 \r\nD:\t4\r\nE:\r\nF: \r\nG: "
	 "5\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\nG: 5\r\n" TAIL
	 "\r\n"},
	{.why = "an empty query keeps its mark",
	 "GET /a? HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET /a? HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "a method of the client's own passes",
	 "BREW /a HTTP/1.1\r\nHost: h\r\n\r\n",
	 "BREW /a HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "hop-by-hop lines and those that Connection names stay here (RFC 9110, 7.6.1)",
	 "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, close\r\nX-A: 1\r\nX-B: 2\r\nKeep-Alive: "
	 "3\r\n"
	 "Proxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: x\r\nUpgrade: y\r\nx-a: "
	 "4\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-B: 2\r\n" TAIL "\r\n"},
	{.why = "the length is written anew",
	 "PUT / HTTP/1.1\r\nContent-Length: 0042\r\nHost: h\r\n\r\n",
	 "PUT / HTTP/1.1\r\nHost: h\r\n" TAIL "Content-Length: 42\r\n\r\n"},
	{.why = "a length of nothing passes",
	 "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
	 "POST / HTTP/1.1\r\nHost: h\r\n" TAIL "Content-Length: 0\r\n\r\n"},
	{.why = "chunked is written anew",
	 "PUT / HTTP/1.1\r\nTRANSFER-Encoding: CHUNKED\r\nHost: h\r\n\r\n",
	 "PUT / HTTP/1.1\r\nHost: h\r\n" TAIL "Transfer-Encoding: chunked\r\n\r\n"},
	{.why = "Expect passes",
	 "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
	 "PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n" TAIL "Content-Length: 1\r\n\r\n"},
	{.why = "not from HTTP/1.0, which knows no 100",
	 "PUT / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
	 "PUT / HTTP/1.1\r\nHost: h\r\n" TAIL "Content-Length: 1\r\n\r\n"},
	{.why = "HTTP/1.0 without Host has an empty one, and no x-forwarded-host",
	 "GET / HTTP/1.0\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: \r\n" XFF "x-request-id: " ID "\r\n\r\n"},
	{.why = "absolute form: its authority is the Host (RFC 9112, 3.2.2)",
	 "GET http://h:81/a HTTP/1.1\r\nHost: other\r\n\r\n",
	 "GET /a HTTP/1.1\r\nHost: h:81\r\n" XFF "x-forwarded-host: h:81\r\nx-request-id: " ID
	 "\r\n\r\n"},
	{.why = "OPTIONS * stays what it is",
	 "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
	 "OPTIONS * HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "and is what an absolute form without a path means (RFC 9112, 3.2.4)",
	 "OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n",
	 "OPTIONS * HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "a client's own x-forwarded lines are thrown away",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: "
	 "https\r\nX-FORWARDED-HOST: e\r\nx-forwarded-for: 2\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "of a trusted hop they are kept, and the address is appended to all of "
		"x-forwarded-for",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-proto: "
	 "https\r\nX-FORWARDED-HOST: e\r\nx-forwarded-for: 2\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-proto: https\r\nX-FORWARDED-HOST: "
	 "e\r\nx-forwarded-for: 1.1.1.1, 2, 192.0.2.7\r\nx-request-id: " ID "\r\n\r\n",
	 .hops = 1},
	{.why = "a trusted hop that says nothing gets the gateway's",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for:\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n",
	 .hops = 2},
	{.why = "https is told",
	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 192.0.2.7\r\nx-forwarded-proto: "
	 "https\r\nx-forwarded-host: h\r\nx-request-id: " ID "\r\n\r\n",
	 .https = 1},
	{.why = "a client's certificate is its own to tell",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: a\r\nb: c\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nb: c\r\n" TAIL "\r\n",
	 .hops = 0},
	{.why = "nor is it a trusted hop's",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: a\r\nx-forwarded-proto: "
	 "http\r\nx-forwarded-host: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-proto: http\r\nx-forwarded-host: "
	 "h\r\nx-forwarded-for: 192.0.2.7\r\nx-request-id: " ID "\r\n\r\n",
	 .hops = 1},
	{.why = "it is set",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: a\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" XFF "x-forwarded-host: h\r\nx-forwarded-client-cert: "
	 "e;f\r\nx-request-id: " ID "\r\n\r\n",
	 .xfcc = SL_XFCC_SET,
	 .cert = "e;f"},
	{.why = "it is appended",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: a\r\nb: c\r\n"
	 "x-forwarded-client-cert:\r\nX-Forwarded-Client-Cert: d\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nb: c\r\n" XFF
	 "x-forwarded-host: h\r\nx-forwarded-client-cert: "
	 "a,d,e;f\r\nx-request-id: " ID "\r\n\r\n",
	 .xfcc = SL_XFCC_APPEND,
	 .cert = "e;f"},
	{.why = "and edited",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: a\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" XFF "x-forwarded-host: h\r\nx-forwarded-client-cert: "
	 "a,e;f, g\r\nx-request-id: " ID "\r\n\r\n",
	 .xfcc = SL_XFCC_APPEND,
	 .cert = "e;f",
	 .edits = "~x-forwarded-client-cert: g"},
	{.why = "it passes",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: a\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Client-Cert: a\r\n" TAIL "\r\n",
	 .xfcc = SL_XFCC_FORWARD},
	{.why = "a request id is kept",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: a!~1\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: a!~1\r\n" XFF "x-forwarded-host: h\r\n\r\n"},
	{.why = "not one with a blank",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: a b\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "not one beyond ASCII",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: a\x80\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "not an empty one",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID:\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "not two",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-Request-ID: 1\r\nX-Request-ID: 1\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n"},
	{.why = "an upgrade that is passed on",
	 "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, x-a\r\nUpgrade: websocket\r\nX-A: "
	 "1\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n",
	 .upgrade = 1},
	{.why = "a host of the route's",
	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: internal.example:8080\r\n" TAIL "\r\n",
	 .host = "internal.example:8080"},
	{.why = "a path of the route's",
	 "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET /new?b HTTP/1.1\r\nHost: h\r\n" TAIL "\r\n",
	 .path = "/new"},
	{.why = "a shadow says so in its host, and waits for nobody",
	 "PUT / HTTP/1.1\r\nHost: h:80\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
	 "PUT / HTTP/1.1\r\nHost: h-shadow:80\r\n" XFF "x-forwarded-host: h:80\r\nx-request-id: " ID
	 "\r\nContent-Length: 1\r\n\r\n",
	 .shadow = 1},
	{.why = "a shadow's host without a port",
	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: 17-shadow\r\n" TAIL "\r\n",
	 .host = "17",
	 .shadow = 1},
	{.why = "a literal address is no name to change",
	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: [::1]:80\r\n" TAIL "\r\n",
	 .host = "[::1]:80",
	 .shadow = 1},
	{.why = "an IPv6 client",
	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 2001:db8::1\r\nx-forwarded-proto: "
	 "http\r\nx-forwarded-host: h\r\nx-request-id: " ID "\r\n\r\n",
	 .client = "2001:db8::1"},
	{.why = "set takes the place of all of the name",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nB: 2\r\nx-a: 3\r\nC: 4\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-A: new\r\nB: 2\r\nC: 4\r\n" TAIL "\r\n",
	 .edits = "=x-A: new"},
	{.why = "set of what is not there is a line more",
	 "GET / HTTP/1.1\r\nHost: h\r\nB: 2\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nB: 2\r\n" TAIL "x-a: new\r\n\r\n",
	 .edits = "=x-a: new"},
	{.why = "add leaves what is there",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n" TAIL "x-a: 2\r\nx-a: 3\r\n\r\n",
	 .edits = "+x-a: 2;+x-a: 3"},
	{.why = "append goes behind the last one",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nB: 3\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2, 4, 5\r\nB: 3\r\n" TAIL "\r\n",
	 .edits = "~X-a: 4;~x-a: 5"},
	{.why = "append to nothing is a line",
	 "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "x-a: 4\r\n\r\n",
	 .edits = "~x-a: 4"},
	{.why = "append to an empty value needs no comma",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-a:\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-a: 4, 5\r\n" TAIL "\r\n",
	 .edits = "~x-a: 4;~x-a: 5"},
	{.why = "remove takes all of the name, and no other of its length",
	 "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-b: 2\r\nx-a: 3\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-b: 2\r\n" TAIL "\r\n",
	 .edits = "-x-a;-x-c"},
	{.why = "edits see what edits before them did",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-a: 1\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\n" TAIL "x-a: 2, 3\r\nx-b: 6\r\n\r\n",
	 .edits = "-x-a;+x-a: 2;~x-a: 3;+x-b: 4;~x-b: 5;=x-b: 6"},
	{.why = "what the gateway says can be edited, too",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 1\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-proto: https\r\n\r\n",
	 .hops = 1,
	 .edits = "-X-Forwarded-For;=x-forwarded-proto: https;-x-forwarded-host;-x-request-id"},
	{.why = "append to an x-forwarded-for of several parts",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 1\r\n\r\n",
	 "GET / HTTP/1.1\r\nHost: h\r\nx-forwarded-for: 1, 192.0.2.7, s\r\nx-forwarded-proto: "
	 "http\r\nx-forwarded-host: h\r\nx-request-id: " ID "\r\n\r\n",
	 .hops = 1,
	 .edits = "~x-forwarded-for: s"},
	{.why = "edits change no framing, and no hop-by-hop line comes back",
	 "PUT / HTTP/1.1\r\nConnection: b\r\nB: 1\r\nContent-Length: 7\r\nA:2\r\nHost: h\r\n\r\n",
	 "PUT / HTTP/1.1\r\nHost: h\r\nA: 2\r\n" TAIL "b: 3\r\nContent-Length: 7\r\n\r\n",
	 .edits = "+b: 3"},
};

static void
requests_go_out_as_written(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(request_rows); i++) {
		const struct request_row *r = &request_rows[i];
		enum sl_http_bad why = 0;
		struct sl_http_head head;
		struct edits ed;
		size_t len = strlen(r->in);
		uint8_t *in = guard_buf(len);

		memcpy(in, r->in, len);
		if (sl_http_request(in, (uint32_t)len, 0, &limits, &head, &why) != (int)len) {
			printf("\n%s: refused: %s\n", r->why, sl_http_bad_text(why));
			CU_FAIL_FATAL("a row that is no request");
		}
		struct sl_head_request how = {
			.path = r->path ? bytes(r->path)
					: (struct sl_bytes){in + head.path, head.path_len},
			.host = bytes(r->host),
			.edits = edits(&ed, r->edits),
			.https = (uint8_t)r->https,
			.trusted_hops = (uint8_t)r->hops,
			.upgrade = (uint8_t)r->upgrade,
			.shadow = (uint8_t)r->shadow,
			.xfcc = (uint8_t)r->xfcc,
			.cert = bytes(r->cert),
		};
		if (head.query)
			how.query = (struct sl_bytes){in + head.query, head.query_len};
		sl_addr_parse(r->client ? r->client : "192.0.2.7", &how.client);
		memcpy(how.request_id, ID, SL_REQUEST_ID_LEN);
		same(written(write_request, &head, &how), r->out, r->why);
		guard_free(in, len);
	}
}

static void
request_ids_are_kept_up_to_128_bytes(void)
{
	for (unsigned n = 127; n <= 129; n++) {
		char in[256];
		enum sl_http_bad why;
		struct sl_http_head head;
		int len = snprintf(in, sizeof(in),
				   "GET / HTTP/1.1\r\nHost: h\r\nx-request-id: %0*d\r\n\r\n",
				   (int)n, 7);
		CU_ASSERT_FATAL(sl_http_request((uint8_t *)in, (uint32_t)len, 0, &limits, &head,
						&why) == len);
		CU_ASSERT_EQUAL(sl_request_id_ok(&head), n <= SL_REQUEST_ID_MAX);
	}
}

/* ---- answers ---- */

struct answer_row {
	const char *why, *in, *out, *edits;
	int method, body, head_of, version, close, upgrade;
};

static const struct answer_row answer_rows[] = {
	{.why = "an answer with a length",
	 "HTTP/1.1 200 OK\r\nContent-Length: 007\r\nServer: x\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 7\r\n\r\n",
	 .body = SL_BODY_LENGTH},
	{.why = "a length of nothing",
	 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	 .body = SL_BODY_LENGTH},
	{.why = "the reason is the endpoint's",
	 "HTTP/1.1 200 Fine, thanks\r\nContent-Length: 1\r\n\r\n",
	 "HTTP/1.1 200 Fine, thanks\r\nContent-Length: 1\r\n\r\n",
	 .body = SL_BODY_LENGTH},
	{.why = "no reason becomes the usual one",
	 "HTTP/1.1 404 \r\nContent-Length: 1\r\n\r\n",
	 "HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\n",
	 .body = SL_BODY_LENGTH},
	{.why = "an unusual status stays without",
	 "HTTP/1.1 299\r\nContent-Length: 1\r\n\r\n",
	 "HTTP/1.1 299 \r\nContent-Length: 1\r\n\r\n",
	 .body = SL_BODY_LENGTH},
	{.why = "HTTP/1.0 becomes 1.1, and nothing hop-by-hop passes",
	 "HTTP/1.0 200 OK\r\nConnection: keep-alive, x-a\r\nX-A: 1\r\nKeep-Alive: "
	 "5\r\nProxy-Connection: x\r\nTrailer: y\r\nUpgrade: z\r\nContent-Length: 1\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
	 .body = SL_BODY_LENGTH},
	{.why = "chunked",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nA: 1\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	 .body = SL_BODY_CHUNKED},
	{.why = "until the end becomes chunked",
	 "HTTP/1.1 200 OK\r\nA: 1\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
	 .body = SL_BODY_CHUNKED},
	{.why = "until the end stays so for HTTP/1.0",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n",
	 .body = SL_BODY_CLOSE,
	 .version = 10,
	 .close = 1},
	{.why = "HTTP/1.0 is told that the connection goes on",
	 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
	 .body = SL_BODY_LENGTH,
	 .version = 10},
	{.why = "a close is said",
	 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
	 .body = SL_BODY_LENGTH,
	 .close = 1},
	{.why = "HEAD: the length of what was not sent",
	 "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
	 .method = SL_METHOD_HEAD,
	 .head_of = 1},
	{.why = "HEAD: coding of what was not sent is no matter",
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	 "HTTP/1.1 200 OK\r\n\r\n",
	 .method = SL_METHOD_HEAD,
	 .head_of = 1},
	{.why = "304: likewise",
	 "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: 1\r\n\r\n",
	 "HTTP/1.1 304 Not Modified\r\nETag: 1\r\nContent-Length: 99\r\n\r\n",
	 .head_of = 1},
	{.why = "204 has no length (RFC 9110, 8.6)",
	 "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
	 "HTTP/1.1 204 No Content\r\n\r\n"},
	{.why = "nor for HEAD",
	 "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
	 "HTTP/1.1 204 No Content\r\n\r\n",
	 .method = SL_METHOD_HEAD,
	 .head_of = 1},
	{.why = "100 is bare", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"},
	{.why = "103 has its lines",
	 "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: close\r\n\r\n",
	 "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"},
	{.why = "101 says to what",
	 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
	 "Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
	 "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nUpgrade: "
	 "websocket\r\nConnection: upgrade\r\n\r\n",
	 .upgrade = 1},
	{.why = "edits",
	 "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: "
	 "b=2\r\n\r\n",
	 "HTTP/1.1 200 OK\r\nserver: s\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nset-cookie: "
	 "c=3\r\nContent-Length: 1\r\n\r\n",
	 .body = SL_BODY_LENGTH,
	 .edits = "=server: s;+set-cookie: c=3;-x-powered-by"},
};

static void
answers_go_out_as_written(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(answer_rows); i++) {
		const struct answer_row *r = &answer_rows[i];
		enum sl_http_bad why = 0;
		struct sl_http_head head;
		struct edits ed;
		size_t len = strlen(r->in);
		uint8_t *in = guard_buf(len);

		memcpy(in, r->in, len);
		if (sl_http_response(in, (uint32_t)len, 0, (uint8_t)r->method, &limits, &head,
				     &why) != (int)len) {
			printf("\n%s: refused: %s\n", r->why, sl_http_bad_text(why));
			CU_FAIL_FATAL("a row that is no answer");
		}
		const struct sl_head_response how = {
			.edits = edits(&ed, r->edits),
			.body = (uint8_t)r->body,
			.head_of = (uint8_t)r->head_of,
			.version = (uint8_t)(r->version ? r->version : 11),
			.close = (uint8_t)r->close,
			.upgrade = (uint8_t)r->upgrade,
		};
		same(written(write_response, &head, &how), r->out, r->why);
		guard_free(in, len);
	}
}

struct local_row {
	const char *why, *out, *body, *type, *location, *edits;
	int status, version, close, head_only;
};

static const struct local_row local_rows[] = {
	{.why = "a body has a length and a type",
	 "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nno\n",
	 "no\n",
	 "text/plain",
	 .status = 404},
	{.why = "no body has neither type nor missing length",
	 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	 .type = "text/plain",
	 .status = 200},
	{.why = "a redirect says where to",
	 "HTTP/1.1 308 Permanent Redirect\r\nLocation: http://h/\r\nContent-Length: 0\r\n\r\n",
	 .location = "http://h/",
	 .status = 308},
	{.why = "HEAD gets the head of it",
	 "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 3\r\n\r\n",
	 "no\n",
	 "a/b",
	 .status = 200,
	 .head_only = 1},
	{.why = "close",
	 "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
	 .status = 400,
	 .close = 1,
	 .version = 10},
	{.why = "HTTP/1.0 goes on",
	 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
	 .status = 200,
	 .version = 10},
	{.why = "204 has no body, whatever was written",
	 "HTTP/1.1 204 No Content\r\n\r\n",
	 "no\n",
	 "a/b",
	 .status = 204},
	{.why = "304 neither", "HTTP/1.1 304 Not Modified\r\n\r\n", "no\n", "a/b", .status = 304},
	{.why = "edits change what is there",
	 "HTTP/1.1 200 OK\r\ncontent-type: c/d\r\nx-a: 1\r\nContent-Length: 3\r\n\r\nno\n",
	 "no\n",
	 "a/b",
	 .status = 200,
	 .edits = "=content-type: c/d;+x-a: 1"},
	{.why = "a status that has no text",
	 "HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n",
	 .status = 599},
};

static void
own_answers_go_out_as_written(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(local_rows); i++) {
		const struct local_row *r = &local_rows[i];
		struct edits ed;
		const struct sl_head_local how = {
			.status = (uint16_t)r->status,
			.version = (uint8_t)(r->version ? r->version : 11),
			.close = (uint8_t)r->close,
			.head_only = (uint8_t)r->head_only,
			.body = bytes(r->body),
			.content_type = bytes(r->type),
			.location = bytes(r->location),
			.edits = edits(&ed, r->edits),
		};
		same(written(write_local, NULL, &how), r->out, r->why);
	}
}

/* ---- what is written is read again as what was read ---- */

static uint64_t seed = 0x243f6a8885a308d3ull;

static uint32_t
chance(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 32) % n);
}

static const char *
any(const char *const *from, unsigned cnt)
{
	return from[chance(cnt)];
}

/* A request with its lines in any order, and a body that is framed in one of three ways. */
static size_t
random_request(char *to, unsigned lines)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "X-Y"};
	static const char *const names[] = {"accept",
					    "Accept-Encoding",
					    "x_y",
					    "Cookie",
					    "x-forwarded-for",
					    "X-Forwarded-Proto",
					    "x-request-id",
					    "a",
					    "TE",
					    "Keep-Alive",
					    "x-hop",
					    "Sec-Fetch-Mode",
					    "user-agent",
					    "Expect"};
	static const char *const values[] = {"",
					     "1",
					     "a, b",
					     "\"q;:\\\"\"",
					     "100-continue",
					     "x y  z",
					     "\xc3\xa4",
					     "0123456789abcdef0123456789"};
	static const char *const gaps[] = {" ", "", "\t", "  "};
	unsigned body = chance(3), host = chance(lines + 1), framing = chance(lines + 1),
		 hop = chance(lines + 1);
	char *p = to;

	p += sprintf(p, "%s /p%u%s HTTP/1.1\r\n", any(methods, 5), chance(99),
		     chance(2) ? "" : "?q=1&r");
	for (unsigned i = 0; i <= lines; i++) {
		if (i == host)
			p += sprintf(p, "Host:%s%s\r\n", any(gaps, 4),
				     chance(2) ? "h.example" : "[2001:db8::1]:8080");
		if (i == framing && body)
			p += sprintf(p,
				     body == 1 ? "content-length:%s%u\r\n"
					       : "Transfer-Encoding:%schunked\r\n",
				     any(gaps, 4), chance(100000));
		if (i == hop && chance(3) == 0)
			p += sprintf(p, "Connection: x-hop%s\r\n", chance(2) ? "" : ", close");
		if (i < lines)
			p += sprintf(p, "%s:%s%s%s\r\n", any(names, 14), any(gaps, 4),
				     any(values, 8), chance(4) ? "" : " ");
	}
	p += sprintf(p, "\r\n");
	return (size_t)(p - to);
}

static bool
is_own(const struct sl_http_line *l)
{
	return l->known == SL_HTTP_HOST || l->known == SL_HTTP_CONTENT_LENGTH ||
	       l->known == SL_HTTP_TRANSFER_ENCODING || l->known == SL_HTTP_X_FORWARDED_FOR ||
	       l->known == SL_HTTP_X_FORWARDED_PROTO || l->known == SL_HTTP_X_FORWARDED_HOST ||
	       l->known == SL_HTTP_X_REQUEST_ID;
}

/* The next line behind *at that is the client's and passes. */
static const struct sl_http_line *
next_line(const struct sl_http_head *h, unsigned *at)
{
	while (*at < h->line_cnt) {
		const struct sl_http_line *l = &h->line[(*at)++];
		if (!l->hop && !is_own(l))
			return l;
	}
	return NULL;
}

static void
same_lines(const struct sl_http_head *a, const struct sl_http_head *b)
{
	unsigned i = 0, j = 0;

	for (;;) {
		const struct sl_http_line *x = next_line(a, &i), *y = next_line(b, &j);
		if (!x || !y) {
			CU_ASSERT(!x && !y);
			return;
		}
		CU_ASSERT_FATAL(x->name_len == y->name_len && x->value_len == y->value_len);
		CU_ASSERT(memcmp(a->bytes + x->name, b->bytes + y->name, x->name_len) == 0);
		CU_ASSERT(memcmp(a->bytes + x->value, b->bytes + y->value, x->value_len) == 0);
	}
}

static void
what_goes_out_reads_as_what_came_in(void)
{
	static char in[ROOM];
	static uint8_t plain[ROOM], edited[ROOM];
	struct sl_http_head a, b;
	struct edits ed;

	for (unsigned i = 0; i < 20000; i++) {
		enum sl_http_bad why = 0;
		size_t len = random_request(in, chance(chance(8) ? 12 : 90));
		CU_ASSERT_FATAL(sl_http_request((uint8_t *)in, (uint32_t)len, 0, &limits, &a,
						&why) == (int)len);
		struct sl_head_request how = {
			.path = {a.bytes + a.path, a.path_len},
			.query = {a.query ? a.bytes + a.query : NULL, a.query_len},
			.trusted_hops = (uint8_t)chance(2),
		};
		memset(how.request_id, 'r', SL_REQUEST_ID_LEN);
		uint32_t n = sl_head_write_request(plain, ROOM, &a, &how);
		CU_ASSERT_FATAL(n > 0);
		CU_ASSERT_FATAL(sl_http_request(plain, n, 0, &limits, &b, &why) == (int)n);
		CU_ASSERT(a.body == b.body && a.length == b.length && a.method == b.method);
		CU_ASSERT(a.path_len == b.path_len && a.query_len == b.query_len &&
			  !a.query == !b.query);
		CU_ASSERT(a.authority_len == b.authority_len &&
			  memcmp(a.bytes + a.host, b.bytes + b.host, a.authority_len) == 0);
		CU_ASSERT(b.line[0].known == SL_HTTP_HOST && b.flags & SL_HEAD_KEEP);
		CU_ASSERT(b.first[SL_HTTP_CONNECTION] == UINT8_MAX &&
			  b.first[SL_HTTP_TE] == UINT8_MAX);
		same_lines(&a, &b);
		/* the way that edits take gives the same bytes when they change nothing */
		how.edits = edits(&ed, "-not-there");
		CU_ASSERT(sl_head_write_request(edited, ROOM, &a, &how) == n);
		CU_ASSERT(memcmp(plain, edited, n) == 0);
	}
}

static void
a_hundred_lines_and_all_edits_fit(void)
{
	static char in[ROOM], ed_text[4096];
	enum sl_http_bad why = 0;
	struct sl_http_head head;
	struct edits ed;
	int n = sprintf(in, "GET / HTTP/1.1\r\nHost: h\r\n");
	int e = 0;

	for (int i = 0; i < SL_HTTP_HEADERS_MAX - 1; i++)
		n += sprintf(in + n, "x-%d: %d\r\n", i, i);
	n += sprintf(in + n, "\r\n");
	for (int i = 0; i < SL_MAX_EDITS; i++)
		e += sprintf(ed_text + e, "%s+y: %d", i ? ";" : "", i);
	CU_ASSERT_FATAL(sl_http_request((uint8_t *)in, (uint32_t)n, 0, &limits, &head, &why) == n);
	const struct sl_head_request how = {
		.path = bytes("/"), .edits = edits(&ed, ed_text), .request_id = ID};
	const char *out = written(write_request, &head, &how);
	CU_ASSERT(strstr(out, "x-98: 98\r\n") && strstr(out, "y: 31\r\n"));
}

static void
names_of_one_hash_are_told_apart(void)
{
	static const uint8_t name[] = "x-000000";
	uint16_t hash = sl_http_name_hash(name, 8);
	char other[16], in[64];
	enum sl_http_bad why;
	struct sl_http_head head;
	struct edits ed;
	unsigned i = 1;

	do
		snprintf(other, sizeof(other), "x-%06u", i++ % 1000000);
	while (sl_http_name_hash((uint8_t *)other, 8) != hash && i < 1000000);
	CU_ASSERT_FATAL(i < 1000000);
	int n = snprintf(in, sizeof(in), "GET / HTTP/1.1\r\nHost: h\r\n%s: 1\r\n\r\n", other);
	CU_ASSERT_FATAL(sl_http_request((uint8_t *)in, (uint32_t)n, 0, &limits, &head, &why) == n);
	const struct sl_head_request how = {
		.path = bytes("/"), .edits = edits(&ed, "-x-000000"), .request_id = ID};
	CU_ASSERT_PTR_NOT_NULL(strstr(written(write_request, &head, &how), other));
}

/* ---- addresses, ids ---- */

static void
addresses_are_written_as_everywhere(void)
{
	enum sl_http_bad why;
	struct sl_http_head head;
	static const char in[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
	struct sl_head_request how = {.path = bytes("/")};

	CU_ASSERT_FATAL(
		sl_http_request((const uint8_t *)in, sizeof(in) - 1, 0, &limits, &head, &why) > 0);
	for (unsigned i = 0; i < 20000; i++) {
		char want[SL_ADDR_STRLEN + 32], text[SL_ADDR_STRLEN];
		static uint8_t out[1024];
		for (unsigned k = 0; k < 16; k++) /* groups of zeros, short and long ones */
			how.client.b[k] = (uint8_t)(chance(3)   ? 0
						    : chance(2) ? chance(256)
								: chance(16));
		if (i % 4 == 0)
			how.client = sl_addr_from_v4(how.client.b);
		sl_addr_format(&how.client, text);
		snprintf(want, sizeof(want), "x-forwarded-for: %s\r\n", text);
		uint32_t n = sl_head_write_request(out, sizeof(out) - 1, &head, &how);
		CU_ASSERT_FATAL(n > 0);
		out[n] = 0;
		if (!strstr((char *)out, want)) {
			printf("\nwanted %sgot %s", want, (char *)out);
			CU_FAIL_FATAL("an address that reads otherwise");
		}
	}
}

static void
request_ids_are_uuids_of_version_4(void)
{
	char id[SL_REQUEST_ID_LEN + 1] = {0};
	uint8_t random[16];

	memset(random, 0xff, 16);
	sl_request_id(random, id);
	CU_ASSERT_STRING_EQUAL(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
	for (unsigned i = 0; i < 16; i++)
		random[i] = (uint8_t)(i * 17);
	sl_request_id(random, id);
	CU_ASSERT_STRING_EQUAL(id, "00112233-4455-4677-8899-aabbccddeeff");
}

/* ---- rewrites and redirects ---- */

/* A virtual host with one route, which has a condition of the path. */
struct site {
	struct sl_img_vhost v;
	struct sl_img_http_route r;
	struct sl_img_cond cond[2];
	uint32_t ids[2];
	char str[512];
};

static struct sl_img_str
site_str(struct site *s, const char *text)
{
	struct sl_img_str ret = {s->v.str_bytes, text ? (uint32_t)strlen(text) : 0};

	memcpy(s->str + ret.off, text ? text : "", ret.len);
	s->v.str_bytes += ret.len;
	return ret;
}

static void
site_make(struct site *s, int rewrite, const char *to, const char *pattern)
{
	*s = (struct site){
		.v = {.route_off = offsetof(struct site, r),
		      .cond_off = offsetof(struct site, cond),
		      .cond_id_off = offsetof(struct site, ids),
		      .str_off = offsetof(struct site, str),
		      .str_bytes = 3},
		.ids = {1, 0},
	};
	s->cond[1] = (struct sl_img_cond){.field = SL_FIELD_HEADER, .op = SL_COND_PRESENT};
	s->cond[0] = (struct sl_img_cond){.field = SL_FIELD_PATH,
					  .op = rewrite == SL_REWRITE_TEMPLATE ? SL_COND_TEMPLATE
									       : SL_COND_SEGMENTS,
					  .value = site_str(s, pattern)};
	s->r.cond_cnt = 2;
	s->r.rewrite = (uint8_t)rewrite;
	s->r.path = site_str(s, to);
}

struct rewrite_row {
	const char *why;
	int rewrite;
	const char *pattern, *to, *path, *out;
	struct sl_match_result m;
};

#define CAPS(...)                                                                                  \
	{                                                                                          \
		.capture_cnt = SL_ARRAY_CNT(((struct { uint16_t a, b; }[]){__VA_ARGS__})),         \
		.capture = {                                                                       \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct rewrite_row rewrite_rows[] = {
	{.why = "no rewrite", SL_REWRITE_NONE, "/api", NULL, "/api/x", "/api/x", {.prefix = 4}},
	{.why = "a prefix", SL_REWRITE_PREFIX, "/api", "/new", "/api/x", "/new/x", {.prefix = 4}},
	{.why = "the prefix alone",
	 SL_REWRITE_PREFIX,
	 "/api",
	 "/new",
	 "/api",
	 "/new",
	 {.prefix = 4}},
	{.why = "the prefix and a slash",
	 SL_REWRITE_PREFIX,
	 "/api",
	 "/new",
	 "/api/",
	 "/new/",
	 {.prefix = 4}},
	{.why = "to the root", SL_REWRITE_PREFIX, "/api", "/", "/api/x", "/x", {.prefix = 4}},
	{.why = "to the root, alone", SL_REWRITE_PREFIX, "/api", "/", "/api", "/", {.prefix = 4}},
	{.why = "to the root, with a slash",
	 SL_REWRITE_PREFIX,
	 "/api",
	 "/",
	 "/api/",
	 "/",
	 {.prefix = 4}},
	{.why = "of everything", SL_REWRITE_PREFIX, "", "/new", "/x", "/new/x", {.prefix = 0}},
	{.why = "of everything, by a slash",
	 SL_REWRITE_PREFIX,
	 "",
	 "/new/",
	 "/x",
	 "/new/x",
	 {.prefix = 0}},
	{.why = "the whole path",
	 SL_REWRITE_PATH,
	 "/api",
	 "/one",
	 "/api/x/y",
	 "/one",
	 {.prefix = 4}},
	{.why = "a template",
	 SL_REWRITE_TEMPLATE,
	 "/users/{id}/{rest=**}",
	 "/v2/{id}/r/{rest}",
	 "/users/7/a/b",
	 "/v2/7/r/a/b",
	 CAPS({7, 1}, {9, 3})},
	{.why = "parts in another order, and twice",
	 SL_REWRITE_TEMPLATE,
	 "/{a}/{ab}",
	 "/{ab}-{a}-{ab}.x",
	 "/1/22",
	 "/22-1-22.x",
	 CAPS({1, 1}, {3, 2})},
	{.why = "a part that matched nothing",
	 SL_REWRITE_TEMPLATE,
	 "/a/{rest=**}",
	 "/b/{rest}",
	 "/a/",
	 "/b/",
	 CAPS({3, 0})},
	{.why = "a part without a name",
	 SL_REWRITE_TEMPLATE,
	 "/a/{**}",
	 "/b/{**}",
	 "/a/x/y",
	 "/b/x/y",
	 CAPS({3, 3})},
	{.why = "no part at all", SL_REWRITE_TEMPLATE, "/a/{b}", "/c", "/a/x", "/c", CAPS({3, 1})},
	{.why = "what is no path stays", SL_REWRITE_PATH, "", "/one", "*", "*", {0}},
};

static uint32_t
write_rewrite(uint8_t *out, uint32_t max, const void *row, const void *site)
{
	const struct rewrite_row *r = row;
	const struct site *s = site;

	return sl_rewrite_path(out, max, &s->v, &s->r, &r->m, (const uint8_t *)r->path,
			       (uint32_t)strlen(r->path));
}

static void
paths_are_rewritten(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rewrite_rows); i++) {
		const struct rewrite_row *r = &rewrite_rows[i];
		struct site s;

		site_make(&s, r->rewrite, r->to, r->pattern);
		same(written(write_rewrite, r, &s), r->out, r->why);
	}
}

struct redirect_row {
	const char *why, *in, *out;
	int rewrite;
	const char *to, *host;
	int https, route_https, port, strip;
};

#define REQ "GET /api/x?q=1 HTTP/1.1\r\nHost: h.example:8080\r\n\r\n"

static const struct redirect_row redirect_rows[] = {
	{.why = "to another path, on the same port",
	 REQ,
	 "http://h.example:8080/new?q=1",
	 SL_REWRITE_PATH,
	 "/new"},
	{.why = "to another prefix",
	 REQ,
	 "http://h.example:8080/v2/x?q=1",
	 SL_REWRITE_PREFIX,
	 "/v2"},
	{.why = "to https, where the port is another",
	 REQ,
	 "https://h.example/api/x?q=1",
	 .route_https = 1},
	{.why = "to https, of a given port",
	 REQ,
	 "https://h.example:8443/api/x?q=1",
	 .route_https = 1,
	 .port = 8443},
	{.why = "a port that goes without saying",
	 REQ,
	 "https://h.example/api/x?q=1",
	 .route_https = 1,
	 .port = 443},
	{.why = "port 443 of http does not", REQ, "http://h.example:443/api/x?q=1", .port = 443},
	{.why = "a given port of the same scheme",
	 REQ,
	 "http://h.example:81/api/x?q=1",
	 .port = 81},
	{.why = "port 80", REQ, "http://h.example/api/x?q=1", .port = 80},
	{.why = "from https to http",
	 REQ,
	 "http://h.example/api/x?q=1",
	 .https = 1,
	 .route_https = 2},
	{.why = "the scheme is kept", REQ, "https://h.example:8080/api/x?q=1", .https = 1},
	{.why = "to https, by https: nothing changes",
	 REQ,
	 "https://h.example:8080/api/x?q=1",
	 .https = 1,
	 .route_https = 1},
	{.why = "to another host", REQ, "http://other.example/api/x?q=1", .host = "other.example"},
	{.why = "to another host and port",
	 REQ,
	 "http://other.example:65535/api/x?q=1",
	 .host = "other.example",
	 .port = 65535},
	{.why = "without the query", REQ, "http://h.example:8080/api/x", .strip = 1},
	{.why = "a query of the route's comes first",
	 REQ,
	 "http://h.example:8080/n?a=b&q=1",
	 SL_REWRITE_PATH,
	 "/n?a=b"},
	{.why = "an empty query", "GET /api/x? HTTP/1.1\r\nHost: h\r\n\r\n", "http://h/api/x?"},
	{.why = "a literal address",
	 "GET /api/x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
	 "http://[::1]/",
	 SL_REWRITE_PATH,
	 "/",
	 .port = 80},
	{.why = "where a host is named, two slashes are no other",
	 "GET //e/x HTTP/1.1\r\nHost: h\r\n\r\n",
	 "http://h//e/x"},
	{.why = "nobody named a host", "GET /api/x HTTP/1.0\r\n\r\n", "/api/x", .port = 81},
	{.why = "nobody named a host, and the path must not",
	 "GET //evil.example/x HTTP/1.0\r\n\r\n",
	 "/.//evil.example/x"},
};

struct redirect_case {
	const struct redirect_row *row;
	const struct site *site;
};

static uint32_t
write_redirect(uint8_t *out, uint32_t max, const void *head, const void *of)
{
	const struct redirect_case *c = of;
	const struct sl_http_head *h = head;
	const struct sl_match_result m = {.prefix = 4};

	return sl_redirect_location(out, max, &c->site->v, &c->site->r, &m, h,
				    (struct sl_bytes){h->bytes + h->path, h->path_len},
				    c->row->https);
}

static void
redirects_say_where_to(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(redirect_rows); i++) {
		const struct redirect_row *r = &redirect_rows[i];
		enum sl_http_bad why;
		struct sl_http_head head;
		struct site s;

		CU_ASSERT_FATAL(sl_http_request((const uint8_t *)r->in, (uint32_t)strlen(r->in), 0,
						&limits, &head, &why) > 0);
		site_make(&s, r->rewrite, r->to, "/api");
		s.r.host = site_str(&s, r->host);
		s.r.redirect_https = (uint8_t)r->route_https;
		s.r.redirect_port = (uint16_t)r->port;
		s.r.strip_query = (uint8_t)r->strip;
		const struct redirect_case c = {r, &s};
		same(written(write_redirect, &head, &c), r->out, r->why);
	}
}

SL_SUITE("heads", SL_TEST(requests_go_out_as_written),
	 SL_TEST(request_ids_are_kept_up_to_128_bytes), SL_TEST(answers_go_out_as_written),
	 SL_TEST(own_answers_go_out_as_written), SL_TEST(what_goes_out_reads_as_what_came_in),
	 SL_TEST(a_hundred_lines_and_all_edits_fit), SL_TEST(names_of_one_hash_are_told_apart),
	 SL_TEST(addresses_are_written_as_everywhere), SL_TEST(request_ids_are_uuids_of_version_4),
	 SL_TEST(paths_are_rewritten), SL_TEST(redirects_say_where_to))
