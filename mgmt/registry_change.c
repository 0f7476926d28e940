/* A change is planned upon what is there or, while others of the same endpoint are on their way to the disk, upon the last of these;
 * it is applied when it is on disk:
 *
 *   put, maintain, remove ──plan, journal──▶ on_kept ──▶ apply ──▶ answer, audit, questions
 *   heartbeat ──apply──▶ journal, nobody waits ──▶ questions
 */
#include "mgmt/registry_priv.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { PUT, MAINTAIN, REMOVE };

struct change {
	struct sl_registry *r;
	struct entry *e;
	enum kind kind;
	struct sl_registration next;
	char *line;
	struct sl_registry_who who;
	sl_registry_fn *fn;
	void *ctx;
};

static void was_heard(struct sl_registry *r, struct entry *e);

/* ---- answers to peers ---- */

static void
refuse(struct sl_registry *r, sl_registry_fn *fn, void *ctx, unsigned status, const char *where,
       const char *what, const char *hint)
{
	const struct sl_registry_answer a = {status, what, where, hint, NULL};

	sl_registry_refused(r, status);
	fn(ctx, &a);
}

static void
agree(const struct entry *e, unsigned status, sl_registry_fn *fn, void *ctx)
{
	json_t *is = status == 204 ? NULL : sl_registry_show_entry(e);
	const struct sl_registry_answer a = {status, "", "", "", is};

	fn(ctx, &a);
	json_decref(is);
}

/* Denied attempts are told, but do not fill the logs: once a second, with how many there were. */
static void
deny(struct sl_registry *r, const struct sl_registry_who *who, const char *where,
     sl_registry_fn *fn, void *ctx)
{
	uint64_t now = uv_now(r->loop);
	char what[2 * SL_HOST_MAX + 128];

	r->denied_unsaid++;
	if (now - r->denied_said_ms >= 1000 || r->denied_said_ms == 0) {
		json_t *o =
			json_pack("{s:s, s:s, s:s, s:I}", "verb", "registry", "outcome", "denied",
				  "endpoint", where, "denied", (json_int_t)r->denied_unsaid);
		sl_registry_say(
			r, "registry: %s may not change %s (%llu denied since the last such line)",
			who->name, where, (unsigned long long)r->denied_unsaid);
		if (o)
			(void)sl_audit_note(r->audit, sl_registry_wall_ms(r), who->uid, who->name,
					    o);
		r->denied_said_ms = now;
		r->denied_unsaid = 0;
	}
	snprintf(what, sizeof(what), "%.255s may not change this endpoint, or not to that address",
		 who->name);
	refuse(r, fn, ctx, 403, where, what,
	       "an administrator permits it under registry.allow in sluiced.conf");
}

/* ---- changes ---- */

static const char *const kind_verb[] = {"register", "maintenance", "deregister"};

static void
audit(struct change *c, bool existed)
{
	const struct sl_registration *g = &c->next;
	char host[SL_ADDR_STRLEN];
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "verb", kind_verb[c->kind], "outcome", "ok",
			      "service", g->service, "endpoint", g->is.name);

	if (!o)
		return;
	if (c->kind == PUT) {
		sl_addr_format(&g->is.addr, host);
		json_object_set_new(o, "address", json_string(host));
		json_object_set_new(o, "port", json_integer(g->is.port));
		json_object_set_new(o, "new", json_boolean(!existed));
	}
	if (c->kind == MAINTAIN) {
		json_object_set_new(o, "on", json_boolean(g->maintenance_ms != 0));
		json_object_set_new(o, "reason", json_string(g->reason));
	}
	int err = sl_audit_note(c->r->audit, sl_registry_wall_ms(c->r), c->who.uid, c->who.name, o);
	if (err)
		sl_registry_say(c->r, "audit log: cannot write: %s", strerror(-err));
}

