/* recvq — bytes that arrived: in order (rq), and out of order (ooo), with what SACK says of these.
 *
 *   rcv_nxt ▼                    ┌ ooo: sorted, disjoint, gaps between
 *   ── rq ──│·····│ seg │···│ seg │ seg │·····▕ rcv_adv
 *
 * Small payloads are copied together into blocks, large ones stay in the buffer they came in (sl_mem_may_pin).  Bytes that are
 * there already are never replaced. */
#include "dataplane/tcp/tcp_priv.h"

#define SMALL 256u /* bytes of payload that are copied rather than pinned (design.md section 3) */

/* ---- keeping payload ---- */

/* Whether seg's bytes were put behind the last ones in their block. */
static bool
squeeze(struct sl_seg *last, const struct sl_segment *seg)
{
	if (!last || last->kind != SL_SEG_BLOCK || (last->flags & SL_SEG_FIN))
		return false;
	struct sl_block *b = last->owner;
	if (b->refs != 1 || last->chunk.data + last->chunk.len != sl_mem_block_data(b) + b->used ||
	    SL_BLOCK_ROOM - b->used < seg->len)
		return false;
	memcpy(last->chunk.data + last->chunk.len, seg->data, seg->len);
	last->chunk.len += seg->len;
	last->flags &= (uint8_t)~SL_SEG_SUM;
	b->used += seg->len;
	return true;
}

static struct sl_seg *
copy(struct sl_tcp *t, struct sl_segment *from, uint32_t n)
{
	struct sl_seg *seg = sl_mem_block_seg(t);

	if (!seg)
		return NULL;
	((struct sl_block *)seg->owner)->used = n;
	seg->chunk.len = n;
	memcpy(seg->chunk.data, from->data, n);
	return seg;
}

static struct sl_seg *
pin(struct sl_tcp *t, struct sl_segment *from)
{
	struct sl_seg *seg = sl_mem_seg(t);

	if (!seg)
		return NULL;
	t->mem.pinned++;
	seg->kind = SL_SEG_IO;
	seg->owner = from->p->buf;
	seg->chunk = (struct sl_chunk){from->data, from->len};
	if (from->has_sum) {
		seg->sum = from->sum;
		seg->flags |= SL_SEG_SUM;
	}
	from->p->buf = NULL;
	return seg;
}

/* The payload of `from` (len ≥ 1) as one segment or several, joined by next; NULL: no memory, nothing kept. */
static struct sl_seg *
keep(struct sl_tcp *t, const struct sl_stream *s, struct sl_segment *from)
{
	bool heavy = s->rcv_charge > 2 * s->rcv_limit;

	if (from->len >= SMALL && from->p->buf && !heavy && sl_mem_may_pin(t))
		return pin(t, from);
	struct sl_seg *first = NULL, **at = &first;
	for (struct sl_segment rest = *from; rest.len > 0;) {
		uint32_t n = SL_MIN(rest.len, (uint32_t)SL_BLOCK_ROOM);
		*at = copy(t, &rest, n);
		if (!*at) {
			while (first) {
				struct sl_seg *gone = first;
				first = gone->next;
				sl_mem_seg_free(t, gone);
			}
			return NULL;
		}
		(*at)->seq = rest.seq;
		at = &(*at)->next;
		rest.data += n;
		rest.seq += n;
		rest.len -= n;
	}
	return first;
}

/* What was offered may be used, but for streams whose bytes hold far more memory than they are. */
static bool
too_heavy(const struct sl_tcp *t, const struct sl_stream *s)
{
	return s->rcv_charge > 4ull * SL_MIN(s->rcv_limit, t->may_hold);
}

/* The last eighth is for what is in order, and for what is written: splinters of many peers would take it else. */
static bool
is_scarce(const struct sl_tcp *t)
{
	const struct sl_tcp_conf *c = &t->conf;

	return t->mem.block_used >= c->block_cnt - c->block_cnt / 8 ||
	       t->mem.seg_used >= c->seg_cnt - c->seg_cnt / 8;
}

/* ---- in order ---- */

static void
enqueue(struct sl_stream *s, struct sl_seg *seg)
{
	seg->next = NULL;
	if (s->rq_tail)
		s->rq_tail->next = seg;
	else
		s->rq_head = seg;
	s->rq_tail = seg;
	s->row.rcv_queue += seg->chunk.len;
	s->rcv_nxt += seg->chunk.len;
	s->row.bytes_in += seg->chunk.len;
}

static void
take_fin(struct sl_stream *s)
{
	s->rcv_nxt++;
	s->flags |= SL_F_FIN_IN;
}

/* ---- SACK ---- */

