/* Routers between gateway and endpoint that take less than its port: what they say is remembered, told to clients, and
 * believed only as far as it does little harm.  Both families outside and inside, ipip and gue.  Errors are made of the
 * frames that really left, answers judged against the packet inside these. */
#include "tests/suite.h"

#include "tests/dataplane/quotes.h"
#include "tests/sim/bed.h"

enum { IPIP4, IPIP6, GUE4, GUE6, TUNNELS };
#define MORE(t) (((t)&1 ? 40u : 20u) + ((t) >= GUE4 ? 12u : 0u))
#define ROW(i)                                                                                     \
	unsigned t = (i) % TUNNELS;                                                                \
	bool v4 = (i) / TUNNELS & 1

static const char *const vips[TUNNELS][2] = {{"2001:db8::10", "192.0.2.10"},
					     {"2001:db8::11", "192.0.2.11"},
					     {"2001:db8::12", "192.0.2.12"},
					     {"2001:db8::13", "192.0.2.13"}};
static const char *const clients[2] = {"2001:db8:c::7", "198.51.100.7"};

static void
start(unsigned workers)
{
	struct rig_conf c = {.workers = workers, .rss = workers > 1, .flows = 4096, .seed = 5};
	struct table_text more = {0}, ls = {0};

	for (unsigned t = 0; t < TUNNELS; t++) {
		table_append(&more,
			     ",{ name = \"t%u\"; forward = \"%s\"; max_endpoints = 4; %s endpoints "
			     "= ( { name = \"a\"; address = \"%s\"; port = 80; } ); }\n",
			     t, t >= GUE4 ? "gue" : "ipip",
			     t == IPIP4  ? "tunnel_source = \"172.16.0.0/16\";"
			     : t == GUE4 ? "gue_port = 6081;"
					 : "",
			     t & 1 ? "fd00:2::11" : "10.0.2.11");
		for (unsigned v4 = 0; v4 < 2; v4++)
			table_append(&ls,
				     ",{ name = \"l%u%u\"; address = \"%s\"; port = 80; protocol = "
				     "\"tcp\"; mode = \"l4\"; service = \"t%u\"; }\n",
				     t, v4, vips[t][v4], t);
	}
	char *text = bed_table(more.buf, ls.buf);
	bed_start(&c, text);
	free(text);
	free(more.buf);
	free(ls.buf);
}

/* A client's packet of `len` bytes of IP; how many frames left for it. */
static unsigned
send_len(unsigned t, bool v4, unsigned sport, unsigned len, bool may_split)
{
	struct frame_spec s =
		bed_packet(clients[v4], sport, vips[t][v4], 80, SL_IPPROTO_TCP, SL_TCP_ACK);

	s.payload = (uint16_t)(len - (v4 ? 40 : 60));
	s.may_split = may_split;
	return bed_give(&s, BED_FRONT);
}

/* It left in the tunnel, in one piece; the frame is bed.sent[0]. */
static bool
passes(unsigned t, bool v4, unsigned sport, unsigned len)
{
	return send_len(t, v4, sport, len, false) == 1 && bed.sent[0].port == BED_BACK &&
	       bed.sent[0].len == 14 + MORE(t) + len;
}

/* The answer to the packet of `len` bytes inside tunnel frame f, or to that packet as it came: from the VIP to the client. */
static bool
told(unsigned t, bool v4, unsigned mtu, const uint8_t *packet)
{
	const struct bed_frame *a = &bed.sent[0];
	const uint8_t *ip = a->bytes + 14, *icmp = ip + (v4 ? 20 : 40);
	struct sl_addr vip = frame_addr(vips[t][v4]), client = frame_addr(clients[v4]);
	unsigned l4 = 14 + (v4 ? 20 : 40);

	if (bed.sent_cnt != 1 || a->port != BED_FRONT || a->len < l4 + 8 + (v4 ? 28 : 48) ||
	    quote_get16(a->bytes + 12) != (v4 ? 0x0800 : 0x86dd) ||
	    !quote_sums_ok(a->bytes, l4, a->len - l4))
		return false;
	if (v4 ? memcmp(ip + 12, vip.b + 12, 4) || memcmp(ip + 16, client.b + 12, 4) ||
			    icmp[0] != 3 || icmp[1] != 4 || quote_get16(icmp + 6) != mtu
	       : memcmp(ip + 8, vip.b, 16) || memcmp(ip + 24, client.b, 16) || icmp[0] != 2 ||
			    icmp[4] || icmp[5] || quote_get16(icmp + 6) != mtu)
		return false;
	return !packet || memcmp(icmp + 8, packet, a->len - l4 - 8) == 0;
}

