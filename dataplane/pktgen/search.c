#include "pktgen/search.h"

static void
judge(const struct sl_search_conf *c, struct sl_search_trial *t)
{
	uint64_t lost = t->sent > t->received ? t->sent - t->received : 0;

	t->limited = t->refused || t->sent_pps < SL_SEARCH_SHORT * t->offered_pps;
	t->passed = t->sent && (double)lost <= c->tolerance * (double)t->sent;
}

int
sl_search_run(const struct sl_search_conf *c, sl_search_fn trial, sl_search_said said, void *ctx,
	      struct sl_search_result *ret_result)
{
	struct sl_search_result r = {.limit = SL_SEARCH_NONE};
	double lo = 0, hi = c->max_pps, pps = c->max_pps;
	bool device = false, generator = false;
	unsigned again = 0;

	/* lo passed and hi did not, but for the ends of the range, which are tried as they are. */
	for (;;) {
		struct sl_search_trial t = {.offered_pps = pps};
		int rc = trial(ctx, &t);

		if (rc)
			return rc;
		judge(c, &t);
		if (said)
			said(ctx, r.trial_cnt, &t);
		r.trial_cnt++;
		device |= !t.passed && !t.limited;
		/* Below the top a generator that was too slow was held up: the trial says nothing. */
		if (t.limited && pps < c->max_pps && ++again < SL_SEARCH_TRIES)
			continue;
		again = 0;
		if (t.passed && t.sent_pps > r.pps) {
			r.pps = t.sent_pps;
			r.offered = pps;
		}
		generator |= t.limited;
		double reached = t.limited ? SL_MIN(pps, t.sent_pps) : pps;

		if (!t.passed)
			hi = reached;
		else if (pps >= c->max_pps || reached <= lo)
			break; /* nothing above, or the generator cannot get there */
		else
			lo = reached;
		if (hi <= c->min_pps || hi - lo <= c->resolution * hi)
			break;
		pps = (SL_MAX(lo, c->min_pps) + hi) / 2;
		/* Nothing passed yet and the range is used up: the lowest rate itself decides. */
		if (lo <= 0 && hi - c->min_pps <= c->resolution * hi)
			pps = c->min_pps;
	}
	if (r.pps > 0)
		r.limit = device      ? SL_SEARCH_DEVICE
			  : generator ? SL_SEARCH_GENERATOR
				      : SL_SEARCH_MAX;
	*ret_result = r;
	return 0;
}
