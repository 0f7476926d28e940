/* A thousand questions at a time to DNS and to files, dropped and destroyed at any moment; nothing is told to a sink that has
 * heard of the end.  The DNS server is a socket of the test's own loop: it answers, keeps silent, or fails. */
#include "mgmt/source.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>

#define CROWD 1000
#define DEADLINE_MS 20000

/* ---- what is asked, and what came ---- */

static struct {
	uv_loop_t loop;
	uv_timer_t guard;
	bool late;
	const struct sl_source_ops *ops;
	void *source;
	struct sl_source_conf conf;
	bool asked[CROWD];
	unsigned answers[CROWD], troubles[CROWD], confirms[CROWD];
	unsigned wrong; /* endpoints of another question */
} rig;

/* Question n has the one endpoint 10.0.N/256.N%256 (with a 1 in the second byte, for none to end with 0.0). */
static struct sl_addr
addr_of(unsigned n)
{
	return sl_addr_from_v4((uint8_t[]){10, 1, (uint8_t)(n >> 8), (uint8_t)n});
}

static void
on_answer(void *ctx, uint32_t id, const struct sl_source_endpoint *e, size_t cnt, uint32_t left_out,
	  const char *note)
{
	struct sl_addr wanted = addr_of(id);

	(void)ctx;
	(void)note;
	rig.wrong += !rig.asked[id] || cnt != 1 || left_out || !sl_addr_eq(&e->addr, &wanted);
	rig.answers[id]++;
}

static void
on_confirm(void *ctx, uint32_t id)
{
	(void)ctx;
	rig.wrong += !rig.asked[id];
	rig.confirms[id]++;
}

static void
on_trouble(void *ctx, uint32_t id, const char *why)
{
	(void)ctx;
	rig.wrong += !rig.asked[id] || !*why;
	rig.troubles[id]++;
}

static void
on_say(void *ctx, const char *line)
{
	(void)ctx;
	(void)line;
}

static void
on_late(uv_timer_t *t)
{
	(void)t;
	rig.late = true;
}

/* How many of the questions have at least one. */
static unsigned
some(const unsigned *counts)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CROWD; i++)
		n += counts[i] > 0;
	return n;
}

#define AWAIT(cond)                                                                                \
	do {                                                                                       \
		rig.late = false;                                                                  \
		uv_update_time(&rig.loop);                                                         \
		uv_timer_start(&rig.guard, on_late, DEADLINE_MS, 0);                               \
		while (!(cond) && !rig.late)                                                       \
			uv_run(&rig.loop, UV_RUN_ONCE);                                            \
		uv_timer_stop(&rig.guard);                                                         \
		CU_ASSERT_FATAL(cond);                                                             \
	} while (0)

static void
make_source(const struct sl_source_ops *ops)
{
	struct sl_source_sink sink = {&rig.loop,  7,      on_answer, on_confirm,
				      on_trouble, on_say, NULL};

	rig.ops = ops;
	memset(rig.asked, 0, sizeof(rig.asked));
	memset(rig.answers, 0, sizeof(rig.answers));
	memset(rig.troubles, 0, sizeof(rig.troubles));
	memset(rig.confirms, 0, sizeof(rig.confirms));
	rig.wrong = 0;
	CU_ASSERT_FATAL(ops->create(&rig.conf, &sink, NULL, &rig.source) == 0);
}

static void
ask_all(void)
{
	struct sl_conf_discover q = {.record = SL_RECORD_IPV4, .port = 80, .weight = 1};
	char service[SL_NAME_MAX];

	for (unsigned i = 0; i < CROWD; i++) {
		snprintf(service, sizeof(service), "s%u", i);
		rig.asked[i] = true;
		CU_ASSERT_FATAL(rig.ops->ask(rig.source, i, service, &q) == 0);
	}
}

static void
drop(unsigned id)
{
	rig.asked[id] = false;
	rig.ops->drop(rig.source, id);
}

static void
destroy_source(void)
{
	memset(rig.asked, 0, sizeof(rig.asked));
	rig.ops->destroy(rig.source);
	rig.source = NULL;
}

