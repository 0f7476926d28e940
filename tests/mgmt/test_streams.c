/* streams: the verb over a region that this file fills, row by row, and the query over regions that lie; a stream is
 * known by its peer's port. */
#include "mgmt/stream_query.h"
#include "mgmt/walk.h"
#include "tests/mgmt/fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <time.h>

#define WORKERS 2
#define CAPACITY 64
#define STRIDE 192

static struct fixture f;
static void *region;
static size_t region_bytes;
static int region_fd;

/* As the workers have it. */
static uint32_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return SL_STREAMS_EPOCH_MS +
	       (uint32_t)((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static void
region_open(void)
{
	region_bytes = sl_streams_bytes(WORKERS, CAPACITY, STRIDE);
	region_fd = memfd_create("streams", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CU_ASSERT_FATAL(region_bytes > 0 && region_fd >= 0 &&
			ftruncate(region_fd, (off_t)region_bytes) == 0);
	region = mmap(NULL, region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, region_fd, 0);
	CU_ASSERT_FATAL(region != MAP_FAILED);
	fcntl(region_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	sl_streams_init(region, WORKERS, CAPACITY, STRIDE, 1);
}

static void
region_close(void)
{
	munmap(region, region_bytes);
	close(region_fd);
}

static struct sl_stream_row *
row_of(unsigned worker, uint32_t place)
{
	return (void *)((char *)sl_streams_worker(region, worker) + (size_t)place * STRIDE);
}

static struct sl_stream_row *
put(unsigned worker, uint32_t place, const char *src, uint16_t sport, const char *dst,
    uint16_t dport, uint8_t state)
{
	struct sl_stream_row *r = row_of(worker, place);

	*r = (struct sl_stream_row){
		.tuple = {.sport = sl_to_be16(sport),
			  .dport = sl_to_be16(dport),
			  .proto = SL_IPPROTO_TCP},
		.listener_slot = UINT32_MAX,
		.service_slot = UINT32_MAX,
		.endpoint_slot = UINT32_MAX,
		.partner = UINT32_MAX,
		.opened_ms = now_ms() - 60000,
		.state = state,
	};
	CU_ASSERT_FATAL(sl_addr_parse(src, &r->tuple.src) == 0 &&
			sl_addr_parse(dst, &r->tuple.dst) == 0);
	return r;
}

static void
couple(unsigned worker, uint32_t a, uint32_t b)
{
	row_of(worker, a)->partner = b;
	row_of(worker, b)->partner = a;
}

static void
name(struct sl_stream_row *r, const char *endpoint)
{
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	const struct sl_oper_endpoint *e =
		endpoint ? sl_oper_find(f.daemon.oper, "web", endpoint) : NULL;
	struct sl_placed at;

	CU_ASSERT_FATAL(sl_slot_find_listener(&t->map, &t->conf->listeners[0], &at) == 0);
	r->listener_slot = at.slot;
	CU_ASSERT_FATAL(sl_slot_find_service(&t->map, &t->conf->services[0], &at) == 0);
	r->service_slot = at.slot;
	if (!e)
		return;
	r->endpoint_slot = e->at.slot;
	r->incarnation = (uint16_t)e->at.incarnation;
}

#define VIP "203.0.113.10"

static void
fill(void)
{
	struct sl_stream_row *r = put(0, 3, "198.51.100.1", 1001, VIP, 80, SL_STREAM_ESTABLISHED);
	name(r, "web-1");
	r->flags = SL_STREAM_SACK | SL_STREAM_TS | SL_STREAM_RECOVERY;
	r->snd_una = 0xffffff00; /* wraps */
	r->snd_nxt = 0x100;
	r->snd_end = 0x1000;
	r->snd_wnd = 65535;
	r->rcv_wnd = 32768;
	r->cwnd = 14480;
	r->srtt_us = 1500;
	r->rttvar_us = 250;
	r->rcv_queue = 77;
	r->ooo = 1448;
	r->retrans = 5;
	r->mss = 1448;
	r->cc = SL_CC_RENO;
	r->bytes_in = 5000000000;
	r->bytes_out = 123;
	r = put(0, 7, "192.0.2.11", 80, "192.0.2.2", 40001, SL_STREAM_ESTABLISHED);
	name(r, "web-1");
	r->flags = SL_STREAM_OUT | SL_STREAM_WSCALE | SL_STREAM_BACKOFF;
	r->snd_end = 100;
	r->retrans = 1;
	couple(0, 3, 7);
	put(0, 0, "198.51.101.3", 1003, VIP, 80, SL_STREAM_SYN_RECEIVED);
	/* its partner says that it belongs to another */
	r = put(1, 63, "2001:db8::4", 1004, "2001:db8:ffff::10", 80, SL_STREAM_CLOSE_WAIT);
	name(r, NULL);
	r->partner = 5;
	/* of an endpoint that is not in the table any more */
	r = put(1, 5, "192.0.2.12", 8080, "192.0.2.2", 1006, SL_STREAM_FIN_WAIT_1);
	name(r, "web-2");
	r->incarnation++;
	r->flags = SL_STREAM_OUT;
	r->partner = 6;
}

static void
send_region(int fd, uint64_t bytes)
{
	struct sl_ctl_streams m = {.bytes = bytes};

	sl_ctl_init(&m.head, SL_CTL_STREAMS, sizeof(m), 0);
	CU_ASSERT_FATAL(sl_ctl_send(f.dp.peer_fd, &m, sizeof(m), &fd, 1) == 0);
}

static bool
kept(struct fixture *x)
{
	int fd;
	uint64_t bytes;
	return sl_publish_streams(x->daemon.publish, &fd, &bytes);
}

static void
open_all(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 3));
	region_open();
	fill();
	send_region(region_fd, region_bytes);
	CU_ASSERT_FATAL(fixture_wait(&f, kept));
}

static void
close_all(void)
{
	fixture_close(&f);
	region_close();
}

static json_t *
ask(const char *keys)
{
	char text[512];
	snprintf(text, sizeof(text), "{\"verb\":\"streams\"%s%s}", *keys ? "," : "", keys);
	return fixture_ask(&f, json_loads(text, 0, NULL));
}

/* "1003 1001 80": peers' ports of an answer, as they stand. */
static const char *
ports_of(json_t *a, char buf[256])
{
	size_t i;
	json_t *o;

	buf[0] = 0;
	json_array_foreach(json_object_get(a, "streams"), i, o)
		snprintf(buf + strlen(buf), 256 - strlen(buf), "%s%lld", i ? " " : "",
			 (long long)answer_int(o, "peer_port"));
	return buf;
}

static void
each_filter_leaves_what_it_says(void)
{
	static const struct {
		const char *keys, *want;
	} row[] = {
		{"", "1003 1001 80 8080 1004"},
		{"\"side\":\"client\"", "1003 1001 1004"},
		{"\"side\":\"endpoint\"", "80 8080"},
		{"\"state\":\"established\"", "1001 80"},
		{"\"state\":\"syn-received\"", "1003"},
		{"\"state\":\"close-wait\"", "1004"},
		{"\"state\":\"last-ack\"", ""},
		{"\"address\":\"198.51.100.0/24\"", "1001"},
		{"\"address\":\"198.51.100.0/23\"", "1003 1001"},
		{"\"address\":\"203.0.113.10\"", "1003 1001"},
		{"\"address\":\"192.0.2.2\"", "80 8080"},
		{"\"address\":\"192.0.2.12/32\"", "8080"},
		{"\"address\":\"0.0.0.0/0\"", "1003 1001 80 8080"},
		{"\"address\":\"::/0\"", "1004"},
		{"\"port\":80", "1003 1001 80 1004"},
		{"\"port\":1006", "8080"},
		{"\"port\":0", ""},
		{"\"service\":\"web\"", "1001 80 8080 1004"},
		{"\"service\":\"web\",\"endpoint\":\"web-1\"", "1001 80"},
		{"\"service\":\"web\",\"endpoint\":\"web-2\"", ""},
		{"\"listener\":\"web-v4\"", "1001 80 8080 1004"},
		{"\"worker\":0", "1003 1001 80"},
		{"\"worker\":1", "8080 1004"},
		{"\"worker\":7", ""},
		{"\"retrans\":1", "1001 80"},
		{"\"retrans\":2", "1001"},
		{"\"retrans\":6", ""},
		{"\"queue\":100", "1001 80"},
		{"\"queue\":4352", "1001"},
		{"\"queue\":4353", ""},
		{"\"side\":\"client\",\"state\":\"established\",\"retrans\":1", "1001"},
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
			  json_array_size(json_object_get(a, "streams")));
		CU_ASSERT(json_is_false(json_object_get(a, "more")));
		json_decref(a);
	}
	close_all();
}

static void
what_cannot_be_asked_is_refused_in_words(void)
{
	static const struct {
		const char *keys, *code, *text;
	} row[] = {
		{"\"state\":\"free\"", "invalid", "state: none of syn-sent"},
		{"\"state\":\"open\"", "invalid", "state: none of syn-sent"},
		{"\"side\":\"server\"", "invalid", "side: neither client nor endpoint"},
		{"\"sort\":\"none\"", "invalid", "sort: none of age"},
		{"\"address\":\"198.51.100.1/24\"", "invalid", "address: no address"},
		{"\"endpoint\":\"web-1\"", "invalid", "endpoint: needs the service"},
		{"\"service\":\"nobody\"", "not_found", "no service nobody"},
		{"\"service\":\"web\",\"endpoint\":\"x\"", "not_found", "no endpoint web/x"},
		{"\"listener\":\"nobody\"", "not_found", "no listener nobody"},
		{"\"worker\":64", "invalid", "worker"},
		{"\"count\":true,\"limit\":3", "invalid", "count: not together"},
		{"\"count\":true,\"sort\":\"rtt\"", "invalid", "count: not together"},
		{"\"count\":true,\"pairs\":true", "invalid", "count: not together"},
		{"\"client\":\"198.51.100.1\"", "invalid", "unknown key"},
	};

	open_all();
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		json_t *a = ask(row[i].keys);
		const char *text = answer_text(json_object_get(a, "error"), "text");
		CU_ASSERT_STRING_EQUAL(answer_code(a), row[i].code);
		if (!strstr(text, row[i].text))
			printf("  row %u: %s\n", i, text);
		CU_ASSERT(strstr(text, row[i].text) != NULL);
		json_decref(a);
	}
	close_all();
}

