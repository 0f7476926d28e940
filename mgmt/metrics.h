/* metrics — Prometheus text of what the gateway counts, and the small HTTP server that gives it
 * out.
 *
 * Walk:    GET /metrics → provider (sluiced) fills a snapshot → sl_metrics_render → answer.
 * Threads: [loop] for the server, which has no thread of its own; sl_metrics_render and the sums
 *          are [any], pure over the snapshot.
 * Counters: values of the stats segment summed over workers (or per worker), minus the baseline of
 *           the
 *          slot's present incarnation.  A counter below its baseline is given as 0 (Prometheus
 *          takes that for the reset it is).
 * Units:   seconds, bytes, ratios in [0,1], as Prometheus wants them.
 * Trust:   the segment is written by another process: its head is copied once and checked before
 *          use.
 * Limits:  8 connections at once, 10 s idle, 16 KiB of request; only loopback or a Unix socket.
 */
#ifndef SL_MGMT_METRICS_H
#define SL_MGMT_METRICS_H

#include "mgmt/access_log.h"
#include "mgmt/announce_plan.h"
#include "mgmt/conf.h"
#include "mgmt/health.h"
#include "sluice/stats.h"

#include <uv.h>

struct sl_metrics_listener {
	const char *name;
	const char *service;
	struct sl_addr addr;
	uint32_t plen;            /* over the 16-byte form, 128: one address */
	uint16_t port, port_last; /* host order; 1 to 65535: any */
	uint8_t proto;            /* SL_IPPROTO_TCP or SL_IPPROTO_UDP */
	uint32_t slot;
	struct sl_stats_listener
		base; /* sum over workers when the slot got its present incarnation */
};

struct sl_metrics_service {
	const char *name;
	uint32_t slot;
	struct sl_stats_service base;
};

struct sl_metrics_endpoint {
	const char *service;
	const char *name;
	struct sl_addr addr;
	uint16_t port; /* host order; 0: that of the listener */
	uint32_t slot;
	bool healthy; /* no probe says otherwise */
	bool drain;
	bool disabled;
	bool ejected;
	uint8_t fraction; /* of new flows admitted: 0 … SL_FRACTION_WHOLE; given as 0 … 1, and as 0
			   * while the endpoint is unhealthy, drained or disabled */
	struct sl_stats_endpoint base;
};

struct sl_metrics_vhost {
	const char *table, *name;
	uint32_t slot;
	struct sl_stats_vhost base;
};

/* What this gateway has of a limit that several share. */
struct sl_metrics_share {
	uint32_t here, total, wanted, gateways; /* as struct sl_rate_share_look has them */
	bool own; /* it is its share that it has, not the floor, or nothing */
};

struct sl_metrics_rate {
	const char *name;
	uint32_t slot;
	struct sl_stats_rate base;
	bool shared;
	struct sl_metrics_share share; /* shared */
};

/* A set of rules (rule NULL), or a rule of it that has a slot. */
struct sl_metrics_authz {
	const char *set, *rule;
	uint32_t slot;
	struct sl_stats_authz base;
};

struct sl_metrics_route {
	const char *table, *vhost, *name;
	uint32_t slot;
	const struct sl_stats_route *base; /* or NULL: 0 */
};

struct sl_metrics_port {
	char name[SL_NAME_MAX];
	char kernel[16]; /* the kernel's interface of it, or "" */
	bool up;
	uint64_t link_changes, missed, no_buffer, tx_errors; /* of ctl.h, PORT */
};

struct sl_metrics_cert {
	const char *name;
	const char *kind; /* "pair", "bundle" */
	uint64_t not_after_s;
};

/* A question of the table to a source (roster.h). */
struct sl_metrics_source {
	const char *service, *source, *name;
	uint32_t endpoints, left_out;
	double age_s; /* of the last good answer; below 0: there was none */
	bool trouble, kept;
	uint64_t answers, troubles;
};

