/* bench_tcp — TCP and HTTP on the worker without a kernel: cycles of its turns, by TSC.
 *
 *   bench_tcp tcp|http [--quick]  every row below of that name, a JSON object a line: median of slices, spread
 *   bench_tcp ROW COUNT           one of them with COUNT connections (bulk: MB) after as many to warm up; for
 *                                 valgrind --tool=callgrind --toggle-collect=turn, which counts both
 *
 * What is measured is one call of turn() after another; what the peers do (ring.h) happens between them.  A turn that found
 * nothing to do is not counted, as in busy_ticks of the statistics. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <x86intrin.h>

#include "dataplane/outlier.h"
#include "dataplane/parse.h"
#include "dataplane/tcp/tcp.h"
#include "l7/limits.h"
#include "l7/relay.h"
#include "tests/bench/ring.h"
#include "tests/sim/frames.h"
#include "tests/sim/table.h"

#define STEP_NS 10000 /* of the virtual clock a turn: about what one takes */
#define AT_A_TIME 512 /* connections */
#define STREAMS 65536 /* as the boot file's default, and so are these: */
#define TIMEWAIT 65536
#define BLOCKS 32768
#define WINDOW (1 << 20)
#define ENDPOINTS 16
#define SLICES 401    /* short, so that most are not interrupted */
#define STUCK 2000000 /* turns in a row without an end of a connection */

struct row {
	const char *name;
	bool alone; /* the stack answers itself; else the whole worker relays */
	bool chatty, sum, bulk;
	bool http; /* requests on kept connections, by a route table; the rows count requests */
	unsigned routes;
};

static const struct row rows[] = {
	{.name = "tcp.ring.crc"},
	{.name = "tcp.ring.crc.linux", .chatty = true},
	{.name = "tcp.ring.crc.sum", .sum = true},
	{.name = "tcp.ring.crc.server", .alone = true},
	{.name = "tcp.ring.crc.server.linux", .alone = true, .chatty = true},
	{.name = "tcp.ring.gbps", .bulk = true},
	{.name = "tcp.ring.gbps.sum", .sum = true, .bulk = true},
	{.name = "http.ring.rps", .http = true, .routes = 1},
	{.name = "http.ring.rps.sum", .http = true, .routes = 1, .sum = true},
	{.name = "http.ring.rps.1k", .http = true, .routes = 1000},
};

static struct {
	const struct row *row;
	struct ring *ring;
	struct sl_tcp *tcp; /* alone */
	struct sl_worker *worker;
	struct table table;
	struct table_view view;
	void *stats;
	const uint64_t *count; /* [SL_TCP_CNT] */
	struct sl_neigh_table *neigh;
	uint64_t now;
	double tsc_hz;
} bench;

static const uint8_t rss_key[SL_RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static void *
zeroed(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || bytes == 0)
		abort();
	madvise(p, bytes, MADV_HUGEPAGE);
	return p;
}

/* ---- the stack alone ---- */

static void
served(struct sl_stream *s)
{
	static const uint8_t bytes[ANSWER];

	sl_stream_consume(s, sl_stream_readable_bytes(s));
	sl_stream_write(s, bytes, sizeof(bytes));
	sl_stream_close(s);
}

static void
ended(struct sl_stream *s, enum sl_stream_end why)
{
	(void)s;
	(void)why;
}

static const struct sl_stream_ops serve = {.readable = served, .closed = ended};

static enum sl_tcp_admit
admit(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret)
{
	(void)ctx;
	(void)p;
	*ret = (struct sl_tcp_accept){.ops = &serve, .nodelay = 1};
	return SL_ADMIT_YES;
}

static struct sl_tcp_way
way(void *ctx, const struct sl_addr *dst)
{
	(void)ctx;
	(void)dst;
	return (struct sl_tcp_way){
		.mtu = 1500, .offload = bench.row->sum ? 0 : SL_OFFLOAD_CSUM, .known = 1};
}

