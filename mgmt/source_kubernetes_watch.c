#include "mgmt/source_kubernetes_watch.h"

#include "mgmt/conf_value.h"
#include "mgmt/source_url.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE_SLICES 100
#define PAGES_MAX 10000
#define ENDPOINTS_MAX (2u * SL_MAX_ENDPOINTS) /* of the slices of one list: they may overlap */
#define SILENT_MS 90000                       /* bookmarks come about once a minute */
#define ALIVE_MS 1000                         /* a watch that lasted so long was one */
#define QUICK_MAX 3                           /* that did not, in a row, before a list */
#define RESUME_MS 20
#define CONFIRM_MS 10000

enum phase { PAUSED, LISTING, WATCHING };

struct sl_slice_watch {
	uv_loop_t *loop;
	const struct sl_source_conf *conf;
	struct sl_web *web;
	struct sl_slice_watch_events ev;
	char space[SL_NAME_MAX];
	uint64_t rng;
	uv_timer_t *timer; /* of PAUSED; freed by its close callback */
	enum phase phase;
	bool resume; /* PAUSED: a watch comes next, no list */
	unsigned server, failures;
	unsigned quick;   /* watches in a row that ended at once */
	unsigned expired; /* versions in a row that were too old */
	uint64_t confirmed;

	/* the answer that comes */
	struct sl_web_call *call;
	struct job *job;
	char *buf; /* [len], not given to a job yet */
	size_t len, room;
	bool long_one; /* it had to be ended */
	bool over;     /* the call has ended: status, error */
	int status;
	char error[512]; /* "": none */

	/* LISTING */
	struct sl_slice **slices; /* [slice_cnt] */
	size_t slice_cnt, slice_room, endpoints;
	unsigned pages, limit;
	char *more;

	/* WATCHING */
	char version[SL_SLICE_VERSION];
	uint64_t opened; /* uv_now of its head; 0: none yet */
	bool took;       /* an event of it */
	bool gone;       /* the version is too old */
	char bad[400];   /* the end of a sentence that begins with the server */
};

/* A page, or whole lines, while they are read. */
struct job {
	uv_work_t work;
	struct sl_slice_watch *w; /* NULL: nobody waits any more */
	char *bytes;
	size_t len;
	char region[SL_NAME_MAX];
	bool page;
	struct sl_slice_page got;
	struct sl_slice_event *events; /* [cnt] */
	size_t cnt, room;
	int err; /* of what stands behind the events */
	char why[256];
};

