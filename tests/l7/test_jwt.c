#include "tests/l7/jwt_scene.h"
#include "tests/suite.h"

#define ISS "https://issuer.example"
#define CLAIMS                                                                                     \
	"{\"iss\":\"" ISS "\",\"aud\":\"api\",\"sub\":\"ann\",\"exp\":1700000600,\"iat\":"         \
	"1699999000}"

static EVP_PKEY *rsa, *ec, *ed, *other_rsa;
static struct sl_img_jwt *issuer;
static struct sl_jwt_keys *keys;
static struct sl_jwt_verifier *verifier;
static struct sl_jwt token;

static void
scene(void)
{
	char why[SL_JWT_WHY_MAX] = "";

	if (keys)
		return;
	rsa = jwt_key(SL_JWT_RS256);
	other_rsa = jwt_key(SL_JWT_RS256);
	ec = jwt_key(SL_JWT_ES256);
	ed = jwt_key(SL_JWT_EDDSA);
	const struct jwt_issuer_key k[] = {
		{"r", SL_JWT_RS256, rsa}, {"e", SL_JWT_ES256, ec}, {"d", SL_JWT_EDDSA, ed}};
	issuer = jwt_object(ISS, "api", k, 3);
	verifier = sl_jwt_verifier_init(calloc(1, sl_jwt_verifier_bytes()), 7);
	if (sl_jwt_keys_create(issuer, why, &keys) || !verifier) {
		puts(why);
		abort();
	}
}

static struct sl_bytes
bytes_of(const char *text)
{
	return (struct sl_bytes){(const uint8_t *)text, (uint32_t)strlen(text)};
}

/* The token stands before a page that must not be read. */
static enum sl_jwt_bad
judge(const char *text)
{
	size_t n = strlen(text);
	uint8_t *at = guard_buf(n);
	struct sl_jwt_asked asked;

	memcpy(at, text, n);
	enum sl_jwt_bad bad = sl_jwt_read((struct sl_bytes){at, (uint32_t)n}, &token);
	if (!bad)
		bad = sl_jwt_claims(&token, issuer, JWT_NOW);
	if (!bad)
		bad = sl_jwt_verify(verifier, keys, &token, 1, true, &asked);
	guard_free(at, n);
	return bad;
}

#define CHECK(text, want)                                                                          \
	do {                                                                                       \
		enum sl_jwt_bad got_ = judge(text);                                                \
		if (got_ != (want))                                                                \
			printf("line %d: %s, not %s\n", __LINE__, sl_jwt_bad_name(got_),           \
			       sl_jwt_bad_name(want));                                             \
		CU_ASSERT_EQUAL(got_, want);                                                       \
	} while (0)

static void
good_tokens_of_each_algorithm_pass(void)
{
	scene();
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_OK);
	CHECK(jwt_sign("{\"alg\":\"EdDSA\",\"kid\":\"d\"}", CLAIMS, SL_JWT_EDDSA, ed), SL_JWT_OK);
	for (int i = 0; i < 300; i++) /* numbers with zeros in front, too */
		CHECK(jwt_sign("{\"alg\":\"ES256\",\"kid\":\"e\"}", CLAIMS, SL_JWT_ES256, ec),
		      SL_JWT_OK);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"typ\":\"JWT\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_OK);
}

