/* The access log: records as lines, names by generation, and the way of lines into a file that rotates, is moved away, or
 * cannot be written. */
#include "l7/tls/record.h"
#include "mgmt/access_line.h"
#include "mgmt/access_log.h"
#include "tests/mgmt/fixture.h"
#include "tests/suite.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SIZE 65536u
#define WAIT_NS 20000000000ull /* a machine may stand still for some */

/* ---- records ---- */

struct strs {
	const char *method, *host, *path, *agent, *id, *referer, *sni, *identity, *why;
};

static uint16_t
put_str(uint8_t **p, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	if (n)
		memcpy(*p, s, n);
	*p += n;
	return (uint16_t)n;
}

/* Fills buf (SL_ACCESS_RECORD_MAX) from e and s; its bytes. */
static uint32_t
make(void *buf, const struct sl_event_access *e, const struct strs *s)
{
	struct sl_event_access *r = buf;
	uint8_t *p = (uint8_t *)(r + 1);

	memset(buf, 0, SL_ACCESS_RECORD_MAX);
	*r = *e;
	r->method_len = put_str(&p, s->method);
	r->host_len = put_str(&p, s->host);
	r->path_len = put_str(&p, s->path);
	r->agent_len = put_str(&p, s->agent);
	r->id_len = put_str(&p, s->id);
	r->referer_len = put_str(&p, s->referer);
	r->sni_len = put_str(&p, s->sni);
	r->identity_len = put_str(&p, s->identity);
	r->why_len = put_str(&p, s->why);
	uint32_t bytes = (uint32_t)((p - (uint8_t *)buf + 7) & ~7);
	r->head = (struct sl_event){bytes, SL_EVENT_ACCESS, 0};
	return bytes;
}

