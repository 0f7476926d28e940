/* Bandwidth in the HTTP engine, over fake streams: heads and bodies that wait for tokens, and what may happen meanwhile.  What a word
 * and a queue give: test_shape.c. */
#include "tests/l7/http_scene.h"

enum { BURST = 8192, BODY = 60000, TURN_MS = 5 };

static void
limit(struct scene *s, uint64_t to_endpoints, uint64_t to_clients)
{
	s->bandwidth[0] = (struct sl_img_bandwidth){
		{to_endpoints, to_clients}, {to_endpoints ? BURST : 0, to_clients ? BURST : 0}};
}

static uint32_t
waiters(const struct scene *s, enum sl_way way)
{
	return s->listeners->shape.service[SCENE_A].waiters[way];
}

/* What somebody says, as it is taken, and what somebody else hears of it. */
struct flow {
	struct peer *from, *to;
	const char *bytes;
	uint32_t len, said;
	/* of a bucket that runs out at the rate: bytes × 1000 */
	uint64_t rate, level, most;
	uint32_t heard, ms;
};

static void
flow_turn(struct scene *s, struct flow *f, uint32_t ms)
{
	if (f->from->s && f->said < f->len)
		f->said += fake_peer_sends(f->from->s, f->bytes + f->said, f->len - f->said);
	scene_turn(s, ms);
	uint64_t out = f->rate * ms;
	f->level = (f->level > out ? f->level - out : 0) + (f->to->len - f->heard) * 1000ull;
	f->most = SL_MAX(f->most, f->level);
	f->heard = f->to->len;
	f->ms += ms;
}

static char *
text_of(const char *head, const char *chunk, uint32_t size, const char *end)
{
	char *text = malloc(strlen(head) + 2 * BODY), *at = text + sprintf(text, "%s", head);
	uint32_t n = (uint32_t)strlen(chunk ? chunk : "");

	for (uint32_t done = 0; done < BODY; done += size) {
		if (chunk)
			memcpy(at, chunk, n);
		at += n;
		for (uint32_t i = 0; i < size; i++)
			*at++ = (char)('a' + (done + i) % 23);
		if (chunk)
			at += sprintf(at, "\r\n");
	}
	strcpy(at, end);
	return text;
}

static const struct {
	bool up; /* a request's body */
	const char *head, *chunk;
	uint32_t size;
	const char *end;
} bodies[] = {
	{false, "HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", NULL, BODY, ""},
	{false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "7530\r\n", 30000,
	 "0\r\n\r\n"},
	{false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "a\r\n", 10, "0\r\n\r\n"},
	{false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "3e8\r\n", 1000,
	 "0\r\nx: trailer\r\n\r\n"},
	{true, "PUT /plain HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n", NULL, BODY, ""},
	{true, "PUT /plain HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "7530\r\n",
	 30000, "0\r\n\r\n"},
	{true, "PUT /plain HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "a\r\n", 10,
	 "0\r\n\r\n"},
};

