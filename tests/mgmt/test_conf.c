/* Text → structs, or every problem of the text. */
#include "mgmt/conf.h"

#include <errno.h>

#include "files.h"
#include "mgmt/conf_scan.h"
#include "mgmt/conf_value.h"
#include "sluice/streams.h"

#define GATEWAY "gateway = { name = \"g\"; };\n"
#define SERVICE(keys) GATEWAY "services = ( { name = \"s\"; forward = \"nat\"; " keys " } );\n"

/* The text lies right before a page that must not be touched. */
static int
parse(const char *text, size_t len, struct sl_diag *diag, struct sl_conf **ret_conf)
{
	uint8_t *guarded = guard_buf(len);

	memcpy(guarded, text, len);
	int err = sl_conf_parse("t.conf", (char *)guarded, len, diag, ret_conf);
	guard_free(guarded, len);
	return err;
}

static struct sl_conf *
parse_good(const char *text)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;
	char line[2048];

	int err = parse(text, strlen(text), &diag, &c);
	for (unsigned i = 0; i < diag.cnt; i++) {
		sl_diag_format(&diag.items[i], line, sizeof(line));
		printf("\n  %s", line);
	}
	CU_ASSERT_EQUAL_FATAL(err, 0);
	CU_ASSERT(diag.cnt == 0 && diag.warning_cnt == 0);
	sl_diag_fini(&diag);
	return c;
}

/* The problems as text, a line each; "" when the text was taken. */
static char *
problems_of(const char *file, const char *text, size_t len)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;
	char line[2048], *out = NULL;
	size_t out_len;
	FILE *f = open_memstream(&out, &out_len);

	int err = sl_conf_parse(file, text, len, &diag, &c);
	CU_ASSERT_EQUAL(err, diag.cnt ? -EINVAL : 0);
	CU_ASSERT_EQUAL(c == NULL, err != 0);
	for (unsigned i = 0; i < diag.cnt; i++) {
		sl_diag_format(&diag.items[i], line, sizeof(line));
		fprintf(f, "%s\n", line);
	}
	fclose(f);
	sl_diag_fini(&diag);
	sl_conf_free(c);
	return out;
}

static void
compare_problems(const char *path, const char *stem)
{
	char err_path[4096], file[300];
	size_t len;
	char *text = file_read(path, &len);

	snprintf(file, sizeof(file), "%s.conf", stem);
	snprintf(err_path, sizeof(err_path), "%.*s.err", (int)strlen(path) - 5, path);
	char *got = problems_of(file, text, len);
	CU_ASSERT_STRING_NOT_EQUAL(got, "");
	CU_ASSERT(golden_is(err_path, got));
	free(got);
	free(text);
}

static void
every_bad_file_gives_exactly_its_errors(void)
{
	CU_ASSERT(golden_each(SL_GOLDEN "/bad", compare_problems) >= 10);
}

static void
every_value_reaches_its_field(void)
{
	size_t len;
	char *text = file_read(SL_GOLDEN "/edge.conf", &len);
	struct sl_conf *c = parse_good(text);
	const struct sl_conf_service *web = &c->services[0];
	struct sl_addr a;

	free(text);
	CU_ASSERT_STRING_EQUAL(c->name, "edge-1");
	CU_ASSERT_EQUAL(c->hash_seed, 0x00112233445566ffu);
	CU_ASSERT_EQUAL(c->address_cnt, 3);
	CU_ASSERT_EQUAL(c->route_cnt, 2);
	CU_ASSERT_EQUAL(c->service_cnt, 4);
	CU_ASSERT_EQUAL(c->listener_cnt, 4);
	CU_ASSERT_STRING_EQUAL(c->addresses[1].port, "back");
	CU_ASSERT_EQUAL(c->addresses[1].plen, 96 + 24);
	CU_ASSERT_EQUAL(c->addresses[2].plen, 64);
	CU_ASSERT_EQUAL(c->routes[0].plen, 96);
	CU_ASSERT_EQUAL(c->routes[1].plen, 48);
	CU_ASSERT_EQUAL(c->addresses[0].line, 5);

	CU_ASSERT_EQUAL(web->forward, SL_FORWARD_NAT);
	CU_ASSERT_EQUAL(web->policy, SL_POLICY_MAGLEV);
	CU_ASSERT_EQUAL(web->max_endpoints, 2);
	CU_ASSERT_EQUAL(web->slow_start_ms, 30000);
	CU_ASSERT_EQUAL(web->health.type, SL_HEALTH_HTTP);
	CU_ASSERT_EQUAL(web->health.interval_ms, 2000);
	CU_ASSERT_EQUAL(web->health.timeout_ms, 1000);
	CU_ASSERT_EQUAL(web->health.rise, 1);
	CU_ASSERT_EQUAL(web->health.fall, 2);
	CU_ASSERT_EQUAL(web->health.jitter_pct, 20);
	CU_ASSERT_EQUAL(web->health.port, 8080);
	CU_ASSERT_STRING_EQUAL(web->health.path, "/ready");
	CU_ASSERT_STRING_EQUAL(web->health.host, "web.example");
	CU_ASSERT_EQUAL_FATAL(web->health.expect_cnt, 2);
	CU_ASSERT_EQUAL(web->health.expect[0].hi, 200);
	CU_ASSERT_EQUAL(web->health.expect[1].lo, 300);
	CU_ASSERT_EQUAL(web->health.expect[1].hi, 399);

	CU_ASSERT_STRING_EQUAL(web->endpoints[0].name, "web-2");
	CU_ASSERT_EQUAL(web->endpoints[0].weight, 3);
	CU_ASSERT(sl_addr_eq(&web->endpoints[0].probe_addr, &web->endpoints[0].addr));
	CU_ASSERT_EQUAL(web->endpoints[0].probe_port, 0);
	CU_ASSERT_EQUAL(sl_addr_parse("127.0.0.1", &a), 0);
	CU_ASSERT(sl_addr_eq(&web->endpoints[1].probe_addr, &a));
	CU_ASSERT_EQUAL(web->endpoints[1].probe_port, 9000);
	CU_ASSERT_EQUAL(c->services[1].policy, SL_POLICY_SOURCE_HASH);
	CU_ASSERT_EQUAL(c->services[1].forward, SL_FORWARD_DSR);
	CU_ASSERT_EQUAL(c->services[2].endpoints[2].weight, 0);
	CU_ASSERT_EQUAL(c->listeners[1].proto, SL_IPPROTO_UDP);
	CU_ASSERT_EQUAL(c->listeners[2].port, 9000); /* written 0x2328 */
	CU_ASSERT_STRING_EQUAL(c->listeners[2].service, "batch");
	CU_ASSERT_EQUAL(c->listeners[0].mode, SL_MODE_L4);
	sl_conf_free(c);
}

