/* Keys PREFIXendpoints/SERVICE/ENDPOINT, each the JSON of an endpoint (source.h).
 *
 *   etcd_view ──put, gone──▶ services, sorted by name, each with its endpoints, sorted by name ──flush──▶ answers
 *
 * A value is read once, when it comes.  Answers go out when the view is whole, at most once in FLUSH_MS for each question; a
 * change after a quiet time goes at once.
 */
#include "mgmt/conf_value.h"
#include "mgmt/etcd_view.h"
#include "sluice/image.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define FLUSH_MS 10
#define VALUE_MAX 65536 /* of one endpoint */

struct entry {
	char *name;
	struct sl_source_endpoint *e; /* NULL: it cannot be used */
	char *bad;                    /* why */
	bool stale;                   /* not put since begin */
};

struct service {
	char *name;
	struct entry *entries; /* [cnt], by name */
	size_t cnt, room;
	bool changed;
};

struct question {
	struct question *next;
	uint32_t id;
	char name[256];
	bool fresh;   /* nothing was said to it */
	bool changed; /* an answer is due */
};

struct etcd_source {
	const struct sl_source_conf *conf;
	struct sl_source_sink sink;
	struct sl_etcd *etcd;
	struct sl_etcd_view *view;
	uv_timer_t *timer;         /* freed by its close callback */
	struct service **services; /* [cnt], by name */
	size_t cnt, room;
	struct question *questions;
	uint64_t flushed;       /* uv_now of the last flush */
	uint32_t odd, odd_said; /* keys that are of no service */
	bool whole;             /* a view was told to its end */
	bool no_memory;         /* a change was lost: the next view is taken from the beginning */
	char why[512];          /* the trouble; "": none */
};

/* ---- services and entries ---- */

