/* The relay on real stacks: client — gateway — endpoints, in virtual time (hosts.h). */
#include "l7/relay.h"
#include "tests/sim/hosts.h"
#include "tests/suite.h"

#define CLIENT 0
#define GATEWAY 1
#define FIRST 2 /* endpoints: hosts from here on, by slot */
#define ENDPOINTS 3
#define LISTENER 3
#define SERVICE 5

#define OF_CLIENT 11u
#define OF_ENDPOINT 22u
#define ANYTHING UINT32_MAX

struct scene {
	struct hosts *net;
	struct sl_relay *relay;
	struct sl_relay_limits *limits;
	struct sl_relay_rule rule;
	struct sl_img_tcp settings;
	struct sl_img_prefix trust;
	struct sl_addr source;
	bool dead[ENDPOINTS];
	int conns[ENDPOINTS];
	uint64_t to, from;
	unsigned in_1000; /* packets that are lost */
	uint64_t dice;
	struct sl_addr told; /* client of the last pick */
	struct sl_img_bandwidth bandwidth;
};

/* ---- the worker around it ---- */

static bool
env_rule(void *ctx, const struct sl_tuple *tuple, struct sl_relay_rule *ret)
{
	struct scene *s = ctx;

	*ret = s->rule;
	return tuple->dport == sl_to_be16(443);
}

static bool
env_pick(void *ctx, const struct sl_tuple *client, uint32_t service_slot,
	 uint16_t service_incarnation, const uint32_t *avoid, unsigned avoid_cnt,
	 struct sl_relay_pick *ret)
{
	struct scene *s = ctx;

	(void)service_slot, (void)service_incarnation;
	s->told = client->src;
	for (uint32_t i = 0; i < ENDPOINTS; i++) {
		bool avoided = false;
		for (unsigned a = 0; a < avoid_cnt; a++)
			avoided |= avoid[a] == i;
		if (avoided)
			continue;
		*ret = (struct sl_relay_pick){.addr = hosts_addr(FIRST + i),
					      .port = sl_to_be16(443),
					      .incarnation = 1,
					      .endpoint_slot = i,
					      .sources = &s->source,
					      .source_cnt = 1};
		return true;
	}
	return false;
}

static void
env_began(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, uint32_t service_slot)
{
	(void)incarnation, (void)service_slot;
	((struct scene *)ctx)->conns[endpoint_slot]++;
}

static void
env_ended(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, bool failed)
{
	(void)incarnation, (void)failed;
	((struct scene *)ctx)->conns[endpoint_slot]--;
}

static void
env_moved(void *ctx, uint32_t endpoint_slot, uint32_t listener_slot, uint64_t to, uint64_t from)
{
	struct scene *s = ctx;

	(void)endpoint_slot, (void)listener_slot;
	s->to += to;
	s->from += from;
}

static bool
env_lives(void *ctx, uint32_t listener_slot, uint16_t listener_incarnation, uint32_t endpoint_slot,
	  uint16_t incarnation)
{
	(void)listener_slot, (void)listener_incarnation, (void)incarnation;
	return !((struct scene *)ctx)->dead[endpoint_slot];
}

static const struct sl_img_bandwidth *
env_bandwidth(void *ctx, uint32_t service_slot, uint16_t incarnation)
{
	(void)service_slot, (void)incarnation;
	return &((struct scene *)ctx)->bandwidth;
}

static enum sl_tcp_admit
admit(void *ctx, const struct sl_pkt *p, struct sl_tcp_accept *ret)
{
	struct scene *s = ctx;

	return p->tuple.dport == sl_to_be16(443)
		       ? sl_relay_admit(s->relay, &s->rule, &p->tuple.src, ret)
		       : SL_ADMIT_NO;
}

static void
tick(void *ctx)
{
	sl_relay_tick(((struct scene *)ctx)->relay);
}

static bool
lost(void *ctx, unsigned from, unsigned to, const struct sl_pkt *p)
{
	struct scene *s = ctx;

	(void)from, (void)to, (void)p;
	s->dice = s->dice * 6364136223846793005u + 1442695040888963407u;
	return (s->dice >> 33) % 1000 < s->in_1000;
}

