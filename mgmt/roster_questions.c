/* Questions stand in a hash by what is asked; chains are short, and a question that no table asks any more stays with its answer. */
#include "mgmt/roster_priv.h"

#include "mgmt/roster_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* What makes two questions one: who asks whom for what.  Weight, priority and empty are ours to apply. */
static uint32_t
question_hash(const char *service, const struct sl_conf_discover *q)
{
	const char *const parts[] = {service, q->source, q->name, q->port_name, q->tag, q->space};
	uint64_t h = 0xcbf29ce484222325u;

	for (unsigned i = 0; i < SL_ARRAY_CNT(parts); i++) {
		for (const char *p = parts[i]; *p; p++)
			h = (h ^ (uint8_t)*p) * 0x100000001b3u;
		h = (h ^ 0xff) * 0x100000001b3u;
	}
	h = (h ^ q->port) * 0x100000001b3u;
	h = (h ^ q->record) * 0x100000001b3u;
	return (uint32_t)(h ^ h >> 32);
}

static bool
question_same(const struct sl_roster_question *q, const char *service,
	      const struct sl_conf_discover *d)
{
	return strcmp(q->service, service) == 0 && strcmp(q->q.source, d->source) == 0 &&
	       strcmp(q->q.name, d->name) == 0 && strcmp(q->q.port_name, d->port_name) == 0 &&
	       strcmp(q->q.tag, d->tag) == 0 && strcmp(q->q.space, d->space) == 0 &&
	       q->q.port == d->port && q->q.record == d->record;
}

struct sl_roster_question *
sl_roster_questions_find(const struct sl_roster *r, const char *service,
			 const struct sl_conf_discover *d)
{
	uint32_t h = question_hash(service, d);

	for (struct sl_roster_question *q = r->questions.hash[h & r->questions.mask]; q;
	     q = q->next)
		if (q->hash == h && question_same(q, service, d))
			return q;
	return NULL;
}

static void
grow_hash(struct sl_roster_questions *all)
{
	uint32_t size = 2 * (all->mask + 1);
	struct sl_roster_question **hash = calloc(size, sizeof(*hash));

	if (!hash)
		return; /* chains get longer */
	for (uint32_t i = 0; i <= all->mask; i++)
		for (struct sl_roster_question *q = all->hash[i], *next; q; q = next) {
			next = q->next;
			q->next = hash[q->hash & (size - 1)];
			hash[q->hash & (size - 1)] = q;
		}
	free(all->hash);
	all->hash = hash;
	all->mask = size - 1;
}

struct sl_roster_question *
sl_roster_questions_get(struct sl_roster *r, const char *service, const struct sl_conf_discover *d)
{
	struct sl_roster_question *q = sl_roster_questions_find(r, service, d);

	if (q || !(q = calloc(1, sizeof(*q))))
		return q;
	q->hash = question_hash(service, d);
	q->source = sl_roster_sources_index(r, d->source);
	q->q = *d;
	snprintf(q->service, sizeof(q->service), "%s", service);
	q->parked_ms = sl_roster_now_ms(r);
	if (r->questions.cnt++ > r->questions.mask)
		grow_hash(&r->questions);
	q->next = r->questions.hash[q->hash & r->questions.mask];
	r->questions.hash[q->hash & r->questions.mask] = q;
	return q;
}

void
sl_roster_questions_each(struct sl_roster *r,
			 void (*fn)(struct sl_roster *r, struct sl_roster_question *q))
{
	for (uint32_t i = 0; i <= r->questions.mask; i++)
		for (struct sl_roster_question *q = r->questions.hash[i], *next; q; q = next) {
			next = q->next;
			fn(r, q);
		}
}

void
sl_roster_questions_remove(struct sl_roster *r, struct sl_roster_question *q, bool file_stays)
{
	struct sl_roster_question **at = &r->questions.hash[q->hash & r->questions.mask];

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	r->questions.cnt--;
	sl_roster_disk_forget(r->disk, q, file_stays);
	free(q->eps);
	free(q);
}

static void
leave(struct sl_roster *r, struct sl_roster_question *q)
{
	sl_roster_questions_remove(r, q, true);
}

int
sl_roster_questions_init(struct sl_roster *r)
{
	r->questions.mask = 63;
	r->questions.hash = calloc(r->questions.mask + 1, sizeof(struct sl_roster_question *));
	return r->questions.hash ? 0 : -ENOMEM;
}

void
sl_roster_questions_fini(struct sl_roster *r)
{
	sl_roster_questions_each(r, leave);
	free(r->questions.hash);
}
