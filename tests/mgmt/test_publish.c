/* Pushes, verdicts and links, with the whole daemon and the double at the other end. */
#include "tests/mgmt/fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct fixture f;

static json_t *
ask1(const char *verb)
{
	return fixture_ask(&f, json_pack("{s:s}", "verb", verb));
}

static void
link_up(uint64_t boot)
{
	fixture_dp_start(&f, boot);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
}

static bool
active_again(struct fixture *fx)
{
	const struct sl_table *t = sl_tables_active(fx->daemon.tables);
	return t && !sl_tables_next(fx->daemon.tables) && fx->dp.generation == t->number &&
	       sl_tables_running(fx->daemon.tables) == t->number;
}

static void
a_socket_that_appears_is_found_within_100_ms(void)
{
	uint64_t took = UINT64_MAX;

	/* 50 ms by the timer; a machine may be busy for a moment */
	for (unsigned tries = 0; tries < 10 && took >= 100000000; tries++) {
		fixture_open(&f);
		for (unsigned i = 0; i < 30; i++)
			uv_run(&f.loop, UV_RUN_NOWAIT);
		uint64_t start = uv_hrtime();
		link_up(1);
		took = uv_hrtime() - start;
		fixture_close(&f);
	}
	CU_ASSERT(took < 100000000);
}

static void
a_push_sends_only_what_is_wanted(void)
{
	fixture_open(&f);
	link_up(1);
	json_t *a = fixture_push(&f, 2);
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "active");
	CU_ASSERT(answer_int(a, "generation") == 1 && answer_int(a, "objects_sent") == 3);
	json_decref(a);
	a = fixture_push(&f, 3); /* network and listeners are as they were */
	CU_ASSERT(answer_int(a, "generation") == 2 && answer_int(a, "objects_sent") == 1);
	CU_ASSERT(answer_int(a, "previous") == 1);
	json_decref(a);
	a = fixture_push(&f, 3);
	CU_ASSERT(answer_int(a, "generation") == 3 && answer_int(a, "objects_sent") == 0);
	json_decref(a);
	CU_ASSERT(f.dp.bad == 0 && f.dp.generation == 3);
	fixture_close(&f);
}

static void
a_refusal_keeps_the_old_table(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	f.dp.refuse = "port front is on fire";
	json_t *a = fixture_push(&f, 5);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "refused");
	CU_ASSERT(answer_int(a, "active") == 1 && answer_int(a, "generation") == 2);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(a, "reasons"), 0)),
			       "port front is on fire");
	json_decref(a);
	CU_ASSERT(sl_tables_active(f.daemon.tables)->number == 1);
	CU_ASSERT(sl_oper_find(f.daemon.oper, "web", "web-5") == NULL);

	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "audit"));
	json_t *lines = json_object_get(a, "audit");
	json_t *last = json_array_get(lines, json_array_size(lines) - 1);
	CU_ASSERT_STRING_EQUAL(answer_text(last, "outcome"), "refused");
	CU_ASSERT(json_array_size(json_object_get(last, "reasons")) == 1);
	json_decref(a);

	f.dp.refuse = NULL;
	a = fixture_push(&f, 3);
	CU_ASSERT(answer_int(a, "generation") == 3 && answer_int(a, "previous") == 1);
	json_decref(a);
	fixture_close(&f);
}

static bool
refused_something(struct fixture *fx)
{
	uint64_t active, refused;

	sl_tables_count(fx->daemon.tables, &active, &refused);
	return refused > 0;
}

/* Whether lines i and j from the end of the audit log have these outcomes. */
static bool
audited(unsigned i, const char *first, unsigned j, const char *second)
{
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "audit"));
	json_t *lines = json_object_get(a, "audit");
	size_t n = json_array_size(lines);
	bool good = n > i && n > j &&
		    strcmp(answer_text(json_array_get(lines, n - 1 - i), "outcome"), first) == 0 &&
		    strcmp(answer_text(json_array_get(lines, n - 1 - j), "outcome"), second) == 0;

	json_decref(a);
	return good;
}

