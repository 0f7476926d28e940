/* Tokens of requests, as clients, endpoints, log and statistics see them: with one engine, and with two that share the work as workers do.
 *
 *   /token/must    issuer one, required        /token/two     one or two
 *   /token/open    issuer one                  /token/any     one, or whoever has the keys of any
 *   /token/places  header, cookie, parameter; taken out, required              /token/spare   likewise, not required
 *   /token/new     an issuer without keys      /token/here    a direct answer
 */
#include "tests/l7/http_scene.h"
#include "tests/l7/jwt_scene.h"

static EVP_PKEY *key_one, *key_two, *stranger;
static struct sl_issuer issuers[SCENE_ISSUERS];
static struct sl_img_jwt *images[SCENE_ISSUERS];
static struct sl_jwt_keys *sets[SCENE_ISSUERS];

static void
make_issuer(unsigned i, const struct jwt_issuer *of)
{
	char why[SL_JWT_WHY_MAX];

	images[i] = jwt_build(of);
	CU_ASSERT_EQUAL_FATAL(sl_jwt_keys_create(images[i], why, &sets[i]), 0);
	issuers[i] = (struct sl_issuer){.img = images[i], .keys = sets[i]};
}

static void
make_issuers(void)
{
	static const struct jwt_claim claims[] = {
		{"sub", "x-user"}, {"realm.tenant", "x-tenant"}, {0}};
	static const struct jwt_from two[] = {
		{SL_JWT_FROM_BEARER, NULL}, {SL_JWT_FROM_HEADER, "x-token"}, {0}};
	static const struct jwt_from places[] = {{SL_JWT_FROM_HEADER, "x-token"},
						 {SL_JWT_FROM_COOKIE, "session"},
						 {SL_JWT_FROM_QUERY, "access_token"},
						 {0}};

	if (key_one)
		return;
	key_one = jwt_key(SL_JWT_EDDSA);
	key_two = jwt_key(SL_JWT_ES256);
	stranger = jwt_key(SL_JWT_EDDSA);
	const struct jwt_issuer_key one = {"k", SL_JWT_EDDSA, key_one},
				    second = {"", SL_JWT_ES256, key_two};
	const struct jwt_issuer of[SCENE_ISSUERS] = {
		[SCENE_ISSUER_ONE] = {.name = "one",
				      .issuer = "https://one",
				      .audience = "api",
				      .leeway_s = 60,
				      .claims = claims,
				      .payload_header = "x-claims",
				      .keys = &one,
				      .key_cnt = 1},
		[SCENE_ISSUER_TWO] = {.name = "two",
				      .issuer = "https://two",
				      .from = two,
				      .strip = true,
				      .keys = &second,
				      .key_cnt = 1},
		[SCENE_ISSUER_PLACES] = {.name = "places",
					 .issuer = "https://one",
					 .from = places,
					 .strip = true,
					 .keys = &one,
					 .key_cnt = 1},
		[SCENE_ISSUER_ANY] = {.name = "any", .keys = &second, .key_cnt = 1},
		[SCENE_ISSUER_NEW] = {.name = "new", .issuer = "https://new"},
	};
	for (unsigned i = 0; i < SCENE_ISSUERS; i++)
		make_issuer(i, &of[i]);
}

static void
tokens_init(struct scene *s, const struct scene_conf *conf)
{
	make_issuers();
	scene_init(s, conf);
	s->rule.issuers = issuers;
	s->wall_s = JWT_NOW;
	scene_run(s);
}

/* ---- tokens by a letter ---- */

#define ONE "{\"alg\":\"EdDSA\",\"kid\":\"k\"}"
#define TWO "{\"alg\":\"ES256\"}"
#define IS(iss, more) "{\"iss\":\"https://" iss "\"," more "}"
#define SUB "\"sub\":\"ann\",\"aud\":[\"web\",\"api\"],\"realm\":{\"tenant\":7}"
#define EXP(s) ",\"exp\":" s

