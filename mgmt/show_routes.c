/* Virtual hosts and routes of the active table with what is counted of them, in the order of the file. */
#include "mgmt/show.h"

#include "mgmt/traffic.h"

#include <stdio.h>

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)(v & INT64_MAX));
}

/* Of µs, for cnt requests; null: there were none. */
static json_t *
mean(uint64_t sum, uint64_t cnt)
{
	return cnt ? number(sum / cnt) : json_null();
}

const char *
sl_show_action(const struct sl_conf_hroute *r)
{
	switch ((enum sl_action)r->action) {
	case SL_ACTION_FORWARD:
		return r->target_cnt == 1 ? "service" : "split";
	case SL_ACTION_REDIRECT:
		return "redirect";
	case SL_ACTION_RESPOND:
		return "respond";
	}
	return "none";
}

static json_t *
targets(const struct sl_conf_hroute *r)
{
	json_t *list = json_array();

	for (uint32_t i = 0; r->action == SL_ACTION_FORWARD && i < r->target_cnt; i++)
		json_array_append_new(list, json_string(r->targets[i].service));
	return list;
}

/* "web", and of a subset "web/v2". */
static json_t *
destinations(const struct sl_conf_hroute *r)
{
	json_t *list = json_array();
	char text[2 * SL_NAME_MAX];

	for (uint32_t i = 0; r->action == SL_ACTION_FORWARD && i < r->target_cnt; i++) {
		const struct sl_conf_target *t = &r->targets[i];
		snprintf(text, sizeof(text), "%s%s%s", t->service, t->subset[0] ? "/" : "",
			 t->subset);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static void
add_counters(json_t *o, const struct sl_stats_route *s)
{
	static const char *const class[] = {"1xx", "2xx", "3xx", "4xx", "5xx"};
	json_t *last = json_array();
	uint64_t ended = 0, answered = 0;

	for (unsigned i = 0; i < SL_ROUTE_BUCKETS; i++) {
		ended += s->last[i];
		json_array_append_new(last, number(s->last[i]));
	}
	json_object_set_new(o, "requests", number(s->requests));
	for (unsigned i = 0; i < SL_ARRAY_CNT(class); i++) {
		answered += s->answers[i];
		json_object_set_new(o, class[i], number(s->answers[i]));
	}
	json_object_set_new(o, "retries", number(s->retries));
	json_object_set_new(o, "local", number(s->local));
	json_object_set_new(o, "bytes_in", number(s->bytes_in));
	json_object_set_new(o, "bytes_out", number(s->bytes_out));
	json_object_set_new(o, "first_us", mean(s->first_us_sum, answered));
	json_object_set_new(o, "last_us", mean(s->last_us_sum, ended));
	json_object_set_new(o, "last", last);
}

/* By word, what holds for the route: {"fault": "5 % wait 200 ms"}; *ret_words: ["fault"]. */
static json_t *
traffic(const struct sl_conf_table *t, const struct sl_conf_vhost *v,
	const struct sl_conf_hroute *r, json_t **ret_words)
{
	struct sl_traffic said;
	json_t *o = json_object();

	sl_traffic_of(t, v, r, &said);
	const char *const rows[][2] = {{"cors", said.cors},
				       {"fault", said.fault},
				       {"hedge", said.hedge},
				       {"sticky", said.sticky}};
	*ret_words = json_array();
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		if (!*rows[i][1])
			continue;
		json_object_set_new(o, rows[i][0], json_string(rows[i][1]));
		json_array_append_new(*ret_words, json_string(rows[i][0]));
	}
	return o;
}

static json_t *
route_row(struct sl_daemon *d, const struct sl_table *t, const struct sl_conf_table *ct,
	  const struct sl_conf_vhost *v, const struct sl_conf_hroute *r)
{
	struct sl_placed at;

	if (sl_slot_find_hroute(&t->map, ct, v, r, &at))
		return NULL;
	struct sl_stats_route s = sl_counters_route(d->counters, at);
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:i, s:i}", "table", ct->name, "host",
			      v->name, "route", r->name, "action", sl_show_action(r), "services",
			      targets(r), "to", destinations(r), "slot", (int)at.slot,
			      "incarnation", (int)at.incarnation);
	json_t *words = NULL;
	json_object_set_new(o, "traffic", traffic(ct, v, r, &words));
	json_object_set_new(o, "policy", words);
	add_counters(o, &s);
	return o;
}

