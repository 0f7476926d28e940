#include "tests/suite.h"

#include <time.h>

#include "dataplane/neigh.h"
#include "tests/dataplane/levels_conf.h"

static const struct sl_test_endpoint web_eps[] = {
	{.addr = "10.0.0.11:80"}, {.addr = "10.0.0.12:8080"}, {.addr = "172.16.5.9"}};
static const struct sl_test_endpoint six_eps[] = {{.addr = "[2001:db8::11]:53"},
						  {.addr = "[2001:db8:9::1]:53"}};

/* Two families, an endpoint on-link and one behind a router in each, one service without endpoints. */
static const struct sl_test_address good_addresses[] = {
	{"p1", "10.0.0.1/24"}, {"p0", "192.0.2.2/24"}, {"p1", "2001:db8::1/64"}, {0}};
static const struct sl_test_route good_routes[] = {
	{"0.0.0.0/0", "192.0.2.1"}, {"172.16.0.0/16", "10.0.0.254"}, {"::/0", "2001:db8::fe"}, {0}};
static const struct sl_test_service good_services[] = {
	{.name = "web", .endpoints = web_eps, .endpoint_cnt = 3},
	{.name = "dns", .endpoints = six_eps, .endpoint_cnt = 2, .policy = SL_POLICY_ROUND_ROBIN},
	{.name = "empty", .family = 4},
	{0}};
static const struct sl_test_listener good_listeners[] = {
	{.addr = "203.0.113.10:80", .service = "web"},
	{.addr = "203.0.113.10:443", .service = "web"},
	{.addr = "203.0.113.10:80", .service = "web", .proto = SL_IPPROTO_UDP},
	{.addr = "203.0.113.11:80", .service = "empty"},
	{.addr = "[2001:db8:f::1]:53", .service = "dns", .proto = SL_IPPROTO_UDP},
	{0}};

static struct sl_test_conf
good_conf(void)
{
	return (struct sl_test_conf){
		.generation = 7,
		.addresses = good_addresses,
		.routes = good_routes,
		.services = good_services,
		.listeners = good_listeners,
	};
}

static uint32_t
listener_at(const struct sl_view *v, const char *text, uint8_t proto)
{
	struct sl_addr a;
	sl_be16 port;

	sl_test_addr_port(text, &a, &port);
	return sl_view_listener(v, &a, port, proto);
}

static void
listener_is_found_by_address_port_and_protocol_only(void)
{
	static const struct {
		const char *at;
		uint8_t proto;
		const char *service, *why;
	} rows[] = {
		{"203.0.113.10:80", SL_IPPROTO_TCP, "web", "exact"},
		{"203.0.113.10:443", SL_IPPROTO_TCP, "web", "other port"},
		{"203.0.113.10:80", SL_IPPROTO_UDP, "web", "same address and port, UDP"},
		{"203.0.113.11:80", SL_IPPROTO_TCP, "empty", "service without endpoints"},
		{"[2001:db8:f::1]:53", SL_IPPROTO_UDP, "dns", "IPv6"},
		{"203.0.113.10:443", SL_IPPROTO_UDP, NULL, "no UDP there"},
		{"203.0.113.10:81", SL_IPPROTO_TCP, NULL, "port without listener"},
		{"203.0.113.12:80", SL_IPPROTO_TCP, NULL, "address without listener"},
		{"[2001:db8:f::1]:53", SL_IPPROTO_TCP, NULL, "no TCP there"},
		{"10.0.0.1:80", SL_IPPROTO_TCP, NULL, "own address"},
	};
	struct sl_test_conf conf = good_conf();
	struct sl_view *v = sl_test_view(&conf);

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint32_t l = listener_at(v, rows[i].at, rows[i].proto);
		const char *got =
			l == SL_VIEW_NONE ? NULL : v->services[v->listener_service[l]].img->name;
		bool same = got && rows[i].service ? strcmp(got, rows[i].service) == 0
						   : got == rows[i].service;
		if (!same)
			printf("\n  %s: %s\n", rows[i].at, rows[i].why);
		CU_ASSERT(same);
	}
	sl_test_view_free(v);
}

