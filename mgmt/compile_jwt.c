/* Issuers of tokens: one object each, with the keys that are known now (jwks.h). */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "mgmt/object.h"

int
sl_compile_assign_jwt(struct sl_compiling *k, struct sl_slot_map *m)
{
	const char *keys[SL_MAX_JWT];

	k->jwt_placed = calloc(k->c->jwt_cnt + 1u, sizeof(*k->jwt_placed));
	if (!k->jwt_placed)
		return -ENOMEM;
	for (uint32_t i = 0; i < k->c->jwt_cnt; i++)
		keys[i] = k->c->jwts[i].name;
	return sl_compile_assign(k, "jwt", &m->jwt, &m->seq, keys, k->c->jwt_cnt, k->jwt_placed);
}

const struct sl_placed *
sl_compile_jwt_placed(const struct sl_compiling *k, const char *name)
{
	for (uint32_t i = 0; i < k->c->jwt_cnt; i++)
		if (strcmp(k->c->jwts[i].name, name) == 0)
			return &k->jwt_placed[i];
	return NULL;
}

/* ---- an object ---- */

struct texts {
	uint8_t *at;
	uint32_t len;
};

static struct sl_img_str
put(struct texts *t, const void *bytes, size_t n)
{
	struct sl_img_str s = {n ? t->len : 0, (uint32_t)n};

	if (t->at && n)
		memcpy(t->at + t->len, bytes, n);
	t->len += (uint32_t)n;
	return s;
}

static struct sl_img_str
put_text(struct texts *t, const char *s)
{
	return put(t, s, s ? strlen(s) : 0);
}

struct parts {
	struct sl_img_jwt_key *keys;
	struct sl_img_str *audiences;
	struct sl_img_jwt_from *from;
	struct sl_img_jwt_claim *claims;
};

/* All texts, in one order; first without room, to count them. */
static void
put_texts(const struct sl_conf_jwt *j, struct sl_img_jwt *img, struct texts *t,
	  const struct parts *p)
{
	struct sl_img_jwt_key key;
	struct sl_img_jwt_from from;
	struct sl_img_jwt_claim claim;
	struct sl_img_str audience;

	img->issuer = put_text(t, j->issuer);
	img->payload_header = put_text(t, j->payload_header);
	for (uint32_t i = 0; i < j->key_cnt; i++) {
		key = (struct sl_img_jwt_key){.alg = j->keys[i].alg,
					      .kid = put_text(t, j->keys[i].kid)};
		key.spki = put(t, j->keys[i].spki, j->keys[i].spki_len);
		*(p ? &p->keys[i] : &key) = key;
	}
	for (uint32_t i = 0; i < j->audience_cnt; i++) {
		audience = put_text(t, j->audiences[i].text);
		*(p ? &p->audiences[i] : &audience) = audience;
	}
	for (uint32_t i = 0; i < j->from_cnt; i++) {
		from = (struct sl_img_jwt_from){.place = j->from[i].place,
						.name = put_text(t, j->from[i].name)};
		*(p ? &p->from[i] : &from) = from;
	}
	for (uint32_t i = 0; i < j->claim_cnt; i++) {
		claim.claim = put_text(t, j->claims[i].claim);
		claim.header = put_text(t, j->claims[i].header);
		*(p ? &p->claims[i] : &claim) = claim;
	}
}

static int
build_jwt(const struct sl_compiling *k, uint32_t i, struct sl_compiled_object *ret)
{
	const struct sl_conf_jwt *j = &k->c->jwts[i];
	struct sl_img_jwt img = {
		.key_cnt = j->key_cnt,
		.audience_cnt = j->audience_cnt,
		.from_cnt = j->from_cnt,
		.claim_cnt = j->claim_cnt,
		.leeway_s = j->leeway_ms / 1000,
		.flags = j->forward ? 0 : SL_JWT_STRIP,
	};
	uint32_t end = sizeof(img);
	struct texts t = {0};

	put_texts(j, &img, &t, NULL);
	img.str_bytes = t.len;
	img.key_off = sl_object_section(&end, img.key_cnt, sizeof(struct sl_img_jwt_key));
	img.audience_off = sl_object_section(&end, img.audience_cnt, sizeof(struct sl_img_str));
	img.from_off = sl_object_section(&end, img.from_cnt, sizeof(struct sl_img_jwt_from));
	img.claim_off = sl_object_section(&end, img.claim_cnt, sizeof(struct sl_img_jwt_claim));
	img.str_off = sl_object_section(&end, img.str_bytes, 1);
	struct sl_img_jwt *obj = sl_object_create(SL_OBJ_JWT, end);
	if (!obj)
		return -ENOMEM;
	img.head = obj->head;
	*obj = img;
	memcpy(obj->name, j->name, SL_NAME_MAX);
	char *at = (char *)obj;
	const struct parts p = {(void *)(at + img.key_off), (void *)(at + img.audience_off),
				(void *)(at + img.from_off), (void *)(at + img.claim_off)};
	t = (struct texts){.at = (uint8_t *)at + img.str_off};
	put_texts(j, obj, &t, &p);
	return sl_object_finish(obj, end, sl_compile_previous(k, SL_OBJ_JWT, &k->jwt_placed[i]),
				ret);
}

/* ---- the whole ---- */

static int
by_slot(const void *a, const void *b, void *placed)
{
	const struct sl_placed *p = placed;
	uint32_t x = p[*(const uint32_t *)a].slot, y = p[*(const uint32_t *)b].slot;

	return (x > y) - (x < y);
}

int
sl_compile_jwts(struct sl_compiling *k)
{
	struct sl_compiled *out = k->out;
	uint32_t cnt = k->c->jwt_cnt, order[SL_MAX_JWT];
	int err = 0;

	if (cnt == 0)
		return 0;
	struct sl_compiled_object *objs = realloc(out->objs, (out->cnt + cnt) * sizeof(*objs));
	if (!objs)
		return -ENOMEM;
	out->objs = objs;
	struct sl_placed *placed = realloc(k->ref_placed, (out->cnt + cnt) * sizeof(*placed));
	if (!placed)
		return -ENOMEM;
	k->ref_placed = placed;
	for (uint32_t i = 0; i < cnt; i++)
		order[i] = i;
	qsort_r(order, cnt, sizeof(*order), by_slot, k->jwt_placed);
	for (uint32_t i = 0; i < cnt && !err; i++) {
		err = build_jwt(k, order[i], &objs[out->cnt]);
		if (!err)
			placed[out->cnt++] = k->jwt_placed[order[i]];
	}
	return err;
}
