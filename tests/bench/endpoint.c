/* endpoint — a server for measuring what stands before it; what it does with a connection its first byte says.
 *
 *   bench_endpoint ADDRESS PORT COUNT       listens on COUNT ports from PORT on; prints "ready"
 *
 * 'c' answers ANSWER bytes and closes.  'i' answers them and keeps the connection.  'u' reads to the end.  'd' sends
 * until the peer has gone.  'G' is HTTP: HTTP_ANSWER for each head that ends (requests have no body).  One thread, no copies of what is only counted. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "sluice/base.h"
#include "tests/bench/conns.h"

#define MAX_FD (1 << 19)

static struct {
	int epoll, bulk;
	uint8_t what[MAX_FD]; /* of a connection: its first byte, 0: not known yet; LISTENER */
	uint8_t head[MAX_FD]; /* of HTTP: how much of a CRLFCRLF has come */
} end;

#define LISTENER 1

static void
fail(const char *what)
{
	fprintf(stderr, "bench_endpoint: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
watch(int fd, uint32_t events, int op)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	epoll_ctl(end.epoll, op, fd, &e);
}

static void
listen_on(const char *address, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)); /* several of this program */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4096))
		fail(address);
	end.what[fd] = LISTENER;
	watch(fd, EPOLLIN, EPOLL_CTL_ADD);
}

static void
feed(int fd)
{
	off_t from = 0;
	ssize_t n = sendfile(fd, end.bulk, &from, BULK_BYTES);

	if (n < 0 && errno != EAGAIN)
		close(fd);
}

/* Answers what ends in these bytes. */
static void
serve(int fd, const uint8_t *bytes, size_t n)
{
	static const char answer[] = HTTP_ANSWER;
	uint8_t *head = &end.head[fd];

	for (size_t i = 0; i < n; i++) {
		*head = bytes[i] == "\r\n\r\n"[*head] ? *head + 1 : bytes[i] == '\r';
		if (*head < 4)
			continue;
		*head = 0;
		if (write(fd, answer, sizeof(answer) - 1) < 0) {
			close(fd);
			return;
		}
	}
}

/* The first bytes of a connection, n of them. */
static void
begin(int fd, const uint8_t *bytes, size_t n)
{
	static const uint8_t answer[ANSWER];

	end.what[fd] = bytes[0];
	switch (bytes[0]) {
	case 'c':
		(void)!write(fd, answer, sizeof(answer));
		close(fd);
		return;
	case 'i':
		(void)!write(fd, answer, sizeof(answer));
		watch(fd, EPOLLIN, EPOLL_CTL_MOD);
		return;
	case 'd':
		watch(fd, EPOLLOUT, EPOLL_CTL_MOD);
		return;
	case 'u':
		watch(fd, EPOLLIN, EPOLL_CTL_MOD);
		return;
	case 'G':
		serve(fd, bytes, n);
		return;
	default:
		close(fd);
	}
}

static void
readable(int fd)
{
	uint8_t bytes[4096];
	ssize_t n;

	if (!end.what[fd] || end.what[fd] == 'G') {
		n = read(fd, bytes, sizeof(bytes));
		if (n > 0 && end.what[fd])
			serve(fd, bytes, (size_t)n);
		else if (n > 0)
			begin(fd, bytes, (size_t)n);
		else if (n == 0 || errno != EAGAIN)
			close(fd);
		return;
	}
	n = recv(fd, NULL, BULK_BYTES, MSG_TRUNC);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		close(fd);
}

static void
take(int listener)
{
	for (unsigned i = 0; i < 64; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		if (fd >= MAX_FD) {
			close(fd);
			continue;
		}
		end.what[fd] = end.head[fd] = 0;
		watch(fd, EPOLLIN, EPOLL_CTL_ADD);
	}
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	struct epoll_event ev[256];

	if (argc != 4) {
		fprintf(stderr, "bench_endpoint ADDRESS PORT COUNT\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = SL_MIN(files.rlim_max, (rlim_t)MAX_FD);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	end.epoll = epoll_create1(EPOLL_CLOEXEC);
	end.bulk = memfd_create("bulk", MFD_CLOEXEC);
	if (end.epoll < 0 || ftruncate(end.bulk, BULK_BYTES))
		fail("cannot begin");
	for (int i = 0; i < atoi(argv[3]); i++)
		listen_on(argv[1], atoi(argv[2]) + i);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(end.epoll, ev, 256, -1);
		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd;
			if (end.what[fd] == LISTENER)
				take(fd);
			else if (ev[i].events & EPOLLOUT)
				feed(fd);
			else
				readable(fd);
		}
	}
}
