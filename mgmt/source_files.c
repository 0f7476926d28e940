/* Each question is a file, DIRECTORY/NAME.json: a list of endpoints.
 *
 *   event of the directory ─┐                               ┌─▶ good: answer, or confirm when nothing changed
 *   every 5 s ──────────────┴▶ check (pool): changed? read ─┴─▶ bad: once more 100 ms later, then trouble
 *
 * The directory is watched, not the files: those that are renamed into place are other ones each time, and with symbolic links
 * ("..data" of a mounted volume) the change has another name.  Events can be missed (a network's file system has none), so
 * everything is looked at every 5 s all the same; a file is read then only when its stat changed.  What is bad at first sight may
 * be half written. */
#include "mgmt/source.h"

#include "mgmt/conf_value.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MS 5000
#define SWEEP_FIRST_MS 20 /* after something that may be a link changed: everything is looked at */
#define SWEEP_NEXT_MS 1000
#define SETTLE_MS 100
#define DOUBT_MS 2000 /* a file that never rests */
#define MOST_READS 3  /* of a file that changes while it is read */

/* What tells two states of a file apart. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed, modified;
};

/* What reading a file gave; made in the pool. */
struct outcome {
	struct sl_source_endpoint *list; /* [cnt] */
	size_t cnt;
	uint32_t left_out;
	bool unchanged; /* since `known`; nothing was read */
	char note[400]; /* the first that was left out */
	char why[400];  /* "": good */
};

struct asked {
	struct asked *next;
	struct files *files; /* NULL: dropped */
	uint32_t id;
	char name[256];
	char path[SL_SOURCE_PATH + 264];
	uv_timer_t timer; /* the second look at what was bad */
	bool busy, timer_closed;
	bool again;          /* something happened while it was read */
	bool settled;        /* looked at because nothing happened for SETTLE_MS */
	uint64_t doubted_ms; /* since when it is bad without being told; 0: it is not */
	bool told_trouble, answered;
	/* of the pool while busy */
	uv_work_t work;
	bool only_changed;
	struct stamp known; /* when it was read last */
	struct outcome out;
	/* what the sink has */
	struct outcome last;
	char trouble[400];
};

struct files {
	const struct sl_source_conf *conf;
	struct sl_source_sink sink;
	struct asked *asked;
	struct watch *watch;
};

/* The directory; lives until its handles are closed. */
struct watch {
	struct files *files; /* NULL: destroyed */
	uv_fs_event_t event;
	uv_timer_t poll, sweep;
	uint64_t swept; /* when, ms of the loop */
	unsigned open;  /* handles */
};

static void check(struct asked *a, bool only_changed);
static void watch(struct watch *w);

/* ---- in the pool: bytes → outcome ---- */

static void
fail(struct outcome *o, const char *what, const char *why)
{
	snprintf(o->why, sizeof(o->why), "%s%s", what, why);
}

static struct stamp
stamp_of(const struct stat *st)
{
	return (struct stamp){st->st_dev, st->st_ino, st->st_size, st->st_ctim, st->st_mtim};
}

static bool
same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec &&
	       a->modified.tv_sec == b->modified.tv_sec &&
	       a->modified.tv_nsec == b->modified.tv_nsec;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Counted; the first is named. */
static void
leave_out(struct outcome *o, const char *which, const char *why)
{
	if (o->left_out++ == 0)
		snprintf(o->note, sizeof(o->note), "%s: %s", which, why);
}

/* "name", or one made of address and port.  NULL, or what is wrong. */
static const char *
name_endpoint(const json_t *j, struct sl_source_endpoint *e, char *buf, size_t size)
{
	const json_t *name = json_object_get(j, "name");
	char quoted[100];

	if (!name) {
		sl_source_name_addr(&e->addr, e->port, e->name);
		return NULL;
	}
	if (!json_is_string(name))
		return "name: not a string";
	const char *why = sl_value_name(json_string_value(name), e->name);
	if (!why)
		return NULL;
	snprintf(buf, size, "name: %s %s",
		 sl_value_quote(json_string_value(name), quoted, sizeof(quoted)), why);
	return buf;
}

static const char *
read_endpoint(const json_t *j, struct sl_source_endpoint *ret, char *buf, size_t size)
{
	const char *why = sl_source_endpoint_json(j, ret, buf, size);

	return why ? why : name_endpoint(j, ret, buf, size);
}

