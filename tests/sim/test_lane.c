/* Packets of a known flow take a short way that remembers where they go: what it remembers must not outlive its truth,
 * and what it counts must be what left.  All within one second of the worker's clock, which would renew it anyway. */
#include "tests/suite.h"

#include "tests/sim/bed.h"

static struct frame_spec s;

static char *
table(const char *dsr_a)
{
	static const char services[] =
		", { name = \"i4\"; forward = \"ipip\"; endpoints = ( { name = \"a\"; address = "
		"\"10.0.2.12\"; port = 0; } ); }\n";
	static const char listeners[] = ", { name = \"i4\"; address = \"192.0.2.9\"; port = 80; "
					"protocol = \"tcp\"; mode = \"l4\"; service = \"i4\"; }\n";
	char *text = bed_table(services, listeners), *at = strstr(text, "\"dsr4\"");

	at = strstr(at, "10.0.2.11");
	memcpy(at, dsr_a, 9);
	return text;
}

static void
start(void)
{
	struct rig_conf c = {.workers = 1, .flows = 4096, .seed = 11};
	char *text = table("10.0.2.11");

	bed_start(&c, text);
	free(text);
}

static struct sl_addr
mac_as_addr(const uint8_t *mac)
{
	return sl_addr_from_v4(mac + 2);
}

/* Where the flow's packet goes, by the endpoint's MAC; 0: nowhere. */
static unsigned
goes_to(struct frame_spec *f)
{
	return bed_give(f, BED_FRONT) == 1 ? mac_as_addr(bed.sent[0].bytes).b[15] : 0;
}

/* A flow to 10.0.2.11 or fd00:2::11 that has taken the short way twice. */
static void
flow_to_a(const char *src, const char *vip, uint8_t proto)
{
	for (unsigned sport = 2000; sport < 2100; sport++) {
		s = bed_packet(src, sport, vip, 80, proto, proto == 6 ? SL_TCP_SYN : 0);
		unsigned to = goes_to(&s);
		if (to == 11 || to == 0x11 || s.t.dst.b[15] == 9)
			break;
	}
	s.tcp_flags = proto == 6 ? SL_TCP_ACK : 0;
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_NOT_EQUAL_FATAL(goes_to(&s), 0);
}

static void
set_state(uint16_t flags)
{
	const struct sl_view *v = bed.view.view;

	for (uint32_t i = 0; i < v->hop_cnt; i++)
		if (v->hops[i].incarnation && v->hops[i].forward == SL_FORWARD_DSR &&
		    v->hops[i].addr.b[15] == 11 && v->hops[i].family == 4)
			rig_states(bed.rig)[i].admin =
				sl_state_make(flags, SL_FRACTION_WHOLE, v->hops[i].incarnation);
}

static void
a_neighbour_that_moves_is_followed(void)
{
	static const uint8_t other[6] = {2, 0x77, 1, 2, 3, 99};
	struct sl_addr a = frame_addr("10.0.2.11");

	start();
	flow_to_a("198.51.100.9", "192.0.2.2", 6);
	CU_ASSERT_EQUAL(goes_to(&s), 11);
	/* a claim alone moves nothing; its owner's answer to the question does */
	sl_neigh_heard(rig_neigh(bed.rig), BED_BACK, &a, other, false, false, bed.now);
	CU_ASSERT_EQUAL(goes_to(&s), 11);
	bed.asked_cnt = 0;
	rig_turn(bed.rig, bed.now += 2000000);
	CU_ASSERT_TRUE(bed.asked_cnt > 0);
	sl_neigh_heard(rig_neigh(bed.rig), BED_BACK, &a, other, true, false, bed.now);
	CU_ASSERT_EQUAL(goes_to(&s), 99);
	bed_stop();
}

static void
a_disabled_endpoint_gets_no_more(void)
{
	start();
	flow_to_a("198.51.100.9", "192.0.2.2", 6);
	set_state(SL_ST_UNHEALTHY);
	CU_ASSERT_EQUAL(goes_to(&s), 11); /* what is established goes on */
	set_state(SL_ST_DRAIN);
	CU_ASSERT_EQUAL(goes_to(&s), 11);
	set_state(SL_ST_DISABLED);
	CU_ASSERT_EQUAL(goes_to(&s), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_ENDPOINT_GONE), 1);
	bed_stop();
}

static void
udp_leaves_a_dead_endpoint_at_once(void)
{
	start();
	flow_to_a("198.51.100.9", "192.0.2.2", 17);
	CU_ASSERT_EQUAL(goes_to(&s), 11);
	set_state(SL_ST_UNHEALTHY);
	CU_ASSERT_EQUAL(goes_to(&s), 12);
	bed_stop();
}

static void
a_push_that_removes_the_endpoint_ends_the_flow(void)
{
	start();
	flow_to_a("198.51.100.9", "192.0.2.2", 6);
	char *text = table("10.0.2.33");
	bed_push(text);
	free(text);
	CU_ASSERT_EQUAL(goes_to(&s), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_ENDPOINT_GONE), 1);
	bed_stop();
}

/* 1500 bytes of IP go through a port; a tunnel takes 20 of them. */
static void
what_does_not_fit_is_answered(void)
{
	static const struct {
		const char *vip;
		unsigned most;
	} rows[] = {{"192.0.2.2", 1500}, {"192.0.2.9", 1480}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		start();
		flow_to_a("198.51.100.9", rows[i].vip, 6);
		s.payload = (uint16_t)(rows[i].most - 40);
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
		CU_ASSERT_EQUAL_FATAL(bed.sent[0].port, BED_BACK);
		CU_ASSERT_EQUAL(bed.sent[0].len, 14 + 1500);
		s.payload++;
		CU_ASSERT_EQUAL(bed_give(&s, BED_FRONT), 1);
		CU_ASSERT_EQUAL(bed.sent[0].port, BED_FRONT);
		CU_ASSERT_EQUAL(rig_stats(bed.rig, 0)->icmp_too_big, 1);
		bed_stop();
	}
}

