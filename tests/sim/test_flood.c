/* More than there is room for: floods of SYNs and of UDP, full tables, full rings and mailboxes.  What is lost is
 * counted, what was there goes on, and afterwards everything is as before. */
#include "tests/suite.h"

#include "tests/sim/bed.h"

#define NAT "192.0.2.1"
#define DSR "192.0.2.2"
#define MS 1000000ull

static uint64_t seed = 1;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)((seed >> 33) % n);
}

static void
start(unsigned workers, uint32_t flows, unsigned ring, unsigned tx_max)
{
	struct rig_conf c = {.workers = workers,
			     .flows = flows,
			     .seed = 11 + workers,
			     .ring = ring,
			     .tx_max = tx_max};

	seed = 1;
	bed_start(&c, NULL);
}

static uint64_t
total(size_t off)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		n += *(uint64_t *)(void *)((char *)rig_stats(bed.rig, w) + off);
	return n;
}
#define TOTAL(field) total(offsetof(struct sl_stats_worker, field))

/* Received = forwarded + consumed + dropped; what a full queue dropped had been forwarded. */
static void
account(void)
{
	uint64_t late = rig_drops(bed.rig, SL_DROP_TX_FULL) + rig_drops(bed.rig, SL_DROP_NO_BUFFER);
	uint64_t by_reason = 0;

	for (unsigned d = 0; d < SL_DROP_CNT; d++)
		by_reason += rig_drops(bed.rig, d);
	CU_ASSERT_EQUAL(by_reason, TOTAL(dropped));
	CU_ASSERT_EQUAL(TOTAL(rx_packets),
			TOTAL(forwarded) + TOTAL(consumed) + TOTAL(dropped) - late);
}

static struct frame_spec
stranger(const char *vip, uint8_t proto, uint8_t flags)
{
	struct frame_spec s = bed_packet("1.0.0.0", 1024 + rnd(64000), vip, 80, proto, flags);

	s.t.src.b[12] = (uint8_t)(1 + rnd(9));
	s.t.src.b[13] = (uint8_t)rnd(256);
	s.t.src.b[14] = (uint8_t)rnd(256);
	s.t.src.b[15] = (uint8_t)rnd(256);
	return s;
}

/* Endpoints answer what reaches them; called after each turn with what was sent. */
static void
endpoints_answer(void)
{
	static struct frame_spec out[BED_SENT];
	unsigned n = 0;

	for (unsigned i = 0; i < bed.sent_cnt; i++) {
		const struct bed_frame *f = &bed.sent[i];
		struct sl_tuple t = frame_tuple(f->bytes);
		if (f->port != BED_BACK || t.dst.b[14] != 2 || t.dst.b[12] != 10)
			continue; /* a dsr endpoint answers past the gateway */
		uint8_t flags = t.proto == 6 ? f->bytes[47] : 0;
		out[n++] = bed_answer(f, flags & SL_TCP_SYN ? SL_TCP_SYN | SL_TCP_ACK : SL_TCP_ACK);
	}
	for (unsigned i = 0; i < n; i++)
		bed_inject(&out[i], BED_BACK);
}

/* ---- good clients ---- */

#define GOOD_MAX 4000
struct good {
	struct frame_spec s;
	bool nat, established, lost;
	unsigned heard, asked, endpoint;
	uint64_t at; /* next packet */
};
static struct good good[GOOD_MAX];
static unsigned good_cnt;

static void
good_open(const char *vip, bool nat)
{
	struct good *g = &good[good_cnt];

	*g = (struct good){.s = bed_packet("198.18.0.0", 1024 + good_cnt, vip, 80, 6, SL_TCP_SYN),
			   .nat = nat,
			   .at = bed.now};
	g->s.t.src.b[14] = (uint8_t)(good_cnt >> 8);
	g->s.t.src.b[15] = (uint8_t)good_cnt;
	good_cnt++;
}

static struct good *
good_of(const struct sl_addr *client)
{
	unsigned i = (unsigned)client->b[14] << 8 | client->b[15];

	return client->b[12] == 198 && client->b[13] == 18 && i < good_cnt ? &good[i] : NULL;
}

