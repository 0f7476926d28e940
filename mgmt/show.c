/* Rows of the active table, each with its state (operstate) and counters (counters). */
#include "mgmt/show.h"

#include "mgmt/secrets.h"

#include <stdio.h>
#include <unistd.h>

#define NUM(v) ((json_int_t)((v)&INT64_MAX))

json_t *
sl_show_time(int64_t wall_ms)
{
	char buf[SL_AUDIT_TIMELEN];
	return wall_ms ? json_string(sl_audit_time(wall_ms, buf)) : json_null();
}

/* ---- listeners, services ---- */

/* What a listener is, with room for its counters. */
static json_t *
listener_row(const struct sl_conf_listener *l)
{
	char prefix[SL_PREFIX_STRLEN], ports[SL_PORTS_STRLEN];

	return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:s, s:s, s:s}", "name", l->name,
			 "address", sl_prefix_format(&l->addr, l->plen, prefix), "port", l->port,
			 "port_last", l->port_last, "ports",
			 sl_ports_format(l->port, l->port_last, ports), "protocol",
			 l->proto == SL_IPPROTO_TCP ? "tcp" : "udp", "mode", sl_mode_name(l->mode),
			 "service", l->service, "routes", l->routes, "announce",
			 sl_announce_name(l->announce));
}

static json_t *
listener_counters(struct sl_daemon *d, struct sl_placed at)
{
	struct sl_stats_listener s = sl_counters_listener(d->counters, at);

	return json_pack("{s:I, s:I, s:I, s:I}", "packets", NUM(s.packets), "bytes", NUM(s.bytes),
			 "new_flows", NUM(s.new_flows), "refused", NUM(s.refused));
}

static void
merge(json_t *row, json_t *more)
{
	json_object_update(row, more);
	json_decref(more);
}

json_t *
sl_show_listeners(struct sl_daemon *d)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	json_t *list = json_array();

	for (uint32_t i = 0; t && i < t->conf->listener_cnt; i++) {
		const struct sl_conf_listener *l = &t->conf->listeners[i];
		struct sl_placed at = {0};
		if (sl_slot_find_listener(&t->map, l, &at))
			continue;
		json_t *row = listener_row(l);
		merge(row, json_pack("{s:o, s:o, s:I}", "tls", sl_show_listener_tls(l),
				     "server_names", sl_show_server_names(l),
				     "max_connections_per_client", NUM(l->client_max)));
		merge(row, json_pack("{s:i, s:i}", "slot", (int)at.slot, "incarnation",
				     (int)at.incarnation));
		merge(row, listener_counters(d, at));
		json_array_append_new(list, row);
	}
	return list;
}

struct tally {
	int endpoints, admitting, up, down, unknown, unprobed, draining, disabled;
};

static void
tally_add(struct sl_daemon *d, const struct sl_oper_endpoint *e, struct tally *t)
{
	t->endpoints++;
	t->admitting += sl_oper_admits(d->oper, e);
	t->up += e->health == SL_OPER_UP && !e->hint_down;
	t->down += e->health == SL_OPER_DOWN || e->hint_down;
	t->unknown += e->health == SL_OPER_UNKNOWN;
	t->unprobed += e->health == SL_OPER_UNPROBED;
	t->draining += e->drain || e->hint_drain || e->maintenance;
	t->disabled += e->disabled;
}

/* NULL where there is no limit either way. */
static json_t *
bandwidth_json(const struct sl_conf_bandwidth *b)
{
	static const char *const rate[SL_WAYS] = {"to_endpoints", "to_clients"};
	static const char *const burst[SL_WAYS] = {"burst_to_endpoints", "burst_to_clients"};
	json_t *o = NULL;

	for (unsigned way = 0; way < SL_WAYS; way++) {
		if (b->rate[way] == 0)
			continue;
		o = o ? o : json_object();
		json_object_set_new(o, rate[way], json_integer((json_int_t)b->rate[way]));
		json_object_set_new(o, burst[way], json_integer(sl_conf_burst(b, way)));
	}
	return o ? o : json_null();
}