static void
rig_up(void)
{
	memset(&rig, 0, sizeof(rig));
	CU_ASSERT_FATAL(uv_loop_init(&rig.loop) == 0);
	uv_timer_init(&rig.loop, &rig.guard);
	snprintf(rig.conf.name, sizeof(rig.conf.name), "s");
	rig.conf.timeout_ms = 2000;
	rig.conf.min_ttl_ms = 100;
	rig.conf.max_ttl_ms = 3600000;
}

/* All handles close, all memory goes: the loop's end and the sanitizer say so. */
static void
rig_down(void)
{
	uv_close((uv_handle_t *)&rig.guard, NULL);
	uv_run(&rig.loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&rig.loop), 0);
	CU_ASSERT_EQUAL(rig.wrong, 0);
}

/* ---- a DNS server ---- */

enum mood { ANSWERS, SILENT, FAILS };

static struct {
	uv_udp_t udp;
	enum mood mood;
	unsigned asked;
} server;

static void
on_alloc(uv_handle_t *h, size_t size, uv_buf_t *buf)
{
	static char room[2048];

	(void)h;
	(void)size;
	*buf = uv_buf_init(room, sizeof(room));
}

/* "s123" → 123; the rest of a question is 12 bytes of head before and the EDNS record behind, which is cut off. */
static void
on_question(uv_udp_t *udp, ssize_t len, const uv_buf_t *buf, const struct sockaddr *from,
	    unsigned flags)
{
	uint8_t m[600], *b = (uint8_t *)buf->base;

	(void)flags;
	if (len < 20 || !from)
		return;
	server.asked++;
	if (server.mood == SILENT)
		return;
	size_t end = 12u + 1 + b[12] + 1 + 4;
	unsigned n = (unsigned)atoi((char *)b + 14);
	memcpy(m, b, end);
	m[2] = 0x81;
	m[3] = server.mood == FAILS ? 0x82 : 0x80;
	memset(m + 4, 0, 8);
	m[5] = 1;
	m[7] = server.mood == ANSWERS;
	uint8_t record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4};
	struct sl_addr addr = addr_of(n);
	memcpy(record + 12, addr.b + 12, 4);
	memcpy(m + end, record, sizeof(record));
	uv_buf_t out = uv_buf_init((char *)m,
				   (unsigned)(end + (server.mood == ANSWERS ? sizeof(record) : 0)));
	uv_udp_try_send(udp, &out, 1, from);
}

static void
server_up(enum mood mood)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int len = sizeof(at);

	memset(&server, 0, sizeof(server));
	server.mood = mood;
	uv_udp_init(&rig.loop, &server.udp);
	CU_ASSERT_FATAL(uv_udp_bind(&server.udp, (struct sockaddr *)&at, 0) == 0);
	uv_udp_getsockname(&server.udp, (struct sockaddr *)&at, &len);
	uv_udp_recv_start(&server.udp, on_alloc, on_question);
	snprintf(rig.conf.servers[0], SL_SOURCE_PATH, "127.0.0.1:%u", ntohs(at.sin_port));
	rig.conf.server_cnt = 1;
}

static void
a_thousand_names_are_asked_for_at_once(void)
{
	rig_up();
	server_up(ANSWERS);
	make_source(&sl_source_dns);
	ask_all();
	AWAIT(some(rig.answers) == CROWD);
	CU_ASSERT_EQUAL(some(rig.troubles), 0);
	CU_ASSERT(server.asked < 2 * CROWD);
	destroy_source();
	uv_close((uv_handle_t *)&server.udp, NULL);
	rig_down();
}

static void
names_are_dropped_while_their_answers_are_under_way(void)
{
	rig_up();
	server_up(ANSWERS);
	make_source(&sl_source_dns);
	ask_all();
	AWAIT(some(rig.answers) > 10);
	for (unsigned i = 0; i < CROWD; i += 2)
		drop(i);
	AWAIT(some(rig.answers) >= CROWD / 2);
	for (unsigned i = 1; i < CROWD; i += 2)
		if (!rig.answers[i])
			AWAIT(rig.answers[i]);
	destroy_source();
	uv_close((uv_handle_t *)&server.udp, NULL);
	rig_down();
}

static void
a_source_is_destroyed_while_nobody_answers(void)
{
	rig_up();
	server_up(SILENT);
	make_source(&sl_source_dns);
	ask_all();
	AWAIT(server.asked > 0);
	drop(3);
	destroy_source();
	uv_close((uv_handle_t *)&server.udp, NULL);
	rig_down();
}

