/* Each tick leads leases and items, one request at a time, to where they shall be:
 *
 *   lease   none ──grant──▶ there ──keep-alive, every third of the TTL──▶ there;  not known any more ──▶ none;  without items: forgotten
 *   item    wanted: put under the lease of its TTL as it is now, whenever that is another one or the item changed
 *           not wanted: deleted, then forgotten
 */
#include "mgmt/store_registry.h"

#include "mgmt/etcd_view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TICK_MS 200
#define AT_ONCE 32 /* requests under way */

struct lease {
	struct lease *next;
	struct sl_store_registry *r;
	uint32_t ttl_s;
	uint64_t id;  /* 0: none */
	uint64_t due; /* uv_now: of the next keep-alive */
	bool used;
	struct sl_etcd_call *call; /* NULL: idle */
};

struct item {
	struct sl_store_registry *r;
	char *key;  /* "SERVICE/ENDPOINT" */
	char *json; /* NULL: not wanted */
	uint32_t ttl_s;
	bool put;       /* etcd has it, in some form */
	bool changed;   /* since it was put, or etcd has lost it */
	bool seen;      /* in etcd, since begin */
	uint64_t under; /* the lease it was put under; 0: none */
	struct sl_etcd_call *call;
};

struct sl_store_registry {
	uv_loop_t *loop;
	struct sl_etcd *etcd;
	struct sl_etcd_view *view; /* of all registrations, those of others too */
	bool whole;                /* begin was called, end not */
	const char *prefix;
	uint64_t rng;
	void (*say)(void *ctx, const char *line);
	void *ctx;
	uv_timer_t *timer;   /* freed by its close callback */
	struct item **items; /* [cnt], by key */
	size_t cnt, room;
	struct lease *leases; /* by no order: there are few */
	unsigned busy, tries;
	uint64_t troubles;
	uint64_t hold; /* uv_now: nothing is asked before */
};

/* ---- items ---- */

