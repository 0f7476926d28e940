/* metrics: the text line by line over a segment with known contents, and the server by real requests. */
#include "mgmt/metrics.h"
#include "tests/mgmt/metrics_fixture.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static struct fixture f;
static char *text;
static size_t text_len;

static void
render(void)
{
	free(text);
	text = NULL;
	CU_ASSERT_EQUAL_FATAL(sl_metrics_render(&f.snap, &text, &text_len), 0);
	CU_ASSERT_EQUAL(strlen(text), text_len);
}

/* A whole line stands in the text. */
static bool
has(const char *line)
{
	size_t n = strlen(line);

	for (const char *p = text; (p = strstr(p, line)); p++)
		if ((p == text || p[-1] == '\n') && p[n] == '\n')
			return true;
	printf("missing: %s\n", line);
	return false;
}

static double
value(const char *series)
{
	size_t n = strlen(series);

	for (const char *p = text; (p = strstr(p, series)); p++)
		if ((p == text || p[-1] == '\n') && p[n] == ' ')
			return atof(p + n);
	return -1;
}

/* ---- text ---- */

static void
every_kind_of_series_has_its_labels_and_sum(void)
{
	static const char *const lines[] = {
		"sluice_build_info{version=\"0.1.0\"} 1",
		"sluice_dataplane_connected 1",
		"sluice_generation_active 12",
		"sluice_pushes_total{outcome=\"refused\"} 1",
		"sluice_health_probes_total{result=\"local_error\"} 2",
		"# TYPE sluice_worker_turns_total counter",
		"sluice_worker_turns_total{worker=\"0\"} 1000",
		"sluice_worker_turns_total{worker=\"1\"} 1001",
		"sluice_worker_busy_seconds_total{worker=\"1\"} 1.500000000",
		"sluice_worker_elapsed_seconds_total{worker=\"1\"} 4.000000000",
		"# TYPE sluice_worker_flows gauge",
		"sluice_worker_flows{worker=\"0\"} 7",
		"sluice_worker_flows_capacity{worker=\"0\"} 1048576",
		"sluice_worker_generation{worker=\"0\"} 12",
		"sluice_drops_total{reason=\"ttl\"} 7",
		"sluice_drops_total{reason=\"tx_full\"} 0",
		"# TYPE sluice_worker_flows_adopted_total counter",
		"sluice_worker_flows_adopted_total{worker=\"1\"} 21",
		"sluice_worker_flows_lost_total{worker=\"0\"} 2",
		"# TYPE sluice_worker_translations gauge",
		"sluice_worker_translations{worker=\"1\"} 31",
		"sluice_worker_translations_capacity{worker=\"0\"} 524288",
		"sluice_worker_icmp_errors_total{worker=\"1\"} 41",
		"sluice_worker_icmp_too_big_total{worker=\"1\"} 51",
		"sluice_worker_fragments_received_total{worker=\"1\"} 61",
		"# TYPE sluice_worker_fragments_held gauge",
		"sluice_worker_fragments_held{worker=\"1\"} 71",
		"sluice_worker_fragmented_datagrams{worker=\"1\"} 81",
		"sluice_worker_fragments_sent_total{worker=\"1\"} 91",
		"sluice_worker_made_packets_total{worker=\"1\"} 111",
		"# TYPE sluice_tcp_events_total counter",
		"sluice_tcp_events_total{event=\"retrans\"} 801",
		"sluice_tcp_events_total{event=\"end_ok\"} 0",
		"sluice_access_log_lines_total 71",
		"sluice_access_log_bytes_total 72",
		"sluice_access_log_dropped_total 73",
		"sluice_access_log_malformed_total 74",
		"sluice_access_log_rotations_total 75",
		"sluice_access_log_lost_total{worker=\"1\"} 77",
		"# TYPE sluice_certificate_not_after_seconds gauge",
		"sluice_certificate_not_after_seconds{name=\"gate\",kind=\"pair\"} 1800000000",
		"sluice_certificate_not_after_seconds{name=\"mesh\",kind=\"bundle\"} 1900000000",
		"# TYPE sluice_tls_events_total counter",
		"sluice_tls_events_total{event=\"server_done\"} 1201",
		"# HELP sluice_worker_tls_sessions Connections with TLS.",
		"sluice_worker_tls_sessions{worker=\"1\"} 331",
		"sluice_worker_tls_sessions_capacity{worker=\"0\"} 65536",
		"# TYPE sluice_worker_tls_handshake_seconds histogram",
		"sluice_worker_tls_handshake_seconds_bucket{worker=\"0\",le=\"6.4e-05\"} 0",
		"sluice_worker_tls_handshake_seconds_bucket{worker=\"0\",le=\"0.000256\"} 1",
		"sluice_worker_tls_wait_seconds_bucket{worker=\"1\",le=\"0.000256\"} 0",
		"sluice_worker_tls_wait_seconds_bucket{worker=\"1\",le=\"0.001024\"} 1",
		"# TYPE sluice_http_events_total counter",
		"sluice_http_events_total{event=\"retry\"} 1001",
		"# HELP sluice_worker_http_connections Client connections of mode http.",
		"# TYPE sluice_worker_http_connections gauge",
		"sluice_worker_http_connections{worker=\"1\"} 311",
		"sluice_worker_http_connections_capacity{worker=\"0\"} 32768",
		"sluice_worker_http_pool_idle{worker=\"1\"} 321",
		"sluice_worker_http_pool_idle_capacity{worker=\"1\"} 4096",
		"# TYPE sluice_worker_http_first_byte_seconds histogram",
		"sluice_worker_http_first_byte_seconds_bucket{worker=\"0\",le=\"6.4e-05\"} 1",
		"sluice_worker_http_first_byte_seconds_bucket{worker=\"0\",le=\"0.000256\"} 2",
		"sluice_worker_http_first_byte_seconds_sum{worker=\"0\"} 0.000127000",
		"sluice_worker_http_last_byte_seconds_bucket{worker=\"1\",le=\"1.048576\"} 0",
		"sluice_worker_http_last_byte_seconds_bucket{worker=\"1\",le=\"4.194304\"} 1",
		"sluice_worker_http_last_byte_seconds_count{worker=\"1\"} 1",
		"sluice_http_host_requests_total{table=\"edge\",host=\"shop\"} 60",
		"sluice_http_host_no_route_total{table=\"edge\",host=\"shop\"} 3",
		"sluice_authorization_total{set=\"guard\",what=\"allowed\"} 80",
		"sluice_authorization_total{set=\"guard\",what=\"denied\"} 15",
		"sluice_authorization_total{set=\"guard\",what=\"audited\"} 0",
		"sluice_authorization_rule_total{set=\"guard\",rule=\"no-admin\",what=\"denied\"} "
		"14",
		"sluice_http_requests_total{table=\"edge\",host=\"shop\",route=\"canary\"} 40",
		"sluice_http_retries_total{table=\"edge\",host=\"shop\",route=\"canary\"} 12",
		"sluice_http_local_answers_total{table=\"edge\",host=\"shop\",route=\"canary\"} 14",
		"sluice_http_request_body_bytes_total{table=\"edge\",host=\"shop\",route="
		"\"canary\"} 16",
		"sluice_http_answer_body_bytes_total{table=\"edge\",host=\"shop\",route=\"canary\"}"
		" 18",
		"sluice_http_answers_total{table=\"edge\",host=\"shop\",route=\"canary\",code="
		"\"1xx\"} 2",
		"sluice_http_answers_total{table=\"edge\",host=\"shop\",route=\"canary\",code="
		"\"5xx\"} 11",
		"# TYPE sluice_http_duration_seconds histogram",
		"sluice_http_duration_seconds_bucket{table=\"edge\",host=\"shop\",route=\"canary\","
		"le=\"6.4e-05\"} 20",
		"sluice_http_duration_seconds_bucket{table=\"edge\",host=\"shop\",route=\"canary\","
		"le=\"0.000128\"} 30",
		"sluice_http_duration_seconds_bucket{table=\"edge\",host=\"shop\",route=\"canary\","
		"le=\"16.777216\"} 30",
		"sluice_http_duration_seconds_bucket{table=\"edge\",host=\"shop\",route=\"canary\","
		"le=\"+Inf\"} 40",
		"sluice_http_duration_seconds_sum{table=\"edge\",host=\"shop\",route=\"canary\"} "
		"5.000000000",
		"sluice_http_duration_seconds_count{table=\"edge\",host=\"shop\",route=\"canary\"} "
		"40",
		"sluice_http_first_byte_seconds_total{table=\"edge\",host=\"shop\",route="
		"\"canary\"} 2.000000000",
		"# HELP sluice_worker_tcp_streams TCP streams of the gateway itself, TIME-WAIT "
		"apart.",
		"# TYPE sluice_worker_tcp_streams gauge",
		"sluice_worker_tcp_streams{worker=\"1\"} 201",
		"sluice_worker_tcp_streams_capacity{worker=\"0\"} 65536",
		"sluice_worker_tcp_pinned{worker=\"1\"} 301",
		"sluice_worker_tcp_pinned_capacity{worker=\"1\"} 1024",
		"sluice_endpoint_connect_failures_total{service=\"web\",endpoint=\"web-1\",address="
		"\"198.51.100.11:8080\"} 13",
		"# TYPE sluice_service_source_ports_used gauge",
		"sluice_service_source_ports_used{service=\"web\"} 201",
		"sluice_service_source_ports_refused_total{service=\"web\"} 12",
		"sluice_port_rx_packets_total{port=\"front\"} 0",
		"sluice_port_rx_packets_total{port=\"back\"} 10",
		"sluice_port_tx_full_packets_total{port=\"back\"} 3",
		"# TYPE sluice_port_up gauge",
		"sluice_port_up{port=\"front\"} 1",
		"sluice_port_up{port=\"back\"} 0",
		"sluice_port_link_changes_total{port=\"back\"} 7",
		"sluice_port_missed_packets_total{port=\"back\"} 8",
		"sluice_port_no_buffer_packets_total{port=\"back\"} 9",
		"sluice_port_tx_errors_total{port=\"back\"} 10",
		"sluice_listener_packets_total{listener=\"web-v4\",address=\"203.0.113.10\",port="
		"\"80\",protocol=\"tcp\",service=\"web\"} 200",
		"sluice_listener_packets_total{listener=\"dns-v6\",address=\"2001:db8::10\",port="
		"\"53\",protocol=\"udp\",service=\"dns\"} 0",
		"sluice_service_new_flows_total{service=\"web\"} 16",
		"sluice_service_no_endpoint_total{service=\"web\"} 1",
		"sluice_endpoint_bytes_total{service=\"web\",endpoint=\"web-1\",address="
		"\"198.51.100.11:8080\"} 6400",
		"sluice_endpoint_reply_packets_total{service=\"web\",endpoint=\"web-1\",address="
		"\"198.51.100.11:8080\"} 40",
		"sluice_endpoint_flows{service=\"web\",endpoint=\"web-1\",address="
		"\"198.51.100.11:8080\"} 10",
		"sluice_endpoint_healthy{service=\"web\",endpoint=\"web-1\",address="
		"\"198.51.100.11:8080\"} 1",
		"sluice_endpoint_healthy{service=\"web\",endpoint=\"web-2\",address="
		"\"[2001:db8::12]:8080\"} 0",
		"sluice_endpoint_admitted_fraction{service=\"web\",endpoint=\"web-1\",address="
		"\"198.51.100.11:8080\"} 1.000000000",
		"sluice_endpoint_admitted_fraction{service=\"web\",endpoint=\"web-2\",address="
		"\"[2001:db8::12]:8080\"} 0.000000000",
		"sluice_endpoint_admitted_fraction{service=\"web\",endpoint=\"web-3\",address="
		"\"2001:db8::13\"} 0.200000000",
	};

	fixture_up(&f);
	render();
	for (size_t i = 0; i < SL_ARRAY_CNT(lines); i++)
		CU_ASSERT(has(lines[i]));
	fixture_down(&f);
}

