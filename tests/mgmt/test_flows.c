/* flows: the verb over a region that this file fills, flow by flow; a flow is known by the port of its client. */
#include "lb/flow.h"
#include "lb/flow_adopt.h"
#include "mgmt/flow_query.h"
#include "mgmt/walk.h"
#include "tests/mgmt/fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#define WORKERS 2
#define CAPACITY 1024
#define NOW_Q 400000u

static struct fixture f;
static struct sl_flows_head *region;
static size_t region_bytes;
static int region_fd;

static void
region_open(void)
{
	struct sl_flows_head h = {.region = 11, .boot_id = 12};
	struct sl_hash_key key = {{3}};

	CU_ASSERT_FATAL(sl_flows_layout(&h, WORKERS, CAPACITY, CAPACITY) == 0);
	sl_flows_seal(&h);
	region_bytes = h.bytes;
	region_fd = memfd_create("region", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CU_ASSERT_FATAL(region_fd >= 0 && ftruncate(region_fd, (off_t)h.bytes) == 0);
	region = mmap(NULL, h.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region_fd, 0);
	CU_ASSERT_FATAL(region != MAP_FAILED);
	fcntl(region_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	*region = h;
	for (unsigned w = 0; w < WORKERS; w++) {
		struct sl_flow_table *t = sl_flows_table(region, w);
		CU_ASSERT_FATAL(sl_flow_init(t, CAPACITY, CAPACITY, &key) != NULL);
		t->clock_q = NOW_Q;
	}
}

static void
region_close(void)
{
	munmap(region, region_bytes);
	close(region_fd);
}

static struct sl_tuple
tuple(const char *src, uint16_t sport, const char *dst, uint16_t dport, uint8_t proto)
{
	struct sl_tuple t = {
		.sport = sl_to_be16(sport), .dport = sl_to_be16(dport), .proto = proto};
	CU_ASSERT_FATAL(sl_addr_parse(src, &t.src) == 0 && sl_addr_parse(dst, &t.dst) == 0);
	return t;
}

static struct sl_flow_table *
put(unsigned worker, struct sl_tuple k, struct sl_placed at, uint8_t state, uint32_t idle_q,
    uint32_t *ret_idx)
{
	struct sl_flow_table *t = sl_flows_table(region, worker);
	struct sl_flow_evicted gone;
	unsigned reason;

	*ret_idx = sl_flow_insert(t, sl_flow_hash(t, &k), &k, at.slot, (uint16_t)at.incarnation,
				  state, NOW_Q - idle_q, &gone, &reason);
	CU_ASSERT_FATAL(*ret_idx != SL_FLOW_NONE);
	return t;
}

#define VIP "203.0.113.10"

static void
fill(const struct sl_placed ep[3])
{
	struct sl_flow_evicted gone[2];
	struct sl_placed past = {ep[0].slot, ep[0].incarnation + 1};
	unsigned reason;
	uint32_t i;

	put(0, tuple("198.51.100.1", 1001, VIP, 80, SL_IPPROTO_TCP), ep[0], SL_FLOW_ESTABLISHED, 0,
	    &i);
	/* nat: two halves */
	put(0, tuple("198.51.100.2", 1002, VIP, 80, SL_IPPROTO_TCP), ep[1],
	    SL_FLOW_ESTABLISHED | SL_FLOW_NAT | SL_FLOW_FIN_A, 400, &i);
	struct sl_flow_table *t =
		put(1, tuple("192.0.2.12", 80, "198.51.100.2", 1002, SL_IPPROTO_TCP), ep[1],
		    SL_FLOW_ESTABLISHED | SL_FLOW_REPLY, 400, &i);
	struct sl_xlat *x = sl_flow_xlat(t, sl_flow_get(t, i));
	x->addr = tuple(VIP, 80, VIP, 80, 6).src;
	x->port = sl_to_be16(80);
	sl_flow_xlat_seal(x);
	put(1, tuple("198.51.101.3", 1003, VIP, 80, SL_IPPROTO_TCP), ep[0], SL_FLOW_EMBRYONIC, 40,
	    &i);
	put(1, tuple("2001:db8::4", 1004, "2001:db8:ffff::10", 53, SL_IPPROTO_UDP), ep[2],
	    SL_FLOW_UDP, 0, &i);
	/* fullnat: a pair */
	struct sl_tuple k = tuple("198.51.100.5", 1005, VIP, 8080, SL_IPPROTO_UDP),
			r = tuple("192.0.2.13", 80, "192.0.2.2", 4040, SL_IPPROTO_UDP);
	t = sl_flows_table(region, 0);
	CU_ASSERT_FATAL(sl_flow_insert_pair(t, &k, sl_flow_hash(t, &k), &r, sl_flow_hash(t, &r),
					    ep[2].slot, (uint16_t)ep[2].incarnation, SL_FLOW_UDP,
					    NOW_Q, gone, &reason) != SL_FLOW_NONE);
	/* of an endpoint that is not in the table any more */
	put(1, tuple("198.51.100.6", 1006, VIP, 80, SL_IPPROTO_TCP), past, SL_FLOW_CLOSING, 0, &i);
}

static bool
kept(struct fixture *x)
{
	int fd;
	uint64_t bytes;
	return sl_publish_flows(x->daemon.publish, &fd, &bytes);
}

static void
open_all(void)
{
	struct sl_ctl_keep m = {.region = 11};
	struct sl_placed ep[3];

	signal(SIGPIPE, SIG_IGN); /* as sluiced does: clients leave before they are answered */
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 3));
	for (unsigned i = 0; i < 3; i++) {
		char name[8] = {'w', 'e', 'b', '-', (char)('1' + i), 0};
		ep[i] = sl_oper_find(f.daemon.oper, "web", name)->at;
	}
	region_open();
	fill(ep);
	m.bytes = region_bytes;
	sl_ctl_init(&m.head, SL_CTL_KEEP, sizeof(m), 0);
	CU_ASSERT_FATAL(sl_ctl_send(f.dp.peer_fd, &m, sizeof(m), &region_fd, 1) == 0);
	CU_ASSERT_FATAL(fixture_wait(&f, kept));
}

