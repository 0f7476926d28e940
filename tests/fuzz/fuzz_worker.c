/* Any bytes as a story: frames, time, pushes, state changes and turns of single workers, into a gateway of one to three
 * workers with small tables and small rings.  After each step its tables are consistent, and its buffers and packets all
 * accounted for; at the end everything comes back.
 *
 *   byte 0  workers − 1 (bits 0–1), RSS (bit 2), ring size 4, 16 or 64 (bits 3–4), port takes all or 3 (bit 5)
 *   then steps: kind and argument in one byte, what the kind needs after it (step() below)
 *
 * Frames come made (addresses, ports and flags drawn from few, so that flows meet), raw, or made with one byte changed. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/sim/frames.h"
#include "tests/sim/rig.h"
#include "tests/sim/table.h"

#define VIEWS 4
#define FLOWS 1024
#define FRAMES 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct story {
	const uint8_t *at, *end;
	struct rig *rig;
	unsigned workers;
	uint64_t now;
	unsigned view; /* VIEWS: none */
	uint64_t sent;
};

static struct table_view views[VIEWS];

static void
fail(const char *what)
{
	fprintf(stderr, "fuzz_worker: %s\n", what);
	abort();
}

/* Service s in mode nat or dsr with endpoints of a mask: what a push changes. */
static char *
table_text(unsigned variant)
{
	static const char *const forward[] = {"nat", "dsr", "nat", "nat"};
	static const char *const policy[] = {"maglev", "source_hash", "round_robin", "maglev"};
	struct table_text t = {0};

	table_append(&t, "gateway = { name = \"f\"; }; network = { addresses = ("
			 "{ port = \"front\"; address = \"10.0.1.1/24\"; },"
			 "{ port = \"front\"; address = \"fd00:1::1/64\"; },"
			 "{ port = \"back\"; address = \"10.0.2.1/24\"; },"
			 "{ port = \"back\"; address = \"fd00:2::1/64\"; } );"
			 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; },"
			 "{ prefix = \"::/0\"; via = \"fd00:1::fe\"; } ); }; services = (");
	for (unsigned s = 0; s < 4; s++) {
		unsigned f = (s + variant) % 4;
		table_append(&t,
			     "%s{ name = \"s%u\"; forward = \"%s\"; policy = \"%s\"; "
			     "panic_threshold = %u; max_endpoints = 3; endpoints = (",
			     s ? "," : "", s, forward[f], policy[f], f == 3 ? 50 : 0);
		for (unsigned e = 0; e < 3; e++)
			if (variant != 2 || e != s % 3)
				table_append(&t,
					     "%s{ name = \"e%u\"; address = \"%s1%u\"; port = 80; "
					     "priority = %u; }",
					     e && !(variant == 2 && e == 1 && s % 3 == 0) ? ","
											  : "",
					     e, s % 2 ? "fd00:2::" : "10.0.2.", e + (s > 1 ? 3 : 0),
					     f > 1 ? e % 2 : 0);
		table_append(&t, "); }");
	}
	table_append(&t, "); listeners = (");
	for (unsigned l = 0; l < 8; l++)
		if (variant != 3 || l != 5)
			table_append(
				&t,
				"%s{ name = \"l%u\"; address = \"%s%u\"; port = 80; protocol = "
				"\"%s\"; mode = \"l4\"; service = \"s%u\"; }",
				l ? "," : "", l, l / 2 % 2 ? "2001:db8::" : "192.0.2.", l / 2 + 1,
				l % 2 ? "udp" : "tcp", variant == 1 ? (l / 2 + 2) % 4 : l / 2);
	table_append(&t, ");");
	return t.buf;
}

static void
make_views(void)
{
	static struct table table;

	table_init(&table);
	for (unsigned i = 0; i < VIEWS; i++) {
		char *text = table_text(i);
		views[i] = table_push(&table, text);
		free(text);
		if (!views[i].view)
			fail("a table was refused");
	}
}

static unsigned
take(struct story *s)
{
	return s->at < s->end ? *s->at++ : 0;
}

