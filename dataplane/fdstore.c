#include "dataplane/fdstore.h"

#include "sluice/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3
#define MAX_FDS 1024

/* A whole decimal number in [min, max], or -1. */
static long
number(const char *text, long min, long max)
{
	char *end;

	if (!text || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	long v = strtol(text, &end, 10);
	return errno || *end || v < min || v > max ? -1 : v;
}

static bool
close_on_exec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0) == 0;
}

/* The last of that name, as the manager adds at the end; others of the name are closed. */
static int
of_manager(void)
{
	long cnt = number(getenv("LISTEN_FDS"), 1, MAX_FDS);
	const char *at = getenv("LISTEN_FDNAMES");
	int found = -1;

	if (number(getenv("LISTEN_PID"), 1, INT32_MAX) != (long)getpid() || cnt < 0)
		return -1;
	for (int fd = FIRST_FD; fd < FIRST_FD + cnt; fd++) {
		size_t n = at ? strcspn(at, ":") : 0;
		bool ours = n == strlen(SL_FDSTORE_NAME) && memcmp(at, SL_FDSTORE_NAME, n) == 0;
		if (at)
			at += n + (at[n] == ':');
		if (!close_on_exec(fd, true) || !ours)
			continue;
		if (found >= 0)
			close(found);
		found = fd;
	}
	return found;
}

int
sl_fdstore_take(void)
{
	static const char *const vars[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
					   SL_FDSTORE_ENV};
	int fd = (int)number(getenv(SL_FDSTORE_ENV), FIRST_FD, INT32_MAX), stored = of_manager();

	if (fd >= 0 && !close_on_exec(fd, true))
		fd = -1;
	for (unsigned i = 0; i < SL_ARRAY_CNT(vars); i++)
		unsetenv(vars[i]);
	if (fd >= 0 && stored >= 0)
		close(stored);
	return fd >= 0 ? fd : stored;
}

void
sl_fdstore_leave(int fd)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", fd);
	setenv(SL_FDSTORE_ENV, text, 1);
	close_on_exec(fd, false);
}

static void
tell(const char *text, int fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	const char *path = getenv("NOTIFY_SOCKET");
	size_t n = path ? strlen(path) : 0;
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
	struct msghdr mh = {.msg_name = &addr, .msg_iov = &iov, .msg_iovlen = 1};

	if (n == 0 || n >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, n);
	if (path[0] == '@')
		addr.sun_path[0] = 0;
	mh.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	if (fd >= 0) {
		mh.msg_control = room;
		mh.msg_controllen = sizeof(room);
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	(void)sendmsg(sock, &mh, MSG_NOSIGNAL);
	close(sock);
}

void
sl_fdstore_put(int fd)
{
	tell("FDSTOREREMOVE=1\nFDNAME=" SL_FDSTORE_NAME "\n", -1);
	tell("FDSTORE=1\nFDNAME=" SL_FDSTORE_NAME "\n", fd);
}

void
sl_fdstore_notify(const char *text)
{
	tell(text, -1);
}

uint64_t
sl_fdstore_watchdog(void)
{
	const char *pid = getenv("WATCHDOG_PID");
	long us = number(getenv("WATCHDOG_USEC"), 1, INT64_MAX / 1000);

	if (us < 0 || (pid && number(pid, 1, INT32_MAX) != (long)getpid()))
		return 0;
	return (uint64_t)us * 1000;
}
