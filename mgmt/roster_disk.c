/* A file is {"answer":{…},"sum":"SHA-256 of the answer as text"}, where the text is compact with keys in order; an endpoint is
 * [name, address, port, weight, priority, percent, flags, locality, metadata].
 *
 * Questions to be written stand in a queue in the order in which they came; a batch is copied for the job, so that answers may
 * go on meanwhile. */
#include "mgmt/roster_disk.h"

#include "mgmt/conf_value.h"
#include "mgmt/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FILE_MAX (64u << 20)
#define GATHER_MS 20
#define DRAIN 1
#define DOWN 2

struct item {
	char path[1200];
	char service[SL_NAME_MAX];
	struct sl_conf_discover q;
	struct sl_source_endpoint *eps;
	uint32_t cnt;
	int64_t wall_ms;
	uint64_t turn; /* its last bit is the file's */
};

struct sl_roster_disk {
	uv_loop_t *loop;
	char dir[1100];
	void (*say)(void *ctx, const char *line);
	void *ctx;
	uv_timer_t *timer;
	struct sl_roster_question **queue; /* [cnt], room for queue_room */
	uint32_t cnt, queue_room;
	uv_work_t work;
	struct item *items; /* [item_cnt] of the job */
	uint32_t item_cnt;
	bool job, finishing;
	int64_t last_ms;
	int err; /* of the last job: said once */
};

static int64_t
wall_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- one answer as text ---- */

static void
path_of(const struct sl_roster_disk *d, const char *service, const struct sl_conf_discover *q,
	uint64_t turn, char *path, size_t size)
{
	char key[1024], hex[65];
	int n = snprintf(key, sizeof(key), "%s\n%s\n%s\n%s\n%s\n%s\n%u\n%u", service, q->source,
			 q->name, q->port_name, q->tag, q->space, q->port, q->record);

	sl_disk_sum(key, (size_t)n, hex);
	snprintf(path, size, "%s/%.32s.%u.json", d->dir, hex, (unsigned)(turn & 1));
}

static json_t *
endpoint_json(const struct sl_source_endpoint *e)
{
	char addr[SL_ADDR_STRLEN];

	return json_pack("[s, s, i, i, i, i, i, s, s]", e->name, sl_addr_format(&e->addr, addr),
			 e->port, e->weight, e->priority, e->percent,
			 (e->drain ? DRAIN : 0) | (e->down ? DOWN : 0), e->locality, e->meta);
}

static char *
item_text(const struct item *it)
{
	json_t *list = json_array();
	char hex[65], *text = NULL;

	for (uint32_t i = 0; i < it->cnt; i++)
		json_array_append_new(list, endpoint_json(&it->eps[i]));
	json_t *a = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:o}", "service",
			      it->service, "source", it->q.source, "name", it->q.name, "port_name",
			      it->q.port_name, "tag", it->q.tag, "namespace", it->q.space, "port",
			      it->q.port, "record", it->q.record, "time", (json_int_t)it->wall_ms,
			      "turn", (json_int_t)it->turn, "endpoints", list);
	char *inner = a ? json_dumps(a, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	json_decref(a);
	if (!inner)
		return NULL;
	sl_disk_sum(inner, strlen(inner), hex);
	if (asprintf(&text, "{\"answer\":%s,\"sum\":\"%s\"}\n", inner, hex) < 0)
		text = NULL;
	free(inner);
	return text;
}

