/* To an endpoint: a connection is asked for, the head sent, the body moved; what fails is tried again where that cannot do twice
 * what was asked for once.
 *
 *   ASKING ── ready ─▶ SENT ── head of the answer ─▶ ANSWER ─▶ over
 *     ▲  │ failed        │ ended, late, 5xx
 *     │  ▼               ▼
 *     └─ another try, when the route allows, budget and breaker too, and no byte of a body has gone
 */
#include "l7/http_priv.h"

static struct http_xchg *
xchg_of(struct sl_up_ticket *t)
{
	return (struct http_xchg *)((char *)t - offsetof(struct http_xchg, ticket));
}

static uint32_t
now_ms(const struct http_xchg *x)
{
	return sl_tcp_now_ms(x->http->conf.tcp);
}

/* The connection, or the place in the queue for one, is given back. */
void
sl_http_up_drop(struct http_xchg *x, bool clean)
{
	struct sl_http *h = x->http;
	struct sl_up *up = x->up;

	sl_http_shape_leave(x);
	if (x->flags & XF_WAITS) {
		x->flags &= ~(unsigned)XF_WAITS;
		sl_upstream_cancel(h->upstream, &x->ticket);
	}
	x->up = NULL;
	x->upstream = NULL;
	if (up)
		sl_upstream_put(h->upstream, up, clean);
}

/* ---- tries ---- */

static const struct sl_img_service *
service_of(const struct http_xchg *x)
{
	const struct sl_http_env *env = &x->http->conf.env;

	return env->service(env->ctx, x->service_slot, x->service_incarnation);
}

/* Of this try: what the endpoint took, as far as it goes; 0: it was not asked. */
static uint32_t
took_us(const struct http_xchg *x)
{
	uint64_t until = x->answered_ns ? x->answered_ns : http_now(x->http);

	return x->sent_ns && until > x->sent_ns
		       ? (uint32_t)SL_MIN((until - x->sent_ns) / 1000 + 1, (uint64_t)UINT32_MAX)
		       : 0;
}

static void
adapt(struct http_xchg *x)
{
	const struct sl_img_service *svc = service_of(x);
	uint32_t us = took_us(x);

	if (svc && svc->http.adaptive_min && us)
		sl_adaptive_fed(&x->http->adaptive[x->service_slot], us, svc->http.adaptive_min,
				svc->http.adaptive_pct, http_now(x->http));
}

void
sl_http_told(struct http_xchg *x, enum sl_try what)
{
	const struct sl_http_env *env = &x->http->conf.env;

	if (x->flags & XF_TOLD)
		return;
	x->flags |= XF_TOLD;
	if (sl_unlikely(x->flags & XF_ADAPTIVE) && what == SL_TRY_OK)
		adapt(x);
	if (x->endpoint_slot != UINT32_MAX)
		env->result(env->ctx, x->service_slot, x->endpoint_slot, x->endpoint_incarnation,
			    what, took_us(x));
}

bool
sl_http_retries(struct http_xchg *x, unsigned kind)
{
	struct sl_http *h = x->http;
	const struct sl_img_service *svc = service_of(x);

	if (!(x->retry_on & kind) || x->req.flags & PIPE_TOUCHED || x->flags & XF_MIRROR || !svc)
		return false;
	if (kind == SL_RETRY_REUSED && !(x->flags & XF_RETRYABLE))
		return false;
	if (x->retries == 0) {
		if (x->tries - x->hedged > 1)
			x->rflags |= SL_RF_URX;
		return false;
	}
	if (!(x->flags & XF_RETRY_LIMIT)) {
		if (!sl_limit_retry(h->limits, x->service_slot, &svc->http, http_now(h))) {
			http_count(h, SL_HTTP_CNT_RETRY_LIMIT);
			x->rflags |= SL_RF_URX;
			return false;
		}
		x->flags |= XF_RETRY_LIMIT;
	}
	x->retries--;
	http_count(h, SL_HTTP_CNT_RETRY);
	h->conf.route_stats[x->route_slot].retries++;
	if (x->endpoint_slot != UINT32_MAX && x->avoid_cnt < SL_ARRAY_CNT(x->avoid))
		x->avoid[x->avoid_cnt++] = x->endpoint_slot;
	return true;
}

