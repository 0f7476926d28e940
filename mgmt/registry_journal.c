#include "mgmt/registry_journal.h"

#include "mgmt/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SUM 16 /* hex digits */
#define COMPACT (4u << 20)
#define FILE_MAX (1u << 30)

struct text {
	char *bytes;
	size_t len, room;
};

struct waiter {
	sl_registry_journal_fn *fn;
	void *ctx;
};

struct group {
	struct text text;
	struct waiter *waiters; /* [cnt], as many as lines */
	size_t cnt, room;
};

struct sl_registry_journal {
	struct sl_registry_journal_conf conf;
	char dir[1100], journal[1200], snapshot[1200];
	int fd;
	uint64_t size, snapshot_size; /* of the files */
	struct group next, now;       /* that gathers; that is being written */
	struct text snap;             /* before it; len 0 and !with_snap: none */
	bool with_snap, writing, broken;
	struct sl_diag why; /* of the write under way */
	uv_work_t work;
	int err, snap_err;
	struct sl_registry_journal_stats stats;
};

static void start(struct sl_registry_journal *j);

/* ---- texts ---- */

static int
text_add(struct text *t, const char *bytes, size_t len)
{
	if (t->len + len > t->room) {
		size_t room = SL_MAX(2 * t->room, t->len + len + 4096);
		char *more = realloc(t->bytes, room);
		if (!more)
			return -ENOMEM;
		t->bytes = more;
		t->room = room;
	}
	memcpy(t->bytes + t->len, bytes, len);
	t->len += len;
	return 0;
}

char *
sl_registry_journal_line(const char *record)
{
	size_t len = strlen(record);
	char sum[65], *line = malloc(SUM + 1 + len + 2);

	if (!line)
		return NULL;
	sl_disk_sum(record, len, sum);
	sprintf(line, "%.*s %s\n", SUM, sum, record);
	return line;
}

/* Whether [line, line + len), without its newline, is whole. */
static bool
line_ok(const char *line, size_t len)
{
	char sum[65];

	if (len <= SUM + 1 || line[SUM] != ' ')
		return false;
	sl_disk_sum(line + SUM + 1, len - SUM - 1, sum);
	return memcmp(line, sum, SUM) == 0;
}

/* ---- reading ---- */

struct found {
	size_t good;      /* bytes up to the end of the last whole line */
	unsigned damaged; /* lines that are not, before it */
	size_t tail;      /* bytes behind it */
};

static struct found
read_lines(const struct sl_registry_journal_conf *c, const char *text, size_t len)
{
	struct found f = {0};
	unsigned bad = 0;

	for (size_t at = 0; at < len;) {
		const char *nl = memchr(text + at, '\n', len - at);
		size_t n = nl ? (size_t)(nl - text) - at : len - at;
		bool ok = nl && line_ok(text + at, n) &&
			  c->read(c->ctx, text + at + SUM + 1, n - SUM - 1);
		at += n + (nl != NULL);
		if (ok) {
			f.good = at;
			f.damaged += bad;
			bad = 0;
		} else {
			bad++;
		}
	}
	f.tail = len - f.good;
	return f;
}

static void
set_aside(const char *path, struct sl_diag *notes)
{
	char aside[1300];

	snprintf(aside, sizeof(aside), "%s.damaged", path);
	if (rename(path, aside))
		sl_diag_add(notes, path, 0, NULL, NULL, "cannot be renamed to %s: %s", aside,
			    strerror(errno));
}

/* 0, 1 (there was damage: what is in memory now has to be written) or -errno. */
static int
read_snapshot(struct sl_registry_journal *j, struct sl_diag *diag, struct sl_diag *notes)
{
	char *text;
	size_t len;
	int err = sl_disk_read(j->snapshot, FILE_MAX, &text, &len, diag);

	if (err)
		return err == -ENOENT ? 0 : err;
	struct found f = read_lines(&j->conf, text, len);
	free(text);
	j->snapshot_size = len;
	if (f.damaged == 0 && f.tail == 0)
		return 0;
	sl_diag_add(notes, j->snapshot, 0, NULL,
		    "services register again by themselves, or: sluicectl register",
		    "damaged: %zu bytes of the registry could be read, the file is kept as "
		    "snapshot.damaged",
		    f.good);
	set_aside(j->snapshot, notes);
	return 1;
}

