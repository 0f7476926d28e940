/* The relay over fake streams (fake_streams.h): every event in every state; tests/sim runs it on the real ones. */
#include "l7/relay.h"
#include "l7/proxy_protocol.h"
#include "tests/l7/fake_streams.h"
#include "tests/suite.h"

#define ENDPOINTS 10
#define LISTENER 3
#define SERVICE 5
#define INCARNATION 77

struct endpoint {
	bool down; /* not picked */
	bool dead; /* `lives` says no */
	int conns; /* began − ended */
	uint32_t began, failed;
	uint64_t to, from; /* moved */
};

/* One worker's relay with all around it. */
struct scene {
	struct sl_tcp *tcp;
	struct sl_relay *relay;
	struct sl_relay_limits *limits;
	struct sl_stats_tcp stats;
	struct sl_relay_rule rule;
	struct sl_img_tcp settings;
	struct sl_img_prefix trust[2];
	struct sl_img_tls_listener tls;         /* of rule.tls, */
	struct sl_img_tls_service endpoint_tls; /* and of endpoints, */
	bool by_tls;                            /* if they speak it */
	struct endpoint ep[ENDPOINTS];
	struct sl_addr source;
	bool listener_gone;
	struct sl_tuple picked_for; /* of the last pick */
	unsigned picks, picked_avoid;
	uint32_t asked; /* lives */
	uint32_t moved_calls;
	bool shared; /* limits are another scene's */
	uint32_t endpoint_max;
	struct sl_img_bandwidth bandwidth;
	bool service_gone;
};

static bool
env_rule(void *ctx, const struct sl_tuple *tuple, struct sl_relay_rule *ret)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(tuple->dport, sl_to_be16(443));
	*ret = s->rule;
	return !s->listener_gone;
}

static bool
env_pick(void *ctx, const struct sl_tuple *client, uint32_t service_slot,
	 uint16_t service_incarnation, const uint32_t *avoid, unsigned avoid_cnt,
	 struct sl_relay_pick *ret)
{
	struct scene *s = ctx;

	CU_ASSERT_TRUE(service_slot == SERVICE && service_incarnation == 8);
	s->picked_for = *client;
	s->picked_avoid = avoid_cnt;
	s->picks++;
	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		bool avoided = s->ep[i].down;
		for (unsigned a = 0; a < avoid_cnt; a++)
			avoided |= avoid[a] == i;
		if (avoided)
			continue;
		*ret = (struct sl_relay_pick){
			.addr = sl_addr_from_v4((uint8_t[]){10, 0, 0, (uint8_t)i}),
			.port = sl_to_be16(8000 + i),
			.incarnation = INCARNATION,
			.endpoint_slot = i,
			.sources = &s->source,
			.source_cnt = 1,
			.endpoint_max = s->endpoint_max,
			.tls = s->by_tls ? &s->endpoint_tls : NULL};
		return true;
	}
	return false;
}

static void
env_began(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, uint32_t service_slot)
{
	struct scene *s = ctx;

	CU_ASSERT_TRUE(incarnation == INCARNATION && service_slot == SERVICE);
	s->ep[endpoint_slot].conns++;
	s->ep[endpoint_slot].began++;
}

static void
env_ended(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, bool failed)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(incarnation, INCARNATION);
	s->ep[endpoint_slot].conns--;
	s->ep[endpoint_slot].failed += failed;
}

static void
env_moved(void *ctx, uint32_t endpoint_slot, uint32_t listener_slot, uint64_t to, uint64_t from)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(listener_slot, LISTENER);
	s->ep[endpoint_slot].to += to;
	s->ep[endpoint_slot].from += from;
	s->moved_calls++;
}

static bool
env_lives(void *ctx, uint32_t listener_slot, uint16_t listener_incarnation, uint32_t endpoint_slot,
	  uint16_t incarnation)
{
	struct scene *s = ctx;

	CU_ASSERT_TRUE(listener_slot == LISTENER && listener_incarnation == 9 &&
		       incarnation == INCARNATION);
	s->asked++;
	return !s->ep[endpoint_slot].dead;
}

static const struct sl_img_bandwidth *
env_bandwidth(void *ctx, uint32_t service_slot, uint16_t incarnation)
{
	struct scene *s = ctx;

	CU_ASSERT_TRUE(service_slot == SERVICE && incarnation == 8);
	return s->service_gone ? NULL : &s->bandwidth;
}

static void
scene_init(struct scene *s, const struct fake_conf *fake, uint32_t capacity,
	   struct sl_relay_limits *limits)
{
	memset(s, 0, sizeof(*s));
	s->tcp = fake_create(fake);
	s->shared = limits != NULL;
	s->limits = limits ? limits : calloc(1, sizeof(*s->limits));
	s->settings = (struct sl_img_tcp){
		.connect_ms = 1000, .idle_ms = 60000, .keepalive_s = 7, .cc = 1};
	s->source = sl_addr_from_v4((uint8_t[]){10, 9, 9, 9});
	s->tls.handshake_ms = 7000;
	s->endpoint_tls.handshake_ms = 5000;
	s->trust[0] = (struct sl_img_prefix){.prefix = sl_addr_from_v4((uint8_t[]){192, 0, 2, 0}),
					     .plen = 120};
	s->trust[1] = (struct sl_img_prefix){.prefix = {{0x20, 1, 0xd, 0xb8}}, .plen = 32};
	s->rule = (struct sl_relay_rule){.listener_slot = LISTENER,
					 .listener_incarnation = 9,
					 .service_slot = SERVICE,
					 .service_incarnation = 8,
					 .trust = s->trust,
					 .trust_cnt = 2,
					 .tcp = &s->settings};
	const struct sl_relay_conf conf = {.capacity = capacity,
					   .tcp = s->tcp,
					   .tls = fake_tls(s->tcp),
					   .limits = s->limits,
					   .env = {.ctx = s,
						   .rule = env_rule,
						   .pick = env_pick,
						   .began = env_began,
						   .ended = env_ended,
						   .moved = env_moved,
						   .lives = env_lives,
						   .bandwidth = env_bandwidth},
					   .stats = &s->stats};
	s->relay = sl_relay_init(calloc(1, sl_relay_bytes(capacity)), &conf);
}

static struct scene *
scene_of(uint32_t capacity)
{
	static struct scene s;
	static const struct fake_conf fake = {.streams = 64, .rcv_max = 4096, .snd_max = 2048};

	scene_init(&s, &fake, capacity, NULL);
	return &s;
}

/* Nothing may be left when all streams are gone. */
static void
scene_fini(struct scene *s)
{
	sl_relay_drop_all(s->relay);
	CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		CU_ASSERT_EQUAL(s->ep[i].conns, 0);
	for (unsigned way = 0; way < SL_WAYS && !s->shared; way++)
		CU_ASSERT_EQUAL(s->limits->shape.service[SERVICE].waiters[way], 0);
	if (!s->shared) {
		CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
		CU_ASSERT_EQUAL(s->limits->service[SERVICE], 0);
		for (unsigned i = 0; i < ENDPOINTS; i++)
			CU_ASSERT_EQUAL(s->limits->endpoint[i], 0);
		free(s->limits);
	}
	sl_relay_fini(s->relay);
	free(s->relay);
	fake_destroy(s->tcp);
}

static uint64_t
counted(const struct scene *s, unsigned code)
{
	return s->stats.count[code];
}

static void
turn(struct scene *s, uint32_t ms)
{
	fake_turn(s->tcp, ms);
	sl_relay_tick(s->relay);
}

static void
settle(struct scene *s)
{
	do
		turn(s, 0);
	while (!fake_quiet(s->tcp));
}

static const uint8_t v4_client[4] = {192, 0, 2, 33};

static struct sl_stream *
client_from(struct scene *s, struct sl_addr src, unsigned port)
{
	struct sl_tcp_accept accept;
	const struct sl_tuple tuple = {.src = src,
				       .dst = sl_addr_from_v4((uint8_t[]){198, 51, 100, 1}),
				       .sport = sl_to_be16(port),
				       .dport = sl_to_be16(443),
				       .proto = SL_IPPROTO_TCP};

	if (sl_relay_admit(s->relay, &s->rule, &tuple.src, &accept) != SL_ADMIT_YES)
		return NULL;
	CU_ASSERT_TRUE(accept.keepalive_s == 7 && accept.cc == 1 && accept.nodelay == 1);
	return fake_accept(s->tcp, &accept, &tuple);
}

static struct sl_stream *
client(struct scene *s)
{
	struct sl_stream *c = client_from(s, sl_addr_from_v4(v4_client), 50000);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	return c;
}

struct pair {
	struct sl_stream *client, *upstream;
};

/* A client with its endpoint connected to, the settings of which are gone. */
static struct pair
coupled(struct scene *s)
{
	struct pair p = {.client = client(s)};
	struct sl_img_tcp kept = s->settings;

	settle(s);
	memset(&s->settings, 0xff, sizeof(s->settings)); /* the view of that turn is gone */
	p.upstream = fake_connected(s->tcp);
	fake_peer_answers(p.upstream);
	settle(s);
	s->settings = kept;
	return p;
}

