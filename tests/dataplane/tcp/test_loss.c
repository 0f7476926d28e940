#include "tests/dataplane/tcp/loss_bed.h"
#include <time.h>

#define RTT 100000u
#define T0 1000000u

/* A flight of n segments from a window of as many, acknowledged from T0 + RTT on. */
static void
flight(struct bed *b, uint8_t row_flags, unsigned n)
{
	bed_open(b, T0, row_flags, SL_CC_RENO, RTT);
	b->s->row.cwnd = n * MSS;
	b->s->loss.ssthresh = n * MSS;
	bed_output(b, n, NULL);
	bed_at(b, T0 + RTT);
}

/* ---- PRR: the situations of the two examples of RFC 6937, section 4, segment by segment.  R: sent again, N: new ---- */

static void
expect_sent(struct bed *b, char want)
{
	unsigned again, all = bed_output(b, 1000, &again);

	CU_ASSERT_EQUAL(all, want == '-' ? 0 : 1);
	CU_ASSERT_EQUAL(again, want == 'R' ? 1 : 0);
}

static void
prr_paces_a_single_loss_out_over_the_round_trip(void)
{
	/* ACK of segment   1   2   3   4   5 … 19 (0 was lost) */
	static const char sent[] = "NNR-N-N-N-N-N-N-N--";
	struct bed b;

	flight(&b, SL_STREAM_SACK, 20);
	for (unsigned i = 1; i <= 19; i++) {
		bed_sack(&b, 0, 1, i + 1);
		expect_sent(&b, sent[i - 1]);
		SANE(&b);
	}
	CU_ASSERT_EQUAL(b.s->loss.ssthresh, 10 * MSS);
	CU_ASSERT_EQUAL(sl_loss_pipe(b.s), 10 * MSS);
	bed_at(&b, T0 + 2 * RTT);
	bed_ack(&b, 22);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT(b.s->row.cwnd >= 10 * MSS && b.s->row.cwnd < 11 * MSS);
	bed_close(&b);
}

static void
prr_sends_no_more_than_arrived_after_a_burst_of_losses(void)
{
	static const char sent[] = "NNRR"; /* ACKs of 16 … 19; 1 … 15 were lost */
	struct bed b;

	flight(&b, SL_STREAM_SACK, 20);
	bed_ack(&b, 1);
	bed_output(&b, 1, NULL);
	for (unsigned i = 16; i <= 19; i++) {
		bed_sack(&b, 1, 16, i + 1);
		expect_sent(&b, sent[i - 16]);
		SANE(&b);
	}
	bed_close(&b);
}

/* Below the target: as much as arrived, and a segment more where snd_una moves and nothing else was lost. */
static void
prr_grows_back_to_the_target_as_slow_start_would(void)
{
	struct bed b;

	flight(&b, SL_STREAM_SACK, 20);
	bed_ack(&b, 1);
	bed_output(&b, 1, NULL);
	for (unsigned i = 16; i <= 19; i++) {
		bed_sack(&b, 1, 16, i + 1);
		bed_output(&b, 1, NULL);
	}
	bed_at(&b, T0 + 2 * RTT);
	struct sl_ack a = bed_make(2);
	bed_block(&a, 16, 20);
	sl_loss_ack(b.t, b.s, &a);
	CU_ASSERT_EQUAL(sl_loss_allowance(b.s), 2 * MSS);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	b.s->row.cwnd = 3 * MSS;
	bed_ack(&b, (b.s->row.snd_nxt - ISS) / MSS);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT(b.s->row.cwnd >= 10 * MSS && b.s->row.cwnd <= 11 * MSS);
	bed_close(&b);
}

