/* The engine and its client connections.
 *
 *   opened ─▶ PROXY ─▶ TLS ─▶ IDLE ─▶ HEAD ─▶ BUSY ─▶ IDLE … ─▶ LINGER ─▶ OVER
 *
 * A connection's timer is lazy: it is set anew only when it is meant to fire earlier than it will; when it fires too early
 * it is set again.  So a kept connection costs no timer operation a request.
 */
#include "l7/http_priv.h"

#include "l7/proxy_protocol.h"
#include "l7/tls_first.h"
#include "l7/xfcc.h"

static const struct sl_stream_ops client_ops;

uint64_t
sl_http_random(struct sl_http *h)
{
	uint64_t a = h->random[0], b = h->random[1];

	h->random[0] = b;
	a ^= a << 23;
	h->random[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
	return h->random[1] + b;
}

/* ---- places ---- */

static struct http_conn *
conn_new(struct sl_http *h)
{
	struct http_conn *c;

	if (h->conn_free) {
		c = &h->conns[h->conn_free - 1];
		h->conn_free = c->next;
	} else if (h->conn_used < h->conf.conns) {
		c = &h->conns[h->conn_used++];
	} else {
		return NULL;
	}
	*c = (struct http_conn){.http = h};
	h->conf.stats->conns++;
	return c;
}

/* The connection is over: its stream was let go.  The place goes back in the next turn. */
static void
conn_over(struct http_conn *c)
{
	struct sl_http *h = c->http;

	SL_ASSERT(!c->x && c->state != CONN_OVER);
	sl_shared_count_give(&h->conf.listeners->listener[c->listener_slot]);
	sl_clients_give(&h->conf.listeners->clients, c->counted);
	c->client = NULL;
	c->state = CONN_OVER;
	c->next = h->conn_dead;
	h->conn_dead = (uint32_t)(c - h->conns) + 1;
	h->conf.stats->conns--;
}

struct http_xchg *
sl_http_xchg_new(struct sl_http *h)
{
	struct http_xchg *x;

	if (h->xchg_free) {
		x = &h->xchgs[h->xchg_free - 1];
		h->xchg_free = x->next;
	} else if (h->xchg_used < h->conf.exchanges) {
		x = &h->xchgs[h->xchg_used++];
	} else {
		return NULL;
	}
	*x = (struct http_xchg){.http = h, .endpoint_slot = UINT32_MAX};
	h->conf.stats->exchanges++;
	return x;
}

static void
conns_back(struct sl_http *h)
{
	uint32_t dead = h->conn_dead;

	h->conn_dead = 0;
	while (dead) {
		struct http_conn *c = &h->conns[dead - 1];
		uint32_t place = dead;
		dead = c->next;
		if (c->again || c->wait) { /* still in that list */
			c->next = h->conn_dead;
			h->conn_dead = place;
			continue;
		}
		c->state = CONN_FREE;
		c->next = h->conn_free;
		h->conn_free = place;
	}
}

static void
xchgs_back(struct sl_http *h)
{
	while (h->xchg_dead) {
		struct http_xchg *x = &h->xchgs[h->xchg_dead - 1];
		uint32_t place = h->xchg_dead;
		h->xchg_dead = x->next;
		x->state = XCHG_FREE;
		x->next = h->xchg_free;
		h->xchg_free = place;
	}
}

/* ---- ends ---- */

void
sl_http_conn_end(struct http_conn *c, enum sl_stream_end why)
{
	if (c->state == CONN_OVER)
		return;
	struct http_xchg *x = c->x;
	if (x) {
		c->x = NULL;
		x->conn = NULL;
		sl_http_xchg_end(x);
	}
	if (c->client)
		sl_stream_abort(c->client, why);
	conn_over(c);
}

/* What the client still sends would be answered with RST, which could overtake what it has not read yet (RFC 9112, 9.6): so
 * its bytes are read over for a while. */
void
sl_http_conn_close(struct http_conn *c)
{
	SL_ASSERT(!c->x);
	if (sl_stream_eof(c->client)) {
		sl_stream_close(c->client);
		conn_over(c);
		return;
	}
	sl_stream_consume(c->client, sl_stream_readable_bytes(c->client));
	sl_stream_shutdown(c->client);
	c->state = CONN_LINGER;
	sl_http_conn_due(c, HTTP_LINGER_MS);
}

void
sl_http_conn_due(struct http_conn *c, uint32_t ms)
{
	ms = SL_MIN(ms, HTTP_TIMER_MAX);
	c->due_ms = sl_tcp_now_ms(c->http->conf.tcp) + ms;
	if (c->armed && (int32_t)(c->armed_ms - c->due_ms) <= 0)
		return;
	c->armed = 1;
	c->armed_ms = c->due_ms;
	sl_stream_set_timer(c->client, SL_MAX(ms, 1u));
}

/* ---- reading heads ---- */

const uint8_t *
sl_http_span(struct sl_http *h, struct sl_stream *s, uint32_t max, uint32_t *ret_len)
{
	struct sl_span span[16];
	uint32_t n = 0;

	unsigned cnt = sl_stream_peek(s, 0, span, SL_ARRAY_CNT(span));
	if (cnt <= 1) {
		*ret_len = cnt ? SL_MIN(span[0].len, max) : 0;
		return cnt ? span[0].data : h->gather;
	}
	max = SL_MIN(max, (uint32_t)HTTP_GATHER);
	while (cnt && n < max) {
		for (unsigned i = 0; i < cnt && n < max; i++) {
			uint32_t len = SL_MIN(span[i].len, max - n);
			memcpy(h->gather + n, span[i].data, len);
			n += len;
		}
		cnt = sl_stream_peek(s, n, span, SL_ARRAY_CNT(span));
	}
	*ret_len = n;
	return h->gather;
}

bool
sl_http_line_came(struct sl_stream *s, uint32_t from)
{
	struct sl_span span[8];
	unsigned cnt;

	while ((cnt = sl_stream_peek(s, from, span, SL_ARRAY_CNT(span)))) {
		for (unsigned i = 0; i < cnt; i++) {
			if (memchr(span[i].data, '\n', span[i].len))
				return true;
			from += span[i].len;
		}
	}
	return false;
}

static uint32_t
ms_since(const struct http_conn *c, uint64_t ns)
{
	uint64_t now = http_now(c->http);

	return now > ns ? (uint32_t)((now - ns) / 1000000) : 0;
}

static void
head_refused(struct http_conn *c, enum sl_http_bad why)
{
	unsigned status = sl_http_bad_status(why);
	unsigned code = status == 431   ? SL_HTTP_CNT_HEAD_TOO_LARGE
			: status == 505 ? SL_HTTP_CNT_BAD_VERSION
					: SL_HTTP_CNT_BAD_REQUEST;

	sl_http_refuse(c, (uint16_t)(status ? status : 400), SL_RF_DPE, code, (uint8_t)why, false);
}

static void
head_waits(struct http_conn *c, const struct sl_img_http *img, uint32_t len)
{
	if (c->state == CONN_IDLE) {
		c->state = CONN_HEAD;
		c->head_ns = http_now(c->http);
	}
	c->seen = len;
	uint32_t gone = ms_since(c, c->head_ns);
	sl_http_conn_due(c, img->header_ms > gone ? img->header_ms - gone : 1);
}

/* Whether the connection has the protection that its listener wants by now. */
static bool
fits(const struct http_conn *c, const struct sl_http_rule *rule)
{
	if (sl_likely(!c->tls && !rule->tls))
		return true;
	if (!rule->tls)
		return false;
	if (!c->tls)
		return rule->tls->plaintext;
	return rule->tls->client != SL_TLS_CLIENT_REQUIRED || sl_http_peer(c);
}

/* Reads one head, if there is one; whether it is worth looking for another. */
static bool
read_head(struct http_conn *c)
{
	struct sl_http *h = c->http;
	struct sl_http_rule rule;
	enum sl_http_bad why = SL_HTTP_BAD_NONE;
	uint32_t len;

	if (!h->conf.env.rule(h->conf.env.ctx, &sl_stream_row(c->client)->tuple, &rule) ||
	    rule.listener_slot != c->listener_slot || !fits(c, &rule)) {
		http_count(h, SL_HTTP_CNT_DROPPED_ADMIN);
		sl_http_conn_end(c, SL_END_ADMIN);
		return false;
	}
	const struct sl_img_http *img = &rule.table->img->http;
	c->generation = rule.generation;
	c->idle_ms = img->idle_ms;
	uint32_t have = sl_stream_readable_bytes(c->client);
	if (c->seen && have <= img->max_head && !sl_http_line_came(c->client, c->seen)) {
		head_waits(c, img, have);
		return false;
	}
	const uint8_t *bytes = sl_http_span(h, c->client, img->max_head + 5, &len);
	const struct sl_http_limits limits = {img->max_head, img->max_headers};
	int n = sl_http_request(bytes, len, c->seen, &limits, &h->head, &why);
	if (n == SL_BAD) {
		head_refused(c, why);
		return false;
	}
	if (n == SL_PARTIAL) {
		head_waits(c, img, len);
		return false;
	}
	if (c->state == CONN_IDLE)
		c->head_ns = http_now(h);
	c->seen = 0;
	c->requests++;
	sl_http_handle(c, &rule, &h->head, (uint32_t)n);
	return c->state == CONN_IDLE;
}

/* The client said that nothing more comes, and no request is under way. */
static void
client_done(struct http_conn *c)
{
	if (c->state == CONN_HEAD) /* half a head */
		sl_http_log_refused(c, 0, SL_RF_DC | SL_RF_DPE, 0);
	/* what is left unread would make a reset of it, which may overtake the answers before */
	sl_stream_consume(c->client, sl_stream_readable_bytes(c->client));
	sl_stream_close(c->client);
	conn_over(c);
}

static bool
between(const struct http_conn *c)
{
	return (c->state == CONN_IDLE || c->state == CONN_HEAD) && !c->wait;
}

/* A head is written whole, so a request waits until the client has read enough of the answers before it. */
static bool
room_for_answer(struct http_conn *c)
{
	if (c->roomy || sl_stream_room(c->client) >= HTTP_ROOM_ANSWER) {
		c->roomy = 0;
		return true;
	}
	sl_stream_wait_room(c->client, HTTP_ROOM_ANSWER);
	return false;
}

/* The rest has its turn: a client that has a thousand requests here keeps nobody waiting. */
static void
go_on_later(struct http_conn *c)
{
	struct sl_http *h = c->http;
	uint32_t place = (uint32_t)(c - h->conns) + 1;

	if (c->again)
		return;
	c->again = UINT32_MAX;
	if (h->again == UINT32_MAX)
		h->again = place;
	else
		h->conns[h->again_last - 1].again = place;
	h->again_last = place;
}

/* The first of them go on.  Places of those that ended meanwhile are not taken back before they were here; exchanges are between
 * any two, when nobody holds one: else those answered here would take the places of all. */
static void
go_on(struct sl_http *h)
{
	uint32_t place = 0, last = h->again_last; /* who comes again has the next turn */

	for (unsigned n = 0; n < HTTP_AGAIN_MAX && h->again != UINT32_MAX && place != last; n++) {
		place = h->again;
		struct http_conn *c = &h->conns[place - 1];
		h->again = c->again;
		c->again = 0;
		sl_http_conn_go(c);
		xchgs_back(h);
	}
}

/* Likewise those whose tokens may be verified now. */
static void
tokens_go_on(struct sl_http *h)
{
	struct http_conn *c;

	for (unsigned n = 0; n < HTTP_AGAIN_MAX && (c = sl_http_jwt_next(h)); n++) {
		sl_http_conn_go(c);
		xchgs_back(h);
	}
}

void
sl_http_conn_go(struct http_conn *c)
{
	unsigned left = HTTP_HEADS_MAX;

	if (c->going || !between(c))
		return;
	c->going = 1;
	while (between(c) && sl_stream_readable_bytes(c->client) > c->seen) {
		if (left-- == 0) {
			go_on_later(c);
			break;
		}
		if (!room_for_answer(c) || !read_head(c))
			break;
	}
	c->going = 0;
	if (!between(c))
		return;
	if (sl_stream_ending(c->client) && sl_stream_readable_bytes(c->client) == c->seen)
		client_done(c);
	else if (c->state == CONN_IDLE)
		sl_http_conn_due(c, c->idle_ms);
}

/* A request may take as long to begin as a head may take. */
static void
wait_first(struct http_conn *c, const struct sl_http_rule *rule)
{
	sl_http_conn_due(c, SL_MIN(rule->table->img->http.header_ms, c->idle_ms));
}

/* ---- TLS ---- */

const struct sl_tls_peer *
sl_http_peer(const struct http_conn *c)
{
	const struct sl_tls_info *info = c->tls ? sl_tls_info(c->client) : NULL;

	return info && info->peer && info->peer->verified ? info->peer : NULL;
}

struct sl_bytes
sl_http_identity(const struct http_conn *c)
{
	const struct sl_tls_peer *p = sl_http_peer(c);

	if (!p || p->uri_len)
		return p ? (struct sl_bytes){(const uint8_t *)sl_tls_peer_uri(p), p->uri_len}
			 : (struct sl_bytes){0};
	const char *dns = sl_tls_peer_dns(p), *comma = memchr(dns, ',', p->dns_len);
	uint32_t len = comma ? (uint32_t)(comma - dns) : p->dns_len;
	return (struct sl_bytes){len ? (const uint8_t *)dns : NULL, len};
}

struct sl_bytes
sl_http_sni(const struct http_conn *c)
{
	const struct sl_tls_info *info = c->tls ? sl_tls_info(c->client) : NULL;
	const struct sl_tls_peer *p = info ? info->peer : NULL;

	return p ? (struct sl_bytes){(const uint8_t *)sl_tls_peer_sni(p), p->sni_len}
		 : (struct sl_bytes){0};
}

static void
secure(struct http_conn *c, const struct sl_http_rule *rule)
{
	struct sl_tls *tls = c->http->conf.tls;

	c->state = CONN_TLS;
	if (!tls || !sl_tls_server(tls, c->client, c->listener_slot, c->listener_incarnation,
				   rule->tls->handshake_ms))
		sl_http_conn_end(c, SL_END_NO_MEMORY);
}

static bool
rule_of(struct http_conn *c, struct sl_http_rule *ret)
{
	struct sl_http *h = c->http;

	if (h->conf.env.rule(h->conf.env.ctx, &sl_stream_row(c->client)->tuple, ret) &&
	    ret->listener_slot == c->listener_slot)
		return true;
	http_count(h, SL_HTTP_CNT_DROPPED_ADMIN);
	sl_http_conn_end(c, SL_END_ADMIN);
	return false;
}

static void
peek_readable(struct http_conn *c)
{
	struct sl_http_rule rule;
	enum sl_tls_first first = sl_tls_first(c->client);

	if (first == SL_TLS_FIRST_UNKNOWN)
		return;
	if (first == SL_TLS_FIRST_NOTHING) {
		sl_stream_close(c->client);
		conn_over(c);
	} else if (!rule_of(c, &rule)) {
		return;
	} else if (first == SL_TLS_FIRST_HANDSHAKE && rule.tls) {
		c->tls = 1;
		secure(c, &rule);
	} else { /* a listener that has no TLS, or no plaintext, by now says so to the first request */
		http_count(c->http, SL_HTTP_CNT_PLAINTEXT);
		c->state = CONN_IDLE;
		wait_first(c, &rule);
		sl_http_conn_go(c);
	}
}

/* TLS begins, or what the client begins with. */
static void
begin(struct http_conn *c, const struct sl_http_rule *rule)
{
	if (sl_likely(!rule->tls->plaintext)) {
		secure(c, rule);
		return;
	}
	c->tls = 0;
	c->state = CONN_PEEK;
	sl_http_conn_due(c, rule->tls->handshake_ms);
	peek_readable(c);
}

static void
client_secured(struct sl_stream *s)
{
	struct http_conn *c = sl_stream_user(s);
	struct sl_http *h = c->http;
	struct sl_http_rule rule;

	if (!h->conf.env.rule(h->conf.env.ctx, &sl_stream_row(s)->tuple, &rule) ||
	    rule.listener_slot != c->listener_slot) {
		http_count(h, SL_HTTP_CNT_DROPPED_ADMIN);
		sl_http_conn_end(c, SL_END_ADMIN);
		return;
	}
	c->state = CONN_IDLE;
	wait_first(c, &rule);
	if (sl_stream_readable_bytes(s))
		sl_http_conn_go(c);
}

/* ---- the PROXY header that comes first ---- */

/* What comes behind it: TLS, or a request. */
static void
proxy_read(struct http_conn *c)
{
	struct sl_http *h = c->http;
	struct sl_http_rule rule;

	if (!c->tls) {
		c->state = CONN_IDLE;
		sl_http_conn_go(c);
	} else if (h->conf.env.rule(h->conf.env.ctx, &sl_stream_row(c->client)->tuple, &rule) &&
		   rule.listener_slot == c->listener_slot && rule.tls) {
		begin(c, &rule);
	} else {
		http_count(h, SL_HTTP_CNT_DROPPED_ADMIN);
		sl_http_conn_end(c, SL_END_ADMIN);
	}
}

/* One connection more of a client whose address is known. */
static bool
client_take(struct http_conn *c, const struct sl_http_rule *rule)
{
	struct sl_http *h = c->http;

	if (sl_likely(rule->client_max == 0))
		return true;
	c->counted = sl_clients_take(&h->conf.listeners->clients, c->listener_slot, &c->peer,
				     rule->client_max);
	if (c->counted)
		return true;
	h->conf.listener_stats[c->listener_slot].refused++;
	return false;
}

/* By the address that its PROXY header says.  false: the connection is over. */
static bool
client_counts(struct http_conn *c)
{
	struct sl_http_rule rule;

	if (!rule_of(c, &rule))
		return false;
	if (client_take(c, &rule))
		return true;
	sl_http_conn_end(c, SL_END_ABORTED);
	return false;
}

static void
proxy_readable(struct http_conn *c)
{
	struct sl_proxy_header p;
	const char *why;
	uint32_t len;

	const uint8_t *bytes = sl_http_span(c->http, c->client, SL_PROXY_MAX, &len);
	int n = sl_proxy_parse(bytes, len, &p, &why);
	if (n == SL_BAD || (n == SL_PARTIAL && sl_stream_ending(c->client))) {
		http_count(c->http, SL_HTTP_CNT_BAD_REQUEST);
		sl_http_conn_end(c, SL_END_ABORTED);
		return;
	}
	if (n == SL_PARTIAL)
		return;
	if (!p.local) {
		c->peer = p.src;
		c->peer_port = p.sport;
	}
	if (!client_counts(c))
		return;
	sl_stream_consume(c->client, (uint32_t)n);
	proxy_read(c);
}

/* ---- events of the client's stream ---- */

static struct http_conn *
conn_admit(struct sl_http *h, struct sl_stream *s, const struct sl_http_rule *rule,
	   enum sl_stream_end *ret_why)
{
	_Atomic uint32_t *cnt = &h->conf.listeners->listener[rule->listener_slot];
	const struct sl_tuple *t = &sl_stream_row(s)->tuple;

	*ret_why = SL_END_ABORTED;
	if (!sl_shared_count_take(cnt, rule->listener_max)) {
		h->conf.listener_stats[rule->listener_slot].refused++;
		return NULL;
	}
	struct http_conn *c = conn_new(h);
	if (!c) {
		sl_shared_count_give(cnt);
		*ret_why = SL_END_NO_MEMORY;
		return NULL;
	}
	c->client = s;
	c->generation = rule->generation;
	c->listener_slot = rule->listener_slot;
	c->listener_incarnation = rule->listener_incarnation;
	c->idle_ms = rule->table->img->http.idle_ms;
	c->peer = t->src;
	c->peer_port = t->sport;
	c->tls = rule->tls != NULL;
	c->state = rule->proxy_in ? CONN_PROXY : CONN_IDLE;
	if (rule->proxy_in || client_take(c, rule))
		return c;
	conn_over(c);
	return NULL;
}

static void
client_opened(struct sl_stream *s)
{
	struct sl_http *h = sl_stream_user(s);
	const struct sl_tuple *tuple = &sl_stream_row(s)->tuple;
	enum sl_stream_end why = SL_END_ADMIN; /* the listener went while the client connected */
	struct sl_http_rule rule;
	struct http_conn *c = NULL;

	if (h->conf.env.rule(h->conf.env.ctx, tuple, &rule))
		c = conn_admit(h, s, &rule, &why);
	if (!c) {
		sl_stream_abort(s, why);
		return;
	}
	http_count(h, SL_HTTP_CNT_CONNECTIONS);
	sl_stream_attach(s, &client_ops, c);
	if (!rule.proxy_in && rule.tls) {
		begin(c, &rule);
	} else if (!rule.proxy_in) {
		wait_first(c, &rule);
	} else if (sl_prefixes_hold(rule.trust, rule.trust_cnt, &tuple->src)) {
		sl_http_conn_due(c, HTTP_PROXY_MS);
	} else {
		http_count(h, SL_HTTP_CNT_BAD_REQUEST);
		sl_http_conn_end(c, SL_END_ABORTED);
	}
}

static void
client_readable(struct sl_stream *s)
{
	struct http_conn *c = sl_stream_user(s);

	switch (c->state) {
	case CONN_IDLE:
	case CONN_HEAD:
		sl_http_conn_go(c);
		break;
	case CONN_BUSY:
		sl_http_request_go(c->x);
		break;
	case CONN_TUNNEL:
		sl_http_tunnel_go(c->x);
		break;
	case CONN_PROXY:
		proxy_readable(c);
		break;
	case CONN_PEEK:
		peek_readable(c);
		break;
	case CONN_LINGER:
		sl_stream_consume(s, sl_stream_readable_bytes(s));
		if (sl_stream_eof(s)) {
			sl_stream_close(s);
			conn_over(c);
		}
		break;
	default:
		break;
	}
}

static void
client_writable(struct sl_stream *s)
{
	struct http_conn *c = sl_stream_user(s);

	if (c->state == CONN_BUSY) {
		c->roomy = c->x->state == XCHG_SENT;
		sl_http_answer_go(c->x);
		c->roomy = 0;
	} else if (c->state == CONN_TUNNEL) {
		sl_http_tunnel_go(c->x);
	} else if (between(c)) {
		c->roomy = 1;
		sl_http_conn_go(c);
	}
}

static void
client_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct http_conn *c = sl_stream_user(s);
	struct http_xchg *x = c->x;

	c->client = NULL;
	if (x) {
		c->x = NULL;
		x->conn = NULL;
		if (why == SL_END_OK && x->state == XCHG_TUNNEL) {
			/* both said that they are done: what the endpoint has not acknowledged still arrives */
			sl_http_up_drop(x, true);
		} else {
			if (x->state == XCHG_ANSWER)
				sl_http_told(x, SL_TRY_OK);
			x->rflags |= SL_RF_DC;
			http_count(c->http, SL_HTTP_CNT_CLIENT_GONE);
		}
		sl_http_xchg_end(x);
	}
	conn_over(c);
}

