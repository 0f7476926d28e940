/* The registry on a loop of the test's own, against a sink of its own. */
#include "mgmt/registry.h"

#include "mgmt/audit.h"
#include "mgmt/daemon_conf.h"
#include "mgmt/disk.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <sys/stat.h>

struct bed {
	uv_loop_t loop;
	struct sl_registry_conf conf;
	struct sl_audit *audit;
	struct sl_registry *r;
	struct sl_source_sink sink;
	struct sl_diag notes;
	char dir[64];
	char said[8192];
	/* of the last answer to a peer */
	unsigned status, answers;
	char what[512], where[512], hint[256], state[32];
	/* of the last answer to question 7 */
	struct sl_source_endpoint got[64];
	size_t got_cnt;
	unsigned got_answers, confirmed;
	char note[128];
};

static int64_t wall = 1700000000000;

static int64_t
test_wall(void)
{
	return wall;
}

static const struct sl_registry_who root = {.name = "root", .role = SL_ROLE_ADMIN};

static void
on_say(void *ctx, const char *line)
{
	struct bed *b = ctx;
	size_t n = strlen(b->said);

	snprintf(b->said + n, sizeof(b->said) - n, "%s\n", line);
}

static void
on_source_answer(void *ctx, uint32_t id, const struct sl_source_endpoint *endpoints, size_t cnt,
		 uint32_t left_out, const char *note)
{
	struct bed *b = ctx;

	CU_ASSERT(id == 7 && left_out == 0 && cnt <= SL_ARRAY_CNT(b->got));
	memcpy(b->got, endpoints, SL_MIN(cnt, SL_ARRAY_CNT(b->got)) * sizeof(*endpoints));
	b->got_cnt = cnt;
	b->got_answers++;
	snprintf(b->note, sizeof(b->note), "%s", note);
}

static void
on_confirm(void *ctx, uint32_t id)
{
	((struct bed *)ctx)->confirmed += id == 7;
}

static void
on_trouble(void *ctx, uint32_t id, const char *why)
{
	(void)ctx;
	(void)id;
	printf("  trouble: %s\n", why);
	CU_FAIL("trouble");
}

static void
open_registry(struct bed *b)
{
	struct sl_diag diag = {0};
	const struct sl_registry_events ev = {.say = on_say, .wall_ms = test_wall, .ctx = b};

	sl_diag_fini(&b->notes);
	int err = sl_registry_create(&b->loop, &b->conf, b->dir, b->audit, &ev, &diag, &b->notes,
				     &b->r);
	if (err)
		printf("  %s\n", diag.cnt ? diag.items[0].text : strerror(-err));
	CU_ASSERT_FATAL(err == 0);
	sl_diag_fini(&diag);
	sl_registry_link(b->r, &b->sink);
}

static void
close_registry(struct bed *b)
{
	while (sl_registry_busy(b->r))
		uv_run(&b->loop, UV_RUN_ONCE);
	sl_registry_destroy(b->r);
	b->r = NULL;
	uv_run(&b->loop, UV_RUN_DEFAULT);
}