static void
a_stream_is_shown_with_names_and_numbers(void)
{
	static const struct {
		const char *key;
		json_int_t want;
	} number[] = {
		{"local_port", 80},
		{"worker", 0},
		{"place", 3},
		{"partner", 7},
		{"cwnd", 14480},
		{"rtt_us", 1500},
		{"rttvar_us", 250},
		{"mss", 1448},
		{"bytes_in", 5000000000},
		{"bytes_out", 123},
		{"send_queue", 0x1100},
		{"in_flight", 0x200},
		{"receive_queue", 77},
		{"out_of_order", 1448},
		{"send_window", 65535},
		{"receive_window", 32768},
		{"retransmits", 5},
	};

	open_all();
	json_t *a = ask("\"retrans\":5"), *o = json_array_get(json_object_get(a, "streams"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "side"), "client");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "peer"), "198.51.100.1");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "local"), VIP);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "listener"), "web-v4");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "service"), "web");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "endpoint"), "web-1");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "congestion"), "reno");
	for (unsigned i = 0; i < SL_ARRAY_CNT(number); i++)
		CU_ASSERT_EQUAL(answer_int(o, number[i].key), number[i].want);
	CU_ASSERT(answer_int(o, "age_ms") >= 60000 && answer_int(o, "age_ms") < 120000);
	char *flags = json_dumps(json_object_get(o, "flags"), JSON_COMPACT);
	CU_ASSERT_STRING_EQUAL(flags, "[\"sack\",\"ts\",\"recovery\"]");
	free(flags);
	CU_ASSERT_EQUAL(answer_int(a, "looked"), 5);
	json_decref(a);
	a = ask("\"side\":\"endpoint\",\"worker\":1");
	o = json_array_get(json_object_get(a, "streams"), 0);
	CU_ASSERT(json_is_null(json_object_get(o, "endpoint"))); /* the slot is another's */
	CU_ASSERT(json_is_null(json_object_get(o, "rtt_us")));
	json_decref(a);
	a = ask("\"state\":\"syn-received\"");
	o = json_array_get(json_object_get(a, "streams"), 0);
	CU_ASSERT(json_is_null(json_object_get(o, "listener")) &&
		  json_is_null(json_object_get(o, "service")) &&
		  json_is_null(json_object_get(o, "partner")));
	json_decref(a);
	close_all();
}