/* What the service may have at a time, and has. */
static json_t *
breakers(const struct sl_conf_service *s, const struct sl_stats_service *c)
{
#define WORD(word) #word,
	static const char *const word[] = {SL_STATS_BREAKER_WORDS(WORD)};
#undef WORD
	const uint32_t max[] = {s->tcp.max_connections, s->http.max_pending, s->http.max_requests,
				s->http.max_retries};
	json_t *list = json_array();

	for (unsigned i = 0; i < SL_STATS_BREAKERS; i++) {
		uint64_t left = max[i] > c->under_way[i] ? max[i] - c->under_way[i] : 0;
		json_array_append_new(
			list,
			json_pack("{s:s, s:o, s:I, s:o, s:b, s:I}", "name", word[i], "max",
				  max[i] ? json_integer(max[i]) : json_null(), "under_way",
				  NUM(c->under_way[i]), "remaining",
				  max[i] ? json_integer((json_int_t)left) : json_null(), "open",
				  max[i] && left == 0, "limited", NUM(c->reached[i])));
	}
	return json_pack("{s:o, s:{s:i, s:I, s:I}}", "breakers", list, "adaptive", "min",
			 (int)s->http.adaptive_min, "limit", NUM(c->adaptive_limit), "refused",
			 NUM(c->adaptive_refused));
}

/* How often endpoints were ejected, by reason, and how often that was one too many. */
static json_t *
ejections(const struct sl_stats_service *c)
{
#define WORD(word, text) #word,
	static const char *const word[] = {SL_STATS_EJECTION_WORDS(WORD)};
#undef WORD
	json_t *o = json_object();

	for (unsigned i = 0; i < SL_STATS_EJECTIONS; i++)
		json_object_set_new(o, word[i], json_integer(NUM(c->ejections[i])));
	return json_pack("{s:o}", "ejections", o);
}

static json_t *
service_json(struct sl_daemon *d, const struct sl_table *t, const struct sl_conf_service *s,
	     const struct tally *n)
{
	static const char *const health[] = {"none", "tcp", "http"};
	struct sl_placed at = {0};

	if (sl_slot_find_service(&t->map, s, &at))
		return NULL;
	struct sl_stats_service c = sl_counters_service(d->counters, at);
	json_t *row = json_pack(
		"{s:s, s:s, s:s, s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, "
		"s:I, s:I, s:I, s:I, s:o}",
		"name", s->name, "forward", sl_forward_name(s->forward), "policy",
		sl_policy_name(s->policy), "health", health[s->health.type], "tls",
		sl_show_service_tls(s), "max_endpoints", (int)s->max_endpoints, "slow_start_ms",
		(int)s->slow_start_ms, "slot", (int)at.slot, "incarnation", (int)at.incarnation,
		"endpoints", n->endpoints, "admitting", n->admitting, "up", n->up, "down", n->down,
		"draining", n->draining, "disabled", n->disabled, "new_flows", NUM(c.new_flows),
		"no_endpoint", NUM(c.no_endpoint), "ports_used", NUM(c.ports_used), "ports_refused",
		NUM(c.ports_out), "bandwidth", bandwidth_json(&s->bandwidth));
	merge(row, sl_show_members(d, t->conf, s));
	if (s->forward == SL_FORWARD_PROXY) {
		merge(row, breakers(s, &c));
		merge(row, ejections(&c));
	}
	return row;
}

json_t *
sl_show_services(struct sl_daemon *d)
{
	static struct tally tally[SL_MAX_SERVICES]; /* by place in the file */
	const struct sl_table *t = sl_tables_active(d->tables);
	json_t *list = json_array();
	uint32_t cnt;
	const struct sl_oper_endpoint *e = sl_oper_endpoints(d->oper, &cnt);

	memset(tally, 0, sizeof(tally));
	for (uint32_t i = 0; i < cnt; i++)
		if (e[i].service_idx < SL_MAX_SERVICES)
			tally_add(d, &e[i], &tally[e[i].service_idx]);
	for (uint32_t i = 0; t && i < t->conf->service_cnt && i < SL_MAX_SERVICES; i++) {
		json_t *o = service_json(d, t, &t->conf->services[i], &tally[i]);
		if (o)
			json_array_append_new(list, o);
	}
	return list;
}

/* ---- generations ---- */

static json_t *
generation_json(const struct sl_generation_meta *m, bool in_force, const struct sl_confirm_wait *w)
{
	enum sl_generation_state state = m->state;
	bool known = state != SL_GENERATION_CORRUPT;

	if (state == SL_GENERATION_ACTIVE && !in_force)
		state = SL_GENERATION_SUPERSEDED;
	const char *text = m->text && m->text[0] ? m->text : NULL;
	json_t *left = w->generation == m->number ? json_real(w->left_ms / 1000.0) : json_null();
	return json_pack("{s:I, s:s, s:s?, s:s?, s:o, s:s?, s:o, s:I, s:I, s:s?, s:s?, s:o}",
			 "generation", NUM(m->number), "state", sl_generation_state_name(state),
			 "file", known ? m->file : NULL, "comment", known ? m->comment : NULL,
			 "uid", known ? json_integer(m->uid) : json_null(), "user",
			 known ? m->user : NULL, "written", sl_show_time(m->written_ms), "bytes",
			 NUM(m->bytes), "rollback_of", NUM(m->rollback_of), "root",
			 known && m->root[0] ? m->root : NULL, "text", text, "confirm_left_s",
			 left);
}

