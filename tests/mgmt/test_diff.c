/* What a diff says of route tables. */
#include "mgmt/diff.h"
#include "mgmt/diff_priv.h"

#include "tests/suite.h"

#define HEAD                                                                                       \
	"gateway = { name = \"g\"; }; services = ( { name = \"a\"; }, { name = \"b\"; %s }, { "    \
	"name = "                                                                                  \
	"\"c\"; forward = \"proxy\"; subsets = ( { name = \"s\"; metadata = ( \"v=1\" ); } ); } "  \
	");"
#define TABLE(keys, hosts) "route_tables = ( { name = \"t\"; " keys " hosts = ( " hosts " ); } );"
#define HOST(n, match, routes)                                                                     \
	"{ name = \"" n "\"; match = ( " match " ); routes = ( " routes " ); }"
#define ROUTE(n, keys) "{ name = \"" n "\"; path = \"/" n "\"; " keys " }"
#define R(n) ROUTE(n, "service = \"a\";")
#define ONE(routes) TABLE("", HOST("h", "\"*\"", routes))

static const char *extra = ""; /* keys of service b */

static struct sl_conf *
conf_of(const char *text)
{
	char *whole = malloc(strlen(text) + strlen(extra) + 400);
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;

	int n = sprintf(whole, HEAD "%s", extra, text);
	CU_ASSERT_EQUAL_FATAL(sl_conf_parse("t", whole, (size_t)n, &diag, &c), 0);
	sl_diag_fini(&diag);
	free(whole);
	return c;
}

/* "change kind name: text" of each change, a line each; both are freed. */
static char *
words_of(json_t *list, struct sl_conf *a, struct sl_conf *b)
{
	json_t *d;
	char *out = NULL;
	size_t len, i;
	FILE *f = open_memstream(&out, &len);

	json_array_foreach(list, i, d)
		fprintf(f, "%s %s %s: %s\n", json_string_value(json_object_get(d, "change")),
			json_string_value(json_object_get(d, "kind")),
			json_string_value(json_object_get(d, "name")),
			json_string_value(json_object_get(d, "text")));
	fclose(f);
	json_decref(list);
	sl_conf_free(a);
	sl_conf_free(b);
	return out;
}

static char *
text_of(struct sl_conf *a, struct sl_conf *b)
{
	return words_of(sl_diff(a, b), a, b);
}

static char *
diff_text(const char *old, const char *now)
{
	return text_of(conf_of(old), conf_of(now));
}

