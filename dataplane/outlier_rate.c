/* Without a root: rate < mean − k σ exactly when mean − rate > 0 and its square is greater than k² σ². */
#include "dataplane/outlier_rate.h"

static bool
is_judged(const struct sl_outlier_sample *s, const struct sl_img_http_service *h)
{
	uint64_t all = (uint64_t)s->ok + s->failed;

	return all && all >= h->rate_requests;
}

static double
rate_of(const struct sl_outlier_sample *s)
{
	return (double)s->ok / ((double)s->ok + s->failed);
}

static bool
is_far_below(double rate, double mean, double variance, double deviation)
{
	/* 1e-9: what rounding makes of equal rates is no distance */
	return mean - rate > 1e-9 &&
	       (mean - rate) * (mean - rate) > deviation * deviation * variance;
}

void
sl_outlier_rate(const struct sl_outlier_sample *s, uint32_t cnt,
		const struct sl_img_http_service *h, uint8_t *why)
{
	double mean = 0, variance = 0;
	uint32_t judged = 0;

	memset(why, SL_EJECTED_NOT, cnt);
	for (uint32_t i = 0; i < cnt; i++)
		if (is_judged(&s[i], h)) {
			mean += rate_of(&s[i]);
			judged++;
		}
	if (judged == 0 || judged < h->rate_endpoints)
		return;
	mean /= judged;
	for (uint32_t i = 0; i < cnt; i++)
		if (is_judged(&s[i], h))
			variance += (rate_of(&s[i]) - mean) * (rate_of(&s[i]) - mean) / judged;
	for (uint32_t i = 0; i < cnt; i++) {
		if (!is_judged(&s[i], h))
			continue;
		if (h->failure_pct &&
		    100ull * s[i].failed >= h->failure_pct * ((uint64_t)s[i].ok + s[i].failed))
			why[i] = SL_EJECTED_PERCENT;
		else if (h->rate_deviation &&
			 is_far_below(rate_of(&s[i]), mean, variance, h->rate_deviation / 1000.0))
			why[i] = SL_EJECTED_RATE;
	}
}