static bool
aborted(const struct sl_stream *s)
{
	return fake_seen(s).aborted;
}

static void
sends(struct sl_stream *s, const char *text)
{
	CU_ASSERT_EQUAL(fake_peer_sends(s, text, (uint32_t)strlen(text)), strlen(text));
}

static void
reads(struct sl_stream *s, const void *bytes, size_t n)
{
	uint8_t got[4096];
	uint32_t len = fake_peer_reads(s, got, sizeof(got));

	CU_ASSERT_EQUAL(len, n);
	CU_ASSERT_EQUAL(memcmp(got, bytes, SL_MIN(len, n)), 0);
}

static void
reads_text(struct sl_stream *s, const char *text)
{
	reads(s, text, strlen(text));
}

/* ---- bytes and ends ---- */

static void
bytes_go_both_ways(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);

	sends(p.client, "question");
	settle(s);
	reads_text(p.upstream, "question");
	sends(p.upstream, "answer");
	settle(s);
	reads_text(p.client, "answer");
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_OPENED), 1);
	scene_fini(s);
}

static void
what_an_endpoint_is_asked_for_is_as_configured(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);
	const struct sl_stream_target *t = fake_target(p.upstream);

	CU_ASSERT_TRUE(t->connect_ms == 1000 && t->keepalive_s == 7 && t->cc == 1 &&
		       t->nodelay == 1);
	CU_ASSERT_TRUE(t->port == sl_to_be16(8000) && t->dst.b[15] == 0 && t->source_cnt == 1);
	scene_fini(s);
}

static void
a_client_that_closes_its_side_still_gets_the_answer(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);
	char none[1];

	sends(p.client, "question");
	fake_peer_fin(p.client);
	settle(s);
	CU_ASSERT_TRUE(fake_seen(p.upstream).shut && !fake_seen(p.client).shut);
	reads_text(p.upstream, "question");
	sends(p.upstream, "long answer");
	settle(s);
	reads_text(p.client, "long answer");
	fake_peer_fin(p.upstream);
	settle(s);
	CU_ASSERT_TRUE(fake_seen(p.upstream).let_go && !aborted(p.upstream));
	CU_ASSERT_TRUE(fake_seen(p.client).shut && !fake_seen(p.client).let_go);
	fake_peer_reads(p.client, none, 0);
	settle(s);
	CU_ASSERT_TRUE(fake_seen(p.client).let_go && !aborted(p.client));
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
	CU_ASSERT_TRUE(s->ep[0].to == 8 && s->ep[0].from == 11);
	scene_fini(s);
}

static void
an_endpoint_that_closes_its_side_still_gets_the_rest(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);

	sends(p.upstream, "bye");
	fake_peer_fin(p.upstream);
	settle(s);
	CU_ASSERT_TRUE(fake_seen(p.client).shut && !fake_seen(p.upstream).shut);
	reads_text(p.client, "bye");
	sends(p.client, "one more thing");
	settle(s);
	reads_text(p.upstream, "one more thing");
	fake_peer_fin(p.client);
	settle(s);
	CU_ASSERT_TRUE(fake_seen(p.client).let_go && !aborted(p.client));
	reads_text(p.upstream, "");
	settle(s);
	CU_ASSERT_TRUE(fake_seen(p.upstream).let_go && !aborted(p.upstream));
	CU_ASSERT_EQUAL(s->limits->service[SERVICE], 0);
	scene_fini(s);
}

/* The reader takes 100 bytes at a time; what is on the way is bounded by the two queues, and nothing is asked in vain. */
static void
trickle(struct scene *s, struct sl_stream *from, struct sl_stream *to, bool fin)
{
	uint8_t sent[20000], got[sizeof(sent)];
	uint32_t at = 0, n = 0;

	for (uint32_t i = 0; i < sizeof(sent); i++)
		sent[i] = (uint8_t)(i * 7 + i / 251);
	for (unsigned round = 0; n < sizeof(got) && round < 1000; round++) {
		at += fake_peer_sends(from, sent + at, (uint32_t)sizeof(sent) - at);
		if (at == sizeof(sent) && fin)
			fake_peer_fin(from);
		settle(s);
		struct fake_seen a = fake_seen(from), b = fake_seen(to);
		CU_ASSERT_TRUE(a.in <= 4096 && b.most_out <= 2048);
		CU_ASSERT_EQUAL_FATAL(at, n + a.in + b.unread); /* nothing lies in between */
		CU_ASSERT_TRUE(!b.shut || a.in == 0);
		n += fake_peer_reads(to, got + n, 100);
	}
	CU_ASSERT_EQUAL(n, sizeof(got));
	CU_ASSERT_EQUAL(memcmp(got, sent, sizeof(got)), 0);
	CU_ASSERT_EQUAL(fake_seen(to).shut, fin);
}

static void
a_slow_reader_slows_the_writer(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);

	trickle(s, p.client, p.upstream, false);
	trickle(s, p.upstream, p.client, true);
	trickle(s, p.client, p.upstream, true);
	scene_fini(s);
}

static void
a_full_writer_is_not_asked_again_before_there_is_room(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);
	uint8_t bytes[4096] = {0};

	fake_peer_sends(p.client, bytes, sizeof(bytes));
	settle(s);
	uint32_t before = fake_seen(p.client).forwards;
	for (unsigned i = 0; i < 100; i++)
		turn(s, 1);
	CU_ASSERT_EQUAL(fake_seen(p.client).forwards, before);
	for (unsigned i = 0; i < 204; i++) { /* nor for every few bytes of room */
		CU_ASSERT_EQUAL(fake_peer_reads(p.upstream, bytes, 10), 10);
		settle(s);
	}
	CU_ASSERT_EQUAL(fake_seen(p.client).forwards, before);
	CU_ASSERT_EQUAL(fake_peer_reads(p.upstream, bytes, sizeof(bytes)), 8);
	settle(s);
	CU_ASSERT_EQUAL(fake_peer_reads(p.upstream, bytes, sizeof(bytes)), 2048);
	scene_fini(s);
}

static void
a_side_that_fails_ends_the_other(void)
{
	static const struct {
		bool client;
		enum sl_stream_end why;
	} rows[] = {
		{true, SL_END_RESET},     {false, SL_END_RESET},       {true, SL_END_TIMEOUT},
		{false, SL_END_TIMEOUT},  {true, SL_END_KEEPALIVE},    {false, SL_END_KEEPALIVE},
		{true, SL_END_NO_MEMORY}, {false, SL_END_UNREACHABLE},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene *s = scene_of(8);
		struct pair p = coupled(s);
		struct sl_stream *one = rows[i].client ? p.client : p.upstream;
		struct sl_stream *other = rows[i].client ? p.upstream : p.client;
		sends(one, "last words");
		settle(s);
		fake_peer_ends(one, rows[i].why);
		settle(s);
		CU_ASSERT_TRUE(aborted(other) && !aborted(one));
		CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
		CU_ASSERT_EQUAL(s->ep[0].to + s->ep[0].from, 10);
		CU_ASSERT_EQUAL(s->ep[0].failed, 0);
		scene_fini(s);
	}
}

static void
both_sides_may_fail_in_one_turn(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);

	sends(p.client, "x");
	fake_peer_ends(p.upstream, SL_END_RESET);
	fake_peer_ends(p.client, SL_END_RESET);
	settle(s);
	CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
	scene_fini(s);
}

static void
a_half_closed_side_that_fails_ends_the_other(void)
{
	struct scene *s = scene_of(8);
	struct pair p = coupled(s);

	fake_peer_fin(p.client);
	settle(s);
	fake_peer_ends(p.client, SL_END_RESET);
	settle(s);
	CU_ASSERT_TRUE(aborted(p.upstream));
	p = coupled(s);
	fake_peer_fin(p.client);
	settle(s);
	reads_text(p.upstream, "");
	fake_peer_fin(p.upstream);
	settle(s);
	CU_ASSERT_TRUE(fake_seen(p.upstream).let_go && !fake_seen(p.client).let_go);
	fake_peer_ends(p.client, SL_END_TIMEOUT);
	settle(s);
	CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
	scene_fini(s);
}