/* RFC 3042: the first two ACKs out of order let new segments go, one each. */
static void
the_first_duplicate_acks_keep_the_clock_going(void)
{
	struct bed b;

	for (int sack = 0; sack < 2; sack++) {
		flight(&b, sack ? SL_STREAM_SACK : 0, 10);
		uint32_t cwnd = b.s->row.cwnd;
		for (unsigned i = 1; i <= 2; i++) {
			if (sack)
				bed_sack(&b, 0, 1, i + 1);
			else
				bed_ack(&b, 0);
			expect_sent(&b, 'N');
			CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
		}
		CU_ASSERT(b.s->row.cwnd <= cwnd + MSS);
		bed_close(&b);
	}
}

/* ---- without SACK: RFC 5681, 6582 ---- */

static void
newreno_repairs_a_hole_each_round_trip(void)
{
	struct bed b;
	unsigned again;

	flight(&b, 0, 12); /* 0, 4 and 8 are lost */
	for (unsigned i = 0; i < 3; i++)
		bed_ack(&b, 0);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	CU_ASSERT_EQUAL(b.s->loss.ssthresh, 6 * MSS);
	bed_output(&b, 0, &again);
	CU_ASSERT_EQUAL(again, 1);
	CU_ASSERT(bed_is(&b, 0, SL_SEG_RETRANS));
	for (unsigned i = 0; i < 6; i++)
		bed_ack(&b, 0);
	SANE(&b);
	for (unsigned hole = 4; hole <= 8; hole += 4) {
		bed_at(&b, T0 + RTT + hole / 4 * RTT);
		bed_ack(&b, hole);
		CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
		bed_output(&b, 0, &again);
		CU_ASSERT_EQUAL(again, 1);
		CU_ASSERT(bed_is(&b, hole, SL_SEG_RETRANS));
		SANE(&b);
	}
	bed_at(&b, T0 + 4 * RTT);
	bed_ack(&b, 12);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT(b.s->row.cwnd >= 6 * MSS && b.s->row.cwnd <= 7 * MSS);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 3);
	CU_ASSERT_EQUAL(b.count[SL_TCP_FAST_RECOVERY], 1);
	bed_close(&b);
}

/* RFC 6582, 3.2 step 2: duplicates of what the last recovery sent again start no new one. */
static void
duplicates_at_the_end_of_recovery_start_no_other(void)
{
	struct bed b;

	flight(&b, 0, 10);
	for (unsigned i = 0; i < 3; i++)
		bed_ack(&b, 0);
	bed_output(&b, 0, NULL);
	bed_ack(&b, 10);
	bed_send(&b, 4);
	for (unsigned i = 0; i < 5; i++)
		bed_ack(&b, 10);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT_EQUAL(b.count[SL_TCP_FAST_RECOVERY], 1);
	bed_close(&b);
}

/* RFC 5681, 2: duplicate ACKs carry no data and change no window. */
static void
segments_with_data_or_a_new_window_are_no_duplicate_acks(void)
{
	struct bed b;

	for (int which = 0; which < 2; which++) {
		flight(&b, 0, 10);
		for (unsigned i = 0; i < 20; i++) {
			struct sl_ack a = bed_make(0);
			a.has_data = which;
			a.window_changed = !which;
			sl_loss_ack(b.t, b.s, &a);
		}
		CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
		CU_ASSERT_EQUAL(sl_loss_pipe(b.s), 10 * MSS);
		bed_close(&b);
	}
}

static void
duplicate_acks_without_end_let_one_segment_go_each(void)
{
	struct bed b;

	flight(&b, 0, 10);
	for (unsigned i = 0; i < 1000; i++) {
		bed_ack(&b, 0);
		CU_ASSERT(bed_output(&b, 1000, NULL) <= 1);
		CU_ASSERT(sl_loss_pipe(b.s) <= 12 * MSS);
		SANE(&b);
	}
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 1);
	bed_close(&b);
}

/* ---- needless recoveries ---- */

