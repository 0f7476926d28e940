/* conf — a table file, in libconfig's language, as structs.
 *
 * Walk:    sluicectl push → sluiced: conf (syntax, keys, types, ranges) → check (cross references) →
 *          compile (bytes) → publish.
 * Threads: [any], no globals.
 * Errors:  all problems of a file at once, each with file, line, key path and a hint.  An unknown key is an
 *          error that names the nearest valid one.  Nothing is replaced by a default because it was wrong;
 *          a key that is absent has the default that conf_keys.def states.
 *
 * The file:
 *
 *   gateway = { name = "edge-1"; hash_seed = "..."; };          # name required; seed: 16 hex digits, optional
 *   network = {
 *     addresses = ( { port = "front"; address = "192.0.2.2/24"; }, … );
 *     routes    = ( { prefix = "0.0.0.0/0"; via = "192.0.2.1"; }, … );
 *   };
 *   services = ( {
 *     name = "web";
 *     forward = "nat" | "dsr" | "fullnat" | "ipip" | "gue" | "proxy";   # default "proxy": for listeners of mode "tcp"
 *     policy = "maglev" | "round_robin" | "source_hash" | "least_conn";   # default "maglev"
 *     source_bits4 = 32; source_bits6 = 128;  # source_hash: leading bits of the client's address that count
 *     sources = ( "192.0.2.9", "192.0.2.10" );                 # fullnat, required there: what packets leave from;
 *                                             # proxy: what connections come from, none: own address
 *     tunnel_source = "172.16.0.0/16";        # ipip, gue: outer sources are spread over it; none: own address
 *     gue_port = 6080;                        # gue: destination of the outer UDP
 *     tcp = {                                 # proxy: how connections are treated
 *       connect_timeout = "5s";               # one attempt to connect to an endpoint; 1ms to 10m
 *       idle_timeout = "1h";                  # ends what moves no byte either way; "0s": never; up to 168h
 *       max_connections = 1024;               # of the service at a time; 0: no limit
 *       endpoint_connections = 0;             # to each endpoint, likewise
 *       retries = 1;                          # further endpoints tried when connecting fails, 0 to 7
 *       keepalive = "0s";                     # silence before probes, whole seconds; "0s": none
 *       proxy_protocol = "none" | "v1" | "v2";     # header that tells endpoints the client's address
 *       congestion = "cubic" | "reno"; };
 *     bandwidth = {                           # proxy: bytes a second over all workers; or with k, m, g (1024); none: no limit
 *       to_endpoints = "10m"; to_clients = "100m";               # "1k" to "1024g"
 *       burst = "64k"; };                     # at once after a pause, "8k" to "1g"; unless given 20 ms of the rate, at least 64k
 *     max_endpoints = 655;                    # default 655; sizes the Maglev table
 *     slow_start = "0s";                      # duration text: ms, s, m, h; default "0s"
 *     health = { type = "none" | "tcp" | "http"; interval = "1s"; timeout = "500ms"; rise = 2; fall = 3;
 *                jitter = 10;                 # percent of interval, 0–50, default 10
 *                port = 0;                    # 0: the endpoint's
 *                unhealthy_interval = "5s";   # while it is unhealthy; interval unless given
 *                path = "/"; host = ""; expect = "200";      # http: list of codes and ranges, "200,300-399"
 *                method = "GET" | "HEAD" | "POST" | "OPTIONS"; headers = ( "x-a: b", … );
 *                body = "ready";             # http: the first 64 KiB of the answer's body hold it
 *                tls = true;                 # probes by the service's tls; unless given those of type http that go to the port
 *                                            # that clients' requests go to (neither health.port nor a port in probe)
 *                                            # port: by the data port that leads to the endpoint, whose boot file has `kernel`
 *                through = "host" | "port";
 *                agent = { port = 9999; interval = "5s"; }; };   # who says weight, drain and down of itself
 *     endpoints = ( { name = "web-1"; address = "198.51.100.11"; port = 80; weight = 1;
 *                     probe = "";             # address[:port] for probes, when it differs (a management network)
 *                     locality = "eu/a/r7";   # region, zone, rack: where it is
 *                     priority = 0;           # 0 to 7: the next ones take flows when the lower ones lack health
 *                     metadata = ( "version=v2", "canary=true" ); }, … );
 *     discover = ( {                          # endpoints that others know: in this order, behind the ones above
 *       source = "dns";                       # of sources in sluiced's file, or "registry"
 *       name = "web.internal";                # what is asked for; the service's name unless given
 *       record = "address" | "ipv4" | "ipv6" | "srv";            # dns
 *       port = 80;                            # where the source says none
 *       port_name = ""; tag = ""; namespace = "";                # kubernetes; consul; kubernetes
 *       weight = 1; priority = 0;             # where the source says none; added to what it says
 *       empty = "keep" | "accept"; }, … );    # an answer that leaves nobody who takes flows: not believed, or believed
 *     subsets = ( { name = "v2"; metadata = ( "version=v2" ); fallback = "none" | "any"; }, … );   # proxy: for routes
 *     locality_failover = false;              # endpoints of other zones and regions come behind those near the gateway
 *     zone_aware = { traffic_percent = 0; min_endpoints = 6; };   # or: they stand beside them, for what the own zone cannot take
 *     panic_threshold = 0;                    # not proxy (there: http): per cent below which health is ignored; 0: never
 *   }, … );
 *   listeners = ( { name = "web-v4"; address = "203.0.113.10";   # or a prefix: "203.0.113.0/24"
 *                   port = 80;                                   # or "8000-8999", or "any"
 *                   protocol = "tcp" | "udp"; mode = "l4" | "tcp"; service = "web";
 *                   announce = "never" | "healthy" | "always";   # the address, to routers, by BIRD: healthy: while a service that
 *                                                                # it leads to has an endpoint that takes new flows
 *                   max_connections = 0;                         # tcp: of clients at a time; 0: no limit
 *                   max_connections_per_client = 0;              # of one IPv4 address or IPv6 /64, as max_connections
 *                   proxy_protocol = false;                      # tcp: clients must begin with a PROXY header,
 *                   trusted = ( "10.0.0.0/8", … );               # required then: who is believed
 *                 }, … );
 *
 * Policy of requests: what a table, a host and a route say adds up:
 *
 *   limits = ( {                              # how many requests may pass in a time, over all workers
 *     name = "per-client"; requests = 100;    # 1 to 10000000
 *     per = "1s";                             # a request counts for so long: 10ms to 24h
 *     by = "all" | "source" | "identity" | "header";   # one number for all, or one for each; default "all"
 *     header = "x-api-key";                   # by header
 *     source_bits4 = 32; source_bits6 = 64;   # by source: leading bits of the client's address that count
 *     keys = 4096;                            # not by all: how many have a number of their own at a time
 *     shared = false;                         # true: the number is for all gateways of the group together (store.h)
 *     floor = 0;                              # shared: what may pass here for an hour without etcd, up to `requests`
 *     headers = false; }, … );                # answers carry x-ratelimit-limit, -remaining, -reset
 *   services = ( { …; limits = ( "name", … ); }, … );   # proxy: of its requests, mode tcp: its connections
 *   route_tables = ( { …; policy = { limits = ( "name", … ); authorization = ( "name", … ); jwt = ( "name", … );
 *                                    jwt_required = false; };            # true: a request without a token is refused
 *                      hosts = ( { …; policy = { … }; routes = ( { …; policy = { … }; }, … ); }, … ); }, … );
 *
 *   jwt = ( { name = "main";                                                 # an issuer of tokens
 *             issuer = "https://login.example";                              # `iss`; any unless given
 *             audiences = ( "api", … );                                      # one of which `aud` names; any unless given
 *             jwks = "file:/etc/sluice/jwks.json";                           # its keys; or "https://…"
 *             jwks_ca = "/etc/ssl/own.pem"; jwks_interval = "5m";            # of a URL
 *             from = ( "bearer", "header:x-jwt", "cookie:session", "query:access_token" );  # "bearer" unless given
 *             leeway = "60s"; forward = true;                                # false: endpoints do not see the token
 *             claim_headers = ( { claim = "sub"; header = "x-user"; }, … );
 *             payload_header = "x-jwt-payload"; }, … );
 *
 * Mode "http" and what belongs to it:
 *
 *   listeners = ( { …; mode = "http"; routes = "edge"; } );              # a route table in place of a service
 *   services  = ( { …;                                                   # forward "proxy"; these have two policies more:
 *     policy = "least_request" | "ring_hash" | "random";
 *     http = {                                # how requests are sent to its endpoints; limits are of all workers together
 *       max_pending = 1024; max_requests = 1024; max_retries = 3;        # breakers; 0: no limit
 *       requests_per_connection = 0; idle_timeout = "1h"; idle_connections = 256;
 *       panic_threshold = 50;                 # per cent of endpoints below which health is ignored; 0: never
 *       hash = { source = true; };            # or header = "x-user", cookie = "sid", query = "k": what requests are hashed by
 *       budget = { percent = 20; min = 3; };  # retries under way, of requests under way
 *       ejection = { after = 5; sweep = "10s"; time = "30s"; max_time = "300s"; max_percent = 10; }; };   # after 0: never
 *   }, … );
 *   route_tables = ( { name = "edge";
 *     header_timeout = "10s"; idle_timeout = "1h"; stream_idle_timeout = "5m";
 *     max_header_bytes = 61440; max_headers = 100; max_requests = 0;     # requests of one client connection; 0: no limit
 *     max_body = "0";                         # bytes, or with k, m, g (1024); 0: no limit
 *     slash_2f = "keep" | "decode" | "reject"; merge_slashes = true; trusted_hops = 0; access_log = true;
 *     hosts = ( { name = "shop"; match = ( "shop.example", "*.shop.example", "shop.*", "*" );
 *       routes = ( { name = "canary";         # in list order: the first that matches wins
 *         # at most one of these; none: every path
 *         path = "/exact"; prefix = "/by/segment"; template = "/users/{id}/{rest=**}"; path_regex = "/v[0-9]+/.*";
 *         ignore_case = false;                # of the path
 *         methods = ( "GET", "POST" );
 *         # exactly one of exact, prefix, suffix, contains, regex, present = true, range = "1-10" (both ends count)
 *         headers = ( { name = "x-env"; prefix = "canary-"; invert = false; ignore_case = false; }, … );
 *         query = ( likewise ); cookies = ( likewise );
 *         # exactly one of service, split, redirect, respond
 *         service = "web"; subset = "v2";      # subset: none: all endpoints
 *         split = ( { service = "web"; subset = "v1"; weight = 90; }, { service = "web2"; weight = 10; } );
 *         sticky = { cookie = "sid"; };       # of a split; or header = "x-user", source = true
 *         redirect = { code = 301; host = ""; https = true; http = true; port = 0; strip_query = false;
 *                      path = "/new"; prefix = "/new"; template = "/v2/{id}"; };     # at most one of each
 *         respond = { code = 403; body = "no"; content_type = "text/plain"; };
 *         rewrite = { prefix = "/new"; template = "/v2/{id}"; path = "/x"; host = "internal.example"; };    # at most one of path's
 *         timeout = "15s"; try_timeout = "0s"; idle_timeout = "0s";        # 0s: none; idle: that of the table
 *         # none of the group: one retry, on connect and reused.  on: connect reused reset 5xx gateway-error timeout codes
 *         retry = { attempts = 1; on = ( "connect", "reused" ); codes = ( 503 ); backoff = "25ms"; backoff_max = "250ms"; };
 *         mirror = ( { service = "shadow"; percent = "10.5"; }, … );
 *         # each one of set, add, append (with value) or remove
 *         request_headers = ( { set = "x-a"; value = "b"; }, { remove = "x-e"; }, … ); response_headers = ( likewise );
 *       }, … ); }, … ); }, … );
 *
 * Who may what (l7/authz.h): a request is denied by any rule that denies it, else needs one that allows it:
 *
 *   authorization = ( { name = "shop";
 *     default = "deny";                       # or "allow": what no rule decides; unless given: deny where a rule allows
 *     audit_only = false;                     # true: what would be denied is told, and passes
 *     rules = ( { name = "deny-admins"; action = "deny" | "allow" | "audit";      # audit: told, and decides nothing
 *       # of each key one value has to fit, of each not_… none may; x* begins so, *x ends so, * is there at all
 *       identities = ( "spiffe://td/ns/prod-*" ); namespaces = ( "prod" ); trust_domains = ( "td" );
 *       service_accounts = ( "web", "prod/web" );       # alone, or with its namespace
 *       addresses = ( "10.0.0.0/8" );                   # as packets and the PROXY header say
 *       remote_addresses = ( "192.0.2.0/24" );          # as trusted entries of x-forwarded-for say (trusted_hops)
 *       hosts = ( "shop.example", "*.example" ); ports = ( 443 ); methods = ( "GET", "POST" );
 *       paths = ( "/exact", "/api*", "*.php", "/users/{id}/files" ); ignore_case = true;  # default: of deny and audit true
 *       server_names = ( "a.example" );                 # asked for by TLS
 *       not_identities, not_namespaces, …               # each of these keys has its not_…
 *       headers = ( as in routes ); claims = ( { name = "realm.roles"; exact = "admin"; invert = false; }, … );   # all hold
 *     }, … ); }, … );
 *
 * TLS:
 *
 *   listeners = ( { …; mode = "http" | "tcp"; tls = {                     # the gateway ends clients' TLS
 *     certificates = ( "shop", "wild" );      # required; names of `sluicectl cert add`.  The client's server name picks one:
 *                                             # exact, wildcard, else the first
 *     min_version = "1.2"; max_version = "1.3";
 *     suites = ( "aes128-gcm", "aes256-gcm", "chacha20-poly1305" );        # default: all, as of the next; 1.2: with ECDHE
 *     groups = ( "x25519", "p-256" );
 *     alpn = ( "http/1.1" );                  # ours first; mode http: default, and there is no other; mode tcp: default none
 *     client = "none" | "optional" | "required";     # whether clients show a certificate
 *     trust = ( "mesh" );                     # bundles that verify it; with client optional or required, required there
 *     client_names = ( "spiffe://td/ns/prod-*", "cl.example" );   # one of these is in it; none: any that verifies
 *     plaintext = "refuse" | "accept";        # accept: who does not begin with a handshake is let in as he is, without an identity
 *     tickets = true;                         # clients may resume sessions
 *     forwarded_client_cert = "sanitize" | "set" | "append" | "forward";   # mode http: x-forwarded-client-cert
 *     handshake_timeout = "10s"; }; }, …,
 *   { …; mode = "tls-passthrough";            # TLS goes through as it is, to where the client's server name leads
 *     server_names = ( { name = "a.example"; service = "x"; }, { name = "*.b.example"; service = "y"; } );
 *     service = "fallback"; } );              # of who names another server, or none; without it: refused
 *   services = ( { …; forward = "proxy"; tls = {                          # its endpoints are spoken to by TLS
 *     trust = ( "mesh" );                     # at most 4; required, and not looked at with verify = false
 *     server_name = "web.internal";           # sent, and verified where there are no names
 *     auto_server_name = false;               # the request's host is sent (and so verified) instead, where there is one
 *     names = ( "spiffe://td/ns/a/sa/web" );  # the endpoint's certificate has one of these
 *     certificate = "gw";                     # ours, for endpoints that ask for one
 *     verify = true; resume = true;
 *     min_version = "1.2"; max_version = "1.3"; suites = ( … ); groups = ( … );
 *     alpn = ( "http/1.1" );                  # default; none where a listener of mode tcp goes to the service
 *     handshake_timeout = "5s"; }; }, … );
 *   route_tables … routes = ( { …;            # of the client's certificate that was verified: its first URI SAN, else its first DNS SAN
 *     identity = { prefix = "spiffe://td/ns/prod/"; invert = false; }; } );   # or exact, suffix, contains, regex, present = true
 *
 * Names of peers are host names, compared with DNS SANs, or URIs, compared with URI SANs; these may end with "*": any that
 * begins so.  SPIFFE ids are as the standard has them (spiffe.io, "SPIFFE-ID"): a path is needed.
 *
 * A key that does not belong to the service's forward or policy, or to the listener's mode, is an error.  Listener,
 * endpoints and sources of a service are of one family; with ipip, gue and proxy the listeners may be of the other one.
 * Listeners of mode "tcp" and services with forward "proxy" go together: the gateway ends the clients' connections and
 * opens its own.  Their endpoints' port 0 is the port the client came to.
 *
 * Only `gateway.name` and what a thing cannot be without are required: a service: name; a listener: name, address, port,
 * protocol, mode, service or routes; a server name: name, service; an endpoint: name, address, port; a health group: type; fullnat: sources;
 * proxy_protocol = true: trusted; mode tls-passthrough: server_names or service; tls of a listener: certificates, with client
 * trust; tls of a service: trust and server_name or names, but with verify = false; a route table: name; a host: name, match; a route: name and its action; a condition:
 * name; a split: service, weight; respond: code; a mirror: service; an edit: value, but of remove.
 *
 * Paths of conditions are written as requests are matched (l7/path.h, by the table's slash_2f and merge_slashes); texts
 * longer than 16384 bytes are several strings in a row.
 */
