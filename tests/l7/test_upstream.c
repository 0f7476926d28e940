/* The pool over fake streams (fake_streams.h): every way of a connection, two workers with one ledger, and a driver by chance
 * against a model that only counts. */
#include "l7/upstream.h"

#include <stdatomic.h>

#include "sluice/stats.h"
#include "tests/l7/fake_streams.h"
#include "tests/suite.h"

enum { WORKERS = 2, SERVICES = 2, PER_SERVICE = 4, ENDPOINTS = SERVICES * PER_SERVICE };
enum { SERVICE_SLOT = 4000, ENDPOINT_SLOT = 65528, INCARNATION = 77 };

struct scene;

/* One worker's pool. */
struct pool {
	struct scene *s;
	struct sl_tcp *tcp;
	struct sl_limits *limits;
	struct sl_upstream *u;
	struct sl_stats_http stats;
	int conns[ENDPOINTS], load[ENDPOINTS]; /* began − ended; load */
};

struct endpoint {
	bool down; /* not picked */
	bool dead; /* `lives` says no */
	bool full; /* of who asks for it by hash alone */
	uint16_t incarnation;
	uint32_t failed;
};

struct scene {
	struct sl_ledger *ledger;
	_Atomic uint32_t *conns; /* of all workers, by endpoint slot */
	struct pool pool[WORKERS];
	struct endpoint ep[ENDPOINTS];
	bool gone[SERVICES]; /* the service */
	struct sl_img_tcp tcp[SERVICES];
	struct sl_img_http_service http[SERVICES];
	struct {
		struct sl_img_tls_service says;
		struct sl_img_tls_san sans[2]; /* behind it, as in the image */
		bool is;
	} tls[SERVICES];
	uint64_t generation;
	struct sl_addr source;
	uint32_t picks, asked; /* lives */
	uint32_t turn;         /* by chance, not by hash */
	bool in_call;          /* nobody is told anything now */
};

enum user_state { IDLE, WAITS, LENT };

/* Who asks.  The ticket is first. */
struct user {
	struct sl_up_ticket t;
	struct pool *p;
	struct sl_up *up;
	enum user_state state;
	unsigned ready, failed, heard, closed; /* how often each was told */
	enum sl_up_verdict why;
	enum sl_stream_end end;
	uint32_t endpoint;
	unsigned service;
	const char *host; /* of the request; NULL: none */
};

/* ---- what upstream calls ---- */

static enum sl_up_verdict
env_pick(void *ctx, const struct sl_up_ask *ask, struct sl_up_target *ret)
{
	struct pool *p = ctx;
	struct scene *s = p->s;
	unsigned svc = ask->service_slot - SERVICE_SLOT, start, found = ENDPOINTS;

	CU_ASSERT_TRUE(ask->service_incarnation == 8 && ask->client->sport == 4321);
	s->picks++;
	if (s->gone[svc])
		return SL_UP_NO_SERVICE;
	start = ask->hashed ? (unsigned)ask->hash : s->turn++;
	if (ask->hashed && s->ep[svc * PER_SERVICE + start % PER_SERVICE].full) {
		*ret = (struct sl_up_target){.tcp = &s->tcp[svc], .http = &s->http[svc]};
		return SL_UP_OVERFLOW;
	}
	for (unsigned i = 0; i < 2 * PER_SERVICE && found == ENDPOINTS; i++) {
		unsigned e = svc * PER_SERVICE + (start + i) % PER_SERVICE;
		bool not_this = s->ep[e].down;
		for (unsigned a = 0; a < ask->avoid_cnt && i < PER_SERVICE; a++)
			not_this |= ask->avoid[a] == ENDPOINT_SLOT + e;
		if (!not_this)
			found = e;
	}
	if (found == ENDPOINTS)
		return SL_UP_NO_ENDPOINT;
	*ret = (struct sl_up_target){
		.addr = sl_addr_from_v4((uint8_t[]){10, 0, 0, (uint8_t)found}),
		.port = sl_to_be16(8000 + found),
		.incarnation = s->ep[found].incarnation,
		.endpoint_slot = ENDPOINT_SLOT + found,
		.sources = &s->source,
		.source_cnt = 1,
		.tcp = &s->tcp[svc],
		.http = &s->http[svc],
		.tls = s->tls[svc].is ? &s->tls[svc].says : NULL,
		.generation = s->generation,
	};
	return SL_UP_READY;
}

static bool
env_lives(void *ctx, uint32_t service_slot, uint32_t endpoint_slot, uint16_t incarnation)
{
	struct pool *p = ctx;
	const struct endpoint *e = &p->s->ep[endpoint_slot - ENDPOINT_SLOT];

	CU_ASSERT_EQUAL(service_slot - SERVICE_SLOT, (endpoint_slot - ENDPOINT_SLOT) / PER_SERVICE);
	p->s->asked++;
	return !e->dead && e->incarnation == incarnation &&
	       !p->s->gone[service_slot - SERVICE_SLOT];
}

static void
env_began(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, uint32_t service_slot)
{
	struct pool *p = ctx;

	CU_ASSERT_EQUAL(incarnation, p->s->ep[endpoint_slot - ENDPOINT_SLOT].incarnation);
	CU_ASSERT_EQUAL(service_slot - SERVICE_SLOT, (endpoint_slot - ENDPOINT_SLOT) / PER_SERVICE);
	p->conns[endpoint_slot - ENDPOINT_SLOT]++;
}

static void
env_ended(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, bool failed)
{
	struct pool *p = ctx;

	(void)incarnation;
	p->conns[endpoint_slot - ENDPOINT_SLOT]--;
	p->s->ep[endpoint_slot - ENDPOINT_SLOT].failed += failed;
}

static void
env_load(void *ctx, uint32_t endpoint_slot, int by)
{
	struct pool *p = ctx;

	p->load[endpoint_slot - ENDPOINT_SLOT] += by;
	CU_ASSERT_TRUE(p->load[endpoint_slot - ENDPOINT_SLOT] >= 0);
}

static void
told_ready(struct sl_up_ticket *t, struct sl_up *up)
{
	struct user *x = (void *)t;

	CU_ASSERT_FALSE(x->p->s->in_call);
	CU_ASSERT_EQUAL(x->state, WAITS);
	x->state = LENT;
	x->up = up;
	x->ready++;
}

static void
told_failed(struct sl_up_ticket *t, enum sl_up_verdict why, enum sl_stream_end end,
	    uint32_t endpoint_slot)
{
	struct user *x = (void *)t;

	CU_ASSERT_FALSE(x->p->s->in_call);
	CU_ASSERT_EQUAL(x->state, WAITS);
	CU_ASSERT_EQUAL(endpoint_slot, t->endpoint_slot);
	x->state = IDLE;
	x->failed++;
	x->why = why;
	x->end = end;
	x->endpoint = endpoint_slot;
}

static const struct sl_up_ops up_ops = {told_ready, told_failed};

static void
lent_readable(struct sl_stream *s)
{
	struct user *x = sl_stream_user(s);

	CU_ASSERT_EQUAL(x->state, LENT);
	x->heard++;
}

static void
lent_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct user *x = sl_stream_user(s);

	CU_ASSERT_EQUAL(x->state, LENT);
	CU_ASSERT_PTR_EQUAL(sl_up_stream(x->up), s);
	x->state = IDLE;
	x->closed++;
	x->end = why;
	sl_upstream_gone(x->p->u, x->up);
	x->up = NULL;
}

/* Nobody here sets one. */
static void
lent_timer(struct sl_stream *s)
{
	(void)s;
	CU_FAIL("the pool's timer was told to the user");
}

static const struct sl_stream_ops lent_ops = {
	.readable = lent_readable, .timer = lent_timer, .closed = lent_closed};

/* ---- the scene ---- */

