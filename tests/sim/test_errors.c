/* ICMP errors through the gateway: every mode, both families and protocols, short and long quotes, both directions, 1 to 3
 * workers.  What leaves is compared byte by byte with the error that its new author would have made. */
#include "tests/suite.h"

#include "tests/dataplane/quotes.h"
#include "tests/sim/bed.h"

enum { NAT, DSR, FULLNAT, IPIP, GUE, MODES };
static const char *const vips[2][MODES] = {
	{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"},
	{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"},
};
static const char *const clients[2] = {"2001:db8:c::7", "198.51.100.7"};
static const char *const routers[2] = {"2001:db8:9::9", "203.0.113.9"};
static const struct {
	unsigned workers;
	bool rss;
} shapes[] = {{1, false}, {2, false}, {3, false}, {2, true}, {3, true}};

static char *
all_modes(void)
{
	static const char *const extra[] = {"forward = \"fullnat\"; sources = [ \"%s200\" ];",
					    "forward = \"ipip\";", "forward = \"gue\";"};
	struct table_text more = {0}, ls = {0};

	for (unsigned i = 0; i < 6; i++) {
		const char *net = i & 1 ? "10.0.2." : "fd00:2::";
		char forward[80];
		snprintf(forward, sizeof(forward), extra[i / 2], net);
		table_append(&more,
			     ",{ name = \"e%u\"; max_endpoints = 10; %s endpoints = "
			     "( { name = \"a\"; address = \"%s11\"; port = %u; }, "
			     "{ name = \"b\"; address = \"%s12\"; port = %u; } ); }\n",
			     i, forward, net, i < 2 ? 8080 : 80, net, i < 2 ? 8080 : 80);
		for (unsigned udp = 0; udp < 2; udp++)
			table_append(&ls,
				     ",{ name = \"l%u%u\"; address = \"%s\"; port = 80; protocol = "
				     "\"%s\"; mode = \"l4\"; service = \"e%u\"; }\n",
				     i, udp, vips[i & 1][2 + i / 2], udp ? "udp" : "tcp", i);
	}
	table_append(&ls, ", { name = \"wide\"; address = \"203.0.114.0/24\"; port = 80; "
			  "protocol = \"udp\"; "
			  "mode = \"l4\"; service = \"dsr4\"; }");
	char *text = bed_table(more.buf, ls.buf);
	free(more.buf);
	free(ls.buf);
	return text;
}

static void
start(unsigned shape)
{
	struct rig_conf c = {.workers = shapes[shape].workers,
			     .rss = shapes[shape].rss,
			     .flows = 4096,
			     .seed = 77 + shape};
	char *text = all_modes();

	bed_start(&c, text);
	free(text);
}

/* A flow of that mode; what its first packet was turned into. */
static struct bed_frame
open_flow(unsigned mode, bool v4, uint8_t proto, unsigned sport)
{
	struct frame_spec s = bed_packet(clients[v4], sport, vips[v4][mode], 80, proto, SL_TCP_SYN);

	CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
	return bed.sent[0];
}

static unsigned
give_error(const struct quote_spec *s, unsigned port)
{
	static const uint8_t from[6] = {2, 9, 9, 9, 9, 9};
	uint8_t f[RIG_FRAME];
	unsigned len = quote_make(s, rig_mac(bed.rig, port), from, f);

	bed_clear();
	CU_ASSERT_TRUE(rig_inject(bed.rig, port, f, len));
	rig_settle(bed.rig, bed.now);
	return bed.sent_cnt;
}

static uint64_t
passed_on(void)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		n += rig_stats(bed.rig, w)->icmp_error;
	return n;
}

/* The frame that was sent is that error; with an outer header of `skip` bytes before it. */
static bool
is_error(const struct quote_spec *s, const uint8_t dmac[6], const uint8_t smac[6], unsigned skip)
{
	const struct bed_frame *f = &bed.sent[0];
	uint8_t want[RIG_FRAME];
	unsigned len = quote_make(s, dmac, smac, want);

	if (bed.sent_cnt != 1 || f->len != len + skip || memcmp(f->bytes, want, 12) != 0)
		return false;
	if (memcmp(f->bytes + 14 + skip, want + 14, len - 14) == 0)
		return true;
	for (unsigned i = 14; i < len; i++)
		if (f->bytes[i + skip] != want[i])
			printf("  byte %u is %02x, not %02x\n", i, f->bytes[i + skip], want[i]);
	return false;
}

static struct quote_spec
complaint(bool v4, const char *from, const char *to, const struct sl_tuple *about, bool brief)
{
	return (struct quote_spec){
		.from = from,
		.to = to,
		.type = v4 ? 3 : 2,
		.code = v4 ? 4 : 0,
		.rest = {0, 0, 5, 0x14},
		.about = {.t = *about, .tcp_flags = SL_TCP_ACK, .payload = 400, .ttl = 50},
		.l4_bytes = brief ? 8 : 0,
	};
}

static struct sl_tuple
turned(struct sl_tuple t)
{
	return (struct sl_tuple){
		.src = t.dst, .dst = t.src, .sport = t.dport, .dport = t.sport, .proto = t.proto};
}

static struct sl_tuple
flow_tuple(unsigned mode, bool v4, uint8_t proto, unsigned sport)
{
	return bed_packet(clients[v4], sport, vips[v4][mode], 80, proto, 0).t;
}

/* A router between the gateway and the client complains about what the endpoint sent. */
static void
towards_the_endpoint(unsigned mode, bool v4, uint8_t proto, unsigned sport, bool brief)
{
	struct bed_frame first = open_flow(mode, v4, proto, sport);
	struct sl_tuple t = flow_tuple(mode, v4, proto, sport), back = turned(t);
	struct quote_spec s = complaint(v4, routers[v4], vips[v4][mode], &back, brief), want;
	char endpoint[SL_ADDR_STRLEN];
	uint64_t before = passed_on();
	unsigned skip = 0;

	give_error(&s, BED_FRONT);
	want = s;
	want.ttl = 63;
	if (mode == NAT || mode == FULLNAT) {
		struct sl_tuple sent = frame_tuple(first.bytes);
		want.about.t = turned(sent);
		want.to = sl_addr_format(&sent.dst, endpoint);
	} else if (mode != DSR) {
		skip = (v4 ? 20 : 40) + (mode == GUE ? 12 : 0);
		/* the same outer addresses as the flow's packets have */
		CU_ASSERT_EQUAL(memcmp(bed.sent[0].bytes + (v4 ? 26 : 22),
				       first.bytes + (v4 ? 26 : 22), v4 ? 8 : 32),
				0);
	}
	CU_ASSERT_EQUAL(bed.sent[0].port, BED_BACK);
	CU_ASSERT_TRUE(is_error(&want, first.bytes, first.bytes + 6, skip));
	CU_ASSERT_EQUAL(passed_on(), before + 1);
}

/* A router behind the gateway, or the endpoint itself, complains about what the gateway sent there. */
static void
towards_the_client(unsigned mode, bool v4, uint8_t proto, unsigned sport, bool brief, bool itself)
{
	struct bed_frame first = open_flow(mode, v4, proto, sport);
	struct sl_tuple t = flow_tuple(mode, v4, proto, sport), sent = frame_tuple(first.bytes);
	struct sl_addr hop = frame_addr(v4 ? "10.0.1.254" : "fd00:1::fe");
	char endpoint[SL_ADDR_STRLEN], source[SL_ADDR_STRLEN];
	uint8_t mac[6];

	sl_addr_format(&sent.dst, endpoint);
	sl_addr_format(&sent.src, source);
	bed_mac(&hop, mac);
	struct quote_spec s = complaint(v4, itself ? endpoint : routers[v4], source, &sent, brief);
	give_error(&s, BED_BACK);
	struct quote_spec want = s;
	want.ttl = 63;
	want.about.t = t;
	want.to = clients[v4];
	want.from = itself ? vips[v4][mode] : routers[v4];
	CU_ASSERT_EQUAL(bed.sent[0].port, BED_FRONT);
	CU_ASSERT_TRUE(is_error(&want, mac, rig_mac(bed.rig, BED_FRONT), 0));
}

static void
errors_reach_the_endpoint_in_every_mode(void)
{
	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < MODES * 8 * 4; i++)
			towards_the_endpoint(i % MODES, i / MODES & 1, i / MODES & 2 ? 6 : 17,
					     20000 + i, i / MODES & 4);
		bed_stop();
	}
}

