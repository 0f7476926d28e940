/* bench_health — what probing costs and how fast it sees: 5,000 endpoints, one probe each a second,
 * and a fifth of them turning into black holes.
 *
 *   bench_health [-n ENDPOINTS] [-i INTERVAL_MS] [-t TIMEOUT_MS] [-m MEASURE_MS] [tcp|http]
 *
 *   this process: prober ── 127.a.b.c, port A ──▶ child: accepts, answers          (four fifths)
 *                       └── 127.a.b.c, port B ──▶ child, until the kernel is told    (one fifth)
 *                                                 to drop what comes for the listener
 *
 * A socket filter that accepts no byte makes a listening socket silent: SYNs are dropped, not
 * refused.  Loopback charges the receiving half of the kernel's work to the sender, so the share of
 * a core is an upper bound.  Each result is one JSON object a line: {"name", "value", "unit"}. */
#include "mgmt/health.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct bench {
	uv_loop_t loop;
	uv_timer_t guard;
	bool late;
	struct sl_prober *prober;
	struct sl_probe_target *targets;
	char (*names)[16];
	uint32_t cnt;
	uint32_t holes;    /* targets [0, holes) are those at port B */
	uint64_t t0_ns;    /* silence, or the end of it, began */
	uint64_t *took_ns; /* [holes], 0: not seen yet */
	uint32_t seen;
	uint32_t wrong; /* endpoints that answer, taken for dead */
	enum sl_probe_state awaited;
};

static void
die(const char *what)
{
	fprintf(stderr, "bench_health: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
print(const char *name, double value, const char *unit)
{
	printf("{\"name\": \"health.%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value, unit);
}

/* ---- the endpoints ---- */

static int
listen_any(uint16_t *ret_port)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	socklen_t len = sizeof(in);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (s < 0 || bind(s, (struct sockaddr *)&in, len) || listen(s, 4096) ||
	    getsockname(s, (struct sockaddr *)&in, &len))
		die("cannot listen");
	*ret_port = ntohs(in.sin_port);
	return s;
}

static void
set_silent(int listener, bool silent)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = {1, &none};
	int zero = 0;

	if (silent ? setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog))
		   : setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof(zero)))
		die("cannot filter the listening socket");
}

/* Accepts; answers whatever was sent; closes when the prober does. */
static void
serve(int a, int b)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
	int ep = epoll_create1(0);
	struct epoll_event ev[256];
	char buf[2048];

	for (unsigned i = 0; i < 2; i++)
		epoll_ctl(ep, EPOLL_CTL_ADD, i ? b : a,
			  &(struct epoll_event){.events = EPOLLIN, .data.fd = i ? b : a});
	for (;;) {
		int n = epoll_wait(ep, ev, 256, -1);
		for (int i = 0; i < n; i++) {
			int fd = ev[i].data.fd, c;
			if (fd != a && fd != b) {
				ssize_t got = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
				if (got <= 0)
					close(fd);
				else
					(void)!send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
				continue;
			}
			while ((c = accept4(fd, NULL, NULL, SOCK_NONBLOCK)) >= 0)
				epoll_ctl(ep, EPOLL_CTL_ADD, c,
					  &(struct epoll_event){.events = EPOLLIN, .data.fd = c});
		}
	}
}

static pid_t
start_endpoints(int a, int b)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	serve(a, b);
	_exit(0);
}

/* ---- measuring ---- */

static double
cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void
on_late(uv_timer_t *t)
{
	((struct bench *)t->data)->late = true;
}

/* Runs for ms, or until all black holes were seen to change when `until_seen`. */
static void
run(struct bench *b, uint64_t ms, bool until_seen)
{
	b->late = false;
	uv_update_time(&b->loop);
	uv_timer_start(&b->guard, on_late, ms, 0);
	while (!b->late && !(until_seen && b->seen == b->holes))
		uv_run(&b->loop, UV_RUN_ONCE);
}

static void
on_change(void *ctx, const struct sl_probe_event *ev)
{
	struct bench *b = ctx;

	if (ev->slot >= b->holes) {
		b->wrong += ev->to == SL_PROBE_UNHEALTHY;
	} else if (ev->to == b->awaited && !b->took_ns[ev->slot]) {
		b->took_ns[ev->slot] = uv_hrtime() - b->t0_ns;
		b->seen++;
	}
}

static void
await_change(struct bench *b, enum sl_probe_state to)
{
	memset(b->took_ns, 0, b->holes * sizeof(uint64_t));
	b->seen = 0;
	b->awaited = to;
	b->t0_ns = uv_hrtime();
}

