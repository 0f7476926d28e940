/* Streams with TLS between two stacks: what is written arrives, whatever the link, the pieces and the moment do. */
#include "tests/suite.h"

#include "tests/sim/tls_pair.h"

#define SEEDS 2000
#define LIMIT_NS (600 * TCP_S)

/* One end of a connection: writes `total` bytes by chance, reads what comes by chance, says when it has no more. */
struct end {
	struct tls_pair *p;
	struct sl_stream *s;
	struct sl_tls *tls;
	uint64_t seed, peer_seed, total, sent, got;
	bool server, opened, secured, wrong, closed, eof, shut, slow, cut;
	unsigned updates;
	enum sl_stream_end why;
};

static void
feed(struct end *e)
{
	struct tcp_dice *d = &e->p->dice;
	uint8_t bytes[20000];

	while (e->sent < e->total) {
		uint32_t room = sl_stream_room(e->s);
		uint64_t some = dice_range(d, 1, dice_chance(d, 0.2) ? 20000 : 900);
		uint32_t n = (uint32_t)SL_MIN(e->total - e->sent, some);
		if (room == 0) {
			sl_stream_wait_room(e->s, (uint32_t)dice_range(d, 1, 8192));
			return;
		}
		bytes_fill(e->seed, e->sent, bytes, n);
		uint32_t done = sl_stream_write(e->s, bytes, n);
		e->sent += done;
		if (e->updates && dice_chance(d, 0.01)) {
			struct session *s = session_of(sl_filter_of(e->s));
			if (s->write.version == SL_TLS_1_3) {
				s->state_flags |= SF_UPDATE_OWED;
				e->updates--;
			}
		}
		if (done < n) {
			sl_stream_wait_room(e->s, 1);
			return;
		}
		if (dice_chance(d, 0.3)) { /* the rest another time */
			sl_stream_set_timer(e->s, (uint32_t)dice_range(d, 1, 20));
			return;
		}
	}
	if (!e->shut) {
		e->shut = true;
		sl_stream_shutdown(e->s);
	}
}

static void
take_some(struct end *e, uint32_t n)
{
	struct tcp_dice *d = &e->p->dice;
	struct sl_span spans[8];

	if (dice_chance(d, 0.5)) {
		struct sl_chunk *c = sl_stream_take(e->s, n);
		if (!c)
			return;
		if (bytes_same(e->peer_seed, e->got, c->data, c->len) != c->len)
			e->wrong = true;
		e->got += c->len;
		sl_chunk_free(sl_stream_tcp(e->s), c);
		return;
	}
	unsigned cnt = sl_stream_peek(e->s, 0, spans, 8);
	uint32_t have = 0;
	for (unsigned i = 0; i < cnt; i++) {
		if (bytes_same(e->peer_seed, e->got + have, spans[i].data, spans[i].len) !=
		    spans[i].len)
			e->wrong = true;
		have += spans[i].len;
	}
	n = SL_MIN(n, have);
	e->got += n;
	sl_stream_consume(e->s, n);
}

static void
drink(struct end *e)
{
	struct tcp_dice *d = &e->p->dice;

	while (sl_stream_readable_bytes(e->s) > 0) {
		if (e->slow && dice_chance(d, 0.2)) {
			sl_stream_set_timer(e->s, (uint32_t)dice_range(d, 1, 50));
			return;
		}
		take_some(e, (uint32_t)dice_range(d, 1, 30000));
	}
	if (sl_stream_eof(e->s))
		e->eof = true;
}

static void
end_opened(struct sl_stream *s)
{
	struct end *e = sl_stream_user(s);

	if (e->opened) {
		e->secured = true;
		if (!sl_tls_info(s) || !sl_tls_info(s)->peer || sl_tls_info(s)->peer->uri_len != 5)
			e->wrong = true;
		feed(e);
		return;
	}
	e->opened = true;
	e->s = s;
	if (!sl_tls_client(e->tls, s, 1, 1, 1, "name", 60000))
		e->wrong = true;
}

static void
end_readable(struct sl_stream *s)
{
	drink(sl_stream_user(s));
}

static void
end_writable(struct sl_stream *s)
{
	feed(sl_stream_user(s));
}

static void
end_timer(struct sl_stream *s)
{
	struct end *e = sl_stream_user(s);

	if (!e->secured)
		return;
	drink(e);
	feed(e);
}

static void
end_closed(struct sl_stream *s, enum sl_stream_end why)
{
	struct end *e = sl_stream_user(s);

	e->cut = sl_stream_cut(s);
	e->closed = true;
	e->why = why;
}

static const struct sl_stream_ops end_ops = {end_opened, end_readable, end_writable, end_timer,
					     end_closed};

