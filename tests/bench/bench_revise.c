/* bench_revise — what it costs sluiced that endpoints move: many services, one of whose endpoints changes so and so often.
 *
 *   bench_revise [-n SERVICES] [-e ENDPOINTS] [-r CHANGES] [-s SECONDS] [-m MAX_ENDPOINTS] [-p POLICY] [-H] [SOCKET]
 *
 * -H: endpoints are probed, once an hour.  A whole daemon in this process, its state in a directory of its own, and a source that says CHANGES a second: each time one endpoint of
 * one service goes and a new one comes.  The dataplane is that of SOCKET, or a double in a child.  After a second in which nothing
 * is measured, one JSON object a line: {"name", "value", "unit"}: CPU of the daemon (all its threads, in cores), of its main thread,
 * revisions a second, ms from a change to its verdict (median, 99th percentile, most), and of the last revision ms to compile, and what a
 * dataplane that is no double says of it. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/mgmt/fixture.h"
#include "tests/mgmt/told.h"

#define SAMPLES (1u << 20)

static struct fixture f;
static struct told told;
static unsigned services = 1000, endpoints = 10, rate = 1000, seconds = 5, most = 16;
static const char *policy = "maglev", *health = "";
static uint32_t *first; /* [services]: number of its oldest endpoint */
static uint64_t due_ns, measure_ns, end_ns;
static uint64_t *asked_ns; /* ring of changes that no verdict has answered yet */
static uint64_t asked_cnt, answered_cnt;
static float *took_ms; /* [took_cnt] */
static unsigned took_cnt;
static struct sl_tables_revisions begun;
static uint64_t revisions_seen;
static double cpu_begun, main_begun;
static bool measuring, done, doubled;

static void
print(const char *name, double value, const char *unit)
{
	printf("{\"name\": \"mesh.churn.%s\", \"value\": %.6g, \"unit\": \"%s\"}\n", name, value,
	       unit);
}

static double
cpu_s(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static char *
table(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&text, &len);

	fprintf(m, "gateway = { name = \"edge\"; };\n"
		   "network = { addresses = ( { port = \"front\"; address = \"10.255.0.1/8\"; } ); "
		   "};\nservices = (\n");
	for (unsigned i = 0; i < services; i++)
		fprintf(m,
			"%s{ name = \"s%u\"; forward = \"nat\"; policy = \"%s\"; max_endpoints = "
			"%u; %s discover = ( { source = \"registry\"; port = 80; } ); }",
			i ? ",\n" : "", i, policy, most, health);
	fprintf(m, ");\nlisteners = (\n");
	for (unsigned i = 0; i < services; i++)
		fprintf(m,
			"%s{ name = \"l%u\"; address = \"203.0.%u.%u\"; port = 80; protocol = "
			"\"tcp\"; mode = \"l4\"; service = \"s%u\"; }",
			i ? ",\n" : "", i, 113 + i / 200, i % 200 + 1, i);
	fprintf(m, ");\n");
	fclose(m);
	return text;
}

/* Endpoints first[i] … first[i] + endpoints - 1 of service i. */
static void
tell(unsigned i)
{
	static struct sl_source_endpoint e[1024];
	char service[16];

	snprintf(service, sizeof(service), "s%u", i);
	for (unsigned k = 0; k < endpoints; k++) {
		uint32_t n = first[i] + k, at = i * 64 + n % 64;
		const uint8_t a[4] = {10, (uint8_t)(at >> 16), (uint8_t)(at >> 8), (uint8_t)at};
		memset(&e[k], 0, sizeof(e[k]));
		snprintf(e[k].name, sizeof(e[k].name), "e%u", n);
		e[k].addr = sl_addr_from_v4(a);
		e[k].weight = UINT16_MAX;
		e[k].percent = 100;
	}
	told.sink->answer(told.sink->ctx, told_id(&told, service, ""), e, endpoints, 0, "");
}

static void
on_tick(uv_timer_t *t)
{
	static uint64_t rng = 1;
	uint64_t now = uv_hrtime();

	for (; due_ns <= now && !done; due_ns += 1000000000ull / rate) {
		rng = rng * 6364136223846793005u + 1442695040888963407u;
		unsigned i = (unsigned)(rng >> 33) % services;
		first[i]++;
		tell(i);
		asked_ns[asked_cnt++ % SAMPLES] = now;
	}
	(void)t;
}

/* A revision holds all changes that were told when its compilation began; which is at least that of the verdict before. */
static void
look(void)
{
	struct sl_tables_revisions n;
	uint64_t now = uv_hrtime();

	sl_tables_revisions(f.daemon.tables, &n);
	if (n.active == revisions_seen)
		return;
	revisions_seen = n.active;
	const struct sl_table *a = sl_tables_active(f.daemon.tables);
	while (answered_cnt < asked_cnt && asked_ns[answered_cnt % SAMPLES] <= a->begun_ns) {
		if (measuring && took_cnt < SAMPLES)
			took_ms[took_cnt++] =
				(float)(now - asked_ns[answered_cnt % SAMPLES]) / 1e6f;
		answered_cnt++;
	}
}

