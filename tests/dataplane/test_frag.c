/* Datagrams in pieces: every order of arrival, limits of time and room, and cutting.  Pieces are cut here, by hand. */
#include "dataplane/frag.h"
#include "dataplane/parse.h"

#include "tests/dataplane/quotes.h"
#include "tests/suite.h"

#define MS 1000000ull

static struct sl_frag_table *t;
static uint64_t now;

static void
start(void)
{
	struct sl_hash_key key;

	for (unsigned i = 0; i < sizeof(key.b); i++)
		key.b[i] = (uint8_t)(i * 37 + 11);
	t = aligned_alloc(SL_CACHE_LINE, sl_frag_bytes());
	memset(t, 0, sl_frag_bytes());
	sl_frag_init(t, &key);
	now = 50000000000ull;
}

static void
stop(void)
{
	struct sl_pkt p;
	uint32_t open, held;

	while (sl_frag_drain(t, &p))
		CU_ASSERT_EQUAL(p.verdict, SL_VERDICT_DROP);
	sl_frag_usage(t, &open, &held);
	CU_ASSERT_EQUAL(open, 0);
	CU_ASSERT_EQUAL(held, 0);
	free(t);
}

static uint32_t
open_now(void)
{
	uint32_t open, held;

	sl_frag_usage(t, &open, &held);
	return open;
}

static uint32_t
held_now(void)
{
	uint32_t open, held;

	sl_frag_usage(t, &open, &held);
	return held;
}

/* A piece of a datagram: parsed, in a buffer of its own that lives as long as the test. */
struct piece {
	uint8_t b[256];
	struct sl_pkt p;
};

/* Bytes [from, to) of a UDP or TCP datagram from client to VIP; last: no more follow. */
static struct sl_pkt *
cut(struct piece *r, bool v4, uint8_t proto, uint32_t id, unsigned from, unsigned to, bool last)
{
	static const char *const src[] = {"2001:db8::7", "198.51.100.7"};
	static const char *const dst[] = {"2001:db8:1::10", "192.0.2.10"};
	struct sl_addr s = frame_addr(src[v4]), d = frame_addr(dst[v4]);
	uint8_t *ip = r->b + 14, *part = ip + (v4 ? 20 : 48);

	memset(r->b, 0, sizeof(r->b));
	r->b[1] = 2;
	quote_put16(r->b + 12, v4 ? 0x0800 : 0x86dd);
	if (v4) {
		ip[0] = 0x45;
		quote_put16(ip + 2, 20 + to - from);
		quote_put16(ip + 4, id);
		quote_put16(ip + 6, (last ? 0 : 0x2000) | from / 8);
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, s.b + 12, 4);
		memcpy(ip + 16, d.b + 12, 4);
		quote_put16(ip + 10, ~quote_sum(0, ip, 20) & 0xffff);
	} else {
		ip[0] = 0x60;
		quote_put16(ip + 4, 8 + to - from);
		ip[6] = 44;
		ip[7] = 64;
		memcpy(ip + 8, s.b, 16);
		memcpy(ip + 24, d.b, 16);
		ip[40] = proto;
		quote_put16(ip + 42, from | !last);
		quote_put16(ip + 44, id >> 16);
		quote_put16(ip + 46, id);
	}
	if (from == 0) {
		quote_put16(part, 40000);
		quote_put16(part + 2, 443);
		if (proto == SL_IPPROTO_UDP) {
			quote_put16(part + 4, 1000);
		} else {
			part[12] = 0x50;
			part[13] = 0x10;
		}
	}
	r->p = (struct sl_pkt){
		.data = r->b, .buf = r, .len = (uint16_t)(14 + (v4 ? 20 : 48) + to - from)};
	enum sl_drop why = sl_parse(&r->p);
	if (why != SL_DROP_NONE)
		printf("  [%u,%u): %s\n", from, to, sl_drop_name(why));
	CU_ASSERT_EQUAL_FATAL(why, SL_DROP_NONE);
	return &r->p;
}

static bool
has_tuple(const struct sl_pkt *p)
{
	return p->tuple.sport == sl_to_be16(40000) && p->tuple.dport == sl_to_be16(443) &&
	       (p->flags & (p->tuple.proto == SL_IPPROTO_TCP ? SL_PKT_TCP : SL_PKT_UDP));
}

