/* health: real probes against real sockets on loopback, in one loop; every wait ends with its event
 * or fails at a deadline. */
#include "mgmt/health.h"
#include "tests/mgmt/server.h"
#include "tests/suite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define DEADLINE_MS 20000
#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/* ---- the bench everything runs on ---- */

struct seen {
	uint32_t slot;
	enum sl_probe_state from, to;
	char reason[SL_PROBE_TEXT_MAX];
};

struct rig {
	uv_loop_t loop;
	uv_timer_t guard;
	bool late;
	struct sl_prober *p;
	struct seen seen[4096];
	unsigned seen_cnt;
};

static struct rig rig;

static void
on_event(void *ctx, const struct sl_probe_event *ev)
{
	struct rig *r = ctx;
	struct seen *s = &r->seen[r->seen_cnt++ % 4096];

	s->slot = ev->slot;
	s->from = ev->from;
	s->to = ev->to;
	snprintf(s->reason, sizeof(s->reason), "%s", ev->reason);
}

static void
on_late(uv_timer_t *t)
{
	(void)t;
	rig.late = true;
}

static void
rig_up(void)
{
	memset(&rig, 0, sizeof(rig));
	CU_ASSERT_FATAL(uv_loop_init(&rig.loop) == 0);
	uv_timer_init(&rig.loop, &rig.guard);
	rig.p = sl_prober_create(&rig.loop, 7, on_event, &rig);
	CU_ASSERT_PTR_NOT_NULL_FATAL(rig.p);
}

static void
rig_down(void)
{
	sl_prober_destroy(rig.p);
	uv_close((uv_handle_t *)&rig.guard, NULL);
	uv_run(&rig.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&rig.loop), 0);
}

/* Runs the loop until cond holds; gives up, and fails, at the deadline. */
#define AWAIT(cond)                                                                                \
	do {                                                                                       \
		rig.late = false;                                                                  \
		uv_update_time(&rig.loop);                                                         \
		uv_timer_start(&rig.guard, on_late, DEADLINE_MS, 0);                               \
		while (!(cond) && !rig.late)                                                       \
			uv_run(&rig.loop, UV_RUN_ONCE);                                            \
		uv_timer_stop(&rig.guard);                                                         \
		CU_ASSERT_FATAL(cond);                                                             \
	} while (0)

static struct sl_health_conf
tcp_conf(uint32_t interval, uint32_t timeout)
{
	return (struct sl_health_conf){.type = SL_HEALTH_TCP,
				       .interval_ms = interval,
				       .timeout_ms = timeout,
				       .rise = 2,
				       .fall = 2};
}

static struct sl_health_conf
http_conf(uint32_t interval, uint32_t timeout)
{
	struct sl_health_conf c = tcp_conf(interval, timeout);

	c.type = SL_HEALTH_HTTP;
	snprintf(c.path, sizeof(c.path), "/healthz?x=1");
	c.expect[0].lo = c.expect[0].hi = 200;
	c.expect_cnt = 1;
	return c;
}

static struct sl_probe_target
target(uint32_t slot, uint16_t port, const struct sl_health_conf *c)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};

	return (struct sl_probe_target){.service = "web",
					.endpoint = "web-1",
					.slot = slot,
					.incarnation = 1,
					.addr = sl_addr_from_v4(loopback),
					.port = port,
					.conf = c};
}

static struct sl_probe_status
status(uint32_t slot)
{
	struct sl_probe_status st = {0};

	CU_ASSERT_EQUAL_FATAL(sl_prober_find(rig.p, slot, 1, &st), 0);
	return st;
}

static unsigned
open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* ---- results ---- */

static void
first_success_makes_healthy(void)
{
	struct server s = {0};
	struct sl_health_conf c = tcp_conf(20, 20);

	c.rise = 100;
	rig_up();
	server_start(&s, &rig.loop, AF_INET);
	struct sl_probe_target t = target(5, s.port, &c);
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	CU_ASSERT_EQUAL(status(5).state, SL_PROBE_CHECKING);
	CU_ASSERT_EQUAL(rig.seen_cnt, 0);
	AWAIT(rig.seen_cnt == 1);
	CU_ASSERT_EQUAL(rig.seen[0].slot, 5);
	CU_ASSERT_EQUAL(rig.seen[0].from, SL_PROBE_CHECKING);
	CU_ASSERT_EQUAL(rig.seen[0].to, SL_PROBE_HEALTHY);
	AWAIT(status(5).probes >= 3);
	CU_ASSERT_EQUAL(rig.seen_cnt, 1);
	CU_ASSERT(status(5).ok_run >= 3);
	CU_ASSERT_STRING_EQUAL(status(5).last_text, "ok, connected");
	server_stop(&s);
	rig_down();
}

