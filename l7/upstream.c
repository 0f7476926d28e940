/* Where a connection is:
 *
 *   state        in lists                             stream's ops    ends by
 *   FREE         free                                 –
 *   CONNECTING   –                                    connecting_ops  closed; opened twice where TLS is spoken: before and after
 *                                                                     the handshake
 *   LENT         –                                    conf.stream     put, gone
 *   IDLE         of endpoint, of service, of all      idle_ops        closed, anything said, time, sweep, room for another one
 *
 * Idle lists have the newest first: the endpoint's is lent from its head, the others give up their tail.
 *
 * What a connection may be used for besides its endpoint is its key: 0 is plaintext, else a hash of what the service says of TLS
 * and of the server name.
 *
 * A ticket is CONNECTING (ticket.up names the connection, which names it) or QUEUED at its service, which counts as PENDING.
 * Queues are served by the tick alone: what a user does in one call never calls another user.
 */
#include "l7/upstream.h"

#include "l7/shared_count.h"
#include "lb/hash.h"

#define SWEEP_MS 1000 /* every idle connection is looked at once in this time, */
#define SWEEP_MAX 256 /* at most so many places in a turn */
#define SERVE_MAX 16  /* services whose queues are looked at in a turn */
#define TRY_MS 100    /* at which a queue without hope is looked at all the same */
#define PASSED_MAX 64 /* requests passed over in a turn, because those whom they ask for are full */
#define YIELD_MS 5    /* for which a worker that let go of a connection takes no new one */
#define YIELD_EVERY_MS 100    /* at which one with a queue of its own does so */
#define TIMER_MAX_MS 86400000 /* at which a longer idle time is looked at in between */

enum up_state { UP_FREE, UP_CONNECTING, UP_LENT, UP_IDLE };
enum ticket_state { TICKET_NONE, TICKET_QUEUED, TICKET_CONNECTING };
enum { OF_ENDPOINT, OF_SERVICE, OF_ALL, LISTS };

struct list {
	uint32_t first, last; /* place + 1; 0: none */
};

struct sl_up {
	struct sl_upstream *u;
	struct sl_stream *stream;
	struct sl_up_ticket *ticket; /* CONNECTING: for whom, or NULL */
	uint32_t service_slot, endpoint_slot;
	uint32_t conn_requests, conn_idle_ms; /* as the service had them when it was lent last */
	uint32_t requests;                    /* it was lent for */
	union {
		uint32_t idle_ms;      /* IDLE: since when */
		uint32_t handshake_ms; /* CONNECTING */
	};
	uint64_t key; /* whom it may be lent to */
	uint16_t conn_idle_max;
	uint16_t incarnation;
	uint16_t service_incarnation;
	uint8_t state;    /* enum up_state */
	uint8_t tls_next; /* CONNECTING: `opened` means that TLS is to begin */
	struct {
		uint32_t next, prev; /* place + 1; FREE: next of OF_ALL */
	} in[LISTS];
};
static_assert(sizeof(struct sl_up) <= 88, "memory of an idle connection");

struct service {
	struct sl_up_ticket *first, *last; /* the queue */
	struct list idle;
	uint32_t queued;
	uint32_t at;              /* in sl_upstream.waiting */
	uint32_t max_connections; /* as last picked */
	uint32_t tried_ms;        /* when the queue was looked at */
	uint32_t yielded_ms;      /* when a connection was let go of for other workers */
	uint32_t zero;
	uint64_t generation, policy; /* a hash of what it says of TLS, as it was last looked at */
};

struct sl_upstream {
	struct sl_upstream_conf conf;
	uint32_t free; /* list: place + 1 */
	uint32_t used; /* places that were ever used */
	uint32_t conns, idle_cnt;
	struct list idle;
	uint32_t waiting_cnt, waiting_next;
	/* the sweep: next place, of those below sweep_end; when it began */
	uint32_t sweep, sweep_end, sweep_ms;
	uint16_t waiting[SL_MAX_SERVICES]; /* slots of services with a queue */
	struct service services[SL_MAX_SERVICES];
	struct list endpoints[SL_MAX_ENDPOINTS]; /* idle ones of each, and how many: */
	uint32_t endpoint_idle[SL_MAX_ENDPOINTS];
	struct sl_up ups[];
};

