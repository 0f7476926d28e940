/* TIME-WAIT: what ends it, what does not, and what is answered. */
#define LEAF_STREAMS 64
#define LEAF_TIMEWAITS 16
#include "leaf.h"

#define MS 1000000ull
#define BEGIN (1000000 * MS)

/* What was answered last, read from the packet. */
static struct {
	unsigned cnt;
	struct sl_tuple tuple; /* as packets arrive */
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags;
	struct sl_tcp_options o;
} sent;

static void *
alloc(void *ctx, uint8_t **ret_data)
{
	static uint8_t buf[256];

	(void)ctx;
	*ret_data = buf;
	return buf;
}

static void
take_sent(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
	  unsigned offload, unsigned mss)
{
	const uint8_t *l4 = l3 + 20;

	(void)ctx, (void)buf, (void)offload, (void)mss;
	sent.cnt++;
	sent.tuple = (struct sl_tuple){.src = *dst,
				       .dst = sl_addr_from_v4(l3 + 12),
				       .sport = sl_load16(l4 + 2),
				       .dport = sl_load16(l4),
				       .proto = l3[9]};
	sent.seq = sl_from_be32(sl_load32(l4 + 4));
	sent.ack = sl_from_be32(sl_load32(l4 + 8));
	sent.flags = l4[13];
	sent.wnd = sl_from_be16(sl_load16(l4 + 14));
	CU_ASSERT_TRUE(sl_options_parse(l4 + 20, len - 40, true, &sent.o));
}

#define SND_NXT 0xfffffff0u
#define RCV_NXT 5000u
#define TS_RECENT 0x80000010u

/* A stream that has closed, of port `n`; its entry. */
static uint32_t
enter(unsigned n, uint8_t flags, uint32_t for_ms)
{
	struct sl_tuple u = leaf_tuple(n);
	struct sl_stream *s = leaf_stream(n % LEAF_STREAMS, &u);

	s->row.flags = flags;
	s->row.snd_nxt = SND_NXT;
	s->rcv_nxt = RCV_NXT;
	s->rcv_adv = RCV_NXT + 65536;
	s->wscale_rcv = 8;
	s->ts_recent = TS_RECENT;
	s->ts_recent_ms = t.now_ms;
	s->ts_offset = 12345;
	sl_timewait_enter(&t, s, for_ms);
	return leaf_find(&u);
}

static void
begin(void)
{
	leaf_begin(32);
	leaf_at(BEGIN);
	t.conf.env.alloc = alloc;
	t.conf.env.send = take_sent;
	memset(&sent, 0, sizeof(sent));
}

static bool
input(uint32_t handle, const struct sl_segment *seg, uint32_t *ret_iss_min)
{
	bool above = false;
	bool settled = sl_timewait_input(&t, handle, seg, ret_iss_min, &above);

	CU_ASSERT_EQUAL(above, !settled);
	return settled;
}

static void
the_entry_stands_where_the_stream_stood_and_leaves_in_time(void)
{
	begin();
	uint32_t h = enter(7, 0, 0);
	CU_ASSERT_EQUAL(h, SL_TCP_OF_TIMEWAIT);
	CU_ASSERT_EQUAL(t.timewait_used, 1);
	leaf_at(BEGIN + 59999 * MS);
	CU_ASSERT_EQUAL(sl_timewait_expire(&t), 0);
	leaf_at(BEGIN + 60001 * MS);
	CU_ASSERT_EQUAL(sl_timewait_expire(&t), 1);
	struct sl_tuple u = leaf_tuple(7);
	CU_ASSERT_EQUAL(leaf_find(&u), SL_TCP_NONE);
	CU_ASSERT_EQUAL(t.timewait_used, 0);
	CU_ASSERT_EQUAL(t.timewait_first + t.timewait_last, 0);
	enter(8, 0, 500);
	leaf_at(BEGIN + 60502 * MS);
	CU_ASSERT_EQUAL(sl_timewait_expire(&t), 1);
}