static void
send_out(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	 unsigned offload, unsigned mss)
{
	static const uint8_t ethernet[14] = {2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 0, 8, 0};

	(void)dst;
	(void)offload;
	(void)mss;
	memcpy(l3 - 14, ethernet, 14);
	ring_put(ctx, 0, buf, l3 - 14, len + 14);
}

static void
free_one(void *ctx, void *buf)
{
	ring_drop(ctx, buf);
}

static void
make_alone(struct ring *r, const struct sl_rss *rss)
{
	struct sl_stats_tcp *stats = zeroed(sizeof(*stats));
	struct sl_tcp_conf c = {
		.rss = rss,
		.seed = 1,
		.capacity = STREAMS,
		.timewait_cnt = TIMEWAIT,
		.half_open_max = STREAMS / 2,
		.seg_cnt = 4 * BLOCKS,
		.block_cnt = BLOCKS,
		.pinned_max = RING_FRAMES / 2,
		.rcv_max = WINDOW,
		.snd_max = WINDOW,
		.timewait_ms = 60000,
		.env = {r, ring_alloc, free_one, r->io.share, r->io.refs, r->io.held, way, send_out,
			admit},
		.stats = stats,
		.streams = zeroed(STREAMS * sl_tcp_stride()),
	};
	bench.tcp = sl_tcp_init(zeroed(sl_tcp_bytes(&c)), &c);
	bench.count = stats->count;
}

static unsigned
turn_alone(uint64_t now)
{
	struct ring *r = bench.ring;
	struct sl_pkt pkts[SL_BURST];
	unsigned n = r->io.rx(r, 0, pkts, SL_BURST);

	sl_tcp_begin(bench.tcp, now);
	for (unsigned i = 0; i < n; i++) {
		if (sl_parse(&pkts[i]) != SL_DROP_NONE)
			abort();
		pkts[i].hash = sl_tcp_hash(bench.tcp, &pkts[i].tuple);
		sl_tcp_prefetch(bench.tcp, pkts[i].hash);
	}
	for (unsigned i = 0; i < n; i++)
		sl_tcp_prefetch_entry(bench.tcp, pkts[i].hash);
	for (unsigned i = 0; i < n; i++)
		sl_tcp_input(bench.tcp, &pkts[i], pkts[i].hash,
			     sl_tcp_find(bench.tcp, pkts[i].hash, &pkts[i].tuple));
	return n + sl_tcp_run(bench.tcp);
}

/* ---- the worker ---- */

static const char request[] =
	"GET /api/v1/items/42?page=2 HTTP/1.1\r\nHost: shop.example\r\n" HTTP_HEADERS
	"x-env: canary-3\r\n\r\n";
static const char answer[] = HTTP_ANSWER;

static void
http_text(struct table_text *t)
{
	table_append(
		t, "route_tables = ( { name = \"t\"; access_log = false; hosts = ( { name = \"h\"; "
		   "match = ( \"shop.example\" ); routes = (\n");
	for (unsigned i = 0; i + 1 < bench.row->routes; i++)
		table_append(t,
			     "{ name = \"r%u\"; prefix = \"/api/v1/svc%u\"; service = \"s\"; },\n",
			     i, i);
	table_append(t, "{ name = \"last\"; prefix = \"/api\"; service = \"s\"; } ); } ); } );\n");
}

static char *
table_text(void)
{
	struct table_text t = {0};
	const char *to = bench.row->http ? "mode = \"http\"; routes = \"t\""
					 : "mode = \"tcp\"; service = \"s\"";

	table_append(&t, "gateway = { name = \"b\"; }; network = { addresses = (\n"
			 "{ port = \"front\"; address = \"10.0.1.1/24\"; },\n"
			 "{ port = \"back\"; address = \"10.0.2.1/24\"; } );\n"
			 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; } ); };\n"
			 "services = ( { name = \"s\"; forward = \"proxy\"; policy = "
			 "\"round_robin\"; endpoints = (\n");
	for (unsigned i = 0; i < ENDPOINTS; i++)
		table_append(&t, "%s{ name = \"e%u\"; address = \"10.0.2.%u\"; port = 80; }",
			     i ? "," : "", i, 10 + i);
	table_append(&t,
		     " ); } );\nlisteners = ( { name = \"l\"; address = \"192.0.2.1\"; port = "
		     "80; protocol = \"tcp\"; %s; } );\n",
		     to);
	if (bench.row->http)
		http_text(&t);
	return t.buf;
}

