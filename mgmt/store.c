#include "mgmt/store.h"

#include "mgmt/daemon.h"
#include "mgmt/etcd_view.h"
#include "mgmt/registry_record.h"
#include "mgmt/store_registry.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define AGAIN_MS 5000 /* until a table is tried again that failed for want of room */
#define PROBLEMS 20   /* told in a status */

struct sl_store {
	struct sl_daemon *d;
	const struct sl_store_conf *c;
	const struct sl_source_conf *source;
	struct sl_etcd *etcd;
	struct sl_etcd_view *view;
	char key[SL_ETCD_KEY_MAX], status_key[SL_ETCD_KEY_MAX];
	/* the table as etcd has it; modified 0: none */
	char *text;
	size_t len;
	uint64_t modified;
	bool whole, seen;
	uint64_t handled; /* the change that was pushed, or needed no push */
	bool pushing, stopped;
	char why[512]; /* the trouble with etcd; "": none */
	int64_t trouble_ms, good_ms;
	uint64_t troubles, conflicts;
	/* what became of it */
	enum sl_store_state state;
	uint64_t revision, generation;
	int64_t at_ms;
	json_t *problems;
	bool unwritten; /* the status is not in etcd yet */
	struct sl_etcd_call *writing;
	uv_timer_t *timer; /* of writing and trying again; freed by its close callback */
	unsigned tries;
	uint64_t rng, again;                /* uv_now: a failed table is due; 0: none */
	struct sl_store_registry *registry; /* NULL: not shared */
	struct put *puts;
	struct show *shows;
};

/* push --store, under way. */
struct put {
	struct put *next;
	struct sl_store *store;
	struct sl_etcd_call *call;
	bool swap;
	sl_store_put_fn *fn;
	void *ctx;
};

static void take(struct sl_store *s);

/* ---- status ---- */

static void
time_text(int64_t ms, char ret[32])
{
	time_t t = (time_t)(ms / 1000);
	struct tm tm;

	gmtime_r(&t, &tm);
	size_t n = strftime(ret, 32, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + n, 32 - n, ".%03dZ", (int)(ms % 1000));
}

static json_t *
status_json(const struct sl_store *s)
{
	char at[32];

	time_text(s->at_ms, at);
	return json_pack("{s:s, s:I, s:I, s:s, s:O}", "state", sl_store_state_name(s->state),
			 "revision", (json_int_t)s->revision, "generation",
			 (json_int_t)s->generation, "at", at, "problems", s->problems);
}

static void on_timer(uv_timer_t *t);

/* The timer goes off for what is due first. */
static void
arm(struct sl_store *s, uint64_t ms)
{
	if (!s->stopped)
		uv_timer_start(s->timer, on_timer, ms, 0);
}

static void
on_written(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct sl_store *s = ctx;

	(void)error;
	(void)body;
	(void)len;
	s->writing = NULL;
	if (code == SL_ETCD_OK) {
		s->tries = 0;
		if (s->unwritten) /* it has changed meanwhile */
			arm(s, 0);
		return;
	}
	if (s->tries == 0)
		sl_daemon_say("store: %s cannot be written, and is tried again: %s", s->status_key,
			      error);
	s->unwritten = true;
	arm(s, sl_source_pause(++s->tries, &s->rng));
}

static void
write_status(struct sl_store *s)
{
	json_t *j = status_json(s);
	char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;

	json_decref(j);
	s->unwritten = false;
	if (!text || sl_etcd_ask(s->etcd, "/v3/kv/put",
				 sl_etcd_wire_ask_put(s->status_key, text, strlen(text), 0),
				 on_written, s, &s->writing)) {
		s->unwritten = true;
		arm(s, AGAIN_MS);
	}
	free(text);
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_store *s = t->data;

	if (s->again && uv_now(s->d->loop) >= s->again) {
		s->again = 0;
		s->handled = 0;
		take(s);
	}
	if (s->unwritten && !s->writing)
		write_status(s);
	if (s->again && !uv_is_active((uv_handle_t *)t))
		arm(s, s->again - SL_MIN(uv_now(s->d->loop), s->again));
}

/* problems: taken. */
static void
become(struct sl_store *s, enum sl_store_state state, uint64_t generation, json_t *problems)
{
	json_decref(s->problems);
	s->problems = problems ? problems : json_array();
	s->state = state;
	s->generation = generation;
	s->at_ms = sl_daemon_wall_ms();
	s->unwritten = true;
	if (!s->writing)
		arm(s, 0);
}

