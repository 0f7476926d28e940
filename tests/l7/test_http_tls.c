/* The HTTP engine over fake streams: TLS with clients and endpoints, and what it tells of them. */
#include "sluice/ctl.h"
#include "tests/l7/http_scene.h"

static const struct scene_conf by_tls = {.tls = true};

/* ---- clients ---- */

static void
a_request_waits_until_its_handshake_is_done(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	fake_tls_way(s.tcp, FAKE_TLS_HOLD);
	struct peer *c = scene_client(&s);
	struct fake_tls_asked asked = fake_tls_asked(c->s);
	CU_ASSERT(asked.server && asked.slot == SCENE_LISTENER && asked.incarnation == 9 &&
		  asked.handshake_ms == 7000);
	peer_says(&s, c, GET("/direct"));
	HEARS(c, NULL);
	CU_ASSERT(COUNTED(&s, REQUESTS) == 0 && COUNTED(&s, CONNECTIONS) == 1);
	CU_ASSERT_EQUAL(s.listeners->listener[SCENE_LISTENER], 1);
	/* it is the session who bounds the time */
	scene_pass(&s, 120000);
	STATE(c, "open");
	fake_tls_done(c->s);
	scene_run(&s);
	CU_ASSERT_EQUAL(COUNTED(&s, REQUESTS), 1);
	CU_ASSERT(c->len > 0);
	c->len = 0;
	STATE(c, "open");
	/* and from then on the time for a head is as ever */
	struct peer *slow = scene_client(&s);
	fake_tls_done(slow->s);
	scene_pass(&s, 9900);
	STATE(slow, "open");
	scene_pass(&s, 200);
	STATE(slow, "gone");
	CU_ASSERT_EQUAL(COUNTED(&s, CLIENT_IDLE), 1);
	scene_end(&s);
}

static void
plaintext_is_let_in_beside_tls_where_the_listener_says_so(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	struct sl_img_tls_listener tls = *s.rule.tls;
	tls.plaintext = 1;
	s.rule.tls = &tls;
	fake_tls_way(s.tcp, FAKE_TLS_HOLD);
	/* one byte may be either; a silent client has the time of a handshake */
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "\x16");
	scene_pass(&s, 6900);
	STATE(c, "open");
	scene_pass(&s, 200);
	CU_ASSERT_EQUAL(COUNTED(&s, HEAD_TIMEOUT), 1);
	c = scene_client(&s);
	peer_says(&s, c, "\x16\x03");
	CU_ASSERT_TRUE(fake_tls_asked(c->s).server);
	fake_peer_ends(c->s, SL_END_TLS);
	scene_run(&s);
	c = scene_client(&s);
	peer_says(&s, c, GET("/direct"));
	CU_ASSERT_FALSE(fake_tls_asked(c->s).server);
	CU_ASSERT_TRUE(c->len > 0 && COUNTED(&s, PLAINTEXT) == 1 && COUNTED(&s, REQUESTS) == 1);
	c->len = 0;
	/* strict: it gets no further request */
	tls.plaintext = 0;
	peer_says(&s, c, GET("/direct"));
	CU_ASSERT_TRUE(COUNTED(&s, REQUESTS) == 1 && COUNTED(&s, DROPPED_ADMIN) == 1);
	scene_end(&s);
}

static void
each_client_has_its_connections(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	s.rule.client_max = 2;
	CU_ASSERT_PTR_NOT_NULL(scene_client(&s));
	struct peer *c = scene_client(&s);
	CU_ASSERT_PTR_NOT_NULL(c);
	CU_ASSERT_PTR_NULL(scene_client(&s));
	fake_peer_ends(c->s, SL_END_RESET);
	scene_run(&s);
	CU_ASSERT_PTR_NOT_NULL(scene_client(&s));
	CU_ASSERT_PTR_NULL(scene_client(&s));
	scene_end(&s);
}

static void
who_fails_the_handshake_leaves_nothing_behind(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	fake_tls_way(s.tcp, FAKE_TLS_HOLD);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/direct"));
	fake_peer_ends(c->s, SL_END_TLS);
	scene_run(&s);
	CU_ASSERT(s.listeners->listener[SCENE_LISTENER] == 0 && s.stats.conns == 0);
	CU_ASSERT(COUNTED(&s, REQUESTS) == 0 && s.logged == 0);
	/* no room for a session: he is let go of, never spoken to in plaintext */
	fake_tls_way(s.tcp, FAKE_TLS_FULL);
	c = scene_client(&s);
	STATE(c, "reset");
	CU_ASSERT_EQUAL(c->seen.why, SL_END_NO_MEMORY);
	CU_ASSERT(s.listeners->listener[SCENE_LISTENER] == 0 && s.stats.conns == 0);
	s.http->conf.tls = NULL;
	fake_tls_way(s.tcp, FAKE_TLS_DONE);
	c = scene_client(&s);
	STATE(c, "reset");
	scene_end(&s);
}