static void
an_absent_key_has_the_default_of_the_key_table(void)
{
	struct sl_conf *c = parse_good(
		SERVICE("endpoints = ( { name = \"e\"; address = \"192.0.2.9\"; port = 1; } );"));
	const struct sl_conf_service *s = &c->services[0];

	CU_ASSERT_EQUAL(c->hash_seed, 0x536c756963653031u);
	CU_ASSERT_EQUAL(s->policy, SL_POLICY_MAGLEV);
	CU_ASSERT_EQUAL(s->max_endpoints, 655);
	CU_ASSERT_EQUAL(s->slow_start_ms, 0);
	CU_ASSERT_EQUAL(s->health.type, SL_HEALTH_NONE);
	CU_ASSERT_EQUAL(s->health.interval_ms, 1000);
	CU_ASSERT_EQUAL(s->health.timeout_ms, 500);
	CU_ASSERT_EQUAL(s->health.rise, 2);
	CU_ASSERT_EQUAL(s->health.fall, 3);
	CU_ASSERT_EQUAL(s->health.jitter_pct, 10);
	CU_ASSERT_EQUAL(s->health.port, 0);
	CU_ASSERT_STRING_EQUAL(s->health.path, "/");
	CU_ASSERT_STRING_EQUAL(s->health.host, "");
	CU_ASSERT_EQUAL(s->health.expect_cnt, 1);
	CU_ASSERT_EQUAL(s->health.expect[0].lo, 200);
	CU_ASSERT_EQUAL(s->endpoints[0].weight, 1);
	CU_ASSERT_EQUAL(s->endpoints[0].incomplete, false);
	sl_conf_free(c);
}

static void
connections_have_their_values_and_defaults(void)
{
	size_t len;
	char *text = file_read(SL_GOLDEN "/tcp.conf", &len);
	struct sl_conf *c = parse_good(text);
	const struct sl_conf_tcp *usual = &c->services[0].tcp, *said = &c->services[1].tcp,
				 *empty = &c->services[3].tcp;
	const struct sl_conf_listener *l = c->listeners;

	free(text);
	CU_ASSERT_EQUAL(c->services[0].forward, SL_FORWARD_PROXY); /* not given */
	CU_ASSERT(!usual->given && said->given && empty->given);
	CU_ASSERT_EQUAL(usual->connect_ms, 5000);
	CU_ASSERT_EQUAL(usual->idle_ms, 3600000);
	CU_ASSERT_EQUAL(usual->max_connections, 1024);
	CU_ASSERT_EQUAL(usual->retries, 1);
	CU_ASSERT_EQUAL(usual->keepalive_ms, 0);
	CU_ASSERT_EQUAL(usual->proxy_out, SL_PROXY_NONE);
	CU_ASSERT_EQUAL(usual->cc, SL_CC_CUBIC);
	CU_ASSERT_EQUAL(empty->connect_ms, 5000);
	CU_ASSERT_EQUAL(said->connect_ms, 250);
	CU_ASSERT_EQUAL(said->idle_ms, 0);
	CU_ASSERT_EQUAL(said->max_connections, 0);
	CU_ASSERT(said->endpoint_connections == 60 && usual->endpoint_connections == 0);
	CU_ASSERT_EQUAL(said->retries, 7);
	CU_ASSERT_EQUAL(said->keepalive_ms, 75000);
	CU_ASSERT_EQUAL(said->proxy_out, SL_PROXY_V2);
	CU_ASSERT_EQUAL(said->cc, SL_CC_RENO);

	CU_ASSERT_EQUAL(l[0].mode, SL_MODE_TCP);
	CU_ASSERT(!l[0].proxy_in && l[0].max_connections == 0 && l[0].trusted_cnt == 0);
	CU_ASSERT(l[1].proxy_in && l[1].max_connections == 5000);
	CU_ASSERT_EQUAL_FATAL(l[1].trusted_cnt, 5);
	CU_ASSERT_EQUAL(l[1].trusted[0].plen, 96 + 24); /* as in the file */
	CU_ASSERT_EQUAL(l[1].trusted[2].plen, 32);
	CU_ASSERT_EQUAL(l[1].trusted[3].plen, 128); /* an address */
	CU_ASSERT_EQUAL(l[1].trusted[4].plen, 0);
	CU_ASSERT(!l[3].proxy_in);
	sl_conf_free(c);
}

