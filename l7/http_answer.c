/* Answers: the endpoint's, passed on with framing of our own; the gateway's, written here. */
#include "l7/http_priv.h"

static const struct sl_http_limits answer_limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};

/* ---- the end ---- */

/* The client's connection goes on, or ends in order. */
static void
client_next(struct http_conn *c, bool keep)
{
	c->state = CONN_IDLE;
	if (keep && !c->ending) {
		sl_stream_label(c->client, c->listener_slot, UINT32_MAX, UINT32_MAX, 0, NULL);
		if (c->going) /* the loop below us looks for the next request */
			return;
		sl_http_conn_due(c, c->idle_ms);
		sl_http_conn_go(c);
	} else {
		sl_http_conn_close(c);
	}
}

static void
over(struct http_xchg *x)
{
	struct http_conn *c = x->conn;
	bool keep = x->flags & XF_KEEP && x->req.flags & PIPE_OVER;

	c->x = NULL;
	sl_http_xchg_end(x);
	x->conn = NULL;
	if (c->client)
		client_next(c, keep);
}

static void
count_answer(struct http_xchg *x, unsigned status)
{
	struct sl_stats_http *s = x->http->conf.stats;
	unsigned class = SL_MIN(status / 100, 5u);

	if (class)
		s->count[SL_HTTP_CNT_ANSWERS_1XX + class - 1]++;
}

bool
sl_http_client_write(struct http_conn *c, const uint8_t *bytes, uint32_t n)
{
	return sl_stream_write(c->client, bytes, n) == n;
}

/* ---- the gateway's own ---- */

/* Whether all of the answer is written; else the rest waits for room. */
static bool
rest_go(struct http_xchg *x)
{
	struct sl_stream *to = x->conn->client;

	if (x->rest_sent < x->rest_len)
		x->rest_sent +=
			sl_stream_write(to, x->rest + x->rest_sent, x->rest_len - x->rest_sent);
	if (x->rest_sent == x->rest_len)
		return true;
	sl_stream_wait_room(to, SL_MIN(x->rest_len - x->rest_sent, HTTP_ROOM));
	return false;
}

/* Writes what there is room for and keeps the rest; false: there is no memory for it. */
static bool
local_write(struct http_xchg *x, const uint8_t *bytes, uint32_t n)
{
	uint32_t wrote = sl_stream_write(x->conn->client, bytes, n);

	if (sl_likely(wrote == n))
		return true;
	x->rest = sl_arena_take(x->http->arena, n - wrote, &x->rest_room);
	if (!x->rest)
		return false;
	memcpy(x->rest, bytes + wrote, n - wrote);
	x->rest_len = n - wrote;
	(void)rest_go(x); /* there is none: waits for it */
	return true;
}

void
sl_http_local(struct http_xchg *x, const struct http_local *l)
{
	struct sl_http *h = x->http;
	struct http_conn *c = x->conn;
	bool has_body = !(x->req.flags & PIPE_OVER);

	sl_http_hedge_only(x);
	/* a client that waits for 100 sends no body, or does: nobody can tell where the next request begins */
	if (has_body && (x->flags & XF_CONTINUE || x->req.left > HTTP_DRAIN_MAX))
		x->flags &= ~(unsigned)XF_KEEP;
	const struct sl_head_local how = {
		.status = l->status,
		.version = x->version,
		.close = !(x->flags & XF_KEEP),
		.head_only = (x->flags & XF_HEAD) != 0,
		.body = l->body,
		.content_type = l->content_type,
		.location = l->location,
		.edits = l->edits,
	};
	uint32_t max = l->location.len ? HTTP_OUT / 2 : HTTP_OUT;
	uint32_t n = sl_head_write_local(h->out, max, &how);
	x->state = XCHG_LOCAL;
	x->status = l->status;
	x->first_ns = http_now(h);
	if (x->flags & XF_HEAD || l->body.len == 0)
		x->ans.moved = 0;
	else
		x->ans.moved = l->body.len;
	x->ans.flags = PIPE_OVER;
	count_answer(x, l->status);
	if (n == 0 || !local_write(x, h->out, n)) {
		sl_http_conn_end(c, SL_END_NO_MEMORY);
		return;
	}
	if (has_body && x->flags & XF_KEEP)
		sl_http_request_go(x);
	else
		sl_http_answer_go(x);
}