/* A router's error about frame f: it quotes `quoted` bytes of the outer packet. */
struct says {
	unsigned mtu, quoted;
	const char *from, *to; /* NULL: a router; who sent f */
	const uint8_t *patch;  /* over the quote at `at` */
	unsigned at, patch_len;
	bool bad_sum;
	uint8_t type, code; /* 0: too big */
};

#define TOLD(m, q) .mtu = (m), .quoted = (q)

static unsigned
complain(const struct bed_frame *f, struct says s)
{
	static const uint8_t mac[6] = {2, 9, 9, 9, 9, 9};
	bool v4 = quote_get16(f->bytes + 12) == 0x0800;
	unsigned l3 = v4 ? 20 : 40, n = 8 + s.quoted;
	uint8_t e[RIG_FRAME] = {0}, *ip = e + 14, *icmp = ip + l3;
	struct sl_addr from = frame_addr(s.from ? s.from : v4 ? "203.0.113.9" : "2001:db8:9::9");

	CU_ASSERT_TRUE_FATAL(s.quoted <= f->len - 14);
	memcpy(e, rig_mac(bed.rig, BED_BACK), 6);
	memcpy(e + 6, mac, 6);
	memcpy(e + 12, f->bytes + 12, 2);
	icmp[0] = s.type ? s.type : v4 ? 3 : 2;
	icmp[1] = s.type ? s.code : v4 ? 4 : 0;
	quote_put16(icmp + 6, s.mtu);
	memcpy(icmp + 8, f->bytes + 14, s.quoted);
	if (s.patch)
		memcpy(icmp + 8 + s.at, s.patch, s.patch_len);
	if (v4) {
		ip[0] = 0x45;
		quote_put16(ip + 2, 20 + n);
		ip[8] = 60;
		ip[9] = 1;
		memcpy(ip + 12, from.b + 12, 4);
		memcpy(ip + 16, f->bytes + 26, 4);
		if (s.to)
			memcpy(ip + 16, frame_addr(s.to).b + 12, 4);
		quote_put16(ip + 10, ~quote_sum(0, ip, 20) & 0xffff);
		quote_put16(icmp + 2, ~quote_sum(0, icmp, n) & 0xffff);
	} else {
		ip[0] = 0x60;
		quote_put16(ip + 4, n);
		ip[6] = 58;
		ip[7] = 60;
		memcpy(ip + 8, from.b, 16);
		memcpy(ip + 24, f->bytes + 22, 16);
		if (s.to)
			memcpy(ip + 24, frame_addr(s.to).b, 16);
		quote_put16(icmp + 2, ~quote_l4_sum(ip, 58, icmp, n) & 0xffff);
	}
	icmp[2] ^= s.bad_sum;
	bed_clear();
	CU_ASSERT_TRUE(rig_inject(bed.rig, BED_BACK, e, 14 + l3 + n));
	rig_settle(bed.rig, bed.now);
	return bed.sent_cnt;
}

#define SUM(field)                                                                                 \
	({                                                                                         \
		uint64_t sum_ = 0;                                                                 \
		for (unsigned w_ = 0; w_ < bed.conf.workers; w_++)                                 \
			sum_ += rig_stats(bed.rig, w_)->field;                                     \
		sum_;                                                                              \
	})

/* Each packet received was forwarded, consumed or dropped. */
static void
counts_add_up(void)
{
	CU_ASSERT_EQUAL(SUM(rx_packets), SUM(forwarded) + SUM(consumed) + SUM(dropped));
}

