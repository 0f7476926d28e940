/* What users of streams see: bytes in and out, room, ends.  Segments by hand (tcp_bed). */
#include "../../suite.h"
#include "tcp_bed.h"

static struct tcp_bed *
bed(void)
{
	return tcp_bed_create(&(struct tcp_bed_conf){0});
}

static void
send_text(struct tcp_bed *b, uint32_t seq, uint32_t ack, const char *text)
{
	tcp_bed_in(b, &(struct tcp_in){.seq = seq,
				       .ack = ack,
				       .flags = SL_TCP_ACK | SL_TCP_PSH,
				       .data = text,
				       .len = (uint32_t)strlen(text)});
	tcp_bed_run(b, 0);
}

static void
send_flags(struct tcp_bed *b, uint32_t seq, uint32_t ack, uint8_t flags)
{
	tcp_bed_in(b, &(struct tcp_in){.seq = seq, .ack = ack, .flags = flags});
	tcp_bed_run(b, 0);
}

static void
an_accepted_stream_reads_and_answers(void)
{
	struct tcp_bed *b = bed();
	struct sl_span span[2];
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	send_text(b, TCP_BED_ISN + 1, iss + 1, "hello");
	CU_ASSERT(tcp_bed_user(b)->readable == 1);
	CU_ASSERT_FATAL(sl_stream_readable_bytes(s) == 5);
	CU_ASSERT_FATAL(sl_stream_peek(s, 0, span, 2) == 1);
	CU_ASSERT(span[0].len == 5 && memcmp(span[0].data, "hello", 5) == 0);
	sl_stream_consume(s, 5);
	CU_ASSERT(sl_stream_write(s, "world!", 6) == 6);
	tcp_bed_run(b, 0);
	const struct tcp_out *o = tcp_bed_last(b);
	CU_ASSERT_FATAL(o != NULL);
	CU_ASSERT(o->len == 6 && memcmp(o->data, "world!", 6) == 0);
	CU_ASSERT(o->seq == iss + 1 && o->ack == TCP_BED_ISN + 6 && o->csum_ok);
	CU_ASSERT(o->flags == (SL_TCP_ACK | SL_TCP_PSH));
	send_flags(b, TCP_BED_ISN + 6, iss + 7, SL_TCP_ACK);
	CU_ASSERT(sl_stream_row(s)->bytes_out == 6 && sl_stream_row(s)->bytes_in == 5);
	tcp_bed_check(b);
	tcp_bed_destroy(b);
}

static void
a_connected_stream_opens_and_is_told(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss;
	struct sl_stream *s = tcp_bed_connect(b, &iss);

	CU_ASSERT_FATAL(s != NULL);
	const struct tcp_out *syn = tcp_bed_out(b, 0);
	CU_ASSERT(syn->flags == SL_TCP_SYN && syn->o.mss == 1460 && syn->o.has_ts);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN,
				       .ack = iss + 1,
				       .flags = SL_TCP_SYN | SL_TCP_ACK,
				       .sport = 80,
				       .dport = sl_from_be16(syn->tuple.sport)});
	tcp_bed_run(b, 0);
	CU_ASSERT(tcp_bed_user(b)->opened == 1);
	CU_ASSERT(tcp_bed_last(b)->flags == SL_TCP_ACK && tcp_bed_last(b)->ack == TCP_BED_ISN + 1);
	sl_stream_abort(s, SL_END_ABORTED);
	tcp_bed_run(b, 0);
	CU_ASSERT(tcp_bed_last(b)->flags & SL_TCP_RST);
	tcp_bed_destroy(b);
}

static void
who_closes_first_waits(void)
{
	struct tcp_bed *b = bed();
	struct sl_tcp_usage u;
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	sl_stream_shutdown(s);
	tcp_bed_run(b, 0);
	CU_ASSERT(tcp_bed_last(b)->flags == (SL_TCP_FIN | SL_TCP_ACK));
	CU_ASSERT(sl_stream_row(s)->state == SL_STREAM_FIN_WAIT_1);
	send_flags(b, TCP_BED_ISN + 1, iss + 2, SL_TCP_ACK);
	CU_ASSERT(sl_stream_row(s)->state == SL_STREAM_FIN_WAIT_2);
	send_flags(b, TCP_BED_ISN + 1, iss + 2, SL_TCP_ACK | SL_TCP_FIN);
	CU_ASSERT(tcp_bed_user(b)->closed == 1 && tcp_bed_user(b)->why == SL_END_OK);
	CU_ASSERT(tcp_bed_last(b)->ack == TCP_BED_ISN + 2);
	sl_tcp_usage(tcp_bed_stack(b), &u);
	CU_ASSERT(u.streams == 0 && u.timewait == 1);
	tcp_bed_run(b, 61000);
	sl_tcp_usage(tcp_bed_stack(b), &u);
	CU_ASSERT(u.timewait == 0);
	tcp_bed_destroy(b);
}

