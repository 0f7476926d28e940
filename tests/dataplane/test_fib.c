/* The flattened ranges against a walk over all prefixes. */
#include "dataplane/fib.h"

#include <errno.h>

#include "tests/suite.h"

/* A NETWORK object being put together. */
struct net {
	struct sl_img_network *n;
	struct sl_img_address a[SL_MAX_ADDRESSES];
	struct sl_img_route *r;
	uint32_t r_room;
};

static void
net_init(struct net *t, uint32_t routes)
{
	*t = (struct net){.r_room = routes, .n = calloc(1, sizeof(struct sl_img_network))};
	t->r = calloc(routes + 1, sizeof(*t->r));
	CU_ASSERT_FATAL(t->n && t->r);
}

static void
net_fini(struct net *t)
{
	free(t->n);
	free(t->r);
}

static void
net_address(struct net *t, const char *port, const char *prefix)
{
	struct sl_img_address *a = &t->a[t->n->address_cnt++];
	char text[64];

	snprintf(text, sizeof(text), "%s", prefix);
	char *slash = strchr(text, '/');
	*slash = 0;
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(text, &a->addr), 0);
	a->plen = (uint32_t)atoi(slash + 1) + (sl_addr_is_v4(&a->addr) ? 96 : 0);
	snprintf(a->port, sizeof(a->port), "%s", port);
}

static void
net_route(struct net *t, const char *prefix, const char *via)
{
	struct sl_img_route *r = &t->r[t->n->route_cnt++];
	unsigned plen;

	CU_ASSERT_FATAL(t->n->route_cnt <= t->r_room);
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse_prefix(prefix, &r->prefix, &plen), 0);
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(via, &r->via), 0);
	r->plen = plen;
}

static int
port_of(void *ctx, const char *name)
{
	(void)ctx;
	return strncmp(name, "port", 4) == 0 ? atoi(name + 4) : -1;
}

static int
create(struct net *t, struct sl_fib **ret_fib, uint32_t *ret_bad)
{
	size_t a = t->n->address_cnt * sizeof(t->a[0]), r = t->n->route_cnt * sizeof(*t->r);
	struct sl_img_network *n = calloc(1, sizeof(*n) + a + r);

	CU_ASSERT_PTR_NOT_NULL_FATAL(n);
	*n = *t->n;
	n->address_off = sizeof(*n);
	n->route_off = (uint32_t)(sizeof(*n) + a);
	memcpy((char *)n + n->address_off, t->a, a);
	memcpy((char *)n + n->route_off, t->r, r);
	int err = sl_fib_create(n, port_of, NULL, ret_fib, ret_bad);
	free(n); /* the fib keeps nothing of it */
	return err;
}

static struct sl_fib *
created(struct net *t)
{
	struct sl_fib *f = NULL;
	uint32_t bad;

	CU_ASSERT_EQUAL_FATAL(create(t, &f, &bad), 0);
	return f;
}

/* "port N", "port N via ADDRESS" or "none". */
static const char *
answer(const struct sl_fib *f, const char *dst)
{
	static char text[96];
	static const struct sl_addr zero;
	char buf[SL_ADDR_STRLEN];
	struct sl_addr a;

	CU_ASSERT_EQUAL_FATAL(sl_addr_parse(dst, &a), 0);
	const struct sl_fib_hop *h = sl_fib_find(f, &a);
	if (!h)
		return "none";
	if (sl_addr_eq(&h->via, &zero))
		snprintf(text, sizeof(text), "port %u", h->port);
	else
		snprintf(text, sizeof(text), "port %u via %s", h->port,
			 sl_addr_format(&h->via, buf));
	return text;
}

