/* A pass interrupts the threads one after the other and waits for each: the handler counts itself done.  It makes system calls
 * alone, so it does no harm wherever it comes. */
#include "dataplane/lockdown.h"

#include "dataplane/filter.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <grp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WAIT_NS 10000000000ull /* for one thread to take the signal */
#define CAPS 64

enum pass { PASS_BOUNDS, PASS_CAPS };

static struct {
	enum pass pass;
	uint64_t keep;
	bool over_user; /* the kept ones shall outlive another user id */
	_Atomic unsigned done;
	_Atomic int err; /* the first; 0: none */
} passing;

/* ---- a thread gives up ---- */

/* Where it is not allowed nothing is lost: without privileges nothing comes back by exec (no_new_privs). */
static int
drop_bounds(void)
{
	for (unsigned c = 0; c < CAPS; c++)
		if (!(passing.keep >> c & 1) && prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1)
			(void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (passing.over_user && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
		return -errno;
	return 0;
}

static int
drop_caps(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t keep = (uint32_t)(passing.keep >> (32 * i));
		data[i].permitted &= keep;
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data))
		return -errno;
	if (passing.over_user && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0))
		return -errno;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

static void
drop_here(void)
{
	int none = 0, err = passing.pass == PASS_BOUNDS ? drop_bounds() : drop_caps();

	if (err) /* relaxed: read behind the count */
		atomic_compare_exchange_strong_explicit(&passing.err, &none, err,
							memory_order_relaxed, memory_order_relaxed);
	/* pairs with the acquire of who waits */
	atomic_fetch_add_explicit(&passing.done, 1, memory_order_release);
}

static void
on_pass(int sig)
{
	int before = errno;

	(void)sig;
	drop_here();
	errno = before;
}

/* ---- all threads ---- */

/* The next thread of the process, or 0. */
static pid_t
next_task(DIR *tasks)
{
	for (struct dirent *e; (e = readdir(tasks));)
		if (e->d_name[0] != '.')
			return (pid_t)strtol(e->d_name, NULL, 10);
	return 0;
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* 0, also when the thread has ended meanwhile. */
static int
interrupt(pid_t tid, int sig)
{
	unsigned before = atomic_load_explicit(&passing.done, memory_order_acquire);
	uint64_t until = now_ns() + WAIT_NS;

	if (syscall(SYS_tgkill, getpid(), tid, sig))
		return errno == ESRCH ? 0 : -errno;
	/* pairs with the release in drop_here */
	while (atomic_load_explicit(&passing.done, memory_order_acquire) == before) {
		if (syscall(SYS_tgkill, getpid(), tid, 0))
			return errno == ESRCH ? 0 : -errno;
		if (now_ns() > until)
			return -ETIMEDOUT;
		nanosleep(&(struct timespec){0, 20000}, NULL);
	}
	return 0;
}

static int
pass_all(enum pass pass)
{
	struct sigaction act = {.sa_handler = on_pass, .sa_flags = SA_RESTART}, before;
	int sig = SIGRTMAX - 1, err = 0;
	DIR *tasks = opendir("/proc/self/task");

	if (!tasks)
		return -errno;
	passing.pass = pass;
	atomic_store_explicit(&passing.err, 0, memory_order_relaxed);
	sigfillset(&act.sa_mask);
	sigaction(sig, &act, &before);
	for (pid_t tid; !err && (tid = next_task(tasks));)
		if (tid != gettid())
			err = interrupt(tid, sig);
	sigaction(sig, &before, NULL);
	closedir(tasks);
	drop_here();
	return err ? err : atomic_load_explicit(&passing.err, memory_order_relaxed);
}

/* ---- reading back ---- */

struct status {
	uint64_t inheritable, permitted, effective, bounding, ambient, blocked;
	unsigned uid, nnp, seccomp;
};

/* 0, -ESRCH: there is no such thread any more, or -errno. */
static int
read_status(pid_t tid, struct status *ret)
{
	struct status s = {.uid = UINT32_MAX};
	char path[64], line[256];
	unsigned found = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", (int)tid);
	FILE *f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(line, sizeof(line), f)) {
		unsigned real;
		found += sscanf(line, "Uid: %u %u", &real, &s.uid) == 2;
		found += sscanf(line, "SigBlk: %" SCNx64, &s.blocked) == 1;
		found += sscanf(line, "CapInh: %" SCNx64, &s.inheritable) == 1;
		found += sscanf(line, "CapPrm: %" SCNx64, &s.permitted) == 1;
		found += sscanf(line, "CapEff: %" SCNx64, &s.effective) == 1;
		found += sscanf(line, "CapBnd: %" SCNx64, &s.bounding) == 1;
		found += sscanf(line, "CapAmb: %" SCNx64, &s.ambient) == 1;
		found += sscanf(line, "NoNewPrivs: %u", &s.nnp) == 1;
		found += sscanf(line, "Seccomp: %u", &s.seccomp) == 1;
	}
	fclose(f);
	*ret = s;
	return found == 9 ? 0 : found == 0 ? -ESRCH : -EPROTO;
}

/* NULL, or what is wrong with a thread. */
static const char *
judge(const struct status *s, uint64_t keep, bool filter, uid_t uid)
{
	uint64_t caps = s->permitted | s->effective | s->inheritable | s->ambient;

	if (caps & ~keep)
		return "has kept capabilities";
	if (!s->nnp)
		return "may gain privileges by exec";
	if (s->uid != uid)
		return "runs as another user";
	if (filter && s->seccomp != 2)
		return "has no filter of system calls";
	if (filter && s->blocked >> (SIGSYS - 1) & 1)
		return "blocks SIGSYS, and would be killed where a call is to be refused";
	return NULL;
}

