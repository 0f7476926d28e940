/* Order of creation: lock, audit, access log, states, tables (from disk), then what talks to the outside; destruction is the
 * reverse, with the loop run in between so that handles can close. */
#include "mgmt/daemon.h"
#include "mgmt/port_facts.h"

#include "mgmt/cert_use.h"
#include "mgmt/disk.h"
#include "mgmt/probing.h"
#include "mgmt/rate_share.h"
#include "mgmt/registry_http.h"
#include "mgmt/secrets.h"
#include "mgmt/store.h"
#include "mgmt/table.h"
#include "mgmt/verbs.h"
#include "mgmt/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define RAMP_MS 100
#define OPER_MAX (64u << 20)

void
sl_daemon_say(const char *fmt, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (char *p = line; *p; p++) /* what peers say must not make lines of its own */
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	fprintf(stderr, "%s\n", line);
}

int64_t
sl_daemon_wall_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- state directory ---- */

static int
lock_state(struct sl_daemon *d, struct sl_diag *diag)
{
	char path[1100], pid[32] = "";

	snprintf(path, sizeof(path), "%s/lock", d->conf->state_dir);
	d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (d->lock < 0) {
		int err = errno;
		sl_diag_add(diag, path, 0, "state_dir", NULL, "cannot open: %s", strerror(err));
		return -err;
	}
	if (flock(d->lock, LOCK_EX | LOCK_NB)) {
		ssize_t n = pread(d->lock, pid, sizeof(pid) - 1, 0);
		pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
		sl_diag_add(diag, d->conf->state_dir, 0, "state_dir",
			    "stop it first, or set another state_dir",
			    "another sluiced (pid %s) uses it", *pid ? pid : "unknown");
		return -EBUSY;
	}
	int n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(d->lock, 0) || pwrite(d->lock, pid, (size_t)n, 0) != n)
		return -errno;
	return 0;
}

static void
load_oper(struct sl_daemon *d)
{
	char path[1100], *text;
	size_t len;

	snprintf(path, sizeof(path), "%s/operstate.json", d->conf->state_dir);
	int err = sl_disk_read(path, OPER_MAX, &text, &len, &d->notes);
	if (err)
		return;
	struct sl_diag diag = {0};
	if (sl_oper_load(d->oper, text, len, &diag))
		sl_diag_add(&d->notes, path, 0, NULL, "set drains, disables and weights again",
			    "%s: no endpoint is drained, disabled or weighted",
			    diag.cnt ? diag.items[0].text : "out of memory");
	sl_diag_fini(&diag);
	free(text);
}

int
sl_daemon_save_oper(struct sl_daemon *d, struct sl_diag *diag)
{
	char path[1100], *text;
	size_t len;

	snprintf(path, sizeof(path), "%s/operstate.json", d->conf->state_dir);
	int err = sl_oper_save(d->oper, &text, &len);
	if (err)
		return err;
	err = sl_disk_write(path, text, len, diag);
	free(text);
	d->oper_unsaved = err != 0;
	return err;
}

/* ---- slow start ---- */

static void
on_ramp(uv_timer_t *t)
{
	struct sl_daemon *d = t->data;
	if (!sl_oper_tick(d->oper, uv_now(d->loop)))
		uv_timer_stop(t);
}

void
sl_daemon_ramp(struct sl_daemon *d)
{
	if (sl_oper_tick(d->oper, uv_now(d->loop)))
		uv_timer_start(d->ramp, on_ramp, RAMP_MS, RAMP_MS);
}

/* ---- tables and link ---- */

static void
on_offering(void *ctx, const struct sl_table *t)
{
	struct sl_daemon *d = ctx;

	sl_access_log_learn(d->access, t->number, &t->map);
}

/* Its questions are asked from now on. */
static void
ask_for(struct sl_daemon *d, const struct sl_table *t)
{
	struct sl_pushed *old = d->rostered;

	if (sl_roster_table(d->roster, t->push->conf)) {
		sl_daemon_say("discovery: out of memory: the questions of the table before go on");
		return;
	}
	sl_jwks_table(d->jwks, t->push->conf);
	d->rostered = sl_pushed_ref(t->push);
	sl_pushed_unref(old);
}

