/* ICMP errors about streams: which are believed, and what they change. */
#include "../../suite.h"
#include "tcp_bed.h"

static struct tcp_bed *b;
static struct sl_tcp *t;
static struct sl_stream *s;
static uint32_t iss;

/* A client's stream with 4,000 bytes under way. */
static void
begin(uint16_t mtu)
{
	static const char text[4000];

	b = tcp_bed_create(&(struct tcp_bed_conf){.mtu = mtu});
	t = tcp_bed_stack(b);
	s = tcp_bed_accept(b, &(struct sl_tcp_options){.mss = 8960, .sack_ok = true}, &iss);
	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT_EQUAL(sl_stream_write(s, text, sizeof(text)), sizeof(text));
	tcp_bed_run(b, 0);
	tcp_bed_clear(b);
}

static void
too_big(uint32_t seq, unsigned mtu)
{
	struct sl_tuple tuple = s->row.tuple;

	sl_tcp_icmp(t, &tuple, seq, true, mtu, false);
	tcp_bed_check(b);
}

static void
what_is_under_way_goes_again_in_smaller_segments(void)
{
	begin(1500);
	CU_ASSERT_EQUAL(s->row.mss, 1460);
	too_big(iss + 1, 1400);
	CU_ASSERT_EQUAL(s->row.mss, 1360);
	CU_ASSERT_EQUAL(tcp_bed_count(b, SL_TCP_PMTU), 1);
	tcp_bed_run(b, 0);
	CU_ASSERT_TRUE_FATAL(tcp_bed_sent(b) > 0);
	CU_ASSERT_EQUAL(tcp_bed_out(b, 0)->seq, iss + 1);
	for (unsigned i = 0; i < tcp_bed_sent(b); i++)
		CU_ASSERT_TRUE(tcp_bed_out(b, i)->ip_len <= 1400);
	tcp_bed_destroy(b);
}

static void
only_what_quotes_bytes_under_way_is_believed(void)
{
	static const struct {
		int32_t from_una;
		bool believed;
	} rows[] = {{-1, false},   {0, true},        {3999, true},
		    {4000, true}, /* an empty segment */
		    {4001, false}, {1 << 30, false}, {INT32_MIN, false}};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		begin(1500);
		too_big(iss + 1 + (uint32_t)rows[i].from_una, 1400);
		CU_ASSERT_EQUAL(s->pmtu, rows[i].believed ? 1400 : 1500);
		CU_ASSERT_EQUAL(tcp_bed_count(b, SL_TCP_BAD_ICMP), !rows[i].believed);
		tcp_bed_destroy(b);
	}
}

static void
the_mtu_goes_down_only_and_not_below_what_each_path_carries(void)
{
	static const struct {
		unsigned told, then;
	} rows[] = {{1500, 1500}, {1501, 1500}, {65535, 1500}, {100000, 1500}, {1499, 1499},
		    {577, 577},   {576, 576},   {575, 576},    {68, 576},      {1, 576}};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		begin(1500);
		too_big(iss + 1, rows[i].told);
		CU_ASSERT_EQUAL(s->pmtu, rows[i].then);
		CU_ASSERT_EQUAL(tcp_bed_count(b, SL_TCP_PMTU), rows[i].then < 1500);
		tcp_bed_destroy(b);
	}
}

static void
routers_that_do_not_say_are_guessed_by_plateaus(void)
{
	static const unsigned steps[] = {8166, 4352, 2002, 1492, 1006, 576, 576};

	begin(9000);
	for (size_t i = 0; i < SL_ARRAY_CNT(steps); i++) {
		too_big(iss + 1, 0);
		CU_ASSERT_EQUAL(s->pmtu, steps[i]);
	}
	tcp_bed_destroy(b);
}

static void
ipv6_is_not_cut_below_1280(void)
{
	b = tcp_bed_create(&(struct tcp_bed_conf){0});
	t = tcp_bed_stack(b);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN, .flags = SL_TCP_SYN, .v6 = true});
	tcp_bed_run(b, 0);
	iss = tcp_bed_last(b)->seq;
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = iss + 1,
				       .flags = SL_TCP_ACK,
				       .v6 = true});
	tcp_bed_run(b, 0);
	s = tcp_bed_user(b)->s;
	CU_ASSERT_FATAL(s != NULL);
	too_big(iss + 1, 68);
	CU_ASSERT_EQUAL(s->pmtu, 1280);
	tcp_bed_destroy(b);
}