/* The last bytes are forwarded on one event, the wait for room is answered by another in the same turn. */
static void
room_may_come_when_the_other_side_is_over(void)
{
	for (unsigned way = 0; way < 2; way++) {
		struct scene *s = scene_of(8);
		uint8_t bytes[3000] = {0};
		struct sl_stream *first = client(s);
		s->settings.retries = 1;
		settle(s);
		struct pair p = {.client = client(s)};
		settle(s);
		fake_peer_ends(first, SL_END_RESET);
		settle(s);
		if (way) /* the next endpoint's stream is in a place before the client's */
			fake_peer_ends(fake_connected(s->tcp), SL_END_REFUSED);
		settle(s);
		p.upstream = fake_connected(s->tcp);
		CU_ASSERT_EQUAL(fake_place(p.upstream) < fake_place(p.client), way);
		fake_peer_answers(p.upstream);
		settle(s);
		struct sl_stream *from = way ? p.upstream : p.client,
				 *to = way ? p.client : p.upstream;
		fake_peer_fin(to);
		settle(s);
		reads_text(from, "");
		fake_peer_sends(from, bytes, sizeof(bytes));
		settle(s);
		CU_ASSERT_EQUAL(fake_peer_reads(to, bytes, sizeof(bytes)), 2048);
		fake_peer_fin(from);
		turn(s, 0);
		CU_ASSERT_TRUE(fake_seen(from).let_go && !aborted(from) && !fake_seen(to).let_go);
		settle(s);
		CU_ASSERT_EQUAL(fake_peer_reads(to, bytes, sizeof(bytes)), 952);
		settle(s);
		CU_ASSERT_TRUE(fake_seen(to).let_go && !aborted(to));
		scene_fini(s);
	}
}

/* ---- connecting ---- */

static void
another_endpoint_is_tried_when_connecting_fails(void)
{
	static const enum sl_stream_end why[] = {SL_END_REFUSED, SL_END_CONNECT_TIMEOUT,
						 SL_END_UNREACHABLE, SL_END_NO_ROUTE,
						 SL_END_NO_PORT};

	for (unsigned i = 0; i < SL_ARRAY_CNT(why); i++) {
		struct scene *s = scene_of(8);
		bool at_once = why[i] == SL_END_NO_ROUTE || why[i] == SL_END_NO_PORT;
		s->settings.retries = 2;
		s->ep[0].down = true;
		if (at_once)
			fake_connect_fails(s->tcp, why[i]);
		struct sl_stream *c = client(s);
		sends(c, "early");
		settle(s);
		if (!at_once) {
			fake_peer_ends(fake_connected(s->tcp), why[i]);
			settle(s);
		}
		CU_ASSERT_TRUE(s->ep[1].failed == 1 && s->ep[1].conns == 0 && s->ep[2].conns == 1);
		CU_ASSERT_TRUE(counted(s, SL_TCP_RELAY_RETRY) == 1 &&
			       counted(s, SL_TCP_RELAY_CONNECT_FAILED) == 1);
		fake_peer_answers(fake_connected(s->tcp));
		settle(s);
		CU_ASSERT_EQUAL(fake_target(fake_connected(s->tcp))->port, sl_to_be16(8002));
		reads_text(fake_connected(s->tcp), "early");
		fake_peer_ends(c, SL_END_RESET);
		settle(s);
		CU_ASSERT_TRUE(s->ep[2].to == 5 && s->ep[2].from == 0);
		scene_fini(s);
	}
}

static void
endpoints_are_tried_as_often_as_configured_and_none_twice(void)
{
	for (uint8_t retries = 0; retries < SL_RELAY_TRIES; retries++) {
		struct scene *s = scene_of(8);
		s->settings.retries = retries;
		struct sl_stream *c = client(s);
		settle(s);
		for (unsigned i = 0; i <= retries; i++) {
			CU_ASSERT_FALSE(aborted(c));
			CU_ASSERT_EQUAL(s->picked_avoid, i);
			fake_peer_ends(fake_connected(s->tcp), SL_END_REFUSED);
			settle(s);
			CU_ASSERT_EQUAL(s->ep[i].failed, 1);
		}
		CU_ASSERT_TRUE(aborted(c) && s->picks == retries + 1u);
		CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_CONNECT_FAILED), retries + 1u);
		CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_RETRY), retries);
		scene_fini(s);
	}
}

static void
a_client_is_reset_when_no_endpoint_is_left(void)
{
	struct scene *s = scene_of(8);

	s->settings.retries = 7;
	for (unsigned i = 2; i < ENDPOINTS; i++)
		s->ep[i].down = true;
	struct sl_stream *c = client(s);
	settle(s);
	fake_peer_ends(fake_connected(s->tcp), SL_END_REFUSED);
	settle(s);
	fake_peer_ends(fake_connected(s->tcp), SL_END_REFUSED);
	settle(s);
	CU_ASSERT_TRUE(aborted(c) && s->picks == 3);
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_NO_ENDPOINT),
			0); /* it was the endpoints that failed */
	s->ep[0].down = s->ep[1].down = true;
	c = client(s);
	settle(s);
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_NO_ENDPOINT), 1);
	scene_fini(s);
}

static void
without_memory_no_other_endpoint_is_tried(void)
{
	struct scene *s = scene_of(8);

	s->settings.retries = 7;
	fake_connect_fails(s->tcp, SL_END_NO_MEMORY);
	struct sl_stream *c = client(s);
	settle(s);
	CU_ASSERT_TRUE(aborted(c) && s->picks == 1);
	scene_fini(s);
}

static void
a_client_that_goes_while_connecting_takes_the_endpoint_with_it(void)
{
	struct scene *s = scene_of(8);
	struct sl_stream *c = client(s);

	settle(s);
	fake_peer_ends(c, SL_END_RESET);
	settle(s);
	CU_ASSERT_TRUE(aborted(fake_connected(s->tcp)));
	CU_ASSERT_TRUE(s->ep[0].conns == 0 && s->ep[0].failed == 0);
	/* and in the turn in which the endpoint answers, with the header gone */
	s->rule.proxy_in = true;
	s->settings.proxy_out = SL_PROXY_V1;
	c = client(s);
	sends(c, "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n");
	settle(s);
	struct sl_stream *up = fake_connected(s->tcp);
	fake_peer_ends(c, SL_END_RESET);
	fake_peer_answers(up);
	settle(s);
	CU_ASSERT_TRUE(fake_seen(up).let_go && fake_seen(up).unread == 0);
	scene_fini(s);
}

static void
a_client_may_speak_and_close_its_side_while_connecting(void)
{
	struct scene *s = scene_of(8);
	struct sl_stream *c = client(s);

	sends(c, "all there is");
	fake_peer_fin(c);
	settle(s);
	settle(s);
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	reads_text(fake_connected(s->tcp), "all there is");
	CU_ASSERT_TRUE(fake_seen(fake_connected(s->tcp)).shut && !aborted(c));
	sends(fake_connected(s->tcp), "fine");
	settle(s);
	reads_text(c, "fine");
	scene_fini(s);
}

static void
both_streams_are_labelled(void)
{
	struct scene *s = scene_of(8);
	struct pair p = {.client = client(s)};

	settle(s);
	p.upstream = fake_connected(s->tcp);
	for (unsigned i = 0; i < 2; i++) {
		struct fake_seen c = fake_seen(p.client), u = fake_seen(p.upstream);
		CU_ASSERT_TRUE(c.listener_slot == LISTENER && c.service_slot == SERVICE &&
			       c.endpoint_slot == 0);
		CU_ASSERT_TRUE(u.listener_slot == LISTENER && u.service_slot == SERVICE &&
			       u.endpoint_slot == 0);
		CU_ASSERT_TRUE(c.partner == fake_place(p.upstream) &&
			       u.partner == fake_place(p.client));
		if (i == 0)
			fake_peer_answers(p.upstream);
		settle(s);
	}
	fake_peer_fin(p.client);
	fake_peer_fin(p.upstream);
	settle(s);
	reads_text(p.upstream, "");
	settle(s);
	CU_ASSERT_EQUAL(fake_seen(p.client).partner, UINT32_MAX);
	scene_fini(s);
}

/* ---- limits ---- */

static void
limits_hold_over_all_workers(void)
{
	static struct scene a, b;
	static const struct fake_conf fake = {.streams = 64, .rcv_max = 64, .snd_max = 64};
	struct sl_stream *of_b;

	scene_init(&a, &fake, 32, NULL);
	scene_init(&b, &fake, 32, a.limits);
	a.rule.listener_max = b.rule.listener_max = 10;
	a.settings.max_connections = b.settings.max_connections = 12;
	for (unsigned i = 0; i < 10; i++)
		client(i % 2 ? &a : &b);
	of_b = client(&b); /* all were admitted before any was counted */
	client(&a);
	settle(&a);
	settle(&b);
	CU_ASSERT_EQUAL(a.limits->listener[LISTENER], 10);
	CU_ASSERT_EQUAL(a.limits->service[SERVICE], 10);
	CU_ASSERT_EQUAL(counted(&a, SL_TCP_RELAY_OPENED) + counted(&b, SL_TCP_RELAY_OPENED), 10);
	CU_ASSERT_EQUAL(counted(&a, SL_TCP_RELAY_LIMIT) + counted(&b, SL_TCP_RELAY_LIMIT), 2);
	CU_ASSERT_TRUE(aborted(of_b));
	CU_ASSERT_PTR_NULL(client_from(&a, a.source, 1)); /* refused with the SYN */
	b.rule.listener_max = 0;
	client(&b);
	client(&b);
	of_b = client(&b);
	settle(&b);
	CU_ASSERT_TRUE(aborted(of_b)); /* the service's */
	CU_ASSERT_EQUAL(a.limits->listener[LISTENER], 12);
	CU_ASSERT_PTR_NULL(client_from(&b, a.source, 1));
	b.settings.max_connections = 0;
	client(&b);
	settle(&b);
	CU_ASSERT_EQUAL(a.limits->service[SERVICE], 13);
	scene_fini(&b);
	scene_fini(&a);
}