static void
the_oldest_goes_when_there_is_no_room(void)
{
	begin();
	for (unsigned i = 0; i < 20; i++) {
		leaf_at(BEGIN + i * MS);
		enter(i, 0, 0);
	}
	CU_ASSERT_EQUAL(t.timewait_used, 16);
	CU_ASSERT_EQUAL(t.count[SL_TCP_TIMEWAIT_FULL], 4);
	for (unsigned i = 0; i < 20; i++) {
		struct sl_tuple u = leaf_tuple(i);
		CU_ASSERT_EQUAL(leaf_find(&u) != SL_TCP_NONE, i >= 4);
	}
}

/* In and out in any order: none is lost, none is there twice, the first is the oldest. */
static void
places_are_given_back_in_any_order(void)
{
	bool in[64] = {false};
	unsigned cnt = 0, wrong = 0;

	begin();
	srandom(9);
	for (unsigned step = 0; step < 20000; step++) {
		unsigned n = (unsigned)random() % 64;
		struct sl_tuple u = leaf_tuple(n);
		if (in[n]) {
			sl_timewait_drop(&t, leaf_find(&u));
			cnt--;
		} else if (cnt < 16) {
			enter(n, 0, 0);
			cnt++;
		} else {
			continue;
		}
		in[n] = !in[n];
		unsigned walked = 0;
		for (uint32_t p = t.timewait_first; p; p = t.timewaits[p - 1].next)
			walked++;
		wrong += walked != cnt || t.timewait_used != cnt;
		wrong += (leaf_find(&u) != SL_TCP_NONE) != in[n];
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(t.count[SL_TCP_TIMEWAIT_FULL], 0);
}

enum outcome { SILENT, ANSWERED, NEW };

static const struct {
	const char *why;
	uint8_t row_flags;
	uint8_t flags;
	bool ts;
	uint32_t ts_val;
	uint32_t seq, len;
	enum outcome outcome;
} rows[] = {
	/* RFC 1337 */
	{"RST in order", 0, SL_TCP_RST, false, 0, RCV_NXT, 0, SILENT},
	{"RST out of order", 0, SL_TCP_RST | SL_TCP_ACK, false, 0, RCV_NXT + 1, 0, SILENT},
	{"RST with SYN", 0, SL_TCP_RST | SL_TCP_SYN, false, 0, RCV_NXT + 1, 0, SILENT},
	{"RST with ACK and timestamps", SL_STREAM_TS, SL_TCP_RST | SL_TCP_ACK, true, TS_RECENT + 1,
	 RCV_NXT, 0, SILENT},
	/* RFC 6191: the old connection had timestamps */
	{"SYN, newer timestamp, lower sequence", SL_STREAM_TS, SL_TCP_SYN, true, TS_RECENT + 1,
	 RCV_NXT - 1000, 0, NEW},
	{"SYN, same timestamp, higher sequence", SL_STREAM_TS, SL_TCP_SYN, true, TS_RECENT,
	 RCV_NXT + 1, 0, NEW},
	{"SYN, same timestamp, same sequence", SL_STREAM_TS, SL_TCP_SYN, true, TS_RECENT, RCV_NXT,
	 0, ANSWERED},
	{"SYN, older timestamp, higher sequence", SL_STREAM_TS, SL_TCP_SYN, true, TS_RECENT - 1,
	 RCV_NXT + 1000, 0, ANSWERED},
	{"SYN without one, higher sequence", SL_STREAM_TS, SL_TCP_SYN, false, 0, RCV_NXT + 1000, 0,
	 NEW},
	{"SYN without one, lower sequence", SL_STREAM_TS, SL_TCP_SYN, false, 0, RCV_NXT - 1000, 0,
	 ANSWERED},
	/* it had none */
	{"SYN with a timestamp, lower sequence", 0, SL_TCP_SYN, true, 1, RCV_NXT - 1000, 0, NEW},
	{"SYN, higher sequence", 0, SL_TCP_SYN, false, 0, RCV_NXT + 1, 0, NEW},
	{"SYN, lower sequence", 0, SL_TCP_SYN, false, 0, RCV_NXT - 1, 0, ANSWERED},
	{"SYN, sequence far above, past the wrap", 0, SL_TCP_SYN, false, 0, RCV_NXT + 0x7fffffff, 0,
	 NEW},
	{"SYN, sequence far below", 0, SL_TCP_SYN, false, 0, RCV_NXT + 0x80000001, 0, ANSWERED},
	/* others with SYN */
	{"SYN+ACK is no new connection", SL_STREAM_TS, SL_TCP_SYN | SL_TCP_ACK, true, TS_RECENT + 9,
	 RCV_NXT + 9, 0, ANSWERED},
	{"SYN+FIN is none", 0, SL_TCP_SYN | SL_TCP_FIN, true, 1, RCV_NXT + 9, 0, ANSWERED},
	{"nobody listens where we opened", SL_STREAM_TS | SL_STREAM_OUT, SL_TCP_SYN, true,
	 TS_RECENT + 9, RCV_NXT + 9, 0, ANSWERED},
	/* RFC 7323 */
	{"old timestamp", SL_STREAM_TS, SL_TCP_ACK, true, TS_RECENT - 1, RCV_NXT, 0, ANSWERED},
	{"timestamp missing", SL_STREAM_TS, SL_TCP_ACK, false, 0, RCV_NXT, 10, SILENT},
	/* sequence */
	{"empty ACK in order", 0, SL_TCP_ACK, false, 0, RCV_NXT, 0, SILENT},
	{"empty ACK in order, timestamps", SL_STREAM_TS, SL_TCP_ACK, true, TS_RECENT + 1, RCV_NXT,
	 0, SILENT},
	{"empty ACK before", 0, SL_TCP_ACK, false, 0, RCV_NXT - 1, 0, ANSWERED},
	{"data", 0, SL_TCP_ACK, false, 0, RCV_NXT, 100, ANSWERED},
	{"FIN again", 0, SL_TCP_ACK | SL_TCP_FIN, false, 0, RCV_NXT - 1, 0, ANSWERED},
	{"FIN again, with data", SL_STREAM_TS, SL_TCP_ACK | SL_TCP_FIN, true, TS_RECENT,
	 RCV_NXT - 101, 100, ANSWERED},
	{"FIN of something else", 0, SL_TCP_ACK | SL_TCP_FIN, false, 0, RCV_NXT, 0, ANSWERED},
	{"neither SYN nor ACK", 0, SL_TCP_FIN, false, 0, RCV_NXT - 1, 0, SILENT},
	{"no flag at all", 0, 0, false, 0, RCV_NXT + 5, 10, SILENT},
};

static void
each_segment_gets_the_answer_of_the_rules(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_segment seg = {.flags = rows[i].flags,
					 .seq = rows[i].seq,
					 .len = rows[i].len,
					 .ack = SND_NXT,
					 .o = {.has_ts = rows[i].ts, .ts_val = rows[i].ts_val}};
		struct sl_tuple u = leaf_tuple(3);
		uint32_t iss_min = 0;
		begin();
		uint32_t h = enter(3, rows[i].row_flags, 0);
		enum outcome got = !input(h, &seg, &iss_min) ? NEW : sent.cnt ? ANSWERED : SILENT;
		CU_ASSERT_EQUAL(got, rows[i].outcome);
		if (got != rows[i].outcome)
			printf("  %s\n", rows[i].why);
		CU_ASSERT_EQUAL(leaf_find(&u), got == NEW ? SL_TCP_NONE : h);
		CU_ASSERT_EQUAL(t.count[SL_TCP_TIMEWAIT_REUSED], got == NEW);
		CU_ASSERT_TRUE(got != NEW || sl_seq_gt(iss_min, SND_NXT));
	}
}

