/* See traffic.h. */
#include "mgmt/traffic.h"

#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void
say(char text[SL_TRAFFIC_LEN], const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + n, SL_TRAFFIC_LEN - n, fmt, ap);
	va_end(ap);
}

static void
cors_text(const struct sl_conf_cors *c, char text[SL_TRAFFIC_LEN])
{
	for (uint32_t at = 0; at < c->origin_bytes; at += (uint32_t)strlen(c->origins + at) + 1)
		say(text, "%s%s", at ? ", " : "", c->origins + at);
	say(text, "%s", c->credentials ? ", with credentials" : "");
}

static void
fault_text(const struct sl_conf_fault *f, bool forward, char text[SL_TRAFFIC_LEN])
{
	const char *whose = f->by_header ? " of those that ask for it" : "";

	if (f->delay && forward) {
		say(text, "%g %%%s wait %s%u ms", f->delay_ppm / 1e4, whose,
		    f->by_header ? "up to " : "", f->delay_ms);
		if (f->max_active)
			say(text, ", at most %u at a time", f->max_active);
	}
	if (!f->abort)
		return;
	say(text, "%s%g %%%s are answered ", *text ? "; " : "", f->abort_ppm / 1e4, whose);
	if (f->by_header)
		say(text, "as they say");
	else
		say(text, "%u", f->abort_status);
}

void
sl_traffic_of(const struct sl_conf_table *t, const struct sl_conf_vhost *v,
	      const struct sl_conf_hroute *r, struct sl_traffic *ret)
{
	const struct sl_conf_policy *const from[] = {&t->policy, &v->policy, &r->policy};
	const struct sl_conf_cors *cors = NULL;
	const struct sl_conf_fault *fault = NULL;
	const struct sl_conf_hedge *hedge = NULL;
	bool forward = r->action == SL_ACTION_FORWARD;

	*ret = (struct sl_traffic){0};
	for (unsigned i = 0; i < SL_ARRAY_CNT(from); i++) {
		cors = from[i]->cors.line ? &from[i]->cors : cors;
		fault = from[i]->fault.line ? &from[i]->fault : fault;
		hedge = from[i]->hedge.line ? &from[i]->hedge : hedge;
	}
	if (cors)
		cors_text(cors, ret->cors);
	if (fault)
		fault_text(fault, forward, ret->fault);
	if (hedge && forward)
		say(ret->hedge, "%u further %s, each %u ms after the one before", hedge->max,
		    hedge->max == 1 ? "try" : "tries", hedge->after_ms);
	if (!r->sticky_set)
		return;
	say(ret->sticky, "cookie %s", r->sticky_name);
	if (r->sticky_ttl_s)
		say(ret->sticky, " for %u s", r->sticky_ttl_s);
}
