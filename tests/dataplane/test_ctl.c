/* ctl_server against a fake publisher, over a socket pair (what a peer may say) and over a socket file (who may
 * connect).  Every wrong message must end in BYE with a text, and must not reach the publisher. */
#include "dataplane/ctl_server.h"
#include "dataplane/secret.h"
#include "sluice/secrets.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

struct fake {
	uint32_t sample_ppm, shadow_op; /* of the last offer, of the last SHADOW */
	struct sl_ctl_server *server;
	unsigned offers, objects, drops, explains;
	uint64_t generation;
	uint32_t ref;
	bool got_fd;
	unsigned parks, upgrades;
	uint64_t region;
	int flows;   /* what KEEP carries; 0: none */
	int streams; /* what STREAMS carries; 0: TCP is off */
	int events;  /* what EVENTS carries; 0: there are none */
	int answer;  /* of explain, secret and forget */
	unsigned secrets, forgets, stops, ports;
	uint32_t port; /* that was asked about last */
	uint32_t kind; /* of the last one, */
	char name[SL_NAME_MAX];
	bool right; /* and whether its bytes were as sent */
	void *refs; /* go away with the offer; NULL: none */
	char log[4096];
};

static void
fake_active(void *ctx, uint64_t *ret_generation, struct sl_obj_id *ret_root)
{
	(void)ctx;
	*ret_generation = 41;
	*ret_root = (struct sl_obj_id){.b = {1, 2, 3}};
}

static void
take_fd(struct fake *f, int fd)
{
	f->got_fd = fcntl(fd, F_GETFD) == FD_CLOEXEC;
	close(fd);
}

static void
fake_offer(void *ctx, uint64_t generation, const struct sl_obj_id *root, uint32_t sample_ppm,
	   int fd)
{
	struct fake *f = ctx;

	(void)root;
	f->sample_ppm = sample_ppm;
	f->offers++;
	f->generation = generation;
	take_fd(f, fd);
}

static void
fake_shadow(void *ctx, uint32_t seq, uint32_t op)
{
	struct fake *f = ctx;
	struct sl_ctl_shadow_counts counts = {.running = 1, .example_cnt = 2};
	struct sl_ctl_shadow_example examples[2] = {{.what = SL_SHADOW_FLOWS}};

	f->shadow_op = op;
	sl_ctl_server_shadow(f->server, seq, &counts, examples);
}

static void
fake_object(void *ctx, uint64_t generation, uint32_t ref, int fd)
{
	struct fake *f = ctx;

	f->objects++;
	f->generation = generation;
	f->ref = ref;
	take_fd(f, fd);
}

static void
fake_drop(void *ctx)
{
	struct fake *f = ctx;

	f->drops++;
	if (f->refs)
		munmap(f->refs, 4 * SL_CTL_WANT_MAX * sizeof(uint32_t));
	f->refs = NULL;
}

static int
fake_explain(void *ctx, const struct sl_ctl_explain *ask, const char **ret_why)
{
	struct fake *f = ctx;

	(void)ask;
	f->explains++;
	*ret_why = "no such port";
	return f->answer;
}

static int
fake_explain_http(void *ctx, const struct sl_ctl_explain_http *ask, const uint8_t *text,
		  const char **ret_why)
{
	struct fake *f = ctx;

	f->explains++;
	CU_ASSERT_EQUAL(ask->text_len, 4);
	CU_ASSERT_EQUAL(memcmp(text, "GET ", 4), 0);
	*ret_why = "no such listener";
	return f->answer;
}

static int
fake_flows(void *ctx, uint64_t *ret_bytes, uint64_t *ret_region)
{
	struct fake *f = ctx;

	*ret_bytes = 4096;
	*ret_region = 0xfeed;
	return f->flows ? f->flows : -1;
}

static void
fake_parked(void *ctx, uint64_t bytes, uint64_t region, int fd)
{
	struct fake *f = ctx;

	f->parks++;
	f->region = region;
	CU_ASSERT_EQUAL(bytes, 8192);
	take_fd(f, fd);
}

static void
fake_upgrade(void *ctx, uint32_t seq)
{
	struct fake *f = ctx;

	f->upgrades++;
	CU_ASSERT_EQUAL(seq, 9);
}

#define SECRET_BYTES "0123456789abcdef0123456789abcdef"

static int
fake_secret(void *ctx, uint32_t kind, const char *name, const void *bytes, size_t n,
	    char ret_text[SL_CTL_WHY])
{
	struct fake *f = ctx;

	f->secrets++;
	f->kind = kind;
	strcpy(f->name, name);
	f->right = n == 32 && memcmp(bytes, SECRET_BYTES, 32) == 0 && (uintptr_t)bytes % 4 == 0;
	snprintf(ret_text, SL_CTL_WHY, "the key is not right");
	return f->answer;
}

static int
fake_forget(void *ctx, uint32_t kind, const char *name, char ret_text[SL_CTL_WHY])
{
	struct fake *f = ctx;

	f->forgets++;
	f->kind = kind;
	strcpy(f->name, name);
	snprintf(ret_text, SL_CTL_WHY, "listener \"web\" uses it");
	return f->answer;
}

static void
fake_stop(void *ctx)
{
	((struct fake *)ctx)->stops++;
}

static void
fake_log(void *ctx, const char *line)
{
	struct fake *f = ctx;
	size_t n = strlen(f->log);

	snprintf(f->log + n, sizeof(f->log) - n, "%s\n", line);
}

/* Two messages, as of a device with many statistics. */
static void
fake_ports(void *ctx, uint32_t seq, uint32_t port)
{
	_Alignas(8) uint8_t room[sizeof(struct sl_ctl_port) + sizeof(struct sl_ctl_xstat)] = {0};
	struct sl_ctl_port *m = (void *)room;
	struct fake *f = ctx;

	f->ports++;
	f->port = port;
	*m = (struct sl_ctl_port){.port = 1, .first = 1, .link = SL_LINK_UP, .xstat_cnt = 1};
	strcpy(m->name, "front");
	strcpy(m->xstat[0].name, "rx_good_packets");
	sl_ctl_server_port(f->server, seq, m);
	m->first = 0;
	m->last = 1;
	m->xstat_cnt = 0;
	sl_ctl_server_port(f->server, seq, m);
}

static struct sl_ctl_server_conf
fake_conf(struct fake *f, const char *path)
{
	return (struct sl_ctl_server_conf){
		.path = path,
		.daemon_uid = 0,
		.boot_id = 0x1122334455667788,
		.worker_cnt = 2,
		.port_cnt = 3,
		.state_bytes = 4096,
		.stats_bytes = 8192,
		.streams_bytes = f->streams ? 12288 : 0,
		.streams_fd = f->streams,
		.events_bytes = f->events ? 20480 : 0,
		.events_fd = f->events,
		.state_fd = STDIN_FILENO,
		.stats_fd = STDERR_FILENO,
		.ops = {fake_active, fake_offer, fake_object, fake_drop, fake_explain,
			fake_explain_http, fake_flows, fake_parked, fake_upgrade, fake_secret,
			fake_forget, fake_stop, fake_ports, fake_shadow, fake_log, f},
	};
}