static const struct sl_stream_ops connecting_ops, idle_ops;

static void
count(struct sl_upstream *u, unsigned code)
{
	u->conf.stats->count[code]++;
}

static uint32_t
now_ms(const struct sl_upstream *u)
{
	return sl_tcp_now_ms(u->conf.tcp);
}

static void
tell_load(struct sl_up *up, int by)
{
	const struct sl_upstream_env *env = &up->u->conf.env;

	env->load(env->ctx, up->endpoint_slot, by);
}

/* ---- lists of idle connections ---- */

static struct sl_up *
up_at(struct sl_upstream *u, uint32_t place1)
{
	return place1 ? &u->ups[place1 - 1] : NULL;
}

static struct list *
list_of(const struct sl_up *up, unsigned which)
{
	struct sl_upstream *u = up->u;

	return which == OF_ENDPOINT  ? &u->endpoints[up->endpoint_slot]
	       : which == OF_SERVICE ? &u->services[up->service_slot].idle
				     : &u->idle;
}

static void
lists_enter(struct sl_up *up)
{
	struct sl_upstream *u = up->u;
	uint32_t place1 = (uint32_t)(up - u->ups) + 1;

	for (unsigned i = 0; i < LISTS; i++) {
		struct list *l = list_of(up, i);
		up->in[i].next = l->first;
		up->in[i].prev = 0;
		*(l->first ? &u->ups[l->first - 1].in[i].prev : &l->last) = place1;
		l->first = place1;
	}
	u->endpoint_idle[up->endpoint_slot]++;
	u->idle_cnt++;
}

static void
lists_leave(struct sl_up *up)
{
	struct sl_upstream *u = up->u;

	for (unsigned i = 0; i < LISTS; i++) {
		struct list *l = list_of(up, i);
		uint32_t next = up->in[i].next, prev = up->in[i].prev;
		*(next ? &u->ups[next - 1].in[i].prev : &l->last) = prev;
		*(prev ? &u->ups[prev - 1].in[i].next : &l->first) = next;
	}
	u->endpoint_idle[up->endpoint_slot]--;
	u->idle_cnt--;
}

/* ---- places ---- */

static bool
place_left(const struct sl_upstream *u)
{
	return u->free || u->used < u->conf.capacity;
}

static struct sl_up *
up_new(struct sl_upstream *u)
{
	struct sl_up *up;

	if (u->free) {
		up = &u->ups[u->free - 1];
		u->free = up->in[OF_ALL].next;
	} else {
		up = &u->ups[u->used++];
	}
	*up = (struct sl_up){.u = u};
	u->conns++;
	return up;
}

static void
endpoint_give(const struct sl_up *up)
{
	_Atomic uint32_t *cnt = up->u->conf.endpoint_conns;

	if (cnt)
		sl_shared_count_give(&cnt[up->endpoint_slot]);
}

/* Its stream is over, or was let go of. */
static void
up_end(struct sl_up *up, bool failed)
{
	struct sl_upstream *u = up->u;
	const struct sl_upstream_env *env = &u->conf.env;

	if (up->state == UP_IDLE)
		lists_leave(up);
	env->ended(env->ctx, up->endpoint_slot, up->incarnation, failed);
	sl_limit_give(u->conf.limits, up->service_slot, SL_LIMIT_CONNECTIONS);
	endpoint_give(up);
	up->state = UP_FREE;
	up->in[OF_ALL].next = u->free;
	u->free = (uint32_t)(up - u->ups) + 1;
	u->conns--;
}

static void
up_reset(struct sl_up *up, enum sl_stream_end why)
{
	sl_stream_abort(up->stream, why);
	up_end(up, false);
}

/* Nothing is under way on it, so a FIN does: what bytes are there answers it with RST. */
static void
up_close(struct sl_up *up)
{
	count(up->u, SL_HTTP_CNT_POOL_CLOSED);
	sl_stream_close(up->stream);
	up_end(up, false);
}

