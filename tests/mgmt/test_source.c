/* source — names, pauses, and the list `sources` of sluiced's file. */
#include "mgmt/source.h"

#include "mgmt/daemon_conf.h"
#include "tests/suite.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

static void
names_are_names_and_differ_where_texts_do(void)
{
	static const char *const texts[] = {
		"web-1", "web_1",  "web 1",  "web\t1", "-web", "",  "ns/web-1", "a:b", "a;b",
		".x",    "\xff\1", "x----1", "a/b",    "a?b",  "ä", "web-1-",   "x",   "-",
	};
	char name[SL_ARRAY_CNT(texts)][SL_NAME_MAX];

	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++) {
		sl_source_name(texts[i], strlen(texts[i]), name[i]);
		CU_ASSERT(sl_name_ok(name[i]));
		for (unsigned k = 0; k < i; k++)
			CU_ASSERT(strcmp(name[i], name[k]) != 0);
	}
	CU_ASSERT_STRING_EQUAL(name[0], "web-1");
	CU_ASSERT_STRING_EQUAL(name[1], "web_1");
}

static void
long_names_keep_what_fits_and_a_hash(void)
{
	char text[400], a[SL_NAME_MAX], b[SL_NAME_MAX];

	memset(text, 'n', sizeof(text));
	sl_source_name(text, 63, a);
	CU_ASSERT(sl_name_ok(a) && strlen(a) == 63 && strspn(a, "n") == 63);
	sl_source_name(text, 64, a);
	sl_source_name(text, 65, b);
	CU_ASSERT(sl_name_ok(a) && sl_name_ok(b) && strcmp(a, b) != 0 && strspn(a, "n") == 50);
}

static void
addresses_make_names(void)
{
	static const struct {
		const char *addr, *name;
		uint16_t port;
	} row[] = {
		{"192.0.2.1", "192.0.2.1-80", 80},
		{"2001:db8::1", "2001-db8--1-8443", 8443},
		{"::1", "0--1-1", 1},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		char name[SL_NAME_MAX];
		struct sl_addr a;
		CU_ASSERT(sl_addr_parse(row[i].addr, &a) == 0);
		sl_source_name_addr(&a, row[i].port, name);
		CU_ASSERT_STRING_EQUAL(name, row[i].name);
		CU_ASSERT(sl_name_ok(name));
	}
}

static void
pauses_grow_to_half_a_minute(void)
{
	uint64_t rng = 7;

	for (unsigned n = 1; n < 40; n++) {
		uint32_t most = n <= 7 ? 250u << (n - 1) : 30000u, ms = sl_source_pause(n, &rng);
		CU_ASSERT(ms <= most && ms >= most - most / 4);
	}
}

static void
the_list_of_sources_is_checked_whole(void)
{
	static const struct {
		const char *text;
		unsigned problems;
		const char *why;
	} row[] = {
		{"sources = ( );", 0, "none"},
		{"sources = ( { name = \"d\"; type = \"dns\"; } ); locality = \"eu/a\";", 0,
		 "least"},
		{"sources = ( { name = \"d\"; type = \"dns\"; servers = ( \"192.0.2.1\", "
		 "\"[::1]:5353\" ); "
		 "timeout = \"500ms\"; min_ttl = \"1s\"; max_ttl = \"1m\"; } );",
		 0, "all of dns"},
		{"sources = ( { name = \"e\"; type = \"etcd\"; urls = ( \"http://127.0.0.1:2379\", "
		 "\"https://h\" ); "
		 "prefix = \"/x/\"; user = \"u\"; password_file = \"/p\"; ca = \"/c\"; certificate "
		 "= \"/d\"; key = "
		 "\"/k\"; } );",
		 0, "all of etcd"},
		{"sources = ( { name = \"c\"; type = \"consul\"; urls = ( \"http://[::1]:8500\" ); "
		 "datacenter = \"d\"; "
		 "token_file = \"/t\"; wait = \"1m\"; } );",
		 0, "all of consul"},
		{"sources = ( { name = \"k\"; type = \"kubernetes\"; urls = ( \"https://k\" ); "
		 "namespace = \"n\"; } );",
		 0, "kubernetes"},
		{"sources = ( { name = \"f\"; type = \"files\"; directory = \"/d\"; } );", 0,
		 "files"},
		{"sources = ( { } );", 2, "name and type"},
		{"sources = ( { name = \"f\"; type = \"files\"; } );", 1, "no directory"},
		{"sources = ( { name = \"e\"; type = \"etcd\"; } );", 1, "no urls"},
		{"sources = ( { name = \"e\"; type = \"etcd\"; urls = ( ); } );", 1, "empty"},
		{"sources = ( { name = \"registry\"; type = \"dns\"; } );", 1, "taken"},
		{"sources = ( { name = \"d\"; type = \"dns\"; }, { name = \"d\"; type = \"dns\"; } "
		 ");",
		 1, "twice"},
		{"sources = ( { name = \"d\"; type = \"dnss\"; } );", 1, "no such type"},
		{"sources = ( { name = \"d\"; type = \"registry\"; } );", 1, "not of the file"},
		{"sources = ( { name = \"d\"; type = \"dns\"; urls = ( \"http://x\" ); } );", 1,
		 "of others"},
		{"sources = ( { name = \"d\"; type = \"dns\"; servers = ( \"example\", 5, "
		 "\"192.0.2.1:0\" ); } );",
		 3, "each"},
		{"sources = ( { name = \"d\"; type = \"dns\"; timeout = \"1h\"; min_ttl = 5; } );",
		 2, "times"},
		{"sources = ( { name = \"d\"; type = \"dns\"; min_ttl = \"2m\"; max_ttl = \"1m\"; "
		 "} );",
		 1, "order"},
		{"sources = ( { name = \"e\"; type = \"etcd\"; urls = ( \"ftp://x\", "
		 "\"http://u@h\", \"http://h/p\", "
		 "\"http://\" ); } );",
		 4, "urls"},
		{"sources = ( { name = \"e\"; type = \"etcd\"; urls = ( \"http://h\" ); prefix = "
		 "\"x\"; user = \"u\"; key = "
		 "\"/k\"; ca = \"c\"; } );",
		 4, "together"},
		{"sources = ( { nam = \"e\"; type = \"dns\"; } );", 2, "unknown key"},
		{"sources = { };", 1, "no list"},
		{"sources = ( 5 );", 1, "no group"},
		{"locality = \"a//b\";", 1, "empty part"},
		{"locality = \"a/b/c/d\";", 1, "four parts"},
		{"locality = 5;", 1, "no text"},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		struct sl_daemon_conf c;
		struct sl_diag diag = {0};
		int err = sl_daemon_conf_parse("f", row[i].text, strlen(row[i].text), &diag, &c);
		if (diag.cnt != row[i].problems)
			printf("  %s: %u problems, first %s\n", row[i].text, diag.cnt,
			       diag.cnt ? diag.items[0].text : "");
		CU_ASSERT(diag.cnt == row[i].problems);
		CU_ASSERT(err == (row[i].problems ? -EINVAL : 0));
		sl_diag_fini(&diag);
		sl_daemon_conf_fini(&c);
	}
}

