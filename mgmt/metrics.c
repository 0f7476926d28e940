/* What is counted, family by family (exposition.h). */
#include "mgmt/metrics.h"

#include "mgmt/metrics_priv.h"
#include "sluice/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int
sl_metrics_sum_listener(const void *stats, size_t bytes, uint32_t slot,
			struct sl_stats_listener *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_LISTENERS || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.listener_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

int
sl_metrics_sum_service(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_service *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_SERVICES || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.service_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

int
sl_metrics_sum_endpoint(const void *stats, size_t bytes, uint32_t slot,
			struct sl_stats_endpoint *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_ENDPOINTS || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.endpoint_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

int
sl_metrics_sum_rate(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_rate *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_RATES || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.rate_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

int
sl_metrics_sum_authz(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_authz *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_AUTHZ || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.authz_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

int
sl_metrics_sum_rule(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_authz *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_RULE_SLOTS || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.rule_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

int
sl_metrics_sum_vhost(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_vhost *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_VHOSTS || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.vhost_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

int
sl_metrics_sum_route(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_route *ret)
{
	struct sl_expo_seg g;

	if (slot >= SL_MAX_HTTP_ROUTES || sl_expo_open(stats, bytes, &g))
		return -EINVAL;
	sl_expo_sum(&g, g.head.route_off, slot, sizeof(*ret), (uint64_t *)ret);
	return 0;
}

/* ---- workers ---- */

#define W(field) offsetof(struct sl_stats_worker, field)
static const struct sl_expo_column worker_columns[] = {
	{"sluice_worker_turns_total", "counter", "Turns of the worker's loop.", W(turns)},
	{"sluice_worker_empty_turns_total", "counter", "Turns that found nothing to do.",
	 W(turns_empty)},
	{"sluice_worker_rx_packets_total", "counter", "Packets received from ports.",
	 W(rx_packets)},
	{"sluice_worker_rx_bytes_total", "counter", "Bytes received from ports.", W(rx_bytes)},
	{"sluice_worker_tx_packets_total", "counter",
	 "Packets accepted by a port or handed to the worker that owns its queue.", W(tx_packets)},
	{"sluice_worker_tx_bytes_total", "counter", "Bytes of these packets.", W(tx_bytes)},
	{"sluice_worker_handoff_out_packets_total", "counter",
	 "Packets given to the worker that owns them.", W(handoff_out)},
	{"sluice_worker_handoff_in_packets_total", "counter",
	 "Packets taken over from other workers.", W(handoff_in)},
	{"sluice_worker_consumed_packets_total", "counter",
	 "Packets taken by the gateway itself: ARP, neighbour discovery, echo, its own TCP.",
	 W(consumed)},
	{"sluice_worker_forwarded_packets_total", "counter", "Packets forwarded.", W(forwarded)},
	{"sluice_worker_made_packets_total", "counter",
	 "Packets of the gateway's own TCP put on the way out.", W(made)},
	{"sluice_worker_dropped_packets_total", "counter", "Packets dropped for any reason.",
	 W(dropped)},
	{"sluice_worker_flow_inserts_total", "counter", "Flows added to the flow table.",
	 W(flow_insert)},
	{"sluice_worker_flow_expiries_total", "counter", "Flows removed by timeout or close.",
	 W(flow_expire)},
	{"sluice_worker_flow_evictions_total", "counter", "Flows removed under pressure.",
	 W(flow_evict)},
	{"sluice_worker_flow_hits_total", "counter", "Packets whose flow was in the table.",
	 W(flow_hit)},
	{"sluice_worker_flow_misses_total", "counter", "Packets whose flow was not in the table.",
	 W(flow_miss)},
	{"sluice_worker_flows", "gauge", "Flows in the table.", W(flow_active)},
	{"sluice_worker_flows_embryonic", "gauge", "Half-open flows in the table.",
	 W(flow_embryonic)},
	{"sluice_worker_flows_capacity", "gauge", "Flows the table has room for.",
	 W(flow_capacity)},
	{"sluice_worker_stateless_packets_total", "counter",
	 "Packets forwarded by Maglev alone because the flow table was full.", W(maglev_only)},
	{"sluice_worker_mailbox_sent_total", "counter", "Messages sent to other workers.",
	 W(msg_sent)},
	{"sluice_worker_mailbox_received_total", "counter", "Messages received.", W(msg_received)},
	{"sluice_worker_mailbox_lost_total", "counter",
	 "Messages lost because the other worker's mailbox was full.", W(msg_lost)},
	{"sluice_worker_generation", "gauge", "Generation the worker loaded last.", W(generation)},
	{"sluice_worker_flows_adopted_total", "counter",
	 "Flows taken over from the dataplane before.", W(flow_adopted)},
	{"sluice_worker_flows_lost_total", "counter",
	 "Flows of the dataplane before that were damaged or had expired.", W(flow_lost)},
	{"sluice_worker_translations", "gauge", "Translation records of nat replies in use.",
	 W(xlat_used)},
	{"sluice_worker_translations_capacity", "gauge",
	 "Translation records the worker has room for.", W(xlat_capacity)},
	{"sluice_worker_icmp_errors_total", "counter",
	 "ICMP errors passed on to the endpoint or client of their flow, or learned from: what a "
	 "tunnel takes.",
	 W(icmp_error)},
	{"sluice_worker_icmp_too_big_total", "counter",
	 "Answers sent that a packet was too big for its way.", W(icmp_too_big)},
	{"sluice_worker_fragments_received_total", "counter", "Fragments received.", W(frag_rx)},
	{"sluice_worker_fragments_sent_total", "counter",
	 "Fragments sent because a packet was larger than its way.", W(frag_made)},
	{"sluice_worker_fragments_held", "gauge",
	 "Fragments waiting for the first of their datagram.", W(frag_held)},
	{"sluice_worker_fragmented_datagrams", "gauge",
	 "Datagrams in fragments that are being followed.", W(frag_open)},
};

static void
put_ticks(struct sl_expo *o, const struct sl_expo_seg *g, const char *name, const char *help,
	  size_t off)
{
	char label[32];

	sl_expo_family(o, name, "counter", help);
	for (unsigned w = 0; w < g->head.worker_cnt; w++)
		sl_expo_real(o, name, sl_expo_of_worker(w, label),
			     (double)sl_expo_load(sl_expo_worker(g, w), off) /
				     (double)g->head.ticks_per_s);
}

static const struct sl_expo_bound turn_bounds[] = {
	{256, "2.56e-07"},       {512, "5.12e-07"},        {1024, "1.024e-06"},
	{2048, "2.048e-06"},     {4096, "4.096e-06"},      {8192, "8.192e-06"},
	{16384, "1.6384e-05"},   {32768, "3.2768e-05"},    {65536, "6.5536e-05"},
	{131072, "0.000131072"}, {1048576, "0.001048576"}, {16777216, "0.016777216"},
};

static const struct sl_expo_bound burst_bounds[] = {
	{2, "1"}, {3, "2"}, {5, "4"}, {9, "8"}, {16, "15"}, {32, "31"}, {64, "63"},
};
static void
put_workers(struct sl_expo *o, const struct sl_expo_seg *g)
{
	char label[32];

	for (size_t i = 0; i < SL_ARRAY_CNT(worker_columns); i++) {
		const struct sl_expo_column *c = &worker_columns[i];
		sl_expo_family(o, c->name, c->type, c->help);
		for (unsigned w = 0; w < g->head.worker_cnt; w++)
			sl_expo_sample(o, c->name, sl_expo_of_worker(w, label),
				       sl_expo_load(sl_expo_worker(g, w), c->off));
	}
	put_ticks(o, g, "sluice_worker_busy_seconds_total", "Time spent in turns that did work.",
		  W(busy_ticks));
	put_ticks(o, g, "sluice_worker_elapsed_seconds_total", "Time spent in all turns.",
		  W(total_ticks));
	sl_expo_histograms(o, g, "sluice_worker_turn_seconds", "Duration of turns that did work.",
			   W(turn_ns), turn_bounds, SL_ARRAY_CNT(turn_bounds), 1e-9);
	sl_expo_histograms(o, g, "sluice_worker_burst_packets",
			   "Packets handled in a turn that did work.", W(burst_pkts), burst_bounds,
			   SL_ARRAY_CNT(burst_bounds), 1);
}

static void
put_drops(struct sl_expo *o, const struct sl_expo_seg *g)
{
	const char *name = "sluice_drops_total";
	char label[64];

	sl_expo_family(o, name, "counter", "Packets not forwarded, by reason.");
	for (unsigned r = SL_DROP_NONE + 1; r < SL_DROP_CNT; r++) {
		uint64_t sum = 0;
		for (unsigned w = 0; w < g->head.worker_cnt; w++)
			sum += sl_expo_load(sl_expo_worker(g, w), W(drop) + r * 8);
		snprintf(label, sizeof(label), "reason=\"%s\"", sl_drop_name(r));
		sl_expo_sample(o, name, label, sum);
	}
}

/* ---- TCP that ends here ---- */

struct gauge {
	const char *name; /* "streams": sluice_worker_tcp_streams and …_streams_capacity */
	const char *help;
	size_t now, most;
};
#define X(f, m, name, text) {name, text, W(tcp.f), W(tcp.m)},
static const struct gauge tcp_gauges[] = {SL_METRICS_TCP_GAUGES(X)};
#undef X

static void
put_tcp_gauge(struct sl_expo *o, const struct sl_expo_seg *g, const char *name, const char *help,
	      size_t off)
{
	char label[32];

	sl_expo_family(o, name, "gauge", help);
	for (unsigned w = 0; w < g->head.worker_cnt; w++)
		sl_expo_sample(o, name, sl_expo_of_worker(w, label),
			       sl_expo_load(sl_expo_worker(g, w), off));
}

static void
put_tcp(struct sl_expo *o, const struct sl_expo_seg *g)
{
	const char *name = "sluice_tcp_events_total";
	char label[64], help[160];

	sl_expo_family(o, name, "counter", "What the gateway's own TCP counts, by event.");
	for (unsigned e = 0; e < SL_TCP_CNT; e++) {
		uint64_t sum = 0;
		for (unsigned w = 0; w < g->head.worker_cnt; w++)
			sum += sl_expo_load(sl_expo_worker(g, w), W(tcp.count) + e * 8);
		snprintf(label, sizeof(label), "event=\"%s\"", sl_tcp_counter_name(e));
		sl_expo_sample(o, name, label, sum);
	}
	for (size_t i = 0; i < SL_ARRAY_CNT(tcp_gauges); i++) {
		snprintf(label, sizeof(label), "sluice_worker_tcp_%s", tcp_gauges[i].name);
		snprintf(help, sizeof(help), "%c%s.", tcp_gauges[i].help[0] & ~0x20,
			 tcp_gauges[i].help + 1);
		put_tcp_gauge(o, g, label, help, tcp_gauges[i].now);
		snprintf(label, sizeof(label), "sluice_worker_tcp_%s_capacity", tcp_gauges[i].name);
		snprintf(help, sizeof(help), "The most there can be: %s.", tcp_gauges[i].help);
		put_tcp_gauge(o, g, label, help, tcp_gauges[i].most);
	}
}

/* ---- what has rows: ports, listeners, services, endpoints ---- */

#define P(field) offsetof(struct sl_stats_port, field)
static const struct sl_expo_column port_columns[] = {
	{"sluice_port_rx_packets_total", "counter", "Packets received.", P(rx_packets)},
	{"sluice_port_rx_bytes_total", "counter", "Bytes received.", P(rx_bytes)},
	{"sluice_port_tx_packets_total", "counter", "Packets sent.", P(tx_packets)},
	{"sluice_port_tx_bytes_total", "counter", "Bytes sent.", P(tx_bytes)},
	{"sluice_port_tx_full_packets_total", "counter", "Packets the port's queue refused.",
	 P(tx_full)},
	{"sluice_port_to_kernel_packets_total", "counter", "Packets given to the kernel.",
	 P(to_kernel)},
	{"sluice_port_from_kernel_packets_total", "counter", "Packets sent for the kernel.",
	 P(from_kernel)},
	{"sluice_port_kernel_limited_packets_total", "counter",
	 "Packets for the kernel, dropped over the rate.", P(kernel_limited)},
};

static int
put_ports(struct sl_expo *o, const struct sl_expo_seg *g)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, g->head.port_cnt, sizeof(struct sl_stats_port));

	for (uint32_t i = 0; !rc && i < g->head.port_cnt; i++) {
		sl_expo_row_fill(&rs, i, g, g->head.port_off, i, NULL, 0);
		sl_expo_label(sl_expo_row_labels(&rs, i), "port", g->head.port_name[i],
			      SL_NAME_MAX);
	}
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc)
		sl_expo_columns(o, &rs, port_columns, SL_ARRAY_CNT(port_columns));
	sl_expo_rows_fini(&rs);
	return rc;
}

static void
put_link(struct sl_expo *o, const char *name, const struct sl_metrics_port *p, uint64_t v)
{
	struct sl_expo label = {0};

	sl_expo_label(&label, "port", p->name, SL_NAME_MAX);
	sl_expo_put(&label, "");
	o->failed |= label.failed;
	if (!label.failed)
		sl_expo_sample(o, name, label.p, v);
	free(label.p);
}

/* What the dataplane says of its ports; devices begin at 0 when it starts. */
static void
put_links(struct sl_expo *o, const struct sl_metrics_snapshot *s)
{
	static const struct {
		const char *name, *type, *help;
		size_t off;
	} rows[] = {
		{"sluice_port_link_changes_total", "counter",
		 "Times the link went up, down or away.",
		 offsetof(struct sl_metrics_port, link_changes)},
		{"sluice_port_missed_packets_total", "counter",
		 "Packets the device lost before a worker took them.",
		 offsetof(struct sl_metrics_port, missed)},
		{"sluice_port_no_buffer_packets_total", "counter",
		 "Packets the device lost for want of buffers.",
		 offsetof(struct sl_metrics_port, no_buffer)},
		{"sluice_port_tx_errors_total", "counter", "Packets the device lost in sending.",
		 offsetof(struct sl_metrics_port, tx_errors)},
	};

	if (s->port_cnt)
		sl_expo_family(o, "sluice_port_up", "gauge",
			       "1 while the link is up, 0 while it is down or the port is gone.");
	for (size_t i = 0; i < s->port_cnt; i++)
		put_link(o, "sluice_port_up", &s->ports[i], s->ports[i].up);
	for (unsigned f = 0; s->port_cnt && f < SL_ARRAY_CNT(rows); f++) {
		sl_expo_family(o, rows[f].name, rows[f].type, rows[f].help);
		for (size_t i = 0; i < s->port_cnt; i++)
			put_link(o, rows[f].name, &s->ports[i],
				 *(const uint64_t *)((const char *)&s->ports[i] + rows[f].off));
	}
}

#define L(field) offsetof(struct sl_stats_listener, field)
static const struct sl_expo_column listener_columns[] = {
	{"sluice_listener_packets_total", "counter", "Packets for the listener.", L(packets)},
	{"sluice_listener_bytes_total", "counter", "Bytes of these packets.", L(bytes)},
	{"sluice_listener_new_flows_total", "counter", "New flows.", L(new_flows)},
	{"sluice_listener_refused_flows_total", "counter", "New flows not admitted, any reason.",
	 L(refused)},
};

static void
listener_labels(struct sl_expo *o, const struct sl_metrics_listener *l)
{
	char prefix[SL_PREFIX_STRLEN], ports[SL_PORTS_STRLEN];

	sl_expo_label(o, "listener", l->name, SL_NAME_MAX);
	sl_expo_format(o, ",address=\"%s\",port=\"%s\",protocol=\"%s\",",
		       sl_prefix_format(&l->addr, l->plen, prefix),
		       sl_ports_format(l->port, l->port_last, ports),
		       l->proto == SL_IPPROTO_UDP ? "udp" : "tcp");
	sl_expo_label(o, "service", l->service, SL_NAME_MAX);
}

static int
put_listeners(struct sl_expo *o, const struct sl_expo_seg *g, const struct sl_metrics_snapshot *s)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, s->listener_cnt, sizeof(struct sl_stats_listener));

	for (size_t i = 0; !rc && i < s->listener_cnt; i++) {
		const struct sl_metrics_listener *l = &s->listeners[i];
		sl_expo_row_fill(&rs, i, g, g->head.listener_off, l->slot, &l->base, 0);
		listener_labels(sl_expo_row_labels(&rs, i), l);
	}
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc)
		sl_expo_columns(o, &rs, listener_columns, SL_ARRAY_CNT(listener_columns));
	sl_expo_rows_fini(&rs);
	return rc;
}

enum {
#define X(word, text) EJECTION_##word,
	SL_STATS_EJECTION_WORDS(X)
#undef X
};

#define S(field) offsetof(struct sl_stats_service, field)
static const struct sl_expo_column service_columns[] = {
	{"sluice_service_new_flows_total", "counter", "New flows.", S(new_flows)},
	{"sluice_service_no_endpoint_total", "counter",
	 "New flows for which no endpoint could be chosen.", S(no_endpoint)},
	{"sluice_service_source_ports_used", "gauge",
	 "Source ports in use towards endpoints (mode fullnat).", S(ports_used)},
	{"sluice_service_source_ports_refused_total", "counter",
	 "New flows refused for want of a source port (mode fullnat).", S(ports_out)},
	/* forward proxy */
	{"sluice_service_connections", "gauge", "Connections to endpoints.", S(under_way[0])},
	{"sluice_service_pending", "gauge", "Requests that wait for a connection.",
	 S(under_way[1])},
	{"sluice_service_requests", "gauge", "Requests under way.", S(under_way[2])},
	{"sluice_service_retries", "gauge", "Retries under way.", S(under_way[3])},
	{"sluice_service_connections_limited_total", "counter",
	 "Times that the breaker of connections was open.", S(reached[0])},
	{"sluice_service_pending_limited_total", "counter",
	 "Times that the breaker of waiting requests was open.", S(reached[1])},
	{"sluice_service_requests_limited_total", "counter",
	 "Times that the breaker of requests was open.", S(reached[2])},
	{"sluice_service_retries_limited_total", "counter",
	 "Times that the breaker of retries was open.", S(reached[3])},
	{"sluice_service_adaptive_limit", "gauge",
	 "Requests that adaptive lets be under way; 0: off, or not known yet.", S(adaptive_limit)},
	{"sluice_service_adaptive_refused_total", "counter", "Requests that adaptive refused.",
	 S(adaptive_refused)},
#define X(word, text)                                                                              \
	{"sluice_service_ejections_" #word "_total", "counter", text,                              \
	 S(ejections) + EJECTION_##word * sizeof(uint64_t)},
	SL_STATS_EJECTION_WORDS(X)
#undef X
};

static int
put_services(struct sl_expo *o, const struct sl_expo_seg *g, const struct sl_metrics_snapshot *s)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, s->service_cnt, sizeof(struct sl_stats_service));

	for (size_t i = 0; !rc && i < s->service_cnt; i++) {
		const struct sl_metrics_service *v = &s->services[i];
		sl_expo_row_fill(&rs, i, g, g->head.service_off, v->slot, &v->base,
				 SL_METRICS_SERVICE_GAUGES);
		sl_expo_label(sl_expo_row_labels(&rs, i), "service", v->name, SL_NAME_MAX);
	}
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc)
		sl_expo_columns(o, &rs, service_columns, SL_ARRAY_CNT(service_columns));
	sl_expo_rows_fini(&rs);
	return rc;
}

