#include "dataplane/image_check.h"
#include "tests/l7/jwt_scene.h"
#include "tests/suite.h"

static EVP_PKEY *key;

static struct sl_img_jwt *
object(void)
{
	if (!key)
		key = jwt_key(SL_JWT_EDDSA);
	const struct jwt_issuer_key k[] = {{"one", SL_JWT_EDDSA, key}, {"two", SL_JWT_EDDSA, key}};
	return jwt_object("https://issuer.example", "api", k, 2);
}

/* Reasons joined, "" when it is good. */
static const char *
check(const struct sl_img_jwt *j)
{
	static char text[4096];
	struct sl_diag diag = {0};

	text[0] = 0;
	sl_image_check(j, j->head.size, SL_OBJ_JWT, NULL, "jwt", &diag);
	for (unsigned i = 0; i < diag.cnt; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s: %s\n",
			 diag.items[i].path ? diag.items[i].path : "", diag.items[i].text);
	sl_diag_fini(&diag);
	return text;
}

static void
a_good_one_passes(void)
{
	struct sl_img_jwt *j = object();

	CU_ASSERT_STRING_EQUAL(check(j), "");
	free(j);
}

#define WITH(change, want)                                                                         \
	do {                                                                                       \
		struct sl_img_jwt *j = object();                                                   \
		struct sl_img_jwt_key *k = (void *)((char *)j + j->key_off);                       \
		struct sl_img_jwt_from *f = (void *)((char *)j + j->from_off);                     \
		char *strs = (char *)j + j->str_off;                                               \
		(void)k, (void)f, (void)strs;                                                      \
		change;                                                                            \
		if (!strstr(check(j), want))                                                       \
			printf("line %d: %s\n", __LINE__, check(j));                               \
		CU_ASSERT_PTR_NOT_NULL(strstr(check(j), want));                                    \
		free(j);                                                                           \
	} while (0)

static void
what_is_out_of_range_is_told(void)
{
	WITH(k[0].alg = 4, "keys[0].alg: is 4");
	WITH(k[0].zero = 1, "keys[0].zero");
	WITH(k[1].kid = k[0].kid, "keys[1].kid: and alg are those of keys[0]");
	WITH(k[0].spki.len = 1 << 20, "keys[0].spki");
	WITH(k[0].spki.len = 0, "keys[0].spki");
	WITH(strs[k[0].kid.off] = '\n', "keys[0].kid");
	WITH(f[0].place = 5, "from[0].place");
	WITH(f[0].name.len = 1, "from[0].name");
	WITH((f[0].place = SL_JWT_FROM_HEADER, f[0].name = j->issuer), "from[0].name");
	WITH((f[0].place = SL_JWT_FROM_COOKIE, f[0].name = j->issuer), "from[0].name");
	WITH(j->payload_header = j->issuer, "payload_header");
	WITH(j->leeway_s = 3601, "leeway_s: is 3601");
	WITH(j->flags = 2, "flags: is 2");
	WITH(j->key_cnt = 65, "key");
	WITH(j->key_off += 8, "key");
	WITH(j->from_cnt = 0, "from");
	WITH(j->name[0] = 0, "name");
	WITH(j->issuer.off = 1 << 20, "issuer");
	WITH(strs[j->issuer.off] = 1, "issuer");
}

SL_SUITE("image_jwt", SL_TEST(a_good_one_passes), SL_TEST(what_is_out_of_range_is_told))