/* RFC 3522: the time-out was too early: the ACK echoes the time of the first copy. */
static void
a_needless_timeout_is_undone_by_timestamps(void)
{
	struct bed b;

	flight(&b, SL_STREAM_SACK | SL_STREAM_TS, 20);
	uint32_t cwnd = b.s->row.cwnd, ssthresh = b.s->loss.ssthresh;
	b.s->loss.timer = SL_LOSS_RTO;
	bed_at(&b, T0 + 4 * RTT);
	sl_loss_timer(b.t, b.s);
	CU_ASSERT_EQUAL(bed_output(&b, 10, NULL), 1);
	struct sl_ack a = bed_make(2);
	a.has_ts = true;
	a.ts_ecr = T0 / 1000;
	bed_at(&b, T0 + 4 * RTT + 10000);
	sl_loss_ack(b.t, b.s, &a);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT(b.s->row.cwnd >= cwnd);
	CU_ASSERT_EQUAL(b.s->loss.ssthresh, ssthresh);
	CU_ASSERT_EQUAL(b.s->loss.lost, 0);
	CU_ASSERT_EQUAL(b.count[SL_TCP_SPURIOUS], 1);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 1);
	SANE(&b);
	bed_close(&b);
}

static void
a_needed_timeout_is_not_undone(void)
{
	struct bed b;

	flight(&b, SL_STREAM_SACK | SL_STREAM_TS, 20);
	b.s->loss.timer = SL_LOSS_RTO;
	bed_at(&b, T0 + 4 * RTT);
	sl_loss_timer(b.t, b.s);
	bed_output(&b, 10, NULL);
	struct sl_ack a = bed_make(1);
	a.has_ts = true;
	a.ts_ecr = (T0 + 4 * RTT) / 1000;
	bed_at(&b, T0 + 5 * RTT);
	sl_loss_ack(b.t, b.s, &a);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_TIMEOUT);
	CU_ASSERT_EQUAL(b.s->row.cwnd, 2 * MSS);
	bed_close(&b);
}

static void
a_needless_recovery_is_undone_by_timestamps(void)
{
	struct bed b;

	flight(&b, SL_STREAM_SACK | SL_STREAM_TS, 20);
	bed_sack(&b, 0, 1, 6);
	bed_output(&b, 0, NULL);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	struct sl_ack a = bed_make(6);
	a.has_ts = true;
	a.ts_ecr = T0 / 1000;
	bed_at(&b, T0 + RTT + 10000);
	sl_loss_ack(b.t, b.s, &a);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT(b.s->row.cwnd >= 20 * MSS);
	CU_ASSERT_FALSE(b.s->row.flags & SL_STREAM_RECOVERY);
	SANE(&b);
	bed_close(&b);
}

/* Of two that were sent again one was not lost; the other may have been. */
static void
recovery_goes_on_while_others_may_have_been_lost(void)
{
	struct bed b;
	struct sl_ack a = bed_make(1);

	flight(&b, SL_STREAM_SACK | SL_STREAM_TS, 20);
	bed_sack(&b, 0, 2, 12);
	bed_output(&b, 0, NULL);
	bed_sack(&b, 0, 2, 14);
	bed_output(&b, 0, NULL);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 2);
	a.has_ts = true;
	a.ts_ecr = T0 / 1000;
	bed_block(&a, 2, 14);
	bed_at(&b, T0 + RTT + 10000);
	sl_loss_ack(b.t, b.s, &a);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	CU_ASSERT(b.s->row.cwnd < 20 * MSS);
	SANE(&b);
	bed_close(&b);
}

/* The third SACK and what it seemed to miss come in one turn, before anything is sent. */
static void
a_recovery_that_sent_nothing_yet_is_undone_by_what_arrives(void)
{
	struct bed b;

	flight(&b, SL_STREAM_SACK, 20);
	bed_sack(&b, 0, 1, 6);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_RECOVERY);
	bed_ack(&b, 6);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	CU_ASSERT(b.s->row.cwnd >= 20 * MSS);
	CU_ASSERT_EQUAL(b.s->loss.reo_mult, 2);
	CU_ASSERT_EQUAL(b.count[SL_TCP_SPURIOUS], 0);
	SANE(&b);
	bed_close(&b);
}