/* The first table of all waits for a dataplane with its endpoints known. */
static int
on_admit(void *ctx, const struct sl_table *t, struct sl_diag *diag)
{
	struct sl_daemon *d = ctx;
	const char *file = t->push->file;
	int err = sl_cert_admit(sl_secrets_certs(d->secrets), t->conf, file, false,
				sl_daemon_wall_ms() / 1000, diag);
	int err2 = sl_roster_admit(d->roster, t->push->conf, file, diag);

	int err3 = d->conf->store.limits ? 0 : sl_conf_check_shared(file, t->push->conf, diag);

	err = err ? err : err2 ? err2 : err3;
	if (!err && !sl_tables_active(d->tables))
		ask_for(d, t);
	return err;
}

static const char *
on_events(void *ctx, int fd, uint64_t bytes)
{
	struct sl_daemon *d = ctx;

	return sl_access_log_attach(d->access, fd, bytes, sl_publish_link(d->publish)->boot_id);
}

/* Whether endpoints of a service that somebody watches are other ones. */
static bool
probed_moved(const struct sl_conf *before, const struct sl_conf *c)
{
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		const struct sl_health_conf *h = &c->services[i].health;
		if ((h->type != SL_HEALTH_NONE || h->agent_port) && sl_conf_moved(before, c, i))
			return true;
	}
	return false;
}

static void
on_activated(void *ctx, const struct sl_conf *before)
{
	struct sl_daemon *d = ctx;
	const struct sl_table *t = sl_tables_active(d->tables);

	if (before) {
		sl_trial_revised(d->trial);
	} else { /* what a revision has new was learnt when it was offered */
		char why[64];
		snprintf(why, sizeof(why), "generation %llu became active",
			 (unsigned long long)t->number);
		sl_trial_end(d->trial, why);
		ask_for(d, t);
		sl_counters_prepare(d->counters, t->conf, &t->map);
		sl_access_log_learn(d->access, t->number, &t->map);
		sl_announce_table(d->announce, t->conf);
	}
	if (!before || probed_moved(before, t->conf))
		sl_probing_table(d->probing, t);
	sl_daemon_ramp(d);
	sl_rate_shares_table(d->rate_shares, t);
	sl_store_activated(d->store);
}

static void
on_tried(void *ctx, struct sl_table *tab, const struct sl_push_request *q)
{
	struct sl_daemon *d = ctx;

	sl_trial_begin(d->trial, d->publish, tab, q);
}

static struct sl_stats_rate
on_counted(void *ctx, struct sl_placed at)
{
	return sl_counters_rate(((struct sl_daemon *)ctx)->counters, at);
}

static const struct sl_table *
on_active(void *ctx)
{
	return sl_tables_active(((struct sl_daemon *)ctx)->tables);
}

static void
on_say(void *ctx, const char *line)
{
	(void)ctx;
	sl_daemon_say("%s", line);
}

/* ---- discovery ---- */

static struct sl_conf *
on_endpoints(void *ctx, const struct sl_conf *c)
{
	struct sl_daemon *d = ctx;

	struct sl_conf *made = sl_roster_conf(d->roster, c);

	if (made)
		sl_jwks_fill(d->jwks, made);
	return made;
}

static bool
on_settled(void *ctx)
{
	struct sl_daemon *d = ctx;

	return sl_roster_settled(d->roster) && sl_jwks_settled(d->jwks);
}

static void
on_changed(void *ctx)
{
	struct sl_daemon *d = ctx;

	if (d->tables)
		sl_tables_revise(d->tables);
}

static void
on_state(void *ctx, const char *service, const char *endpoint, bool drain, bool down,
	 unsigned percent, const char *why)
{
	struct sl_daemon *d = ctx;
	struct sl_hint h = {.drain = drain,
			    .down = down,
			    .percent = (uint8_t)percent,
			    .wall_ms = sl_daemon_wall_ms()};
	bool changed = false;

	snprintf(h.why, sizeof(h.why), "%s", why);
	if (sl_oper_hint(d->oper, SL_HINT_SOURCE, service, endpoint, &h, uv_now(d->loop), &changed))
		sl_daemon_say("discovery: out of memory: %s/%s goes on as before", service,
			      endpoint);
	if (!changed)
		return;
	sl_announce_look(d->announce);
	sl_daemon_ramp(d);
}

