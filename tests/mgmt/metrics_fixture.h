/* metrics_fixture — a statistics segment with known contents, and a snapshot over it. */
#ifndef SL_TESTS_MGMT_METRICS_FIXTURE_H
#define SL_TESTS_MGMT_METRICS_FIXTURE_H

#include "mgmt/metrics.h"
#include "mgmt/registry.h"
#include "mgmt/store.h"
#include "sluice/state.h"

#include <stdlib.h>
#include <sys/mman.h>

#define FIXTURE_WORKERS 2
#define FIXTURE_PORTS 2

struct fixture {
	void *mem;
	size_t bytes;
	struct sl_metrics_listener listener[2];
	struct sl_metrics_service service[1];
	struct sl_metrics_endpoint endpoint[3];
	struct sl_metrics_vhost vhost[2];
	struct sl_metrics_route route[2];
	struct sl_metrics_authz authz[3];
	struct sl_metrics_cert cert[2];
	struct sl_prober_stats probes;
	struct sl_access_stats access;
	struct sl_registry_stats registry;
	struct sl_store_stats store;
	struct sl_metrics_port link[2];
	struct sl_metrics_snapshot snap;
};

static inline struct sl_addr
fixture_addr(const char *text)
{
	struct sl_addr a;
	if (sl_addr_parse(text, &a))
		abort();
	return a;
}

static inline void
fixture_fill_worker(void *mem, unsigned w)
{
	struct sl_stats_worker *s = sl_stats_worker(mem, w);

	s->turns = 1000 + w;
	s->turns_empty = 400;
	s->busy_ticks = 1500000000;
	s->total_ticks = 4000000000;
	s->rx_packets = 10 + w;
	s->flow_active = 7;
	s->flow_capacity = 1 << 20;
	s->generation = 12;
	s->flow_adopted = 20 + w;
	s->flow_lost = 2;
	s->xlat_used = 30 + w;
	s->xlat_capacity = 1 << 19;
	s->icmp_error = 40 + w;
	s->icmp_too_big = 50 + w;
	s->frag_rx = 60 + w;
	s->frag_held = 70 + w;
	s->frag_open = 80 + w;
	s->frag_made = 90 + w;
	s->made = 110 + w;
	s->drop[SL_DROP_TTL] = 3 + w;
	s->tcp.count[SL_TCP_RETRANS] = 400 + w;
	s->tcp.streams = 200 + w;
	s->tcp.stream_capacity = 65536;
	s->tcp.pinned = 300 + w;
	s->tcp.pinned_max = 1024;
	s->http.count[SL_HTTP_CNT_RETRY] = 500 + w;
	s->http.conns = 310 + w;
	s->http.conn_capacity = 32768;
	s->http.pool_idle = 320 + w;
	s->http.pool_capacity = 4096;
	s->tls.count[SL_TLS_CNT_SERVER_DONE] = 600 + w;
	s->tls.sessions = 330 + w;
	s->tls.session_capacity = 65536;
	sl_hist_add(&s->tls.handshake_us, 100);
	sl_hist_add(&s->tls.wait_us, 300);
	sl_hist_add(&s->http.first_us, 63);
	sl_hist_add(&s->http.first_us, 64);
	sl_hist_add(&s->http.last_us, 2000000);
	sl_stats_vhosts(mem, w)[7] = (struct sl_stats_vhost){.requests = 30, .no_route = 1 + w};
	sl_stats_routes(mem, w)[9] = (struct sl_stats_route){.requests = 20,
							     .answers = {1, 2, 3, 4, 5 + w},
							     .retries = 6,
							     .local = 7,
							     .bytes_in = 8,
							     .bytes_out = 9,
							     .first_us_sum = 1000000,
							     .last_us_sum = 2500000,
							     .last = {10, 5, [19] = 5}};
	sl_stats_authz(mem, w)[5] = (struct sl_stats_authz){.allowed = 40, .denied = 8 + w};
	sl_stats_rules(mem, w)[11] = (struct sl_stats_authz){.denied = 7 + w};
	for (uint64_t v = 1; v < 1u << 30; v *= 2)
		sl_hist_add(&s->turn_ns, v);
	for (uint64_t v = 0; v <= 64; v++)
		sl_hist_add(&s->burst_pkts, v);
	sl_stats_ports(mem, w)[1] = (struct sl_stats_port){.rx_packets = 5, .tx_full = 1 + w};
	sl_stats_listeners(mem, w)[3] =
		(struct sl_stats_listener){.packets = 100, .bytes = 6400, .new_flows = 8};
	sl_stats_services(mem, w)[2] = (struct sl_stats_service){
		.new_flows = 8, .no_endpoint = w, .ports_used = 100 + w, .ports_out = 6};
	sl_stats_endpoints(mem, w)[40] = (struct sl_stats_endpoint){.packets = 50,
								    .bytes = 3200,
								    .reply_packets = 20,
								    .reply_bytes = 1280,
								    .new_flows = 9,
								    .ended_flows = 4,
								    .active = 5,
								    .connect_failed = 6 + w};
}

