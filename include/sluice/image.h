/* image — THE table format: what sluiced compiles and sluice-dataplane reads.  Declared only here and, for ROUTES, VHOST
 * and SHARD, in image_http.h, of TLS in image_tls.h, of policy in image_policy.h, which stand at the end of this file.
 *
 * A generation is one ROOT object that names other objects by the SHA-256 of their bytes.  Each object
 * lies in a memfd of its own, sealed against writing and resizing, and is mapped privately, read-only
 * (or copied, when it is small: no worker is interrupted when it goes).
 * An object that did not change is not sent again: its id is the same.
 *
 *   ROOT ──refs[0..n)──▶ NETWORK (exactly 1)   addresses of the ports, routes
 *                  └───▶ LISTENERS (exactly 1) addr, port, proto → service or route table, by index into refs
 *                  └───▶ SERVICE (0..n)        endpoints; subsets; levels with their Maglev tables and schedules
 *                  └───▶ ROUTES (0..n)         a route table: host names → virtual host, by slot; HTTP settings
 *                  └───▶ VHOST (0..n)          conditions, routes in list order, actions; services by slot, shards by id
 *                  └───▶ SHARD (0..n)          a Hyperscan database
 *
 * Reader algorithm, in this order, nothing trusted (dataplane/image_check.c):
 *   1. the descriptor has all four seals and its size is a multiple of 8 in [sizeof(head), SL_OBJ_MAX];
 *   2. SHA-256 over all bytes equals the id (for the root: the id in the offer);
 *   3. head: magic, version, kind as referenced, size as the file's;
 *   4. every (offset, count) section lies inside the object, is aligned to 8, and does not overlap the
 *      head or another section; sections stand in the order they are declared and every byte between
 *      them is 0;
 *   5. every field is in the range its comment gives; every field named zero is 0; names are
 *      SL_NAME_OK and padded with 0;
 *   6. between objects: listener → service or route table, host → virtual host, target → service and subset, scan → shard,
 *      address → port name known to this dataplane.
 * The one exception is said out loud: the byte code in a SHARD cannot be validated.  It is believed because only the
 * daemon's own uid may offer it (ctl.h); what holds it (head, sizes, checksum) is checked like all else.
 * All problems are reported (up to SL_DIAG_MAX), not only the first.
 *
 * All integers are little-endian; addresses and ports (_be) in wire order.  Offsets count from the
 * start of the object.  The compiler is pure: the same configuration and slot map give the same bytes.
 *
 * Slots: a listener, service or endpoint has a slot (an index for life) and an incarnation (1..65535;
 * raised each time the slot is given to another owner; slots are reused first freed, first used).
 * Statistics and flows are kept by slot and outlive generations.
 */
#ifndef SLUICE_IMAGE_H
#define SLUICE_IMAGE_H

#include "sluice/addr.h"

#define SL_OBJ_MAGIC 0x4a424f53u /* "SOBJ" */
#define SL_IMAGE_VERSION 7
#define SL_OBJ_MAX (64u << 20) /* bytes */
#define SL_ID_BYTES 32
#define SL_NAME_MAX 64 /* bytes with the terminating 0 */

/* Limits of one generation. */
#define SL_MAX_SERVICES 4096
#define SL_MAX_LISTENERS 8192
#define SL_MAX_ENDPOINTS 65536 /* slots in the gateway: endpoint slots are in [0, this) */
#define SL_MAX_SERVICE_ENDPOINTS 16384
#define SL_MAX_ROUTES 65536
#define SL_MAX_ADDRESSES 256
#define SL_MAX_MAGLEV 1638431u /* room for the smallest prime ≥ 100 × SL_MAX_SERVICE_ENDPOINTS */
#define SL_MAX_SCHED 65536u
#define SL_MAX_WEIGHT 256
#define SL_MAX_LEVELS 24  /* of a service, or of a subset: one for each priority and distance */
#define SL_MAX_SUBSETS 64 /* of a service */
#define SL_MAX_TRUST 4096 /* prefixes, over all listeners */
#define SL_MAX_TABLES 256 /* route tables */
#define SL_MAX_VHOSTS 16384
#define SL_MAX_HTTP_ROUTES 65536 /* slots in the gateway */
#define SL_MAX_SHARDS 4096
#define SL_MAX_AUTHZ 1024       /* slots of sets of rules (image_policy.h), likewise */
#define SL_MAX_JWT 64           /* of issuers of tokens */
#define SL_MAX_RULE_SLOTS 16384 /* rules that are counted one by one */
#define SL_MAX_REFS                                                                                \
	(2 + SL_MAX_SERVICES + SL_MAX_TABLES + SL_MAX_VHOSTS + SL_MAX_SHARDS + SL_MAX_AUTHZ +      \
	 SL_MAX_JWT)

