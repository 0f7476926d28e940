/* rtt — RFC 6298 in whole µs: SRTT += (R - SRTT) / 8, RTTVAR += (|R - SRTT| - RTTVAR) / 4, RTO = SRTT + 4 RTTVAR.
 *
 * Every ACK gives a sample.  As many as a round trip may bring weigh as one together (RFC 7323, app. G), so that what is
 * remembered does not become shorter than a few round trips.  A step that rounds to nothing is one µs: the
 * average arrives where the samples are. */
#include "dataplane/tcp/loss_priv.h"

#define VAR_MIN_US 50000u /* of 4 RTTVAR: an even path and one delayed ACK are no time-out */
#define SAMPLES_MAX 64

static uint32_t
towards(uint32_t from, uint32_t to, uint32_t parts)
{
	uint32_t d = (to > from ? to - from : from - to), step = d / parts;

	if (step == 0 && d > 0)
		step = 1;
	return to > from ? from + step : from - step;
}

void
sl_rtt_sample(struct sl_stream *s, uint32_t rtt_us, uint32_t flight)
{
	struct sl_stream_row *row = &s->row;
	uint32_t r = SL_MIN(SL_MAX(rtt_us, 1), SL_RTO_MAX_US);

	if (row->srtt_us == 0) {
		row->srtt_us = r;
		row->rttvar_us = r / 2;
	} else {
		uint32_t n = SL_MIN(SL_MAX((flight + 2 * row->mss - 1) / (2 * row->mss), 1),
				    SAMPLES_MAX);
		uint32_t off = r > row->srtt_us ? r - row->srtt_us : row->srtt_us - r;

		row->rttvar_us = towards(row->rttvar_us, off, 4 * n);
		row->srtt_us = towards(row->srtt_us, r, 8 * n);
	}
	uint32_t rto = row->srtt_us + SL_MAX(4 * row->rttvar_us, VAR_MIN_US);
	s->loss.rto_us = SL_MIN(SL_MAX(rto, SL_RTO_MIN_US), SL_RTO_MAX_US);
}

void
sl_rtt_min(struct sl_tcp *t, struct sl_stream *s, uint32_t rtt_us)
{
	struct sl_loss *l = &s->loss;

	rtt_us = SL_MAX(rtt_us, 1);
	if (rtt_us > l->rtt_min_us && t->now_ms - l->rtt_min_ms < SL_RTT_MIN_MS)
		return;
	l->rtt_min_us = rtt_us;
	l->rtt_min_ms = t->now_ms;
}

uint32_t
sl_rtt_rto(const struct sl_stream *s)
{
	uint64_t us = (uint64_t)s->loss.rto_us << SL_MIN(s->loss.backoff, 16);

	return (uint32_t)SL_MIN(us, SL_RTO_MAX_US);
}
