/* Where the token of a request is looked for, and that two are one too many, however they are written. */
#include "l7/http_priv.h"
#include "tests/suite.h"

#include <string.h>

/* An object of an issuer whose tokens are in the parameters "a" and "b", and a route that wants one. */
struct scene {
	struct {
		struct sl_img_jwt img;
		struct sl_img_jwt_from from[2];
		char text[8];
	} jwt;
	struct {
		struct sl_img_vhost img;
		struct sl_img_policy_ref ref;
	} vhost;
	struct sl_img_policy policy;
	struct sl_issuer issuer;
	struct sl_vhost of;
	struct sl_http_head head;
	struct http_decision d;
};

static void
scene_init(struct scene *s)
{
	*s = (struct scene){.jwt = {.img = {.name = "main",
					    .from_cnt = 2,
					    .from_off = offsetof(struct scene, jwt.from),
					    .str_off = offsetof(struct scene, jwt.text)},
				    .from = {{.place = SL_JWT_FROM_QUERY, .name = {0, 1}},
					     {.place = SL_JWT_FROM_QUERY, .name = {1, 1}}},
				    .text = "ab"},
			    .vhost = {.img = {.policy_ref_cnt = 1,
					      .policy_ref_off = offsetof(struct scene, vhost.ref) -
								offsetof(struct scene, vhost)},
				      .ref = {.kind = SL_OBJ_JWT, .flags = 1}},
			    .policy = {.ref_cnt = 1}};
	s->issuer.img = &s->jwt.img;
	s->of.img = &s->vhost.img;
}

/* The reason in the log. */
static void
asks(struct sl_http *h, const char *query, const char *why)
{
	struct scene s;

	scene_init(&s);
	const struct sl_http_rule rule = {.issuers = &s.issuer};
	s.d = (struct http_decision){.vhost = &s.of,
				     .policy = &s.policy,
				     .query = {(const uint8_t *)query, (uint32_t)strlen(query)}};
	sl_http_judge_jwt(h, &rule, &s.head, &s.d, true);
	if (strcmp(s.d.why, why) != 0)
		printf("\n  %.60s: %s, not %s", query, s.d.why, why);
	CU_ASSERT_STRING_EQUAL(s.d.why, why);
	CU_ASSERT_EQUAL(s.d.status, 401);
}

static void
two_tokens_of_a_query_are_one_too_many(void)
{
	struct sl_http *h = calloc(1, sizeof(*h));

	asks(h, "c=x", "jwt/no-token");
	asks(h, "a=x", "jwt/parts");
	asks(h, "b=%78", "jwt/parts");
	asks(h, "a=x&a=x", "jwt/several-tokens");
	asks(h, "a=x&b=y", "jwt/several-tokens");
	asks(h, "a=x&b=%79", "jwt/several-tokens");
	asks(h, "a=%78&b=y", "jwt/several-tokens");
	asks(h, "a=%78&b=%79", "jwt/several-tokens");
	asks(h, "b=%79&a=%78", "jwt/several-tokens");
	asks(h, "a=%78x&b=%78", "jwt/several-tokens");
	/* the same one in both */
	asks(h, "a=x&b=%78", "jwt/parts");
	asks(h, "a=%78&b=%78", "jwt/parts");
	free(h);
}

/* What is foretold where claims are told of in place of a token; names and values in turn. */
static void
tells(struct sl_http *h, const char *issuer, const char *const *told, const char *why)
{
	struct http_claims claims = {0};
	struct scene s;

	scene_init(&s);
	memcpy(s.jwt.text, issuer, strlen(issuer));
	s.jwt.img.issuer = (struct sl_img_str){0, (uint32_t)strlen(issuer)};
	for (unsigned i = 0; told[i]; i += 2)
		claims.claim[claims.cnt++] = (struct sl_claim){
			.name = {(const uint8_t *)told[i], (uint32_t)strlen(told[i])},
			.value = {(const uint8_t *)told[i + 1], (uint32_t)strlen(told[i + 1])}};
	const struct sl_http_rule rule = {.issuers = &s.issuer};
	s.d = (struct http_decision){.vhost = &s.of, .policy = &s.policy};
	sl_http_presume_jwt(h, &rule, &claims, &s.d);
	CU_ASSERT_STRING_EQUAL(s.d.why, why);
	CU_ASSERT_EQUAL(s.d.status, *why ? 401 : 0);
}

static void
claims_that_no_issuer_stands_for_are_foretold(void)
{
	struct sl_http *h = calloc(1, sizeof(*h));

	tells(h, "me", (const char *[]){"iss", "me", "sub", "x", NULL}, "");
	tells(h, "me", (const char *[]){"sub", "x", NULL},
	      ""); /* its issuer is taken to be right */
	tells(h, "me", (const char *[]){"iss", "you", NULL}, "jwt/issuer");
	tells(h, "me", (const char *[]){"iss", "mee", NULL}, "jwt/issuer");
	tells(h, "", (const char *[]){"iss", "you", NULL}, ""); /* any */
	free(h);
}

/* n bytes of it, each as a code, or as they are. */
static const char *
long_one(unsigned n, bool coded)
{
	static char text[4 * SL_JWT_TOKEN_MAX];
	char *at = text + sprintf(text, "a=");

	for (unsigned i = 0; i < n; i++)
		at += sprintf(at, coded ? "%%41" : "A");
	return text;
}

static void
a_token_that_is_too_long_is_told_as_that_however_it_is_written(void)
{
	struct sl_http *h = calloc(1, sizeof(*h));

	asks(h, long_one(SL_JWT_TOKEN_MAX, true), "jwt/parts");
	asks(h, long_one(SL_JWT_TOKEN_MAX + 1, true), "jwt/too-long");
	asks(h, long_one(SL_JWT_TOKEN_MAX + 2, true), "jwt/too-long");
	asks(h, long_one(SL_JWT_TOKEN_MAX + 2000, true), "jwt/too-long");
	asks(h, long_one(SL_JWT_TOKEN_MAX, false), "jwt/parts");
	asks(h, long_one(SL_JWT_TOKEN_MAX + 2, false), "jwt/too-long");
	free(h);
}

SL_SUITE("http_jwt", SL_TEST(a_token_that_is_too_long_is_told_as_that_however_it_is_written),
	 SL_TEST(two_tokens_of_a_query_are_one_too_many),
	 SL_TEST(claims_that_no_issuer_stands_for_are_foretold))