static int
by_value(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

static void
print_times(struct bench *b, const char *what)
{
	static const struct {
		const char *name;
		double share;
	} at[] = {{"p50", 0.5}, {"p99", 0.99}, {"max", 1}};
	char name[64];

	qsort(b->took_ns, b->holes, sizeof(uint64_t), by_value);
	for (unsigned i = 0; i < SL_ARRAY_CNT(at); i++) {
		uint32_t idx = (uint32_t)(at[i].share * (b->holes - 1));
		snprintf(name, sizeof(name), "%s.%s", what, at[i].name);
		print(name, (double)b->took_ns[idx] / 1e6, "ms");
	}
	snprintf(name, sizeof(name), "%s.missed", what);
	print(name, b->holes - b->seen, "endpoints");
}

static void
print_cost(struct bench *b, const char *what, uint64_t ms)
{
	struct sl_prober_stats before, after;
	char name[64];
	double cpu = cpu_s(), begin = (double)uv_hrtime() / 1e9;

	sl_prober_stats(b->prober, &before);
	run(b, ms, false);
	sl_prober_stats(b->prober, &after);
	double took = (double)uv_hrtime() / 1e9 - begin;
	uint64_t probes = after.ok + after.failed - before.ok - before.failed;
	snprintf(name, sizeof(name), "%s.core", what);
	print(name, (cpu_s() - cpu) / took, "cores");
	snprintf(name, sizeof(name), "%s.rate", what);
	print(name, (double)probes / took, "probes/s");
	snprintf(name, sizeof(name), "%s.open", what);
	print(name, after.open, "probes");
}

/* ---- the set ---- */

static void
make_targets(struct bench *b, uint16_t port_a, uint16_t port_b, const struct sl_health_conf *conf)
{
	b->targets = calloc(b->cnt, sizeof(*b->targets));
	b->names = calloc(b->cnt, sizeof(*b->names));
	b->took_ns = calloc(b->holes + 1, sizeof(uint64_t));
	if (!b->targets || !b->names || !b->took_ns)
		die("memory");
	for (uint32_t i = 0; i < b->cnt; i++) {
		uint32_t n = i + 1;
		uint8_t ip[4] = {127, (uint8_t)(1 + (n >> 16)), (uint8_t)(n >> 8), (uint8_t)n};
		snprintf(b->names[i], sizeof(b->names[i]), "e-%u", i);
		b->targets[i] = (struct sl_probe_target){.service = "bench",
							 .endpoint = b->names[i],
							 .slot = i,
							 .incarnation = 1,
							 .addr = sl_addr_from_v4(ip),
							 .port = i < b->holes ? port_b : port_a,
							 .conf = conf};
	}
}

static void
start_prober(struct bench *b, uint64_t seed)
{
	struct sl_diag d = {0};
	char text[512];

	b->prober = sl_prober_create(&b->loop, seed, on_change, b);
	if (!b->prober || sl_prober_set(b->prober, b->targets, b->cnt, &d))
		die("cannot start the prober");
	for (unsigned i = 0; i < d.cnt; i++) {
		sl_diag_format(&d.items[i], text, sizeof(text));
		fprintf(stderr, "bench_health: %s\n", text);
	}
	sl_diag_fini(&d);
}

static uint32_t
number(const char *text)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || end == text || v < 1 || v > 3600000) {
		fprintf(stderr, "bench_health: \"%s\" is not a number from 1 to 3600000\n", text);
		exit(2);
	}
	return (uint32_t)v;
}

int
main(int argc, char **argv)
{
	struct bench b = {.cnt = 5000};
	struct sl_health_conf conf = {.type = SL_HEALTH_TCP,
				      .interval_ms = 1000,
				      .timeout_ms = 500,
				      .rise = 2,
				      .fall = 2,
				      .jitter_pct = 10,
				      .path = "/",
				      .expect = {{200, 200}},
				      .expect_cnt = 1};
	uint32_t measure_ms = 3000;
	uint16_t port_a, port_b;
	int opt;

	while ((opt = getopt(argc, argv, "n:i:t:m:")) != -1)
		switch (opt) {
		case 'n':
			b.cnt = SL_MIN(number(optarg), (uint32_t)SL_MAX_ENDPOINTS);
			break;
		case 'i':
			conf.interval_ms = number(optarg);
			break;
		case 't':
			conf.timeout_ms = number(optarg);
			break;
		case 'm':
			measure_ms = number(optarg);
			break;
		default:
			fprintf(stderr, "usage: bench_health [-n ENDPOINTS] [-i INTERVAL_MS] "
					"[-t TIMEOUT_MS] [-m MEASURE_MS] [tcp|http]\n");
			return 2;
		}
	if (optind < argc && !strcmp(argv[optind], "http"))
		conf.type = SL_HEALTH_HTTP;
	b.holes = b.cnt / 5;
	setvbuf(stdout, NULL, _IOLBF, 0);

	int a = listen_any(&port_a), hole = listen_any(&port_b);
	pid_t child = start_endpoints(a, hole);
	uv_loop_init(&b.loop);
	uv_timer_init(&b.loop, &b.guard);
	b.guard.data = &b;
	make_targets(&b, port_a, port_b, &conf);

	/* all answer; then a fifth falls silent; then comes back */
	start_prober(&b, 1);
	run(&b, conf.interval_ms + conf.timeout_ms, false);
	print_cost(&b, "answering", measure_ms);
	await_change(&b, SL_PROBE_UNHEALTHY);
	set_silent(hole, true);
	run(&b, 5ull * conf.interval_ms, true);
	print_times(&b, "silence_found");
	print_cost(&b, "fifth_silent", measure_ms);
	await_change(&b, SL_PROBE_HEALTHY);
	set_silent(hole, false);
	run(&b, 5ull * conf.interval_ms, true);
	print_times(&b, "return_found");
	struct sl_prober_stats st;
	sl_prober_stats(b.prober, &st);
	uint64_t local_errors = st.local_errors;
	sl_prober_destroy(b.prober);

	/* a fifth is silent from the start */
	set_silent(hole, true);
	await_change(&b, SL_PROBE_UNHEALTHY);
	start_prober(&b, 2);
	run(&b, 5ull * conf.interval_ms, true);
	print_times(&b, "start_found");
	sl_prober_stats(b.prober, &st);
	print("local_errors", (double)(local_errors + st.local_errors), "probes");
	print("wrong", b.wrong, "endpoints");
	sl_prober_destroy(b.prober);

	uv_close((uv_handle_t *)&b.guard, NULL);
	uv_run(&b.loop, UV_RUN_DEFAULT);
	uv_loop_close(&b.loop);
	kill(child, SIGKILL);
	free(b.targets);
	free(b.names);
	free(b.took_ns);
	return 0;
}
