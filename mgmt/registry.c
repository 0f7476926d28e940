/* Services in a hash by name, each with its endpoints sorted by name; all endpoints once more in one array, which the sweep
 * walks.  A change is planned upon what is there or, while others of the same endpoint are on their way to the disk, upon the last
 * of these; it is applied when it is on disk:
 *
 *   put, maintain, remove ──plan, journal──▶ on_kept ──▶ apply ──▶ answer, audit, questions
 *   sweep (silence), heartbeat ──apply──▶ journal, nobody waits ──▶ questions
 */
#include "mgmt/registry.h"

#include "mgmt/audit.h"
#include "mgmt/registry_journal.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BUCKETS 4096
#define SWEEP_MS 250
#define STALL_MS 1000 /* a sweep that comes later than that did not run, and nobody's time ran */
#define CONFIRM_SWEEPS 20

struct service;

struct entry {
	struct service *of;
	struct sl_registration now;
	struct sl_registration *plan; /* what it will be; NULL: no change is under way */
	char *line;                   /* of now, as it is kept; NULL: not live */
	unsigned pending;             /* changes under way */
	bool live, plan_live;
	uint32_t all_idx;
	uint64_t due_ms;  /* live with a TTL: silent then; silent: removed then */
	int64_t heard_ms; /* wall; 0: not since the start */
};

struct question {
	uint32_t id;
	struct service *of;
};

struct service {
	struct service *next, *next_dirty;
	char name[256];
	struct entry **entries; /* [cnt], by name */
	uint32_t cnt, room, live_cnt;
	uint32_t asked; /* questions */
	bool dirty;
};

struct sl_registry {
	uv_loop_t *loop;
	const struct sl_registry_conf *conf;
	struct sl_audit *audit;
	struct sl_registry_events ev;
	struct sl_registry_journal *journal;
	const struct sl_source_sink *sink;
	struct service *bucket[BUCKETS];
	struct service *dirty;
	struct entry **all; /* [all_cnt] */
	uint32_t all_cnt, all_room;
	struct question *questions; /* [question_cnt] */
	uint32_t question_cnt, question_room;
	uv_timer_t *sweep, *answer;
	uint64_t swept_ms;
	unsigned sweeps;
	uint32_t waiting;
	struct sl_registry_stats stats;
	uint64_t denied_said_ms, denied_unsaid;
};

enum kind { PUT, MAINTAIN, REMOVE };

struct change {
	struct sl_registry *r;
	struct entry *e;
	enum kind kind;
	struct sl_registration next;
	bool was_live; /* before, as planned */
	char *line;
	struct sl_registry_who who;
	sl_registry_fn *fn;
	void *ctx;
};

static void mark(struct sl_registry *r, struct service *s);
static void was_heard(struct sl_registry *r, struct entry *e);

static int64_t
wall_ms(const struct sl_registry *r)
{
	struct timespec ts;

	if (r->ev.wall_ms)
		return r->ev.wall_ms();
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
say(struct sl_registry *r, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (r->ev.say)
		r->ev.say(r->ev.ctx, line);
}

/* ---- who ---- */

void
sl_registry_who_identity(const struct sl_registry_conf *conf, const char *identity,
			 struct sl_registry_who *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->name, sizeof(ret->name), "%s", identity);
	ret->uid = -1;
	for (unsigned i = 0; i < conf->allow_cnt; i++)
		if (conf->allow[i].identity[0] &&
		    sl_registry_pattern(conf->allow[i].identity, identity))
			ret->fits |= 1ull << i;
}

void
sl_registry_who_peer(const struct sl_registry_conf *conf, const struct sl_peer *peer,
		     struct sl_registry_who *ret)
{
	memset(ret, 0, sizeof(*ret));
	snprintf(ret->name, sizeof(ret->name), "%s", peer->user);
	ret->uid = (int64_t)peer->uid;
	ret->role = peer->role;
	for (unsigned i = 0; i < conf->allow_cnt; i++)
		if (conf->allow[i].users.cnt &&
		    sl_roles_of(&conf->allow[i].users, (uid_t)-1, peer->uid, peer->gid,
				peer->gid_cnt) != SL_ROLE_NONE)
			ret->fits |= 1ull << i;
}