/* As if they answered the worker's questions. */
static void
resolve(struct sl_neigh_table *neigh, uint64_t now)
{
	struct sl_addr gate = frame_addr("10.0.1.254");

	sl_neigh_heard(neigh, 0, &gate, (const uint8_t[6]){2, 0, 0, 0, 1, 0}, true, true, now);
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		char text[32];
		snprintf(text, sizeof(text), "10.0.2.%u", 10 + i);
		struct sl_addr a = frame_addr(text);
		sl_neigh_heard(neigh, 1, &a, (const uint8_t[6]){2, 0, 0, 0, 1, 1}, true, true, now);
	}
}

static struct sl_worker_tcp
worker_tcp(void)
{
	struct sl_worker_tcp t = {
		.streams = STREAMS,
		.timewait_cnt = TIMEWAIT,
		.half_open_max = STREAMS / 2,
		.seg_cnt = 4 * BLOCKS,
		.block_cnt = BLOCKS,
		.pinned_max = RING_FRAMES / 2,
		.rcv_max = WINDOW,
		.snd_max = WINDOW,
		.places = zeroed(STREAMS * sl_tcp_stride()),
		.limits = zeroed(sizeof(struct sl_relay_limits)),
	};

	t.mem = zeroed(sl_worker_tcp_bytes(&t));
	return t;
}

static struct sl_worker_http
worker_http(void)
{
	struct sl_worker_http h = {
		.conns = STREAMS,
		.exchanges = STREAMS / 4,
		.pool = STREAMS / 4,
		.head_bytes = 16 << 20,
		.ledger = zeroed(sizeof(struct sl_ledger)),
		.outliers = zeroed(sizeof(struct sl_outlier_counts)),
		.loads = {zeroed(SL_MAX_ENDPOINTS * sizeof(uint32_t))},
	};

	h.mem = zeroed(sl_worker_http_bytes(&h));
	return h;
}

static void
make_worker(struct ring *r, const struct sl_rss *rss)
{
	const char *names[] = {"front", "back"};
	struct sl_hash_key hash_key = {.b = {1, 2, 3}};
	struct sl_worker_port ports[2] = {{.mtu = 1500, .poll = true}, {.mtu = 1500, .poll = true}};
	uint32_t flows = 1024;

	for (unsigned p = 0; p < 2; p++) {
		memcpy(ports[p].mac, r->mac[p], 6);
		ports[p].offload = bench.row->sum ? 0 : SL_OFFLOAD_CSUM;
	}
	struct sl_worker_conf c = {
		.worker_cnt = 1,
		.port_cnt = 2,
		.ports = ports,
		.io = r->io,
		.rss = rss,
		.flows = sl_flow_init(zeroed(sl_flow_bytes(flows, flows)), flows, flows, &hash_key),
		.neigh = sl_neigh_init(zeroed(sl_neigh_bytes())),
		.states = zeroed(sizeof(struct sl_state_word2) * SL_MAX_ENDPOINTS),
		.stats = zeroed(sl_stats_bytes(1, 2)),
		.seed = 1,
		.tcp = worker_tcp(),
	};
	if (bench.row->http) {
		c.http = worker_http();
		r->request.text = request;
		r->request.len = sizeof(request) - 1;
		r->answer.text = answer;
		r->answer.len = sizeof(answer) - 1;
	}
	sl_stats_init(c.stats, 1, 2, names, 1, 1000000000);
	bench.worker = sl_worker_init(zeroed(sl_worker_bytes()), &c);
	bench.count = sl_stats_worker(c.stats, 0)->tcp.count;
	bench.neigh = c.neigh;
	resolve(c.neigh, bench.now);
	table_init(&bench.table);
	char *text = table_text();
	bench.view = table_push(&bench.table, text);
	free(text);
	if (!bench.view.view)
		exit(1);
}

