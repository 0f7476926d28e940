/* The reader against anything that may come; the client against a BIRD that answers, hangs, talks nonsense, dies; and the whole of
 * announce with it. */
#include "mgmt/announce.h"
#include "mgmt/bird.h"
#include "sluice/stats.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* ---- the reader ---- */

/* Everything that is read of a text in pieces of `piece` bytes, as "CODE[.|-|+]text|…"; "!" where it is no such protocol. */
static const char *
read_all(const char *text, size_t len, size_t piece)
{
	static char out[8192];
	struct sl_bird_reader r = {0};
	struct sl_bird_line l;
	size_t n = 0;

	out[0] = 0;
	for (size_t at = 0; at < len;) {
		size_t size = SL_MIN(piece, len - at);
		uint8_t *buf = guard_buf(size);
		memcpy(buf, text + at, size);
		long got = sl_bird_read(&r, (char *)buf, size, &l);
		CU_ASSERT(got <= (long)size);
		guard_free(buf, size);
		if (got == SL_BAD)
			return strcat(out, "!");
		at += got == SL_PARTIAL ? size : (size_t)got;
		if (got > 0)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "%04u%s%s|", l.code,
					      l.unasked ? "+"
					      : l.last  ? "."
							: "-",
					      l.text);
	}
	return out;
}

static void
lines_are_read_in_any_pieces(void)
{
	static const struct {
		const char *text, *lines;
	} rows[] = {
		{"0001 BIRD 2.0.12 ready.\n", "0001.BIRD 2.0.12 ready.|"},
		{"0002-Reading\n0003 Reconfigured\n", "0002-Reading|0003.Reconfigured|"},
		{"1002-a up\n b up\n0000 \n", "1002-a up|1002-b up|0000.|"},
		{"1002-a\n+<INFO> log\n b\n0000 \n", "1002-a|1002+<INFO> log|1002-b|0000.|"},
		{"+hello\n0000 \n", "0000+hello|0000.|"},
		{"0003 x\ry\x01\xc3\xa4\n", "0003.x?y???|"},
		{"0003", ""},
		{" lost\n", "!"},
		{"0000 \n lost\n", "0000.|!"}, /* an answer was over */
		{"003 x\n", "!"},
		{"000x y\n", "!"},
		{"0003\n", "!"},
		{"0003_x\n", "!"},
		{"\n", "!"},
		{"HTTP/1.1 400 Bad Request\r\n", "!"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		for (size_t piece = 1; piece <= strlen(rows[i].text); piece++) {
			const char *got = read_all(rows[i].text, strlen(rows[i].text), piece);
			if (strcmp(got, rows[i].lines))
				printf("%s: %s\n", rows[i].text, got);
			CU_ASSERT_STRING_EQUAL(got, rows[i].lines);
		}
}

static void
a_line_has_an_end_or_is_refused(void)
{
	char text[2 * SL_BIRD_LINE_MAX];

	memset(text, 'x', sizeof(text));
	memcpy(text, "0001 ", 5);
	text[SL_BIRD_LINE_MAX - 1] = '\n'; /* the longest */
	CU_ASSERT_PTR_NULL(strchr(read_all(text, SL_BIRD_LINE_MAX, 100), '!'));
	text[SL_BIRD_LINE_MAX - 1] = 'x';
	text[SL_BIRD_LINE_MAX] = '\n';
	CU_ASSERT_STRING_EQUAL(read_all(text, SL_BIRD_LINE_MAX + 1, 100), "!");
	memset(text, 0, sizeof(text));
	CU_ASSERT_STRING_EQUAL(read_all(text, sizeof(text), 100), "!");
}

static void
nonsense_is_read_to_its_end_or_refused(void)
{
	static const char alphabet[] = "0123 -+\nab\r\x00\xff";
	uint64_t seed = 88172645463325252ull;
	char text[256];

	for (unsigned round = 0; round < 3000; round++) {
		for (size_t i = 0; i < sizeof(text); i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			text[i] = alphabet[seed % (sizeof(alphabet) - 1)];
		}
		char whole[8192];
		snprintf(whole, sizeof(whole), "%s", read_all(text, sizeof(text), sizeof(text)));
		CU_ASSERT_STRING_EQUAL(read_all(text, sizeof(text), 7), whole);
	}
}

/* ---- a BIRD of ours ---- */

static uv_loop_t loop;
static char dir[64], path[96], routes[96], drained[96];
static int listener = -1, peer = -1;
static uv_timer_t watchdog;
static char said[4096]; /* commands, one a line */

/* Lines it answers to a command; NULL: nothing. */
static const char *answers[4][2];
static const char *greeting;

static const char *
answer_to(const char *command)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(answers) && answers[i][0]; i++)
		if (strncmp(command, answers[i][0], strlen(answers[i][0])) == 0)
			return answers[i][1];
	return "9001 syntax error\n";
}

