/* Endpoints that a source answers, through a whole daemon: into the table that the dataplane has, and over restarts. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/mgmt/fixture.h"
#include "tests/mgmt/told.h"
#include "tests/suite.h"

static struct fixture f;
static struct told told;

static char *
table(const char *source, const char *keys, const char *endpoints)
{
	char *text;

	if (asprintf(&text,
		     "gateway = { name = \"edge\"; };\n"
		     "network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } "
		     "); };\n"
		     "services = ( { name = \"web\"; forward = \"nat\"; max_endpoints = 8; "
		     "discover = ( { source = \"%s\"; %s } );\n  endpoints = ( %s ); } );\n"
		     "listeners = ( { name = \"web-v4\"; address = \"203.0.113.10\"; port = 80; "
		     "protocol = \"tcp\"; mode = \"l4\"; service = \"web\"; } );\n",
		     source, keys, endpoints) < 0)
		abort();
	return text;
}

static json_t *
push(const char *keys, const char *endpoints)
{
	char *text = table("registry", keys, endpoints);
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text));

	free(text);
	return a;
}

static void
push_ok(const char *keys, const char *endpoints)
{
	json_t *a = push(keys, endpoints);

	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	json_decref(a);
}

static void
open_all(void)
{
	fixture_open(&f);
	told_attach(&told, f.daemon.roster);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
}

static const char *want; /* endpoints of the active table: "web-1 web-2" */

/* Names of web's endpoints in the active table, that the dataplane runs. */
static bool
has_wanted(struct fixture *x)
{
	const struct sl_table *t = sl_tables_active(x->daemon.tables);
	char have[4096] = "";

	if (!t || sl_tables_running(x->daemon.tables) != t->number)
		return false;
	for (uint32_t i = 0; i < t->conf->services[0].endpoint_cnt; i++)
		snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%s", i ? " " : "",
			 t->conf->services[0].endpoints[i].name);
	return strcmp(have, want) == 0;
}

static bool
becomes(const char *names)
{
	want = names;
	bool good = fixture_wait(&f, has_wanted);
	if (!good) {
		const struct sl_table *t = sl_tables_active(f.daemon.tables);
		printf("\n  wanted \"%s\", have %u, running %lu of %lu:", names,
		       t ? t->conf->services[0].endpoint_cnt : 0,
		       (unsigned long)sl_tables_running(f.daemon.tables),
		       t ? (unsigned long)t->number : 0);
	}
	return good;
}

static void
an_answer_becomes_a_revision_of_the_push(void)
{
	open_all();
	push_ok("", "");
	CU_ASSERT(becomes(""));
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(becomes("a b"));
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	CU_ASSERT_EQUAL(t->number, 2);
	CU_ASSERT_EQUAL(t->push->number, 1);
	CU_ASSERT_EQUAL(f.dp.generation, 2);
	CU_ASSERT_EQUAL(f.dp.bad, 0);
	CU_ASSERT_PTR_NOT_NULL(sl_oper_find(f.daemon.oper, "web", "b"));
	/* generations are pushes */
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "generations"));
	CU_ASSERT_EQUAL(json_array_size(json_object_get(a, "generations")), 1);
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	json_t *g = json_object_get(a, "generation");
	CU_ASSERT_EQUAL(answer_int(g, "active"), 2);
	CU_ASSERT_EQUAL(answer_int(g, "push"), 1);
	CU_ASSERT_EQUAL(answer_int(g, "pending"), 0);
	json_decref(a);
	fixture_close(&f);
}

static void
a_push_begins_with_the_endpoints_of_now(void)
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(becomes("a b"));
	unsigned offers = f.dp.offers;
	push_ok("", "{ name = \"own\"; address = \"192.0.2.20\"; port = 80; }");
	CU_ASSERT(becomes("own a b"));
	CU_ASSERT_EQUAL(f.dp.offers, offers + 1);
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	CU_ASSERT_EQUAL(t->push->number, 3); /* 2 was the revision */
	CU_ASSERT_EQUAL(told.asks, 1);       /* the question is the same */
	/* back to the first push, not to the revision */
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "rollback"));
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	CU_ASSERT_EQUAL(answer_int(a, "rollback_of"), 1);
	json_decref(a);
	CU_ASSERT(becomes("a b"));
	fixture_close(&f);
}