static void
handshakes_count_as_connections_of_the_listener(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	s.rule.listener_max = 2;
	fake_tls_way(s.tcp, FAKE_TLS_HOLD);
	struct peer *c = scene_client(&s);
	CU_ASSERT_PTR_NOT_NULL(scene_client(&s));
	CU_ASSERT_PTR_NULL(scene_client(&s));
	fake_peer_ends(c->s, SL_END_TLS);
	scene_run(&s);
	CU_ASSERT_PTR_NOT_NULL(scene_client(&s));
	scene_end(&s);
}

static void
a_listener_that_goes_takes_handshakes_with_it(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	fake_tls_way(s.tcp, FAKE_TLS_HOLD);
	struct peer *swept = scene_client(&s);
	struct peer *c = scene_client(&s);
	s.no_listener = true;
	fake_tls_done(c->s);
	scene_run(&s);
	STATE(c, "reset");
	scene_pass(&s, 4000);
	STATE(swept, "reset");
	CU_ASSERT_EQUAL(swept->seen.why, SL_END_ADMIN);
	scene_end(&s);
}

static void
the_proxy_header_comes_before_the_handshake(void)
{
	static const char header[] = "PROXY TCP4 198.51.100.9 203.0.113.10 5555 443\r\n";
	struct sl_img_prefix trust = {.prefix = sl_addr_from_v4((uint8_t[]){192, 0, 2, 0}),
				      .plen = 120};
	const struct scene_conf conf = {.tls = true, .proxy_in = true};
	struct scene s;

	for (unsigned whole = 0; whole < 2; whole++) {
		scene_init(&s, &conf);
		s.rule.trust = &trust;
		s.rule.trust_cnt = 1;
		fake_tls_way(s.tcp, FAKE_TLS_HOLD);
		struct peer *c = scene_client(&s);
		CU_ASSERT_FALSE(fake_tls_asked(c->s).server);
		if (whole) { /* with the first bytes of the handshake behind it */
			char text[128];
			snprintf(text, sizeof(text), "%s%s", header, GET("/direct"));
			peer_says(&s, c, text);
			CU_ASSERT_EQUAL(fake_tls_asked(c->s).in, strlen(GET("/direct")));
		} else {
			peer_says_bytes(&s, c, header, 20);
			CU_ASSERT_FALSE(fake_tls_asked(c->s).server);
			peer_says_bytes(&s, c, header + 20, strlen(header) - 20);
			CU_ASSERT_EQUAL(fake_tls_asked(c->s).in, 0);
		}
		CU_ASSERT_FATAL(fake_tls_asked(c->s).server);
		scene_pass(&s, 6000); /* the header's own time ends with it */
		STATE(c, "open");
		fake_tls_done(c->s);
		scene_run(&s);
		if (!whole)
			peer_says(&s, c, GET("/direct"));
		CU_ASSERT(s.log.status == 200 && s.log.client_port == sl_to_be16(5555));
		scene_end(&s);
	}
	/* no header, no handshake */
	scene_init(&s, &conf);
	s.rule.trust = &trust;
	s.rule.trust_cnt = 1;
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "\x16\x03\x01 and so on and so on and so on");
	STATE(c, "reset");
	scene_end(&s);
}

static void
a_connection_without_the_protection_its_listener_wants_gets_no_further_request(void)
{
	static const struct {
		const char *why;
		bool tls, verified, then_tls;
		uint8_t then_client;
		bool served;
	} rows[] = {
		{"as before", true, false, true, SL_TLS_CLIENT_OPTIONAL, true},
		{"plaintext, where TLS is wanted now", false, false, true, 0, false},
		{"TLS, where plaintext is", true, false, false, 0, false},
		{"a certificate is wanted now", true, false, true, SL_TLS_CLIENT_REQUIRED, false},
		{"which this one showed", true, true, true, SL_TLS_CLIENT_REQUIRED, true},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct scene_conf conf = {.tls = rows[i].tls};
		struct scene s;
		scene_init(&s, &conf);
		scene_shows(&s, &(struct scene_peer){.uri = "spiffe://td/x",
						     .verified = rows[i].verified});
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/empty"));
		CU_ASSERT_EQUAL(COUNTED(&s, REQUESTS), 1);
		s.tls.client = rows[i].then_client;
		s.rule.tls = rows[i].then_tls ? &s.tls : NULL;
		peer_says(&s, c, GET("/empty"));
		if (COUNTED(&s, REQUESTS) != 1u + rows[i].served)
			CU_FAIL(rows[i].why);
		STATE(c, rows[i].served ? "open" : "reset");
		scene_end(&s);
	}
}

