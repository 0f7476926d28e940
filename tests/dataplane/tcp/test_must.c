/* MUSTs of RFC 9293 (appendix B) that no other test shows; RFC9293.md says where each one is tested. */
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
};

static struct conn
open_with(const struct sl_tcp_options *o)
{
	struct conn c = {.b = tcp_bed_create(&(struct tcp_bed_conf){.buffers = 512}),
			 .his = TCP_BED_ISN + 1};
	uint32_t iss;

	c.s = tcp_bed_accept(c.b, o, &iss);
	c.mine = iss + 1;
	return c;
}

static struct conn
open_plain(void)
{
	return open_with(&(struct sl_tcp_options){.mss = 1460});
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
give(struct conn *c, uint32_t ack, uint8_t flags, uint32_t wnd, uint32_t len)
{
	tcp_bed_in(c->b, &(struct tcp_in){.seq = c->his,
					  .ack = ack,
					  .flags = flags,
					  .wnd = (uint16_t)wnd,
					  .data = zeros,
					  .len = len});
	c->his += len;
}

/* MUST-1 */
static void
windows_are_numbers_without_a_sign(void)
{
	static const uint16_t wnds[] = {32767, 32768, 40000, 65535};

	for (unsigned i = 0; i < SL_ARRAY_CNT(wnds); i++) {
		struct conn c = open_plain();
		give(&c, c.mine, A, wnds[i], 0);
		CU_ASSERT(sl_stream_row(c.s)->snd_wnd == wnds[i]);
		CU_ASSERT(sl_stream_write(c.s, zeros, 1000) == 1000);
		tcp_bed_run(c.b, 0);
		CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_out(c.b, 0)->len == 1000);
		end(&c);
	}
}

/* MUST-2, MUST-3 */
static void
segments_with_a_wrong_checksum_are_dropped_and_ours_are_right(void)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){0});
		struct tcp_in syn = {.seq = 1, .flags = S, .bad_csum = true, .v6 = v6};
		struct sl_tcp_usage u;

		tcp_bed_in(b, &syn);
		tcp_bed_run(b, 0);
		sl_tcp_usage(tcp_bed_stack(b), &u);
		CU_ASSERT(u.streams == 0 && tcp_bed_sent(b) == 0);
		CU_ASSERT(tcp_bed_count(b, SL_TCP_BAD_CSUM) == 1);
		syn.bad_csum = false;
		tcp_bed_in(b, &syn);
		CU_ASSERT_FATAL(tcp_bed_sent(b) == 1);
		CU_ASSERT(tcp_bed_out(b, 0)->csum_ok);
		tcp_bed_destroy(b);
	}
}

/* MUST-14, MUST-15, MUST-16, MUST-67: what we offer and what we send. */
static const struct {
	const char *why;
	bool v6, ts;
	uint16_t mtu, told; /* his MSS; 0: he says nothing */
	uint16_t offered, sent;
} sizes[] = {
	{"Ethernet", false, false, 1500, 1460, 1460, 1460},
	{"IPv6", true, false, 1500, 1440, 1440, 1440},
	{"not told: 536", false, false, 1500, 0, 1460, 536},
	{"not told, IPv6: 1220", true, false, 1500, 0, 1440, 1220},
	{"he takes less", false, false, 1500, 1000, 1460, 1000},
	{"he takes more than we can send", false, false, 1400, 1460, 1360, 1360},
	{"timestamps take twelve bytes", false, true, 1500, 1460, 1460, 1448},
	{"timestamps, not told", false, true, 1500, 0, 1460, 524},
	{"jumbo against Ethernet", false, false, 1500, 8960, 1460, 1460},
};

