/* Attacks: by those who see nothing of a connection (RFC 5961, forged ICMP, floods), and by peers that lie (ACKs, SACK blocks,
 * windows, segment sizes, options).  None costs more than it should, and each is counted. */
#include "../../suite.h"
#include "tcp_bed.h"

#define F SL_TCP_FIN
#define S SL_TCP_SYN
#define R SL_TCP_RST
#define A SL_TCP_ACK

static const uint8_t zeros[1460];

struct conn {
	struct tcp_bed *b;
	struct sl_stream *s;
	uint32_t mine, his; /* what each sends next */
	uint32_t ts;        /* his clock; with ts */
	bool has_ts;
};

static struct conn
open_with(const struct tcp_bed_conf *conf, const struct sl_tcp_options *o)
{
	struct conn c = {.b = tcp_bed_create(conf), .his = TCP_BED_ISN + 1};
	uint32_t iss;

	c.s = tcp_bed_accept(c.b, o, &iss);
	c.mine = iss + 1;
	c.has_ts = o && o->has_ts;
	c.ts = c.has_ts ? o->ts_val : 0;
	return c;
}

static struct conn
open_plain(void)
{
	return open_with(&(struct tcp_bed_conf){.buffers = 512},
			 &(struct sl_tcp_options){.mss = 1460, .sack_ok = true});
}

static void
end(struct conn *c)
{
	tcp_bed_check(c->b);
	if (tcp_bed_user(c->b)->s)
		sl_stream_abort(c->s, SL_END_ABORTED);
	tcp_bed_destroy(c->b);
}

static void
give(struct conn *c, uint32_t seq, uint32_t ack, uint8_t flags, uint32_t len)
{
	struct tcp_in in = {.seq = seq, .ack = ack, .flags = flags, .data = zeros, .len = len};

	in.o.has_ts = c->has_ts;
	in.o.ts_val = c->ts;
	tcp_bed_in(c->b, &in);
}

static bool
is_open(const struct conn *c)
{
	return tcp_bed_user(c->b)->closed == 0 &&
	       sl_stream_row(c->s)->state == SL_STREAM_ESTABLISHED;
}

static uint64_t
count(const struct conn *c, enum sl_tcp_counter code)
{
	return tcp_bed_count(c->b, code);
}

/* ---- RFC 5961 ---- */

/* One RST for each window of all sequence numbers: without RFC 5961 one of them hits. */
static void
a_sweep_of_resets_over_all_numbers_hits_nothing(void)
{
	struct conn c = open_plain();

	for (uint32_t k = 0; k < 65536; k++)
		give(&c, c.his + 77 + k * 65536, 0, R, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(is_open(&c));
	CU_ASSERT(count(&c, SL_TCP_CHALLENGE) == 1);
	end(&c);
}

static void
a_sweep_of_syns_over_all_numbers_hits_nothing(void)
{
	struct conn c = open_plain();

	for (uint32_t k = 0; k < 65536; k++)
		give(&c, c.his + k * 65536, 0, S, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(is_open(&c));
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_out(c.b, 0)->flags == A);
	CU_ASSERT(count(&c, SL_TCP_CHALLENGE) + count(&c, SL_TCP_CHALLENGE_LIMIT) == 65536);
	end(&c);
}

/* Who guesses the sequence number still has to guess an ACK out of one in 2^32 / (largest window + what is under way). */
static void
data_with_a_guessed_ack_is_taken_only_within_a_window(void)
{
	struct conn c = open_plain();
	unsigned taken = 0;

	for (uint32_t k = 0; k < 4096; k++) {
		uint32_t was = sl_stream_readable_bytes(c.s);
		give(&c, c.his + taken, c.mine + 0x80000 + (k << 20), A, 1);
		taken += sl_stream_readable_bytes(c.s) != was;
	}
	CU_ASSERT(taken == 0);
	CU_ASSERT(count(&c, SL_TCP_BAD_ACK) == 4096);
	static const struct {
		const char *why;
		int32_t ack;
		bool taken;
	} rows[] = {
		{"exact", 0, true},
		{"one more than was sent", 1, false},
		{"old, but within the largest window", -65535, true},
		{"older", -65536, false},
		{"half of all numbers ago", INT32_MIN + 1, false},
	};
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint32_t was = sl_stream_readable_bytes(c.s);
		give(&c, c.his + was, c.mine + (uint32_t)rows[i].ack, A, 10);
		bool more = sl_stream_readable_bytes(c.s) == was + 10;
		CU_ASSERT(more == rows[i].taken);
		if (more != rows[i].taken)
			fprintf(stderr, "  %s\n", rows[i].why);
	}
	end(&c);
}