/* Another worker's connections count; who loses the race for the last place asks for somebody else. */
static void
endpoints_have_no_more_connections_than_they_may(void)
{
	struct scene *s = scene_of(8);
	struct sl_stream *c;

	s->endpoint_max = 2;
	s->limits->endpoint[0]++;
	client(s);
	settle(s);
	CU_ASSERT_EQUAL(s->limits->endpoint[0], 2);
	c = client(s);
	settle(s);
	CU_ASSERT_TRUE(aborted(c) && s->limits->endpoint[0] == 2 && s->ep[0].began == 1);
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_LIMIT), 1);
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_NO_ENDPOINT), 0);
	CU_ASSERT_EQUAL(s->picks, 1 + SL_RELAY_TRIES);
	s->endpoint_max = 3;
	client(s);
	settle(s);
	CU_ASSERT_EQUAL(s->limits->endpoint[0], 3);
	s->limits->endpoint[0]--;
	scene_fini(s);
}

static void
what_a_worker_counted_is_given_back_when_it_ends(void)
{
	struct scene *s = scene_of(8);

	for (unsigned i = 0; i < 5; i++)
		client(s);
	settle(s);
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 5);
	sl_relay_fini(s->relay);
	CU_ASSERT_TRUE(s->limits->listener[LISTENER] == 0 && s->limits->service[SERVICE] == 0);
	CU_ASSERT_EQUAL(s->limits->endpoint[0], 0);
	free(s->relay);
	free(s->limits);
	fake_destroy(s->tcp);
}

static void
places_are_bounded_and_used_again(void)
{
	struct scene *s = scene_of(4);
	struct sl_stream *late[2];

	CU_ASSERT_TRUE(sl_relay_bytes(5) - sl_relay_bytes(4) <= 172);
	for (unsigned round = 0; round < 10; round++) {
		struct sl_stream *c[4];
		for (unsigned i = 0; i < 4; i++)
			c[i] = client(s);
		late[0] = client(s);
		late[1] = client(s);
		settle(s);
		CU_ASSERT_TRUE(aborted(late[0]) && aborted(late[1]));
		CU_ASSERT_EQUAL(fake_seen(late[0]).why, SL_END_NO_MEMORY);
		CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 4);
		CU_ASSERT_PTR_NULL(client_from(s, s->source, 1));
		for (unsigned i = 0; i < 4; i++) {
			fake_peer_ends(c[(i + round) % 4], SL_END_RESET);
			settle(s);
		}
		CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
	}
	scene_fini(s);
}

static void
a_listener_that_went_meanwhile_resets_the_client(void)
{
	struct scene *s = scene_of(4);
	struct sl_stream *c = client(s);

	s->listener_gone = true;
	settle(s);
	CU_ASSERT_TRUE(aborted(c) && fake_seen(c).why == SL_END_ADMIN);
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_OPENED), 0);
	scene_fini(s);
}

/* ---- bandwidth ---- */

enum { SHAPE_RATE = 100000, SHAPE_BURST = 8192 };

static uint32_t
queued(const struct scene *s, enum sl_way way)
{
	return s->limits->shape.service[SERVICE].waiters[way];
}

/* One way: bytes by their number; what came of them in a bucket that runs out at the rate, × 1000. */
struct flow {
	struct sl_stream *from, *to;
	uint32_t said, heard;
	uint64_t level, most;
};

static void
flow_turn(struct flow *f, uint32_t ms, uint64_t rate)
{
	uint8_t bytes[4096];

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)((f->said + i) % 251);
	f->said += fake_peer_sends(f->from, bytes, sizeof(bytes));
	uint32_t n = fake_peer_reads(f->to, bytes, sizeof(bytes));
	for (uint32_t i = 0; i < n; i++)
		CU_ASSERT_EQUAL(bytes[i], (uint8_t)((f->heard + i) % 251));
	f->heard += n;
	f->level = (f->level > rate * ms ? f->level - rate * ms : 0) + n * 1000ull;
	f->most = SL_MAX(f->most, f->level);
}

static struct flow
flow_of(struct pair p, enum sl_way way)
{
	return way == SL_TO_ENDPOINTS ? (struct flow){.from = p.client, .to = p.upstream}
				      : (struct flow){.from = p.upstream, .to = p.client};
}

static struct scene *
shaped_scene(uint64_t to_endpoints, uint64_t to_clients)
{
	struct scene *s = scene_of(8);

	s->bandwidth =
		(struct sl_img_bandwidth){{to_endpoints, to_clients}, {SHAPE_BURST, SHAPE_BURST}};
	return s;
}

static void
bytes_wait_for_tokens_each_way_for_itself(void)
{
	for (unsigned cnt = 1; cnt <= 3; cnt++) {
		struct scene *s = shaped_scene(SHAPE_RATE, SHAPE_RATE / 2);
		struct flow f[2 * 3], all[SL_WAYS] = {0};
		for (unsigned i = 0; i < cnt; i++) {
			struct pair p = coupled(s);
			f[2 * i] = flow_of(p, SL_TO_ENDPOINTS);
			f[2 * i + 1] = flow_of(p, SL_TO_CLIENTS);
		}
		for (unsigned ms = 0; ms < 4000; ms++) {
			turn(s, 1);
			for (unsigned i = 0; i < 2 * cnt; i++) {
				uint64_t rate = SHAPE_RATE >> (i & 1);
				uint32_t before = f[i].heard;
				flow_turn(&f[i], 0, 0);
				struct flow *a = &all[i & 1];
				uint64_t out = i < 2 ? rate : 0; /* once a ms */
				a->level = (a->level > out ? a->level - out : 0) +
					   (f[i].heard - before) * 1000ull;
				a->most = SL_MAX(a->most, a->level);
				a->heard += f[i].heard - before;
			}
		}
		for (unsigned way = 0; way < SL_WAYS; way++) {
			uint64_t bytes = 4 * (SHAPE_RATE >> way);
			CU_ASSERT_TRUE(all[way].most <= SHAPE_BURST * 1000ull);
			CU_ASSERT_TRUE(all[way].heard >= bytes - bytes / 100);
		}
		scene_fini(s);
	}
}

static void
what_waits_when_an_end_closes_still_arrives(void)
{
	for (unsigned way = 0; way < SL_WAYS; way++) {
		struct scene *s = shaped_scene(SHAPE_RATE, SHAPE_RATE);
		struct pair p = coupled(s);
		struct flow f = flow_of(p, way);
		for (unsigned ms = 0; ms < 200; ms++) {
			turn(s, 1);
			flow_turn(&f, 1, SHAPE_RATE);
		}
		CU_ASSERT_EQUAL(queued(s, way), 1);
		fake_peer_fin(f.from);
		settle(s);
		CU_ASSERT_FALSE(fake_seen(f.to).shut);
		uint32_t all = f.said;
		for (unsigned ms = 0; ms < 200; ms++) {
			turn(s, 1);
			flow_turn(&f, 1, SHAPE_RATE);
		}
		CU_ASSERT_TRUE(f.heard == all && fake_seen(f.to).shut);
		CU_ASSERT_EQUAL(queued(s, way), 0);
		scene_fini(s);
	}
}

static void
who_is_reset_while_it_waits_leaves_the_queue(void)
{
	for (unsigned row = 0; row < 4; row++) {
		enum sl_way way = row & 1;
		struct scene *s = shaped_scene(1024, 1024);
		struct pair p = coupled(s), other = coupled(s);
		struct flow f = flow_of(p, way), g = flow_of(other, way);
		for (unsigned ms = 0; ms < 100; ms++) {
			turn(s, 1);
			flow_turn(&f, 1, 1024);
			flow_turn(&g, 1, 1024);
		}
		CU_ASSERT_EQUAL(queued(s, way), 2);
		fake_peer_ends(row & 2 ? p.client : p.upstream, SL_END_RESET);
		settle(s);
		CU_ASSERT_EQUAL(queued(s, way), 1);
		uint32_t before = g.heard;
		for (unsigned ms = 0; ms < 4000; ms++) {
			turn(s, 1);
			flow_turn(&g, 1, 1024);
		}
		CU_ASSERT_TRUE(g.heard >= before + 2 * SL_SHAPE_BITE_MIN);
		scene_fini(s);
	}
}

