#include "l7/clients.h"

#include <string.h>

#define V4 (1u << 31)
#define NONE SL_CLIENT_PLACES

struct whom {
	uint64_t prefix;
	uint32_t whose;
	uint32_t line;
};

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static struct whom
whom_of(const struct sl_clients *c, uint32_t listener_slot, const struct sl_addr *client)
{
	const uint8_t *bytes = (const uint8_t *)client;
	struct whom w = {.whose = listener_slot + 1};

	if (sl_addr_is_v4(client)) {
		memcpy(&w.prefix, bytes + 12, 4);
		w.whose |= V4;
	} else {
		memcpy(&w.prefix, bytes, 8);
	}
	w.line = (uint32_t)(mix(mix(w.prefix ^ c->key) + w.whose) % SL_CLIENT_LINES);
	return w;
}

/* A few instructions long: a worker that waits here waits for a count. */
static void
lock(struct sl_clients *c, uint32_t line)
{
	while (atomic_exchange_explicit(&c->line[line].lock, 1, memory_order_acquire))
		;
}

static void
unlock(struct sl_clients *c, uint32_t line)
{
	atomic_store_explicit(&c->line[line].lock, 0, memory_order_release);
}

/* The client's place, else a free one, else NONE. */
static unsigned
place_of(const struct sl_clients *c, const struct whom *w)
{
	unsigned free = NONE;

	for (unsigned i = 0; i < SL_CLIENT_PLACES; i++) {
		if (c->line[w->line].place[i].cnt == 0)
			free = i;
		else if (c->line[w->line].place[i].prefix == w->prefix &&
			 c->line[w->line].place[i].whose == w->whose)
			return i;
	}
	return free;
}

uint32_t
sl_clients_take(struct sl_clients *c, uint32_t listener_slot, const struct sl_addr *client,
		uint32_t max)
{
	struct whom w = whom_of(c, listener_slot, client);
	uint32_t taken = 0;

	lock(c, w.line);
	unsigned i = place_of(c, &w);
	if (i != NONE && c->line[w.line].place[i].cnt < max) {
		c->line[w.line].place[i].prefix = w.prefix;
		c->line[w.line].place[i].whose = w.whose;
		c->line[w.line].place[i].cnt++;
		taken = w.line * SL_CLIENT_PLACES + i + 1;
	}
	unlock(c, w.line);
	return taken;
}

void
sl_clients_give(struct sl_clients *c, uint32_t taken)
{
	if (taken == 0)
		return;
	uint32_t line = (taken - 1) / SL_CLIENT_PLACES, i = (taken - 1) % SL_CLIENT_PLACES;
	lock(c, line);
	c->line[line].place[i].cnt--;
	unlock(c, line);
}

bool
sl_clients_full(struct sl_clients *c, uint32_t listener_slot, const struct sl_addr *client,
		uint32_t max)
{
	struct whom w = whom_of(c, listener_slot, client);

	lock(c, w.line);
	unsigned i = place_of(c, &w);
	bool full = i == NONE || c->line[w.line].place[i].cnt >= max;
	unlock(c, w.line);
	return full;
}
