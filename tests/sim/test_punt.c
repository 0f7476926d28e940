/* The kernel's share: which packets it gets and which it never does, at what rate, what it sends, and that every buffer
 * and every packet is accounted for. */
#include "tests/suite.h"

#include "tests/sim/bed.h"

#define PPS 4000
#define OWN "10.0.1.1"  /* the table's and the kernel's */
#define ONLY "10.0.1.2" /* the kernel's alone */
#define ONLY6 "fd00:1::2"
#define VIP "192.0.2.1" /* a listener's; the kernel has it too, and must not get it */
#define PEER "198.51.100.9"
#define PEER6 "2001:db8:c::9"

static const char *const kernels[] = {OWN, ONLY, ONLY6, VIP, "2001:db8::1", "10.0.1.255"};

static void
start_conf(struct rig_conf *c)
{
	c->flows = 4096;
	c->seed = 77 + c->workers;
	if (!c->kernel_pps)
		c->kernel_pps = PPS;
	bed_start(c, NULL);
	rig_kernel_has(bed.rig, kernels, SL_ARRAY_CNT(kernels));
	rig_settle(bed.rig, bed.now);
}

static void
start(unsigned workers)
{
	struct rig_conf c = {.workers = workers};

	start_conf(&c);
}

static unsigned taken(enum sl_punt_class class)
{
	struct rig_kernel_frame f;
	unsigned n = 0;

	while (rig_kernel_take(bed.rig, class, &f))
		n++;
	rig_settle(bed.rig, bed.now);
	return n;
}

static unsigned
taken_any(void)
{
	unsigned n = 0;

	for (unsigned c = 0; c < SL_PUNT_CLASSES; c++)
		n += taken(c);
	return n;
}

static void
give_frame(const uint8_t *f, unsigned len, unsigned port)
{
	bed_clear();
	CU_ASSERT_TRUE(rig_inject(bed.rig, port, f, len));
	rig_settle(bed.rig, bed.now);
}

/* What a spec's frame becomes when its protocol and the bytes behind it are these. */
static unsigned
make(const char *src, const char *dst, unsigned sport, unsigned dport, uint8_t proto, uint8_t flags,
     uint8_t *f)
{
	struct frame_spec s = bed_packet(src, sport, dst, dport, proto == 6 ? 6 : 17, flags);

	s.ttl = 1; /* a neighbour's: what ends here may have come as far as it could */
	memcpy(s.dmac, rig_mac(bed.rig, BED_FRONT), 6);
	unsigned len = frame_make(&s, f);
	bool v4 = sl_addr_is_v4(&s.t.dst);
	if (proto == 6 || proto == 17)
		return len;
	f[14 + (v4 ? 9 : 6)] = proto;
	if (v4) {
		uint32_t sum = 0;
		f[24] = f[25] = 0;
		for (unsigned i = 0; i < 20; i += 2)
			sum += (uint32_t)f[14 + i] << 8 | f[15 + i];
		sum = (sum & 0xffff) + (sum >> 16);
		sum = ~((sum & 0xffff) + (sum >> 16));
		f[24] = (uint8_t)(sum >> 8);
		f[25] = (uint8_t)sum;
	}
	return len;
}

/* ---- whose it is ---- */

