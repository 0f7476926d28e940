#include "l7/adaptive.h"

#define MS 1000000ull
#define PART 16u /* of the limit */
#define LIMIT_MAX (1u << 20)

uint32_t
sl_adaptive_limit(const struct sl_adaptive *a, uint32_t min)
{
	if (a->limit == 0)
		return UINT32_MAX;
	return SL_MAX(a->limit / PART / (a->halved ? 2 : 1), min);
}

bool
sl_adaptive_take(struct sl_adaptive *a, uint32_t incarnation, uint32_t min)
{
	if (sl_unlikely(a->incarnation != incarnation)) /* another service has the slot */
		*a = (struct sl_adaptive){.incarnation = incarnation, .under_way = a->under_way};
	if (a->under_way >= sl_adaptive_limit(a, min))
		return false;
	a->under_way++;
	a->most = SL_MAX(a->most, a->under_way);
	return true;
}

void
sl_adaptive_give(struct sl_adaptive *a)
{
	a->under_way--;
}

/* ⌊√v⌋ */
static uint32_t
root(uint32_t v)
{
	uint32_t r = 0;

	for (uint32_t bit = 1u << 15; bit; bit >>= 1)
		if ((uint64_t)(r | bit) * (r | bit) <= v)
			r |= bit;
	return r;
}

static uint32_t
least_of(const struct sl_adaptive *a)
{
	return a->least[0] && a->least[1] ? SL_MIN(a->least[0], a->least[1])
					  : SL_MAX(a->least[0], a->least[1]);
}

/* The window is over; mean: of its answers. */
static void
judge(struct sl_adaptive *a, uint32_t mean, uint32_t min, uint32_t buffer_pct)
{
	a->least[1] = a->least[1] ? SL_MIN(a->least[1], mean) : mean;
	if (a->limit == 0) {
		a->limit = SL_MIN(SL_MAX(2 * a->most, min), LIMIT_MAX) * PART;
		return;
	}
	if (a->halved) /* it said what was asked */
		return;
	uint64_t want = (uint64_t)least_of(a) * (100 + buffer_pct) / 100;
	uint64_t part = SL_MIN(want * 1024 / mean, (uint64_t)1024);
	uint64_t limit = a->limit * SL_MAX(part, (uint64_t)512) / 1024;
	if (a->most * PART >= a->limit / 3)
		limit += SL_MAX(root(a->limit / PART), 1u) * PART;
	limit = SL_MAX(limit, (uint64_t)min * PART);
	a->limit = (uint32_t)SL_MIN(limit, (uint64_t)LIMIT_MAX * PART);
}

static void
next_window(struct sl_adaptive *a, uint64_t now_ns)
{
	a->window_ns = now_ns + SL_ADAPTIVE_WINDOW_MS * MS;
	a->sum_us = a->answers = 0;
	a->most = a->under_way;
	a->halved = false;
	if (a->least_ns == 0) {
		a->least_ns = now_ns + SL_ADAPTIVE_LEAST_MS * MS;
	} else if (now_ns >= a->least_ns) {
		a->least_ns = now_ns + SL_ADAPTIVE_LEAST_MS * MS;
		a->least[0] = a->least[1];
		a->least[1] = 0;
		a->halved = true;
	}
}

void
sl_adaptive_fed(struct sl_adaptive *a, uint32_t us, uint32_t min, uint32_t buffer_pct,
		uint64_t now_ns)
{
	if (sl_unlikely(a->window_ns == 0))
		next_window(a, now_ns);
	a->sum_us += us;
	a->answers++;
	if (now_ns < a->window_ns || a->answers < SL_ADAPTIVE_SAMPLES)
		return;
	judge(a, (uint32_t)SL_MAX(a->sum_us / a->answers, 1ull), min, buffer_pct);
	next_window(a, now_ns);
}
