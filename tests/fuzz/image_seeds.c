/* image_seeds DIR — writes the first inputs of fuzz_image: small generations, whole and damaged.  Run by
 * hand when the format changes; the files are kept in corpus/image. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/dataplane/http_conf.h"
#include "tests/dataplane/levels_conf.h"
#include "tests/dataplane/tls_conf.h"

static const struct sl_test_endpoint v4[] = {
	{.addr = "10.0.0.11:80"}, {.addr = "10.9.0.12"}, {.addr = "10.0.0.13:80", .weight = 4}};
static const struct sl_test_endpoint v6[] = {{.addr = "[2001:db8::11]:53"},
					     {.addr = "[2001:db8::12]:53", .weight = 2}};
static const struct sl_test_address addresses[] = {
	{"p0", "10.0.0.1/24"}, {"p1", "2001:db8::1/64"}, {0}};
static const struct sl_test_route routes[] = {
	{"0.0.0.0/0", "10.0.0.254"}, {"10.9.0.0/16", "10.0.0.253"}, {"::/0", "2001:db8::fe"}, {0}};
static const struct sl_test_service one[] = {{.name = "web", .endpoints = v4, .endpoint_cnt = 1},
					     {0}};
static const struct sl_test_service three[] = {{.name = "dns",
						.endpoints = v6,
						.endpoint_cnt = 2,
						.policy = SL_POLICY_ROUND_ROBIN,
						.forward = SL_FORWARD_DSR},
					       {.name = "none"},
					       {.name = "web",
						.endpoints = v4,
						.endpoint_cnt = 3,
						.max_endpoints = 1,
						.policy = SL_POLICY_SOURCE_HASH},
					       {0}};
static const struct sl_test_service proxies[] = {
	{.name = "four",
	 .endpoints = v4,
	 .endpoint_cnt = 3,
	 .max_endpoints = 1,
	 .forward = SL_FORWARD_PROXY},
	{.name = "six",
	 .endpoints = v6,
	 .endpoint_cnt = 2,
	 .policy = SL_POLICY_LEAST_CONN,
	 .forward = SL_FORWARD_PROXY,
	 .sources = {"2001:db8::5"},
	 .tcp = {.idle_ms = 1000, .max_connections = 9, .retries = 7, .proxy_out = SL_PROXY_V2}},
	{0}};
static const struct sl_test_listener one_listener[] = {
	{.addr = "203.0.113.10:80", .service = "web"}, {0}};
static const struct sl_test_listener three_listeners[] = {
	{.addr = "203.0.113.10:80", .service = "web"},
	{.addr = "203.0.113.11:80", .service = "none", .proto = SL_IPPROTO_UDP},
	{.addr = "[2001:db8:f::1]:53", .service = "dns", .proto = SL_IPPROTO_UDP},
	{0}};

static const struct sl_test_listener proxy_listeners[] = {
	{.addr = "203.0.113.10:80", .service = "six", .trusted = {"10.0.0.0/8", "2001:db8::/32"}},
	{.addr = "203.0.113.11:80", .service = "four", .max_connections = 3},
	{.addr = "[2001:db8:f::]:1",
	 .plen = 48,
	 .last = 65535,
	 .service = "four",
	 .trusted = {"::/0"}},
	{0}};

static FILE *
seed_open(const char *dir, const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "wb");
	if (!f) {
		perror(path);
		exit(1);
	}
	return f;
}

/* A SHARD without its database: fuzz_image puts one of its own in. */
static void
strip(struct sl_object *o)
{
	struct sl_img_shard *s = sl_test_bytes(o);

	if (s->head.kind != SL_OBJ_SHARD)
		return;
	s->db_bytes = 1;
	memset(s + 1, 0, 8);
	o->size = s->head.size = sizeof(*s) + 8;
}

/* The generation with one byte changed (or none: at SIZE_MAX), cut at `end`. */
static void
seed(const char *dir, const char *name, const struct sl_test_conf *conf, size_t at, size_t end)
{
	struct sl_test_image im;
	size_t off = 0;

	sl_test_image_build(conf, &im);
	FILE *f = seed_open(dir, name);
	for (unsigned i = 0; i < im.obj_cnt; i++)
		strip(&im.objs[i]);
	for (unsigned i = 0; i <= im.obj_cnt; i++) {
		const struct sl_object *o = i ? &im.objs[i - 1] : &im.root;
		uint8_t *bytes = sl_test_bytes(o);
		if (at >= off && at - off < o->size)
			bytes[at - off] ^= 0xff;
		if (end > off)
			fwrite(bytes, 1, SL_MIN(o->size, end - off), f);
		off += o->size;
	}
	fclose(f);
	sl_test_image_free(&im);
}

int
main(int argc, char **argv)
{
	const struct sl_test_conf none = {0};
	const struct sl_test_conf small = {
		.addresses = addresses, .services = one, .listeners = one_listener};
	const struct sl_test_conf large = {.addresses = addresses,
					   .routes = routes,
					   .services = three,
					   .listeners = three_listeners};
	const struct sl_test_conf tcp = {.addresses = addresses,
					 .routes = routes,
					 .services = proxies,
					 .listeners = proxy_listeners};

	const struct sl_test_conf http = http_conf();

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
		return 2;
	}
	seed(argv[1], "empty", &none, SIZE_MAX, SIZE_MAX);
	seed(argv[1], "one-service", &small, SIZE_MAX, SIZE_MAX);
	seed(argv[1], "three-services", &large, SIZE_MAX, SIZE_MAX);
	seed(argv[1], "connections", &tcp, SIZE_MAX, SIZE_MAX);
	seed(argv[1], "requests", &http, SIZE_MAX, SIZE_MAX);
	seed(argv[1], "tls", &tls_conf, SIZE_MAX, SIZE_MAX);
	seed(argv[1], "levels", &levels_conf, SIZE_MAX, SIZE_MAX);
	seed(argv[1], "cut-in-head", &small, SIZE_MAX, 9);
	seed(argv[1], "cut-in-refs", &small, SIZE_MAX, 130);
	seed(argv[1], "root-only", &small, SIZE_MAX, sizeof(struct sl_img_root) + 3 * 48);
	seed(argv[1], "bad-magic", &small, 0, SIZE_MAX);
	seed(argv[1], "bad-ref-count", &small, offsetof(struct sl_img_root, ref_cnt) + 3, SIZE_MAX);
	seed(argv[1], "bad-ref-offset", &small, offsetof(struct sl_img_root, ref_off), SIZE_MAX);
	return 0;
}