/* Of two of one name the first stays: names[] are those of the list, as pointers into it. */
static void
drop_twins(struct outcome *o)
{
	const char **names = malloc((o->cnt + 1) * sizeof(*names));
	bool *gone = calloc(o->cnt + 1, sizeof(*gone));
	size_t n = 0;

	for (size_t i = 0; names && gone && i < o->cnt; i++)
		names[i] = o->list[i].name;
	if (!names || !gone) {
		fail(o, "no memory", "");
		goto out;
	}
	qsort(names, o->cnt, sizeof(*names), compare_names);
	for (size_t i = 1; i < o->cnt; i++)
		if (strcmp(names[i], names[i - 1]) == 0) {
			/* pointers are places: the lower one came first */
			if (names[i] < names[i - 1]) {
				const char *first = names[i];
				names[i] = names[i - 1];
				names[i - 1] = first;
			}
			size_t at = ((uintptr_t)names[i] - (uintptr_t)o->list) / sizeof(*o->list);
			gone[at] = true;
			names[i] = names[i - 1];
		}
	for (size_t i = 0; i < o->cnt; i++) {
		if (gone[i])
			leave_out(o, o->list[i].name, "stands there twice: the first one counts");
		else
			o->list[n++] = o->list[i];
	}
	o->cnt = n;
out:
	free(names);
	free(gone);
}

static void
read_list(const json_t *j, struct outcome *o)
{
	size_t i, cnt = SL_MIN(json_array_size(j), (size_t)SL_MAX_SERVICE_ENDPOINTS);
	json_t *one;

	o->list = calloc(cnt + 1, sizeof(*o->list));
	if (!o->list) {
		fail(o, "no memory", "");
		return;
	}
	json_array_foreach(j, i, one)
	{
		char buf[300], which[32];
		snprintf(which, sizeof(which), "[%zu]", i);
		const char *why = o->cnt < SL_MAX_SERVICE_ENDPOINTS
					  ? read_endpoint(one, &o->list[o->cnt], buf, sizeof(buf))
					  : "is one more than any service can have";
		if (why)
			leave_out(o, which, why);
		else
			o->cnt++;
	}
	drop_twins(o);
}

static void
read_text(const char *text, size_t len, struct outcome *o)
{
	char why[300];
	json_t *j = sl_source_json(text, len, why, sizeof(why));

	if (!j)
		fail(o, "", why);
	else if (!json_is_array(j))
		fail(o, "is not a list: ", "write [ { \"address\": … }, … ]");
	else
		read_list(j, o);
	json_decref(j);
}

/* All bytes up to the limit and one more; -1 with errno. */
static ssize_t
read_all(int fd, char *buf, size_t size)
{
	size_t n = 0;
	ssize_t got = 1;

	while (n < size && got > 0) {
		got = read(fd, buf + n, size - n);
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got < 0)
			return -1;
		else
			n += (size_t)got;
	}
	return (ssize_t)n;
}

/* true: it changed meanwhile. */
static bool
read_once(int fd, struct stat *st, struct outcome *o)
{
	struct stat then;
	size_t room = SL_MIN((size_t)SL_MAX(st->st_size, 0), (size_t)SL_SOURCE_JSON_BYTES) + 1;
	char *buf = malloc(room);
	ssize_t n = buf && lseek(fd, 0, SEEK_SET) == 0 ? read_all(fd, buf, room) : -1;

	if (n < 0 || fstat(fd, &then)) {
		fail(o, "cannot be read: ", buf ? strerror(errno) : "no memory");
		free(buf);
		return false;
	}
	struct stamp a = stamp_of(st), b = stamp_of(&then);
	bool changed = !same_stamp(&a, &b);
	*st = then;
	if (!changed)
		read_text(buf, (size_t)n, o);
	free(buf);
	return changed;
}

static void
read_open(int fd, struct asked *a, struct outcome *o)
{
	struct stat st;
	bool changed = true;

	if (fstat(fd, &st)) {
		fail(o, "cannot be read: ", strerror(errno));
		return;
	}
	struct stamp now = stamp_of(&st);
	if (a->only_changed && same_stamp(&now, &a->known)) {
		o->unchanged = true;
		return;
	}
	if (!S_ISREG(st.st_mode)) {
		fail(o, "is not a file", "");
	} else if (st.st_size > (off_t)SL_SOURCE_JSON_BYTES) {
		fail(o, "is longer than 8 MB", "");
	} else {
		for (int i = 0; changed && i < MOST_READS; i++)
			changed = read_once(fd, &st, o);
		if (changed)
			fail(o,
			     "changes while it is read: write another file, and rename it into "
			     "place",
			     "");
	}
	a->known = stamp_of(&st);
}