/* Rooms of a few bytes, of a few bites, of more than there is. */
static void
bodies_wait_for_tokens_and_come_whole(void)
{
	static const uint32_t rooms[] = {1024, 5000, SCENE_SND};

	for (unsigned row = 0; row < SL_ARRAY_CNT(bodies) * SL_ARRAY_CNT(rooms); row++) {
		unsigned b = row % SL_ARRAY_CNT(bodies);
		char *text =
			text_of(bodies[b].head, bodies[b].chunk, bodies[b].size, bodies[b].end);
		struct scene s;
		scene_init(&s, &(struct scene_conf){.snd_max = rooms[row / SL_ARRAY_CNT(bodies)]});
		limit(&s, bodies[b].up ? 100000 : 0, bodies[b].up ? 0 : 100000);
		struct peer *c = scene_client(&s);
		struct flow f = {.bytes = text, .len = (uint32_t)strlen(text), .rate = 100000};
		if (bodies[b].up) {
			f.said = fake_peer_sends(c->s, text, (uint32_t)strlen(bodies[b].head));
			for (unsigned i = 0; i < 50 && !scene_up(&s, 0); i++)
				scene_turn(&s, 0);
			f.from = c;
			f.to = scene_up(&s, 0);
		} else {
			peer_says(&s, c, GET("/plain"));
			f.from = scene_up(&s, 0);
			f.to = c;
		}
		while (f.heard < f.len && f.ms < 3000)
			flow_turn(&s, &f, TURN_MS);
		CU_ASSERT_TRUE_FATAL(f.to->len >= f.len);
		uint32_t head = (uint32_t)strlen(bodies[b].head);
		CU_ASSERT_EQUAL(
			memcmp(f.to->got + f.to->len - (f.len - head), text + head, f.len - head),
			0);
		f.to->len = 0;
		uint64_t due = (uint64_t)(f.len - BURST) * 1000 / 100000;
		CU_ASSERT_TRUE(f.ms + TURN_MS >= due && f.ms <= due + due / 20 + 4 * TURN_MS);
		/* lines of chunks are paid when they have gone: a few at most */
		CU_ASSERT_TRUE(f.most <= (BURST + (bodies[b].chunk ? 64u : 0)) * 1000ull);
		if (bodies[b].up)
			scene_answer(&s, c, 0);
		scene_end(&s);
		free(text);
	}
}

/* Takes all the tokens that there are, both ways. */
static void
use_up(struct scene *s)
{
	for (unsigned way = 0; way < SL_WAYS; way++) {
		struct sl_shape_limit l = sl_shape_limit(&s->bandwidth[0], way);
		if (l.rate)
			while (sl_shape_grab(&s->listeners->shape.service[SCENE_A].until_ns[way],
					     &l, http_now(s->http), 1, UINT32_MAX))
				;
	}
}

static void
a_request_that_waits_for_tokens_has_only_its_time_out(void)
{
	struct scene s;

	scene_init(&s, NULL);
	limit(&s, 1024, 0);
	use_up(&s);
	struct peer *slow = scene_client(&s), *idle = scene_client(&s);
	peer_says(&s, slow,
		  "GET /slow?" /* more than there are tokens for in its time */
		  "01234567890123456789012345678901234567890123456789012345678901234567890123"
		  "01234567890123456789012345678901234567890123456789012345678901234567890123"
		  " HTTP/1.1\r\nHost: h\r\nCookie: "
		  "01234567890123456789012345678901234567890123456789012345678901234567890123"
		  "\r\n\r\n");
	peer_says(&s, idle, GET("/idle"));
	CU_ASSERT_EQUAL(waiters(&s, SL_TO_ENDPOINTS), 2);
	use_up(&s);
	for (unsigned i = 0; i < 19; i++) {
		scene_pass(&s, 50);
		use_up(&s);
	}
	HEARS(slow, NULL);
	scene_pass(&s, 60);
	ERROR(slow, 504);
	/* the other's idle time is 300 ms, which a wait for tokens is not */
	CU_ASSERT_EQUAL(waiters(&s, SL_TO_ENDPOINTS), 0);
	HEARS(scene_up(&s, 0), GET("/idle"));
	scene_end(&s);
}

static void
a_body_that_waits_is_not_idle(void)
{
	struct scene s;
	char *text = text_of("HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", NULL, BODY, "");

	scene_init(&s, NULL);
	limit(&s, 0, 1024); /* a bite in 1.4 s */
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/idle"));
	struct flow f = {scene_up(&s, 0), c, text, (uint32_t)strlen(text), .rate = 1024};
	while (f.heard < 12000 && f.ms < 10000)
		flow_turn(&s, &f, 20);
	CU_ASSERT_TRUE(f.heard >= 12000 && f.ms > 3000);
	STATE(c, "open");
	CU_ASSERT_EQUAL(COUNTED(&s, ANSWER_CUT), 0);
	scene_end(&s);
	free(text);
}

