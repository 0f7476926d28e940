/* What was counted lies in a ring of samples, of 10 s: two of them make what is asked for in a time of per. */
#include "mgmt/rate_share_priv.h"

#define SAMPLES SL_SHARE_SAMPLES
#define SAMPLE_NS 200000000ull
/* A dataplane may be away that long; and its clients, when it is there again. */
#define AWAY_NS 10000000000ull
#define BACK_NS 5000000000ull

static uint64_t
span_of(const struct sl_share_limit *l)
{
	uint64_t per_ns = l->plan.per_ms * 1000000ull;

	return SL_MIN(SL_MAX(per_ns, 1000000000ull), 10000000000ull);
}

/* In a time of per, by what was counted within the last span. */
static uint32_t
rate_of(const struct sl_share_limit *l, uint64_t now_ns)
{
	const struct sl_share_demand *d = &l->demand;
	unsigned at = d->samples - 1, first = d->samples > SAMPLES ? d->samples - SAMPLES : 0;
	uint64_t span_ns = span_of(l), count = d->count[at % SAMPLES];

	while (at > first && d->count_ns[at % SAMPLES] + span_ns > now_ns)
		at--;
	double span = (double)SL_MAX(now_ns - d->count_ns[at % SAMPLES], span_ns);
	double per = (double)(count - d->count[at % SAMPLES]) * l->plan.per_ms * 1e6 / span;
	return per >= l->plan.tokens ? l->plan.tokens : (uint32_t)per;
}

static void
sample(struct sl_share_limit *l, uint64_t now_ns)
{
	struct sl_share_demand *d = &l->demand;
	struct sl_stats_rate r = sl_counters_rate(l->s->d->counters, l->at);
	uint64_t count = r.allowed + r.refused;
	unsigned last = (d->samples + SAMPLES - 1) % SAMPLES;

	if (d->samples && count < d->count[last])
		d->samples = 0; /* other workers */
	if (d->samples == 0)
		d->watch_ns = now_ns;
	d->count[d->samples % SAMPLES] = count;
	d->count_ns[d->samples % SAMPLES] = now_ns;
	d->samples++;
	d->measured = rate_of(l, now_ns);
}

void
sl_share_demand_measure(struct sl_share_limit *l, uint64_t now_ns)
{
	struct sl_share_demand *d = &l->demand;
	const struct sl_share_words *w = &l->s->words;
	unsigned last = (d->samples + SAMPLES - 1) % SAMPLES;

	if (!w->seg)
		d->samples = 0;
	else if (d->samples == 0 || now_ns >= d->count_ns[last] + SAMPLE_NS)
		sample(l, now_ns);
	/* what was wanted before counts until it was watched for long enough, or nobody came back to go by it */
	uint64_t away_ns = SL_MAX(w->until_ns, w->down_ns + AWAY_NS);
	uint64_t back_ns = SL_MAX(d->watch_ns + span_of(l), w->up_ns + BACK_NS);
	bool early = now_ns < (w->seg ? back_ns : away_ns);
	uint32_t is = d->samples ? d->measured : 0;
	l->plan.asked = early ? SL_MAX(is, l->plan.want) : is;
}

void
sl_share_demand_forget(struct sl_share_demand *d)
{
	d->samples = 0;
}