/* A name: 1..63 bytes of [A-Za-z0-9._-], first one alphanumeric. */

struct sl_obj_id {
	uint8_t b[SL_ID_BYTES]; /* SHA-256 of the object's bytes */
};

enum sl_obj_kind {
	SL_OBJ_ROOT = 1,
	SL_OBJ_NETWORK = 2,
	SL_OBJ_LISTENERS = 3,
	SL_OBJ_SERVICE = 4,
	SL_OBJ_ROUTES = 5,
	SL_OBJ_VHOST = 6,
	SL_OBJ_SHARD = 7,
	SL_OBJ_AUTHZ = 8, /* image_policy.h, as */
	SL_OBJ_JWT = 9,
};
#define SL_OBJ_KIND_LAST SL_OBJ_JWT

struct sl_obj_head {
	uint32_t magic;   /* SL_OBJ_MAGIC */
	uint16_t version; /* SL_IMAGE_VERSION */
	uint16_t kind;    /* enum sl_obj_kind */
	uint32_t size;    /* bytes, of the whole object, a multiple of 8 */
	uint32_t zero;
};
static_assert(sizeof(struct sl_obj_head) == 16, "");

/* ---- ROOT ---- */

struct sl_img_root {
	struct sl_obj_head head;
	uint64_t hash_seed; /* seeds every choice that gateways must agree on (lb/hash.h) */
	uint32_t ref_cnt;   /* [2, SL_MAX_REFS] */
	uint32_t
		ref_off; /* struct sl_img_ref[ref_cnt]: NETWORK, LISTENERS, then SERVICE…, ROUTES… and VHOST…, each kind by
			  * slot, then SHARD… by id, AUTHZ… and JWT… by slot; no two of the same id */
	char name[SL_NAME_MAX]; /* of the gateway group, for people */
};
static_assert(sizeof(struct sl_img_root) == 96, "");

struct sl_img_ref {
	struct sl_obj_id id;
	uint32_t kind; /* enum sl_obj_kind, not ROOT */
	uint32_t size; /* bytes of the object */
	uint32_t
		slot; /* SERVICE: in [0, SL_MAX_SERVICES), ROUTES: [0, SL_MAX_TABLES), VHOST: [0, SL_MAX_VHOSTS), AUTHZ:
			* [0, SL_MAX_AUTHZ), JWT: [0, SL_MAX_JWT), distinct within the kind; else 0 */
	uint32_t incarnation; /* of these: [1, 65535]; else 0 */
};
static_assert(sizeof(struct sl_img_ref) == 48, "");

/* ---- NETWORK ---- */

struct sl_img_network {
	struct sl_obj_head head;
	uint32_t address_cnt; /* [0, SL_MAX_ADDRESSES] */
	uint32_t address_off; /* struct sl_img_address[] sorted by (port, addr, plen), distinct */
	uint32_t route_cnt;   /* [0, SL_MAX_ROUTES] */
	uint32_t route_off;   /* struct sl_img_route[] sorted by (prefix, plen), distinct */
};
static_assert(sizeof(struct sl_img_network) == 32, "");

/* The gateway's own address on a port: source of ARP and ND, answers ping, makes its prefix on-link. */
struct sl_img_address {
	char port[SL_NAME_MAX]; /* a port of the dataplane's boot file */
	struct sl_addr addr;    /* unicast */
	uint32_t plen;          /* [0,128] over the 16-byte form; IPv4: [96,128] */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_address) == 88, "");

struct sl_img_route {
	struct sl_addr prefix; /* no bits behind plen */
	struct sl_addr via;    /* next hop, on-link by some address of the same family */
	uint32_t plen;         /* as above; the IPv4 default route is ::ffff:0:0/96 */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_route) == 40, "");

/* ---- LISTENERS ---- */