#define E(field) offsetof(struct sl_stats_endpoint, field)
static const struct sl_expo_column endpoint_columns[] = {
	{"sluice_endpoint_packets_total", "counter", "Packets towards the endpoint.", E(packets)},
	{"sluice_endpoint_bytes_total", "counter", "Bytes of these packets.", E(bytes)},
	{"sluice_endpoint_reply_packets_total", "counter", "Packets from the endpoint (mode nat).",
	 E(reply_packets)},
	{"sluice_endpoint_reply_bytes_total", "counter", "Bytes of these packets.", E(reply_bytes)},
	{"sluice_endpoint_new_flows_total", "counter", "New flows.", E(new_flows)},
	{"sluice_endpoint_ended_flows_total", "counter", "Flows closed, expired or evicted.",
	 E(ended_flows)},
	{"sluice_endpoint_flows", "gauge", "Flows on the endpoint.", E(active)},
	{"sluice_endpoint_connect_failures_total", "counter",
	 "Connects to the endpoint that failed (mode tcp).", E(connect_failed)},
	{"sluice_endpoint_ejections_total", "counter",
	 "Times that the dataplane ejected the endpoint.", E(ejections)},
};

static void
endpoint_labels(struct sl_expo *o, const struct sl_metrics_endpoint *e)
{
	char buf[SL_ADDR_STRLEN];
	bool bracket = e->port && !sl_addr_is_v4(&e->addr);

	sl_expo_label(o, "service", e->service, SL_NAME_MAX);
	sl_expo_put(o, ",");
	sl_expo_label(o, "endpoint", e->name, SL_NAME_MAX);
	sl_expo_format(o, ",address=\"%s%s%s", bracket ? "[" : "", sl_addr_format(&e->addr, buf),
		       bracket ? "]" : "");
	if (e->port)
		sl_expo_format(o, ":%u", e->port);
	sl_expo_put(o, "\"");
}

