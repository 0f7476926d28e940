/* client — connections by the thousand, for measuring what stands between it and bench_endpoint.
 *
 *   bench_client MODE ADDRESS PORT SOURCE COUNT CONNS
 *
 * MODE   crc: connect, request, answer, close, again, CONNS at a time.  up, down: CONNS connections with bulk.  hold: CONNS
 *        connections that have had one answer and stay.  http: requests by turns on CONNS connections that stay.
 *        http-crc, http-hold: crc and hold with HTTP.  https, https-crc, https-hold, https-again, tls-down: with TLS 1.3,
 *        TLS_AES_128_GCM_SHA256, nobody verified; again is crc, resuming one session.  TLS=1.2 in the environment: by TLS 1.2.
 * SOURCE is the first of COUNT addresses of our own that connections come from in turn.
 * Standard input: "go RATE" (connections, of http requests, begun a second, 0: as fast as they end), "conns CONNS", "stop" (no new
 * ones; bulk ends), "ask PATH HOST X-ENV" (the request from now on, with another number in
 * place of each ###### every time), "mark" (latencies from now on), "sample": each is answered with a
 * JSON object on a line: what ended well, what failed, sessions resumed, bytes, connections open, those of them that wait for something, microseconds
 * that half and 99 % took.  A latency begins when the rate says that the request is due, sent or not.  The end of input ends it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
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

enum state { CONNECTING = 1, SHAKING, ASKED, BULK, HELD, IDLE };

/* A latency's place in the histogram: its highest bit, and STEP_BITS more. */
#define STEP_BITS 5
#define STEPS (1u << STEP_BITS)
#define HEAD_OVER 5

#define NUMBER 6 /* digits of what changes with every request */