/* An answer is heard from the VIP (nat), or when the packet reaches its dsr endpoint. */
static void
good_hear(void)
{
	for (unsigned i = 0; i < bed.sent_cnt; i++) {
		const struct bed_frame *f = &bed.sent[i];
		struct sl_tuple t = frame_tuple(f->bytes);
		struct good *g = good_of(f->port == BED_FRONT ? &t.dst : &t.src);
		if (!g)
			continue;
		if (f->port == BED_FRONT) {
			CU_ASSERT_TRUE(sl_addr_eq(&t.src, &g->s.t.dst));
		} else {
			unsigned who = f->bytes[5];
			if (g->established && g->endpoint != who)
				g->lost = true;
			g->endpoint = who;
			if (g->nat)
				continue;
		}
		g->heard++;
		if (g->s.tcp_flags == SL_TCP_SYN) {
			g->s.tcp_flags = SL_TCP_ACK;
			g->at = bed.now; /* the ACK at once, then a packet every 100 ms */
		} else {
			g->established = true;
		}
	}
}

static void
good_send(void)
{
	for (unsigned i = 0; i < good_cnt; i++) {
		struct good *g = &good[i];
		if (g->at > bed.now)
			continue;
		g->asked++;
		g->at = bed.now + (g->s.tcp_flags == SL_TCP_SYN ? 1000 : 200) * MS;
		bed_inject(&g->s, BED_FRONT);
	}
}

/* A step of 10 ms of everything. */
static void
step(void)
{
	bed.now += 10 * MS;
	good_send();
	for (unsigned i = 0; i < 4; i++) {
		bed_clear();
		rig_turn(bed.rig, bed.now);
		for (unsigned k = 0; k < 8; k++)
			rig_turn(bed.rig, bed.now);
		good_hear();
		endpoints_answer();
	}
	bed_resolve("10.0.1.254");
	bed_resolve("10.0.2.11");
	bed_resolve("10.0.2.12");
}

static void
a_syn_flood_spares_good_clients(void)
{
	for (unsigned w = 1; w <= 2; w++) {
		unsigned served = 0;
		start(w, 4096, 0, 0);
		good_cnt = 0;
		for (unsigned i = 0; i < 200; i++)
			good_open(i % 2 ? NAT : DSR, i % 2);
		for (unsigned i = 0; i < 100; i++)
			step();
		for (unsigned i = 0; i < 200; i++) {
			CU_ASSERT_TRUE_FATAL(good[i].established);
			good[i].heard = good[i].asked = 0;
		}
		/* 8 s: 10,000 SYNs a second for tables of 1,024 half-open flows, 100 good ones beside. */
		for (unsigned i = 0; i < 800; i++) {
			for (unsigned k = 0; k < 100; k++) {
				struct frame_spec s = stranger(k % 2 ? NAT : DSR, 6, SL_TCP_SYN);
				bed_inject(&s, BED_FRONT);
			}
			if (i < 500)
				good_open(i % 2 ? NAT : DSR, i % 2);
			step();
			for (unsigned x = 0; x < w; x++) {
				struct sl_flow_usage u;
				sl_flow_usage(rig_flows(bed.rig, x), &u);
				CU_ASSERT_TRUE(u.embryonic <= 1024);
			}
		}
		for (unsigned i = 0; i < good_cnt; i++) {
			if (i < 200) {
				CU_ASSERT_TRUE(good[i].heard >= 38 && !good[i].lost);
				CU_ASSERT_TRUE(good[i].heard + 1 >= good[i].asked);
			} else {
				served += good[i].established && good[i].heard >= 3;
			}
		}
		printf("\n    %u workers: %u of %u served ", w, served, good_cnt - 200);
		CU_ASSERT_TRUE(served * 100 >= (good_cnt - 200) * 99);
		/* What was not let in was counted. */
		CU_ASSERT_TRUE(rig_drops(bed.rig, SL_DROP_EMBRYONIC) > 0);
		CU_ASSERT_TRUE(TOTAL(maglev_only) > 0 && TOTAL(flow_evict) > 0);
		rig_settle(bed.rig, bed.now);
		account();
		bed_stop();
	}
}

