/* stream — the queues as users see them (filter.h's sl_raw_*; stream.h's functions, which ask for a filter first, are in filter.c).
 *
 *   peer → rq_head … rq_tail → consume, take, forward
 *   write, commit, give, forward → sq_tail;  sq_next: first not sent;  sq_head: first not acknowledged → peer
 *
 * What is written is put into blocks, at most one segment's worth each, so that it is copied once more at most: into the
 * packet.  What is forwarded changes its queue. */
#include "dataplane/tcp/tcp_priv.h"

#define ROOM_MIN 65536u

static struct sl_tcp *
stack_of(const struct sl_stream *s)
{
	return s->tcp;
}

struct sl_tcp *
sl_stream_tcp(const struct sl_stream *s)
{
	return stack_of(s);
}

const struct sl_stream_row *
sl_stream_row(const struct sl_stream *s)
{
	return &s->row;
}

void
sl_stream_label(struct sl_stream *s, uint32_t listener_slot, uint32_t service_slot,
		uint32_t endpoint_slot, uint16_t incarnation, struct sl_stream *partner)
{
	s->row.listener_slot = listener_slot;
	s->row.service_slot = service_slot;
	s->row.endpoint_slot = endpoint_slot;
	s->row.incarnation = incarnation;
	s->row.partner = partner ? sl_tcp_place(stack_of(s), partner) : UINT32_MAX;
}

/* ---- reading ---- */

uint32_t
sl_raw_readable_bytes(const struct sl_stream *s)
{
	return s->row.rcv_queue;
}

unsigned
sl_raw_peek(struct sl_stream *s, uint32_t skip, struct sl_span *spans, unsigned max)
{
	unsigned n = 0;

	for (struct sl_seg *seg = s->rq_head; seg && n < max; seg = seg->next) {
		if (skip >= seg->chunk.len) {
			skip -= seg->chunk.len;
			continue;
		}
		spans[n++] = (struct sl_span){seg->chunk.data + skip, seg->chunk.len - skip};
		skip = 0;
	}
	return n;
}

void
sl_raw_touched(struct sl_stream *s, uint32_t n)
{
	for (struct sl_seg *seg = s->rq_head; seg && n > 0; seg = seg->next) {
		seg->flags &= (uint8_t)~SL_SEG_SUM;
		n -= SL_MIN(n, seg->chunk.len);
	}
}

/* Takes the first segment out of the receive queue. */
static struct sl_seg *
pop(struct sl_stream *s)
{
	struct sl_seg *seg = s->rq_head;

	s->rq_head = seg->next;
	if (!s->rq_head)
		s->rq_tail = NULL;
	seg->next = NULL;
	s->rcv_charge -= sl_mem_charge(seg);
	s->row.rcv_queue -= seg->chunk.len;
	return seg;
}

/* Cuts n bytes off the beginning of the first segment. */
static void
cut_head(struct sl_stream *s, uint32_t n)
{
	struct sl_seg *seg = s->rq_head;

	s->rcv_charge -= sl_mem_charge(seg);
	seg->chunk.data += n;
	seg->chunk.len -= n;
	seg->flags &= (uint8_t)~SL_SEG_SUM;
	s->rcv_charge += sl_mem_charge(seg);
	s->row.rcv_queue -= n;
}

void
sl_raw_consume(struct sl_stream *s, uint32_t n)
{
	struct sl_tcp *t = stack_of(s);
	uint32_t left = n;

	SL_ASSERT(n <= s->row.rcv_queue);
	while (left > 0 && s->rq_head->chunk.len <= left) {
		struct sl_seg *seg = pop(s);
		left -= seg->chunk.len;
		sl_mem_seg_free(t, seg);
	}
	if (left > 0)
		cut_head(s, left);
	sl_recvq_popped(t, s, n);
}

bool
sl_raw_eof(const struct sl_stream *s)
{
	return (s->flags & SL_F_FIN_IN) && !s->rq_head;
}

bool
sl_raw_ending(const struct sl_stream *s)
{
	return s->flags & SL_F_FIN_IN;
}

/* ---- writing ---- */