static void
every_drop_reason_but_none_has_a_series(void)
{
	char line[128];

	fixture_up(&f);
	for (unsigned r = 0; r < SL_DROP_CNT; r++)
		sl_stats_worker(f.mem, 1)->drop[r] = 100 + r;
	sl_stats_worker(f.mem, 0)->drop[SL_DROP_TTL] = 0;
	render();
	for (unsigned r = 1; r < SL_DROP_CNT; r++) {
		snprintf(line, sizeof(line), "sluice_drops_total{reason=\"%s\"} %u",
			 sl_drop_name(r), 100 + r);
		CU_ASSERT(has(line));
	}
	CU_ASSERT_PTR_NULL(strstr(text, "reason=\"none\""));
	fixture_down(&f);
}

static void
every_event_of_tcp_has_a_series(void)
{
	char line[128];

	fixture_up(&f);
	for (unsigned e = 0; e < SL_TCP_CNT; e++) {
		sl_stats_worker(f.mem, 0)->tcp.count[e] = 1000;
		sl_stats_worker(f.mem, 1)->tcp.count[e] = e;
	}
	render();
	for (unsigned e = 0; e < SL_TCP_CNT; e++) {
		snprintf(line, sizeof(line), "sluice_tcp_events_total{event=\"%s\"} %u",
			 sl_tcp_counter_name(e), 1000 + e);
		CU_ASSERT(has(line));
	}
	fixture_down(&f);
}

