/* CORS, faults, hedging and cookies of splits, as text. */
#include "dataplane/image_dump.h"

static void
dump_row(const struct sl_img_policy *p, uint32_t i, const uint8_t *strs, FILE *f)
{
	if (!p->cors && !p->fault && !p->hedge_ms && !p->sticky_cookie.len)
		return;
	fprintf(f, "traffic of policy %u", i);
	if (p->cors)
		fprintf(f, " cors %u", p->cors - 1);
	if (p->fault)
		fprintf(f, " fault %u", p->fault - 1);
	if (p->hedge_ms)
		fprintf(f, " hedge_ms %u max %u", p->hedge_ms, p->hedge_max);
	sl_image_dump_text("sticky_cookie", strs, p->sticky_cookie, f);
	if (p->sticky_cookie.len)
		fprintf(f, " ttl_s %u", p->sticky_ttl_s);
	fputc('\n', f);
}

static void
dump_cors(const struct sl_img_cors *c, uint32_t i, const uint8_t *strs, FILE *f)
{
	const char *at = (const char *)strs + c->origins.off, *end = at + c->origins.len;

	fprintf(f, "  [%u] origins", i);
	for (; at < end; at += strlen(at) + 1)
		fprintf(f, " %s", at);
	sl_image_dump_text("methods", strs, c->methods, f);
	sl_image_dump_text("headers", strs, c->headers, f);
	sl_image_dump_text("expose", strs, c->expose, f);
	if (c->max_age_s != UINT32_MAX)
		fprintf(f, " max_age_s %u", c->max_age_s);
	fputs(c->credentials ? " credentials\n" : "\n", f);
}

static void
dump_fault(const struct sl_img_fault *d, uint32_t i, FILE *f)
{
	fprintf(f, "  [%u]", i);
	if (d->delay_ms)
		fprintf(f, " delay_ms %u per_million %u", d->delay_ms, d->delay_ppm);
	if (d->abort_ppm)
		fprintf(f, " abort %u per_million %u", d->abort_status, d->abort_ppm);
	fprintf(f, "%s max_active %u counter %u\n", d->by_header ? " by_header" : "", d->max_active,
		d->counter);
}

void
sl_image_dump_traffic(const uint8_t *bytes, FILE *f)
{
	const struct sl_img_vhost *v = (const void *)bytes;
	const struct sl_img_policy *p = (const void *)(bytes + v->policy_off);
	const struct sl_img_cors *c = (const void *)(bytes + v->cors_off);
	const struct sl_img_fault *d = (const void *)(bytes + v->fault_off);
	const uint8_t *strs = bytes + v->str_off;

	for (uint32_t i = 0; i < v->policy_cnt; i++)
		dump_row(&p[i], i, strs, f);
	if (v->cors_cnt)
		fprintf(f, "cors %u\n", v->cors_cnt);
	for (uint32_t i = 0; i < v->cors_cnt; i++)
		dump_cors(&c[i], i, strs, f);
	if (v->fault_cnt)
		fprintf(f, "faults %u\n", v->fault_cnt);
	for (uint32_t i = 0; i < v->fault_cnt; i++)
		dump_fault(&d[i], i, f);
}
