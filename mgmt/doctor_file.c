#include "mgmt/doctor_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool
make_path(char *buf, size_t size, const char *root, const char *fmt, va_list ap)
{
	int n = snprintf(buf, size, "%s", root);

	if (n < 0 || (size_t)n >= size)
		return false;
	int m = vsnprintf(buf + n, size - (size_t)n, fmt, ap);
	return m >= 0 && (size_t)m < size - (size_t)n;
}

bool
sl_doctor_file_path(char *buf, size_t size, const char *root, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	bool ok = make_path(buf, size, root, fmt, ap);
	va_end(ap);
	return ok;
}

/* The bytes of fd, terminated. */
static char *
read_all(int fd)
{
	size_t len = 0, room = 4096;
	char *text = malloc(room + 1);

	while (text && len < SL_DOCTOR_FILE_MAX) {
		if (len == room) {
			char *more = realloc(text, 2 * room + 1);
			if (!more)
				break;
			text = more;
			room *= 2;
		}
		ssize_t n = read(fd, text + len, room - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			if (!text[len + (size_t)i])
				text[len + (size_t)i] = ' ';
		len += (size_t)n;
	}
	if (text)
		text[len] = 0;
	return text;
}

static char *
read_path(const char *root, const char *fmt, va_list ap)
{
	char path[PATH_MAX], *text = NULL;
	struct stat st;

	if (!make_path(path, sizeof(path), root, fmt, ap))
		return NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		text = read_all(fd);
	close(fd);
	return text;
}

char *
sl_doctor_file_text(const char *root, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = read_path(root, fmt, ap);
	va_end(ap);
	return text;
}

bool
sl_doctor_file_word(char *buf, size_t size, const char *root, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *text = read_path(root, fmt, ap);
	va_end(ap);
	const char *word = text ? text + strspn(text, " \t\n") : "";
	snprintf(buf, size, "%.*s", (int)strcspn(word, " \t\n"), word);
	free(text);
	return text;
}

long
sl_doctor_file_number(long absent, const char *root, const char *fmt, ...)
{
	va_list ap;
	char *end;

	va_start(ap, fmt);
	char *text = read_path(root, fmt, ap);
	va_end(ap);
	if (!text)
		return absent;
	errno = 0;
	long v = strtol(text, &end, 10);
	if (end == text || errno || !strchr(" \t\n", *end)) /* "" too: the terminating 0 */
		v = absent;
	free(text);
	return v;
}

void
sl_doctor_file_link(char *buf, size_t size, const char *root, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	va_list ap;

	*buf = 0;
	va_start(ap, fmt);
	bool ok = make_path(path, sizeof(path), root, fmt, ap);
	va_end(ap);
	ssize_t n = ok ? readlink(path, target, sizeof(target) - 1) : -1;
	if (n <= 0)
		return;
	target[n] = 0;
	const char *last = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
	if (strlen(last) < size)
		strcpy(buf, last);
}

bool
sl_doctor_file_is(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;

	va_start(ap, fmt);
	bool ok = make_path(path, sizeof(path), root, fmt, ap);
	va_end(ap);
	return ok && access(path, F_OK) == 0;
}