static void
refusal_makes_unhealthy_after_fall_failures(void)
{
	int keep;
	uint16_t port = refusing_port(&keep);
	struct sl_health_conf c = tcp_conf(20, 10);
	struct sl_probe_target t = target(0, port, &c);

	c.fall = 3;
	rig_up();
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	AWAIT(rig.seen_cnt == 1);
	CU_ASSERT_EQUAL(rig.seen[0].to, SL_PROBE_UNHEALTHY);
	CU_ASSERT_STRING_EQUAL(rig.seen[0].reason, "connection refused");
	CU_ASSERT_EQUAL(status(0).probes, 3);
	CU_ASSERT_EQUAL(status(0).failures, 3);
	struct sl_prober_stats st;
	sl_prober_stats(rig.p, &st);
	CU_ASSERT_EQUAL(st.unhealthy, 1);
	rig_down();
	close(keep);
}

static void
black_hole_is_probed_again_at_once_until_it_is_out(void)
{
	struct black_hole h;
	struct sl_health_conf c = tcp_conf(3000, 60);

	c.fall = 3;
	black_hole_open(&h);
	struct sl_probe_target t = target(0, h.port, &c);
	rig_up();
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	AWAIT(status(0).probes == 1);
	CU_ASSERT_EQUAL(status(0).state, SL_PROBE_CHECKING);
	uint64_t first_ms = status(0).last_ms;
	AWAIT(rig.seen_cnt == 1);
	CU_ASSERT_EQUAL(rig.seen[0].to, SL_PROBE_UNHEALTHY);
	CU_ASSERT_STRING_EQUAL(rig.seen[0].reason,
			       "no answer to the connection attempt within 60 ms");
	CU_ASSERT_EQUAL(status(0).probes, 3);
	CU_ASSERT(status(0).since_ms - first_ms >= 120);
	CU_ASSERT(status(0).since_ms - first_ms < 3000); /* not two intervals later */
	/* once it is out there is no hurry */
	CU_ASSERT(status(0).next_ms - status(0).since_ms > 1500);
	rig_down();
	black_hole_close(&h);
}

static void
recovery_takes_rise_successes(void)
{
	struct server s = {.answer = "HTTP/1.1 500 Oops\r\n\r\n"};
	struct sl_health_conf c = http_conf(20, 20);

	c.rise = 3;
	rig_up();
	server_start(&s, &rig.loop, AF_INET);
	struct sl_probe_target t = target(0, s.port, &c);
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	AWAIT(rig.seen_cnt == 1);
	CU_ASSERT_EQUAL(rig.seen[0].to, SL_PROBE_UNHEALTHY);
	s.answer = OK_ANSWER;
	s.answer_len = strlen(OK_ANSWER);
	AWAIT(rig.seen_cnt == 2);
	CU_ASSERT_EQUAL(rig.seen[1].from, SL_PROBE_UNHEALTHY);
	CU_ASSERT_EQUAL(rig.seen[1].to, SL_PROBE_HEALTHY);
	CU_ASSERT_EQUAL(status(0).ok_run, 3);
	server_stop(&s);
	rig_down();
}

static void
http_answers_give_their_sentences(void)
{
	static char huge[2 * SL_ANSWER_HEAD_MAX];
	snprintf(huge, sizeof(huge), "HTTP/1.1 200 OK\r\nA: %0*d\r\n\r\n", SL_ANSWER_HEAD_MAX, 0);
	static char large[SL_ANSWER_HEAD_MAX];
	snprintf(large, sizeof(large), "HTTP/1.1 200 OK\r\nA: %0*d\r\n\r\n", 7000, 0);
	struct {
		struct server s;
		enum sl_probe_state want;
		const char *text;
	} rows[] = {
		{{.answer = OK_ANSWER}, SL_PROBE_HEALTHY, "ok, HTTP status 200"},
		{{.answer = large}, SL_PROBE_HEALTHY, "ok, HTTP status 200"},
		{{.answer = "HTTP/1.1 404 No\r\n\r\n"},
		 SL_PROBE_UNHEALTHY,
		 "HTTP status 404, expected 200,301-302"},
		{{.answer = "HTTP/1.0 302 Found\r\n\r\n"}, SL_PROBE_HEALTHY, "ok, HTTP status 302"},
		{{.answer = "garbage\r\n\r\n"}, SL_PROBE_UNHEALTHY, "does not begin with HTTP/1.0"},
		{{.answer = huge}, SL_PROBE_UNHEALTHY, "longer than 8192 bytes"},
		{{.answer = "HTTP/1.1 200 OK\r\n"}, SL_PROBE_UNHEALTHY, "closed in the middle"},
		{{.answer = NULL}, SL_PROBE_UNHEALTHY, "connected, but no answer within 60 ms"},
		{{.answer = OK_ANSWER, .dribble_ms = 20},
		 SL_PROBE_UNHEALTHY,
		 "head did not end within 60 ms"},
		{{.answer = OK_ANSWER, .close_at_once = true},
		 SL_PROBE_UNHEALTHY,
		 "connection reset"},
		{{.answer = OK_ANSWER, .close_at_once = true, .close_early = true},
		 SL_PROBE_UNHEALTHY,
		 "connection"},
	};
	struct sl_probe_target t[SL_ARRAY_CNT(rows)];
	struct sl_health_conf c = http_conf(100, 60);

	c.expect[1].lo = 301;
	c.expect[1].hi = 302;
	c.expect_cnt = 2;
	rig_up();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		server_start(&rows[i].s, &rig.loop, AF_INET);
		t[i] = target(i, rows[i].s.port, &c);
	}
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, SL_ARRAY_CNT(rows), NULL), 0);
	AWAIT(rig.seen_cnt == SL_ARRAY_CNT(rows));
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_probe_status st = status(i);
		if (st.state != rows[i].want || !strstr(st.last_text, rows[i].text)) {
			printf("row %u: %s, \"%s\" (wanted \"%s\")\n", i,
			       sl_probe_state_name(st.state), st.last_text, rows[i].text);
			CU_FAIL("row");
		}
		server_stop(&rows[i].s);
	}
	rig_down();
}

