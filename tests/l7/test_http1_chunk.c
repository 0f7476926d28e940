/* Chunked bodies: framing in pieces of every length, what is refused, trailers. */
#include "http1_bed.h"

/* What came out: data, then what ended it and how many bytes were used. */
struct body {
	char data[1024];
	size_t len, used;
	enum sl_chunk_event end; /* MORE: not yet; END; BAD */
};

/* bytes[0, n) in pieces: of one byte when piece is 0, else the first one has piece bytes. */
static struct body
body(const uint8_t *bytes, size_t n, size_t piece)
{
	struct sl_http_chunked c = {0};
	struct body b = {.end = SL_CHUNK_MORE};
	size_t at = 0, to = 0;

	while (b.end == SL_CHUNK_MORE && at < n) {
		to = at < to ? to : piece && to == 0 ? piece : piece ? n : at + 1;
		size_t len = to - at;
		if (c.left) {
			len = SL_MIN(len, c.left);
			memcpy(b.data + b.len, bytes + at, len);
			b.len += len;
			sl_http_chunk_data(&c, len);
			at += len;
			continue;
		}
		uint8_t *page = guard_buf(len);
		uint32_t used = (uint32_t)len;
		memcpy(page, bytes + at, len);
		enum sl_chunk_event e = sl_http_chunk(&c, page, (uint32_t)len, &used);
		guard_free(page, len);
		CU_ASSERT((e == SL_CHUNK_SIZE) == (c.left > 0) || e == SL_CHUNK_BAD);
		CU_ASSERT(e != SL_CHUNK_MORE || used == len);
		if (e == SL_CHUNK_END || e == SL_CHUNK_BAD)
			b.end = e;
		at += e == SL_CHUNK_BAD ? 0 : used;
	}
	b.used = b.end == SL_CHUNK_BAD ? 0 : at;
	return b;
}

