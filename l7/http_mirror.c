/* Mirrors: a copy of a request goes to another service, and nobody waits for it: what becomes of it changes nothing for the client.
 *
 * The copy is whole when it is sent: head, and a body of up to HTTP_MIRROR_BODY bytes that has come with it.  Requests with
 * longer or later bodies are not mirrored, and counted (mirror_lost).  The answer is read over, so that its connection can be
 * used again. */
#include "l7/http_priv.h"

static const struct sl_http_limits answer_limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};

/* Bytes of the body that stand behind the head; false: it is not all there, or too long. */
static bool
body_there(const struct http_xchg *x, struct sl_stream *s, uint32_t consumed)
{
	if (x->req.flags & PIPE_OVER)
		return true;
	return x->req.in == SL_BODY_LENGTH && x->req.left <= HTTP_MIRROR_BODY &&
	       sl_stream_readable_bytes(s) - consumed >= x->req.left;
}

static void
body_copy(struct sl_stream *s, uint32_t skip, uint8_t *to, uint32_t n)
{
	struct sl_span span[8];

	while (n) {
		unsigned cnt = sl_stream_peek(s, skip, span, SL_ARRAY_CNT(span));
		if (cnt == 0)
			return;
		for (unsigned i = 0; i < cnt && n; i++) {
			uint32_t len = SL_MIN(span[i].len, n);
			memcpy(to, span[i].data, len);
			to += len;
			skip += len;
			n -= len;
		}
	}
}

static bool
send_copy(struct http_conn *c, const struct sl_img_mirror *m, const struct sl_http_head *head,
	  uint32_t consumed, const struct sl_head_request *how)
{
	const struct http_xchg *of = c->x;
	struct sl_http *h = c->http;
	uint32_t body = of->req.flags & PIPE_OVER ? 0 : (uint32_t)of->req.left;

	/* the head being forwarded was kept; h->out is free again but for the path behind its middle */
	uint32_t n = sl_head_write_request(h->out, HTTP_OUT / 2, head, how);
	struct http_xchg *x = n ? sl_http_xchg_new(h) : NULL;
	if (!x)
		return false;
	x->flags = XF_MIRROR;
	x->method = head->method;
	x->version = 11;
	x->service_slot = m->service;
	x->service_incarnation = (uint16_t)m->incarnation;
	x->route_slot = x->vhost_slot = x->table_slot = UINT32_MAX;
	x->req.flags = PIPE_OVER;
	x->state = XCHG_ASKING;
	if (n + body <= SL_ARENA_MAX)
		x->head = sl_arena_take(h->arena, n + body, &x->head_room);
	if (!x->head) {
		sl_http_xchg_end(x);
		return false;
	}
	memcpy(x->head, h->out, n);
	sl_http_named(x, true);
	body_copy(c->client, consumed, x->head + n, body);
	x->head_len = n + body;
	http_count(h, SL_HTTP_CNT_MIRRORED);
	sl_http_ask(x);
	return true;
}

void
sl_http_mirror(struct http_conn *c, const struct sl_http_rule *rule, const struct http_decision *d,
	       const struct sl_http_head *head, uint32_t consumed, struct sl_head_request *how)
{
	const struct sl_img_vhost *v = d->vhost->img;
	const struct sl_img_mirror *m =
		(const struct sl_img_mirror *)((const char *)v + v->mirror_off) +
		d->route->mirror_first;
	bool there = body_there(c->x, c->client, consumed) && !(c->x->flags & XF_UPGRADE);

	(void)rule;
	how->shadow = 1;
	for (uint32_t i = 0; i < d->route->mirror_cnt; i++) {
		if (sl_http_random(c->http) % 1000000 >= m[i].per_million)
			continue;
		if (!there || !send_copy(c, &m[i], head, consumed, how))
			http_count(c->http, SL_HTTP_CNT_MIRROR_LOST);
	}
	how->shadow = 0;
}

/* Reads the answer over. */
void
sl_http_mirror_readable(struct http_xchg *x)
{
	struct sl_http *h = x->http;
	enum sl_http_bad why;
	uint32_t len;

	while (x->state == XCHG_SENT) {
		const uint8_t *bytes = sl_http_span(h, x->upstream, SL_HTTP_HEAD_MAX + 1, &len);
		int n = len ? sl_http_response(bytes, len, 0, x->method, &answer_limits, &h->head,
					       &why)
			    : SL_PARTIAL;
		bool ended = sl_stream_ending(x->upstream);
		if (n == SL_BAD || (n == SL_PARTIAL && ended)) {
			/* an old connection may have ended before it was used again */
			if (len || !(x->flags & XF_REUSED))
				sl_http_told(x, SL_TRY_LOCAL);
			sl_http_xchg_end(x);
			return;
		}
		if (n == SL_PARTIAL)
			return;
		sl_stream_consume(x->upstream, (uint32_t)n);
		if (h->head.status < 200)
			continue;
		x->ans = (struct http_pipe){
			.in = h->head.body,
			.out = SL_BODY_NONE,
			.left = h->head.body == SL_BODY_LENGTH ? h->head.length : 0,
		};
		if (h->head.flags & SL_HEAD_KEEP)
			x->flags |= XF_UP_KEEP;
		if (h->head.status >= 500)
			sl_http_told(x, sl_http_try_of(h->head.status));
		x->state = XCHG_ANSWER;
	}
	if (x->state != XCHG_ANSWER)
		return;
	switch (sl_http_pipe(h, &x->ans, x->upstream, NULL)) {
	case PIPE_MORE:
		return;
	case PIPE_DONE:
		sl_http_told(x, SL_TRY_OK);
		sl_http_up_drop(x, x->flags & XF_UP_KEEP && x->head_sent == x->head_len &&
					   sl_stream_readable_bytes(x->upstream) == 0);
		break;
	default:
		sl_http_told(x, SL_TRY_LOCAL);
		break;
	}
	sl_http_xchg_end(x);
}
