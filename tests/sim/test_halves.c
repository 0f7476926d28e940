/* The two halves of a nat flow, wherever their workers are: they live and end together, and nothing that is said
 * about an old flow harms a new one. */
#include "tests/suite.h"

#include "tests/sim/bed.h"

#define VIP "192.0.2.1"
#define VIP2 "192.0.2.3" /* the same service as VIP */
#define VIP3 "192.0.2.4" /* another service on the same machines */
#define CLIENT "198.51.100.9"

static const char MORE[] =
	", { name = \"same\"; forward = \"nat\"; max_endpoints = 10; endpoints = ( "
	"{ name = \"a\"; address = \"10.0.2.11\"; port = 8080; }, "
	"{ name = \"b\"; address = \"10.0.2.12\"; port = 8080; } ); }";
static const char LISTENERS[] =
	", { name = \"vip2\"; address = \"192.0.2.3\"; port = 80; protocol = \"tcp\"; mode = "
	"\"l4\"; service = \"nat4\"; }"
	", { name = \"vip3\"; address = \"192.0.2.4\"; port = 80; protocol = \"tcp\"; mode = "
	"\"l4\"; service = \"same\"; }";

static unsigned ep_port = 8080; /* of nat endpoints: 8080 or 80 */

static void
start(unsigned workers, bool rss)
{
	struct rig_conf c = {.workers = workers, .flows = 4096, .seed = 5 + workers, .rss = rss};
	char *text = bed_table(MORE, LISTENERS);

	for (char *at = text; ep_port == 80 && (at = strstr(at, "port = 8080")) != NULL;)
		memcpy(at, "port = 80  ", 11);
	bed_start(&c, text);
	free(text);
}

/* A packet from the client; the endpoint's last byte, or 0. */
static unsigned
client(const char *vip, unsigned sport, uint8_t proto, uint8_t flags)
{
	struct frame_spec s = bed_packet(CLIENT, sport, vip, 80, proto, flags);

	return bed_give(&s, BED_FRONT) == 1 ? frame_tuple(bed.sent[0].bytes).dst.b[15] : 0;
}

/* A packet of the endpoint; the last byte of the source the client sees, or 0. */
static unsigned
endpoint(unsigned who, unsigned sport, uint8_t proto, uint8_t flags)
{
	char src[32];

	snprintf(src, sizeof(src), "10.0.2.%u", who);
	struct frame_spec s = bed_packet(src, ep_port, CLIENT, sport, proto, flags);
	return bed_give(&s, BED_BACK) == 1 ? frame_tuple(bed.sent[0].bytes).src.b[15] : 0;
}

static const struct {
	unsigned workers;
	bool rss;
} shapes[] = {{1, false}, {2, false}, {2, true}, {3, false}, {3, true}};

#define EACH_SHAPE for (unsigned i = 0; i < SL_ARRAY_CNT(shapes); i++)

static void
a_half_that_expires_takes_the_other_along(void)
{
	EACH_SHAPE for (unsigned late = 0; late < 2; late++)
	{
		start(shapes[i].workers, shapes[i].rss);
		unsigned who[40];
		for (unsigned k = 0; k < 40; k++) {
			CU_ASSERT_NOT_EQUAL(who[k] = client(VIP, 1000 + k, 17, 0), 0);
			CU_ASSERT_NOT_EQUAL(endpoint(who[k], 1000 + k, 17, 0), 0);
		}
		bed_wait(9 * BED_S);
		/* One side is seen again, too soon to tell the other. */
		for (unsigned k = 0; k < 40; k++)
			CU_ASSERT_NOT_EQUAL(late ? client(VIP, 1000 + k, 17, 0)
						 : endpoint(who[k], 1000 + k, 17, 0),
					    0);
		CU_ASSERT_EQUAL(bed_active(), 80);
		bed_wait(24 * BED_S); /* the other side expires at 30 s, this one would at 39 s */
		CU_ASSERT_EQUAL(bed_active(), 0);
		bed_stop();
	}
}

