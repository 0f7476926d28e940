/* Fragments through the gateway: every order of four pieces, both families, 1 to 3 workers with and without RSS, every
 * mode.  What arrives is put together here, as an endpoint would, and judged as a whole. */
#include "tests/suite.h"

#include "dataplane/frag.h"
#include "tests/dataplane/quotes.h"
#include "tests/sim/bed.h"

enum { NAT, DSR, FULLNAT, IPIP, GUE, MODES };
static const char *const vips[2][MODES] = {
	{"2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"},
	{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5"},
};
static const char *const clients[2] = {"2001:db8:c::", "198.51.100."};
static const struct {
	unsigned workers;
	bool rss;
} shapes[] = {{1, false}, {2, false}, {3, false}, {2, true}, {3, true}};

static char *
all_modes(void)
{
	static const char *const extra[] = {"forward = \"fullnat\"; sources = [ \"%s200\" ];",
					    "forward = \"ipip\";", "forward = \"gue\";",
					    "forward = \"dsr\"; policy = \"round_robin\";"};
	static const char *const turn[2] = {"2001:db8::6", "192.0.2.6"};
	struct table_text more = {0}, ls = {0};

	for (unsigned i = 0; i < 8; i++) {
		const char *net = i & 1 ? "10.0.2." : "fd00:2::";
		char forward[80];
		snprintf(forward, sizeof(forward), extra[i / 2], net);
		table_append(&more,
			     ",{ name = \"e%u\"; max_endpoints = 10; %s endpoints = "
			     "( { name = \"a\"; address = \"%s11\"; port = %u; }, "
			     "{ name = \"b\"; address = \"%s12\"; port = %u; } ); }\n",
			     i, forward, net, i < 2 ? 8080 : 80, net, i < 2 ? 8080 : 80);
		for (unsigned udp = 0; udp < 2; udp++)
			table_append(&ls,
				     ",{ name = \"l%u%u\"; address = \"%s\"; port = 80; protocol = "
				     "\"%s\"; mode = \"l4\"; service = \"e%u\"; }\n",
				     i, udp, i < 6 ? vips[i & 1][2 + i / 2] : turn[i & 1],
				     udp ? "udp" : "tcp", i);
	}
	char *text = bed_table(more.buf, ls.buf);
	free(more.buf);
	free(ls.buf);
	return text;
}

static void
start(unsigned shape)
{
	struct rig_conf c = {.workers = shapes[shape].workers,
			     .rss = shapes[shape].rss,
			     .flows = 4096,
			     .seed = 177 + shape};
	char *text = all_modes();

	bed_start(&c, text);
	free(text);
}

static uint64_t
stat_sum(size_t offset)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < bed.conf.workers; w++)
		n += *(uint64_t *)(void *)((uint8_t *)rig_stats(bed.rig, w) + offset);
	return n;
}
#define STAT(field) stat_sum(offsetof(struct sl_stats_worker, field))

/* ---- cutting and putting together ---- */

struct whole {
	unsigned len;
	uint8_t b[RIG_FRAME];
};

static struct whole
make(struct frame_spec *s, unsigned port)
{
	struct whole w;

	memcpy(s->dmac, rig_mac(bed.rig, port), 6);
	bed_mac(&s->t.src, s->smac);
	w.len = frame_make(s, w.b);
	if (sl_addr_is_v4(&s->t.dst)) {
		w.b[20] = 0; /* no DF */
		quote_put16(w.b + 24, 0);
		quote_put16(w.b + 24, ~quote_sum(0, w.b + 14, 20) & 0xffff);
	}
	return w;
}

