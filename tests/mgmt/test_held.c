/* held: whole answers, fed at once and split at every byte, right before a guard page. */
#include "mgmt/held.h"
#include "tests/suite.h"

#define OK "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct row {
	const char *answer;
	int want;        /* 1: there, 0: more is needed, -1: not there, or damaged */
	const char *why; /* what the row is about; of -1: stands in the sentence */
} rows[] = {
	{OK "\r\nis ready", 1, "to the end of the connection"},
	{OK "\r\nis ready now", 1, "and on"},
	{OK "\r\nis read", 0, "not yet"},
	{OK "\r\n", 0, "nothing yet"},
	{OK "Content-Length: 8\r\n\r\nis ready", 1, "by length"},
	{OK "content-LENGTH:8 \r\n\r\nis ready", 1, "case, blanks"},
	{OK "Content-Length: 7\r\n\r\nis ready", -1, "does not hold"},
	{OK "Content-Length: 0\r\n\r\n", -1, "does not hold"},
	{OK "Content-Length: 8\r\n\r\nis red..", -1, "does not hold"},
	{OK "Content-Length: 9999999999999999999999\r\n\r\nready", -1, "how long"},
	{OK "Content-Length: 8\r\nContent-Length: 9\r\n\r\nis ready", -1, "how long"},
	{OK "Content-Length: -8\r\n\r\nis ready", -1, "how long"},
	{OK "Content-Length: 8 8\r\n\r\nis ready", -1, "how long"},
	{OK "Content-Length:\r\n\r\nis ready", -1, "how long"},
	{OK "Content-Lengthy: x\r\n\r\nis ready", 1, "another header"},
	{OK "Content-Lengt: x\r\n\r\nis ready", 1, "another header"},
	{OK "X-Content-Length: 3\r\n\r\nis ready", 1, "another header"},
	{OK "Transfer-Encoding: gzip, chunked\r\n\r\nready", -1, "how long"},
	{OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nready", -1,
	 "how long"},
	{OK "Transfer-Encoding: chunkedx\r\n\r\nready", -1, "how long"},
	{CHUNKED "5\r\nready\r\n0\r\n\r\n", 1, "a chunk"},
	{CHUNKED "2\r\nre\r\n003\r\nady\r\n0\r\n\r\n", 1, "across chunks"},
	{CHUNKED "2;a=\"b\"\r\nre\r\n3 \r\nady", 1, "extensions"},
	{CHUNKED "2\nre\n3\nady", 1, "bare line feeds"},
	{CHUNKED "2\r\nre\r\n0\r\nready: x\r\n\r\n", -1, "does not hold"},
	{CHUNKED "0\r\n\r\n", -1, "does not hold"},
	{CHUNKED "2\r\nre\r\n0\r\n", 0, "trailers to come"},
	{CHUNKED "\r\nready", -1, "damaged"},
	{CHUNKED "x\r\nready", -1, "damaged"},
	{CHUNKED "-5\r\nready", -1, "damaged"},
	{CHUNKED "2\r\nready", -1, "damaged"},
	{CHUNKED "5\rready", -1, "damaged"},
	{CHUNKED ";a\r\nready", -1, "damaged"},
	{CHUNKED "0000000000000005\r\nready", -1, "damaged"},
	{"HTTP/1.1 204 No\r\n\r\nready", -1, "does not hold"},
	{"HTTP/1.1 103 Hi\r\nContent-Length: 1\r\n\r\n" OK "\r\nready", 1, "interim framing"},
	{OK "\r\nreareready", 1, "a false start"},
};

/* The whole of one answer, in two parts of guarded memory. */
static int
feed(const char *text, size_t len, size_t split, const char **ret_why)
{
	struct sl_answer a = {0};
	struct sl_held h;
	struct sl_held_text t;
	unsigned status = 0;
	bool body = false;
	int got = SL_PARTIAL;

	sl_held_prepare(&t, "ready");
	for (unsigned i = 0; i < 2 && got == SL_PARTIAL; i++) {
		size_t n = i ? len - split : split, at = 0;
		uint8_t *part = guard_buf(n);
		memcpy(part, text + (i ? split : 0), n);
		if (!body) {
			int head = sl_answer_feed(&a, part, n, &status, ret_why);
			got = head < 0 ? head : got;
			body = head > 0;
			at = body ? (size_t)head : n;
			if (body)
				got = sl_held_begin(&h, &a, status, ret_why);
		}
		if (body && got == SL_PARTIAL)
			got = sl_held_feed(&h, &t, part + at, n - at, ret_why);
		guard_free(part, n);
	}
	return got;
}

