/* Source ports: every reply arrives at the worker that chose, no tuple twice, and mostly at the first look. */
#define LEAF_STREAMS 66000
#define LEAF_TIMEWAITS 66000
#include "leaf.h"

#define MS 1000000ull

static const uint8_t rss_key[SL_RSS_KEY_BYTES] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

static struct sl_rss rss;
static struct sl_addr endpoint, sources[40];

static void
begin(unsigned worker, unsigned worker_cnt, bool v6)
{
	leaf_begin(65536);
	sl_rss_init(&rss, rss_key, worker_cnt);
	t.conf.rss = &rss;
	t.conf.worker = worker;
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(v6 ? "2001:db8::7" : "203.0.113.7", &endpoint), 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(sources); i++) {
		char text[40];
		snprintf(text, sizeof(text), v6 ? "2001:db8:1::%x" : "10.0.0.%u", i + 1);
		CU_ASSERT_EQUAL_FATAL(sl_addr_parse(text, &sources[i]), 0);
	}
}

static bool
pick(unsigned source_cnt, struct sl_port_pick *ret)
{
	return sl_ports_pick(&t, &endpoint, sl_to_be16(8080), sources, source_cnt, ret);
}

static unsigned
looks_wrong(const struct sl_port_pick *p, unsigned source_cnt)
{
	unsigned wrong = 0, among = 0;

	wrong += rss.owner[sl_rss_bucket(sl_rss_hash(&rss, &p->tuple))] != t.conf.worker;
	wrong += sl_from_be16(p->tuple.dport) < SL_RSS_PORT_MIN;
	wrong += p->tuple.sport != sl_to_be16(8080) || !sl_addr_eq(&p->tuple.src, &endpoint);
	wrong += p->tuple.proto != SL_IPPROTO_TCP || p->hash != sl_tcp_hash(&t, &p->tuple);
	for (unsigned i = 0; i < source_cnt; i++)
		among += sl_addr_eq(&p->tuple.dst, &sources[i]);
	return wrong + (among != 1);
}

static void
replies_arrive_at_the_worker_that_chose(void)
{
	static const unsigned worker_cnts[] = {1, 2, 3, 7, 64};

	for (size_t i = 0; i < SL_ARRAY_CNT(worker_cnts); i++) {
		for (unsigned round = 0; round < 8; round++) {
			unsigned source_cnt = round % 4 * 13 + 1, wrong = 0;
			begin((round * 5) % worker_cnts[i], worker_cnts[i], round & 1);
			for (unsigned n = 0; n < 1000; n++) {
				struct sl_port_pick p;
				CU_ASSERT_TRUE_FATAL(pick(source_cnt, &p));
				wrong += looks_wrong(&p, source_cnt);
				wrong += leaf_find(&p.tuple) != SL_TCP_NONE || p.reused;
				leaf_stream(n, &p.tuple);
			}
			CU_ASSERT_EQUAL(wrong, 0);
		}
	}
}

static void
one_worker_and_one_source_have_every_port_once(void)
{
	struct sl_port_pick p;
	unsigned n = 0;

	begin(0, 1, false);
	while (n < LEAF_STREAMS && pick(1, &p))
		leaf_stream(n++, &p.tuple);
	CU_ASSERT_EQUAL(n, 65536 - SL_RSS_PORT_MIN);
	CU_ASSERT_FALSE(pick(1, &p));
	/* another source, another destination: as if nothing were taken */
	CU_ASSERT_TRUE(pick(2, &p));
	CU_ASSERT_TRUE(sl_ports_pick(&t, &endpoint, sl_to_be16(8081), sources, 1, &p));
}

static void
a_worker_of_three_finds_nearly_all_of_its_ports(void)
{
	struct sl_port_pick p;
	unsigned n = 0;

	begin(2, 3, true);
	while (n < LEAF_STREAMS && pick(1, &p))
		leaf_stream(n++, &p.tuple);
	CU_ASSERT_TRUE(n > 42 * 504 - 600 && n <= 42 * 512);
}

static void
sources_take_turns(void)
{
	unsigned cnt[5] = {0};

	begin(1, 2, false);
	for (unsigned n = 0; n < 5000; n++) {
		struct sl_port_pick p;
		CU_ASSERT_TRUE_FATAL(pick(5, &p));
		leaf_stream(n, &p.tuple);
		for (unsigned i = 0; i < 5; i++)
			cnt[i] += sl_addr_eq(&p.tuple.dst, &sources[i]);
	}
	for (unsigned i = 0; i < 5; i++)
		CU_ASSERT_TRUE(cnt[i] > 800 && cnt[i] < 1200);
}

/* The cursor goes round: what was given back last comes last. */
static void
a_port_given_back_is_not_the_next_one_taken(void)
{
	static uint8_t seen[65536];
	unsigned again = 0;

	begin(0, 1, false);
	memset(seen, 0, sizeof(seen));
	for (unsigned n = 0; n < 60000; n++) {
		struct sl_port_pick p;
		CU_ASSERT_TRUE_FATAL(pick(1, &p));
		again += seen[p.tuple.dport]++;
	}
	CU_ASSERT_EQUAL(again, 0);
}

