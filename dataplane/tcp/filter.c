/* filter — stream.h's functions: on the queues themselves (stream.c), or by the filter that stands on them. */
#include "dataplane/tcp/filter.h"
#include "dataplane/tcp/tcp_priv.h"

/* A filtered stream's user is its filter. */
static inline struct sl_filter *
filter_of(const struct sl_stream *s)
{
	return sl_unlikely(s->flags & SL_F_FILTER) ? s->user : NULL;
}

struct sl_filter *
sl_filter_of(const struct sl_stream *s)
{
	return filter_of(s);
}

void
sl_filter_put(struct sl_stream *s, struct sl_filter *f, const struct sl_stream_ops *events)
{
	SL_ASSERT(!filter_of(s));
	f->stream = s;
	f->user_ops = s->ops;
	f->user = s->user;
	s->ops = events;
	s->user = f;
	s->flags |= SL_F_FILTER;
}

static void
nobody(struct sl_stream *s, enum sl_stream_end why)
{
	(void)s;
	(void)why;
}

void
sl_filter_remove(struct sl_filter *f)
{
	static const struct sl_stream_ops none = {.closed = nobody};
	struct sl_stream *s = f->stream;

	if (s->flags & SL_F_DEAD) {
		sl_tcp_disarm(s, SL_T_USER);
		sl_wheel_stop(&s->tcp->wheel, &s->timer);
	}
	s->flags &= ~(uint32_t)(SL_F_FILTER | SL_F_HELD);
	s->ops = &none;
	s->user = NULL;
}

void
sl_filter_hold(struct sl_filter *f)
{
	struct sl_stream *s = f->stream;

	s->flags = (s->flags & ~(uint32_t)SL_F_LET_GO) | SL_F_HELD;
	if (s->due[SL_T_USER])
		sl_wheel_set(&s->tcp->wheel, &s->timer, s->due[SL_T_USER]);
}

void
sl_filter_unhold(struct sl_stream *s)
{
	/* the last event comes to nobody, and gives the place back */
	s->flags &= ~(uint32_t)SL_F_LET_GO;
	sl_tcp_event(s->tcp, s, SL_F_EV_CLOSED);
}

void
sl_filter_wake(struct sl_filter *f, bool writable)
{
	sl_tcp_event(f->stream->tcp, f->stream, SL_F_EV_READ | (writable ? SL_F_EV_WRITE : 0));
}

void
sl_filter_dirty(struct sl_filter *f)
{
	sl_tcp_dirty(f->stream->tcp, f->stream);
}

void
sl_filter_flush(struct sl_stream *s)
{
	struct sl_filter *f = filter_of(s);

	if (f)
		f->ops->flush(f);
}

/* ---- who it is ---- */

void
sl_stream_attach(struct sl_stream *s, const struct sl_stream_ops *ops, void *user)
{
	struct sl_filter *f = filter_of(s);

	if (f) {
		f->user_ops = ops;
		f->user = user;
	} else {
		s->ops = ops;
		s->user = user;
	}
}

void *
sl_stream_user(const struct sl_stream *s)
{
	const struct sl_filter *f = filter_of(s);

	return f ? f->user : s->user;
}

/* ---- reading ---- */

uint32_t
sl_stream_readable_bytes(const struct sl_stream *s)
{
	const struct sl_filter *f = filter_of(s);

	return f ? f->ops->readable_bytes(f) : sl_raw_readable_bytes(s);
}

unsigned
sl_stream_peek(struct sl_stream *s, uint32_t skip, struct sl_span *spans, unsigned max)
{
	struct sl_filter *f = filter_of(s);

	return f ? f->ops->peek(f, skip, spans, max) : sl_raw_peek(s, skip, spans, max);
}

void
sl_stream_touched(struct sl_stream *s, uint32_t n)
{
	if (!filter_of(s))
		sl_raw_touched(s, n);
}