static void
scene_init(struct scene *s, uint32_t capacity, uint32_t streams)
{
	const struct fake_conf fake = {.streams = streams, .rcv_max = 64, .snd_max = 64};

	memset(s, 0, sizeof(*s));
	s->ledger = aligned_alloc(SL_CACHE_LINE, sizeof(*s->ledger));
	memset(s->ledger, 0, sizeof(*s->ledger));
	s->conns = calloc(SL_MAX_ENDPOINTS, sizeof(*s->conns));
	s->source = sl_addr_from_v4((uint8_t[]){10, 9, 9, 9});
	for (unsigned i = 0; i < SERVICES; i++) {
		s->tls[i].says.handshake_ms = 4321;
		s->tcp[i] = (struct sl_img_tcp){
			.connect_ms = 1234, .keepalive_s = 7, .cc = 1, .max_connections = 0};
		s->http[i] = (struct sl_img_http_service){
			.max_pending = 100, .conn_idle_ms = 3600000, .conn_idle_max = 100};
	}
	for (unsigned i = 0; i < ENDPOINTS; i++)
		s->ep[i].incarnation = INCARNATION;
	for (unsigned i = 0; i < WORKERS; i++) {
		struct pool *p = &s->pool[i];
		p->s = s;
		p->tcp = fake_create(&fake);
		p->limits = sl_limits_init(malloc(sl_limits_bytes()), s->ledger, WORKERS);
		const struct sl_upstream_conf conf = {
			.capacity = capacity,
			.seed = 99,
			.tcp = p->tcp,
			.tls = fake_tls(p->tcp),
			.limits = p->limits,
			.endpoint_conns = s->conns,
			.env = {p, env_pick, env_lives, env_began, env_ended, env_load},
			.ops = &up_ops,
			.stream = &lent_ops,
			.stats = &p->stats,
		};
		p->u = sl_upstream_init(malloc(sl_upstream_bytes(capacity)), &conf);
	}
	/* the clock wraps soon (fake_create); times before the first turn are nobody's */
	for (unsigned i = 0; i < WORKERS; i++)
		fake_turn(s->pool[i].tcp, 1000);
}

static struct scene *
scene_of(uint32_t capacity)
{
	static struct scene s;

	scene_init(&s, capacity, 64);
	return &s;
}

static uint32_t
ledger(const struct scene *s, enum sl_limit what)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < SERVICES; i++)
		sum += atomic_load(&s->ledger->service[SERVICE_SLOT + i].taken[what]);
	return sum;
}

/* Users have put what they had.  Nothing may be left. */
static void
scene_fini(struct scene *s)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		struct pool *p = &s->pool[i];
		sl_upstream_drop_all(p->u);
		sl_upstream_tick(p->u);
		CU_ASSERT_EQUAL(fake_live(p->tcp), 0);
		CU_ASSERT_TRUE(p->stats.pooled == 0 && p->stats.pool_idle == 0);
		for (unsigned e = 0; e < ENDPOINTS; e++)
			CU_ASSERT_TRUE(p->conns[e] == 0 && p->load[e] == 0);
	}
	for (unsigned what = 0; what < SL_LIMIT_CNT; what++)
		CU_ASSERT_EQUAL(ledger(s, what), 0);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		CU_ASSERT_EQUAL(s->conns[ENDPOINT_SLOT + i], 0);
	for (unsigned i = 0; i < WORKERS; i++) {
		struct pool *p = &s->pool[i];
		sl_upstream_fini(p->u);
		sl_limits_fini(p->limits);
		free(p->u);
		free(p->limits);
		fake_destroy(p->tcp);
	}
	free(s->ledger);
	free(s->conns);
}

static void
turn(struct scene *s, uint32_t ms)
{
	for (unsigned i = 0; i < WORKERS; i++) {
		sl_upstream_tick(s->pool[i].u);
		fake_turn(s->pool[i].tcp, ms);
	}
}

/* `ms` go by in steps of one or two hundred turns. */
static void
pass(struct scene *s, uint32_t ms)
{
	for (uint32_t n = 0; n < 100; n++)
		turn(s, ms / 100);
	turn(s, ms % 100);
}

/* hash −1: by turns. */
static enum sl_up_verdict
ask_of(struct user *x, struct pool *p, unsigned service, int hash, uint32_t avoid)
{
	struct sl_tuple client = {.sport = 4321};
	struct sl_up_ask ask = {.service_slot = SERVICE_SLOT + service,
				.service_incarnation = 8,
				.hashed = hash >= 0,
				.hash = hash >= 0 ? (uint64_t)hash : 0,
				.client = &client,
				.host = (const uint8_t *)x->host,
				.host_len = x->host ? (uint32_t)strlen(x->host) : 0};

	if (avoid != UINT32_MAX)
		ask.avoid[ask.avoid_cnt++] = avoid;
	x->p = p;
	x->service = service;
	CU_ASSERT_EQUAL(x->state, IDLE);
	p->s->in_call = true;
	enum sl_up_verdict v = sl_upstream_ask(p->u, &x->t, &ask, &x->up);
	p->s->in_call = false;
	memset(&ask, 0xa5, sizeof(ask)); /* nothing of it is kept by pointer but the host */
	memset(&client, 0xa5, sizeof(client));
	x->state = v == SL_UP_READY ? LENT : v == SL_UP_WAIT ? WAITS : IDLE;
	return v;
}

static enum sl_up_verdict
ask(struct scene *s, struct user *x, int hash)
{
	return ask_of(x, &s->pool[0], 0, hash, UINT32_MAX);
}

static void
put(struct user *x, bool clean)
{
	CU_ASSERT_EQUAL(x->state, LENT);
	x->p->s->in_call = true;
	sl_upstream_put(x->p->u, x->up, clean);
	x->p->s->in_call = false;
	x->state = IDLE;
	x->up = NULL;
}

static void
cancel(struct user *x)
{
	x->p->s->in_call = true;
	sl_upstream_cancel(x->p->u, &x->t);
	x->p->s->in_call = false;
	x->state = IDLE;
}

static uint32_t
place_of(const struct user *x)
{
	return fake_place(sl_up_stream(x->up));
}

/* x has a new connection to the endpoint. */
static struct sl_stream *
lent(struct scene *s, struct user *x, int hash)
{
	CU_ASSERT_EQUAL_FATAL(ask(s, x, hash), SL_UP_WAIT);
	struct sl_stream *st = fake_connected(s->pool[0].tcp);
	fake_peer_answers(st);
	turn(s, 0);
	CU_ASSERT_EQUAL_FATAL(x->state, LENT);
	CU_ASSERT_PTR_EQUAL(sl_up_stream(x->up), st);
	return st;
}

static uint64_t
counted(const struct scene *s, unsigned code)
{
	return s->pool[0].stats.count[code];
}

/* ---- a connection ---- */

static void
a_connection_is_kept_and_lent_again(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0};
	struct sl_stream *st = lent(s, &a, 0);

	CU_ASSERT_TRUE(!sl_up_reused(a.up) && sl_up_endpoint(a.up) == ENDPOINT_SLOT &&
		       sl_up_incarnation(a.up) == INCARNATION);
	CU_ASSERT_TRUE(a.t.endpoint_slot == ENDPOINT_SLOT && a.t.incarnation == INCARNATION);
	put(&a, true);
	turn(s, 10);
	CU_ASSERT_TRUE(s->pool[0].stats.pooled == 1 && s->pool[0].stats.pool_idle == 1 &&
		       s->pool[0].stats.pool_capacity == 8);
	CU_ASSERT_EQUAL(ask(s, &b, 0), SL_UP_READY);
	CU_ASSERT_PTR_EQUAL(sl_up_stream(b.up), st);
	CU_ASSERT_TRUE(sl_up_reused(b.up));
	fake_peer_sends(st, "x", 1);
	turn(s, 0);
	CU_ASSERT_TRUE(b.heard == 1 && a.heard == 0);
	sl_stream_consume(st, 1);
	put(&b, true);
	CU_ASSERT_TRUE(counted(s, SL_HTTP_CNT_POOL_NEW) == 1 &&
		       counted(s, SL_HTTP_CNT_POOL_REUSED) == 1);
	scene_fini(s);
}

static void
what_an_endpoint_is_asked_for_is_as_configured(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0};
	struct sl_stream *st = lent(s, &a, 2);
	const struct sl_stream_target *t = fake_target(st);
	struct fake_seen seen = fake_seen(st);

	CU_ASSERT_TRUE(t->connect_ms == 1234 && t->keepalive_s == 7 && t->cc == 1 &&
		       t->nodelay == 1);
	CU_ASSERT_TRUE(t->port == sl_to_be16(8002) && t->dst.b[15] == 2);
	CU_ASSERT_TRUE(seen.service_slot == SERVICE_SLOT &&
		       seen.endpoint_slot == ENDPOINT_SLOT + 2 && seen.partner == UINT32_MAX &&
		       seen.listener_slot == UINT32_MAX);
	CU_ASSERT_EQUAL(sl_stream_row(st)->incarnation, INCARNATION);
	put(&a, true);
	scene_fini(s);
}