static void
close_all(void)
{
	fixture_close(&f);
	region_close();
}

static int
by_port(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* "1001 1002r": client ports of an answer in order, r: reply half. */
static const char *
ports_of(json_t *a, char buf[256])
{
	char one[16][8];
	size_t i, n = 0;
	json_t *o;

	json_array_foreach(json_object_get(a, "flows"), i, o) if (n < 16) snprintf(
		one[n++], sizeof(one[0]), "%lld%s", (long long)answer_int(o, "client_port"),
		answer_text(o, "half")[0] == 'r' ? "r" : "");
	qsort(one, n, sizeof(one[0]), by_port);
	buf[0] = 0;
	for (i = 0; i < n; i++)
		snprintf(buf + strlen(buf), 256 - strlen(buf), "%s%s", i ? " " : "", one[i]);
	return buf;
}

static json_t *
ask(const char *keys)
{
	char text[512];
	snprintf(text, sizeof(text), "{\"verb\":\"flows\"%s%s}", *keys ? "," : "", keys);
	return fixture_ask(&f, json_loads(text, 0, NULL));
}

static void
each_filter_leaves_what_it_says(void)
{
	static const struct {
		const char *keys, *want;
	} row[] = {
		{"", "1001 1002 1003 1004 1005 1006"},
		{"\"halves\":true", "1001 1002 1002r 1003 1004 1005 1006"},
		{"\"client\":\"198.51.100.0/24\"", "1001 1002 1005 1006"},
		{"\"client\":\"198.51.100.2\",\"halves\":true", "1002 1002r"},
		{"\"client\":\"198.51.100.2/32\"", "1002"},
		{"\"client\":\"198.51.100.3\"", ""},
		{"\"client\":\"2001:db8::/32\"", "1004"},
		{"\"client\":\"::/0\"", "1004"},
		{"\"client\":\"0.0.0.0/0\"", "1001 1002 1003 1005 1006"},
		{"\"vip\":\"203.0.113.10\"", "1001 1002 1003 1005 1006"},
		{"\"vip\":\"203.0.113.0/24\",\"halves\":true", "1001 1002 1002r 1003 1005 1006"},
		{"\"vip\":\"2001:db8:ffff::10\"", "1004"},
		{"\"port\":80", "1001 1002 1003 1006"},
		{"\"port\":0", ""},
		{"\"protocol\":\"udp\"", "1004 1005"},
		{"\"protocol\":\"tcp\"", "1001 1002 1003 1006"},
		{"\"service\":\"web\"", "1001 1002 1003 1004 1005"},
		{"\"service\":\"web\",\"endpoint\":\"web-1\"", "1001 1003"},
		{"\"service\":\"web\",\"endpoint\":\"web-3\"", "1004 1005"},
		{"\"listener\":\"web-v4\"", "1001 1002 1003 1006"},
		{"\"state\":\"established\"", "1001 1002"},
		{"\"state\":\"embryonic\"", "1003"},
		{"\"state\":\"closing\"", "1006"},
		{"\"state\":\"udp\"", "1004 1005"},
		{"\"state\":\"udp_new\"", ""},
		{"\"worker\":0", "1001 1002 1005"},
		{"\"worker\":1,\"halves\":true", "1002r 1003 1004 1006"},
		{"\"worker\":7", ""},
		{"\"idle_over_ms\":10000", "1002 1003"},
		{"\"idle_over_ms\":10001", "1002"},
		{"\"idle_over_ms\":0", "1001 1002 1003 1004 1005 1006"},
		{"\"client\":\"198.51.100.0/24\",\"state\":\"established\",\"idle_over_ms\":1",
		 "1002"},
	};
	char buf[256];

	open_all();
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		json_t *a = ask(row[i].keys);
		CU_ASSERT(answer_ok(a));
		if (strcmp(ports_of(a, buf), row[i].want))
			printf("  row %u: %s\n", i, buf);
		CU_ASSERT_STRING_EQUAL(buf, row[i].want);
		CU_ASSERT((size_t)answer_int(a, "matched") ==
			  json_array_size(json_object_get(a, "flows")));
		CU_ASSERT(!json_is_true(json_object_get(a, "more")));
		json_decref(a);
	}
	close_all();
}