static void
scene_with(struct scene *s, uint32_t rcv_max, uint32_t snd_max, uint32_t seg_cnt,
	   uint32_t block_cnt)
{
	const struct hosts_conf conf = {.cnt = FIRST + ENDPOINTS,
					.streams = 1024,
					.rcv_max = rcv_max,
					.snd_max = snd_max,
					.delay_us = 500,
					.lost = lost,
					.ctx = s,
					.tick = tick,
					.tick_host = GATEWAY,
					.seg_cnt = seg_cnt,
					.block_cnt = block_cnt};

	memset(s, 0, sizeof(*s));
	s->net = hosts_create(&conf);
	s->limits = calloc(1, sizeof(*s->limits));
	s->settings = (struct sl_img_tcp){.connect_ms = 1000, .idle_ms = 60000};
	s->source = hosts_addr(GATEWAY);
	s->trust = (struct sl_img_prefix){.prefix = hosts_addr(CLIENT), .plen = 128};
	s->rule = (struct sl_relay_rule){.listener_slot = LISTENER,
					 .service_slot = SERVICE,
					 .trust = &s->trust,
					 .trust_cnt = 1,
					 .tcp = &s->settings};
	const struct sl_relay_conf r = {.capacity = 512,
					.tcp = hosts_tcp(s->net, GATEWAY),
					.limits = s->limits,
					.env = {.ctx = s,
						.rule = env_rule,
						.pick = env_pick,
						.began = env_began,
						.ended = env_ended,
						.moved = env_moved,
						.lives = env_lives,
						.bandwidth = env_bandwidth},
					.stats = hosts_stats(s->net, GATEWAY)};
	s->relay = sl_relay_init(calloc(1, sl_relay_bytes(r.capacity)), &r);
	hosts_listen_as(s->net, GATEWAY, admit, s);
}

static void
scene_init(struct scene *s, uint32_t rcv_max, uint32_t snd_max)
{
	scene_with(s, rcv_max, snd_max, 0, 0);
}

static struct scene *
scene(void)
{
	static struct scene s;

	scene_init(&s, 1 << 20, 1 << 20);
	return &s;
}

static uint64_t
counted(struct scene *s, unsigned code)
{
	return hosts_stats(s->net, GATEWAY)->count[code];
}

/* Nothing of any connection is left at the gateway. */
static void
over(struct scene *s)
{
	CU_ASSERT_EQUAL(hosts_usage(s->net, GATEWAY).streams, 0);
	CU_ASSERT_EQUAL(s->limits->listener[LISTENER], 0);
	CU_ASSERT_EQUAL(s->limits->service[SERVICE], 0);
	for (unsigned way = 0; way < SL_WAYS; way++)
		CU_ASSERT_EQUAL(s->limits->shape.service[SERVICE].waiters[way], 0);
	for (unsigned i = 0; i < ENDPOINTS; i++)
		CU_ASSERT_EQUAL(s->conns[i], 0);
}

static void
scene_fini(struct scene *s)
{
	sl_relay_drop_all(s->relay);
	hosts_run(s->net, 5);
	over(s);
	sl_relay_fini(s->relay);
	hosts_destroy(s->net);
	free(s->relay);
	free(s->limits);
}

/* A client and its endpoint, connected. */
struct pair {
	struct hosts_end *client, *endpoint;
};

static struct pair
pair(struct scene *s, bool client_reads, bool endpoint_reads)
{
	struct pair p;

	hosts_listen(s->net, FIRST, endpoint_reads, OF_ENDPOINT, OF_CLIENT);
	p.client = hosts_connect(s->net, CLIENT, GATEWAY, client_reads, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 20);
	p.endpoint = hosts_accepted(s->net, FIRST);
	CU_ASSERT_TRUE_FATAL(p.client->opened && p.endpoint && p.endpoint->s);
	return p;
}

static bool
reset(const struct hosts_end *e)
{
	return e->closed && e->why == SL_END_RESET;
}

/* ---- bytes and ends ---- */