/* ---- measuring ---- */

/* Its name is what callgrind is told. */
unsigned turn(uint64_t now);

__attribute__((noinline)) unsigned
turn(uint64_t now)
{
	return bench.row->alone ? turn_alone(now)
				: sl_worker_turn(bench.worker, bench.view.view, now);
}

static void
make(const struct row *row)
{
	static struct sl_rss rss;
	static const uint8_t macs[2][6] = {{2, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 1}};
	struct ring *r = bench.ring = ring_create();

	bench.row = row;
	bench.now = 1000000000;
	sl_rss_init(&rss, rss_key, 1);
	r->chatty = row->chatty;
	r->sum = row->sum;
	r->bulk = row->bulk;
	memcpy(r->mac, macs, sizeof(macs));
	memcpy(r->vip, (const uint8_t[4]){192, 0, 2, 1}, 4);
	r->vport = sl_to_be16(80);
	if (row->alone)
		make_alone(r, &rss);
	else
		make_worker(r, &rss);
}

static void
stuck(void)
{
	const struct ring *r = bench.ring;

	fprintf(stderr,
		"%s: stands still: %lu begun, %lu done, %lu reset, %lu bytes, %u frames held\n",
		bench.row->name, r->begun, r->done, r->reset, r->bytes, r->used);
	for (unsigned i = 0; i < SL_TCP_CNT; i++)
		if (bench.count[i])
			fprintf(stderr, "  %s %lu\n", sl_tcp_counter_name(i), bench.count[i]);
	exit(1);
}

/* Connections that are over, or bytes of bulk. */
static uint64_t
amount(void)
{
	return bench.row->bulk ? bench.ring->bytes : bench.ring->done;
}

/* How often others had the CPU. */
static long
switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nivcsw;
}

/* Turns until `much` more is done; cycles.  Turns in which the CPU was taken away count as much as the others. */
static double
run(uint64_t much)
{
	uint64_t until = amount() + much, cycles = 0, turns = 0, whole = 0;

	for (unsigned still = 0; amount() < until; still++) {
		uint64_t before = amount();
		long had = switches();
		uint64_t t0 = __rdtsc();
		unsigned did = turn(bench.now += STEP_NS);
		uint64_t t1 = __rdtsc();
		turns += did > 0;
		if (did && switches() == had) {
			whole++;
			cycles += t1 - t0;
		}
		ring_peers(bench.ring, bench.now, true);
		if (bench.neigh && bench.now % 1000000000 == 0)
			resolve(bench.neigh, bench.now);
		if (amount() > before)
			still = 0;
		if (still > STUCK)
			stuck();
	}
	return whole ? (double)cycles / (double)whole * (double)turns : 0;
}