static void
a_stream_sends_two_challenges_a_second_at_most(void)
{
	struct conn c = open_plain();

	for (unsigned ms = 0; ms < 10000; ms++) {
		give(&c, c.his + 5, 0, R, 0);
		give(&c, c.his + 5, 0, S, 0);
		give(&c, c.his + 5, c.mine + 99, A, 0);
		give(&c, c.his - 9, c.mine, A, 0);
		tcp_bed_run(c.b, 1);
	}
	CU_ASSERT(is_open(&c));
	CU_ASSERT(count(&c, SL_TCP_CHALLENGE) >= 19 && count(&c, SL_TCP_CHALLENGE) <= 21);
	CU_ASSERT(tcp_bed_sent(c.b) == count(&c, SL_TCP_CHALLENGE));
	CU_ASSERT(count(&c, SL_TCP_CHALLENGE) + count(&c, SL_TCP_CHALLENGE_LIMIT) == 40000);
	end(&c);
}

static struct sl_stream *
accept_from(struct tcp_bed *b, uint16_t port, uint32_t *ret_mine)
{
	tcp_bed_clear(b);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN, .flags = S, .sport = port});
	*ret_mine = tcp_bed_out(b, 0)->seq + 1;
	tcp_bed_in(b, &(struct tcp_in){
			      .seq = TCP_BED_ISN + 1, .ack = *ret_mine, .flags = A, .sport = port});
	tcp_bed_run(b, 0);
	return tcp_bed_user(b)->s;
}

static void
a_worker_sends_a_thousand_challenges_a_second_at_most(void)
{
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){.capacity = 2048, .buffers = 64});
	uint32_t mine;

	for (uint16_t i = 0; i < 1500; i++)
		CU_ASSERT_FATAL(accept_from(b, 2000 + i, &mine) != NULL);
	tcp_bed_run(b, 2000);
	tcp_bed_clear(b);
	for (uint16_t i = 0; i < 1500; i++)
		tcp_bed_in(b,
			   &(struct tcp_in){.seq = TCP_BED_ISN + 9, .flags = R, .sport = 2000 + i});
	/* not a number that could be counted on */
	CU_ASSERT(tcp_bed_count(b, SL_TCP_CHALLENGE) < SL_CHALLENGE_PER_S);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_CHALLENGE) >= SL_CHALLENGE_PER_S / 2);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_CHALLENGE) + tcp_bed_count(b, SL_TCP_CHALLENGE_LIMIT) ==
		  1500);
	tcp_bed_check(b);
	tcp_bed_destroy(b);
}

static void
resets_for_segments_of_no_stream_are_limited(void)
{
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){.buffers = 64});

	for (uint32_t i = 0; i < 3000; i++)
		tcp_bed_in(b, &(struct tcp_in){
				      .seq = i, .ack = i, .flags = A, .sport = (uint16_t)(i + 1)});
	CU_ASSERT(tcp_bed_sent(b) == SL_RST_PER_S);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_RST_SENT) == SL_RST_PER_S);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_RST_LIMIT) == 3000 - SL_RST_PER_S);
	tcp_bed_clear(b);
	tcp_bed_in(b, &(struct tcp_in){.seq = 1, .ack = 1, .flags = R | A});
	CU_ASSERT(tcp_bed_sent(b) == 0);
	tcp_bed_destroy(b);
}

/* ---- timestamps (RFC 7323) ---- */

static const struct {
	const char *why;
	bool has_ts;
	int32_t ts; /* from the newest one */
	uint8_t flags;
	int32_t ack;
	int32_t seq;
	bool taken, counted, moves; /* the text; as PAWS; the newest timestamp */
} paws[] = {
	{"newer", true, 1, A, 0, 0, true, false, true},
	{"the same", true, 0, A, 0, 0, true, false, false},
	{"older", true, -1, A, 0, 0, false, true, false},
	{"half of all numbers ago", true, INT32_MIN + 1, A, 0, 0, false, true, false},
	{"missing", false, 0, A, 0, 0, false, true, false},
	{"newer, but outside the window", true, 9, A, 0, 100000, false, false, false},
	{"newer, behind a gap", true, 9, A, 0, 100, false, false, false},
	{"newer, with an ACK of what was not sent", true, 1 << 30, A, 5, 0, false, false, false},
	{"newer, with an ACK older than any window", true, 1 << 30, A, -70000, 0, false, false,
	 false},
};

