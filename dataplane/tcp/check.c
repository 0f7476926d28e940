/* check — walks everything there is.  For tests and fuzzers: it takes memory of its own, and time.
 *
 * Segments: each is claimed once: by the free list, a queue, or as the head of an out-of-order queue.  What nobody claims must
 * be as many as users hold.  Then buffers are counted by the segments that lie in them. */
#include "dataplane/tcp/tcp_priv.h"

#include <stdlib.h>

enum { NOBODY, FREE, USED, HEAD };

struct walk {
	const struct sl_tcp *t;
	uint8_t *seg;         /* [seg_cnt]: who claimed it */
	uint32_t *block_refs; /* [block_cnt]: of used segments; UINT32_MAX: in the free list */
	uint32_t live, half_open, ready, dirty, timers, late;
};

static bool
is_live(const struct sl_stream *s)
{
	return s->row.state != SL_STREAM_FREE;
}

/* ---- memory ---- */

static bool
claim(struct walk *w, const void *seg, uint8_t who)
{
	size_t off = (size_t)((const uint8_t *)seg - (const uint8_t *)w->t->mem.segs);
	size_t i = off / sizeof(struct sl_seg);

	if (off % sizeof(struct sl_seg) || i >= w->t->conf.seg_cnt || w->seg[i] != NOBODY)
		return false;
	w->seg[i] = who;
	return true;
}

static const char *
free_segs(struct walk *w)
{
	uint32_t cnt = 0;

	for (const struct sl_seg *seg = w->t->mem.seg_free; seg; seg = seg->next, cnt++)
		if (!claim(w, seg, FREE))
			return "a free segment stands twice in the list, or is none";
	for (uint32_t i = w->t->mem.seg_linked; i < w->t->conf.seg_cnt; i++)
		if (!claim(w, &w->t->mem.segs[i], FREE))
			return "a segment is in use that was never free";
	return cnt + w->t->mem.seg_used == w->t->mem.seg_linked
		       ? NULL
		       : "segments used are not those not free";
}

/* The block at an address; NULL: there is none. */
static uint32_t *
block_at(struct walk *w, const void *block)
{
	size_t off = (size_t)((const uint8_t *)block - w->t->mem.blocks);

	if (off % SL_BLOCK || off / SL_BLOCK >= w->t->conf.block_cnt)
		return NULL;
	return &w->block_refs[off / SL_BLOCK];
}

static const char *
free_blocks(struct walk *w)
{
	uint32_t cnt = 0;

	for (const struct sl_block *b = w->t->mem.block_free; b; b = b->next, cnt++) {
		uint32_t *refs = block_at(w, b);
		if (!refs || *refs)
			return "a free block stands twice in the list, or is none";
		if (b->refs)
			return "a free block has references";
		*refs = UINT32_MAX;
	}
	for (uint32_t i = w->t->mem.block_linked; i < w->t->conf.block_cnt; i++)
		w->block_refs[i] = UINT32_MAX;
	return cnt + w->t->mem.block_used == w->t->mem.block_linked
		       ? NULL
		       : "blocks used are not those not free";
}

static const char *
buffer_of(struct walk *w, const struct sl_seg *seg, uint32_t *pinned)
{
	if (seg->kind == SL_SEG_NONE)
		return seg->chunk.len ? "bytes without a buffer" : NULL;
	if (seg->kind == SL_SEG_IO) {
		++*pinned;
		return NULL;
	}
	if (seg->kind == SL_SEG_EXT)
		return ((const struct sl_ext *)seg->owner)->refs
			       ? NULL
			       : "foreign bytes were released already";
	uint32_t *refs = seg->kind == SL_SEG_BLOCK ? block_at(w, seg->owner) : NULL;
	if (!refs)
		return "a segment in a block that is none";
	if ((*refs)++ == UINT32_MAX)
		return "a segment in a free block";
	const struct sl_block *b = seg->owner;
	size_t from = (size_t)(seg->chunk.data - (const uint8_t *)seg->owner);
	if (from < SL_BLOCK_HEAD || from + seg->chunk.len > SL_BLOCK_HEAD + b->used)
		return "a segment is larger than what its block gave out";
	return b->used <= SL_BLOCK_ROOM ? NULL : "a block gave out more than it has";
}