static void
who_closes_last_is_done_at_once(void)
{
	struct tcp_bed *b = bed();
	struct sl_tcp_usage u;
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	send_flags(b, TCP_BED_ISN + 1, iss + 1, SL_TCP_ACK | SL_TCP_FIN);
	CU_ASSERT(sl_stream_eof(s) && sl_stream_row(s)->state == SL_STREAM_CLOSE_WAIT);
	sl_stream_shutdown(s);
	tcp_bed_run(b, 0);
	CU_ASSERT(sl_stream_row(s)->state == SL_STREAM_LAST_ACK);
	send_flags(b, TCP_BED_ISN + 2, iss + 2, SL_TCP_ACK);
	CU_ASSERT(tcp_bed_user(b)->closed == 1);
	sl_tcp_usage(tcp_bed_stack(b), &u);
	CU_ASSERT(u.streams == 0 && u.timewait == 0);
	tcp_bed_destroy(b);
}

/* Both FINs are through, and bytes are still unread: `closed` waits for the reader. */
static void
unread_bytes_outlive_the_connection(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	sl_stream_shutdown(s);
	tcp_bed_run(b, 0);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = iss + 2,
				       .flags = SL_TCP_ACK | SL_TCP_FIN,
				       .data = "rest",
				       .len = 4});
	tcp_bed_run(b, 100);
	CU_ASSERT(tcp_bed_user(b)->closed == 0);
	CU_ASSERT_FATAL(sl_stream_readable_bytes(s) == 4);
	sl_stream_consume(s, 4);
	tcp_bed_run(b, 0);
	CU_ASSERT(tcp_bed_user(b)->closed == 1 && tcp_bed_user(b)->why == SL_END_OK);
	tcp_bed_destroy(b);
}

static void
what_comes_out_of_order_waits_for_the_gap(void)
{
	struct tcp_bed *b = bed();
	const struct sl_tcp_options sack = {.mss = 1460, .sack_ok = true};
	struct sl_span span[4];
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, &sack, &iss);

	send_text(b, TCP_BED_ISN + 4, iss + 1, "def");
	CU_ASSERT(sl_stream_readable_bytes(s) == 0 && sl_stream_row(s)->ooo == 3);
	const struct tcp_out *o = tcp_bed_last(b);
	CU_ASSERT_FATAL(o && o->o.block_cnt == 1);
	CU_ASSERT(o->ack == TCP_BED_ISN + 1 && o->o.block[0].from == TCP_BED_ISN + 4 &&
		  o->o.block[0].to == TCP_BED_ISN + 7);
	send_text(b, TCP_BED_ISN + 1, iss + 1, "abc");
	CU_ASSERT(sl_stream_readable_bytes(s) == 6 && sl_stream_row(s)->ooo == 0);
	char got[7] = "";
	unsigned n = sl_stream_peek(s, 0, span, 4), at = 0;
	for (unsigned i = 0; i < n; i++) {
		memcpy(got + at, span[i].data, span[i].len);
		at += span[i].len;
	}
	CU_ASSERT_STRING_EQUAL(got, "abcdef");
	tcp_bed_run(b, 50);
	CU_ASSERT(tcp_bed_last(b)->ack == TCP_BED_ISN + 7);
	tcp_bed_destroy(b);
}

static void
a_closed_window_is_asked_about_and_opens(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = iss + 1,
				       .flags = SL_TCP_ACK,
				       .wnd = TCP_BED_WND0});
	CU_ASSERT(sl_stream_write(s, "wait", 4) == 4);
	tcp_bed_run(b, 5);
	CU_ASSERT(tcp_bed_sent(b) == 0);
	tcp_bed_run(b, 2000);
	CU_ASSERT(tcp_bed_sent(b) >= 1 && tcp_bed_last(b)->len == 0);
	tcp_bed_clear(b);
	send_flags(b, TCP_BED_ISN + 1, iss + 1, SL_TCP_ACK);
	CU_ASSERT_FATAL(tcp_bed_sent(b) == 1);
	CU_ASSERT(tcp_bed_last(b)->len == 4);
	tcp_bed_destroy(b);
}

