/* What the daemon says of HTTP: hosts and routes with their counters, and what would become of a request. */
#include "tests/mgmt/fixture.h"
#include "tests/suite.h"

static struct fixture f;

static const char table[] =
	"gateway = { name = \"edge\"; };\n"
	"network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } ); };\n"
	"services = (\n"
	"  { name = \"web\"; forward = \"proxy\"; policy = \"least_request\"; endpoints = (\n"
	"    { name = \"web-1\"; address = \"192.0.2.11\"; port = 80; } ); },\n"
	"  { name = \"web2\"; forward = \"proxy\"; endpoints = (\n"
	"    { name = \"b-1\"; address = \"192.0.2.12\"; port = 81; } ); } );\n"
	"listeners = (\n"
	"  { name = \"edge-80\"; address = \"203.0.113.10\"; port = 80; protocol = \"tcp\";\n"
	"    mode = \"http\"; routes = \"edge\"; },\n"
	"  { name = \"six\"; address = \"2001:db8::10\"; port = 8080; protocol = \"tcp\";\n"
	"    mode = \"http\"; routes = \"other\"; },\n"
	"  { name = \"plain\"; address = \"203.0.113.11\"; port = 81; protocol = \"tcp\";\n"
	"    mode = \"tcp\"; service = \"web2\"; },\n"
	"  { name = \"named\"; address = \"203.0.113.11\"; port = 443; protocol = \"tcp\";\n"
	"    mode = \"tls-passthrough\"; service = \"web2\"; },\n"
	"  { name = \"strict\"; address = \"203.0.113.11\"; port = 444; protocol = \"tcp\";\n"
	"    mode = \"tls-passthrough\"; server_names = ( { name = \"a.example\"; service = "
	"\"web\"; } "
	"); } );\n"
	"route_tables = (\n"
	"  { name = \"edge\"; hosts = (\n"
	"    { name = \"shop\"; match = ( \"shop.example\", \"*.shop.example\", \"shop.*\" ); "
	"routes = (\n"
	"      { name = \"canary\"; prefix = \"/api\"; methods = ( \"GET\", \"POST\" );\n"
	"        headers = ( { name = \"X-Env\"; prefix = \"canary-\"; ignore_case = true; },\n"
	"                    { name = \"x-no\"; present = true; invert = true; } );\n"
	"        query = ( { name = \"v\"; range = \"1-10\"; } );\n"
	"        cookies = ( { name = \"sid\"; suffix = \"=\"; } );\n"
	"        split = ( { service = \"web\"; weight = 90; }, { service = \"web2\"; weight = 10; "
	"} ); },\n"
	"      { name = \"old\"; path = \"/old\"; redirect = { code = 301; path = \"/new\"; }; },\n"
	"      { name = \"rest\"; service = \"web\"; } ); },\n"
	"    { name = \"any\"; match = ( \"*\" ); routes = (\n"
	"      { name = \"no\"; respond = { code = 403; body = \"no\"; content_type = "
	"\"text/plain\"; "
	"}; } ); } ); },\n"
	"  { name = \"other\"; hosts = (\n"
	"    { name = \"six\"; match = ( \"*.six.example\" ); routes = (\n"
	"      { name = \"all\"; service = \"web\"; } ); } ); } );\n";

static void
open_all(void)
{
	fixture_open(&f);
	fixture_dp_start(&f, 1);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_linked));
	json_t *a = fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", table));
	if (strcmp(answer_text(a, "outcome"), "active")) {
		char *text = json_dumps(a, 0);
		fprintf(stderr, "%s\n", text);
		free(text);
		CU_FAIL_FATAL("table is not taken");
	}
	json_decref(a);
}

static const struct sl_table *
active(void)
{
	return sl_tables_active(f.daemon.tables);
}

static const struct sl_conf_table *
conf_table(unsigned i)
{
	return &active()->conf->tables[i];
}

