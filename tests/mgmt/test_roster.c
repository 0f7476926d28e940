/* The roster alone: what it makes of answers, whatever they are, and in whatever order they come. */
#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>
#include <time.h>

#include "mgmt/disk.h"
#include "tests/mgmt/told.h"
#include "tests/suite.h"

#include <jansson.h>

static uv_loop_t loop;
static struct sl_roster *roster;
static struct told told;
static struct sl_conf *conf;
static struct sl_diag notes;
static char dir[64];
static unsigned changes, states, lines;

static void
on_changed(void *ctx)
{
	(void)ctx;
	changes++;
}

static void
on_state(void *ctx, const char *service, const char *endpoint, bool drain, bool down,
	 unsigned percent, const char *why)
{
	(void)ctx;
	(void)service;
	(void)endpoint;
	(void)drain;
	(void)down;
	(void)percent;
	(void)why;
	states++;
}

static void
on_say(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
	lines++;
}

static void
start(void)
{
	struct sl_roster_conf rc = {.loop = &loop,
				    .state_dir = dir,
				    .locality = "",
				    .changed = on_changed,
				    .state = on_state,
				    .say = on_say};
	struct sl_diag diag = {0};

	if (sl_roster_create(&rc, &diag, &notes, &roster))
		abort();
	told_attach(&told, roster);
	changes = states = 0;
}