static void
a_stream_that_opens_remembers_the_mtu(void)
{
	b = tcp_bed_create(&(struct tcp_bed_conf){0});
	t = tcp_bed_stack(b);
	s = tcp_bed_connect(b, &iss);
	CU_ASSERT_FATAL(s != NULL);
	too_big(iss, 1000);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN,
				       .ack = iss + 1,
				       .flags = SL_TCP_SYN | SL_TCP_ACK,
				       .o = {.mss = 1460},
				       .sport = 80,
				       .dport = sl_from_be16(s->row.tuple.dport)});
	tcp_bed_run(b, 0);
	CU_ASSERT_EQUAL(s->row.state, SL_STREAM_ESTABLISHED);
	CU_ASSERT_EQUAL(s->row.mss, 960);
	tcp_bed_destroy(b);
}

static void
unreachable_ends_only_what_is_not_open_yet_and_only_if_hard(void)
{
	struct sl_tuple tuple;

	begin(1500);
	tuple = s->row.tuple;
	sl_tcp_icmp(t, &tuple, iss + 1, false, 0, true);
	tcp_bed_run(b, 0);
	CU_ASSERT_EQUAL(s->row.state, SL_STREAM_ESTABLISHED);
	tcp_bed_destroy(b);

	b = tcp_bed_create(&(struct tcp_bed_conf){0});
	t = tcp_bed_stack(b);
	s = tcp_bed_connect(b, &iss);
	CU_ASSERT_FATAL(s != NULL);
	tuple = s->row.tuple;
	sl_tcp_icmp(t, &tuple, iss, false, 0, false);
	sl_tcp_icmp(t, &tuple, iss + 2, false, 0, true);
	sl_tcp_icmp(t, &tuple, iss - 1, false, 0, true);
	tcp_bed_run(b, 0);
	CU_ASSERT_EQUAL(tcp_bed_user(b)->closed, 0);
	CU_ASSERT_EQUAL(tcp_bed_count(b, SL_TCP_BAD_ICMP), 2);
	sl_tcp_icmp(t, &tuple, iss, false, 0, true);
	tcp_bed_run(b, 0);
	CU_ASSERT_EQUAL(tcp_bed_user(b)->closed, 1);
	CU_ASSERT_EQUAL(tcp_bed_user(b)->why, SL_END_UNREACHABLE);
	sl_tcp_icmp(t, &tuple, iss, false, 0, true); /* nobody's any more */
	tcp_bed_check(b);
	tcp_bed_destroy(b);
}

static void
what_waits_or_is_nobody_s_is_left_alone(void)
{
	begin(1500);
	struct sl_tuple tuple = s->row.tuple, other = tuple;
	other.sport ^= 1;
	sl_tcp_icmp(t, &other, iss + 1, true, 1400, false);
	CU_ASSERT_EQUAL(s->pmtu, 1500);
	sl_stream_shutdown(s);
	tcp_bed_run(b, 0);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = iss + 4002,
				       .flags = SL_TCP_ACK | SL_TCP_FIN});
	tcp_bed_run(b, 0);
	CU_ASSERT_EQUAL(t->timewait_used, 1);
	sl_tcp_icmp(t, &tuple, iss + 4002, true, 1400, false);
	sl_tcp_icmp(t, &tuple, iss + 4002, false, 0, true);
	tcp_bed_check(b);
	CU_ASSERT_EQUAL(t->timewait_used, 1);
	CU_ASSERT_EQUAL(tcp_bed_count(b, SL_TCP_PMTU) + tcp_bed_count(b, SL_TCP_BAD_ICMP), 0);
	tcp_bed_destroy(b);
}

SL_SUITE("icmp", SL_TEST(what_waits_or_is_nobody_s_is_left_alone),
	 SL_TEST(what_is_under_way_goes_again_in_smaller_segments),
	 SL_TEST(only_what_quotes_bytes_under_way_is_believed),
	 SL_TEST(the_mtu_goes_down_only_and_not_below_what_each_path_carries),
	 SL_TEST(routers_that_do_not_say_are_guessed_by_plateaus),
	 SL_TEST(ipv6_is_not_cut_below_1280), SL_TEST(a_stream_that_opens_remembers_the_mtu),
	 SL_TEST(unreachable_ends_only_what_is_not_open_yet_and_only_if_hard))