/* RFC 3708: all that was sent again arrived twice: also when recovery is over. */
static void
a_needless_recovery_is_undone_by_dsack(void)
{
	for (int late = 0; late < 2; late++) {
		struct bed b;
		struct sl_ack a = bed_make(late ? 20 : 6);

		flight(&b, SL_STREAM_SACK, 20);
		bed_sack(&b, 0, 2, 8);
		bed_output(&b, 0, NULL);
		bed_output(&b, 0, NULL);
		bed_sack(&b, 0, 2, 12);
		bed_output(&b, 0, NULL);
		CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 2);
		if (late) {
			bed_ack(&b, 20);
			CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
			CU_ASSERT(b.s->row.cwnd < 12 * MSS);
		}
		bed_block(&a, 0, 1);
		sl_loss_ack(b.t, b.s, &a);
		CU_ASSERT(b.s->row.cwnd < 20 * MSS);
		a.block[0].from += MSS;
		a.block[0].to += MSS;
		sl_loss_ack(b.t, b.s, &a);
		CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
		CU_ASSERT(b.s->row.cwnd >= 20 * MSS);
		CU_ASSERT_EQUAL(b.count[SL_TCP_SPURIOUS], 2);
		SANE(&b);
		bed_close(&b);
	}
}

static void
one_needed_retransmission_keeps_the_reduction(void)
{
	struct bed b;
	struct sl_ack a = bed_make(20);

	flight(&b, SL_STREAM_SACK, 20);
	bed_sack(&b, 0, 2, 10);
	bed_output(&b, 0, NULL);
	bed_sack(&b, 0, 2, 12);
	bed_output(&b, 0, NULL);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 2);
	bed_block(&a, 0, 1);
	sl_loss_ack(b.t, b.s, &a);
	CU_ASSERT(b.s->row.cwnd < 12 * MSS);
	bed_close(&b);
}

/* ---- the scoreboard ---- */

static void
a_fin_is_one_byte_behind_its_bytes(void)
{
	struct bed b;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
	bed_write(&b, MSS)->flags = SL_SEG_FIN;
	b.s->row.snd_end++;
	bed_send_new(&b);
	CU_ASSERT_EQUAL(b.s->row.snd_nxt, ISS + MSS + 1);
	struct sl_ack a = {.ack = ISS + MSS};
	CU_ASSERT_EQUAL(sl_loss_ack(b.t, b.s, &a), MSS);
	CU_ASSERT_FALSE(b.s->flags & SL_F_FIN_ACKED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b.s->sq_head);
	CU_ASSERT_EQUAL(b.s->sq_head->chunk.len, 0);
	SANE(&b);
	a.ack++;
	CU_ASSERT_EQUAL(sl_loss_ack(b.t, b.s, &a), 1);
	CU_ASSERT(b.s->flags & SL_F_FIN_ACKED);
	CU_ASSERT_PTR_NULL(b.s->sq_head);
	CU_ASSERT_PTR_NULL(b.s->sq_tail);
	CU_ASSERT_EQUAL(b.s->sq_charge, 0);
	CU_ASSERT_EQUAL(b.t->mem.seg_used, 0);
	bed_close(&b);
}

static void
part_of_a_segment_acknowledged_leaves_the_rest(void)
{
	struct bed b;
	struct sl_ack a = {.ack = ISS + 300};

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
	bed_send(&b, 2);
	struct sl_seg *seg = b.s->sq_head;
	uint8_t *data = seg->chunk.data;
	seg->flags |= SL_SEG_SUM;
	CU_ASSERT_EQUAL(sl_loss_ack(b.t, b.s, &a), 300);
	CU_ASSERT_PTR_EQUAL(b.s->sq_head, seg);
	CU_ASSERT_EQUAL(seg->seq, ISS + 300);
	CU_ASSERT_EQUAL(seg->chunk.len, MSS - 300);
	CU_ASSERT_PTR_EQUAL(seg->chunk.data, data + 300);
	CU_ASSERT_FALSE(seg->flags & SL_SEG_SUM);
	SANE(&b);
	bed_close(&b);
}

