/* Each byte of a whole generation is changed, ids and sizes are made right again, and the result is
 * either refused or can be walked to the end.  Under ASan and UBSan this says that what the checks let
 * through holds no index, offset or count that leads astray. */
#include "tests/suite.h"

#include "tests/dataplane/http_conf.h"
#include "tests/dataplane/tls_conf.h"

static const struct sl_test_endpoint web_eps[] = {
	{.addr = "10.0.0.11:80"},
	{.addr = "10.0.0.12", .weight = 3},
	{.addr = "10.9.0.13:80", .weight = SL_TEST_WEIGHT_0},
};
static const struct sl_test_endpoint dsr_eps[] = {{.addr = "[2001:db8::11]:53"},
						  {.addr = "[2001:db8::12]:53", .weight = 2}};
static const struct sl_test_address addresses[] = {
	{"p0", "10.0.0.1/24"}, {"p1", "2001:db8::1/64"}, {0}};
static const struct sl_test_route routes[] = {
	{"0.0.0.0/0", "10.0.0.254"}, {"10.9.0.0/16", "10.0.0.253"}, {"::/0", "2001:db8::fe"}, {0}};
static const struct sl_test_endpoint one_ep[] = {{.addr = "10.0.0.14:80"}};
static const struct sl_test_endpoint gue_ep[] = {{.addr = "[2001:db8::15]"}};
static const struct sl_test_endpoint proxy_ep[] = {{.addr = "[2001:db8::16]"}};
static const struct sl_test_service services[] = {
	{.name = "dns",
	 .endpoints = dsr_eps,
	 .endpoint_cnt = 2,
	 .policy = SL_POLICY_ROUND_ROBIN,
	 .forward = SL_FORWARD_DSR},
	{.name = "none"},
	{.name = "web", .endpoints = web_eps, .endpoint_cnt = 3},
	{.name = "x-full",
	 .endpoints = one_ep,
	 .endpoint_cnt = 1,
	 .policy = SL_POLICY_LEAST_CONN,
	 .forward = SL_FORWARD_FULLNAT,
	 .sources = {"10.0.0.200", "10.0.0.1", "192.0.2.7"}},
	{.name = "y-gue",
	 .endpoints = gue_ep,
	 .endpoint_cnt = 1,
	 .policy = SL_POLICY_SOURCE_HASH,
	 .source_bits4 = 24,
	 .forward = SL_FORWARD_GUE,
	 .tunnel = "2001:db8:77::/48"},
	{.name = "z-proxy",
	 .endpoints = proxy_ep,
	 .endpoint_cnt = 1,
	 .forward = SL_FORWARD_PROXY,
	 .sources = {"2001:db8::5"},
	 .tcp = {.idle_ms = 3600000, .retries = 1, .keepalive_s = 30, .proxy_out = SL_PROXY_V2}},
	{0}};
static const struct sl_test_listener listeners[] = {
	{.addr = "203.0.113.10:80", .service = "web"},
	{.addr = "203.0.113.10:80", .service = "web", .proto = SL_IPPROTO_UDP},
	{.addr = "203.0.113.11:80", .service = "none"},
	{.addr = "[2001:db8:f::1]:53", .service = "dns", .proto = SL_IPPROTO_UDP},
	{.addr = "203.0.113.0:1", .plen = 24, .last = 65535, .service = "web"},
	{.addr = "203.0.113.0:80", .plen = 24, .service = "x-full"},
	{.addr = "203.0.113.0:70", .plen = 24, .last = 90, .service = "web"},
	{.addr = "203.0.113.10:100", .last = 200, .service = "y-gue"},
	{.addr = "203.0.113.12:443",
	 .service = "z-proxy",
	 .max_connections = 9,
	 .trusted = {"10.0.0.0/8", "2001:db8::/32"}},
	{.addr = "203.0.113.13:443", .service = "z-proxy", .trusted = {"192.0.2.1/32"}},
	{.addr = "[2001:db8:f::]:1", .plen = 48, .last = 65535, .service = "y-gue"},
	{0}};