static void
the_longest_prefix_wins(void)
{
	static const struct {
		const char *reason, *dst, *hop;
	} rows[] = {
		{"on-link", "192.0.2.77", "port 0"},
		{"first of the on-link prefix", "192.0.2.0", "port 0"},
		{"last of the on-link prefix", "192.0.2.255", "port 0"},
		{"just below", "192.0.1.255", "port 0 via 192.0.2.1"},
		{"just above", "192.0.3.0", "port 0 via 192.0.2.1"},
		{"default route", "8.8.8.8", "port 0 via 192.0.2.1"},
		{"lowest address", "0.0.0.0", "port 0 via 192.0.2.1"},
		{"highest address", "255.255.255.255", "port 0 via 192.0.2.1"},
		{"route within the default", "10.9.9.9", "port 1 via 198.51.100.9"},
		{"route within a route", "10.1.2.3", "port 0 via 192.0.2.2"},
		{"behind the inner route", "10.2.0.0", "port 1 via 198.51.100.9"},
		{"host route within on-link", "198.51.100.200", "port 1 via 198.51.100.9"},
		{"on-link beats a route of its own length", "198.51.100.20", "port 1"},
		{"IPv6 on-link", "2001:db8::5", "port 1"},
		{"IPv6 default route", "2001:db8:1::5", "port 1 via 2001:db8::1"},
		{"last IPv6 address", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		 "port 1 via 2001:db8::1"},
		{"first IPv6 address", "::", "port 1 via 2001:db8::1"},
	};
	struct net t;

	net_init(&t, 16);
	net_address(&t, "port0", "192.0.2.4/24");
	net_address(&t, "port1", "198.51.100.4/24");
	net_address(&t, "port1", "2001:db8::4/64");
	net_route(&t, "0.0.0.0/0", "192.0.2.1");
	net_route(&t, "10.0.0.0/8", "198.51.100.9");
	net_route(&t, "10.1.0.0/16", "192.0.2.2");
	net_route(&t, "198.51.100.0/24", "192.0.2.1");
	net_route(&t, "198.51.100.200/32", "198.51.100.9");
	net_route(&t, "::/0", "2001:db8::1");
	struct sl_fib *f = created(&t);
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const char *hop = answer(f, rows[i].dst);
		if (strcmp(hop, rows[i].hop) != 0)
			printf("  row \"%s\": %s\n", rows[i].reason, hop);
		CU_ASSERT_STRING_EQUAL(hop, rows[i].hop);
	}
	sl_fib_destroy(f);
	net_fini(&t);
}

static void
an_ipv6_default_route_does_not_catch_ipv4(void)
{
	struct net t;

	net_init(&t, 1);
	net_address(&t, "port0", "2001:db8::4/64");
	net_route(&t, "::/0", "2001:db8::1");
	struct sl_fib *f = created(&t);
	CU_ASSERT_STRING_EQUAL(answer(f, "192.0.2.1"), "none");
	CU_ASSERT_STRING_EQUAL(answer(f, "2001:db9::1"), "port 0 via 2001:db8::1");
	sl_fib_destroy(f);
	net_fini(&t);
}

static void
an_empty_network_has_no_route(void)
{
	struct net t;

	net_init(&t, 0);
	struct sl_fib *f = created(&t);
	CU_ASSERT_STRING_EQUAL(answer(f, "192.0.2.1"), "none");
	CU_ASSERT_STRING_EQUAL(answer(f, "2001:db8::1"), "none");
	sl_fib_destroy(f);
	sl_fib_destroy(NULL);
	net_fini(&t);
}

static void
a_hop_names_the_address_to_ask_from(void)
{
	struct sl_addr dst;
	struct net t;

	net_init(&t, 1);
	net_address(&t, "port0", "10.0.0.1/8");
	net_address(&t, "port1", "10.1.0.1/16");
	net_address(&t, "port1", "10.1.0.2/16");
	net_route(&t, "192.0.2.0/24", "10.1.7.7");
	struct sl_fib *f = created(&t);
	CU_ASSERT_EQUAL_FATAL(sl_addr_parse("192.0.2.9", &dst), 0);
	const struct sl_fib_hop *h = sl_fib_find(f, &dst);
	CU_ASSERT_PTR_NOT_NULL_FATAL(h);
	CU_ASSERT_EQUAL(h->port, 1);
	CU_ASSERT_EQUAL(h->address, 1);
	CU_ASSERT_STRING_EQUAL(answer(f, "10.1.7.7"), "port 1");
	CU_ASSERT_STRING_EQUAL(answer(f, "10.2.7.7"), "port 0");
	sl_fib_destroy(f);
	net_fini(&t);
}