static void
the_newest_idle_one_to_the_endpoint_is_lent_first(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, c = {0}, d = {0};
	uint32_t first = fake_place(lent(s, &a, 0)), second = fake_place(lent(s, &b, 0));

	lent(s, &c, 1);
	put(&a, true);
	put(&b, true);
	put(&c, true);
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_READY);
	CU_ASSERT_EQUAL(place_of(&a), second);
	CU_ASSERT_EQUAL(ask(s, &b, 0), SL_UP_READY);
	CU_ASSERT_EQUAL(place_of(&b), first);
	CU_ASSERT_EQUAL(ask(s, &c, 0), SL_UP_WAIT); /* that to another endpoint does not do */
	CU_ASSERT_EQUAL(ask(s, &d, 1), SL_UP_READY);
	cancel(&c);
	put(&a, true);
	put(&b, true);
	put(&d, true);
	scene_fini(s);
}

static void
bytes_that_come_with_the_handshake_are_told_to_who_gets_it(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0};

	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
	struct sl_stream *st = fake_connected(s->pool[0].tcp);
	fake_peer_answers(st);
	fake_peer_sends(st, "hi", 2);
	turn(s, 0);
	CU_ASSERT_TRUE(a.state == LENT && a.heard == 1);
	put(&a, false);
	/* and end it, when it is for nobody */
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
	st = fake_connected(s->pool[0].tcp);
	cancel(&a);
	fake_peer_answers(st);
	fake_peer_sends(st, "hi", 2);
	turn(s, 0);
	CU_ASSERT_TRUE(fake_seen(st).aborted);
	scene_fini(s);
}

enum said { NOTHING, BYTES, FIN, RST };

static void
say(struct sl_stream *st, enum said what)
{
	if (what == BYTES)
		fake_peer_sends(st, "HTTP/1.1 408", 12);
	else if (what == FIN)
		fake_peer_fin(st);
	else if (what == RST)
		fake_peer_ends(st, SL_END_RESET);
}

static void
only_a_clean_and_quiet_connection_is_kept(void)
{
	static const struct {
		bool clean;
		enum said said;
		uint32_t requests, idle_max;
		bool kept, reset;
		uint64_t unclean, closed;
		const char *reason;
	} rows[] = {
		{true, NOTHING, 0, 100, true, false, 0, 0, "clean"},
		{false, NOTHING, 0, 100, false, true, 1, 0, "the user says it is not"},
		{true, BYTES, 0, 100, false, true, 1, 0, "more than was asked for"},
		{true, FIN, 0, 100, false, false, 0, 1, "closed by the endpoint"},
		{true, RST, 0, 100, false, false, 0, 1, "reset by the endpoint, told later"},
		{false, RST, 0, 100, false, true, 1, 0, "both at once"},
		{true, NOTHING, 1, 100, false, false, 0, 1, "it has had its requests"},
		{true, NOTHING, 2, 100, true, false, 0, 0, "one more is left"},
		{true, NOTHING, 0, 0, false, false, 0, 1, "none is kept"},
		{true, NOTHING, 0, 1, true, false, 0, 0, "one is kept"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene *s = scene_of(8);
		struct user a = {0};
		s->http[0].conn_requests = rows[i].requests;
		s->http[0].conn_idle_max = rows[i].idle_max;
		struct sl_stream *st = lent(s, &a, 0);
		say(st, rows[i].said); /* not told yet */
		put(&a, rows[i].clean);
		struct fake_seen seen = fake_seen(st);
		if (seen.let_go == rows[i].kept || seen.aborted != rows[i].reset)
			printf("  %s\n", rows[i].reason);
		CU_ASSERT_EQUAL(seen.let_go, !rows[i].kept);
		CU_ASSERT_EQUAL(seen.aborted, rows[i].reset);
		CU_ASSERT_EQUAL(counted(s, SL_HTTP_CNT_POOL_UNCLEAN), rows[i].unclean);
		CU_ASSERT_EQUAL(counted(s, SL_HTTP_CNT_POOL_CLOSED), rows[i].closed);
		CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_CONNECTIONS) > 0, rows[i].kept);
		turn(s, 0);
		CU_ASSERT_TRUE(a.closed == 0 && a.heard == 0);
		CU_ASSERT_EQUAL(s->ep[0].failed, 0);
		scene_fini(s);
	}
}

static void
what_is_said_on_an_idle_connection_ends_it(void)
{
	static const struct {
		enum said said;
		bool reset;
		uint64_t unclean, closed;
	} rows[] = {{BYTES, true, 1, 0}, {FIN, false, 0, 1}, {RST, false, 0, 1}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene *s = scene_of(8);
		struct user a = {0};
		struct sl_stream *st = lent(s, &a, 0);
		put(&a, true);
		turn(s, 5);
		say(st, rows[i].said);
		turn(s, 0);
		CU_ASSERT_TRUE(fake_seen(st).let_go);
		CU_ASSERT_EQUAL(fake_seen(st).aborted, rows[i].reset);
		CU_ASSERT_EQUAL(counted(s, SL_HTTP_CNT_POOL_UNCLEAN), rows[i].unclean);
		CU_ASSERT_EQUAL(counted(s, SL_HTTP_CNT_POOL_CLOSED), rows[i].closed);
		CU_ASSERT_EQUAL(s->pool[0].conns[0], 0);
		CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
		cancel(&a);
		scene_fini(s);
	}
}

/* The endpoint's FIN, reset or bytes are there, but their event comes later in the turn. */
static void
a_connection_gone_stale_between_two_requests_is_not_lent(void)
{
	for (enum said what = BYTES; what <= RST; what++) {
		struct scene *s = scene_of(8);
		struct user a = {0}, b = {0}, c = {0};
		struct sl_stream *good = lent(s, &c, 0), *st = lent(s, &a, 0);
		put(&c, true);
		put(&a, true);
		say(st, what);
		CU_ASSERT_EQUAL(ask(s, &b, 0), SL_UP_READY);
		CU_ASSERT_PTR_EQUAL(sl_up_stream(b.up), good);
		CU_ASSERT_TRUE(fake_seen(st).let_go);
		CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
		cancel(&a);
		put(&b, true);
		turn(s, 0);
		scene_fini(s);
	}
}

static void
an_idle_connection_ends_after_its_time(void)
{
	static const uint32_t times[] = {500, 3600000, 90000000, 604800000};

	for (unsigned i = 0; i < SL_ARRAY_CNT(times); i++) {
		struct scene *s = scene_of(8);
		struct user a = {0};
		s->http[0].conn_idle_ms = times[i];
		struct sl_stream *st = lent(s, &a, 0);
		pass(s, times[i] + 1000); /* lent ones are no business of the pool */
		CU_ASSERT_EQUAL(a.state, LENT);
		put(&a, true);
		pass(s, times[i] - 2);
		CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_READY); /* used: from the start again */
		put(&a, true);
		pass(s, times[i] - 2);
		CU_ASSERT_FALSE(fake_seen(st).let_go);
		turn(s, 2);
		CU_ASSERT_TRUE(fake_seen(st).let_go && !fake_seen(st).aborted);
		CU_ASSERT_EQUAL(counted(s, SL_HTTP_CNT_POOL_CLOSED), 1);
		scene_fini(s);
	}
}

static void
a_lent_connection_has_no_timer_of_the_pool(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0};

	s->http[0].conn_idle_ms = 100;
	lent(s, &a, 0);
	put(&a, true);
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_READY);
	pass(s, 1000);
	CU_ASSERT_EQUAL(a.state, LENT);
	put(&a, true);
	scene_fini(s);
}

static void
a_push_changes_what_connections_are_kept_for(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0};
	struct sl_stream *st = lent(s, &a, 0);

	put(&a, true);
	s->http[0].conn_requests = 2;
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_READY);
	put(&a, true);
	CU_ASSERT_TRUE(fake_seen(st).let_go);
	scene_fini(s);
}

static void
idle_connections_end_with_their_endpoint(void)
{
	struct scene *s = scene_of(16);
	struct user a[6] = {0};
	struct sl_stream *st[6];

	for (unsigned i = 0; i < 6; i++)
		st[i] = lent(s, &a[i], i / 2);
	for (unsigned i = 0; i < 5; i++) /* the last one is lent on */
		put(&a[i], true);
	s->ep[0].dead = true;
	s->ep[2].dead = true;
	pass(s, 2000);
	for (unsigned i = 0; i < 6; i++)
		CU_ASSERT_EQUAL(fake_seen(st[i]).let_go, i < 2 || i == 4);
	CU_ASSERT_FALSE(fake_seen(st[0]).aborted);
	uint32_t asked = s->asked;
	pass(s, 15000);
	CU_ASSERT(s->asked - asked >= 2 * 12 && s->asked - asked <= 2 * 16); /* those of 1 alone */
	put(&a[5], true);
	pass(s, 2000);
	CU_ASSERT_TRUE(fake_seen(st[5]).let_go);
	scene_fini(s);
}

