/* Mode tls-passthrough over fake streams (fake_streams.h): the ClientHello says whose a connection is, and goes on untouched. */
#include "l7/relay.h"
#include "l7/relay_hello.h"
#include "tests/l7/fake_streams.h"
#include "tests/suite.h"

#define LISTENER 3
#define OWN 7 /* service slots; those of the names: their ref */
#define INCARNATION 77
#define ENDPOINTS 2 /* of each service: slot × 10 and the next */

static const struct sl_img_sni names[] = {{"*.b.example", 5, 0}, {"a.example", 6, 0}};

struct scene {
	struct sl_tcp *tcp;
	struct sl_relay *relay;
	struct sl_relay_limits *limits;
	struct sl_stats_tcp stats;
	struct sl_stats_tls tls;
	struct sl_relay_rule rule;
	struct sl_img_tcp settings[10]; /* by service slot */
	struct sl_img_prefix trust;
	struct sl_addr source;
	bool own;  /* the listener has a service for other names */
	bool gone; /* it is none of that mode any more */
	int conns;
	struct sl_tuple picked_for;
	char asked[SL_HOST_MAX]; /* of the last `named` */
	unsigned named;
};

static bool
env_rule(void *ctx, const struct sl_tuple *tuple, struct sl_relay_rule *ret)
{
	(void)tuple;
	*ret = ((struct scene *)ctx)->rule;
	return true;
}

static enum sl_relay_named
env_named(void *ctx, const struct sl_tuple *tuple, const char *host, struct sl_relay_rule *ret)
{
	struct scene *s = ctx;
	uint32_t at = sl_hello_pick(names, SL_ARRAY_CNT(names), host);

	CU_ASSERT_EQUAL(tuple->dport, sl_to_be16(443));
	strcpy(s->asked, host);
	s->named++;
	if (s->gone)
		return SL_RELAY_GONE;
	if (at == UINT32_MAX && !s->own)
		return SL_RELAY_NOBODY;
	*ret = s->rule;
	ret->service_slot = at == UINT32_MAX ? OWN : names[at].ref;
	ret->service_incarnation = 8;
	ret->tcp = &s->settings[ret->service_slot];
	return at == UINT32_MAX ? SL_RELAY_OWN : SL_RELAY_NAMED;
}

/* What services say of TLS is not for bytes that are TLS as they are: there is no engine for it here. */
static const struct sl_img_tls_service service_tls = {.handshake_ms = 1000};

static bool
env_pick(void *ctx, const struct sl_tuple *client, uint32_t service_slot,
	 uint16_t service_incarnation, const uint32_t *avoid, unsigned avoid_cnt,
	 struct sl_relay_pick *ret)
{
	struct scene *s = ctx;

	CU_ASSERT_EQUAL(service_incarnation, 8);
	s->picked_for = *client;
	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		uint32_t slot = service_slot * 10 + i;
		if ((avoid_cnt > 0 && avoid[0] == slot) || (avoid_cnt > 1 && avoid[1] == slot))
			continue;
		*ret = (struct sl_relay_pick){
			.addr = sl_addr_from_v4((uint8_t[]){10, 0, 0, (uint8_t)slot}),
			.port = sl_to_be16(443),
			.incarnation = INCARNATION,
			.endpoint_slot = slot,
			.sources = &s->source,
			.source_cnt = 1,
			.tls = &service_tls};
		return true;
	}
	return false;
}

static void
env_began(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, uint32_t service_slot)
{
	CU_ASSERT_TRUE(incarnation == INCARNATION && endpoint_slot / 10 == service_slot);
	((struct scene *)ctx)->conns++;
}

static void
env_ended(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, bool failed)
{
	(void)endpoint_slot, (void)incarnation, (void)failed;
	((struct scene *)ctx)->conns--;
}