static void
trusted_prefixes_of_all_listeners_are_limited(void)
{
	char *text = malloc(1 << 20), *at = text;
	struct sl_diag diag = {0};
	struct sl_conf *c;

	at += sprintf(at, GATEWAY "services = ( { name = \"s\"; } ); listeners = (\n");
	for (int i = 0; i < 2; i++) {
		at += sprintf(at,
			      "%s{ name = \"l%d\"; address = \"192.0.2.1\"; port = %d; protocol = "
			      "\"tcp\"; mode = \"tcp\"; service = \"s\"; proxy_protocol = true; "
			      "trusted = (",
			      i ? "," : "", i, 80 + i);
		for (int k = 0; k < SL_MAX_TRUST / 2 + i; k++)
			at += sprintf(at, "%s\"10.0.%d.%d\"", k ? "," : "", k / 250, k % 250 + 1);
		at += sprintf(at, "); }\n");
	}
	at += sprintf(at, ");\n");
	CU_ASSERT_EQUAL(sl_conf_parse("t.conf", text, (size_t)(at - text), &diag, &c), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(diag.cnt, 1);
	CU_ASSERT_STRING_EQUAL(diag.items[0].text, "4097 trusted prefixes are more than 4096");
	sl_diag_fini(&diag);
	free(text);
}

/* Structure that must not be read, made here because no editor shows it. */
static void
a_text_that_is_no_text_is_refused(void)
{
	static const struct {
		const char *text;
		size_t len;
		const char *wants, *reason;
	} rows[] = {
		{GATEWAY "\0x = 1;", sizeof(GATEWAY "\0x = 1;") - 1, "t.conf:2: the file contains",
		 "it would end at the NUL"},
		{GATEWAY "# \0", sizeof(GATEWAY "# \0") - 1, "t.conf:2: the file contains",
		 "in a comment too"},
		{"gateway = { name = \"g\0\"; };", sizeof("gateway = { name = \"g\0\"; };") - 1,
		 "t.conf:1: the file contains", "in a string too"},
		{"gateway = { name = \"g\\x00h\"; };", 29, "t.conf:1: \\x00 would cut",
		 "it would be \"g\""},
		{"gateway = { name = \"g\\\\x00\"; };", 30, "is not a name",
		 "an escaped backslash, then three characters"},
		{"gateway = { name = \"g\\X00h\"; };", 29, "t.conf:1: \\x00 would cut",
		 "the other x does so, too"},
		{"@include \"/etc/passwd\"\n", 23, "t.conf:1: @include is not taken",
		 "first in the file"},
		{GATEWAY "  \t@include \"x\"\n", sizeof(GATEWAY "  \t@include \"x\"\n") - 1,
		 "t.conf:2: @include", "after blanks"},
		{"\xff\xfe", 2, "syntax error", "UTF-16"},
		{"/*", 2, "t.conf:1: the comment that starts here is not closed", "the end"},
		{"\"\\", 2, "t.conf:1: the string that starts here is not closed", "escape, end"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char *got = problems_of("t.conf", rows[i].text, rows[i].len);
		if (!strstr(got, rows[i].wants))
			printf("\n  %s: %s", rows[i].reason, got);
		CU_ASSERT_PTR_NOT_NULL(strstr(got, rows[i].wants));
		free(got);
	}
}

static void
limits_of_a_file_are_kept(void)
{
	size_t big = SL_SCAN_MAX_BYTES + 1;
	char *text = malloc(big), *got;

	memset(text, '\n', big);
	got = problems_of("t.conf", text, big);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "over 64 MiB"));
	free(got);
	memset(text, ' ', SL_SCAN_MAX_LINE + 1);
	got = problems_of("t.conf", text, SL_SCAN_MAX_LINE + 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "t.conf:1: a line is longer"));
	free(got);
	memset(text, '\n', SL_SCAN_MAX_STRING + 3);
	text[0] = text[SL_SCAN_MAX_STRING + 2] = '"';
	got = problems_of("t.conf", text, SL_SCAN_MAX_STRING + 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "t.conf:1: a string is longer"));
	free(got);
	memset(text, '(', 1000000); /* deep enough to end a recursive reader's stack */
	got = problems_of("t.conf", text, 60000);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "nest deeper"));
	free(got);
	size_t n = 0;
	while (n < 6u << 20)
		n += (size_t)sprintf(text + n, "x=(%s);\n", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1");
	got = problems_of("t.conf", text, n);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "more than 64 members"));
	free(got);
	memcpy(text, "x=(", 3);
	for (n = 3; n < 7u << 20; n += 3)
		memcpy(text + n, "1\n,", 3);
	got = problems_of("t.conf", text, n);
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "more than 2097152 values"));
	free(got);
	free(text);
}

static void
every_prefix_of_a_file_is_taken_or_refused_in_words(void)
{
	static const char *const files[] = {SL_GOLDEN "/edge.conf", SL_GOLDEN "/levels.conf",
					    SL_GOLDEN "/http/every-key.conf"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(files); i++) {
		size_t len;
		char *text = file_read(files[i], &len);
		for (size_t n = 0; n < len; n += 7) {
			struct sl_diag diag = {0};
			struct sl_conf *c = NULL;
			int err = parse(text, n, &diag, &c);
			CU_ASSERT(err == 0 ? c && diag.cnt == 0 : !c && diag.cnt > 0);
			sl_conf_free(c);
			sl_diag_fini(&diag);
		}
		free(text);
	}
}

static void
members_reach_their_fields(void)
{
	struct sl_conf *c = parse_good(
		"gateway = { name = \"g\"; }; services = ( { name = \"s\"; forward = \"proxy\"; "
		"locality_failover = true;\n"
		"  endpoints = ( { name = \"a\"; address = \"192.0.2.1\"; port = 80; locality = "
		"\"eu/a/r1\"; priority = 7; metadata = ( \"v=2\", \"a=x/y\", \"b=\" ); } );\n"
		"  subsets = ( { name = \"two\"; metadata = ( \"v=2\", \"b=\" ); fallback = "
		"\"any\"; } );\n"
		"  discover = ( { source = \"dns\"; name = \"_http._tcp.web\"; record = \"srv\"; "
		"port = 81; "
		"port_name = \"p\"; tag = \"t\"; namespace = \"n\"; weight = 0; priority = 3; "
		"empty = "
		"\"accept\"; },\n    { source = \"registry\"; } ); },\n"
		"  { name = \"n\"; forward = \"nat\"; panic_threshold = 0; }, { name = \"o\"; "
		"forward = "
		"\"nat\"; }, { name = \"z\"; forward = \"nat\"; zone_aware = { traffic_percent = "
		"40; "
		"}; endpoints = ( { name = \"a\"; address = \"192.0.2.1\"; port = 80; locality = "
		"\"eu\"; } ); } );");
	const struct sl_conf_service *s = &c->services[0];
	const struct sl_conf_discover *q = s->discover;

	CU_ASSERT_TRUE(s->locality_failover);
	CU_ASSERT(s[3].zones.given && s[3].zones.traffic_pct == 40);
	CU_ASSERT_EQUAL(s[3].zones.min_endpoints, 6);
	CU_ASSERT_FALSE(s->zones.given);
	CU_ASSERT_EQUAL(s->panic_pct, SL_CONF_NO_PANIC);
	CU_ASSERT_EQUAL(sl_conf_panic_pct(s), 50);
	CU_ASSERT_STRING_EQUAL(s->endpoints[0].locality, "eu/a/r1");
	CU_ASSERT_STRING_EQUAL(s->endpoints[0].meta, "a=x/y,b=,v=2");
	CU_ASSERT_EQUAL(s->endpoints[0].priority, 7);
	CU_ASSERT_EQUAL(s->endpoints[0].from, 0);
	CU_ASSERT_EQUAL_FATAL(s->subset_cnt, 1);
	CU_ASSERT_STRING_EQUAL(s->subsets[0].name, "two");
	CU_ASSERT_STRING_EQUAL(s->subsets[0].meta, "b=,v=2");
	CU_ASSERT_TRUE(s->subsets[0].any);
	CU_ASSERT_EQUAL_FATAL(s->discover_cnt, 2);
	CU_ASSERT_STRING_EQUAL(q->source, "dns");
	CU_ASSERT_STRING_EQUAL(q->name, "_http._tcp.web");
	CU_ASSERT(q->record == SL_RECORD_SRV && q->port == 81 && q->weight == 0);
	CU_ASSERT(strcmp(q->port_name, "p") == 0 && strcmp(q->tag, "t") == 0 &&
		  strcmp(q->space, "n") == 0 && q->priority == 3 && q->accept_empty);
	CU_ASSERT(q[1].record == SL_RECORD_ADDRESS && q[1].weight == 1 && q[1].port == 0);
	CU_ASSERT(!q[1].name[0] && !q[1].accept_empty);
	CU_ASSERT_EQUAL(c->services[1].panic_pct, 0);
	CU_ASSERT_EQUAL(c->services[2].panic_pct, SL_CONF_NO_PANIC);
	CU_ASSERT_EQUAL(sl_conf_panic_pct(&c->services[2]), 0);
	sl_conf_free(c);
}