static void
replies_alone_keep_a_flow(void)
{
	EACH_SHAPE
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 10; k++) {
			unsigned who = client(VIP, 1000 + k, 17, 0);
			for (unsigned s = 0; s < 70; s += 5) {
				bed_wait(5 * BED_S);
				CU_ASSERT_EQUAL(endpoint(who, 1000 + k, 17, 0), 1);
			}
			CU_ASSERT_EQUAL(client(VIP, 1000 + k, 17, 0), who);
		}
		bed_stop();
	}
}

static void
questions_alone_keep_a_flow(void)
{
	EACH_SHAPE
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 10; k++) {
			unsigned who = client(VIP, 1000 + k, 17, 0);
			for (unsigned s = 0; s < 70; s += 5) {
				bed_wait(5 * BED_S);
				CU_ASSERT_EQUAL(client(VIP, 1000 + k, 17, 0), who);
			}
			CU_ASSERT_EQUAL(endpoint(who, 1000 + k, 17, 0), 1);
		}
		bed_stop();
	}
}

static void
the_clients_ack_establishes_both_halves(void)
{
	EACH_SHAPE
	{
		start(shapes[i].workers, shapes[i].rss);
		unsigned who[20];
		for (unsigned k = 0; k < 20; k++) {
			who[k] = client(VIP, 1000 + k, 6, SL_TCP_SYN);
			CU_ASSERT_EQUAL(endpoint(who[k], 1000 + k, 6, SL_TCP_SYN | SL_TCP_ACK), 1);
			CU_ASSERT_EQUAL(client(VIP, 1000 + k, 6, SL_TCP_ACK), who[k]);
		}
		bed_wait(45 * BED_S);
		CU_ASSERT_EQUAL(bed_active(), 40);
		for (unsigned k = 0; k < 20; k++)
			CU_ASSERT_EQUAL(endpoint(who[k], 1000 + k, 6, SL_TCP_ACK), 1);
		bed_stop();
	}
}

static void
a_syn_ack_alone_establishes_nothing(void)
{
	EACH_SHAPE
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 20; k++) {
			unsigned who = client(VIP, 1000 + k, 6, SL_TCP_SYN);
			CU_ASSERT_EQUAL(endpoint(who, 1000 + k, 6, SL_TCP_SYN | SL_TCP_ACK), 1);
		}
		bed_wait(35 * BED_S);
		CU_ASSERT_EQUAL(bed_active(), 0);
		bed_stop();
	}
}

static void
closed_flows_leave_soon(void)
{
	EACH_SHAPE for (unsigned reset = 0; reset < 2; reset++)
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 20; k++) {
			unsigned who = client(VIP, 1000 + k, 6, SL_TCP_SYN);
			client(VIP, 1000 + k, 6, SL_TCP_ACK);
			if (reset) {
				endpoint(who, 1000 + k, 6, SL_TCP_RST);
				continue;
			}
			client(VIP, 1000 + k, 6, SL_TCP_FIN | SL_TCP_ACK);
			CU_ASSERT_EQUAL(endpoint(who, 1000 + k, 6, SL_TCP_FIN | SL_TCP_ACK), 1);
			CU_ASSERT_EQUAL(client(VIP, 1000 + k, 6, SL_TCP_ACK), who);
		}
		CU_ASSERT_EQUAL(bed_active(), 40);
		bed_wait(10 * BED_S);
		CU_ASSERT_EQUAL(bed_active(), 0);
		bed_stop();
	}
}

