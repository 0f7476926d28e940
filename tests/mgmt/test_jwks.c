#include "mgmt/jwks_read.h"
#include "compiled.h"

#define N                                                                                          \
	"sYK7o4hPodqR5QhjLWydiuvdAMW8_bdWAWu4Kzd73mwBNFEd8tIFi4sssoKSSRCWvS78-zDOdccSCo1o"         \
	"WVe1Wwgd1_zA6jPKq-9b5AyOilcwlT9erqelQb_-4AVUKLIn88jZtBknfcBFApRURy0oXvkO0Y7XfkG9"         \
	"jT8jVVw846EeV5_6FuOrerCmKC9MHFf6BcMEvFhcZ6Gz5ttsjJqaojUJYD7NN8xSkbflmehjRqigl5CX"         \
	"VPSemdOqTagpy-4JhYXLCM8XkfYxhevx1PZLQgtSXj0xY74yCxe590HqtXlqV3A7UD6vUUERA422cUCG"         \
	"mtp199VxVCWjQ8LTS6EhGQ"
#define RSA "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" N "\""
#define EC_X "y_xc0Mv0Oi6sNqW3ltwBKVSr-yuf8lo6EKSAZ4lfF9U"
#define EC_Y "jOrCG1US_ihFug5yvgaA13MpLoljFlRob7-bSSr8c18"
#define EC "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\""
#define ED_X "ve2mUvBC2tW2Ho2JBO3lzW9MREcIq76NG76Jymf42Ac"
#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\""

/* Keys that can be used, and how many are left out; -1: refused. */
static int
keys_of(const char *text, unsigned *ret_left_out, char why[SL_JWKS_WHY])
{
	struct sl_jwks_set *s = NULL;

	why[0] = 0;
	*ret_left_out = 0;
	if (sl_jwks_read(text, strlen(text), why, &s))
		return -1;
	int cnt = (int)s->cnt;
	*ret_left_out = s->left_out;
	snprintf(why, SL_JWKS_WHY, "%s", s->note);
	sl_jwks_set_unref(s);
	return cnt;
}

