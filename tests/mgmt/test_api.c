#include "sluice/pkt.h"
#include "tests/mgmt/fixture.h"
#include "tests/suite.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct fixture f;

static json_t *
raw(uint32_t magic, uint16_t version, uint16_t zero, uint32_t len, const char *body)
{
	uint8_t frame[4096];
	struct sl_api_head h = {magic, version, zero, len};
	size_t n = strlen(body);
	int sock = fixture_connect(&f);

	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), body, n);
	json_t *a = fixture_exchange(&f, sock, frame, sizeof(h) + n);
	close(sock);
	return a;
}

static void
a_bad_frame_gets_one_answer(void)
{
	static const struct {
		uint32_t magic;
		uint16_t version, zero;
		uint32_t len;
		const char *body, *why;
	} row[] = {
		{0x12345678, 1, 0, 2, "{}", "magic"},
		{SL_API_MAGIC, 2, 0, 2, "{}", "version"},
		{SL_API_MAGIC, 1, 7, 2, "{}", "zero"},
		{SL_API_MAGIC, 1, 0, 0, "", "empty"},
		{SL_API_MAGIC, 1, 0, SL_API_MAX + 1, "", "too long"},
		{SL_API_MAGIC, 1, 0, 4, "{\"a\"", "cut JSON"},
		{SL_API_MAGIC, 1, 0, 2, "[]", "no object"},
		{SL_API_MAGIC, 1, 0, 30, "{\"verb\":\"status\",\"verb\":\"show\"}", "key twice"},
	};
	fixture_open(&f);
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		uint32_t len = row[i].len == 30 ? (uint32_t)strlen(row[i].body) : row[i].len;
		json_t *a = raw(row[i].magic, row[i].version, row[i].zero, len, row[i].body);
		CU_ASSERT_STRING_EQUAL(answer_code(a), "malformed");
		json_decref(a);
	}
	fixture_close(&f);
}

static void
a_request_is_checked_to_the_letter(void)
{
	static const struct {
		const char *body, *code, *why;
	} row[] = {
		{"{}", "invalid", "no verb"},
		{"{\"verb\":7}", "invalid", "verb no string"},
		{"{\"verb\":\"fly\"}", "invalid", "unknown verb"},
		{"{\"verb\":\"status\",\"x\":1}", "invalid", "unknown key"},
		{"{\"verb\":\"show\"}", "invalid", "what missing"},
		{"{\"verb\":\"show\",\"what\":\"everything\"}", "invalid", "unknown what"},
		{"{\"verb\":\"show\",\"what\":\"audit\",\"limit\":0}", "invalid", "range"},
		{"{\"verb\":\"show\",\"what\":\"audit\",\"limit\":\"9\"}", "invalid", "type"},
		{"{\"verb\":\"show\",\"what\":\"ports\",\"limit\":9}", "invalid", "misplaced"},
		{"{\"verb\":\"show\",\"what\":\"endpoints\",\"service\":\"no\"}", "not_found",
		 "name"},
		{"{\"verb\":\"drain\",\"service\":\"web\"}", "invalid", "endpoint missing"},
		{"{\"verb\":\"drain\",\"service\":\"we b\",\"endpoint\":\"a\"}", "invalid", "name"},
		{"{\"verb\":\"drain\",\"service\":\"web\",\"endpoint\":\"a\"}", "not_found",
		 "no table"},
		{"{\"verb\":\"weight\",\"service\":\"web\",\"endpoint\":\"a\",\"percent\":101}",
		 "invalid", "percent"},
		{"{\"verb\":\"rollback\"}", "not_found", "nothing to go back to"},
		{"{\"verb\":\"rollback\",\"generation\":9}", "not_found", "unknown generation"},
		{"{\"verb\":\"stats\"}", "unavailable", "no dataplane"},
		{"{\"verb\":\"flows\"}", "unavailable", "no region"},
		{"{\"verb\":\"flows\",\"client\":\"1.2.3\"}", "invalid", "no address"},
		{"{\"verb\":\"flows\",\"client\":\"1.2.3.4/24\"}", "invalid", "bits behind"},
		{"{\"verb\":\"flows\",\"vip\":\"::ffff:1.2.3.4\"}", "invalid", "mapped"},
		{"{\"verb\":\"flows\",\"protocol\":\"icmp\"}", "invalid", "protocol"},
		{"{\"verb\":\"flows\",\"state\":\"open\"}", "invalid", "state"},
		{"{\"verb\":\"flows\",\"endpoint\":\"web-1\"}", "invalid", "without service"},
		{"{\"verb\":\"flows\",\"service\":\"web\"}", "not_found", "no table"},
		{"{\"verb\":\"flows\",\"listener\":\"web\"}", "not_found", "no table"},
		{"{\"verb\":\"flows\",\"worker\":64}", "invalid", "range"},
		{"{\"verb\":\"flows\",\"limit\":10001}", "invalid", "range"},
		{"{\"verb\":\"flows\",\"limit\":1,\"count\":true}", "invalid", "both"},
		{"{\"verb\":\"flows\",\"count\":1}", "invalid", "type"},
		{"{\"verb\":\"explain\",\"src\":\"1.2.3.4\",\"dst\":\"1.2.3.5\",\"protocol\":"
		 "\"tcp\"}",
		 "invalid", "ports missing"},
		{"{\"verb\":\"explain\",\"src\":\"1.2.3.4\",\"dst\":\"::1:2\",\"protocol\":"
		 "\"icmp\"}",
		 "invalid", "families"},
		{"{\"verb\":\"check\",\"file\":\"t\",\"text\":\"listeners = 1;\"}", "config",
		 "table"},
		{"{\"verb\":\"push\",\"file\":\"t\",\"text\":\"x\"}", "config", "table"},
	};
	fixture_open(&f);
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		json_t *a = fixture_ask(&f, json_loads(row[i].body, 0, NULL));
		if (strcmp(answer_code(a), row[i].code))
			printf("  %s: %s\n", row[i].body, answer_code(a));
		CU_ASSERT_STRING_EQUAL(answer_code(a), row[i].code);
		json_decref(a);
	}
	fixture_close(&f);
}