static int
open_roster(struct sl_daemon *d, struct sl_diag *diag)
{
	struct sl_roster_conf rc = {
		.loop = d->loop,
		.state_dir = d->conf->state_dir,
		.locality = d->conf->locality,
		.sources = d->conf->sources,
		.source_cnt = d->conf->source_cnt,
		.seed = (uint64_t)d->started_ms ^ (uint64_t)getpid() << 40,
		.changed = on_changed,
		.state = on_state,
		.say = on_say,
		.ctx = d,
	};

	const struct sl_jwks_conf jc = {d->loop, d->conf->state_dir, on_changed, on_say, d};
	int err = sl_jwks_create(&jc, diag, &d->jwks);

	return err ? err : sl_roster_create(&rc, diag, &d->notes, &d->roster);
}

/* Behind the roster, which it answers, and before tables, which ask it. */
static void
on_registered(void *ctx, const char *service, const char *endpoint,
	      const struct sl_registration *reg)
{
	struct sl_daemon *d = ctx;

	sl_store_registered(d->store, service, endpoint, reg);
}

static int
open_registry(struct sl_daemon *d, struct sl_diag *diag)
{
	const struct sl_registry_events ev = {.say = on_say, .changed = on_registered, .ctx = d};
	int err = sl_registry_create(d->loop, &d->conf->registry, d->conf->state_dir, d->audit, &ev,
				     diag, &d->notes, &d->registry);

	if (err)
		return err;
	sl_registry_link(d->registry, sl_roster_sink(d->roster));
	sl_roster_registry(d->roster, &sl_registry_ops, d->registry);
	return 0;
}

static void
on_taken(void *ctx, const struct sl_publish_taken *t)
{
	static const char *const how[] = {"empty", "taken", "copied"};
	struct sl_daemon *d = ctx;

	sl_daemon_say("flows: %s", t->text);
	d->taken.wall_ms = sl_daemon_wall_ms();
	snprintf(d->taken.text, sizeof(d->taken.text), "%s", t->text);
	d->taken.what = *t;
	d->taken.what.text = d->taken.text;
	json_t *e = json_pack("{s:s, s:s, s:I, s:I, s:I, s:s}", "verb", "flows", "outcome",
			      how[t->how], "kept", (json_int_t)t->kept, "expired",
			      (json_int_t)t->expired, "lost", (json_int_t)t->lost, "text", t->text);
	if (e && sl_audit_add(d->audit, d->taken.wall_ms, -1, "sluiced", e))
		sl_daemon_say("audit: what became of the flows could not be written");
}

/* The table is active: an absence of the dataplane ends. */
static void
end_absence(struct sl_daemon *d)
{
	const struct sl_table *t = sl_tables_active(d->tables);

	if (d->away_since == 0 || !t || sl_tables_running(d->tables) != t->number)
		return;
	d->away_ms = (double)(uv_hrtime() - d->away_since) / 1e6;
	d->away_since = 0;
	sl_daemon_say("dataplane: the table is active again after %.0f ms", d->away_ms);
}

static void
on_up(void *ctx, const struct sl_publish_link *l)
{
	struct sl_daemon *d = ctx;
	const struct sl_table *t = sl_tables_active(d->tables);

	sl_daemon_say("dataplane: connected to pid %u, boot %016llx, %u workers, %u ports, "
		      "generation %llu",
		      l->pid, (unsigned long long)l->boot_id, l->worker_cnt, l->port_cnt,
		      (unsigned long long)l->generation);
	d->link_since_ms = sl_daemon_wall_ms();
	d->link_error[0] = 0;
	sl_oper_attach(d->oper, l->state, true);
	sl_counters_attach(d->counters, l->stats, l->stats_bytes, l->boot_id);
	if (t)
		sl_counters_prepare(d->counters, t->conf, &t->map);
	sl_rate_shares_attach(d->rate_shares, l->state, l->boot_id);
	sl_secrets_up(d->secrets); /* before anything is offered that may name them */
	sl_tables_up(d->tables, l);
	sl_announce_link(d->announce, l->stats, l->stats_bytes);
	sl_port_facts_up(d->port_facts, d->publish);
	end_absence(d);
}

static void
on_trouble(void *ctx, const char *why)
{
	struct sl_daemon *d = ctx;
	snprintf(d->link_error, sizeof(d->link_error), "%s", why);
	sl_daemon_say("dataplane: %s", why);
	sl_announce_link(d->announce, NULL, 0);
}

