/* Which VIPs are announced when, as rows; the file, written and read; whether the dataplane serves. */
#include "mgmt/announce_plan.h"
#include "mgmt/announce_serving.h"
#include "tests/suite.h"

#include <errno.h>

#define TEXT_MAX 4096

static struct sl_conf *
conf_of(const char *listeners, const char *tables)
{
	char text[TEXT_MAX];
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;

	snprintf(text, sizeof(text),
		 "gateway = { name = \"g\"; };"
		 "network = { addresses = ( { port = \"p\"; address = \"192.0.2.1/24\"; }, { port "
		 "= \"p\"; address = "
		 "\"2001:db8::1/64\"; } ); };"
		 "services = ( { name = \"a\"; forward = \"nat\"; endpoints = ( { name = \"e\"; "
		 "address = \"192.0.2.9\"; port = 80; "
		 "} ); }, { name = \"p\"; }, { name = \"q\"; } ); %s listeners = ( %s );",
		 tables, listeners);
	int err = sl_conf_parse("t", text, strlen(text), &diag, &c);
	for (unsigned i = 0; err && i < diag.cnt; i++)
		printf("%s: %s\n", diag.items[i].path, diag.items[i].text);
	sl_diag_fini(&diag);
	CU_ASSERT_EQUAL_FATAL(err, 0);
	return c;
}

#define LISTENER(name, address, port, keys)                                                        \
	"{ name = \"" name "\"; address = \"" address "\"; port = " port                           \
	"; protocol = \"tcp\"; " keys " }"
#define L4(name, address, port, announce)                                                          \
	LISTENER(name, address, port,                                                              \
		 "mode = \"l4\"; service = \"a\"; announce = \"" announce "\";")
#define TCP(name, address, service, announce)                                                      \
	LISTENER(name, address, "80",                                                              \
		 "mode = \"tcp\"; service = \"" service "\"; announce = \"" announce "\";")
#define HTTP(routes)                                                                               \
	"route_tables = ( { name = \"t\"; hosts = ( { name = \"h\"; match = ( \"*\" ); routes = "  \
	"( " routes " ); } ); } );"
#define TO(name, service)                                                                          \
	"{ name = \"" name "\"; prefix = \"/" name "\"; service = \"" service "\"; }"
#define SAYS "{ name = \"r\"; respond = { code = 200; }; }"
#define BY_TABLE(announce)                                                                         \
	LISTENER("h", "203.0.113.9", "80",                                                         \
		 "mode = \"http\"; routes = \"t\"; announce = \"" announce "\";")

/* health: of services a, p, q as digits; facts: 'D' drained, 'S' not serving; state: a letter of each VIP in order, A announced. */
struct row {
	const char *why, *listeners, *tables, *health, *facts, *vips;
};

static const char *
step(struct sl_announce_plan *p, const char *health, const char *facts, uint64_t now,
     uint32_t settle, uint64_t *ret_next)
{
	static char state[64];
	uint8_t h[3] = {0};
	bool withdrawn;
	struct sl_announce_facts f = {
		.not_serving = strchr(facts, 'S') ? "no link" : NULL,
		.drained = strchr(facts, 'D') != NULL,
		.health = h,
	};

	for (unsigned i = 0; i < 3 && health[i]; i++)
		h[i] = (uint8_t)(health[i] - '0');
	sl_announce_plan_step(p, &f, now, settle, ret_next, &withdrawn);
	for (uint32_t i = 0; i < p->cnt; i++)
		state[i] = p->vips[i].announced ? 'A' : '-';
	state[p->cnt] = 0;
	return state;
}