static void
nothing_that_a_source_does_empties_a_service(void)
{
	static const char *const nonsense[] = {
		"",
		"x=203.0.113.10/80",                /* the listener's address */
		"x=198.51.100.1/80",                /* no route leads there */
		"x=192.0.2.2/80 y=192.0.2.2/81",    /* the gateway's own */
		"x=2001:db8::1/80",                 /* the service is IPv4 */
		"x=127.0.0.1/80 y=224.0.0.1/80",    /* no host has them */
		"-=192.0.2.11/80 _b=192.0.2.12/80", /* no names */
	};

	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(becomes("a b"));
	unsigned offers = f.dp.offers;
	for (unsigned i = 0; i < SL_ARRAY_CNT(nonsense); i++) {
		struct sl_roster_status s;
		told_answer(&told, "web", nonsense[i]);
		told.sink->trouble(told.sink->ctx, told_id(&told, "web", ""), "it is away");
		CU_ASSERT(becomes("a b"));
		CU_ASSERT_EQUAL(sl_roster_find(f.daemon.roster, "web", 1, &s), 0);
		CU_ASSERT(s.kept);
		CU_ASSERT_EQUAL(s.endpoints, 2);
		CU_ASSERT(s.trouble_ms > 0);
	}
	/* one that can be used beside nonsense is believed */
	told_answer(&told, "web", "x=203.0.113.10/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("c"));
	CU_ASSERT_EQUAL(f.dp.offers, offers + 1);
	fixture_close(&f);
}

static void
an_empty_answer_is_believed_where_the_table_says_so(void)
{
	open_all();
	push_ok("empty = \"accept\";", "");
	told_answer(&told, "web", "a=192.0.2.11/80");
	CU_ASSERT(becomes("a"));
	told_answer(&told, "web", "x=203.0.113.10/80"); /* but not nonsense */
	CU_ASSERT(becomes("a"));
	told_answer(&told, "web", "");
	CU_ASSERT(becomes(""));
	fixture_close(&f);
}

static bool
refused_once(struct fixture *x)
{
	struct sl_tables_revisions n;

	sl_tables_revisions(x->daemon.tables, &n);
	return n.refused == 1;
}

static bool
refused_twice(struct fixture *x)
{
	struct sl_tables_revisions n;

	sl_tables_revisions(x->daemon.tables, &n);
	return n.refused == 2;
}

static void
turn_for(uint64_t ms)
{
	for (uint64_t end = uv_hrtime() + ms * 1000000; uv_hrtime() < end;)
		uv_run(&f.loop, UV_RUN_NOWAIT);
}

/* b is refused, and then c told: whether that was soon enough to be no trial of b again. */
static bool
change_is_at_once(void)
{
	uint64_t begun = uv_hrtime();

	f.dp.refuse = "no";
	f.dp.refuse_cnt = 1;
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(fixture_wait(&f, refused_once));
	CU_ASSERT(becomes("a"));
	CU_ASSERT_EQUAL(f.dp.generation, 2);
	unsigned offers = f.dp.offers;
	turn_for(200);
	bool again = f.dp.offers != offers;
	told_answer(&told, "web", "a=192.0.2.11/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("a c"));
	return !again && uv_hrtime() - begun < SL_TABLES_RETRY_MS * 1000000;
}

/* Once of three times: where the machine stood still nobody can tell. */
static void
a_refused_revision_leaves_the_active_one_and_a_change_goes_at_once(void)
{
	bool once = false;

	for (unsigned i = 0; i < 3 && !once; i++) {
		open_all();
		push_ok("", "");
		told_answer(&told, "web", "a=192.0.2.11/80");
		CU_ASSERT(becomes("a"));
		once = change_is_at_once();
		json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
		CU_ASSERT_EQUAL(answer_int(json_object_get(a, "generation"), "push"), 1);
		json_decref(a);
		fixture_close(&f);
	}
	CU_ASSERT(once);
}

/* Twice: 1 s later and 2 s after that, though nothing changes at the source. */
static void
a_refused_revision_is_tried_again_later(void)
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80");
	CU_ASSERT(becomes("a"));
	f.dp.refuse = "no";
	f.dp.refuse_cnt = 2;
	uint64_t begun = uv_hrtime();
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(fixture_wait(&f, refused_twice));
	CU_ASSERT(becomes("a b"));
	CU_ASSERT(uv_hrtime() - begun >= 2900000000u);
	fixture_close(&f);
}

/* a runs, and the dataplane refuses everything from then on: b, until so. */
static void
b_is_refused(bool (*so)(struct fixture *x))
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80");
	CU_ASSERT(becomes("a"));
	f.dp.refuse = "no";
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(fixture_wait(&f, so));
}