static void
a_lost_segment_is_sent_again(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	CU_ASSERT(sl_stream_write(s, "once", 4) == 4);
	tcp_bed_run(b, 0);
	tcp_bed_clear(b);
	tcp_bed_run(b, 1500);
	CU_ASSERT_FATAL(tcp_bed_sent(b) >= 1);
	CU_ASSERT(tcp_bed_out(b, 0)->seq == iss + 1 && tcp_bed_out(b, 0)->len == 4);
	send_flags(b, TCP_BED_ISN + 1, iss + 5, SL_TCP_ACK);
	tcp_bed_clear(b);
	tcp_bed_run(b, 5000);
	CU_ASSERT(tcp_bed_sent(b) == 0);
	tcp_bed_destroy(b);
}

static void
a_peer_that_is_gone_ends_the_stream(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	CU_ASSERT(sl_stream_write(s, "hello?", 6) == 6);
	tcp_bed_run(b, 15 * 60 * 1000);
	CU_ASSERT(tcp_bed_user(b)->closed == 1 && tcp_bed_user(b)->why == SL_END_TIMEOUT);
	tcp_bed_destroy(b);
}

static void
keep_alive_finds_a_dead_peer(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	sl_stream_set_keepalive(s, 10, 1, 3);
	tcp_bed_run(b, 9900);
	CU_ASSERT(tcp_bed_sent(b) == 0);
	tcp_bed_run(b, 200);
	CU_ASSERT_FATAL(tcp_bed_sent(b) == 1);
	CU_ASSERT(tcp_bed_last(b)->seq == iss && tcp_bed_last(b)->len == 0);
	send_flags(b, TCP_BED_ISN + 1, iss + 1, SL_TCP_ACK);
	tcp_bed_run(b, 9000);
	CU_ASSERT(tcp_bed_user(b)->closed == 0);
	tcp_bed_run(b, 5000);
	CU_ASSERT(tcp_bed_user(b)->closed == 1 && tcp_bed_user(b)->why == SL_END_KEEPALIVE);
	tcp_bed_destroy(b);
}

static void
what_is_forwarded_leaves_from_where_it_lay(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, &(struct sl_tcp_options){.mss = 1460}, &iss);
	char text[1000];

	memset(text, 'x', sizeof(text));
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = iss + 1,
				       .flags = SL_TCP_ACK,
				       .data = text,
				       .len = sizeof(text)});
	CU_ASSERT(sl_stream_forward(s, s, 5000) == sizeof(text)); /* an echo */
	tcp_bed_run(b, 0);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_ZERO_COPY) >= 1 && tcp_bed_count(b, SL_TCP_COPIED) == 0);
	uint32_t len = 0;
	for (unsigned i = 0; i < tcp_bed_sent(b); i++) {
		CU_ASSERT(tcp_bed_out(b, i)->csum_ok);
		CU_ASSERT(tcp_bed_out(b, i)->len == 0 || tcp_bed_out(b, i)->data[0] == 'x');
		len += tcp_bed_out(b, i)->len;
	}
	CU_ASSERT(len == sizeof(text));
	send_flags(b, TCP_BED_ISN + 1001, iss + 1001, SL_TCP_ACK);
	CU_ASSERT(tcp_bed_buffers_used(b) == 0);
	tcp_bed_destroy(b);
}

/* Segments of 1,460 bytes go on as segments of 536, and not as such ones and little rests. */
static void
rests_of_larger_segments_go_together(void)
{
	struct tcp_bed *b = bed();
	uint32_t iss, len = 0;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);
	char text[1460];

	memset(text, 'x', sizeof(text));
	for (unsigned i = 0; i < 4; i++)
		tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1 + i * 1100,
					       .ack = iss + 1,
					       .flags = SL_TCP_ACK,
					       .data = text,
					       .len = 1100});
	CU_ASSERT(sl_stream_forward(s, s, 5000) == 4400);
	tcp_bed_run(b, 0);
	unsigned small = 0;
	for (unsigned i = 0; i < tcp_bed_sent(b); i++) {
		const struct tcp_out *o = tcp_bed_out(b, i);
		CU_ASSERT(o->csum_ok);
		small += o->len > 0 && o->len < 400;
		len += o->len;
	}
	CU_ASSERT(len == 4400 && small <= 1);
	tcp_bed_check(b);
	tcp_bed_destroy(b);
}

