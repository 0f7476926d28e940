#include "tests/dataplane/tcp/loss_bed.h"
#include <math.h>

#define RTT 100000u
#define T0 1000000u

/* Fills the window, and acknowledges all of it one round trip later, `each` segments at a time. */
static void
round_of(struct bed *b, uint64_t *now_us, unsigned *acked, unsigned each)
{
	unsigned n;

	bed_at(b, *now_us);
	bed_output(b, 1u << 20, NULL);
	n = (b->s->row.snd_nxt - b->s->row.snd_una) / MSS;
	*now_us += RTT;
	bed_at(b, *now_us);
	for (unsigned i = 0; i < n; i += each)
		bed_ack(b, *acked + SL_MIN(i + each, n));
	*acked += n;
}

static void
initial_window_is_that_of_rfc_6928(void)
{
	static const struct {
		uint16_t mss;
		bool syn_again;
		uint32_t cwnd;
	} rows[] = {
		{536, false, 5360},   {1460, false, 14600}, {1448, false, 14480},
		{2000, false, 14600}, {8948, false, 17896}, {64, false, 640},
		{1460, true, 1460},
	};
	struct bed b;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_CUBIC, 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		b.s->row.mss = rows[i].mss;
		sl_loss_open(b.t, b.s, 0, rows[i].syn_again);
		CU_ASSERT_EQUAL(b.s->row.cwnd, rows[i].cwnd);
	}
	bed_close(&b);
}

static void
slow_start_doubles_each_round_trip_however_acks_are_cut(void)
{
	static const unsigned each[] = {1, 2, 8, 1000};

	for (unsigned k = 0; k < SL_ARRAY_CNT(each); k++) {
		struct bed b;
		uint64_t now = T0;
		unsigned acked = 0;

		bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
		for (unsigned i = 1; i <= 5; i++) {
			round_of(&b, &now, &acked, each[k]);
			CU_ASSERT_EQUAL(b.s->row.cwnd, (10u << i) * MSS);
		}
		bed_close(&b);
	}
}

/* Bytes count: a receiver that acknowledges each byte gains nothing. */
static void
many_small_acks_gain_no_more_than_one(void)
{
	struct bed b;
	struct sl_ack a = bed_make(0);

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
	bed_output(&b, 100, NULL);
	bed_at(&b, T0 + RTT);
	for (unsigned i = 0; i < 10 * MSS; i++) {
		a.ack++;
		sl_loss_ack(b.t, b.s, &a);
	}
	CU_ASSERT_EQUAL(b.s->row.cwnd, 20 * MSS);
	CU_ASSERT_EQUAL(b.s->row.snd_una, b.s->row.snd_nxt);
	SANE(&b);
	bed_close(&b);
}

static void
reno_grows_by_a_segment_each_round_trip(void)
{
	struct bed b;
	uint64_t now = T0;
	unsigned acked = 0;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
	b.s->loss.ssthresh = 10 * MSS;
	for (unsigned i = 1; i <= 20; i++) {
		round_of(&b, &now, &acked, 2);
		CU_ASSERT_EQUAL(b.s->row.cwnd, (10 + i) * MSS);
	}
	bed_close(&b);
}

static void
slow_start_ends_at_ssthresh_and_the_rest_of_an_ack_counts_on(void)
{
	struct bed b;
	uint64_t now = T0;
	unsigned acked = 0;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
	b.s->loss.ssthresh = 15 * MSS;
	round_of(&b, &now, &acked, 10);
	CU_ASSERT_EQUAL(b.s->row.cwnd, 15 * MSS);
	CU_ASSERT_EQUAL(b.s->loss.acked, 5 * MSS);
	bed_close(&b);
}

/* RFC 5681, 3.1 (4) and 3.2: half of what was under way, two segments at least. */
static void
reno_halves_and_cubic_keeps_seven_tenths(void)
{
	static const struct {
		uint8_t cc;
		unsigned window;
		uint32_t ssthresh;
	} rows[] = {
		{SL_CC_RENO, 40, 20000},  {SL_CC_RENO, 5, 2500},   {SL_CC_RENO, 4, 2000},
		{SL_CC_CUBIC, 40, 28000}, {SL_CC_CUBIC, 10, 7000}, {SL_CC_CUBIC, 4, 2800},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct bed b;

		bed_open(&b, T0, SL_STREAM_SACK, rows[i].cc, RTT);
		b.s->row.cwnd = rows[i].window * MSS;
		bed_output(&b, 100, NULL);
		bed_at(&b, T0 + RTT);
		bed_sack(&b, 0, 1, 4);
		CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
		CU_ASSERT_EQUAL(b.s->loss.ssthresh, rows[i].ssthresh);
		bed_close(&b);
	}
}