static void
every_event_of_http_has_a_series(void)
{
	char line[128];

	fixture_up(&f);
	for (unsigned e = 0; e < SL_HTTP_CNT_CNT; e++) {
		sl_stats_worker(f.mem, 0)->http.count[e] = 1000;
		sl_stats_worker(f.mem, 1)->http.count[e] = e;
	}
	render();
	for (unsigned e = 0; e < SL_HTTP_CNT_CNT; e++) {
		snprintf(line, sizeof(line), "sluice_http_events_total{event=\"%s\"} %u",
			 sl_http_counter_name(e), 1000 + e);
		CU_ASSERT(has(line));
	}
	fixture_down(&f);
}

static void
every_event_of_tls_has_a_series(void)
{
	char line[128];

	fixture_up(&f);
	for (unsigned e = 0; e < SL_TLS_CNT_CNT; e++) {
		sl_stats_worker(f.mem, 0)->tls.count[e] = 1000;
		sl_stats_worker(f.mem, 1)->tls.count[e] = e;
	}
	render();
	for (unsigned e = 0; e < SL_TLS_CNT_CNT; e++) {
		snprintf(line, sizeof(line), "sluice_tls_events_total{event=\"%s\"} %u",
			 sl_tls_counter_name(e), 1000 + e);
		CU_ASSERT(has(line));
	}
	fixture_down(&f);
}

static void
until_when_certificates_are_good_is_told_without_a_dataplane(void)
{
	fixture_up(&f);
	f.snap.stats = NULL;
	f.snap.connected = false;
	render();
	CU_ASSERT(has(
		"sluice_certificate_not_after_seconds{name=\"gate\",kind=\"pair\"} 1800000000"));
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_tls_events_total"));
	fixture_down(&f);
}

