/* A connection is taken when the client's stream opens, and let go when both streams are over or one of them fails:
 *
 *   state       client      upstream     what is waited for
 *   ALONE       reads       –            the PROXY header, or its time-out; no wait without one
 *               reads       –            where its server name says the service: the ClientHello, or its time-out
 *   PEEKING     reads       –            where plaintext is let in beside TLS: the bytes that tell which, or the time-out
 *   SECURING    handshake   –            opened a second time, or closed: TLS with the client
 *   CONNECTING  waits       SYN sent     opened, or closed: another endpoint
 *               waits       handshake    likewise, where endpoints speak TLS
 *   COUPLED     both ways                bytes, room, ends; the sweep asks `lives`
 *
 * The PROXY header stays in the client's receive queue until the endpoint has answered and is read again where it is
 * needed: so the connection need not keep addresses.  Before a handshake it has to go: what it said is kept beside the
 * connections then, by place.
 *
 * A side whose peer has closed while bytes still wait for room on the other side is not over yet (stream.h): `closed`
 * with SL_END_OK comes after the last byte was forwarded and the FIN passed on.  What remains then is the other
 * side's acknowledgement.
 */
#include "l7/relay.h"

#include "l7/proxy_protocol.h"
#include "l7/relay_hello.h"
#include "l7/shared_count.h"
#include "l7/tls_first.h"

#define HEADER_MS 3000 /* as the PROXY specification advises: covers one lost SYN */
#define HELLO_MS 10000 /* from the connection, or its PROXY header, to the end of the ClientHello */
#define SWEEP_MS 1500  /* every connection is asked `lives` once in this time, */
#define SWEEP_MAX 512  /* at most so many in a turn */
#define MOVED_MIN 65536 /* payload told at once; less is told by the sweep and at the end */
#define ROOM_MIN 16384  /* of room that a writer out of room waits for */
#define SEGMENT 1460
#define TIMER_MAX_MS 86400000 /* at which a longer idle time is looked at in between */

enum relay_state {
	STATE_FREE,
	STATE_ALONE,
	STATE_PEEKING,
	STATE_SECURING,
	STATE_CONNECTING,
	STATE_COUPLED
};

enum {                       /* relay_conn.flags */
       TO_SHUT = 1 << 0,     /* the client's FIN was passed on */
       FROM_SHUT = 1 << 1,   /* the endpoint's */
       TOLD = 1 << 2,        /* by a PROXY header that was read: sl_relay.told */
       BY_TLS = 1 << 3,      /* the client's connection */
       UP_TLS = 1 << 4,      /* with the endpoint, */
       UP_SECURING = 1 << 5, /* begun */
       HELLO = 1 << 6,       /* the ClientHello is, or was, waited for */
       SHAPED = 1 << 7,      /* the service has a bandwidth, as of the last sweep */
};

/* What a PROXY header said. */
struct told {
	struct sl_addr src, dst;
	sl_be16 sport, dport;
};

struct relay_conn {
	struct sl_relay *relay;
	struct sl_stream *client;   /* NULL: over */
	struct sl_stream *upstream; /* NULL: none yet, or over */
	uint32_t connect_ms, idle_ms;
	uint32_t listener_slot, service_slot, endpoint_slot;
	uint16_t listener_incarnation, incarnation; /* of the endpoint */
	uint16_t keepalive_s;
	uint16_t header_len; /* bytes of the PROXY header before the client's payload */
	uint8_t state;       /* enum relay_state */
	uint8_t flags;
	uint8_t cc, proxy_out;
	uint8_t retries; /* further endpoints that may be tried */
	uint8_t tried;   /* endpoints in avoid[] */
	uint16_t service_incarnation;
	uint32_t handshake_ms; /* with the endpoint */
	union {
		uint32_t avoid[SL_RELAY_TRIES]; /* ALONE, CONNECTING */
		uint32_t need;                  /* HELLO: as sl_relay_hello_read has it */
		struct {                        /* COUPLED: payload not told yet */
			uint32_t to, from;
		};
		uint32_t next; /* FREE: place + 1 */
	};
};
static_assert(sizeof(struct relay_conn) <= 96, "memory of an idle connection");

struct sl_relay {
	struct sl_relay_conf conf;
	uint32_t free; /* list: place + 1 */
	uint32_t used; /* places that were ever used */
	/* the sweep: next place, of those below sweep_end; when it began */
	uint32_t sweep, sweep_end, sweep_ms;
	uint32_t zero;
	struct told *told;        /* [capacity] */
	uint32_t *counted;        /* [capacity]: as sl_clients_take gave it */
	struct sl_shaper *shaper; /* waiters: of each place TO_ENDPOINTS, TO_CLIENTS */
	struct relay_conn conns[];
};

static const struct sl_stream_ops client_ops, upstream_ops;

static void
count(struct sl_relay *r, unsigned code)
{
	r->conf.stats->count[code]++;
}

/* ---- limits ---- */

static bool
service_take(struct sl_relay *r, const struct sl_relay_rule *rule)
{
	return rule->service_slot == SL_RELAY_BY_NAME ||
	       sl_shared_count_take(&r->conf.limits->service[rule->service_slot],
				    rule->tcp->max_connections);
}