static const struct {
	const char *reason, *bytes, *want; /* the data; with "+" behind: not ended; NULL: refused */
} chunks[] = {
	{"one chunk", "3\r\nabc\r\n0\r\n", "abc"},
	{"two", "3\r\nabc\r\n1\r\nd\r\n0\r\n", "abcd"},
	{"none", "0\r\n", ""},
	{"hexadecimal of both cases", "A\r\n0123456789\r\nb\r\n01234567890\r\n0\r\n",
	 "012345678901234567890"},
	{"zeros before the size", "0003\r\nabc\r\n000\r\n", "abc"},
	{"data that looks like framing", "7\r\n\r\n0\r\n\r\n\r\n0\r\n", "\r\n0\r\n\r\n"},
	{"an extension", "3;a\r\nabc\r\n0\r\n", "abc"},
	{"one with a value", "3;a=b\r\nabc\r\n0;c=d\r\n", "abc"},
	{"several", "3;a=b;c;d=e\r\nabc\r\n0\r\n", "abc"},
	{"a quoted value", "3;a=\"b;c=\\\"\\\\d\t \xff\"\r\nabc\r\n0\r\n", "abc"},
	{"a quoted value that is empty", "3;a=\"\"\r\nabc\r\n0\r\n", "abc"},
	{"bad white space where RFC 9112 has it", "3 \t; a = b ;c\t=\t\"d\" ; e\r\nabc\r\n0\r\n",
	 "abc"},
	{"the beginning", "3\r\na", "a+"},
	{"the beginning of a line", "3\r\nabc\r\n0", "abc+"},
	{"the largest size", "7fffffffffffffff\r\nab", "ab+"},
	{"a sign in it", "8000000000000000\r\nab", NULL},
	{"more than 64 bits", "10000000000000003\r\nabc\r\n0\r\n", NULL},
	{"more than 16 digits", "00000000000000003\r\nabc\r\n0\r\n", NULL},
	{"no size", "\r\nabc\r\n0\r\n", NULL},
	{"an extension without a size", ";a\r\nabc\r\n0\r\n", NULL},
	{"a space before the size", " 3\r\nabc\r\n0\r\n", NULL},
	{"a space behind the size", "3 \r\nabc\r\n0\r\n", NULL},
	{"a sign", "+3\r\nabc\r\n0\r\n", NULL},
	{"minus", "-3\r\nabc\r\n0\r\n", NULL},
	{"0x", "0x3\r\nabc\r\n0\r\n", NULL},
	{"a letter that is no digit", "g\r\nabc\r\n0\r\n", NULL},
	{"an underscore within", "1_0\r\n0123456789012345\r\n0\r\n", NULL},
	{"a space within the size", "1 0\r\n", NULL},
	{"a size in another base's digits", "3h\r\nabc\r\n0\r\n", NULL},
	{"a bare LF behind the size", "3\nabc\r\n0\r\n", NULL},
	{"a bare CR behind the size", "3\rabc\r\n0\r\n", NULL},
	{"two CR behind the size", "3\r\r\nabc\r\n0\r\n", NULL},
	{"a bare LF behind data", "3\r\nabc\n0\r\n", NULL},
	{"a bare CR behind data", "3\r\nabc\r0\r\n", NULL},
	{"nothing behind data", "3\r\nabc0\r\n", NULL},
	{"more data than said", "3\r\nabcd\r\n0\r\n", NULL},
	{"less data than said", "5\r\nabc\r\n0\r\n", NULL},
	{"an empty line before the size", "3\r\nabc\r\n\r\n0\r\n", NULL},
	{"a bare LF in an extension (what comes behind would be a chunk to others)",
	 "3;\nxx\r\nabc\r\n0\r\n", NULL},
	{"a bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n", NULL},
	{"a bare LF in a quoted value", "3;a=\"\n\"\r\nabc\r\n0\r\n", NULL},
	{"CR LF in a quoted value", "3;a=\"\r\n\"\r\nabc\r\n0\r\n", NULL},
	{"a control behind a backslash", "3;a=\"\\\r\"\r\nabc\r\n0\r\n", NULL},
	{"a quoted value without its end", "3;a=\"b\r\nabc\r\n0\r\n", NULL},
	{"more behind the quote", "3;a=\"b\"c\r\nabc\r\n0\r\n", NULL},
	{"a control in a quoted value", "3;a=\"\x01\"\r\nabc\r\n0\r\n", NULL},
	{"DEL in a quoted value", "3;a=\"\x7f\"\r\nabc\r\n0\r\n", NULL},
	{"an extension without a name", "3;\r\nabc\r\n0\r\n", NULL},
	{"a value without a name", "3;=b\r\nabc\r\n0\r\n", NULL},
	{"a name without its value", "3;a=\r\nabc\r\n0\r\n", NULL},
	{"white space at the end of an extension", "3;a \r\nabc\r\n0\r\n", NULL},
	{"white space at the end of a value", "3;a=b \r\nabc\r\n0\r\n", NULL},
	{"two names", "3;a b\r\nabc\r\n0\r\n", NULL},
	{"two values", "3;a=b c\r\nabc\r\n0\r\n", NULL},
	{"no token", "3;a=b/c\r\nabc\r\n0\r\n", NULL},
	{"obs-text outside of quotes", "3;a=\xff\r\nabc\r\n0\r\n", NULL},
};

static bool
same_body(const struct body *a, const struct body *b)
{
	return a->end == b->end && a->used == b->used && a->len == b->len &&
	       memcmp(a->data, b->data, a->len) == 0;
}

static void
chunks_are_read_or_refused_in_pieces_too(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(chunks); i++) {
		const uint8_t *bytes = (const uint8_t *)chunks[i].bytes;
		const char *want = chunks[i].want;
		size_t n = strlen(chunks[i].bytes), len = want ? strlen(want) : 0;
		bool open = len && want[len - 1] == '+';
		struct body whole = body(bytes, n, n);

		CU_ASSERT_EQUAL(whole.end, !want  ? SL_CHUNK_BAD
					   : open ? SL_CHUNK_MORE
						  : SL_CHUNK_END);
		if (want && (whole.len != len - open || memcmp(whole.data, want, whole.len) != 0))
			CU_FAIL("data");
		CU_ASSERT(!want || whole.used == n);
		for (size_t piece = 0; piece < n; piece++) {
			struct body b = body(bytes, n, piece);
			CU_ASSERT(same_body(&b, &whole));
		}
		if (want ? whole.end == SL_CHUNK_BAD : whole.end != SL_CHUNK_BAD)
			printf("\n  %s: %u\n", chunks[i].reason, whole.end);
	}
}