static void
env_moved(void *ctx, uint32_t endpoint_slot, uint32_t listener_slot, uint64_t to, uint64_t from)
{
	(void)ctx, (void)endpoint_slot, (void)listener_slot, (void)to, (void)from;
}

static bool
env_lives(void *ctx, uint32_t listener_slot, uint16_t listener_incarnation, uint32_t endpoint_slot,
	  uint16_t incarnation)
{
	(void)ctx, (void)listener_slot, (void)listener_incarnation, (void)endpoint_slot;
	(void)incarnation;
	return true;
}

static struct scene *
scene(void)
{
	static struct scene s;
	static const struct fake_conf fake = {
		.streams = 64, .rcv_max = SL_HELLO_MAX + 1024, .snd_max = 2 * SL_HELLO_MAX};

	memset(&s, 0, sizeof(s));
	s.tcp = fake_create(&fake);
	s.limits = calloc(1, sizeof(*s.limits));
	for (uint32_t i = 0; i < SL_ARRAY_CNT(s.settings); i++)
		s.settings[i] = (struct sl_img_tcp){.connect_ms = 1000 + i,
						    .idle_ms = 60000 + i,
						    .keepalive_s = (uint16_t)(20 + i),
						    .cc = 1};
	s.source = sl_addr_from_v4((uint8_t[]){10, 9, 9, 9});
	s.trust = (struct sl_img_prefix){.prefix = sl_addr_from_v4((uint8_t[]){192, 0, 2, 0}),
					 .plen = 120};
	s.rule = (struct sl_relay_rule){.listener_slot = LISTENER,
					.listener_incarnation = 9,
					.service_slot = SL_RELAY_BY_NAME,
					.trust = &s.trust,
					.trust_cnt = 1};
	s.own = true;
	const struct sl_relay_conf conf = {.capacity = 16,
					   .tcp = s.tcp,
					   .limits = s.limits,
					   .env = {.ctx = &s,
						   .rule = env_rule,
						   .pick = env_pick,
						   .began = env_began,
						   .ended = env_ended,
						   .moved = env_moved,
						   .lives = env_lives,
						   .named = env_named},
					   .stats = &s.stats,
					   .tls_stats = &s.tls};
	s.relay = sl_relay_init(calloc(1, sl_relay_bytes(conf.capacity)), &conf);
	return &s;
}

