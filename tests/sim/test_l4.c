/* Packet in → packet out, for each mode, family and protocol, with 1, 2 and 3 workers, with and without RSS:
 * every byte of the answer is judged (addresses, ports, MACs, TTL, payload, all checksums recomputed). */
#include "tests/suite.h"

#include "dataplane/parse.h"
#include "tests/sim/frames.h"
#include "tests/sim/rig.h"
#include "tests/sim/table.h"

#define FRONT 0
#define BACK 1
#define SENT_MAX 4096

static const char TABLE[] =
	"gateway = { name = \"t\"; };\n"
	"network = { addresses = (\n"
	"  { port = \"front\"; address = \"10.0.1.1/24\"; }, { port = \"front\"; address = "
	"\"fd00:1::1/64\"; },\n"
	"  { port = \"back\"; address = \"10.0.2.1/24\"; }, { port = \"back\"; address = "
	"\"fd00:2::1/64\"; } );\n"
	"  routes = ( { prefix = \"0.0.0.0/0\"; via = \"10.0.1.254\"; },\n"
	"             { prefix = \"::/0\"; via = \"fd00:1::fe\"; } ); };\n"
	"services = (\n"
	"  { name = \"nat4\"; forward = \"nat\"; max_endpoints = 10; endpoints = (\n"
	"    { name = \"a\"; address = \"10.0.2.11\"; port = 8080; },\n"
	"    { name = \"b\"; address = \"10.0.2.12\"; port = 0; } ); },\n"
	"  { name = \"nat6\"; forward = \"nat\"; max_endpoints = 10; endpoints = (\n"
	"    { name = \"a\"; address = \"fd00:2::11\"; port = 8080; },\n"
	"    { name = \"b\"; address = \"fd00:2::12\"; port = 0; } ); },\n"
	"  { name = \"dsr4\"; forward = \"dsr\"; max_endpoints = 10; endpoints = (\n"
	"    { name = \"a\"; address = \"10.0.2.11\"; port = 80; },\n"
	"    { name = \"b\"; address = \"10.0.2.12\"; port = 80; } ); },\n"
	"  { name = \"dsr6\"; forward = \"dsr\"; max_endpoints = 10; endpoints = (\n"
	"    { name = \"a\"; address = \"fd00:2::11\"; port = 80; },\n"
	"    { name = \"b\"; address = \"fd00:2::12\"; port = 80; } ); },\n"
	"  { name = \"empty\"; forward = \"nat\"; endpoints = (); } );\n"
	"listeners = (\n"
#define L(n, a, p, s)                                                                              \
	"  { name = \"" n "\"; address = \"" a "\"; port = 80; protocol = \"" p                    \
	"\"; mode = \"l4\"; service = \"" s "\"; }"
	L("n4t", "192.0.2.1", "tcp", "nat4") ",\n" L("n4u", "192.0.2.1", "udp", "nat4") ",\n" L(
		"n6t", "2001:db8::1", "tcp",
		"nat6") ",\n" L("n6u", "2001:db8::1", "udp",
				"nat6") ",\n" L("d4t", "192.0.2.2", "tcp",
						"dsr4") ",\n" L("d4u", "192.0.2.2", "udp",
								"dsr4") ",\n" L("d6t",
										"2001:db8::2",
										"tcp",
										"dsr6") ",\n" L("d6"
												"u",
												"20"
												"01"
												":d"
												"b8"
												"::"
												"2",
												"ud"
												"p",
												"ds"
												"r"
												"6") ",\n" L("e4t",
													     "192.0.2.3",
													     "tcp",
													     "empty") " );\n";

struct sent {
	unsigned port, len;
	uint8_t frame[RIG_FRAME];
};

static struct sent sent[SENT_MAX];
static unsigned sent_cnt;
static struct rig *rig;
static struct table table;
static struct table_view view;
static uint64_t now;

static const uint8_t CLIENT_MAC[6] = {2, 9, 9, 9, 9, 1};
static const uint8_t A_MAC[6] = {2, 8, 8, 8, 8, 0xa};
static const uint8_t B_MAC[6] = {2, 8, 8, 8, 8, 0xb};

static void
note_sent(void *ctx, unsigned port, const uint8_t *frame, unsigned len)
{
	(void)ctx;
	if (sent_cnt == SENT_MAX)
		return;
	sent[sent_cnt].port = port;
	sent[sent_cnt].len = len;
	memcpy(sent[sent_cnt++].frame, frame, len);
}