static struct sl_placed
route_at(unsigned tab, unsigned host, unsigned route)
{
	const struct sl_conf_table *t = conf_table(tab);
	struct sl_placed at = {0};

	CU_ASSERT_EQUAL_FATAL(sl_slot_find_hroute(&active()->map, t, &t->vhosts[host],
						  &t->vhosts[host].routes[route], &at),
			      0);
	return at;
}

static struct sl_placed
host_at(unsigned tab, unsigned host)
{
	const struct sl_conf_table *t = conf_table(tab);
	struct sl_placed at = {0};

	CU_ASSERT_EQUAL_FATAL(sl_slot_find_vhost(&active()->map, t, &t->vhosts[host], &at), 0);
	return at;
}

static json_t *
ask(const char *text)
{
	return fixture_ask(&f, json_loads(text, 0, NULL));
}

/* ---- show ---- */

static bool
is(json_t *o, const char *key, const char *wants)
{
	char *text = json_dumps(json_object_get(o, key), JSON_COMPACT | JSON_ENCODE_ANY);
	bool same = text && strcmp(text, wants) == 0;

	if (!same)
		printf("\n  %s: %s", key, text ? text : "(none)");
	free(text);
	return same;
}

static void
levels_and_subsets_are_shown_with_who_takes_flows(void)
{
	static const char text[] =
		"gateway = { name = \"g\"; }; services = ( { name = \"web\"; locality_failover = "
		"true;\n"
		"  subsets = ( { name = \"v2\"; metadata = ( \"v=2\" ); fallback = \"any\"; },\n"
		"    { name = \"none\"; metadata = ( \"v=9\" ); } ); http = { panic_threshold = "
		"20; };\n"
		"  endpoints = ( { name = \"a\"; address = \"192.0.2.1\"; port = 80; metadata = ( "
		"\"v=2\" ); },\n"
		"    { name = \"b\"; address = \"192.0.2.2\"; port = 80; },\n"
		"    { name = \"c\"; address = \"192.0.2.3\"; port = 80; priority = 1; metadata = "
		"( "
		"\"v=2\" ); } ); } );\n"
		"route_tables = ( { name = \"t\"; hosts = ( { name = \"h\"; match = ( \"*\" ); "
		"routes = "
		"(\n"
		"  { name = \"one\"; path = \"/\"; service = \"web\"; subset = \"v2\"; },\n"
		"  { name = \"two\"; split = ( { service = \"web\"; weight = 1; }, { service = "
		"\"web\"; "
		"subset = \"none\"; weight = 1; } ); } ); } ); } );\n";

	open_all();
	json_decref(fixture_ask(
		&f, json_pack("{s:s, s:s, s:s}", "verb", "push", "file", "t.conf", "text", text)));
	json_decref(ask("{\"verb\":\"drain\",\"service\":\"web\",\"endpoint\":\"b\"}"));
	json_t *a = ask("{\"verb\":\"show\",\"what\":\"services\"}");
	json_t *o = json_array_get(json_object_get(a, "services"), 0);
	CU_ASSERT(is(o, "levels",
		     "[{\"priority\":0,\"distance\":0,\"endpoints\":2,\"admitting\":1},"
		     "{\"priority\":1,\"distance\":0,\"endpoints\":1,\"admitting\":1}]"));
	CU_ASSERT(is(
		o, "subsets",
		"[{\"name\":\"v2\",\"metadata\":\"v=2\",\"fallback\":\"any\",\"levels\":["
		"{\"priority\":0,\"distance\":0,\"endpoints\":1,\"admitting\":1},"
		"{\"priority\":1,\"distance\":0,\"endpoints\":1,\"admitting\":1}]},"
		"{\"name\":\"none\",\"metadata\":\"v=9\",\"fallback\":\"none\",\"levels\":[]}]"));
	CU_ASSERT(is(o, "locality_failover", "true"));
	CU_ASSERT(is(o, "panic_threshold", "20"));
	CU_ASSERT(is(o, "discover", "[]"));
	json_decref(a);
	a = ask("{\"verb\":\"show\",\"what\":\"routes\"}");
	CU_ASSERT(is(json_array_get(json_object_get(a, "routes"), 0), "to", "[\"web/v2\"]"));
	CU_ASSERT(is(json_array_get(json_object_get(a, "routes"), 1), "to",
		     "[\"web\",\"web/none\"]"));
	json_decref(a);
	fixture_close(&f);
}