/* Nothing moves for longer than its idle time, but something waits: that is not idle. */
static void
who_waits_for_tokens_is_not_idle(void)
{
	struct scene *s = shaped_scene(1024, 1024);
	s->settings.idle_ms = 500;
	struct pair p = coupled(s);
	struct flow f = flow_of(p, SL_TO_CLIENTS);

	for (unsigned ms = 0; ms < 6000; ms++) {
		turn(s, 1);
		flow_turn(&f, 1, 1024);
	}
	CU_ASSERT_FALSE(aborted(p.client));
	CU_ASSERT_TRUE(f.heard >= SHAPE_BURST + 5000);
	scene_fini(s);
}

static void
pushes_hold_for_connections_that_there_are(void)
{
	static const struct {
		uint64_t before, after;
		bool gone;
		uint32_t wait_ms;
		uint64_t least, most; /* of the second after that */
	} rows[] = {
		{1024, 0, false, 110, 400000, UINT64_MAX},
		{1024, 1024, true, 110, 400000, UINT64_MAX},
		{1024, SHAPE_RATE, false, 110, 99000, SHAPE_RATE + SHAPE_BURST},
		{SHAPE_RATE, 1024, false, 0, 0, 1024 + SHAPE_BURST},
		{0, SHAPE_RATE, false, 2200, 99000, SHAPE_RATE + SHAPE_BURST},
	};

	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		struct scene *s = shaped_scene(0, rows[r].before);
		struct pair p = coupled(s);
		struct flow f = flow_of(p, SL_TO_CLIENTS);
		uint32_t begin = 0;
		for (unsigned ms = 0; ms < 500 + rows[r].wait_ms + 1000; ms++) {
			if (ms == 500) {
				s->bandwidth.rate[SL_TO_CLIENTS] = rows[r].after;
				s->service_gone = rows[r].gone;
			}
			if (ms == 500 + rows[r].wait_ms)
				begin = f.heard;
			turn(s, 1);
			flow_turn(&f, 1, 0);
		}
		CU_ASSERT_TRUE(f.heard - begin >= rows[r].least && f.heard - begin <= rows[r].most);
		scene_fini(s);
	}
}

/* ---- PROXY headers ---- */

#define V1_IN "PROXY TCP4 203.0.113.9 198.51.100.77 4321 8443\r\n"
#define V2_IN                                                                                      \
	"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f"                                                       \
	"\xcb\0\x71\x09\xc6\x33\x64\x4d\x10\xe1\x20\xfb\x04\0\0"
#define LOCAL_IN "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"

static const struct {
	const char *bytes;
	uint32_t n;
	bool local;
} headers[] = {
	{V1_IN, sizeof(V1_IN) - 1, false},
	{V2_IN, sizeof(V2_IN) - 1, false},
	{LOCAL_IN, sizeof(LOCAL_IN) - 1, true},
};

/* Sends a header and payload in two pieces, and looks at what the endpoint gets. */
static void
header_through(unsigned which, uint32_t cut, uint8_t out, const char *expect)
{
	struct scene *s = scene_of(4);
	char bytes[256];
	uint32_t n = headers[which].n + 4;

	s->rule.proxy_in = true;
	s->settings.proxy_out = out;
	s->settings.retries = 1;
	memcpy(bytes, headers[which].bytes, headers[which].n);
	memcpy(bytes + headers[which].n, "rest", 4);
	struct sl_stream *c = client(s);
	settle(s);
	fake_peer_sends(c, bytes, cut);
	settle(s);
	CU_ASSERT_EQUAL(s->picks, cut >= headers[which].n);
	fake_peer_sends(c, bytes + cut, n - cut);
	settle(s);
	fake_peer_ends(fake_connected(s->tcp),
		       SL_END_REFUSED); /* chosen again by the same address */
	settle(s);
	struct sl_addr src = headers[which].local ? sl_addr_from_v4(v4_client)
						  : sl_addr_from_v4((uint8_t[]){203, 0, 113, 9});
	CU_ASSERT_EQUAL_FATAL(s->picks, 2);
	CU_ASSERT_TRUE(sl_addr_eq(&s->picked_for.src, &src));
	CU_ASSERT_EQUAL(s->picked_for.sport, sl_to_be16(headers[which].local ? 50000 : 4321));
	CU_ASSERT_EQUAL(s->picked_for.dport, sl_to_be16(443)); /* where packets came to */
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	reads_text(fake_connected(s->tcp), expect);
	turn(s, 3001); /* the time-out of the header is over */
	settle(s);
	CU_ASSERT_FALSE(aborted(c));
	fake_peer_ends(c, SL_END_RESET);
	settle(s);
	CU_ASSERT_EQUAL(s->ep[1].to, 4);
	scene_fini(s);
}

static void
a_header_is_read_whatever_pieces_it_comes_in(void)
{
	for (unsigned which = 0; which < SL_ARRAY_CNT(headers); which++)
		for (uint32_t cut = 0; cut <= headers[which].n + 4; cut++)
			header_through(which, cut, SL_PROXY_NONE, "rest");
}

static void
a_header_goes_out_with_the_address_that_came_in(void)
{
	header_through(0, 10, SL_PROXY_V1, V1_IN "rest");
	header_through(1, 10, SL_PROXY_V1, V1_IN "rest");
	header_through(2, 10, SL_PROXY_V1, "PROXY TCP4 192.0.2.33 198.51.100.1 50000 443\r\nrest");
}

static void
a_header_of_version_2_goes_out_first(void)
{
	static const char expect[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
				     "\xc0\0\2\x21\xc6\x33\x64\1\xc3\x50\1\xbbwords";
	struct scene *s = scene_of(4);

	s->settings.proxy_out = SL_PROXY_V2;
	struct sl_stream *c = client(s);
	sends(c, "words");
	settle(s);
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	reads(fake_connected(s->tcp), expect, sizeof(expect) - 1);
	scene_fini(s);
}

static void
a_header_that_finds_no_room_ends_the_connection(void)
{
	static struct scene s;
	static const struct fake_conf fake = {.streams = 8, .rcv_max = 64, .snd_max = 27};

	scene_init(&s, &fake, 4, NULL);
	s.settings.proxy_out = SL_PROXY_V2; /* 28 bytes */
	struct sl_stream *c = client(&s);
	settle(&s);
	fake_peer_answers(fake_connected(s.tcp));
	settle(&s);
	CU_ASSERT_TRUE(aborted(c) && fake_seen(c).why == SL_END_NO_MEMORY);
	scene_fini(&s);
}

static void
a_header_is_taken_from_trusted_addresses_only(void)
{
	static const struct {
		const char *from;
		bool trusted;
	} rows[] = {{"192.0.2.0", true},    {"192.0.2.255", true}, {"192.0.3.0", false},
		    {"192.0.1.255", false}, {"2001:db8::1", true}, {"2001:db9::1", false},
		    {"::", false}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene *s = scene_of(4);
		struct sl_addr from;
		s->rule.proxy_in = true;
		CU_ASSERT_EQUAL_FATAL(sl_addr_parse(rows[i].from, &from), 0);
		struct sl_stream *c = client_from(s, from, 99);
		sends(c, V1_IN);
		settle(s);
		CU_ASSERT_EQUAL(aborted(c), !rows[i].trusted);
		CU_ASSERT_EQUAL(counted(s, SL_TCP_PROXY_UNTRUSTED), !rows[i].trusted);
		CU_ASSERT_EQUAL(s->picks, rows[i].trusted);
		scene_fini(s);
	}
}

/* The IPv4 addresses lie within "::/0" as bytes do, and yet it is a prefix of IPv6. */
static void
trust_in_every_ipv6_address_is_none_in_ipv4(void)
{
	static const char *const from[] = {"192.0.2.1", "2001:db8::1"};

	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct scene *s = scene_of(4);
		struct sl_addr a;
		s->rule.proxy_in = true;
		s->trust[0] = (struct sl_img_prefix){0};
		s->rule.trust_cnt = 1;
		CU_ASSERT_EQUAL_FATAL(sl_addr_parse(from[v6], &a), 0);
		struct sl_stream *c = client_from(s, a, 99);
		sends(c, V1_IN);
		settle(s);
		CU_ASSERT_EQUAL(aborted(c), !v6);
		CU_ASSERT_EQUAL(counted(s, SL_TCP_PROXY_UNTRUSTED), !v6);
		scene_fini(s);
	}
}

static void
a_bad_header_resets_the_client(void)
{
	static const char *const rows[] = {"GET / HTTP/1.1\r\n", "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n",
					   "PROXY UNKNOWN\n"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene *s = scene_of(4);
		s->rule.proxy_in = true;
		struct sl_stream *c = client(s);
		sends(c, rows[i]);
		settle(s);
		CU_ASSERT_TRUE(aborted(c) && s->picks == 0);
		CU_ASSERT_EQUAL(counted(s, SL_TCP_PROXY_BAD), 1);
		CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
		scene_fini(s);
	}
}