/* In place of what the file says; not synced. */
static int
write_item(const struct item *it)
{
	char *text = item_text(it);

	if (!text)
		return -ENOMEM;
	int fd = open(it->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t len = strlen(text);
	int err = fd < 0 ? -errno : 0;
	for (size_t at = 0; !err && at < len;) {
		ssize_t n = write(fd, text + at, len - at);
		if (n < 0 && errno != EINTR)
			err = -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	if (!err && ftruncate(fd, (off_t)len))
		err = -errno;
	if (fd >= 0 && close(fd) && !err)
		err = -errno;
	free(text);
	return err;
}

/* ---- reading ---- */

static bool
take_name(const json_t *j, char *to, size_t size)
{
	const char *text = json_string_value(j);

	if (!text || strlen(text) >= size)
		return false;
	memset(to, 0, size);
	memcpy(to, text, strlen(text));
	return true;
}

static bool
take_number(const json_t *j, json_int_t most, json_int_t *ret)
{
	*ret = json_integer_value(j);
	return json_is_integer(j) && *ret >= 0 && *ret <= most;
}

static bool
take_endpoint(const json_t *j, struct sl_source_endpoint *e)
{
	const char *addr = json_string_value(json_array_get(j, 1));
	json_int_t port, weight, priority, percent, flags;

	memset(e, 0, sizeof(*e));
	if (json_array_size(j) != 9 || !addr || sl_value_addr(addr, &e->addr) ||
	    !take_name(json_array_get(j, 0), e->name, sizeof(e->name)) || !sl_name_ok(e->name) ||
	    !take_number(json_array_get(j, 2), 65535, &port) ||
	    !take_number(json_array_get(j, 3), UINT16_MAX, &weight) ||
	    (weight > SL_MAX_WEIGHT && weight != UINT16_MAX) ||
	    !take_number(json_array_get(j, 4), SL_MAX_PRIORITY, &priority) ||
	    !take_number(json_array_get(j, 5), 100, &percent) ||
	    !take_number(json_array_get(j, 6), DRAIN | DOWN, &flags) ||
	    !take_name(json_array_get(j, 7), e->locality, sizeof(e->locality)) ||
	    !take_name(json_array_get(j, 8), e->meta, sizeof(e->meta)))
		return false;
	e->port = (uint16_t)port;
	e->weight = (uint16_t)weight;
	e->priority = (uint8_t)priority;
	e->percent = (uint8_t)percent;
	e->drain = flags & DRAIN;
	e->down = flags & DOWN;
	return true;
}

static bool
take_answer(const json_t *a, struct item *it)
{
	json_int_t port, record, time, turn;
	const json_t *list = json_object_get(a, "endpoints"), *j;
	struct sl_conf_discover *q = &it->q;
	size_t i;

	if (!take_name(json_object_get(a, "service"), it->service, sizeof(it->service)) ||
	    !take_name(json_object_get(a, "source"), q->source, sizeof(q->source)) ||
	    !take_name(json_object_get(a, "name"), q->name, sizeof(q->name)) ||
	    !take_name(json_object_get(a, "port_name"), q->port_name, sizeof(q->port_name)) ||
	    !take_name(json_object_get(a, "tag"), q->tag, sizeof(q->tag)) ||
	    !take_name(json_object_get(a, "namespace"), q->space, sizeof(q->space)) ||
	    !take_number(json_object_get(a, "port"), 65535, &port) ||
	    !take_number(json_object_get(a, "record"), 255, &record) ||
	    !take_number(json_object_get(a, "time"), INT64_MAX, &time) ||
	    !take_number(json_object_get(a, "turn"), INT64_MAX, &turn) || !json_is_array(list) ||
	    json_array_size(list) > SL_MAX_SERVICE_ENDPOINTS)
		return false;
	q->port = (uint16_t)port;
	q->record = (uint8_t)record;
	it->wall_ms = time;
	it->turn = (uint64_t)turn;
	it->eps = malloc((json_array_size(list) + 1) * sizeof(*it->eps));
	json_array_foreach(list, i, j)
	{
		if (!it->eps || !take_endpoint(j, &it->eps[i]) ||
		    (i > 0 && strcmp(it->eps[i - 1].name, it->eps[i].name) >= 0))
			return false;
		it->cnt++;
	}
	return it->eps != NULL;
}

/* NULL, or what is wrong with the file. */
static const char *
read_item(const char *text, size_t len, struct item *it)
{
	json_t *o = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *a = json_object_get(o, "answer");
	const char *sum = json_string_value(json_object_get(o, "sum")), *why = NULL;
	char *inner = a ? json_dumps(a, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	char hex[65] = "";

	if (inner)
		sl_disk_sum(inner, strlen(inner), hex);
	if (!inner || !sum || strcmp(sum, hex) != 0)
		why = "truncated or changed: its checksum does not fit";
	else if (!take_answer(a, it))
		why = "holds no answer of a source";
	free(inner);
	json_decref(o);
	return why;
}

static void
load_one(struct sl_roster_disk *d, const char *name, struct sl_diag *notes,
	 void (*fn)(void *ctx, const char *service, const struct sl_conf_discover *q,
		    struct sl_source_endpoint *eps, uint32_t cnt, int64_t wall_ms, uint64_t turn),
	 void *ctx)
{
	struct item it = {0};
	char *text;
	size_t len;

	if (snprintf(it.path, sizeof(it.path), "%s/%s", d->dir, name) >= (int)sizeof(it.path))
		return;
	if (sl_disk_read(it.path, FILE_MAX, &text, &len, notes))
		return;
	const char *why = read_item(text, len, &it);
	free(text);
	if (!why) {
		fn(ctx, it.service, &it.q, it.eps, it.cnt, it.wall_ms, it.turn);
		return;
	}
	sl_diag_add(notes, it.path, 0, NULL, NULL,
		    "%s: it is removed; what it said is known again once its source answers", why);
	free(it.eps);
	unlink(it.path);
}

void
sl_roster_disk_load(struct sl_roster_disk *d, struct sl_diag *notes,
		    void (*fn)(void *ctx, const char *service, const struct sl_conf_discover *q,
			       struct sl_source_endpoint *eps, uint32_t cnt, int64_t wall_ms,
			       uint64_t turn),
		    void *ctx)
{
	DIR *dir = opendir(d->dir);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);
		if (len > 5 && strcmp(e->d_name + len - 5, ".json") == 0)
			load_one(d, e->d_name, notes, fn, ctx);
	}
	if (dir)
		closedir(dir);
}

/* ---- writing ---- */

static void on_timer(uv_timer_t *t);

static void
wake(struct sl_roster_disk *d)
{
	int64_t wait = d->last_ms + SL_ROSTER_DISK_MS - (int64_t)uv_now(d->loop);

	if (d->cnt && !d->job && !d->finishing && !uv_is_active((uv_handle_t *)d->timer))
		uv_timer_start(d->timer, on_timer, (uint64_t)SL_MAX(wait, (int64_t)GATHER_MS), 0);
}

/* [pool] */
static void
job(uv_work_t *w)
{
	struct sl_roster_disk *d = w->data;

	for (uint32_t i = 0; i < d->item_cnt; i++) {
		int err = write_item(&d->items[i]);
		d->err = err ? err : d->err;
	}
}

static void
free_items(struct sl_roster_disk *d)
{
	for (uint32_t i = 0; i < d->item_cnt; i++)
		free(d->items[i].eps);
	free(d->items);
	d->items = NULL;
	d->item_cnt = 0;
}

static void
job_done(uv_work_t *w, int status)
{
	struct sl_roster_disk *d = w->data;

	(void)status;
	d->job = false;
	free_items(d);
	wake(d);
}

static bool
fill_item(struct sl_roster_disk *d, struct sl_roster_question *q, struct item *it)
{
	it->turn = ++q->turn;
	path_of(d, q->service, &q->q, it->turn, it->path, sizeof(it->path));
	memcpy(it->service, q->service, sizeof(it->service));
	it->q = q->q;
	it->cnt = q->cnt;
	it->wall_ms = wall_ms() - ((int64_t)uv_now(d->loop) - q->good_ms);
	it->eps = malloc((q->cnt + 1u) * sizeof(*it->eps));
	if (it->eps && q->cnt)
		memcpy(it->eps, q->eps, q->cnt * sizeof(*it->eps));
	return it->eps != NULL;
}

/* The first `most` of the queue become items, and all of which there is no file yet: a restart would know nothing of them. */
static void
fill(struct sl_roster_disk *d, uint32_t most)
{
	uint32_t left = 0;

	d->items = calloc(d->cnt + 1u, sizeof(*d->items));
	if (!d->items)
		return; /* they wait */
	for (uint32_t i = 0; i < d->cnt; i++) {
		struct sl_roster_question *q = d->queue[i];
		if (q->on_disk && most == 0) {
			d->queue[left++] = q;
			continue;
		}
		most -= q->on_disk;
		q->unsaved = false;
		q->on_disk = true;
		q->saved_ms = (int64_t)uv_now(d->loop);
		d->item_cnt += fill_item(d, q, &d->items[d->item_cnt]);
	}
	d->cnt = left;
}

static void
tell_err(struct sl_roster_disk *d, int before)
{
	char line[1400];

	if (!d->err || before)
		return;
	snprintf(line, sizeof(line),
		 "discovery: last good answers cannot be written to %s: %s: a restart would not "
		 "know them",
		 d->dir, strerror(-d->err));
	d->say(d->ctx, line);
}

static void
on_timer(uv_timer_t *t)
{
	struct sl_roster_disk *d = t->data;
	int before = d->err;

	fill(d, SL_ROSTER_DISK_BATCH);
	d->last_ms = (int64_t)uv_now(d->loop);
	tell_err(d, before);
	d->work.data = d;
	d->job = true;
	int err = uv_queue_work(d->loop, &d->work, job, job_done);
	if (err)
		job_done(&d->work, err);
}

void
sl_roster_disk_note(struct sl_roster_disk *d, struct sl_roster_question *q)
{
	if (q->unsaved)
		return;
	if (d->cnt == d->queue_room) {
		uint32_t room = d->queue_room ? 2 * d->queue_room : 64;
		struct sl_roster_question **more = realloc(d->queue, room * sizeof(*more));
		if (!more)
			return; /* the next answer is written */
		d->queue = more;
		d->queue_room = room;
	}
	d->queue[d->cnt++] = q;
	q->unsaved = true;
	wake(d);
}

void
sl_roster_disk_confirm(struct sl_roster_disk *d, struct sl_roster_question *q)
{
	if ((int64_t)uv_now(d->loop) - q->saved_ms >= SL_ROSTER_DISK_CONFIRM_MS)
		sl_roster_disk_note(d, q);
}

void
sl_roster_disk_forget(struct sl_roster_disk *d, struct sl_roster_question *q, bool stays)
{
	char path[1200];

	for (uint32_t i = 0; q->unsaved && i < d->cnt; i++)
		if (d->queue[i] == q) {
			memmove(&d->queue[i], &d->queue[i + 1],
				(d->cnt - i - 1) * sizeof(struct sl_roster_question *));
			d->cnt--;
			break;
		}
	for (unsigned i = 0; i < 2 && !stays && q->on_disk; i++) {
		path_of(d, q->service, &q->q, i, path, sizeof(path));
		unlink(path);
	}
}

/* ---- life ---- */

int
sl_roster_disk_create(uv_loop_t *loop, const char *state_dir,
		      void (*say)(void *ctx, const char *line), void *ctx, struct sl_diag *diag,
		      struct sl_roster_disk **ret_disk)
{
	struct sl_roster_disk *d = calloc(1, sizeof(*d));
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	int err = d && timer ? 0 : -ENOMEM;

	if (!err) {
		snprintf(d->dir, sizeof(d->dir), "%s/roster", state_dir);
		err = sl_disk_mkdir(d->dir, diag);
	}
	if (err) {
		free(d);
		free(timer);
		return err;
	}
	d->loop = loop;
	d->say = say;
	d->ctx = ctx;
	d->timer = timer;
	d->last_ms = (int64_t)uv_now(loop) - SL_ROSTER_DISK_MS;
	uv_timer_init(loop, timer);
	timer->data = d;
	*ret_disk = d;
	return 0;
}

bool
sl_roster_disk_busy(const struct sl_roster_disk *d)
{
	return d && d->job;
}

void
sl_roster_disk_finish(struct sl_roster_disk *d)
{
	int before = d ? d->err : 0;

	if (!d)
		return;
	d->finishing = true;
	uv_timer_stop(d->timer);
	while (d->job)
		uv_run(d->loop, UV_RUN_ONCE);
	while (d->cnt) {
		uint32_t waiting = d->cnt;
		fill(d, SL_ROSTER_DISK_BATCH);
		d->work.data = d;
		job(&d->work);
		free_items(d);
		if (d->cnt == waiting)
			break; /* no memory */
	}
	tell_err(d, before);
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

void
sl_roster_disk_destroy(struct sl_roster_disk *d)
{
	if (!d)
		return;
	uv_close((uv_handle_t *)d->timer, on_freed);
	free(d->queue);
	free(d);
}