static void
routes_are_shown_in_the_order_of_the_file_with_what_was_counted(void)
{
	open_all();
	struct sl_stats_route *s = &sl_stats_routes(f.dp.stats, 0)[route_at(0, 0, 0).slot];
	*s = (struct sl_stats_route){.requests = 11,
				     .answers = {1, 2, 3, 4, 0},
				     .retries = 5,
				     .local = 6,
				     .bytes_in = 7,
				     .bytes_out = 8,
				     .first_us_sum = 1000,
				     .last_us_sum = 3000,
				     .last = {4, [19] = 1}};
	json_t *a = ask("{\"verb\":\"show\",\"what\":\"routes\"}");
	json_t *list = json_object_get(a, "routes"), *o = json_array_get(list, 0);
	CU_ASSERT_EQUAL(json_array_size(list), 5);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "table"), "edge");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "host"), "shop");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "route"), "canary");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "action"), "split");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(o, "services"), 1)),
			       "web2");
	CU_ASSERT(answer_int(o, "requests") == 11 && answer_int(o, "1xx") == 1);
	CU_ASSERT(answer_int(o, "2xx") == 2 && answer_int(o, "4xx") == 4);
	CU_ASSERT(answer_int(o, "retries") == 5 && answer_int(o, "local") == 6);
	CU_ASSERT(answer_int(o, "bytes_in") == 7 && answer_int(o, "bytes_out") == 8);
	CU_ASSERT(answer_int(o, "first_us") == 100 && answer_int(o, "last_us") == 600);
	CU_ASSERT_EQUAL(json_integer_value(json_array_get(json_object_get(o, "last"), 19)), 1);
	o = json_array_get(list, 1);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "action"), "redirect");
	CU_ASSERT_TRUE(json_is_null(json_object_get(o, "first_us")));
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(list, 2), "action"), "service");
	CU_ASSERT_STRING_EQUAL(answer_text(json_array_get(list, 3), "action"), "respond");
	json_decref(a);
	fixture_close(&f);
}

static void
names_narrow_what_is_shown(void)
{
	static const struct {
		const char *ask, *what;
		size_t cnt;
		const char *code;
	} rows[] = {
		{"\"routes\",\"table\":\"edge\"", "routes", 4, ""},
		{"\"routes\",\"host\":\"shop\"", "routes", 3, ""},
		{"\"routes\",\"table\":\"edge\",\"host\":\"shop\",\"route\":\"old\"", "routes", 1,
		 ""},
		{"\"routes\",\"route\":\"no\"", "routes", 1, ""},
		{"\"hosts\"", "hosts", 3, ""},
		{"\"hosts\",\"table\":\"other\"", "hosts", 1, ""},
		{"\"hosts\",\"host\":\"any\"", "hosts", 1, ""},
		{"\"routes\",\"table\":\"none\"", "routes", 0, "not_found"},
		{"\"routes\",\"table\":\"other\",\"host\":\"shop\"", "routes", 0, "not_found"},
		{"\"routes\",\"host\":\"any\",\"route\":\"old\"", "routes", 0, "not_found"},
		{"\"hosts\",\"host\":\"none\"", "hosts", 0, "not_found"},
		{"\"hosts\",\"route\":\"old\"", "hosts", 0, "invalid"},
		{"\"workers\",\"table\":\"edge\"", "workers", 0, "invalid"},
		{"\"routes\",\"host\":\"a b\"", "routes", 0, "invalid"},
	};
	char text[256];

	open_all();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		snprintf(text, sizeof(text), "{\"verb\":\"show\",\"what\":%s}", rows[i].ask);
		json_t *a = ask(text);
		CU_ASSERT_STRING_EQUAL(answer_code(a), rows[i].code);
		if (json_array_size(json_object_get(a, rows[i].what)) != rows[i].cnt)
			CU_FAIL(rows[i].ask);
		json_decref(a);
	}
	fixture_close(&f);
}

