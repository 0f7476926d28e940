/* The sections of policy of a virtual host (image_policy.h): what a route goes by, and what that names. */
#include "dataplane/image_check_priv.h"

#define ANY_CNT (SL_OBJ_MAX / 8)

void
sl_look_policy_open(struct sl_look_policy *p, struct sl_look *c)
{
	const struct sl_img_vhost *img = (const void *)c->bytes;

	*p = (struct sl_look_policy){.img = img};
#define OPEN(list, noun)                                                                           \
	(p->list = sl_look_open(c,                                                                 \
				&(struct sl_look_section){#list, img->noun##_cnt, img->noun##_off, \
							  0, ANY_CNT, sizeof(*p->list)}))
	OPEN(policies, policy);
	OPEN(rates, rate);
	OPEN(policy_refs, policy_ref);
	OPEN(cors, cors);
	OPEN(faults, fault);
#undef OPEN
}

/* ---- limits ---- */

static bool
all_zero(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (text[i])
			return false;
	return true;
}

/* A token in lower case, padded with 0. */
static bool
header_ok(const char header[SL_NAME_MAX])
{
	size_t n = strnlen(header, SL_NAME_MAX);

	return n && n < SL_NAME_MAX && sl_look_token((const uint8_t *)header, n, true) &&
	       all_zero(header + n, SL_NAME_MAX - n);
}

void
sl_look_rate(struct sl_look *c, const char *section, const struct sl_img_rate *r, uint32_t i)
{
	bool source = r->key == SL_RATE_SOURCE, all = r->key == SL_RATE_ALL;

	sl_look_range(c, section, i, "slot", r->slot, 0, SL_MAX_RATES - 1);
	sl_look_range(c, section, i, "incarnation", r->incarnation, 1, UINT16_MAX);
	sl_look_range(c, section, i, "tokens", r->tokens, 1, 10000000);
	sl_look_range(c, section, i, "per_ms", r->per_ms, 10, 86400000);
	sl_look_range(c, section, i, "key", r->key, SL_RATE_ALL, SL_RATE_HEADER);
	sl_look_range(c, section, i, "keys", r->keys, !all, all ? 0 : 1u << 20);
	sl_look_range(c, section, i, "flags", r->flags, 0, SL_RATE_HEADERS | SL_RATE_SHARED);
	sl_look_range(c, section, i, "plen4", r->plen4, source, source ? 32 : 0);
	sl_look_range(c, section, i, "plen6", r->plen6, source, source ? 128 : 0);
	sl_look_name(c, section, i, "name", r->name);
	if (r->key == SL_RATE_HEADER ? !header_ok(r->header) : !all_zero(r->header, SL_NAME_MAX))
		sl_look_bad(c, section, i, "header", "is not %s",
			    r->key == SL_RATE_HEADER ? "a token in lower case" : "empty");
}

/* ---- faults ---- */

static void
check_fault(struct sl_look *c, const struct sl_img_fault *f, uint32_t i)
{
	sl_look_range(c, "faults", i, "delay_ppm", f->delay_ppm, 0, 1000000);
	sl_look_range(c, "faults", i, "delay_ms", f->delay_ms, 0, 3600000);
	sl_look_range(c, "faults", i, "abort_ppm", f->abort_ppm, 0, 1000000);
	if (f->abort_status)
		sl_look_range(c, "faults", i, "abort_status", f->abort_status, 200, 599);
	sl_look_range(c, "faults", i, "by_header", f->by_header, 0, 1);
	sl_look_zero(c, "faults", i, "zero", f->zero);
	sl_look_range(c, "faults", i, "counter", f->counter, 0, SL_FAULT_COUNTERS - 1);
}

/* ---- CORS ---- */