static const struct {
	const char *why, *src, *dst;
	unsigned sport, dport;
	uint8_t proto, flags;
	int class; /* -1: not the kernel's */
} rows[] = {
	{"ssh to our own address", PEER, OWN, 4000, 22, 6, SL_TCP_SYN, SL_PUNT_OTHER},
	{"ssh to the kernel's address", PEER, ONLY, 4000, 22, 6, SL_TCP_SYN, SL_PUNT_OTHER},
	{"… in IPv6", PEER6, ONLY6, 4000, 22, 6, SL_TCP_ACK, SL_PUNT_OTHER},
	{"a RST for the kernel", PEER, ONLY, 4000, 22, 6, SL_TCP_RST, SL_PUNT_OTHER},
	{"BGP that asks", PEER, ONLY, 4000, 179, 6, SL_TCP_SYN, SL_PUNT_ROUTING},
	{"BGP that answers", PEER, OWN, 179, 4000, 6, SL_TCP_SYN | SL_TCP_ACK, SL_PUNT_ROUTING},
	{"BFD", PEER, ONLY, 49152, 3784, 17, 0, SL_PUNT_ROUTING},
	{"BFD over several hops", PEER6, ONLY6, 49152, 4784, 17, 0, SL_PUNT_ROUTING},
	{"UDP", PEER, OWN, 53, 5000, 17, 0, SL_PUNT_OTHER},
	{"OSPF to us", PEER, ONLY, 0, 0, 89, 0, SL_PUNT_ROUTING},
	{"GRE", PEER, ONLY, 0, 0, 47, 0, SL_PUNT_OTHER},
	{"ESP in IPv6", PEER6, ONLY6, 0, 0, 50, 0, SL_PUNT_OTHER},
	{"an answer to the kernel's ping", PEER, OWN, 0, 0, 1, 0, SL_PUNT_OTHER},
	{"ping to the kernel's address", PEER, ONLY, 8 << 8, 0, 1, 0, SL_PUNT_OTHER},
	{"a VIP, another port", PEER, VIP, 4000, 22, 6, SL_TCP_SYN, -1},
	{"a VIP, another protocol", PEER, VIP, 0, 0, 47, 0, -1},
	{"a VIP, its port", PEER, VIP, 4000, 80, 6, SL_TCP_SYN, -1},
	{"nobody's address", PEER, "10.0.1.77", 4000, 22, 6, SL_TCP_SYN, -1},
	{"from our own address", OWN, ONLY, 4000, 22, 6, SL_TCP_SYN, -1},
	{"from a VIP", "192.0.2.2", ONLY, 4000, 22, 6, SL_TCP_SYN, -1},
};

static void
kernel_gets_what_is_its_and_nothing_else(void)
{
	for (unsigned w = 1; w <= 3; w++)
		for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
			uint8_t f[RIG_FRAME];
			struct rig_kernel_frame got = {0};
			start(w);
			unsigned len = make(rows[i].src, rows[i].dst, rows[i].sport, rows[i].dport,
					    rows[i].proto, rows[i].flags, f);
			give_frame(f, len, BED_FRONT);
			bool ok =
				rows[i].class < 0 || rig_kernel_take(bed.rig, rows[i].class, &got);
			ok &= rows[i].class < 0 || (got.len == len && !memcmp(got.bytes, f, len));
			unsigned more = taken_any();
			if (!ok || more)
				printf("    %u workers: %s\n", w, rows[i].why);
			CU_ASSERT_TRUE(ok && more == 0);
			CU_ASSERT_EQUAL(rig_kernel_woken(bed.rig), rows[i].class >= 0);
			bed_stop();
		}
}

static void
another_station_is_not_the_kernel(void)
{
	uint8_t f[RIG_FRAME];

	start(1);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		unsigned len = make(rows[i].src, rows[i].dst, rows[i].sport, rows[i].dport,
				    rows[i].proto, rows[i].flags, f);
		f[5] ^= 0x40;
		give_frame(f, len, BED_FRONT);
	}
	f[12] = 0x88, f[13] = 0xcc;
	give_frame(f, 60, BED_FRONT);
	CU_ASSERT_EQUAL(taken_any(), 0);
	bed_stop();
}

static void
ports_without_it_are_as_ever(void)
{
	uint8_t f[RIG_FRAME];

	start(2);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		unsigned len = make(rows[i].src, rows[i].dst, rows[i].sport, rows[i].dport,
				    rows[i].proto, rows[i].flags, f);
		memcpy(f, rig_mac(bed.rig, BED_BACK), 6);
		give_frame(f, len, BED_BACK);
	}
	CU_ASSERT_EQUAL(taken_any(), 0);
	bed_stop();
}