static void
old_timestamps_are_refused_and_forged_ones_move_nothing(void)
{
	const struct sl_tcp_options o = {.mss = 1460, .has_ts = true, .ts_val = 0xfffffff0u};

	for (size_t i = 0; i < SL_ARRAY_CNT(paws); i++) {
		unsigned before = CU_get_number_of_failures();
		struct conn c = open_with(&(struct tcp_bed_conf){.buffers = 64}, &o);
		struct tcp_in in = {.seq = c.his + (uint32_t)paws[i].seq,
				    .ack = c.mine + (uint32_t)paws[i].ack,
				    .flags = paws[i].flags,
				    .data = zeros,
				    .len = 10};
		in.o.has_ts = paws[i].has_ts;
		in.o.ts_val = o.ts_val + (uint32_t)paws[i].ts;
		tcp_bed_in(c.b, &in);
		CU_ASSERT((sl_stream_readable_bytes(c.s) == 10) == paws[i].taken);
		CU_ASSERT((count(&c, SL_TCP_PAWS) == 1) == paws[i].counted);
		CU_ASSERT((c.s->ts_recent != o.ts_val) == paws[i].moves);
		tcp_bed_run(c.b, 0);
		CU_ASSERT(tcp_bed_sent(c.b) == (paws[i].has_ts && !paws[i].taken));
		if (CU_get_number_of_failures() != before)
			fprintf(stderr, "  %s\n", paws[i].why);
		end(&c);
	}
}

static void
a_reset_needs_no_timestamp(void)
{
	const struct sl_tcp_options o = {.mss = 1460, .has_ts = true, .ts_val = 100};
	struct conn c = open_with(&(struct tcp_bed_conf){0}, &o);

	c.has_ts = false;
	give(&c, c.his, 0, R, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_user(c.b)->closed == 1 && tcp_bed_user(c.b)->why == SL_END_RESET);
	tcp_bed_destroy(c.b);
}

/* ---- options ---- */

static bool
is_well_formed(unsigned kind, unsigned len, unsigned room)
{
	if (kind <= 1)
		return true;
	if (len < 2 || len > room)
		return false;
	switch (kind) {
	case 2:
		return len == 4;
	case 3:
		return len == 3;
	case 4:
		return len == 2;
	case 5:
		return len % 8 == 2 && len >= 10 && len <= 34;
	case 8:
		return len == 10;
	default:
		return true;
	}
}

static void
options_of_every_length_are_taken_or_refused(void)
{
	static const uint8_t kinds[] = {0, 1, 2, 3, 4, 5, 6, 8, 19, 28, 29, 30, 34, 69, 253, 255};
	struct conn c = open_plain();
	uint64_t bad = 0;

	for (unsigned k = 0; k < sizeof(kinds); k++)
		for (unsigned len = 0; len <= 44; len++)
			for (unsigned room = 4; room <= 40; room += 4) {
				uint8_t raw[40] = {kinds[k], (uint8_t)len};
				bool good = is_well_formed(kinds[k], len, room);
				if (kinds[k] == 1) /* what follows is the end */
					raw[1] = 0;
				tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his,
								 .ack = c.mine,
								 .flags = A,
								 .data = zeros,
								 .len = 1,
								 .raw_options = raw,
								 .raw_len = room});
				bad += !good;
				CU_ASSERT(sl_stream_readable_bytes(c.s) == good);
				if (good)
					sl_stream_consume(c.s, 1);
				c.his += good;
				CU_ASSERT(count(&c, SL_TCP_BAD_OPTIONS) == bad);
			}
	CU_ASSERT(is_open(&c) && bad > 1000);
	end(&c);
}

static void
a_syn_with_malformed_options_makes_nothing(void)
{
	static const uint8_t raw[][8] = {{2, 0}, {2, 3, 1}, {3, 2}, {8, 10}, {5, 10}, {2, 9}};
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){0});
	struct sl_tcp_usage u;

	for (unsigned i = 0; i < SL_ARRAY_CNT(raw); i++) {
		tcp_bed_in(b, &(struct tcp_in){
				      .seq = 1, .flags = S, .raw_options = raw[i], .raw_len = 8});
		CU_ASSERT(tcp_bed_count(b, SL_TCP_BAD_OPTIONS) == i + 1);
	}
	tcp_bed_run(b, 0);
	sl_tcp_usage(tcp_bed_stack(b), &u);
	CU_ASSERT(u.streams == 0 && tcp_bed_sent(b) == 0);
	tcp_bed_destroy(b);
}

/* ---- segment sizes, SACK blocks ---- */