/* c is on disk. */
static void
apply(struct change *c)
{
	struct sl_registry *r = c->r;
	struct entry *e = c->e;

	if (e->live && e->now.silent_ms && c->kind != MAINTAIN)
		r->stats.silent--;
	if (c->kind == REMOVE) {
		sl_registry_set_live(r, e, false);
		free(e->line);
		e->line = NULL;
		r->stats.removed++;
		return;
	}
	free(e->line);
	e->line = c->line;
	c->line = NULL;
	if (c->kind == MAINTAIN) { /* what else is there may have changed meanwhile */
		e->now.maintenance_ms = c->next.maintenance_ms;
		memcpy(e->now.maintenance_by, c->next.maintenance_by,
		       sizeof(e->now.maintenance_by));
		memcpy(e->now.reason, c->next.reason, sizeof(e->now.reason));
	} else {
		e->now = c->next;
		sl_registry_set_live(r, e, true);
		e->heard_ms = sl_registry_wall_ms(r);
		r->stats.registered++;
		sl_registry_start_clock(r, e);
	}
}

static void
finish(struct change *c)
{
	struct entry *e = c->e;

	c->r->waiting--;
	if (--e->pending == 0) {
		free(e->plan);
		e->plan = NULL;
	}
	sl_registry_drop(c->r, e);
	free(c->line);
	free(c);
}

static void
on_kept(void *ctx, int err)
{
	struct change *c = ctx;
	struct sl_registry *r = c->r;
	struct entry *e = c->e;
	bool existed = e->live;
	char where[2 * SL_NAME_MAX];

	if (err) {
		char what[128];
		snprintf(where, sizeof(where), "%s/%s", c->next.service, c->next.is.name);
		snprintf(what, sizeof(what), "the change could not be kept: %s", strerror(-err));
		refuse(r, c->fn, c->ctx, 500, where, what,
		       "nothing was changed; see the disk of sluiced's state_dir, then try again");
	} else if (c->kind == REMOVE && !existed) {
		snprintf(where, sizeof(where), "%s/%s", c->next.service, c->next.is.name);
		refuse(r, c->fn, c->ctx, 404, where, "no such endpoint is registered", "");
	} else {
		apply(c);
		audit(c, existed);
		sl_registry_changed(r, e);
		agree(e, c->kind == REMOVE ? 204 : existed ? 200 : 201, c->fn, c->ctx);
	}
	finish(c);
}

/* Puts the planned change on its way.  Owns c. */
static void
commit(struct change *c)
{
	struct sl_registry *r = c->r;
	struct entry *e = c->e;
	char *record = sl_registry_record(&c->next, c->kind == REMOVE);

	c->line = record ? sl_registry_journal_line(record) : NULL;
	free(record);
	if (c->line && !e->plan)
		e->plan = malloc(sizeof(*e->plan));
	if (!c->line || !e->plan || r->waiting >= SL_REGISTRY_WAITING ||
	    sl_registry_journal_add(r->journal, c->line, on_kept, c)) {
		bool full = r->waiting >= SL_REGISTRY_WAITING;
		if (e->pending == 0) {
			free(e->plan);
			e->plan = NULL;
		}
		refuse(r, c->fn, c->ctx, 503, "",
		       full ? "too many changes wait for the disk" : "out of memory",
		       "try again in a moment");
		sl_registry_drop(r, e);
		free(c->line);
		free(c);
		return;
	}
	*e->plan = c->next;
	e->plan_live = c->kind != REMOVE;
	e->pending++;
	r->waiting++;
}

/* What a change is planned upon; NULL: the endpoint is none, or will be none. */
static const struct sl_registration *
planned(const struct entry *e)
{
	if (!e || !(e->pending ? e->plan_live : e->live))
		return NULL;
	return e->pending ? e->plan : &e->now;
}

static bool
same(const struct sl_registration *a, const struct sl_registration *b)
{
	const struct sl_source_endpoint *x = &a->is, *y = &b->is;

	return sl_addr_eq(&x->addr, &y->addr) && x->port == y->port && x->weight == y->weight &&
	       x->priority == y->priority && x->percent == y->percent && x->drain == y->drain &&
	       strcmp(x->locality, y->locality) == 0 && strcmp(x->meta, y->meta) == 0 &&
	       a->ttl_s == b->ttl_s && strcmp(a->by, b->by) == 0;
}

static struct change *
make_change(struct sl_registry *r, enum kind kind, struct entry *e,
	    const struct sl_registry_who *who, sl_registry_fn *fn, void *ctx)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->r = r;
	c->e = e;
	c->kind = kind;
	c->who = *who;
	c->fn = fn;
	c->ctx = ctx;
	return c;
}

