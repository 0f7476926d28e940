/* The desk where questions about requests wait: they reach the worker that owns the tuple, answers go to who asked, and a
 * place is not used again while a worker may still write into it. */
#include "dataplane/explain.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/socket.h>

struct rig {
	struct sl_explain_desk desk;
	struct sl_rss rss;
	struct sl_ctl_server *server;
	int sock;
};

static void
active(void *ctx, uint64_t *ret_generation, struct sl_obj_id *ret_root)
{
	(void)ctx;
	*ret_generation = 1;
	*ret_root = (struct sl_obj_id){{1}};
}

static int
flows(void *ctx, uint64_t *ret_bytes, uint64_t *ret_region)
{
	(void)ctx, (void)ret_bytes, (void)ret_region;
	return -1;
}

static void
dropped(void *ctx)
{
	(void)ctx;
}

static void
logged(void *ctx, const char *line)
{
	(void)ctx, (void)line;
}

static void
dial(struct rig *r)
{
	struct sl_ctl_hello hello = {.image_version = SL_IMAGE_VERSION};
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
	sl_ctl_server_attach(r->server, pair[0]);
	r->sock = pair[1];
	sl_ctl_init(&hello.head, SL_CTL_HELLO, sizeof(hello), 1);
	if (sl_ctl_send(r->sock, &hello, sizeof(hello), NULL, 0))
		abort();
	sl_ctl_server_turn(r->server);
}

static struct rig *
rig_up(unsigned workers)
{
	struct sl_ctl_server_conf conf = {
		.state_fd = STDIN_FILENO,
		.stats_fd = STDERR_FILENO,
		.ops = {.active = active, .drop = dropped, .flows = flows, .log = logged},
	};
	struct rig *r = aligned_alloc(64, (sizeof(*r) + 63) & ~(size_t)63);
	uint8_t key[SL_RSS_KEY_BYTES];

	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 37 + 11);
	sl_rss_init(&r->rss, key, workers);
	if (sl_ctl_server_create(&conf, NULL, &r->server))
		abort();
	r->desk.rss = &r->rss;
	r->desk.server = r->server;
	r->desk.worker_cnt = workers;
	for (unsigned i = 0; i < workers; i++) {
		size_t to = sl_ring_bytes(64, sizeof(struct sl_msg));
		size_t from = sl_ring_bytes(64, sizeof(struct sl_explained));
		r->desk.to[i] = sl_ring_init(aligned_alloc(64, to), 64, sizeof(struct sl_msg));
		r->desk.from[i] =
			sl_ring_init(aligned_alloc(64, from), 64, sizeof(struct sl_explained));
	}
	dial(r);
	return r;
}

static void
rig_down(struct rig *r)
{
	sl_ctl_server_destroy(r->server);
	close(r->sock);
	for (unsigned i = 0; i < r->desk.worker_cnt; i++) {
		free(r->desk.to[i]);
		free(r->desk.from[i]);
	}
	free(r);
}

static _Alignas(8) uint8_t buf[SL_CTL_MSG_MAX];

/* The next answer of that type, or NULL; others are passed over. */
static void *
expect(struct rig *r, enum sl_ctl_type type)
{
	int fds[2];
	unsigned cnt;
	const char *why;
	long n;

	while ((n = sl_ctl_recv(r->sock, buf, fds, &cnt)) > 0) {
		CU_ASSERT_EQUAL(sl_ctl_check(buf, (size_t)n, cnt, false, &why), 0);
		while (cnt > 0)
			close(fds[--cnt]);
		if (((struct sl_ctl_head *)buf)->type == type)
			return buf;
	}
	return NULL;
}

static int
ask(struct rig *r, uint16_t sport, uint32_t seq, uint64_t now_ns, const char **ret_why)
{
	static const char head[] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
	const uint8_t src[4] = {192, 0, 2, 1}, dst[4] = {203, 0, 113, 10};
	struct sl_ctl_explain_http m = {
		.tuple = {sl_addr_from_v4(src),
			  sl_addr_from_v4(dst),
			  sl_to_be16(sport),
			  sl_to_be16(80),
			  SL_IPPROTO_TCP,
			  {0}},
		.text_len = sizeof(head) - 1,
	};

	sl_ctl_init(&m.head, SL_CTL_EXPLAIN_HTTP, sizeof(m) + m.text_len, seq);
	return sl_explain_ask_http(&r->desk, &m, (const uint8_t *)head, now_ns, ret_why);
}

/* The worker's part; its number, or -1: nobody was asked. */
static int
work(struct rig *r, const char *why)
{
	struct sl_msg m;

	for (unsigned w = 0; w < r->desk.worker_cnt; w++) {
		if (sl_ring_take(r->desk.to[w], &m, 1) != 1)
			continue;
		struct sl_http_question *q = &r->desk.question[m.slot];
		CU_ASSERT_EQUAL(m.type, SL_MSG_EXPLAIN_HTTP);
		CU_ASSERT_EQUAL(atomic_load(&q->state), SL_QUESTION_ASKED);
		CU_ASSERT_EQUAL(q->len, 28);
		CU_ASSERT_EQUAL(memcmp(q->request, "GET /a ", 7), 0);
		q->why = why;
		q->answer.generation = 5;
		q->answer.route = sl_from_be16(q->tuple.sport);
		q->answer.path_len = 2;
		memcpy(q->path, "/a", 2);
		strcpy(q->text, "/b");
		atomic_store_explicit(&q->state, SL_QUESTION_ANSWERED, memory_order_release);
		return (int)w;
	}
	return -1;
}

