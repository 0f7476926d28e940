/* Each in a child with threads of its own: what is given up does not come back. */
#include "dataplane/filter.h"
#include "dataplane/lockdown.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THREADS 4

struct outcome {
	int err; /* of sl_lockdown_enter */
	struct sl_lockdown l;
	char text[300];
	int64_t value[4]; /* of what the child did then */
	int status;       /* how it ended */
};

typedef void act_fn(struct outcome *o);

static void *
idle(void *none)
{
	(void)none;
	for (;;)
		pause();
	return NULL;
}

static void
begin_threads(void)
{
	pthread_t t;

	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&t, NULL, idle, NULL))
			_exit(9);
}

static struct outcome
locked(const char *user, uint64_t keep, bool filter, act_fn *act)
{
	struct outcome *o =
		mmap(NULL, sizeof(*o), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct outcome copy;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct sl_lockdown_conf conf = {user, "boot.conf", keep, filter};
		struct sl_diag diag = {0};
		begin_threads();
		o->err = sl_lockdown_enter(&conf, &diag, &o->l);
		if (diag.cnt)
			sl_diag_format(diag.items, o->text, sizeof(o->text));
		if (!o->err && act)
			act(o);
		_exit(0);
	}
	(void)waitpid(pid, &o->status, 0);
	copy = *o;
	munmap(o, sizeof(*o));
	return copy;
}

static bool
killed(const struct outcome *o)
{
	return WIFSIGNALED(o->status) && WTERMSIG(o->status) == SIGSYS;
}

/* ---- capabilities, users ---- */

static void
every_thread_gives_up_every_capability(void)
{
	struct outcome o = locked("", 0, false, NULL);

	CU_ASSERT_EQUAL(o.err, 0);
	CU_ASSERT_EQUAL(o.l.threads, THREADS + 1);
	CU_ASSERT_EQUAL(o.l.kept, 0);
	CU_ASSERT_EQUAL(o.l.uid, geteuid());
	if (geteuid() == 0)
		CU_ASSERT_EQUAL(o.l.bound, 0);
}

static void
what_is_to_stay_stays_and_nothing_else(void)
{
	if (geteuid() != 0)
		return;
	struct outcome o = locked("", 1ull << CAP_IPC_LOCK, false, NULL);

	CU_ASSERT_EQUAL(o.err, 0);
	CU_ASSERT_EQUAL(o.l.kept, 1ull << CAP_IPC_LOCK);
}

static void
reads_uids(struct outcome *o)
{
	o->value[0] = getuid();
	o->value[1] = getegid();
	o->value[2] = getgroups(0, NULL);
	o->value[3] = setuid(0);
}

static void
the_user_is_another_one_in_every_thread_for_good(void)
{
	if (geteuid() != 0)
		return;
	struct outcome o = locked("nobody", 1ull << CAP_IPC_LOCK, false, reads_uids);

	CU_ASSERT_EQUAL(o.err, 0);
	CU_ASSERT_EQUAL(o.l.uid, 65534);
	CU_ASSERT_STRING_EQUAL(o.l.user, "nobody");
	CU_ASSERT_EQUAL(o.l.kept, 1ull << CAP_IPC_LOCK);
	CU_ASSERT_EQUAL(o.value[0], 65534);
	CU_ASSERT_EQUAL(o.value[1], 65534);
	CU_ASSERT_EQUAL(o.value[2], 0);
	CU_ASSERT_EQUAL(o.value[3], -1);
}

static void
a_user_that_is_not_there_is_told(void)
{
	struct outcome o = locked("nobody-at-all", 0, false, NULL);

	CU_ASSERT_EQUAL(o.err, -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.text, "boot.conf: user: there is no user"));
}

static void
keeps_a_thread(struct outcome *o)
{
	struct sl_diag diag = {0};
	struct sl_lockdown l;

	o->value[0] = sl_lockdown_read(0, true, &diag, &l);
	o->value[1] = diag.cnt;
	sl_diag_format(diag.items, o->text, sizeof(o->text));
}

static void
a_thread_without_a_filter_is_found(void)
{
	struct outcome o = locked("", 0, false, keeps_a_thread);

	CU_ASSERT_EQUAL(o.value[0], -EPERM);
	CU_ASSERT_EQUAL(o.value[1], THREADS + 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(o.text, "has no filter of system calls"));
}

static void
dumps(struct outcome *o)
{
	struct rlimit r;

	(void)prctl(PR_SET_DUMPABLE, 1);
	sl_lockdown_dumps();
	o->value[0] = prctl(PR_GET_DUMPABLE);
	(void)getrlimit(RLIMIT_CORE, &r);
	o->value[1] = (int64_t)r.rlim_cur;
}

static void
no_core_is_written(void)
{
	struct outcome o = locked("", 0, false, dumps);

	CU_ASSERT_EQUAL(o.value[0], 0);
	CU_ASSERT_EQUAL(o.value[1], 0);
}

/* ---- the filter ---- */

static void
runs(struct outcome *o)
{
	char *argv[] = {(char *)(uintptr_t) "true", NULL};

	(void)o;
	execv("/bin/true", argv);
}

static void
traces(struct outcome *o)
{
	o->value[0] = ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void
mounts(struct outcome *o)
{
	o->value[0] = syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, NULL);
}

