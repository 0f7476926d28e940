/* Sets of rules of the active table with what is counted of them, in the order of the file: a row of the set, then its rules'. */
#include "mgmt/show.h"

#include <stdio.h>

static const char *const action_name[] = {
	[SL_AUTHZ_DENY] = "deny", [SL_AUTHZ_ALLOW] = "allow", [SL_AUTHZ_AUDIT] = "audit"};

/* s: NULL: there is no counter of its own. */
static void
add_row(json_t *list, const char *set, const char *rule, const char *action,
	const struct sl_stats_authz *s, json_t *used)
{
	json_t *o = json_pack("{s:s, s:s?, s:s}", "set", set, "rule", rule, "action", action);
	const uint64_t n[] = {s ? s->allowed : 0, s ? s->denied : 0, s ? s->audited : 0};
	static const char *const key[] = {"allowed", "denied", "audited"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(n); i++)
		json_object_set_new(o, key[i],
				    s ? json_integer((json_int_t)(n[i] & INT64_MAX)) : json_null());
	json_object_set_new(o, "used", used ? used : json_null());
	json_array_append_new(list, o);
}

/* ---- where a set is named ---- */

static void
add_place(json_t *list, const char *kind, const char *const *names, unsigned cnt)
{
	char text[3 * SL_NAME_MAX + 16];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s ", kind);

	for (unsigned i = 0; i < cnt; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "/" : "", names[i]);
	json_array_append_new(list, json_string(text));
}

static bool
names_set(const struct sl_conf_policy *p, const char *set)
{
	for (uint32_t i = 0; i < p->authz_cnt; i++)
		if (strcmp(p->authz[i].name, set) == 0)
			return true;
	return false;
}

static void
add_hosts(json_t *list, const struct sl_conf_table *t, const char *set)
{
	for (uint32_t i = 0; i < t->vhost_cnt; i++) {
		const struct sl_conf_vhost *v = &t->vhosts[i];
		const char *names[] = {t->name, v->name, NULL};
		if (names_set(&v->policy, set))
			add_place(list, "host", names, 2);
		for (uint32_t j = 0; j < v->route_cnt; j++) {
			names[2] = v->routes[j].name;
			if (names_set(&v->routes[j].policy, set))
				add_place(list, "route", names, 3);
		}
	}
}

static json_t *
places(const struct sl_conf *c, const char *set)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->listener_cnt; i++)
		if (strcmp(c->listeners[i].authz, set) == 0)
			add_place(list, "listener", (const char *[]){c->listeners[i].name}, 1);
	for (uint32_t i = 0; i < c->table_cnt; i++) {
		const struct sl_conf_table *t = &c->tables[i];
		if (names_set(&t->policy, set))
			add_place(list, "table", (const char *[]){t->name}, 1);
		add_hosts(list, t, set);
	}
	return list;
}

/* ---- rows ---- */

static void
add_rule(struct sl_daemon *d, const struct sl_table *t, json_t *list, const char *set,
	 const char *rule, const char *action)
{
	struct sl_stats_authz s;
	struct sl_placed at;
	bool has = sl_slot_find_rule(&t->map, set, rule, &at) == 0;

	if (has)
		s = sl_counters_rule(d->counters, at);
	add_row(list, set, rule, action, has ? &s : NULL, NULL);
}

static void
add_set(struct sl_daemon *d, const struct sl_table *t, json_t *list, const struct sl_conf_authz *a)
{
	struct sl_placed at;

	if (sl_slot_find_authz(&t->map, a->name, &at))
		return;
	struct sl_stats_authz s = sl_counters_authz(d->counters, at);
	bool denies = sl_conf_authz_denies_rest(a);
	add_row(list, a->name, NULL, a->audit_only ? "audit only" : "", &s,
		places(t->conf, a->name));
	for (uint32_t i = 0; i < a->rule_cnt; i++)
		add_rule(d, t, list, a->name, a->rules[i].name, action_name[a->rules[i].action]);
	if (denies)
		add_rule(d, t, list, a->name, SL_AUTHZ_DEFAULT, "deny");
}

json_t *
sl_show_authz(struct sl_daemon *d, const char *set)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	json_t *list = json_array();
	bool found = !set;

	for (uint32_t i = 0; t && i < t->conf->authz_cnt; i++) {
		const struct sl_conf_authz *a = &t->conf->authz[i];
		if (set && strcmp(a->name, set) != 0)
			continue;
		add_set(d, t, list, a);
		found = true;
	}
	if (found)
		return list;
	json_decref(list);
	return NULL;
}