/* ---- the table ---- */

static json_t *
problems_of(const struct sl_push_result *r)
{
	json_t *list = json_array();
	char line[1800];

	for (unsigned i = 0; r->diag && i < r->diag->cnt && i < PROBLEMS; i++) {
		sl_diag_format(&r->diag->items[i], line, sizeof(line));
		json_array_append_new(list, json_string(line));
	}
	for (unsigned i = 0; r->verdict && i < r->verdict->reason_cnt && i < PROBLEMS; i++)
		json_array_append_new(list, json_string(r->verdict->reasons[i]));
	return list;
}

static void
on_pushed(void *ctx, const struct sl_push_result *r)
{
	struct sl_store *s = ctx;
	json_t *problems = problems_of(r);
	const char *first = json_string_value(json_array_get(problems, 0));
	enum sl_store_state is =
		r->outcome == SL_PUSH_ACTIVE                                     ? SL_STORE_ACTIVE
		: r->outcome == SL_PUSH_PENDING || r->outcome == SL_PUSH_TIMEOUT ? SL_STORE_PENDING
		: r->outcome == SL_PUSH_CONFIG || r->outcome == SL_PUSH_REFUSED  ? SL_STORE_REFUSED
										 : SL_STORE_FAILED;

	s->pushing = false;
	if (is == SL_STORE_FAILED)
		s->again = uv_now(s->d->loop) + AGAIN_MS;
	sl_daemon_say("store: revision %llu of %s is %s%s%s", (unsigned long long)s->revision,
		      s->key, sl_store_state_name(is), first ? ": " : "", first ? first : "");
	become(s, is, r->generation, problems);
	if (is == SL_STORE_FAILED)
		arm(s, 0);
	take(s); /* what came meanwhile */
}

static bool
is_active(const struct sl_store *s)
{
	const struct sl_table *t = sl_tables_active(s->d->tables);

	return t && t->push->text_len == s->len && memcmp(t->push->text, s->text, s->len) == 0;
}

static void
take(struct sl_store *s)
{
	char comment[160];

	if (s->stopped || s->pushing || s->modified == 0 || s->modified == s->handled)
		return;
	s->handled = s->revision = s->modified;
	s->again = 0;
	if (is_active(s) && !sl_tables_next(s->d->tables)) {
		become(s, SL_STORE_ACTIVE, sl_tables_active(s->d->tables)->push->number, NULL);
		return;
	}
	snprintf(comment, sizeof(comment), "revision %llu in the store (source %s)",
		 (unsigned long long)s->modified, s->source->name);
	struct sl_push_request q = {.uid = -1,
				    .user = "etcd",
				    .file = s->key,
				    .comment = comment,
				    .text = s->text,
				    .len = s->len};
	s->pushing = true;
	sl_tables_push(s->d->tables, &q, on_pushed, s);
}

void
sl_store_activated(struct sl_store *s)
{
	const struct sl_table *t = s ? sl_tables_active(s->d->tables) : NULL;

	if (!t || s->stopped || s->pushing || s->generation == 0)
		return;
	if (s->state == SL_STORE_PENDING && t->push->number == s->generation)
		become(s, SL_STORE_ACTIVE, s->generation, NULL);
	else if (s->state == SL_STORE_ACTIVE && t->push->number != s->generation)
		become(s, SL_STORE_REPLACED, t->push->number, NULL);
}

void
sl_store_verdict(struct sl_store *s, const struct sl_publish_verdict *v)
{
	if (!s || s->stopped || s->state != SL_STORE_PENDING || v->generation != s->generation ||
	    v->outcome == SL_CTL_ACTIVE)
		return;
	struct sl_push_result r = {.verdict = v};
	become(s, SL_STORE_REFUSED, s->generation, problems_of(&r));
}

/* ---- what the view tells ---- */

static void
on_begin(void *ctx)
{
	((struct sl_store *)ctx)->seen = false;
}

static void
forget(struct sl_store *s)
{
	if (s->modified)
		sl_daemon_say("store: %s is not there any more: the table that is active stays",
			      s->key);
	free(s->text);
	s->text = NULL;
	s->modified = 0;
}

