/* What the table's questions to sources came to. */
#include "mgmt/metrics_priv.h"

static void
put_row(struct sl_expo *o, const char *name, const struct sl_metrics_source *r)
{
	sl_expo_put(o, name);
	sl_expo_put(o, "{");
	sl_expo_label(o, "service", r->service, SL_NAME_MAX);
	sl_expo_put(o, ",");
	sl_expo_label(o, "source", r->source, SL_NAME_MAX);
	sl_expo_put(o, ",");
	sl_expo_label(o, "name", r->name, 256);
	sl_expo_put(o, "} ");
}

static uint64_t
value(const struct sl_metrics_source *r, unsigned i)
{
	const uint64_t values[] = {r->endpoints, r->left_out, r->trouble,
				   r->kept,      r->answers,  r->troubles};

	return values[i];
}

void
sl_metrics_sources(struct sl_expo *o, const struct sl_metrics_snapshot *s)
{
	static const char *const families[][3] = {
		{"sluice_source_endpoints", "gauge",
		 "Endpoints of the last good answer that are in the table."},
		{"sluice_source_left_out", "gauge",
		 "Endpoints that could not be used, or have no room."},
		{"sluice_source_trouble", "gauge",
		 "1 while the source does not answer, or not with sense."},
		{"sluice_source_kept", "gauge",
		 "1 while endpoints are of an older answer than the last."},
		{"sluice_source_answers_total", "counter", "Answers."},
		{"sluice_source_troubles_total", "counter", "Questions that came to nothing."},
	};
	const char *age = "sluice_source_age_seconds";

	for (unsigned f = 0; f < SL_ARRAY_CNT(families); f++) {
		sl_expo_family(o, families[f][0], families[f][1], families[f][2]);
		for (size_t i = 0; i < s->source_cnt; i++) {
			put_row(o, families[f][0], &s->sources[i]);
			sl_expo_u64(o, value(&s->sources[i], f));
			sl_expo_put(o, "\n");
		}
	}
	sl_expo_family(o, age, "gauge",
		       "Since the last good answer or its confirmation; none yet: no row.");
	for (size_t i = 0; i < s->source_cnt; i++) {
		if (s->sources[i].age_s < 0)
			continue;
		put_row(o, age, &s->sources[i]);
		sl_expo_format(o, "%.3f\n", s->sources[i].age_s);
	}
}

/* ---- issuers of tokens ---- */

static void
put_issuer(struct sl_expo *o, const char *name, const struct sl_metrics_issuer *r)
{
	sl_expo_put(o, name);
	sl_expo_put(o, "{");
	sl_expo_label(o, "issuer", r->name, SL_NAME_MAX);
	sl_expo_put(o, "} ");
}

void
sl_metrics_issuers(struct sl_expo *o, const struct sl_metrics_snapshot *s)
{
	static const char *const families[][3] = {
		{"sluice_jwks_keys", "gauge", "Keys of the issuer that are in the table."},
		{"sluice_jwks_trouble", "gauge",
		 "1 while its key set cannot be read, or not with sense."},
		{"sluice_jwks_reads_total", "counter", "Key sets read."},
		{"sluice_jwks_troubles_total", "counter", "Readings that came to nothing."},
	};
	const char *age = "sluice_jwks_age_seconds";

	for (unsigned f = 0; f < SL_ARRAY_CNT(families) && s->issuer_cnt; f++) {
		sl_expo_family(o, families[f][0], families[f][1], families[f][2]);
		for (size_t i = 0; i < s->issuer_cnt; i++) {
			const struct sl_metrics_issuer *r = &s->issuers[i];
			const uint64_t values[] = {r->keys, r->trouble, r->reads, r->troubles};
			put_issuer(o, families[f][0], r);
			sl_expo_u64(o, values[f]);
			sl_expo_put(o, "\n");
		}
	}
	if (s->issuer_cnt)
		sl_expo_family(o, age, "gauge",
			       "Since the key set was last read; never yet: no row.");
	for (size_t i = 0; i < s->issuer_cnt; i++) {
		if (s->issuers[i].age_s < 0)
			continue;
		put_issuer(o, age, &s->issuers[i]);
		sl_expo_format(o, "%.3f\n", s->issuers[i].age_s);
	}
}