static const struct kind {
	char letter;
	const char *header, *claims;
	EVP_PKEY **by;
} kinds[] = {
	{'G', ONE, IS("one", SUB EXP("1700000600")), &key_one},
	{'H', ONE, IS("one", SUB EXP("1700000601")), &key_one}, /* another good one */
	{'O', TWO, IS("two", SUB EXP("1700000600")), &key_two},
	{'X', ONE, IS("one", SUB EXP("1699999940")), &key_one},
	{'L', ONE, IS("one", SUB EXP("1699999941")), &key_one}, /* within leeway */
	{'Y', ONE, IS("one", SUB EXP("1700000600,\"nbf\":1700000061")), &key_one},
	{'F', ONE, IS("one", SUB EXP("1700000600,\"iat\":1700000061")), &key_one},
	{'A', ONE, IS("one", "\"aud\":\"else\"" EXP("1700000600")), &key_one},
	{'S', ONE, IS("one", SUB EXP("1700000600")), &stranger},
	{'N', ONE, IS("evil", SUB EXP("1700000600")), &key_one},
	{'W', TWO, IS("one", SUB EXP("1700000600")), &key_two}, /* one's name, two's key */
	{'U', TWO, IS("else", SUB EXP("1700000600")), &key_two},
	{'K', "{\"alg\":\"EdDSA\",\"kid\":\"x\"}", IS("one", SUB EXP("1700000600")), &key_one},
	{'Z', "{\"alg\":\"none\"}", IS("one", SUB EXP("1700000600")), NULL},
	{'E', ONE, IS("new", SUB EXP("1700000600")), &key_one},
	/* claims that cannot stand in a line, or are no text */
	{'B', ONE, IS("one", "\"aud\":\"api\",\"sub\":\"a\\r\\nx-admin: 1\"" EXP("1700000600")),
	 &key_one},
	{'J', ONE,
	 IS("one", "\"aud\":\"api\",\"sub\":{\"is\":\"root\"},\"realm\":[7]" EXP("1700000600")),
	 &key_one},
	{'P', ONE, IS("one", "\"aud\":\"api\",\"sub\":\" ann\"" EXP("1700000600")), &key_one},
};

static const char *
token_of(char letter)
{
	static char made[SL_ARRAY_CNT(kinds)][1024];

	for (size_t i = 0; i < SL_ARRAY_CNT(kinds); i++) {
		if (kinds[i].letter != letter)
			continue;
		if (!made[i][0])
			snprintf(made[i], sizeof(made[i]), "%s",
				 jwt_sign(kinds[i].header, kinds[i].claims,
					  kinds[i].by == &key_two ? SL_JWT_ES256 : SL_JWT_EDDSA,
					  kinds[i].by ? *kinds[i].by : NULL));
		return made[i];
	}
	CU_FAIL_FATAL("no such token");
	return "";
}

/* "$G" is token G, "$$G" the first two digits of it as codes and the rest as it is, "$.G" its claims alone. */
static const char *
text_of(const char *of)
{
	static char text[32768];
	char *to = text;

	for (; *of; of++) {
		if (*of != '$') {
			*to++ = *of;
			continue;
		}
		char how = *++of;
		const char *t = token_of(how == '$' || how == '.' ? *++of : how);
		if (how == '$')
			to += sprintf(to, "%%%02x%%%02x%s", t[0], t[1], t + 2);
		else if (how == '.')
			to += sprintf(to, "%.*s", (int)(strrchr(t, '.') - strchr(t, '.') - 1),
				      strchr(t, '.') + 1);
		else
			to += sprintf(to, "%s", t);
	}
	*to = 0;
	return text;
}

static bool
is_in(struct peer *p, const char *text)
{
	if (!p || !p->len)
		return false;
	p->got[p->len] = 0;
	return strcasestr(p->got, text_of(text)) != NULL;
}

/* ---- request → answer ---- */

#define ASK(path, ...) "GET /token/" path " HTTP/1.1\r\nHost: h\r\n" __VA_ARGS__ "\r\n"
#define BEARER(t) "Authorization: Bearer " t "\r\n"