bool
sl_raw_may_write(const struct sl_stream *s)
{
	return !(s->flags & (SL_F_SHUT | SL_F_DEAD)) &&
	       (s->row.state == SL_STREAM_ESTABLISHED || s->row.state == SL_STREAM_CLOSE_WAIT);
}

/* Twice the congestion window, so that a round trip's worth waits while another is under way. */
static uint32_t
send_limit(const struct sl_tcp *t, const struct sl_stream *s)
{
	uint32_t max = SL_MIN(t->conf.snd_max, t->may_hold);
	uint64_t wanted = SL_MAX(2ull * s->row.cwnd, (uint64_t)ROOM_MIN);

	return wanted < max ? (uint32_t)wanted : max;
}

uint32_t
sl_raw_room(const struct sl_stream *s)
{
	const struct sl_tcp *t = stack_of(s);

	if (!sl_raw_may_write(s))
		return 0;
	uint32_t limit = send_limit(t, s), queued = s->row.snd_end - s->row.snd_una;
	if (queued >= limit || s->sq_charge >= 4ull * limit)
		return 0;
	return limit - queued;
}

void
sl_raw_wait_room(struct sl_stream *s, uint32_t n)
{
	struct sl_tcp *t = stack_of(s);

	s->flags &= ~(uint32_t)SL_F_WAIT_ROOM;
	if (n == 0 || !sl_raw_may_write(s))
		return;
	s->want_room = n;
	bool lacking = !t->mem.block_free || !t->mem.seg_free;
	if (!lacking && sl_raw_room(s) >= SL_MIN(n, send_limit(t, s) / 2)) {
		sl_tcp_event(t, s, SL_F_EV_WRITE);
		return;
	}
	s->flags |= SL_F_WAIT_ROOM;
	/* Acknowledgements bring room; where none can come, memory is what was missing. */
	if (s->row.snd_end == s->row.snd_una)
		sl_tcp_arm(t, s, SL_T_PERSIST, 10000);
}

static void
append(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg)
{
	seg->seq = s->row.snd_end;
	seg->next = NULL;
	if (s->sq_tail)
		s->sq_tail->next = seg;
	else
		s->sq_head = seg;
	s->sq_tail = seg;
	if (!s->sq_next)
		s->sq_next = seg;
	s->sq_charge += sl_mem_charge(seg);
	s->row.snd_end += seg->chunk.len + ((seg->flags & SL_SEG_FIN) != 0);
	sl_tcp_dirty(t, s);
}

/* Bytes that the last segment can still take: it lies at the end of what is used of a block of its own, and was not sent. */
static uint32_t
tail_room(const struct sl_stream *s)
{
	const struct sl_seg *seg = s->sq_tail;

	if (!seg || seg->kind != SL_SEG_BLOCK || (seg->flags & (SL_SEG_SENT | SL_SEG_FIN)) ||
	    seg->chunk.len >= s->row.mss)
		return 0;
	struct sl_block *b = seg->owner;
	if (b->refs != 1 || seg->chunk.data + seg->chunk.len != sl_mem_block_data(b) + b->used)
		return 0;
	return SL_MIN(s->row.mss - seg->chunk.len, SL_BLOCK_ROOM - b->used);
}

static void
unreserve(struct sl_tcp *t)
{
	while (t->reserved) {
		struct sl_seg *seg = t->reserved;
		t->reserved = seg->next;
		sl_mem_seg_free(t, seg);
	}
	t->reserved_tail = 0;
}

unsigned
sl_raw_reserve(struct sl_stream *s, uint32_t n, struct sl_span *spans, unsigned max)
{
	struct sl_tcp *t = stack_of(s);
	struct sl_seg **at = &t->reserved;
	unsigned cnt = 0;

	unreserve(t);
	n = SL_MIN(n, sl_raw_room(s));
	uint32_t tail = SL_MIN(tail_room(s), n);
	if (tail && max > 0) {
		spans[cnt++] =
			(struct sl_span){s->sq_tail->chunk.data + s->sq_tail->chunk.len, tail};
		t->reserved_tail = tail;
		n -= tail;
	}
	while (n > 0 && cnt < max) {
		struct sl_seg *seg = sl_mem_block_seg(t);
		if (!seg)
			break;
		uint32_t len = SL_MIN(n, SL_MIN((uint32_t)s->row.mss, (uint32_t)SL_BLOCK_ROOM));
		*at = seg;
		at = &seg->next;
		seg->reserve = (uint16_t)len; /* as reserved */
		spans[cnt++] = (struct sl_span){seg->chunk.data, len};
		n -= len;
	}
	return cnt;
}

