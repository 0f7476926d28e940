/* Limits: a slot each, and by value wherever they are named. */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

static int
by_name(const void *a, const void *b, void *arg)
{
	const struct sl_conf_rate *r = arg;

	return strcmp(r[*(const uint32_t *)a].name, r[*(const uint32_t *)b].name);
}

int
sl_compile_assign_rates(struct sl_compiling *k, struct sl_slot_map *m)
{
	uint32_t n = k->c->rate_cnt;
	const char **keys = malloc((n + 1u) * sizeof(*keys));

	k->rate_order = malloc((n + 1u) * sizeof(*k->rate_order));
	k->rate_placed = malloc((n + 1u) * sizeof(*k->rate_placed));
	if (!keys || !k->rate_order || !k->rate_placed) {
		free(keys);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		k->rate_order[i] = i;
	if (n)
		qsort_r(k->rate_order, n, sizeof(*k->rate_order), by_name, k->c->rates);
	for (uint32_t i = 0; i < n; i++)
		keys[i] = k->c->rates[k->rate_order[i]].name;
	int err = sl_compile_assign(k, "limits", &m->rates, &m->seq, keys, n, k->rate_placed);
	free(keys);
	return err;
}

/* Its place in the order of names; check.c saw to it that there is one. */
static uint32_t
place_of(const struct sl_compiling *k, const char *name)
{
	uint32_t lo = 0, hi = k->c->rate_cnt;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (strcmp(k->c->rates[k->rate_order[mid]].name, name) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

void
sl_compile_rate(const struct sl_compiling *k, const char *name, struct sl_img_rate *ret)
{
	uint32_t place = place_of(k, name);
	const struct sl_conf_rate *r = &k->c->rates[k->rate_order[place]];

	*ret = (struct sl_img_rate){
		.slot = k->rate_placed[place].slot,
		.incarnation = k->rate_placed[place].incarnation,
		.tokens = r->requests,
		.per_ms = r->per_ms,
		.keys = r->keys,
		.key = r->by,
		.flags = (r->headers ? SL_RATE_HEADERS : 0) | (r->shared ? SL_RATE_SHARED : 0),
		.plen4 = r->bits4,
		.plen6 = r->bits6,
	};
	memcpy(ret->header, r->header, SL_NAME_MAX);
	memcpy(ret->name, r->name, SL_NAME_MAX);
}