static bool
limits_take(struct sl_relay *r, const struct sl_relay_rule *rule)
{
	struct sl_relay_limits *l = r->conf.limits;

	if (!sl_shared_count_take(&l->listener[rule->listener_slot], rule->listener_max))
		return false;
	if (service_take(r, rule))
		return true;
	sl_shared_count_give(&l->listener[rule->listener_slot]);
	return false;
}

static void
limits_give(struct sl_relay *r, uint32_t listener_slot, uint32_t service_slot)
{
	sl_shared_count_give(&r->conf.limits->listener[listener_slot]);
	if (service_slot != SL_RELAY_BY_NAME)
		sl_shared_count_give(&r->conf.limits->service[service_slot]);
}

static bool
endpoint_take(struct sl_relay *r, const struct sl_relay_pick *p)
{
	return sl_shared_count_take(&r->conf.limits->endpoint[p->endpoint_slot], p->endpoint_max);
}

static uint32_t *
counted_at(const struct relay_conn *c)
{
	return &c->relay->counted[c - c->relay->conns];
}

/* One connection more of a client whose address is known.  false: it has too many. */
static bool
client_take(struct relay_conn *c, const struct sl_relay_rule *rule, const struct sl_addr *client)
{
	if (sl_likely(rule->client_max == 0))
		return true;
	*counted_at(c) = sl_clients_take(&c->relay->conf.limits->clients, rule->listener_slot,
					 client, rule->client_max);
	if (*counted_at(c))
		return true;
	count(c->relay, SL_TCP_RELAY_LIMIT);
	return false;
}

/* ---- places ---- */

static uint32_t
waiter_of(const struct relay_conn *c, enum sl_way way)
{
	return (uint32_t)(c - c->relay->conns) * SL_WAYS + way;
}

static struct relay_conn *
conn_new(struct sl_relay *r)
{
	struct relay_conn *c;

	if (r->free) {
		c = &r->conns[r->free - 1];
		r->free = c->next;
	} else if (r->used < r->conf.capacity) {
		c = &r->conns[r->used++];
	} else {
		return NULL;
	}
	*c = (struct relay_conn){.relay = r};
	*counted_at(c) = 0;
	return c;
}

static void
conn_put(struct relay_conn *c)
{
	struct sl_relay *r = c->relay;

	sl_shaper_leave(r->shaper, waiter_of(c, SL_TO_ENDPOINTS));
	sl_shaper_leave(r->shaper, waiter_of(c, SL_TO_CLIENTS));
	c->state = STATE_FREE;
	c->next = r->free;
	r->free = (uint32_t)(c - r->conns) + 1;
}

static void
tell_moved(struct relay_conn *c)
{
	const struct sl_relay_env *env = &c->relay->conf.env;

	if (c->to | c->from)
		env->moved(env->ctx, c->endpoint_slot, c->listener_slot, c->to, c->from);
	c->to = 0;
	c->from = 0;
}

/* The endpoint that is connected to, or was to be, has one connection less. */
static void
tell_ended(struct relay_conn *c, bool failed)
{
	const struct sl_relay_env *env = &c->relay->conf.env;

	env->ended(env->ctx, c->endpoint_slot, c->incarnation, failed);
	sl_shared_count_give(&c->relay->conf.limits->endpoint[c->endpoint_slot]);
}

/* The connection is over; its streams have been let go or were closed.  c is free. */
static void
conn_end(struct relay_conn *c)
{
	if (c->state == STATE_COUPLED)
		tell_moved(c);
	if (c->state >= STATE_CONNECTING)
		tell_ended(c, false);
	limits_give(c->relay, c->listener_slot, c->service_slot);
	sl_clients_give(&c->relay->conf.limits->clients, *counted_at(c));
	conn_put(c);
}

/* Resets what is still there of both sides. */
static void
conn_abort(struct relay_conn *c, enum sl_stream_end why)
{
	if (c->client)
		sl_stream_abort(c->client, why);
	if (c->upstream)
		sl_stream_abort(c->upstream, why);
	conn_end(c);
}

/* ---- bytes ---- */

/* A wait for room may outlive what waited, when that went on another event: then a side may be over. */
static bool
both_there(const struct relay_conn *c)
{
	return c->client && c->upstream;
}

static struct sl_shape_who
taker(const struct relay_conn *c, enum sl_way way)
{
	return (struct sl_shape_who){
		.waiter = waiter_of(c, way),
		.service_slot = c->service_slot,
		.incarnation = c->service_incarnation,
		.way = (uint8_t)way,
	};
}

/* As much of what there is as the service has tokens for; what does not go is given back.  With room for some of it one segment
 * more is asked for: pieces are not cut for the last bytes of room. */