/* ---- time ---- */

static bool
passed(uint32_t due_ms, uint32_t now_ms)
{
	return (int32_t)(due_ms - now_ms) <= 0;
}

/* ms since a byte came, either way; one that waits for tokens is about to. */
static uint32_t
xchg_idle(const struct http_xchg *x)
{
	if (sl_unlikely(x->flags & XF_SHAPED) &&
	    (sl_http_shape_queued(x, SL_TO_ENDPOINTS) || sl_http_shape_queued(x, SL_TO_CLIENTS)))
		return 0;
	uint32_t idle = sl_stream_idle_ms(x->conn->client);

	return x->upstream ? SL_MIN(idle, sl_stream_idle_ms(x->upstream)) : idle;
}

/* Whether it is the endpoint's answer that is waited for: not while its head waits for tokens. */
static bool
xchg_waits(const struct http_xchg *x)
{
	return x->state == XCHG_ASKING ||
	       (x->state == XCHG_SENT && !sl_http_shape_waits(x, SL_TO_CLIENTS));
}

static uint32_t
ms_to(uint32_t due_ms, uint32_t now_ms)
{
	return passed(due_ms, now_ms) ? 0 : due_ms - now_ms;
}

void
sl_http_xchg_due(struct http_xchg *x)
{
	uint32_t now = sl_tcp_now_ms(x->http->conf.tcp), idle = xchg_idle(x);
	uint32_t next = x->stream_idle_ms > idle ? x->stream_idle_ms - idle : 0;

	if (x->retry_waits)
		next = SL_MIN(next, ms_to(x->retry_at, now));
	if (xchg_waits(x) && x->timed)
		next = SL_MIN(next, ms_to(x->timeout_due, now));
	if (xchg_waits(x) && x->try_timed)
		next = SL_MIN(next, ms_to(x->try_due, now));
	if (sl_unlikely(x->hedges || x->hedge_left) && xchg_waits(x))
		next = SL_MIN(next, sl_http_hedge_due(x, now));
	sl_http_conn_due(x->conn, SL_MAX(next, 1u));
}