static const struct sl_event_access nothing = {
	.first_us = UINT32_MAX,
	.last_us = UINT32_MAX,
	.try_us = UINT32_MAX,
	.listener_slot = UINT32_MAX,
	.table_slot = UINT32_MAX,
	.vhost_slot = UINT32_MAX,
	.route_slot = UINT32_MAX,
	.service_slot = UINT32_MAX,
	.endpoint_slot = UINT32_MAX,
	.client = {{[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 77}},
};

static struct sl_slot_owner
owner(const char *key)
{
	return (struct sl_slot_owner){.key = (char *)(uintptr_t)key, .incarnation = 1};
}

#define SPACE(...)                                                                                 \
	{                                                                                          \
		.owner = (struct sl_slot_owner[]){__VA_ARGS__},                                    \
		.cnt = SL_ARRAY_CNT(((struct sl_slot_owner[]){__VA_ARGS__}))                       \
	}

static _Alignas(8) uint8_t record[SL_ACCESS_RECORD_MAX];
static char line[SL_ACCESS_LINE_MAX + 1];

static const char *
as_line(const struct sl_access_names *n, const struct sl_event_access *e, const struct strs *s)
{
	struct sl_access_clock clock = {.offset_ns = 1795285699000000000};
	uint32_t bytes = make(record, e, s);
	size_t len = sl_access_line(n, &clock, (void *)record, bytes, line);

	line[len] = 0;
	return line;
}

static void
a_request_is_one_line_with_the_names_of_its_table(void)
{
	struct sl_access_names *n = sl_access_names_create();
	const struct sl_slot_map map = {
		.listeners = SPACE(owner("edge-80")),
		.services = SPACE(owner("web")),
		.endpoints = SPACE(owner(NULL), owner("web/web-1/198.51.100.11:80")),
		.tables = SPACE(owner("edge")),
		.vhosts = SPACE(owner("edge/shop")),
		.hroutes = SPACE(owner("edge/shop/all"), owner("edge/shop/canary")),
	};
	struct sl_event_access e = nothing;

	CU_ASSERT_EQUAL(sl_access_names_learn(n, 7, &map), 0);
	e.start_ns = 123456789;
	e.generation = 7;
	e.bytes_in = 5;
	e.bytes_out = 1ull << 40;
	e.first_us = 830;
	e.last_us = 901;
	e.try_us = 700;
	e.flags = SL_RF_UF | SL_RF_URX;
	e.client_port = sl_to_be16(4711);
	e.endpoint = nothing.client;
	e.endpoint.b[15] = 9;
	e.endpoint_port = sl_to_be16(80);
	e.status = 503;
	e.upstream_status = 200;
	e.listener_slot = e.table_slot = e.vhost_slot = e.service_slot = 0;
	e.route_slot = e.endpoint_slot = 1;
	e.version = 11;
	e.tries = 2;
	e.worker = 3;
	e.bad = 1;
	e.tls_version = SL_TLS_1_3;
	e.tls_suite = SL_SUITE_AES128_GCM;
	e.tls_resumed = 1;
	e.upstream_tls = 1;
	CU_ASSERT_STRING_EQUAL(
		as_line(n, &e,
			&(struct strs){"GET", "shop.example", "/api/x?y=1", "curl/8", "id-1",
				       "http://r/", "shop.example", "spiffe://td/ns/a/sa/b",
				       "shop/deny-admins"}),
		"{\"time\":\"2026-11-21T18:28:19.123456Z\",\"client\":\"192.0.2.77\",\"client_"
		"port\":"
		"4711,"
		"\"listener\":\"edge-80\",\"table\":\"edge\",\"method\":\"GET\",\"host\":\"shop."
		"example\","
		"\"path\":\"/api/x?y=1\",\"protocol\":\"HTTP/1.1\",\"status\":503,\"flags\":\"UF,"
		"URX\","
		"\"reason\":\"bad_line\",\"why\":\"shop/"
		"deny-admins\",\"vhost\":\"shop\",\"route\":\"canary\",\"service\":"
		"\"web\","
		"\"endpoint\":\"web-1\",\"endpoint_address\":\"192.0.2.9\",\"endpoint_port\":80,"
		"\"upstream_status\":200,\"tries\":2,\"bytes_in\":5,\"bytes_out\":1099511627776,"
		"\"first_us\":830,\"last_us\":901,\"try_us\":700,\"user_agent\":\"curl/8\","
		"\"request_id\":\"id-1\",\"referer\":\"http://r/"
		"\",\"tls_version\":\"TLSv1.3\",\"tls_cipher\":\"TLS_AES_128_GCM_SHA256\","
		"\"tls_resumed\":true,\"sni\":\"shop.example\",\"identity\":\"spiffe://td/ns/a/sa/"
		"b\","
		"\"upstream_tls\":true,\"generation\":7,\"worker\":3}\n");
	e = nothing;
	CU_ASSERT_STRING_EQUAL(
		as_line(n, &e, &(struct strs){0}),
		"{\"time\":\"2026-11-21T18:28:19.000000Z\",\"client\":\"192.0.2.77\",\"client_"
		"port\":"
		"0,"
		"\"listener\":null,\"table\":null,\"method\":null,\"host\":null,\"path\":null,"
		"\"protocol\":null,\"status\":null,\"flags\":\"-\",\"reason\":null,\"why\":null,"
		"\"vhost\":null,"
		"\"route\":null,\"service\":null,\"endpoint\":null,\"endpoint_address\":null,"
		"\"endpoint_port\":null,\"upstream_status\":null,\"tries\":0,\"bytes_in\":0,"
		"\"bytes_out\":0,\"first_us\":null,\"last_us\":null,\"try_us\":null,"
		"\"user_agent\":null,\"request_id\":null,\"referer\":null,\"tls_version\":null,"
		"\"tls_cipher\":null,\"tls_resumed\":null,\"sni\":null,\"identity\":null,"
		"\"upstream_tls\":null,\"generation\":null,\"worker\":0}\n");
	e.version = SL_ACCESS_TCP;
	CU_ASSERT_PTR_NOT_NULL(strstr(as_line(n, &e, &(struct strs){0}), "\"protocol\":\"TCP\""));
	sl_access_names_destroy(n);
}

static void
each_suite_of_each_version_has_its_name_and_no_other_has_one(void)
{
	static const struct {
		uint8_t version, suite;
		const char *version_text, *suite_text, *why;
	} rows[] = {
		{SL_TLS_1_3, SL_SUITE_AES256_GCM, "TLSv1.3", "TLS_AES_256_GCM_SHA384", ""},
		{SL_TLS_1_3, SL_SUITE_CHACHA20, "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256", ""},
		{SL_TLS_1_2, SL_SUITE_AES128_GCM, "TLSv1.2", "TLS_ECDHE_AES_128_GCM_SHA256", ""},
		{SL_TLS_1_2, SL_SUITE_AES256_GCM, "TLSv1.2", "TLS_ECDHE_AES_256_GCM_SHA384", ""},
		{SL_TLS_1_2, SL_SUITE_CHACHA20, "TLSv1.2", "TLS_ECDHE_CHACHA20_POLY1305_SHA256",
		 ""},
		{SL_TLS_1_2, SL_SUITE_NONE, "TLSv1.2", NULL, "OpenSSL keeps the records"},
		{0, SL_SUITE_AES128_GCM, NULL, NULL, "plaintext has no suite"},
		{99, 200, NULL, NULL, "whatever the other side writes"},
	};
	struct sl_access_names *n = sl_access_names_create();

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_event_access e = nothing;
		e.tls_version = rows[i].version;
		e.tls_suite = rows[i].suite;
		json_t *j = json_loads(as_line(n, &e, &(struct strs){0}), 0, NULL);
		CU_ASSERT_PTR_NOT_NULL_FATAL(j);
		const char *v = json_string_value(json_object_get(j, "tls_version"));
		const char *s = json_string_value(json_object_get(j, "tls_cipher"));
		CU_ASSERT(v == rows[i].version_text || strcmp(v, rows[i].version_text) == 0);
		CU_ASSERT(s == rows[i].suite_text || strcmp(s, rows[i].suite_text) == 0);
		json_decref(j);
	}
	sl_access_names_destroy(n);
}

