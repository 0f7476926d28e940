/* cluster ──1:n──▶ space (a namespace: one list and watch) ──▶ services that are asked for, each with its slices
 *                                                          └──▶ questions about them
 *
 * What a watch says is told ten milliseconds later, together: endpoints on their way from slice to slice come in several
 * events.  A service is told of only once a list that began after it was asked for was whole.
 */
#include "mgmt/source_kubernetes_watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SETTLE_MS 10

struct service {
	struct service *next;
	char name[256]; /* as asked for: one that no label can be has no slices */
	unsigned questions;
	struct sl_slice *slices;
	bool listed, dirty;
};

struct question {
	struct question *next;
	uint32_t id;
	struct service *service;
	char port_name[SL_NAME_MAX];
	uint16_t port;
	bool answered; /* the sink has an answer, of hash */
	uint64_t hash;
};

struct space {
	struct space *next;
	struct cluster *cluster;
	char name[SL_NAME_MAX];
	struct sl_slice_watch *watch;
	struct service *services;
	struct question *questions;
	uv_timer_t *settle; /* freed by its close callback */
};

struct cluster {
	const struct sl_source_conf *conf;
	struct sl_source_sink sink;
	struct sl_web *web;
	struct space *spaces;
	uint64_t rng;
};

/* ---- slices ---- */

static struct service *
find_service(const struct space *p, const char *name)
{
	struct service *s = p->services;

	while (s && strcmp(s->name, name) != 0)
		s = s->next;
	return s;
}

static void
free_slices(struct service *s)
{
	while (s->slices) {
		struct sl_slice *slice = s->slices;
		s->slices = slice->next;
		sl_slice_free(slice);
	}
}

/* Whether it was there. */
static bool
remove_slice(struct service *s, const char *name)
{
	for (struct sl_slice **at = &s->slices; *at; at = &(*at)->next)
		if (strcmp((*at)->name, name) == 0) {
			struct sl_slice *slice = *at;
			*at = slice->next;
			sl_slice_free(slice);
			return true;
		}
	return false;
}

/* By name, so that what is told does not go by the order in which slices came. */
static void
insert_slice(struct service *s, struct sl_slice *slice)
{
	struct sl_slice **at = &s->slices;

	while (*at && strcmp((*at)->name, slice->name) < 0)
		at = &(*at)->next;
	slice->next = *at;
	*at = slice;
}

static void on_settled(uv_timer_t *t);

static void
touch(struct space *p, struct service *s)
{
	s->dirty = true;
	if (!uv_is_active((uv_handle_t *)p->settle))
		uv_timer_start(p->settle, on_settled, SETTLE_MS, 0);
}

/* Out of whichever service has it: mostly that of its label. */
static void
take_out(struct space *p, struct service *likely, const char *name)
{
	if (likely && remove_slice(likely, name)) {
		touch(p, likely);
		return;
	}
	for (struct service *s = p->services; s; s = s->next)
		if (s != likely && remove_slice(s, name)) {
			touch(p, s);
			return;
		}
}

/* ---- what the watch says ---- */

static bool
on_wanted(void *ctx, const char *service)
{
	return find_service(ctx, service) != NULL;
}

static void
on_list(void *ctx, struct sl_slice **slices, size_t cnt)
{
	struct space *p = ctx;

	for (struct service *s = p->services; s; s = s->next) {
		free_slices(s);
		s->listed = true;
		touch(p, s);
	}
	for (size_t i = 0; i < cnt; i++) {
		struct service *s = find_service(p, slices[i]->service);
		if (!s) {
			sl_slice_free(slices[i]);
			continue;
		}
		remove_slice(s, slices[i]->name);
		insert_slice(s, slices[i]);
	}
}

static void
on_put(void *ctx, struct sl_slice *slice)
{
	struct space *p = ctx;
	struct service *s = find_service(p, slice->service);

	take_out(p, s, slice->name);
	if (!s) {
		sl_slice_free(slice);
		return;
	}
	insert_slice(s, slice);
	touch(p, s);
}

static void
on_gone(void *ctx, const char *service, const char *name)
{
	struct space *p = ctx;

	take_out(p, find_service(p, service), name);
}

static void
on_confirm(void *ctx)
{
	struct space *p = ctx;
	const struct sl_source_sink *sink = &p->cluster->sink;

	for (struct question *q = p->questions, *next; q; q = next) {
		next = q->next;
		if (q->answered)
			sink->confirm(sink->ctx, q->id);
	}
}

static void
on_trouble(void *ctx, const char *why)
{
	struct space *p = ctx;
	const struct sl_source_sink *sink = &p->cluster->sink;

	for (struct question *q = p->questions, *next; q; q = next) {
		next = q->next;
		sink->trouble(sink->ctx, q->id, why);
	}
}

/* ---- what is told ---- */