#ifndef SL_MGMT_CONF_H
#define SL_MGMT_CONF_H

#include "sluice/addr.h"
#include "sluice/diag.h"
#include "sluice/image.h"

/* AGENT is no type of the file: it is how agents are asked (health.h). */
enum sl_health_type { SL_HEALTH_NONE = 0, SL_HEALTH_TCP, SL_HEALTH_HTTP, SL_HEALTH_AGENT };
/* Which way probes take. */
enum sl_health_through {
	SL_THROUGH_HOST = 0, /* as the kernel routes */
	SL_THROUGH_PORT      /* the kernel's interface of the dataplane's port that leads there */
};
/* Of an http probe. */
#define SL_HEALTH_METHODS(X)                                                                       \
	X(GET, "GET")                                                                              \
	X(HEAD, "HEAD")                                                                            \
	X(POST, "POST")                                                                            \
	X(OPTIONS, "OPTIONS")
enum sl_health_method {
#define SL_HEALTH_METHOD_ID(id, text) SL_HEALTH_##id,
	SL_HEALTH_METHODS(SL_HEALTH_METHOD_ID)
#undef SL_HEALTH_METHOD_ID
};

static inline const char *
sl_health_method_name(unsigned m)
{
#define SL_HEALTH_METHOD_TEXT(id, text) text,
	static const char *const names[] = {SL_HEALTH_METHODS(SL_HEALTH_METHOD_TEXT)};
#undef SL_HEALTH_METHOD_TEXT
	return m < SL_ARRAY_CNT(names) ? names[m] : "";
}

