/* A push that takes itself back: what ends the wait and what does not, over restarts of daemon and dataplane, with revisions. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tests/mgmt/fixture.h"
#include "tests/mgmt/told.h"
#include "tests/suite.h"

static struct fixture f;
static struct told told;

/* endpoints 0: those of a source */
static json_t *
push(unsigned endpoints, int confirm_s)
{
	char *text = fixture_table(endpoints ? endpoints : 1,
				   endpoints ? "" : "discover = ( { source = \"registry\"; } );");
	json_t *q = json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text);

	if (confirm_s)
		json_object_set_new(q, "confirm_s", json_integer(confirm_s));
	free(text);
	return fixture_ask(&f, q);
}

static void
push_ok(unsigned endpoints, int confirm_s)
{
	json_t *a = push(endpoints, confirm_s);

	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	CU_ASSERT_EQUAL(answer_int(a, "confirm_s"), confirm_s);
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

static uint64_t
active_push(void)
{
	const struct sl_table *t = sl_tables_active(f.daemon.tables);

	return t ? t->push->number : 0;
}

static bool
runs_active(struct fixture *x)
{
	const struct sl_table *t = sl_tables_active(x->daemon.tables);

	return t && sl_tables_running(x->daemon.tables) == t->number;
}

static uint64_t want;

static bool
is_wanted(struct fixture *x)
{
	return active_push() == want && runs_active(x);
}

static bool
becomes(uint64_t number)
{
	want = number;
	bool good = fixture_wait(&f, is_wanted);
	if (!good)
		printf("\n  wanted push %lu, have %lu", (unsigned long)number,
		       (unsigned long)active_push());
	return good;
}

static uint64_t
waits(void)
{
	return sl_tables_waits(f.daemon.tables).generation;
}

static bool
on_disk(void)
{
	char path[1200];

	snprintf(path, sizeof(path), "%s/confirm.json", f.conf.state_dir);
	return access(path, F_OK) == 0;
}

/* The last line of the audit log, as "verb outcome user rollback_of". */
static const char *
audited(void)
{
	static char text[256];
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:i}", "verb", "show", "what", "audit", "limit", 1));
	json_t *e = json_array_get(json_object_get(a, "audit"), 0);

	snprintf(text, sizeof(text), "%s %s %s %lld", answer_text(e, "verb"),
		 answer_text(e, "outcome"), answer_text(e, "user"),
		 (long long)answer_int(e, "rollback_of"));
	json_decref(a);
	return text;
}

static json_t *
confirm(int generation)
{
	json_t *q = json_pack("{s:s}", "verb", "confirm");

	if (generation)
		json_object_set_new(q, "generation", json_integer(generation));
	return fixture_ask(&f, q);
}

static void
what_nobody_confirms_is_taken_back(void)
{
	open_all();
	push_ok(2, 0);
	push_ok(3, 1);
	CU_ASSERT_EQUAL(active_push(), 2);
	CU_ASSERT(waits() == 2 && on_disk());
	CU_ASSERT(becomes(3));
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->push->rollback_of, 1);
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->conf->services[0].endpoint_cnt, 2);
	CU_ASSERT(waits() == 0 && !on_disk());
	CU_ASSERT_STRING_EQUAL(audited(), "rollback active sluiced 1");
	json_t *a = confirm(0);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "not_found");
	json_decref(a);
	fixture_close(&f);
}

static void
what_is_confirmed_stands(void)
{
	open_all();
	push_ok(2, 0);
	push_ok(3, 60);
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	json_t *w = json_object_get(json_object_get(a, "generation"), "confirm");
	CU_ASSERT(answer_int(w, "generation") == 2 && answer_int(w, "back_to") == 1);
	double left = json_real_value(json_object_get(w, "left_s"));
	CU_ASSERT(left > 50 && left <= 60);
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "generations"));
	json_t *rows = json_object_get(a, "generations");
	CU_ASSERT(json_is_real(json_object_get(json_array_get(rows, 0), "confirm_left_s")));
	CU_ASSERT(json_is_null(json_object_get(json_array_get(rows, 1), "confirm_left_s")));
	json_decref(a);
	a = confirm(1);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "not_found");
	json_decref(a);
	CU_ASSERT_EQUAL(waits(), 2);
	a = confirm(2);
	CU_ASSERT(answer_ok(a));
	json_decref(a);
	CU_ASSERT(waits() == 0 && !on_disk() && active_push() == 2);
	CU_ASSERT(strncmp(audited(), "confirm ok ", 11) == 0);
	fixture_close(&f);
}