static struct sl_edits
own_edits(const struct http_xchg *x)
{
	return (struct sl_edits){(const void *)(x->head + x->edits_off), x->head + x->strs_off,
				 x->edit_cnt};
}

/* Those that policy adds, whoever answers. */
static struct sl_edits
policy_edits(const struct http_xchg *x)
{
	struct sl_edits e = own_edits(x);

	e.edit += e.cnt - x->policy_edits;
	e.cnt = x->policy_edits;
	return e;
}

/* What goes with 405 (RFC 9110, 15.5.6). */
static const char allow_text[] = "AllowGET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH";
static const struct sl_img_edit allow = {
	.op = SL_EDIT_SET,
	.name = {0, 5},
	.value = {5, sizeof(allow_text) - 6},
};

void
sl_http_local_error(struct http_xchg *x, uint16_t status, uint32_t rflags, unsigned code)
{
	char body[64];
	const char *text = sl_status_text(status);
	size_t n = strlen(text);

	x->rflags |= rflags;
	http_count(x->http, code);
	memcpy(body, text, n);
	body[n++] = '\n';
	struct sl_edits edits = {&allow, (const uint8_t *)allow_text, status == 405};
	if (sl_unlikely(x->policy_edits))
		edits = policy_edits(x);
	const struct http_local l = {
		.status = status,
		.body = {(const uint8_t *)body, (uint32_t)n},
		.content_type = {(const uint8_t *)"text/plain", 10},
		.edits = edits,
	};
	sl_http_local(x, &l);
}

void
sl_http_refuse(struct http_conn *c, uint16_t status, uint32_t rflags, unsigned code, uint8_t bad,
	       bool head_only)
{
	const char *text = sl_status_text(status);
	uint8_t body[64];
	uint32_t n = (uint32_t)strlen(text);

	http_count(c->http, code);
	memcpy(body, text, n);
	body[n++] = '\n';
	const struct sl_head_local how = {
		.status = status,
		.version = 11,
		.close = 1,
		.head_only = head_only,
		.body = {body, n},
		.content_type = {(const uint8_t *)"text/plain", 10},
	};
	n = sl_head_write_local(c->http->out, HTTP_OUT, &how);
	c->http->conf.stats->count[SL_HTTP_CNT_ANSWERS_1XX + status / 100 - 1]++;
	sl_http_log_refused(c, status, rflags, bad);
	if (!sl_http_client_write(c, c->http->out, n))
		sl_http_conn_end(c, SL_END_ABORTED);
	else
		sl_http_conn_close(c);
}

/* ---- the endpoint's ---- */

static void
broken(struct http_xchg *x)
{
	sl_http_try_failed(x, 0, 502, SL_RF_UPE, SL_HTTP_CNT_UPSTREAM_BAD);
}

/* How the answer's body reaches the client. */
static void
frame(struct http_xchg *x, const struct sl_http_head *head)
{
	uint8_t out = head->body;

	if (out == SL_BODY_CLOSE || out == SL_BODY_CHUNKED)
		out = x->version == 10 ? SL_BODY_CLOSE : SL_BODY_CHUNKED;
	if (out == SL_BODY_CLOSE)
		x->flags &= ~(unsigned)XF_KEEP;
	x->ans = (struct http_pipe){
		.in = head->body,
		.out = out,
		.left = head->body == SL_BODY_LENGTH ? head->length : 0,
	};
	if (head->body == SL_BODY_NONE)
		x->ans.flags = PIPE_OVER;
	/* an answer before the whole body: the endpoint will not read the rest, or will: its connection is not used again */
	if (head->flags & SL_HEAD_KEEP && head->body != SL_BODY_CLOSE)
		x->flags |= XF_UP_KEEP;
	else
		x->flags &= ~(unsigned)XF_UP_KEEP;
}

/* The head to the client; false: the exchange is over. */
static bool
pass_head(struct http_xchg *x, const struct sl_http_head *head, bool interim)
{
	struct sl_http *h = x->http;
	bool upgrade = head->status == 101;
	struct sl_head_response how = {
		.body = interim ? SL_BODY_NONE : x->ans.out,
		.head_of = x->flags & XF_HEAD || head->status == 304,
		.version = x->version,
		.close = !interim && !upgrade && !(x->flags & XF_KEEP),
		.upgrade = upgrade,
	};

	if (!interim || upgrade)
		how.edits = own_edits(x);
	uint32_t n = sl_head_write_response(h->out, HTTP_OUT, head, &how);
	if (n && sl_http_client_write(x->conn, h->out, n))
		return true;
	x->rflags |= SL_RF_OM;
	http_count(h, SL_HTTP_CNT_NO_MEMORY);
	sl_http_conn_end(x->conn, SL_END_NO_MEMORY);
	return false;
}

