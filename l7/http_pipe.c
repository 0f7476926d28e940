/* Bodies: bytes go from stream to stream in the buffers they came in; framing is read here and written anew.
 *
 *   in \ out   LENGTH   CHUNKED              CLOSE          NONE
 *   LENGTH     moved    –                    –              read over
 *   CHUNKED    –        size line by line,   data alone     read over
 *                       without extensions
 *   CLOSE      –        a chunk for what     moved          read over
 *                       is there
 *
 * A chunk is announced to the receiver only when its framing has room; its data follows as it comes, so a chunk larger than
 * all windows passes, too.
 */
#include "l7/http_priv.h"

/* n bytes of the body from `from` to where it goes; how many went. */
static uint64_t
move(struct http_pipe *p, struct sl_stream *from, struct sl_stream *to, uint64_t n)
{
	uint32_t max = (uint32_t)SL_MIN(n, UINT32_MAX), moved;

	if (to && sl_unlikely(p->flags & PIPE_SHAPED)) {
		max = (uint32_t)SL_MIN((int64_t)max, SL_MAX(p->tokens, 0));
		moved = max ? sl_stream_forward(from, to, max) : 0;
		p->tokens -= moved;
	} else if (to) {
		moved = sl_stream_forward(from, to, max);
	} else {
		moved = SL_MIN(max, sl_stream_readable_bytes(from));
		sl_stream_consume(from, moved);
	}
	p->moved += moved;
	if (moved)
		p->flags |= PIPE_TOUCHED;
	return moved;
}

static enum pipe_verdict
wait_room(struct sl_stream *to, uint32_t n)
{
	sl_stream_wait_room(to, n);
	return PIPE_ROOM;
}

/* What is left when everything that could be moved was. */
static enum pipe_verdict
stuck(struct http_pipe *p, struct sl_stream *from, struct sl_stream *to)
{
	uint32_t have = sl_stream_readable_bytes(from);

	if (have && to && sl_unlikely(p->flags & PIPE_SHAPED) && p->tokens <= 0)
		return PIPE_TOKENS;
	if (have && to)
		return wait_room(to, SL_MIN(have, (uint32_t)HTTP_ROOM));
	return sl_stream_eof(from) ? PIPE_EARLY : PIPE_MORE;
}

static enum pipe_verdict
done(struct http_pipe *p)
{
	p->flags |= PIPE_OVER;
	return PIPE_DONE;
}

static unsigned
hex(uint8_t *to, uint64_t n)
{
	unsigned digits = n ? (67u - (unsigned)__builtin_clzll(n)) / 4 : 1;

	for (unsigned i = 0; i < digits; i++)
		to[i] = (uint8_t) "0123456789abcdef"[n >> (digits - 1 - i) * 4 & 15];
	return digits;
}

/* "CR LF size CR LF": the first CR LF belongs to the chunk before.  The caller has seen that there is room. */
static void
announce(struct http_pipe *p, struct sl_stream *to, uint64_t size)
{
	uint8_t line[HTTP_FRAME];
	unsigned n = 0;

	if (p->flags & PIPE_BEGAN) {
		line[n++] = '\r';
		line[n++] = '\n';
	}
	n += hex(line + n, size);
	line[n++] = '\r';
	line[n++] = '\n';
	sl_stream_write(to, line, n);
	p->tokens -= n;
	p->flags |= PIPE_BEGAN;
}

static enum pipe_verdict
pipe_length(struct http_pipe *p, struct sl_stream *from, struct sl_stream *to)
{
	if (p->left)
		p->left -= move(p, from, to, p->left);
	return p->left ? stuck(p, from, to) : done(p);
}

/* ---- until the end of the connection: none, where TLS did not announce it (RFC 9112, 9.8) ---- */

static enum pipe_verdict
pipe_close_chunked(struct http_pipe *p, struct sl_stream *from, struct sl_stream *to)
{
	for (;;) {
		if (p->owed) {
			p->owed -= move(p, from, to, p->owed);
			if (p->owed)
				return stuck(p, from, to);
		}
		uint32_t have = sl_stream_readable_bytes(from);
		bool eof = have == 0 && sl_stream_eof(from);
		if (have == 0 && !eof)
			return PIPE_MORE;
		if (eof && sl_unlikely(sl_stream_cut(from)))
			return PIPE_EARLY;
		if (sl_stream_room(to) < HTTP_FRAME)
			return wait_room(to, HTTP_FRAME);
		if (eof) {
			announce(p, to, 0);
			sl_stream_write(to, "\r\n", 2);
			return done(p);
		}
		announce(p, to, have);
		p->owed = have;
	}
}

static enum pipe_verdict
pipe_close(struct http_pipe *p, struct sl_stream *from, struct sl_stream *to)
{
	if (p->out == SL_BODY_CHUNKED)
		return pipe_close_chunked(p, from, to);
	move(p, from, to, UINT32_MAX);
	enum pipe_verdict v = stuck(p, from, to);
	return v == PIPE_EARLY && !sl_stream_cut(from) ? done(p) : v;
}