/* ---- idle ---- */

/* The endpoint has neither closed it nor said what nobody asked for. */
static bool
is_quiet(const struct sl_up *up)
{
	return sl_stream_row(up->stream)->state == SL_STREAM_ESTABLISHED &&
	       !sl_stream_ending(up->stream) && sl_stream_readable_bytes(up->stream) == 0;
}

static void
arm_idle(struct sl_up *up, uint32_t since_ms)
{
	sl_stream_set_timer(up->stream, SL_MIN(up->conn_idle_ms - since_ms, TIMER_MAX_MS));
}

/* Requests of other workers wait for connections of the service, and it is this worker's turn to let go of one. */
static bool
yields(struct sl_upstream *u, uint32_t service_slot)
{
	struct service *svc = &u->services[service_slot];
	uint32_t every_ms = svc->first ? YIELD_EVERY_MS : YIELD_MS;

	if (sl_likely(!sl_limit_elsewhere(u->conf.limits, service_slot, SL_LIMIT_PENDING)) ||
	    now_ms(u) - svc->yielded_ms < every_ms)
		return false;
	svc->yielded_ms = now_ms(u);
	return true;
}

/* What was let go of is not taken back before the others have had their turn. */
static bool
holds_back(const struct sl_upstream *u, const struct service *svc)
{
	return now_ms(u) - svc->yielded_ms < YIELD_MS;
}

/* Whether the endpoint has as many idle ones as there may be.  One for another server name makes room. */
static bool
too_many(struct sl_up *up)
{
	struct sl_upstream *u = up->u;

	if (u->endpoint_idle[up->endpoint_slot] < up->conn_idle_max)
		return false;
	struct sl_up *oldest = up_at(u, u->endpoints[up->endpoint_slot].last);
	if (!oldest || oldest->key == up->key)
		return true;
	up_close(oldest);
	return u->endpoint_idle[up->endpoint_slot] >= up->conn_idle_max;
}

/* Nobody uses it any more: for the next one, or the end. */
static void
up_keep(struct sl_up *up)
{
	struct sl_upstream *u = up->u;

	if (sl_unlikely(sl_stream_readable_bytes(up->stream))) {
		count(u, SL_HTTP_CNT_POOL_UNCLEAN);
		up_reset(up, SL_END_ABORTED);
		return;
	}
	bool worn = up->conn_requests && up->requests >= up->conn_requests;
	if (worn || !is_quiet(up) || yields(u, up->service_slot) || too_many(up)) {
		up_close(up);
		return;
	}
	up->state = UP_IDLE;
	up->idle_ms = now_ms(u);
	lists_enter(up);
	sl_stream_attach(up->stream, &idle_ops, up);
	sl_stream_wait_room(up->stream, 0);
	arm_idle(up, 0);
}

static void
idle_readable(struct sl_stream *s)
{
	struct sl_up *up = sl_stream_user(s);

	if (sl_stream_readable_bytes(s)) {
		count(up->u, SL_HTTP_CNT_POOL_UNCLEAN);
		up_reset(up, SL_END_ABORTED);
	} else if (sl_stream_eof(s)) {
		up_close(up);
	}
}

static void
idle_timer(struct sl_stream *s)
{
	struct sl_up *up = sl_stream_user(s);
	uint32_t since_ms = now_ms(up->u) - up->idle_ms;

	if (since_ms < up->conn_idle_ms)
		arm_idle(up, since_ms);
	else
		up_close(up);
}

static void
idle_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct sl_up *up = sl_stream_user(s);

	(void)why;
	count(up->u, SL_HTTP_CNT_POOL_CLOSED);
	up_end(up, false);
}

static const struct sl_stream_ops idle_ops = {
	.readable = idle_readable, .timer = idle_timer, .closed = idle_closed};

/* ---- keys ---- */