static void
other_frames_and_groups_are_the_kernels(void)
{
	static const uint8_t lldp[6] = {1, 0x80, 0xc2, 0, 0, 0x0e},
			     all[6] = {255, 255, 255, 255, 255, 255};
	static const uint8_t tags[] = {0x81, 0x00, 0x88, 0xa8};
	uint8_t f[RIG_FRAME] = {0};

	start(2);
	memcpy(f, lldp, 6);
	f[12] = 0x88, f[13] = 0xcc;
	give_frame(f, 60, BED_FRONT);
	CU_ASSERT_EQUAL(taken(SL_PUNT_NEIGH), 1);
	/* a frame of a VLAN is of no port here */
	for (unsigned i = 0; i < 4; i += 2) {
		memcpy(f + 12, tags + i, 2);
		give_frame(f, 60, BED_FRONT);
		CU_ASSERT_EQUAL(taken_any(), 0);
	}
	/* OSPF, mDNS, and a broadcast of the network */
	unsigned len = make(PEER, "224.0.0.5", 0, 0, 89, 0, f);
	memcpy(f, (const uint8_t[]){1, 0, 0x5e, 0, 0, 5}, 6);
	give_frame(f, len, BED_FRONT);
	CU_ASSERT_EQUAL(taken(SL_PUNT_ROUTING), 1);
	len = make(PEER, "224.0.0.251", 5353, 5353, 17, 0, f);
	memcpy(f, (const uint8_t[]){1, 0, 0x5e, 0, 0, 251}, 6);
	give_frame(f, len, BED_FRONT);
	CU_ASSERT_EQUAL(taken(SL_PUNT_NEIGH), 1);
	len = make(PEER, "10.0.1.255", 67, 68, 17, 0, f);
	memcpy(f, all, 6);
	give_frame(f, len, BED_FRONT);
	CU_ASSERT_EQUAL(taken(SL_PUNT_NEIGH), 1);
	/* a group frame that is for one address of ours or a VIP is nobody's */
	len = make(PEER, VIP, 4000, 22, 6, SL_TCP_SYN, f);
	memcpy(f, all, 6);
	give_frame(f, len, BED_FRONT);
	CU_ASSERT_EQUAL(taken_any(), 0);
	bed_stop();
}

/* A request from `from` for `to`, or its answer (ARP alone). */
static unsigned
arp(const char *from, const char *to, bool answer, uint8_t *f)
{
	struct sl_addr a = frame_addr(from), b = frame_addr(to);
	uint8_t mac[6];

	bed_mac(&a, mac);
	unsigned len = sl_neigh_build_request(f, mac, &a, &b, NULL);
	if (answer) {
		memcpy(f, rig_mac(bed.rig, BED_FRONT), 6);
		f[21] = 2;
	}
	return len;
}

static void
neighbours_of_both_are_heard_by_both(void)
{
	uint8_t f[RIG_FRAME];

	for (unsigned w = 1; w <= 3; w++) {
		start(w);
		/* what the table has is answered here */
		give_frame(f, arp("10.0.1.99", OWN, false, f), BED_FRONT);
		CU_ASSERT_TRUE(bed.sent_cnt == 1 && taken_any() == 0);
		give_frame(f, arp("fd00:1::99", "2001:db8::1", false, f), BED_FRONT);
		CU_ASSERT_TRUE(bed.sent_cnt == 1 && taken_any() == 0);
		/* anything else is the kernel's to answer, and so are all answers */
		give_frame(f, arp("10.0.1.99", ONLY, false, f), BED_FRONT);
		CU_ASSERT_TRUE(bed.sent_cnt == 0 && taken(SL_PUNT_NEIGH) == 1);
		give_frame(f, arp("fd00:1::99", ONLY6, false, f), BED_FRONT);
		CU_ASSERT_TRUE(bed.sent_cnt == 0 && taken(SL_PUNT_NEIGH) == 1);
		give_frame(f, arp("10.0.1.98", OWN, true, f), BED_FRONT);
		CU_ASSERT_TRUE(bed.sent_cnt == 0 && taken(SL_PUNT_NEIGH) == 1);
		bed_stop();
	}
}

static void
fragments_are_put_together_by_the_kernel(void)
{
	for (unsigned w = 1; w <= 3; w++)
		for (unsigned own = 0; own < 2; own++) {
			struct frame_spec s = bed_packet(PEER, 5000, own ? OWN : ONLY, 6000, 17, 0);
			uint8_t f[RIG_FRAME], piece[RIG_FRAME];
			unsigned len, n = 0;
			start(w);
			s.payload = 1000;
			s.may_split = true;
			memcpy(s.dmac, rig_mac(bed.rig, BED_FRONT), 6);
			frame_make(&s, f);
			/* the last first: of an address of both, it waits for the ports */
			for (unsigned i = 3; i-- > 0; n += len != 0) {
				len = frame_piece(f, 400, i, 42, piece);
				if (len)
					give_frame(piece, len, BED_FRONT);
			}
			bed_wait(BED_S / 10);
			CU_ASSERT_TRUE(n == 3 && taken(SL_PUNT_OTHER) == 3);
			bed_stop();
		}
}