/* Full jitter: anything below the base, doubled with each try, up to the most. */
static uint32_t
backoff(struct http_xchg *x)
{
	unsigned tries = x->tries - x->hedged;
	uint64_t most = (uint64_t)x->backoff_ms << SL_MIN(tries ? tries - 1u : 0u, 20u);

	if (x->backoff_max_ms)
		most = SL_MIN(most, x->backoff_max_ms);
	return most ? (uint32_t)(sl_http_random(x->http) % most) : 0;
}

void
sl_http_try_next(struct http_xchg *x)
{
	uint32_t ms = backoff(x);

	x->state = XCHG_ASKING;
	x->head_sent = 0;
	x->try_timed = 0;
	x->endpoint_slot = UINT32_MAX;
	if (ms == 0) {
		sl_http_ask(x);
		return;
	}
	x->retry_waits = 1;
	x->retry_at = now_ms(x) + ms;
	sl_http_xchg_due(x);
}

void
sl_http_try_failed(struct http_xchg *x, unsigned kind, uint16_t status, uint32_t rflags,
		   unsigned code)
{
	if (sl_unlikely(x->flags & XF_HEDGE)) {
		sl_http_hedge_failed(x, kind, status, rflags, code);
		return;
	}
	/* a stale connection of the pool says nothing of the endpoint, nor does what the client or the operator did */
	bool fault = kind != SL_RETRY_REUSED && !(rflags & (SL_RF_LR | SL_RF_UO | SL_RF_UH)) &&
		     status != 408;

	sl_http_up_drop(x, false);
	if (fault)
		sl_http_told(x, SL_TRY_LOCAL);
	if (sl_http_hedge_instead(x))
		return;
	if (kind && sl_http_retries(x, kind)) {
		sl_http_try_next(x);
		return;
	}
	if (x->flags & XF_MIRROR) {
		http_count(x->http, SL_HTTP_CNT_MIRROR_LOST);
		sl_http_xchg_end(x);
		return;
	}
	x->retry_waits = 0;
	sl_http_local_error(x, status, rflags, code);
}

void
sl_http_timed(struct http_xchg *x)
{
	if (x->timeout_ms == 0 || x->timed)
		return;
	x->timed = 1;
	x->timeout_due = now_ms(x) + x->timeout_ms;
	sl_http_xchg_due(x);
}

/* Likewise of one try, from when it was asked for. */
static void
try_timed(struct http_xchg *x)
{
	if (x->try_ms == 0 || !x->conn || !(x->req.flags & PIPE_OVER))
		return;
	x->try_timed = 1;
	x->try_due = now_ms(x) + x->try_ms;
	sl_http_xchg_due(x);
}

/* ---- asking ---- */

void
sl_http_named(struct http_xchg *x, bool shadow)
{
	static const char host[] = "Host: ", suffix[] = "-shadow";
	const uint8_t *end = memchr(x->head, '\r', x->head_room), *at = end + 2 + strlen(host);
	uint32_t n = (uint32_t)((const uint8_t *)memchr(at, '\r', x->head_room) - at), port = n;

	while (port && at[port - 1] >= '0' && at[port - 1] <= '9')
		port--;
	if (port && at[port - 1] == ':')
		n = port - 1;
	if (shadow && n > strlen(suffix) && at[0] != '[')
		n -= (uint32_t)strlen(suffix);
	x->name_off = (uint16_t)(at - x->head);
	x->name_len = (uint16_t)n;
}

static void
refused(struct http_xchg *x, enum sl_up_verdict why)
{
	switch (why) {
	case SL_UP_NO_SERVICE:
		sl_http_try_failed(x, 0, 503, SL_RF_NC, SL_HTTP_CNT_NO_SERVICE);
		break;
	case SL_UP_NO_ENDPOINT:
		sl_http_try_failed(x, 0, 503, SL_RF_UH, SL_HTTP_CNT_NO_ENDPOINT);
		break;
	case SL_UP_OVERFLOW:
		sl_http_why(x, "max_pending");
		sl_http_try_failed(x, 0, 503, SL_RF_UO, SL_HTTP_CNT_OVERFLOW);
		break;
	case SL_UP_NO_MEMORY:
		sl_http_try_failed(x, 0, 503, SL_RF_OM | SL_RF_LR, SL_HTTP_CNT_NO_MEMORY);
		break;
	default:
		sl_http_try_failed(x, SL_RETRY_CONNECT, 503, SL_RF_UF, SL_HTTP_CNT_CONNECT_FAILED);
		break;
	}
}