/* What the service says of TLS, looked at once a generation. */
static uint64_t
policy_of(struct sl_upstream *u, uint32_t service_slot, const struct sl_up_target *target)
{
	struct service *svc = &u->services[service_slot];
	const struct sl_img_tls_service *tls = target->tls;
	size_t bytes = sizeof(*tls) + tls->san_cnt * sizeof(struct sl_img_tls_san);

	if (sl_unlikely(!svc->policy || svc->generation != target->generation)) {
		svc->policy = sl_hash_name(u->conf.seed, (const char *)tls, bytes, 1) | 1;
		svc->generation = target->generation;
	}
	return svc->policy;
}

/* The host as a server name, in lower case and without the dot that may end it (RFC 6066, 3): its length; 0: it is none, as
 * addresses are, whose last label is of digits or which hold colons. */
static uint32_t
server_name(const uint8_t *host, uint32_t len, char ret[SL_HOST_MAX])
{
	bool digits = true;

	if (len && host[len - 1] == '.')
		len--;
	if (len == 0 || len >= SL_HOST_MAX - 2)
		return 0;
	for (uint32_t i = 0; i < len; i++) {
		uint8_t c = host[i];
		bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'Z';
		if (c == '.') {
			if (i == 0 || host[i - 1] == '.')
				return 0;
			digits = true;
		} else {
			digits &= digit;
		}
		if (!digit && !upper && !(c >= 'a' && c <= 'z') && c != '-' && c != '_' && c != '.')
			return 0;
		ret[i] = (char)(upper ? c | 0x20 : c);
	}
	ret[len] = 0;
	return digits ? 0 : len;
}

static uint64_t
key_of(struct sl_upstream *u, const struct sl_up_ask *ask, const struct sl_up_target *target)
{
	char name[SL_HOST_MAX];

	if (sl_likely(!target->tls))
		return 0;
	uint64_t key = policy_of(u, ask->service_slot, target);
	uint32_t len = target->tls->auto_sni ? server_name(ask->host, ask->host_len, name) : 0;
	return len ? sl_hash_name(u->conf.seed ^ key, name, len, 2) | 1 : key;
}

/* ---- lending ---- */

/* An idle connection to the target, or NULL.  What nobody may be lent any more goes. */
static struct sl_up *
find_idle(struct sl_upstream *u, const struct sl_up_target *target, uint64_t key)
{
	bool many = target->tls && target->tls->auto_sni; /* keys of the endpoint */
	struct sl_up *up = up_at(u, u->endpoints[target->endpoint_slot].first);

	while (up) {
		struct sl_up *next = up_at(u, up->in[OF_ENDPOINT].next);
		bool good = up->incarnation == target->incarnation && is_quiet(up);
		if (sl_likely(good && up->key == key))
			return up;
		if (!good || !many)
			up_close(up);
		up = next;
	}
	return NULL;
}

static void
settings(struct sl_up *up, const struct sl_up_target *target)
{
	const struct sl_img_http_service *http = target->http;

	up->conn_requests = http->conn_requests;
	up->conn_idle_ms = http->conn_idle_ms;
	up->conn_idle_max = (uint16_t)http->conn_idle_max;
}

static void
up_lend(struct sl_up *up, struct sl_up_ticket *t)
{
	up->state = UP_LENT;
	up->ticket = NULL;
	up->requests++;
	t->up = NULL;
	t->state = TICKET_NONE;
	t->endpoint_slot = up->endpoint_slot;
	t->incarnation = up->incarnation;
	sl_stream_attach(up->stream, up->u->conf.stream, t);
	if (up->requests > 1)
		count(up->u, SL_HTTP_CNT_POOL_REUSED);
}

static void
lend_idle(struct sl_up *up, struct sl_up_ticket *t, const struct sl_up_target *target)
{
	lists_leave(up);
	sl_stream_set_timer(up->stream, 0);
	settings(up, target);
	tell_load(up, 1);
	up_lend(up, t);
}

/* ---- connecting ---- */

/* No connection for whoever waits for it; the stream is over, or was let go of. */
static void
connecting_over(struct sl_up *up, bool failed, enum sl_up_verdict v, enum sl_stream_end why)
{
	struct sl_up_ticket *t = up->ticket;

	if (t)
		tell_load(up, -1);
	up_end(up, failed);
	if (!t)
		return;
	t->up = NULL;
	t->state = TICKET_NONE;
	up->u->conf.ops->failed(t, v, why, t->endpoint_slot);
}