static void
a_timeout_starts_from_one_segment_and_reduces_once(void)
{
	struct bed b;

	for (uint8_t cc = 0; cc <= SL_CC_RENO; cc++) {
		bed_open(&b, T0, SL_STREAM_SACK, cc, RTT);
		b.s->row.cwnd = 40 * MSS;
		bed_output(&b, 100, NULL);
		for (unsigned i = 1; i <= 3; i++) {
			bed_at(&b, T0 + i * 1000000);
			b.s->loss.timer = SL_LOSS_RTO;
			sl_loss_timer(b.t, b.s);
			CU_ASSERT_EQUAL(b.s->row.cwnd, MSS);
			CU_ASSERT_EQUAL(b.s->loss.ssthresh, (cc == SL_CC_RENO ? 20 : 28) * MSS);
			CU_ASSERT_EQUAL(bed_output(&b, 0, NULL), 1);
		}
		bed_ack(&b, 1);
		CU_ASSERT_EQUAL(b.s->row.cwnd, 2 * MSS);
		SANE(&b);
		bed_close(&b);
	}
}

static void
a_window_that_is_not_used_does_not_grow(void)
{
	struct bed b;
	uint64_t now = T0;
	unsigned n = 0;

	for (int slow = 0; slow < 2; slow++) {
		bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
		b.s->row.cwnd = 20 * MSS;
		if (!slow)
			b.s->loss.ssthresh = 20 * MSS;
		n = 0;
		for (unsigned i = 0; i < 50; i++) {
			unsigned burst = slow ? 9 : 19; /* half of it is enough for slow start */

			bed_at(&b, now);
			bed_send(&b, burst);
			now += RTT;
			bed_at(&b, now);
			bed_ack(&b, n += burst);
		}
		CU_ASSERT_EQUAL(b.s->row.cwnd, 20 * MSS);
		bed_send(&b, slow ? 10 : 20);
		bed_ack(&b, n + (slow ? 10 : 20));
		CU_ASSERT(b.s->row.cwnd > 20 * MSS);
		bed_close(&b);
	}
}

/* RFC 2861: half for each time-out of silence, not below a new connection's; ssthresh remembers. */
static void
the_window_shrinks_while_nothing_is_sent(void)
{
	static const struct {
		unsigned rtos, cwnd;
	} rows[] = {{0, 80}, {1, 40}, {2, 20}, {3, 10}, {10, 10}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct bed b;

		bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
		b.s->row.cwnd = 80 * MSS;
		b.s->loss.ssthresh = 50 * MSS;
		b.s->loss.flags = 0;
		bed_send(&b, 1);
		bed_ack(&b, 1);
		bed_at(&b, T0 + (uint64_t)rows[i].rtos * b.s->loss.rto_us + 10);
		sl_loss_idle(b.t, b.s);
		CU_ASSERT_EQUAL(b.s->row.cwnd, rows[i].cwnd * MSS);
		CU_ASSERT_EQUAL(b.s->loss.ssthresh, (rows[i].rtos ? 60 : 50) * MSS);
		bed_close(&b);
	}
}

/* ---- CUBIC ---- */

/* RFC 9438 in floating point, segments and seconds: the larger of W_cubic(t) and W_est, which grows with each round trip. */
struct reference {
	double w_max, k, w_est, prior;
};

static double
reference_at(const struct reference *r, double t)
{
	double w = 0.4 * pow(t - r->k, 3) + r->w_max;

	return fmax(w, r->w_est);
}