static void
a_vip_is_announced_while_one_of_its_listeners_wants_it(void)
{
	static const struct row rows[] = {
		{"never", L4("a", "203.0.113.1", "80", "never"), "", "222", "", ""},
		{"always, without health", L4("a", "203.0.113.1", "80", "always"), "", "000", "",
		 "A"},
		{"healthy", L4("a", "203.0.113.1", "80", "healthy"), "", "200", "", "A"},
		{"dead", L4("a", "203.0.113.1", "80", "healthy"), "", "022", "", "-"},
		{"not probed yet", L4("a", "203.0.113.1", "80", "healthy"), "", "100", "", "-"},
		{"drained", L4("a", "203.0.113.1", "80", "always"), "", "222", "D", "-"},
		{"not serving", L4("a", "203.0.113.1", "80", "always"), "", "222", "S", "-"},
		{"one VIP of two listeners, one wants it",
		 L4("a", "203.0.113.1", "80", "healthy") "," L4("b", "203.0.113.1", "81", "always"),
		 "", "000", "", "A"},
		{"its neighbour on the address does not",
		 L4("a", "203.0.113.1", "80", "healthy") "," L4("b", "203.0.113.1", "81", "never"),
		 "", "000", "", "-"},
		{"two services, one is alive",
		 L4("a", "203.0.113.1", "443", "healthy") "," TCP("b", "203.0.113.1", "p",
								  "healthy"),
		 "", "020", "", "A"},
		{"prefix and address are two",
		 L4("a", "203.0.113.0/24", "80", "always") "," L4("b", "203.0.113.0", "81",
								  "healthy"),
		 "", "000", "", "A-"},
		{"both families",
		 L4("a", "203.0.113.1", "80", "always") "," TCP("b", "2001:db8:1::1", "q",
								"healthy"),
		 "", "001", "", "A-"},
		{"any service of a table", BY_TABLE("healthy"),
		 HTTP(TO("x", "p") "," TO("y", "q") "," SAYS), "002", "", "A"},
		{"none of a table's", BY_TABLE("healthy"), HTTP(TO("x", "p") "," SAYS), "202", "",
		 "-"},
		{"a table that answers by itself", BY_TABLE("healthy"), HTTP(SAYS), "000", "", "A"},
		{"… in a gateway that serves", BY_TABLE("healthy"), HTTP(SAYS), "000", "S", "-"},
		{"server names",
		 LISTENER("s", "203.0.113.3", "443",
			  "mode = \"tls-passthrough\"; announce = \"healthy\"; server_names = ( { "
			  "name = \"a.example\"; service = "
			  "\"p\"; }, { name = \"b.example\"; service = \"q\"; } );"),
		 "", "002", "", "A"},
		{"server names that are dead",
		 LISTENER("s", "203.0.113.3", "443",
			  "mode = \"tls-passthrough\"; announce = \"healthy\"; server_names = ( { "
			  "name = \"a.example\"; service = "
			  "\"p\"; } );"),
		 "", "202", "", "-"},
	};
	uint64_t next;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_announce_plan p = {0};
		struct sl_conf *c = conf_of(rows[i].listeners, rows[i].tables);
		CU_ASSERT_EQUAL_FATAL(sl_announce_plan_set(&p, c), 0);
		const char *got = step(&p, rows[i].health, rows[i].facts, 5, 1000, &next);
		if (strcmp(got, rows[i].vips))
			printf("%s: %s, not %s\n", rows[i].why, got, rows[i].vips);
		CU_ASSERT_STRING_EQUAL(got, rows[i].vips);
		sl_announce_plan_fini(&p);
		sl_conf_free(c);
	}
}

static void
withdrawals_are_at_once_and_returns_settle(void)
{
	static const struct {
		uint64_t now;
		const char *health, *facts, *state;
		uint64_t next; /* UINT64_MAX: no need to look because of time */
	} rows[] = {
		{0, "1", "", "-", UINT64_MAX},  /* not probed: waits */
		{10, "2", "", "A", UINT64_MAX}, /* the first time is at once */
		{20, "1", "", "A", UINT64_MAX}, /* a restart of sluiced: not probed, stays */
		{30, "0", "", "-", UINT64_MAX}, /* withdrawn at once */
		{40, "2", "", "-", 1040},       /* settles */
		{500, "2", "", "-", 1040},
		{600, "0", "", "-", UINT64_MAX}, /* not without a break */
		{700, "2", "", "-", 1700},
		{1699, "2", "", "-", 1700},
		{1700, "2", "", "A", UINT64_MAX},
		{1701, "2", "D", "-", UINT64_MAX},
		{1702, "2", "", "-", 2702},
		{2702, "2", "S", "-", UINT64_MAX},
		{2703, "1", "", "-", UINT64_MAX},
		{2704, "2", "", "-", 3704},
		{9999, "2", "", "A", UINT64_MAX},
	};
	struct sl_announce_plan p = {0};
	struct sl_conf *c = conf_of(L4("a", "203.0.113.1", "80", "healthy"), "");
	uint64_t next;

	CU_ASSERT_EQUAL_FATAL(sl_announce_plan_set(&p, c), 0);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const char *got = step(&p, rows[i].health, rows[i].facts, rows[i].now, 1000, &next);
		if (strcmp(got, rows[i].state) || next != rows[i].next)
			printf("at %llu: %s, next %llu\n", (unsigned long long)rows[i].now, got,
			       (unsigned long long)next);
		CU_ASSERT_STRING_EQUAL(got, rows[i].state);
		CU_ASSERT_EQUAL(next, rows[i].next);
	}
	sl_announce_plan_fini(&p);
	sl_conf_free(c);
}

