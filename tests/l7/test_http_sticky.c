/* The HTTP engine over fake streams: clients of a split that are given a cookie.  Route /kept: A has one of four, B the rest. */
#include "tests/l7/http_scene.h"

#define HEAD "HTTP/1.1 200 OK\r\n"
#define REST "Content-Length: 2\r\n\r\nok"

/* One request; the service that it went to.  cookie: sent along, or NULL; set: what the client was told, or "". */
static unsigned
ask(struct scene *s, struct peer *c, const char *cookie, char set[256])
{
	char say[512];

	snprintf(say, sizeof(say), "GET /kept HTTP/1.1\r\nHost: h\r\n%s%s%s\r\n",
		 cookie ? "Cookie: a=b; " : "", cookie ? cookie : "", cookie ? "\r\n" : "");
	unsigned up = s->ep[2].load;
	peer_says(s, c, say);
	unsigned service = s->ep[2].load > (int)up ? SCENE_B : SCENE_A;
	peer_says(s, scene_up(s, service == SCENE_B ? 2 : 0), OK2);
	c->got[c->len] = 0;
	set[0] = 0;
	sscanf(c->got, HEAD "set-cookie: %255[^\r]", set);
	CU_ASSERT(set[0] ? c->len == strlen(HEAD) + 12 + strlen(set) + 2 + strlen(REST)
			 : c->len == strlen(OK2));
	c->len = 0;
	return service;
}

static void
clients_stay_where_they_were_sent_first(void)
{
	unsigned to_b = 0;
	struct scene s;

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	char seen[200][33];
	for (unsigned i = 0; i < 200; i++) {
		char set[256], none[256], cookie[64];
		unsigned first = ask(&s, c, NULL, set);
		char *end = strchr(set, ';');
		CU_ASSERT_PTR_NOT_NULL_FATAL(end);
		CU_ASSERT_STRING_EQUAL(end, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600");
		snprintf(cookie, sizeof(cookie), "%.*s", (int)(end - set), set);
		CU_ASSERT(strncmp(cookie, "canary=", 7) == 0 && strlen(cookie) == 39 &&
			  strspn(cookie + 7, "0123456789abcdef") == 32);
		for (unsigned n = 0; n < 3; n++) {
			CU_ASSERT_EQUAL(ask(&s, c, cookie, none), first);
			CU_ASSERT_STRING_EQUAL(none, "");
		}
		memcpy(seen[i], cookie + 7, sizeof(seen[i]));
		for (unsigned k = 0; k < i; k++)
			CU_ASSERT_STRING_NOT_EQUAL(seen[k], seen[i]);
		to_b += first == SCENE_B;
	}
	CU_ASSERT(to_b > 120 && to_b < 180); /* three of four */
	scene_end(&s);
}

static void
a_client_that_has_one_keeps_it(void)
{
	struct scene s;
	char set[256];

	scene_init(&s, NULL);
	struct peer *c = scene_client(&s);
	(void)ask(&s, c, "canary=mine", set);
	CU_ASSERT_STRING_EQUAL(set, "");
	(void)ask(&s, c, "canaryx=1", set);
	CU_ASSERT_STRING_NOT_EQUAL(set, "");
	scene_end(&s);
}

static void
it_goes_by_tls_alone_where_it_was_given_by_tls(void)
{
	struct scene s;
	const struct sl_img_tls_listener tls = {.client = SL_TLS_CLIENT_NONE};
	const struct http_ask who = {0};
	static const char say[] = "GET /kept HTTP/1.1\r\nHost: h\r\n\r\n";
	const struct sl_http_limits limits = {8192, 100};
	struct http_decision d;
	enum sl_http_bad why;

	scene_init(&s, NULL);
	struct sl_http *h = s.http;
	CU_ASSERT_FATAL(sl_http_request((const uint8_t *)say, sizeof(say) - 1, 0, &limits, &h->head,
					&why) > 0);
	for (unsigned secure = 0; secure < 2; secure++) {
		struct sl_http_rule rule = s.rule;
		rule.tls = secure ? &tls : NULL;
		sl_http_decide(h, &rule, &h->head, (struct sl_bytes){0}, &d);
		sl_http_judge(h, &rule, &who, &h->head, &d, false);
		CU_ASSERT(d.edit_cnt == 1 && d.drawn);
		const struct sl_img_edit *e = h->policy_edits;
		const char *value = (const char *)h->policy_text + e->value.off;
		CU_ASSERT_EQUAL(memmem(value, e->value.len, "; Secure;", 9) != NULL, secure);
	}
	/* who only asks what would be is given none */
	sl_http_decide(h, &s.rule, &h->head, (struct sl_bytes){0}, &d);
	sl_http_judge(h, &s.rule, &who, &h->head, &d, true);
	CU_ASSERT(d.edit_cnt == 0 && !d.drawn);
	scene_end(&s);
}

SL_SUITE("http_sticky", SL_TEST(clients_stay_where_they_were_sent_first),
	 SL_TEST(a_client_that_has_one_keeps_it),
	 SL_TEST(it_goes_by_tls_alone_where_it_was_given_by_tls))