static void
neighbours(void)
{
	static const struct {
		unsigned port;
		const char *addr;
		const uint8_t *mac;
	} rows[] = {
		{FRONT, "10.0.1.254", CLIENT_MAC}, {FRONT, "fd00:1::fe", CLIENT_MAC},
		{BACK, "10.0.2.11", A_MAC},        {BACK, "10.0.2.12", B_MAC},
		{BACK, "fd00:2::11", A_MAC},       {BACK, "fd00:2::12", B_MAC},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_addr a = frame_addr(rows[i].addr);
		rig_neighbour(rig, rows[i].port, &a, rows[i].mac, now);
	}
}

static void
start(unsigned workers, bool rss)
{
	struct rig_conf c = {.workers = workers, .flows = 16384, .seed = 42 + workers, .rss = rss};

	now = 1000000000ull;
	sent_cnt = 0;
	rig = rig_create(&c, note_sent, NULL);
	table_init(&table);
	view = table_push(&table, TABLE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(view.view);
	rig_publish(rig, view.view);
	neighbours();
	rig_settle(rig, now);
	sent_cnt = 0;
}

static void
stop(void)
{
	CU_ASSERT_EQUAL(rig_in_use(rig), 0);
	rig_destroy(rig);
	table_release(&view);
	table_fini(&table);
}

static struct frame_spec
packet(const char *src, unsigned sport, const char *dst, unsigned dport, uint8_t proto,
       uint8_t flags)
{
	struct frame_spec s = {
		.t = {.src = frame_addr(src),
		      .dst = frame_addr(dst),
		      .sport = sl_to_be16(sport),
		      .dport = sl_to_be16(dport),
		      .proto = proto},
		.tcp_flags = flags,
		.payload = 33,
		.seq = sport * 3 + 1,
	};
	return s;
}

/* Inject and settle; what came out. */
static unsigned
give(struct frame_spec *s, unsigned port)
{
	uint8_t f[2048];

	memcpy(s->dmac, rig_mac(rig, port), 6);
	memcpy(s->smac, port == FRONT ? CLIENT_MAC : A_MAC, 6);
	unsigned len = frame_make(s, f);
	sent_cnt = 0;
	CU_ASSERT_TRUE(rig_inject(rig, port, f, len));
	rig_settle(rig, now);
	return sent_cnt;
}

static bool
is_addr(const struct sl_addr *a, const char *text)
{
	struct sl_addr b = frame_addr(text);
	return sl_addr_eq(a, &b);
}

/* The sent frame carries the same payload and a TTL one less. */
static void
judge(const struct sent *o, const struct frame_spec *in, unsigned port)
{
	uint8_t f[2048];
	unsigned len = frame_make(in, f);
	bool v4 = sl_addr_is_v4(&in->t.dst);
	unsigned ttl = v4 ? 22 : 21;

	CU_ASSERT_PTR_NULL(frame_judge(o->frame, o->len));
	CU_ASSERT_EQUAL(o->len, len);
	CU_ASSERT_EQUAL(o->port, port);
	CU_ASSERT_EQUAL(o->frame[ttl], f[ttl] - 1);
	CU_ASSERT_EQUAL(memcmp(o->frame + 6, rig_mac(rig, port), 6), 0);
	CU_ASSERT_EQUAL(memcmp(o->frame + len - in->payload, f + len - in->payload, in->payload),
			0);
}

static const struct {
	unsigned workers;
	bool rss;
} shapes[] = {{1, false}, {1, true}, {2, false}, {2, true}, {3, false}, {3, true}};

static void
nat_case(bool v6, uint8_t proto)
{
	const char *vip = v6 ? "2001:db8::1" : "192.0.2.1";
	const char *client = v6 ? "2001:db8:c::%x" : "198.51.100.%u";
	unsigned seen[2] = {0, 0};

	for (unsigned i = 1; i <= 100; i++) {
		char src[64];
		snprintf(src, sizeof(src), client, i);
		struct frame_spec s = packet(src, 30000 + i, vip, 80, proto, SL_TCP_SYN);
		CU_ASSERT_EQUAL_FATAL(give(&s, FRONT), 1);
		judge(&sent[0], &s, BACK);
		struct sl_tuple t = frame_tuple(sent[0].frame);
		bool a = is_addr(&t.dst, v6 ? "fd00:2::11" : "10.0.2.11");
		seen[a]++;
		CU_ASSERT_TRUE(a || is_addr(&t.dst, v6 ? "fd00:2::12" : "10.0.2.12"));
		CU_ASSERT_EQUAL(t.dport, sl_to_be16(a ? 8080 : 80));
		CU_ASSERT_TRUE(sl_addr_eq(&t.src, &s.t.src) && t.sport == s.t.sport);
		CU_ASSERT_EQUAL(memcmp(sent[0].frame, a ? A_MAC : B_MAC, 6), 0);

		/* The reply comes back under the VIP's name. */
		struct frame_spec r = {.t = {.src = t.dst,
					     .dst = t.src,
					     .sport = t.dport,
					     .dport = t.sport,
					     .proto = proto},
				       .tcp_flags = SL_TCP_SYN | SL_TCP_ACK,
				       .payload = 99};
		CU_ASSERT_EQUAL_FATAL(give(&r, BACK), 1);
		judge(&sent[0], &r, FRONT);
		t = frame_tuple(sent[0].frame);
		CU_ASSERT_TRUE(sl_addr_eq(&t.src, &s.t.dst) && t.sport == s.t.dport);
		CU_ASSERT_TRUE(sl_addr_eq(&t.dst, &s.t.src) && t.dport == s.t.sport);
		CU_ASSERT_EQUAL(memcmp(sent[0].frame, CLIENT_MAC, 6), 0);
	}
	CU_ASSERT_TRUE(seen[0] > 20 && seen[1] > 20);
}

static void
nat_rewrites_both_ways_in_every_shape(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		start(shapes[i].workers, shapes[i].rss);
		nat_case(false, SL_IPPROTO_TCP);
		nat_case(false, SL_IPPROTO_UDP);
		nat_case(true, SL_IPPROTO_TCP);
		nat_case(true, SL_IPPROTO_UDP);
		for (unsigned d = 1; d < SL_DROP_CNT; d++)
			CU_ASSERT_EQUAL(rig_drops(rig, d), 0);
		stop();
	}
}