/* A loss at `window` segments; then 60 seconds of full windows.  *ret_worst: the largest distance, in parts of the reference. */
static void
follow(unsigned window, uint32_t rtt_us, double *ret_worst)
{
	struct bed b;
	uint64_t now = T0;
	unsigned acked = 0;
	struct reference r = {.w_max = window, .prior = window};

	*ret_worst = 0;
	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_CUBIC, rtt_us);
	b.s->row.cwnd = window * MSS;
	bed_output(&b, 1u << 20, NULL);
	now += rtt_us;
	bed_at(&b, now);
	bed_sack(&b, 0, 1, window);
	bed_output(&b, 0, NULL);
	now += rtt_us;
	bed_at(&b, now);
	acked = (b.s->row.snd_nxt - ISS) / MSS;
	bed_ack(&b, acked);
	r.w_est = b.s->row.cwnd / (double)MSS;
	r.k = cbrt((r.w_max - r.w_est) / 0.4);
	uint64_t began = now;
	while (now - began < 60000000ull && b.s->row.cwnd < 10000 * MSS) {
		bed_at(&b, now);
		bed_output(&b, 1u << 20, NULL);
		unsigned n = (b.s->row.snd_nxt - b.s->row.snd_una) / MSS;
		/* ACKs spread over the round trip, as they come from a path */
		for (unsigned i = 0; i < n; i += 2) {
			unsigned last = SL_MIN(i + 2, n);
			double cwnd = b.s->row.cwnd / (double)MSS;

			bed_at(&b, now + (uint64_t)rtt_us * last / n);
			bed_ack(&b, acked + last);
			r.w_est += (r.w_est < r.prior ? 9. / 17 : 1) * (last - i) / cwnd;
		}
		acked += n;
		now += rtt_us;
		double want = reference_at(&r, (double)(now - began) / 1e6);
		double off = fabs(b.s->row.cwnd / (double)MSS - want) / want;
		*ret_worst = fmax(*ret_worst, off);
	}
	bed_close(&b);
}

/* Within 3 %: the window is set for the time of an ACK, and reaches a target a round trip away by and by. */
static void
cubic_follows_the_curve_of_rfc_9438(void)
{
	static const struct {
		unsigned window;
		uint32_t rtt_us;
	} rows[] = {{20, 100000},  {100, 100000}, {1000, 100000}, {100, 20000},
		    {1000, 20000}, {50, 200000},  {4000, 50000},  {300, 5000}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		double worst;

		follow(rows[i].window, rows[i].rtt_us, &worst);
		printf("window %u rtt %u us: at most %.2f %% off\n", rows[i].window, rows[i].rtt_us,
		       100 * worst);
		CU_ASSERT(worst < 0.03);
	}
}

/* RFC 9438, 4.7 */
static void
a_loss_below_the_last_one_makes_room_for_others(void)
{
	struct bed b;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_CUBIC, RTT);
	b.s->row.cwnd = 40 * MSS;
	bed_output(&b, 100, NULL);
	bed_at(&b, T0 + RTT);
	bed_sack(&b, 0, 1, 40);
	bed_output(&b, 0, NULL);
	CU_ASSERT_EQUAL(b.s->loss.w_max, 40 * MSS);
	bed_at(&b, T0 + 2 * RTT);
	bed_ack(&b, 40);
	uint32_t cwnd = b.s->row.cwnd;
	CU_ASSERT(cwnd >= 28 * MSS && cwnd < 29 * MSS);
	bed_output(&b, 100, NULL);
	bed_at(&b, T0 + 3 * RTT);
	bed_sack(&b, 40, 41, 60);
	CU_ASSERT_EQUAL(b.s->loss.w_max, cwnd * 17 / 20);
	CU_ASSERT_EQUAL(b.s->loss.ssthresh, cwnd * 7 / 10);
	bed_close(&b);
}

/* RFC 9438, 4.8: after a time-out the curve begins where slow start ended, flat; what was before is forgotten. */
static void
after_a_timeout_cubic_begins_anew(void)
{
	struct bed b;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_CUBIC, RTT);
	b.s->row.cwnd = 40 * MSS;
	bed_output(&b, 100, NULL);
	bed_at(&b, T0 + RTT);
	b.s->loss.w_max = 500 * MSS;
	b.s->loss.flags = 0;
	b.s->loss.timer = SL_LOSS_RTO;
	sl_loss_timer(b.t, b.s);
	CU_ASSERT_EQUAL(b.s->loss.ssthresh, 28 * MSS);
	bed_output(&b, 0, NULL);
	bed_at(&b, T0 + 2 * RTT);
	b.s->row.cwnd = 28 * MSS;
	b.s->loss.full_end = b.s->row.snd_nxt;
	bed_ack(&b, 1);
	CU_ASSERT_EQUAL(b.s->loss.w_max, 28 * MSS);
	CU_ASSERT_EQUAL(b.s->loss.k_ms, 0);
	bed_close(&b);
}

/* RFC 9438, 4.2: at most half as much again in a round trip, however far away the curve is. */
static void
the_target_is_at_most_half_as_much_again(void)
{
	struct bed b;
	uint64_t now = T0;
	unsigned acked = 0;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_CUBIC, RTT);
	b.s->loss.ssthresh = 10 * MSS;
	round_of(&b, &now, &acked, 1);
	b.s->loss.epoch_ms -= 60000; /* a minute: 86,000 segments */
	uint32_t cwnd = b.s->row.cwnd, n = cwnd / MSS;
	bed_output(&b, 100, NULL);
	for (unsigned i = 1; i <= n; i++)
		bed_ack(&b, acked + i);
	CU_ASSERT(b.s->row.cwnd > cwnd * 5 / 4);
	CU_ASSERT(b.s->row.cwnd < cwnd * 7 / 4);
	bed_close(&b);
}

