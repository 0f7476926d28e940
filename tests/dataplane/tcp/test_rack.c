#include "tests/dataplane/tcp/loss_bed.h"

#define RTT 100000u
#define T0 1000000u

static void
open_sack(struct bed *b)
{
	bed_open(b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
}

static void
fire(struct bed *b)
{
	sl_loss_timer(b->t, b->s);
}

/* RFC 8985, 3.4.1: of a flight the first is lost; three others that arrived say so at once where order was never seen changed. */
static void
three_segments_sacked_above_a_hole_are_a_loss_at_once(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 6);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 1, 2);
	bed_sack(&b, 0, 1, 3);
	CU_ASSERT_EQUAL(b.s->loss.lost, 0);
	bed_sack(&b, 0, 1, 4);
	CU_ASSERT(bed_is(&b, 0, SL_SEG_LOST));
	CU_ASSERT_EQUAL(b.s->loss.lost, MSS);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	CU_ASSERT_EQUAL(b.count[SL_TCP_FAST_RECOVERY], 1);
	CU_ASSERT_PTR_EQUAL(sl_loss_next(b.s), bed_seg(&b, 0));
	SANE(&b);
	bed_close(&b);
}

static void
one_segment_sacked_above_a_hole_waits_a_quarter_of_the_round_trip(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 3);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 2, 3);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_REORDER);
	CU_ASSERT_EQUAL(b.s->due[SL_T_XMIT], b.t->tick + sl_ticks_of_us(RTT / 4));
	bed_at(&b, T0 + RTT + RTT / 4 - 1);
	fire(&b);
	CU_ASSERT_EQUAL(b.s->loss.lost, 0);
	bed_at(&b, T0 + RTT + RTT / 4);
	b.s->loss.timer = SL_LOSS_REORDER;
	fire(&b);
	CU_ASSERT_EQUAL(b.s->loss.lost, 2 * MSS);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	SANE(&b);
	bed_close(&b);
}

/* Segments that only changed order: what arrives within the margin was no loss, and from then on three are no proof. */
static void
changed_order_within_the_margin_reduces_nothing(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 10);
	uint32_t cwnd = b.s->row.cwnd;
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 1, 3);
	bed_at(&b, T0 + RTT + RTT / 8);
	bed_ack(&b, 3);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	bed_sack(&b, 3, 4, 9);
	CU_ASSERT_EQUAL(b.s->loss.lost, 0);
	bed_at(&b, T0 + RTT + RTT / 7);
	bed_ack(&b, 9);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT(b.s->row.cwnd >= cwnd);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 0);
	SANE(&b);
	bed_close(&b);
}

/* RFC 8985, 3.4.2: a retransmission that was lost is found by what was sent after it. */
static void
a_lost_retransmission_is_found_by_what_was_sent_later(void)
{
	struct bed b;
	unsigned again;

	open_sack(&b);
	bed_send(&b, 10);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 1, 6);
	bed_output(&b, 0, &again);
	CU_ASSERT_EQUAL(again, 1);
	CU_ASSERT(bed_is(&b, 0, SL_SEG_RETRANS));
	bed_at(&b, T0 + RTT + 1000);
	bed_send(&b, 1);
	bed_at(&b, T0 + 2 * RTT + 1000);
	bed_sack(&b, 0, 1, 11);
	CU_ASSERT(bed_is(&b, 0, SL_SEG_LOST));
	CU_ASSERT_EQUAL(b.s->loss.lost, MSS);
	bed_output(&b, 0, &again);
	CU_ASSERT_EQUAL(again, 1);
	CU_ASSERT_EQUAL(b.count[SL_TCP_FAST_RECOVERY], 1);
	SANE(&b);
	bed_close(&b);
}