static json_t *
show_generations(struct sl_daemon *d)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	struct sl_generation_meta *list;
	json_t *out = json_array();
	const struct sl_confirm_wait w = sl_tables_waits(d->tables);
	unsigned cnt;

	if (sl_generations_list(sl_tables_dir(d->tables), &list, &cnt))
		return out;
	for (unsigned i = 0; i < cnt; i++)
		json_array_append_new(
			out, generation_json(&list[i], t && t->push->number == list[i].number, &w));
	sl_generations_list_free(list, cnt);
	return out;
}

/* ---- status ---- */

static void
add_note(void *ctx, const char *text)
{
	json_array_append_new(ctx, json_string(text));
}

static json_t *
status_daemon(struct sl_daemon *d)
{
	json_t *notes = json_array();
	char line[1800];

	for (unsigned i = 0; i < d->notes.cnt; i++) {
		sl_diag_format(&d->notes.items[i], line, sizeof(line));
		json_array_append_new(notes, json_string(line));
	}
	if (sl_announce_drained(d->announce))
		add_note(notes,
			 "the gateway is drained: no VIP is announced until sluicectl gateway "
			 "undrain");
	sl_secrets_notes(d->secrets, sl_daemon_wall_ms(), add_note, notes);
	return json_pack("{s:i, s:s, s:o, s:s, s:s, s:s, s:o}", "pid", (int)getpid(), "version",
			 SL_VERSION, "started", sl_show_time(d->started_ms), "state_dir",
			 d->conf->state_dir, "api_socket", d->conf->api_socket, "metrics",
			 d->conf->metrics, "notes", notes);
}

/* What the dataplane said when it came. */
static const char *
privileges_text(const struct sl_publish_link *l, char ret_text[96])
{
	uint32_t p = l ? l->privileges : 0;

	if (!l)
		return NULL;
	if (!(p & SL_CTL_PRIVILEGES_DROPPED))
		return "those it was started with (privileges = \"keep\")";
	snprintf(ret_text, 96, "%s, filter of system calls %s",
		 p & SL_CTL_PRIVILEGES_LOCK ? "none kept but to lock memory" : "none kept",
		 p & SL_CTL_PRIVILEGES_FILTER ? "on" : "off");
	return ret_text;
}

static json_t *
status_dataplane(struct sl_daemon *d)
{
	const struct sl_publish_link *l = sl_publish_link(d->publish);
	json_t *ports = json_array();
	char boot[20] = "", privileges[96];

	for (unsigned i = 0; l && i < l->port_cnt; i++)
		json_array_append_new(ports, json_string(l->port_name[i]));
	if (l)
		snprintf(boot, sizeof(boot), "%016llx", (unsigned long long)l->boot_id);
	return json_pack("{s:b, s:s, s:I, s:s?, s:I, s:o, s:s?, s:o, s:s?}", "connected", l != NULL,
			 "socket", d->conf->dataplane_socket, "pid", (json_int_t)(l ? l->pid : 0),
			 "boot_id", l ? boot : NULL, "workers", (json_int_t)(l ? l->worker_cnt : 0),
			 "ports", ports, "privileges", privileges_text(l, privileges), "since",
			 sl_show_time(d->link_since_ms), "error",
			 d->link_error[0] ? d->link_error : NULL);
}

static json_t *
status_generation(struct sl_daemon *d)
{
	const struct sl_table *active = sl_tables_active(d->tables);
	const struct sl_table *next = sl_tables_next(d->tables), *t = next ? next : active;

	const struct sl_confirm_wait w = sl_tables_waits(d->tables);
	json_t *waits = w.generation
				? json_pack("{s:I, s:I, s:I, s:f}", "generation", NUM(w.generation),
					    "back_to", NUM(w.back_to), "given_s",
					    (json_int_t)w.given_s, "left_s", w.left_ms / 1000.0)
				: json_null();

	return json_pack("{s:I, s:I, s:I, s:s?, s:s?, s:o, s:o, s:o}", "active",
			 NUM(active ? active->number : 0), "push",
			 NUM(active ? active->push->number : 0), "pending",
			 NUM(next && next->pending ? next->push->number : 0), "file",
			 t ? t->push->file : NULL, "comment", t ? t->push->comment : NULL, "uid",
			 t ? json_integer(t->push->uid) : json_null(), "committed",
			 sl_show_time(t ? t->push->written_ms : 0), "confirm", waits);
}

