/* One list of (name, offset) says which fields of sl_stats_worker are counters; all answers walk it.  Values
 * are single 8-byte loads: each whole, all at slightly different times. */
#include "mgmt/show.h"

#include "mgmt/metrics.h"

#include <stdlib.h>

#define FIELD(f)                                                                                   \
	{                                                                                          \
#f, offsetof(struct sl_stats_worker, f)                                            \
	}

static const struct field {
	const char *name;
	size_t off;
} fields[] = {
	FIELD(turns),         FIELD(turns_empty),  FIELD(busy_ticks),   FIELD(total_ticks),
	FIELD(rx_packets),    FIELD(rx_bytes),     FIELD(tx_packets),   FIELD(tx_bytes),
	FIELD(handoff_out),   FIELD(handoff_in),   FIELD(consumed),     FIELD(forwarded),
	FIELD(dropped),       FIELD(flow_insert),  FIELD(flow_expire),  FIELD(flow_evict),
	FIELD(flow_hit),      FIELD(flow_miss),    FIELD(flow_active),  FIELD(flow_embryonic),
	FIELD(flow_capacity), FIELD(maglev_only),  FIELD(msg_sent),     FIELD(msg_received),
	FIELD(generation),    FIELD(flow_adopted), FIELD(flow_lost),    FIELD(xlat_used),
	FIELD(xlat_capacity), FIELD(icmp_error),   FIELD(icmp_too_big), FIELD(frag_rx),
	FIELD(frag_held),     FIELD(frag_open),    FIELD(frag_made),    FIELD(msg_lost),
	FIELD(made),
};
static_assert(SL_ARRAY_CNT(fields) == offsetof(struct sl_stats_worker, drop) / sizeof(uint64_t),
	      "none is forgotten");

/* Gauges of TCP: {"tcp_streams": N, "tcp_streams_max": N, …}. */
#define X(f, m, name, text)                                                                        \
	{"tcp_" name, offsetof(struct sl_stats_worker, tcp.f)},                                    \
		{"tcp_" name "_max", offsetof(struct sl_stats_worker, tcp.m)},
static const struct field gauges[] = {SL_METRICS_TCP_GAUGES(X)};
#undef X
#define X(f, m, name, text) text,
static const char *const gauge_texts[] = {SL_METRICS_TCP_GAUGES(X)};
#undef X

struct region {
	const char *mem;
	struct sl_stats_head head; /* a copy: what was checked cannot change any more */
	unsigned workers, ports;
};

/* false: not connected, or the head does not hold what it promised. */
static bool
open_region(struct sl_daemon *d, struct region *r)
{
	size_t bytes;
	const void *mem = sl_counters_stats(d->counters, &bytes);
	const struct sl_publish_link *l = sl_publish_link(d->publish);

	if (!mem || !l || bytes < sizeof(r->head))
		return false;
	memcpy(&r->head, mem, sizeof(r->head));
	if (sl_stats_check(&r->head, bytes) || r->head.worker_cnt != l->worker_cnt ||
	    r->head.port_cnt != l->port_cnt)
		return false;
	r->mem = mem;
	r->workers = l->worker_cnt;
	r->ports = l->port_cnt;
	return true;
}

static const struct sl_stats_worker *
worker(const struct region *r, unsigned w)
{
	return (const void *)(r->mem + r->head.worker_off + w * r->head.worker_bytes);
}

static const struct sl_stats_port *
ports(const struct region *r, unsigned w)
{
	return (const void *)((const char *)worker(r, w) + r->head.port_off);
}

static uint64_t
load(const void *base, size_t off)
{
	return __atomic_load_n((const uint64_t *)((const char *)base + off), __ATOMIC_RELAXED);
}

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)(v & INT64_MAX));
}

static uint64_t
quantile(const uint64_t *bucket, uint64_t cnt, double q)
{
	uint64_t want = (uint64_t)((double)cnt * q), seen = 0;
	for (unsigned i = 0; i < SL_HIST_BUCKETS; i++) {
		seen += bucket[i];
		if (seen > want || (seen == cnt && cnt > 0))
			return sl_hist_floor(i);
	}
	return 0;
}

