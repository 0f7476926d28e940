#include "tests/dataplane/tcp/loss_bed.h"
#include <math.h>

/* One segment out and back in rtt_us. */
static void
round_trip(struct bed *b, uint64_t *now_us, unsigned *n, uint32_t rtt_us)
{
	bed_at(b, *now_us);
	bed_send(b, 1);
	*now_us += rtt_us;
	bed_at(b, *now_us);
	bed_ack(b, ++*n);
}

static uint32_t
rto_for(double srtt, double rttvar)
{
	double rto = srtt + fmax(4 * rttvar, 50000);
	return (uint32_t)fmin(fmax(rto, 200000), 60e6);
}

static void
before_a_sample_the_timeout_is_a_second_and_after_a_lost_syn_three(void)
{
	struct bed b;

	bed_open(&b, 5000, SL_STREAM_SACK, SL_CC_RENO, 0);
	CU_ASSERT_EQUAL(b.s->loss.rto_us, 1000000);
	CU_ASSERT_EQUAL(b.s->row.srtt_us, 0);
	sl_loss_open(b.t, b.s, 0, true);
	CU_ASSERT_EQUAL(b.s->loss.rto_us, 3000000);
	bed_close(&b);
}

static void
first_sample_sets_srtt_and_half_of_it_as_variance(void)
{
	static const struct {
		uint32_t rtt_us, rto_us;
		const char *why;
	} rows[] = {
		{100000, 300000, "R + 4 R/2"},      {1000000, 3000000, "R + 4 R/2"},
		{66667, 200000, "200 ms at least"}, {10000, 200000, "200 ms at least"},
		{1, 200000, "200 ms at least"},     {30000000, 60000000, "60 s at most"},
	};
	struct bed b;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		bed_open(&b, 5000, SL_STREAM_SACK, SL_CC_RENO, rows[i].rtt_us);
		CU_ASSERT_EQUAL(b.s->row.srtt_us, rows[i].rtt_us);
		CU_ASSERT_EQUAL(b.s->row.rttvar_us, rows[i].rtt_us / 2);
		if (labs((long)b.s->loss.rto_us - (long)rows[i].rto_us) > 1)
			CU_FAIL(rows[i].why);
		bed_close(&b);
	}
}

/* RFC 6298, 2.3 in floating point, one sample a round trip.  Ours drops fractions of a µs at each step. */
static void
samples_follow_rfc_6298(void)
{
	static const uint32_t rtts[] = {100000, 120000, 80000,  300000,  100000, 100000,
					100000, 100000, 500000, 50000,   51000,  49000,
					50000,  50000,  50000,  2000000, 50000,  50000};
	struct bed b;
	uint64_t now = 1000000;
	unsigned n = 0;
	double srtt = 0, var = 0;

	bed_open(&b, now, SL_STREAM_SACK, SL_CC_RENO, 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rtts); i++) {
		double r = rtts[i];

		round_trip(&b, &now, &n, rtts[i]);
		if (i == 0) {
			srtt = r;
			var = r / 2;
		} else {
			var = 0.75 * var + 0.25 * fabs(srtt - r);
			srtt = 0.875 * srtt + 0.125 * r;
		}
		CU_ASSERT(fabs(b.s->row.srtt_us - srtt) <= 8);
		CU_ASSERT(fabs(b.s->row.rttvar_us - var) <= 8);
		CU_ASSERT(labs((long)b.s->loss.rto_us - (long)rto_for(srtt, var)) <= 40);
	}
	bed_close(&b);
}

/* RFC 7323, app. G: a round trip of n samples moves the averages about as far as one sample would. */
static void
many_samples_of_a_round_trip_weigh_as_one(void)
{
	struct bed b;
	uint64_t now = 1000000;

	bed_open(&b, now, SL_STREAM_SACK, SL_CC_RENO, 100000);
	b.s->row.cwnd = 40 * MSS;
	bed_send(&b, 40);
	bed_at(&b, now + 200000);
	for (unsigned n = 2; n <= 40; n += 2) {
		bed_ack(&b, n);
		bed_send(&b, 2);
	}
	/* a single sample: 112.5 ms; twenty of full weight: 193 ms */
	CU_ASSERT(b.s->row.srtt_us > 108000 && b.s->row.srtt_us < 114000);
	bed_close(&b);
}