static void
dsr_case(bool v6, uint8_t proto)
{
	const char *vip = v6 ? "2001:db8::2" : "192.0.2.2";
	const char *client = v6 ? "2001:db8:c::%x" : "198.51.100.%u";

	for (unsigned i = 1; i <= 100; i++) {
		char src[64];
		snprintf(src, sizeof(src), client, i);
		struct frame_spec s = packet(src, 30000 + i, vip, 80, proto, SL_TCP_SYN);
		CU_ASSERT_EQUAL_FATAL(give(&s, FRONT), 1);
		judge(&sent[0], &s, BACK);
		struct sl_tuple t = frame_tuple(sent[0].frame);
		CU_ASSERT_EQUAL(memcmp(&t, &s.t, sizeof(t)), 0);
		bool a = memcmp(sent[0].frame, A_MAC, 6) == 0;
		CU_ASSERT_TRUE(a || memcmp(sent[0].frame, B_MAC, 6) == 0);
		/* The next packet of the flow goes the same way. */
		s.tcp_flags = SL_TCP_ACK;
		CU_ASSERT_EQUAL_FATAL(give(&s, FRONT), 1);
		CU_ASSERT_EQUAL(memcmp(sent[0].frame, a ? A_MAC : B_MAC, 6), 0);
	}
}

static void
dsr_changes_macs_and_ttl_alone(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		start(shapes[i].workers, shapes[i].rss);
		dsr_case(false, SL_IPPROTO_TCP);
		dsr_case(false, SL_IPPROTO_UDP);
		dsr_case(true, SL_IPPROTO_TCP);
		dsr_case(true, SL_IPPROTO_UDP);
		for (unsigned d = 1; d < SL_DROP_CNT; d++)
			CU_ASSERT_EQUAL(rig_drops(rig, d), 0);
		stop();
	}
}

/* The endpoint a flow gets depends on tuple, table and state alone, never on the number of workers. */
static void
every_shape_gives_the_same_answers(void)
{
	static uint8_t first[200];

	for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++) {
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 200; k++) {
			struct frame_spec s = packet("198.51.100.7", 20000 + k, "192.0.2.1", 80,
						     SL_IPPROTO_TCP, SL_TCP_SYN);
			CU_ASSERT_EQUAL_FATAL(give(&s, FRONT), 1);
			struct sl_tuple t = frame_tuple(sent[0].frame);
			if (i == 0)
				first[k] = t.dst.b[15];
			CU_ASSERT_EQUAL(t.dst.b[15], first[k]);
		}
		stop();
	}
}