static void
put_endpoint_states(struct sl_expo *o, const struct sl_expo_rows *rs,
		    const struct sl_metrics_snapshot *s)
{
	const char *healthy = "sluice_endpoint_healthy";
	const char *admitted = "sluice_endpoint_admitted_fraction";
	const char *ejected = "sluice_endpoint_ejected";

	sl_expo_family(o, healthy, "gauge",
		       "1 unless health probes say that the endpoint is down.");
	for (size_t i = 0; i < s->endpoint_cnt; i++)
		sl_expo_sample(o, healthy, sl_expo_row_text(rs, i), s->endpoints[i].healthy);
	sl_expo_family(o, admitted, "gauge",
		       "Share of the new flows chosen for the endpoint that it is given.");
	for (size_t i = 0; i < s->endpoint_cnt; i++) {
		const struct sl_metrics_endpoint *e = &s->endpoints[i];
		bool none = !e->healthy || e->drain || e->disabled || e->ejected;
		sl_expo_real(o, admitted, sl_expo_row_text(rs, i),
			     none ? 0 : e->fraction / (double)SL_FRACTION_WHOLE);
	}
	sl_expo_family(o, ejected, "gauge",
		       "1 while the dataplane itself leaves the endpoint alone (passive health).");
	for (size_t i = 0; i < s->endpoint_cnt; i++)
		sl_expo_sample(o, ejected, sl_expo_row_text(rs, i), s->endpoints[i].ejected);
}