static struct {
	char mode; /* the byte that asks for it: c u d i; of http: k */
	bool http;
	struct sockaddr_in dst, src;
	unsigned sources, turn, conns;
	unsigned open, held;
	bool going;
	double rate, begun_at; /* since `go`: begun connections follow the rate */
	uint64_t begun;
	uint64_t done, failed, resumed, bytes;
	SSL_CTX *tls; /* NULL: none */
	bool again;
	SSL_SESSION *session;         /* to resume; NULL: none yet */
	uint64_t latency[64 * STEPS]; /* since mark */
	struct
	{ /* of mode http: connections with nothing to do, in the order in which they became so */
		int fd[MAX_FD];
		unsigned first, cnt;
	} idle;
	int epoll, bulk;
	char line[256];
	size_t len;
	struct {
		SSL *ssl;
		uint8_t state;
		uint8_t got;  /* bytes of the answer, of HTTP of its body */
		uint8_t head; /* of HTTP: 0: nothing came; else 1 and how much of CRLFCRLF */
		double due;   /* when its request should have begun */
	} fd[MAX_FD];
	char request[2048];
	size_t request_len;
	char *number[2]; /* in it, or NULL */
	char why[64];    /* of the last failure */
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
took(double seconds)
{
	uint64_t ns = seconds > 0 ? (uint64_t)(seconds * 1e9) | STEPS : STEPS;
	unsigned top = 63 - (unsigned)__builtin_clzll(ns);

	cl.latency[top * STEPS + (ns >> (top - STEP_BITS)) % STEPS]++;
}

/* Microseconds that this share did not take longer than. */
static double
quantile(double share)
{
	uint64_t all = 0, n = 0;

	for (unsigned i = 0; i < SL_ARRAY_CNT(cl.latency); i++)
		all += cl.latency[i];
	for (unsigned i = 0; i < SL_ARRAY_CNT(cl.latency); i++) {
		n += cl.latency[i];
		if (n && (double)n >= share * (double)all)
			return (double)((uint64_t)(STEPS + i % STEPS + 1)
					<< (i / STEPS - STEP_BITS)) /
			       1e3;
	}
	return 0;
}

/* When what begins next is due. */
static double
due(double now)
{
	return cl.rate == 0 ? now : cl.begun_at + (double)cl.begun / cl.rate;
}

static void
idle_put(int fd)
{
	cl.fd[fd].state = IDLE;
	cl.idle.fd[(cl.idle.first + cl.idle.cnt++) % MAX_FD] = fd;
}

static int
idle_take(void)
{
	int fd = cl.idle.fd[cl.idle.first];

	cl.idle.first = (cl.idle.first + 1) % MAX_FD;
	cl.idle.cnt--;
	return fd;
}

static void
idle_forget(int fd)
{
	for (unsigned i = cl.idle.cnt; i > 0; i--) {
		int other = idle_take();
		if (other != fd)
			idle_put(other);
	}
}

static void
over(int fd, bool well)
{
	int err = errno;

	if (cl.fd[fd].state == IDLE)
		idle_forget(fd);

	if (!well) {
		cl.failed++;
		snprintf(cl.why, sizeof(cl.why), "%s, state %u", strerror(err), cl.fd[fd].state);
	} else if (cl.mode != 'k') {
		cl.done++;
		if (cl.mode == 'c')
			took(now_s() - cl.fd[fd].due);
	}
	cl.held -= cl.fd[fd].state == HELD;
	cl.fd[fd].state = 0;
	cl.open--;
	if (cl.fd[fd].ssl)
		SSL_shutdown(cl.fd[fd].ssl); /* quiet: or its session would not be resumed again */
	SSL_free(cl.fd[fd].ssl);
	cl.fd[fd].ssl = NULL;
	close(fd);
}

/* ---- with TLS or without ---- */

/* As what SSL_get_error says of it: 0: the end; -1 with errno. */
static ssize_t
tls_rc(SSL *ssl, int rc)
{
	int e = SSL_get_error(ssl, rc);

	errno = e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? EAGAIN
		: e == SSL_ERROR_SYSCALL && errno                     ? errno
								      : EPROTO;
	return e == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static ssize_t
get(int fd, void *b, size_t n)
{
	if (!cl.tls)
		return read(fd, b, n);
	ERR_clear_error();
	int rc = SSL_read(cl.fd[fd].ssl, b, (int)n);
	return rc > 0 ? rc : tls_rc(cl.fd[fd].ssl, rc);
}

static ssize_t
put(int fd, const void *b, size_t n)
{
	if (!cl.tls)
		return write(fd, b, n);
	ERR_clear_error();
	int rc = SSL_write(cl.fd[fd].ssl, b, (int)n);
	return rc > 0 ? rc : tls_rc(cl.fd[fd].ssl, rc);
}

static int
new_session(SSL *ssl, SSL_SESSION *s)
{
	(void)ssl;
	if (!cl.again || cl.session)
		return 0;
	cl.session = s;
	return 1;
}

static bool
tls_init(void)
{
	const char *version = getenv("TLS");
	int v = version && !strcmp(version, "1.2") ? TLS1_2_VERSION : TLS1_3_VERSION;

	cl.tls = SSL_CTX_new(TLS_client_method());
	if (!cl.tls || !SSL_CTX_set_min_proto_version(cl.tls, v) ||
	    !SSL_CTX_set_max_proto_version(cl.tls, v) ||
	    !SSL_CTX_set_ciphersuites(cl.tls, "TLS_AES_128_GCM_SHA256") ||
	    !SSL_CTX_set_cipher_list(cl.tls, "ECDHE+AESGCM"))
		return false;
	SSL_CTX_set_mode(cl.tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
					 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(cl.tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_session_cache_mode(cl.tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(cl.tls, new_session);
	return true;
}

static bool
tls_begin(int fd)
{
	SSL *ssl = SSL_new(cl.tls);

	cl.fd[fd].ssl = ssl;
	if (!ssl || !SSL_set_fd(ssl, fd) || !SSL_set_tlsext_host_name(ssl, "shop.example"))
		return false;
	if (cl.session)
		SSL_set_session(ssl, cl.session);
	SSL_set_quiet_shutdown(ssl, 1);
	SSL_set_connect_state(ssl);
	return true;
}

static bool
start(double now)
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
	cl.fd[fd].state = CONNECTING;
	cl.fd[fd].got = cl.fd[fd].head = 0;
	cl.fd[fd].due = due(now);
	cl.begun += cl.mode != 'k';
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
	return cl.rate == 0 || cl.mode == 'k' || due(now) <= now;
}

/* Another number in place of the last. */
static void
renumber(void)
{
	static unsigned n;

	n = (n + 1) % 1000000;
	for (unsigned i = 0; i < SL_ARRAY_CNT(cl.number) && cl.number[i]; i++)
		for (unsigned d = NUMBER, left = n; d-- > 0; left /= 10)
			cl.number[i][d] = (char)('0' + left % 10);
}

static bool
ask(int fd)
{
	renumber();
	cl.fd[fd].state = ASKED;
	if (put(fd, cl.request, cl.request_len) == (ssize_t)cl.request_len)
		return true;
	over(fd, false);
	return false;
}

/* What is due, on connections that have nothing to do. */
static void
ask_due(double now)
{
	while (cl.going && cl.idle.cnt && due(now) <= now) {
		int fd = idle_take();
		cl.fd[fd].due = due(now);
		cl.fd[fd].got = cl.fd[fd].head = 0;
		cl.begun++;
		ask(fd);
	}
}

static void
ready(int fd)
{
	if (cl.mode == 'k')
		idle_put(fd);
	else if (!ask(fd))
		return;
	if (cl.mode == 'u' || cl.mode == 'd')
		cl.fd[fd].state = BULK;
	watch(fd, cl.mode == 'u' ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

static void
shake(int fd)
{
	SSL *ssl = cl.fd[fd].ssl;

	ERR_clear_error();
	int rc = SSL_do_handshake(ssl);
	if (rc == 1) {
		cl.resumed += SSL_session_reused(ssl) == 1;
		ready(fd);
	} else if (tls_rc(ssl, rc) == 0 || errno != EAGAIN) {
		over(fd, false);
	}
}

static void
connected(int fd)
{
	int err = 0;
	socklen_t n = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	if (err || (cl.tls && !tls_begin(fd))) {
		errno = err ? err : ENOMEM;
		over(fd, false);
	} else if (cl.tls) {
		cl.fd[fd].state = SHAKING;
		watch(fd, EPOLLIN, EPOLL_CTL_MOD);
		shake(fd);
	} else {
		ready(fd);
	}
}

/* False: not the answer that was to come. */
static bool
http_answer(int fd, const char *b, size_t n)
{
	static const char good[] = "HTTP/1.1 200 ";
	uint8_t *head = &cl.fd[fd].head;
	size_t i = 0;

	if (!*head && (n < sizeof(good) || memcmp(b, good, sizeof(good) - 1)))
		return false;
	for (*head = SL_MAX(*head, 1); i < n && *head < HEAD_OVER; i++)
		*head = b[i] == "\r\n\r\n"[*head - 1] ? *head + 1 : b[i] == '\r' ? 2 : 1;
	if (n - i > (size_t)ANSWER - cl.fd[fd].got)
		return false;
	cl.fd[fd].got = (uint8_t)(cl.fd[fd].got + n - i);
	return true;
}

static bool
answer(int fd, const char *b, size_t n)
{
	if (cl.http)
		return http_answer(fd, b, n);
	cl.fd[fd].got = (uint8_t)(cl.fd[fd].got + n);
	return cl.fd[fd].got <= ANSWER;
}

/* The answer, and after it, of crc, the end. */
static void
answered(int fd)
{
	char buf[4096];
	ssize_t n = get(fd, buf, sizeof(buf));

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == 0 && cl.mode == 'c' && cl.fd[fd].got == ANSWER) {
		over(fd, true);
		return;
	}
	if (n <= 0 || !answer(fd, buf, (size_t)n)) {
		errno = n < 0 ? errno : n == 0 ? EPIPE : EPROTO;
		over(fd, false);
		return;
	}
	cl.bytes += (uint64_t)n;
	if (cl.fd[fd].got < ANSWER || cl.mode == 'c')
		return;
	if (cl.mode == 'i') {
		cl.fd[fd].state = HELD;
		cl.held++;
	} else {
		took(now_s() - cl.fd[fd].due);
		cl.done++;
		idle_put(fd);
	}
}

/* Records as long as there are any, but others shall come to theirs. */
static ssize_t
bulk_tls(int fd)
{
	static char buf[32768];
	ssize_t n, sum = 0;

	while ((n = get(fd, buf, sizeof(buf))) > 0 && (sum += n) < BULK_BYTES)
		;
	return sum ? sum : n;
}

static void
bulk(int fd)
{
	off_t from = 0;
	ssize_t n = cl.tls           ? bulk_tls(fd)
		    : cl.mode == 'u' ? sendfile(fd, cl.bulk, &from, BULK_BYTES)
				     : recv(fd, NULL, BULK_BYTES, MSG_TRUNC);

	if (n > 0)
		cl.bytes += (uint64_t)n;
	else if (n == 0 || errno != EAGAIN)
		over(fd, false);
}

/* What comes when nothing is to come: of TLS a ticket, perhaps; else the end. */
static void
unasked(int fd)
{
	char b;

	if (cl.tls && get(fd, &b, 1) < 0 && errno == EAGAIN)
		return;
	errno = ECONNRESET;
	over(fd, false);
}

static void
event(int fd)
{
	switch (cl.fd[fd].state) {
	case CONNECTING:
		connected(fd);
		return;
	case SHAKING:
		shake(fd);
		return;
	case ASKED:
		answered(fd);
		return;
	case BULK:
		bulk(fd);
		return;
	case HELD:
	case IDLE:
		unasked(fd);
		return;
	}
}

static void
stop(void)
{
	cl.going = false;
	if (cl.mode == 'c' || cl.mode == 'k')
		return;
	for (int fd = 0; fd < MAX_FD; fd++)
		if (cl.fd[fd].state)
			over(fd, true);
}

static void
request(const char *path, const char *host, const char *env)
{
	if (!cl.http) {
		cl.request_len = REQUEST;
		memset(cl.request, cl.mode, REQUEST);
		return;
	}
	cl.request_len = (size_t)snprintf(
		cl.request, sizeof(cl.request),
		"GET %s HTTP/1.1\r\nHost: %s\r\n" HTTP_HEADERS "x-env: %s\r\n%s\r\n", path, host,
		env, cl.mode == 'c' ? "Connection: close\r\n" : "");
	char *at = cl.request;
	for (unsigned i = 0; i < SL_ARRAY_CNT(cl.number); i++) {
		cl.number[i] = strstr(at, "######");
		at = cl.number[i] ? cl.number[i] + NUMBER : at + strlen(at);
	}
}

static void
tell(void)
{
	bool bulk = cl.mode == 'u' || cl.mode == 'd';

	printf("{\"done\": %lu, \"failed\": %lu, \"resumed\": %lu, \"bytes\": %lu, \"open\": %u, "
	       "\"held\": %u, "
	       "\"busy\": %u, \"p50\": %.1f, \"p99\": %.1f, \"why\": \"%s\"}\n",
	       cl.done, cl.failed, cl.resumed, cl.bytes, cl.open, cl.held,
	       bulk ? cl.open : cl.open - cl.held - cl.idle.cnt, quantile(0.5), quantile(0.99),
	       cl.why);
	fflush(stdout);
}

static void
command(const char *line)
{
	char path[256], host[256], env[256];
	unsigned n;

	if (sscanf(line, "go %lf", &cl.rate) == 1) {
		cl.going = true;
		cl.begun = 0;
		cl.begun_at = now_s();
	} else if (sscanf(line, "conns %u", &n) == 1) {
		cl.conns = n;
	} else if (sscanf(line, "ask %255s %255s %255s", path, host, env) == 3) {
		request(path, host, env);
	} else if (!strcmp(line, "mark")) {
		memset(cl.latency, 0, sizeof(cl.latency));
	} else if (!strcmp(line, "stop")) {
		stop();
	}
	tell();
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

/* Seconds until something is to be done besides events. */
static double
nap(double now)
{
	bool opening = cl.open < cl.conns;

	if (!cl.going)
		return 1;
	if (cl.mode == 'k')
		return opening ? 1e-3 : cl.idle.cnt ? SL_MAX(0, due(now) - now) : 1;
	return !opening ? 1 : cl.rate == 0 ? 0 : SL_MAX(0, due(now) - now);
}

/* Events, or what is due. */
static void
turn(void)
{
	struct epoll_event ev[256];
	double now = now_s(), pause = SL_MIN(nap(now), 1);
	struct timespec t = {.tv_sec = (time_t)pause,
			     .tv_nsec = (long)((pause - (double)(time_t)pause) * 1e9)};
	int n = epoll_pwait2(cl.epoll, ev, 256, &t, NULL);

	for (int i = 0; i < n; i++) {
		if (ev[i].data.fd)
			event(ev[i].data.fd);
		else
			input();
	}
	now = now_s();
	for (unsigned i = 0; i < 64 && wanted(now); i++)
		if (!start(now))
			break;
	ask_due(now);
}

static bool
arguments(int argc, char **argv)
{
	static const struct {
		const char *word;
		char mode;
		bool http, tls, again;
	} modes[] = {{"crc", 'c', 0, 0, 0},         {"up", 'u', 0, 0, 0},
		     {"down", 'd', 0, 0, 0},        {"hold", 'i', 0, 0, 0},
		     {"http", 'k', 1, 0, 0},        {"http-crc", 'c', 1, 0, 0},
		     {"http-hold", 'i', 1, 0, 0},   {"https", 'k', 1, 1, 0},
		     {"https-crc", 'c', 1, 1, 0},   {"https-hold", 'i', 1, 1, 0},
		     {"https-again", 'c', 1, 1, 1}, {"tls-down", 'd', 0, 1, 0}};

	for (unsigned i = 0; argc == 7 && i < SL_ARRAY_CNT(modes); i++)
		if (!strcmp(argv[1], modes[i].word)) {
			cl.mode = modes[i].mode;
			cl.http = modes[i].http;
			cl.again = modes[i].again;
			if (modes[i].tls && !tls_init())
				return false;
		}
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

	if (!arguments(argc, argv)) {
		fprintf(stderr,
			"bench_client crc|up|down|hold|http|http-crc|http-hold|https|https-crc|"
			"https-hold|https-again|tls-down ADDRESS PORT SOURCE COUNT CONNS\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = SL_MIN(files.rlim_max, (rlim_t)MAX_FD);
	setrlimit(RLIMIT_NOFILE, &files);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_TIMERSLACK, 1);
	request("/api/v1/items/42?page=2", "shop.example", "canary-3");
	cl.epoll = epoll_create1(EPOLL_CLOEXEC);
	cl.bulk = memfd_create("bulk", MFD_CLOEXEC);
	if (cl.epoll < 0 || ftruncate(cl.bulk, BULK_BYTES))
		return 1;
	watch(0, EPOLLIN, EPOLL_CTL_ADD);
	for (;;)
		turn();
}