static void
segments_are_as_large_as_both_ends_and_the_link_allow(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(sizes); i++) {
		struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){.mtu = sizes[i].mtu});
		unsigned before = CU_get_number_of_failures();
		struct tcp_in in = {.seq = 1, .flags = S, .v6 = sizes[i].v6};

		in.o.mss = sizes[i].told;
		in.o.has_ts = sizes[i].ts;
		*tcp_bed_user(b) = (struct tcp_user){0};
		tcp_bed_in(b, &in);
		CU_ASSERT_FATAL(tcp_bed_sent(b) == 1);
		CU_ASSERT(tcp_bed_out(b, 0)->o.mss == sizes[i].offered);
		in.o.mss = 0;
		in.seq = 2;
		in.ack = tcp_bed_out(b, 0)->seq + 1;
		in.flags = A;
		tcp_bed_in(b, &in);
		tcp_bed_run(b, 0);
		CU_ASSERT_FATAL(tcp_bed_user(b)->s != NULL);
		tcp_bed_clear(b);
		CU_ASSERT(sl_stream_write(tcp_bed_user(b)->s, zeros, 1460) == 1460);
		CU_ASSERT(sl_stream_write(tcp_bed_user(b)->s, zeros, 1460) == 1460);
		tcp_bed_run(b, 0);
		CU_ASSERT(tcp_bed_sent(b) >= 2 && tcp_bed_out(b, 0)->len == sizes[i].sent);
		for (unsigned k = 0; k < tcp_bed_sent(b); k++) /* MUST-65 */
			CU_ASSERT(tcp_bed_out(b, k)->o.mss == 0);
		if (CU_get_number_of_failures() != before)
			fprintf(stderr, "  %s: %u\n", sizes[i].why, tcp_bed_out(b, 0)->len);
		tcp_bed_destroy(b);
	}
}

/* MUST-17, and that Nagle's algorithm is there (SHLD-7) */
static void
small_segments_wait_for_an_ack_unless_the_user_says_no(void)
{
	struct conn c = open_plain();

	sl_stream_set_nodelay(c.s, false);
	for (unsigned i = 0; i < 5; i++) {
		CU_ASSERT(sl_stream_write(c.s, zeros, 10) == 10);
		tcp_bed_run(c.b, 1);
	}
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_out(c.b, 0)->len == 10);
	give(&c, c.mine + 10, A, 0, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 2 && tcp_bed_out(c.b, 1)->len == 40);
	tcp_bed_clear(c.b);
	sl_stream_set_nodelay(c.s, true);
	for (unsigned i = 0; i < 5; i++) {
		CU_ASSERT(sl_stream_write(c.s, zeros, 10) == 10);
		tcp_bed_run(c.b, 1);
	}
	CU_ASSERT(tcp_bed_sent(c.b) == 5);
	end(&c);
}

/* MUST-22: SYNs are sent again after twice the time each, and given up in the end. */
static void
syns_are_sent_again_at_growing_distances(void)
{
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){0});
	unsigned at[8] = {0}, n = 1;
	uint32_t iss;

	CU_ASSERT_FATAL(tcp_bed_connect(b, &iss) != NULL);
	for (unsigned ms = 1; ms <= 12000; ms++) {
		tcp_bed_run(b, 1);
		if (tcp_bed_sent(b) > n && n < 8)
			at[n++] = ms;
	}
	CU_ASSERT(n == 4);
	CU_ASSERT(at[1] / 100 == 10 && at[2] / 100 == 30 && at[3] / 100 == 70);
	for (unsigned i = 0; i < n; i++)
		CU_ASSERT(tcp_bed_out(b, i)->flags == S && tcp_bed_out(b, i)->seq == iss);
	CU_ASSERT(tcp_bed_user(b)->closed == 1);
	CU_ASSERT(tcp_bed_user(b)->why == SL_END_CONNECT_TIMEOUT);
	tcp_bed_destroy(b);
}

/* MUST-25 */
static void
nobody_is_probed_who_was_not_asked_for(void)
{
	struct conn c = open_plain();

	tcp_bed_run(c.b, 3 * 3600 * 1000);
	CU_ASSERT(tcp_bed_sent(c.b) == 0 && tcp_bed_user(c.b)->closed == 0);
	end(&c);
}

