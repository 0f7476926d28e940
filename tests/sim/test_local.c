/* What is meant for the gateway itself, the way to the next hop, and what is counted on the way: echo, ARP and ND,
 * waiting for neighbours, routes, statistics. */
#include "tests/suite.h"

#include "tests/sim/bed.h"

static void
start(unsigned workers)
{
	struct rig_conf c = {.workers = workers, .flows = 4096, .seed = 9 + workers};

	bed_start(&c, NULL);
}

static uint16_t
sum(const uint8_t *p, unsigned n, uint32_t s)
{
	for (unsigned i = 0; i < n; i++)
		s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)s;
}

/* An echo request to dst; its length. */
static unsigned
echo_make(uint8_t *f, const char *dst, unsigned port)
{
	struct sl_addr a = frame_addr(dst);
	bool v4 = sl_addr_is_v4(&a);
	struct frame_spec s = bed_packet(v4 ? "198.51.100.9" : "2001:db8:c::9", 1, dst, 1, 17, 0);

	memcpy(s.dmac, rig_mac(bed.rig, port), 6);
	unsigned len = frame_make(&s, f);
	uint8_t *ip = f + 14, *h = ip + (v4 ? 20 : 40);
	unsigned n = len - (unsigned)(h - f);
	ip[v4 ? 9 : 6] = v4 ? 1 : 58;
	memset(h, 0, 8);
	h[0] = v4 ? 8 : 128;
	uint16_t c = v4 ? sum(h, n, 0) : sum(h, n, sum(ip + 8, 32, 58 + n));
	h[2] = (uint8_t)(~c >> 8);
	h[3] = (uint8_t)~c;
	if (v4) {
		ip[10] = ip[11] = 0;
		c = sum(ip, 20, 0);
		ip[10] = (uint8_t)(~c >> 8);
		ip[11] = (uint8_t)~c;
	}
	return len;
}

static unsigned
echo(const char *dst, const uint8_t *mac)
{
	uint8_t f[RIG_FRAME];
	unsigned len = echo_make(f, dst, BED_FRONT);

	if (mac)
		memcpy(f, mac, 6);
	bed_clear();
	CU_ASSERT_TRUE(rig_inject(bed.rig, BED_FRONT, f, len));
	rig_settle(bed.rig, bed.now);
	return bed.sent_cnt;
}

static void
echo_is_answered_for_own_addresses_and_vips(void)
{
	static const char *const ours[] = {"192.0.2.1", "10.0.1.1", "10.0.2.1", "2001:db8::1",
					   "fd00:1::1"};

	for (unsigned w = 1; w <= 3; w++) {
		start(w);
		for (unsigned i = 0; i < SL_ARRAY_CNT(ours); i++) {
			CU_ASSERT_EQUAL_FATAL(echo(ours[i], NULL), 1);
			CU_ASSERT_PTR_NULL(frame_judge(bed.sent[0].bytes, bed.sent[0].len));
			struct sl_addr a = frame_addr(ours[i]);
			struct sl_tuple t = frame_tuple(bed.sent[0].bytes);
			CU_ASSERT_TRUE(sl_addr_eq(&t.src, &a));
			CU_ASSERT_EQUAL(bed.sent[0].port, BED_FRONT);
		}
		bed_stop();
	}
}

static void
echo_to_others_is_not_answered(void)
{
	static const uint8_t other[6] = {2, 1, 2, 3, 4, 5};

	start(1);
	CU_ASSERT_EQUAL(echo("192.0.2.200", NULL), 0);
	CU_ASSERT_EQUAL(echo("2001:db8::77", NULL), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NOT_OURS), 2);
	/* The VIP, but another gateway's frame, seen by a port in promiscuous mode. */
	CU_ASSERT_EQUAL(echo("192.0.2.1", other), 0);
	CU_ASSERT_EQUAL(echo("2001:db8::1", other), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NOT_OURS), 4);
	bed_stop();
}

static void
echo_answers_are_limited_by_rate(void)
{
	unsigned answers = 0;

	start(1);
	bed_wait(5 * BED_S);
	for (unsigned i = 0; i < 3000; i++) {
		bed.now += 100000; /* ten times the rate */
		answers += echo("192.0.2.1", NULL);
	}
	CU_ASSERT_TRUE(answers >= 390 && answers <= 402); /* 100 at once and 300 in 0.3 s */
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_ICMP_LIMIT), 3000 - answers);
	bed_wait(BED_S);
	CU_ASSERT_EQUAL(echo("192.0.2.1", NULL), 1);
	bed_stop();
}