/* What became of a piece, GO with the right tuple, and the reason in *why. */
static enum sl_frag_what
take(struct sl_pkt *p, enum sl_drop *why)
{
	enum sl_frag_what what = sl_frag_take(t, p, now, why);

	if (what == SL_FRAG_GO)
		CU_ASSERT_TRUE(has_tuple(p));
	return what;
}

/* Takes a piece that must be dropped, for that reason. */
static void
refused(struct sl_pkt *p, enum sl_drop reason)
{
	enum sl_drop why = SL_DROP_NONE;

	CU_ASSERT_EQUAL(take(p, &why), SL_FRAG_DROP);
	if (why != reason)
		printf("  %s, not %s\n", sl_drop_name(why), sl_drop_name(reason));
	CU_ASSERT_EQUAL(why, reason);
}

static void
goes(struct sl_pkt *p)
{
	enum sl_drop why;

	CU_ASSERT_EQUAL(take(p, &why), SL_FRAG_GO);
}

static void
waits(struct sl_pkt *p)
{
	enum sl_drop why;

	CU_ASSERT_EQUAL(take(p, &why), SL_FRAG_HOLD);
}

/* The next that comes back is that one: forwarded (NONE) or dropped for the reason. */
static void
back(const struct piece *r, enum sl_drop reason)
{
	struct sl_pkt p;

	CU_ASSERT_FATAL(sl_frag_next(t, &p));
	CU_ASSERT_PTR_EQUAL(p.buf, r);
	CU_ASSERT_EQUAL(p.frag_off, r->p.frag_off);
	if (reason == SL_DROP_NONE) {
		CU_ASSERT_EQUAL(p.verdict, SL_VERDICT_NONE);
		CU_ASSERT_TRUE(has_tuple(&p));
	} else {
		CU_ASSERT_EQUAL(p.verdict, SL_VERDICT_DROP);
		CU_ASSERT_EQUAL(p.drop, reason);
	}
}

static void
none_back(void)
{
	struct sl_pkt p;

	CU_ASSERT_FALSE(sl_frag_next(t, &p));
}

/* As long as `ns` at a millisecond each. */
static void
pass(uint64_t ns)
{
	for (uint64_t end = now + ns; now < end; now += MS)
		sl_frag_expire(t, now);
}

/* ---- orders of arrival ---- */

static const unsigned edge[] = {0, 40, 80, 120, 133};

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

static void
every_order_gives_all_pieces_one_tuple(void)
{
	start();
	for (unsigned k = 0; k < 24 * 4; k++) {
		struct piece r[4];
		unsigned at[4], waiting = 0, got = 0;
		bool first = false;
		order(k % 24, at);
		for (unsigned i = 0; i < 4; i++) {
			unsigned n = at[i];
			struct sl_pkt *p = cut(&r[n], k / 24 & 1, k / 48 ? 6 : 17, k, edge[n],
					       edge[n + 1], n == 3);
			if (!first && n != 0) {
				waits(p);
				waiting++;
				continue;
			}
			goes(p);
			got++;
			for (struct sl_pkt q; n == 0 && sl_frag_next(t, &q); got++) {
				CU_ASSERT_TRUE(has_tuple(&q));
				CU_ASSERT_EQUAL(q.verdict, SL_VERDICT_NONE);
				waiting--;
			}
			first = first || n == 0;
			CU_ASSERT_EQUAL(waiting, 0);
		}
		CU_ASSERT_EQUAL(got, 4);
		CU_ASSERT_EQUAL(open_now(), 0); /* complete: forgotten */
		CU_ASSERT_EQUAL(held_now(), 0);
	}
	stop();
}

static void
those_held_come_back_in_their_order(void)
{
	struct piece r[4];

	start();
	for (unsigned i = 3; i > 0; i--)
		waits(cut(&r[i], true, 17, 1, edge[i], edge[i + 1], i == 3));
	CU_ASSERT_EQUAL(held_now(), 3);
	none_back();
	goes(cut(&r[0], true, 17, 1, edge[0], edge[1], false));
	for (unsigned i = 3; i > 0; i--)
		back(&r[i], SL_DROP_NONE);
	none_back();
	stop();
}

