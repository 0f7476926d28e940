/* Streams with TLS between two stacks: what is written arrives, whatever the link, the pieces and the moment do. */
#include "tests/suite.h"

#include "tests/sim/tls_pair.h"

#define SEEDS 2000
#define THRONGS 300
#define LIMIT_NS (600 * TCP_S)

/* One end of a connection: writes `total` bytes by chance, reads what comes by chance, says when it has no more. */
struct end {
	struct tls_pair *p;
	struct sl_stream *s;
	struct sl_tls *tls;
	uint64_t seed, peer_seed, total, sent, got;
	bool mute, deaf, plain; /* says nothing, reads nothing, without TLS */
	uint32_t insists;       /* on so much room */
	unsigned told;          /* of room, so often */
	bool fickle;            /* ends it at some moment, or has no room for it */
	bool server, opened, secured, wrong, closed, eof, shut, slow, cut;
	unsigned updates;
	enum sl_stream_end why;
};

static void
feed(struct end *e)
{
	struct tcp_dice *d = &e->p->dice;
	uint8_t bytes[20000];

	if (e->mute)
		return;
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

	while (sl_stream_readable_bytes(e->s) > 0 && !e->deaf) {
		if (e->slow && dice_chance(d, 0.2)) {
			sl_stream_set_timer(e->s, (uint32_t)dice_range(d, 1, 50));
			return;
		}
		take_some(e, (uint32_t)dice_range(d, 1, 30000));
	}
	if (sl_stream_eof(e->s))
		e->eof = true;
}

/* Whether it has just ended it, one way or the other. */
static bool
leaves(struct end *e, double chance)
{
	struct tcp_dice *d = &e->p->dice;

	if (!e->fickle || !dice_chance(d, chance))
		return false;
	e->closed = true;
	if (dice_chance(d, 0.5))
		sl_stream_abort(e->s, SL_END_ABORTED);
	else
		sl_stream_close(e->s);
	return true;
}

/* No room for another handshake. */
static void
refused(struct end *e)
{
	if (e->fickle)
		sl_stream_abort(e->s, SL_END_ABORTED);
	e->wrong = !e->fickle;
	e->closed = e->fickle;
}

static void
end_opened(struct sl_stream *s)
{
	struct end *e = sl_stream_user(s);

	if (e->opened && leaves(e, 0.05))
		return;

	if (e->opened) {
		e->secured = true;
		if (!sl_tls_info(s) || !sl_tls_info(s)->peer || sl_tls_info(s)->peer->uri_len != 5)
			e->wrong = true;
		feed(e);
		return;
	}
	e->opened = true;
	e->s = s;
	sl_stream_set_keepalive(s, 10, 1, 5);
	if (!e->plain && !sl_tls_client(e->tls, s, 1, 1, 1, "name", 60000))
		refused(e);
}

static void
end_readable(struct sl_stream *s)
{
	struct end *e = sl_stream_user(s);

	if (!leaves(e, 0.005))
		drink(e);
}

static void
end_writable(struct sl_stream *s)
{
	struct end *e = sl_stream_user(s);

	if (e->insists && sl_stream_room(s) < e->insists && ++e->told < 1000)
		sl_stream_wait_room(s, e->insists);
	else if (!leaves(e, 0.005))
		feed(e);
}