static void
on_put(void *ctx, const struct sl_etcd_kv *kv)
{
	struct sl_store *s = ctx;
	char *text;

	if (kv->key[0]) /* a key that only begins like ours */
		return;
	s->seen = true;
	if (kv->modified == s->modified || !(text = malloc(kv->value_len + 1)))
		return;
	memcpy(text, kv->value, kv->value_len + 1);
	free(s->text);
	s->text = text;
	s->len = kv->value_len;
	s->modified = kv->modified;
}

static void
on_gone(void *ctx, const char *key)
{
	if (!key[0])
		forget(ctx);
}

static void
good(struct sl_store *s)
{
	if (s->why[0])
		sl_daemon_say("store: etcd answers again");
	s->why[0] = 0;
	s->trouble_ms = 0;
	s->good_ms = sl_daemon_wall_ms();
}

static void
on_end(void *ctx)
{
	struct sl_store *s = ctx;

	good(s);
	if (!s->seen)
		forget(s);
	s->whole = true;
	take(s);
}

static void
on_confirm(void *ctx)
{
	good(ctx);
}

static void
on_trouble(void *ctx, const char *why)
{
	struct sl_store *s = ctx;

	s->troubles++;
	if (!s->why[0])
		s->trouble_ms = sl_daemon_wall_ms();
	if (strcmp(s->why, why) != 0)
		sl_daemon_say("store: %s", why);
	snprintf(s->why, sizeof(s->why), "%s", why);
}

static void
on_say(void *ctx, const char *line)
{
	(void)ctx;
	sl_daemon_say("store: %s", line);
}

/* ---- registrations ---- */

void
sl_store_registered(struct sl_store *s, const char *service, const char *endpoint,
		    const struct sl_registration *reg)
{
	char *text = NULL;

	if (!s || !s->registry)
		return;
	bool live = reg && !reg->silent_ms;
	json_t *j = live ? sl_registry_endpoint(&reg->is) : NULL;
	if (j && reg->maintenance_ms)
		json_object_set_new(j, "drain", json_true());
	text = j ? json_dumps(j, JSON_COMPACT) : NULL;
	json_decref(j);
	if ((live && !text) ||
	    sl_store_registry_set(s->registry, service, endpoint, text, reg ? reg->ttl_s : 0))
		sl_daemon_say("store: out of memory: %s/%s is not shared", service, endpoint);
	free(text);
}

static void
share(void *ctx, const struct sl_registration *reg)
{
	sl_store_registered(ctx, reg->service, reg->is.name, reg);
}

/* ---- push --store ---- */

static void
end_put(struct put *p, const char *code, const char *error, const char *hint, uint64_t revision)
{
	struct put **at = &p->store->puts;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	p->fn(p->ctx, code, error, hint, revision);
	free(p);
}

static void
on_put_answer(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct put *p = ctx;
	struct sl_etcd_answer a = {0};
	bool succeeded = !p->swap;
	char why[200], text[SL_ETCD_KEY_MAX + 100];

	p->call = NULL;
	if (code != SL_ETCD_OK) {
		end_put(p, "unavailable", error,
			"nothing may have been changed, or everything: see `show store`", 0);
		return;
	}
	int err = p->swap ? sl_etcd_wire_txn(body, len, "", &succeeded, &a, why, sizeof(why))
			  : sl_etcd_wire_range(body, len, "", &a, why, sizeof(why));
	if (err) {
		snprintf(text, sizeof(text), "the answer of etcd %s", why);
		end_put(p, "unavailable", text, NULL, 0);
	} else if (!succeeded) {
		p->store->conflicts++;
		snprintf(text, sizeof(text),
			 "somebody else changed %s meanwhile: it is at revision %llu",
			 p->store->key, (unsigned long long)(a.cnt ? a.kvs[0].modified : 0));
		end_put(p, "refused", text, "look at what is there now; --force replaces it", 0);
	} else {
		end_put(p, NULL, NULL, NULL, a.revision);
	}
	sl_etcd_wire_fini(&a);
}