static void
datagrams_are_told_apart_by_all_of_their_key(void)
{
	struct piece r[6];

	start();
	goes(cut(&r[0], true, 17, 1, 0, 40, false));
	waits(cut(&r[1], true, 17, 2, 40, 80, false));
	waits(cut(&r[2], true, 6, 1, 40, 80, false));
	waits(cut(&r[3], false, 17, 1, 40, 80, false));
	waits(cut(&r[4], false, 17, 0x10001, 40, 80, false));
	CU_ASSERT_EQUAL(open_now(), 5);
	struct sl_pkt *other = cut(&r[5], true, 17, 1, 40, 80, false);
	other->tuple.src.b[15]++;
	waits(other);
	CU_ASSERT_EQUAL(open_now(), 6);
	stop();
}

/* In IPv6 only the first fragment's next header counts. */
static void
an_ipv6_piece_takes_the_protocol_of_the_first(void)
{
	struct piece r[3];

	start();
	waits(cut(&r[1], false, 60, 9, 40, 80, false));
	goes(cut(&r[0], false, 6, 9, 0, 40, false));
	back(&r[1], SL_DROP_NONE);
	struct sl_pkt *p = cut(&r[2], false, 17, 9, 80, 90, true);
	goes(p);
	CU_ASSERT_EQUAL(p->tuple.proto, SL_IPPROTO_TCP);
	CU_ASSERT_EQUAL(p->flags & (SL_PKT_TCP | SL_PKT_UDP), SL_PKT_TCP);
	stop();
}

/* Behind the fragment header of the first there may be options: they count as bytes of the datagram. */
static void
options_of_a_first_ipv6_piece_count(void)
{
	struct piece r[3];

	start();
	struct sl_pkt *p = cut(&r[0], false, 17, 3, 0, 40, false);
	memmove(r[0].b + 78, r[0].b + 62, 24);
	memset(r[0].b + 62, 0, 16);
	r[0].b[54] = 60;
	r[0].b[62] = 17;
	r[0].b[63] = 1;
	r[0].b[64] = 1;
	r[0].b[65] = 12;
	quote_put16(r[0].b + 82, 1000);
	CU_ASSERT_EQUAL_FATAL(sl_parse(p), SL_DROP_NONE);
	CU_ASSERT_EQUAL(p->l4_len, 24);
	goes(p);
	refused(cut(&r[1], false, 17, 3, 32, 40, false), SL_DROP_FRAG_OVERLAP);
	goes(cut(&r[2], false, 17, 3, 40, 50, true));
	CU_ASSERT_EQUAL(open_now(), 0);
	stop();
}

/* ---- overlaps ---- */

static void
a_piece_inside_what_has_come_is_dropped_alone(void)
{
	static const struct {
		unsigned from, to;
	} inside[] = {{40, 80}, {48, 80}, {40, 72}, {48, 56}, {0, 40}, {0, 80}, {24, 48}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(inside) * 2; i++) {
		bool v4 = i & 1;
		struct piece r[4];
		start();
		goes(cut(&r[0], v4, 17, 5, 0, 40, false));
		goes(cut(&r[1], v4, 17, 5, 40, 80, false));
		refused(cut(&r[2], v4, 17, 5, inside[i / 2].from, inside[i / 2].to, false),
			SL_DROP_FRAG_OVERLAP);
		goes(cut(&r[3], v4, 17, 5, 80, 90, true));
		CU_ASSERT_EQUAL(open_now(), 0);
		stop();
	}
}

static void
a_partial_overlap_ends_the_datagram(void)
{
	static const struct {
		unsigned from, to;
		bool last;
	} over[] = {{32, 48, false}, {72, 88, false}, {32, 88, false}, {40, 88, false},
		    {32, 80, false}, {72, 90, true},  {24, 41, true}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(over) * 2; i++) {
		bool v4 = i & 1;
		struct piece r[4];
		start();
		waits(cut(&r[0], v4, 17, 5, 40, 80, false));
		refused(cut(&r[1], v4, 17, 5, over[i / 2].from, over[i / 2].to, over[i / 2].last),
			SL_DROP_FRAG_OVERLAP);
		back(&r[0], SL_DROP_FRAG_OVERLAP);
		none_back();
		/* all that still comes: also the first, also in no one's way */
		refused(cut(&r[2], v4, 17, 5, 0, 32, false), SL_DROP_FRAG_OVERLAP);
		refused(cut(&r[3], v4, 17, 5, 160, 168, true), SL_DROP_FRAG_OVERLAP);
		CU_ASSERT_EQUAL(open_now(), 1);
		pass(SL_FRAG_NS + 250 * MS);
		CU_ASSERT_EQUAL(open_now(), 0);
		goes(cut(&r[2], v4, 17, 5, 0, 32, false));
		stop();
	}
}