static void fail(struct sl_slice_watch *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static void list_page(struct sl_slice_watch *w);
static void watch(struct sl_slice_watch *w);
static void read_lines(struct sl_slice_watch *w);
static void on_over(struct sl_slice_watch *w);

static const char *
server(const struct sl_slice_watch *w)
{
	return w->conf->servers[w->server];
}

/* ---- phases ---- */

/* Gives up what is under way. */
static void
reset(struct sl_slice_watch *w)
{
	sl_web_cancel(w->call);
	w->call = NULL;
	if (w->job)
		w->job->w = NULL;
	w->job = NULL;
	free(w->buf);
	w->buf = NULL;
	w->len = w->room = 0;
	w->long_one = w->over = w->took = w->gone = false;
	w->status = 0;
	w->opened = 0;
	w->bad[0] = w->error[0] = 0;
}

static void
forget_list(struct sl_slice_watch *w)
{
	for (size_t i = 0; i < w->slice_cnt; i++)
		sl_slice_free(w->slices[i]);
	w->slice_cnt = 0;
	w->endpoints = 0;
	w->pages = 0;
	free(w->more);
	w->more = NULL;
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_slice_watch *w = t->data;

	if (w->phase == WATCHING) {
		if (!w->opened)
			fail(w, "%s: no watch within %u ms", server(w), w->conf->timeout_ms);
		return;
	}
	reset(w);
	if (w->resume) {
		watch(w);
		return;
	}
	forget_list(w);
	list_page(w);
}

static void
pause_for(struct sl_slice_watch *w, uint64_t ms, bool resume)
{
	reset(w);
	forget_list(w);
	w->phase = PAUSED;
	w->resume = resume;
	uv_timer_start(w->timer, on_timer, ms, 0);
}

/* Trouble, and a list after a pause, from the next server. */
static void
fail(struct sl_slice_watch *w, const char *fmt, ...)
{
	char why[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	w->server = (w->server + 1) % w->conf->server_cnt;
	pause_for(w, sl_source_pause(++w->failures, &w->rng), false);
	w->ev.trouble(w->ev.ctx, why);
}

/* The version is too old for the server: a list is the way on, at once but not again and again. */
static void
expire(struct sl_slice_watch *w)
{
	pause_for(w, w->expired ? sl_source_pause(w->expired, &w->rng) : 0, false);
	w->expired++;
}

static void
alive(struct sl_slice_watch *w)
{
	w->failures = w->quick = w->expired = 0;
}

static void
confirm(struct sl_slice_watch *w)
{
	uint64_t now = uv_now(w->loop);

	if (now - w->confirmed < CONFIRM_MS)
		return;
	w->confirmed = now;
	w->ev.confirm(w->ev.ctx);
}

/* ---- bytes ---- */

static int
on_data(void *ctx, const char *bytes, size_t len)
{
	struct sl_slice_watch *w = ctx;

	if (w->len + len > SL_SOURCE_JSON_BYTES) {
		w->long_one = true;
		return 1;
	}
	if (w->len + len + 1 > w->room) {
		size_t room = SL_MAX(2 * w->room, w->len + len + 1);
		char *more = realloc(w->buf, room);
		if (!more)
			return 1;
		w->buf = more;
		w->room = room;
	}
	memcpy(w->buf + w->len, bytes, len);
	w->len += len;
	if (w->phase == WATCHING)
		read_lines(w);
	return 0;
}

static void
on_header(void *ctx, const char *name, const char *value)
{
	struct sl_slice_watch *w = ctx;

	(void)name;
	(void)value;
	if (!w->opened)
		w->opened = SL_MAX(uv_now(w->loop), (uint64_t)1);
}

static void
on_done(void *ctx, int status, const char *error, const char *body, size_t len)
{
	struct sl_slice_watch *w = ctx;

	(void)body;
	(void)len;
	w->call = NULL;
	w->over = true;
	w->status = status;
	snprintf(w->error, sizeof(w->error), "%s", error ? error : "");
	if (!w->job)
		on_over(w);
}

static int
ask(struct sl_slice_watch *w, const struct sl_source_url *url, bool stream)
{
	const struct sl_source_conf *conf = w->conf;
	static const struct sl_web_header accept = {"Accept", "application/json"};
	struct sl_web_request r = {.method = "GET",
				   .url = url->text,
				   .headers = &accept,
				   .header_cnt = 1,
				   .bearer_file = conf->token_file,
				   .ca = conf->ca,
				   .certificate = conf->certificate,
				   .key = conf->key,
				   .connect_ms = conf->timeout_ms,
				   .total_ms = conf->timeout_ms + (stream ? conf->wait_ms : 0),
				   .silent_ms = stream ? SILENT_MS : 0,
				   .data = on_data,
				   .header = on_header,
				   .done = on_done,
				   .ctx = w};

	return url->full ? -EINVAL : sl_web_start(w->web, &r, &w->call);
}

static void
begin_url(const struct sl_slice_watch *w, struct sl_source_url *url)
{
	sl_source_url_begin(url, server(w));
	sl_source_url_add(url, "/apis/discovery.k8s.io/v1/namespaces/");
	sl_source_url_escape(url, w->space);
	sl_source_url_add(url, "/endpointslices?labelSelector=kubernetes.io%2Fservice-name");
}

/* ---- the pool ---- */

static void
read_events(struct job *j)
{
	const char *p = j->bytes, *end = p + j->len;

	while (p < end && !j->err) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);
		if (len > 0 && p[len - 1] == '\r')
			len--;
		if (len > 0 && j->cnt == j->room) {
			size_t room = j->room ? 2 * j->room : 8;
			void *more = realloc(j->events, room * sizeof(*j->events));
			if (!more) {
				j->err = -ENOMEM;
				return;
			}
			j->events = more;
			j->room = room;
		}
		if (len > 0)
			j->err = sl_source_kubernetes_event(p, len, j->region, &j->events[j->cnt],
							    j->why, sizeof(j->why));
		if (len > 0 && !j->err)
			j->cnt++;
		p = nl ? nl + 1 : end;
	}
}