static void
a_header_of_many_pieces_is_read_to_its_largest_size(void)
{
	for (unsigned over = 0; over < 2; over++) {
		struct scene *s = scene_of(4);
		uint8_t bytes[SL_PROXY_MAX + 1] = LOCAL_IN;
		s->rule.proxy_in = true;
		sl_store16(bytes + 14, sl_to_be16(SL_PROXY_MAX - 16 + over));
		struct sl_stream *c = client(s);
		for (unsigned i = 0; i < sizeof(bytes); i++) {
			fake_peer_sends(c, bytes + i, 1);
			settle(s);
		}
		CU_ASSERT_TRUE(s->picks == !over && aborted(c) == over);
		scene_fini(s);
	}
}

static void
a_header_that_does_not_come_in_time_resets_the_client(void)
{
	struct scene *s = scene_of(4);

	s->rule.proxy_in = true;
	struct sl_stream *c = client(s);
	settle(s);
	sends(c, "PROXY TCP4 ");
	turn(s, 2999);
	CU_ASSERT_FALSE(aborted(c));
	turn(s, 1);
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(counted(s, SL_TCP_PROXY_TIMEOUT), 1);
	/* its time is over once it came, also where nothing else is timed */
	s->settings.idle_ms = 0;
	c = client(s);
	settle(s);
	sends(c, V1_IN);
	settle(s);
	turn(s, 3000);
	CU_ASSERT_FALSE(aborted(c));
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	turn(s, 3000);
	CU_ASSERT_FALSE(aborted(c));
	fake_peer_ends(c, SL_END_RESET);
	settle(s);
	/* nor is one waited for that cannot come any more */
	c = client(s);
	settle(s);
	sends(c, "PROXY TCP4 ");
	fake_peer_fin(c);
	settle(s);
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(counted(s, SL_TCP_PROXY_BAD), 1);
	c = client(s);
	settle(s);
	fake_peer_ends(c, SL_END_RESET);
	settle(s);
	CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
	scene_fini(s);
}

/* ---- time, the operator, figures ---- */

static void
a_connection_on_which_nothing_moves_ends(void)
{
	struct scene *s = scene_of(4);
	struct pair p = coupled(s);

	for (unsigned i = 0; i < 10; i++) { /* one side is enough */
		turn(s, 40000);
		sends(i % 2 ? p.client : p.upstream, "x");
		settle(s);
	}
	turn(s, 59999);
	CU_ASSERT_FALSE(aborted(p.client));
	turn(s, 1);
	CU_ASSERT_TRUE(aborted(p.client) && aborted(p.upstream));
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_IDLE), 1);
	scene_fini(s);
}

static void
a_side_that_is_left_alone_is_idle_too(void)
{
	for (unsigned first = 0; first < 2; first++) {
		struct scene *s = scene_of(4);
		struct pair p = coupled(s);
		struct sl_stream *over = first ? p.upstream : p.client,
				 *rest = first ? p.client : p.upstream;
		fake_peer_fin(p.client);
		fake_peer_fin(p.upstream);
		settle(s);
		reads_text(over, "");
		settle(s);
		CU_ASSERT_TRUE(fake_seen(over).let_go && !fake_seen(rest).let_go);
		turn(s, 60000);
		turn(s, 60000);
		CU_ASSERT_TRUE(aborted(rest));
		CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
		scene_fini(s);
	}
}

static void
a_long_idle_time_is_kept_and_none_is_none(void)
{
	struct scene *s = scene_of(4);

	s->settings.idle_ms = 604800000;
	struct pair p = coupled(s);
	s->settings.idle_ms = 0;
	struct pair q = coupled(s);
	for (unsigned day = 0; day < 6; day++)
		turn(s, 86400000);
	turn(s, 86399999);
	CU_ASSERT_FALSE(aborted(p.client));
	turn(s, 1);
	CU_ASSERT_TRUE(aborted(p.client) && !aborted(q.client));
	scene_fini(s);
}

/* 1500 connections, every other one with endpoint 1. */
static void
sweep_begins(struct scene *s, struct pair p[1500])
{
	static const struct fake_conf fake = {.streams = 4096, .rcv_max = 8, .snd_max = 8};

	scene_init(s, &fake, 2048, NULL);
	for (unsigned i = 0; i < 1500; i++) {
		s->ep[0].down = i % 2;
		p[i].client = client(s);
		fake_turn(s->tcp, 0);
		p[i].upstream = fake_connected(s->tcp);
		fake_peer_answers(p[i].upstream);
	}
	fake_turn(s->tcp, 0);
}

static void
connections_of_a_disabled_endpoint_end_within_two_seconds(void)
{
	static struct scene s;
	static struct pair p[1500];

	for (unsigned begin = 0; begin < 4000; begin += 800) { /* anywhere in a sweep */
		uint32_t asked_most = 0;
		sweep_begins(&s, p);
		for (unsigned ms = 0; ms < 1500 + begin; ms++)
			turn(&s, 1);
		CU_ASSERT_FALSE(aborted(p[1].client));
		s.ep[1].dead = true;
		for (unsigned ms = 0; ms < 2000; ms++) {
			uint32_t before = s.asked;
			turn(&s, 1);
			asked_most = SL_MAX(asked_most, s.asked - before);
		}
		for (unsigned i = 0; i < SL_ARRAY_CNT(p); i++) {
			CU_ASSERT_EQUAL(aborted(p[i].client), i % 2);
			CU_ASSERT_EQUAL(aborted(p[i].upstream), i % 2);
		}
		CU_ASSERT_EQUAL(fake_seen(p[1].client).why, SL_END_ADMIN);
		CU_ASSERT_TRUE(asked_most <= 4); /* an even pace */
		scene_fini(&s);
	}
}

static void
a_sweep_takes_little_of_a_turn_however_long_the_last_one_took(void)
{
	static struct scene s;
	static struct pair p[1500];
	uint32_t asked_most = 0;

	sweep_begins(&s, p);
	for (unsigned i = 0; i < 12; i++) {
		uint32_t before = s.asked;
		turn(&s, 1900);
		asked_most = SL_MAX(asked_most, s.asked - before);
	}
	CU_ASSERT_TRUE(asked_most <= 512 && s.asked >= 3 * 1500);
	scene_fini(&s);
}

static void
payload_is_told_in_batches(void)
{
	static struct scene s;
	static const struct fake_conf fake = {.streams = 8, .rcv_max = 65536, .snd_max = 65536};
	static uint8_t bytes[65536];

	scene_init(&s, &fake, 4, NULL);
	struct pair p = coupled(&s);
	for (unsigned i = 0; i < 63; i++) {
		fake_peer_sends(p.client, bytes, 1024);
		settle(&s);
		fake_peer_reads(p.upstream, bytes, 1024);
	}
	CU_ASSERT_EQUAL(s.moved_calls, 0);
	fake_peer_sends(p.client, bytes, 1024);
	settle(&s);
	CU_ASSERT_TRUE(s.moved_calls == 1 && s.ep[0].to == 65536);
	fake_peer_sends(p.upstream, bytes, 65536);
	settle(&s);
	CU_ASSERT_TRUE(s.moved_calls == 2 && s.ep[0].from == 65536);
	sends(p.client, "a little");
	for (unsigned ms = 0; ms < 2000; ms += 10)
		turn(&s, 10);
	CU_ASSERT_TRUE(s.moved_calls == 3 && s.ep[0].to == 65544);
	scene_fini(&s);
	CU_ASSERT_EQUAL(s.moved_calls, 3);
}

/* ---- TLS ---- */

static void
an_endpoint_is_looked_for_when_the_clients_handshake_is_done(void)
{
	struct scene *s = scene_of(4);

	s->rule.tls = &s->tls;
	fake_tls_way(s->tcp, FAKE_TLS_HOLD);
	struct sl_stream *c = client(s);
	settle(s);
	struct fake_tls_asked asked = fake_tls_asked(c);
	CU_ASSERT_TRUE(asked.server && asked.slot == LISTENER && asked.incarnation == 9 &&
		       asked.handshake_ms == 7000);
	sends(c, "early");
	turn(s, 100000); /* it is the session who bounds the time */
	CU_ASSERT_TRUE(s->picks == 0 && s->limits->listener[LISTENER] == 1);
	fake_tls_done(c);
	settle(s);
	CU_ASSERT_EQUAL(s->picks, 1);
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	CU_ASSERT_FALSE(fake_tls_asked(fake_connected(s->tcp)).client);
	reads_text(fake_connected(s->tcp), "early");
	sends(fake_connected(s->tcp), "answer");
	settle(s);
	reads_text(c, "answer");
	scene_fini(s);
}

static void
a_client_without_a_handshake_is_nobodys(void)
{
	struct scene *s = scene_of(4);

	s->rule.tls = &s->tls;
	fake_tls_way(s->tcp, FAKE_TLS_HOLD);
	struct sl_stream *c = client(s);
	settle(s);
	fake_peer_ends(c, SL_END_TLS);
	settle(s);
	CU_ASSERT_TRUE(s->picks == 0 && s->limits->listener[LISTENER] == 0);
	fake_tls_way(s->tcp, FAKE_TLS_FULL);
	c = client(s);
	settle(s);
	CU_ASSERT_TRUE(aborted(c) && fake_seen(c).why == SL_END_NO_MEMORY);
	CU_ASSERT_TRUE(s->picks == 0 && s->limits->service[SERVICE] == 0);
	scene_fini(s);
}