/* The new one is offered what ran, which it takes; what the old one refused comes behind it, and does not wait. */
static void
a_revision_that_one_dataplane_refused_is_offered_to_the_next(void)
{
	b_is_refused(refused_twice);
	uint64_t begun = uv_hrtime();
	fixture_dp_stop(&f);
	fixture_dp_start(&f, 2);
	CU_ASSERT(becomes("a b"));
	/* where the machine stood still, it may have been time to try again before anybody came */
	bool late = uv_hrtime() - begun > 1500 * 1000000ull;
	CU_ASSERT((late || f.dp.offers == 2) && f.dp.bad == 0);
	fixture_close(&f);
}

/* Though the next one refuses what ran: with b it might run. */
static void
what_is_owed_is_tried_where_the_table_before_it_is_refused(void)
{
	struct sl_tables_revisions n;

	b_is_refused(refused_once);
	fixture_dp_stop(&f);
	fixture_dp_start(&f, 2);
	f.dp.refuse = "no";
	CU_ASSERT(fixture_wait(&f, refused_twice));
	f.dp.refuse = NULL;
	CU_ASSERT(becomes("a b"));
	sl_tables_revisions(f.daemon.tables, &n);
	CU_ASSERT(n.refused == 2 || n.refused == 3);
	fixture_close(&f);
}

/* Of its retries those that come while no dataplane is there are none. */
static void
a_refused_revision_outlives_a_while_without_a_dataplane(void)
{
	b_is_refused(refused_once);
	fixture_dp_stop(&f);
	turn_for(3200);
	fixture_dp_start(&f, 1);
	CU_ASSERT(becomes("a b"));
	fixture_close(&f);
}

static void
a_source_that_sluiced_does_not_have_is_refused_by_name(void)
{
	open_all();
	push_ok("", "");
	char *text = table("resistry", "", "");
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text));
	free(text);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "config");
	const json_t *p = json_array_get(json_object_get(a, "problems"), 0);
	const char *path = json_string_value(json_object_get(p, "path"));
	CU_ASSERT(path && strcmp(path, "services[0].discover[0].source") == 0);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(p, "line")), 3);
	json_decref(a);
	CU_ASSERT_EQUAL(f.dp.generation, 1);
	fixture_close(&f);
}

static void
drain_down_and_percent_go_to_the_state_word_without_a_generation(void)
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("a b c"));
	unsigned offers = f.dp.offers;
	told_answer(&told, "web", "a=192.0.2.11/80! b=192.0.2.12/80~ c=192.0.2.13/80%50");
	const struct sl_oper_endpoint *a = sl_oper_find(f.daemon.oper, "web", "a");
	const struct sl_oper_endpoint *b = sl_oper_find(f.daemon.oper, "web", "b");
	const struct sl_oper_endpoint *c = sl_oper_find(f.daemon.oper, "web", "c");
	CU_ASSERT(sl_state_flags(sl_oper_word(f.daemon.oper, a)) & SL_ST_UNHEALTHY);
	CU_ASSERT(sl_state_flags(sl_oper_word(f.daemon.oper, b)) & SL_ST_DRAIN);
	CU_ASSERT_EQUAL(sl_state_fraction(sl_oper_word(f.daemon.oper, c)), 128);
	CU_ASSERT(becomes("a b c"));
	CU_ASSERT_EQUAL(f.dp.offers, offers);
	/* an endpoint that is said no more takes its state with it */
	told_answer(&told, "web", "b=192.0.2.12/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("b c"));
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("a b c"));
	a = sl_oper_find(f.daemon.oper, "web", "a");
	CU_ASSERT_FALSE(sl_state_flags(sl_oper_word(f.daemon.oper, a)) & SL_ST_UNHEALTHY);
	fixture_close(&f);
}