/* Tiny segments and a SACK block for every other one: the queue of CVE-2019-11477, -11479. */
static void
tiny_segment_sizes_with_sacks_make_no_splinters(void)
{
	for (uint16_t mss = 0; mss < 64; mss++) {
		uint8_t raw[8] = {2, 4, 0, (uint8_t)mss, 4, 2, 1, 1};
		struct tcp_bed *b =
			tcp_bed_create(&(struct tcp_bed_conf){.buffers = 256, .seg_cnt = 1024});
		static uint8_t text[16000];
		unsigned small = 0;

		*tcp_bed_user(b) = (struct tcp_user){0};
		tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN,
					       .flags = S,
					       .raw_options = raw,
					       .raw_len = sizeof(raw)});
		uint32_t mine = tcp_bed_last(b)->seq + 1;
		tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1, .ack = mine, .flags = A});
		tcp_bed_run(b, 0);
		struct sl_stream *s = tcp_bed_user(b)->s;
		CU_ASSERT_FATAL(s != NULL);
		CU_ASSERT(sl_stream_row(s)->mss == SL_MSS_MIN);
		uint32_t wrote = sl_stream_write(s, text, sizeof(text));
		for (unsigned round = 0; round < 50; round++) {
			struct sl_tcp_options o = {.block_cnt = 4};
			for (unsigned i = 0; i < 4; i++) {
				o.block[i].from = mine + 128 * (4 * round + i) + 64;
				o.block[i].to = o.block[i].from + 64;
			}
			tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
						       .ack = mine,
						       .flags = A,
						       .o = o});
			tcp_bed_run(b, 1);
		}
		for (unsigned i = 0; i < tcp_bed_sent(b); i++)
			small += tcp_bed_out(b, i)->len > 0 && tcp_bed_out(b, i)->len < 64;
		CU_ASSERT(wrote > 0 && small <= 1);
		tcp_bed_check(b);
		tcp_bed_destroy(b);
	}
}

static void
sack_blocks_of_anything_change_nothing_but_what_is_sent_again(void)
{
	struct conn c = open_plain();
	uint64_t seed = 1;

	for (unsigned turn = 0; turn < 3000; turn++) {
		struct sl_tcp_options o = {.block_cnt = 1 + turn % 4};
		uint32_t out = c.s->row.snd_nxt - c.mine;
		(void)sl_stream_write(c.s, zeros, 700);
		for (unsigned i = 0; i < o.block_cnt; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			uint32_t a = (uint32_t)(seed >> 33), e = (uint32_t)(seed >> 13);
			bool wild = seed >> 62 == 0;
			o.block[i].from = c.mine + (wild ? a : a % (out + 2000) - 500);
			o.block[i].to = wild ? e : o.block[i].from + e % 3000 - 100;
		}
		tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his, .ack = c.mine, .flags = A, .o = o});
		tcp_bed_run(c.b, turn % 7 == 0);
		CU_ASSERT(c.s->row.snd_una == c.mine);
		if (turn % 50 == 0)
			tcp_bed_check(c.b);
		if (turn % 97 == 0 && c.s->row.snd_nxt != c.mine) {
			c.mine += (c.s->row.snd_nxt - c.mine) / 2 + 1;
			give(&c, c.his, c.mine, A, 0);
		}
	}
	CU_ASSERT(is_open(&c) && count(&c, SL_TCP_BAD_SACK) > 100);
	/* What he says truly at last counts. */
	for (unsigned i = 0; i < 100 && c.s->row.snd_una != c.s->row.snd_end; i++) {
		give(&c, c.his, c.s->row.snd_nxt, A, 0);
		tcp_bed_run(c.b, 300);
	}
	CU_ASSERT(c.s->row.snd_una == c.s->row.snd_end);
	end(&c);
}

/* ---- ACKs ---- */

static void
acks_of_what_was_not_sent_widen_nothing(void)
{
	struct conn c = open_plain();

	CU_ASSERT(sl_stream_write(c.s, zeros, 1000) == 1000);
	tcp_bed_run(c.b, 0);
	uint32_t cwnd = c.s->row.cwnd;
	for (uint32_t i = 1; i < 1000; i++)
		give(&c, c.his, c.mine + 1000 + i, A, 0);
	CU_ASSERT(c.s->row.cwnd == cwnd && c.s->row.snd_una == c.mine);
	CU_ASSERT(count(&c, SL_TCP_BAD_ACK) == 999);
	/* nor do a thousand for one segment widen it by more than that one */
	for (uint32_t i = 1; i <= 1000; i++)
		give(&c, c.his, c.mine + i, A, 0);
	CU_ASSERT(c.s->row.cwnd <= cwnd + 1460);
	end(&c);
}

static void
old_acks_take_nothing_back(void)
{
	struct conn c = open_plain();

	CU_ASSERT(sl_stream_write(c.s, zeros, 1000) == 1000);
	tcp_bed_run(c.b, 0);
	give(&c, c.his, c.mine + 1000, A, 0);
	uint32_t wnd = c.s->row.snd_wnd;
	for (uint32_t i = 0; i < 1000; i++)
		tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his,
						 .ack = c.mine + i,
						 .flags = A,
						 .wnd = TCP_BED_WND0});
	CU_ASSERT(c.s->row.snd_una == c.mine + 1000 && c.s->row.snd_wnd == wnd);
	end(&c);
}

/* ---- what comes in overlaps, or in splinters ---- */

