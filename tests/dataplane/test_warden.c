#include "dataplane/warden.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char program[] = "/tmp/test_warden.XXXXXX";
static cpu_set_t cpus;

/* A script in the program's place. */
static void
put(const char *text)
{
	FILE *f = fopen(program, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) || chmod(program, 0700))
		abort();
}

static struct sl_warden
started(void)
{
	struct sl_warden_conf conf = {program, "/the/boot file", &cpus, 0, false};
	struct sl_warden w = {0};

	sched_getaffinity(0, sizeof(cpus), &cpus);
	CU_ASSERT_EQUAL_FATAL(sl_warden_start(&w, &conf), 0);
	return w;
}

static struct sl_warden_answer
asked(const struct sl_warden *w, uint32_t check, uint32_t limit_ms)
{
	const struct sl_warden_question q = {7, check, 64, limit_ms};
	struct sl_warden_answer a = {.seq = 0};
	struct pollfd p = {w->fd, POLLIN, 0};

	CU_ASSERT_EQUAL(sl_warden_ask(w, &q), 0);
	(void)poll(&p, 1, 10000);
	CU_ASSERT_EQUAL(sl_warden_answer(w, &a), 0);
	CU_ASSERT_EQUAL(a.seq, 7);
	return a;
}

static void
what_the_program_says_and_how_it_ends_is_told(void)
{
	struct sl_warden w = started();

	put("#!/bin/sh\necho \"$#\" \"$1\"; echo wrong >&2; exit 7\n");
	struct sl_warden_answer a = asked(&w, 0, 5000);
	CU_ASSERT_EQUAL(a.end, SL_WARDEN_EXIT);
	CU_ASSERT_EQUAL(a.value, 7);
	CU_ASSERT_STRING_EQUAL(a.said, "1 --versions\nwrong\n");
	put("#!/bin/sh\necho \"$1 $2 $3 $SLUICE_HUGE_FREED\"\n");
	a = asked(&w, 1, 5000);
	CU_ASSERT_EQUAL(a.value, 0);
	CU_ASSERT_STRING_EQUAL(a.said, "--check -c /the/boot file 64\n");
	put("#!/bin/sh\nkill -SEGV $$\n");
	a = asked(&w, 0, 5000);
	CU_ASSERT_TRUE(a.end == SL_WARDEN_SIGNAL && a.value == SIGSEGV);
	sl_warden_stop(&w);
}

static void
a_program_that_cannot_be_run_is_told(void)
{
	struct sl_warden w = started();

	put("no program");
	struct sl_warden_answer a = asked(&w, 0, 5000);
	CU_ASSERT_TRUE(a.end == SL_WARDEN_NOT_RUN && a.value == ENOEXEC);
	unlink(program);
	a = asked(&w, 0, 5000);
	CU_ASSERT_TRUE(a.end == SL_WARDEN_NOT_RUN && a.value == ENOENT);
	sl_warden_stop(&w);
}

static void
one_that_hangs_or_never_stops_talking_is_ended(void)
{
	struct sl_warden w = started();

	put("#!/bin/sh\necho begun; exec sleep 1000\n");
	struct sl_warden_answer a = asked(&w, 0, 300);
	CU_ASSERT_EQUAL(a.end, SL_WARDEN_TIMEOUT);
	CU_ASSERT_STRING_EQUAL(a.said, "begun\n");
	put("#!/bin/sh\nexec yes\n");
	a = asked(&w, 0, 300);
	CU_ASSERT_EQUAL(a.end, SL_WARDEN_TIMEOUT);
	CU_ASSERT_EQUAL(a.length, sizeof(a.said) - 1);
	sl_warden_stop(&w);
}

static void
the_program_has_no_privileges_and_nothing_of_ours(void)
{
	int leak = open("/dev/null", O_RDONLY); /* not close-on-exec */
	struct sl_warden w = started();

	put("#!/bin/sh\nsed -n 's/^CapEff:[^0-9a-f]*//p; s/^NoNewPrivs:[^0-9]*//p' "
	    "/proc/self/status\n"
	    "ls /proc/self/fd | wc -l; echo \"$NOTIFY_SOCKET\"\n");
	struct sl_warden_answer a = asked(&w, 0, 5000);
	CU_ASSERT_STRING_EQUAL(a.said, "0000000000000000\n1\n4\n\n"); /* ls opens one itself */
	sl_warden_stop(&w);
	close(leak);
}

static void
it_ends_with_its_parent_and_ends_what_it_runs(void)
{
	char pid_file[64], text[32] = "";
	int p[2];

	snprintf(pid_file, sizeof(pid_file), "%s.pid", program);
	put("#!/bin/sh\necho $$ >$0.pid; exec sleep 1000\n");
	if (pipe(p))
		abort();
	pid_t parent = fork();
	if (parent == 0) {
		struct sl_warden w = started();
		const struct sl_warden_question q = {1, 0, 0, 60000};
		(void)sl_warden_ask(&w, &q);
		struct stat st = {0};
		while (stat(pid_file, &st) || st.st_size == 0)
			usleep(1000);
		if (write(p[1], &w.pid, sizeof(w.pid)) < 0)
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	pid_t warden = 0;
	CU_ASSERT_EQUAL(read(p[0], &warden, sizeof(warden)), sizeof(warden));
	(void)waitpid(parent, NULL, 0);
	FILE *f = fopen(pid_file, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof(text), f));
	fclose(f);
	unlink(pid_file);
	/* neither is our child: whoever adopts orphans may be slow to collect them */
	bool gone = false;
	for (unsigned i = 0; i < 5000 && !gone; i++) {
		char path[64], state = 'Z';
		snprintf(path, sizeof(path), "/proc/%d/stat", atoi(text));
		f = fopen(path, "r");
		if (f) {
			(void)!fscanf(f, "%*d %*s %c", &state);
			fclose(f);
		}
		gone = state == 'Z';
		usleep(1000);
	}
	CU_ASSERT_TRUE(gone);
	close(p[0]);
	close(p[1]);
}

static void
a_warden_that_is_gone_is_seen(void)
{
	struct sl_warden w = started();
	const struct sl_warden_question q = {1, 0, 0, 1000};
	struct sl_warden_answer a;

	kill(w.pid, SIGKILL);
	(void)waitpid(w.pid, NULL, 0);
	CU_ASSERT_EQUAL(sl_warden_ask(&w, &q), -EPIPE);
	CU_ASSERT_EQUAL(sl_warden_answer(&w, &a), -EPIPE);
	sl_warden_stop(&w);
	CU_ASSERT_EQUAL(sl_warden_ask(&w, &q), -EPIPE);
	sl_warden_stop(&w);
}

static const CU_TestInfo tests[] = {
	SL_TEST(what_the_program_says_and_how_it_ends_is_told),
	SL_TEST(a_program_that_cannot_be_run_is_told),
	SL_TEST(one_that_hangs_or_never_stops_talking_is_ended),
	SL_TEST(the_program_has_no_privileges_and_nothing_of_ours),
	SL_TEST(it_ends_with_its_parent_and_ends_what_it_runs),
	SL_TEST(a_warden_that_is_gone_is_seen),
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	int fd = mkstemp(program);

	close(fd);
	int failed = sl_suite_run("warden", tests);
	unlink(program);
	return failed;
}