/* One end of a pair on the server, the other returned. */
static int
attach(struct fake *f)
{
	int pair[2];
	struct sl_ctl_server_conf conf = fake_conf(f, NULL);

	if (!f->server && sl_ctl_server_create(&conf, NULL, &f->server))
		abort();
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
	sl_ctl_server_attach(f->server, pair[0]);
	return pair[1];
}

static _Alignas(8) uint8_t answer[SL_CTL_MSG_MAX];

/* The next message of the server, as the type expected, or NULL. */
static void *
expect(int sock, enum sl_ctl_type type)
{
	int fds[2];
	unsigned cnt;
	const char *why;
	long n = sl_ctl_recv(sock, answer, fds, &cnt);

	if (n <= 0 || sl_ctl_check(answer, (size_t)n, cnt, false, &why))
		return NULL;
	while (cnt > 0)
		close(fds[--cnt]);
	return ((struct sl_ctl_head *)answer)->type == type ? answer : NULL;
}

static void
hello(struct fake *f, int sock)
{
	struct sl_ctl_hello m = {.image_version = SL_IMAGE_VERSION, .pid = 1};

	sl_ctl_init(&m.head, SL_CTL_HELLO, sizeof(m), 7);
	if (sl_ctl_send(sock, &m, sizeof(m), NULL, 0))
		abort();
	sl_ctl_server_turn(f->server);
}

static int
memfd(size_t bytes, unsigned seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)bytes) || fcntl(fd, F_ADD_SEALS, seals))
		abort();
	return fd;
}

static int
fd_cnt(void)
{
	int n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

/* ---- what a peer may say ---- */

static void
hello_is_answered_with_segments_and_the_active_generation(void)
{
	struct fake f = {0};
	int sock = attach(&f), fds[2];
	unsigned cnt;

	CU_ASSERT_EQUAL(sl_ctl_server_peer(f.server), 0);
	sl_ctl_server_privileges(f.server, SL_CTL_PRIVILEGES_DROPPED | SL_CTL_PRIVILEGES_FILTER);
	hello(&f, sock);
	CU_ASSERT_EQUAL(sl_ctl_recv(sock, answer, fds, &cnt), sizeof(struct sl_ctl_welcome));
	struct sl_ctl_welcome *w = (void *)answer;
	CU_ASSERT_EQUAL(w->privileges, SL_CTL_PRIVILEGES_DROPPED | SL_CTL_PRIVILEGES_FILTER);
	CU_ASSERT_EQUAL(cnt, 2);
	for (unsigned i = 0; i < cnt; i++)
		close(fds[i]);
	CU_ASSERT_EQUAL(w->head.seq, 7);
	CU_ASSERT_EQUAL(w->generation, 41);
	CU_ASSERT_EQUAL(w->root.b[2], 3);
	CU_ASSERT_EQUAL(w->boot_id, 0x1122334455667788);
	CU_ASSERT_EQUAL(w->worker_cnt, 2);
	CU_ASSERT_EQUAL(w->stats_bytes, 8192);
	CU_ASSERT_NOT_EQUAL(sl_ctl_server_peer(f.server), 0);
	close(sock);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.drops, 1);
	CU_ASSERT_EQUAL(sl_ctl_server_peer(f.server), 0);
	sl_ctl_server_destroy(f.server);
}

static void
offer_and_object_reach_the_publisher_with_their_descriptor(void)
{
	struct fake f = {0};
	int sock = attach(&f), fd = memfd(8, 0);
	struct sl_ctl_offer offer = {.generation = 42};
	struct sl_ctl_object object = {.generation = 42, .ref = 5};

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_init(&offer.head, SL_CTL_OFFER, sizeof(offer), 0);
	sl_ctl_init(&object.head, SL_CTL_OBJECT, sizeof(object), 0);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &offer, sizeof(offer), &fd, 1), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.offers, 1);
	CU_ASSERT_EQUAL(f.generation, 42);
	CU_ASSERT_TRUE(f.got_fd);
	f.got_fd = false;
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &object, sizeof(object), &fd, 1), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.objects, 1);
	CU_ASSERT_EQUAL(f.ref, 5);
	CU_ASSERT_TRUE(f.got_fd);
	close(fd);
	close(sock);
	sl_ctl_server_destroy(f.server);
}

static void
long_want_lists_are_split_and_only_the_last_is_flagged(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	uint32_t refs[2 * SL_CTL_WANT_MAX + 1];

	for (unsigned i = 0; i < SL_ARRAY_CNT(refs); i++)
		refs[i] = i;
	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_server_want(f.server, 9, refs, SL_ARRAY_CNT(refs));
	unsigned next = 0;
	for (unsigned i = 0; i < 3; i++) {
		struct sl_ctl_want *w = expect(sock, SL_CTL_WANT);
		CU_ASSERT_PTR_NOT_NULL_FATAL(w);
		CU_ASSERT_EQUAL(w->generation, 9);
		CU_ASSERT_EQUAL(w->last, i == 2);
		CU_ASSERT_EQUAL(w->cnt, i == 2 ? 1 : SL_CTL_WANT_MAX);
		for (unsigned j = 0; j < w->cnt; j++)
			CU_ASSERT_EQUAL(w->ref[j], next++);
	}
	sl_ctl_server_want(f.server, 9, refs, 0);
	struct sl_ctl_want *w = expect(sock, SL_CTL_WANT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	CU_ASSERT_EQUAL(w->last, 1);
	CU_ASSERT_EQUAL(w->cnt, 0);
	close(sock);
	sl_ctl_server_destroy(f.server);
}

static void
every_reason_arrives_before_the_verdict_though_the_peer_reads_late(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	struct sl_diag diag = {0};
	char text[2000];
	const uint64_t times[3] = {1, 2, 3};

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	for (unsigned i = 0; i < SL_DIAG_MAX + 3; i++)
		sl_diag_add(&diag, NULL, 0, NULL, NULL, "%u\n%s", i, text);
	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_server_reasons(f.server, 9, &diag);
	sl_ctl_server_verdict(f.server, 9, SL_CTL_REFUSED, 1, times);
	struct pollfd p[2];
	CU_ASSERT_EQUAL(sl_ctl_server_poll(f.server, p), 1);
	CU_ASSERT_EQUAL(p[0].events, POLLIN | POLLOUT);
	for (unsigned i = 0; i < SL_DIAG_MAX + 1; i++) {
		struct sl_ctl_reason *r = expect(sock, SL_CTL_REASON);
		if (!r) {
			sl_ctl_server_turn(f.server);
			r = expect(sock, SL_CTL_REASON);
		}
		CU_ASSERT_PTR_NOT_NULL_FATAL(r);
		CU_ASSERT_EQUAL(r->generation, 9);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr((char *)answer + sizeof(struct sl_ctl_reason), "3 more"));
	sl_ctl_server_turn(f.server);
	struct sl_ctl_verdict *v = expect(sock, SL_CTL_VERDICT);
	CU_ASSERT_PTR_NOT_NULL_FATAL(v);
	CU_ASSERT_EQUAL(v->outcome, SL_CTL_REFUSED);
	CU_ASSERT_EQUAL(v->swap_ns, 3);
	sl_ctl_server_poll(f.server, p);
	CU_ASSERT_EQUAL(p[0].events, POLLIN);
	sl_diag_fini(&diag);
	close(sock);
	sl_ctl_server_destroy(f.server);
}

static void
a_peer_that_never_reads_is_closed_not_waited_for(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	static uint32_t refs[SL_CTL_WANT_MAX];

	hello(&f, sock);
	for (unsigned i = 0; i < 4000 && sl_ctl_server_peer(f.server); i++)
		sl_ctl_server_want(f.server, 9, refs, SL_CTL_WANT_MAX);
	CU_ASSERT_EQUAL(sl_ctl_server_peer(f.server), 0);
	CU_ASSERT_EQUAL(f.drops, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.log, "does not read"));
	close(sock);
	sl_ctl_server_destroy(f.server);
}

