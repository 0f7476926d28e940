/* Blocks, the newest first; what is larger than a quarter of one has a block of its own behind it. */
#include "mgmt/import_memory.h"

#include "sluice/base.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 65536

struct sl_memory_block {
	struct sl_memory_block *next;
	size_t used, room;
	_Alignas(16) char bytes[];
};

static struct sl_memory_block *
block_new(size_t room)
{
	struct sl_memory_block *b = calloc(1, sizeof(*b) + room);

	if (!b)
		abort();
	b->room = room;
	return b;
}

static void *
take_large(struct sl_memory *m, size_t size)
{
	struct sl_memory_block *b = block_new(size);

	b->used = size;
	if (m->blocks) {
		b->next = m->blocks->next;
		m->blocks->next = b;
	} else {
		m->blocks = b;
	}
	return b->bytes;
}

void *
sl_memory_take(struct sl_memory *m, size_t size)
{
	size = (size + 15) & ~(size_t)15;
	if (size > BLOCK / 4)
		return take_large(m, size);
	struct sl_memory_block *b = m->blocks;
	if (!b || b->room - b->used < size) {
		b = block_new(BLOCK);
		b->next = m->blocks;
		m->blocks = b;
	}
	b->used += size;
	return b->bytes + b->used - size;
}

char *
sl_memory_copy(struct sl_memory *m, const char *text, size_t len)
{
	char *s = sl_memory_take(m, len + 1);

	memcpy(s, text, len);
	return s;
}

char *
sl_memory_vprint(struct sl_memory *m, const char *fmt, va_list ap)
{
	char *text, *s;
	int n = vasprintf(&text, fmt, ap);

	if (n < 0)
		abort();
	s = sl_memory_copy(m, text, (size_t)n);
	free(text);
	return s;
}

char *
sl_memory_print(struct sl_memory *m, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *s = sl_memory_vprint(m, fmt, ap);
	va_end(ap);
	return s;
}

void
sl_memory_fini(struct sl_memory *m)
{
	while (m->blocks) {
		struct sl_memory_block *next = m->blocks->next;
		free(m->blocks);
		m->blocks = next;
	}
}