static void
blocks_outside_what_is_out_are_counted_and_change_nothing(void)
{
	static const struct {
		int32_t from, to; /* bytes from snd_una */
		const char *why;
	} rows[] = {
		{1000, 11000, "ends past snd_nxt"},
		{1000, 10001, "ends a byte past snd_nxt"},
		{12000, 14000, "of what was never sent"},
		{3000, 3000, "empty"},
		{3000, 2000, "backwards"},
		{-1000, 2000, "begins before snd_una"},
		{INT32_MIN, 5000, "half a circle"},
		{-2000, -1000, "old, and not first"},
		{1000, INT32_MAX, "all there is"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct bed b;
		struct sl_ack a = bed_make(4);

		flight(&b, SL_STREAM_SACK, 14);
		bed_ack(&b, 4);
		bed_block(&a, 6, 7);
		a.block[a.block_cnt++] = (struct sl_sack_block){
			.from = ISS + 4 * MSS + (uint32_t)rows[i].from,
			.to = ISS + 4 * MSS + (uint32_t)rows[i].to,
		};
		sl_loss_ack(b.t, b.s, &a);
		if (b.count[SL_TCP_BAD_SACK] != 1 || b.s->loss.sacked != MSS)
			CU_FAIL(rows[i].why);
		SANE(&b);
		bed_close(&b);
	}
}

/* A walk for an ACK goes over 4,096 segments of holes, and no further. */
static void
blocks_beyond_a_long_hole_are_not_heard(void)
{
	struct bed b;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
	b.s->row.cwnd = 1u << 27;
	bed_send(&b, 6000);
	bed_sack(&b, 0, 4000, 4001);
	CU_ASSERT_EQUAL(b.s->loss.sacked, MSS);
	b.s->loss.sack_at = NULL; /* as after a run that was acknowledged */
	bed_sack(&b, 0, 5000, 5001);
	CU_ASSERT_EQUAL(b.s->loss.sacked, MSS);
	SANE(&b);
	bed_close(&b);
}

static void
a_segment_sacked_in_part_is_not_sacked(void)
{
	struct bed b;
	struct sl_ack a = bed_make(0);

	flight(&b, SL_STREAM_SACK, 10);
	a.block_cnt = 1;
	a.block[0] = (struct sl_sack_block){.from = ISS + 1500, .to = ISS + 3999};
	sl_loss_ack(b.t, b.s, &a);
	CU_ASSERT_EQUAL(b.s->loss.sacked, MSS);
	CU_ASSERT(bed_is(&b, 2, SL_SEG_SACKED));
	bed_close(&b);
}

/* RFC 2018, 8: a peer that forgets what it had SACKed gets it again after a time-out. */
static void
what_was_sacked_and_dropped_is_sent_again(void)
{
	struct bed b;

	flight(&b, SL_STREAM_SACK, 10);
	bed_sack(&b, 0, 1, 8);
	bed_output(&b, 0, NULL);
	bed_ack(&b, 1); /* only the hole: 1 to 7 are gone from the peer */
	CU_ASSERT(bed_is(&b, 1, SL_SEG_SACKED));
	b.s->loss.timer = SL_LOSS_RTO;
	bed_at(&b, T0 + 5 * RTT);
	CU_ASSERT_EQUAL(sl_loss_timer(b.t, b.s), SL_LOSS_GO_ON);
	CU_ASSERT_EQUAL(b.s->loss.sacked, 0);
	SANE(&b);
	for (unsigned i = 1; i < 10; i++)
		CU_ASSERT(bed_is(&b, i, SL_SEG_LOST));
	for (unsigned i = 1; i < 10; i++) {
		bed_output(&b, 0, NULL);
		bed_at(&b, T0 + (5 + i) * RTT);
		bed_ack(&b, i + 1);
		SANE(&b);
	}
	CU_ASSERT_EQUAL(b.count[SL_TCP_RETRANS], 10);
	CU_ASSERT_EQUAL(b.count[SL_TCP_RTO], 1);
	CU_ASSERT_EQUAL(b.s->row.snd_una, b.s->row.snd_nxt);
	bed_close(&b);
}

static void
segments_too_long_for_a_smaller_path_are_lost_without_a_reduction(void)
{
	struct bed b;

	flight(&b, SL_STREAM_SACK, 10);
	bed_sack(&b, 0, 3, 4);
	uint32_t cwnd = b.s->row.cwnd;
	b.s->row.mss = 600;
	sl_loss_mtu(b.t, b.s);
	CU_ASSERT_EQUAL(b.s->loss.lost, 9 * MSS);
	CU_ASSERT_EQUAL(b.s->row.cwnd, cwnd);
	CU_ASSERT_EQUAL(b.s->loss.state, SL_LOSS_OPEN);
	SANE(&b);
	bed_close(&b);
}

/* ---- property: the scoreboard against a model that knows bytes only ---- */

static uint64_t seed;

static uint32_t
rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 20) % n);
}