static void
sets_are_read_strictly(void)
{
	static const struct {
		const char *text;
		int cnt;
		unsigned left_out;
		const char *why;
	} rows[] = {
		{"{\"keys\":[{" RSA ",\"kid\":\"r\"},{" EC "},{" ED
		 ",\"kid\":\"d\",\"use\":\"sig\"}]}",
		 3, 0, ""},
		{"{\"keys\":[{" ED
		 ",\"alg\":\"EdDSA\",\"key_ops\":[\"verify\"],\"x5c\":[]}],\"more\":1}",
		 1, 0, ""},
		{"", -1, 0, "is no JSON"},
		{"<html>", -1, 0, "is no JSON"},
		{"[]", -1, 0, "has no list \"keys\""},
		{"{\"keys\":{}}", -1, 0, "has no list \"keys\""},
		{"{\"keys\":[]}", -1, 0, "has no key that can be used"},
		{"{\"keys\":[7]}", -1, 0, "keys[0] is no object"},
		{"{\"keys\":[{" ED "}],\"keys\":[]}", -1, 0, "is no JSON"},
		{"{\"keys\":[{" ED ",\"kid\":\"a\",\"kid\":\"b\"}]}", -1, 0, "is no JSON"},
		{"{\"keys\":[{" ED "}]}x", -1, 0, "is no JSON"},
		{"{\"keys\":[{" ED "},{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", 1, 1,
		 "keys[1] is no RSA key"},
		{"{\"keys\":[{" ED "},{" ED ",\"d\":\"" ED_X "\"}]}", 1, 1, "is a private key"},
		{"{\"keys\":[{" ED "},{" EC ",\"use\":\"enc\"}]}", 1, 1, "not for signatures"},
		{"{\"keys\":[{" ED "},{" EC ",\"use\":7}]}", 1, 1, "not for signatures"},
		{"{\"keys\":[{" ED "},{" EC ",\"key_ops\":[\"encrypt\",\"wrapKey\"]}]}", 1, 1,
		 "not for signatures"},
		{"{\"keys\":[{" ED "},{" EC ",\"key_ops\":[\"sign\"]}]}", 1, 1,
		 "not for signatures"},
		{"{\"keys\":[{" ED "},{" EC ",\"key_ops\":\"verify\"}]}", 1, 1,
		 "not for signatures"},
		{"{\"keys\":[{" EC ",\"key_ops\":[\"sign\",\"verify\"]}]}", 1, 0, ""},
		{"{\"keys\":[{" ED "},{" RSA ",\"p\":\"" EC_X "\"}]}", 1, 1, "is a private key"},
		{"{\"keys\":[{" ED "},{" RSA ",\"oth\":[]}]}", 1, 1, "is a private key"},
		/* certificates and addresses of them are not looked at, right or wrong */
		{"{\"keys\":[{" ED ",\"x5c\":[\"AAAA\",7],\"x5t\":\"AAAA\",\"x5u\":"
		 "\"http://evil.test/\"}]}",
		 1, 0, ""},
		{"{\"keys\":[{" ED "},{\"kty\":\"RSA\",\"x5c\":[\"AAAA\"]}]}", 1, 1, "is broken"},
		{"{\"keys\":[{" ED "},{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"" ED_X ED_X
		 "\"}]}",
		 1, 1, "none of Ed25519"},
		{"{\"keys\":[{" ED "},{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" ED_X "\"}]}", 1,
		 1, "none of Ed25519"},
		{"{\"keys\":[{" ED "},{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"AAAA\"}]}", 1, 1,
		 "is no RSA key"},
		{"{\"keys\":[{" ED "},{\"kty\":\"rsa\",\"n\":\"" N "\",\"e\":\"AQAB\"}]}", 1, 1,
		 "is no RSA key"},
		{"{\"keys\":[{" ED "},{" EC ",\"alg\":null}]}", 1, 1, "another algorithm"},
		{"{\"keys\":[{" ED "},{" EC ",\"alg\":\"RS256\"}]}", 1, 1, "another algorithm"},
		/* exponents: of 2^64 and more; -1 is none */
		{"{\"keys\":[{" ED "},{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQAAAAAAAAAB\"}]}",
		 1, 1, "is broken"},
		{"{\"keys\":[{" ED "},{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":65537}]}", 1, 1,
		 "is broken"},
		/* numbers that are none, of JSON; what is deep */
		{"{\"keys\":[{" ED "}],\"a\":1e400}", -1, 0, "is no JSON"},
		{"{\"keys\":[{" ED "}],\"a\":NaN}", -1, 0, "is no JSON"},
		{"{\"keys\":[{" ED ",\"kid\":\"a\\u0000b\"}]}", -1, 0, "is no JSON"},
		{"{\"keys\":[{" ED "},[[[[{" ED "}]]]]]}", 1, 1, "is no object"},
		{"{\"keys\":[{" ED "},{" RSA ",\"alg\":\"RS512\"}]}", 1, 1, "another algorithm"},
		{"{\"keys\":[{" ED "},{" RSA ",\"alg\":\"HS256\"}]}", 1, 1, "another algorithm"},
		{"{\"keys\":[{" ED ",\"kid\":\"a\"},{" ED ",\"kid\":\"a\"},{" EC
		 ",\"kid\":\"a\"}]}",
		 2, 1, "kid of a key before it"},
		{"{\"keys\":[{" ED "},{" ED ",\"kid\":7}]}", 1, 1, "kid that is no text"},
		{"{\"keys\":[{" ED "},{" ED ",\"kid\":\"a\\nb\"}]}", 1, 1, "kid that is no text"},
		{"{\"keys\":[{" ED "},{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
		 "\",\"y\":\"" EC_X "\"}]}",
		 1, 1, "is broken"},
		{"{\"keys\":[{" ED "},{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X
		 "\",\"y\":\"" EC_Y "\"}]}",
		 1, 1, "is no RSA key, no key of P-256"},
		{"{\"keys\":[{" ED "},{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"Ag\"}]}", 1, 1,
		 "exponent"},
		{"{\"keys\":[{" ED "},{\"kty\":\"RSA\",\"n\":\"" N "\",\"e\":\"AQ\"}]}", 1, 1,
		 "exponent"},
		{"{\"keys\":[{" ED "},{\"kty\":\"RSA\",\"n\":\"" EC_X "\",\"e\":\"AQAB\"}]}", 1, 1,
		 "2048"},
		{"{\"keys\":[{" ED "},{\"kty\":\"RSA\",\"n\":\"" N "=\",\"e\":\"AQAB\"}]}", 1, 1,
		 "is broken"},
	};
	char why[SL_JWKS_WHY];
	unsigned left_out;

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		int cnt = keys_of(rows[i].text, &left_out, why);
		bool good = cnt == rows[i].cnt && left_out == rows[i].left_out &&
			    strstr(why, rows[i].why);
		if (!good)
			printf("row %zu: %d keys, %u left out: %s\n", i, cnt, left_out, why);
		CU_ASSERT(good);
	}
}

