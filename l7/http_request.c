/* A head becomes an exchange: host → virtual host, path → normal form, conditions → route, action.
 *
 * The head that goes to the endpoint, the edits of the answer and the strings of the access log are written once, into one
 * piece of memory of the exchange: tries repeat it, and no table is needed afterwards.
 */
#include "l7/http_priv.h"

#include "l7/xfcc.h"
#include "lb/choose.h"

#include <stdio.h>

static struct sl_bytes
bytes_of(const struct sl_http_head *head, uint32_t off, uint32_t len)
{
	return (struct sl_bytes){head->bytes + off, len};
}

static struct sl_bytes
str(const uint8_t *strs, struct sl_img_str s)
{
	return (struct sl_bytes){strs + s.off, s.len};
}

static const void *
section(const struct sl_img_vhost *v, uint32_t off)
{
	return (const char *)v + off;
}

/* ---- which route ---- */

static void
refuse(struct http_decision *d, uint16_t status, uint32_t rflags, unsigned count, const char *text)
{
	d->status = status;
	d->rflags = rflags;
	d->count = count;
	d->text = text;
}

static bool
path_of(struct sl_http *h, const struct sl_img_http *img, const struct sl_http_head *head,
	struct http_decision *d)
{
	uint32_t len;

	d->path = bytes_of(head, head->path, head->path_len);
	if (head->query)
		d->query = bytes_of(head, head->query, head->query_len);
	if (head->flags & SL_HEAD_STAR)
		return true;
	switch (sl_path_normalise(d->path.at, d->path.len, img->slash_2f, img->merge_slashes,
				  h->path, &len)) {
	case SL_PATH_SAME:
		return true;
	case SL_PATH_CHANGED:
		d->path = (struct sl_bytes){h->path, len};
		return true;
	default:
		return false;
	}
}

void
sl_http_decide(struct sl_http *h, const struct sl_http_rule *rule, const struct sl_http_head *head,
	       struct sl_bytes identity, struct http_decision *ret)
{
	const struct sl_table *t = rule->table;

	*ret = (struct http_decision){0};
	if (head->method == SL_METHOD_CONNECT) {
		refuse(ret, 405, SL_RF_NR, SL_HTTP_CNT_METHOD_REFUSED, "CONNECT is not offered");
		return;
	}
	if (!path_of(h, &t->img->http, head, ret)) {
		refuse(ret, 400, SL_RF_DPE, SL_HTTP_CNT_BAD_PATH, "the path has no normal form");
		return;
	}
	uint32_t vhost = sl_hosts_find(t->hosts, head->bytes + head->host, head->host_len);
	if (vhost == SL_MATCH_NONE) {
		refuse(ret, 404, SL_RF_NR, SL_HTTP_CNT_NO_HOST, "no virtual host has the name");
		return;
	}
	ret->vhost = &rule->vhosts[vhost];
	const struct sl_img_vhost *v = ret->vhost->img;
	ret->strs = section(v, v->str_off);
	const struct sl_match_input in = {
		.head = head,
		.path = ret->path.at,
		.query = ret->query.at,
		.path_len = ret->path.len,
		.query_len = ret->query.len,
		.identity = identity.at,
		.identity_len = identity.len,
	};
	uint32_t route = sl_match_find(ret->vhost->match, &in, rule->scratch, &h->match);
	if (route == SL_MATCH_NONE) {
		refuse(ret, 404, SL_RF_NR, SL_HTTP_CNT_NO_ROUTE, "no route matches");
		return;
	}
	ret->route = (const struct sl_img_http_route *)section(v, v->route_off) + route;
}

/* ---- which service ---- */

static uint64_t
hash_bytes(const void *p, size_t n)
{
	return sl_hash_name(0x68747470, p, n, 0);
}

uint64_t
sl_http_hash(const void *value, size_t len)
{
	return hash_bytes(value, len);
}