static bool
retry_code(const struct http_xchg *x, uint16_t status)
{
	for (unsigned i = 0; i < SL_RETRY_CODES_MAX; i++)
		if (x->retry_codes[i] == status)
			return true;
	return false;
}

unsigned
sl_http_retry_kind(const struct http_xchg *x, uint16_t status)
{
	if (x->retry_on & SL_RETRY_CODES && retry_code(x, status))
		return SL_RETRY_CODES;
	if (x->retry_on & SL_RETRY_GATEWAY && status >= 502 && status <= 504)
		return SL_RETRY_GATEWAY;
	return x->retry_on & SL_RETRY_5XX && status >= 500 ? SL_RETRY_5XX : 0;
}

static void
tunnel(struct http_xchg *x)
{
	http_count(x->http, SL_HTTP_CNT_UPGRADED);
	x->state = XCHG_TUNNEL;
	x->conn->state = CONN_TUNNEL;
	sl_http_conn_due(x->conn, x->stream_idle_ms);
	sl_http_tunnel_go(x);
}

/* Before the client learns of it; true: the answer is not passed on. */
static bool
tried_again(struct http_xchg *x, const struct sl_http_head *head)
{
	unsigned kind = sl_http_retry_kind(x, head->status);

	if (!kind)
		return false;
	if (!sl_http_retries(x, kind))
		return false;
	/* what its route tries again is a failure, whatever its number */
	sl_http_told(x, SL_MAX(sl_http_try_of(head->status), SL_TRY_5XX));
	sl_http_up_drop(x, false);
	sl_http_try_next(x);
	return true;
}

/* Whether the client has room for the head, which may grow by framing and edits; else it is read again when there is. */
static bool
room_for(struct http_xchg *x, uint32_t head)
{
	uint32_t want = head + HTTP_HEAD_GROWS + (x->record_off - x->edits_off);

	if (x->conn->roomy || sl_stream_room(x->conn->client) >= want)
		return true;
	sl_stream_wait_room(x->conn->client, want);
	return false;
}

/* The head of an answer was read; true: go on with its body. */
static bool
head_came(struct http_xchg *x, const struct sl_http_head *head, uint32_t consumed)
{
	struct sl_http *h = x->http;

	x->upstream_status = head->status;
	if (head->status == 101) {
		/* nor has the endpoint read a request that is not all sent */
		if (!(x->flags & XF_UPGRADE) || x->head_sent < x->head_len) {
			broken(x);
			return false;
		}
		x->status = 101;
		x->first_ns = http_now(h);
		sl_http_told(x, SL_TRY_OK);
		count_answer(x, 101);
		if (!pass_head(x, head, true))
			return false;
		sl_stream_consume(x->upstream, consumed);
		tunnel(x);
		return false;
	}
	if (head->status < 200) {
		if (x->interims++ == HTTP_INTERIMS_MAX) {
			broken(x);
			return false;
		}
		if (x->version == 11) {
			if (!pass_head(x, head, true))
				return false;
			count_answer(x, head->status);
		}
		sl_stream_consume(x->upstream, consumed);
		return true;
	}
	if (sl_unlikely(x->hedges) && sl_http_hedge_loses(x, head->status)) {
		sl_http_told(x, SL_MAX(sl_http_try_of(head->status), SL_TRY_5XX));
		sl_http_up_drop(x, false);
		(void)sl_http_hedge_instead(x);
		return false;
	}
	if (tried_again(x, head))
		return false;
	if (sl_unlikely(x->hedges || x->hedge_left))
		sl_http_hedge_only(x);
	if (head->status >= 500)
		sl_http_told(x, sl_http_try_of(head->status));
	if (x->tries - x->hedged > 1 && !sl_http_retry_kind(x, head->status))
		http_count(h, SL_HTTP_CNT_RETRY_OK);
	x->status = head->status;
	x->answered_ns = x->first_ns = http_now(h);
	count_answer(x, head->status);
	frame(x, head);
	if (!(x->req.flags & PIPE_OVER)) /* before the whole body: its rest may come or not */
		x->flags &= ~(unsigned)XF_KEEP;
	x->state = XCHG_ANSWER;
	if (!pass_head(x, head, false))
		return false;
	sl_stream_consume(x->upstream, consumed);
	return true;
}