static void
hop_leads_to_the_endpoint_or_its_router(void)
{
	static const struct {
		uint32_t slot;
		const char *addr, *next;
		uint16_t port, out;
		const char *why;
	} rows[] = {
		{0, "10.0.0.11", "10.0.0.11", 80, 1, "on-link"},
		{1, "10.0.0.12", "10.0.0.12", 8080, 1, "on-link"},
		{2, "172.16.5.9", "10.0.0.254", 0, 1, "routed, port kept"},
		{3, "2001:db8::11", "2001:db8::11", 53, 1, "IPv6 on-link"},
		{4, "2001:db8:9::1", "2001:db8::fe", 53, 1, "IPv6 by the default route"},
	};
	struct sl_test_conf conf = good_conf();
	struct sl_view *v = sl_test_view(&conf);

	CU_ASSERT_EQUAL_FATAL(v->hop_cnt, 5);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct sl_hop *h = &v->hops[rows[i].slot];
		struct sl_addr addr = sl_test_addr(rows[i].addr), next = sl_test_addr(rows[i].next);
		const struct sl_service *s = &v->services[h->service];
		bool ok = sl_addr_eq(&h->addr, &addr) && sl_addr_eq(&h->next, &next) &&
			  h->port == sl_to_be16(rows[i].port) && h->out_port == rows[i].out &&
			  h->incarnation == 1 && s->endpoints[h->endpoint].slot == rows[i].slot &&
			  h->neigh == SL_NEIGH_NONE && h->address < v->address_cnt &&
			  v->address_port[h->address] == h->out_port;
		if (!ok)
			printf("\n  slot %u: %s\n", rows[i].slot, rows[i].why);
		CU_ASSERT(ok);
	}
	CU_ASSERT_EQUAL(v->generation, 7);
	sl_test_view_free(v);
}

static void
local_tells_own_addresses_from_vips(void)
{
	struct sl_test_conf conf = good_conf();
	struct sl_view *v = sl_test_view(&conf);
	struct sl_addr own = sl_test_addr("192.0.2.2"), vip = sl_test_addr("203.0.113.10");
	struct sl_addr vip6 = sl_test_addr("2001:db8:f::1"), other = sl_test_addr("10.0.0.11");

	const struct sl_local *l = sl_view_local(v, &own);
	CU_ASSERT_PTR_NOT_NULL_FATAL(l);
	CU_ASSERT(l->address != SL_VIEW_NONE && v->address_port[l->address] == 0);
	l = sl_view_local(v, &vip);
	CU_ASSERT(l && l->address == SL_VIEW_NONE);
	l = sl_view_local(v, &vip6);
	CU_ASSERT(l && l->address == SL_VIEW_NONE);
	CU_ASSERT_PTR_NULL(sl_view_local(v, &other));
	sl_test_view_free(v);
}

/* Of three services the first and the last draw by weight. */
static void
services_that_draw_by_weight_have_their_sums(void)
{
	static const struct sl_test_endpoint eps[] = {
		{.addr = "10.0.0.11:80", .weight = 3},
		{.addr = "10.0.0.12:80", .weight = SL_TEST_WEIGHT_0},
		{.addr = "10.0.0.13:80", .weight = 256}};
	static const struct sl_test_service services[] = {
		{.name = "a",
		 .endpoints = eps,
		 .endpoint_cnt = 3,
		 .policy = SL_POLICY_LEAST_REQUEST,
		 .forward = SL_FORWARD_PROXY},
		{.name = "b", .endpoints = eps, .endpoint_cnt = 2, .forward = SL_FORWARD_PROXY},
		{.name = "c",
		 .endpoints = eps + 1,
		 .endpoint_cnt = 2,
		 .policy = SL_POLICY_RANDOM,
		 .forward = SL_FORWARD_PROXY},
		{0}};
	struct sl_test_conf conf = good_conf();

	conf.services = services;
	conf.listeners = (const struct sl_test_listener[]){{0}};
	struct sl_view *v = sl_test_view(&conf);
	const struct sl_service *s = v->services;
	CU_ASSERT_TRUE(s[0].top.weight_sums[0] == 3 && s[0].top.weight_sums[1] == 3 &&
		       s[0].top.weight_sums[2] == 259);
	CU_ASSERT_PTR_NULL(s[1].top.weight_sums);
	CU_ASSERT_TRUE(s[2].top.weight_sums[0] == 0 && s[2].top.weight_sums[1] == 256);
	sl_test_view_free(v);
}

static bool
level_is(const struct sl_level *l, uint32_t cnt, uint16_t first)
{
	return l->member_cnt == cnt && (l->members ? l->members[0] : 0) == first;
}