static bool
header_hash(const struct sl_http_head *head, struct sl_bytes name, uint64_t *ret)
{
	unsigned i = sl_http_find(head, name.at, name.len, sl_http_name_hash(name.at, name.len), 0);

	if (i >= head->line_cnt)
		return false;
	*ret = hash_bytes(head->bytes + head->line[i].value, head->line[i].value_len);
	return true;
}

static bool
cookie_hash(const struct sl_http_head *head, struct sl_bytes name, uint64_t *ret)
{
	const uint8_t *v;
	uint32_t len;

	if (!sl_cookie_find(head, name.at, name.len, &v, &len))
		return false;
	*ret = hash_bytes(v, len);
	return true;
}

bool
sl_http_hash_on(const struct sl_img_service *svc, const struct sl_http_head *head,
		const struct http_decision *d, const struct sl_addr *peer, uint64_t *ret)
{
	const struct sl_img_http_service *s = &svc->http;
	struct sl_bytes name = {(const uint8_t *)s->hash_name, 0};
	uint8_t buf[256];
	const uint8_t *v;
	uint32_t len;

	name.len = (uint32_t)strnlen(s->hash_name, SL_NAME_MAX);
	switch (s->hash_on) {
	case SL_HASH_ON_SOURCE:
		*ret = hash_bytes(peer, sizeof(*peer));
		return true;
	case SL_HASH_ON_HEADER:
		return header_hash(head, name, ret);
	case SL_HASH_ON_COOKIE:
		return cookie_hash(head, name, ret);
	default:
		if (!sl_query_find(d->query.at, d->query.len, name.at, name.len, buf, sizeof(buf),
				   &v, &len))
			return false;
		*ret = hash_bytes(v, len);
		return true;
	}
}

const struct sl_img_target *
sl_http_target(struct sl_http *h, const struct http_decision *d, const struct sl_http_head *head,
	       const struct sl_addr *peer)
{
	const struct sl_img_http_route *r = d->route;
	const struct sl_img_vhost *v = d->vhost->img;
	const struct sl_img_target *t =
		(const struct sl_img_target *)section(v, v->target_off) + r->target_first;
	uint64_t at = 0;

	if (r->target_cnt == 1)
		return t;
	bool kept = r->sticky == SL_STICKY_HEADER
			    ? header_hash(head, str(d->strs, r->sticky_name), &at)
		    : r->sticky == SL_STICKY_COOKIE
			    ? cookie_hash(head, str(d->strs, r->sticky_name), &at)
			    : r->sticky == SL_STICKY_SOURCE;
	if (!kept)
		at = d->drawn ? d->drawn_hash : sl_http_random(h);
	else if (r->sticky == SL_STICKY_SOURCE)
		at = hash_bytes(peer, sizeof(*peer));
	uint64_t point = (uint64_t)(((unsigned __int128)at * r->weight_sum) >> 64);
	for (uint32_t i = 0; i < r->target_cnt; i++) {
		if (point < t[i].weight)
			return &t[i];
		point -= t[i].weight;
	}
	return t;
}

uint64_t
sl_http_subset(const struct sl_img_service *svc, const struct sl_img_target *t)
{
	const struct sl_img_subset *subsets =
		(const struct sl_img_subset *)((const char *)svc + svc->subset_off);

	if (sl_likely(t->subset == 0))
		return 0;
	return t->subset <= svc->subset_cnt ? sl_choose_subset(subsets[t->subset - 1].name)
					    : SL_CHOOSE_NO_SUBSET;
}

/* ---- the exchange ---- */

static struct sl_edits
edits_of(const struct http_decision *d, unsigned way)
{
	const struct sl_img_vhost *v = d->vhost->img;
	const struct sl_img_edit *e = section(v, v->edit_off);

	return (struct sl_edits){e + d->route->edit_first[way], d->strs, d->route->edit_cnt[way]};
}

static void
put_edit(struct sl_http *h, uint32_t i, const struct sl_img_edit *e, const uint8_t *strs,
	 uint32_t *at)
{
	struct sl_img_edit *to = &h->answer_edits[i];

	*to = *e;
	to->name.off = *at;
	memcpy(h->answer_text + *at, strs + e->name.off, e->name.len);
	*at += e->name.len;
	to->value.off = *at;
	memcpy(h->answer_text + *at, strs + e->value.off, e->value.len);
	*at += e->value.len;
}