static bool
wanted(const char *filter, const char *name)
{
	return !filter || strcmp(filter, name) == 0;
}

json_t *
sl_show_routes(struct sl_daemon *d, const char *table, const char *host, const char *route)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	json_t *list = json_array();

	for (uint32_t i = 0; t && i < t->conf->table_cnt; i++) {
		const struct sl_conf_table *ct = &t->conf->tables[i];
		for (uint32_t k = 0; wanted(table, ct->name) && k < ct->vhost_cnt; k++) {
			const struct sl_conf_vhost *v = &ct->vhosts[k];
			for (uint32_t n = 0; wanted(host, v->name) && n < v->route_cnt; n++) {
				json_t *o = wanted(route, v->routes[n].name)
						    ? route_row(d, t, ct, v, &v->routes[n])
						    : NULL;
				if (o)
					json_array_append_new(list, o);
			}
		}
	}
	return list;
}

/* "shop.example", "*.example", "shop.*", "*" */
static json_t *
pattern(const struct sl_conf_hostname *h)
{
	char text[sizeof(h->name) + 2];

	snprintf(text, sizeof(text), "%s%s%s",
		 h->kind == SL_HOST_SUFFIX || h->kind == SL_HOST_ANY ? "*" : "", h->name,
		 h->kind == SL_HOST_PREFIX ? "*" : "");
	return json_string(text);
}

static json_t *
host_row(struct sl_daemon *d, const struct sl_table *t, const struct sl_conf_table *ct,
	 const struct sl_conf_vhost *v)
{
	struct sl_placed at;
	json_t *names = json_array();

	if (sl_slot_find_vhost(&t->map, ct, v, &at)) {
		json_decref(names);
		return NULL;
	}
	for (uint32_t i = 0; i < v->name_cnt; i++)
		json_array_append_new(names, pattern(&v->names[i]));
	struct sl_stats_vhost s = sl_counters_vhost(d->counters, at);
	return json_pack("{s:s, s:s, s:o, s:I, s:i, s:i, s:o, s:o}", "table", ct->name, "host",
			 v->name, "match", names, "routes", (json_int_t)v->route_cnt, "slot",
			 (int)at.slot, "incarnation", (int)at.incarnation, "requests",
			 number(s.requests), "no_route", number(s.no_route));
}

json_t *
sl_show_hosts(struct sl_daemon *d, const char *table, const char *host)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	json_t *list = json_array();

	for (uint32_t i = 0; t && i < t->conf->table_cnt; i++) {
		const struct sl_conf_table *ct = &t->conf->tables[i];
		for (uint32_t k = 0; wanted(table, ct->name) && k < ct->vhost_cnt; k++) {
			json_t *o = wanted(host, ct->vhosts[k].name)
					    ? host_row(d, t, ct, &ct->vhosts[k])
					    : NULL;
			if (o)
				json_array_append_new(list, o);
		}
	}
	return list;
}

const char *
sl_show_no_such(struct sl_daemon *d, const char *table, const char *host, const char *route)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	bool found[3] = {!table, !host, !route};

	for (uint32_t i = 0; t && i < t->conf->table_cnt; i++) {
		const struct sl_conf_table *ct = &t->conf->tables[i];
		found[0] |= wanted(table, ct->name);
		for (uint32_t k = 0; wanted(table, ct->name) && k < ct->vhost_cnt; k++) {
			const struct sl_conf_vhost *v = &ct->vhosts[k];
			found[1] |= wanted(host, v->name);
			for (uint32_t n = 0; wanted(host, v->name) && n < v->route_cnt; n++)
				found[2] |= wanted(route, v->routes[n].name);
		}
	}
	return !found[0] ? "route table" : !found[1] ? "host" : !found[2] ? "route" : NULL;
}