static int
read_journal(struct sl_registry_journal *j, struct sl_diag *diag, struct sl_diag *notes)
{
	char *text;
	size_t len;
	int err = sl_disk_read(j->journal, FILE_MAX, &text, &len, diag);

	if (err)
		return err == -ENOENT ? 0 : err;
	struct found f = read_lines(&j->conf, text, len);
	free(text);
	j->size = f.good;
	if (f.damaged) {
		sl_diag_add(
			notes, j->journal, 0, NULL,
			"services register again by themselves, or: sluicectl register",
			"damaged: %u changes of the registry cannot be read, the file is kept as "
			"journal.damaged",
			f.damaged);
		set_aside(j->journal, notes);
		return 1;
	}
	if (f.tail)
		sl_diag_add(
			notes, j->journal, 0, NULL, NULL,
			"its last %zu bytes were no whole change, and are cut off: a crash in the "
			"middle of a write; nothing that was answered is lost",
			f.tail);
	return 0;
}

/* ---- writing: in the pool ---- */

static int
write_at(int fd, const char *bytes, size_t len, uint64_t off)
{
	while (len > 0) {
		ssize_t n = pwrite(fd, bytes, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		bytes += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int
say_why(struct sl_registry_journal *j, int err)
{
	if (err)
		sl_diag_add(&j->why, j->journal, 0, NULL, NULL, "cannot write: %s", strerror(-err));
	return err;
}

static int
write_snapshot(struct sl_registry_journal *j)
{
	if (j->snap_err)
		return say_why(j, j->snap_err);
	int err = sl_disk_write(j->snapshot, j->snap.bytes ? j->snap.bytes : "", j->snap.len,
				&j->why);

	if (err)
		return err;
	j->snapshot_size = j->snap.len;
	j->size = 0;
	return say_why(j, ftruncate(j->fd, 0) ? -errno : 0);
}

static void
on_work(uv_work_t *w)
{
	struct sl_registry_journal *j = w->data;
	int err = j->with_snap ? write_snapshot(j) : 0;

	if (!err && j->now.text.len) {
		err = write_at(j->fd, j->now.text.bytes, j->now.text.len, j->size);
		if (!err && fdatasync(j->fd))
			err = -errno;
		say_why(j, err);
	}
	if (!err)
		j->size += j->now.text.len;
	j->err = err;
}

/* ---- the loop's side ---- */

static void
tell(struct group *g, int err)
{
	struct group done = *g;

	*g = (struct group){0};
	for (size_t i = 0; i < done.cnt; i++)
		if (done.waiters[i].fn)
			done.waiters[i].fn(done.waiters[i].ctx, err);
	free(done.text.bytes);
	free(done.waiters);
}

static void
say_change(struct sl_registry_journal *j, int err)
{
	char line[2048];

	if (err && !j->broken && j->why.cnt) {
		sl_diag_format(&j->why.items[0], line, sizeof(line));
		j->conf.say(j->conf.ctx, line);
	} else if (!err && j->broken) {
		j->conf.say(j->conf.ctx, "registry: its journal can be written again");
	}
	sl_diag_fini(&j->why);
}

static void
on_done(uv_work_t *w, int status)
{
	struct sl_registry_journal *j = w->data;
	int err = status < 0 ? status : j->err;

	free(j->snap.bytes);
	j->snap = (struct text){0};
	j->with_snap = false;
	say_change(j, err);
	j->broken = err != 0;
	j->stats.writes++;
	j->stats.records += err ? 0 : j->now.cnt;
	j->stats.errors += err != 0;
	j->stats.bytes = j->size;
	tell(&j->now, err);
	if (err)
		tell(&j->next, err); /* they were made upon those that failed */
	j->writing = false;
	if (j->next.cnt)
		start(j);
}

static void
start(struct sl_registry_journal *j)
{
	size_t limit = j->conf.compact ? j->conf.compact : COMPACT;

	j->now = j->next;
	j->next = (struct group){0};
	j->with_snap = j->broken || (j->size > limit && j->size > 2 * j->snapshot_size);
	j->snap_err = 0;
	if (j->with_snap)
		j->conf.snapshot(j->conf.ctx, j);
	j->writing = true;
	uv_queue_work(j->conf.loop, &j->work, on_work, on_done);
}

int
sl_registry_journal_add(struct sl_registry_journal *j, const char *line, sl_registry_journal_fn *fn,
			void *ctx)
{
	struct group *g = &j->next;

	if (g->cnt == g->room) {
		size_t room = 2 * g->room + 64;
		struct waiter *more = realloc(g->waiters, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		g->waiters = more;
		g->room = room;
	}
	if (text_add(&g->text, line, strlen(line)))
		return -ENOMEM;
	g->waiters[g->cnt++] = (struct waiter){fn, ctx};
	if (!j->writing)
		start(j);
	return 0;
}

void
sl_registry_journal_keep(struct sl_registry_journal *j, const char *line)
{
	if (text_add(&j->snap, line, strlen(line)))
		j->snap_err = -ENOMEM;
}

bool
sl_registry_journal_busy(const struct sl_registry_journal *j)
{
	return j->writing;
}

void
sl_registry_journal_stats(const struct sl_registry_journal *j,
			  struct sl_registry_journal_stats *ret)
{
	*ret = j->stats;
	ret->failing = j->broken;
}

/* ---- life ---- */

/* After damage: what could be read, in files that are whole. */
static int
write_anew(struct sl_registry_journal *j, struct sl_diag *diag)
{
	j->conf.snapshot(j->conf.ctx, j);
	int err = j->snap_err ? j->snap_err
			      : sl_disk_write(j->snapshot, j->snap.bytes ? j->snap.bytes : "",
					      j->snap.len, diag);
	j->snapshot_size = j->snap.len;
	j->size = 0;
	free(j->snap.bytes);
	j->snap = (struct text){0};
	return err;
}

static int
open_file(struct sl_registry_journal *j, struct sl_diag *diag)
{
	j->fd = open(j->journal, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (j->fd >= 0 && ftruncate(j->fd, (off_t)j->size) == 0 && fsync(j->fd) == 0)
		return sl_disk_sync_dir(j->dir);
	int err = -errno;
	sl_diag_add(diag, j->journal, 0, "state_dir", NULL, "cannot be opened for writing: %s",
		    strerror(-err));
	return err;
}

int
sl_registry_journal_open(const struct sl_registry_journal_conf *conf, struct sl_diag *diag,
			 struct sl_diag *notes, struct sl_registry_journal **ret_journal)
{
	struct sl_registry_journal *j = calloc(1, sizeof(*j));

	if (!j)
		return -ENOMEM;
	j->conf = *conf;
	j->fd = -1;
	j->work.data = j;
	snprintf(j->dir, sizeof(j->dir), "%s", conf->dir);
	snprintf(j->journal, sizeof(j->journal), "%s/journal", j->dir);
	snprintf(j->snapshot, sizeof(j->snapshot), "%s/snapshot", j->dir);
	int err = sl_disk_mkdir(j->dir, diag);
	int was = err ? err : read_snapshot(j, diag, notes);
	err = was < 0 ? was : read_journal(j, diag, notes);
	if (err >= 0 && (was > 0 || err > 0))
		err = write_anew(j, diag);
	if (err >= 0)
		err = open_file(j, diag);
	if (err) {
		sl_registry_journal_close(j);
		return err;
	}
	j->stats.bytes = j->size;
	*ret_journal = j;
	return 0;
}

void
sl_registry_journal_close(struct sl_registry_journal *j)
{
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->snap.bytes);
	free(j);
}