static int
by_size(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static void
report(void)
{
	struct sl_tables_revisions n;
	double s = (double)(uv_hrtime() - measure_ns) / 1e9;

	sl_tables_revisions(f.daemon.tables, &n);
	qsort(took_ms, took_cnt, sizeof(*took_ms), by_size);
	print("cpu", (cpu_s(RUSAGE_SELF) - cpu_begun) / s, "cores");
	print("main", (cpu_s(RUSAGE_THREAD) - main_begun) / s, "cores");
	print("revisions", (double)(n.active - begun.active) / s, "1/s");
	print("refused", (double)(n.refused - begun.refused), "revisions");
	print("compile", n.compile_ms, "ms");
	if (!doubled) {
		print("check", n.check_ms, "ms");
		print("build", n.build_ms, "ms");
		print("swap", n.swap_ms, "ms");
	}
	if (!took_cnt)
		return;
	print("ms.p50", (double)took_ms[took_cnt / 2], "ms");
	print("ms.p99", (double)took_ms[took_cnt - 1 - took_cnt / 100], "ms");
	print("ms.most", (double)took_ms[took_cnt - 1], "ms");
}

/* The double, in a child, so that its work is not counted. */
static pid_t
child(void)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	static struct double_dp dp;
	uv_loop_t loop;
	uv_loop_init(&loop);
	double_start(&dp, &loop, f.conf.dataplane_socket, 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	_exit(0);
}

static void
begin(void)
{
	char *text = table();
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "bench", "text", text));

	free(text);
	if (strcmp(answer_text(a, "outcome"), "active") != 0) {
		char *dump = json_dumps(a, 0);
		fprintf(stderr, "bench_revise: %.2000s\n", dump);
		exit(1);
	}
	json_decref(a);
	for (unsigned i = 0; i < services; i++)
		tell(i);
}

static void
measure(void)
{
	uv_timer_t tick;

	uv_timer_init(&f.loop, &tick);
	due_ns = uv_hrtime() + 1000000000;
	measure_ns = due_ns + 1000000000;
	end_ns = measure_ns + seconds * 1000000000ull;
	uv_timer_start(&tick, on_tick, 0, 1);
	while (uv_hrtime() < end_ns) {
		uv_run(&f.loop, UV_RUN_ONCE);
		look();
		if (!measuring && uv_hrtime() >= measure_ns) {
			measuring = true;
			measure_ns = uv_hrtime();
			sl_tables_revisions(f.daemon.tables, &begun);
			cpu_begun = cpu_s(RUSAGE_SELF);
			main_begun = cpu_s(RUSAGE_THREAD);
		}
	}
	done = true;
	report();
	uv_timer_stop(&tick);
	uv_close((uv_handle_t *)&tick, NULL);
}

static bool
linked(struct fixture *x)
{
	return fixture_linked(x);
}

int
main(int argc, char **argv)
{
	pid_t pid = 0;
	int opt;

	while ((opt = getopt(argc, argv, "n:e:r:s:m:p:H")) != -1) {
		unsigned long n = optarg ? strtoul(optarg, NULL, 10) : 0;
		if (opt == 'n')
			services = (unsigned)SL_MIN(n, 1000ul);
		else if (opt == 'e')
			endpoints = (unsigned)SL_MIN(n, 60ul);
		else if (opt == 'r')
			rate = (unsigned)SL_MAX(n, 1ul);
		else if (opt == 's')
			seconds = (unsigned)n;
		else if (opt == 'm')
			most = (unsigned)n;
		else if (opt == 'p')
			policy = optarg;
		else if (opt == 'H')
			health = "health = { type = \"tcp\"; interval = \"1h\"; };";
		else
			return 2;
	}
	first = calloc(services, sizeof(*first));
	asked_ns = calloc(SAMPLES, sizeof(*asked_ns));
	took_ms = calloc(SAMPLES, sizeof(*took_ms));
	if (!first || !asked_ns || !took_ms)
		return 1;
	fixture_open(&f);
	if (optind < argc) {
		fixture_daemon_stop(&f);
		snprintf(f.conf.dataplane_socket, sizeof(f.conf.dataplane_socket), "%s",
			 argv[optind]);
		fixture_daemon_start(&f);
	} else {
		pid = child();
		doubled = true;
	}
	told_attach(&told, f.daemon.roster);
	if (!fixture_wait(&f, linked)) {
		fprintf(stderr, "bench_revise: no dataplane\n");
		return 1;
	}
	begin();
	measure();
	if (pid)
		kill(pid, SIGKILL);
	fixture_close(&f);
	return 0;
}
