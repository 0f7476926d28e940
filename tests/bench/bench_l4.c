/* bench_l4 — one worker over ports of memory, for counting instructions of the pipeline without drivers:
 *
 *   valgrind --tool=callgrind --toggle-collect=sl_worker_turn bench_l4 MODE FAMILY FLOWS PACKETS
 *
 * MODE nat dsr fullnat ipip gue, FAMILY 4 or 6.  Opens FLOWS flows (SYN, then ACK), then sends PACKETS packets without
 * payload over them in turn, 32 a burst; alone it prints nanoseconds per packet of that second part. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/worker.h"
#include "tests/sim/frames.h"
#include "tests/sim/table.h"

#define BUFS 256
#define ROOM 256

static struct {
	uint8_t frame[BUFS][ROOM];
	unsigned next;
	uint8_t (*templates)[80]; /* of each flow */
	unsigned flows, at, left, len;
	uint64_t sent;
	uint8_t tcp_flags;
} bench;

static unsigned
rx(void *ctx, unsigned port, struct sl_pkt *pkts, unsigned max)
{
	unsigned n = SL_MIN(max, bench.left);

	(void)ctx;
	if (port != 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		uint8_t *f = bench.frame[bench.next++ % BUFS] + SL_HEADROOM;
		memcpy(f, bench.templates[bench.at], 80);
		bench.at = bench.at + 1 == bench.flows ? 0 : bench.at + 1;
		pkts[i].data = f;
		pkts[i].buf = f;
		pkts[i].len = (uint16_t)bench.len;
		pkts[i].port_in = 0;
		pkts[i].flags = SL_PKT_IP_CSUM_OK;
	}
	bench.left -= n;
	return n;
}

static unsigned
tx(void *ctx, unsigned port, const struct sl_txd *pkts, unsigned n)
{
	(void)ctx;
	(void)port;
	(void)pkts;
	bench.sent += n;
	return n;
}

static void *
no_alloc(void *ctx, uint8_t **ret_data)
{
	(void)ctx;
	*ret_data = bench.frame[bench.next++ % BUFS] + SL_HEADROOM;
	return *ret_data;
}

static void
no_free(void *ctx, void *const *bufs, unsigned n)
{
	(void)ctx;
	(void)bufs;
	(void)n;
}

static void *
zeroed(size_t bytes)
{
	void *p = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);

	if (!p)
		abort();
	return memset(p, 0, bytes);
}

static void
make_flows(bool v4, uint8_t tcp_flags)
{
	for (unsigned i = 0; i < bench.flows; i++) {
		uint8_t f[2048];
		struct frame_spec s = {
			.t = {.src = frame_addr(v4 ? "198.51.0.1" : "2001:db8:c::1"),
			      .dst = frame_addr(v4 ? "192.0.2.1" : "2001:db8::1"),
			      .sport = (sl_be16)(1024 + i % 50000),
			      .dport = sl_to_be16(80),
			      .proto = SL_IPPROTO_TCP},
			.dmac = {2, 0, 0, 0, 0, 0},
			.tcp_flags = tcp_flags,
		};
		s.t.src.b[14] = (uint8_t)(i / 50000);
		bench.len = frame_make(&s, f);
		memcpy(bench.templates[i], f, 80);
	}
}

static char *
table_text(const char *mode, bool v4)
{
	struct table_text t = {0};

	table_append(
		&t,
		"gateway = { name = \"b\"; }; network = { addresses = (\n"
		"{ port = \"front\"; address = \"10.0.1.1/24\"; }, { port = \"front\"; address = "
		"\"fd00:1::1/64\"; },\n{ port = \"back\"; address = \"10.0.2.1/24\"; }, { port = "
		"\"back\"; address = \"fd00:2::1/64\"; } );\nroutes = ( { prefix = \"0.0.0.0/0\"; "
		"via = "
		"\"10.0.1.254\"; }, { prefix = \"::/0\"; via = \"fd00:1::fe\"; } ); };\n");
	table_append(&t, "services = ( { name = \"s\"; forward = \"%s\"; %s%s%s endpoints = (\n",
		     mode, strcmp(mode, "fullnat") ? "" : "sources = ( \"",
		     strcmp(mode, "fullnat") ? ""
		     : v4                    ? "10.0.2.200"
					     : "fd00:2::200",
		     strcmp(mode, "fullnat") ? "" : "\" );");
	for (unsigned i = 0; i < 16; i++)
		table_append(&t, "%s{ name = \"e%u\"; address = \"%s%u\"; port = 80; }",
			     i ? "," : "", i, v4 ? "10.0.2." : "fd00:2::", 10 + i);
	table_append(
		&t,
		" ); } );\nlisteners = ( { name = \"l\"; address = \"%s\"; port = 80; protocol = "
		"\"tcp\"; mode = \"l4\"; service = \"s\"; } );\n",
		v4 ? "192.0.2.1" : "2001:db8::1");
	return t.buf;
}

