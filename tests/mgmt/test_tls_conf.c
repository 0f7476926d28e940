/* TLS of a table file: to structs, to objects, to what a view tells; what is warned of; which names a table uses.
 * Problems are in golden/bad/tls.conf and golden/bad/tls-cross.conf. */
#include "mgmt/conf.h"

#include "compiled.h"
#include "files.h"
#include "mgmt/conf_value.h"
#include "mgmt/tls_names.h"
#include "sluice/secrets.h"

#define HEAD                                                                                       \
	"gateway = { name = \"g\"; };"                                                             \
	"network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } ); };"
#define SERVICE(n, ip, keys)                                                                       \
	"{ name = \"" n "\"; policy = \"round_robin\"; endpoints = ( { name = \"e\"; address = "   \
	"\"192.0.2." ip "\"; port = 443; } ); " keys " }"
#define LISTENER(n, port, mode, keys)                                                              \
	"{ name = \"" n "\"; address = \"203.0.113.10\"; port = " port "; protocol = \"tcp\"; "    \
	"mode = \"" mode "\"; " keys " }"
#define ROUTES(keys)                                                                               \
	"route_tables = ( { name = \"t\"; hosts = ( { name = \"h\"; match = ( \"*\" ); routes = "  \
	"( { name = \"r\"; service = \"web\"; " keys " } ); } ); } );"
#define TRUSTED "tls = { trust = ( \"m\" ); server_name = \"web.internal\"; };"

static struct sl_conf *
golden_conf(void)
{
	size_t len;
	char *text = file_read(SL_GOLDEN "/tls.conf", &len);
	struct sl_diag diag = {0};
	struct sl_conf *c = NULL;

	CU_ASSERT_EQUAL_FATAL(sl_conf_parse("tls.conf", text, len, &diag, &c), 0);
	sl_diag_fini(&diag);
	free(text);
	return c;
}

/* ---- structs ---- */

static void
every_value_of_a_listener_reaches_its_field(void)
{
	struct sl_conf *c = golden_conf();
	const struct sl_conf_tls *t = &c->listeners[2].tls;

	CU_ASSERT(t->given && !t->incomplete);
	CU_ASSERT_EQUAL(t->min_version, SL_TLS_1_3);
	CU_ASSERT_EQUAL(t->max_version, SL_TLS_1_3);
	CU_ASSERT_EQUAL(t->client, SL_TLS_CLIENT_OPTIONAL);
	CU_ASSERT_EQUAL(t->xfcc, SL_XFCC_APPEND);
	CU_ASSERT_EQUAL(t->suites, SL_TLS_SUITES_ALL);
	CU_ASSERT_EQUAL(t->groups, SL_TLS_GROUPS_ALL);
	CU_ASSERT_EQUAL(t->handshake_ms, 3000);
	CU_ASSERT(!t->tickets && !t->alpn_given);
	CU_ASSERT_EQUAL_FATAL(t->cert_cnt, 2);
	CU_ASSERT_STRING_EQUAL(t->certs[0].name, "shop");
	CU_ASSERT_EQUAL_FATAL(t->trust_cnt, 2);
	CU_ASSERT_STRING_EQUAL(t->trust[1].name, "old-mesh");
	CU_ASSERT_EQUAL_FATAL(t->san_cnt, 2);
	CU_ASSERT_STRING_EQUAL(t->sans[0].san, "spiffe://td.example/ns/prod/*");
	CU_ASSERT_STRING_EQUAL(t->sans[1].san, "cl.example"); /* host names in lower case */
	CU_ASSERT(!c->listeners[3].tls.given);
	t = &c->listeners[4].tls;
	CU_ASSERT_EQUAL(t->suites, SL_TLS_SUITE_AES128 | SL_TLS_SUITE_AES256);
	CU_ASSERT_EQUAL(t->groups, SL_TLS_GROUP_P256);
	CU_ASSERT(t->tickets && t->alpn_given);
	CU_ASSERT_STRING_EQUAL(t->alpn[0].protocol, "postgresql");
	CU_ASSERT_EQUAL(c->listeners[1].sni_cnt, 3);
	CU_ASSERT_STRING_EQUAL(c->listeners[1].snis[1].name, "*.a.example");
	CU_ASSERT_STRING_EQUAL(c->listeners[1].service, "");
	sl_conf_free(c);
}