/* The first one refuses, the next one takes it: the audit log has both. */
static void
a_table_that_one_dataplane_refused_is_taken_by_the_next(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	fixture_dp_stop(&f);
	fixture_dp_start(&f, 2);
	f.dp.refuse = "not now";
	CU_ASSERT(fixture_wait(&f, refused_something));
	fixture_dp_stop(&f);
	fixture_dp_start(&f, 3);
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(audited(0, "active", 1, "refused") && audited(1, "refused", 2, "active"));
	fixture_close(&f);
}

/* It has nothing to serve: what it has no room or time for now it may take later.  The audit log says when that began and ended. */
static void
a_new_dataplane_that_refuses_is_offered_the_table_again(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	fixture_dp_stop(&f);
	uint64_t begun = uv_hrtime();
	fixture_dp_start(&f, 2);
	f.dp.refuse = "not now";
	f.dp.refuse_cnt = 2;
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(uv_hrtime() - begun >= 2900000000u);
	CU_ASSERT(f.dp.offers == 3 && f.dp.bad == 0 && !f.dp.refuse);
	CU_ASSERT(audited(0, "active", 1, "refused") && audited(1, "refused", 2, "active"));
	fixture_close(&f);
}

static void
without_a_dataplane_a_push_waits_for_it(void)
{
	fixture_open(&f);
	json_t *a = fixture_push(&f, 2);
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "pending");
	json_decref(a);
	json_decref(fixture_push(&f, 3)); /* replaces it */
	link_up(1);
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(f.dp.offers == 1 && f.dp.generation == 2 && f.dp.bad == 0);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "generations"));
	json_t *g = json_object_get(a, "generations");
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(g, 0), "state"), "active");
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(g, 1), "state"), "superseded");
	json_decref(a);
	fixture_close(&f);
}

static uv_sem_t gate;

static void
wait_at_gate(uv_work_t *w)
{
	(void)w;
	uv_sem_wait(&gate);
}

static bool
push_in_pool(struct fixture *fx)
{
	return sl_tables_busy(fx->daemon.tables);
}

/* The pool is kept full, so that the push is still being read while the dataplane comes. */
static void
a_pending_table_is_offered_after_a_push_that_fails_meanwhile(void)
{
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, 0};
	static const char text[] = "{\"verb\":\"push\",\"file\":\"t\",\"text\":\"nonsense {\"}";
	static uv_work_t work[4];
	char frame[sizeof(h) + sizeof(text)];

	fixture_open(&f);
	json_decref(fixture_push(&f, 2));
	uv_sem_init(&gate, 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(work); i++)
		CU_ASSERT_FATAL(uv_queue_work(&f.loop, &work[i], wait_at_gate, NULL) == 0);
	h.len = sizeof(text) - 1;
	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), text, sizeof(text));
	int sock = fixture_connect(&f);
	CU_ASSERT(write(sock, frame, sizeof(h) + h.len) == (ssize_t)(sizeof(h) + h.len));
	CU_ASSERT(fixture_wait(&f, push_in_pool));
	link_up(1);
	CU_ASSERT(push_in_pool(&f) && f.dp.offers == 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(work); i++)
		uv_sem_post(&gate);
	json_t *a = fixture_exchange(&f, sock, "", 0);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "config");
	json_decref(a);
	close(sock);
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(f.dp.offers == 1 && f.dp.generation == 1);
	fixture_close(&f);
	uv_sem_destroy(&gate);
}

static void
a_new_dataplane_gets_table_and_words_again(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	json_decref(fixture_ask(&f, json_pack("{s:s, s:s, s:s, s:i}", "verb", "weight", "service",
					      "web", "endpoint", "web-2", "percent", 50)));
	uint32_t slot = sl_oper_find(f.daemon.oper, "web", "web-2")->at.slot;
	fixture_dp_stop(&f);
	CU_ASSERT(fixture_wait(&f, fixture_unlinked));
	link_up(2);
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(f.dp.generation == 1 && f.dp.objects == 3 && f.dp.bad == 0);
	CU_ASSERT(sl_state_fraction(f.dp.state->slot[slot].admin) == 128);
	CU_ASSERT(sl_state_incarnation(f.dp.state->slot[slot].admin) == 1);
	fixture_close(&f);
}

static void
a_dataplane_that_leaves_in_between_gets_the_offer_again(void)
{
	fixture_open(&f);
	link_up(1);
	f.dp.leave_on_object = true;
	json_t *a = fixture_push(&f, 2);
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "pending");
	json_decref(a);
	f.dp.leave_on_object = false;
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(f.dp.generation == 1);
	fixture_close(&f);
}