/* An issuer of tokens. */
struct sl_metrics_issuer {
	const char *name;
	uint32_t keys;
	double age_s; /* of the last good reading; below 0: there was none */
	bool trouble;
	uint64_t reads, troubles;
};

struct sl_registry_stats;
struct sl_store_stats;

struct sl_metrics_snapshot {
	const char *version;     /* of the daemon, for sluice_build_info */
	bool connected;          /* to a dataplane */
	uint64_t generation;     /* active on the dataplane as far as the daemon knows; 0: none */
	uint64_t pushes_active;  /* since the daemon started */
	uint64_t pushes_refused; /* by validation here or there */
	uint64_t revisions_active, revisions_refused;
	const void *stats; /* mapped segment, or NULL: no worker, port or slot series */
	size_t stats_bytes;
	const struct sl_prober_stats *probes;     /* or NULL */
	const struct sl_access_stats *access;     /* or NULL: no access log is written */
	const struct sl_registry_stats *registry; /* or NULL */
	const struct sl_store_stats *store;       /* or NULL: there is none */
	const struct sl_metrics_listener
		*listeners; /* [listener_cnt], (address, port, protocol) distinct */
	const struct sl_metrics_service *services;   /* [service_cnt], names distinct */
	const struct sl_metrics_endpoint *endpoints; /* [endpoint_cnt], (service, name) distinct */
	const struct sl_metrics_vhost *vhosts;       /* [vhost_cnt], (table, name) distinct */
	const struct sl_metrics_rate *rates;         /* [rate_cnt], names distinct */
	const struct sl_metrics_authz *authz;        /* [authz_cnt], (set, rule) distinct */
	const struct sl_metrics_route *routes;   /* [route_cnt], (table, vhost, name) distinct */
	const struct sl_metrics_cert *certs;     /* [cert_cnt], names distinct */
	const struct sl_metrics_source *sources; /* [source_cnt], rows distinct */
	const struct sl_metrics_issuer *issuers; /* [issuer_cnt] */
	size_t issuer_cnt;
	const struct sl_metrics_port *ports;     /* [port_cnt], names distinct */
	const struct sl_announce_plan *announce; /* or NULL: no VIP is announced by the daemon */
	bool bird_up;                            /* BIRD answers */
	bool drained;                            /* the gateway is */
	size_t listener_cnt, service_cnt, endpoint_cnt, vhost_cnt, route_cnt, rate_cnt, authz_cnt,
		cert_cnt, port_cnt, source_cnt;
};

/* Which values of a record are gauges, from which no baseline is taken: bit i for the i-th uint64. */
#define SL_METRICS_GAUGE(type, field) (1u << (offsetof(struct type, field) / 8))
#define SL_METRICS_SERVICE_GAUGES                                                                  \
	(SL_METRICS_GAUGE(sl_stats_service, ports_used) |                                          \
	 SL_METRICS_GAUGE(sl_stats_service, under_way) * ((1u << SL_STATS_BREAKERS) - 1) |         \
	 SL_METRICS_GAUGE(sl_stats_service, adaptive_limit))
#define SL_METRICS_RATE_GAUGES SL_METRICS_GAUGE(sl_stats_rate, keys)
#define SL_METRICS_ENDPOINT_GAUGES SL_METRICS_GAUGE(sl_stats_endpoint, active)

/* Gauges of struct sl_stats_tcp: X(now, most, name, sentence). */
#define SL_METRICS_TCP_GAUGES(X)                                                                   \
	X(streams, stream_capacity, "streams",                                                     \
	  "TCP streams of the gateway itself, TIME-WAIT apart")                                    \
	X(half_open, half_open_max, "half_open",                                                   \
	  "streams that clients have not opened fully; over the most, SYN cookies are sent")       \
	X(timewait, timewait_capacity, "timewait", "connections in TIME-WAIT")                     \
	X(segs, seg_capacity, "segments", "pieces of payload that are kept")                       \
	X(blocks, block_capacity, "blocks", "blocks of memory that hold copied payload")           \
	X(pinned, pinned_max, "pinned", "packet buffers kept for the payload in them")

