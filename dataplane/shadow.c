#include "dataplane/shadow.h"

#include <stdatomic.h>
#include <stdlib.h>

#define OF_KIND 3 /* examples that a worker keeps of each kind, */
#define OF_PAIR 2 /* and of each pair of answers */

/* ---- main ---- */

struct sl_shadow *
sl_shadow_create(const struct sl_view *view, uint32_t sample_ppm, unsigned worker_cnt,
		 uint64_t seed, uint64_t now_ns)
{
	struct sl_shadow *s = calloc(1, sizeof(*s));
	size_t bytes = worker_cnt * sizeof(struct sl_shadow_part);

	if (!s || !(s->part = aligned_alloc(SL_CACHE_LINE, bytes))) {
		free(s);
		return NULL;
	}
	memset(s->part, 0, bytes);
	s->view = view;
	s->sample_ppm = sample_ppm;
	s->below = ((uint64_t)sample_ppm << 32) / 1000000;
	s->since_ns = now_ns;
	s->worker_cnt = worker_cnt;
	for (unsigned i = 0; i < worker_cnt; i++)
		s->part[i].random = seed ^ (i + 1) * 0x9e3779b97f4a7c15ull;
	return s;
}

void
sl_shadow_destroy(struct sl_shadow *s)
{
	if (!s)
		return;
	free(s->part);
	free(s);
}

static uint64_t
peek(const uint64_t *count)
{
	return __atomic_load_n(count, __ATOMIC_RELAXED);
}

static void
add_tally(struct sl_shadow_tally *to, const struct sl_shadow_tally *from)
{
	to->seen += peek(&from->seen);
	to->sampled += peek(&from->sampled);
	to->changed += peek(&from->changed);
	to->chance += peek(&from->chance);
	to->undecided += peek(&from->undecided);
	for (unsigned k = 0; k < SL_SHADOW_KINDS; k++)
		to->kind[k] += peek(&from->kind[k]);
}

static void
add_pair(struct sl_ctl_shadow_counts *to, uint16_t from, uint16_t answer, uint64_t count)
{
	for (uint32_t i = 0; i < to->pair_cnt; i++)
		if (to->pair[i].from == from && to->pair[i].to == answer) {
			to->pair[i].count += count;
			return;
		}
	if (to->pair_cnt == SL_SHADOW_PAIRS) {
		to->pairs_more += count;
		return;
	}
	to->pair[to->pair_cnt].from = from;
	to->pair[to->pair_cnt].to = answer;
	to->pair[to->pair_cnt++].count = count;
}

void
sl_shadow_sum(const struct sl_shadow *s, uint64_t now_ns, struct sl_ctl_shadow_counts *ret,
	      struct sl_ctl_shadow_example *ret_examples)
{
	*ret = (struct sl_ctl_shadow_counts){
		.generation = s->view->generation,
		.ran_ns = now_ns - s->since_ns,
		.sample_ppm = s->sample_ppm,
	};
	for (unsigned w = 0; w < s->worker_cnt; w++) {
		const struct sl_shadow_part *p = &s->part[w];
		for (unsigned k = 0; k < SL_SHADOW_WHATS; k++)
			add_tally(&ret->what[k], &p->what[k]);
		/* a pair's numbers are there before its place is counted */
		uint32_t cnt = __atomic_load_n(&p->pair_cnt, __ATOMIC_ACQUIRE);
		for (uint32_t i = 0; i < cnt; i++)
			add_pair(ret, p->pair[i].from, p->pair[i].to, peek(&p->pair[i].count));
		ret->pairs_more += peek(&p->pairs_more);
	}
	for (uint32_t i = 0; i < SL_ARRAY_CNT(s->part->example); i++)
		for (unsigned w = 0; w < s->worker_cnt; w++) {
			const struct sl_shadow_part *p = &s->part[w];
			/* pairs with the release in sl_shadow_commit */
			if (i < atomic_load_explicit(&p->example_cnt, memory_order_acquire) &&
			    ret->example_cnt < SL_SHADOW_EXAMPLES)
				ret_examples[ret->example_cnt++] = p->example[i];
		}
}

/* ---- worker ---- */

static void
count(uint64_t *c)
{
	__atomic_store_n(c, *c + 1, __ATOMIC_RELAXED);
}