/* Two exchanges that wait: for a head or a body, one way. */
static void
two_wait(struct scene *s, bool up, bool head, struct peer *c[2], struct peer *e[2])
{
	limit(s, up ? 65536 : 0, up ? 0 : 65536);
	for (unsigned i = 0; i < 2; i++) {
		if (up && head)
			use_up(s);
		c[i] = scene_client(s);
		peer_says(s, c[i], "PUT /once HTTP/1.1\r\nHost: h\r\nContent-Length: 60\r\n\r\n");
		e[i] = scene_up(s, 0);
		if (!up && !head)
			peer_says(s, e[i], "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
		c[i]->len = e[i]->len = 0;
	}
	use_up(s);
	for (unsigned i = 0; i < 2; i++)
		if (up && !head)
			peer_says(s, c[i], "of a body");
		else if (!up)
			peer_says(s, e[i], head ? OK2 : "of a body");
}

/* Each end goes while a head, or a body, waits, either way; who waits before or behind it goes on. */
static void
whoever_goes_meanwhile_leaves_the_queue(void)
{
	for (unsigned row = 0; row < 16; row++) {
		bool up = row & 1, head = row & 2, client = row & 4, last = row & 8;
		enum sl_way way = up ? SL_TO_ENDPOINTS : SL_TO_CLIENTS;
		struct peer *c[2], *e[2];
		struct scene s;
		scene_init(&s, NULL);
		two_wait(&s, up, head, c, e);
		CU_ASSERT_EQUAL(waiters(&s, way), 2);
		peer_reset(&s, client ? c[last] : e[last]);
		CU_ASSERT_EQUAL(waiters(&s, way), 1);
		scene_pass(&s, 1000);
		CU_ASSERT_EQUAL(waiters(&s, way), 0);
		struct peer *other = up ? e[!last] : c[!last];
		CU_ASSERT_TRUE(other->len >= (head ? 40 : 9));
		scene_end(&s);
	}
}

/* A big answer that waits: what pushes do with it. */
static uint32_t
heard_after_push(struct sl_img_bandwidth before, struct sl_img_bandwidth after, bool gone,
		 uint32_t wait_ms, uint32_t ms)
{
	struct scene s;
	char *text = text_of("HTTP/1.1 200 OK\r\nContent-Length: 99000000\r\n\r\n", NULL, BODY, "");
	scene_init(&s, NULL);
	s.bandwidth[0] = before;
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/plain"));
	struct flow f = {scene_up(&s, 0), c, text, (uint32_t)strlen(text), .rate = 1};
	flow_turn(&s, &f, 0);
	for (uint32_t i = 0; i < 500; i += TURN_MS)
		flow_turn(&s, &f, TURN_MS);
	s.bandwidth[0] = after;
	s.no_service = gone;
	uint32_t heard = 0;
	for (uint32_t i = 0; i < wait_ms + ms; i += TURN_MS) {
		f.said = f.said == f.len ? f.len - BODY : f.said; /* it goes on for ever */
		c->len = f.heard = 0;
		flow_turn(&s, &f, TURN_MS);
		heard += i >= wait_ms ? f.heard : 0;
	}
	scene_end(&s);
	free(text);
	return heard;
}

static void
pushes_hold_for_what_waits(void)
{
	const struct sl_img_bandwidth none = {{0, 0}, {0, 0}}, slow = {{0, 1024}, {0, BURST}},
				      some = {{0, 100000}, {0, BURST}};
	uint32_t n;

	/* removed, and the service with it: who waits goes at the next look */
	CU_ASSERT_TRUE(heard_after_push(slow, none, false, 110, 100) > 500000);
	CU_ASSERT_TRUE(heard_after_push(slow, some, true, 110, 100) > 500000);
	/* raised */
	n = heard_after_push(slow, some, false, 110, 1000);
	CU_ASSERT_TRUE(n >= 95000 && n <= 100000 + BURST);
	/* lowered: a burst at most is there */
	n = heard_after_push(some, slow, false, 0, 2000);
	CU_ASSERT_TRUE(n <= 2 * 1024 + BURST);
	/* one that is new, after a sweep */
	n = heard_after_push(none, some, false, 2500, 1000);
	CU_ASSERT_TRUE(n >= 95000 && n <= 100000 + BURST);
}

/* A head as long as all the room there ever is, behind an answer that is not read yet: it waits for room, then for tokens, has neither
 * for a time, and goes whole. */
static void
a_head_waits_for_room_and_for_tokens(void)
{
	char head[8192] = "HTTP/1.1 200 OK\r\nx: ";

	memset(head + strlen(head), 'x', 8000 - strlen(head));
	strcpy(head + 8000, "\r\nContent-Length: 2\r\n\r\nok");
	for (unsigned row = 0; row < 8; row++) {
		bool unread = row & 1, tokens = row & 2, holds = row & 4;
		struct scene s;
		scene_init(&s, &(struct scene_conf){.snd_max = unread ? 16384 : 8192});
		limit(&s, 0, 65536);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/plain") GET("/plain"));
		c->hold = unread;
		peer_says(&s, scene_up(&s, 0), "HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n");
		peer_says_bytes(&s, scene_up(&s, 0), head, 6000);
		use_up(&s);
		peer_says(&s, scene_up(&s, 0), head);
		CU_ASSERT_EQUAL(waiters(&s, SL_TO_CLIENTS), 1);
		if (tokens)
			scene_pass(&s, 500);
		c->hold = false;
		scene_run(&s);
		c->hold = holds;
		scene_pass(&s, 500);
		c->hold = false;
		scene_pass(&s, 500);
		CU_ASSERT_EQUAL_FATAL(c->len, 41 + 6000 + strlen(head));
		CU_ASSERT_EQUAL(memcmp(c->got + 6041, head, strlen(head)), 0);
		scene_end(&s);
	}
}

static void
tunnels_wait_for_tokens_both_ways(void)
{
	static const char ask[] = "GET /plain HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
				  "Upgrade: x\r\n\r\n";
	struct scene s;
	char *text = text_of("", NULL, BODY, "");

	scene_init(&s, NULL);
	limit(&s, 100000, 50000);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, ask);
	struct peer *e = scene_up(&s, 0);
	peer_says(&s, e,
		  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	c->len = e->len = 0;
	struct flow up = {c, e, text, BODY, .rate = 100000},
		    down = {e, c, text, BODY, .rate = 50000};
	while (up.heard < BODY && up.ms < 3000) {
		flow_turn(&s, &down, 0);
		flow_turn(&s, &up, TURN_MS);
	}
	CU_ASSERT_TRUE(up.ms >= 510 && up.ms <= 560);
	CU_ASSERT_TRUE(c->len >= 25000 && c->len <= 50 * up.ms + BURST);
	while (down.heard < BODY && down.ms < 3000)
		flow_turn(&s, &down, TURN_MS);
	HEARS(e, text);
	HEARS(c, text);
	CU_ASSERT_TRUE(up.most <= BURST * 1000ull);
	peer_fin(&s, c);
	peer_fin(&s, e);
	scene_end(&s);
	free(text);
}

SL_SUITE("http_shape", SL_TEST(bodies_wait_for_tokens_and_come_whole),
	 SL_TEST(a_request_that_waits_for_tokens_has_only_its_time_out),
	 SL_TEST(a_body_that_waits_is_not_idle), SL_TEST(whoever_goes_meanwhile_leaves_the_queue),
	 SL_TEST(pushes_hold_for_what_waits), SL_TEST(a_head_waits_for_room_and_for_tokens),
	 SL_TEST(tunnels_wait_for_tokens_both_ways))
