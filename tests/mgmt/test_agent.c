/* agent: rows of lines, right before a guard page. */
#include "mgmt/agent.h"
#include "tests/suite.h"

static const struct row {
	const char *line;
	struct sl_agent_state want; /* from { down, drain, 50 % } */
	const char *why;            /* stands in the sentence; NULL: it was understood */
} rows[] = {
	{"up", {false, true, 50}, NULL},
	{"UP", {false, true, 50}, NULL},
	{"ready", {true, false, 50}, NULL},
	{"up ready 100%", {false, false, 100}, NULL},
	{"up,ready,\t75%", {false, false, 75}, NULL},
	{"drain", {true, true, 50}, NULL},
	{"maint", {true, true, 50}, NULL},
	{"down", {true, true, 50}, NULL},
	{"fail#disk 3 is gone", {true, true, 50}, NULL},
	{"stopped # by hand", {true, true, 50}, NULL},
	{"0%", {true, true, 0}, NULL},
	{"250%", {true, true, 100}, NULL},
	{"9999%", {true, true, 100}, NULL},
	{"  up  ", {false, true, 50}, NULL},
	{"maxconn:30 up", {false, true, 50}, NULL},
	{"up ready drain", {false, true, 50}, NULL}, /* the last word counts */
	{"", {true, true, 50}, "nothing"},
	{" , ", {true, true, 50}, "nothing"},
	{"# all is well", {true, true, 50}, "nothing"},
	{"upp", {true, true, 50}, "not known"},
	{"up ready 50", {true, true, 50}, "not known"},
	{"up %", {true, true, 50}, "not known"},
	{"up -5%", {true, true, 50}, "not known"},
	{"up 99999%", {true, true, 50}, "not known"},
	{"up 5%%", {true, true, 50}, "not known"},
	{"maxconn:x", {true, true, 50}, "not known"},
	{"maxconn:", {true, true, 50}, "not known"},
	{"HTTP/1.1 400 Bad Request", {true, true, 50}, "not known: \"HTTP/1.1\""},
	{"\x1b[31m", {true, true, 50}, "\"?[31m\""},
};

static void
every_line_means_what_it_means(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_agent_state s = {true, true, 50};
		size_t len = strlen(rows[i].line);
		char *line = (char *)guard_buf(len), buf[96];
		memcpy(line, rows[i].line, len);
		const char *why = sl_agent_read(line, len, &s, buf, sizeof(buf));
		bool ok = rows[i].why ? why && strstr(why, rows[i].why) : !why;
		if (!ok || s.down != rows[i].want.down || s.drain != rows[i].want.drain ||
		    s.percent != rows[i].want.percent) {
			printf("row %zu (%s): %s, %d %d %u\n", i, rows[i].line, why ? why : "ok",
			       s.down, s.drain, s.percent);
			CU_FAIL("row");
		}
		guard_free((uint8_t *)line, len);
	}
	CU_PASS("rows");
}

static void
lines_end_and_are_bounded(void)
{
	char long_line[SL_AGENT_LINE_MAX + 2];

	memset(long_line, 'x', sizeof(long_line));
	CU_ASSERT_EQUAL(sl_agent_end("up\nmore", 7), 3);
	CU_ASSERT_EQUAL(sl_agent_end("up\r\n", 4), 3);
	CU_ASSERT_EQUAL(sl_agent_end("\n", 1), 1);
	CU_ASSERT_EQUAL(sl_agent_end("up", 2), SL_PARTIAL);
	CU_ASSERT_EQUAL(sl_agent_end("", 0), SL_PARTIAL);
	CU_ASSERT_EQUAL(sl_agent_end(long_line, SL_AGENT_LINE_MAX), SL_PARTIAL);
	CU_ASSERT_EQUAL(sl_agent_end(long_line, SL_AGENT_LINE_MAX + 1), SL_BAD);
	long_line[SL_AGENT_LINE_MAX] = '\n';
	CU_ASSERT_EQUAL(sl_agent_end(long_line, SL_AGENT_LINE_MAX + 1), SL_AGENT_LINE_MAX + 1);
	struct sl_agent_state s = SL_AGENT_USUAL;
	char buf[96];
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_agent_read("up\0down", 7, &s, buf, sizeof(buf)), "NUL"));
	CU_ASSERT_PTR_NOT_NULL(strstr(
		sl_agent_read(long_line, SL_AGENT_LINE_MAX + 1, &s, buf, sizeof(buf)), "too long"));
}

SL_SUITE("agent", SL_TEST(every_line_means_what_it_means), SL_TEST(lines_end_and_are_bounded))