/* After everything was claimed. */
static const char *
buffers(struct walk *w)
{
	const struct sl_tcp *t = w->t;
	uint32_t pinned = 0, taken = 0;

	for (uint32_t i = 0; i < t->conf.seg_cnt; i++) {
		if (w->seg[i] == FREE || w->seg[i] == HEAD)
			continue;
		const char *wrong = buffer_of(w, &t->mem.segs[i], &pinned);
		if (wrong)
			return wrong;
		taken += w->seg[i] == NOBODY;
	}
	if (taken != t->mem.taken)
		return "segments in use stand nowhere, and no user holds them";
	if (pinned != t->mem.pinned)
		return "packet buffers pinned are not those of segments";
	for (uint32_t i = 0; i < t->conf.block_cnt; i++) {
		const struct sl_block *b = (const void *)(t->mem.blocks + (size_t)i * SL_BLOCK);
		if (w->block_refs[i] != UINT32_MAX && w->block_refs[i] != b->refs)
			return "references of a block are not those of segments";
		if (w->block_refs[i] == 0)
			return "a block is neither free nor in use";
	}
	return NULL;
}

/* ---- receive queues ---- */

static const char *
receive_queue(struct walk *w, const struct sl_stream *s, uint32_t *charge)
{
	const struct sl_seg *last = NULL;
	uint32_t bytes = 0;

	for (const struct sl_seg *seg = s->rq_head; seg; last = seg, seg = seg->next) {
		if (!claim(w, seg, USED))
			return "a segment stands in two queues (receive)";
		if (seg->chunk.len == 0)
			return "an empty segment to be read";
		bytes += seg->chunk.len;
		*charge += sl_mem_charge(seg);
	}
	if (last != s->rq_tail)
		return "the receive queue's tail is not its last";
	return bytes == s->row.rcv_queue ? NULL : "bytes to be read are not those queued";
}

static const char *
sack_blocks(const struct sl_stream *s)
{
	const struct sl_ooo *o = s->ooo;

	if (o->block_cnt > SL_ARRAY_CNT(o->block))
		return "too many SACK blocks";
	for (uint32_t i = 0; i < o->block_cnt; i++)
		if (sl_seq_ge(o->block[i].from, o->block[i].to) ||
		    sl_seq_le(o->block[i].from, s->rcv_nxt) ||
		    sl_seq_gt(o->block[i].to, s->rcv_adv))
			return "a SACK block of what is not out of order";
	return NULL;
}

static const char *
out_of_order(struct walk *w, const struct sl_stream *s, uint32_t *charge)
{
	const struct sl_ooo *o = s->ooo;
	const struct sl_seg *last = NULL;
	uint32_t bytes = 0, cnt = 0, end = s->rcv_nxt + 1;

	if (!o)
		return s->row.ooo ? "bytes out of order, and no queue of them" : NULL;
	if (!claim(w, o, HEAD))
		return "the head of an out-of-order queue is somebody else's";
	for (const struct sl_seg *seg = o->head; seg; last = seg, seg = seg->next, cnt++) {
		if (!claim(w, seg, USED))
			return "a segment stands in two queues (out of order)";
		if (sl_seq_lt(seg->seq, end))
			return "segments out of order overlap, or have been reached";
		if ((seg->flags & SL_SEG_FIN) && seg->next)
			return "bytes behind a FIN that is out of order";
		end = seg->seq + seg->chunk.len + ((seg->flags & SL_SEG_FIN) != 0);
		bytes += seg->chunk.len;
		*charge += sl_mem_charge(seg);
	}
	if (!last || last != o->tail || cnt != o->cnt)
		return "the out-of-order queue has another length or tail";
	if (bytes != o->bytes || bytes != s->row.ooo)
		return "bytes out of order are not those queued";
	if (sl_seq_gt(end, s->rcv_adv))
		return "bytes out of order beyond the window";
	return sack_blocks(s);
}

static const char *
receiving(struct walk *w, const struct sl_stream *s)
{
	uint32_t charge = 0;
	const char *wrong = receive_queue(w, s, &charge);

	if (!wrong)
		wrong = out_of_order(w, s, &charge);
	if (wrong)
		return wrong;
	if (charge != s->rcv_charge)
		return "the receive charge is not that of its segments";
	if (sl_seq_gt(s->rcv_nxt, s->rcv_adv))
		return "more was received than was offered";
	return s->ooo && (s->flags & SL_F_FIN_IN) ? "bytes out of order behind the FIN" : NULL;
}