static void
a_flow_is_shown_with_names_times_and_translation(void)
{
	open_all();
	json_t *a = ask("\"client\":\"198.51.100.2\""),
	       *o = json_array_get(json_object_get(a, "flows"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "protocol"), "tcp");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "client"), "198.51.100.2");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "vip"), VIP);
	CU_ASSERT(answer_int(o, "vip_port") == 80 && answer_int(o, "worker") == 0);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "service"), "web");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "endpoint"), "web-2");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "state"), "established");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "fin"), "one");
	CU_ASSERT(answer_int(o, "idle_ms") == 100000);
	CU_ASSERT(answer_int(o, "left_ms") == 3500000);
	CU_ASSERT(json_is_null(json_object_get(o, "via")));
	CU_ASSERT(answer_int(a, "looked") == 8 && json_is_true(json_object_get(a, "dataplane")));
	json_decref(a);
	a = ask("\"client\":\"198.51.100.5\"");
	o = json_array_get(json_object_get(a, "flows"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(o, "via"), "address"), "192.0.2.2");
	CU_ASSERT(answer_int(json_object_get(o, "via"), "port") == 4040);
	json_decref(a);
	a = ask("\"client\":\"198.51.100.6\"");
	o = json_array_get(json_object_get(a, "flows"), 0);
	CU_ASSERT(json_is_null(json_object_get(o, "service")) &&
		  json_is_null(json_object_get(o, "endpoint")));
	json_decref(a);
	close_all();
}

static void
a_limit_ends_the_walk_and_a_count_does_not(void)
{
	open_all();
	json_t *a = ask("\"limit\":2");
	CU_ASSERT(json_array_size(json_object_get(a, "flows")) == 2);
	CU_ASSERT(json_is_true(json_object_get(a, "more")) && answer_int(a, "matched") == 2);
	json_decref(a);
	a = ask("\"limit\":6");
	CU_ASSERT(!json_is_true(json_object_get(a, "more")) && answer_int(a, "matched") == 6);
	json_decref(a);
	a = ask("\"count\":true,\"client\":\"198.51.100.0/24\"");
	CU_ASSERT(json_is_null(json_object_get(a, "flows")));
	CU_ASSERT(answer_int(a, "matched") == 4 && answer_int(a, "looked") == 8);
	json_decref(a);
	close_all();
}

/* The daemon holds the region while the dataplane is away. */
static void
flows_are_shown_without_a_dataplane(void)
{
	char buf[256];

	open_all();
	fixture_dp_stop(&f);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
	json_t *a = ask("\"state\":\"established\"");
	CU_ASSERT_STRING_EQUAL(ports_of(a, buf), "1001 1002");
	CU_ASSERT(json_is_false(json_object_get(a, "dataplane")));
	json_decref(a);
	close_all();
}

static void
what_is_no_region_is_refused(void)
{
	open_all();
	region->capacity++;
	json_t *a = ask("");
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	json_decref(a);
	close_all();
}