static void
problems_past_the_limit_are_counted(void)
{
	char *text = malloc(1 << 20), *at = text;
	struct sl_diag diag = {0};
	struct sl_conf *c;

	at += sprintf(at, GATEWAY "services = (\n");
	for (int i = 0; i < 1000; i++)
		at += sprintf(at, "%s{ forwrad = %d; }", i ? "," : "", i);
	at += sprintf(at, ");\n");
	CU_ASSERT_EQUAL(sl_conf_parse("t.conf", text, (size_t)(at - text), &diag, &c), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, SL_DIAG_MAX);
	CU_ASSERT_EQUAL(diag.cnt + diag.more, 2000);
	sl_diag_fini(&diag);
	CU_ASSERT_EQUAL(sl_conf_parse("t.conf", text, (size_t)(at - text), NULL, &c), -EINVAL);
	free(text);
}

static void
durations_are_a_number_and_a_unit(void)
{
	static const struct {
		const char *text;
		int64_t ms; /* -1: refused */
	} rows[] = {{"0s", 0},           {"500ms", 500},  {"1s", 1000},
		    {"2m", 120000},      {"1h", 3600000}, {"1193h", 4294800000},
		    {"1194h", -1},       {"1000", -1},    {"", -1},
		    {"s", -1},           {"1.5s", -1},    {"-1s", -1},
		    {"1 s", -1},         {"1S", -1},      {"01s", -1},
		    {"+1s", -1},         {"1sec", -1},    {"0x1s", -1},
		    {"1s ", -1},         {" 1s", -1},     {"99999999999999999999s", -1},
		    {"4294967295ms", -1}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint32_t ms = 7;
		const char *why = sl_value_duration(rows[i].text, &ms);
		CU_ASSERT_EQUAL(why == NULL, rows[i].ms >= 0);
		CU_ASSERT_EQUAL(ms, rows[i].ms >= 0 ? rows[i].ms : 7);
	}
}

static void
probes_are_addresses_with_or_without_a_port(void)
{
	static const struct {
		const char *text, *addr;
		int port; /* -1: refused */
	} rows[] = {{"192.0.2.1", "192.0.2.1", 0},
		    {"192.0.2.1:80", "192.0.2.1", 80},
		    {"127.0.0.1:65535", "127.0.0.1", 65535},
		    {"::1", "::1", 0},
		    {"2001:db8::1:80", "2001:db8::1:80", 0},
		    {"[2001:db8::1]:80", "2001:db8::1", 80},
		    {"[2001:db8::1]", "2001:db8::1", 0},
		    {"[192.0.2.1]:80", NULL, -1},
		    {"[2001:db8::1", NULL, -1},
		    {"[2001:db8::1]80", NULL, -1},
		    {"192.0.2.1:", NULL, -1},
		    {"192.0.2.1:0", NULL, -1},
		    {"192.0.2.1:65536", NULL, -1},
		    {"192.0.2.1:80x", NULL, -1},
		    {":80", NULL, -1},
		    {"::", NULL, -1},
		    {"0.0.0.0", NULL, -1},
		    {"ff02::1", NULL, -1},
		    {"example.org", NULL, -1}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_addr a, want;
		uint16_t port = 7;
		const char *why = sl_value_probe(rows[i].text, &a, &port);
		CU_ASSERT_EQUAL(why == NULL, rows[i].port >= 0);
		if (why || rows[i].port < 0)
			continue;
		CU_ASSERT_EQUAL(sl_addr_parse(rows[i].addr, &want), 0);
		CU_ASSERT(sl_addr_eq(&a, &want));
		CU_ASSERT_EQUAL(port, rows[i].port);
	}
}

static void
codes_are_ranges_in_order(void)
{
	static const struct {
		const char *text;
		unsigned cnt; /* 0: refused */
	} rows[] = {{"200", 1},
		    {"200,204", 2},
		    {"100-599", 1},
		    {"200-200", 1},
		    {"", 0},
		    {"99", 0},
		    {"600", 0},
		    {"300-200", 0},
		    {"200,", 0},
		    {",200", 0},
		    {"200-", 0},
		    {"200 ,300", 0},
		    {"2xx", 0},
		    {"0200", 0},
		    {"200,201,202,203,204,205,206,207,208,209,210,211,212,213,214,215", 16},
		    {"200,201,202,203,204,205,206,207,208,209,210,211,212,213,214,215,216", 0}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_health_conf h = {0};
		const char *why = sl_value_codes(rows[i].text, &h);
		CU_ASSERT_EQUAL(why == NULL, rows[i].cnt > 0);
		CU_ASSERT_EQUAL(h.expect_cnt, rows[i].cnt);
	}
}

static void
the_nearest_word_is_near(void)
{
	static const char *const words[] = {"name", "policy", "max_endpoints", "health", "port"};
	static const struct {
		const char *text;
		int nearest;
	} rows[] = {{"nmae", 0},  {"polcy", 1}, {"Policy", 1}, {"PORT", 4}, {"max_endpoint", 2},
		    {"helth", 3}, {"prot", 4},  {"xyz", -1},   {"x", -1},   {"weight", -1}};
	char lots[70000];

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		CU_ASSERT_EQUAL(sl_value_nearest(rows[i].text, words, SL_ARRAY_CNT(words)),
				rows[i].nearest);
	memset(lots, 'n', sizeof(lots));
	lots[sizeof(lots) - 1] = 0;
	CU_ASSERT_EQUAL(sl_value_nearest(lots, words, SL_ARRAY_CNT(words)), -1);
}

static void
quoted_text_is_printable_and_fits(void)
{
	char buf[20];

	CU_ASSERT_STRING_EQUAL(sl_value_quote("web", buf, sizeof(buf)), "\"web\"");
	CU_ASSERT_STRING_EQUAL(sl_value_quote("a\x1b\xff", buf, sizeof(buf)), "\"a\\x1b\\xff\"");
	CU_ASSERT_STRING_EQUAL(sl_value_quote("0123456789abcdef", buf, sizeof(buf)),
			       "\"0123456789a...\"");
}

/* ---- policy ---- */

static struct sl_conf *every_key(void);