static const struct row {
	const char *name, *ask;
	const char *why; /* NULL: it passes; else 401 with this in the log */
	const char *sees, *sees_not;
} rows[] = {
	/* one issuer, one place */
	{"a good token", ASK("must", BEARER("$G")), NULL, BEARER("$G"), NULL},
	{"the scheme in any case", ASK("must", "AUTHORIZATION: bEaReR $G\r\n"), NULL, NULL, NULL},
	{"spaces", ASK("must", "Authorization:   Bearer   $G  \r\n"), NULL, NULL, NULL},
	{"none", ASK("must"), "jwt/no-token", NULL, NULL},
	{"none, and none needed", ASK("open"), NULL, NULL, NULL},
	{"another scheme", ASK("must", "Authorization: Basic $G\r\n"), "jwt/no-token", NULL, NULL},
	{"another scheme, none needed", ASK("open", "Authorization: Basic YTpi\r\n"), NULL,
	 "Authorization: Basic YTpi", NULL},
	{"a scheme that only begins alike", ASK("must", "Authorization: Bearers $G\r\n"),
	 "jwt/no-token", NULL, NULL},
	{"no scheme", ASK("must", "Authorization: $G\r\n"), "jwt/no-token", NULL, NULL},
	{"a cookie is no place of it", ASK("must", "Cookie: session=$G\r\n"), "jwt/no-token", NULL,
	 NULL},
	{"nor a parameter", ASK("must?access_token=$G"), "jwt/no-token", NULL, NULL},
	/* there, but not good: refused whether one is needed or not */
	{"the scheme alone", ASK("open", "Authorization: Bearer\r\n"), "jwt/parts", NULL, NULL},
	{"the scheme and a space", ASK("open", "Authorization: Bearer \r\n"), "jwt/parts", NULL,
	 NULL},
	{"a tab behind the scheme", ASK("open", "Authorization: Bearer\t$G\r\n"), "jwt/base64",
	 NULL, NULL},
	{"no token", ASK("open", BEARER("x")), "jwt/parts", NULL, NULL},
	{"a list", ASK("open", BEARER("$G,$G")), "jwt/parts", NULL, NULL},
	{"more behind it", ASK("open", BEARER("$G x")), "jwt/base64", NULL, NULL},
	{"in quotes", ASK("open", BEARER("\"$G\"")), "jwt/base64", NULL, NULL},
	{"expired", ASK("open", BEARER("$X")), "one/expired", NULL, NULL},
	{"within leeway", ASK("must", BEARER("$L")), NULL, NULL, NULL},
	{"early", ASK("open", BEARER("$Y")), "one/early", NULL, NULL},
	{"of the future", ASK("open", BEARER("$F")), "one/future", NULL, NULL},
	{"of another audience", ASK("open", BEARER("$A")), "one/audience", NULL, NULL},
	{"of another issuer", ASK("open", BEARER("$N")), "jwt/issuer", NULL, NULL},
	{"of another's key", ASK("open", BEARER("$S")), "one/signature", NULL, NULL},
	{"of another algorithm", ASK("open", BEARER("$W")), "one/key-alg", NULL, NULL},
	{"of no key we know", ASK("open", BEARER("$K")), "one/kid", NULL, NULL},
	{"not signed", ASK("open", BEARER("$Z")), "jwt/alg-none", NULL, NULL},
	{"of an issuer without keys", ASK("new", BEARER("$E")), "new/no-keys", NULL, NULL},
	{"a direct answer, too", ASK("here", BEARER("$X")), "one/expired", NULL, NULL},
	/* two tokens */
	{"two lines", ASK("open", BEARER("$G") BEARER("$G")), "jwt/several-tokens", NULL, NULL},
	{"two lines, one of another scheme", ASK("open", BEARER("$G") "Authorization: Basic x\r\n"),
	 "jwt/several-tokens", NULL, NULL},
	{"the same in two places", ASK("places?access_token=$G", "X-Token: $G\r\n"), NULL, NULL,
	 "access_token"},
	{"and coded in one", ASK("places?access_token=$$G", "X-Token: $G\r\n"), NULL, NULL,
	 "x-token"},
	{"header and parameter", ASK("places?access_token=$H", "X-Token: $G\r\n"),
	 "jwt/several-tokens", NULL, NULL},
	{"header and cookie", ASK("places", "X-Token: $G\r\nCookie: session=$H\r\n"),
	 "jwt/several-tokens", NULL, NULL},
	{"header and nonsense", ASK("places", "X-Token: $G\r\nCookie: session=\r\n"),
	 "jwt/several-tokens", NULL, NULL},
	{"one parameter twice", ASK("places?access_token=$G&access_token=$G"), "jwt/several-tokens",
	 NULL, NULL},
	{"one cookie twice", ASK("places", "Cookie: session=$G; session=$G\r\n"),
	 "jwt/several-tokens", NULL, NULL},
	{"in two lines of cookies", ASK("places", "Cookie: session=$G\r\nCookie: session=$H\r\n"),
	 "jwt/several-tokens", NULL, NULL},
	/* places */
	{"a header", ASK("places", "x-token: $G\r\n"), NULL, "GET /token/places HTTP/1.1",
	 "x-token"},
	{"its whole value", ASK("places", "X-Token: Bearer $G\r\n"), "jwt/base64", NULL, NULL},
	{"a cookie among others", ASK("places", "Cookie: a=1;  session=$G ;b=2\r\n"), NULL,
	 "cookie: a=1; b=2\r\n", "session"},
	{"a cookie alone", ASK("places", "Cookie: session=$G\r\n"), NULL, NULL, "cookie"},
	{"names of cookies are as they are", ASK("places", "Cookie: Session=$G\r\n"),
	 "jwt/no-token", NULL, NULL},
	{"a parameter", ASK("places?a=1&access_token=$G&b=2"), NULL,
	 "GET /token/places?a=1&b=2 HTTP/1.1", "access_token"},
	{"a parameter alone", ASK("places?access_token=$G"), NULL, "GET /token/places HTTP/1.1",
	 "access_token"},
	{"its name coded", ASK("places?%61ccess_token=$$G&c"), NULL, "GET /token/places?c HTTP/1.1",
	 NULL},
	{"not a place of its own", ASK("places", BEARER("$G")), "jwt/no-token", NULL, NULL},
	{"an empty header", ASK("spare", "X-Token:\r\n"), "jwt/parts", NULL, NULL},
	{"an empty cookie", ASK("spare", "Cookie: session=\r\n"), "jwt/parts", NULL, NULL},
	{"an empty parameter", ASK("spare?access_token="), "jwt/parts", NULL, NULL},
	{"a parameter without a value", ASK("spare?access_token"), "jwt/parts", NULL, NULL},
	{"nothing of all that", ASK("spare?a=access_token", "Cookie: a=session\r\n"), NULL,
	 "GET /token/spare?a=access_token HTTP/1.1", NULL},
	/* several issuers */
	{"one of two", ASK("two", BEARER("$G")), NULL, BEARER("$G"), NULL},
	{"the other", ASK("two", BEARER("$O")), NULL, NULL, "authorization"},
	{"the other in its own place", ASK("two", "X-Token: $O\r\n"), NULL, NULL, "x-token"},
	{"one in the place of the other", ASK("two", "X-Token: $G\r\n"), "jwt/issuer", NULL, NULL},
	{"one by the other's key", ASK("two", BEARER("$W")), "one/key-alg", NULL, NULL},
	{"none of them", ASK("two", BEARER("$U")), "jwt/issuer", NULL, NULL},
	{"none", ASK("two"), "jwt/no-token", NULL, NULL},
	{"an issuer for whoever has its keys", ASK("any", BEARER("$U")), NULL, NULL, NULL},
	{"but not for one that has a name", ASK("any", BEARER("$W")), "one/key-alg", NULL, NULL},
	{"nor for others' keys", ASK("any", BEARER("$N")), "any/kid", NULL, NULL},
	/* what endpoints see */
	{"claims in headers",
	 ASK("must", BEARER("$G") "X-User: root\r\nx_user: root\r\nX-Tenant: root\r\n"), NULL,
	 "x-user: ann\r\nx-tenant: 7\r\nx-claims: $.G\r\n", "root"},
	{"whatever Connection says",
	 ASK("must", BEARER("$G") "Connection: x-user\r\nX-User: root\r\n"), NULL,
	 "x-user: ann\r\n", "root"},
	{"and nobody's own", ASK("open", "X-User: root\r\nX-CLAIMS: root\r\n"), NULL, NULL, "root"},
	{"a claim that would be a line of its own", ASK("must", BEARER("$B") "X-User: root\r\n"),
	 NULL, "x-claims: $.B\r\n", "x-admin"},
	{"nor the client's then", ASK("must", BEARER("$B") "X-User: root\r\n"), NULL, NULL,
	 "x-user"},
	{"claims that are no texts", ASK("must", BEARER("$J")), NULL, "x-claims", "x-user"},
	{"nor these", ASK("must", BEARER("$J")), NULL, NULL, "x-tenant"},
	{"a text with a space at its end", ASK("must", BEARER("$P")), NULL, NULL, "x-user"},
	{"another route is not changed", "GET /x HTTP/1.1\r\nHost: h\r\nX-User: root\r\n\r\n", NULL,
	 "X-User: root", NULL},
};

