/* Order: seals first (nobody can cut the file under us), then copy, then zero, so that at each moment the
 * secret is either still the sender's or locked here. */
#include "dataplane/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define ZERO_MAX (1u << 20)

/* Overwrites the file, as far as it lets us. */
static int
wipe_file(int fd)
{
	static const uint8_t zeros[4096];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	off_t end = SL_MIN(st.st_size, (off_t)ZERO_MAX);
	for (off_t at = 0; at < end;) {
		ssize_t n = pwrite(fd, zeros, (size_t)SL_MIN((off_t)sizeof(zeros), end - at), at);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
	}
	return 0;
}

static const char *
refuse(int fd, size_t size)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || fstat(fd, &st) < 0)
		return "the descriptor is not a memfd";
	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return "the memfd is sealed against writing, so it cannot be zeroed";
	if (!(seals & F_SEAL_SHRINK) || !(seals & F_SEAL_GROW))
		return "the memfd is not sealed against resizing";
	if (size == 0 || size > ZERO_MAX || st.st_size != (off_t)size)
		return "the memfd is not as long as the message says";
	return NULL;
}

static uint8_t *
map_locked(size_t size)
{
	uint8_t *m = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		return NULL;
	if (mlock(m, size) == 0 && madvise(m, size, MADV_DONTDUMP) == 0)
		return m;
	munmap(m, size);
	return NULL;
}

int
sl_secret_take(int fd, size_t size, struct sl_secret *ret_secret, const char **ret_why)
{
	struct sl_secret s = {NULL, size};
	int err = 0;

	*ret_why = refuse(fd, size);
	if (*ret_why) {
		if (fcntl(fd, F_GET_SEALS) >= 0)
			(void)wipe_file(fd);
		return -EINVAL;
	}
	if (!(s.bytes = map_locked(size))) {
		*ret_why = "no memory could be locked for the secret: raise RLIMIT_MEMLOCK";
		err = -ENOMEM;
	} else if (pread(fd, s.bytes, size, 0) != (ssize_t)size) {
		*ret_why = "the memfd cannot be read";
		err = -EIO;
	}
	if (wipe_file(fd) && !err) {
		*ret_why = "the memfd cannot be zeroed";
		err = -EIO;
	}
	if (err)
		sl_secret_destroy(&s);
	else
		*ret_secret = s;
	return err;
}

void
sl_secret_destroy(struct sl_secret *s)
{
	if (s->bytes) {
		explicit_bzero(s->bytes, s->size);
		munmap(s->bytes, s->size);
	}
	*s = (struct sl_secret){0};
}