static __attribute__((noinline)) struct sl_edits
edits_and_policy(struct sl_http *h, const struct http_decision *d, struct sl_edits own)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < own.cnt; i++)
		put_edit(h, i, &own.edit[i], own.strs, &at);
	for (uint32_t i = 0; i < d->edit_cnt; i++)
		put_edit(h, own.cnt + i, &h->policy_edits[i], h->policy_text, &at);
	return (struct sl_edits){h->answer_edits, h->answer_text, own.cnt + d->edit_cnt};
}

/* Of the answer: the route's edits, then those of policy. */
static inline struct sl_edits
answer_edits(struct sl_http *h, const struct http_decision *d)
{
	struct sl_edits own = d->route ? edits_of(d, 1) : (struct sl_edits){0};

	return sl_likely(d->edit_cnt == 0) ? own : edits_and_policy(h, d, own);
}

static uint32_t
edits_bytes(const struct sl_edits *e)
{
	uint32_t n = e->cnt * (uint32_t)sizeof(struct sl_img_edit);

	for (uint32_t i = 0; i < e->cnt; i++)
		n += e->edit[i].name.len + e->edit[i].value.len;
	return (n + 7) & ~7u;
}

/* Edits with their own strings, as they are used later without the table. */
static void
edits_copy(struct http_xchg *x, const struct sl_edits *e, uint32_t off)
{
	struct sl_img_edit *to = (void *)(x->head + off);
	uint8_t *strs = (uint8_t *)(to + e->cnt);
	uint32_t at = 0;

	x->edits_off = off;
	x->strs_off = off + e->cnt * (uint32_t)sizeof(*to);
	x->edit_cnt = (uint16_t)e->cnt;
	for (uint32_t i = 0; i < e->cnt; i++) {
		to[i] = e->edit[i];
		memcpy(strs + at, e->strs + to[i].name.off, to[i].name.len);
		to[i].name.off = at;
		at += to[i].name.len;
		memcpy(strs + at, e->strs + to[i].value.off, to[i].value.len);
		to[i].value.off = at;
		at += to[i].value.len;
	}
}

static void
id_new(struct sl_http *h)
{
	uint64_t random[2] = {sl_http_random(h), sl_http_random(h)};

	sl_request_id((const uint8_t *)random, h->request_id);
}

/* Memory for the head (head_len bytes, at h->out), the answer's edits and the record; false: there is none. */
static bool
keep(struct http_xchg *x, const struct http_decision *d, const struct sl_http_head *head,
     uint32_t head_len)
{
	struct sl_http *h = x->http;
	struct sl_edits edits = {0};
	uint32_t at = (head_len + 7) & ~7u, edits_len = 0, record = 0;

	if (d->route && !d->status) {
		edits = answer_edits(h, d);
		edits_len = edits_bytes(&edits);
	}
	if (x->flags & XF_LOG)
		record = sl_http_record_bytes(x->conn, head);
	if (at + edits_len + record == 0)
		return true;
	if (at + edits_len + record > SL_ARENA_MAX)
		return false;
	x->head = sl_arena_take(h->arena, at + edits_len + record, &x->head_room);
	if (!x->head)
		return false;
	memcpy(x->head, h->out, head_len);
	x->head_len = head_len;
	edits_copy(x, &edits, at);
	x->policy_edits = edits.cnt ? d->edit_cnt : 0;
	x->record_off = at + edits_len;
	if (record && head_len == 0) /* what is forwarded has one in its head */
		id_new(h);
	if (record)
		sl_http_record(x, head, x->head + x->record_off);
	if (sl_unlikely(*d->why))
		sl_http_why(x, d->why);
	return true;
}

static bool
idempotent(uint8_t method)
{
	return method == SL_METHOD_GET || method == SL_METHOD_HEAD || method == SL_METHOD_PUT ||
	       method == SL_METHOD_DELETE || method == SL_METHOD_OPTIONS ||
	       method == SL_METHOD_TRACE;
}