static void
on_down(void *ctx, const char *why)
{
	struct sl_daemon *d = ctx;

	on_trouble(ctx, why);
	d->link_since_ms = sl_daemon_wall_ms();
	sl_oper_attach(d->oper, NULL, false);
	sl_rate_shares_attach(d->rate_shares, NULL, 0);
	sl_counters_attach(d->counters, NULL, 0, 0);
	sl_access_log_detach(d->access);
	sl_port_facts_down(d->port_facts);
	sl_trial_lost(d->trial);
	sl_tables_down(d->tables);
	if (d->away_since == 0 && sl_tables_active(d->tables))
		d->away_since = uv_hrtime();
}

static void
on_verdict(void *ctx, const struct sl_publish_verdict *v)
{
	struct sl_daemon *d = ctx;
	sl_tables_verdict(d->tables, v);
	sl_store_verdict(d->store, v);
	end_absence(d);
	sl_announce_look(d->announce);
}

/* ---- what routers are told ---- */

static void
on_announce_health(void *ctx, uint8_t *health)
{
	struct sl_daemon *d = ctx;
	uint32_t cnt;
	const struct sl_oper_endpoint *e = sl_oper_endpoints(d->oper, &cnt);

	for (uint32_t i = 0; i < cnt; i++) {
		uint8_t is =
			e[i].health == SL_OPER_UNKNOWN ? SL_ANNOUNCE_UNKNOWN : SL_ANNOUNCE_ALIVE;
		if (sl_oper_admits(d->oper, &e[i]) && !e[i].ejected &&
		    is > health[e[i].service_idx])
			health[e[i].service_idx] = is;
	}
}

static uint64_t
on_announce_generation(void *ctx)
{
	const struct sl_publish_link *l = sl_publish_link(((struct sl_daemon *)ctx)->publish);

	return l ? l->generation : 0;
}

static void
on_withdrawn(void *ctx, const char *why)
{
	struct sl_daemon *d = ctx;

	if (why)
		sl_daemon_say("dataplane: it ends while VIPs may still be announced: %s", why);
	if (sl_publish_link(d->publish))
		(void)sl_publish_stop(d->publish);
}

static void
on_stopping(void *ctx, uint32_t wait_ms, uint32_t why)
{
	struct sl_daemon *d = ctx;

	sl_daemon_say("dataplane: it is about to %s, and waits up to %u ms",
		      why == SL_STOPPING_UPGRADE ? "upgrade" : "stop", wait_ms);
	sl_announce_stopping(d->announce, wait_ms, on_withdrawn, d);
}

/* ---- metrics ---- */

static size_t
snapshot_endpoints(struct sl_daemon *d)
{
	uint32_t cnt;
	const struct sl_oper_endpoint *e = sl_oper_endpoints(d->oper, &cnt);
	struct sl_metrics_endpoint *out = realloc(d->m_endpoints, (cnt + 1) * sizeof(*out));

	if (!out)
		return SIZE_MAX;
	d->m_endpoints = out;
	for (uint32_t i = 0; i < cnt; i++)
		out[i] = (struct sl_metrics_endpoint){
			.service = e[i].service,
			.name = e[i].name,
			.addr = e[i].addr,
			.port = e[i].port,
			.slot = e[i].at.slot,
			.healthy = e[i].health != SL_OPER_DOWN && !e[i].hint_down,
			.drain = e[i].drain || e[i].maintenance || e[i].hint_drain,
			.disabled = e[i].disabled,
			.ejected = e[i].ejected,
			.fraction = sl_state_fraction(sl_oper_word(d->oper, &e[i])),
			.base = sl_counters_endpoint_base(d->counters, e[i].at),
		};
	return cnt;
}