static void
after_a_timeout_an_ack_adds_two_segments_at_most(void)
{
	struct bed b;

	bed_open(&b, T0, 0, SL_CC_RENO, RTT);
	b.s->row.cwnd = 40 * MSS;
	bed_output(&b, 100, NULL);
	bed_at(&b, T0 + 10 * RTT);
	b.s->loss.timer = SL_LOSS_RTO;
	sl_loss_timer(b.t, b.s);
	bed_output(&b, 0, NULL);
	bed_at(&b, T0 + 11 * RTT);
	bed_ack(&b, 30); /* what lay behind the hole had arrived */
	CU_ASSERT_EQUAL(b.s->row.cwnd, 3 * MSS);
	bed_close(&b);
}

/* ---- HyStart++ ---- */

static void
a_round_trip_that_grows_ends_the_first_slow_start(void)
{
	struct bed b;
	uint64_t now = T0;
	unsigned acked = 0, rounds = 0;
	uint32_t queue_us = 0, before = 0;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_CUBIC, RTT);
	while (b.s->loss.ssthresh == UINT32_MAX && rounds++ < 30) {
		bed_at(&b, now);
		bed_output(&b, 1u << 20, NULL);
		unsigned n = (b.s->row.snd_nxt - b.s->row.snd_una) / MSS;
		before = b.s->row.cwnd;
		queue_us = n > 80 ? (n - 80) * 1000 : 0; /* a path of 80 segments */
		now += RTT + queue_us;
		bed_at(&b, now);
		for (unsigned i = 0; i < n; i += 2)
			bed_ack(&b, acked + SL_MIN(i + 2, n));
		acked += n;
	}
	CU_ASSERT(b.s->loss.ssthresh < 640 * MSS);
	CU_ASSERT(b.s->row.cwnd < before * 3 / 2);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 0);
	bed_close(&b);
}

static void
a_single_slow_round_does_not_end_slow_start(void)
{
	struct bed b;
	uint64_t now = T0;
	unsigned acked = 0;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_CUBIC, RTT);
	for (unsigned round = 0; round < 7; round++) {
		if (round == 2)
			now += RTT; /* of the ACKs alone: see below */
		bed_at(&b, now);
		bed_output(&b, 1u << 20, NULL);
		unsigned n = (b.s->row.snd_nxt - b.s->row.snd_una) / MSS;
		now += round == 2 ? RTT + 50000 : RTT;
		bed_at(&b, now);
		for (unsigned i = 0; i < n; i += 2)
			bed_ack(&b, acked + SL_MIN(i + 2, n));
		acked += n;
	}
	CU_ASSERT_EQUAL(b.s->loss.ssthresh, UINT32_MAX);
	CU_ASSERT_EQUAL(b.s->loss.css_rounds, 0);
	CU_ASSERT(b.s->row.cwnd > 200 * MSS);
	bed_close(&b);
}

SL_SUITE("cc", SL_TEST(initial_window_is_that_of_rfc_6928),
	 SL_TEST(slow_start_doubles_each_round_trip_however_acks_are_cut),
	 SL_TEST(many_small_acks_gain_no_more_than_one),
	 SL_TEST(reno_grows_by_a_segment_each_round_trip),
	 SL_TEST(slow_start_ends_at_ssthresh_and_the_rest_of_an_ack_counts_on),
	 SL_TEST(reno_halves_and_cubic_keeps_seven_tenths),
	 SL_TEST(a_timeout_starts_from_one_segment_and_reduces_once),
	 SL_TEST(a_window_that_is_not_used_does_not_grow),
	 SL_TEST(the_window_shrinks_while_nothing_is_sent),
	 SL_TEST(cubic_follows_the_curve_of_rfc_9438),
	 SL_TEST(a_loss_below_the_last_one_makes_room_for_others),
	 SL_TEST(after_a_timeout_cubic_begins_anew),
	 SL_TEST(the_target_is_at_most_half_as_much_again),
	 SL_TEST(after_a_timeout_an_ack_adds_two_segments_at_most),
	 SL_TEST(a_round_trip_that_grows_ends_the_first_slow_start),
	 SL_TEST(a_single_slow_round_does_not_end_slow_start))
