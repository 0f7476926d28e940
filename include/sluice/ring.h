/* ring — single-producer single-consumer ring of fixed-size items between two threads.
 *
 * Owner:   the memory is the caller's (sl_ring_bytes); one thread puts, one takes.
 * Threads: `put` side [producer], `take` side [consumer].  Lock-free, no read-modify-write.
 * Order:   the producer's store-release of `head` pairs with the consumer's load-acquire of it: an item
 *          taken is an item written whole.  The consumer's release of `tail` pairs with the
 *          producer's acquire: a place reused is a place read.
 */
#ifndef SLUICE_RING_H
#define SLUICE_RING_H

#include "sluice/base.h"

struct sl_ring {
	/* line 0: written by the producer */
	SL_ALIGNED _Atomic uint32_t head; /* items ever put */
	uint32_t tail_seen;               /* producer's copy of tail */
	uint32_t mask;
	uint32_t item_bytes;
	/* line 1: written by the consumer */
	SL_ALIGNED _Atomic uint32_t tail; /* items ever taken */
	uint32_t head_seen;               /* consumer's copy of head */
	SL_ALIGNED uint8_t items[];
};

/* size is a power of two in [2, 2^20]; item_bytes in [1, 4096].  Memory is aligned to a line. */
static inline size_t
sl_ring_bytes(uint32_t size, uint32_t item_bytes)
{
	size_t n = sizeof(struct sl_ring) + (size_t)size * item_bytes;
	return (n + SL_CACHE_LINE - 1) & ~(size_t)(SL_CACHE_LINE - 1);
}

static inline struct sl_ring *
sl_ring_init(void *mem, uint32_t size, uint32_t item_bytes)
{
	struct sl_ring *r = mem;
	SL_ASSERT(size >= 2 && (size & (size - 1)) == 0);
	memset(r, 0, sizeof(*r));
	r->mask = size - 1;
	r->item_bytes = item_bytes;
	return r;
}

/* sl_ring_put copies n items (item_bytes each, contiguous) in, as many as fit; the count. */
static inline uint32_t
sl_ring_put(struct sl_ring *r, const void *items, uint32_t n)
{
	uint32_t head = __atomic_load_n((uint32_t *)&r->head, __ATOMIC_RELAXED);
	uint32_t room = r->mask + 1 - (head - r->tail_seen);
	if (room < n) {
		r->tail_seen = __atomic_load_n((uint32_t *)&r->tail, __ATOMIC_ACQUIRE);
		room = r->mask + 1 - (head - r->tail_seen);
		if (n > room)
			n = room;
	}
	for (uint32_t i = 0; i < n; i++)
		memcpy(r->items + (size_t)((head + i) & r->mask) * r->item_bytes,
		       (const uint8_t *)items + (size_t)i * r->item_bytes, r->item_bytes);
	if (n)
		__atomic_store_n((uint32_t *)&r->head, head + n, __ATOMIC_RELEASE);
	return n;
}

/* sl_ring_take copies up to n items out; the count. */
static inline uint32_t
sl_ring_take(struct sl_ring *r, void *ret_items, uint32_t n)
{
	uint32_t tail = __atomic_load_n((uint32_t *)&r->tail, __ATOMIC_RELAXED);
	uint32_t have = r->head_seen - tail;
	if (have == 0 || have < n) {
		r->head_seen = __atomic_load_n((uint32_t *)&r->head, __ATOMIC_ACQUIRE);
		have = r->head_seen - tail;
		if (n > have)
			n = have;
	}
	for (uint32_t i = 0; i < n; i++)
		memcpy((uint8_t *)ret_items + (size_t)i * r->item_bytes,
		       r->items + (size_t)((tail + i) & r->mask) * r->item_bytes, r->item_bytes);
	if (n)
		__atomic_store_n((uint32_t *)&r->tail, tail + n, __ATOMIC_RELEASE);
	return n;
}

/* sl_ring_empty may be asked by the consumer. */
static inline bool
sl_ring_empty(struct sl_ring *r)
{
	return __atomic_load_n((uint32_t *)&r->head, __ATOMIC_ACQUIRE) ==
	       __atomic_load_n((uint32_t *)&r->tail, __ATOMIC_RELAXED);
}

#endif