static void
a_size_line_has_as_many_bytes_as_the_limit_and_not_one_more(void)
{
	for (unsigned more = 0; more < 2; more++) {
		char text[512] = "3;";
		memset(text + 2, 'a', SL_CHUNK_LINE_MAX - 4 + more);
		strcat(text, "\r\nabc\r\n0\r\n");
		size_t n = strlen(text);
		for (size_t piece = 0; piece <= n; piece += 51) {
			struct body b = body((uint8_t *)text, n, piece);
			CU_ASSERT_EQUAL(b.end, more ? SL_CHUNK_BAD : SL_CHUNK_END);
		}
	}
	/* Without an end it is refused before the end. */
	uint8_t endless[SL_CHUNK_LINE_MAX];
	memset(endless, '0', sizeof(endless));
	CU_ASSERT_EQUAL(body(endless, 17, 17).end, SL_CHUNK_BAD);
	endless[1] = ';';
	CU_ASSERT_EQUAL(body(endless, sizeof(endless) - 1, 0).end, SL_CHUNK_MORE);
	CU_ASSERT_EQUAL(body(endless, sizeof(endless), 0).end, SL_CHUNK_BAD);
}

static void
the_limit_of_a_line_is_anew_for_each_chunk(void)
{
	char text[1024] = "";

	for (unsigned i = 0; i < 3; i++) {
		strcat(text, "3;");
		memset(text + strlen(text), 'a', SL_CHUNK_LINE_MAX - 4);
		strcat(text, "\r\nabc\r\n");
	}
	strcat(text, "0\r\n");
	struct body b = body((uint8_t *)text, strlen(text), 0);
	CU_ASSERT_EQUAL(b.end, SL_CHUNK_END);
	CU_ASSERT_EQUAL(b.len, 9);
}

static void
nothing_is_read_behind_the_last_chunk_or_an_error(void)
{
	struct sl_http_chunked c = {0};
	uint32_t used = 9;

	CU_ASSERT_EQUAL(sl_http_chunk(&c, (const uint8_t *)"0\r\n\r\nGET", 8, &used), SL_CHUNK_END);
	CU_ASSERT_EQUAL(used, 3);
	CU_ASSERT_EQUAL(sl_http_chunk(&c, (const uint8_t *)"\r\n", 2, &used), SL_CHUNK_BAD);
	CU_ASSERT_EQUAL(sl_http_chunk(&c, (const uint8_t *)"0\r\n", 3, &used), SL_CHUNK_BAD);
	c = (struct sl_http_chunked){0};
	CU_ASSERT_EQUAL(sl_http_chunk(&c, (const uint8_t *)"0\r\n", 3, &used), SL_CHUNK_END);
	CU_ASSERT_EQUAL(sl_http_chunk(&c, (const uint8_t *)"0\r\n", 3, &used), SL_CHUNK_BAD);
	c = (struct sl_http_chunked){0};
	CU_ASSERT_EQUAL(sl_http_chunk(&c, (const uint8_t *)"", 0, &used), SL_CHUNK_MORE);
	CU_ASSERT_EQUAL(used, 0);
}

/* ---- trailers ---- */

#define END "\r\n"