/* Nothing but a handshake goes over it from now on.  One that nobody waits for is not worth it. */
static void
handshake(struct sl_up *up)
{
	struct sl_upstream *u = up->u;
	struct sl_up_ticket *t = up->ticket;
	char host[SL_HOST_MAX];

	up->tls_next = 0;
	if (t && u->conf.tls &&
	    sl_tls_client(u->conf.tls, up->stream, up->service_slot, up->service_incarnation,
			  up->endpoint_slot,
			  server_name(t->ask.host, t->ask.host_len, host) ? host : NULL,
			  up->handshake_ms))
		return;
	sl_stream_abort(up->stream, t ? SL_END_NO_MEMORY : SL_END_ABORTED);
	connecting_over(up, false, SL_UP_NO_MEMORY, SL_END_NO_MEMORY);
}

static void
connecting_opened(struct sl_stream *s)
{
	struct sl_up *up = sl_stream_user(s);
	struct sl_up_ticket *t = up->ticket;

	if (up->tls_next) {
		handshake(up);
		return;
	}
	count(up->u, SL_HTTP_CNT_POOL_NEW);
	if (!t) {
		up_keep(up);
		return;
	}
	up_lend(up, t);
	up->u->conf.ops->ready(t, up);
}

static void
connecting_closed(struct sl_stream *s, enum sl_stream_end why)
{
	connecting_over(sl_stream_user(s), true, SL_UP_FAILED, why);
}

static const struct sl_stream_ops connecting_ops = {.opened = connecting_opened,
						    .closed = connecting_closed};

/* A place at the endpoint; an idle connection that the request could not have makes room for it. */
static bool
endpoint_take(struct sl_upstream *u, const struct sl_up_target *target)
{
	_Atomic uint32_t *cnt = u->conf.endpoint_conns;
	uint32_t slot = target->endpoint_slot, max = target->tcp->endpoint_connections;

	if (!cnt || sl_likely(sl_shared_count_take(&cnt[slot], max)))
		return true;
	if (!u->endpoints[slot].last)
		return false;
	up_close(up_at(u, u->endpoints[slot].last));
	return sl_shared_count_take(&cnt[slot], max);
}

/* A place of the limit and one of ours; idle connections make room for it. */
static enum sl_up_verdict
make_room(struct sl_upstream *u, uint32_t slot, uint32_t max)
{
	struct service *svc = &u->services[slot];

	if (!sl_limit_take(u->conf.limits, slot, SL_LIMIT_CONNECTIONS, max)) {
		if (!svc->idle.last)
			return SL_UP_OVERFLOW;
		up_close(up_at(u, svc->idle.last));
		if (!sl_limit_take(u->conf.limits, slot, SL_LIMIT_CONNECTIONS, max))
			return SL_UP_OVERFLOW;
	}
	if (!place_left(u) && u->idle.last)
		up_close(up_at(u, u->idle.last));
	if (place_left(u))
		return SL_UP_READY;
	sl_limit_give(u->conf.limits, slot, SL_LIMIT_CONNECTIONS);
	return SL_UP_NO_MEMORY;
}

static struct sl_stream *
open_stream(struct sl_up *up, const struct sl_up_target *target, enum sl_stream_end *ret_why)
{
	const struct sl_stream_target to = {
		.dst = target->addr,
		.port = target->port,
		.cc = target->tcp->cc,
		.nodelay = 1,
		.sources = target->sources,
		.source_cnt = target->source_cnt,
		.connect_ms = target->tcp->connect_ms,
		.keepalive_s = target->tcp->keepalive_s,
	};

	return sl_stream_connect(up->u->conf.tcp, &to, &connecting_ops, up, ret_why);
}