static void
a_piece_over_the_whole_of_another_is_an_overlap(void)
{
	struct piece r[3];

	start();
	waits(cut(&r[0], true, 17, 5, 40, 48, false));
	refused(cut(&r[1], true, 17, 5, 0, 64, false), SL_DROP_FRAG_OVERLAP);
	back(&r[0], SL_DROP_FRAG_OVERLAP);
	stop();
}

/* Two ends, or something behind the end. */
static void
a_datagram_has_one_end(void)
{
	static const struct {
		unsigned from, to;
		bool last;
	} lies[] = {{96, 104, false}, {96, 99, true}, {64, 72, true}, {80, 88, false}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(lies); i++) {
		struct piece r[3];
		start();
		if (i == 3) { /* the end comes late, before what has come */
			waits(cut(&r[0], true, 17, 5, 80, 88, false));
			refused(cut(&r[1], true, 17, 5, 40, 50, true), SL_DROP_FRAG_OVERLAP);
		} else {
			waits(cut(&r[0], true, 17, 5, 80, 90, true));
			refused(cut(&r[1], true, 17, 5, lies[i].from, lies[i].to, lies[i].last),
				SL_DROP_FRAG_OVERLAP);
		}
		back(&r[0], SL_DROP_FRAG_OVERLAP);
		stop();
	}
	struct piece r[2];
	start();
	waits(cut(&r[0], true, 17, 5, 80, 88, true));
	refused(cut(&r[1], true, 17, 5, 72, 80, true), SL_DROP_FRAG_OVERLAP);
	back(&r[0], SL_DROP_FRAG_OVERLAP);
	stop();
}

/* ---- time ---- */

static void
what_waits_too_long_is_dropped(void)
{
	struct piece r[3];

	start();
	waits(cut(&r[0], true, 17, 5, 40, 80, false));
	pass(900 * MS);
	none_back();
	waits(cut(&r[1], true, 17, 5, 80, 120, false));
	pass(100 * MS + SL_FRAG_HELD_NS / 4);
	back(&r[0], SL_DROP_FRAG_TIMEOUT);
	none_back();
	pass(900 * MS);
	back(&r[1], SL_DROP_FRAG_TIMEOUT);
	none_back();
	CU_ASSERT_EQUAL(held_now(), 0);
	stop();
}

static void
a_datagram_is_forgotten_in_time(void)
{
	struct piece r[4];

	start();
	goes(cut(&r[0], true, 17, 5, 0, 40, false));
	pass(SL_FRAG_NS - 10 * MS);
	goes(cut(&r[1], true, 17, 5, 40, 80, false));
	pass(10 * MS + SL_FRAG_HELD_NS / 4);
	CU_ASSERT_EQUAL(open_now(), 0);
	waits(cut(&r[2], true, 17, 5, 80, 90, true));
	stop();
}

/* The clock counts, also where nobody called expire. */
static void
an_old_datagram_is_not_met_again(void)
{
	struct piece r[4];

	start();
	waits(cut(&r[0], true, 17, 5, 40, 80, false));
	now += SL_FRAG_NS;
	waits(cut(&r[1], true, 17, 5, 48, 88, false));
	back(&r[0], SL_DROP_FRAG_TIMEOUT);
	none_back();
	CU_ASSERT_EQUAL(open_now(), 1);
	stop();
}

/* ---- room ---- */

static void
one_datagram_holds_only_so_many(void)
{
	static struct piece r[SL_FRAG_HELD_EACH + 2];

	start();
	for (unsigned i = 0; i < SL_FRAG_HELD_EACH; i++)
		waits(cut(&r[i], true, 17, 5, 8 + 8 * i, 16 + 8 * i, false));
	unsigned n = SL_FRAG_HELD_EACH;
	refused(cut(&r[n], true, 17, 5, 8 + 8 * n, 16 + 8 * n, false), SL_DROP_FRAG_LIMIT);
	/* it does not count as come */
	goes(cut(&r[n + 1], true, 17, 5, 0, 8, false));
	for (unsigned i = 0; i < SL_FRAG_HELD_EACH; i++)
		back(&r[i], SL_DROP_NONE);
	goes(cut(&r[n], true, 17, 5, 8 + 8 * n, 16 + 8 * n, true));
	CU_ASSERT_EQUAL(open_now(), 0);
	stop();
}

