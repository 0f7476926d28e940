/* RFC 5927: an ICMP error is believed as far as it quotes what is under way, and no further.
 *
 * The MTU only goes down, and not below what each path must carry: 1280 (RFC 8200), 576 for IPv4.  Nothing on the Internet
 * carries less, and less would let a forger have a stream sent in splinters. */
#include "dataplane/tcp/tcp_priv.h"

#define MTU_MIN4 576
#define MTU_MIN6 1280

/* RFC 1191, 7.1: of routers that do not say. */
static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, MTU_MIN4};

static unsigned
plateau_below(unsigned mtu)
{
	unsigned i = 0;

	while (i < SL_ARRAY_CNT(plateaus) - 1 && plateaus[i] >= mtu)
		i++;
	return plateaus[i];
}

static void
too_big_for_path(struct sl_tcp *t, struct sl_stream *s, unsigned mtu)
{
	unsigned least = sl_addr_is_v4(&s->row.tuple.src) ? MTU_MIN4 : MTU_MIN6;

	if (mtu == 0)
		mtu = plateau_below(s->pmtu);
	mtu = SL_MAX(mtu, least);
	if (mtu >= s->pmtu)
		return;
	s->pmtu = (uint16_t)mtu;
	sl_tcp_count(t, PMTU);
	if (s->row.state < SL_STREAM_ESTABLISHED)
		return; /* reckoned with when it opens */
	unsigned mss = s->row.mss;
	sl_open_mss(t, s);
	if (s->row.mss >= mss)
		return;
	sl_loss_mtu(t, s);
	sl_tcp_dirty(t, s);
}

void
sl_tcp_icmp(struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t seq, bool too_big,
	    unsigned mtu, bool hard)
{
	uint32_t idx = sl_tcp_find(t, sl_tcp_hash(t, tuple), tuple);

	if (idx == SL_TCP_NONE || (idx & SL_TCP_OF_TIMEWAIT))
		return;
	struct sl_stream *s = &t->streams[idx];
	if (sl_seq_lt(seq, s->row.snd_una) || sl_seq_gt(seq, s->row.snd_nxt)) {
		sl_tcp_count(t, BAD_ICMP);
		return;
	}
	if (too_big)
		too_big_for_path(t, s, mtu);
	else if (hard && s->row.state == SL_STREAM_SYN_SENT)
		sl_tcp_end(t, s, SL_END_UNREACHABLE);
}