static void
a_drained_name_comes_back_drained_before_its_table(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 3));
	json_decref(fixture_ask(&f, json_pack("{s:s, s:s, s:s}", "verb", "drain", "service", "web",
					      "endpoint", "web-3")));
	json_decref(fixture_push(&f, 2));
	f.dp.state->slot[2].admin = 0; /* whatever is left of it */
	json_decref(fixture_push(&f, 3));
	CU_ASSERT(f.dp.drained_at_offer == 1);
	fixture_close(&f);
}

static void
a_restarted_daemon_makes_the_same_bytes(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 3));
	json_decref(fixture_push(&f, 2));
	json_decref(fixture_push(&f, 4));
	struct sl_obj_id root = f.dp.root;
	fixture_daemon_stop(&f);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 1);
	f.dp.generation = 3;
	f.dp.root = root; /* the dataplane went on with what it had */
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(f.dp.offers == 0);
	fixture_close(&f);
}

static void
numbers_rise_above_what_the_dataplane_has_seen(void)
{
	fixture_open(&f);
	json_decref(fixture_push(&f, 2));
	fixture_dp_start(&f, 1);
	f.dp.generation = 41; /* of a state directory that was lost */
	memset(&f.dp.root, 7, sizeof(f.dp.root));
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(f.dp.generation == 42 && f.dp.bad == 0);
	json_t *a = fixture_push(&f, 3);
	CU_ASSERT(answer_int(a, "generation") == 43);
	json_decref(a);
	fixture_close(&f);
}

static void
rollback_makes_a_new_generation_of_old_text(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	struct sl_obj_id root = f.dp.root;
	json_decref(fixture_push(&f, 4));
	json_t *a = ask1("rollback");
	CU_ASSERT(answer_int(a, "generation") == 3 && answer_int(a, "rollback_of") == 1);
	CU_ASSERT(memcmp(&root, &f.dp.root, sizeof(root)) == 0); /* slots were kept too */
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s, s:i}", "verb", "rollback", "generation", 2));
	CU_ASSERT(answer_int(a, "generation") == 4 && answer_int(a, "rollback_of") == 2);
	json_decref(a);
	CU_ASSERT(sl_oper_find(f.daemon.oper, "web", "web-4") != NULL);
	fixture_close(&f);
}

static void
pushes_are_worked_on_in_order(void)
{
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, 0};
	int sock[4];

	fixture_open(&f);
	link_up(1);
	for (unsigned i = 0; i < 4; i++) {
		char *text = fixture_table(i + 1, ""), frame[8192];
		json_t *q = json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t", "text", text);
		size_t n = json_dumpb(q, frame + sizeof(h), sizeof(frame) - sizeof(h), 0);
		h.len = (uint32_t)n;
		memcpy(frame, &h, sizeof(h));
		sock[i] = fixture_connect(&f);
		CU_ASSERT(write(sock[i], frame, sizeof(h) + n) == (ssize_t)(sizeof(h) + n));
		json_decref(q);
		free(text);
	}
	for (unsigned i = 0; i < 4; i++) {
		json_t *a = fixture_exchange(&f, sock[i], "", 0);
		CU_ASSERT(answer_ok(a));
		json_decref(a);
		close(sock[i]);
	}
	CU_ASSERT(f.dp.generation == 4 && f.dp.bad == 0);
	fixture_close(&f);
}

static bool
trouble_told(struct fixture *fx)
{
	return fx->dp.hellos > 0 && fx->daemon.link_error[0] &&
	       !strstr(fx->daemon.link_error, "not running") && !fixture_linked(fx);
}

static void
a_dataplane_that_breaks_the_protocol_is_left(void)
{
	static const char junk[] = "this is not a control message";

	fixture_open(&f);
	fixture_dp_start(&f, 1);
	f.dp.bye = "another daemon is connected";
	CU_ASSERT(fixture_wait(&f, trouble_told));
	CU_ASSERT(strstr(f.daemon.link_error, "another daemon is connected") != NULL);
	fixture_close(&f);

	fixture_open(&f);
	link_up(1);
	double_send(&f.dp, junk, sizeof(junk));
	CU_ASSERT(fixture_wait(&f, trouble_told));
	fixture_close(&f);

	fixture_open(&f);
	link_up(1);
	f.dp.wrong_ref = 77;
	json_t *a = fixture_push(&f, 2);
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "pending");
	json_decref(a);
	fixture_close(&f);
}

