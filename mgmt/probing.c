/* What is kept of agents: per endpoint that has one, what it said so far, in the order of the table; the list of the table before says
 * whose hints are to be taken back. */
#include "mgmt/probing.h"

#include "mgmt/agent.h"
#include "mgmt/egress.h"
#include "mgmt/port_facts.h"
#include "mgmt/secrets.h"
#include "mgmt/wipe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define AGENT_TIMEOUT_MS 2000

struct agent {
	struct sl_placed at;
	char service[SL_NAME_MAX];
	char name[SL_NAME_MAX];
	struct sl_agent_state state;
	bool odd; /* its last line was not understood: said once */
};

struct sl_probing {
	struct sl_daemon *d;
	struct sl_prober *agents_prober;
	uv_timer_t *watch;
	struct agent *agents; /* [agent_cnt], of the active table, sorted by slot */
	uint32_t agent_cnt;
};

/* ---- what probes and the dataplane find ---- */

static void
on_probe(void *ctx, const struct sl_probe_event *ev)
{
	struct sl_daemon *d = ((struct sl_probing *)ctx)->d;
	bool up = ev->to != SL_PROBE_UNHEALTHY;

	if (!up || ev->from == SL_PROBE_UNHEALTHY)
		sl_daemon_say("health: %s/%s is %s: %s", ev->service, ev->endpoint,
			      up ? "up" : "down", ev->reason);
	sl_oper_health(d->oper, ev->slot, ev->incarnation, up, ev->reason, uv_now(d->loop),
		       sl_daemon_wall_ms());
	sl_announce_look(d->announce);
	sl_daemon_ramp(d);
}

/* A probe at once says whether it is the endpoint or its answers. */
static void
on_passive(void *ctx, const struct sl_oper_endpoint *e)
{
	struct sl_daemon *d = ((struct sl_probing *)ctx)->d;
	char why[SL_OPER_EJECTED_MAX];

	sl_oper_ejected(e, e->ejected_why, why);
	if (e->ejected)
		sl_daemon_say("health: %s/%s is ejected by the dataplane: %s", e->service, e->name,
			      why);
	else
		sl_daemon_say("health: %s/%s is let in again by the dataplane", e->service,
			      e->name);
	if (e->ejected)
		(void)sl_prober_kick(d->prober, e->at.slot, e->at.incarnation);
	sl_announce_look(d->announce);
}

static void
on_watch(uv_timer_t *t)
{
	struct sl_probing *p = t->data;

	sl_oper_watch(p->d->oper, sl_daemon_wall_ms(), on_passive, p);
}

/* ---- agents ---- */

static int
agent_cmp(const void *a, const void *b)
{
	const struct agent *x = a, *y = b;
	return (x->at.slot > y->at.slot) - (x->at.slot < y->at.slot);
}

static struct agent *
agent_find(const struct sl_probing *p, uint32_t slot, uint32_t incarnation)
{
	struct agent like = {.at = {.slot = slot}};
	struct agent *a = p->agent_cnt ? bsearch(&like, p->agents, p->agent_cnt, sizeof(*p->agents),
						 agent_cmp)
				       : NULL;

	return a && a->at.incarnation == incarnation ? a : NULL;
}