static void
bird_listen(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	strcpy(sa.sun_path, path);
	unlink(path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&sa, sizeof(sa)) || listen(listener, 4))
		abort();
	greeting = "0001 BIRD 9.9 ready.\n";
	memset(answers, 0, sizeof(answers));
	answers[0][0] = "configure";
	answers[0][1] = "0002-Reading configuration\n0003 Reconfigured\n";
	answers[1][0] = "show protocols";
	answers[1][1] =
		"2002-Name\n1002-sluice_vip4 Static master4 up 1\n sluice_vip6 Static master6 up "
		"1\n0000 \n";
}

static void
bird_end(void)
{
	if (peer >= 0)
		close(peer);
	if (listener >= 0)
		close(listener);
	peer = listener = -1;
}

static void
bird_turn(void)
{
	char buf[512];

	if (listener >= 0 && peer < 0) {
		peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (peer >= 0 && greeting)
			(void)!write(peer, greeting, strlen(greeting));
	}
	ssize_t n = peer >= 0 ? read(peer, buf, sizeof(buf) - 1) : -1;
	if (n == 0) {
		close(peer);
		peer = -1;
	}
	if (n <= 0)
		return;
	buf[n] = 0;
	strncat(said, buf, sizeof(said) - strlen(said) - 1);
	const char *text = answer_to(buf);
	if (text)
		(void)!write(peer, text, strlen(text));
}

static void
on_watchdog(uv_timer_t *t)
{
	(void)t;
}

#define PATIENCE_MS 20000 /* for what must come: machines stand still */

static bool
wait_ms(unsigned ms, bool (*cond)(void))
{
	uint64_t end = uv_hrtime() + ms * 1000000ull;

	while (uv_hrtime() < end) {
		bird_turn();
		if (cond && cond())
			return true;
		uv_run(&loop, UV_RUN_ONCE);
	}
	return cond && cond();
}

/* Within so many turns of the loop, of which there is one a millisecond or more, but for a machine that stands still. */
static bool
within_turns(unsigned turns, bool (*cond)(void))
{
	for (unsigned i = 0; i < turns && !cond(); i++) {
		bird_turn();
		uv_run(&loop, UV_RUN_ONCE);
	}
	return cond();
}

