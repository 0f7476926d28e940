/* output — what a stream may send now, and the bytes of it.
 *
 *   lost segments ─▶ new ones ─▶ a probe, if one is due ─▶ an ACK, if nothing else carried it
 *   bounds: congestion window (loss.h) for both; the peer's window, Nagle (RFC 9293, 3.7.4, 3.8.6.2.1) for new ones
 *
 * A segment whose bytes lie in a packet buffer that nobody else holds is sent from where it lies: the headers go in front of it,
 * over those it came with.  All others are copied into a new buffer, summed on the way. */
#include "dataplane/tcp/tcp_priv.h"

#define ETH 14u
#define TTL 64

/* ---- headers ---- */

static unsigned
ip_bytes(const struct sl_tuple *tuple)
{
	return sl_addr_is_v4(&tuple->src) ? 20 : 40;
}

static uint32_t
fold_words(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	return (uint32_t)(sum + (sum >> 32));
}

/* Headers are summed as they are made: what was stored in pieces is slow to load as a whole. */

/* IP header of a packet with l4 bytes behind it; the sum of the pseudo header. */
static uint64_t
put_ip(uint8_t *ip, const struct sl_tuple *tuple, unsigned l4)
{
	uint64_t pseudo = (uint64_t)sl_to_be16(SL_IPPROTO_TCP) + sl_to_be16(l4);

	if (!sl_addr_is_v4(&tuple->src)) {
		sl_store32(ip, sl_to_be32(0x60000000u));
		sl_store32(ip + 4, sl_to_be32(l4 << 16 | SL_IPPROTO_TCP << 8 | TTL));
		memcpy(ip + 8, tuple->dst.b, 16);
		memcpy(ip + 24, tuple->src.b, 16);
		for (unsigned i = 0; i < 16; i += 4)
			pseudo +=
				(uint64_t)sl_load32(tuple->dst.b + i) + sl_load32(tuple->src.b + i);
		return pseudo;
	}
	/* DF, identification 0: RFC 1191, RFC 6864 */
	uint32_t first = sl_to_be32(0x45000000u | (20 + l4)), second = sl_to_be32(0x00004000u);
	uint32_t third = sl_to_be32((uint32_t)TTL << 24 | SL_IPPROTO_TCP << 16);
	uint32_t src = sl_load32(tuple->dst.b + 12), dst = sl_load32(tuple->src.b + 12);
	uint64_t both = (uint64_t)src + dst, sum = both + first + second + third;
	sl_store32(ip, first);
	sl_store32(ip + 4, second);
	sl_store32(ip + 8, third | (uint32_t)(uint16_t)~sl_tcp_sum_fold(fold_words(sum)) << 16);
	sl_store32(ip + 12, src);
	sl_store32(ip + 16, dst);
	return pseudo + both;
}

struct header {
	const struct sl_tuple *tuple;
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags;
	uint8_t opt_bytes; /* a multiple of 4 */
	uint32_t opt[10];  /* as on the wire */
};

/* Both headers in front of a payload of n bytes with that sum, beginning at l3. */
static void
put_headers(uint8_t *l3, const struct header *h, uint32_t n, uint32_t sum, unsigned offload)
{
	unsigned ip = ip_bytes(h->tuple), tcp = 20u + h->opt_bytes;
	uint8_t *l4 = l3 + ip;
	uint64_t pseudo = put_ip(l3, h->tuple, tcp + n);
	uint32_t ports = h->tuple->dport | (uint32_t)h->tuple->sport << 16;
	uint32_t seq = sl_to_be32(h->seq), ack = sl_to_be32(h->ack);
	uint32_t rest = sl_to_be32((uint32_t)tcp << 26 | (uint32_t)h->flags << 16 | h->wnd);
	uint64_t all = pseudo + sum + ports + seq + ack + rest;

	sl_store32(l4, ports);
	sl_store32(l4 + 4, seq);
	sl_store32(l4 + 8, ack);
	sl_store32(l4 + 12, rest);
	for (unsigned i = 0; i < h->opt_bytes / 4; i++) {
		sl_store32(l4 + 20 + 4 * i, h->opt[i]);
		all += h->opt[i];
	}
	uint16_t csum = offload & SL_OFFLOAD_CSUM ? sl_tcp_sum_fold(fold_words(pseudo))
						  : (uint16_t)~sl_tcp_sum_fold(fold_words(all));
	sl_store32(l4 + 16, csum); /* and the urgent pointer */
}