static int
snapshot_routes(struct sl_daemon *d, const struct sl_table *t, struct sl_metrics_snapshot *s)
{
	const struct sl_conf *c = t->conf;
	size_t vhosts = 0, routes = 0;

	for (uint32_t i = 0; i < c->table_cnt; i++)
		for (uint32_t k = 0; k < c->tables[i].vhost_cnt; k++, vhosts++)
			routes += c->tables[i].vhosts[k].route_cnt;
	struct sl_metrics_vhost *mv = realloc(d->m_vhosts, (vhosts + 1) * sizeof(*mv));
	if (mv)
		d->m_vhosts = mv;
	struct sl_metrics_route *mr = realloc(d->m_routes, (routes + 1) * sizeof(*mr));
	if (mr)
		d->m_routes = mr;
	if (!mv || !mr)
		return -ENOMEM;
	s->vhosts = mv;
	s->routes = mr;
	for (uint32_t i = 0; i < c->table_cnt; i++)
		for (uint32_t k = 0; k < c->tables[i].vhost_cnt; k++) {
			const struct sl_conf_table *ct = &c->tables[i];
			const struct sl_conf_vhost *cv = &ct->vhosts[k];
			struct sl_placed at;
			if (sl_slot_find_vhost(&t->map, ct, cv, &at) == 0)
				mv[s->vhost_cnt++] = (struct sl_metrics_vhost){
					ct->name, cv->name, at.slot,
					sl_counters_vhost_base(d->counters, at)};
			for (uint32_t r = 0; r < cv->route_cnt; r++)
				if (sl_slot_find_hroute(&t->map, ct, cv, &cv->routes[r], &at) == 0)
					mr[s->route_cnt++] = (struct sl_metrics_route){
						ct->name, cv->name, cv->routes[r].name, at.slot,
						sl_counters_route_base(d->counters, at)};
		}
	return 0;
}

static struct sl_metrics_share
share_of(struct sl_daemon *d, const struct sl_conf_rate *r)
{
	struct sl_rate_share_look look = {.total = r->requests};

	(void)sl_rate_share_look(d->rate_shares, r->name, &look);
	return (struct sl_metrics_share){look.share, look.total, look.wanted, look.gateways,
					 strcmp(look.state, "shared") == 0};
}

static int
snapshot_rates(struct sl_daemon *d, const struct sl_table *t, struct sl_metrics_snapshot *s)
{
	const struct sl_conf *c = t->conf;
	struct sl_metrics_rate *m = realloc(d->m_rates, (c->rate_cnt + 1u) * sizeof(*m));

	if (!m)
		return -ENOMEM;
	d->m_rates = m;
	s->rates = m;
	for (uint32_t i = 0; i < c->rate_cnt; i++) {
		struct sl_placed at;
		if (sl_slot_find_rate(&t->map, c->rates[i].name, &at))
			continue;
		m[s->rate_cnt] = (struct sl_metrics_rate){
			.name = c->rates[i].name,
			.slot = at.slot,
			.base = sl_counters_rate_base(d->counters, at),
			.shared = c->rates[i].shared,
		};
		if (c->rates[i].shared)
			m[s->rate_cnt].share = share_of(d, &c->rates[i]);
		s->rate_cnt++;
	}
	return 0;
}

static void
snapshot_rule(struct sl_daemon *d, const struct sl_table *t, const char *set, const char *rule,
	      struct sl_metrics_snapshot *s)
{
	struct sl_placed at;

	if (sl_slot_find_rule(&t->map, set, rule, &at) == 0)
		d->m_authz[s->authz_cnt++] = (struct sl_metrics_authz){
			set, rule, at.slot, sl_counters_rule_base(d->counters, at)};
}

static int
snapshot_authz(struct sl_daemon *d, const struct sl_table *t, struct sl_metrics_snapshot *s)
{
	const struct sl_conf *c = t->conf;
	size_t cnt = 1;

	for (uint32_t i = 0; i < c->authz_cnt; i++)
		cnt += c->authz[i].rule_cnt + 2u;
	struct sl_metrics_authz *m = realloc(d->m_authz, cnt * sizeof(*m));
	if (!m)
		return -ENOMEM;
	d->m_authz = m;
	s->authz = m;
	for (uint32_t i = 0; i < c->authz_cnt; i++) {
		const struct sl_conf_authz *a = &c->authz[i];
		struct sl_placed at;
		if (sl_slot_find_authz(&t->map, a->name, &at))
			continue;
		m[s->authz_cnt++] = (struct sl_metrics_authz){
			a->name, NULL, at.slot, sl_counters_authz_base(d->counters, at)};
		for (uint32_t j = 0; j < a->rule_cnt; j++)
			snapshot_rule(d, t, a->name, a->rules[j].name, s);
		snapshot_rule(d, t, a->name, SL_AUTHZ_DEFAULT, s);
	}
	return 0;
}