static void
headers_that_deceive_are_refused(void)
{
	uint8_t *der = NULL;

	scene();
	int n = i2d_PUBKEY(rsa, &der);
	CHECK(jwt_sign("{\"alg\":\"none\"}", CLAIMS, 0, NULL), SL_JWT_ALG_NONE);
	CHECK(jwt_sign("{\"alg\":\"nOnE\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_ALG_NONE);
	CHECK(jwt_sign_hmac("{\"alg\":\"HS256\",\"kid\":\"r\"}", CLAIMS, der, (size_t)n),
	      SL_JWT_ALG_HMAC);
	CHECK(jwt_sign_hmac("{\"alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS, der, (size_t)n),
	      SL_JWT_SIGNATURE);
	OPENSSL_free(der);
	CHECK(jwt_sign("{\"alg\":\"PS256\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_ALG);
	CHECK(jwt_sign("{\"alg\":\"rs256\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_ALG);
	CHECK(jwt_sign("{\"alg\":[\"RS256\"]}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_ALG);
	CHECK(jwt_sign("{\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_ALG);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"crit\":[\"exp\"]}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_CRIT);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"alg\":\"none\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_DUPLICATE);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"al\\u0067\":\"none\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_DUPLICATE);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":7}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_KID);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"../../dev/null\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_KID);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"\"}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_KID);
	CHECK(jwt_sign("{\"alg\":\"ES256\",\"kid\":\"r\"}", CLAIMS, SL_JWT_ES256, ec),
	      SL_JWT_KEY_ALG);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, other_rsa),
	      SL_JWT_SIGNATURE);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\\u0000\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_JSON);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"R\"}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_KID);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":null}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_KID);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\",\"b64\":false}", CLAIMS, SL_JWT_RS256,
		       rsa),
	      SL_JWT_B64);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\",\"b64\":false,\"crit\":[\"b64\"]}", CLAIMS,
		       SL_JWT_RS256, rsa),
	      SL_JWT_CRIT);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\",\"crit\":[]}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_CRIT);
	CHECK(jwt_sign("{\"alg\":\"EDDSA\",\"kid\":\"d\"}", CLAIMS, SL_JWT_EDDSA, ed), SL_JWT_ALG);
	CHECK(jwt_sign("{\"alg\":\"Ed448\",\"kid\":\"d\"}", CLAIMS, SL_JWT_EDDSA, ed), SL_JWT_ALG);
	CHECK(jwt_sign("{\"alg\":\"RS256 \",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_ALG);
	CHECK(jwt_sign("{\"Alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_ALG);
	CHECK(jwt_sign("{\"alg\":\"hs512\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_ALG_HMAC);
	/* keys that the token brings */
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\"},\"jku\":\"http://evil.test/\","
		       "\"x5u\":\"http://evil.test/\",\"x5c\":[\"AAAA\"]}",
		       CLAIMS, SL_JWT_RS256, other_rsa),
	      SL_JWT_SIGNATURE);
	/* an encrypted one, and a token in a token */
	CHECK(jwt_sign("{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\"}", CLAIMS, SL_JWT_RS256, rsa),
	      SL_JWT_ALG);
	CHECK(jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\",\"cty\":\"JWT\"}", "a.b.c", SL_JWT_RS256,
		       rsa),
	      SL_JWT_JSON);
	CHECK(jwt_sign("[\"alg\"]", CLAIMS, SL_JWT_RS256, rsa), SL_JWT_JSON);
}

static const char *
claims(const char *text)
{
	return jwt_sign("{\"alg\":\"EdDSA\",\"kid\":\"d\"}", text, SL_JWT_EDDSA, ed);
}

#define WITH(more) "{\"iss\":\"" ISS "\",\"aud\":\"api\"," more "}"

static void
claims_decide(void)
{
	scene();
	CHECK(claims(WITH("\"exp\":1699999939")), SL_JWT_EXPIRED);
	CHECK(claims(WITH("\"exp\":1699999940")), SL_JWT_EXPIRED);
	CHECK(claims(WITH("\"exp\":1699999941")), SL_JWT_OK); /* leeway */
	CHECK(claims(WITH("\"exp\":1699999941.9")), SL_JWT_OK);
	CHECK(claims(WITH("\"exp\":-1")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1e20")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1e400")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":17e8")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":17E8")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1.7e9")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1700000600e-300")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":-0")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":-1700000600")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":0")), SL_JWT_EXPIRED);
	CHECK(claims(WITH("\"exp\":9223372036854775807")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":18446744073709551617")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":999999999999")), SL_JWT_OK);
	CHECK(claims(WITH("\"exp\":true")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":[1700000600]")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":{\"exp\":1700000600}")), SL_JWT_TIME);
	CHECK(claims(WITH("\"Exp\":1700000600")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1700000600,\"nbf\":-1")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1700000600,\"nbf\":\"0\"")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1700000600,\"iat\":1e400")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1700000600,\"n\":1e400")), SL_JWT_OK); /* a text to us */
	CHECK(claims(WITH("\"exp\":99999999999999999999999")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":\"1700000600\"")), SL_JWT_TIME);
	CHECK(claims(WITH("\"sub\":\"ann\"")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1700000600,\"nbf\":1700000060")), SL_JWT_OK);
	CHECK(claims(WITH("\"exp\":1700000600,\"nbf\":1700000061")), SL_JWT_EARLY);
	CHECK(claims(WITH("\"exp\":1700000600,\"nbf\":null")), SL_JWT_TIME);
	CHECK(claims(WITH("\"exp\":1700000600,\"iat\":1700000061")), SL_JWT_FUTURE);
	CHECK(claims("{\"iss\":\"" ISS "/\",\"aud\":\"api\",\"exp\":1700000600}"), SL_JWT_ISSUER);
	CHECK(claims("{\"iss\":[\"" ISS "\"],\"aud\":\"api\",\"exp\":1700000600}"), SL_JWT_ISSUER);
	CHECK(claims("{\"aud\":\"api\",\"exp\":1700000600}"), SL_JWT_ISSUER);
	CHECK(claims("{\"iss\":\"" ISS "\",\"exp\":1700000600}"), SL_JWT_AUDIENCE);
	CHECK(claims("{\"iss\":\"" ISS "\",\"aud\":\"API\",\"exp\":1700000600}"), SL_JWT_AUDIENCE);
	CHECK(claims("{\"iss\":\"" ISS "\",\"aud\":[\"x\",\"api\"],\"exp\":1700000600}"),
	      SL_JWT_OK);
	CHECK(claims("{\"iss\":\"" ISS "\",\"aud\":[[\"api\"]],\"exp\":1700000600}"),
	      SL_JWT_AUDIENCE);
	CHECK(claims("{\"iss\":\"" ISS "\",\"aud\":{\"api\":\"api\"},\"exp\":1700000600}"),
	      SL_JWT_AUDIENCE);
	CU_ASSERT_EQUAL(sl_jwt_read(bytes_of(claims(CLAIMS)), &token), SL_JWT_OK);
	CU_ASSERT_EQUAL(sl_jwt_claims(&token, issuer, 0), SL_JWT_CLOCK);
}