static void
sets_are_bounded(void)
{
	char *text = malloc(SL_JWKS_BYTES + 2), *at = text, why[SL_JWKS_WHY];
	unsigned left_out;

	at += sprintf(at, "{\"keys\":[");
	for (int i = 0; i < 70; i++)
		at += sprintf(at, "%s{" ED ",\"kid\":\"%d\"}", i ? "," : "", i);
	strcpy(at, "]}");
	CU_ASSERT_EQUAL(keys_of(text, &left_out, why), SL_MAX_JWT_KEYS);
	CU_ASSERT_EQUAL(left_out, 70 - SL_MAX_JWT_KEYS);
	memset(text, '[', 200000);
	text[200000] = 0;
	CU_ASSERT_EQUAL(keys_of(text, &left_out, why), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "is no JSON"));
	memset(text, ' ', SL_JWKS_BYTES + 1);
	text[SL_JWKS_BYTES + 1] = 0;
	CU_ASSERT_EQUAL(keys_of(text, &left_out, why), -1);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "longer than"));
	free(text);
}

static const char table[] =
	"gateway = { name = \"gw\"; };"
	"network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } ); };"
	"services = ( { name = \"web\"; max_endpoints = 1; endpoints = ( { name = \"a\"; address = "
	"\"192.0.2.10\"; port = 80; } ); } );"
	"listeners = ( { name = \"in\"; address = \"203.0.113.1\"; port = 80; protocol = \"tcp\"; "
	"mode = \"http\"; routes = \"edge\"; } );"
	"jwt = ( { name = \"one\"; jwks = \"file:/a\"; }, { name = \"two\"; jwks = \"file:/b\"; } "
	");"
	"route_tables = ( { name = \"edge\"; policy = { jwt = ( \"one\", \"two\" ); }; hosts = ( { "
	"name = \"h\"; match = ( \"*\" );"
	" routes = ( { name = \"r\"; service = \"web\"; } ); } ); } );";

static struct sl_jwks_set *
set_of(const char *text)
{
	char why[SL_JWKS_WHY];
	struct sl_jwks_set *s = NULL;

	CU_ASSERT_EQUAL_FATAL(sl_jwks_read(text, strlen(text), why, &s), 0);
	return s;
}

static void
another_key_changes_the_issuer_and_the_root_alone(void)
{
	struct sl_jwks_set *a = set_of("{\"keys\":[{" ED ",\"kid\":\"1\"}]}");
	struct sl_jwks_set *b =
		set_of("{\"keys\":[{" ED ",\"kid\":\"1\"},{" EC ",\"kid\":\"2\"}]}");
	struct sl_conf *c = conf_of(table);
	unsigned changed = 0, at = 0;

	struct pushed none = push(c, NULL);
	CU_ASSERT(view_stands(none.out));
	sl_jwks_lend(a, &c->jwts[0]);
	sl_jwks_lend(a, &c->jwts[1]);
	struct pushed before = push(c, &none);
	sl_jwks_give_back(&c->jwts[1]);
	sl_jwks_lend(b, &c->jwts[1]);
	struct pushed after = push(c, &before);
	CU_ASSERT(view_stands(after.out));
	CU_ASSERT_EQUAL_FATAL(before.out->cnt, after.out->cnt);
	for (uint32_t i = 0; i < after.out->cnt; i++)
		if (!same_object(&before.out->objs[i], &after.out->objs[i])) {
			changed++;
			at = i;
		}
	CU_ASSERT_EQUAL(changed, 1);
	CU_ASSERT_EQUAL(((const struct sl_obj_head *)after.out->objs[at].bytes)->kind, SL_OBJ_JWT);
	CU_ASSERT_EQUAL(((const struct sl_img_jwt *)after.out->objs[at].bytes)->key_cnt, 2);
	sl_jwks_give_back(&c->jwts[0]);
	sl_jwks_give_back(&c->jwts[1]);
	pushed_fini(&none);
	pushed_fini(&before);
	pushed_fini(&after);
	sl_conf_free(c);
	CU_ASSERT_EQUAL(a->refs, 1);
	CU_ASSERT_EQUAL(b->refs, 1);
	sl_jwks_set_unref(a);
	sl_jwks_set_unref(b);
}

SL_SUITE("jwks", SL_TEST(sets_are_read_strictly), SL_TEST(sets_are_bounded),
	 SL_TEST(another_key_changes_the_issuer_and_the_root_alone))