/* ---- neighbours ---- */

/* An ARP request from `from` for `to`. */
static unsigned
arp(const char *from, const char *to, unsigned port)
{
	struct sl_addr a = frame_addr(from), b = frame_addr(to);
	uint8_t f[RIG_FRAME], mac[6];

	bed_mac(&a, mac);
	unsigned len = sl_neigh_build_request(f, mac, &a, &b, NULL);
	bed_clear();
	CU_ASSERT_TRUE(rig_inject(bed.rig, port, f, len));
	rig_settle(bed.rig, bed.now);
	return bed.sent_cnt;
}

static bool
known(const char *text, unsigned port)
{
	struct sl_addr a = frame_addr(text);

	return sl_neigh_find(rig_neigh(bed.rig), (uint16_t)port, &a) != SL_NEIGH_NONE;
}

static void
neighbours_are_answered_on_every_port(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		start(w);
		CU_ASSERT_EQUAL(arp("10.0.1.99", "192.0.2.1", BED_FRONT), 1);
		CU_ASSERT_EQUAL(arp("10.0.2.99", "192.0.2.1", BED_BACK), 1);
		CU_ASSERT_EQUAL(memcmp(bed.sent[0].bytes + 6, rig_mac(bed.rig, BED_BACK), 6), 0);
		CU_ASSERT_EQUAL(bed.sent[0].port, BED_BACK);
		CU_ASSERT_EQUAL(arp("fd00:1::99", "2001:db8::1", BED_FRONT), 1);
		CU_ASSERT_EQUAL(arp("fd00:2::99", "fd00:2::1", BED_BACK), 1);
		CU_ASSERT_EQUAL(arp("10.0.1.99", "10.0.1.98", BED_FRONT), 0);
		CU_ASSERT_EQUAL(arp("fd00:1::99", "fd00:1::98", BED_FRONT), 0);
		/* Who asks us is learned, strangers to the link are not. */
		CU_ASSERT_TRUE(known("10.0.1.99", BED_FRONT) && known("fd00:2::99", BED_BACK));
		arp("203.0.113.5", "192.0.2.1", BED_FRONT);
		arp("10.0.2.77", "192.0.2.1", BED_FRONT);
		CU_ASSERT_FALSE(known("203.0.113.5", BED_FRONT));
		CU_ASSERT_FALSE(known("10.0.2.77", BED_FRONT));
		/* Nor are those whose request was for somebody else. */
		CU_ASSERT_TRUE(arp("10.0.1.55", "10.0.1.98", BED_FRONT) == 0 &&
			       !known("10.0.1.55", BED_FRONT));
		for (unsigned d = 1; d < SL_DROP_CNT; d++)
			CU_ASSERT_EQUAL(rig_drops(bed.rig, d), 0);
		/* The neighbour table is the first worker's to write. */
		for (unsigned x = 1; x < w; x++)
			CU_ASSERT_EQUAL(rig_stats(bed.rig, x)->consumed, 0);
		bed_stop();
	}
}

/* A client on the link, with a port whose reply belongs to `worker`: asks the VIP and gets n answers of the endpoint. */
static unsigned
talk(const char *client, unsigned worker, unsigned n, struct frame_spec *ret_answer)
{
	const struct sl_rss *rss = rig_rss(bed.rig);

	for (unsigned sport = 1000;; sport++) {
		struct frame_spec s = bed_packet(client, sport, "192.0.2.1", 80, 17, 0);
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		*ret_answer = bed_answer(&bed.sent[0], 0);
		if (rss->owner[sl_rss_bucket(sl_rss_hash(rss, &ret_answer->t))] == worker)
			break;
	}
	bed_clear();
	for (unsigned i = 0; i < n; i++)
		bed_inject(ret_answer, BED_BACK);
	rig_settle(bed.rig, bed.now);
	return bed.sent_cnt;
}

