/* tls_conf — a small configuration with every record of TLS, for tests of objects and views. */
#ifndef SL_TESTS_TLS_CONF_H
#define SL_TESTS_TLS_CONF_H

#include "tests/dataplane/image_build.h"

static const struct sl_test_endpoint tls_eps[] = {{.addr = "10.0.0.11:443"}};
static const struct sl_test_endpoint tls_more_eps[] = {{.addr = "10.0.0.12:443"}};
static const struct sl_test_endpoint tls_raw_eps[] = {{.addr = "10.0.0.13:443"}};
static const struct sl_test_address tls_addresses[] = {{"p0", "10.0.0.1/24"}, {0}};

static const struct sl_test_service_tls tls_mesh = {
	.img = {.verify = 1,
		.resume = 1,
		.auto_sni = 1,
		.server_name = "web.internal",
		.certificate = "gw",
		.trust = {"mesh", "old-mesh"},
		.alpn = {{"http/1.1"}}},
	.sans = {"spiffe://td/ns/a/sa/web", "web.internal"}};
static const struct sl_test_service_tls tls_anybody = {
	.img = {.max_version = SL_TLS_1_2, .suites = SL_TLS_SUITE_CHACHA, .handshake_ms = 750}};

/* Services by ref, behind NETWORK and LISTENERS. */
enum { TLS_DB = 2, TLS_RAW, TLS_WEB };
static const struct sl_test_service tls_services[] = {{.name = "db",
						       .endpoints = tls_more_eps,
						       .endpoint_cnt = 1,
						       .forward = SL_FORWARD_PROXY,
						       .policy = SL_POLICY_ROUND_ROBIN,
						       .tls = &tls_anybody},
						      {.name = "raw",
						       .endpoints = tls_raw_eps,
						       .endpoint_cnt = 1,
						       .forward = SL_FORWARD_PROXY,
						       .policy = SL_POLICY_ROUND_ROBIN},
						      {.name = "web",
						       .endpoints = tls_eps,
						       .endpoint_cnt = 1,
						       .forward = SL_FORWARD_PROXY,
						       .policy = SL_POLICY_RING_HASH,
						       .tls = &tls_mesh},
						      {0}};

static const struct sl_test_tls tls_https = {
	.img = {.client = SL_TLS_CLIENT_REQUIRED, .tickets = 1, .alpn = {{"http/1.1"}, {"x"}}},
	.certs = {"shop", "wild"},
	.trust = {"mesh"},
	.sans = {"spiffe://td/ns/prod/*", "cl.example"}};
static const struct sl_test_tls tls_plain = {
	.img = {.min_version = SL_TLS_1_3, .groups = SL_TLS_GROUP_P256, .handshake_ms = 600000},
	.certs = {"db"}};

/* In the order they come to stand in. */
enum { TLS_L_HTTPS, TLS_L_CLEAR, TLS_L_DB, TLS_L_PASS, TLS_L_NAMES, TLS_LISTENERS };
static const struct sl_test_listener tls_listeners[] = {
	{.addr = "203.0.113.10:443", .service = "web", .tls = &tls_https},
	{.addr = "203.0.113.10:444", .service = "raw"},
	{.addr = "203.0.113.10:5432", .service = "db", .tls = &tls_plain},
	{.addr = "203.0.113.11:443",
	 .service = "raw",
	 .max_connections = 9,
	 .trusted = {"10.0.0.0/8"},
	 .snis = {{"a.example", "raw"}, {"*.b.example", "web"}}},
	{.addr = "203.0.113.12:443", .snis = {{"c.example", "db"}}},
	{0}};
static const struct sl_test_conf tls_conf = {
	.addresses = tls_addresses, .services = tls_services, .listeners = tls_listeners};

#endif