static void
average_arrives_where_samples_are(void)
{
	struct bed b;
	uint64_t now = 1000000;
	unsigned n = 0;

	bed_open(&b, now, SL_STREAM_SACK, SL_CC_RENO, 100000);
	for (unsigned i = 0; i < 300; i++)
		round_trip(&b, &now, &n, 20000);
	CU_ASSERT(b.s->row.srtt_us == 20000);
	CU_ASSERT(b.s->row.rttvar_us <= 1);
	bed_close(&b);
}

/* Karn: which of two copies was acknowledged nobody knows, unless a timestamp says so. */
static void
what_was_sent_again_gives_no_sample_but_by_its_timestamp(void)
{
	struct bed b;

	for (int ts = 0; ts < 2; ts++) {
		bed_open(&b, 1000000, SL_STREAM_SACK | (ts ? SL_STREAM_TS : 0), SL_CC_RENO, 100000);
		bed_send(&b, 1);
		b.s->loss.timer = SL_LOSS_RTO;
		bed_at(&b, 1300000);
		CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_GO_ON);
		CU_ASSERT_EQUAL(bed_output(&b, 0, NULL), 1);
		struct sl_ack a = bed_make(1);
		a.has_ts = ts;
		a.ts_ecr = 1300;
		bed_at(&b, 1500000);
		sl_loss_ack(b.t, b.s, &a);
		CU_ASSERT_EQUAL(b.s->row.srtt_us, ts ? 112500 : 100000);
		bed_close(&b);
	}
}

static void
absurd_timestamps_give_no_sample(void)
{
	static const struct {
		uint32_t ecr;
		const char *why;
	} rows[] = {
		{0, "of nobody"},
		{100501, "of the future"},
		{100500 + 0x80000000u, "half a circle away"},
		{UINT32_MAX, "of the future"},
		{100500 - 60001, "older than the longest time-out"},
	};
	struct bed b;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		bed_open(&b, 100000000, SL_STREAM_SACK | SL_STREAM_TS, SL_CC_RENO, 100000);
		bed_send(&b, 1);
		b.s->loss.timer = SL_LOSS_RTO;
		bed_at(&b, 100300000);
		sl_loss_timer(b.t, b.s);
		bed_output(&b, 0, NULL);
		struct sl_ack a = bed_make(1);
		a.has_ts = true;
		a.ts_ecr = rows[i].ecr;
		bed_at(&b, 100500000);
		sl_loss_ack(b.t, b.s, &a);
		if (b.s->row.srtt_us != 100000)
			CU_FAIL(rows[i].why);
		bed_close(&b);
	}
}

static void
timeouts_double_up_to_a_minute_and_the_thirteenth_ends_it(void)
{
	struct bed b;
	uint64_t now = 1000000, rto = 300000;

	bed_open(&b, now, SL_STREAM_TS, SL_CC_RENO, 100000);
	bed_send(&b, 1);
	for (unsigned i = 0; i < SL_RTO_GIVE_UP; i++) {
		uint32_t due = b.s->due[SL_T_XMIT];

		CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_RTO);
		CU_ASSERT_EQUAL(due, b.t->tick + sl_ticks_of_us(rto));
		now += rto;
		bed_at(&b, now);
		CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_GO_ON);
		CU_ASSERT_EQUAL(bed_output(&b, 0, NULL), 1);
		CU_ASSERT(b.s->row.flags & SL_STREAM_BACKOFF);
		rto = SL_MIN(rto * 2, 60000000);
	}
	bed_at(&b, now + rto);
	CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_DEAD);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RTO], SL_RTO_GIVE_UP + 1);
	bed_close(&b);
}