/* The expired entries lie in the table until the sweep comes by: it must not take the new flow for them. */
static void
a_flow_that_comes_back_when_it_has_just_expired_lives(void)
{
	EACH_SHAPE
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned round = 0; round < 6; round++) {
			unsigned who[40];
			for (unsigned k = 0; k < 40; k++)
				who[k] = client(VIP, 1000 + k, 17, 0);
			bed_wait(3 * BED_S); /* a pass of the sweep */
			CU_ASSERT_EQUAL(bed_active(), 80);
			for (unsigned k = 0; k < 40; k++)
				CU_ASSERT_EQUAL(endpoint(who[k], 1000 + k, 17, 0), 1);
			bed_wait(30 * BED_S - 3 * BED_S + 100000000ull * round);
		}
		bed_stop();
	}
}

static uint64_t
refused(void)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		for (unsigned l = 0; l < 16; l++)
			n += sl_stats_listeners(rig_stats_segment(bed.rig), w)[l].refused;
	return n;
}

/* The same client port to the same endpoint by another VIP: replies could not be told apart. */
static void
a_conflicting_flow_is_refused_and_leaves_nothing(void)
{
	EACH_SHAPE
	{
		unsigned conflicts = 0;
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 60; k++) {
			unsigned first = client(VIP, 3000 + k, 6, SL_TCP_SYN);
			uint32_t before = bed_active();
			client(k % 2 ? VIP2 : VIP3, 3000 + k, 6, SL_TCP_SYN);
			uint32_t more = bed_active() - before;
			CU_ASSERT_TRUE(more == 0 || more == 2);
			conflicts += more == 0;
			CU_ASSERT_EQUAL(endpoint(first, 3000 + k, 6, SL_TCP_SYN | SL_TCP_ACK), 1);
		}
		CU_ASSERT_TRUE(conflicts > 10);
		CU_ASSERT_EQUAL(refused(), conflicts);
		bed_stop();
	}
}

/* A closed flow's reply half is taken over by a flow of another VIP; the old forward half's end, seconds later, is
 * not the new flow's. */
static void
the_end_of_an_old_flow_spares_the_one_that_took_its_place(void)
{
	EACH_SHAPE
	{
		unsigned taken = 0;
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 30; k++) {
			const char *other = k % 2 ? VIP2 : VIP3;
			unsigned last = k % 2 ? 3 : 4;
			unsigned who = client(VIP, 3000 + k, 6, SL_TCP_SYN);
			client(VIP, 3000 + k, 6, SL_TCP_ACK);
			endpoint(who, 3000 + k, 6, SL_TCP_FIN | SL_TCP_ACK);
			client(VIP, 3000 + k, 6, SL_TCP_FIN | SL_TCP_ACK);
			unsigned second = client(other, 3000 + k, 6, SL_TCP_SYN);
			CU_ASSERT_NOT_EQUAL(second, 0);
			CU_ASSERT_EQUAL(endpoint(second, 3000 + k, 6, SL_TCP_SYN | SL_TCP_ACK),
					last);
			CU_ASSERT_EQUAL(client(other, 3000 + k, 6, SL_TCP_ACK), second);
			taken += second == who;
			bed_wait(10 * BED_S);
			CU_ASSERT_EQUAL(endpoint(second, 3000 + k, 6, SL_TCP_ACK), last);
		}
		CU_ASSERT_TRUE(taken > 5);
		bed_stop();
	}
}

/* The endpoint leaves the table; its reply half expires much later, when the flow has long found another. */
static void
the_end_of_a_removed_endpoints_half_spares_the_flow(void)
{
	EACH_SHAPE
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 20; k++)
			client(VIP, 1000 + k, 17, 0);
		char *text = bed_table(MORE, LISTENERS);
		char *at = strstr(text, "{ name = \"a\"; address = \"10.0.2.11\"; port = 8080; },");
		memset(at, ' ', strlen("{ name = \"a\"; address = \"10.0.2.11\"; port = 8080; },"));
		bed_push(text);
		free(text);
		for (unsigned k = 0; k < 20; k++)
			CU_ASSERT_EQUAL(client(VIP, 1000 + k, 17, 0), 12);
		uint64_t inserted = 0, later = 0;
		for (unsigned w = 0; w < shapes[i].workers; w++)
			inserted += rig_stats(bed.rig, w)->flow_insert;
		for (unsigned s = 0; s < 50; s += 5) {
			bed_wait(5 * BED_S);
			for (unsigned k = 0; k < 20; k++)
				CU_ASSERT_EQUAL(client(VIP, 1000 + k, 17, 0), 12);
		}
		for (unsigned w = 0; w < shapes[i].workers; w++)
			later += rig_stats(bed.rig, w)->flow_insert;
		CU_ASSERT_EQUAL(inserted, later);
		CU_ASSERT_EQUAL(bed_active(), 40);
		bed_stop();
	}
}