/* No connection; the ticket says who was tried. */
static void
not_had(struct http_xchg *x, enum sl_up_verdict why)
{
	x->endpoint_slot = x->ticket.endpoint_slot;
	x->endpoint_incarnation = x->ticket.incarnation;
	refused(x, why);
}

void
sl_http_begin_try(struct http_xchg *x, struct sl_up *up)
{
	struct http_conn *c = x->of ? x->of->conn : x->conn;
	struct sl_http *h = x->http;

	if (sl_unlikely(x->hedges || x->hedge_left) && !(x->req.flags & PIPE_OVER))
		sl_http_hedge_only(x); /* a body goes one way */
	x->flags &= ~(unsigned)(XF_WAITS | XF_REUSED | XF_UP_TLS | XF_PAID);
	x->up = up;
	x->upstream = sl_up_stream(up);
	x->endpoint_slot = sl_up_endpoint(up);
	x->endpoint_incarnation = sl_up_incarnation(up);
	x->endpoint = sl_stream_row(x->upstream)->tuple.src;
	x->endpoint_port = sl_stream_row(x->upstream)->tuple.sport;
	if (sl_up_reused(up))
		x->flags |= XF_REUSED;
	if (sl_unlikely(sl_tls_info(x->upstream) != NULL))
		x->flags |= XF_UP_TLS;
	x->state = XCHG_SENT;
	x->seen = 0;
	x->head_sent = 0;
	x->sent_ns = http_now(h);
	sl_http_shape_look(x);
	if (c) {
		const struct sl_stream_row *row = sl_stream_row(c->client);
		sl_stream_label(c->client, c->listener_slot, x->service_slot, x->endpoint_slot,
				x->endpoint_incarnation, x->upstream);
		sl_stream_label(x->upstream, row->listener_slot, x->service_slot, x->endpoint_slot,
				x->endpoint_incarnation, c->client);
	} else {
		sl_stream_set_timer(x->upstream, HTTP_MIRROR_MS);
	}
	sl_http_request_go(x);
}

static void
mirror_yields(struct http_xchg *x)
{
	sl_upstream_cancel(x->http->upstream, &x->ticket);
	refused(x, SL_UP_OVERFLOW);
}

void
sl_http_ask_of(const struct http_xchg *x, struct sl_tuple *ret_client, struct sl_up_ask *ret_ask)
{
	*ret_client = (struct sl_tuple){.proto = SL_IPPROTO_TCP};
	if (x->conn) {
		*ret_client = sl_stream_row(x->conn->client)->tuple;
		ret_client->src = x->conn->peer;
		ret_client->sport = x->conn->peer_port;
	}
	*ret_ask = (struct sl_up_ask){
		.service_slot = x->service_slot,
		.service_incarnation = x->service_incarnation,
		.hashed = (x->flags & XF_HASHED) != 0,
		.avoid_cnt = x->avoid_cnt,
		.hash = x->hash,
		.subset = x->subset,
		.client = ret_client,
	};
	memcpy(ret_ask->avoid, x->avoid, sizeof(ret_ask->avoid));
	if (sl_unlikely(x->name_len)) {
		ret_ask->host = x->head + x->name_off;
		ret_ask->host_len = x->name_len;
	}
}

void
sl_http_ask(struct http_xchg *x)
{
	struct sl_http *h = x->http;
	struct sl_tuple client;
	struct sl_up_ask ask;
	struct sl_up *up = NULL;

	sl_http_ask_of(x, &client, &ask);
	x->tries++;
	x->sent_ns = 0;
	x->flags &= ~(unsigned)XF_TOLD;
	x->state = XCHG_ASKING;
	try_timed(x);
	if (sl_unlikely(x->hedge_left) && x->tries == 1)
		sl_http_hedge_begin(x);
	enum sl_up_verdict v = sl_upstream_ask(h->upstream, &x->ticket, &ask, &up);
	if (v == SL_UP_READY)
		sl_http_begin_try(x, up);
	else if (v == SL_UP_WAIT && (x->conn || x->ticket.up))
		x->flags |= XF_WAITS;
	else if (v == SL_UP_WAIT) /* a mirror does not queue where requests do */
		mirror_yields(x);
	else
		not_had(x, v);
}

