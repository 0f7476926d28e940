/* Bytes of a service that has a bandwidth (shape.h): heads go whole, bodies and tunnels as far as there are tokens.
 *
 * An exchange has two waiters, one each way; what waits stays in the receive queue of the stream that it came by.  Lines of chunks are
 * paid for as they are written. */
#include "l7/http_priv.h"

#define SEGMENT 1460

static struct sl_shape_who
taker(const struct http_xchg *x, enum sl_way way)
{
	return (struct sl_shape_who){
		.waiter = (uint32_t)(x - x->http->xchgs) * SL_WAYS + way,
		.service_slot = x->service_slot,
		.incarnation = x->service_incarnation,
		.way = (uint8_t)way,
	};
}

bool
sl_http_shape_queued(const struct http_xchg *x, enum sl_way way)
{
	return sl_shaper_waits(x->http->shaper, taker(x, way).waiter);
}

void
sl_http_shape_leave(struct http_xchg *x)
{
	if (sl_likely(!(x->flags & XF_SHAPED)))
		return;
	for (unsigned way = 0; way < SL_WAYS; way++)
		sl_shaper_leave(x->http->shaper, taker(x, way).waiter);
}

/* A limit that went away lets everybody go who waits for it (sl_shaper_tick). */
void
sl_http_shape_look(struct http_xchg *x)
{
	const struct sl_http_env *env = &x->http->conf.env;
	const struct sl_img_bandwidth *b =
		env->bandwidth ? env->bandwidth(env->ctx, x->service_slot, x->service_incarnation)
			       : NULL;

	if (sl_unlikely(b && (b->rate[SL_TO_ENDPOINTS] | b->rate[SL_TO_CLIENTS])))
		x->flags |= XF_SHAPED;
	else if (!sl_http_shape_waits(x, SL_TO_ENDPOINTS) && !sl_http_shape_waits(x, SL_TO_CLIENTS))
		x->flags &= ~(unsigned)XF_SHAPED;
}

bool
sl_http_shape_take(struct http_xchg *x, enum sl_way way, uint32_t n)
{
	const struct sl_shape_who who = taker(x, way);

	return sl_shaper_take_whole(x->http->shaper, &who, http_now(x->http), n);
}

/* What may be asked for: pieces are not cut for the last bytes of room. */
static uint32_t
wanted(struct sl_stream *from, struct sl_stream *to)
{
	uint32_t room = sl_stream_room(to);

	return room ? SL_MIN(sl_stream_readable_bytes(from), room + SEGMENT) : 0;
}

static __attribute__((noinline)) enum pipe_verdict
shaped_pipe(struct http_xchg *x, enum sl_way way, struct http_pipe *p, struct sl_stream *from,
	    struct sl_stream *to)
{
	const struct sl_shape_who who = taker(x, way);
	struct sl_shaper *shaper = x->http->shaper;
	uint64_t now = http_now(x->http);
	uint32_t want = wanted(from, to);

	if (p->in == SL_BODY_LENGTH)
		want = (uint32_t)SL_MIN(want, p->left);
	p->tokens = sl_shaper_take(shaper, &who, now, want);
	p->flags |= PIPE_SHAPED;
	enum pipe_verdict v = sl_http_pipe(x->http, p, from, to);
	p->flags &= (uint8_t)~PIPE_SHAPED;
	if (p->tokens > 0)
		sl_shaper_return(shaper, &who, (uint32_t)p->tokens);
	else if (p->tokens < 0)
		sl_shaper_pay(shaper, &who, now, (uint32_t)-p->tokens);
	if (v != PIPE_TOKENS) {
		sl_shaper_leave(shaper, who.waiter);
	} else if (!sl_shaper_waits(shaper, who.waiter)) { /* all there was room for went */
		sl_stream_wait_room(to,
				    SL_MIN(sl_stream_readable_bytes(from), (uint32_t)HTTP_ROOM));
		v = PIPE_ROOM;
	}
	return v;
}

enum pipe_verdict
sl_http_shape_pipe(struct http_xchg *x, enum sl_way way)
{
	struct sl_stream *client = x->conn->client;
	struct sl_stream *from = way == SL_TO_ENDPOINTS ? client : x->upstream;
	struct sl_stream *to = way == SL_TO_ENDPOINTS ? x->upstream : client;
	struct http_pipe *p = way == SL_TO_ENDPOINTS ? &x->req : &x->ans;

	if (sl_likely(!(x->flags & XF_SHAPED)) || p->flags & PIPE_OVER || p->out == SL_BODY_NONE)
		return sl_http_pipe(x->http, p, from, to);
	return shaped_pipe(x, way, p, from, to);
}

uint32_t
sl_http_shape_forward(struct http_xchg *x, struct sl_stream *from, struct sl_stream *to,
		      enum sl_way way)
{
	const struct sl_shape_who who = taker(x, way);
	struct sl_shaper *shaper = x->http->shaper;

	if (sl_likely(!(x->flags & XF_SHAPED)))
		return sl_stream_forward(from, to, UINT32_MAX);
	uint32_t want = wanted(from, to);
	uint32_t n = sl_shaper_take(shaper, &who, http_now(x->http), want);
	uint32_t moved = n ? sl_stream_forward(from, to, n) : 0;
	if (moved < n || want == 0) {
		sl_shaper_return(shaper, &who, n - moved);
		sl_shaper_leave(shaper, who.waiter);
	}
	return moved;
}

void
sl_http_shape_go(void *engine, uint32_t waiter)
{
	struct http_xchg *x = &((struct sl_http *)engine)->xchgs[waiter / SL_WAYS];

	if (x->state == XCHG_TUNNEL)
		sl_http_tunnel_go(x);
	else if (waiter % SL_WAYS == SL_TO_ENDPOINTS)
		sl_http_request_go(x);
	else
		sl_http_answer_go(x);
}