/* ---- send queue ---- */

struct board {
	uint32_t sacked, lost, again, charge, end;
	uint32_t under_way; /* segments */
	uint32_t run_end;   /* what `later` of a SACKED segment leads to */
	bool in_run, met_lost, met_lost_at, met_sack_at;
	const struct sl_seg *last;
};

static uint32_t
bytes_of(const struct sl_seg *seg)
{
	return seg->chunk.len + ((seg->flags & SL_SEG_FIN) != 0);
}

/* A run of SACKED segments side by side: what is skipped to lies in it. */
static const char *
sacked_run(struct board *b, const struct sl_seg *seg)
{
	if (!(seg->flags & SL_SEG_SACKED)) {
		bool cut = b->in_run && sl_seq_gt(b->run_end, b->end - 1);
		b->in_run = false;
		return cut ? "a SACKED segment leads out of its run" : NULL;
	}
	if (!b->in_run)
		b->run_end = seg->seq;
	b->in_run = true;
	if (!seg->later)
		return NULL;
	if (sl_seq_le(seg->later->seq, seg->seq))
		return "a SACKED segment leads backwards";
	b->run_end = sl_seq_max(b->run_end, seg->later->seq);
	return NULL;
}

/* One that was sent: SACKED, LOST, or under way. */
static const char *
sent_segment(const struct sl_stream *s, struct board *b, const struct sl_seg *seg)
{
	bool sacked = seg->flags & SL_SEG_SACKED, lost = seg->flags & SL_SEG_LOST;
	uint32_t n = bytes_of(seg);

	if (!(seg->flags & SL_SEG_SENT))
		return "a segment that was sent has no mark of it";
	if (sacked && lost)
		return "a segment is both SACKED and LOST";
	if ((seg->at != NULL) == (sacked || lost))
		return "the order of sending has not just what is under way";
	if ((seg->flags & SL_SEG_RETRANS) && (sacked || lost || !(seg->flags & SL_SEG_EVER)))
		return "a segment sent again is not under way";
	b->sacked += sacked ? n : 0;
	b->lost += lost ? n : 0;
	b->again += seg->flags & SL_SEG_RETRANS ? n : 0;
	b->under_way += !sacked && !lost;
	b->met_lost |= lost;
	b->met_lost_at |= seg == s->loss.lost_at;
	if (b->met_lost && s->loss.lost_at && !b->met_lost_at)
		return "a LOST segment lies before where they begin";
	b->met_sack_at |= seg == s->loss.sack_at && sacked;
	return sacked_run(b, seg);
}

static const char *
send_segment(struct walk *w, const struct sl_stream *s, struct board *b, const struct sl_seg *seg,
	     bool sent)
{
	if (!claim(w, seg, USED))
		return "a segment stands in two queues (send)";
	if (seg->seq != b->end)
		return "the send queue has a gap";
	if (bytes_of(seg) == 0)
		return "an empty segment to be sent";
	if ((seg->flags & SL_SEG_FIN) && seg->next)
		return "bytes behind the FIN";
	const char *wrong = NULL;
	if (sent)
		wrong = sent_segment(s, b, seg);
	else if (seg->flags & (SL_SEG_SENT | SL_SEG_SACKED | SL_SEG_LOST | SL_SEG_RETRANS))
		wrong = "a segment that was never sent has marks";
	b->end += bytes_of(seg);
	b->charge += sl_mem_charge(seg);
	b->last = seg;
	return wrong;
}

static const char *
sent_list(const struct sl_stream *s, const struct board *b)
{
	struct sl_seg *const *at = &s->sent_first;
	uint32_t cnt = 0;

	for (const struct sl_seg *seg = *at; seg; seg = seg->later, cnt++) {
		if (cnt == b->under_way || seg->at != at)
			return "the order of sending is broken";
		at = &seg->later;
	}
	if (cnt != b->under_way)
		return "the order of sending misses what is under way";
	return cnt > 0 && s->sent_last != at ? "the order of sending ends elsewhere" : NULL;
}