static int
snapshot_table(struct sl_daemon *d, const struct sl_table *t, struct sl_metrics_snapshot *s)
{
	const struct sl_conf *c = t->conf;
	struct sl_metrics_listener *ml =
		realloc(d->m_listeners, (c->listener_cnt + 1) * sizeof(*ml));
	if (ml)
		d->m_listeners = ml;
	struct sl_metrics_service *ms = realloc(d->m_services, (c->service_cnt + 1) * sizeof(*ms));
	if (ms)
		d->m_services = ms;
	size_t cnt = ml && ms ? snapshot_endpoints(d) : SIZE_MAX;
	if (cnt == SIZE_MAX)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->listener_cnt; i++) {
		const struct sl_conf_listener *l = &c->listeners[i];
		struct sl_placed at;
		if (sl_slot_find_listener(&t->map, l, &at))
			continue;
		ml[s->listener_cnt++] = (struct sl_metrics_listener){
			.name = l->name,
			.service = l->service,
			.addr = l->addr,
			.plen = l->plen,
			.port = l->port,
			.port_last = l->port_last,
			.proto = l->proto,
			.slot = at.slot,
			.base = sl_counters_listener_base(d->counters, at),
		};
	}
	for (uint32_t i = 0; i < c->service_cnt; i++) {
		struct sl_placed at;
		if (sl_slot_find_service(&t->map, &c->services[i], &at))
			continue;
		ms[s->service_cnt++] = (struct sl_metrics_service){
			.name = c->services[i].name,
			.slot = at.slot,
			.base = sl_counters_service_base(d->counters, at),
		};
	}
	s->listeners = ml;
	s->services = ms;
	s->endpoints = d->m_endpoints;
	s->endpoint_cnt = cnt;
	int err = snapshot_rates(d, t, s);
	if (!err)
		err = snapshot_authz(d, t, s);
	return err ? err : snapshot_routes(d, t, s);
}

static int
snapshot_certs(struct sl_daemon *d, struct sl_metrics_snapshot *s)
{
	unsigned cnt;
	struct sl_cert_entry *const *e = sl_certs_list(sl_secrets_certs(d->secrets), &cnt);
	struct sl_metrics_cert *out = realloc(d->m_certs, (cnt + 1) * sizeof(*out));
	int64_t now_s = sl_daemon_wall_ms() / 1000;

	if (!out)
		return -ENOMEM;
	d->m_certs = out;
	for (unsigned i = 0; i < cnt; i++)
		out[i] = (struct sl_metrics_cert){
			e[i]->name, sl_secrets_kind(e[i]->info.kind),
			(uint64_t)SL_MAX(sl_cert_not_after(&e[i]->info, now_s), (int64_t)0)};
	s->certs = out;
	s->cert_cnt = cnt;
	return 0;
}

static void
snapshot_issuers(struct sl_daemon *d, const struct sl_table *t, struct sl_metrics_snapshot *s)
{
	for (uint32_t i = 0; t && i < t->conf->jwt_cnt; i++) {
		const struct sl_conf_jwt *j = &t->conf->jwts[i];
		struct sl_jwks_status st = {0};
		sl_jwks_find(d->jwks, j, &st);
		d->m_issuers[s->issuer_cnt++] = (struct sl_metrics_issuer){
			.name = j->name,
			.keys = j->key_cnt,
			.age_s =
				st.good_ms ? (double)(sl_daemon_wall_ms() - st.good_ms) / 1000 : -1,
			.trouble = st.trouble_ms != 0,
			.reads = st.reads,
			.troubles = st.troubles,
		};
	}
	s->issuers = d->m_issuers;
}

struct source_rows {
	struct sl_daemon *d;
	size_t cnt, room;
};

static int
add_source(void *ctx, const struct sl_roster_status *st)
{
	struct source_rows *rows = ctx;
	struct sl_metrics_source *list = rows->d->m_sources;
	int64_t age = sl_daemon_wall_ms() - st->good_ms;

	if (rows->cnt == rows->room) {
		rows->room = rows->room * 2 + 64;
		list = realloc(list, rows->room * sizeof(*list));
		if (!list)
			return -ENOMEM;
		rows->d->m_sources = list;
	}
	list[rows->cnt++] = (struct sl_metrics_source){
		.service = st->service,
		.source = st->source,
		.name = st->name,
		.endpoints = st->endpoints,
		.left_out = st->left_out,
		.age_s = st->good_ms ? (double)SL_MAX(age, (int64_t)0) / 1e3 : -1,
		.trouble = st->trouble_ms != 0,
		.kept = st->kept,
		.answers = st->answers,
		.troubles = st->troubles,
	};
	return 0;
}