static void
route_tables_differ_in_the_words_of_their_file(void)
{
	static const struct {
		const char *old, *now, *wants, *reason;
	} rows[] = {
		{ONE(R("x")), ONE(R("x")), "", "nothing"},
		{"", ONE(R("x")),
		 "added route_table t: \n"
		 "added host t/h: match *\n"
		 "added http_route t/h/x: path /x, service a\n",
		 "all new; defaults are not told"},
		{ONE(R("x")),
		 ONE(ROUTE("x",
			   "service = \"a\"; policy = { hedge = { after = \"50ms\"; max = 2; }; "
			   "fault = { delay = { percent = \"0.5\"; time = \"1s\"; }; abort = { "
			   "status = 503; }; max_active = 9; }; };")),
		 "changed http_route t/h/x: policy.fault (none) → delay 0.5 % 1000 ms, abort 100 % "
		 "503, "
		 "max_active 9, policy.hedge (none) → 2 after 50 ms\n",
		 "faults, hedging"},
		{TABLE("policy = { cors = { origins = ( \"https://a\", \"https://*.b\" ); methods "
		       "= ( "
		       "\"GET\" ); credentials = true; max_age = \"1m\"; }; };",
		       HOST("h", "\"*\"", R("x"))),
		 ONE(R("x")),
		 "changed route_table t: policy.cors https://a https://*.b methods GET max_age 60 "
		 "s "
		 "credentials → (none)\n",
		 "CORS of a table"},
		{ONE(ROUTE("x", "split = ( { service = \"c\"; weight = 1; } ); sticky = { cookie = "
				"\"k\"; };")),
		 ONE(ROUTE("x", "split = ( { service = \"c\"; weight = 1; } ); sticky = { cookie = "
				"\"k\"; set = true; ttl = \"1m\"; };")),
		 "changed http_route t/h/x: sticky cookie k → cookie k set for 60 s\n",
		 "a cookie that is given"},
		{ONE(R("x")), ONE(ROUTE("x", "service = \"c\"; subset = \"s\";")),
		 "changed http_route t/h/x: service a → c, subset (none) → s\n", "subset"},
		{ONE(ROUTE("x", "split = ( { service = \"c\"; weight = 1; } );")),
		 ONE(ROUTE(
			 "x",
			 "split = ( { service = \"c\"; weight = 9; }, { service = \"c\"; subset = "
			 "\"s\"; weight = 1; } );")),
		 "changed http_route t/h/x: split c 1 → c 9, c subset s 1\n", "subset of a split"},
		{ONE(R("x")), TABLE("", ""),
		 "removed host t/h: match *\n"
		 "removed http_route t/h/x: path /x, service a\n",
		 "a host goes with its routes"},
		{ONE(R("x")),
		 TABLE("max_body = \"1k\"; idle_timeout = \"1s\";", HOST("h", "\"*\"", R("x"))),
		 "changed route_table t: idle_timeout 3600000 ms → 1000 ms, max_body 0 → 1024\n",
		 "settings"},
		{TABLE("", HOST("h", "\"a\", \"*.b\"", "")),
		 TABLE("", HOST("h", "\"*.b\", \"A\"", "")), "",
		 "the order of host names means nothing"},
		{TABLE("", HOST("h", "\"a\"", "")), TABLE("", HOST("h", "\"a\", \"c.*\"", "")),
		 "changed host t/h: match a → a c.*\n", "a host name more"},
		{ONE(R("x")), ONE(ROUTE("x", "service = \"b\"; timeout = \"1s\";")),
		 "changed http_route t/h/x: service a → b, timeout 15000 ms → 1000 ms\n",
		 "two keys"},
		{ONE(R("x")),
		 ONE(ROUTE("x", "split = ( { service = \"a\"; weight = 9; }, { service = "
				"\"b\"; weight = 1; } ); sticky = { cookie = \"sid\"; };")),
		 "changed http_route t/h/x: service a → (none), split (none) → a 9, b 1, sticky "
		 "(none) → "
		 "cookie sid\n",
		 "another action"},
		{ONE("{ name = \"x\"; prefix = \"/a\"; service = \"a\"; }"),
		 ONE("{ name = \"x\"; template = \"/{id}\"; service = \"a\"; }"),
		 "changed http_route t/h/x: prefix /a → (none), template (none) → /{id}\n",
		 "another kind of path"},
		{ONE(ROUTE("x",
			   "service = \"a\"; headers = ( { name = \"n\"; exact = \"1\"; } );")),
		 ONE(ROUTE("x",
			   "service = \"a\"; headers = ( { name = \"n\"; regex = \"1\"; invert = "
			   "true; }, { name = \"r\"; range = \"1-9\"; } );")),
		 "changed http_route t/h/x: headers n exact \"1\" → not n regex \"1\", r range "
		 "1-9\n",
		 "conditions"},
		{ONE(ROUTE("x", "respond = { code = 403; body = \"no\\n\"; };")),
		 ONE(ROUTE("x", "redirect = { code = 308; https = true; host = \"h\"; port = 1; "
				"path = \"/y\"; strip_query = true; };")),
		 "changed http_route t/h/x: redirect (none) → 308 https host h port 1 path /y "
		 "strip_query, "
		 "respond 403 text/plain \"no\\x0a\" → (none)\n",
		 "answers; bytes that are no letters"},
		{ONE(R("x")),
		 ONE(ROUTE("x",
			   "service = \"a\"; retry = { attempts = 0; }; mirror = ( { service = "
			   "\"b\"; "
			   "percent = \"0.5\"; } ); rewrite = { path = \"/y\"; host = \"h\"; }; "
			   "response_headers = ( { set = \"A\"; value = \"b\"; }, { remove = "
			   "\"c\"; } "
			   ");")),
		 "changed http_route t/h/x: rewrite.path (none) → /y, rewrite.host (none) → h, "
		 "mirror "
		 "(none) → b 0.5 %, response_headers (none) → set A \"b\", remove c, retry 1 on "
		 "connect "
		 "reused after 25 to 250 ms → (none)\n",
		 "what is done on the way"},
		{ONE(R("x") "," R("y") "," R("z")), ONE(R("z") "," R("x") "," R("y")),
		 "moved http_route t/h/z: place 3 → 1\n", "one moved, the others did not"},
		{ONE(R("x") "," R("y") "," R("z")), ONE(R("n") "," R("x") "," R("y") "," R("z")),
		 "added http_route t/h/n: path /n, service a\n",
		 "what is new in front moves nothing"},
		{ONE(R("x") "," R("y") "," R("z")), ONE(R("z")),
		 "removed http_route t/h/x: path /x, service a\n"
		 "removed http_route t/h/y: path /y, service a\n",
		 "nor does what is gone"},
		{ONE(R("x") "," R("y")),
		 ONE(ROUTE("y", "service = \"b\";") "," ROUTE("x", "service = \"b\";")),
		 "changed http_route t/h/x: service a → b, place 1 → 2\n"
		 "changed http_route t/h/y: service a → b\n",
		 "moved and changed"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char *got = diff_text(rows[i].old, rows[i].now);
		if (strcmp(got, rows[i].wants))
			printf("\n  %s:\n%s", rows[i].reason, got);
		CU_ASSERT_STRING_EQUAL(got, rows[i].wants);
		free(got);
	}
}

static void
settings_of_requests_differ_key_by_key(void)
{
	extra = "http = { hash = { header = \"X\"; }; ejection = { after = 0; }; max_pending = 1; "
		"};";
	struct sl_conf *a = conf_of("");
	extra = "";
	struct sl_conf *b = conf_of("");
	json_t *list = sl_diff(b, a);
	CU_ASSERT_EQUAL(json_array_size(list), 1);
	CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_array_get(list, 0), "text")),
			       "http.max_pending 1024 → 1, http.hash source → header x, "
			       "http.ejection.after 5 → 0");
	json_decref(list);
	sl_conf_free(a);
	sl_conf_free(b);
}