/* Into a header, out of a header, by TLS on neither, one or both sides: headers are plaintext and first. */
static void
headers_come_before_handshakes_on_both_sides(void)
{
	for (unsigned way = 0; way < 12; way++) {
		struct scene *s = scene_of(4);
		unsigned in = way / 4;
		s->rule.tls = way & 1 ? &s->tls : NULL;
		s->by_tls = way & 2;
		s->rule.proxy_in = true;
		s->settings.proxy_out = SL_PROXY_V1;
		s->settings.retries = 1;
		fake_tls_way(s->tcp, FAKE_TLS_HOLD);
		struct sl_stream *c = client(s);
		settle(s);
		CU_ASSERT_FALSE(fake_tls_asked(c).server);
		fake_peer_sends(c, headers[in].bytes, headers[in].n);
		fake_peer_sends(c, "rest", 4);
		settle(s);
		if (way & 1) {
			CU_ASSERT_TRUE(fake_tls_asked(c).server && fake_tls_asked(c).in == 4);
			turn(s, 4000); /* longer than a header may take */
			CU_ASSERT_FALSE_FATAL(aborted(c));
			CU_ASSERT_EQUAL(s->picks, 0);
			fake_tls_done(c);
			settle(s);
		}
		/* another endpoint is chosen by the same address */
		fake_peer_ends(fake_connected(s->tcp), SL_END_REFUSED);
		settle(s);
		struct sl_addr src = headers[in].local
					     ? sl_addr_from_v4(v4_client)
					     : sl_addr_from_v4((uint8_t[]){203, 0, 113, 9});
		CU_ASSERT_EQUAL_FATAL(s->picks, 2);
		CU_ASSERT_TRUE(sl_addr_eq(&s->picked_for.src, &src));
		CU_ASSERT_EQUAL(s->picked_for.dport, sl_to_be16(443));
		struct sl_stream *up = fake_connected(s->tcp);
		fake_peer_answers(up);
		settle(s);
		const char *line = headers[in].local
					   ? "PROXY TCP4 192.0.2.33 198.51.100.1 50000 443\r\n"
					   : V1_IN;
		if (way & 2) {
			struct fake_tls_asked asked = fake_tls_asked(up);
			CU_ASSERT_TRUE(asked.client && asked.slot == SERVICE &&
				       asked.incarnation == 8 && asked.endpoint_slot == 1 &&
				       asked.handshake_ms == 5000 && !asked.host[0]);
			CU_ASSERT_EQUAL(asked.out, strlen(line));
			reads_text(up, line);
			fake_tls_done(up);
			settle(s);
			reads_text(up, "rest");
		} else {
			char all[128];
			snprintf(all, sizeof(all), "%srest", line);
			reads_text(up, all);
		}
		scene_fini(s);
	}
}

static void
an_endpoint_whose_handshake_fails_is_passed_by(void)
{
	struct scene *s = scene_of(4);

	s->by_tls = true;
	s->settings.retries = 1;
	fake_tls_way(s->tcp, FAKE_TLS_HOLD);
	struct sl_stream *c = client(s);
	sends(c, "hello");
	settle(s);
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	fake_peer_ends(fake_connected(s->tcp), SL_END_TLS);
	settle(s);
	CU_ASSERT_TRUE(s->ep[0].failed == 1 && s->picks == 2);
	s->by_tls = false; /* asked anew: as the table is by now */
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	CU_ASSERT_TRUE(fake_tls_asked(fake_connected(s->tcp)).client);
	fake_tls_done(fake_connected(s->tcp));
	settle(s);
	reads_text(fake_connected(s->tcp), "hello");
	/* no room here: nothing goes out in plaintext */
	s->by_tls = true;
	fake_tls_way(s->tcp, FAKE_TLS_FULL);
	c = client(s);
	sends(c, "hello");
	settle(s);
	struct sl_stream *up = fake_connected(s->tcp);
	fake_peer_answers(up);
	settle(s);
	CU_ASSERT_TRUE(aborted(c) && aborted(up) && fake_seen(up).unread == 0);
	scene_fini(s);
}

static void
a_listener_that_goes_between_header_and_handshake_resets_the_client(void)
{
	for (unsigned how = 0; how < 2; how++) {
		struct scene *s = scene_of(4);
		s->rule.tls = &s->tls;
		s->rule.proxy_in = true;
		struct sl_stream *c = client(s);
		settle(s);
		if (how)
			s->rule.tls = NULL;
		else
			s->listener_gone = true;
		fake_peer_sends(c, V1_IN, sizeof(V1_IN) - 1);
		settle(s);
		CU_ASSERT_TRUE(aborted(c) && s->picks == 0);
		scene_fini(s);
	}
}

static void
an_announced_end_is_passed_on_and_a_cut_is_a_reset(void)
{
	for (unsigned way = 0; way < 4; way++) {
		bool by_client = way & 1, cut = way & 2;
		struct scene *s = scene_of(4);
		s->rule.tls = &s->tls;
		s->by_tls = true;
		struct pair p = coupled(s);
		struct sl_stream *from = by_client ? p.client : p.upstream,
				 *to = by_client ? p.upstream : p.client;
		sends(from, "last");
		settle(s);
		reads_text(to, "last");
		if (cut)
			fake_peer_cuts(from);
		else
			fake_peer_fin(from);
		settle(s);
		CU_ASSERT_EQUAL(aborted(to), cut);
		CU_ASSERT_EQUAL(fake_seen(to).shut, !cut);
		if (!cut) { /* the other way goes on */
			sends(to, "answer");
			settle(s);
			reads_text(from, "answer");
		}
		scene_fini(s);
	}
}

/* ---- everything at once ---- */

static uint32_t
dice(uint64_t *x, uint32_t n)
{
	*x = *x * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((*x >> 33) % n);
}

static void
random_event(struct scene *s, struct sl_stream *one, uint64_t *x)
{
	static const enum sl_stream_end ends[] = {SL_END_RESET, SL_END_TIMEOUT, SL_END_REFUSED,
						  SL_END_NO_MEMORY};
	uint8_t bytes[300];

	if (fake_tls_waits(one)) {
		if (dice(x, 20) == 0)
			fake_peer_ends(one, dice(x, 2) ? SL_END_TLS : SL_END_RESET);
		else if (dice(x, 2))
			fake_tls_done(one);
		return;
	}
	switch (dice(x, 12)) {
	case 0:
		if (sl_stream_row(one)->state == SL_STREAM_SYN_SENT)
			fake_peer_ends(one, ends[dice(x, 4)]);
		break;
	case 1:
		if (dice(x, 4) == 0)
			fake_peer_ends(one, ends[dice(x, 2)]);
		break;
	case 2:
		if (fake_tls_open(one) && dice(x, 2))
			fake_peer_cuts(one);
		else if (sl_stream_row(one)->state == SL_STREAM_ESTABLISHED)
			fake_peer_fin(one);
		break;
	case 3:
	case 4:
		fake_peer_sends(one, V1_IN, sizeof(V1_IN) - 1);
		break;
	case 5:
		if (sl_stream_row(one)->state == SL_STREAM_SYN_SENT)
			fake_peer_answers(one);
		break;
	case 6:
		s->ep[dice(x, ENDPOINTS)].down = dice(x, 2);
		s->ep[dice(x, ENDPOINTS)].dead = dice(x, 4) == 0;
		break;
	case 7:
		fake_connect_fails(s->tcp, dice(x, 4) ? SL_END_OK : SL_END_NO_PORT);
		break;
	default:
		fake_peer_reads(one, bytes, dice(x, sizeof(bytes)));
	}
}

static void
nothing_is_left_over_whatever_happens(void)
{
	static struct scene s;
	static const struct fake_conf fake = {.streams = 40, .rcv_max = 300, .snd_max = 200};
	uint64_t x = 7;
	uint64_t opened = 0;

	for (unsigned seed = 0; seed < 50; seed++) {
		scene_init(&s, &fake, 16, NULL);
		s.rule.listener_max = 12;
		for (unsigned i = 0; i < 4000; i++) {
			s.rule.proxy_in = dice(&x, 4) == 0;
			s.settings.proxy_out = (uint8_t)dice(&x, 3);
			s.settings.retries = (uint8_t)dice(&x, 8);
			s.rule.tls = dice(&x, 3) == 0 ? &s.tls : NULL;
			s.by_tls = dice(&x, 3) == 0;
			fake_tls_way(s.tcp, dice(&x, 3)   ? FAKE_TLS_HOLD
					    : dice(&x, 5) ? FAKE_TLS_DONE
							  : FAKE_TLS_FULL);
			if (dice(&x, 8) == 0)
				client_from(&s, sl_addr_from_v4(v4_client), dice(&x, 65536));
			for (uint32_t at = 0; at < fake.streams; at++) {
				struct sl_stream *one = fake_stream(s.tcp, at);
				if (one && dice(&x, 3) == 0)
					random_event(&s, one, &x);
			}
			turn(&s, dice(&x, 200));
			CU_ASSERT_TRUE_FATAL(s.limits->listener[LISTENER] <= 12);
			CU_ASSERT_EQUAL_FATAL(s.limits->listener[LISTENER],
					      s.limits->service[SERVICE]);
			int conns = 0;
			for (unsigned e = 0; e < ENDPOINTS; e++) {
				CU_ASSERT_TRUE_FATAL(s.ep[e].conns >= 0);
				conns += s.ep[e].conns;
			}
			CU_ASSERT_TRUE_FATAL((uint32_t)conns <= s.limits->listener[LISTENER]);
		}
		opened += counted(&s, SL_TCP_RELAY_OPENED);
		scene_fini(&s);
	}
	CU_ASSERT_TRUE(opened > 5000);
}