static void
both_ways_are_byte_exact_over_links_that_lose(void)
{
	for (unsigned in_1000 = 0; in_1000 <= 20; in_1000 += 10) {
		struct scene *s = scene();
		struct pair p = pair(s, true, true);
		const uint64_t all = 2 << 20;
		s->in_1000 = in_1000;
		for (unsigned ms = 0;
		     ms < 60000 && (p.client->read < all || p.endpoint->read < all); ms++) {
			hosts_write(p.client, (uint32_t)(all - p.client->wrote));
			hosts_write(p.endpoint, (uint32_t)(all - p.endpoint->wrote));
			hosts_run(s->net, 1);
		}
		CU_ASSERT_TRUE(p.client->read == all && p.endpoint->read == all);
		CU_ASSERT_TRUE(p.client->wrong == 0 && p.endpoint->wrong == 0);
		s->in_1000 = 0;
		sl_stream_shutdown(p.client->s);
		hosts_run(s->net, 20);
		CU_ASSERT_TRUE(p.endpoint->eof && !p.client->eof);
		sl_stream_shutdown(p.endpoint->s);
		hosts_run(s->net, 3000);
		CU_ASSERT_TRUE(p.client->closed && p.client->why == SL_END_OK);
		CU_ASSERT_TRUE(p.endpoint->closed && p.endpoint->why == SL_END_OK);
		CU_ASSERT_TRUE(s->to == all && s->from == all);
		over(s);
		scene_fini(s);
	}
}

static void
a_slow_reader_costs_two_queues_and_no_more(void)
{
	for (unsigned way = 0; way < 2; way++) {
		static struct scene s;
		scene_init(&s, 65536, 65536);
		struct pair p = pair(&s, false, false);
		struct hosts_end *from = way ? p.endpoint : p.client,
				 *to = way ? p.client : p.endpoint;
		unsigned most = 0;
		for (unsigned ms = 0; ms < 5000; ms++) {
			hosts_write(from, 1 << 20);
			hosts_run(s.net, 1);
			most = SL_MAX(most, hosts_usage(s.net, GATEWAY).segs);
		}
		/* what the writer got rid of lies in four queues, two of them the gateway's */
		CU_ASSERT_TRUE(from->wrote <= 4 * (65536 + 1500) && from->wrote >= 2 * 65536);
		CU_ASSERT_TRUE(most <= 2 * 65536 / 536);
		CU_ASSERT_EQUAL(to->read, 0);
		uint64_t all = from->wrote + 300000;
		for (unsigned ms = 0; ms < 60000 && to->read < all; ms++) {
			hosts_write(from, (uint32_t)(all - from->wrote));
			hosts_read(to, 3000);
			hosts_run(s.net, 1);
		}
		CU_ASSERT_TRUE(to->read == all && to->wrong == 0);
		scene_fini(&s);
	}
}

static void
what_a_side_sends_before_it_closes_waits_for_a_slow_reader(void)
{
	for (unsigned way = 0; way < 2; way++) {
		static struct scene s;
		scene_init(&s, 65536, 65536);
		struct pair p = pair(&s, false, false);
		struct hosts_end *from = way ? p.endpoint : p.client,
				 *to = way ? p.client : p.endpoint;
		/* the other direction is closed first, so that the sender's stream is over but for its bytes */
		sl_stream_shutdown(to->s);
		hosts_run(s.net, 20);
		hosts_read(from, 1);
		CU_ASSERT_TRUE(from->eof);
		while (from->wrote < 150000) {
			hosts_write(from, (uint32_t)(150000 - from->wrote));
			hosts_run(s.net, 1);
		}
		sl_stream_shutdown(from->s);
		hosts_run(s.net, 2000);
		CU_ASSERT_FALSE(to->eof);
		for (unsigned ms = 0; ms < 5000 && !to->eof; ms++) {
			hosts_read(to, 1000);
			hosts_run(s.net, 1);
		}
		CU_ASSERT_TRUE(to->eof && to->read == 150000 && to->wrong == 0);
		hosts_run(s.net, 2000);
		CU_ASSERT_TRUE(to->closed && to->why == SL_END_OK && from->closed &&
			       from->why == SL_END_OK);
		over(&s);
		scene_fini(&s);
	}
}

static void
a_reset_passes_through(void)
{
	for (unsigned way = 0; way < 2; way++) {
		struct scene *s = scene();
		struct pair p = pair(s, true, true);
		struct hosts_end *one = way ? p.endpoint : p.client,
				 *other = way ? p.client : p.endpoint;
		hosts_write(p.client, 5000);
		hosts_write(p.endpoint, 5000);
		hosts_run(s->net, 10);
		sl_stream_abort(one->s, SL_END_ABORTED);
		one->s = NULL;
		hosts_run(s->net, 10);
		CU_ASSERT_TRUE(reset(other));
		over(s);
		scene_fini(s);
	}
}