static void
bytes_that_came_first_stay(void)
{
	struct conn c = open_plain();
	struct sl_span span[8];
	char got[32] = "";
	static const struct {
		uint32_t at;
		const char *text;
	} in[] = {
		{10, "KKKKK"},
		{20, "UUUUU"},
		{8, "aaaaaaaaaa"},
		{12, "bbbbbbbbbbbb"},
		{0, "cccccccccccccccccccccccccccccc"},
		{0, "dddddddddd"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(in); i++)
		tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his + in[i].at,
						 .ack = c.mine,
						 .flags = A,
						 .data = in[i].text,
						 .len = (uint32_t)strlen(in[i].text)});
	unsigned n = sl_stream_peek(c.s, 0, span, 8), at = 0;
	for (unsigned i = 0; i < n && at + span[i].len < sizeof(got); at += span[i++].len)
		memcpy(got + at, span[i].data, span[i].len);
	CU_ASSERT_STRING_EQUAL(got, "ccccccccaaKKKKKbbbbbUUUUUccccc");
	end(&c);
}

static void
thousands_of_splinters_hold_bounded_memory(void)
{
	struct conn c = open_plain();
	struct sl_tcp_usage u;

	for (uint32_t i = 0; i < 10000; i++)
		give(&c, c.his + 1 + 2 * (i * 7919 % 30000), c.mine, A, 1);
	tcp_bed_run(c.b, 0);
	sl_tcp_usage(tcp_bed_stack(c.b), &u);
	CU_ASSERT(u.segs <= SL_OOO_SEGS + 1 && u.blocks <= SL_OOO_SEGS);
	CU_ASSERT(count(&c, SL_TCP_OOO_LIMIT) > 9000);
	CU_ASSERT(is_open(&c));
	tcp_bed_check(c.b);
	/* What was missing still comes in, and all of it is delivered. */
	for (uint32_t at = 0; at < 60000; at += 1000) {
		give(&c, c.his + at, c.mine, A, 1000);
		CU_ASSERT(sl_stream_readable_bytes(c.s) >= 1000);
		sl_stream_consume(c.s, sl_stream_readable_bytes(c.s));
		tcp_bed_run(c.b, 1);
	}
	CU_ASSERT(c.s->row.bytes_in == 60000 && c.s->row.ooo <= 1);
	end(&c);
}

/* Many who do so at once take no more than their part: a good one is served on, in both directions. */
static void
splinters_of_many_leave_room_for_others(void)
{
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){.buffers = 512});
	uint32_t mine, good_mine;
	struct sl_stream *good = accept_from(b, 999, &good_mine);

	for (uint16_t p = 0; p < 30; p++) {
		CU_ASSERT_FATAL(accept_from(b, 2000 + p, &mine) != NULL);
		for (uint32_t i = 0; i < 600; i++) {
			tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 2 + 2 * i,
						       .ack = mine,
						       .flags = A,
						       .data = zeros,
						       .len = 1,
						       .sport = 2000 + p});
			if (i % 32 == 0)
				tcp_bed_run(b, 1);
		}
	}
	CU_ASSERT(tcp_bed_count(b, SL_TCP_OOO_LIMIT) > 0);
	for (uint32_t i = 0; i < 50; i++) {
		tcp_bed_clear(b);
		tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1 + 1000 * i,
					       .ack = good_mine + 1000 * i,
					       .flags = A,
					       .data = zeros,
					       .len = 1000,
					       .sport = 999});
		CU_ASSERT(sl_stream_readable_bytes(good) == 1000);
		sl_stream_consume(good, sl_stream_readable_bytes(good));
		CU_ASSERT(sl_stream_write(good, zeros, 1000) == 1000);
		tcp_bed_run(b, 1);
		CU_ASSERT(tcp_bed_last(b) && tcp_bed_last(b)->ack == TCP_BED_ISN + 1001 + 1000 * i);
	}
	tcp_bed_check(b);
	tcp_bed_destroy(b);
}

/* ---- SYN flood ---- */

static const struct sl_tcp_options client = {.mss = 1400,
					     .has_wscale = true,
					     .wscale = 7,
					     .sack_ok = true,
					     .has_ts = true,
					     .ts_val = 4711};

static struct tcp_out
ask_cookie(struct tcp_bed *b, uint16_t port, const struct sl_tcp_options *o)
{
	tcp_bed_clear(b);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN, .flags = S, .sport = port, .o = *o});
	CU_ASSERT_FATAL(tcp_bed_sent(b) == 1);
	struct tcp_out o1 = *tcp_bed_out(b, 0);
	tcp_bed_clear(b);
	return o1;
}

static void
bring_cookie(struct tcp_bed *b, uint16_t port, uint32_t seq, uint32_t ack, uint32_t ecr)
{
	struct tcp_in in = {.seq = seq, .ack = ack, .flags = A, .sport = port};

	in.o.has_ts = true;
	in.o.ts_val = 4712;
	in.o.ts_ecr = ecr;
	*tcp_bed_user(b) = (struct tcp_user){0};
	tcp_bed_in(b, &in);
	tcp_bed_run(b, 0);
}