static void
end_timer(struct sl_stream *s)
{
	struct end *e = sl_stream_user(s);

	if (!e->secured || leaves(e, 0.005))
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
	sl_stream_set_keepalive(s, 10, 1, 5);
	if (!sl_tls_server(e->tls, s, 1, 1, 60000))
		refused(e);
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

/* Both ends open, nothing to be sent. */
static void
scene_open(struct scene *s, uint64_t seed)
{
	struct link_conf link = {.mtu = 1500, .delay_ns = TCP_MS};

	scene_init(s, seed, &link, UINT64_MAX, UINT64_MAX);
	s->client.mute = s->server.mute = true;
	for (unsigned i = 0; i < 1000 && !(s->client.secured && s->server.secured); i++) {
		pair_begin(&s->p, s->p.w.now_ns + TCP_MS);
		pair_end(&s->p);
	}
	CU_ASSERT_FATAL(s->client.secured && s->server.secured);
}

static void
turns(struct scene *s, unsigned n)
{
	while (n-- > 0) {
		pair_begin(&s->p, s->p.w.now_ns + TCP_MS);
		pair_end(&s->p);
	}
}

static void
scene_close(struct scene *s)
{
	if (!s->client.closed)
		sl_stream_abort(s->client.s, SL_END_ABORTED);
	turns(s, 100);
	if (!s->server.closed)
		sl_stream_abort(s->server.s, SL_END_ABORTED);
	turns(s, 3000);
	CU_ASSERT_PTR_NULL(pair_fini(&s->p));
}

static uint64_t
counted(const struct scene *s, unsigned side, unsigned code)
{
	return s->p.side[side].tls_stats.count[code];
}

static void
key_updates_for_ever_end_the_session(void)
{
	struct scene s;

	scene_open(&s, 11);
	for (unsigned i = 0; i < 200 && !s.server.closed; i++) {
		struct session *c = session_of(sl_filter_of(s.client.s));
		if (s.client.closed)
			break;
		c->state_flags |= SF_UPDATE_OWED;
		sl_filter_dirty(&c->filter);
		turns(&s, 1);
	}
	turns(&s, 50);
	CU_ASSERT(s.server.closed);
	CU_ASSERT_EQUAL(s.server.why, SL_END_TLS);
	CU_ASSERT_EQUAL(counted(&s, PAIR_SERVER, SL_TLS_CNT_FLOOD), 1);
	CU_ASSERT(counted(&s, PAIR_SERVER, SL_TLS_CNT_KEY_UPDATE_IN) <= TLS_FLOOD + 1);
	scene_close(&s);
}

static void
key_updates_with_data_between_are_bounded_by_time(void)
{
	struct scene s;

	scene_open(&s, 12);
	for (unsigned i = 0; i < 400 && !s.server.closed && !s.client.closed; i++) {
		struct session *c = session_of(sl_filter_of(s.client.s));
		c->state_flags |= SF_UPDATE_OWED;
		sl_stream_write(s.client.s, "x", 1);
		turns(&s, i < 20 ? 100 : 1); /* ten a second are borne */
		CU_ASSERT(i >= 20 || !s.server.closed);
	}
	turns(&s, 50);
	CU_ASSERT(s.server.closed);
	CU_ASSERT_EQUAL(counted(&s, PAIR_SERVER, SL_TLS_CNT_FLOOD), 1);
	scene_close(&s);
}

static void
what_is_no_record_ends_the_session_with_an_alert(void)
{
	static const struct {
		uint8_t bytes[40];
		uint8_t len;
		unsigned code;
	} rows[] = {
		{{23, 3, 3, 0, 30, 1, 2, 3}, 35, SL_TLS_CNT_BAD_RECORD},
		{{22, 3, 3, 0, 30, 1, 2, 3}, 35, SL_TLS_CNT_BAD_LENGTH},
		{{20, 3, 3, 0, 1, 1}, 6, SL_TLS_CNT_BAD_LENGTH},
		{{23, 3, 3, 0, 3, 1, 2, 3}, 8, SL_TLS_CNT_BAD_LENGTH},
		{{23, 3, 3, 0xff, 0xff, 1, 2, 3}, 8, SL_TLS_CNT_BAD_LENGTH},
		{{'G', 'E', 'T', ' ', '/'}, 5, SL_TLS_CNT_BAD_LENGTH},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene s;
		scene_open(&s, 20 + i);
		sl_raw_write(s.client.s, rows[i].bytes, rows[i].len);
		turns(&s, 100);
		CU_ASSERT(s.server.closed && s.client.closed);
		CU_ASSERT_EQUAL(s.server.why, SL_END_TLS);
		CU_ASSERT_EQUAL(counted(&s, PAIR_SERVER, rows[i].code), 1);
		CU_ASSERT_EQUAL(counted(&s, PAIR_CLIENT, SL_TLS_CNT_ALERT_IN), 1);
		scene_close(&s);
	}
}

static void
an_end_that_was_not_announced_is_a_cut(void)
{
	struct scene s;

	scene_open(&s, 31);
	sl_raw_shutdown(s.client.s);
	turns(&s, 50);
	CU_ASSERT(s.server.eof && !s.server.closed);
	CU_ASSERT(sl_stream_cut(s.server.s));
	CU_ASSERT_EQUAL(counted(&s, PAIR_SERVER, SL_TLS_CNT_CUT), 1);
	scene_close(&s);
}

static void
half_closed_the_other_way_goes_on(void)
{
	struct scene s;

	scene_open(&s, 32);
	sl_stream_shutdown(s.client.s);
	turns(&s, 50);
	CU_ASSERT(s.server.eof && !s.server.closed && !sl_stream_cut(s.server.s));
	CU_ASSERT_EQUAL(sl_stream_write(s.server.s, "late", 4), 4);
	turns(&s, 50);
	CU_ASSERT_EQUAL(s.client.got, 4);
	sl_stream_shutdown(s.server.s);
	turns(&s, 100);
	CU_ASSERT(s.server.closed && s.client.closed);
	CU_ASSERT_EQUAL(s.client.why, SL_END_OK);
	CU_ASSERT_EQUAL(s.server.why, SL_END_OK);
	scene_close(&s);
}

static void
what_nobody_reads_closes_the_window(void)
{
	uint8_t bytes[4096] = {0};
	struct scene s;

	scene_open(&s, 33);
	s.server.deaf = true;
	uint64_t sent = 0;
	for (unsigned i = 0; i < 3000; i++) {
		sent += sl_stream_write(s.client.s, bytes, sizeof(bytes));
		turns(&s, 1);
	}
	CU_ASSERT(sl_stream_readable_bytes(s.server.s) >= TLS_UNREAD_MAX);
	CU_ASSERT(sl_stream_readable_bytes(s.server.s) <= TLS_UNREAD_MAX + SL_RECORD_MAX);
	CU_ASSERT(sent < 2u << 20);
	s.server.deaf = false;
	drink(&s.server);
	turns(&s, 3000);
	CU_ASSERT_EQUAL(s.server.got, sent);
	scene_close(&s);
}

static void
a_peer_that_says_nothing_is_not_waited_for_longer_than_told(void)
{
	struct link_conf link = {.mtu = 1500, .delay_ns = TCP_MS};
	struct scene s;

	scene_init(&s, 34, &link, 0, 0);
	s.client.plain = true;
	turns(&s, 59000);
	CU_ASSERT_FALSE(s.server.closed);
	turns(&s, 1500);
	CU_ASSERT(s.server.closed);
	CU_ASSERT_EQUAL(s.server.why, SL_END_TLS);
	CU_ASSERT_EQUAL(counted(&s, PAIR_SERVER, SL_TLS_CNT_FAIL_TIMEOUT), 1);
	scene_close(&s);
}

/* ---- more than there is room for ---- */

#define CROWD 32 /* as many handshakes as may be under way (tls_pair.c) */

struct crowd {
	struct tls_pair p;
	struct end client[CROWD + 2], server[CROWD + 2];
	unsigned came;
};

static void
one_of_many_accepted(void *ctx, struct sl_stream *s)
{
	struct crowd *c = ctx;
	struct end *e = &c->server[c->came++];

	accepted(e, s);
	if (!e->wrong)
		return;
	e->closed = true;
	sl_stream_abort(s, SL_END_ABORTED);
}

static struct end *
comes(struct crowd *c, unsigned i, bool plain)
{
	struct end both = {.p = &c->p, .total = UINT64_MAX, .mute = true};

	c->server[i] = c->client[i] = both;
	c->server[i].tls = c->p.side[PAIR_SERVER].tls;
	c->client[i].tls = c->p.side[PAIR_CLIENT].tls;
	c->client[i].plain = plain;
	c->client[i].s = pair_connect(&c->p, &end_ops, &c->client[i]);
	return &c->client[i];
}

static void
pass(struct crowd *c, unsigned ms)
{
	while (ms-- > 0) {
		pair_begin(&c->p, c->p.w.now_ns + TCP_MS);
		pair_end(&c->p);
	}
}

/* said: what they say, which is not enough. */
static void
crowd_is_kept_out(unsigned said)
{
	static const uint8_t hello[8];
	struct link_conf link = {.mtu = 1500, .delay_ns = TCP_MS};
	static struct crowd c;

	memset(&c, 0, sizeof(c));
	pair_init(&c.p, 77, &link);
	c.p.accepted = one_of_many_accepted;
	c.p.ctx = &c;
	const struct sl_stats_tls *stats = &c.p.side[PAIR_SERVER].tls_stats;
	for (unsigned i = 0; i < CROWD; i++)
		comes(&c, i, true);
	pass(&c, 100);
	for (unsigned i = 0; i < CROWD && said; i++)
		sl_stream_write(c.client[i].s, hello, said);
	pass(&c, 800);
	CU_ASSERT_EQUAL(stats->handshakes, CROWD);
	/* the others are not slow yet */
	comes(&c, CROWD, false);
	pass(&c, 50);
	CU_ASSERT(c.server[CROWD].wrong && c.client[CROWD].closed);
	CU_ASSERT_EQUAL(stats->count[SL_TLS_CNT_FAIL_OVERLOAD], 1);
	pass(&c, 200);
	struct end *late = comes(&c, CROWD + 1, false);
	pass(&c, 100);
	CU_ASSERT(late->secured && c.server[CROWD + 1].secured);
	CU_ASSERT(c.server[0].closed && c.server[0].why == SL_END_TLS);
	CU_ASSERT_FALSE(c.server[1].closed);
	CU_ASSERT_EQUAL(stats->handshakes, CROWD - 1);
	CU_ASSERT_EQUAL(stats->count[SL_TLS_CNT_FAIL_OVERLOAD], 2);
	for (unsigned i = 0; i < CROWD + 2; i++)
		if (!c.client[i].closed)
			sl_stream_abort(c.client[i].s, SL_END_ABORTED);
	pass(&c, 3000);
	CU_ASSERT_PTR_NULL(pair_fini(&c.p));
}

static void
silent_peers_give_way_to_others_when_there_is_no_room(void)
{
	crowd_is_kept_out(0);
	crowd_is_kept_out(5);
}

static void
small_records_come_first_then_large_ones(void)
{
	uint8_t bytes[8192] = {0};
	struct scene s;

	scene_open(&s, 36);
	uint64_t before = counted(&s, PAIR_CLIENT, SL_TLS_CNT_RECORDS_OUT);
	for (unsigned i = 0; i < 4; i++) {
		sl_stream_write(s.client.s, bytes, sizeof(bytes));
		turns(&s, 20);
	}
	uint64_t first = counted(&s, PAIR_CLIENT, SL_TLS_CNT_RECORDS_OUT) - before;
	CU_ASSERT(first > 16); /* of one segment each */
	before += first;
	for (unsigned i = 0; i < 4; i++) {
		sl_stream_write(s.client.s, bytes, sizeof(bytes));
		turns(&s, 20);
	}
	CU_ASSERT_EQUAL(counted(&s, PAIR_CLIENT, SL_TLS_CNT_RECORDS_OUT) - before, 4);
	scene_close(&s);
}

/* What was sent is there to be read, the connection is over. */
static void
a_session_that_is_over_but_for_its_reader_may_be_let_go_of_at_any_moment(void)
{
	for (unsigned i = 0; i < 2; i++) {
		struct scene s;
		scene_open(&s, 41);
		s.client.deaf = true;
		CU_ASSERT_EQUAL(sl_stream_write(s.server.s, "late", 4), 4);
		sl_stream_shutdown(s.server.s);
		turns(&s, 50);
		sl_stream_shutdown(s.client.s);
		turns(&s, 3000);
		CU_ASSERT_FALSE(s.client.closed);
		CU_ASSERT_EQUAL(sl_stream_readable_bytes(s.client.s), 4);
		pair_begin(&s.p, s.p.w.now_ns + TCP_MS);
		if (i == 0)
			sl_stream_abort(s.client.s, SL_END_ABORTED);
		else
			sl_stream_close(s.client.s);
		s.client.closed = true;
		pair_end(&s.p);
		scene_close(&s);
	}
}

static void
an_end_behind_as_much_as_may_be_unread_is_told_when_it_is_read(void)
{
	uint8_t bytes[4096] = {0};
	struct scene s;

	scene_open(&s, 42);
	s.server.deaf = true;
	for (unsigned i = 0; i < TLS_UNREAD_MAX / sizeof(bytes); i++) {
		CU_ASSERT_EQUAL(sl_stream_write(s.client.s, bytes, sizeof(bytes)), sizeof(bytes));
		turns(&s, 20);
	}
	CU_ASSERT_EQUAL(sl_stream_readable_bytes(s.server.s), TLS_UNREAD_MAX);
	sl_raw_shutdown(s.client.s);
	turns(&s, 50);
	CU_ASSERT_FALSE(s.server.eof);
	s.server.deaf = false;
	drink(&s.server);
	turns(&s, 50);
	CU_ASSERT(s.server.eof && sl_stream_cut(s.server.s));
	scene_close(&s);
}

/* Takes all memory for what is written; returns it. */
static struct sl_chunk *
blocks_take(struct sl_tcp *t)
{
	struct sl_chunk *all = NULL, *c;
	uint32_t room;

	while ((c = sl_chunk_new(t, &room))) {
		sl_chunk_set_next(c, all);
		all = c;
	}
	return all;
}

static void
blocks_give(struct sl_tcp *t, struct sl_chunk *all)
{
	while (all) {
		struct sl_chunk *c = all;
		all = sl_chunk_next(c);
		sl_chunk_free(t, c);
	}
}

static void
who_waits_for_room_too_early_does_not_stop_the_handshake(void)
{
	struct link_conf link = {.mtu = 1500, .delay_ns = TCP_MS};
	struct scene s;

	scene_init(&s, 43, &link, 1000, 1000);
	struct pair_side *side = &s.p.side[PAIR_SERVER];
	s.p.lazy = 1000000;
	for (unsigned i = 0; i < 500 && side->steps.cnt == 0; i++) {
		s.p.lazy = s.p.side[PAIR_CLIENT].steps.cnt ? 1 : 1000000;
		turns(&s, 1);
	}
	CU_ASSERT_FATAL(side->steps.cnt == 1);
	struct sl_chunk *all = blocks_take(side->tcp);
	s.p.lazy = 1;
	turns(&s, 5);
	CU_ASSERT_PTR_NOT_NULL_FATAL(session_of(sl_filter_of(s.server.s))->job);
	sl_stream_wait_room(s.server.s, 100);
	turns(&s, 20);
	blocks_give(side->tcp, all);
	turns(&s, 500);
	CU_ASSERT(s.server.secured && s.client.secured);
	scene_close(&s);
}

/* One record as large as may be, in segments of `each` bytes. */
static void
send_splinters(struct scene *s, uint32_t each)
{
	static uint8_t bytes[SL_RECORD_MAX], wire[SL_RECORD_WIRE_MAX];
	struct session *c = session_of(sl_filter_of(s->client.s));
	struct sl_span in = {bytes, sizeof(bytes)}, out = {wire, sizeof(wire)};
	uint32_t n = SL_RECORD_MAX + sl_record_overhead(&c->write), at = 0;

	bytes_fill(s->client.seed, 0, bytes, sizeof(bytes));
	CU_ASSERT_FATAL(sl_record_seal(s->client.tls->records, &c->write, SL_RECORD_DATA, &in, 1,
				       sizeof(bytes), &out, 1));
	for (unsigned i = 0; i < 200000 && at < n; i++) {
		at += sl_raw_write(s->client.s, wire + at, SL_MIN(each, n - at));
		turns(s, 1);
	}
	turns(s, 1000);
}

static void
a_record_of_splinters_is_opened(void)
{
	static const uint32_t rows[] = {1, 7, 50, 100, 300, 700};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct scene s;
		scene_open(&s, 45);
		send_splinters(&s, rows[i]);
		CU_ASSERT_EQUAL(s.server.got, SL_RECORD_MAX);
		CU_ASSERT(!s.server.closed && !s.server.wrong);
		scene_close(&s);
	}
}

