/* Tokens: what is read is within its bounds, values stand in each other, strings are UTF-8, what is good says so of itself; a key set
 * likewise.  Input: a first byte, even: a token, odd: claims that are put into one; "{": a JSON Web Key Set. */
#include <stdlib.h>

#include "mgmt/jwks_read.h"
#include "tests/l7/jwt_scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
check_json(const struct sl_json *j, uint32_t text_len)
{
	must(j->cnt >= 1 && j->cnt <= SL_JSON_VALUES && j->value[0].end == j->cnt);
	for (uint32_t i = 0; i < j->cnt; i++) {
		const struct sl_json_value *v = &j->value[i];
		must(v->end > i && v->end <= j->cnt);
		must(v->type == SL_JSON_ARRAY || v->type == SL_JSON_OBJECT || v->end == i + 1);
		must((uint32_t)v->at + v->len <= text_len &&
		     (uint32_t)v->name + v->name_len <= text_len);
		if (v->type == SL_JSON_STRING)
			must(!memchr(j->text + v->at, 0, v->len));
		if (v->type != SL_JSON_OBJECT)
			continue;
		for (uint32_t k = i + 1; k < v->end; k = j->value[k].end)
			must(sl_json_member(j, i, j->text + j->value[k].name,
					    j->value[k].name_len) == &j->value[k]);
	}
}

static struct sl_jwt token;
static struct sl_jwt_keys *keys;
static struct sl_jwt_verifier *verifier;
static struct sl_img_jwt *issuer;

static void
scene(void)
{
	char why[SL_JWT_WHY_MAX];

	if (keys)
		return;
	static struct jwt_issuer_key k[] = {
		{"r", SL_JWT_RS256, NULL}, {"e", SL_JWT_ES256, NULL}, {"d", SL_JWT_EDDSA, NULL}};
	for (unsigned i = 0; i < 3; i++)
		k[i].pkey = jwt_key(k[i].alg);
	issuer = jwt_object("https://issuer.example", "api", k, 3);
	must(sl_jwt_keys_create(issuer, why, &keys) == 0);
	verifier = sl_jwt_verifier_init(calloc(1, sl_jwt_verifier_bytes()), 1);
	must(verifier != NULL);
}

/* Nobody here has signed anything: no token is good. */
static void
check_token(const uint8_t *text, size_t len)
{
	struct sl_jwt_asked asked;
	uint8_t *at = malloc(len + 1);

	must(at);
	memcpy(at, text, len); /* ends where the sanitizer sees it */
	enum sl_jwt_bad bad = sl_jwt_read((struct sl_bytes){at, (uint32_t)len}, &token);
	must(bad < SL_JWT_BAD_CNT);
	if (!bad) {
		check_json(&token.header, SL_JWT_TOKEN_MAX);
		check_json(&token.claims, SL_JWT_TOKEN_MAX);
		must(token.signature_len >= 1 && token.signature_len <= SL_JWT_SIGNATURE_MAX);
		sl_jwt_claim(&token, "a.b.c", 5);
		sl_jwt_claim(&token, ".", 1);
		bad = sl_jwt_claims(&token, issuer, JWT_NOW);
		must(bad != SL_JWT_OK || sl_jwt_issuer(&token, issuer));
		must(sl_jwt_verify(verifier, keys, &token, 1, true, &asked) != SL_JWT_OK);
		must(asked.checks <= SL_JWT_KEY_TRIES);
	}
	free(at);
}

static void
check_claims(const uint8_t *text, size_t len)
{
	char all[4 * SL_JWT_TOKEN_MAX];

	if (len > SL_JWT_TOKEN_MAX)
		return;
	int n = snprintf(all, sizeof(all), "%s.%s.%s", jwt_text("{\"alg\":\"EdDSA\"}", 15),
			 jwt_text(text, len), jwt_text("0123456789", 10));
	check_token((const uint8_t *)all, (size_t)n);
}

static void
check_set(const uint8_t *text, size_t len)
{
	char why[SL_JWKS_WHY] = "";
	struct sl_jwks_set *set;

	if (sl_jwks_read((const char *)text, len, why, &set)) {
		must(why[0]);
		return;
	}
	must(set->cnt >= 1 && set->cnt <= SL_MAX_JWT_KEYS);
	for (uint32_t i = 0; i < set->cnt; i++)
		must(!sl_jwt_key_check(set->key[i].alg, set->key[i].spki, set->key[i].spki_len));
	sl_jwks_set_unref(set);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scene();
	if (size == 0)
		return 0;
	if (data[0] == '{')
		check_set(data, size);
	else if (data[0] % 2)
		check_claims(data + 1, size - 1);
	else
		check_token(data + 1, size - 1);
	return 0;
}
