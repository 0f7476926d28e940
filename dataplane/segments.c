#include "dataplane/segments.h"

#include "dataplane/tcp/tcp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* A memfd mapped here and sealed so that its size cannot change, and nobody but us can write it if
 * read_only. */
static int
make_segment(const char *name, size_t bytes, bool read_only, int *ret_fd, void **ret_mem)
{
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | (read_only ? F_SEAL_FUTURE_WRITE : 0);
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *mem = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0)
		mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED || fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SEAL) < 0) {
		int err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	*ret_fd = fd;
	*ret_mem = mem;
	return 0;
}

/* The same file, open for reading alone. */
static int
read_only(int fd)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	int again = open(path, O_RDONLY | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

static int
make_streams(struct sl_gateway *g)
{
	uint32_t stride = (uint32_t)sl_tcp_stride(), capacity = (uint32_t)g->boot.tcp_streams;
	int fd, err;

	g->streams_fd = -1;
	if (capacity == 0)
		return 0;
	g->streams_bytes = sl_streams_bytes(g->boot.worker_cnt, capacity, stride);
	err = make_segment("sluice-streams", g->streams_bytes, true, &fd, &g->streams);
	if (err)
		return err;
	madvise(g->streams, g->streams_bytes, MADV_HUGEPAGE);
	sl_streams_init(g->streams, g->boot.worker_cnt, capacity, stride, g->boot_id);
	g->streams_fd = read_only(fd);
	close(fd);
	return g->streams_fd < 0 ? g->streams_fd : 0;
}

/* Passed open for writing, too: the daemon says how far it read. */
static int
make_events(struct sl_gateway *g)
{
	uint32_t size = (uint32_t)g->boot.events_kb << 10;

	g->events_fd = -1;
	g->events_bytes = size ? sl_events_bytes(g->boot.worker_cnt, size) : 0;
	if (g->events_bytes == 0)
		return 0;
	int err = make_segment("sluice-events", g->events_bytes, false, &g->events_fd, &g->events);
	if (!err)
		sl_events_init(g->events, g->boot.worker_cnt, size, g->boot_id);
	return err;
}

int
sl_segments_up(struct sl_gateway *g)
{
	void *state;
	int err = sl_gateway_random(&g->boot_id, sizeof(g->boot_id));

	g->state_bytes = sizeof(*g->state) + SL_MAX_ENDPOINTS * sizeof(g->state->slot[0]);
	g->stats_bytes = sl_stats_bytes(g->boot.worker_cnt, g->boot.port_cnt);
	if (!err)
		err = make_segment("sluice-state", g->state_bytes, false, &g->state_fd, &state);
	if (!err)
		err = make_segment("sluice-stats", g->stats_bytes, true, &g->stats_fd, &g->stats);
	if (!err)
		err = make_streams(g);
	if (!err)
		err = make_events(g);
	if (err) {
		sl_diag_add(&g->diag, NULL, 0, NULL, NULL, "shared segments: %s", strerror(-err));
		return err;
	}
	g->state = state;
	g->state->version = SL_STATE_VERSION;
	g->state->boot_id = g->boot_id;
	g->state->slot_cnt = SL_MAX_ENDPOINTS;
	g->state->share_cnt = SL_STATE_SHARES;
	__atomic_store_n(&g->state->magic, SL_STATE_MAGIC, __ATOMIC_RELEASE);
	return 0;
}

void
sl_segments_down(struct sl_gateway *g)
{
	munmap(g->state, g->state_bytes);
	munmap(g->stats, g->stats_bytes);
	close(g->state_fd);
	close(g->stats_fd);
	if (g->streams) {
		munmap(g->streams, g->streams_bytes);
		close(g->streams_fd);
	}
	if (g->events) {
		munmap(g->events, g->events_bytes);
		close(g->events_fd);
	}
}