static void
accepted(void *ctx, struct sl_stream *s)
{
	struct end *e = ctx;

	e->s = s;
	e->opened = true;
	sl_stream_attach(s, &end_ops, e);
	if (!sl_tls_server(e->tls, s, 1, 1, 60000))
		e->wrong = true;
}

struct scene {
	struct tls_pair p;
	struct end client, server;
};

static void
scene_init(struct scene *s, uint64_t seed, const struct link_conf *link, uint64_t up, uint64_t down)
{
	memset(s, 0, sizeof(*s));
	pair_init(&s->p, seed, link);
	s->client = (struct end){.p = &s->p,
				 .tls = s->p.side[0].tls,
				 .seed = seed * 2,
				 .peer_seed = seed * 2 + 1,
				 .total = up};
	s->server = (struct end){.p = &s->p,
				 .tls = s->p.side[1].tls,
				 .seed = seed * 2 + 1,
				 .peer_seed = seed * 2,
				 .total = down,
				 .server = true};
	s->p.accepted = accepted;
	s->p.ctx = &s->server;
	s->client.s = pair_connect(&s->p, &end_ops, &s->client);
}

/* Until both are closed, and for what then still is on its way. */
static void
scene_run(struct scene *s)
{
	uint64_t until = s->p.w.now_ns + LIMIT_NS, rest = 0;

	while (s->p.w.now_ns < until) {
		pair_begin(&s->p, s->p.w.now_ns + (rest ? 100 : 1) * TCP_MS);
		pair_end(&s->p);
		if (rest == 0 && s->client.closed && s->server.closed) {
			rest = s->p.w.now_ns;
			until = rest + 90 * TCP_S;
		}
	}
}

static void
whole_transfers_arrive_by_chance(void)
{
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		struct tcp_dice d = {seed};
		struct link_conf link = {.mtu = 1500, .delay_ns = dice_range(&d, 1, 20) * TCP_MS};
		struct scene s;
		if (dice_chance(&d, 0.5))
			link.loss = 0.03, link.reorder = 0.05, link.dup = 0.02,
			link.reorder_ns = 10 * TCP_MS;
		scene_init(&s, seed, &link, dice_below(&d, 300000), dice_below(&d, 300000));
		s.p.suite = 1 + (unsigned)dice_below(&d, 3);
		s.p.version = dice_chance(&d, 0.3) ? SL_TLS_1_2 : SL_TLS_1_3;
		s.p.lazy = 1 + (unsigned)dice_below(&d, 5);
		s.p.keep = dice_chance(&d, 0.5);
		s.client.slow = dice_chance(&d, 0.3);
		s.server.slow = dice_chance(&d, 0.3);
		s.client.updates = (unsigned)dice_below(&d, 5);
		s.server.updates = (unsigned)dice_below(&d, 5);
		scene_run(&s);
		bool ok = s.client.closed && s.server.closed && !s.client.wrong &&
			  !s.server.wrong && s.client.got == s.server.total &&
			  s.server.got == s.client.total && s.client.why == SL_END_OK &&
			  s.server.why == SL_END_OK && !s.client.cut && !s.server.cut;
		if (!ok)
			printf("seed %lu: client closed %d (%u) wrong %d got %lu of %lu, server "
			       "closed %d (%u) wrong %d got %lu of %lu, cut %d %d\n",
			       seed, s.client.closed, s.client.why, s.client.wrong, s.client.got,
			       s.server.total, s.server.closed, s.server.why, s.server.wrong,
			       s.server.got, s.client.total, s.client.cut, s.server.cut);
		CU_ASSERT(ok);
		const char *why = pair_fini(&s.p);
		if (why)
			printf("seed %lu: %s\n", seed, why);
		CU_ASSERT_PTR_NULL(why);
		if (!ok || why)
			return;
	}
}

static void
a_handshake_that_fails_closes_both(void)
{
	struct link_conf link = {.mtu = 1500, .delay_ns = TCP_MS};
	struct scene s;

	scene_init(&s, 7, &link, 1000, 1000);
	s.p.fails = true;
	scene_run(&s);
	CU_ASSERT(s.client.closed && s.server.closed);
	CU_ASSERT_EQUAL(s.server.why, SL_END_TLS);
	CU_ASSERT_FALSE(s.server.secured);
	CU_ASSERT_EQUAL(s.server.got, 0);
	CU_ASSERT_EQUAL(s.p.side[PAIR_SERVER].tls_stats.count[SL_TLS_CNT_FAIL_NAME], 1);
	CU_ASSERT_PTR_NULL(pair_fini(&s.p));
}

SL_SUITE("sim/tls", SL_TEST(whole_transfers_arrive_by_chance),
	 SL_TEST(a_handshake_that_fails_closes_both))