static void
another_machine_in_the_slot_gets_none_of_the_old_connections(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0};
	struct sl_stream *st[2] = {lent(s, &a, 0), lent(s, &b, 0)};

	put(&a, true);
	s->ep[0].incarnation++;
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
	CU_ASSERT_TRUE(fake_seen(st[0]).let_go);
	fake_peer_answers(fake_connected(s->pool[0].tcp));
	turn(s, 0);
	CU_ASSERT_EQUAL(sl_up_incarnation(a.up), INCARNATION + 1);
	put(&a, true);
	put(&b, true); /* of the old one, above the new one in the list */
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_READY);
	CU_ASSERT_EQUAL(sl_up_incarnation(a.up), INCARNATION + 1);
	CU_ASSERT_TRUE(fake_seen(st[1]).let_go);
	put(&a, true);
	scene_fini(s);
}

/* ---- refusals ---- */

static void
what_is_refused_is_said_at_once(void)
{
	static const struct {
		bool gone, down;
		enum sl_stream_end end;
		enum sl_up_verdict want;
		bool tried;
		const char *reason;
	} rows[] = {
		{true, false, SL_END_OK, SL_UP_NO_SERVICE, false, "no such service"},
		{false, true, SL_END_OK, SL_UP_NO_ENDPOINT, false, "nobody takes requests"},
		{false, false, SL_END_NO_ROUTE, SL_UP_FAILED, true, "no way there"},
		{false, false, SL_END_NO_PORT, SL_UP_FAILED, true, "no port left"},
		{false, false, SL_END_NO_MEMORY, SL_UP_NO_MEMORY, true, "no stream left"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene *s = scene_of(8);
		struct user a = {0};
		s->gone[0] = rows[i].gone;
		for (unsigned e = 0; e < PER_SERVICE; e++)
			s->ep[e].down = rows[i].down;
		if (rows[i].end != SL_END_OK)
			fake_connect_fails(s->pool[0].tcp, rows[i].end);
		enum sl_up_verdict v = ask(s, &a, 1);
		if (v != rows[i].want)
			printf("  %s\n", rows[i].reason);
		CU_ASSERT_EQUAL(v, rows[i].want);
		CU_ASSERT_EQUAL(a.t.endpoint_slot, rows[i].tried ? ENDPOINT_SLOT + 1 : UINT32_MAX);
		CU_ASSERT_TRUE(!rows[i].tried || a.t.incarnation == INCARNATION);
		CU_ASSERT_EQUAL(s->ep[1].failed, rows[i].tried);
		turn(s, 0);
		CU_ASSERT_TRUE(a.failed == 0 && a.ready == 0);
		scene_fini(s);
	}
}

static void
one_failing_connect_fails_nobody_else(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, c = {0};

	lent(s, &c, 0);
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
	struct sl_stream *sa = fake_connected(s->pool[0].tcp);
	CU_ASSERT_EQUAL(ask(s, &b, 0), SL_UP_WAIT);
	struct sl_stream *sb = fake_connected(s->pool[0].tcp);
	fake_peer_ends(sa, SL_END_REFUSED);
	turn(s, 0);
	CU_ASSERT_TRUE(a.failed == 1 && a.why == SL_UP_FAILED && a.end == SL_END_REFUSED &&
		       a.endpoint == ENDPOINT_SLOT && a.t.incarnation == INCARNATION);
	CU_ASSERT_TRUE(b.state == WAITS && c.state == LENT && s->ep[0].failed == 1);
	fake_peer_answers(sb);
	turn(s, 0);
	CU_ASSERT_EQUAL(b.state, LENT);
	put(&b, true);
	put(&c, true);
	/* the ticket may be used again */
	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_READY);
	put(&a, true);
	scene_fini(s);
}

static void
a_lent_connection_that_ends_is_given_back_by_gone(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0};
	struct sl_stream *st = lent(s, &a, 0);

	CU_ASSERT_EQUAL(s->pool[0].load[0], 1);
	fake_peer_ends(st, SL_END_RESET);
	turn(s, 0);
	CU_ASSERT_TRUE(a.closed == 1 && a.end == SL_END_RESET);
	CU_ASSERT_TRUE(s->pool[0].load[0] == 0 && s->pool[0].conns[0] == 0);
	CU_ASSERT_TRUE(s->ep[0].failed == 0 && ledger(s, SL_LIMIT_CONNECTIONS) == 0);
	scene_fini(s);
}

/* ---- limits ---- */

static void
who_finds_the_limit_reached_waits_in_line(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, w[3] = {0};

	s->tcp[0].max_connections = 2;
	s->http[0].max_pending = 2;
	lent(s, &a, 0);
	lent(s, &b, 0);
	CU_ASSERT_EQUAL(ask(s, &w[0], 0), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ask(s, &w[1], 0), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ask(s, &w[2], 0), SL_UP_OVERFLOW);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 2);
	CU_ASSERT_EQUAL(s->pool[0].load[0], 2);
	turn(s, 0);
	CU_ASSERT_TRUE(w[0].state == WAITS && w[1].state == WAITS);
	uint32_t place = place_of(&a);
	put(&a, true);
	CU_ASSERT_EQUAL(w[0].state, WAITS); /* never inside a call */
	s->http[0].max_pending = 3;
	CU_ASSERT_EQUAL(ask(s, &w[2], 0), SL_UP_WAIT); /* not before those who came before */
	cancel(&w[2]);
	turn(s, 0);
	CU_ASSERT_TRUE(w[0].state == LENT && w[1].state == WAITS);
	CU_ASSERT_TRUE(place_of(&w[0]) == place && sl_up_reused(w[0].up));
	put(&b, false); /* reset: a new one is made for the next */
	turn(s, 0);
	CU_ASSERT_EQUAL(w[1].state, WAITS);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 0);
	fake_peer_answers(fake_connected(s->pool[0].tcp));
	turn(s, 0);
	CU_ASSERT_TRUE(w[1].state == LENT && !sl_up_reused(w[1].up));
	put(&w[0], true);
	put(&w[1], true);
	scene_fini(s);
}

static void
an_idle_connection_to_another_endpoint_makes_room(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, c = {0};

	s->tcp[0].max_connections = 2;
	struct sl_stream *first = lent(s, &a, 0), *second = lent(s, &b, 1);
	put(&a, true);
	turn(s, 1);
	put(&b, true);
	CU_ASSERT_EQUAL(ask(s, &c, 2), SL_UP_WAIT);
	CU_ASSERT_TRUE(fake_seen(first).let_go && !fake_seen(second).let_go); /* the longest idle */
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 0);
	fake_peer_answers(fake_connected(s->pool[0].tcp));
	turn(s, 0);
	CU_ASSERT_EQUAL(sl_up_endpoint(c.up), ENDPOINT_SLOT + 2);
	put(&c, true);
	scene_fini(s);
}

static void
a_full_pool_takes_the_place_of_the_longest_idle_of_all(void)
{
	struct scene *s = scene_of(2);
	struct user a = {0}, b = {0}, c = {0}, d = {0};
	struct sl_stream *first = lent(s, &a, 0), *second = lent(s, &b, 1);

	CU_ASSERT_EQUAL(ask_of(&c, &s->pool[0], 1, 0, UINT32_MAX), SL_UP_NO_MEMORY);
	CU_ASSERT_EQUAL(c.t.endpoint_slot, UINT32_MAX);
	put(&b, true);
	turn(s, 1);
	put(&a, true);
	CU_ASSERT_EQUAL(ask_of(&c, &s->pool[0], 1, 0, UINT32_MAX), SL_UP_WAIT);
	CU_ASSERT_TRUE(fake_seen(second).let_go && !fake_seen(first).let_go);
	CU_ASSERT_EQUAL(ask_of(&d, &s->pool[0], 1, 0, UINT32_MAX), SL_UP_WAIT);
	CU_ASSERT_TRUE(fake_seen(first).let_go);
	cancel(&c);
	cancel(&d);
	scene_fini(s);
}

static void
who_asks_for_full_endpoints_holds_up_nobody_else(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, idle = {0};

	lent(s, &idle, 0);
	put(&idle, true);
	s->ep[1].full = true;
	CU_ASSERT_EQUAL(ask(s, &a, 1), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ask(s, &b, 0), SL_UP_WAIT); /* in line, but not for the same */
	turn(s, 0);
	CU_ASSERT_TRUE(a.state == WAITS && b.state == LENT);
	s->ep[1].full = false;
	turn(s, 1000);
	fake_peer_answers(fake_connected(s->pool[0].tcp));
	turn(s, 0);
	CU_ASSERT_EQUAL(a.state, LENT);
	put(&a, true);
	put(&b, true);
	scene_fini(s);
}