/* 401 as RFC 6750 has it: no error where there was no token. */
static bool
is_refused(struct peer *c, const char *why)
{
	bool none = strcmp(why, "jwt/no-token") == 0;

	return is_in(c, "HTTP/1.1 401 ") &&
	       is_in(c, none ? "\r\nwww-authenticate: Bearer\r\n"
			     : "\r\nwww-authenticate: Bearer error=\"invalid_token\", "
			       "error_description=\"");
}

static bool
ask_row(struct scene *s, const struct row *r)
{
	struct peer *c = scene_client(s), *up;
	uint64_t missing = COUNTED(s, TOKEN_MISSING), refused = COUNTED(s, TOKEN_REFUSED);
	bool none = r->why && strcmp(r->why, "jwt/no-token") == 0, ok;

	if (scene_up(s, 0))
		scene_up(s, 0)->len = 0;
	peer_says(s, c, text_of(r->ask));
	up = scene_up(s, 0);
	if (r->why) {
		ok = is_refused(c, r->why) && strcmp(scene_log_why(s), r->why) == 0 &&
		     s->log.status == 401 && s->log.flags == SL_RF_UAEX && (!up || !up->len) &&
		     COUNTED(s, TOKEN_MISSING) - missing == none &&
		     COUNTED(s, TOKEN_REFUSED) - refused == !none;
	} else {
		ok = is_in(up, "GET ") && (!r->sees || is_in(up, r->sees)) &&
		     (!r->sees_not || !is_in(up, r->sees_not));
		if (up)
			peer_says(s, up, OK2);
		ok = ok && is_in(c, "HTTP/1.1 200 OK") && scene_log_why(s)[0] == 0;
	}
	if (!ok)
		printf("\n  %s: the log says \"%s\", the client hears\n%s\n  the endpoint\n%.*s\n",
		       r->name, scene_log_why(s), c->got ? c->got : "", up ? (int)up->len : 0,
		       up && up->got ? up->got : "");
	STATE(c, "open");
	c->len = 0;
	peer_fin(s, c);
	c->spare = !c->s;
	return ok;
}