static void
errors_about_the_kernels_connections_are_its(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		uint8_t f[RIG_FRAME], quoted[RIG_FRAME];
		start(w);
		/* port unreachable, about a segment that the kernel sent */
		unsigned len = make(ONLY, PEER, 40000, 179, 6, SL_TCP_SYN, quoted);
		uint8_t icmp[8 + 28] = {3, 3};
		(void)len;
		memcpy(icmp + 8, quoted + 14, 28);
		make(PEER, ONLY, 0, 0, 1, 0, f);
		f[17] = 20 + sizeof(icmp);
		f[22] = 64;
		memcpy(f + 34, icmp, sizeof(icmp));
		uint32_t sum = 0;
		for (unsigned i = 0; i < sizeof(icmp); i += 2)
			sum += (uint32_t)f[34 + i] << 8 | f[35 + i];
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		f[36] = (uint8_t)(~sum >> 8), f[37] = (uint8_t)~sum;
		f[24] = f[25] = 0;
		for (unsigned i = sum = 0; i < 20; i += 2)
			sum += (uint32_t)f[14 + i] << 8 | f[15 + i];
		while (sum >> 16)
			sum = (sum & 0xffff) + (sum >> 16);
		f[24] = (uint8_t)(~sum >> 8), f[25] = (uint8_t)~sum;
		give_frame(f, 34 + sizeof(icmp), BED_FRONT);
		CU_ASSERT_EQUAL(taken(SL_PUNT_OTHER), 1);
		bed_stop();
	}
}

static void
flows_and_streams_come_first(void)
{
	struct rig_conf c = {.workers = 2, .streams = 64};
	uint8_t f[RIG_FRAME];

	start_conf(&c);
	/* the stack would answer this with RST if the kernel had not the address */
	give_frame(f, make(PEER, OWN, 4000, 22, 6, SL_TCP_SYN, f), BED_FRONT);
	CU_ASSERT_TRUE(bed.sent_cnt == 0 && taken(SL_PUNT_OTHER) == 1);
	rig_kernel_has(bed.rig, kernels + 1, SL_ARRAY_CNT(kernels) - 1);
	give_frame(f, make(PEER, OWN, 4000, 22, 6, SL_TCP_SYN, f), BED_FRONT);
	CU_ASSERT_TRUE(bed.sent_cnt == 1 && taken_any() == 0);
	/* a reply of nat goes to its client, though the kernel has that address */
	static const char *const clients[] = {PEER, ONLY};
	struct frame_spec s = bed_packet(PEER, 1000, VIP, 80, 17, 0);
	CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
	struct frame_spec r = bed_answer(&bed.sent[0], 0);
	rig_kernel_has(bed.rig, clients, 2);
	CU_ASSERT_EQUAL(bed_give(&r, BED_BACK), 1);
	CU_ASSERT_EQUAL(taken_any(), 0);
	bed_stop();
}

static void
without_a_table_the_kernel_waits_for_one(void)
{
	uint8_t f[RIG_FRAME];

	for (unsigned w = 1; w <= 2; w++) {
		start(w);
		rig_publish(bed.rig, NULL);
		unsigned len = make(PEER, ONLY, 4000, 22, 6, SL_TCP_SYN, f);
		give_frame(f, len, BED_FRONT);
		CU_ASSERT_EQUAL(taken_any(), 0);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_TABLE), 1);
		give_frame(f, arp("10.0.1.99", ONLY, false, f), BED_FRONT);
		CU_ASSERT_EQUAL(taken(SL_PUNT_NEIGH), 1);
		bed.now += 6 * BED_S;
		len = make(PEER, ONLY, 4000, 22, 6, SL_TCP_SYN, f);
		give_frame(f, len, BED_FRONT);
		CU_ASSERT_EQUAL(taken(SL_PUNT_OTHER), 1);
		rig_publish(bed.rig, bed.view.view);
		bed_stop();
	}
}

