/* Entries stand in the order in which they came in: first is the oldest.  All wait equally long, so the first is also the
 * next that is due; one that is to wait less (for_ms) may have to wait for those before it.  What restarts goes to the end.
 *
 *   segment                              answer
 *     RST                                none (RFC 1337: it must not end TIME-WAIT)
 *     SYN of a stream to us, newer       the entry goes, the SYN opens (RFC 6191)
 *     any other SYN                      challenge ACK (RFC 9293, 3.10.7.4)
 *     timestamp older than the last      ACK (RFC 7323, 5.3); without one that was agreed on: none
 *     the FIN again                      ACK, and 2 MSL begin again
 *     other sequence numbers, data       ACK
 *     empty, in order                    none
 *
 * At most one answer each quarter of a second for an entry, and all within the worker's limit of challenge ACKs. */
#include "dataplane/tcp/tcp_priv.h"

#define IN_USE (1u << 15)
#define PER_TURN 256
#define REUSE_MS 1000
#define ISN_GAP 65537 /* more than a window without scale */
#define PAWS_MS (24u * 86400 * 1000)

static inline uint32_t
place_of(const struct sl_tcp *t, const struct sl_timewait *w)
{
	return (uint32_t)(w - t->timewaits);
}

static struct sl_timewait *
entry(const struct sl_tcp *t, uint32_t handle)
{
	return &t->timewaits[handle & ~SL_TCP_OF_TIMEWAIT];
}

static void
append(struct sl_tcp *t, struct sl_timewait *w)
{
	uint32_t me = place_of(t, w) + 1;

	w->next = 0;
	w->prev = t->timewait_last;
	if (w->prev)
		t->timewaits[w->prev - 1].next = me;
	else
		t->timewait_first = me;
	t->timewait_last = me;
}

static void
take_out(struct sl_tcp *t, struct sl_timewait *w)
{
	if (w->prev)
		t->timewaits[w->prev - 1].next = w->next;
	else
		t->timewait_first = w->next;
	if (w->next)
		t->timewaits[w->next - 1].prev = w->prev;
	else
		t->timewait_last = w->prev;
}

static void
begin_wait(struct sl_tcp *t, struct sl_timewait *w, uint32_t ms)
{
	w->began_ms = t->now_ms;
	w->due = t->tick + sl_ticks_of_us(ms * 1000ull);
	append(t, w);
}

void
sl_timewait_drop(struct sl_tcp *t, uint32_t handle)
{
	struct sl_timewait *w = entry(t, handle);

	sl_table_remove(t, handle);
	take_out(t, w);
	w->flags = 0;
	w->next = t->timewait_free;
	t->timewait_free = place_of(t, w) + 1;
	t->timewait_used--;
	if (t->timewait_first) { /* likely the next to go, and who comes after it */
		const struct sl_timewait *first = &t->timewaits[t->timewait_first - 1];
		sl_prefetch_w(&t->heads[first->hash & t->head_mask]);
		if (first->next)
			sl_prefetch_w(&t->timewaits[first->next - 1]);
	}
}

static void
fill(const struct sl_tcp *t, struct sl_timewait *w, const struct sl_stream *s)
{
	uint32_t wnd = s->rcv_adv - s->rcv_nxt;

	*w = (struct sl_timewait){
		.tuple = s->row.tuple,
		.snd_nxt = s->row.snd_nxt,
		.rcv_nxt = s->rcv_nxt,
		.ts_recent = s->ts_recent,
		.ts_recent_ms = s->ts_recent_ms,
		.ts_offset = s->ts_offset,
		.flags = (uint16_t)((s->row.flags & (SL_STREAM_TS | SL_STREAM_OUT)) | IN_USE),
		/* not the quarter of a second we are in */
		.answered_q = (uint16_t)(t->now_ms / 250 - 1),
	};
	if (sl_seq_gt(s->rcv_adv, s->rcv_nxt))
		w->rcv_wnd = SL_MIN(wnd >> s->wscale_rcv, (uint32_t)UINT16_MAX);
}

void
sl_timewait_link(struct sl_tcp *t)
{
	uint32_t first = t->timewait_linked;
	uint32_t end = SL_MIN(first + SL_LINK_EACH, t->conf.timewait_cnt);

	for (uint32_t i = end; i-- > first;) {
		t->timewaits[i].next = t->timewait_free;
		t->timewait_free = i + 1;
	}
	t->timewait_linked = end;
}

void
sl_timewait_enter(struct sl_tcp *t, struct sl_stream *s, uint32_t for_ms)
{
	if (sl_unlikely(!t->timewait_free)) {
		sl_tcp_count(t, TIMEWAIT_FULL);
		sl_timewait_drop(t, SL_TCP_OF_TIMEWAIT | (t->timewait_first - 1));
	}
	struct sl_timewait *w = &t->timewaits[t->timewait_free - 1];
	t->timewait_free = w->next;
	if (sl_unlikely(!t->timewait_free))
		sl_timewait_link(t);
	t->timewait_used++;
	sl_table_remove(t, sl_tcp_place(t, s));
	fill(t, w, s);
	sl_table_insert(t, SL_TCP_OF_TIMEWAIT | place_of(t, w), s->hash);
	begin_wait(t, w, for_ms ? for_ms : t->conf.timewait_ms);
}