struct sl_img_listeners {
	struct sl_obj_head head;
	uint32_t listener_cnt; /* [0, SL_MAX_LISTENERS] */
	uint32_t
		listener_off; /* struct sl_img_listener[] sorted by (addr, plen, port, port_last, proto) */
	uint32_t trust_cnt; /* [0, SL_MAX_TRUST] */
	uint32_t
		trust_off; /* struct sl_img_prefix[]: those of one listener together, sorted, distinct; in the order of
			    * the listeners, every one of some listener */
	/* image_tls.h */
	uint32_t tls_cnt;      /* [0, SL_MAX_LISTENERS] */
	uint32_t tls_off;      /* struct sl_img_tls_listener[], in the order of their listeners */
	uint32_t tls_name_cnt; /* [0, SL_MAX_TLS_NAMES] */
	uint32_t
		tls_name_off; /* struct sl_img_tls_name[]: of each tls in turn, certificates, then trust */
	uint32_t tls_san_cnt; /* likewise */
	uint32_t tls_san_off; /* struct sl_img_tls_san[] */
	uint32_t sni_cnt;     /* [0, SL_MAX_SNI] */
	uint32_t sni_off;     /* struct sl_img_sni[] */
};
static_assert(sizeof(struct sl_img_listeners) == 64, "");

struct sl_img_prefix {
	struct sl_addr prefix; /* no bits behind plen */
	uint32_t plen;         /* [0,128] over the 16-byte form; IPv4: [96,128] */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_prefix) == 24, "");

enum sl_listener_mode {
	SL_MODE_L4 = 1, /* packets are forwarded; `forward` of the service says how */
	SL_MODE_TCP =
		2, /* clients' TCP ends here, the gateway opens TCP to an endpoint; TCP only, SL_FORWARD_PROXY only */
	SL_MODE_HTTP = 3, /* HTTP/1.1 ends here: each request goes by a route table; TCP only */
	SL_MODE_PASSTHROUGH =
		4, /* clients' TCP ends here, TLS does not: the server name of the ClientHello says which service; TCP only,
		    * SL_FORWARD_PROXY only */
};

/* Which listener a packet is for: the longest prefix that holds its destination and has a listener for its
 * protocol and port; of several of the same prefix the single port, else the range, else any port.
 * Of one (addr, plen, proto) there is at most one "any", single ports are distinct, ranges do not overlap. */
struct sl_img_listener {
	struct sl_addr
		addr; /* VIP, or the prefix of VIPs, no bits behind plen; holds no address of NETWORK */
	sl_be16 port_be;      /* first port, [1,65535] */
	sl_be16 port_last_be; /* last port, ≥ first; 1 to 65535: any */
	uint8_t proto;        /* SL_IPPROTO_TCP or SL_IPPROTO_UDP */
	uint8_t mode;         /* enum sl_listener_mode */
	uint8_t plen;         /* [1,128] over the 16-byte form; IPv4: [97,128].  128: one address */
	uint8_t proxy_in; /* not L4: 1: a PROXY header (v1 or v2) is required, and believed of `trust` only; else 0 */
	uint32_t
		ref; /* index into the root's refs; mode HTTP: of kind ROUTES; else SERVICE, of the same family unless a
		      * tunnel or proxy; PASSTHROUGH: of who names no server, or none of sni; UINT32_MAX: refused */
	uint32_t slot;        /* [0, SL_MAX_LISTENERS), distinct */
	uint32_t incarnation; /* [1, 65535] */
	uint32_t
		max_connections; /* TCP: client connections at a time, of all workers; 0: no limit.  L4: 0 */
	uint32_t trust_first; /* proxy_in: first of its prefixes in trust; else 0 */
	uint32_t trust_cnt;   /* proxy_in: ≥ 1; else 0 */
	uint32_t tls;         /* TCP and HTTP: index + 1 into tls; 0: plaintext */
	uint32_t sni_first;   /* PASSTHROUGH: first of its names in sni; else 0 */
	uint32_t sni_cnt;     /* PASSTHROUGH; else 0 */
	uint16_t authz; /* TCP: slot + 1 of the AUTHZ that connections are judged by; 0: none */
	uint16_t
		client_max; /* connections of one client (IPv4 address, IPv6 /64) at a time, of all workers; 0: no limit.  L4: 0 */
	char name[SL_NAME_MAX]; /* distinct */
};
static_assert(sizeof(struct sl_img_listener) == 128, "");

/* ---- SERVICE ---- */