static void
a_clients_last_request_is_answered_whether_it_said_that_it_was_or_not(void)
{
	for (unsigned cut = 0; cut < 2; cut++) {
		struct scene s;
		scene_init(&s, &by_tls);
		struct peer *c = scene_client(&s);
		peer_says_bytes(&s, c, GET("/x"), strlen(GET("/x")));
		if (cut)
			fake_peer_cuts(c->s);
		else
			fake_peer_fin(c->s);
		scene_run(&s);
		scene_answer(&s, c, 0);
		STATE(c, "gone");
		/* half a head is no request */
		c = scene_client(&s);
		peer_says(&s, c, "GET /x HTT");
		peer_fin(&s, c);
		STATE(c, "gone");
		scene_end(&s);
	}
}

static void
endpoints_and_redirects_learn_that_the_client_came_by_https(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/plain"));
	struct peer *e = scene_up(&s, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	e->got[e->len] = 0;
	CU_ASSERT_PTR_NOT_NULL(strstr(e->got, "\r\nx-forwarded-proto: https\r\n"));
	e->len = 0;
	scene_answer(&s, c, 0);
	peer_says(&s, c, GET("/old/x"));
	HEARS(c, "HTTP/1.1 301 Moved Permanently\r\nLocation: https://h/new/x\r\n"
		 "Content-Length: 0\r\n\r\n");
	scene_end(&s);
}

/* ---- who the client is ---- */

static const char *
answer_to(struct scene *s, struct peer *c, const char *lines)
{
	static char body[64];
	char text[512];

	snprintf(text, sizeof(text), "GET /id HTTP/1.1\r\nHost: few\r\n%s\r\n", lines);
	peer_says(s, c, text);
	c->got[c->len] = 0;
	const char *at = strstr(c->got, "\r\n\r\n");
	snprintf(body, sizeof(body), "%.12s %s", c->got, at ? at + 4 : "");
	c->len = 0;
	return body;
}

static void
routes_go_by_the_verified_identity_of_the_client(void)
{
	static const struct {
		struct scene_peer shows;
		const char *body, *why;
	} rows[] = {
		{{.uri = "spiffe://td/ns/a/sa/b", .dns = "x.example", .verified = true},
		 "exact",
		 "the URI goes before names"},
		{{.uri = "spiffe://td/ns/a/sa/B", .verified = true}, "not x", "case matters"},
		{{.uri = "spiffe://td/ns/prod/sa/q", .verified = true}, "prefix", ""},
		{{.dns = "a.example,b.other", .verified = true}, "suffix", "the first name"},
		{{.dns = "b.other,a.example", .verified = true}, "not x", "not the second"},
		{{.uri = "spiffe://td/canary-7/z", .verified = true}, "contains", ""},
		{{.uri = "spiffe://td/q/robot-12", .verified = true}, "regex", ""},
		{{.uri = "spiffe://td/q/robot-12x", .verified = true}, "not x", "all of it"},
		{{.uri = "spiffe://td/x", .verified = true}, "anybody", ""},
		{{.subject = "CN=x", .verified = true}, "nobody", "no name but the subject"},
		{{.uri = "spiffe://td/ns/a/sa/b", .verified = false}, "nobody", "not verified"},
		{{.sni = "x.example"}, "nobody", "what he asks for is not who he is"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		char want[64];
		struct scene s;
		scene_init(&s, &by_tls);
		scene_shows(&s, &rows[i].shows);
		struct peer *c = scene_client(&s);
		snprintf(want, sizeof(want), "HTTP/1.1 200 %s", rows[i].body);
		const char *got = answer_to(&s, c, "");
		CU_ASSERT_STRING_EQUAL(got, want);
		if (strcmp(got, want) != 0)
			CU_FAIL(rows[i].why);
		/* a second time, when the values of the first are old */
		CU_ASSERT_STRING_EQUAL(answer_to(&s, c, ""), want);
		scene_end(&s);
	}
}

static void
nobody_says_of_himself_who_he_is(void)
{
	static const char *const lines[] = {
		":identity: spiffe://td/ns/a/sa/b\r\n", "identity: spiffe://td/ns/a/sa/b\r\n",
		"x-forwarded-client-cert: URI=spiffe://td/ns/a/sa/b\r\n"};
	static const bool refused[] = {true, false, false};

	for (unsigned tls = 0; tls < 2; tls++) {
		for (size_t i = 0; i < SL_ARRAY_CNT(lines); i++) {
			const struct scene_conf conf = {.tls = tls};
			struct scene s;
			scene_init(&s, &conf);
			struct peer *c = scene_client(&s);
			const char *got = answer_to(&s, c, lines[i]);
			CU_ASSERT_NSTRING_EQUAL(got, refused[i] ? "HTTP/1.1 400" : "HTTP/1.1 200",
						12);
			CU_ASSERT_PTR_NULL(strstr(got, "exact"));
			scene_end(&s);
		}
	}
}

static void
explanations_take_an_identity_beside_the_request(void)
{
	static const struct {
		const char *line, *why;
		bool tls;
		uint8_t client;
		uint32_t route, status;
	} rows[] = {
		{":identity: spiffe://td/ns/a/sa/b\r\n", "told", true, 1, 1, 200},
		{":identity:spiffe://td/ns/prod/\r\n", "without a space", true, 2, 2, 200},
		{"", "none", true, 1, 6, 200},
		{":identity: x\r\n", "nobody is asked for one", true, 0, UINT32_MAX, 400},
		{":identity: x\r\n", "plaintext", false, 0, UINT32_MAX, 400},
		{"x: y\r\n:identity: a.example\r\nz: 1\r\n", "in between", true, 1, 3, 200},
	};
	const struct sl_tuple client = {.src = sl_addr_from_v4((uint8_t[]){192, 0, 2, 7}),
					.dport = sl_to_be16(80)};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct scene_conf conf = {.tls = rows[i].tls};
		char text[SL_CTL_TEXT_MAX + 1], say[256];
		uint8_t path[SL_CTL_REQUEST_MAX / 2 + 1];
		struct sl_ctl_explained_http e = {0};
		struct sl_up_ask ask;
		struct scene s;
		scene_init(&s, &conf);
		s.tls.client = rows[i].client;
		int n = snprintf(say, sizeof(say), "GET /id HTTP/1.1\r\n%sHost: few\r\n\r\n",
				 rows[i].line);
		uint8_t *at = guard_buf((size_t)n);
		memcpy(at, say, (size_t)n);
		sl_http_explain(s.http, &s.rule, &client, at, (uint32_t)n, &e, text, path, &ask);
		if (e.route != rows[i].route || e.status != rows[i].status)
			printf("\n%s: route %u status %u", rows[i].why, e.route, e.status);
		CU_ASSERT(e.route == rows[i].route && e.status == rows[i].status);
		guard_free(at, (size_t)n);
		scene_end(&s);
	}
}

/* ---- x-forwarded-client-cert ---- */

/* The line as the endpoint gets it, without name and end; "": none. */
static const char *
cert_line(struct scene *s, struct peer *c, const char *lines)
{
	static const char name[] = "\r\nx-forwarded-client-cert: ";
	static char value[1024];
	char text[1024];

	snprintf(text, sizeof(text), "GET /plain HTTP/1.1\r\nHost: h\r\n%s\r\n", lines);
	peer_says(s, c, text);
	struct peer *e = scene_up(s, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	e->got[e->len] = 0;
	char *at = strcasestr(e->got, name);
	CU_ASSERT(!at || !strcasestr(at + 2, name));
	value[0] = 0;
	if (at)
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + strlen(name), "\r"),
			 at + strlen(name));
	e->len = 0;
	scene_answer(s, c, 0);
	return value;
}

