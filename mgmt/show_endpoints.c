/* Endpoints of the active table, who knows them, and what has been said of each: by operators (operstate), probes, sources, the
 * dataplane; and their counters. */
#include "mgmt/show.h"

#include <stdlib.h>

#define NUM(v) ((json_int_t)((v)&INT64_MAX))

/* Seconds since a time on the wall clock, which may have been set back meanwhile. */
static json_t *
age_of(int64_t wall_ms)
{
	int64_t age = sl_daemon_wall_ms() - wall_ms;

	return json_integer(age > 0 ? age / 1000 : 0);
}

/* Who says what of it, and why. */
static void
put_account(json_t *o, const struct sl_oper_account *a)
{
	json_object_set_new(o, "state", json_string(a->state));
	json_object_set_new(o, "administrative", json_string(a->admin));
	json_object_set_new(o, "health", json_string(a->probe));
	json_object_set_new(o, "passive", json_string(a->passive));
	json_object_set_new(o, "why_by", json_string(a->by));
	json_object_set_new(o, "who", json_string(a->who));
	json_t *why = json_string(a->why);
	json_object_set_new(o, "why", why ? why : json_string(""));
	json_object_set_new(o, "since", sl_show_time(a->since_ms));
}

/* Where it comes from; c: the endpoint of the active table, or NULL. */
static void
put_origin(struct sl_daemon *d, json_t *o, const struct sl_oper_endpoint *e,
	   const struct sl_conf_endpoint *c)
{
	struct sl_roster_status st;
	bool found = c && c->from && sl_roster_find(d->roster, e->service, c->from, &st) == 0;

	json_object_set_new(o, "source",
			    json_string(found          ? st.source
					: c && c->from ? "?"
						       : "table"));
	json_object_set_new(o, "source_name", json_string(found ? st.name : ""));
	json_object_set_new(o, "answered", found ? sl_show_time(st.good_ms) : json_null());
	json_object_set_new(o, "age_s", found && st.good_ms ? age_of(st.good_ms) : json_null());
	json_object_set_new(o, "kept", json_boolean(found && st.kept));
	json_object_set_new(o, "priority", json_integer(c ? c->priority : 0));
	json_object_set_new(o, "locality", json_string(c ? c->locality : ""));
	json_object_set_new(o, "metadata", json_string(c ? c->meta : ""));
}