static void
a_change_behind_what_fits_is_a_change(void)
{
	char *old = malloc(20000), *now = malloc(20000);

	sprintf(old, "%s%08000d%s",
		"route_tables = ( { name = \"t\"; hosts = ( { name = \"h\"; match = ( "
		"\"*\" ); routes = ( { name = \"x\"; respond = { code = 200; body = \"",
		1, "\"; }; } ); } ); } );");
	sprintf(now, "%s%08000d%s",
		"route_tables = ( { name = \"t\"; hosts = ( { name = \"h\"; match = ( "
		"\"*\" ); routes = ( { name = \"x\"; respond = { code = 200; body = \"",
		2, "\"; }; } ); } ); } );");
	char *same = diff_text(old, old), *got = diff_text(old, now);
	CU_ASSERT_STRING_EQUAL(same, "");
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "changed http_route t/h/x: respond"));
	CU_ASSERT_PTR_NOT_NULL(strstr(got, "... (sum "));
	free(old);
	free(now);
	free(same);
	free(got);
}

/* Against all orders of up to 6 things: what is said to have moved is what a brute search finds to be enough. */
static uint32_t
longest_rising(const uint32_t *place, uint32_t n)
{
	uint32_t best = 0;

	for (uint32_t set = 0; set < 1u << n; set++) {
		uint32_t last = 0, cnt = 0;
		for (uint32_t i = 0; i < n; i++) {
			if (!(set >> i & 1))
				continue;
			if (cnt && place[i] < last)
				cnt = UINT32_MAX / 2;
			last = place[i];
			cnt++;
		}
		if (cnt <= n)
			best = SL_MAX(best, cnt);
	}
	return best;
}

static void
the_fewest_are_said_to_have_moved(void)
{
	for (uint32_t n = 0; n <= 6; n++) {
		uint32_t orders = 1;
		for (uint32_t i = 2; i <= n; i++)
			orders *= i;
		for (uint32_t o = 0; o < orders; o++) {
			uint32_t place[6], scratch[12], left[6], code = o, stayed = 0, last = 0;
			bool moved[6], rising = true;
			for (uint32_t i = 0; i < n; i++)
				left[i] = i;
			for (uint32_t i = 0; i < n; i++) {
				uint32_t k = code % (n - i);
				code /= n - i;
				place[i] = left[k];
				memmove(left + k, left + k + 1, (n - i - k - 1) * sizeof(*left));
			}
			sl_diff_moved(place, n, scratch, moved);
			for (uint32_t i = 0; i < n; i++) {
				if (moved[i])
					continue;
				rising = rising && (!stayed || place[i] > last);
				last = place[i];
				stayed++;
			}
			CU_ASSERT(rising && stayed == longest_rising(place, n));
		}
	}
}

