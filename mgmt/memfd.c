/* Sized first, then written by write(2): a mapping would have to go before the seal may be set. */
#include "mgmt/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static int
make(const char *name, const void *bytes, size_t size, int seals)
{
	const char *at = bytes;
	size_t left = size;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	while (left > 0) {
		ssize_t n = write(fd, at, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		at += n;
		left -= (size_t)n;
	}
	if (left == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0)
		return fd;
	int err = errno ? errno : EIO;
	close(fd);
	return -err;
}

int
sl_memfd_sealed(const char *name, const void *bytes, size_t size)
{
	return make(name, bytes, size, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

int
sl_memfd_secret(const void *bytes, size_t size)
{
	return make("sluice-secret", bytes, size, F_SEAL_SHRINK | F_SEAL_GROW);
}