static void
sets_are_the_whole_and_the_subsets_by_name(void)
{
	struct sl_view *v = sl_test_view(&levels_conf);
	const struct sl_service *s = &v->services[LEVELS_MAGLEV];
	const struct sl_set *both = sl_choose_set(s, sl_choose_subset("both")),
			    *one = sl_choose_set(s, sl_choose_subset("one")),
			    *none = sl_choose_set(s, sl_choose_subset("void"));

	CU_ASSERT_FATAL(s->set_cnt == 4 && s->sets && sl_choose_set(s, 0) == s->sets);
	CU_ASSERT_FATAL(s->sets[0].level_cnt == 3 && both == &s->sets[1] && one == &s->sets[2]);
	CU_ASSERT(level_is(&s->top, 2, 0) && level_is(&s->sets[0].levels[0], 2, 0));
	CU_ASSERT(level_is(&s->sets[0].levels[1], 1, 2) && level_is(&s->sets[0].levels[2], 1, 3));
	CU_ASSERT_FATAL(both->level_cnt == 2 && one->level_cnt == 1);
	CU_ASSERT(level_is(&both->levels[0], 1, 1) && level_is(&both->levels[1], 1, 2));
	CU_ASSERT(level_is(&one->levels[0], 1, 0));
	/* nobody is in it, and anybody may do */
	CU_ASSERT(none == &s->sets[3] && none->levels == s->sets[0].levels &&
		  none->shares == s->sets[0].shares);
	CU_ASSERT_PTR_NULL(sl_choose_set(s, sl_choose_subset("gone")));
	CU_ASSERT_PTR_NULL(sl_choose_set(s, SL_CHOOSE_NO_SUBSET));
	/* shares where there is something to share, or a panic to see; each worker has its own */
	CU_ASSERT(s->sets[0].shares < v->share_cnt && both->shares < v->share_cnt);
	CU_ASSERT(s->sets[0].shares != both->shares);
	CU_ASSERT_EQUAL(one->shares == SL_VIEW_NONE, s->panic_pct == 0);
	CU_ASSERT_PTR_NULL(sl_view_shares(v, v->share_workers, both));
	CU_ASSERT(v->services[LEVELS_PANIC].sets->shares != SL_VIEW_NONE);
	CU_ASSERT_PTR_NULL(v->services[LEVELS_PLAIN].sets);
	CU_ASSERT_PTR_NULL(sl_choose_set(&v->services[LEVELS_PLAIN], 0));
	sl_test_view_free(v);
}

static void
an_empty_configuration_makes_a_view_that_finds_nothing(void)
{
	struct sl_test_conf conf = {0};
	struct sl_view *v = sl_test_view(&conf);
	struct sl_addr a = sl_test_addr("10.0.0.1");

	CU_ASSERT_EQUAL(listener_at(v, "10.0.0.1:80", SL_IPPROTO_TCP), SL_VIEW_NONE);
	CU_ASSERT_PTR_NULL(sl_view_local(v, &a));
	CU_ASSERT_EQUAL(v->hop_cnt, 0);
	sl_test_view_free(v);
}

/* ---- wide listeners ---- */

static const struct sl_test_listener wide[] = {
	{.addr = "203.0.113.0:1", .plen = 24, .last = 65535, .service = "a", .name = "any24"},
	{.addr = "203.0.113.0:80", .plen = 24, .service = "a", .name = "one24"},
	{.addr = "203.0.113.0:80", .plen = 24, .last = 90, .service = "a", .name = "low24"},
	{.addr = "203.0.113.0:91", .plen = 24, .last = 100, .service = "a", .name = "high24"},
	{.addr = "203.0.113.0:85", .plen = 24, .service = "a", .name = "mid24"},
	{.addr = "203.0.113.0:86", .plen = 24, .service = "a", .name = "mid24b"},
	{.addr = "203.0.113.0:100", .plen = 24, .service = "a", .name = "end24"},
	{.addr = "203.0.113.0:300", .plen = 24, .service = "a", .name = "alone24"},
	{.addr = "203.0.113.0:53", .plen = 24, .proto = 17, .service = "a", .name = "udp24"},
	{.addr = "203.0.113.128:443", .plen = 25, .service = "a", .name = "one25"},
	{.addr = "203.0.113.200:443", .service = "a", .name = "exact"},
	{.addr = "203.0.113.200:440", .last = 450, .service = "a", .name = "range"},
	{.addr = "203.0.0.0:65535", .plen = 16, .service = "a", .name = "last16"},
	{.addr = "203.0.0.0:1", .plen = 16, .service = "a", .name = "first16"},
	{.addr = "198.51.100.7:1", .last = 65535, .service = "a", .name = "host"},
	{.addr = "[2001:db8:f::]:1", .plen = 48, .last = 65535, .service = "t", .name = "six48"},
	{.addr = "[2001:db8:f::8]:443", .plen = 125, .service = "t", .name = "six125"},
	{0}};