/* The refs belong to the offer, which ends when the first of the messages finds nobody there. */
static void
a_want_list_ends_with_its_peer(void)
{
	const size_t bytes = 4 * SL_CTL_WANT_MAX * sizeof(uint32_t);
	struct fake f = {0};
	int sock = attach(&f);

	hello(&f, sock);
	f.refs = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CU_ASSERT_FATAL(f.refs != MAP_FAILED);
	close(sock);
	sl_ctl_server_want(f.server, 9, f.refs, 4 * SL_CTL_WANT_MAX);
	CU_ASSERT_EQUAL(f.drops, 1);
	CU_ASSERT_EQUAL(sl_ctl_server_peer(f.server), 0);
	sl_ctl_server_destroy(f.server);
}

static void
explain_is_passed_on_and_answered_by_seq(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	struct sl_ctl_explain m = {.tuple.proto = SL_IPPROTO_TCP, .tcp_flags = 2};
	struct sl_ctl_explained out = {.worker = 1};

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_init(&m.head, SL_CTL_EXPLAIN, sizeof(m), 77);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.explains, 1);
	sl_ctl_server_explained(f.server, 77, &out);
	struct sl_ctl_explained *e = expect(sock, SL_CTL_EXPLAINED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(e->head.seq, 77);
	CU_ASSERT_EQUAL(e->worker, 1);
	f.answer = -EINVAL;
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	struct sl_ctl_reason *r = expect(sock, SL_CTL_REASON);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT_EQUAL(r->head.seq, 77);
	CU_ASSERT_EQUAL(r->generation, 0);
	CU_ASSERT_EQUAL(memcmp(r + 1, "no such port", 12), 0);
	close(sock);
	sl_ctl_server_destroy(f.server);
}

/* The path holds any bytes; the text behind which it stands only what may be printed. */
static void
explain_http_is_passed_on_and_answered_by_seq(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	union {
		struct sl_ctl_explain_http m;
		uint8_t room[sizeof(struct sl_ctl_explain_http) + 4];
	} ask = {.m = {.tuple.proto = SL_IPPROTO_TCP, .text_len = 4}};
	struct sl_ctl_explained_http out = {.worker = 1, .route = 3, .path_len = 3};

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_init(&ask.m.head, SL_CTL_EXPLAIN_HTTP, sizeof(ask.m) + 4, 78);
	memcpy(&ask.m + 1, "GET ", 4);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &ask, sizeof(ask.m) + 4, NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.explains, 1);
	sl_ctl_server_explained_http(f.server, 78, &out, "/a\nb", (const uint8_t *)"/\0\xff");
	struct sl_ctl_explained_http *e = expect(sock, SL_CTL_EXPLAINED_HTTP);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	CU_ASSERT_EQUAL(e->head.seq, 78);
	CU_ASSERT(e->worker == 1 && e->route == 3 && e->text_len == 4 && e->path_len == 3);
	CU_ASSERT_EQUAL(memcmp(e + 1, "/a?b/\0\xff", 7), 0);
	out.path_len = 0;
	sl_ctl_server_explained_http(f.server, 79, &out, "", NULL);
	e = expect(sock, SL_CTL_EXPLAINED_HTTP);
	CU_ASSERT(e && e->head.seq == 79 && e->text_len == 0 && e->path_len == 0);
	/* the longest of both */
	static char text[2 * SL_CTL_TEXT_MAX];
	static uint8_t path[SL_CTL_REQUEST_MAX];
	memset(text, 'x', sizeof(text) - 1);
	out.path_len = sizeof(path);
	sl_ctl_server_explained_http(f.server, 80, &out, text, path);
	e = expect(sock, SL_CTL_EXPLAINED_HTTP);
	CU_ASSERT(e && e->text_len == SL_CTL_TEXT_MAX && e->path_len == SL_CTL_REQUEST_MAX / 2);
	f.answer = -EINVAL;
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &ask, sizeof(ask.m) + 4, NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	struct sl_ctl_reason *r = expect(sock, SL_CTL_REASON);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r);
	CU_ASSERT(r->head.seq == 78 && r->generation == 0);
	CU_ASSERT_EQUAL(memcmp(r + 1, "no such listener", 16), 0);
	close(sock);
	sl_ctl_server_destroy(f.server);
}

/* What the dataplane may not answer, as the daemon judges it. */
static void
an_answer_about_a_request_holds_what_it_says(void)
{
	static const struct {
		uint32_t text_len, path_len, panic;
		size_t more;
		const char *why;
	} rows[] = {
		{2, 3, 0, 5, NULL},
		{0, 0, 0, 0, NULL},
		{2, 3, 0, 4, "a byte missing"},
		{2, 3, 0, 6, "a byte more"},
		{2, SL_CTL_REQUEST_MAX / 2 + 1, 0, 2 + SL_CTL_REQUEST_MAX / 2 + 1, "a long path"},
		{0, UINT32_MAX, 0, 0, "a path behind the message"},
		{UINT32_MAX - 2, 3, 0, 0, "a sum that wraps"},
		{2, 3, 2, 5, "a panic that is neither"},
	};
	const char *why;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		size_t bytes = sizeof(struct sl_ctl_explained_http) + rows[i].more;
		struct sl_ctl_explained_http *m = (void *)answer;
		memset(answer, 'a', sizeof(answer));
		*m = (struct sl_ctl_explained_http){.text_len = rows[i].text_len,
						    .path_len = rows[i].path_len,
						    .level = {2, 1, 10000, rows[i].panic}};
		sl_ctl_init(&m->head, SL_CTL_EXPLAINED_HTTP, bytes, 1);
		int err = sl_ctl_check(m, bytes, 0, false, &why);
		if (err != (rows[i].why ? -EINVAL : 0))
			CU_FAIL(rows[i].why ? rows[i].why : "a good one");
	}
}

/* ---- the flow region ---- */

static void
send_parked(struct fake *f, int sock, int fd)
{
	struct sl_ctl_parked m = {.bytes = 8192, .region = 0xabc};

	sl_ctl_init(&m.head, SL_CTL_PARKED, sizeof(m), 0);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), &fd, 1), 0);
	sl_ctl_server_turn(f->server);
}

static void
send_offer(struct fake *f, int sock, int fd)
{
	struct sl_ctl_offer m = {.generation = 42};

	sl_ctl_init(&m.head, SL_CTL_OFFER, sizeof(m), 0);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), &fd, 1), 0);
	sl_ctl_server_turn(f->server);
}

