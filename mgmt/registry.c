#include "mgmt/registry_priv.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SWEEP_MS 250
#define STALL_MS 1000 /* a sweep that comes later than that did not run, and nobody's time ran */
#define CONFIRM_SWEEPS 20

int64_t
sl_registry_wall_ms(const struct sl_registry *r)
{
	struct timespec ts;

	if (r->ev.wall_ms)
		return r->ev.wall_ms();
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void
sl_registry_say(struct sl_registry *r, const char *fmt, ...)
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

bool
sl_registry_may(const struct sl_registry *r, const struct sl_registry_who *who, const char *service,
		const struct sl_addr *addr)
{
	return who->role >= SL_ROLE_OPERATOR ||
	       sl_registry_allowed(r->conf, who->fits, service, addr);
}

bool
sl_registry_sees(const struct sl_registry *r, const struct sl_registry_who *who,
		 const char *service)
{
	return who->role >= SL_ROLE_VIEWER ||
	       sl_registry_allowed(r->conf, who->fits, service, NULL);
}

/* ---- silence ---- */

static void
go_silent(struct sl_registry *r, struct entry *e)
{
	e->now.silent_ms = sl_registry_wall_ms(r);
	r->stats.silent++;
	sl_registry_say(r, "registry: %s/%s is silent: no heartbeat for %u s", e->of->name,
			e->now.is.name, e->now.ttl_s);
	sl_registry_keep_later(r, e);
	sl_registry_start_clock(r, e);
	sl_registry_changed(r, e);
}

static void
expire(struct sl_registry *r, struct entry *e)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "verb", "expire", "outcome", "ok", "service",
			      e->of->name, "endpoint", e->now.is.name);

	sl_registry_say(r, "registry: %s/%s is removed: it was silent for %u s", e->of->name,
			e->now.is.name, r->conf->remove_after_ms / 1000);
	if (o)
		(void)sl_audit_note(r->audit, sl_registry_wall_ms(r), -1, "sluiced", o);
	sl_registry_set_live(r, e, false);
	r->stats.silent--;
	r->stats.expired++;
	sl_registry_keep_later(r, e);
	sl_registry_changed(r, e);
	sl_registry_drop(r, e);
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
		sl_registry_say(r, "registry: stood still for %llu ms; nobody's time ran meanwhile",
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

void
sl_registry_stats(const struct sl_registry *r, struct sl_registry_stats *ret)
{
	*ret = r->stats;
	ret->services = 0;
	for (unsigned b = 0; b < SL_REGISTRY_BUCKETS; b++)
		for (const struct service *s = r->bucket[b]; s; s = s->next)
			ret->services += s->live_cnt > 0;
	struct sl_registry_journal_stats j;
	sl_registry_journal_stats(r->journal, &j);
	ret->writes = j.writes;
	ret->records = j.records;
	ret->write_errors = j.errors;
	ret->journal_bytes = j.bytes;
	ret->failing = j.failing;
}

void
sl_registry_refused(struct sl_registry *r, unsigned status)
{
	unsigned why = status == 403                    ? SL_REGISTRY_DENIED
		       : status == 404                  ? SL_REGISTRY_UNKNOWN
		       : status == 429 || status == 503 ? SL_REGISTRY_BUSY
		       : status >= 500                  ? SL_REGISTRY_DISK
							: SL_REGISTRY_MALFORMED;

	r->stats.refused[why]++;
}

static bool
on_read(void *ctx, const char *record, size_t len)
{
	struct sl_registry *r = ctx;
	struct sl_registration g;
	bool gone;

	if (sl_registry_record_read(record, len, &g, &gone))
		return false;
	struct entry *e = sl_registry_find(r, g.service, g.is.name);
	if (!e && gone)
		return true;
	if (!e && r->all_cnt < SL_REGISTRY_MAX)
		e = sl_registry_make(r, g.service, g.is.name);
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
	sl_registry_set_live(r, e, !gone);
	sl_registry_start_clock(r, e);
	sl_registry_drop(r, e);
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

	sl_registry_say(r, "%s", line);
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
		sl_registry_start_clock(r, r->all[i]);
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
	for (unsigned b = 0; b < SL_REGISTRY_BUCKETS; b++)
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