static void
lengthen_tail(struct sl_tcp *t, struct sl_stream *s, uint32_t n)
{
	struct sl_seg *seg = s->sq_tail;

	s->sq_charge -= sl_mem_charge(seg);
	seg->chunk.len += n;
	seg->flags = (uint8_t)((seg->flags & ~SL_SEG_SUM) | SL_SEG_PSH);
	((struct sl_block *)seg->owner)->used += n;
	s->sq_charge += sl_mem_charge(seg);
	s->row.snd_end += n;
	sl_tcp_dirty(t, s);
}

void
sl_raw_commit(struct sl_stream *s, uint32_t n)
{
	struct sl_tcp *t = stack_of(s);
	uint32_t tail = SL_MIN(n, t->reserved_tail);

	if (tail)
		lengthen_tail(t, s, tail);
	n -= tail;
	while (n > 0 && t->reserved) {
		struct sl_seg *seg = t->reserved;
		uint32_t len = SL_MIN(n, (uint32_t)seg->reserve);
		t->reserved = seg->next;
		seg->reserve = 0;
		seg->chunk.len = len;
		seg->flags |= SL_SEG_PSH;
		((struct sl_block *)seg->owner)->used = len;
		append(t, s, seg);
		n -= len;
	}
	unreserve(t);
}

uint32_t
sl_raw_write(struct sl_stream *s, const void *bytes, uint32_t n)
{
	const uint8_t *from = bytes;
	struct sl_span spans[16];
	uint32_t done = 0;

	while (done < n) {
		unsigned cnt = sl_raw_reserve(s, n - done, spans, SL_ARRAY_CNT(spans));
		uint32_t now = 0;
		for (unsigned i = 0; i < cnt; i++) {
			memcpy(spans[i].data, from + done + now, spans[i].len);
			now += spans[i].len;
		}
		if (now == 0)
			break;
		sl_raw_commit(s, now);
		done += now;
	}
	return done;
}

/* ---- bytes that change hands ---- */

static struct sl_seg *
take(struct sl_tcp *t, struct sl_stream *s, uint32_t max)
{
	struct sl_seg *seg = s->rq_head;

	if (!seg || max == 0)
		return NULL;
	if (seg->chunk.len > max) {
		s->rcv_charge -= sl_mem_charge(seg);
		struct sl_seg *rest = sl_mem_split(t, seg, max);
		s->rcv_charge += sl_mem_charge(seg);
		if (!rest)
			return NULL;
		s->rcv_charge += sl_mem_charge(rest);
		if (s->rq_tail == seg)
			s->rq_tail = rest;
	}
	return pop(s);
}

struct sl_chunk *
sl_raw_take(struct sl_stream *s, uint32_t max)
{
	struct sl_seg *seg = take(stack_of(s), s, max);

	if (!seg)
		return NULL;
	stack_of(s)->mem.taken++;
	sl_recvq_popped(stack_of(s), s, seg->chunk.len);
	return &seg->chunk;
}

void
sl_raw_give(struct sl_tcp *t, struct sl_stream *s, struct sl_seg *seg)
{
	if (!sl_raw_may_write(s)) {
		sl_mem_seg_free(t, seg);
		return;
	}
	seg->flags = (uint8_t)((seg->flags & SL_SEG_SUM) | SL_SEG_PSH);
	append(t, s, seg);
}