static bool
may(const struct sl_registry *r, const struct sl_registry_who *who, const char *service,
    const struct sl_addr *addr)
{
	return who->role >= SL_ROLE_OPERATOR ||
	       sl_registry_allowed(r->conf, who->fits, service, addr);
}

static bool
sees(const struct sl_registry *r, const struct sl_registry_who *who, const char *service)
{
	return who->role >= SL_ROLE_VIEWER ||
	       sl_registry_allowed(r->conf, who->fits, service, NULL);
}

/* ---- services and endpoints ---- */

static unsigned
hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (h ^ h >> 16) % BUCKETS;
}

static struct service *
find_service(const struct sl_registry *r, const char *name)
{
	struct service *s = r->bucket[hash(name)];

	while (s && strcmp(s->name, name))
		s = s->next;
	return s;
}

static struct service *
make_service(struct sl_registry *r, const char *name)
{
	struct service *s = find_service(r, name), **at = &r->bucket[hash(name)];

	if (s || !(s = calloc(1, sizeof(*s))))
		return s;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->next = *at;
	*at = s;
	return s;
}

static void
drop_service(struct sl_registry *r, struct service *s)
{
	struct service **at = &r->bucket[hash(s->name)];

	if (s->cnt || s->asked || s->dirty)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free(s->entries);
	free(s);
}