static void
questions_to_sources_have_their_age_and_trouble(void)
{
	static const struct sl_metrics_source rows[] = {
		{"web", "dns", "web.internal", 3, 1, 12.5, false, false, 7, 2},
		{"api", "registry", "api", 0, 0, -1, true, true, 0, 9},
	};
#define WEB "{service=\"web\",source=\"dns\",name=\"web.internal\"} "
#define API "{service=\"api\",source=\"registry\",name=\"api\"} "

	fixture_up(&f);
	f.snap.sources = rows;
	f.snap.source_cnt = 2;
	render();
	CU_ASSERT(has("sluice_source_age_seconds" WEB "12.500"));
	CU_ASSERT_PTR_NULL(strstr(text, "age_seconds{service=\"api\""));
	CU_ASSERT(has("sluice_source_endpoints" WEB "3"));
	CU_ASSERT(has("sluice_source_left_out" WEB "1"));
	CU_ASSERT(has("sluice_source_trouble" API "1"));
	CU_ASSERT(has("sluice_source_trouble" WEB "0"));
	CU_ASSERT(has("sluice_source_kept" API "1"));
	CU_ASSERT(has("sluice_source_answers_total" WEB "7"));
	CU_ASSERT(has("sluice_source_troubles_total" API "9"));
	fixture_down(&f);
}

static void
the_registry_says_who_is_there_and_why_others_are_not(void)
{
	fixture_up(&f);
	render();
	CU_ASSERT(has("sluice_registry_endpoints 120"));
	CU_ASSERT(has("sluice_registry_silent 3"));
	CU_ASSERT(has("sluice_registry_services 11"));
	CU_ASSERT(has("sluice_registry_registered_total 140"));
	CU_ASSERT(has("sluice_registry_removed_total 14"));
	CU_ASSERT(has("sluice_registry_expired_total 6"));
	CU_ASSERT(has("sluice_registry_heartbeats_total 9000"));
	CU_ASSERT(has("sluice_registry_refused_total{reason=\"denied\"} 21"));
	CU_ASSERT(has("sluice_registry_refused_total{reason=\"malformed\"} 22"));
	CU_ASSERT(has("sluice_registry_refused_total{reason=\"unknown\"} 23"));
	CU_ASSERT(has("sluice_registry_refused_total{reason=\"busy\"} 24"));
	CU_ASSERT(has("sluice_registry_refused_total{reason=\"disk\"} 25"));
	CU_ASSERT(has("sluice_registry_journal_bytes 40960"));
	CU_ASSERT(has("sluice_registry_journal_failing 1"));
	CU_ASSERT(has("sluice_registry_journal_writes_total 150"));
	CU_ASSERT(has("sluice_registry_journal_records_total 166"));
	CU_ASSERT(has("sluice_registry_journal_errors_total 2"));
	fixture_down(&f);
}

static void
the_store_is_told_as_far_as_there_is_one(void)
{
	fixture_up(&f);
	render();
	CU_ASSERT(has("sluice_store_connected 1"));
	CU_ASSERT(has("sluice_store_troubles_total 5"));
	CU_ASSERT(has("sluice_store_revision 812"));
	CU_ASSERT(has("sluice_store_age_seconds 1.250"));
	CU_ASSERT(has("sluice_store_conflicts_total 4"));
	CU_ASSERT(has("sluice_store_table{state=\"refused\"} 1"));
	CU_ASSERT(has("sluice_store_table{state=\"active\"} 0"));
	CU_ASSERT(has("sluice_store_registrations 120"));
	CU_ASSERT(has("sluice_store_registrations_shared 118"));
	f.store.age_s = -1;
	f.store.shares_registry = false;
	render();
	CU_ASSERT_PTR_NULL(strstr(text, "\nsluice_store_age_seconds"));
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_store_registrations"));
	f.store.gives_tables = false;
	render();
	CU_ASSERT(has("sluice_store_connected 1"));
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_store_revision"));
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_store_table"));
	f.snap.store = NULL;
	render();
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_store"));
	fixture_down(&f);
}

static void
shares_of_limits_are_told_of_those_that_have_them(void)
{
	static const struct sl_metrics_rate rows[] = {
		{.name = "own", .slot = 1},
		{.name = "group", .slot = 2, .shared = true, .share = {40, 100, 60, 3, true}},
		{.name = "alone", .slot = 3, .shared = true, .share = {5, 70, 0, 0, false}},
	};

	fixture_up(&f);
	f.snap.rates = rows;
	f.snap.rate_cnt = 1;
	render();
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_limit_share"));
	f.snap.rate_cnt = 3;
	render();
	CU_ASSERT(has("sluice_limit_share{limit=\"group\"} 40"));
	CU_ASSERT(has("sluice_limit_share_of{limit=\"group\"} 100"));
	CU_ASSERT(has("sluice_limit_share_wanted{limit=\"group\"} 60"));
	CU_ASSERT(has("sluice_limit_share_gateways{limit=\"group\"} 3"));
	CU_ASSERT(has("sluice_limit_share_own{limit=\"group\"} 1"));
	CU_ASSERT(has("sluice_limit_share{limit=\"alone\"} 5"));
	CU_ASSERT(has("sluice_limit_share_own{limit=\"alone\"} 0"));
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_limit_share{limit=\"own\"}"));
	CU_ASSERT(has("sluice_limit_allowed_total{limit=\"own\"} 0"));
	fixture_down(&f);
}