/* Payload bytes [from, to) of the datagram as a fragment. */
static struct whole
cut(const struct whole *w, unsigned id, unsigned from, unsigned to)
{
	bool v4 = w->b[14] >> 4 == 4;
	unsigned l3 = v4 ? 34 : 54, more = l3 + to < w->len;
	struct whole r;

	memcpy(r.b, w->b, l3);
	if (v4) {
		memcpy(r.b + 34, w->b + 34 + from, to - from);
		r.len = 34 + to - from;
		quote_put16(r.b + 16, r.len - 14);
		quote_put16(r.b + 18, id);
		quote_put16(r.b + 20, (more ? 0x2000 : 0) | from / 8);
		quote_put16(r.b + 24, 0);
		quote_put16(r.b + 24, ~quote_sum(0, r.b + 14, 20) & 0xffff);
		return r;
	}
	memset(r.b + 54, 0, 8);
	r.b[54] = r.b[20];
	r.b[20] = 44;
	quote_put16(r.b + 56, from | more);
	quote_put16(r.b + 60, id);
	memcpy(r.b + 62, w->b + 54 + from, to - from);
	r.len = 62 + to - from;
	quote_put16(r.b + 18, r.len - 54);
	return r;
}

/* All that was sent, `skip` bytes of tunnel cut off, put together: false where a piece is missing or is there twice.
 * *ret_len 0 then. */
static struct whole
assemble(unsigned skip)
{
	struct whole r = {0};
	unsigned got = 0, end = 0;

	for (unsigned i = 0; i < bed.sent_cnt; i++) {
		struct bed_frame *f = &bed.sent[i];
		uint8_t *ip = f->bytes + 14 + skip;
		bool v4 = ip[0] >> 4 == 4;
		unsigned l3 = v4 ? 34 : 54, head = v4 ? 20 : 48;
		unsigned field = quote_get16(v4 ? ip + 6 : ip + 42);
		unsigned from = v4 ? (field & 0x1fff) * 8 : field & 0xfff8;
		bool more = v4 ? field & 0x2000 : field & 1;
		unsigned n = f->len - 14 - skip - head;
		if ((v4 && quote_sum(0, ip, 20) != 0xffff) ||
		    quote_get16(ip + (v4 ? 2 : 4)) != n + (v4 ? 20 : 8) || (!v4 && ip[6] != 44))
			return (struct whole){0};
		if (i == 0) {
			memcpy(r.b, f->bytes, 14);
			quote_put16(r.b + 12, v4 ? 0x0800 : 0x86dd);
			memcpy(r.b + 14, ip, v4 ? 20 : 40);
			if (!v4)
				r.b[20] = ip[40];
		} else if (memcmp(r.b, f->bytes, 12) != 0 ||
			   memcmp(r.b + (v4 ? 26 : 22), ip + (v4 ? 12 : 8), v4 ? 8 : 32) != 0) {
			return (struct whole){0}; /* to another place */
		}
		memcpy(r.b + l3 + from, ip + head, n);
		got += n;
		if (!more)
			end = from + n;
		r.len = l3 + end;
	}
	if (got != end || end == 0)
		return (struct whole){0};
	bool v4 = r.b[14] >> 4 == 4;
	quote_put16(r.b + (v4 ? 16 : 18), end + (v4 ? 20 : 0));
	if (v4) {
		quote_put16(r.b + 20, 0);
		quote_put16(r.b + 24, 0);
		quote_put16(r.b + 24, ~quote_sum(0, r.b + 14, 20) & 0xffff);
	}
	return r;
}

static void
inject(const struct whole *f, unsigned port)
{
	CU_ASSERT_TRUE(rig_inject(bed.rig, port, f->b, f->len));
}

/* The k-th of the 24 orders of 4. */
static void
order(unsigned k, unsigned at[4])
{
	unsigned left[4] = {0, 1, 2, 3};

	for (unsigned i = 0, n = 4; i < 4; n--, i++) {
		unsigned f = n == 4 ? 6 : n == 3 ? 2 : 1, pick = k / f;
		k %= f;
		at[i] = left[pick];
		memmove(left + pick, left + pick + 1, (n - pick - 1) * sizeof(left[0]));
	}
}

static unsigned next_id = 1;