static void
hosts_are_shown_with_their_patterns(void)
{
	open_all();
	sl_stats_vhosts(f.dp.stats, 0)[host_at(0, 0).slot] =
		(struct sl_stats_vhost){.requests = 20, .no_route = 3};
	json_t *a = ask("{\"verb\":\"show\",\"what\":\"hosts\"}");
	json_t *o = json_array_get(json_object_get(a, "hosts"), 0),
	       *m = json_object_get(o, "match");
	CU_ASSERT(answer_int(o, "requests") == 20 && answer_int(o, "no_route") == 3);
	CU_ASSERT_EQUAL(answer_int(o, "routes"), 3);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(m, 0)), "shop.example");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(m, 1)), "*.shop.example");
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(m, 2)), "shop.*");
	o = json_array_get(json_object_get(a, "hosts"), 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_array_get(json_object_get(o, "match"), 0)),
			       "*");
	json_decref(a);
	a = ask("{\"verb\":\"show\",\"what\":\"listeners\"}");
	o = json_array_get(json_object_get(a, "listeners"), 0);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "routes"), "edge");
	CU_ASSERT_STRING_EQUAL(answer_text(o, "mode"), "http");
	json_decref(a);
	fixture_close(&f);
}

static json_t *
breaker(json_t *a, unsigned i)
{
	json_t *o = json_array_get(json_object_get(a, "services"), 0);

	return json_array_get(json_object_get(o, "breakers"), i);
}

static void
breakers_are_shown_with_what_is_left(void)
{
	open_all();
	struct sl_stats_service *s = &sl_stats_services(f.dp.stats, 0)[0];
	s->under_way[0] = 24;
	s->under_way[2] = 2000; /* a push lowered the limit */
	s->reached[2] = 5;
	s->adaptive_limit = 77;
	s->ejections[3] = 6;
	s->ejections[5] = 7;
	json_t *a = ask("{\"verb\":\"show\",\"what\":\"services\"}");
	json_t *o = breaker(a, 0);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "name"), "connections");
	CU_ASSERT(answer_int(o, "max") == 1024 && answer_int(o, "remaining") == 1000);
	CU_ASSERT(json_is_false(json_object_get(o, "open")));
	o = breaker(a, 2);
	CU_ASSERT_STRING_EQUAL(answer_text(o, "name"), "requests");
	CU_ASSERT(answer_int(o, "under_way") == 2000 && answer_int(o, "remaining") == 0);
	CU_ASSERT(answer_int(o, "limited") == 5 && json_is_true(json_object_get(o, "open")));
	o = json_object_get(json_array_get(json_object_get(a, "services"), 0), "adaptive");
	CU_ASSERT(answer_int(o, "min") == 0 && answer_int(o, "limit") == 77);
	o = json_object_get(json_array_get(json_object_get(a, "services"), 0), "ejections");
	CU_ASSERT(answer_int(o, "rate") == 6 && answer_int(o, "held") == 7);
	CU_ASSERT(answer_int(o, "failed") == 0 && answer_int(o, "percent") == 0);
	json_decref(a);
	fixture_close(&f);
}

static void
what_is_counted_of_http_is_shown_with_sentences(void)
{
	open_all();
	struct sl_stats_worker *w = sl_stats_worker(f.dp.stats, 0);
	w->http.count[SL_HTTP_CNT_PANIC] = 12;
	w->http.conns = 34;
	w->http.conn_capacity = 4096;
	static const char *const asks[] = {"{\"verb\":\"show\",\"what\":\"http\"}",
					   "{\"verb\":\"stats\"}"};
	for (unsigned i = 0; i < 2; i++) {
		json_t *a = ask(asks[i]), *list = json_object_get(a, "http");
		CU_ASSERT_EQUAL(json_array_size(list), SL_HTTP_CNT_CNT + 5);
		json_t *o = json_array_get(list, 0);
		CU_ASSERT_STRING_EQUAL(answer_text(o, "name"), "connections");
		CU_ASSERT(answer_int(o, "count") == 34 && answer_int(o, "most") == 4096);
		o = json_array_get(list, 5 + SL_HTTP_CNT_PANIC);
		CU_ASSERT_STRING_EQUAL(answer_text(o, "name"), "panic");
		CU_ASSERT_EQUAL(answer_int(o, "count"), 12);
		json_decref(a);
	}
	fixture_close(&f);
}