static void
request_is_a_plain_get_with_host_and_close(void)
{
	struct server v4 = {.answer = OK_ANSWER}, v6 = {.answer = OK_ANSWER};
	struct sl_health_conf c4 = http_conf(20, 20), c6 = c4;
	char want[512];

	snprintf(c4.host, sizeof(c4.host), "web.example");
	rig_up();
	server_start(&v4, &rig.loop, AF_INET);
	server_start(&v6, &rig.loop, AF_INET6);
	struct sl_probe_target t[2] = {target(0, v4.port, &c4), target(1, v6.port, &c6)};
	t[1].addr = (struct sl_addr){.b = {[15] = 1}};
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, 2, NULL), 0);
	AWAIT(rig.seen_cnt == 2);
	snprintf(want, sizeof(want),
		 "GET /healthz?x=1 HTTP/1.1\r\nHost: %s\r\nUser-Agent: sluice-health\r\n"
		 "Accept: */*\r\nConnection: close\r\n\r\n",
		 "web.example");
	CU_ASSERT_STRING_EQUAL(v4.request, want);
	snprintf(want, sizeof(want), "\r\nHost: [::1]:%u\r\n", v6.port);
	CU_ASSERT_PTR_NOT_NULL(strstr(v6.request, want));
	server_stop(&v4);
	server_stop(&v6);
	rig_down();
}

static void
method_and_headers_are_in_the_request(void)
{
	struct server get = {.answer = OK_ANSWER}, post = {.answer = OK_ANSWER};
	struct sl_health_conf a = http_conf(20, 20), b = a;

	snprintf(a.headers, sizeof(a.headers), "x-probe: sluice\r\nuser-agent: me/1\r\n");
	a.method = SL_HEALTH_HEAD;
	b.method = SL_HEALTH_POST;
	rig_up();
	server_start(&get, &rig.loop, AF_INET);
	server_start(&post, &rig.loop, AF_INET);
	struct sl_probe_target t[2] = {target(0, get.port, &a), target(1, post.port, &b)};
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, 2, NULL), 0);
	AWAIT(rig.seen_cnt == 2);
	CU_ASSERT(strncmp(get.request, "HEAD /healthz?x=1 HTTP/1.1\r\n", 28) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(get.request, "\r\nx-probe: sluice\r\nuser-agent: me/1\r\n"));
	CU_ASSERT_PTR_NULL(strstr(get.request, "sluice-health"));
	CU_ASSERT_PTR_NOT_NULL(strstr(get.request, "\r\nAccept: */*\r\n"));
	CU_ASSERT(strncmp(post.request, "POST ", 5) == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(post.request, "\r\nContent-Length: 0\r\n"));
	server_stop(&get);
	server_stop(&post);
	rig_down();
}

static void
bodies_are_looked_at(void)
{
	static char endless[1 << 17], slow[2100];
	snprintf(slow, sizeof(slow), "HTTP/1.1 200 OK\r\n\r\n%0*dall green", 2000, 0);
	snprintf(endless, sizeof(endless), "HTTP/1.1 200 OK\r\n\r\n%0*d", SL_HELD_BODY_MAX + 9, 0);
	struct {
		struct server s;
		enum sl_probe_state want;
		const char *text;
	} rows[] = {
		{{.answer = "HTTP/1.1 200 OK\r\n\r\nall green here"},
		 SL_PROBE_HEALTHY,
		 "the body is as expected"},
		{{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall green"},
		 SL_PROBE_HEALTHY,
		 "the body is as expected"},
		{{.answer = "HTTP/1.1 200 OK\r\n\r\nall red"},
		 SL_PROBE_UNHEALTHY,
		 "body does not hold the text (\"all green\")"},
		{{.answer = "HTTP/1.1 500 No\r\n\r\nall green"},
		 SL_PROBE_UNHEALTHY,
		 "HTTP status 500, expected 200"},
		{{.answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nall gre"},
		 SL_PROBE_UNHEALTHY,
		 "in the middle of the answer's body"},
		{{.answer = endless}, SL_PROBE_UNHEALTHY, "does not hold"},
		{{.answer = slow, .dribble_ms = 3}, /* for 6 s: held up, the loop waits longer */
		 SL_PROBE_UNHEALTHY,
		 "should hold did not come within 250 ms"},
	};
	struct sl_probe_target t[SL_ARRAY_CNT(rows)];
	struct sl_health_conf c = http_conf(400, 250);

	snprintf(c.body, sizeof(c.body), "all green");
	rig_up();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		server_start(&rows[i].s, &rig.loop, AF_INET);
		t[i] = target(i, rows[i].s.port, &c);
	}
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, SL_ARRAY_CNT(rows), NULL), 0);
	AWAIT(rig.seen_cnt == SL_ARRAY_CNT(rows));
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_probe_status st = status(i);
		if (st.state != rows[i].want || !strstr(st.last_text, rows[i].text)) {
			printf("row %u: %s, \"%s\" (wanted \"%s\")\n", i,
			       sl_probe_state_name(st.state), st.last_text, rows[i].text);
			CU_FAIL("row");
		}
		server_stop(&rows[i].s);
	}
	rig_down();
}