static void
the_last_hop_of_a_ttl_is_not_taken(void)
{
	start();
	flow_to_a("198.51.100.9", "192.0.2.2", 6);
	s.ttl = 2;
	CU_ASSERT_EQUAL(goes_to(&s), 11);
	CU_ASSERT_EQUAL(bed.sent[0].bytes[22], 1);
	CU_ASSERT_PTR_NULL(frame_judge(bed.sent[0].bytes, bed.sent[0].len));
	s.ttl = 1;
	CU_ASSERT_EQUAL(goes_to(&s), 0);
	CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_TTL), 1);
	bed_stop();
}

static void
a_fin_leaves_the_short_way_and_closes(void)
{
	start();
	flow_to_a("198.51.100.9", "192.0.2.2", 6);
	s.tcp_flags = SL_TCP_FIN | SL_TCP_ACK;
	CU_ASSERT_EQUAL(goes_to(&s), 11);
	s.tcp_flags = SL_TCP_ACK;
	CU_ASSERT_EQUAL(goes_to(&s), 11);
	CU_ASSERT_TRUE(bed_has(&s.t));
	bed_wait(12 * BED_S);
	CU_ASSERT_FALSE(bed_has(&s.t));
	bed_stop();
}

/* Trains to two VIPs, and single packets between them. */
static void
every_packet_is_counted_where_it_went(void)
{
	static const uint8_t order[] = {0, 0, 0, 1, 0, 1, 1, 1, 2, 1, 0, 2, 2, 0};
	static const char *const vip[] = {"192.0.2.2", "2001:db8::2", "192.0.2.9"};
	struct frame_spec f[3];
	uint64_t ep_packets = 0, ep_bytes = 0, l_packets[3] = {0}, l_bytes[3] = {0};
	uint64_t want[3] = {0}, bytes[3] = {0};

	start();
	for (unsigned i = 0; i < 3; i++) {
		flow_to_a(i == 1 ? "2001:db8:c::9" : "198.51.100.9", vip[i], 6);
		f[i] = s;
	}
	const struct sl_view *v = bed.view.view;
	struct sl_stats_listener *ls = sl_stats_listeners(rig_stats_segment(bed.rig), 0);
	struct sl_stats_endpoint *es = sl_stats_endpoints(rig_stats_segment(bed.rig), 0);
	uint64_t hit = rig_stats(bed.rig, 0)->flow_hit, out = rig_stats(bed.rig, 0)->forwarded;
	for (int sign = -1; sign <= 1; sign += 2) {
		for (uint32_t i = 0; i < v->listener_cnt; i++)
			for (unsigned k = 0; k < 3; k++)
				if (sl_addr_eq(&v->listeners[i].addr, &f[k].t.dst) &&
				    v->listeners[i].proto == 6) {
					l_packets[k] +=
						(uint64_t)sign * ls[v->listeners[i].slot].packets;
					l_bytes[k] +=
						(uint64_t)sign * ls[v->listeners[i].slot].bytes;
				}
		for (uint32_t i = 0; i < v->hop_cnt; i++) {
			ep_packets += (uint64_t)sign * es[i].packets;
			ep_bytes += (uint64_t)sign * es[i].bytes;
		}
		if (sign > 0)
			break;
		for (unsigned i = 0; i < SL_ARRAY_CNT(order); i++) {
			f[order[i]].payload = (uint16_t)(100 + i);
			bed_inject(&f[order[i]], BED_FRONT);
			want[order[i]]++;
			bytes[order[i]] += 14u + (order[i] == 1 ? 40 : 20) + 20 + 100 + i;
		}
		bed_clear();
		rig_settle(bed.rig, bed.now);
	}
	CU_ASSERT_EQUAL(bed.sent_cnt, SL_ARRAY_CNT(order));
	for (unsigned k = 0; k < 3; k++) {
		CU_ASSERT_EQUAL(l_packets[k], want[k]);
		CU_ASSERT_EQUAL(l_bytes[k], bytes[k]);
	}
	CU_ASSERT_EQUAL(ep_packets, SL_ARRAY_CNT(order));
	CU_ASSERT_EQUAL(ep_bytes, bytes[0] + bytes[1] + bytes[2]);
	CU_ASSERT_EQUAL(rig_stats(bed.rig, 0)->flow_hit - hit, SL_ARRAY_CNT(order));
	CU_ASSERT_EQUAL(rig_stats(bed.rig, 0)->forwarded - out, SL_ARRAY_CNT(order));
	bed_stop();
}

SL_SUITE("lane", SL_TEST(a_neighbour_that_moves_is_followed),
	 SL_TEST(a_disabled_endpoint_gets_no_more), SL_TEST(udp_leaves_a_dead_endpoint_at_once),
	 SL_TEST(a_push_that_removes_the_endpoint_ends_the_flow),
	 SL_TEST(what_does_not_fit_is_answered), SL_TEST(the_last_hop_of_a_ttl_is_not_taken),
	 SL_TEST(a_fin_leaves_the_short_way_and_closes),
	 SL_TEST(every_packet_is_counted_where_it_went))