static void
all_together_hold_only_so_many(void)
{
	static struct piece r[SL_FRAG_HELD + 1];

	start();
	for (unsigned i = 0; i <= SL_FRAG_HELD; i++) {
		struct sl_pkt *p = cut(&r[i], true, 17, i, 8, 16, false);
		if (i < SL_FRAG_HELD)
			waits(p);
		else
			refused(p, SL_DROP_FRAG_LIMIT);
	}
	CU_ASSERT_EQUAL(held_now(), SL_FRAG_HELD);
	pass(SL_FRAG_HELD_NS + SL_FRAG_HELD_NS / 4);
	unsigned cnt = 0;
	for (struct sl_pkt p; sl_frag_next(t, &p); cnt++)
		CU_ASSERT_EQUAL(p.drop, SL_DROP_FRAG_TIMEOUT);
	CU_ASSERT_EQUAL(cnt, SL_FRAG_HELD);
	waits(cut(&r[0], true, 17, 7777, 8, 16, false));
	stop();
}

static void
a_datagram_has_only_so_many_holes(void)
{
	static struct piece r[40];

	start();
	goes(cut(&r[0], true, 17, 5, 0, 8, false));
	for (unsigned i = 1; i < 32; i++)
		goes(cut(&r[i], true, 17, 5, 16 * i, 16 * i + 8, false));
	refused(cut(&r[32], true, 17, 5, 16 * 32, 16 * 32 + 8, false), SL_DROP_FRAG_LIMIT);
	/* what closes a hole has room */
	goes(cut(&r[33], true, 17, 5, 8, 16, false));
	goes(cut(&r[32], true, 17, 5, 16 * 32, 16 * 32 + 8, true));
	for (unsigned i = 1; i < 32; i++)
		goes(cut(&r[34], true, 17, 5, 16 * i + 8, 16 * i + 16, false));
	CU_ASSERT_EQUAL(open_now(), 0);
	stop();
}

/* More datagrams than there is room for: the table stays full, and lets go of what it holds with a reason. */
static void
the_oldest_of_a_full_set_is_let_go(void)
{
	static struct piece r[3 * SL_FRAG_DATAGRAMS];
	unsigned let_go = 0, limit = 0;

	start();
	for (unsigned i = 0; i < SL_ARRAY_CNT(r); i++, now += 1000) {
		enum sl_drop why;
		enum sl_frag_what what = take(cut(&r[i], true, 17, i, 8, 16, false), &why);
		CU_ASSERT_TRUE(what == SL_FRAG_HOLD ||
			       (what == SL_FRAG_DROP && why == SL_DROP_FRAG_LIMIT));
		limit += what == SL_FRAG_DROP;
		for (struct sl_pkt p; sl_frag_next(t, &p); let_go++) {
			CU_ASSERT_EQUAL(p.drop, SL_DROP_FRAG_LIMIT);
			CU_ASSERT_TRUE(p.buf < (void *)&r[i]);
		}
	}
	CU_ASSERT_TRUE(let_go > 0 && limit > 0);
	CU_ASSERT_TRUE(open_now() > SL_FRAG_DATAGRAMS * 9 / 10 && open_now() <= SL_FRAG_DATAGRAMS);
	stop();
}

static void
a_first_without_its_header_is_dropped(void)
{
	struct piece r[1];

	start();
	struct sl_pkt *p = cut(&r[0], true, 6, 5, 0, 24, false);
	p->l4_len = 16;
	refused(p, SL_DROP_L4_HEADER);
	p = cut(&r[0], true, 17, 5, 0, 24, false);
	p->tuple.proto = 50;
	refused(p, SL_DROP_L4_HEADER);
	CU_ASSERT_EQUAL(open_now(), 0);
	stop();
}

static void
drain_gives_every_held_packet_back(void)
{
	static struct piece r[20];
	unsigned cnt = 0;

	start();
	for (unsigned i = 0; i < 10; i++) {
		waits(cut(&r[2 * i], true, 17, i, 8, 16, false));
		waits(cut(&r[2 * i + 1], true, 17, i, 16, 24, false));
	}
	for (struct sl_pkt p; sl_frag_drain(t, &p); cnt++)
		CU_ASSERT_EQUAL(p.verdict, SL_VERDICT_DROP);
	CU_ASSERT_EQUAL(cnt, 20);
	stop();
}

/* ---- cutting ---- */

