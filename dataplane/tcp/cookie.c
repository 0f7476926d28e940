/*   ISN:  28 bits of a keyed function of (tuple, sequence number of the SYN, minute, mss) · 1 bit: the minute is odd
 *         · 3 bits: place in the table of mss
 *
 * The odd minute tells the current one from the last; a cookie is good for one to two minutes.
 *
 *   timestamp:  our clock, its low six bits replaced by  0 · SACK permitted · 4 bits window scale (15: none),
 *               and 64 less where that were ahead of the clock: what we send later is never older
 *
 * Nothing protects these six bits: who changes them in his echo changes what he asked for, no more. */
#include "dataplane/tcp/tcp_priv.h"

#define MINUTE_NS 60000000000ull
#define KEPT_MS 120000
#define PROOF 0xfffffff0u /* the bits of the keyed function */
#define NO_WSCALE 15

/* What is seen most: Ethernet 4 and 6, tunnels, mobile, the defaults; below 536 what we send at least. */
static const uint16_t sizes[8] = {
	SL_MSS_MIN, SL_MSS_DEFAULT4, SL_MSS_DEFAULT6, 1360, 1400, 1440, 1460, 8960};

static uint32_t
isn(const struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t peer_seq, uint64_t minute,
    unsigned size)
{
	uint64_t what = SL_MAC_COOKIE | (minute << 3 | size) << 32 | peer_seq;

	return ((uint32_t)sl_isn_mac(t, tuple, what) & PROOF) | (uint32_t)(minute & 1) << 3 | size;
}

static unsigned
size_of(const struct sl_tuple *tuple, unsigned mss)
{
	unsigned size = SL_ARRAY_CNT(sizes) - 1;

	if (mss == 0)
		mss = sl_addr_is_v4(&tuple->src) ? SL_MSS_DEFAULT4 : SL_MSS_DEFAULT6;
	while (size > 0 && sizes[size] > mss)
		size--;
	return size;
}

uint32_t
sl_cookie_make(struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t peer_seq,
	       const struct sl_tcp_options *syn, uint32_t *ret_ts_val)
{
	t->cookie_out = true;
	t->cookie_ms = t->now_ms;
	if (syn->has_ts) {
		uint32_t now = t->now_ms + sl_isn_ts_offset(t, tuple);
		uint32_t v = (now & ~63u) | (syn->sack_ok ? 16 : 0) |
			     (syn->has_wscale ? syn->wscale : NO_WSCALE);
		*ret_ts_val = sl_seq_gt(v, now) ? v - 64 : v;
	}
	return isn(t, tuple, peer_seq, t->now_ns / MINUTE_NS, size_of(tuple, syn->mss));
}

bool
sl_cookie_check(const struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t seq, uint32_t ack,
		const struct sl_tcp_options *o, struct sl_tcp_options *ret_syn)
{
	uint64_t minute = t->now_ns / MINUTE_NS;
	uint32_t cookie = ack - 1;

	if (sl_likely(!t->cookie_out))
		return false;
	minute -= (minute ^ cookie >> 3) & 1;
	if (isn(t, tuple, seq - 1, minute, cookie & 7) != cookie)
		return false;
	*ret_syn = (struct sl_tcp_options){.mss = sizes[cookie & 7]};
	if (o->has_ts) {
		ret_syn->has_ts = true;
		ret_syn->ts_val = o->ts_val;
		ret_syn->ts_ecr = o->ts_ecr;
		ret_syn->sack_ok = o->ts_ecr & 16;
		ret_syn->has_wscale = (o->ts_ecr & 15) != NO_WSCALE;
		ret_syn->wscale = ret_syn->has_wscale ? o->ts_ecr & 15 : 0;
	}
	return true;
}

void
sl_cookie_expire(struct sl_tcp *t)
{
	if (sl_unlikely(t->cookie_out) && t->now_ms - t->cookie_ms >= KEPT_MS)
		t->cookie_out = false;
}