static void
in_pool(uv_work_t *work)
{
	struct job *j = work->data;

	if (j->page)
		j->err = sl_source_kubernetes_page(j->bytes, j->len, j->region, &j->got, j->why,
						   sizeof(j->why));
	else
		read_events(j);
}

static void
job_free(struct job *j)
{
	for (size_t i = 0; i < j->cnt; i++)
		sl_slice_event_fini(&j->events[i]);
	free(j->events);
	sl_slice_page_fini(&j->got);
	free(j->bytes);
	free(j);
}

static void on_page(struct sl_slice_watch *w, struct job *j);
static void on_events(struct sl_slice_watch *w, struct job *j);

static void
on_read(uv_work_t *work, int status)
{
	struct job *j = work->data;
	struct sl_slice_watch *w = j->w;

	(void)status;
	if (w) {
		w->job = NULL;
		if (j->page)
			on_page(w, j);
		else
			on_events(w, j);
	}
	job_free(j);
}

/* Gives the first n bytes of the buffer to a job; false: no memory. */
static bool
submit(struct sl_slice_watch *w, size_t n, bool page)
{
	struct job *j = calloc(1, sizeof(*j));
	size_t left = w->len - n;
	char *rest = left ? malloc(left + 1) : NULL;

	if (!j || (left && !rest)) {
		free(j);
		free(rest);
		return false;
	}
	if (left)
		memcpy(rest, w->buf + n, left);
	j->bytes = w->buf;
	j->len = n;
	w->buf = rest;
	w->len = left;
	w->room = left ? left + 1 : 0;
	j->w = w;
	j->work.data = j;
	j->page = page;
	memcpy(j->region, w->conf->region, sizeof(j->region));
	w->job = j;
	uv_queue_work(w->loop, &j->work, in_pool, on_read);
	return true;
}

/* ---- the list ---- */

static void
list_page(struct sl_slice_watch *w)
{
	struct sl_source_url url;
	char limit[32];

	w->phase = LISTING;
	begin_url(w, &url);
	snprintf(limit, sizeof(limit), "&limit=%u", w->limit);
	if (w->limit)
		sl_source_url_add(&url, limit);
	if (w->more) {
		sl_source_url_add(&url, "&continue=");
		sl_source_url_escape(&url, w->more);
	}
	if (ask(w, &url, false))
		fail(w, "%s: no memory for the question, or it makes no URL", server(w));
}

/* What a server says with a status that is none of success; buf is "" or its message in quotes. */
static const char *
message(const struct sl_slice_watch *w, char *buf, size_t size)
{
	struct sl_slice_event e = {0};
	char why[64];

	if (w->len > 0)
		w->buf[w->len] = 0;
	if (w->len > 0 && sl_source_kubernetes_event(w->buf, w->len, "", &e, why, sizeof(why)) == 0)
		snprintf(buf, size, "%s", e.text);
	else
		sl_value_quote(w->len ? w->buf : "", buf, size);
	sl_slice_event_fini(&e);
	return buf;
}