static const char *
scoreboard(const struct sl_stream *s, const struct board *b)
{
	const struct sl_loss *l = &s->loss;
	bool sack = s->row.flags & SL_STREAM_SACK;

	if (b->lost != l->lost)
		return "bytes LOST are not those of segments";
	if (b->again != l->again)
		return "bytes sent again are not those of segments";
	if (b->sacked != (sack ? l->sacked : 0))
		return "bytes SACKED are not those of segments";
	if (l->lost_at && !b->met_lost_at)
		return "LOST segments begin at what is not under way";
	if (l->sack_at && !b->met_sack_at)
		return "the highest SACKED run begins at what is not SACKED";
	return sent_list(s, b);
}

static const char *
sending(struct walk *w, const struct sl_stream *s)
{
	const struct sl_stream_row *row = &s->row;
	struct board b = {.end = row->snd_una};
	const struct sl_seg *seg = s->sq_head;
	const char *wrong = NULL;

	if (sl_seq_gt(row->snd_una, row->snd_nxt) || sl_seq_gt(row->snd_nxt, row->snd_end))
		return "what was acknowledged, sent and written is out of order";
	for (; !wrong && seg && seg != s->sq_next; seg = seg->next)
		wrong = send_segment(w, s, &b, seg, true);
	if (wrong)
		return wrong;
	if (seg != s->sq_next)
		return "the first segment never sent is not in the queue";
	if (row->state >= SL_STREAM_ESTABLISHED && b.end != row->snd_nxt)
		return "what was sent does not end where the next begins";
	if (b.in_run && sl_seq_gt(b.run_end, b.end - 1))
		return "a SACKED segment leads out of its run";
	for (; !wrong && seg; seg = seg->next)
		wrong = send_segment(w, s, &b, seg, false);
	if (wrong)
		return wrong;
	if (row->state >= SL_STREAM_ESTABLISHED && b.end != row->snd_end)
		return "the send queue does not end where writing did";
	if (b.last != s->sq_tail)
		return "the send queue's tail is not its last";
	if (b.charge != s->sq_charge)
		return "the send charge is not that of its segments";
	return scoreboard(s, &b);
}

/* ---- a stream ---- */

static const char *
state(const struct sl_stream *s)
{
	uint8_t st = s->row.state;
	bool shut = st == SL_STREAM_FIN_WAIT_1 || st == SL_STREAM_FIN_WAIT_2 ||
		    st == SL_STREAM_CLOSING || st == SL_STREAM_LAST_ACK;
	bool fin_in =
		st == SL_STREAM_CLOSE_WAIT || st == SL_STREAM_CLOSING || st == SL_STREAM_LAST_ACK;

	if (st >= SL_STREAM_STATE_CNT)
		return "a state that is none";
	if (s->flags & (SL_F_DEAD | SL_F_UNLISTED))
		return "a dead stream has a state";
	if (s->row.tuple.proto != SL_IPPROTO_TCP)
		return "a stream that is not TCP";
	if (((s->flags & SL_F_SHUT) != 0) != shut)
		return "the state does not say whether our FIN was written";
	if (fin_in && !(s->flags & SL_F_FIN_IN))
		return "the state says that the peer's FIN came";
	if ((s->flags & SL_F_FIN_IN) && !fin_in && st != SL_STREAM_FIN_WAIT_2)
		return "the state says that the peer's FIN did not come";
	if ((s->flags & SL_F_FIN_ACKED) && (!shut || s->sq_head))
		return "our FIN was acknowledged, and something is to be sent";
	if (st == SL_STREAM_FIN_WAIT_2 && !(s->flags & SL_F_FIN_ACKED))
		return "the state says that our FIN was acknowledged";
	if (st >= SL_STREAM_ESTABLISHED && (s->row.mss == 0 || s->row.cwnd == 0 || s->pmtu == 0))
		return "no segment may ever be sent";
	return NULL;
}

/* Something will wake it: for what is under way, what waits, what is owed. */
static const char *
wakes(const struct sl_stream *s)
{
	bool dirty = s->flags & SL_F_DIRTY, out = s->row.snd_una != s->row.snd_nxt;

	if (s->row.state < SL_STREAM_ESTABLISHED)
		return s->due[SL_T_SLOW] ? NULL : "nothing ends a handshake";
	if (dirty)
		return NULL;
	if (out && !s->due[SL_T_XMIT])
		return "bytes are under way, and no timer is set";
	if (!out && s->sq_next && !s->due[SL_T_PERSIST])
		return "bytes wait for a window, and no timer is set";
	if ((s->flags & SL_F_ACK_NOW) || ((s->flags & SL_F_ACK_LATER) && !s->due[SL_T_ACK]))
		return "an acknowledgement is owed, and nothing sends it";
	if ((s->flags & SL_F_LET_GO) && !s->due[SL_T_SLOW])
		return "nobody holds it any more, and nothing ends it";
	return NULL;
}

