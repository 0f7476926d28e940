/* Answers of endpoints: what is understood, and what is refused because two readers might take it for two things. */
#include "http1_bed.h"

#define OK(lines) "HTTP/1.1 200 OK\r\n" lines "\r\n"
#define STATUS(line) line "\r\nContent-Length: 0\r\n\r\n"

static const struct bed_row status_lines[] = {
	ROW("the usual", STATUS("HTTP/1.1 200 OK"), "200 [OK] 11 length=0 keep"),
	ROW("a reason of words", STATUS("HTTP/1.1 404 Not Found"),
	    "404 [Not Found] 11 length=0 keep"),
	ROW("an empty reason", STATUS("HTTP/1.1 200 "), "200 [] 11 length=0 keep"),
	ROW("not even its space", STATUS("HTTP/1.1 200"), "200 [] 11 length=0 keep"),
	ROW("obs-text and a tab in the reason", STATUS("HTTP/1.1 200 \xc3\xa9\tx"),
	    "200 [\xc3\xa9\tx] 11 length=0 keep"),
	ROW("the lowest", "HTTP/1.1 100 \r\n\r\n", "100 [] 11 none keep"),
	ROW("the highest", STATUS("HTTP/1.1 999 x"), "999 [x] 11 length=0 keep"),
	ROW("HTTP/1.0", STATUS("HTTP/1.0 200 OK"), "200 [OK] 10 length=0"),
	ROW("below 100", STATUS("HTTP/1.1 099 x"), "bad_status"),
	ROW("two digits", STATUS("HTTP/1.1 20 x"), "bad_status"),
	ROW("four digits", STATUS("HTTP/1.1 2000 x"), "bad_status"),
	ROW("a letter", STATUS("HTTP/1.1 2x0 x"), "bad_status"),
	ROW("a sign", STATUS("HTTP/1.1 +20 x"), "bad_status"),
	ROW("no status", STATUS("HTTP/1.1 "), "bad_status"),
	ROW("two spaces", STATUS("HTTP/1.1  200 OK"), "bad_status"),
	ROW("a tab behind the status", STATUS("HTTP/1.1 200\tOK"), "bad_status"),
	ROW("no space at all", STATUS("HTTP/1.1"), "bad_line"),
	ROW("a tab behind the version", STATUS("HTTP/1.1\t200 OK"), "bad_line"),
	ROW("HTTP/2", STATUS("HTTP/2.0 200 OK"), "bad_version"),
	ROW("HTTP/1.2", STATUS("HTTP/1.2 200 OK"), "bad_version"),
	ROW("HTTP/1", STATUS("HTTP/1 200 OK"), "bad_line"),
	ROW("lower case", STATUS("http/1.1 200 OK"), "bad_line"),
	ROW("another protocol", STATUS("ICY 200 OK"), "bad_line"),
	ROW("a page without a head", "<html>", "bad_line"),
	ROW("an empty line before it", "\r\n" OK(""), "bad_line"),
	ROW("NUL in the reason", STATUS("HTTP/1.1 200 O\0K"), "bad_line"),
	ROW("a bare CR in the reason", STATUS("HTTP/1.1 200 O\rK"), "bad_line"),
	ROW("DEL in the reason", STATUS("HTTP/1.1 200 \x7f"), "bad_line"),
	ROW("a bare LF behind it", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "bad_newline"),
	ROW("the beginning of one", "HTTP/1.1 20", "partial"),
	ROW("its first byte", "H", "partial"),
	ROW("nothing", "", "partial"),
	ROW("no Host is needed", OK(""), "200 [OK] 11 close"),
};

static const struct bed_row lines[] = {
	ROW("obs-fold", OK("A: b\r\n c\r\n"), "bad_fold"),
	ROW("a space before the colon", OK("A : b\r\n"), "bad_name"),
	ROW("an empty name", OK(": b\r\n"), "bad_name"),
	ROW("a bare LF", OK("A: b\n"), "bad_newline"),
	ROW("a bare CR", OK("A: b\rc\r\n"), "bad_value"),
	ROW("NUL", OK("A: \0\r\n"), "bad_value"),
	ROW("Connection names what the client goes by", OK("Connection: content-length\r\n"),
	    "bad_connection"),
	ROW("Connection names Set-Cookie", OK("Connection: set-cookie\r\n"), "bad_connection"),
};