/* When a listener wants its address announced to routers (announce.h); nothing of it goes into objects. */
#define SL_ANNOUNCES(X)                                                                            \
	X(NEVER, "never")                                                                          \
	X(HEALTHY, "healthy")                                                                      \
	X(ALWAYS, "always")
enum sl_announce_when {
	SL_ANNOUNCE_NONE = 0,
#define SL_ANNOUNCE_ID(id, text) SL_ANNOUNCE_##id,
	SL_ANNOUNCES(SL_ANNOUNCE_ID)
#undef SL_ANNOUNCE_ID
};

static inline const char *
sl_announce_name(unsigned a)
{
#define SL_ANNOUNCE_TEXT(id, text) [SL_ANNOUNCE_##id] = (text),
	static const char *const names[] = {"", SL_ANNOUNCES(SL_ANNOUNCE_TEXT)};
#undef SL_ANNOUNCE_TEXT
	return a < SL_ARRAY_CNT(names) ? names[a] : "";
}

/* Names in these structs are padded with 0, as in the objects. */

#define SL_HEALTH_RANGES 16
#define SL_HEALTH_HEADERS_MAX 1024
#define SL_HEALTH_BODY_MAX 256
struct sl_health_conf {
	enum sl_health_type type;
	uint32_t interval_ms; /* [10, 3600000] */
	uint32_t timeout_ms;  /* [1, interval] */
	uint32_t rise, fall;  /* [1, 100] */
	uint32_t jitter_pct;  /* [0, 50] */
	uint32_t
		unhealthy_ms; /* the interval while it is unhealthy, [10, 3600000]; 0: interval_ms */
	uint16_t port;        /* 0: the endpoint's */
	uint8_t method;       /* enum sl_health_method */
	bool tls, tls_given;  /* sl_conf_health_tls says what counts */
	uint8_t through;      /* enum sl_health_through */
	uint16_t agent_port;  /* 0: no agent is asked */
	uint32_t agent_ms;    /* from question to question, [100, 3600000] */
	char path[256];
	char host[256]; /* "" : the endpoint's address */
	char headers
		[SL_HEALTH_HEADERS_MAX]; /* "x-a: b\r\nx-c: d\r\n": lines of the request; "": none */
	char body[SL_HEALTH_BODY_MAX];   /* what the answer's body must hold; "": anything */
	struct {
		uint16_t lo, hi; /* [100, 599] */
	} expect[SL_HEALTH_RANGES];
	uint32_t expect_cnt;
};