static const struct {
	const char *src, *dst;
	unsigned dport;
	uint8_t proto, flags, ttl;
	unsigned port;
	enum sl_drop drop;
	const char *reason;
} refused[] = {
	{"198.51.100.1", "192.0.2.1", 81, 6, 2, 64, FRONT, SL_DROP_NO_LISTENER, "VIP, other port"},
	{"198.51.100.1", "192.0.2.3", 80, 17, 0, 64, FRONT, SL_DROP_NO_LISTENER,
	 "VIP, other protocol"},
	{"198.51.100.1", "10.0.1.1", 22, 6, 2, 64, FRONT, SL_DROP_NO_LISTENER, "own address"},
	{"198.51.100.1", "192.0.2.3", 80, 6, 2, 64, FRONT, SL_DROP_NO_ENDPOINT,
	 "service without endpoints"},
	{"198.51.100.1", "192.0.2.77", 80, 6, 2, 64, FRONT, SL_DROP_NO_FLOW, "no VIP, no flow"},
	{"10.0.2.11", "198.51.100.1", 4444, 6, 18, 64, BACK, SL_DROP_NO_FLOW, "stray reply"},
	{"198.51.100.1", "192.0.2.1", 80, 6, 2, 1, FRONT, SL_DROP_TTL, "TTL 1"},
	{"127.0.0.1", "192.0.2.1", 80, 6, 2, 64, FRONT, SL_DROP_MARTIAN, "loopback source"},
	{"198.51.100.1", "192.0.2.1", 80, 6, 3, 64, FRONT, SL_DROP_TCP_FLAGS, "SYN with FIN"},
	{"198.51.100.1", "192.0.2.1", 80, 6, 0, 64, FRONT, SL_DROP_TCP_FLAGS, "no flags"},
	{"198.51.100.1", "192.0.2.1", 80, 47, 2, 64, FRONT, SL_DROP_PROTOCOL, "GRE"},
};

static void
what_is_not_forwarded_is_counted_by_reason(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		start(w, false);
		for (unsigned i = 0; i < SL_ARRAY_CNT(refused); i++) {
			uint64_t before = rig_drops(rig, refused[i].drop);
			struct frame_spec s =
				packet(refused[i].src, 999, refused[i].dst, refused[i].dport,
				       refused[i].proto, refused[i].flags);
			s.ttl = refused[i].ttl;
			CU_ASSERT_EQUAL(give(&s, refused[i].port), 0);
			if (rig_drops(rig, refused[i].drop) != before + 1)
				printf("    %s: not counted as %s\n", refused[i].reason,
				       sl_drop_name(refused[i].drop));
			CU_ASSERT_EQUAL(rig_drops(rig, refused[i].drop), before + 1);
		}
		stop();
	}
}

static void
frames_for_other_stations_are_dropped(void)
{
	start(1, false);
	struct frame_spec s = packet("198.51.100.1", 5, "192.0.2.1", 80, 6, SL_TCP_SYN);
	uint8_t f[2048];
	unsigned len = frame_make(&s, f);
	memcpy(f, A_MAC, 6);
	CU_ASSERT_TRUE(rig_inject(rig, FRONT, f, len));
	memset(f, 0xff, 6);
	CU_ASSERT_TRUE(rig_inject(rig, FRONT, f, len));
	rig_settle(rig, now);
	CU_ASSERT_EQUAL(sent_cnt, 0);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_NOT_OURS), 2);
	stop();
}

static void
set_state(const char *service, const char *endpoint, unsigned flags, unsigned fraction)
{
	uint32_t slot = table_slot(view.view, service, endpoint);
	CU_ASSERT_NOT_EQUAL_FATAL(slot, UINT32_MAX);
	rig_states(rig)[slot].admin = sl_state_make((uint16_t)flags, (uint8_t)fraction,
						    view.view->hops[slot].incarnation);
}

static uint8_t
syn_to(unsigned sport, uint8_t flags)
{
	struct frame_spec s = packet("198.51.100.9", sport, "192.0.2.1", 80, 6, flags);
	return give(&s, FRONT) == 1 ? frame_tuple(sent[0].frame).dst.b[15] : 0;
}

static void
drain_keeps_flows_and_admits_none(void)
{
	start(2, false);
	uint8_t before[100];
	for (unsigned i = 0; i < 100; i++)
		before[i] = syn_to(1000 + i, SL_TCP_SYN);
	set_state("nat4", "a", SL_ST_DRAIN, SL_FRACTION_WHOLE);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(syn_to(1000 + i, SL_TCP_ACK), before[i]);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_EQUAL(syn_to(2000 + i, SL_TCP_SYN), 12);
	stop();
}

static void
disabled_endpoint_ends_its_flows(void)
{
	start(2, false);
	unsigned sport = 1000;
	while (syn_to(sport, SL_TCP_SYN) != 11)
		sport++;
	set_state("nat4", "a", SL_ST_DISABLED, SL_FRACTION_WHOLE);
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_ACK), 0);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_ENDPOINT_GONE), 1);
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_SYN), 12);
	stop();
}

static uint8_t
udp_to(unsigned sport)
{
	struct frame_spec s = packet("198.51.100.9", sport, "192.0.2.1", 80, 17, 0);
	return give(&s, FRONT) == 1 ? frame_tuple(sent[0].frame).dst.b[15] : 0;
}