/* Listeners and services with tls; the text is all but the head. */
#define TLS(keys) "tls = { trust = ( \"m\" ); server_name = \"a\"; " keys " };"
#define LISTENER(mode, keys)                                                                       \
	"listeners = ( { name = \"l\"; address = \"203.0.113.1\"; port = 443; protocol = "         \
	"\"tcp\"; "                                                                                \
	"mode = \"" mode "\"; " keys " } );"
#define CERTS(list, keys)                                                                          \
	LISTENER("tcp", "service = \"a\"; tls = { certificates = ( " list " ); " keys " };")
#define NAMES(list) LISTENER("tls-passthrough", "server_names = ( " list " );")
#define TO(name, service) "{ name = \"" name "\"; service = \"" service "\"; }"

static void
tls_differs_in_the_words_of_the_file(void)
{
	static const struct {
		const char *old_extra, *extra; /* keys of service b */
		const char *old, *now, *wants, *reason;
	} rows[] = {
		{TLS(""), TLS(""), CERTS("\"x\"", ""), CERTS("\"x\"", ""), "", "nothing"},
		{"", TLS(""), "", "",
		 "changed service b: tls (none) → verified, tls.trust (none) → m, tls.server_name "
		 "(none) → a\n",
		 "a service's endpoints are spoken to by TLS"},
		{TLS(""), "tls = { verify = false; };", "", "",
		 "changed service b: tls verified → not verified, tls.trust m → (none), "
		 "tls.server_name a → (none)\n",
		 "nobody is verified"},
		{TLS("names = ( \"a\", \"b\" ); certificate = \"c\";"),
		 TLS("names = ( \"b\", \"a\" ); certificate = \"d\"; min_version = \"1.3\";"), "",
		 "", "changed service b: tls.certificate c → d, tls.min_version 1.2 → 1.3\n",
		 "the order of names means nothing"},
		{TLS(""), TLS("alpn = ( ); handshake_timeout = \"1s\"; groups = ( \"p-256\" );"),
		 "", "",
		 "changed service b: tls.groups x25519 p-256 → p-256, tls.alpn (none) → nothing, "
		 "tls.handshake_timeout 5000 ms → 1000 ms\n",
		 "settings"},
		{"", "", "", CERTS("\"x\", \"y\"", "client = \"optional\"; trust = ( \"m\" );"),
		 "added listener l: address 203.0.113.1, port 443, protocol tcp, mode tcp, service "
		 "a, "
		 "tls.certificates x, y, tls.trust m\n",
		 "what is usual is not told"},
		{"", "", CERTS("\"x\", \"y\"", ""), CERTS("\"y\", \"x\"", "tickets = false;"),
		 "changed listener l: tls.certificates x, y → y, x, tls.tickets true → false\n",
		 "the first certificate is the default"},
		{"", "", CERTS("\"x\"", ""),
		 CERTS("\"x\"",
		       "client = \"required\"; trust = ( \"m\" ); client_names = ( \"n\" );"),
		 "changed listener l: tls.trust (none) → m, tls.client_names (none) → n, "
		 "tls.client none → "
		 "required\n",
		 "clients show certificates"},
		{"", "", LISTENER("tcp", "service = \"a\";"), CERTS("\"x\"", ""),
		 "changed listener l: tls.certificates (none) → x\n", "TLS ends here now"},
		{"", "", LISTENER("tcp", "service = \"a\";"),
		 LISTENER("tcp", "service = \"a\"; announce = \"healthy\";"),
		 "changed listener l: announce (none) → healthy\n", "routers are told of it now"},
		{"", "", NAMES(TO("x.a", "a") "," TO("*.b", "b")),
		 NAMES(TO("*.b", "a") "," TO("x.a", "a")),
		 "changed listener l: server_names *.b to b, x.a to a → *.b to a, x.a to a\n",
		 "the order of server names means nothing"},
		{"", "", ONE(ROUTE("x", "service = \"a\";")),
		 ONE(ROUTE("x", "service = \"a\"; identity = { prefix = \"spiffe://td/\"; invert = "
				"true; };")),
		 "changed http_route t/h/x: identity (none) → not prefix \"spiffe://td/\"\n",
		 "who asks"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		extra = rows[i].old_extra;
		struct sl_conf *a = conf_of(rows[i].old);
		extra = rows[i].extra;
		struct sl_conf *b = conf_of(rows[i].now);
		char *got = text_of(a, b);
		extra = "";
		if (strcmp(got, rows[i].wants))
			printf("\n  %s:\n%s", rows[i].reason, got);
		CU_ASSERT_STRING_EQUAL(got, rows[i].wants);
		free(got);
	}
}

/* ---- members ---- */

#define EP(n, keys) "{ name = \"" n "\"; address = \"192.0.2." n "\"; port = 80; " keys " }"

static void
members_differ_in_the_words_of_the_file(void)
{
	static const struct {
		const char *old, *now, *wants;
	} rows[] = {
		{"", "endpoints = ( " EP("1", "") " );",
		 "added endpoint b/1: address 192.0.2.1, port 80, weight 1, probe 192.0.2.1 port "
		 "0\n"},
		{"endpoints = ( " EP("1", "") " );",
		 "endpoints = ( " EP("1",
				     "priority = 2; locality = \"eu/a\"; metadata = ( \"v=2\", "
				     "\"c=d\" );") " );",
		 "changed endpoint b/1: priority (none) → 2, locality (none) → eu/a, metadata "
		 "(none) "
		 "→ c=d,v=2\n"},
		{"",
		 "discover = ( { source = \"dns\"; record = \"srv\"; port = 80; }, { source = "
		 "\"registry\"; name = \"x\"; weight = 0; priority = 1; empty = \"accept\"; } );",
		 "changed service b: discover (none) → dns record srv port 80, registry name x "
		 "weight "
		 "0 priority 1 empty accept\n"},
		{"discover = ( { source = \"a\"; }, { source = \"b\"; } );",
		 "discover = ( { source = \"b\"; }, { source = \"a\"; } );",
		 "changed service b: discover a, b → b, a\n"},
		{"discover = ( { source = \"c\"; tag = \"t\"; } );",
		 "discover = ( { source = \"c\"; port_name = \"p\"; namespace = \"n\"; } );",
		 "changed service b: discover c tag t → c port_name p namespace n\n"},
		{"forward = \"proxy\"; subsets = ( { name = \"y\"; metadata = ( \"v=2\" ); }, { "
		 "name = "
		 "\"x\"; metadata = ( \"v=1\" ); } );",
		 "forward = \"proxy\"; subsets = ( { name = \"x\"; metadata = ( \"v=1\" ); }, { "
		 "name = "
		 "\"y\"; metadata = ( \"v=2\" ); fallback = \"any\"; } );",
		 "changed service b: subsets x of v=1; y of v=2 → x of v=1; y of v=2 fallback "
		 "any\n"},
		{"forward = \"nat\";",
		 "forward = \"nat\"; locality_failover = true; panic_threshold = 30;",
		 "changed service b: locality_failover (none) → true, panic_threshold (none) → 30 "
		 "%\n"},
		{"forward = \"nat\";", "forward = \"nat\"; panic_threshold = 0;", ""},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		extra = rows[i].old;
		struct sl_conf *old = conf_of("");
		extra = rows[i].now;
		char *got = text_of(old, conf_of(""));
		extra = "";
		if (strcmp(got, rows[i].wants) != 0)
			printf("\n  %u: %s", i, got);
		CU_ASSERT_STRING_EQUAL(got, rows[i].wants);
		free(got);
	}
}

#define LIMIT(n) "limits = ( { name = \"l\"; requests = " n "; per = \"1s\"; } );"

static void
what_a_trial_does_not_ask_is_told_and_nothing_else(void)
{
	static const struct {
		const char *old, *now, *wants;
	} rows[] = {
		{ONE(R("x")), ONE(R("x")), ""},
		{ONE(R("x")), ONE(R("x") "," R("y")), ""},
		{ONE(R("x") "," R("y")), ONE(R("y") "," R("x")), ""},
		{ONE(R("x")), ONE(ROUTE("x", "service = \"b\";")), ""},
		{ONE(ROUTE("x", "service = \"a\"; policy = { fault = { abort = { status = 503; }; "
				"}; };")),
		 "", ""},
		{LIMIT("100"), LIMIT("50"), "changed limit l: requests 100 → 50\n"},
		{"", LIMIT("50"), "added limit l: requests 50, per 1000 ms, by all\n"},
		{LIMIT("50"), "", "removed limit l: requests 50, per 1000 ms, by all\n"},
		{LIMIT("50") ONE(R("x")),
		 LIMIT("50")
			 ONE(ROUTE("x", "service = \"b\"; timeout = \"7s\"; policy = { limits = "
					"( \"l\" ); };")),
		 "changed http_route t/h/x: policy.limits (none) → l, timeout 15000 ms → 7000 "
		 "ms\n"},
		{ONE(R("x")),
		 ONE(R("x") "," ROUTE("y",
				      "service = \"a\"; timeout = \"7s\"; policy = { fault = { "
				      "abort = { status = 503; }; }; };")),
		 "added http_route t/h/y: policy.fault abort 100 % 503\n"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_conf *a = conf_of(rows[i].old), *b = conf_of(rows[i].now);
		char *got = words_of(sl_diff_untried(a, b), a, b);
		if (strcmp(got, rows[i].wants) != 0)
			printf("\n  %u: %s", i, got);
		CU_ASSERT_STRING_EQUAL(got, rows[i].wants);
		free(got);
	}
}

#define SETS(keys, rules) "authorization = ( { name = \"s\"; " keys " rules = ( " rules " ); } );"
#define RULE(n, action, keys) "{ name = \"" n "\"; action = \"" action "\"; " keys " }"

static void
rules_differ_in_the_words_of_the_file(void)
{
	static const struct {
		const char *old, *now, *wants;
	} rows[] = {
		{SETS("", RULE("x", "deny", "paths = ( \"/A*\" );")),
		 SETS("", RULE("x", "deny", "paths = ( \"/A*\" );")), ""},
		{"",
		 SETS("", RULE("x", "deny",
			       "paths = ( \"/A*\" ); not_addresses = ( \"10.0.0.0/9\" );")),
		 "added authorization s: default allow, rules 1\n"
		 "added rule s/x: action deny, not_addresses 10.0.0.0/9, paths /A*\n"},
		{SETS("", RULE("x", "deny", "ports = ( 80, 443 );")),
		 SETS("audit_only = true;", RULE("x", "allow", "ports = ( 80 );")),
		 "changed authorization s: default allow → deny, audit_only (none) → true\n"
		 "changed rule s/x: action deny → allow, ports 80 443 → 80, ignore_case true → "
		 "false\n"},
		{SETS("", RULE("x", "deny", "") "," RULE("y", "deny", "methods = ( \"PUT\" );")),
		 SETS("", RULE("y", "deny", "methods = ( \"PUT\" );") "," RULE("x", "deny", "")),
		 "moved rule s/x: place 1 → 2\n"},
		{SETS("", RULE("x", "deny", "") "," RULE("y", "deny", "methods = ( \"PUT\" );")),
		 SETS("", RULE("x", "deny",
			       "headers = ( { name = \"a\"; exact = \"b\"; } ); claims = "
			       "( { name = \"c\"; exact = \"d\"; } );")),
		 "changed authorization s: rules 2 → 1\n"
		 "changed rule s/x: headers (none) → a exact \"b\", claims (none) → c exact \"d\"\n"
		 "removed rule s/y: action deny, methods PUT\n"},
		{SETS("", RULE("x", "deny", "identities = ( \"spiffe://a/*\" );")), "",
		 "removed authorization s: default allow, rules 1\n"
		 "removed rule s/x: action deny, identities spiffe://a/*\n"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char *got = diff_text(rows[i].old, rows[i].now);
		if (strcmp(got, rows[i].wants) != 0)
			printf("\n  %s--- not\n%s", got, rows[i].wants);
		CU_ASSERT_STRING_EQUAL(got, rows[i].wants);
		free(got);
	}
}

SL_SUITE("diff", SL_TEST(rules_differ_in_the_words_of_the_file),
	 SL_TEST(what_a_trial_does_not_ask_is_told_and_nothing_else),
	 SL_TEST(members_differ_in_the_words_of_the_file),
	 SL_TEST(route_tables_differ_in_the_words_of_their_file),
	 SL_TEST(settings_of_requests_differ_key_by_key),
	 SL_TEST(a_change_behind_what_fits_is_a_change), SL_TEST(the_fewest_are_said_to_have_moved),
	 SL_TEST(tls_differs_in_the_words_of_the_file))
