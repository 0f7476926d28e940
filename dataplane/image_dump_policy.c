/* What of policy stands in objects, as text. */
#include "dataplane/image_dump.h"

void
sl_image_dump_rates(const struct sl_img_rate *r, uint32_t cnt, FILE *f)
{
	static const char *const by[] = {
		[SL_RATE_ALL] = "all",
		[SL_RATE_SOURCE] = "source",
		[SL_RATE_IDENTITY] = "identity",
		[SL_RATE_HEADER] = "header",
	};

	if (cnt)
		fprintf(f, "limits %u\n", cnt);
	for (uint32_t i = 0; i < cnt; i++, r++) {
		fprintf(f, "  [%u] %s slot %u incarnation %u %u per %u ms by %s", i, r->name,
			r->slot, r->incarnation, r->tokens, r->per_ms, by[r->key]);
		if (r->key == SL_RATE_HEADER)
			fprintf(f, " %s", r->header);
		if (r->key == SL_RATE_SOURCE)
			fprintf(f, " /%u /%u", r->plen4, r->plen6);
		if (r->keys)
			fprintf(f, " keys %u", r->keys);
		fputs(r->flags & SL_RATE_SHARED ? " shared" : "", f);
		fputs(r->flags & SL_RATE_HEADERS ? " headers\n" : "\n", f);
	}
}

/* Issuers of tokens and sets of rules that a row names. */
static void
dump_refs(const struct sl_img_policy_ref *r, uint32_t cnt, FILE *f)
{
	for (uint32_t i = 0; i < cnt; i++, r++)
		fprintf(f, " %s slot %u incarnation %u%s", r->kind == SL_OBJ_JWT ? "jwt" : "rules",
			r->slot, r->incarnation, r->flags ? " required" : "");
}

void
sl_image_dump_policies(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_vhost *v = (const void *)bytes;
	const struct sl_img_policy *p = (const void *)(bytes + v->policy_off);

	if (v->policy_cnt)
		fprintf(f, "policies %u\n", v->policy_cnt);
	for (uint32_t i = 0; i < v->policy_cnt; i++, p++) {
		fprintf(f, "  [%u]", i);
		if (p->rate_cnt)
			fprintf(f, " limits %u from %u", p->rate_cnt, p->rate_first);
		dump_refs((const struct sl_img_policy_ref *)(bytes + v->policy_ref_off) +
				  p->ref_first,
			  p->ref_cnt, f);
		fputc('\n', f);
	}
	sl_image_dump_rates((const void *)(bytes + v->rate_off), v->rate_cnt, f);
}