#define MODEL 65536u

/* By sequence number: bytes that lie whole, segment by segment, in a block of some ACK. */
struct model {
	uint8_t sacked[MODEL];
	uint32_t una, nxt;
};

static void
model_ack(struct model *m, struct bed *b, const struct sl_ack *a)
{
	for (; m->una != a->ack; m->una++)
		m->sacked[m->una % MODEL] = 0;
	for (unsigned i = 0; i < a->block_cnt; i++) {
		const struct sl_sack_block *x = &a->block[i];
		uint32_t from = x->from - m->una, to = x->to - m->una;
		const struct sl_sack_block *y = &a->block[1];
		uint32_t from1 = y->from - m->una, to1 = y->to - m->una;
		bool within = a->block_cnt > 1 && from1 < to1 && to1 <= m->nxt - m->una &&
			      from >= from1 && from < to && to <= to1;
		bool dsack =
			i == 0 && ((int32_t)(x->from - x->to) < 0) && ((int32_t)to <= 0 || within);

		if (dsack || from >= to || to > m->nxt - m->una)
			continue;
		for (struct sl_seg *seg = b->s->sq_head; seg && seg != b->s->sq_next;
		     seg = seg->next) {
			uint32_t end = seg->seq + seg->chunk.len + !!(seg->flags & SL_SEG_FIN);
			uint32_t at = sl_seq_max(seg->seq, m->una) - m->una;

			if (sl_seq_le(end, m->una) || at < from || end - m->una > to)
				continue;
			for (uint32_t k = m->una + at; k != end; k++)
				m->sacked[k % MODEL] = 1;
		}
	}
}

static const char *
model_differs(const struct model *m, const struct bed *b)
{
	uint32_t sacked = 0;

	for (const struct sl_seg *seg = b->s->sq_head; seg && seg != b->s->sq_next;
	     seg = seg->next) {
		uint32_t n = seg->chunk.len;
		if (seg->flags & SL_SEG_FIN)
			n++;
		for (uint32_t k = 0; k < n; k++) {
			bool is = seg->flags & SL_SEG_SACKED;
			if (m->sacked[(seg->seq + k) % MODEL] != is)
				return is ? "SACKED, and was not told so" : "told, and not SACKED";
		}
		sacked += seg->flags & SL_SEG_SACKED ? n : 0;
	}
	if (sacked != b->s->loss.sacked)
		return "sum of SACKED";
	return m->una == b->s->row.snd_una ? NULL : "snd_una";
}