static void
what_cannot_be_reached_is_refused_by_index(void)
{
	struct sl_fib *untouched = (void *)1, *f = untouched;
	uint32_t bad = 99;
	struct net t;

	net_init(&t, 2);
	net_address(&t, "port0", "192.0.2.4/24");
	net_route(&t, "10.0.0.0/8", "192.0.2.1");
	net_route(&t, "11.0.0.0/8", "203.0.113.1");
	CU_ASSERT_EQUAL(create(&t, &f, &bad), -EINVAL);
	CU_ASSERT_EQUAL(bad, 1);
	CU_ASSERT_PTR_EQUAL(f, untouched);

	t.n->route_cnt = 1;
	net_route(&t, "2001:db8::/32", "192.0.2.1"); /* other family */
	CU_ASSERT_EQUAL(create(&t, &f, &bad), -EINVAL);
	CU_ASSERT_EQUAL(bad, 1);

	t.n->route_cnt = 1;
	net_address(&t, "eth9", "198.51.100.4/24");
	CU_ASSERT_EQUAL(create(&t, &f, &bad), -EINVAL);
	CU_ASSERT_EQUAL(bad, 1);
	CU_ASSERT_PTR_EQUAL(f, untouched);
	net_fini(&t);
}

/* ---- against a walk over all prefixes ---- */

static bool
walk_is_v4(const struct sl_addr *a, uint32_t plen)
{
	return plen >= 96 && sl_addr_is_v4(a);
}

/* The first of the longest prefixes around dst, addresses before routes: -1 none, else address or
 * address_cnt + route. */
static int
walk(const struct net *t, const struct sl_addr *dst)
{
	int best = -1;
	uint32_t best_plen = 0;
	bool v4 = sl_addr_is_v4(dst);

	for (uint32_t i = 0; i < t->n->address_cnt + t->n->route_cnt; i++) {
		bool link = i < t->n->address_cnt;
		const struct sl_img_route *r = &t->r[link ? 0 : i - t->n->address_cnt];
		const struct sl_addr *p = link ? &t->a[i].addr : &r->prefix;
		uint32_t plen = link ? t->a[i].plen : r->plen;
		if (walk_is_v4(p, plen) != v4 || !sl_addr_in(dst, p, plen))
			continue;
		if (best < 0 || plen > best_plen) {
			best = (int)i;
			best_plen = plen;
		}
	}
	return best;
}

static struct sl_addr
random_addr(bool v4)
{
	/* few values at each place, so that prefixes nest and touch */
	static const uint8_t values[] = {0, 1, 2, 0x7f, 0x80, 0xfe, 0xff};
	uint8_t b[16];

	for (unsigned i = 0; i < 16; i++)
		b[i] = values[(size_t)random() % sizeof(values)];
	return v4 ? sl_addr_from_v4(b) : sl_addr_from_v6(b);
}