static void
a_flood_holds_nothing_and_a_good_client_keeps_his_options(void)
{
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){.half_open = 16, .buffers = 64});
	struct sl_tcp_usage u;

	for (uint32_t i = 0; i < 5000; i++)
		tcp_bed_in(b, &(struct tcp_in){
				      .seq = i * 7, .flags = S, .sport = (uint16_t)(1000 + i)});
	sl_tcp_usage(tcp_bed_stack(b), &u);
	CU_ASSERT(u.streams == 16 && u.half_open == 16);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_COOKIE_SENT) == 5000 - 16);
	struct tcp_out o = ask_cookie(b, 40000, &client);
	CU_ASSERT(o.flags == (S | A) && o.o.has_ts && o.o.has_wscale && o.o.sack_ok && o.o.mss);
	bring_cookie(b, 40000, TCP_BED_ISN + 1, o.seq + 1, o.o.ts_val);
	struct sl_stream *s = tcp_bed_user(b)->s;
	CU_ASSERT_FATAL(s != NULL);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_COOKIE_OK) == 1);
	CU_ASSERT((s->row.flags & (SL_STREAM_TS | SL_STREAM_SACK | SL_STREAM_WSCALE)) ==
		  (SL_STREAM_TS | SL_STREAM_SACK | SL_STREAM_WSCALE));
	CU_ASSERT(s->wscale_snd == 7 && s->peer_mss == 1400 && s->row.snd_wnd == 65535u << 7);
	tcp_bed_check(b);
	/* those who never answer are gone after a while */
	tcp_bed_run(b, 65000);
	sl_tcp_usage(tcp_bed_stack(b), &u);
	CU_ASSERT(u.half_open == 0 && u.streams == 1);
	tcp_bed_destroy(b);
}

static void
a_cookie_that_is_not_exactly_ours_opens_nothing(void)
{
	struct tcp_bed *b =
		tcp_bed_create(&(struct tcp_bed_conf){.half_open = UINT32_MAX, .buffers = 64});
	struct tcp_out o = ask_cookie(b, 40000, &client);
	uint64_t bad = 0;
	struct sl_tcp_usage u;

	for (unsigned bit = 0; bit < 32; bit++) {
		bring_cookie(b, 40000, TCP_BED_ISN + 1, ((o.seq ^ 1u << bit)) + 1, o.o.ts_val);
		CU_ASSERT(tcp_bed_count(b, SL_TCP_COOKIE_BAD) == ++bad);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		bring_cookie(b, 40000, (TCP_BED_ISN ^ 1u << bit) + 1, o.seq + 1, o.o.ts_val);
		CU_ASSERT(tcp_bed_count(b, SL_TCP_COOKIE_BAD) == ++bad);
	}
	for (uint16_t port = 1; port < 2000; port++) {
		bring_cookie(b, port, TCP_BED_ISN + 1, o.seq + 1, o.o.ts_val);
		CU_ASSERT(tcp_bed_count(b, SL_TCP_COOKIE_BAD) == ++bad);
	}
	/* too old, while younger ones are out */
	tcp_bed_run(b, 100000);
	(void)ask_cookie(b, 50000, &client);
	tcp_bed_run(b, 21000);
	bring_cookie(b, 40000, TCP_BED_ISN + 1, o.seq + 1, o.o.ts_val);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_COOKIE_BAD) == ++bad);
	sl_tcp_usage(tcp_bed_stack(b), &u);
	CU_ASSERT(u.streams == 0 && tcp_bed_count(b, SL_TCP_COOKIE_OK) == 0);
	o = ask_cookie(b, 40000, &client);
	bring_cookie(b, 40000, TCP_BED_ISN + 1, o.seq + 1, o.o.ts_val);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_COOKIE_OK) == 1);
	tcp_bed_destroy(b);
}

/* ---- windows ---- */

static void
fill(struct conn *c)
{
	while (c->s->rcv_adv != c->his) {
		uint32_t n = SL_MIN(c->s->rcv_adv - c->his, 1460u);
		give(c, c->his, c->mine, A, n);
		c->his += n;
		tcp_bed_run(c->b, 0);
		CU_ASSERT_FATAL(c->s->rcv_nxt == c->his);
	}
}