/* A packet without payload.  false: no buffer. */
static bool
send_bare(struct sl_tcp *t, const struct header *h)
{
	const struct sl_tcp_env *env = &t->conf.env;
	uint8_t *data;
	void *buf = env->alloc(env->ctx, &data);

	if (!buf) {
		sl_tcp_count(t, NO_BUFFER);
		return false;
	}
	put_headers(data + ETH, h, 0, 0, 0);
	sl_tcp_count(t, SEGS_OUT);
	env->send(env->ctx, &h->tuple->src, buf, data + ETH,
		  ip_bytes(h->tuple) + 20u + h->opt_bytes, 0, 0);
	return true;
}

void
sl_output_bare(struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t seq, uint32_t ack,
	       uint16_t wnd, uint8_t flags, const struct sl_tcp_options *o)
{
	struct header h = {.tuple = tuple, .seq = seq, .ack = ack, .wnd = wnd, .flags = flags};

	if (o)
		h.opt_bytes = (uint8_t)sl_options_write((uint8_t *)h.opt, o);
	(void)send_bare(t, &h);
}

/* ---- what a stream says in every segment ---- */

/* The window to tell.  Its right edge goes on by at least a segment or half of what there is (RFC 9293, 3.8.6.2.2).  It never
 * goes back but for what scaling cuts off: that is rounded up where there is room for it, and down where there is none, or
 * each acknowledgement of a byte would open the window by a little (RFC 7323, 2.4). */
static uint16_t
window(struct sl_tcp *t, struct sl_stream *s)
{
	uint32_t room = s->rcv_nxt + sl_recvq_window(t, s), edge = room;
	uint32_t step = SL_MIN(s->rcv_limit / 2, (uint32_t)s->row.mss);

	if (sl_seq_lt(edge, s->rcv_adv + step))
		edge = sl_seq_max(s->rcv_adv, s->rcv_nxt);
	uint32_t wnd = (edge - s->rcv_nxt + (1u << s->wscale_rcv) - 1) >> s->wscale_rcv;
	if (sl_seq_gt(s->rcv_nxt + (wnd << s->wscale_rcv), sl_seq_max(room, edge)))
		wnd--;
	wnd = SL_MIN(wnd, 65535u);
	s->rcv_adv = sl_seq_max(s->rcv_adv, s->rcv_nxt + (wnd << s->wscale_rcv));
	s->row.rcv_wnd = s->rcv_adv - s->rcv_nxt;
	return (uint16_t)wnd;
}

static void
put_options(const struct sl_tcp *t, const struct sl_stream *s, struct header *h, bool sacks)
{
	struct sl_tcp_options o;

	if (!sacks) {
		h->opt_bytes = s->row.flags & SL_STREAM_TS ? 12 : 0;
		h->opt[0] = sl_to_be32(0x0101080au);
		h->opt[1] = sl_to_be32(t->now_ms + s->ts_offset);
		h->opt[2] = sl_to_be32(s->ts_recent);
		return;
	}
	o = (struct sl_tcp_options){.has_ts = (s->row.flags & SL_STREAM_TS) != 0};
	o.ts_val = t->now_ms + s->ts_offset;
	o.ts_ecr = s->ts_recent;
	o.block_cnt = (uint8_t)sl_recvq_sacks(s, o.block);
	h->opt_bytes = (uint8_t)sl_options_write((uint8_t *)h->opt, &o);
}

/* The acknowledgement in this segment is the one that was owed. */
static void
ack_told(struct sl_stream *s)
{
	s->ack_sent = s->rcv_nxt;
	s->acks_owed = 0;
	s->flags &= ~(uint32_t)(SL_F_ACK_NOW | SL_F_ACK_LATER);
	sl_tcp_disarm(s, SL_T_ACK);
}

