#include "tests/suite.h"

#include <errno.h>

#include "sluice/streams.h"
#include "tests/dataplane/image_build.h"

/* One of each kind, with every section in use: "web" has a Maglev table and an endpoint of weight 0, "rr" a
 * schedule. */
static const struct sl_test_endpoint web_eps[] = {
	{.addr = "10.0.0.11:80"},
	{.addr = "10.0.0.12:80", .weight = 3},
	{.addr = "10.0.0.13:80", .weight = SL_TEST_WEIGHT_0},
};
static const struct sl_test_endpoint rr_eps[] = {{.addr = "[2001:db8::11]:53"},
						 {.addr = "[2001:db8::12]:53", .weight = 2}};
static const struct sl_test_endpoint tcp_eps[] = {{.addr = "10.0.0.14"}};
static const struct sl_test_address addresses[] = {
	{"p0", "10.0.0.1/24"}, {"p1", "2001:db8::1/64"}, {0}};
static const struct sl_test_route routes[] = {
	{"0.0.0.0/0", "10.0.0.254"}, {"10.9.0.0/16", "10.0.0.253"}, {0}};
static const struct sl_img_rate rates[] = {
	{.slot = 3,
	 .incarnation = 1,
	 .tokens = 100,
	 .per_ms = 1000,
	 .keys = 8,
	 .key = SL_RATE_SOURCE,
	 .plen4 = 32,
	 .plen6 = 64,
	 .name = "clients"},
	{.slot = 4,
	 .incarnation = 9,
	 .tokens = 5,
	 .per_ms = 10,
	 .key = SL_RATE_ALL,
	 .flags = SL_RATE_HEADERS | SL_RATE_SHARED,
	 .name = "group"},
	{.slot = 1023,
	 .incarnation = 65535,
	 .tokens = 10000000,
	 .per_ms = 86400000,
	 .keys = 1 << 20,
	 .key = SL_RATE_HEADER,
	 .header = "x-key",
	 .name = "keys"},
};
static const struct sl_test_service services[] = {
	{.name = "rr", .endpoints = rr_eps, .endpoint_cnt = 2, .policy = SL_POLICY_ROUND_ROBIN},
	{.name = "web", .endpoints = web_eps, .endpoint_cnt = 3},
	{.name = "xtcp",
	 .endpoints = tcp_eps,
	 .endpoint_cnt = 1,
	 .policy = SL_POLICY_LEAST_CONN,
	 .forward = SL_FORWARD_PROXY,
	 .sources = {"10.0.0.9"},
	 .rates = rates,
	 .rate_cnt = SL_ARRAY_CNT(rates),
	 .tcp = {.connect_ms = 5000,
		 .idle_ms = 3600000,
		 .max_connections = 1024,
		 .keepalive_s = 30,
		 .retries = 2,
		 .proxy_out = SL_PROXY_V2,
		 .cc = SL_CC_RENO}},
	{0}};
static const struct sl_test_listener listeners[] = {
	{.addr = "203.0.113.10:80", .service = "web"},
	{.addr = "203.0.113.10:81", .service = "web"},
	{.addr = "[2001:db8:f::1]:53", .service = "rr", .proto = SL_IPPROTO_UDP},
	{.addr = "[2001:db8:f::1]:443",
	 .service = "xtcp",
	 .max_connections = 7,
	 .trusted = {"10.0.0.0/8", "2001:db8::/32"}},
	{.addr = "[2001:db8:f::2]:443", .service = "xtcp", .trusted = {"0.0.0.0/0"}},
	{0}};
static const struct sl_test_conf conf = {
	.addresses = addresses, .routes = routes, .services = services, .listeners = listeners};

enum { ROOT = -1, NETWORK = 0, LISTENERS = 1, RR = 2, WEB = 3, TCP = 4 };

static const struct sl_object *
object_of(const struct sl_test_image *im, int which)
{
	return which == ROOT ? &im->root : &im->objs[which];
}

static enum sl_obj_kind
kind_of(int which)
{
	return which == ROOT        ? SL_OBJ_ROOT
	       : which == NETWORK   ? SL_OBJ_NETWORK
	       : which == LISTENERS ? SL_OBJ_LISTENERS
				    : SL_OBJ_SERVICE;
}

/* A copy right before a page that must not be touched. */
static uint8_t *
guarded(const struct sl_object *o)
{
	uint8_t *p = guard_buf(o->size);

	memcpy(p, o->bytes, o->size);
	return p;
}

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
print_diag(const char *why, const struct sl_diag *d)
{
	char line[2048];

	printf("\n  %s\n", why);
	for (unsigned i = 0; i < d->cnt; i++) {
		sl_diag_format(&d->items[i], line, sizeof(line));
		printf("    said: %s\n", line);
	}
}