static json_t *
hist_json(const struct sl_hist *h)
{
	uint64_t bucket[SL_HIST_BUCKETS], cnt = 0, max = 0;

	for (unsigned i = 0; i < SL_HIST_BUCKETS; i++) {
		bucket[i] = __atomic_load_n(&h->bucket[i], __ATOMIC_RELAXED);
		cnt += bucket[i];
		max = bucket[i] ? sl_hist_floor(i) : max;
	}
	json_t *o = json_object();
	json_object_set_new(o, "cnt", number(cnt));
	json_object_set_new(o, "sum", number(__atomic_load_n(&h->sum, __ATOMIC_RELAXED)));
	json_object_set_new(o, "p50", number(quantile(bucket, cnt, 0.5)));
	json_object_set_new(o, "p90", number(quantile(bucket, cnt, 0.9)));
	json_object_set_new(o, "p99", number(quantile(bucket, cnt, 0.99)));
	json_object_set_new(o, "p999", number(quantile(bucket, cnt, 0.999)));
	json_object_set_new(o, "max", number(max));
	return o;
}

json_t *
sl_show_workers(struct sl_daemon *d, bool histograms)
{
	json_t *list = json_array();
	struct region r;

	if (!open_region(d, &r))
		return list;
	for (unsigned w = 0; w < r.workers; w++) {
		const struct sl_stats_worker *s = worker(&r, w);
		json_t *o = json_object();
		uint64_t total = load(s, offsetof(struct sl_stats_worker, total_ticks));
		uint64_t busy = load(s, offsetof(struct sl_stats_worker, busy_ticks));
		double share = total ? (double)busy / (double)total : 0;
		uint64_t turns = load(s, offsetof(struct sl_stats_worker, turns));
		uint64_t empty = load(s, offsetof(struct sl_stats_worker, turns_empty));
		double idle = turns ? (double)empty / (double)turns : 1;
		json_object_set_new(o, "worker", json_integer(w));
		json_object_set_new(o, "busy", json_real(share > 1 ? 1 : share));
		json_object_set_new(o, "headroom", json_real(idle > 1 ? 1 : idle));
		for (unsigned i = 0; i < SL_ARRAY_CNT(fields); i++)
			json_object_set_new(o, fields[i].name, number(load(s, fields[i].off)));
		for (unsigned i = 0; i < SL_ARRAY_CNT(gauges); i++)
			json_object_set_new(o, gauges[i].name, number(load(s, gauges[i].off)));
		if (histograms) {
			json_object_set_new(o, "turn_ns", hist_json(&s->turn_ns));
			json_object_set_new(o, "burst_pkts", hist_json(&s->burst_pkts));
		}
		json_array_append_new(list, o);
	}
	return list;
}

/* Of all workers. */
static uint64_t
sum_of(const struct region *r, size_t off)
{
	uint64_t sum = 0;

	for (unsigned w = 0; w < r->workers; w++)
		sum += load(worker(r, w), off);
	return sum;
}

json_t *
sl_show_total(struct sl_daemon *d)
{
	json_t *o = json_object();
	struct region r = {0};

	if (!open_region(d, &r))
		r.workers = 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(fields); i++) {
		uint64_t sum = 0;
		for (unsigned w = 0; w < r.workers; w++) {
			uint64_t v = load(worker(&r, w), fields[i].off);
			/* a generation is not added up: the oldest that some worker still uses */
			if (fields[i].off == offsetof(struct sl_stats_worker, generation))
				sum = w == 0 || v < sum ? v : sum;
			else
				sum += v;
		}
		json_object_set_new(o, fields[i].name, number(sum));
	}
	for (unsigned i = 0; i < SL_ARRAY_CNT(gauges); i++)
		json_object_set_new(o, gauges[i].name, number(sum_of(&r, gauges[i].off)));
	return o;
}

uint64_t
sl_show_ticks_per_s(struct sl_daemon *d)
{
	struct region r;
	return open_region(d, &r) ? r.head.ticks_per_s : 0;
}

double
sl_show_uptime(struct sl_daemon *d)
{
	struct region r;
	uint64_t most = 0;

	if (!open_region(d, &r) || r.head.ticks_per_s == 0)
		return 0;
	for (unsigned w = 0; w < r.workers; w++) {
		uint64_t v = load(worker(&r, w), offsetof(struct sl_stats_worker, total_ticks));
		most = v > most ? v : most;
	}
	return (double)most / (double)r.head.ticks_per_s;
}