static void
errors_reach_the_client_translated_back(void)
{
	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < 32 * 3; i++)
			towards_the_client(i & 1 ? NAT : FULLNAT, i & 2, i & 4 ? 6 : 17, 30000 + i,
					   i & 8, i & 16);
		bed_stop();
	}
}

/* Where the first packet of a flow would go, and nothing is remembered. */
static void
without_a_flow_the_choice_decides_where_it_is_agreed(void)
{
	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < MODES * 2 * 8; i++) {
			unsigned mode = i % MODES, sport = 40000 + i;
			bool v4 = i / MODES & 1;
			struct sl_tuple t = flow_tuple(mode, v4, 6, sport), back = turned(t);
			struct quote_spec s =
				complaint(v4, routers[v4], vips[v4][mode], &back, true);
			uint64_t dropped = rig_drops(bed.rig, SL_DROP_ICMP_ERROR);
			uint32_t active = bed_active();
			unsigned n = give_error(&s, BED_FRONT);
			CU_ASSERT_EQUAL(bed_active(), active);
			if (mode == NAT || mode == FULLNAT) {
				CU_ASSERT_EQUAL(n, 0);
				CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_ICMP_ERROR),
						dropped + 1);
				continue;
			}
			CU_ASSERT_EQUAL_FATAL(n, 1);
			struct bed_frame f = bed.sent[0], first = open_flow(mode, v4, 6, sport);
			CU_ASSERT_EQUAL(memcmp(f.bytes, first.bytes, 12), 0);
		}
		bed_stop();
	}
}