static void
records_of_one_byte_that_nobody_reads_hold_little_memory(void)
{
	struct sl_tcp_usage u;
	uint64_t sent = 0;
	struct scene s;

	scene_open(&s, 46);
	s.server.deaf = true;
	for (unsigned i = 0; i < 9000; i++) {
		sent += sl_stream_write(s.client.s, "", 1);
		turns(&s, 1);
	}
	sl_tcp_usage(s.p.side[PAIR_SERVER].tcp, &u);
	CU_ASSERT(u.segs < 1500 && u.blocks < 1500);
	s.server.deaf = false;
	for (unsigned i = 0; i < 200; i++) {
		drink(&s.server);
		turns(&s, 20);
	}
	CU_ASSERT_EQUAL(s.server.got, sent);
	scene_close(&s);
}

static void
who_insists_on_room_is_told_once_a_turn_at_most(void)
{
	static uint8_t bytes[1 << 18];

	for (uint32_t want = 1; want <= 8192; want = want < 4 ? want + 1 : want * 8) {
		for (uint32_t more = 0; more < 40; more += 3) {
			struct scene s;
			scene_open(&s, 47);
			uint32_t left = want + want / 32 + 55 + more;
			s.client.insists = want;
			pair_begin(&s.p, s.p.w.now_ns + TCP_MS);
			sl_raw_write(s.client.s, bytes, sl_raw_room(s.client.s) - left);
			sl_stream_wait_room(s.client.s, want);
			pair_end(&s.p);
			CU_ASSERT(s.client.told <= 2);
			s.client.insists = 0;
			scene_close(&s);
		}
	}
}