static void
scene_fini(struct scene *s)
{
	sl_relay_drop_all(s->relay);
	CU_ASSERT_EQUAL(fake_live(s->tcp), 0);
	CU_ASSERT_EQUAL(s->conns, 0);
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT_EQUAL(s->limits->service[i], 0);
	free(s->limits);
	sl_relay_fini(s->relay);
	free(s->relay);
	fake_destroy(s->tcp);
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

/* NULL: refused. */
static struct sl_stream *
client(struct scene *s)
{
	struct sl_tcp_accept accept;
	const struct sl_tuple tuple = {.src = sl_addr_from_v4((uint8_t[]){192, 0, 2, 33}),
				       .dst = sl_addr_from_v4((uint8_t[]){198, 51, 100, 1}),
				       .sport = sl_to_be16(50000),
				       .dport = sl_to_be16(443),
				       .proto = SL_IPPROTO_TCP};

	if (sl_relay_admit(s->relay, &s->rule, &tuple.src, &accept) != SL_ADMIT_YES)
		return NULL;
	struct sl_stream *c = fake_accept(s->tcp, &accept, &tuple);
	settle(s);
	return c;
}

/* A ClientHello of n bytes in one record, for host ("": none). */
static void
hello(uint8_t *to, uint32_t n, const char *host)
{
	uint32_t len = (uint32_t)strlen(host), sni = *host ? len + 9 : 0, ext = n - 52;
	uint8_t *p = to + 52;

	memset(to, 0, n);
	memcpy(to, "\x16\3\1", 3);
	to[3] = (uint8_t)((n - 5) >> 8);
	to[4] = (uint8_t)(n - 5);
	to[5] = 1;
	to[7] = (uint8_t)((n - 9) >> 8);
	to[8] = (uint8_t)(n - 9);
	memcpy(to + 9, "\3\3", 2);
	memcpy(to + 43, "\0\0\2\x13\1\1", 7); /* no session, a suite, a method, which is 0 */
	to[50] = (uint8_t)(ext >> 8);
	to[51] = (uint8_t)ext;
	if (sni) {
		const uint8_t head[] = {
			0, 0, 0, (uint8_t)(len + 5), 0, (uint8_t)(len + 3), 0, 0, (uint8_t)len};
		memcpy(p, head, sizeof(head));
		memcpy(p + sizeof(head), host, len);
	}
	p += sni;
	ext -= sni;
	memcpy(p, "\xfe\0", 2);
	p[2] = (uint8_t)((ext - 4) >> 8);
	p[3] = (uint8_t)(ext - 4);
}

static void
sends(struct scene *s, struct sl_stream *c, const void *bytes, uint32_t n)
{
	CU_ASSERT_EQUAL(fake_peer_sends(c, bytes, n), n);
	settle(s);
}

static void
says(struct scene *s, struct sl_stream *c, const char *host)
{
	uint8_t bytes[512];

	hello(bytes, sizeof(bytes), host);
	sends(s, c, bytes, sizeof(bytes));
}

static void
reads(struct sl_stream *c, const void *bytes, uint32_t n)
{
	static uint8_t got[2 * SL_HELLO_MAX];
	uint32_t len = fake_peer_reads(c, got, sizeof(got));

	CU_ASSERT_EQUAL(len, n);
	CU_ASSERT_EQUAL(memcmp(got, bytes, SL_MIN(len, n)), 0);
}

static bool
aborted(const struct sl_stream *s)
{
	return fake_seen(s).aborted;
}

/* ---- whose it is ---- */

static void
the_server_name_says_the_service_and_the_hello_goes_there_untouched(void)
{
	static const struct {
		const char *host, *asked;
		uint32_t endpoint;
		unsigned counter;
	} row[] = {
		{"a.example", "a.example", 60, SL_TLS_CNT_PASS_NAME},
		{"A.Example", "a.example", 60, SL_TLS_CNT_PASS_NAME},
		{"x.y.b.example", "x.y.b.example", 50, SL_TLS_CNT_PASS_NAME},
		{"b.example", "b.example", 70, SL_TLS_CNT_PASS_DEFAULT},
		{"", "", 70, SL_TLS_CNT_PASS_DEFAULT},
	};
	uint8_t bytes[300];

	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct scene *s = scene();
		struct sl_stream *c = client(s);
		hello(bytes, sizeof(bytes), row[i].host);
		for (uint32_t at = 0; at < sizeof(bytes); at++) {
			CU_ASSERT_EQUAL(s->named, 0);
			sends(s, c, bytes + at, 1);
		}
		CU_ASSERT_STRING_EQUAL(s->asked, row[i].asked);
		CU_ASSERT_EQUAL(s->tls.count[row[i].counter], 1);
		struct sl_stream *up = fake_connected(s->tcp);
		CU_ASSERT_PTR_NOT_NULL_FATAL(up);
		CU_ASSERT_EQUAL(fake_target(up)->dst.b[15], row[i].endpoint);
		CU_ASSERT_EQUAL(fake_seen(c).in, sizeof(bytes));
		fake_peer_answers(up);
		settle(s);
		reads(up, bytes, sizeof(bytes));
		sends(s, c, "more", 4);
		reads(up, "more", 4);
		sends(s, up, "answer", 6);
		reads(c, "answer", 6);
		CU_ASSERT_EQUAL(s->named, 1);
		scene_fini(s);
	}
}