static void
a_udp_flood_spares_what_is_established(void)
{
	for (unsigned w = 1; w <= 2; w++) {
		start(w, 4096, 0, 0);
		good_cnt = 0;
		for (unsigned i = 0; i < 200; i++)
			good_open(i % 2 ? NAT : DSR, i % 2);
		for (unsigned i = 0; i < 100; i++)
			step();
		for (unsigned i = 0; i < 500; i++) {
			for (unsigned k = 0; k < 50; k++) {
				struct frame_spec s = stranger(k % 2 ? NAT : DSR, 17, 0);
				bed_inject(&s, BED_FRONT);
			}
			if (i >= 300 && i < 350)
				good_open(DSR, false); /* goes on by Maglev alone */
			step();
		}
		for (unsigned i = 0; i < good_cnt; i++)
			CU_ASSERT_TRUE(good[i].established && !good[i].lost &&
				       good[i].heard + 1 >= good[i].asked);
		CU_ASSERT_TRUE(rig_drops(bed.rig, SL_DROP_FLOW_FULL) > 1000);
		CU_ASSERT_TRUE(TOTAL(maglev_only) > 1000);
		/* Half a minute later there is room again. */
		unsigned before = good_cnt;
		for (unsigned i = 0; i < 3300; i++)
			step();
		for (unsigned i = 0; i < 100; i++)
			good_open(NAT, true);
		for (unsigned i = 0; i < 50; i++)
			step();
		for (unsigned i = before; i < good_cnt; i++)
			CU_ASSERT_TRUE(good[i].established);
		rig_settle(bed.rig, bed.now);
		account();
		bed_stop();
	}
}

/* A flow that one FIN has opened is as unproved as one that a SYN has: it shares the cap, and nobody goes for it. */
static void
a_fin_flood_is_capped_like_one_of_syns(void)
{
	for (unsigned w = 1; w <= 2; w++) {
		start(w, 4096, 0, 0);
		good_cnt = 0;
		for (unsigned i = 0; i < 200; i++)
			good_open(i % 2 ? NAT : DSR, i % 2);
		for (unsigned i = 0; i < 100; i++)
			step();
		/* silent for long enough to be the first that would go */
		bed.now += 90 * BED_S;
		for (unsigned i = 0; i < 300; i++) {
			for (unsigned k = 0; k < 100; k++) {
				struct frame_spec s =
					stranger(k % 2 ? NAT : DSR, 6,
						 SL_TCP_FIN | (k & 2 ? SL_TCP_ACK : 0));
				bed_inject(&s, BED_FRONT);
			}
			bed_clear();
			rig_settle(bed.rig, bed.now += 10 * MS);
			for (unsigned x = 0; x < w; x++) {
				struct sl_flow_usage u;
				sl_flow_usage(rig_flows(bed.rig, x), &u);
				CU_ASSERT_TRUE(u.embryonic <= 1024);
				CU_ASSERT_TRUE(u.active <= 1024 + 300);
			}
		}
		for (unsigned i = 0; i < good_cnt; i++)
			CU_ASSERT_TRUE(bed_has(&good[i].s.t));
		account();
		bed_stop();
	}
}

/* Where a forward half is, its reply half is, and the other way round. */
static unsigned
unpaired(const struct frame_spec *s, unsigned cnt)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cnt; i++) {
		bool reply = false;
		for (unsigned e = 11; e <= 12; e++) {
			struct sl_tuple t = {.src = frame_addr(e == 11 ? "10.0.2.11" : "10.0.2.12"),
					     .dst = s[i].t.src,
					     .sport = sl_to_be16(8080),
					     .dport = s[i].t.sport,
					     .proto = s[i].t.proto};
			reply |= bed_has(&t);
		}
		n += reply != bed_has(&s[i].t);
	}
	return n;
}

/* What leaves without its flow cannot be answered.  (Where the reply half is another worker's, its refusal comes
 * after the packet.) */
static void
give_whole(struct frame_spec *s)
{
	unsigned out = bed_give(s, BED_FRONT);

	CU_ASSERT_TRUE(out <= 1);
	if (bed.conf.workers == 1)
		CU_ASSERT_EQUAL(out, bed_has(&s->t));
}