static uint32_t
forward_shaped(struct relay_conn *c, struct sl_stream *from, struct sl_stream *to, enum sl_way way)
{
	const struct sl_shape_who who = taker(c, way);
	struct sl_shaper *shaper = c->relay->shaper;
	uint32_t room = sl_stream_room(to), want = sl_stream_readable_bytes(from);

	want = room ? SL_MIN(want, room + SEGMENT) : 0;
	uint32_t n = sl_shaper_take(shaper, &who, sl_tcp_now_ns(c->relay->conf.tcp), want);
	uint32_t moved = n ? sl_stream_forward(from, to, n) : 0;
	if (moved < n || want == 0) {
		sl_shaper_return(shaper, &who, n - moved);
		sl_shaper_leave(shaper, who.waiter);
	}
	return moved;
}

static inline uint32_t
forward(struct relay_conn *c, struct sl_stream *from, struct sl_stream *to, enum sl_way way)
{
	if (sl_likely(!(c->flags & SHAPED)))
		return sl_stream_forward(from, to, UINT32_MAX);
	return forward_shaped(c, from, to, way);
}

static inline bool
waits(const struct relay_conn *c, enum sl_way way)
{
	return c->flags & SHAPED && sl_shaper_waits(c->relay->shaper, waiter_of(c, way));
}

/* Both ways alike: forwards what there is and what there is room for, then waits for tokens or room, or passes the FIN on.  false: an
 * end that is none: nobody may take what came for all of it. */
static inline bool
pump(struct relay_conn *c, struct sl_stream *from, struct sl_stream *to, uint32_t *moved,
     enum sl_way way)
{
	const uint8_t shut = way == SL_TO_ENDPOINTS ? TO_SHUT : FROM_SHUT;

	*moved += forward(c, from, to, way);
	uint32_t left = sl_stream_readable_bytes(from);
	if (sl_unlikely(left)) {
		if (!waits(c, way))
			sl_stream_wait_room(to, SL_MIN(left, ROOM_MIN));
	} else if (sl_stream_eof(from) && !(c->flags & shut)) {
		if (sl_unlikely(sl_stream_cut(from)))
			return false;
		c->flags |= shut;
		sl_stream_shutdown(to);
	}
	return true;
}

/* false: the connection is over. */
static bool
pump_to(struct relay_conn *c)
{
	if (!both_there(c))
		return true;
	if (!pump(c, c->client, c->upstream, &c->to, SL_TO_ENDPOINTS)) {
		conn_abort(c, SL_END_ABORTED);
		return false;
	}
	if (c->to >= MOVED_MIN)
		tell_moved(c);
	return true;
}

static void
pump_from(struct relay_conn *c)
{
	if (!both_there(c))
		return;
	if (!pump(c, c->upstream, c->client, &c->from, SL_TO_CLIENTS))
		conn_abort(c, SL_END_ABORTED);
	else if (c->from >= MOVED_MIN)
		tell_moved(c);
}

/* Tokens have come. */
static void
shaped_go(void *ctx, uint32_t waiter)
{
	struct relay_conn *c = &((struct sl_relay *)ctx)->conns[waiter / SL_WAYS];

	if (waiter % SL_WAYS == SL_TO_ENDPOINTS)
		pump_to(c);
	else
		pump_from(c);
}

static void
look_shaped(struct relay_conn *c)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	const struct sl_img_bandwidth *b =
		env->bandwidth ? env->bandwidth(env->ctx, c->service_slot, c->service_incarnation)
			       : NULL;

	if (sl_unlikely(b && (b->rate[SL_TO_ENDPOINTS] | b->rate[SL_TO_CLIENTS])))
		c->flags |= SHAPED;
	else if (!sl_shaper_waits(c->relay->shaper, waiter_of(c, SL_TO_ENDPOINTS)) &&
		 !sl_shaper_waits(c->relay->shaper, waiter_of(c, SL_TO_CLIENTS)))
		c->flags &= (uint8_t)~SHAPED;
}

/* ---- idle ---- */

static void
arm_idle(struct relay_conn *c, uint32_t idle_ms)
{
	/* 0, when there is no idle time-out: no timer, nor that of the header any more */
	sl_stream_set_timer(c->client ? c->client : c->upstream,
			    SL_MIN(c->idle_ms - idle_ms, TIMER_MAX_MS));
}

/* Of whichever side is there: how long neither side has moved. */
static void
idle_timer(struct relay_conn *c)
{
	uint32_t idle_ms = UINT32_MAX;

	if (c->client)
		idle_ms = sl_stream_idle_ms(c->client);
	if (c->upstream)
		idle_ms = SL_MIN(idle_ms, sl_stream_idle_ms(c->upstream));
	if (idle_ms < c->idle_ms) {
		arm_idle(c, idle_ms);
		return;
	}
	if (waits(c, SL_TO_ENDPOINTS) ||
	    waits(c, SL_TO_CLIENTS)) { /* for its turn, not for a peer */
		arm_idle(c, 0);
		return;
	}
	count(c->relay, SL_TCP_RELAY_IDLE);
	conn_abort(c, SL_END_ABORTED);
}

/* ---- the PROXY header that comes in ---- */