static void
a_push_keeps_what_became_of_vips(void)
{
	struct sl_conf *one = conf_of(
		L4("a", "203.0.113.1", "80", "always") "," L4("b", "203.0.113.2", "80", "always"),
		"");
	struct sl_conf *two = conf_of(
		L4("b", "203.0.113.2", "80", "healthy") "," L4("c", "203.0.113.3", "80", "always"),
		"");
	struct sl_announce_plan p = {0};
	uint64_t next;

	CU_ASSERT_EQUAL(sl_announce_plan_set(&p, one), 0);
	CU_ASSERT_STRING_EQUAL(step(&p, "0", "", 1, 0, &next), "AA");
	CU_ASSERT_EQUAL(sl_announce_plan_set(&p, two), 0);
	CU_ASSERT_EQUAL(p.cnt, 3); /* the first is still announced */
	CU_ASSERT_STRING_EQUAL(step(&p, "1", "", 2, 0, &next), "-AA");
	CU_ASSERT_EQUAL(p.vips[0].policy, SL_ANNOUNCE_NONE);
	sl_announce_plan_prune(&p);
	CU_ASSERT_EQUAL(p.cnt, 2);
	CU_ASSERT_EQUAL(sl_announce_plan_set(&p, two), 0);
	CU_ASSERT_EQUAL(p.cnt, 2);
	CU_ASSERT_EQUAL(sl_announce_plan_set(&p, NULL), 0);
	CU_ASSERT_STRING_EQUAL(step(&p, "", "", 3, 0, &next), "--");
	CU_ASSERT_EQUAL(sl_announce_plan_set(&p, NULL), 0);
	CU_ASSERT_EQUAL(p.cnt, 0);
	sl_announce_plan_fini(&p);
	sl_conf_free(one);
	sl_conf_free(two);
}

static const char file[] =
	"# sluiced writes this file, and writes it anew: what is edited here is lost.\n"
	"protocol static sluice_vip4 {\n"
	"\tipv4;\n"
	"\troute 203.0.113.0/24 blackhole;\n"
	"\troute 203.0.113.1/32 blackhole;\n"
	"}\n"
	"protocol static sluice_vip6 {\n"
	"\tipv6;\n"
	"\troute 2001:db8:1::1/128 blackhole;\n"
	"}\n";

static void
the_file_is_read_as_it_was_written(void)
{
	struct sl_conf *c = conf_of(L4("a", "203.0.113.1", "80", "always") "," L4(
					    "b", "203.0.113.0/24", "81",
					    "always") "," TCP("c", "2001:db8:1::1", "p", "always"),
				    "");
	struct sl_announce_plan p = {0}, q = {0};
	uint64_t next;
	char *text;
	size_t len;

	CU_ASSERT_EQUAL(sl_announce_plan_set(&p, c), 0);
	step(&p, "", "", 1, 0, &next);
	CU_ASSERT_EQUAL_FATAL(sl_announce_text(&p, &text, &len), 0);
	CU_ASSERT_STRING_EQUAL(text, file);
	CU_ASSERT_EQUAL(len, strlen(file));
	CU_ASSERT_EQUAL(sl_announce_plan_read(&q, text, len), 0);
	CU_ASSERT_EQUAL(sl_announce_plan_cnt(&q), 3);
	free(text);
	/* a restart: the table comes, and nothing is to be written */
	CU_ASSERT_EQUAL(sl_announce_plan_set(&q, c), 0);
	bool withdrawn;
	const uint8_t health[3] = {0};
	const struct sl_announce_facts f = {.health = health};
	CU_ASSERT_FALSE(sl_announce_plan_step(&q, &f, 2, 1000, &next, &withdrawn));
	sl_announce_plan_fini(&p);
	sl_announce_plan_fini(&q);
	sl_conf_free(c);
}

