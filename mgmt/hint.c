/* A hash table of chains that doubles; FNV-1a over "service/name". */
#include "mgmt/hint.h"

#include <errno.h>
#include <stdlib.h>

struct entry {
	struct entry *next;
	uint32_t hash;
	char service[SL_NAME_MAX];
	char name[SL_NAME_MAX];
	struct sl_hint hint[SL_HINT_BYS];
};

struct sl_hints {
	struct entry **bucket; /* [bucket_cnt], a power of two */
	uint32_t bucket_cnt, cnt;
};

static uint32_t
hash_of(const char *service, const char *name)
{
	uint32_t h = 2166136261u;

	for (const char *p = service; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	h = (h ^ '/') * 16777619u;
	for (const char *p = name; *p; p++)
		h = (h ^ (uint8_t)*p) * 16777619u;
	return h;
}

struct sl_hints *
sl_hints_create(void)
{
	struct sl_hints *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->bucket_cnt = 64;
	t->bucket = calloc(t->bucket_cnt, sizeof(struct entry *));
	if (t->bucket)
		return t;
	free(t);
	return NULL;
}

void
sl_hints_destroy(struct sl_hints *t)
{
	for (uint32_t i = 0; t && i < t->bucket_cnt; i++)
		for (struct entry *e = t->bucket[i], *next; e; e = next) {
			next = e->next;
			free(e);
		}
	if (t)
		free(t->bucket);
	free(t);
}

/* The link that leads to the name's entry, or to the end of its chain. */
static struct entry **
link_to(const struct sl_hints *t, const char *service, const char *name, uint32_t hash)
{
	struct entry **at = &t->bucket[hash & (t->bucket_cnt - 1)];

	while (*at && ((*at)->hash != hash || strcmp((*at)->service, service) ||
		       strcmp((*at)->name, name)))
		at = &(*at)->next;
	return at;
}

/* Without memory it stays as it is: chains are longer, nothing is lost. */
static void
grow(struct sl_hints *t)
{
	uint32_t cnt = t->bucket_cnt * 2;
	struct entry **more = calloc(cnt, sizeof(struct entry *));

	if (!more)
		return;
	for (uint32_t i = 0; i < t->bucket_cnt; i++)
		for (struct entry *e = t->bucket[i], *next; e; e = next) {
			next = e->next;
			e->next = more[e->hash & (cnt - 1)];
			more[e->hash & (cnt - 1)] = e;
		}
	free(t->bucket);
	t->bucket = more;
	t->bucket_cnt = cnt;
}

static struct entry *
insert(struct sl_hints *t, const char *service, const char *name, uint32_t hash)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	if (t->cnt >= t->bucket_cnt)
		grow(t);
	e->hash = hash;
	memcpy(e->service, service, strnlen(service, SL_NAME_MAX - 1));
	memcpy(e->name, name, strnlen(name, SL_NAME_MAX - 1));
	for (unsigned i = 0; i < SL_HINT_BYS; i++)
		e->hint[i].percent = 100;
	e->next = t->bucket[hash & (t->bucket_cnt - 1)];
	t->bucket[hash & (t->bucket_cnt - 1)] = e;
	t->cnt++;
	return e;
}

int
sl_hints_put(struct sl_hints *t, enum sl_hint_by by, const char *service, const char *name,
	     const struct sl_hint *h)
{
	uint32_t hash = hash_of(service, name);
	struct entry **at = link_to(t, service, name, hash), *e = *at;
	bool silent = true;

	if (!e && sl_hint_none(h))
		return 0;
	if (!e && !(e = insert(t, service, name, hash)))
		return -ENOMEM;
	e->hint[by] = *h;
	for (unsigned i = 0; i < SL_HINT_BYS; i++)
		silent = silent && sl_hint_none(&e->hint[i]);
	if (!silent)
		return 0;
	*at = e->next; /* it was there before: one that is new says something */
	free(e);
	t->cnt--;
	return 0;
}

const struct sl_hint *
sl_hints_find(const struct sl_hints *t, const char *service, const char *name)
{
	const struct entry *e = t->cnt ? *link_to(t, service, name, hash_of(service, name)) : NULL;

	return e ? e->hint : NULL;
}
