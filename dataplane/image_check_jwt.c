/* JWT: an issuer of tokens.  What a key is made of is found out when it is made (view_jwt.c). */
#include "dataplane/image_check_priv.h"

#include "l7/http1.h"

static bool
has_control(const uint8_t *s, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		if (s[i] < ' ' || s[i] == 0x7f)
			return true;
	return false;
}

static void
check_text(const struct sl_look_strings *str, const char *section, uint32_t i, const char *field,
	   struct sl_img_str d, uint32_t min, uint32_t max)
{
	const uint8_t *s = sl_look_string(str, section, i, field, d, min, max);

	if (s && has_control(s, d.len))
		sl_look_bad_text(str->c, section, i, field, s, d.len, "holds a control byte");
}

static void
check_header(const struct sl_look_strings *str, const char *section, uint32_t i, const char *field,
	     struct sl_img_str d)
{
	const uint8_t *s = sl_look_string(str, section, i, field, d, 1, SL_JWT_TEXT_MAX);

	if (s && !sl_look_token(s, d.len, true))
		sl_look_bad_text(str->c, section, i, field, s, d.len, "is no token in lower case");
	else if (s && sl_http_reserved(s, d.len))
		sl_look_bad_text(str->c, section, i, field, s, d.len, "is the gateway's own");
}

/* ---- keys ---- */

static bool
same_key(const struct sl_look_strings *str, const struct sl_img_jwt_key *a,
	 const struct sl_img_jwt_key *b)
{
	return a->alg == b->alg && a->kid.len && sl_look_string_cmp(str, a->kid, b->kid) == 0;
}

static void
check_key(const struct sl_look_strings *str, const struct sl_img_jwt_key *k, uint32_t i)
{
	sl_look_range(str->c, "keys", i, "alg", k[i].alg, SL_JWT_RS256, SL_JWT_EDDSA);
	sl_look_zero(str->c, "keys", i, "zero", k[i].zero);
	check_text(str, "keys", i, "kid", k[i].kid, 0, SL_JWT_TEXT_MAX);
	sl_look_string(str, "keys", i, "spki", k[i].spki, 1, SL_JWT_SPKI_MAX);
	for (uint32_t j = 0; j < i; j++)
		if (same_key(str, &k[i], &k[j]))
			sl_look_bad(str->c, "keys", i, "kid", "and alg are those of keys[%u]", j);
}

/* ---- where tokens are ---- */

static void
check_from(const struct sl_look_strings *str, const struct sl_img_jwt_from *f, uint32_t i)
{
	bool bearer = f->place == SL_JWT_FROM_BEARER, query = f->place == SL_JWT_FROM_QUERY;

	sl_look_range(str->c, "from", i, "place", f->place, SL_JWT_FROM_BEARER, SL_JWT_FROM_QUERY);
	sl_look_zero(str->c, "from", i, "zero", f->zero);
	if (f->place == SL_JWT_FROM_HEADER) {
		check_header(str, "from", i, "name", f->name);
		return;
	}
	const uint8_t *s = sl_look_string(str, "from", i, "name", f->name, !bearer,
					  bearer ? 0 : SL_JWT_TEXT_MAX);
	if (s && !bearer && !query && !sl_look_token(s, f->name.len, false))
		sl_look_bad_text(str->c, "from", i, "name", s, f->name.len, "is no token");
	if (s && query && has_control(s, f->name.len))
		sl_look_bad_text(str->c, "from", i, "name", s, f->name.len, "holds a control byte");
}

/* ---- the whole ---- */

void
sl_look_jwt(struct sl_look *c)
{
	const struct sl_img_jwt *j = (const void *)c->bytes;
	struct sl_look_strings str;

	sl_look_name(c, "", SL_LOOK_NOWHERE, "name", j->name);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "leeway_s", j->leeway_s, 0, SL_JWT_LEEWAY_MAX);
	sl_look_range(c, "", SL_LOOK_NOWHERE, "flags", j->flags, 0, SL_JWT_STRIP);
#define OPEN(noun, min, max, type)                                                                 \
	sl_look_open(c, &(struct sl_look_section){#noun, j->noun##_cnt, j->noun##_off, min, max,   \
						  sizeof(type)})
	const struct sl_img_jwt_key *k = OPEN(key, 0, SL_MAX_JWT_KEYS, *k);
	const struct sl_img_str *a = OPEN(audience, 0, SL_MAX_JWT_AUDIENCES, *a);
	const struct sl_img_jwt_from *f = OPEN(from, 1, SL_MAX_JWT_FROM, *f);
	const struct sl_img_jwt_claim *d = OPEN(claim, 0, SL_MAX_JWT_CLAIMS, *d);
#undef OPEN
	sl_look_strings_open(&str, c, j->str_bytes, j->str_off);
	check_text(&str, "", SL_LOOK_NOWHERE, "issuer", j->issuer, 0, 1024);
	if (j->payload_header.len)
		check_header(&str, "", SL_LOOK_NOWHERE, "payload_header", j->payload_header);
	for (uint32_t i = 0; k && i < j->key_cnt; i++)
		check_key(&str, k, i);
	for (uint32_t i = 0; a && i < j->audience_cnt; i++)
		check_text(&str, "audiences", i, "audience", a[i], 1, SL_JWT_TEXT_MAX);
	for (uint32_t i = 0; f && i < j->from_cnt; i++)
		check_from(&str, &f[i], i);
	for (uint32_t i = 0; d && i < j->claim_cnt; i++) {
		check_text(&str, "claims", i, "claim", d[i].claim, 1, SL_JWT_TEXT_MAX);
		check_header(&str, "claims", i, "header", d[i].header);
	}
}