enum sl_policy {
	SL_POLICY_MAGLEV = 1,      /* hash of the tuple → Maglev table */
	SL_POLICY_ROUND_ROBIN = 2, /* weighted; each worker walks `sched` for itself */
	SL_POLICY_SOURCE_HASH =
		3, /* hash of the client's address alone, under a mask → Maglev table */
	SL_POLICY_LEAST_CONN = 4, /* fewest flows for its weight, as this worker sees them */
	/* of SL_FORWARD_PROXY alone: */
	SL_POLICY_LEAST_REQUEST =
		5, /* of two drawn by weight the one with fewer under way, over all workers */
	SL_POLICY_RING_HASH = 6, /* hash of the request (sl_img_http_service.hash_on) → `ring` */
	SL_POLICY_RANDOM = 7,    /* weighted */
	SL_POLICY_EWMA =
		8, /* of two drawn by weight the one that will answer sooner: by what its answers took, and what is under way */
};
#define SL_POLICY_LAST SL_POLICY_EWMA

enum sl_forward {
	SL_FORWARD_NAT = 1, /* destination rewritten; replies come back through the gateway */
	SL_FORWARD_DSR =
		2, /* destination MAC rewritten; the endpoint owns the VIP and answers itself */
	SL_FORWARD_FULLNAT =
		3, /* source rewritten too, to one of `sources`: replies come back by themselves */
	SL_FORWARD_IPIP =
		4, /* in IPv4 (RFC 2003) or IPv6 (RFC 2473) to the endpoint, which owns the VIP */
	SL_FORWARD_GUE = 5, /* in UDP, variant 0 of draft-ietf-intarea-gue */
	SL_FORWARD_PROXY =
		6, /* not packets: listeners of mode TCP open connections of the gateway's own to it */
};

#define SL_MAX_RETRIES 7
enum sl_proxy_out { SL_PROXY_NONE = 0, SL_PROXY_V1 = 1, SL_PROXY_V2 = 2 };

/* Of a service with SL_FORWARD_PROXY; else all 0. */
struct sl_img_tcp {
	uint32_t connect_ms;      /* of one attempt: [1, 600000] */
	uint32_t idle_ms;         /* without a byte either way: [1, 604800000]; 0: none */
	uint32_t max_connections; /* at a time, of all workers; 0: no limit */
	uint16_t keepalive_s;     /* silence before probes, both sides; 0: none */
	uint8_t retries;   /* further endpoints tried when connecting fails: [0, SL_MAX_RETRIES] */
	uint8_t proxy_out; /* enum sl_proxy_out: header sent to the endpoint */
	uint8_t cc;        /* enum sl_stream_cc (streams.h): 0 cubic, 1 reno */
	uint8_t zero[3];
	uint32_t endpoint_connections; /* to one endpoint, as max_connections */
};
static_assert(sizeof(struct sl_img_tcp) == 24, "");

enum sl_way { SL_TO_ENDPOINTS, SL_TO_CLIENTS };
#define SL_WAYS 2
#define SL_BANDWIDTH_MIN 1024 /* bytes a second */
#define SL_BANDWIDTH_MAX (1ull << 40)
#define SL_BURST_MIN 8192
#define SL_BURST_MAX (1u << 30)

/* Payload and heads that a service moves over all workers, each way by enum sl_way: in any time t at most rate × t + burst bytes
 * (l7/shape.h).  Of SL_FORWARD_PROXY; else all 0. */
struct sl_img_bandwidth {
	uint64_t rate[SL_WAYS];  /* bytes a second; 0: no limit */
	uint32_t burst[SL_WAYS]; /* 0 exactly where rate is */
};
static_assert(sizeof(struct sl_img_bandwidth) == 24, "");

/* What requests are hashed by, for policies with a table or ring; requests without it: by chance. */
enum sl_hash_on {
	SL_HASH_ON_SOURCE = 0, /* the client's address */
	SL_HASH_ON_HEADER = 1,
	SL_HASH_ON_COOKIE = 2,
	SL_HASH_ON_QUERY = 3,
};

/* How requests are sent to the endpoints of a service with SL_FORWARD_PROXY; else all 0.  Limits are of all workers
 * together. */