/* Where name stands, or would. */
static uint32_t
place(const struct service *s, const char *name, bool *ret_there)
{
	uint32_t lo = 0, hi = s->cnt;

	*ret_there = false;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(s->entries[mid]->now.is.name, name);
		if (c == 0) {
			*ret_there = true;
			return mid;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *
find_entry(const struct sl_registry *r, const char *service, const char *name)
{
	const struct service *s = find_service(r, service);
	bool there = false;
	uint32_t i = s ? place(s, name, &there) : 0;

	return there ? s->entries[i] : NULL;
}

static int
grow(void **array, uint32_t cnt, uint32_t *room, size_t size)
{
	if (cnt < *room)
		return 0;
	void *more = realloc(*array, (2 * (size_t)*room + 8) * size);
	if (!more)
		return -ENOMEM;
	*array = more;
	*room = 2 * *room + 8;
	return 0;
}

/* An endpoint that is not live yet.  NULL: no memory. */
static struct entry *
make_entry(struct sl_registry *r, const char *service, const char *name)
{
	struct service *s = make_service(r, service);
	struct entry *e = s ? calloc(1, sizeof(*e)) : NULL;
	bool there;

	if (!e || grow((void **)&s->entries, s->cnt, &s->room, sizeof(struct entry *)) ||
	    grow((void **)&r->all, r->all_cnt, &r->all_room, sizeof(struct entry *))) {
		free(e);
		if (s)
			drop_service(r, s);
		return NULL;
	}
	e->of = s;
	memcpy(e->now.service, s->name, SL_NAME_MAX);
	snprintf(e->now.is.name, SL_NAME_MAX, "%s", name);
	uint32_t at = place(s, name, &there);
	memmove(s->entries + at + 1, s->entries + at, (s->cnt - at) * sizeof(struct entry *));
	s->entries[at] = e;
	s->cnt++;
	e->all_idx = r->all_cnt;
	r->all[r->all_cnt++] = e;
	return e;
}

/* Frees an endpoint that is not live and has no change under way. */
static void
drop_entry(struct sl_registry *r, struct entry *e)
{
	struct service *s = e->of;
	bool there;

	if (e->live || e->pending)
		return;
	uint32_t at = place(s, e->now.is.name, &there);
	memmove(s->entries + at, s->entries + at + 1, (s->cnt - at - 1) * sizeof(struct entry *));
	s->cnt--;
	r->all[e->all_idx] = r->all[--r->all_cnt];
	r->all[e->all_idx]->all_idx = e->all_idx;
	free(e->plan);
	free(e->line);
	free(e);
	drop_service(r, s);
}

static void
set_live(struct sl_registry *r, struct entry *e, bool live)
{
	if (e->live != live) {
		e->of->live_cnt += live ? 1 : -1u;
		r->stats.endpoints += live ? 1 : -1u;
	}
	e->live = live;
}

/* Its time runs from now on. */
static void
start_clock(struct sl_registry *r, struct entry *e)
{
	uint64_t wait = e->now.silent_ms ? r->conf->remove_after_ms : (uint64_t)e->now.ttl_s * 1000;

	e->due_ms = uv_now(r->loop) + wait;
}

/* ---- answers to questions ---- */

static void
fill_answer(const struct service *s, struct sl_source_endpoint *out, uint32_t *ret_cnt,
	    uint32_t *ret_silent)
{
	uint32_t n = 0, silent = 0;

	for (uint32_t i = 0; i < s->cnt; i++) {
		const struct entry *e = s->entries[i];
		if (!e->live)
			continue;
		out[n] = e->now.is;
		out[n].drain |= e->now.maintenance_ms != 0;
		out[n].down = e->now.silent_ms != 0;
		silent += out[n++].down;
	}
	*ret_cnt = n;
	*ret_silent = silent;
}

static void
answer_service(struct sl_registry *r, const struct service *s)
{
	struct sl_source_endpoint *out = calloc(s->cnt + 1u, sizeof(*out));
	uint32_t cnt, silent;
	char note[64] = "";

	if (out)
		fill_answer(s, out, &cnt, &silent);
	if (out && silent)
		snprintf(note, sizeof(note), "%u of %u silent", silent, cnt);
	for (uint32_t i = 0; i < r->question_cnt && s->asked; i++) {
		if (r->questions[i].of != s)
			continue;
		if (out)
			r->sink->answer(r->sink->ctx, r->questions[i].id, out, cnt, 0, note);
		else
			r->sink->trouble(r->sink->ctx, r->questions[i].id, "out of memory");
	}
	free(out);
}

static void
on_answer(uv_timer_t *t)
{
	struct sl_registry *r = t->data;

	while (r->dirty) {
		struct service *s = r->dirty;
		r->dirty = s->next_dirty;
		s->dirty = false;
		if (r->sink && s->asked)
			answer_service(r, s);
		drop_service(r, s);
	}
}

/* All that changes within a turn of the loop goes into one answer. */
static void
mark(struct sl_registry *r, struct service *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next_dirty = r->dirty;
	r->dirty = s;
	uv_timer_start(r->answer, on_answer, 0, 0);
}

static void
changed(struct sl_registry *r, const struct entry *e)
{
	mark(r, e->of);
	if (r->ev.changed)
		r->ev.changed(r->ev.ctx, e->of->name, e->now.is.name, e->live ? &e->now : NULL);
}

static int
ask(void *source, uint32_t id, const char *service, const struct sl_conf_discover *q)
{
	struct sl_registry *r = source;
	struct service *s = make_service(r, q->name[0] ? q->name : service);

	if (!s)
		return -ENOMEM;
	if (grow((void **)&r->questions, r->question_cnt, &r->question_room,
		 sizeof(*r->questions))) {
		drop_service(r, s);
		return -ENOMEM;
	}
	r->questions[r->question_cnt++] = (struct question){id, s};
	s->asked++;
	mark(r, s);
	return 0;
}

static void
drop(void *source, uint32_t id)
{
	struct sl_registry *r = source;

	for (uint32_t i = 0; i < r->question_cnt; i++) {
		struct service *s = r->questions[i].of;
		if (r->questions[i].id != id)
			continue;
		r->questions[i] = r->questions[--r->question_cnt];
		s->asked--;
		drop_service(r, s);
		return;
	}
}

const struct sl_source_ops sl_registry_ops = {.ask = ask, .drop = drop};

void
sl_registry_link(struct sl_registry *r, const struct sl_source_sink *sink)
{
	r->sink = sink;
}

/* ---- what people see ---- */

static json_t *
time_json(int64_t ms)
{
	char buf[SL_AUDIT_TIMELEN];

	return ms ? json_string(sl_audit_time(ms, buf)) : json_null();
}

static const char *
state_of(const struct sl_registration *g)
{
	return g->silent_ms        ? "silent"
	       : g->maintenance_ms ? "maintenance"
	       : g->is.drain       ? "draining"
				   : "up";
}

static json_t *
show(const struct entry *e)
{
	const struct sl_registration *g = &e->now;
	json_t *o = sl_registry_endpoint(&g->is);
	json_t *m = g->maintenance_ms
			    ? json_pack("{s:s, s:o, s:s}", "by", g->maintenance_by, "since",
					time_json(g->maintenance_ms), "reason", g->reason)
			    : json_null();
	json_t *more =
		json_pack("{s:s, s:s, s:i, s:s, s:s, s:o, s:o, s:o, s:o, s:b}", "service",
			  g->service, "endpoint", g->is.name, "ttl_s", (int)g->ttl_s, "state",
			  state_of(g), "by", g->by, "since", time_json(g->since_ms), "heartbeat",
			  time_json(e->heard_ms), "silent_since", time_json(g->silent_ms),
			  "maintenance", m, "asked", e->of->asked > 0);

	if (o && more)
		json_object_update(more, o);
	json_decref(o);
	return more;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(struct service *const *)a)->name, (*(struct service *const *)b)->name);
}