static void
warnings_are_told_and_refuse_nothing(void)
{
	static const char text[] = "gateway = { name = \"g\"; }; services = ( { name = \"s\"; } );"
				   "route_tables = ( { name = \"t\"; hosts = ( { name = \"h\"; "
				   "match = ( \"*\" ); routes = ("
				   "{ name = \"a\"; service = \"s\"; }, { name = \"b\"; service = "
				   "\"s\"; } ); } ); } );";
	static const char *const verbs[] = {"check", "diff"};

	fixture_open(&f);
	for (unsigned i = 0; i < SL_ARRAY_CNT(verbs); i++) {
		json_t *a = fixture_ask(&f, json_pack("{s:s, s:s, s:s}", "verb", verbs[i], "file",
						      "t.conf", "text", text));
		json_t *w = json_array_get(json_object_get(a, "warnings"), 0);
		CU_ASSERT(answer_ok(a));
		CU_ASSERT_PTR_NOT_NULL(strstr(answer_text(w, "text"), "\"b\" is never reached"));
		CU_ASSERT_STRING_EQUAL(answer_text(w, "file"), "t.conf");
		json_decref(a);
	}
	fixture_close(&f);
}

static void
one_connection_carries_many_requests(void)
{
	static const char body[] = "{\"verb\":\"status\"}";
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, sizeof(body) - 1};
	uint8_t frame[64];

	fixture_open(&f);
	int sock = fixture_connect(&f);
	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), body, sizeof(body) - 1);
	for (unsigned i = 0; i < 5; i++) {
		json_t *a = fixture_exchange(&f, sock, frame, sizeof(h) + sizeof(body) - 1);
		CU_ASSERT(answer_ok(a));
		CU_ASSERT_STRING_EQUAL(answer_text(a, "role"), "admin");
		json_decref(a);
	}
	close(sock);
	fixture_close(&f);
}

static void
a_silent_client_does_not_hold_up_others(void)
{
	uint8_t part[5] = {0x53, 0x41, 0x50, 0x49, 1};

	fixture_open(&f);
	int silent = fixture_connect(&f), slow = fixture_connect(&f);
	CU_ASSERT(send(slow, part, sizeof(part), 0) == sizeof(part));
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	CU_ASSERT(answer_ok(a));
	json_decref(a);
	close(silent);
	close(slow);
	fixture_close(&f);
}