static void
valid_objects_pass_with_their_id(void)
{
	struct sl_test_image im;

	sl_test_image_build(&conf, &im);
	for (int which = ROOT; which <= TCP; which++) {
		const struct sl_object *o = object_of(&im, which);
		uint8_t *p = guarded(o);
		struct sl_obj_id id;
		struct sl_diag d = {0};
		sl_image_id(p, o->size, &id);
		CU_ASSERT_EQUAL(sl_image_check(p, o->size, kind_of(which), &id, "o", &d), 0);
		CU_ASSERT_EQUAL(d.cnt, 0);
		id.b[31] ^= 1;
		CU_ASSERT_EQUAL(sl_image_check(p, o->size, kind_of(which), &id, "o", &d), -EINVAL);
		CU_ASSERT(says(&d, "was announced"));
		sl_diag_fini(&d);
		guard_free(p, o->size);
	}
	sl_test_image_free(&im);
}

static void
every_shorter_object_is_refused_without_reading_past_it(void)
{
	struct sl_test_image im;

	sl_test_image_build(&conf, &im);
	for (int which = ROOT; which <= TCP; which++) {
		const struct sl_object *o = object_of(&im, which);
		for (size_t size = 0; size < o->size; size++) {
			struct sl_object cut = {.bytes = o->bytes, .size = size};
			uint8_t *p = guarded(&cut);
			CU_ASSERT(sl_image_check(p, size, kind_of(which), NULL, "o", NULL) ==
				  -EINVAL);
			if (size % 8 == 0 && size >= sizeof(struct sl_obj_head)) {
				((struct sl_obj_head *)(void *)p)->size = (uint32_t)size;
				CU_ASSERT(sl_image_check(p, size, kind_of(which), NULL, "o",
							 NULL) == -EINVAL);
			}
			guard_free(p, size);
		}
	}
	sl_test_image_free(&im);
}

/* A mistake: `bytes` at `off` of an object, and what must be said about it. */
struct mistake {
	int which;
	size_t off;
	unsigned bytes;
	uint64_t value;
	const char *says, *why;
};