/* ---- connecting ---- */

static void
another_endpoint_is_tried_when_the_first_refuses(void)
{
	struct scene *s = scene();

	s->settings.retries = 2;
	hosts_listen(s->net, FIRST + 2, true, OF_ENDPOINT, OF_CLIENT);
	struct hosts_end *c = hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 20);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hosts_accepted(s->net, FIRST + 2));
	hosts_write(c, 100);
	hosts_run(s->net, 20);
	CU_ASSERT_EQUAL(hosts_accepted(s->net, FIRST + 2)->read, 100);
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_RETRY), 2);
	CU_ASSERT_EQUAL(counted(s, SL_TCP_END_REFUSED), 2);
	s->settings.retries = 1;
	c = hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 20);
	CU_ASSERT_TRUE(reset(c));
	scene_fini(s);
}

static void
an_endpoint_that_does_not_answer_is_given_up_in_time(void)
{
	struct scene *s = scene();

	s->settings.retries = 1;
	hosts_down(s->net, FIRST, true);
	hosts_listen(s->net, FIRST + 1, true, OF_ENDPOINT, OF_CLIENT);
	struct hosts_end *c = hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 5);
	hosts_write(c, 3000);
	sl_stream_shutdown(c->s); /* all that the client has to say waits */
	hosts_run(s->net, 980);
	CU_ASSERT_PTR_NULL(hosts_accepted(s->net, FIRST + 1));
	hosts_run(s->net, 40);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hosts_accepted(s->net, FIRST + 1));
	CU_ASSERT_EQUAL(counted(s, SL_TCP_END_CONNECT_TIMEOUT), 1);
	struct hosts_end *e = hosts_accepted(s->net, FIRST + 1);
	CU_ASSERT_TRUE(e->read == 3000 && e->wrong == 0 && e->eof);
	hosts_write(e, 2000);
	sl_stream_shutdown(e->s);
	hosts_run(s->net, 2000);
	CU_ASSERT_TRUE(c->read == 2000 && c->wrong == 0 && c->why == SL_END_OK && c->closed);
	over(s);
	scene_fini(s);
}

static void
a_client_that_goes_while_connecting_leaves_nothing(void)
{
	struct scene *s = scene();

	hosts_down(s->net, FIRST, true);
	struct hosts_end *c = hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 20);
	CU_ASSERT_TRUE(c->opened && hosts_usage(s->net, GATEWAY).streams == 2);
	sl_stream_abort(c->s, SL_END_ABORTED);
	c->s = NULL;
	hosts_run(s->net, 5);
	over(s);
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_CONNECT_FAILED), 0);
	scene_fini(s);
}

/* ---- limits, time, the operator ---- */

static void
limits_are_exact(void)
{
	struct scene *s = scene();
	struct hosts_end *c[300];
	unsigned open = 0, refused = 0;

	s->rule.listener_max = 100;
	hosts_listen(s->net, FIRST, true, OF_ENDPOINT, OF_CLIENT);
	for (unsigned i = 0; i < SL_ARRAY_CNT(c);
	     i++) { /* the last hundreds meet the limit at their SYN */
		c[i] = hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
		if (i % 120 == 119)
			hosts_run(s->net, 1);
		CU_ASSERT_TRUE(s->limits->listener[LISTENER] <= 100);
	}
	hosts_run(s->net, 50);
	for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++) {
		open += c[i]->s != NULL && c[i]->opened;
		refused += c[i]->closed;
	}
	CU_ASSERT_TRUE(open == 100 && refused == 200);
	CU_ASSERT_TRUE(counted(s, SL_TCP_RELAY_LIMIT) > 0 && counted(s, SL_TCP_SYN_REFUSED) > 0);
	CU_ASSERT_EQUAL(s->conns[0], 100);
	for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++)
		if (c[i]->s) {
			sl_stream_abort(c[i]->s, SL_END_ABORTED);
			c[i]->s = NULL;
			open--;
			hosts_run(s->net, 3);
			CU_ASSERT_EQUAL(s->limits->listener[LISTENER], open);
		}
	scene_fini(s);
}

