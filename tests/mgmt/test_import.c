/* Imports: files as a whole, each with the table and the list that come of it (tests/golden/import: NAME.istio.yaml,
 * NAME.gateway-api.yaml → .conf, .left; SL_GOLDEN_WRITE=1 writes them anew), then one field at a time. */
#include "mgmt/import.h"

#include "mgmt/conf.h"
#include "tests/mgmt/files.h"

/* ---- a run ---- */

static struct sl_import_result result;
static char *left; /* the list, as people see it */

static void
list_left(void)
{
	size_t len;
	FILE *f = open_memstream(&left, &len);

	for (const struct sl_left_item *i = result.left.first; i; i = i->next)
		fprintf(f, "%s:%d: %s: %s: %s: %s\n", i->file, i->line, i->object, i->path,
			sl_left_word(i->kind), i->text);
	fclose(f);
}

static bool
import(enum sl_import_from from, const char *name, const char *text, const char *address)
{
	struct sl_import_file file = {name, text, strlen(text)};
	struct sl_diag diag = {0};
	struct sl_import_how how = {address, "/tables"};
	int err = sl_import_run(from, &file, 1, &how, &diag, &result);

	for (unsigned i = 0; i < diag.cnt; i++)
		printf("%s:%d: %s\n", name, diag.items[i].line, diag.items[i].text);
	sl_diag_fini(&diag);
	CU_ASSERT_EQUAL(err, 0);
	if (err)
		return false;
	list_left();
	CU_ASSERT_TRUE(result.good);
	for (unsigned i = 0; i < result.own.cnt; i++)
		printf("\n%s: own table:%d: %s: %s\n", name, result.own.items[i].line,
		       result.own.items[i].path, result.own.items[i].text);
	return true;
}

static void
done(void)
{
	free(left);
	sl_import_result_fini(&result);
}

/* ---- whole files ---- */

static void
golden_file(const char *name, enum sl_import_from from)
{
	char path[4096];
	size_t len, stem = strlen(name) - strlen(".yaml");

	snprintf(path, sizeof(path), SL_GOLDEN "/import/%s", name);
	char *text = file_read(path, &len);
	CU_ASSERT_PTR_NOT_NULL_FATAL(text);
	if (import(from, name, text, NULL)) {
		snprintf(path, sizeof(path), SL_GOLDEN "/import/%.*s.conf", (int)stem, name);
		CU_ASSERT_TRUE(golden_is(path, result.table));
		snprintf(path, sizeof(path), SL_GOLDEN "/import/%.*s.left", (int)stem, name);
		CU_ASSERT_TRUE(golden_is(path, left));
		done();
	}
	free(text);
}

static void
files_become_these_tables(void)
{
	struct dirent **names;
	int n = scandir(SL_GOLDEN "/import", &names, NULL, alphasort);
	unsigned seen = 0;

	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		if (strstr(name, ".istio.yaml"))
			golden_file(name, SL_IMPORT_ISTIO);
		else if (strstr(name, ".gateway-api.yaml"))
			golden_file(name, SL_IMPORT_GATEWAY_API);
		seen += strstr(name, ".yaml") != NULL;
		free(names[i]);
	}
	free(names);
	CU_ASSERT_TRUE(seen >= 2);
}

/* ---- one field at a time ---- */

/* A row: what is put into the object; what the table has then (or not: "!…"); what the list says (NULL: nothing left out or
 * changed). */
struct row {
	const char *field, *table, *said;
	const char *reason;
};

static bool
found(const char *text, const char *want)
{
	return *want == '!' ? !strstr(text, want + 1) : strstr(text, want) != NULL;
}

static void
check_row(const struct row *r)
{
	bool lost = result.left.cnt[SL_LEFT_OUT] + result.left.cnt[SL_LEFT_CHANGED] > 0;
	bool good = found(result.table, r->table) && (r->said ? found(left, r->said) : !lost);

	if (!good)
		printf("\n%s: %s\nwanted %s, %s\n%s%s", r->reason, r->field, r->table,
		       r->said ? r->said : "nothing", result.table, left);
	CU_ASSERT_TRUE(good);
}

/* The rows as http[0] of a VirtualService at a plaintext Gateway; a Service web is there. */
#define GATEWAY                                                                                    \
	"{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g}, spec: "          \
	"{servers: [{port: {number: 80, protocol: HTTP}, hosts: ['*']}]}}\n---\n"
#define SERVICE                                                                                    \
	"{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}\n"    \
	"---\n"
static void
check_http(const struct row *rows, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++) {
		char text[4096];
		snprintf(text, sizeof(text),
			 GATEWAY SERVICE
			 "{apiVersion: networking.istio.io/v1, kind: VirtualService, "
			 "metadata: {name: v}, spec: {hosts: [a.example], gateways: "
			 "[g], http: [{%s}]}}\n",
			 rows[i].field);
		if (!import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1"))
			continue;
		check_row(&rows[i]);
		done();
	}
}
#define TO "route: [{destination: {host: web}}]"