static void
the_longest_prefix_and_then_the_narrowest_ports_win(void)
{
	static const struct {
		const char *at;
		uint8_t proto;
		const char *name;
	} rows[] = {
		{"203.0.113.1:80", 6, "one24"},       {"203.0.113.1:81", 6, "low24"},
		{"203.0.113.1:84", 6, "low24"},       {"203.0.113.1:85", 6, "mid24"},
		{"203.0.113.1:86", 6, "mid24b"},      {"203.0.113.1:87", 6, "low24"},
		{"203.0.113.1:90", 6, "low24"},       {"203.0.113.1:91", 6, "high24"},
		{"203.0.113.1:99", 6, "high24"},      {"203.0.113.1:100", 6, "end24"},
		{"203.0.113.1:101", 6, "any24"},      {"203.0.113.1:79", 6, "any24"},
		{"203.0.113.1:300", 6, "alone24"},    {"203.0.113.1:299", 6, "any24"},
		{"203.0.113.1:301", 6, "any24"},      {"203.0.113.1:1", 6, "any24"},
		{"203.0.113.1:65535", 6, "any24"},    {"203.0.113.255:443", 6, "one25"},
		{"203.0.113.255:80", 6, "one24"},     {"203.0.113.127:443", 6, "any24"},
		{"203.0.113.200:443", 6, "exact"},    {"203.0.113.200:440", 6, "range"},
		{"203.0.113.200:450", 6, "range"},    {"203.0.113.200:451", 6, "any24"},
		{"203.0.113.200:53", 17, "udp24"},    {"203.0.113.200:443", 17, NULL},
		{"203.0.112.1:65535", 6, "last16"},   {"203.0.112.1:1", 6, "first16"},
		{"203.0.112.1:2", 6, NULL},           {"203.1.0.0:1", 6, NULL},
		{"198.51.100.7:9", 6, "host"},        {"198.51.100.7:9", 17, NULL},
		{"198.51.100.8:9", 6, NULL},          {"[2001:db8:f:1::]:9", 6, "six48"},
		{"[2001:db8:f::f]:443", 6, "six125"}, {"[2001:db8:f::f]:442", 6, "six48"},
		{"[2001:db8:f::10]:443", 6, "six48"}, {"[2001:db8:10::]:443", 6, NULL},
	};
	static const struct sl_test_endpoint e[] = {{.addr = "10.0.0.9"}};
	struct sl_test_conf conf = {
		.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/24"}),
		.services = SL_TEST_LIST(struct sl_test_service, {.name = "a"},
					 {.name = "t",
					  .endpoints = e,
					  .endpoint_cnt = 1,
					  .forward = SL_FORWARD_IPIP}),
		.listeners = wide,
	};
	struct sl_view *v = sl_test_view(&conf);

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		uint32_t l = listener_at(v, rows[i].at, rows[i].proto);
		const char *got = l == SL_VIEW_NONE ? "" : v->listeners[l].name;
		if (strcmp(got, rows[i].name ? rows[i].name : "") != 0)
			printf("  %s: %s\n", rows[i].at, got);
		CU_ASSERT_STRING_EQUAL(got, rows[i].name ? rows[i].name : "");
	}
	static const struct {
		const char *addr;
		bool vip, local;
	} vips[] = {{"203.0.113.5", true, false},   {"203.0.1.1", true, false},
		    {"203.1.1.1", false, false},    {"203.0.113.200", true, true},
		    {"198.51.100.7", true, true},   {"2001:db8:f:9::", true, false},
		    {"2001:db8:e::", false, false}, {"10.0.0.1", false, true}};
	for (unsigned i = 0; i < SL_ARRAY_CNT(vips); i++) {
		struct sl_addr a = sl_test_addr(vips[i].addr);
		CU_ASSERT_EQUAL(sl_view_vip(v, &a), vips[i].vip);
		CU_ASSERT_EQUAL(sl_view_local(v, &a) != NULL, vips[i].local);
	}
	CU_ASSERT_PTR_NULL(sl_test_view_walk(v));
	sl_test_view_free(v);
}

/* Judge: every listener looked at, the rule of image.h word by word. */
static uint32_t
judge(const struct sl_view *v, const struct sl_addr *a, uint16_t port, uint8_t proto)
{
	uint32_t best = SL_VIEW_NONE;

	for (uint32_t i = 0; i < v->listener_cnt; i++) {
		const struct sl_img_listener *l = &v->listeners[i], *b = &v->listeners[best];
		uint16_t lo = sl_from_be16(l->port_be), hi = sl_from_be16(l->port_last_be);
		if (l->proto != proto || port < lo || port > hi ||
		    !sl_addr_in(a, &l->addr, l->plen))
			continue;
		if (best == SL_VIEW_NONE || l->plen > b->plen ||
		    (l->plen == b->plen &&
		     hi - lo < sl_from_be16(b->port_last_be) - sl_from_be16(b->port_be)))
			best = i;
	}
	return best;
}

static void
every_packet_finds_the_listener_that_the_rule_names(void)
{
	static const struct sl_test_endpoint e[] = {{.addr = "10.0.0.9"}};
	struct sl_test_conf conf = {
		.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/24"}),
		.services = SL_TEST_LIST(struct sl_test_service, {.name = "a"},
					 {.name = "t",
					  .endpoints = e,
					  .endpoint_cnt = 1,
					  .forward = SL_FORWARD_IPIP}),
		.listeners = wide,
	};
	struct sl_view *v = sl_test_view(&conf);
	static const char *const addrs[] = {"203.0.113.0",   "203.0.113.127", "203.0.113.128",
					    "203.0.113.200", "203.0.7.7",     "198.51.100.7",
					    "2001:db8:f::8", "2001:db8:f::1"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(addrs); i++) {
		struct sl_addr a = sl_test_addr(addrs[i]);
		unsigned differ = 0;
		for (uint32_t port = 1; port <= UINT16_MAX; port++)
			differ += sl_view_listener(v, &a, sl_to_be16(port), 6) !=
				  judge(v, &a, (uint16_t)port, 6);
		CU_ASSERT_EQUAL(differ, 0);
		CU_ASSERT_EQUAL(sl_view_listener(v, &a, 0, 6), SL_VIEW_NONE);
		CU_ASSERT_EQUAL(sl_view_listener(v, &a, sl_to_be16(80), 0), SL_VIEW_NONE);
		CU_ASSERT_EQUAL(sl_view_listener(v, &a, sl_to_be16(80), 1), SL_VIEW_NONE);
	}
	sl_test_view_free(v);
}

