/* client — connections by the thousand, for measuring what stands between it and bench_endpoint.
 *
 *   bench_client MODE ADDRESS PORT SOURCE COUNT CONNS
 *
 * MODE   crc: connect, request, answer, close, again, CONNS at a time.  up, down: CONNS connections with bulk.  hold: CONNS
 *        connections that have had one answer and stay.
 * SOURCE is the first of COUNT addresses of our own that connections come from in turn.
 * Standard input: "go RATE" (connections begun a second, 0: as fast as they end), "conns CONNS", "stop" (no new ones; bulk ends), "sample":
 * one JSON object a line: connections that ended well, that failed, bytes, open now.  The end of input ends it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "sluice/base.h"
#include "tests/bench/conns.h"

#define MAX_FD (1 << 19)
#define MANY_OPENING 256 /* of hold, at a time */

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum state { CONNECTING = 1, ASKED, BULK, HELD };

static struct {
	char mode; /* the byte that asks for it: c u d i */
	struct sockaddr_in dst, src;
	unsigned sources, turn, conns;
	unsigned open, held;
	bool going;
	double rate, begun_at; /* since `go`: begun connections follow the rate */
	uint64_t begun;
	uint64_t done, failed, bytes;
	int epoll, bulk;
	char line[256];
	size_t len;
	struct {
		uint8_t state;
		uint8_t got;
	} fd[MAX_FD];
	uint8_t request[REQUEST];
	char why[64]; /* of the last failure */
} cl;

static double
now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
watch(int fd, uint32_t events, int op)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	epoll_ctl(cl.epoll, op, fd, &e);
}

static void
over(int fd, bool well)
{
	int err = errno;

	if (!well) {
		cl.failed++;
		snprintf(cl.why, sizeof(cl.why), "%s, state %u", strerror(err), cl.fd[fd].state);
	} else {
		cl.done++;
	}
	cl.held -= cl.fd[fd].state == HELD;
	cl.fd[fd].state = 0;
	cl.open--;
	close(fd);
}