/* g is NULL without a dataplane: states are known all the same. */
static int
put_endpoints(struct sl_expo *o, const struct sl_expo_seg *g, const struct sl_metrics_snapshot *s)
{
	struct sl_expo_rows rs;
	int rc = sl_expo_rows_init(&rs, s->endpoint_cnt, sizeof(struct sl_stats_endpoint));

	for (size_t i = 0; !rc && i < s->endpoint_cnt; i++) {
		const struct sl_metrics_endpoint *e = &s->endpoints[i];
		if (g)
			sl_expo_row_fill(&rs, i, g, g->head.endpoint_off, e->slot, &e->base,
					 SL_METRICS_ENDPOINT_GAUGES);
		endpoint_labels(sl_expo_row_labels(&rs, i), e);
	}
	rc = rc ? rc : sl_expo_rows_ready(&rs);
	if (!rc)
		put_endpoint_states(o, &rs, s);
	if (!rc && g)
		sl_expo_columns(o, &rs, endpoint_columns, SL_ARRAY_CNT(endpoint_columns));
	sl_expo_rows_fini(&rs);
	return rc;
}

/* ---- the whole ---- */

static void
put_probes(struct sl_expo *o, const struct sl_prober_stats *st)
{
	const char *name = "sluice_health_probes_total";

	sl_expo_family(o, name, "counter",
		       "Finished health probes; local_error: failed on this side, no verdict.");
	sl_expo_sample(o, name, "result=\"ok\"", st->ok);
	sl_expo_sample(o, name, "result=\"failed\"", st->failed);
	sl_expo_sample(o, name, "result=\"local_error\"", st->local_errors);
	sl_expo_single(o, "sluice_health_targets", "gauge", "Endpoints under active probing.",
		       st->targets);
	sl_expo_single(o, "sluice_health_probes_open", "gauge", "Probes under way.", st->open);
	sl_expo_single(o, "sluice_health_probes_waiting", "gauge",
		       "Probes that are due but held back by the limit of open probes.",
		       st->waiting);
}