/* Reads the header at the beginning of the client's bytes: as sl_proxy_parse. */
static int
header_read(struct sl_stream *s, struct sl_proxy_header *ret)
{
	uint8_t bytes[SL_PROXY_MAX];
	struct sl_span span[8];
	const char *why;
	uint32_t n = 0;

	unsigned cnt = sl_stream_peek(s, 0, span, SL_ARRAY_CNT(span));
	if (cnt == 1) /* as nearly always */
		return sl_proxy_parse(span[0].data, span[0].len, ret, &why);
	while (cnt && n < sizeof(bytes)) {
		for (unsigned i = 0; i < cnt && n < sizeof(bytes); i++) {
			uint32_t len = SL_MIN(span[i].len, (uint32_t)sizeof(bytes) - n);
			memcpy(bytes + n, span[i].data, len);
			n += len;
		}
		cnt = sl_stream_peek(s, n, span, SL_ARRAY_CNT(span));
	}
	return sl_proxy_parse(bytes, n, ret, &why);
}

/* The client's address and port, and what it connected to, as packets or its PROXY header say. */
static struct sl_tuple
client_tuple(struct relay_conn *c)
{
	struct sl_tuple t = sl_stream_row(c->client)->tuple;
	const struct told *told = &c->relay->told[c - c->relay->conns];
	struct sl_proxy_header h;

	if (c->flags & TOLD) {
		t.src = told->src;
		t.dst = told->dst;
		t.sport = told->sport;
		t.dport = told->dport;
	} else if (c->header_len && header_read(c->client, &h) > 0 && !h.local) {
		t.src = h.src;
		t.dst = h.dst;
		t.sport = h.sport;
		t.dport = h.dport;
	}
	return t;
}

/* ---- connecting ---- */

static void
label(struct relay_conn *c)
{
	sl_stream_label(c->client, c->listener_slot, c->service_slot, c->endpoint_slot,
			c->incarnation, c->upstream);
	sl_stream_label(c->upstream, c->listener_slot, c->service_slot, c->endpoint_slot,
			c->incarnation, c->client);
}

static struct sl_stream *
connect_to(struct relay_conn *c, const struct sl_relay_pick *p, enum sl_stream_end *ret_why)
{
	const struct sl_stream_target target = {
		.dst = p->addr,
		.port = p->port,
		.cc = c->cc,
		.nodelay = 1,
		.sources = p->sources,
		.source_cnt = p->source_cnt,
		.connect_ms = c->connect_ms,
		.keepalive_s = c->keepalive_s,
	};

	return sl_stream_connect(c->relay->conf.tcp, &target, &upstream_ops, c, ret_why);
}

/* The endpoint could not be connected to.  Whether another one may be tried. */
static bool
connect_failed(struct relay_conn *c, enum sl_stream_end why)
{
	count(c->relay, SL_TCP_RELAY_CONNECT_FAILED);
	tell_ended(c, true);
	c->state = STATE_ALONE;
	c->flags &= (uint8_t) ~(UP_TLS | UP_SECURING);
	c->avoid[c->tried++] = c->endpoint_slot;
	return why != SL_END_NO_MEMORY && c->tried <= c->retries;
}

/* With a place at the endpoint.  Where one without a port of its own is connected to is what packets say, not what the header says. */
static bool
pick(struct relay_conn *c, struct sl_relay_pick *ret)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	struct sl_tuple told = client_tuple(c), key = sl_stream_row(c->client)->tuple;

	key.src = told.src;
	key.sport = told.sport;
	*ret = (struct sl_relay_pick){0};
	for (unsigned n = 0; n < SL_RELAY_TRIES; n++) {
		if (!env->pick(env->ctx, &key, c->service_slot, c->service_incarnation, c->avoid,
			       c->tried, ret))
			break;
		if (endpoint_take(c->relay, ret))
			return true;
		ret->full = true; /* another worker has the last place */
	}
	if (c->tried == 0)
		count(c->relay, ret->full ? SL_TCP_RELAY_LIMIT : SL_TCP_RELAY_NO_ENDPOINT);
	return false;
}

/* Whether rules of the listener and limits of the service let a new connection through. */
static bool
passes(struct relay_conn *c)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	struct sl_tuple told;

	if (c->tried || (!env->passes && !env->allowed))
		return true;
	told = client_tuple(c);
	if (env->allowed && !env->allowed(env->ctx, c->client, (c->flags & BY_TLS) != 0, &told)) {
		count(c->relay, SL_TCP_RELAY_DENIED);
		return false;
	}
	if (!env->passes)
		return true;
	if (env->passes(env->ctx, c->client, (c->flags & BY_TLS) != 0, &told, c->service_slot,
			c->service_incarnation))
		return true;
	count(c->relay, SL_TCP_RELAY_RATE);
	return false;
}

