/* Who belongs to a service, and which of them belong together, in the words of the file. */
#include "mgmt/diff_priv.h"

#include <stdlib.h>

static void
add_word(struct sl_diff_text *t, const char *key, const char *value)
{
	if (*value)
		sl_diff_addf(t, " %s %s", key, value);
}

static void
add_number(struct sl_diff_text *t, const char *key, unsigned value, unsigned usual)
{
	if (value != usual)
		sl_diff_addf(t, " %s %u", key, value);
}

/* Their order counts: of one name the earlier one stays. */
static void
discover_value(const struct sl_conf_service *s, struct sl_diff_values *v)
{
	static const char *const record[] = {[SL_RECORD_ADDRESS] = "",
					     [SL_RECORD_IPV4] = "ipv4",
					     [SL_RECORD_IPV6] = "ipv6",
					     [SL_RECORD_SRV] = "srv"};
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < s->discover_cnt; i++) {
		const struct sl_conf_discover *q = &s->discover[i];
		sl_diff_addf(&t, "%s%s", i ? ", " : "", q->source);
		add_word(&t, "name", q->name);
		add_word(&t, "record", record[q->record]);
		add_word(&t, "port_name", q->port_name);
		add_word(&t, "tag", q->tag);
		add_word(&t, "namespace", q->space);
		add_number(&t, "port", q->port, 0);
		add_number(&t, "weight", q->weight, 1);
		add_number(&t, "priority", q->priority, 0);
		add_word(&t, "empty", q->accept_empty ? "accept" : "");
	}
	sl_diff_put_text(v, "discover", &t);
}

static int
subset_order(const void *a, const void *b)
{
	const struct sl_conf_subset *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Their order in the file means nothing. */
static void
subsets_value(const struct sl_conf_service *s, struct sl_diff_values *v)
{
	const struct sl_conf_subset *sorted[SL_MAX_SUBSETS];
	uint32_t cnt = SL_MIN(s->subset_cnt, SL_MAX_SUBSETS);
	struct sl_diff_text t = {0};

	for (uint32_t i = 0; i < cnt; i++)
		sorted[i] = &s->subsets[i];
	qsort(sorted, cnt, sizeof(*sorted), subset_order);
	for (uint32_t i = 0; i < cnt; i++)
		sl_diff_addf(&t, "%s%s of %s%s", i ? "; " : "", sorted[i]->name, sorted[i]->meta,
			     sorted[i]->any ? " fallback any" : "");
	sl_diff_put_text(v, "subsets", &t);
}

void
sl_diff_service_members(const struct sl_conf_service *s, struct sl_diff_values *v)
{
	discover_value(s, v);
	subsets_value(s, v);
	sl_diff_put(v, "locality_failover", "%s", s->locality_failover ? "true" : "");
	if (s->zones.given)
		sl_diff_put(v, "zone_aware", "traffic %u %%, from %u endpoints on",
			    s->zones.traffic_pct, s->zones.min_endpoints);
	else
		sl_diff_put(v, "zone_aware", "%s", "");
	if (s->forward != SL_FORWARD_PROXY && sl_conf_panic_pct(s))
		sl_diff_put(v, "panic_threshold", "%u %%", sl_conf_panic_pct(s));
	else
		sl_diff_put(v, "panic_threshold", "%s", "");
}

void
sl_diff_endpoint_members(const struct sl_conf_endpoint *e, struct sl_diff_values *v)
{
	if (e->priority)
		sl_diff_put(v, "priority", "%u", e->priority);
	else
		sl_diff_put(v, "priority", "%s", "");
	sl_diff_put(v, "locality", "%s", e->locality);
	sl_diff_put(v, "metadata", "%s", e->meta);
}