static void
policy_of_traffic_has_its_values_and_defaults(void)
{
	static const char origins[] = "https://shop.example\0https://*.shop.example:8443";
	struct sl_conf *c = every_key();
	const struct sl_conf_vhost *v = &c->tables[0].vhosts[1];
	const struct sl_conf_cors *cors = &v->policy.cors;
	const struct sl_conf_fault *f = &v->policy.fault, *of_route = &v->routes[0].policy.fault;

	CU_ASSERT_EQUAL(cors->origin_bytes, sizeof(origins));
	CU_ASSERT(memcmp(cors->origins, origins, sizeof(origins)) == 0);
	CU_ASSERT_STRING_EQUAL(cors->methods, "GET, PUT");
	CU_ASSERT_STRING_EQUAL(cors->headers, "X-A, content-type");
	CU_ASSERT_STRING_EQUAL(cors->expose, "x-total");
	CU_ASSERT(cors->credentials && cors->max_age_s == 600 && cors->line);
	CU_ASSERT(f->delay_ppm == 5000 && f->delay_ms == 3600000 && f->abort_ppm == 1000000);
	CU_ASSERT(f->abort_status == 0 && f->by_header && f->max_active == 100 && f->line);
	CU_ASSERT(of_route->delay_ms == 0 && of_route->delay_ppm == 0 &&
		  of_route->abort_ppm == 1000000 && of_route->abort_status == 503 &&
		  !of_route->by_header && of_route->max_active == 0);
	CU_ASSERT(v->policy.hedge.after_ms == 50 && v->policy.hedge.max == 7);
	CU_ASSERT(!v->routes[0].policy.cors.line && !v->routes[0].policy.hedge.line);
	CU_ASSERT(v->routes[0].sticky_set && v->routes[0].sticky_ttl_s == 3600);
	CU_ASSERT(!c->tables[0].policy.line && !c->tables[0].vhosts[0].routes[0].sticky_set);
	sl_conf_free(c);
}

/* ---- route tables ---- */

static struct sl_conf *
every_key(void)
{
	size_t len;
	char *text = file_read(SL_GOLDEN "/http/every-key.conf", &len);
	struct sl_conf *c = parse_good(text);

	free(text);
	return c;
}

static void
services_of_requests_have_their_values_and_defaults(void)
{
	struct sl_conf *c = every_key();
	const struct sl_conf_http *said = &c->services[0].http, *empty = &c->services[1].http,
				  *usual = &c->services[2].http;

	CU_ASSERT(said->given && empty->given && !usual->given);
	CU_ASSERT_EQUAL(c->services[0].policy, SL_POLICY_RING_HASH);
	CU_ASSERT_EQUAL(c->services[1].policy, SL_POLICY_LEAST_REQUEST);
	CU_ASSERT_EQUAL(c->services[2].policy, SL_POLICY_RANDOM);
	CU_ASSERT_EQUAL(said->max_pending, 7);
	CU_ASSERT_EQUAL(said->max_requests, 0);
	CU_ASSERT_EQUAL(said->max_retries, INT32_MAX);
	CU_ASSERT_EQUAL(said->conn_requests, 1000);
	CU_ASSERT_EQUAL(said->conn_idle_ms, 30000);
	CU_ASSERT_EQUAL(said->conn_idle_max, 0);
	CU_ASSERT_EQUAL(said->panic_pct, 0);
	CU_ASSERT_EQUAL(said->budget_pct, 100);
	CU_ASSERT_EQUAL(said->budget_min, 255);
	CU_ASSERT_EQUAL(said->eject_after, 0);
	CU_ASSERT_EQUAL(said->gateway_after, 65535);
	CU_ASSERT_EQUAL(said->local_after, 1);
	CU_ASSERT_TRUE(said->split_local);
	CU_ASSERT_EQUAL(said->rate_deviation, 10000);
	CU_ASSERT_EQUAL(said->failure_pct, 100);
	CU_ASSERT_EQUAL(said->rate_endpoints, 1);
	CU_ASSERT_EQUAL(said->rate_requests, 65535);
	CU_ASSERT_EQUAL(said->budget_per_s, 65535);
	CU_ASSERT_EQUAL(said->endpoint_requests, 9);
	CU_ASSERT_EQUAL(said->adaptive_min, 65535);
	CU_ASSERT_EQUAL(said->adaptive_pct, 200);
	CU_ASSERT_EQUAL(said->sweep_ms, 10);
	CU_ASSERT_EQUAL(said->eject_ms, 1);
	CU_ASSERT_EQUAL(said->eject_max_ms, 604800000);
	CU_ASSERT_EQUAL(said->eject_max_pct, 100);
	CU_ASSERT_EQUAL(said->hash_on, SL_HASH_ON_HEADER);
	CU_ASSERT_STRING_EQUAL(said->hash_name, "x-user");
	CU_ASSERT_EQUAL(c->services[3].http.hash_on, SL_HASH_ON_SOURCE);
	CU_ASSERT(c->services[3].http.hash_given && !empty->hash_given);
	CU_ASSERT_EQUAL(c->services[4].http.hash_on, SL_HASH_ON_COOKIE);
	CU_ASSERT_STRING_EQUAL(c->services[4].http.hash_name, "SID");
	CU_ASSERT_EQUAL(c->services[5].http.hash_on, SL_HASH_ON_QUERY);
	CU_ASSERT_STRING_EQUAL(c->services[5].http.hash_name, "K");
	for (const struct sl_conf_http *h = empty; h; h = h == empty ? usual : NULL) {
		CU_ASSERT_EQUAL(h->max_pending, 1024);
		CU_ASSERT_EQUAL(h->max_requests, 1024);
		CU_ASSERT_EQUAL(h->max_retries, 3);
		CU_ASSERT_EQUAL(h->conn_requests, 0);
		CU_ASSERT_EQUAL(h->conn_idle_ms, 3600000);
		CU_ASSERT_EQUAL(h->conn_idle_max, 256);
		CU_ASSERT_EQUAL(h->panic_pct, 50);
		CU_ASSERT_EQUAL(h->budget_pct, 20);
		CU_ASSERT_EQUAL(h->budget_min, 3);
		CU_ASSERT_EQUAL(h->eject_after, 5);
		CU_ASSERT_EQUAL(h->gateway_after, 0);
		CU_ASSERT_EQUAL(h->local_after, 0);
		CU_ASSERT_FALSE(h->split_local);
		CU_ASSERT_EQUAL(h->rate_deviation, 0);
		CU_ASSERT_EQUAL(h->failure_pct, 0);
		CU_ASSERT_EQUAL(h->rate_endpoints, 5);
		CU_ASSERT_EQUAL(h->rate_requests, 100);
		CU_ASSERT_EQUAL(h->budget_per_s, 0);
		CU_ASSERT_EQUAL(h->endpoint_requests, 0);
		CU_ASSERT_EQUAL(h->adaptive_min, 0);
		CU_ASSERT_EQUAL(h->adaptive_pct, 25);
		CU_ASSERT_EQUAL(h->sweep_ms, 10000);
		CU_ASSERT_EQUAL(h->eject_ms, 30000);
		CU_ASSERT_EQUAL(h->eject_max_ms, 300000);
		CU_ASSERT_EQUAL(h->eject_max_pct, 10);
		CU_ASSERT_EQUAL(h->hash_on, SL_HASH_ON_SOURCE);
	}
	sl_conf_free(c);
}