void
sl_store_put(struct sl_store *s, const char *text, size_t len, bool force, sl_store_put_fn *fn,
	     void *ctx)
{
	struct put *p;

	if (!s || !s->c->table[0]) {
		fn(ctx, "invalid", "sluiced's file has no store with a table",
		   "store = { source = \"…\"; table = \"…\"; };", 0);
		return;
	}
	if (!s->whole && !force) {
		fn(ctx, "unavailable", s->why[0] ? s->why : "etcd has not answered yet",
		   "--force puts it there without knowing what there is", 0);
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		fn(ctx, "internal", "out of memory", NULL, 0);
		return;
	}
	*p = (struct put){.next = s->puts, .store = s, .swap = !force, .fn = fn, .ctx = ctx};
	s->puts = p;
	int err = force ? sl_etcd_ask(s->etcd, "/v3/kv/put",
				      sl_etcd_wire_ask_put(s->key, text, len, 0), on_put_answer, p,
				      &p->call)
			: sl_etcd_ask(s->etcd, "/v3/kv/txn",
				      sl_etcd_wire_ask_swap(s->key, text, len, s->modified),
				      on_put_answer, p, &p->call);
	if (err)
		end_put(p, "internal", "out of memory", NULL, 0);
}

bool
sl_store_gives_tables(const struct sl_store *s)
{
	return s && s->c->table[0];
}

const char *
sl_store_key(const struct sl_store *s)
{
	return s->key;
}

/* ---- show store ---- */

struct show {
	struct show *next;
	struct sl_store *store;
	struct sl_etcd_call *call;
	sl_store_show_fn *fn;
	void *ctx;
};

/* A row; j: taken, and anything at all. */
static void
add_row(json_t *rows, const char *gateway, json_t *j)
{
	if (!json_is_object(j)) {
		json_decref(j);
		j = json_object();
	}
	const json_t *first = json_array_get(json_object_get(j, "problems"), 0);
	json_object_set_new(j, "gateway", json_string(gateway));
	json_object_set_new(j, "problem",
			    json_string(json_is_string(first) ? json_string_value(first) : ""));
	json_array_append_new(rows, j);
}

static json_t *
show_answer(const struct sl_store *s, const struct sl_etcd_answer *others, const char *trouble)
{
	json_t *rows = json_array();
	char why[160];
	struct sl_store_registry_stats g = {0};

	if (s->registry)
		sl_store_registry_stats(s->registry, &g);
	if (s->c->table[0])
		add_row(rows, s->c->gateway, status_json(s));
	for (size_t i = 0; i < others->cnt && s->c->table[0]; i++) {
		const struct sl_etcd_kv *kv = &others->kvs[i];
		char *slash = strchr(kv->key, '/');
		if (!slash || strcmp(slash + 1, s->c->table))
			continue;
		*slash = 0;
		if (strcmp(kv->key, s->c->gateway))
			add_row(rows, kv->key,
				sl_source_json(kv->value, kv->value_len, why, sizeof(why)));
	}
	return json_pack("{s:b, s:s, s:o, s:s?, s:I, s:s, s:s?, s:i, s:i}", "ok", 1, "verb", "show",
			 "store", rows, "key", s->c->table[0] ? s->key : NULL, "revision",
			 (json_int_t)s->modified, "server", sl_etcd_server(s->etcd), "trouble",
			 trouble, "registered", (int)g.cnt, "shared", (int)g.settled);
}

static void
end_show(struct show *w, const struct sl_etcd_answer *others, const char *trouble)
{
	struct show **at = &w->store->shows;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->fn(w->ctx, show_answer(w->store, others, trouble));
	free(w);
}

static void
on_statuses(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct show *w = ctx;
	struct sl_etcd_answer a = {0};
	char prefix[SL_ETCD_KEY_MAX], why[200];
	const char *trouble = code == SL_ETCD_OK ? NULL : error;

	w->call = NULL;
	snprintf(prefix, sizeof(prefix), "%sstatus/", w->store->source->prefix);
	if (!trouble && sl_etcd_wire_range(body, len, prefix, &a, why, sizeof(why)))
		trouble = why;
	end_show(w, &a, trouble ? trouble : w->store->why[0] ? w->store->why : NULL);
	sl_etcd_wire_fini(&a);
}