/* Where name is or belongs; true: it is there. */
static bool
find_service(const struct etcd_source *s, const char *name, size_t *ret_at)
{
	size_t lo = 0, hi = s->cnt;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(s->services[mid]->name, name);
		if (c == 0) {
			*ret_at = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_at = lo;
	return false;
}

static bool
find_entry(const struct service *v, const char *name, size_t *ret_at)
{
	size_t lo = 0, hi = v->cnt;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(v->entries[mid].name, name);
		if (c == 0) {
			*ret_at = mid;
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*ret_at = lo;
	return false;
}

static struct service *
add_service(struct etcd_source *s, const char *name, size_t at)
{
	struct service *v = calloc(1, sizeof(*v)), **more = s->services;

	if (s->cnt == s->room) {
		more = realloc(s->services, (2 * s->room + 16) * sizeof(*more));
		if (more) {
			s->services = more;
			s->room = 2 * s->room + 16;
		}
	}
	if (v)
		v->name = strdup(name);
	if (!v || !more || !v->name) {
		if (v)
			free(v->name);
		free(v);
		return NULL;
	}
	memmove(more + at + 1, more + at, (s->cnt - at) * sizeof(*more));
	more[at] = v;
	s->cnt++;
	return v;
}

static struct entry *
add_entry(struct service *v, const char *name, size_t at)
{
	struct entry *more = v->entries;

	if (v->cnt == v->room) {
		more = realloc(v->entries, (2 * v->room + 4) * sizeof(*more));
		if (!more)
			return NULL;
		v->entries = more;
		v->room = 2 * v->room + 4;
	}
	char *copy = strdup(name);
	if (!copy)
		return NULL;
	memmove(more + at + 1, more + at, (v->cnt - at) * sizeof(*more));
	more[at] = (struct entry){.name = copy};
	v->cnt++;
	return &more[at];
}

static void
drop_entry(struct service *v, size_t at)
{
	free(v->entries[at].name);
	free(v->entries[at].e);
	free(v->entries[at].bad);
	v->cnt--;
	memmove(v->entries + at, v->entries + at + 1, (v->cnt - at) * sizeof(*v->entries));
	v->changed = true;
}

static void
free_service(struct service *v)
{
	for (size_t i = 0; i < v->cnt; i++) {
		free(v->entries[i].name);
		free(v->entries[i].e);
		free(v->entries[i].bad);
	}
	free(v->entries);
	free(v->name);
	free(v);
}

/* ---- what keys say ---- */

/* "SERVICE/ENDPOINT" → its parts; false: no such thing. */
static bool
split(const char *key, char ret_service[SL_NAME_MAX], const char **ret_endpoint)
{
	const char *slash = strchr(key, '/');
	size_t len = slash ? (size_t)(slash - key) : 0;

	if (len == 0 || len >= SL_NAME_MAX)
		return false;
	memset(ret_service, 0, SL_NAME_MAX);
	memcpy(ret_service, key, len);
	*ret_endpoint = slash + 1;
	return sl_name_ok(ret_service);
}

/* e is that of the value, or why says what is wrong with it. */
static const char *
read_value(const char *name, const struct sl_etcd_kv *kv, struct sl_source_endpoint *e, char *why,
	   size_t size)
{
	char padded[SL_NAME_MAX] = "", text[200];

	if (strlen(name) < sizeof(padded))
		memcpy(padded, name, strlen(name));
	if (!sl_name_ok(padded))
		return "its key does not end with a name";
	if (kv->value_len > VALUE_MAX)
		return "its value is longer than 64 KiB";
	json_t *j = sl_source_json(kv->value, kv->value_len, text, sizeof(text));
	if (!j) {
		snprintf(why, size, "its value %s", text);
		return why;
	}
	const char *bad = sl_source_endpoint_json(j, e, why, size);
	json_decref(j);
	memcpy(e->name, padded, sizeof(padded));
	return bad;
}

static bool
same(const struct entry *t, const struct sl_source_endpoint *e, const char *bad)
{
	if (bad)
		return t->bad && strcmp(t->bad, bad) == 0;
	return t->e && memcmp(t->e, e, sizeof(*e)) == 0;
}

static void
on_put(void *ctx, const struct sl_etcd_kv *kv)
{
	struct etcd_source *s = ctx;
	struct sl_source_endpoint e;
	char service[SL_NAME_MAX], why[300];
	const char *name;
	size_t at;

	if (!split(kv->key, service, &name)) {
		s->odd++;
		return;
	}
	struct service *v =
		find_service(s, service, &at) ? s->services[at] : add_service(s, service, at);
	struct entry *t = !v                         ? NULL
			  : find_entry(v, name, &at) ? &v->entries[at]
						     : add_entry(v, name, at);
	if (!t) {
		s->no_memory = true;
		return;
	}
	memset(&e, 0, sizeof(e));
	const char *bad = read_value(name, kv, &e, why, sizeof(why));
	t->stale = false;
	if (same(t, &e, bad))
		return;
	free(t->bad);
	free(t->e);
	t->bad = bad ? strdup(bad) : NULL;
	t->e = bad ? NULL : malloc(sizeof(e));
	if (t->e)
		*t->e = e;
	s->no_memory |= !t->e && !t->bad;
	v->changed = true;
}

static void
on_gone(void *ctx, const char *key)
{
	struct etcd_source *s = ctx;
	char service[SL_NAME_MAX];
	const char *name;
	size_t at, k;

	if (split(key, service, &name) && find_service(s, service, &at) &&
	    find_entry(s->services[at], name, &k))
		drop_entry(s->services[at], k);
}

static void
on_begin(void *ctx)
{
	struct etcd_source *s = ctx;

	s->odd = 0;
	for (size_t i = 0; i < s->cnt; i++)
		for (size_t k = 0; k < s->services[i]->cnt; k++)
			s->services[i]->entries[k].stale = true;
}

/* ---- answers ---- */

static void on_flush(uv_timer_t *t);

static void
flush_soon(struct etcd_source *s)
{
	uint64_t due = s->flushed + FLUSH_MS, now = uv_now(s->sink.loop);

	if (!uv_is_active((uv_handle_t *)s->timer))
		uv_timer_start(s->timer, on_flush, due > now ? due - now : 0, 0);
}

static void
answer(struct etcd_source *s, const struct question *q, const struct service *v)
{
	struct sl_source_endpoint *list = v ? malloc((v->cnt + 1) * sizeof(*list)) : NULL;
	const struct entry *first = NULL;
	uint32_t left_out = 0;
	size_t cnt = 0;
	char note[512] = "";

	if (v && !list) {
		s->sink.trouble(s->sink.ctx, q->id, "out of memory");
		return;
	}
	for (size_t i = 0; v && i < v->cnt; i++) {
		if (v->entries[i].e) {
			list[cnt++] = *v->entries[i].e;
			continue;
		}
		left_out++;
		first = first ? first : &v->entries[i];
	}
	if (first) {
		char quoted[160];
		snprintf(note, sizeof(note), "%s: %s",
			 sl_value_quote(first->name, quoted, sizeof(quoted)),
			 first->bad ? first->bad : "out of memory");
	}
	s->sink.answer(s->sink.ctx, q->id, list, cnt, left_out, note);
	free(list);
}

static void
on_flush(uv_timer_t *t)
{
	struct etcd_source *s = t->data;
	size_t at;

	s->flushed = uv_now(s->sink.loop);
	for (struct question *q = s->questions; q; q = q->next) {
		bool there = find_service(s, q->name, &at);
		if (s->whole && (q->fresh || q->changed))
			answer(s, q, there ? s->services[at] : NULL);
		if (s->why[0] && q->fresh)
			s->sink.trouble(s->sink.ctx, q->id, s->why);
		q->fresh = q->fresh && !s->whole && !s->why[0];
		q->changed = false;
	}
}

/* Whoever asked for a service that changed gets an answer; services without an endpoint are forgotten. */
static void
mark_changed(struct etcd_source *s)
{
	size_t n = 0, at;

	for (struct question *q = s->questions; q; q = q->next)
		if (find_service(s, q->name, &at))
			q->changed |= s->services[at]->changed;
	for (size_t i = 0; i < s->cnt; i++) {
		struct service *v = s->services[i];
		v->changed = false;
		if (v->cnt > 0)
			s->services[n++] = v;
		else
			free_service(v);
	}
	s->cnt = n;
}

static void
drop_stale(struct etcd_source *s)
{
	for (size_t i = 0; i < s->cnt; i++)
		for (size_t k = s->services[i]->cnt; k > 0; k--)
			if (s->services[i]->entries[k - 1].stale)
				drop_entry(s->services[i], k - 1);
}

static void on_trouble(void *ctx, const char *why);
static void on_say(void *ctx, const char *line);

static void
on_end(void *ctx)
{
	struct etcd_source *s = ctx;
	bool mended = s->why[0] != 0;
	char line[128];

	if (s->no_memory) {
		s->no_memory = false;
		on_trouble(s, "out of memory: changes were lost");
		return;
	}
	drop_stale(s);
	mark_changed(s);
	s->why[0] = 0;
	s->whole = true;
	for (struct question *q = s->questions; q; q = q->next)
		q->changed |= mended; /* an answer ends its trouble */
	flush_soon(s);
	if (s->odd > 0 && s->odd != s->odd_said) {
		snprintf(line, sizeof(line), "%u keys do not name a service and an endpoint",
			 s->odd);
		on_say(s, line);
	}
	s->odd_said = s->odd;
}

static void
on_confirm(void *ctx)
{
	struct etcd_source *s = ctx;

	for (struct question *q = s->questions; q; q = q->next)
		s->sink.confirm(s->sink.ctx, q->id);
}

static void
on_trouble(void *ctx, const char *why)
{
	struct etcd_source *s = ctx;

	snprintf(s->why, sizeof(s->why), "%s", why);
	for (struct question *q = s->questions; q; q = q->next) {
		q->fresh = q->fresh && s->whole;
		s->sink.trouble(s->sink.ctx, q->id, why);
	}
}

static void
on_say(void *ctx, const char *line)
{
	struct etcd_source *s = ctx;
	char text[400];

	snprintf(text, sizeof(text), "source %s: %s", s->conf->name, line);
	s->sink.say(s->sink.ctx, text);
}

/* ---- life ---- */

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

static void
destroy(void *source)
{
	struct etcd_source *s = source;

	if (!s)
		return;
	sl_etcd_view_destroy(s->view);
	sl_etcd_destroy(s->etcd);
	uv_timer_stop(s->timer);
	uv_close((uv_handle_t *)s->timer, on_freed);
	for (size_t i = 0; i < s->cnt; i++)
		free_service(s->services[i]);
	free(s->services);
	for (struct question *q = s->questions, *next; q; q = next) {
		next = q->next;
		free(q);
	}
	free(s);
}

static int
create(const struct sl_source_conf *conf, const struct sl_source_sink *sink, struct sl_diag *diag,
       void **ret_source)
{
	struct etcd_source *s = calloc(1, sizeof(*s));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	char prefix[SL_SOURCE_PATH + 16];

	(void)diag;
	if (!s || !timer) {
		free(s);
		free(timer);
		return -ENOMEM;
	}
	s->conf = conf;
	s->sink = *sink;
	s->timer = timer;
	uv_timer_init(sink->loop, timer);
	timer->data = s;
	snprintf(prefix, sizeof(prefix), "%sendpoints/", conf->prefix);
	const struct sl_etcd_view_events events = {on_begin,   on_put,     on_gone, on_end,
						   on_confirm, on_trouble, on_say,  s};
	int err = sl_etcd_create(sink->loop, conf, &s->etcd);
	if (!err)
		err = sl_etcd_view_create(sink->loop, s->etcd, prefix, conf->timeout_ms, sink->seed,
					  &events, &s->view);
	if (err) {
		destroy(s);
		return err;
	}
	*ret_source = s;
	return 0;
}

static int
ask(void *source, uint32_t id, const char *service, const struct sl_conf_discover *d)
{
	struct etcd_source *s = source;
	struct question *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->id = id;
	q->fresh = true;
	snprintf(q->name, sizeof(q->name), "%s", d->name[0] ? d->name : service);
	q->next = s->questions;
	s->questions = q;
	flush_soon(s);
	return 0;
}

static void
drop(void *source, uint32_t id)
{
	struct etcd_source *s = source;

	for (struct question **at = &s->questions; *at; at = &(*at)->next) {
		struct question *q = *at;
		if (q->id != id)
			continue;
		*at = q->next;
		free(q);
		return;
	}
}

const struct sl_source_ops sl_source_etcd = {create, destroy, ask, drop};