static const char *
timer(struct walk *w, const struct sl_stream *s)
{
	uint32_t first = 0;

	for (unsigned i = 0; i < SL_T_CNT; i++)
		if (s->due[i] && (first == 0 || sl_seq_lt(s->due[i], first)))
			first = s->due[i];
	if (first && !sl_timer_is_set(&s->timer))
		return "something is due, and the wheel does not know";
	if (first && sl_seq_gt(s->timer.due, first))
		return "the wheel comes later than something is due";
	if (sl_timer_is_set(&s->timer)) {
		w->timers++;
		w->late += sl_seq_le(s->timer.due, w->t->wheel.now);
	}
	return NULL;
}

static const char *
free_stream(const struct sl_stream *s)
{
	if (s->rq_head || s->sq_head || s->ooo)
		return "a stream that is over holds bytes";
	if (s->flags & SL_F_HELD)
		return s->flags & SL_F_FILTER ? NULL : "a stream is held by nobody";
	if (sl_timer_is_set(&s->timer))
		return "a stream that is over has a timer";
	if ((s->flags & SL_F_DEAD) && !(s->flags & (SL_F_READY | SL_F_DIRTY)))
		return "a stream that is over is forgotten";
	return NULL;
}

static const char *
stream(struct walk *w, const struct sl_stream *s)
{
	const char *wrong;

	w->ready += (s->flags & SL_F_READY) != 0;
	w->dirty += (s->flags & SL_F_DIRTY) != 0;
	if (!is_live(s))
		return free_stream(s);
	w->live++;
	w->half_open += s->row.state == SL_STREAM_SYN_RECEIVED && (s->flags & SL_F_PASSIVE);
	if ((wrong = state(s)) || (wrong = receiving(w, s)) || (wrong = sending(w, s)) ||
	    (wrong = wakes(s)))
		return wrong;
	return timer(w, s);
}

static const char *
streams(struct walk *w)
{
	const struct sl_tcp *t = w->t;
	const char *wrong = NULL;

	for (uint32_t i = 0; !wrong && i < t->conf.capacity; i++)
		wrong = stream(w, &t->streams[i]);
	for (const struct sl_seg *seg = t->reserved; !wrong && seg; seg = seg->next)
		if (!claim(w, seg, USED))
			wrong = "a reserved segment is somebody else's";
	if (!wrong && w->half_open != t->half_open)
		wrong = "half-open streams are not those in SYN-RECEIVED";
	return wrong;
}

/* ---- lists, table, wheel ---- */

static const char *
free_places(const struct walk *w)
{
	const struct sl_tcp *t = w->t;
	uint32_t cnt = 0;

	for (uint32_t at = t->stream_free; at; at = t->streams[at - 1].ready_next) {
		const struct sl_stream *s = at <= t->conf.capacity ? &t->streams[at - 1] : NULL;
		if (!s || is_live(s) || s->flags || cnt++ == t->conf.capacity)
			return "a place in the list of the free ones is not free";
	}
	return cnt + t->stream_cnt == t->stream_linked ? NULL
						       : "places used are not those not free";
}

static const char *
turn_lists(const struct walk *w)
{
	const struct sl_tcp *t = w->t;
	uint32_t ready = 0, dirty = 0;

	for (uint32_t at = t->ready; at; at = t->streams[at - 1].ready_next)
		if (!(t->streams[at - 1].flags & SL_F_READY) || ready++ == w->ready)
			return "the list of streams with events is broken";
	for (uint32_t at = t->dirty; at; at = t->streams[at - 1].dirty_next)
		if (!(t->streams[at - 1].flags & SL_F_DIRTY) || dirty++ == w->dirty)
			return "the list of streams with output is broken";
	if (ready != w->ready || dirty != w->dirty)
		return "a stream with events or output is not in the list";
	return NULL;
}