/* Flags of an endpoint's word; UINT16_MAX: there is none. */
static unsigned
flags_of(const char *name)
{
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", name);

	return e ? sl_state_flags(sl_oper_word(f.daemon.oper, e)) : UINT16_MAX;
}

static void
states_that_would_leave_nobody_are_not_believed(void)
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80!");
	CU_ASSERT(becomes("a b"));
	CU_ASSERT_EQUAL(flags_of("b"), SL_ST_UNHEALTHY);
	/* all down: all take flows */
	told_answer(&told, "web", "a=192.0.2.11/80! b=192.0.2.12/80!");
	CU_ASSERT_EQUAL(flags_of("a"), 0);
	CU_ASSERT_EQUAL(flags_of("b"), 0);
	/* one that serves, and is on its way out, before those that do not */
	told_answer(&told, "web", "a=192.0.2.11/80~ b=192.0.2.12/80!");
	CU_ASSERT_EQUAL(flags_of("a"), 0);
	CU_ASSERT_EQUAL(flags_of("b"), SL_ST_UNHEALTHY);
	/* a share of nothing is no share */
	told_answer(&told, "web", "a=192.0.2.11/80%0 b=192.0.2.12/80!");
	const struct sl_oper_endpoint *a = sl_oper_find(f.daemon.oper, "web", "a");
	CU_ASSERT_EQUAL(sl_state_fraction(sl_oper_word(f.daemon.oper, a)), SL_FRACTION_WHOLE);
	/* somebody is back: words count again */
	told_answer(&told, "web", "a=192.0.2.11/80~ b=192.0.2.12/80");
	CU_ASSERT_EQUAL(flags_of("a"), SL_ST_DRAIN);
	CU_ASSERT_EQUAL(flags_of("b"), 0);
	/* who says that nobody may be is believed, and the table's own endpoints are somebody */
	told_answer(&told, "web", "a=192.0.2.11/80! b=192.0.2.12/80!");
	push_ok("empty = \"accept\";", "");
	CU_ASSERT_EQUAL(flags_of("a"), SL_ST_UNHEALTHY);
	push_ok("", "{ name = \"own\"; address = \"192.0.2.20\"; port = 80; }");
	CU_ASSERT_EQUAL(flags_of("b"), SL_ST_UNHEALTHY);
	push_ok("", "");
	CU_ASSERT_EQUAL(flags_of("b"), 0);
	fixture_close(&f);
}

static void
a_restart_without_sources_serves_what_was_known(void)
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80!");
	CU_ASSERT(becomes("a b"));
	uint64_t generation = f.dp.generation;
	struct sl_obj_id root = f.dp.root;
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f); /* nobody answers */
	f.dp.state = NULL;
	fixture_dp_start(&f, 1);
	f.dp.generation = generation;
	f.dp.root = root;
	CU_ASSERT(becomes("a b"));
	CU_ASSERT_EQUAL(f.dp.offers, 0); /* the same bytes: nothing to offer */
	const struct sl_oper_endpoint *b = sl_oper_find(f.daemon.oper, "web", "b");
	CU_ASSERT(b && sl_state_flags(sl_oper_word(f.daemon.oper, b)) & SL_ST_UNHEALTHY);
	/* a new dataplane gets them, too */
	fixture_dp_stop(&f);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
	fixture_dp_start(&f, 2);
	CU_ASSERT(becomes("a b"));
	CU_ASSERT_EQUAL(f.dp.offers, 1);
	/* and the source goes on from there */
	told_attach(&told, f.daemon.roster);
	CU_ASSERT_EQUAL(told.asks, 1);
	told_answer(&told, "web", "b=192.0.2.12/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("b c"));
	fixture_close(&f);
}