static void
count_pair(struct sl_shadow_part *p, uint16_t from, uint16_t to)
{
	uint32_t i = 0;

	while (i < p->pair_cnt && (p->pair[i].from != from || p->pair[i].to != to))
		i++;
	if (i == SL_SHADOW_PAIRS) {
		count(&p->pairs_more);
		return;
	}
	count(&p->pair[i].count);
	if (i < p->pair_cnt)
		return;
	p->pair[i].from = from;
	p->pair[i].to = to;
	__atomic_store_n(&p->pair_cnt, i + 1, __ATOMIC_RELEASE);
}

static bool
same_endpoint(const struct sl_shadow_side *a, const struct sl_shadow_side *b)
{
	return sl_addr_eq(&a->endpoint, &b->endpoint) && a->endpoint_port == b->endpoint_port;
}

static bool
forwards(const struct sl_shadow_side *s)
{
	return s->status == 0 && s->service_slot != UINT32_MAX;
}

static unsigned
kinds_of(const struct sl_shadow_side *a, const struct sl_shadow_side *b, bool undecided)
{
	unsigned kinds = 0;

	if (a->listener_slot != b->listener_slot)
		kinds |= 1u << SL_SHADOW_LISTENER;
	else if (a->vhost_slot != b->vhost_slot || a->route_slot != b->route_slot)
		kinds |= 1u << SL_SHADOW_ROUTE;
	if (undecided)
		return kinds;
	if (a->status != b->status)
		kinds |= 1u << SL_SHADOW_STATUS;
	if (!forwards(a) || !forwards(b))
		return kinds;
	if (a->service_slot != b->service_slot || a->service_incarnation != b->service_incarnation)
		kinds |= 1u << SL_SHADOW_SERVICE;
	else if (a->subset != b->subset)
		kinds |= 1u << SL_SHADOW_SUBSET;
	if (!a->by_chance && !b->by_chance && !same_endpoint(a, b))
		kinds |= 1u << SL_SHADOW_ENDPOINT;
	return kinds;
}

unsigned
sl_shadow_differ(struct sl_shadow_part *p, unsigned what, const struct sl_shadow_side *now,
		 const struct sl_shadow_side *then, bool undecided)
{
	struct sl_shadow_tally *t = &p->what[what];
	unsigned kinds = kinds_of(now, then, undecided);

	count(&t->sampled);
	if (undecided)
		count(&t->undecided);
	else if (forwards(now) && forwards(then) && (now->by_chance || then->by_chance))
		count(&t->chance);
	if (kinds == 0)
		return 0;
	count(&t->changed);
	for (unsigned k = 0; k < SL_SHADOW_KINDS; k++)
		if (kinds >> k & 1)
			count(&t->kind[k]);
	if (what == SL_SHADOW_REQUESTS && kinds & 1u << SL_SHADOW_STATUS)
		count_pair(p, now->status, then->status);
	return kinds;
}

/* Whether one more is wanted of that pair of answers. */
static bool
wants_pair(struct sl_shadow_part *p, const struct sl_shadow_side *now,
	   const struct sl_shadow_side *then)
{
	for (uint32_t i = 0; i < p->pair_cnt; i++)
		if (p->pair[i].from == now->status && p->pair[i].to == then->status)
			return p->pair[i].kept++ < OF_PAIR;
	return false;
}

static bool
wants(struct sl_shadow_part *p, unsigned what, unsigned kind, const struct sl_shadow_side *now,
      const struct sl_shadow_side *then)
{
	if (kind == SL_SHADOW_STATUS && what == SL_SHADOW_REQUESTS)
		return wants_pair(p, now, then);
	if (p->kept[what][kind] == OF_KIND)
		return false;
	p->kept[what][kind]++;
	return true;
}

struct sl_ctl_shadow_example *
sl_shadow_keep(struct sl_shadow_part *p, unsigned what, unsigned kinds,
	       const struct sl_shadow_side *now, const struct sl_shadow_side *then)
{
	uint32_t at = atomic_load_explicit(&p->example_cnt, memory_order_relaxed);

	if (at == SL_ARRAY_CNT(p->example))
		return NULL;
	for (unsigned k = 0; k < SL_SHADOW_KINDS; k++) {
		if (!(kinds >> k & 1) || !wants(p, what, k, now, then))
			continue;
		p->example[at] = (struct sl_ctl_shadow_example){
			.kind = k,
			.what = what,
			.now = *now,
			.then = *then,
		};
		return &p->example[at];
	}
	return NULL;
}

void
sl_shadow_commit(struct sl_shadow_part *p)
{
	uint32_t at = atomic_load_explicit(&p->example_cnt, memory_order_relaxed);

	atomic_store_explicit(&p->example_cnt, at + 1, memory_order_release);
}