struct sl_img_http_service {
	uint32_t max_pending;   /* requests that wait for a connection; 0: no limit */
	uint32_t max_requests;  /* under way; 0: no limit */
	uint32_t max_retries;   /* under way; 0: the budget alone limits them */
	uint32_t conn_requests; /* requests of one connection; 0: no limit */
	uint32_t conn_idle_ms;  /* a pooled connection is closed after; [1, 604800000] */
	uint32_t
		conn_idle_max; /* idle connections kept to one endpoint, of each worker; [0, 65535] */
	uint32_t eject_ms;     /* first ejection, [1, 3600000] */
	uint32_t eject_max_ms; /* longest, ≥ eject_ms */
	uint32_t sweep_ms;     /* between two looks at who may return, [10, 3600000] */
	uint16_t
		eject_after; /* consecutive 5xx or failures until an endpoint is ejected; 0: never */
	uint8_t eject_max_pct; /* of the endpoints at a time, [1, 100]; one may always be */
	uint8_t budget_pct;    /* retries under way, of requests under way, [0, 100] */
	uint8_t budget_min;    /* but as many as this always, [0, 255] */
	uint8_t hash_on;       /* enum sl_hash_on */
	uint8_t split_local; /* 1: failures to connect, resets and time-outs are not counted in eject_after and gateway_after */
	uint8_t failure_pct; /* failed tries of a sweep that eject an endpoint, [0, 100] per cent; 0: never */
	/* consecutive, 0: never: */
	uint16_t
		gateway_after; /* 502, 503, 504; without split_local failures without an answer, too */
	uint16_t local_after; /* no connection, reset, time-out, broken answer */
	uint16_t
		rate_deviation; /* a success rate so far below the mean ejects: thousandths of the standard deviation,
				   * [0, 10000]; 0: never */
	/* rate_deviation, failure_pct: */
	uint16_t rate_endpoints; /* so many need to have had */
	uint16_t rate_requests;  /* so many tries in the sweep */
	uint16_t
		budget_per_s; /* retries a second that may be made beside the budget, of all workers */
	uint32_t endpoint_requests; /* under way to one endpoint; 0: no limit */
	/* adaptive concurrency (l7/adaptive.h), of each worker: */
	uint16_t adaptive_min; /* so many requests may always be under way; 0: it is off */
	uint8_t adaptive_pct;  /* more than the least that answers take is borne, [0, 200] */
	uint8_t adaptive_zero;
	char hash_name
		[SL_NAME_MAX]; /* HEADER (lower case), COOKIE, QUERY: its name, a token; else all 0 */
};
static_assert(sizeof(struct sl_img_http_service) == 128, "");

/* Ring of RING_HASH (ketama): a hash goes to the first point not below it, else to the first. */
#define SL_MAX_RING (1u << 20)
struct sl_img_point {
	uint32_t hash;
	uint32_t endpoint; /* index into endpoints, a member of weight > 0 */
};

/* Endpoints that take new flows together: those of one rank, of the whole service or of a subset.  Level 0 takes all while it has
 * the health for it, the next ones what is left (lb/choose.h).  Each endpoint is in one level of the whole, and in one or none of
 * each subset. */
struct sl_img_level {
	uint32_t subset;     /* 0: the whole; else 1 + index into subsets */
	uint32_t priority;   /* [0, SL_MAX_LEVELS): 0, 1, … in each subset */
	uint32_t member_cnt; /* [1, endpoint_cnt] */
	uint32_t
		member_off; /* uint16_t[member_cnt]: indices into endpoints, ascending; padded with 0.  0 exactly when all
			      * endpoints are members: their indices are not listed */
	uint32_t
		maglev_cnt; /* a prime of lb/maglev.h in [101, SL_MAX_MAGLEV]; 0 exactly when all members' weights
			      * are 0, or the policy is none of sl_policy_has_table */
	uint32_t
		maglev_off; /* uint16_t[maglev_cnt]: indices into endpoints, members of weight > 0; padded with 0 */
	uint32_t sched_cnt; /* [1, SL_MAX_SCHED] for ROUND_ROBIN with some weight > 0; else 0 */
	uint32_t sched_off; /* uint16_t[sched_cnt], likewise.  An empty section has offset 0 */
	uint32_t ring_cnt;  /* [1, SL_MAX_RING] for RING_HASH with some weight > 0; else 0 */
	uint32_t ring_off;  /* struct sl_img_point[ring_cnt] sorted by hash, then endpoint */
	/* with zone_min; else 0: */
	uint16_t zone; /* 0: the gateway's own; [1, SL_MAX_LEVELS): another one of the service */
	uint16_t
		beside; /* 1: of the same rank as the level before, in a later zone: they share by zone */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_level) == 48, "");