static void
packets_wait_for_a_neighbour_within_limits(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		struct sl_addr asked = frame_addr("10.0.1.50");
		struct frame_spec r;
		start(w);
		/* The last worker has to have the first one ask. */
		CU_ASSERT_EQUAL(talk("10.0.1.50", w - 1, 7, &r), 0);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NEIGH_QUEUE), 3);
		bed.asked_cnt = 0;
		bed.now += 2000000;
		rig_settle(bed.rig, bed.now);
		CU_ASSERT_TRUE(bed.asked_cnt == 1 && sl_addr_eq(&bed.asked, &asked));
		bed_resolve("10.0.1.50");
		bed_clear();
		bed.now += 1000000;
		rig_settle(bed.rig, bed.now);
		CU_ASSERT_EQUAL(bed.sent_cnt, 4);
		for (unsigned i = 0; i < bed.sent_cnt; i++) {
			uint8_t mac[6];
			bed_mac(&asked, mac);
			CU_ASSERT_EQUAL(memcmp(bed.sent[i].bytes, mac, 6), 0);
			CU_ASSERT_EQUAL(memcmp(bed.sent[i].bytes + 6, rig_mac(bed.rig, 0), 6), 0);
			CU_ASSERT_PTR_NULL(frame_judge(bed.sent[i].bytes, bed.sent[i].len));
		}
		CU_ASSERT_EQUAL(bed_give(&r, BED_BACK), 1);
		bed_stop();
	}
}

static void
all_waiting_packets_together_have_a_limit(void)
{
	start(1);
	for (unsigned i = 0; i < 80; i++) {
		char client[32];
		struct frame_spec r;
		snprintf(client, sizeof(client), "10.0.1.%u", 20 + i);
		CU_ASSERT_EQUAL(talk(client, 0, 4, &r), 0);
	}
	CU_ASSERT_EQUAL(rig_in_use(bed.rig), 256);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NEIGH_QUEUE), 80 * 4 - 256);
	bed_wait(2 * BED_S);
	CU_ASSERT_EQUAL(rig_in_use(bed.rig), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NEIGH_PENDING), 256);
	bed_stop();
}

/* More clients than the route cache has places, all on the link: each gets its own packets. */
static void
every_client_gets_its_own_packets(void)
{
	for (unsigned w = 1; w <= 2; w++) {
		start(w);
		for (unsigned i = 0; i < 2 * 456; i++) {
			bool v4 = i % 2;
			char client[32];
			uint8_t mac[6];
			snprintf(client, sizeof(client), v4 ? "10.0.1.%u" : "fd00:1::%x",
				 2 + i / 2 % 228);
			struct sl_addr a = frame_addr(client);
			bed_mac(&a, mac);
			bed_resolve(client);
			struct frame_spec s = bed_packet(
				client, 4000, v4 ? "192.0.2.1" : "2001:db8::1", 80, 17, 0);
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			struct frame_spec r = bed_answer(&bed.sent[0], 0);
			CU_ASSERT_EQUAL_FATAL(bed_give(&r, BED_BACK), 1);
			CU_ASSERT_EQUAL(memcmp(bed.sent[0].bytes, mac, 6), 0);
		}
		bed_stop();
	}
}

static void
a_push_moves_the_routes(void)
{
	uint8_t mac[6];
	struct sl_addr via = frame_addr("10.0.1.253");

	start(2);
	struct frame_spec s = bed_packet("198.51.100.9", 4000, "192.0.2.1", 80, 17, 0);
	CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
	struct frame_spec r = bed_answer(&bed.sent[0], 0);
	CU_ASSERT_EQUAL_FATAL(bed_give(&r, BED_BACK), 1);
	char *text = bed_table("", "");
	memcpy(strstr(text, "10.0.1.254"), "10.0.1.253", 10);
	bed_push(text);
	free(text);
	bed_resolve("10.0.1.253");
	CU_ASSERT_EQUAL_FATAL(bed_give(&r, BED_BACK), 1);
	bed_mac(&via, mac);
	CU_ASSERT_EQUAL(memcmp(bed.sent[0].bytes, mac, 6), 0);
	struct sl_explained e = rig_explain(bed.rig, &r.t, 0, BED_BACK, bed.now);
	CU_ASSERT_EQUAL(e.pkt.why, SL_WHY_REPLY);
	CU_ASSERT_TRUE(sl_addr_eq(&e.next, &via));
	bed_stop();
}