static void
there_must_be_something_to_go_back_to(void)
{
	open_all();
	json_t *a = push(2, 60);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "not_found");
	json_decref(a);
	CU_ASSERT(active_push() == 0 && waits() == 0);
	fixture_close(&f);
}

/* The one before is the last that somebody let stand. */
static void
another_push_ends_the_wait_and_its_own_goes_back_as_far(void)
{
	open_all();
	push_ok(2, 0);
	push_ok(3, 60);
	push_ok(4, 0);
	CU_ASSERT(waits() == 0 && !on_disk());
	push_ok(5, 60);
	push_ok(6, 1);
	CU_ASSERT_EQUAL(sl_tables_waits(f.daemon.tables).back_to, 3);
	CU_ASSERT(becomes(6));
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->push->rollback_of, 3);
	push_ok(5, 60);
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "rollback"));
	CU_ASSERT(answer_ok(a) && answer_int(a, "rollback_of") == 6);
	json_decref(a);
	CU_ASSERT(waits() == 0 && !on_disk());
	fixture_close(&f);
}

static void
a_push_that_is_refused_leaves_the_wait(void)
{
	open_all();
	push_ok(2, 0);
	push_ok(3, 1);
	f.dp.refuse = "no";
	f.dp.refuse_cnt = 1;
	json_t *a = push(4, 60);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "refused");
	json_decref(a);
	CU_ASSERT_EQUAL(waits(), 2);
	CU_ASSERT(becomes(4));
	fixture_close(&f);
}

static void
a_rollback_that_is_refused_is_tried_again(void)
{
	open_all();
	push_ok(2, 0);
	push_ok(3, 1);
	f.dp.refuse = "not now";
	f.dp.refuse_cnt = 1;
	CU_ASSERT(becomes(4));
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->push->rollback_of, 1);
	CU_ASSERT(waits() == 0 && !on_disk());
	fixture_close(&f);
}

static void
restart(void)
{
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
}

static void
write_wait(const char *text)
{
	char path[1200];

	snprintf(path, sizeof(path), "%s/confirm.json", f.conf.state_dir);
	FILE *file = fopen(path, "w");
	CU_ASSERT_FATAL(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void
a_wait_goes_on_over_a_restart_and_one_that_is_over_is_due_at_once(void)
{
	char text[160];

	open_all();
	push_ok(2, 0);
	push_ok(3, 60);
	restart();
	CU_ASSERT_EQUAL(waits(), 2);
	uint32_t left = sl_tables_waits(f.daemon.tables).left_ms;
	CU_ASSERT(left > 50000 && left <= 60000);
	fixture_daemon_stop(&f);
	snprintf(text, sizeof(text),
		 "{\"generation\":2,\"back_to\":1,\"given_s\":60,\"until_ms\":%lld}",
		 (long long)time(NULL) * 1000 - 3600000);
	write_wait(text);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT(becomes(3));
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->push->rollback_of, 1);
	CU_ASSERT(waits() == 0 && !on_disk());
	fixture_close(&f);
}

/* Whatever the clock was set to. */
static void
no_wait_is_longer_than_it_was_given(void)
{
	open_all();
	push_ok(2, 0);
	push_ok(3, 60);
	fixture_daemon_stop(&f);
	write_wait("{\"generation\":2,\"back_to\":1,\"given_s\":60,\"until_ms\":9000000000000000}");
	fixture_daemon_start(&f);
	CU_ASSERT_EQUAL(waits(), 2);
	CU_ASSERT(sl_tables_waits(f.daemon.tables).left_ms <= 60000);
	fixture_close(&f);
}

static void
a_wait_on_disk_that_fits_nothing_is_told_and_dropped(void)
{
	static const char *const texts[] = {
		"", "{\"generation\":2",
		"{\"generation\":2,\"back_to\":1,\"given_s\":0,\"until_ms\":1}",
		"{\"generation\":9,\"back_to\":1,\"given_s\":60,\"until_ms\":1}"};

	for (size_t i = 0; i < SL_ARRAY_CNT(texts); i++) {
		open_all();
		push_ok(2, 0);
		push_ok(3, 0);
		fixture_daemon_stop(&f);
		write_wait(texts[i]);
		fixture_daemon_start(&f);
		CU_ASSERT(waits() == 0 && !on_disk() && active_push() == 2);
		CU_ASSERT_NOT_EQUAL(f.daemon.notes.cnt, 0);
		fixture_close(&f);
	}
}

/* Kept while no dataplane is there: its time begins when one takes it. */
static void
a_kept_push_waits_once_it_is_active(void)
{
	open_all();
	push_ok(2, 0);
	fixture_dp_stop(&f);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
	json_t *a = push(3, 1);
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "pending");
	json_decref(a);
	CU_ASSERT(waits() == 0 && !on_disk());
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 2);
	CU_ASSERT(becomes(2));
	CU_ASSERT_EQUAL(waits(), 2);
	CU_ASSERT(becomes(3));
	CU_ASSERT_EQUAL(sl_tables_active(f.daemon.tables)->push->rollback_of, 1);
	fixture_close(&f);
}