static void
set_up(struct bed *b)
{
	struct sl_diag diag = {0};
	char path[128];

	memset(b, 0, sizeof(*b));
	strcpy(b->dir, "/tmp/sluice-registry-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(b->dir) != NULL);
	snprintf(path, sizeof(path), "%s/audit", b->dir);
	CU_ASSERT_FATAL(sl_audit_create(path, &diag, &b->audit) == 0);
	uv_loop_init(&b->loop);
	b->conf.remove_after_ms = 3600000;
	b->sink = (struct sl_source_sink){.loop = &b->loop,
					  .answer = on_source_answer,
					  .confirm = on_confirm,
					  .trouble = on_trouble,
					  .ctx = b};
	open_registry(b);
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
tear_down(struct bed *b)
{
	close_registry(b);
	CU_ASSERT(uv_loop_close(&b->loop) == 0);
	sl_audit_destroy(b->audit);
	sl_diag_fini(&b->notes);
	nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- asking ---- */

static void
on_answer(void *ctx, const struct sl_registry_answer *a)
{
	struct bed *b = ctx;
	const char *state = json_string_value(json_object_get(a->is, "state"));

	b->status = a->status;
	b->answers++;
	snprintf(b->what, sizeof(b->what), "%s", a->what);
	snprintf(b->where, sizeof(b->where), "%s", a->where);
	snprintf(b->hint, sizeof(b->hint), "%s", a->hint);
	snprintf(b->state, sizeof(b->state), "%s", state ? state : "");
}

enum verb { PUT, BEAT, MAINTAIN, REMOVE };

static void
start(struct bed *b, const struct sl_registry_who *who, enum verb verb, const char *service,
      const char *endpoint, const char *body)
{
	json_t *j = json_loads(body, 0, NULL);

	CU_ASSERT_FATAL(j != NULL);
	if (verb == PUT)
		sl_registry_put(b->r, who, service, endpoint, j, on_answer, b);
	else if (verb == BEAT)
		sl_registry_heartbeat(b->r, who, service, endpoint, j, on_answer, b);
	else if (verb == MAINTAIN)
		sl_registry_maintain(b->r, who, service, endpoint, j, on_answer, b);
	else
		sl_registry_remove(b->r, who, service, endpoint, on_answer, b);
	json_decref(j);
}

static unsigned
as(struct bed *b, const struct sl_registry_who *who, enum verb verb, const char *service,
   const char *endpoint, const char *body)
{
	unsigned before = b->answers;

	start(b, who, verb, service, endpoint, body);
	while (b->answers == before)
		uv_run(&b->loop, UV_RUN_ONCE);
	return b->status;
}

static unsigned
put(struct bed *b, const char *service, const char *endpoint, const char *body)
{
	return as(b, &root, PUT, service, endpoint, body);
}

/* Runs the loop for about so long, and in any case often enough for what is under way to come through. */
static void
run_for(struct bed *b, uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;

	for (unsigned turns = 0; turns < 20 || uv_hrtime() < end; turns++) {
		uv_run(&b->loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
}

/* Runs it until *what is value, or for so long. */
static bool
runs_until(struct bed *b, const size_t *what, size_t value, uint64_t ms)
{
	uint64_t end = uv_hrtime() + ms * 1000000;

	while (*what != value && uv_hrtime() < end)
		uv_run(&b->loop, UV_RUN_ONCE);
	return *what == value;
}

static json_t *
shown(struct bed *b, const char *service, const char *endpoint)
{
	json_t *all = sl_registry_show(b->r, &root, service), *found = NULL, *e;
	size_t i;

	json_array_foreach(json_object_get(all, "endpoints"), i,
			   e) if (strcmp(json_string_value(json_object_get(e, "endpoint")),
					 endpoint) == 0) found = json_incref(e);
	json_decref(all);
	return found;
}

static const char *
state_of(struct bed *b, const char *service, const char *endpoint)
{
	static char buf[32];
	json_t *e = shown(b, service, endpoint);

	snprintf(buf, sizeof(buf), "%s",
		 e ? json_string_value(json_object_get(e, "state")) : "none");
	json_decref(e);
	return buf;
}

static size_t
count(struct bed *b)
{
	struct sl_registry_stats s;

	sl_registry_stats(b->r, &s);
	return s.endpoints;
}

static void
ask_for(struct bed *b, const char *service)
{
	struct sl_conf_discover q = {.source = SL_REGISTRY};

	CU_ASSERT_FATAL(sl_registry_ops.ask(b->r, 7, service, &q) == 0);
}

#define A1 "{\"address\":\"192.0.2.1\",\"port\":80}"
#define A2 "{\"address\":\"192.0.2.2\",\"port\":80}"

/* ---- claims ---- */

static void
an_endpoint_comes_changes_and_goes(void)
{
	struct bed b;

	set_up(&b);
	ask_for(&b, "web");
	run_for(&b, 20);
	CU_ASSERT(b.got_answers == 1 && b.got_cnt == 0);
	CU_ASSERT(put(&b, "web", "w1", A1) == 201);
	CU_ASSERT(strcmp(b.state, "up") == 0);
	run_for(&b, 20);
	CU_ASSERT(b.got_cnt == 1 && strcmp(b.got[0].name, "w1") == 0 && b.got[0].port == 80);
	CU_ASSERT(put(&b, "web", "w1", "{\"address\":\"192.0.2.9\",\"port\":81,\"weight\":5}") ==
		  200);
	CU_ASSERT(put(&b, "web", "w0", A2) == 201);
	CU_ASSERT(put(&b, "api", "w0", A2) == 201);
	run_for(&b, 20);
	CU_ASSERT(b.got_cnt == 2 && strcmp(b.got[0].name, "w0") == 0 && b.got[1].weight == 5);
	CU_ASSERT(as(&b, &root, REMOVE, "web", "w1", "{}") == 204);
	CU_ASSERT(as(&b, &root, REMOVE, "web", "w1", "{}") == 404);
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{}") == 404);
	run_for(&b, 20);
	CU_ASSERT(b.got_cnt == 1 && count(&b) == 2);
	sl_registry_ops.drop(b.r, 7);
	unsigned before = b.got_answers;
	CU_ASSERT(put(&b, "web", "w5", A1) == 201);
	run_for(&b, 20);
	CU_ASSERT(b.got_answers == before);
	tear_down(&b);
}

static void
many_changes_of_one_turn_are_one_write_and_one_answer(void)
{
	struct bed b;
	char name[32];
	struct sl_registry_stats s;

	set_up(&b);
	ask_for(&b, "web");
	for (unsigned i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "w%u", i);
		start(&b, &root, PUT, "web", name, A1);
	}
	CU_ASSERT(b.answers == 0);
	while (b.answers < 50)
		uv_run(&b.loop, UV_RUN_ONCE);
	run_for(&b, 20);
	sl_registry_stats(b.r, &s);
	CU_ASSERT(s.records == 50 && s.writes <= 3);
	CU_ASSERT(b.got_cnt == 50 && b.got_answers <= 4);
	tear_down(&b);
}

static void
changes_of_one_endpoint_keep_their_order(void)
{
	struct bed b;

	set_up(&b);
	start(&b, &root, PUT, "web", "w1", A1);
	start(&b, &root, MAINTAIN, "web", "w1", "{\"on\":true,\"reason\":\"disk\"}");
	start(&b, &root, REMOVE, "web", "w1", "{}");
	start(&b, &root, BEAT, "web", "w1", "{}");
	CU_ASSERT(b.answers == 1 && b.status == 404); /* it will be gone */
	start(&b, &root, PUT, "web", "w1", A2);
	while (b.answers < 5)
		uv_run(&b.loop, UV_RUN_ONCE);
	CU_ASSERT(b.status == 201);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0 && count(&b) == 1);
	close_registry(&b);
	open_registry(&b);
	json_t *e = shown(&b, "web", "w1");
	CU_ASSERT(strcmp(json_string_value(json_object_get(e, "address")), "192.0.2.2") == 0);
	json_decref(e);
	tear_down(&b);
}

static void
wrong_requests_say_what_and_where_and_change_nothing(void)
{
	static const struct {
		const char *service, *endpoint, *body, *where;
	} row[] = {
		{"-web", "w1", A1, "service"},
		{"web", "w/1", A1, "endpoint"},
		{"web", "w1", "{}", "address"},
		{"web", "w1", "{\"address\":\"127.0.0.1\"}", "address"},
		{"web", "w1", "{\"address\":\"192.0.2.1\",\"weight\":1000}", "weight"},
		{"web", "w1", "{\"address\":\"192.0.2.1\",\"ttl_s\":-1}", "ttl_s"},
		{"web", "w1", "{\"address\":\"192.0.2.1\",\"ttl_s\":86401}", "ttl_s"},
		{"web", "w1", "{\"address\":\"192.0.2.1\",\"ttl_s\":\"5\"}", "ttl_s"},
		{"web", "w1", "{\"address\":\"192.0.2.1\",\"name\":\"x\"}", "name"},
		{"web", "w1", "{\"address\":\"192.0.2.1\",\"x\":1}", NULL},
	};
	struct bed b;

	set_up(&b);
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		CU_ASSERT(put(&b, row[i].service, row[i].endpoint, row[i].body) == 400);
		if (row[i].where && strcmp(b.where, row[i].where))
			printf("  %s: where %s, %s\n", row[i].body, b.where, b.what);
		CU_ASSERT(!row[i].where || strcmp(b.where, row[i].where) == 0);
		CU_ASSERT(b.what[0] && b.hint[0]);
	}
	CU_ASSERT(count(&b) == 0);
	CU_ASSERT(put(&b, "web", "w1", A1) == 201);
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{\"percent\":101}") == 400);
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{\"drain\":0}") == 400);
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{\"load\":0}") == 400);
	CU_ASSERT(as(&b, &root, MAINTAIN, "web", "w1", "{}") == 400);
	CU_ASSERT(as(&b, &root, MAINTAIN, "web", "w1", "{\"on\":true,\"reason\":\"a\\nb\"}") ==
		  400);
	CU_ASSERT(as(&b, &root, MAINTAIN, "web", "w1", "{\"on\":true,\"why\":\"\"}") == 400);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	tear_down(&b);
}