static struct http_xchg *
xchg_begin(struct http_conn *c, const struct sl_http_rule *rule, const struct sl_http_head *head)
{
	const struct sl_img_http *img = &rule->table->img->http;
	struct http_xchg *x = sl_http_xchg_new(c->http);

	if (!x)
		return NULL;
	x->conn = c;
	x->state = XCHG_ASKING;
	x->version = head->version;
	x->method = head->method;
	x->start_ns = c->head_ns;
	x->generation = rule->generation;
	x->table_slot = rule->table->slot;
	x->vhost_slot = UINT32_MAX;
	x->route_slot = UINT32_MAX;
	x->service_slot = UINT32_MAX;
	x->stream_idle_ms = img->stream_idle_ms;
	x->req = (struct http_pipe){
		.in = head->body,
		.out = head->body,
		.left = head->body == SL_BODY_LENGTH ? head->length : 0,
		.max = img->max_body,
	};
	if (head->body == SL_BODY_NONE || (head->body == SL_BODY_LENGTH && head->length == 0))
		x->req.flags = PIPE_OVER;
	bool last = c->ending || (img->conn_requests && c->requests >= img->conn_requests);
	x->flags =
		((head->flags & SL_HEAD_KEEP) && !last ? XF_KEEP : 0u) |
		(head->flags & SL_HEAD_CONTINUE && !(x->req.flags & PIPE_OVER) ? XF_CONTINUE : 0u) |
		(head->method == SL_METHOD_HEAD ? XF_HEAD : 0u) |
		(idempotent(head->method) ? XF_RETRYABLE : 0u) | (img->log ? XF_LOG : 0u);
	c->x = x;
	c->state = CONN_BUSY;
	return x;
}

/* What policy says of tries: only what may be done twice is tried beside itself. */
static void
policy_numbers(struct http_xchg *x, const struct http_decision *d)
{
	const struct sl_img_policy *p = d->policy;

	if (!p->hedge_ms || !(x->flags & XF_RETRYABLE))
		return;
	x->hedge_ms = p->hedge_ms;
	x->hedge_at = sl_tcp_now_ms(x->http->conf.tcp) + d->delay_ms + p->hedge_ms;
	x->hedge_left = (uint8_t)p->hedge_max;
}

static void
route_numbers(struct http_xchg *x, const struct http_decision *d)
{
	const struct sl_img_http_route *r = d->route;

	x->vhost_slot = d->vhost->slot;
	x->route_slot = r->slot;
	x->timeout_ms = r->timeout_ms;
	x->try_ms = r->try_ms;
	if (r->stream_idle_ms)
		x->stream_idle_ms = r->stream_idle_ms;
	x->retries = r->retries;
	x->retry_on = r->retry_on;
	memcpy(x->retry_codes, r->retry_codes, sizeof(x->retry_codes));
	x->backoff_ms = r->backoff_ms;
	x->backoff_max_ms = r->backoff_max_ms;
	if (sl_unlikely(d->policy))
		policy_numbers(x, d);
	sl_http_xchg_due(x);
	if (x->req.flags & PIPE_OVER && !d->delay_ms)
		sl_http_timed(x);
}

/* ---- what is answered here ---- */

static void
respond(struct http_xchg *x, const struct http_decision *d, uint32_t consumed)
{
	const struct sl_img_http_route *r = d->route;
	const struct http_local l = {
		.status = r->code,
		.body = str(d->strs, r->body),
		.content_type = str(d->strs, r->content_type),
		.edits = answer_edits(x->http, d),
	};

	sl_stream_consume(x->conn->client, consumed);
	sl_http_local(x, &l);
}