static void
counters_of_a_route_begin_when_it_gets_its_slot(void)
{
	open_all();
	struct sl_placed at = route_at(0, 0, 2), next = {at.slot, at.incarnation + 1};
	struct sl_placed host = host_at(0, 0), host_next = {host.slot, host.incarnation + 1};
	struct sl_stats_route *s = &sl_stats_routes(f.dp.stats, 0)[at.slot];
	struct sl_stats_vhost *v = &sl_stats_vhosts(f.dp.stats, 0)[host.slot];

	s->requests = 70;
	v->requests = 80;
	CU_ASSERT_EQUAL(sl_counters_route(f.daemon.counters, at).requests, 70);
	CU_ASSERT_EQUAL(sl_counters_vhost(f.daemon.counters, host).requests, 80);
	struct sl_slot_map map = active()->map;
	map.hroutes.owner[at.slot].incarnation++;
	map.vhosts.owner[host.slot].incarnation++;
	sl_counters_prepare(f.daemon.counters, active()->conf, &map);
	s->requests = 75;
	v->requests = 86;
	CU_ASSERT_EQUAL(sl_counters_route(f.daemon.counters, next).requests, 5);
	CU_ASSERT_EQUAL(sl_counters_vhost(f.daemon.counters, host_next).requests, 6);
	fixture_close(&f);
}

/* ---- explain ---- */

static bool
says(json_t *a, const char *list, const char *text)
{
	size_t i;
	json_t *v;

	json_array_foreach(json_object_get(a, list), i, v)
	{
		if (strcmp(json_string_value(v), text) == 0)
			return true;
	}
	return false;
}