static void
who_is_in_line_waits_for_a_place_of_the_pool_too(void)
{
	struct scene *s = scene_of(2);
	struct user a = {0}, b = {0}, c = {0}, w = {0};

	s->tcp[0].max_connections = 1;
	lent(s, &a, 0);
	CU_ASSERT_EQUAL(ask_of(&b, &s->pool[0], 1, 0, UINT32_MAX), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ask(s, &w, 0), SL_UP_WAIT);
	put(&a, false);
	CU_ASSERT_EQUAL(ask_of(&c, &s->pool[0], 1, 0, UINT32_MAX), SL_UP_WAIT);
	struct sl_stream *st = fake_connected(s->pool[0].tcp);
	turn(s, 0);
	CU_ASSERT_TRUE(w.state == WAITS && ledger(s, SL_LIMIT_PENDING) == 1);
	fake_peer_ends(st, SL_END_REFUSED);
	turn(s, 0);
	turn(s, 0);
	CU_ASSERT_TRUE(w.state == WAITS && ledger(s, SL_LIMIT_PENDING) == 0);
	cancel(&w);
	cancel(&b);
	scene_fini(s);
}

/* Over all workers; who waits at one of them is given what another lets go of. */
static void
an_endpoint_has_no_more_connections_than_it_may(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, c = {0}, x = {0};

	s->tcp[0].endpoint_connections = 2;
	lent(s, &a, 0);
	lent(s, &b, 0);
	CU_ASSERT_EQUAL(ask(s, &c, 0), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ask_of(&x, &s->pool[1], 0, 0, UINT32_MAX), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 2);
	pass(s, 200);
	CU_ASSERT_TRUE(c.state == WAITS && x.state == WAITS && s->conns[ENDPOINT_SLOT] == 2);
	put(&a, true); /* let go of for the other worker */
	turn(s, 0);
	CU_ASSERT_TRUE(c.state == WAITS && s->conns[ENDPOINT_SLOT] == 2);
	fake_peer_answers(fake_connected(s->pool[1].tcp));
	turn(s, 0);
	CU_ASSERT_EQUAL(x.state, LENT);
	put(&b, true);
	turn(s, 0);
	CU_ASSERT_TRUE(c.state == LENT && sl_up_reused(c.up));
	CU_ASSERT_EQUAL(s->conns[ENDPOINT_SLOT], 2);
	put(&c, true);
	put(&x, true);
	scene_fini(s);
}

static void
who_waits_is_asked_for_anew(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, w[4] = {0};

	s->tcp[0].max_connections = 1;
	lent(s, &a, 0);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(ask_of(&w[i], &s->pool[0], 0, (int)i % 2, ENDPOINT_SLOT + 2),
				SL_UP_WAIT);
	/* The one that is put does not do: its endpoint takes none any more, and 2 was tried before. */
	s->ep[0].down = s->ep[1].down = true;
	put(&a, true);
	turn(s, 0);
	struct sl_stream *st = fake_connected(s->pool[0].tcp);
	fake_peer_answers(st);
	turn(s, 0);
	CU_ASSERT_TRUE(w[0].state == LENT && sl_up_endpoint(w[0].up) == ENDPOINT_SLOT + 3);
	/* nobody takes requests: noticed with no connection free, after a while */
	for (unsigned e = 0; e < PER_SERVICE; e++)
		s->ep[e].down = true;
	pass(s, 200);
	CU_ASSERT_TRUE(w[1].failed == 1 && w[1].why == SL_UP_NO_ENDPOINT &&
		       w[1].endpoint == UINT32_MAX);
	CU_ASSERT_TRUE(w[2].failed == 1 && w[3].failed == 1);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 0);
	put(&w[0], true);
	scene_fini(s);
}

static void
who_waits_hears_of_a_service_that_is_gone_and_of_ways_that_fail(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, w[2] = {0};

	s->tcp[0].max_connections = 1;
	lent(s, &a, 0);
	CU_ASSERT_EQUAL(ask(s, &w[0], 1), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ask(s, &w[1], 1), SL_UP_WAIT);
	put(&a, false);
	fake_connect_fails(s->pool[0].tcp, SL_END_NO_PORT);
	turn(s, 0);
	CU_ASSERT_TRUE(w[0].failed == 1 && w[0].why == SL_UP_FAILED && w[0].end == SL_END_NO_PORT &&
		       w[0].endpoint == ENDPOINT_SLOT + 1);
	CU_ASSERT_EQUAL(w[1].state, WAITS); /* its own connect is under way */
	fake_peer_ends(fake_connected(s->pool[0].tcp), SL_END_CONNECT_TIMEOUT);
	turn(s, 0);
	CU_ASSERT_TRUE(w[1].failed == 1 && w[1].end == SL_END_CONNECT_TIMEOUT);
	lent(s, &a, 0);
	CU_ASSERT_EQUAL(ask(s, &w[0], 1), SL_UP_WAIT);
	s->gone[0] = true;
	pass(s, 200);
	CU_ASSERT_TRUE(w[0].failed == 2 && w[0].why == SL_UP_NO_SERVICE);
	put(&a, false);
	scene_fini(s);
}

static void
a_queue_without_hope_costs_no_choices(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, w = {0};

	s->tcp[0].max_connections = 1;
	lent(s, &a, 0);
	CU_ASSERT_EQUAL(ask(s, &w, 0), SL_UP_WAIT);
	uint32_t picks = s->picks;
	for (unsigned i = 0; i < 1000; i++)
		turn(s, 1);
	CU_ASSERT(s->picks - picks >= 5 && s->picks - picks <= 11);
	cancel(&w);
	put(&a, true);
	scene_fini(s);
}

/* ---- cancel ---- */

static void
a_connection_that_nobody_waits_for_any_more_goes_to_the_pool(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, c = {0};

	CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
	struct sl_stream *st = fake_connected(s->pool[0].tcp);
	CU_ASSERT_EQUAL(s->pool[0].load[0], 1);
	cancel(&a);
	CU_ASSERT_EQUAL(s->pool[0].load[0], 0);
	memset(&a, 0xa5, sizeof(a)); /* the ticket is gone */
	fake_peer_answers(st);
	turn(s, 0);
	CU_ASSERT_EQUAL(ask(s, &b, 0), SL_UP_READY);
	CU_ASSERT_TRUE(sl_up_stream(b.up) == st && !sl_up_reused(b.up));
	/* one that fails is nobody's, either */
	CU_ASSERT_EQUAL(ask(s, &c, 0), SL_UP_WAIT);
	st = fake_connected(s->pool[0].tcp);
	cancel(&c);
	cancel(&c); /* of one that waits for nothing: nothing */
	fake_peer_ends(st, SL_END_REFUSED);
	turn(s, 0);
	CU_ASSERT_TRUE(c.failed == 0 && s->ep[0].failed == 1);
	put(&b, true);
	scene_fini(s);
}

static void
who_leaves_the_line_leaves_it_whole(void)
{
	for (unsigned out = 0; out < 8; out++) {
		struct scene *s = scene_of(8);
		struct user a = {0}, w[3] = {0};
		s->tcp[0].max_connections = 1;
		lent(s, &a, 0);
		for (unsigned i = 0; i < 3; i++)
			CU_ASSERT_EQUAL(ask(s, &w[i], 0), SL_UP_WAIT);
		for (unsigned i = 0; i < 3; i++)
			if (out >> i & 1)
				cancel(&w[i]);
		struct user *last = &a;
		for (unsigned i = 0; i < 3; i++) {
			if (out >> i & 1)
				continue;
			put(last, true);
			turn(s, 0);
			CU_ASSERT_EQUAL_FATAL(w[i].state, LENT);
			last = &w[i];
		}
		CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 0);
		put(last, true);
		scene_fini(s);
	}
}

/* ---- two workers ---- */

static void
a_worker_gives_idle_connections_up_for_the_requests_of_another(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0}, b = {0}, w = {0};

	s->tcp[0].max_connections = 2;
	struct sl_stream *first = lent(s, &a, 0), *second = lent(s, &b, 0);
	put(&a, true);
	put(&b, true);
	CU_ASSERT_EQUAL(ask_of(&w, &s->pool[1], 0, 0, UINT32_MAX), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 1);
	for (unsigned n = 0; n < 300 && ledger(s, SL_LIMIT_PENDING); n++)
		turn(s, 10);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_PENDING), 0); /* being connected to */
	CU_ASSERT_EQUAL(fake_seen(first).let_go + fake_seen(second).let_go, 1);
	fake_peer_answers(fake_connected(s->pool[1].tcp));
	turn(s, 0);
	CU_ASSERT_EQUAL(w.state, LENT);
	put(&w, true);
	scene_fini(s);
}