static void
requests_pass_or_not_by_the_table(void)
{
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct scene s[2];
		for (unsigned w = 0; w < workers; w++)
			tokens_init(&s[w], NULL);
		for (unsigned twice = 0; twice < 2; twice++) /* what is known, too */
			for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++)
				CU_ASSERT(ask_row(&s[(i + twice) % workers], &rows[i]));
		for (unsigned w = 0; w < workers; w++) {
			CU_ASSERT(COUNTED(&s[w], TOKEN_KEPT) > 0);
			CU_ASSERT_EQUAL(COUNTED(&s[w], TOKEN_WAITED), 0);
			scene_end(&s[w]);
		}
	}
}

static void
nothing_is_good_while_the_time_is_not_known(void)
{
	static const struct row row = {"no clock", ASK("must", BEARER("$G")), "one/no-clock", NULL,
				       NULL};
	struct scene s;

	tokens_init(&s, NULL);
	s.wall_s = 0;
	scene_pass(&s, 200);
	CU_ASSERT(ask_row(&s, &row));
	s.wall_s = JWT_NOW;
	scene_pass(&s, 200);
	CU_ASSERT(ask_row(&s, &rows[0]));
	/* and by and by it expires */
	s.wall_s = JWT_NOW + 659;
	scene_pass(&s, 200);
	CU_ASSERT(ask_row(&s, &rows[0]));
	s.wall_s++;
	scene_pass(&s, 200);
	const struct row expired = {"later", ASK("must", BEARER("$G")), "one/expired", NULL, NULL};
	CU_ASSERT(ask_row(&s, &expired));
	scene_end(&s);
}

