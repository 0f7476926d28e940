/* What is counted of TLS, by worker; and until when certificates are good, which needs no dataplane. */
#include "mgmt/metrics_priv.h"

#include <stdio.h>

#define T(field) offsetof(struct sl_stats_worker, tls.field)

static const struct {
	const char *name; /* "sessions": sluice_worker_tls_sessions and …_capacity */
	const char *help;
	size_t now, most;
} gauges[] = {
#define X(f, m, name, text) {name, text, T(f), T(m)},
	SL_METRICS_TLS_GAUGES(X)
#undef X
};

/* in µs */
static const struct sl_expo_bound bounds[] = {
	{64, "6.4e-05"},       {256, "0.000256"},       {1024, "0.001024"},   {4096, "0.004096"},
	{16384, "0.016384"},   {65536, "0.065536"},     {262144, "0.262144"}, {1048576, "1.048576"},
	{4194304, "4.194304"}, {16777216, "16.777216"},
};

static void
put_events(struct sl_expo *o, const struct sl_expo_seg *g)
{
	const char *name = "sluice_tls_events_total";
	char label[64];

	sl_expo_family(o, name, "counter", "What is counted of TLS, by event.");
	for (unsigned e = 0; e < SL_TLS_CNT_CNT; e++) {
		uint64_t sum = 0;
		for (unsigned w = 0; w < g->head.worker_cnt; w++)
			sum += sl_expo_load(sl_expo_worker(g, w), T(count) + e * 8);
		snprintf(label, sizeof(label), "event=\"%s\"", sl_tls_counter_name(e));
		sl_expo_sample(o, name, label, sum);
	}
}

static void
put_gauge(struct sl_expo *o, const struct sl_expo_seg *g, const char *name, const char *help,
	  size_t off)
{
	char label[32];

	sl_expo_family(o, name, "gauge", help);
	for (unsigned w = 0; w < g->head.worker_cnt; w++)
		sl_expo_sample(o, name, sl_expo_of_worker(w, label),
			       sl_expo_load(sl_expo_worker(g, w), off));
}

static void
put_gauges(struct sl_expo *o, const struct sl_expo_seg *g)
{
	char name[64], help[160];

	for (size_t i = 0; i < SL_ARRAY_CNT(gauges); i++) {
		snprintf(name, sizeof(name), "sluice_worker_tls_%s", gauges[i].name);
		snprintf(help, sizeof(help), "%c%s.", gauges[i].help[0] & ~0x20,
			 gauges[i].help + 1);
		put_gauge(o, g, name, help, gauges[i].now);
		snprintf(name, sizeof(name), "sluice_worker_tls_%s_capacity", gauges[i].name);
		snprintf(help, sizeof(help), "The most there can be: %s.", gauges[i].help);
		put_gauge(o, g, name, help, gauges[i].most);
	}
}

void
sl_metrics_tls(struct sl_expo *o, const struct sl_expo_seg *g)
{
	put_events(o, g);
	put_gauges(o, g);
	sl_expo_histograms(o, g, "sluice_worker_tls_handshake_seconds",
			   "Handshakes that succeeded: from the first byte awaited to the end.",
			   T(handshake_us), bounds, SL_ARRAY_CNT(bounds), 1e-6);
	sl_expo_histograms(o, g, "sluice_worker_tls_wait_seconds",
			   "From asking a handshake thread for a step to its answer.", T(wait_us),
			   bounds, SL_ARRAY_CNT(bounds), 1e-6);
}

void
sl_metrics_certs(struct sl_expo *o, const struct sl_metrics_snapshot *s)
{
	const char *name = "sluice_certificate_not_after_seconds";

	sl_expo_family(o, name, "gauge",
		       "When the certificate or bundle is over, in seconds since 1970 UTC.");
	for (size_t i = 0; i < s->cert_cnt; i++) {
		const struct sl_metrics_cert *c = &s->certs[i];
		sl_expo_put(o, name);
		sl_expo_put(o, "{");
		sl_expo_label(o, "name", c->name, SL_NAME_MAX);
		sl_expo_format(o, ",kind=\"%s\"} ", c->kind);
		sl_expo_u64(o, c->not_after_s);
		sl_expo_put(o, "\n");
	}
}
