/* While a job runs, the file, the buffer and `job` are its own; the list of regions does not change (who comes waits in
 * `arriving`); names are under a lock, which a job takes for a batch at a time.  All else is the loop's. */
#include "mgmt/access_log.h"

#include "mgmt/access_line.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OUT_BYTES (256u << 10) /* of a write */
#define BATCH 256              /* records of a ring before the next one's turn */
#define LAST_JOBS 64           /* for the rings of a dataplane that is gone and yet writes */

static_assert(OUT_BYTES >= 4 * SL_ACCESS_LINE_MAX, "");

struct region {
	struct region *next;
	uint8_t *mem;
	size_t bytes;
	struct sl_events_head head; /* a copy: what was checked cannot change any more */
	bool gone;                  /* no more will come */
	unsigned jobs;              /* begun since then */
};

/* What a job did. */
struct job {
	bool reopen;
	bool last;
	bool more;  /* stopped at its limit */
	bool haste; /* a ring was more than a quarter full */
	uint64_t lines, bytes, dropped, malformed, rotations;
	int error; /* errno of what failed last; 0: nothing */
	const char *what;
};

struct sl_access_log {
	uv_loop_t *loop;
	uv_timer_t *timer; /* NULL: finished */
	struct sl_access_log_conf conf;
	void (*say)(void *ctx, const char *line);
	void *ctx;
	uv_mutex_t lock;
	struct sl_access_names *names;
	struct region *regions, *arriving;
	struct sl_access_stats stats;
	uv_work_t work;
	bool busy, reopen, finishing;
	bool failing;      /* said */
	uint64_t fell_out; /* lines since then */
	bool said_malformed;
	/* the job's */
	struct job job;
	int fd; /* -1: could not be opened */
	uint64_t size;
	bool cut; /* the last line is not whole */
	struct sl_access_clock clock;
	size_t out_len;
	char out[OUT_BYTES];
	_Alignas(8) uint8_t record[SL_ACCESS_RECORD_MAX];
};

static void on_timer(uv_timer_t *t);
static void look(struct sl_access_log *l);