/* A port that is used again must not lead to an endpoint that is out. */
static void
syn_on_a_dead_endpoints_flow_chooses_again(void)
{
	for (unsigned workers = 1; workers <= 2; workers++) {
		start(workers, false);
		unsigned sport = 1000;
		while (syn_to(sport, SL_TCP_SYN) != 11)
			sport++;
		set_state("nat4", "a", SL_ST_UNHEALTHY, SL_FRACTION_WHOLE);
		CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_ACK), 11); /* what is established goes on */
		CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_SYN), 12);
		CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_ACK), 12);
		stop();
	}
}

static void
syn_after_close_chooses_again_and_forged_syn_does_not(void)
{
	start(2, false);
	unsigned sport = 1000;
	while (syn_to(sport, SL_TCP_SYN) != 11)
		sport++;
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_ACK), 11);
	set_state("nat4", "a", SL_ST_DRAIN, SL_FRACTION_WHOLE);
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_SYN),
			11); /* forged, or a reboot: the endpoint's to answer */
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_FIN | SL_TCP_ACK), 11);
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_RST), 11);
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_SYN), 12);
	stop();
}

static void
udp_flow_leaves_a_dead_endpoint_and_stays_on_a_draining_one(void)
{
	start(2, false);
	unsigned sport = 1000;
	while (udp_to(sport) != 11)
		sport++;
	set_state("nat4", "a", SL_ST_DRAIN, SL_FRACTION_WHOLE);
	CU_ASSERT_EQUAL(udp_to(sport), 11);
	set_state("nat4", "a", SL_ST_UNHEALTHY, SL_FRACTION_WHOLE);
	CU_ASSERT_EQUAL(udp_to(sport), 12);
	set_state("nat4", "b", SL_ST_UNHEALTHY, SL_FRACTION_WHOLE);
	CU_ASSERT_EQUAL(udp_to(sport), 0); /* nobody is left */
	stop();
}

static void
all_endpoints_out_is_no_endpoint(void)
{
	start(1, false);
	set_state("nat4", "a", SL_ST_UNHEALTHY, SL_FRACTION_WHOLE);
	set_state("nat4", "b", SL_ST_DRAIN, SL_FRACTION_WHOLE);
	CU_ASSERT_EQUAL(syn_to(1, SL_TCP_SYN), 0);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_NO_ENDPOINT), 1);
	stop();
}

static void
fraction_admits_its_share(void)
{
	start(1, false);
	set_state("nat4", "a", 0, 64); /* a quarter of its half */
	unsigned a = 0;
	for (unsigned i = 0; i < 2000; i++)
		a += syn_to(1000 + i, SL_TCP_SYN) == 11;
	CU_ASSERT_TRUE(a > 150 && a < 500);
	stop();
}

static void
flows_stay_through_pushes(void)
{
	static uint8_t before[200];

	start(3, false);
	for (unsigned i = 0; i < 200; i++)
		before[i] = syn_to(1000 + i, SL_TCP_SYN);
	for (unsigned k = 0; k < 20; k++) {
		/* Another endpoint joins and leaves: Maglev's places move, flows do not. */
		char text[sizeof(TABLE) + 128];
		const char *at = strstr(TABLE, "    { name = \"b\"; address = \"10.0.2.12\"");
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - TABLE), TABLE,
			 k % 2 ? ""
			       : "{ name = \"c\"; address = \"10.0.2.13\"; port = 9; weight = 9; "
				 "},\n",
			 at);
		struct table_view old = view;
		view = table_push(&table, text);
		CU_ASSERT_PTR_NOT_NULL_FATAL(view.view);
		rig_publish(rig, view.view);
		table_release(&old);
		for (unsigned i = 0; i < 200; i++)
			CU_ASSERT_EQUAL(syn_to(1000 + i, SL_TCP_ACK), before[i]);
	}
	stop();
}

static void
flows_of_a_removed_endpoint_end(void)
{
	start(2, false);
	unsigned sport = 1000;
	while (syn_to(sport, SL_TCP_SYN) != 11)
		sport++;
	char text[sizeof(TABLE)];
	strcpy(text, TABLE);
	/* The name stays, the machine changes: a new incarnation. */
	memcpy(strstr(text, "10.0.2.11"), "10.0.2.12", 9);
	struct table_view old = view;
	view = table_push(&table, text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(view.view);
	rig_publish(rig, view.view);
	table_release(&old);
	CU_ASSERT_EQUAL(syn_to(sport, SL_TCP_ACK), 0);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_ENDPOINT_GONE), 1);
	stop();
}

static void
idle_flows_expire_on_both_workers(void)
{
	start(2, false);
	for (unsigned i = 0; i < 50; i++)
		CU_ASSERT_NOT_EQUAL(syn_to(1000 + i, SL_TCP_SYN), 0);
	uint32_t active = 0;
	struct sl_flow_usage u;
	for (unsigned w = 0; w < 2; w++) {
		sl_flow_usage(rig_flows(rig, w), &u);
		active += u.active;
	}
	CU_ASSERT_EQUAL(active, 100); /* two halves each */
	for (unsigned i = 0; i < 40 * 20; i++) {
		now += 50000000;
		rig_turn(rig, now);
	}
	for (unsigned w = 0; w < 2; w++) {
		sl_flow_usage(rig_flows(rig, w), &u);
		CU_ASSERT_EQUAL(u.active, 0);
		CU_ASSERT_PTR_NULL(sl_flow_check(rig_flows(rig, w)));
	}
	stop();
}