static void
what_only_an_attacker_does_kills(void)
{
	static act_fn *const acts[] = {runs, traces, mounts};

	for (unsigned i = 0; i < SL_ARRAY_CNT(acts); i++) {
		struct outcome o = locked("", 0, true, acts[i]);
		CU_ASSERT_EQUAL(o.err, 0);
		CU_ASSERT_TRUE(killed(&o));
	}
}

/* -errno of a system call, or what it gives. */
static int64_t
call(long n, long a, long b, long c, long d)
{
	long r = syscall(n, a, b, c, d, 0, 0);

	return r < 0 ? -errno : r;
}

static void
forks(struct outcome *o)
{
	char name[SL_FILTER_NAME];
	int number;

	o->value[0] = call(SYS_fork, 0, 0, 0, 0);
	o->value[1] = call(SYS_fork, 0, 0, 0, 0);
	o->value[2] = sl_filter_refused(&number, name) && number == SYS_fork;
	o->value[3] = (int64_t)sl_filter_refusals();
	snprintf(o->text, sizeof(o->text), "%s%s", name,
		 sl_filter_refused(&number, name) ? " twice" : "");
}

static void
what_is_not_known_is_refused_and_told_once(void)
{
	struct outcome o = locked("", 0, true, forks);

	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(o.value[0], -EPERM);
	CU_ASSERT_EQUAL(o.value[1], -EPERM);
	CU_ASSERT_EQUAL(o.value[2], 1);
	CU_ASSERT_EQUAL(o.value[3], 2);
	CU_ASSERT_STRING_EQUAL(o.text, "fork");
}

static void
makes_code(struct outcome *o)
{
	void *m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	o->value[0] = call(SYS_mprotect, (long)m, 4096, PROT_READ | PROT_EXEC, 0);
	o->value[1] = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
				      MAP_FAILED
			      ? -errno
			      : 0;
	o->value[2] = call(SYS_bpf, 0, 0, 0, 0);
	o->value[3] = (int64_t)sl_filter_refusals();
}

static void
no_memory_becomes_code(void)
{
	struct outcome o = locked("", 0, true, makes_code);

	CU_ASSERT_EQUAL(o.value[0], -EPERM);
	CU_ASSERT_EQUAL(o.value[1], -EPERM);
	CU_ASSERT_EQUAL(o.value[2], -EPERM);
	CU_ASSERT_EQUAL(o.value[3], 2); /* bpf is silent */
}

static void
opens_sockets(struct outcome *o)
{
	o->value[0] = call(SYS_socket, AF_INET, SOCK_STREAM, 0, 0);
	o->value[1] = call(SYS_socket, AF_PACKET, SOCK_RAW, 0, 0);
	o->value[2] = call(SYS_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0) >= 0;
	o->value[3] = call(SYS_kill, getppid(), 0, 0, 0);
}

static void
sockets_are_those_that_are_needed(void)
{
	struct outcome o = locked("", 0, true, opens_sockets);

	CU_ASSERT_EQUAL(o.value[0], -EPERM);
	CU_ASSERT_EQUAL(o.value[1], -EPERM);
	CU_ASSERT_EQUAL(o.value[2], 1);
	CU_ASSERT_EQUAL(o.value[3], -EPERM);
}

static void *
one(void *to)
{
	*(int64_t *)to = 1;
	return NULL;
}

static void
goes_on(struct outcome *o)
{
	pthread_t t;
	int fd = memfd_create("x", MFD_CLOEXEC);

	o->value[0] = pthread_create(&t, NULL, one, &o->value[1]);
	if (o->value[0] == 0)
		pthread_join(t, NULL);
	o->value[2] = fd >= 0 && ftruncate(fd, 4096) == 0 &&
		      mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED;
	o->value[3] = (int64_t)sl_filter_refusals();
}

static void
what_a_dataplane_does_goes_on(void)
{
	struct outcome o = locked("", 0, true, goes_on);

	CU_ASSERT_EQUAL(o.status, 0);
	CU_ASSERT_EQUAL(o.value[0], 0);
	CU_ASSERT_EQUAL(o.value[1], 1);
	CU_ASSERT_EQUAL(o.value[2], 1);
	CU_ASSERT_EQUAL(o.value[3], 0);
}

static const CU_TestInfo always[] = {
	SL_TEST(every_thread_gives_up_every_capability),
	SL_TEST(what_is_to_stay_stays_and_nothing_else),
	SL_TEST(the_user_is_another_one_in_every_thread_for_good),
	SL_TEST(a_user_that_is_not_there_is_told),
	SL_TEST(a_thread_without_a_filter_is_found),
	SL_TEST(no_core_is_written),
	CU_TEST_INFO_NULL,
};

static const CU_TestInfo filter[] = {
	SL_TEST(what_only_an_attacker_does_kills),
	SL_TEST(what_is_not_known_is_refused_and_told_once),
	SL_TEST(no_memory_becomes_code),
	SL_TEST(sockets_are_those_that_are_needed),
	SL_TEST(what_a_dataplane_does_goes_on),
	CU_TEST_INFO_NULL,
};

int
main(void)
{
	int failed = sl_suite_run("lockdown", always);

	return (sl_filter_possible() && sl_suite_run("filter", filter)) || failed;
}