static void
an_unhealthy_one_is_probed_at_its_own_interval(void)
{
	int keep;
	uint16_t port = refusing_port(&keep);
	struct sl_health_conf c = tcp_conf(20, 10);
	struct sl_probe_target t = target(0, port, &c);

	c.unhealthy_ms = 5000;
	rig_up();
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	AWAIT(rig.seen_cnt == 1);
	CU_ASSERT_EQUAL(rig.seen[0].to, SL_PROBE_UNHEALTHY);
	CU_ASSERT_EQUAL(status(0).probes, 2);
	CU_ASSERT(status(0).next_ms - status(0).last_ms > 4000);
	/* who wants to know now need not wait for it */
	CU_ASSERT_EQUAL(sl_prober_kick(rig.p, 0, 2), -ENOENT);
	CU_ASSERT_EQUAL(sl_prober_kick(rig.p, 0, 1), 0);
	AWAIT(status(0).probes == 3);
	rig_down();
	close(keep);
}

/* ---- by a device ---- */

static const char *
device(void *ctx, const char *port)
{
	CU_ASSERT_STRING_EQUAL(port, "back");
	return *(const char **)ctx;
}

static void
what_leaves_by_a_port_is_probed_by_its_interface_alone(void)
{
	struct server s = {0};
	struct sl_health_conf c = tcp_conf(20, 20);
	const char *name = NULL;
	struct sl_prober_stats st;

	rig_up();
	sl_prober_devices(rig.p, device, &name);
	server_start(&s, &rig.loop, AF_INET);
	struct sl_probe_target t = target(0, s.port, &c);
	t.out = "back";
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	AWAIT((sl_prober_stats(rig.p, &st), st.local_errors >= 3));
	CU_ASSERT_EQUAL(status(0).state, SL_PROBE_CHECKING);
	CU_ASSERT_STRING_EQUAL(status(0).last_text,
			       "not probed: the kernel has no interface of port back");
	name = "sl-none0";
	AWAIT(strstr(status(0).last_text, "the interface sl-none0: No such device") != NULL);
	CU_ASSERT_EQUAL(status(0).failures, 0);
	name = "lo";
	AWAIT(status(0).state == SL_PROBE_HEALTHY);
	name = NULL; /* it stays what it was */
	uint64_t was = st.local_errors;
	AWAIT((sl_prober_stats(rig.p, &st), st.local_errors >= was + 3));
	CU_ASSERT_EQUAL(status(0).state, SL_PROBE_HEALTHY);
	t.out = "";
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	AWAIT(strstr(status(0).last_text, "no address or route") != NULL);
	CU_ASSERT_EQUAL(status(0).state, SL_PROBE_HEALTHY);
	server_stop(&s);
	rig_down();
}

/* ---- agents ---- */

static struct {
	unsigned cnt;
	char last[SL_AGENT_LINE_MAX + 1];
} heard;

static void
on_line(void *ctx, uint32_t slot, uint32_t incarnation, const char *line, size_t len)
{
	(void)ctx;
	CU_ASSERT(slot < 6 && incarnation == 1);
	heard.cnt++;
	snprintf(heard.last, sizeof(heard.last), "%.*s", (int)len, line);
}

/* An agent says its line to whoever connects. */
struct teller {
	int listener;
	uint16_t port;
	const char *line;
	bool keep; /* open */
	uv_poll_t poll;
};

static void
on_caller(uv_poll_t *poll, int status, int events)
{
	struct teller *a = poll->data;
	int fd = accept(a->listener, NULL, NULL);

	(void)status;
	(void)events;
	if (fd < 0)
		return;
	(void)!write(fd, a->line, strlen(a->line));
	if (!a->keep)
		close(fd);
}

static void
teller_up(struct teller *a)
{
	a->port = refusing_port(&a->listener);
	CU_ASSERT_FATAL(listen(a->listener, 16) == 0);
	uv_poll_init(&rig.loop, &a->poll, a->listener);
	a->poll.data = a;
	uv_poll_start(&a->poll, UV_READABLE, on_caller);
}