static void
resolve(struct sl_neigh_table *neigh, bool v4)
{
	for (unsigned i = 0; i < 16; i++) {
		char text[32];
		snprintf(text, sizeof(text), v4 ? "10.0.2.%u" : "fd00:2::%u", 10 + i);
		struct sl_addr a = frame_addr(text);
		sl_neigh_heard(neigh, 1, &a, (const uint8_t[6]){2, 1, 1, 1, 1, (uint8_t)i}, true,
			       true, 1);
	}
}

static double
run(struct sl_worker *w, struct sl_view *view, unsigned packets, uint64_t *now)
{
	struct timespec a, b;

	bench.left = packets;
	clock_gettime(CLOCK_MONOTONIC, &a);
	while (bench.left)
		sl_worker_turn(w, view, *now += 1000);
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / packets;
}

int
main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "bench_l4 MODE FAMILY FLOWS PACKETS\n");
		return 2;
	}
	bool v4 = argv[2][0] == '4';
	const char *names[] = {"front", "back"};
	struct sl_worker_port ports[2] = {{.mac = {2, 0, 0, 0, 0, 0}, .mtu = 1500, .poll = true},
					  {.mac = {2, 0, 0, 0, 0, 1}, .mtu = 1500, .poll = true}};
	static struct sl_rss rss;
	static const uint8_t key[SL_RSS_KEY_BYTES] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
	struct sl_hash_key hash_key = {.b = {1, 2, 3}};
	uint64_t now = 1000000000;
	struct table table;

	bench.flows = (unsigned)atoi(argv[3]);
	uint32_t capacity = SL_MAX(65536u, 8 * bench.flows);
	bench.templates = calloc(bench.flows, sizeof(*bench.templates));
	sl_rss_init(&rss, key, 1);
	table_init(&table);
	char *text = table_text(argv[1], v4);
	struct table_view view = table_push(&table, text);
	free(text);
	if (!view.view)
		return 1;
	struct sl_worker_conf c = {
		.worker_cnt = 1,
		.port_cnt = 2,
		.ports = ports,
		.io = {.rx = rx, .tx = tx, .alloc = no_alloc, .free = no_free},
		.rss = &rss,
		.flows = sl_flow_init(zeroed(sl_flow_bytes(capacity, capacity)), capacity, capacity,
				      &hash_key),
		.neigh = sl_neigh_init(zeroed(sl_neigh_bytes())),
		.states = zeroed(sizeof(struct sl_state_word2) * SL_MAX_ENDPOINTS),
		.stats = zeroed(sl_stats_bytes(1, 2)),
	};
	sl_stats_init(c.stats, 1, 2, names, 1, 1000000000);
	struct sl_worker *w = sl_worker_init(zeroed(sl_worker_bytes()), &c);
	resolve(c.neigh, v4);
	make_flows(v4, SL_TCP_SYN);
	double opened = run(w, view.view, bench.flows, &now);
	make_flows(v4, SL_TCP_ACK);
	run(w, view.view, bench.flows, &now);
	double each = run(w, view.view, (unsigned)atoi(argv[4]), &now);
	const struct sl_stats_worker *st = sl_stats_worker(c.stats, 0);
	printf("{\"name\": \"l4.%s.v%s.%s\", \"value\": %.1f, \"unit\": \"ns\", \"open_ns\": %.1f, "
	       "\"flows\": %lu, \"dropped\": %lu}\n",
	       argv[1], argv[2], argv[3], each, opened, (unsigned long)st->flow_insert,
	       (unsigned long)st->dropped);
	return st->dropped != 0;
}