static void
the_settings_are_those_of_the_service_that_was_named(void)
{
	struct scene *s = scene();
	struct sl_stream *c = client(s);

	says(s, c, "a.example");
	struct sl_stream *up = fake_connected(s->tcp);
	CU_ASSERT_EQUAL(fake_target(up)->connect_ms, 1006);
	CU_ASSERT_EQUAL(fake_target(up)->keepalive_s, 26);
	CU_ASSERT_EQUAL(fake_target(up)->cc, 1);
	CU_ASSERT_EQUAL(fake_seen(c).keepalive_s, 26);
	CU_ASSERT_EQUAL(sl_stream_row(c)->cc, 1);
	CU_ASSERT_EQUAL(fake_seen(c).service_slot, 6);
	fake_peer_answers(up);
	settle(s);
	turn(s, 60005);
	CU_ASSERT_FALSE(aborted(c));
	turn(s, 1);
	CU_ASSERT_TRUE(aborted(c));
	scene_fini(s);
}

static void
who_is_nobodys_is_told_so_and_not_reset(void)
{
	static const char *const hosts[] = {"b.example", "other", ""};

	for (unsigned i = 0; i < SL_ARRAY_CNT(hosts); i++) {
		struct scene *s = scene();
		s->own = false;
		struct sl_stream *c = client(s);
		says(s, c, hosts[i]);
		CU_ASSERT_TRUE(fake_seen(c).let_go && !aborted(c) && fake_seen(c).shut);
		CU_ASSERT_EQUAL(fake_seen(c).in, 0);
		reads(c, "\x15\3\3\0\2\2\x70", 7);
		CU_ASSERT_PTR_NULL(fake_connected(s->tcp));
		CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_NOBODY], 1);
		CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
		scene_fini(s);
	}
}

/* ---- hellos that are none ---- */

static void
what_is_no_hello_is_reset_at_its_first_wrong_byte(void)
{
	struct scene *s = scene();
	uint8_t bytes[300];

	struct sl_stream *c = client(s);
	sends(s, c, "G", 1);
	CU_ASSERT_TRUE(aborted(c));
	c = client(s);
	hello(bytes, sizeof(bytes), "a.example");
	sends(s, c, bytes, 61);
	CU_ASSERT_FALSE(aborted(c));
	sends(s, c, "\xff", 1); /* the first of the name, which is judged whole */
	sends(s, c, bytes + 62, 7);
	CU_ASSERT_FALSE(aborted(c));
	sends(s, c, bytes + 69, 1);
	CU_ASSERT_TRUE(aborted(c));
	c = client(s);
	sends(s, c, "\x16\3\1\x40\1", 5);
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_BAD], 3);
	CU_ASSERT_EQUAL(s->named, 0);
	scene_fini(s);
}

static void
the_longest_hello_is_read_and_a_longer_one_is_refused(void)
{
	static uint8_t bytes[SL_HELLO_MAX];
	struct scene *s = scene();
	struct sl_stream *c = client(s);

	hello(bytes, sizeof(bytes), "x.b.example");
	for (uint32_t at = 0; at < sizeof(bytes); at += 16)
		sends(s, c, bytes + at, 16);
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_NAME], 1);
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	reads(fake_connected(s->tcp), bytes, sizeof(bytes));
	c = client(s);
	bytes[8]++;
	sends(s, c, bytes, 9);
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_BAD], 1);
	scene_fini(s);
}

static void
a_hello_that_does_not_come_in_time_resets_the_client(void)
{
	struct scene *s = scene();
	uint8_t bytes[300];
	struct sl_stream *silent = client(s), *slow = client(s);

	hello(bytes, sizeof(bytes), "a.example");
	for (uint32_t i = 0; i < 9; i++) {
		turn(s, 1000);
		sends(s, slow, bytes + i, 1);
	}
	turn(s, 999);
	CU_ASSERT_FALSE(aborted(silent) || aborted(slow));
	turn(s, 1);
	CU_ASSERT_TRUE(aborted(silent) && aborted(slow));
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_BAD], 2);
	/* one that came in time waits for its endpoint without it */
	struct sl_stream *c = client(s);
	says(s, c, "a.example");
	turn(s, 10000);
	CU_ASSERT_FALSE(aborted(c));
	scene_fini(s);
}