static void
up_ready(struct sl_up_ticket *t, struct sl_up *up)
{
	struct http_xchg *x = xchg_of(t);

	if (sl_unlikely(x->flags & XF_HEDGE))
		sl_http_hedge_ready(x, up);
	else
		sl_http_begin_try(x, up);
}

static void
up_failed(struct sl_up_ticket *t, enum sl_up_verdict why, enum sl_stream_end end,
	  uint32_t endpoint_slot)
{
	struct http_xchg *x = xchg_of(t);

	(void)end, (void)endpoint_slot;
	x->flags &= ~(unsigned)XF_WAITS;
	not_had(x, why);
}

const struct sl_up_ops sl_http_up_ops = {.ready = up_ready, .failed = up_failed};

/* ---- the request ---- */

/* false: some of the head waits for room, or all of it for tokens. */
static bool
head_go(struct http_xchg *x)
{
	if (x->head_sent == x->head_len)
		return true;
	if (!(x->flags & XF_PAID) && !sl_http_shape_head(x, SL_TO_ENDPOINTS, x->head_len))
		return false;
	x->flags |= XF_PAID;
	x->head_sent +=
		sl_stream_write(x->upstream, x->head + x->head_sent, x->head_len - x->head_sent);
	if (x->head_sent == x->head_len)
		return true;
	sl_stream_wait_room(x->upstream, SL_MIN(x->head_len - x->head_sent, HTTP_ROOM));
	return false;
}

/* The client's body is not what it should be; its connection cannot go on. */
static void
body_broken(struct http_xchg *x, enum pipe_verdict v)
{
	struct http_conn *c = x->conn;

	x->flags &= ~(unsigned)XF_KEEP;
	if (v == PIPE_EARLY || x->state == XCHG_ANSWER) {
		x->rflags |= v == PIPE_EARLY ? SL_RF_DC : SL_RF_DPE;
		http_count(x->http,
			   v == PIPE_EARLY ? SL_HTTP_CNT_CLIENT_GONE : SL_HTTP_CNT_BAD_REQUEST);
		sl_http_conn_end(c, SL_END_ABORTED);
		return;
	}
	sl_http_up_drop(x, false);
	if (v == PIPE_LARGE)
		sl_http_local_error(x, 413, SL_RF_DPE, SL_HTTP_CNT_BODY_TOO_LARGE);
	else
		sl_http_local_error(x, 400, SL_RF_DPE, SL_HTTP_CNT_BAD_REQUEST);
}

/* A body that nobody wants: read over, so that the connection can go on, unless it is long. */
static void
body_unwanted(struct http_xchg *x)
{
	if (x->req.flags & PIPE_OVER || !(x->flags & XF_KEEP))
		return;
	x->req.out = SL_BODY_NONE;
	enum pipe_verdict v = sl_http_pipe(x->http, &x->req, x->conn->client, NULL);
	if (v == PIPE_DONE)
		sl_http_answer_go(x);
	else if (v != PIPE_MORE || x->req.moved > HTTP_DRAIN_MAX) {
		x->flags &= ~(unsigned)XF_KEEP;
		sl_http_answer_go(x);
	}
}

void
sl_http_request_go(struct http_xchg *x)
{
	if (x->state == XCHG_LOCAL) {
		body_unwanted(x);
		return;
	}
	if (x->state == XCHG_ASKING) /* a body waits until there is somebody for it */
		return;
	if (x->state == XCHG_OVER || !x->upstream || !head_go(x) || x->req.flags & PIPE_OVER)
		return;
	enum pipe_verdict v = sl_http_shape_pipe(x, SL_TO_ENDPOINTS);
	if (v == PIPE_DONE && x->state == XCHG_ANSWER) {
		sl_http_answer_go(x);
	} else if (v == PIPE_DONE) {
		sl_http_timed(x);
		try_timed(x);
	} else if (v >= PIPE_EARLY) {
		body_broken(x, v);
	}
}

/* ---- tunnels ---- */