static void
next_hops_of_a_push_are_asked_for_at_once_and_old_ones_forgotten(void)
{
	start(2);
	bed_resolve("10.0.2.11");
	char *text = bed_table("", ""), *at = text;
	while ((at = strstr(at, "10.0.2.11")))
		memcpy(at, "10.0.2.33", 9);
	bed_push(text);
	free(text);
	bed_wait(40000000);
	CU_ASSERT_TRUE(known("10.0.2.33", BED_BACK));
	CU_ASSERT_TRUE(bed.asked_cnt > 0);
	for (unsigned i = 0; i < 10000; i++) /* nobody answers */
		rig_turn(bed.rig, bed.now += 20000000);
	CU_ASSERT_TRUE(known("10.0.2.12", BED_BACK));
	CU_ASSERT_FALSE(known("10.0.2.11", BED_BACK));
	bed_stop();
}

/* bed_table with other endpoints in place of 10.0.2.11 and .12. */
static struct table_view
table_of(const char *a, const char *b)
{
	char *text = bed_table("", ""), *at;

	for (at = text; (at = strstr(at, "10.0.2.1")); at += 9)
		if (at[8] != '/')
			memcpy(at, at[8] == '1' ? a : b, 9);
	struct table_view v = table_push(&bed.table, text);
	free(text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(v.view);
	return v;
}

static void
a_view_whose_forerunner_nobody_saw_is_pinned_whole(void)
{
	start(2);
	struct table_view unseen = table_of("10.0.2.33", "10.0.2.12"), old = bed.view;
	sl_view_follow(unseen.view, old.view);
	bed.view = table_of("10.0.2.33", "10.0.2.44");
	sl_view_follow(bed.view.view, unseen.view);
	CU_ASSERT_EQUAL(unseen.view->fresh_cnt, 2); /* nat4 and dsr4 */
	CU_ASSERT_EQUAL(bed.view.view->fresh_cnt, 2);
	rig_publish(bed.rig, bed.view.view);
	bed_wait(40000000);
	CU_ASSERT_TRUE(known("10.0.2.33", BED_BACK));
	CU_ASSERT_TRUE(known("10.0.2.44", BED_BACK));
	table_release(&unseen);
	table_release(&old);
	bed_stop();
}

/* A view each turn: a pass over all of them ends all the same. */
static void
views_that_come_fast_are_pinned_to_their_end(void)
{
	enum { SERVICES = 60 };
	struct table_text more = {0}, listeners = {0};
	struct rig_conf c = {.workers = 1, .flows = 4096, .seed = 5};
	struct table_view v[12];
	char last[16];

	for (unsigned i = 0; i < SERVICES; i++) {
		table_append(&more, ",{name=\"m%u\";forward=\"dsr\";endpoints=(", i);
		for (unsigned k = 0; k < 3; k++)
			table_append(&more, "%s{name=\"e%u\";address=\"10.0.2.%u\";port=80;}",
				     k ? "," : "", k, 20 + 3 * i + k);
		table_append(&more, ");}");
	}
	table_append(&listeners, "%s", "");
	char *text = bed_table(more.buf, listeners.buf);
	bed_start(&c, NULL);
	struct table_view first = bed.view;
	for (unsigned i = 0; i < SL_ARRAY_CNT(v); i++) { /* another one each turn */
		v[i] = table_push(&bed.table, text);
		CU_ASSERT_PTR_NOT_NULL_FATAL(v[i].view);
		rig_publish(bed.rig, v[i].view);
		rig_turn(bed.rig, bed.now += 20000);
	}
	snprintf(last, sizeof(last), "10.0.2.%u", 20 + 3 * SERVICES - 1);
	CU_ASSERT_TRUE(known(last, BED_BACK));
	bed.view = v[SL_ARRAY_CNT(v) - 1];
	for (unsigned i = 0; i + 1 < SL_ARRAY_CNT(v); i++)
		table_release(&v[i]);
	table_release(&first);
	free(text);
	free(more.buf);
	free(listeners.buf);
	bed_stop();
}

static void
hints_are_those_of_the_view_before(void)
{
	start(1);
	bed_wait(40000000);
	struct table_view old = bed.view;
	bed.view = table_of("10.0.2.33", "10.0.2.12");
	rig_publish(bed.rig, bed.view.view);
	for (uint32_t i = 0; i < bed.view.view->hop_cnt; i++) {
		const struct sl_hop *h = &bed.view.view->hops[i];
		if (!h->incarnation)
			continue;
		struct sl_addr fresh = frame_addr("10.0.2.33");
		uint32_t at = sl_neigh_find(rig_neigh(bed.rig), h->out_port, &h->next);
		CU_ASSERT_EQUAL(at == SL_NEIGH_NONE, sl_addr_eq(&h->next, &fresh));
		CU_ASSERT_EQUAL(h->neigh, at);
	}
	table_release(&old);
	bed_stop();
}

/* An on-link client is no next hop of the table: its traffic alone keeps it in mind. */
static void
traffic_keeps_a_neighbour(void)
{
	struct frame_spec r;

	start(1);
	bed_resolve("10.0.1.50");
	CU_ASSERT_EQUAL(talk("10.0.1.50", 0, 1, &r), 1);
	for (unsigned i = 0; i < 40; i++) {
		for (unsigned k = 0; k < 250; k++) {
			bed.asked_cnt = 0;
			bed_wait(20000000);
			if (bed.asked_cnt)
				bed_resolve("10.0.1.50");
		}
		CU_ASSERT_EQUAL(bed_give(&r, BED_BACK), 1);
	}
	for (unsigned i = 0; i < 10; i++)
		bed_wait(20 * BED_S);
	CU_ASSERT_FALSE(known("10.0.1.50", BED_FRONT));
	bed_stop();
}

/* ---- flows and counters ---- */

static void
packets_of_one_burst_share_a_new_flow(void)
{
	static const char *const vip[] = {"192.0.2.1", "192.0.2.2"};

	for (unsigned w = 1; w <= 3; w++)
		for (unsigned i = 0; i < 2; i++) {
			start(w);
			struct frame_spec s = bed_packet("198.51.100.9", 7, vip[i], 80, 17, 0);
			for (unsigned k = 0; k < 20; k++)
				bed_inject(&s, BED_FRONT);
			rig_settle(bed.rig, bed.now);
			CU_ASSERT_EQUAL(bed.sent_cnt, 20);
			CU_ASSERT_EQUAL(bed_active(), i ? 1 : 2);
			bed_stop();
		}
}

static const struct {
	uint8_t flags;
	unsigned active, embryonic;
	const char *reason;
} openers[] = {
	{SL_TCP_SYN, 1, 1, "opens"},
	{SL_TCP_ACK, 1, 1, "in the middle of a flow, after a restart: kept, unproven"},
	{SL_TCP_FIN | SL_TCP_ACK, 1, 1, "ends a flow that is not there: kept for its last packets"},
	{SL_TCP_RST, 0, 0, "ends what is not there"},
};

static void
the_first_packet_decides_what_is_remembered(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(openers); i++) {
		struct sl_flow_usage u;
		start(1);
		struct frame_spec s =
			bed_packet("198.51.100.9", 7, "192.0.2.2", 80, 6, openers[i].flags);
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
		sl_flow_usage(rig_flows(bed.rig, 0), &u);
		CU_ASSERT_EQUAL(u.active, openers[i].active);
		CU_ASSERT_EQUAL(u.embryonic, openers[i].embryonic);
		bed_stop();
	}
}