static void
two_vips_on_one_endpoint_and_client_port_conflict(void)
{
	/* The reply could not be told apart: the second flow is refused, the first goes on. */
	for (unsigned w = 1; w <= 2; w++) {
		start(w, false);
		char text[sizeof(TABLE)];
		strcpy(text, TABLE);
		memcpy(strstr(text, "service = \"empty\""), "service = \"nat4\" ", 17);
		struct table_view old = view;
		view = table_push(&table, text);
		CU_ASSERT_PTR_NOT_NULL_FATAL(view.view);
		rig_publish(rig, view.view);
		table_release(&old);
		unsigned conflicts = 0;
		for (unsigned i = 0; i < 40; i++) {
			uint8_t first = syn_to(3000 + i, SL_TCP_SYN);
			struct frame_spec s =
				packet("198.51.100.9", 3000 + i, "192.0.2.3", 80, 6, SL_TCP_SYN);
			unsigned out = give(&s, FRONT);
			bool same = out && frame_tuple(sent[0].frame).dst.b[15] == first;
			conflicts += !out;
			if (w == 1)
				CU_ASSERT_FALSE(same);
			CU_ASSERT_EQUAL(syn_to(3000 + i, SL_TCP_ACK), first);
		}
		if (w == 1)
			CU_ASSERT_TRUE(conflicts > 0);
		stop();
	}
}

static void
unresolved_next_hop_is_asked_for_and_packets_wait(void)
{
	struct rig_conf c = {.workers = 2, .flows = 4096, .seed = 7};

	now = 1000000000ull;
	sent_cnt = 0;
	rig = rig_create(&c, note_sent, NULL);
	table_init(&table);
	view = table_push(&table, TABLE);
	rig_publish(rig, view.view);
	struct frame_spec s = packet("198.51.100.1", 77, "192.0.2.1", 80, 6, SL_TCP_SYN);
	give(&s, FRONT);
	bool asked = false;
	for (unsigned i = 0; i < sent_cnt; i++)
		asked |= sent[i].frame[12] == 8 && sent[i].frame[13] == 6 && sent[i].port == BACK;
	now += 2000000;
	sent_cnt = 0;
	rig_settle(rig, now);
	for (unsigned i = 0; i < sent_cnt; i++)
		asked |= sent[i].frame[12] == 8 && sent[i].frame[13] == 6 && sent[i].port == BACK;
	CU_ASSERT_TRUE(asked);
	neighbours();
	now += 1000000;
	sent_cnt = 0;
	rig_settle(rig, now);
	unsigned forwarded = 0;
	for (unsigned i = 0; i < sent_cnt; i++)
		forwarded += sent[i].frame[12] == 8 && sent[i].frame[13] == 0;
	CU_ASSERT_EQUAL(forwarded, 1);
	stop();
}

static void
next_hop_that_never_answers_is_counted(void)
{
	struct rig_conf c = {.workers = 1, .flows = 4096, .seed = 7};

	now = 1000000000ull;
	rig = rig_create(&c, note_sent, NULL);
	table_init(&table);
	view = table_push(&table, TABLE);
	rig_publish(rig, view.view);
	struct frame_spec s = packet("198.51.100.1", 77, "192.0.2.1", 80, 6, SL_TCP_SYN);
	give(&s, FRONT);
	for (unsigned i = 0; i < 30; i++) {
		now += 50000000;
		rig_turn(rig, now);
	}
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_NEIGH_PENDING), 1);
	stop();
}

static void
larger_than_the_mtu_is_answered(void)
{
	struct rig_conf c = {.workers = 1, .flows = 4096, .seed = 7, .mtu = 576};

	now = 1000000000ull;
	rig = rig_create(&c, note_sent, NULL);
	table_init(&table);
	view = table_push(&table, TABLE);
	rig_publish(rig, view.view);
	neighbours();
	struct frame_spec s = packet("198.51.100.1", 77, "192.0.2.2", 80, 17, 0);
	s.payload = 576 - 28;
	CU_ASSERT_EQUAL(give(&s, FRONT), 1);
	CU_ASSERT_EQUAL(sent[0].port, BACK);
	s.payload++;
	CU_ASSERT_EQUAL(give(&s, FRONT), 1);
	CU_ASSERT_EQUAL(sent[0].port, FRONT);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_TOO_BIG), 1);
	stop();
}