static void
stop(void)
{
	sl_roster_destroy(roster);
	roster = NULL;
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void
open_all(void)
{
	strcpy(dir, "/tmp/sluice-test-XXXXXX");
	if (!mkdtemp(dir))
		abort();
	uv_loop_init(&loop);
	conf = NULL;
	start();
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
close_all(void)
{
	stop();
	sl_conf_free(conf);
	sl_diag_fini(&notes);
	if (uv_loop_close(&loop))
		abort();
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
turn(void)
{
	for (unsigned i = 0; i < 3; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

static const char *listeners = ""; /* further ones */

/* A table with a service "web" of these keys. */
static struct sl_conf *
parse(const char *keys)
{
	struct sl_diag diag = {0};
	struct sl_conf *c;
	char *text;

	if (asprintf(&text,
		     "gateway = { name = \"edge\"; };\n"
		     "network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; }, "
		     "{ port = \"front\"; address = \"2001:db8::2/64\"; } ); routes = ( { prefix = "
		     "\"10.0.0.0/8\"; via = \"192.0.2.1\"; } ); };\n"
		     "services = ( { name = \"web\"; %s } );\n"
		     "listeners = ( { name = \"wide\"; address = \"10.9.0.0/16\"; port = 81; "
		     "protocol = \"udp\"; mode = \"l4\"; service = \"other\"; }, { name = \"one\"; "
		     "address "
		     "= \"192.0.2.15\"; port = 81; protocol = \"udp\"; mode = \"l4\"; service = "
		     "\"other\"; }%s );\n",
		     keys, listeners) < 0)
		abort();
	char *at = strstr(text, "} );\nlisteners"); /* behind the last service */
	char *whole;
	if (asprintf(&whole,
		     "%.*s}, { name = \"other\"; forward = \"nat\"; endpoints = ( { name = \"o\"; "
		     "address = \"192.0.2.250\"; port = 1; } ); %s",
		     (int)(at - text), text, at) < 0)
		abort();
	if (sl_conf_parse("t.conf", whole, strlen(whole), &diag, &c)) {
		printf("\n  %s: %s\n%s", diag.items[0].path, diag.items[0].text, whole);
		abort();
	}
	sl_diag_fini(&diag);
	free(text);
	free(whole);
	return c;
}

static void
table(const char *keys)
{
	struct sl_conf *old = conf;

	conf = parse(keys);
	CU_ASSERT_EQUAL_FATAL(sl_roster_table(roster, conf), 0);
	sl_conf_free(old);
	turn();
	changes = 0;
}

/* Names of web's endpoints now: "a b"; each configuration made has to pass the checks. */
static const char *
names(void)
{
	static char have[4096];
	struct sl_diag diag = {0};
	struct sl_conf *c = sl_roster_conf(roster, conf);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	CU_ASSERT_EQUAL(sl_conf_check("t.conf", c, &diag), 0);
	if (diag.cnt)
		printf("\n  %s: %s", diag.items[0].path, diag.items[0].text);
	sl_diag_fini(&diag);
	have[0] = 0;
	for (uint32_t i = 0; i < c->services[0].endpoint_cnt; i++)
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s", i ? " " : "",
			 c->services[0].endpoints[i].name);
	sl_roster_conf_free(c);
	return have;
}

static void
answer(const char *question, const char *text)
{
	static struct sl_source_endpoint e[TOLD_MAX];
	size_t n = told_parse(text, e, TOLD_MAX);
	uint32_t id = told_id(&told, "web", question);

	CU_ASSERT_FATAL(id != 0);
	told.sink->answer(told.sink->ctx, id, e, n, 0, "");
	turn();
}

static struct sl_roster_status
status(unsigned from)
{
	struct sl_roster_status s = {0};

	CU_ASSERT_EQUAL(sl_roster_find(roster, "web", from, &s), 0);
	return s;
}

#define ONE "forward = \"nat\"; max_endpoints = 4; discover = ( { source = \"registry\"; } );"
#define TWO                                                                                        \
	"forward = \"nat\"; max_endpoints = 4; discover = ( { source = \"registry\"; name = "      \
	"\"x\"; }, { source = \"registry\"; name = \"y\"; weight = 7; priority = 2; } );"

static void
flapping_changes_nothing_that_did_not_change(void)
{
	open_all();
	table(ONE);
	answer("", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT_EQUAL(changes, 1);
	uint32_t id = told_id(&told, "web", "");
	for (unsigned i = 0; i < 50; i++) {
		answer("", "");
		told.sink->trouble(told.sink->ctx, id, "gone");
		answer("", i % 2 ? "b=192.0.2.12/80 a=192.0.2.11/80"
				 : "a=192.0.2.11/80 b=192.0.2.12/80");
		told.sink->confirm(told.sink->ctx, id);
		CU_ASSERT_STRING_EQUAL(names(), "a b");
	}
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_EQUAL(states, 0);
	struct sl_roster_status s = status(1);
	CU_ASSERT_EQUAL(s.answers, 101);
	CU_ASSERT_EQUAL(s.troubles, 50);
	CU_ASSERT_EQUAL(s.trouble_ms, 0);
	CU_ASSERT_FALSE(s.kept);
	close_all();
}

static void
what_comes_within_one_turn_is_told_once(void)
{
	open_all();
	table(TWO);
	static struct sl_source_endpoint e[4];
	told.sink->answer(told.sink->ctx, told_id(&told, "web", "x"), e,
			  told_parse("a=192.0.2.11/80", e, 4), 0, "");
	told.sink->answer(told.sink->ctx, told_id(&told, "web", "y"), e,
			  told_parse("b=192.0.2.12/80", e, 4), 0, "");
	told.sink->answer(told.sink->ctx, told_id(&told, "web", "x"), e,
			  told_parse("c=192.0.2.13/80", e, 4), 0, "");
	turn();
	CU_ASSERT_EQUAL(changes, 1);
	CU_ASSERT_STRING_EQUAL(names(), "c b");
	close_all();
}

static void
of_more_than_there_is_room_for_those_that_are_there_stay(void)
{
	open_all();
	table(ONE);
	answer("", "m=192.0.2.11/80 n=192.0.2.12/80 o=192.0.2.13/80");
	CU_ASSERT_STRING_EQUAL(names(), "m n o");
	answer("", "a=192.0.2.14/80 b=192.0.2.18/80 m=192.0.2.11/80 n=192.0.2.12/80 "
		   "o=192.0.2.13/80 z=192.0.2.16/80");
	CU_ASSERT_STRING_EQUAL(names(), "a m n o");
	struct sl_roster_status s = status(1);
	CU_ASSERT_EQUAL(s.endpoints, 4);
	CU_ASSERT_EQUAL(s.left_out, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(s.why, "max_endpoints"));
	answer("", "a=192.0.2.14/80 b=192.0.2.18/80 m=192.0.2.11/80 o=192.0.2.13/80 "
		   "z=192.0.2.16/80");
	CU_ASSERT_STRING_EQUAL(names(), "a b m o");
	close_all();
}

static void
of_two_with_one_name_or_place_the_earlier_stays(void)
{
	open_all();
	table("forward = \"nat\"; endpoints = ( { name = \"own\"; address = \"192.0.2.50\"; port = "
	      "80; } ); discover = ( { source = \"registry\"; name = \"x\"; }, { source = "
	      "\"registry\"; name = \"y\"; } );");
	answer("y", "a=192.0.2.12/80 b=192.0.2.11/80 c=192.0.2.14/80 own=192.0.2.18/80 "
		    "same=192.0.2.50/80");
	CU_ASSERT_STRING_EQUAL(names(), "own a b c");
	answer("x", "a=192.0.2.11/80");
	CU_ASSERT_STRING_EQUAL(names(), "own a c"); /* b has a's place now */
	CU_ASSERT_EQUAL(status(2).left_out, 4);
	answer("x", "d=192.0.2.16/80");
	CU_ASSERT_STRING_EQUAL(names(), "own d a b c");
	close_all();
}

static void
the_table_says_weight_priority_and_port_where_the_source_does_not(void)
{
	open_all();
	table(TWO);
	answer("y", "a=192.0.2.12/80");
	struct sl_conf *c = sl_roster_conf(roster, conf);
	const struct sl_conf_endpoint *e = &c->services[0].endpoints[0];
	CU_ASSERT_EQUAL(e->weight, 7);
	CU_ASSERT_EQUAL(e->priority, 2);
	CU_ASSERT_EQUAL(e->from, 2);
	sl_roster_conf_free(c);
	close_all();
}

static void
where_families_mix_all_gateways_take_ipv4(void)
{
	open_all();
	table("forward = \"proxy\"; discover = ( { source = \"registry\"; name = \"x\"; }, { "
	      "source = \"registry\"; name = \"y\"; } );");
	answer("x", "six=2001:db8::11/80");
	CU_ASSERT_STRING_EQUAL(names(), "six");
	answer("y", "four=192.0.2.11/80 six=2001:db8::12/80");
	CU_ASSERT_STRING_EQUAL(names(), "four");
	answer("y", "other=2001:db8::12/80");
	CU_ASSERT_STRING_EQUAL(names(), "six other");
	close_all();
}

/* Answers of any order and kind, to services of all kinds: what comes out passes the checks (names does), has no more than
 * allowed, and is the same where the same was said last. */
static void
whatever_is_answered_what_comes_out_passes_the_checks(void)
{
	static const char *const kinds[] = {
		"forward = \"nat\"; max_endpoints = 9;",
		"forward = \"dsr\"; max_endpoints = 9;",
		"forward = \"proxy\"; max_endpoints = 9;",
		"forward = \"ipip\"; max_endpoints = 9;",
		"forward = \"fullnat\"; max_endpoints = 9; sources = ( \"192.0.2.19\" );",
		"forward = \"nat\"; max_endpoints = 9; health = { type = \"tcp\"; };",
	};
	static const char *const places[] = {
		"192.0.2",   "192.0.2",   "10.1.2", "10.9.3",    "127.0.0", "224.0.0",
		"203.0.113", "2001:db8:", "fe80:",  "2001:db9:", "0.0.0",   "255.255.255"};
	uint64_t rng = 11;

	open_all();
	for (unsigned round = 0; round < 600; round++) {
		char keys[512], text[4096] = "";
		if (round % 100 == 0) {
			snprintf(keys, sizeof(keys),
				 "%s discover = ( { source = \"registry\"; name = \"x\"; }, { "
				 "source = \"registry\"; name = \"y\"; empty = \"accept\"; } );",
				 kinds[round / 100]);
			bool keeps = strstr(keys, "dsr") || strstr(keys, "ipip");
			listeners = keeps ? ", { name = \"web\"; address = \"203.0.113.9\"; port = "
					    "80; protocol = \"tcp\"; mode = \"l4\"; service = "
					    "\"web\"; }"
					  : "";
			table(keys);
			listeners = "";
		}
		unsigned cnt = (unsigned)(rng >> 40) % 14;
		for (unsigned i = 0; i < cnt; i++) {
			rng = rng * 6364136223846793005u + 1442695040888963407u;
			const char *place = places[(rng >> 33) % SL_ARRAY_CNT(places)];
			unsigned port = (rng >> 50) % 4 ? 80 + (rng >> 55) % 2 : 0;
			snprintf(text + strlen(text), sizeof(text) - strlen(text), "n%u=%s%s%u/%u ",
				 (unsigned)(rng >> 38) % 16, place, strchr(place, ':') ? ":" : ".",
				 (unsigned)(rng >> 44) % 20 + 1, port);
		}
		rng = rng * 6364136223846793005u + 1442695040888963407u;
		answer(rng >> 63 ? "x" : "y", text);
		char *was = strdup(names());
		answer(rng >> 63 ? "x" : "y", text);
		CU_ASSERT_STRING_EQUAL(names(), was);
		free(was);
	}
	close_all();
}

static void
a_dropped_question_keeps_its_answer_for_when_it_is_asked_again(void)
{
	open_all();
	table(ONE);
	answer("", "a=192.0.2.11/80");
	table("forward = \"nat\"; endpoints = ( { name = \"own\"; address = \"192.0.2.50\"; port = "
	      "80; } );");
	CU_ASSERT_EQUAL(told.drops, 1);
	CU_ASSERT_STRING_EQUAL(names(), "own");
	table(ONE);
	CU_ASSERT_EQUAL(told.asks, 2);
	CU_ASSERT_STRING_EQUAL(names(), "a");
	/* an answer under an id of before is nobody's */
	static struct sl_source_endpoint e[4];
	told.sink->answer(told.sink->ctx, 4711, e, told_parse("z=192.0.2.12/80", e, 4), 0, "");
	told.sink->answer(told.sink->ctx, 0, e, 1, 0, "");
	turn();
	CU_ASSERT_STRING_EQUAL(names(), "a");
	close_all();
}

/* ---- disk ---- */

static int64_t
wall_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The files of answers, by name; returns their number. */
static unsigned
files(char path[][512], unsigned most)
{
	char sub[128];
	struct dirent *e;
	unsigned n = 0;

	snprintf(sub, sizeof(sub), "%s/roster", dir);
	DIR *d = opendir(sub);
	while (d && (e = readdir(d)) && n < most)
		if (e->d_name[0] != '.')
			snprintf(path[n++], 512, "%s/%s", sub, e->d_name);
	if (d)
		closedir(d);
	return n;
}

static void
write_file(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	CU_ASSERT_FATAL(f && fwrite(text, 1, len, f) == len);
	fclose(f);
}

static void
an_answer_cut_anywhere_is_left_out_and_told(void)
{
	char path[4][512], *text;
	size_t len;

	open_all();
	table(ONE);
	answer("", "a=192.0.2.11/80! b=192.0.2.12/80");
	stop();
	CU_ASSERT_EQUAL_FATAL(files(path, 4), 1);
	CU_ASSERT_EQUAL_FATAL(sl_disk_read(path[0], 1 << 20, &text, &len, NULL), 0);
	for (size_t cut = 0; cut < len - 1; cut += 7) {
		write_file(path[0], text, cut);
		sl_diag_fini(&notes);
		notes = (struct sl_diag){0};
		start();
		CU_ASSERT_EQUAL(sl_roster_table(roster, conf), 0);
		CU_ASSERT_STRING_EQUAL(names(), "");
		CU_ASSERT_EQUAL(notes.cnt, 1);
		stop();
	}
	for (size_t at = 3; at < len - 1; at += 5) { /* a byte turned over */
		text[at] ^= 1;
		write_file(path[0], text, len);
		text[at] ^= 1;
		start();
		CU_ASSERT_EQUAL(sl_roster_table(roster, conf), 0);
		CU_ASSERT_STRING_EQUAL(names(), "");
		stop();
	}
	write_file(path[0], text, len);
	start();
	CU_ASSERT_EQUAL(sl_roster_table(roster, conf), 0);
	CU_ASSERT_STRING_EQUAL(names(), "a b");
	CU_ASSERT_EQUAL(states, 1);
	free(text);
	close_all();
}

/* The file with another time, and a checksum that fits. */
static void
set_time(const char *path, int64_t ms)
{
	char *text, *inner, hex[65];
	size_t len;

	CU_ASSERT_EQUAL_FATAL(sl_disk_read(path, 1 << 20, &text, &len, NULL), 0);
	json_t *o = json_loadb(text, len, 0, NULL), *a = json_object_get(o, "answer");
	json_object_set_new(a, "time", json_integer(ms));
	inner = json_dumps(a, JSON_COMPACT | JSON_SORT_KEYS);
	sl_disk_sum(inner, strlen(inner), hex);
	json_object_set_new(o, "sum", json_string(hex));
	char *whole = json_dumps(o, JSON_COMPACT);
	write_file(path, whole, strlen(whole));
	json_decref(o);
	free(text);
	free(inner);
	free(whole);
}

static void
an_age_is_never_below_zero_whatever_the_clock_was(void)
{
	char path[4][512];

	open_all();
	table(ONE);
	answer("", "a=192.0.2.11/80");
	stop();
	CU_ASSERT_EQUAL_FATAL(files(path, 4), 1);
	set_time(path[0], wall_ms() + 86400000); /* the clock was a day ahead */
	start();
	CU_ASSERT_EQUAL(sl_roster_table(roster, conf), 0);
	CU_ASSERT_STRING_EQUAL(names(), "a");
	int64_t good = status(1).good_ms;
	CU_ASSERT(good > wall_ms() - 10000 && good <= wall_ms());
	stop();
	set_time(path[0], wall_ms() - 3600000); /* or the answer is an hour old */
	start();
	CU_ASSERT_EQUAL(sl_roster_table(roster, conf), 0);
	good = status(1).good_ms;
	CU_ASSERT(good > wall_ms() - 3610000 && good <= wall_ms() - 3600000);
	close_all();
}

static void
of_two_files_the_newer_counts(void)
{
	char path[4][512];

	open_all();
	for (unsigned i = 0; i < 5; i++) {
		char text[32];
		if (i == 0)
			table(ONE);
		else
			CU_ASSERT_EQUAL(sl_roster_table(roster, conf), 0);
		snprintf(text, sizeof(text), "a%u=192.0.2.11/80", i);
		answer("", text);
		stop();
		CU_ASSERT_EQUAL(files(path, 4), i ? 2 : 1);
		start();
	}
	CU_ASSERT_EQUAL(sl_roster_table(roster, conf), 0);
	CU_ASSERT_STRING_EQUAL(names(), "a4");
	close_all();
}

SL_SUITE("roster", SL_TEST(flapping_changes_nothing_that_did_not_change),
	 SL_TEST(what_comes_within_one_turn_is_told_once),
	 SL_TEST(of_more_than_there_is_room_for_those_that_are_there_stay),
	 SL_TEST(of_two_with_one_name_or_place_the_earlier_stays),
	 SL_TEST(the_table_says_weight_priority_and_port_where_the_source_does_not),
	 SL_TEST(where_families_mix_all_gateways_take_ipv4),
	 SL_TEST(whatever_is_answered_what_comes_out_passes_the_checks),
	 SL_TEST(a_dropped_question_keeps_its_answer_for_when_it_is_asked_again),
	 SL_TEST(an_answer_cut_anywhere_is_left_out_and_told),
	 SL_TEST(an_age_is_never_below_zero_whatever_the_clock_was),
	 SL_TEST(of_two_files_the_newer_counts))