static void
ignore(void *ctx, struct sl_call *call, const struct sl_peer *peer, json_t *body)
{
	(void)peer;
	(void)body;
	(*(unsigned *)ctx)++;
	sl_call_answer(call, json_object());
}

static bool
gone(struct fixture *fx)
{
	char c;
	(void)fx;
	return recv((int)(intptr_t)fx->daemon.loop, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* A server of its own with short limits and no roles but root's. */
static void
slow_and_idle_clients_are_closed(void)
{
	struct sl_server_limits lim = {2, 150, 150, 300, 1 << 20};
	struct sl_roles roles = {0};
	struct sl_server *s;
	unsigned calls = 0;
	uint8_t part[5] = {0x53, 0x41, 0x50, 0x49, 1};

	memset(&f, 0, sizeof(f));
	uv_loop_init(&f.loop);
	snprintf(f.conf.api_socket, sizeof(f.conf.api_socket), "/tmp/sluice-test-%d", getpid());
	CU_ASSERT_FATAL(sl_server_create(&f.loop, f.conf.api_socket, &roles, &lim, ignore, &calls,
					 NULL, &s) == 0);
	int idle = fixture_connect(&f), slow = fixture_connect(&f);
	json_t *a = fixture_exchange(&f, slow, part, sizeof(part));
	CU_ASSERT_STRING_EQUAL(answer_code(a), "malformed"); /* not complete in time */
	json_decref(a);
	f.daemon.loop = (uv_loop_t *)(intptr_t)idle;
	CU_ASSERT(fixture_wait(&f, gone));
	close(idle);
	close(slow);
	CU_ASSERT(calls == 0);
	sl_server_destroy(s);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	CU_ASSERT(uv_loop_close(&f.loop) == 0);
}

static void
too_many_clients_are_told(void)
{
	int sock[SL_API_CLIENTS + 1];

	fixture_open(&f);
	for (unsigned i = 0; i < SL_API_CLIENTS; i++) {
		sock[i] = fixture_connect(&f);
		uv_run(&f.loop, UV_RUN_NOWAIT);
	}
	sock[SL_API_CLIENTS] = fixture_connect(&f);
	json_t *a = fixture_exchange(&f, sock[SL_API_CLIENTS], "", 0);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "busy");
	json_decref(a);
	for (unsigned i = 0; i <= SL_API_CLIENTS; i++)
		close(sock[i]);
	fixture_close(&f);
}

static void
a_second_daemon_is_refused_by_pid(void)
{
	struct sl_daemon other;
	struct sl_diag diag = {0};
	uv_loop_t loop;
	char pid[32];

	fixture_open(&f);
	uv_loop_init(&loop);
	snprintf(pid, sizeof(pid), "pid %d", getpid());
	CU_ASSERT(sl_daemon_create(&loop, &f.conf, &diag, &other) == -EBUSY);
	CU_ASSERT(diag.cnt == 1 && strstr(diag.items[0].text, pid));
	sl_daemon_destroy(&other);
	sl_diag_fini(&diag);

	struct sl_daemon_conf elsewhere = f.conf; /* same socket, another state_dir */
	snprintf(elsewhere.state_dir, sizeof(elsewhere.state_dir), "%s/state2", f.dir);
	CU_ASSERT(sl_daemon_create(&loop, &elsewhere, &diag, &other) == -EADDRINUSE);
	CU_ASSERT(diag.cnt == 1 && strstr(diag.items[0].text, pid));
	sl_daemon_destroy(&other);
	sl_diag_fini(&diag);
	uv_loop_close(&loop);

	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	CU_ASSERT(answer_ok(a)); /* the first one was not disturbed */
	json_decref(a);
	fixture_close(&f);
}

/* Asks as another user, in a child; 1: ok, 2: denied, 3: denied and closed before a verb was read, 0: else. */
static int
ask_as(uid_t uid, const char *body)
{
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, (uint32_t)strlen(body)};
	char frame[512], buf[4096] = "";
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		struct timeval tv = {4, 0};
		int sock =
			setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)
				? -1
				: fixture_connect(&f);
		if (sock < 0)
			_exit(0);
		fcntl(sock, F_SETFL, 0);
		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
		memcpy(frame, &h, sizeof(h));
		memcpy(frame + sizeof(h), body, h.len);
		if (write(sock, frame, sizeof(h) + h.len) < 0 || read(sock, &h, sizeof(h)) < 0 ||
		    read(sock, buf, sizeof(buf) - 1) <= 0)
			_exit(0);
		bool named = strstr(buf, "\"verb\":\"") != NULL;
		_exit(strstr(buf, "\"ok\":true") ? 1 : !strstr(buf, "denied") ? 0 : named ? 2 : 3);
	}
	while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0)
		uv_run(&f.loop, UV_RUN_ONCE);
	return WEXITSTATUS(status);
}