static void
an_endpoint_is_read_whole_or_not_at_all(void)
{
	static const struct {
		const char *json, *why; /* NULL: it is good */
	} row[] = {
		{"{\"address\":\"192.0.2.1\"}", NULL},
		{"{\"address\":\"2001:db8::1\",\"port\":80,\"weight\":0,\"priority\":7,\"percent\":"
		 "50,"
		 "\"drain\":true,\"locality\":\"eu/"
		 "a\",\"metadata\":{\"v\":\"2\",\"canary\":\"true\"},"
		 "\"name\":\"x\",\"ttl_s\":5}",
		 NULL},
		{"[]", "not an object"},
		{"{}", "address: missing"},
		{"{\"address\":5}", "address: not a string"},
		{"{\"address\":\"127.0.0.1\"}", "address: \"127.0.0.1\" is"},
		{"{\"address\":\"192.0.2.1\",\"port\":0}", "port: 0 is not within 1 to 65535"},
		{"{\"address\":\"192.0.2.1\",\"port\":\"80\"}", "port: not a whole number"},
		{"{\"address\":\"192.0.2.1\",\"weight\":257}",
		 "weight: 257 is not within 0 to 256"},
		{"{\"address\":\"192.0.2.1\",\"priority\":-1}",
		 "priority: -1 is not within 0 to 7"},
		{"{\"address\":\"192.0.2.1\",\"percent\":101}",
		 "percent: 101 is not within 0 to 100"},
		{"{\"address\":\"192.0.2.1\",\"drain\":1}", "drain: neither true nor false"},
		{"{\"address\":\"192.0.2.1\",\"locality\":\"a//b\"}", "locality: \"a//b\" has"},
		{"{\"address\":\"192.0.2.1\",\"metadata\":[]}", "metadata: not an object"},
		{"{\"address\":\"192.0.2.1\",\"metadata\":{\"v\":1}}",
		 "metadata: the value of \"v\" is not a string"},
		{"{\"address\":\"192.0.2.1\",\"metadata\":{\"a=b\":\"c\"}}",
		 "metadata: \"a=b\" is too long"},
		{"{\"address\":\"192.0.2.1\",\"wieght\":1}",
		 "unknown key \"wieght\": did you mean \"weight\"?"},
		{"{\"address\":\"192.0.2.1\",\"\\u0001\":1}", "unknown key \"\\x01\""},
	};
	struct sl_source_endpoint e;
	char buf[256];

	for (unsigned i = 0; i < SL_ARRAY_CNT(row); i++) {
		json_t *j = json_loads(row[i].json, 0, NULL);
		const char *why = sl_source_endpoint_json(j, &e, buf, sizeof(buf));
		bool as_said = row[i].why ? why && strncmp(why, row[i].why, strlen(row[i].why)) == 0
					  : !why;
		if (!as_said)
			printf("  %s: %s\n", row[i].json, why ? why : "good");
		CU_ASSERT(as_said);
		if (i == 0)
			CU_ASSERT(e.port == 0 && e.weight == UINT16_MAX && e.percent == 100 &&
				  !e.drain && !e.down && !e.name[0]);
		if (i == 1)
			CU_ASSERT(e.port == 80 && e.weight == 0 && e.priority == 7 &&
				  e.percent == 50 && e.drain && strcmp(e.locality, "eu/a") == 0 &&
				  strcmp(e.meta, "canary=true,v=2") == 0);
		json_decref(j);
	}
}

SL_SUITE("source", SL_TEST(an_endpoint_is_read_whole_or_not_at_all),
	 SL_TEST(names_are_names_and_differ_where_texts_do),
	 SL_TEST(long_names_keep_what_fits_and_a_hash), SL_TEST(addresses_make_names),
	 SL_TEST(pauses_grow_to_half_a_minute), SL_TEST(the_list_of_sources_is_checked_whole))