static void
put_row(const char *name, const char *more, double value, const char *unit, double spread)
{
	printf("{\"name\": \"%s%s\", \"value\": %.4f, \"unit\": \"%s\", \"spread\": %.4f}\n", name,
	       more, value, unit, spread);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
begin(uint64_t much)
{
	ring_begin(bench.ring, bench.row->bulk ? RING_BULK : AT_A_TIME);
	run(much);
}

static void
measure(const struct row *row, unsigned slices)
{
	uint64_t much = row->bulk ? 2000000 : 1000; /* some milliseconds */
	double each[SLICES];

	make(row);
	begin(much * (row->bulk ? 50 : 100));
	uint64_t packets = bench.ring->in + bench.ring->out;
	for (unsigned i = 0; i < slices; i++)
		each[i] = run(much) / (double)much;
	packets = bench.ring->in + bench.ring->out - packets;
	if (bench.ring->reset || bench.count[SL_TCP_RETRANS] > amount() / 1000 + 1)
		stuck(); /* not what was to be measured */
	qsort(each, slices, sizeof(*each), by_value);
	double median = each[slices / 2];
	double spread = (each[slices * 3 / 4] - each[slices / 4]) / 2 / median;
	double pkts = (double)packets / (double)(much * slices);
	if (row->bulk) {
		put_row(row->name, "", bench.tsc_hz / median * 8e-9, "Gbit/s", spread);
	} else {
		put_row(row->name, "", bench.tsc_hz / median, row->http ? "requests/s" : "conn/s",
			spread);
		put_row(row->name, ".cycles", median, row->http ? "cycles/request" : "cycles/conn",
			spread);
		put_row(row->name, ".packets", pkts, row->http ? "packets/request" : "packets/conn",
			0);
	}
	put_row(row->name, ".cycles.packet", median / pkts, "cycles/packet", spread);
	fflush(stdout);
}

/* What is set aside at boot for one connection more, of two streams: in the region, the stack and the relay. */
static void
reserved(void)
{
	struct sl_worker_tcp a = {.streams = 1 << 16,
				  .timewait_cnt = 1024,
				  .half_open_max = 16,
				  .seg_cnt = 4096,
				  .block_cnt = 1024,
				  .rcv_max = WINDOW,
				  .snd_max = WINDOW},
			     b = a;
	struct sl_tcp_conf c = {.capacity = 1 << 16,
				.timewait_cnt = 1024,
				.half_open_max = 16,
				.seg_cnt = 4096,
				.block_cnt = 1024,
				.rcv_max = WINDOW,
				.snd_max = WINDOW},
			   d = c;

	b.streams = d.capacity = 1 << 17;
	double stack = (double)(sl_tcp_bytes(&d) - sl_tcp_bytes(&c)) / (1 << 16);
	double both = (double)(sl_worker_tcp_bytes(&b) - sl_worker_tcp_bytes(&a)) / (1 << 16);
	double place = (double)sl_tcp_stride();

	put_row("tcp.idle.reserved", "", 2 * (place + both), "bytes", 0);
	put_row("tcp.idle.reserved", ".stream", place + stack, "bytes", 0);
}

static double
measure_tsc(void)
{
	struct timespec a, b, nap = {.tv_nsec = 50000000};

	clock_gettime(CLOCK_MONOTONIC, &a);
	uint64_t t0 = __rdtsc();
	nanosleep(&nap, NULL);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (double)(__rdtsc() - t0) /
	       ((double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9);
}

int
main(int argc, char **argv)
{
	bool tcp = argc >= 2 && !strcmp(argv[1], "tcp"),
	     http = argc >= 2 && !strcmp(argv[1], "http");
	bool quick = (tcp || http) && argc == 3 && !strcmp(argv[2], "--quick");

	bench.tsc_hz = measure_tsc();
	if ((tcp || http) && (argc == 2 || quick)) {
		for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
			if (rows[i].http == http)
				measure(&rows[i], quick ? 100 : SLICES);
		if (tcp)
			reserved();
		return 0;
	}
	for (unsigned i = 0; argc == 3 && i < SL_ARRAY_CNT(rows); i++) {
		if (strcmp(argv[1], rows[i].name))
			continue;
		uint64_t much = (uint64_t)atol(argv[2]) * (rows[i].bulk ? 1000000 : 1);
		make(&rows[i]);
		begin(much);
		double cycles = run(much);
		put_row(rows[i].name, "", cycles / (double)much,
			rows[i].bulk ? "cycles/byte" : "cycles/conn", 0);
		return 0;
	}
	fprintf(stderr, "bench_tcp tcp|http [--quick]\nbench_tcp ROW COUNT\nrows:");
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		fprintf(stderr, " %s", rows[i].name);
	fprintf(stderr, "\n");
	return 2;
}