static void
a_request_becomes_a_head_for_its_listener(void)
{
	static const struct {
		const char *ask, *head, *src, *dst;
		unsigned sport, dport;
	} rows[] = {
		{"\"request\":\"GET /api/x\"", "GET /api/x HTTP/1.1\r\nHost: shop.example\r\n\r\n",
		 "192.0.2.1", "203.0.113.10", 40000, 80},
		{"\"request\":\"GET /\",\"host\":\"a.b\",\"headers\":\"x-env: "
		 "canary-3\\ny:z\\r\\n\"",
		 "GET / HTTP/1.1\r\nHost: a.b\r\nx-env: canary-3\r\ny:z\r\n\r\n", "192.0.2.1",
		 "203.0.113.10", 40000, 80},
		{"\"request\":\"GET / HTTP/1.0\",\"from\":\"198.51.100.7\"",
		 "GET / HTTP/1.0\r\n\r\n", "198.51.100.7", "203.0.113.10", 40000, 80},
		{"\"request\":\"GET /\",\"headers\":\"HOST: x\",\"from\":\"198.51.100.7:1\"",
		 "GET / HTTP/1.1\r\nHOST: x\r\n\r\n", "198.51.100.7", "203.0.113.10", 1, 80},
		{"\"request\":\"GET /\",\"listener\":\"six\"",
		 "GET / HTTP/1.1\r\nHost: www.six.example\r\n\r\n", "2001:db8::1", "2001:db8::10",
		 40000, 8080},
		{"\"request\":\"GET "
		 "/\",\"listener\":\"six\",\"host\":\"h\",\"from\":\"2001:db8::9\"",
		 "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "2001:db8::9", "2001:db8::10", 40000, 8080},
		{"\"request\":\"GET "
		 "/\",\"listener\":\"six\",\"host\":\"h\",\"from\":\"[2001:db8::9]:7\"",
		 "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "2001:db8::9", "2001:db8::10", 7, 8080},
	};
	char text[512], src[SL_ADDR_STRLEN], dst[SL_ADDR_STRLEN];

	open_all();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		snprintf(text, sizeof(text), "{\"verb\":\"explain_http\",%s}", rows[i].ask);
		json_t *a = ask(text);
		const struct sl_tuple *t = &f.dp.asked_http.tuple;
		CU_ASSERT_TRUE(answer_ok(a));
		CU_ASSERT_STRING_EQUAL(f.dp.asked_head, rows[i].head);
		CU_ASSERT_STRING_EQUAL(sl_addr_format(&t->src, src), rows[i].src);
		CU_ASSERT_STRING_EQUAL(sl_addr_format(&t->dst, dst), rows[i].dst);
		CU_ASSERT_EQUAL(sl_from_be16(t->sport), rows[i].sport);
		CU_ASSERT_EQUAL(sl_from_be16(t->dport), rows[i].dport);
		json_decref(a);
	}
	CU_ASSERT_EQUAL(f.dp.bad, 0);
	fixture_close(&f);
}

static void
questions_that_are_none_are_refused(void)
{
	static const struct {
		const char *ask, *code, *why;
	} rows[] = {
		{"\"request\":\"GET\"", "invalid", "no target"},
		{"\"request\":\"GET /\\r\\nx: y\"", "invalid", "a header in the line"},
		{"\"host\":\"x\"", "invalid", "no request"},
		{"\"request\":\"GET /\",\"host\":\"x\",\"headers\":\"a:b\\nhost: y\"", "invalid",
		 "Host twice"},
		{"\"request\":\"GET /\",\"listener\":\"plain\"", "invalid", "mode tcp"},
		{"\"request\":\"GET /\",\"listener\":\"none\"", "not_found", "no listener"},
		{"\"request\":\"GET /\",\"from\":\"1.2.3\"", "invalid", "no address"},
		{"\"request\":\"GET /\",\"from\":\"1.2.3.4:0\"", "invalid", "port 0"},
		{"\"request\":\"GET /\",\"from\":\"1.2.3.4:x\"", "invalid", "no port"},
		{"\"request\":\"GET /\",\"from\":\"[::1:5\"", "invalid", "no bracket"},
		{"\"request\":\"GET /\",\"from\":\"2001:db8::9\"", "invalid", "family"},
		{"\"request\":\"GET /\",\"path\":\"/\"", "invalid", "unknown key"},
	};
	char text[512];

	open_all();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		snprintf(text, sizeof(text), "{\"verb\":\"explain_http\",%s}", rows[i].ask);
		json_t *a = ask(text);
		if (strcmp(answer_code(a), rows[i].code))
			CU_FAIL(rows[i].why);
		json_decref(a);
	}
	static char much[7200];
	memset(much, 'x', 7160);
	json_t *a = fixture_ask(&f, json_pack("{s:s, s:s, s:s}", "verb", "explain_http", "request",
					      "GET /", "headers", much));
	CU_ASSERT_STRING_EQUAL(answer_code(a), "invalid");
	json_decref(a);
	CU_ASSERT_EQUAL(f.dp.asked_http.text_len, 0); /* the dataplane was never asked */
	fixture_dp_stop(&f);
	CU_ASSERT_FATAL(fixture_wait(&f, fixture_unlinked));
	a = ask("{\"verb\":\"explain_http\",\"request\":\"GET /\"}");
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	json_decref(a);
	fixture_close(&f);
}

static struct sl_ctl_explained_http
explained(void)
{
	struct sl_placed service = {0}, listener = {0};
	const struct sl_conf *c = active()->conf;

	sl_slot_find_service(&active()->map, &c->services[0], &service);
	sl_slot_find_listener(&active()->map, &c->listeners[0], &listener);
	const struct sl_oper_endpoint *e = sl_oper_find(f.daemon.oper, "web", "web-1");
	struct sl_placed tab = {0};
	sl_slot_find_table(&active()->map, conf_table(0), &tab);
	return (struct sl_ctl_explained_http){
		.generation = active()->number,
		.worker = 2,
		.listener_slot = listener.slot,
		.table_slot = tab.slot,
		.vhost_slot = host_at(0, 0).slot,
		.route_slot = route_at(0, 0, 0).slot,
		.route = 0,
		.service_slot = service.slot,
		.endpoint_slot = e->at.slot,
		.endpoint_incarnation = e->at.incarnation,
		.verified = 3,
		.scanned = 1,
	};
}