/* What routes name: endpoints by their metadata. */
struct sl_img_subset {
	char name[SL_NAME_MAX];
	uint32_t
		any; /* 1: while nobody is in it, its requests go to the whole service; 0: to nobody */
	uint32_t level_first; /* its levels: behind those of the subset before, and of the whole */
	uint32_t level_cnt;   /* [0, SL_MAX_LEVELS]; 0: nobody is in it */
	uint32_t zero;
};
static_assert(sizeof(struct sl_img_subset) == 80, "");

#define SL_MAX_SOURCES 64
#define SL_GUE_PORT 6080 /* IANA's */

struct sl_img_service {
	struct sl_obj_head head;
	char name[SL_NAME_MAX];
	uint8_t policy;  /* enum sl_policy */
	uint8_t forward; /* enum sl_forward */
	uint8_t family;  /* 4 or 6: of all endpoints; tunnels: listeners may be of the other */
	uint8_t panic_pct; /* less health than this, per cent, in a level: it is ignored there, [0, 100]; 0: never */
	uint8_t source_bits4; /* SOURCE_HASH: leading bits of the client's address that count, [1,32]; else 0 */
	uint8_t source_bits6; /* [1,128]; else 0 */
	sl_be16 gue_port_be;  /* GUE: [1,65535]; else 0 */
	uint32_t
		tunnel_plen; /* IPIP, GUE: outer sources are spread over this prefix, of the endpoints' family,
			       * over the 16-byte form; 0: the gateway's own address there is the source */
	struct sl_addr tunnel; /* the prefix, no bits behind plen; all 0 with plen 0 */
	uint32_t
		source_cnt; /* FULLNAT: [1, SL_MAX_SOURCES]; PROXY: [0, that], 0: the gateway's own address there; else 0 */
	uint32_t
		source_off; /* struct sl_addr[] sorted, distinct: unicast, of the service's family, no VIP.  What is
				* not an address of NETWORK is answered for like one */
	uint32_t endpoint_cnt; /* [0, SL_MAX_SERVICE_ENDPOINTS] */
	uint32_t endpoint_off; /* struct sl_img_endpoint[] sorted by name, names distinct */
	uint32_t level_cnt;    /* 0 exactly when endpoint_cnt is 0; those of the whole first */
	uint32_t level_off;    /* struct sl_img_level[] sorted by (subset, priority), distinct */
	uint32_t subset_cnt;   /* PROXY: [0, SL_MAX_SUBSETS]; else 0 */
	uint32_t
		subset_off; /* struct sl_img_subset[] sorted by name, names distinct.  Behind it, of each level in turn: members,
				 * Maglev table, schedule, ring */
	uint32_t max_endpoints; /* as declared: [1, SL_MAX_SERVICE_ENDPOINTS] */
	uint16_t zone_min; /* fewer endpoints that take: zones do not count; 0: they never do */
	uint16_t
		zone_traffic; /* what this zone's gateways take of all traffic, of 10000; 0: as much as each other zone's */
	struct sl_img_tcp tcp;
	struct sl_img_http_service http;
	uint32_t
		tls_off; /* PROXY: struct sl_img_tls_service, then its sans (image_tls.h); 0: endpoints speak plaintext */
	uint32_t
		rate_cnt; /* PROXY: [0, SL_MAX_SERVICE_RATES]; else 0: limits of its requests, of mode tcp its connections */
	uint32_t rate_off; /* struct sl_img_rate[] (image_policy.h) */
	struct sl_img_bandwidth bandwidth;
};
static_assert(sizeof(struct sl_img_service) == 336, "");

struct sl_img_endpoint {
	struct sl_addr addr;  /* unicast, of the service's family */
	sl_be16 port_be;      /* 0: the port the packet came to */
	uint16_t weight;      /* [0, SL_MAX_WEIGHT]; 0: no new flows */
	uint32_t slot;        /* [0, SL_MAX_ENDPOINTS), distinct over the generation */
	uint32_t incarnation; /* [1, 65535] */
	uint32_t zero;
	char name[SL_NAME_MAX];
};
static_assert(sizeof(struct sl_img_endpoint) == 96, "");

/* sl_name_ok says whether the 64 bytes are a name padded with 0. */
bool sl_name_ok(const char name[SL_NAME_MAX]);

