#include "l7/jwt.h"

#include <string.h>

const char *
sl_jwt_bad_name(enum sl_jwt_bad bad)
{
	static const char *const names[] = {
#define X(CODE, name, text) [SL_JWT_##CODE] = name,
		SL_JWT_BADS(X)
#undef X
	};

	return bad < SL_JWT_BAD_CNT ? names[bad] : "";
}

const char *
sl_jwt_bad_text(enum sl_jwt_bad bad)
{
	static const char *const texts[] = {
#define X(CODE, name, text) [SL_JWT_##CODE] = text,
		SL_JWT_BADS(X)
#undef X
	};

	return bad < SL_JWT_BAD_CNT ? texts[bad] : "";
}

/* ---- base64url ---- */

/* 1 + what the digit stands for. */
static const uint8_t sextets[256] = {
	['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
	['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
	['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
	['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
	['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
	['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
	['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
	['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
	['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63,
	['_'] = 64,
};

uint32_t
sl_base64url(const uint8_t *in, uint32_t len, uint8_t *out, uint32_t max)
{
	uint32_t bits = 0, have = 0, n = 0;

	if (len % 4 == 1 || (uint64_t)len * 6 / 8 > max)
		return UINT32_MAX;
	for (uint32_t i = 0; i < len; i++) {
		uint32_t s = sextets[in[i]];
		if (sl_unlikely(s == 0))
			return UINT32_MAX;
		bits = bits << 6 | (s - 1);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	return bits & ((1u << have) - 1) ? UINT32_MAX : n;
}

/* ---- header and claims ---- */

static enum sl_jwt_bad
bad_json(enum sl_json_bad bad)
{
	return bad == SL_JSON_OK          ? SL_JWT_OK
	       : bad == SL_JSON_DEEP      ? SL_JWT_DEEP
	       : bad == SL_JSON_MANY      ? SL_JWT_MANY
	       : bad == SL_JSON_DUPLICATE ? SL_JWT_DUPLICATE
					  : SL_JWT_JSON;
}

/* One part into text[*used, …). */
static enum sl_jwt_bad
read_part(struct sl_jwt *t, const uint8_t *at, uint32_t len, uint32_t *used, struct sl_json *ret)
{
	uint8_t *to = t->text + *used;
	uint32_t n = sl_base64url(at, len, to, SL_JWT_TOKEN_MAX - *used);

	if (n == UINT32_MAX)
		return SL_JWT_BASE64;
	*used += n;
	enum sl_jwt_bad bad = bad_json(sl_json_read(to, n, ret));
	if (bad == SL_JWT_OK && ret->value[0].type != SL_JSON_OBJECT)
		return SL_JWT_JSON;
	return bad;
}

#define MEMBER(json, name) sl_json_member(json, 0, name, sizeof(name) - 1)

static bool
is_text(struct sl_bytes b, const char *text)
{
	return b.len == strlen(text) && strncasecmp((const char *)b.at, text, b.len) == 0;
}

static bool
is_exactly(struct sl_bytes b, const char *text)
{
	return b.len == strlen(text) && memcmp(b.at, text, b.len) == 0;
}

/* Names of algorithms are case-sensitive; what comes near a dangerous one is told as that. */
static enum sl_jwt_bad
read_alg(struct sl_jwt *t)
{
	const struct sl_json_value *v = MEMBER(&t->header, "alg");

	if (!v || v->type != SL_JSON_STRING)
		return SL_JWT_ALG;
	struct sl_bytes alg = sl_json_bytes(&t->header, v);
	if (is_exactly(alg, "RS256"))
		t->alg = SL_JWT_RS256;
	else if (is_exactly(alg, "ES256"))
		t->alg = SL_JWT_ES256;
	else if (is_exactly(alg, "EdDSA"))
		t->alg = SL_JWT_EDDSA;
	else if (is_text(alg, "none"))
		return SL_JWT_ALG_NONE;
	else
		return alg.len > 2 && strncasecmp((const char *)alg.at, "HS", 2) == 0
			       ? SL_JWT_ALG_HMAC
			       : SL_JWT_ALG;
	return SL_JWT_OK;
}

static enum sl_jwt_bad
read_header(struct sl_jwt *t)
{
	const struct sl_json_value *kid = MEMBER(&t->header, "kid");

	if (MEMBER(&t->header, "crit"))
		return SL_JWT_CRIT;
	if (MEMBER(&t->header, "b64"))
		return SL_JWT_B64;
	t->kid = (struct sl_bytes){0};
	if (kid && kid->type != SL_JSON_STRING)
		return SL_JWT_KID;
	if (kid)
		t->kid = sl_json_bytes(&t->header, kid);
	return read_alg(t);
}

enum sl_jwt_bad
sl_jwt_read(struct sl_bytes token, struct sl_jwt *ret)
{
	enum sl_jwt_bad bad;
	uint32_t used = 0;

	ret->token = token;
	if (token.len > SL_JWT_TOKEN_MAX)
		return SL_JWT_LONG;
	const uint8_t *end = token.at + token.len;
	const uint8_t *dot = token.len ? memchr(token.at, '.', token.len) : NULL;
	const uint8_t *dot2 = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
	if (!dot2 || dot == token.at || dot2 == dot + 1 ||
	    memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)))
		return SL_JWT_PARTS;
	ret->signed_len = (uint32_t)(dot2 - token.at);
	ret->payload = (struct sl_bytes){dot + 1, (uint32_t)(dot2 - dot - 1)};
	if ((bad = read_part(ret, token.at, (uint32_t)(dot - token.at), &used, &ret->header)) ||
	    (bad = read_header(ret)))
		return bad;
	if (dot2 + 1 == end) /* signed by nobody */
		return SL_JWT_PARTS;
	ret->signature_len = sl_base64url(dot2 + 1, (uint32_t)(end - dot2 - 1), ret->signature,
					  SL_JWT_SIGNATURE_MAX);
	if (ret->signature_len == UINT32_MAX)
		return SL_JWT_BASE64;
	return read_part(ret, ret->payload.at, ret->payload.len, &used, &ret->claims);
}

/* ---- what it says ---- */

const struct sl_json_value *
sl_jwt_claim(const struct sl_jwt *t, const void *name, uint32_t len)
{
	const struct sl_json *j = &t->claims;
	const struct sl_json_value *v = sl_json_member(j, 0, name, len);
	const uint8_t *at = name, *end = at + len, *dot;
	uint32_t of = 0;

	while (!v && (dot = memchr(at, '.', (size_t)(end - at)))) {
		const struct sl_json_value *in = sl_json_member(j, of, at, (uint32_t)(dot - at));
		if (!in || in->type != SL_JSON_OBJECT)
			return NULL;
		of = (uint32_t)(in - j->value);
		at = dot + 1;
		v = sl_json_member(j, of, at, (uint32_t)(end - at));
	}
	return v;
}

static bool
same(struct sl_bytes a, struct sl_bytes b)
{
	return a.len == b.len && memcmp(a.at, b.at, a.len) == 0;
}

bool
sl_jwt_issuer(const struct sl_jwt *t, const struct sl_img_jwt *issuer)
{
	const struct sl_json_value *iss = MEMBER(&t->claims, "iss");

	if (issuer->issuer.len == 0)
		return true;
	return iss && iss->type == SL_JSON_STRING &&
	       same(sl_json_bytes(&t->claims, iss), sl_jwt_str(issuer, issuer->issuer));
}

static bool
is_audience(const struct sl_jwt *t, const struct sl_img_jwt *issuer, const struct sl_json_value *v)
{
	const struct sl_img_str *a = (const void *)((const uint8_t *)issuer + issuer->audience_off);

	for (uint32_t i = 0; v->type == SL_JSON_STRING && i < issuer->audience_cnt; i++)
		if (same(sl_json_bytes(&t->claims, v), sl_jwt_str(issuer, a[i])))
			return true;
	return false;
}

/* One string, or a list of them. */
static bool
has_audience(const struct sl_jwt *t, const struct sl_img_jwt *issuer)
{
	const struct sl_json_value *aud = MEMBER(&t->claims, "aud"), *all = t->claims.value;

	if (issuer->audience_cnt == 0)
		return true;
	if (!aud || aud->type != SL_JSON_ARRAY)
		return aud && is_audience(t, issuer, aud);
	for (uint32_t i = (uint32_t)(aud - all) + 1; i < aud->end; i = all[i].end)
		if (is_audience(t, issuer, &all[i]))
			return true;
	return false;
}

/* Seconds, without the fraction that there may be.  missing: what it then is; INT64_MIN: no such number. */
static int64_t
time_of(const struct sl_jwt *t, const char *name, uint32_t len, int64_t missing)
{
	const struct sl_json_value *v = sl_json_member(&t->claims, 0, name, len);
	int64_t s = 0;
	uint32_t i;

	if (!v)
		return missing;
	const uint8_t *at = t->claims.text + v->at;
	for (i = 0; i < v->len && at[i] >= '0' && at[i] <= '9'; i++)
		if (i < 13)
			s = s * 10 + (at[i] - '0');
	if (v->type != SL_JSON_NUMBER || i == 0 || i > 12 || memchr(at, 'e', v->len) ||
	    memchr(at, 'E', v->len))
		return INT64_MIN;
	return s;
}

enum sl_jwt_bad
sl_jwt_claims(const struct sl_jwt *t, const struct sl_img_jwt *issuer, int64_t now_s)
{
	int64_t leeway = issuer->leeway_s, exp = time_of(t, "exp", 3, INT64_MIN);
	int64_t nbf = time_of(t, "nbf", 3, 0), iat = time_of(t, "iat", 3, 0);

	if (!sl_jwt_issuer(t, issuer))
		return SL_JWT_ISSUER;
	if (!has_audience(t, issuer))
		return SL_JWT_AUDIENCE;
	if (exp == INT64_MIN || nbf == INT64_MIN || iat == INT64_MIN)
		return SL_JWT_TIME;
	if (now_s <= 0)
		return SL_JWT_CLOCK;
	if (exp + leeway <= now_s)
		return SL_JWT_EXPIRED;
	if (nbf > now_s + leeway)
		return SL_JWT_EARLY;
	return iat > now_s + leeway ? SL_JWT_FUTURE : SL_JWT_OK;
}