static void
tell(struct space *p, struct question *q)
{
	const struct sl_source_sink *sink = &p->cluster->sink;
	struct sl_source_answer a;

	if (sl_source_kubernetes_union(q->service->slices, q->port_name, q->port, &a)) {
		sink->trouble(sink->ctx, q->id, "no memory for the answer");
		return;
	}
	uint64_t hash = sl_source_answer_hash(&a);
	if (sl_source_answer_useless(&a)) {
		q->answered = false;
		sink->trouble(sink->ctx, q->id, a.note);
	} else if (q->answered && q->hash == hash) {
		sink->confirm(sink->ctx, q->id);
	} else {
		q->answered = true;
		q->hash = hash;
		sink->answer(sink->ctx, q->id, a.endpoints, a.cnt, a.left_out, a.note);
	}
	sl_source_answer_fini(&a);
}

static void
on_settled(uv_timer_t *t)
{
	struct space *p = t->data;

	for (struct question *q = p->questions, *next; q; q = next) {
		next = q->next;
		if (q->service->dirty && q->service->listed)
			tell(p, q);
	}
	for (struct service *s = p->services; s; s = s->next)
		s->dirty = false;
}

/* ---- spaces ---- */

static void
on_closed(uv_handle_t *h)
{
	free(h);
}

static void
space_free(struct space *p)
{
	struct space **at = &p->cluster->spaces;

	while (*at && *at != p)
		at = &(*at)->next;
	if (*at)
		*at = p->next;
	while (p->questions) {
		struct question *q = p->questions;
		p->questions = q->next;
		free(q);
	}
	while (p->services) {
		struct service *s = p->services;
		p->services = s->next;
		free_slices(s);
		free(s);
	}
	sl_slice_watch_destroy(p->watch);
	if (p->settle) {
		uv_timer_stop(p->settle);
		uv_close((uv_handle_t *)p->settle, on_closed);
	}
	free(p);
}

static struct space *
space_create(struct cluster *c, const char *name)
{
	struct space *p = calloc(1, sizeof(*p));
	const struct sl_slice_watch_events events = {on_wanted,  on_list,    on_put, on_gone,
						     on_confirm, on_trouble, p};

	if (!p)
		return NULL;
	p->cluster = c;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->settle = calloc(1, sizeof(*p->settle));
	if (p->settle) {
		uv_timer_init(c->sink.loop, p->settle);
		p->settle->data = p;
		p->watch = sl_slice_watch_create(c->sink.loop, c->conf, c->web, name,
						 c->rng += 0x9e3779b97f4a7c15ull, &events);
	}
	if (!p->watch) {
		space_free(p);
		return NULL;
	}
	p->next = c->spaces;
	c->spaces = p;
	return p;
}

/* ---- life ---- */

static int
cluster_create(const struct sl_source_conf *conf, const struct sl_source_sink *sink,
	       struct sl_diag *diag, void **ret_source)
{
	struct cluster *c;

	if (conf->server_cnt == 0) {
		sl_diag_add(diag, NULL, 0, NULL, "urls = ( \"https://192.0.2.1:6443\" )",
			    "source %s: no server to ask", conf->name);
		return -EINVAL;
	}
	c = calloc(1, sizeof(*c));
	if (c)
		c->web = sl_web_get(sink->loop);
	if (!c || !c->web) {
		free(c);
		sl_diag_add(diag, NULL, 0, NULL, NULL, "source %s: no memory", conf->name);
		return -ENOMEM;
	}
	c->conf = conf;
	c->sink = *sink;
	c->rng = sink->seed;
	*ret_source = c;
	return 0;
}

static void
cluster_destroy(void *source)
{
	struct cluster *c = source;

	if (!c)
		return;
	while (c->spaces)
		space_free(c->spaces);
	sl_web_put(c->web);
	free(c);
}

static struct service *
need_service(struct space *p, const char *name)
{
	struct service *s = find_service(p, name);

	if (s) {
		if (s->listed)
			touch(p, s);
		return s;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->next = p->services;
	p->services = s;
	sl_slice_watch_relist(p->watch);
	return s;
}

static int
cluster_ask(void *source, uint32_t id, const char *service, const struct sl_conf_discover *ask)
{
	struct cluster *c = source;
	const char *name = *ask->space ? ask->space : c->conf->space;
	struct space *p = c->spaces;
	struct question *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	while (p && strcmp(p->name, name) != 0)
		p = p->next;
	if (!p)
		p = space_create(c, name);
	q->service = p ? need_service(p, *ask->name ? ask->name : service) : NULL;
	if (!q->service) {
		free(q);
		if (p && !p->questions)
			space_free(p);
		return -ENOMEM;
	}
	q->id = id;
	snprintf(q->port_name, sizeof(q->port_name), "%s", ask->port_name);
	q->port = ask->port;
	q->service->questions++;
	q->next = p->questions;
	p->questions = q;
	return 0;
}

static void
release_service(struct space *p, struct service *s)
{
	struct service **at = &p->services;

	if (--s->questions > 0)
		return;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	free_slices(s);
	free(s);
}

static void
cluster_drop(void *source, uint32_t id)
{
	struct cluster *c = source;

	for (struct space *p = c->spaces; p; p = p->next)
		for (struct question **at = &p->questions; *at; at = &(*at)->next) {
			struct question *q = *at;
			if (q->id != id)
				continue;
			*at = q->next;
			release_service(p, q->service);
			free(q);
			if (!p->questions)
				space_free(p);
			return;
		}
}

const struct sl_source_ops sl_source_kubernetes = {cluster_create, cluster_destroy, cluster_ask,
						   cluster_drop};