/* Services that this peer sees, sorted; malloc'ed. */
static struct service **
list_services(struct sl_registry *r, const struct sl_registry_who *who, const char *service,
	      size_t *ret_cnt)
{
	struct service **list = malloc((r->all_cnt + 1u) * sizeof(*list));

	*ret_cnt = 0;
	for (unsigned b = 0; list && b < BUCKETS; b++)
		for (struct service *s = r->bucket[b]; s; s = s->next)
			if (s->live_cnt && (!service || !strcmp(service, s->name)) &&
			    sees(r, who, s->name))
				list[(*ret_cnt)++] = s;
	if (list)
		qsort(list, *ret_cnt, sizeof(struct service *), by_name);
	return list;
}

json_t *
sl_registry_show(struct sl_registry *r, const struct sl_registry_who *who, const char *service)
{
	json_t *rows = json_array();
	size_t cnt, silent = 0;
	struct service **list = list_services(r, who, service, &cnt);

	for (size_t i = 0; list && i < cnt; i++)
		for (uint32_t k = 0; k < list[i]->cnt; k++) {
			const struct entry *e = list[i]->entries[k];
			if (!e->live)
				continue;
			silent += e->now.silent_ms != 0;
			json_array_append_new(rows, show(e));
		}
	if (!list) {
		json_decref(rows);
		return NULL;
	}
	free(list);
	return json_pack("{s:o, s:I, s:I}", "endpoints", rows, "endpoint_cnt",
			 (json_int_t)json_array_size(rows), "silent_cnt", (json_int_t)silent);
}

void
sl_registry_each(struct sl_registry *r, void (*fn)(void *ctx, const struct sl_registration *reg),
		 void *ctx)
{
	for (uint32_t i = 0; i < r->all_cnt; i++)
		if (r->all[i]->live)
			fn(ctx, &r->all[i]->now);
}

void
sl_registry_stats(const struct sl_registry *r, struct sl_registry_stats *ret)
{
	*ret = r->stats;
	ret->services = 0;
	for (unsigned b = 0; b < BUCKETS; b++)
		for (const struct service *s = r->bucket[b]; s; s = s->next)
			ret->services += s->live_cnt > 0;
	sl_registry_journal_stats(r->journal, &ret->writes, &ret->records, &ret->failing);
}

/* ---- answers to peers ---- */

static void
refuse(struct sl_registry *r, sl_registry_fn *fn, void *ctx, unsigned status, const char *where,
       const char *what, const char *hint)
{
	const struct sl_registry_answer a = {status, what, where, hint, NULL};

	r->stats.refused += status != 403;
	fn(ctx, &a);
}