static void
routes_and_hosts_begin_at_their_baseline_and_are_not_there_before(void)
{
	static const char route[] = "sluice_http_duration_seconds_bucket{table=\"edge\",host="
				    "\"shop\",route=\"canary\",le=\"0.000128\"}";
	struct sl_stats_route base;

	fixture_up(&f);
	render();
	CU_ASSERT_PTR_NULL(strstr(text, "host=\"idle\""));
	CU_ASSERT_PTR_NULL(strstr(text, "never"));
	CU_ASSERT_EQUAL(sl_metrics_sum_route(f.mem, f.bytes, 9, &base), 0);
	CU_ASSERT_EQUAL(sl_metrics_sum_vhost(f.mem, f.bytes, 7, &f.vhost[0].base), 0);
	f.route[0].base = &base;
	render();
	CU_ASSERT_PTR_NULL(strstr(text, "canary"));
	CU_ASSERT_PTR_NULL(strstr(text, "shop"));
	sl_stats_routes(f.mem, 1)[9].requests += 3;
	sl_stats_routes(f.mem, 1)[9].last[1] += 2;
	sl_stats_vhosts(f.mem, 1)[7].requests += 4;
	render();
	CU_ASSERT_EQUAL(value(route), 2);
	CU_ASSERT(has("sluice_http_requests_total{table=\"edge\",host=\"shop\",route=\"canary\"} "
		      "3"));
	CU_ASSERT(has("sluice_http_host_requests_total{table=\"edge\",host=\"shop\"} 4"));
	fixture_down(&f);
}

static void
names_of_full_length_fit(void)
{
	char name[SL_NAME_MAX], line[512];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	fixture_up(&f);
	f.route[0] = (struct sl_metrics_route){name, name, name, 9, NULL};
	render();
	snprintf(line, sizeof(line),
		 "sluice_http_duration_seconds_bucket{table=\"%s\",host=\"%s\",route=\"%s\",le="
		 "\"0.000128\"} 30",
		 name, name, name);
	CU_ASSERT(has(line));
	snprintf(line, sizeof(line),
		 "sluice_http_answers_total{table=\"%s\",host=\"%s\",route=\"%s\",code=\"2xx\"} 4",
		 name, name, name);
	CU_ASSERT(has(line));
	fixture_down(&f);
}

static void
every_family_has_help_and_type_once_and_before_its_samples(void)
{
	char family[128] = "", known[200][128];
	unsigned cnt = 0;

	fixture_up(&f);
	render();
	for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
		char name[128] = "";
		if (sscanf(line, "# HELP %127s", family) == 1) {
			for (unsigned i = 0; i < cnt; i++)
				CU_ASSERT_STRING_NOT_EQUAL(known[i], family);
			strcpy(known[cnt++ % 200], family);
			CU_ASSERT(!strncmp(end + 1, "# TYPE ", 7) &&
				  !strncmp(end + 8, family, strlen(family)));
		} else if (line[0] != '#') {
			sscanf(line, "%127[a-z_]", name);
			CU_ASSERT(!strncmp(name, family, strlen(family)));
		}
	}
	CU_ASSERT(cnt > 40);
	fixture_down(&f);
}

static void
histograms_count_what_is_below_each_bound(void)
{
	static const uint64_t turn_le_ns[] = {256,   512,   1024,  2048,   4096,    8192,
					      16384, 32768, 65536, 131072, 1048576, 16777216};
	static const unsigned burst_le[] = {1, 2, 4, 8, 15, 31, 63};
	char series[128];
	double last = 0;

	fixture_up(&f);
	render();
	for (size_t i = 0; i < SL_ARRAY_CNT(turn_le_ns); i++) {
		snprintf(series, sizeof(series),
			 "sluice_worker_turn_seconds_bucket{worker=\"0\",le=\"%.10g\"}",
			 (double)turn_le_ns[i] / 1e9);
		double want = 0;
		for (uint64_t v = 1; v < 1u << 30; v *= 2)
			want += v < turn_le_ns[i];
		CU_ASSERT_EQUAL(value(series), want);
		CU_ASSERT(want >= last);
		last = want;
	}
	CU_ASSERT_EQUAL(value("sluice_worker_turn_seconds_bucket{worker=\"0\",le=\"+Inf\"}"), 30);
	CU_ASSERT_EQUAL(value("sluice_worker_turn_seconds_count{worker=\"0\"}"), 30);
	CU_ASSERT(fabs(value("sluice_worker_turn_seconds_sum{worker=\"0\"}") - 1.073741823) < 1e-8);
	for (size_t i = 0; i < SL_ARRAY_CNT(burst_le); i++) {
		snprintf(series, sizeof(series),
			 "sluice_worker_burst_packets_bucket{worker=\"1\",le=\"%u\"}", burst_le[i]);
		CU_ASSERT_EQUAL(value(series), burst_le[i] + 1); /* values 0 … le */
	}
	CU_ASSERT_EQUAL(value("sluice_worker_burst_packets_count{worker=\"1\"}"), 65);
	fixture_down(&f);
}