/* Whether it is the client who lets us wait: not when nobody took what is there, nor when nobody asked him to go on. */
static bool
client_dawdles(const struct http_xchg *x)
{
	bool asked = x->state != XCHG_ASKING && (!(x->flags & XF_CONTINUE) || x->req.moved);

	return !(x->req.flags & PIPE_OVER) && asked &&
	       sl_stream_readable_bytes(x->conn->client) == 0;
}

/* No byte came for too long. */
static void
xchg_stood_still(struct http_xchg *x)
{
	bool body = client_dawdles(x);
	unsigned code = body ? SL_HTTP_CNT_BODY_TIMEOUT : SL_HTTP_CNT_STREAM_IDLE;

	x->rflags |= SL_RF_SI;
	x->flags &= ~(unsigned)XF_KEEP;
	if (xchg_waits(x)) {
		sl_http_hedge_only(x);
		sl_http_try_failed(x, 0, body ? 408 : 504, SL_RF_SI, code);
		return;
	}
	http_count(x->http, code);
	sl_http_conn_end(x->conn, SL_END_ABORTED);
}

/* What has passed of what an exchange waits for is dealt with; one thing at a time, since each may be the exchange's end. */
static void
xchg_times(struct http_xchg *x)
{
	uint32_t now = sl_tcp_now_ms(x->http->conf.tcp);
	bool waits = xchg_waits(x);

	if (waits && x->timed && passed(x->timeout_due, now)) {
		sl_http_hedge_only(x);
		sl_http_try_failed(x, 0, 504, SL_RF_UT, SL_HTTP_CNT_TIMEOUT);
	} else if (x->retry_waits && passed(x->retry_at, now)) {
		x->retry_waits = 0;
		if (sl_unlikely(x->flags & XF_DELAYED))
			sl_http_fault_over(x);
		else
			sl_http_ask(x);
	} else if (waits && x->try_timed && passed(x->try_due, now)) {
		x->try_timed = 0;
		http_count(x->http, SL_HTTP_CNT_TRY_TIMEOUT);
		sl_http_try_failed(x, SL_RETRY_TIMEOUT, 504, SL_RF_UT, SL_HTTP_CNT_TIMEOUT);
	} else if (sl_unlikely(x->hedges || x->hedge_left) && waits &&
		   sl_http_hedge_due(x, now) == 0) {
		sl_http_hedge_late(x, now);
	} else if (xchg_idle(x) >= x->stream_idle_ms) {
		xchg_stood_still(x);
	}
	if (x->state != XCHG_OVER)
		sl_http_xchg_due(x);
}