/* "region/zone/rack", later parts may be left out; "": not known, as is a part "-". */
#define SL_LOCALITY_MAX 64
/* "canary=true,version=v2": pairs sorted by key, keys distinct; "": none. */
#define SL_META_MAX 256

struct sl_conf_endpoint {
	char name[SL_NAME_MAX];
	struct sl_addr addr;
	uint16_t port; /* host order; 0: the port the packet came to (endpoint port = 0) */
	uint16_t weight;
	struct sl_addr probe_addr; /* = addr unless given */
	uint16_t probe_port;       /* 0: health.port, else port */
	uint8_t priority;          /* [0, SL_MAX_PRIORITY] */
	uint8_t from; /* 0: of the file; else 1 + index into the service's discover: put there by roster.h */
	char locality[SL_LOCALITY_MAX];
	char meta[SL_META_MAX];
	bool incomplete; /* a key of it was wrong: only seen by sl_conf_check within a parse */
	int line;
};

/* A wrong value leaves 0 here, too; the file is refused then. */
struct sl_conf_tcp {
	uint32_t connect_ms;           /* [1, 600000] */
	uint32_t idle_ms;              /* [0, 604800000]; 0: none */
	uint32_t keepalive_ms;         /* [0, 65535000], whole seconds; 0: none */
	uint32_t max_connections;      /* 0: no limit */
	uint32_t endpoint_connections; /* likewise */
	uint8_t retries;               /* [0, SL_MAX_RETRIES] */
	uint8_t proxy_out;             /* enum sl_proxy_out */
	uint8_t cc;                    /* enum sl_stream_cc */
	bool given;                    /* the group is in the file */
};