static void
begin(void)
{
	strcpy(dir, "/tmp/sluice-bird-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	snprintf(path, sizeof(path), "%s/bird.ctl", dir);
	snprintf(routes, sizeof(routes), "%s/routes.conf", dir);
	snprintf(drained, sizeof(drained), "%s/drained", dir);
	said[0] = 0;
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	uv_timer_init(&loop, &watchdog);
	uv_timer_start(&watchdog, on_watchdog, 1, 1);
}

static void
end(void)
{
	bird_end();
	uv_close((uv_handle_t *)&watchdog, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	unlink(path);
	unlink(routes);
	unlink(drained);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

/* ---- the client ---- */

static unsigned ups, downs, troubles;
static char why[512];
static struct {
	unsigned cnt, code;
	bool ended;
	char all[512];
} got;

static void
on_up(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
	ups++;
}

static void
on_down(void *ctx, const char *text)
{
	(void)ctx;
	downs++;
	snprintf(why, sizeof(why), "%s", text);
}

static void
on_trouble(void *ctx, const char *text)
{
	(void)ctx;
	troubles++;
	snprintf(why, sizeof(why), "%s", text);
}

static void
on_answer(void *ctx, const struct sl_bird_answer *a)
{
	(void)ctx;
	got.cnt++;
	got.ended = !a;
	got.code = a ? a->code : 0;
	snprintf(got.all, sizeof(got.all), "%s", a ? a->all : "");
}

static bool
is_up(void)
{
	return ups > 0;
}

static bool
is_down(void)
{
	return downs > 0;
}

static bool
is_answered(void)
{
	return got.cnt > 0;
}

static bool
is_troubled(void)
{
	return troubles > 0;
}

static struct sl_bird *
client(void)
{
	const struct sl_bird_events ev = {on_up, on_down, on_trouble, NULL};
	struct sl_bird *b;

	ups = downs = troubles = 0;
	memset(&got, 0, sizeof(got));
	CU_ASSERT_EQUAL_FATAL(sl_bird_create(&loop, path, &ev, &b), 0);
	return b;
}

static void
a_command_is_answered(void)
{
	begin();
	bird_listen();
	struct sl_bird *b = client();
	CU_ASSERT_EQUAL(sl_bird_ask(b, "configure", on_answer, NULL), -ENOTCONN);
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_up));
	CU_ASSERT_STRING_EQUAL(sl_bird_greeting(b), "BIRD 9.9 ready.");
	CU_ASSERT_EQUAL(sl_bird_ask(b, "configure", on_answer, NULL), 0);
	CU_ASSERT_EQUAL(sl_bird_ask(b, "configure", on_answer, NULL), -EBUSY);
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_answered));
	CU_ASSERT_EQUAL(got.code, 3);
	CU_ASSERT_STRING_EQUAL(got.all, "0002 Reading configuration\n0003 Reconfigured\n");
	CU_ASSERT_STRING_EQUAL(said, "configure\n");
	sl_bird_destroy(b);
	end();
}

static void
a_bird_that_dies_or_is_away_is_found_again(void)
{
	begin();
	struct sl_bird *b = client();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_troubled));
	CU_ASSERT_TRUE(sl_bird_absent(b));
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "not running"));
	wait_ms(600, NULL);
	CU_ASSERT_EQUAL(troubles, 1); /* said once */
	bird_listen();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_up));
	answers[0][1] = NULL;
	CU_ASSERT_EQUAL(sl_bird_ask(b, "configure", on_answer, NULL), 0);
	wait_ms(50, NULL);
	bird_end();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_down));
	CU_ASSERT(got.cnt == 1 && got.ended);
	ups = 0;
	bird_listen();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_up));
	sl_bird_destroy(b);
	end();
}

/* What a peer says first, and what is said of it. */
static void
whoever_is_no_bird_is_left_alone(void)
{
	static const char *const rows[][2] = {
		{"220 mail.example ESMTP\r\n", "does not speak as BIRD"},
		{"9001 go away\n", "greets with 9001 go away"},
		{"0001-a\n b\n0001 c\n0000 more\n", "answers what was not asked: 0000"},
		{"\n\n\n", "does not speak as BIRD"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		begin();
		bird_listen();
		greeting = rows[i][0];
		struct sl_bird *b = client();
		wait_ms(PATIENCE_MS, i == 2 ? is_down : is_troubled);
		if (!strstr(why, rows[i][1]))
			printf("%s: %s\n", rows[i][0], why);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, rows[i][1]));
		CU_ASSERT_PTR_NULL(sl_bird_greeting(b));
		CU_ASSERT_FALSE(sl_bird_absent(b));
		sl_bird_destroy(b);
		end();
	}
}

