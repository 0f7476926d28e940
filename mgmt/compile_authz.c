/* Sets of rules: a slot each, and an object with the layout of a virtual host (image_policy.h), whose routes are the
 * alternatives that rules come to: DENY, ALLOW, the default, AUDIT. */
#include "mgmt/compile_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "mgmt/slots.h"

/* ---- slots ---- */

static int
by_name(const void *a, const void *b, void *arg)
{
	const struct sl_conf_authz *s = arg;

	return strcmp(s[*(const uint32_t *)a].name, s[*(const uint32_t *)b].name);
}

/* Rules that get a slot, of those that had one before, or of those that had none. */
struct rule_keys {
	const struct sl_slot_map *m;
	char (*text)[SL_SLOT_KEY_MAX];
	const char **key;
	uint32_t cnt;
};

static void
take_rule(struct rule_keys *r, const char *set, const char *rule, bool had)
{
	struct sl_placed at;

	if (r->cnt == SL_MAX_RULE_SLOTS || had != (sl_slot_find_rule(r->m, set, rule, &at) == 0))
		return;
	r->key[r->cnt] = sl_slot_key_vhost(set, rule, r->text[r->cnt]);
	r->cnt++;
}

static void
take_rules(const struct sl_compiling *k, struct rule_keys *r, bool had)
{
	for (uint32_t i = 0; i < k->c->authz_cnt; i++) {
		const struct sl_conf_authz *a = &k->c->authz[k->authz_order[i]];
		for (uint32_t j = 0; j < a->rule_cnt; j++)
			take_rule(r, a->name, a->rules[j].name, had);
		if (sl_conf_authz_denies_rest(a))
			take_rule(r, a->name, SL_AUTHZ_DEFAULT, had);
	}
}

/* Of more rules than there are slots those keep one that had it; the others get what is left, in order. */
static int
assign_rules(struct sl_compiling *k, struct sl_slot_map *m)
{
	size_t most = 0;

	for (uint32_t i = 0; i < k->c->authz_cnt; i++)
		most += k->c->authz[i].rule_cnt + 1u;
	most = SL_MIN(most, SL_MAX_RULE_SLOTS);
	struct rule_keys r = {
		.m = m,
		.text = malloc((most + 1) * sizeof(*r.text)),
		.key = malloc((most + 1) * sizeof(*r.key)),
	};
	struct sl_placed *placed = malloc((most + 1) * sizeof(*placed));
	int err = -ENOMEM;

	if (r.text && r.key && placed) {
		take_rules(k, &r, true);
		take_rules(k, &r, false);
		err = sl_compile_assign(k, "rules", &m->rules, &m->seq, r.key, r.cnt, placed);
	}
	free(r.text);
	free(r.key);
	free(placed);
	return err;
}