static const char *
timewaits(const struct walk *w)
{
	const struct sl_tcp *t = w->t;
	uint32_t cnt = 0, prev = 0, unused = 0;

	for (uint32_t at = t->timewait_first; at; prev = at, at = t->timewaits[at - 1].next) {
		const struct sl_timewait *e = &t->timewaits[at - 1];
		if (e->prev != prev || !(e->flags & 1 << 15) || cnt++ == t->timewait_used)
			return "the list of TIME-WAIT is broken";
	}
	if (cnt != t->timewait_used || prev != t->timewait_last)
		return "the list of TIME-WAIT has another length or end";
	for (uint32_t at = t->timewait_free; at; at = t->timewaits[at - 1].next)
		if (t->timewaits[at - 1].flags || unused++ == t->conf.timewait_cnt)
			return "a free entry of TIME-WAIT is in use";
	return unused + cnt == t->timewait_linked ? NULL : "an entry of TIME-WAIT is lost";
}

/* The tuple of a handle that may stand in the table; NULL: it may not. */
static const struct sl_tuple *
tuple_of(const struct sl_tcp *t, uint32_t handle)
{
	uint32_t place = handle & ~SL_TCP_OF_TIMEWAIT;

	if (handle & SL_TCP_OF_TIMEWAIT)
		return place < t->conf.timewait_cnt && t->timewaits[place].flags
			       ? &t->timewaits[place].tuple
			       : NULL;
	return place < t->conf.capacity && is_live(&t->streams[place])
		       ? &t->streams[place].row.tuple
		       : NULL;
}

static bool
finds_itself(const struct sl_tcp *t, uint32_t handle)
{
	const struct sl_tuple *tuple = tuple_of(t, handle);

	return sl_tcp_find(t, sl_tcp_hash(t, tuple), tuple) == handle;
}

/* Each that must be there finds itself, and there are no others. */
static const char *
table(const struct walk *w)
{
	const struct sl_tcp *t = w->t;
	uint32_t cnt = 0, all = w->live + t->timewait_used;

	for (uint32_t head = 0; head <= t->head_mask; head++) {
		for (uint32_t at = t->heads[head]; at; cnt++) {
			const struct sl_tuple *tuple = tuple_of(t, at - 1);
			if (!tuple || cnt == all)
				return "the table has what is not there";
			if ((sl_tcp_hash(t, tuple) & t->head_mask) != head)
				return "the table has something in a strange chain";
			at = (at - 1) & SL_TCP_OF_TIMEWAIT
				     ? t->timewaits[(at - 1) & ~SL_TCP_OF_TIMEWAIT].hash_next
				     : t->streams[at - 1].hash_next;
		}
	}
	for (uint32_t i = 0; i < t->conf.capacity; i++)
		if (is_live(&t->streams[i]) && !finds_itself(t, i))
			return "a stream is not in the table";
	for (uint32_t i = 0; i < t->conf.timewait_cnt; i++)
		if (t->timewaits[i].flags && !finds_itself(t, SL_TCP_OF_TIMEWAIT | i))
			return "an entry of TIME-WAIT is not in the table";
	return cnt == all ? NULL : "the table misses something";
}

static const char *
wheel(const struct walk *w)
{
	uint32_t late = 0;

	for (const struct sl_timer *e = w->t->wheel.late; e; e = e->next)
		if (late++ == w->late)
			return "the wheel has more that is late than streams have";
	if (late != w->late)
		return "the wheel passed a timer by";
	return w->timers == w->t->wheel.cnt ? NULL : "the wheel has other timers than streams have";
}

static const char *
walk(struct walk *w)
{
	const char *wrong;

	if ((wrong = free_segs(w)) || (wrong = free_blocks(w)) || (wrong = free_places(w)) ||
	    (wrong = streams(w)) || (wrong = buffers(w)) || (wrong = turn_lists(w)) ||
	    (wrong = timewaits(w)) || (wrong = table(w)))
		return wrong;
	return wheel(w);
}

const char *
sl_tcp_check(const struct sl_tcp *t)
{
	struct walk w = {.t = t};
	const char *wrong = "no memory to check with";

	w.seg = calloc(t->conf.seg_cnt, sizeof(*w.seg));
	w.block_refs = calloc(t->conf.block_cnt, sizeof(*w.block_refs));
	if (w.seg && w.block_refs)
		wrong = walk(&w);
	free(w.seg);
	free(w.block_refs);
	return wrong;
}