/* Several connections at a time, short of memory and of handshake threads now and then, whose ends leave when they like. */
#define THRONG 6

struct throng {
	struct tls_pair p;
	struct end ends[2 * THRONG]; /* clients, then servers in the order they came */
	unsigned accepted;
	struct sl_chunk *taken[PAIR_SIDES];
};

static void
throng_accepted(void *ctx, struct sl_stream *s)
{
	struct throng *c = ctx;

	CU_ASSERT_FATAL(c->accepted < THRONG);
	accepted(&c->ends[THRONG + c->accepted++], s);
}

static void
throng_init(struct throng *c, uint64_t seed, const struct link_conf *link, struct tcp_dice *d)
{
	memset(c, 0, sizeof(*c));
	pair_init(&c->p, seed, link);
	c->p.accepted = throng_accepted;
	c->p.ctx = c;
	c->p.keep = dice_chance(d, 0.5);
	c->p.version = dice_chance(d, 0.3) ? SL_TLS_1_2 : SL_TLS_1_3;
	c->p.lazy = 1 + (unsigned)dice_below(d, 20);
	for (unsigned i = 0; i < PAIR_SIDES; i++)
		c->p.side[i].tls->conf.handshakes = 1 + (uint32_t)dice_below(d, 8);
	for (unsigned i = 0; i < 2 * THRONG; i++) {
		bool server = i >= THRONG;
		c->ends[i] = (struct end){.p = &c->p,
					  .tls = c->p.side[server].tls,
					  .seed = seed * 2 + server,
					  .peer_seed = seed * 2 + !server,
					  .total = dice_below(d, 300000),
					  .server = server,
					  .slow = dice_chance(d, 0.3),
					  .updates = (unsigned)dice_below(d, 5),
					  .fickle = true};
		if (!server)
			c->ends[i].s = pair_connect(&c->p, &end_ops, &c->ends[i]);
	}
}