void
sl_store_show(struct sl_store *s, sl_store_show_fn *fn, void *ctx)
{
	struct show *w = calloc(1, sizeof(*w));
	char prefix[SL_ETCD_KEY_MAX];

	if (!w) {
		fn(ctx, NULL);
		return;
	}
	snprintf(prefix, sizeof(prefix), "%sstatus/", s->source->prefix);
	const struct sl_etcd_ask ask = {
		.from = prefix, .from_len = strlen(prefix), .prefix = prefix, .limit = 4096};
	*w = (struct show){.next = s->shows, .store = s, .fn = fn, .ctx = ctx};
	s->shows = w;
	if (sl_etcd_ask(s->etcd, "/v3/kv/range", sl_etcd_wire_ask_range(&ask), on_statuses, w,
			&w->call))
		end_show(w, &(struct sl_etcd_answer){0}, "out of memory");
}

bool
sl_store_stats(const struct sl_store *s, struct sl_store_stats *ret)
{
	struct sl_store_registry_stats g = {0};

	if (!s || s->stopped ||
	    (!s->view && !s->registry)) /* it gives limits alone: they have their own */
		return false;
	if (s->registry)
		sl_store_registry_stats(s->registry, &g);
	int64_t age_ms = SL_MAX(sl_daemon_wall_ms() - s->good_ms, (int64_t)0);
	*ret = (struct sl_store_stats){
		.connected = (!s->view || (s->good_ms && !s->why[0])) && !g.trouble,
		.troubles = s->troubles + g.troubles,
		.gives_tables = s->c->table[0],
		.state = s->state,
		.revision = s->modified,
		.age_s = s->good_ms ? (double)age_ms / 1e3 : -1,
		.conflicts = s->conflicts,
		.shares_registry = s->registry,
		.registered = g.cnt,
		.shared = g.settled,
	};
	return true;
}

/* ---- life ---- */

int
sl_store_create(struct sl_daemon *d, struct sl_store **ret_store)
{
	const struct sl_store_conf *c = &d->conf->store;

	*ret_store = NULL;
	if (!c->source[0])
		return 0;
	struct sl_store *s = calloc(1, sizeof(*s));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	if (!s || !timer) {
		free(s);
		free(timer);
		return -ENOMEM;
	}
	s->d = d;
	s->c = c;
	s->timer = timer;
	s->rng = (uint64_t)d->started_ms;
	s->problems = json_array();
	uv_timer_init(d->loop, timer);
	timer->data = s;
	*ret_store = s;
	for (unsigned i = 0; i < d->conf->source_cnt; i++)
		if (strcmp(d->conf->sources[i].name, c->source) == 0)
			s->source = &d->conf->sources[i];
	if (!s->source || sl_etcd_create(d->loop, s->source, &s->etcd))
		return -ENOMEM;
	snprintf(s->key, sizeof(s->key), "%stables/%s", s->source->prefix, c->table);
	snprintf(s->status_key, sizeof(s->status_key), "%sstatus/%s/%s", s->source->prefix,
		 c->gateway, c->table);
	const struct sl_etcd_view_events ev = {on_begin,   on_put,     on_gone, on_end,
					       on_confirm, on_trouble, on_say,  s};
	if (c->registry &&
	    sl_store_registry_create(d->loop, s->etcd, s->source->prefix, s->source->timeout_ms,
				     s->rng, on_say, NULL, &s->registry))
		return -ENOMEM;
	if (s->registry)
		sl_registry_each(d->registry, share, s);
	return c->table[0] ? sl_etcd_view_create(d->loop, s->etcd, s->key, s->source->timeout_ms,
						 s->rng, &ev, &s->view)
			   : 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_store_stop(struct sl_store *s)
{
	if (!s || s->stopped)
		return;
	s->stopped = true;
	sl_etcd_view_destroy(s->view);
	sl_store_registry_destroy(s->registry);
	s->registry = NULL;
	while (s->puts) {
		sl_etcd_cancel(s->puts->call);
		end_put(s->puts, "unavailable", "sluiced ends", NULL, 0);
	}
	while (s->shows) {
		sl_etcd_cancel(s->shows->call);
		end_show(s->shows, &(struct sl_etcd_answer){0}, "sluiced ends");
	}
	sl_etcd_destroy(s->etcd);
	s->writing = NULL;
	uv_timer_stop(s->timer);
	uv_close((uv_handle_t *)s->timer, on_freed);
}

void
sl_store_destroy(struct sl_store *s)
{
	if (!s)
		return;
	sl_store_stop(s);
	json_decref(s->problems);
	free(s->text);
	free(s);
}