static void
a_client_that_goes_before_its_hello_is_whole_leaves_nothing(void)
{
	struct scene *s = scene();
	uint8_t bytes[300];

	hello(bytes, sizeof(bytes), "a.example");
	struct sl_stream *c = client(s);
	sends(s, c, bytes, 299);
	fake_peer_fin(c);
	settle(s);
	CU_ASSERT_TRUE(aborted(c));
	c = client(s);
	fake_peer_fin(c);
	settle(s);
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_BAD], 2);
	c = client(s);
	sends(s, c, bytes, 299);
	fake_peer_ends(c, SL_END_RESET);
	settle(s);
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
	/* with all of it said there may be no more to say */
	c = client(s);
	CU_ASSERT_EQUAL(fake_peer_sends(c, bytes, 300), 300);
	fake_peer_fin(c);
	settle(s);
	fake_peer_answers(fake_connected(s->tcp));
	settle(s);
	reads(fake_connected(s->tcp), bytes, 300);
	CU_ASSERT_TRUE(fake_seen(fake_connected(s->tcp)).shut);
	scene_fini(s);
}

/* ---- with the rest of the relay ---- */

static void
another_endpoint_of_the_service_gets_the_hello_when_connecting_fails(void)
{
	struct scene *s = scene();
	uint8_t bytes[300];

	s->settings[6].retries = 3;
	hello(bytes, sizeof(bytes), "a.example");
	struct sl_stream *c = client(s);
	sends(s, c, bytes, sizeof(bytes));
	fake_peer_ends(fake_connected(s->tcp), SL_END_REFUSED);
	settle(s);
	struct sl_stream *up = fake_connected(s->tcp);
	CU_ASSERT_EQUAL(fake_target(up)->dst.b[15], 61);
	fake_peer_answers(up);
	settle(s);
	reads(up, bytes, sizeof(bytes));
	CU_ASSERT_EQUAL(s->named, 1);
	CU_ASSERT_EQUAL(s->stats.count[SL_TCP_RELAY_RETRY], 1);
	c = client(s);
	sends(s, c, bytes, sizeof(bytes));
	for (unsigned i = 0; i < ENDPOINTS; i++) {
		fake_peer_ends(fake_connected(s->tcp), SL_END_REFUSED);
		settle(s);
	}
	CU_ASSERT_TRUE(aborted(c));
	scene_fini(s);
}

static void
limits_of_the_service_count_from_when_it_is_known(void)
{
	struct scene *s = scene();

	s->rule.listener_max = 4;
	s->settings[6].max_connections = 1;
	struct sl_stream *c[4];
	for (unsigned i = 0; i < 4; i++)
		c[i] = client(s);
	CU_ASSERT_PTR_NULL(client(s));
	CU_ASSERT_EQUAL(s->limits->service[6], 0);
	says(s, c[0], "a.example");
	CU_ASSERT_EQUAL(s->limits->service[6], 1);
	says(s, c[1], "a.example");
	CU_ASSERT_TRUE(aborted(c[1]));
	CU_ASSERT_EQUAL(s->stats.count[SL_TCP_RELAY_LIMIT], 1);
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_NAME], 1);
	says(s, c[2], "x.b.example");
	CU_ASSERT_FALSE(aborted(c[2]));
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 3);
	fake_peer_ends(c[0], SL_END_RESET);
	settle(s);
	CU_ASSERT_EQUAL(s->limits->service[6], 0);
	scene_fini(s);
}

static void
what_waited_is_given_back_when_the_worker_ends(void)
{
	struct scene *s = scene();

	client(s);
	says(s, client(s), "a.example");
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 2);
	sl_relay_fini(s->relay);
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
	CU_ASSERT_EQUAL(s->limits->service[6], 0);
	fake_destroy(s->tcp);
	free(s->relay);
	free(s->limits);
}