static void
an_error_does_not_keep_a_flow_alive(void)
{
	start(0);
	struct bed_frame first = open_flow(NAT, true, 17, 5000);
	struct sl_tuple t = flow_tuple(NAT, true, 17, 5000), back = turned(t);
	struct sl_tuple sent = frame_tuple(first.bytes), reply = turned(sent);
	struct quote_spec s = complaint(true, routers[1], vips[1][NAT], &back, true);
	struct quote_spec r = complaint(true, routers[1], clients[1], &sent, true);
	CU_ASSERT_TRUE(bed_has(&t) && bed_has(&reply));
	for (unsigned i = 0; i < 9; i++) {
		give_error(&s, BED_FRONT);
		give_error(&r, BED_BACK);
		bed_wait(4 * BED_S);
	}
	CU_ASSERT_FALSE(bed_has(&t) || bed_has(&reply));
	bed_stop();
}

static void
an_error_that_cannot_be_is_dropped_with_its_reason(void)
{
	static const struct {
		const char *from, *to, *src, *dst;
		uint8_t ttl, type;
		enum sl_drop why;
	} rows[] = {
		{"203.0.113.9", "192.0.2.2", "192.0.2.2", "198.51.100.7", 1, 3, SL_DROP_TTL},
		{"203.0.113.9", "192.0.2.4", "192.0.2.2", "198.51.100.7", 0, 3, SL_DROP_ICMP_ERROR},
		{"192.0.2.1", "192.0.2.2", "192.0.2.2", "198.51.100.7", 0, 3, SL_DROP_MARTIAN},
		{"10.0.1.1", "192.0.2.2", "192.0.2.2", "198.51.100.7", 0, 3, SL_DROP_MARTIAN},
		/* of a listener's prefix */
		{"203.0.114.77", "192.0.2.2", "192.0.2.2", "198.51.100.7", 0, 3, SL_DROP_MARTIAN},
		{"203.0.113.9", "192.0.2.99", "192.0.2.99", "198.51.100.7", 0, 3,
		 SL_DROP_ICMP_ERROR},
		{"203.0.113.9", "192.0.2.2", "192.0.2.2", "198.51.100.7", 0, 5,
		 SL_DROP_ICMP_IGNORED},
	};

	start(0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_tuple t = bed_packet(rows[i].src, 80, rows[i].dst, 999, 6, 0).t;
		struct quote_spec s = complaint(true, rows[i].from, rows[i].to, &t, true);
		uint64_t before = rig_drops(bed.rig, rows[i].why);
		s.ttl = rows[i].ttl;
		s.type = rows[i].type;
		CU_ASSERT_EQUAL(give_error(&s, BED_FRONT), 0);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, rows[i].why), before + 1);
	}
	bed_stop();
}

SL_SUITE("errors", SL_TEST(errors_reach_the_endpoint_in_every_mode),
	 SL_TEST(errors_reach_the_client_translated_back),
	 SL_TEST(without_a_flow_the_choice_decides_where_it_is_agreed),
	 SL_TEST(an_error_does_not_keep_a_flow_alive),
	 SL_TEST(an_error_that_cannot_be_is_dropped_with_its_reason))