static void
welcome_says_whether_there_are_flows_and_keep_follows(void)
{
	struct fake f = {0};
	int sock = attach(&f), fds[2];
	unsigned cnt;

	hello(&f, sock);
	struct sl_ctl_welcome *w = expect(sock, SL_CTL_WELCOME);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	CU_ASSERT_EQUAL(w->flows, 0);
	CU_ASSERT_PTR_NULL(expect(sock, SL_CTL_KEEP));
	sl_ctl_server_keep(f.server); /* none: nothing is said */
	CU_ASSERT_PTR_NULL(expect(sock, SL_CTL_KEEP));
	close(sock);
	f.flows = memfd(4096, 0);
	sock = attach(&f);
	hello(&f, sock);
	w = expect(sock, SL_CTL_WELCOME);
	CU_ASSERT_PTR_NOT_NULL_FATAL(w);
	CU_ASSERT_EQUAL(w->flows, 1);
	for (unsigned i = 0; i < 2; i++) { /* behind WELCOME, and again on request */
		CU_ASSERT_EQUAL(sl_ctl_recv(sock, answer, fds, &cnt), sizeof(struct sl_ctl_keep));
		const struct sl_ctl_keep *k = (void *)answer;
		CU_ASSERT_EQUAL_FATAL(cnt, 1);
		CU_ASSERT_EQUAL(k->bytes, 4096);
		CU_ASSERT_EQUAL(k->region, 0xfeed);
		struct stat a, b;
		CU_ASSERT_EQUAL(fstat(fds[0], &a) | fstat(f.flows, &b), 0);
		CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
		close(fds[0]);
		sl_ctl_server_keep(f.server);
	}
	close(sock);
	sl_ctl_server_destroy(f.server);
	close(f.flows);
}

/* Once, behind WELCOME and before KEEP; where TCP is off nothing is said. */
static void
streams_follow_welcome_where_tcp_is_on(void)
{
	struct fake f = {.streams = memfd(12288, 0), .flows = memfd(4096, 0)};
	int sock = attach(&f), fds[2];
	struct stat a, b;
	const char *why;
	unsigned cnt;

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL_FATAL(expect(sock, SL_CTL_WELCOME));
	CU_ASSERT_EQUAL(sl_ctl_recv(sock, answer, fds, &cnt), sizeof(struct sl_ctl_streams));
	const struct sl_ctl_streams *s = (void *)answer;
	CU_ASSERT_EQUAL(s->head.type, SL_CTL_STREAMS);
	CU_ASSERT_EQUAL(s->bytes, 12288);
	CU_ASSERT_EQUAL(sl_ctl_check(s, sizeof(*s), cnt, false, &why), 0);
	CU_ASSERT_EQUAL(sl_ctl_check(s, sizeof(*s), cnt, true, &why), -EINVAL);
	CU_ASSERT_EQUAL(sl_ctl_check(s, sizeof(*s), 0, false, &why), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(cnt, 1);
	CU_ASSERT_EQUAL(fstat(fds[0], &a) | fstat(f.streams, &b), 0);
	CU_ASSERT_EQUAL(a.st_ino, b.st_ino);
	close(fds[0]);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_KEEP));
	close(sock);
	sl_ctl_server_destroy(f.server);
	close(f.streams);
	close(f.flows);
	struct sl_ctl_streams none = {0};
	sl_ctl_init(&none.head, SL_CTL_STREAMS, sizeof(none), 0);
	CU_ASSERT_EQUAL(sl_ctl_check(&none, sizeof(none), 1, false, &why), -EINVAL);
}

/* Behind STREAMS, and for writing, too. */
static void
events_follow_streams_where_there_are_some(void)
{
	struct fake f = {.streams = memfd(12288, 0), .events = memfd(20480, 0)};
	int sock = attach(&f), fds[2];
	const char *why;
	unsigned cnt;

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL_FATAL(expect(sock, SL_CTL_WELCOME));
	CU_ASSERT_PTR_NOT_NULL_FATAL(expect(sock, SL_CTL_STREAMS));
	CU_ASSERT_EQUAL(sl_ctl_recv(sock, answer, fds, &cnt), sizeof(struct sl_ctl_events));
	const struct sl_ctl_events *e = (void *)answer;
	CU_ASSERT_EQUAL(e->head.type, SL_CTL_EVENTS);
	CU_ASSERT_EQUAL(e->bytes, 20480);
	CU_ASSERT_EQUAL(sl_ctl_check(e, sizeof(*e), cnt, false, &why), 0);
	CU_ASSERT_EQUAL(sl_ctl_check(e, sizeof(*e), cnt, true, &why), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(cnt, 1);
	CU_ASSERT_EQUAL(fcntl(fds[0], F_GETFL) & O_ACCMODE, O_RDWR);
	close(fds[0]);
	CU_ASSERT_PTR_NULL(expect(sock, SL_CTL_KEEP));
	close(sock);
	sl_ctl_server_destroy(f.server);
	close(f.streams);
	close(f.events);
	struct sl_ctl_events none = {0};
	sl_ctl_init(&none.head, SL_CTL_EVENTS, sizeof(none), 0);
	CU_ASSERT_EQUAL(sl_ctl_check(&none, sizeof(none), 1, false, &why), -EINVAL);
}

/* The queue keeps a copy: the region may change while the peer does not read. */
static void
a_queued_keep_holds_its_descriptor(void)
{
	struct fake f = {0};
	int before = fd_cnt(), sock = attach(&f), fds[2];
	static uint32_t refs[SL_CTL_WANT_MAX];
	unsigned cnt, keeps = 0;
	struct pollfd p[2];
	long n;

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	do
		sl_ctl_server_want(f.server, 9, refs, SL_CTL_WANT_MAX);
	while (sl_ctl_server_poll(f.server, p) == 1 && !(p[0].events & POLLOUT));
	f.flows = memfd(4096, 0);
	sl_ctl_server_keep(f.server);
	close(f.flows);
	f.flows = 0;
	do {
		while ((n = sl_ctl_recv(sock, answer, fds, &cnt)) > 0)
			for (; cnt > 0; close(fds[--cnt]))
				keeps += ((struct sl_ctl_head *)answer)->type == SL_CTL_KEEP;
		sl_ctl_server_turn(f.server);
		sl_ctl_server_poll(f.server, p);
	} while (p[0].events & POLLOUT || recv(sock, answer, 1, MSG_PEEK) > 0);
	CU_ASSERT_EQUAL(keeps, 1);
	/* one that was never sent is closed with its connection */
	do
		sl_ctl_server_want(f.server, 9, refs, SL_CTL_WANT_MAX);
	while (sl_ctl_server_poll(f.server, p) == 1 && !(p[0].events & POLLOUT));
	f.flows = memfd(4096, 0);
	sl_ctl_server_keep(f.server);
	close(f.flows);
	close(sock);
	sl_ctl_server_destroy(f.server);
	CU_ASSERT_EQUAL(fd_cnt(), before);
}

static void
a_parked_region_is_passed_on_and_answered(void)
{
	struct fake f = {0};
	int sock = attach(&f), fd = memfd(8192, 0);

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	send_parked(&f, sock, fd);
	CU_ASSERT_EQUAL(f.parks, 1);
	CU_ASSERT_EQUAL(f.region, 0xabc);
	CU_ASSERT_TRUE(f.got_fd);
	sl_ctl_server_taken(f.server, SL_CTL_TAKEN_REBUILT, 5, 6, 7, "all\nis well");
	struct sl_ctl_taken *t = expect(sock, SL_CTL_TAKEN);
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_EQUAL(t->how, SL_CTL_TAKEN_REBUILT);
	CU_ASSERT(t->kept == 5 && t->expired == 6 && t->lost == 7);
	CU_ASSERT_EQUAL(memcmp(t + 1, "all?is well", t->text_len), 0);
	close(fd);
	close(sock);
	sl_ctl_server_destroy(f.server);
}

/* Once, and before the first offer; on the next connection again. */
static void
parked_out_of_its_turn_ends_the_connection(void)
{
	struct fake f = {0};
	int fd = memfd(8192, 0), before = fd_cnt();

	for (unsigned offer_first = 0; offer_first < 2; offer_first++) {
		int sock = attach(&f);
		hello(&f, sock);
		CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
		(offer_first ? send_offer : send_parked)(&f, sock, fd);
		CU_ASSERT_NOT_EQUAL(sl_ctl_server_peer(f.server), 0);
		send_parked(&f, sock, fd);
		CU_ASSERT_EQUAL(f.parks, 1);
		CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_BYE));
		CU_ASSERT_EQUAL(sl_ctl_server_peer(f.server), 0);
		close(sock);
	}
	CU_ASSERT_EQUAL(fd_cnt(), before);
	sl_ctl_server_destroy(f.server);
	close(fd);
}