/* RFC 8985, 6.2 step 2: an ACK so soon after a retransmission is of the first copy. */
static void
an_ack_too_quick_for_a_retransmission_is_no_measure(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 6);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 1, 4);
	bed_output(&b, 0, NULL);
	uint32_t xmit = b.s->loss.rack_xmit_us;
	bed_at(&b, T0 + RTT + RTT / 10);
	bed_sack(&b, 1, 1, 4);
	CU_ASSERT_EQUAL(b.s->loss.rack_xmit_us, xmit);
	CU_ASSERT_EQUAL(b.s->loss.rack_rtt_us, RTT);
	CU_ASSERT(!bed_is(&b, 5, SL_SEG_LOST));
	bed_close(&b);
}

/* Likewise by the timestamp it echoes, however late it is. */
static void
an_ack_that_echoes_an_older_time_is_no_measure(void)
{
	for (int older = 0; older < 2; older++) {
		struct bed b;
		struct sl_ack a = bed_make(1);

		bed_open(&b, T0, SL_STREAM_SACK | SL_STREAM_TS, SL_CC_RENO, RTT);
		bed_send(&b, 6);
		bed_at(&b, T0 + RTT);
		bed_sack(&b, 0, 1, 4);
		bed_output(&b, 0, NULL);
		bed_block(&a, 1, 4);
		a.has_ts = true;
		a.ts_ecr = (older ? T0 : T0 + RTT) / 1000;
		bed_at(&b, T0 + 3 * RTT);
		sl_loss_ack(b.t, b.s, &a);
		CU_ASSERT_EQUAL(b.s->loss.rack_xmit_us, older ? T0 : T0 + RTT);
		bed_close(&b);
	}
}

/* RFC 8985, 6.2 step 4: in recovery there is no margin where order was never seen changed. */
static void
in_recovery_the_next_hole_is_a_loss_at_once(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 3);
	bed_at(&b, T0 + 1000);
	bed_send(&b, 2);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 2, 3);
	bed_at(&b, T0 + RTT + RTT / 4);
	fire(&b);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	CU_ASSERT_EQUAL(b.s->loss.dupacks, 1);
	bed_sack(&b, 0, 4, 5);
	CU_ASSERT(bed_is(&b, 3, SL_SEG_LOST));
	SANE(&b);
	bed_close(&b);
}

static void
duplicates_of_retransmissions_widen_the_margin_for_sixteen_recoveries(void)
{
	struct bed b;
	uint64_t now = T0;
	unsigned n = 0;

	open_sack(&b);
	b.s->row.cwnd = 1000 * MSS;
	for (unsigned round = 0; round < 18; round++) {
		bed_send(&b, 8);
		now += RTT;
		bed_at(&b, now);
		bed_sack(&b, n, n + 1, n + 8);
		now += 3 * RTT;
		bed_at(&b, now);
		if (b.s->loss.timer == SL_LOSS_REORDER)
			fire(&b);
		b.s->row.cwnd = 1000 * MSS;
		bed_output(&b, 0, NULL);
		now += RTT;
		bed_at(&b, now);
		struct sl_ack a = bed_make(n + 8);
		if (round == 0)
			bed_block(&a, n, n + 1);
		sl_loss_ack(b.t, b.s, &a);
		n += 8;
		uint8_t mult = b.s->loss.reo_mult;
		CU_ASSERT_EQUAL(mult, round < 15 ? 2 : 1);
		CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	}
	CU_ASSERT_EQUAL(b.count[SL_TCP_SPURIOUS], 1);
	bed_close(&b);
}

static void
duplicates_made_by_the_network_widen_nothing(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 8);
	bed_at(&b, T0 + RTT);
	bed_ack(&b, 4);
	bed_sack(&b, 4, 2, 3);
	bed_sack(&b, 4, 3, 4);
	CU_ASSERT_EQUAL(b.s->loss.reo_mult, 1);
	CU_ASSERT_EQUAL(b.count[SL_TCP_SPURIOUS], 0);
	CU_ASSERT_EQUAL(b.count[SL_TCP_BAD_SACK], 0);
	bed_close(&b);
}