static void
a_role_allows_its_verbs_and_no_more(void)
{
	static const char show[] = "{\"verb\":\"status\"}",
			  drain[] =
				  "{\"verb\":\"drain\",\"service\":\"web\",\"endpoint\":\"web-1\"}",
			  certs[] = "{\"verb\":\"cert\",\"op\":\"list\"}",
			  tickets[] = "{\"verb\":\"tickets\",\"op\":\"show\"}",
			  away[] = "{\"verb\":\"cert\",\"op\":\"remove\",\"name\":\"x\"}",
			  rotate[] = "{\"verb\":\"tickets\",\"op\":\"rotate\"}",
			  flows[] = "{\"verb\":\"flows\"}", back[] = "{\"verb\":\"rollback\"}";
	static const struct {
		uid_t uid;
		const char *body;
		int want;
		const char *why;
	} row[] = {
		{60001, show, 1, "viewer looks"},
		{60001, drain, 2, "viewer changes nothing"},
		{60001, back, 2, "viewer"},
		{60002, show, 1, "operator looks"},
		{60002, drain, 1, "operator drains"},
		{60001, flows, 2, "who talks to whom is not for a viewer"},
		{60002, flows, 0, "for an operator it is (but nothing is there)"},
		{60002, back, 2, "operator pushes nothing"},
		{60003, back, 1, "admin"},
		{60001, certs, 1, "what certificates there are is no secret"},
		{60001, tickets, 1, "nor the names of ticket keys"},
		{60001, away, 2, "viewer"},
		{60002, away, 2, "operator changes no certificates"},
		{60002, rotate, 2, "nor ticket keys"},
		{60003, away, 0, "an admin does (but it is not there)"},
		{60004, show, 3, "nobody"},
	};

	if (geteuid() != 0)
		return; /* nobody else can change its uid */
	fixture_open(&f);
	chmod(f.dir, 0755);
	sl_roles_add(&f.conf.roles, SL_ROLE_VIEWER, "60001");
	sl_roles_add(&f.conf.roles, SL_ROLE_OPERATOR, "60002");
	sl_roles_add(&f.conf.roles, SL_ROLE_ADMIN, "60003");
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2));
	json_decref(fixture_push(&f, 3));
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		int got = ask_as(row[i].uid, row[i].body);
		if (got != row[i].want)
			printf("  %s: %d\n", row[i].why, got);
		CU_ASSERT(got == row[i].want);
	}
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "audit"));
	json_t *lines = json_object_get(a, "audit");
	json_t *last = json_array_get(lines, json_array_size(lines) - 1);
	CU_ASSERT(answer_int(last, "uid") == 60003 && answer_int(last, "previous") == 2);
	CU_ASSERT(answer_int(json_array_get(lines, json_array_size(lines) - 2), "uid") == 60002);
	json_decref(a);
	sl_roles_fini(&f.conf.roles);
	fixture_close(&f);
}

static void
drain_is_kept_over_a_restart(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2));
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s, s:s}", "verb", "drain", "service", "web",
					      "endpoint", "web-1"));
	CU_ASSERT(answer_ok(a));
	CU_ASSERT(json_is_true(json_object_get(a, "applied")));
	json_int_t slot = answer_int(json_object_get(a, "endpoint"), "slot");
	CU_ASSERT(sl_state_flags(f.dp.state->slot[slot].admin) == SL_ST_DRAIN);
	json_decref(a);

	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 2); /* and a new dataplane */
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	CU_ASSERT(sl_state_flags(f.dp.state->slot[slot].admin) == SL_ST_DRAIN);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "endpoints"));
	json_t *e = json_array_get(json_object_get(a, "endpoints"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(e, "state"), "draining");
	json_decref(a);
	fixture_close(&f);
}