/* Outer header and eight bytes: what many routers quote. */
static unsigned
brief(unsigned t)
{
	return t & 1 ? 48 : 28;
}

static void
a_short_quote_is_remembered_and_the_next_packet_answered(void)
{
	for (unsigned workers = 1; workers <= 3; workers++)
		for (unsigned i = 0; i < TUNNELS * 2; i++) {
			ROW(i);
			unsigned fits = 1400 - MORE(t);
			start(workers);
			CU_ASSERT_TRUE_FATAL(passes(t, v4, 5000, 1500 - MORE(t)));
			struct bed_frame f = bed.sent[0];
			CU_ASSERT_EQUAL(complain(&f, (struct says){TOLD(1400, brief(t))}), 0);
			CU_ASSERT_EQUAL(SUM(icmp_error), 1);
			CU_ASSERT_EQUAL(SUM(consumed), 1);
			/* other flows too, on whatever worker */
			for (unsigned sport = 5000; sport < 5008; sport++) {
				CU_ASSERT_EQUAL(send_len(t, v4, sport, fits + 1, false), 1);
				CU_ASSERT_TRUE(told(t, v4, fits, NULL));
				CU_ASSERT_TRUE(passes(t, v4, sport, fits));
			}
			CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_TOO_BIG), 8);
			/* the same way, in the other tunnel to that endpoint */
			CU_ASSERT_EQUAL(send_len(t ^ 2, v4, 6000, 1401 - MORE(t ^ 2), false), 1);
			CU_ASSERT_TRUE(told(t ^ 2, v4, 1400 - MORE(t ^ 2), NULL));
			/* but not to others */
			CU_ASSERT_TRUE(passes(t ^ 1, v4, 6001, 1500 - MORE(t ^ 1)));
			counts_add_up();
			bed_stop();
		}
}

static void
a_long_quote_is_answered_at_once(void)
{
	for (unsigned workers = 1; workers <= 3; workers += 2)
		for (unsigned i = 0; i < TUNNELS * 2; i++) {
			ROW(i);
			unsigned inner = v4 ? 28 : 48, lacks_one = MORE(t) + inner - 1;
			uint8_t packet[RIG_FRAME];
			struct sl_addr src, dst;
			const char *bad;
			start(workers);
			CU_ASSERT_TRUE_FATAL(passes(t, v4, 5000, 1500 - MORE(t)));
			struct bed_frame f = bed.sent[0];
			CU_ASSERT_EQUAL_FATAL(frame_decap(f.bytes, f.len, packet, &src, &dst, &bad),
					      f.len - MORE(t));
			CU_ASSERT_EQUAL(complain(&f, (struct says){TOLD(1400, lacks_one)}), 0);
			CU_ASSERT_EQUAL(complain(&f, (struct says){TOLD(1400, lacks_one + 1)}), 1);
			CU_ASSERT_TRUE(told(t, v4, 1400 - MORE(t), packet + 14));
			CU_ASSERT_EQUAL(complain(&f, (struct says){TOLD(1350, 548)}), 1);
			CU_ASSERT_TRUE(told(t, v4, 1350 - MORE(t), packet + 14));
			CU_ASSERT_EQUAL(SUM(icmp_too_big), 2);
			CU_ASSERT_EQUAL(SUM(icmp_error), 3);
			counts_add_up();
			bed_stop();
		}
}

static void
it_is_forgotten_after_ten_minutes(void)
{
	start(1);
	for (unsigned t = 0; t < TUNNELS; t++) {
		CU_ASSERT_TRUE_FATAL(passes(t, true, 5000, 1500 - MORE(t)));
		struct bed_frame f = bed.sent[0];
		complain(&f, (struct says){TOLD(1400, brief(t))});
		bed.now += 598 * BED_S;
		bed_wait(BED_S);
		CU_ASSERT_FALSE(passes(t, true, 5000, 1500 - MORE(t)));
		bed_wait(2 * BED_S);
		CU_ASSERT_TRUE(passes(t, true, 5000, 1500 - MORE(t)));
	}
	bed_stop();
}