static json_t *
status_counts(struct sl_daemon *d)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	struct tally n = {0};
	uint32_t cnt;
	const struct sl_oper_endpoint *e = sl_oper_endpoints(d->oper, &cnt);

	for (uint32_t i = 0; i < cnt; i++)
		tally_add(d, &e[i], &n);
	return json_pack("{s:I, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "listeners",
			 (json_int_t)(t ? t->conf->listener_cnt : 0), "services",
			 (json_int_t)(t ? t->conf->service_cnt : 0), "endpoints", n.endpoints, "up",
			 n.up, "down", n.down, "unknown", n.unknown, "unprobed", n.unprobed,
			 "draining", n.draining, "disabled", n.disabled);
}

static json_t *
status_flows(struct sl_daemon *d)
{
	static const char *const how[] = {"empty", "taken", "copied"};
	const struct sl_publish_taken *t = &d->taken.what;
	uint64_t bytes = 0;
	int fd;
	bool held = sl_publish_flows(d->publish, &fd, &bytes), taken = d->taken.wall_ms != 0;

	return json_pack("{s:b, s:b, s:I, s:s?, s:I, s:I, s:I, s:s?, s:o, s:f}", "serving",
			 d->away_since == 0, "held", held, "bytes", (json_int_t)bytes, "outcome",
			 taken ? how[t->how] : NULL, "kept", NUM(t->kept), "expired",
			 NUM(t->expired), "lost", NUM(t->lost), "text", taken ? t->text : NULL,
			 "at", sl_show_time(d->taken.wall_ms), "away_ms", d->away_ms);
}

static json_t *
status(const struct sl_verb_run *r)
{
	json_t *a = sl_verb_ok(r);

	json_object_set_new(a, "role", json_string(sl_roles_name(r->peer->role)));
	json_object_set_new(a, "uid", json_integer(r->peer->uid));
	json_object_set_new(a, "daemon", status_daemon(r->d));
	json_object_set_new(a, "dataplane", status_dataplane(r->d));
	json_object_set_new(a, "generation", status_generation(r->d));
	json_object_set_new(a, "counts", status_counts(r->d));
	json_object_set_new(a, "flows", status_flows(r->d));
	return a;
}

/* ---- the verbs ---- */

static const struct sl_conf *
active_conf(struct sl_daemon *d)
{
	const struct sl_table *t = sl_tables_active(d->tables);

	return t ? t->conf : NULL;
}

static json_t *
rows_of(const struct sl_verb_run *r, const char *what)
{
	struct sl_daemon *d = r->d;

	if (strcmp(what, "listeners") == 0)
		return sl_show_listeners(d);
	if (strcmp(what, "services") == 0)
		return sl_show_services(d);
	if (strcmp(what, "endpoints") == 0)
		return sl_show_endpoints(d, sl_verb_text(r, "service"));
	if (strcmp(what, "sources") == 0)
		return sl_show_sources(d, sl_verb_text(r, "service"));
	if (strcmp(what, "jwt") == 0)
		return sl_show_jwt(d);
	if (strcmp(what, "workers") == 0)
		return sl_show_workers(d, false);
	if (strcmp(what, "drops") == 0)
		return sl_show_drops(d);
	if (strcmp(what, "tcp") == 0)
		return sl_show_tcp(d);
	if (strcmp(what, "http") == 0)
		return sl_show_http(d);
	if (strcmp(what, "tls") == 0)
		return sl_show_tls(d);
	if (strcmp(what, "routes") == 0)
		return sl_show_routes(d, sl_verb_text(r, "table"), sl_verb_text(r, "host"),
				      sl_verb_text(r, "route"));
	if (strcmp(what, "hosts") == 0)
		return sl_show_hosts(d, sl_verb_text(r, "table"), sl_verb_text(r, "host"));
	if (strcmp(what, "limits") == 0)
		return sl_show_limits(d);
	if (strcmp(what, "authorization") == 0)
		return sl_show_authz(d, sl_verb_text(r, "set"));
	if (strcmp(what, "announce") == 0)
		return sl_announce_show(d->announce, active_conf(d));
	if (strcmp(what, "generations") == 0)
		return show_generations(d);
	if (strcmp(what, "shadow") == 0) /* addresses of clients are not for everybody */
		return sl_trial_report(d->trial, r->peer->role >= SL_ROLE_OPERATOR);
	if (strcmp(what, "audit") == 0)
		return sl_audit_tail(d->audit, (unsigned)sl_verb_number(r, "limit", 50));
	return NULL;
}