static void
every_row_gives_its_answer_however_it_is_split(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		size_t len = strlen(rows[i].answer);
		for (size_t split = 0; split <= len; split++) {
			const char *why = "";
			int got = feed(rows[i].answer, len, split, &why);
			if (got != rows[i].want || (got < 0 && !strstr(why, rows[i].why))) {
				printf("row %zu (%s) split at %zu: %d, %s\n", i, rows[i].why, split,
				       got, why);
				CU_FAIL("row");
				break;
			}
		}
	}
	CU_PASS("rows");
}

/* Against memmem, with texts that overlap themselves. */
static void
the_text_is_found_where_it_is(void)
{
	static const char *const texts[] = {"a",       "aa",      "aab",       "abab",
					    "abaabab", "aabaaab", "aabaabaaab"};
	static const char twice[] = "aabaaabaaac"; /* "aabaaa" ends as it begins, two bytes of it */
	uint32_t rng = 1;

	struct sl_answer whole = {0};
	struct sl_held found;
	struct sl_held_text aabaaac;
	const char *said;
	sl_held_prepare(&aabaaac, "aabaaac");
	CU_ASSERT_EQUAL(sl_held_begin(&found, &whole, 200, &said), 0);
	CU_ASSERT_EQUAL(sl_held_feed(&found, &aabaaac, twice, strlen(twice), &said), 1);
	for (unsigned round = 0; round < 20000; round++) {
		const char *want = texts[round % SL_ARRAY_CNT(texts)], *why;
		char body[48];
		struct sl_answer a = {.state = 0};
		struct sl_held h;
		struct sl_held_text t;
		for (unsigned i = 0; i < sizeof(body); i++) {
			rng = rng * 1664525 + 1013904223;
			body[i] = "ab"[rng >> 31];
		}
		sl_held_prepare(&t, want);
		CU_ASSERT_EQUAL_FATAL(sl_held_begin(&h, &a, 200, &why), 0);
		int got = sl_held_feed(&h, &t, body, sizeof(body), &why);
		bool is = memmem(body, sizeof(body), want, strlen(want)) != NULL;
		CU_ASSERT_EQUAL_FATAL(got, is ? 1 : 0);
	}
}

static void
what_is_looked_at_is_bounded(void)
{
	static char much[SL_HELD_BODY_MAX + 16];
	struct sl_answer a = {0};
	struct sl_held h;
	struct sl_held_text t;
	const char *why = "";

	memset(much, 'x', sizeof(much));
	memcpy(much + SL_HELD_BODY_MAX - 5, "ready", 5);
	sl_held_prepare(&t, "ready");
	sl_held_begin(&h, &a, 200, &why);
	CU_ASSERT_EQUAL(sl_held_feed(&h, &t, much, SL_HELD_BODY_MAX, &why), 1); /* just within */
	sl_held_begin(&h, &a, 200, &why);
	CU_ASSERT_EQUAL(sl_held_feed(&h, &t, "y", 1, &why), SL_PARTIAL);
	CU_ASSERT_EQUAL(sl_held_feed(&h, &t, much, SL_HELD_BODY_MAX, &why), SL_BAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "does not hold"));
	/* an endless extension, an endless trailer */
	a.chunked = true;
	sl_held_begin(&h, &a, 200, &why);
	CU_ASSERT_EQUAL(sl_held_feed(&h, &t, "5;", 2, &why), SL_PARTIAL);
	CU_ASSERT_EQUAL(sl_held_feed(&h, &t, much, sizeof(much), &why), SL_BAD);
	sl_held_begin(&h, &a, 200, &why);
	CU_ASSERT_EQUAL(sl_held_feed(&h, &t, "0\r\n", 3, &why), SL_PARTIAL);
	CU_ASSERT_EQUAL(sl_held_feed(&h, &t, much, sizeof(much), &why), SL_BAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "damaged"));
	/* little in much: chunks of a byte with long extensions */
	char chunk[1000];
	unsigned n = 0;
	snprintf(chunk, sizeof(chunk), "1;%0*d\r\nx\r\n", 900, 0);
	sl_held_begin(&h, &a, 200, &why);
	while (sl_held_feed(&h, &t, chunk, strlen(chunk), &why) == SL_PARTIAL && n < 10000)
		n++;
	CU_ASSERT(n > 200 && n < 400);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "damaged"));
}

static void
the_end_of_the_connection_says_what_is_missing(void)
{
	struct sl_answer a = {.sized = true, .length = 3};
	struct sl_held h;
	const char *why;

	CU_ASSERT_EQUAL(sl_held_begin(&h, &a, 200, &why), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_held_end(&h), "in the middle"));
	a = (struct sl_answer){0};
	sl_held_begin(&h, &a, 200, &why);
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_held_end(&h), "does not hold"));
}

SL_SUITE("held", SL_TEST(every_row_gives_its_answer_however_it_is_split),
	 SL_TEST(the_text_is_found_where_it_is), SL_TEST(what_is_looked_at_is_bounded),
	 SL_TEST(the_end_of_the_connection_says_what_is_missing))