/* Nothing would come after it, and the next push would wait for ever. */
static void
an_offer_that_nothing_replaced_is_not_superseded(void)
{
	fixture_open(&f);
	link_up(1);
	f.dp.supersede = true;
	json_t *a = fixture_push(&f, 2);
	CU_ASSERT_STRING_EQUAL(answer_text(a, "outcome"), "pending");
	json_decref(a);
	CU_ASSERT(trouble_told(&f));
	f.dp.supersede = false;
	CU_ASSERT(fixture_wait(&f, active_again)); /* the backoff is 1 s */
	fixture_close(&f);
}

static void
a_segment_that_is_no_memfd_is_refused(void)
{
	struct stat st;

	fixture_open(&f);
	fixture_dp_start(&f, 1);
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
	int good = f.dp.stats_fd;
	size_t bytes = f.dp.stats_bytes;
	f.dp.stats_fd = fd;
	f.dp.stats_bytes = (size_t)st.st_size;
	CU_ASSERT(fixture_wait(&f, trouble_told));
	CU_ASSERT(strstr(f.daemon.link_error, "not sealed") != NULL);
	f.dp.stats_fd = good;
	f.dp.stats_bytes = bytes;
	close(fd);
	fixture_close(&f);
}

/* A head that has changed since WELCOME is not walked by: rows are empty, nothing is read past the end. */
static void
a_statistics_head_that_changes_is_not_followed(void)
{
	fixture_open(&f);
	link_up(1);
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "ports"));
	CU_ASSERT(json_array_size(json_object_get(a, "ports")) == 2);
	json_decref(a);
	/* good in itself, of another layout */
	sl_stats_init(f.dp.stats, 1, 0, NULL, 1, 1000000000);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "ports"));
	CU_ASSERT(json_array_size(json_object_get(a, "ports")) == 0);
	json_decref(a);
	fixture_close(&f);
}

static void
ports_are_shown_as_the_dataplane_says(void)
{
	fixture_open(&f);
	link_up(1);
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "ports"));
	const json_t *o = json_array_get(json_object_get(a, "ports"), 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "driver")), "net_double");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "link")), "up");
	CU_ASSERT(json_is_null(json_object_get(o, "numa")));
	CU_ASSERT(json_array_size(json_object_get(o, "can")) == 2);
	CU_ASSERT_PTR_NULL(json_object_get(o, "xstats"));
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s, s:s, s:s, s:b}", "verb", "show", "what", "ports",
				      "port", "back", "extended", 1));
	CU_ASSERT(json_array_size(json_object_get(a, "ports")) == 1);
	o = json_array_get(json_object_get(a, "ports"), 0);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(o, "name")), "back");
	CU_ASSERT(json_object_size(json_object_get(o, "xstats")) == SL_CTL_XSTATS + 4);
	json_decref(a);
	a = fixture_ask(&f,
			json_pack("{s:s, s:s, s:s}", "verb", "show", "what", "ports", "port", "x"));
	CU_ASSERT_FALSE(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "show", "what", "drops", "port", "back"));
	CU_ASSERT_FALSE(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	fixture_close(&f);
}

/* It is no dataplane of ours, and who waits for the answer is told. */
static void
a_port_that_there_is_not_ends_the_connection(void)
{
	fixture_open(&f);
	f.dp.ports_silent = true;
	link_up(1);
	f.dp.port_past = 2;
	f.dp.ports_silent = false;
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "ports"));
	CU_ASSERT_FALSE(json_is_true(json_object_get(a, "ok")));
	json_decref(a);
	CU_ASSERT(strstr(f.daemon.link_error, "PORT of a port") != NULL);
	fixture_close(&f);
}

static void
a_port_whose_name_is_no_name_is_refused(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	struct sl_stats_head *h = f.dp.stats;
	memcpy(h->port_name[1], "back\xff\033[2J", 9);
	CU_ASSERT(fixture_wait(&f, trouble_told));
	CU_ASSERT(strstr(f.daemon.link_error, "port whose name") != NULL);
	fixture_close(&f);
}