static void
note_sent(void *ctx, unsigned port, const uint8_t *frame, unsigned len)
{
	struct story *s = ctx;

	(void)frame;
	if (port >= RIG_PORTS || len < 42 || len > RIG_FRAME)
		fail("a frame that cannot be was sent");
	s->sent++;
}

/* ---- invariants ---- */

static void
check(const struct story *s, bool tables)
{
	uint64_t in = 0, out = 0, full = 0, mine = 0;

	for (unsigned w = 0; w < s->workers; w++) {
		const struct sl_stats_worker *st = rig_stats(s->rig, w);
		uint64_t sum = 0;
		for (unsigned d = 0; d < SL_DROP_CNT; d++)
			sum += st->drop[d];
		if (sum != st->dropped)
			fail("dropped is not the sum of its reasons");
		in += st->rx_packets;
		out += st->forwarded + st->consumed + st->dropped;
		full += st->drop[SL_DROP_TX_FULL];
		mine += st->drop[SL_DROP_NO_BUFFER];
		const char *bad = tables ? sl_flow_check(rig_flows(s->rig, w)) : NULL;
		if (bad)
			fail(bad);
	}
	if (in + full + mine < out)
		fail("more packets were accounted for than came");
	if (tables && in + full + mine - out > rig_in_use(s->rig))
		fail("packets are missing");
}

/* ---- frames ---- */

static void
give(struct story *s, unsigned port, const uint8_t *frame, unsigned len)
{
	rig_inject(s->rig, port, frame, len);
}

/* One byte each: who and where, ports, flags. */
static void
made(struct story *s, bool damaged)
{
	static const uint8_t flags[] = {SL_TCP_SYN,
					SL_TCP_SYN | SL_TCP_ACK,
					SL_TCP_ACK,
					SL_TCP_FIN | SL_TCP_ACK,
					SL_TCP_RST,
					SL_TCP_RST | SL_TCP_ACK,
					SL_TCP_PSH | SL_TCP_ACK,
					SL_TCP_SYN};
	unsigned who = take(s), what = take(s);
	bool v6 = who & 1, reply = who & 2;
	struct sl_addr client = frame_addr(v6 ? "2001:db8:c::1" : "198.51.100.1");
	struct sl_addr other = reply ? frame_addr(v6 ? "fd00:2::10" : "10.0.2.10")
				     : frame_addr(v6 ? "2001:db8::1" : "192.0.2.1");
	uint8_t f[RIG_FRAME] = {0};

	client.b[15] = (uint8_t)(1 + (who >> 5));
	if (reply && !v6)
		other.b[15] = (uint8_t)(10 + (who >> 2 & 7));
	else if (reply)
		other.b[15] = (uint8_t)(0x10 + (who >> 2 & 7));
	else
		other.b[15] = (uint8_t)(1 + (who >> 2 & 3) + v6);
	sl_be16 high = sl_to_be16(1000 + (what >> 4)), low = sl_to_be16(80);
	struct frame_spec spec = {
		.t = {.src = reply ? other : client,
		      .dst = reply ? client : other,
		      .sport = reply ? low : high,
		      .dport = reply ? high : low,
		      .proto = what & 8 ? SL_IPPROTO_UDP : SL_IPPROTO_TCP},
		.tcp_flags = flags[what & 7],
		.smac = {2, 7, 7, 7, 7, 7},
	};
	memcpy(spec.dmac, rig_mac(s->rig, reply), 6);
	unsigned len = frame_make(&spec, f);
	if (damaged) {
		f[take(s) % len] ^= (uint8_t)(1 + take(s) % 255);
		len -= take(s) % 4 == 0;
	}
	give(s, reply, f, len);
}

static void
raw(struct story *s, unsigned port)
{
	unsigned said = take(s), len = SL_MIN(said, (unsigned)(s->end - s->at));
	uint8_t f[RIG_FRAME];

	memcpy(f, s->at, len);
	s->at += len;
	if (len >= 6 && len % 2)
		memcpy(f, rig_mac(s->rig, port), 6);
	give(s, port, f, len);
}