static void
put_access(struct sl_expo *o, const struct sl_access_stats *a)
{
	const char *lost = "sluice_access_log_lost_total";
	char label[32];

	sl_expo_single(o, "sluice_access_log_lines_total", "counter",
		       "Lines written to the access log.", a->lines);
	sl_expo_single(o, "sluice_access_log_bytes_total", "counter", "Bytes of these lines.",
		       a->bytes);
	sl_expo_single(o, "sluice_access_log_dropped_total", "counter",
		       "Lines that could not be written: disk full, file gone.", a->dropped);
	sl_expo_single(o, "sluice_access_log_malformed_total", "counter",
		       "What was in a ring of the dataplane and is no record.", a->malformed);
	sl_expo_single(o, "sluice_access_log_rotations_total", "counter",
		       "Times the access log was begun anew for its size.", a->rotations);
	sl_expo_family(o, lost, "counter",
		       "Requests not logged because the worker's ring was full.");
	for (unsigned w = 0; w < a->worker_cnt; w++)
		sl_expo_sample(o, lost, sl_expo_of_worker(w, label), a->lost[w]);
}

static void
put_head(struct sl_expo *o, const struct sl_metrics_snapshot *s)
{
	const char *pushes = "sluice_pushes_total", *revisions = "sluice_revisions_total";

	sl_expo_family(o, "sluice_build_info", "gauge",
		       "Version of the daemon, as a label; always 1.");
	sl_expo_put(o, "sluice_build_info{");
	sl_expo_label(o, "version", s->version ? s->version : "", SL_NAME_MAX);
	sl_expo_put(o, "} 1\n");
	sl_expo_single(o, "sluice_dataplane_connected", "gauge",
		       "1 while a dataplane is connected.", s->connected);
	sl_expo_single(o, "sluice_generation_active", "gauge", "Active generation; 0: none.",
		       s->generation);
	sl_expo_family(o, pushes, "counter", "Tables pushed since the daemon started, by outcome.");
	sl_expo_sample(o, pushes, "outcome=\"active\"", s->pushes_active);
	sl_expo_sample(o, pushes, "outcome=\"refused\"", s->pushes_refused);
	sl_expo_family(o, revisions, "counter",
		       "Generations made because endpoints were discovered or went, by outcome.");
	sl_expo_sample(o, revisions, "outcome=\"active\"", s->revisions_active);
	sl_expo_sample(o, revisions, "outcome=\"refused\"", s->revisions_refused);
	if (s->probes)
		put_probes(o, s->probes);
	if (s->access)
		put_access(o, s->access);
}