static void
matches_keep_their_meaning(void)
{
	static const struct row rows[] = {
		{"match: [{uri: {exact: /a}}], " TO, "path = \"/a\";", NULL, "exact"},
		{"match: [{uri: {prefix: /a}}], " TO, "path_regex = \"/a.*\";", NULL,
		 "a prefix of the text, not of segments"},
		{"match: [{uri: {prefix: /a/}}], " TO, "path_regex = \"/a/.*\";", NULL, "not /a"},
		{"match: [{uri: {prefix: /a.b}}], " TO, "path_regex = \"/a\\\\.b.*\";", NULL,
		 "a dot is a dot"},
		{"match: [{uri: {prefix: /}}], " TO, "!path", NULL, "every path"},
		{"match: [{uri: {regex: '/a|/b'}}], " TO, "path_regex = \"/a|/b\";", NULL, "regex"},
		{"match: [{uri: {exact: '/a{b}'}}], " TO, "path_regex = \"/a\\\\{b\\\\}\";", NULL,
		 "braces are a template's"},
		{"match: [{uri: {exact: /a/../b}}], " TO, "!service = \"web",
		 "no request is matched", "no path has this form"},
		{"match: [{uri: {exact: /a//b}}], " TO, "path = \"/a//b\";", NULL,
		 "slashes are kept"},
		{"match: [{uri: {exact: /a}, ignoreUriCase: true}], " TO, "ignore_case = true;",
		 NULL, "case"},
		{"match: [{method: {exact: GET}}], " TO, "methods = ( \"GET\" )", NULL, "method"},
		{"match: [{method: {exact: BREW}}], " TO, "!service = \"web",
		 "no method that routes know", "a match is not widened"},
		{"match: [{headers: {x: {prefix: a}}}], " TO, "{ name = \"x\"; prefix = \"a\"; }",
		 NULL, "header"},
		{"match: [{headers: {x: {}}}], " TO, "{ name = \"x\"; present = true; }", NULL,
		 "presence"},
		{"match: [{withoutHeaders: {x: {exact: a}}}], " TO,
		 "{ name = \"x\"; exact = \"a\"; invert = true; }", NULL, "absence"},
		{"match: [{headers: {':path': {exact: /a}}}], " TO, "!service = \"web",
		 "match it by uri", "a pseudo-header"},
		{"match: [{queryParams: {q: {regex: 'a+'}}}], " TO,
		 "{ name = \"q\"; regex = \"a+\"; }", NULL, "query"},
		{"match: [{scheme: {exact: https}}], " TO, "!service = \"web", "no listener takes",
		 "the listener has plaintext"},
		{"match: [{scheme: {exact: http}}], " TO, "service = \"web", NULL, "scheme"},
		{"match: [{port: 81}], " TO, "!service = \"web", "no listener takes",
		 "another port"},
		{"match: [{gateways: [other]}], " TO, "!service = \"web", "no listener takes",
		 "another gateway"},
		{"match: [{authority: {exact: a.example}}], " TO, "service = \"web", NULL,
		 "its host"},
		{"match: [{authority: {exact: b.example}}], " TO, "!service = \"web",
		 "no listener takes", "another host"},
		{"match: [{sourceLabels: {a: b}}], " TO, "!service = \"web", "labels of who calls",
		 "a match is not widened"},
		{"match: [{sourceNamespace: ns}], " TO, "regex = \"spiffe://[^/]+/ns/ns/sa/.+\"",
		 "the client's certificate", "the nearest thing"},
		{"match: [{uri: {prefix: /b}}, {uri: {exact: /a}}], " TO, "name = \"v-0-2\"", NULL,
		 "a route for each match"},
		{"match: [{magic: 1}], " TO, "service = \"web", "match[0].magic: left out",
		 "what is not known is told"},
	};

	check_http(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
actions_keep_their_meaning(void)
{
	static const struct row rows[] = {
		{TO, "timeout = \"0s\"", NULL, "none by default"},
		{TO, "retry = { attempts = 2; on = ( \"connect\", \"reused\" ); }", NULL,
		 "Istio's default"},
		{TO ", retries: {attempts: 0}", "attempts = 0;", NULL, "none"},
		{TO ", retries: {attempts: 3, retryOn: 'gateway-error,503'}",
		 "on = ( \"gateway-error\", \"codes\", \"reused\" ); codes = ( 503 );", NULL,
		 "words"},
		{TO ", retries: {perTryTimeout: 2s, retryOn: 5xx}", "\"timeout\"", NULL,
		 "a try that is late is tried again"},
		{TO ", timeout: 1s, retries: {perTryTimeout: 2s}", "!try_timeout", NULL,
		 "the whole ends before"},
		{TO ", timeout: soon", "timeout = \"0s\"", "is no duration", "no value is guessed"},
		{TO ", timeout: 1m30.5s", "timeout = \"90500ms\"", NULL, "durations"},
		{"redirect: {uri: /x}", "redirect = { code = 301; path = \"/x\"; }", NULL,
		 "default code"},
		{"redirect: {scheme: https, redirectCode: 307}",
		 "redirect = { code = 307; https = true; }", NULL, "scheme"},
		{"redirect: {}", "respond = { code = 404; }", "where the client is already",
		 "a loop"},
		{"directResponse: {status: 204}", "respond = { code = 204; }", NULL, "no body"},
		{"directResponse: {status: 200, body: {bytes: aGk=}}", "body = \"hi\"", NULL,
		 "base64"},
		{"match: [{uri: {exact: /a}}], rewrite: {uri: /b}, " TO,
		 "rewrite = { path = \"/b\"; }", NULL, "an exact path becomes another"},
		{"match: [{uri: {prefix: /a}}], rewrite: {uri: /b}, " TO,
		 "rewrite = { prefix = \"/b\"; }", "paths that go on within the segment",
		 "a prefix is replaced by segments, which is told"},
		{"match: [{uri: {prefix: /}}], rewrite: {uri: /b/}, " TO, "prefix = \"/\";", NULL,
		 "put before every path"},
		{TO ", rewrite: {authority: in.example}", "rewrite = { host = \"in.example\"; }",
		 NULL, "host"},
		{TO ", mirror: {host: web}", "mirror = ( { service = \"web.default-80\"; } )", NULL,
		 "all"},
		{TO ", mirrors: [{destination: {host: web}, percentage: {value: 0.5}}]",
		 "percent = \"0.5\"", NULL, "a share"},
		{"route: [{destination: {host: web}, weight: 1}, {destination: {host: web}, "
		 "weight: 2}]",
		 "service = \"web.default-80\";", NULL, "shares of one service add up"},
		{"route: [{destination: {host: web, subset: s}}]", "subset=unknown",
		 "no labels are known", "503, as Istio would"},
		{"route: []", "respond = { code = 503; }", "leads nowhere", "nobody"},
		{TO ", headers: {request: {set: {a: b}, remove: [c]}}",
		 "request_headers = ( { remove = \"c\"; }, { set = \"a\"; value = \"b\"; } )", NULL,
		 "removed before set"},
		{TO ", headers: {request: {set: {content-length: '1'}}}", "!content-length",
		 "the gateway writes itself", "not for edits"},
		{TO ", headers: {response: {set: {a: '50%%'}}}", "value = \"50%\"", NULL,
		 "a percent sign"},
		{TO ", fault: {abort: {httpStatus: 503, percentage: {value: 10}}}",
		 "abort = { percent = \"10\"; status = 503; }", NULL, "fault"},
		{TO ", fault: {delay: {fixedDelay: 2s}}", "!policy = {", NULL, "of no request"},
		{TO ", fault: {delay: {fixedDelay: 2s, percent: 100}}",
		 "delay = { time = \"2s\"; }", NULL, "the older number"},
		{TO ", corsPolicy: {allowOrigins: [{exact: 'https://a.example'}], allowMethods: "
		    "[GET], "
		    "maxAge: 24h}",
		 "origins = ( \"https://a.example\" ); methods = ( \"GET\" ); max_age = "
		 "\"86400s\";",
		 NULL, "CORS"},
		{TO ", corsPolicy: {allowOrigins: [{regex: 'https://a.*'}]}", "!cors",
		 "names no origin", "a pattern is not guessed"},
		{TO ", corsPolicy: {allowOrigins: [{regex: '.*'}], allowCredentials: true}",
		 "origins = ( \"*\" )", "every site could act", "not with credentials"},
		{"directResponse: {status: 200}, fault: {delay: {fixedDelay: 1s, percentage: "
		 "{value: "
		 "1}}}",
		 "!delay = ", "nothing goes on later",
		 "nobody waits for the gateway's own answers"},
		{TO ", headers: {request: {set: {host: \"a\\tb\"}}}", "!rewrite", "host",
		 "a host that is none"},
		{TO ", delegate: {name: other}", "!service = \"web", "no such VirtualService",
		 "told"},
	};

	check_http(rows, sizeof(rows) / sizeof(rows[0]));
}

/* The rows as trafficPolicy of the Service web. */
static void
policies_keep_their_meaning(void)
{
	static const struct row rows[] = {
		{"", "policy = \"least_request\";", NULL, "Istio's default"},
		{"", "max_pending = 0;", NULL, "no limits by default"},
		{"", "ejection = { after = 0; }", NULL, "nobody is ejected by default"},
		{"loadBalancer: {simple: RANDOM}", "policy = \"random\";", NULL, "random"},
		{"loadBalancer: {simple: PASSTHROUGH}", "policy = \"least_request\";",
		 "in place of it", "told"},
		{"loadBalancer: {consistentHash: {useSourceIp: true}}", "hash = { source = true; }",
		 NULL, "hash"},
		{"loadBalancer: {consistentHash: {httpCookie: {name: c, ttl: 1h}}}",
		 "hash = { cookie = \"c\"; }", "no cookie is made", "told"},
		{"loadBalancer: {localityLbSetting: {enabled: true}}", "locality_failover = true;",
		 NULL, "locality"},
		{"loadBalancer: {warmupDurationSecs: 30s}", "slow_start = \"30s\";", NULL,
		 "warm-up"},
		{"connectionPool: {tcp: {maxConnections: 5}, http: {http1MaxPendingRequests: 6, "
		 "http2MaxRequests: 7, maxRetries: 8}}",
		 "max_connections = 5;", NULL, "limits"},
		{"connectionPool: {http: {http2MaxRequests: 4294967295}}",
		 "max_requests = 2147483647;", "goes from", "more than there can be"},
		{"connectionPool: {http: {http2MaxRequests: 0}}", "max_requests = 1;",
		 "0 would be no limit", "0 is not without a limit"},
		{"outlierDetection: {}", "ejection = { after = 5; }", NULL,
		 "defaults of what is there"},
		{"outlierDetection: {consecutiveGatewayErrors: 4, splitExternalLocalOriginErrors: "
		 "true}",
		 "gateway_after = 4; local_after = 5; split_local = true;", NULL,
		 "kinds of failures"},
		{"tls: {mode: SIMPLE, insecureSkipVerify: true}", "verify = false;", NULL,
		 "not verified"},
		{"tls: {mode: ISTIO_MUTUAL, subjectAltNames: ['spiffe://td/ns/a/sa/b']}",
		 "names = ( \"spiffe://td/ns/a/sa/b\" )", NULL, "identities"},
		{"portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: ROUND_ROBIN}}]",
		 "policy = \"round_robin\";", NULL, "of a port"},
		{"tunnel: {targetHost: x}", "name = \"web.default-80\"",
		 "trafficPolicy.tunnel: left out", "told"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4096];
		snprintf(text, sizeof(text),
			 SERVICE
			 "{apiVersion: networking.istio.io/v1, kind: DestinationRule, metadata: "
			 "{name: d}, spec: {host: web, trafficPolicy: {%s}}}\n",
			 rows[i].field);
		if (!import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1"))
			continue;
		check_row(&rows[i]);
		done();
	}
}

/* The rows as spec of an AuthorizationPolicy of the Service web, which a route leads to. */
static void
rules_deny_no_less(void)
{
	static const struct row rows[] = {
		{"rules: [{from: [{source: {principals: [td/ns/a/sa/b]}}]}]",
		 "identities = ( \"spiffe://td/ns/a/sa/b\" )", NULL, "a principal is an identity"},
		{"rules: [{to: [{operation: {paths: [/a, /b*]}}]}]", "paths = ( \"/a\", \"/b*\" )",
		 NULL, "paths"},
		{"rules: [{}]", "default = \"deny\";", NULL, "what no rule allows is denied"},
		{"{}", "default = \"deny\";", NULL, "no rule: nothing is allowed"},
		{"action: DENY, rules: [{}]", "default = \"allow\";", NULL,
		 "what no rule denies is allowed"},
		{"action: DENY, rules: [{from: [{source: {ipBlocks: [10.0.0.1]}}, {source: "
		 "{ipBlocks: "
		 "[10.0.0.2]}}], "
		 "to: [{operation: {methods: [PUT]}}]}]",
		 "name = \"p-0-2\"; action = \"deny\"", NULL,
		 "a rule for each source and operation"},
		{"rules: [{when: [{key: destination.ip, values: [10.0.0.1]}]}]",
		 "!action = \"allow\"", "the rule allows nothing",
		 "an ALLOW goes with what it cannot say"},
		{"action: DENY, rules: [{to: [{operation: {methods: [PUT], ports: ['1']}}]}]",
		 "action = \"deny\"; methods = ( \"PUT\" );", "denies without it", "a DENY stays"},
		{"action: DENY, rules: [{to: [{operation: {paths: ['/a/../b']}}]}]",
		 "action = \"deny\"; }", "denies without it", "a path that no request has"},
		{"rules: [{when: [{key: 'request.headers[x]', values: [a, b*]}]}]",
		 "regex = \"a|b.*\"", NULL, "one of several values"},
		{"action: AUDIT, rules: [{}]", "action = \"audit\"", NULL, "audit"},
		{"action: CUSTOM, rules: [{to: [{operation: {methods: [PUT]}}]}]",
		 "action = \"deny\"; methods = ( \"PUT\" )", "denied: nobody else is asked here",
		 "whom others would have to let through nobody does"},
		{"action: DENY, rules: [{from: [{source: {namespaces: [a]}}]}]",
		 "action = \"deny\"; }", "who calls is not known", "callers without a certificate"},
		{"rules: [{from: [{source: {notPrincipals: [td/ns/a/sa/b]}}]}]",
		 "name = \"p.default\"; default = \"deny\"; rules = ( ); }",
		 "who calls is not known", "nor are they not somebody"},
		{"selector: {matchLabels: {app: other}}, rules: [{}]",
		 "authorization = ( \"p.default\" )", "may have these labels",
		 "a workload of which nothing is known"},
		{"action: DENY, rules: [{when: [{key: 'request.auth.claims[group]', values: "
		 "[staff]}]}]",
		 "action = \"deny\"; }", "denies without it", "claims that are never there"},
		{"action: AUDIT, rules: [{when: [{key: request.auth.audiences, values: [a]}]}]",
		 "action = \"audit\"; }", "denies without it", "so with audits"},
		{"rules: [{when: [{key: 'request.auth.claims[group]', notValues: [guest]}]}]",
		 "!action = \"allow\"", "the rule allows nothing",
		 "that a claim is not there is no reason to allow"},
		{"rules: [{when: [{key: request.auth.presenter, notValues: [a]}]}]",
		 "!action = \"allow\"", "the rule allows nothing", "nor of the presenter"},
		{"action: DENY, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]",
		 "action = \"deny\"; }", "no issuer of tokens", "principals are claims"},
		{"rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]",
		 "!action = \"allow\"", "no issuer of tokens", "and their absence"},
		{"rules: [{when: [{key: request.auth.principal, notValues: ['i/s']}]}]",
		 "!action = \"allow\"", "no issuer of tokens", "by their other name"},
		{"action: DENY, rules: [{when: [{key: 'request.auth.claims[scope]', values: "
		 "[write]}]}]",
		 "action = \"deny\"; }", "denies without it", "one of a list of scopes"},
		{"rules: [{when: [{key: 'request.auth.claims[permission]', notValues: [write]}]}]",
		 "!action = \"allow\"", "the rule allows nothing", "none of a list of permissions"},
		{"rules: [{from: [{source: {namespaces: a}}]}]", "!action = \"allow\"",
		 "is no list", "one that is no list is not passed over"},
		{"rules: [{when: [{key: source.ip}]}]", "!action = \"allow\"", "asks for no value",
		 "nor a condition without values"},
		{"rules: [{to: [{operation: {paths: ['/a/{*}/b', '/c/{**}']}}]}]",
		 "paths = ( \"/a/{*}/b\", \"/c/{**}\" )", NULL, "templates"},
		{"action: DENY, rules: [{to: [{operation: {paths: ['/%7E/{*}']}}]}]",
		 "action = \"deny\"; }", "denies without it", "a code that no request keeps"},
		{"action: DENY, rules: [{to: [{operation: {paths: ['/a//{*}']}}]}]",
		 "action = \"deny\"; }", "denies without it", "slashes that no request keeps"},
		{"action: DENY, rules: [{to: [{operation: {paths: ['/a/../{**}']}}]}]",
		 "action = \"deny\"; }", "denies without it", "a way up that no request keeps"},
		{"rules: [{to: [{operation: {paths: ['/a/{name}']}}]}]", "!action = \"allow\"",
		 "the rule allows nothing", "braces that are Istio's text"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4096];
		const char *field = strcmp(rows[i].field, "{}") ? rows[i].field : "";
		snprintf(text, sizeof(text),
			 GATEWAY SERVICE "{apiVersion: networking.istio.io/v1, kind: "
					 "VirtualService, metadata: {name: v}, "
					 "spec: {hosts: [a.example], gateways: [g], http: [{" TO
					 "}]}}\n---\n"
					 "{apiVersion: security.istio.io/v1, kind: "
					 "AuthorizationPolicy, metadata: {name: p}, "
					 "spec: {%s}}\n",
			 field);
		if (!import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1"))
			continue;
		check_row(&rows[i]);
		done();
	}
}

/* The rows as specs of a RequestAuthentication (of the issuer "https://i.test" unless it says so) and an AuthorizationPolicy of the
 * Service web. */
#define ISSUER "issuer: 'https://i.test', jwksUri: 'https://i.test/keys'"
static void
tokens_ask_no_less(void)
{
	static const struct {
		const char *rule, *policy;
		struct row r;
	} rows[] = {
		{ISSUER, NULL, {"", "issuer = \"https://i.test\";", NULL, "an issuer"}},
		{ISSUER,
		 NULL,
		 {"", "from = ( \"bearer\", \"query:access_token\" )", NULL, "Istio's places"}},
		{ISSUER, NULL, {"", "forward = false;", NULL, "endpoints do not see it"}},
		{ISSUER ", forwardOriginalToken: true, audiences: [a, b]",
		 NULL,
		 {"", "audiences = ( \"a\", \"b\" );", NULL, "audiences"}},
		{ISSUER ", fromHeaders: [{name: Authorization, prefix: 'Bearer '}, {name: X-T}], "
			"fromParams: [t], fromCookies: [c]",
		 NULL,
		 {"", "from = ( \"bearer\", \"header:x-t\", \"query:t\", \"cookie:c\" )", NULL,
		  "places"}},
		{ISSUER ", fromHeaders: [{name: x-t, prefix: 'Token '}]",
		 NULL,
		 {"", "authorization = ( \"nobody\" )", "denied: tokens behind a text",
		  "a place that is lost leaves nothing open"}},
		{ISSUER ", fromHeaders: [{name: Authorization}]",
		 NULL,
		 {"", "from = ( \"header:authorization\" )", NULL, "a token alone"}},
		{ISSUER ", outputClaimToHeaders: [{header: x-user, claim: sub}], "
			"outputPayloadToHeader: x-all",
		 NULL,
		 {"", "claim_headers = ( { claim = \"sub\"; header = \"x-user\"; } )", NULL,
		  "claims to headers"}},
		{ISSUER ", outputClaimToHeaders: [{header: host, claim: sub}]",
		 NULL,
		 {"", "authorization = ( \"nobody\" )", "denied: is a claim or header",
		  "a client's own would stay"}},
		{"issuer: x, jwks: '{\"keys\": []}'",
		 NULL,
		 {"", "jwks = \"file:/tables/ra.default-0.jwks.json\"", NULL, "keys beside it"}},
		{"issuer: x",
		 NULL,
		 {"", "jwks = \"file:/tables/ra.default-0.jwks.json\"", "changed: keys are fetched",
		  "keys that are asked for elsewhere"}},
		{"issuer: x, jwksUri: 'http://far.test/k'",
		 NULL,
		 {"", "jwks = \"file:/tables/ra.default-0.jwks.json\"",
		  "all its tokens are refused", "keys in plaintext"}},
		{"jwksUri: 'https://i.test/keys'",
		 NULL,
		 {"", "authorization = ( \"nobody\" )", "denied: an issuer has a name",
		  "nobody's"}},
		{ISSUER,
		 "rules: [{from: [{source: {requestPrincipals: ['*']}}]}]",
		 {"", "claims = ( { name = \"sub\"; regex = \".+\"; } )", NULL, "any token"}},
		{ISSUER,
		 "rules: [{from: [{source: {requestPrincipals: ['https://i.test/a/b']}}]}]",
		 {"",
		  "{ name = \"iss\"; exact = \"https://i.test\"; }, { name = \"sub\"; exact = "
		  "\"a/b\"; }",
		  NULL, "issuer and subject, which may have a slash"}},
		{ISSUER,
		 "rules: [{from: [{source: {requestPrincipals: ['https://i.test/*']}}]}]",
		 {"",
		  "{ name = \"iss\"; exact = \"https://i.test\"; }, { name = \"sub\"; regex = "
		  "\".+\"; }",
		  NULL, "any subject of it"}},
		{ISSUER,
		 "rules: [{from: [{source: {requestPrincipals: ['*test/a']}}]}]",
		 {"", "name = \"p-0-2\"", NULL, "an end that may be of both, or of the subject"}},
		{ISSUER,
		 "rules: [{from: [{source: {requestPrincipals: ['https://j.test/a']}}]}]",
		 {"", "!action = \"allow\"", NULL, "nobody's token here"}},
		{ISSUER,
		 "action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]",
		 {"", "claims = ( { name = \"sub\"; regex = \".+\"; invert = true; } )", NULL,
		  "who has no token"}},
		{ISSUER,
		 "action: DENY, rules: [{from: [{source: {notRequestPrincipals: "
		 "['https://i.test/a']}}]}]",
		 {"", "claims = ( { name = \"iss\"; exact = \"https://i.test\"; invert = true; } )",
		  NULL, "who has none of the issuer"}},
		{ISSUER,
		 "action: DENY, rules: [{from: [{source: {notRequestPrincipals: "
		 "['https://i.test/a']}}]}]",
		 {"", "{ name = \"sub\"; exact = \"a\"; invert = true; }", NULL,
		  "or another of the issuer"}},
		{ISSUER,
		 "rules: [{from: [{source: {notRequestPrincipals: ['https://i.test/*']}}]}]",
		 {"", "claims = ( { name = \"iss\"; exact = \"https://i.test\"; invert = true; } )",
		  NULL, "allowed is who has none"}},
		{ISSUER,
		 "action: DENY, rules: [{when: [{key: request.auth.principal, values: ['*']}]}]",
		 {"", "claims = ( { name = \"iss\"; present = true; } )", NULL,
		  "denied is any token"}},
		{ISSUER,
		 "rules: [{when: [{key: 'request.auth.claims[realm][groups]', values: [staff, "
		 "'ops*']}]}]",
		 {"", "claims = ( { name = \"realm.groups\"; regex = \"staff|ops.*\"; } )", NULL,
		  "a claim in a claim"}},
		{ISSUER,
		 "rules: [{when: [{key: 'request.auth.claims[scope]', values: [write]}]}]",
		 {"", "{ name = \"scope\"; regex = \"(.* )?write( .*)?\"; }", NULL,
		  "one of a list of scopes"}},
		{ISSUER ", spaceDelimitedClaims: [roles]",
		 "rules: [{when: [{key: 'request.auth.claims[roles]', notValues: [guest]}]}]",
		 {"", "{ name = \"roles\"; regex = \"(.* )?guest( .*)?\"; invert = true; }", NULL,
		  "or of another list"}},
		{ISSUER,
		 "rules: [{when: [{key: request.auth.audiences, values: [a]}, {key: "
		 "request.auth.presenter, values: [b]}]}]",
		 {"", "{ name = \"aud\"; exact = \"a\"; }, { name = \"azp\"; exact = \"b\"; }",
		  NULL, "for whom, and from whom"}},
		{ISSUER,
		 "rules: [{when: [{key: 'request.auth.claims[a', values: [b]}]}]",
		 {"", "!action = \"allow\"", "is of nothing that rules know", "half a claim"}},
		{ISSUER,
		 "rules: [{when: [{key: 'request.auth.claims[a]', values: ['b*c']}]}]",
		 {"", "!action = \"allow\"", "has a value", "a star within"}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4096];
		snprintf(
			text, sizeof(text),
			"{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g, "
			"namespace: edge}, spec: {servers: [{port: {number: 80, protocol: HTTP}, "
			"hosts: ['*/*']}]}}\n---\n" SERVICE
			"{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: "
			"{name: v}, "
			"spec: {hosts: [a.example], gateways: [edge/g], http: [{" TO "}]}}\n---\n"
			"{apiVersion: security.istio.io/v1, kind: RequestAuthentication, metadata: "
			"{name: ra}, spec: {jwtRules: [{%s}]}}\n---\n"
			"{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: "
			"{name: p}, spec: {%s}}\n",
			rows[i].rule, rows[i].policy ? rows[i].policy : "action: DENY");
		struct row r = rows[i].r;
		r.field = rows[i].policy ? rows[i].policy : rows[i].rule;
		if (!import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1"))
			continue;
		check_row(&r);
		done();
	}
}

/* The rows as spec of a VirtualService at a Gateway of TLS that is passed on (443), of TCP (7), and at the mesh (a Service db of TCP). */
static void
connections_take_no_more(void)
{
	static const struct row rows[] = {
		{"tls: [{match: [{sniHosts: [a.example, '*.b.example']}], " TO "}]",
		 "{ name = \"a.example\"; service = \"web.default-80\"; }",
		 "no route leads anywhere from it", "by name"},
		{"tls: [{match: [{sniHosts: [a.example, '*.b.example']}], " TO "}]",
		 "{ name = \"*.b.example\"; service = \"web.default-80\"; }",
		 "no route leads anywhere from it", "and by what is below"},
		{"tcp: [{match: [{port: 7}], " TO "}]", "service = \"web.default-80\";",
		 "no route leads anywhere from it", "all"},
		{"tcp: [{match: [{port: 8}], " TO "}]",
		 "!service = ", "no route leads anywhere from it", "of another port"},
		{"tls: [{match: [{sniHosts: [a.example], sourceLabels: {a: b}}], " TO "}]",
		 "!server_names", "its match is left out", "labels"},
		{"tcp: [{match: [{sourceNamespace: x}], " TO "}]",
		 "!service = ", "its match is left out", "namespaces"},
		{"tcp: [{match: [{destinationSubnets: [10.0.0.0/8]}], " TO "}]",
		 "!service = ", "its match is left out", "where they come to"},
		{"tcp: [{match: [{sourceSubnet: 10.0.0.0/8}], " TO "}]",
		 "!service = ", "its match is left out", "where they are from"},
		{"tcp: [{route: [{destination: {host: web}, weight: 1}, {destination: {host: "
		 "other}, "
		 "weight: 2}]}]",
		 "service = \"other.default\";", "are not split", "the heaviest"},
		{"hosts: [db], gateways: [mesh], tcp: [{route: [{destination: {host: db}}]}]",
		 "name = \"mesh-5432\"", "no route leads anywhere from it", "of the mesh"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4096];
		snprintf(text, sizeof(text),
			 "{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g}, "
			 "spec: {servers: [{port: {number: 443, protocol: TLS}, tls: {mode: "
			 "PASSTHROUGH}, hosts: ['*']}, {port: {number: 7, protocol: TCP}, hosts: "
			 "['*']}]}}\n---\n" SERVICE
			 "{apiVersion: v1, kind: Service, metadata: {name: db}, spec: {ports: "
			 "[{name: tcp-db, port: 5432}]}}\n---\n"
			 "{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: "
			 "{name: v}, spec: {%s%s}}\n",
			 strstr(rows[i].field, "hosts:") == rows[i].field
				 ? ""
				 : "hosts: ['*'], gateways: [g], ",
			 rows[i].field);
		if (!import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1,203.0.113.2"))
			continue;
		check_row(&rows[i]);
		done();
	}
}

/* ---- whose rules ---- */

#define WORKLOAD(name, labels)                                                                     \
	"{apiVersion: v1, kind: Service, metadata: {name: " name "}, spec: {selector: {" labels    \
	"}, ports: [{port: 80}]}}\n---\n"
#define LEADS(http)                                                                                \
	"{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v}, spec: "   \
	"{hosts: [a.example], gateways: [g], http: [{" http "}]}}\n---\n"
#define SHARES                                                                                     \
	LEADS("route: [{destination: {host: a}, weight: 1}, {destination: {host: b}, weight: 1}]")
#define POLICY(name, spec)                                                                         \
	"{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: " name     \
	"}, spec: {" spec "}}\n---\n"
#define OF(labels) "selector: {matchLabels: {" labels "}}, "
#define PAIR WORKLOAD("a", "app: a") WORKLOAD("b", "app: b") SHARES
#define GATE(name)                                                                                 \
	"{apiVersion: networking.istio.io/v1, kind: Gateway, metadata: {name: g, namespace: " name \
	"}, spec: {selector: {istio: door}, servers: [{port: {number: 80, protocol: HTTP}, "       \
	"hosts: ['*/*']}]}}\n---\n"
#define POLICY_IN(space, name, spec)                                                               \
	"{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: "                 \
	"{namespace: " space ", name: " name "}, spec: {" spec "}}\n---\n"

/* field: the policies, with who they may be for. */
static void
policies_judge_their_own(void)
{
	static const struct row rows[] = {
		{PAIR POLICY("one", OF("app: a") "rules: [{}]")
			 POLICY("two", OF("app: b") "rules: []"),
		 "authorization = ( \"one.default\", \"two.default\" )", NULL,
		 "what one workload allows, another does not"},
		{PAIR POLICY("one", "rules: [{}]"), "authorization = ( \"one.default\" )", NULL,
		 "one set of both, once"},
		{PAIR POLICY("one", "rules: [{}]") POLICY("two", OF("app: b") "rules: [{}]"),
		 "authorization = ( \"one.default\", \"one.default_two.default\" )", NULL,
		 "policies of one workload are one set"},
		{GATE("x") GATE("y") WORKLOAD("a", "app: a") POLICY_IN("x", "one", "rules: [{}]")
			 POLICY_IN("y", "two", "rules: []"),
		 "authorization = ( \"one.x_gateway\", \"two.y_gateway\" )", NULL,
		 "Gateways likewise"},
		{WORKLOAD("a", "app: a") LEADS("route: [{destination: {host: a}}]")
			 POLICY("one", OF("app: a, tier: x") "action: DENY, rules: [{}]"),
		 "authorization = ( \"one.default\" )", "may have these labels",
		 "pods have labels that their Service does not ask for"},
		{WORKLOAD("a", "app: a") LEADS("route: [{destination: {host: a}}]")
			 POLICY("one", OF("app: b, tier: x") "action: DENY, rules: [{}]"),
		 "!authorization", "is of what it is for", "a label that is another"},
		{WORKLOAD("a", "app: a") LEADS("route: [{destination: {host: a}}]")
			 POLICY("one", "rules: [{}]") POLICY("two", OF("tier: x") "rules: [{}]"),
		 "authorization = ( \"one.default\", \"two.default\" )", "may have these labels",
		 "what may be an ALLOW of it opens nothing"},
		{LEADS("route: [{destination: {host: a}}]")
			 POLICY("one", OF("app: a") "action: DENY, rules: [{}]"),
		 "authorization = ( \"one.default\" )", "may have these labels",
		 "a Service that is not in the files"},
		{GATE("default") WORKLOAD("a", "app: a") LEADS("route: [{destination: {host: a}}]")
			 POLICY("one", OF("istio: door") "action: DENY, rules: [{}]"),
		 "!\"one.default\"", NULL, "who has a Gateway's labels is its workload"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[8192];
		snprintf(text, sizeof(text), "%s%s",
			 strstr(rows[i].field, "istio: door") ? "" : GATEWAY, rows[i].field);
		if (!import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1"))
			continue;
		check_row(&rows[i]);
		done();
	}
}

/* A split over cnt services, each with a policy of its own. */
static void
split_over(unsigned cnt, struct row row)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(GATEWAY, f);
	for (unsigned i = 0; i < cnt; i++)
		fprintf(f, WORKLOAD("s%u", "app: s%u") POLICY("p%u", OF("app: s%u") "rules: [{}]"),
			i, i, i, i);
	fputs("{apiVersion: networking.istio.io/v1, kind: VirtualService, metadata: {name: v}, "
	      "spec: {hosts: [a.example], gateways: [g], http: [{route: [",
	      f);
	for (unsigned i = 0; i < cnt; i++)
		fprintf(f, "%s{destination: {host: s%u}, weight: 1}", i ? ", " : "", i);
	fputs("]}]}}\n", f);
	fclose(f);
	if (import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1")) {
		check_row(&row);
		done();
	}
	free(text);
}

/* cnt policies of one Service. */
static void
one_judged_by(unsigned cnt, struct row row)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fputs(GATEWAY SERVICE LEADS(TO), f);
	for (unsigned i = 0; i < cnt; i++)
		fprintf(f, POLICY("p%u", "action: DENY, rules: [{}]"), i);
	fclose(f);
	if (import(SL_IMPORT_ISTIO, "row", text, "203.0.113.1")) {
		check_row(&row);
		done();
	}
	free(text);
}

static void
sets_that_a_route_cannot_have_deny(void)
{
	split_over(8, (struct row){"8", "\"p7.default\"\n", NULL, "as many as there can be"});
	split_over(9, (struct row){"9", "authorization = ( \"nobody\" )", "more than 8 sets",
				   "one more: nobody passes"});
	split_over(9, (struct row){"9", "{ name = \"nobody\"; default = \"deny\"; rules = ( ); }",
				   "more than 8 sets", "a set that allows nothing"});
	one_judged_by(257, (struct row){"257", "authorization = ( \"nobody\" )",
					"more than 256 policies", "no DENY is passed over"});
}

/* ---- precedence ---- */

/* Two matches of the Gateway API: whichever stands first in the file, `first` is first in the table. */
static void
precedence_is_an_order(void)
{
	static const struct {
		const char *first, *second, *reason;
	} rows[] = {
		{"path: {type: Exact, value: /a}", "path: {value: /a/b/c}", "exact before prefix"},
		{"path: {value: /a/b}", "path: {value: /a}", "the longer prefix"},
		{"path: {value: /aa}", "path: {value: /b/}", "a slash at the end does not count"},
		{"path: {value: /a}, method: GET",
		 "path: {value: /a}, headers: [{name: x, value: y}]", "a method before headers"},
		{"headers: [{name: x, value: y}, {name: z, value: y}]",
		 "headers: [{name: x, value: y}], queryParams: [{name: q, value: r}]",
		 "more headers before more parameters"},
		{"queryParams: [{name: q, value: r}]", "path: {value: /}",
		 "a parameter before none"},
		{"path: {type: Exact, value: /a}", "path: {type: RegularExpression, value: /a.b.c}",
		 "regexes behind exact paths"},
		{"path: {type: RegularExpression, value: /a}", "path: {value: /a/b/c}",
		 "and before prefixes"},
	};

	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		const char *match[2] = {rows[i / 2].first, rows[i / 2].second};
		char text[4096];
		snprintf(text, sizeof(text),
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: "
			 "{name: g}, "
			 "spec: {listeners: [{name: l, port: 80, protocol: HTTP}]}}\n---\n"
			 "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: "
			 "{name: r}, "
			 "spec: {parentRefs: [{name: g}], rules: [{name: %s, matches: [{%s}]}, "
			 "{name: %s, matches: [{%s}]}]}}\n",
			 i % 2 ? "second" : "first", match[i % 2], i % 2 ? "first" : "second",
			 match[!(i % 2)]);
		if (!import(SL_IMPORT_GATEWAY_API, "row", text, "203.0.113.1"))
			continue;
		const char *a = strstr(result.table, "\"r-first\""),
			   *b = strstr(result.table, "\"r-second\"");
		if (!a || !b || a > b)
			printf("\n%s\n%s", rows[i / 2].reason, result.table);
		CU_ASSERT_TRUE(a && b && a < b);
		done();
	}
}

/* ---- who may refer to whom ---- */

#define API(kind, meta, spec)                                                                      \
	"{apiVersion: gateway.networking.k8s.io/v1, kind: " kind ", metadata: {" meta "}, spec: "  \
	"{" spec "}}\n---\n"
/* field: the spec of a ReferenceGrant of namespace b, to which a route of a leads. */
static void
grants_are_of_one_kind_and_name(void)
{
#define FROM "from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: a}], "
	static const struct row rows[] = {
		{FROM "to: [{group: '', kind: Service}]", "service = \"web.b-80\"", "no Service",
		 "all Services"},
		{FROM "to: [{group: '', kind: Service, name: web}]", "service = \"web.b-80\"",
		 "no Service", "this one"},
		{FROM "to: [{group: '', kind: Service, name: other}]", "code = 500",
		 "no ReferenceGrant", "another one"},
		{FROM "to: [{group: '', kind: Secret}]", "code = 500", "no ReferenceGrant",
		 "another kind"},
		{FROM "to: []", "code = 500", "no ReferenceGrant", "nothing"},
		{"from: [{group: gateway.networking.k8s.io, kind: TLSRoute, namespace: a}], to: "
		 "[{group: '', kind: Service}]",
		 "code = 500", "no ReferenceGrant", "from another kind"},
		{"from: [{group: other.example, kind: HTTPRoute, namespace: a}], to: [{group: '', "
		 "kind: Service}]",
		 "code = 500", "no ReferenceGrant", "from another group"},
		{"from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: c}], to: "
		 "[{group: '', kind: Service}]",
		 "code = 500", "no ReferenceGrant", "from elsewhere"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[4096];
		snprintf(text, sizeof(text),
			 API("Gateway", "name: g, namespace: a",
			     "listeners: [{name: l, port: 80, protocol: HTTP}]")
				 API("HTTPRoute", "name: r, namespace: a",
				     "parentRefs: [{name: g}], rules: [{backendRefs: [{name: web, "
				     "namespace: b, port: 80}]}]")
					 API("ReferenceGrant", "name: x, namespace: b", "%s"),
			 rows[i].field);
		if (!import(SL_IMPORT_GATEWAY_API, "row", text, "203.0.113.1"))
			continue;
		check_row(&rows[i]);
		done();
	}
}

/* ---- texts from outside ---- */

/* A name cannot leave its quotes or its comment. */
static void
names_stay_names(void)
{
	static const char text[] =
		GATEWAY SERVICE "apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
				"metadata: {name: \"x\\n}; evil = (\", namespace: \"default\"}\n"
				"spec: {hosts: [a.example], gateways: [g], http: [{name: \"a\\\"; "
				"b\", match: [{headers: "
				"{x: {exact: \"q\\\"; } \\\\ \"}}}], " TO "}]}\n";

	if (!import(SL_IMPORT_ISTIO, "we\nird.yaml", text, "203.0.113.1"))
		return;
	CU_ASSERT_PTR_NULL(strstr(result.table, "\n}; evil"));
	CU_ASSERT_PTR_NULL(strstr(result.table, "we\nird"));
	CU_ASSERT_PTR_NOT_NULL(strstr(result.table, "exact = \"q\\\"; } \\\\ \""));
	done();
}

/* A table that its own parser does not take is never called good. */
static void
a_bad_table_is_told(void)
{
	struct sl_import_file file = {"f", GATEWAY, strlen(GATEWAY)};
	struct sl_import_how how = {.addresses = "nowhere"};
	struct sl_diag diag = {0};

	CU_ASSERT_EQUAL_FATAL(sl_import_run(SL_IMPORT_ISTIO, &file, 1, &how, &diag, &result), 0);
	CU_ASSERT_FALSE(result.good);
	CU_ASSERT_TRUE(result.own.cnt == 1 && strstr(result.own.items[0].text, "nowhere"));
	sl_import_result_fini(&result);
}

/* What nobody reads is told: each node of a file is used, told, or below one that is. */
static void
nothing_goes_by_in_silence(void)
{
	static const char text[] =
		"apiVersion: networking.istio.io/v1\nkind: VirtualService\n"
		"metadata: {name: v, annotations: {team: a, sidecar.istio.io/x: b}}\n"
		"spec: {hosts: [web], exportTo: ['.'], http: [{route: [{destination: {host: web, "
		"zone: a}}], extra: {deep: [1]}}]}\nstatus: {x: y}\n";
	static const char *const told[] = {
		"metadata.annotations[\"sidecar.istio.io/x\"]: left out", "spec.exportTo: left out",
		"spec.http[0].route[0].destination.zone: left out", "spec.http[0].extra: left out"};

	if (!import(SL_IMPORT_ISTIO, "f", text, "203.0.113.1"))
		return;
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		CU_ASSERT_PTR_NOT_NULL(strstr(left, told[i]));
	CU_ASSERT_PTR_NULL(strstr(left, "status"));
	CU_ASSERT_PTR_NULL(strstr(left, "team"));
	CU_ASSERT_EQUAL(result.left.cnt[SL_LEFT_OUT], 4);
	done();
}

SL_SUITE("import", SL_TEST(files_become_these_tables), SL_TEST(matches_keep_their_meaning),
	 SL_TEST(actions_keep_their_meaning), SL_TEST(policies_keep_their_meaning),
	 SL_TEST(rules_deny_no_less), SL_TEST(tokens_ask_no_less),
	 SL_TEST(connections_take_no_more), SL_TEST(policies_judge_their_own),
	 SL_TEST(sets_that_a_route_cannot_have_deny), SL_TEST(precedence_is_an_order),
	 SL_TEST(grants_are_of_one_kind_and_name), SL_TEST(names_stay_names),
	 SL_TEST(a_bad_table_is_told), SL_TEST(nothing_goes_by_in_silence))
