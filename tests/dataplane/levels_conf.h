/* levels_conf — services with levels, subsets and panic, of each policy that has a table. */
#ifndef SL_TESTS_LEVELS_CONF_H
#define SL_TESTS_LEVELS_CONF_H

#include "tests/dataplane/image_build.h"

/* Services in the order of their names; LEVELS_MAGLEV has the subsets "both" (b, c), "one" (a) and "void" (nobody: all). */
enum {
	LEVELS_MAGLEV,
	LEVELS_PANIC,
	LEVELS_PLAIN,
	LEVELS_RANDOM,
	LEVELS_RING,
	LEVELS_TURNS,
	LEVELS_SERVICES,
};

static const struct sl_test_endpoint levels_maglev[] = {
	{.addr = "10.0.0.11:80", .name = "a", .weight = 2, .subsets = 2},
	{.addr = "10.0.0.12:80", .name = "b", .subsets = 1},
	{.addr = "10.0.0.13:80", .name = "c", .level = 1, .subsets = 1},
	{.addr = "10.0.0.14:80", .name = "d", .level = 2, .weight = SL_TEST_WEIGHT_0},
};
static const struct sl_test_endpoint levels_mixed[] = {
	{.addr = "10.0.0.11:80", .name = "a"},
	{.addr = "10.0.0.12:80", .name = "b", .weight = 3, .subsets = 1},
	{.addr = "10.0.0.13:80", .name = "c", .weight = 2, .level = 1, .subsets = 1},
	{.addr = "10.0.0.14:80", .name = "d", .level = 1, .weight = SL_TEST_WEIGHT_0},
	{.addr = "10.0.0.15:80", .name = "e", .level = 1, .weight = 4},
};
#define LEVELS_OF(n, of, p, ...)                                                                   \
	{                                                                                          \
		.name = (n), .endpoints = (of), .endpoint_cnt = SL_ARRAY_CNT(of), .policy = (p),   \
		.forward = SL_FORWARD_PROXY, .max_endpoints = 5, __VA_ARGS__                       \
	}
static const struct sl_test_service levels_services[] = {
	LEVELS_OF("maglev", levels_maglev, SL_POLICY_MAGLEV,
		  .subsets = {{"both", false}, {"one", true}, {"void", true}}),
	{.name = "panic", .endpoints = levels_maglev, .endpoint_cnt = 2, .panic_pct = 30},
	{.name = "plain", .endpoints = levels_maglev, .endpoint_cnt = 2},
	LEVELS_OF("random", levels_mixed, SL_POLICY_RANDOM, .subsets = {{"s", false}}),
	LEVELS_OF("ring", levels_mixed, SL_POLICY_RING_HASH, .subsets = {{"s", true}}),
	LEVELS_OF("turns", levels_mixed, SL_POLICY_ROUND_ROBIN, .subsets = {{"s", false}}),
	{0}};
static const struct sl_test_address levels_addresses[] = {{"p0", "10.0.0.1/24"}, {0}};
static const struct sl_test_listener levels_listeners[] = {
	{.addr = "203.0.113.10:80", .service = "maglev"},
	{.addr = "203.0.113.10:81", .service = "turns"},
	{.addr = "203.0.113.10:82", .service = "panic"},
	{0}};
static const struct sl_test_conf levels_conf = {
	.addresses = levels_addresses, .services = levels_services, .listeners = levels_listeners};

#endif