static void
mask(struct sl_addr *a, uint32_t plen)
{
	for (uint32_t i = 0; i < 128; i++)
		if (i >= plen)
			a->b[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
}

/* The address one below or above. */
static struct sl_addr
beside(struct sl_addr a, bool up)
{
	for (int i = 15; i >= 0; i--) {
		a.b[i] = (uint8_t)(a.b[i] + (up ? 1 : -1));
		if (a.b[i] != (up ? 0 : 0xff))
			break;
	}
	return a;
}

static void
check_one(const struct sl_fib *f, const struct net *t, const struct sl_addr *dst)
{
	const struct sl_fib_hop *h = sl_fib_find(f, dst);
	int want = walk(t, dst);

	CU_ASSERT_EQUAL_FATAL(h != NULL, want >= 0);
	if (want < 0)
		return;
	if ((uint32_t)want < t->n->address_cnt) {
		static const struct sl_addr zero;
		CU_ASSERT_TRUE_FATAL(sl_addr_eq(&h->via, &zero));
		CU_ASSERT_EQUAL_FATAL(h->address, (uint32_t)want);
	} else {
		const struct sl_addr *via = &t->r[(uint32_t)want - t->n->address_cnt].via;
		CU_ASSERT_TRUE_FATAL(sl_addr_eq(&h->via, via));
	}
}

/* Every route gets a next hop of its own, so that a wrong range cannot hide. */
static void
random_net(struct net *t, unsigned routes)
{
	net_address(t, "port0", "172.16.0.1/12");
	net_address(t, "port1", "2001:db8::1/32");
	for (long n = random() % 6; n > 0; n--) {
		struct sl_img_address *a = &t->a[t->n->address_cnt++];
		bool v4 = random() & 1;
		a->addr = random_addr(v4);
		a->plen = v4 ? 96 + (uint32_t)random() % 33 : (uint32_t)random() % 129;
		snprintf(a->port, sizeof(a->port), "port%ld", random() % 4);
	}
	for (unsigned i = 0; i < routes; i++) {
		struct sl_img_route *r = &t->r[t->n->route_cnt++];
		bool v4 = random() & 1;
		r->prefix = random_addr(v4);
		r->plen = v4 ? 96 + (uint32_t)random() % 33 : (uint32_t)random() % 129;
		mask(&r->prefix, r->plen);
		uint8_t via4[4] = {172, 16, (uint8_t)(i >> 8), (uint8_t)i};
		uint8_t via6[16] = {0x20, 1, 0xd, 0xb8, [14] = (uint8_t)(i >> 8), (uint8_t)i};
		r->via = v4 ? sl_addr_from_v4(via4) : sl_addr_from_v6(via6);
	}
}

static void
random_nested_prefixes_agree_with_a_walk(void)
{
	srandom(4711);
	for (unsigned round = 0; round < 120; round++) {
		struct net t;
		net_init(&t, 400);
		random_net(&t, round < 60 ? round : 200);
		struct sl_fib *f = created(&t);
		for (uint32_t i = 0; i < t.n->route_cnt; i++) {
			const struct sl_addr *first = &t.r[i].prefix;
			struct sl_addr last = *first;
			for (uint32_t bit = t.r[i].plen; bit < 128; bit++)
				last.b[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
			struct sl_addr below = beside(*first, false), above = beside(last, true);
			check_one(f, &t, first);
			check_one(f, &t, &last);
			check_one(f, &t, &below);
			check_one(f, &t, &above);
		}
		for (unsigned i = 0; i < 200; i++) {
			struct sl_addr a = random_addr(i & 1);
			check_one(f, &t, &a);
		}
		sl_fib_destroy(f);
		net_fini(&t);
	}
}

static void
the_largest_network_is_built(void)
{
	struct net t;
	struct sl_fib *f;

	net_init(&t, SL_MAX_ROUTES);
	net_address(&t, "port0", "192.0.2.4/24");
	for (uint32_t i = 0; i < SL_MAX_ROUTES; i++) {
		const uint8_t net4[4] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
		const uint8_t via4[4] = {192, 0, 2, (uint8_t)(i % 250)};
		t.r[i] = (struct sl_img_route){
			.prefix = sl_addr_from_v4(net4), .via = sl_addr_from_v4(via4), .plen = 120};
	}
	t.n->route_cnt = SL_MAX_ROUTES;
	f = created(&t);
	CU_ASSERT_STRING_EQUAL(answer(f, "10.0.0.255"), "port 0 via 192.0.2.0");
	CU_ASSERT_STRING_EQUAL(answer(f, "10.0.249.1"), "port 0 via 192.0.2.249");
	CU_ASSERT_STRING_EQUAL(answer(f, "10.255.255.255"), "port 0 via 192.0.2.35");
	CU_ASSERT_STRING_EQUAL(answer(f, "11.0.0.0"), "none");
	sl_fib_destroy(f);
	net_fini(&t);
}

SL_SUITE("fib", SL_TEST(the_longest_prefix_wins),
	 SL_TEST(an_ipv6_default_route_does_not_catch_ipv4), SL_TEST(an_empty_network_has_no_route),
	 SL_TEST(a_hop_names_the_address_to_ask_from),
	 SL_TEST(what_cannot_be_reached_is_refused_by_index),
	 SL_TEST(random_nested_prefixes_agree_with_a_walk), SL_TEST(the_largest_network_is_built))