static void
put_announce(struct sl_expo *o, const struct sl_metrics_snapshot *s)
{
	const char *name = "sluice_vip_announced";
	char prefix[SL_PREFIX_STRLEN], label[SL_PREFIX_STRLEN + 8];

	sl_expo_single(o, "sluice_bird_connected", "gauge",
		       "1 while BIRD answers on its control socket.", s->bird_up);
	sl_expo_single(o, "sluice_gateway_drained", "gauge",
		       "1 while an operator has drained the gateway.", s->drained);
	sl_expo_family(o, name, "gauge", "1 while BIRD has been told to announce the VIP.");
	for (uint32_t i = 0; i < s->announce->cnt; i++) {
		const struct sl_announce_vip *v = &s->announce->vips[i];
		snprintf(label, sizeof(label), "vip=\"%s\"",
			 sl_prefix_format(&v->addr, v->plen, prefix));
		sl_expo_sample(o, name, label, v->told);
	}
}

static bool
slots_in_range(const struct sl_metrics_snapshot *s)
{
	for (size_t i = 0; i < s->listener_cnt; i++)
		if (s->listeners[i].slot >= SL_MAX_LISTENERS)
			return false;
	for (size_t i = 0; i < s->service_cnt; i++)
		if (s->services[i].slot >= SL_MAX_SERVICES)
			return false;
	for (size_t i = 0; i < s->endpoint_cnt; i++)
		if (s->endpoints[i].slot >= SL_MAX_ENDPOINTS)
			return false;
	for (size_t i = 0; i < s->vhost_cnt; i++)
		if (s->vhosts[i].slot >= SL_MAX_VHOSTS)
			return false;
	for (size_t i = 0; i < s->route_cnt; i++)
		if (s->routes[i].slot >= SL_MAX_HTTP_ROUTES)
			return false;
	for (size_t i = 0; i < s->rate_cnt; i++)
		if (s->rates[i].slot >= SL_MAX_RATES)
			return false;
	for (size_t i = 0; i < s->authz_cnt; i++)
		if (s->authz[i].slot >= (s->authz[i].rule ? SL_MAX_RULE_SLOTS : SL_MAX_AUTHZ))
			return false;
	return true;
}