static void
an_upgrade_is_answered_before_the_goodbye(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	struct sl_ctl_upgrade m;

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_init(&m.head, SL_CTL_UPGRADE, sizeof(m), 9);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.upgrades, 1);
	sl_ctl_server_upgraded(f.server, 9, ENOEXEC, "it does not run");
	sl_ctl_server_upgraded(f.server, 9, 0, "");
	sl_ctl_server_goodbye(f.server, "upgrading");
	sl_ctl_server_destroy(f.server);
	struct sl_ctl_upgraded *u = expect(sock, SL_CTL_UPGRADED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(u);
	CU_ASSERT_EQUAL(u->head.seq, 9);
	CU_ASSERT_EQUAL(u->error, ENOEXEC);
	CU_ASSERT_EQUAL(memcmp(u + 1, "it does not run", u->text_len), 0);
	u = expect(sock, SL_CTL_UPGRADED);
	CU_ASSERT(u && u->error == 0 && u->text_len == 1);
	struct sl_ctl_bye *b = expect(sock, SL_CTL_BYE);
	CU_ASSERT(b && memcmp(b + 1, "upgrading", b->text_len) == 0);
	close(sock);
}

static void
stopping_is_told_and_stop_is_taken(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	struct sl_ctl_stop m;

	sl_ctl_server_stopping(f.server, 3000, SL_STOPPING_STOP); /* nobody said HELLO: no answer */
	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_server_stopping(f.server, 3000, SL_STOPPING_UPGRADE);
	struct sl_ctl_stopping *s = expect(sock, SL_CTL_STOPPING);
	CU_ASSERT(s && s->wait_ms == 3000 && s->why == SL_STOPPING_UPGRADE);
	sl_ctl_init(&m.head, SL_CTL_STOP, sizeof(m), 1);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.stops, 1);
	CU_ASSERT_NOT_EQUAL(sl_ctl_server_peer(f.server), 0);
	sl_ctl_server_destroy(f.server);
	close(sock);
}

static void
counts_of_a_trial_come_with_their_examples(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	struct sl_ctl_shadow m = {.op = SL_SHADOW_END};

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_init(&m.head, SL_CTL_SHADOW, sizeof(m), 78);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_EQUAL(f.shadow_op, SL_SHADOW_END);
	const struct sl_ctl_shadow_counts *c = expect(sock, SL_CTL_SHADOW_COUNTS);
	CU_ASSERT(c && c->head.seq == 78 && c->example_cnt == 2);
	for (unsigned i = 0; i < 2; i++) {
		const struct sl_ctl_shadow_example *e = expect(sock, SL_CTL_SHADOW_EXAMPLE);
		CU_ASSERT(e && e->head.seq == 78 && e->what == !i);
	}
	m.op = 3;
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_BYE));
	sl_ctl_server_destroy(f.server);
	close(sock);
}

static void
questions_about_ports_are_answered_port_by_port(void)
{
	struct fake f = {0};
	int sock = attach(&f);
	struct sl_ctl_ports m = {.port = UINT32_MAX};

	hello(&f, sock);
	CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
	sl_ctl_init(&m.head, SL_CTL_PORTS, sizeof(m), 77);
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	m.port = 2; /* the last there is */
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	CU_ASSERT(f.ports == 2 && f.port == 2);
	for (unsigned i = 0; i < 4; i++) {
		const struct sl_ctl_port *p = expect(sock, SL_CTL_PORT);
		CU_ASSERT(p && p->head.seq == 77 && p->last == (i & 1) && p->first == !(i & 1));
	}
	m.port = 3;
	CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
	sl_ctl_server_turn(f.server);
	const struct sl_ctl_reason *r = expect(sock, SL_CTL_REASON);
	CU_ASSERT(r && r->generation == 0 && r->head.seq == 77);
	CU_ASSERT_EQUAL(f.ports, 2);
	sl_ctl_server_destroy(f.server);
	close(sock);
}

/* ---- wrong messages ---- */

struct wrong {
	const char *why; /* part of the BYE */
	size_t bytes;
	unsigned fds;
	bool no_hello;
	union {
		struct sl_ctl_head head;
		struct sl_ctl_hello hello;
		struct sl_ctl_offer offer;
		struct sl_ctl_object object;
		struct sl_ctl_explain explain;
		struct sl_ctl_secret secret;
		struct sl_ctl_forget forget;
		struct sl_ctl_ports ports;
		struct sl_ctl_verdict verdict;
		struct sl_ctl_bye bye;
		struct sl_ctl_parked parked;
		struct sl_ctl_explain_http http;
		uint8_t room[SL_CTL_MSG_MAX + 8];
	} m;
};

#define HEAD(type, size)                                                                           \
	{                                                                                          \
		SL_CTL_MAGIC, SL_CTL_VERSION, type, size, 1                                        \
	}
#define WHOLE(type, name) HEAD(type, sizeof(struct sl_ctl_##name))
#define OFFER WHOLE(SL_CTL_OFFER, offer)
#define OFFER_BYTES sizeof(struct sl_ctl_offer)
#define OBJECT WHOLE(SL_CTL_OBJECT, object)
#define EXPLAIN WHOLE(SL_CTL_EXPLAIN, explain)
#define SECRET WHOLE(SL_CTL_SECRET, secret)
#define FORGET WHOLE(SL_CTL_FORGET, forget)
#define HTTP(more) HEAD(SL_CTL_EXPLAIN_HTTP, sizeof(struct sl_ctl_explain_http) + (more))
#define HTTP_BYTES sizeof(struct sl_ctl_explain_http)
#define TCP                                                                                        \
	{                                                                                          \
		.proto = SL_IPPROTO_TCP                                                            \
	}
#define PARKED WHOLE(SL_CTL_PARKED, parked)

