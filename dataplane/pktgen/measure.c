#include "pktgen/measure.h"

void
sl_measure_init(struct sl_measure_stream *s)
{
	memset(s, 0, sizeof(*s));
}

static bool
test_and_set(struct sl_measure_stream *s, uint64_t seq)
{
	uint64_t *word = &s->seen[seq % SL_MEASURE_WINDOW / 64], bit = 1ull << seq % 64;
	bool was = *word & bit;

	*word |= bit;
	return was;
}

/* The numbers [s->next, seq] become the newest, none of them seen. */
static void
advance(struct sl_measure_stream *s, uint64_t seq)
{
	if (seq - s->next >= SL_MEASURE_WINDOW) {
		memset(s->seen, 0, sizeof(s->seen));
	} else {
		for (uint64_t i = s->next; i <= seq; i++)
			s->seen[i % SL_MEASURE_WINDOW / 64] &= ~(1ull << i % 64);
	}
	s->next = seq + 1;
}

bool
sl_measure_take(struct sl_measure_stream *s, uint32_t seq)
{
	uint64_t back = (uint32_t)((uint32_t)s->issued - 1 - seq); /* behind the newest number */

	if (back >= s->issued)
		return false;
	uint64_t full = s->issued - 1 - back;

	if (full >= s->next) {
		advance(s, full);
		test_and_set(s, full);
		s->received++;
		return true;
	}
	if (s->next - full > SL_MEASURE_WINDOW) {
		s->late++;
	} else if (test_and_set(s, full)) {
		s->duplicate++;
		return false;
	}
	s->received++;
	s->reordered++;
	return true;
}

uint64_t
sl_measure_missing(const struct sl_measure_stream *s)
{
	uint64_t here = s->received + s->refused;

	return s->next > here ? s->next - here : 0;
}

void
sl_latency_init(struct sl_latency *l)
{
	memset(l, 0, sizeof(*l));
	l->min = UINT64_MAX;
}

void
sl_latency_merge(struct sl_latency *into, const struct sl_latency *from)
{
	into->hist.cnt += from->hist.cnt;
	into->hist.sum += from->hist.sum;
	for (unsigned i = 0; i < SL_HIST_BUCKETS; i++)
		into->hist.bucket[i] += from->hist.bucket[i];
	into->min = SL_MIN(into->min, from->min);
	into->max = SL_MAX(into->max, from->max);
}

uint64_t
sl_latency_at(const struct sl_latency *l, double part)
{
	double want = part * (double)l->hist.cnt;
	uint64_t seen = 0;

	for (unsigned i = 0; i + 1 < SL_HIST_BUCKETS; i++) {
		seen += l->hist.bucket[i];
		if (seen && (double)seen >= want) {
			uint64_t top = sl_hist_floor(i + 1) - 1;

			return SL_MAX(SL_MIN(top, l->max), l->min);
		}
	}
	return l->max;
}