/* A refused request's body is read over, its connection goes on; the answer to HEAD has none. */
static void
refused_requests_end_alone(void)
{
	struct scene s;

	tokens_init(&s, NULL);
	struct peer *c = scene_client(&s);
	peer_says(&s, c, "POST /token/must HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	CU_ASSERT(is_in(c, "HTTP/1.1 401 ") && is_in(c, "\r\n\r\na token is required\n"));
	c->len = 0;
	peer_says(&s, c, "HEAD /token/must HTTP/1.1\r\nHost: h\r\n\r\n");
	CU_ASSERT(is_in(c, "HTTP/1.1 401 ") && !is_in(c, "a token is required"));
	c->len = 0;
	/* two behind each other, the second good */
	peer_says(&s, c, text_of(ASK("must", BEARER("$X")) ASK("must", BEARER("$G"))));
	CU_ASSERT(is_in(c, "HTTP/1.1 401 "));
	c->len = 0;
	CU_ASSERT(is_in(scene_up(&s, 0), "x-user: ann"));
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	STATE(c, "open");
	scene_end(&s);
}

#define CHUNKED(path, ...)                                                                         \
	"POST " path " HTTP/1.1\r\nHost: h\r\n" __VA_ARGS__                                        \
	"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-User: root\r\nX-Sum: 1\r\n\r\n"

/* What a client says behind the body does not pass where lines of the head say what a token says. */
static void
trailers_say_nothing_of_claims(void)
{
	static const struct {
		const char *ask;
		bool pass;
	} trailing[] = {{CHUNKED("/token/must", BEARER("$G")), false},
			{CHUNKED("/token/open", ""), false},
			{CHUNKED("/token/spare", ""), true}, /* nothing is written there */
			{CHUNKED("/b", ""), true}};
	struct scene s;

	tokens_init(&s, NULL);
	struct peer *c = scene_client(&s);
	for (size_t i = 0; i < SL_ARRAY_CNT(trailing); i++) {
		peer_says(&s, c, text_of(trailing[i].ask));
		struct peer *up = scene_up(&s, i == 3 ? 2 : 0);
		CU_ASSERT(is_in(up, trailing[i].pass
					    ? "3\r\nabc\r\n0\r\nX-User: root\r\nX-Sum: 1\r\n\r\n"
					    : "3\r\nabc\r\n0\r\n\r\n"));
		CU_ASSERT_EQUAL(is_in(up, "root"), trailing[i].pass);
		up->len = 0;
		scene_answer(&s, c, i == 3 ? 2 : 0);
	}
	scene_end(&s);
}

/* A member called "" leads nowhere but below itself. */
static void
claims_of_members_without_a_name_are_no_others(void)
{
	struct scene s;
	char ask[1024];

	tokens_init(&s, NULL);
	struct peer *c = scene_client(&s);
	snprintf(ask, sizeof(ask), ASK("must", BEARER("%s")),
		 jwt_sign(ONE,
			  IS("one", "\"aud\":\"api\",\"\":{\"sub\":\"root\",\"a\":[{\"b\":1},2]},"
				    "\"exp\":1700000600"),
			  SL_JWT_EDDSA, key_one));
	peer_says(&s, c, ask);
	CU_ASSERT(is_in(scene_up(&s, 0), "x-claims") && !is_in(scene_up(&s, 0), "x-user"));
	const struct http_claims *all = &s.http->claims;
	unsigned subs = 0, below = 0, listed = 0;
	for (uint32_t i = 0; i < all->cnt; i++) {
		const struct sl_bytes n = all->claim[i].name;
		subs += n.len == 3 && memcmp(n.at, "sub", 3) == 0;
		below += n.len == 4 && memcmp(n.at, ".sub", 4) == 0;
		listed += (n.len == 4 && memcmp(n.at, ".a.b", 4) == 0) ||
			  (n.len == 2 && memcmp(n.at, ".a", 2) == 0);
	}
	CU_ASSERT(subs == 0 && below == 1 && listed == 2);
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	scene_end(&s);
}

/* ---- signatures that wait ---- */

/* No check may be made for the next `ms`: their share of time is gone. */
static void
spend(struct scene *s, unsigned ms)
{
	static unsigned n;
	struct sl_jwt_verifier *v = s->http->tokens.verifier;
	static struct sl_jwt t;
	struct sl_jwt_asked asked;
	char claims[128];

	unsigned cost = SL_JWT_BURST_NS + ms * (1000000 / SL_JWT_SHARE);
	for (unsigned left = cost; (int)left > 0; left -= sets[SCENE_ISSUER_ONE]->key[0].cost_ns) {
		snprintf(claims, sizeof(claims), IS("one", "\"exp\":1700000600,\"n\":%u"), n++);
		const char *text = jwt_sign(ONE, claims, 0, NULL);
		char with[512];
		snprintf(with, sizeof(with), "%s%086d", text, 0);
		with[strlen(with) - 86] = 'A';
		memset(with + strlen(with) - 86, 'A', 86);
		CU_ASSERT_EQUAL_FATAL(
			sl_jwt_read((struct sl_bytes){(uint8_t *)with, (uint32_t)strlen(with)}, &t),
			SL_JWT_OK);
		sl_jwt_verify(v, sets[SCENE_ISSUER_ONE], &t, http_now(s->http), true, &asked);
		CU_ASSERT_EQUAL_FATAL(asked.checks, 1);
	}
}

/* A connection whose request waits. */
static struct peer *
waiting(struct scene *s, unsigned ms)
{
	struct peer *c;

	tokens_init(s, NULL);
	c = scene_client(s);
	spend(s, ms);
	peer_says(s, c, text_of(ASK("must", BEARER("$G"))));
	CU_ASSERT_EQUAL(c->len, 0);
	CU_ASSERT_EQUAL(COUNTED(s, TOKEN_WAITED), 1);
	CU_ASSERT_PTR_NULL(scene_up(s, 0));
	return c;
}

static void
a_signature_waits_for_its_share_of_time(void)
{
	struct scene s;
	struct peer *c = waiting(&s, 100), *d = scene_client(&s);

	/* others that need no check do not wait; the next that needs one stands behind */
	peer_says(&s, d, GET("/direct"));
	CU_ASSERT(is_in(d, "200 OK"));
	d->len = 0;
	peer_says(&s, d, text_of(ASK("must", BEARER("$H"))));
	peer_says(&s, c, GET("/direct")); /* behind the one that waits: in order */
	CU_ASSERT(c->len == 0 && d->len == 0);
	CU_ASSERT_EQUAL(COUNTED(&s, TOKEN_WAITED), 2);
	scene_pass(&s, 60);
	CU_ASSERT(c->len == 0 && d->len == 0);
	scene_pass(&s, 60);
	CU_ASSERT_EQUAL(scene_ups(&s, 0), 2);
	for (unsigned i = 0; i < s.peer_cnt; i++)
		if (s.peers[i].endpoint == 0) {
			s.peers[i].len = 0;
			peer_says(&s, &s.peers[i], OK2);
		}
	CU_ASSERT(is_in(c, "ok") && is_in(c, "hello\n") && is_in(d, "ok"));
	CU_ASSERT_EQUAL(COUNTED(&s, TOKEN_BUSY), 0);
	CU_ASSERT_EQUAL(COUNTED(&s, TOKEN_REFUSED), 0);
	c->len = d->len = 0;
	scene_end(&s);
}

/* A token that says no key, of an issuer of four, whose share of time is too small for all of them. */
static void
who_waits_too_long_is_told_to_come_back(void)
{
	make_issuers();
	EVP_PKEY *second = jwt_key(SL_JWT_EDDSA), *third = jwt_key(SL_JWT_EDDSA);
	const struct jwt_issuer_key four[] = {{"a", SL_JWT_EDDSA, stranger},
					      {"b", SL_JWT_EDDSA, second},
					      {"c", SL_JWT_EDDSA, third},
					      {"d", SL_JWT_EDDSA, key_one}};
	struct sl_img_jwt *img = jwt_build(&(const struct jwt_issuer){.keys = four, .key_cnt = 4});
	struct sl_issuer other[SCENE_ISSUERS];
	char ask[1024], why[SL_JWT_WHY_MAX];
	struct sl_jwt_keys *set;
	struct scene s;

	CU_ASSERT_EQUAL_FATAL(sl_jwt_keys_create(img, why, &set), 0);
	tokens_init(&s, NULL);
	memcpy(other, issuers, sizeof(other));
	other[SCENE_ISSUER_ANY] = (struct sl_issuer){.img = img, .keys = set};
	s.rule.issuers = other;
	struct peer *c = scene_client(&s);
	spend(&s, HTTP_TOKEN_WAIT_MS + 50);
	snprintf(ask, sizeof(ask), ASK("any", BEARER("%s")),
		 jwt_sign("{\"alg\":\"EdDSA\"}", IS("else", "\"exp\":1700000600"), SL_JWT_EDDSA,
			  key_one));
	peer_says(&s, c, ask);
	for (unsigned ms = 0; ms < HTTP_TOKEN_WAIT_MS; ms++)
		scene_turn(&s, 1);
	CU_ASSERT_EQUAL(c->len, 0);
	for (unsigned ms = 0; ms < 200 && !c->len; ms++) /* a quarter of it is one check, or two */
		scene_turn(&s, 1);
	CU_ASSERT(COUNTED(&s, TOKEN_CHECKED) >= 1 && COUNTED(&s, TOKEN_CHECKED) <= 3);
	CU_ASSERT(is_in(c, "HTTP/1.1 503 ") && is_in(c, "\r\nretry-after: 1\r\n"));
	LOGGED(&s, 503, SL_RF_UO);
	LOGGED_WHY(&s, "main/busy");
	CU_ASSERT_EQUAL(COUNTED(&s, TOKEN_WAITED), 1);
	CU_ASSERT_EQUAL(COUNTED(&s, TOKEN_BUSY), 1);
	STATE(c, "open");
	c->len = 0;
	scene_pass(&s, 40);
	peer_says(&s, c, ask); /* who comes back has the fourth tried */
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	scene_end(&s);
	sl_jwt_keys_destroy(set);
	free(img);
	EVP_PKEY_free(second);
	EVP_PKEY_free(third);
}

static void
more_than_may_wait_are_refused(void)
{
	struct scene s;
	struct peer *c = waiting(&s, 100), *d = scene_client(&s);

	s.http->tokens.wait_cnt += HTTP_TOKEN_WAITS - 1;
	peer_says(&s, d, text_of(ASK("must", BEARER("$H"))));
	CU_ASSERT(is_in(d, "HTTP/1.1 503 ") && is_in(d, "\r\nretry-after: 1\r\n"));
	LOGGED(&s, 503, SL_RF_UO);
	LOGGED_WHY(&s, "one/busy");
	CU_ASSERT_EQUAL(COUNTED(&s, TOKEN_BUSY), 1);
	STATE(d, "open");
	d->len = 0;
	s.http->tokens.wait_cnt -= HTTP_TOKEN_WAITS - 1;
	scene_pass(&s, 120);
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	scene_end(&s);
}

static void
a_push_in_between_decides(void)
{
	struct scene s;
	struct peer *c = waiting(&s, 100);
	struct sl_issuer other[SCENE_ISSUERS];

	/* the key is gone: what waits is judged by what is there then */
	memcpy(other, issuers, sizeof(other));
	other[SCENE_ISSUER_ONE].keys = sets[SCENE_ISSUER_NEW];
	s.rule.issuers = other;
	scene_pass(&s, 120);
	CU_ASSERT(is_in(c, "HTTP/1.1 401 "));
	LOGGED_WHY(&s, "one/no-keys");
	c->len = 0;
	/* and is there again */
	s.rule.issuers = issuers;
	peer_says(&s, c, text_of(ASK("must", BEARER("$G"))));
	scene_up(&s, 0)->len = 0;
	scene_answer(&s, c, 0);
	scene_end(&s);
	/* the listener is gone */
	c = waiting(&s, 100);
	s.no_listener = true;
	scene_pass(&s, 120);
	STATE(c, "reset");
	s.no_listener = false;
	scene_end(&s);
}

static void
clients_that_leave_are_forgotten(void)
{
	struct scene s;
	struct peer *c = waiting(&s, 100), *d = scene_client(&s), *e = scene_client(&s);

	peer_says(&s, d, text_of(ASK("must", BEARER("$H"))));
	peer_says(&s, e, text_of(ASK("must", BEARER("$L"))));
	CU_ASSERT_EQUAL(s.http->tokens.wait_cnt, 3);
	peer_reset(&s, c);
	peer_fin(&s, e); /* nothing more comes of it, but its answer goes */
	scene_pass(&s, 120);
	CU_ASSERT_EQUAL(s.http->tokens.wait_cnt, 0);
	CU_ASSERT_EQUAL(scene_ups(&s, 0), 2);
	for (unsigned i = 0; i < s.peer_cnt; i++)
		if (s.peers[i].endpoint == 0) {
			s.peers[i].len = 0;
			peer_says(&s, &s.peers[i], OK2);
		}
	CU_ASSERT(is_in(d, "ok") && is_in(e, "ok"));
	d->len = e->len = 0;
	CU_ASSERT_EQUAL(COUNTED(&s, TOKEN_REFUSED), 0);
	scene_end(&s);
	/* all of them, and the engine's end */
	c = waiting(&s, 100);
	peer_reset(&s, c);
	scene_end(&s);
}

/* ---- trials ---- */

static struct sl_http_rule tried_rule;
static struct sl_http_outcome tried_then;
static unsigned compared_cnt;

static bool
env_tried(void *ctx, const struct sl_tuple *tuple, uint8_t drawn, struct sl_http_rule *ret)
{
	(void)ctx, (void)tuple, (void)drawn;
	*ret = tried_rule;
	return true;
}

static void
env_compared(void *ctx, const struct sl_tuple *client, const struct sl_http_head *head,
	     const struct sl_http_outcome *now, const struct sl_http_outcome *then)
{
	(void)ctx, (void)client, (void)head;
	CU_ASSERT(!now->undecided && now->status == 0);
	tried_then = *then;
	compared_cnt++;
}

/* A table that is tried asks for other keys: its checks are of the same share, and what does not fit is not compared. */
static void
trials_take_no_more_than_the_share(void)
{
	struct sl_issuer other[SCENE_ISSUERS];
	const struct jwt_issuer_key key = {"k", SL_JWT_EDDSA, stranger};
	char why[SL_JWT_WHY_MAX];
	struct sl_jwt_keys *set;
	struct scene s;

	tokens_init(&s, NULL);
	struct sl_img_jwt *img = jwt_object("https://one", "api", &key, 1);
	CU_ASSERT_EQUAL_FATAL(sl_jwt_keys_create(img, why, &set), 0);
	memcpy(other, issuers, sizeof(other));
	other[SCENE_ISSUER_ONE] = (struct sl_issuer){.img = img, .keys = set};
	CU_ASSERT(ask_row(&s, &rows[0])); /* it is known from now on */
	tried_rule = s.rule;
	tried_rule.issuers = other;
	s.http->conf.env.tried = env_tried;
	s.http->conf.env.tried_service = s.http->conf.env.service;
	s.http->conf.env.compared = env_compared;
	compared_cnt = 0;
	sl_http_try(s.http, true);
	spend(&s, 100);
	CU_ASSERT(ask_row(&s, &rows[0]));
	CU_ASSERT(compared_cnt == 1 && tried_then.undecided);
	scene_pass(&s, 140);
	CU_ASSERT(ask_row(&s, &rows[0]));
	CU_ASSERT(compared_cnt == 2 && !tried_then.undecided && tried_then.status == 401);
	CU_ASSERT_STRING_EQUAL(tried_then.why, "main/signature");
	spend(&s, 100); /* that answer is known, too */
	CU_ASSERT(ask_row(&s, &rows[0]));
	CU_ASSERT(compared_cnt == 3 && !tried_then.undecided && tried_then.status == 401);
	sl_http_try(s.http, false);
	scene_end(&s);
	sl_jwt_keys_destroy(set);
	free(img);
}

SL_SUITE("http_tokens", SL_TEST(requests_pass_or_not_by_the_table),
	 SL_TEST(nothing_is_good_while_the_time_is_not_known), SL_TEST(refused_requests_end_alone),
	 SL_TEST(trailers_say_nothing_of_claims),
	 SL_TEST(claims_of_members_without_a_name_are_no_others),
	 SL_TEST(a_signature_waits_for_its_share_of_time),
	 SL_TEST(who_waits_too_long_is_told_to_come_back), SL_TEST(more_than_may_wait_are_refused),
	 SL_TEST(a_push_in_between_decides), SL_TEST(clients_that_leave_are_forgotten),
	 SL_TEST(trials_take_no_more_than_the_share))