/* Worker 0 always has requests in line and answers come after 20 ms: worker 1 must come to its turns all the same. */
static void
no_worker_starves_another(void)
{
	struct scene *s = scene_of(8);
	struct user mine[6] = {0}, theirs = {0};
	unsigned turns = 0, done = 0;
	uint32_t longest = 0, since = 0;

	s->tcp[0].max_connections = 1;
	for (uint32_t now = 0; now < 20000; now++) {
		for (unsigned i = 0; i < 6; i++)
			if (mine[i].state == IDLE)
				CU_ASSERT_NOT_EQUAL(ask(s, &mine[i], 0), SL_UP_OVERFLOW);
		if (theirs.state == IDLE) {
			ask_of(&theirs, &s->pool[1], 0, 0, UINT32_MAX);
			since = now;
		}
		turn(s, 1);
		for (unsigned w = 0; w < WORKERS; w++)
			for (uint32_t i = 0; i < 64; i++) {
				struct sl_stream *st = fake_stream(s->pool[w].tcp, i);
				if (st && sl_stream_row(st)->state == SL_STREAM_SYN_SENT)
					fake_peer_answers(st);
			}
		turn(s, 0);
		CU_ASSERT_TRUE_FATAL(ledger(s, SL_LIMIT_CONNECTIONS) <= 1);
		if (now % 20)
			continue;
		for (unsigned i = 0; i < 6; i++)
			if (mine[i].state == LENT) {
				put(&mine[i], true);
				done++;
			}
		if (theirs.state == LENT) {
			longest = SL_MAX(longest, now - since);
			turns++;
			put(&theirs, true);
		}
	}
	CU_ASSERT(turns >= 50 && turns <= 200 && longest <= 300);
	CU_ASSERT(done >= 500);
	for (unsigned i = 0; i < 6; i++)
		mine[i].state == LENT ? put(&mine[i], false) : cancel(&mine[i]);
	theirs.state == LENT ? put(&theirs, false) : cancel(&theirs);
	scene_fini(s);
}

static void
the_end_of_the_gateway_leaves_nothing(void)
{
	struct scene *s = scene_of(8);
	struct user idle = {0}, made = {0}, wait = {0}, other = {0}, taken = {0};

	s->tcp[0].max_connections = 3;
	lent(s, &idle, 0);
	lent(s, &taken, 0);
	put(&idle, true);
	CU_ASSERT_EQUAL(ask(s, &made, 1), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ask(s, &other, 0), SL_UP_READY);
	CU_ASSERT_EQUAL(ask(s, &wait, 1), SL_UP_WAIT);
	put(&other, true);
	sl_upstream_drop_all(s->pool[0].u);
	CU_ASSERT_EQUAL(fake_live(s->pool[0].tcp), 1);
	CU_ASSERT_TRUE(made.failed == 0 && wait.failed == 0);
	cancel(&made); /* harmless */
	cancel(&wait);
	/* fini alone gives the counts back, too */
	CU_ASSERT_EQUAL(ask(s, &wait, 1), SL_UP_WAIT);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_CONNECTIONS), 2);
	sl_upstream_fini(s->pool[0].u);
	CU_ASSERT_EQUAL(ledger(s, SL_LIMIT_CONNECTIONS), 0);
	for (uint32_t i = 0; i < 64; i++)
		if (fake_stream(s->pool[0].tcp, i))
			sl_stream_abort(fake_stream(s->pool[0].tcp, i), SL_END_ADMIN);
	memset(s->pool[0].conns, 0, sizeof(s->pool[0].conns));
	memset(s->pool[0].load, 0, sizeof(s->pool[0].load));
	sl_upstream_init(s->pool[0].u, &(struct sl_upstream_conf){.stats = &s->pool[0].stats,
								  .tcp = s->pool[0].tcp,
								  .limits = s->pool[0].limits});
	scene_fini(s);
}

/* ---- TLS ---- */

static void
secure(struct scene *s, unsigned service)
{
	s->tls[service].is = true;
	s->generation++;
}

static void
a_connection_is_lent_when_its_handshake_is_done(void)
{
	struct scene *s = scene_of(8);
	struct user a = {.host = "x.example"};

	secure(s, 0);
	fake_tls_way(s->pool[0].tcp, FAKE_TLS_HOLD);
	CU_ASSERT_EQUAL(ask(s, &a, 2), SL_UP_WAIT);
	struct sl_stream *st = fake_connected(s->pool[0].tcp);
	CU_ASSERT_FALSE(fake_tls_asked(st).client);
	fake_peer_answers(st);
	turn(s, 0);
	struct fake_tls_asked asked = fake_tls_asked(st);
	CU_ASSERT_TRUE(asked.client && asked.slot == SERVICE_SLOT && asked.incarnation == 8 &&
		       asked.endpoint_slot == ENDPOINT_SLOT + 2 && asked.handshake_ms == 4321);
	CU_ASSERT_STRING_EQUAL(asked.host, ""); /* the service's own name */
	fake_peer_sends(st, "x", 1);
	pass(s, 10000);
	CU_ASSERT_TRUE(a.state == WAITS && a.heard == 0 && counted(s, SL_HTTP_CNT_POOL_NEW) == 0);
	fake_tls_done(st);
	turn(s, 0);
	CU_ASSERT_TRUE(a.state == LENT && a.heard == 1 && counted(s, SL_HTTP_CNT_POOL_NEW) == 1);
	put(&a, false);
	scene_fini(s);
}

static void
a_handshake_that_fails_is_a_connection_that_failed(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0};

	secure(s, 0);
	fake_tls_way(s->pool[0].tcp, FAKE_TLS_HOLD);
	CU_ASSERT_EQUAL(ask(s, &a, 2), SL_UP_WAIT);
	struct sl_stream *st = fake_connected(s->pool[0].tcp);
	fake_peer_answers(st);
	turn(s, 0);
	fake_peer_ends(st, SL_END_TLS);
	turn(s, 0);
	CU_ASSERT_TRUE(a.failed == 1 && a.why == SL_UP_FAILED && a.end == SL_END_TLS &&
		       a.endpoint == ENDPOINT_SLOT + 2 && s->ep[2].failed == 1);
	/* no room is nobody's fault, and no reason to speak plaintext */
	fake_tls_way(s->pool[0].tcp, FAKE_TLS_FULL);
	CU_ASSERT_EQUAL(ask(s, &a, 2), SL_UP_WAIT);
	st = fake_connected(s->pool[0].tcp);
	fake_peer_answers(st);
	turn(s, 0);
	CU_ASSERT_TRUE(a.failed == 2 && a.why == SL_UP_NO_MEMORY && s->ep[2].failed == 1);
	CU_ASSERT_TRUE(fake_seen(st).aborted);
	scene_fini(s);
}

static void
who_cancels_leaves_a_handshake_to_the_pool_and_ends_one_that_has_not_begun(void)
{
	for (unsigned begun = 0; begun < 2; begun++) {
		struct scene *s = scene_of(8);
		struct user a = {0}, b = {0};
		secure(s, 0);
		fake_tls_way(s->pool[0].tcp, FAKE_TLS_HOLD);
		CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
		struct sl_stream *st = fake_connected(s->pool[0].tcp);
		if (!begun)
			cancel(&a);
		fake_peer_answers(st);
		turn(s, 0);
		CU_ASSERT_EQUAL(fake_seen(st).let_go, !begun);
		if (begun) {
			cancel(&a);
			fake_tls_done(st);
			turn(s, 0);
			CU_ASSERT_EQUAL(ask(s, &b, 0), SL_UP_READY);
			CU_ASSERT_PTR_EQUAL(sl_up_stream(b.up), st);
			put(&b, true);
		}
		scene_fini(s);
	}
}

/* A connection for x that was put back. */
static struct sl_stream *
kept_for(struct scene *s, struct user *x)
{
	struct sl_stream *st;

	if (ask(s, x, 0) == SL_UP_WAIT) {
		fake_peer_answers(fake_connected(s->pool[0].tcp));
		turn(s, 0);
		turn(s, 0);
	}
	CU_ASSERT_EQUAL_FATAL(x->state, LENT);
	st = sl_up_stream(x->up);
	put(x, true);
	turn(s, 0);
	return st;
}

