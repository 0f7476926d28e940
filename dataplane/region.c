#include "dataplane/region.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

/* The same file once more: another description, with access of its own. */
static int
reopen(int fd, int flags)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, flags | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

/* 0, or -errno with nothing left open. */
static int
map(int fd, size_t bytes, bool huge, struct sl_region *ret_region)
{
	/* pages of hugetlbfs are set aside here: a shortage shows now, and not as a signal later */
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int keep = m == MAP_FAILED ? -errno : reopen(fd, O_RDONLY);

	if (keep < 0) {
		if (m != MAP_FAILED)
			munmap(m, bytes);
		return keep;
	}
	if (!huge)
		madvise(m, bytes, MADV_HUGEPAGE);
	*ret_region = (struct sl_region){m, bytes, fd, keep, huge};
	return 0;
}

static int
make(size_t bytes, bool huge, struct sl_region *ret_region)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0);
	int fd = memfd_create("sluice-flows", flags), err = fd < 0 ? -errno : 0;

	if (!err && (fchmod(fd, 0600) || ftruncate(fd, (off_t)bytes) ||
		     fcntl(fd, F_ADD_SEALS, SEALS | F_SEAL_SEAL)))
		err = -errno;
	if (!err)
		err = map(fd, bytes, huge, ret_region);
	if (err && fd >= 0)
		close(fd);
	return err;
}

int
sl_region_create(unsigned worker_cnt, uint32_t capacity, uint32_t xlat_capacity,
		 const uint8_t rss_key[40], uint64_t boot_id, bool huge,
		 struct sl_region *ret_region)
{
	struct sl_flows_head h = {.boot_id = boot_id};
	int err = sl_flows_layout(&h, worker_cnt, capacity, xlat_capacity);

	if (err)
		return err;
	if (getrandom(&h.region, sizeof(h.region), 0) != sizeof(h.region))
		return -EIO;
	memcpy(h.rss_key, rss_key, sizeof(h.rss_key));
	err = huge ? make(h.bytes, true, ret_region) : -ENOMEM;
	if (err)
		err = make(h.bytes, false, ret_region);
	if (err)
		return err;
	sl_flows_seal(&h);
	*ret_region->head = h;
	return 0;
}

/* NULL, or why this is no file that a dataplane made; *ret_bytes its size, *ret_huge where it lies. */
static const char *
judge_file(int fd, size_t *ret_bytes, bool *ret_huge)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct statfs fs;
	struct stat st;

	if (seals < 0)
		return "it is not a memfd";
	if ((seals & SEALS) != SEALS)
		return "its size is not sealed";
	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return "it cannot be looked at";
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return "it belongs to another user";
	if (st.st_size < SL_FLOWS_HEAD_BYTES)
		return "it is smaller than its head";
	*ret_bytes = (size_t)st.st_size;
	*ret_huge = fs.f_type == HUGETLBFS_MAGIC;
	return NULL;
}

static const char *
judge_head(const struct sl_region *r, uint64_t bytes, uint64_t id)
{
	if (bytes && bytes != r->bytes)
		return "it is not as large as was said";
	const char *why = sl_flows_head_check(r->head, r->bytes);
	if (!why && id && id != r->head->region)
		return "it has another id than was said";
	return why;
}

const char *
sl_region_open(int fd, uint64_t bytes, uint64_t id, struct sl_region *ret_region)
{
	static char text[160];
	struct sl_region r;
	size_t size;
	bool huge;
	const char *why = judge_file(fd, &size, &huge);

	if (why) {
		close(fd);
		return why;
	}
	/* it may come open for reading only */
	int own = reopen(fd, O_RDWR);
	close(fd);
	int err = own < 0 ? own : map(own, size, huge, &r);
	if (err) {
		if (own >= 0)
			close(own);
		snprintf(text, sizeof(text), "it cannot be mapped: %s", strerror(-err));
		return text;
	}
	why = judge_head(&r, bytes, id);
	if (why)
		sl_region_close(&r);
	else
		*ret_region = r;
	return why;
}

bool
sl_region_fits(const struct sl_region *r, unsigned worker_cnt, uint32_t capacity,
	       uint32_t xlat_capacity)
{
	return r->head->worker_cnt == worker_cnt && r->head->capacity == capacity &&
	       r->head->xlat_capacity == xlat_capacity;
}

void
sl_region_close(struct sl_region *r)
{
	if (!r->head)
		return;
	munmap(r->head, r->bytes);
	close(r->fd);
	close(r->keep_fd);
	*r = (struct sl_region){0};
}