static void
a_generation_after_which_none_can_follow_is_refused(void)
{
	fixture_open(&f);
	json_decref(fixture_push(&f, 2));
	fixture_dp_start(&f, 1);
	f.dp.generation = UINT64_MAX;
	memset(&f.dp.root, 7, sizeof(f.dp.root));
	CU_ASSERT(fixture_wait(&f, trouble_told));
	CU_ASSERT(strstr(f.daemon.link_error, "none can follow") != NULL);
	json_t *a = fixture_push(&f, 3); /* our own numbers are as they were */
	CU_ASSERT(answer_int(a, "generation") == 2);
	json_decref(a);
	fixture_close(&f);
}

static void
a_pending_table_that_is_refused_gives_way_to_the_active_one(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	fixture_dp_stop(&f);
	CU_ASSERT(fixture_wait(&f, fixture_unlinked));
	json_decref(fixture_push(&f, 9));
	fixture_dp_start(&f, 2);
	f.dp.refuse = "no";
	f.dp.refuse_cnt = 1;
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(sl_tables_active(f.daemon.tables)->number == f.dp.generation);
	CU_ASSERT(sl_oper_find(f.daemon.oper, "web", "web-9") == NULL);
	fixture_close(&f);
}

static void
overwrite(const char *name, const char *text)
{
	char path[1200];
	snprintf(path, sizeof(path), "%s/%s", f.conf.state_dir, name);
	FILE *out = fopen(path, "w");
	CU_ASSERT_FATAL(out != NULL);
	fputs(text, out);
	fclose(out);
}

static void
a_corrupt_generation_is_passed_over_and_named(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	json_decref(fixture_push(&f, 3));
	fixture_daemon_stop(&f);
	overwrite("generations/00000002/table.conf", "gateway = {");
	overwrite("slots.json", "{\"generation\":2");
	overwrite("operstate.json", "[");
	fixture_daemon_start(&f);
	CU_ASSERT(sl_tables_active(f.daemon.tables)->number == 1);
	CU_ASSERT(f.daemon.notes.cnt == 3);
	json_t *a = fixture_push(&f, 3); /* not 2 again */
	CU_ASSERT(answer_int(a, "generation") == 3);
	json_decref(a);
	fixture_close(&f);
}

static void
lost_slots_never_come_back_with_an_old_incarnation(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	json_decref(fixture_push(&f, 2));
	fixture_daemon_stop(&f);
	overwrite("slots.json", "");
	overwrite("slots.json.prev", "x");
	fixture_daemon_start(&f);
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-1");
	CU_ASSERT_FATAL(e != NULL);
	CU_ASSERT(e->at.incarnation > 2);
	fixture_close(&f);
}

/* ---- flows ---- */

static bool
held(struct fixture *fx)
{
	uint64_t bytes;
	int fd;

	return sl_publish_flows(fx->daemon.publish, &fd, &bytes);
}

static bool
parked_or_offered(struct fixture *fx)
{
	return fx->dp.parks + fx->dp.offers > 0;
}

static bool
taken(struct fixture *fx)
{
	return fx->daemon.taken.wall_ms != 0;
}

/* A dataplane with a region of id and fill, which then dies. */
static void
live_and_die(uint64_t boot, uint64_t region, uint8_t fill)
{
	link_up(boot);
	double_keep(&f.dp, region, fill);
	CU_ASSERT(fixture_wait(&f, held));
	fixture_dp_stop(&f);
	CU_ASSERT(fixture_wait(&f, fixture_unlinked));
}