/* Begins to connect to an endpoint, or ends the connection. */
static void
connect_any(struct relay_conn *c)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	struct sl_relay_pick p;
	enum sl_stream_end why;

	if (sl_unlikely(!passes(c))) {
		conn_abort(c, SL_END_ABORTED);
		return;
	}
	do {
		if (!pick(c, &p)) {
			conn_abort(c, SL_END_ABORTED);
			return;
		}
		if (c->tried)
			count(c->relay, SL_TCP_RELAY_RETRY);
		c->state = STATE_CONNECTING;
		c->endpoint_slot = p.endpoint_slot;
		c->incarnation = p.incarnation;
		if (p.tls && !(c->flags & HELLO)) { /* whose bytes are TLS as they are */
			c->flags |= UP_TLS;
			c->handshake_ms = p.tls->handshake_ms;
		}
		env->began(env->ctx, p.endpoint_slot, p.incarnation, c->service_slot);
		c->upstream = connect_to(c, &p, &why);
		if (c->upstream) {
			label(c);
			return;
		}
	} while (connect_failed(c, why));
	conn_abort(c, SL_END_ABORTED);
}

/* false: no memory for it. */
static bool
header_write(struct relay_conn *c)
{
	uint8_t bytes[SL_PROXY_OUT_MAX];
	struct sl_tuple t = client_tuple(c);
	uint32_t n = sl_proxy_write(bytes, c->proxy_out, &t.src, t.sport, &t.dst, t.dport);

	return sl_stream_write(c->upstream, bytes, n) == n;
}

/* The handshake follows the PROXY header.  false: there is no room for it. */
static bool
upstream_secure(struct relay_conn *c)
{
	struct sl_tls *tls = c->relay->conf.tls;

	c->flags |= UP_SECURING;
	return tls && sl_tls_client(tls, c->upstream, c->service_slot, c->service_incarnation,
				    c->endpoint_slot, NULL, c->handshake_ms);
}

/* Told twice, where the endpoint speaks TLS. */
static void
upstream_opened(struct sl_stream *s)
{
	struct relay_conn *c = sl_stream_user(s);
	bool first = !(c->flags & UP_SECURING);

	/* a client that is over and not told yet has no bytes any more: nor has it an address to tell */
	if (sl_stream_readable_bytes(c->client) < c->header_len) {
		conn_abort(c, SL_END_ABORTED);
		return;
	}
	if (first &&
	    ((c->proxy_out && !header_write(c)) || (c->flags & UP_TLS && !upstream_secure(c)))) {
		conn_abort(c, SL_END_NO_MEMORY);
		return;
	}
	if (first && c->flags & UP_TLS)
		return;
	if (c->header_len)
		sl_stream_consume(c->client, c->header_len);
	c->state = STATE_COUPLED;
	c->to = 0;
	c->from = 0;
	arm_idle(c, 0);
	if (pump_to(c))
		pump_from(c);
}

/* ---- the ClientHello that says the service ---- */

/* Whose it is, as far as that is known. */
static void
conn_serve(struct relay_conn *c, const struct sl_relay_rule *rule)
{
	c->service_slot = rule->service_slot;
	if (rule->service_slot == SL_RELAY_BY_NAME)
		return;
	c->service_incarnation = rule->service_incarnation;
	c->connect_ms = rule->tcp->connect_ms;
	c->idle_ms = rule->tcp->idle_ms;
	c->keepalive_s = rule->tcp->keepalive_s;
	c->cc = rule->tcp->cc;
	c->proxy_out = rule->tcp->proxy_out;
	c->retries = SL_MIN(rule->tcp->retries, SL_RELAY_TRIES - 1);
	look_shaped(c);
}

static void
count_pass(struct relay_conn *c, unsigned code)
{
	c->relay->conf.tls_stats->count[code]++;
}

/* What the accepted stream was to be, had the service been known then. */
static void
client_tune(struct relay_conn *c)
{
	sl_stream_set_cc(c->client, c->cc);
	sl_stream_set_keepalive(c->client, c->keepalive_s, (uint8_t)SL_MIN(c->keepalive_s / 4, 75),
				5);
}

static void
hello_nobody(struct relay_conn *c)
{
	count_pass(c, SL_TLS_CNT_PASS_NOBODY);
	sl_relay_hello_unknown(c->client);
	conn_end(c);
}

/* The table may be another one than when the client connected. */
static void
hello_named(struct relay_conn *c, const char *host)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	struct sl_relay_rule rule;
	enum sl_relay_named named =
		env->named(env->ctx, &sl_stream_row(c->client)->tuple, host, &rule);

	if (named == SL_RELAY_GONE ||
	    (named != SL_RELAY_NOBODY && (rule.listener_slot != c->listener_slot ||
					  rule.listener_incarnation != c->listener_incarnation))) {
		conn_abort(c, SL_END_ADMIN);
	} else if (named == SL_RELAY_NOBODY) {
		hello_nobody(c);
	} else if (!service_take(c->relay, &rule)) {
		count(c->relay, SL_TCP_RELAY_LIMIT);
		conn_abort(c, SL_END_ABORTED);
	} else {
		count_pass(c, named == SL_RELAY_NAMED ? SL_TLS_CNT_PASS_NAME
						      : SL_TLS_CNT_PASS_DEFAULT);
		conn_serve(c, &rule);
		client_tune(c);
		connect_any(c);
	}
}

static void
hello_refuse(struct relay_conn *c)
{
	count_pass(c, SL_TLS_CNT_PASS_BAD);
	conn_abort(c, SL_END_ABORTED);
}