#define V1 "PROXY TCP4 203.0.113.7 198.51.100.9 1234 4433\r\n"

static void
a_proxy_header_comes_first_and_has_a_time_of_its_own(void)
{
	struct scene *s = scene();
	uint8_t bytes[300], whole[sizeof(V1) - 1 + sizeof(bytes)];

	s->rule.proxy_in = true;
	s->settings[6].proxy_out = SL_PROXY_V1;
	hello(bytes, sizeof(bytes), "a.example");
	memcpy(whole, V1, sizeof(V1) - 1);
	memcpy(whole + sizeof(V1) - 1, bytes, sizeof(bytes));
	for (uint32_t cut = 1; cut <= sizeof(whole); cut++) {
		struct sl_stream *c = client(s);
		sends(s, c, whole, cut);
		if (cut < sizeof(whole))
			sends(s, c, whole + cut, (uint32_t)sizeof(whole) - cut);
		CU_ASSERT_EQUAL(s->named, cut);
		CU_ASSERT_EQUAL(s->picked_for.src.b[12], 203);
		struct sl_stream *up = fake_connected(s->tcp);
		fake_peer_answers(up);
		settle(s);
		reads(up, whole, sizeof(whole));
		fake_peer_ends(c, SL_END_RESET);
		settle(s);
	}
	struct sl_stream *c = client(s);
	turn(s, 2999);
	sends(s, c, V1, sizeof(V1) - 1);
	turn(s, 9999);
	CU_ASSERT_FALSE(aborted(c));
	turn(s, 1);
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_BAD], 1);
	CU_ASSERT_EQUAL(s->stats.count[SL_TCP_PROXY_TIMEOUT], 0);
	c = client(s);
	sends(s, c, bytes, sizeof(bytes)); /* no header */
	CU_ASSERT_TRUE(aborted(c));
	CU_ASSERT_EQUAL(s->stats.count[SL_TCP_PROXY_BAD], 1);
	scene_fini(s);
}

static void
a_listener_that_is_another_meanwhile_resets_the_client(void)
{
	struct scene *s = scene();
	struct sl_stream *c = client(s);

	s->gone = true;
	says(s, c, "a.example");
	CU_ASSERT_TRUE(aborted(c) && fake_seen(c).why == SL_END_ADMIN);
	s->gone = false;
	c = client(s);
	s->rule.listener_incarnation = 10;
	says(s, c, "a.example");
	CU_ASSERT_TRUE(aborted(c) && fake_seen(c).why == SL_END_ADMIN);
	CU_ASSERT_EQUAL(s->tls.count[SL_TLS_CNT_PASS_NAME], 0);
	scene_fini(s);
}

SL_SUITE("relay_hello",
	 SL_TEST(the_server_name_says_the_service_and_the_hello_goes_there_untouched),
	 SL_TEST(the_settings_are_those_of_the_service_that_was_named),
	 SL_TEST(who_is_nobodys_is_told_so_and_not_reset),
	 SL_TEST(what_is_no_hello_is_reset_at_its_first_wrong_byte),
	 SL_TEST(the_longest_hello_is_read_and_a_longer_one_is_refused),
	 SL_TEST(a_hello_that_does_not_come_in_time_resets_the_client),
	 SL_TEST(a_client_that_goes_before_its_hello_is_whole_leaves_nothing),
	 SL_TEST(another_endpoint_of_the_service_gets_the_hello_when_connecting_fails),
	 SL_TEST(limits_of_the_service_count_from_when_it_is_known),
	 SL_TEST(what_waited_is_given_back_when_the_worker_ends),
	 SL_TEST(a_proxy_header_comes_first_and_has_a_time_of_its_own),
	 SL_TEST(a_listener_that_is_another_meanwhile_resets_the_client))