static const char *
path_of(const struct sl_access_names *n, const char *path, json_t **ret)
{
	const char *l = as_line(n, &nothing, &(struct strs){.path = path});

	CU_ASSERT_PTR_EQUAL(strchr(l, '\n'), l + strlen(l) - 1);
	*ret = json_loads(l, 0, NULL);
	CU_ASSERT_PTR_NOT_NULL(*ret);
	return answer_text(*ret, "path");
}

static void
any_bytes_of_a_client_make_one_line_of_json(void)
{
	static const struct {
		const char *in, *out, *why;
	} rows[] = {
		{"/\"\\", "/\"\\", "quote and backslash"},
		{"/\n\r\t\x01\x1f", "/\n\r\t\x01\x1f", "control bytes"},
		{"/\x7f", "/\x7f", "delete"},
		{"/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "/\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
		 "UTF-8 of two, three, four bytes"},
		{"/\xff\xfe", "/\xc3\xbf\xc3\xbe", "no UTF-8: one by one"},
		{"/\xc3", "/\xc3\x83", "cut off"},
		{"/\xc0\xaf", "/\xc3\x80\xc2\xaf", "longer than needed"},
		{"/\xed\xa0\x80", "/\xc3\xad\xc2\xa0\xc2\x80", "half of a pair"},
		{"/\xf4\x90\x80\x80", "/\xc3\xb4\xc2\x90\xc2\x80\xc2\x80", "past the last one"},
		{"/\xe2\x82", "/\xc3\xa2\xc2\x82", "the third byte missing"},
		{"/\xc2\x9b[2J", "/\xc3\x82\xc2\x9b[2J", "what terminals obey"},
	};
	struct sl_access_names *n = sl_access_names_create();
	json_t *o;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		if (strcmp(path_of(n, rows[i].in, &o), rows[i].out))
			CU_FAIL(rows[i].why);
		for (const char *c = line; *c && *c != '\n'; c++)
			CU_ASSERT((unsigned char)*c >= 0x20 && *c != 0x7f);
		json_decref(o);
	}
	sl_access_names_destroy(n);
}

static void
the_longest_record_fits_a_line_and_is_read_to_its_last_byte_only(void)
{
	static char much[SL_ACCESS_STR_MAX + 1];
	struct sl_access_names *n = sl_access_names_create();
	struct sl_access_clock clock = {0};

	memset(much, 0xff, SL_ACCESS_STR_MAX);
	for (unsigned len = 0; len <= SL_ACCESS_STR_MAX; len += len < 32 ? 1 : 31) {
		const char *s = much + SL_ACCESS_STR_MAX - len;
		const char *why = s + len - SL_MIN(len, (unsigned)SL_ACCESS_WHY_MAX);
		uint32_t bytes =
			make(record, &nothing, &(struct strs){s, s, s, s, s, s, s, s, why});
		uint8_t *at = guard_buf(bytes);
		memcpy(at, record, bytes);
		size_t got = sl_access_line(n, &clock, (void *)at, bytes, line);
		CU_ASSERT(got > 0 && got <= SL_ACCESS_LINE_MAX);
		json_t *o = json_loadb(line, got, 0, NULL);
		CU_ASSERT_PTR_NOT_NULL(o);
		json_decref(o);
		guard_free(at, bytes);
	}
	sl_access_names_destroy(n);
}