static const struct bed_row framings[] = {
	ROW("a length", OK("Content-Length: 5\r\n"), "200 [OK] 11 length=5 keep"),
	ROW("chunked", OK("Transfer-Encoding: chunked\r\n"), "200 [OK] 11 chunked keep"),
	ROW("until the end, which is not kept", OK("Connection: keep-alive\r\n"),
	    "200 [OK] 11 close"),
	ROW("not kept by request", OK("Content-Length: 5\r\nConnection: close\r\n"),
	    "200 [OK] 11 length=5"),
	ROW("HTTP/1.0 kept by request",
	    "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
	    "200 [OK] 10 length=5 keep"),
	ROW("HTTP/1.0 until the end", "HTTP/1.0 200 OK\r\n\r\n", "200 [OK] 10 close"),
	ROW("chunked in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "bad_coding"),
	ROW("both", OK("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), "bad_framing"),
	ROW("both, to HEAD too", OK("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
	    "bad_framing"),
	ROW("two lengths", OK("Content-Length: 5\r\nContent-Length: 5\r\n"), "bad_length"),
	ROW("two in a line", OK("Content-Length: 5, 5\r\n"), "bad_length"),
	ROW("an empty length", OK("Content-Length:\r\n"), "bad_length"),
	ROW("a length that does not fit", OK("Content-Length: 99999999999999999999\r\n"),
	    "bad_length"),
	ROW("another coding", OK("Transfer-Encoding: gzip, chunked\r\n"), "bad_coding"),
	ROW("chunked twice", OK("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
	    "bad_coding"),
	ROW_TO(HEAD, "to HEAD: the length of what is not sent", OK("Content-Length: 5\r\n"),
	       "200 [OK] 11 none keep"),
	ROW_TO(HEAD, "to HEAD: chunked", OK("Transfer-Encoding: chunked\r\n"),
	       "200 [OK] 11 none keep"),
	ROW_TO(HEAD, "to HEAD: neither, and yet kept", OK(""), "200 [OK] 11 none keep"),
	ROW_TO(HEAD, "to HEAD: both", OK("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
	       "bad_framing"),
	ROW_TO(HEAD, "to HEAD: a length that is none", OK("Content-Length: x\r\n"), "bad_length"),
	ROW("204", "HTTP/1.1 204 \r\n\r\n", "204 [] 11 none keep"),
	ROW("204 with a length of 0", "HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n",
	    "204 [] 11 none keep"),
	ROW("204 with a body", "HTTP/1.1 204 \r\nContent-Length: 5\r\n\r\n", "bad_length"),
	ROW("204 in chunks", "HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n", "bad_coding"),
	ROW("205 has a body of no bytes, said so", "HTTP/1.1 205 \r\nContent-Length: 0\r\n\r\n",
	    "205 [] 11 length=0 keep"),
	ROW("304 with the length of another", "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n",
	    "304 [] 11 none keep"),
	ROW("304", "HTTP/1.1 304 \r\n\r\n", "304 [] 11 none keep"),
	ROW("100", "HTTP/1.1 100 Continue\r\n\r\n", "100 [Continue] 11 none keep"),
	ROW("103 with lines", "HTTP/1.1 103 \r\nLink: x\r\n\r\n", "103 [] 11 none keep"),
	ROW("100 with a body", "HTTP/1.1 100 \r\nContent-Length: 1\r\n\r\n", "bad_length"),
	ROW("100 in chunks", "HTTP/1.1 100 \r\nTransfer-Encoding: chunked\r\n\r\n", "bad_coding"),
	ROW("101", "HTTP/1.1 101 \r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	    "101 [] 11 none keep upgrade"),
	ROW("101 to nothing", "HTTP/1.1 101 \r\n\r\n", "101 [] 11 none keep"),
	ROW_TO(CONNECT, "to CONNECT a tunnel begins", OK(""), "200 [OK] 11 none keep"),
	ROW_TO(CONNECT, "and its answer is not in chunks", OK("Transfer-Encoding: chunked\r\n"),
	       "bad_coding"),
	ROW_TO(CONNECT, "refused: a body as ever", "HTTP/1.1 403 \r\nContent-Length: 5\r\n\r\n",
	       "403 [] 11 length=5 keep"),
};

static void
status_lines_are_read_or_refused(void)
{
	bed_rows(BED_RESPONSE, status_lines, SL_ARRAY_CNT(status_lines));
}

static void
lines_of_answers_are_as_strict_as_those_of_requests(void)
{
	bed_rows(BED_RESPONSE, lines, SL_ARRAY_CNT(lines));
}

static void
bodies_of_answers_have_one_end(void)
{
	bed_rows(BED_RESPONSE, framings, SL_ARRAY_CNT(framings));
}

static void
what_is_no_answer_is_refused_at_its_first_wrong_byte(void)
{
	static const char version[] = "HTTP/";

	for (size_t i = 0; i < 5; i++) {
		uint8_t bytes[5];
		memcpy(bytes, version, 5);
		bytes[i] ^= 1;
		struct bed_answer a = bed_parse(BED_RESPONSE, 0, bytes, i, 0, &bed_wide);
		CU_ASSERT_EQUAL(a.r, SL_PARTIAL);
		a = bed_parse(BED_RESPONSE, 0, bytes, i + 1, i, &bed_wide);
		CU_ASSERT_EQUAL(a.why, SL_HTTP_BAD_LINE);
	}
}

static void
an_answer_has_no_more_bytes_and_lines_than_the_limits(void)
{
	struct sl_http_limits limits = {1024, 2};
	uint8_t bytes[1100];

	memset(bytes, 'a', sizeof(bytes));
	memcpy(bytes, "HTTP/1.1 200 ", 13);
	struct bed_answer a = bed_parse(BED_RESPONSE, 0, bytes, 1023, 0, &limits);
	CU_ASSERT_EQUAL(a.r, SL_PARTIAL);
	a = bed_parse(BED_RESPONSE, 0, bytes, 1024, 1023, &limits);
	CU_ASSERT_EQUAL(a.why, SL_HTTP_BAD_TOO_LONG);
	memcpy(bytes + 1020, "\r\n\r\n", 4);
	a = bed_parse(BED_RESPONSE, 0, bytes, 1100, 0, &limits);
	CU_ASSERT_EQUAL(a.r, 1024);
	CU_ASSERT_PTR_NULL(bed_pieces(BED_RESPONSE, 0, bytes, 1100, &limits, 1));
	static const char text[] = OK("A: b\r\nC: d\r\nE: f\r\n");
	a = bed_parse(BED_RESPONSE, 0, (const uint8_t *)text, sizeof(text) - 1, 0, &limits);
	CU_ASSERT_EQUAL(a.why, SL_HTTP_BAD_TOO_MANY);
}

static void
answers_have_no_head_flags_of_requests(void)
{
	static const char text[] =
		OK("Content-Length: 0\r\nExpect: 100-continue\r\nTE: trailers\r\n");
	struct bed_answer a =
		bed_parse(BED_RESPONSE, 0, (const uint8_t *)text, sizeof(text) - 1, 0, &bed_wide);

	CU_ASSERT_FATAL(a.r > 0);
	CU_ASSERT_EQUAL(a.head.flags, SL_HEAD_KEEP);
	CU_ASSERT_STRING_EQUAL(bed_say_lines(&a.head),
			       "Content-Length=0;Expect=100-continue;-TE=trailers;");
}

SL_SUITE("http1_response", SL_TEST(status_lines_are_read_or_refused),
	 SL_TEST(lines_of_answers_are_as_strict_as_those_of_requests),
	 SL_TEST(bodies_of_answers_have_one_end),
	 SL_TEST(what_is_no_answer_is_refused_at_its_first_wrong_byte),
	 SL_TEST(an_answer_has_no_more_bytes_and_lines_than_the_limits),
	 SL_TEST(answers_have_no_head_flags_of_requests))