/* Memory goes and comes back, threads take nothing for a while, one leaves. */
static void
throng_trouble(struct throng *c)
{
	struct tcp_dice *d = &c->p.dice;
	unsigned i = (unsigned)dice_below(d, PAIR_SIDES);
	struct pair_side *side = &c->p.side[i];
	struct end *e = &c->ends[dice_below(d, 2 * THRONG)];

	if (c->taken[i] ? dice_chance(d, 0.05) : dice_chance(d, 0.003)) {
		struct sl_chunk *all = c->taken[i];
		c->taken[i] = all ? NULL : blocks_take(side->tcp);
		blocks_give(side->tcp, all);
	}
	if (dice_chance(d, 0.05))
		side->steps.limit = (unsigned)dice_below(d, 5);
	if (e->opened && !e->closed)
		leaves(e, 0.001);
}

static bool
throng_gone(const struct throng *c)
{
	for (unsigned i = 0; i < THRONG + c->accepted; i++)
		if (!c->ends[i].closed)
			return false;
	return true;
}

static void
throng_run(struct throng *c)
{
	uint64_t until = c->p.w.now_ns + LIMIT_NS;

	while (c->p.w.now_ns < until && !throng_gone(c)) {
		pair_begin(&c->p, c->p.w.now_ns + 5 * TCP_MS);
		throng_trouble(c);
		pair_end(&c->p);
	}
	for (unsigned i = 0; i < PAIR_SIDES; i++) {
		blocks_give(c->p.side[i].tcp, c->taken[i]);
		c->p.side[i].steps.limit = 4;
	}
	until = c->p.w.now_ns + 200 * TCP_S;
	while (c->p.w.now_ns < until) {
		pair_begin(&c->p, c->p.w.now_ns + 100 * TCP_MS);
		pair_end(&c->p);
	}
}

