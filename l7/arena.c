/* Pieces come from the untouched end, or from the list of their size: nothing is joined or cut, since the sizes that are asked
 * for repeat. */
#include "l7/arena.h"

#define CLASSES 9 /* 512 B … 128 KiB */

static_assert(SL_ARENA_MIN << (CLASSES - 1) == SL_ARENA_MAX, "a class for each size");

struct piece {
	struct piece *next;
};

struct sl_arena {
	struct piece *free[CLASSES];
	uint8_t *at, *end; /* untouched */
	size_t used;
	SL_ALIGNED uint8_t room[];
};

static unsigned
class_of(uint32_t bytes)
{
	return bytes <= SL_ARENA_MIN ? 0
				     : 32u - (unsigned)__builtin_clz((bytes - 1) / SL_ARENA_MIN);
}

size_t
sl_arena_bytes(size_t room)
{
	return sizeof(struct sl_arena) + room;
}

struct sl_arena *
sl_arena_init(void *mem, size_t room)
{
	struct sl_arena *a = mem;

	*a = (struct sl_arena){.at = a->room, .end = a->room + room};
	return a;
}

void *
sl_arena_take(struct sl_arena *a, uint32_t bytes, uint32_t *ret_bytes)
{
	unsigned c = class_of(bytes);
	uint32_t size = SL_ARENA_MIN << c;
	void *piece = a->free[c];

	if (piece) {
		a->free[c] = a->free[c]->next;
	} else if ((size_t)(a->end - a->at) >= size) {
		piece = a->at;
		a->at += size;
	} else {
		return NULL;
	}
	a->used += size;
	*ret_bytes = size;
	return piece;
}

void
sl_arena_give(struct sl_arena *a, void *piece, uint32_t ret_bytes)
{
	unsigned c = class_of(ret_bytes);
	struct piece *p = piece;

	SL_ASSERT(SL_ARENA_MIN << c == ret_bytes);
	p->next = a->free[c];
	a->free[c] = p;
	a->used -= ret_bytes;
}

size_t
sl_arena_used(const struct sl_arena *a)
{
	return a->used;
}