static void
an_answer_says_where_the_connection_ended(void)
{
	struct sl_segment seg = {.flags = SL_TCP_ACK | SL_TCP_FIN,
				 .seq = RCV_NXT - 1,
				 .o = {.has_ts = true, .ts_val = TS_RECENT + 5}};
	struct sl_tuple u = leaf_tuple(3);
	uint32_t iss_min;

	begin();
	uint32_t h = enter(3, SL_STREAM_TS, 0);
	leaf_at(BEGIN + 1000 * MS);
	CU_ASSERT_TRUE(input(h, &seg, &iss_min));
	CU_ASSERT_EQUAL_FATAL(sent.cnt, 1);
	CU_ASSERT_EQUAL(memcmp(&sent.tuple, &u, sizeof(u)), 0);
	CU_ASSERT_TRUE(sent.seq == SND_NXT && sent.ack == RCV_NXT && sent.flags == SL_TCP_ACK);
	CU_ASSERT_EQUAL(sent.wnd, 256);
	CU_ASSERT_TRUE(sent.o.has_ts && sent.o.ts_val == t.now_ms + 12345);
	CU_ASSERT_EQUAL(sent.o.ts_ecr, TS_RECENT + 5);
	CU_ASSERT_TRUE(!sent.o.mss && !sent.o.sack_ok && !sent.o.has_wscale && !sent.o.block_cnt);
}