static json_t *
drain_web_2(void)
{
	return fixture_ask(&f, json_pack("{s:s, s:s, s:s}", "verb", "drain", "service", "web",
					 "endpoint", "web-2"));
}

/* Asked for again it changes nothing, but it is written. */
static void
a_drain_that_could_not_be_kept_is_kept_when_asked_again(void)
{
	char block[1200];

	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2));
	snprintf(block, sizeof(block), "%s/operstate.json.tmp", f.conf.state_dir);
	CU_ASSERT_FATAL(mkdir(block, 0700) == 0);
	json_t *a = drain_web_2();
	CU_ASSERT_STRING_EQUAL(answer_code(a), "internal");
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "audit"));
	json_t *lines = json_object_get(a, "audit");
	json_t *last = json_array_get(lines, json_array_size(lines) - 1);
	CU_ASSERT_STRING_EQUAL(answer_text(last, "verb"), "drain");
	CU_ASSERT_STRING_EQUAL(answer_text(last, "outcome"), "unsaved");
	json_decref(a);
	rmdir(block);
	a = drain_web_2();
	CU_ASSERT(answer_ok(a));
	json_decref(a);
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-2");
	CU_ASSERT(e && e->drain);
	fixture_close(&f);
}

static json_t *
maintain(const char *name, bool on, const char *reason)
{
	return fixture_ask(&f,
			   json_pack("{s:s, s:s, s:s, s:b, s:s}", "verb", "maintenance", "service",
				     "web", "endpoint", name, "on", on, "reason", reason));
}

static void
maintenance_is_kept_with_its_reason_over_a_restart(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2));
	json_t *a = maintain("web-1", true, "bad\nline");
	CU_ASSERT_STRING_EQUAL(answer_code(a), "invalid");
	json_decref(a);
	a = maintain("web-1", true, "new disk");
	CU_ASSERT(answer_ok(a));
	json_int_t slot = answer_int(json_object_get(a, "endpoint"), "slot");
	json_decref(a);
	CU_ASSERT(sl_state_flags(f.dp.state->slot[slot].admin) == SL_ST_DRAIN);
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 2);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	CU_ASSERT(sl_state_flags(f.dp.state->slot[slot].admin) == SL_ST_DRAIN);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "endpoints"));
	json_t *e = json_array_get(json_object_get(a, "endpoints"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(e, "state"), "maintenance");
	CU_ASSERT_STRING_EQUAL(answer_text(e, "why"), "new disk");
	CU_ASSERT(strlen(answer_text(e, "who")) > 0 && strlen(answer_text(e, "since")) > 0);
	json_decref(a);
	a = maintain("web-1", false, "");
	CU_ASSERT(answer_ok(a));
	json_decref(a);
	CU_ASSERT(sl_state_flags(f.dp.state->slot[slot].admin) == 0);
	fixture_close(&f);
}

static bool
web_1_is_ejected(struct fixture *fx)
{
	const struct sl_oper_endpoint *e = sl_oper_find(fx->daemon.oper, "web", "web-1");

	return e && e->ejected;
}

static void
an_ejection_is_seen_and_told(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2));
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-1");
	f.dp.state->slot[e->at.slot].passive = sl_state_make(SL_ST_EJECTED, 255, e->at.incarnation);
	CU_ASSERT(fixture_wait(&f, web_1_is_ejected));
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "endpoints"));
	json_t *row = json_array_get(json_object_get(a, "endpoints"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(row, "state"), "ejected");
	CU_ASSERT_STRING_EQUAL(answer_text(row, "passive"), "ejected");
	CU_ASSERT_STRING_EQUAL(answer_text(row, "why_by"), "dataplane");
	CU_ASSERT(json_is_false(json_object_get(row, "admits")));
	CU_ASSERT(strlen(answer_text(row, "since")) > 0);
	json_decref(a);
	fixture_close(&f);
}