static void
without_a_table_packets_are_dropped_as_such(void)
{
	struct rig_conf c = {.workers = 2, .flows = 4096, .seed = 7};

	now = 1000000000ull;
	rig = rig_create(&c, note_sent, NULL);
	struct frame_spec s = packet("198.51.100.1", 77, "192.0.2.2", 80, 17, 0);
	CU_ASSERT_EQUAL(give(&s, FRONT), 0);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_NO_TABLE), 1);
	CU_ASSERT_EQUAL(rig_in_use(rig), 0);
	rig_destroy(rig);
}

/* ---- explain ---- */

static uint64_t rnd_state = 1;

static uint32_t
rnd(uint32_t n)
{
	rnd_state = rnd_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((rnd_state >> 33) % n);
}

/* 10,000 random packets through explain and then through the real path: verdict, reason, endpoint and the packet as it
 * leaves agree each time. */
static void
explain_says_what_the_real_path_does(void)
{
	static const char *const v4[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.9",
					 "10.0.1.1"};
	static const char *const v6[] = {"2001:db8::1", "2001:db8::2", "2001:db8::9", "fd00:2::1"};

	for (unsigned w = 1; w <= 3; w++) {
		unsigned forwarded = 0, hits = 0;
		start(w, w == 2);
		for (unsigned i = 0; i < 10000; i++) {
			neighbours(); /* answer what the gateway may have asked */
			bool six = rnd(2);
			char src[64];
			snprintf(src, sizeof(src), six ? "2001:db8:c::%x" : "198.51.100.%u",
				 1 + rnd(20));
			uint8_t flags = rnd(3)   ? SL_TCP_SYN
					: rnd(8) ? SL_TCP_ACK
						 : SL_TCP_FIN | SL_TCP_ACK;
			struct frame_spec s =
				packet(src, 1024 + rnd(10), six ? v6[rnd(4)] : v4[rnd(5)],
				       rnd(10) ? 80 : 81, rnd(2) ? 6 : 17, flags);
			s.payload = 0;
			struct sl_explained e = rig_explain(rig, &s.t, flags, FRONT, now);
			uint64_t before = e.pkt.drop ? rig_drops(rig, e.pkt.drop) : 0;
			unsigned out = give(&s, FRONT);
			CU_ASSERT_EQUAL(e.generation, view.view->generation);
			if (e.pkt.verdict == SL_VERDICT_FORWARD) {
				forwarded++;
				hits += e.pkt.why == SL_WHY_FLOW;
				CU_ASSERT_EQUAL_FATAL(out, 1);
				struct sl_tuple t = frame_tuple(sent[0].frame);
				CU_ASSERT_EQUAL(memcmp(&t, &e.out, sizeof(t)), 0);
				CU_ASSERT_EQUAL(sent[0].port, e.pkt.port_out);
				bool a = memcmp(sent[0].frame, A_MAC, 6) == 0;
				CU_ASSERT_EQUAL(e.next.b[15],
						a ? 0x11 - (six ? 0 : 6) : 0x12 - (six ? 0 : 6));
			} else {
				CU_ASSERT_EQUAL(e.pkt.verdict, SL_VERDICT_DROP);
				CU_ASSERT_EQUAL(out, 0);
				CU_ASSERT_EQUAL(rig_drops(rig, e.pkt.drop), before + 1);
			}
			if (rnd(50) == 0)
				set_state("nat4", rnd(2) ? "a" : "b", rnd(3) ? 0 : SL_ST_DRAIN,
					  255 - rnd(3) * 100);
			now += rnd(20) * 1000000ull;
		}
		CU_ASSERT_TRUE(forwarded > 3000 && hits > 300);
		stop();
	}
}

static void
explain_changes_nothing(void)
{
	start(2, false);
	struct frame_spec s = packet("198.51.100.1", 77, "192.0.2.1", 80, 6, SL_TCP_SYN);
	for (unsigned i = 0; i < 100; i++)
		rig_explain(rig, &s.t, SL_TCP_SYN, FRONT, now);
	for (unsigned w = 0; w < 2; w++) {
		struct sl_flow_usage u;
		sl_flow_usage(rig_flows(rig, w), &u);
		CU_ASSERT_EQUAL(u.active, 0);
		CU_ASSERT_EQUAL(rig_stats(rig, w)->forwarded, 0);
		CU_ASSERT_EQUAL(rig_stats(rig, w)->dropped, 0);
	}
	CU_ASSERT_EQUAL(sent_cnt, 0);
	stop();
}