static void
on_list_over(struct sl_slice_watch *w)
{
	char text[160];

	if (w->long_one && w->limit != 1) {
		w->limit = w->limit > 4 ? w->limit / 4 : 1;
		pause_for(w, 0, false);
	} else if (w->long_one) {
		fail(w, "%s: a slice of namespace %s is longer than %u MB", server(w), w->space,
		     SL_SOURCE_JSON_BYTES >> 20);
	} else if (w->error[0]) {
		fail(w, "%s", w->error);
	} else if (w->status == 410 && w->more) {
		w->limit = 0; /* all at once, then */
		expire(w);
	} else if (w->status != 200) {
		fail(w, "%s: answers %d: %s", server(w), w->status, message(w, text, sizeof(text)));
	} else if (!w->buf || !submit(w, w->len, true)) {
		fail(w, "%s: its list of namespace %s is empty", server(w), w->space);
	}
}

static bool
keep(struct sl_slice_watch *w, struct sl_slice *s)
{
	if (w->slice_cnt == w->slice_room) {
		size_t room = w->slice_room ? 2 * w->slice_room : 64;
		void *more = realloc(w->slices, room * sizeof(struct sl_slice *));
		if (!more)
			return false;
		w->slices = more;
		w->slice_room = room;
	}
	w->slices[w->slice_cnt++] = s;
	w->endpoints += s->all.cnt + 1;
	return w->endpoints <= ENDPOINTS_MAX;
}

static void
on_page(struct sl_slice_watch *w, struct job *j)
{
	if (j->err) {
		fail(w, "%s: its list of namespace %s %s", server(w), w->space, j->why);
		return;
	}
	for (size_t i = 0; i < j->got.cnt; i++) {
		struct sl_slice *s = j->got.slices[i];
		if (!w->ev.wanted(w->ev.ctx, s->service))
			continue;
		j->got.slices[i] = NULL;
		if (!keep(w, s)) {
			fail(w, "%s: namespace %s has more endpoints than %u", server(w), w->space,
			     ENDPOINTS_MAX);
			return;
		}
	}
	free(w->more);
	w->more = j->got.more;
	j->got.more = NULL;
	memcpy(w->version, j->got.version, sizeof(w->version));
	w->over = false;
	w->opened = 0;
	w->status = 0;
	if (w->more && ++w->pages >= PAGES_MAX) {
		fail(w, "%s: its list of namespace %s has no end", server(w), w->space);
	} else if (w->more) {
		list_page(w);
	} else {
		size_t cnt = w->slice_cnt;
		w->slice_cnt = 0;
		w->limit = w->limit ? w->limit : PAGE_SLICES;
		w->ev.list(w->ev.ctx, w->slices, cnt);
		watch(w);
	}
}

/* ---- the watch ---- */

static void
watch(struct sl_slice_watch *w)
{
	struct sl_source_url url;
	char text[96];

	w->phase = WATCHING;
	begin_url(w, &url);
	sl_source_url_add(&url, "&watch=1&allowWatchBookmarks=true&resourceVersion=");
	sl_source_url_escape(&url, w->version);
	snprintf(text, sizeof(text), "&timeoutSeconds=%u", SL_MAX(w->conf->wait_ms / 1000, 1u));
	sl_source_url_add(&url, text);
	uv_timer_start(w->timer, on_timer, w->conf->timeout_ms, 0);
	if (ask(w, &url, true))
		fail(w, "%s: no memory for the question, or it makes no URL", server(w));
}

/* Whole lines, one job at a time, so that they stay in order. */
static void
read_lines(struct sl_slice_watch *w)
{
	const char *nl = w->job || !w->len ? NULL : memrchr(w->buf, '\n', w->len);

	if (nl && !submit(w, (size_t)(nl - w->buf) + 1, false))
		snprintf(w->bad, sizeof(w->bad), "says more than there is memory for");
}

static void
take_event(struct sl_slice_watch *w, struct sl_slice_event *e)
{
	if (e->kind == SL_SLICE_ERROR) {
		w->gone = e->code == 410;
		snprintf(w->bad, sizeof(w->bad), "answers %d: %s", e->code, e->text);
		return;
	}
	alive(w);
	w->took = true;
	memcpy(w->version, e->version, sizeof(w->version));
	if (e->kind == SL_SLICE_PUT) {
		w->ev.put(w->ev.ctx, e->slice);
		e->slice = NULL;
	} else if (e->kind == SL_SLICE_DELETE) {
		w->ev.gone(w->ev.ctx, e->slice->service, e->slice->name);
	}
}