/* ---- chunked ---- */

/* The lines of the trailer section, as they are passed on; its length. */
static uint32_t
trailers_write(uint8_t *to, const struct sl_http_head *t)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < t->line_cnt; i++) {
		const struct sl_http_line *l = &t->line[i];
		memcpy(to + n, t->bytes + l->name, l->name_len);
		n += l->name_len;
		to[n++] = ':';
		to[n++] = ' ';
		memcpy(to + n, t->bytes + l->value, l->value_len);
		n += l->value_len;
		to[n++] = '\r';
		to[n++] = '\n';
	}
	to[n++] = '\r';
	to[n++] = '\n';
	return n;
}

/* A sender that has ended sends no more of them. */
static enum pipe_verdict
trailers_wait(struct sl_stream *from)
{
	return sl_stream_ending(from) ? PIPE_EARLY : PIPE_MORE;
}

static enum pipe_verdict
pipe_trailers(struct sl_http *h, struct http_pipe *p, struct sl_stream *from, struct sl_stream *to)
{
	bool pass = to && p->out == SL_BODY_CHUNKED;
	enum sl_http_bad why;
	uint32_t len;

	uint32_t have = sl_stream_readable_bytes(from);
	if (p->seen && have <= SL_TRAILERS_MAX && !sl_http_line_came(from, p->seen)) {
		p->seen = have;
		return trailers_wait(from);
	}
	const uint8_t *bytes = sl_http_span(h, from, SL_TRAILERS_MAX + 2, &len);
	int n = sl_http_trailers(bytes, len, p->seen, &h->head, &why);
	if (n == SL_BAD) {
		p->bad = (uint8_t)why;
		return PIPE_BAD;
	}
	if (n == SL_PARTIAL) {
		p->seen = len;
		return trailers_wait(from);
	}
	if (p->flags & PIPE_BARE)
		h->head.line_cnt = 0;
	if (pass) {
		/* with the "0" before them; ": " may be longer than what was sent by one byte a line */
		uint32_t want = (uint32_t)n + HTTP_FRAME + SL_HTTP_HEADERS_MAX;
		if (sl_stream_room(to) < want)
			return wait_room(to, want);
		announce(p, to, 0);
		uint32_t out = trailers_write(h->out, &h->head);
		sl_stream_write(to, h->out, out);
		p->tokens -= out;
	}
	sl_stream_consume(from, (uint32_t)n);
	return done(p);
}

/* One step of the framing; false: not now, *ret says why. */
static bool
chunk_next(struct http_pipe *p, struct sl_stream *from, struct sl_stream *to,
	   enum pipe_verdict *ret)
{
	bool tell = to && p->out == SL_BODY_CHUNKED;
	struct sl_span span;
	uint32_t used;

	if (tell && sl_stream_room(to) < HTTP_FRAME) {
		*ret = wait_room(to, HTTP_FRAME);
		return false;
	}
	if (sl_stream_peek(from, 0, &span, 1) == 0) {
		*ret = sl_stream_eof(from) ? PIPE_EARLY : PIPE_MORE;
		return false;
	}
	enum sl_chunk_event e = sl_http_chunk(&p->chunk, span.data, span.len, &used);
	if (e == SL_CHUNK_BAD) {
		p->bad = SL_HTTP_BAD_CHUNK;
		*ret = PIPE_BAD;
		return false;
	}
	if (e == SL_CHUNK_SIZE && tell)
		announce(p, to, p->chunk.left);
	else if (e == SL_CHUNK_END)
		p->flags |= PIPE_TRAILERS;
	p->flags |= PIPE_TOUCHED;
	sl_stream_consume(from, used);
	return true;
}

static enum pipe_verdict
pipe_chunked(struct sl_http *h, struct http_pipe *p, struct sl_stream *from, struct sl_stream *to)
{
	enum pipe_verdict v;

	for (;;) {
		if (p->chunk.left) {
			if (p->max && p->moved + p->chunk.left > p->max)
				return PIPE_LARGE;
			sl_http_chunk_data(&p->chunk, move(p, from, to, p->chunk.left));
			if (p->chunk.left)
				return stuck(p, from, to);
		}
		if (p->flags & PIPE_TRAILERS)
			return pipe_trailers(h, p, from, to);
		if (!chunk_next(p, from, to, &v))
			return v;
	}
}

enum pipe_verdict
sl_http_pipe(struct sl_http *h, struct http_pipe *p, struct sl_stream *from, struct sl_stream *to)
{
	if (p->flags & PIPE_OVER)
		return PIPE_DONE;
	if (p->out == SL_BODY_NONE)
		to = NULL;
	switch (p->in) {
	case SL_BODY_LENGTH:
		return pipe_length(p, from, to);
	case SL_BODY_CHUNKED:
		return pipe_chunked(h, p, from, to);
	case SL_BODY_CLOSE:
		return pipe_close(p, from, to);
	default:
		return done(p);
	}
}