static void
an_answer_names_the_route_what_held_and_where_the_request_would_go(void)
{
	static const char q[] = "{\"verb\":\"explain_http\",\"request\":\"GET //api/x\"}";

	open_all();
	f.dp.explained_http = explained();
	f.dp.http_text = "/v2/x";
	f.dp.http_path = "/api/x";
	json_t *a = ask(q);
	CU_ASSERT_TRUE(answer_ok(a));
	CU_ASSERT(answer_int(a, "worker") == 2 && answer_int(a, "generation") == 1);
	CU_ASSERT_TRUE(json_is_null(json_object_get(a, "status")));
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "listener"), "name"), "edge-80");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "table"), "edge");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "host"), "shop");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "route"), "canary");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "action"), "split");
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "service"), "name"), "web");
	CU_ASSERT_STRING_EQUAL(answer_text(json_object_get(a, "endpoint"), "name"), "web-1");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "path"), "/api/x");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "text"), "/v2/x");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "assumed_host"), "shop.example");
	CU_ASSERT(answer_int(a, "verified") == 3 && answer_int(a, "scanned") == 1);
	CU_ASSERT_EQUAL(json_array_size(json_object_get(a, "conditions")), 6);
	CU_ASSERT(says(a, "conditions", "path lies under /api"));
	CU_ASSERT(says(a, "conditions", "method is GET or POST"));
	CU_ASSERT(says(a, "conditions", "header x-env begins with \"canary-\", in any case"));
	CU_ASSERT(says(a, "conditions", "header x-no is not there"));
	CU_ASSERT(says(a, "conditions", "parameter v is a number from 1 to 10"));
	CU_ASSERT(says(a, "conditions", "cookie sid ends in \"=\""));
	CU_ASSERT(says(a, "sentences",
		       "it splits over 2 services, kept by nothing: another request may differ"));
	CU_ASSERT(says(a, "sentences", "endpoint web-1 at 192.0.2.11 port 80 would be picked"));
	json_decref(a);
	f.dp.explained_http.generation++; /* names of another generation are not guessed */
	a = ask(q);
	CU_ASSERT(answer_ok(a) && json_is_null(json_object_get(a, "route")));
	CU_ASSERT_EQUAL(json_array_size(json_object_get(a, "conditions")), 0);
	json_decref(a);
	fixture_close(&f);
}

static void
an_answer_of_the_gateway_itself_says_why(void)
{
	static const char q[] = "{\"verb\":\"explain_http\",\"request\":\"GET /\",\"host\":\"h\"}";

	open_all();
	f.dp.explained_http = explained();
	f.dp.explained_http.route_slot = f.dp.explained_http.service_slot = UINT32_MAX;
	f.dp.explained_http.endpoint_slot = f.dp.explained_http.route = UINT32_MAX;
	f.dp.explained_http.status = 404;
	f.dp.explained_http.flags = SL_RF_NR;
	f.dp.http_text = "no route";
	f.dp.http_path = "/\xff\x01";
	json_t *a = ask(q), *flag = json_array_get(json_object_get(a, "flags"), 0);
	CU_ASSERT_EQUAL(answer_int(a, "status"), 404);
	CU_ASSERT_STRING_EQUAL(answer_text(flag, "flag"), "NR");
	CU_ASSERT_STRING_EQUAL(answer_text(flag, "text"), "no route");
	CU_ASSERT_STRING_EQUAL(answer_text(a, "path"), "/\\xff\\x01");
	CU_ASSERT_TRUE(json_is_null(json_object_get(a, "service")));
	CU_ASSERT(says(a, "sentences",
		       "host shop in table edge is asked for, and no route of it matches"));
	CU_ASSERT(says(a, "sentences", "the gateway itself answers 404"));
	json_decref(a);
	f.dp.no_explain = "requests are not handled by this dataplane";
	a = ask(q);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	json_decref(a);
	f.dp.no_explain = NULL;
	f.dp.mixed_up = true; /* another answer than was asked for */
	a = ask(q);
	CU_ASSERT_STRING_EQUAL(answer_code(a), "unavailable");
	json_decref(a);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.daemon.link_error, "another question"));
	fixture_close(&f);
}

