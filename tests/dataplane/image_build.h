/* image_build — valid objects and views from a few C arrays, for tests.
 *
 *   static const struct sl_test_endpoint eps[] = {{.addr = "10.0.0.11:80"}, {.addr = "10.0.0.12:80"}};
 *   struct sl_test_conf conf = {
 *           .addresses = SL_TEST_LIST(struct sl_test_address, {"p0", "10.0.0.1/24"}),
 *           .services = SL_TEST_LIST(struct sl_test_service, {"web", .endpoints = eps, .endpoint_cnt = 2}),
 *           .listeners = SL_TEST_LIST(struct sl_test_listener, {.addr = "203.0.113.10:80", .service = "web"}),
 *   };
 *   struct sl_view *v = sl_test_view(&conf);
 *   …
 *   sl_test_view_free(v);
 *
 * Arrays end at the first record whose name or address is NULL (SL_TEST_LIST adds one), or at cnt when that
 * is not 0.  SL_TEST_LIST lives as long as the block it stands in: do not return it.  Anything else that is 0 or NULL is filled in, as
 * said below.  Slots follow the order of the configuration (endpoints: over all services).
 * What does not parse ends the process with a message: it is the test that is wrong.
 */
#ifndef SL_TESTS_IMAGE_BUILD_H
#define SL_TESTS_IMAGE_BUILD_H

#include "dataplane/image_check.h"
#include "dataplane/view.h"
#include "tests/l7/route_image.h"

#define SL_TEST_LIST(type, ...) ((const type[]){__VA_ARGS__, {0}})
#define SL_TEST_WEIGHT_0 UINT16_MAX /* weight 0; plain 0 means 1 */

struct sl_test_address {
	const char *port;
	const char *addr; /* "10.0.0.1/24", bits behind the length allowed */
};

struct sl_test_route {
	const char *prefix; /* "0.0.0.0/0" */
	const char *via;
};

struct sl_test_endpoint {
	const char *addr;     /* "10.0.0.11:80", "[2001:db8::11]:80"; without port: keep it */
	const char *name;     /* NULL: "e0", "e1" … in order */
	uint16_t weight;      /* 0: 1; SL_TEST_WEIGHT_0 */
	uint32_t slot;        /* 0: its place among all endpoints of the configuration */
	uint32_t incarnation; /* 0: 1 */
	uint8_t level; /* of the whole, and of each subset that it is in; all up to the highest of each are there */
	uint8_t subsets; /* bit i: it is in the service's i-th subset */
};

struct sl_test_subset {
	const char *name;
	bool any;
};

/* TLS of a service; img: lengths and places are filled in, 0 of a range that has no 0: all versions, suites and groups, 5 s;
 * verify and resume are as they are. */
struct sl_test_service_tls {
	struct sl_img_tls_service img;
	const char *sans[8];
};

/* Of a listener; img likewise, with 10 s. */
struct sl_test_tls {
	struct sl_img_tls_listener img;
	const char *certs[8], *trust[8], *sans[8];
};

struct sl_test_sni {
	const char *name, *service;
};

struct sl_test_service {
	const char *name;
	const struct sl_test_endpoint *endpoints;
	uint32_t endpoint_cnt;
	uint8_t policy;         /* 0: MAGLEV */
	uint8_t forward;        /* 0: NAT */
	uint8_t family;         /* 0: of the first endpoint; 4 without any */
	uint32_t max_endpoints; /* 0: endpoint_cnt, at least 1; sizes the Maglev table */
	const char *sources[8]; /* FULLNAT, PROXY: "10.0.0.200"; sorted by the builder */
	const char *tunnel;     /* IPIP, GUE: "172.16.0.0/16"; NULL: none */
	uint16_t gue_port;      /* GUE: 0: 6080 */
	uint8_t source_bits4, source_bits6;    /* SOURCE_HASH: 0: 32, 128 */
	struct sl_img_tcp tcp;                 /* PROXY: connect_ms 0: 1000; the rest as it is */
	struct sl_img_http_service http;       /* PROXY: conn_idle_ms 0: all as by default */
	uint8_t panic_pct;                     /* 0: 50 where http is as by default, else 0 */
	struct sl_test_subset subsets[8];      /* PROXY; in the order of their names */
	const struct sl_test_service_tls *tls; /* PROXY; NULL: plaintext */
	const struct sl_img_rate *rates;       /* PROXY; as they are, [rate_cnt] */
	uint32_t rate_cnt;
};

