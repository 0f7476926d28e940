/* promtool: what the exporter writes, judged by Prometheus' own tool.  Exit code 77 (skipped) without it. */
#include "tests/mgmt/metrics_fixture.h"
#include "tests/suite.h"

#include <signal.h>

/* Feeds text to `promtool check metrics`; its exit status, what it says goes to our output. */
static int
promtool(const char *text, size_t len)
{
	FILE *p = popen("promtool check metrics 2>&1", "w");

	CU_ASSERT_PTR_NOT_NULL_FATAL(p);
	CU_ASSERT_EQUAL(fwrite(text, 1, len, p), len);
	return pclose(p);
}

static void
check(const struct sl_metrics_snapshot *s)
{
	char *text;
	size_t len;

	CU_ASSERT_EQUAL_FATAL(sl_metrics_render(s, &text, &len), 0);
	CU_ASSERT_EQUAL(promtool(text, len), 0);
	free(text);
}

static void
exposition_is_clean(void)
{
	struct fixture f;

	fixture_up(&f);
	check(&f.snap);
	f.service[0].name = "a\"b\\c\nd";
	check(&f.snap);
	fixture_down(&f);
}

static void
exposition_without_dataplane_is_clean(void)
{
	struct fixture f;

	fixture_up(&f);
	f.snap.stats = NULL;
	f.snap.probes = NULL;
	check(&f.snap);
	fixture_down(&f);
}

static void
promtool_does_complain(void)
{
	static const char bad[] = "# TYPE x counter\nx 1\n";

	CU_ASSERT_NOT_EQUAL(promtool(bad, sizeof(bad) - 1), 0);
}

int
main(void)
{
	static const CU_TestInfo tests[] = {SL_TEST(exposition_is_clean),
					    SL_TEST(exposition_without_dataplane_is_clean),
					    SL_TEST(promtool_does_complain), CU_TEST_INFO_NULL};

	if (system("command -v promtool >/dev/null 2>&1")) {
		printf("skipped: promtool is not installed (Debian package prometheus)\n");
		return 77;
	}
	signal(SIGPIPE, SIG_IGN);
	return sl_suite_run("promtool", tests);
}