static void
hints_and_maintenance_reach_the_source(void)
{
	struct bed b;

	set_up(&b);
	ask_for(&b, "web");
	CU_ASSERT(put(&b, "web", "w1",
		      "{\"address\":\"192.0.2.1\",\"locality\":\"eu/"
		      "a\",\"metadata\":{\"v\":\"2\"}}") == 201);
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{\"percent\":30}") == 200);
	run_for(&b, 20);
	CU_ASSERT(b.got[0].percent == 30 && !b.got[0].drain && b.got[0].weight == UINT16_MAX &&
		  b.got[0].port == 0);
	CU_ASSERT(strcmp(b.got[0].locality, "eu/a") == 0 && strcmp(b.got[0].meta, "v=2") == 0);
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{\"drain\":true}") == 200);
	run_for(&b, 20);
	CU_ASSERT(b.got[0].percent == 30 && b.got[0].drain);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "draining") == 0);
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{\"drain\":false,\"percent\":100}") == 200);
	CU_ASSERT(as(&b, &root, MAINTAIN, "web", "w1", "{\"on\":true,\"reason\":\"new disk\"}") ==
		  200);
	run_for(&b, 20);
	CU_ASSERT(b.got[0].drain && !b.got[0].down && b.got[0].percent == 100);
	/* it stays until it is ended, also when the service registers again, or the daemon starts again */
	CU_ASSERT(put(&b, "web", "w1", A1) == 200);
	close_registry(&b);
	open_registry(&b);
	json_t *e = shown(&b, "web", "w1"), *m = json_object_get(e, "maintenance");
	CU_ASSERT(m && strcmp(json_string_value(json_object_get(m, "reason")), "new disk") == 0 &&
		  strcmp(json_string_value(json_object_get(m, "by")), "root") == 0);
	json_decref(e);
	CU_ASSERT(as(&b, &root, MAINTAIN, "web", "w1", "{\"on\":false}") == 200);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	tear_down(&b);
}