static void
work(uv_work_t *w)
{
	struct asked *a = w->data;
	struct outcome *o = &a->out;

	*o = (struct outcome){0};
	if (strchr(a->name, '/')) {
		fail(o, "cannot be: the name of a file has no \"/\"", "");
		return;
	}
	/* not waiting for a FIFO's writer, not becoming a terminal's owner */
	int fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		if (errno == ENOENT)
			fail(o, "is not there", " (for no endpoints write [])");
		else
			fail(o, "cannot be read: ", strerror(errno));
		a->known = (struct stamp){0};
		return;
	}
	read_open(fd, a, o);
	close(fd);
}

/* ---- on the loop ---- */

static void
outcome_fini(struct outcome *o)
{
	free(o->list);
	*o = (struct outcome){0};
}

static void
release(struct asked *a)
{
	if (a->files || a->busy || !a->timer_closed)
		return;
	outcome_fini(&a->last);
	free(a);
}

static void
on_timer_closed(uv_handle_t *handle)
{
	struct asked *a = handle->data;

	a->timer_closed = true;
	release(a);
}

static bool
same_outcome(const struct outcome *a, const struct outcome *b)
{
	return a->cnt == b->cnt && a->left_out == b->left_out && strcmp(a->note, b->note) == 0 &&
	       memcmp(a->list, b->list, a->cnt * sizeof(*a->list)) == 0;
}

static void
tell_good(struct asked *a)
{
	const struct sl_source_sink *sink = &a->files->sink;
	bool same = a->answered && same_outcome(&a->out, &a->last);

	outcome_fini(&a->last);
	a->last = a->out;
	a->out.list = NULL;
	a->answered = true;
	a->trouble[0] = 0;
	/* the directory is there by now; what happened before it was watched is seen by looking once more */
	if (!uv_is_active((uv_handle_t *)&a->files->watch->event)) {
		watch(a->files->watch);
		check(a, true);
	}
	if (same)
		sink->confirm(sink->ctx, a->id);
	else
		sink->answer(sink->ctx, a->id, a->last.list, a->last.cnt, a->last.left_out,
			     a->last.note);
}

static void
on_timer(uv_timer_t *t)
{
	struct asked *a = t->data;

	a->settled = true;
	check(a, false);
}

/* Whether what is bad may be half written: it is looked at again once nothing happened for a while. */
static bool
doubt(struct asked *a)
{
	uint64_t now = uv_now(a->timer.loop);

	if (!a->doubted_ms)
		a->doubted_ms = now;
	else if (a->settled || now - a->doubted_ms >= DOUBT_MS)
		return false;
	uv_timer_start(&a->timer, on_timer, SETTLE_MS, 0);
	return true;
}

/* The same trouble is told once. */
static void
tell_bad(struct asked *a)
{
	const struct sl_source_sink *sink = &a->files->sink;
	char line[sizeof(a->path) + sizeof(a->out.why) + 2];

	if (!a->trouble[0] && doubt(a))
		return;
	if (strcmp(a->trouble, a->out.why) == 0)
		return;
	memcpy(a->trouble, a->out.why, sizeof(a->trouble));
	snprintf(line, sizeof(line), "%s %s", a->path, a->out.why);
	sink->trouble(sink->ctx, a->id, line);
}

static void
after_work(uv_work_t *w, int status)
{
	struct asked *a = w->data;

	a->busy = false;
	if (!a->files || status) {
		outcome_fini(&a->out);
		release(a);
		return;
	}
	if (a->again) { /* what was read is old already */
		outcome_fini(&a->out);
		check(a, false);
		return;
	}
	if (a->out.why[0]) {
		tell_bad(a);
		outcome_fini(&a->out);
	} else if (a->out.unchanged) {
		if (a->answered && !a->trouble[0])
			a->files->sink.confirm(a->files->sink.ctx, a->id);
	} else {
		a->doubted_ms = 0;
		a->settled = false;
		tell_good(a);
	}
}

static void
check(struct asked *a, bool only_changed)
{
	if (a->busy) {
		a->again |= !only_changed;
		return;
	}
	a->again = false;
	a->only_changed = only_changed && !a->doubted_ms;
	a->work.data = a;
	if (uv_queue_work(a->files->sink.loop, &a->work, work, after_work) == 0)
		a->busy = true;
}