static inline void
fixture_up(struct fixture *f)
{
	static const char *const ports[] = {"front", "back"};

	*f = (struct fixture){.bytes = sl_stats_bytes(FIXTURE_WORKERS, FIXTURE_PORTS)};
	f->mem = mmap(NULL, f->bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (f->mem == MAP_FAILED)
		abort();
	sl_stats_init(f->mem, FIXTURE_WORKERS, FIXTURE_PORTS, ports, 1, 1000000000);
	for (unsigned w = 0; w < FIXTURE_WORKERS; w++)
		fixture_fill_worker(f->mem, w);
	f->listener[0] = (struct sl_metrics_listener){.name = "web-v4",
						      .service = "web",
						      .addr = fixture_addr("203.0.113.10"),
						      .plen = 128,
						      .port = 80,
						      .port_last = 80,
						      .proto = SL_IPPROTO_TCP,
						      .slot = 3};
	f->listener[1] = (struct sl_metrics_listener){.name = "dns-v6",
						      .service = "dns",
						      .addr = fixture_addr("2001:db8::10"),
						      .plen = 128,
						      .port = 53,
						      .port_last = 53,
						      .proto = SL_IPPROTO_UDP,
						      .slot = 4};
	f->service[0] = (struct sl_metrics_service){.name = "web", .slot = 2};
	for (unsigned i = 0; i < 3; i++)
		f->endpoint[i] = (struct sl_metrics_endpoint){.service = "web",
							      .healthy = true,
							      .fraction = SL_FRACTION_WHOLE,
							      .slot = 40 + i,
							      .port = 8080};
	f->endpoint[0].name = "web-1";
	f->endpoint[0].addr = fixture_addr("198.51.100.11");
	f->endpoint[1].name = "web-2";
	f->endpoint[1].addr = fixture_addr("2001:db8::12");
	f->endpoint[1].healthy = false;
	f->endpoint[2].name = "web-3";
	f->endpoint[2].addr = fixture_addr("2001:db8::13");
	f->endpoint[2].port = 0;
	f->endpoint[2].fraction = 51;
	f->vhost[0] = (struct sl_metrics_vhost){.table = "edge", .name = "shop", .slot = 7};
	f->vhost[1] = (struct sl_metrics_vhost){.table = "edge", .name = "idle", .slot = 8};
	f->route[0] = (struct sl_metrics_route){
		.table = "edge", .vhost = "shop", .name = "canary", .slot = 9};
	f->route[1] = (struct sl_metrics_route){
		.table = "edge", .vhost = "shop", .name = "never", .slot = 10};
	f->authz[0] = (struct sl_metrics_authz){.set = "guard", .slot = 5, .base.denied = 2};
	f->authz[1] = (struct sl_metrics_authz){
		.set = "guard", .rule = "no-admin", .slot = 11, .base.denied = 1};
	f->authz[2] = (struct sl_metrics_authz){.set = "guard", .rule = "never", .slot = 12};
	f->cert[0] = (struct sl_metrics_cert){"gate", "pair", 1800000000};
	f->cert[1] = (struct sl_metrics_cert){"mesh", "bundle", 1900000000};
	f->access = (struct sl_access_stats){.lines = 71,
					     .bytes = 72,
					     .dropped = 73,
					     .malformed = 74,
					     .rotations = 75,
					     .lost = {76, 77},
					     .worker_cnt = 2};
	f->probes = (struct sl_prober_stats){
		.targets = 3, .open = 1, .ok = 90, .failed = 10, .local_errors = 2};
	f->registry = (struct sl_registry_stats){.endpoints = 120,
						 .silent = 3,
						 .services = 11,
						 .registered = 140,
						 .removed = 14,
						 .expired = 6,
						 .heartbeats = 9000,
						 .refused = {21, 22, 23, 24, 25},
						 .writes = 150,
						 .records = 166,
						 .write_errors = 2,
						 .journal_bytes = 40960,
						 .failing = true};
	f->store = (struct sl_store_stats){.connected = true,
					   .troubles = 5,
					   .gives_tables = true,
					   .state = SL_STORE_REFUSED,
					   .revision = 812,
					   .age_s = 1.25,
					   .conflicts = 4,
					   .shares_registry = true,
					   .registered = 120,
					   .shared = 118};
	f->link[0] = (struct sl_metrics_port){"front", "", true, 1, 2, 3, 4};
	f->link[1] = (struct sl_metrics_port){"back", "", false, 7, 8, 9, 10};
	f->snap = (struct sl_metrics_snapshot){.version = "0.1.0",
					       .connected = true,
					       .generation = 12,
					       .pushes_active = 12,
					       .pushes_refused = 1,
					       .stats = f->mem,
					       .stats_bytes = f->bytes,
					       .probes = &f->probes,
					       .access = &f->access,
					       .registry = &f->registry,
					       .store = &f->store,
					       .ports = f->link,
					       .port_cnt = 2,
					       .certs = f->cert,
					       .cert_cnt = 2,
					       .authz = f->authz,
					       .authz_cnt = 3,
					       .vhosts = f->vhost,
					       .vhost_cnt = 2,
					       .routes = f->route,
					       .route_cnt = 2,
					       .listeners = f->listener,
					       .listener_cnt = 2,
					       .services = f->service,
					       .service_cnt = 1,
					       .endpoints = f->endpoint,
					       .endpoint_cnt = 3};
}

static inline void
fixture_down(struct fixture *f)
{
	munmap(f->mem, f->bytes);
}

#endif