/* Blocks of what may have arrived, at any bytes; sometimes anywhere at all. */
static struct sl_ack
random_ack(struct bed *b)
{
	const struct sl_stream_row *row = &b->s->row;
	uint32_t out = row->snd_nxt - row->snd_una;
	struct sl_ack a = {.ack = row->snd_una, .has_ts = rnd(2)};

	a.ts_ecr = b->t->now_ms - rnd(300);
	if (out && rnd(3) == 0) {
		uint32_t n = rnd(4) ? rnd(5) * MSS : rnd(out + 1);

		a.ack += SL_MIN(out, n);
	}
	out = row->snd_nxt - a.ack;
	a.block_cnt = rnd(3) ? (uint8_t)rnd(5) : 0;
	for (unsigned i = 0; i < a.block_cnt; i++) {
		uint32_t from = rnd(out + 2), n = rnd(8) ? rnd(6 * MSS) : rnd(out + 2);

		if (rnd(2))
			from = from / 500 * 500, n = n / 500 * 500;
		if (rnd(10) == 0)
			from = rnd(UINT32_MAX), n = rnd(2) ? n : rnd(UINT32_MAX);
		a.block[i].from = a.ack + from;
		a.block[i].to = a.ack + from + n;
	}
	return a;
}

/* After detection: nothing that RFC 8985 says is lost is still under way. */
static const char *
missed_loss(const struct bed *b)
{
	const struct sl_loss *l = &b->s->loss;

	if (l->rack_rtt_us == 0)
		return NULL;
	for (const struct sl_seg *seg = b->s->sq_head; seg && seg != b->s->sq_next;
	     seg = seg->next) {
		uint32_t wait = l->rack_rtt_us + b->s->row.srtt_us;

		if (seg->flags & (SL_SEG_SACKED | SL_SEG_LOST))
			continue;
		if ((int32_t)(l->rack_xmit_us - seg->sent_us) > 0 &&
		    (int32_t)(b->t->now_us - seg->sent_us - wait) >= 0)
			return "overdue, and still under way";
	}
	return NULL;
}

static bool
random_event(struct bed *b, struct model *m, uint64_t *now_us)
{
	struct sl_stream *s = b->s;
	unsigned what = rnd(16);

	*now_us += rnd(4) ? rnd(3000) : rnd(60000);
	bed_at(b, *now_us);
	if (what < 4) {
		for (unsigned n = rnd(6); n > 0 && s->row.snd_end - s->row.snd_una < 40 * MSS; n--)
			bed_write(b, rnd(3) ? MSS : 1 + rnd(MSS));
		while (s->sq_next && sl_loss_allowance(s) > 0)
			bed_send_new(b);
	} else if (what < 7) {
		bed_output(b, 0, NULL);
	} else if (what < 15) {
		struct sl_ack a = random_ack(b);

		m->nxt = s->row.snd_nxt;
		model_ack(m, b, &a); /* first: segments are still there */
		sl_loss_ack(b->t, s, &a);
		if (missed_loss(b))
			return false;
	} else if (s->row.snd_nxt != s->row.snd_una && s->loss.backoff < SL_RTO_GIVE_UP) {
		sl_loss_rearm(b->t, s);
		if (rnd(4) == 0)
			s->loss.timer = SL_LOSS_RTO;
		bool renege = s->loss.timer == SL_LOSS_RTO && s->sq_head->flags & SL_SEG_SACKED;
		if (sl_loss_timer(b->t, s) == SL_LOSS_PROBE && !(s->sq_head->flags & SL_SEG_SACKED))
			sl_loss_sent(b->t, s, s->sq_head, true);
		if (renege)
			memset(m->sacked, 0, sizeof(m->sacked));
	}
	sl_loss_rearm(b->t, s);
	return true;
}