/* WAIT; OVERFLOW: a limit of connections is reached; else what is refused: *ret_why SL_END_OK: before any stream. */
static enum sl_up_verdict
connect_for(struct sl_upstream *u, struct sl_up_ticket *t, const struct sl_up_ask *ask,
	    const struct sl_up_target *target, enum sl_stream_end *ret_why)
{
	const struct sl_upstream_env *env = &u->conf.env;
	uint32_t service_slot = ask->service_slot;
	enum sl_up_verdict v;

	*ret_why = SL_END_OK;
	if (!endpoint_take(u, target))
		return SL_UP_OVERFLOW;
	v = make_room(u, service_slot, target->tcp->max_connections);
	if (v != SL_UP_READY) {
		if (u->conf.endpoint_conns)
			sl_shared_count_give(&u->conf.endpoint_conns[target->endpoint_slot]);
		return v;
	}
	struct sl_up *up = up_new(u);
	up->state = UP_CONNECTING;
	up->service_slot = service_slot;
	up->endpoint_slot = t->endpoint_slot = target->endpoint_slot;
	up->incarnation = t->incarnation = target->incarnation;
	settings(up, target);
	up->key = key_of(u, ask, target);
	up->service_incarnation = ask->service_incarnation;
	up->tls_next = target->tls != NULL;
	up->handshake_ms = target->tls ? target->tls->handshake_ms : 0;
	t->ask.host = target->tls && target->tls->auto_sni ? ask->host : NULL;
	t->ask.host_len = t->ask.host ? ask->host_len : 0;
	env->began(env->ctx, up->endpoint_slot, up->incarnation, service_slot);
	up->stream = open_stream(up, target, ret_why);
	if (!up->stream) {
		up_end(up, true);
		return *ret_why == SL_END_NO_MEMORY ? SL_UP_NO_MEMORY : SL_UP_FAILED;
	}
	sl_stream_label(up->stream, UINT32_MAX, service_slot, up->endpoint_slot, up->incarnation,
			NULL);
	tell_load(up, 1);
	up->ticket = t;
	t->up = up;
	t->state = TICKET_CONNECTING;
	return SL_UP_WAIT;
}

/* ---- queues ---- */

static enum sl_up_verdict
enqueue(struct sl_upstream *u, struct sl_up_ticket *t, const struct sl_up_ask *ask,
	const struct sl_up_target *target)
{
	struct service *svc = &u->services[ask->service_slot];

	if (!sl_limit_take(u->conf.limits, ask->service_slot, SL_LIMIT_PENDING,
			   target->http->max_pending))
		return SL_UP_OVERFLOW;
	t->state = TICKET_QUEUED;
	t->service_slot = ask->service_slot;
	t->ask = *ask;
	t->client = *ask->client;
	t->ask.client = &t->client;
	t->next = NULL;
	t->prev = svc->last;
	*(svc->last ? &svc->last->next : &svc->first) = t;
	svc->last = t;
	svc->max_connections = target->tcp->max_connections;
	if (svc->queued++ == 0) {
		svc->tried_ms = now_ms(u);
		svc->at = u->waiting_cnt;
		u->waiting[u->waiting_cnt++] = (uint16_t)ask->service_slot;
	}
	return SL_UP_WAIT;
}

static void
dequeue(struct sl_upstream *u, struct sl_up_ticket *t)
{
	struct service *svc = &u->services[t->service_slot];

	*(t->prev ? &t->prev->next : &svc->first) = t->next;
	*(t->next ? &t->next->prev : &svc->last) = t->prev;
	t->next = t->prev = NULL;
	t->state = TICKET_NONE;
	sl_limit_give(u->conf.limits, t->service_slot, SL_LIMIT_PENDING);
	if (--svc->queued == 0) {
		uint16_t moved = u->waiting[--u->waiting_cnt];
		u->waiting[svc->at] = moved;
		u->services[moved].at = svc->at;
	}
}

