/* cubic — RFC 9438 in whole bytes and ms: W(t) = 0.4 mss (t - K)³ + w_max, with t and K in seconds.
 *
 * w_est 0: congestion avoidance has not begun since the last reduction; it begins with the first ACK.  Rounding: K to the
 * ms below; W to a byte or two; growth per ACK to the byte below, which later ACKs make good, since W does
 * not depend on what was added. */
#include "dataplane/tcp/loss_priv.h"

#define D_MAX_MS (1u << 20) /* |t - K|: its cube fits */

static uint32_t
cube_root(uint64_t x)
{
	uint64_t root = 0;

	for (int bit = 20; bit >= 0; bit--) {
		uint64_t y = root | 1ull << bit;

		if (y * y * y <= x)
			root = y;
	}
	return (uint32_t)root;
}

static uint32_t
w_cubic(const struct sl_stream *s, uint32_t t_ms)
{
	const struct sl_loss *l = &s->loss;
	bool before = t_ms < l->k_ms;
	uint64_t d = SL_MIN(before ? l->k_ms - t_ms : t_ms - l->k_ms, D_MAX_MS);
	uint64_t bytes = (d * d * d >> 10) * s->row.mss / (2500000000ull >> 10);

	if (before)
		return bytes >= l->w_max ? 0 : l->w_max - (uint32_t)bytes;
	return (uint32_t)SL_MIN(bytes + l->w_max, SL_CWND_MAX);
}

static void
begin_epoch(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_loss *l = &s->loss;

	l->epoch_ms = t->now_ms;
	l->w_est = s->row.cwnd;
	l->acked = 0;
	l->k_ms = 0;
	if (s->row.cwnd < l->w_max)
		l->k_ms = cube_root((l->w_max - s->row.cwnd) * 2500000000ull / s->row.mss);
	else
		l->w_max = s->row.cwnd;
}

/* RFC 9438, 4.3: what Reno would have with our reduction by 0.7: grows by 9/17 of a segment in a round trip, and by a
 * whole one when it has passed the window before the reduction. */
static void
reno_friendly(struct sl_stream *s, uint32_t bytes)
{
	struct sl_loss *l = &s->loss;
	uint64_t mul = (l->w_est < l->undo_cwnd ? 9 : 17) * (uint64_t)s->row.mss;
	uint64_t div = 17 * (uint64_t)s->row.cwnd, acked = (uint64_t)l->acked + bytes;
	uint64_t more = acked * mul / div;

	l->w_est = (uint32_t)SL_MIN(l->w_est + more, SL_CWND_MAX);
	l->acked = (uint32_t)(acked - more * div / mul);
}

void
sl_cubic_acked(struct sl_tcp *t, struct sl_stream *s, uint32_t bytes)
{
	struct sl_loss *l = &s->loss;
	uint32_t cwnd = s->row.cwnd;

	if (l->w_est == 0)
		begin_epoch(t, s);
	reno_friendly(s, bytes);
	uint32_t t_ms = t->now_ms - l->epoch_ms, now = w_cubic(s, t_ms);

	if (now < l->w_est) {
		s->row.cwnd = SL_MAX(cwnd, l->w_est);
		return;
	}
	uint32_t target = w_cubic(s, t_ms + s->row.srtt_us / 1000);

	target = SL_MIN(SL_MAX(target, cwnd), cwnd + cwnd / 2);
	s->row.cwnd += (uint32_t)((uint64_t)(target - cwnd) * bytes / cwnd);
}

uint32_t
sl_cubic_reduce(struct sl_stream *s, uint32_t cwnd, bool timeout)
{
	struct sl_loss *l = &s->loss;

	if (timeout)
		l->w_max = 0; /* 4.8: the next epoch begins where slow start ends */
	else if (cwnd < l->w_max)
		l->w_max = (uint32_t)(cwnd * 17ull / 20); /* 4.7: others want room */
	else
		l->w_max = cwnd;
	l->w_est = 0;
	return (uint32_t)(cwnd * 7ull / 10);
}