void
sl_stream_consume(struct sl_stream *s, uint32_t n)
{
	struct sl_filter *f = filter_of(s);

	if (f)
		f->ops->consume(f, n);
	else
		sl_raw_consume(s, n);
}

bool
sl_stream_eof(const struct sl_stream *s)
{
	const struct sl_filter *f = filter_of(s);

	return f ? f->ops->eof(f) : sl_raw_eof(s);
}

bool
sl_stream_ending(const struct sl_stream *s)
{
	const struct sl_filter *f = filter_of(s);

	return f ? f->ops->ending(f) : sl_raw_ending(s);
}

bool
sl_stream_cut(const struct sl_stream *s)
{
	const struct sl_filter *f = filter_of(s);

	return f && f->ops->cut(f);
}

/* ---- writing ---- */

uint32_t
sl_stream_room(const struct sl_stream *s)
{
	const struct sl_filter *f = filter_of(s);

	return f ? f->ops->room(f) : sl_raw_room(s);
}

void
sl_stream_wait_room(struct sl_stream *s, uint32_t n)
{
	struct sl_filter *f = filter_of(s);

	if (f)
		f->ops->wait_room(f, n);
	else
		sl_raw_wait_room(s, n);
}

/* Copies into the piece that was written last, then into new ones. */
static uint32_t
filtered_write(struct sl_filter *f, const uint8_t *bytes, uint32_t n)
{
	struct sl_tcp *t = f->stream->tcp;
	uint32_t done = 0;

	n = SL_MIN(n, f->ops->room(f));
	while (done < n) {
		struct sl_chunk *c = f->ops->tail(f);
		uint32_t room = c ? sl_chunk_spare(c) : 0;
		bool fresh = room == 0;
		if (fresh)
			c = sl_chunk_new(t, &room);
		if (!c)
			break;
		uint32_t now = SL_MIN(n - done, room);
		memcpy(c->data + c->len, bytes + done, now);
		sl_chunk_grow(c, now);
		if (fresh)
			f->ops->wrote(f, c);
		else
			f->ops->grew(f, now);
		done += now;
	}
	return done;
}

uint32_t
sl_stream_write(struct sl_stream *s, const void *bytes, uint32_t n)
{
	struct sl_filter *f = filter_of(s);

	return f ? filtered_write(f, bytes, n) : sl_raw_write(s, bytes, n);
}

unsigned
sl_stream_reserve(struct sl_stream *s, uint32_t n, struct sl_span *spans, unsigned max)
{
	return filter_of(s) ? 0 : sl_raw_reserve(s, n, spans, max);
}

void
sl_stream_commit(struct sl_stream *s, uint32_t n)
{
	if (!filter_of(s))
		sl_raw_commit(s, n);
}

/* ---- bytes that change hands ---- */

struct sl_chunk *
sl_stream_take(struct sl_stream *s, uint32_t max)
{
	struct sl_filter *f = filter_of(s);

	return f ? f->ops->take(f, max) : sl_raw_take(s, max);
}

void
sl_stream_give(struct sl_stream *s, struct sl_chunk *c)
{
	struct sl_filter *f = filter_of(s);

	if (f) {
		f->ops->wrote(f, c);
		return;
	}
	s->tcp->mem.taken--;
	sl_raw_give(s->tcp, s, (struct sl_seg *)c);
}

uint32_t
sl_stream_forward(struct sl_stream *from, struct sl_stream *to, uint32_t n)
{
	uint32_t done = 0;

	if (!filter_of(from) && !filter_of(to))
		return sl_raw_forward(from, to, n);
	while (done < n && sl_stream_room(to) > 0) {
		struct sl_chunk *c = sl_stream_take(from, n - done);
		if (!c)
			break;
		done += c->len;
		sl_stream_give(to, c);
	}
	return done;
}