static json_t *
endpoint_row(struct sl_daemon *d, const struct sl_oper_endpoint *e,
	     const struct sl_conf_endpoint *c)
{
	struct sl_stats_endpoint s = sl_counters_endpoint(d->counters, e->at);
	unsigned fraction = sl_state_fraction(sl_oper_word(d->oper, e));
	bool ejected = sl_oper_passive(d->oper, e) & SL_ST_EJECTED;
	char addr[SL_ADDR_STRLEN];
	struct sl_oper_account account;
	struct sl_probe_status st;
	const char *text = e->health_text;
	json_t *o = json_object();

	sl_oper_account(d->oper, e, &account);
	if (sl_prober_find(d->prober, e->at.slot, e->at.incarnation, &st) == 0 && st.last_text[0])
		text = st.last_text;
	if (!account.by[0] && *text)
		account.by = "probe"; /* no result yet, but something to say */
	if (strcmp(account.by, "probe") == 0)
		snprintf(account.why, sizeof(account.why), "%s", text);
	json_t *t = json_string(text);
	json_object_set_new(o, "service", json_string(e->service));
	json_object_set_new(o, "name", json_string(e->name));
	json_object_set_new(o, "address", json_string(sl_addr_format(&e->addr, addr)));
	json_object_set_new(o, "port", json_integer(e->port));
	json_object_set_new(o, "weight", json_integer(e->weight));
	json_object_set_new(o, "slot", json_integer(e->at.slot));
	json_object_set_new(o, "incarnation", json_integer(e->at.incarnation));
	put_origin(d, o, e, c);
	put_account(o, &account);
	json_object_set_new(o, "health_text", t ? t : json_string(""));
	json_object_set_new(o, "health_since", sl_show_time(e->health_wall_ms));
	json_object_set_new(o, "maintenance", json_boolean(e->maintenance));
	json_object_set_new(o, "drain", json_boolean(e->drain));
	json_object_set_new(o, "disabled", json_boolean(e->disabled));
	json_object_set_new(o, "percent", json_integer(e->percent));
	json_object_set_new(o, "fraction", json_integer(fraction));
	json_object_set_new(o, "ramping", json_boolean(e->ramp_from_ms != UINT64_MAX));
	json_object_set_new(o, "admits", json_boolean(sl_oper_admits(d->oper, e) && !ejected));
	json_object_set_new(o, "ejected", json_boolean(ejected));
	json_object_set_new(o, "ejections", json_integer(NUM(s.ejections)));
	json_object_set_new(o, "packets", json_integer(NUM(s.packets)));
	json_object_set_new(o, "bytes", json_integer(NUM(s.bytes)));
	json_object_set_new(o, "reply_packets", json_integer(NUM(s.reply_packets)));
	json_object_set_new(o, "reply_bytes", json_integer(NUM(s.reply_bytes)));
	json_object_set_new(o, "new_flows", json_integer(NUM(s.new_flows)));
	json_object_set_new(o, "ended_flows", json_integer(NUM(s.ended_flows)));
	json_object_set_new(o, "flows", json_integer(NUM(s.active)));
	json_object_set_new(o, "connect_failed", json_integer(NUM(s.connect_failed)));
	return o;
}

/* ---- endpoints of the active table, by service and name ---- */

struct placed {
	uint32_t service;
	const struct sl_conf_endpoint *endpoint;
};

static int
placed_order(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;

	if (x->service != y->service)
		return x->service < y->service ? -1 : 1;
	return strcmp(x->endpoint->name, y->endpoint->name);
}

/* All of them, sorted; NULL: no memory. */
static struct placed *
index_endpoints(const struct sl_conf *c, size_t *ret_cnt)
{
	size_t cnt = 0, n = 0;

	for (uint32_t i = 0; i < c->service_cnt; i++)
		cnt += c->services[i].endpoint_cnt;
	struct placed *list = calloc(cnt + 1, sizeof(*list));
	for (uint32_t i = 0; list && i < c->service_cnt; i++)
		for (uint32_t k = 0; k < c->services[i].endpoint_cnt; k++)
			list[n++] = (struct placed){i, &c->services[i].endpoints[k]};
	if (list)
		qsort(list, n, sizeof(*list), placed_order);
	*ret_cnt = n;
	return list;
}

static const struct sl_conf_endpoint *
look_up(const struct placed *list, size_t cnt, const struct sl_oper_endpoint *e)
{
	size_t lo = 0, hi = cnt;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		const struct placed *p = &list[mid];
		int order = p->service != e->service_idx ? (p->service < e->service_idx ? -1 : 1)
							 : strcmp(p->endpoint->name, e->name);
		if (order == 0)
			return p->endpoint;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

json_t *
sl_show_endpoint(struct sl_daemon *d, const struct sl_oper_endpoint *e)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	const struct sl_conf *c = t ? t->conf : NULL;
	const struct sl_conf_service *s =
		c && e->service_idx < c->service_cnt ? &c->services[e->service_idx] : NULL;

	for (uint32_t k = 0; s && k < s->endpoint_cnt; k++)
		if (strcmp(s->endpoints[k].name, e->name) == 0)
			return endpoint_row(d, e, &s->endpoints[k]);
	return endpoint_row(d, e, NULL);
}