static int
snapshot_sources(struct sl_daemon *d, struct sl_metrics_snapshot *s)
{
	struct source_rows rows = {.d = d};
	int err;

	free(d->m_sources);
	d->m_sources = NULL;
	err = sl_roster_show(d->roster, add_source, &rows);
	s->sources = d->m_sources;
	s->source_cnt = rows.cnt;
	return err;
}

static int
on_scrape(void *ctx, struct sl_metrics_snapshot *s)
{
	struct sl_daemon *d = ctx;
	const struct sl_table *t = sl_tables_active(d->tables);
	struct sl_tables_revisions revisions;

	s->version = SL_VERSION;
	s->connected = sl_publish_link(d->publish) != NULL;
	s->generation = sl_tables_running(d->tables);
	sl_tables_count(d->tables, &s->pushes_active, &s->pushes_refused);
	sl_tables_revisions(d->tables, &revisions);
	s->revisions_active = revisions.active;
	s->revisions_refused = revisions.refused;
	s->stats = sl_counters_stats(d->counters, &s->stats_bytes);
	sl_prober_stats(d->prober, &d->m_probes);
	s->probes = &d->m_probes;
	sl_access_log_stats(d->access, &d->m_access);
	s->access = d->conf->access_log.file[0] ? &d->m_access : NULL;
	sl_registry_stats(d->registry, &d->m_registry);
	s->registry = &d->m_registry;
	s->store = sl_store_stats(d->store, &d->m_store) ? &d->m_store : NULL;
	s->ports = sl_port_facts_get(d->port_facts, &s->port_cnt);
	s->announce = d->conf->announce.on ? sl_announce_plan_of(d->announce) : NULL;
	s->bird_up = sl_announce_bird_up(d->announce);
	s->drained = sl_announce_drained(d->announce);
	int err = snapshot_certs(d, s);
	if (!err)
		err = snapshot_sources(d, s);
	snapshot_issuers(d, t, s);
	return err || !t ? err : snapshot_table(d, t, s);
}

/* ---- life ---- */

static void
on_request(void *ctx, struct sl_call *call, const struct sl_peer *peer, json_t *body)
{
	sl_verbs_run(ctx, call, peer, body);
}

static int
open_tables(struct sl_daemon *d, struct sl_diag *diag)
{
	struct sl_tables_conf tc = {
		.loop = d->loop,
		.state_dir = d->conf->state_dir,
		.oper = d->oper,
		.counters = d->counters,
		.audit = d->audit,
		.compile_program = d->conf->compile_program,
		.compile_ms = d->conf->compile_ms,
		.journal_bytes = d->conf->journal_bytes,
		.locality = d->conf->locality,
		.endpoints = on_endpoints,
		.settled = on_settled,
		.offering = on_offering,
		.admit = on_admit,
		.activated = on_activated,
		.tried = on_tried,
		.say = on_say,
		.ctx = d,
	};
	struct sl_publish_events ev = {on_up,     on_down, on_verdict,    on_trouble,  on_taken,
				       on_events, on_say,  sl_secrets_fd, on_stopping, d};
	const struct sl_trial_conf trial = {
		.loop = d->loop,
		.audit = d->audit,
		.active = on_active,
		.counted = on_counted,
		.say = on_say,
		.ctx = d,
	};
	int err = sl_trial_create(&trial, &d->trial);

	if (!err)
		err = sl_tables_create(&tc, &d->notes, &d->tables);

	if (err) {
		sl_diag_add(diag, d->conf->state_dir, 0, "state_dir", NULL, "cannot be used: %s",
			    strerror(-err));
		return err;
	}
	err = sl_rate_shares_create(d, &d->rate_shares);
	if (err)
		return err;
	if (sl_tables_active(d->tables))
		on_activated(d, NULL);
	else if (sl_tables_next(d->tables))
		ask_for(d, sl_tables_next(d->tables));
	err = sl_publish_create(d->loop, d->conf->dataplane_socket, &ev, &d->publish);
	if (!err)
		sl_tables_link(d->tables, d->publish);
	return err;
}