static void
agents_are_heard_and_bounded(void)
{
	static char endless[2000];
	struct teller agents[] = {
		{.line = "75% up\n", .keep = true}, /* it need not close */
		{.line = "drain"},                  /* nor end its line */
		{.line = "\r\n"},
		{.line = endless},
		{.line = "", .keep = true},
	};
	static const char *const want[] = {"75% up", "drain", "", NULL, NULL};
	static const char *const text[] = {"the agent spoke", "the agent spoke", "the agent spoke",
					   "line is too long",
					   "the agent said nothing within 100 ms"};
	struct sl_health_conf c = tcp_conf(200, 100);

	memset(endless, 'x', sizeof(endless) - 1);
	c.type = SL_HEALTH_AGENT;
	c.fall = 1;
	for (unsigned i = 0; i < SL_ARRAY_CNT(agents); i++) {
		rig_up();
		sl_prober_lines(rig.p, on_line, NULL);
		teller_up(&agents[i]);
		heard.cnt = 0;
		struct sl_probe_target t = target(i, agents[i].port, &c);
		CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
		AWAIT(status(i).probes >= 1);
		CU_ASSERT_EQUAL(heard.cnt, want[i] != NULL);
		if (want[i])
			CU_ASSERT_STRING_EQUAL(heard.last, want[i]);
		if (!strstr(status(i).last_text, text[i])) {
			printf("row %u: %s\n", i, status(i).last_text);
			CU_FAIL("row");
		}
		uv_close((uv_handle_t *)&agents[i].poll, NULL);
		rig_down();
		close(agents[i].listener);
	}
}

/* Of target 0, whose last probe has ended; the start is known to 1 ms. */
static uint64_t
start_to_start(void)
{
	struct sl_probe_status st = status(0);

	return st.next_ms - (st.last_ms - (st.latency_us + 500) / 1000);
}

/* A probe of loopback that seems to have taken longer does not say when it began: its process was held up between its end and the look
 * at the clock. */
#define HELD_UP_US 1500

static void
an_endpoint_in_doubt_is_probed_earlier(void)
{
	int keep;
	uint16_t port = refusing_port(&keep);
	struct sl_health_conf c = tcp_conf(1000, 100);
	struct sl_probe_target t = target(0, port, &c);
	uint64_t in_doubt = 0, decided = 0;

	for (unsigned i = 0; i < 20 && (!in_doubt || !decided); i++) {
		rig_up();
		CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
		AWAIT(status(0).probes == 1);
		if (status(0).latency_us <= HELD_UP_US)
			in_doubt = start_to_start();
		AWAIT(rig.seen_cnt == 1);
		CU_ASSERT_EQUAL(rig.seen[0].to, SL_PROBE_UNHEALTHY);
		if (status(0).latency_us <= HELD_UP_US)
			decided = start_to_start();
		rig_down();
	}
	CU_ASSERT(in_doubt >= 898 && in_doubt <= 902);
	CU_ASSERT(decided >= 998 && decided <= 1002); /* no doubt any more */
	close(keep);
}

/* ---- sets ---- */

static void
set_by_difference_leaves_the_rest_undisturbed(void)
{
	struct server s = {0};
	struct sl_health_conf c = tcp_conf(20, 20), slow = tcp_conf(3000, 100), copy;

	rig_up();
	server_start(&s, &rig.loop, AF_INET);
	struct sl_probe_target t[3] = {target(0, s.port, &c), target(1, s.port, &slow),
				       target(2, s.port, &c)};
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, 3, NULL), 0);
	AWAIT(status(0).probes >= 2 && status(2).probes >= 2 && status(1).probes <= 1);
	struct sl_probe_status before[2] = {status(0), status(1)};
	copy = c; /* equal content, another pointer */
	t[0].conf = &copy;
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, 2, NULL), 0);
	for (unsigned i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(status(i).probes, before[i].probes);
		CU_ASSERT_EQUAL(status(i).ok_run, before[i].ok_run);
		CU_ASSERT_EQUAL(status(i).next_ms, before[i].next_ms);
		CU_ASSERT_EQUAL(status(i).since_ms, before[i].since_ms);
		CU_ASSERT_EQUAL(status(i).state, before[i].state);
	}
	struct sl_probe_status st;
	CU_ASSERT_EQUAL(sl_prober_find(rig.p, 2, 1, &st), -ENOENT);
	uint64_t gone = status(0).probes;
	AWAIT(status(0).probes > gone);
	server_stop(&s);
	rig_down();
}