static void
sessions_end_at_any_moment_and_nothing_is_left(void)
{
	for (uint64_t seed = 1; seed <= THRONGS; seed++) {
		struct tcp_dice d = {seed};
		struct link_conf link = {.mtu = 1500, .delay_ns = dice_range(&d, 1, 20) * TCP_MS};
		struct throng c;
		if (dice_chance(&d, 0.5))
			link.loss = 0.03, link.reorder = 0.05, link.dup = 0.02,
			link.reorder_ns = 10 * TCP_MS;
		throng_init(&c, seed, &link, &d);
		throng_run(&c);
		bool ok = throng_gone(&c);
		for (unsigned i = 0; i < 2 * THRONG; i++)
			ok = ok && !c.ends[i].wrong;
		const char *why = pair_fini(&c.p);
		if (!ok || why)
			printf("seed %lu: all gone %d, %s\n", seed, throng_gone(&c),
			       why ? why : "something was wrong");
		CU_ASSERT(ok && !why);
		if (!ok || why)
			return;
	}
}

SL_SUITE("sim/tls", SL_TEST(whole_transfers_arrive_by_chance),
	 SL_TEST(a_handshake_that_fails_closes_both), SL_TEST(key_updates_for_ever_end_the_session),
	 SL_TEST(key_updates_with_data_between_are_bounded_by_time),
	 SL_TEST(what_is_no_record_ends_the_session_with_an_alert),
	 SL_TEST(an_end_that_was_not_announced_is_a_cut),
	 SL_TEST(half_closed_the_other_way_goes_on), SL_TEST(what_nobody_reads_closes_the_window),
	 SL_TEST(a_peer_that_says_nothing_is_not_waited_for_longer_than_told),
	 SL_TEST(silent_peers_give_way_to_others_when_there_is_no_room),
	 SL_TEST(small_records_come_first_then_large_ones),
	 SL_TEST(a_session_that_is_over_but_for_its_reader_may_be_let_go_of_at_any_moment),
	 SL_TEST(an_end_behind_as_much_as_may_be_unread_is_told_when_it_is_read),
	 SL_TEST(who_waits_for_room_too_early_does_not_stop_the_handshake),
	 SL_TEST(a_record_of_splinters_is_opened),
	 SL_TEST(who_insists_on_room_is_told_once_a_turn_at_most),
	 SL_TEST(records_of_one_byte_that_nobody_reads_hold_little_memory),
	 SL_TEST(sessions_end_at_any_moment_and_nothing_is_left))