int
sl_compile_assign_authz(struct sl_compiling *k, struct sl_slot_map *m)
{
	uint32_t n = k->c->authz_cnt;
	const char **keys = malloc((n + 1u) * sizeof(*keys));

	k->authz_order = malloc((n + 1u) * sizeof(*k->authz_order));
	k->authz_placed = malloc((n + 1u) * sizeof(*k->authz_placed));
	k->authz_objs = calloc(n + 1u, sizeof(*k->authz_objs));
	if (!keys || !k->authz_order || !k->authz_placed || !k->authz_objs) {
		free(keys);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		k->authz_order[i] = i;
	if (n)
		qsort_r(k->authz_order, n, sizeof(*k->authz_order), by_name, k->c->authz);
	for (uint32_t i = 0; i < n; i++)
		keys[i] = k->c->authz[k->authz_order[i]].name;
	int err =
		sl_compile_assign(k, "sets of rules", &m->authz, &m->seq, keys, n, k->authz_placed);
	free(keys);
	return err ? err : assign_rules(k, m);
}

struct sl_placed
sl_compile_authz_placed(const struct sl_compiling *k, const char *name)
{
	uint32_t lo = 0, hi = k->c->authz_cnt;

	while (hi - lo > 1) { /* check_policy.c saw to it that there is one */
		uint32_t mid = lo + (hi - lo) / 2;
		if (strcmp(k->c->authz[k->authz_order[mid]].name, name) <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return k->authz_placed[lo];
}

/* ---- alternatives ---- */

/* Conditions are those of the rule, not copies. */
static int
alternative(const struct sl_conf_rule *r, uint32_t which, struct sl_conf_hroute *to)
{
	to->conds = malloc((SL_CONF_RULE_LISTS + r->all_cnt + 1u) * sizeof(*to->conds));
	if (!to->conds)
		return -ENOMEM;
	for (unsigned i = 0; i < SL_CONF_RULE_LISTS; i++) {
		if (!r->any[i].cnt)
			continue;
		to->conds[to->cond_cnt++] = r->any[i].conds[which % r->any[i].cnt];
		which /= r->any[i].cnt;
	}
	if (r->all_cnt)
		memcpy(to->conds + to->cond_cnt, r->all, r->all_cnt * sizeof(*r->all));
	to->cond_cnt += r->all_cnt;
	to->action = r->action;
	to->line = r->line;
	memcpy(to->name, r->name, SL_NAME_MAX);
	return 0;
}

static int
of_action(const struct sl_conf_authz *a, uint8_t action, struct sl_conf_vhost *v)
{
	int err = 0;

	for (uint32_t i = 0; i < a->rule_cnt && !err; i++) {
		const struct sl_conf_rule *r = &a->rules[i];
		for (uint32_t n = 0; r->action == action && n < r->alternatives && !err; n++) {
			struct sl_conf_hroute *to = &v->routes[v->route_cnt++];
			err = alternative(r, n, to);
			to->code = action == SL_AUTHZ_DENY && !a->audit_only ? 403 : 0;
		}
	}
	return err;
}

int
sl_compile_alternatives(const struct sl_conf_authz *a, struct sl_conf_vhost *ret)
{
	size_t cnt = 1;

	*ret = (struct sl_conf_vhost){.line = a->line};
	memcpy(ret->name, a->name, SL_NAME_MAX);
	for (uint32_t i = 0; i < a->rule_cnt; i++)
		cnt += a->rules[i].alternatives;
	ret->routes = calloc(cnt, sizeof(*ret->routes));
	if (!ret->routes)
		return -ENOMEM;
	int err = of_action(a, SL_AUTHZ_DENY, ret);
	if (!err)
		err = of_action(a, SL_AUTHZ_ALLOW, ret);
	if (sl_conf_authz_denies_rest(a)) {
		struct sl_conf_hroute *rest = &ret->routes[ret->route_cnt++];
		rest->action = SL_AUTHZ_DENY;
		rest->code = a->audit_only ? 0 : 403;
		strcpy(rest->name, SL_AUTHZ_DEFAULT);
	}
	return err ? err : of_action(a, SL_AUTHZ_AUDIT, ret);
}

void
sl_compile_alternatives_fini(struct sl_conf_vhost *v)
{
	for (uint32_t i = 0; i < v->route_cnt; i++)
		free(v->routes[i].conds);
	free(v->routes);
}

/* ---- objects ---- */

static int
by_slot(const void *a, const void *b, void *arg)
{
	const struct sl_placed *p = arg;
	uint32_t x = p[*(const uint32_t *)a].slot, y = p[*(const uint32_t *)b].slot;

	return (x > y) - (x < y);
}

int
sl_compile_authz(struct sl_compiling *k)
{
	struct sl_compiled *out = k->out;
	uint32_t n = k->c->authz_cnt;
	uint32_t *order = malloc((n + 1u) * sizeof(*order));
	struct sl_compiled_object *objs = realloc(out->objs, (out->cnt + n + 1u) * sizeof(*objs));

	if (objs)
		out->objs = objs;
	struct sl_placed *placed = realloc(k->ref_placed, (out->cnt + n + 1u) * sizeof(*placed));
	if (placed)
		k->ref_placed = placed;
	if (!order || !objs || !placed) {
		free(order);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	if (n)
		qsort_r(order, n, sizeof(*order), by_slot, k->authz_placed);
	for (uint32_t i = 0; i < n; i++) {
		objs[out->cnt] = k->authz_objs[order[i]];
		k->authz_objs[order[i]].bytes = NULL; /* went over */
		placed[out->cnt++] = k->authz_placed[order[i]];
	}
	free(order);
	return 0;
}
