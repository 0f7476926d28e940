#include "mgmt/registry_priv.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- services and endpoints ---- */

static unsigned
hash(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return (h ^ h >> 16) % SL_REGISTRY_BUCKETS;
}

struct service *
sl_registry_find_service(const struct sl_registry *r, const char *name)
{
	struct service *s = r->bucket[hash(name)];

	while (s && strcmp(s->name, name))
		s = s->next;
	return s;
}

static struct service *
make_service(struct sl_registry *r, const char *name)
{
	struct service *s = sl_registry_find_service(r, name), **at = &r->bucket[hash(name)];

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

struct entry *
sl_registry_find(const struct sl_registry *r, const char *service, const char *name)
{
	const struct service *s = sl_registry_find_service(r, service);
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
struct entry *
sl_registry_make(struct sl_registry *r, const char *service, const char *name)
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
void
sl_registry_drop(struct sl_registry *r, struct entry *e)
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

void
sl_registry_set_live(struct sl_registry *r, struct entry *e, bool live)
{
	if (e->live != live) {
		e->of->live_cnt += live ? 1 : -1u;
		r->stats.endpoints += live ? 1 : -1u;
	}
	e->live = live;
}

/* Its time runs from now on. */
void
sl_registry_start_clock(struct sl_registry *r, struct entry *e)
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

void
sl_registry_on_answer(uv_timer_t *t)
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
	uv_timer_start(r->answer, sl_registry_on_answer, 0, 0);
}

void
sl_registry_changed(struct sl_registry *r, const struct entry *e)
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

json_t *
sl_registry_show_entry(const struct entry *e)
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
	for (unsigned b = 0; list && b < SL_REGISTRY_BUCKETS; b++)
		for (struct service *s = r->bucket[b]; s; s = s->next)
			if (s->live_cnt && (!service || !strcmp(service, s->name)) &&
			    sl_registry_sees(r, who, s->name))
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
			json_array_append_new(rows, sl_registry_show_entry(e));
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