/* Puts [from, to), with what it touches, first. */
static void
note_block(struct sl_ooo *o, uint32_t from, uint32_t to)
{
	uint32_t cnt = 0;
	struct sl_sack_block kept[4];

	for (uint32_t i = 0; i < o->block_cnt; i++) {
		struct sl_sack_block b = o->block[i];
		if (sl_seq_le(b.from, to) && sl_seq_le(from, b.to)) {
			from = sl_seq_min(from, b.from);
			to = sl_seq_max(to, b.to);
		} else if (cnt < 3) {
			kept[cnt++] = b;
		}
	}
	o->block[0] = (struct sl_sack_block){from, to};
	memcpy(&o->block[1], kept, cnt * sizeof(kept[0]));
	o->block_cnt = cnt + 1;
}

/* Drops blocks that were reached. */
static void
trim_blocks(struct sl_ooo *o, uint32_t rcv_nxt)
{
	uint32_t cnt = 0;

	for (uint32_t i = 0; i < o->block_cnt; i++)
		if (sl_seq_gt(o->block[i].from, rcv_nxt))
			o->block[cnt++] = o->block[i];
	o->block_cnt = cnt;
}

static void
note_duplicate(struct sl_stream *s, uint32_t from, uint32_t to)
{
	if (!(s->row.flags & SL_STREAM_SACK))
		return;
	s->dsack_from = from;
	s->dsack_to = to;
	s->flags |= SL_F_DSACK;
}

unsigned
sl_recvq_sacks(const struct sl_stream *s, struct sl_sack_block ret[4])
{
	const struct sl_ooo *o = s->ooo;
	uint32_t cnt = o ? o->block_cnt : 0, holds = cnt;
	unsigned n = 0;

	if (!(s->row.flags & SL_STREAM_SACK))
		return 0;
	if (s->flags & SL_F_DSACK) {
		ret[n++] = (struct sl_sack_block){s->dsack_from, s->dsack_to};
		/* RFC 2883, 4: the block that it lies in comes next */
		for (uint32_t i = 0; i < cnt && holds == cnt; i++)
			if (sl_seq_le(o->block[i].from, s->dsack_from) &&
			    sl_seq_ge(o->block[i].to, s->dsack_to))
				ret[n++] = o->block[holds = i];
	}
	for (uint32_t i = 0; i < cnt && n < 4; i++)
		if (i != holds)
			ret[n++] = o->block[i];
	return n;
}

/* ---- out of order ---- */

static uint32_t
end_of(const struct sl_seg *seg)
{
	return seg->seq + seg->chunk.len + ((seg->flags & SL_SEG_FIN) != 0);
}

static void
free_ooo(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_ooo *o = s->ooo;

	if (!o)
		return;
	for (struct sl_seg *seg = o->head; seg;) {
		struct sl_seg *next = seg->next;
		s->rcv_charge -= sl_mem_charge(seg);
		sl_mem_seg_free(t, seg);
		seg = next;
	}
	memset(o, 0, sizeof(*o));
	sl_mem_seg_free(t, (struct sl_seg *)o);
	s->ooo = NULL;
	s->row.ooo = 0;
}

/* Where [seq, end) goes: behind *ret_prev (NULL: first).  Cuts it to its first gap: false: all of it is there. */
static bool
fit(struct sl_ooo *o, uint32_t *seq, uint32_t *end, struct sl_seg **ret_prev)
{
	struct sl_seg *prev = NULL, *next = o->head;

	if (o->tail && sl_seq_ge(*seq, o->tail->seq)) {
		prev = o->tail;
		next = NULL;
	}
	if (prev && sl_seq_lt(*seq, end_of(prev)))
		*seq = end_of(prev);
	while (next && sl_seq_le(next->seq, *seq)) {
		prev = next;
		next = next->next;
		*seq = sl_seq_max(*seq, end_of(prev));
	}
	if (next && sl_seq_gt(*end, next->seq))
		*end = next->seq;
	*ret_prev = prev;
	return sl_seq_lt(*seq, *end);
}

static void
link_ooo(struct sl_stream *s, struct sl_seg *prev, struct sl_seg *seg)
{
	struct sl_ooo *o = s->ooo;

	seg->next = prev ? prev->next : o->head;
	if (prev)
		prev->next = seg;
	else
		o->head = seg;
	if (!seg->next)
		o->tail = seg;
	o->cnt++;
	o->bytes += seg->chunk.len;
	s->row.ooo += seg->chunk.len;
	s->rcv_charge += sl_mem_charge(seg);
}