static void
changed_conf_keeps_the_state_and_new_incarnation_does_not(void)
{
	int keep;
	uint16_t port = refusing_port(&keep);
	struct sl_health_conf c = tcp_conf(20, 10), slow = tcp_conf(60000, 100), none = {0};
	struct sl_probe_target t = target(9, port, &c);
	struct sl_probe_status st;

	rig_up();
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	AWAIT(status(9).state == SL_PROBE_UNHEALTHY);
	uint64_t since = status(9).since_ms;
	t.conf = &slow;
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	CU_ASSERT_EQUAL(status(9).state, SL_PROBE_UNHEALTHY);
	CU_ASSERT_EQUAL(status(9).since_ms, since);
	CU_ASSERT_EQUAL(status(9).fail_run, 0);
	t.incarnation = 2;
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	CU_ASSERT_EQUAL(sl_prober_find(rig.p, 9, 1, &st), -ENOENT);
	CU_ASSERT_EQUAL_FATAL(sl_prober_find(rig.p, 9, 2, &st), 0);
	CU_ASSERT_EQUAL(st.state, SL_PROBE_CHECKING);
	CU_ASSERT_STRING_EQUAL(st.last_text, "");
	t.conf = &none;
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &t, 1, NULL), 0);
	CU_ASSERT_EQUAL(sl_prober_find(rig.p, 9, 2, &st), -ENOENT);
	rig_down();
	close(keep);
}

static void
bad_targets_are_all_named_and_the_old_set_goes_on(void)
{
	struct sl_health_conf c = tcp_conf(1000, 100), late = tcp_conf(100, 200),
			      split = http_conf(100, 50), nothing = http_conf(100, 50);
	struct sl_probe_target good = target(3, 1, &c);
	struct sl_probe_target bad[] = {
		target(1, 80, &c),       target(1, 80, &c),    target(SL_MAX_ENDPOINTS, 80, &c),
		target(4, 0, &c),        target(5, 80, &late), target(6, 80, &split),
		target(7, 80, &nothing), target(8, 80, &c)};
	static const char *const want[] = {"used by two", "out of range",     "no port",
					   "timeout",     "path has a blank", "no status",
					   "no address"};
	struct sl_diag d = {0};

	snprintf(split.path, sizeof(split.path), "/ HTTP/1.1\r\nX: y");
	nothing.expect_cnt = 0;
	bad[7].addr = (struct sl_addr){0};
	rig_up();
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, &good, 1, NULL), 0);
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, bad, SL_ARRAY_CNT(bad), &d), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(d.cnt, SL_ARRAY_CNT(want));
	for (unsigned i = 0; i < d.cnt; i++) {
		CU_ASSERT_PTR_NOT_NULL(strstr(d.items[i].text, want[i]));
		CU_ASSERT_STRING_EQUAL(d.items[i].path, "web/web-1");
	}
	CU_ASSERT_EQUAL(status(3).state, SL_PROBE_CHECKING);
	sl_diag_fini(&d);
	rig_down();
}

/* ---- schedule ---- */

static int
collect(void *ctx, const struct sl_probe_status *st)
{
	uint64_t **next = ctx;

	*(*next)++ = st->next_ms;
	return 0;
}

static void
first_probes_spread_over_the_interval_by_the_seed(void)
{
	enum { CNT = 2000, SPAN = 100000 };
	static struct sl_probe_target t[CNT];
	static uint64_t a[CNT], b[CNT], c[CNT];
	struct sl_health_conf conf = tcp_conf(SPAN, 100);
	unsigned tenth[10] = {0};
	uint64_t *const out[] = {a, b, c};

	rig_up();
	for (unsigned i = 0; i < CNT; i++)
		t[i] = target(i, 1, &conf);
	for (unsigned k = 0; k < 3; k++) {
		struct sl_prober *p = sl_prober_create(&rig.loop, k < 2 ? 42 : 43, NULL, NULL);
		CU_ASSERT_EQUAL(sl_prober_set(p, t, CNT, NULL), 0);
		uint64_t *next = out[k], now = uv_now(&rig.loop);
		sl_prober_show(p, collect, &next);
		for (unsigned i = 0; i < CNT; i++)
			out[k][i] -= now;
		sl_prober_destroy(p);
	}
	for (unsigned i = 0; i < CNT; i++) {
		CU_ASSERT_FATAL(a[i] < SPAN);
		tenth[a[i] * 10 / SPAN]++;
	}
	for (unsigned i = 0; i < 10; i++)
		CU_ASSERT(tenth[i] > 130 && tenth[i] < 270);
	CU_ASSERT_EQUAL(memcmp(a, b, sizeof(a)), 0);
	CU_ASSERT_NOT_EQUAL(memcmp(a, c, sizeof(a)), 0);
	rig_down();
}

static void
jitter_only_shortens_and_stays_in_its_share(void)
{
	enum { CNT = 50, ROUNDS = 4 };
	struct server s = {0};
	struct sl_health_conf c = tcp_conf(80, 40);
	struct sl_probe_target t[CNT];
	uint64_t lo = UINT64_MAX, hi = 0, seen[CNT] = {0};
	unsigned rounds = 0;

	c.jitter_pct = 50;
	rig_up();
	server_start(&s, &rig.loop, AF_INET);
	for (unsigned i = 0; i < CNT; i++)
		t[i] = target(i, s.port, &c);
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, CNT, NULL), 0);
	while (rounds < CNT * ROUNDS) {
		unsigned was = rounds;
		AWAIT(({
			for (unsigned i = 0; i < CNT; i++) {
				struct sl_probe_status st = status(i);
				if (st.open || st.probes == seen[i])
					continue;
				/* nor does its latency say when it began, where the loop was held up */
				if (st.latency_us > HELD_UP_US) {
					seen[i] = st.probes;
					continue;
				}
				/* start to start; the start is known to 1 ms */
				uint64_t period =
					st.next_ms - (st.last_ms - (st.latency_us + 500) / 1000);
				seen[i] = st.probes;
				lo = SL_MIN(lo, period);
				hi = SL_MAX(hi, period);
				rounds++;
			}
			rounds > was;
		}));
	}
	CU_ASSERT(lo >= 38 && hi <= 82);
	CU_ASSERT(lo < 55 && hi > 65);
	server_stop(&s);
	rig_down();
}