/* Nothing of this may be believed: packets that the port takes go on, and the error is dropped with a reason. */
static void
lies_teach_nothing(void)
{
	for (unsigned i = 0; i < TUNNELS * 2; i++) {
		ROW(i);
		bool o4 = !(t & 1);
		const uint8_t *other =
			frame_addr(o4 ? "10.0.2.77" : "fd00:2::77").b + (o4 ? 12 : 0);
		unsigned alen = o4 ? 4 : 16, b = brief(t);
		const uint8_t zero[2] = {0, 0}, proto47 = 47;
		const struct says lies[] = {
			/* the MTU is no less than what was sent, or than is known */
			{TOLD(1500, b)},
			{TOLD(9000, b)},
			/* about others' packets: destination, source, GUE port, protocol */
			{TOLD(1400, b), .patch = other, .at = o4 ? 16 : 24, .patch_len = alen},
			{TOLD(1400, b), .patch = other, .at = o4 ? 12 : 8, .patch_len = alen},
			{TOLD(1400, b), .patch = zero, .at = o4 ? 22 : 42,
			 .patch_len = t >= GUE4 ? 2 : 0,
			 .to = t >= GUE4 ? NULL
			       : o4      ? "192.0.2.1"
					 : "2001:db8::1"},
			{TOLD(1400, b), .patch = &proto47, .at = o4 ? 9 : 6, .patch_len = 1},
			{TOLD(1400, b), .patch = other, .at = o4 ? 12 : 8, .patch_len = alen,
			 .to = o4 ? "10.0.2.77" : "fd00:2::77"},
			/* not to who sent it; from ourselves */
			{TOLD(1400, b), .to = o4 ? "10.0.1.1" : "fd00:1::1"},
			{TOLD(1400, b), .from = o4 ? "10.0.1.1" : "fd00:1::1"},
			{TOLD(1400, b), .bad_sum = true},
			/* not about size */
			{TOLD(1400, b), .type = o4 ? 3 : 1, .code = 3},
			{TOLD(1400, b), .type = o4 ? 11 : 3},
			/* cut before it says whose it is; in gue the port, too */
			{TOLD(1400, o4 ? 19 : 39)},
			{TOLD(1400, t >= GUE4 ? b - 5
				    : o4      ? 16
					      : 30)},
		};
		start(1);
		CU_ASSERT_TRUE_FATAL(passes(t, v4, 5000, 1500 - MORE(t)));
		struct bed_frame f = bed.sent[0];
		for (unsigned k = 0; k < SL_ARRAY_CNT(lies); k++) {
			uint64_t dropped = SUM(dropped);
			CU_ASSERT_EQUAL(complain(&f, lies[k]), 0);
			CU_ASSERT_EQUAL(SUM(dropped), dropped + 1);
			bool ok = passes(t, v4, 5000, 1500 - MORE(t));
			CU_ASSERT_TRUE(ok);
			if (!ok)
				printf("  tunnel %u, lie %u was believed\n", t, k);
		}
		CU_ASSERT_EQUAL(SUM(icmp_error), 0);
		/* and what is known already is not raised */
		complain(&f, (struct says){TOLD(1400, b)});
		complain(&f, (struct says){TOLD(1401, b)});
		CU_ASSERT_FALSE(passes(t, v4, 5000, 1401 - MORE(t)));
		CU_ASSERT_TRUE(passes(t, v4, 5000, 1400 - MORE(t)));
		CU_ASSERT_EQUAL(SUM(icmp_error), 1);
		counts_add_up();
		bed_stop();
	}
}

