#include "mgmt/trial_rates.h"

#include <stdlib.h>

static const struct sl_conf_rate *
rate_named(const struct sl_conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->rate_cnt; i++)
		if (!strcmp(c->rates[i].name, name))
			return &c->rates[i];
	return NULL;
}

static bool
is_foretold(const struct sl_conf_rate *now, const struct sl_conf_rate *then)
{
	return then && now->by == SL_RATE_ALL && then->by == SL_RATE_ALL && !now->shared &&
	       !then->shared && (now->requests != then->requests || now->per_ms != then->per_ms);
}

static void
start_window(struct sl_trial_rate *t, uint64_t now_ms, const struct sl_stats_rate *s)
{
	t->since_ms = now_ms;
	t->asked_then = s->allowed + s->refused;
	t->refused_then = s->refused;
}

void
sl_trial_rates_begin(struct sl_trial_rates *r, const struct sl_conf *now,
		     const struct sl_slot_map *map, const struct sl_conf *then, uint64_t now_ms,
		     sl_trial_counted *counted, void *ctx)
{
	*r = (struct sl_trial_rates){.rate = calloc(now->rate_cnt + 1u, sizeof(*r->rate))};
	for (uint32_t i = 0; r->rate && i < now->rate_cnt; i++) {
		const struct sl_conf_rate *a = &now->rates[i], *b = rate_named(then, a->name);
		struct sl_trial_rate *t = &r->rate[r->cnt];
		if (!is_foretold(a, b) || sl_slot_find_rate(map, a->name, &t->at))
			continue;
		memcpy(t->name, a->name, sizeof(t->name));
		t->was[0] = a->requests;
		t->was[1] = a->per_ms;
		t->then[0] = b->requests;
		t->then[1] = b->per_ms;
		struct sl_stats_rate s = counted(ctx, t->at);
		start_window(t, now_ms, &s);
		r->cnt++;
	}
}

/* What passes in a window that is longer than `per`: the number again for each part of it. */
static uint64_t
room(const struct sl_trial_rate *t, uint64_t window_ms)
{
	return (uint64_t)t->then[0] * window_ms / t->then[1];
}

static void
look(struct sl_trial_rate *t, uint64_t now_ms, const struct sl_stats_rate *s)
{
	uint64_t window_ms = now_ms - t->since_ms, asked = s->allowed + s->refused;

	if (window_ms < SL_MAX(t->then[1], (uint32_t)SL_TRIAL_WINDOW_MS))
		return;
	if (asked >= t->asked_then && s->refused >= t->refused_then) { /* not attached anew */
		uint64_t n = asked - t->asked_then, may = room(t, window_ms);
		t->windows++;
		t->asked += n;
		t->refused += s->refused - t->refused_then;
		t->above += n > may;
		t->over += n > may ? n - may : 0;
	}
	start_window(t, now_ms, s);
}

void
sl_trial_rates_look(struct sl_trial_rates *r, uint64_t now_ms, sl_trial_counted *counted, void *ctx)
{
	for (uint32_t i = 0; i < r->cnt; i++) {
		struct sl_stats_rate s = counted(ctx, r->rate[i].at);
		look(&r->rate[i], now_ms, &s);
	}
}

void
sl_trial_rates_fini(struct sl_trial_rates *r)
{
	free(r->rate);
	*r = (struct sl_trial_rates){0};
}

static json_t *
number_json(const uint32_t n[2])
{
	return json_pack("{s:I, s:I}", "requests", (json_int_t)n[0], "per_ms", (json_int_t)n[1]);
}

json_t *
sl_trial_rates_json(const struct sl_trial_rates *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < r->cnt; i++) {
		const struct sl_trial_rate *t = &r->rate[i];
		json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I}", "name", t->name,
				  "now", number_json(t->was), "then", number_json(t->then),
				  "windows", (json_int_t)t->windows, "above", (json_int_t)t->above,
				  "asked", (json_int_t)t->asked, "refused", (json_int_t)t->refused,
				  "over", (json_int_t)t->over));
	}
	return list;
}