static void
a_connection_on_which_nothing_moves_ends(void)
{
	struct scene *s = scene();

	s->settings.idle_ms = 2000;
	struct pair p = pair(s, true, true);
	for (unsigned i = 0; i < 4; i++) {
		hosts_run(s->net, 1500);
		hosts_write(i % 2 ? p.client : p.endpoint, 10);
	}
	hosts_run(s->net, 1900);
	CU_ASSERT_TRUE(p.client->s && p.endpoint->s);
	hosts_run(s->net, 200);
	CU_ASSERT_TRUE(reset(p.client) && reset(p.endpoint));
	CU_ASSERT_EQUAL(counted(s, SL_TCP_RELAY_IDLE), 1);
	over(s);
	scene_fini(s);
}

static void
a_disabled_endpoint_lets_its_connections_go(void)
{
	struct scene *s = scene();
	struct pair p = pair(s, true, true);

	hosts_run(s->net, 4000);
	CU_ASSERT_TRUE(p.client->s && p.endpoint->s);
	s->dead[0] = true;
	hosts_run(s->net, 2000);
	CU_ASSERT_TRUE(reset(p.client) && reset(p.endpoint));
	CU_ASSERT_EQUAL(counted(s, SL_TCP_END_ADMIN), 2);
	over(s);
	scene_fini(s);
}

/* ---- PROXY headers ---- */

#define V1_IN "PROXY TCP4 203.0.113.9 198.51.100.77 4321 8443\r\n"
static const char v2_in[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
			    "\xcb\0\x71\x09\xc6\x33\x64\x4d\x10\xe1\x20\xfb";

/* The header in two segments, payload behind it; what the endpoint gets first. */
static void
header_through(struct scene *s, const char *bytes, uint32_t n, uint32_t cut, const void *expect,
	       uint32_t expect_n)
{
	struct sl_addr told = sl_addr_from_v4((uint8_t[]){203, 0, 113, 9});
	char all[128];

	memset(&s->told, 0, sizeof(s->told));
	memcpy(all, bytes, n);
	memcpy(all + n, "rest", 4);
	struct hosts_end *c = hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 3);
	if (cut)
		hosts_say(c, all, cut);
	hosts_run(s->net, 3);
	CU_ASSERT_EQUAL(hosts_usage(s->net, GATEWAY).streams, cut < n ? 1 : 2);
	if (cut < n + 4)
		hosts_say(c, all + cut, n + 4 - cut);
	hosts_run(s->net, 5);
	struct hosts_end *e = hosts_accepted(s->net, FIRST);
	while (e && e->next)
		e = e->next;
	CU_ASSERT_TRUE_FATAL(e != NULL && e->s != NULL);
	CU_ASSERT_EQUAL(e->read, expect_n + 4);
	CU_ASSERT_EQUAL(memcmp(e->first, expect, expect_n), 0);
	CU_ASSERT_EQUAL(memcmp(e->first + expect_n, "rest", 4), 0);
	CU_ASSERT_TRUE(sl_addr_eq(&s->told, &told));
	sl_stream_abort(c->s, SL_END_ABORTED);
	c->s = NULL;
	hosts_run(s->net, 3);
	over(s);
}

static void
a_header_is_read_whatever_segments_it_comes_in(void)
{
	const uint32_t v1 = sizeof(V1_IN) - 1, v2 = sizeof(v2_in) - 1;
	struct scene *s = scene();

	s->rule.proxy_in = true;
	hosts_listen(s->net, FIRST, true, OF_ENDPOINT, ANYTHING);
	for (uint32_t cut = 0; cut <= v1 + 4; cut++)
		header_through(s, V1_IN, v1, cut, "", 0);
	for (uint32_t cut = 0; cut <= v2 + 4; cut++)
		header_through(s, v2_in, v2, cut, "", 0);
	s->settings.proxy_out = SL_PROXY_V1;
	header_through(s, V1_IN, v1, 20, V1_IN, v1);
	header_through(s, v2_in, v2, 20, V1_IN, v1);
	s->settings.proxy_out = SL_PROXY_V2;
	header_through(s, V1_IN, v1, 20, v2_in, v2);
	scene_fini(s);
}