static bool
is_kept_back(struct fixture *x)
{
	const struct sl_table *n = sl_tables_next(x->daemon.tables);

	return n && n->push->rollback_of == 1;
}

/* While no dataplane is there, what takes it back is kept, and it is too late to confirm. */
static void
it_is_taken_back_while_the_dataplane_is_away(void)
{
	open_all();
	push_ok(2, 0);
	push_ok(3, 1);
	fixture_dp_stop(&f);
	CU_ASSERT(fixture_wait(&f, is_kept_back));
	json_t *a = confirm(0);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "refused");
	json_decref(a);
	fixture_dp_start(&f, 2);
	CU_ASSERT(becomes(3));
	CU_ASSERT(waits() == 0 && !on_disk());
	fixture_close(&f);
}

static uint64_t beyond;

static bool
is_revised(struct fixture *x)
{
	return sl_tables_active(x->daemon.tables)->number > beyond && runs_active(x);
}

static void
revised(const char *answer)
{
	beyond = sl_tables_active(f.daemon.tables)->number;
	told_answer(&told, "web", answer);
	CU_ASSERT(fixture_wait(&f, is_revised));
}

/* Revisions take numbers; pushes are what is gone back to, with the endpoints of now. */
static void
pushes_are_gone_back_to_whatever_was_revised(void)
{
	open_all();
	push_ok(0, 0);
	revised("a=192.0.2.21/80");
	push_ok(0, 1);
	CU_ASSERT_EQUAL(waits(), active_push());
	CU_ASSERT_EQUAL(sl_tables_waits(f.daemon.tables).back_to, 1);
	revised("a=192.0.2.21/80 b=192.0.2.22/80");
	revised("b=192.0.2.22/80 c=192.0.2.23/80 d=192.0.2.24/80");
	uint64_t pushed = active_push();
	CU_ASSERT_EQUAL(waits(), pushed);
	CU_ASSERT(becomes(sl_tables_active(f.daemon.tables)->number + 1));
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	CU_ASSERT_EQUAL(t->push->rollback_of, 1);
	CU_ASSERT_EQUAL(t->conf->services[0].endpoint_cnt, 4);
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "rollback"));
	CU_ASSERT(answer_ok(a) && (uint64_t)answer_int(a, "rollback_of") == pushed);
	json_decref(a);
	fixture_close(&f);
}

SL_SUITE("confirm", SL_TEST(what_nobody_confirms_is_taken_back), SL_TEST(what_is_confirmed_stands),
	 SL_TEST(there_must_be_something_to_go_back_to),
	 SL_TEST(another_push_ends_the_wait_and_its_own_goes_back_as_far),
	 SL_TEST(a_push_that_is_refused_leaves_the_wait),
	 SL_TEST(a_rollback_that_is_refused_is_tried_again),
	 SL_TEST(a_wait_goes_on_over_a_restart_and_one_that_is_over_is_due_at_once),
	 SL_TEST(no_wait_is_longer_than_it_was_given),
	 SL_TEST(a_wait_on_disk_that_fits_nothing_is_told_and_dropped),
	 SL_TEST(a_kept_push_waits_once_it_is_active),
	 SL_TEST(it_is_taken_back_while_the_dataplane_is_away),
	 SL_TEST(pushes_are_gone_back_to_whatever_was_revised))
