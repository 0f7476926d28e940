#include "mgmt/audit.h"
#include "tests/suite.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static char path[64];

static struct sl_audit *
open_log(void)
{
	struct sl_audit *a = NULL;
	strcpy(path, "/tmp/sluice-test-XXXXXX");
	close(mkstemp(path));
	CU_ASSERT_FATAL(sl_audit_create(path, NULL, &a) == 0);
	return a;
}

static int
add(struct sl_audit *a, const char *verb)
{
	return sl_audit_add(a, 1700000000123, 7, "alice",
			    json_pack("{s:s, s:s}", "verb", verb, "outcome", "ok"));
}

static void
lines_come_back_in_order(void)
{
	struct sl_audit *a = open_log();
	char verb[32];

	for (int i = 0; i < 2000; i++) {
		snprintf(verb, sizeof(verb), "verb-%d", i);
		CU_ASSERT_FATAL(add(a, verb) == 0);
	}
	json_t *t = sl_audit_tail(a, 1500);
	CU_ASSERT(json_array_size(t) == 1500);
	json_t *first = json_array_get(t, 0), *last = json_array_get(t, 1499);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(first, "verb")), "verb-500");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(last, "verb")), "verb-1999");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(last, "time")),
			       "2023-11-14T22:13:20.123Z");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(last, "user")), "alice");
	json_decref(t);
	sl_audit_destroy(a);
	unlink(path);
}

static void
a_line_that_was_cut_spoils_no_other(void)
{
	struct sl_audit *a = open_log();
	add(a, "one");
	sl_audit_destroy(a);
	FILE *f = fopen(path, "a");
	fputs("{\"time\":\"20", f);
	fclose(f);
	CU_ASSERT_FATAL(sl_audit_create(path, NULL, &a) == 0);
	add(a, "two");
	json_t *t = sl_audit_tail(a, 10);
	CU_ASSERT(json_array_size(t) == 2);
	json_decref(t);
	sl_audit_destroy(a);
	unlink(path);
}

static void
a_line_cut_by_a_full_disk_spoils_no_other(void)
{
	struct sl_audit *a = open_log();
	struct rlimit all, small;

	add(a, "one");
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &all);
	small = all;
	small.rlim_cur = 100; /* some of the second line */
	setrlimit(RLIMIT_FSIZE, &small);
	CU_ASSERT(add(a, "two") == -EIO);
	setrlimit(RLIMIT_FSIZE, &all);
	CU_ASSERT(add(a, "three") == 0);
	json_t *t = sl_audit_tail(a, 10);
	CU_ASSERT(json_array_size(t) == 2);
	json_decref(t);
	sl_audit_destroy(a);
	unlink(path);
}

static void
a_rotated_log_is_followed(void)
{
	struct sl_audit *a = open_log();
	char old[80];

	add(a, "one");
	snprintf(old, sizeof(old), "%s.1", path);
	rename(path, old);
	add(a, "two");
	json_t *t = sl_audit_tail(a, 10);
	CU_ASSERT(json_array_size(t) == 1);
	json_decref(t);
	sl_audit_destroy(a);
	unlink(path);
	unlink(old);
}

static void
strings_cannot_make_lines(void)
{
	struct sl_audit *a = open_log();
	add(a, "x\"}\n{\"verb\":\"forged");
	json_t *t = sl_audit_tail(a, 10);
	CU_ASSERT(json_array_size(t) == 1);
	json_decref(t);
	sl_audit_destroy(a);
	unlink(path);
}

static void
a_path_that_cannot_be_opened_is_said(void)
{
	struct sl_audit *a;
	struct sl_diag diag = {0};
	CU_ASSERT(sl_audit_create("/nonexistent/dir/audit", &diag, &a) == -ENOENT);
	CU_ASSERT(diag.cnt == 1);
	sl_diag_fini(&diag);
	CU_ASSERT(sl_audit_create("", NULL, &a) == 0); /* off */
	CU_ASSERT(add(a, "x") == 0);
	sl_audit_destroy(a);
}

SL_SUITE("audit", SL_TEST(lines_come_back_in_order), SL_TEST(a_line_that_was_cut_spoils_no_other),
	 SL_TEST(a_line_cut_by_a_full_disk_spoils_no_other), SL_TEST(a_rotated_log_is_followed),
	 SL_TEST(strings_cannot_make_lines), SL_TEST(a_path_that_cannot_be_opened_is_said))