static void
a_header_in_single_bytes_is_read(void)
{
	struct scene *s = scene();

	s->rule.proxy_in = true;
	hosts_listen(s->net, FIRST, true, OF_ENDPOINT, ANYTHING);
	struct hosts_end *c = hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 5);
	for (uint32_t i = 0; i < sizeof(V1_IN) - 1; i++) {
		hosts_say(c, &V1_IN[i], 1);
		hosts_run(s->net, 2);
	}
	hosts_say(c, "rest", 4);
	hosts_run(s->net, 10);
	CU_ASSERT_PTR_NOT_NULL_FATAL(hosts_accepted(s->net, FIRST));
	CU_ASSERT_EQUAL(hosts_accepted(s->net, FIRST)->read, 4);
	scene_fini(s);
}

static void
headers_that_are_bad_late_or_not_trusted_reset_the_client(void)
{
	struct scene *s = scene();

	s->rule.proxy_in = true;
	struct hosts_end *bad =
		hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	struct hosts_end *late =
		hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	struct hosts_end *other =
		hosts_connect(s->net, FIRST, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	struct hosts_end *half =
		hosts_connect(s->net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s->net, 5);
	CU_ASSERT_TRUE(reset(other) && counted(s, SL_TCP_PROXY_UNTRUSTED) == 1);
	hosts_say(bad, "PROXY TCP4 1.1.1.1 2.2.2.2 65536 1\r\n", 36);
	hosts_say(late, "PROXY ", 6);
	hosts_say(half, "PROXY ", 6);
	sl_stream_shutdown(half->s);
	hosts_run(s->net, 5);
	CU_ASSERT_TRUE(reset(bad) && reset(half) && counted(s, SL_TCP_PROXY_BAD) == 2);
	hosts_run(s->net, 2980);
	CU_ASSERT_FALSE(late->closed);
	hosts_run(s->net, 20);
	CU_ASSERT_TRUE(reset(late) && counted(s, SL_TCP_PROXY_TIMEOUT) == 1);
	over(s);
	scene_fini(s);
}

/* ---- everything at once ---- */

static uint32_t
dice(uint64_t *x, uint32_t n)
{
	*x = *x * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((*x >> 33) % n);
}

static void
act(struct hosts_end *e, uint64_t *x)
{
	if (!e || !e->s || !e->opened)
		return;
	switch (dice(x, 16)) {
	case 0:
		if (dice(x, 4) == 0) {
			sl_stream_abort(e->s, SL_END_ABORTED);
			e->s = NULL;
		}
		break;
	case 1:
		sl_stream_shutdown(e->s);
		break;
	case 2:
		if (!e->reads)
			hosts_read(e, UINT32_MAX);
		break;
	default:
		hosts_write(e, dice(x, 20000));
	}
	if (e->s)
		CU_ASSERT_EQUAL(e->wrong, 0);
}

/* Slow readers on a gateway that has room for few of them. */
static void
little_memory_costs_connections_and_never_bytes(void)
{
	static struct scene s;
	struct hosts_end *c[40];
	unsigned whole = 0;
	const uint64_t all = 100000;

	scene_with(&s, 65536, 65536, 600, 128);
	s.settings.proxy_out = SL_PROXY_V1;
	hosts_listen(s.net, FIRST, true, OF_ENDPOINT, ANYTHING);
	for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++)
		c[i] = hosts_connect(s.net, CLIENT, GATEWAY, false, OF_CLIENT, OF_ENDPOINT);
	for (unsigned ms = 0; ms < 20000; ms++) {
		for (struct hosts_end *e = hosts_accepted(s.net, FIRST); e; e = e->next)
			if (e->s && e->wrote < all && hosts_write(e, (uint32_t)(all - e->wrote)) &&
			    e->wrote == all)
				sl_stream_shutdown(e->s);
		for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++) {
			hosts_read(c[i], ms < 3000 ? 0 : 500);
			if (c[i]->s && c[i]->eof)
				sl_stream_shutdown(c[i]->s);
		}
		hosts_run(s.net, 1);
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(c); i++) {
		CU_ASSERT_EQUAL(c[i]->wrong, 0);
		CU_ASSERT_TRUE(c[i]->closed && c[i]->eof == (c[i]->read == all));
		whole += c[i]->eof;
	}
	CU_ASSERT_TRUE(whole > 0);
	CU_ASSERT_TRUE(counted(&s, SL_TCP_MEMORY_LIMIT) > 0);
	hosts_run(s.net, 3000);
	over(&s);
	/* and it is over when the pressure is */
	struct hosts_end *late =
		hosts_connect(s.net, CLIENT, GATEWAY, true, OF_CLIENT, OF_ENDPOINT);
	hosts_run(s.net, 20);
	hosts_write(late, 1000);
	struct hosts_end *e = hosts_accepted(s.net, FIRST);
	while (e && e->next)
		e = e->next;
	hosts_run(s.net, 20);
	CU_ASSERT_TRUE(e != NULL && e->s != NULL && e->read > 1000);
	scene_fini(&s);
}