json_t *
sl_show_endpoints(struct sl_daemon *d, const char *service)
{
	uint32_t cnt;
	size_t placed_cnt = 0;
	const struct sl_table *t = sl_tables_active(d->tables);
	const struct sl_oper_endpoint *e = sl_oper_endpoints(d->oper, &cnt);
	struct placed *placed = t ? index_endpoints(t->conf, &placed_cnt) : NULL;
	json_t *list = json_array();

	for (uint32_t i = 0; i < cnt; i++)
		if (!service || strcmp(e[i].service, service) == 0)
			json_array_append_new(
				list,
				endpoint_row(d, &e[i],
					     look_up(placed, placed ? placed_cnt : 0, &e[i])));
	free(placed);
	return list;
}

/* ---- questions to sources ---- */

struct source_rows {
	json_t *list;
	const char *service;
};

static int
add_source(void *ctx, const struct sl_roster_status *s)
{
	struct source_rows *rows = ctx;

	if (rows->service && strcmp(rows->service, s->service))
		return 0;
	json_t *o =
		json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:b}", "service", s->service,
			  "source", s->source, "name", s->name, "endpoints",
			  (json_int_t)s->endpoints, "left_out", (json_int_t)s->left_out, "answers",
			  NUM(s->answers), "troubles", NUM(s->troubles), "kept", s->kept);
	if (!o)
		return 0;
	json_t *why = json_string(s->why);
	json_object_set_new(o, "why", why ? why : json_string(""));
	json_object_set_new(o, "answered", sl_show_time(s->good_ms));
	json_object_set_new(o, "age_s", s->good_ms ? age_of(s->good_ms) : json_null());
	json_object_set_new(o, "trouble_since", sl_show_time(s->trouble_ms));
	json_object_set_new(o, "state",
			    json_string(s->trouble_ms ? "trouble"
					: !s->good_ms ? "asking"
					: s->kept     ? "kept"
						      : "good"));
	json_array_append_new(rows->list, o);
	return 0;
}

json_t *
sl_show_sources(struct sl_daemon *d, const char *service)
{
	struct source_rows rows = {json_array(), service};

	sl_roster_show(d->roster, add_source, &rows);
	return rows.list;
}

/* ---- issuers of tokens ---- */

static json_t *
keys_of(const struct sl_jwks_set *set)
{
	static const char *const algs[] = {"", "RS256", "ES256", "EdDSA"};
	json_t *list = json_array();

	for (uint32_t i = 0; set && i < set->cnt; i++)
		json_array_append_new(list, json_pack("{s:s, s:s}", "kid", set->key[i].kid, "alg",
						      algs[set->key[i].alg]));
	return list;
}

json_t *
sl_show_jwt(struct sl_daemon *d)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	json_t *list = json_array();

	for (uint32_t i = 0; t && i < t->conf->jwt_cnt; i++) {
		const struct sl_conf_jwt *j = &t->conf->jwts[i];
		struct sl_jwks_status s = {.why = ""};
		sl_jwks_find(d->jwks, j, &s);
		json_t *o = json_pack("{s:s, s:s, s:s, s:i, s:I, s:I, s:i, s:s}", "name", j->name,
				      "issuer", j->issuer ? j->issuer : "", "jwks", j->jwks, "keys",
				      (int)j->key_cnt, "reads", NUM(s.reads), "troubles",
				      NUM(s.troubles), "left_out", s.set ? (int)s.set->left_out : 0,
				      "why", s.why);
		if (!o)
			continue;
		json_object_set_new(o, "kids", keys_of(s.set));
		json_object_set_new(o, "read", sl_show_time(s.good_ms));
		json_object_set_new(o, "age_s", s.good_ms ? age_of(s.good_ms) : json_null());
		json_object_set_new(o, "trouble_since", sl_show_time(s.trouble_ms));
		json_object_set_new(o, "state",
				    json_string(!s.set && s.trouble_ms ? "trouble"
						: !s.set               ? "asking"
						: s.trouble_ms         ? "kept"
								       : "good"));
		json_array_append_new(list, o);
	}
	return list;
}
