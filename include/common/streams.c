/* The layout follows from (worker_cnt, capacity, stride) alone, so a region is sound exactly when its head says what
 * layout() says. */
#include "sluice/streams.h"

#include <errno.h>

#define PAGE 4096u
#define MAX_CAPACITY (1u << 22)
#define MAX_STRIDE 4096u

static bool
layout(struct sl_streams_head *h, unsigned worker_cnt, uint32_t capacity, uint32_t stride)
{
	if (worker_cnt == 0 || worker_cnt > SL_STREAMS_MAX_WORKERS || capacity == 0 ||
	    capacity > MAX_CAPACITY || stride < sizeof(struct sl_stream_row) ||
	    stride > MAX_STRIDE || stride % SL_CACHE_LINE)
		return false;
	h->worker_off = PAGE;
	h->worker_cnt = worker_cnt;
	h->capacity = capacity;
	h->stride = stride;
	h->worker_bytes = ((uint64_t)capacity * stride + PAGE - 1) / PAGE * PAGE;
	h->bytes = h->worker_off + worker_cnt * h->worker_bytes;
	return true;
}

size_t
sl_streams_bytes(unsigned worker_cnt, uint32_t capacity, uint32_t stride)
{
	struct sl_streams_head h;

	return layout(&h, worker_cnt, capacity, stride) ? h.bytes : 0;
}

void
sl_streams_init(void *mem, unsigned worker_cnt, uint32_t capacity, uint32_t stride,
		uint64_t boot_id)
{
	struct sl_streams_head *h = mem;

	if (!layout(h, worker_cnt, capacity, stride))
		return;
	h->version = SL_STREAMS_VERSION;
	h->boot_id = boot_id;
	/* pairs with the acquire in sl_streams_check */
	__atomic_store_n(&h->magic, SL_STREAMS_MAGIC, __ATOMIC_RELEASE);
}

int
sl_streams_check(const void *mem, size_t bytes)
{
	const struct sl_streams_head *h = mem;
	struct sl_streams_head want = {0}, got;

	if (bytes < PAGE || __atomic_load_n(&h->magic, __ATOMIC_ACQUIRE) != SL_STREAMS_MAGIC)
		return -EINVAL;
	got = *h;
	if (got.version != SL_STREAMS_VERSION ||
	    !layout(&want, got.worker_cnt, got.capacity, got.stride))
		return -EINVAL;
	if (got.worker_off != want.worker_off || got.worker_bytes != want.worker_bytes ||
	    got.bytes != want.bytes || got.bytes > bytes)
		return -EINVAL;
	return 0;
}

const char *
sl_stream_state_name(unsigned state)
{
	static const char *const names[] = {
#define X(NAME, word) word,
		SL_STREAM_STATES(X)
#undef X
	};

	return state < SL_ARRAY_CNT(names) ? names[state] : "unknown";
}

const char *
sl_stream_cc_name(unsigned cc)
{
	return cc == SL_CC_CUBIC ? "cubic" : cc == SL_CC_RENO ? "reno" : "unknown";
}