#define AT(type, field)                                                                            \
	offsetof(struct sl_img_##type, field), sizeof(((struct sl_img_##type *)0)->field)
#define IN(base, type, i, field)                                                                   \
	(base) + (i) * sizeof(struct sl_img_##type) + offsetof(struct sl_img_##type, field),       \
		sizeof(((struct sl_img_##type *)0)->field)
#define HEAD(field) offsetof(struct sl_obj_head, field), sizeof(((struct sl_obj_head *)0)->field)
enum {
	REFS = sizeof(struct sl_img_root),
	ADDRS = sizeof(struct sl_img_network),
	ROUTES = ADDRS + 2 * sizeof(struct sl_img_address),
	LS = sizeof(struct sl_img_listeners),
	TRUST = LS + 5 * sizeof(struct sl_img_listener),
	EPS = sizeof(struct sl_img_service),
	WEB_LEVEL = EPS + 3 * sizeof(struct sl_img_endpoint),
	WEB_TABLE = WEB_LEVEL + sizeof(struct sl_img_level),
	RR_LEVEL = EPS + 2 * sizeof(struct sl_img_endpoint),
	RATES = EPS + sizeof(struct sl_addr) + sizeof(struct sl_img_endpoint) +
		sizeof(struct sl_img_level),
	RR_TABLE = RR_LEVEL + sizeof(struct sl_img_level),
};

#define RATE(i, field) IN(RATES, rate, i, field)
static const struct mistake mistakes[] = {
	{WEB, HEAD(magic), 1, "head.magic: is 0x00000001, must be 0x4a424f53", "magic"},
	{WEB, HEAD(version), 2, "head.version: is 2, this program reads 7", "version"},
	{WEB, HEAD(kind), 3, "head.kind: is 3, must be 4 (SERVICE)", "kind"},
	{WEB, HEAD(size), 8, "head.size: is 8, but the object has", "size"},
	{WEB, HEAD(zero), 9, "head.zero: is 9, must be 0", "zero"},

	{ROOT, AT(root, name[0]), '-', "\"-est\" is not a name", "first character"},
	{ROOT, AT(root, name[63]), 'x', "is not a name", "name not padded with 0"},
	{ROOT, AT(root, ref_cnt), 1, "refs.cnt: is 1, must be in [2, 25922]", "too few refs"},
	{ROOT, AT(root, ref_cnt), 25923, "refs.cnt: is 25923, must be in [2, 25922]", "too many"},
	{ROOT, AT(root, ref_cnt), 6, "refs.off: 6 records of 48 bytes at 96 end at 384",
	 "past end"},
	{ROOT, AT(root, ref_cnt), UINT32_MAX, "end at 206158430256", "count that would wrap"},
	{ROOT, AT(root, ref_off), 100, "must be a multiple of 8", "alignment"},
	{ROOT, AT(root, ref_off), 88, "the bytes before 96 belong", "overlaps the fixed part"},
	{ROOT, AT(root, ref_off), 0, "the bytes before 96 belong", "offset 0 but not empty"},
	{ROOT, AT(root, ref_off), UINT32_MAX - 7, "behind the object's end", "offset past end"},
	{ROOT, IN(REFS, ref, 0, kind), 3, "refs[0].kind: is 3, must be in [2, 2]",
	 "first is NETWORK"},
	{ROOT, IN(REFS, ref, 1, kind), 4, "refs[1].kind: is 4, must be in [3, 3]",
	 "second is LISTENERS"},
	{ROOT, IN(REFS, ref, 2, kind), 1, "refs[2].kind: is 1, must be in [4, 9]",
	 "no ROOT in a ROOT"},
	{ROOT, IN(REFS, ref, 2, size), 8, "refs[2].size: is 8, must be in [16, 67108864]", "size"},
	{ROOT, IN(REFS, ref, 2, size), 124, "refs[2].size: is 124, must be a multiple of 8",
	 "size"},
	{ROOT, IN(REFS, ref, 2, slot), 4096, "refs[2].slot: is 4096, must be in [0, 4095]", "slot"},
	{ROOT, IN(REFS, ref, 3, slot), 0,
	 "refs[3]: equals record 2; records must be sorted by slot", "slot twice"},
	{ROOT, IN(REFS, ref, 2, incarnation), 0, "refs[2].incarnation: is 0, must be in [1, 65535]",
	 "incarnation"},
	{ROOT, IN(REFS, ref, 0, slot), 1, "refs[0].slot: is 1, must be in [0, 0]",
	 "NETWORK has no slot"},

	{NETWORK, AT(network, address_cnt), 257, "addresses.cnt: is 257, must be in [0, 256]",
	 "too many addresses"},
	{NETWORK, AT(network, address_cnt), 1, "is in no section", "bytes left over between"},
	{NETWORK, AT(network, address_cnt), 0, "addresses.off: is 32, must be 0", "empty, offset"},
	{NETWORK, AT(network, route_cnt), 1, "is in no section", "bytes left over at the end"},
	{NETWORK, AT(network, route_off), 32, "the bytes before 208 belong", "sections overlap"},
	{NETWORK, IN(ADDRS, address, 0, port[1]), ' ', "addresses[0].port: \"p?\"", "port name"},
	{NETWORK, IN(ADDRS, address, 0, port[1]), '9', "addresses[1]: stands behind, but sorts",
	 "order of addresses"},
	{NETWORK, IN(ADDRS, address, 0, addr.b[12]), 127, "127.0.0.1 is not a unicast", "loopback"},
	{NETWORK, IN(ADDRS, address, 1, addr.b[0]), 255, "is not a unicast address", "multicast"},
	{NETWORK, IN(ADDRS, address, 0, plen), 95, "addresses[0].plen: is 95, must be in [96, 128]",
	 "IPv4 length"},
	{NETWORK, IN(ADDRS, address, 1, plen), 129, "is 129, must be in [0, 128]", "IPv6 length"},
	{NETWORK, IN(ADDRS, address, 1, zero), 1, "addresses[1].zero: is 1, must be 0", "zero"},
	{NETWORK, IN(ROUTES, route, 1, plen), 104, "routes[1].prefix: 10.9.0.0 has bits behind its",
	 "bits behind"},
	{NETWORK, IN(ROUTES, route, 1, plen), 200, "is 200, must be in [96, 128]", "wild length"},
	{NETWORK, IN(ROUTES, route, 0, via.b[0]), 0x20, "is not of the family of prefix 0.0.0.0",
	 "via of the other family"},
	{NETWORK, IN(ROUTES, route, 0, via.b[12]), 0, "routes[0].via: 0.0.0.254 is not a unicast",
	 "via unspecified"},
	{NETWORK, IN(ROUTES, route, 0, zero), 7, "routes[0].zero", "zero"},
	{NETWORK, IN(ROUTES, route, 0, prefix.b[12]), 11, "routes[1]: stands behind",
	 "route order"},

	{LISTENERS, AT(listeners, listener_cnt), 8193, "is 8193, must be in [0, 8192]", "too many"},
	{LISTENERS, IN(LS, listener, 1, addr.b[12]), 230, "is not a unicast address", "multicast"},
	{LISTENERS, IN(LS, listener, 1, port_be), 0, "listeners[1].port: is 0", "port 0"},
	{LISTENERS, IN(LS, listener, 1, port_last_be), 0, "listeners[1].port_last: is 0, less than",
	 "last port 0"},
	{LISTENERS, IN(LS, listener, 1, plen), 96, "listeners[1].plen: is 96, must be in [97, 128]",
	 "length of IPv4"},
	{LISTENERS, IN(LS, listener, 1, plen), 0, "listeners[1].plen: is 0, must be", "length 0"},
	{LISTENERS, IN(LS, listener, 1, plen), 129, "listeners[1].plen: is 129, must be", "length"},
	{LISTENERS, IN(LS, listener, 1, plen), 100, "has bits behind its length 100",
	 "bits behind"},
	{LISTENERS, IN(LS, listener, 1, proto), 1, "is 1, must be 6 (TCP) or 17 (UDP)", "protocol"},
	{LISTENERS, IN(LS, listener, 1, mode), 5, "listeners[1].mode: is 5, must be in [1, 4]",
	 "mode"},
	{LISTENERS, IN(LS, listener, 2, mode), 2, "listeners[2].proto: is 17, must be 6 (TCP) with",
	 "mode tcp of UDP"},
	{LISTENERS, IN(LS, listener, 3, mode), 1, "listeners[3].max_connections: is 7, must be 0",
	 "limit of packets"},
	{LISTENERS, IN(LS, listener, 3, mode), 1, "listeners[3].proxy_in: is 1, must be in [0, 0]",
	 "header before packets"},
	{LISTENERS, IN(LS, listener, 3, proxy_in), 2, "listeners[3].proxy_in: is 2, must be in",
	 "proxy_in"},
	{LISTENERS, IN(LS, listener, 3, proxy_in), 0,
	 "listeners[3].trust_cnt: is 2, must be in [0, 0]", "trust for nothing"},
	{LISTENERS, IN(LS, listener, 3, trust_cnt), 0,
	 "listeners[3].trust_cnt: is 0, must be in [1, 4096]", "nobody is trusted"},
	{LISTENERS, IN(LS, listener, 1, trust_cnt), 1,
	 "listeners[1].trust_cnt: is 1, must be in [0, 0]", "trust of l4"},
	{LISTENERS, IN(LS, listener, 1, trust_first), 1,
	 "listeners[1].trust_first: is 1, must be 0", "place of nothing"},
	{LISTENERS, IN(LS, listener, 4, trust_first), 1,
	 "listeners[4].trust_first: is 1, must be 2", "another's prefixes"},
	{LISTENERS, IN(LS, listener, 4, trust_cnt), 2, "is 2, but only 1 of 3 are left",
	 "past the section"},
	{LISTENERS, IN(LS, listener, 4, trust_cnt), UINT32_MAX, "but only 1 of 3 are left",
	 "count that would wrap"},
	{LISTENERS, IN(LS, listener, 3, trust_cnt), 1, "trust.cnt: is 3, but listeners have 2",
	 "nobody's prefix"},
	{LISTENERS, AT(listeners, trust_cnt), 4097, "trust.cnt: is 4097, must be in [0, 4096]",
	 "too many"},
	{LISTENERS, AT(listeners, trust_off), 32, "the bytes before 704 belong", "overlap"},
	{LISTENERS, IN(TRUST, prefix, 0, plen), 95, "trust[0].plen: is 95, must be in [96, 128]",
	 "IPv4 length"},
	{LISTENERS, IN(TRUST, prefix, 1, plen), 129, "trust[1].plen: is 129, must be in [0, 128]",
	 "length"},
	{LISTENERS, IN(TRUST, prefix, 1, plen), 16, "trust[1].prefix: 2001:db8:: has bits behind",
	 "bits behind"},
	{LISTENERS, IN(TRUST, prefix, 0, prefix.b[0]), 0x30, "trust[1]: stands behind, but sorts",
	 "order of trust"},
	{LISTENERS, IN(TRUST, prefix, 2, zero), 1, "trust[2].zero: is 1, must be 0", "zero"},
	{LISTENERS, IN(LS, listener, 1, ref), 1, "is 1, must be in [2, 4353]", "ref of LISTENERS"},
	{LISTENERS, IN(LS, listener, 1, ref), 4354, "is 4354, must be in [2, 4353]",
	 "ref too large"},
	{LISTENERS, IN(LS, listener, 1, slot), 8192, "is 8192, must be in [0, 8191]", "slot"},
	{LISTENERS, IN(LS, listener, 1, slot), 0, "slot: 0 is used by an earlier", "slot twice"},
	{LISTENERS, IN(LS, listener, 1, incarnation), 65536, "is 65536, must be in [1, 65535]",
	 "incarnation"},
	{LISTENERS, IN(LS, listener, 1, name[1]), '0', "is also the name of listeners[",
	 "name twice"},
	{LISTENERS, IN(LS, listener, 1, port_be), 0x4f00, "listeners[1]: stands behind, but sorts",
	 "order of listeners"},

	{WEB, AT(service, name[0]), 0, "name: \"\" is not a name", "empty name"},
	{WEB, AT(service, policy), 0, "policy: is 0, must be in [1, 4]", "policy"},
	{WEB, AT(service, policy), 5, "policy: is 5, must be in [1, 4]", "policy"},
	{WEB, AT(service, forward), 7, "forward: is 7, must be in [1, 6]", "forward"},
	{WEB, AT(service, forward), 6, "tcp.connect_ms: is 0, must be in [1, 600000]",
	 "proxy without a time"},
	{WEB, AT(service, tcp.connect_ms), 1, "tcp.connect_ms: is 1, must be in [0, 0]",
	 "settings of nat"},
	{WEB, AT(service, tcp.idle_ms), 1, "tcp.idle_ms: is 1, must be", "settings of nat"},
	{WEB, AT(service, tcp.endpoint_connections), 1, "tcp.endpoint_connections: is 1, must be",
	 "settings of nat"},
	{WEB, AT(service, tcp.max_connections), 1, "tcp.max_connections: is 1, must be",
	 "settings of nat"},
	{WEB, AT(service, tcp.keepalive_s), 1, "tcp.keepalive_s: is 1, must be", "settings of nat"},
	{WEB, AT(service, tcp.retries), 1, "tcp.retries: is 1, must be", "settings of nat"},
	{WEB, AT(service, tcp.proxy_out), 1, "tcp.proxy_out: is 1, must be", "settings of nat"},
	{WEB, AT(service, tcp.cc), 1, "tcp.cc: is 1, must be", "settings of nat"},
	{TCP, AT(service, tcp.connect_ms), 600001, "tcp.connect_ms: is 600001, must be in [1,",
	 "connect_ms"},
	{TCP, AT(service, tcp.idle_ms), 604800001, "tcp.idle_ms: is 604800001, must be in [0,",
	 "idle_ms"},
	{TCP, AT(service, tcp.retries), 8, "tcp.retries: is 8, must be in [0, 7]", "retries"},
	{TCP, AT(service, tcp.proxy_out), 3, "tcp.proxy_out: is 3, must be in [0, 2]", "header"},
	{TCP, AT(service, tcp.cc), 2, "tcp.cc: is 2, must be in [0, 1]", "congestion control"},
	{TCP, AT(service, tcp.zero[2]), 2, "tcp.zero: is 2, must be 0", "zero"},
	{WEB, AT(service, bandwidth.rate[0]), 1024,
	 "bandwidth.rate[0]: is 1024, must be 0, or of PROXY in [1024, 1099511627776]", "of nat"},
	{WEB, AT(service, bandwidth.burst[1]), 1, "bandwidth.burst[1]: is 1, must be in [0, 0]",
	 "of nat"},
	{TCP, AT(service, bandwidth.rate[1]), 1023, "bandwidth.rate[1]: is 1023, must be 0, or",
	 "bandwidth"},
	{TCP, AT(service, bandwidth.rate[1]), 1024, "bandwidth.burst[1]: is 0, must be in [8192,",
	 "no burst"},
	{TCP, AT(service, rate_cnt), 5, "rates.cnt: is 5, must be in [0, 4]", "too many limits"},
	{TCP, AT(service, rate_cnt), 4, "rates.off: 4 records of 152 bytes", "one more than fit"},
	{TCP, AT(service, rate_cnt), 2, "is in no section", "a limit in no section"},
	{TCP, AT(service, rate_off), 8, "rates.off: is 8, but the bytes before 496 belong",
	 "limits in the fixed part"},
	{WEB, AT(service, rate_cnt), 1, "rates.cnt: is 1, must be in [0, 0]", "limits of nat"},
	{TCP, RATE(0, slot), 1024, "rates[0].slot: is 1024, must be in [0, 1023]", "slot"},
	{TCP, RATE(0, incarnation), 0, "rates[0].incarnation: is 0, must be in [1, 65535]", "life"},
	{TCP, RATE(1, incarnation), 65536, "rates[1].incarnation: is 65536, must be", "long life"},
	{TCP, RATE(1, tokens), 0, "rates[1].tokens: is 0, must be in [1, 10000000]", "no tokens"},
	{TCP, RATE(2, tokens), 10000001, "rates[2].tokens: is 10000001, must be", "tokens"},
	{TCP, RATE(1, per_ms), 9, "rates[1].per_ms: is 9, must be in [10, 86400000]", "time"},
	{TCP, RATE(2, per_ms), 86400001, "rates[2].per_ms: is 86400001, must be", "over a day"},
	{TCP, RATE(0, keys), 0, "rates[0].keys: is 0, must be in [1, 1048576]", "no keys"},
	{TCP, RATE(1, keys), 1, "rates[1].keys: is 1, must be in [0, 0]", "keys of all"},
	{TCP, RATE(2, keys), (1 << 20) + 1, "rates[2].keys: is 1048577, must be", "keys"},
	{TCP, RATE(1, key), 0, "rates[1].key: is 0, must be in [1, 4]", "by nothing"},
	{TCP, RATE(1, key), 5, "rates[1].key: is 5, must be in [1, 4]", "by what is not known"},
	{TCP, RATE(1, flags), 4, "rates[1].flags: is 4, must be in [0, 3]", "a flag"},
	{TCP, RATE(0, plen4), 0, "rates[0].plen4: is 0, must be in [1, 32]", "no bits"},
	{TCP, RATE(0, plen6), 129, "rates[0].plen6: is 129, must be in [1, 128]", "bits"},
	{TCP, RATE(1, plen4), 1, "rates[1].plen4: is 1, must be in [0, 0]", "bits of all"},
	{TCP, RATE(0, key), SL_RATE_IDENTITY, "rates[0].plen4: is 32, must be in [0, 0]",
	 "of identities"},
	{TCP, RATE(0, header[0]), 'x', "rates[0].header: is not empty", "a header of addresses"},
	{TCP, RATE(2, header[0]), 'X', "rates[2].header: is not a token in lower case", "case"},
	{TCP, RATE(2, header[1]), ' ', "rates[2].header: is not a token", "a space"},
	{TCP, RATE(2, header[0]), 0, "rates[2].header: is not a token", "no header"},
	{TCP, RATE(2, header[63]), 'x', "rates[2].header: is not a token", "not padded"},
	{TCP, RATE(1, name[0]), 0, "rates[1].name: ", "no name"},
	{TCP, RATE(1, name[1]), '/', "rates[1].name: ", "no name for people"},
	{TCP, AT(service, family), 6, "10.0.0.9 is not of the service's family", "source"},
	{WEB, AT(service, family), 5, "family: is 5, must be 4 or 6", "family"},
	{WEB, AT(service, family), 6, "10.0.0.11 is not of the service's family, IPv6", "family"},
	{WEB, AT(service, forward), 3, "sources.cnt: is 0, must be in [1, 64]", "fullnat alone"},
	{WEB, AT(service, forward), 5, "gue_port: is 0, must be in [1, 65535]", "GUE without port"},
	{WEB, AT(service, gue_port_be), 1, "gue_port: is 256, must be 0", "port without GUE"},
	{WEB, AT(service, tunnel_plen), 128, "tunnel_plen: is 128, must be 0", "length, no tunnel"},
	{WEB, AT(service, tunnel.b[12]), 10, "tunnel: is ::", "tunnel without a length"},
	{WEB, AT(service, source_cnt), 1, "sources.cnt: is 1, must be 0", "sources of nat"},
	{WEB, AT(service, source_off), 168, "sources.off: is 168, must be 0", "empty, offset"},
	{WEB, AT(service, source_bits4), 1, "source_bits4: is 1, must be 0", "mask of Maglev"},
	{WEB, AT(service, source_bits6), 1, "source_bits6: is 1, must be 0", "mask of Maglev"},
	{WEB, AT(service, policy), 3, "source_bits4: is 0, must be in [1, 32]", "no mask"},
	{WEB, AT(service, policy), 3, "source_bits6: is 0, must be in [1, 128]", "no mask"},
	{WEB, AT(service, policy), 4,
	 "levels[0].maglev.cnt: is 503, must be 0: the policy has no Maglev table",
	 "Maglev table of least connections"},
	{WEB, AT(service, panic_pct), 101, "panic_pct: is 101, must be in [0, 100]", "panic"},
	{WEB, AT(service, max_endpoints), 0, "max_endpoints: is 0, must be in [1, 16384]", "max"},
	{WEB, AT(service, endpoint_cnt), 16385, "is 16385, must be in [0, 16384]", "too many"},
	{WEB, AT(service, endpoint_cnt), 0, "levels.cnt: is 1, must be in [0, 0]",
	 "level without endpoints"},
	{WEB, IN(WEB_LEVEL, level, 0, maglev_cnt), 502, "is 502, must be one of the listed primes",
	 "no prime"},
	{WEB, IN(WEB_LEVEL, level, 0, maglev_cnt), 499, "is 499, must be one of the listed primes",
	 "a prime that is not listed"},
	{WEB, IN(WEB_LEVEL, level, 0, maglev_cnt), 0, "is 0, must be one of the listed primes",
	 "table missing"},
	{WEB, IN(WEB_LEVEL, level, 0, sched_cnt), 4,
	 "levels[0].sched.cnt: is 4, must be 0: the policy is not round robin",
	 "schedule of a Maglev service"},
	{WEB, AT(service, policy), 2,
	 "levels[0].maglev.cnt: is 503, must be 0: the policy has no Maglev table",
	 "Maglev table of a round-robin service"},
	{RR, IN(RR_LEVEL, level, 0, sched_cnt), 0,
	 "levels[0].sched.cnt: is 0, must be in [1, 65536]", "schedule missing"},
	{RR, IN(RR_LEVEL, level, 0, sched_cnt), 65537,
	 "levels[0].sched.cnt: is 65537, must be in [0, 65536]", "too long"},
	{WEB, IN(EPS, endpoint, 0, addr.b[12]), 224, "is not a unicast address", "multicast"},
	{WEB, IN(EPS, endpoint, 0, addr.b[0]), 0x20, "is not of the service's family, IPv4",
	 "family"},
	{WEB, IN(EPS, endpoint, 0, weight), 257, "weight: is 257, must be in [0, 256]", "weight"},
	{WEB, IN(EPS, endpoint, 0, slot), 65536, "is 65536, must be in [0, 65535]", "slot"},
	{WEB, IN(EPS, endpoint, 2, slot), 2, "endpoints[2].slot: 2 is used", "slot twice"},
	{WEB, IN(EPS, endpoint, 0, incarnation), 0, "is 0, must be in [1, 65535]", "incarnation"},
	{WEB, IN(EPS, endpoint, 0, zero), 1, "endpoints[0].zero: is 1", "zero"},
	{WEB, IN(EPS, endpoint, 1, name[1]), '0', "endpoints[1]: equals record 0", "name twice"},
	{WEB, IN(EPS, endpoint, 1, name[0]), 'a', "endpoints[1]: stands behind", "name order"},
	{WEB, WEB_TABLE + 2 * 7, 2, 3, "levels[0].maglev[7]: is 3, must be in [0, 2]",
	 "place of no endpoint"},
	{WEB, WEB_TABLE + 2 * 502, 2, 2, "levels[0].maglev[502]: is 2, an endpoint of weight 0",
	 "weightless"},
	{WEB, WEB_TABLE + 2 * 503, 2, 1, "must be 0: it is in no section", "padding of the table"},
	{RR, RR_TABLE, 2, 2, "levels[0].sched[0]: is 2, must be in [0, 1]", "schedule entry"},
	{RR, RR_TABLE + 2 * 3, 2, 1, "must be 0: it is in no section", "padding of the schedule"},
};

static void
each_mistake_is_named_with_place_value_and_range(void)
{
	struct sl_test_image im;

	sl_test_image_build(&conf, &im);
	for (unsigned i = 0; i < SL_ARRAY_CNT(mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		const struct sl_object *o = object_of(&im, m->which);
		uint8_t *p = guarded(o);
		struct sl_diag d = {0};
		memcpy(p + m->off, &m->value, m->bytes);
		bool ok = sl_image_check(p, o->size, kind_of(m->which), NULL, "o", &d) == -EINVAL &&
			  says(&d, m->says);
		if (!ok)
			print_diag(m->why, &d);
		CU_ASSERT(ok);
		sl_diag_fini(&d);
		guard_free(p, o->size);
	}
	sl_test_image_free(&im);
}

static void
all_mistakes_are_reported_up_to_the_limit(void)
{
	struct sl_test_image im;
	struct sl_diag d = {0};

	sl_test_image_build(&conf, &im);
	uint8_t *p = guarded(&im.objs[WEB]);
	((struct sl_img_service *)(void *)p)->forward = 9;
	((struct sl_img_service *)(void *)p)->panic_pct = 109;
	memset(p + WEB_TABLE, 0xff, 2 * 503);
	CU_ASSERT_EQUAL(
		sl_image_check(p, im.objs[WEB].size, SL_OBJ_SERVICE, NULL, "service web", &d),
		-EINVAL);
	CU_ASSERT(says(&d, "service web: forward: is 9"));
	CU_ASSERT(says(&d, "service web: panic_pct: is 109"));
	CU_ASSERT(says(&d, "levels[0].maglev[253]"));
	CU_ASSERT_EQUAL(d.cnt, SL_DIAG_MAX);
	CU_ASSERT_EQUAL(d.cnt + d.more, 503 + 2);
	sl_diag_fini(&d);
	guard_free(p, im.objs[WEB].size);
	sl_test_image_free(&im);
}

/* ---- text ---- */

static char *
dump_of(const void *bytes, size_t size)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	sl_image_dump(bytes, size, f);
	fclose(f);
	return text;
}

static void
dump_shows_every_record(void)
{
	static const struct {
		int which;
		const char *shows;
	} rows[] = {
		{ROOT, "object root version 7 size 336 id "},
		{ROOT, "name test\nhash_seed 0000000000005eed\nrefs 5\n"},
		{NETWORK, "addresses 2\n  [0] 10.0.0.1/24 port p0\n  [1] 2001:db8::1/64 port p1\n"},
		{NETWORK, "routes 2\n  [0] 0.0.0.0/0 via 10.0.0.254\n  [1] 10.9.0.0/16 via "
			  "10.0.0.253\n"},
		{LISTENERS, "  [1] l1 203.0.113.10:81 tcp mode l4 ref 3 slot 1 incarnation 1\n"},
		{LISTENERS, "  [2] l2 [2001:db8:f::1]:53 udp mode l4 ref 2 slot 2 incarnation 1\n"},
		{LISTENERS, "[3] l3 [2001:db8:f::1]:443 tcp mode tcp ref 4 slot 3 incarnation 1 "
			    "max_connections 7 trusted 10.0.0.0/8 2001:db8::/32\n"},
		{LISTENERS, "max_connections 0 trusted 0.0.0.0/0\n"},
		{TCP, "forward proxy\nfamily 4\nmax_endpoints 1\npanic 50\nconnect_ms "
		      "5000\nidle_ms 3600000\n"
		      "max_connections 1024\nkeepalive_s 30\nretries 2\nproxy_protocol v2\n"
		      "congestion reno\nhttp max_pending 1024 max_requests 1024 max_retries 3 "
		      "requests_per_connection 0 "
		      "idle_ms 3600000 idle_connections 256 budget 20 min 3\nejection "
		      "after 5 sweep_ms 10000 "
		      "time_ms 30000 max_time_ms 300000 max_percent 10\nhash source\nsources 1\n  "
		      "[0] 10.0.0.9\n"},
		{WEB, "name web\npolicy maglev\nforward nat\nfamily 4\nmax_endpoints 3\n"},
		{WEB, "  [1] e1 10.0.0.12:80 weight 3 slot 3 incarnation 1\n"},
		{WEB, "priority 0 members all\nmaglev 503\n  shares 126 377 0\n  places "},
		{RR, "policy round_robin\n"},
		{RR, "schedule 3\n  shares 1 2\n  places 1 0 1\n"},
	};
	struct sl_test_image im;

	sl_test_image_build(&conf, &im);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const struct sl_object *o = object_of(&im, rows[i].which);
		char *text = dump_of(o->bytes, o->size);
		bool ok = strstr(text, rows[i].shows) != NULL;
		if (!ok)
			printf("\n  no \"%s\" in\n%s\n", rows[i].shows, text);
		CU_ASSERT(ok);
		free(text);
	}
	sl_test_image_free(&im);
}

static void
dump_of_anything_else_says_what_is_wrong(void)
{
	SL_ALIGNED uint8_t junk[256];

	memset(junk, 0xa5, sizeof(junk));
	for (size_t size = 0; size <= sizeof(junk); size++) {
		char *text = dump_of(junk, size);
		CU_ASSERT(strncmp(text, "invalid object\n  ", 17) == 0);
		free(text);
	}
}

SL_SUITE("image_check", SL_TEST(valid_objects_pass_with_their_id),
	 SL_TEST(every_shorter_object_is_refused_without_reading_past_it),
	 SL_TEST(each_mistake_is_named_with_place_value_and_range),
	 SL_TEST(all_mistakes_are_reported_up_to_the_limit), SL_TEST(dump_shows_every_record),
	 SL_TEST(dump_of_anything_else_says_what_is_wrong))