static void
explain_gives_names(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2));
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-2");
	CU_ASSERT_FATAL(e != NULL);
	f.dp.explained = (struct sl_ctl_explained){
		.generation = 1,
		.verdict = 1,
		.why = 3,
		.endpoint_slot = e->at.slot,
		.endpoint_incarnation = e->at.incarnation,
		.port_out = 1,
		.out = {.proto = SL_IPPROTO_TCP},
	};
	const char *q = "{\"verb\":\"explain\",\"src\":\"198.51.100.1\",\"dst\":\"203.0.113.10\","
			"\"protocol\":\"tcp\",\"sport\":4000,\"dport\":80,\"port\":\"back\"}";
	json_t *a = fixture_ask(&f, json_loads(q, 0, NULL));
	CU_ASSERT(answer_ok(a));
	CU_ASSERT(f.dp.asked.port == 1 && f.dp.asked.tcp_flags == 2);
	CU_ASSERT(f.dp.asked.tuple.dport == sl_to_be16(80));
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "endpoint"), "name"), "web-2");
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "service"), "name"), "web");
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "listener"), "name"), "web-v4");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "why"), "maglev");
	CU_ASSERT_TRUE(json_is_null(json_object_get(a, "level")));
	CU_ASSERT_STRING_EQUAL(answer_text(a, "port_out"), "back");
	json_decref(a);
	f.dp.explained.level = (struct sl_ctl_level){2, 1, 3050, 1};
	a = fixture_ask(&f, json_loads(q, 0, NULL));
	json_t *level = json_object_get(a, "level");
	CU_ASSERT(answer_int(level, "level") == 1 && answer_int(level, "levels") == 2);
	CU_ASSERT(json_real_value(json_object_get(level, "percent")) == 30.5);
	CU_ASSERT(json_is_true(json_object_get(level, "panic")));
	json_decref(a);
	f.dp.no_explain = "worker 0 does not answer";
	a = fixture_ask(&f, json_loads(q, 0, NULL));
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	json_decref(a);
	fixture_close(&f);
}

static bool
says(json_t *a, const char *sentence)
{
	size_t i;
	json_t *s;

	json_array_foreach(json_object_get(a, "sentences"), i, s)
	{
		if (strcmp(json_string_value(s), sentence) == 0)
			return true;
	}
	return false;
}

/* The service of fixture_table as one for connections. */
static char *
tcp_table(const char *service_keys, const char *listener_keys)
{
	char *text = NULL;

	CU_ASSERT_FATAL(
		asprintf(
			&text,
			"gateway = { name = \"edge\"; };\n"
			"network = { addresses = ( { port = \"front\"; address = "
			"\"192.0.2.2/24\"; } ); };\n"
			"services = ( { name = \"web\"; %s\n  endpoints = ( { name = \"web-1\"; "
			"address = \"192.0.2.11\"; port = 80; } ); } );\n"
			"listeners = ( { name = \"web-v4\"; address = \"203.0.113.10\"; port = 80; "
			"protocol = \"tcp\"; mode = \"tcp\"; service = \"web\"; %s } );\n",
			service_keys, listener_keys) > 0);
	return text;
}

static json_t *
ask_with(const char *verb, char *text)
{
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", verb, "file", "t", "text", text));

	free(text);
	return a;
}

