#include "dataplane/warden.h"

#include "dataplane/lockdown.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 10 /* a child's end is no event here */

struct run {
	const struct sl_warden_conf *conf;
	int fd; /* to the parent */
	pid_t pid;
	int out; /* what the program says */
	uint64_t until_ns;
	struct sl_warden_answer answer;
};

/* ---- the child's side ---- */

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Runs the program with our environment, and its output into a pipe.  0 or an errno. */
static int
spawn(struct run *r, char **argv)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int pipe_fd[2];

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return errno;
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
	int err = posix_spawn(&r->pid, r->conf->path, &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	close(pipe_fd[1]);
	if (err)
		close(pipe_fd[0]);
	else
		r->out = pipe_fd[0];
	return err;
}

static int
begin(struct run *r, const struct sl_warden_question *q)
{
	char *versions[] = {(char *)(uintptr_t)r->conf->path, (char *)(uintptr_t) "--versions",
			    NULL};
	char *check[] = {(char *)(uintptr_t)r->conf->path, (char *)(uintptr_t) "--check",
			 (char *)(uintptr_t) "-c", (char *)(uintptr_t)r->conf->boot_file, NULL};
	char mb[16];

	snprintf(mb, sizeof(mb), "%d", q->freed_mb);
	setenv(SL_WARDEN_FREED, mb, 1);
	memset(&r->answer, 0, sizeof(r->answer));
	r->answer.seq = q->seq;
	r->until_ns = now_ns() + q->limit_ms * 1000000ull;
	return spawn(r, q->check ? check : versions);
}

/* What the program said; what does not fit is thrown away. */
static void
listen_to(struct run *r)
{
	struct sl_warden_answer *a = &r->answer;
	char buf[1024];
	ssize_t n;

	/* some of it: who never stops talking must not keep us */
	for (unsigned i = 0; i < 64 && (n = read(r->out, buf, sizeof(buf))) > 0; i++) {
		size_t fits = SL_MIN((size_t)n, sizeof(a->said) - 1 - a->length);
		memcpy(a->said + a->length, buf, fits);
		a->length += (uint32_t)fits;
	}
}

static void
end_program(struct run *r)
{
	kill(r->pid, SIGKILL);
	waitpid(r->pid, NULL, 0); /* killed: at once */
}

static void
set_end(struct run *r, int status)
{
	r->answer.end = WIFSIGNALED(status) ? SL_WARDEN_SIGNAL : SL_WARDEN_EXIT;
	r->answer.value = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

/* Until the program has ended, or its time is over; false when the parent is gone. */
static bool
follow(struct run *r)
{
	int status;

	for (;;) {
		struct pollfd p[2] = {{r->fd, POLLRDHUP, 0}, {r->out, POLLIN, 0}};
		poll(p, 2, LOOK_MS);
		listen_to(r);
		if (p[1].revents & POLLHUP) /* nothing to wait for but the end */
			nanosleep(&(struct timespec){0, 1000000}, NULL);
		bool gone = p[0].revents & (POLLRDHUP | POLLHUP | POLLERR);
		if (waitpid(r->pid, &status, WNOHANG) == r->pid) {
			listen_to(r);
			set_end(r, status);
			return !gone;
		}
		if (gone || now_ns() >= r->until_ns) {
			end_program(r);
			listen_to(r);
			r->answer.end = SL_WARDEN_TIMEOUT;
			return !gone;
		}
	}
}

static void
serve(const struct sl_warden_conf *conf, int fd)
{
	struct sl_warden_question q;
	struct run r = {.conf = conf, .fd = fd};

	for (;;) {
		ssize_t n = recv(fd, &q, sizeof(q), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(q))
			return;
		int err = begin(&r, &q);
		if (err) {
			r.answer.end = SL_WARDEN_NOT_RUN;
			r.answer.value = err;
		} else {
			bool there = follow(&r);
			close(r.out);
			if (!there)
				return;
		}
		if (send(fd, &r.answer, sizeof(r.answer), MSG_NOSIGNAL) < 0)
			return;
	}
}

static void __attribute__((noreturn)) live(const struct sl_warden_conf *conf, int fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), low = 3;

	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	prctl(PR_SET_NAME, "sluice-warden");
	for (int i = 0; i < low; i++)
		dup2(null, i);
	if (dup2(fd, low) != low)
		_exit(1);
	fcntl(low, F_SETFD, FD_CLOEXEC);
	close_range((unsigned)low + 1, ~0u, 0);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	sched_setaffinity(0, sizeof(*conf->cpus), conf->cpus);
	if (!conf->privileged)
		sl_lockdown_child(conf->keep);
	sl_lockdown_dumps();
	serve(conf, low);
	_exit(0);
}

/* ---- the parent's side ---- */

int
sl_warden_start(struct sl_warden *w, const struct sl_warden_conf *conf)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -errno;
	pid_t pid = fork();
	if (pid == 0)
		live(conf, pair[1]);
	int err = pid < 0 ? -errno : 0;
	close(pair[1]);
	if (err) {
		close(pair[0]);
		return err;
	}
	*w = (struct sl_warden){pid, pair[0]};
	return 0;
}

int
sl_warden_ask(const struct sl_warden *w, const struct sl_warden_question *q)
{
	if (w->pid == 0)
		return -EPIPE;
	if (send(w->fd, q, sizeof(*q), MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof(*q))
		return 0;
	return errno == EAGAIN ? -EAGAIN : -EPIPE;
}

int
sl_warden_answer(const struct sl_warden *w, struct sl_warden_answer *ret_answer)
{
	struct sl_warden_answer a;

	if (w->pid == 0)
		return -EPIPE;
	ssize_t n = recv(w->fd, &a, sizeof(a), MSG_DONTWAIT);
	if (n != sizeof(a))
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? -EAGAIN : -EPIPE;
	a.length = SL_MIN(a.length, (uint32_t)sizeof(a.said) - 1);
	a.said[a.length] = 0;
	*ret_answer = a;
	return 0;
}

void
sl_warden_stop(struct sl_warden *w)
{
	if (w->pid == 0)
		return;
	close(w->fd);
	waitpid(w->pid, NULL, 0); /* it sees the end of the socket */
	*w = (struct sl_warden){0};
}
