/* The end of an exchange: what it held is given back, statistics and the access log learn of it.
 *
 * The record is begun with the head, while its strings are at hand, and finished here: one copy into the event ring. */
#include "l7/http_priv.h"

/* ---- the access log ---- */

struct strings {
	struct sl_bytes method, host, path, agent, id, referer, sni, identity;
};

static struct sl_bytes
line_value(const struct sl_http_head *head, unsigned i)
{
	if (i >= head->line_cnt)
		return (struct sl_bytes){0};
	return (struct sl_bytes){head->bytes + head->line[i].value, head->line[i].value_len};
}

static struct sl_bytes
cut(struct sl_bytes b)
{
	b.len = SL_MIN(b.len, (uint32_t)SL_ACCESS_STR_MAX);
	return b;
}

static const struct sl_tls_info *
tls_of(const struct http_conn *c)
{
	return sl_unlikely(c->tls) && c->client ? sl_tls_info(c->client) : NULL;
}

static void
strings_tls(const struct http_conn *c, struct strings *ret)
{
	const struct sl_tls_info *info = tls_of(c);

	if (!info || !info->peer)
		return;
	const uint8_t *sni = (const uint8_t *)sl_tls_peer_sni(info->peer);
	ret->sni = cut((struct sl_bytes){sni, info->peer->sni_len});
	ret->identity = cut(sl_http_identity(c));
}

static void
put_tls(const struct http_conn *c, struct sl_event_access *e)
{
	const struct sl_tls_info *info = tls_of(c);

	if (!info)
		return;
	e->tls_version = info->version;
	e->tls_suite = info->suite;
	e->tls_resumed = info->resumed;
}

static struct strings
strings_of(const struct http_conn *c, const struct sl_http_head *head)
{
	static const uint8_t referer[] = "referer";
	const uint8_t *p = head->bytes;
	uint32_t path_len = head->path_len + (head->query ? 1u + head->query_len : 0u);
	unsigned ref = sl_http_find(head, referer, 7, sl_http_name_hash(referer, 7), 0);

	struct strings s = {
		.method = cut((struct sl_bytes){p, head->method_len}),
		.host = cut((struct sl_bytes){p + head->host, head->authority_len}),
		.path = cut((struct sl_bytes){p + head->path, path_len}),
		.agent = cut(line_value(head, head->first[SL_HTTP_USER_AGENT])),
		.id = cut(line_value(head, head->first[SL_HTTP_X_REQUEST_ID])),
		.referer = cut(line_value(head, ref)),
	};
	strings_tls(c, &s);
	return s;
}

static uint32_t
strings_bytes(const struct strings *s)
{
	return s->method.len + s->host.len + s->path.len + s->agent.len +
	       SL_MAX(s->id.len, (uint32_t)SL_REQUEST_ID_LEN) + s->referer.len + s->sni.len +
	       s->identity.len;
}

uint32_t
sl_http_record_bytes(const struct http_conn *c, const struct sl_http_head *head)
{
	struct strings s = strings_of(c, head);
	uint32_t why = SL_ACCESS_WHY_MAX; /* what decides may be known later */

	return ((uint32_t)sizeof(struct sl_event_access) + strings_bytes(&s) + why + 7) & ~7u;
}

/* Workers' time 0 is so long before the machine's. */
static uint64_t
machine_ns(uint64_t ns)
{
	const uint64_t epoch = SL_STREAMS_EPOCH_MS * 1000000ull;

	return ns > epoch ? ns - epoch : 0;
}

static uint8_t *
put(uint8_t *to, struct sl_bytes b, uint16_t *ret_len)
{
	if (b.len)
		memcpy(to, b.at, b.len);
	*ret_len = (uint16_t)b.len;
	return to + b.len;
}

/* at: behind the last string */
static void
end_record(struct sl_event_access *e, uint8_t *at)
{
	uint32_t len = (uint32_t)(at - (uint8_t *)e);

	e->head.bytes = (len + 7) & ~7u;
	memset(at, 0, e->head.bytes - len);
}