static void
hint(struct sl_probing *p, const struct agent *a, const char *why, size_t len)
{
	struct sl_daemon *d = p->d;
	struct sl_hint h = {.drain = a->state.drain,
			    .down = a->state.down,
			    .percent = a->state.percent,
			    .wall_ms = sl_daemon_wall_ms()};
	bool changed = false;

	snprintf(h.why, sizeof(h.why), "%.*s", (int)SL_MIN(len, sizeof(h.why) - 1), why);
	for (char *c = h.why; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	if (sl_oper_hint(d->oper, SL_HINT_AGENT, a->service, a->name, &h, uv_now(d->loop),
			 &changed))
		sl_daemon_say("agent: %s/%s: out of memory", a->service, a->name);
	if (!changed)
		return;
	sl_daemon_say("agent: %s/%s: %s", a->service, a->name, h.why);
	sl_announce_look(d->announce);
	sl_daemon_ramp(d);
}

static void
on_line(void *ctx, uint32_t slot, uint32_t incarnation, const char *line, size_t len)
{
	struct sl_probing *p = ctx;
	struct agent *a = agent_find(p, slot, incarnation);
	char buf[96];

	if (!a)
		return;
	const char *why = sl_agent_read(line, len, &a->state, buf, sizeof(buf));
	if (why && !a->odd)
		sl_daemon_say("agent: %s/%s: %s: nothing changes", a->service, a->name, why);
	a->odd = why != NULL;
	if (!why)
		hint(p, a, line, len);
}

static void
on_agent(void *ctx, const struct sl_probe_event *ev)
{
	(void)ctx;
	if (ev->to == SL_PROBE_UNHEALTHY)
		sl_daemon_say("agent: %s/%s is away (%s): nothing changes", ev->service,
			      ev->endpoint, ev->reason);
	else if (ev->from == SL_PROBE_UNHEALTHY)
		sl_daemon_say("agent: %s/%s is back", ev->service, ev->endpoint);
}

/* The agents of the table take over what they said before; who is none any more says nothing. */
static void
agents_follow(struct sl_probing *p, struct agent *now, uint32_t cnt)
{
	struct agent *old = p->agents;
	uint32_t old_cnt = p->agent_cnt;

	qsort(now, cnt, sizeof(*now), agent_cmp);
	p->agents = now;
	p->agent_cnt = cnt;
	for (uint32_t i = 0; i < old_cnt; i++) {
		struct agent *a = agent_find(p, old[i].at.slot, old[i].at.incarnation);
		if (a) {
			a->state = old[i].state;
			a->odd = old[i].odd;
			continue;
		}
		old[i].state = SL_AGENT_USUAL;
		hint(p, &old[i], "no agent is asked any more", 64);
	}
	free(old);
}

/* ---- targets ---- */

/* A service's port 0 means the port the packet came to: probed at the first listener's. */
static uint16_t
listener_port(const struct sl_conf *c, const char *service)
{
	for (uint32_t i = 0; i < c->listener_cnt; i++)
		if (strcmp(c->listeners[i].service, service) == 0)
			return c->listeners[i].port;
	return 0;
}

static uint16_t
probe_port(const struct sl_conf *c, const struct sl_conf_service *s,
	   const struct sl_conf_endpoint *e)
{
	if (e->probe_port)
		return e->probe_port;
	if (s->health.port)
		return s->health.port;
	return e->port ? e->port : listener_port(c, s->name);
}

static uint64_t
certs_version(void *ctx)
{
	return sl_certs_version(sl_secrets_certs(((struct sl_daemon *)ctx)->secrets));
}

static int
certs_read(void *ctx, uint32_t kind, const char *name, void **ret_secret, size_t *ret_bytes)
{
	struct sl_daemon *d = ctx;

	return sl_certs_read(sl_secrets_certs(d->secrets), kind, name, ret_secret, ret_bytes);
}

static struct sl_probe_tls *
tls_of(struct sl_daemon *d, const struct sl_conf_service *s)
{
	const struct sl_probe_secrets from = {certs_version, certs_read, sl_wipe_release, d};

	return sl_probe_tls_create(&s->tls, s->health.type == SL_HEALTH_HTTP, &from);
}

static struct sl_health_conf
agent_conf(const struct sl_health_conf *h)
{
	return (struct sl_health_conf){
		.type = SL_HEALTH_AGENT,
		.interval_ms = h->agent_ms,
		.timeout_ms = SL_MIN(h->agent_ms, (uint32_t)AGENT_TIMEOUT_MS),
		.rise = 1,
		.fall = 3,
		.jitter_pct = 10,
		.through = h->through,
	};
}

/* Both sets of a table under way. */
struct sets {
	struct sl_probing *p;
	const struct sl_table *t;
	struct sl_probe_target *probe, *ask; /* room for all endpoints each */
	struct agent *agents;                /* beside ask */
	struct sl_health_conf *conf;         /* of agents: [service_cnt] */
	struct sl_probe_tls **tls;           /* [service_cnt]: NULL: none */
	size_t probe_cnt, ask_cnt;
	bool oom;
};

static struct sl_probe_target
target_of(const struct sl_conf *c, const struct sl_conf_service *s,
	  const struct sl_conf_endpoint *e, struct sl_placed at)
{
	struct sl_probe_target t = {.service = s->name,
				    .endpoint = e->name,
				    .slot = at.slot,
				    .incarnation = at.incarnation,
				    .addr = e->probe_addr};

	if (s->health.through == SL_THROUGH_PORT) {
		t.out = sl_egress_port(c, &e->probe_addr);
		t.out = t.out ? t.out : "";
	}
	return t;
}

static void
add_probe(struct sets *w, const struct sl_probe_target *t, uint32_t i, uint32_t k)
{
	const struct sl_conf_service *s = &w->t->conf->services[i];
	struct sl_probe_target *to = &w->probe[w->probe_cnt];

	*to = *t;
	to->conf = &s->health;
	to->port = probe_port(w->t->conf, s, &s->endpoints[k]);
	if (to->port == 0)
		return;
	if (sl_conf_health_tls(s, &s->endpoints[k])) {
		if (!w->tls[i])
			w->tls[i] = tls_of(w->p->d, s);
		w->oom = w->oom || !w->tls[i];
		to->tls = w->tls[i];
	}
	w->probe_cnt++;
}

static void
add_agent(struct sets *w, const struct sl_probe_target *t, uint32_t i)
{
	const struct sl_health_conf *h = &w->t->conf->services[i].health;
	struct sl_probe_target *to = &w->ask[w->ask_cnt];
	struct agent *a = &w->agents[w->ask_cnt++];

	if (!w->conf[i].type)
		w->conf[i] = agent_conf(h);
	*to = *t;
	to->conf = &w->conf[i];
	to->port = h->agent_port;
	*a = (struct agent){.at = {t->slot, t->incarnation}, .state = SL_AGENT_USUAL};
	snprintf(a->service, sizeof(a->service), "%s", t->service);
	snprintf(a->name, sizeof(a->name), "%s", t->endpoint);
}

static void
fill(struct sets *w)
{
	const struct sl_conf *c = w->t->conf;
	struct sl_placed at;

	for (uint32_t i = 0; i < c->service_cnt; i++) {
		const struct sl_conf_service *s = &c->services[i];
		bool probe = s->health.type != SL_HEALTH_NONE, ask = s->health.agent_port != 0;
		for (uint32_t k = 0; (probe || ask) && k < s->endpoint_cnt; k++) {
			if (sl_slot_find_endpoint(&w->t->map, s, &s->endpoints[k], &at))
				continue;
			const struct sl_oper_endpoint *oe = sl_oper_by_slot(w->p->d->oper, at.slot);
			if (oe && oe->maintenance)
				continue;
			struct sl_probe_target t = target_of(c, s, &s->endpoints[k], at);
			if (probe)
				add_probe(w, &t, i, k);
			if (ask)
				add_agent(w, &t, i);
		}
	}
}

static void
say_all(int err, struct sl_diag *diag)
{
	char line[1800];

	if (err && diag->cnt == 0)
		sl_daemon_say("health: the old set of probes goes on: %s", strerror(-err));
	for (unsigned i = 0; i < diag->cnt; i++) {
		sl_diag_format(&diag->items[i], line, sizeof(line));
		sl_daemon_say("health: %s", line);
	}
	sl_diag_fini(diag);
}

static void
set(struct sets *w)
{
	struct sl_diag diag = {0};

	fill(w);
	int err = w->oom ? -ENOMEM : sl_prober_set(w->p->d->prober, w->probe, w->probe_cnt, &diag);
	if (!err && (w->ask_cnt || w->p->agent_cnt)) {
		err = sl_prober_set(w->p->agents_prober, w->ask, w->ask_cnt, &diag);
		if (!err) {
			agents_follow(w->p, w->agents, (uint32_t)w->ask_cnt);
			w->agents = NULL;
		}
	}
	say_all(err, &diag);
}

void
sl_probing_table(struct sl_probing *p, const struct sl_table *t)
{
	uint32_t services = t->conf->service_cnt;
	size_t cnt = 1, asked = 1;
	struct sets w = {.p = p, .t = t};

	for (uint32_t i = 0; i < services; i++) {
		const struct sl_conf_service *s = &t->conf->services[i];
		cnt += s->endpoint_cnt;
		asked += s->health.agent_port ? s->endpoint_cnt : 0;
	}
	w.probe = calloc(cnt, sizeof(*w.probe));
	w.ask = calloc(asked, sizeof(*w.ask));
	w.agents = calloc(asked, sizeof(*w.agents));
	w.conf = asked > 1 ? calloc(services, sizeof(*w.conf)) : NULL;
	w.tls = calloc(services + 1u, sizeof(struct sl_probe_tls *));
	if (w.probe && w.ask && w.agents && w.tls && (w.conf || asked == 1))
		set(&w);
	else
		say_all(-ENOMEM, &(struct sl_diag){0});
	for (uint32_t i = 0; w.tls && i < services; i++)
		sl_probe_tls_drop(w.tls[i]);
	free(w.probe);
	free(w.ask);
	free(w.agents);
	free(w.conf);
	free(w.tls);
}

void
sl_probing_endpoint(struct sl_probing *p, const char *service, const char *name)
{
	const struct sl_table *t = sl_tables_active(p->d->tables);
	const struct sl_oper_endpoint *e = sl_oper_find(p->d->oper, service, name);

	if (!t || !e)
		return;
	sl_probing_table(p, t);
	(void)sl_prober_kick(p->d->prober, e->at.slot, e->at.incarnation);
	(void)sl_prober_kick(p->agents_prober, e->at.slot, e->at.incarnation);
}

/* ---- life ---- */

/* Of a dataplane that is away nothing is known: its ports lead nowhere. */
static const char *
device_of(void *ctx, const char *port)
{
	size_t cnt;
	const struct sl_metrics_port *p =
		sl_port_facts_get(((struct sl_probing *)ctx)->d->port_facts, &cnt);

	for (size_t i = 0; i < cnt; i++)
		if (strcmp(p[i].name, port) == 0)
			return p[i].kernel[0] ? p[i].kernel : NULL;
	return NULL;
}

int
sl_probing_create(struct sl_daemon *d, struct sl_probing **ret)
{
	struct sl_probing *p = calloc(1, sizeof(*p));
	uint64_t seed = (uint64_t)d->started_ms ^ (uint64_t)getpid() << 40;

	if (!p)
		return -ENOMEM;
	p->d = d;
	d->prober = sl_prober_create(d->loop, seed, on_probe, p);
	p->agents_prober = sl_prober_create(d->loop, seed + 1, on_agent, p);
	p->watch = calloc(1, sizeof(*p->watch));
	*ret = p; /* destroyed by the caller in any case */
	if (p->watch) {
		uv_timer_init(d->loop, p->watch);
		p->watch->data = p;
	}
	if (!d->prober || !p->agents_prober || !p->watch)
		return -ENOMEM;
	sl_prober_devices(d->prober, device_of, p);
	sl_prober_devices(p->agents_prober, device_of, p);
	sl_prober_beside(d->prober, p->agents_prober);
	sl_prober_beside(p->agents_prober, d->prober);
	sl_prober_lines(p->agents_prober, on_line, p);
	uv_timer_start(p->watch, on_watch, SL_PROBING_WATCH_MS, SL_PROBING_WATCH_MS);
	return 0;
}

static void
on_closed(uv_handle_t *h)
{
	free(h);
}

void
sl_probing_destroy(struct sl_probing *p)
{
	if (!p)
		return;
	if (p->watch)
		uv_close((uv_handle_t *)p->watch, on_closed);
	sl_prober_destroy(p->d->prober);
	sl_prober_destroy(p->agents_prober);
	free(p->agents);
	free(p);
}