/* What was on disk is older than what the dataplane has: it goes on with that until the source has spoken. */
static void
a_restart_with_an_older_answer_on_disk_takes_nothing_away(void)
{
	char from[128], to[128], command[600];

	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80");
	CU_ASSERT(becomes("a"));
	snprintf(from, sizeof(from), "%s/state/roster", f.dir);
	snprintf(to, sizeof(to), "%s/older", f.dir);
	fixture_daemon_stop(&f); /* writes */
	snprintf(command, sizeof(command), "cp -r %s %s", from, to);
	CU_ASSERT_EQUAL_FATAL(system(command), 0);
	fixture_daemon_start(&f);
	told_attach(&told, f.daemon.roster);
	fixture_dp_start(&f, 1);
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(becomes("a b"));
	uint64_t generation = f.dp.generation;
	struct sl_obj_id root = f.dp.root;
	fixture_daemon_stop(&f);
	snprintf(command, sizeof(command), "rm -r %s && mv %s %s", from, to, from);
	CU_ASSERT_EQUAL_FATAL(system(command), 0); /* as if killed before it was written */
	fixture_daemon_start(&f);
	told_attach(&told, f.daemon.roster);
	fixture_dp_start(&f, 1);
	f.dp.generation = generation;
	f.dp.root = root;
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	for (uint64_t end = uv_hrtime() + 300000000; uv_hrtime() < end;)
		uv_run(&f.loop, UV_RUN_NOWAIT);
	CU_ASSERT_EQUAL(f.dp.offers, 0);
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(becomes("a b"));
	CU_ASSERT_EQUAL(f.dp.offers, 0); /* b has its slot and incarnation: the same bytes */
	told_answer(&told, "web", "a=192.0.2.11/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("a c"));
	fixture_close(&f);
}

/* But for ever it does not wait. */
static void
a_source_that_does_not_speak_holds_up_a_restart_for_two_seconds(void)
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80");
	CU_ASSERT(becomes("a"));
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	told_attach(&told, f.daemon.roster);
	fixture_dp_start(&f, 1);
	f.dp.generation = 50; /* something else */
	uint64_t begin = uv_hrtime();
	CU_ASSERT(becomes("a"));
	double ms = (double)(uv_hrtime() - begin) / 1e6;
	CU_ASSERT(ms > SL_TABLES_SETTLE_MS / 2.0);
	CU_ASSERT_EQUAL(f.dp.offers, 1);
	fixture_close(&f);
}

static void
other_questions_take_over_once_they_are_answered(void)
{
	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	CU_ASSERT(becomes("a b"));
	push_ok("name = \"elsewhere\";", "");
	CU_ASSERT(becomes("a b"));
	CU_ASSERT_EQUAL(told_id(&told, "web", ""), told_id(&told, "web", "elsewhere"));
	told_answer(&told, "web", "");
	CU_ASSERT(becomes("a b"));
	told_answer(&told, "web", "c=192.0.2.13/80");
	CU_ASSERT(becomes("c"));
	push_ok("name = \"elsewhere\";", "");
	CU_ASSERT(becomes("c"));
	fixture_close(&f);
}

static bool
offered(struct fixture *x)
{
	return x->dp.offered > x->dp.generation;
}

/* sluiced is killed after the offer; the dataplane took it: flows of `b` carry slot and incarnation of that revision. */
static void
what_was_offered_is_known_after_a_kill(void)
{
	struct sl_placed at, again;

	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("a b c"));
	told_answer(&told, "web", "b=192.0.2.12/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("b c"));
	f.dp.silent = true;
	told_answer(&told, "web", "a=192.0.2.11/80 c=192.0.2.13/80 d=192.0.2.14/80");
	CU_ASSERT(fixture_wait(&f, offered));
	uint64_t generation = f.dp.offered;
	struct sl_obj_id root = f.dp.offered_root;
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	const struct sl_conf_service *s = &t->conf->services[0];
	CU_ASSERT_EQUAL_FATAL(s->endpoint_cnt, 3);
	CU_ASSERT_EQUAL(sl_slot_find_endpoint(&t->map, s, &s->endpoints[0], &at), 0);
	CU_ASSERT_EQUAL(at.incarnation, 1); /* a has a slot never used: its old one would be 2 */
	CU_ASSERT_EQUAL(sl_slot_find_endpoint(&t->map, s, &s->endpoints[2], &again), 0);
	CU_ASSERT(again.slot != at.slot);
	fixture_dp_start(&f, 1);
	f.dp.generation = generation;
	f.dp.root = root;
	CU_ASSERT(becomes("a c d"));
	CU_ASSERT_EQUAL(f.dp.offers, 0);
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->number, generation);
	fixture_close(&f);
}

