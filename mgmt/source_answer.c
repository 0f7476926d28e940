#include "mgmt/source_answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void
sl_source_answer_fini(struct sl_source_answer *a)
{
	free(a->endpoints);
	memset(a, 0, sizeof(*a));
}

struct sl_source_endpoint *
sl_source_answer_add(struct sl_source_answer *a)
{
	if (a->cnt == a->room) {
		size_t room = a->room ? 2 * a->room : 16;
		void *more = realloc(a->endpoints, room * sizeof(*a->endpoints));
		if (!more)
			return NULL;
		a->endpoints = more;
		a->room = room;
	}
	struct sl_source_endpoint *e = &a->endpoints[a->cnt++];
	memset(e, 0, sizeof(*e));
	e->weight = UINT16_MAX;
	e->percent = 100;
	return e;
}

static void
note(struct sl_source_answer *a, const char *fmt, va_list ap)
{
	if (a->note[0] == 0)
		vsnprintf(a->note, sizeof(a->note), fmt, ap);
}

void
sl_source_answer_leave_out(struct sl_source_answer *a, uint32_t n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(a, fmt, ap);
	va_end(ap);
	a->left_out += n;
}

void
sl_source_answer_note(struct sl_source_answer *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note(a, fmt, ap);
	va_end(ap);
}

bool
sl_source_answer_useless(const struct sl_source_answer *a)
{
	return a->cnt == 0 && a->left_out > 0;
}

/* ---- the final form ---- */

static int
place_order(const struct sl_source_endpoint *x, const struct sl_source_endpoint *y)
{
	int order = sl_addr_cmp(&x->addr, &y->addr);

	return order ? order : (x->port > y->port) - (x->port < y->port);
}

/* The best first: one that serves before one that is drained, that before one that is down. */
static int
state_order(const struct sl_source_endpoint *x, const struct sl_source_endpoint *y)
{
	int bad_x = 2 * x->down + x->drain, bad_y = 2 * y->down + y->drain;

	return bad_x != bad_y ? bad_x - bad_y : (int)y->percent - (int)x->percent;
}

static int
by_place(const void *a, const void *b)
{
	const struct sl_source_endpoint *x = a, *y = b;
	int order = place_order(x, y);

	if (order == 0)
		order = state_order(x, y);
	return order ? order : memcmp(x, y, sizeof(*x));
}

static int
by_name(const void *a, const void *b)
{
	const struct sl_source_endpoint *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	if (order == 0)
		order = state_order(x, y);
	return order ? order : by_place(x, y);
}

/* Of each run that is the same by `same` the first stays. */
static void
keep_first(struct sl_source_answer *a,
	   int (*same)(const struct sl_source_endpoint *x, const struct sl_source_endpoint *y))
{
	size_t n = 0;

	for (size_t i = 0; i < a->cnt; i++)
		if (n == 0 || same(&a->endpoints[n - 1], &a->endpoints[i]) != 0)
			a->endpoints[n++] = a->endpoints[i];
	a->cnt = n;
}

static int
name_order(const struct sl_source_endpoint *x, const struct sl_source_endpoint *y)
{
	return strcmp(x->name, y->name);
}

static void
name_apart(struct sl_source_endpoint *e)
{
	char place[SL_NAME_MAX], text[2 * SL_NAME_MAX + 2];

	sl_source_name_addr(&e->addr, e->port, place);
	int n = snprintf(text, sizeof(text), "%s/%s", e->name, place);
	sl_source_name(text, (size_t)n, e->name);
}

static void
sort(struct sl_source_answer *a, int (*order)(const void *a, const void *b))
{
	if (a->cnt > 1)
		qsort(a->endpoints, a->cnt, sizeof(*a->endpoints), order);
}

static void
make_names_distinct(struct sl_source_answer *a)
{
	bool again = false;
	char name[SL_NAME_MAX] = "";

	sort(a, by_name);
	for (size_t i = 0; i < a->cnt; i++) {
		struct sl_source_endpoint *e = &a->endpoints[i];
		if (strcmp(name, e->name) != 0) {
			memcpy(name, e->name, sizeof(name));
			continue;
		}
		name_apart(e);
		again = true;
	}
	if (!again)
		return;
	/* A name that somebody made to be equal to one of ours. */
	size_t cnt = a->cnt;
	sort(a, by_name);
	keep_first(a, name_order);
	if (a->cnt < cnt)
		sl_source_answer_leave_out(a, (uint32_t)(cnt - a->cnt), "names stand twice");
}

void
sl_source_answer_finish(struct sl_source_answer *a, uint16_t port)
{
	for (size_t i = 0; i < a->cnt; i++)
		if (a->endpoints[i].port == 0)
			a->endpoints[i].port = port;
	sort(a, by_place);
	keep_first(a, place_order);
	make_names_distinct(a);
	if (a->cnt > SL_MAX_SERVICE_ENDPOINTS) {
		sl_source_answer_leave_out(a, (uint32_t)(a->cnt - SL_MAX_SERVICE_ENDPOINTS),
					   "more than %d endpoints", SL_MAX_SERVICE_ENDPOINTS);
		a->cnt = SL_MAX_SERVICE_ENDPOINTS;
	}
}

/* FNV-1a over 8 bytes at a time, with a final mix. */
static uint64_t
hash_bytes(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (; len >= 8; p += 8, len -= 8) {
		h = (h ^ sl_load64(p)) * 0x100000001b3ull;
		h ^= h >> 29;
	}
	for (; len > 0; p++, len--)
		h = (h ^ *p) * 0x100000001b3ull;
	return h ^ h >> 32;
}

static_assert(sizeof(struct sl_source_endpoint) ==
		      SL_NAME_MAX + sizeof(struct sl_addr) + 8 + SL_LOCALITY_MAX + SL_META_MAX,
	      "an endpoint has no holes: it is hashed and compared as bytes");

uint64_t
sl_source_answer_hash(const struct sl_source_answer *a)
{
	uint64_t h = hash_bytes(0xcbf29ce484222325ull, &a->left_out, sizeof(a->left_out));

	h = hash_bytes(h, a->note, strlen(a->note));
	return hash_bytes(h, a->endpoints, a->cnt * sizeof(*a->endpoints));
}