static void
pairs_are_shown_once_and_only_where_both_say_so(void)
{
	char buf[256];

	open_all();
	json_t *a = ask("\"pairs\":true"), *list = json_object_get(a, "streams");
	CU_ASSERT_STRING_EQUAL(ports_of(a, buf), "1003 1001 1004");
	CU_ASSERT(json_is_null(json_object_get(json_array_get(list, 0), "pair")));
	json_t *pair = json_object_get(json_array_get(list, 1), "pair");
	CU_ASSERT_EQUAL(answer_int(pair, "peer_port"), 80);
	CU_ASSERT_STRING_EQUAL(answer_text(pair, "side"), "endpoint");
	CU_ASSERT(json_is_null(json_object_get(json_array_get(list, 2), "pair")));
	json_decref(a);
	a = ask("\"pairs\":true,\"side\":\"endpoint\",\"worker\":0");
	pair = json_object_get(json_array_get(json_object_get(a, "streams"), 0), "pair");
	CU_ASSERT_EQUAL(answer_int(pair, "peer_port"), 1001);
	json_decref(a);
	close_all();
}

static void
a_limit_ends_the_walk_and_a_count_does_not(void)
{
	char buf[256];

	open_all();
	json_t *a = ask("\"limit\":2");
	CU_ASSERT_STRING_EQUAL(ports_of(a, buf), "1003 1001");
	CU_ASSERT(json_is_true(json_object_get(a, "more")) && answer_int(a, "matched") == 2);
	json_decref(a);
	a = ask("\"limit\":5");
	CU_ASSERT(json_is_false(json_object_get(a, "more")) && answer_int(a, "matched") == 5);
	json_decref(a);
	a = ask("\"limit\":2,\"sort\":\"retrans\"");
	CU_ASSERT_STRING_EQUAL(ports_of(a, buf), "1001 80");
	CU_ASSERT(json_is_true(json_object_get(a, "more")) && answer_int(a, "matched") == 5);
	json_decref(a);
	a = ask("\"count\":true,\"side\":\"client\"");
	CU_ASSERT(json_is_null(json_object_get(a, "streams")));
	CU_ASSERT(answer_int(a, "matched") == 3 && answer_int(a, "looked") == 5);
	json_decref(a);
	close_all();
}

