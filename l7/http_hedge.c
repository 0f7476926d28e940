/* Hedging: when no byte of an answer has come for a while, another endpoint is asked, too; the first answer goes on.
 *
 *   x, SENT ──────────────────────────────────── answer ─▶ passed on; hedges are cut
 *     └─ hedge_ms ─▶ hedge w ── answer ─▶ x has w's connection, its own try is cut
 *             └─ hedge_ms ─▶ another one, up to hedge_max
 *
 * A hedge is an exchange without a client, which sends the head of x.  Who was cut by us has not failed: nothing is told of it.
 * An answer that costs another try (5xx, codes that the route names) and a connection that fails count only when nothing else is
 * under way: then x goes on as after any try that came to nothing, so hedges and retries never run beside each other.
 *
 * A body is sent once.  A request with one has hedges only as long as it waits for its connection: the first connection has it.
 */
#include "l7/http_priv.h"

static uint32_t
now_ms(const struct http_xchg *x)
{
	return sl_tcp_now_ms(x->http->conf.tcp);
}

static struct http_xchg *
hedge_at(const struct http_xchg *x, uint32_t place1)
{
	return place1 ? &x->http->xchgs[place1 - 1] : NULL;
}

static bool
own_try(const struct http_xchg *x)
{
	return x->up || x->flags & XF_WAITS;
}

/* ---- ends ---- */

static void
leave(struct http_xchg *w)
{
	struct http_xchg *x = w->of;
	uint32_t place1 = (uint32_t)(w - x->http->xchgs) + 1, *at = &x->hedges;

	while (*at != place1)
		at = &hedge_at(x, *at)->next;
	*at = w->next;
	sl_http_xchg_end(w);
}

void
sl_http_hedge_only(struct http_xchg *x)
{
	x->hedge_left = 0;
	while (x->hedges)
		leave(hedge_at(x, x->hedges));
}

static void
avoid(struct http_xchg *x, uint32_t endpoint_slot)
{
	if (endpoint_slot != UINT32_MAX && x->avoid_cnt < SL_ARRAY_CNT(x->avoid))
		x->avoid[x->avoid_cnt++] = endpoint_slot;
}

bool
sl_http_hedge_instead(struct http_xchg *x)
{
	if (sl_likely(!x->hedges))
		return false;
	avoid(x, x->endpoint_slot);
	x->endpoint_slot = UINT32_MAX;
	x->flags |= XF_TOLD;
	x->state = XCHG_ASKING;
	x->try_timed = 0;
	x->seen = 0;
	return true;
}

/* Whether the answer is worth less than a try that is still under way. */
bool
sl_http_hedge_loses(const struct http_xchg *x, uint16_t status)
{
	return status >= 500 || sl_http_retry_kind(x, status);
}

void
sl_http_hedge_failed(struct http_xchg *w, unsigned kind, uint16_t status, uint32_t rflags,
		     unsigned code)
{
	struct http_xchg *x = w->of;

	if (kind != SL_RETRY_REUSED && !(rflags & (SL_RF_LR | SL_RF_UO | SL_RF_UH)))
		sl_http_told(w, SL_TRY_LOCAL);
	bool last = x->hedges == (uint32_t)(w - x->http->xchgs) + 1 && !w->next && !own_try(x);
	if (!last) {
		avoid(x, w->endpoint_slot);
		leave(w);
		return;
	}
	x->endpoint_slot = w->endpoint_slot;
	x->endpoint_incarnation = w->endpoint_incarnation;
	x->endpoint = w->endpoint;
	x->endpoint_port = w->endpoint_port;
	leave(w);
	sl_http_try_failed(x, kind, status, rflags, code);
}

void
sl_http_hedge_doomed(struct http_xchg *x, bool (*is_doomed)(struct http_xchg *w))
{
	struct http_xchg *w = hedge_at(x, x->hedges), *next;

	for (; w; w = next) {
		next = hedge_at(x, w->next);
		if (!is_doomed(w))
			continue;
		http_count(x->http, SL_HTTP_CNT_DROPPED_ADMIN);
		sl_http_hedge_failed(w, SL_RETRY_RESET, 503, SL_RF_LR, SL_HTTP_CNT_NO_ENDPOINT);
	}
}

/* ---- the first answer ---- */