/* Many SYNs of new clients at once. */
static void
flood(struct story *s, unsigned cnt)
{
	unsigned from = take(s);
	uint8_t f[RIG_FRAME];

	for (unsigned i = 0; i < cnt * 8; i++) {
		struct frame_spec spec = {
			.t = {.src = frame_addr("9.0.0.0"),
			      .dst = frame_addr("192.0.2.1"),
			      .sport = sl_to_be16(2000 + i),
			      .dport = sl_to_be16(80),
			      .proto = i % 5 ? SL_IPPROTO_TCP : SL_IPPROTO_UDP},
			.tcp_flags = SL_TCP_SYN,
		};
		spec.t.src.b[15] = (uint8_t)from;
		spec.t.dst.b[15] = (uint8_t)(1 + i % 2 * 2);
		memcpy(spec.dmac, rig_mac(s->rig, 0), 6);
		give(s, 0, f, frame_make(&spec, f));
	}
}

/* A neighbour becomes known: the router, an endpoint, or a client. */
static void
neighbour(struct story *s, unsigned which)
{
	static const char *const rows[] = {"10.0.1.254", "fd00:1::fe", "10.0.2.10",  "10.0.2.11",
					   "10.0.2.12",  "fd00:2::10", "fd00:2::11", "fd00:2::13"};
	static const uint8_t mac[6] = {2, 6, 6, 6, 6, 6};
	struct sl_addr a = frame_addr(rows[which % 8]);

	rig_neighbour(s->rig, which % 8 > 1, &a, mac, s->now);
}

static void
set_state(struct story *s, unsigned arg)
{
	unsigned slot = take(s) % 12, flags = take(s);

	rig_states(s->rig)[slot].admin = sl_state_make(
		(uint16_t)(flags & 7), (uint8_t)(flags & 16 ? 255 : flags * 3), 1 + (arg & 1));
}

static void
push(struct story *s, unsigned which)
{
	s->view = which % (VIEWS + 1);
	rig_publish(s->rig, s->view < VIEWS ? views[s->view].view : NULL);
}

static void
step(struct story *s)
{
	unsigned op = take(s), arg = op >> 4;

	switch (op & 15) {
	case 0:
	case 1:
	case 2:
	case 3:
		made(s, false);
		break;
	case 4:
		made(s, true);
		break;
	case 5:
		raw(s, arg & 1);
		break;
	case 6:
		flood(s, arg);
		break;
	case 7:
		neighbour(s, arg);
		break;
	case 8:
		set_state(s, arg);
		break;
	case 9:
		push(s, arg);
		break;
	case 10:
	case 11:
		s->now += 1000ull << arg * 2; /* 1 us to 1,073 s */
		break;
	case 12:
		rig_turn_one(s->rig, arg % s->workers, s->now);
		break;
	default:
		rig_turn(s->rig, s->now);
	}
}

static void
finish(struct story *s)
{
	rig_settle(s->rig, s->now);
	s->now += 2000000000ull; /* nothing waits longer for a neighbour */
	for (unsigned i = 0; i < 3; i++)
		rig_settle(s->rig, s->now += 1000000);
	check(s, true);
	if (rig_in_use(s->rig))
		fail("buffers are not all back");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned rings[] = {4, 16, 64, 1024};
	struct story s = {.at = data, .end = data + SL_MIN(size, (size_t)4096), .now = 1000000000};

	if (!views[0].view)
		make_views();
	unsigned head = take(&s);
	struct rig_conf c = {
		.workers = 1 + (head & 3) % 3,
		.flows = FLOWS,
		.seed = 1,
		.rss = head & 4,
		.frames = FRAMES,
		.ring = rings[head >> 3 & 3],
		.tx_max = head & 32 ? 3 : 0,
	};
	s.workers = c.workers;
	s.rig = rig_create(&c, note_sent, &s);
	push(&s, 0);
	for (unsigned i = 0; i < 8; i++)
		neighbour(&s, i);
	for (unsigned n = 0; s.at < s.end; n++) {
		step(&s);
		check(&s, n % 16 == 0);
	}
	finish(&s);
	rig_destroy(s.rig);
	return 0;
}