static struct wrong wrongs[] = {
	{"shorter", 1, 0, false, {.head = HEAD(SL_CTL_HELLO, 1)}},
	{"shorter", 15, 0, false, {.head = HEAD(SL_CTL_HELLO, 15)}},
	{"magic", 24, 0, false, {.head = {0x12345678, 1, SL_CTL_HELLO, 24, 0}}},
	{"version",
	 24,
	 0,
	 false,
	 {.head = {SL_CTL_MAGIC, SL_CTL_VERSION + 1, SL_CTL_HELLO, 24, 0}}},
	{"unknown", 16, 0, false, {.head = HEAD(0, 16)}},
	{"unknown", 16, 0, false, {.head = HEAD(30, 16)}},
	{"only the other", 24, 1, false, {.head = HEAD(SL_CTL_STREAMS, 24)}},
	{"only the other", 24, 0, false, {.head = HEAD(SL_CTL_STOPPING, 24)}},
	{"must be 0", 24, 0, false, {.ports = {WHOLE(SL_CTL_PORTS, ports), 0, 1}}},
	{"unknown", 16, 0, false, {.head = HEAD(65535, 16)}},
	{"only the other", 88, 0, false, {.verdict.head = WHOLE(SL_CTL_VERDICT, verdict)}},
	{"size field", 23, 0, false, {.hello.head = WHOLE(SL_CTL_HELLO, hello)}},
	{"length does not", 16, 0, false, {.head = HEAD(SL_CTL_HELLO, 16)}},
	{"length does not", 32, 0, false, {.head = HEAD(SL_CTL_HELLO, 32)}},
	{"too long", SL_CTL_MSG_MAX + 1, 0, false, {.head = HEAD(SL_CTL_BYE, 8193)}},
	{"descriptors", OFFER_BYTES, 0, false, {.offer = {OFFER, 1, {{0}}, 0, 0}}},
	{"descriptors", OFFER_BYTES, 2, false, {.offer = {OFFER, 1, {{0}}, 0, 0}}},
	{"descriptors", 24, 1, false, {.hello = {WHOLE(SL_CTL_HELLO, hello), 1, 1}}},
	{"descriptors", 32, 0, false, {.object = {OBJECT, 1, 0, 0}}},
	{"too many desc", OFFER_BYTES, 3, false, {.offer = {OFFER, 1, {{0}}, 0, 0}}},
	{"generation 0", OFFER_BYTES, 1, false, {.offer = {OFFER, 0, {{0}}, 0, 0}}},
	{"more than all", OFFER_BYTES, 1, false, {.offer = {OFFER, 1, {{0}}, 1000001, 0}}},
	{"more than all", OFFER_BYTES, 1, false, {.offer = {OFFER, 1, {{0}}, 0, 1}}},
	{"generation 0", 32, 1, false, {.object = {OBJECT, 0, 0, 0}}},
	{"must be 0", 32, 1, false, {.object = {OBJECT, 1, 0, 9}}},
	{"protocol", sizeof(struct sl_ctl_explain), 0, false, {.explain.head = EXPLAIN}},
	{"secret's size", sizeof(struct sl_ctl_secret), 1, false, {.secret = {SECRET, 1, 0, "a"}}},
	{"secret's name", sizeof(struct sl_ctl_secret), 1, false, {.secret = {SECRET, 1, 1, "-"}}},
	{"secret's name", sizeof(struct sl_ctl_forget), 0, false, {.forget = {FORGET, 1, 0, "-"}}},
	{"must be 0", sizeof(struct sl_ctl_forget), 0, false, {.forget = {FORGET, 1, 1, "a"}}},
	{"descriptors", sizeof(struct sl_ctl_forget), 1, false, {.forget = {FORGET, 1, 0, "a"}}},
	{"must be HELLO", sizeof(struct sl_ctl_forget), 0, true, {.forget = {FORGET, 1, 0, "a"}}},
	{"text_len", HTTP_BYTES, 0, false, {.http = {HTTP(0), TCP, 0, 0}}},
	{"text_len", HTTP_BYTES + 4, 0, false, {.http = {HTTP(4), TCP, 5, 0}}},
	{"text_len", HTTP_BYTES + 4, 0, false, {.http = {HTTP(4), TCP, UINT32_MAX, 0}}},
	{"text_len",
	 HTTP_BYTES + SL_CTL_REQUEST_MAX + 1,
	 0,
	 false,
	 {.http = {HTTP(SL_CTL_REQUEST_MAX + 1), TCP, SL_CTL_REQUEST_MAX + 1, 0}}},
	{"must be 0", HTTP_BYTES + 4, 0, false, {.http = {HTTP(4), TCP, 4, 2}}},
	{"not TCP", HTTP_BYTES + 4, 0, false, {.http = {HTTP(4), {.proto = 17}, 4, 0}}},
	{"descriptors", HTTP_BYTES + 4, 1, false, {.http = {HTTP(4), TCP, 4, 0}}},
	{"only the other", 24, 1, false, {.head = HEAD(SL_CTL_EVENTS, 24)}},
	{"only the other", 120, 0, false, {.head = HEAD(SL_CTL_EXPLAINED_HTTP, 120)}},
	{"already", 24, 0, false, {.hello = {WHOLE(SL_CTL_HELLO, hello), 1, 1}}},
	{"table format", 24, 0, true, {.hello = {WHOLE(SL_CTL_HELLO, hello), 99, 1}}},
	{"must be HELLO", OFFER_BYTES, 1, true, {.offer = {OFFER, 1, {{0}}, 0, 0}}},
	{"descriptors", 32, 0, false, {.parked = {PARKED, 8192, 1}}},
	{"descriptors", 32, 2, false, {.parked = {PARKED, 8192, 1}}},
	{"0 bytes", 32, 1, false, {.parked = {PARKED, 0, 1}}},
	{"must be HELLO", 32, 1, true, {.parked = {PARKED, 8192, 1}}},
	{"length does not", 24, 1, false, {.head = HEAD(SL_CTL_PARKED, 24)}},
	{"only the other", 32, 1, false, {.head = HEAD(SL_CTL_KEEP, 32)}},
	{"only the other", 48, 0, false, {.head = HEAD(SL_CTL_TAKEN, 48)}},
	{"only the other", 24, 0, false, {.head = HEAD(SL_CTL_UPGRADED, 24)}},
	{"descriptors", 16, 1, false, {.head = HEAD(SL_CTL_UPGRADE, 16)}},
	{"length does not", 24, 0, false, {.head = HEAD(SL_CTL_UPGRADE, 24)}},
	{"must be HELLO", 16, 0, true, {.head = HEAD(SL_CTL_UPGRADE, 16)}},
	{"text_len", 24, 0, false, {.bye = {WHOLE(SL_CTL_BYE, bye), 0, 0}}},
};

