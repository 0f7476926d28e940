/* A generation's issuers of tokens, by slot, with their keys made; and that what routes name is there.  Keys take microseconds to
 * make, so each view makes its own. */
#include "dataplane/view_priv.h"

#include "l7/jwt_keys.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int
make_issuer(struct sl_view_build *b, uint32_t ref)
{
	const struct sl_img_ref *r = &b->refs[ref];
	struct sl_issuer *to = &b->v->issuers[r->slot];
	struct sl_jwt_keys *keys = NULL;
	char path[32], why[SL_JWT_WHY_MAX];

	*to = (struct sl_issuer){.img = b->objs[ref].bytes,
				 .incarnation = (uint16_t)r->incarnation};
	int err = sl_jwt_keys_create(to->img, why, &keys);
	to->keys = keys;
	if (err != -EINVAL)
		return err;
	snprintf(path, sizeof(path), "refs[%u]", ref);
	sl_view_bad(b, path, NULL, "issuer \"%s\": %s", to->img->name, why);
	return 0;
}

static void
check_names(struct sl_view_build *b, uint32_t first, uint32_t cnt)
{
	char path[32];

	for (uint32_t i = 1; i < cnt; i++)
		for (uint32_t k = 0; k < i; k++) {
			const struct sl_img_jwt *x = b->objs[first + i].bytes;
			const struct sl_img_jwt *y = b->objs[first + k].bytes;
			if (memcmp(x->name, y->name, SL_NAME_MAX) != 0)
				continue;
			snprintf(path, sizeof(path), "refs[%u]", first + i);
			sl_view_bad(b, path, NULL, "issuer \"%s\" has the name of refs[%u]",
				    x->name, first + k);
		}
}

static void
check_vhost(struct sl_view_build *b, uint32_t ref)
{
	const struct sl_img_vhost *v = b->objs[ref].bytes;
	const struct sl_img_policy_ref *r =
		sl_view_section(v, v->policy_ref_cnt, v->policy_ref_off);
	char path[64];

	for (uint32_t i = 0; i < v->policy_ref_cnt; i++) {
		if (r[i].kind != SL_OBJ_JWT)
			continue;
		const struct sl_issuer *s = b->v->issuers ? &b->v->issuers[r[i].slot] : NULL;
		if (s && s->img && s->incarnation == r[i].incarnation)
			continue;
		snprintf(path, sizeof(path), "refs[%u].policy_refs[%u]", ref, i);
		sl_view_bad(b, path, NULL,
			    "table \"%s\", virtual host \"%s\": issuer slot %u, incarnation %u, is "
			    "not named by the root",
			    v->table, v->name, r[i].slot, r[i].incarnation);
	}
}

int
sl_view_jwt_build(struct sl_view_build *b)
{
	uint32_t first = b->first[SL_OBJ_JWT], cnt = b->cnt[SL_OBJ_JWT];
	int err = 0;

	if (cnt && !(b->v->issuers = calloc(SL_MAX_JWT, sizeof(*b->v->issuers))))
		return -ENOMEM;
	for (uint32_t i = 0; i < cnt && !err; i++)
		err = make_issuer(b, first + i);
	if (err)
		return err;
	check_names(b, first, cnt);
	for (uint32_t i = 0; i < b->cnt[SL_OBJ_VHOST]; i++)
		check_vhost(b, b->first[SL_OBJ_VHOST] + i);
	return 0;
}

void
sl_view_jwt_free(struct sl_view *v)
{
	for (uint32_t i = 0; v->issuers && i < SL_MAX_JWT; i++)
		sl_jwt_keys_destroy((struct sl_jwt_keys *)(uintptr_t)v->issuers[i].keys);
	free(v->issuers);
}