/* No more than len bytes of a head have come, or will come: an endpoint that ended may have been asked on a connection that it was
 * about to close. */
static void
head_waits(struct http_xchg *x, uint32_t len)
{
	x->seen = len;
	if (!sl_stream_eof(x->upstream) && !sl_stream_ending(x->upstream))
		return;
	unsigned kind = len                            ? 0
			: x->retry_on & SL_RETRY_RESET ? SL_RETRY_RESET
			: x->flags & XF_REUSED         ? SL_RETRY_REUSED
						       : SL_RETRY_RESET;
	sl_http_try_failed(x, kind, 502, SL_RF_UC, SL_HTTP_CNT_UPSTREAM_RESET);
}

/* Reads heads until the final one; false: more is needed, or the exchange went another way. */
static bool
read_head(struct http_xchg *x)
{
	struct sl_http *h = x->http;
	enum sl_http_bad why;
	uint32_t len;

	while (x->state == XCHG_SENT) {
		uint32_t have = sl_stream_readable_bytes(x->upstream);
		if (x->seen && have <= SL_HTTP_HEAD_MAX &&
		    !sl_http_line_came(x->upstream, x->seen)) {
			head_waits(x, have);
			return false;
		}
		const uint8_t *bytes = sl_http_span(h, x->upstream, SL_HTTP_HEAD_MAX + 1, &len);
		int n = len ? sl_http_response(bytes, len, x->seen, x->method, &answer_limits,
					       &h->head, &why)
			    : SL_PARTIAL;
		if (n == SL_BAD) {
			broken(x);
			return false;
		}
		if (n == SL_PARTIAL) {
			head_waits(x, len);
			return false;
		}
		x->seen = 0;
		if (sl_unlikely(x->flags & XF_HEDGE)) {
			if (!sl_http_hedge_came(x, &h->head, (uint32_t)n))
				return false;
			continue;
		}
		if (!room_for(x, (uint32_t)n) || !sl_http_shape_head(x, SL_TO_CLIENTS, (uint32_t)n))
			return false; /* who waits for tokens keeps the room that there is */
		x->conn->roomy = 0;
		if (!head_came(x, &h->head, (uint32_t)n))
			return false;
	}
	return x->state == XCHG_ANSWER;
}

/* The answer is whole.  When the request is not, its rest is nobody's: both connections end. */
static void
answered(struct http_xchg *x)
{
	bool whole = x->req.flags & PIPE_OVER && x->head_sent == x->head_len;
	bool clean = whole && x->flags & XF_UP_KEEP;

	sl_http_told(x, SL_TRY_OK);
	sl_http_up_drop(x, clean && sl_stream_readable_bytes(x->upstream) == 0);
	over(x);
}

void
sl_http_answer_go(struct http_xchg *x)
{
	if (x->state == XCHG_LOCAL) {
		if (rest_go(x) && (x->req.flags & PIPE_OVER || !(x->flags & XF_KEEP)))
			over(x);
		return;
	}
	if (!x->upstream || !(x->conn || x->of) || (x->state != XCHG_ANSWER && !read_head(x)))
		return;
	switch (sl_http_shape_pipe(x, SL_TO_CLIENTS)) {
	case PIPE_DONE:
		answered(x);
		break;
	case PIPE_EARLY:
		sl_http_told(x, SL_TRY_LOCAL);
		x->rflags |= SL_RF_UC;
		http_count(x->http, SL_HTTP_CNT_ANSWER_CUT);
		sl_http_conn_end(x->conn, SL_END_ABORTED);
		break;
	case PIPE_BAD:
		sl_http_told(x, SL_TRY_LOCAL);
		x->rflags |= SL_RF_UPE;
		http_count(x->http, SL_HTTP_CNT_ANSWER_CUT);
		sl_http_conn_end(x->conn, SL_END_ABORTED);
		break;
	default:
		break;
	}
}