struct whole {
	uint8_t b[2048];
	struct sl_pkt p;
};

/* An IPv4 packet with `payload` bytes behind a header with these options. */
static void
make_whole(struct whole *r, const uint8_t *options, unsigned n, unsigned payload, unsigned bits)
{
	uint8_t *ip = r->b + 14;

	memset(r->b, 0, sizeof(r->b));
	for (unsigned i = 0; i < 12; i++)
		r->b[i] = (uint8_t)(2 * i);
	quote_put16(r->b + 12, 0x0800);
	ip[0] = (uint8_t)(0x40 | (20 + n) / 4);
	ip[1] = 0xb9;
	quote_put16(ip + 2, 20 + n + payload);
	quote_put16(ip + 4, 0x4242);
	quote_put16(ip + 6, bits);
	ip[8] = 33;
	ip[9] = 17;
	memcpy(ip + 12, "\xc6\x33\x64\x07\xc0\x00\x02\x0a", 8);
	if (n)
		memcpy(ip + 20, options, n);
	quote_put16(ip + 10, ~quote_sum(0, ip, 20 + n) & 0xffff);
	for (unsigned i = 0; i < payload; i++)
		ip[20 + n + i] = (uint8_t)(i * 13 + (i >> 8));
	r->p = (struct sl_pkt){.data = r->b,
			       .len = (uint16_t)(34 + n + payload),
			       .flags = SL_PKT_V4,
			       .l3_off = 14,
			       .l4_off = (uint8_t)(34 + n)};
}

/* Cuts and puts together again; false: something is not as it must be.  *ret_pieces: how many. */
static bool
cut_well(const struct whole *w, unsigned mtu, unsigned *ret_pieces)
{
	const uint8_t *ip = w->b + 14;
	unsigned header = (ip[0] & 15) * 4u, payload = w->p.len - 14u - header, at = 0, n = 0;
	unsigned base = quote_get16(ip + 6) & 0x1fff, more = quote_get16(ip + 6) & 0x2000;
	uint8_t *f = guard_buf(14 + mtu);
	bool good = true;

	for (unsigned len; good && (len = sl_frag_split(&w->p, mtu, n, f)) != 0; n++) {
		const uint8_t *o = f + 14;
		unsigned h = (o[0] & 15) * 4u, mine = len - 14 - h, bits = quote_get16(o + 6);
		bool last = at + mine == payload;
		good = len <= 14 + mtu && memcmp(f, w->b, 14) == 0 && o[0] >> 4 == 4 &&
		       o[1] == ip[1] && quote_get16(o + 2) == len - 14 &&
		       quote_get16(o + 4) == 0x4242 && (bits & 0x1fff) == base + at / 8 &&
		       (bits & 0x2000) == (last ? more : 0x2000) && (last || mine % 8 == 0) &&
		       (bits & 0xc000) == (quote_get16(ip + 6) & 0xc000) && o[8] == 33 &&
		       o[9] == 17 && memcmp(o + 12, ip + 12, 8) == 0 &&
		       quote_sum(0, o, h) == 0xffff && at + mine <= payload &&
		       memcmp(o + h, ip + header + at, mine) == 0 &&
		       /* none smaller than it need be */
		       (last || mine + 8 > mtu - h) && (mine > 0 || payload == 0);
		at += mine;
	}
	guard_free(f, 14 + mtu);
	*ret_pieces = n;
	return good && at == payload;
}

static void
a_packet_is_cut_into_as_few_pieces_as_fit(void)
{
	static const struct {
		unsigned payload, mtu, pieces;
	} rows[] = {{1480, 1500, 1}, {1481, 1500, 2}, {1480, 1499, 2}, {1480, 1480, 2},
		    {1480, 576, 3},  {1000, 68, 21},  {1008, 68, 21},  {1009, 68, 22},
		    {48, 68, 1},     {49, 68, 2},     {99, 71, 2},     {100, 71, 3}};
	struct whole w;
	unsigned n;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		make_whole(&w, NULL, 0, rows[i].payload, 0);
		CU_ASSERT_TRUE(cut_well(&w, rows[i].mtu, &n));
		CU_ASSERT_EQUAL(n, rows[i].pieces);
	}
	for (unsigned payload = 0; payload < 300; payload++)
		for (unsigned mtu = 68; mtu < 120; mtu++) {
			make_whole(&w, NULL, 0, payload, 0);
			if (!cut_well(&w, mtu, &n)) {
				printf("  %u bytes, mtu %u\n", payload, mtu);
				CU_FAIL("cut");
			}
		}
}