static void
on_events(struct sl_slice_watch *w, struct job *j)
{
	bool bookmark = false;

	for (size_t i = 0; i < j->cnt && !w->bad[0]; i++) {
		bookmark |= j->events[i].kind == SL_SLICE_BOOKMARK;
		take_event(w, &j->events[i]);
	}
	if (j->err && !w->bad[0])
		snprintf(w->bad, sizeof(w->bad), "says of namespace %s what %s", w->space,
			 j->err == -ENOMEM ? "there is no memory for" : j->why);
	if (w->bad[0] || (w->over && !w->len)) {
		on_over(w);
		return;
	}
	read_lines(w);
	if (w->over && !w->job)
		on_over(w);
	else if (bookmark)
		confirm(w);
}

static void
on_watch_over(struct sl_slice_watch *w)
{
	bool lasted = w->opened && uv_now(w->loop) - w->opened >= ALIVE_MS;

	if (lasted)
		alive(w);
	if (w->gone || w->status == 410) {
		expire(w);
	} else if (w->over && w->status != 0 && w->status != 200 && (w->len || !w->bad[0])) {
		char text[160];
		fail(w, "%s: answers %d: %s", server(w), w->status, message(w, text, sizeof(text)));
	} else if (w->bad[0]) {
		fail(w, "%s: %s", server(w), w->bad);
	} else if (w->long_one) {
		fail(w, "%s: an event of namespace %s is longer than %u MB", server(w), w->space,
		     SL_SOURCE_JSON_BYTES >> 20);
	} else if (w->error[0] && !w->opened) {
		fail(w, "%s", w->error);
	} else if (!w->took && !lasted && ++w->quick >= QUICK_MAX) {
		w->quick = 0;
		fail(w, "%s: ends each watch of namespace %s at once", server(w), w->space);
	} else {
		bool whole = !w->error[0];
		pause_for(w, w->quick ? sl_source_pause(w->quick, &w->rng) : RESUME_MS, true);
		if (whole && lasted)
			confirm(w);
	}
}

/* The call has ended, and what came was read; or what came is no use. */
static void
on_over(struct sl_slice_watch *w)
{
	if (w->phase == LISTING) {
		on_list_over(w);
		return;
	}
	/* an answer that is whole ends its last line, too: an event, or nonsense */
	if (!w->bad[0] && w->over && w->status == 200 && w->len > 0 && w->buf[w->len - 1] != '\n') {
		w->buf[w->len++] = '\n';
		read_lines(w);
		if (w->job)
			return;
	}
	on_watch_over(w);
}

/* ---- life ---- */

static void
on_closed(uv_handle_t *h)
{
	free(h);
}

struct sl_slice_watch *
sl_slice_watch_create(uv_loop_t *loop, const struct sl_source_conf *conf, struct sl_web *web,
		      const char *space, uint64_t seed, const struct sl_slice_watch_events *events)
{
	struct sl_slice_watch *w = calloc(1, sizeof(*w));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!w || !timer) {
		free(w);
		free(timer);
		return NULL;
	}
	w->loop = loop;
	w->conf = conf;
	w->web = web;
	w->ev = *events;
	w->rng = seed;
	w->limit = PAGE_SLICES;
	snprintf(w->space, sizeof(w->space), "%s", space);
	w->timer = timer;
	uv_timer_init(loop, timer);
	timer->data = w;
	pause_for(w, 0, false);
	return w;
}

void
sl_slice_watch_destroy(struct sl_slice_watch *w)
{
	if (!w)
		return;
	reset(w);
	forget_list(w);
	free(w->slices);
	uv_timer_stop(w->timer);
	uv_close((uv_handle_t *)w->timer, on_closed);
	free(w);
}

void
sl_slice_watch_relist(struct sl_slice_watch *w)
{
	if (w->phase == PAUSED)
		w->resume = false;
	else
		pause_for(w, 0, false);
}