/* MUST-26, MUST-27, MUST-29 */
static void
a_lost_answer_to_a_keep_alive_ends_nothing(void)
{
	struct conn c = open_plain();

	sl_stream_set_keepalive(c.s, 10, 2, 3);
	for (unsigned k = 0; k < 20; k++) { /* segments keep it quiet */
		give(&c, c.mine, A, 0, 0);
		tcp_bed_run(c.b, 9000);
	}
	CU_ASSERT(tcp_bed_sent(c.b) == 0);
	give(&c, c.mine, A, 0, 0);
	for (unsigned k = 0; k < 10; k++) {
		tcp_bed_clear(c.b);
		tcp_bed_run(c.b, 13500);
		CU_ASSERT_FATAL(tcp_bed_sent(c.b) == 2); /* neither is answered */
		CU_ASSERT(tcp_bed_last(c.b)->len == 0 && tcp_bed_last(c.b)->seq == c.mine - 1);
		give(&c, c.mine, A, 0, 0);
	}
	CU_ASSERT(tcp_bed_user(c.b)->closed == 0);
	end(&c);
}

/* MUST-35, MUST-36, MUST-37, and SHLD-30 */
static void
a_closed_window_is_asked_about_ever_more_seldom_and_for_hours(void)
{
	struct conn c = open_plain();
	unsigned probes = 0;

	give(&c, c.mine, A, TCP_BED_WND0, 0);
	CU_ASSERT(sl_stream_write(c.s, zeros, 100) == 100);
	for (unsigned s = 0; s < 4 * 3600; s++) {
		tcp_bed_run(c.b, 1000);
		if (tcp_bed_sent(c.b) > 0)
			give(&c, c.mine, A, TCP_BED_WND0, 0);
		probes += tcp_bed_sent(c.b);
		tcp_bed_clear(c.b);
	}
	CU_ASSERT(tcp_bed_user(c.b)->closed == 0 && probes >= 4 * 60);
	give(&c, c.mine, A, 0, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->len == 100);
	end(&c);

	c = open_plain(); /* nobody answers */
	give(&c, c.mine, A, TCP_BED_WND0, 0);
	CU_ASSERT(sl_stream_write(c.s, zeros, 100) == 100);
	uint32_t last = 0, gap = 0;
	for (unsigned ms = 0, n = 0; ms < 60000; ms++) {
		tcp_bed_run(c.b, 1);
		if (tcp_bed_sent(c.b) == n)
			continue;
		n = tcp_bed_sent(c.b);
		CU_ASSERT(last == 0 || ms - last + 5 >= gap * 2);
		gap = last ? ms - last : 0;
		last = ms;
	}
	CU_ASSERT(gap >= 10000);
	tcp_bed_run(c.b, 20 * 60 * 1000);
	CU_ASSERT(tcp_bed_user(c.b)->closed == 1 && tcp_bed_user(c.b)->why == SL_END_TIMEOUT);
	end(&c);
}

/* MUST-38 */
static void
a_little_of_a_window_is_not_filled(void)
{
	struct conn c = open_plain();

	give(&c, c.mine, A, 20000, 0);
	give(&c, c.mine, A, 100, 0);
	CU_ASSERT(sl_stream_write(c.s, zeros, 1400) == 1400);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 0);
	tcp_bed_run(c.b, 3000); /* in the end it is */
	CU_ASSERT(tcp_bed_sent(c.b) >= 1);
	end(&c);

	c = open_plain();
	give(&c, c.mine, A, 1400, 0);
	CU_ASSERT(sl_stream_write(c.s, zeros, 1400) == 1400);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->len == 1400);
	end(&c);
}

/* MUST-39: the window opens by a segment or half of it at least. */
static void
our_window_does_not_open_by_little(void)
{
	struct conn c = open_plain();

	while (c.s->rcv_adv != c.his) {
		give(&c, c.mine, A, 0, SL_MIN(c.s->rcv_adv - c.his, 1460u));
		tcp_bed_run(c.b, 0);
	}
	tcp_bed_run(c.b, 50);
	tcp_bed_clear(c.b);
	for (unsigned eaten = 0; eaten < 1400; eaten += 100) {
		sl_stream_consume(c.s, 100);
		tcp_bed_run(c.b, 1);
		CU_ASSERT(tcp_bed_sent(c.b) == 0);
		tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his - 1, .ack = c.mine, .flags = A});
		tcp_bed_run(c.b, 600);
		CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->wnd == 0);
		tcp_bed_clear(c.b);
	}
	sl_stream_consume(c.s, sl_stream_readable_bytes(c.s));
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->wnd >= 1460);
	end(&c);
}