static void
counters_begin_at_the_baseline_of_their_incarnation(void)
{
	const char *bytes = "sluice_endpoint_bytes_total{service=\"web\",endpoint=\"web-1\","
			    "address=\"198.51.100.11:8080\"}";
	const char *packets = "sluice_listener_packets_total{listener=\"web-v4\",address="
			      "\"203.0.113.10\",port=\"80\",protocol=\"tcp\",service=\"web\"}";
	const char *flows = "sluice_service_new_flows_total{service=\"web\"}";

	fixture_up(&f);
	CU_ASSERT_EQUAL(sl_metrics_sum_endpoint(f.mem, f.bytes, 40, &f.endpoint[0].base), 0);
	CU_ASSERT_EQUAL(sl_metrics_sum_listener(f.mem, f.bytes, 3, &f.listener[0].base), 0);
	CU_ASSERT_EQUAL(sl_metrics_sum_service(f.mem, f.bytes, 2, &f.service[0].base), 0);
	CU_ASSERT_EQUAL(f.endpoint[0].base.bytes, 6400);
	render();
	CU_ASSERT_EQUAL(value(bytes), 0);
	CU_ASSERT_EQUAL(value(packets), 0);
	CU_ASSERT_EQUAL(value(flows), 0);
	CU_ASSERT_EQUAL(value("sluice_service_source_ports_used{service=\"web\"}"), 201);
	CU_ASSERT_EQUAL(value("sluice_service_source_ports_refused_total{service=\"web\"}"), 0);
	sl_stats_endpoints(f.mem, 1)[40].bytes += 11;
	sl_stats_listeners(f.mem, 0)[3].packets += 12;
	sl_stats_services(f.mem, 0)[2].new_flows += 13;
	render();
	CU_ASSERT_EQUAL(value(bytes), 11);
	CU_ASSERT_EQUAL(value(packets), 12);
	CU_ASSERT_EQUAL(value(flows), 13);
	f.endpoint[0].base.bytes = 1u << 30; /* of another boot */
	render();
	CU_ASSERT_EQUAL(value(bytes), 0);
	fixture_down(&f);
}

static void
label_values_are_escaped(void)
{
	fixture_up(&f);
	f.service[0].name = "a\"b\\c\nd";
	render();
	CU_ASSERT(has("sluice_service_new_flows_total{service=\"a\\\"b\\\\c\\nd\"} 16"));
	fixture_down(&f);
}

static void
states_are_given_without_a_dataplane(void)
{
	fixture_up(&f);
	f.snap.stats = NULL;
	f.snap.connected = false;
	f.endpoint[0].drain = true;
	render();
	CU_ASSERT(has("sluice_dataplane_connected 0"));
	CU_ASSERT(has("sluice_endpoint_healthy{service=\"web\",endpoint=\"web-1\",address="
		      "\"198.51.100.11:8080\"} 1"));
	CU_ASSERT(has("sluice_endpoint_admitted_fraction{service=\"web\",endpoint=\"web-1\","
		      "address=\"198.51.100.11:8080\"} 0.000000000"));
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_worker"));
	CU_ASSERT_PTR_NULL(strstr(text, "sluice_endpoint_packets"));
	fixture_down(&f);
}

static void
lying_segments_and_slots_are_refused(void)
{
	struct sl_stats_head *h, good;
	struct sl_stats_endpoint sum;
	char *t = NULL;
	size_t n;

	fixture_up(&f);
	h = f.mem;
	good = *h;
	CU_ASSERT_EQUAL(sl_metrics_sum_endpoint(f.mem, f.bytes, SL_MAX_ENDPOINTS, &sum), -EINVAL);
	f.endpoint[1].slot = SL_MAX_ENDPOINTS;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	f.endpoint[1].slot = 41;
	f.route[1].slot = SL_MAX_HTTP_ROUTES;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	f.route[1].slot = 10;
	f.vhost[1].slot = SL_MAX_VHOSTS;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	f.vhost[1].slot = 8;
	f.authz[0].slot = SL_MAX_AUTHZ;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	f.authz[0].slot = 5;
	f.authz[1].slot = SL_MAX_RULE_SLOTS;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	f.authz[1].slot = 11;
	f.snap.stats_bytes = f.bytes - 1;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	f.snap.stats_bytes = 8;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	f.snap.stats_bytes = f.bytes;
	h->worker_cnt = 3;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	*h = good;
	h->endpoint_off += 8;
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	CU_ASSERT_EQUAL(sl_metrics_sum_endpoint(f.mem, f.bytes, 0, &sum), -EINVAL);
	*h = good;
	memset(h->port_name[0], '"', SL_NAME_MAX);
	CU_ASSERT_EQUAL(sl_metrics_render(&f.snap, &t, &n), -EINVAL);
	CU_ASSERT_PTR_NULL(t);
	fixture_down(&f);
}

static void
ten_thousand_endpoints_are_rendered_whole(void)
{
	enum { CNT = 10000 };
	static const char key[] = "\nsluice_endpoint_packets_total{";
	static char name[CNT][16];
	struct sl_metrics_endpoint *e = calloc(CNT, sizeof(*e));
	unsigned lines = 0;

	fixture_up(&f);
	for (unsigned i = 0; i < CNT; i++) {
		snprintf(name[i], sizeof(name[i]), "e-%u", i);
		e[i] = f.endpoint[0];
		e[i].name = name[i];
		e[i].slot = i;
	}
	f.snap.endpoints = e;
	f.snap.endpoint_cnt = CNT;
	render();
	/* not strstr: under ASan each call looks for the end of the text */
	for (char *p = text; (p = memmem(p, text + text_len - p, key, strlen(key))); p++)
		lines++;
	CU_ASSERT_EQUAL(lines, CNT);
	free(e);
	fixture_down(&f);
}

/* ---- server ---- */

static uv_loop_t loop;
static int provider_rc;

static int
provide(void *ctx, struct sl_metrics_snapshot *ret)
{
	*ret = ((struct fixture *)ctx)->snap;
	return provider_rc;
}