static void
explain_says_that_a_connection_ends_here(void)
{
	static const char q[] = "{\"verb\":\"explain\",\"src\":\"198.51.100.9\",\"dst\":"
				"\"203.0.113.10\",\"protocol\":\"tcp\",\"sport\":40000,"
				"\"dport\":80}";

	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(ask_with("push", tcp_table("sources = ( \"192.0.2.9\" );",
					       "proxy_protocol = true; trusted = ( \"::/0\" );")));
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-1");
	CU_ASSERT_FATAL(e != NULL);
	f.dp.explained = (struct sl_ctl_explained){
		.generation = 1,
		.verdict = SL_VERDICT_CONSUMED,
		.why = SL_WHY_MAGLEV,
		.endpoint_slot = e->at.slot,
		.endpoint_incarnation = e->at.incarnation,
	}; /* listener and service have slot 0 */
	json_t *a = fixture_ask(&f, json_loads(q, 0, NULL));
	CU_ASSERT(answer_ok(a) && json_is_true(json_object_get(a, "ends_here")));
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "listener"), "mode"), "tcp");
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "service"), "forward"), "proxy");
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "endpoint"), "name"), "web-1");
	CU_ASSERT(says(a, "the connection ends at the gateway, which opens one of its own for "
			  "service web"));
	CU_ASSERT(says(a, "the client's address in its PROXY header counts, not the packet's"));
	CU_ASSERT(says(a, "endpoint web-1 at 192.0.2.11 would be picked: the Maglev table gives "
			  "this endpoint for the connection's addresses and ports"));
	CU_ASSERT(says(a, "connections there come from 192.0.2.9"));
	CU_ASSERT(says(a, "the gateway takes the packet for itself"));
	json_decref(a);
	f.dp.explained.why = SL_WHY_FLOW;
	a = fixture_ask(&f, json_loads(q, 0, NULL));
	CU_ASSERT(says(a, "it is known, and goes on to endpoint web-1 at 192.0.2.11"));
	json_decref(a);
	f.dp.explained.service_slot = f.dp.explained.endpoint_slot = UINT32_MAX;
	f.dp.explained.why = SL_WHY_NONE;
	a = fixture_ask(&f, json_loads(q, 0, NULL));
	CU_ASSERT(json_is_true(json_object_get(a, "ends_here")));
	CU_ASSERT(says(a, "it is of no connection and opens none: the answer is a RST"));
	json_decref(a);
	fixture_close(&f);
}

static json_t *
tcp_row(json_t *list, const char *name)
{
	size_t i;
	json_t *o;

	json_array_foreach(list, i, o)
	{
		if (strcmp(answer_text(o, "name"), name) == 0)
			return o;
	}
	return NULL;
}

static void
tcp_counts_are_shown_with_sentences_and_gauges_with_what_there_is_room_for(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 1));
	struct sl_stats_worker *w = sl_stats_worker(f.dp.stats, 0);
	w->tcp.count[SL_TCP_PROXY_BAD] = 12;
	w->tcp.streams = 34;
	w->tcp.stream_capacity = 4096;
	uint32_t slot = sl_oper_find(f.daemon.oper, "web", "web-1")->at.slot;
	sl_stats_endpoints(f.dp.stats, 0)[slot].connect_failed = 5;
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "tcp"));
	json_t *list = json_object_get(a, "tcp"), *o = tcp_row(list, "proxy_bad");
	CU_ASSERT_EQUAL(json_array_size(list), SL_TCP_CNT + 6);
	CU_ASSERT(answer_int(o, "count") == 12 && json_is_null(json_object_get(o, "most")));
	CU_ASSERT_STRING_EQUAL(answer_text(o, "text"), sl_tcp_counter_text(SL_TCP_PROXY_BAD));
	o = tcp_row(list, "streams");
	CU_ASSERT(answer_int(o, "count") == 34 && answer_int(o, "most") == 4096);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "kind"), "gauge");
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "workers"));
	o = json_array_get(json_object_get(a, "workers"), 0);
	CU_ASSERT(answer_int(o, "tcp_streams") == 34 && answer_int(o, "tcp_streams_max") == 4096);
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s}", "verb", "stats"));
	CU_ASSERT_EQUAL(answer_int(json_object_get(a, "total"), "tcp_streams"), 34);
	CU_ASSERT(tcp_row(json_object_get(a, "tcp"), "proxy_bad") != NULL);
	CU_ASSERT_EQUAL(
		answer_int(json_array_get(json_object_get(a, "endpoints"), 0), "connect_failed"),
		5);
	json_decref(a);
	fixture_close(&f);
}

static void
stats_of_a_reused_slot_begin_at_zero(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 1));
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-1");
	CU_ASSERT_FATAL(e != NULL);
	struct sl_stats_endpoint *s = &sl_stats_endpoints(f.dp.stats, 0)[e->at.slot];
	s->packets = 70;
	CU_ASSERT(sl_counters_endpoint(f.daemon.counters, e->at).packets == 70);
	/* the slot goes to another owner: what the next incarnation has is what comes from now on */
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	struct sl_slot_map map = t->map;
	for (uint32_t i = 0; i < map.endpoints.cnt; i++)
		map.endpoints.owner[i].incarnation += map.endpoints.owner[i].key != NULL;
	sl_counters_prepare(f.daemon.counters, t->conf, &map);
	struct sl_placed next = {e->at.slot, e->at.incarnation + 1};
	CU_ASSERT(sl_counters_endpoint(f.daemon.counters, next).packets == 0);
	s->packets = 75;
	CU_ASSERT(sl_counters_endpoint(f.daemon.counters, next).packets == 5);
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "stats"));
	CU_ASSERT(answer_ok(a));
	CU_ASSERT_STRING_EQUAL(answer_text(a, "boot_id"), "0000000000000001");
	json_decref(a);
	fixture_close(&f);
}