static void
redirect(struct http_xchg *x, const struct http_decision *d, const struct sl_http_head *head,
	 uint32_t consumed)
{
	struct sl_http *h = x->http;
	/* behind the room that the answer itself is written to */
	uint8_t *to = h->out + HTTP_OUT / 2;
	uint32_t n = sl_redirect_location(to, HTTP_OUT / 2, d->vhost->img, d->route, &h->match,
					  head, d->path, x->conn->tls);

	sl_stream_consume(x->conn->client, consumed);
	if (n == 0) {
		sl_http_local_error(x, 431, SL_RF_DPE, SL_HTTP_CNT_HEAD_TOO_LARGE);
		return;
	}
	const struct http_local l = {
		.status = d->route->code,
		.location = {to, n},
		.edits = answer_edits(h, d),
	};
	sl_http_local(x, &l);
}

/* ---- what is forwarded ---- */

/* A request without any host (HTTP/1.0) was sent to the listener's address, and HTTP/1.1 wants one (RFC 9112, 3.3). */
static struct sl_bytes
listener_host(struct http_conn *c)
{
	const struct sl_tuple *t = &sl_stream_row(c->client)->tuple;
	char *to = c->http->address, text[SL_ADDR_STRLEN];
	bool v4 = sl_addr_is_v4(&t->dst);
	int n = snprintf(to, sizeof(c->http->address), v4 ? "%s:%u" : "[%s]:%u",
			 sl_addr_format(&t->dst, text), sl_from_be16(t->dport));

	return (struct sl_bytes){(const uint8_t *)to, (uint32_t)n};
}

/* What endpoints are told of the client's certificate: only what was verified. */
static void
client_cert(struct http_conn *c, const struct sl_http_rule *rule, struct sl_head_request *how)
{
	const struct sl_tls_peer *peer = sl_http_peer(c);

	if (!peer || !rule->tls || rule->tls->xfcc == SL_XFCC_SANITIZE)
		return;
	how->xfcc = rule->tls->xfcc;
	if (how->xfcc != SL_XFCC_FORWARD)
		how->cert = (struct sl_bytes){c->http->cert, sl_xfcc_write(c->http->cert, peer)};
}

/* The head as endpoints get it, in h->out; its length, 0: it does not fit. */
static uint32_t
write_head(struct http_xchg *x, const struct sl_http_rule *rule, const struct http_decision *d,
	   const struct sl_http_head *head, struct sl_head_request *ret_how)
{
	struct sl_http *h = x->http;
	const struct sl_img_http_route *r = d->route;
	uint8_t *path = h->out + HTTP_OUT / 2;

	*ret_how = (struct sl_head_request){
		.path = d->path,
		.query = d->query,
		.host = str(d->strs, r->host),
		.before = {h->tokens.edits, h->tokens.text, d->request_edits},
		.edits = edits_of(d, 0),
		.client = x->conn->peer,
		.https = x->conn->tls,
		.trusted_hops = rule->table->img->http.trusted_hops,
		.upgrade = (x->flags & XF_UPGRADE) != 0,
	};
	if (sl_unlikely(x->conn->tls))
		client_cert(x->conn, rule, ret_how);
	if (sl_unlikely(r->host.len == 0 && head->authority_len == 0))
		ret_how->host = listener_host(x->conn);
	id_new(h);
	memcpy(ret_how->request_id, h->request_id, sizeof(h->request_id));
	if (r->rewrite != SL_REWRITE_NONE) {
		uint32_t n = sl_rewrite_path(path, HTTP_OUT / 2, d->vhost->img, r, &h->match,
					     d->path.at, d->path.len);
		if (n == 0)
			return 0;
		ret_how->path = (struct sl_bytes){path, n};
	}
	return sl_head_write_request(h->out, HTTP_OUT / 2, head, ret_how);
}