/* The connection that w is sent on becomes x's. */
static void
take_over(struct http_xchg *x, struct http_xchg *w)
{
	const unsigned of_try = XF_REUSED | XF_UP_TLS | XF_TOLD | XF_DOOMED | XF_SHAPED | XF_PAID;

	sl_http_up_drop(x, false);
	x->up = w->up;
	x->upstream = w->upstream;
	w->up = NULL;
	w->upstream = NULL;
	sl_stream_attach(x->upstream, &sl_http_upstream_ops, &x->ticket);
	x->ticket.endpoint_slot = x->endpoint_slot = w->endpoint_slot;
	x->ticket.incarnation = x->endpoint_incarnation = w->endpoint_incarnation;
	x->endpoint = w->endpoint;
	x->endpoint_port = w->endpoint_port;
	x->sent_ns = w->sent_ns;
	x->head_sent = w->head_sent;
	x->flags = (x->flags & ~of_try) | (w->flags & of_try);
	x->state = XCHG_SENT;
	x->try_timed = 0;
	x->seen = 0;
	http_count(x->http, SL_HTTP_CNT_HEDGE_WON);
	sl_http_hedge_only(x);
}

bool
sl_http_hedge_came(struct http_xchg *w, const struct sl_http_head *head, uint32_t consumed)
{
	struct http_xchg *x = w->of;

	if (head->status == 101 || (head->status < 200 && w->interims++ == HTTP_INTERIMS_MAX)) {
		sl_http_hedge_failed(w, 0, 502, SL_RF_UPE, SL_HTTP_CNT_UPSTREAM_BAD);
		return false;
	}
	if (head->status < 200) {
		sl_stream_consume(w->upstream, consumed);
		return true;
	}
	bool others = own_try(x) || w->next || x->hedges != (uint32_t)(w - x->http->xchgs) + 1;
	if (others && sl_http_hedge_loses(x, head->status)) {
		sl_http_told(w, SL_MAX(sl_http_try_of(head->status), SL_TRY_5XX));
		avoid(x, w->endpoint_slot);
		leave(w);
		return false;
	}
	take_over(x, w);
	sl_http_answer_go(x);
	return false;
}

/* ---- another try ---- */

static bool
answer_began(const struct http_xchg *x)
{
	return x->upstream && (x->interims || sl_stream_readable_bytes(x->upstream));
}

/* Whether one of the tries, x's own among them, has heard something; so that it is worth waiting for. */
static bool
any_began(const struct http_xchg *x)
{
	const struct http_xchg *w = hedge_at(x, x->hedges);

	for (; w; w = hedge_at(x, w->next))
		if (answer_began(w))
			return true;
	return answer_began(x);
}

static bool
is_asked(const struct http_xchg *x, uint32_t endpoint_slot)
{
	const struct http_xchg *w = hedge_at(x, x->hedges);

	for (; w; w = hedge_at(x, w->next))
		if (w->ticket.endpoint_slot == endpoint_slot)
			return true;
	for (unsigned i = 0; i < x->avoid_cnt; i++)
		if (x->avoid[i] == endpoint_slot)
			return true;
	return own_try(x) && x->ticket.endpoint_slot == endpoint_slot;
}

/* Those that were tried, and those that are asked now. */
static void
avoid_asked(const struct http_xchg *x, struct sl_up_ask *ask)
{
	const struct http_xchg *w = hedge_at(x, x->hedges);

	if (own_try(x) && x->ticket.endpoint_slot != UINT32_MAX &&
	    ask->avoid_cnt < SL_ARRAY_CNT(ask->avoid))
		ask->avoid[ask->avoid_cnt++] = x->ticket.endpoint_slot;
	for (; w && ask->avoid_cnt < SL_ARRAY_CNT(ask->avoid); w = hedge_at(x, w->next))
		ask->avoid[ask->avoid_cnt++] = w->ticket.endpoint_slot;
}

/* An exchange beside x; NULL: breaker, budget or memory does not allow it. */
static struct http_xchg *
hedge_new(struct http_xchg *x)
{
	struct sl_http *h = x->http;
	const struct sl_http_env *env = &h->conf.env;
	const struct sl_img_service *svc =
		env->service(env->ctx, x->service_slot, x->service_incarnation);

	if (!svc || !sl_limit_retry(h->limits, x->service_slot, &svc->http, http_now(h)))
		return NULL;
	struct http_xchg *w = sl_http_xchg_new(h);
	if (!w) {
		sl_limit_give(h->limits, x->service_slot, SL_LIMIT_RETRIES);
		return NULL;
	}
	w->flags = XF_HEDGE | XF_RETRY_LIMIT;
	w->of = x;
	w->state = XCHG_ASKING;
	w->method = x->method;
	w->version = 11;
	w->head = x->head;
	w->head_len = x->head_len;
	w->req.flags = PIPE_OVER;
	w->service_slot = x->service_slot;
	w->service_incarnation = x->service_incarnation;
	w->retry_on = x->retry_on;
	w->route_slot = w->vhost_slot = w->table_slot = UINT32_MAX;
	return w;
}