static inline void
fill(struct sl_tcp *t, struct sl_stream *s, uint32_t seq, uint8_t flags, bool sacks,
     struct header *ret)
{
	ret->tuple = &s->row.tuple;
	ret->seq = seq;
	ret->ack = s->rcv_nxt;
	ret->wnd = window(t, s);
	ret->flags = flags;
	put_options(t, s, ret, sacks);
}

/* There was no packet buffer: output looks again in a moment. */
static void
try_later(struct sl_tcp *t, struct sl_stream *s)
{
	s->flags = (s->flags & ~(uint32_t)SL_F_ACK_NOW) | SL_F_ACK_LATER;
	sl_tcp_arm(t, s, SL_T_ACK, 1000);
}

void
sl_output_ack(struct sl_tcp *t, struct sl_stream *s)
{
	struct header h;

	fill(t, s, s->row.snd_nxt, SL_TCP_ACK, s->ooo || (s->flags & SL_F_DSACK), &h);
	if (!send_bare(t, &h)) {
		try_later(t, s);
		return;
	}
	s->flags &= ~(uint32_t)SL_F_DSACK;
	ack_told(s);
}

/* A sequence number before what is expected: the peer answers with where it stands. */
void
sl_output_probe(struct sl_tcp *t, struct sl_stream *s)
{
	struct header h;

	fill(t, s, s->row.snd_una - 1, SL_TCP_ACK, false, &h);
	if (send_bare(t, &h))
		s->ack_sent = s->rcv_nxt;
}

void
sl_output_challenge(struct sl_tcp *t, struct sl_stream *s)
{
	uint8_t quarter = (uint8_t)(t->now_ms / 250 | 1);

	if (s->challenge_q == quarter || !sl_tcp_token(t, &t->challenge_ns, SL_CHALLENGE_PER_S)) {
		sl_tcp_count(t, CHALLENGE_LIMIT);
		return;
	}
	/* How many are left must not be countable from outside (CVE-2016-5696): each costs one to two tokens. */
	t->challenge_ns += sl_isn_mac(t, &s->row.tuple, SL_MAC_CHALLENGE ^ t->challenge_ns) %
			   (1000000000 / SL_CHALLENGE_PER_S);
	s->challenge_q = quarter;
	sl_tcp_count(t, CHALLENGE);
	sl_output_ack(t, s);
}

void
sl_output_rst(struct sl_tcp *t, struct sl_stream *s)
{
	struct header h = {.tuple = &s->row.tuple,
			   .seq = s->row.snd_nxt,
			   .ack = s->rcv_nxt,
			   .flags = SL_TCP_RST | SL_TCP_ACK};

	(void)send_bare(t, &h);
}

/* RFC 9293, 3.5.2 */
void
sl_output_rst_for(struct sl_tcp *t, const struct sl_segment *seg)
{
	struct header h = {.tuple = &seg->p->tuple};

	if (seg->flags & SL_TCP_RST)
		return;
	if (!sl_tcp_token(t, &t->rst_ns, SL_RST_PER_S)) {
		sl_tcp_count(t, RST_LIMIT);
		return;
	}
	if (seg->flags & SL_TCP_ACK) {
		h.seq = seg->ack;
		h.flags = SL_TCP_RST;
	} else {
		h.ack = seg->seq + seg->len + ((seg->flags & SL_TCP_SYN) != 0) +
			((seg->flags & SL_TCP_FIN) != 0);
		h.flags = SL_TCP_RST | SL_TCP_ACK;
	}
	sl_tcp_count(t, RST_SENT);
	(void)send_bare(t, &h);
}