/* of who is to be silent; of who is not, though this process stands still for a second or two, in which its time runs */
#define TTL1 "{\"address\":\"192.0.2.1\",\"ttl_s\":1}"
#define TTL3 "{\"address\":\"192.0.2.1\",\"ttl_s\":3}"

static void
who_is_silent_goes_down_and_then_away_but_not_the_last(void)
{
	struct bed b;

	set_up(&b);
	b.conf.remove_after_ms = 3000;
	ask_for(&b, "web");
	CU_ASSERT(put(&b, "web", "forever", A2) == 201);
	CU_ASSERT(put(&b, "web", "beats", TTL3) == 201);
	CU_ASSERT(put(&b, "web", "silent", TTL1) == 201);
	CU_ASSERT(put(&b, "solo", "last", TTL1) == 201);
	for (unsigned i = 0; i < 100 && !(b.got_cnt == 3 && b.got[2].down); i++) {
		run_for(&b, 200);
		CU_ASSERT(as(&b, &root, BEAT, "web", "beats", "{}") == 200);
	}
	CU_ASSERT(b.got_cnt == 3 && strcmp(b.got[2].name, "silent") == 0 && b.got[2].down);
	CU_ASSERT(!b.got[0].down && !b.got[1].down && strcmp(b.note, "1 of 3 silent") == 0);
	CU_ASSERT(strcmp(state_of(&b, "web", "silent"), "silent") == 0);
	CU_ASSERT(as(&b, &root, BEAT, "web", "silent", "{}") == 200);
	CU_ASSERT(strcmp(state_of(&b, "web", "silent"), "up") == 0);
	run_for(&b, 20);
	CU_ASSERT(!b.got[2].down);
	CU_ASSERT(runs_until(&b, &b.got_cnt, 1, 30000));
	CU_ASSERT(strcmp(b.got[0].name, "forever") == 0);
	CU_ASSERT(strcmp(state_of(&b, "solo", "last"), "silent") == 0);
	CU_ASSERT(as(&b, &root, BEAT, "web", "beats", "{}") == 404); /* register anew */
	close_registry(&b);
	open_registry(&b);
	CU_ASSERT(count(&b) == 2);
	CU_ASSERT(strcmp(state_of(&b, "solo", "last"), "silent") == 0);
	tear_down(&b);
}

