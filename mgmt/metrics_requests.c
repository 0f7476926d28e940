/* What is counted of HTTP: by worker, by virtual host, by route.
 *
 * There may be tens of thousands of routes, and each is 30 samples: a route or host that was never asked for has none. */
#include "mgmt/metrics_priv.h"

#include <errno.h>
#include <stdio.h>

/* ---- by worker ---- */

#define H(field) offsetof(struct sl_stats_worker, http.field)

static const struct {
	const char *name; /* "connections": sluice_worker_http_connections and …_capacity */
	const char *help;
	size_t now, most;
} gauges[] = {
#define X(f, m, name, text) {name, text, H(f), H(m)},
	SL_METRICS_HTTP_GAUGES(X)
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
	const char *name = "sluice_http_events_total";
	char label[64];

	sl_expo_family(o, name, "counter", "What is counted of HTTP, by event.");
	for (unsigned e = 0; e < SL_HTTP_CNT_CNT; e++) {
		uint64_t sum = 0;
		for (unsigned w = 0; w < g->head.worker_cnt; w++)
			sum += sl_expo_load(sl_expo_worker(g, w), H(count) + e * 8);
		snprintf(label, sizeof(label), "event=\"%s\"", sl_http_counter_name(e));
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
		snprintf(name, sizeof(name), "sluice_worker_http_%s", gauges[i].name);
		snprintf(help, sizeof(help), "%c%s.", gauges[i].help[0] & ~0x20,
			 gauges[i].help + 1);
		put_gauge(o, g, name, help, gauges[i].now);
		snprintf(name, sizeof(name), "sluice_worker_http_%s_capacity", gauges[i].name);
		snprintf(help, sizeof(help), "The most there can be: %s.", gauges[i].help);
		put_gauge(o, g, name, help, gauges[i].most);
	}
}

/* ---- by virtual host ---- */

#define V(field) offsetof(struct sl_stats_vhost, field)
static const struct sl_expo_column host_columns[] = {
	{"sluice_http_host_requests_total", "counter", "Requests for the virtual host.",
	 V(requests)},
	{"sluice_http_host_no_route_total", "counter",
	 "Requests that no route of the virtual host matched.", V(no_route)},
};

static int
put_hosts(struct sl_expo *o, const struct sl_expo_seg *g, const struct sl_metrics_snapshot *s)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, s->vhost_cnt, sizeof(struct sl_stats_vhost));
	size_t used = 0;

	for (size_t i = 0; !rc && i < s->vhost_cnt; i++) {
		const struct sl_metrics_vhost *v = &s->vhosts[i];
		sl_expo_row_fill(&rs, used, g, g->head.vhost_off, v->slot, &v->base, 0);
		if (sl_expo_row(&rs, used)[V(requests) / 8] == 0)
			continue;
		struct sl_expo *labels = sl_expo_row_labels(&rs, used++);
		sl_expo_label(labels, "table", v->table, SL_NAME_MAX);
		sl_expo_put(labels, ",");
		sl_expo_label(labels, "host", v->name, SL_NAME_MAX);
	}
	rs.cnt = used;
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc)
		sl_expo_columns(o, &rs, host_columns, SL_ARRAY_CNT(host_columns));
	sl_expo_rows_fini(&rs);
	return rc;
}

/* ---- by limit ---- */

#define L(field) offsetof(struct sl_stats_rate, field)
static const struct sl_expo_column limit_columns[] = {
	{"sluice_limit_allowed_total", "counter", "Requests that the limit let through.",
	 L(allowed)},
	{"sluice_limit_refused_total", "counter", "Requests that it refused.", L(refused)},
	{"sluice_limit_overflow_total", "counter",
	 "Of both: by the number that keys without one of their own share.", L(overflow)},
	{"sluice_limit_keys", "gauge", "Clients, identities or values with a number of their own.",
	 L(keys)},
};

static int
put_limits(struct sl_expo *o, const struct sl_expo_seg *g, const struct sl_metrics_snapshot *s)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, s->rate_cnt, sizeof(struct sl_stats_rate));

	for (size_t i = 0; !rc && i < s->rate_cnt; i++) {
		const struct sl_metrics_rate *r = &s->rates[i];
		sl_expo_row_fill(&rs, i, g, g->head.rate_off, r->slot, &r->base,
				 SL_METRICS_RATE_GAUGES);
		sl_expo_label(sl_expo_row_labels(&rs, i), "limit", r->name, SL_NAME_MAX);
	}
	rs.cnt = s->rate_cnt;
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc && s->rate_cnt)
		sl_expo_columns(o, &rs, limit_columns, SL_ARRAY_CNT(limit_columns));
	sl_expo_rows_fini(&rs);
	return rc;
}

/* ---- by route ---- */