void
sl_output_syn(struct sl_tcp *t, struct sl_stream *s)
{
	bool answer = s->row.state == SL_STREAM_SYN_RECEIVED;
	bool all = !(s->flags & SL_F_PASSIVE) && !answer;
	uint32_t wnd = SL_MIN(sl_recvq_window(t, s), 65535u);
	struct sl_tcp_options o = {
		.mss = (uint16_t)(s->pmtu - ip_bytes(&s->row.tuple) - 20),
		.has_wscale = all || (s->row.flags & SL_STREAM_WSCALE),
		.wscale = SL_WSCALE,
		.sack_ok = all || (s->row.flags & SL_STREAM_SACK),
		.has_ts = all || (s->row.flags & SL_STREAM_TS),
		.ts_val = t->now_ms + s->ts_offset,
		.ts_ecr = s->ts_recent,
	};

	sl_output_bare(t, &s->row.tuple, s->iss, answer ? s->rcv_nxt : 0, (uint16_t)wnd,
		       SL_TCP_SYN | (answer ? SL_TCP_ACK : 0), &o);
	if (answer) {
		s->rcv_adv = sl_seq_max(s->rcv_adv, s->rcv_nxt + wnd);
		s->ack_sent = s->rcv_nxt;
		s->row.rcv_wnd = wnd;
	}
}

/* ---- segments ---- */

static uint32_t
end_of(const struct sl_seg *seg)
{
	return seg->seq + seg->chunk.len + ((seg->flags & SL_SEG_FIN) != 0);
}

static uint32_t
sum_of(struct sl_seg *seg)
{
	if (!(seg->flags & SL_SEG_SUM)) {
		seg->sum = sl_tcp_sum(seg->chunk.data, seg->chunk.len);
		if (seg->kind == SL_SEG_IO)
			seg->flags |= SL_SEG_SUM;
	}
	return seg->sum;
}

/* From the buffer it lies in.  false: it cannot be. */
static bool
send_in_place(struct sl_tcp *t, const struct header *h, struct sl_seg *seg, unsigned bytes,
	      unsigned offload)
{
	const struct sl_tcp_env *env = &t->conf.env;

	if (seg->kind != SL_SEG_IO || env->refs(env->ctx, seg->owner) != 1)
		return false;
	uint8_t *l3 = seg->chunk.data - bytes;
	put_headers(l3, h, seg->chunk.len, offload & SL_OFFLOAD_CSUM ? 0 : sum_of(seg), offload);
	env->share(env->ctx, seg->owner);
	sl_tcp_count(t, ZERO_COPY);
	env->send(env->ctx, &h->tuple->src, seg->owner, l3, bytes + seg->chunk.len, offload, 0);
	return true;
}

static bool
send_copy(struct sl_tcp *t, const struct header *h, struct sl_seg *seg, unsigned bytes,
	  unsigned offload)
{
	const struct sl_tcp_env *env = &t->conf.env;
	uint32_t sum = 0, len = seg->chunk.len;
	uint8_t *data;
	void *buf = env->alloc(env->ctx, &data);

	if (!buf) {
		sl_tcp_count(t, NO_BUFFER);
		return false;
	}
	if (len && (offload & SL_OFFLOAD_CSUM))
		memcpy(data + ETH + bytes, seg->chunk.data, len);
	else if (len)
		sum = sl_tcp_copy_sum(data + ETH + bytes, seg->chunk.data, len);
	put_headers(data + ETH, h, len, sum, offload);
	t->count[SL_TCP_COPIED] += len > 0;
	env->send(env->ctx, &h->tuple->src, buf, data + ETH, bytes + len, offload, 0);
	return true;
}

/* Sends seg, for the first time or again.  false: no buffer, try later. */
static bool
transmit(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg, bool again, unsigned offload)
{
	uint8_t flags = SL_TCP_ACK;
	struct header h;

	if (seg->chunk.len && ((seg->flags & SL_SEG_PSH) || !seg->next))
		flags |= SL_TCP_PSH;
	if (seg->flags & SL_SEG_FIN)
		flags |= SL_TCP_FIN;
	fill(t, s, seg->seq, flags, false, &h);
	unsigned bytes = ip_bytes(h.tuple) + 20u + h.opt_bytes;
	if (!send_in_place(t, &h, seg, bytes, offload) && !send_copy(t, &h, seg, bytes, offload))
		return false;
	sl_tcp_count(t, SEGS_OUT);
	ack_told(s);
	if (!again) {
		s->sq_next = seg->next;
		s->row.snd_nxt = end_of(seg);
	}
	sl_loss_sent(t, s, seg, again);
	return true;
}