/* MUST-40, and SHLD-19: every second full one at once */
static void
acks_wait_for_less_than_half_a_second(void)
{
	struct conn c = open_plain();
	unsigned ms = 0;

	give(&c, c.mine, A, 0, 100);
	tcp_bed_run(c.b, 0);
	while (tcp_bed_sent(c.b) == 0 && ms < 1000) {
		tcp_bed_run(c.b, 1);
		ms++;
	}
	CU_ASSERT(ms > 0 && ms <= SL_DELACK_MS + 2 && ms < 500);
	CU_ASSERT(tcp_bed_last(c.b)->ack == c.his);
	tcp_bed_clear(c.b);
	for (unsigned i = 0; i < 10; i++) {
		give(&c, c.mine, A, 0, 1460);
		tcp_bed_run(c.b, 0);
	}
	CU_ASSERT(tcp_bed_sent(c.b) == 5);
	end(&c);
}

/* MUST-58, MUST-59: what arrives in one turn is worked on before it is acknowledged, once. */
static void
segments_of_one_turn_are_acknowledged_together(void)
{
	struct conn c = open_plain();

	for (unsigned i = 0; i < 10; i++)
		give(&c, c.mine, A, 0, 1000);
	tcp_bed_run(c.b, 100);
	CU_ASSERT(tcp_bed_sent(c.b) == 1 && tcp_bed_last(c.b)->ack == c.his);
	tcp_bed_clear(c.b);
	give(&c, c.mine, A, 0, 1000); /* an answer carries it */
	CU_ASSERT(sl_stream_write(c.s, zeros, 10) == 10);
	tcp_bed_run(c.b, 100);
	CU_ASSERT(tcp_bed_out(c.b, 0)->len == 10 && tcp_bed_out(c.b, 0)->ack == c.his);
	end(&c);
}

/* MUST-60, MUST-61 */
static void
what_is_written_leaves_in_the_same_turn_with_psh_at_its_end(void)
{
	struct conn c = open_plain();

	CU_ASSERT(sl_stream_write(c.s, zeros, 1460) == 1460);
	CU_ASSERT(sl_stream_write(c.s, zeros, 100) == 100);
	tcp_bed_run(c.b, 0);
	CU_ASSERT_FATAL(tcp_bed_sent(c.b) == 2);
	CU_ASSERT(tcp_bed_out(c.b, 1)->len == 100 && (tcp_bed_out(c.b, 1)->flags & SL_TCP_PSH));
	end(&c);
}

/* MUST-64: timestamps at an odd place, without padding before them */
static void
options_lie_at_any_place(void)
{
	const struct sl_tcp_options ts = {.mss = 1460, .has_ts = true, .ts_val = 100};

	for (unsigned at = 0; at < 10; at++) {
		struct conn c = open_with(&ts);
		uint8_t raw[20];

		memset(raw, 1, sizeof(raw));
		memcpy(raw + at, (uint8_t[10]){8, 10, 0, 0, 1, 0, 0, 0, 0, 0}, 10);
		tcp_bed_in(c.b, &(struct tcp_in){.seq = c.his,
						 .ack = c.mine,
						 .flags = A,
						 .data = zeros,
						 .len = 5,
						 .raw_options = raw,
						 .raw_len = sizeof(raw)});
		CU_ASSERT(sl_stream_readable_bytes(c.s) == 5);
		CU_ASSERT(c.s->ts_recent == 0x100);
		end(&c);
	}
}

