/* Tables with regexes, through a whole daemon: refused, kept over restarts, made anew behind its back. */
#include "mgmt/shards.h"
#include "mgmt/tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/mgmt/fixture.h"
#include "tests/suite.h"

static struct fixture f;

/* A daemon that knows where sluice-compile is, linked to a dataplane. */
static void
open_all(uint32_t compile_ms)
{
	fixture_open(&f);
	fixture_daemon_stop(&f);
	strcpy(f.conf.compile_program, SL_COMPILE);
	f.conf.compile_ms = compile_ms;
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
}

/* A table of routes by a regex each: `first` (NULL: none), then n numbered ones from `from` on. */
static char *
table(const char *first, unsigned from, unsigned n)
{
	char *text = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&text, &len);

	fprintf(m, "gateway = { name = \"edge\"; };\n"
		   "network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } ); "
		   "};\n"
		   "services = ( { name = \"web\"; max_endpoints = 1; } );\n"
		   "listeners = ( { name = \"edge\"; address = \"203.0.113.10\"; port = 80; "
		   "protocol = "
		   "\"tcp\"; mode = \"http\"; routes = \"edge\"; } );\n"
		   "route_tables = ( { name = \"edge\"; hosts = ( { name = \"shop\"; match = ( "
		   "\"*\" ); "
		   "routes = (\n");
	if (first)
		fprintf(m, "{ name = \"first\"; path_regex = \"%s\"; service = \"web\"; },\n",
			first);
	for (unsigned i = from; i < from + n; i++)
		fprintf(m,
			"{ name = \"r%u\"; path_regex = \"/v%u/[a-z]+\"; service = \"web\"; },\n",
			i, i);
	fprintf(m, "{ name = \"rest\"; service = \"web\"; } ); } ); } );\n");
	fclose(m);
	return text;
}

static json_t *
ask(const char *verb, char *text)
{
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", verb, "file", "t.conf", "text", text));
	free(text);
	return a;
}

static struct sl_shards_stats
stats(void)
{
	struct sl_shards_stats n;

	sl_shards_count(sl_tables_shards(f.daemon.tables), &n);
	return n;
}

/* Whether the answer's only problem is at line 6 and says what. */
static bool
problem(json_t *a, const char *what)
{
	json_t *list = json_object_get(a, "problems"), *p = json_array_get(list, 0);
	const char *text = json_string_value(json_object_get(p, "text"));
	const char *file = json_string_value(json_object_get(p, "file"));
	bool good = json_array_size(list) == 1 && text && strstr(text, what) && file &&
		    strcmp(file, "t.conf") == 0 &&
		    json_integer_value(json_object_get(p, "line")) == 6;

	if (!good) {
		char *dump = json_dumps(a, 0);
		printf("\n  %s", dump);
		free(dump);
	}
	return good;
}

static void
a_bad_regex_is_refused_by_name_and_the_old_table_stays(void)
{
	open_all(0);
	json_t *a = ask("push", table(NULL, 0, 3));
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	json_decref(a);
	a = ask("push", table("/a(b", 0, 3));
	CU_ASSERT_STRING_EQUAL(answer_code(a), "config");
	CU_ASSERT(problem(a, "regex of route edge/shop/first: path: \"/a(b\": Missing close"));
	json_decref(a);
	a = ask("check", table("/a(b", 0, 3));
	CU_ASSERT_STRING_EQUAL(answer_code(a), "config");
	CU_ASSERT(problem(a, "regex of route edge/shop/first: path: \"/a(b\": Missing close"));
	json_decref(a);
	a = ask("check", table("/a(b)", 0, 3));
	CU_ASSERT(answer_ok(a));
	json_decref(a);
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->number, 1);
	CU_ASSERT_EQUAL(f.dp.generation, 1);
	fixture_close(&f);
}

static void
regexes_that_take_too_long_are_refused_and_the_old_table_stays(void)
{
	open_all(600);
	json_decref(ask("push", table(NULL, 0, 3)));
	json_t *a = ask("push", table("/(a(b|c){0,100}){0,200}d", 0, 3));
	CU_ASSERT_STRING_EQUAL(answer_code(a), "config");
	CU_ASSERT(problem(a, "regex of route edge/shop/first: path: "));
	json_decref(a);
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->number, 1);
	CU_ASSERT_EQUAL(f.dp.generation, 1);
	a = ask("push", table("/c", 0, 3));
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	json_decref(a);
	fixture_close(&f);
}

static bool
runs_again(struct fixture *fx)
{
	const struct sl_table *t = sl_tables_active(fx->daemon.tables);
	return fixture_linked(fx) && t && sl_tables_running(fx->daemon.tables) == t->number;
}

