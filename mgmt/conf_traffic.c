/* What groups `cors`, `fault` and `hedge` of a policy come to. */
#include "mgmt/conf_priv.h"

#include <stdio.h>
#include <stdlib.h>

#include "l7/http1.h"

/* ---- CORS ---- */

/* Names with ", " between them; NULL: none. */
static char *
join(struct walk *w, const struct sl_img_tls_name *names, uint32_t cnt)
{
	size_t bytes = 1, n = 0;
	char *text;

	for (uint32_t i = 0; i < cnt; i++)
		bytes += strlen(names[i].name) + 2;
	if (cnt == 0)
		return NULL;
	if (!(text = malloc(bytes))) {
		w->oom = true;
		return NULL;
	}
	text[0] = 0;
	for (uint32_t i = 0; i < cnt; i++)
		n += (size_t)snprintf(text + n, bytes - n, "%s%s", n ? ", " : "", names[i].name);
	return text;
}

static char *
join_methods(struct walk *w, uint32_t bits)
{
	struct sl_img_tls_name names[SL_METHOD_CNT];
	uint32_t cnt = 0;

	for (unsigned m = 0; m < SL_METHOD_CNT; m++)
		if (bits >> m & 1)
			snprintf(names[cnt++].name, sizeof(names[0].name), "%s", sl_method_name(m));
	return join(w, names, cnt);
}

static void
join_origins(struct walk *w, const struct cors_draft *d, struct sl_conf_cors *c)
{
	if (!(c->origins = malloc((size_t)d->origin_cnt * SL_CONF_ORIGIN_MAX + 1))) {
		w->oom = true;
		return;
	}
	for (uint32_t i = 0; i < d->origin_cnt; i++) {
		size_t n = strlen(d->origins[i]) + 1;
		memcpy(c->origins + c->origin_bytes, d->origins[i], n);
		c->origin_bytes += (uint32_t)n;
	}
}

/* "*" says all there is to say, and answers with credentials have to name who asks. */
static void
check_any(struct walk *w, const struct sl_node *s, const struct cors_draft *d)
{
	const struct sl_node *at = sl_node_member(s, "origins");

	for (uint32_t i = 0; i < d->origin_cnt; i++) {
		if (strcmp(d->origins[i], "*"))
			continue;
		if (d->origin_cnt > 1)
			sl_walk_tell(w, at, "keep \"*\" alone, or leave it out",
				     "origins: \"*\" stands for all, beside others");
		if (d->credentials)
			sl_walk_tell(
				w, sl_node_member(s, "credentials"),
				"name the origins, or give credentials = false",
				"with origins \"*\" every site could act for whoever visits it");
		return;
	}
}

static void
check_length(struct walk *w, const struct sl_node *s, const char *key, const char *text)
{
	if (text && strlen(text) > 1024)
		sl_walk_tell(w, sl_node_member(s, key), "leave some out",
			     "%s: comes to %zu bytes, more than 1024", key, strlen(text));
}

void
sl_finish_cors(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct cors_draft *d = draft;
	struct sl_conf_cors *c = out;
	bool clean = w->clean;

	c->line = sl_walk_line(s);
	if (clean && d->origin_cnt == 0)
		sl_walk_tell(w, s, "name some in origins, or \"*\"", "does not say whose pages");
	if (clean)
		check_any(w, s, d);
	if (d->max_age_ms % 1000)
		sl_walk_tell(w, sl_node_member(s, "max_age"), "give whole seconds",
			     "max_age: %u ms is not whole seconds", d->max_age_ms);
	if (d->origin_cnt)
		join_origins(w, d, c);
	c->methods = join_methods(w, d->methods);
	c->headers = join(w, d->headers, d->header_cnt);
	c->expose = join(w, d->expose, d->expose_cnt);
	check_length(w, s, "headers", c->headers);
	check_length(w, s, "expose", c->expose);
	c->credentials = d->credentials;
	c->max_age_s = sl_conf_given(s, "max_age") ? d->max_age_ms / 1000 : UINT32_MAX;
	free(d->origins);
	free(d->headers);
	free(d->expose);
}

void
sl_conf_cors_fini(struct sl_conf_cors *c)
{
	free(c->origins);
	free(c->methods);
	free(c->headers);
	free(c->expose);
}

/* ---- faults ---- */

void
sl_finish_fault_delay(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	(void)w, (void)s, (void)draft;
	((struct sl_conf_fault *)out)->delay = true;
}

void
sl_finish_fault_abort(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	(void)w, (void)s, (void)draft;
	((struct sl_conf_fault *)out)->abort = true;
}

/* Groups that were not given have the defaults of their keys. */
void
sl_finish_fault(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	struct sl_conf_fault *f = out;
	const struct sl_node *abort = sl_node_member(s, "abort");

	(void)draft;
	f->line = sl_walk_line(s);
	if (!f->delay)
		f->delay_ppm = f->delay_ms = 0;
	if (!f->abort)
		f->abort_ppm = f->abort_status = 0;
	if (!w->clean)
		return;
	if (!f->delay && !f->abort)
		sl_walk_tell(w, s, "give delay, abort, or both", "says nothing of what is to fail");
	if (!f->delay)
		sl_conf_out_of_place(w, s, "max_active", "delay");
	if (f->abort && !f->by_header && !f->abort_status) {
		size_t was = sl_walk_push(w, "abort");
		sl_walk_missing(w, abort, FAULT_ABORT, "status");
		sl_walk_pop(w, was);
	} else if (f->abort && f->by_header && f->abort_status) {
		size_t was = sl_walk_push(w, "abort");
		sl_conf_out_of_place(w, abort, "status", "by_header = false");
		sl_walk_pop(w, was);
	}
}

/* ---- hedging ---- */

void
sl_finish_hedge(struct walk *w, const struct sl_node *s, void *draft, void *out)
{
	(void)w, (void)draft;
	((struct sl_conf_hedge *)out)->line = sl_walk_line(s);
}