struct sl_conf_http {
	uint32_t max_pending, max_requests, max_retries; /* 0: no limit */
	uint32_t conn_requests;                          /* 0: no limit */
	uint32_t conn_idle_ms, conn_idle_max;
	uint32_t eject_after, sweep_ms, eject_ms, eject_max_ms, eject_max_pct;
	uint32_t gateway_after, local_after, failure_pct;
	uint32_t rate_deviation, rate_endpoints, rate_requests;
	bool split_local;
	uint32_t panic_pct, budget_pct, budget_min, budget_per_s;
	uint32_t endpoint_requests;          /* 0: no limit */
	uint32_t adaptive_min, adaptive_pct; /* min 0: off */
	uint8_t hash_on;                     /* enum sl_hash_on */
	bool given, hash_given;              /* the group is in the file */
	char hash_name[SL_NAME_MAX];         /* headers: lower case */
};

/* Bytes a second, by enum sl_way; 0: no limit. */
struct sl_conf_bandwidth {
	uint64_t rate[SL_WAYS];
	uint64_t burst; /* 0: sl_conf_burst has what counts */
	bool given;     /* the group is in the file */
};

/* Lists are allocated, in file order; an element that was wrong is all 0. */
struct sl_conf_tls {
	uint8_t min_version, max_version; /* SL_TLS_1_2, SL_TLS_1_3 */
	uint8_t client, xfcc;             /* of listeners: enum sl_tls_client, sl_xfcc */
	uint32_t suites, groups;          /* sets */
	uint32_t handshake_ms;
	bool tickets, plaintext;       /* of listeners; plaintext: accepted beside TLS */
	bool verify, resume, auto_sni; /* of services, as the next two */
	char server_name[SL_HOST_MAX]; /* "": none */
	char certificate[SL_NAME_MAX]; /* "": none */
	struct sl_img_tls_name *certs; /* [cert_cnt], of listeners */
	struct sl_img_tls_name *trust; /* [trust_cnt]; of services 4 at most */
	struct sl_img_tls_san *sans;   /* [san_cnt]: client_names, names */
	struct sl_img_tls_alpn *alpn;  /* [alpn_cnt] */
	uint32_t cert_cnt, trust_cnt, san_cnt, alpn_cnt;
	bool given;      /* the group is in the file: else the rest means nothing */
	bool alpn_given; /* alpn is, be it empty */
	bool incomplete; /* as of an endpoint */
	int line;
};

struct sl_conf_sni {
	char name[SL_HOST_MAX]; /* as in the object */
	char service[SL_NAME_MAX];
	int line;
};

/* Texts of route tables are allocated, terminated with 0, and may hold any other byte; NULL: not given. */

struct sl_conf_cond {
	uint8_t field;      /* enum sl_field */
	uint8_t op;         /* enum sl_cond_op; 0: not read */
	bool invert, icase; /* icase: value is lower case but of REGEX */
	char *name;         /* HEADER (lower case), QUERY, COOKIE; else NULL */
	char *value;    /* normalised: SEGMENTS without "/" at its end; PRESENT, RANGE, IN: NULL */
	int64_t lo, hi; /* RANGE [lo, hi), IN: bits of enum sl_method */
	int line;
};

struct sl_conf_edit {
	uint8_t op; /* enum sl_edit_op */
	char *name, *value;
	int line;
};

struct sl_conf_target {
	char service[SL_NAME_MAX];
	char subset[SL_NAME_MAX]; /* "": all endpoints; of mirrors "" */
	uint32_t weight;          /* split: [0, 10^6] */
	uint32_t per_million;     /* mirror */
	int line;
};

/* Each of the following: line 0: not given. */
struct sl_conf_cors {
	char *origins;                    /* as in the object, a NUL behind each, of */
	uint32_t origin_bytes;            /* these */
	uint32_t max_age_s;               /* UINT32_MAX: not sent */
	char *methods, *headers, *expose; /* as they are sent; NULL: none given */
	bool credentials;
	int line;
};

struct sl_conf_fault {
	uint32_t delay_ppm, delay_ms; /* delay_ms 0: none */
	uint32_t abort_ppm;           /* 0: none */
	uint32_t max_active;          /* 0: no limit */
	uint16_t abort_status;
	bool by_header;
	bool delay, abort; /* given */
	int line;
};

struct sl_conf_hedge {
	uint32_t after_ms, max;
	int line;
};

/* A limit, for policy and services to name. */
struct sl_conf_rate {
	char name[SL_NAME_MAX];
	uint32_t requests, per_ms;
	uint32_t floor;           /* of requests: shared, and etcd is away */
	uint32_t keys;            /* 0: not by key */
	uint8_t by;               /* enum sl_rate_key */
	uint8_t bits4, bits6;     /* by source; else 0 */
	bool headers;             /* answers say what is left */
	bool shared;              /* requests are those of all gateways */
	char header[SL_NAME_MAX]; /* by header: lower case; else "" */
	int line;
};