static bool
find(const struct sl_store_registry *r, const char *key, size_t *ret_at)
{
	size_t lo = 0, hi = r->cnt;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = strcmp(r->items[mid]->key, key);
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

static void
free_item(struct item *it)
{
	free(it->key);
	free(it->json);
	free(it);
}

static struct item *
add(struct sl_store_registry *r, const char *key, size_t at)
{
	struct item *it = calloc(1, sizeof(*it)), **more = r->items;

	if (r->cnt == r->room) {
		more = realloc(r->items, (2 * r->room + 16) * sizeof(*more));
		if (more) {
			r->items = more;
			r->room = 2 * r->room + 16;
		}
	}
	if (it)
		it->key = strdup(key);
	if (!it || !more || !it->key) {
		if (it)
			free_item(it);
		return NULL;
	}
	it->r = r;
	memmove(more + at + 1, more + at, (r->cnt - at) * sizeof(*more));
	more[at] = it;
	r->cnt++;
	return it;
}

/* ---- what every answer has in common ---- */

static void on_tick(uv_timer_t *t);

/* true: it is good. */
static bool
hear(struct sl_store_registry *r, unsigned code, const char *error)
{
	char line[600];

	r->busy--;
	if (code == SL_ETCD_OK || code == SL_ETCD_NOT_FOUND) {
		if (r->tries)
			r->say(r->ctx, "registrations are shared again");
		r->tries = 0;
		r->hold = 0;
		uv_timer_start(r->timer, on_tick, 0, TICK_MS);
		return code == SL_ETCD_OK;
	}
	r->troubles++;
	if (r->tries == 0) {
		snprintf(line, sizeof(line),
			 "registrations cannot be shared, and are kept here: %s", error);
		r->say(r->ctx, line);
	}
	r->hold = uv_now(r->loop) + sl_source_pause(++r->tries, &r->rng);
	return false;
}

static void
ask(struct sl_store_registry *r, const char *path, char *body, sl_etcd_fn *fn, void *ctx,
    struct sl_etcd_call **ret_call)
{
	if (sl_etcd_ask(r->etcd, path, body, fn, ctx, ret_call) == 0)
		r->busy++;
	else
		*ret_call = NULL; /* the next tick tries again */
}

/* ---- leases ---- */

/* NULL: no memory. */
static struct lease *
lease_of(struct sl_store_registry *r, uint32_t ttl_s)
{
	struct lease *l = r->leases;

	while (l && l->ttl_s != ttl_s)
		l = l->next;
	if (!l && (l = calloc(1, sizeof(*l)))) {
		*l = (struct lease){.next = r->leases, .r = r, .ttl_s = ttl_s};
		r->leases = l;
	}
	return l;
}

static void
on_lease(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct lease *l = ctx;
	uint64_t id = 0;
	int64_t ttl_s = 0;
	char why[160], text[300];

	l->call = NULL;
	if (code == SL_ETCD_OK && sl_etcd_wire_lease(body, len, &id, &ttl_s, why, sizeof(why))) {
		snprintf(text, sizeof(text), "%s: its answer about a lease %s",
			 sl_etcd_server(l->r->etcd), why);
		hear(l->r, SL_ETCD_TOO_LONG, text);
		return;
	}
	bool good = hear(l->r, code, error);
	if (good || code == SL_ETCD_NOT_FOUND)
		l->id = good && ttl_s > 0 && (!l->id || l->id == id) ? id : 0;
	l->due = uv_now(l->r->loop) + (good ? 1000ull * l->ttl_s / 3 : 0);
}

static void
lead_lease(struct lease *l, uint64_t now)
{
	if (l->id == 0)
		ask(l->r, "/v3/lease/grant", sl_etcd_wire_ask_grant(l->ttl_s), on_lease, l,
		    &l->call);
	else if (now >= l->due)
		ask(l->r, "/v3/lease/keepalive", sl_etcd_wire_ask_lease(l->id), on_lease, l,
		    &l->call);
}

/* ---- items ---- */

static void
on_put(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct item *it = ctx;

	(void)body;
	(void)len;
	it->call = NULL;
	if (hear(it->r, code, error))
		return;
	it->changed = true;
	for (struct lease *l = it->r->leases; l && code == SL_ETCD_NOT_FOUND; l = l->next)
		if (l->id == it->under && !l->call)
			l->id = 0;
}

static void
on_dropped(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct item *it = ctx;

	(void)body;
	(void)len;
	it->call = NULL;
	if (hear(it->r, code, error))
		it->put = false;
}

static bool
is_there(const struct item *it, const struct lease *l)
{
	return it->put && !it->changed && it->under == (l ? l->id : 0);
}

/* What an idle item needs next, if anything; false: it can be forgotten. */
static bool
lead_item(struct item *it, const struct lease *l)
{
	char key[SL_ETCD_KEY_MAX];

	snprintf(key, sizeof(key), "%sendpoints/%s", it->r->prefix, it->key);
	if (!it->json && !it->put)
		return false;
	if (!it->json) {
		ask(it->r, "/v3/kv/txn", sl_etcd_wire_ask_drop(key, it->under), on_dropped, it,
		    &it->call);
	} else if (!is_there(it, l) && (!l || l->id)) {
		it->changed = false;
		it->put = true; /* it may be there, whatever is answered */
		it->under = l ? l->id : 0;
		ask(it->r, "/v3/kv/put",
		    sl_etcd_wire_ask_put(key, it->json, strlen(it->json), it->under), on_put, it,
		    &it->call);
		it->changed = !it->call;
	}
	return true;
}

static void
lead_leases(struct sl_store_registry *r, uint64_t now)
{
	for (struct lease **at = &r->leases; *at;) {
		struct lease *l = *at;
		if (l->call || now < r->hold) {
			at = &l->next;
		} else if (!l->used) { /* it ends by itself */
			*at = l->next;
			free(l);
		} else {
			lead_lease(l, now);
			at = &l->next;
		}
	}
}

static void
on_tick(uv_timer_t *t)
{
	struct sl_store_registry *r = t->data;
	uint64_t now = uv_now(r->loop);
	size_t n = 0;

	for (struct lease *l = r->leases; l; l = l->next)
		l->used = false;
	for (size_t i = 0; i < r->cnt; i++) {
		struct item *it = r->items[i];
		struct lease *l = it->json && it->ttl_s ? lease_of(r, it->ttl_s) : NULL;
		if (l)
			l->used = true;
		bool wait = it->call || now < r->hold || r->busy >= AT_ONCE ||
			    (it->json && it->ttl_s && !l);
		if (wait || lead_item(it, l))
			r->items[n++] = it;
		else
			free_item(it);
	}
	r->cnt = n;
	lead_leases(r, now);
	if (r->cnt == 0 && !r->leases)
		uv_timer_stop(r->timer);
}

/* ---- what etcd has ---- */

static void
on_begin(void *ctx)
{
	struct sl_store_registry *r = ctx;

	r->whole = true;
	for (size_t i = 0; i < r->cnt; i++)
		r->items[i]->seen = false;
}

static void
on_there(void *ctx, const struct sl_etcd_kv *kv)
{
	struct sl_store_registry *r = ctx;
	size_t at;

	if (find(r, kv->key, &at))
		r->items[at]->seen = true;
}

/* It is put again, unless it shall be gone. */
static void
on_gone(void *ctx, const char *key)
{
	struct sl_store_registry *r = ctx;
	size_t at;

	if (!find(r, key, &at) || !r->items[at]->json)
		return;
	r->items[at]->changed = true;
	uv_timer_start(r->timer, on_tick, 0, TICK_MS);
}

static void
on_end(void *ctx)
{
	struct sl_store_registry *r = ctx;

	for (size_t i = 0; i < r->cnt && r->whole; i++)
		if (!r->items[i]->seen && r->items[i]->put && !r->items[i]->call)
			on_gone(r, r->items[i]->key);
	r->whole = false;
}

static void
on_confirm(void *ctx)
{
	(void)ctx;
}

/* Requests fail, too, and say it. */
static void
on_trouble(void *ctx, const char *why)
{
	(void)ctx;
	(void)why;
}

static void
on_view_says(void *ctx, const char *line)
{
	struct sl_store_registry *r = ctx;
	char text[300];

	snprintf(text, sizeof(text), "registrations: %s", line);
	r->say(r->ctx, text);
}

/* ---- from outside ---- */

int
sl_store_registry_set(struct sl_store_registry *r, const char *service, const char *endpoint,
		      const char *json, uint32_t ttl_s)
{
	char key[2 * SL_NAME_MAX + 1];
	size_t at;

	snprintf(key, sizeof(key), "%s/%s", service, endpoint);
	struct item *it = find(r, key, &at) ? r->items[at] : json ? add(r, key, at) : NULL;
	char *copy = json ? strdup(json) : NULL;
	if (!it || (json && !copy)) {
		free(copy);
		return json ? -ENOMEM : 0;
	}
	it->changed |= json && (!it->json || strcmp(it->json, json) != 0);
	free(it->json);
	it->json = copy;
	it->ttl_s = ttl_s;
	uv_timer_start(r->timer, on_tick, 0, TICK_MS);
	return 0;
}

void
sl_store_registry_stats(const struct sl_store_registry *r, struct sl_store_registry_stats *ret)
{
	uint32_t cnt = 0, settled = 0;

	for (size_t i = 0; i < r->cnt; i++) {
		const struct item *it = r->items[i];
		const struct lease *l = r->leases;
		while (l && (!it->ttl_s || l->ttl_s != it->ttl_s))
			l = l->next;
		cnt += it->json != NULL;
		settled += it->json && !it->call && is_there(it, l) && (l || !it->ttl_s);
	}
	*ret = (struct sl_store_registry_stats){cnt, settled, r->troubles,
						r->tries && (r->cnt || r->leases)};
}

int
sl_store_registry_create(uv_loop_t *loop, struct sl_etcd *etcd, const char *prefix,
			 uint32_t timeout_ms, uint64_t seed,
			 void (*say)(void *ctx, const char *line), void *ctx,
			 struct sl_store_registry **ret_registry)
{
	struct sl_store_registry *r = calloc(1, sizeof(*r));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!r || !timer) {
		free(r);
		free(timer);
		return -ENOMEM;
	}
	*r = (struct sl_store_registry){.loop = loop,
					.etcd = etcd,
					.prefix = prefix,
					.rng = seed,
					.say = say,
					.ctx = ctx,
					.timer = timer};
	uv_timer_init(loop, timer);
	timer->data = r;
	*ret_registry = r;
	const struct sl_etcd_view_events ev = {on_begin,   on_there,   on_gone,      on_end,
					       on_confirm, on_trouble, on_view_says, r};
	char keys[SL_ETCD_KEY_MAX];
	snprintf(keys, sizeof(keys), "%sendpoints/", prefix);
	return sl_etcd_view_create(loop, etcd, keys, timeout_ms, seed, &ev, &r->view);
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_store_registry_destroy(struct sl_store_registry *r)
{
	if (!r)
		return;
	sl_etcd_view_destroy(r->view);
	for (size_t i = 0; i < r->cnt; i++) {
		sl_etcd_cancel(r->items[i]->call);
		free_item(r->items[i]);
	}
	free(r->items);
	for (struct lease *l = r->leases, *next; l; l = next) {
		next = l->next;
		sl_etcd_cancel(l->call);
		free(l);
	}
	uv_timer_stop(r->timer);
	uv_close((uv_handle_t *)r->timer, on_freed);
	free(r);
}