/* The block that holds seq is told of again. */
static void
note_run(struct sl_ooo *o, uint32_t seq)
{
	uint32_t from = 0, to = 0;

	for (const struct sl_seg *seg = o->head; seg && sl_seq_le(seg->seq, seq); seg = seg->next) {
		from = seg != o->head && seg->seq == to ? from : seg->seq;
		to = end_of(seg);
		while (sl_seq_gt(to, seq) && seg->next && seg->next->seq == to) {
			seg = seg->next;
			to = end_of(seg);
		}
	}
	if (sl_seq_gt(to, seq))
		note_block(o, from, to);
}

static bool
out_of_order(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *in, bool fin)
{
	uint32_t from = in->seq, end = in->seq + in->len + fin, text_end = in->seq + in->len;
	struct sl_seg *prev;

	if (!s->ooo) {
		s->ooo = (struct sl_ooo *)sl_mem_seg(t);
		if (!s->ooo)
			goto no_memory;
	}
	if (s->ooo->cnt >= SL_OOO_SEGS || too_heavy(t, s) || is_scarce(t)) {
		sl_tcp_count(t, OOO_LIMIT);
		goto not_kept;
	}
	if (!fit(s->ooo, &from, &end, &prev)) {
		sl_tcp_count(t, OLD_DATA);
		note_duplicate(s, in->seq, text_end + fin);
		note_run(s->ooo, in->seq);
		return false;
	}
	/* nothing lies behind a FIN: what came first is believed */
	const struct sl_seg *last = s->ooo->tail;
	if ((prev && (prev->flags & SL_SEG_FIN)) ||
	    (fin && last && sl_seq_gt(last->seq + last->chunk.len, text_end))) {
		sl_tcp_count(t, BAD_SEQ);
		return false;
	}
	fin = fin && end == text_end + 1;
	text_end = fin ? end - 1 : end;
	in->data += from - in->seq;
	in->has_sum = in->has_sum && from == in->seq && text_end - from == in->len;
	in->seq = from;
	in->len = text_end - from;
	struct sl_seg *seg = in->len ? keep(t, s, in) : sl_mem_seg(t);
	if (!seg)
		goto no_memory;
	seg->seq = from;
	for (struct sl_seg *next; seg; seg = next) {
		next = seg->next;
		if (!next && fin)
			seg->flags |= SL_SEG_FIN;
		link_ooo(s, prev, seg);
		prev = seg;
	}
	note_block(s->ooo, from, end);
	return true;
no_memory:
	sl_tcp_count(t, MEMORY_LIMIT);
not_kept:
	if (s->ooo && !s->ooo->head)
		free_ooo(t, s);
	return false;
}

/* What of ooo has been reached joins rq. */
static void
join(struct sl_tcp *t, struct sl_stream *s)
{
	struct sl_ooo *o = s->ooo;

	while (o->head && sl_seq_le(o->head->seq, s->rcv_nxt) && !(s->flags & SL_F_FIN_IN)) {
		struct sl_seg *seg = o->head;
		uint32_t cut = s->rcv_nxt - seg->seq;
		bool fin = seg->flags & SL_SEG_FIN;
		o->head = seg->next;
		if (!o->head)
			o->tail = NULL;
		o->cnt--;
		o->bytes -= seg->chunk.len;
		s->row.ooo -= seg->chunk.len;
		s->rcv_charge -= sl_mem_charge(seg);
		if (cut < seg->chunk.len) {
			seg->chunk.data += cut;
			seg->chunk.len -= cut;
			seg->seq += cut;
			seg->flags &= (uint8_t)(cut ? 0 : SL_SEG_SUM);
			s->rcv_charge += sl_mem_charge(seg);
			enqueue(s, seg);
		} else {
			sl_mem_seg_free(t, seg);
		}
		if (fin)
			take_fin(s);
	}
	trim_blocks(o, s->rcv_nxt);
	if (!o->head || (s->flags & SL_F_FIN_IN))
		free_ooo(t, s);
}

/* in->len ≥ 1 bytes at rcv_nxt.  false: no memory. */
static bool
append(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *in)
{
	if (in->len < SMALL && squeeze(s->rq_tail, in)) {
		s->rcv_charge += in->len;
		s->row.rcv_queue += in->len;
		s->rcv_nxt += in->len;
		s->row.bytes_in += in->len;
		return true;
	}
	struct sl_seg *seg = too_heavy(t, s) ? NULL : keep(t, s, in);
	if (!seg) {
		sl_tcp_count(t, MEMORY_LIMIT);
		return false;
	}
	for (struct sl_seg *next; seg; seg = next) {
		next = seg->next;
		s->rcv_charge += sl_mem_charge(seg);
		enqueue(s, seg);
	}
	return true;
}