/* ---- the link ---- */

static void
there_are_no_streams_without_a_dataplane_that_has_them(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_t *a = ask(""); /* TCP is off there */
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	CU_ASSERT(strstr(answer_text(json_object_get(a, "error"), "text"), "stream region") !=
		  NULL);
	json_decref(a);
	region_open();
	send_region(region_fd, region_bytes);
	CU_ASSERT_FATAL(fixture_wait(&f, kept));
	a = ask("");
	CU_ASSERT(answer_ok(a) && answer_int(a, "matched") == 0);
	json_decref(a);
	fixture_dp_stop(&f); /* and its streams with it */
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
	CU_ASSERT_FALSE(kept(&f));
	a = ask("");
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	json_decref(a);
	close_all();
}

static void
a_region_that_could_shrink_or_lies_about_its_size_ends_the_link(void)
{
	for (int how = 0; how < 3; how++) {
		open_all();
		int fd = memfd_create("streams", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, 8192) == 0);
		if (how > 0)
			fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
		if (how < 2) /* the first one of a link */
			fixture_dp_stop(&f);
		if (how < 2) {
			CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
			fixture_dp_start(&f, 2);
			CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
		}
		send_region(fd, how == 1 ? 4096 : 8192); /* 0: not sealed, 1: wrong, 2: second */
		CU_ASSERT(fixture_wait(&f, fixture_unlinked));
		close(fd);
		close_all();
	}
}