/* false: an end that TLS did not announce. */
static bool
pump(struct http_xchg *x, struct sl_stream *from, struct sl_stream *to, enum sl_way way)
{
	const uint32_t shut = way == SL_TO_ENDPOINTS ? XF_TO_SHUT : XF_FROM_SHUT;
	struct http_pipe *p = way == SL_TO_ENDPOINTS ? &x->req : &x->ans;

	p->moved += sl_http_shape_forward(x, from, to, way);
	uint32_t left = sl_stream_readable_bytes(from);
	if (left) {
		if (!sl_http_shape_waits(x, way))
			sl_stream_wait_room(to, SL_MIN(left, 16384u));
	} else if (sl_stream_eof(from) && !(x->flags & shut)) {
		if (sl_unlikely(sl_stream_cut(from)))
			return false;
		x->flags |= shut;
		sl_stream_shutdown(to);
	}
	return true;
}

void
sl_http_tunnel_go(struct http_xchg *x)
{
	if (x->state != XCHG_TUNNEL || !x->upstream || !x->conn)
		return;
	if (!pump(x, x->conn->client, x->upstream, SL_TO_ENDPOINTS)) {
		x->rflags |= SL_RF_DC;
		sl_http_conn_end(x->conn, SL_END_ABORTED);
	} else if (!pump(x, x->upstream, x->conn->client, SL_TO_CLIENTS)) {
		x->rflags |= SL_RF_UC;
		sl_http_conn_end(x->conn, SL_END_ABORTED);
	}
}

/* ---- events of the endpoint's stream ---- */

static void
up_readable(struct sl_stream *s)
{
	struct http_xchg *x = xchg_of(sl_stream_user(s));

	if (x->state == XCHG_TUNNEL)
		sl_http_tunnel_go(x);
	else if (x->flags & XF_MIRROR)
		sl_http_mirror_readable(x);
	else
		sl_http_answer_go(x);
}

static void
up_writable(struct sl_stream *s)
{
	struct http_xchg *x = xchg_of(sl_stream_user(s));

	if (x->state == XCHG_TUNNEL)
		sl_http_tunnel_go(x);
	else
		sl_http_request_go(x);
}

/* Before any byte of the answer: somebody else may be asked.  Behind it, an answer that lasts until the connection ends is
 * whole with a FIN (sl_http_answer_go saw it), everything else is cut. */
static void
up_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct http_xchg *x = xchg_of(sl_stream_user(s));
	struct sl_up *up = x->up;

	x->up = NULL;
	x->upstream = NULL;
	sl_upstream_gone(x->http->upstream, up);
	if (x->flags & XF_MIRROR) {
		if (x->state == XCHG_ANSWER || !(x->flags & XF_REUSED))
			sl_http_told(x, SL_TRY_LOCAL);
		sl_http_xchg_end(x);
		return;
	}
	if (x->state == XCHG_TUNNEL && x->conn) {
		if (why == SL_END_OK) { /* the client's acknowledgement is left */
			struct http_conn *c = x->conn;
			c->x = NULL;
			x->conn = NULL;
			sl_http_xchg_end(x);
			sl_http_conn_close(c);
		} else {
			sl_http_conn_end(x->conn, SL_END_ABORTED);
		}
	} else if (x->state == XCHG_SENT) {
		unsigned kind = x->flags & XF_REUSED ? SL_RETRY_REUSED : SL_RETRY_RESET;
		if (kind == SL_RETRY_REUSED && x->retry_on & SL_RETRY_RESET)
			kind = SL_RETRY_RESET;
		sl_http_try_failed(x, kind, 502, SL_RF_UC, SL_HTTP_CNT_UPSTREAM_RESET);
	} else if (x->state == XCHG_ANSWER) {
		x->rflags |= SL_RF_UC;
		sl_http_told(x, SL_TRY_LOCAL);
		http_count(x->http, SL_HTTP_CNT_ANSWER_CUT);
		sl_http_conn_end(x->conn, SL_END_ABORTED);
	}
}

static void
up_timer(struct sl_stream *s)
{
	struct http_xchg *x = xchg_of(sl_stream_user(s));

	if (x->flags & XF_MIRROR)
		sl_http_try_failed(x, 0, 504, SL_RF_UT, SL_HTTP_CNT_TIMEOUT);
}

const struct sl_stream_ops sl_http_upstream_ops = {
	.readable = up_readable,
	.writable = up_writable,
	.timer = up_timer,
	.closed = up_closed,
};
