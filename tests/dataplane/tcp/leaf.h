/* leaf — as much of a stack as the modules stand on that know neither segments' way in nor out: table, TIME-WAIT, keys, time.
 * LEAF_STREAMS and LEAF_TIMEWAITS say how many places. */
#ifndef SL_TESTS_TCP_LEAF_H
#define SL_TESTS_TCP_LEAF_H

#include "dataplane/tcp/tcp_priv.h"

#include "tests/suite.h"

static struct sl_tcp t;
static struct sl_stats_tcp leaf_stats;
static struct sl_stream leaf_streams[LEAF_STREAMS];
static struct sl_timewait leaf_timewaits[LEAF_TIMEWAITS];
static uint32_t leaf_heads[65536];

static void
leaf_at(uint64_t now_ns)
{
	t.now_ns = now_ns;
	t.now_us = (uint32_t)(now_ns / 1000);
	t.now_ms = (uint32_t)(now_ns / 1000000);
	t.tick = (uint32_t)(now_ns >> SL_TICK_SHIFT);
}

static void
leaf_begin(uint32_t head_cnt)
{
	memset(&t, 0, sizeof(t));
	memset(&leaf_stats, 0, sizeof(leaf_stats));
	memset(leaf_streams, 0, sizeof(leaf_streams));
	memset(leaf_timewaits, 0, sizeof(leaf_timewaits));
	memset(leaf_heads, 0, sizeof(leaf_heads));
	t.conf.capacity = LEAF_STREAMS;
	t.conf.timewait_cnt = LEAF_TIMEWAITS;
	t.conf.timewait_ms = 60000;
	t.conf.stats = &leaf_stats;
	t.count = leaf_stats.count;
	t.streams = leaf_streams;
	t.timewaits = leaf_timewaits;
	t.heads = leaf_heads;
	t.head_mask = head_cnt - 1;
	sl_timewait_link(&t);
	srandom(head_cnt);
	for (unsigned i = 0; i < sizeof(t.key.b); i++) {
		t.key.b[i] = (uint8_t)random();
		t.isn_key.b[i] = (uint8_t)random();
	}
	leaf_at(1000000000000);
}

/* A peer's segments: 192.0.2.1:port → 198.51.100.1:80. */
static inline struct sl_tuple
leaf_tuple(unsigned port)
{
	static const uint8_t a[4] = {192, 0, 2, 1}, b[4] = {198, 51, 100, 1};
	struct sl_tuple u = {.proto = SL_IPPROTO_TCP, .dport = sl_to_be16(80)};

	u.src = sl_addr_from_v4(a);
	u.dst = sl_addr_from_v4(b);
	u.sport = sl_to_be16(port);
	return u;
}

/* Stream `place` in the table under a tuple. */
static inline struct sl_stream *
leaf_stream(uint32_t place, const struct sl_tuple *u)
{
	struct sl_stream *s = &leaf_streams[place];

	*s = (struct sl_stream){.row.tuple = *u, .row.state = SL_STREAM_ESTABLISHED};
	sl_table_insert(&t, place, sl_tcp_hash(&t, u));
	return s;
}

static inline uint32_t
leaf_find(const struct sl_tuple *u)
{
	return sl_tcp_find(&t, sl_tcp_hash(&t, u), u);
}

#endif