#define AB8 "abababababababab"
#define HASH "Hash=" AB8 AB8 AB8 AB8
#define OURS HASH ";Subject=\"CN=b\";URI=spiffe://td/b;DNS=b.example;DNS=c.example"

static void
client_certificates_are_passed_on_as_the_listener_says_and_never_unverified(void)
{
	static const char theirs[] = "X-Forwarded-Client-Cert: Hash=1;URI=a\r\n";
	static const char two[] = "x-forwarded-client-cert: URI=a\r\nx: y\r\n"
				  "X-FORWARDED-CLIENT-CERT: URI=b\r\n";
	static const struct {
		bool tls, verified;
		uint8_t mode;
		const char *lines, *want, *why;
	} rows[] = {
		{false, false, 0, theirs, "", "plaintext"},
		{true, false, SL_XFCC_SANITIZE, theirs, "", "the default"},
		{true, true, SL_XFCC_SANITIZE, theirs, "", "also of who is verified"},
		{true, true, SL_XFCC_SET, theirs, OURS, "set"},
		{true, true, SL_XFCC_SET, "", OURS, "set"},
		{true, false, SL_XFCC_SET, theirs, "", "nothing to set"},
		{true, true, SL_XFCC_APPEND, theirs, "Hash=1;URI=a," OURS, "appended"},
		{true, true, SL_XFCC_APPEND, two, "URI=a,URI=b," OURS, "one line of all"},
		{true, true, SL_XFCC_APPEND, "", OURS, "appended to nothing"},
		{true, true, SL_XFCC_APPEND, "x-forwarded-client-cert:\r\n", OURS,
		 "to an empty one"},
		{true, false, SL_XFCC_APPEND, theirs, "", "of nobody"},
		{true, true, SL_XFCC_FORWARD, theirs, "Hash=1;URI=a", "as it is"},
		{true, true, SL_XFCC_FORWARD, "", "", "none there"},
		{true, false, SL_XFCC_FORWARD, theirs, "", "of nobody"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		for (uint8_t hops = 0; hops < 2; hops++) { /* whatever is trusted */
			const struct scene_conf conf = {.tls = rows[i].tls,
							.http = {.trusted_hops = hops}};
			struct scene s;
			scene_init(&s, &conf);
			s.tls.xfcc = rows[i].mode;
			scene_shows(&s, &(struct scene_peer){.uri = "spiffe://td/b",
							     .subject = "CN=b",
							     .dns = "b.example,c.example",
							     .verified = rows[i].verified});
			struct peer *c = scene_client(&s);
			const char *got = cert_line(&s, c, rows[i].lines);
			if (strcmp(got, rows[i].want) != 0)
				printf("\n%s (%zu): %s", rows[i].why, i, got);
			CU_ASSERT_STRING_EQUAL(got, rows[i].want);
			scene_end(&s);
		}
	}
}

static void
no_connection_line_and_no_underscore_gets_a_certificate_past_the_gateway(void)
{
	static const char *const lines[] = {
		"Connection: x-forwarded-client-cert\r\n",
		"Connection: close, X-Forwarded-Client-Cert\r\n",
		"x_forwarded_client_cert: URI=a\r\n",
		"x-forwarded-client_cert: URI=a\r\n",
		"X_Forwarded-Client-Cert: URI=a\r\n",
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(lines); i++) {
		struct scene s;
		char text[256];
		scene_init(&s, &by_tls);
		struct peer *c = scene_client(&s);
		snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: h\r\n%s\r\n", lines[i]);
		peer_says(&s, c, text);
		ERROR_CLOSE(c, 400);
		CU_ASSERT_EQUAL(scene_ups(&s, 0), 0);
		scene_end(&s);
	}
}

/* ---- endpoints ---- */

static void
a_request_goes_to_an_endpoint_only_when_its_handshake_is_done(void)
{
	struct scene s;

	scene_init(&s, NULL);
	scene_secures(&s, SCENE_A);
	fake_tls_way(s.tcp, FAKE_TLS_HOLD);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/x"));
	struct peer *e = scene_up(&s, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(e);
	struct fake_tls_asked asked = fake_tls_asked(e->s);
	CU_ASSERT(asked.client && asked.slot == SCENE_A && asked.incarnation == 1 &&
		  asked.endpoint_slot == 0 && asked.handshake_ms == 5000 && asked.host[0] == 0 &&
		  asked.out == 0);
	/* bytes that came before are believed no more than others */
	peer_says(&s, e, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	HEARS(c, NULL);
	HEARS(e, NULL);
	peer_reset(&s, e);
	CU_ASSERT_FATAL(scene_up(&s, 1) != NULL);
	fake_tls_done(scene_up(&s, 1)->s);
	scene_run(&s);
	HEARS(scene_up(&s, 1), GET("/x"));
	scene_answer(&s, c, 1);
	CU_ASSERT(s.log.status == 200 && s.log.upstream_tls == 1 && s.log.tls_version == 0);
	/* the same connection again, without a handshake */
	s.ep[0].down = true;
	peer_says(&s, c, GET("/x"));
	HEARS(scene_up(&s, 1), GET("/x"));
	scene_answer(&s, c, 1);
	CU_ASSERT(COUNTED(&s, POOL_REUSED) == 1 && s.log.upstream_tls == 1);
	scene_end(&s);
}

static void
a_failed_handshake_is_a_failed_connection(void)
{
	struct scene s;

	scene_init(&s, NULL);
	scene_secures(&s, SCENE_A);
	fake_tls_way(s.tcp, FAKE_TLS_HOLD);
	struct peer *c = scene_client(&s);
	/* a body has not been touched: any method */
	peer_says(&s, c, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	fake_peer_ends(scene_up(&s, 0)->s, SL_END_TLS);
	scene_run(&s);
	CU_ASSERT(s.ep[0].failed == 1 && s.ep[0].bad == 1 && COUNTED(&s, RETRY) == 1);
	CU_ASSERT_FATAL(scene_up(&s, 1) != NULL);
	fake_tls_done(scene_up(&s, 1)->s);
	scene_run(&s);
	HEARS(scene_up(&s, 1), "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	scene_answer(&s, c, 1);
	LOGGED(&s, 200, 0);
	/* both fail */
	peer_reset(&s, scene_up(&s, 1));
	peer_says(&s, c, GET("/x"));
	fake_peer_ends(scene_up(&s, 0)->s, SL_END_TLS);
	scene_run(&s);
	fake_peer_ends(scene_up(&s, 1)->s, SL_END_TLS);
	scene_run(&s);
	ERROR(c, 503);
	LOGGED(&s, 503, SL_RF_UF | SL_RF_URX);
	/* no room here is no fault of an endpoint, and no plaintext goes out instead */
	fake_tls_way(s.tcp, FAKE_TLS_FULL);
	uint32_t bad = s.ep[0].bad + s.ep[1].bad, failed = s.ep[0].failed + s.ep[1].failed;
	peer_says(&s, c, GET("/x"));
	ERROR(c, 503);
	LOGGED(&s, 503, SL_RF_OM | SL_RF_LR);
	CU_ASSERT(s.ep[0].bad + s.ep[1].bad == bad && s.ep[0].failed + s.ep[1].failed == failed);
	CU_ASSERT_EQUAL(scene_up(&s, 0)->len, 0);
	scene_end(&s);
}

static void
connections_are_shared_by_requests_of_one_server_name_alone(void)
{
	static const struct {
		const char *path, *host, *name; /* server name; "": none */
	} rows[] = {
		{"/x", "h", "h"},
		{"/x", "H:8443", "h"},
		{"/x", "a.example", "a.example"},
		{"/x", "A.example.", "a.example"},
		{"/x", "b.example", "b.example"},
		{"/api", "a.example", "internal.example"}, /* as the route rewrites it */
		{"/api", "b.example", "internal.example"},
		{"/x", "192.0.2.1", ""},
		{"/x", "[2001:db8::1]:80", ""},
		{"/x", "10.1", ""},
		{"/x", "x..y", ""},
		{"/x", "x~y", ""},
	};
	const struct scene_conf conf = {.any_host = true};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		for (size_t k = 0; k < SL_ARRAY_CNT(rows); k++) {
			struct scene s;
			scene_init(&s, &conf);
			scene_secures(&s, SCENE_A);
			s.service_tls[0].says.auto_sni = 1;
			struct peer *c = scene_client(&s);
			for (unsigned n = 0; n < 2; n++) {
				size_t r = n ? k : i;
				char text[128];
				snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n",
					 rows[r].path, rows[r].host);
				peer_says(&s, c, text);
				struct peer *e = scene_up(&s, 0);
				CU_ASSERT_PTR_NOT_NULL_FATAL(e);
				CU_ASSERT_STRING_EQUAL(fake_tls_asked(e->s).host, rows[r].name);
				e->len = 0;
				scene_answer(&s, c, 0);
			}
			bool same = strcmp(rows[i].name, rows[k].name) == 0;
			CU_ASSERT_EQUAL(COUNTED(&s, POOL_REUSED), same);
			CU_ASSERT_EQUAL(COUNTED(&s, POOL_NEW), same ? 1 : 2);
			scene_end(&s);
		}
	}
}

static void
connections_of_another_protection_are_not_lent(void)
{
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/x"));
	struct peer *plain = scene_up(&s, 0);
	HEARS(plain, GET("/x"));
	scene_answer(&s, c, 0);
	/* the service wants TLS from now on */
	scene_secures(&s, SCENE_A);
	s.rule.generation++;
	peer_says(&s, c, GET("/x"));
	struct peer *first = scene_up(&s, 0);
	CU_ASSERT(first != plain && fake_tls_asked(first->s).client);
	HEARS(plain, NULL);
	STATE(plain, "gone");
	HEARS(first, GET("/x"));
	scene_answer(&s, c, 0);
	/* a table without a change */
	s.rule.generation++;
	peer_says(&s, c, GET("/x"));
	HEARS(first, GET("/x"));
	scene_answer(&s, c, 0);
	/* it goes by another bundle */
	strcpy(s.service_tls[0].says.trust[0], "other");
	s.rule.generation++;
	peer_says(&s, c, GET("/x"));
	CU_ASSERT(scene_up(&s, 0) != first);
	STATE(first, "gone");
	HEARS(scene_up(&s, 0), GET("/x"));
	scene_answer(&s, c, 0);
	/* and by none at all */
	struct peer *second = scene_up(&s, 0);
	s.service_tls[0].is = false;
	s.rule.generation++;
	peer_says(&s, c, GET("/x"));
	CU_ASSERT(scene_up(&s, 0) != second && !fake_tls_asked(scene_up(&s, 0)->s).client);
	STATE(second, "gone");
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	scene_end(&s);
}

#define TO_THE_END "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome"

static void
an_answer_that_ends_with_its_connection_is_whole_only_when_tls_says_so(void)
{
	static const struct {
		const char *answer, *heard, *state;
		bool cut;
		uint32_t flags;
	} rows[] = {
		{TO_THE_END,
		 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n0\r\n\r\n",
		 "open", false, 0},
		{TO_THE_END, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome",
		 "reset", true, SL_RF_UC},
		{OK2_CLOSE, OK2, "open", true, 0}, /* its length says it */
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		 "open", true, 0},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "reset", true, SL_RF_UC},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok",
		 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nok", "reset", false, SL_RF_UC},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		for (unsigned later = 0; later < 2; later++) {
			struct scene s;
			scene_init(&s, &by_tls);
			scene_secures(&s, SCENE_A);
			struct peer *c = scene_client(&s);
			peer_says(&s, c, GET("/x"));
			struct peer *e = scene_up(&s, 0);
			CU_ASSERT_FATAL(e && e->s);
			fake_peer_sends(e->s, rows[i].answer, (uint32_t)strlen(rows[i].answer));
			if (later)
				scene_run(&s);
			if (e->s && rows[i].cut)
				fake_peer_cuts(e->s);
			else if (e->s)
				fake_peer_fin(e->s);
			scene_run(&s);
			if (later || !rows[i].flags) /* a reset overtakes what came with it */
				HEARS(c, rows[i].heard);
			STATE(c, rows[i].state);
			LOGGED(&s, 200, rows[i].flags);
			CU_ASSERT_EQUAL(COUNTED(&s, ANSWER_CUT), rows[i].flags != 0);
			scene_end(&s);
		}
	}
}

