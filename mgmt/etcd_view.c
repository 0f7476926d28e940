#include "mgmt/etcd_view.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE_FIRST 128
#define PAGE_MOST 2048
#define PAGE_BYTES (1u << 20) /* what a page shall be about */

enum phase { PAUSED, RANGING, OPENING, WATCHING };

struct sl_etcd_view {
	uv_loop_t *loop;
	struct sl_etcd *etcd;
	struct sl_etcd_view_events ev;
	uint64_t rng;
	uint32_t timeout_ms;
	enum phase phase;
	struct sl_etcd_call *call, *check; /* the range or watch; the check beside it */
	uv_timer_t *timer;                 /* freed by its close callback */
	unsigned tries;                    /* in vain, since the last good answer */
	bool told;                         /* begin … end were called once */
	bool *gone;                        /* set by destroy, for who calls back */
	/* what is known */
	uint64_t cluster, seen;   /* the highest revision of it */
	uint64_t revision, count; /* of what was handed on */
	unsigned misses;          /* checks in a row that found something else */
	/* the range under way */
	struct sl_etcd_answer *pages; /* [page_cnt] */
	size_t page_cnt;
	uint64_t range_cluster, range_revision, keys, bytes;
	uint32_t limit;
	char prefix[SL_ETCD_KEY_MAX];
};

static void start_range(struct sl_etcd_view *v);
static void ask_page(struct sl_etcd_view *v);