static void
the_fin_again_begins_the_wait_again(void)
{
	struct sl_segment fin = {.flags = SL_TCP_ACK | SL_TCP_FIN, .seq = RCV_NXT - 1};
	struct sl_segment data = {.flags = SL_TCP_ACK, .seq = RCV_NXT, .len = 5};
	uint32_t iss_min;

	begin();
	uint32_t a = enter(1, 0, 0), b = enter(2, 0, 0);
	leaf_at(BEGIN + 30000 * MS);
	input(a, &fin, &iss_min);
	input(b, &data, &iss_min);
	CU_ASSERT_EQUAL(sent.cnt, 2);
	leaf_at(BEGIN + 60001 * MS);
	CU_ASSERT_EQUAL(sl_timewait_expire(&t), 1);
	struct sl_tuple u = leaf_tuple(1);
	CU_ASSERT_EQUAL(leaf_find(&u), a);
	leaf_at(BEGIN + 90001 * MS);
	CU_ASSERT_EQUAL(sl_timewait_expire(&t), 1);
}

static void
answers_are_limited_for_an_entry_and_for_the_worker(void)
{
	struct sl_segment seg = {.flags = SL_TCP_ACK, .seq = RCV_NXT + 1, .len = 5};
	uint32_t iss_min;

	begin();
	uint32_t h = enter(3, 0, 0);
	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_TRUE(input(h, &seg, &iss_min));
	CU_ASSERT_EQUAL(sent.cnt, 1);
	CU_ASSERT_EQUAL(t.count[SL_TCP_CHALLENGE_LIMIT], 99);
	leaf_at(BEGIN + 250 * MS);
	input(h, &seg, &iss_min);
	CU_ASSERT_EQUAL(sent.cnt, 2);
	while (sl_tcp_token(&t, &t.challenge_ns, SL_CHALLENGE_PER_S))
		;
	input(enter(4, 0, 0), &seg, &iss_min);
	CU_ASSERT_EQUAL(sent.cnt, 2);
}

static void
we_use_it_again_after_a_second_and_with_timestamps_only(void)
{
	uint32_t iss_min, offset, recent;
	struct sl_tuple u = leaf_tuple(3);

	begin();
	uint32_t with = enter(3, SL_STREAM_TS | SL_STREAM_OUT, 0),
		 without = enter(4, SL_STREAM_OUT, 0);
	leaf_at(BEGIN + 999 * MS);
	CU_ASSERT_FALSE(sl_timewait_reuse(&t, with, &iss_min, &offset, &recent));
	leaf_at(BEGIN + 1000 * MS);
	CU_ASSERT_FALSE(sl_timewait_reuse(&t, without, &iss_min, &offset, &recent));
	CU_ASSERT_TRUE_FATAL(sl_timewait_reuse(&t, with, &iss_min, &offset, &recent));
	CU_ASSERT_TRUE(sl_seq_gt(iss_min, SND_NXT));
	CU_ASSERT_EQUAL(offset, 12345);
	CU_ASSERT_EQUAL(recent, TS_RECENT);
	CU_ASSERT_EQUAL(leaf_find(&u), SL_TCP_NONE);
	CU_ASSERT_EQUAL(t.timewait_used, 1);
	CU_ASSERT_EQUAL(t.count[SL_TCP_TIMEWAIT_REUSED], 1);
}

SL_SUITE("timewait", SL_TEST(the_entry_stands_where_the_stream_stood_and_leaves_in_time),
	 SL_TEST(the_oldest_goes_when_there_is_no_room),
	 SL_TEST(places_are_given_back_in_any_order),
	 SL_TEST(each_segment_gets_the_answer_of_the_rules),
	 SL_TEST(an_answer_says_where_the_connection_ended),
	 SL_TEST(the_fin_again_begins_the_wait_again),
	 SL_TEST(answers_are_limited_for_an_entry_and_for_the_worker),
	 SL_TEST(we_use_it_again_after_a_second_and_with_timestamps_only))