static void
probes_of_our_closed_window_are_answered_and_bring_nothing_in(void)
{
	struct conn c = open_plain();
	uint32_t unread;

	fill(&c);
	tcp_bed_run(c.b, 50);
	unread = sl_stream_readable_bytes(c.s);
	CU_ASSERT(tcp_bed_last(c.b)->wnd == 0);
	for (unsigned i = 0; i < 100; i++) {
		tcp_bed_clear(c.b);
		give(&c, c.his, c.mine, A, 1);
		tcp_bed_run(c.b, 1000);
		CU_ASSERT(tcp_bed_sent(c.b) >= 1);
		CU_ASSERT(tcp_bed_out(c.b, 0)->ack == c.his && tcp_bed_out(c.b, 0)->wnd == 0);
	}
	CU_ASSERT(sl_stream_readable_bytes(c.s) == unread);
	tcp_bed_clear(c.b);
	sl_stream_consume(c.s, unread);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->wnd > 30000);
	end(&c);
}

static void
a_window_that_shrinks_holds_new_bytes_back(void)
{
	struct conn c = open_plain();

	CU_ASSERT(sl_stream_write(c.s, zeros, 1460) == 1460);
	CU_ASSERT(sl_stream_write(c.s, zeros, 1460) == 1460);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 2);
	tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his, .ack = c.mine, .flags = A, .wnd = 1000});
	CU_ASSERT(sl_stream_write(c.s, zeros, 1460) == 1460);
	tcp_bed_clear(c.b);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 0); /* the usable window is negative */
	tcp_bed_check(c.b);
	give(&c, c.his, c.mine + 2920, A, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->len == 1460);
	end(&c);
}

/* He closes his window over what is under way and drops it, but answers: he lives, for as long as he likes. */
static void
a_peer_that_answers_behind_a_closed_window_is_kept(void)
{
	struct conn c = open_plain();

	CU_ASSERT(sl_stream_write(c.s, zeros, 1000) == 1000);
	tcp_bed_run(c.b, 0);
	for (unsigned s = 0; s < 3600; s++) {
		if (tcp_bed_sent(c.b) > 0)
			tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his,
							 .ack = c.mine,
							 .flags = A,
							 .wnd = TCP_BED_WND0});
		tcp_bed_clear(c.b);
		tcp_bed_run(c.b, 1000);
	}
	CU_ASSERT_FATAL(is_open(&c));
	/* silence is still the end */
	tcp_bed_run(c.b, 15 * 60 * 1000);
	CU_ASSERT(tcp_bed_user(c.b)->closed == 1 && tcp_bed_user(c.b)->why == SL_END_TIMEOUT);
	end(&c);
}

/* Closes his window with bytes waiting, and answers each question for some seconds: how many segments that took. */
static unsigned
answer_closed(struct conn *c, unsigned seconds)
{
	unsigned asked = 0;

	for (unsigned i = 0; i < seconds * 10 && sl_stream_row(c->s)->state; i++) {
		tcp_bed_clear(c->b);
		tcp_bed_run(c->b, 100);
		asked += tcp_bed_sent(c->b);
		if (tcp_bed_sent(c->b) > 0)
			tcp_bed_in(c->b, &(struct tcp_in){.seq = c->his,
							  .ack = c->mine,
							  .flags = A,
							  .wnd = TCP_BED_WND0});
	}
	return asked;
}

static struct conn
open_closed(void)
{
	struct conn c = open_plain();

	tcp_bed_in(c.b,
		   &(struct tcp_in){.seq = c.his, .ack = c.mine, .flags = A, .wnd = TCP_BED_WND0});
	CU_ASSERT(sl_stream_write(c.s, zeros, 100) == 100);
	return c;
}

/* RFC 9293, 3.8.6.1 SHLD-30: thousands of such peers would keep a worker busy with questions else. */
static void
answers_from_behind_a_closed_window_cost_less_and_less(void)
{
	struct conn c = open_closed();

	CU_ASSERT(answer_closed(&c, 60) <= 10);
	CU_ASSERT(answer_closed(&c, 600) <= 11);
	CU_ASSERT(is_open(&c));
	tcp_bed_clear(c.b);
	give(&c, c.his, c.mine, A, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->len == 100);
	end(&c);
}

static void
answers_alone_do_not_keep_a_stream_without_a_user(void)
{
	struct conn c = open_closed();

	tcp_bed_user(c.b)->s = NULL;
	sl_stream_close(c.s);
	(void)answer_closed(&c, 50);
	CU_ASSERT(sl_stream_row(c.s)->state == SL_STREAM_FIN_WAIT_1);
	(void)answer_closed(&c, 20);
	CU_ASSERT(sl_stream_row(c.s)->state == SL_STREAM_FREE);
	CU_ASSERT(tcp_bed_last(c.b) != NULL && (tcp_bed_last(c.b)->flags & SL_TCP_RST));
	end(&c);
}

/* ---- memory ---- */