static void
tables_and_hosts_have_their_values_and_defaults(void)
{
	struct sl_conf *c = every_key();
	const struct sl_img_http *said = &c->tables[0].http, *usual = &c->tables[1].http;
	const struct sl_conf_vhost *v = c->tables[0].vhosts;

	CU_ASSERT_EQUAL(c->table_cnt, 2);
	CU_ASSERT_STRING_EQUAL(c->listeners[0].routes, "edge");
	CU_ASSERT_STRING_EQUAL(c->listeners[0].service, "");
	CU_ASSERT_EQUAL(c->listeners[0].mode, SL_MODE_HTTP);
	CU_ASSERT_EQUAL(c->listeners[0].max_connections, 5000);
	CU_ASSERT_EQUAL(said->header_ms, 1);
	CU_ASSERT_EQUAL(said->idle_ms, 604800000);
	CU_ASSERT_EQUAL(said->stream_idle_ms, 60000);
	CU_ASSERT_EQUAL(said->max_head, 1024);
	CU_ASSERT_EQUAL(said->max_headers, 1);
	CU_ASSERT_EQUAL(said->conn_requests, 100);
	CU_ASSERT_EQUAL(said->max_body, 10u << 20);
	CU_ASSERT_EQUAL(said->slash_2f, SL_2F_REJECT);
	CU_ASSERT_EQUAL(said->merge_slashes, 0);
	CU_ASSERT_EQUAL(said->trusted_hops, 2);
	CU_ASSERT_EQUAL(said->log, 0);
	CU_ASSERT_EQUAL(usual->header_ms, 10000);
	CU_ASSERT_EQUAL(usual->idle_ms, 3600000);
	CU_ASSERT_EQUAL(usual->stream_idle_ms, 300000);
	CU_ASSERT_EQUAL(usual->max_head, 61440);
	CU_ASSERT_EQUAL(usual->max_headers, 100);
	CU_ASSERT_EQUAL(usual->conn_requests, 0);
	CU_ASSERT_EQUAL(usual->max_body, 0);
	CU_ASSERT_EQUAL(usual->slash_2f, SL_2F_KEEP);
	CU_ASSERT_EQUAL(usual->merge_slashes, 1);
	CU_ASSERT_EQUAL(usual->trusted_hops, 0);
	CU_ASSERT_EQUAL(usual->log, 1);
	CU_ASSERT_EQUAL_FATAL(c->tables[0].vhost_cnt, 2);
	CU_ASSERT_EQUAL_FATAL(v[0].name_cnt, 4);
	CU_ASSERT_EQUAL(v[0].names[0].kind, SL_HOST_EXACT);
	CU_ASSERT_STRING_EQUAL(v[0].names[0].name, "shop.example");
	CU_ASSERT_EQUAL(v[0].names[1].kind, SL_HOST_SUFFIX);
	CU_ASSERT_STRING_EQUAL(v[0].names[1].name, ".shop.example");
	CU_ASSERT_EQUAL(v[0].names[2].kind, SL_HOST_PREFIX);
	CU_ASSERT_STRING_EQUAL(v[0].names[2].name, "shop.");
	CU_ASSERT_STRING_EQUAL(v[0].names[3].name, "[2001:db8::1]");
	CU_ASSERT_EQUAL(v[1].names[0].kind, SL_HOST_ANY);
	CU_ASSERT_STRING_EQUAL(v[1].names[0].name, "");
	sl_conf_free(c);
}

static bool
cond_is(const struct sl_conf_cond *c, enum sl_field field, enum sl_cond_op op, const char *name,
	const char *value, bool invert, bool icase)
{
	return c->field == field && c->op == op && c->invert == invert && c->icase == icase &&
	       (name ? c->name && strcmp(c->name, name) == 0 : !c->name) &&
	       (value ? c->value && strcmp(c->value, value) == 0 : !c->value);
}

static void
conditions_come_in_order_and_normalised(void)
{
	struct sl_conf *c = every_key();
	const struct sl_conf_hroute *r = c->tables[0].vhosts[0].routes;
	const struct sl_conf_cond *k = r[0].conds;

	CU_ASSERT_EQUAL_FATAL(r[0].cond_cnt, 9);
	CU_ASSERT(cond_is(&k[0], SL_FIELD_PATH, SL_COND_EXACT, NULL, "/Exact", false, false));
	CU_ASSERT(cond_is(&k[1], SL_FIELD_METHOD, SL_COND_IN, NULL, NULL, false, false));
	CU_ASSERT_EQUAL(k[1].lo, 1 << SL_METHOD_GET | 1 << SL_METHOD_POST);
	CU_ASSERT(cond_is(&k[2], SL_FIELD_HEADER, SL_COND_PREFIX, "x-env", "canary-", true, true));
	CU_ASSERT(cond_is(&k[3], SL_FIELD_HEADER, SL_COND_RANGE, "x-n", NULL, false, false));
	CU_ASSERT(k[3].lo == 1 && k[3].hi == 11);
	CU_ASSERT(cond_is(&k[4], SL_FIELD_HEADER, SL_COND_PRESENT, "x-p", NULL, false, false));
	CU_ASSERT(cond_is(&k[5], SL_FIELD_QUERY, SL_COND_EXACT, "V", "", false, false));
	CU_ASSERT(cond_is(&k[6], SL_FIELD_QUERY, SL_COND_CONTAINS, "a b", "%", false, false));
	CU_ASSERT(cond_is(&k[7], SL_FIELD_COOKIE, SL_COND_REGEX, "Sid", "[A-F]+", false, true));
	CU_ASSERT(cond_is(&k[8], SL_FIELD_COOKIE, SL_COND_SUFFIX, "c", "Z", false, false));
	CU_ASSERT_EQUAL(k[0].line, 29);
	CU_ASSERT_EQUAL(k[3].line, 31);
	CU_ASSERT(cond_is(r[1].conds, SL_FIELD_PATH, SL_COND_SEGMENTS, NULL, "/api", false, true));
	CU_ASSERT(cond_is(r[2].conds, SL_FIELD_PATH, SL_COND_TEMPLATE, NULL,
			  "/users/{Id}/{rest=**}", false, true));
	CU_ASSERT(cond_is(r[3].conds, SL_FIELD_PATH, SL_COND_REGEX, NULL, "/V[0-9]+/.*", false,
			  false));
	CU_ASSERT(cond_is(r[6].conds, SL_FIELD_PATH, SL_COND_SEGMENTS, NULL, "", false, false));
	CU_ASSERT_EQUAL(r[7].cond_cnt, 0);
	sl_conf_free(c);
}