static void
an_endpoint_that_ends_before_its_answer_is_another_try_as_ever(void)
{
	for (unsigned cut = 0; cut < 2; cut++) {
		struct scene s;
		scene_init(&s, NULL);
		scene_secures(&s, SCENE_A);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, GET("/reset"));
		struct peer *e = scene_up(&s, 0);
		if (cut)
			fake_peer_cuts(e->s);
		else
			fake_peer_fin(e->s);
		scene_run(&s);
		HEARS(scene_up(&s, 1), GET("/reset"));
		scene_answer(&s, c, 1);
		/* and on an idle connection it is let go of */
		struct peer *idle = scene_up(&s, 1);
		if (cut)
			fake_peer_cuts(idle->s);
		else
			fake_peer_fin(idle->s);
		scene_run(&s);
		STATE(idle, "gone");
		scene_end(&s);
	}
}

static void
a_tunnel_passes_an_end_on_and_a_cut_as_a_reset(void)
{
	static const char ask[] = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
				  "Upgrade: echo\r\n\r\n";
	static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
				  "Upgrade: echo\r\n\r\n";

	for (unsigned who = 0; who < 4; who++) {
		bool cut = who & 1, by_client = who & 2;
		struct scene s;
		scene_init(&s, &by_tls);
		scene_secures(&s, SCENE_A);
		struct peer *c = scene_client(&s);
		peer_says(&s, c, ask);
		struct peer *e = scene_up(&s, 0);
		peer_says(&s, e, yes);
		CU_ASSERT_EQUAL(COUNTED(&s, UPGRADED), 1);
		struct peer *from = by_client ? c : e, *to = by_client ? e : c;
		to->len = 0;
		fake_peer_sends(from->s, "bye", 3);
		if (cut)
			fake_peer_cuts(from->s);
		else
			fake_peer_fin(from->s);
		scene_run(&s);
		STATE(to, cut ? "reset" : "fin");
		if (!cut)
			HEARS(to, "bye");
		scene_end(&s);
	}
}