/* What a route table, a host or a route says of policy; names of what stands at the top of the file, in file order. */
struct sl_conf_policy {
	struct sl_img_tls_name *limits, *authz, *jwt; /* [limit_cnt], [authz_cnt], [jwt_cnt] */
	uint32_t limit_cnt, authz_cnt, jwt_cnt;
	bool jwt_required; /* a request without a token is refused */
	struct sl_conf_cors cors;
	struct sl_conf_fault fault;
	struct sl_conf_hedge hedge;
	int line; /* 0: nothing is said */
};

#define SL_CONF_MAX_ORIGINS 64
#define SL_CONF_MAX_CORS_NAMES 64 /* of headers */
/* ---- issuers of tokens ---- */

struct sl_conf_text {
	char text[SL_JWT_TEXT_MAX + 1];
};

struct sl_conf_jwt_from {
	uint8_t place; /* enum sl_jwt_place */
	char name[SL_JWT_TEXT_MAX + 1];
};

struct sl_conf_jwt_claim {
	char *claim, *header; /* header: lower case */
	int line;
};

struct sl_conf_jwt_key {
	uint8_t alg; /* enum sl_jwt_alg */
	uint16_t spki_len;
	char kid[SL_JWT_TEXT_MAX + 1]; /* "": none */
	uint8_t spki[SL_JWT_SPKI_MAX];
};

struct sl_conf_jwt {
	char name[SL_NAME_MAX];
	char *issuer;                     /* NULL: any */
	char *jwks, *ca;                  /* ca NULL: the system's */
	char *payload_header;             /* NULL: none */
	struct sl_conf_text *audiences;   /* [audience_cnt] */
	struct sl_conf_jwt_claim *claims; /* [claim_cnt] */
	uint32_t audience_cnt, claim_cnt, from_cnt;
	struct sl_conf_jwt_from from[SL_MAX_JWT_FROM];
	uint32_t leeway_ms, interval_ms;
	bool forward;
	/* not of the file: of what `jwks` names (jwks.h), which they belong to */
	const struct sl_conf_jwt_key *keys; /* [key_cnt] */
	uint32_t key_cnt;
	int line;
};

#define SL_CONF_MAX_CONDS 64 /* of one route */
struct sl_conf_hroute {
	char name[SL_NAME_MAX];
	struct sl_conf_cond *
		conds; /* [cond_cnt]: path, method, headers, query, cookies in this order, in file order each; identity: a HEADER
			* of the name SL_IDENTITY_NAME */
	uint32_t cond_cnt;
	uint8_t action;         /* enum sl_action */
	uint8_t rewrite;        /* enum sl_rewrite */
	uint8_t sticky;         /* enum sl_sticky */
	uint8_t redirect_https; /* 0: kept, 1: https, 2: http */
	bool strip_query;
	bool split;      /* the targets are those of `split`, not of `service` */
	bool incomplete; /* as of an endpoint */
	uint16_t code, redirect_port;
	char *sticky_name;     /* header: lower case */
	bool sticky_set;       /* clients without the cookie are given it, for */
	uint32_t sticky_ttl_s; /* so long; 0: their session */
	char *host, *path;     /* of rewrite and redirect */
	char *body, *content_type;
	struct sl_conf_target *targets; /* [target_cnt]; one of weight 1 for `service` */
	struct sl_conf_target *mirrors; /* [mirror_cnt] */
	struct sl_conf_edit *edits[2];  /* [edit_cnt[i]]: request, answer */
	uint32_t target_cnt, mirror_cnt, edit_cnt[2];
	uint32_t timeout_ms, try_ms, stream_idle_ms;
	uint32_t retries, retry_on, backoff_ms, backoff_max_ms; /* retry_on: SL_RETRY_* */
	uint16_t retry_codes[SL_RETRY_CODES_MAX];
	struct sl_conf_policy policy;
	int line;
};

/* A rule of a set in authorization: it holds when of each list in `any` one condition holds, and all of `all` do. */
#define SL_CONF_RULE_LISTS 11
#define SL_CONF_RULE_VALUES 256        /* of one key */
#define SL_CONF_RULE_ALTERNATIVES 1024 /* choices of one condition of each list */
struct sl_conf_rule {
	char name[SL_NAME_MAX];
	uint8_t action; /* enum sl_authz_action */
	struct {
		struct sl_conf_cond *conds;
		uint32_t cnt;
	} any[SL_CONF_RULE_LISTS]; /* cnt 0: the key is not given */
	struct sl_conf_cond *all;  /* [all_cnt] */
	uint32_t all_cnt;
	uint32_t alternatives; /* 0: something of it was wrong */
	bool streams;          /* it looks at what is known of a connection of mode tcp, alone */
	bool icase;            /* ignore_case, of what the paths say */
	char *words
		[SL_CONF_RULE_LISTS]
		[2]; /* of each key, and of its not_…, the values as in the file; NULL: not given */
	int line;
};
/* sl_conf_rule_key: "identities", "not_identities", … of words[list][no]. */
const char *sl_conf_rule_key(unsigned list, unsigned no);

struct sl_conf_authz {
	char name[SL_NAME_MAX];
	uint8_t otherwise; /* enum sl_authz_action: what becomes of what no rule decides; 0: DENY where there is an ALLOW rule */
	bool audit_only;
	struct sl_conf_rule *rules; /* [rule_cnt], in file order */
	uint32_t rule_cnt;
	int line;
};

/* sl_conf_authz_denies_rest: whether what no rule decides is denied. */
bool sl_conf_authz_denies_rest(const struct sl_conf_authz *a);