static void
an_ack_of_new_data_ends_the_back_off(void)
{
	struct bed b;

	bed_open(&b, 1000000, 0, SL_CC_RENO, 100000);
	bed_send(&b, 2);
	for (unsigned i = 1; i <= 3; i++) {
		bed_at(&b, 1000000 + i * 5000000);
		sl_loss_timer(b.t, b.s);
		bed_output(&b, 0, NULL);
	}
	CU_ASSERT_EQUAL(b.s->loss.backoff, 3);
	bed_ack(&b, 1);
	CU_ASSERT_EQUAL(b.s->loss.backoff, 0);
	CU_ASSERT_FALSE(b.s->row.flags & SL_STREAM_BACKOFF);
	CU_ASSERT_EQUAL(b.s->due[SL_T_XMIT], b.t->tick + sl_ticks_of_us(300000));
	bed_close(&b);
}

/* RFC 6298, 5: set with the first segment, not moved by others, started anew by an ACK of new data, stopped by the last. */
static void
timer_runs_from_the_oldest_segment(void)
{
	struct bed b;

	bed_open(&b, 1000000, 0, SL_CC_RENO, 100000);
	bed_send(&b, 1);
	uint32_t due = b.s->due[SL_T_XMIT];
	bed_at(&b, 1100000);
	bed_send(&b, 1);
	CU_ASSERT(b.s->due[SL_T_XMIT] - due <= 1);
	bed_at(&b, 1150000);
	bed_ack(&b, 1);
	CU_ASSERT(b.s->due[SL_T_XMIT] > due + sl_ticks_of_us(100000));
	bed_ack(&b, 2);
	CU_ASSERT_EQUAL(b.s->due[SL_T_XMIT], 0);
	CU_ASSERT_EQUAL(b.s->loss.timer, SL_LOSS_NONE);
	bed_close(&b);
}

/* A path may become longer for good. */
static void
the_minimum_is_of_ten_seconds(void)
{
	struct bed b;
	uint64_t now = 1000000;
	unsigned n = 0;

	bed_open(&b, now, SL_STREAM_SACK, SL_CC_RENO, 20000);
	round_trip(&b, &now, &n, 30000);
	CU_ASSERT_EQUAL(b.s->loss.rtt_min_us, 20000);
	now += 10000000;
	round_trip(&b, &now, &n, 30000);
	CU_ASSERT_EQUAL(b.s->loss.rtt_min_us, 30000);
	bed_close(&b);
}

/* The hole was filled by a retransmission; what lies behind it had arrived long ago, unknown to us. */
static void
an_ack_over_a_retransmission_gives_no_sample_of_what_was_sent_once(void)
{
	struct bed b;

	bed_open(&b, 1000000, SL_STREAM_SACK, SL_CC_RENO, 100000);
	bed_send(&b, 2);
	bed_at(&b, 1300000);
	b.s->loss.timer = SL_LOSS_TLP;
	CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_PROBE);
	sl_loss_sent(b.t, b.s, bed_seg(&b, 0), true);
	bed_at(&b, 1400000);
	bed_ack(&b, 2);
	CU_ASSERT_EQUAL(b.s->row.srtt_us, 100000);
	bed_close(&b);
}

SL_SUITE("rtt", SL_TEST(before_a_sample_the_timeout_is_a_second_and_after_a_lost_syn_three),
	 SL_TEST(first_sample_sets_srtt_and_half_of_it_as_variance),
	 SL_TEST(samples_follow_rfc_6298), SL_TEST(many_samples_of_a_round_trip_weigh_as_one),
	 SL_TEST(average_arrives_where_samples_are),
	 SL_TEST(what_was_sent_again_gives_no_sample_but_by_its_timestamp),
	 SL_TEST(absurd_timestamps_give_no_sample),
	 SL_TEST(timeouts_double_up_to_a_minute_and_the_thirteenth_ends_it),
	 SL_TEST(an_ack_of_new_data_ends_the_back_off), SL_TEST(timer_runs_from_the_oldest_segment),
	 SL_TEST(the_minimum_is_of_ten_seconds),
	 SL_TEST(an_ack_over_a_retransmission_gives_no_sample_of_what_was_sent_once))
