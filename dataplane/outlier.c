/* Main keeps a list of the slots that were ejected and are not forgiven yet:
 *
 *   report ─▶ ejected, times + 1 ─ sweep, its time is over ─▶ in ─ sweep ─▶ times − 1 ─ … ─▶ times 0: off the list
 *                ▲                                            │
 *                └────────────────── report ──────────────────┘
 *
 * A word of `counts` is changed by compare and swap alone, so of all workers' failures each counts once and one of them is the
 * after-th.
 */
#include "dataplane/outlier.h"

#include <stdatomic.h>
#include <stdlib.h>

struct slot {
	uint64_t until_ns; /* ejected until then, */
	uint64_t sweep_ns; /* looked at then */
	uint32_t at;       /* place in the list + 1; 0: not in it */
	uint16_t incarnation;
	uint16_t times; /* ejected, less those forgiven */
	bool ejected;
};

struct sl_outlier {
	struct sl_state_word2 *states;
	struct sl_outlier_counts *counts;
	uint32_t list_cnt;
	uint32_t list[SL_MAX_ENDPOINTS]; /* slots */
	struct slot slot[SL_MAX_ENDPOINTS];
};

/* ---- workers ---- */

bool
sl_outlier_failed(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation, uint16_t after)
{
	_Atomic uint32_t *word = &c->slot[slot];
	uint32_t old = atomic_load_explicit(word, memory_order_relaxed), cnt;

	if (after == 0)
		return false;
	do {
		cnt = ((uint16_t)old == incarnation ? old >> 16 : 0) + 1;
	} while (!atomic_compare_exchange_weak_explicit(
		word, &old, (cnt >= after ? 0 : cnt << 16) | incarnation, memory_order_relaxed,
		memory_order_relaxed));
	return cnt >= after;
}

void
sl_outlier_ok(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation)
{
	_Atomic uint32_t *word = &c->slot[slot];
	uint32_t old = atomic_load_explicit(word, memory_order_relaxed);

	while (sl_unlikely(old >> 16 && (uint16_t)old == incarnation))
		if (atomic_compare_exchange_weak_explicit(
			    word, &old, incarnation, memory_order_relaxed, memory_order_relaxed))
			return;
}

/* ---- main ---- */

struct sl_outlier *
sl_outlier_create(struct sl_state_word2 *states, struct sl_outlier_counts *c)
{
	struct sl_outlier *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->states = states;
	o->counts = c;
	return o;
}

void
sl_outlier_destroy(struct sl_outlier *o)
{
	free(o);
}

/* The service of a slot that the view has in this incarnation, or NULL. */
static const struct sl_service *
service_of(const struct sl_view *view, uint32_t slot, uint16_t incarnation)
{
	if (slot >= view->hop_cnt || incarnation == 0 ||
	    view->hops[slot].incarnation != incarnation)
		return NULL;
	return &view->services[view->hops[slot].service];
}

/* Relaxed: a word is complete in itself (state.h). */
static void
word_write(struct sl_outlier *o, uint32_t slot, uint16_t flags)
{
	uint64_t word = sl_state_make(flags, SL_FRACTION_WHOLE, o->slot[slot].incarnation);

	atomic_store_explicit(&o->states[slot].passive, word, memory_order_relaxed);
}

static bool
may_one_more(const struct sl_outlier *o, const struct sl_service *svc)
{
	uint32_t max = svc->endpoint_cnt * svc->img->http.eject_max_pct / 100, cnt = 0;

	for (uint32_t i = 0; i < svc->endpoint_cnt; i++) {
		const struct sl_img_endpoint *e = &svc->endpoints[i];
		const struct slot *s = &o->slot[e->slot];
		cnt += s->ejected && s->incarnation == e->incarnation;
	}
	return cnt < SL_MAX(max, 1u);
}

static void
list_add(struct sl_outlier *o, uint32_t slot)
{
	if (o->slot[slot].at)
		return;
	o->list[o->list_cnt++] = slot;
	o->slot[slot].at = o->list_cnt;
}

/* The last one takes its place. */
static void
list_remove(struct sl_outlier *o, uint32_t slot)
{
	uint32_t last = o->list[--o->list_cnt];

	o->list[o->slot[slot].at - 1] = last;
	o->slot[last].at = o->slot[slot].at;
	o->slot[slot] = (struct slot){0};
}

bool
sl_outlier_report(struct sl_outlier *o, const struct sl_view *view,
		  const struct sl_outlier_report *r, uint64_t now_ns)
{
	const struct sl_service *svc = service_of(view, r->endpoint_slot, r->incarnation);

	if (!svc || svc->img->http.eject_after == 0)
		return false;
	const struct sl_img_http_service *http = &svc->img->http;
	struct slot *s = &o->slot[r->endpoint_slot];
	if (s->incarnation != r->incarnation) /* of the machine that had the slot before */
		*s = (struct slot){.at = s->at, .incarnation = r->incarnation};
	if (s->ejected || !may_one_more(o, svc))
		return false;
	s->times += s->times < UINT16_MAX;
	uint64_t ms = SL_MIN((uint64_t)http->eject_ms * s->times, (uint64_t)http->eject_max_ms);
	s->until_ns = now_ns + ms * 1000000;
	s->sweep_ns = now_ns + http->sweep_ms * 1000000ull;
	s->ejected = true;
	list_add(o, r->endpoint_slot);
	word_write(o, r->endpoint_slot, SL_ST_EJECTED);
	return true;
}

/* It is in again, with nothing counted against it. */
static void
come_back(struct sl_outlier *o, uint32_t slot)
{
	struct slot *s = &o->slot[slot];

	s->ejected = false;
	sl_outlier_ok(o->counts, slot, s->incarnation);
	word_write(o, slot, 0);
}

/* false: it is off the list. */
static bool
look_at(struct sl_outlier *o, const struct sl_view *view, uint32_t slot, uint64_t now_ns)
{
	struct slot *s = &o->slot[slot];
	const struct sl_service *svc = service_of(view, slot, s->incarnation);

	if (!svc || svc->img->http.eject_after == 0) {
		if (svc && s->ejected)
			come_back(o, slot);
		list_remove(o, slot);
		return false;
	}
	if (now_ns < s->sweep_ns)
		return true;
	s->sweep_ns = now_ns + svc->img->http.sweep_ms * 1000000ull;
	if (s->ejected) {
		if (now_ns >= s->until_ns)
			come_back(o, slot);
	} else if (--s->times == 0) {
		list_remove(o, slot);
		return false;
	}
	return true;
}

void
sl_outlier_tick(struct sl_outlier *o, const struct sl_view *view, uint64_t now_ns)
{
	for (uint32_t i = 0; i < o->list_cnt;)
		i += look_at(o, view, o->list[i], now_ns);
}