static int
put_segment(struct sl_expo *o, const struct sl_expo_seg *g, const struct sl_metrics_snapshot *s)
{
	put_workers(o, g);
	put_drops(o, g);
	put_tcp(o, g);
	int rc = put_ports(o, g);
	if (!rc)
		rc = put_listeners(o, g, s);
	if (!rc)
		rc = put_services(o, g, s);
	if (!rc)
		rc = sl_metrics_requests(o, g, s);
	if (!rc)
		sl_metrics_tls(o, g);
	return rc;
}

int
sl_metrics_render(const struct sl_metrics_snapshot *s, char **ret_text, size_t *ret_len)
{
	struct sl_expo_seg g;
	struct sl_expo o = {0};

	if (!slots_in_range(s) || (s->stats && sl_expo_open(s->stats, s->stats_bytes, &g)))
		return -EINVAL;
	put_head(&o, s);
	sl_metrics_issuers(&o, s);
	sl_metrics_shares(&o, s);
	sl_metrics_sources(&o, s);
	if (s->registry)
		sl_metrics_registry(&o, s->registry);
	if (s->store)
		sl_metrics_store(&o, s->store);
	sl_metrics_certs(&o, s);
	put_links(&o, s);
	if (s->announce)
		put_announce(&o, s);
	int rc = s->stats ? put_segment(&o, &g, s) : 0;
	if (!rc)
		rc = put_endpoints(&o, s->stats ? &g : NULL, s);
	if (!rc && o.failed)
		rc = -ENOMEM;
	if (rc) {
		free(o.p);
		return rc;
	}
	*ret_text = o.p;
	*ret_len = o.len;
	return 0;
}