/* Somebody else keeps the loop for longer than the timeout, once, while all probes wait for their
 * answer: that is what this test is about. */
static void
hold_up(uv_prepare_t *prepare)
{
	struct sl_prober_stats st;
	struct server *s = prepare->data;

	sl_prober_stats(rig.p, &st);
	if (st.open == 0 || s->accepted < 5)
		return;
	usleep(450000);
	uv_prepare_stop(prepare);
}

static void
held_up_loop_is_not_taken_for_silence(void)
{
	struct server s = {.answer = "HTTP/1.1 200 OK\r\n\r\n", .dribble_ms = 1};
	struct sl_health_conf c = http_conf(400, 300);
	struct sl_probe_target t[20];
	struct sl_prober_stats st;
	uv_prepare_t prepare;

	c.fall = 1;
	rig_up();
	server_start(&s, &rig.loop, AF_INET);
	for (unsigned i = 0; i < 20; i++)
		t[i] = target(i, s.port, &c);
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, 20, NULL), 0);
	uv_prepare_init(&rig.loop, &prepare);
	prepare.data = &s;
	uv_prepare_start(&prepare, hold_up);
	AWAIT((sl_prober_stats(rig.p, &st), st.ok >= 40));
	CU_ASSERT(!uv_is_active((uv_handle_t *)&prepare));
	CU_ASSERT_EQUAL(st.failed, 0);
	uv_close((uv_handle_t *)&prepare, NULL);
	server_stop(&s);
	rig_down();
}

/* ---- many ---- */

static unsigned
probed_at_least(unsigned cnt, uint64_t probes)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cnt; i++)
		n += status(i).probes >= probes;
	return n;
}

static void
five_thousand_probes_a_second_leave_no_descriptor_behind(void)
{
	enum { CNT = 2500 }; /* each twice a second; a fifth silent, a fifth refusing */
	static struct sl_probe_target t[CNT];
	struct server s = {.answer = OK_ANSWER};
	struct sl_health_conf http = http_conf(500, 250), tcp = tcp_conf(500, 250);
	struct black_hole h;
	int keep;
	struct sl_diag d = {0};

	snprintf(http.body, sizeof(http.body), "ok");
	/* twice the targets: the servers are in this process */
	struct rlimit lim = {8192, 8192};
	getrlimit(RLIMIT_NOFILE, &lim);
	lim.rlim_cur = SL_MIN(lim.rlim_max, 8192u);
	setrlimit(RLIMIT_NOFILE, &lim);
	rig_up();
	black_hole_open(&h);
	uint16_t refuses = refusing_port(&keep);
	server_start(&s, &rig.loop, AF_INET);
	unsigned before = open_fds();
	for (unsigned i = 0; i < CNT; i++) {
		uint16_t port = i % 5 == 0 ? h.port : i % 5 == 1 ? refuses : s.port;
		t[i] = target(i, port, i % 2 ? &http : &tcp);
	}
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, t, CNT, &d), 0);
	CU_ASSERT_EQUAL(d.cnt, 0);
	AWAIT(probed_at_least(CNT, 2) == CNT);
	struct sl_prober_stats st;
	sl_prober_stats(rig.p, &st);
	CU_ASSERT_EQUAL(st.targets, CNT);
	CU_ASSERT_EQUAL(st.unhealthy, CNT / 5 * 2);
	CU_ASSERT_EQUAL(st.local_errors, 0);
	CU_ASSERT_EQUAL(sl_prober_set(rig.p, NULL, 0, NULL), 0);
	sl_prober_stats(rig.p, &st);
	CU_ASSERT_EQUAL(st.targets, 0);
	CU_ASSERT_EQUAL(st.unhealthy, 0);
	CU_ASSERT_EQUAL(st.open, 0);
	AWAIT(open_fds() == before); /* the server's ends close when they see the reset */
	server_stop(&s);
	rig_down();
	black_hole_close(&h);
	close(keep);
}

/* ---- limits: each in a child without privileges, because limits do not come back ---- */

static int
in_child(int (*body)(void))
{
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		_exit(body());
	int st = 0;
	waitpid(pid, &st, 0);
	return WIFEXITED(st) ? WEXITSTATUS(st) : 100;
}

static bool
child_until(unsigned ms, bool (*done)(void))
{
	rig.late = false;
	uv_timer_start(&rig.guard, on_late, ms, 0);
	while (!done() && !rig.late)
		uv_run(&rig.loop, UV_RUN_ONCE);
	return done();
}

