/* One write(2) with O_APPEND per line, so that lines are never mixed; the tail is read backwards from the end
 * in growing windows, so that a large log costs no more than the lines asked for. */
#include "mgmt/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct sl_audit {
	char *path;
	int fd;   /* -1: none */
	bool cut; /* the last line may not be whole (disk full) */
};

static int
open_log(const char *path)
{
	return open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* A log cut off in the middle of a line (power cut) gets its newline, so that the next line stands alone. */
static void
mend(int fd)
{
	char c;
	off_t end = lseek(fd, 0, SEEK_END);
	if (end > 0 && pread(fd, &c, 1, end - 1) == 1 && c != '\n' && write(fd, "\n", 1) != 1)
		return;
}

int
sl_audit_create(const char *path, struct sl_diag *diag, struct sl_audit **ret_audit)
{
	struct sl_audit *a = calloc(1, sizeof(*a));
	if (!a || !(a->path = strdup(path))) {
		free(a);
		return -ENOMEM;
	}
	a->fd = *path ? open_log(path) : -1;
	if (*path && a->fd < 0) {
		int err = errno;
		sl_diag_add(diag, path, 0, "audit_log", "make its directory, or set another path",
			    "cannot open: %s", strerror(err));
		sl_audit_destroy(a);
		return -err;
	}
	if (a->fd >= 0)
		mend(a->fd);
	*ret_audit = a;
	return 0;
}

void
sl_audit_destroy(struct sl_audit *a)
{
	if (!a)
		return;
	if (a->fd >= 0)
		close(a->fd);
	free(a->path);
	free(a);
}

/* Log rotation moved the file: go on in a new one of the old name. */
static void
follow(struct sl_audit *a)
{
	struct stat here, there;

	if (fstat(a->fd, &here) == 0 && stat(a->path, &there) == 0 && here.st_ino == there.st_ino &&
	    here.st_dev == there.st_dev)
		return;
	int fd = open_log(a->path);
	if (fd < 0)
		return;
	close(a->fd);
	a->fd = fd;
}

static char *
dump_line(json_t *entry)
{
	char *line = json_dumps(entry, JSON_COMPACT);
	json_t *reasons = json_object_get(entry, "reasons");

	if (!line || strlen(line) < SL_AUDIT_LINE_MAX || !json_is_array(reasons))
		return line;
	free(line);
	while (json_array_size(reasons) > 1)
		json_array_remove(reasons, json_array_size(reasons) - 1);
	return json_dumps(entry, JSON_COMPACT);
}

static int
add(struct sl_audit *a, int64_t wall_ms, int64_t uid, const char *user, json_t *entry, bool sync)
{
	char time[SL_AUDIT_TIMELEN];
	int ret = 0;
	json_t *o = json_pack("{s:s, s:I, s:s}", "time", sl_audit_time(wall_ms, time), "uid",
			      (json_int_t)uid, "user", user);

	if (!o || json_object_update(o, entry))
		ret = -ENOMEM;
	json_decref(entry);
	if (ret || a->fd < 0) {
		json_decref(o);
		return ret;
	}
	follow(a);
	if (a->cut)
		mend(a->fd);
	char *line = dump_line(o);
	json_decref(o);
	if (!line)
		return -ENOMEM;
	size_t n = strlen(line);
	line[n++] = '\n'; /* in place of the terminator: write takes a length */
	ssize_t put = write(a->fd, line, n);
	a->cut = put != (ssize_t)n;
	if (a->cut || (sync && fdatasync(a->fd)))
		ret = put < 0 ? -errno : -EIO;
	free(line);
	return ret;
}

int
sl_audit_add(struct sl_audit *a, int64_t wall_ms, int64_t uid, const char *user, json_t *entry)
{
	return add(a, wall_ms, uid, user, entry, true);
}

int
sl_audit_note(struct sl_audit *a, int64_t wall_ms, int64_t uid, const char *user, json_t *entry)
{
	return add(a, wall_ms, uid, user, entry, false);
}

static unsigned
count_lines(const char *p, size_t n)
{
	unsigned cnt = 0;
	for (size_t i = 0; i < n; i++)
		cnt += p[i] == '\n';
	return cnt;
}

/* The last bytes of the log that hold at least n lines (or all), malloc'ed. */
static char *
read_tail(int fd, unsigned n, size_t *ret_len, bool *ret_whole)
{
	off_t end = lseek(fd, 0, SEEK_END);

	for (off_t window = 64 << 10;; window *= 4) {
		off_t from = end > window ? end - window : 0;
		size_t len = (size_t)(end - from);
		char *buf = malloc(len + 1);
		if (!buf || pread(fd, buf, len, from) != (ssize_t)len) {
			free(buf);
			return NULL;
		}
		if (from == 0 || count_lines(buf, len) > n || window >= (64 << 20)) {
			*ret_len = len;
			*ret_whole = from == 0;
			return buf;
		}
		free(buf);
	}
}

json_t *
sl_audit_tail(struct sl_audit *a, unsigned n)
{
	json_t *lines = json_array();
	size_t len = 0, from = 0;
	bool whole = true;
	char *buf = a->fd >= 0 ? read_tail(a->fd, n, &len, &whole) : NULL;

	if (!buf)
		return lines;
	unsigned cnt = count_lines(buf, len);
	/* skip what is before the last n lines, and the cut line at the window's start */
	for (unsigned skip = cnt > n ? cnt - n : !whole; skip > 0 && from < len;)
		skip -= buf[from++] == '\n';
	while (from < len) {
		char *nl = memchr(buf + from, '\n', len - from);
		if (!nl)
			break;
		json_t *o = json_loadb(buf + from, (size_t)(nl - buf) - from, 0, NULL);
		if (o)
			json_array_append_new(lines, o);
		from = (size_t)(nl - buf) + 1;
	}
	free(buf);
	return lines;
}

const char *
sl_audit_time(int64_t wall_ms, char buf[SL_AUDIT_TIMELEN])
{
	time_t s = (time_t)(wall_ms / 1000);
	struct tm tm;

	gmtime_r(&s, &tm);
	size_t n = strftime(buf, SL_AUDIT_TIMELEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + n, SL_AUDIT_TIMELEN - n, ".%03dZ", (int)(wall_ms % 1000));
	return buf;
}