static void
explain_does_not_advance_the_schedule(void)
{
	char *text = bed_table(
		", { name = \"rr\"; forward = \"nat\"; policy = \"round_robin\"; endpoints = ( "
		"{ name = \"a\"; address = \"10.0.2.21\"; port = 80; }, "
		"{ name = \"b\"; address = \"10.0.2.22\"; port = 80; }, "
		"{ name = \"c\"; address = \"10.0.2.23\"; port = 80; } ); }",
		", { name = \"rr\"; address = \"192.0.2.9\"; port = 80; protocol = \"tcp\"; "
		"mode = \"l4\"; service = \"rr\"; }");
	struct rig_conf c = {.workers = 1, .flows = 4096, .seed = 3};

	bed_start(&c, text);
	free(text);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const ep[] = {"10.0.2.21", "10.0.2.22", "10.0.2.23"};
		bed_resolve(ep[i]);
	}
	for (unsigned i = 0; i < 9; i++) {
		struct frame_spec s =
			bed_packet("198.51.100.9", 100 + i, "192.0.2.9", 80, 6, SL_TCP_SYN);
		struct sl_explained e = {0};
		for (unsigned k = 0; k < 4; k++)
			e = rig_explain(bed.rig, &s.t, SL_TCP_SYN, BED_FRONT, bed.now);
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		struct sl_tuple t = frame_tuple(bed.sent[0].bytes);
		CU_ASSERT_EQUAL(memcmp(&t, &e.out, sizeof(t)), 0);
	}
	bed_stop();
}