bool
sl_stream_write_ext(struct sl_stream *s, const uint8_t *data, uint32_t n, struct sl_ext *e)
{
	struct sl_filter *f = filter_of(s);
	struct sl_tcp *t = s->tcp;

	if (n == 0 || (f ? f->ops->room(f) == 0 : !sl_raw_may_write(s)))
		return false;
	struct sl_seg *seg = sl_mem_seg(t);
	if (!seg)
		return false;
	seg->kind = SL_SEG_EXT;
	seg->owner = e;
	e->refs++;
	/* it is never written to: segments of this kind are copied when they are sent */
	seg->chunk.data = (uint8_t *)(uintptr_t)data;
	seg->chunk.len = n;
	t->mem.taken++;
	sl_stream_give(s, &seg->chunk);
	return true;
}

/* ---- pieces ---- */

struct sl_chunk *
sl_chunk_new(struct sl_tcp *t, uint32_t *ret_room)
{
	struct sl_seg *seg = sl_mem_block_seg(t);

	if (!seg)
		return NULL;
	t->mem.taken++;
	*ret_room = SL_BLOCK_ROOM;
	return &seg->chunk;
}

uint32_t
sl_chunk_spare(const struct sl_chunk *c)
{
	const struct sl_seg *seg = (const void *)c;

	if (seg->kind != SL_SEG_BLOCK)
		return 0;
	struct sl_block *b = seg->owner;
	if (b->refs != 1 || c->data + c->len != sl_mem_block_data(b) + b->used)
		return 0;
	return SL_BLOCK_ROOM - b->used;
}

void
sl_chunk_grow(struct sl_chunk *c, uint32_t n)
{
	SL_ASSERT(n <= sl_chunk_spare(c));
	c->len += n;
	((struct sl_block *)((struct sl_seg *)c)->owner)->used += n;
	sl_chunk_touched(c);
}

struct sl_chunk *
sl_chunk_split(struct sl_tcp *t, struct sl_chunk *c, uint32_t n)
{
	struct sl_seg *seg = (struct sl_seg *)c, *next = seg->next;

	SL_ASSERT(n > 0 && n < c->len);
	struct sl_seg *rest = sl_mem_split(t, seg, n);
	if (!rest)
		return NULL;
	t->mem.taken++;
	seg->next = rest;
	rest->next = next;
	return &rest->chunk;
}

void
sl_chunk_skip(struct sl_chunk *c, uint32_t n)
{
	SL_ASSERT(n < c->len);
	c->data += n;
	c->len -= n;
	sl_chunk_touched(c);
}

struct sl_chunk *
sl_chunk_next(const struct sl_chunk *c)
{
	struct sl_seg *next = ((const struct sl_seg *)c)->next;

	return next ? &next->chunk : NULL;
}

void
sl_chunk_set_next(struct sl_chunk *c, struct sl_chunk *next)
{
	((struct sl_seg *)c)->next = (struct sl_seg *)next;
}

void
sl_chunk_trim(struct sl_chunk *c, uint32_t head, uint32_t tail)
{
	SL_ASSERT(head < c->len && tail < c->len - head);
	c->data += head;
	c->len -= head + tail;
	if (head || tail)
		sl_chunk_touched(c);
}

void
sl_chunk_touched(struct sl_chunk *c)
{
	((struct sl_seg *)c)->flags &= (uint8_t)~SL_SEG_SUM;
}

void
sl_chunk_free(struct sl_tcp *t, struct sl_chunk *c)
{
	t->mem.taken--;
	sl_mem_seg_free(t, (struct sl_seg *)c);
}

/* ---- ending ---- */

void
sl_stream_shutdown(struct sl_stream *s)
{
	struct sl_filter *f = filter_of(s);

	if (f)
		f->ops->shutdown(f);
	else
		sl_raw_shutdown(s);
}

void
sl_stream_close(struct sl_stream *s)
{
	struct sl_filter *f = filter_of(s);

	if (f)
		f->ops->close(f);
	else
		sl_raw_close(s);
}

void
sl_stream_abort(struct sl_stream *s, enum sl_stream_end why)
{
	struct sl_filter *f = filter_of(s);

	if (f)
		f->ops->abort(f, why);
	else
		sl_raw_abort(s, why);
}