/* The words that files, answers and dumps have for the numbers: X(NAME, word). */
#define SL_POLICIES(X)                                                                             \
	X(MAGLEV, "maglev")                                                                        \
	X(ROUND_ROBIN, "round_robin")                                                              \
	X(SOURCE_HASH, "source_hash")                                                              \
	X(LEAST_CONN, "least_conn")                                                                \
	X(LEAST_REQUEST, "least_request")                                                          \
	X(RING_HASH, "ring_hash")                                                                  \
	X(RANDOM, "random")                                                                        \
	X(EWMA, "ewma")
#define SL_HASH_ONS(X)                                                                             \
	X(SOURCE, "source")                                                                        \
	X(HEADER, "header")                                                                        \
	X(COOKIE, "cookie")                                                                        \
	X(QUERY, "query")
#define SL_FORWARDS(X)                                                                             \
	X(NAT, "nat")                                                                              \
	X(DSR, "dsr")                                                                              \
	X(FULLNAT, "fullnat")                                                                      \
	X(IPIP, "ipip")                                                                            \
	X(GUE, "gue")                                                                              \
	X(PROXY, "proxy")

#define SL_LISTENER_MODES(X)                                                                       \
	X(L4, "l4")                                                                                \
	X(TCP, "tcp")                                                                              \
	X(HTTP, "http")                                                                            \
	X(PASSTHROUGH, "tls-passthrough")
#define SL_PROXY_OUTS(X)                                                                           \
	X(NONE, "none")                                                                            \
	X(V1, "v1")                                                                                \
	X(V2, "v2")

/* The word, or "unknown". */
const char *sl_policy_name(unsigned policy);
const char *sl_forward_name(unsigned forward);
const char *sl_mode_name(unsigned mode);
const char *sl_proxy_out_name(unsigned proxy_out);
const char *sl_hash_on_name(unsigned hash_on);
const char *sl_method_name(unsigned method); /* "GET"; OTHER: "other" */

/* sl_forward_tunnels: whether packets go on within others; sl_forward_keeps_port: whether they reach the endpoint
 * with the port that the client used. */
static inline bool
sl_forward_tunnels(unsigned forward)
{
	return forward == SL_FORWARD_IPIP || forward == SL_FORWARD_GUE;
}

static inline bool
sl_forward_keeps_port(unsigned forward)
{
	return forward == SL_FORWARD_DSR || sl_forward_tunnels(forward);
}

/* sl_forward_has_sources: whether endpoints are spoken to from `sources`. */
static inline bool
sl_forward_has_sources(unsigned forward)
{
	return forward == SL_FORWARD_FULLNAT || forward == SL_FORWARD_PROXY;
}

/* sl_forward_mixes: whether endpoints may be of another family than the listeners. */
static inline bool
sl_forward_mixes(unsigned forward)
{
	return sl_forward_tunnels(forward) || forward == SL_FORWARD_PROXY;
}

/* sl_policy_has_table: whether services of the policy have a Maglev table. */
static inline bool
sl_policy_has_table(unsigned policy)
{
	return policy == SL_POLICY_MAGLEV || policy == SL_POLICY_SOURCE_HASH;
}

/* sl_prefix_mixed: whether an IPv6 prefix holds the IPv4 addresses (of the 16-byte form): none of ours may. */
bool sl_prefix_mixed(const struct sl_addr *prefix, unsigned plen);

/* sl_prefixes_hold: whether one of the prefixes (a listener's trust) holds the address.  One of IPv6 holds no IPv4
 * address, "::/0" neither. */
bool sl_prefixes_hold(const struct sl_img_prefix *prefixes, uint32_t cnt,
		      const struct sl_addr *addr);

/* sl_ports_format writes "80", "8000-8999" or "any"; sl_prefix_format "192.0.2.1" (128 bits: one address) or
 * "192.0.2.0/24".  Both return buf. */
#define SL_PORTS_STRLEN 12
#define SL_PREFIX_STRLEN (SL_ADDR_STRLEN + 4)
const char *sl_ports_format(uint16_t first, uint16_t last, char buf[SL_PORTS_STRLEN]);
const char *sl_prefix_format(const struct sl_addr *prefix, unsigned plen,
			     char buf[SL_PREFIX_STRLEN]);

#include "sluice/image_http.h"
#include "sluice/image_tls.h"
#include "sluice/image_policy.h"

#endif