/* The names of a request; false: answered. */
static bool
names(struct sl_registry *r, const char *service, const char *endpoint, struct sl_registration *ret,
      char where[2 * SL_NAME_MAX], sl_registry_fn *fn, void *ctx)
{
	static const char hint[] = "1–63 of A–Z a–z 0–9 . _ -, the first a letter or digit";

	memset(ret, 0, sizeof(*ret));
	if (!sl_registry_name(service, ret->service))
		refuse(r, fn, ctx, 400, "service", "not a name", hint);
	else if (!sl_registry_name(endpoint, ret->is.name))
		refuse(r, fn, ctx, 400, "endpoint", "not a name", hint);
	else
		return snprintf(where, 2 * SL_NAME_MAX, "%s/%s", service, endpoint) > 0;
	return false;
}

/* "weight: 300 is not in 0–256" → where "weight"; else the body */
static void
refuse_body(struct sl_registry *r, const char *why, sl_registry_fn *fn, void *ctx)
{
	static const char hint[] = "the keys are in sluiced.conf(5), under registry";
	size_t n = strcspn(why, ": ");
	char where[64];

	if (strncmp(why + n, ": ", 2) == 0 && n < sizeof(where)) {
		snprintf(where, sizeof(where), "%.*s", (int)n, why);
		refuse(r, fn, ctx, 400, where, why + n + 2, hint);
	} else {
		refuse(r, fn, ctx, 400, "body", why, hint);
	}
}

void
sl_registry_put(struct sl_registry *r, const struct sl_registry_who *who, const char *service,
		const char *endpoint, const json_t *body, sl_registry_fn *fn, void *ctx)
{
	struct sl_registration next;
	char where[2 * SL_NAME_MAX], buf[256];

	if (!names(r, service, endpoint, &next, where, fn, ctx))
		return;
	const char *why = sl_registry_read_put(body, &next, buf, sizeof(buf));
	if (why) {
		refuse_body(r, why, fn, ctx);
		return;
	}
	struct entry *e = sl_registry_find(r, service, endpoint);
	const struct sl_registration *was = planned(e);
	if (!sl_registry_may(r, who, service, &next.is.addr) ||
	    (was && !sl_registry_may(r, who, service, &was->is.addr))) {
		deny(r, who, where, fn, ctx);
		return;
	}
	snprintf(next.by, sizeof(next.by), "%s", who->name);
	if (was && e->pending == 0 && same(was, &next)) {
		was_heard(r, e);
		agree(e, 200, fn, ctx);
		return;
	}
	const struct service *s = sl_registry_find_service(r, service);
	if (!e && (r->all_cnt >= SL_REGISTRY_MAX || (s && s->cnt >= SL_MAX_SERVICE_ENDPOINTS))) {
		refuse(r, fn, ctx, 503, where, "there are as many endpoints as there can be",
		       "deregister some");
		return;
	}
	next.since_ms = sl_registry_wall_ms(r);
	if (was) {
		next.maintenance_ms = was->maintenance_ms;
		memcpy(next.maintenance_by, was->maintenance_by, sizeof(next.maintenance_by));
		memcpy(next.reason, was->reason, sizeof(next.reason));
	}
	if (!e)
		e = sl_registry_make(r, service, endpoint);
	struct change *c = e ? make_change(r, PUT, e, who, fn, ctx) : NULL;
	if (!c) {
		if (e)
			sl_registry_drop(r, e);
		refuse(r, fn, ctx, 503, where, "out of memory", "try again in a moment");
		return;
	}
	c->next = next;
	commit(c);
}

/* The endpoint that a request is about, as it is planned; NULL: answered. */
static struct entry *
known(struct sl_registry *r, const struct sl_registry_who *who, const char *service,
      const char *endpoint, char where[2 * SL_NAME_MAX], sl_registry_fn *fn, void *ctx)
{
	struct sl_registration name;

	if (!names(r, service, endpoint, &name, where, fn, ctx))
		return NULL;
	struct entry *e = sl_registry_find(r, service, endpoint);
	const struct sl_registration *was = planned(e);
	if (!sl_registry_may(r, who, service, was ? &was->is.addr : NULL)) {
		deny(r, who, where, fn, ctx);
		return NULL;
	}
	if (was)
		return e;
	refuse(r, fn, ctx, 404, where, "no such endpoint is registered", "register it");
	return NULL;
}