json_t *
sl_show_ports(struct sl_daemon *d)
{
	json_t *list = json_array();
	struct region r;
	const struct sl_publish_link *l = sl_publish_link(d->publish);

	if (!open_region(d, &r))
		return list;
	for (unsigned p = 0; p < r.ports; p++) {
		uint64_t sum[8] = {0};
		for (unsigned w = 0; w < r.workers; w++)
			for (unsigned i = 0; i < SL_ARRAY_CNT(sum); i++)
				sum[i] += load(&ports(&r, w)[p], i * sizeof(uint64_t));
		json_t *o = json_object();
		json_object_set_new(o, "name", json_string(l->port_name[p]));
		json_object_set_new(o, "rx_packets", number(sum[0]));
		json_object_set_new(o, "rx_bytes", number(sum[1]));
		json_object_set_new(o, "tx_packets", number(sum[2]));
		json_object_set_new(o, "tx_bytes", number(sum[3]));
		json_object_set_new(o, "tx_full", number(sum[4]));
		json_object_set_new(o, "to_kernel", number(sum[5]));
		json_object_set_new(o, "from_kernel", number(sum[6]));
		json_object_set_new(o, "kernel_limited", number(sum[7]));
		json_array_append_new(list, o);
	}
	return list;
}

json_t *
sl_show_drops(struct sl_daemon *d)
{
	json_t *list = json_array();
	struct region r = {0};

	if (!open_region(d, &r))
		r.workers = 0;
	for (unsigned k = SL_DROP_NONE + 1; k < SL_DROP_CNT; k++) {
		uint64_t sum =
			sum_of(&r, offsetof(struct sl_stats_worker, drop) + k * sizeof(uint64_t));
		json_t *o = json_object();
		json_object_set_new(o, "reason", json_string(sl_drop_name(k)));
		json_object_set_new(o, "text", json_string(sl_drop_text(k)));
		json_object_set_new(o, "packets", number(sum));
		json_object_set_new(o, "must_be_zero", json_boolean(sl_drop_must_be_zero(k)));
		json_array_append_new(list, o);
	}
	return list;
}

/* One row of what is counted, or of a gauge (most: the offset of what there is room for; 0: no gauge). */
static json_t *
count_row(const struct region *r, const char *name, const char *text, size_t off, size_t most)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o}", "kind", most ? "gauge" : "event", "name",
			 name, "text", text, "count", number(sum_of(r, off)), "most",
			 most ? number(sum_of(r, most)) : json_null());
}

json_t *
sl_show_tcp(struct sl_daemon *d)
{
	json_t *list = json_array();
	struct region r = {0};

	if (!open_region(d, &r))
		r.workers = 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(gauge_texts); i++)
		json_array_append_new(list, count_row(&r, gauges[2 * i].name + strlen("tcp_"),
						      gauge_texts[i], gauges[2 * i].off,
						      gauges[2 * i + 1].off));
	for (unsigned e = 0; e < SL_TCP_CNT; e++)
		json_array_append_new(list,
				      count_row(&r, sl_tcp_counter_name(e), sl_tcp_counter_text(e),
						offsetof(struct sl_stats_worker, tcp.count) +
							e * sizeof(uint64_t),
						0));
	return list;
}

json_t *
sl_show_http(struct sl_daemon *d)
{
	static const struct {
		const char *name, *text;
		size_t now, most;
	} rows[] = {
#define X(f, m, name, text)                                                                        \
	{name, text, offsetof(struct sl_stats_worker, http.f),                                     \
	 offsetof(struct sl_stats_worker, http.m)},
		SL_METRICS_HTTP_GAUGES(X)
#undef X
	};
	json_t *list = json_array();
	struct region r = {0};

	if (!open_region(d, &r))
		r.workers = 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		json_array_append_new(
			list, count_row(&r, rows[i].name, rows[i].text, rows[i].now, rows[i].most));
	for (unsigned e = 0; e < SL_HTTP_CNT_CNT; e++)
		json_array_append_new(list, count_row(&r, sl_http_counter_name(e),
						      sl_http_counter_text(e),
						      offsetof(struct sl_stats_worker, http.count) +
							      e * sizeof(uint64_t),
						      0));
	return list;
}

json_t *
sl_show_tls(struct sl_daemon *d)
{
	static const struct {
		const char *name, *text;
		size_t now, most;
	} rows[] = {
#define X(f, m, name, text)                                                                        \
	{name, text, offsetof(struct sl_stats_worker, tls.f),                                      \
	 offsetof(struct sl_stats_worker, tls.m)},
		SL_METRICS_TLS_GAUGES(X)
#undef X
	};
	json_t *list = json_array();
	struct region r = {0};

	if (!open_region(d, &r))
		r.workers = 0;
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++)
		json_array_append_new(
			list, count_row(&r, rows[i].name, rows[i].text, rows[i].now, rows[i].most));
	for (unsigned e = 0; e < SL_TLS_CNT_CNT; e++)
		json_array_append_new(list,
				      count_row(&r, sl_tls_counter_name(e), sl_tls_counter_text(e),
						offsetof(struct sl_stats_worker, tls.count) +
							e * sizeof(uint64_t),
						0));
	return list;
}