/* false: it waits on.  *ret_full: because nobody of whom it asks for has a place, which says nothing of the others. */
static bool
serve_one(struct sl_upstream *u, struct service *svc, struct sl_up_ticket *t, bool *ret_full)
{
	const struct sl_upstream_env *env = &u->conf.env;
	enum sl_stream_end why = SL_END_OK;
	struct sl_up_target target;

	*ret_full = false;
	enum sl_up_verdict v = env->pick(env->ctx, &t->ask, &target);
	if (sl_likely(v == SL_UP_READY)) {
		svc->max_connections = target.tcp->max_connections;
		struct sl_up *up = find_idle(u, &target, key_of(u, &t->ask, &target));
		if (up) {
			dequeue(u, t);
			lend_idle(up, t, &target);
			u->conf.ops->ready(t, up);
			return true;
		}
		if (holds_back(u, svc))
			return false;
		const struct sl_up_ask ask = t->ask;
		v = connect_for(u, t, &ask, &target, &why);
		if (v == SL_UP_OVERFLOW || (v == SL_UP_NO_MEMORY && why == SL_END_OK))
			return false;
	} else if (v == SL_UP_OVERFLOW) {
		*ret_full = true;
		return false;
	}
	dequeue(u, t);
	if (v == SL_UP_WAIT)
		t->state = TICKET_CONNECTING; /* as connect_for made it */
	else
		u->conf.ops->failed(t, v, why, t->endpoint_slot);
	return true;
}

static void
serve(struct sl_upstream *u, uint32_t slot)
{
	struct service *svc = &u->services[slot];
	bool hope = svc->idle.first || !sl_limit_full(u->conf.limits, slot, SL_LIMIT_CONNECTIONS,
						      svc->max_connections);

	if (!hope && now_ms(u) - svc->tried_ms < TRY_MS)
		return;
	svc->tried_ms = now_ms(u);
	struct sl_up_ticket *t = svc->first;
	unsigned passed = 0;
	bool full;
	for (uint32_t n = svc->queued + PASSED_MAX; n && t; n--) {
		if (serve_one(u, svc, t, &full))
			t = svc->first; /* who was served may have cancelled others */
		else if (full && passed++ < PASSED_MAX)
			t = t->next;
		else
			return;
	}
}

/* ---- what users call ---- */

enum sl_up_verdict
sl_upstream_ask(struct sl_upstream *u, struct sl_up_ticket *t, const struct sl_up_ask *ask,
		struct sl_up **ret_up)
{
	const struct sl_upstream_env *env = &u->conf.env;
	struct service *svc = &u->services[ask->service_slot];
	struct sl_up_target target;
	enum sl_stream_end why;
	struct sl_up *up;

	SL_ASSERT(t->state == TICKET_NONE);
	t->endpoint_slot = UINT32_MAX;
	enum sl_up_verdict v = env->pick(env->ctx, ask, &target);
	if (sl_unlikely(v != SL_UP_READY))
		return v == SL_UP_OVERFLOW ? enqueue(u, t, ask, &target) : v;
	if (sl_unlikely(svc->first)) /* not before those who came before */
		return enqueue(u, t, ask, &target);
	up = find_idle(u, &target, key_of(u, ask, &target));
	if (sl_likely(up)) {
		lend_idle(up, t, &target);
		*ret_up = up;
		return SL_UP_READY;
	}
	v = SL_UP_OVERFLOW;
	if (!holds_back(u, svc))
		v = connect_for(u, t, ask, &target, &why);
	return v == SL_UP_OVERFLOW ? enqueue(u, t, ask, &target) : v;
}

void
sl_upstream_cancel(struct sl_upstream *u, struct sl_up_ticket *t)
{
	if (t->state == TICKET_QUEUED) {
		dequeue(u, t);
	} else if (t->state == TICKET_CONNECTING) {
		tell_load(t->up, -1);
		t->up->ticket = NULL;
		t->up = NULL;
		t->state = TICKET_NONE;
	}
}

void
sl_upstream_put(struct sl_upstream *u, struct sl_up *up, bool clean)
{
	SL_ASSERT(up->state == UP_LENT);
	tell_load(up, -1);
	if (sl_likely(clean)) {
		up_keep(up);
	} else {
		count(u, SL_HTTP_CNT_POOL_UNCLEAN);
		up_reset(up, SL_END_ABORTED);
	}
}