static void
margin_is_never_more_than_the_smoothed_round_trip(void)
{
	struct bed b;

	open_sack(&b);
	b.s->loss.flags = 1; /* order was seen to change */
	b.s->loss.reo_mult = 200;
	bed_send(&b, 3);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 2, 3);
	CU_ASSERT_EQUAL(b.s->due[SL_T_XMIT], b.t->tick + sl_ticks_of_us(b.s->row.srtt_us));
	bed_close(&b);
}

/* ---- TLP ---- */

static void
probe_comes_two_round_trips_after_the_last_segment(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 2);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_TLP);
	CU_ASSERT_EQUAL(b.s->due[SL_T_XMIT], b.t->tick + sl_ticks_of_us(2 * RTT));
	bed_at(&b, T0 + 2 * RTT);
	CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_PROBE);
	sl_loss_sent(b.t, b.s, bed_seg(&b, 1), true);
	sl_loss_rearm(b.t, b.s);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_RTO);
	CU_ASSERT_EQUAL(b.s->due[SL_T_XMIT], b.t->tick + sl_ticks_of_us(3 * RTT));
	CU_ASSERT_EQUAL(b.count[SL_TCP_TLP], 1);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 1);
	SANE(&b);
	bed_close(&b);
}

static void
probe_of_a_single_segment_allows_for_a_delayed_ack(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 1);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_TLP);
	CU_ASSERT_EQUAL(b.s->due[SL_T_XMIT], b.t->tick + sl_ticks_of_us(2 * RTT + 50000));
	bed_close(&b);
}

/* Sends four, the last of which is probed for at 2 RTT; the bed stands one round trip after. */
static void
probed(struct bed *b)
{
	open_sack(b);
	bed_send(b, 4);
	bed_at(b, T0 + RTT);
	bed_ack(b, 3);
	bed_at(b, T0 + 4 * RTT);
	CU_ASSERT_EQUAL(sl_loss_timer(b->t, b->s), SL_LOSS_PROBE);
	sl_loss_sent(b->t, b->s, bed_seg(b, 3), true);
	sl_loss_rearm(b->t, b->s);
	bed_at(b, T0 + 5 * RTT);
}

static void
a_tail_loss_that_the_probe_repaired_reduces_the_window_once(void)
{
	struct bed b;

	probed(&b);
	uint32_t cwnd = b.s->row.cwnd;
	bed_ack(&b, 4);
	CU_ASSERT_EQUAL(b.s->row.cwnd, cwnd);
	bed_send(&b, 2);
	bed_at(&b, T0 + 6 * RTT);
	bed_ack(&b, 6);
	CU_ASSERT(b.s->row.cwnd < cwnd);
	cwnd = b.s->row.cwnd;
	bed_send(&b, 2);
	bed_at(&b, T0 + 7 * RTT);
	bed_ack(&b, 8);
	CU_ASSERT(b.s->row.cwnd >= cwnd);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RTO], 0);
	bed_close(&b);
}

static void
a_probe_that_arrived_twice_reduces_nothing(void)
{
	struct bed b;

	for (int second = 0; second < 2; second++) {
		probed(&b);
		uint32_t cwnd = b.s->row.cwnd;
		if (second) {
			bed_ack(&b, 4);
			bed_send(&b, 1);
			bed_ack(&b, 4); /* for the second copy, without DSACK */
		} else {
			bed_sack(&b, 4, 3, 4);
			bed_send(&b, 1);
		}
		bed_at(&b, T0 + 6 * RTT);
		bed_ack(&b, 5);
		CU_ASSERT(b.s->row.cwnd >= cwnd);
		bed_close(&b);
	}
}