/* Buffers that could still be pinned are no help to those who need blocks. */
static void
who_holds_all_blocks_and_takes_nothing_is_reset(void)
{
	struct conn c = open_with(&(struct tcp_bed_conf){.block_cnt = 32, .pinned_max = 256},
				  &(struct sl_tcp_options){.mss = 1460, .sack_ok = true});

	tcp_bed_in(c.b,
		   &(struct tcp_in){.seq = c.his, .ack = c.mine, .flags = A, .wnd = TCP_BED_WND0});
	for (unsigned i = 0; i < 64; i++)
		(void)sl_stream_write(c.s, zeros, 1460);
	CU_ASSERT(tcp_bed_stack(c.b)->mem.block_used == 32);
	(void)answer_closed(&c, 10);
	CU_ASSERT(tcp_bed_user(c.b)->closed == 1 && tcp_bed_user(c.b)->why == SL_END_NO_MEMORY);
	CU_ASSERT(count(&c, SL_TCP_SHED) == 1 && tcp_bed_stack(c.b)->mem.block_used == 0);
	end(&c);
}

static void
splinters_are_forgotten_when_memory_is_short(void)
{
	struct conn c = open_with(&(struct tcp_bed_conf){.block_cnt = 32, .pinned_max = 256},
				  &(struct sl_tcp_options){.mss = 1460, .sack_ok = true});

	for (uint32_t i = 0; i < 40; i++)
		give(&c, c.his + 2 + 2 * i, c.mine, A, 1);
	tcp_bed_run(c.b, 100);
	CU_ASSERT(sl_stream_row(c.s)->ooo == 28);
	CU_ASSERT(sl_stream_write(c.s, zeros, 100) == 100);
	tcp_bed_run(c.b, 2);
	CU_ASSERT(sl_stream_row(c.s)->ooo == 0 && is_open(&c));
	/* and may come again */
	give(&c, c.his, c.mine + 100, A, 100);
	tcp_bed_run(c.b, 2);
	CU_ASSERT(sl_stream_readable_bytes(c.s) == 100);
	end(&c);
}

/* ---- ICMP ---- */

static void
forged_errors_shrink_nothing(void)
{
	struct conn c = open_plain();

	CU_ASSERT(sl_stream_write(c.s, zeros, 1000) == 1000);
	tcp_bed_run(c.b, 0);
	for (uint32_t k = 1; k < 65536; k++)
		sl_tcp_icmp(tcp_bed_stack(c.b), &c.s->row.tuple, c.mine + k * 65536, k & 1, 576,
			    k & 2);
	CU_ASSERT(c.s->row.mss == 1460 && is_open(&c));
	CU_ASSERT(count(&c, SL_TCP_BAD_ICMP) == 65535 && count(&c, SL_TCP_PMTU) == 0);
	end(&c);
}

SL_SUITE("blind", SL_TEST(a_sweep_of_resets_over_all_numbers_hits_nothing),
	 SL_TEST(a_sweep_of_syns_over_all_numbers_hits_nothing),
	 SL_TEST(data_with_a_guessed_ack_is_taken_only_within_a_window),
	 SL_TEST(a_stream_sends_two_challenges_a_second_at_most),
	 SL_TEST(a_worker_sends_a_thousand_challenges_a_second_at_most),
	 SL_TEST(resets_for_segments_of_no_stream_are_limited),
	 SL_TEST(old_timestamps_are_refused_and_forged_ones_move_nothing),
	 SL_TEST(a_reset_needs_no_timestamp), SL_TEST(options_of_every_length_are_taken_or_refused),
	 SL_TEST(a_syn_with_malformed_options_makes_nothing),
	 SL_TEST(tiny_segment_sizes_with_sacks_make_no_splinters),
	 SL_TEST(sack_blocks_of_anything_change_nothing_but_what_is_sent_again),
	 SL_TEST(acks_of_what_was_not_sent_widen_nothing), SL_TEST(old_acks_take_nothing_back),
	 SL_TEST(bytes_that_came_first_stay), SL_TEST(thousands_of_splinters_hold_bounded_memory),
	 SL_TEST(splinters_of_many_leave_room_for_others),
	 SL_TEST(a_flood_holds_nothing_and_a_good_client_keeps_his_options),
	 SL_TEST(a_cookie_that_is_not_exactly_ours_opens_nothing),
	 SL_TEST(probes_of_our_closed_window_are_answered_and_bring_nothing_in),
	 SL_TEST(a_window_that_shrinks_holds_new_bytes_back),
	 SL_TEST(a_peer_that_answers_behind_a_closed_window_is_kept),
	 SL_TEST(answers_from_behind_a_closed_window_cost_less_and_less),
	 SL_TEST(answers_alone_do_not_keep_a_stream_without_a_user),
	 SL_TEST(who_holds_all_blocks_and_takes_nothing_is_reset),
	 SL_TEST(splinters_are_forgotten_when_memory_is_short),
	 SL_TEST(forged_errors_shrink_nothing))
