/* Rules, from the words of a table to the verdict: as tables of request → answer, against spellings of a path that another program
 * may take for it, and against a model that shares nothing with what it is compared with. */
#include "compiled.h"

#include "l7/authz.h"
#include "l7/path.h"

#include <stdarg.h>
#include <strings.h>
#include <time.h>

/* ---- a set of rules as a worker has it ---- */

struct set {
	struct sl_conf *conf;
	struct pushed pushed;
	struct sl_view *view;
};

static struct set
set_of(const char *rules)
{
	static char text[1 << 20];
	struct set s;

	snprintf(text, sizeof(text),
		 "gateway = { name = \"t\"; }; authorization = ( { name = \"set\"; %s } );", rules);
	s.conf = conf_of(text);
	s.pushed = push(s.conf, NULL);
	CU_ASSERT(checks_pass(s.pushed.out));
	s.view = view_of(s.pushed.out);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s.view);
	CU_ASSERT_EQUAL_FATAL(s.view->authz_cnt, 1);
	return s;
}

static void
set_fini(struct set *s)
{
	sl_view_destroy(s->view);
	pushed_fini(&s->pushed);
	sl_conf_free(s->conf);
}

struct request {
	const char *head;     /* "GET /a HTTP/1.1\r\nHost: b\r\n", without the empty line */
	const char *identity; /* or NULL */
	const char *source;   /* NULL: 192.0.2.1 */
	const char *sni;      /* or NULL */
	const char *claims;   /* "name=value name=value", or NULL */
	unsigned port, hops;
	uint8_t slash_2f;
	bool no_merge;
};

enum answer { REFUSED, DENIED, ALLOWED };

static struct sl_bytes
bytes(const char *text)
{
	return text ? (struct sl_bytes){(const uint8_t *)text, (uint32_t)strlen(text)}
		    : (struct sl_bytes){0};
}

static uint32_t
claims_of(const char *text, struct sl_claim *to)
{
	uint32_t cnt = 0;

	while (text && *text) {
		const char *eq = strchr(text, '='), *end = strchr(eq, ' ');
		end = end ? end : eq + strlen(eq);
		to[cnt].name = (struct sl_bytes){(const uint8_t *)text, (uint32_t)(eq - text)};
		to[cnt++].value =
			(struct sl_bytes){(const uint8_t *)eq + 1, (uint32_t)(end - eq - 1)};
		text = *end ? end + 1 : end;
	}
	return cnt;
}

static struct sl_authz_verdict last;

/* As http_authz.c asks, from the bytes of a head on. */
static enum answer
ask(const struct set *s, const struct request *r)
{
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	static uint8_t path[8192], other[8192];
	static char head[8192];
	struct sl_http_head h;
	enum sl_http_bad why;
	struct sl_addr source;
	struct sl_claim claims[16];
	uint32_t len = (uint32_t)snprintf(head, sizeof(head), "%s\r\n", r->head);

	if (sl_http_request((const uint8_t *)head, len, 0, &limits, &h, &why) <= 0)
		return REFUSED;
	struct sl_bytes p = {h.bytes + h.path, h.path_len};
	uint32_t n;
	enum sl_path_verdict v =
		sl_path_normalise(p.at, p.len, r->slash_2f, !r->no_merge, path, &n);
	if (v == SL_PATH_REFUSED)
		return REFUSED;
	if (v == SL_PATH_CHANGED)
		p = (struct sl_bytes){path, n};
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(r->source ? r->source : "192.0.2.1", &source), 0);
	struct sl_addr remote = sl_authz_remote(&h, r->hops, &source);
	const struct sl_authz_who who = {.source = &source,
					 .remote = &remote,
					 .identity = bytes(r->identity),
					 .host = {h.bytes + h.host, h.host_len},
					 .sni = bytes(r->sni),
					 .port = (uint16_t)(r->port ? r->port : 80)};
	struct sl_authz_own own;
	sl_authz_own(&who, &own);
	const struct sl_match_input in = {.head = &h,
					  .path = p.at,
					  .path_len = p.len,
					  .identity = who.identity.at,
					  .identity_len = who.identity.len,
					  .own = own.own,
					  .own_cnt = own.cnt,
					  .claims = claims,
					  .claim_cnt = claims_of(r->claims, claims)};
	sl_authz_judge(&s->view->authz[0], &in, sl_authz_loose(p.at, p.len, other),
		       &s->view->scratch[0], &last);
	return last.denied ? DENIED : ALLOWED;
}

/* ---- request → answer ---- */

struct row {
	const char *rules;
	struct request r;
	enum answer want;
	const char *rule; /* that decides; NULL: none */
};

#define GET(path) "GET " path " HTTP/1.1\r\nHost: shop.example\r\n"
#define ALLOW(what) "rules = ( { name = \"a\"; action = \"allow\"; " what " } );"
#define DENY(what) "rules = ( { name = \"d\"; action = \"deny\"; " what " } );"
#define BOTH(deny, allow)                                                                          \
	"rules = ( { name = \"a\"; action = \"allow\"; " allow                                     \
	" }, { name = \"d\"; action = \"deny\"; " deny " } );"
#define WEB "spiffe://td/ns/prod/sa/web"
#define EVIL "spiffe://td/ns/evil/sa/x/ns/prod/sa/web"

static void
rows(const struct row *row, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++) {
		struct set s = set_of(row[i].rules);
		enum answer got = ask(&s, &row[i].r);
		const char *rule = got == REFUSED || last.rule == SL_MATCH_NONE
					   ? NULL
					   : sl_authz_rule(&s.view->authz[0], last.rule);
		bool ok = got == row[i].want && !rule == !row[i].rule &&
			  (!rule || strcmp(rule, row[i].rule) == 0);
		if (!ok)
			printf("\n  row %u: %d by %s\n  %s\n  %s", i, got, rule ? rule : "none",
			       row[i].rules, row[i].r.head);
		CU_ASSERT(ok);
		set_fini(&s);
	}
}