/* Four pieces in the k-th order; settle: after each, else all in one burst. */
static void
send_in_order(struct frame_spec *s, unsigned port, unsigned k, bool settle)
{
	struct whole w = make(s, port);
	bool v4 = w.b[14] >> 4 == 4;
	unsigned n = w.len - (v4 ? 34 : 54), edge[5] = {0, 40, 80, 400, n}, at[4];
	unsigned id = next_id++;

	bed_clear();
	order(k, at);
	for (unsigned i = 0; i < 4; i++) {
		struct whole f = cut(&w, id, edge[at[i]], edge[at[i] + 1]);
		inject(&f, port);
		if (settle)
			rig_settle(bed.rig, bed.now);
	}
	rig_settle(bed.rig, bed.now);
}

static struct frame_spec
datagram(unsigned mode, bool v4, uint8_t proto, unsigned n)
{
	char client[SL_ADDR_STRLEN];

	snprintf(client, sizeof(client), "%s%u", clients[v4], n % 200 + 1);
	struct frame_spec s = bed_packet(client, 10000 + n, vips[v4][mode], 80, proto, SL_TCP_SYN);
	s.payload = 701;
	return s;
}

/* Towards the endpoint, and for nat the answer back. */
static void
there_and_back(unsigned mode, bool v4, uint8_t proto, unsigned n, unsigned k, bool settle)
{
	struct frame_spec s = datagram(mode, v4, proto, n);
	unsigned skip = mode < IPIP ? 0 : (v4 ? 20 : 40) + (mode == GUE ? 12 : 0);

	send_in_order(&s, BED_FRONT, k, settle);
	CU_ASSERT_EQUAL_FATAL(bed.sent_cnt, 4);
	struct whole w = assemble(skip);
	CU_ASSERT_NOT_EQUAL_FATAL(w.len, 0);
	const char *wrong = frame_judge(w.b, w.len);
	if (wrong)
		printf("  mode %u v4 %u proto %u: %s\n", mode, v4, proto, wrong);
	CU_ASSERT_PTR_NULL(wrong);
	struct sl_tuple t = frame_tuple(w.b);
	if (mode != NAT && mode != FULLNAT) {
		CU_ASSERT_EQUAL(memcmp(&t, &s.t, sizeof(t)), 0);
		return;
	}
	CU_ASSERT_EQUAL(t.dport, sl_to_be16(8080));
	CU_ASSERT_EQUAL(sl_addr_eq(&t.src, &s.t.src), mode == NAT);
	struct frame_spec answer = {.t = {.src = t.dst,
					  .dst = t.src,
					  .sport = t.dport,
					  .dport = t.sport,
					  .proto = proto},
				    .tcp_flags = SL_TCP_SYN | SL_TCP_ACK,
				    .payload = 701};
	send_in_order(&answer, BED_BACK, 23 - k, settle);
	CU_ASSERT_EQUAL_FATAL(bed.sent_cnt, 4);
	w = assemble(0);
	CU_ASSERT_NOT_EQUAL_FATAL(w.len, 0);
	CU_ASSERT_PTR_NULL(frame_judge(w.b, w.len));
	t = frame_tuple(w.b);
	CU_ASSERT_TRUE(sl_addr_eq(&t.dst, &s.t.src) && sl_addr_eq(&t.src, &s.t.dst));
	CU_ASSERT_EQUAL(t.sport, s.t.dport);
	CU_ASSERT_EQUAL(t.dport, s.t.sport);
}

static void
every_order_reaches_one_endpoint_whole(void)
{
	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < 24 * MODES * 4; i++)
			there_and_back(i % MODES, i / MODES & 1, i / MODES & 2 ? 17 : 6, i,
				       i / MODES / 4, (i ^ shape) & 1);
		CU_ASSERT_EQUAL(STAT(frag_open), 0);
		CU_ASSERT_EQUAL(STAT(frag_held), 0);
		CU_ASSERT_EQUAL(STAT(frag_rx), 24 * MODES * 4 * 4 + 24 * 2 * 4 * 4);
		bed_stop();
	}
}

/* ---- without the flow ---- */