static json_t *
misplaced(const struct sl_verb_run *r, const char *what)
{
	if (sl_verb_text(r, "service") && strcmp(what, "endpoints") && strcmp(what, "sources") &&
	    strcmp(what, "registry"))
		return sl_call_error(r->verb, "invalid", NULL,
				     "service: allowed with endpoints, sources and registry only");
	bool routes = strcmp(what, "routes") == 0, hosts = strcmp(what, "hosts") == 0;
	if ((sl_verb_text(r, "table") || sl_verb_text(r, "host")) && !routes && !hosts)
		return sl_call_error(r->verb, "invalid", NULL,
				     "table, host: allowed with routes and hosts only");
	if (sl_verb_text(r, "route") && !routes)
		return sl_call_error(r->verb, "invalid", NULL, "route: allowed with routes only");
	if ((json_object_get(r->body, "port") || json_object_get(r->body, "extended")) &&
	    strcmp(what, "ports"))
		return sl_call_error(r->verb, "invalid", NULL,
				     "port, extended: allowed with ports only");
	if (sl_verb_text(r, "set") && strcmp(what, "authorization"))
		return sl_call_error(r->verb, "invalid", NULL,
				     "set: allowed with authorization only");
	if (json_object_get(r->body, "limit") && strcmp(what, "audit"))
		return sl_call_error(r->verb, "invalid", NULL, "limit: allowed with audit only");
	return NULL;
}

static bool
service_known(struct sl_daemon *d, const char *name)
{
	const struct sl_table *t = sl_tables_active(d->tables);
	for (uint32_t i = 0; t && i < t->conf->service_cnt; i++)
		if (strcmp(t->conf->services[i].name, name) == 0)
			return true;
	return false;
}

void
sl_verb_show(const struct sl_verb_run *r)
{
	const char *what = sl_verb_text(r, "what"), *service = sl_verb_text(r, "service");
	json_t *error = what ? misplaced(r, what) : NULL, *rows = NULL;

	if (!error && (!what || strcmp(what, "status") == 0)) {
		sl_call_answer(r->call, status(r));
		return;
	}
	if (!error && strcmp(what, "store") == 0) {
		sl_verb_show_store(r);
		return;
	}
	if (!error && strcmp(what, "ports") == 0) {
		sl_verb_ports(r);
		return;
	}
	if (!error && what && strcmp(what, "registry") == 0) {
		sl_verb_registry(r);
		return;
	}
	if (!error && service && !service_known(r->d, service))
		error = sl_call_error(r->verb, "not_found", "see: show services",
				      "no service %s in the active table", service);
	const char *table = sl_verb_text(r, "table"), *host = sl_verb_text(r, "host");
	const char *route = sl_verb_text(r, "route");
	const char *none = error ? NULL : sl_show_no_such(r->d, table, host, route);
	if (none)
		error = sl_call_error(r->verb, "not_found", "see: show routes, show hosts",
				      "no such %s in the active table", none);
	rows = error ? NULL : rows_of(r, what);
	if (!error && !rows && sl_verb_text(r, "set"))
		error = sl_call_error(r->verb, "not_found", "see: show authorization",
				      "no set of rules %s in the active table",
				      sl_verb_text(r, "set"));
	if (!error && !rows)
		error = sl_call_error(
			r->verb, "invalid",
			"status, listeners, services, endpoints, sources, jwt, hosts, routes, "
			"limits, authorization, workers, ports, drops, tcp, http, tls, announce, "
			"store, "
			"registry, generations, audit, shadow",
			"what: \"%s\" cannot be shown", what);
	if (error) {
		sl_call_answer(r->call, error);
		return;
	}
	json_t *a = sl_verb_ok(r);
	json_object_set_new(a, what, rows);
	if (strcmp(what, "generations") == 0)
		json_object_set_new(a, "shadow", sl_trial_report(r->d->trial, false));
	if (strcmp(what, "generations") && strcmp(what, "audit"))
		json_object_set_new(a, "dataplane",
				    json_boolean(sl_publish_link(r->d->publish) != NULL));
	sl_call_answer(r->call, a);
}