/* Sends with any number of descriptors, which sl_ctl_send would refuse. */
static void
send_raw(int sock, const void *msg, size_t bytes, unsigned fds)
{
	_Alignas(8) char room[CMSG_SPACE(3 * sizeof(int))] = {0};
	struct iovec iov = {(void *)(uintptr_t)msg, bytes};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
	const int many[3] = {0, 1, 2};

	if (fds) {
		mh.msg_control = room;
		mh.msg_controllen = CMSG_SPACE(fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		memcpy(CMSG_DATA(c), many, fds * sizeof(int));
	}
	CU_ASSERT_EQUAL(sendmsg(sock, &mh, 0), (ssize_t)bytes);
}

static void
every_wrong_message_is_answered_with_bye_and_leaks_nothing(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(wrongs); i++) {
		struct fake f = {0};
		int before = fd_cnt(), sock = attach(&f);

		if (!wrongs[i].no_hello) {
			hello(&f, sock);
			CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
		}
		send_raw(sock, &wrongs[i].m, wrongs[i].bytes, wrongs[i].fds);
		send_raw(sock, &wrongs[i].m, wrongs[i].bytes,
			 wrongs[i].fds); /* not read any more */
		sl_ctl_server_turn(f.server);
		struct sl_ctl_bye *b = expect(sock, SL_CTL_BYE);
		CU_ASSERT_PTR_NOT_NULL(b);
		if (b && !memmem(b + 1, b->text_len, wrongs[i].why, strlen(wrongs[i].why))) {
			printf("row %u: %.*s\n", i, (int)b->text_len, (char *)(b + 1));
			CU_FAIL("BYE has another text");
		}
		CU_ASSERT_EQUAL(recv(sock, answer, sizeof(answer), 0), 0);
		CU_ASSERT_EQUAL(f.offers + f.objects + f.explains + f.parks + f.upgrades +
					f.secrets + f.forgets,
				0);
		CU_ASSERT_EQUAL(f.drops, wrongs[i].no_hello ? 0 : 1);
		close(sock);
		sl_ctl_server_destroy(f.server);
		CU_ASSERT_EQUAL(fd_cnt(), before);
	}
}

/* ---- secrets ---- */

static void
a_secret_is_handed_on_zeroed_and_answered(void)
{
	static const struct {
		unsigned seals;
		size_t bytes; /* as the message says; the file has 32 */
		uint32_t kind;
		int answer; /* of who takes it */
		uint32_t error;
		const char *text;
		unsigned secrets; /* handed on */
		bool zeroed;
	} rows[] = {
		{F_SEAL_SHRINK | F_SEAL_GROW, 32, SL_SECRET_PAIR, 0, 0, "", 1, true},
		{F_SEAL_SHRINK | F_SEAL_GROW, 32, SL_SECRET_TRUST, 0, 0, "", 1, true},
		{F_SEAL_SHRINK | F_SEAL_GROW, 32, SL_SECRET_TICKETS, 0, 0, "", 1, true},
		{F_SEAL_SHRINK | F_SEAL_GROW, 32, SL_SECRET_PAIR, -EINVAL, EINVAL,
		 "secret \"shop\": the key is not right", 1, true},
		{F_SEAL_SHRINK | F_SEAL_GROW, 32, 4, 0, ENOTSUP, "kind 4 is not known", 0, true},
		{F_SEAL_SHRINK | F_SEAL_GROW, 32, 0, 0, ENOTSUP, "kind 0 is not known", 0, true},
		{0, 32, SL_SECRET_PAIR, 0, EINVAL, "resizing", 0, true},
		{F_SEAL_SHRINK | F_SEAL_GROW, 31, SL_SECRET_PAIR, 0, EINVAL, "as long", 0, true},
		{F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, 32, SL_SECRET_PAIR, 0, EINVAL,
		 "zeroed", 0, false},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct fake f = {.answer = rows[i].answer};
		int sock = attach(&f), fd = memfd(32, 0);
		struct sl_ctl_secret m = {
			.kind = rows[i].kind, .bytes = (uint32_t)rows[i].bytes, .name = "shop"};
		char back[32];

		CU_ASSERT_EQUAL(pwrite(fd, SECRET_BYTES, 32, 0), 32);
		CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, rows[i].seals), 0);
		hello(&f, sock);
		CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
		sl_ctl_init(&m.head, SL_CTL_SECRET, sizeof(m), 5);
		CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), &fd, 1), 0);
		sl_ctl_server_turn(f.server);
		struct sl_ctl_secret_ack *a = expect(sock, SL_CTL_SECRET_ACK);
		CU_ASSERT_PTR_NOT_NULL_FATAL(a);
		CU_ASSERT_EQUAL(a->head.seq, 5);
		CU_ASSERT_EQUAL(a->error, rows[i].error);
		CU_ASSERT_EQUAL(a->text_len == 0, rows[i].error == 0);
		CU_ASSERT_PTR_NOT_NULL(
			memmem(a + 1, a->text_len + 1, rows[i].text, strlen(rows[i].text)));
		CU_ASSERT_EQUAL(f.secrets, rows[i].secrets);
		CU_ASSERT_TRUE(f.secrets == 0 ||
			       (f.right && f.kind == rows[i].kind && strcmp(f.name, "shop") == 0));
		CU_ASSERT_PTR_NULL(strstr(f.log, "0123456789"));
		CU_ASSERT_EQUAL(pread(fd, back, 32, 0), 32);
		CU_ASSERT_EQUAL(memcmp(back, (char[32]){0}, 32) == 0, rows[i].zeroed);
		CU_ASSERT_NOT_EQUAL(sl_ctl_server_peer(f.server), 0);
		close(fd);
		close(sock);
		sl_ctl_server_destroy(f.server);
	}
}

static void
what_is_to_be_forgotten_is_handed_on_and_answered(void)
{
	static const struct {
		uint32_t kind;
		int answer;
		uint32_t error;
		const char *text;
		unsigned forgets;
	} rows[] = {
		{SL_SECRET_PAIR, 0, 0, "", 1},
		{SL_SECRET_TRUST, -EBUSY, EBUSY, "secret \"shop\": listener \"web\" uses it", 1},
		{9, 0, ENOTSUP, "kind 9 is not known", 0},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct fake f = {.answer = rows[i].answer};
		int sock = attach(&f);
		struct sl_ctl_forget m = {.kind = rows[i].kind, .name = "shop"};

		hello(&f, sock);
		CU_ASSERT_PTR_NOT_NULL(expect(sock, SL_CTL_WELCOME));
		sl_ctl_init(&m.head, SL_CTL_FORGET, sizeof(m), 6);
		CU_ASSERT_EQUAL(sl_ctl_send(sock, &m, sizeof(m), NULL, 0), 0);
		sl_ctl_server_turn(f.server);
		struct sl_ctl_secret_ack *a = expect(sock, SL_CTL_SECRET_ACK);
		CU_ASSERT_PTR_NOT_NULL_FATAL(a);
		CU_ASSERT_EQUAL(a->head.seq, 6);
		CU_ASSERT_EQUAL(a->error, rows[i].error);
		CU_ASSERT_PTR_NOT_NULL(
			memmem(a + 1, a->text_len + 1, rows[i].text, strlen(rows[i].text)));
		CU_ASSERT_EQUAL(f.forgets, rows[i].forgets);
		CU_ASSERT_TRUE(f.forgets == 0 ||
			       (f.kind == rows[i].kind && strcmp(f.name, "shop") == 0));
		close(sock);
		sl_ctl_server_destroy(f.server);
	}
}

static void
a_taken_secret_is_in_locked_memory(void)
{
	int fd = memfd(8, 0);
	struct sl_secret s;
	const char *why = NULL;

	CU_ASSERT_EQUAL(pwrite(fd, "password", 8, 0), 8);
	CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	CU_ASSERT_EQUAL_FATAL(sl_secret_take(fd, 8, &s, &why), 0);
	CU_ASSERT_EQUAL(memcmp(s.bytes, "password", 8), 0);
	sl_secret_destroy(&s);
	CU_ASSERT_PTR_NULL(s.bytes);
	close(fd);
}