/* However small the MTU that is told. */
static void
nobody_is_brought_below_the_minimum(void)
{
	static const unsigned mtus[] = {1, 67, 68, 400, 575, 1279, 1280};

	for (unsigned i = 0; i < TUNNELS * 2 * SL_ARRAY_CNT(mtus); i++) {
		ROW(i);
		unsigned mtu = mtus[i / (TUNNELS * 2)];
		bool o4 = !(t & 1);
		start(1);
		CU_ASSERT_TRUE_FATAL(passes(t, v4, 5000, 1500 - MORE(t)));
		struct bed_frame f = bed.sent[0];
		unsigned way = o4 ? SL_MAX(mtu, 576u) : mtu < 1280 ? 1500 : mtu;
		unsigned takes = v4 ? way - MORE(t) : SL_MAX(way - MORE(t), 1280u);
		unsigned n = complain(&f, (struct says){TOLD(mtu, 548)});
		CU_ASSERT_EQUAL(n, way < 1500);
		CU_ASSERT_TRUE(n == 0 || told(t, v4, takes, NULL));
		CU_ASSERT_TRUE(passes(t, v4, 5000, takes));
		if (way < 1500) {
			CU_ASSERT_EQUAL(send_len(t, v4, 5000, takes + 1, false), 1);
			CU_ASSERT_TRUE(told(t, v4, takes, NULL));
		}
		bed_stop();
	}
}

/* Of IPv6 they are asked for no less than 1280 bytes: who sent no more is not told. */
static void
who_sends_the_minimum_hears_nothing(void)
{
	for (unsigned t = 0; t < TUNNELS; t++) {
		start(1);
		CU_ASSERT_TRUE_FATAL(passes(t, false, 5000, 1280));
		struct bed_frame f = bed.sent[0];
		CU_ASSERT_EQUAL(complain(&f, (struct says){TOLD(1280, 548)}), 0);
		CU_ASSERT_EQUAL(SUM(icmp_error), 1);
		counts_add_up();
		bed_stop();
	}
}

/* RFC 1191, 7; in IPv6 0 is a lie. */
static void
routers_that_name_no_mtu_lead_down_the_plateaus(void)
{
	static const unsigned ways[] = {1492, 1006, 576};

	for (unsigned t = 0; t < TUNNELS; t += 2) {
		start(1);
		unsigned way = 1500;
		for (unsigned i = 0; i < SL_ARRAY_CNT(ways); i++) {
			CU_ASSERT_TRUE_FATAL(passes(t, true, 5000, way - MORE(t)));
			struct bed_frame f = bed.sent[0];
			CU_ASSERT_EQUAL(complain(&f, (struct says){TOLD(0, 28)}), 0);
			way = ways[i];
			CU_ASSERT_FALSE(passes(t, true, 5000, way + 1 - MORE(t)));
			CU_ASSERT_TRUE(passes(t, true, 5000, way - MORE(t)));
		}
		CU_ASSERT_TRUE(passes(t + 1, true, 5000, 1500 - MORE(t + 1)));
		struct bed_frame f = bed.sent[0];
		complain(&f, (struct says){TOLD(0, 48)});
		CU_ASSERT_TRUE(passes(t + 1, true, 5000, 1500 - MORE(t + 1)));
		bed_stop();
	}
}

/* Who may be cut is not told: his next packets are. */
static void
what_may_be_cut_is_cut_to_the_way(void)
{
	for (unsigned t = 0; t < TUNNELS; t++) {
		start(1);
		CU_ASSERT_EQUAL_FATAL(send_len(t, true, 5000, 1500 - MORE(t), true), 1);
		struct bed_frame f = bed.sent[0];
		CU_ASSERT_EQUAL(complain(&f, (struct says){TOLD(1300, 548)}), 0);
		CU_ASSERT_EQUAL(SUM(icmp_error), 1);
		CU_ASSERT_EQUAL(send_len(t, true, 5000, 1500 - MORE(t), true), 2);
		for (unsigned k = 0; k < bed.sent_cnt; k++)
			CU_ASSERT_TRUE(bed.sent[k].port == BED_BACK &&
				       bed.sent[k].len <= 14 + 1300);
		CU_ASSERT_EQUAL(bed.sent[0].len, 14 + MORE(t) + 20 + (1300 - MORE(t) - 20) / 8 * 8);
		bed_stop();
	}
}