static const struct sl_test_conf conf = {
	.addresses = addresses, .routes = routes, .services = services, .listeners = listeners};

struct outcome {
	unsigned refused, walked;
};

static void
try_image(const struct sl_test_image *im, const struct sl_test_conf *of, struct outcome *o)
{
	struct sl_diag d = {0};
	struct sl_view *v = NULL;

	int err = sl_test_image_view(im, of, &d, &v);
	if (err) {
		CU_ASSERT(d.cnt > 0); /* a refusal has a reason */
		o->refused++;
	} else {
		const char *wrong = sl_test_view_walk(v);
		if (wrong)
			printf("\n  %s", wrong);
		CU_ASSERT(!wrong);
		o->walked++;
	}
	sl_view_destroy(v);
	sl_diag_fini(&d);
}

/* The refs of the root take the objects' new ids; the root itself, when it is the one that was changed,
 * only a new id of its own. */
static void
reseal(struct sl_test_image *im, bool root)
{
	if (root)
		sl_image_id(im->root.bytes, im->root.size, &im->root_id);
	else
		sl_test_image_reseal(im);
}

static void
flip_all(const struct sl_test_conf *of, int which, struct outcome *o)
{
	static const uint8_t masks[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
	struct sl_test_image im;

	sl_test_image_build(of, &im);
	const struct sl_object *obj = which < 0 ? &im.root : &im.objs[which];
	uint8_t *bytes = sl_test_bytes(obj);
	for (size_t i = 0; i < obj->size; i++)
		for (unsigned m = 0; m < sizeof(masks); m++) {
			bytes[i] ^= masks[m];
			reseal(&im, which < 0);
			try_image(&im, of, o);
			bytes[i] ^= masks[m];
		}
	reseal(&im, which < 0);
	struct outcome whole = {0};
	try_image(&im, of, &whole);
	CU_ASSERT_EQUAL(whole.walked, 1); /* nothing was left changed */
	sl_test_image_free(&im);
}

static void
a_changed_byte_is_refused_or_harmless(void)
{
	for (int which = -1; which < 8; which++) {
		struct outcome o = {0};
		flip_all(&conf, which, &o);
		printf("\n    %s: %u refused, %u walked",
		       (const char *const[]){"root", "network", "listeners", "dns", "none", "web",
					     "x-full", "y-gue", "z-proxy"}[which + 1],
		       o.refused, o.walked);
		CU_ASSERT(o.refused > 0);
		CU_ASSERT(o.walked > 0); /* names, addresses and weights may be others */
	}
	printf("\n    ");
}

/* Not the SHARDs: their byte code cannot be validated (image.h). */
static void
a_changed_byte_of_http_is_refused_or_harmless(void)
{
	static const struct {
		int which;
		const char *name;
	} rows[] = {{-1, "root"},        {1, "listeners"},   {REF_CANARY, "canary"},
		    {REF_TABLE, "edge"}, {REF_SHOP, "shop"}, {REF_PLAIN, "plain"}};
	const struct sl_test_conf http = http_conf();

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct outcome o = {0};
		flip_all(&http, rows[i].which, &o);
		printf("\n    %s: %u refused, %u walked", rows[i].name, o.refused, o.walked);
		CU_ASSERT(o.refused > 0);
		CU_ASSERT(o.walked > 0);
	}
	printf("\n    ");
}

static void
a_changed_byte_of_tls_is_refused_or_harmless(void)
{
	static const int which[] = {1, TLS_DB, TLS_WEB};

	for (unsigned i = 0; i < SL_ARRAY_CNT(which); i++) {
		struct outcome o = {0};
		flip_all(&tls_conf, which[i], &o);
		printf("\n    object %d: %u refused, %u walked", which[i], o.refused, o.walked);
		CU_ASSERT(o.refused > 0);
		CU_ASSERT(o.walked > 0);
	}
	printf("\n    ");
}

SL_SUITE("image_flip", SL_TEST(a_changed_byte_is_refused_or_harmless),
	 SL_TEST(a_changed_byte_of_http_is_refused_or_harmless),
	 SL_TEST(a_changed_byte_of_tls_is_refused_or_harmless))