static void
every_value_of_a_service_reaches_its_field(void)
{
	struct sl_conf *c = golden_conf();
	const struct sl_conf_tls *t = &c->services[0].tls;

	CU_ASSERT(t->given && t->verify && t->resume && t->auto_sni);
	CU_ASSERT_STRING_EQUAL(t->server_name, "web.internal");
	CU_ASSERT_STRING_EQUAL(t->certificate, "gw");
	CU_ASSERT_EQUAL(t->trust_cnt, 2);
	CU_ASSERT_EQUAL(t->san_cnt, 2);
	CU_ASSERT_EQUAL(t->handshake_ms, 5000);
	t = &c->services[1].tls;
	CU_ASSERT(!t->verify && !t->resume && !t->auto_sni);
	CU_ASSERT_EQUAL(t->max_version, SL_TLS_1_2);
	CU_ASSERT_EQUAL(t->suites, SL_TLS_SUITE_CHACHA);
	CU_ASSERT_EQUAL(t->handshake_ms, 750);
	CU_ASSERT(!c->services[2].tls.given);
	const struct sl_conf_hroute *r = &c->tables[0].vhosts[0].routes[2];
	CU_ASSERT_EQUAL_FATAL(r->cond_cnt, 2);
	CU_ASSERT_EQUAL(r->conds[1].field, SL_FIELD_HEADER);
	CU_ASSERT_STRING_EQUAL(r->conds[1].name, SL_IDENTITY_NAME);
	CU_ASSERT_STRING_EQUAL(r->conds[1].value, "cl.example");
	sl_conf_free(c);
}

