/* What sets of rules decided: of each set always, of rules only what happened: there may be thousands of them. */
#include "mgmt/metrics_priv.h"

#define A(field) (offsetof(struct sl_stats_authz, field) / 8)
static const struct {
	const char *what;
	size_t at;
} whats[] = {{"allowed", A(allowed)}, {"denied", A(denied)}, {"audited", A(audited)}};

static void
put_family(struct sl_expo *o, const struct sl_expo_rows *rs, const struct sl_metrics_snapshot *s,
	   bool rules)
{
	const char *name = rules ? "sluice_authorization_rule_total" : "sluice_authorization_total";

	sl_expo_family(o, name, "counter",
		       rules ? "Requests and connections that the rule decided, or told of."
			     : "Requests and connections that the set of rules was asked about.");
	for (size_t i = 0; i < rs->cnt; i++)
		for (size_t k = 0; k < SL_ARRAY_CNT(whats); k++) {
			uint64_t v = sl_expo_row(rs, i)[whats[k].at];
			if ((s->authz[i].rule != NULL) != rules || (rules && v == 0))
				continue;
			sl_expo_put(o, name);
			sl_expo_put(o, "{");
			sl_expo_put(o, sl_expo_row_text(rs, i));
			sl_expo_format(o, ",what=\"%s\"} ", whats[k].what);
			sl_expo_u64(o, v);
			sl_expo_put(o, "\n");
		}
}

int
sl_metrics_authz(struct sl_expo *o, const struct sl_expo_seg *g,
		 const struct sl_metrics_snapshot *s)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, s->authz_cnt, sizeof(struct sl_stats_authz));

	for (size_t i = 0; !rc && i < s->authz_cnt; i++) {
		const struct sl_metrics_authz *a = &s->authz[i];
		sl_expo_row_fill(&rs, i, g, a->rule ? g->head.rule_off : g->head.authz_off, a->slot,
				 &a->base, 0);
		struct sl_expo *labels = sl_expo_row_labels(&rs, i);
		sl_expo_label(labels, "set", a->set, SL_NAME_MAX);
		if (!a->rule)
			continue;
		sl_expo_put(labels, ",");
		sl_expo_label(labels, "rule", a->rule, SL_NAME_MAX);
	}
	rs.cnt = s->authz_cnt;
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc && s->authz_cnt) {
		put_family(o, &rs, s, false);
		put_family(o, &rs, s, true);
	}
	sl_expo_rows_fini(&rs);
	return rc;
}