/* A place among the requests of the service, and which of its endpoints: false: answered. */
static bool
claim(struct http_xchg *x, const struct sl_img_service *svc)
{
	struct sl_http *h = x->http;

	if (!svc) {
		sl_http_local_error(x, 503, SL_RF_NC, SL_HTTP_CNT_NO_SERVICE);
		return false;
	}
	if (!sl_limit_take(h->limits, x->service_slot, SL_LIMIT_REQUESTS, svc->http.max_requests)) {
		sl_http_why(x, "max_requests");
		sl_http_local_error(x, 503, SL_RF_UO, SL_HTTP_CNT_OVERFLOW);
		return false;
	}
	x->flags |= XF_REQUEST_LIMIT;
	if (sl_likely(!svc->http.adaptive_min))
		return true;
	if (!sl_adaptive_take(&h->adaptive[x->service_slot], x->service_incarnation,
			      svc->http.adaptive_min)) {
		sl_http_why(x, "adaptive");
		if (h->conf.service_stats)
			h->conf.service_stats[x->service_slot].adaptive_refused++;
		sl_http_local_error(x, 503, SL_RF_UO, SL_HTTP_CNT_OVERFLOW);
		return false;
	}
	x->flags |= XF_ADAPTIVE;
	return true;
}

static void answer(struct http_conn *c, const struct http_decision *d,
		   const struct sl_http_head *head, uint32_t consumed);

static void
forward(struct http_conn *c, const struct sl_http_rule *rule, struct http_decision *d,
	const struct sl_http_head *head, uint32_t consumed)
{
	struct http_xchg *x = c->x;
	struct sl_http *h = c->http;
	const struct sl_img_target *t = sl_http_target(h, d, head, &c->peer);
	const struct sl_img_service *svc =
		h->conf.env.service(h->conf.env.ctx, t->service, (uint16_t)t->incarnation);
	struct sl_head_request how;

	x->service_slot = t->service;
	x->service_incarnation = (uint16_t)t->incarnation;
	x->subset = svc ? sl_http_subset(svc, t) : 0;
	if (svc && sl_unlikely(svc->rate_cnt)) {
		const struct http_ask who = {.peer = c->peer, .identity = sl_http_identity(c)};
		if (!sl_http_service_rates(h, svc, &who, head, d, false)) {
			answer(c, d, head, consumed);
			return;
		}
	}
	if (head->flags & SL_HEAD_UPGRADE && (x->req.flags & PIPE_OVER) && head->version == 11)
		x->flags |= XF_UPGRADE;
	if (sl_unlikely(d->policy != NULL) && sl_http_fault_by_header(d))
		sl_http_fault_hide(&h->head);
	uint32_t n = write_head(x, rule, d, head, &how);
	if (n == 0 || !keep(x, d, head, n)) {
		sl_stream_consume(c->client, consumed);
		sl_http_local_error(x, n ? 503 : 431, n ? SL_RF_OM : SL_RF_DPE,
				    n ? SL_HTTP_CNT_NO_MEMORY : SL_HTTP_CNT_HEAD_TOO_LARGE);
		return;
	}
	if (svc && svc->tls_off)
		sl_http_named(x, false);
	if (svc && sl_http_hash_on(svc, head, d, &c->peer, &x->hash))
		x->flags |= XF_HASHED;
	if (d->route->mirror_cnt && !d->fault_status)
		sl_http_mirror(c, rule, d, head, consumed, &how);
	sl_stream_consume(c->client, consumed);
	if (sl_unlikely(d->delay_ms))
		sl_http_fault_wait(x, d);
	else if (claim(x, svc))
		sl_http_ask(x);
}

void
sl_http_go_on(struct http_xchg *x)
{
	const struct sl_http_env *env = &x->http->conf.env;

	if (claim(x, env->service(env->ctx, x->service_slot, x->service_incarnation)))
		sl_http_ask(x);
}

/* ---- what policy answers ---- */

static void
answered(struct http_xchg *x, const struct http_decision *d)
{
	const char *text = d->text ? d->text : sl_status_text(d->status);
	char body[160];
	int n = d->status == 204 ? 0 : snprintf(body, sizeof(body), "%s\n", text);
	struct http_local l = {.status = d->status};

	x->rflags |= d->rflags;
	http_count(x->http, d->count);
	l.edits = (struct sl_edits){x->http->policy_edits, x->http->policy_text, d->edit_cnt};
	if (n > 0) {
		l.body = (struct sl_bytes){(const uint8_t *)body,
					   SL_MIN((uint32_t)n, (uint32_t)sizeof(body) - 1)};
		l.content_type = (struct sl_bytes){(const uint8_t *)"text/plain", 10};
	}
	sl_http_local(x, &l);
}