/* ---- stats ---- */

/* Made row by row, not cut from what `show` says: who watches asks every second. */
static json_t *
stats_listeners(struct sl_daemon *d, const struct sl_table *t)
{
	json_t *list = json_array();
	struct sl_placed at;

	for (uint32_t i = 0; t && i < t->conf->listener_cnt; i++) {
		const struct sl_conf_listener *l = &t->conf->listeners[i];
		if (sl_slot_find_listener(&t->map, l, &at))
			continue;
		json_t *row = listener_row(l);
		merge(row, listener_counters(d, at));
		json_array_append_new(list, row);
	}
	return list;
}

static json_t *
stats_services(struct sl_daemon *d, const struct sl_table *t)
{
	json_t *list = json_array();
	struct sl_placed at;

	for (uint32_t i = 0; t && i < t->conf->service_cnt; i++) {
		const struct sl_conf_service *v = &t->conf->services[i];
		if (sl_slot_find_service(&t->map, v, &at))
			continue;
		struct sl_stats_service s = sl_counters_service(d->counters, at);
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I, s:I, s:I}", "name", v->name,
						"new_flows", NUM(s.new_flows), "no_endpoint",
						NUM(s.no_endpoint), "ports_used", NUM(s.ports_used),
						"ports_refused", NUM(s.ports_out)));
	}
	return list;
}

static json_t *
stats_endpoints(struct sl_daemon *d)
{
	uint32_t cnt;
	const struct sl_oper_endpoint *e = sl_oper_endpoints(d->oper, &cnt);
	json_t *list = json_array();

	for (uint32_t i = 0; i < cnt; i++) {
		struct sl_stats_endpoint s = sl_counters_endpoint(d->counters, e[i].at);
		json_array_append_new(
			list,
			json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
				  "service", e[i].service, "name", e[i].name, "state",
				  sl_oper_state(d->oper, &e[i]), "packets", NUM(s.packets), "bytes",
				  NUM(s.bytes), "reply_packets", NUM(s.reply_packets),
				  "reply_bytes", NUM(s.reply_bytes), "new_flows", NUM(s.new_flows),
				  "ended_flows", NUM(s.ended_flows), "flows", NUM(s.active),
				  "connect_failed", NUM(s.connect_failed)));
	}
	return list;
}

void
sl_verb_stats(const struct sl_verb_run *r)
{
	struct sl_daemon *d = r->d;
	const struct sl_publish_link *l = sl_publish_link(d->publish);
	const struct sl_table *t = sl_tables_active(d->tables);
	char boot[20];

	if (!l) {
		sl_call_answer(r->call, sl_call_error(r->verb, "unavailable", "see: status",
						      "the dataplane is not connected"));
		return;
	}
	snprintf(boot, sizeof(boot), "%016llx", (unsigned long long)l->boot_id);
	json_t *a = sl_verb_ok(r);
	json_object_set_new(a, "boot_id", json_string(boot));
	json_object_set_new(a, "generation", json_integer(NUM(sl_tables_running(d->tables))));
	json_object_set_new(a, "gateway", json_string(t ? t->conf->name : ""));
	json_object_set_new(a, "at_ns", json_integer(NUM(uv_hrtime())));
	json_object_set_new(a, "ticks_per_s", json_integer(NUM(sl_show_ticks_per_s(d))));
	json_object_set_new(a, "uptime_s", json_real(sl_show_uptime(d)));
	json_object_set_new(
		a, "pids",
		json_pack("{s:i, s:I}", "daemon", (int)getpid(), "dataplane", (json_int_t)l->pid));
	json_object_set_new(a, "total", sl_show_total(d));
	json_object_set_new(a, "workers", sl_show_workers(d, true));
	json_object_set_new(a, "ports", sl_show_ports(d));
	json_object_set_new(a, "drops", sl_show_drops(d));
	json_object_set_new(a, "tcp", sl_show_tcp(d));
	json_object_set_new(a, "http", sl_show_http(d));
	json_object_set_new(a, "tls", sl_show_tls(d));
	json_object_set_new(a, "listeners", stats_listeners(d, t));
	json_object_set_new(a, "services", stats_services(d, t));
	json_object_set_new(a, "endpoints", stats_endpoints(d));
	sl_call_answer(r->call, a);
}