/* Gauges of struct sl_stats_http. */
#define SL_METRICS_HTTP_GAUGES(X)                                                                  \
	X(conns, conn_capacity, "connections", "client connections of mode http")                  \
	X(exchanges, exchange_capacity, "exchanges", "requests under way")                         \
	X(pooled, pool_capacity, "pooled", "connections to endpoints")                             \
	X(pool_idle, pool_capacity, "pool_idle", "of these, waiting for a request")                \
	X(head_bytes, head_capacity, "head_bytes", "bytes of memory that heads take")

/* Gauges of struct sl_stats_tls. */
#define SL_METRICS_TLS_GAUGES(X)                                                                   \
	X(sessions, session_capacity, "sessions", "connections with TLS")                          \
	X(handshakes, handshake_capacity, "handshakes", "of these, not done with the handshake")   \
	X(peer_bytes, peer_capacity, "peer_bytes", "bytes of memory for what is known of peers")

/* Sums over all workers, for baselines.  stats, bytes: a mapped segment.  0, or -EINVAL (no valid
 * segment, slot out of range). */
int sl_metrics_sum_listener(const void *stats, size_t bytes, uint32_t slot,
			    struct sl_stats_listener *ret);
int sl_metrics_sum_service(const void *stats, size_t bytes, uint32_t slot,
			   struct sl_stats_service *ret);
int sl_metrics_sum_endpoint(const void *stats, size_t bytes, uint32_t slot,
			    struct sl_stats_endpoint *ret);

int sl_metrics_sum_authz(const void *stats, size_t bytes, uint32_t slot,
			 struct sl_stats_authz *ret);
int sl_metrics_sum_rule(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_authz *ret);
int sl_metrics_sum_rate(const void *stats, size_t bytes, uint32_t slot, struct sl_stats_rate *ret);
int sl_metrics_sum_vhost(const void *stats, size_t bytes, uint32_t slot,
			 struct sl_stats_vhost *ret);
int sl_metrics_sum_route(const void *stats, size_t bytes, uint32_t slot,
			 struct sl_stats_route *ret);

/* sl_metrics_render makes the whole exposition (text format 0.0.4, terminated by a 0 that *ret_len
 * does not count); the caller frees it.  0, -EINVAL (stats is no valid segment, a slot out of
 * range) or -ENOMEM. */
int sl_metrics_render(const struct sl_metrics_snapshot *s, char **ret_text, size_t *ret_len);

/* The provider fills *ret (zeroed before); what it points to stays valid until the provider is
 * called again or the loop's turn ends.  0, or -errno: the scrape is answered 503. */
typedef int (*sl_metrics_fn)(void *ctx, struct sl_metrics_snapshot *ret);

struct sl_metrics;

/* sl_metrics_start listens at `where`: "127.0.0.1:9900", "[::1]:9900" (port 0: any, see
 * sl_metrics_port) or "unix:/path" (mode 0660; a socket file that nobody listens on is replaced).
 *   GET /metrics  the exposition
 *   GET /healthz  200 "ok" while a dataplane is connected, else 503 with a sentence
 * Anything else is 404, or 405 for another method.
 * 0; -EINVAL (not such an address, or not loopback), -EADDRINUSE, -errno, all with a diag item. */
int sl_metrics_start(uv_loop_t *loop, const char *where, sl_metrics_fn fn, void *ctx,
		     struct sl_diag *diag, struct sl_metrics **ret_m);

/* sl_metrics_port is the TCP port in host order, 0 for a Unix socket. */
uint16_t sl_metrics_port(const struct sl_metrics *m);

/* sl_metrics_stop closes everything (NULL is allowed) and removes the socket file; the loop must
 * run once more afterwards, as for uv_close, before it is closed. */
void sl_metrics_stop(struct sl_metrics *m);

#endif