struct sl_conf_hostname {
	uint8_t kind;   /* enum sl_host_kind; 0: not read */
	char name[256]; /* as in the object: lower case, ".example", "shop.", "" */
	int line;
};

struct sl_conf_vhost {
	char name[SL_NAME_MAX];
	struct sl_conf_hostname *names; /* [name_cnt] */
	struct sl_conf_hroute *routes;  /* [route_cnt], in file order */
	uint32_t name_cnt, route_cnt;
	struct sl_conf_policy policy; /* of all its routes, beside their own */
	int line;
};

struct sl_conf_table {
	char name[SL_NAME_MAX];
	struct sl_img_http http;
	struct sl_conf_policy policy; /* likewise */
	struct sl_conf_vhost *vhosts; /* [vhost_cnt] */
	uint32_t vhost_cnt;
	int line;
};

#define SL_REGISTRY "registry" /* the source that is always there */
enum sl_record { SL_RECORD_ADDRESS = 1, SL_RECORD_IPV4, SL_RECORD_IPV6, SL_RECORD_SRV };

/* Part of what a source is asked (source.h); nothing of it goes into objects. */
struct sl_conf_discover {
	char source[SL_NAME_MAX];
	char name[256]; /* "": the service's */
	char port_name[SL_NAME_MAX], tag[SL_NAME_MAX],
		space[SL_NAME_MAX]; /* space: namespace; "": none */
	uint16_t port, weight;      /* port 0: none given */
	uint8_t record;             /* enum sl_record */
	uint8_t priority;
	bool accept_empty;
	bool incomplete; /* as of an endpoint */
	int line;
};

struct sl_conf_subset {
	char name[SL_NAME_MAX];
	char meta[SL_META_MAX]; /* endpoints that have all of these pairs are in it */
	bool any;               /* fallback: without such an endpoint all are */
	bool incomplete;        /* as of an endpoint */
	int line;
};

#define SL_MAX_DISCOVER 8 /* of a service */
#define SL_MAX_PRIORITY 7
#define SL_CONF_NO_PANIC UINT8_MAX

struct sl_conf_zones {
	bool given;             /* the group is in the file */
	uint32_t traffic_pct;   /* 0: as much as each other zone's */
	uint32_t min_endpoints; /* [1, SL_MAX_SERVICE_ENDPOINTS] */
};

struct sl_conf_service {
	char name[SL_NAME_MAX];
	enum sl_forward forward;
	enum sl_policy policy;
	uint8_t source_bits4, source_bits6; /* 0: not given; so for the next four */
	uint16_t gue_port;
	struct sl_addr tunnel;
	uint32_t tunnel_plen;    /* over the 16-byte form */
	struct sl_addr *sources; /* [source_cnt], in file order */
	uint32_t source_cnt;
	struct sl_conf_tcp tcp;   /* of forward proxy; else the defaults */
	struct sl_conf_http http; /* likewise */
	struct sl_conf_tls tls;
	struct sl_conf_bandwidth bandwidth; /* of forward proxy */
	uint32_t max_endpoints;
	uint32_t slow_start_ms;
	struct sl_health_conf health;
	struct sl_conf_endpoint *endpoints; /* [endpoint_cnt], in file order */
	uint32_t endpoint_cnt;
	struct sl_conf_discover *discover; /* [discover_cnt], in file order */
	struct sl_conf_subset *subsets;    /* [subset_cnt], in file order */
	uint32_t discover_cnt, subset_cnt;
	struct sl_img_tls_name *limits; /* [limit_cnt], in file order */
	uint32_t limit_cnt;
	bool locality_failover;
	struct sl_conf_zones zones; /* zone_aware */
	uint8_t panic_pct;          /* not of forward proxy; SL_CONF_NO_PANIC: not given */
	int line;
};

struct sl_conf_listener {
	char name[SL_NAME_MAX];
	struct sl_addr addr;
	uint32_t plen;            /* over the 16-byte form, 128: one address */
	uint16_t port, port_last; /* host order; 1 to 65535: any */
	uint8_t proto;
	uint8_t mode;
	char service[SL_NAME_MAX]; /* "": mode http; mode tls-passthrough may have none */
	char routes[SL_NAME_MAX];  /* mode http: its route table; else "" */
	char authz
		[SL_NAME_MAX]; /* mode tcp: the set of rules that connections are judged by; "": none */
	uint32_t max_connections;      /* 0: no limit */
	uint32_t client_max;           /* of one client; 0: no limit */
	bool proxy_in;                 /* proxy_protocol */
	struct sl_img_prefix *trusted; /* [trusted_cnt], in file order; plen over 128: not read */
	uint32_t trusted_cnt;
	struct sl_conf_tls tls;
	struct sl_conf_sni *snis; /* [sni_cnt]: server_names */
	uint8_t announce;         /* enum sl_announce_when */
	uint32_t sni_cnt;
	int line;
};

struct sl_conf_address {
	char port[SL_NAME_MAX];
	struct sl_addr addr;
	uint32_t plen; /* over the 16-byte form */
	int line;
};

struct sl_conf_route {
	struct sl_addr prefix;
	uint32_t plen;
	struct sl_addr via;
	int line;
};