unsigned
sl_timewait_expire(struct sl_tcp *t)
{
	unsigned done = 0;

	for (; t->timewait_first && done < PER_TURN; done++) {
		uint32_t place = t->timewait_first - 1;
		if (sl_seq_gt(t->timewaits[place].due, t->tick))
			break;
		sl_timewait_drop(t, SL_TCP_OF_TIMEWAIT | place);
	}
	return done;
}

/* ---- segments ---- */

static void
answer(struct sl_tcp *t, struct sl_timewait *w)
{
	struct sl_tcp_options o = {.has_ts = (w->flags & SL_STREAM_TS) != 0};
	uint16_t q = (uint16_t)(t->now_ms / 250);

	if (w->answered_q == q || !sl_tcp_token(t, &t->challenge_ns, SL_CHALLENGE_PER_S)) {
		sl_tcp_count(t, CHALLENGE_LIMIT);
		return;
	}
	w->answered_q = q;
	sl_tcp_count(t, CHALLENGE);
	o.ts_val = t->now_ms + w->ts_offset;
	o.ts_ecr = w->ts_recent;
	sl_output_bare(t, &w->tuple, w->snd_nxt, w->rcv_nxt, (uint16_t)w->rcv_wnd, SL_TCP_ACK, &o);
}

/* RFC 6191, 2: whether a SYN can only be of a new connection.  What we opened ourselves has no listener that would take it. */
static bool
is_newer(const struct sl_timewait *w, const struct sl_segment *seg)
{
	bool above = sl_seq_gt(seg->seq, w->rcv_nxt);

	if (w->flags & SL_STREAM_OUT)
		return false;
	if (!seg->o.has_ts)
		return above;
	if (!(w->flags & SL_STREAM_TS) || sl_seq_gt(seg->o.ts_val, w->ts_recent))
		return true;
	return seg->o.ts_val == w->ts_recent && above;
}

/* RFC 7323, 5.3; a timestamp of 24 days ago says nothing. */
static bool
is_old(const struct sl_tcp *t, const struct sl_timewait *w, const struct sl_segment *seg)
{
	return (w->flags & SL_STREAM_TS) && sl_seq_lt(seg->o.ts_val, w->ts_recent) &&
	       t->now_ms - w->ts_recent_ms < PAWS_MS;
}

static void
restart(struct sl_tcp *t, struct sl_timewait *w)
{
	take_out(t, w);
	begin_wait(t, w, t->conf.timewait_ms);
}

static void
segment(struct sl_tcp *t, struct sl_timewait *w, const struct sl_segment *seg)
{
	bool fin = seg->flags & SL_TCP_FIN;

	if ((w->flags & SL_STREAM_TS) && !seg->o.has_ts)
		return;
	if (is_old(t, w, seg)) {
		sl_tcp_count(t, PAWS);
		answer(t, w);
		return;
	}
	if (seg->seq == w->rcv_nxt && seg->len == 0 && !fin)
		return;
	if (!fin || seg->seq + seg->len + 1 != w->rcv_nxt) {
		sl_tcp_count(t, BAD_SEQ);
	} else {
		restart(t, w);
		if (seg->o.has_ts && (w->flags & SL_STREAM_TS)) {
			w->ts_recent = seg->o.ts_val;
			w->ts_recent_ms = t->now_ms;
		}
	}
	answer(t, w);
}

bool
sl_timewait_input(struct sl_tcp *t, uint32_t handle, const struct sl_segment *seg,
		  uint32_t *ret_iss_min, bool *ret_above)
{
	struct sl_timewait *w = entry(t, handle);

	if (seg->flags & SL_TCP_RST)
		return true;
	if (seg->flags & SL_TCP_SYN) {
		if ((seg->flags & (SL_TCP_ACK | SL_TCP_FIN)) || !is_newer(w, seg)) {
			answer(t, w);
			return true;
		}
		*ret_iss_min = w->snd_nxt + ISN_GAP;
		*ret_above = true;
		sl_tcp_count(t, TIMEWAIT_REUSED);
		sl_timewait_drop(t, handle);
		return false;
	}
	if (seg->flags & SL_TCP_ACK)
		segment(t, w, seg);
	return true;
}

/* ---- our own connects ---- */

bool
sl_timewait_reusable(const struct sl_tcp *t, uint32_t handle)
{
	const struct sl_timewait *w = entry(t, handle);

	return (w->flags & SL_STREAM_TS) && t->now_ms - w->began_ms >= REUSE_MS;
}

bool
sl_timewait_reuse(struct sl_tcp *t, uint32_t handle, uint32_t *ret_iss_min, uint32_t *ret_ts_offset,
		  uint32_t *ret_ts_recent)
{
	const struct sl_timewait *w = entry(t, handle);

	if (!sl_timewait_reusable(t, handle))
		return false;
	*ret_iss_min = w->snd_nxt + ISN_GAP;
	*ret_ts_offset = w->ts_offset;
	*ret_ts_recent = w->ts_recent;
	sl_tcp_count(t, TIMEWAIT_REUSED);
	sl_timewait_drop(t, handle);
	return true;
}