static void
the_flows_of_a_dead_dataplane_go_to_the_next_before_any_offer(void)
{
	fixture_open(&f);
	link_up(1);
	json_decref(fixture_push(&f, 2));
	double_keep(&f.dp, 0xabc, 0x11);
	double_keep(&f.dp, 0xabd, 0x22); /* replaces it */
	fixture_wait(&f, held);
	fixture_dp_stop(&f);
	CU_ASSERT(fixture_wait(&f, fixture_unlinked));
	CU_ASSERT(held(&f));
	fixture_dp_start(&f, 2);
	f.dp.taken = "5 flows taken over";
	CU_ASSERT(fixture_wait(&f, active_again));
	CU_ASSERT(f.dp.parks == 1 && f.dp.offers_at_park == 0 && f.dp.bad == 0);
	CU_ASSERT(f.dp.parked.region == 0xabd && f.dp.parked.bytes == 4096);
	CU_ASSERT(f.dp.parked_first == 0x22);
	CU_ASSERT(fixture_wait(&f, taken));
	json_t *a = ask1("status"), *fl = json_object_get(a, "flows");
	CU_ASSERT_STRING_EQUAL(answer_text(fl, "text"), "5 flows taken over");
	CU_ASSERT_STRING_EQUAL(answer_text(fl, "outcome"), "taken");
	CU_ASSERT(answer_int(fl, "kept") == 5 && answer_int(fl, "lost") == 7);
	CU_ASSERT(json_real_value(json_object_get(fl, "away_ms")) > 0);
	json_decref(a);
	a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "audit"));
	json_t *lines = json_object_get(a, "audit");
	json_t *last = json_array_get(lines, json_array_size(lines) - 1);
	CU_ASSERT_STRING_EQUAL(answer_text(last, "verb"), "flows");
	CU_ASSERT_STRING_EQUAL(answer_text(last, "user"), "sluiced");
	json_decref(a);
	fixture_close(&f);
}

static void
a_dataplane_that_has_its_flows_gets_none(void)
{
	static const struct {
		uint64_t boot;
		bool flows;
		const char *reason;
	} rows[] = {
		{2, true, "WELCOME says that it has them"},
		{1, false, "they are its own"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		fixture_open(&f);
		json_decref(fixture_push(&f, 2));
		live_and_die(1, 7, 1);
		fixture_dp_start(&f, rows[i].boot);
		if (rows[i].flows)
			f.dp.region_fd = dup(f.dp.state_fd);
		CU_ASSERT(fixture_wait(&f, active_again));
		CU_ASSERT(f.dp.parks == 0 && f.dp.bad == 0);
		fixture_close(&f);
	}
}

/* uv_now of the fixture's loop follows the real clock, so living 10 s is not waited for here. */
static void
a_region_that_three_dataplanes_died_of_is_dropped(void)
{
	fixture_open(&f);
	live_and_die(1, 7, 1);
	for (uint64_t boot = 2; boot < 6; boot++) {
		fixture_dp_start(&f, boot);
		CU_ASSERT(fixture_wait(&f, fixture_linked));
		if (boot < 5)
			CU_ASSERT(fixture_wait(&f, parked_or_offered));
		CU_ASSERT(f.dp.parks == (boot < 5));
		CU_ASSERT(held(&f) == (boot < 5));
		if (boot == 3) /* copied into another one: that counts as the same */
			double_keep(&f.dp, 8, 2);
		for (unsigned i = 0; i < 20; i++)
			uv_run(&f.loop, UV_RUN_NOWAIT);
		fixture_dp_stop(&f);
		CU_ASSERT(fixture_wait(&f, fixture_unlinked));
	}
	live_and_die(6, 9, 3); /* what comes after it is kept again */
	link_up(7);
	CU_ASSERT(fixture_wait(&f, parked_or_offered));
	CU_ASSERT(f.dp.parked.region == 9);
	fixture_close(&f);
}

static void
a_keep_that_could_shrink_or_lies_about_its_size_ends_the_link(void)
{
	static const struct {
		int seals;
		uint64_t bytes;
	} rows[] = {{0, 4096}, {F_SEAL_SHRINK, 8192}, {F_SEAL_SHRINK, 4095}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_ctl_keep m = {.bytes = rows[i].bytes, .region = 1};
		int fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		fixture_open(&f);
		link_up(1);
		CU_ASSERT(ftruncate(fd, 4096) == 0 && fcntl(fd, F_ADD_SEALS, rows[i].seals) == 0);
		sl_ctl_init(&m.head, SL_CTL_KEEP, sizeof(m), 0);
		CU_ASSERT(sl_ctl_send(f.dp.peer_fd, &m, sizeof(m), &fd, 1) == 0);
		CU_ASSERT(fixture_wait(&f, fixture_unlinked));
		CU_ASSERT(!held(&f));
		close(fd);
		fixture_close(&f);
	}
}

static void
an_upgrade_is_asked_for_by_admins_and_answered(void)
{
	static const struct {
		int answer;
		const char *code, *outcome;
	} rows[] = {{0, "", "ok"}, {ENOEXEC, "refused", "refused"}};

	fixture_open(&f);
	json_t *a = ask1("upgrade");
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	json_decref(a);
	link_up(0xabc);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		f.dp.upgraded = rows[i].answer;
		a = ask1("upgrade");
		CU_ASSERT_STRING_EQUAL(answer_code(a), rows[i].code);
		if (rows[i].answer == 0)
			CU_ASSERT_STRING_EQUAL(answer_text(a, "boot_id"), "0000000000000abc");
		json_decref(a);
		a = fixture_ask(&f, json_pack("{s:s, s:s}", "verb", "show", "what", "audit"));
		json_t *lines = json_object_get(a, "audit");
		json_t *last = json_array_get(lines, json_array_size(lines) - 1);
		CU_ASSERT_STRING_EQUAL(answer_text(last, "verb"), "upgrade");
		CU_ASSERT_STRING_EQUAL(answer_text(last, "outcome"), rows[i].outcome);
		json_decref(a);
	}
	CU_ASSERT(f.dp.upgrades == 2 && f.dp.bad == 0);
	fixture_close(&f);
}