void
sl_registry_maintain(struct sl_registry *r, const struct sl_registry_who *who, const char *service,
		     const char *endpoint, const json_t *body, sl_registry_fn *fn, void *ctx)
{
	char where[2 * SL_NAME_MAX], buf[256], reason[SL_REGISTRY_REASON];
	bool on;
	struct entry *e = known(r, who, service, endpoint, where, fn, ctx);
	const char *why = e ? sl_registry_read_maintain(body, &on, reason, buf, sizeof(buf)) : NULL;

	if (why)
		refuse_body(r, why, fn, ctx);
	if (!e || why)
		return;
	struct change *c = make_change(r, MAINTAIN, e, who, fn, ctx);
	if (!c) {
		refuse(r, fn, ctx, 503, where, "out of memory", "try again in a moment");
		return;
	}
	c->next = *planned(e);
	c->next.maintenance_ms = on ? sl_registry_wall_ms(r) : 0;
	memcpy(c->next.reason, reason, sizeof(reason));
	snprintf(c->next.maintenance_by, sizeof(c->next.maintenance_by), "%s", who->name);
	commit(c);
}

void
sl_registry_remove(struct sl_registry *r, const struct sl_registry_who *who, const char *service,
		   const char *endpoint, sl_registry_fn *fn, void *ctx)
{
	char where[2 * SL_NAME_MAX];
	struct entry *e = known(r, who, service, endpoint, where, fn, ctx);
	struct change *c = e ? make_change(r, REMOVE, e, who, fn, ctx) : NULL;

	if (c) {
		c->next = *planned(e);
		commit(c);
	} else if (e) {
		refuse(r, fn, ctx, 503, where, "out of memory", "try again in a moment");
	}
}

/* ---- what nobody waits for ---- */

/* e->now changed; kept when the disk comes to it. */
void
sl_registry_keep_later(struct sl_registry *r, struct entry *e)
{
	char *record = sl_registry_record(&e->now, !e->live);
	char *line = record ? sl_registry_journal_line(record) : NULL;

	free(record);
	if (line)
		(void)sl_registry_journal_add(r->journal, line, NULL, NULL);
	free(e->line);
	e->line = e->live ? line : NULL;
	if (!e->live)
		free(line);
}

static void
was_heard(struct sl_registry *r, struct entry *e)
{
	e->heard_ms = sl_registry_wall_ms(r);
	if (e->now.silent_ms) {
		e->now.silent_ms = 0;
		r->stats.silent--;
		sl_registry_say(r, "registry: %s/%s is heard again", e->of->name, e->now.is.name);
		if (e->pending == 0)
			sl_registry_keep_later(r, e);
		sl_registry_changed(r, e);
	}
	sl_registry_start_clock(r, e);
}

void
sl_registry_heartbeat(struct sl_registry *r, const struct sl_registry_who *who, const char *service,
		      const char *endpoint, const json_t *body, sl_registry_fn *fn, void *ctx)
{
	char where[2 * SL_NAME_MAX], buf[256];
	struct entry *e = known(r, who, service, endpoint, where, fn, ctx);
	uint8_t percent = e ? e->now.is.percent : 0;
	bool drain = e && e->now.is.drain;
	const char *why =
		e ? sl_registry_read_heartbeat(body, &percent, &drain, buf, sizeof(buf)) : NULL;

	if (why)
		refuse_body(r, why, fn, ctx);
	if (!e || why)
		return;
	r->stats.heartbeats++;
	if (e->live)
		was_heard(r, e);
	if (e->live && (e->now.is.percent != percent || e->now.is.drain != drain)) {
		bool keep = e->now.is.drain != drain && e->pending == 0;
		e->now.is.percent = percent;
		e->now.is.drain = drain;
		if (keep)
			sl_registry_keep_later(r, e);
		sl_registry_changed(r, e);
	}
	agree(e, 200, fn, ctx);
}