__attribute__((format(printf, 2, 3))) static void
say(struct sl_access_log *l, const char *fmt, ...)
{
	char line[1400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	l->say(l->ctx, line);
}

/* ---- the file ---- */

static int
open_file(struct sl_access_log *l)
{
	struct stat st;
	int fd = open(l->conf.file,
		      O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) { /* rotation would rename it */
		close(fd);
		return -EINVAL;
	}
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	l->size = (uint64_t)st.st_size;
	l->cut = false;
	return 0;
}

static void
fail(struct sl_access_log *l, int error, const char *what)
{
	l->job.error = error;
	l->job.what = what;
}

static const char *
old_name(const struct sl_access_log *l, unsigned i, char buf[1100])
{
	if (i == 0)
		return l->conf.file;
	snprintf(buf, 1100, "%s.%u", l->conf.file, i);
	return buf;
}

/* When it fails the file goes on under the name it has. */
static void
rotate(struct sl_access_log *l)
{
	char from[1100], to[1100];

	for (unsigned i = l->conf.keep; i-- > 0;) {
		const char *name = old_name(l, i, from);
		if (rename(name, old_name(l, i + 1, to)) && errno != ENOENT) {
			fail(l, errno, "rotate");
			l->size = 0; /* tried again after as much */
			return;
		}
	}
	if (l->conf.keep == 0 && unlink(l->conf.file) && errno != ENOENT)
		fail(l, errno, "rotate");
	int err = open_file(l);
	if (err)
		fail(l, -err, "open a new");
	else
		l->job.rotations++;
	if (err)
		l->size = 0;
}

static unsigned
count_lines(const char *p, size_t n)
{
	unsigned cnt = 0;

	for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		cnt++;
	return cnt;
}

static ssize_t
write_some(int fd, const char *p, size_t n)
{
	ssize_t put;

	do
		put = write(fd, p, n);
	while (put < 0 && errno == EINTR);
	if (put == 0)
		errno = EIO;
	return put;
}

/* What was written of a line that could not be ended is taken back, or else ended when that is possible. */
static void
take_back(struct sl_access_log *l, size_t written)
{
	size_t part = 0;
	struct stat st;

	while (part < written && l->out[written - part - 1] != '\n')
		part++;
	if (part == 0)
		return;
	if (fstat(l->fd, &st) || ftruncate(l->fd, st.st_size - (off_t)part))
		l->cut = true;
	else
		l->size -= SL_MIN(part, l->size);
}

/* Writes the buffer, or drops it. */
static void
flush(struct sl_access_log *l)
{
	uint64_t limit = (uint64_t)l->conf.rotate_mb << 20;
	size_t done = 0;
	ssize_t n = 0;

	if (l->out_len == 0)
		return;
	if (limit && l->size > 0 && l->size + l->out_len > limit)
		rotate(l);
	int err = l->fd < 0 ? open_file(l) : 0;
	if (!err && l->cut) {
		n = write_some(l->fd, "\n", 1);
		l->cut = n != 1;
	}
	while (!err && n >= 0 && done < l->out_len) {
		n = write_some(l->fd, l->out + done, l->out_len - done);
		done += n > 0 ? (size_t)n : 0;
		if (n <= 0)
			err = -errno;
	}
	l->size += done;
	if (done < l->out_len) {
		fail(l, err ? -err : errno, "write");
		l->job.dropped += count_lines(l->out + done, l->out_len - done);
		take_back(l, done);
	}
	l->job.lines += count_lines(l->out, done);
	l->job.bytes += done;
	l->out_len = 0;
}

/* ---- a job, in the pool ---- */

/* Up to BATCH records of a ring, while the buffer has room for any line.  Their number. */
static unsigned
take_batch(struct sl_access_log *l, struct sl_events_worker *w, uint32_t size)
{
	const struct sl_event_access *e = (const void *)l->record;
	unsigned cnt = 0;

	uv_mutex_lock(&l->lock);
	for (; cnt < BATCH && l->out_len + SL_ACCESS_LINE_MAX <= sizeof(l->out); cnt++) {
		long n = sl_events_take(w, size, l->record, sizeof(l->record));
		if (n == 0)
			break;
		size_t len = n > 0 ? sl_access_line(l->names, &l->clock, e, (size_t)n,
						    l->out + l->out_len)
				   : 0;
		l->job.malformed += len == 0;
		l->out_len += len;
	}
	uv_mutex_unlock(&l->lock);
	return cnt;
}

static struct sl_events_worker *
worker(const struct region *r, unsigned w)
{
	return (void *)(r->mem + r->head.worker_off + w * r->head.worker_bytes);
}

static uint64_t
waiting(const struct region *r, unsigned w)
{
	struct sl_events_worker *ring = worker(r, w);

	return atomic_load_explicit(&ring->head, memory_order_relaxed) -
	       atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

/* One batch of every ring; whether there was anything. */
static bool
take_round(struct sl_access_log *l)
{
	unsigned cnt = 0;

	for (struct region *r = l->regions; r; r = r->next)
		for (unsigned w = 0; w < r->head.worker_cnt; w++) {
			cnt += take_batch(l, worker(r, w), r->head.size);
			if (l->out_len + SL_ACCESS_LINE_MAX > sizeof(l->out))
				flush(l);
		}
	return cnt > 0;
}

static void
set_clock(struct sl_access_clock *c)
{
	struct timespec real, mono;

	clock_gettime(CLOCK_MONOTONIC, &mono);
	clock_gettime(CLOCK_REALTIME, &real);
	c->offset_ns =
		(int64_t)(real.tv_sec - mono.tv_sec) * 1000000000 + real.tv_nsec - mono.tv_nsec;
}

static void
on_work(uv_work_t *work)
{
	struct sl_access_log *l = work->data;

	if (l->job.reopen) {
		int err = open_file(l);
		if (err)
			fail(l, -err, "open");
	}
	set_clock(&l->clock);
	for (struct region *r = l->regions; r; r = r->next)
		for (unsigned w = 0; w < r->head.worker_cnt; w++)
			l->job.haste |= waiting(r, w) > r->head.size / 4;
	while (take_round(l)) {
		l->job.more = l->job.bytes + l->out_len >= SL_ACCESS_JOB_BYTES;
		if (l->job.more || l->job.error)
			break;
	}
	flush(l);
}

/* ---- the loop ---- */

static void
free_region(struct region *r)
{
	munmap(r->mem, r->bytes);
	free(r);
}

/* Regions that come, and those that are done with. */
static void
settle_regions(struct sl_access_log *l)
{
	struct region **at = &l->regions;

	while (*at) {
		struct region *r = *at;
		if (r->gone && r->jobs > 0 && (!l->job.more || r->jobs >= LAST_JOBS)) {
			*at = r->next;
			free_region(r);
		} else {
			at = &r->next;
		}
	}
	*at = l->arriving;
	l->arriving = NULL;
}

static void
tell(struct sl_access_log *l)
{
	const struct job *j = &l->job;

	if (j->error && !l->failing)
		say(l, "access log: cannot %s %s: %s%s", j->what, l->conf.file, strerror(j->error),
		    j->dropped ? ": lines are lost until it works again" : "");
	if (j->error)
		l->failing = true;
	l->fell_out += j->dropped;
	if (!j->error && l->failing && j->lines) {
		say(l, "access log: %s is written again; %" PRIu64 " lines were lost", l->conf.file,
		    l->fell_out);
		l->failing = false;
		l->fell_out = 0;
	}
	if (j->malformed && !l->said_malformed) {
		say(l, "access log: the dataplane left something that is no record; it was passed "
		       "over");
		l->said_malformed = true;
	}
}

static void
on_worked(uv_work_t *work, int status)
{
	struct sl_access_log *l = work->data;
	const struct job *j = &l->job;

	(void)status;
	l->busy = false;
	l->stats.lines += j->lines;
	l->stats.bytes += j->bytes;
	l->stats.dropped += j->dropped;
	l->stats.malformed += j->malformed;
	l->stats.rotations += j->rotations;
	tell(l);
	settle_regions(l);
	if (j->last)
		l->finishing = false;
	else if (j->more || l->finishing)
		look(l);
	else if (l->timer && j->haste)
		uv_timer_start(l->timer, on_timer, SL_ACCESS_HASTE_MS, SL_ACCESS_LOOK_MS);
}

/* Nobody wants them: the tails are set to the heads. */
static void
discard(struct sl_access_log *l)
{
	for (struct region *r = l->regions; r; r = r->next) {
		r->jobs++;
		for (unsigned w = 0; w < r->head.worker_cnt; w++) {
			struct sl_events_worker *ring = worker(r, w);
			uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
			atomic_store_explicit(&ring->tail, head, memory_order_release);
		}
	}
	settle_regions(l);
	l->finishing = l->reopen = false;
}

/* Starts a job if there is something to do and none runs. */
static void
look(struct sl_access_log *l)
{
	bool something = l->reopen || l->finishing;

	if (l->busy)
		return;
	if (l->arriving)
		settle_regions(l);
	if (!l->conf.file[0]) {
		discard(l);
		return;
	}
	for (struct region *r = l->regions; r; r = r->next) {
		something |= r->gone;
		for (unsigned w = 0; w < r->head.worker_cnt; w++)
			something |= waiting(r, w) != 0;
	}
	if (!something)
		return;
	for (struct region *r = l->regions; r; r = r->next)
		r->jobs += r->gone;
	l->job = (struct job){.reopen = l->reopen, .last = l->finishing};
	l->reopen = false;
	l->busy = uv_queue_work(l->loop, &l->work, on_work, on_worked) == 0;
}

static void
on_timer(uv_timer_t *t)
{
	look(t->data);
}

static void
on_freed(uv_handle_t *h)
{
	free(h);
}

/* ---- from outside ---- */

int
sl_access_log_create(uv_loop_t *loop, const struct sl_access_log_conf *conf,
		     void (*say_fn)(void *ctx, const char *line), void *ctx, struct sl_diag *diag,
		     struct sl_access_log **ret_log)
{
	struct sl_access_log *l = calloc(1, sizeof(*l));
	uv_timer_t *timer = calloc(1, sizeof(*timer));

	if (!l || !timer || !(l->names = sl_access_names_create())) {
		free(l);
		free(timer);
		return -ENOMEM;
	}
	l->loop = loop;
	l->conf = *conf;
	l->say = say_fn;
	l->ctx = ctx;
	l->fd = -1;
	l->work.data = l;
	int err = conf->file[0] ? open_file(l) : 0;
	if (err) {
		sl_diag_add(diag, conf->file, 0, "access_log.file",
			    "make its directory, or set another path", "cannot open: %s",
			    strerror(-err));
		sl_access_names_destroy(l->names);
		free(timer);
		free(l);
		return err;
	}
	uv_mutex_init(&l->lock);
	uv_timer_init(loop, timer);
	timer->data = l;
	uv_timer_start(timer, on_timer, SL_ACCESS_LOOK_MS, SL_ACCESS_LOOK_MS);
	l->timer = timer;
	*ret_log = l;
	return 0;
}

void
sl_access_log_finish(struct sl_access_log *l)
{
	if (!l || !l->timer)
		return;
	uv_close((uv_handle_t *)l->timer, on_freed);
	l->timer = NULL;
	l->finishing = true;
	look(l);
}

bool
sl_access_log_busy(const struct sl_access_log *l)
{
	return l && l->busy;
}

void
sl_access_log_destroy(struct sl_access_log *l)
{
	if (!l)
		return;
	if (l->timer)
		uv_close((uv_handle_t *)l->timer, on_freed);
	settle_regions(l);
	while (l->regions) {
		struct region *r = l->regions;
		l->regions = r->next;
		free_region(r);
	}
	if (l->fd >= 0)
		close(l->fd);
	sl_access_names_destroy(l->names);
	uv_mutex_destroy(&l->lock);
	free(l);
}

const char *
sl_access_log_attach(struct sl_access_log *l, int fd, uint64_t bytes, uint64_t boot_id)
{
	struct region *r = calloc(1, sizeof(*r));
	int seals = fcntl(fd, F_GET_SEALS); /* -1: no memfd, and all bits set */
	const char *why = NULL;
	struct stat st;

	if (!r)
		return "out of memory here";
	if (fstat(fd, &st) || seals < 0 || !(seals & F_SEAL_SHRINK))
		why = "a region of events that is not sealed against shrinking";
	else if (st.st_size < 0 || (uint64_t)st.st_size != bytes || bytes < sizeof(r->head))
		why = "a region of events of the wrong size";
	else if ((r->mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) ==
		 MAP_FAILED)
		why = "a region of events that cannot be mapped";
	if (why) {
		free(r);
		return why;
	}
	r->bytes = bytes;
	memcpy(&r->head, r->mem, sizeof(r->head));
	if (sl_events_check(&r->head, bytes) || /* looks at the head alone */
	    r->head.boot_id != boot_id) {
		free_region(r);
		return "a region of events of another version or boot";
	}
	sl_access_log_detach(l);
	l->said_malformed = false;
	r->next = l->arriving;
	l->arriving = r;
	return NULL;
}

void
sl_access_log_detach(struct sl_access_log *l)
{
	for (struct region *r = l->regions; r; r = r->next)
		r->gone = true;
	for (struct region *r = l->arriving; r; r = r->next)
		r->gone = true;
}

void
sl_access_log_learn(struct sl_access_log *l, uint64_t generation, const struct sl_slot_map *map)
{
	uv_mutex_lock(&l->lock);
	int err = sl_access_names_learn(l->names, generation, map);
	uv_mutex_unlock(&l->lock);
	if (err)
		say(l,
		    "access log: out of memory: some names of generation %" PRIu64 " are missing",
		    generation);
}

void
sl_access_log_reopen(struct sl_access_log *l)
{
	if (!l->conf.file[0])
		return;
	l->reopen = true;
	look(l);
}

void
sl_access_log_stats(const struct sl_access_log *l, struct sl_access_stats *ret)
{
	*ret = l->stats;
	ret->worker_cnt = 0;
	for (unsigned list = 0; list < 2; list++)
		for (struct region *r = list ? l->arriving : l->regions; r; r = r->next) {
			if (r->gone)
				continue;
			ret->worker_cnt = r->head.worker_cnt;
			for (unsigned w = 0; w < r->head.worker_cnt; w++)
				ret->lost[w] = atomic_load_explicit(&worker(r, w)->lost,
								    memory_order_relaxed);
		}
}