int
sl_daemon_create(uv_loop_t *loop, const struct sl_daemon_conf *conf, struct sl_diag *diag,
		 struct sl_daemon *d)
{
	memset(d, 0, sizeof(*d));
	d->loop = loop;
	d->conf = conf;
	d->lock = -1;
	d->started_ms = d->link_since_ms = sl_daemon_wall_ms();
	int err = sl_disk_mkdir(conf->state_dir, diag);
	if (!err)
		err = lock_state(d, diag);
	if (!err)
		err = sl_audit_create(conf->audit_log, diag, &d->audit);
	if (!err)
		err = sl_access_log_create(loop, &conf->access_log, on_say, d, diag, &d->access);
	if (err)
		return err;
	d->oper = sl_oper_create();
	d->counters = sl_counters_create();
	d->ramp = calloc(1, sizeof(*d->ramp));
	if (!d->oper || !d->counters || !d->ramp)
		return -ENOMEM;
	uv_timer_init(loop, d->ramp);
	d->ramp->data = d;
	load_oper(d);
	err = sl_port_facts_create(loop, &d->port_facts);
	if (!err)
		err = sl_walk_queue_create(loop, &d->walk_queue);
	if (err)
		return err;
	err = sl_secrets_create(d, &d->notes, &d->secrets);
	if (err) {
		sl_diag_add(diag, conf->state_dir, 0, "state_dir", NULL,
			    "its certificates or ticket keys cannot be used: %s", strerror(-err));
		return err;
	}
	err = sl_probing_create(d, &d->probing);
	if (err)
		return err;
	const struct sl_announce_events ev = {on_announce_health, on_announce_generation, on_say,
					      d};
	err = sl_announce_create(loop, &conf->announce, conf->state_dir, &ev, diag, &d->announce);
	if (!err)
		err = open_roster(d, diag);
	if (!err)
		err = open_registry(d, diag);
	if (!err)
		err = open_tables(d, diag);
	if (!err)
		err = sl_store_create(d, &d->store);
	if (!err)
		err = sl_server_create(loop, conf->api_socket, &conf->roles,
				       &sl_server_limits_default, on_request, d, diag, &d->server);
	if (!err)
		err = sl_registry_http_start(loop, &conf->registry, &conf->roles, d->registry,
					     on_say, d, diag, &d->registry_http);
	if (!err && conf->metrics[0])
		err = sl_metrics_start(loop, conf->metrics, on_scrape, d, diag, &d->metrics);
	return err;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_daemon_destroy(struct sl_daemon *d)
{
	sl_metrics_stop(d->metrics);
	sl_store_stop(d->store);
	sl_rate_shares_destroy(d->rate_shares);
	d->rate_shares = NULL;
	sl_server_destroy(d->server);
	sl_registry_http_end(d->registry_http);
	if (d->tables)
		sl_tables_stop(d->tables);
	sl_access_log_finish(d->access);
	while ((d->tables && sl_tables_busy(d->tables)) || d->jobs > 0 ||
	       sl_walk_queue_busy(d->walk_queue) || sl_access_log_busy(d->access) ||
	       sl_roster_busy(d->roster) || sl_registry_busy(d->registry))
		uv_run(d->loop, UV_RUN_ONCE);
	sl_registry_http_stop(d->registry_http);
	sl_walk_queue_destroy(d->walk_queue);
	sl_announce_destroy(d->announce);
	d->announce = NULL;
	sl_publish_destroy(d->publish);
	sl_port_facts_destroy(d->port_facts);
	sl_secrets_destroy(d->secrets);
	sl_roster_destroy(d->roster);
	sl_jwks_destroy(d->jwks);
	sl_registry_destroy(d->registry);
	sl_tables_destroy(d->tables);
	sl_trial_destroy(d->trial);
	sl_store_destroy(d->store);
	sl_pushed_unref(d->rostered);
	sl_probing_destroy(d->probing);
	d->prober = NULL;
	if (d->ramp && d->ramp->data)
		uv_close((uv_handle_t *)d->ramp, on_freed);
	uv_run(d->loop, UV_RUN_DEFAULT);
	sl_oper_destroy(d->oper);
	sl_counters_destroy(d->counters);
	sl_audit_destroy(d->audit);
	sl_access_log_destroy(d->access);
	sl_diag_fini(&d->notes);
	free(d->m_listeners);
	free(d->m_services);
	free(d->m_endpoints);
	free(d->m_vhosts);
	free(d->m_rates);
	free(d->m_authz);
	free(d->m_routes);
	free(d->m_certs);
	free(d->m_sources);
	if (d->lock >= 0)
		close(d->lock);
}