/* ---- plaintext beside TLS, connections of each client, bandwidth ---- */

static void
plaintext_is_let_in_beside_tls_where_the_listener_says_so(void)
{
	struct scene *s = scene_of(8);

	s->rule.tls = &s->tls;
	s->tls.plaintext = 1;
	fake_tls_way(s->tcp, FAKE_TLS_HOLD);
	/* a silent one is let go in the time of a handshake */
	struct sl_stream *c = client(s);
	settle(s);
	CU_ASSERT_FALSE(fake_tls_asked(c).server);
	turn(s, 6900);
	CU_ASSERT_FALSE(aborted(c));
	turn(s, 200);
	CU_ASSERT_TRUE(aborted(c));
	/* a handshake, its bytes one by one */
	c = client(s);
	sends(c, "\x16");
	settle(s);
	CU_ASSERT_TRUE(!fake_tls_asked(c).server && s->picks == 0);
	sends(c, "\x03");
	settle(s);
	CU_ASSERT_TRUE(fake_tls_asked(c).server && s->picks == 0);
	turn(s, 100000); /* it is the session who bounds the time now */
	CU_ASSERT_FALSE(aborted(c));
	fake_tls_done(c);
	settle(s);
	CU_ASSERT_EQUAL(s->picks, 1);
	/* anything else */
	c = client(s);
	sends(c, "\x16\x02plain");
	settle(s);
	CU_ASSERT_TRUE(!fake_tls_asked(c).server && s->picks == 2);
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	reads_text(fake_connected(s->tcp), "\x16\x02plain");
	turn(s, 20000);
	CU_ASSERT_FALSE(aborted(c));
	/* behind a PROXY header */
	s->rule.proxy_in = true;
	c = client(s);
	sends(c, V1_IN "plain");
	settle(s);
	CU_ASSERT_TRUE(!fake_tls_asked(c).server && s->picks == 3);
	struct sl_addr said = sl_addr_from_v4((uint8_t[]){203, 0, 113, 9});
	CU_ASSERT_TRUE(sl_addr_eq(&s->picked_for.src, &said));
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	reads_text(fake_connected(s->tcp), "plain");
	/* nothing at all, and a push while it is waited for */
	s->rule.proxy_in = false;
	c = client(s);
	fake_peer_fin(c);
	settle(s);
	CU_ASSERT_TRUE(aborted(c));
	c = client(s);
	settle(s);
	s->tls.plaintext = 0;
	sends(c, "plain");
	settle(s);
	CU_ASSERT_TRUE(aborted(c) && s->picks == 3);
	scene_fini(s);
}

static void
each_client_has_its_connections(void)
{
	struct scene *s = scene_of(16);
	struct sl_addr other = sl_addr_from_v4((uint8_t[]){192, 0, 2, 99});
	struct sl_stream *c[3];

	s->rule.client_max = 3;
	for (unsigned i = 0; i < 3; i++)
		c[i] = client(s);
	settle(s);
	CU_ASSERT_PTR_NULL(client_from(s, sl_addr_from_v4(v4_client), 50000));
	CU_ASSERT_PTR_NOT_NULL(client_from(s, other, 50000));
	fake_peer_ends(c[1], SL_END_RESET);
	settle(s);
	c[1] = client(s);
	settle(s);
	CU_ASSERT_FALSE(aborted(c[1]));
	/* by the address that a header says */
	s->rule.proxy_in = true;
	uint64_t before = counted(s, SL_TCP_RELAY_LIMIT);
	for (unsigned i = 0; i < 4; i++) {
		struct sl_stream *p = client_from(s, other, 50000 + i);
		CU_ASSERT_PTR_NOT_NULL_FATAL(p);
		sends(p, V1_IN);
		settle(s);
		CU_ASSERT_EQUAL(aborted(p), i == 3);
	}
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_LIMIT), before + 1);
	struct sl_clients *clients = &s->limits->clients;
	sl_relay_drop_all(s->relay);
	settle(s);
	for (unsigned l = 0; l < SL_CLIENT_LINES; l++)
		for (unsigned i = 0; i < SL_CLIENT_PLACES; i++)
			CU_ASSERT_EQUAL(clients->line[l].place[i].cnt, 0);
	scene_fini(s);
}

SL_SUITE("relay", SL_TEST(bytes_go_both_ways),
	 SL_TEST(what_an_endpoint_is_asked_for_is_as_configured),
	 SL_TEST(a_client_that_closes_its_side_still_gets_the_answer),
	 SL_TEST(an_endpoint_that_closes_its_side_still_gets_the_rest),
	 SL_TEST(a_slow_reader_slows_the_writer),
	 SL_TEST(a_full_writer_is_not_asked_again_before_there_is_room),
	 SL_TEST(a_side_that_fails_ends_the_other), SL_TEST(both_sides_may_fail_in_one_turn),
	 SL_TEST(a_half_closed_side_that_fails_ends_the_other),
	 SL_TEST(room_may_come_when_the_other_side_is_over),
	 SL_TEST(another_endpoint_is_tried_when_connecting_fails),
	 SL_TEST(endpoints_are_tried_as_often_as_configured_and_none_twice),
	 SL_TEST(a_client_is_reset_when_no_endpoint_is_left),
	 SL_TEST(without_memory_no_other_endpoint_is_tried),
	 SL_TEST(a_client_that_goes_while_connecting_takes_the_endpoint_with_it),
	 SL_TEST(a_client_may_speak_and_close_its_side_while_connecting),
	 SL_TEST(both_streams_are_labelled), SL_TEST(limits_hold_over_all_workers),
	 SL_TEST(endpoints_have_no_more_connections_than_they_may),
	 SL_TEST(what_a_worker_counted_is_given_back_when_it_ends),
	 SL_TEST(places_are_bounded_and_used_again),
	 SL_TEST(a_listener_that_went_meanwhile_resets_the_client),
	 SL_TEST(bytes_wait_for_tokens_each_way_for_itself),
	 SL_TEST(what_waits_when_an_end_closes_still_arrives),
	 SL_TEST(who_is_reset_while_it_waits_leaves_the_queue),
	 SL_TEST(who_waits_for_tokens_is_not_idle),
	 SL_TEST(pushes_hold_for_connections_that_there_are),
	 SL_TEST(a_header_is_read_whatever_pieces_it_comes_in),
	 SL_TEST(a_header_goes_out_with_the_address_that_came_in),
	 SL_TEST(a_header_of_version_2_goes_out_first),
	 SL_TEST(a_header_that_finds_no_room_ends_the_connection),
	 SL_TEST(a_header_is_taken_from_trusted_addresses_only),
	 SL_TEST(trust_in_every_ipv6_address_is_none_in_ipv4),
	 SL_TEST(a_bad_header_resets_the_client),
	 SL_TEST(a_header_of_many_pieces_is_read_to_its_largest_size),
	 SL_TEST(a_header_that_does_not_come_in_time_resets_the_client),
	 SL_TEST(a_connection_on_which_nothing_moves_ends),
	 SL_TEST(a_side_that_is_left_alone_is_idle_too),
	 SL_TEST(a_long_idle_time_is_kept_and_none_is_none),
	 SL_TEST(connections_of_a_disabled_endpoint_end_within_two_seconds),
	 SL_TEST(a_sweep_takes_little_of_a_turn_however_long_the_last_one_took),
	 SL_TEST(payload_is_told_in_batches),
	 SL_TEST(an_endpoint_is_looked_for_when_the_clients_handshake_is_done),
	 SL_TEST(a_client_without_a_handshake_is_nobodys),
	 SL_TEST(headers_come_before_handshakes_on_both_sides),
	 SL_TEST(an_endpoint_whose_handshake_fails_is_passed_by),
	 SL_TEST(a_listener_that_goes_between_header_and_handshake_resets_the_client),
	 SL_TEST(an_announced_end_is_passed_on_and_a_cut_is_a_reset),
	 SL_TEST(plaintext_is_let_in_beside_tls_where_the_listener_says_so),
	 SL_TEST(each_client_has_its_connections), SL_TEST(nothing_is_left_over_whatever_happens))