static void
a_file_that_is_cut_or_edited_is_not_believed(void)
{
	const size_t len = strlen(file), head = (size_t)(strchr(file, '\n') - file) + 1;
	struct sl_announce_plan p = {0};

	for (size_t n = 0; n < len; n++) { /* lines that are whole are as good as the file */
		uint8_t *cut = guard_buf(n);
		memcpy(cut, file, n);
		int err = sl_announce_plan_read(&p, (char *)cut, n);
		CU_ASSERT_EQUAL(err, n >= head && file[n - 1] == '\n' ? 0 : -EINVAL);
		CU_ASSERT_EQUAL(sl_announce_text_ours((char *)cut, n), n >= head);
		sl_announce_plan_fini(&p);
		guard_free(cut, n);
	}
	for (size_t i = head; i < len; i++)
		for (unsigned bit = 0; bit < 8;
		     bit++) { /* it may become another prefix, and must not harm */
			char *text = strdup(file);
			text[i] = (char)(text[i] ^ 1 << bit);
			if (sl_announce_plan_read(&p, text, len) == 0)
				CU_ASSERT(p.cnt <= 3);
			sl_announce_plan_fini(&p);
			free(text);
		}
}

static void
workers_that_do_not_turn_serve_nothing(void)
{
	static const char *const names[] = {"front"};
	size_t bytes = sl_stats_bytes(2, 1);
	void *seg = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
	struct sl_serving s = {0};

	memset(seg, 0, bytes);
	CU_ASSERT_STRING_EQUAL(sl_serving_look(&s, 1, 0), "the dataplane is not connected");
	sl_stats_init(seg, 2, 1, names, 7, 1000);
	sl_serving_attach(&s, seg, bytes, 10000);
	CU_ASSERT_STRING_EQUAL(sl_serving_look(&s, 0, 10000), "the dataplane has no table yet");
	for (uint64_t now = 10000; now < 15000; now += 200) {
		sl_stats_worker(seg, 0)->turns++;
		sl_stats_worker(seg, 1)->turns += now < 12000;
		const char *why = sl_serving_look(&s, 1, now);
		CU_ASSERT_EQUAL(why != NULL, now >= 11800 + SL_SERVING_STUCK_MS);
		CU_ASSERT(!why || strcmp(why, "worker 1 of the dataplane does not turn") == 0);
	}
	sl_stats_worker(seg, 0)->turns++;
	sl_stats_worker(seg, 1)->turns++;
	CU_ASSERT_PTR_NULL(sl_serving_look(&s, 1, 15000));
	/* we did not look for a minute: that is not the workers' fault; they have their second from now on */
	CU_ASSERT_PTR_NULL(sl_serving_look(&s, 1, 75000));
	for (uint64_t now = 75200; now < 75800; now += 200)
		CU_ASSERT_PTR_NULL(sl_serving_look(&s, 1, now));
	CU_ASSERT_PTR_NOT_NULL(sl_serving_look(&s, 1, 76000));
	sl_serving_attach(&s, NULL, 0, 76001);
	CU_ASSERT_PTR_NOT_NULL(sl_serving_look(&s, 1, 76002));
	free(seg);
}

SL_SUITE("announce", SL_TEST(a_vip_is_announced_while_one_of_its_listeners_wants_it),
	 SL_TEST(withdrawals_are_at_once_and_returns_settle),
	 SL_TEST(a_push_keeps_what_became_of_vips), SL_TEST(the_file_is_read_as_it_was_written),
	 SL_TEST(a_file_that_is_cut_or_edited_is_not_believed),
	 SL_TEST(workers_that_do_not_turn_serve_nothing))