int
sl_lockdown_read(uint64_t keep, bool filter, struct sl_diag *diag, struct sl_lockdown *ret_lockdown)
{
	struct sl_lockdown l = {.uid = geteuid()};
	DIR *tasks = opendir("/proc/self/task");
	int err = tasks ? 0 : -errno;

	for (pid_t tid; tasks && (tid = next_task(tasks));) {
		struct status s = {0};
		int one = read_status(tid, &s);
		if (one == -ESRCH)
			continue;
		const char *why = one ? strerror(-one) : judge(&s, keep, filter, l.uid);
		if (why) {
			sl_diag_add(diag, NULL, 0, NULL, NULL, "privileges: thread %d: %s",
				    (int)tid, why);
			err = -EPERM;
			continue;
		}
		l.threads++;
		l.kept |= s.permitted;
		l.bound |= s.bounding;
	}
	if (tasks)
		closedir(tasks);
	else
		sl_diag_add(diag, NULL, 0, NULL, "mount /proc", "privileges: /proc/self/task: %s",
			    strerror(-err));
	if (!err)
		*ret_lockdown = l;
	return err;
}

void
sl_lockdown_say(const struct sl_lockdown *l, bool filter, char ret_text[SL_LOCKDOWN_TEXT])
{
	char kept[40] = "no capability kept";

	if (l->kept)
		snprintf(kept, sizeof(kept), "capabilities kept: %" PRIx64, l->kept);
	snprintf(ret_text, SL_LOCKDOWN_TEXT, "%s, %s of system calls, user %s, %u threads", kept,
		 filter ? "filter" : "no filter", l->user, l->threads);
}

/* ---- the process ---- */

uint64_t
sl_lockdown_memory(void)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit r = {0};

	if (setrlimit(RLIMIT_MEMLOCK, &all) == 0)
		return 0;
	return getrlimit(RLIMIT_MEMLOCK, &r) == 0 && r.rlim_max == RLIM_INFINITY
		       ? 0
		       : 1ull << CAP_IPC_LOCK;
}

void
sl_lockdown_dumps(void)
{
	struct rlimit r;

	/* the limit is for kernels that write files, the other for those that call a program; both are lost on exec */
	if (getrlimit(RLIMIT_CORE, &r) == 0) {
		r.rlim_cur = 0;
		(void)setrlimit(RLIMIT_CORE, &r);
	}
	(void)prctl(PR_SET_DUMPABLE, 0);
}

void
sl_lockdown_child(uint64_t keep)
{
	passing.keep = keep;
	passing.over_user = false;
	(void)drop_bounds();
	(void)drop_caps();
}

static int
become_user(uid_t uid, gid_t gid)
{
	/* the C library has all threads do these */
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

/* 0: it is this user already; 1: it is to become it; or -errno. */
static int
find_user(const struct sl_lockdown_conf *conf, struct sl_diag *diag, uid_t *ret_uid, gid_t *ret_gid)
{
	if (!conf->user[0])
		return 0;
	errno = 0;
	const struct passwd *pw = getpwnam(conf->user);
	if (!pw) {
		sl_diag_add(diag, conf->file, 0, "user", NULL, "there is no user \"%s\"",
			    conf->user);
		return -ENOENT;
	}
	*ret_uid = pw->pw_uid;
	*ret_gid = pw->pw_gid;
	if (pw->pw_uid == geteuid() && pw->pw_uid == getuid())
		return 0;
	if (geteuid() == 0)
		return 1;
	sl_diag_add(diag, conf->file, 0, "user", "start it as root, or leave user out",
		    "only root can become user \"%s\"", conf->user);
	return -EPERM;
}

int
sl_lockdown_check(const struct sl_lockdown_conf *conf, struct sl_diag *diag)
{
	uid_t uid;
	gid_t gid;

	return SL_MIN(find_user(conf, diag, &uid, &gid), 0);
}

static int
give_up(const struct sl_lockdown_conf *conf, bool other, uid_t uid, gid_t gid)
{
	passing.keep = conf->keep;
	passing.over_user = other && conf->keep;
	int err = pass_all(PASS_BOUNDS);

	if (!err && other)
		err = become_user(uid, gid);
	return err ? err : pass_all(PASS_CAPS);
}

int
sl_lockdown_enter(const struct sl_lockdown_conf *conf, struct sl_diag *diag,
		  struct sl_lockdown *ret_lockdown)
{
	int dumpable = prctl(PR_GET_DUMPABLE);
	uid_t uid = 0;
	gid_t gid = 0;

	int other = find_user(conf, diag, &uid, &gid);
	if (other < 0)
		return other;
	int err = give_up(conf, other, uid, gid);
	if (err) {
		sl_diag_add(diag, conf->file, 0, "privileges", "or set privileges = \"keep\"",
			    "they cannot be given up: %s", strerror(-err));
		return err;
	}
	/* while libraries can be loaded that know names */
	const struct passwd *pw = getpwuid(geteuid());
	char name[sizeof(ret_lockdown->user)];
	snprintf(name, sizeof(name), "%s", pw ? pw->pw_name : "without a name");
	if (dumpable == 1) /* another user id takes it away */
		(void)prctl(PR_SET_DUMPABLE, 1);
	if (conf->filter)
		err = sl_filter_install(diag);
	if (!err)
		err = sl_lockdown_read(conf->keep, conf->filter, diag, ret_lockdown);
	if (!err)
		memcpy(ret_lockdown->user, name, sizeof(name));
	return err;
}