static const struct bed_row trailers[] = {
	ROW("none", END, "0 lines"),
	ROW("one", "grpc-status: 0\r\n" END, "1 lines"),
	ROW("two", "Server-Timing: a\r\nx-checksum: b\r\n" END "GET /", "2 lines"),
	ROW("a short name at the very beginning", "a: b\r\n" END, "1 lines"),
	ROW("not whole", "a: b\r\n", "partial"),
	ROW("a bare LF", "a: b\n" END, "bad_trailer"),
	ROW("a bare LF alone", "\n", "bad_trailer"),
	ROW("a bare LF for its end", "a: b\r\n\n", "bad_trailer"),
	ROW("obs-fold", "a: b\r\n c\r\n" END, "bad_trailer"),
	ROW("no colon", "a\r\n" END, "bad_trailer"),
	ROW("a space before the colon", "a : b\r\n" END, "bad_trailer"),
	ROW("a control", "a: \x01\r\n" END, "bad_trailer"),
	ROW("framing", "Content-Length: 5\r\n" END, "bad_trailer"),
	ROW("framing again", "a: b\r\nTransfer-Encoding: chunked\r\n" END, "bad_trailer"),
	ROW("routing", "Host: b\r\n" END, "bad_trailer"),
	ROW("this hop", "Connection: close\r\n" END, "bad_trailer"),
	ROW("authentication", "authorization: x\r\n" END, "bad_trailer"),
	ROW("authentication of proxies", "Proxy-Authorization: x\r\n" END, "bad_trailer"),
	ROW("cookies", "Cookie: a=b\r\n" END, "bad_trailer"),
	ROW("cookies of answers", "Set-Cookie: a=b\r\n" END, "bad_trailer"),
	ROW("what the content is", "Content-Type: a/b\r\n" END, "bad_trailer"),
	ROW("how it is coded", "Content-Encoding: gzip\r\n" END, "bad_trailer"),
	ROW("conditions", "If-Match: \"a\"\r\n" END, "bad_trailer"),
	ROW("controls", "Cache-Control: no-store\r\n" END, "bad_trailer"),
	ROW("where it came from", "X-Forwarded-Port: 1\r\n" END, "bad_trailer"),
	ROW("a name that begins alike", "authorizations: x\r\n" END, "1 lines"),
};

static void
trailers_are_read_or_refused(void)
{
	bed_rows(BED_TRAILERS, trailers, SL_ARRAY_CNT(trailers));
}

static void
trailers_have_a_limit(void)
{
	static uint8_t bytes[SL_TRAILERS_MAX + 1];

	for (unsigned more = 0; more < 2; more++) {
		size_t n = SL_TRAILERS_MAX + more;
		memset(bytes, 'a', n);
		bytes[1] = ':';
		memcpy(bytes + n - 4, "\r\n\r\n", 4);
		struct bed_answer a = bed_parse(BED_TRAILERS, 0, bytes, n, 0, NULL);
		CU_ASSERT_EQUAL(a.r, more ? SL_BAD : (int)n);
		CU_ASSERT(!more || a.why == SL_HTTP_BAD_TOO_LONG);
		CU_ASSERT_PTR_NULL(bed_pieces(BED_TRAILERS, 0, bytes, n, NULL, 97));
		a = bed_parse(BED_TRAILERS, 0, bytes, SL_TRAILERS_MAX - 1, 0, NULL);
		CU_ASSERT_EQUAL(a.r, SL_PARTIAL);
		bytes[n - 1] = 'a';
		a = bed_parse(BED_TRAILERS, 0, bytes, SL_TRAILERS_MAX, 0, NULL);
		CU_ASSERT_EQUAL(a.why, SL_HTTP_BAD_TOO_LONG);
	}
	for (unsigned more = 0; more < 2; more++) {
		char text[1024] = "";
		for (unsigned i = 0; i < SL_HTTP_HEADERS_MAX + more; i++)
			strcat(text, "a:\r\n");
		strcat(text, END);
		struct bed_answer a =
			bed_parse(BED_TRAILERS, 0, (uint8_t *)text, strlen(text), 0, NULL);
		CU_ASSERT_EQUAL(a.r, more ? SL_BAD : (int)strlen(text));
		CU_ASSERT(!more || a.why == SL_HTTP_BAD_TOO_MANY);
	}
}

SL_SUITE("http1_chunk", SL_TEST(chunks_are_read_or_refused_in_pieces_too),
	 SL_TEST(a_size_line_has_as_many_bytes_as_the_limit_and_not_one_more),
	 SL_TEST(the_limit_of_a_line_is_anew_for_each_chunk),
	 SL_TEST(nothing_is_read_behind_the_last_chunk_or_an_error),
	 SL_TEST(trailers_are_read_or_refused), SL_TEST(trailers_have_a_limit))