static void
neither_a_set_clock_nor_a_daemon_that_stood_still_makes_anyone_silent(void)
{
	struct bed b;
	int64_t real = wall;

	set_up(&b);
	CU_ASSERT(put(&b, "web", "w1", TTL3) == 201);
	wall += 10ll * 365 * 86400000; /* ten years on */
	run_for(&b, 600);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	wall = 1000; /* 1970 */
	CU_ASSERT(as(&b, &root, BEAT, "web", "w1", "{}") == 200);
	run_for(&b, 600);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	close_registry(&b);
	wall = real + 20ll * 365 * 86400000;
	open_registry(&b);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	run_for(&b, 600); /* a whole TTL after a restart */
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	usleep(4000000); /* stopped, or starved: longer than the TTL */
	run_for(&b, 200);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	CU_ASSERT(strstr(b.said, "stood still") != NULL);
	for (unsigned i = 0; i < 100 && strcmp(state_of(&b, "web", "w1"), "silent") != 0; i++)
		run_for(&b, 200);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "silent") == 0);
	wall = real;
	tear_down(&b);
}

static void
the_same_registration_again_is_a_heartbeat(void)
{
	struct bed b;
	struct sl_registry_stats s;

	set_up(&b);
	ask_for(&b, "web");
	for (unsigned i = 0; i < 10; i++) {
		unsigned status = put(&b, "web", "w1", TTL3);
		CU_ASSERT(status == (i ? 200 : 201));
		run_for(&b, 150);
	}
	sl_registry_stats(b.r, &s);
	CU_ASSERT(s.records == 1 && s.silent == 0);
	CU_ASSERT(b.got_answers <= 2);
	tear_down(&b);
}

static void
only_those_who_are_allowed_may_and_only_where(void)
{
	static struct sl_registry_allow rows[] = {
		{.identity = "spiffe://td/prod-*",
		 .services = {"web", "api-*"},
		 .service_cnt = 2,
		 .address_cnt = 1},
		{.identity = "spiffe://td/other", .services = {"other"}, .service_cnt = 1},
	};
	struct bed b;
	struct sl_registry_who prod, other, nobody, viewer = {.name = "v", .role = SL_ROLE_VIEWER};

	CU_ASSERT_FATAL(sl_addr_parse("192.0.2.0", &rows[0].addresses[0].addr) == 0);
	rows[0].addresses[0].plen = 96 + 30;
	set_up(&b);
	b.conf.allow = rows;
	b.conf.allow_cnt = 2;
	sl_registry_who_identity(&b.conf, "spiffe://td/prod-web", &prod);
	sl_registry_who_identity(&b.conf, "spiffe://td/other", &other);
	sl_registry_who_identity(&b.conf, "spiffe://td/prox", &nobody);
	CU_ASSERT(as(&b, &prod, PUT, "web", "w1", A1) == 201);
	CU_ASSERT(as(&b, &prod, PUT, "api-v2", "w1", A2) == 201);
	CU_ASSERT(as(&b, &prod, PUT, "web", "w4", "{\"address\":\"192.0.2.4\"}") == 403);
	CU_ASSERT(as(&b, &prod, PUT, "web", "w4", "{\"address\":\"2001:db8::1\"}") == 403);
	CU_ASSERT(as(&b, &prod, PUT, "api", "w1", A1) == 403);
	CU_ASSERT(as(&b, &nobody, PUT, "web", "w1", A1) == 403);
	CU_ASSERT(as(&b, &nobody, REMOVE, "web", "w1", "{}") == 403);
	CU_ASSERT(as(&b, &nobody, REMOVE, "web", "none", "{}") ==
		  403); /* not even whether it is there */
	CU_ASSERT(as(&b, &other, BEAT, "web", "w1", "{}") == 403);
	CU_ASSERT(as(&b, &viewer, PUT, "web", "w1", A1) == 403);
	CU_ASSERT(as(&b, &root, PUT, "web", "far", "{\"address\":\"198.51.100.1\"}") == 201);
	/* what stands at an address that is not theirs they may not move to one that is */
	CU_ASSERT(as(&b, &prod, PUT, "web", "far", A1) == 403);
	CU_ASSERT(as(&b, &prod, REMOVE, "web", "far", "{}") == 403);
	CU_ASSERT(count(&b) == 3);
	json_t *seen = sl_registry_show(b.r, &prod, NULL);
	CU_ASSERT(json_integer_value(json_object_get(seen, "endpoint_cnt")) == 3);
	json_decref(seen);
	seen = sl_registry_show(b.r, &other, NULL);
	CU_ASSERT(json_integer_value(json_object_get(seen, "endpoint_cnt")) == 0);
	json_decref(seen);
	CU_ASSERT(strstr(b.said, "may not change") != NULL);
	tear_down(&b);
}