#define R(field) offsetof(struct sl_stats_route, field)
static const struct sl_expo_column route_columns[] = {
	{"sluice_http_requests_total", "counter", "Requests that matched the route.", R(requests)},
	{"sluice_http_retries_total", "counter", "Further tries of these.", R(retries)},
	{"sluice_http_local_answers_total", "counter",
	 "Of their answers: made by the gateway itself.", R(local)},
	{"sluice_http_request_body_bytes_total", "counter", "Bytes of their bodies, as forwarded.",
	 R(bytes_in)},
	{"sluice_http_answer_body_bytes_total", "counter",
	 "Bytes of the bodies of their answers, as sent to clients.", R(bytes_out)},
};

static void
put_answers(struct sl_expo *o, const struct sl_expo_rows *rs)
{
	const char *name = "sluice_http_answers_total";

	sl_expo_family(o, name, "counter", "Answers sent to clients, by route and class of code.");
	for (size_t i = 0; i < rs->cnt; i++)
		for (unsigned class = 0; class < 5; class ++) {
			sl_expo_put(o, name);
			sl_expo_put(o, "{");
			sl_expo_put(o, sl_expo_row_text(rs, i));
			sl_expo_format(o, ",code=\"%uxx\"} ", class + 1);
			sl_expo_u64(o, sl_expo_row(rs, i)[R(answers) / 8 + class]);
			sl_expo_put(o, "\n");
		}
}

static void
put_durations(struct sl_expo *o, const struct sl_expo_rows *rs)
{
	const char *name = "sluice_http_duration_seconds";
	const char *first = "sluice_http_first_byte_seconds_total";
	char le[32];

	sl_expo_family(o, name, "histogram",
		       "From the first byte of a request to the last of its answer, by route.");
	for (size_t i = 0; i < rs->cnt; i++) {
		const uint64_t *v = sl_expo_row(rs, i);
		uint64_t sum = 0;
		for (unsigned b = 0; b < SL_ROUTE_BUCKETS; b++) {
			sum += v[R(last) / 8 + b];
			snprintf(le, sizeof(le), "%.9g", 64e-6 * (double)(1u << b));
			sl_expo_bucket(o, name, sl_expo_row_text(rs, i),
				       b < SL_ROUTE_BUCKETS - 1 ? le : "+Inf", sum);
		}
		sl_expo_totals(o, name, sl_expo_row_text(rs, i),
			       (double)v[R(last_us_sum) / 8] * 1e-6, sum);
	}
	sl_expo_family(o, first, "counter",
		       "Sum of the times from the first byte of a request to the first of its "
		       "answer, by route.");
	for (size_t i = 0; i < rs->cnt; i++)
		sl_expo_real(o, first, sl_expo_row_text(rs, i),
			     (double)sl_expo_row(rs, i)[R(first_us_sum) / 8] * 1e-6);
}

static void
route_labels(struct sl_expo *o, const struct sl_metrics_route *r)
{
	sl_expo_label(o, "table", r->table, SL_NAME_MAX);
	sl_expo_put(o, ",");
	sl_expo_label(o, "host", r->vhost, SL_NAME_MAX);
	sl_expo_put(o, ",");
	sl_expo_label(o, "route", r->name, SL_NAME_MAX);
}

static int
put_routes(struct sl_expo *o, const struct sl_expo_seg *g, const struct sl_metrics_snapshot *s)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, s->route_cnt, sizeof(struct sl_stats_route));
	size_t used = 0;

	for (size_t i = 0; !rc && i < s->route_cnt; i++) {
		const struct sl_metrics_route *r = &s->routes[i];
		sl_expo_row_fill(&rs, used, g, g->head.route_off, r->slot, r->base, 0);
		if (sl_expo_row(&rs, used)[R(requests) / 8])
			route_labels(sl_expo_row_labels(&rs, used++), r);
	}
	rs.cnt = used;
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc) {
		sl_expo_columns(o, &rs, route_columns, SL_ARRAY_CNT(route_columns));
		put_answers(o, &rs);
		put_durations(o, &rs);
	}
	sl_expo_rows_fini(&rs);
	return rc;
}

int
sl_metrics_requests(struct sl_expo *o, const struct sl_expo_seg *g,
		    const struct sl_metrics_snapshot *s)
{
	put_events(o, g);
	put_gauges(o, g);
	sl_expo_histograms(o, g, "sluice_worker_http_first_byte_seconds",
			   "From the first byte of a request to the first of its answer.",
			   H(first_us), bounds, SL_ARRAY_CNT(bounds), 1e-6);
	sl_expo_histograms(o, g, "sluice_worker_http_last_byte_seconds",
			   "From the first byte of a request to the last of its answer.",
			   H(last_us), bounds, SL_ARRAY_CNT(bounds), 1e-6);
	int rc = put_hosts(o, g, s);
	if (!rc)
		rc = put_limits(o, g, s);
	if (!rc)
		rc = sl_metrics_authz(o, g, s);
	return rc ? rc : put_routes(o, g, s);
}