uint32_t
sl_raw_forward(struct sl_stream *from, struct sl_stream *to, uint32_t n)
{
	struct sl_tcp *t = stack_of(from);
	uint32_t done = 0;

	while (done < n && from->rq_head && sl_raw_room(to) > 0) {
		struct sl_seg *seg = take(t, from, n - done);
		if (!seg)
			break;
		done += seg->chunk.len;
		sl_raw_give(t, to, seg);
	}
	if (done)
		sl_recvq_popped(t, from, done);
	return done;
}

/* ---- behaviour ---- */

void
sl_stream_set_nodelay(struct sl_stream *s, bool on)
{
	if (on)
		s->flags |= SL_F_NODELAY;
	else
		s->flags &= ~(uint32_t)SL_F_NODELAY;
	sl_tcp_dirty(stack_of(s), s);
}

void
sl_stream_set_keepalive(struct sl_stream *s, uint16_t idle_s, uint8_t interval_s, uint8_t cnt)
{
	s->keepalive_s = idle_s;
	s->keepalive_each_s = SL_MAX(interval_s, 1);
	s->keepalive_cnt = SL_MAX(cnt, 1);
	if (idle_s && s->row.state >= SL_STREAM_ESTABLISHED)
		sl_tcp_arm(stack_of(s), s, SL_T_SLOW, idle_s * 1000000ull);
}

void
sl_stream_set_cc(struct sl_stream *s, uint8_t cc)
{
	s->row.cc = cc;
}

void
sl_stream_set_timer(struct sl_stream *s, uint32_t ms)
{
	s->flags &= ~(uint32_t)SL_F_EV_TIMER; /* one whose time has come, and was not told yet */
	if (ms == 0 || (s->flags & (SL_F_DEAD | SL_F_FILTER)) == SL_F_DEAD)
		sl_tcp_disarm(s, SL_T_USER);
	else
		sl_tcp_arm(stack_of(s), s, SL_T_USER, ms * 1000ull);
}

uint32_t
sl_stream_idle_ms(const struct sl_stream *s)
{
	return stack_of(s)->now_ms - s->active_ms;
}

/* ---- ending ---- */

void
sl_raw_shutdown(struct sl_stream *s)
{
	struct sl_tcp *t = stack_of(s);
	struct sl_seg *tail = s->sq_tail;

	if (!sl_raw_may_write(s))
		return;
	if (tail && !(tail->flags & SL_SEG_SENT)) {
		tail->flags |= SL_SEG_FIN;
		s->row.snd_end++;
		sl_tcp_dirty(t, s);
	} else {
		struct sl_seg *fin = sl_mem_seg(t);
		if (!fin) {
			sl_output_rst(t, s);
			sl_tcp_end(t, s, SL_END_NO_MEMORY);
			return;
		}
		fin->flags = SL_SEG_FIN;
		append(t, s, fin);
	}
	s->flags |= SL_F_SHUT;
	s->row.state =
		s->row.state == SL_STREAM_ESTABLISHED ? SL_STREAM_FIN_WAIT_1 : SL_STREAM_LAST_ACK;
}

void
sl_raw_close(struct sl_stream *s)
{
	struct sl_tcp *t = stack_of(s);

	if (s->flags & SL_F_DEAD) {
		s->flags |= SL_F_LET_GO;
		return;
	}
	if (s->rq_head || s->ooo || s->row.state <= SL_STREAM_SYN_RECEIVED) {
		sl_raw_abort(s, SL_END_ABORTED);
		return;
	}
	sl_raw_shutdown(s);
	s->flags |= SL_F_LET_GO;
	s->flags &= ~(uint32_t)(SL_F_WAIT_ROOM);
	sl_tcp_disarm(s, SL_T_USER);
	if (!(s->flags & SL_F_DEAD))
		sl_tcp_arm(t, s, SL_T_SLOW, SL_FIN_WAIT2_MS * 1000ull);
}

void
sl_raw_abort(struct sl_stream *s, enum sl_stream_end why)
{
	struct sl_tcp *t = stack_of(s);

	s->flags |= SL_F_LET_GO;
	if (s->flags & SL_F_DEAD)
		return;
	if (s->row.state >= SL_STREAM_SYN_RECEIVED)
		sl_output_rst(t, s);
	sl_tcp_end(t, s, why);
}