/* A full table is where an insert can push out the other half of its own flow. */
static void
a_full_table_holds_whole_flows_alone(void)
{
	static struct frame_spec all[6000];

	for (unsigned w = 1; w <= 3; w++)
		for (unsigned est = 0; est < 2; est++) {
			unsigned n = 0;
			/* odd: the last place goes to a forward half */
			start(w, 1025, 0, 0);
			for (; n < (est ? 509 * w : 0); n++) {
				all[n] = stranger(NAT, 6, SL_TCP_SYN);
				give_whole(&all[n]);
				all[n].tcp_flags = SL_TCP_ACK;
				give_whole(&all[n]);
			}
			for (; n < 5000; n++) {
				all[n] = stranger(NAT, rnd(8) ? 6 : 17, SL_TCP_SYN);
				give_whole(&all[n]);
				if (n % 1000 == 0) {
					bed.now += 100 * MS;
					CU_ASSERT_EQUAL(unpaired(all, n), 0);
				}
			}
			CU_ASSERT_EQUAL(unpaired(all, n), 0);
			CU_ASSERT_TRUE(bed_active() <= 1025 * w);
			CU_ASSERT_TRUE(rig_drops(bed.rig, SL_DROP_EMBRYONIC) +
					       rig_drops(bed.rig, SL_DROP_FLOW_FULL) >
				       100);
			/* Each flow that was counted in is counted out, but those there are. */
			uint64_t opened = 0, ended = 0;
			for (unsigned x = 0; x < w; x++)
				for (unsigned e = 0; e < 16; e++) {
					struct sl_stats_endpoint *s = &sl_stats_endpoints(
						rig_stats_segment(bed.rig), x)[e];
					opened += s->new_flows;
					ended += s->ended_flows;
				}
			CU_ASSERT_EQUAL(opened - ended, bed_active() / 2);
			account();
			bed_stop();
		}
}

/* An attacker may know the RSS key: tuples of one Toeplitz bucket are all one worker's, and no more than that. */
static void
tuples_of_one_rss_bucket_spread_over_the_flow_table(void)
{
	unsigned sent = 0;

	start(1, 16384, 0, 0);
	while (sent < 9000) {
		struct frame_spec s = stranger(DSR, 17, 0);
		if (sl_rss_bucket(sl_rss_hash(rig_rss(bed.rig), &s.t)) != 5)
			continue;
		/* twice: one packet alone counts as half-open */
		bed_inject(&s, BED_FRONT);
		bed_inject(&s, BED_FRONT);
		if (++sent % 1000 == 0)
			rig_settle(bed.rig, bed.now);
	}
	CU_ASSERT_EQUAL(TOTAL(maglev_only), 0);
	CU_ASSERT_EQUAL(TOTAL(flow_evict), 0);
	CU_ASSERT_TRUE(bed_active() >= 8990); /* a few tuples may be drawn twice */
	bed_stop();
}

/* ---- rings ---- */

static const struct {
	unsigned workers, ring, tx_max;
	bool rss;
	const char *reason;
} tight[] = {
	{1, 0, 4, false, "a port that takes four of a burst"},
	{2, 4, 0, false, "rings of four places"},
	{3, 4, 0, false, "rings of four places, a worker without a port"},
	{3, 4, 0, true, "mailboxes of four places"},
	{3, 2, 1, false, "everything at its smallest"},
};

