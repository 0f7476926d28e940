/* answer: rows of heads, each fed whole, and split at every byte, right before a guard page. */
#include "mgmt/answer.h"
#include "tests/suite.h"

struct row {
	const char *head;
	int status;      /* 0: SL_PARTIAL, -1: SL_BAD */
	const char *why; /* what the row is about; for SL_BAD: must be in the sentence */
};

static const struct row rows[] = {
	{"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", 200, "plain"},
	{"HTTP/1.0 204 No Content\r\n\r\n", 204, "HTTP/1.0, no header"},
	{"HTTP/1.1 503\r\n\r\n", 503, "no reason, no blank"},
	{"HTTP/1.1 503 \r\n\r\n", 503, "empty reason"},
	{"HTTP/1.1 200 OK\nA: b\n\n", 200, "bare line feeds"},
	{"HTTP/1.1 599 x\r\nA:\r\n\r\n", 599, "empty value"},
	{"HTTP/1.1 101 Switching\r\n\r\n", 101, "101 is final"},
	{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Gone\r\n\r\n", 404, "interim answer"},
	{"HTTP/1.1 103 Hints\r\nL: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", 200, "interim with header"},
	{"HTTP/1.1 200 OK\r\nA: \xc3\xa4\t\r\n\r\n", 200, "bytes over 0x7f and tab in a value"},
	{"HTTP/1.1 200 OK\r\n\r\nbody\x01\x02", 200, "body is not looked at"},
	{"", 0, "nothing yet"},
	{"HTTP/1.1 200 OK\r\n", 0, "end of head missing"},
	{"HTTP/1.1 100 Continue\r\n\r\n", 0, "interim only"},
	{"HTTP/2 200\r\n\r\n", -1, "does not begin"},
	{"HTTP/1.2 200 OK\r\n\r\n", -1, "does not begin"},
	{"http/1.1 200 OK\r\n\r\n", -1, "does not begin"},
	{"SSH-2.0-OpenSSH_9.2\r\n", -1, "does not begin"},
	{"\r\nHTTP/1.1 200 OK\r\n\r\n", -1, "does not begin"},
	{"HTTP/1.1  200 OK\r\n\r\n", -1, "no status code"},
	{"HTTP/1.1 20 OK\r\n\r\n", -1, "no status code"},
	{"HTTP/1.1 2000 OK\r\n\r\n", -1, "no status code"},
	{"HTTP/1.1 099 OK\r\n\r\n", -1, "no status code"},
	{"HTTP/1.1 600 OK\r\n\r\n", -1, "no status code"},
	{"HTTP/1.1 +20 OK\r\n\r\n", -1, "no status code"},
	{"HTTP/1.1 200 O\x01K\r\n\r\n", -1, "control character"},
	{"HTTP/1.1 200 OK\rA: b\r\n\r\n", -1, "without line feed"},
	{"HTTP/1.1 200 OK\r\n\rA: b", -1, "without line feed"},
	{"HTTP/1.1 200 OK\r\n folded\r\n\r\n", -1, "header line"},
	{"HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", -1, "header line"},
	{"HTTP/1.1 200 OK\r\nA : c\r\n\r\n", -1, "header line"},
	{"HTTP/1.1 200 OK\r\n: c\r\n\r\n", -1, "header line"},
	{"HTTP/1.1 200 OK\r\nnocolon\r\n\r\n", -1, "header line"},
	{"HTTP/1.1 200 OK\r\nA: \x7f\r\n\r\n", -1, "control character"},
	{"HTTP/1.1 100 Continue\r\n\r\ngarbage", -1, "does not begin"},
};

/* Feeds text in two parts; gives what the row's status gives. */
static int
feed(const char *text, size_t len, size_t split, const char **ret_why)
{
	struct sl_answer a = {0};
	unsigned status = 0;
	uint8_t *one = guard_buf(split), *two = guard_buf(len - split);

	memcpy(one, text, split);
	memcpy(two, text + split, len - split);
	int got = sl_answer_feed(&a, one, split, &status, ret_why);
	if (got == SL_PARTIAL)
		got = sl_answer_feed(&a, two, len - split, &status, ret_why);
	guard_free(one, split);
	guard_free(two, len - split);
	return got > 0 ? (int)status : got;
}

static void
every_row_gives_its_answer_however_it_is_split(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		size_t len = strlen(rows[i].head);
		for (size_t split = 0; split <= len; split++) {
			const char *why = "";
			int got = feed(rows[i].head, len, split, &why);
			if (got != rows[i].status || (got < 0 && !strstr(why, rows[i].why))) {
				printf("row %zu (%s) split at %zu: %d, %s\n", i, rows[i].why, split,
				       got, why);
				CU_FAIL("row");
			}
		}
	}
	CU_PASS("rows");
}

static void
nul_in_the_head_is_bad(void)
{
	static const char nul[] = "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n";
	const char *why = "";

	CU_ASSERT_EQUAL(feed(nul, sizeof(nul) - 1, 5, &why), SL_BAD);
}

static void
head_is_bounded(void)
{
	struct sl_answer a = {0};
	unsigned status;
	const char *why = "";
	static const char line[] = "HTTP/1.1 200 OK\r\nA: ";
	int got = sl_answer_feed(&a, line, sizeof(line) - 1, &status, &why);

	for (size_t n = sizeof(line) - 1; n < SL_ANSWER_HEAD_MAX; n++) {
		CU_ASSERT_EQUAL_FATAL(got, SL_PARTIAL);
		got = sl_answer_feed(&a, "x", 1, &status, &why);
	}
	CU_ASSERT_EQUAL(got, SL_PARTIAL);
	CU_ASSERT_EQUAL(sl_answer_feed(&a, "x", 1, &status, &why), SL_BAD);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "8192"));
}

static void
endless_interim_answers_are_bounded(void)
{
	struct sl_answer a = {0};
	unsigned status;
	const char *why = "";
	static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	int got = SL_PARTIAL;

	for (unsigned i = 0; i < SL_ANSWER_HEAD_MAX && got == SL_PARTIAL; i++)
		got = sl_answer_feed(&a, interim, sizeof(interim) - 1, &status, &why);
	CU_ASSERT_EQUAL(got, SL_BAD);
}

static void
what_was_missing_at_the_end_is_said(void)
{
	struct sl_answer a = {0};
	unsigned status;
	const char *why;

	CU_ASSERT_PTR_NOT_NULL(strstr(sl_answer_end(&a), "without an answer"));
	sl_answer_feed(&a, "HTTP", 4, &status, &why);
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_answer_end(&a), "in the middle"));
}

SL_SUITE("answer", SL_TEST(every_row_gives_its_answer_however_it_is_split),
	 SL_TEST(nul_in_the_head_is_bad), SL_TEST(head_is_bounded),
	 SL_TEST(endless_interim_answers_are_bounded), SL_TEST(what_was_missing_at_the_end_is_said))