/* Cuts seg to n bytes of payload where it has more.  false: no memory. */
static bool
cut(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg, uint32_t n)
{
	if (seg->chunk.len <= n)
		return true;
	s->sq_charge -= sl_mem_charge(seg);
	struct sl_seg *rest = sl_mem_split(t, seg, n);
	s->sq_charge += sl_mem_charge(seg);
	if (!rest)
		return false;
	s->sq_charge += sl_mem_charge(rest);
	if (s->sq_tail == seg)
		s->sq_tail = rest;
	return true;
}

/* Little pieces that wait together go together: what was cut off a segment that came larger than ours are, and small writes.
 * Pieces of a good size are not worth a copy.  Without memory they go as they are. */
static void
gather(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg)
{
	struct sl_seg *next = seg->next;
	uint32_t room = SL_MIN((uint32_t)s->row.mss, (uint32_t)SL_BLOCK_ROOM);

	if (!next || seg->chunk.len == 0 || next->chunk.len == 0 || seg->chunk.len >= room / 4)
		return;
	struct sl_block *b = sl_mem_block(t);
	if (!b)
		return;
	uint32_t n = seg->chunk.len;
	memcpy(sl_mem_block_data(b), seg->chunk.data, n);
	s->sq_charge -= sl_mem_charge(seg);
	sl_mem_seg_rehouse(t, seg, b);
	while (next && n < room && next->chunk.len > 0) {
		uint32_t more = SL_MIN(room - n, next->chunk.len);
		if (more < next->chunk.len && !cut(t, s, next, more))
			break;
		memcpy(sl_mem_block_data(b) + n, next->chunk.data, more);
		n += more;
		seg->flags |= next->flags & (SL_SEG_FIN | SL_SEG_PSH);
		seg->next = next->next;
		if (s->sq_tail == next)
			s->sq_tail = seg;
		s->sq_charge -= sl_mem_charge(next);
		sl_mem_seg_free(t, next);
		next = seg->flags & SL_SEG_FIN ? NULL : seg->next;
	}
	b->used = n;
	seg->chunk.len = n;
	s->sq_charge += sl_mem_charge(seg);
}

static bool
send_lost(struct sl_tcp *t, struct sl_stream *s, unsigned offload)
{
	bool sent = false;

	while (sl_loss_allowance(s) > 0) {
		struct sl_seg *seg = sl_loss_next(s);
		if (!seg || !cut(t, s, seg, s->row.mss) || !transmit(t, s, seg, true, offload))
			break;
		sent = true;
	}
	return sent;
}

/* Whether small segments wait for an acknowledgement, and for more to be written. */
static bool
nagle_holds(const struct sl_stream *s, const struct sl_seg *seg)
{
	return !(s->flags & SL_F_NODELAY) && seg->chunk.len < s->row.mss && !seg->next &&
	       !(seg->flags & SL_SEG_FIN) && s->row.snd_nxt != s->row.snd_una;
}

/* How much of the next new segment may be sent by the peer's window: all, a part worth sending, or 0. */
static uint32_t
window_lets(const struct sl_stream *s, const struct sl_seg *seg, bool forced)
{
	uint32_t wanted = SL_MIN(seg->chunk.len, (uint32_t)s->row.mss);
	int32_t left = (int32_t)(s->row.snd_una + s->row.snd_wnd - s->row.snd_nxt);

	if (seg->chunk.len == 0)
		return left > 0;
	if (left >= (int32_t)wanted)
		return wanted;
	if (left <= 0)
		return 0;
	uint32_t worth = SL_MIN((uint32_t)s->row.mss, s->snd_wnd_max / 2);
	return forced || (uint32_t)left >= worth ? (uint32_t)left : 0;
}