static void
rules_of_every_kind_answer_as_written(void)
{
	static const struct row table[] = {
		/* what decides when no rule does */
		{"", {.head = GET("/")}, ALLOWED, NULL},
		{"default = \"deny\";", {.head = GET("/")}, DENIED, "default"},
		{"default = \"allow\"; " DENY("paths = ( \"/x\" );"),
		 {.head = GET("/")},
		 ALLOWED,
		 NULL},
		{ALLOW("paths = ( \"/x\" );"), {.head = GET("/")}, DENIED, "default"},
		{ALLOW("paths = ( \"/x\" );"), {.head = GET("/x")}, ALLOWED, "a"},
		{DENY(""), {.head = GET("/")}, DENIED, "d"},
		/* deny before allow, whatever the order */
		{BOTH("paths = ( \"/x\" );", "paths = ( \"*\" );"),
		 {.head = GET("/x")},
		 DENIED,
		 "d"},
		{BOTH("paths = ( \"/x\" );", "paths = ( \"*\" );"),
		 {.head = GET("/y")},
		 ALLOWED,
		 "a"},
		/* identities */
		{ALLOW("identities = ( \"" WEB "\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 "a"},
		{ALLOW("identities = ( \"" WEB "\" );"), {.head = GET("/")}, DENIED, "default"},
		{ALLOW("identities = ( \"spiffe://td/*\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 "a"},
		{ALLOW("identities = ( \"*/sa/web\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 "a"},
		{ALLOW("identities = ( \"*\" );"),
		 {.head = GET("/"), .identity = "x.example"},
		 ALLOWED,
		 "a"},
		{ALLOW("identities = ( \"*\" );"), {.head = GET("/")}, DENIED, "default"},
		{DENY("not_identities = ( \"" WEB "\" );"), {.head = GET("/")}, DENIED, "d"},
		{DENY("not_identities = ( \"" WEB "\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 NULL},
		{ALLOW("namespaces = ( \"prod\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 "a"},
		{ALLOW("namespaces = ( \"pro\" );"),
		 {.head = GET("/"), .identity = WEB},
		 DENIED,
		 "default"},
		{ALLOW("namespaces = ( \"prod\" );"),
		 {.head = GET("/"), .identity = "spiffe://td/x/ns/prod/sa/web"},
		 DENIED,
		 "default"},
		{ALLOW("namespaces = ( \"prod\" );"),
		 {.head = GET("/"), .identity = "spiffe://td/ns/prod/sa/web/x"},
		 DENIED,
		 "default"},
		{ALLOW("trust_domains = ( \"td\" );"),
		 {.head = GET("/"), .identity = "spiffe://td/x"},
		 ALLOWED,
		 "a"},
		{ALLOW("trust_domains = ( \"td\" );"),
		 {.head = GET("/"), .identity = "https://td/x"},
		 DENIED,
		 "default"},
		{ALLOW("service_accounts = ( \"web\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 "a"},
		{ALLOW("service_accounts = ( \"prod/web\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 "a"},
		{ALLOW("service_accounts = ( \"dev/web\" );"),
		 {.head = GET("/"), .identity = WEB},
		 DENIED,
		 "default"},
		{ALLOW("service_accounts = ( \"prod/web\" );"),
		 {.head = GET("/"), .identity = EVIL},
		 DENIED,
		 "default"},
		{ALLOW("service_accounts = ( \"prod/web\" );"),
		 {.head = GET("/"), .identity = "/ns/prod/sa/web"},
		 DENIED,
		 "default"},
		{DENY("not_service_accounts = ( \"prod/web\" );"),
		 {.head = GET("/"), .identity = EVIL},
		 DENIED,
		 "d"},
		{DENY("not_service_accounts = ( \"prod/web\" );"),
		 {.head = GET("/"), .identity = WEB},
		 ALLOWED,
		 NULL},
		/* addresses: every length of a prefix has its alternatives */
		{ALLOW("addresses = ( \"192.0.2.0/24\" );"), {.head = GET("/")}, ALLOWED, "a"},
		{ALLOW("addresses = ( \"192.0.2.0/24\" );"),
		 {.head = GET("/"), .source = "192.0.3.1"},
		 DENIED,
		 "default"},
		{ALLOW("addresses = ( \"10.128.0.0/9\" );"),
		 {.head = GET("/"), .source = "10.200.1.1"},
		 ALLOWED,
		 "a"},
		{ALLOW("addresses = ( \"10.128.0.0/9\" );"),
		 {.head = GET("/"), .source = "10.127.1.1"},
		 DENIED,
		 "default"},
		{ALLOW("addresses = ( \"192.0.2.1\" );"), {.head = GET("/")}, ALLOWED, "a"},
		{ALLOW("addresses = ( \"0.0.0.0/0\" );"),
		 {.head = GET("/"), .source = "2001:db8::1"},
		 DENIED,
		 "default"},
		{ALLOW("addresses = ( \"2001:db8::/33\" );"),
		 {.head = GET("/"), .source = "2001:db8:7fff::1"},
		 ALLOWED,
		 "a"},
		{ALLOW("addresses = ( \"2001:db8::/33\" );"),
		 {.head = GET("/"), .source = "2001:db8:8000::1"},
		 DENIED,
		 "default"},
		{DENY("not_addresses = ( \"10.0.0.0/10\" );"),
		 {.head = GET("/"), .source = "10.63.0.1"},
		 ALLOWED,
		 NULL},
		{DENY("not_addresses = ( \"10.0.0.0/10\" );"),
		 {.head = GET("/"), .source = "10.64.0.1"},
		 DENIED,
		 "d"},
		/* x-forwarded-for: as far as it is believed */
		{ALLOW("remote_addresses = ( \"203.0.113.9\" );"),
		 {.head = GET("/") "X-Forwarded-For: 203.0.113.9\r\n"},
		 DENIED,
		 "default"},
		{ALLOW("remote_addresses = ( \"203.0.113.9\" );"),
		 {.head = GET("/") "X-Forwarded-For: 203.0.113.9\r\n", .hops = 1},
		 ALLOWED,
		 "a"},
		{ALLOW("remote_addresses = ( \"203.0.113.9\" );"),
		 {.head = GET("/") "X-Forwarded-For: 203.0.113.9, 198.51.100.1\r\n", .hops = 1},
		 DENIED,
		 "default"},
		{ALLOW("remote_addresses = ( \"203.0.113.9\" );"),
		 {.head = GET("/") "X-Forwarded-For: 1.1.1.1, 203.0.113.9\r\nX-Forwarded-For: "
				   "198.51.100.1\r\n",
		  .hops = 2},
		 ALLOWED,
		 "a"},
		{ALLOW("remote_addresses = ( \"192.0.2.1\" );"),
		 {.head = GET("/"), .hops = 1},
		 ALLOWED,
		 "a"},
		/* hosts */
		{ALLOW("hosts = ( \"shop.example\" );"), {.head = GET("/")}, ALLOWED, "a"},
		{ALLOW("hosts = ( \"*.example\" );"), {.head = GET("/")}, ALLOWED, "a"},
		{ALLOW("hosts = ( \"*.example\" );"),
		 {.head = "GET / HTTP/1.1\r\nHost: example\r\n"},
		 DENIED,
		 "default"},
		{ALLOW("hosts = ( \"Shop.Example\" );"),
		 {.head = "GET / HTTP/1.1\r\nHost: sHOP.example.:8080\r\n"},
		 ALLOWED,
		 "a"},
		{DENY("hosts = ( \"shop.example\" );"),
		 {.head = "GET http://SHOP.example./ HTTP/1.1\r\nHost: a\r\n"},
		 DENIED,
		 "d"},
		/* ports, methods, server names */
		{ALLOW("ports = ( 443, 80 );"), {.head = GET("/")}, ALLOWED, "a"},
		{ALLOW("ports = ( 443 );"), {.head = GET("/")}, DENIED, "default"},
		{DENY("not_ports = ( 443 );"), {.head = GET("/"), .port = 8443}, DENIED, "d"},
		{ALLOW("methods = ( \"GET\", \"HEAD\" );"), {.head = GET("/")}, ALLOWED, "a"},
		{ALLOW("methods = ( \"GET\" );"),
		 {.head = "PUT / HTTP/1.1\r\nHost: a\r\n"},
		 DENIED,
		 "default"},
		{ALLOW("methods = ( \"PURGE\" );"),
		 {.head = "PURGE / HTTP/1.1\r\nHost: a\r\n"},
		 ALLOWED,
		 "a"},
		{ALLOW("methods = ( \"GET\" );"),
		 {.head = "get / HTTP/1.1\r\nHost: a\r\n"},
		 DENIED,
		 "default"},
		{DENY("methods = ( \"DELETE\" );"),
		 {.head = "delete / HTTP/1.1\r\nHost: a\r\n"},
		 DENIED,
		 "d"},
		{DENY("methods = ( \"DELETE\" );"), {.head = GET("/")}, ALLOWED, NULL},
		{ALLOW("server_names = ( \"*.example\" );"),
		 {.head = GET("/"), .sni = "a.example"},
		 ALLOWED,
		 "a"},
		{ALLOW("server_names = ( \"*.example\" );"), {.head = GET("/")}, DENIED, "default"},
		/* paths: narrow where they allow, wide where they deny */
		{ALLOW("paths = ( \"/a\" );"), {.head = GET("/a/")}, DENIED, "default"},
		{ALLOW("paths = ( \"/a\" );"), {.head = GET("/A")}, DENIED, "default"},
		{ALLOW("paths = ( \"/a\" ); ignore_case = true;"),
		 {.head = GET("/A")},
		 ALLOWED,
		 "a"},
		{ALLOW("paths = ( \"/a/*\" );"), {.head = GET("/a")}, DENIED, "default"},
		{ALLOW("paths = ( \"/a/*\" );"), {.head = GET("/a/b")}, ALLOWED, "a"},
		{ALLOW("paths = ( \"/a*\" );"), {.head = GET("/abc")}, ALLOWED, "a"},
		{ALLOW("paths = ( \"/*\" );"), {.head = GET("/")}, ALLOWED, "a"},
		{ALLOW("paths = ( \"*.png\" );"), {.head = GET("/x.png")}, ALLOWED, "a"},
		{ALLOW("paths = ( \"/u/{id}/x\" );"), {.head = GET("/u/5/x")}, ALLOWED, "a"},
		{ALLOW("paths = ( \"/u/{*}/x\" );"), {.head = GET("/u/5/y")}, DENIED, "default"},
		{ALLOW("paths = ( \"/u/{**}\" );"), {.head = GET("/u/5/y")}, ALLOWED, "a"},
		{DENY("paths = ( \"/a\" ); ignore_case = false;"),
		 {.head = GET("/A")},
		 ALLOWED,
		 NULL},
		{ALLOW("not_paths = ( \"/a/*\" );"), {.head = GET("/b")}, ALLOWED, "a"},
		{ALLOW("not_paths = ( \"/a/*\" );"), {.head = GET("/a")}, DENIED, "default"},
		{ALLOW("not_paths = ( \"/a/*\" );"), {.head = GET("/A;x/b")}, DENIED, "default"},
		{DENY("not_paths = ( \"/pub/*\" );"), {.head = GET("/pub/x")}, ALLOWED, NULL},
		{DENY("not_paths = ( \"/pub/*\" );"), {.head = GET("/pub%2Fx")}, DENIED, "d"},
		{ALLOW("paths = ( \"/pkg/{name}\" );"),
		 {.head = GET("/pkg/%40s%2Fn")},
		 ALLOWED,
		 "a"},
		/* headers: a line alone counts where it denies */
		{ALLOW("headers = ( { name = \"x-r\"; exact = \"a\"; } );"),
		 {.head = GET("/") "X-R: a\r\n"},
		 ALLOWED,
		 "a"},
		{ALLOW("headers = ( { name = \"x-r\"; exact = \"a\"; } );"),
		 {.head = GET("/") "X-R: a\r\nX-R: b\r\n"},
		 DENIED,
		 "default"},
		{DENY("headers = ( { name = \"X-R\"; exact = \"a\"; } );"),
		 {.head = GET("/") "x-r: b\r\nX-r: a\r\n"},
		 DENIED,
		 "d"},
		{DENY("headers = ( { name = \"x-r\"; exact = \"b, a\"; } );"),
		 {.head = GET("/") "x-r: b\r\nX-r: a\r\n"},
		 DENIED,
		 "d"},
		{ALLOW("headers = ( { name = \"x-r\"; exact = \"a\"; invert = true; } );"),
		 {.head = GET("/") "x-r: b\r\nX-r: a\r\n"},
		 DENIED,
		 "default"},
		{ALLOW("headers = ( { name = \"x-r\"; exact = \"a\"; invert = true; } );"),
		 {.head = GET("/")},
		 ALLOWED,
		 "a"},
		{DENY("headers = ( { name = \"x-n\"; range = \"1-5\"; } );"),
		 {.head = GET("/") "x-n: 9\r\nx-n: 3\r\n"},
		 DENIED,
		 "d"},
		/* claims: any value */
		{ALLOW("claims = ( { name = \"g\"; exact = \"admin\"; } );"),
		 {.head = GET("/"), .claims = "g=user g=admin"},
		 ALLOWED,
		 "a"},
		{ALLOW("claims = ( { name = \"g\"; exact = \"admin\"; } );"),
		 {.head = GET("/"), .claims = "G=admin"},
		 DENIED,
		 "default"},
		{ALLOW("claims = ( { name = \"g\"; exact = \"user, admin\"; } );"),
		 {.head = GET("/"), .claims = "g=user g=admin"},
		 DENIED,
		 "default"},
		{ALLOW("claims = ( { name = \"r.s\"; prefix = \"ad\"; } );"),
		 {.head = GET("/"), .claims = "r.s=admin"},
		 ALLOWED,
		 "a"},
		{DENY("claims = ( { name = \"g\"; exact = \"admin\"; invert = true; } );"),
		 {.head = GET("/")},
		 DENIED,
		 "d"},
		{DENY("claims = ( { name = \"g\"; exact = \"admin\"; invert = true; } );"),
		 {.head = GET("/"), .claims = "g=user g=admin"},
		 ALLOWED,
		 NULL},
		{ALLOW("claims = ( { name = \"g\"; present = true; } );"),
		 {.head = GET("/") ":claim.g: x\r\n"},
		 REFUSED,
		 NULL},
		/* all keys of a rule, one value of each */
		{ALLOW("methods = ( \"GET\", \"PUT\" ); paths = ( \"/a\", \"/b\" ); hosts = ( "
		       "\"x\", \"shop.example\" );"),
		 {.head = GET("/b")},
		 ALLOWED,
		 "a"},
		{ALLOW("methods = ( \"GET\", \"PUT\" ); paths = ( \"/a\", \"/b\" ); hosts = ( "
		       "\"x\" );"),
		 {.head = GET("/b")},
		 DENIED,
		 "default"},
	};

	rows(table, SL_ARRAY_CNT(table));
}

/* By what of an identity: a listener of mode tcp may name the set. */
static void
sets_that_go_by_identities_are_for_connections_too(void)
{
	static const char *const each[] = {"identities", "namespaces", "trust_domains",
					   "service_accounts"};
	char text[256];

	for (unsigned i = 0; i < 2 * SL_ARRAY_CNT(each); i++) {
		snprintf(text, sizeof(text), ALLOW("%s = ( \"%s\" );"), each[i / 2],
			 i == 7 ? "a/b" : "b");
		struct set s = set_of(text);
		CU_ASSERT(s.view->authz[0].streams);
		set_fini(&s);
	}
	struct set s = set_of(ALLOW("paths = ( \"/a\" );"));
	CU_ASSERT(!s.view->authz[0].streams);
	set_fini(&s);
}

static void
rules_that_only_tell_decide_nothing(void)
{
	struct set s =
		set_of("rules = ( { name = \"w\"; action = \"audit\"; methods = ( \"PUT\" ); },"
		       " { name = \"d\"; action = \"deny\"; paths = ( \"/x\" ); },"
		       " { name = \"a\"; action = \"allow\"; } );");
	struct request r = {.head = "PUT /x HTTP/1.1\r\nHost: a\r\n"};

	CU_ASSERT_EQUAL(ask(&s, &r), DENIED);
	CU_ASSERT(last.audit != SL_MATCH_NONE && !last.told_only);
	r.head = "PUT /y HTTP/1.1\r\nHost: a\r\n";
	CU_ASSERT_EQUAL(ask(&s, &r), ALLOWED);
	CU_ASSERT_STRING_EQUAL(sl_authz_rule(&s.view->authz[0], last.audit), "w");
	r.head = GET("/y");
	CU_ASSERT_EQUAL(ask(&s, &r), ALLOWED);
	CU_ASSERT_EQUAL(last.audit, SL_MATCH_NONE);
	set_fini(&s);
	s = set_of("audit_only = true; " DENY("paths = ( \"/x\" );"));
	r.head = GET("/x");
	CU_ASSERT(ask(&s, &r) == DENIED && last.told_only);
	set_fini(&s);
}

/* ---- counters ---- */

static struct sl_stats_authz set_counts, rule_counts[SL_MAX_RULE_SLOTS];

static void
asked(const struct set *s, const char *head)
{
	const struct request r = {.head = head};

	CU_ASSERT(ask(s, &r) != REFUSED);
	sl_authz_count(&s->view->authz[0], &last, &set_counts, rule_counts);
}

/* Whether what is counted of a rule ("": of the set) is this. */
static bool
counted(const struct set *s, const char *rule, uint64_t allowed, uint64_t denied, uint64_t audited)
{
	struct sl_placed at = {0};
	bool there = !*rule || sl_slot_find_rule(&s->pushed.map, "set", rule, &at) == 0;
	const struct sl_stats_authz *c = *rule ? &rule_counts[at.slot] : &set_counts;

	return there && c->allowed == allowed && c->denied == denied && c->audited == audited;
}

static void
each_decision_counts_for_its_set_and_its_rule(void)
{
	struct set s = set_of(
		"rules = ( { name = \"a\"; action = \"allow\"; paths = ( \"/a*\", \"/b*\" ); },"
		" { name = \"w\"; action = \"audit\"; methods = ( \"PUT\" ); },"
		" { name = \"d\"; action = \"deny\"; paths = ( \"/a/x\", \"/b/x\" ); } );");

	memset(&set_counts, 0, sizeof(set_counts));
	memset(rule_counts, 0, sizeof(rule_counts));
	asked(&s, GET("/a"));
	asked(&s, GET("/b"));
	asked(&s, GET("/a/x"));
	asked(&s, GET("/b/x"));
	asked(&s, GET("/b/x;y"));
	asked(&s, GET("/c"));
	asked(&s, "PUT /a HTTP/1.1\r\nHost: a\r\n");
	asked(&s, "PUT /c HTTP/1.1\r\nHost: a\r\n");
	CU_ASSERT(counted(&s, "", 3, 5, 2));
	CU_ASSERT(counted(&s, "a", 3, 0, 0));
	CU_ASSERT(counted(&s, "d", 0, 3, 0));
	CU_ASSERT(counted(&s, "default", 0, 2, 0));
	CU_ASSERT(counted(&s, "w", 0, 0, 2));
	set_fini(&s);
	s = set_of("audit_only = true; " DENY("paths = ( \"/x\" );"));
	memset(&set_counts, 0, sizeof(set_counts));
	memset(rule_counts, 0, sizeof(rule_counts));
	asked(&s, GET("/x"));
	asked(&s, GET("/y")); /* no rule decides */
	CU_ASSERT(counted(&s, "", 1, 0, 1));
	CU_ASSERT(counted(&s, "d", 0, 0, 1));
	set_fini(&s);
}

/* Rules of one set, from r<first> on. */
static void
many_rules(FILE *f, unsigned first, unsigned cnt)
{
	fputs("rules = ( ", f);
	for (unsigned i = 0; i < cnt; i++)
		fprintf(f, "%s{name=\"r%u\";action=\"deny\";ports=(%u);}\n", i ? "," : "",
			first + i, i + 1);
	fputs(" );", f);
}

static struct sl_conf *
ended(FILE *f, const char *text)
{
	fputs(" } );", f);
	fputc(0, f);
	fflush(f);
	return conf_of(text);
}

/* The place that the first alternative of the set at a slot counts at, + 1. */
static uint32_t
first_place(const struct pushed *p, uint32_t set)
{
	for (uint32_t i = 0; i < p->out->cnt; i++) {
		const struct sl_obj_head *head = p->out->objs[i].bytes;
		if (head->kind != SL_OBJ_AUTHZ || set-- != 0)
			continue;
		const struct sl_img_vhost *v = (const void *)head;
		const struct sl_img_http_route *r = (const void *)((const char *)v + v->route_off);
		return r->slot;
	}
	return UINT32_MAX;
}

static void
rules_keep_their_counters_and_those_without_room_have_none(void)
{
	static char text[1 << 20];
	FILE *f = fmemopen(text, sizeof(text), "w");
	struct sl_placed was, now;

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs("gateway = { name = \"t\"; }; authorization = ( { name = \"b\"; ", f);
	many_rules(f, 0, SL_MAX_RULE_SLOTS - 1);
	long end = ftell(f);
	struct sl_conf *c = ended(f, text);
	struct pushed one = push(c, NULL);
	CU_ASSERT_EQUAL_FATAL(sl_slot_find_rule(&one.map, "b", "r7", &was), 0);
	CU_ASSERT_EQUAL(first_place(&one, 0), 1);
	sl_conf_free(c);
	fseek(f, end, SEEK_SET); /* a set that stands first by name: there is one place left */
	fputs(" }, { name = \"a\"; ", f);
	many_rules(f, 90000, 3);
	c = ended(f, text);
	fclose(f);
	struct pushed two = push(c, &one);
	CU_ASSERT(checks_pass(two.out));
	CU_ASSERT_EQUAL_FATAL(sl_slot_find_rule(&two.map, "b", "r7", &now), 0);
	CU_ASSERT(now.slot == was.slot && now.incarnation == was.incarnation);
	CU_ASSERT_EQUAL(sl_slot_find_rule(&two.map, "a", "r90000", &now), 0);
	CU_ASSERT_EQUAL(now.slot, SL_MAX_RULE_SLOTS - 1);
	CU_ASSERT_EQUAL(sl_slot_find_rule(&two.map, "a", "r90001", &now), -ENOENT);
	sl_conf_free(c);
	pushed_fini(&two);
	pushed_fini(&one);
}

/* ---- spellings ---- */

/* What endpoints somewhere take for /admin/keys.bak. */
static const char *const spellings[] = {
	"/admin/keys.bak",
	"//admin/keys.bak",
	"/admin//keys.bak",
	"/./admin/keys.bak",
	"/admin/./keys.bak",
	"/x/../admin/keys.bak",
	"/admin/x/../keys.bak",
	"/x/..//admin/keys.bak",
	"/%61dmin/keys.bak",
	"/adm%69n/keys%2ebak",
	"/admin%2Fkeys.bak",
	"/admin%2fkeys.bak",
	"/%2e/admin/keys.bak",
	"/x/%2e%2e/admin/keys.bak",
	"/x/%2E./admin/keys.bak",
	"/admin;a=1/keys.bak",
	"/admin;/keys.bak",
	"/admin/keys.bak;x",
	"/;a/admin/keys.bak",
	"/admin\\keys.bak",
	"\\admin\\keys.bak",
	"/admin%5Ckeys.bak",
	"/admin%5ckeys.bak",
	"/ADMIN/keys.bak",
	"/Admin/Keys.BAK",
	"/admin/keys.bak/",
	"/admin/keys.bak//",
	"/admin/keys.bak/.",
	"/admin/keys.bak?x=1",
	"/admin/keys.bak/?",
	"/%2561dmin/keys.bak",
	"/admin%252Fkeys.bak",
	"/x/%252e%252e/admin/keys.bak",
	"/admin/%6beys.b%61k",
	"/admin/x/%2e%2e/keys.bak",
	"/admin%3Bx/keys.bak",
	"/..;/admin/keys.bak",
	"/x/..;/admin/keys.bak",
	"/x/..%2Fadmin/keys.bak",
	"/x%2F..%2Fadmin%2Fkeys.bak",
	"/../admin/keys.bak",
	"/admin/keys.bak%00",
	"/admin/keys.bak#x",
	"http://shop.example/admin/keys.bak",
	"http://SHOP.example:80//admin/keys.bak",
	"HTTP://other.example/admin;x/keys.bak",
	"/admin/keys.bak;a/../keys.bak",
	"/admin/keys%2Ebak/%2e",
};

static void
no_spelling_of_a_denied_path_gets_through(void)
{
	static const char *const rules[] = {
		DENY("paths = ( \"/admin/keys.bak\" );"),
		DENY("paths = ( \"/admin/*\" );"),
		DENY("paths = ( \"/admin*\" );"),
		DENY("paths = ( \"*.bak\" );"),
		DENY("paths = ( \"*keys.bak\" );"),
		DENY("paths = ( \"/admin/{name}\" );"),
		DENY("paths = ( \"/{*}/keys.bak\" );"),
		DENY("paths = ( \"/{**}\" ); not_paths = ( \"/public/*\" );"),
		DENY("not_paths = ( \"/public/*\" );"),
		ALLOW("not_paths = ( \"/admin/keys.bak\" );"),
		ALLOW("not_paths = ( \"/admin/*\" );"),
		ALLOW("not_paths = ( \"*.bak\", \"/x\" );"),
		ALLOW("not_paths = ( \"/admin/{name}\" );"),
		ALLOW("paths = ( \"/public/*\" );"),
		BOTH("paths = ( \"/admin/*\" );", "paths = ( \"*\" );"),
		DENY("paths = ( \"/admin/*\" ); hosts = ( \"shop.example\", \"other.example\" );"),
		DENY("paths = ( \"/admin/*\" ); methods = ( \"GET\" ); headers = ( { name = "
		     "\"x-a\"; exact = \"b\"; } );"),
	};
	char head[512];
	unsigned denied = 0;

	for (unsigned i = 0; i < SL_ARRAY_CNT(rules); i++) {
		struct set s = set_of(rules[i]);
		for (unsigned k = 0; k < SL_ARRAY_CNT(spellings) * 6; k++) {
			const char *target = spellings[k / 6];
			struct request r = {
				.head = head, .slash_2f = (uint8_t)(k % 3), .no_merge = k / 3 % 2};
			snprintf(
				head, sizeof(head),
				"GET %s HTTP/1.1\r\nHost: SHOP.example.:80\r\nX-A: c\r\nx-a: b\r\n",
				target);
			enum answer got = ask(&s, &r);
			denied += got == DENIED;
			if (got == ALLOWED)
				printf("\n  %s\n  lets %s through (%%2F %u, merge %d)", rules[i],
				       target, r.slash_2f, !r.no_merge);
			CU_ASSERT(got != ALLOWED);
		}
		set_fini(&s);
	}
	CU_ASSERT(denied > 2000);
}

/* ---- a model ---- */

static uint64_t seed;

static unsigned
chance(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed >> 33) % n;
}

#define VALUES 3
enum { ID, NS, ACCOUNT, HOST, METHOD, PATH, SOURCE, KINDS };
struct model_rule {
	unsigned action; /* 0 deny, 1 allow, 2 audit */
	const char *value[KINDS][2][VALUES];
	const char *header, *header_value; /* exact; NULL: none */
	bool header_not;
	const char *claim_value; /* of "g", exact; NULL: none */
	bool claim_not;
};

static const char *const words[KINDS][8] = {
	[ID] = {WEB, "spiffe://td/ns/prod/*", "*/sa/web", "*", "spiffe://td/ns/dev/sa/web",
		"x.example", "*e", "s*"},
	[NS] = {"prod", "dev", "p*", "*v", "*", "pro", "x", "d*"},
	[ACCOUNT] = {"web", "prod/web", "dev/web", "w*", "*b", "x/web", "prod/x", "*"},
	[HOST] = {"shop.example", "*.example", "shop*", "*", "a.test", "*t", "SHOP.example",
		  "b.test"},
	[METHOD] = {"GET", "PUT", "DELETE", "PURGE", "*", "HEAD", "POST", "MOVE"},
	[PATH] = {"/a", "/a/*", "/a*", "*.b", "/", "*", "/A/b", "/x/y/*"},
	[SOURCE] = {"10.0.0.0/8", "10.0.0.0/9", "10.64.0.0/10", "192.0.2.1", "2001:db8::/35",
		    "0.0.0.0/0", "::/0", "10.1.2.0/23"},
};
static const char *const identities[] = {
	NULL, WEB, "spiffe://td/ns/dev/sa/web", "x.example", "spiffe://td/x", EVIL};
static const char *const hosts[] = {"shop.example", "a.test", "SHOP.example:80", "b.test.", "shop"};
static const char *const methods[] = {"GET", "PUT", "DELETE", "PURGE", "HEAD", "get", "move"};
static const char *const paths[] = {
	"/",      "/a",     "/a/",  "/a/b",       "/A/b",  "/ab",      "/x.b",       "/a;p/b",
	"/a%2Fb", "/x/y/z", "/x/y", "/x;q=1/y;r", "/x.b/", "/a/b%3Bc", "/x%252Fy/z", "/aB"};
static const char *const sources[] = {"10.0.0.1",   "10.70.0.1",        "10.127.255.255",
				      "10.128.0.0", "10.1.3.255",       "10.1.4.0",
				      "192.0.2.1",  "2001:db8:1fff::1", "2001:db8:2000::1"};

static bool
alike(const char *a, const char *b, size_t n, bool fold)
{
	return fold ? strncasecmp(a, b, n) == 0 : strncmp(a, b, n) == 0;
}

static bool
stars(const char *pattern, const char *value, bool fold)
{
	size_t p = strlen(pattern), n = value ? strlen(value) : 0;

	if (!value)
		return false;
	if (strcmp(pattern, "*") == 0)
		return true;
	if (pattern[0] == '*')
		return n >= p - 1 && alike(value + n - (p - 1), pattern + 1, p - 1, fold);
	if (pattern[p - 1] == '*')
		return n >= p - 1 && alike(value, pattern, p - 1, fold);
	return n == p && alike(value, pattern, p, fold);
}

struct model_request {
	struct request r;
	char head[512], path[256], loose[256], host[64];
	const char *method;
	const char *lines[2], *claims[2]; /* of "x-a"; of "g" */
};

/* ".../": with or without, in any case of letters. */
static bool
path_wide(const char *pattern, const char *path)
{
	char with[300], without[256];
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	snprintf(without, sizeof(without), "%.*s", (int)n, path);
	snprintf(with, sizeof(with), "%s/", n > 1 ? without : "");
	return stars(pattern, path, true) || stars(pattern, without, true) ||
	       stars(pattern, with, true);
}

/* Independently of what is tested: undo codes from the end on until nothing changes, split, put together. */
static void
loosen(const char *path, char *to)
{
	char text[256], *p;

	strcpy(text, path);
	for (size_t i = strlen(text); i-- > 0;)
		if (text[i] == '%' && strlen(text + i) >= 3) {
			unsigned byte;
			char hex[3] = {text[i + 1], text[i + 2], 0};
			if (strspn(hex, "0123456789abcdefABCDEF") != 2)
				continue;
			sscanf(hex, "%x", &byte);
			text[i] = (char)byte;
			memmove(text + i + 1, text + i + 3, strlen(text + i + 3) + 1);
			i = strlen(text);
		}
	size_t n = strlen(text);
	bool slash = n && (text[n - 1] == '/' || text[n - 1] == '\\');
	*to = 0;
	for (p = strtok(text, "/\\"); p; p = strtok(NULL, "/\\")) {
		p[strcspn(p, ";")] = 0;
		if (*p && strcmp(p, ".") != 0)
			strcat(strcat(to, "/"), p);
	}
	if (slash || !*to)
		strcat(to, "/");
}

static bool
covers(const char *prefix, const char *address)
{
	char text[64];
	struct sl_addr p, a;
	unsigned len = 128;
	const char *slash = strchr(prefix, '/');

	snprintf(text, sizeof(text), "%.*s", slash ? (int)(slash - prefix) : 63, prefix);
	sl_addr_parse(text, &p);
	sl_addr_parse(address, &a);
	if (slash)
		len = (unsigned)atoi(slash + 1) + (strchr(text, ':') ? 0 : 96);
	for (unsigned i = 0; i < len; i++)
		if ((p.b[i / 8] ^ a.b[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return true;
}

static bool
value_fits(const struct model_request *q, unsigned kind, const char *v, const char *path, bool wide)
{
	char space[128] = "", account[64] = "", more;
	bool parts = q->r.identity && sscanf(q->r.identity, "spiffe://td/ns/%63[^/]/sa/%63[^/]%c",
					     space, account, &more) == 2;

	switch (kind) {
	case ID:
		return stars(v, q->r.identity, false);
	case NS:
		return stars(v, parts ? space : NULL, false);
	case ACCOUNT:
		if (strchr(v, '/'))
			snprintf(space + strlen(space), sizeof(space) - strlen(space), "/%s",
				 account);
		return stars(v, !parts ? NULL : strchr(v, '/') ? space : account, false);
	case HOST:
		return stars(v, q->host, true);
	case METHOD:
		return strcmp(v, "*") == 0 ||
		       (wide ? strcasecmp(v, q->method) : strcmp(v, q->method)) == 0;
	case PATH:
		return wide ? path_wide(v, path) : stars(v, path, false);
	default:
		return covers(v, q->r.source);
	}
}

/* Whether the rule holds with the path; other: the path as it may be read otherwise, too, by what must not hold. */
static bool
model_holds(const struct model_rule *m, const struct model_request *q, const char *path,
	    const char *other)
{
	bool allow = m->action == 1;

	for (unsigned kind = 0; kind < KINDS; kind++) {
		bool given = false, one = false;
		for (unsigned i = 0; i < VALUES; i++) {
			const char *v = m->value[kind][0][i], *no = m->value[kind][1][i];
			given |= v != NULL;
			one |= v && value_fits(q, kind, v, path, !allow);
			if (no && (value_fits(q, kind, no, path, allow) ||
				   value_fits(q, kind, no, other, allow)))
				return false;
		}
		if (given && !one)
			return false;
	}
	if (m->header) {
		char joined[64] = "";
		bool is = false, wide = allow == m->header_not;
		for (unsigned i = 0; i < 2; i++)
			if (q->lines[i]) {
				is |= wide && strcmp(q->lines[i], m->header_value) == 0;
				strcat(joined, joined[0] ? ", " : "");
				strcat(joined, q->lines[i]);
			}
		is |= q->lines[0] && strcmp(joined, m->header_value) == 0;
		if (is == m->header_not)
			return false;
	}
	if (m->claim_value) {
		bool is = false;
		for (unsigned i = 0; i < 2; i++)
			is |= q->claims[i] && strcmp(q->claims[i], m->claim_value) == 0;
		if (is == m->claim_not)
			return false;
	}
	return true;
}

struct model_set {
	struct model_rule rules[8];
	unsigned cnt, otherwise; /* 0: not given, 1: deny */
};

static bool
model_denies(const struct model_set *s, const struct model_request *q, bool *ret_audit)
{
	bool allows = false, allowed = false, denied = false;

	*ret_audit = false;
	for (unsigned i = 0; i < s->cnt; i++) {
		const struct model_rule *m = &s->rules[i];
		bool either = model_holds(m, q, q->path, q->path) ||
			      model_holds(m, q, q->loose, q->loose);
		allows |= m->action == 1;
		denied |= m->action == 0 && either;
		*ret_audit |= m->action == 2 && either;
		allowed |= m->action == 1 && model_holds(m, q, q->path, q->loose);
	}
	return denied || ((allows || s->otherwise) && !allowed);
}

/* Behind what it wrote. */
__attribute__((format(printf, 2, 3))) static char *
put(char *text, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsprintf(text, fmt, ap);
	va_end(ap);
	return text + n;
}

static void
make_rule(struct model_rule *m, unsigned i, char *text)
{
	static const char *const keys[KINDS] = {"identities", "namespaces", "service_accounts",
						"hosts",      "methods",    "paths",
						"addresses"};
	static const char *const actions[] = {"deny", "allow", "audit"};
	unsigned lists = 0;

	memset(m, 0, sizeof(*m));
	m->action = chance(8) == 0 ? 2 : chance(2);
	text = put(text, "{ name = \"r%u\"; action = \"%s\"; ", i, actions[m->action]);
	for (unsigned kind = 0; kind < KINDS; kind++)
		for (unsigned no = 0; no < 2; no++) {
			/* of more lists there may be too many alternatives */
			if (chance(no ? 7 : 3) || (!no && lists == 4))
				continue;
			lists += !no;
			unsigned cnt = 1 + chance(VALUES);
			text = put(text, "%s%s = ( ", no ? "not_" : "", keys[kind]);
			for (unsigned k = 0; k < cnt; k++) {
				m->value[kind][no][k] = words[kind][chance(8)];
				text = put(text, "%s\"%s\"", k ? ", " : "", m->value[kind][no][k]);
			}
			text = put(text, " ); ");
		}
	if (chance(5) == 0) {
		m->header = "x-a";
		m->header_value = chance(2) ? "u" : "u, v";
		m->header_not = chance(2);
		text = put(text, "headers = ( { name = \"X-A\"; exact = \"%s\"; invert = %s; } ); ",
			   m->header_value, m->header_not ? "true" : "false");
	}
	if (chance(5) == 0) {
		m->claim_value = chance(2) ? "u" : "v";
		m->claim_not = chance(2);
		text = put(text, "claims = ( { name = \"g\"; exact = \"%s\"; invert = %s; } ); ",
			   m->claim_value, m->claim_not ? "true" : "false");
	}
	put(text, "}");
}

#define ONE_OF(list) ((list)[chance(SL_ARRAY_CNT(list))])

static void
make_request(struct model_request *q)
{
	static char claims[32];
	const char *host = ONE_OF(hosts), *path = ONE_OF(paths);
	int n;

	memset(q, 0, sizeof(*q));
	q->method = ONE_OF(methods);
	q->r.identity = ONE_OF(identities);
	q->r.source = ONE_OF(sources);
	q->r.head = q->head;
	snprintf(q->host, sizeof(q->host), "%.*s", (int)strcspn(host, ":"), host);
	if (q->host[strlen(q->host) - 1] == '.')
		q->host[strlen(q->host) - 1] = 0;
	strcpy(q->path, path);
	loosen(path, q->loose);
	n = sprintf(q->head, "%s %s HTTP/1.1\r\nHost: %s\r\n", q->method, path, host);
	for (unsigned i = 0, cnt = chance(3); i < cnt; i++) {
		q->lines[i] = chance(2) ? "u" : "v";
		n += sprintf(q->head + n, "%s: %s\r\n", chance(2) ? "X-a" : "x-A", q->lines[i]);
	}
	claims[0] = 0;
	for (unsigned i = 0, cnt = chance(3); i < cnt; i++) {
		q->claims[i] = chance(2) ? "u" : "v";
		sprintf(claims + strlen(claims), "%sg=%s", i ? " " : "", q->claims[i]);
	}
	q->r.claims = claims;
}

static void
random_rules_answer_as_the_model_does(void)
{
	unsigned denied = 0, allowed = 0, audits = 0, wrong = 0;
	static char text[16384];

	for (unsigned run = 1; run <= 3000 && wrong < 3; run++) {
		struct model_set m = {.cnt = 1 + chance(8)};
		seed = run * 0x9e3779b97f4a7c15ull;
		m.cnt = 1 + chance(8);
		m.otherwise = chance(6) == 0;
		size_t n = (size_t)sprintf(text, "%srules = ( ",
					   m.otherwise ? "default = \"deny\"; " : "");
		for (unsigned i = 0; i < m.cnt; i++) {
			n += (size_t)sprintf(text + n, "%s", i ? ", " : "");
			make_rule(&m.rules[i], i, text + n);
			n += strlen(text + n);
		}
		strcpy(text + n, " );");
		struct set s = set_of(text);
		for (unsigned i = 0; i < 40 && wrong < 3; i++) {
			struct model_request q;
			bool audit;
			make_request(&q);
			bool want = model_denies(&m, &q, &audit);
			enum answer got = ask(&s, &q.r);
			bool ok = got != REFUSED && (got == DENIED) == want &&
				  (last.audit != SL_MATCH_NONE) == audit;
			denied += want;
			allowed += !want;
			audits += audit;
			if (!ok) {
				printf("\n  run %u: %s, audit %d wanted, got %d, audit %d\n  %s\n  "
				       "%s  loose %s from %s id %s claims %s",
				       run, want ? "deny" : "allow", audit, got,
				       last.audit != SL_MATCH_NONE, text, q.head, q.loose,
				       q.r.source, q.r.identity ? q.r.identity : "-", q.r.claims);
				wrong++;
			}
		}
		set_fini(&s);
	}
	printf("(%u denied, %u allowed, %u audited) ", denied, allowed, audits);
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT(denied > 10000 && allowed > 10000 && audits > 1000);
}

/* ---- what a set costs ---- */

static void
judge_by(const struct sl_img_vhost *img, const struct sl_match *m)
{
	size_t n = (sl_match_bytes(m) + 63) / 64 * 64;
	struct sl_match_scratch scratch = {.mem = aligned_alloc(64, n), .bytes = n};
	struct sl_http_head head = {.bytes = (const uint8_t *)"GET", .method_len = 3};
	const struct sl_claim claim = {bytes("g"), bytes("v")};
	const struct sl_match_input in = {.head = &head,
					  .path = (const uint8_t *)"/u/5",
					  .path_len = 4,
					  .identity = (const uint8_t *)"xy",
					  .identity_len = 2,
					  .claims = &claim,
					  .claim_cnt = 1};
	struct sl_authz a;
	struct sl_authz_verdict v;

	memset(scratch.mem, 0, n);
	sl_authz_init(&a, img, m, 1);
	sl_authz_judge(&a, &in, bytes("/a/b"), &scratch, &v);
	CU_ASSERT(v.rule == SL_MATCH_NONE || v.rule < img->route_cnt);
	free(scratch.mem);
}

/* Objects with a few bytes changed: refused, or judged by. */
static void
damaged_objects_are_refused_or_harmless(void)
{
	struct set s = set_of(
		"rules = ( { name = \"a\"; action = \"allow\"; paths = ( \"/a/*\", \"/u/{id}\" ); "
		"not_addresses = ( \"10.0.0.0/9\" ); identities = ( \"x*\" ); methods = ( \"GET\", "
		"\"PURGE\" ); "
		"claims = ( { name = \"g\"; exact = \"v\"; } ); }, "
		"{ name = \"d\"; action = \"deny\"; headers = ( { name = \"x-a\"; prefix = \"b\"; "
		"} ); }, "
		"{ name = \"w\"; action = \"audit\"; hosts = ( \"*.example\" ); } );");
	const struct sl_img_vhost *img = s.view->authz[0].img;
	uint8_t *copy = malloc(img->head.size);
	unsigned taken = 0, refused = 0;

	for (unsigned i = 0; i < 20000; i++) {
		struct sl_diag diag = {0};
		struct sl_match *m;
		seed = (i + 1) * 0x9e3779b97f4a7c15ull;
		memcpy(copy, img, img->head.size);
		for (unsigned k = 1 + chance(3); k > 0; k--)
			copy[chance(img->head.size)] =
				(uint8_t)(chance(2) ? chance(256) : chance(4));
		if (sl_image_check(copy, img->head.size, SL_OBJ_AUTHZ, NULL, "o", &diag) == 0) {
			CU_ASSERT_EQUAL_FATAL(sl_match_create((const void *)copy, NULL, &m), 0);
			judge_by((const void *)copy, m);
			taken++;
			sl_match_destroy(m);
		} else {
			refused++;
		}
		sl_diag_fini(&diag);
	}
	CU_ASSERT(refused > 1000 && taken > 1000);
	free(copy);
	set_fini(&s);
}

/* Values that lead to one entry over and over: there is room for each list once. */
static void
many_values_of_one_name_take_no_more_memory(void)
{
	struct set s = set_of(DENY("claims = ( { name = \"g\"; exact = \"v\"; },"
				   " { name = \"h\"; present = true; invert = true; } );"));
	const struct sl_authz *a = &s.view->authz[0];
	size_t n = (sl_match_bytes(a->match) + 63) / 64 * 64;
	struct sl_match_scratch scratch = {.mem = guard_buf(n), .bytes = n};
	struct sl_claim claims[256];
	struct sl_http_head head = {.bytes = (const uint8_t *)"GET", .method_len = 3};
	struct sl_authz_verdict v;

	for (unsigned i = 0; i < SL_ARRAY_CNT(claims); i++)
		claims[i] = (struct sl_claim){bytes(i ? "g" : "h"), bytes("v")};
	const struct sl_match_input in = {.head = &head,
					  .path = (const uint8_t *)"/y",
					  .path_len = 2,
					  .claims = claims,
					  .claim_cnt = SL_ARRAY_CNT(claims)};
	sl_authz_judge(a, &in, (struct sl_bytes){0}, &scratch, &v);
	CU_ASSERT(!v.denied && v.verified == 1);
	guard_free(scratch.mem, n);
	set_fini(&s);
}

static void
loose_paths_take_a_time_that_grows_with_their_length(void)
{
	static uint8_t path[60000], buf[60000];
	static const char *const fill[] = {"%25", "%252525", "/;", "\\", "/..", "%2F"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(fill); i++) {
		uint32_t n = 1, each = (uint32_t)strlen(fill[i]);
		path[0] = '/';
		for (; n + each < sizeof(path); n += each)
			memcpy(path + n, fill[i], each);
		clock_t from = clock();
		struct sl_bytes got = sl_authz_loose(path, n, buf);
		CU_ASSERT(got.len <= n);
		CU_ASSERT(clock() - from < CLOCKS_PER_SEC / 20);
	}
}

SL_SUITE("authz", SL_TEST(rules_of_every_kind_answer_as_written),
	 SL_TEST(sets_that_go_by_identities_are_for_connections_too),
	 SL_TEST(rules_that_only_tell_decide_nothing),
	 SL_TEST(each_decision_counts_for_its_set_and_its_rule),
	 SL_TEST(rules_keep_their_counters_and_those_without_room_have_none),
	 SL_TEST(no_spelling_of_a_denied_path_gets_through),
	 SL_TEST(random_rules_answer_as_the_model_does),
	 SL_TEST(damaged_objects_are_refused_or_harmless),
	 SL_TEST(many_values_of_one_name_take_no_more_memory),
	 SL_TEST(loose_paths_take_a_time_that_grows_with_their_length))
