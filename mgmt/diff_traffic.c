/* CORS, faults and hedging in the words of their file. */
#include "mgmt/diff_priv.h"

static void
cors_value(const struct sl_conf_cors *c, struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};

	for (uint32_t at = 0; c->line && at < c->origin_bytes;
	     at += (uint32_t)strlen(c->origins + at) + 1)
		sl_diff_addf(&t, "%s%s", t.len ? " " : "", c->origins + at);
	const char *const texts[][2] = {
		{" methods ", c->methods}, {" headers ", c->headers}, {" expose ", c->expose}};
	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++)
		if (texts[i][1]) {
			sl_diff_add(&t, texts[i][0]);
			sl_diff_add(&t, texts[i][1]);
		}
	if (c->line && c->max_age_s != UINT32_MAX)
		sl_diff_addf(&t, " max_age %u s", c->max_age_s);
	if (c->credentials)
		sl_diff_add(&t, " credentials");
	sl_diff_put_text(v, "policy.cors", &t);
}

static void
fault_value(const struct sl_conf_fault *d, struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};

	if (d->line && d->delay)
		sl_diff_addf(&t, "delay %g %% %u ms", d->delay_ppm / 1e4, d->delay_ms);
	if (d->line && d->abort)
		sl_diff_addf(&t, "%sabort %g %%", t.len ? ", " : "", d->abort_ppm / 1e4);
	if (d->line && d->abort_status)
		sl_diff_addf(&t, " %u", d->abort_status);
	if (d->line && d->max_active)
		sl_diff_addf(&t, ", max_active %u", d->max_active);
	if (d->line && d->by_header)
		sl_diff_add(&t, ", by_header");
	sl_diff_put_text(v, "policy.fault", &t);
}

void
sl_diff_traffic_values(const struct sl_conf_policy *p, struct sl_diff_values *v)
{
	struct sl_diff_text t = {0};
	bool minor = v->minor;

	v->minor = false;
	cors_value(&p->cors, v);
	fault_value(&p->fault, v);
	if (p->hedge.line)
		sl_diff_addf(&t, "%u after %u ms", p->hedge.max, p->hedge.after_ms);
	sl_diff_put_text(v, "policy.hedge", &t);
	v->minor = minor;
}