static void
mirrors_speak_tls_too(void)
{
	struct scene s;

	scene_init(&s, NULL);
	scene_secures(&s, SCENE_B);
	s.service_tls[1].says.auto_sni = 1;
	struct peer *c = scene_client(&s);
	peer_says(&s, c, GET("/mirror"));
	struct peer *m = scene_up(&s, 2);
	CU_ASSERT_PTR_NOT_NULL_FATAL(m);
	CU_ASSERT(fake_tls_asked(m->s).client && fake_tls_asked(m->s).slot == SCENE_B);
	CU_ASSERT_STRING_EQUAL(fake_tls_asked(m->s).host, "h"); /* which the shadow's host is not */
	m->got[m->len] = 0;
	CU_ASSERT_PTR_NOT_NULL(strstr(m->got, "\r\nHost: h-shadow\r\n"));
	m->len = 0;
	peer_says(&s, m, OK2);
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	CU_ASSERT_EQUAL(s.ep[2].ok, 1);
	scene_end(&s);
}

/* ---- the access log ---- */

static void
records_say_by_what_tls_and_who(void)
{
	struct scene s;

	scene_init(&s, &by_tls);
	scene_secures(&s, SCENE_A);
	scene_shows(&s, &(struct scene_peer){.uri = "spiffe://td/ns/a/sa/b",
					     .dns = "x.example",
					     .sni = "shop.example",
					     .verified = true});
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "GET /x HTTP/1.1\r\nHost: h\r\nUser-Agent: u\r\nX-Request-Id: 7\r\n\r\n");
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	CU_ASSERT(s.log.tls_version == SL_TLS_1_3 && s.log.tls_suite == SL_SUITE_CHACHA20 &&
		  s.log.tls_resumed == 1 && s.log.upstream_tls == 1);
	CU_ASSERT_STRING_EQUAL(s.log_strings, "GETh/xu7shop.examplespiffe://td/ns/a/sa/b");
	CU_ASSERT(s.log.sni_len == 12 && s.log.identity_len == 21);
	/* an answer of the gateway's own; one that is no request */
	peer_says(&s, c, GET("/direct"));
	CU_ASSERT(s.log.status == 200 && s.log.identity_len == 21 && s.log.upstream_tls == 0);
	peer_says(&s, c, "what\r\n\r\n");
	CU_ASSERT(s.log.status == 400 && s.log.tls_version == SL_TLS_1_3);
	CU_ASSERT_STRING_EQUAL(s.log_strings, "shop.examplespiffe://td/ns/a/sa/b");
	/* who is not verified has no identity, but asked for a name */
	scene_shows(&s, &(struct scene_peer){.uri = "spiffe://td/q", .sni = "n.example"});
	c = scene_client(&s);
	peer_says(&s, c, GET("/direct"));
	CU_ASSERT(s.log.sni_len == 9 && s.log.identity_len == 0 && s.log.tls_version == SL_TLS_1_3);
	scene_end(&s);
	scene_init(&s, NULL);
	c = scene_client(&s);
	peer_says(&s, c, GET("/direct"));
	CU_ASSERT(s.log.tls_version == 0 && s.log.tls_suite == 0 && s.log.sni_len == 0 &&
		  s.log.identity_len == 0);
	scene_end(&s);
}