/* ---- the query alone ---- */

static int
run(struct sl_stream_query *q, const void *mem, size_t bytes)
{
	static const atomic_bool go_on;
	const char *why = NULL;

	q->now_ms = now_ms();
	int err = sl_stream_query_run(q, mem, bytes, &go_on, &why);
	CU_ASSERT((err == -EINVAL) <= (why != NULL));
	return err;
}

static void
done(struct sl_stream_query *q)
{
	free(q->found);
	free(q->partner);
	q->found = q->partner = NULL;
}

static uint64_t
next(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15ull;
	uint64_t z = (*seed ^ *seed >> 30) * 0xbf58476d1ce4e5b9ull;
	return z ^ z >> 27;
}

/* Few values, so that many are equal: then places decide. */
static void
fill_random(uint64_t seed)
{
	for (unsigned w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i < CAPACITY; i++) {
			struct sl_stream_row *r =
				put(w, i, "198.51.100.1", (uint16_t)next(&seed), VIP, 80,
				    next(&seed) % 4 ? SL_STREAM_ESTABLISHED : SL_STREAM_FREE);
			r->opened_ms = now_ms() - 1000 * (uint32_t)(next(&seed) % 8);
			r->srtt_us = next(&seed) % 8;
			r->cwnd = next(&seed) % 8;
			r->snd_nxt = next(&seed) % 8;
			r->snd_end = 8 + next(&seed) % 8;
			r->rcv_queue = next(&seed) % 8;
			r->ooo = next(&seed) % 8;
			r->retrans = next(&seed) % 8;
			r->bytes_in = next(&seed) % 8;
			r->bytes_out = next(&seed) << 8 >> 8;
		}
}

static uint64_t
key_by(enum sl_stream_order order, const struct sl_stream_row *r)
{
	const uint64_t key[] = {[SL_STREAM_BY_AGE] = (uint64_t)(uint32_t)-r->opened_ms,
				[SL_STREAM_BY_RTT] = r->srtt_us,
				[SL_STREAM_BY_CWND] = r->cwnd,
				[SL_STREAM_BY_FLIGHT] = r->snd_nxt,
				[SL_STREAM_BY_QUEUE] = r->snd_end,
				[SL_STREAM_BY_RCVQ] = r->rcv_queue,
				[SL_STREAM_BY_OOO] = r->ooo,
				[SL_STREAM_BY_RETRANS] = r->retrans,
				[SL_STREAM_BY_IN] = r->bytes_in,
				[SL_STREAM_BY_OUT] = r->bytes_out};
	return key[order];
}

/* Whether there is a stream outside the answer that stands before its last one. */
static unsigned
left_out(const struct sl_stream_query *q)
{
	const struct sl_stream_record *last = &q->found[q->found_cnt - 1];
	uint64_t least = key_by(q->order, &last->row);
	unsigned greater = 0;

	for (unsigned w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i < CAPACITY; i++)
			greater += row_of(w, i)->state != SL_STREAM_FREE &&
				   key_by(q->order, row_of(w, i)) > least;
	for (uint32_t i = 0; i < q->found_cnt; i++)
		greater -= key_by(q->order, &q->found[i].row) > least;
	return greater;
}