static void
json_is_read_strictly(void)
{
	static const struct {
		const char *text;
		enum sl_jwt_bad want;
	} rows[] = {
		{" \r\n{ \"iss\" : \"https://issuer.example\" , "
		 "\"aud\":\"api\",\t\"exp\":1700000600 } ",
		 SL_JWT_OK},
		{WITH("\"exp\":1700000600") "x", SL_JWT_JSON},
		{WITH("\"exp\":1700000600") "{}", SL_JWT_JSON},
		{WITH("\"exp\":1700000600,"), SL_JWT_JSON},
		{WITH("\"exp\":01700000600"), SL_JWT_JSON},
		{WITH("\"exp\":+1700000600"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600."), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":tru"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":NaN"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":Infinity"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":-Infinity"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":-"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":1e"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":1e+"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":.5"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":0x10"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":-0.0E-7"), SL_JWT_OK},
		{WITH("\"exp\":1700000600,\"a\":TRUE"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600 /* */"), SL_JWT_JSON},
		{"\xef\xbb\xbf" WITH("\"exp\":1700000600"), SL_JWT_JSON},
		{"\x0b" WITH("\"exp\":1700000600"), SL_JWT_JSON},
		{"\xc2\xa0" WITH("\"exp\":1700000600"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\x7f\""), SL_JWT_OK},
		{WITH("\"exp\":1700000600,\"a\":\"\xff\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\x80\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"\\ud800\":1"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\n\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\\\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\\u00\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"\":1,\"\":2"), SL_JWT_DUPLICATE},
		{WITH("\"exp\":1700000600,'a':1"), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\x01\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\\u0000\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\\ud800\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\\udc00\\ud800\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\\x41\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\xc0\xaf\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\xed\xa0\x80\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\xf4\x90\x80\x80\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\xe2\x82\""), SL_JWT_JSON},
		{WITH("\"exp\":1700000600,\"a\":\"\\ud83d\\ude00 \xf0\x9f\x98\x80\""), SL_JWT_OK},
		{WITH("\"exp\":1700000600,\"exp\":1700000601"), SL_JWT_DUPLICATE},
		{WITH("\"exp\":1700000600,\"\\u0065xp\":1700000601"), SL_JWT_DUPLICATE},
		{WITH("\"exp\":1700000600,\"a\":{\"b\":1,\"b\":1}"), SL_JWT_DUPLICATE},
		{WITH("\"exp\":1700000600,\"a\":[[[[[[1]]]]]]"), SL_JWT_OK},
		{WITH("\"exp\":1700000600,\"a\":[[[[[[[1]]]]]]]"), SL_JWT_DEEP},
		{"\"exp\"", SL_JWT_JSON},
		{"[]", SL_JWT_JSON},
	};

	scene();
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++)
		CHECK(claims(rows[i].text), rows[i].want);
}

static void
what_is_too_much_is_refused(void)
{
	char text[SL_JWT_TOKEN_MAX + 64] = "", *at = text;

	scene();
	at += sprintf(at, "{\"iss\":\"" ISS "\",\"aud\":\"api\",\"exp\":1700000600");
	for (int i = 0; i < 61; i++)
		at += sprintf(at, ",\"m%d\":%d", i, i);
	strcpy(at, "}");
	CHECK(claims(text), SL_JWT_OK);
	strcpy(at, ",\"one\":1}");
	CHECK(claims(text), SL_JWT_MANY);
	at = text + sprintf(text, "{\"a\":[1");
	for (int i = 0; i < 300; i++)
		at += sprintf(at, ",1");
	strcpy(at, "]}");
	CHECK(claims(text), SL_JWT_MANY);
	memset(text, '[', 5000);
	text[5000] = 0;
	CHECK(claims(text), SL_JWT_DEEP);
	memset(text, 'A', SL_JWT_TOKEN_MAX + 1);
	text[SL_JWT_TOKEN_MAX + 1] = 0;
	CHECK(text, SL_JWT_LONG);
	text[SL_JWT_TOKEN_MAX] = 0;
	CHECK(text, SL_JWT_PARTS);
}

static void
parts_are_three_and_canonical(void)
{
	char text[4096];
	const char *good;

	scene();
	good = jwt_sign("{\"alg\":\"RS256\",\"kid\":\"r\"}", CLAIMS, SL_JWT_RS256, rsa);
	CHECK("", SL_JWT_PARTS);
	CHECK(".", SL_JWT_PARTS);
	CHECK("..", SL_JWT_PARTS);
	CHECK("a.b", SL_JWT_PARTS);
	CHECK("a.b.c.d", SL_JWT_PARTS);
	CHECK("a.b.c.d.e", SL_JWT_PARTS);
	snprintf(text, sizeof(text), "%s.", good);
	CHECK(text, SL_JWT_PARTS);
	snprintf(text, sizeof(text), "%sAAAA", good);
	CHECK(text, SL_JWT_SIGNATURE);
	snprintf(text, sizeof(text), "%s=", good);
	CHECK(text, SL_JWT_BASE64);
	snprintf(text, sizeof(text), "%s", good);
	*(strrchr(text, '.') + 1) = 0; /* empty signature */
	CHECK(text, SL_JWT_PARTS);
	snprintf(text, sizeof(text), "%s", good);
	text[strlen(text) - 1] ^=
		1; /* bits behind its end: 256 bytes are 341 and a third sextets */
	CHECK(text, SL_JWT_BASE64);
	snprintf(text, sizeof(text), "%s", good);
	text[0] = '+';
	CHECK(text, SL_JWT_BASE64);
	for (size_t i = 0; i < strlen(good); i += 3) { /* any byte of it */
		snprintf(text, sizeof(text), "%s", good);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		CU_ASSERT_NOT_EQUAL(judge(text), SL_JWT_OK);
	}
	for (size_t n = 0; n < strlen(good); n += 5) {
		snprintf(text, sizeof(text), "%.*s", (int)n, good);
		CU_ASSERT_NOT_EQUAL(judge(text), SL_JWT_OK);
	}
}

/* A byte behind the JSON that C takes for its end, and one within. */
static void
nul_bytes_are_no_end(void)
{
	static const char *const at[] = {"}", "\"ann\"", "1700000600"};
	char text[512], head[128], *dot;

	scene();
	const char *h = "{\"alg\":\"EdDSA\",\"kid\":\"d\"}";
	for (size_t i = 0; i < SL_ARRAY_CNT(at); i++) {
		char with[256] = CLAIMS;
		size_t n = strlen(with),
		       behind = (size_t)(strstr(with, at[i]) - with) + strlen(at[i]);
		memmove(with + behind + 1, with + behind, n - behind);
		with[behind] = 0;
		snprintf(head, sizeof(head), "%s", jwt_text(h, strlen(h)));
		size_t len =
			(size_t)snprintf(text, sizeof(text), "%s.%s", head, jwt_text(with, n + 1));
		uint8_t signature[64];
		size_t signature_len = sizeof(signature);
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		EVP_DigestSignInit(ctx, NULL, NULL, NULL, ed);
		EVP_DigestSign(ctx, signature, &signature_len, (const uint8_t *)text, len);
		EVP_MD_CTX_free(ctx);
		snprintf(text + len, sizeof(text) - len, ".%s", jwt_text(signature, signature_len));
		CHECK(text, SL_JWT_JSON);
	}
	/* in the token itself: guarded bytes, no string */
	const char *good = claims(CLAIMS);
	size_t n = strlen(good);
	snprintf(text, sizeof(text), "%s", good);
	dot = strrchr(text, '.');
	text[n] = 0;
	CU_ASSERT_EQUAL(sl_jwt_read((struct sl_bytes){(uint8_t *)text, (uint32_t)n + 1}, &token),
			SL_JWT_BASE64);
	*dot = 0;
	CU_ASSERT_EQUAL(sl_jwt_read((struct sl_bytes){(uint8_t *)text, (uint32_t)n}, &token),
			SL_JWT_PARTS);
}

/* The token of CLAIMS with another signature, of bytes. */
static const char *
signed_by(const char *header, const void *signature, size_t len)
{
	static char text[4096];
	const char *bare = jwt_sign(header, CLAIMS, 0, NULL);

	snprintf(text, sizeof(text), "%s%s", bare, jwt_text(signature, len));
	return text;
}

#define ES "{\"alg\":\"ES256\",\"kid\":\"e\"}"
#define ED "{\"alg\":\"EdDSA\",\"kid\":\"d\"}"
#define RS "{\"alg\":\"RS256\",\"kid\":\"r\"}"

static void
signatures_have_one_form(void)
{
	static const uint8_t order[32] = /* of P-256 */
		"\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"
		"\xbc\xe6\xfa\xad\xa7\x17\x9e\x84\xf3\xb9\xca\xc2\xfc\x63\x25\x51";
	uint8_t raw[512] = {0}, der[80];
	size_t n = sizeof(der);

	scene();
	/* ES256: r and s of 32 bytes each, neither 0 nor the order */
	const char *bare = jwt_sign(ES, CLAIMS, 0, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, ec);
	EVP_DigestSign(ctx, der, &n, (const uint8_t *)bare, strlen(bare) - 1);
	EVP_MD_CTX_free(ctx);
	CHECK(signed_by(ES, der, n), SL_JWT_SIGNATURE);
	CHECK(signed_by(ES, raw, 64), SL_JWT_SIGNATURE);
	memcpy(raw, order, 32);
	CHECK(signed_by(ES, raw, 64), SL_JWT_SIGNATURE);
	memcpy(raw + 32, order, 32);
	CHECK(signed_by(ES, raw, 64), SL_JWT_SIGNATURE);
	memset(raw, 0, 32);
	CHECK(signed_by(ES, raw, 64), SL_JWT_SIGNATURE);
	raw[31] = raw[63] = 1;
	memset(raw + 32, 0, 31);
	CHECK(signed_by(ES, raw, 64), SL_JWT_SIGNATURE);
	CHECK(signed_by(ES, raw, 63), SL_JWT_SIGNATURE);
	CHECK(signed_by(ES, raw, 65), SL_JWT_SIGNATURE);
	/* half of what was signed for 0, and twice */
	const char *good = jwt_sign(ES, CLAIMS, SL_JWT_ES256, ec);
	CU_ASSERT_EQUAL_FATAL(sl_jwt_read(bytes_of(good), &token), SL_JWT_OK);
	memcpy(raw, token.signature, 64);
	CHECK(signed_by(ES, raw, 64), SL_JWT_OK);
	memset(raw + 32, 0, 32);
	CHECK(signed_by(ES, raw, 64), SL_JWT_SIGNATURE);
	memcpy(raw, token.signature, 64);
	memset(raw, 0, 32);
	CHECK(signed_by(ES, raw, 64), SL_JWT_SIGNATURE);
	/* Ed25519: none of 0, and S below the order of the curve */
	memset(raw, 0, sizeof(raw));
	CHECK(signed_by(ED, raw, 64), SL_JWT_SIGNATURE);
	raw[0] = 1;
	CHECK(signed_by(ED, raw, 64), SL_JWT_SIGNATURE);
	CHECK(signed_by(ED, raw, 63), SL_JWT_SIGNATURE);
	CHECK(signed_by(ED, raw, 114), SL_JWT_SIGNATURE); /* of Ed448 */
	/* RSA: as long as the number, no zeros left out or put in front */
	memset(raw, 0, sizeof(raw));
	CHECK(signed_by(RS, raw, 256), SL_JWT_SIGNATURE);
	raw[255] = 1;
	CHECK(signed_by(RS, raw, 256), SL_JWT_SIGNATURE);
	CU_ASSERT_EQUAL_FATAL(
		sl_jwt_read(bytes_of(jwt_sign(RS, CLAIMS, SL_JWT_RS256, rsa)), &token), SL_JWT_OK);
	memcpy(raw, token.signature, 256);
	CHECK(signed_by(RS, raw, 256), SL_JWT_OK);
	CHECK(signed_by(RS, raw, 255), SL_JWT_SIGNATURE);
	CHECK(signed_by(RS, raw, 1), SL_JWT_SIGNATURE);
	memmove(raw + 1, raw, 256);
	raw[0] = 0;
	CHECK(signed_by(RS, raw, 257), SL_JWT_SIGNATURE);
	CHECK(signed_by(RS, raw, 512), SL_JWT_SIGNATURE);
}

static void
base64url_is_canonical(void)
{
	static const char good[] = "{\"alg\":\"EdDSA\",\"kid\":\"d\",\"x\":1}";
	char text[1024], tail[512];

	scene();
	const char *whole = jwt_sign(good, CLAIMS, SL_JWT_EDDSA, ed);
	CHECK(whole, SL_JWT_OK);
	snprintf(tail, sizeof(tail), "%s", strchr(whole, '.'));
	CU_ASSERT_EQUAL_FATAL(strchr(whole, '.') - whole, 42);
	static const char *const behind[] = {"=", "==", "A", "AA", " ", "\n", "%", "\t"};
	for (size_t i = 0; i < SL_ARRAY_CNT(behind); i++) {
		snprintf(text, sizeof(text), "%.42s%s%s", whole, behind[i], tail);
		CU_ASSERT_NOT_EQUAL(judge(text), SL_JWT_OK);
		snprintf(text, sizeof(text), "%s%s", whole, behind[i]);
		CU_ASSERT_NOT_EQUAL(judge(text), SL_JWT_OK);
		snprintf(text, sizeof(text), "%s%s", behind[i], whole);
		CU_ASSERT_NOT_EQUAL(judge(text), SL_JWT_OK);
	}
	/* four bits behind its end */
	for (char c = 'A'; c <= 'Z'; c++) {
		snprintf(text, sizeof(text), "%.41s%c%s", whole, c, tail);
		if (c != whole[41])
			CU_ASSERT_NOT_EQUAL(judge(text), SL_JWT_OK);
	}
	snprintf(text, sizeof(text), "%.41s%c%s", whole, whole[41] + 1, tail);
	CHECK(text, SL_JWT_BASE64);
	/* the standard alphabet */
	snprintf(text, sizeof(text), "%s", whole);
	for (char *c = text; *c; c++)
		*c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
	if (strcmp(text, whole) != 0)
		CHECK(text, SL_JWT_BASE64);
}

static void
claims_are_found_by_name_and_by_way(void)
{
	scene();
	CU_ASSERT_EQUAL_FATAL(sl_jwt_read(bytes_of(claims("{\"a.b\":\"whole\",\"a\":{\"b\":\"in\","
							  "\"c\":{\"d\":\"x\\u00e9\"}},"
							  "\"e\":[{\"f\":1}]}")),
					  &token),
			      SL_JWT_OK);
	const struct sl_json_value *v = sl_jwt_claim(&token, "a.b", 3);
	CU_ASSERT_FATAL(v && v->len == 5);
	v = sl_jwt_claim(&token, "a.c.d", 5);
	CU_ASSERT_FATAL(v && v->len == 3);
	CU_ASSERT_EQUAL(memcmp(token.claims.text + v->at, "x\xc3\xa9", 3), 0);
	CU_ASSERT_PTR_NULL(sl_jwt_claim(&token, "a.c.x", 5));
	CU_ASSERT_PTR_NULL(sl_jwt_claim(&token, "e.f", 3));
	CU_ASSERT_PTR_NULL(sl_jwt_claim(&token, ".", 1));
}

static void
answers_are_remembered_by_key_and_token(void)
{
	struct sl_jwt_asked asked;
	struct sl_jwt_keys *rotated;
	char why[SL_JWT_WHY_MAX];

	scene();
	const char *good = jwt_sign("{\"alg\":\"EdDSA\",\"kid\":\"d\"}", WITH("\"exp\":1800000000"),
				    SL_JWT_EDDSA, ed);
	sl_jwt_read(bytes_of(good), &token);
	CU_ASSERT_EQUAL(sl_jwt_verify(verifier, keys, &token, 1, true, &asked), SL_JWT_OK);
	CU_ASSERT(!asked.kept && asked.checks == 1);
	CU_ASSERT_EQUAL(sl_jwt_verify(verifier, keys, &token, 1, true, &asked), SL_JWT_OK);
	CU_ASSERT(asked.kept && asked.checks == 0);
	/* another key under the same id */
	EVP_PKEY *next = jwt_key(SL_JWT_EDDSA);
	const struct jwt_issuer_key k = {"d", SL_JWT_EDDSA, next};
	struct sl_img_jwt *img = jwt_object(ISS, "api", &k, 1);
	CU_ASSERT_EQUAL_FATAL(sl_jwt_keys_create(img, why, &rotated), 0);
	CU_ASSERT_EQUAL(sl_jwt_verify(verifier, rotated, &token, 1, true, &asked),
			SL_JWT_SIGNATURE);
	CU_ASSERT_EQUAL(asked.checks, 1);
	CU_ASSERT_EQUAL(sl_jwt_verify(verifier, rotated, &token, 1, true, &asked),
			SL_JWT_SIGNATURE);
	CU_ASSERT(asked.kept && asked.checks == 0);
	CU_ASSERT_EQUAL(sl_jwt_verify(verifier, keys, &token, 1, true, &asked), SL_JWT_OK);
	CU_ASSERT_EQUAL(asked.checks, 0);
	sl_jwt_keys_destroy(rotated);
	free(img);
	EVP_PKEY_free(next);
}

static void
checks_are_bounded_in_time(void)
{
	struct sl_jwt_verifier *v = sl_jwt_verifier_init(calloc(1, sl_jwt_verifier_bytes()), 9);
	struct sl_jwt_asked asked;
	uint64_t now = 1000000000;
	unsigned done = 0, busy = 0;
	char text[256];

	scene();
	for (int i = 0; i < 1000; i++) { /* 100 ms, 100 us apart: all other tokens */
		snprintf(text, sizeof(text), WITH("\"exp\":1800000000,\"n\":%d"), i);
		sl_jwt_read(bytes_of(claims(text)), &token);
		enum sl_jwt_bad bad = sl_jwt_verify(v, keys, &token, now, false, &asked);
		done += bad == SL_JWT_OK;
		busy += bad == SL_JWT_BUSY;
		now += 100000;
	}
	uint64_t most = (SL_JWT_BURST_NS + 100000000 / SL_JWT_SHARE) / keys->key[2].cost_ns + 1;
	CU_ASSERT_EQUAL(done + busy, 1000);
	CU_ASSERT(done <= most && done + 2 >= most);
	CU_ASSERT_EQUAL(sl_jwt_verify(v, keys, &token, now, true, &asked), SL_JWT_OK);
	CU_ASSERT(sl_jwt_verifier_ready(v, now + 50000000));
	sl_jwt_verifier_fini(v);
	free(v);
}

static void
keys_that_are_none_are_refused(void)
{
	EVP_PKEY *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
	EVP_PKEY *p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	EVP_PKEY *ed448 = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	const struct jwt_issuer_key bad[] = {
		{"a", SL_JWT_RS256, small}, {"a", SL_JWT_ES256, p384}, {"a", SL_JWT_RS256, ec},
		{"a", SL_JWT_EDDSA, ec},    {"a", SL_JWT_ES256, ed},   {"a", SL_JWT_EDDSA, ed448},
	};
	char why[SL_JWT_WHY_MAX];
	struct sl_jwt_keys *k;

	scene();
	for (size_t i = 0; i < SL_ARRAY_CNT(bad); i++) {
		struct sl_img_jwt *img = jwt_object(ISS, "api", &bad[i], 1);
		CU_ASSERT_NOT_EQUAL(sl_jwt_keys_create(img, why, &k), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, "keys[0] is"));
		free(img);
	}
	CU_ASSERT_PTR_NOT_NULL(sl_jwt_key_check(SL_JWT_RS256,
						"\x30\x03"
						"abc",
						5));
	struct sl_img_jwt *img = jwt_object(ISS, "api", NULL, 0);
	CU_ASSERT_EQUAL_FATAL(sl_jwt_keys_create(img, why, &k), 0);
	struct sl_jwt_asked asked;
	sl_jwt_read(bytes_of(claims(CLAIMS)), &token);
	CU_ASSERT_EQUAL(sl_jwt_verify(verifier, k, &token, 1, false, &asked), SL_JWT_NO_KEYS);
	sl_jwt_keys_destroy(k);
	free(img);
	EVP_PKEY_free(small);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(ed448);
}

static void
tokens_without_kid_are_tried_against_few_keys(void)
{
	struct jwt_issuer_key many[5];
	struct sl_jwt_asked asked;
	char why[SL_JWT_WHY_MAX];
	struct sl_jwt_keys *k;

	scene();
	for (unsigned i = 0; i < 5; i++) {
		static const char *const names[] = {"0", "1", "2", "3", "4"};
		many[i] = (struct jwt_issuer_key){names[i], SL_JWT_EDDSA, jwt_key(SL_JWT_EDDSA)};
	}
	for (unsigned cnt = 4; cnt <= 5; cnt++) {
		struct sl_img_jwt *img = jwt_object(ISS, "api", many, cnt);
		CU_ASSERT_EQUAL_FATAL(sl_jwt_keys_create(img, why, &k), 0);
		sl_jwt_read(bytes_of(jwt_sign("{\"alg\":\"EdDSA\"}", CLAIMS, SL_JWT_EDDSA,
					      many[3].pkey)),
			    &token);
		CU_ASSERT_EQUAL(sl_jwt_verify(verifier, k, &token, 1, true, &asked),
				cnt == 4 ? SL_JWT_OK : SL_JWT_KID_WANTED);
		CU_ASSERT_EQUAL(asked.checks, cnt == 4 ? 4 : 0);
		sl_jwt_keys_destroy(k);
		free(img);
	}
	for (unsigned i = 0; i < 5; i++)
		EVP_PKEY_free(many[i].pkey);
}

SL_SUITE("jwt", SL_TEST(good_tokens_of_each_algorithm_pass),
	 SL_TEST(headers_that_deceive_are_refused), SL_TEST(claims_decide),
	 SL_TEST(json_is_read_strictly), SL_TEST(what_is_too_much_is_refused),
	 SL_TEST(parts_are_three_and_canonical), SL_TEST(nul_bytes_are_no_end),
	 SL_TEST(signatures_have_one_form), SL_TEST(base64url_is_canonical),
	 SL_TEST(claims_are_found_by_name_and_by_way),
	 SL_TEST(answers_are_remembered_by_key_and_token), SL_TEST(checks_are_bounded_in_time),
	 SL_TEST(keys_that_are_none_are_refused),
	 SL_TEST(tokens_without_kid_are_tried_against_few_keys))