/* Calls back; true: the view is gone. */
#define TELL(v, event, ...)                                                                        \
	({                                                                                         \
		bool tell_gone = false, *tell_before = (v)->gone;                                  \
		(v)->gone = &tell_gone;                                                            \
		(v)->ev.event((v)->ev.ctx, ##__VA_ARGS__);                                         \
		if (!tell_gone)                                                                    \
			(v)->gone = tell_before;                                                   \
		else if (tell_before)                                                              \
			*tell_before = true;                                                       \
		tell_gone;                                                                         \
	})

static void
drop_pages(struct sl_etcd_view *v)
{
	for (size_t i = 0; i < v->page_cnt; i++)
		sl_etcd_wire_fini(&v->pages[i]);
	free(v->pages);
	v->pages = NULL;
	v->page_cnt = 0;
	v->keys = v->bytes = 0;
}

static void
stop_calls(struct sl_etcd_view *v)
{
	sl_etcd_cancel(v->call);
	sl_etcd_cancel(v->check);
	v->call = v->check = NULL;
	drop_pages(v);
}

/* ---- trouble: everything from the beginning, after a pause ---- */

static void
on_pause_over(uv_timer_t *t)
{
	start_range(t->data);
}

/* true: the view is gone. */
static bool
trouble(struct sl_etcd_view *v, const char *why)
{
	stop_calls(v);
	v->phase = PAUSED;
	v->misses = 0;
	uv_timer_start(v->timer, on_pause_over, sl_source_pause(++v->tries, &v->rng), 0);
	return TELL(v, trouble, why);
}

static bool trouble_of(struct sl_etcd_view *v, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The same, of what this server says: the next one is asked. */
static bool
trouble_of(struct sl_etcd_view *v, const char *fmt, ...)
{
	char what[400], why[SL_SOURCE_PATH + 420];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(why, sizeof(why), "%s: %s", sl_etcd_server(v->etcd), what);
	sl_etcd_next(v->etcd);
	return trouble(v, why);
}

/* ---- checks ---- */

/* Is this of the world that was seen, and not behind it?  true: it is. */
static bool
is_current(const struct sl_etcd_view *v, const struct sl_etcd_answer *a)
{
	return a->cluster == v->cluster && a->revision >= v->seen;
}

static void on_check_time(uv_timer_t *t);

static void
on_check(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct sl_etcd_view *v = ctx;
	struct sl_etcd_answer a;
	char why[200];

	v->check = NULL;
	if (code != SL_ETCD_OK) {
		trouble(v, error);
		return;
	}
	if (sl_etcd_wire_range(body, len, v->prefix, &a, why, sizeof(why))) {
		sl_etcd_wire_fini(&a);
		trouble_of(v, "its answer %s", why);
		return;
	}
	bool same = a.count == v->count && (a.cnt == 0 || a.kvs[0].modified <= v->revision);
	bool current = is_current(v, &a);
	sl_etcd_wire_fini(&a);
	/* what changes just now is there before the watch tells it: two in a row are needed */
	v->misses = same ? 0 : v->misses + 1;
	if (!current) {
		start_range(v);
	} else if (v->misses > 1) {
		if (!TELL(v, say, "the watch has missed changes: all keys are read anew"))
			start_range(v);
	} else {
		uv_timer_start(v->timer, on_check_time, SL_ETCD_VIEW_CHECK_MS, 0);
		if (same)
			TELL(v, confirm);
	}
}

static void
on_check_time(uv_timer_t *t)
{
	struct sl_etcd_view *v = t->data;
	struct sl_etcd_ask ask = {.from = v->prefix,
				  .from_len = strlen(v->prefix),
				  .prefix = v->prefix,
				  .limit = 1,
				  .newest = true};

	if (sl_etcd_ask(v->etcd, "/v3/kv/range", sl_etcd_wire_ask_range(&ask), on_check, v,
			&v->check))
		trouble(v, "out of memory");
}

/* ---- the watch ---- */

/* Events of one line.  true: the view is gone. */
static bool
tell_events(struct sl_etcd_view *v, const struct sl_etcd_answer *a)
{
	for (size_t i = 0; i < a->cnt; i++) {
		const struct sl_etcd_kv *kv = &a->kvs[i];
		if (kv->gone && v->count > 0)
			v->count--;
		else if (!kv->gone && kv->created == kv->modified)
			v->count++;
		if (kv->gone ? TELL(v, gone, kv->key) : TELL(v, put, kv))
			return true;
	}
	v->revision = v->seen = a->revision;
	return a->cnt > 0 && TELL(v, end);
}

static void
take_line(struct sl_etcd_view *v, const struct sl_etcd_answer *a)
{
	if (a->compacted || !is_current(v, a)) {
		if (++v->tries > 3)
			trouble_of(v, "its watch is of another state than its keys");
		else
			start_range(v); /* which finds out what it is */
	} else if (a->canceled) {
		trouble_of(v, "it ended the watch: %s", a->reason);
	} else if (v->phase == OPENING) {
		if (!a->created) {
			trouble_of(v, "its watch does not begin as one does");
			return;
		}
		v->phase = WATCHING;
		v->tries = 0;
		uv_timer_start(v->timer, on_check_time, SL_ETCD_VIEW_CHECK_MS, 0);
		tell_events(v, a);
	} else if (v->count + a->cnt > 2ull * SL_ETCD_VIEW_KEYS) {
		trouble_of(v, "more than %d keys begin with %s", SL_ETCD_VIEW_KEYS, v->prefix);
	} else {
		tell_events(v, a);
	}
}

static void
on_line(void *ctx, const char *text, size_t len)
{
	struct sl_etcd_view *v = ctx;
	struct sl_etcd_answer a;
	char why[200];

	if (len == 0)
		return;
	int err = sl_etcd_wire_watch(text, len, v->prefix, &a, why, sizeof(why));
	if (err)
		trouble_of(v, "a line of its watch %s", why);
	else
		take_line(v, &a);
	sl_etcd_wire_fini(&a);
}

/* A server that goes away, or a stream that was cut, is no trouble as long as another range succeeds at once. */
static void
on_watch_end(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct sl_etcd_view *v = ctx;

	(void)code;
	(void)body;
	(void)len;
	v->call = NULL;
	if (v->phase == WATCHING && v->tries == 0) {
		v->tries = 1;
		start_range(v);
	} else {
		trouble(v, error);
	}
}

static void
on_opening_late(uv_timer_t *t)
{
	struct sl_etcd_view *v = t->data;

	trouble_of(v, "its watch did not begin within %u ms", v->timeout_ms);
}

static void
open_watch(struct sl_etcd_view *v)
{
	v->phase = OPENING;
	uv_timer_start(v->timer, on_opening_late, v->timeout_ms, 0);
	if (sl_etcd_stream(v->etcd, "/v3/watch", sl_etcd_wire_ask_watch(v->prefix, v->revision + 1),
			   on_line, on_watch_end, v, &v->call))
		trouble(v, "out of memory");
}

/* ---- the range ---- */

/* All pages are there.  true: the view is gone. */
static bool
tell_pages(struct sl_etcd_view *v)
{
	struct sl_etcd_answer *pages = v->pages;
	size_t cnt = v->page_cnt;
	bool other = v->cluster && v->cluster != v->range_cluster, gone = false;
	char line[128];

	v->pages = NULL; /* whatever is called back, they stay */
	v->page_cnt = 0;
	v->count = 0;
	v->cluster = v->range_cluster;
	v->revision = v->seen = v->range_revision;
	v->told = true;
	if (other) {
		snprintf(line, sizeof(line),
			 "this is another cluster now (%016llx): its keys count",
			 (unsigned long long)v->cluster);
		gone = TELL(v, say, line);
	}
	gone = gone || TELL(v, begin);
	for (size_t p = 0; p < cnt; p++) {
		for (size_t i = 0; i < pages[p].cnt && !gone; i++)
			gone = TELL(v, put, &pages[p].kvs[i]);
		if (!gone)
			v->count += pages[p].cnt + pages[p].odd;
		sl_etcd_wire_fini(&pages[p]);
	}
	free(pages);
	return gone || TELL(v, end);
}

/* What the first page says of the whole: is it an older state than one that was seen? */
static bool
is_older(const struct sl_etcd_view *v, const struct sl_etcd_answer *a)
{
	return v->told && a->cluster == v->cluster && a->revision < v->seen;
}

static size_t
bytes_of(const struct sl_etcd_answer *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->cnt; i++)
		n += sizeof(a->kvs[i]) + strlen(a->kvs[i].key) + a->kvs[i].value_len;
	return n;
}

static void
take_page(struct sl_etcd_view *v, struct sl_etcd_answer *a, size_t len)
{
	struct sl_etcd_answer *pages = realloc(v->pages, (v->page_cnt + 1) * sizeof(*pages));

	if (!pages) {
		sl_etcd_wire_fini(a);
		trouble(v, "out of memory");
		return;
	}
	v->pages = pages;
	v->pages[v->page_cnt++] = *a;
	v->keys += a->cnt + a->odd;
	v->bytes += bytes_of(a);
	uint64_t fit = (uint64_t)v->limit * PAGE_BYTES / SL_MAX(len, (size_t)1);
	v->limit = (uint32_t)SL_MAX(SL_MIN(fit, (uint64_t)PAGE_MOST), (uint64_t)1);
	if (v->keys > SL_ETCD_VIEW_KEYS || v->bytes > SL_ETCD_VIEW_BYTES)
		trouble_of(v, "more than %d keys, or %llu MB of values, begin with %s",
			   SL_ETCD_VIEW_KEYS, SL_ETCD_VIEW_BYTES >> 20, v->prefix);
	else if (a->more)
		ask_page(v);
	else if (!tell_pages(v))
		open_watch(v);
}

static void
on_page(void *ctx, unsigned code, const char *error, const char *body, size_t len)
{
	struct sl_etcd_view *v = ctx;
	const struct sl_etcd_answer *before = v->page_cnt ? &v->pages[v->page_cnt - 1] : NULL;
	struct sl_etcd_answer a;
	char why[200];

	v->call = NULL;
	if (code == SL_ETCD_TOO_LONG && v->limit > 1) {
		v->limit = SL_MAX(v->limit / 8, 1u);
		ask_page(v);
	} else if (code == SL_ETCD_OUT_OF_RANGE && before) {
		start_range(v); /* its revision is no longer kept */
	} else if (code != SL_ETCD_OK) {
		trouble(v, error);
	} else if (sl_etcd_wire_range(body, len, v->prefix, &a, why, sizeof(why))) {
		sl_etcd_wire_fini(&a);
		trouble_of(v, "its answer %s", why);
	} else if (!before && is_older(v, &a)) {
		uint64_t revision = a.revision;
		sl_etcd_wire_fini(&a);
		trouble_of(
			v,
			"it is at revision %llu, and %llu was seen of it: an older state, which is "
			"not believed until it has caught up (if it is meant: restart sluiced)",
			(unsigned long long)revision, (unsigned long long)v->seen);
	} else if (before && (a.cluster != v->range_cluster || a.revision < v->range_revision)) {
		sl_etcd_wire_fini(&a);
		trouble_of(v, "its pages are of more than one state");
	} else if (a.more && (!a.last || (before && a.last_len == before->last_len &&
					  memcmp(a.last, before->last, a.last_len) == 0))) {
		sl_etcd_wire_fini(&a);
		trouble_of(v, "its pages do not come to an end");
	} else {
		if (!before) {
			v->range_cluster = a.cluster;
			v->range_revision = a.revision;
		}
		take_page(v, &a, len);
	}
}

static void
ask_page(struct sl_etcd_view *v)
{
	const struct sl_etcd_answer *last = v->page_cnt ? &v->pages[v->page_cnt - 1] : NULL;
	struct sl_etcd_ask ask = {
		.from = last ? last->last : v->prefix,
		.from_len =
			last ? last->last_len + 1 : strlen(v->prefix), /* with its 0: the next */
		.prefix = v->prefix,
		.revision = last ? v->range_revision : 0,
		.limit = v->limit,
	};

	if (sl_etcd_ask(v->etcd, "/v3/kv/range", sl_etcd_wire_ask_range(&ask), on_page, v,
			&v->call))
		trouble(v, "out of memory");
}

static void
start_range(struct sl_etcd_view *v)
{
	stop_calls(v);
	uv_timer_stop(v->timer);
	v->phase = RANGING;
	v->misses = 0;
	v->limit = PAGE_FIRST;
	ask_page(v);
}

/* ---- life ---- */

static void
on_start(uv_timer_t *t)
{
	start_range(t->data);
}

int
sl_etcd_view_create(uv_loop_t *loop, struct sl_etcd *etcd, const char *prefix, uint32_t timeout_ms,
		    uint64_t seed, const struct sl_etcd_view_events *ev,
		    struct sl_etcd_view **ret_view)
{
	struct sl_etcd_view *v = calloc(1, sizeof(*v));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!v || !timer) {
		free(v);
		free(timer);
		return -ENOMEM;
	}
	v->loop = loop;
	v->etcd = etcd;
	v->ev = *ev;
	v->rng = seed;
	v->timeout_ms = timeout_ms;
	v->timer = timer;
	snprintf(v->prefix, sizeof(v->prefix), "%s", prefix);
	uv_timer_init(loop, timer);
	timer->data = v;
	uv_timer_start(timer, on_start, 0, 0);
	*ret_view = v;
	return 0;
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_etcd_view_destroy(struct sl_etcd_view *v)
{
	if (!v)
		return;
	if (v->gone)
		*v->gone = true;
	stop_calls(v);
	uv_timer_stop(v->timer);
	uv_close((uv_handle_t *)v->timer, on_freed);
	free(v);
}