static void
actions_have_their_values_and_defaults(void)
{
	struct sl_conf *c = every_key();
	const struct sl_conf_hroute *r = c->tables[0].vhosts[0].routes;

	CU_ASSERT_EQUAL_FATAL(c->tables[0].vhosts[0].route_cnt, 8);
	CU_ASSERT_EQUAL(r[0].action, SL_ACTION_FORWARD);
	CU_ASSERT_EQUAL_FATAL(r[0].target_cnt, 1);
	CU_ASSERT_STRING_EQUAL(r[0].targets[0].service, "web");
	CU_ASSERT_EQUAL(r[0].targets[0].weight, 1);
	CU_ASSERT(r[0].timeout_ms == 15000 && r[0].try_ms == 0 && r[0].stream_idle_ms == 0);
	CU_ASSERT(r[0].retries == 1 && r[0].retry_on == (SL_RETRY_CONNECT | SL_RETRY_REUSED));
	CU_ASSERT(r[0].backoff_ms == 25 && r[0].backoff_max_ms == 250);
	CU_ASSERT(!r[0].path && !r[0].host && r[0].rewrite == SL_REWRITE_NONE);

	CU_ASSERT_EQUAL_FATAL(r[1].target_cnt, 2);
	CU_ASSERT(r[1].targets[0].weight == 90 && r[1].targets[1].weight == 0);
	CU_ASSERT_EQUAL(r[1].sticky, SL_STICKY_HEADER);
	CU_ASSERT_STRING_EQUAL(r[1].sticky_name, "x-user");
	CU_ASSERT_EQUAL(r[1].rewrite, SL_REWRITE_PREFIX);
	CU_ASSERT_STRING_EQUAL(r[1].path, "/new/"); /* l7/heads.h writes no slash twice */
	CU_ASSERT_STRING_EQUAL(r[1].host, "internal.example:8080");
	CU_ASSERT(r[1].timeout_ms == 0 && r[1].try_ms == 2000 && r[1].stream_idle_ms == 3600000);
	CU_ASSERT_EQUAL(r[1].retries, 7);
	CU_ASSERT_EQUAL(r[1].retry_on, SL_RETRY_5XX | SL_RETRY_CODES | SL_RETRY_TIMEOUT);
	CU_ASSERT(r[1].retry_codes[0] == 409 && r[1].retry_codes[1] == 503 && !r[1].retry_codes[2]);
	CU_ASSERT(r[1].backoff_ms == 0 && r[1].backoff_max_ms == 3600000);
	CU_ASSERT_EQUAL_FATAL(r[1].mirror_cnt, 2);
	CU_ASSERT_EQUAL(r[1].mirrors[0].per_million, 105000);
	CU_ASSERT_EQUAL(r[1].mirrors[1].per_million, 1000000);
	CU_ASSERT(r[1].edit_cnt[0] == 4 && r[1].edit_cnt[1] == 1);
	for (unsigned i = 0; i < 4; i++)
		CU_ASSERT_EQUAL(r[1].edits[0][i].op, SL_EDIT_SET + i);
	CU_ASSERT_STRING_EQUAL(r[1].edits[0][0].name, "X-A");
	CU_ASSERT_STRING_EQUAL(r[1].edits[0][2].value, "s, t");
	CU_ASSERT_PTR_NULL(r[1].edits[0][3].value);
	CU_ASSERT_STRING_EQUAL(r[1].edits[1][0].name, "server");

	CU_ASSERT_EQUAL(r[2].rewrite, SL_REWRITE_TEMPLATE);
	CU_ASSERT_STRING_EQUAL(r[2].path, "/v2/{rest}/{Id}");
	CU_ASSERT_EQUAL(r[3].rewrite, SL_REWRITE_PATH);
	CU_ASSERT_EQUAL(r[3].retries, 0);
	CU_ASSERT(r[4].action == SL_ACTION_REDIRECT && r[4].code == 308);
	CU_ASSERT(r[4].rewrite == SL_REWRITE_PREFIX && r[4].strip_query);
	CU_ASSERT(r[4].redirect_https == 1 && r[4].redirect_port == 8443);
	CU_ASSERT_STRING_EQUAL(r[4].path, "/");
	CU_ASSERT_STRING_EQUAL(r[4].host, "other.example");
	CU_ASSERT(r[5].code == 301 && r[5].redirect_https == 2 && !r[5].strip_query);
	CU_ASSERT(r[6].action == SL_ACTION_RESPOND && r[6].code == 403);
	CU_ASSERT_STRING_EQUAL(r[6].body, "no\n");
	CU_ASSERT_STRING_EQUAL(r[6].content_type, "text/html");
	CU_ASSERT(r[7].code == 204 && !r[7].body && !r[7].content_type && r[7].target_cnt == 0);
	sl_conf_free(c);
}