static void
nothing_is_left_whatever_clients_and_endpoints_do(void)
{
	for (uint64_t seed = 1; seed <= 12; seed++) {
		static struct scene s;
		struct hosts_end *c[40] = {0};
		uint64_t x = seed;
		scene_init(&s, 65536, 65536);
		s.in_1000 = dice(&x, 40);
		s.dice = seed;
		s.settings.retries = 2;
		s.settings.idle_ms = 5000;
		s.rule.listener_max = 30;
		for (unsigned i = 0; i < ENDPOINTS; i++)
			if (dice(&x, 3))
				hosts_listen(s.net, FIRST + i, dice(&x, 2), OF_ENDPOINT, OF_CLIENT);
		for (unsigned step = 0; step < 1500; step++) {
			struct hosts_end **one = &c[dice(&x, 40)];
			if (!*one || !(*one)->s)
				*one = hosts_connect(s.net, CLIENT, GATEWAY, dice(&x, 2), OF_CLIENT,
						     OF_ENDPOINT);
			act(*one, &x);
			for (unsigned i = 0; i < ENDPOINTS; i++)
				for (struct hosts_end *e = hosts_accepted(s.net, FIRST + i); e;
				     e = e->next)
					if (dice(&x, 4) == 0)
						act(e, &x);
			if (dice(&x, 100) == 0)
				hosts_down(s.net, FIRST + dice(&x, ENDPOINTS), dice(&x, 2));
			hosts_run(s.net, dice(&x, 4));
			CU_ASSERT_TRUE(s.limits->listener[LISTENER] <= 30);
		}
		for (unsigned i = 0; i < 40; i++)
			if (c[i])
				CU_ASSERT_EQUAL(c[i]->wrong, 0);
		hosts_run(s.net, 15000); /* what is stuck is idle */
		over(&s);
		scene_fini(&s);
	}
}

/* ---- bandwidth, as ends see it ---- */

enum { PAIRS = 8, QUEUE = 65536 };

/* One way, of all connections: what may have come by now, and a bucket that runs out at the rate; bytes × 1000. */
struct seen {
	uint64_t may, came, level, most;
};

static void
see(struct seen *v, uint64_t rate, uint64_t came)
{
	uint64_t n = (came - v->came) * 1000;

	v->may += rate;
	v->level = (v->level > rate ? v->level - rate : 0) + n;
	v->most = SL_MAX(v->most, v->level);
	v->came = came;
	CU_ASSERT_TRUE(v->came * 1000 <= v->may);
}

static void
rates_of_chance(struct scene *s, uint64_t *x)
{
	for (unsigned way = 0; way < SL_WAYS; way++)
		s->bandwidth.rate[way] = (32768ull << dice(x, 9)) + dice(x, 10000);
}

/* Connections of chance that write, stop, close and go, over links that lose, with pushes: all together they never get more than the
 * rates so far, a burst, and one for each push; where nothing is lost or pushed, not in any window. */
