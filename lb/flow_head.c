/* The head of a flow region: nothing in it is believed that the sum does not cover, and every size follows from three
 * numbers. */
#include "lb/flow_adopt.h"
#include "lb/flow_priv.h"

#include <errno.h>

int
sl_flows_layout(struct sl_flows_head *h, unsigned worker_cnt, uint32_t capacity,
		uint32_t xlat_capacity)
{
	uint64_t bytes = layout_of(capacity, xlat_capacity).bytes;

	if (bytes == 0 || worker_cnt == 0 || worker_cnt > SL_FLOWS_MAX_WORKERS)
		return -EINVAL;
	h->magic = SL_FLOWS_MAGIC;
	h->version = SL_FLOWS_VERSION;
	h->worker_cnt = worker_cnt;
	h->capacity = capacity;
	h->xlat_capacity = xlat_capacity;
	h->table_off = SL_FLOWS_ALIGN;
	h->table_bytes = (bytes + SL_FLOWS_ALIGN - 1) / SL_FLOWS_ALIGN * SL_FLOWS_ALIGN;
	h->bytes = h->table_off + worker_cnt * h->table_bytes;
	return 0;
}

/* Every step is a bijection of the word it takes, so heads that differ in one word never have the same sum. */
static uint64_t
sum_of(const struct sl_flows_head *h)
{
	uint64_t v = SL_FLOWS_VERSION;

	static_assert(offsetof(struct sl_flows_head, sum) % 8 == 0, "whole words");
	for (size_t i = 0; i < offsetof(struct sl_flows_head, sum); i += 8) {
		v = (v ^ sl_load64((const char *)h + i)) * 0xbf58476d1ce4e5b9ull;
		v ^= v >> 29;
	}
	v *= 0x94d049bb133111ebull;
	return v ^ v >> 32;
}

void
sl_flows_seal(struct sl_flows_head *h)
{
	h->sum = sum_of(h);
}

const char *
sl_flows_head_check(const struct sl_flows_head *h, size_t bytes)
{
	struct sl_flows_head want = {0};

	if (bytes < SL_FLOWS_HEAD_BYTES)
		return "the flow region is shorter than its head";
	if (h->magic != SL_FLOWS_MAGIC)
		return "not a flow region";
	if (h->version != SL_FLOWS_VERSION)
		return "the flow region is of another version";
	if (h->sum != sum_of(h))
		return "the sum of the flow region's head is wrong";
	if (sl_flows_layout(&want, h->worker_cnt, h->capacity, h->xlat_capacity) != 0)
		return "the flow region's head names sizes out of range";
	if (h->bytes != want.bytes || h->table_off != want.table_off ||
	    h->table_bytes != want.table_bytes || h->zero != 0)
		return "the sizes in the flow region's head do not agree";
	if (h->bytes != bytes)
		return "the flow region is not as long as its head says";
	return NULL;
}