static void
sizes_percentages_and_ranges_are_exact(void)
{
	static const struct {
		const char *text;
		int64_t bytes; /* -1: refused */
	} sizes[] = {{"0", 0},
		     {"1k", 1024},
		     {"10m", 10 << 20},
		     {"3g", 3ll << 30},
		     {"9223372036854775807", INT64_MAX},
		     {"9223372036854775808", -1},
		     {"8589934591g", 8589934591ll << 30},
		     {"8589934592g", -1},
		     {"", -1},
		     {"k", -1},
		     {"1K", -1},
		     {"1kb", -1},
		     {"01", -1},
		     {"1.5m", -1},
		     {"-1", -1},
		     {"1 k", -1}};
	static const struct {
		const char *text;
		int64_t per_million; /* -1: refused */
	} percents[] = {{"0", 0},        {"100", 1000000}, {"10.5", 105000}, {"0.0001", 1},
			{"0.00001", -1}, {"1.", -1},       {".5", -1},       {"5%", -1},
			{"", -1},        {"00.5", -1},     {"-1", -1},       {"99999999999", -1}};
	static const struct {
		const char *text;
		bool good;
		int64_t lo, hi;
	} ranges[] = {{"1-10", true, 1, 11},
		      {"7-7", true, 7, 8},
		      {"-5--1", true, -5, 0},
		      {"-5-5", true, -5, 6},
		      {"0-999999999999999999", true, 0, 1000000000000000000},
		      {"0-1000000000000000000", false, 0, 0},
		      {"2-1", false, 0, 0},
		      {"1", false, 0, 0},
		      {"1-", false, 0, 0},
		      {"-", false, 0, 0},
		      {"1 - 2", false, 0, 0},
		      {"1-2-3", false, 0, 0},
		      {"", false, 0, 0}};
	uint64_t bytes;
	uint32_t per_million;
	int64_t lo, hi;

	for (unsigned i = 0; i < SL_ARRAY_CNT(sizes); i++) {
		bool good = sl_value_size(sizes[i].text, &bytes) == NULL;
		CU_ASSERT_EQUAL(good, sizes[i].bytes >= 0);
		CU_ASSERT(!good || bytes == (uint64_t)sizes[i].bytes);
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(percents); i++) {
		bool good = sl_value_percent(percents[i].text, &per_million) == NULL;
		CU_ASSERT_EQUAL(good, percents[i].per_million >= 0);
		CU_ASSERT(!good || per_million == percents[i].per_million);
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(ranges); i++) {
		bool good = sl_value_range(ranges[i].text, &lo, &hi) == NULL;
		CU_ASSERT_EQUAL(good, ranges[i].good);
		CU_ASSERT(!good || (lo == ranges[i].lo && hi == ranges[i].hi));
	}
}

/* 64 KiB of a body stand in a file as several strings in a row. */
static void
a_body_may_be_as_long_as_64_kib(void)
{
	for (unsigned extra = 0; extra < 2; extra++) {
		char *text = malloc(100000), *at = text;
		struct sl_diag diag = {0};
		struct sl_conf *c = NULL;
		at += sprintf(at,
			      GATEWAY "route_tables = ( { name = \"t\"; hosts = ( { name = \"h\"; "
				      "match = ( \"*\" ); routes = ( { name = \"r\"; respond = "
				      "{ code = 200; body =\n");
		for (unsigned i = 0; i < 8; i++)
			at += sprintf(at, "\"%08192d\"\n", 7);
		at += sprintf(at, "\"%s\"; }; } ); } ); } );\n", extra ? "8" : "");
		int err = parse(text, (size_t)(at - text), &diag, &c);
		CU_ASSERT_EQUAL(err, extra ? -EINVAL : 0);
		if (c)
			CU_ASSERT_EQUAL(strlen(c->tables->vhosts->routes->body), 65536);
		if (diag.cnt)
			CU_ASSERT_PTR_NOT_NULL(strstr(diag.items[0].text, "is too long"));
		sl_conf_free(c);
		sl_diag_fini(&diag);
		free(text);
	}
}

static void
keys_of_probes_reach_their_fields(void)
{
	static const char text[] = "gateway = { name = \"g\"; }; services = ( { name = \"a\"; "
				   "forward = \"nat\"; health = { "
				   "type = \"http\"; method = \"OPTIONS\"; headers = ( \"x-a: b\", "
				   "\"X-B:c d\", \"x-e:\" "
				   "); body = \"it is \\\"up\\\"\"; unhealthy_interval = \"7s\"; "
				   "through = \"port\"; agent = { port = 9999; interval = "
				   "\"250ms\"; }; }; }, { name = \"b\"; "
				   "forward = \"nat\"; health = { type = \"tcp\"; }; } );";
	struct sl_conf *c = NULL;

	CU_ASSERT_FATAL(sl_conf_parse("t", text, sizeof(text) - 1, NULL, &c) == 0);
	const struct sl_health_conf *h = &c->services[0].health, *usual = &c->services[1].health;
	CU_ASSERT_EQUAL(h->method, SL_HEALTH_OPTIONS);
	CU_ASSERT_STRING_EQUAL(h->headers, "x-a: b\r\nX-B: c d\r\nx-e: \r\n");
	CU_ASSERT_STRING_EQUAL(h->body, "it is \"up\"");
	CU_ASSERT_EQUAL(h->unhealthy_ms, 7000);
	CU_ASSERT_EQUAL(h->through, SL_THROUGH_PORT);
	CU_ASSERT_EQUAL(h->agent_port, 9999);
	CU_ASSERT_EQUAL(h->agent_ms, 250);
	CU_ASSERT_EQUAL(usual->through, SL_THROUGH_HOST);
	CU_ASSERT_EQUAL(usual->agent_port, 0);
	CU_ASSERT_EQUAL(usual->method, SL_HEALTH_GET);
	CU_ASSERT_EQUAL(usual->unhealthy_ms, 0);
	CU_ASSERT_STRING_EQUAL(usual->headers, "");
	CU_ASSERT_STRING_EQUAL(usual->body, "");
	sl_conf_free(c);
}

SL_SUITE("conf", SL_TEST(keys_of_probes_reach_their_fields),
	 SL_TEST(every_bad_file_gives_exactly_its_errors), SL_TEST(every_value_reaches_its_field),
	 SL_TEST(an_absent_key_has_the_default_of_the_key_table),
	 SL_TEST(connections_have_their_values_and_defaults),
	 SL_TEST(services_of_requests_have_their_values_and_defaults),
	 SL_TEST(tables_and_hosts_have_their_values_and_defaults),
	 SL_TEST(conditions_come_in_order_and_normalised),
	 SL_TEST(policy_of_traffic_has_its_values_and_defaults),
	 SL_TEST(actions_have_their_values_and_defaults),
	 SL_TEST(sizes_percentages_and_ranges_are_exact), SL_TEST(a_body_may_be_as_long_as_64_kib),
	 SL_TEST(trusted_prefixes_of_all_listeners_are_limited),
	 SL_TEST(a_text_that_is_no_text_is_refused), SL_TEST(limits_of_a_file_are_kept),
	 SL_TEST(every_prefix_of_a_file_is_taken_or_refused_in_words),
	 SL_TEST(problems_past_the_limit_are_counted), SL_TEST(members_reach_their_fields),
	 SL_TEST(durations_are_a_number_and_a_unit),
	 SL_TEST(probes_are_addresses_with_or_without_a_port), SL_TEST(codes_are_ranges_in_order),
	 SL_TEST(the_nearest_word_is_near), SL_TEST(quoted_text_is_printable_and_fits))