static void
sources_are_answered_for_and_tunnels_have_one(void)
{
	static const struct sl_test_endpoint far[] = {{.addr = "2001:db8:9::1"}};
	struct sl_test_conf conf = {
		.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/24"},
					  {"p0", "fe80::1/64"}, {"p0", "2001:db8::1/64"}),
		.routes = SL_TEST_LIST(struct sl_test_route, {"::/0", "fe80::2"}),
		.services = SL_TEST_LIST(struct sl_test_service,
					 {.name = "f",
					  .forward = SL_FORWARD_FULLNAT,
					  .sources = {"10.0.0.7", "10.0.0.1"}},
					 {.name = "t",
					  .endpoints = far,
					  .endpoint_cnt = 1,
					  .forward = SL_FORWARD_GUE}),
	};
	struct sl_view *v = sl_test_view(&conf);
	struct sl_addr a = sl_test_addr("10.0.0.7"), own = sl_test_addr("10.0.0.1"),
		       global = sl_test_addr("2001:db8::1");

	CU_ASSERT_EQUAL_FATAL(v->services[0].source_cnt, 2);
	CU_ASSERT(sl_addr_eq(&v->services[0].sources[1], &a));
	CU_ASSERT(sl_view_local(v, &a) && sl_view_local(v, &a)->kind == SL_LOCAL_SOURCE);
	CU_ASSERT(sl_view_local(v, &own) && sl_view_local(v, &own)->kind == SL_LOCAL_OWN);
	CU_ASSERT_FALSE(sl_view_vip(v, &a));
	CU_ASSERT_EQUAL(v->services[1].gue_port, sl_to_be16(6080));
	/* A link-local address cannot be where a tunnel comes from. */
	CU_ASSERT(sl_addr_eq(&v->addresses[v->hops[0].address].addr, &global));
	sl_test_view_free(v);
}

static void
connections_have_a_source_and_listeners_trust_their_own(void)
{
	static const struct sl_test_endpoint eps4[] = {{.addr = "10.0.0.11:80"}};
	static const struct sl_test_endpoint eps6[] = {{.addr = "2001:db8:9::1"}};
	struct sl_test_conf conf = {
		.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/24"},
					  {"p0", "fe80::1/64"}, {"p0", "2001:db8::1/64"}),
		.routes = SL_TEST_LIST(struct sl_test_route, {"::/0", "fe80::2"}),
		.services = SL_TEST_LIST(struct sl_test_service,
					 {.name = "four",
					  .endpoints = eps4,
					  .endpoint_cnt = 1,
					  .forward = SL_FORWARD_PROXY,
					  .sources = {"10.0.0.7", "10.0.0.8"}},
					 {.name = "six",
					  .endpoints = eps6,
					  .endpoint_cnt = 1,
					  .forward = SL_FORWARD_PROXY}),
		.listeners = SL_TEST_LIST(
			struct sl_test_listener,
			{.addr = "203.0.113.1:80", .service = "six", .trusted = {"10.0.0.0/8"}},
			{.addr = "203.0.113.2:80", .service = "four"},
			{.addr = "[2001:db8:f::1]:80",
			 .service = "four",
			 .trusted = {"::/0", "192.0.2.0/24"}}),
	};
	struct sl_view *v = sl_test_view(&conf);
	struct sl_addr a = sl_test_addr("10.0.0.7"), global = sl_test_addr("2001:db8::1"),
		       in = sl_test_addr("10.255.0.1"), in6 = sl_test_addr("2001:db8::99");
	const struct sl_img_listener *l = v->listeners;
	uint32_t cnt;

	const struct sl_addr *s = sl_view_source(v, &v->hops[0], &cnt);
	CU_ASSERT_EQUAL(v->hops[0].forward, SL_FORWARD_PROXY);
	CU_ASSERT(cnt == 2 && sl_addr_eq(&s[0], &a));
	CU_ASSERT(sl_view_local(v, &a) && sl_view_local(v, &a)->kind == SL_LOCAL_SOURCE);
	/* A link-local address is none to reach another network from. */
	s = sl_view_source(v, &v->hops[1], &cnt);
	CU_ASSERT(cnt == 1 && sl_addr_eq(s, &global));

	CU_ASSERT(sl_prefixes_hold(v->trust + l[0].trust_first, l[0].trust_cnt, &in));
	CU_ASSERT_FALSE(sl_prefixes_hold(v->trust + l[0].trust_first, l[0].trust_cnt, &in6));
	CU_ASSERT_EQUAL(l[1].trust_cnt, 0);
	CU_ASSERT_FALSE(sl_prefixes_hold(v->trust + l[2].trust_first, l[2].trust_cnt, &in));
	CU_ASSERT(sl_prefixes_hold(v->trust + l[2].trust_first, l[2].trust_cnt, &in6));
	sl_test_view_free(v);
}