static void
time_is_up(struct http_conn *c)
{
	struct sl_http *h = c->http;

	switch (c->state) {
	case CONN_PROXY:
	case CONN_PEEK:
		http_count(h, SL_HTTP_CNT_HEAD_TIMEOUT);
		sl_http_conn_end(c, SL_END_ABORTED);
		break;
	case CONN_IDLE:
		http_count(h, SL_HTTP_CNT_CLIENT_IDLE);
		sl_stream_close(c->client);
		conn_over(c);
		break;
	case CONN_HEAD:
		sl_http_refuse(c, 408, SL_RF_DT, SL_HTTP_CNT_HEAD_TIMEOUT, 0, false);
		break;
	case CONN_BUSY:
	case CONN_TUNNEL:
		xchg_times(c->x);
		break;
	case CONN_LINGER:
		sl_stream_close(c->client);
		conn_over(c);
		break;
	default:
		break;
	}
}

static void
client_timer(struct sl_stream *s)
{
	struct http_conn *c = sl_stream_user(s);
	uint32_t now = sl_tcp_now_ms(c->http->conf.tcp);

	c->armed = 0;
	if (passed(c->due_ms, now))
		time_is_up(c);
	else
		sl_http_conn_due(c, c->due_ms - now);
}

/* An accepted stream that ended before `opened` was told has nothing to give back. */
static void
accept_closed(struct sl_stream *s, enum sl_stream_end why)
{
	(void)s, (void)why;
}