static void
a_bird_that_hangs_is_given_up(void)
{
	begin();
	bird_listen();
	answers[0][1] = NULL;
	struct sl_bird *b = client();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_up));
	uint64_t start_ms = uv_now(&loop);
	CU_ASSERT_EQUAL(sl_bird_ask(b, "configure", on_answer, NULL), 0);
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_answered));
	CU_ASSERT(uv_now(&loop) - start_ms >= SL_BIRD_WAIT_MS);
	CU_ASSERT(got.ended && downs == 1 && strstr(why, "no answer within"));
	sl_bird_destroy(b);
	end();
}

/* ---- announce with it ---- */

static struct sl_announce_conf conf;
static struct sl_announce *a;
static char logged[8192];
static uint8_t alive;
static const char *waited; /* "" until it is answered */

static void
on_health(void *ctx, uint8_t *health)
{
	(void)ctx;
	health[0] = alive;
}

static uint64_t
on_generation(void *ctx)
{
	(void)ctx;
	return 1;
}

static void
on_say(void *ctx, const char *line)
{
	(void)ctx;
	snprintf(logged + strlen(logged), sizeof(logged) - strlen(logged), "%s\n", line);
}

static void
on_waited(void *ctx, const char *text)
{
	(void)ctx;
	waited = text;
}

static bool
is_waited(void)
{
	return !waited || *waited;
}

static const struct sl_announce_events events = {on_health, on_generation, on_say, NULL};
static void *stats;
static struct sl_conf *table;

static void
announce_begin(void)
{
	static const char *const names[] = {"front"};
	static const char text[] = "gateway = { name = \"g\"; }; network = { addresses = ( { port "
				   "= \"p\"; address = \"192.0.2.1/24\"; } ); "
				   "}; services = ( { name = \"a\"; forward = \"nat\"; } ); "
				   "listeners = ( { name = \"l\"; address = "
				   "\"203.0.113.1\"; port = 80; protocol = \"tcp\"; mode = \"l4\"; "
				   "service = \"a\"; announce = \"healthy\"; } );";
	struct sl_diag diag = {0};

	begin();
	conf = (struct sl_announce_conf){.on = true, .settle_ms = 200};
	strcpy(conf.bird_socket, path);
	strcpy(conf.routes, routes);
	logged[0] = 0;
	alive = SL_ANNOUNCE_ALIVE;
	waited = "";
	stats = aligned_alloc(4096, (sl_stats_bytes(1, 1) + 4095) / 4096 * 4096);
	memset(stats, 0, sl_stats_bytes(1, 1));
	sl_stats_init(stats, 1, 1, names, 7, 1000);
	CU_ASSERT_EQUAL_FATAL(sl_conf_parse("t", text, strlen(text), &diag, &table), 0);
	CU_ASSERT_EQUAL_FATAL(sl_announce_create(&loop, &conf, dir, &events, &diag, &a), 0);
	sl_announce_table(a, table);
}

static void
announce_end(void)
{
	sl_announce_destroy(a);
	sl_conf_free(table);
	free(stats);
	end();
}

static char *
file_text(void)
{
	static char text[1024];
	int fd = open(routes, O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text) - 1);

	close(fd);
	text[n > 0 ? n : 0] = 0;
	return text;
}

static bool
told(void)
{
	sl_stats_worker(stats, 0)->turns++;
	const struct sl_announce_plan *p = sl_announce_plan_of(a);
	return p->cnt == 1 && p->vips[0].told;
}

static bool
not_told(void)
{
	sl_stats_worker(stats, 0)->turns++;
	return !told();
}

static bool
no_route(void)
{
	return !strstr(file_text(), "route");
}

static bool
refusal_logged(void)
{
	return strstr(logged, "8002 bird.conf:7:1 syntax error");
}