static void
the_owner_of_the_tuple_answers_and_its_answer_comes_back(void)
{
	struct rig *r = rig_up(3);
	unsigned seen = 0;
	const char *why;

	for (uint16_t port = 1000; port < 1050; port++) {
		CU_ASSERT_EQUAL_FATAL(ask(r, port, port, 0, &why), 0);
		CU_ASSERT_EQUAL(r->desk.open_cnt, 1);
		sl_explain_turn(&r->desk, NULL, 1);
		CU_ASSERT_EQUAL(r->desk.open_cnt, 1);
		int w = work(r, NULL);
		sl_explain_turn(&r->desk, NULL, 2);
		struct sl_ctl_explained_http *e = expect(r, SL_CTL_EXPLAINED_HTTP);
		CU_ASSERT_PTR_NOT_NULL_FATAL(e);
		CU_ASSERT_EQUAL(e->head.seq, port);
		CU_ASSERT_EQUAL(e->worker, (uint32_t)w);
		CU_ASSERT(e->route == port && e->generation == 5);
		CU_ASSERT(e->text_len == 2 && e->path_len == 2 && !memcmp(e + 1, "/b/a", 4));
		CU_ASSERT_EQUAL(r->desk.open_cnt, 0);
		seen |= 1u << w;
	}
	CU_ASSERT_EQUAL(seen, 7);
	rig_down(r);
}

static void
what_the_worker_cannot_answer_is_said_in_its_words(void)
{
	struct rig *r = rig_up(1);
	const char *why;

	CU_ASSERT_EQUAL_FATAL(ask(r, 1, 9, 0, &why), 0);
	CU_ASSERT_EQUAL(work(r, "no listener of mode http has that address"), 0);
	sl_explain_turn(&r->desk, NULL, 2);
	struct sl_ctl_reason *m = expect(r, SL_CTL_REASON);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(m->head.seq == 9 && m->generation == 0);
	CU_ASSERT_EQUAL(memcmp(m + 1, "no listener", 11), 0);
	rig_down(r);
}

static void
a_place_is_not_given_again_before_its_worker_let_go(void)
{
	struct rig *r = rig_up(1);
	const char *why = NULL;

	for (unsigned i = 0; i < SL_EXPLAIN_HTTP_MAX; i++)
		CU_ASSERT_EQUAL(ask(r, 1, i + 1, 0, &why), 0);
	CU_ASSERT_EQUAL(ask(r, 1, 99, 0, &why), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL_FATAL(strstr(why, "too many"));
	sl_explain_turn(&r->desk, NULL, SL_EXPLAIN_WAIT_NS); /* given up, and said once */
	for (unsigned i = 0; i < SL_EXPLAIN_HTTP_MAX; i++) {
		struct sl_ctl_reason *m = expect(r, SL_CTL_REASON);
		CU_ASSERT(m && m->head.seq == i + 1 && memmem(m + 1, m->text_len, "second", 6));
	}
	CU_ASSERT_EQUAL(r->desk.open_cnt, 0);
	sl_explain_turn(&r->desk, NULL, 2 * SL_EXPLAIN_WAIT_NS);
	CU_ASSERT_PTR_NULL(expect(r, SL_CTL_REASON));
	CU_ASSERT_EQUAL(ask(r, 1, 99, 0, &why), -EBUSY);
	CU_ASSERT_EQUAL(work(r, NULL), 0); /* late: nobody hears it */
	sl_explain_turn(&r->desk, NULL, 2 * SL_EXPLAIN_WAIT_NS);
	CU_ASSERT_PTR_NULL(expect(r, SL_CTL_EXPLAINED_HTTP));
	CU_ASSERT_EQUAL(r->desk.open_cnt, 0);
	CU_ASSERT_EQUAL(ask(r, 1, 100, 0, &why), 0);
	CU_ASSERT_EQUAL(r->desk.open_cnt, 1);
	rig_down(r);
}

static void
an_answer_goes_to_nobody_but_who_asked(void)
{
	struct rig *r = rig_up(1);
	const char *why;

	CU_ASSERT_EQUAL_FATAL(ask(r, 1, 9, 0, &why), 0);
	int old = r->sock;
	dial(r);
	close(old);
	CU_ASSERT_EQUAL(work(r, NULL), 0);
	sl_explain_turn(&r->desk, NULL, 2);
	CU_ASSERT_PTR_NULL(expect(r, SL_CTL_EXPLAINED_HTTP));
	CU_ASSERT_EQUAL(r->desk.open_cnt, 0);
	rig_down(r);
}

SL_SUITE("explain", SL_TEST(the_owner_of_the_tuple_answers_and_its_answer_comes_back),
	 SL_TEST(what_the_worker_cannot_answer_is_said_in_its_words),
	 SL_TEST(a_place_is_not_given_again_before_its_worker_let_go),
	 SL_TEST(an_answer_goes_to_nobody_but_who_asked))