static void
destinations_begin_at_places_that_nobody_can_foretell(void)
{
	struct sl_port_pick p;
	unsigned same = 0;

	begin(0, 1, false);
	for (unsigned port = 1; port < 1000; port++) {
		t.port_cursor = 0;
		CU_ASSERT_TRUE_FATAL(
			sl_ports_pick(&t, &endpoint, sl_to_be16(port), sources, 1, &p));
		sl_be16 first = p.tuple.dport;
		t.isn_key.b[port % 64] ^= 1;
		t.port_cursor = 0;
		CU_ASSERT_TRUE_FATAL(
			sl_ports_pick(&t, &endpoint, sl_to_be16(port), sources, 1, &p));
		same += p.tuple.dport == first;
	}
	CU_ASSERT_TRUE(same < 5);
}

static void
to_time_wait(const struct sl_port_pick *p, uint8_t flags)
{
	struct sl_stream *s = leaf_stream(0, &p->tuple);

	s->row.flags = flags;
	s->row.snd_nxt = 1000;
	s->ts_offset = 99;
	s->ts_recent = 55;
	sl_timewait_enter(&t, s, 0);
}

static void
time_wait_is_used_again_when_it_may_and_nothing_is_free(void)
{
	struct sl_port_pick p;
	unsigned all = 65536 - SL_RSS_PORT_MIN, again = 0;

	begin(0, 1, false);
	for (unsigned n = 0; n < all; n++) {
		CU_ASSERT_TRUE_FATAL(pick(1, &p));
		to_time_wait(&p, SL_STREAM_TS | SL_STREAM_OUT);
	}
	CU_ASSERT_FALSE(pick(1, &p)); /* not a second old */
	leaf_at(t.now_ns + 1000 * MS);
	for (unsigned n = 0; n < all; n++) {
		CU_ASSERT_TRUE_FATAL(pick(1, &p));
		again += p.reused && sl_seq_gt(p.iss_min, 1000) && p.ts_offset == 99 &&
			 p.ts_recent == 55 && leaf_find(&p.tuple) == SL_TCP_NONE;
		leaf_stream(n, &p.tuple);
	}
	CU_ASSERT_EQUAL(again, all);
	CU_ASSERT_EQUAL(t.timewait_used, 0);
	CU_ASSERT_FALSE(pick(1, &p));
}

static void
a_free_tuple_is_preferred_to_time_wait(void)
{
	struct sl_port_pick p, first;

	begin(0, 1, false);
	CU_ASSERT_TRUE_FATAL(pick(1, &first));
	to_time_wait(&first, SL_STREAM_TS);
	leaf_at(t.now_ns + 5000 * MS);
	t.port_cursor = 0;
	CU_ASSERT_TRUE_FATAL(pick(1, &p));
	CU_ASSERT_FALSE(p.reused);
	CU_ASSERT_NOT_EQUAL(p.tuple.dport, first.tuple.dport);
	CU_ASSERT_EQUAL(t.timewait_used, 1);
}

static void
time_wait_without_timestamps_is_not_used_again(void)
{
	struct sl_port_pick p;

	begin(0, 1, false);
	for (unsigned n = 0; n < 65536 - SL_RSS_PORT_MIN; n++) {
		CU_ASSERT_TRUE_FATAL(pick(1, &p));
		to_time_wait(&p, SL_STREAM_OUT);
	}
	leaf_at(t.now_ns + 30000 * MS);
	CU_ASSERT_FALSE(pick(1, &p));
}

static void
there_is_none_without_source_bucket_or_a_fit_key(void)
{
	static const uint8_t zeros[SL_RSS_KEY_BYTES];
	struct sl_port_pick p = {.hash = 4711};

	begin(0, 1, false);
	CU_ASSERT_FALSE(pick(0, &p));
	memset(rss.owner, 1, sizeof(rss.owner));
	CU_ASSERT_FALSE(pick(3, &p));
	sl_rss_init(&rss, zeros, 1);
	CU_ASSERT_FALSE(pick(3, &p));
	CU_ASSERT_EQUAL(p.hash, 4711);
}

static void
the_cursor_may_wrap(void)
{
	unsigned wrong = 0;

	begin(3, 7, false);
	t.port_cursor = UINT32_MAX - 500;
	for (unsigned n = 0; n < 1000; n++) {
		struct sl_port_pick p;
		CU_ASSERT_TRUE_FATAL(pick(3, &p));
		wrong += looks_wrong(&p, 3) || leaf_find(&p.tuple) != SL_TCP_NONE;
		leaf_stream(n, &p.tuple);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

SL_SUITE("ports", SL_TEST(replies_arrive_at_the_worker_that_chose),
	 SL_TEST(one_worker_and_one_source_have_every_port_once),
	 SL_TEST(a_worker_of_three_finds_nearly_all_of_its_ports), SL_TEST(sources_take_turns),
	 SL_TEST(a_port_given_back_is_not_the_next_one_taken),
	 SL_TEST(destinations_begin_at_places_that_nobody_can_foretell),
	 SL_TEST(time_wait_is_used_again_when_it_may_and_nothing_is_free),
	 SL_TEST(a_free_tuple_is_preferred_to_time_wait),
	 SL_TEST(time_wait_without_timestamps_is_not_used_again),
	 SL_TEST(there_is_none_without_source_bucket_or_a_fit_key), SL_TEST(the_cursor_may_wrap))