/* ---- the disk ---- */

struct file {
	char *text;
	size_t len;
	char path[128];
};

static void
load(struct bed *b, const char *name, struct file *f)
{
	struct sl_diag diag = {0};

	snprintf(f->path, sizeof(f->path), "%s/registry/%s", b->dir, name);
	CU_ASSERT_FATAL(sl_disk_read(f->path, 1 << 20, &f->text, &f->len, &diag) == 0);
	sl_diag_fini(&diag);
}

static void
store(const struct file *f, size_t len)
{
	FILE *to = fopen(f->path, "w");

	CU_ASSERT_FATAL(to && fwrite(f->text, 1, len, to) == len && fclose(to) == 0);
}

static void
a_tail_torn_at_any_byte_loses_nothing_that_was_answered(void)
{
	struct bed b;
	struct file f;
	struct stat st;

	set_up(&b);
	CU_ASSERT(put(&b, "web", "w1", A1) == 201);
	CU_ASSERT(put(&b, "web", "w2", A2) == 201);
	CU_ASSERT(put(&b, "web", "w3", A2) == 201);
	close_registry(&b);
	load(&b, "journal", &f);
	for (size_t len = 0; len <= f.len; len++) {
		size_t whole = 0, end = 0;
		for (size_t i = 0; i < len; i++)
			if (f.text[i] == '\n') {
				whole++;
				end = i + 1;
			}
		store(&f, len);
		open_registry(&b);
		CU_ASSERT(count(&b) == whole);
		CU_ASSERT((b.notes.cnt != 0) == (end != len));
		CU_ASSERT(stat(f.path, &st) == 0 && (size_t)st.st_size == end);
		/* and what comes next stands behind it */
		if (len % 7 == 0) {
			CU_ASSERT(put(&b, "web", "w9", A1) == 201);
			close_registry(&b);
			open_registry(&b);
			CU_ASSERT(count(&b) == whole + 1 && b.notes.cnt == 0);
		}
		close_registry(&b);
	}
	free(f.text);
	open_registry(&b);
	tear_down(&b);
}

static void
a_changed_byte_costs_one_change_and_is_told(void)
{
	struct bed b;
	struct file f;
	char aside[160];

	set_up(&b);
	CU_ASSERT(put(&b, "web", "w1", A1) == 201);
	CU_ASSERT(put(&b, "web", "w2", A2) == 201);
	CU_ASSERT(put(&b, "web", "w3", A2) == 201);
	close_registry(&b);
	load(&b, "journal", &f);
	size_t first = (size_t)((char *)memchr(f.text, '\n', f.len) - f.text);
	snprintf(aside, sizeof(aside), "%s.damaged", f.path);
	for (size_t i = 0; i < first; i++) {
		f.text[i] ^= 0x20;
		store(&f, f.len);
		f.text[i] ^= 0x20;
		open_registry(&b);
		CU_ASSERT(count(&b) == 2 && b.notes.cnt == 1);
		CU_ASSERT(unlink(aside) == 0);
		close_registry(&b);
		open_registry(&b); /* what was left is in whole files */
		CU_ASSERT(count(&b) == 2 && b.notes.cnt == 0);
		close_registry(&b);
		char snapshot[160];
		snprintf(snapshot, sizeof(snapshot), "%s/registry/snapshot", b.dir);
		CU_ASSERT(unlink(snapshot) == 0);
	}
	free(f.text);
	open_registry(&b);
	tear_down(&b);
}