static void
full_rings_are_counted_and_recover(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(tight); i++) {
		struct rig_conf c = {.workers = tight[i].workers,
				     .flows = 8192,
				     .seed = 3,
				     .rss = tight[i].rss,
				     .ring = tight[i].ring,
				     .tx_max = tight[i].tx_max};
		seed = 1;
		bed_start(&c, NULL);
		uint64_t sent = 0;
		for (unsigned k = 0; k < 60; k++) {
			for (unsigned j = 0; j < 40; j++) {
				struct frame_spec s =
					stranger(j % 2 ? NAT : DSR, rnd(2) ? 6 : 17, SL_TCP_SYN);
				bed_inject(&s, BED_FRONT);
				s = stranger(j % 2 ? NAT : DSR, 6, SL_TCP_ACK);
				bed_inject(&s, BED_BACK);
			}
			bed_clear();
			rig_settle(bed.rig, bed.now += MS);
			sent += bed.sent_cnt;
		}
		uint64_t full = rig_drops(bed.rig, SL_DROP_TX_FULL) +
				rig_drops(bed.rig, SL_DROP_HANDOFF_FULL) +
				rig_drops(bed.rig, SL_DROP_MAILBOX_FULL);
		if (full == 0)
			printf("    %s: nothing was full\n", tight[i].reason);
		CU_ASSERT_TRUE(full > 0);
		CU_ASSERT_EQUAL(TOTAL(forwarded) - rig_drops(bed.rig, SL_DROP_TX_FULL), sent);
		CU_ASSERT_EQUAL(TOTAL(handoff_in), TOTAL(handoff_out));
		CU_ASSERT_EQUAL(TOTAL(msg_received), TOTAL(msg_sent));
		CU_ASSERT_EQUAL(rig_in_use(bed.rig), 0);
		account();
		bed_wait(40 * BED_S);
		CU_ASSERT_EQUAL(bed_active(), 0);
		for (unsigned k = 0; k < 100; k++) {
			struct frame_spec s =
				bed_packet("198.51.100.9", 100 + k, NAT, 80, 6, SL_TCP_SYN);
			CU_ASSERT_EQUAL_FATAL(bed_give(&s, BED_FRONT), 1);
			struct frame_spec r = bed_answer(&bed.sent[0], SL_TCP_SYN | SL_TCP_ACK);
			CU_ASSERT_EQUAL(bed_give(&r, BED_BACK), 1);
		}
		bed_stop();
	}
}

/* A change of state whose message found the mailbox full is told with the next packet. */
static void
a_lost_message_is_told_again(void)
{
	static struct frame_spec s[64], r[64];

	for (unsigned fin = 0; fin < 2; fin++) {
		struct rig_conf c = {
			.workers = 2, .flows = 4096, .seed = 3, .rss = true, .ring = 2};
		bed_start(&c, NULL);
		for (unsigned k = 0; k < 64; k++) {
			s[k] = bed_packet("198.51.100.9", 100 + k, NAT, 80, 6, SL_TCP_SYN);
			CU_ASSERT_EQUAL_FATAL(bed_give(&s[k], BED_FRONT), 1);
			r[k] = bed_answer(&bed.sent[0], SL_TCP_ACK);
			s[k].tcp_flags = SL_TCP_ACK;
			if (fin)
				bed_give(&s[k], BED_FRONT);
		}
		/* All at once, so that most messages find the mailbox full; then one by one. */
		for (unsigned k = 0; k < 64; k++) {
			s[k].tcp_flags = fin ? SL_TCP_FIN | SL_TCP_ACK : SL_TCP_ACK;
			bed_inject(&s[k], BED_FRONT);
		}
		rig_settle(bed.rig, bed.now);
		CU_ASSERT_TRUE(TOTAL(msg_lost) > 5);
		for (unsigned k = 0; k < 64; k++) {
			s[k].tcp_flags = SL_TCP_ACK;
			bed_give(&s[k], BED_FRONT);
			if (fin) {
				r[k].tcp_flags = SL_TCP_FIN | SL_TCP_ACK;
				CU_ASSERT_EQUAL(bed_give(&r[k], BED_BACK), 1);
			}
		}
		bed_wait(fin ? 10 * BED_S : 45 * BED_S);
		CU_ASSERT_EQUAL(bed_active(), fin ? 0 : 128);
		for (unsigned k = 0; k < 64 && !fin; k++)
			CU_ASSERT_EQUAL(bed_give(&r[k], BED_BACK), 1);
		bed_stop();
	}
}

SL_SUITE("flood", SL_TEST(a_syn_flood_spares_good_clients),
	 SL_TEST(a_udp_flood_spares_what_is_established),
	 SL_TEST(a_fin_flood_is_capped_like_one_of_syns),
	 SL_TEST(a_full_table_holds_whole_flows_alone),
	 SL_TEST(tuples_of_one_rss_bucket_spread_over_the_flow_table),
	 SL_TEST(full_rings_are_counted_and_recover), SL_TEST(a_lost_message_is_told_again))