/* Of a segment that goes over some that are there already only what fills the gaps is taken. */
static bool
in_order(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *in, bool fin)
{
	uint32_t begin = s->rcv_nxt, end = in->seq + in->len;

	while (sl_seq_lt(s->rcv_nxt, end) && !(s->flags & SL_F_FIN_IN)) {
		uint32_t upto = s->ooo ? sl_seq_min(end, s->ooo->head->seq) : end;
		in->has_sum = in->has_sum && in->seq == begin && upto == end;
		in->data += s->rcv_nxt - in->seq;
		in->seq = s->rcv_nxt;
		in->len = upto - in->seq;
		if (!append(t, s, in)) {
			if (!s->ooo)
				return s->rcv_nxt != begin;
			free_ooo(t, s); /* makes room for what fills the gap (RFC 2018, 8) */
			continue;
		}
		if (s->ooo)
			join(t, s);
	}
	if (fin && s->rcv_nxt == end && !(s->flags & SL_F_FIN_IN)) {
		take_fin(s);
		free_ooo(t, s);
	}
	return true;
}

/* Cuts off what lies before rcv_nxt.  false: nothing is left. */
static bool
trim_old(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *in, bool fin)
{
	uint32_t old = s->rcv_nxt - in->seq;

	if (sl_seq_ge(in->seq, s->rcv_nxt))
		return true;
	note_duplicate(s, in->seq, in->seq + SL_MIN(old, in->len + fin));
	if (old > in->len || (old == in->len && !fin)) {
		sl_tcp_count(t, OLD_DATA);
		return false;
	}
	in->data += old;
	in->seq += old;
	in->len -= old;
	in->has_sum = false;
	return true;
}

bool
sl_recvq_add(struct sl_tcp *t, struct sl_stream *s, struct sl_segment *in, bool fin)
{
	if (s->flags & SL_F_FIN_IN) {
		note_duplicate(s, in->seq, in->seq + in->len + fin);
		return false;
	}
	if (!trim_old(t, s, in, fin))
		return false;
	uint32_t space = s->rcv_adv - in->seq;
	if (in->len + fin > space) {
		fin = false;
		in->has_sum = in->has_sum && in->len <= space;
		in->len = SL_MIN(in->len, space);
		if (in->len == 0)
			return false;
	}
	return in->seq == s->rcv_nxt ? in_order(t, s, in, fin) : out_of_order(t, s, in, fin);
}

void
sl_recvq_forget(struct sl_tcp *t, struct sl_stream *s)
{
	free_ooo(t, s);
}

void
sl_recvq_clear(struct sl_tcp *t, struct sl_stream *s)
{
	while (s->rq_head) {
		struct sl_seg *seg = s->rq_head;
		s->rq_head = seg->next;
		sl_mem_seg_free(t, seg);
	}
	s->rq_tail = NULL;
	s->row.rcv_queue = 0;
	free_ooo(t, s);
	s->rcv_charge = 0;
}

/* ---- the window ---- */

/* Bytes that wait take from it, and so does the memory they hold where that is much more than they are. */
uint32_t
sl_recvq_window(const struct sl_tcp *t, const struct sl_stream *s)
{
	uint32_t limit = SL_MIN(s->rcv_limit, t->may_hold);
	uint32_t used = SL_MAX(s->row.rcv_queue, s->rcv_charge / 2);

	return used < limit ? limit - used : 0;
}

void
sl_recvq_round(struct sl_tcp *t, struct sl_stream *s, uint32_t consumed)
{
	s->rcv_round += consumed;
	if (sl_seq_lt(s->rcv_nxt, s->rcv_round_seq))
		return;
	/* A window's worth was read in about a round trip: the window is what holds the sender back. */
	if (s->rcv_round * 2 > s->rcv_limit && s->rcv_limit < t->conf.rcv_max)
		s->rcv_limit = SL_MIN(2 * s->rcv_limit, t->conf.rcv_max);
	s->rcv_round = 0;
	s->rcv_round_seq = s->rcv_adv;
}

void
sl_recvq_popped(struct sl_tcp *t, struct sl_stream *s, uint32_t consumed)
{
	if (s->flags & SL_F_DEAD)
		return;
	if (s->flags & SL_F_FIN_IN) {
		/* He sends nothing any more: no word of a wider window, which might meet nobody. */
		sl_input_finish(t, s);
		return;
	}
	sl_recvq_round(t, s, consumed);
	uint32_t more = s->rcv_nxt + sl_recvq_window(t, s) - s->rcv_adv;
	uint32_t left = s->rcv_adv - s->rcv_nxt;
	if ((int32_t)more >= (int32_t)(s->rcv_limit / 4) ||
	    ((int32_t)more > 0 && left < 2u * s->row.mss && more >= 2u * s->row.mss)) {
		s->flags |= SL_F_ACK_NOW;
		sl_tcp_dirty(t, s);
	}
}