static void
a_disk_that_fails_refuses_and_mends_with_a_snapshot(void)
{
	struct bed b;
	char path[128];
	struct stat st;

	set_up(&b);
	CU_ASSERT(put(&b, "web", "w1", A1) == 201);
	/* the journal's descriptor becomes one that cannot be written: as if the disk were gone */
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC), fd;
	snprintf(path, sizeof(path), "%s/registry/journal", b.dir);
	CU_ASSERT_FATAL(stat(path, &st) == 0);
	struct stat at;
	for (fd = 3; fd < 64; fd++)
		if (fstat(fd, &at) == 0 && at.st_ino == st.st_ino && at.st_dev == st.st_dev)
			break;
	int good = dup(fd);
	CU_ASSERT_FATAL(full >= 0 && fd < 64 && dup2(full, fd) == fd);
	start(&b, &root, PUT, "web", "w2", A2);
	start(&b, &root, MAINTAIN, "web", "w1", "{\"on\":true}");
	while (b.answers < 3)
		uv_run(&b.loop, UV_RUN_ONCE);
	CU_ASSERT(b.status == 500 && count(&b) == 1);
	CU_ASSERT(strcmp(state_of(&b, "web", "w1"), "up") == 0);
	CU_ASSERT(strstr(b.said, "cannot write") != NULL);
	CU_ASSERT(dup2(good, fd) == fd);
	CU_ASSERT(put(&b, "web", "w3", A2) == 201);
	close(good);
	close(full);
	close_registry(&b);
	open_registry(&b);
	CU_ASSERT(count(&b) == 2 && b.notes.cnt == 0);
	tear_down(&b);
}

static void
a_journal_that_grew_becomes_a_snapshot(void)
{
	struct bed b;
	char name[32], body[128], path[128];
	struct stat st;

	set_up(&b);
	for (unsigned round = 0; round < 60; round++) {
		unsigned before = b.answers;
		for (unsigned i = 0; i < 500; i++) {
			snprintf(name, sizeof(name), "w%u", i);
			snprintf(body, sizeof(body), "{\"address\":\"192.0.2.1\",\"port\":%u}",
				 1 + round * 500 + i);
			start(&b, &root, PUT, "web", name, body);
		}
		while (b.answers < before + 500)
			uv_run(&b.loop, UV_RUN_ONCE);
	}
	close_registry(&b);
	snprintf(path, sizeof(path), "%s/registry/snapshot", b.dir);
	CU_ASSERT(stat(path, &st) == 0 && st.st_size > 500 * 100);
	snprintf(path, sizeof(path), "%s/registry/journal", b.dir);
	CU_ASSERT(stat(path, &st) == 0 && st.st_size < (5 << 20));
	open_registry(&b);
	CU_ASSERT(count(&b) == 500 && b.notes.cnt == 0);
	json_t *e = shown(&b, "web", "w499");
	CU_ASSERT(json_integer_value(json_object_get(e, "port")) == 60 * 500);
	json_decref(e);
	tear_down(&b);
}

/* ---- sluiced's file ---- */