static void
explain_says_to_the_kernel(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		start(w);
		struct frame_spec s = bed_packet(PEER, 4000, ONLY, 22, 6, SL_TCP_SYN);
		struct sl_explained e = rig_explain(bed.rig, &s.t, SL_TCP_SYN, BED_FRONT, bed.now);
		CU_ASSERT_EQUAL(e.pkt.verdict, SL_VERDICT_KERNEL);
		e = rig_explain(bed.rig, &s.t, SL_TCP_SYN, BED_BACK, bed.now);
		CU_ASSERT_EQUAL(e.pkt.verdict, SL_VERDICT_DROP);
		CU_ASSERT_TRUE(taken_any() == 0 && rig_kernel_woken(bed.rig) == 0);
		bed_stop();
	}
}

/* ---- how much ---- */

static struct sl_stats_port
port_sum(void)
{
	struct sl_stats_port sum = {0};

	for (unsigned w = 0; w < bed.conf.workers; w++) {
		const struct sl_stats_port *p = sl_stats_ports(rig_stats_segment(bed.rig), w);
		sum.rx_packets += p->rx_packets;
		sum.to_kernel += p->to_kernel;
		sum.from_kernel += p->from_kernel;
		sum.kernel_limited += p->kernel_limited;
	}
	return sum;
}

/* For a second, every 100 µs a packet of each kind, from many ports so that all workers have some; what was taken. */
static void
flood(unsigned other, unsigned bgp, unsigned got[SL_PUNT_CLASSES])
{
	uint8_t f[RIG_FRAME];

	memset(got, 0, SL_PUNT_CLASSES * sizeof(got[0]));
	for (unsigned i = 0; i < 10000; i++) {
		bed.now += 100000;
		for (unsigned k = 0; k < other; k++)
			rig_inject(bed.rig, BED_FRONT, f,
				   make(PEER, ONLY, 1024 + i + 20000 * k, 22, 6, SL_TCP_SYN, f));
		for (unsigned k = 0; k < bgp && i % 14 == 0; k++)
			rig_inject(bed.rig, BED_FRONT, f,
				   make(PEER, ONLY, 1024 + i + k, 179, 6, SL_TCP_ACK, f));
		bed_clear();
		rig_turn(bed.rig, bed.now);
		rig_turn(bed.rig, bed.now);
		if (i % 10 == 9)
			for (unsigned c = 0; c < SL_PUNT_CLASSES; c++)
				got[c] += taken(c);
	}
}

static void
its_rate_is_kept_over_all_workers_and_classes_do_not_starve(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		unsigned got[SL_PUNT_CLASSES];
		start(w);
		bed_wait(BED_S);
		flood(2, 1, got);
		struct sl_stats_port p = port_sum();
		/* half of it, and a tenth of a second's at once; three workers share unevenly, by hash */
		CU_ASSERT_TRUE(got[SL_PUNT_OTHER] <= PPS / 2 * 11 / 10 + 32 * w);
		CU_ASSERT_TRUE(got[SL_PUNT_OTHER] >= PPS / 2 * 9 / 10);
		/* of BGP less than its quarter: nothing is lost for the flood beside it */
		CU_ASSERT_EQUAL(got[SL_PUNT_ROUTING], 10000 / 14 + 1);
		CU_ASSERT_EQUAL(got[SL_PUNT_NEIGH], 0);
		CU_ASSERT_EQUAL(p.to_kernel, got[0] + got[1] + got[2]);
		CU_ASSERT_EQUAL(p.kernel_limited, rig_drops(bed.rig, SL_DROP_KERNEL_LIMIT));
		CU_ASSERT_EQUAL(p.to_kernel + p.kernel_limited, p.rx_packets);
		bed_stop();
	}
}