static bool
missing_logged(void)
{
	return strstr(logged, "does bird.conf say include");
}

static bool
said_twice(void)
{
	const char *first = strstr(said, "configure");
	return first && strstr(first + 1, "configure");
}

static void
link_up(void)
{
	sl_announce_link(a, stats, sl_stats_bytes(1, 1));
}

static void
bird_is_told_of_what_changes(void)
{
	struct stat st;

	announce_begin();
	CU_ASSERT_PTR_NULL(
		strstr(file_text(), "route")); /* there, and empty, before anything else */
	CU_ASSERT(stat(routes, &st) == 0 && (st.st_mode & 0777) == 0644);
	bird_listen();
	link_up();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, told));
	CU_ASSERT_PTR_NOT_NULL(strstr(file_text(), "203.0.113.1/32"));
	alive = SL_ANNOUNCE_DEAD;
	sl_announce_look(a);
	CU_ASSERT_TRUE(within_turns(100, not_told));
	CU_ASSERT_PTR_NULL(strstr(file_text(), "route"));
	sl_announce_wait(a, 3 * PATIENCE_MS, on_waited, NULL);
	CU_ASSERT_STRING_EQUAL(waited, ""); /* it settles */
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_waited));
	CU_ASSERT_PTR_NULL(waited);
	announce_end();
}

static void
a_restart_moves_nothing_until_it_is_known_what_is_there(void)
{
	static const char kept[] =
		"# sluiced writes this file, and writes it anew: what is edited here is lost.\n"
		"protocol static sluice_vip4 {\n\tipv4;\n\troute 203.0.113.1/32 blackhole;\n}\n"
		"protocol static sluice_vip6 {\n\tipv6;\n}\n";
	struct sl_diag diag = {0};

	announce_begin();
	sl_announce_destroy(a);
	int fd = open(routes, O_WRONLY | O_TRUNC);
	CU_ASSERT_EQUAL(write(fd, kept, strlen(kept)), (ssize_t)strlen(kept));
	close(fd);
	bird_listen();
	alive = SL_ANNOUNCE_UNKNOWN; /* nothing has been probed yet */
	CU_ASSERT_EQUAL_FATAL(sl_announce_create(&loop, &conf, dir, &events, &diag, &a), 0);
	sl_announce_table(a, table);
	wait_ms(300, NULL);
	CU_ASSERT_STRING_EQUAL(file_text(), kept);
	link_up();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, told));
	CU_ASSERT_STRING_EQUAL(file_text(), kept);
	sl_announce_link(a, NULL, 0); /* … and no dataplane: at once */
	CU_ASSERT_TRUE(within_turns(50, no_route));
	announce_end();
}

static void
a_file_of_somebody_else_is_left_alone(void)
{
	struct sl_diag diag = {0};
	struct sl_announce *other = NULL;

	announce_begin();
	int fd = open(routes, O_WRONLY | O_TRUNC);
	CU_ASSERT_EQUAL(write(fd, "router id 1.1.1.1;\n", 19), 19);
	close(fd);
	CU_ASSERT_EQUAL(sl_announce_create(&loop, &conf, dir, &events, &diag, &other), -EEXIST);
	CU_ASSERT(diag.cnt == 1 && strstr(diag.items[0].text, "not a file that sluiced wrote"));
	CU_ASSERT_STRING_EQUAL(file_text(), "router id 1.1.1.1;\n");
	sl_diag_fini(&diag);
	sl_announce_destroy(other);
	announce_end();
}