/* Problem texts are golden; here is what must be taken, and what it becomes. */
static void
names_of_peers_are_taken_as_the_standards_have_them(void)
{
	static const struct {
		const char *text, *wants; /* NULL: refused */
		const char *reason;
	} rows[] = {
		{"spiffe://td/a", "spiffe://td/a", "the shortest"},
		{"spiffe://a.b-c_d.9/ns/Prod/sa/x_.-1", "spiffe://a.b-c_d.9/ns/Prod/sa/x_.-1",
		 "all characters; paths keep their case"},
		{"spiffe://td/*", "spiffe://td/*", "all of a trust domain"},
		{"spiffe://td/ns/pro*", "spiffe://td/ns/pro*", "any that begins so"},
		{"spiffe://td/...", "spiffe://td/...", "three dots are a name"},
		{"spiffe://td/.", NULL, "a dot is none"},
		{"spiffe://td/a/..", NULL, "nor are two"},
		{"spiffe://td/a?b", NULL, "no query"},
		{"spiffe://td/a#b", NULL, "no fragment"},
		{"spiffe://u@td/a", NULL, "no user"},
		{"spiffe://*", NULL, "every trust domain"},
		{"spiffe://td/**", NULL, "one star"},
		{"https://x.example/a?b", "https://x.example/a?b", "another URI"},
		{"https://x.example/*", "https://x.example/*", "any that begins so"},
		{"https://*", NULL, "every host"},
		{"https://x.example\x01", NULL, "a control character"},
		{"https:///a", NULL, "no host"},
		{"://a", NULL, "no scheme"},
		{"WEB.Example", "web.example", "host names have no case"},
		{"a_b.example", "a_b.example", "underscores are in use"},
		{"10.0.0.1", NULL, "an address"},
		{"*", NULL, "everybody"},
		{"a.example.", NULL, "a dot at the end"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char san[SL_HOST_MAX];
		memset(san, 'x', sizeof(san));
		const char *why = sl_value_san(rows[i].text, san);
		bool good = rows[i].wants ? !why && strcmp(san, rows[i].wants) == 0 : why != NULL;
		if (!good)
			printf("\n  %s (%s): %s", rows[i].text, rows[i].reason, why ? why : san);
		CU_ASSERT(good);
		for (size_t k = good && rows[i].wants ? strlen(san) : sizeof(san); k < sizeof(san);
		     k++)
			CU_ASSERT_EQUAL(san[k], 0);
	}
}

static void
names_that_do_not_fit_are_refused(void)
{
	char text[400], ret[SL_HOST_MAX], protocol[SL_ALPN_MAX];

	memcpy(text, "spiffe://td/", 12);
	memset(text + 12, 'a', sizeof(text) - 12);
	text[255] = 0;
	CU_ASSERT_PTR_NULL(sl_value_san(text, ret));
	text[255] = 'a';
	text[256] = 0;
	CU_ASSERT_STRING_EQUAL(sl_value_san(text, ret), "is too long");
	memset(text, 'a', 32);
	text[31] = 0;
	CU_ASSERT_PTR_NULL(sl_value_alpn(text, protocol));
	text[31] = 'a';
	text[32] = 0;
	CU_ASSERT_STRING_EQUAL(sl_value_alpn(text, protocol), "is too long");
	for (unsigned i = 0; i < 253; i++)
		text[i] = i % 50 == 49 ? '.' : 'a';
	text[253] = 0;
	CU_ASSERT_PTR_NULL(sl_value_server(text, ret));
	text[253] = 'a';
	text[254] = 0;
	CU_ASSERT_PTR_NOT_NULL(sl_value_server(text, ret));
}

/* ---- objects ---- */

static const struct sl_img_tls_listener *
tls_of(const struct sl_view *v, const char *listener)
{
	for (uint32_t i = 0; i < v->listener_cnt; i++)
		if (strcmp(v->listeners[i].name, listener) == 0)
			return sl_view_tls(v, i);
	return NULL;
}

static const struct sl_img_tls_service *
service_tls_of(const struct sl_view *v, const char *service)
{
	for (uint32_t i = 0; i < v->service_cnt; i++)
		if (strcmp(v->services[i].img->name, service) == 0)
			return sl_view_service_tls(v, i);
	return NULL;
}

static void
a_view_tells_what_the_file_says(void)
{
	struct sl_conf *c = golden_conf();
	struct pushed p = push(c, NULL);
	struct sl_view *v = view_of(p.out);

	CU_ASSERT(checks_pass(p.out));
	CU_ASSERT_PTR_NOT_NULL_FATAL(v);
	const struct sl_img_tls_listener *t = tls_of(v, "https");
	CU_ASSERT_PTR_NOT_NULL_FATAL(t);
	CU_ASSERT_STRING_EQUAL(v->tls_names[t->cert_first].name,
			       "shop"); /* the first in the file */
	CU_ASSERT_STRING_EQUAL(v->tls_names[t->trust_first + 1].name, "old-mesh");
	CU_ASSERT_STRING_EQUAL(v->tls_sans[t->san_first + 1].san, "cl.example");
	CU_ASSERT_EQUAL(t->alpn_cnt, 1);
	CU_ASSERT_STRING_EQUAL(t->alpn[0].protocol, "http/1.1");
	CU_ASSERT_EQUAL(tls_of(v, "dots")->alpn_cnt, 0);
	CU_ASSERT_STRING_EQUAL(tls_of(v, "psql")->alpn[0].protocol, "postgresql");
	CU_ASSERT_PTR_NULL(tls_of(v, "plain"));
	const struct sl_img_tls_service *s = service_tls_of(v, "web");
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_STRING_EQUAL(s->server_name, "web.internal");
	CU_ASSERT_STRING_EQUAL(s->trust[1], "old-mesh");
	CU_ASSERT_STRING_EQUAL(sl_view_service_sans(s)[0].san, "spiffe://td.example/ns/a/sa/web");
	CU_ASSERT_PTR_NULL(service_tls_of(v, "raw"));
	for (uint32_t i = 0; i < v->listener_cnt; i++) {
		uint32_t cnt;
		const struct sl_img_sni *sni = sl_view_sni(v, i, &cnt);
		if (strcmp(v->listeners[i].name, "names"))
			continue;
		CU_ASSERT_EQUAL_FATAL(cnt, 3);
		CU_ASSERT_STRING_EQUAL(sni[0].name, "*.a.example");
		CU_ASSERT_STRING_EQUAL(v->services[sl_view_sni_service(sni)].img->name, "raw");
		CU_ASSERT_EQUAL(sl_view_service(v, i), SL_VIEW_NONE);
	}
	sl_view_destroy(v);
	pushed_fini(&p);
	sl_conf_free(c);
}

/* ALPN of the service "web", "-": none. */
static void
alpn_is(const char *text, const char *wants)
{
	struct sl_conf *c = conf_of(text);
	struct pushed p = push(c, NULL);
	struct sl_view *v = view_of(p.out);

	CU_ASSERT_PTR_NOT_NULL_FATAL(v);
	const struct sl_img_tls_service *s = service_tls_of(v, "web");
	CU_ASSERT_PTR_NOT_NULL_FATAL(s);
	CU_ASSERT_STRING_EQUAL(s->alpn_cnt ? s->alpn[0].protocol : "-", wants);
	sl_view_destroy(v);
	pushed_fini(&p);
	sl_conf_free(c);
}

static void
only_services_of_requests_ask_for_http_unless_told(void)
{
#define STREAM "listeners = ( " LISTENER("l", "1", "tcp", "service = \"web\";") " );"
#define ALPN(list) "tls = { trust = ( \"m\" ); server_name = \"a\"; alpn = (" list "); };"
	alpn_is(HEAD "services = ( " SERVICE("web", "11", TRUSTED) " );", "http/1.1");
	alpn_is(HEAD "services = ( " SERVICE("web", "11", TRUSTED) " );" STREAM, "-");
	alpn_is(HEAD "services = ( " SERVICE("web", "11", TRUSTED) " );" STREAM ROUTES(""), "-");
	alpn_is(HEAD "services = ( " SERVICE("web", "11", ALPN("")) " );", "-");
	alpn_is(HEAD "services = ( " SERVICE("web", "11", ALPN("\"x\"")) " );" STREAM, "x");
}

static void
the_order_of_listeners_and_server_names_means_nothing(void)
{
#define L1                                                                                         \
	LISTENER("a", "1", "tcp", "service = \"web\"; tls = { certificates = ( \"x\", \"y\" ); };")
#define L2                                                                                         \
	LISTENER("b", "2", "tcp",                                                                  \
		 "service = \"web\"; tls = { certificates = ( \"z\" ); client = \"required\"; "    \
		 "trust = ( \"m\" ); client_names = ( \"n\" ); };")
#define L3(names) LISTENER("c", "3", "tls-passthrough", "server_names = ( " names " );")
#define N1 "{ name = \"a.example\"; service = \"web\"; }"
#define N2 "{ name = \"*.a.example\"; service = \"web\"; }"
	static const char services[] = HEAD "services = ( " SERVICE("web", "11", "") " );";
	char one[4096], two[4096];

	snprintf(one, sizeof(one), "%slisteners = ( %s, %s, %s );", services, L1, L2,
		 L3(N1 "," N2));
	snprintf(two, sizeof(two), "%slisteners = ( %s, %s, %s );", services, L3(N2 "," N1), L2,
		 L1);
	struct sl_conf *a = conf_of(one), *b = conf_of(two);
	struct pushed pa = push(a, NULL), pb = push(b, NULL);
	CU_ASSERT(same_bytes(pa.out, pb.out));
	CU_ASSERT(checks_pass(pa.out));
	CU_ASSERT(view_stands(pa.out));
	pushed_fini(&pa);
	pushed_fini(&pb);
	sl_conf_free(a);
	sl_conf_free(b);
}

static const struct sl_compiled_object *
object_of(const struct sl_compiled *c, const char *service)
{
	for (uint32_t i = 2; i < c->cnt; i++)
		if (strcmp(((const struct sl_img_service *)c->objs[i].bytes)->name, service) == 0)
			return &c->objs[i];
	return NULL;
}

/* An object is shared with the result before exactly when nothing of it changed, and is the one a first push makes. */
static void
a_change_of_tls_makes_a_new_object_and_no_other(void)
{
#define NAMED(n) "tls = { trust = ( \"m\" ); names = ( \"" n "\" ); };"
	static const char *const rows[] = {
		"", TRUSTED, NAMED("a"), NAMED("b"), "tls = { verify = false; };", ""};
	struct pushed before = {0};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char text[4096];
		snprintf(text, sizeof(text),
			 HEAD "services = ( %s, { name = \"web\"; policy = "
			      "\"round_robin\"; %s endpoints = ( { name = \"e\"; address = "
			      "\"192.0.2.11\"; "
			      "port = 443; } ); } );",
			 SERVICE("other", "12", TRUSTED), rows[i]);
		struct sl_conf *c = conf_of(text);
		struct pushed p = push(c, i ? &before : NULL), again = push(c, &p),
			      first = push(c, NULL);
		CU_ASSERT(checks_pass(p.out));
		CU_ASSERT(same_bytes(p.out, first.out));
		CU_ASSERT_PTR_EQUAL(object_of(again.out, "web")->bytes,
				    object_of(p.out, "web")->bytes);
		if (i) {
			CU_ASSERT_PTR_NOT_EQUAL(object_of(before.out, "web")->bytes,
						object_of(p.out, "web")->bytes);
			CU_ASSERT_PTR_EQUAL(object_of(before.out, "other")->bytes,
					    object_of(p.out, "other")->bytes);
			pushed_fini(&before);
		}
		pushed_fini(&again);
		pushed_fini(&first);
		before = p;
		sl_conf_free(c);
	}
	pushed_fini(&before);
}