/* ---- refusals ---- */

static bool
says(const struct sl_diag *d, const char *text)
{
	char line[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		if (strstr(line, text))
			return true;
	}
	return false;
}

static void
print_diag(const struct sl_diag *d)
{
	char line[2048];

	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		printf("\n    said: %s\n", line);
	}
}

#define EPS(...) .endpoints = (const struct sl_test_endpoint[]){__VA_ARGS__}, .endpoint_cnt = 1

static void
contradictions_between_objects_are_refused_and_named(void)
{
	const struct {
		struct sl_test_service service;
		struct sl_test_listener listener;
		struct sl_test_address address;
		struct sl_test_route route;
		const char *says, *hint, *why;
	} rows[] = {
		{{.name = "x", EPS({.addr = "10.9.0.1:80"})},
		 {0},
		 {0},
		 {"172.16.0.0/12", "10.0.0.254"},
		 "endpoint \"e0\" of service \"x\" at 10.9.0.1: no route to it",
		 "addresses: 10.0.0.1/24 on p0; routes: 172.16.0.0/12 via 10.0.0.254",
		 "no route"},
		{{.name = "x", EPS({.addr = "10.9.0.1:80"}), .forward = SL_FORWARD_DSR},
		 {0},
		 {0},
		 {"0.0.0.0/0", "10.0.0.254"},
		 "forward \"dsr\" needs it on-link",
		 "via 10.0.0.254",
		 "dsr behind a router"},
		{{.name = "x", EPS({.addr = "10.0.0.1:80"})},
		 {0},
		 {0},
		 {0},
		 "that is an address of the gateway",
		 "another machine",
		 "endpoint is the gateway"},
		{{.name = "x", EPS({.addr = "10.0.0.77:80", .slot = 1})},
		 {0},
		 {0},
		 {0},
		 "slot 1 is that of endpoint \"e1\" of service \"base\"",
		 NULL,
		 "slot taken twice"},
		{{.name = "x", .family = 6},
		 {.addr = "203.0.113.1:80", .service = "x"},
		 {0},
		 {0},
		 "listener \"l0\" is at 203.0.113.1, but service \"x\" is IPv6",
		 "one family",
		 "families differ"},
		{{.name = "x"},
		 {.addr = "10.0.0.1:80", .service = "x"},
		 {0},
		 {0},
		 "listener \"l0\": 10.0.0.1 is the gateway's own address on port \"p0\"",
		 "address of its own",
		 "VIP is an own address"},
		{{.name = "x"},
		 {0},
		 {"p7", "10.7.0.1/24"},
		 {0},
		 "address 10.7.0.1/24 is on port \"p7\", which does not exist",
		 "ports: p0, p1",
		 "unknown port"},
		{{.name = "x"},
		 {0},
		 {0},
		 {"10.8.0.0/16", "10.9.9.9"},
		 "route 10.8.0.0/16 goes via 10.9.9.9, which no address makes on-link",
		 "10.0.0.1/24 on p0",
		 "via not on-link"},
		{{.name = "x"},
		 {.addr = "10.0.0.0:80", .plen = 29, .service = "x"},
		 {0},
		 {0},
		 "listener \"l0\": 10.0.0.0/29 holds 10.0.0.1, the gateway's own address",
		 "leave it out",
		 "VIPs around an own address"},
		{{.name = "x", .forward = SL_FORWARD_FULLNAT, .sources = {"203.0.113.9"}},
		 {.addr = "203.0.113.0:80", .plen = 24, .service = "x"},
		 {0},
		 {0},
		 "listener \"l0\": 203.0.113.0/24 holds 203.0.113.9, a source of a fullnat service",
		 "outside",
		 "VIPs around a source"},
		{{.name = "x", .forward = SL_FORWARD_FULLNAT, .sources = {"203.0.113.9"}},
		 {.addr = "203.0.113.9:80", .service = "x"},
		 {0},
		 {0},
		 "service \"x\": 203.0.113.9 is a listener's address",
		 "of its own",
		 "source is a VIP"},
		{{.name = "x", .forward = SL_FORWARD_FULLNAT, .sources = {"10.0.0.11"}},
		 {0},
		 {0},
		 {0},
		 "endpoint \"e0\" of service \"base\" at 10.0.0.11: that is an address of the "
		 "gateway",
		 "another machine",
		 "source is an endpoint"},
		{{.name = "x"},
		 {.addr = "10.0.0.8:80", .plen = 30, .service = "x"},
		 {0},
		 {0},
		 "endpoint \"e0\" of service \"base\" at 10.0.0.11: that is an address of the "
		 "gateway",
		 "another machine",
		 "VIPs around an endpoint"},
		{{.name = "x", EPS({.addr = "2001:db8::9"}), .forward = SL_FORWARD_IPIP},
		 {0},
		 {"p1", "fe80::1/64"},
		 {"::/0", "fe80::2"},
		 "there is no source to reach it from: port \"p1\" has no IPv6 address but "
		 "link-local ones",
		 "tunnel_source",
		 "tunnel from a link-local address"},
		{{.name = "x", EPS({.addr = "2001:db8::9"}), .forward = SL_FORWARD_PROXY},
		 {0},
		 {"p1", "fe80::1/64"},
		 {"::/0", "fe80::2"},
		 "no IPv6 address but link-local ones, and the service has no sources",
		 "give the service sources",
		 "connections from a link-local address"},
		{{.name = "x", .forward = SL_FORWARD_PROXY, .sources = {"203.0.113.9"}},
		 {.addr = "203.0.113.0:80", .plen = 24, .service = "x"},
		 {0},
		 {0},
		 "listener \"l0\": 203.0.113.0/24 holds 203.0.113.9, a source of a proxy service",
		 "outside",
		 "VIPs around a source of connections"},
		{{.name = "x"},
		 {.addr = "203.0.113.1:80", .service = "x", .mode = SL_MODE_TCP},
		 {0},
		 {0},
		 "listener \"l0\" has mode \"tcp\", but service \"x\" has forward \"nat\"",
		 "go together",
		 "mode tcp needs forward proxy"},
		{{.name = "x", .forward = SL_FORWARD_PROXY},
		 {.addr = "203.0.113.1:80", .service = "x", .mode = SL_MODE_L4},
		 {0},
		 {0},
		 "listener \"l0\" has mode \"l4\", but service \"x\" has forward \"proxy\"",
		 "go together",
		 "forward proxy needs mode tcp"},
		{{.name = "base"},
		 {0},
		 {0},
		 {0},
		 "service \"base\" has the name of refs[2]",
		 NULL,
		 "name twice"},
	};
	static const struct sl_test_endpoint base[] = {{.addr = "10.0.0.11:80"},
						       {.addr = "10.0.0.12:80"}};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_test_conf conf = {
			.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/24"},
						  rows[i].address),
			.routes = SL_TEST_LIST(struct sl_test_route, rows[i].route),
			.services =
				SL_TEST_LIST(struct sl_test_service,
					     {.name = "base", .endpoints = base, .endpoint_cnt = 2},
					     rows[i].service),
			.listeners = SL_TEST_LIST(struct sl_test_listener, rows[i].listener),
		};
		struct sl_test_image im;
		struct sl_diag d = {0};
		struct sl_view *v = NULL;
		sl_test_image_build(&conf, &im);
		int err = sl_test_image_view(&im, &conf, &d, &v);
		bool ok = err == -22 && !v && d.cnt == 1 && says(&d, rows[i].says) &&
			  (!rows[i].hint || says(&d, rows[i].hint));
		if (!ok) {
			printf("\n  %s: %d\n", rows[i].why, err);
			print_diag(&d);
		}
		CU_ASSERT(ok);
		sl_view_destroy(v);
		sl_diag_fini(&d);
		sl_test_image_free(&im);
	}
}