static const struct sl_stream_ops accept_ops = {.opened = client_opened, .closed = accept_closed};
static const struct sl_stream_ops client_ops = {
	.opened = client_secured,
	.readable = client_readable,
	.writable = client_writable,
	.timer = client_timer,
	.closed = client_closed,
};

/* ---- the engine ---- */

static size_t
lines(size_t n)
{
	return (n + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

/* Where everything lies behind the engine itself. */
struct places {
	size_t upstream, limits, arena, shaper, conns, xchgs, gather, out, path, cert, answer_text,
		tokens, adaptive, end;
};

static struct places
lay_out(const struct sl_http_conf *conf)
{
	struct places p;

	p.upstream = lines(sizeof(struct sl_http));
	p.limits = p.upstream + lines(sl_upstream_bytes(conf->pool));
	p.arena = p.limits + lines(sl_limits_bytes());
	p.shaper = p.arena + lines(sl_arena_bytes(conf->head_bytes));
	p.conns = p.shaper + lines(sl_shaper_bytes(conf->exchanges * SL_WAYS));
	p.xchgs = p.conns + lines(conf->conns * sizeof(struct http_conn));
	p.gather = p.xchgs + lines(conf->exchanges * sizeof(struct http_xchg));
	p.out = p.gather + lines(HTTP_GATHER);
	p.path = p.out + lines(HTTP_OUT);
	p.cert = p.path + lines(SL_HTTP_HEAD_MAX);
	p.answer_text = p.cert + lines(SL_XFCC_MAX);
	p.tokens = p.answer_text + lines(HTTP_ANSWER_TEXT);
	p.adaptive = p.tokens + lines(sl_jwt_verifier_bytes());
	p.end = p.adaptive + lines(SL_MAX_SERVICES * sizeof(struct sl_adaptive));
	return p;
}

size_t
sl_http_bytes(const struct sl_http_conf *conf)
{
	return lay_out(conf).end;
}

struct sl_http *
sl_http_init(void *mem, const struct sl_http_conf *conf)
{
	struct places p = lay_out(conf);
	struct sl_http *h = mem;
	char *at = mem;

	h->conf = *conf;
	h->again = UINT32_MAX;
	h->tokens.wait = UINT32_MAX;
	h->tokens.verifier = sl_jwt_verifier_init(at + p.tokens, conf->seed);
	h->random[0] = conf->seed ^ 0x9e3779b97f4a7c15ull;
	h->random[1] = (conf->seed << 1 | 1) * 0xda942042e4dd58b5ull;
	h->adaptive = (struct sl_adaptive *)(void *)(at + p.adaptive);
	h->limits = sl_limits_init(at + p.limits, conf->ledger, conf->worker_cnt);
	sl_limits_stats(h->limits, conf->service_stats);
	const struct sl_upstream_conf up = {
		.capacity = conf->pool,
		.seed = conf->seed,
		.tcp = conf->tcp,
		.tls = conf->tls,
		.limits = h->limits,
		.endpoint_conns = conf->listeners->endpoint,
		.env = conf->upstream,
		.ops = &sl_http_up_ops,
		.stream = &sl_http_upstream_ops,
		.stats = conf->stats,
	};
	h->upstream = sl_upstream_init(at + p.upstream, &up);
	h->arena = sl_arena_init(at + p.arena, conf->head_bytes);
	const struct sl_shaper_conf shaper = {
		.waiters = conf->exchanges * SL_WAYS,
		.words = &conf->listeners->shape,
		.env = {conf->env.ctx, conf->env.bandwidth, sl_http_shape_go, h},
	};
	h->shaper = sl_shaper_init(at + p.shaper, &shaper);
	h->conns = (void *)(at + p.conns);
	h->xchgs = (void *)(at + p.xchgs);
	h->gather = (void *)(at + p.gather);
	h->out = (void *)(at + p.out);
	h->path = (void *)(at + p.path);
	h->cert = (void *)(at + p.cert);
	h->answer_text = (void *)(at + p.answer_text);
	conf->stats->conn_capacity = conf->conns;
	conf->stats->exchange_capacity = conf->exchanges;
	conf->stats->pool_capacity = conf->pool;
	conf->stats->head_capacity = conf->head_bytes;
	return h;
}

const uint32_t *
sl_http_idle(const struct sl_http *h)
{
	return sl_upstream_idle(h->upstream);
}

void
sl_http_fini(struct sl_http *h)
{
	for (uint32_t i = 0; i < h->conn_used; i++)
		if (h->conns[i].state != CONN_FREE && h->conns[i].state != CONN_OVER) {
			sl_shared_count_give(
				&h->conf.listeners->listener[h->conns[i].listener_slot]);
			sl_clients_give(&h->conf.listeners->clients, h->conns[i].counted);
		}
	for (uint32_t i = 0; i < h->xchg_used; i++)
		if (h->xchgs[i].flags & XF_DELAYED)
			sl_http_fault_end(&h->xchgs[i]);
	sl_shaper_fini(h->shaper);
	sl_upstream_fini(h->upstream);
	sl_limits_fini(h->limits);
	sl_jwt_verifier_fini(h->tokens.verifier);
}

enum sl_tcp_admit
sl_http_admit(struct sl_http *h, const struct sl_http_rule *rule, const struct sl_addr *from,
	      struct sl_tcp_accept *ret)
{
	if (sl_shared_count_full(&h->conf.listeners->listener[rule->listener_slot],
				 rule->listener_max) ||
	    (!h->conn_free && h->conn_used == h->conf.conns))
		return SL_ADMIT_REFUSE;
	if (sl_unlikely(rule->client_max) && !rule->proxy_in &&
	    sl_clients_full(&h->conf.listeners->clients, rule->listener_slot, from,
			    rule->client_max))
		return SL_ADMIT_REFUSE;
	*ret = (struct sl_tcp_accept){
		.ops = &accept_ops,
		.user = h,
		.listener_slot = rule->listener_slot,
		.service_slot = UINT32_MAX,
		.nodelay = 1,
	};
	return SL_ADMIT_YES;
}

/* Whether an exchange's endpoint was disabled or removed a sweep ago, too: what was under way then had time to come to its end. */
static bool
is_doomed(struct http_xchg *x)
{
	const struct sl_http_env *env = &x->http->conf.env;
	bool was = x->flags & XF_DOOMED;

	x->flags &= ~(uint32_t)XF_DOOMED;
	if (!x->up || env->serves(env->ctx, x->endpoint_slot, x->endpoint_incarnation))
		return false;
	x->flags |= XF_DOOMED;
	return was;
}

/* What the operator took away ends: idle connections at once, others when their exchange is over; exchanges with an endpoint that
 * was disabled or removed are cut when they are still under way a sweep later. */
static void
sweep_one(struct http_conn *c)
{
	const struct sl_http_env *env = &c->http->conf.env;
	struct http_xchg *x = c->x;

	if (c->state == CONN_FREE || c->state == CONN_OVER || c->state == CONN_LINGER)
		return;
	if (x && sl_unlikely(x->hedges)) {
		sl_http_hedge_doomed(x, is_doomed);
		x = c->x;
	}
	if (x && is_doomed(x)) {
		http_count(c->http, SL_HTTP_CNT_DROPPED_ADMIN);
		if (x->state == XCHG_SENT)
			sl_http_try_failed(x, SL_RETRY_RESET, 503, SL_RF_LR,
					   SL_HTTP_CNT_NO_ENDPOINT);
		else if (x->state != XCHG_LOCAL)
			sl_http_conn_end(c, SL_END_ADMIN);
		return;
	}
	if (x && x->up)
		sl_http_shape_look(x);
	if (c->ending || env->listens(env->ctx, c->listener_slot, c->listener_incarnation))
		return;
	c->ending = 1;
	if (c->state == CONN_TUNNEL || !x) {
		http_count(c->http, SL_HTTP_CNT_DROPPED_ADMIN);
		sl_http_conn_end(c, SL_END_ADMIN);
	}
}

static void
sweep(struct sl_http *h)
{
	uint32_t now_ms = sl_tcp_now_ms(h->conf.tcp), since_ms = now_ms - h->sweep_ms;

	if (h->sweep == h->sweep_end) {
		if (since_ms < HTTP_SWEEP_MS)
			return;
		h->sweep = 0;
		h->sweep_end = h->conn_used;
		h->sweep_ms = now_ms;
		return;
	}
	uint64_t due = (uint64_t)h->sweep_end * SL_MIN(since_ms, HTTP_SWEEP_MS) / HTTP_SWEEP_MS;
	uint32_t to = SL_MIN((uint32_t)due, h->sweep + HTTP_SWEEP_MAX);
	for (; h->sweep < to; h->sweep++)
		sweep_one(&h->conns[h->sweep]);
}

/* What breakers have, of one service. */
static void
tell(struct sl_http *h)
{
	uint32_t slot = sl_limits_tell(h->limits);
	struct sl_adaptive *a = &h->adaptive[slot];

	if (!h->conf.service_stats)
		return;
	uint32_t limit = sl_adaptive_limit(a, 0);
	h->conf.service_stats[slot].adaptive_limit = limit == UINT32_MAX ? 0 : limit;
}

bool
sl_http_tick(struct sl_http *h)
{
	sl_http_jwt_tick(h);
	tokens_go_on(h);
	go_on(h);
	conns_back(h);
	xchgs_back(h);
	sl_upstream_tick(h->upstream);
	sl_shaper_tick(h->shaper, http_now(h));
	sweep(h);
	tell(h);
	h->conf.stats->head_bytes = sl_arena_used(h->arena);
	return h->again != UINT32_MAX || h->tokens.wait != UINT32_MAX;
}

void
sl_http_drop_all(struct sl_http *h)
{
	for (uint32_t i = 0; i < h->conn_used; i++)
		if (h->conns[i].state != CONN_FREE && h->conns[i].state != CONN_OVER)
			sl_http_conn_end(&h->conns[i], SL_END_ADMIN);
	for (uint32_t i = 0; i < h->xchg_used; i++) /* mirrors */
		if (h->xchgs[i].state != XCHG_FREE && h->xchgs[i].state != XCHG_OVER)
			sl_http_xchg_end(&h->xchgs[i]);
	sl_upstream_drop_all(h->upstream);
}
