/* write:  PATH.tmp ── write, fsync ──▶ rename ──▶ PATH, then fsync of the directory that names it. */
#include "mgmt/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int
fail(struct sl_diag *diag, const char *path, const char *what)
{
	int err = errno ? errno : EIO;
	sl_diag_add(diag, path, 0, NULL, NULL, "%s: %s", what, strerror(err));
	return -err;
}

static int
write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

static int
sync_parent(const char *path)
{
	char dir[4096];
	const char *slash = strrchr(path, '/');

	if (!slash)
		return sl_disk_sync_dir(".");
	if (slash == path)
		return sl_disk_sync_dir("/");
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	return sl_disk_sync_dir(dir);
}

int
sl_disk_create(const char *path, const void *bytes, size_t len, struct sl_diag *diag)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(diag, path, "cannot create");
	bool bad = write_all(fd, bytes, len) || fsync(fd);
	int err = errno;
	close(fd);
	errno = err;
	if (!bad)
		return 0;
	int ret = fail(diag, path, "cannot write");
	unlink(path);
	return ret;
}

int
sl_disk_write(const char *path, const void *bytes, size_t len, struct sl_diag *diag)
{
	char tmp[4096];

	if (snprintf(tmp, sizeof(tmp), "%s.tmp", path) >= (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		return fail(diag, path, "cannot write");
	}
	int ret = sl_disk_create(tmp, bytes, len, diag);
	if (ret)
		return ret;
	if (rename(tmp, path)) {
		ret = fail(diag, path, "cannot rename to");
		unlink(tmp);
		return ret;
	}
	ret = sync_parent(path);
	if (ret)
		sl_diag_add(diag, path, 0, NULL, NULL, "cannot sync its directory: %s",
			    strerror(-ret));
	return ret;
}

int
sl_disk_read(const char *path, size_t max, char **ret_text, size_t *ret_len, struct sl_diag *diag)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? -ENOENT : fail(diag, path, "cannot open");
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
		close(fd);
		sl_diag_add(diag, path, 0, NULL, NULL, "not a regular file of at most %zu bytes",
			    max);
		return -EINVAL;
	}
	size_t size = (size_t)st.st_size, have = 0;
	char *text = malloc(size + 1);
	ssize_t n = 0;
	while (text && have < size && (n = read(fd, text + have, size - have)) > 0)
		have += (size_t)n;
	int ret = !text ? -ENOMEM : n < 0 ? fail(diag, path, "cannot read") : 0;
	close(fd);
	if (ret) {
		free(text);
		return ret;
	}
	text[have] = 0;
	*ret_text = text;
	*ret_len = have;
	return 0;
}

int
sl_disk_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int ret = fsync(fd) ? -errno : 0;
	close(fd);
	return ret;
}

int
sl_disk_mkdir(const char *dir, struct sl_diag *diag)
{
	char part[4096];
	struct stat st;

	if (snprintf(part, sizeof(part), "%s", dir) >= (int)sizeof(part)) {
		errno = ENAMETOOLONG;
		return fail(diag, dir, "cannot make the directory");
	}
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(part, 0755) && errno != EEXIST)
			return fail(diag, part, "cannot make the directory");
		*p = '/';
	}
	if (mkdir(part, 0700) && errno != EEXIST)
		return fail(diag, part, "cannot make the directory");
	if (stat(part, &st) || !S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return fail(diag, part, "cannot use");
	}
	return 0;
}

void
sl_disk_sum(const void *bytes, size_t len, char ret_hex[65])
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	memset(md, 0, sizeof(md));
	EVP_Digest(bytes, len, md, &n, EVP_sha256(), NULL);
	for (unsigned i = 0; i < 32; i++)
		snprintf(ret_hex + 2 * i, 3, "%02x", md[i]);
}