static void
agree(const struct entry *e, unsigned status, sl_registry_fn *fn, void *ctx)
{
	json_t *is = status == 204 ? NULL : show(e);
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

	r->stats.denied++;
	r->denied_unsaid++;
	if (now - r->denied_said_ms >= 1000 || r->denied_said_ms == 0) {
		json_t *o =
			json_pack("{s:s, s:s, s:s, s:I}", "verb", "registry", "outcome", "denied",
				  "endpoint", where, "denied", (json_int_t)r->denied_unsaid);
		say(r, "registry: %s may not change %s (%llu denied since the last such line)",
		    who->name, where, (unsigned long long)r->denied_unsaid);
		if (o)
			(void)sl_audit_note(r->audit, wall_ms(r), who->uid, who->name, o);
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
	int err = sl_audit_note(c->r->audit, wall_ms(c->r), c->who.uid, c->who.name, o);
	if (err)
		say(c->r, "audit log: cannot write: %s", strerror(-err));
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
		set_live(r, e, false);
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
		set_live(r, e, true);
		e->heard_ms = wall_ms(r);
		r->stats.registered++;
		start_clock(r, e);
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
	drop_entry(c->r, e);
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
		changed(r, e);
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
		drop_entry(r, e);
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
	struct entry *e = find_entry(r, service, endpoint);
	const struct sl_registration *was = planned(e);
	if (!may(r, who, service, &next.is.addr) || (was && !may(r, who, service, &was->is.addr))) {
		deny(r, who, where, fn, ctx);
		return;
	}
	snprintf(next.by, sizeof(next.by), "%s", who->name);
	if (was && e->pending == 0 && same(was, &next)) {
		was_heard(r, e);
		agree(e, 200, fn, ctx);
		return;
	}
	const struct service *s = find_service(r, service);
	if (!e && (r->all_cnt >= SL_REGISTRY_MAX || (s && s->cnt >= SL_MAX_SERVICE_ENDPOINTS))) {
		refuse(r, fn, ctx, 503, where, "there are as many endpoints as there can be",
		       "deregister some");
		return;
	}
	next.since_ms = wall_ms(r);
	if (was) {
		next.maintenance_ms = was->maintenance_ms;
		memcpy(next.maintenance_by, was->maintenance_by, sizeof(next.maintenance_by));
		memcpy(next.reason, was->reason, sizeof(next.reason));
	}
	if (!e)
		e = make_entry(r, service, endpoint);
	struct change *c = e ? make_change(r, PUT, e, who, fn, ctx) : NULL;
	if (!c) {
		if (e)
			drop_entry(r, e);
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
	struct entry *e = find_entry(r, service, endpoint);
	const struct sl_registration *was = planned(e);
	if (!may(r, who, service, was ? &was->is.addr : NULL)) {
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
	c->next.maintenance_ms = on ? wall_ms(r) : 0;
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
static void
keep_later(struct sl_registry *r, struct entry *e)
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
	e->heard_ms = wall_ms(r);
	if (e->now.silent_ms) {
		e->now.silent_ms = 0;
		r->stats.silent--;
		say(r, "registry: %s/%s is heard again", e->of->name, e->now.is.name);
		if (e->pending == 0)
			keep_later(r, e);
		changed(r, e);
	}
	start_clock(r, e);
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
			keep_later(r, e);
		changed(r, e);
	}
	agree(e, 200, fn, ctx);
}

static void
go_silent(struct sl_registry *r, struct entry *e)
{
	e->now.silent_ms = wall_ms(r);
	r->stats.silent++;
	say(r, "registry: %s/%s is silent: no heartbeat for %u s", e->of->name, e->now.is.name,
	    e->now.ttl_s);
	keep_later(r, e);
	start_clock(r, e);
	changed(r, e);
}

static void
expire(struct sl_registry *r, struct entry *e)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "verb", "expire", "outcome", "ok", "service",
			      e->of->name, "endpoint", e->now.is.name);

	say(r, "registry: %s/%s is removed: it was silent for %u s", e->of->name, e->now.is.name,
	    r->conf->remove_after_ms / 1000);
	if (o)
		(void)sl_audit_note(r->audit, wall_ms(r), -1, "sluiced", o);
	set_live(r, e, false);
	r->stats.silent--;
	r->stats.expired++;
	keep_later(r, e);
	changed(r, e);
	drop_entry(r, e);
}

/* Whether e would be removed by silence now: never the last one of a service. */
static bool
to_expire(const struct sl_registry *r, const struct entry *e)
{
	return e->now.silent_ms && r->conf->remove_after_ms && e->of->live_cnt > 1;
}

static void
look(struct sl_registry *r, uint64_t now)
{
	for (uint32_t i = r->all_cnt; i-- > 0;) { /* expire moves the last one to i */
		struct entry *e = r->all[i];
		if (!e->live || e->pending || !e->now.ttl_s || now < e->due_ms)
			continue;
		if (!e->now.silent_ms)
			go_silent(r, e);
		else if (to_expire(r, e))
			expire(r, e);
	}
}