static bool
all_unhealthy(void)
{
	struct sl_prober_stats st;
	sl_prober_stats(rig.p, &st);
	return st.unhealthy == 40;
}

static int
forty_holes_with_room_for_few(void)
{
	struct sl_health_conf c = tcp_conf(50, 25);
	struct sl_probe_target t[40];
	struct sl_diag d = {0};
	struct sl_prober_stats st;
	struct black_hole h;

	uv_loop_init(&rig.loop);
	uv_timer_init(&rig.loop, &rig.guard);
	rig.p = sl_prober_create(&rig.loop, 1, NULL, NULL);
	black_hole_open(&h);
	/* the reserve of health.c is 128, and reading /proc/self/fd takes one */
	struct rlimit lim = {open_fds() + 128 + 6, open_fds() + 128 + 6};
	if (setrlimit(RLIMIT_NOFILE, &lim) || (getuid() == 0 && setuid(65534)))
		return 1;
	for (unsigned i = 0; i < 40; i++)
		t[i] = target(i, h.port, &c);
	if (sl_prober_set(rig.p, t, 40, &d) || d.cnt != 1)
		return 2;
	if (!strstr(d.items[0].text, "40 endpoints are probed") ||
	    !strstr(d.items[0].hint, "LimitNOFILE"))
		return 3;
	sl_prober_stats(rig.p, &st);
	if (st.open_max < 1 || st.open_max > 10)
		return 4;
	if (!child_until(DEADLINE_MS, all_unhealthy))
		return 5;
	sl_prober_stats(rig.p, &st);
	return st.local_errors ? 6 : 0; /* descriptors were never overdrawn */
}

static void
too_low_descriptor_limit_is_said_and_probes_take_turns(void)
{
	CU_ASSERT_EQUAL(in_child(forty_holes_with_room_for_few), 0);
}

static bool
some_local_errors(void)
{
	struct sl_prober_stats st;
	sl_prober_stats(rig.p, &st);
	return st.local_errors >= 4;
}

static bool
is_healthy(void)
{
	return status(0).state == SL_PROBE_HEALTHY;
}

static int
no_descriptor_left(void)
{
	struct server s = {0};
	struct sl_health_conf c = tcp_conf(20, 10);
	static int fd[1024];
	unsigned n = 0;

	c.fall = 1;
	uv_loop_init(&rig.loop);
	uv_timer_init(&rig.loop, &rig.guard);
	rig.p = sl_prober_create(&rig.loop, 1, NULL, NULL);
	server_start(&s, &rig.loop, AF_INET);
	struct rlimit lim = {512, 512};
	setrlimit(RLIMIT_NOFILE, &lim);
	struct sl_probe_target t = target(0, s.port, &c);
	if (sl_prober_set(rig.p, &t, 1, NULL))
		return 1;
	while (n < 1024 && (fd[n] = dup(0)) >= 0)
		n++;
	if (errno != EMFILE || !child_until(DEADLINE_MS, some_local_errors))
		return 2;
	if (status(0).state != SL_PROBE_CHECKING || status(0).failures)
		return 3;
	if (strcmp(status(0).last_text, "not probed: no file descriptor left"))
		return 4;
	while (n)
		close(fd[--n]);
	return child_until(DEADLINE_MS, is_healthy) ? 0 : 5;
}

static void
errors_of_this_side_are_not_held_against_the_endpoint(void)
{
	CU_ASSERT_EQUAL(in_child(no_descriptor_left), 0);
}

SL_SUITE("health", SL_TEST(first_success_makes_healthy),
	 SL_TEST(refusal_makes_unhealthy_after_fall_failures),
	 SL_TEST(black_hole_is_probed_again_at_once_until_it_is_out),
	 SL_TEST(recovery_takes_rise_successes), SL_TEST(http_answers_give_their_sentences),
	 SL_TEST(request_is_a_plain_get_with_host_and_close),
	 SL_TEST(method_and_headers_are_in_the_request), SL_TEST(bodies_are_looked_at),
	 SL_TEST(an_unhealthy_one_is_probed_at_its_own_interval),
	 SL_TEST(an_endpoint_in_doubt_is_probed_earlier),
	 SL_TEST(what_leaves_by_a_port_is_probed_by_its_interface_alone),
	 SL_TEST(agents_are_heard_and_bounded),
	 SL_TEST(set_by_difference_leaves_the_rest_undisturbed),
	 SL_TEST(changed_conf_keeps_the_state_and_new_incarnation_does_not),
	 SL_TEST(bad_targets_are_all_named_and_the_old_set_goes_on),
	 SL_TEST(first_probes_spread_over_the_interval_by_the_seed),
	 SL_TEST(jitter_only_shortens_and_stays_in_its_share),
	 SL_TEST(held_up_loop_is_not_taken_for_silence),
	 SL_TEST(five_thousand_probes_a_second_leave_no_descriptor_behind),
	 SL_TEST(too_low_descriptor_limit_is_said_and_probes_take_turns),
	 SL_TEST(errors_of_this_side_are_not_held_against_the_endpoint))