SL_SUITE("http tls", SL_TEST(plaintext_is_let_in_beside_tls_where_the_listener_says_so),
	 SL_TEST(each_client_has_its_connections),
	 SL_TEST(a_request_waits_until_its_handshake_is_done),
	 SL_TEST(who_fails_the_handshake_leaves_nothing_behind),
	 SL_TEST(handshakes_count_as_connections_of_the_listener),
	 SL_TEST(a_listener_that_goes_takes_handshakes_with_it),
	 SL_TEST(the_proxy_header_comes_before_the_handshake),
	 SL_TEST(a_connection_without_the_protection_its_listener_wants_gets_no_further_request),
	 SL_TEST(a_clients_last_request_is_answered_whether_it_said_that_it_was_or_not),
	 SL_TEST(endpoints_and_redirects_learn_that_the_client_came_by_https),
	 SL_TEST(routes_go_by_the_verified_identity_of_the_client),
	 SL_TEST(nobody_says_of_himself_who_he_is),
	 SL_TEST(explanations_take_an_identity_beside_the_request),
	 SL_TEST(client_certificates_are_passed_on_as_the_listener_says_and_never_unverified),
	 SL_TEST(no_connection_line_and_no_underscore_gets_a_certificate_past_the_gateway),
	 SL_TEST(a_request_goes_to_an_endpoint_only_when_its_handshake_is_done),
	 SL_TEST(a_failed_handshake_is_a_failed_connection),
	 SL_TEST(connections_are_shared_by_requests_of_one_server_name_alone),
	 SL_TEST(connections_of_another_protection_are_not_lent),
	 SL_TEST(an_answer_that_ends_with_its_connection_is_whole_only_when_tls_says_so),
	 SL_TEST(an_endpoint_that_ends_before_its_answer_is_another_try_as_ever),
	 SL_TEST(a_tunnel_passes_an_end_on_and_a_cut_as_a_reset), SL_TEST(mirrors_speak_tls_too),
	 SL_TEST(records_say_by_what_tls_and_who))