static void
a_walk_that_nobody_waits_for_ends(void)
{
	struct sl_flow_query q = {.limit = 0};
	atomic_bool cancel = true;
	const char *why = NULL;

	open_all();
	CU_ASSERT(sl_flow_query_run(&q, region, region_bytes, &cancel, &why) == -ECANCELED);
	free(q.found);
	cancel = false;
	CU_ASSERT(sl_flow_query_run(&q, region, region_bytes, &cancel, &why) == 0);
	CU_ASSERT(q.matched == 6);
	free(q.found);
	close_all();
}

/* ---- the queue: the pool is held, so that a walk cannot begin ---- */

static uv_sem_t gate;

static void
hold(uv_work_t *w)
{
	(void)w;
	uv_sem_wait(&gate);
}

static void
held(uv_work_t *w, int status)
{
	(void)status;
	free(w);
}

static int
ask_and_leave_open(void)
{
	static const char body[] = "{\"verb\":\"flows\",\"count\":true}";
	struct sl_api_head h = {SL_API_MAGIC, SL_API_VERSION, 0, sizeof(body) - 1};
	char frame[sizeof(h) + sizeof(body) - 1];
	int s = fixture_connect(&f);

	memcpy(frame, &h, sizeof(h));
	memcpy(frame + sizeof(h), body, sizeof(body) - 1);
	CU_ASSERT(send(s, frame, sizeof(frame), 0) == (ssize_t)sizeof(frame));
	return s;
}

/* Other questions are answered while flows wait: they show that the frames before were taken. */
static void
status_is_answered(void)
{
	json_t *a = fixture_ask(&f, json_pack("{s:s}", "verb", "status"));
	CU_ASSERT(answer_ok(a));
	json_decref(a);
}

static bool
idle(struct fixture *x)
{
	return !sl_walk_queue_busy(x->daemon.walk_queue);
}

static void
one_walk_at_a_time_some_wait_and_who_left_is_forgotten(void)
{
	enum { MOST = 17 }; /* one at work, 16 wait */
	int sock[MOST];
	char c[4096];

	open_all();
	uv_sem_init(&gate, 0);
	for (unsigned i = 0; i < 4; i++)
		uv_queue_work(&f.loop, calloc(1, sizeof(uv_work_t)), hold, held);
	for (unsigned i = 0; i < MOST; i++) {
		sock[i] = ask_and_leave_open();
		status_is_answered();
	}
	json_t *a = ask("\"count\":true");
	CU_ASSERT_STRING_EQUAL(answer_code(a), "busy");
	json_decref(a);
	close(sock[0]); /* the one at work */
	close(sock[5]); /* one that waits: its place is free soon */
	sock[5] = -1;
	for (uint64_t end = uv_hrtime() + 20000000000ull; uv_hrtime() < end && sock[5] < 0;) {
		sock[5] = ask_and_leave_open();
		status_is_answered();
		if (recv(sock[5], c, sizeof(c), 0) < 0)
			break; /* taken: no answer yet */
		close(sock[5]);
		sock[5] = -1;
	}
	CU_ASSERT(sock[5] >= 0);
	for (unsigned i = 0; i < 4; i++)
		uv_sem_post(&gate);
	CU_ASSERT(fixture_wait(&f, idle));
	for (unsigned i = 1; i < MOST; i++) {
		ssize_t n = recv(sock[i], c, sizeof(c) - 1, 0);
		c[n > 0 ? n : 0] = 0;
		CU_ASSERT(n > 12 && strstr(c + 12, "\"matched\":6") != NULL);
		close(sock[i]);
	}
	uv_sem_destroy(&gate);
	close_all();
}

/* The daemon ends while questions wait: none is left over. */
static void
a_daemon_ends_with_questions_open(void)
{
	int sock[3];

	open_all();
	for (unsigned i = 0; i < 3; i++) {
		sock[i] = ask_and_leave_open();
		uv_run(&f.loop, UV_RUN_NOWAIT);
		uv_run(&f.loop, UV_RUN_NOWAIT);
	}
	close_all();
	for (unsigned i = 0; i < 3; i++)
		close(sock[i]);
}

SL_SUITE("flows", SL_TEST(each_filter_leaves_what_it_says),
	 SL_TEST(a_flow_is_shown_with_names_times_and_translation),
	 SL_TEST(a_limit_ends_the_walk_and_a_count_does_not),
	 SL_TEST(flows_are_shown_without_a_dataplane), SL_TEST(what_is_no_region_is_refused),
	 SL_TEST(a_walk_that_nobody_waits_for_ends),
	 SL_TEST(one_walk_at_a_time_some_wait_and_who_left_is_forgotten),
	 SL_TEST(a_daemon_ends_with_questions_open))