static void
what_is_no_record_makes_no_line(void)
{
	static const struct {
		size_t off;
		uint32_t value;
		unsigned bytes;
		const char *why;
	} rows[] = {
		{offsetof(struct sl_event, type), SL_EVENT_PAD, 2, "another type"},
		{offsetof(struct sl_event, bytes), 8, 4, "another length"},
		{offsetof(struct sl_event_access, path_len), 17, 2, "a string behind the end"},
		{offsetof(struct sl_event_access, path_len), 65535, 2, "a string past its limit"},
		{offsetof(struct sl_event_access, referer_len), 1025, 2, "likewise"},
		{offsetof(struct sl_event_access, identity_len), 1025, 2, "likewise, the last"},
		{offsetof(struct sl_event_access, why_len), 129, 2, "more than may decide"},
	};
	struct sl_access_names *n = sl_access_names_create();
	struct sl_access_clock clock = {0};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint32_t bytes = make(record, &nothing, &(struct strs){.path = "/12345678"});
		CU_ASSERT_NOT_EQUAL(sl_access_line(n, &clock, (void *)record, bytes, line), 0);
		memcpy(record + rows[i].off, &rows[i].value, rows[i].bytes);
		if (sl_access_line(n, &clock, (void *)record, bytes, line))
			CU_FAIL(rows[i].why);
	}
	for (uint32_t bytes = 8; bytes < sizeof(struct sl_event_access); bytes += 8) {
		struct sl_event *cut = (void *)guard_buf(bytes);
		*cut = (struct sl_event){bytes, SL_EVENT_ACCESS, 0};
		CU_ASSERT_EQUAL(sl_access_line(n, &clock, (void *)cut, bytes, line), 0);
		guard_free((uint8_t *)cut, bytes);
	}
	sl_access_names_destroy(n);
}

static const char *
service_in(const struct sl_access_names *n, uint64_t generation, uint32_t slot, char buf[64])
{
	struct sl_event_access e = nothing;

	e.generation = generation;
	e.service_slot = slot;
	json_t *o = json_loads(as_line(n, &e, &(struct strs){0}), 0, NULL);
	snprintf(buf, 64, "%s", answer_text(o, "service"));
	json_decref(o);
	return buf;
}

static void
a_slot_means_whom_it_meant_in_the_generation_of_the_record(void)
{
	const struct sl_slot_map maps[] = {
		{.services = SPACE(owner("a"), owner("b"))},
		{.services = SPACE(owner("a"), owner(NULL))},
		{.services = SPACE(owner("a"), owner("c"), owner("d"))},
		{.services = SPACE(owner("a"), owner("c"), owner("d"))},
	};
	struct sl_access_names *n = sl_access_names_create();
	char buf[64];

	for (unsigned i = 0; i < SL_ARRAY_CNT(maps); i++)
		CU_ASSERT_EQUAL(sl_access_names_learn(n, 10 + i, &maps[i]), 0);
	CU_ASSERT_STRING_EQUAL(service_in(n, 0, 1, buf), "c");
	CU_ASSERT_STRING_EQUAL(service_in(n, 9, 0, buf), "a");
	CU_ASSERT_STRING_EQUAL(service_in(n, 10, 1, buf), "b");
	CU_ASSERT_STRING_EQUAL(service_in(n, 11, 1, buf),
			       "b"); /* the last request of who is gone */
	CU_ASSERT_STRING_EQUAL(service_in(n, 12, 1, buf), "c");
	CU_ASSERT_STRING_EQUAL(service_in(n, 99, 1, buf), "c");
	CU_ASSERT_STRING_EQUAL(service_in(n, 12, 2, buf), "d");
	CU_ASSERT_STRING_EQUAL(service_in(n, 12, 3, buf), "");
	sl_access_names_destroy(n);
}

/* ---- the log ---- */

struct rig {
	uv_loop_t loop;
	struct sl_access_log *log;
	char dir[64], file[80];
	int fd;
	void *region;
	size_t bytes;
	unsigned workers;
	char said[4096];
};

static void
hear(void *ctx, const char *text)
{
	struct rig *r = ctx;
	size_t n = strlen(r->said);

	snprintf(r->said + n, sizeof(r->said) - n, "%s\n", text);
}

static void
rings(struct rig *r, unsigned workers, uint64_t boot_id)
{
	r->workers = workers;
	r->bytes = sl_events_bytes(workers, SIZE);
	r->fd = memfd_create("events", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->bytes) ||
	    fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))
		abort();
	r->region = mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	sl_events_init(r->region, workers, SIZE, boot_id);
}