/* ---- warnings ---- */

static void
what_is_hardly_meant_is_warned_of(void)
{
#define WEB(keys) HEAD "services = ( " SERVICE("web", "11", keys) " );"
#define HTTP(keys) "listeners = ( " LISTENER("l", "1", "http", "routes = \"t\"; " keys) " );"
#define WHO "identity = { exact = \"a\"; };"
#define CLIENT "client = \"optional\"; trust = ( \"m\" );"
	static const struct {
		const char *text, *path, *wants; /* NULL: no warning */
		const char *reason;
	} rows[] = {
		{WEB(TRUSTED), NULL, NULL, "nothing"},
		{WEB("tls = { verify = false; };"), "services[0].tls.verify", "nobody is verified",
		 "whoever answers is believed"},
		{WEB("tls = { trust = ( \"m\" ); server_name = \"a\"; max_version = \"1.2\"; };"),
		 "services[0].tls.max_version", "TLS 1.3 is off", "1.2 alone"},
		{WEB("tls = { trust = ( \"m\" ); server_name = \"a\"; min_version = \"1.2\"; };"),
		 NULL, NULL, "1.2, too"},
		{WEB(TRUSTED " health = { type = \"http\"; };"), NULL, NULL, "probed by its TLS"},
		{WEB(TRUSTED " health = { type = \"http\"; port = 8080; };"), NULL, NULL,
		 "a port of its own"},
		{WEB(TRUSTED " health = { type = \"tcp\"; };"), NULL, NULL, "connecting is enough"},
		{WEB("") ROUTES(WHO) HTTP(""), "listeners[0].routes",
		 "its clients have no identity, which route \"r\"", "plaintext"},
		{WEB("") ROUTES(WHO) HTTP("tls = { certificates = ( \"c\" ); };"),
		 "listeners[0].routes", "its clients have no identity",
		 "no certificates of clients"},
		{WEB("") ROUTES(WHO) HTTP("tls = { certificates = ( \"c\" ); " CLIENT " };"), NULL,
		 NULL, "clients may have one"},
		{WEB("") ROUTES("") HTTP("tls = { certificates = ( \"c\" ); "
					 "forwarded_client_cert = \"set\"; };"),
		 "listeners[0].tls.forwarded_client_cert", "\"set\" is as \"sanitize\"",
		 "nothing to forward"},
		{WEB("") ROUTES("")
			 HTTP("tls = { certificates = ( \"c\" ); max_version = \"1.2\"; };"),
		 "listeners[0].tls.max_version", "TLS 1.3 is off", "of clients"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_diag diag = {0};
		struct sl_conf *c = NULL;
		CU_ASSERT_EQUAL(sl_conf_parse("t", rows[i].text, strlen(rows[i].text), &diag, &c),
				0);
		CU_ASSERT_EQUAL(diag.cnt, 0);
		bool good =
			diag.warning_cnt == (rows[i].wants != NULL) &&
			(!rows[i].wants || (strstr(diag.warnings[0].text, rows[i].wants) &&
					    strcmp(diag.warnings[0].path, rows[i].path) == 0 &&
					    diag.warnings[0].line == 1 && diag.warnings[0].hint));
		if (!good)
			printf("\n  %s: %s", rows[i].reason,
			       diag.warning_cnt ? diag.warnings[0].text
			       : diag.cnt       ? diag.items[0].text
						: "no warning");
		CU_ASSERT(good);
		sl_conf_free(c);
		sl_diag_fini(&diag);
	}
}

/* ---- names ---- */

struct uses {
	char text[2048];
	unsigned left; /* until it says stop */
};

static int
note(void *ctx, const struct sl_conf_tls_use *use)
{
	struct uses *u = ctx;
	size_t n = strlen(u->text);

	CU_ASSERT(use->line > 0);
	snprintf(u->text + n, sizeof(u->text) - n, "%s %s %s %s %s\n",
		 use->kind == SL_SECRET_PAIR ? "pair" : "trust", use->name,
		 use->listener ? "listener" : "service", use->by, use->path);
	return --u->left == 0 ? 7 : 0;
}

static void
a_table_tells_which_certificates_it_names_and_who(void)
{
	struct sl_conf *c = golden_conf();
	struct uses u = {.left = UINT32_MAX};

	CU_ASSERT_EQUAL(sl_conf_tls_names(c, note, &u), 0);
	CU_ASSERT_STRING_EQUAL(u.text,
			       "pair gw service web services[0].tls.certificate\n"
			       "trust mesh service web services[0].tls.trust[0]\n"
			       "trust old-mesh service web services[0].tls.trust[1]\n"
			       "trust public service dot services[3].tls.trust[0]\n"
			       "pair shop listener https listeners[2].tls.certificates[0]\n"
			       "pair wild listener https listeners[2].tls.certificates[1]\n"
			       "trust mesh listener https listeners[2].tls.trust[0]\n"
			       "trust old-mesh listener https listeners[2].tls.trust[1]\n"
			       "pair db listener psql listeners[4].tls.certificates[0]\n"
			       "pair wild listener dots listeners[5].tls.certificates[0]\n");
	u = (struct uses){.left = 5};
	CU_ASSERT_EQUAL(sl_conf_tls_names(c, note, &u), 7);
	CU_ASSERT_PTR_NULL(strstr(u.text, "wild"));
	sl_conf_free(c);
}

SL_SUITE("tls_conf", SL_TEST(every_value_of_a_listener_reaches_its_field),
	 SL_TEST(every_value_of_a_service_reaches_its_field),
	 SL_TEST(names_of_peers_are_taken_as_the_standards_have_them),
	 SL_TEST(names_that_do_not_fit_are_refused), SL_TEST(a_view_tells_what_the_file_says),
	 SL_TEST(only_services_of_requests_ask_for_http_unless_told),
	 SL_TEST(the_order_of_listeners_and_server_names_means_nothing),
	 SL_TEST(a_change_of_tls_makes_a_new_object_and_no_other),
	 SL_TEST(what_is_hardly_meant_is_warned_of),
	 SL_TEST(a_table_tells_which_certificates_it_names_and_who))