/* ---- who may connect ---- */

static char dir[] = "/tmp/sluice-test-ctl-XXXXXX";
static char path[64];

static struct sl_ctl_server *
listening(struct fake *f)
{
	struct sl_diag diag = {0};
	struct sl_ctl_server_conf conf;

	if (!path[0]) {
		if (!mkdtemp(dir))
			abort();
		snprintf(path, sizeof(path), "%s/s", dir);
	}
	conf = fake_conf(f, path);
	if (sl_ctl_server_create(&conf, &diag, &f->server))
		abort();
	return f->server;
}

static int
dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, path);
	if (connect(fd, (void *)&addr, sizeof(addr)))
		abort();
	return fd;
}

static void
done(struct fake *f)
{
	sl_ctl_server_destroy(f->server);
	CU_ASSERT_NOT_EQUAL(access(path, F_OK), 0);
	rmdir(dir);
	path[0] = 0;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
}

static void
a_second_daemon_gets_bye_and_the_first_goes_on(void)
{
	struct fake f = {0};

	listening(&f);
	int first = dial();
	hello(&f, first);
	sl_ctl_server_turn(f.server); /* hello() came with the accept */
	CU_ASSERT_PTR_NOT_NULL(expect(first, SL_CTL_WELCOME));
	int second = dial();
	hello(&f, second);
	struct sl_ctl_bye *b = expect(second, SL_CTL_BYE);
	CU_ASSERT_PTR_NOT_NULL_FATAL(b);
	CU_ASSERT_PTR_NOT_NULL(memmem(b + 1, b->text_len, "another sluiced", 15));
	CU_ASSERT_NOT_EQUAL(sl_ctl_server_peer(f.server), 0);
	sl_ctl_server_want(f.server, 1, NULL, 0);
	CU_ASSERT_PTR_NOT_NULL(expect(first, SL_CTL_WANT));
	CU_ASSERT_EQUAL(f.drops, 0);
	close(first);
	int third = dial(); /* before the server noticed that the first is gone */
	hello(&f, third);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_PTR_NOT_NULL(expect(third, SL_CTL_WELCOME));
	CU_ASSERT_EQUAL(f.drops, 1);
	close(second);
	close(third);
	done(&f);
}

static void
a_silent_connection_does_not_lock_others_out(void)
{
	struct fake f = {0};

	listening(&f);
	int silent = dial();
	sl_ctl_server_turn(f.server);
	int daemon = dial();
	hello(&f, daemon);
	sl_ctl_server_turn(f.server);
	CU_ASSERT_PTR_NOT_NULL(expect(silent, SL_CTL_BYE));
	CU_ASSERT_PTR_NOT_NULL(expect(daemon, SL_CTL_WELCOME));
	CU_ASSERT_EQUAL(f.drops, 0);
	close(silent);
	close(daemon);
	done(&f);
}

static void
a_foreign_uid_is_refused(void)
{
	struct fake f = {0};

	if (geteuid() != 0)
		return; /* only root can become another */
	listening(&f);
	chmod(dir, 0755);
	chmod(path, 0666);
	int up[2];
	if (pipe(up))
		abort();
	pid_t pid = fork();
	if (pid == 0) {
		char c = 0;
		if (setuid(65534))
			_exit(9);
		int fd = dial();
		if (write(up[1], "x", 1) != 1)
			_exit(8);
		struct pollfd p = {fd, POLLIN, 0};
		poll(&p, 1, 20000);
		_exit(expect(fd, SL_CTL_BYE) && memmem(answer, sizeof(answer), "uid 65534", 9) &&
				      c == 0
			      ? 0
			      : 7);
	}
	char c;
	int status = -1;
	CU_ASSERT_EQUAL(read(up[0], &c, 1), 1);
	sl_ctl_server_turn(f.server);
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(sl_ctl_server_peer(f.server), 0);
	close(up[0]);
	close(up[1]);
	done(&f);
}

static void
a_live_socket_is_left_alone_and_a_stale_one_replaced(void)
{
	struct fake f = {0}, g = {0};
	struct sl_diag diag = {0};
	struct sl_ctl_server *other = NULL;

	listening(&f);
	struct sl_ctl_server_conf conf = fake_conf(&g, path);
	CU_ASSERT_EQUAL(sl_ctl_server_create(&conf, &diag, &other), -EADDRINUSE);
	CU_ASSERT_EQUAL_FATAL(diag.cnt, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(diag.items[0].text, "running dataplane"));
	sl_diag_fini(&diag);
	/* a dead one: the file stays, nobody listens */
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.dead", path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	CU_ASSERT_EQUAL(bind(fd, (void *)&addr, sizeof(addr)), 0);
	close(fd);
	conf.path = addr.sun_path;
	CU_ASSERT_EQUAL_FATAL(sl_ctl_server_create(&conf, &diag, &other), 0);
	sl_ctl_server_destroy(other);
	/* not a socket */
	fd = open(addr.sun_path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	CU_ASSERT_EQUAL(sl_ctl_server_create(&conf, &diag, &other), -EEXIST);
	CU_ASSERT_EQUAL(diag.cnt, 1);
	sl_diag_fini(&diag);
	unlink(addr.sun_path);
	done(&f);
}

SL_SUITE("ctl", SL_TEST(hello_is_answered_with_segments_and_the_active_generation),
	 SL_TEST(offer_and_object_reach_the_publisher_with_their_descriptor),
	 SL_TEST(long_want_lists_are_split_and_only_the_last_is_flagged),
	 SL_TEST(every_reason_arrives_before_the_verdict_though_the_peer_reads_late),
	 SL_TEST(a_peer_that_never_reads_is_closed_not_waited_for),
	 SL_TEST(a_want_list_ends_with_its_peer), SL_TEST(explain_is_passed_on_and_answered_by_seq),
	 SL_TEST(explain_http_is_passed_on_and_answered_by_seq),
	 SL_TEST(an_answer_about_a_request_holds_what_it_says),
	 SL_TEST(events_follow_streams_where_there_are_some),
	 SL_TEST(welcome_says_whether_there_are_flows_and_keep_follows),
	 SL_TEST(streams_follow_welcome_where_tcp_is_on),
	 SL_TEST(a_queued_keep_holds_its_descriptor),
	 SL_TEST(a_parked_region_is_passed_on_and_answered),
	 SL_TEST(parked_out_of_its_turn_ends_the_connection),
	 SL_TEST(an_upgrade_is_answered_before_the_goodbye),
	 SL_TEST(every_wrong_message_is_answered_with_bye_and_leaks_nothing),
	 SL_TEST(a_secret_is_handed_on_zeroed_and_answered),
	 SL_TEST(what_is_to_be_forgotten_is_handed_on_and_answered),
	 SL_TEST(a_taken_secret_is_in_locked_memory), SL_TEST(stopping_is_told_and_stop_is_taken),
	 SL_TEST(questions_about_ports_are_answered_port_by_port),
	 SL_TEST(counts_of_a_trial_come_with_their_examples),
	 SL_TEST(a_second_daemon_gets_bye_and_the_first_goes_on),
	 SL_TEST(a_silent_connection_does_not_lock_others_out), SL_TEST(a_foreign_uid_is_refused),
	 SL_TEST(a_live_socket_is_left_alone_and_a_stale_one_replaced))