static void
hello_readable(struct relay_conn *c)
{
	char host[SL_HOST_MAX];
	int n = sl_relay_hello_read(c->client, c->header_len, &c->need, host);

	if (n == SL_BAD || (n == SL_PARTIAL && sl_stream_ending(c->client)))
		hello_refuse(c);
	else if (n > 0)
		hello_named(c, host);
}

/* Behind a PROXY header it may be there already. */
static void
hello_await(struct relay_conn *c)
{
	c->flags |= HELLO;
	c->need = 0;
	sl_stream_set_timer(c->client, HELLO_MS);
	hello_readable(c);
}

/* ---- the client's side, until it is coupled ---- */

static void
header_refuse(struct relay_conn *c, unsigned code)
{
	count(c->relay, code);
	conn_abort(c, SL_END_ABORTED);
}

/* TLS with the client; an endpoint is looked for when it is done. */
static void
client_secure(struct relay_conn *c, const struct sl_relay_rule *rule)
{
	struct sl_tls *tls = c->relay->conf.tls;

	c->state = STATE_SECURING;
	if (!tls || !sl_tls_server(tls, c->client, c->listener_slot, c->listener_incarnation,
				   rule->tls->handshake_ms))
		conn_abort(c, SL_END_NO_MEMORY);
}

/* Which of both it is: plaintext has no handshake, nor what comes with it. */
static void
peek_readable(struct relay_conn *c)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	struct sl_relay_rule rule;
	enum sl_tls_first first = sl_tls_first(c->client);

	if (first == SL_TLS_FIRST_UNKNOWN)
		return;
	if (first == SL_TLS_FIRST_NOTHING) {
		conn_abort(c, SL_END_TLS);
		return;
	}
	if (!env->rule(env->ctx, &sl_stream_row(c->client)->tuple, &rule) || !rule.tls ||
	    rule.listener_slot != c->listener_slot ||
	    (first == SL_TLS_FIRST_OTHER && !rule.tls->plaintext)) {
		conn_abort(c, SL_END_ADMIN);
		return;
	}
	sl_stream_set_timer(c->client, 0);
	if (first == SL_TLS_FIRST_HANDSHAKE) {
		client_secure(c, &rule);
		return;
	}
	c->state = STATE_ALONE;
	c->flags &= (uint8_t)~BY_TLS;
	if (c->relay->conf.tls_stats)
		count_pass(c, SL_TLS_CNT_PLAINTEXT);
	connect_any(c);
}

/* TLS begins, or what the client begins with. */
static void
client_begin(struct relay_conn *c, const struct sl_relay_rule *rule)
{
	if (sl_likely(!rule->tls->plaintext)) {
		client_secure(c, rule);
		return;
	}
	c->state = STATE_PEEKING;
	sl_stream_set_timer(c->client, rule->tls->handshake_ms);
	peek_readable(c);
}

static void
client_secured(struct sl_stream *s)
{
	struct relay_conn *c = sl_stream_user(s);
	const struct sl_relay_env *env = &c->relay->conf.env;
	struct sl_relay_rule rule;

	/* the table may be another one than that which it began by */
	if (!env->rule(env->ctx, &sl_stream_row(s)->tuple, &rule) ||
	    rule.listener_slot != c->listener_slot ||
	    rule.listener_incarnation != c->listener_incarnation)
		conn_abort(c, SL_END_ADMIN);
	else
		connect_any(c);
}

/* The n bytes of the header go, so that the handshake's are the first. */
static void
header_take(struct relay_conn *c, const struct sl_proxy_header *h, uint32_t n)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	struct told *told = &c->relay->told[c - c->relay->conns];
	struct sl_relay_rule rule;

	if (!env->rule(env->ctx, &sl_stream_row(c->client)->tuple, &rule) || !rule.tls ||
	    rule.listener_slot != c->listener_slot) {
		conn_abort(c, SL_END_ADMIN);
		return;
	}
	if (!h->local) {
		*told = (struct told){h->src, h->dst, h->sport, h->dport};
		c->flags |= TOLD;
	}
	sl_stream_consume(c->client, n);
	sl_stream_set_timer(c->client, 0);
	client_begin(c, &rule);
}

/* By the address that the header says.  false: the connection is over. */
static bool
header_counts(struct relay_conn *c, const struct sl_proxy_header *h)
{
	const struct sl_relay_env *env = &c->relay->conf.env;
	const struct sl_tuple *tuple = &sl_stream_row(c->client)->tuple;
	struct sl_relay_rule rule;

	if (!env->rule(env->ctx, tuple, &rule) || rule.listener_slot != c->listener_slot ||
	    client_take(c, &rule, h->local ? &tuple->src : &h->src))
		return true; /* what else is to be said of the rule is said where it is used */
	conn_abort(c, SL_END_ABORTED);
	return false;
}