static void
slots_come_back_from_the_journal_when_slots_json_is_damaged(void)
{
	char path[128];

	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80 c=192.0.2.13/80");
	CU_ASSERT(becomes("a b c"));
	told_answer(&told, "web", "b=192.0.2.12/80 d=192.0.2.14/80");
	CU_ASSERT(becomes("b d"));
	push_ok("", "{ name = \"own\"; address = \"192.0.2.20\"; port = 80; }"); /* slots.json */
	told_answer(&told, "web", "c=192.0.2.13/80 d=192.0.2.14/80");
	CU_ASSERT(becomes("own c d"));
	uint64_t generation = f.dp.generation;
	struct sl_obj_id root = f.dp.root;
	fixture_daemon_stop(&f);
	snprintf(path, sizeof(path), "%s/state/slots.json", f.dir);
	CU_ASSERT_EQUAL(truncate(path, 40), 0);
	fixture_daemon_start(&f);
	CU_ASSERT(f.daemon.notes.cnt > 0);
	fixture_dp_start(&f, 1);
	f.dp.generation = generation;
	f.dp.root = root;
	CU_ASSERT(becomes("own c d"));
	CU_ASSERT_EQUAL(f.dp.offers, 0);
	fixture_close(&f);
}

static void
a_long_journal_gives_way_to_slots_json(void)
{
	char path[128], text[64];
	struct stat st;

	fixture_open(&f);
	fixture_daemon_stop(&f);
	f.conf.journal_bytes = 1000;
	fixture_daemon_start(&f);
	told_attach(&told, f.daemon.roster);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	push_ok("", "");
	snprintf(path, sizeof(path), "%s/state/slots.journal", f.dir);
	off_t largest = 0, last = 0;
	for (unsigned i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "a%u=192.0.2.11/80", i);
		told_answer(&told, "web", text);
		CU_ASSERT(becomes(strtok(text, "=")));
		CU_ASSERT(stat(path, &st) == 0);
		last = st.st_size;
		largest = SL_MAX(largest, last);
	}
	CU_ASSERT(largest > 1000 && last < largest); /* it began anew */
	uint64_t generation = f.dp.generation;
	struct sl_obj_id root = f.dp.root;
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 1);
	f.dp.generation = generation;
	f.dp.root = root;
	CU_ASSERT(becomes("a39"));
	CU_ASSERT_EQUAL(f.dp.offers, 0);
	fixture_close(&f);
}

static void
without_a_dataplane_the_table_waits_with_the_endpoints_of_now(void)
{
	fixture_open(&f);
	told_attach(&told, f.daemon.roster);
	json_t *a = push("", "");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "pending");
	json_decref(a);
	told_answer(&told, "web", "a=192.0.2.11/80");
	told_answer(&told, "web", "a=192.0.2.11/80 b=192.0.2.12/80");
	for (uint64_t end = uv_hrtime() + 200000000; uv_hrtime() < end;)
		uv_run(&f.loop, UV_RUN_NOWAIT);
	fixture_dp_start(&f, 1);
	CU_ASSERT(becomes("a b"));
	CU_ASSERT_EQUAL(f.dp.offers, 1);
	/* the dataplane goes while a revision is on offer, and another one comes */
	f.dp.silent = true;
	told_answer(&told, "web", "c=192.0.2.13/80");
	CU_ASSERT(fixture_wait(&f, offered));
	fixture_dp_stop(&f);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
	told_answer(&told, "web", "d=192.0.2.14/80");
	fixture_dp_start(&f, 2);
	CU_ASSERT(becomes("d"));
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "generations"));
	CU_ASSERT_EQUAL(json_array_size(json_object_get(a, "generations")), 1);
	json_decref(a);
	fixture_close(&f);
}