static void
the_group_registry_is_checked_whole(void)
{
	static const struct {
		const char *text;
		unsigned problems;
		const char *reason;
	} row[] = {
		{"registry = { };", 0, "all of it has a default"},
		{"registry = { socket = \"\"; remove_after = \"0s\"; };", 0, "off, never"},
		{"registry = { listen = \"10.0.0.1:8443\"; certificate = \"/c\"; key = \"/k\"; "
		 "trust = "
		 "\"/t\"; };",
		 0, "mTLS"},
		{"registry = { listen = \"[2001:db8::1]:8443\"; certificate = \"/c\"; key = "
		 "\"/k\"; };",
		 1, "no trust"},
		{"registry = { allow = ( { identity = \"spiffe://td/a*\"; services = ( \"*\", "
		 "\"api-*\", "
		 "\"web\" ); addresses = ( \"10.0.0.0/8\", \"2001:db8::1\" ); }, { user = 0; "
		 "services = "
		 "( \"x\" ); }, { user = \"root\"; services = ( \"x\" ); } ); };",
		 0, "rows"},
		{"registry = { allow = ( { services = ( \"x\" ); } ); };", 1, "about nobody"},
		{"registry = { allow = ( { identity = \"a.example\"; user = \"root\"; services = ( "
		 "\"x\" ); } "
		 "); };",
		 1, "about two"},
		{"registry = { allow = ( { identity = \"a.example\"; } ); };", 1, "no services"},
		{"registry = { allow = ( { identity = \"a.example\"; services = ( \"-x\", \"a "
		 "b*\", 5 ); } ); "
		 "};",
		 3, "no names"},
		{"registry = { allow = ( { identity = \"a.example\"; services = ( \"x\" ); "
		 "addresses = ( "
		 "\"10.0.0.1/8\" ); } ); };",
		 1, "bits behind the prefix"},
		{"registry = { allow = ( { user = \"no-such-user\"; services = ( \"x\" ); } ); };",
		 1, "who?"},
		{"registry = { allow = ( { identity = \"a.example\"; service = ( \"x\" ); } ); };",
		 2, "unknown key, and none of those"},
		{"registry = { allow = { }; };", 1, "no list"},
		{"registry = { socket = \"x\"; listen = \"nowhere\"; remove_after = \"1\"; group = "
		 "\"no-such-group\"; };",
		 4, "all at once"},
		{"registry = { remove_after = \"500ms\"; };", 1, "too short"},
		{"registry = { listn = \"\"; };", 1, "unknown key"},
		{"registry = 5;", 1, "no group"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_daemon_conf c;
		struct sl_diag diag = {0};
		int err = sl_daemon_conf_parse("f", row[i].text, strlen(row[i].text), &diag, &c);
		if (diag.cnt != row[i].problems)
			printf("  %s (%s): %u problems, first %s\n", row[i].text, row[i].reason,
			       diag.cnt, diag.cnt ? diag.items[0].text : "");
		CU_ASSERT(diag.cnt == row[i].problems);
		CU_ASSERT(err == (row[i].problems ? -EINVAL : 0));
		sl_diag_fini(&diag);
		sl_daemon_conf_fini(&c);
	}
	struct sl_daemon_conf c;
	struct sl_diag diag = {0};
	static const char text[] = "api_socket = \"/srv/x/api.sock\";";
	CU_ASSERT(sl_daemon_conf_parse("f", text, strlen(text), &diag, &c) == 0);
	CU_ASSERT(strcmp(c.registry.socket, "/srv/x/registry.sock") == 0 &&
		  c.registry.remove_after_ms == 3600000 && c.registry.allow_cnt == 0);
	sl_daemon_conf_fini(&c);
}

SL_SUITE("registry", SL_TEST(the_group_registry_is_checked_whole),
	 SL_TEST(an_endpoint_comes_changes_and_goes),
	 SL_TEST(many_changes_of_one_turn_are_one_write_and_one_answer),
	 SL_TEST(changes_of_one_endpoint_keep_their_order),
	 SL_TEST(wrong_requests_say_what_and_where_and_change_nothing),
	 SL_TEST(hints_and_maintenance_reach_the_source),
	 SL_TEST(who_is_silent_goes_down_and_then_away_but_not_the_last),
	 SL_TEST(neither_a_set_clock_nor_a_daemon_that_stood_still_makes_anyone_silent),
	 SL_TEST(the_same_registration_again_is_a_heartbeat),
	 SL_TEST(only_those_who_are_allowed_may_and_only_where),
	 SL_TEST(a_tail_torn_at_any_byte_loses_nothing_that_was_answered),
	 SL_TEST(a_changed_byte_costs_one_change_and_is_told),
	 SL_TEST(a_disk_that_fails_refuses_and_mends_with_a_snapshot),
	 SL_TEST(a_journal_that_grew_becomes_a_snapshot))