/* A listener goes: the next packet ends both halves. */
static void
a_flow_whose_listener_is_gone_ends_whole(void)
{
	EACH_SHAPE
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 20; k++)
			client(VIP2, 1000 + k, 6, SL_TCP_SYN);
		CU_ASSERT_EQUAL(bed_active(), 40);
		char *text = bed_table("", "");
		bed_push(text);
		free(text);
		for (unsigned k = 0; k < 20; k++)
			CU_ASSERT_EQUAL(client(VIP2, 1000 + k, 6, SL_TCP_ACK), 0);
		CU_ASSERT_EQUAL(bed_active(), 0);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NO_FLOW), 20);
		bed_stop();
	}
}

/* What an operator makes of a service holds for new flows: those that are there keep their mode. */
static void
flows_keep_the_mode_they_were_opened_in(void)
{
	EACH_SHAPE for (unsigned to_dsr = 0; to_dsr < 2; to_dsr++)
	{
		const char *vip = to_dsr ? VIP : "192.0.2.2";
		ep_port = 80; /* dsr cannot change it */
		start(shapes[i].workers, shapes[i].rss);
		unsigned who[20];
		uint8_t mac[20][6];
		for (unsigned k = 0; k < 20; k++) {
			who[k] = client(vip, 1000 + k, 6, SL_TCP_SYN);
			memcpy(mac[k], bed.sent[0].bytes, 6);
		}
		char *text = bed_table(MORE, LISTENERS), *at;
		for (at = text; (at = strstr(at, "port = 8080")) != NULL;)
			memcpy(at, "port = 80  ", 11);
		at = text;
		while ((at = strstr(at, to_dsr ? "\"nat\";" : "\"dsr\";")))
			memcpy(at, to_dsr ? "\"dsr\";" : "\"nat\";", 6);
		bed_push(text);
		free(text);
		for (unsigned k = 0; k < 20; k++) {
			CU_ASSERT_EQUAL(client(vip, 1000 + k, 6, SL_TCP_ACK), who[k]);
			CU_ASSERT_EQUAL(memcmp(mac[k], bed.sent[0].bytes, 6), 0);
			if (to_dsr)
				CU_ASSERT_EQUAL(endpoint(who[k], 1000 + k, 6, SL_TCP_ACK), 1);
		}
		unsigned fresh = client(vip, 5000, 6, SL_TCP_SYN);
		CU_ASSERT_TRUE(to_dsr ? fresh == 1 : fresh == 11 || fresh == 12);
		bed_stop();
		ep_port = 8080;
	}
}