static struct rig *
rig_up(const char *name, uint32_t rotate_mb, uint32_t keep)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct sl_access_log_conf conf = {.rotate_mb = rotate_mb, .keep = keep};
	struct sl_diag diag = {0};

	strcpy(r->dir, "/tmp/sluice-test-access-XXXXXX");
	if (!mkdtemp(r->dir))
		abort();
	snprintf(r->file, sizeof(r->file), "%s/log", r->dir);
	if (name)
		strcpy(conf.file, r->file);
	uv_loop_init(&r->loop);
	if (sl_access_log_create(&r->loop, &conf, hear, r, &diag, &r->log))
		abort();
	rings(r, 2, 7);
	CU_ASSERT_PTR_NULL(sl_access_log_attach(r->log, r->fd, r->bytes, 7));
	return r;
}

static void
finish(struct rig *r)
{
	sl_access_log_finish(r->log);
	while (sl_access_log_busy(r->log))
		uv_run(&r->loop, UV_RUN_ONCE);
}

static void
rig_down(struct rig *r)
{
	finish(r);
	sl_access_log_destroy(r->log);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&r->loop), 0);
	munmap(r->region, r->bytes);
	close(r->fd);
	for (unsigned i = 0; i < 8; i++) {
		char old[100];
		snprintf(old, sizeof(old), i ? "%s.%u" : "%s", r->file, i);
		unlink(old);
	}
	CU_ASSERT_EQUAL(rmdir(r->dir), 0);
	free(r);
}

/* A request whose path says its number; false: lost. */
static bool
request(struct rig *r, unsigned worker, unsigned number, unsigned pad)
{
	struct sl_events_worker *w = sl_events_worker(r->region, worker);
	char path[1024];

	int n = snprintf(path, sizeof(path), "/%u", number);
	memset(path + n, 'x', pad);
	path[(unsigned)n + pad] = 0;
	uint32_t bytes = make(record, &nothing, &(struct strs){.path = path});
	void *at = sl_events_put(w, SIZE, bytes);
	if (!at)
		return false;
	memcpy(at, record, bytes);
	sl_events_commit(w, bytes);
	return true;
}

static struct sl_access_stats
stats(struct rig *r)
{
	struct sl_access_stats s;
	sl_access_log_stats(r->log, &s);
	return s;
}

/* Runs the loop until so many lines were written or dropped. */
static void
wait_for(struct rig *r, uint64_t lines)
{
	uint64_t end = uv_hrtime() + WAIT_NS;

	while (stats(r).lines + stats(r).dropped < lines && uv_hrtime() < end)
		uv_run(&r->loop, UV_RUN_ONCE);
	CU_ASSERT_EQUAL(stats(r).lines + stats(r).dropped, lines);
}

/* Lines of a file, every one of them JSON; *ret_first the first one's path.  -1: no such file. */
static int
lines_of(const char *file, char ret_first[1100])
{
	FILE *f = fopen(file, "r");
	int cnt = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		json_t *o = json_loads(line, 0, NULL);
		CU_ASSERT_PTR_NOT_NULL(o);
		CU_ASSERT_PTR_NOT_NULL(strchr(line, '\n'));
		if (cnt++ == 0 && ret_first)
			snprintf(ret_first, 1100, "%s", answer_text(o, "path"));
		json_decref(o);
	}
	fclose(f);
	return cnt;
}

