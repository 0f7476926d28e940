/* What the keys of one element cannot say.  Golden files (bad/cross.conf, bad/network.conf) hold each message;
 * here are the borders: what is just still good. */
#include "mgmt/conf.h"

#include <errno.h>

#include "suite.h"

#define GATEWAY "gateway = { name = \"g\"; };"
#define NET                                                                                        \
	"network = { addresses = ( { port = \"p\"; address = \"192.0.2.2/24\"; }, "                \
	"{ port = \"p\"; address = \"2001:db8::2/64\"; } ); };"
#define EP(n, a, p) "{ name = \"" n "\"; address = \"" a "\"; port = " #p "; }"
#define SVC(n, f, keys, eps)                                                                       \
	"services = ( { name = \"" n "\"; forward = \"" f "\"; " keys " endpoints = ( " eps        \
	" ); } );"
#define LST(n, a, p, t, s)                                                                         \
	"{ name = \"" n "\"; address = \"" a "\"; port = " #p "; protocol = \"" t                  \
	"\"; mode = \"l4\"; service = \"" s "\"; }"

static void
borders_are_where_they_should_be(void)
{
	static const struct {
		const char *text;
		const char *wants; /* part of the only problem; NULL: good */
		const char *reason;
	} rows[] = {
		{GATEWAY SVC("s", "nat", "max_endpoints = 1;", EP("a", "192.0.2.9", 1)), NULL,
		 "as many as declared"},
		{GATEWAY SVC("s", "nat", "max_endpoints = 1;",
			     EP("a", "192.0.2.9", 1) "," EP("b", "192.0.2.8", 1)),
		 "2 endpoints are more than max_endpoints = 1", "one more"},
		{GATEWAY SVC("s", "nat", "", EP("a", "192.0.2.9", 1) "," EP("b", "192.0.2.9", 2)),
		 NULL, "one machine, two ports"},
		{GATEWAY SVC("s", "nat", "", EP("a", "192.0.2.9", 1) "," EP("A", "192.0.2.8", 1)),
		 NULL, "names are compared by byte"},
		{GATEWAY SVC("s", "nat", "health = { type = \"tcp\"; interval = \"500ms\"; };",
			     EP("a", "192.0.2.9", 1)),
		 NULL, "timeout = interval"},
		{GATEWAY SVC("s", "nat", "health = { type = \"tcp\"; interval = \"499ms\"; };",
			     EP("a", "192.0.2.9", 1)),
		 "500ms is longer than the interval of 499ms", "the default timeout counts"},
		{GATEWAY SVC("s", "nat", "health = { type = \"tcp\"; port = 1; };",
			     EP("a", "192.0.2.9", 0)),
		 NULL, "health.port is a port to probe"},
		{GATEWAY SVC("s", "nat", "health = { type = \"none\"; };", EP("a", "192.0.2.9", 0)),
		 NULL, "no probe, no port"},
		{GATEWAY NET SVC("s", "dsr", "", EP("a", "192.0.2.9", 80)) "listeners = (" LST(
			 "l", "203.0.113.1", 80, "tcp", "s") ");",
		 NULL, "dsr, on-link, same port"},
		{GATEWAY NET SVC("s", "dsr", "", EP("a", "192.0.2.9", 0)) "listeners = (" LST(
			 "l", "203.0.113.1", 80, "tcp", "s") "," LST("m", "203.0.113.1", 81, "tcp",
								     "s") ");",
		 NULL, "dsr, any port"},
		{GATEWAY NET SVC("s", "dsr", "",
				 EP("a", "192.0.2.9",
				    80) "," EP("b", "192.0.2.8",
					       81)) "listeners = (" LST("l", "203.0.113.1", 80,
									"tcp", "s") ");",
		 "an endpoint of \"s\" has port 81", "dsr, the second endpoint's port"},
		{GATEWAY SVC("s", "nat", "health = { type = \"tcp\"; };",
			     "{ name = \"a\"; address = \"192.0.2.9\"; port = 0; "
			     "probe = \"192.0.2.9:1\"; }"),
		 NULL, "probe has a port"},
		{GATEWAY SVC("s", "nat", "health = { type = \"tcp\"; };", EP("a", "192.0.2.9", -1)),
		 "out of range", "a port that was not read is not a missing one to probe"},
		{GATEWAY SVC("s", "nat", "", EP("a", "192.0.2.9", -1) "," EP("b", "192.0.2.9", 0)),
		 "out of range", "nor the same as another's"},
		{GATEWAY SVC("s", "nat",
			     "slow_start = \"1h\"; health = { type = \"tcp\"; interval = "
			     "\"10ms\"; timeout = \"1ms\"; };",
			     EP("a", "192.0.2.9", 1)),
		 NULL, "the shortest and the longest times"},
		{GATEWAY SVC("s", "nat", "slow_start = \"3601s\";", EP("a", "192.0.2.9", 1)),
		 "\"3601s\" is out of range", "longer"},
		{GATEWAY SVC("s", "nat",
			     "health = { type = \"tcp\"; interval = \"9ms\"; timeout = \"1ms\"; };",
			     EP("a", "192.0.2.9", 1)),
		 "\"9ms\" is out of range", "shorter"},
		{GATEWAY NET SVC("s", "dsr", "", EP("a", "192.0.3.9", 0)),
		 "192.0.3.9 is not on-link", "dsr behind a router"},
		{GATEWAY NET SVC("s", "nat", "", EP("a", "192.0.3.9", 0)), NULL,
		 "nat behind a router"},
		{GATEWAY NET SVC("s", "nat", "", EP("a", "2001:db8::9", 1)) "listeners = (" LST(
			 "l", "2001:db8:f::1", 80, "tcp", "s") ");",
		 NULL, "IPv6"},
		{GATEWAY "services = ( { name = \"s\"; forward = \"nat\"; } ); listeners = (" LST(
			 "l", "2001:db8:f::1", 80, "tcp", "s") ");",
		 NULL, "an empty service takes its listener's family"},
		{GATEWAY "services = ( { name = \"s\"; forward = \"nat\"; } ); listeners = (" LST(
			 "l", "2001:db8:f::1", 80, "tcp", "s") "," LST("m", "203.0.113.1", 80,
								       "tcp", "s") ");",
		 "the address is IPv4, service \"s\" is IPv6", "but only one"},
		{GATEWAY NET "listeners = (" LST("l", "203.0.113.1", 80, "tcp", "s") ");",
		 "there is no service \"s\"", "no services at all"},
		{GATEWAY
		 "network = { addresses = ( { port = \"p\"; address = \"192.0.2.2/32\"; } ); "
		 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"192.0.2.1\"; } ); };",
		 "not on-link", "a /32 makes nothing on-link"},
		{GATEWAY
		 "network = { addresses = ( { port = \"p\"; address = \"192.0.2.0/31\"; } ); "
		 "routes = ( { prefix = \"0.0.0.0/0\"; via = \"192.0.2.1\"; } ); };",
		 NULL, "a /31 has two hosts"},
		{GATEWAY NET SVC("s", "nat", "polcy = 1;",
				 EP("a", "192.0.2.300", 1)) "listeners = (" LST("l", "203.0.113.1",
										80, "tcp",
										"s") ");",
		 "*", "a mistake is told once"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_diag diag = {0};
		struct sl_conf *c = NULL;
		bool echo = rows[i].wants && *rows[i].wants == '*';
		int err = sl_conf_parse("t", rows[i].text, strlen(rows[i].text), &diag, &c);
		bool good = rows[i].wants == NULL ? err == 0 && diag.cnt == 0
			    : echo                ? diag.cnt == 2
				   : diag.cnt == 1 && strstr(diag.items[0].text, rows[i].wants);
		if (!good)
			for (unsigned j = 0; j < SL_MAX(diag.cnt, 1u); j++)
				printf("\n  %s: %s", rows[i].reason,
				       diag.cnt ? diag.items[j].text : "taken");
		CU_ASSERT(good);
		CU_ASSERT_EQUAL(err, rows[i].wants ? -EINVAL : 0);
		sl_conf_free(c);
		sl_diag_fini(&diag);
	}
}

/* Structs that a file of that size would give: parsing it is not what is tested. */
static struct sl_conf *
make(uint32_t services, uint32_t endpoints, uint32_t max_endpoints)
{
	struct sl_conf *c = calloc(1, sizeof(*c));
	uint32_t n = 0;

	strcpy(c->name, "g");
	c->service_cnt = services;
	c->services = calloc(services, sizeof(*c->services));
	for (uint32_t i = 0; i < services; i++) {
		struct sl_conf_service *s = &c->services[i];
		snprintf(s->name, sizeof(s->name), "s%u", i);
		s->forward = SL_FORWARD_NAT;
		s->policy = SL_POLICY_MAGLEV;
		s->max_endpoints = max_endpoints;
		s->endpoint_cnt = endpoints;
		s->endpoints = calloc(endpoints, sizeof(*s->endpoints));
		for (uint32_t j = 0; j < endpoints; j++, n++) {
			uint8_t a[4] = {10, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
			snprintf(s->endpoints[j].name, SL_NAME_MAX, "e%u", j);
			s->endpoints[j].addr = sl_addr_from_v4(a);
			s->endpoints[j].port = 80;
		}
	}
	return c;
}

static void
a_gateway_has_slots_for_so_many_endpoints_and_no_more(void)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = make(4, 16384, 16384);

	CU_ASSERT_EQUAL(sl_conf_check("t", c, &diag), 0);
	c->services[3].max_endpoints = 1; /* as bad in one way */
	CU_ASSERT_EQUAL(sl_conf_check("t", c, &diag), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, 1);
	sl_conf_free(c);
	sl_diag_fini(&diag);
	c = make(5, 16384, 16384);
	CU_ASSERT_EQUAL(sl_conf_check("t", c, &diag), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(diag.items[0].text, "more than a gateway has slots for"));
	sl_conf_free(c);
	sl_diag_fini(&diag);
}

static void
tables_of_a_generation_are_bounded(void)
{
	struct sl_diag diag = {0};
	struct sl_conf *c = make(4096, 1, 655);

	CU_ASSERT_EQUAL(sl_conf_check("t", c, &diag), 0);
	for (int i = 0; i < 200; i++)
		c->services[i].max_endpoints = 16384;
	CU_ASSERT_EQUAL(sl_conf_check("t", c, &diag), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(diag.items[0].text, "the tables would take"));
	sl_conf_free(c);
	sl_diag_fini(&diag);
}

/* ---- members ---- */

#define SUBSETS(fallback)                                                                          \
	"subsets = ( { name = \"v2\"; metadata = ( \"v=2\", \"a=b\" ); " fallback " } );"
#define META(n, keys) "{ name = \"" n "\"; address = \"192.0.2." n "\"; port = 80; " keys " }"

static void
members_that_are_hardly_meant_are_warned_of(void)
{
	static const struct {
		const char *text, *wants, *path;
	} rows[] = {
		{SVC("s", "proxy", SUBSETS(""), META("1", "metadata = ( \"v=2\" );")),
		 "no endpoint has a=b,v=2: requests to this subset get 503",
		 "services[0].subsets[0].metadata"},
		{SVC("s", "proxy", SUBSETS(""),
		     META("1", "metadata = ( \"v=2\", \"c=d\", \"a=b\" );")),
		 NULL, NULL},
		{SVC("s", "proxy", SUBSETS("fallback = \"any\";"), META("1", "")), NULL, NULL},
		{SVC("s", "proxy", SUBSETS("") " discover = ( { source = \"dns\"; } ); ", ""), NULL,
		 NULL},
		{SVC("s", "nat", "max_endpoints = 1; discover = ( { source = \"dns\"; } );",
		     META("1", "")),
		 "the endpoints of the table are as many: there is no room for what sources know",
		 "services[0].max_endpoints"},
		{SVC("s", "nat", "max_endpoints = 2; discover = ( { source = \"dns\"; } );",
		     META("1", "")),
		 NULL, NULL},
		{SVC("s", "nat", "locality_failover = true;", META("1", "")),
		 "no endpoint has a locality: none comes behind another",
		 "services[0].locality_failover"},
		{SVC("s", "nat", "locality_failover = true;",
		     META("1", "") "," META("2", "locality = \"eu\";")),
		 NULL, NULL},
		{SVC("s", "nat", "zone_aware = {};", META("1", "")),
		 "no endpoint has a locality: all are in the gateway's zone",
		 "services[0].zone_aware"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_diag diag = {0};
		struct sl_conf *c = NULL;
		char text[1000];
		int n = snprintf(text, sizeof(text), "%s %s", GATEWAY, rows[i].text);
		CU_ASSERT_EQUAL_FATAL(sl_conf_parse("t", text, (size_t)n, &diag, &c), 0);
		CU_ASSERT_EQUAL_FATAL(diag.warning_cnt, rows[i].wants != NULL);
		if (rows[i].wants) {
			CU_ASSERT_STRING_EQUAL(diag.warnings[0].text, rows[i].wants);
			CU_ASSERT_STRING_EQUAL(diag.warnings[0].path, rows[i].path);
		}
		sl_conf_free(c);
		sl_diag_fini(&diag);
	}
}

/* ---- route tables ---- */

#define TABLE(routes)                                                                              \
	GATEWAY "services = ( { name = \"s\"; } ); route_tables = ( { name = \"t\"; hosts = ( { "  \
		"name = \"h\"; match = ( \"*\" ); routes = ( " routes " ); } ); } );"
#define ROUTE(n, keys) "{ name = \"" n "\"; service = \"s\"; " keys " }"

/* A table of n routes with these keys, and one more. */
static char *
many_routes(unsigned n, const char *keys, const char *last)
{
	char *text = malloc(1 << 16), *at = text;

	at += sprintf(at, "%s",
		      GATEWAY "services = ( { name = \"s\"; } ); route_tables = ( { name = "
			      "\"t\"; hosts = ( { name = \"h\"; match = ( \"*\" ); routes = ( ");
	for (unsigned i = 0; i < n; i++)
		at += sprintf(at, "{ name = \"r%u\"; service = \"s\"; %s }, ", i, keys);
	sprintf(at, "{ name = \"last\"; service = \"s\"; %s } ); } ); } );", last);
	return text;
}

static void
routes_that_are_hardly_meant_are_warned_of(void)
{
	static const struct {
		unsigned n; /* 0: keys is the text */
		const char *keys, *last;
		const char *wants; /* part of the only warning; NULL: none */
		const char *reason;
	} rows[] = {
		{0, TABLE(ROUTE("a", "") "," ROUTE("b", "")), NULL,
		 "\"b\" is never reached: route \"a\"", "no condition at all"},
		{0, TABLE(ROUTE("a", "prefix = \"/\";") "," ROUTE("b", "") "," ROUTE("c", "")),
		 NULL, "\"b\" and what stands behind it are never reached", "every path"},
		{0, TABLE(ROUTE("a", "prefix = \"/\"; methods = ( \"GET\" );") "," ROUTE("b", "")),
		 NULL, NULL, "every path, one method"},
		{0, TABLE(ROUTE("a", "path = \"/\";") "," ROUTE("b", "")), NULL, NULL, "one path"},
		{0, TABLE(ROUTE("a", "prefix = \"/a\";") "," ROUTE("b", "")), NULL, NULL,
		 "the last takes the rest"},
		{64, "methods = ( \"GET\" );", "path = \"/\";", NULL, "as many as there may be"},
		{65, "methods = ( \"GET\" );", "path = \"/\";", "65 routes have no condition",
		 "one more"},
		{65, "headers = ( { name = \"a\"; exact = \"b\"; invert = true; } );",
		 "path = \"/\";", "65 routes have no condition", "inverted ones sort nothing out"},
		{65, "prefix = \"/\"; query = ( { name = \"a\"; present = true; } );",
		 "path = \"/\";", NULL, "a parameter does"},
		{65, "path_regex = \"/.*\";", "", NULL, "so does a pattern"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_diag diag = {0};
		struct sl_conf *c = NULL;
		char *text = rows[i].n ? many_routes(rows[i].n, rows[i].keys, rows[i].last)
				       : strdup(rows[i].keys);
		CU_ASSERT_EQUAL(sl_conf_parse("t", text, strlen(text), &diag, &c), 0);
		CU_ASSERT_EQUAL(diag.cnt, 0);
		CU_ASSERT_EQUAL(diag.warning_cnt, rows[i].wants ? 1 : 0);
		bool good = !rows[i].wants ||
			    (diag.warning_cnt && strstr(diag.warnings[0].text, rows[i].wants));
		if (!good)
			printf("\n  %s: %s", rows[i].reason,
			       diag.warning_cnt ? diag.warnings[0].text : "no warning");
		CU_ASSERT(good);
		sl_conf_free(c);
		sl_diag_fini(&diag);
		free(text);
	}
}

static void
a_wrong_file_has_no_warnings(void)
{
	static const char *const texts[] = {
		TABLE(ROUTE("a", "pathh = \"/a\";") "," ROUTE("b", "")),
		TABLE(ROUTE("a", "") "," ROUTE("b", "") "," ROUTE("b", "")),
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++) {
		struct sl_diag diag = {0};
		struct sl_conf *c = NULL;
		CU_ASSERT_EQUAL(sl_conf_parse("t", texts[i], strlen(texts[i]), &diag, &c), -EINVAL);
		CU_ASSERT(diag.cnt == 1 && diag.warning_cnt == 0);
		sl_diag_fini(&diag);
	}
}

/* Good in itself; whether a daemon takes it is another thing. */
static void
each_shared_limit_is_refused_by_who_takes_no_part(void)
{
	static const char text[] =
		GATEWAY "limits = (\n{ name = \"a\"; requests = 9; },\n"
			"{ name = \"b\"; requests = 9; shared = true; },\n"
			"{ name = \"c\"; requests = 9; shared = true; floor = 9; },\n"
			"{ name = \"d\"; requests = 9; shared = false; } );";
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;

	CU_ASSERT_EQUAL_FATAL(sl_conf_parse("t", text, strlen(text), &diag, &c), 0);
	CU_ASSERT_EQUAL(sl_conf_check("t", c, &diag), 0);
	CU_ASSERT_EQUAL(sl_conf_check_shared("t", c, &diag), -EINVAL);
	CU_ASSERT_EQUAL_FATAL(diag.cnt, 2);
	CU_ASSERT_EQUAL(diag.items[0].line, 3);
	CU_ASSERT_STRING_EQUAL(diag.items[0].path, "limits[1].shared");
	CU_ASSERT_PTR_NOT_NULL(strstr(diag.items[1].text, "limit \"c\" would let nobody"));
	CU_ASSERT_PTR_NOT_NULL(strstr(diag.items[1].hint, "limits = true"));
	sl_diag_fini(&diag);
	for (unsigned i = 1; i < 3; i++)
		c->rates[i].shared = false;
	CU_ASSERT_EQUAL(sl_conf_check_shared("t", c, &diag), 0);
	CU_ASSERT_EQUAL(diag.cnt, 0);
	sl_conf_free(c);
	sl_diag_fini(&diag);
}

SL_SUITE("check", SL_TEST(each_shared_limit_is_refused_by_who_takes_no_part),
	 SL_TEST(members_that_are_hardly_meant_are_warned_of),
	 SL_TEST(borders_are_where_they_should_be),
	 SL_TEST(a_gateway_has_slots_for_so_many_endpoints_and_no_more),
	 SL_TEST(tables_of_a_generation_are_bounded),
	 SL_TEST(routes_that_are_hardly_meant_are_warned_of), SL_TEST(a_wrong_file_has_no_warnings))