static void
each_order_gives_the_first_of_all(void)
{
	static const uint32_t limits[] = {1, 2, 3, 7, 50, 128, 1000};

	region_open();
	for (int o = SL_STREAM_BY_AGE; o <= SL_STREAM_BY_OUT; o++)
		for (unsigned k = 0; k < SL_ARRAY_CNT(limits); k++) {
			fill_random((uint64_t)o * 100 + k);
			struct sl_stream_query q = {.order = (enum sl_stream_order)o,
						    .limit = limits[k]};
			CU_ASSERT_EQUAL_FATAL(run(&q, region, region_bytes), 0);
			CU_ASSERT_EQUAL(q.matched, q.looked);
			CU_ASSERT_EQUAL(q.found_cnt, SL_MIN(q.limit, q.matched));
			CU_ASSERT_EQUAL(q.more, q.matched > q.limit);
			unsigned wrong = left_out(&q);
			for (uint32_t i = 1; i < q.found_cnt; i++) {
				const struct sl_stream_record *a = &q.found[i - 1],
							      *b = &q.found[i];
				uint64_t x = key_by(q.order, &a->row), y = key_by(q.order, &b->row);
				wrong += x < y ||
					 (x == y &&
					  (a->worker > b->worker ||
					   (a->worker == b->worker && a->place >= b->place)));
			}
			CU_ASSERT_EQUAL(wrong, 0);
			done(&q);
		}
	region_close();
}

static void
what_is_no_region_is_refused(void)
{
	static const struct {
		size_t off, len;
		uint64_t value;
	} rows[] = {
		{offsetof(struct sl_streams_head, magic), 4, 0},
		{offsetof(struct sl_streams_head, version), 4, SL_STREAMS_VERSION + 1},
		{offsetof(struct sl_streams_head, bytes), 8, 0},
		{offsetof(struct sl_streams_head, bytes), 8, UINT64_MAX},
		{offsetof(struct sl_streams_head, worker_bytes), 8, 4096},
		{offsetof(struct sl_streams_head, worker_bytes), 8, UINT64_MAX - 4095},
		{offsetof(struct sl_streams_head, worker_off), 4, 0},
		{offsetof(struct sl_streams_head, worker_cnt), 4, 0},
		{offsetof(struct sl_streams_head, worker_cnt), 4, 3},
		{offsetof(struct sl_streams_head, worker_cnt), 4, UINT32_MAX},
		{offsetof(struct sl_streams_head, capacity), 4, 0},
		{offsetof(struct sl_streams_head, capacity), 4, UINT32_MAX},
		{offsetof(struct sl_streams_head, stride), 4, 0},
		{offsetof(struct sl_streams_head, stride), 4, 100},
		{offsetof(struct sl_streams_head, stride), 4, 64},
	};
	struct sl_stream_query q = {.limit = 10};

	region_open();
	/* The end of the region is the end of the memory. */
	uint8_t *mem = guard_buf(region_bytes);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		memcpy(mem, region, region_bytes);
		memcpy(mem + rows[i].off, &rows[i].value, rows[i].len);
		CU_ASSERT_EQUAL(run(&q, mem, region_bytes), -EINVAL);
		done(&q);
	}
	memcpy(mem, region, region_bytes);
	CU_ASSERT_EQUAL(run(&q, mem, region_bytes), 0);
	done(&q);
	guard_free(mem, region_bytes);
	for (size_t n = 0; n < region_bytes; n += n < 8192 ? 1 : 512) {
		mem = guard_buf(n);
		memcpy(mem, region, n);
		CU_ASSERT_EQUAL(run(&q, mem, n), -EINVAL);
		done(&q);
		guard_free(mem, n);
	}
	region_close();
}