static void
header_readable(struct relay_conn *c)
{
	struct sl_proxy_header h;
	int n = header_read(c->client, &h);

	if (n > 0 && !header_counts(c, &h))
		return;

	/* a client that has closed its side sends no more of it */
	if (n == SL_BAD || (n == SL_PARTIAL && sl_stream_ending(c->client))) {
		header_refuse(c, SL_TCP_PROXY_BAD);
	} else if (n > 0 && c->flags & BY_TLS) {
		header_take(c, &h, (uint32_t)n);
	} else if (n > 0) {
		c->header_len = (uint16_t)n;
		if (c->service_slot == SL_RELAY_BY_NAME)
			hello_await(c);
		else
			connect_any(c);
	}
}

static void
conn_set(struct relay_conn *c, struct sl_stream *client, const struct sl_relay_rule *rule)
{
	c->client = client;
	c->state = STATE_ALONE;
	c->listener_slot = rule->listener_slot;
	c->listener_incarnation = rule->listener_incarnation;
	c->flags = rule->tls ? BY_TLS : 0;
	conn_serve(c, rule);
}

/* A place and numbers for a new connection, or NULL with why. */
static struct relay_conn *
conn_admit(struct sl_relay *r, struct sl_stream *s, const struct sl_relay_rule *rule,
	   enum sl_stream_end *ret_why)
{
	struct relay_conn *c;

	*ret_why = SL_END_ABORTED;
	if (!limits_take(r, rule)) {
		count(r, SL_TCP_RELAY_LIMIT);
		return NULL;
	}
	c = conn_new(r);
	if (!c) {
		limits_give(r, rule->listener_slot, rule->service_slot);
		*ret_why = SL_END_NO_MEMORY;
		return NULL;
	}
	conn_set(c, s, rule);
	if (rule->proxy_in || client_take(c, rule, &sl_stream_row(s)->tuple.src))
		return c;
	limits_give(r, rule->listener_slot, rule->service_slot);
	conn_put(c);
	return NULL;
}

static void
client_opened(struct sl_stream *s)
{
	struct sl_relay *r = sl_stream_user(s);
	const struct sl_tuple *tuple = &sl_stream_row(s)->tuple;
	struct sl_relay_rule rule;
	struct relay_conn *c = NULL;
	enum sl_stream_end why = SL_END_ADMIN; /* the listener went while the client connected */

	if (r->conf.env.rule(r->conf.env.ctx, tuple, &rule))
		c = conn_admit(r, s, &rule, &why);
	if (!c) {
		sl_stream_abort(s, why);
		return;
	}
	count(r, SL_TCP_RELAY_OPENED);
	sl_stream_attach(s, &client_ops, c);
	if (!rule.proxy_in && rule.tls)
		client_begin(c, &rule);
	else if (!rule.proxy_in && rule.service_slot == SL_RELAY_BY_NAME)
		hello_await(c);
	else if (!rule.proxy_in)
		connect_any(c);
	else if (sl_prefixes_hold(rule.trust, rule.trust_cnt, &tuple->src))
		sl_stream_set_timer(s, HEADER_MS); /* the header itself shows as readable */
	else
		header_refuse(c, SL_TCP_PROXY_UNTRUSTED);
}

/* ---- events of both ---- */

static void
client_readable(struct sl_stream *s)
{
	struct relay_conn *c = sl_stream_user(s);

	if (sl_likely(c->state == STATE_COUPLED))
		pump_to(c);
	else if (c->state == STATE_ALONE && c->flags & HELLO)
		hello_readable(c);
	else if (c->state == STATE_ALONE)
		header_readable(c);
	else if (c->state == STATE_PEEKING)
		peek_readable(c);
}

static void
client_writable(struct sl_stream *s)
{
	pump_from(sl_stream_user(s));
}

static void
upstream_readable(struct sl_stream *s)
{
	pump_from(sl_stream_user(s));
}

static void
upstream_writable(struct sl_stream *s)
{
	pump_to(sl_stream_user(s));
}

static void
timer(struct sl_stream *s)
{
	struct relay_conn *c = sl_stream_user(s);

	if (c->state == STATE_COUPLED)
		idle_timer(c);
	else if (c->state == STATE_ALONE && c->flags & HELLO)
		hello_refuse(c);
	else if (c->state == STATE_ALONE) /* CONNECTING: the header came in time */
		header_refuse(c, SL_TCP_PROXY_TIMEOUT);
	else if (c->state == STATE_PEEKING)
		conn_abort(c, SL_END_TLS);
}

/* One side of a coupled connection is over.  rest: the other side, or NULL. */
static void
side_closed(struct relay_conn *c, struct sl_stream *rest, enum sl_stream_end why)
{
	if (!rest) {
		conn_end(c);
	} else if (why != SL_END_OK) {
		conn_abort(c, SL_END_ABORTED);
	} else {
		sl_stream_label(rest, c->listener_slot, c->service_slot, c->endpoint_slot,
				c->incarnation, NULL);
		arm_idle(c, 0);
	}
}

static void
client_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct relay_conn *c = sl_stream_user(s);

	c->client = NULL;
	if (c->state == STATE_COUPLED)
		side_closed(c, c->upstream, why);
	else
		conn_abort(c, SL_END_ABORTED);
}

