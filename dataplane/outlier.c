/* Main keeps a list of the slots that were ejected and are not forgiven yet:
 *
 *   report ─▶ ejected, times + 1 ─ sweep, its time is over ─▶ in ─ sweep ─▶ times − 1 ─ … ─▶ times 0: off the list
 *                ▲                                            │
 *                └────────────────── report ──────────────────┘
 *
 * Rates: at a service's sweep each endpoint's tries are the tallies of all workers less what they were at the sweep before.
 *
 * A word of `counts` is changed by compare and swap alone, so of all workers' failures each counts once and one of them is the
 * after-th.
 */
#include "dataplane/outlier.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "dataplane/outlier_rate.h"

#define WORKERS 64
#define ROW_BITS 16
#define ROWS 3
#define EJECTION_HELD (SL_EJECTED_PERCENT + 1)
static_assert(EJECTION_HELD - SL_EJECTED_FAILED == SL_STATS_EJECTIONS - 1, "a row for each reason");

struct slot {
	uint64_t until_ns; /* ejected until then, */
	uint64_t sweep_ns; /* looked at then */
	uint32_t at;       /* place in the list + 1; 0: not in it */
	uint16_t incarnation;
	uint16_t times; /* ejected, less those forgiven */
	bool ejected;
};

/* Of the sweep before. */
struct base {
	struct sl_outlier_sample at;
	uint16_t incarnation; /* 0: none */
};

struct sl_outlier {
	struct sl_state_word2 *states;
	struct sl_outlier_counts *counts;
	struct sl_outlier_tally *tally[WORKERS];
	unsigned worker_cnt;
	struct sl_stats_service *service_stats; /* NULL: nothing is counted */
	struct sl_stats_endpoint *endpoint_stats;
	struct {
		uint64_t due_ns; /* of rates; 0: not judged by them */
		uint32_t incarnation;
	} sweep[SL_MAX_SERVICES]; /* by slot */
	struct base base[SL_MAX_ENDPOINTS];
	struct sl_outlier_sample sample[SL_MAX_SERVICE_ENDPOINTS];
	uint8_t why[SL_MAX_SERVICE_ENDPOINTS];
	uint32_t list_cnt;
	uint32_t list[SL_MAX_ENDPOINTS]; /* slots */
	struct slot slot[SL_MAX_ENDPOINTS];
};

/* ---- workers ---- */

/* What this failure makes of the three rows; a row whose number is 0 is not counted. */
static enum sl_ejected
count_on(uint64_t rows, const uint16_t after[ROWS], unsigned counts, unsigned ends, uint64_t *ret)
{
	enum sl_ejected why = SL_EJECTED_NOT;
	uint64_t next = 0;

	for (unsigned i = ROWS; i-- > 0;) {
		uint64_t n = (uint16_t)(rows >> i * ROW_BITS);
		if (after[i] == 0 || ends >> i & 1)
			n = 0;
		else if (counts >> i & 1 && ++n >= after[i])
			why = SL_EJECTED_FAILED + i;
		next |= n << i * ROW_BITS;
	}
	*ret = why ? 0 : next;
	return why;
}

enum sl_ejected
sl_outlier_failed(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation,
		  enum sl_try what, const struct sl_img_http_service *h)
{
	enum { ALL = 1, GATEWAY = 2, LOCAL = 4 };
	const uint16_t after[ROWS] = {h->eject_after, h->gateway_after, h->local_after};
	unsigned counts = what == SL_TRY_5XX       ? ALL
			  : what == SL_TRY_GATEWAY ? ALL | GATEWAY
			  : h->split_local         ? LOCAL
						   : ALL | GATEWAY | LOCAL;
	unsigned ends = what == SL_TRY_5XX ? GATEWAY | LOCAL : what == SL_TRY_GATEWAY ? LOCAL : 0;
	_Atomic uint64_t *word = &c->slot[slot];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed), next;
	enum sl_ejected why;

	do {
		uint64_t rows = (uint16_t)old == incarnation ? old >> ROW_BITS : 0;
		why = count_on(rows, after, counts, ends, &next);
	} while (!atomic_compare_exchange_weak_explicit(word, &old, next << ROW_BITS | incarnation,
							memory_order_relaxed,
							memory_order_relaxed));
	return why;
}

void
sl_outlier_ok(struct sl_outlier_counts *c, uint32_t slot, uint16_t incarnation)
{
	_Atomic uint64_t *word = &c->slot[slot];
	uint64_t old = atomic_load_explicit(word, memory_order_relaxed);

	while (sl_unlikely(old >> ROW_BITS && (uint16_t)old == incarnation))
		if (atomic_compare_exchange_weak_explicit(
			    word, &old, incarnation, memory_order_relaxed, memory_order_relaxed))
			return;
}

/* ---- main ---- */

struct sl_outlier *
sl_outlier_create(struct sl_state_word2 *states, struct sl_outlier_counts *c,
		  struct sl_outlier_tally *const *tallies, unsigned worker_cnt)
{
	struct sl_outlier *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->states = states;
	o->counts = c;
	o->worker_cnt = SL_MIN(worker_cnt, (unsigned)WORKERS);
	for (unsigned w = 0; w < o->worker_cnt; w++)
		o->tally[w] = tallies[w];
	return o;
}

void
sl_outlier_destroy(struct sl_outlier *o)
{
	free(o);
}

void
sl_outlier_stats(struct sl_outlier *o, struct sl_stats_service *services,
		 struct sl_stats_endpoint *endpoints)
{
	o->service_stats = services;
	o->endpoint_stats = endpoints;
}