static void
requests_of_all_workers_are_written_soon(void)
{
	struct rig *r = rig_up("", 100, 5);
	char first[1100];
	struct stat st;

	for (unsigned i = 0; i < 100; i++)
		CU_ASSERT_TRUE(request(r, i % 2, i, 0));
	uint64_t start = uv_hrtime();
	wait_for(r, 100);
	CU_ASSERT(uv_hrtime() - start < 1000000000);
	CU_ASSERT_EQUAL(lines_of(r->file, first), 100);
	CU_ASSERT_STRING_EQUAL(first, "/0");
	CU_ASSERT_EQUAL(stat(r->file, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0640);
	CU_ASSERT_EQUAL((uint64_t)st.st_size, stats(r).bytes);
	CU_ASSERT_EQUAL(stats(r).worker_cnt, 2);
	rig_down(r);
}

static void
what_the_rings_lose_is_told(void)
{
	struct rig *r = rig_up("", 100, 5);
	unsigned in = 0;

	while (request(r, 1, in, 200))
		in++;
	for (unsigned i = 0; i < 4; i++)
		request(r, 1, in, 200);
	CU_ASSERT_EQUAL(stats(r).lost[0], 0);
	CU_ASSERT_EQUAL(stats(r).lost[1], 5);
	wait_for(r, in);
	CU_ASSERT_TRUE(request(r, 1, in, 200));
	wait_for(r, in + 1);
	rig_down(r);
}

static void
a_file_that_was_moved_away_is_made_anew_when_asked(void)
{
	struct rig *r = rig_up("", 100, 5);
	char moved[100], first[1100];
	struct stat st;

	request(r, 0, 1, 0);
	wait_for(r, 1);
	snprintf(moved, sizeof(moved), "%s.1", r->file);
	CU_ASSERT_EQUAL(rename(r->file, moved), 0);
	request(r, 0, 2, 0);
	wait_for(r, 2);
	CU_ASSERT_EQUAL(lines_of(moved, NULL), 2);
	sl_access_log_reopen(r->log);
	request(r, 0, 3, 0);
	wait_for(r, 3);
	CU_ASSERT_EQUAL(lines_of(r->file, first), 1);
	CU_ASSERT_STRING_EQUAL(first, "/3");
	/* a name that cannot be opened: the old file goes on */
	unlink(r->file);
	CU_ASSERT_EQUAL(mkdir(r->file, 0700), 0);
	CU_ASSERT_EQUAL(stat(moved, &st), 0);
	sl_access_log_reopen(r->log);
	request(r, 0, 4, 0);
	wait_for(r, 4);
	CU_ASSERT_PTR_NOT_NULL(strstr(r->said, "cannot open"));
	CU_ASSERT_EQUAL(stats(r).dropped, 0);
	CU_ASSERT_EQUAL(rmdir(r->file), 0);
	rig_down(r);
}

/* 1 MiB a file: 64 KiB of ring at a time. */
static unsigned
fill(struct rig *r, unsigned number, uint64_t bytes)
{
	for (uint64_t from = stats(r).bytes; stats(r).bytes < from + bytes;) {
		uint64_t want = stats(r).lines;
		for (unsigned i = 0; i < 100; i++)
			want += request(r, 0, number++, 100);
		wait_for(r, want);
	}
	return number;
}

static void
a_large_file_is_rotated_and_the_oldest_goes(void)
{
	struct rig *r = rig_up("", 1, 2);
	char name[100], first[1100];
	unsigned sum = 0, number = fill(r, 0, 4 << 20);
	struct stat st;

	CU_ASSERT_EQUAL(stats(r).rotations, 4);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), i ? "%s.%u" : "%s", r->file, i);
		int cnt = lines_of(name, first);
		CU_ASSERT_EQUAL(cnt >= 0, i <= 2);
		if (cnt < 0)
			continue;
		sum += (unsigned)cnt;
		CU_ASSERT_EQUAL((unsigned)atoi(first + 1), number - sum); /* no line is missing */
		CU_ASSERT(stat(name, &st) == 0 && st.st_size <= 1 << 20);
	}
	CU_ASSERT_EQUAL(stats(r).dropped, 0);
	rig_down(r);
	r = rig_up("", 1, 0); /* none is kept */
	fill(r, 0, 2 << 20);
	CU_ASSERT_EQUAL(stats(r).rotations, 2);
	snprintf(name, sizeof(name), "%s.1", r->file);
	CU_ASSERT_NOT_EQUAL(access(name, F_OK), 0);
	rig_down(r);
}

/* A limit on the file's size does what a full disk does: a write ends early, the next one fails. */
static void
a_full_disk_costs_lines_that_are_counted_and_said_once(void)
{
	struct rig *r = rig_up("", 0, 5);
	struct rlimit before, small;
	char first[1100];

	signal(SIGXFSZ, SIG_IGN);
	request(r, 0, 0, 0);
	wait_for(r, 1);
	getrlimit(RLIMIT_FSIZE, &before);
	small = before;
	small.rlim_cur = stats(r).bytes * 5 / 2; /* two lines and a half */
	setrlimit(RLIMIT_FSIZE, &small);
	for (unsigned i = 1; i < 10; i++)
		request(r, 0, i, 0);
	wait_for(r, 10);
	request(r, 0, 10, 0);
	wait_for(r, 11);
	CU_ASSERT_EQUAL(stats(r).lines, 2);
	CU_ASSERT_EQUAL(stats(r).dropped, 9);
	setrlimit(RLIMIT_FSIZE, &before);
	const char *said = strstr(r->said, "cannot write");
	CU_ASSERT_PTR_NOT_NULL_FATAL(said);
	CU_ASSERT_PTR_NULL(strstr(said + 1, "cannot write"));
	request(r, 0, 11, 0);
	wait_for(r, 12);
	CU_ASSERT_EQUAL(lines_of(r->file, first), 3); /* whole ones */
	CU_ASSERT_PTR_NOT_NULL(strstr(r->said, "written again; 9 lines"));
	signal(SIGXFSZ, SIG_DFL);
	rig_down(r);
}