/* Nobody is asked twice at a time, and no request waits behind a hedge: false: there is no other endpoint, which ends it, or no
 * room. */
static bool
ask(struct http_xchg *x, struct http_xchg *w)
{
	struct sl_upstream *u = x->http->upstream;
	struct sl_tuple client;
	struct sl_up_ask how;
	struct sl_up *up = NULL;

	sl_http_ask_of(x, &client, &how);
	avoid_asked(x, &how);
	enum sl_up_verdict v = sl_upstream_ask(u, &w->ticket, &how, &up);
	w->endpoint_slot = w->ticket.endpoint_slot;
	w->endpoint_incarnation = w->ticket.incarnation;
	bool other = !is_asked(x, w->endpoint_slot);
	if (v == SL_UP_READY && other) {
		w->up = up;
		return true;
	}
	if (v == SL_UP_WAIT && w->ticket.up && other) {
		w->flags |= XF_WAITS;
		return true;
	}
	if (!other)
		x->hedge_left = 0;
	if (v == SL_UP_READY)
		sl_upstream_put(u, up, true);
	else if (v == SL_UP_WAIT)
		sl_upstream_cancel(u, &w->ticket);
	else if (v == SL_UP_FAILED)
		sl_http_told(w, SL_TRY_LOCAL);
	return false;
}

static void
hedge(struct http_xchg *x)
{
	struct sl_http *h = x->http;

	x->hedge_at = now_ms(x) + x->hedge_ms;
	if (any_began(x)) {
		x->hedge_left = 0;
		return;
	}
	if (!own_try(x) && !x->hedges) /* between two tries */
		return;
	x->hedge_left--;
	struct http_xchg *w = hedge_new(x);
	if (!w || !ask(x, w)) {
		http_count(h, SL_HTTP_CNT_HEDGE_LIMIT);
		if (w)
			sl_http_xchg_end(w);
		return;
	}
	w->next = x->hedges;
	x->hedges = (uint32_t)(w - h->xchgs) + 1;
	x->tries++;
	x->hedged++;
	http_count(h, SL_HTTP_CNT_HEDGE);
	if (x->try_ms && x->req.flags & PIPE_OVER) {
		w->try_timed = 1;
		w->try_due = now_ms(x) + x->try_ms;
	}
	if (w->up)
		sl_http_hedge_ready(w, w->up);
}

void
sl_http_hedge_ready(struct http_xchg *w, struct sl_up *up)
{
	struct http_xchg *x = w->of;

	w->flags &= ~(unsigned)XF_WAITS;
	if (x->req.flags & PIPE_OVER) {
		sl_http_begin_try(w, up);
		return;
	}
	w->up = NULL;
	sl_http_up_drop(x, false);
	sl_stream_attach(sl_up_stream(up), &sl_http_upstream_ops, &x->ticket);
	http_count(x->http, SL_HTTP_CNT_HEDGE_WON);
	x->ticket.endpoint_slot = sl_up_endpoint(up);
	x->ticket.incarnation = sl_up_incarnation(up);
	x->flags &= ~(unsigned)XF_TOLD;
	sl_http_begin_try(x, up); /* and nobody else is asked */
}

/* ---- time ---- */

void
sl_http_hedge_begin(struct http_xchg *x)
{
	if (x->flags & XF_UPGRADE) {
		x->hedge_left = 0;
		return;
	}
	x->hedge_at = now_ms(x) + x->hedge_ms;
	sl_http_xchg_due(x);
}

static uint32_t
ms_to(uint32_t due_ms, uint32_t now)
{
	return (int32_t)(due_ms - now) <= 0 ? 0 : due_ms - now;
}

uint32_t
sl_http_hedge_due(const struct http_xchg *x, uint32_t now)
{
	uint32_t next = x->hedge_left ? ms_to(x->hedge_at, now) : UINT32_MAX;
	const struct http_xchg *w = hedge_at(x, x->hedges);

	for (; w; w = hedge_at(x, w->next))
		if (w->try_timed)
			next = SL_MIN(next, ms_to(w->try_due, now));
	return next;
}

void
sl_http_hedge_late(struct http_xchg *x, uint32_t now)
{
	struct http_xchg *w = hedge_at(x, x->hedges);

	while (w && !(w->try_timed && ms_to(w->try_due, now) == 0))
		w = hedge_at(x, w->next);
	if (w) {
		http_count(x->http, SL_HTTP_CNT_TRY_TIMEOUT);
		sl_http_hedge_failed(w, SL_RETRY_TIMEOUT, 504, SL_RF_UT, SL_HTTP_CNT_TIMEOUT);
	} else if (x->hedge_left && ms_to(x->hedge_at, now) == 0) {
		hedge(x);
	}
}