static void
a_restart_with_kept_databases_compiles_nothing_and_changes_nothing(void)
{
	open_all(0);
	json_decref(ask("push", table(NULL, 0, 5)));
	json_t *a = ask("push", table("/new", 1, 5)); /* a base and a delta */
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	json_decref(a);
	CU_ASSERT_EQUAL(stats().compiled, 2);
	struct sl_obj_id root = sl_tables_active(f.daemon.tables)->compiled->root.id;

	fixture_daemon_stop(&f);
	strcpy(f.conf.compile_program, "/nowhere/sluice-compile");
	fixture_daemon_start(&f);
	CU_ASSERT_EQUAL(stats().compiled, 0);
	CU_ASSERT_EQUAL(stats().loaded, 2);
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	CU_ASSERT(t && memcmp(&t->compiled->root.id, &root, sizeof(root)) == 0);
	fixture_dp_start(&f, 2);
	CU_ASSERT(fixture_wait(&f, runs_again));
	CU_ASSERT_EQUAL(f.dp.bad, 0);
	fixture_close(&f);
}

static void
what_is_gone_from_disk_is_compiled_again(void)
{
	char cmd[1100];

	open_all(0);
	json_decref(ask("push", table(NULL, 0, 5)));
	struct sl_obj_id root = sl_tables_active(f.daemon.tables)->compiled->root.id;
	fixture_daemon_stop(&f);
	snprintf(cmd, sizeof(cmd), "rm -r '%s/shards'", f.conf.state_dir);
	CU_ASSERT_EQUAL(system(cmd), 0);
	fixture_daemon_start(&f);
	CU_ASSERT_EQUAL(stats().compiled, 1);
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	CU_ASSERT(t && memcmp(&t->compiled->root.id, &root, sizeof(root)) == 0);
	fixture_close(&f);
}

static bool
three_compiled(struct fixture *fx)
{
	(void)fx;
	return stats().compiled >= 3;
}

static const struct sl_img_scan *
active_scan(void)
{
	const struct sl_compiled *c = sl_tables_active(f.daemon.tables)->compiled;

	for (uint32_t i = 0; i < c->cnt; i++) {
		const struct sl_img_vhost *v = c->objs[i].bytes;
		if (v->head.kind == SL_OBJ_VHOST && v->scan_cnt == 1)
			return (const void *)((const char *)v + v->scan_off);
	}
	return NULL;
}

static void
a_large_delta_becomes_the_next_base_without_anyone_waiting(void)
{
	open_all(0);
	json_decref(ask("push", table(NULL, 0, 5)));
	json_decref(ask("push", table(NULL, 0, 5 + SL_DELTA_POOR + 1)));
	const struct sl_img_scan *s = active_scan();
	CU_ASSERT(s && s->base_cnt == 5 && s->delta_cnt == SL_DELTA_POOR + 1);
	CU_ASSERT(fixture_wait(&f, three_compiled));
	while (sl_tables_busy(f.daemon.tables))
		uv_run(&f.loop, UV_RUN_ONCE);
	json_t *a = ask("push", table("/one-more", 0, 5 + SL_DELTA_POOR + 1));
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	json_decref(a);
	s = active_scan();
	CU_ASSERT(s && s->base_cnt == 5 + SL_DELTA_POOR + 1 && s->delta_cnt == 1);
	CU_ASSERT_EQUAL(stats().compiled, 4);

	/* And the new base is what a restart finds. */
	struct sl_obj_id root = sl_tables_active(f.daemon.tables)->compiled->root.id;
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	CU_ASSERT(t && memcmp(&t->compiled->root.id, &root, sizeof(root)) == 0);
	CU_ASSERT_EQUAL(stats().compiled, 0);
	fixture_close(&f);
}

static void
ignore(void *ctx, const struct sl_push_result *r)
{
	(void)ctx;
	(void)r;
}

/* Forty regexes of about a third of a second each. */
static void
a_daemon_ends_at_once_while_it_compiles(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *m = open_memstream(&text, &len);

	fprintf(m, "gateway = { name = \"edge\"; };\n"
		   "services = ( { name = \"web\"; max_endpoints = 1; } );\n"
		   "route_tables = ( { name = \"edge\"; hosts = ( { name = \"shop\"; match = ( "
		   "\"*\" ); routes = (\n");
	for (unsigned i = 0; i < 40; i++)
		fprintf(m, "%s{ name = \"r%u\"; path_regex = \"/(ab?){%u}\"; service = \"web\"; }",
			i ? "," : "", i, 900 + i);
	fprintf(m, "); } ); } );\n");
	fclose(m);
	open_all(0);
	struct sl_push_request q = {
		.user = "", .file = "t", .comment = "", .text = text, .len = len};
	sl_tables_push(f.daemon.tables, &q, ignore, NULL);
	CU_ASSERT(sl_tables_busy(f.daemon.tables));
	uint64_t start = uv_hrtime();
	fixture_daemon_stop(&f);
	CU_ASSERT(uv_hrtime() - start < 4000000000);
	fixture_close(&f);
	free(text);
}

SL_SUITE("tables", SL_TEST(a_bad_regex_is_refused_by_name_and_the_old_table_stays),
	 SL_TEST(regexes_that_take_too_long_are_refused_and_the_old_table_stays),
	 SL_TEST(a_restart_with_kept_databases_compiles_nothing_and_changes_nothing),
	 SL_TEST(what_is_gone_from_disk_is_compiled_again),
	 SL_TEST(a_large_delta_becomes_the_next_base_without_anyone_waiting),
	 SL_TEST(a_daemon_ends_at_once_while_it_compiles))
