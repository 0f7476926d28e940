#include "dataplane/upgrade.h"

#include "sluice/ctl.h"
#include "sluice/flows.h"
#include "sluice/image.h"
#include "sluice/stats.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { IDLE = 0, VERSIONS, CHECK };

const char *
sl_upgrade_versions(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "image %u\nflows %u\nctl %u\nstats %u\n", SL_IMAGE_VERSION,
		 SL_FLOWS_VERSION, SL_CTL_VERSION, SL_STATS_VERSION);
	return text;
}

void
sl_upgrade_init(struct sl_upgrade *u, char **arguments, const cpu_set_t *cpus)
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlink("/proc/self/exe", u->path, sizeof(u->path) - 1);

	n = n < 0 ? 0 : n;
	u->path[n] = 0;
	size_t cut = strlen(deleted);
	if ((size_t)n > cut && strcmp(u->path + n - cut, deleted) == 0)
		u->path[(size_t)n - cut] = 0;
	u->arguments = arguments;
	u->cpus = *cpus;
	u->out = -1;
}

/* Runs the program with our environment, and its output into a pipe. */
static int
spawn(struct sl_upgrade *u, char **argv)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	cpu_set_t now;
	int pipe_fd[2];

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return -errno;
	fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK); /* our end alone */
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, pipe_fd[1], 1);
	posix_spawn_file_actions_adddup2(&files, pipe_fd[1], 2);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	/* this thread is pinned, and the child would inherit that */
	bool pinned = sched_getaffinity(0, sizeof(now), &now) == 0;
	sched_setaffinity(0, sizeof(u->cpus), &u->cpus);
	int err = posix_spawn(&u->pid, u->path, &files, &attr, argv, environ);
	if (pinned)
		sched_setaffinity(0, sizeof(now), &now);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	close(pipe_fd[1]);
	if (err) {
		close(pipe_fd[0]);
		return -err;
	}
	u->out = pipe_fd[0];
	u->said_len = 0;
	u->said[0] = 0;
	return 0;
}

static int
ask_versions(struct sl_upgrade *u)
{
	char *argv[] = {u->path, (char *)(uintptr_t) "--versions", NULL};

	return spawn(u, argv);
}

static int
ask_check(struct sl_upgrade *u)
{
	char *argv[] = {u->path, (char *)(uintptr_t) "--check", (char *)(uintptr_t) "-c",
			(char *)(uintptr_t)u->boot_file, NULL};
	char mb[16];

	snprintf(mb, sizeof(mb), "%d", u->freed_mb);
	setenv(SL_UPGRADE_FREED, mb, 1);
	int err = spawn(u, argv);
	unsetenv(SL_UPGRADE_FREED);
	return err;
}

int
sl_upgrade_ask(struct sl_upgrade *u, uint32_t seq, uint64_t now_ns)
{
	if (u->stage != IDLE)
		return -EBUSY;
	if (!u->path[0])
		return -ENOENT;
	int err = ask_versions(u);
	if (err)
		return err;
	u->stage = VERSIONS;
	u->seq = seq;
	u->until_ns = now_ns + SL_UPGRADE_WAIT_NS;
	return 0;
}

unsigned
sl_upgrade_poll(const struct sl_upgrade *u, struct pollfd *ret_fd)
{
	if (u->stage == IDLE)
		return 0;
	*ret_fd = (struct pollfd){u->out, POLLIN, 0};
	return 1;
}

/* What the child said; what does not fit is thrown away. */
static void
listen_to(struct sl_upgrade *u)
{
	char buf[1024];
	ssize_t n;

	/* some of it: who never stops talking must not keep us */
	for (unsigned i = 0; i < 64 && (n = read(u->out, buf, sizeof(buf))) > 0; i++) {
		size_t fits = SL_MIN((size_t)n, sizeof(u->said) - 1 - u->said_len);
		memcpy(u->said + u->said_len, buf, fits);
		u->said_len += fits;
		u->said[u->said_len] = 0;
	}
}

void
sl_upgrade_abort(struct sl_upgrade *u)
{
	if (u->stage == IDLE)
		return;
	kill(u->pid, SIGKILL);
	waitpid(u->pid, NULL, 0); /* killed: at once */
	close(u->out);
	u->out = -1;
	u->stage = IDLE;
}

static bool
over(struct sl_upgrade *u, int error, int *ret_error)
{
	if (u->out >= 0)
		close(u->out);
	u->out = -1;
	u->stage = IDLE;
	*ret_error = error;
	return true;
}

/* The child has ended with this status. */
static bool
stage_over(struct sl_upgrade *u, int status, int *ret_error, char *text, size_t size)
{
	const char *what = u->stage == VERSIONS ? "--versions" : "--check";

	close(u->out);
	u->out = -1;
	if (WIFSIGNALED(status)) {
		snprintf(text, size, "%s %s was ended by signal %d: %s", u->path, what,
			 WTERMSIG(status), u->said);
		return over(u, ENOEXEC, ret_error);
	}
	if (WEXITSTATUS(status)) {
		snprintf(text, size, "%s %s gives %d: %s", u->path, what, WEXITSTATUS(status),
			 u->said);
		return over(u, ENOEXEC, ret_error);
	}
	if (u->stage == CHECK) {
		snprintf(text, size, "becoming %s", u->path);
		return over(u, 0, ret_error);
	}
	if (strcmp(u->said, sl_upgrade_versions()) != 0) {
		snprintf(text, size,
			 "%s has other formats: %s where we have: %s; restart both programs "
			 "together instead",
			 u->path, u->said, sl_upgrade_versions());
		return over(u, EPROTO, ret_error);
	}
	u->stage = CHECK;
	int err = ask_check(u);
	if (!err)
		return false;
	snprintf(text, size, "%s --check cannot be run: %s", u->path, strerror(-err));
	return over(u, -err, ret_error);
}

bool
sl_upgrade_turn(struct sl_upgrade *u, uint64_t now_ns, int *ret_error, char *ret_text,
		size_t text_size)
{
	int status;

	if (u->stage == IDLE)
		return false;
	listen_to(u);
	pid_t ended = waitpid(u->pid, &status, WNOHANG);
	if (ended == u->pid) {
		listen_to(u);
		return stage_over(u, status, ret_error, ret_text, text_size);
	}
	if (now_ns < u->until_ns)
		return false;
	snprintf(ret_text, text_size, "%s %s is not done after %llu s: %s", u->path,
		 u->stage == VERSIONS ? "--versions" : "--check", SL_UPGRADE_WAIT_NS / 1000000000u,
		 u->said);
	sl_upgrade_abort(u);
	*ret_error = ETIMEDOUT;
	return true;
}

int
sl_upgrade_become(const struct sl_upgrade *u)
{
	sched_setaffinity(0, sizeof(u->cpus), &u->cpus);
	execv(u->path, u->arguments);
	return -errno;
}