static void
a_packet_for_a_listener_of_mode_http_ends_at_the_gateway(void)
{
	open_all();
	struct sl_placed at = {0};
	sl_slot_find_listener(&active()->map, &active()->conf->listeners[0], &at);
	f.dp.explained = (struct sl_ctl_explained){.generation = 1,
						   .verdict = 3,
						   .listener_slot = at.slot,
						   .service_slot = UINT32_MAX,
						   .endpoint_slot = UINT32_MAX,
						   .port_out = UINT32_MAX};
	json_t *a =
		ask("{\"verb\":\"explain\",\"protocol\":\"tcp\",\"src\":\"192.0.2.77\",\"sport\":1,"
		    "\"dst\":\"203.0.113.10\",\"dport\":80}");
	CU_ASSERT_TRUE(json_is_true(json_object_get(a, "ends_here")));
	CU_ASSERT(says(a, "sentences", "listener edge-80 takes it for route table edge"));
	json_decref(a);
	fixture_close(&f);
}

static void
of_a_listener_that_passes_tls_through_the_server_name_decides(void)
{
	static const char *const says_of[] = {
		"listener named takes it; the server name that the client asks for says the "
		"service, and who asks for none of its names goes to service web2",
		"listener strict takes it; the server name that the client asks for says the "
		"service, and who asks for none of its names is refused"};
	struct sl_placed at;

	open_all();
	for (unsigned i = 0; i < SL_ARRAY_CNT(says_of); i++) {
		sl_slot_find_listener(&active()->map, &active()->conf->listeners[3 + i], &at);
		f.dp.explained = (struct sl_ctl_explained){.generation = 1,
							   .verdict = 3,
							   .listener_slot = at.slot,
							   .service_slot = UINT32_MAX,
							   .endpoint_slot = UINT32_MAX,
							   .port_out = UINT32_MAX};
		json_t *a = ask("{\"verb\":\"explain\",\"protocol\":\"tcp\",\"src\":\"192.0.2.77\","
				"\"sport\":1,\"dst\":\"203.0.113.11\",\"dport\":443}");
		CU_ASSERT_TRUE(json_is_true(json_object_get(a, "ends_here")));
		CU_ASSERT(says(a, "sentences", says_of[i]));
		CU_ASSERT(says(a, "sentences", "the connection ends at the gateway, TLS does not"));
		json_decref(a);
	}
	fixture_close(&f);
}

SL_SUITE("requests", SL_TEST(levels_and_subsets_are_shown_with_who_takes_flows),
	 SL_TEST(routes_are_shown_in_the_order_of_the_file_with_what_was_counted),
	 SL_TEST(names_narrow_what_is_shown), SL_TEST(hosts_are_shown_with_their_patterns),
	 SL_TEST(breakers_are_shown_with_what_is_left),
	 SL_TEST(what_is_counted_of_http_is_shown_with_sentences),
	 SL_TEST(counters_of_a_route_begin_when_it_gets_its_slot),
	 SL_TEST(a_request_becomes_a_head_for_its_listener),
	 SL_TEST(questions_that_are_none_are_refused),
	 SL_TEST(an_answer_names_the_route_what_held_and_where_the_request_would_go),
	 SL_TEST(an_answer_of_the_gateway_itself_says_why),
	 SL_TEST(a_packet_for_a_listener_of_mode_http_ends_at_the_gateway),
	 SL_TEST(of_a_listener_that_passes_tls_through_the_server_name_decides))