static void
diff_speaks_of_names(void)
{
	fixture_open(&f);
	json_decref(fixture_push(&f, 2));
	char *text = fixture_table(3, "policy = \"source_hash\";");
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "diff", "file", "t", "text", text));
	json_t *c = json_object_get(a, "changes");
	CU_ASSERT(answer_int(a, "against") == 1 && json_array_size(c) == 2);
	json_t *first = json_array_get(c, 0), *second = json_array_get(c, 1);
	CU_ASSERT_STRING_EQUAL(answer_text(first, "name"), "web");
	CU_ASSERT_STRING_EQUAL(answer_text(first, "text"), "policy maglev → source_hash");
	CU_ASSERT_STRING_EQUAL(answer_text(second, "change"), "added");
	CU_ASSERT_STRING_EQUAL(answer_text(second, "name"), "web/web-3");
	json_decref(a);
	free(text);
	fixture_close(&f);
}

static void
diff_tells_settings_of_connections(void)
{
	fixture_open(&f);
	json_decref(fixture_push(&f, 1));
	json_t *a = ask_with("diff", tcp_table("", ""));
	json_t *c = json_object_get(a, "changes");
	CU_ASSERT_EQUAL_FATAL(json_array_size(c), 2);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(c, 0), "text"),
			       "forward nat → proxy, tcp.connect_timeout (none) → 5000 ms, "
			       "tcp.idle_timeout (none) → 3600000 ms, tcp.max_connections (none) → "
			       "1024, tcp.retries (none) → 1, tcp.keepalive (none) → 0 s, "
			       "tcp.proxy_protocol (none) → none, tcp.congestion (none) → cubic");
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(c, 1), "text"), "mode l4 → tcp");
	json_decref(a);
	json_decref(ask_with("push", tcp_table("", "")));
	a = ask_with("diff", tcp_table("tcp = { retries = 3; congestion = \"reno\"; };",
				       "max_connections = 9; proxy_protocol = true; "
				       "trusted = ( \"2001:db8::/32\", \"10.0.0.0/8\" );"));
	c = json_object_get(a, "changes");
	CU_ASSERT_EQUAL_FATAL(json_array_size(c), 2);
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(c, 0), "text"),
			       "tcp.retries 1 → 3, tcp.congestion cubic → reno");
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(c, 1), "text"),
			       "max_connections (none) → 9, proxy_protocol (none) → required, "
			       "trusted (none) → 10.0.0.0/8 2001:db8::/32");
	json_decref(a);
	fixture_close(&f);
}

SL_SUITE("api", SL_TEST(a_bad_frame_gets_one_answer), SL_TEST(a_request_is_checked_to_the_letter),
	 SL_TEST(warnings_are_told_and_refuse_nothing),
	 SL_TEST(one_connection_carries_many_requests),
	 SL_TEST(a_silent_client_does_not_hold_up_others),
	 SL_TEST(slow_and_idle_clients_are_closed), SL_TEST(too_many_clients_are_told),
	 SL_TEST(a_second_daemon_is_refused_by_pid), SL_TEST(a_role_allows_its_verbs_and_no_more),
	 SL_TEST(drain_is_kept_over_a_restart),
	 SL_TEST(maintenance_is_kept_with_its_reason_over_a_restart),
	 SL_TEST(an_ejection_is_seen_and_told),
	 SL_TEST(a_drain_that_could_not_be_kept_is_kept_when_asked_again),
	 SL_TEST(explain_gives_names), SL_TEST(explain_says_that_a_connection_ends_here),
	 SL_TEST(tcp_counts_are_shown_with_sentences_and_gauges_with_what_there_is_room_for),
	 SL_TEST(stats_of_a_reused_slot_begin_at_zero), SL_TEST(diff_speaks_of_names),
	 SL_TEST(diff_tells_settings_of_connections))