/* MUST-66: ACK, RST and (ignored here) URG are worked on though our window is closed */
static void
a_closed_window_of_ours_stops_text_alone(void)
{
	struct conn c = open_plain();

	while (c.s->rcv_adv != c.his) {
		give(&c, c.mine, A, 0, SL_MIN(c.s->rcv_adv - c.his, 1460u));
		tcp_bed_run(c.b, 0);
	}
	CU_ASSERT(sl_stream_write(c.s, zeros, 100) == 100);
	tcp_bed_run(c.b, 0);
	give(&c, c.mine + 100, A | SL_TCP_URG, 0, 0);
	CU_ASSERT(sl_stream_row(c.s)->snd_una == c.mine + 100);
	/* an ACK that brings a byte we have no room for counts all the same */
	CU_ASSERT(sl_stream_write(c.s, zeros, 50) == 50);
	tcp_bed_run(c.b, 0);
	uint32_t unread = sl_stream_readable_bytes(c.s);
	give(&c, c.mine + 150, A, 0, 1);
	c.his--;
	CU_ASSERT(sl_stream_row(c.s)->snd_una == c.mine + 150);
	CU_ASSERT(sl_stream_readable_bytes(c.s) == unread);
	give(&c, 0, R, 0, 0);
	tcp_bed_run(c.b, 0);
	CU_ASSERT(tcp_bed_user(c.b)->closed == 1 && tcp_bed_user(c.b)->why == SL_END_RESET);
	end(&c);
}

/* MUST-41, MUST-42, MUST-45: one listener, many connections, each from the address it was opened to. */
static void
connections_of_one_listener_do_not_meet(void)
{
	struct tcp_bed *b = tcp_bed_create(&(struct tcp_bed_conf){0});
	struct sl_stream *s[20];

	for (uint16_t i = 0; i < 20; i++) {
		unsigned at = tcp_bed_sent(b);
		bool v6 = i % 2;
		struct tcp_in in = {.seq = i, .flags = S, .sport = 5000 + i / 2, .v6 = v6};
		tcp_bed_in(b, &in);
		const struct tcp_out *o = tcp_bed_out(b, at);
		CU_ASSERT_FATAL(o != NULL);
		CU_ASSERT(o->tuple.sport == sl_to_be16(80) &&
			  o->tuple.dport == sl_to_be16(in.sport));
		CU_ASSERT(sl_addr_is_v4(&o->tuple.src) == !v6);
		in = (struct tcp_in){.seq = i + 1u,
				     .ack = o->seq + 1,
				     .flags = A,
				     .sport = in.sport,
				     .v6 = v6,
				     .data = zeros,
				     .len = i + 1u};
		tcp_bed_in(b, &in);
		tcp_bed_run(b, 0);
		s[i] = tcp_bed_user(b)->s;
	}
	for (uint16_t i = 0; i < 20; i++)
		CU_ASSERT(sl_stream_readable_bytes(s[i]) == i + 1u);
	tcp_bed_destroy(b);
}

/* MUST-30 … 33, MUST-62 are not kept: urgent bytes are bytes like others, in their place (RFC 6093 advises against more). */
static void
urgent_bytes_are_bytes_like_others(void)
{
	struct conn c = open_plain();

	give(&c, c.mine, A | SL_TCP_URG | SL_TCP_PSH, 0, 50);
	CU_ASSERT(sl_stream_readable_bytes(c.s) == 50);
	end(&c);
}

SL_SUITE("must", SL_TEST(windows_are_numbers_without_a_sign),
	 SL_TEST(segments_with_a_wrong_checksum_are_dropped_and_ours_are_right),
	 SL_TEST(segments_are_as_large_as_both_ends_and_the_link_allow),
	 SL_TEST(small_segments_wait_for_an_ack_unless_the_user_says_no),
	 SL_TEST(syns_are_sent_again_at_growing_distances),
	 SL_TEST(nobody_is_probed_who_was_not_asked_for),
	 SL_TEST(a_lost_answer_to_a_keep_alive_ends_nothing),
	 SL_TEST(a_closed_window_is_asked_about_ever_more_seldom_and_for_hours),
	 SL_TEST(a_little_of_a_window_is_not_filled), SL_TEST(our_window_does_not_open_by_little),
	 SL_TEST(acks_wait_for_less_than_half_a_second),
	 SL_TEST(segments_of_one_turn_are_acknowledged_together),
	 SL_TEST(what_is_written_leaves_in_the_same_turn_with_psh_at_its_end),
	 SL_TEST(options_lie_at_any_place), SL_TEST(a_closed_window_of_ours_stops_text_alone),
	 SL_TEST(connections_of_one_listener_do_not_meet),
	 SL_TEST(urgent_bytes_are_bytes_like_others))