/* ---- the directory ---- */

static void
check_all(struct files *f)
{
	for (struct asked *a = f->asked; a; a = a->next)
		check(a, true);
}

/* Watched anew each time: the directory may be another one by now, or have come only now. */
static void
look_again(struct watch *w)
{
	uv_fs_event_stop(&w->event);
	watch(w);
	check_all(w->files);
}

static void
on_sweep(uv_timer_t *t)
{
	struct watch *w = t->data;

	w->swept = uv_now(t->loop);
	look_again(w);
}

static void
plan_sweep(struct watch *w)
{
	uint64_t now = uv_now(w->sweep.loop), due = now + SWEEP_FIRST_MS;

	if (w->swept)
		due = SL_MAX(due, w->swept + SWEEP_NEXT_MS);
	if (!uv_is_active((uv_handle_t *)&w->sweep))
		uv_timer_start(&w->sweep, on_sweep, due - now, 0);
}

static void
on_event(uv_fs_event_t *event, const char *file, int events, int status)
{
	struct watch *w = event->data;
	size_t len = file ? strlen(file) : 0;

	(void)events;
	(void)status; /* the poll starts it anew */
	for (struct asked *a = len > 5 ? w->files->asked : NULL; a; a = a->next)
		if (strcmp(file + len - 5, ".json") == 0 && strlen(a->name) == len - 5 &&
		    memcmp(a->name, file, len - 5) == 0) {
			a->settled = false;
			check(a, false);
			return;
		}
	plan_sweep(w);
}

/* Without a directory it stays inactive. */
static void
watch(struct watch *w)
{
	uv_fs_event_start(&w->event, on_event, w->files->conf->directory, 0);
}

static void
on_poll(uv_timer_t *t)
{
	look_again(t->data);
}

static void
on_watch_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	if (--w->open == 0)
		free(w);
}

/* ---- the source ---- */

static int
create(const struct sl_source_conf *conf, const struct sl_source_sink *sink, struct sl_diag *diag,
       void **ret_source)
{
	struct files *f = calloc(1, sizeof(*f));
	struct watch *w = f ? calloc(1, sizeof(*w)) : NULL;

	if (!w || uv_fs_event_init(sink->loop, &w->event)) {
		sl_diag_add(diag, NULL, 0, conf->name, NULL, "no memory");
		free(w);
		free(f);
		return -ENOMEM;
	}
	*f = (struct files){.conf = conf, .sink = *sink, .watch = w};
	w->files = f;
	w->open = 3;
	uv_timer_init(sink->loop, &w->poll);
	uv_timer_init(sink->loop, &w->sweep);
	w->event.data = w->poll.data = w->sweep.data = w;
	watch(w);
	uv_timer_start(&w->poll, on_poll, POLL_MS, POLL_MS);
	*ret_source = f;
	return 0;
}

static int
ask(void *source, uint32_t id, const char *service, const struct sl_conf_discover *q)
{
	struct files *f = source;
	struct asked *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->files = f;
	a->id = id;
	snprintf(a->name, sizeof(a->name), "%s", q->name[0] ? q->name : service);
	snprintf(a->path, sizeof(a->path), "%s/%s.json", f->conf->directory, a->name);
	a->next = f->asked;
	f->asked = a;
	uv_timer_init(f->sink.loop, &a->timer);
	a->timer.data = a;
	uv_timer_start(&a->timer, on_timer, 0, 0);
	return 0;
}

static void
let_go(struct asked *a)
{
	a->files = NULL;
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}

static void
drop(void *source, uint32_t id)
{
	struct files *f = source;

	for (struct asked **at = &f->asked; *at; at = &(*at)->next)
		if ((*at)->id == id) {
			struct asked *a = *at;
			*at = a->next;
			let_go(a);
			return;
		}
}

static void
destroy(void *source)
{
	struct files *f = source;

	if (!f)
		return;
	for (struct asked *a = f->asked, *next; a; a = next) {
		next = a->next;
		let_go(a);
	}
	uv_close((uv_handle_t *)&f->watch->event, on_watch_closed);
	uv_close((uv_handle_t *)&f->watch->poll, on_watch_closed);
	uv_close((uv_handle_t *)&f->watch->sweep, on_watch_closed);
	free(f);
}

const struct sl_source_ops sl_source_files = {create, destroy, ask, drop};
