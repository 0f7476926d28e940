/* The text of JWT. */
#include "dataplane/image_dump.h"

/* Keys are told by the beginning of their bytes' SHA-256: the bytes are in the object. */
static void
dump_keys(const struct sl_img_jwt *j, const uint8_t *strs, FILE *f)
{
	static const char *const algs[] = {"", "RS256", "ES256", "EdDSA"};
	const struct sl_img_jwt_key *k = (const void *)((const uint8_t *)j + j->key_off);
	struct sl_obj_id id;

	fprintf(f, "keys %u\n", j->key_cnt);
	for (uint32_t i = 0; i < j->key_cnt; i++) {
		fprintf(f, "  [%u] %s", i, algs[k[i].alg]);
		sl_image_dump_text("kid", strs, k[i].kid, f);
		sl_image_id(strs + k[i].spki.off, k[i].spki.len, &id);
		fprintf(f, " %u bytes ", k[i].spki.len);
		sl_image_dump_id(&id, f);
		fputc('\n', f);
	}
}

void
sl_image_dump_jwt(const uint8_t *bytes, FILE *f)
{
	static const char *const places[] = {"", "bearer", "header", "cookie", "query"};
	const struct sl_img_jwt *j = (const void *)bytes;
	const struct sl_img_str *a = (const void *)(bytes + j->audience_off);
	const struct sl_img_jwt_from *from = (const void *)(bytes + j->from_off);
	const struct sl_img_jwt_claim *c = (const void *)(bytes + j->claim_off);
	const uint8_t *strs = bytes + j->str_off;

	fprintf(f, "name %s\nleeway_s %u\nstrip %u\n", j->name, j->leeway_s,
		(j->flags & SL_JWT_STRIP) != 0);
	fputs("issuer", f);
	sl_image_dump_text("is", strs, j->issuer, f);
	sl_image_dump_text("payload_header", strs, j->payload_header, f);
	fputs("\naudiences", f);
	for (uint32_t i = 0; i < j->audience_cnt; i++)
		sl_image_dump_text("", strs, a[i], f);
	fputs("\nfrom", f);
	for (uint32_t i = 0; i < j->from_cnt; i++) {
		fprintf(f, " %s", places[from[i].place]);
		sl_image_dump_text("", strs, from[i].name, f);
	}
	fprintf(f, "\nclaims %u\n", j->claim_cnt);
	for (uint32_t i = 0; i < j->claim_cnt; i++) {
		fprintf(f, "  [%u]", i);
		sl_image_dump_text("claim", strs, c[i].claim, f);
		sl_image_dump_text("header", strs, c[i].header, f);
		fputc('\n', f);
	}
	dump_keys(j, strs, f);
}