static void
all_problems_are_reported_at_once(void)
{
	struct sl_test_conf conf = {
		.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/24"},
					  {"nix", "10.0.7.1/24"}),
		.services = SL_TEST_LIST(struct sl_test_service,
					 {.name = "a", EPS({.addr = "10.9.0.1:80"})},
					 {.name = "b", EPS({.addr = "10.9.0.2:80"})}),
		.listeners = SL_TEST_LIST(struct sl_test_listener,
					  {.addr = "10.0.0.1:80", .service = "a"}),
	};
	struct sl_test_image im;
	struct sl_diag d = {0};
	struct sl_view *v = NULL;

	sl_test_image_build(&conf, &im);
	CU_ASSERT_EQUAL(sl_test_image_view(&im, &conf, &d, &v), -22);
	CU_ASSERT_EQUAL(d.cnt, 4);
	CU_ASSERT(says(&d, "\"nix\""));
	CU_ASSERT(says(&d, "10.9.0.1: no route"));
	CU_ASSERT(says(&d, "10.9.0.2: no route"));
	CU_ASSERT(says(&d, "own address"));
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

static void
references_that_point_nowhere_are_refused(void)
{
	struct sl_test_conf conf = good_conf();
	struct sl_test_image im;
	struct sl_diag d = {0};
	struct sl_view *v = NULL;

	sl_test_image_build(&conf, &im);
	struct sl_img_listeners *ls = sl_test_bytes(&im.objs[1]);
	struct sl_img_listener *l = (void *)((char *)ls + ls->listener_off);
	l[0].ref = 2 + 3; /* one past the last service */
	sl_test_image_reseal(&im);
	CU_ASSERT_EQUAL(sl_test_image_view(&im, &conf, &d, &v), -22);
	CU_ASSERT(says(&d, "is 5, the root has 3 services from ref 2"));
	sl_diag_fini(&d);
	sl_test_image_free(&im);
}