static struct sl_metrics *
up(const char *where)
{
	struct sl_metrics *m = NULL;
	struct sl_diag d = {0};

	fixture_up(&f);
	provider_rc = 0;
	uv_loop_init(&loop);
	int rc = sl_metrics_start(&loop, where, provide, &f, &d, &m);
	if (rc)
		printf("%s\n", d.cnt ? d.items[0].text : "no text");
	sl_diag_fini(&d);
	CU_ASSERT_EQUAL_FATAL(rc, 0);
	return m;
}

static void
down(struct sl_metrics *m)
{
	sl_metrics_stop(m);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
	fixture_down(&f);
}

static int
dial(uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_EQUAL_FATAL(connect(s, (struct sockaddr *)&in, sizeof(in)), 0);
	return s;
}

static int
dial_unix(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	CU_ASSERT_EQUAL_FATAL(connect(s, (struct sockaddr *)&un, sizeof(un)), 0);
	return s;
}

/* Sends the request and runs the loop until the server closes; gives the whole answer. */
static const char *
talk(int s, const char *request)
{
	static char buf[4 << 20];
	size_t n = 0;
	uint64_t end = uv_hrtime() + 4000000000ull;

	CU_ASSERT_EQUAL(send(s, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
	while (uv_hrtime() < end) {
		ssize_t r = recv(s, buf + n, sizeof(buf) - 1 - n, MSG_DONTWAIT);
		if (r == 0 || (r < 0 && errno != EAGAIN))
			break;
		if (r > 0) {
			n += (size_t)r;
			continue;
		}
		struct pollfd p[2] = {{s, POLLIN, 0}, {uv_backend_fd(&loop), POLLIN, 0}};
		int wait = uv_backend_timeout(&loop);
		poll(p, 2, wait < 0 || wait > 1000 ? 1000 : wait);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	CU_ASSERT(uv_hrtime() < end);
	close(s);
	buf[n] = 0;
	return buf;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static void
metrics_and_healthz_are_served_and_nothing_else(void)
{
	static const struct {
		const char *request, *begins, *holds;
	} rows[] = {
		{GET("/metrics"), "HTTP/1.1 200 ", "\nsluice_generation_active 12\n"},
		{GET("/metrics"), "HTTP/1.1 200 ", "Content-Type: text/plain; version=0.0.4"},
		{GET("/metrics?a=b"), "HTTP/1.1 200 ", "sluice_drops_total"},
		{GET("/healthz"), "HTTP/1.1 200 ", "\r\n\r\nok\n"},
		{GET("/"), "HTTP/1.1 404 ", "only /metrics"},
		{GET("/metrics/"), "HTTP/1.1 404 ", "only /metrics"},
		{"POST /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: "
		 "0\r\n\r\n",
		 "HTTP/1.1 405 ", "Allow: GET"},
		{"DELETE /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		 "HTTP/1.1 405 ", "Allow: GET"},
		{"GARBAGE\r\n\r\n", "", ""}, /* whatever: it ends, and the next one is served */
		{GET("/healthz"), "HTTP/1.1 200 ", "\r\n\r\nok\n"},
	};
	struct sl_metrics *m = up("127.0.0.1:0");

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const char *a = talk(dial(sl_metrics_port(m)), rows[i].request);
		if (strncmp(a, rows[i].begins, strlen(rows[i].begins)) ||
		    !strstr(a, rows[i].holds)) {
			printf("row %zu: %.200s\n", i, a);
			CU_FAIL("row");
		}
	}
	down(m);
}

static void
unavailable_figures_are_a_503(void)
{
	struct sl_metrics *m = up("127.0.0.1:0");

	f.snap.connected = false;
	CU_ASSERT(!strncmp(talk(dial(sl_metrics_port(m)), GET("/healthz")), "HTTP/1.1 503", 12));
	provider_rc = -ENOMEM;
	CU_ASSERT(!strncmp(talk(dial(sl_metrics_port(m)), GET("/metrics")), "HTTP/1.1 503", 12));
	down(m);
}

static void
count_turn(uv_prepare_t *h)
{
	(*(unsigned *)h->data)++;
}

static void
stop(uv_timer_t *t)
{
	uv_stop(t->loop);
}

/* Clients that say nothing are waited for with a timer (they are closed after 10 s), not by turning. */
static void
wait_is_idle(void)
{
	uv_prepare_t turns;
	uv_timer_t end;
	unsigned cnt = 0;

	CU_ASSERT(uv_backend_timeout(&loop) > 0 && uv_backend_timeout(&loop) <= 10000);
	uv_prepare_init(&loop, &turns);
	uv_timer_init(&loop, &end);
	turns.data = &cnt;
	uv_prepare_start(&turns, count_turn);
	uv_timer_start(&end, stop, 100, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	CU_ASSERT(cnt < 20);
	uv_close((uv_handle_t *)&turns, NULL);
	uv_close((uv_handle_t *)&end, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void
silent_clients_do_not_keep_others_out_nor_their_descriptors(void)
{
	struct sl_metrics *m = up("127.0.0.1:0");
	int idle[4];

	for (unsigned i = 0; i < 4; i++) {
		idle[i] = dial(sl_metrics_port(m));
		(void)!send(idle[i], "GET /met", 8, MSG_NOSIGNAL);
	}
	for (unsigned i = 0; i < 30; i++)
		CU_ASSERT(!strncmp(talk(dial(sl_metrics_port(m)), GET("/healthz")), "HTTP/1.1 200",
				   12));
	wait_is_idle();
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	CU_ASSERT(n < 30);
	for (unsigned i = 0; i < 4; i++)
		close(idle[i]);
	down(m);
}

static void
unix_socket_is_made_replaced_when_stale_and_removed(void)
{
	char dir[] = "/tmp/sluice-metrics-XXXXXX", where[64];
	struct stat st;
	struct sl_diag d = {0};
	struct sl_metrics *m, *second = NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(where, sizeof(where), "unix:%s/m", dir);
	/* left behind: bound, never removed */
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	strcpy(un.sun_path, where + 5);
	int stale = socket(AF_UNIX, SOCK_STREAM, 0);
	CU_ASSERT_EQUAL(bind(stale, (struct sockaddr *)&un, sizeof(un)), 0);
	close(stale);

	m = up(where);
	CU_ASSERT_EQUAL(sl_metrics_port(m), 0);
	CU_ASSERT_EQUAL(stat(where + 5, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
	CU_ASSERT_PTR_NOT_NULL(strstr(talk(dial_unix(where + 5), GET("/metrics")), "sluice_drops"));
	CU_ASSERT_EQUAL(sl_metrics_start(&loop, where, provide, &f, &d, &second), -EADDRINUSE);
	CU_ASSERT_EQUAL(d.cnt, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(talk(dial_unix(where + 5), GET("/healthz")), "ok\n"));
	down(m);
	CU_ASSERT_EQUAL(stat(where + 5, &st), -1);
	sl_diag_fini(&d);
	unlink(where + 5);
	rmdir(dir);
}

static void
addresses_that_are_not_loopback_are_refused_with_a_hint(void)
{
	static const char *const bad[] = {
		"",
		"9900",
		"127.0.0.1",
		"0.0.0.0:9900",
		"192.0.2.1:9900",
		"[::]:9900",
		"::1:9900",
		"[127.0.0.1]:80",
		"127.0.0.1:",
		"127.0.0.1:65536",
		"127.0.0.1:x",
		"127.0.0.1:-1",
		"localhost:9900",
		"unix:",
		"unix:relative",
		"[::1:9900",
		"127.0.0.1:+80",
		"[]:9900",
	};
	struct sl_metrics *m = NULL;

	uv_loop_init(&loop);
	for (size_t i = 0; i < SL_ARRAY_CNT(bad); i++) {
		struct sl_diag d = {0};
		int rc = sl_metrics_start(&loop, bad[i], provide, &f, &d, &m);
		if (rc != -EINVAL || d.cnt != 1 || !d.items[0].hint)
			printf("\"%s\": %d\n", bad[i], rc);
		CU_ASSERT_EQUAL(rc, -EINVAL);
		CU_ASSERT_EQUAL(d.cnt, 1);
		sl_diag_fini(&d);
	}
	CU_ASSERT_PTR_NULL(m);
	CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static void
port_in_use_is_said(void)
{
	struct sl_metrics *m = up("[::1]:0"), *second = NULL;
	struct sl_diag d = {0};
	char where[32];

	snprintf(where, sizeof(where), "[::1]:%u", sl_metrics_port(m));
	CU_ASSERT_EQUAL(sl_metrics_start(&loop, where, provide, &f, &d, &second), -EADDRINUSE);
	CU_ASSERT_EQUAL_FATAL(d.cnt, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(d.items[0].text, where));
	CU_ASSERT_PTR_NOT_NULL(d.items[0].hint);
	sl_diag_fini(&d);
	down(m);
}

SL_SUITE("metrics", SL_TEST(every_kind_of_series_has_its_labels_and_sum),
	 SL_TEST(every_drop_reason_but_none_has_a_series), SL_TEST(every_event_of_tcp_has_a_series),
	 SL_TEST(every_event_of_http_has_a_series), SL_TEST(every_event_of_tls_has_a_series),
	 SL_TEST(until_when_certificates_are_good_is_told_without_a_dataplane),
	 SL_TEST(shares_of_limits_are_told_of_those_that_have_them),
	 SL_TEST(questions_to_sources_have_their_age_and_trouble),
	 SL_TEST(the_registry_says_who_is_there_and_why_others_are_not),
	 SL_TEST(the_store_is_told_as_far_as_there_is_one),
	 SL_TEST(routes_and_hosts_begin_at_their_baseline_and_are_not_there_before),
	 SL_TEST(names_of_full_length_fit),
	 SL_TEST(every_family_has_help_and_type_once_and_before_its_samples),
	 SL_TEST(histograms_count_what_is_below_each_bound),
	 SL_TEST(counters_begin_at_the_baseline_of_their_incarnation),
	 SL_TEST(label_values_are_escaped), SL_TEST(states_are_given_without_a_dataplane),
	 SL_TEST(lying_segments_and_slots_are_refused),
	 SL_TEST(ten_thousand_endpoints_are_rendered_whole),
	 SL_TEST(metrics_and_healthz_are_served_and_nothing_else),
	 SL_TEST(unavailable_figures_are_a_503),
	 SL_TEST(silent_clients_do_not_keep_others_out_nor_their_descriptors),
	 SL_TEST(unix_socket_is_made_replaced_when_stale_and_removed),
	 SL_TEST(addresses_that_are_not_loopback_are_refused_with_a_hint),
	 SL_TEST(port_in_use_is_said))