static bool
start(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	struct sockaddr_in src = cl.src;

	if (fd < 0 || fd >= MAX_FD) {
		cl.failed++;
		snprintf(cl.why, sizeof(cl.why), "socket: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}
	src.sin_addr.s_addr = htonl(ntohl(src.sin_addr.s_addr) + cl.turn++ % cl.sources);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	cl.open++;
	cl.begun++;
	cl.fd[fd].state = CONNECTING;
	cl.fd[fd].got = 0;
	if (bind(fd, (struct sockaddr *)&src, sizeof(src)) ||
	    (connect(fd, (struct sockaddr *)&cl.dst, sizeof(cl.dst)) && errno != EINPROGRESS)) {
		over(fd, false);
		return false;
	}
	watch(fd, EPOLLOUT, EPOLL_CTL_ADD);
	return true;
}

static bool
wanted(double now)
{
	if (!cl.going || cl.open >= cl.conns)
		return false;
	if (cl.mode == 'i' && cl.open - cl.held >= MANY_OPENING)
		return false;
	return cl.rate == 0 || (double)cl.begun < (now - cl.begun_at) * cl.rate;
}

static void
connected(int fd)
{
	int err = 0;
	socklen_t n = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	if (err || write(fd, cl.request, sizeof(cl.request)) != sizeof(cl.request)) {
		errno = err ? err : errno;
		over(fd, false);
		return;
	}
	bool bulk = cl.mode == 'u' || cl.mode == 'd';
	cl.fd[fd].state = bulk ? BULK : ASKED;
	watch(fd, cl.mode == 'u' ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

/* The answer, and after it, of crc, the end. */
static void
answered(int fd)
{
	uint8_t buf[ANSWER + 1];
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0 || (n == 0 && (cl.fd[fd].got != ANSWER || cl.mode == 'i'))) {
		errno = n < 0 ? errno : EPIPE;
		over(fd, false);
		return;
	}
	cl.fd[fd].got = (uint8_t)(cl.fd[fd].got + n);
	cl.bytes += (uint64_t)n;
	if (n == 0) {
		over(fd, true);
	} else if (cl.mode == 'i' && cl.fd[fd].got == ANSWER) {
		cl.fd[fd].state = HELD;
		cl.held++;
	}
}

static void
bulk(int fd)
{
	off_t from = 0;
	ssize_t n = cl.mode == 'u' ? sendfile(fd, cl.bulk, &from, BULK_BYTES)
				   : recv(fd, NULL, BULK_BYTES, MSG_TRUNC);

	if (n > 0)
		cl.bytes += (uint64_t)n;
	else if (n == 0 || errno != EAGAIN)
		over(fd, false);
}

static void
event(int fd)
{
	switch (cl.fd[fd].state) {
	case CONNECTING:
		connected(fd);
		return;
	case ASKED:
		answered(fd);
		return;
	case BULK:
		bulk(fd);
		return;
	case HELD: /* nothing more is to come: it has ended */
		errno = ECONNRESET;
		over(fd, false);
		return;
	}
}

static void
stop(void)
{
	cl.going = false;
	if (cl.mode == 'c')
		return;
	for (int fd = 0; fd < MAX_FD; fd++)
		if (cl.fd[fd].state)
			over(fd, true);
}

static void
command(const char *line)
{
	unsigned n;

	if (sscanf(line, "go %lf", &cl.rate) == 1) {
		cl.going = true;
		cl.begun = 0;
		cl.begun_at = now_s();
	} else if (sscanf(line, "conns %u", &n) == 1) {
		cl.conns = n;
	} else if (!strcmp(line, "stop")) {
		stop();
	}
	printf("{\"done\": %lu, \"failed\": %lu, \"bytes\": %lu, \"open\": %u, \"held\": %u, "
	       "\"why\": \"%s\"}\n",
	       cl.done, cl.failed, cl.bytes, cl.open, cl.held, cl.why);
	fflush(stdout);
}

static void
input(void)
{
	ssize_t n = read(0, cl.line + cl.len, sizeof(cl.line) - 1 - cl.len);
	char *nl;

	if (n <= 0)
		exit(0);
	cl.len += (size_t)n;
	cl.line[cl.len] = 0;
	while ((nl = strchr(cl.line, '\n'))) {
		*nl = 0;
		command(cl.line);
		cl.len -= (size_t)(nl + 1 - cl.line);
		memmove(cl.line, nl + 1, cl.len + 1);
	}
	if (cl.len == sizeof(cl.line) - 1)
		cl.len = 0;
}

/* Milliseconds until something is to be done besides events. */
static int
nap(void)
{
	return !cl.going || cl.open >= cl.conns ? 1000 : cl.rate ? 1 : 0;
}

static bool
arguments(int argc, char **argv)
{
	static const struct {
		const char *word;
		char mode;
	} modes[] = {{"crc", 'c'}, {"up", 'u'}, {"down", 'd'}, {"hold", 'i'}};

	for (unsigned i = 0; argc == 7 && i < 4; i++)
		if (!strcmp(argv[1], modes[i].word))
			cl.mode = modes[i].mode;
	if (!cl.mode)
		return false;
	cl.dst.sin_family = cl.src.sin_family = AF_INET;
	cl.dst.sin_port = htons((uint16_t)atoi(argv[3]));
	cl.sources = (unsigned)atoi(argv[5]);
	cl.conns = (unsigned)atoi(argv[6]);
	return inet_pton(AF_INET, argv[2], &cl.dst.sin_addr) == 1 &&
	       inet_pton(AF_INET, argv[4], &cl.src.sin_addr) == 1 && cl.sources && cl.conns;
}

int
main(int argc, char **argv)
{
	struct rlimit files;
	struct epoll_event ev[256];

	if (!arguments(argc, argv)) {
		fprintf(stderr, "bench_client crc|up|down|hold ADDRESS PORT SOURCE COUNT CONNS\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = SL_MIN(files.rlim_max, (rlim_t)MAX_FD);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	memset(cl.request, cl.mode, sizeof(cl.request));
	cl.epoll = epoll_create1(EPOLL_CLOEXEC);
	cl.bulk = memfd_create("bulk", MFD_CLOEXEC);
	if (cl.epoll < 0 || ftruncate(cl.bulk, BULK_BYTES))
		return 1;
	watch(0, EPOLLIN, EPOLL_CTL_ADD);
	for (;;) {
		int n = epoll_wait(cl.epoll, ev, 256, nap());
		double now = cl.rate != 0 ? now_s() : 0;
		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd)
				event(ev[i].data.fd);
			else
				input();
		}
		for (unsigned i = 0; i < 64 && wanted(now); i++)
			if (!start())
				break;
	}
}
