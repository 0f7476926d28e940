#include "mgmt/keep.h"

#include "mgmt/disk.h"
#include "mgmt/wipe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC 0x5045454bu /* "KEEP" */
#define VERSION 1

struct head {
	uint32_t magic, version;
	uint32_t kind;
	uint32_t bytes; /* of the payload */
	int64_t stamp_ms;
	uint8_t sum[32]; /* SHA-256 of head, with this 0, and payload */
};
static_assert(sizeof(struct head) == 56, "no holes");

static bool
sum_of(const struct head *h, const void *payload, uint8_t ret[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	struct head zeroed = *h;

	memset(zeroed.sum, 0, sizeof(zeroed.sum));
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(md, &zeroed, sizeof(zeroed)) == 1 &&
		  EVP_DigestUpdate(md, payload, h->bytes) == 1 &&
		  EVP_DigestFinal_ex(md, ret, NULL) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

static bool
staged_path(const char *path, char buf[4096])
{
	return snprintf(buf, 4096, "%s.new", path) < 4096;
}

int
sl_keep_stage(const char *path, uint32_t kind, int64_t stamp_ms, const void *payload, size_t bytes,
	      struct sl_diag *diag)
{
	struct head h = {MAGIC, VERSION, kind, (uint32_t)bytes, stamp_ms, {0}};
	uint8_t *whole = bytes <= SL_KEEP_MAX ? sl_wipe_alloc(sizeof(h) + bytes) : NULL;
	char staged[4096];
	int err = -ENOMEM;

	if (whole && staged_path(path, staged) && sum_of(&h, payload, h.sum)) {
		memcpy(whole, &h, sizeof(h));
		memcpy(whole + sizeof(h), payload, bytes);
		unlink(staged); /* a file that is there keeps its mode */
		err = sl_disk_create(staged, whole, sizeof(h) + bytes, diag);
	} else {
		sl_diag_add(diag, path, 0, NULL, NULL, "out of memory");
	}
	sl_wipe_release(whole, sizeof(h) + bytes);
	return err;
}

static void
sync_parent(const char *path)
{
	char dir[4096];

	snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
	(void)!sl_disk_sync_dir(dir);
}

int
sl_keep_commit(const char *path, struct sl_diag *diag)
{
	char staged[4096];

	if (!staged_path(path, staged) || rename(staged, path)) {
		int err = errno ? errno : EIO;
		sl_diag_add(diag, path, 0, NULL, NULL, "cannot take its place: %s", strerror(err));
		return -err;
	}
	sync_parent(path);
	return 0;
}

void
sl_keep_drop(const char *path)
{
	char staged[4096];

	if (staged_path(path, staged))
		unlink(staged);
}

/* ---- reading ---- */

static bool
read_all(int fd, uint8_t *to, size_t n)
{
	while (n > 0) {
		ssize_t got = read(fd, to, n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
	}
	return true;
}

/* NULL, or what is wrong. */
static const char *
read_whole(int fd, uint32_t kind, struct head *h, void **ret_payload)
{
	uint8_t sum[32];
	struct stat st;
	char more;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode))
		return "not a regular file";
	if (!read_all(fd, (uint8_t *)h, sizeof(*h)) || h->magic != MAGIC || h->kind != kind ||
	    h->bytes > SL_KEEP_MAX)
		return "damaged: its head is not that of a file of secrets";
	if (h->version != VERSION)
		return "of another version of sluiced";
	void *p = sl_wipe_alloc(h->bytes);
	if (!p)
		return "out of memory";
	if (read_all(fd, p, h->bytes) && read(fd, &more, 1) == 0 && sum_of(h, p, sum) &&
	    memcmp(sum, h->sum, sizeof(sum)) == 0) {
		*ret_payload = p;
		return NULL;
	}
	sl_wipe_release(p, h->bytes);
	return "damaged: its checksum does not agree with its bytes";
}

int
sl_keep_read(const char *path, uint32_t kind, void **ret_payload, size_t *ret_bytes,
	     int64_t *ret_stamp_ms, struct sl_diag *diag)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct head h = {0};

	if (fd < 0) {
		int err = errno;
		if (err != ENOENT)
			sl_diag_add(diag, path, 0, NULL, NULL, "cannot open: %s", strerror(err));
		return -err;
	}
	(void)!fchmod(fd, 0600);
	const char *why = read_whole(fd, kind, &h, ret_payload);
	close(fd);
	if (why) {
		sl_diag_add(diag, path, 0, NULL, NULL, "%s", why);
		return -EBADMSG;
	}
	*ret_bytes = h.bytes;
	*ret_stamp_ms = h.stamp_ms;
	return 0;
}

int
sl_keep_dir(const char *dir, struct sl_diag *diag)
{
	int err = sl_disk_mkdir(dir, diag);
	DIR *d = err ? NULL : opendir(dir);
	char path[4096];

	if (err)
		return err;
	if (!d || chmod(dir, 0700)) {
		err = errno;
		sl_diag_add(diag, dir, 0, NULL, NULL, "cannot be used: %s", strerror(err));
		if (d)
			closedir(d);
		return -err;
	}
	for (struct dirent *e; (e = readdir(d));) {
		size_t n = strlen(e->d_name);
		if (n > 4 && strcmp(e->d_name + n - 4, ".new") == 0 &&
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			unlink(path);
	}
	closedir(d);
	return 0;
}