static void
there_are_at_most_twenty_revisions_a_second(void)
{
	struct sl_tables_revisions n;
	char text[64];
	unsigned said = 0;

	open_all();
	push_ok("", "");
	told_answer(&told, "web", "a=192.0.2.11/80");
	CU_ASSERT(becomes("a"));
	sl_tables_revisions(f.daemon.tables, &n);
	uint64_t before = n.active, begin = uv_hrtime();
	while (uv_hrtime() < begin + 500000000) {
		snprintf(text, sizeof(text), "a%u=192.0.2.11/80", said++);
		told_answer(&told, "web", text);
		uv_run(&f.loop, UV_RUN_NOWAIT);
	}
	snprintf(text, sizeof(text), "a%u", said - 1);
	CU_ASSERT(becomes(text)); /* the last one is not lost */
	double ms = (double)(uv_hrtime() - begin) / 1e6;
	sl_tables_revisions(f.daemon.tables, &n);
	CU_ASSERT(n.active - before >= 2);
	CU_ASSERT((double)(n.active - before) <= ms / SL_TABLES_REVISE_MS + 1);
	fixture_close(&f);
}

/* ---- a thousand services ---- */

#define SERVICES 1000
static uint32_t oldest[SERVICES]; /* number of its first endpoint */

static char *
wide_table(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&text, &len);

	fprintf(m, "gateway = { name = \"edge\"; };\n"
		   "network = { addresses = ( { port = \"front\"; address = \"10.255.0.1/8\"; } ); "
		   "};\nservices = (\n");
	for (unsigned i = 0; i < SERVICES; i++)
		fprintf(m,
			"%s{ name = \"s%u\"; forward = \"nat\"; max_endpoints = 8; discover = ( { "
			"source = \"registry\"; port = 80; } ); }",
			i ? ",\n" : "", i);
	fprintf(m, ");\nlisteners = ( { name = \"web-v4\"; address = \"203.0.113.10\"; port = 80; "
		   "protocol = \"tcp\"; mode = \"l4\"; service = \"s0\"; } );\n");
	fclose(m);
	return text;
}

/* Service i has five endpoints, e<oldest> and those after it. */
static void
tell_wide(unsigned i)
{
	static struct sl_source_endpoint e[5];
	char service[16];

	snprintf(service, sizeof(service), "s%u", i);
	for (unsigned k = 0; k < 5; k++) {
		uint32_t n = oldest[i] + k, at = i * 32 + n % 32;
		const uint8_t a[4] = {10, 1, (uint8_t)(at >> 8), (uint8_t)at};
		memset(&e[k], 0, sizeof(e[k]));
		snprintf(e[k].name, sizeof(e[k].name), "e%05u", n);
		e[k].addr = sl_addr_from_v4(a);
		e[k].port = (uint16_t)(1 + (at >> 16));
		e[k].weight = UINT16_MAX;
		e[k].percent = 100;
	}
	told.sink->answer(told.sink->ctx, told_id(&told, service, ""), e, 5, 0, "");
}

static bool
wide_done(struct fixture *x)
{
	const struct sl_table *t = sl_tables_active(x->daemon.tables);
	char name[16];

	if (!t || sl_tables_running(x->daemon.tables) != t->number)
		return false;
	for (unsigned i = 0; i < SERVICES; i++) {
		snprintf(name, sizeof(name), "e%05u", oldest[i]);
		const struct sl_conf_service *s = &t->conf->services[i];
		if (s->endpoint_cnt != 5 || strcmp(s->endpoints[0].name, name) != 0)
			return false;
	}
	return true;
}