void
sl_http_record(struct http_xchg *x, const struct sl_http_head *head, uint8_t *to)
{
	const struct http_conn *c = x->conn;
	struct strings s = strings_of(c, head);
	struct sl_event_access *e = (void *)to;
	uint8_t *at = to + sizeof(*e);

	if (!sl_request_id_ok(head))
		s.id = (struct sl_bytes){(const uint8_t *)x->http->request_id, SL_REQUEST_ID_LEN};
	*e = (struct sl_event_access){
		.head = {.type = SL_EVENT_ACCESS},
		.start_ns = machine_ns(x->start_ns),
		.generation = x->generation,
		.client = c->peer,
		.client_port = c->peer_port,
		.listener_slot = c->listener_slot,
		.table_slot = x->table_slot,
		.version = x->version,
		.worker = (uint8_t)x->http->conf.worker,
	};
	put_tls(c, e);
	at = put(at, s.method, &e->method_len);
	at = put(at, s.host, &e->host_len);
	at = put(at, s.path, &e->path_len);
	at = put(at, s.agent, &e->agent_len);
	at = put(at, s.id, &e->id_len);
	at = put(at, s.referer, &e->referer_len);
	at = put(at, s.sni, &e->sni_len);
	at = put(at, s.identity, &e->identity_len);
	end_record(e, at);
}

void
sl_http_why(struct http_xchg *x, const char *why)
{
	struct sl_event_access *e = (void *)(x->head + x->record_off);

	if (!(x->flags & XF_LOG) || !x->head || (!*why && !e->why_len))
		return;
	uint8_t *at = (uint8_t *)(e + 1) + e->method_len + e->host_len + e->path_len +
		      e->agent_len + e->id_len + e->referer_len + e->sni_len + e->identity_len;
	uint32_t len = (uint32_t)strnlen(why, SL_ACCESS_WHY_MAX - 1);
	at = put(at, (struct sl_bytes){(const uint8_t *)why, len}, &e->why_len);
	end_record(e, at);
}

static uint32_t
us_between(uint64_t from_ns, uint64_t to_ns)
{
	if (from_ns == 0 || to_ns < from_ns)
		return UINT32_MAX;
	return (uint32_t)SL_MIN((to_ns - from_ns) / 1000, UINT32_MAX - 1ull);
}

static void
log_it(struct http_xchg *x, uint64_t now_ns)
{
	struct sl_http *h = x->http;
	struct sl_event_access *e = (void *)(x->head + x->record_off);

	if (!h->conf.events)
		return;
	e->bytes_in = x->req.moved;
	e->bytes_out = x->ans.moved;
	e->first_us = x->first_ns ? us_between(x->start_ns, x->first_ns) : UINT32_MAX;
	e->last_us = us_between(x->start_ns, now_ns);
	e->try_us = x->answered_ns ? us_between(x->sent_ns, x->answered_ns) : UINT32_MAX;
	e->flags = x->rflags;
	e->status = x->status;
	e->upstream_status = x->upstream_status;
	e->vhost_slot = x->vhost_slot;
	e->route_slot = x->route_slot;
	e->service_slot = x->service_slot;
	e->endpoint_slot = x->endpoint_slot;
	e->endpoint_incarnation = x->endpoint_incarnation;
	e->endpoint = x->endpoint;
	e->endpoint_port = x->endpoint_port;
	e->tries = x->tries;
	e->upstream_tls = (x->flags & XF_UP_TLS) != 0;
	void *to = sl_events_put(h->conf.events, h->conf.events_size, e->head.bytes);
	if (!to) {
		http_count(h, SL_HTTP_CNT_LOG_LOST);
		return;
	}
	memcpy(to, e, e->head.bytes);
	sl_events_commit(h->conf.events, e->head.bytes);
}