static void
count_ejection(struct sl_outlier *o, const struct sl_service *svc, uint32_t endpoint_slot,
	       unsigned why)
{
	if (!o->service_stats || why == SL_EJECTED_NOT)
		return;
	o->service_stats[svc->slot].ejections[why - SL_EJECTED_FAILED]++;
	o->endpoint_stats[endpoint_slot].ejections += why != EJECTION_HELD;
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
word_write(struct sl_outlier *o, uint32_t slot, uint16_t flags, enum sl_ejected why)
{
	uint64_t word = sl_state_make(flags, SL_FRACTION_WHOLE, o->slot[slot].incarnation) |
			(uint64_t)why << 24;

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

	if (!svc || !sl_outlier_ejects(&svc->img->http))
		return false;
	const struct sl_img_http_service *http = &svc->img->http;
	struct slot *s = &o->slot[r->endpoint_slot];
	if (s->incarnation != r->incarnation) /* of the machine that had the slot before */
		*s = (struct slot){.at = s->at, .incarnation = r->incarnation};
	if (s->ejected)
		return false;
	if (!may_one_more(o, svc)) {
		count_ejection(o, svc, r->endpoint_slot, EJECTION_HELD);
		return false;
	}
	/* no more than the longest one needs: all of them are to be forgiven */
	s->times +=
		s->times < UINT16_MAX && (uint64_t)http->eject_ms * s->times < http->eject_max_ms;
	uint64_t ms = SL_MIN((uint64_t)http->eject_ms * s->times, (uint64_t)http->eject_max_ms);
	s->until_ns = now_ns + ms * 1000000;
	s->sweep_ns = now_ns + http->sweep_ms * 1000000ull;
	s->ejected = true;
	list_add(o, r->endpoint_slot);
	word_write(o, r->endpoint_slot, SL_ST_EJECTED, r->why);
	count_ejection(o, svc, r->endpoint_slot, r->why);
	return true;
}

/* It is in again, with nothing counted against it. */
static void
come_back(struct sl_outlier *o, uint32_t slot)
{
	struct slot *s = &o->slot[slot];

	s->ejected = false;
	sl_outlier_ok(o->counts, slot, s->incarnation);
	word_write(o, slot, 0, SL_EJECTED_NOT);
}

/* false: it is off the list. */
static bool
look_at(struct sl_outlier *o, const struct sl_view *view, uint32_t slot, uint64_t now_ns)
{
	struct slot *s = &o->slot[slot];
	const struct sl_service *svc = service_of(view, slot, s->incarnation);

	if (!svc || !sl_outlier_ejects(&svc->img->http)) {
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
	} else if (s->times == 0 || --s->times == 0) {
		list_remove(o, slot);
		return false;
	}
	return true;
}

/* ---- rates ---- */

/* Tries since the sweep before; none where that did not see the endpoint. */
static struct sl_outlier_sample
sample_of(struct sl_outlier *o, const struct sl_img_endpoint *e)
{
	struct sl_outlier_sample now = {0};
	struct base *b = &o->base[e->slot];
	struct base was = *b;

	for (unsigned w = 0; w < o->worker_cnt; w++) {
		now.ok += __atomic_load_n(&o->tally[w]->slot[e->slot].ok, __ATOMIC_RELAXED);
		now.failed += __atomic_load_n(&o->tally[w]->slot[e->slot].failed, __ATOMIC_RELAXED);
	}
	*b = (struct base){now, (uint16_t)e->incarnation};
	if (was.incarnation != e->incarnation)
		return (struct sl_outlier_sample){0};
	return (struct sl_outlier_sample){now.ok - was.at.ok, now.failed - was.at.failed};
}

/* judged: else the sweep only begins. */
static void
sweep(struct sl_outlier *o, const struct sl_view *view, const struct sl_service *svc, bool judged,
      uint64_t now_ns)
{
	for (uint32_t i = 0; i < svc->endpoint_cnt; i++)
		o->sample[i] = sample_of(o, &svc->endpoints[i]);
	if (!judged)
		return;
	sl_outlier_rate(o->sample, svc->endpoint_cnt, &svc->img->http, o->why);
	for (uint32_t i = 0; i < svc->endpoint_cnt; i++) {
		const struct sl_img_endpoint *e = &svc->endpoints[i];
		const struct sl_outlier_report r = {e->slot, (uint16_t)e->incarnation, o->why[i]};
		if (o->why[i])
			sl_outlier_report(o, view, &r, now_ns);
	}
}

static void
look_at_rates(struct sl_outlier *o, const struct sl_view *view, const struct sl_service *svc,
	      uint64_t now_ns)
{
	uint64_t *due = &o->sweep[svc->slot].due_ns;
	uint32_t *incarnation = &o->sweep[svc->slot].incarnation;
	bool known = *due && *incarnation == svc->incarnation;

	if (!sl_outlier_rates(&svc->img->http)) {
		*due = 0;
		return;
	}
	if (known && now_ns < *due)
		return;
	sweep(o, view, svc, known, now_ns);
	*due = now_ns + svc->img->http.sweep_ms * 1000000ull;
	*incarnation = svc->incarnation;
}

void
sl_outlier_tick(struct sl_outlier *o, const struct sl_view *view, uint64_t now_ns)
{
	for (uint32_t i = 0; o->worker_cnt && i < view->service_cnt; i++)
		look_at_rates(o, view, &view->services[i], now_ns);
	for (uint32_t i = 0; i < o->list_cnt;)
		i += look_at(o, view, o->list[i], now_ns);
}