static void
upstream_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct relay_conn *c = sl_stream_user(s);

	c->upstream = NULL;
	if (c->state == STATE_COUPLED)
		side_closed(c, c->client, why);
	else if (connect_failed(c, why))
		connect_any(c);
	else
		conn_abort(c, SL_END_ABORTED);
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
	.timer = timer,
	.closed = client_closed,
};
static const struct sl_stream_ops upstream_ops = {
	.opened = upstream_opened,
	.readable = upstream_readable,
	.writable = upstream_writable,
	.timer = timer,
	.closed = upstream_closed,
};

/* ---- the relay ---- */

/* Connections, what their PROXY headers said, then who waits for tokens. */
static size_t
shaper_off(uint32_t capacity)
{
	size_t off = sizeof(struct sl_relay) + capacity * (sizeof(struct relay_conn) +
							   sizeof(struct told) + sizeof(uint32_t));

	return (off + 7) & ~(size_t)7;
}

size_t
sl_relay_bytes(uint32_t capacity)
{
	return shaper_off(capacity) + sl_shaper_bytes(capacity * SL_WAYS);
}

struct sl_relay *
sl_relay_init(void *mem, const struct sl_relay_conf *conf)
{
	const struct sl_shaper_conf shaper = {
		.waiters = conf->capacity * SL_WAYS,
		.words = &conf->limits->shape,
		.env = {conf->env.ctx, conf->env.bandwidth, shaped_go, mem},
	};
	struct sl_relay *r = mem;

	*r = (struct sl_relay){.conf = *conf, .told = (void *)&r->conns[conf->capacity]};
	r->counted = (void *)&r->told[conf->capacity];
	r->shaper = sl_shaper_init((char *)mem + shaper_off(conf->capacity), &shaper);
	return r;
}

void
sl_relay_fini(struct sl_relay *r)
{
	for (uint32_t i = 0; i < r->used; i++) {
		struct relay_conn *c = &r->conns[i];
		if (c->state == STATE_FREE)
			continue;
		limits_give(r, c->listener_slot, c->service_slot);
		sl_clients_give(&r->conf.limits->clients, *counted_at(c));
		if (c->state >= STATE_CONNECTING)
			sl_shared_count_give(&r->conf.limits->endpoint[c->endpoint_slot]);
	}
	sl_shaper_fini(r->shaper);
	r->used = 0;
	r->free = 0;
}

enum sl_tcp_admit
sl_relay_admit(struct sl_relay *r, const struct sl_relay_rule *rule, const struct sl_addr *from,
	       struct sl_tcp_accept *ret)
{
	struct sl_relay_limits *l = r->conf.limits;

	if (sl_shared_count_full(&l->listener[rule->listener_slot], rule->listener_max) ||
	    (rule->tcp &&
	     sl_shared_count_full(&l->service[rule->service_slot], rule->tcp->max_connections)) ||
	    (!r->free && r->used == r->conf.capacity))
		return SL_ADMIT_REFUSE;
	if (sl_unlikely(rule->client_max) && !rule->proxy_in &&
	    sl_clients_full(&l->clients, rule->listener_slot, from, rule->client_max))
		return SL_ADMIT_REFUSE;
	*ret = (struct sl_tcp_accept){
		.ops = &accept_ops,
		.user = r,
		.listener_slot = rule->listener_slot,
		.service_slot = rule->service_slot,
		.keepalive_s = rule->tcp ? rule->tcp->keepalive_s : 0,
		.cc = rule->tcp ? rule->tcp->cc : SL_CC_CUBIC,
		.nodelay = 1,
	};
	return SL_ADMIT_YES;
}

static void
sweep_one(struct relay_conn *c)
{
	const struct sl_relay_env *env = &c->relay->conf.env;

	if (c->state != STATE_COUPLED)
		return;
	tell_moved(c);
	look_shaped(c);
	if (!env->lives(env->ctx, c->listener_slot, c->listener_incarnation, c->endpoint_slot,
			c->incarnation))
		conn_abort(c, SL_END_ADMIN);
}

/* A sweep goes over the places at an even pace, or as fast as SWEEP_MAX allows. */
void
sl_relay_tick(struct sl_relay *r)
{
	uint32_t now_ms = sl_tcp_now_ms(r->conf.tcp), since_ms = now_ms - r->sweep_ms;

	sl_shaper_tick(r->shaper, sl_tcp_now_ns(r->conf.tcp));
	if (r->sweep == r->sweep_end) {
		if (since_ms < SWEEP_MS)
			return;
		r->sweep = 0;
		r->sweep_end = r->used;
		r->sweep_ms = now_ms;
		return;
	}
	uint64_t due = (uint64_t)r->sweep_end * SL_MIN(since_ms, SWEEP_MS) / SWEEP_MS;
	uint32_t to = SL_MIN((uint32_t)due, r->sweep + SWEEP_MAX);
	for (; r->sweep < to; r->sweep++)
		sweep_one(&r->conns[r->sweep]);
}

void
sl_relay_drop_all(struct sl_relay *r)
{
	for (uint32_t i = 0; i < r->used; i++)
		if (r->conns[i].state != STATE_FREE)
			conn_abort(&r->conns[i], SL_END_ADMIN);
}