/* The first piece opens the flow; another datagram of it, whose later pieces find it gone, goes as agreed or nowhere. */
static void
later_pieces_without_a_flow_go_only_where_it_is_agreed(void)
{
	static const char *const turn[2] = {"2001:db8::6", "192.0.2.6"};

	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < 12; i++) {
			unsigned mode = i % 6;
			bool v4 = i / 6;
			struct frame_spec s = mode < MODES ? datagram(mode, v4, 17, i)
							   : bed_packet("198.51.100.9", 10000 + i,
									turn[1], 80, 17, 0);
			if (mode == MODES && !v4)
				continue;
			s.payload = 701;
			struct whole w = make(&s, BED_FRONT);
			struct whole a = cut(&w, 900 + i, 0, 40),
				     b = cut(&w, 900 + i, 40, w.len - (v4 ? 34 : 54));
			bed_clear();
			inject(&a, BED_FRONT);
			rig_settle(bed.rig, bed.now);
			CU_ASSERT_EQUAL(bed.sent_cnt, 1);
			/* the flow is taken away between the two */
			for (unsigned k = 0; k < bed.conf.workers; k++) {
				struct sl_flow_table *f = rig_flows(bed.rig, k);
				uint64_t h = sl_flow_hash(f, &s.t);
				uint32_t idx =
					sl_flow_find(f, h, &s.t, (uint32_t)(bed.now / 250000000));
				if (idx != SL_FLOW_NONE)
					sl_flow_remove(f, h, idx);
			}
			uint32_t active = bed_active();
			uint64_t gone = rig_drops(bed.rig, SL_DROP_FRAG_NO_FLOW);
			inject(&b, BED_FRONT);
			rig_settle(bed.rig, bed.now);
			CU_ASSERT_EQUAL(bed_active(), active);
			bool agreed = mode == DSR || mode == IPIP || mode == GUE;
			CU_ASSERT_EQUAL(bed.sent_cnt, agreed ? 2 : 1);
			CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_FRAG_NO_FLOW), gone + !agreed);
			if (agreed)
				CU_ASSERT_EQUAL(memcmp(bed.sent[0].bytes, bed.sent[1].bytes, 12),
						0);
		}
		bed_stop();
	}
}

/* ---- hostile ---- */

static void
duplicates_and_overlaps_are_dropped_and_counted(void)
{
	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++)
		for (unsigned v4 = 0; v4 < 2; v4++) {
			start(shape);
			struct frame_spec s = datagram(NAT, v4, 17, 3);
			struct whole w = make(&s, BED_FRONT);
			unsigned n = w.len - (v4 ? 34 : 54);
			const unsigned edge[][2] = {
				{0, 40}, {40, 80}, {40, 80}, {72, 120}, {80, n}};
			for (unsigned i = 0; i < 5; i++) {
				struct whole f = cut(&w, 5, edge[i][0], edge[i][1]);
				inject(&f, BED_FRONT);
				rig_settle(bed.rig, bed.now);
				CU_ASSERT_EQUAL(bed.sent_cnt, i < 2 ? i + 1 : 2);
			}
			CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_FRAG_OVERLAP), 3);
			CU_ASSERT_EQUAL(STAT(frag_open), 1);
			bed_wait(SL_FRAG_NS + BED_S);
			CU_ASSERT_EQUAL(STAT(frag_open), 0);
			bed_stop();
		}
}

static void
what_waits_in_vain_is_dropped_in_time(void)
{
	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < 40; i++) {
			struct frame_spec s = datagram(DSR, i & 1, 17, i);
			struct whole w = make(&s, BED_FRONT), f = cut(&w, i, 40, 80);
			inject(&f, BED_FRONT);
		}
		bed_clear();
		rig_settle(bed.rig, bed.now);
		CU_ASSERT_EQUAL(STAT(frag_held), 40);
		CU_ASSERT_EQUAL(rig_in_use(bed.rig), 40);
		bed_wait(SL_FRAG_HELD_NS + BED_S / 2);
		CU_ASSERT_EQUAL(bed.sent_cnt, 0);
		CU_ASSERT_EQUAL(STAT(frag_held), 0);
		CU_ASSERT_EQUAL(rig_in_use(bed.rig), 0);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_FRAG_TIMEOUT), 40);
		bed_stop();
	}
}