static bool
let_go(struct fixture *fx)
{
	return fx->dp.stops == 1;
}

static void
a_dataplane_that_stops_is_let_go_when_nothing_is_announced(void)
{
	struct sl_ctl_stopping m = {.wait_ms = 60000, .why = SL_STOPPING_STOP};

	fixture_open(&f);
	link_up(1);
	sl_ctl_init(&m.head, SL_CTL_STOPPING, sizeof(m), 0);
	double_send(&f.dp, &m, sizeof(m));
	CU_ASSERT(fixture_wait(&f, let_go));
	fixture_close(&f);
}

SL_SUITE("publish", SL_TEST(a_socket_that_appears_is_found_within_100_ms),
	 SL_TEST(a_push_sends_only_what_is_wanted), SL_TEST(a_refusal_keeps_the_old_table),
	 SL_TEST(a_new_dataplane_that_refuses_is_offered_the_table_again),
	 SL_TEST(a_table_that_one_dataplane_refused_is_taken_by_the_next),
	 SL_TEST(without_a_dataplane_a_push_waits_for_it),
	 SL_TEST(a_pending_table_is_offered_after_a_push_that_fails_meanwhile),
	 SL_TEST(a_new_dataplane_gets_table_and_words_again),
	 SL_TEST(a_dataplane_that_leaves_in_between_gets_the_offer_again),
	 SL_TEST(a_drained_name_comes_back_drained_before_its_table),
	 SL_TEST(a_restarted_daemon_makes_the_same_bytes),
	 SL_TEST(numbers_rise_above_what_the_dataplane_has_seen),
	 SL_TEST(rollback_makes_a_new_generation_of_old_text),
	 SL_TEST(pushes_are_worked_on_in_order),
	 SL_TEST(a_dataplane_that_breaks_the_protocol_is_left),
	 SL_TEST(an_offer_that_nothing_replaced_is_not_superseded),
	 SL_TEST(a_segment_that_is_no_memfd_is_refused),
	 SL_TEST(a_statistics_head_that_changes_is_not_followed),
	 SL_TEST(a_port_whose_name_is_no_name_is_refused),
	 SL_TEST(ports_are_shown_as_the_dataplane_says),
	 SL_TEST(a_port_that_there_is_not_ends_the_connection),
	 SL_TEST(a_generation_after_which_none_can_follow_is_refused),
	 SL_TEST(a_pending_table_that_is_refused_gives_way_to_the_active_one),
	 SL_TEST(a_corrupt_generation_is_passed_over_and_named),
	 SL_TEST(lost_slots_never_come_back_with_an_old_incarnation),
	 SL_TEST(the_flows_of_a_dead_dataplane_go_to_the_next_before_any_offer),
	 SL_TEST(a_dataplane_that_has_its_flows_gets_none),
	 SL_TEST(a_region_that_three_dataplanes_died_of_is_dropped),
	 SL_TEST(a_keep_that_could_shrink_or_lies_about_its_size_ends_the_link),
	 SL_TEST(an_upgrade_is_asked_for_by_admins_and_answered),
	 SL_TEST(a_dataplane_that_stops_is_let_go_when_nothing_is_announced))