static void
a_conversation_is_counted(void)
{
	for (unsigned w = 1; w <= 3; w++) {
		struct sl_stats_endpoint e = {0};
		struct sl_stats_listener l = {0};
		uint64_t active = 0, bytes = 0;
		start(w);
		struct frame_spec s = bed_packet("198.51.100.9", 7, "192.0.2.1", 80, 17, 0);
		CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
		bytes = bed.sent[0].len;
		struct frame_spec r = bed_answer(&bed.sent[0], 0);
		unsigned last = frame_tuple(bed.sent[0].bytes).dst.b[15];
		uint32_t slot = table_slot(bed.view.view, "nat4", last == 11 ? "a" : "b");
		for (unsigned i = 0; i < 4; i++)
			bed_give(&s, BED_FRONT);
		for (unsigned i = 0; i < 3; i++)
			bed_give(&r, BED_BACK);
		bed_wait(BED_S);
		for (unsigned i = 0; i < w; i++)
			active += rig_stats(bed.rig, i)->flow_active;
		CU_ASSERT_EQUAL(active, 2);
		bed_wait(50 * BED_S);
		uint32_t li = sl_view_listener(bed.view.view, &s.t.dst, s.t.dport, 17);
		uint32_t lslot = bed.view.view->listeners[li].slot;
		for (unsigned i = 0; i < w; i++) {
			void *seg = rig_stats_segment(bed.rig);
			struct sl_stats_endpoint *we = &sl_stats_endpoints(seg, i)[slot];
			struct sl_stats_listener *wl = &sl_stats_listeners(seg, i)[lslot];
			e.packets += we->packets;
			e.bytes += we->bytes;
			e.reply_packets += we->reply_packets;
			e.new_flows += we->new_flows;
			e.ended_flows += we->ended_flows;
			l.packets += wl->packets;
			l.new_flows += wl->new_flows;
			CU_ASSERT_EQUAL(rig_stats(bed.rig, i)->flow_active, 0);
		}
		CU_ASSERT_EQUAL(e.packets, 5);
		CU_ASSERT_EQUAL(e.bytes, 5 * bytes);
		CU_ASSERT_EQUAL(e.reply_packets, 3);
		CU_ASSERT_EQUAL(e.new_flows, 1);
		CU_ASSERT_EQUAL(e.ended_flows, 1);
		CU_ASSERT_EQUAL(l.packets, 5);
		CU_ASSERT_EQUAL(l.new_flows, 1);
		bed_stop();
	}
}

SL_SUITE("local", SL_TEST(echo_is_answered_for_own_addresses_and_vips),
	 SL_TEST(echo_to_others_is_not_answered), SL_TEST(echo_answers_are_limited_by_rate),
	 SL_TEST(neighbours_are_answered_on_every_port),
	 SL_TEST(packets_wait_for_a_neighbour_within_limits),
	 SL_TEST(all_waiting_packets_together_have_a_limit),
	 SL_TEST(every_client_gets_its_own_packets), SL_TEST(a_push_moves_the_routes),
	 SL_TEST(next_hops_of_a_push_are_asked_for_at_once_and_old_ones_forgotten),
	 SL_TEST(a_view_whose_forerunner_nobody_saw_is_pinned_whole),
	 SL_TEST(views_that_come_fast_are_pinned_to_their_end),
	 SL_TEST(hints_are_those_of_the_view_before), SL_TEST(traffic_keeps_a_neighbour),
	 SL_TEST(packets_of_one_burst_share_a_new_flow),
	 SL_TEST(the_first_packet_decides_what_is_remembered),
	 SL_TEST(explain_does_not_advance_the_schedule), SL_TEST(a_conversation_is_counted))