static void
a_dataplane_that_goes_away_has_its_rings_read_to_the_end(void)
{
	struct rig *r = rig_up("", 100, 5);

	for (unsigned i = 0; i < 300; i++)
		CU_ASSERT_TRUE(request(r, i % 2, i, 0));
	sl_access_log_detach(r->log);
	CU_ASSERT_EQUAL(stats(r).worker_cnt, 0);
	munmap(r->region, r->bytes);
	close(r->fd);
	rings(r, 1, 8); /* the next one is there at once */
	CU_ASSERT_PTR_NULL(sl_access_log_attach(r->log, r->fd, r->bytes, 8));
	CU_ASSERT_EQUAL(stats(r).worker_cnt, 1);
	request(r, 0, 300, 0);
	wait_for(r, 301);
	CU_ASSERT_EQUAL(lines_of(r->file, NULL), 301);
	for (unsigned i = 0; i < 50; i++) /* in the last turn before the end */
		request(r, 0, i, 0);
	finish(r);
	CU_ASSERT_EQUAL(lines_of(r->file, NULL), 351);
	rig_down(r);
}

static void
what_is_no_record_is_passed_over_and_the_next_is_written(void)
{
	struct rig *r = rig_up("", 100, 5);
	struct sl_events_worker *w = sl_events_worker(r->region, 0);
	void *at = sl_events_put(w, SIZE, 64); /* a record in a ring, but not of a request */

	*(struct sl_event *)at = (struct sl_event){64, SL_EVENT_ACCESS, 0};
	sl_events_commit(w, 64);
	request(r, 0, 1, 0);
	wait_for(r, 1);
	CU_ASSERT_EQUAL(stats(r).malformed, 1);
	memset(sl_events_put(w, SIZE, 64), 0xff, 64); /* nor that */
	sl_events_commit(w, 64);
	request(r, 1, 2, 0);
	wait_for(r, 2);
	CU_ASSERT_EQUAL(stats(r).malformed, 2);
	const char *said = strstr(r->said, "no record");
	CU_ASSERT(said && !strstr(said + 1, "no record"));
	rig_down(r);
}

static void
a_region_that_is_not_sound_is_refused(void)
{
	struct rig *r = rig_up("", 100, 5);
	int fd = memfd_create("events", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)r->bytes), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_access_log_attach(r->log, fd, r->bytes, 7), "sealed"));
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_access_log_attach(r->log, fd, r->bytes, 7), "version"));
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_access_log_attach(r->log, r->fd, 4096, 7), "size"));
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_access_log_attach(r->log, r->fd, r->bytes, 8), "boot"));
	CU_ASSERT_PTR_NOT_NULL(strstr(sl_access_log_attach(r->log, 0, r->bytes, 7), "sealed"));
	close(fd);
	request(r, 0, 1, 0); /* the one that is there goes on */
	wait_for(r, 1);
	rig_down(r);
}

static bool
emptied(struct rig *r)
{
	struct sl_events_worker *w = sl_events_worker(r->region, 0);
	return atomic_load(&w->tail) == atomic_load(&w->head);
}

static void
without_a_file_the_rings_are_emptied(void)
{
	struct rig *r = rig_up(NULL, 100, 5);
	uint64_t end = uv_hrtime() + WAIT_NS;

	while (request(r, 0, 1, 200))
		;
	while (!emptied(r) && uv_hrtime() < end)
		uv_run(&r->loop, UV_RUN_ONCE);
	CU_ASSERT_TRUE(request(r, 0, 1, 200));
	CU_ASSERT_EQUAL(stats(r).lines, 0);
	sl_access_log_reopen(r->log);
	rig_down(r);
}

static void
what_cannot_be_a_log_ends_the_start(void)
{
	struct sl_access_log_conf conf = {.file = "/nonexistent/log"};
	struct sl_access_log *l = NULL;
	struct sl_diag diag = {0};
	uv_loop_t loop;

	uv_loop_init(&loop);
	CU_ASSERT_EQUAL(sl_access_log_create(&loop, &conf, hear, NULL, &diag, &l), -ENOENT);
	strcpy(conf.file, "/dev/null"); /* would be renamed */
	CU_ASSERT_EQUAL(sl_access_log_create(&loop, &conf, hear, NULL, &diag, &l), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(diag.items[0].path, "access_log.file"));
	sl_diag_fini(&diag);
	uv_loop_close(&loop);
}