/* ---- pins ---- */

static void
a_view_is_pinned_while_any_worker_holds_it(void)
{
	struct sl_test_conf conf = {0};
	struct sl_view *v = sl_test_view(&conf);

	CU_ASSERT_FALSE(sl_view_pinned(v));
	sl_view_pin(v, 0);
	sl_view_pin(v, 63);
	sl_view_pin(v, 63);
	sl_view_unpin(v, 0);
	CU_ASSERT_TRUE(sl_view_pinned(v));
	sl_view_unpin(v, 63);
	CU_ASSERT_TRUE(sl_view_pinned(v));
	sl_view_unpin(v, 63);
	CU_ASSERT_FALSE(sl_view_pinned(v));
	sl_test_view_free(v);
}

/* ---- size ---- */

static void
ten_thousand_endpoints_are_all_reachable(void)
{
	enum { SERVICES = 1000, EACH = 10 };
	static struct sl_test_service s[SERVICES];
	static struct sl_test_endpoint e[SERVICES][EACH];
	static struct sl_test_listener l[SERVICES];
	static char text[SERVICES][2][32], eps[SERVICES][EACH][32];
	struct timespec t0, t1;

	for (int i = 0; i < SERVICES; i++) {
		snprintf(text[i][0], 32, "svc-%d", i);
		snprintf(text[i][1], 32, "203.0.%d.%d:80", i / 250, i % 250 + 1);
		for (int k = 0; k < EACH; k++) {
			snprintf(eps[i][k], 32, "10.%d.%d.%d:80", i / 250 + 1, i % 250, k + 1);
			e[i][k].addr = eps[i][k];
		}
		s[i] = (struct sl_test_service){
			.name = text[i][0], .endpoints = e[i], .endpoint_cnt = EACH};
		l[i] = (struct sl_test_listener){.addr = text[i][1], .service = text[i][0]};
	}
	struct sl_test_conf conf = {
		.addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/8"}),
		.services = s,
		.service_cnt = SERVICES,
		.listeners = l,
		.listener_cnt = SERVICES,
	};
	struct sl_test_image im;
	struct sl_view *v = NULL;
	sl_test_image_build(&conf, &im);
	struct sl_view_ports ports = {.cnt = 1, .name = {"p0"}};
	clock_gettime(CLOCK_MONOTONIC, &t0);
	CU_ASSERT_EQUAL_FATAL(
		sl_view_create(&im.root, &im.root_id, 1, im.objs, im.obj_cnt, &ports, NULL, &v), 0);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	printf("(view of 10,000 endpoints: %.2f ms) ",
	       (double)(t1.tv_sec - t0.tv_sec) * 1e3 + (double)(t1.tv_nsec - t0.tv_nsec) / 1e6);
	CU_ASSERT_EQUAL(v->hop_cnt, SERVICES * EACH);
	for (int i = 0; i < SERVICES; i++) {
		uint32_t at = listener_at(v, text[i][1], SL_IPPROTO_TCP);
		CU_ASSERT_FATAL(at != SL_VIEW_NONE);
		CU_ASSERT_STRING_EQUAL(v->services[v->listener_service[at]].img->name, text[i][0]);
	}
	for (uint32_t i = 0; i < v->hop_cnt; i++)
		CU_ASSERT(v->hops[i].incarnation == 1 && v->hops[i].out_port == 0);
	sl_view_destroy(v);
	sl_test_image_free(&im);
}

SL_SUITE("view", SL_TEST(listener_is_found_by_address_port_and_protocol_only),
	 SL_TEST(hop_leads_to_the_endpoint_or_its_router),
	 SL_TEST(local_tells_own_addresses_from_vips),
	 SL_TEST(the_longest_prefix_and_then_the_narrowest_ports_win),
	 SL_TEST(every_packet_finds_the_listener_that_the_rule_names),
	 SL_TEST(sources_are_answered_for_and_tunnels_have_one),
	 SL_TEST(connections_have_a_source_and_listeners_trust_their_own),
	 SL_TEST(services_that_draw_by_weight_have_their_sums),
	 SL_TEST(sets_are_the_whole_and_the_subsets_by_name),
	 SL_TEST(an_empty_configuration_makes_a_view_that_finds_nothing),
	 SL_TEST(contradictions_between_objects_are_refused_and_named),
	 SL_TEST(all_problems_are_reported_at_once),
	 SL_TEST(references_that_point_nowhere_are_refused),
	 SL_TEST(a_view_is_pinned_while_any_worker_holds_it),
	 SL_TEST(ten_thousand_endpoints_are_all_reachable))