void
sl_upstream_gone(struct sl_upstream *u, struct sl_up *up)
{
	(void)u;
	SL_ASSERT(up->state == UP_LENT);
	tell_load(up, -1);
	up_end(up, false);
}

struct sl_stream *
sl_up_stream(const struct sl_up *up)
{
	return up->stream;
}

bool
sl_up_reused(const struct sl_up *up)
{
	return up->requests > 1;
}

uint32_t
sl_up_endpoint(const struct sl_up *up)
{
	return up->endpoint_slot;
}

uint16_t
sl_up_incarnation(const struct sl_up *up)
{
	return up->incarnation;
}

const uint32_t *
sl_upstream_idle(const struct sl_upstream *u)
{
	return u->endpoint_idle;
}

/* ---- the pool ---- */

size_t
sl_upstream_bytes(uint32_t capacity)
{
	return sizeof(struct sl_upstream) + (size_t)capacity * sizeof(struct sl_up);
}

struct sl_upstream *
sl_upstream_init(void *mem, const struct sl_upstream_conf *conf)
{
	struct sl_upstream *u = mem;

	memset(u, 0, sizeof(*u));
	u->conf = *conf;
	u->conf.stats->pool_capacity = conf->capacity;
	return u;
}

void
sl_upstream_fini(struct sl_upstream *u)
{
	for (uint32_t i = 0; i < u->used; i++)
		if (u->ups[i].state != UP_FREE) {
			sl_limit_give(u->conf.limits, u->ups[i].service_slot, SL_LIMIT_CONNECTIONS);
			endpoint_give(&u->ups[i]);
		}
	for (uint32_t i = 0; i < u->waiting_cnt; i++)
		for (uint32_t n = u->services[u->waiting[i]].queued; n; n--)
			sl_limit_give(u->conf.limits, u->waiting[i], SL_LIMIT_PENDING);
	u->used = u->free = u->waiting_cnt = 0;
}

static void
sweep_one(struct sl_up *up)
{
	struct sl_upstream *u = up->u;
	const struct sl_upstream_env *env = &u->conf.env;

	if (up->state != UP_IDLE)
		return;
	if (!env->lives(env->ctx, up->service_slot, up->endpoint_slot, up->incarnation) ||
	    yields(u, up->service_slot))
		up_close(up);
}

/* At an even pace, or as fast as SWEEP_MAX allows. */
static void
sweep(struct sl_upstream *u)
{
	uint32_t since_ms = now_ms(u) - u->sweep_ms;

	if (u->sweep == u->sweep_end) {
		if (since_ms < SWEEP_MS)
			return;
		u->sweep = 0;
		u->sweep_end = u->used;
		u->sweep_ms = now_ms(u);
		return;
	}
	uint64_t due = (uint64_t)u->sweep_end * SL_MIN(since_ms, SWEEP_MS) / SWEEP_MS;
	uint32_t to = SL_MIN((uint32_t)due, u->sweep + SWEEP_MAX);
	for (; u->sweep < to; u->sweep++)
		sweep_one(&u->ups[u->sweep]);
}

void
sl_upstream_tick(struct sl_upstream *u)
{
	for (uint32_t n = SL_MIN(u->waiting_cnt, SERVE_MAX); n && u->waiting_cnt; n--) {
		if (u->waiting_next >= u->waiting_cnt)
			u->waiting_next = 0;
		serve(u, u->waiting[u->waiting_next++]);
	}
	sweep(u);
	u->conf.stats->pooled = u->conns;
	u->conf.stats->pool_idle = u->idle_cnt;
}

void
sl_upstream_drop_all(struct sl_upstream *u)
{
	for (uint32_t i = 0; i < u->waiting_cnt;)
		dequeue(u, u->services[u->waiting[i]].first);
	for (uint32_t i = 0; i < u->used; i++) {
		struct sl_up *up = &u->ups[i];
		if (up->state == UP_CONNECTING && up->ticket)
			sl_upstream_cancel(u, up->ticket);
		if (up->state == UP_CONNECTING || up->state == UP_IDLE)
			up_reset(up, SL_END_ADMIN);
	}
}