static void
a_bird_that_refuses_is_said_and_asked_again(void)
{
	announce_begin();
	bird_listen();
	answers[0][1] = "0002-Reading configuration\n8002 bird.conf:7:1 syntax error\n";
	link_up();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, refusal_logged));
	CU_ASSERT_FALSE(wait_ms(400, told));
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, said_twice));
	CU_ASSERT_PTR_NULL(strstr(strstr(logged, "8002") + 4, "8002")); /* said once */
	answers[0][1] = "0002-Reading configuration\n0004 Reconfiguration in progress\n";
	answers[2][0] = "show status";
	answers[2][1] = "1000-BIRD\n0013 Reconfiguration in progress\n";
	CU_ASSERT_FALSE(wait_ms(1500, told)); /* BIRD still works at it */
	answers[2][1] = "1000-BIRD\n0013 Daemon is up and running\n";
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, told));
	/* a broken bird.conf does not keep all VIPs announced */
	answers[0][1] = "8002 bird.conf:7:1 syntax error\n";
	answers[3][0] = "disable \"sluice_vip*\"";
	answers[3][1] = "0009-sluice_vip4: disabled\n0000 \n";
	sl_announce_stopping(a, 3 * PATIENCE_MS, on_waited, NULL);
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_waited));
	CU_ASSERT_PTR_NULL(waited);
	CU_ASSERT_PTR_NOT_NULL(strstr(said, "disable"));
	announce_end();
}

static void
a_bird_that_does_not_include_the_file_is_told(void)
{
	announce_begin();
	bird_listen();
	answers[1][1] = "8003 No protocols match\n";
	link_up();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, missing_logged));
	CU_ASSERT_FALSE(wait_ms(300, told));
	sl_announce_wait(a, 100, on_waited, NULL);
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_waited));
	CU_ASSERT(waited && strstr(waited, "does bird.conf say include"));
	announce_end();
}

static void
a_drain_is_kept_and_a_stop_is_not(void)
{
	struct sl_diag diag = {0};
	bool changed = false;

	announce_begin();
	bird_listen();
	link_up();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, told));
	sl_announce_stopping(a, 3 * PATIENCE_MS, on_waited, NULL);
	CU_ASSERT_PTR_NULL(strstr(file_text(), "route")); /* before anything else happens */
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, is_waited));
	sl_announce_link(a, NULL, 0);
	link_up();
	CU_ASSERT_TRUE(wait_ms(PATIENCE_MS, told));
	CU_ASSERT_EQUAL(sl_announce_drain(a, true, "ann", 1, &changed, &diag), 0);
	CU_ASSERT_TRUE(changed && sl_announce_drained(a));
	CU_ASSERT_EQUAL(sl_announce_drain(a, true, "ann", 1, &changed, &diag), 0);
	CU_ASSERT_FALSE(changed);
	sl_announce_destroy(a);
	CU_ASSERT_EQUAL_FATAL(sl_announce_create(&loop, &conf, dir, &events, &diag, &a), 0);
	CU_ASSERT_TRUE(sl_announce_drained(a));
	sl_announce_table(a, table);
	link_up();
	CU_ASSERT_FALSE(wait_ms(400, told));
	CU_ASSERT_EQUAL(sl_announce_drain(a, false, "ann", 1, &changed, &diag), 0);
	CU_ASSERT_TRUE(changed && wait_ms(PATIENCE_MS, told));
	announce_end();
}

SL_SUITE("bird", SL_TEST(lines_are_read_in_any_pieces), SL_TEST(a_line_has_an_end_or_is_refused),
	 SL_TEST(nonsense_is_read_to_its_end_or_refused), SL_TEST(a_command_is_answered),
	 SL_TEST(a_bird_that_dies_or_is_away_is_found_again),
	 SL_TEST(whoever_is_no_bird_is_left_alone), SL_TEST(a_bird_that_hangs_is_given_up),
	 SL_TEST(bird_is_told_of_what_changes),
	 SL_TEST(a_restart_moves_nothing_until_it_is_known_what_is_there),
	 SL_TEST(a_file_of_somebody_else_is_left_alone),
	 SL_TEST(a_bird_that_refuses_is_said_and_asked_again),
	 SL_TEST(a_bird_that_does_not_include_the_file_is_told),
	 SL_TEST(a_drain_is_kept_and_a_stop_is_not))