/* Rows of any bytes: whatever is made of them is a text that can be read again. */
static void
rows_may_say_anything(void)
{
	uint64_t seed = 7;

	open_all();
	for (unsigned round = 0; round < 20; round++) {
		uint8_t *rows = (uint8_t *)region + 4096;
		for (size_t i = 0; i < region_bytes - 4096; i++)
			rows[i] = (uint8_t)(round < 2 ? 255 * round : next(&seed));
		for (unsigned w = 0; round > 1 && w < WORKERS; w++)
			for (uint32_t i = 0; i < CAPACITY; i++) {
				row_of(w, i)->state = next(&seed) % (SL_STREAM_STATE_CNT + 2);
				row_of(w, i)->partner =
					round % 2 ? (uint32_t)next(&seed)
						  : (uint32_t)(next(&seed) % (CAPACITY + 4));
			}
		json_t *a = ask("\"pairs\":true,\"sort\":\"age\",\"limit\":1000");
		CU_ASSERT(answer_ok(a));
		CU_ASSERT(answer_int(a, "skipped") <= answer_int(a, "looked"));
		json_decref(a);
	}
	close_all();
}

/* ---- a writer that goes on ---- */

static atomic_bool stop;

/* Opens and ends streams in one place as a worker does; every byte of a tuple is the same. */
static void *
writer(void *arg)
{
	struct sl_stream_row *r = arg;

	for (unsigned n = 1; !atomic_load(&stop); n++) {
		struct sl_tuple t;
		memset(&t, (int)(n % 251 + 1), sizeof(t));
		__atomic_store_n(&r->state, SL_STREAM_FREE, __ATOMIC_RELEASE);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		for (unsigned i = 0; i < sizeof(t); i += 4)
			__atomic_store_n((uint32_t *)((char *)&r->tuple + i),
					 *(uint32_t *)((char *)&t + i), __ATOMIC_RELAXED);
		__atomic_store_n(&r->state, SL_STREAM_ESTABLISHED, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void
no_row_is_a_mixture_of_two_streams(void)
{
	struct sl_stream_query q = {.limit = CAPACITY};
	unsigned seen = 0, mixed = 0;
	pthread_t t;

	region_open();
	atomic_store(&stop, false);
	CU_ASSERT_FATAL(pthread_create(&t, NULL, writer, row_of(0, 1)) == 0);
	for (unsigned n = 0; seen < 5000 && n < 2000000; n++) {
		CU_ASSERT_FATAL(run(&q, region, region_bytes) == 0);
		for (uint32_t i = 0; i < q.found_cnt; i++, seen++) {
			const uint8_t *b = (const void *)&q.found[i].row.tuple;
			for (unsigned k = 1; k < sizeof(struct sl_tuple); k++)
				mixed += b[k] != b[0];
		}
		done(&q);
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	CU_ASSERT(seen > 0);
	CU_ASSERT_EQUAL(mixed, 0);
	region_close();
}

static void
a_walk_that_nobody_waits_for_ends(void)
{
	struct sl_stream_query q = {.limit = 1};
	static const atomic_bool cancel = true;
	const char *why;

	region_open();
	CU_ASSERT_EQUAL(sl_stream_query_run(&q, region, region_bytes, &cancel, &why), -ECANCELED);
	done(&q);
	region_close();
}

SL_SUITE("streams", SL_TEST(each_filter_leaves_what_it_says),
	 SL_TEST(what_cannot_be_asked_is_refused_in_words),
	 SL_TEST(a_stream_is_shown_with_names_and_numbers),
	 SL_TEST(pairs_are_shown_once_and_only_where_both_say_so),
	 SL_TEST(a_limit_ends_the_walk_and_a_count_does_not),
	 SL_TEST(there_are_no_streams_without_a_dataplane_that_has_them),
	 SL_TEST(a_region_that_could_shrink_or_lies_about_its_size_ends_the_link),
	 SL_TEST(each_order_gives_the_first_of_all), SL_TEST(what_is_no_region_is_refused),
	 SL_TEST(rows_may_say_anything), SL_TEST(no_row_is_a_mixture_of_two_streams),
	 SL_TEST(a_walk_that_nobody_waits_for_ends))