/* A request that never became one: there is no head to tell of, but who sent it. */
void
sl_http_log_refused(struct http_conn *c, uint16_t status, uint32_t rflags, uint8_t bad)
{
	struct sl_http *h = c->http;
	uint64_t now = http_now(h);

	if (!h->conf.events)
		return;
	struct strings s = {0};
	strings_tls(c, &s);
	uint32_t bytes = (uint32_t)sizeof(struct sl_event_access) + s.sni.len + s.identity.len;
	bytes = (bytes + 7) & ~7u;
	struct sl_event_access *e = sl_events_put(h->conf.events, h->conf.events_size, bytes);
	if (!e) {
		http_count(h, SL_HTTP_CNT_LOG_LOST);
		return;
	}
	*e = (struct sl_event_access){
		.head = {.bytes = bytes, .type = SL_EVENT_ACCESS},
		.start_ns = machine_ns(c->head_ns ? c->head_ns : now),
		.generation = c->generation,
		.first_us = status ? us_between(c->head_ns, now) : UINT32_MAX,
		.last_us = us_between(c->head_ns, now),
		.try_us = UINT32_MAX,
		.flags = rflags,
		.client = c->peer,
		.client_port = c->peer_port,
		.status = status,
		.listener_slot = c->listener_slot,
		.table_slot = UINT32_MAX,
		.vhost_slot = UINT32_MAX,
		.route_slot = UINT32_MAX,
		.service_slot = UINT32_MAX,
		.endpoint_slot = UINT32_MAX,
		.worker = (uint8_t)h->conf.worker,
		.bad = bad,
	};
	put_tls(c, e);
	uint8_t *at = put((uint8_t *)(e + 1), s.sni, &e->sni_len);
	at = put(at, s.identity, &e->identity_len);
	memset(at, 0, (size_t)((uint8_t *)e + bytes - at));
	sl_events_commit(h->conf.events, bytes);
}

/* ---- statistics ---- */

static unsigned
bucket_of(uint32_t us)
{
	unsigned i = us < 64 ? 0 : 26u - (unsigned)__builtin_clz(us);

	return SL_MIN(i, SL_ROUTE_BUCKETS - 1u);
}

static void
count_route(struct http_xchg *x, uint64_t now_ns)
{
	struct sl_stats_http *s = x->http->conf.stats;
	uint32_t first = x->first_ns ? us_between(x->start_ns, x->first_ns) : UINT32_MAX;
	uint32_t last = us_between(x->start_ns, now_ns);

	if (first != UINT32_MAX)
		sl_hist_add(&s->first_us, first);
	if (last != UINT32_MAX)
		sl_hist_add(&s->last_us, last);
	if (x->endpoint_slot != UINT32_MAX) {
		x->http->conf.endpoint_stats[x->endpoint_slot].bytes += x->req.moved;
		x->http->conf.endpoint_stats[x->endpoint_slot].reply_bytes += x->ans.moved;
	}
	if (x->route_slot == UINT32_MAX)
		return;
	struct sl_stats_route *r = &x->http->conf.route_stats[x->route_slot];
	r->requests++;
	if (x->status >= 100 && x->status < 600)
		r->answers[x->status / 100 - 1]++;
	r->local += x->upstream_status == 0;
	r->bytes_in += x->req.moved;
	r->bytes_out += x->ans.moved;
	r->first_us_sum += first == UINT32_MAX ? 0 : first;
	r->last_us_sum += last == UINT32_MAX ? 0 : last;
	r->last[bucket_of(last)]++;
}

void
sl_http_xchg_end(struct http_xchg *x)
{
	struct sl_http *h = x->http;
	uint64_t now = http_now(h);

	SL_ASSERT(x->state != XCHG_OVER);
	if (sl_unlikely(x->hedges))
		sl_http_hedge_only(x);
	sl_http_up_drop(x, false);
	if (sl_unlikely(x->flags & XF_DELAYED))
		sl_http_fault_end(x);
	if (x->flags & XF_REQUEST_LIMIT)
		sl_limit_give(h->limits, x->service_slot, SL_LIMIT_REQUESTS);
	if (sl_unlikely(x->flags & XF_ADAPTIVE))
		sl_adaptive_give(&h->adaptive[x->service_slot]);
	if (x->flags & XF_RETRY_LIMIT)
		sl_limit_give(h->limits, x->service_slot, SL_LIMIT_RETRIES);
	if (!(x->flags & (XF_MIRROR | XF_HEDGE))) {
		count_route(x, now);
		if (x->flags & XF_LOG && x->head)
			log_it(x, now);
	}
	if (x->head && !x->of)
		sl_arena_give(h->arena, x->head, x->head_room);
	x->head = NULL;
	if (x->rest)
		sl_arena_give(h->arena, x->rest, x->rest_room);
	x->rest = NULL;
	x->state = XCHG_OVER;
	x->next = h->xchg_dead;
	h->xchg_dead = (uint32_t)(x - h->xchgs) + 1;
	h->conf.stats->exchanges--;
}