struct sl_conf {
	char name[SL_NAME_MAX];
	char locality
		[SL_LOCALITY_MAX]; /* of this gateway: not of the file, sluiced's own file has it */
	uint64_t hash_seed;        /* default: a constant of conf_keys.def */
	struct sl_conf_address *addresses;
	struct sl_conf_route *routes;
	struct sl_conf_service *services;
	struct sl_conf_listener *listeners;
	struct sl_conf_table *tables; /* route_tables */
	struct sl_conf_jwt *jwts;     /* [jwt_cnt] */
	uint32_t jwt_cnt;
	struct sl_conf_authz *authz; /* [authz_cnt]: authorization */
	uint32_t authz_cnt;
	struct sl_conf_rate *rates; /* limits */
	uint32_t address_cnt, route_cnt, service_cnt, listener_cnt, table_cnt, rate_cnt;
};

/* What counts where a key was not given. */
static inline unsigned
sl_conf_source_bits4(const struct sl_conf_service *s)
{
	return s->policy != SL_POLICY_SOURCE_HASH ? 0 : s->source_bits4 ? s->source_bits4 : 32;
}

static inline unsigned
sl_conf_source_bits6(const struct sl_conf_service *s)
{
	return s->policy != SL_POLICY_SOURCE_HASH ? 0 : s->source_bits6 ? s->source_bits6 : 128;
}

static inline uint16_t
sl_conf_gue_port(const struct sl_conf_service *s)
{
	return s->forward != SL_FORWARD_GUE ? 0 : s->gue_port ? s->gue_port : SL_GUE_PORT;
}

/* What may go at once after a pause; 0 without a rate. */
static inline uint32_t
sl_conf_burst(const struct sl_conf_bandwidth *b, enum sl_way way)
{
	uint64_t rate = b->rate[way], turn = rate / 50;

	if (rate == 0 || b->burst)
		return rate ? (uint32_t)b->burst : 0;
	return (uint32_t)SL_MIN(SL_MAX(turn, 65536ull), (uint64_t)SL_BURST_MAX);
}

/* Per cent of the endpoints: with fewer that are healthy, all are taken.  0: never. */
static inline uint8_t
sl_conf_panic_pct(const struct sl_conf_service *s)
{
	if (s->forward == SL_FORWARD_PROXY)
		return (uint8_t)s->http.panic_pct;
	return s->panic_pct == SL_CONF_NO_PANIC ? 0 : s->panic_pct;
}

/* sl_conf_health_tls: whether e is probed by TLS. */
static inline bool
sl_conf_health_tls(const struct sl_conf_service *s, const struct sl_conf_endpoint *e)
{
	const struct sl_health_conf *h = &s->health;

	if (h->type == SL_HEALTH_NONE || !s->tls.given)
		return false;
	return h->tls_given ? h->tls
			    : h->type == SL_HEALTH_HTTP && h->port == 0 && e->probe_port == 0;
}

/* sl_conf_moved: whether service i of c may have other endpoints than before, of the same text (roster.h); before NULL: it may. */
static inline bool
sl_conf_moved(const struct sl_conf *before, const struct sl_conf *c, uint32_t i)
{
	return !before || before->services[i].endpoints != c->services[i].endpoints ||
	       before->services[i].endpoint_cnt != c->services[i].endpoint_cnt;
}

/* sl_conf_parse reads text (len bytes, not necessarily terminated); file names it in messages.
 * 0 with *ret_conf to be freed by sl_conf_free; -EINVAL with every problem in diag (cross references are
 * checked too, check.c, when the syntax allows); -ENOMEM.  `include` directives are refused. */
int sl_conf_parse(const char *file, const char *text, size_t len, struct sl_diag *diag,
		  struct sl_conf **ret_conf);
void sl_conf_free(struct sl_conf *c);

/* What names mean.  Where the configuration did not pass sl_conf_check a name may lead nowhere. */
struct sl_conf_links {
	uint32_t *service_order;    /* [service_cnt]: indices of services by name */
	uint32_t *listener_service; /* [listener_cnt]: index of the service, UINT32_MAX: none */
	uint32_t *
		sni_first; /* [listener_cnt + 1]: where a listener's server names begin in sni_service */
	uint32_t
		*sni_service; /* of all listeners in turn: index of the service, UINT32_MAX: none */
	bool *streamed;       /* [service_cnt]: a listener of mode tcp goes there */
	uint32_t *
		listener_table; /* [listener_cnt]: mode http: index of the route table, UINT32_MAX: none */
	uint8_t *
		family; /* [service_cnt]: 4 or 6, of its endpoints, else its sources or tunnel_source, else its
			  * listeners, else 4 */
};

/* 0 or -ENOMEM.  The caller calls sl_conf_links_fini. */
int sl_conf_link(const struct sl_conf *c, struct sl_conf_links *ret_links);
void sl_conf_links_fini(struct sl_conf_links *l);

/* Bytes of all objects of a generation may take this much: max_endpoints decides (Maglev tables). */
#define SL_CONF_MAX_TABLE_BYTES (1ull << 30)

/* check.c, check_listener.c, check_members.c, check_policy.c, check_routes.c, check_tls.c: names distinct, listener → service, same family, no own address and no source within a VIP, listeners of
 * one prefix and protocol apart by their ports, keys that fit forward and policy, endpoints ≤ max_endpoints, an on-link address for each via, route → service, what goes
 * with a route's path, …  All problems to diag; 0, -EINVAL or -ENOMEM.  Warnings (routes that are never reached, too many
 * that no look-up finds) only to a diag without problems.
 * Fields that are empty (a name "", an address of zeros, a plen over 128, a forward 0) are passed over: sl_conf_parse
 * has reported them. */
int sl_conf_check(const char *file, const struct sl_conf *c, struct sl_diag *diag);

/* sl_conf_check_shared refuses each limit that several gateways share, for a daemon that takes no part (store.limits).  0 or -EINVAL. */
int sl_conf_check_shared(const char *file, const struct sl_conf *c, struct sl_diag *diag);

#endif