static void
reserved_spans_hold_what_is_committed(void)
{
	struct tcp_bed *b = bed();
	struct sl_span span[8];
	uint32_t iss;
	struct sl_stream *s = tcp_bed_accept(b, NULL, &iss);

	unsigned n = sl_stream_reserve(s, 1200, span, 8);
	CU_ASSERT_FATAL(n == 3); /* of 536 */
	for (unsigned i = 0; i < n; i++)
		memset(span[i].data, 'a' + (int)i, span[i].len);
	sl_stream_commit(s, 600);
	tcp_bed_check(b);
	tcp_bed_run(b, 0);
	CU_ASSERT_FATAL(tcp_bed_sent(b) == 2);
	CU_ASSERT(tcp_bed_out(b, 0)->len == 536 && tcp_bed_out(b, 0)->data[0] == 'a');
	CU_ASSERT(tcp_bed_out(b, 1)->len == 64 && tcp_bed_out(b, 1)->data[0] == 'b');
	tcp_bed_destroy(b);
}

static struct sl_stream *
accept_from(struct tcp_bed *b, uint16_t port, uint32_t *ret_iss)
{
	tcp_bed_clear(b);
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN, .flags = SL_TCP_SYN, .sport = port});
	tcp_bed_run(b, 0);
	*ret_iss = tcp_bed_last(b)->seq;
	tcp_bed_in(b, &(struct tcp_in){.seq = TCP_BED_ISN + 1,
				       .ack = *ret_iss + 1,
				       .flags = SL_TCP_ACK,
				       .sport = port,
				       .wnd = port < 2000 ? TCP_BED_WND0 : 65535});
	tcp_bed_run(b, 0);
	return tcp_bed_user(b)->s;
}

/* Those who take nothing of what waits for them hold all memory: they go, and who reads is served on. */
static void
memory_is_taken_back_from_those_who_take_nothing(void)
{
	struct tcp_bed *b = tcp_bed_create(
		&(struct tcp_bed_conf){.seg_cnt = 256, .block_cnt = 256, .pinned_max = UINT32_MAX});
	static const char text[4096];
	uint32_t iss, good_iss;
	struct sl_stream *good = accept_from(b, 40000, &good_iss);

	for (uint16_t i = 0; i < 40; i++) {
		struct sl_stream *s = accept_from(b, 1000 + i, &iss);
		CU_ASSERT_FATAL(s != NULL);
		while (sl_stream_write(s, text, sizeof(text)) > 0)
			;
		tcp_bed_run(b, 1);
	}
	tcp_bed_run(b, 5000);
	CU_ASSERT(tcp_bed_count(b, SL_TCP_SHED) > 0);
	tcp_bed_clear(b);
	CU_ASSERT(sl_stream_write(good, text, 100) == 100);
	tcp_bed_run(b, 0);
	CU_ASSERT(tcp_bed_last(b) && tcp_bed_last(b)->len == 100);
	CU_ASSERT(sl_stream_row(good)->state == SL_STREAM_ESTABLISHED);
	tcp_bed_destroy(b);
}

SL_SUITE("stream", SL_TEST(an_accepted_stream_reads_and_answers),
	 SL_TEST(a_connected_stream_opens_and_is_told), SL_TEST(who_closes_first_waits),
	 SL_TEST(who_closes_last_is_done_at_once), SL_TEST(unread_bytes_outlive_the_connection),
	 SL_TEST(what_comes_out_of_order_waits_for_the_gap),
	 SL_TEST(a_closed_window_is_asked_about_and_opens), SL_TEST(a_lost_segment_is_sent_again),
	 SL_TEST(a_peer_that_is_gone_ends_the_stream), SL_TEST(keep_alive_finds_a_dead_peer),
	 SL_TEST(what_is_forwarded_leaves_from_where_it_lay),
	 SL_TEST(rests_of_larger_segments_go_together),
	 SL_TEST(memory_is_taken_back_from_those_who_take_nothing),
	 SL_TEST(reserved_spans_hold_what_is_committed))