/* The reply may be at its worker's port, or in its ring, before that worker has turned since HALF was put. */
static void
the_reply_never_overtakes_the_half(void)
{
	for (unsigned i = 1; i < SL_ARRAY_CNT(shapes); i++) {
		unsigned n = shapes[i].workers, answered = 0;
		start(n, shapes[i].rss);
		for (unsigned k = 0; k < 60; k++) {
			struct frame_spec s = bed_packet(CLIENT, 2000 + k, VIP, 80, 6, SL_TCP_SYN);
			bed_clear();
			bed_inject(&s, BED_FRONT);
			/* Only as many turns as the packet needs, worker by worker. */
			for (unsigned t = 0; t < 4 * n && bed.sent_cnt == 0; t++)
				rig_turn_one(bed.rig, t % n, bed.now);
			CU_ASSERT_EQUAL_FATAL(bed.sent_cnt, 1);
			struct frame_spec r = bed_answer(&bed.sent[0], SL_TCP_SYN | SL_TCP_ACK);
			unsigned owner = sl_rss_bucket(sl_rss_hash(rig_rss(bed.rig), &r.t));
			owner = rig_rss(bed.rig)->owner[owner];
			bed_clear();
			bed_inject(&r, BED_BACK);
			for (unsigned w = 0; w < n; w++)
				if (w != owner)
					rig_turn_one(bed.rig, w, bed.now);
			rig_turn_one(bed.rig, owner, bed.now);
			rig_settle(bed.rig, bed.now);
			answered += bed.sent_cnt;
		}
		CU_ASSERT_EQUAL(answered, 60);
		bed_stop();
	}
}

static void
set_state(const char *name, unsigned flags)
{
	uint32_t slot = table_slot(bed.view.view, "nat4", name);

	rig_states(bed.rig)[slot].admin = sl_state_make((uint16_t)flags, SL_FRACTION_WHOLE,
							bed.view.view->hops[slot].incarnation);
}

static const struct {
	bool closed;
	unsigned flags;
	bool moves;
	const char *reason;
} again[] = {
	{false, 0, false, "SYN again, all is well"},
	{false, SL_ST_DRAIN, false, "SYN again: the answer may be on its way"},
	{false, SL_ST_UNHEALTHY, true, "SYN again: nobody will answer"},
	{true, 0, false, "new connection, same ports"},
	{true, SL_ST_DRAIN, true, "new connection to a draining endpoint"},
	{true, SL_ST_UNHEALTHY, true, "new connection to a dead endpoint"},
};

static void
a_syn_leaves_an_endpoint_that_takes_none(void)
{
	EACH_SHAPE for (unsigned c = 0; c < SL_ARRAY_CNT(again); c++)
	{
		start(shapes[i].workers, shapes[i].rss);
		for (unsigned k = 0; k < 20; k++) {
			set_state("a", 0);
			unsigned who = client(VIP, 1000 + k, 6, SL_TCP_SYN);
			if (again[c].closed)
				client(VIP, 1000 + k, 6, SL_TCP_RST);
			set_state("a", again[c].flags);
			unsigned now = client(VIP, 1000 + k, 6, SL_TCP_SYN);
			bool right = now == (who == 11 && again[c].moves ? 12 : who);
			if (!right)
				printf("    %s: from %u to %u\n", again[c].reason, who, now);
			CU_ASSERT_TRUE(right);
			CU_ASSERT_EQUAL(endpoint(now, 1000 + k, 6, SL_TCP_SYN | SL_TCP_ACK), 1);
		}
		CU_ASSERT_EQUAL(bed_active(), 40);
		bed_stop();
	}
}

SL_SUITE("halves", SL_TEST(a_half_that_expires_takes_the_other_along),
	 SL_TEST(replies_alone_keep_a_flow), SL_TEST(questions_alone_keep_a_flow),
	 SL_TEST(the_clients_ack_establishes_both_halves),
	 SL_TEST(a_syn_ack_alone_establishes_nothing), SL_TEST(closed_flows_leave_soon),
	 SL_TEST(a_flow_that_comes_back_when_it_has_just_expired_lives),
	 SL_TEST(a_conflicting_flow_is_refused_and_leaves_nothing),
	 SL_TEST(the_end_of_an_old_flow_spares_the_one_that_took_its_place),
	 SL_TEST(the_end_of_a_removed_endpoints_half_spares_the_flow),
	 SL_TEST(a_flow_whose_listener_is_gone_ends_whole),
	 SL_TEST(flows_keep_the_mode_they_were_opened_in),
	 SL_TEST(the_reply_never_overtakes_the_half),
	 SL_TEST(a_syn_leaves_an_endpoint_that_takes_none))