static void
answer(struct http_conn *c, const struct http_decision *d, const struct sl_http_head *head,
       uint32_t consumed)
{
	struct http_xchg *x = c->x;

	if (!keep(x, d, head, 0))
		x->flags &= ~(unsigned)XF_LOG;
	sl_stream_consume(c->client, consumed);
	sl_http_xchg_due(x);
	answered(x, d);
}

/* ---- a head ---- */

static void
act(struct http_conn *c, const struct sl_http_rule *rule, struct http_decision *d,
    const struct sl_http_head *head, uint32_t consumed)
{
	struct http_xchg *x = c->x;

	route_numbers(x, d);
	x->req.flags |= d->bare ? PIPE_BARE : 0;
	if (d->route->action == SL_ACTION_FORWARD) {
		forward(c, rule, d, head, consumed);
		return;
	}
	if (!keep(x, d, head, 0))
		x->flags &= ~(unsigned)XF_LOG;
	x->edit_cnt = x->policy_edits = 0; /* these answers are edited from the table itself */
	if (d->route->action == SL_ACTION_RESPOND)
		respond(x, d, consumed);
	else
		redirect(x, d, head, consumed);
}

void
sl_http_handle(struct http_conn *c, const struct sl_http_rule *rule,
	       const struct sl_http_head *head, uint32_t consumed)
{
	struct sl_http *h = c->http;
	struct http_decision d;
	const struct http_ask who = {
		.peer = c->peer,
		.identity = sl_http_identity(c),
		.sni = sl_http_sni(c),
		.port = sl_from_be16(sl_stream_row(c->client)->tuple.dport),
	};

	struct sl_http_outcome then;
	bool tried = sl_unlikely(h->trying) && sl_http_shadow(c, &who, head, &then);
	sl_http_decide(h, rule, head, who.identity, &d);
	if (d.route)
		sl_http_judge(h, rule, &who, head, &d, false);
	if (sl_unlikely(d.wait) && sl_http_jwt_wait(c)) {
		c->requests--;
		c->state = CONN_HEAD;
		sl_http_conn_due(c, rule->table->img->http.header_ms);
		return;
	}
	c->waited = 0;
	c->drawn = 0;
	http_count(h, SL_HTTP_CNT_REQUESTS);
	if (sl_unlikely(tried))
		sl_http_shadow_compare(c, rule, &who, head, &d, &then);
	struct http_xchg *x = xchg_begin(c, rule, head);
	if (!x) {
		sl_stream_consume(c->client, consumed);
		sl_http_refuse(c, 503, SL_RF_OM, SL_HTTP_CNT_NO_MEMORY, 0,
			       head->method == SL_METHOD_HEAD);
		return;
	}
	if (d.vhost) {
		x->vhost_slot = d.vhost->slot;
		h->conf.vhost_stats[d.vhost->slot].requests++;
		h->conf.vhost_stats[d.vhost->slot].no_route += !d.route;
	}
	if (d.status && d.route) /* by policy */
		x->route_slot = d.route->slot;
	if (!d.status && x->req.max && x->req.left > x->req.max)
		refuse(&d, 413, SL_RF_DPE, SL_HTTP_CNT_BODY_TOO_LARGE, "the body is too large");
	if (!d.status) {
		act(c, rule, &d, head, consumed);
		return;
	}
	if (!keep(x, &d, head, 0))
		x->flags &= ~(unsigned)XF_LOG;
	sl_stream_consume(c->client, consumed);
	sl_http_xchg_due(x);
	/* behind a CONNECT the client may speak another protocol */
	if (d.status == 400 || d.status == 413 || d.status == 405)
		x->flags &= ~(unsigned)XF_KEEP;
	if (d.policy)
		answered(x, &d);
	else
		sl_http_local_error(x, d.status, d.rflags, d.count);
}