/* RFC 8985, 3.4.3: several of the tail are lost: the probe's SACK shows them. */
static void
the_sack_of_a_probe_shows_a_longer_tail_loss(void)
{
	struct bed b;
	unsigned again;

	open_sack(&b);
	bed_send(&b, 10);
	bed_at(&b, T0 + RTT);
	bed_ack(&b, 5);
	bed_at(&b, T0 + 3 * RTT);
	CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_PROBE);
	sl_loss_sent(b.t, b.s, bed_seg(&b, 9), true);
	bed_at(&b, T0 + 4 * RTT);
	bed_sack(&b, 5, 9, 10);
	CU_ASSERT_EQUAL(b.s->loss.lost, 4 * MSS);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	CU_ASSERT(bed_output(&b, 0, &again) >= 1);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RTO], 0);
	SANE(&b);
	bed_close(&b);
}

static void
no_probe_without_sack_nor_in_recovery_nor_a_second_one(void)
{
	struct bed b;

	bed_open(&b, T0, 0, SL_CC_RENO, RTT);
	bed_send(&b, 4);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_RTO);
	bed_close(&b);
	open_sack(&b);
	bed_send(&b, 6);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 1, 5);
	bed_output(&b, 0, NULL);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_RTO);
	bed_close(&b);
}

/* RFC 8985, 6.3: what was sent a moment ago is under way still. */
static void
a_timeout_takes_the_head_and_what_is_old(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 4);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 3, 4);
	bed_at(&b, T0 + 4 * RTT);
	bed_send(&b, 2);
	b.s->loss.timer = SL_LOSS_RTO;
	CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_GO_ON);
	CU_ASSERT(bed_is(&b, 0, SL_SEG_LOST) && bed_is(&b, 1, SL_SEG_LOST) &&
		  bed_is(&b, 2, SL_SEG_LOST));
	CU_ASSERT(!bed_is(&b, 4, SL_SEG_LOST) && !bed_is(&b, 5, SL_SEG_LOST));
	CU_ASSERT(bed_is(&b, 3, SL_SEG_SACKED));
	CU_ASSERT_EQUAL(sl_loss_allowance(b.s), MSS);
	SANE(&b);
	bed_close(&b);
}

static void
silence_of_forty_minutes_is_no_sign_of_loss(void)
{
	struct bed b;

	open_sack(&b);
	bed_send(&b, 4);
	bed_at(&b, T0 + RTT);
	bed_ack(&b, 4);
	bed_at(&b, T0 + 2400ull * 1000000);
	bed_send(&b, 4);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_TLP);
	bed_at(&b, T0 + 2400ull * 1000000 + RTT);
	bed_ack(&b, 5);
	CU_ASSERT_EQUAL(b.s->loss.lost, 0);
	bed_close(&b);
}

SL_SUITE("rack", SL_TEST(three_segments_sacked_above_a_hole_are_a_loss_at_once),
	 SL_TEST(one_segment_sacked_above_a_hole_waits_a_quarter_of_the_round_trip),
	 SL_TEST(changed_order_within_the_margin_reduces_nothing),
	 SL_TEST(a_lost_retransmission_is_found_by_what_was_sent_later),
	 SL_TEST(an_ack_too_quick_for_a_retransmission_is_no_measure),
	 SL_TEST(an_ack_that_echoes_an_older_time_is_no_measure),
	 SL_TEST(in_recovery_the_next_hole_is_a_loss_at_once),
	 SL_TEST(duplicates_of_retransmissions_widen_the_margin_for_sixteen_recoveries),
	 SL_TEST(duplicates_made_by_the_network_widen_nothing),
	 SL_TEST(margin_is_never_more_than_the_smoothed_round_trip),
	 SL_TEST(probe_comes_two_round_trips_after_the_last_segment),
	 SL_TEST(probe_of_a_single_segment_allows_for_a_delayed_ack),
	 SL_TEST(a_tail_loss_that_the_probe_repaired_reduces_the_window_once),
	 SL_TEST(a_probe_that_arrived_twice_reduces_nothing),
	 SL_TEST(the_sack_of_a_probe_shows_a_longer_tail_loss),
	 SL_TEST(no_probe_without_sack_nor_in_recovery_nor_a_second_one),
	 SL_TEST(a_timeout_takes_the_head_and_what_is_old),
	 SL_TEST(silence_of_forty_minutes_is_no_sign_of_loss))