static void
scoreboard_agrees_with_a_set_of_bytes_over_200000_events(void)
{
	static struct model m;

	for (unsigned run = 0; run < 200; run++) {
		struct bed b;
		uint64_t now = T0;
		const char *why = NULL;

		seed = 88172645463325252ull + run * 7919;
		memset(&m, 0, sizeof(m));
		bed_open(&b, now, SL_STREAM_SACK | (run & 1 ? SL_STREAM_TS : 0), run & 2, RTT);
		m.una = m.nxt = ISS;
		for (unsigned i = 0; i < 1000 && !why; i++) {
			if (!random_event(&b, &m, &now))
				why = "a loss was missed";
			if (!why)
				why = bed_check(&b);
			if (!why)
				why = model_differs(&m, &b);
			if (why)
				printf("run %u event %u: %s\n", run, i, why);
		}
		CU_ASSERT_PTR_NULL(why);
		bed_close(&b);
		if (why)
			break;
	}
}

/* A window of 12,000 segments, each second one SACKed, by 4 blocks an ACK from a peer that tells them in the worst order.  Steps
 * are bounded for each ACK; the time here is a hundred times what it takes. */
static void
hostile_sacks_cost_a_bounded_walk(void)
{
	struct bed b;
	struct timespec from, to;

	bed_open(&b, T0, SL_STREAM_SACK, SL_CC_RENO, RTT);
	b.s->row.cwnd = 1u << 27;
	bed_send(&b, 12000);
	b.s->loss.flags = 1;
	b.s->loss.reo_mult = 255;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 11990; i >= 10; i -= 8) {
		struct sl_ack a = bed_make(0);

		bed_at(&b, T0 + RTT + (12000 - i));
		for (unsigned k = 0; k < 4; k++)
			bed_block(&a, i - 2 * k, i - 2 * k + 1);
		sl_loss_ack(b.t, b.s, &a);
		sl_loss_rearm(b.t, b.s);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	double ms =
		(double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	printf("%u ACKs: %.1f ms\n", 1498u, ms);
	CU_ASSERT(ms < 3000);
	SANE(&b);
	bed_close(&b);
}

SL_SUITE("loss", SL_TEST(prr_paces_a_single_loss_out_over_the_round_trip),
	 SL_TEST(prr_sends_no_more_than_arrived_after_a_burst_of_losses),
	 SL_TEST(prr_grows_back_to_the_target_as_slow_start_would),
	 SL_TEST(the_first_duplicate_acks_keep_the_clock_going),
	 SL_TEST(newreno_repairs_a_hole_each_round_trip),
	 SL_TEST(duplicates_at_the_end_of_recovery_start_no_other),
	 SL_TEST(segments_with_data_or_a_new_window_are_no_duplicate_acks),
	 SL_TEST(duplicate_acks_without_end_let_one_segment_go_each),
	 SL_TEST(a_needless_timeout_is_undone_by_timestamps),
	 SL_TEST(a_needed_timeout_is_not_undone),
	 SL_TEST(a_needless_recovery_is_undone_by_timestamps),
	 SL_TEST(recovery_goes_on_while_others_may_have_been_lost),
	 SL_TEST(a_recovery_that_sent_nothing_yet_is_undone_by_what_arrives),
	 SL_TEST(a_needless_recovery_is_undone_by_dsack),
	 SL_TEST(one_needed_retransmission_keeps_the_reduction),
	 SL_TEST(a_fin_is_one_byte_behind_its_bytes),
	 SL_TEST(part_of_a_segment_acknowledged_leaves_the_rest),
	 SL_TEST(blocks_outside_what_is_out_are_counted_and_change_nothing),
	 SL_TEST(blocks_beyond_a_long_hole_are_not_heard),
	 SL_TEST(a_segment_sacked_in_part_is_not_sacked),
	 SL_TEST(what_was_sacked_and_dropped_is_sent_again),
	 SL_TEST(segments_too_long_for_a_smaller_path_are_lost_without_a_reduction),
	 SL_TEST(scoreboard_agrees_with_a_set_of_bytes_over_200000_events),
	 SL_TEST(hostile_sacks_cost_a_bounded_walk))