static void
a_fragment_is_cut_into_smaller_ones(void)
{
	struct whole w;
	unsigned n;

	make_whole(&w, NULL, 0, 1000, 0x2000 | 185);
	CU_ASSERT_TRUE(cut_well(&w, 576, &n));
	CU_ASSERT_EQUAL(n, 2);
	make_whole(&w, NULL, 0, 1001, 0x8000 | 185);
	CU_ASSERT_TRUE(cut_well(&w, 576, &n));
	CU_ASSERT_EQUAL(n, 2);
}

/* Record route (not copied), router alert (copied), NOP, timestamp (not copied), end. */
static void
options_go_where_they_belong(void)
{
	static const uint8_t options[20] = {7, 7,  4, 1,  2, 3, 4, 148, 4,
					    0, 99, 1, 68, 5, 5, 0, 77,  0};
	struct whole w;
	uint8_t f[2048];
	unsigned n;

	make_whole(&w, options, 20, 500, 0);
	CU_ASSERT_TRUE(cut_well(&w, 200, &n));
	CU_ASSERT_EQUAL(n, 3); /* 160 + 176 + 164 */
	CU_ASSERT_EQUAL(sl_frag_split(&w.p, 200, 0, f), 14 + 40 + 160);
	CU_ASSERT_EQUAL(memcmp(f + 34, options, 20), 0);
	CU_ASSERT_EQUAL(sl_frag_split(&w.p, 200, 1, f), 14 + 24 + 176);
	CU_ASSERT_EQUAL(memcmp(f + 34, "\x94\4\0\x63", 4), 0);
	CU_ASSERT_EQUAL(sl_frag_split(&w.p, 200, 2, f), 14 + 24 + 164);
	/* the longest header there is, on the narrowest way */
	uint8_t full[40] = {0x88, 4, 1, 1, 0x94, 4, 0, 0, [39] = 1};
	memset(full + 8, 1, 32);
	make_whole(&w, full, 40, 100, 0);
	CU_ASSERT_TRUE(cut_well(&w, 68, &n));
	CU_ASSERT_EQUAL(n, 4); /* 8 + 40 + 40 + 12 */
}

static void
what_may_not_be_cut_is_not(void)
{
	struct whole w;
	uint8_t f[2048];

	make_whole(&w, NULL, 0, 1000, 0x4000);
	CU_ASSERT_EQUAL(sl_frag_split(&w.p, 576, 0, f), 0);
	make_whole(&w, NULL, 0, 1000, 0);
	CU_ASSERT_EQUAL(sl_frag_split(&w.p, 67, 0, f), 0);
	w.p.flags = SL_PKT_V6;
	CU_ASSERT_EQUAL(sl_frag_split(&w.p, 576, 0, f), 0);
}

SL_SUITE("frag", SL_TEST(every_order_gives_all_pieces_one_tuple),
	 SL_TEST(those_held_come_back_in_their_order),
	 SL_TEST(datagrams_are_told_apart_by_all_of_their_key),
	 SL_TEST(an_ipv6_piece_takes_the_protocol_of_the_first),
	 SL_TEST(options_of_a_first_ipv6_piece_count),
	 SL_TEST(a_piece_inside_what_has_come_is_dropped_alone),
	 SL_TEST(a_partial_overlap_ends_the_datagram),
	 SL_TEST(a_piece_over_the_whole_of_another_is_an_overlap), SL_TEST(a_datagram_has_one_end),
	 SL_TEST(what_waits_too_long_is_dropped), SL_TEST(a_datagram_is_forgotten_in_time),
	 SL_TEST(an_old_datagram_is_not_met_again), SL_TEST(one_datagram_holds_only_so_many),
	 SL_TEST(all_together_hold_only_so_many), SL_TEST(a_datagram_has_only_so_many_holes),
	 SL_TEST(the_oldest_of_a_full_set_is_let_go),
	 SL_TEST(a_first_without_its_header_is_dropped),
	 SL_TEST(drain_gives_every_held_packet_back),
	 SL_TEST(a_packet_is_cut_into_as_few_pieces_as_fit),
	 SL_TEST(a_fragment_is_cut_into_smaller_ones), SL_TEST(options_go_where_they_belong),
	 SL_TEST(what_may_not_be_cut_is_not))