struct sl_test_listener {
	const char *addr; /* "203.0.113.10:80"; with plen: the prefix's first address */
	const char *service;
	uint8_t proto;    /* 0: TCP */
	const char *name; /* NULL: "l0", "l1" … in order */
	uint16_t last;    /* last port; 0: the one port.  "…:1" with 65535: any */
	uint8_t plen;     /* as people write it: 24 of IPv4; 0: one address */
	uint8_t mode; /* 0: TCP when the service's forward is PROXY, HTTP with a table, else L4 */
	const char *table; /* instead of service */
	uint32_t max_connections;
	const char *trusted[4]; /* "10.0.0.0/8", in order; with one: a PROXY header is required */
	const struct sl_test_tls *tls; /* NULL: plaintext */
	struct sl_test_sni snis
		[8]; /* with one: mode PASSTHROUGH, whose service may be NULL; sorted by the builder */
};

struct sl_test_conf {
	uint64_t generation;                     /* 0: 1 */
	uint64_t hash_seed;                      /* 0: a constant */
	const char *ports[SL_VIEW_MAX_PORTS];    /* none: "p0", "p1" */
	const struct sl_test_address *addresses; /* NULL: none, as the following */
	const struct sl_test_route *routes;
	const struct sl_test_service *services;
	const struct sl_test_listener *listeners;
	uint32_t address_cnt, route_cnt, service_cnt, listener_cnt; /* 0: up to the end mark */
	/* Slots are places here, too: a host leads to a place in vhosts, a target to a place in services; routes have theirs
	 * from first_slot on.  Two vhosts that scan the same patterns share their shards. */
	const struct sl_test_routes *tables;
	const struct sl_test_vhost *vhosts;
	uint32_t table_cnt, vhost_cnt;
	unsigned worker_cnt; /* each gets a scratch */
};

/* The objects of a generation, each valid for itself. */
struct sl_test_image {
	struct sl_object root;
	struct sl_obj_id root_id;
	struct sl_object
		*objs; /* [obj_cnt] NETWORK, LISTENERS, SERVICE…, ROUTES…, VHOST…, SHARD… */
	unsigned obj_cnt;
};

void sl_test_image_build(const struct sl_test_conf *conf, struct sl_test_image *ret_image);
void sl_test_image_free(struct sl_test_image *image);

/* The objects' bytes are malloc'ed and may be changed by the test; sl_test_image_reseal then writes ids and
 * sizes of all objects into the root's refs and makes root_id anew. */
void sl_test_image_reseal(struct sl_test_image *image);
static inline void *
sl_test_bytes(const struct sl_object *o)
{
	return (void *)(uintptr_t)o->bytes;
}

/* Check of all objects and creation of the view.  0, -EINVAL with all problems in diag (or NULL).
 * The image must outlive the view. */
int sl_test_image_view(const struct sl_test_image *image, const struct sl_test_conf *conf,
		       struct sl_diag *diag, struct sl_view **ret_view);

/* All at once.  A configuration that is refused ends the process with the reasons on stderr. */
struct sl_view *sl_test_view(const struct sl_test_conf *conf);
void sl_test_view_free(struct sl_view *v);

/* sl_test_view_walk follows everything a worker may follow: listener → service → each place of a table →
 * endpoint → hop → port, and back; host → virtual host, request → route → service.  NULL, or a sentence on what does not fit. */
const char *sl_test_view_walk(const struct sl_view *v);

/* Strings as above; end the process when they do not parse. */
struct sl_addr sl_test_addr(const char *text);
void sl_test_addr_port(const char *text, struct sl_addr *ret_addr, sl_be16 *ret_port);

#endif