/* The way is learned, but an inner packet that no client of the service can have sent gets no answer. */
static void
strangers_inside_are_not_answered(void)
{
	for (unsigned i = 0; i < TUNNELS * 2; i++) {
		ROW(i);
		struct sl_addr other = frame_addr(vips[(t + 1) % TUNNELS][v4]),
			       mine = frame_addr(vips[t][v4]);
		struct sl_addr group = frame_addr(v4 ? "224.0.0.1" : "ff02::1");
		unsigned src = MORE(t) + (v4 ? 12 : 8), dst = MORE(t) + (v4 ? 16 : 24),
			 skip = v4 ? 12 : 0;
		uint8_t len = v4 ? 4 : 16, icmp = v4 ? 1 : 58, later[2] = {0x40, 1};
		const struct says strangers[] = {
			{TOLD(1400, 548), .patch = other.b + skip, .at = dst, .patch_len = len},
			{TOLD(1400, 548), .patch = mine.b + skip, .at = src, .patch_len = len},
			{TOLD(1400, 548), .patch = group.b + skip, .at = src, .patch_len = len},
			{TOLD(1400, 548), .patch = &icmp, .at = MORE(t) + (v4 ? 9 : 6),
			 .patch_len = 1},
			{TOLD(v4 ? 1400 : 1499, 548), .patch = later, .at = MORE(t) + 6,
			 .patch_len = v4 ? 2 : 0},
		};
		start(1);
		CU_ASSERT_TRUE_FATAL(passes(t, v4, 5000, 1500 - MORE(t)));
		struct bed_frame f = bed.sent[0];
		for (unsigned k = 0; k < SL_ARRAY_CNT(strangers); k++) {
			unsigned n = complain(&f, strangers[k]);
			CU_ASSERT_EQUAL(n, 0);
			if (n)
				printf("  tunnel %u, stranger %u was answered\n", t, k);
			CU_ASSERT_FALSE(passes(t, v4, 5000, 1401 - MORE(t)));
		}
		counts_add_up();
		bed_stop();
	}
}

static void
answers_are_limited_and_counts_add_up(void)
{
	start(1);
	CU_ASSERT_TRUE_FATAL(passes(IPIP4, true, 5000, 1480));
	struct bed_frame f = bed.sent[0];
	unsigned answers = 0;
	for (unsigned i = 0; i < 500; i++)
		answers += complain(&f, (struct says){TOLD(1400, 548)});
	CU_ASSERT_TRUE(answers >= 90 && answers <= 110);
	CU_ASSERT_EQUAL(SUM(icmp_error), 500);
	CU_ASSERT_EQUAL(SUM(icmp_too_big), answers);
	CU_ASSERT_EQUAL(SUM(consumed), 500 - answers);
	counts_add_up();
	bed_stop();
}

/* An entry is its endpoint's, not its slot's. */
static void
the_next_owner_of_a_slot_begins_anew(void)
{
	struct sl_path_table *t = calloc(1, sizeof(*t) + 64);
	void *mem = t;

	t = (void *)(((uintptr_t)mem + 63) & ~(uintptr_t)63);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 9, 3, 5), 0);
	sl_path_learn(t, 9, 3, 1400, UINT32_MAX - 10);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 9, 3, UINT32_MAX - 11), 1400);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 9, 3, 50), 1400);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 9, 4, 50), 0);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 8, 3, 50), 0);
	sl_path_learn(t, 8, 3, 1300, 2380);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 9, 3, 2388), 1400);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 9, 3, 2389), 0);
	CU_ASSERT_EQUAL(sl_path_mtu(t, 8, 3, 2389), 1300);
	free(mem);
}

SL_SUITE("tunnel_mtu", SL_TEST(a_short_quote_is_remembered_and_the_next_packet_answered),
	 SL_TEST(a_long_quote_is_answered_at_once), SL_TEST(it_is_forgotten_after_ten_minutes),
	 SL_TEST(lies_teach_nothing), SL_TEST(nobody_is_brought_below_the_minimum),
	 SL_TEST(who_sends_the_minimum_hears_nothing),
	 SL_TEST(routers_that_name_no_mtu_lead_down_the_plateaus),
	 SL_TEST(what_may_be_cut_is_cut_to_the_way), SL_TEST(strangers_inside_are_not_answered),
	 SL_TEST(answers_are_limited_and_counts_add_up),
	 SL_TEST(the_next_owner_of_a_slot_begins_anew))