static void
no_more_comes_than_the_bandwidth_whatever_ends_do(void)
{
	uint64_t moved[SL_WAYS] = {0};

	for (uint64_t seed = 1; seed <= 16; seed++) {
		static struct scene s;
		struct hosts_end *c[PAIRS] = {0};
		struct seen seen[SL_WAYS] = {0};
		uint64_t x = seed;
		scene_init(&s, QUEUE, QUEUE);
		s.dice = seed;
		s.settings.idle_ms = 5000;
		bool loses = seed % 2, pushes = seed % 4 < 2;
		s.in_1000 = loses ? 1 + dice(&x, 20) : 0;
		rates_of_chance(&s, &x);
		for (unsigned way = 0; way < SL_WAYS; way++) {
			s.bandwidth.burst[way] = SL_BURST_MIN << dice(&x, 4);
			seen[way].may = s.bandwidth.burst[way] * 1000ull;
		}
		hosts_listen(s.net, FIRST, true, OF_ENDPOINT, OF_CLIENT);
		uint64_t gone = 0; /* what clients that went had read */
		for (unsigned ms = 0; ms < 3000; ms++) {
			struct hosts_end **one = &c[dice(&x, PAIRS)];
			if (!*one || (!(*one)->s && dice(&x, 20) == 0)) {
				gone += *one ? (*one)->read : 0;
				*one = hosts_connect(s.net, CLIENT, GATEWAY, true, OF_CLIENT,
						     OF_ENDPOINT);
			}
			if (dice(&x, 8) == 0)
				act(*one, &x);
			uint64_t came[SL_WAYS] = {0, gone};
			for (struct hosts_end *e = hosts_accepted(s.net, FIRST); e; e = e->next) {
				if (e->s && e->opened && dice(&x, 2))
					hosts_write(e, dice(&x, 20000));
				came[SL_TO_ENDPOINTS] += e->read;
				CU_ASSERT_EQUAL(e->wrong, 0);
			}
			for (unsigned i = 0; i < PAIRS; i++)
				if (c[i]) {
					hosts_write(c[i], c[i]->s && c[i]->opened ? 5000 : 0);
					came[SL_TO_CLIENTS] += c[i]->read;
					CU_ASSERT_EQUAL(c[i]->wrong, 0);
				}
			for (unsigned way = 0; way < SL_WAYS; way++)
				see(&seen[way], s.bandwidth.rate[way], came[way]);
			if (pushes && dice(&x, 200) == 0) {
				rates_of_chance(&s, &x);
				for (unsigned way = 0; way < SL_WAYS; way++)
					seen[way].may += s.bandwidth.burst[way] * 1000ull;
			}
			hosts_run(s.net, 1);
		}
		for (unsigned way = 0; way < SL_WAYS; way++) {
			moved[way] += seen[way].came;
			/* it is looked once a ms */
			CU_ASSERT_TRUE(loses || pushes ||
				       seen[way].most <= s.bandwidth.burst[way] * 1000ull +
								 s.bandwidth.rate[way]);
		}
		s.in_1000 = 0;
		s.bandwidth = (struct sl_img_bandwidth){0};
		hosts_run(s.net, 3000);
		for (unsigned way = 0; way < SL_WAYS; way++)
			CU_ASSERT_EQUAL(s.limits->shape.service[SERVICE].waiters[way], 0);
		scene_fini(&s);
	}
	CU_ASSERT_TRUE(moved[SL_TO_ENDPOINTS] > 30000000 && moved[SL_TO_CLIENTS] > 30000000);
}

SL_SUITE("relay", SL_TEST(both_ways_are_byte_exact_over_links_that_lose),
	 SL_TEST(a_slow_reader_costs_two_queues_and_no_more),
	 SL_TEST(what_a_side_sends_before_it_closes_waits_for_a_slow_reader),
	 SL_TEST(a_reset_passes_through), SL_TEST(another_endpoint_is_tried_when_the_first_refuses),
	 SL_TEST(an_endpoint_that_does_not_answer_is_given_up_in_time),
	 SL_TEST(a_client_that_goes_while_connecting_leaves_nothing), SL_TEST(limits_are_exact),
	 SL_TEST(a_connection_on_which_nothing_moves_ends),
	 SL_TEST(a_disabled_endpoint_lets_its_connections_go),
	 SL_TEST(a_header_is_read_whatever_segments_it_comes_in),
	 SL_TEST(a_header_in_single_bytes_is_read),
	 SL_TEST(headers_that_are_bad_late_or_not_trusted_reset_the_client),
	 SL_TEST(little_memory_costs_connections_and_never_bytes),
	 SL_TEST(nothing_is_left_whatever_clients_and_endpoints_do),
	 SL_TEST(no_more_comes_than_the_bandwidth_whatever_ends_do))