static void
check_cors(const struct sl_look_strings *str, const struct sl_img_cors *d, uint32_t i)
{
	static const char *const fields[] = {"methods", "headers", "expose"};
	const struct sl_img_str texts[] = {d->methods, d->headers, d->expose};
	const uint8_t *s = sl_look_string(str, "cors", i, "origins", d->origins, 2, 65536);

	if (s && s[d->origins.len - 1] != 0)
		sl_look_bad(str->c, "cors", i, "origins", "does not end with a NUL");
	for (unsigned k = 0; k < SL_ARRAY_CNT(texts); k++) {
		s = sl_look_string(str, "cors", i, fields[k], texts[k], 0, 1024);
		if (s && !sl_look_field_content(s, texts[k].len))
			sl_look_bad_text(
				str->c, "cors", i, fields[k], s, texts[k].len,
				"holds a control byte, or begins or ends with white space");
	}
	sl_look_range(str->c, "cors", i, "credentials", d->credentials, 0, 1);
}

/* ---- what names them ---- */

static void
check_ref(struct sl_look *c, const struct sl_img_policy_ref *r, uint32_t i)
{
	bool jwt = r->kind == SL_OBJ_JWT;

	sl_look_range(c, "policy_refs", i, "kind", r->kind, SL_OBJ_AUTHZ, SL_OBJ_JWT);
	sl_look_range(c, "policy_refs", i, "slot", r->slot, 0,
		      (jwt ? SL_MAX_JWT : SL_MAX_AUTHZ) - 1);
	sl_look_range(c, "policy_refs", i, "incarnation", r->incarnation, 1, UINT16_MAX);
	sl_look_range(c, "policy_refs", i, "flags", r->flags, 0, jwt);
}

static void
check_span(struct sl_look *c, uint32_t i, const char *field, uint32_t first, uint32_t cnt,
	   uint32_t max, uint32_t total)
{
	sl_look_range(c, "policies", i, field, cnt, 0, max);
	if (first > total || cnt > total - first)
		sl_look_bad(c, "policies", i, field, "%u from %u on are not within %u", cnt, first,
			    total);
}

static void
check_policy(const struct sl_look_policy *p, const struct sl_look_strings *str,
	     const struct sl_img_policy *d, uint32_t i)
{
	struct sl_look *c = str->c;

	check_span(c, i, "rate_cnt", d->rate_first, d->rate_cnt, SL_MAX_ROUTE_RATES,
		   p->img->rate_cnt);
	check_span(c, i, "ref_cnt", d->ref_first, d->ref_cnt, SL_MAX_ROUTE_REFS,
		   p->img->policy_ref_cnt);
	sl_look_range(c, "policies", i, "cors", d->cors, 0, p->img->cors_cnt);
	sl_look_range(c, "policies", i, "fault", d->fault, 0, p->img->fault_cnt);
	sl_look_range(c, "policies", i, "hedge_ms", d->hedge_ms, 0, SL_LOOK_MS_MAX);
	sl_look_range(c, "policies", i, "hedge_max", d->hedge_max, d->hedge_ms != 0,
		      d->hedge_ms ? SL_MAX_RETRIES : 0);
	const uint8_t *s =
		sl_look_string(str, "policies", i, "sticky_cookie", d->sticky_cookie, 0, 255);
	if (s && d->sticky_cookie.len && !sl_look_token(s, d->sticky_cookie.len, false))
		sl_look_bad_text(c, "policies", i, "sticky_cookie", s, d->sticky_cookie.len,
				 "is not a token");
	sl_look_zero(c, "policies", i, "zero", d->zero);
}

void
sl_look_policy(const struct sl_look_policy *p, const struct sl_look_strings *str)
{
	struct sl_look *c = str->c;

	for (uint32_t i = 0; p->policies && i < p->img->policy_cnt; i++)
		check_policy(p, str, &p->policies[i], i);
	for (uint32_t i = 0; p->rates && i < p->img->rate_cnt; i++)
		sl_look_rate(c, "rates", &p->rates[i], i);
	for (uint32_t i = 0; p->policy_refs && i < p->img->policy_ref_cnt; i++)
		check_ref(c, &p->policy_refs[i], i);
	for (uint32_t i = 0; p->cors && i < p->img->cors_cnt; i++)
		check_cors(str, &p->cors[i], i);
	for (uint32_t i = 0; p->faults && i < p->img->fault_cnt; i++)
		check_fault(c, &p->faults[i], i);
}