/* ---- the daemon ---- */

static struct fixture f;

static void
send_rings(struct rig *r)
{
	struct sl_ctl_events m = {.bytes = r->bytes};

	sl_ctl_init(&m.head, SL_CTL_EVENTS, sizeof(m), 0);
	CU_ASSERT_EQUAL(sl_ctl_send(f.dp.peer_fd, &m, sizeof(m), &r->fd, 1), 0);
}

static bool
one_line(struct fixture *fx)
{
	struct sl_access_stats s;
	sl_access_log_stats(fx->daemon.access, &s);
	return s.lines == 1;
}

static void
the_daemon_writes_requests_of_its_dataplane_with_the_names_of_its_table(void)
{
	struct rig r = {0};
	struct sl_placed at;

	fixture_open(&f);
	fixture_daemon_stop(&f);
	snprintf(f.conf.access_log.file, sizeof(f.conf.access_log.file), "%s/access", f.dir);
	fixture_daemon_start(&f);
	fixture_dp_start(&f, 7);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_decref(fixture_push(&f, 2));
	rings(&r, 1, 7);
	const struct sl_table *t = sl_tables_active(f.daemon.tables);
	struct sl_event_access e = nothing;
	const struct sl_conf_service *s = &t->conf->services[0];
	sl_slot_find_listener(&t->map, &t->conf->listeners[0], &at);
	e.listener_slot = at.slot;
	sl_slot_find_service(&t->map, s, &at);
	e.service_slot = at.slot;
	sl_slot_find_endpoint(&t->map, s, &s->endpoints[1], &at);
	e.endpoint_slot = at.slot;
	e.generation = t->number;
	uint32_t bytes = make(record, &e, &(struct strs){.path = "/"});
	struct sl_events_worker *w = sl_events_worker(r.region, 0);
	memcpy(sl_events_put(w, SIZE, bytes), record, bytes);
	sl_events_commit(w, bytes);
	send_rings(&r);
	CU_ASSERT_FATAL(fixture_wait(&f, one_line));
	FILE *in = fopen(f.conf.access_log.file, "r");
	CU_ASSERT_PTR_NOT_NULL_FATAL(in);
	CU_ASSERT_PTR_NOT_NULL(fgets(line, sizeof(line), in));
	fclose(in);
	json_t *o = json_loads(line, 0, NULL);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "listener"), "web-v4");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "service"), "web");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "endpoint"), "web-2");
	json_decref(o);
	send_rings(&r); /* a second one breaks the protocol */
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
	CU_ASSERT_PTR_NOT_NULL(strstr(f.daemon.link_error, "second region of events"));
	munmap(r.region, r.bytes);
	close(r.fd);
	fixture_close(&f);
}

SL_SUITE("access", SL_TEST(a_request_is_one_line_with_the_names_of_its_table),
	 SL_TEST(each_suite_of_each_version_has_its_name_and_no_other_has_one),
	 SL_TEST(any_bytes_of_a_client_make_one_line_of_json),
	 SL_TEST(the_longest_record_fits_a_line_and_is_read_to_its_last_byte_only),
	 SL_TEST(what_is_no_record_makes_no_line),
	 SL_TEST(a_slot_means_whom_it_meant_in_the_generation_of_the_record),
	 SL_TEST(requests_of_all_workers_are_written_soon), SL_TEST(what_the_rings_lose_is_told),
	 SL_TEST(a_file_that_was_moved_away_is_made_anew_when_asked),
	 SL_TEST(a_large_file_is_rotated_and_the_oldest_goes),
	 SL_TEST(a_full_disk_costs_lines_that_are_counted_and_said_once),
	 SL_TEST(a_dataplane_that_goes_away_has_its_rings_read_to_the_end),
	 SL_TEST(what_is_no_record_is_passed_over_and_the_next_is_written),
	 SL_TEST(a_region_that_is_not_sound_is_refused),
	 SL_TEST(without_a_file_the_rings_are_emptied),
	 SL_TEST(what_cannot_be_a_log_ends_the_start),
	 SL_TEST(the_daemon_writes_requests_of_its_dataplane_with_the_names_of_its_table))