static void
a_kernel_that_does_not_take_costs_only_its_own(void)
{
	struct rig_conf c = {.workers = 1, .kernel_ring = 32, .kernel_pps = 1000000, .frames = 512};
	uint8_t f[RIG_FRAME];

	start_conf(&c);
	unsigned in_use = rig_in_use(bed.rig);
	for (unsigned i = 0; i < 1000; i++)
		give_frame(f, make(PEER, ONLY, 1024 + i, 22, 6, SL_TCP_SYN, f), BED_FRONT);
	CU_ASSERT_EQUAL(port_sum().to_kernel, 32);
	CU_ASSERT_EQUAL(port_sum().kernel_limited, 968);
	CU_ASSERT_EQUAL(rig_in_use(bed.rig), in_use + 32);
	/* BGP has room of its own, and so has traffic */
	give_frame(f, make(PEER, ONLY, 1024, 179, 6, SL_TCP_SYN, f), BED_FRONT);
	CU_ASSERT_EQUAL(port_sum().to_kernel, 33);
	struct frame_spec s = bed_packet(PEER, 1000, VIP, 80, 17, 0);
	CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
	CU_ASSERT_EQUAL(taken_any(), 33);
	CU_ASSERT_EQUAL(rig_in_use(bed.rig), in_use);
	bed_stop();
}

/* ---- from the kernel ---- */

static void
what_the_kernel_sends_leaves_by_its_port(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		uint8_t f[RIG_FRAME];
		unsigned given = 0;
		start(w);
		unsigned len = make(ONLY, PEER, 22, 4000, 6, SL_TCP_SYN | SL_TCP_ACK, f);
		bed_clear();
		while (rig_kernel_give(bed.rig, BED_FRONT, f, len))
			given++;
		CU_ASSERT_EQUAL(given, SL_PUNT_ROOM);
		rig_turn(bed.rig, bed.now);
		rig_turn(bed.rig, bed.now);
		CU_ASSERT_EQUAL(bed.sent_cnt, SL_PUNT_ROOM);
		CU_ASSERT_TRUE(bed.sent[0].port == BED_FRONT && bed.sent[0].len == len &&
			       memcmp(bed.sent[0].bytes, f, len) == 0);
		CU_ASSERT_EQUAL(port_sum().from_kernel, SL_PUNT_ROOM);
		/* there is room again; a frame that is too long for the port is dropped */
		CU_ASSERT_TRUE(rig_kernel_give(bed.rig, BED_FRONT, f, 1515));
		bed_clear();
		rig_settle(bed.rig, bed.now);
		CU_ASSERT_EQUAL(bed.sent_cnt, 0);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_MTU), 1);
		const struct sl_stats_worker *s = rig_stats(bed.rig, 0);
		CU_ASSERT_EQUAL(s->rx_packets + s->made, s->forwarded + s->consumed + s->dropped);
		bed_stop();
	}
}

static void
a_turn_sends_no_more_than_a_burst_of_it(void)
{
	uint8_t f[RIG_FRAME];

	start(1);
	unsigned len = make(ONLY, PEER, 22, 4000, 6, SL_TCP_ACK, f);
	while (rig_kernel_give(bed.rig, BED_FRONT, f, len))
		;
	bed_clear();
	rig_turn(bed.rig, bed.now);
	CU_ASSERT_EQUAL(bed.sent_cnt, SL_BURST);
	rig_settle(bed.rig, bed.now);
	bed_stop();
}

SL_SUITE("sim/punt", SL_TEST(kernel_gets_what_is_its_and_nothing_else),
	 SL_TEST(another_station_is_not_the_kernel), SL_TEST(ports_without_it_are_as_ever),
	 SL_TEST(other_frames_and_groups_are_the_kernels),
	 SL_TEST(neighbours_of_both_are_heard_by_both),
	 SL_TEST(fragments_are_put_together_by_the_kernel),
	 SL_TEST(errors_about_the_kernels_connections_are_its),
	 SL_TEST(flows_and_streams_come_first), SL_TEST(without_a_table_the_kernel_waits_for_one),
	 SL_TEST(explain_says_to_the_kernel),
	 SL_TEST(its_rate_is_kept_over_all_workers_and_classes_do_not_starve),
	 SL_TEST(a_kernel_that_does_not_take_costs_only_its_own),
	 SL_TEST(what_the_kernel_sends_leaves_by_its_port),
	 SL_TEST(a_turn_sends_no_more_than_a_burst_of_it))