/* What has grown change by change is what a placement from scratch would be. */
static void
compare_states(void)
{
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	struct sl_oper *scratch = sl_oper_create();
	uint32_t cnt, want_cnt;

	CU_ASSERT_EQUAL_FATAL(sl_oper_place(scratch, t->conf, &t->map, 0), 0);
	const struct sl_oper_endpoint *e = sl_oper_endpoints(f.daemon.oper, &cnt);
	const struct sl_oper_endpoint *w = sl_oper_endpoints(scratch, &want_cnt);
	CU_ASSERT_EQUAL_FATAL(cnt, want_cnt);
	unsigned wrong = 0;
	for (uint32_t i = 0; i < cnt; i++) {
		wrong += strcmp(e[i].service, w[i].service) || strcmp(e[i].name, w[i].name) ||
			 e[i].at.slot != w[i].at.slot ||
			 e[i].at.incarnation != w[i].at.incarnation ||
			 e[i].service_idx != w[i].service_idx ||
			 !sl_addr_eq(&e[i].addr, &w[i].addr) ||
			 sl_oper_by_slot(f.daemon.oper, e[i].at.slot) != &e[i];
		uint64_t word = __atomic_load_n((uint64_t *)&f.dp.state->slot[e[i].at.slot].admin,
						__ATOMIC_RELAXED);
		wrong += word != sl_oper_word(f.daemon.oper, &e[i]);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	sl_oper_destroy(scratch);
}

static void
of_a_thousand_services_those_that_moved_are_sent(void)
{
	uint64_t rng = 5;

	memset(oldest, 0, sizeof(oldest));
	open_all();
	char *text = wide_table();
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text));
	free(text);
	CU_ASSERT_STRING_EQUAL_FATAL(answer_text(a, "outcome"), "active");
	json_decref(a);
	for (unsigned i = 0; i < SERVICES; i++)
		tell_wide(i);
	CU_ASSERT_FATAL(fixture_wait(&f, wide_done));
	compare_states();
	for (unsigned round = 0; round < 6; round++) {
		unsigned objects = f.dp.objects, told_cnt = 0;
		for (unsigned i = 0; i < SERVICES; i++) {
			rng = rng * 6364136223846793005u + 1442695040888963407u;
			if ((rng >> 33) % 50)
				continue;
			oldest[i] += 1 + (uint32_t)(rng >> 40) % 5;
			tell_wide(i);
			told_cnt++;
		}
		CU_ASSERT(fixture_wait(&f, wide_done));
		CU_ASSERT_EQUAL(f.dp.objects - objects, told_cnt);
		compare_states();
	}
	CU_ASSERT_EQUAL(f.dp.bad, 0);
	fixture_close(&f);
}

SL_SUITE("revisions", SL_TEST(of_a_thousand_services_those_that_moved_are_sent),
	 SL_TEST(slots_come_back_from_the_journal_when_slots_json_is_damaged),
	 SL_TEST(a_long_journal_gives_way_to_slots_json),
	 SL_TEST(without_a_dataplane_the_table_waits_with_the_endpoints_of_now),
	 SL_TEST(there_are_at_most_twenty_revisions_a_second),
	 SL_TEST(what_was_offered_is_known_after_a_kill),
	 SL_TEST(an_answer_becomes_a_revision_of_the_push),
	 SL_TEST(a_push_begins_with_the_endpoints_of_now),
	 SL_TEST(nothing_that_a_source_does_empties_a_service),
	 SL_TEST(an_empty_answer_is_believed_where_the_table_says_so),
	 SL_TEST(a_refused_revision_leaves_the_active_one_and_a_change_goes_at_once),
	 SL_TEST(a_refused_revision_is_tried_again_later),
	 SL_TEST(a_revision_that_one_dataplane_refused_is_offered_to_the_next),
	 SL_TEST(what_is_owed_is_tried_where_the_table_before_it_is_refused),
	 SL_TEST(a_refused_revision_outlives_a_while_without_a_dataplane),
	 SL_TEST(a_source_that_sluiced_does_not_have_is_refused_by_name),
	 SL_TEST(drain_down_and_percent_go_to_the_state_word_without_a_generation),
	 SL_TEST(states_that_would_leave_nobody_are_not_believed),
	 SL_TEST(a_restart_without_sources_serves_what_was_known),
	 SL_TEST(a_restart_with_an_older_answer_on_disk_takes_nothing_away),
	 SL_TEST(a_source_that_does_not_speak_holds_up_a_restart_for_two_seconds),
	 SL_TEST(other_questions_take_over_once_they_are_answered))