static void
on_sweep(uv_timer_t *t)
{
	struct sl_registry *r = t->data;
	uint64_t now = uv_now(r->loop), late = now - r->swept_ms;

	/* Nobody could be heard while this process stood still. */
	if (late > SWEEP_MS + STALL_MS) {
		say(r, "registry: stood still for %llu ms; nobody's time ran meanwhile",
		    (unsigned long long)late);
		for (uint32_t i = 0; i < r->all_cnt; i++)
			r->all[i]->due_ms += late;
	}
	r->swept_ms = now;
	look(r, now);
	if (++r->sweeps % CONFIRM_SWEEPS == 0 && r->sink && r->sink->confirm)
		for (uint32_t i = 0; i < r->question_cnt; i++)
			r->sink->confirm(r->sink->ctx, r->questions[i].id);
}

/* ---- life ---- */

static bool
on_read(void *ctx, const char *record, size_t len)
{
	struct sl_registry *r = ctx;
	struct sl_registration g;
	bool gone;

	if (sl_registry_record_read(record, len, &g, &gone))
		return false;
	struct entry *e = find_entry(r, g.service, g.is.name);
	if (!e && gone)
		return true;
	if (!e && r->all_cnt < SL_REGISTRY_MAX)
		e = make_entry(r, g.service, g.is.name);
	if (!e)
		return false;
	char *text = gone ? NULL : strndup(record, len);
	char *line = text ? sl_registry_journal_line(text) : NULL;
	free(text);
	r->stats.silent += (!gone && g.silent_ms != 0) - (e->live && e->now.silent_ms != 0);
	free(e->line);
	e->line = line;
	if (!gone)
		e->now = g;
	set_live(r, e, !gone);
	start_clock(r, e);
	drop_entry(r, e);
	return true;
}

static void
on_snapshot(void *ctx, struct sl_registry_journal *j)
{
	struct sl_registry *r = ctx;

	for (uint32_t i = 0; i < r->all_cnt; i++)
		if (r->all[i]->live && r->all[i]->line)
			sl_registry_journal_keep(j, r->all[i]->line);
}

static void
on_journal_say(void *ctx, const char *line)
{
	struct sl_registry *r = ctx;

	say(r, "%s", line);
}

static uv_timer_t *
make_timer(struct sl_registry *r)
{
	uv_timer_t *t = calloc(1, sizeof(*t));

	if (t) {
		uv_timer_init(r->loop, t);
		t->data = r;
	}
	return t;
}

int
sl_registry_create(uv_loop_t *loop, const struct sl_registry_conf *conf, const char *state_dir,
		   struct sl_audit *audit_log, const struct sl_registry_events *ev,
		   struct sl_diag *diag, struct sl_diag *notes, struct sl_registry **ret_registry)
{
	struct sl_registry *r = calloc(1, sizeof(*r));
	char dir[1100];

	if (!r)
		return -ENOMEM;
	r->loop = loop;
	r->conf = conf;
	r->audit = audit_log;
	r->ev = *ev;
	r->sweep = make_timer(r);
	r->answer = make_timer(r);
	snprintf(dir, sizeof(dir), "%s/registry", state_dir);
	const struct sl_registry_journal_conf jc = {loop,           dir, 0, on_read, on_snapshot,
						    on_journal_say, r};
	int err = r->sweep && r->answer ? sl_registry_journal_open(&jc, diag, notes, &r->journal)
					: -ENOMEM;
	if (err) {
		sl_registry_destroy(r);
		return err;
	}
	uv_update_time(loop);
	r->swept_ms = uv_now(loop);
	for (uint32_t i = 0; i < r->all_cnt; i++)
		start_clock(r, r->all[i]);
	uv_timer_start(r->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
	*ret_registry = r;
	return 0;
}

bool
sl_registry_busy(const struct sl_registry *r)
{
	return r && sl_registry_journal_busy(r->journal);
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_registry_destroy(struct sl_registry *r)
{
	if (!r)
		return;
	if (r->sweep)
		uv_close((uv_handle_t *)r->sweep, on_freed);
	if (r->answer)
		uv_close((uv_handle_t *)r->answer, on_freed);
	sl_registry_journal_close(r->journal);
	r->question_cnt = 0;
	for (uint32_t i = 0; i < r->all_cnt; i++) {
		free(r->all[i]->plan);
		free(r->all[i]->line);
		free(r->all[i]);
	}
	for (unsigned b = 0; b < BUCKETS; b++)
		while (r->bucket[b]) {
			struct service *s = r->bucket[b];
			r->bucket[b] = s->next;
			free(s->entries);
			free(s);
		}
	free(r->all);
	free(r->questions);
	free(r);
}