static struct sl_stats_port
port_counts(unsigned port)
{
	struct sl_stats_port sum = {0};

	for (unsigned w = 0; w < 2; w++) {
		const struct sl_stats_port *p = &sl_stats_ports(rig_stats_segment(rig), w)[port];
		sum.rx_packets += p->rx_packets;
		sum.tx_packets += p->tx_packets;
	}
	return sum;
}

static void
packets_of_a_trunk_are_their_ports(void)
{
	struct rig_conf c = {.workers = 2, .flows = 16384, .seed = 7, .trunk = true};
	uint8_t f[2048];

	now = 1000000000ull;
	rig = rig_create(&c, note_sent, NULL);
	table_init(&table);
	view = table_push(&table, TABLE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(view.view);
	rig_publish(rig, view.view);
	neighbours();
	rig_settle(rig, now);
	sent_cnt = 0;
	struct frame_spec s = packet("198.51.100.1", 77, "192.0.2.1", 80, 6, SL_TCP_SYN);
	memcpy(s.dmac, rig_mac(rig, FRONT), 6);
	memcpy(s.smac, CLIENT_MAC, 6);
	unsigned len = frame_make(&s, f);
	for (unsigned i = 0; i < 10; i++) { /* mixed in one burst */
		CU_ASSERT_TRUE(rig_inject_as(rig, FRONT, FRONT, f, len));
		CU_ASSERT_TRUE(rig_inject_as(rig, FRONT, SL_PORT_NONE, f, len));
		CU_ASSERT_TRUE(rig_inject_as(rig, FRONT, BACK, f, len)); /* its MAC is another */
	}
	rig_settle(rig, now);
	CU_ASSERT_EQUAL(sent_cnt, 10);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_VLAN), 10);
	CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_NOT_OURS), 10);
	CU_ASSERT_EQUAL(port_counts(FRONT).rx_packets, 20);
	CU_ASSERT_EQUAL(port_counts(BACK).rx_packets, 10);
	CU_ASSERT_EQUAL(port_counts(BACK).tx_packets, 10);
	stop();
}

static void
a_port_that_goes_takes_its_packets_along(void)
{
	for (unsigned rss = 0; rss < 2; rss++) {
		start(2, rss);
		struct frame_spec s = packet("198.51.100.1", 77, "192.0.2.2", 80, 6, SL_TCP_SYN);
		CU_ASSERT_EQUAL(give(&s, FRONT), 1);
		for (unsigned w = 0; w < 2; w++)
			sl_worker_unplug(rig_worker(rig, w), 1u << BACK);
		uint64_t sent_before = port_counts(BACK).tx_packets;
		CU_ASSERT_EQUAL(give(&s, FRONT), 0);
		CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_PORT_GONE), 1);
		CU_ASSERT_EQUAL(port_counts(BACK).tx_packets, sent_before);
		/* and nothing is received there any more, while the other one goes on */
		struct frame_spec echo = packet("198.51.100.9", 99, "192.0.2.3", 80, 6, SL_TCP_SYN);
		CU_ASSERT_EQUAL(give(&echo, FRONT), 0);
		CU_ASSERT_EQUAL(rig_drops(rig, SL_DROP_NO_ENDPOINT), 1);
		stop();
	}
}

SL_SUITE("l4", SL_TEST(nat_rewrites_both_ways_in_every_shape),
	 SL_TEST(dsr_changes_macs_and_ttl_alone), SL_TEST(every_shape_gives_the_same_answers),
	 SL_TEST(what_is_not_forwarded_is_counted_by_reason),
	 SL_TEST(frames_for_other_stations_are_dropped), SL_TEST(drain_keeps_flows_and_admits_none),
	 SL_TEST(disabled_endpoint_ends_its_flows),
	 SL_TEST(syn_on_a_dead_endpoints_flow_chooses_again),
	 SL_TEST(syn_after_close_chooses_again_and_forged_syn_does_not),
	 SL_TEST(udp_flow_leaves_a_dead_endpoint_and_stays_on_a_draining_one),
	 SL_TEST(all_endpoints_out_is_no_endpoint), SL_TEST(fraction_admits_its_share),
	 SL_TEST(flows_stay_through_pushes), SL_TEST(flows_of_a_removed_endpoint_end),
	 SL_TEST(idle_flows_expire_on_both_workers),
	 SL_TEST(two_vips_on_one_endpoint_and_client_port_conflict),
	 SL_TEST(unresolved_next_hop_is_asked_for_and_packets_wait),
	 SL_TEST(next_hop_that_never_answers_is_counted), SL_TEST(larger_than_the_mtu_is_answered),
	 SL_TEST(without_a_table_packets_are_dropped_as_such),
	 SL_TEST(explain_says_what_the_real_path_does), SL_TEST(explain_changes_nothing),
	 SL_TEST(packets_of_a_trunk_are_their_ports),
	 SL_TEST(a_port_that_goes_takes_its_packets_along))