static void
a_source_is_destroyed_between_answers_and_the_sink(void)
{
	for (unsigned turns = 1; turns < 12; turns++) {
		rig_up();
		server_up(turns % 3 ? ANSWERS : FAILS);
		make_source(&sl_source_dns);
		ask_all();
		for (unsigned i = 0; i < turns; i++)
			uv_run(&rig.loop, UV_RUN_NOWAIT);
		destroy_source();
		uv_close((uv_handle_t *)&server.udp, NULL);
		rig_down();
	}
}

static void
a_source_is_destroyed_before_it_began(void)
{
	static const struct sl_source_ops *const all[] = {&sl_source_dns, &sl_source_files};

	for (unsigned i = 0; i < SL_ARRAY_CNT(all); i++) {
		rig_up();
		snprintf(rig.conf.directory, sizeof(rig.conf.directory), "/nonexistent");
		make_source(all[i]);
		ask_all();
		drop(0);
		drop(CROWD - 1);
		drop(0); /* is gone already */
		destroy_source();
		rig_down();
	}
}

/* ---- files ---- */

static char directory[] = "/tmp/sl-crowd-XXXXXX";

static void
write_file(unsigned n, const char *text)
{
	char path[100], next[100];

	snprintf(path, sizeof(path), "%s/s%u.json", directory, n);
	snprintf(next, sizeof(next), "%s/new", directory);
	FILE *f = fopen(next, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
	CU_ASSERT_FATAL(rename(next, path) == 0);
}

static void
write_files(void)
{
	char text[200], addr[SL_ADDR_STRLEN];

	for (unsigned i = 0; i < CROWD; i++) {
		struct sl_addr a = addr_of(i);
		snprintf(text, sizeof(text), "[{\"name\":\"e\",\"address\":\"%s\"}]",
			 sl_addr_format(&a, addr));
		write_file(i, text);
	}
}

static void
remove_files(void)
{
	char path[100];

	for (unsigned i = 0; i < CROWD; i++) {
		snprintf(path, sizeof(path), "%s/s%u.json", directory, i);
		unlink(path);
	}
	rmdir(directory);
}

static void
a_thousand_files_are_read_and_seen_to_change(void)
{
	rig_up();
	strcpy(directory + sizeof(directory) - 7, "XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
	snprintf(rig.conf.directory, sizeof(rig.conf.directory), "%s", directory);
	write_files();
	make_source(&sl_source_files);
	ask_all();
	AWAIT(some(rig.answers) == CROWD);
	write_files(); /* the same again: events, and nothing new */
	AWAIT(some(rig.confirms) == CROWD);
	for (unsigned i = 0; i < CROWD; i++)
		CU_ASSERT_EQUAL(rig.answers[i], 1);
	write_file(5, "[");
	AWAIT(rig.troubles[5] == 1);
	CU_ASSERT_EQUAL(some(rig.troubles), 1);
	destroy_source();
	rig_down();
}

static void
files_are_dropped_and_destroyed_while_they_are_read(void)
{
	for (unsigned turns = 1; turns < 12; turns++) {
		rig_up();
		snprintf(rig.conf.directory, sizeof(rig.conf.directory), "%s", directory);
		make_source(&sl_source_files);
		ask_all();
		for (unsigned i = 0; i < turns; i++)
			uv_run(&rig.loop, UV_RUN_NOWAIT);
		for (unsigned i = 0; i < CROWD; i += 2)
			drop(i);
		destroy_source();
		rig_down();
	}
	remove_files();
}

SL_SUITE("source_crowd", SL_TEST(a_thousand_names_are_asked_for_at_once),
	 SL_TEST(names_are_dropped_while_their_answers_are_under_way),
	 SL_TEST(a_source_is_destroyed_while_nobody_answers),
	 SL_TEST(a_source_is_destroyed_between_answers_and_the_sink),
	 SL_TEST(a_source_is_destroyed_before_it_began),
	 SL_TEST(a_thousand_files_are_read_and_seen_to_change),
	 SL_TEST(files_are_dropped_and_destroyed_while_they_are_read))