/* A packet to an address that came by a group frame was sent to every station (RFC 1122, 3.3.6): so with its pieces. */
static void
pieces_in_group_frames_and_for_others_are_refused(void)
{
	static const uint8_t to[][6] = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
					{0x01, 0x00, 0x5e, 1, 2, 3},
					{0x02, 0x99, 1, 2, 3, 4}};

	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < SL_ARRAY_CNT(to) * MODES * 2; i++) {
			unsigned mode = i % MODES;
			struct frame_spec s = datagram(mode, i / MODES & 1, 17, i);
			struct whole w = make(&s, BED_FRONT);
			memcpy(w.b, to[i / MODES / 2], 6);
			struct whole a = cut(&w, i, 0, 40), b = cut(&w, i, 40, 80);
			inject(&a, BED_FRONT);
			inject(&b, BED_FRONT);
			bed_clear();
			rig_settle(bed.rig, bed.now);
			CU_ASSERT_EQUAL(bed.sent_cnt, 0);
		}
		CU_ASSERT_EQUAL(bed_active(), 0);
		CU_ASSERT_EQUAL(rig_drops(bed.rig, SL_DROP_NOT_OURS),
				SL_ARRAY_CNT(to) * MODES * 2 * 2);
		bed_stop();
	}
}

/* Strangers' pieces fill all there is; the memory stays bounded, and pieces in order still pass. */
static void
a_flood_of_later_pieces_is_bounded(void)
{
	for (unsigned shape = 0; shape < SL_ARRAY_CNT(shapes); shape++) {
		start(shape);
		for (unsigned i = 0; i < 4000; i++) {
			struct frame_spec s = datagram(DSR, true, 17, i);
			struct whole w = make(&s, BED_FRONT), f = cut(&w, i, 40, 80);
			inject(&f, BED_FRONT);
			if (i % 64 == 0)
				rig_settle(bed.rig, bed.now);
		}
		rig_settle(bed.rig, bed.now);
		CU_ASSERT_TRUE(rig_in_use(bed.rig) <= SL_FRAG_HELD * bed.conf.workers);
		CU_ASSERT_TRUE(rig_drops(bed.rig, SL_DROP_FRAG_LIMIT) > 3000);
		struct frame_spec s = datagram(NAT, true, 17, 7);
		send_in_order(&s, BED_FRONT, 0, true);
		CU_ASSERT_EQUAL(bed.sent_cnt, 4);
		bed_wait(SL_FRAG_NS + BED_S);
		CU_ASSERT_EQUAL(rig_in_use(bed.rig), 0);
		CU_ASSERT_EQUAL(STAT(frag_open), 0);
		bed_stop();
	}
}

/* A later piece neither opens a flow nor keeps one. */
static void
a_worker_that_ends_gives_held_pieces_back(void)
{
	start(2);
	for (unsigned i = 0; i < 9; i++) {
		struct frame_spec s = datagram(DSR, i & 1, 17, i);
		struct whole w = make(&s, BED_FRONT), f = cut(&w, i, 40, 80);
		inject(&f, BED_FRONT);
	}
	rig_settle(bed.rig, bed.now);
	CU_ASSERT_EQUAL(rig_in_use(bed.rig), 9);
	CU_ASSERT_EQUAL(bed_active(), 0);
	for (unsigned i = 0; i < bed.conf.workers; i++)
		sl_worker_fini(rig_worker(bed.rig, i));
	CU_ASSERT_EQUAL(rig_in_use(bed.rig), 0);
	bed_stop();
}

SL_SUITE("fragments", SL_TEST(every_order_reaches_one_endpoint_whole),
	 SL_TEST(later_pieces_without_a_flow_go_only_where_it_is_agreed),
	 SL_TEST(duplicates_and_overlaps_are_dropped_and_counted),
	 SL_TEST(what_waits_in_vain_is_dropped_in_time),
	 SL_TEST(pieces_in_group_frames_and_for_others_are_refused),
	 SL_TEST(a_flood_of_later_pieces_is_bounded),
	 SL_TEST(a_worker_that_ends_gives_held_pieces_back))
