/* The layout follows from (worker_cnt, size) alone, so a region is sound exactly when its head says what layout() says.
 *
 * Both sides have the ring mapped for writing, so that each takes every number in it for anything: positions are used
 * under the mask of a size that is their own, and a length only when what it covers lies in the ring. */
#include "sluice/events.h"

#include <errno.h>
#include <stdatomic.h>

#define PAGE 4096u
#define MAX_SIZE (1u << 28)
#define ALIGN (sizeof(struct sl_event) - 1)

static_assert(sizeof(struct sl_event) == 8, "a PAD fits wherever a record ends");

static bool
layout(struct sl_events_head *h, unsigned worker_cnt, uint32_t size)
{
	if (worker_cnt == 0 || worker_cnt > SL_EVENTS_MAX_WORKERS || size < PAGE ||
	    size > MAX_SIZE || (size & (size - 1)))
		return false;
	h->worker_off = PAGE;
	h->worker_cnt = worker_cnt;
	h->size = size;
	h->worker_bytes = offsetof(struct sl_events_worker, data) + (uint64_t)size;
	h->bytes = h->worker_off + worker_cnt * h->worker_bytes;
	return true;
}

size_t
sl_events_bytes(unsigned worker_cnt, uint32_t size)
{
	struct sl_events_head h;

	return layout(&h, worker_cnt, size) ? h.bytes : 0;
}

void
sl_events_init(void *mem, unsigned worker_cnt, uint32_t size, uint64_t boot_id)
{
	struct sl_events_head *h = mem;

	if (!layout(h, worker_cnt, size))
		return;
	h->version = SL_EVENTS_VERSION;
	h->boot_id = boot_id;
	/* pairs with the acquire in sl_events_check */
	__atomic_store_n(&h->magic, SL_EVENTS_MAGIC, __ATOMIC_RELEASE);
}

int
sl_events_check(const void *mem, size_t bytes)
{
	const struct sl_events_head *h = mem;
	struct sl_events_head want = {0}, got;

	if (bytes < PAGE || (uintptr_t)mem % 8 != 0 ||
	    __atomic_load_n(&h->magic, __ATOMIC_ACQUIRE) != SL_EVENTS_MAGIC)
		return -EINVAL;
	got = *h;
	if (got.version != SL_EVENTS_VERSION || !layout(&want, got.worker_cnt, got.size))
		return -EINVAL;
	if (got.worker_off != want.worker_off || got.worker_bytes != want.worker_bytes ||
	    got.bytes != want.bytes || got.bytes > bytes || got.zero)
		return -EINVAL;
	return 0;
}

/* ---- the worker ---- */

static SL_COLD void *
lose(struct sl_events_worker *w)
{
	uint64_t lost = atomic_load_explicit(&w->lost, memory_order_relaxed);

	atomic_store_explicit(&w->lost, lost + 1, memory_order_relaxed);
	return NULL;
}

void *
sl_events_put(struct sl_events_worker *w, uint32_t size, uint32_t bytes)
{
	uint64_t head = atomic_load_explicit(&w->head, memory_order_relaxed);
	uint64_t used = head - atomic_load_explicit(&w->tail, memory_order_acquire);
	uint32_t at = (uint32_t)head & (size - 1), left = size - at;
	uint32_t pad = left < bytes ? left : 0;

	if (used > size || size - used < (uint64_t)pad + bytes || ((head | used) & ALIGN) ||
	    (bytes & ALIGN) || bytes < sizeof(struct sl_event) || bytes > size / 4)
		return lose(w);
	if (pad) {
		const struct sl_event e = {pad, SL_EVENT_PAD, 0};
		memcpy(w->data + at, &e, sizeof(e));
		atomic_store_explicit(&w->head, head + pad, memory_order_release);
		at = 0;
	}
	return w->data + at;
}

void
sl_events_commit(struct sl_events_worker *w, uint32_t bytes)
{
	uint64_t head = atomic_load_explicit(&w->head, memory_order_relaxed);

	atomic_store_explicit(&w->head, head + bytes, memory_order_release);
}

/* ---- the daemon ---- */

static long
pass_over(struct sl_events_worker *w, uint64_t head)
{
	atomic_store_explicit(&w->tail, head, memory_order_release);
	return -EBADMSG;
}

long
sl_events_take(struct sl_events_worker *w, uint32_t size, void *buf, size_t max)
{
	uint64_t tail = atomic_load_explicit(&w->tail, memory_order_relaxed);
	uint64_t head = atomic_load_explicit(&w->head, memory_order_acquire);
	struct sl_event e;

	if (head - tail > size)
		return 0;
	for (; tail != head; tail += e.bytes) {
		uint32_t at = (uint32_t)tail & (size - 1), left = size - at;
		if ((tail | head) & ALIGN)
			return pass_over(w, head);
		memcpy(&e, w->data + at, sizeof(e));
		if (e.bytes < sizeof(e) || (e.bytes & ALIGN) || e.bytes > left ||
		    e.bytes > head - tail || e.zero)
			return pass_over(w, head);
		if (e.type == SL_EVENT_PAD && e.bytes == left)
			continue;
		if (e.type != SL_EVENT_ACCESS || e.bytes > max)
			return pass_over(w, head);
		memcpy(buf, w->data + at, e.bytes);
		memcpy(buf, &e, sizeof(e)); /* what was looked at, whatever it is by now */
		atomic_store_explicit(&w->tail, tail + e.bytes, memory_order_release);
		return (long)e.bytes;
	}
	atomic_store_explicit(&w->tail, tail, memory_order_release);
	return 0;
}

/* ---- response flags ---- */

static const struct {
	const char *name, *text;
} flags[SL_RF_CNT] = {
#define X(BIT, text) {#BIT, text},
	SL_RESPONSE_FLAGS(X)
#undef X
};

const char *
sl_rflag_name(unsigned bit)
{
	return bit < SL_RF_CNT ? flags[bit].name : "unknown";
}

const char *
sl_rflag_text(unsigned bit)
{
	return bit < SL_RF_CNT ? flags[bit].text : "unknown";
}