static bool
send_new(struct sl_tcp *t, struct sl_stream *s, unsigned offload)
{
	struct sl_seg *seg;
	bool sent = false;

	while ((seg = s->sq_next)) {
		gather(t, s, seg);
		uint32_t n = window_lets(s, seg, false), way = sl_loss_allowance(s);
		if (n == 0 || way == 0 || (way < n && s->row.snd_nxt != s->row.snd_una) ||
		    nagle_holds(s, seg))
			break;
		if (!cut(t, s, seg, n) || !transmit(t, s, seg, false, offload))
			break;
		sent = true;
	}
	return sent;
}

/* The last segment under way that is not known to have arrived. */
static struct sl_seg *
last_out(const struct sl_stream *s)
{
	struct sl_seg *last = NULL;

	for (struct sl_seg *seg = s->sq_head; seg != s->sq_next; seg = seg->next)
		if (!(seg->flags & SL_SEG_SACKED))
			last = seg;
	return last;
}

/* One segment past the congestion window: new if the window lets it, else the last one again; to a closed window a question. */
static bool
send_probe(struct sl_tcp *t, struct sl_stream *s, unsigned offload)
{
	struct sl_seg *seg = s->sq_next;

	s->flags &= ~(uint32_t)SL_F_PROBE;
	if (seg) {
		uint32_t n = window_lets(s, seg, true);
		if (n && cut(t, s, seg, n))
			return transmit(t, s, seg, false, offload);
	}
	seg = last_out(s);
	if (seg)
		return transmit(t, s, seg, true, offload);
	sl_output_probe(t, s);
	return false;
}

/* Nothing is under way, and what is to be sent cannot be: the window has to be asked for. */
static void
rearm_persist(struct sl_tcp *t, struct sl_stream *s)
{
	if (!s->sq_next || s->row.snd_una != s->row.snd_nxt || s->due[SL_T_PERSIST])
		return;
	uint64_t us = (uint64_t)SL_MAX(s->loss.rto_us, SL_PERSIST_MIN_US) << SL_MIN(s->probes, 10);
	sl_tcp_arm(t, s, SL_T_PERSIST, SL_MIN(us, (uint64_t)SL_RTO_MAX_US));
}

void
sl_output(struct sl_tcp *t, struct sl_stream *s)
{
	uint64_t starved = t->count[SL_TCP_NO_BUFFER];
	bool sent = false;

	if (s->row.state < SL_STREAM_ESTABLISHED) {
		s->flags &= ~(uint32_t)(SL_F_ACK_NOW | SL_F_ACK_LATER); /* SYN+ACKs say it */
		return;
	}
	if (s->sq_head) {
		unsigned offload = t->conf.env.way(t->conf.env.ctx, &s->row.tuple.src).offload &
				   SL_OFFLOAD_CSUM;
		if (s->sq_next && s->row.snd_una == s->row.snd_nxt)
			sl_loss_idle(t, s);
		sent = send_lost(t, s, offload);
		sent |= send_new(t, s, offload);
		/* What leaves anyway asks as well. */
		if ((s->flags & SL_F_PROBE) && !sent)
			sent = send_probe(t, s, offload);
	}
	s->flags &= ~(uint32_t)SL_F_PROBE;
	if ((s->flags & SL_F_ACK_NOW) || (sent && (s->ooo || (s->flags & SL_F_DSACK))))
		sl_output_ack(t, s);
	if (sl_unlikely(t->count[SL_TCP_NO_BUFFER] != starved))
		try_later(t, s);
	sl_loss_rearm(t, s);
	rearm_persist(t, s);
}

void
sl_sendq_clear(struct sl_tcp *t, struct sl_stream *s)
{
	while (s->sq_head) {
		struct sl_seg *seg = s->sq_head;
		s->sq_head = seg->next;
		sl_mem_seg_free(t, seg);
	}
	s->sq_tail = s->sq_next = NULL;
	s->sent_first = NULL;
	s->sent_last = &s->sent_first;
	s->sq_charge = 0;
}