static void
idle_connections_of_other_names_make_room_and_stay_else(void)
{
	struct scene *s = scene_of(8);
	struct user x = {.host = "x.example"}, y = {.host = "y.example"}, none = {0};

	secure(s, 0);
	s->tls[0].says.auto_sni = 1;
	s->http[0].conn_idle_max = 2;
	struct sl_stream *sx = kept_for(s, &x), *sy = kept_for(s, &y);
	CU_ASSERT_TRUE(sx != sy && kept_for(s, &x) == sx && kept_for(s, &y) == sy);
	struct sl_stream *sn = kept_for(s, &none);
	CU_ASSERT_TRUE(sn != sx && sn != sy && fake_seen(sx).let_go && !fake_seen(sy).let_go);
	CU_ASSERT_EQUAL(s->pool[0].stats.pool_idle, 2);
	CU_ASSERT_TRUE(kept_for(s, &none) == sn && kept_for(s, &y) == sy);
	scene_fini(s);
}

/* A connection for another server name cannot be had, and makes room. */
static void
an_idle_connection_that_does_not_do_makes_room_at_its_endpoint(void)
{
	struct scene *s = scene_of(8);
	struct user a = {.host = "a.example"}, b = {.host = "b.example"};

	secure(s, 0);
	s->tcp[0].endpoint_connections = 1;
	s->tls[0].says.auto_sni = 1;
	struct sl_stream *first = kept_for(s, &a);
	CU_ASSERT_TRUE(kept_for(s, &b) != first && fake_seen(first).let_go);
	CU_ASSERT_EQUAL(s->conns[ENDPOINT_SLOT], 1);
	scene_fini(s);
}

static void
what_a_service_says_of_tls_parts_old_connections_from_new(void)
{
	struct scene *s = scene_of(8);
	struct user a = {0};
	struct sl_stream *plain = kept_for(s, &a);

	secure(s, 0);
	s->tls[0].says.san_cnt = 2;
	struct sl_stream *first = kept_for(s, &a);
	CU_ASSERT_TRUE(first != plain && fake_seen(plain).let_go);
	s->generation++; /* a push that changes nothing here */
	CU_ASSERT_PTR_EQUAL(kept_for(s, &a), first);
	strcpy(s->tls[0].sans[1].san, "spiffe://td/other");
	CU_ASSERT_PTR_EQUAL(kept_for(s, &a), first); /* a generation does not change */
	s->generation++;
	struct sl_stream *second = kept_for(s, &a);
	CU_ASSERT_TRUE(second != first && fake_seen(first).let_go);
	s->tls[0].is = false;
	s->generation++;
	CU_ASSERT_TRUE(kept_for(s, &a) != second && fake_seen(second).let_go);
	scene_fini(s);
}

static void
an_end_that_tls_announces_ends_an_idle_connection(void)
{
	for (unsigned cut = 0; cut < 2; cut++) {
		struct scene *s = scene_of(8);
		struct user a = {0};
		secure(s, 0);
		struct sl_stream *st = kept_for(s, &a);
		if (cut)
			fake_peer_cuts(st);
		else
			fake_peer_fin(st);
		/* also before it was told */
		CU_ASSERT_EQUAL(ask(s, &a, 0), SL_UP_WAIT);
		CU_ASSERT_TRUE(fake_seen(st).let_go);
		cancel(&a);
		scene_fini(s);
	}
}

/* ---- by chance ---- */

enum { USERS = 24, STEPS = 400, SEEDS = 1500 };

static uint64_t seed_state;

static uint32_t
rnd(uint32_t n)
{
	seed_state ^= seed_state << 13;
	seed_state ^= seed_state >> 7;
	seed_state ^= seed_state << 17;
	return (uint32_t)((seed_state >> 11) % n);
}

/* How many requests a connection may still have, by the place of its stream; what the model knows of it. */
struct known {
	uint32_t requests;
	bool lent;
};

struct play {
	struct scene s;
	struct user users[USERS];
	struct known known[WORKERS][64];
};

static unsigned
worker_of(const struct play *y, const struct user *x)
{
	return x->p == &y->s.pool[1];
}

/* A connection was lent to x: it must be one that may be. */
static void
check_lent(struct play *y, struct user *x, bool at_once)
{
	struct sl_stream *st = sl_up_stream(x->up);
	struct known *k = &y->known[worker_of(y, x)][fake_place(st)];
	uint32_t max = y->s.http[x->service].conn_requests;
	unsigned e = sl_up_endpoint(x->up) - ENDPOINT_SLOT;

	CU_ASSERT_EQUAL_FATAL(e / PER_SERVICE, x->service);
	CU_ASSERT_EQUAL(sl_stream_user(st), x);
	if (!sl_up_reused(x->up))
		*k = (struct known){0};
	CU_ASSERT_FALSE(k->lent);
	CU_ASSERT_EQUAL(k->requests > 0, sl_up_reused(x->up));
	/* its server name is that of who asked, and there is TLS where there is to be */
	struct fake_tls_asked asked = fake_tls_asked(st);
	bool named = y->s.tls[x->service].says.auto_sni && x->host;
	CU_ASSERT_EQUAL(asked.client, y->s.tls[x->service].is);
	CU_ASSERT_STRING_EQUAL(asked.host, asked.client && named ? x->host : "");
	k->lent = true;
	k->requests++;
	CU_ASSERT_TRUE(max == 0 || k->requests <= max);
	if (at_once) {
		CU_ASSERT_EQUAL(sl_stream_row(st)->state, SL_STREAM_ESTABLISHED);
		CU_ASSERT_EQUAL(sl_stream_readable_bytes(st), 0);
		CU_ASSERT_EQUAL(sl_up_incarnation(x->up), y->s.ep[e].incarnation);
		CU_ASSERT_FALSE(y->s.ep[e].down);
	}
}

static void
check_pool(struct play *y, unsigned w)
{
	struct pool *p = &y->s.pool[w];
	int lent_cnt = 0, waits = 0, conns = 0, load = 0, pending = 0, streams;
	int held = 0;

	for (unsigned i = 0; i < USERS; i++) {
		if (y->users[i].p != p)
			continue;
		lent_cnt += y->users[i].state == LENT;
		waits += y->users[i].state == WAITS;
	}
	for (unsigned e = 0; e < ENDPOINTS; e++) {
		CU_ASSERT_TRUE(p->conns[e] >= 0);
		conns += p->conns[e];
		load += p->load[e];
	}
	for (unsigned i = 0; i < SERVICES; i++) {
		pending += (int)sl_limit_held(p->limits, SERVICE_SLOT + i, SL_LIMIT_PENDING);
		held += (int)sl_limit_held(p->limits, SERVICE_SLOT + i, SL_LIMIT_CONNECTIONS);
	}
	streams = (int)fake_live(p->tcp);
	CU_ASSERT_EQUAL_FATAL(conns, streams);
	CU_ASSERT_EQUAL_FATAL(conns, held);
	CU_ASSERT_EQUAL_FATAL(load + pending, lent_cnt + waits);
}

static void
check_all(struct play *y)
{
	for (unsigned w = 0; w < WORKERS; w++)
		check_pool(y, w);
	for (unsigned i = 0; i < SERVICES; i++) {
		const struct sl_img_http_service *http = &y->s.http[i];
		_Atomic uint32_t *taken = y->s.ledger->service[SERVICE_SLOT + i].taken;
		CU_ASSERT_TRUE(y->s.tcp[i].max_connections == 0 ||
			       taken[SL_LIMIT_CONNECTIONS] <= y->s.tcp[i].max_connections);
		CU_ASSERT_TRUE(http->max_pending == 0 ||
			       taken[SL_LIMIT_PENDING] <= http->max_pending);
		uint32_t max = y->s.tcp[i].endpoint_connections;
		for (unsigned e = i * PER_SERVICE; max && e < (i + 1) * PER_SERVICE; e++)
			CU_ASSERT_TRUE(y->s.conns[ENDPOINT_SLOT + e] <= max);
	}
}

static void
play_ask(struct play *y, struct user *x)
{
	static const char *const hosts[] = {NULL, "a", "b.example", "c.example"};
	struct pool *p = &y->s.pool[rnd(WORKERS)];
	unsigned ready = x->ready;

	x->host = hosts[rnd(4)];

	enum sl_up_verdict v = ask_of(x, p, rnd(SERVICES), rnd(2) ? (int)rnd(PER_SERVICE) : -1,
				      rnd(4) ? UINT32_MAX : ENDPOINT_SLOT + rnd(ENDPOINTS));
	if (v == SL_UP_READY)
		check_lent(y, x, true);
	CU_ASSERT_EQUAL(x->ready, ready);
}

static void
play_over(struct play *y, struct user *x)
{
	struct sl_stream *st = sl_up_stream(x->up);

	y->known[worker_of(y, x)][fake_place(st)].lent = false;
	if (rnd(3))
		sl_stream_consume(st, sl_stream_readable_bytes(st));
	put(x, rnd(4) != 0);
}

