/* Limits that several gateways share. */
#include "mgmt/metrics_priv.h"

static uint64_t
value(const struct sl_metrics_share *s, unsigned i)
{
	const uint64_t values[] = {s->here, s->total, s->wanted, s->gateways, s->own};

	return values[i];
}

void
sl_metrics_shares(struct sl_expo *o, const struct sl_metrics_snapshot *s)
{
	static const char *const families[][2] = {
		{"sluice_limit_share",
		 "Requests in its time that the limit lets through here now."},
		{"sluice_limit_share_of", "At all gateways together."},
		{"sluice_limit_share_wanted", "Asked for here in such a time."},
		{"sluice_limit_share_gateways", "Gateways that have a share of it."},
		{"sluice_limit_share_own",
		 "1 while that is the gateway's share, 0 while it is the floor, or nothing."},
	};
	size_t cnt = 0;

	for (size_t i = 0; i < s->rate_cnt; i++)
		cnt += s->rates[i].shared;
	for (unsigned f = 0; f < SL_ARRAY_CNT(families) && cnt; f++) {
		sl_expo_family(o, families[f][0], "gauge", families[f][1]);
		for (size_t i = 0; i < s->rate_cnt; i++) {
			if (!s->rates[i].shared)
				continue;
			sl_expo_put(o, families[f][0]);
			sl_expo_put(o, "{");
			sl_expo_label(o, "limit", s->rates[i].name, SL_NAME_MAX);
			sl_expo_put(o, "} ");
			sl_expo_u64(o, value(&s->rates[i].share, f));
			sl_expo_put(o, "\n");
		}
	}
}