/* Something happens to a stream on the far side. */
static void
play_peer(struct play *y)
{
	struct sl_stream *st = fake_stream(y->s.pool[rnd(WORKERS)].tcp, rnd(64));

	if (!st || fake_seen(st).let_go)
		return;
	if (fake_tls_waits(st))
		rnd(8) ? fake_tls_done(st) : fake_peer_ends(st, SL_END_TLS);
	else if (sl_stream_row(st)->state == SL_STREAM_SYN_SENT)
		rnd(4) ? fake_peer_answers(st) : fake_peer_ends(st, SL_END_REFUSED);
	else if (rnd(3) == 0)
		say(st, BYTES + rnd(3));
}

static void
play_push(struct play *y)
{
	struct endpoint *e = &y->s.ep[rnd(ENDPOINTS)];
	unsigned svc = rnd(SERVICES);

	switch (rnd(6)) {
	case 0:
		e->down = !e->down;
		break;
	case 1:
		e->dead = !e->dead;
		break;
	case 2:
		e->incarnation++;
		break;
	case 3:
		y->s.gone[svc] = rnd(8) == 0;
		break;
	case 4:
		y->s.http[svc].conn_idle_max = rnd(5);
		break;
	default:
		y->s.http[svc].conn_idle_ms = 1 + rnd(3000);
	}
}

/* A turn of both workers, and what was lent in it. */
static void
play_turn(struct play *y, uint32_t ms)
{
	enum user_state before[USERS];

	for (unsigned i = 0; i < USERS; i++)
		before[i] = y->users[i].state;
	for (unsigned w = 0; w < WORKERS; w++) {
		sl_upstream_tick(y->s.pool[w].u);
		for (unsigned i = 0; i < USERS; i++)
			if (before[i] == WAITS && y->users[i].state == LENT &&
			    worker_of(y, &y->users[i]) == w) {
				check_lent(y, &y->users[i], true);
				before[i] = LENT;
			}
		fake_turn(y->s.pool[w].tcp, ms);
		for (unsigned i = 0; i < USERS; i++)
			if (before[i] == WAITS && y->users[i].state == LENT &&
			    worker_of(y, &y->users[i]) == w)
				check_lent(y, &y->users[i], false);
	}
	/* what ended while it was lent */
	for (unsigned w = 0; w < WORKERS; w++)
		for (unsigned k = 0; k < 64; k++) {
			bool has = false;
			for (unsigned i = 0; i < USERS; i++)
				has |= y->users[i].state == LENT &&
				       worker_of(y, &y->users[i]) == w &&
				       place_of(&y->users[i]) == k;
			y->known[w][k].lent = has;
		}
}

/* Everything is well again, and everybody finishes: nobody may be left waiting. */
static void
play_out(struct play *y)
{
	bool waits = true;

	memset(y->s.gone, 0, sizeof(y->s.gone));
	for (unsigned e = 0; e < ENDPOINTS; e++)
		y->s.ep[e].down = y->s.ep[e].dead = false;
	for (unsigned n = 0; n < 1000 && waits; n++) {
		waits = false;
		for (unsigned w = 0; w < WORKERS; w++)
			for (uint32_t i = 0; i < 64; i++) {
				struct sl_stream *st = fake_stream(y->s.pool[w].tcp, i);
				if (st && sl_stream_row(st)->state == SL_STREAM_SYN_SENT)
					fake_peer_answers(st);
				if (st && fake_tls_waits(st))
					fake_tls_done(st);
			}
		play_turn(y, 10);
		for (unsigned i = 0; i < USERS; i++) {
			waits |= y->users[i].state == WAITS;
			if (y->users[i].state == LENT)
				play_over(y, &y->users[i]);
		}
		check_all(y);
	}
	CU_ASSERT_FALSE(waits);
}

static void
play_seed(uint64_t seed)
{
	static struct play y;

	seed_state = seed * 0x9e3779b97f4a7c15ull + 1;
	memset(&y, 0, sizeof(y));
	scene_init(&y.s, 4 + rnd(12), 64);
	for (unsigned i = 0; i < SERVICES; i++) {
		y.s.tcp[i].max_connections = rnd(8);
		y.s.tcp[i].endpoint_connections = rnd(4);
		y.s.http[i].max_pending = rnd(8);
		y.s.http[i].conn_requests = rnd(4);
		y.s.http[i].conn_idle_ms = 1 + rnd(3000);
		y.s.http[i].conn_idle_max = rnd(5);
		y.s.tls[i].is = rnd(2);
		y.s.tls[i].says.auto_sni = (uint8_t)rnd(2);
	}
	for (unsigned w = 0; w < WORKERS; w++)
		fake_tls_way(y.s.pool[w].tcp, rnd(2) ? FAKE_TLS_DONE : FAKE_TLS_HOLD);
	for (unsigned n = 0; n < STEPS; n++) {
		struct user *x = &y.users[rnd(USERS)];
		switch (rnd(8)) {
		case 0:
		case 1:
		case 2:
			if (x->state == IDLE)
				play_ask(&y, x);
			else if (x->state == LENT)
				play_over(&y, x);
			else if (rnd(4) == 0)
				cancel(x);
			break;
		case 3:
		case 4:
		case 5:
			play_peer(&y);
			break;
		case 6:
			play_turn(&y, rnd(4) ? rnd(3) : rnd(1000));
			break;
		default:
			if (rnd(4) == 0)
				play_push(&y);
		}
		check_all(&y);
	}
	play_out(&y);
	scene_fini(&y.s);
}

static void
whatever_happens_counts_agree_and_nobody_waits_for_ever(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		unsigned before = CU_get_number_of_failures();
		play_seed(seed);
		if (CU_get_number_of_failures() != before) {
			printf("  seed %lu\n", (unsigned long)seed);
			return;
		}
	}
}

SL_SUITE("upstream", SL_TEST(a_connection_is_kept_and_lent_again),
	 SL_TEST(what_an_endpoint_is_asked_for_is_as_configured),
	 SL_TEST(the_newest_idle_one_to_the_endpoint_is_lent_first),
	 SL_TEST(bytes_that_come_with_the_handshake_are_told_to_who_gets_it),
	 SL_TEST(only_a_clean_and_quiet_connection_is_kept),
	 SL_TEST(what_is_said_on_an_idle_connection_ends_it),
	 SL_TEST(a_connection_gone_stale_between_two_requests_is_not_lent),
	 SL_TEST(an_idle_connection_ends_after_its_time),
	 SL_TEST(a_lent_connection_has_no_timer_of_the_pool),
	 SL_TEST(a_push_changes_what_connections_are_kept_for),
	 SL_TEST(idle_connections_end_with_their_endpoint),
	 SL_TEST(another_machine_in_the_slot_gets_none_of_the_old_connections),
	 SL_TEST(what_is_refused_is_said_at_once), SL_TEST(one_failing_connect_fails_nobody_else),
	 SL_TEST(a_lent_connection_that_ends_is_given_back_by_gone),
	 SL_TEST(who_finds_the_limit_reached_waits_in_line),
	 SL_TEST(an_idle_connection_to_another_endpoint_makes_room),
	 SL_TEST(a_full_pool_takes_the_place_of_the_longest_idle_of_all),
	 SL_TEST(who_asks_for_full_endpoints_holds_up_nobody_else),
	 SL_TEST(who_is_in_line_waits_for_a_place_of_the_pool_too),
	 SL_TEST(an_endpoint_has_no_more_connections_than_it_may),
	 SL_TEST(an_idle_connection_that_does_not_do_makes_room_at_its_endpoint),
	 SL_TEST(who_waits_is_asked_for_anew),
	 SL_TEST(who_waits_hears_of_a_service_that_is_gone_and_of_ways_that_fail),
	 SL_TEST(a_queue_without_hope_costs_no_choices),
	 SL_TEST(a_connection_that_nobody_waits_for_any_more_goes_to_the_pool),
	 SL_TEST(who_leaves_the_line_leaves_it_whole),
	 SL_TEST(a_worker_gives_idle_connections_up_for_the_requests_of_another),
	 SL_TEST(no_worker_starves_another),
	 SL_TEST(a_connection_is_lent_when_its_handshake_is_done),
	 SL_TEST(a_handshake_that_fails_is_a_connection_that_failed),
	 SL_TEST(who_cancels_leaves_a_handshake_to_the_pool_and_ends_one_that_has_not_begun),
	 SL_TEST(idle_connections_of_other_names_make_room_and_stay_else),
	 SL_TEST(what_a_service_says_of_tls_parts_old_connections_from_new),
	 SL_TEST(an_end_that_tls_announces_ends_an_idle_connection),
	 SL_TEST(the_end_of_the_gateway_leaves_nothing),
	 SL_TEST(whatever_happens_counts_agree_and_nobody_waits_for_ever))
