/* stats — counters and histograms, one region per worker, written by that worker alone.
 *
 * The segment is a memfd made by the dataplane at boot and mapped read-only by sluiced.  Counters are
 * monotonic for the life of a boot id; exporters subtract, nothing resets.  The writer uses relaxed
 * stores (plain adds on its own line); a reader sees each 8-byte value whole, and different values
 * at slightly different times.
 *
 *   head · worker[0] · worker[1] · …      each worker_bytes long, page aligned
 *   a worker's region: struct sl_stats_worker, then (offsets in the head)
 *     struct sl_stats_port      [port_cnt]
 *     struct sl_stats_listener  [SL_MAX_LISTENERS]   by listener slot
 *     struct sl_stats_service   [SL_MAX_SERVICES]    by service slot
 *     struct sl_stats_endpoint  [SL_MAX_ENDPOINTS]   by endpoint slot
 *     struct sl_stats_vhost     [SL_MAX_VHOSTS]      by virtual host slot
 *     struct sl_stats_route     [SL_MAX_HTTP_ROUTES] by route slot
 *     struct sl_stats_authz     [SL_MAX_AUTHZ]       by slot of a set of rules
 *     struct sl_stats_rate      [SL_MAX_RATES]       by slot of a limit
 *     struct sl_stats_authz     [SL_MAX_RULE_SLOTS]       by slot of a rule
 * Untouched pages of the big arrays cost nothing.
 */
#ifndef SLUICE_STATS_H
#define SLUICE_STATS_H

#include "sluice/drop.h"
#include "sluice/image.h"

#define SL_STATS_MAGIC 0x53544153u /* "SATS" */
#define SL_STATS_VERSION 10
#define SL_STATS_MAX_WORKERS 64
#define SL_STATS_MAX_PORTS 32

/* Log-linear histogram: values below 16 exactly, then 16 steps per power of two up to 2^36; larger ones
 * fall in the last bucket.  Error at most 6.25 %. */
#define SL_HIST_BUCKETS (16 + 32 * 16)
struct sl_hist {
	uint64_t cnt;
	uint64_t sum;
	uint64_t bucket[SL_HIST_BUCKETS];
};

static inline unsigned
sl_hist_index(uint64_t v)
{
	if (v < 16)
		return (unsigned)v;
	unsigned log2 = 63u - (unsigned)__builtin_clzll(v); /* ≥ 4 */
	unsigned idx = 16 + (log2 - 4) * 16 + (unsigned)((v >> (log2 - 4)) & 15);
	return idx < SL_HIST_BUCKETS ? idx : SL_HIST_BUCKETS - 1;
}

static inline void
sl_hist_add(struct sl_hist *h, uint64_t v)
{
	h->cnt++;
	h->sum += v;
	h->bucket[sl_hist_index(v)]++;
}

/* Smallest value that falls in bucket idx. */
uint64_t sl_hist_floor(unsigned idx);

/* Of the TCP stack, by the rows of tcp.def. */
enum sl_tcp_counter {
#define SL_TCP(CODE, name, text) SL_TCP_##CODE,
#include "sluice/tcp.def"
#undef SL_TCP
	SL_TCP_CNT
};

struct sl_stats_tcp {
	uint64_t count[96]; /* by enum sl_tcp_counter */
	/* gauges: now, and the constant they are bounded by */
	uint64_t streams, stream_capacity;
	uint64_t half_open, half_open_max;
	uint64_t timewait, timewait_capacity;
	uint64_t segs, seg_capacity;     /* pieces of payload */
	uint64_t blocks, block_capacity; /* of memory for copied payload */
	uint64_t pinned, pinned_max;     /* packet buffers kept with payload in them */
};
static_assert(SL_TCP_CNT <= 96, "count[] holds every row");

/* The metric's name and the sentence of a row. */
const char *sl_tcp_counter_name(unsigned code);
const char *sl_tcp_counter_text(unsigned code);

/* Of HTTP, by the rows of http.def. */
enum sl_http_counter {
#define SL_HTTP(CODE, name, text) SL_HTTP_CNT_##CODE,
#include "sluice/http.def"
#undef SL_HTTP
	SL_HTTP_CNT_CNT
};

struct sl_stats_http {
	uint64_t count[96]; /* by enum sl_http_counter */
	/* gauges: now, and the constant they are bounded by */
	uint64_t conns, conn_capacity;         /* client connections */
	uint64_t exchanges, exchange_capacity; /* requests under way */
	uint64_t pooled, pool_capacity; /* connections to endpoints; idle ones are pool_idle */
	uint64_t pool_idle;
	uint64_t head_bytes, head_capacity; /* memory for heads */
	struct sl_hist first_us; /* first byte of the request → first byte of the answer */
	struct sl_hist last_us;  /* → last byte */
};
static_assert(SL_HTTP_CNT_CNT <= 96, "count[] holds every row");

/* The metric's name and the sentence of a row. */
const char *sl_http_counter_name(unsigned code);
const char *sl_http_counter_text(unsigned code);

/* Of TLS, by the rows of tls.def. */
enum sl_tls_counter {
#define SL_TLS(CODE, name, text) SL_TLS_CNT_##CODE,
#include "sluice/tls.def"
#undef SL_TLS
	SL_TLS_CNT_CNT
};

struct sl_stats_tls {
	uint64_t count[64]; /* by enum sl_tls_counter */
	/* gauges: now, and the constant they are bounded by */
	uint64_t sessions, session_capacity;
	uint64_t handshakes, handshake_capacity;
	uint64_t peer_bytes, peer_capacity; /* memory for what is known of peers */
	struct sl_hist handshake_us; /* first byte awaited → done; of those that succeeded */
	struct sl_hist wait_us;      /* of a step: asked → answered by its handshake thread */
};
static_assert(SL_TLS_CNT_CNT <= 64, "count[] holds every row");

/* The metric's name and the sentence of a row. */
const char *sl_tls_counter_name(unsigned code);
const char *sl_tls_counter_text(unsigned code);

struct sl_stats_worker {
	/* per turn */
	uint64_t turns;       /* loop turns */
	uint64_t turns_empty; /* turns that found no packet, message or due timer */
	uint64_t
		busy_ticks; /* ticks (ns of the worker clock, or TSC: see head) spent in non-empty turns */
	uint64_t total_ticks;
	uint64_t rx_packets; /* from ports, before hand-off */
	uint64_t rx_bytes;
	uint64_t tx_packets; /* accepted by a port or handed to the worker that owns the queue */
	uint64_t tx_bytes;
	/* per packet */
	uint64_t handoff_out; /* packets given to their owner */
	uint64_t handoff_in;
	uint64_t
		consumed; /* ARP, ND, echo, errors about its tunnels, what was cut, segments of TCP that ends here: taken by
			   * the gateway itself.  rx_packets + frag_made + made = forwarded + consumed + dropped (less
			   * tx_full), when nothing is under way */
	uint64_t forwarded; /* on the way out; a full queue can still drop it (tx_full) */
	uint64_t dropped;   /* sum of drop[]: of packets received, less tx_full and no_buffer */
	/* flows */
	uint64_t flow_insert;
	uint64_t flow_expire;
	uint64_t flow_evict;
	uint64_t flow_hit;
	uint64_t flow_miss;
	uint64_t flow_active;    /* gauge: entries now */
	uint64_t flow_embryonic; /* gauge */
	uint64_t flow_capacity;  /* gauge: constant */
	uint64_t maglev_only;    /* packets forwarded without flow state (table full) */
	/* mailbox */
	uint64_t msg_sent;
	uint64_t msg_received;
	uint64_t msg_lost;   /* mailbox of the other worker full */
	uint64_t generation; /* gauge: the last one this worker loaded */
	/* survival: flows of the dataplane before, taken over (sl_worker_adopt) */
	uint64_t flow_adopted;
	uint64_t flow_lost; /* not taken over: damaged, without room, or expired meanwhile */
	/* translation records of nat replies */
	uint64_t xlat_used;     /* gauge */
	uint64_t xlat_capacity; /* gauge: constant */
	/* ICMP and fragments */
	uint64_t
		icmp_error; /* ICMP errors passed on to a flow's endpoint or client, or learned from */
	uint64_t icmp_too_big;     /* frag-needed and packet-too-big sent */
	uint64_t frag_rx;          /* fragments received */
	uint64_t frag_held;        /* gauge: fragments waiting for the first of their datagram */
	uint64_t frag_open;        /* gauge: datagrams in fragments being followed */
	uint64_t frag_made;        /* fragments sent because a packet was larger than its way */
	uint64_t made;             /* packets of TCP that ends here, put on the way out */
	uint64_t drop[64];         /* by enum sl_drop */
	struct sl_hist turn_ns;    /* duration of non-empty turns, ns */
	struct sl_hist burst_pkts; /* packets per non-empty turn */
	struct sl_stats_tcp tcp;
	struct sl_stats_http http;
	struct sl_stats_tls tls;
};
static_assert(SL_DROP_CNT <= 64, "drop[] holds every reason");

struct sl_stats_port {
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t tx_full; /* packets the port's queue refused */
	/* exception path (dataplane/exception.h) */
	uint64_t to_kernel;
	uint64_t from_kernel;
	uint64_t kernel_limited; /* towards the kernel: over the rate, or its ring was full */
};

struct sl_stats_listener {
	uint64_t packets; /* mode tcp: not counted, */
	uint64_t bytes;   /* and this is payload towards endpoints */
	uint64_t new_flows;
	uint64_t refused; /* new flows not admitted, any reason */
};

/* What a service may have at a time, in the order of enum sl_limit: X(word). */
#define SL_STATS_BREAKER_WORDS(X) X(connections) X(pending) X(requests) X(retries)
#define SL_STATS_BREAKERS 4

/* Why endpoints were ejected, from SL_EJECTED_FAILED on (state.h): X(word, sentence); the last one is of those that were not. */
#define SL_STATS_EJECTION_WORDS(X)                                                                 \
	X(failed, "Ejections for 5xx or failures in a row.")                                       \
	X(gateway, "Ejections for gateway errors in a row.")                                       \
	X(local, "Ejections for failures without an answer in a row.")                             \
	X(rate, "Ejections for a success rate below the other endpoints'.")                        \
	X(percent, "Ejections for the share of failures in a sweep.")                              \
	X(held, "Ejections not made: max_percent of the endpoints were ejected.")
#define SL_STATS_EJECTIONS 6

struct sl_stats_service {
	uint64_t new_flows;
	uint64_t no_endpoint; /* new flows for which no endpoint could be chosen */
	uint64_t ports_used;  /* gauge: fullnat: source ports in use */
	uint64_t ports_out;   /* fullnat: new flows refused for want of a source port */
	/* forward proxy: breakers, each of which is a row of SL_STATS_BREAKERS */
	uint64_t under_way[SL_STATS_BREAKERS]; /* gauges, told now and then */
	uint64_t reached[SL_STATS_BREAKERS];   /* times that one more was too many */
	uint64_t adaptive_limit;               /* gauge: 0: off, or not known yet */
	uint64_t adaptive_refused;
	uint64_t ejections[SL_STATS_EJECTIONS]; /* of worker 0, written by main for all */
};

struct sl_stats_endpoint {
	uint64_t packets; /* towards the endpoint; mode tcp: not counted, and bytes are payload */
	uint64_t bytes;
	uint64_t reply_packets; /* from it (nat); likewise */
	uint64_t reply_bytes;
	uint64_t new_flows;
	uint64_t
		ended_flows; /* closed, expired, evicted; mode http: connections, as new_flows and active */
	uint64_t active;         /* gauge: flows this worker has on it now */
	uint64_t connect_failed; /* mode tcp: connects that failed */
	/* line 1 */
	uint64_t ejections; /* of worker 0, written by main for all */
	uint64_t zero[7];
};
static_assert(sizeof(struct sl_stats_endpoint) == 128, "two lines, the first for packets");

struct sl_stats_vhost {
	uint64_t requests;
	uint64_t no_route;
};

#define SL_ROUTE_BUCKETS 20
struct sl_stats_route {
	uint64_t requests;
	uint64_t answers[5]; /* 1xx … 5xx, as sent to the client */
	uint64_t retries;
	uint64_t local;     /* answered by the gateway itself: redirect, direct, errors */
	uint64_t bytes_in;  /* bodies */
	uint64_t bytes_out; /* likewise */
	uint64_t first_us_sum, last_us_sum;
	uint64_t last
		[SL_ROUTE_BUCKETS]; /* requests by time to the last byte: bucket i below 64 µs × 2^i, the last all else */
};
static_assert(sizeof(struct sl_stats_route) == 256, "four lines");

/* Requests, and of listeners of mode tcp connections: of a set what became of them, of a rule those that it decided. */
struct sl_stats_authz {
	uint64_t allowed;
	uint64_t denied;
	uint64_t
		audited; /* told of: by AUDIT rules, and denied where the set is audit_only (allowed is not counted then) */
	uint64_t zero;
};

struct sl_stats_rate {
	uint64_t allowed; /* tokens taken */
	uint64_t refused;
	uint64_t overflow; /* of both: by the bucket that keys without one of their own share */
	uint64_t keys;     /* gauge, of worker 0 for all: buckets by key now */
};

struct sl_stats_head {
	uint32_t magic; /* stored last by the creator */
	uint32_t version;
	uint64_t boot_id;
	uint64_t ticks_per_s; /* of busy_ticks and total_ticks */
	uint64_t worker_bytes;
	uint64_t worker_off; /* of worker[0], from the start of the segment */
	uint32_t worker_cnt;
	uint32_t port_cnt;
	uint32_t port_off; /* from the start of a worker's region, as the following */
	uint32_t listener_off;
	uint32_t service_off;
	uint32_t endpoint_off;
	uint32_t vhost_off;
	uint32_t route_off;
	uint32_t authz_off;
	uint32_t rate_off;
	uint32_t rule_off;
	uint32_t zero;
	char port_name[SL_STATS_MAX_PORTS][SL_NAME_MAX];
};

/* sl_stats_bytes is the size of a segment; sl_stats_init lays it out in zeroed memory of that size
 * (page aligned) and stores the magic last.  worker_cnt in [1, SL_STATS_MAX_WORKERS], port_cnt in
 * [0, SL_STATS_MAX_PORTS]. */
size_t sl_stats_bytes(unsigned worker_cnt, unsigned port_cnt);
void sl_stats_init(void *mem, unsigned worker_cnt, unsigned port_cnt, const char *const *port_names,
		   uint64_t boot_id, uint64_t ticks_per_s);

/* sl_stats_check says whether a mapped segment of `bytes` may be walked with the accessors below:
 * 0, or -EINVAL (not a segment, other version, or offsets that leave it). */
int sl_stats_check(const void *mem, size_t bytes);

static inline struct sl_stats_worker *
sl_stats_worker(void *mem, unsigned worker)
{
	struct sl_stats_head *h = mem;
	return (struct sl_stats_worker *)((char *)mem + h->worker_off + worker * h->worker_bytes);
}

static inline struct sl_stats_port *
sl_stats_ports(void *mem, unsigned worker)
{
	return (struct sl_stats_port *)((char *)sl_stats_worker(mem, worker) +
					((struct sl_stats_head *)mem)->port_off);
}

static inline struct sl_stats_listener *
sl_stats_listeners(void *mem, unsigned worker)
{
	return (struct sl_stats_listener *)((char *)sl_stats_worker(mem, worker) +
					    ((struct sl_stats_head *)mem)->listener_off);
}

static inline struct sl_stats_service *
sl_stats_services(void *mem, unsigned worker)
{
	return (struct sl_stats_service *)((char *)sl_stats_worker(mem, worker) +
					   ((struct sl_stats_head *)mem)->service_off);
}

static inline struct sl_stats_endpoint *
sl_stats_endpoints(void *mem, unsigned worker)
{
	return (struct sl_stats_endpoint *)((char *)sl_stats_worker(mem, worker) +
					    ((struct sl_stats_head *)mem)->endpoint_off);
}

static inline struct sl_stats_vhost *
sl_stats_vhosts(void *mem, unsigned worker)
{
	return (struct sl_stats_vhost *)((char *)sl_stats_worker(mem, worker) +
					 ((struct sl_stats_head *)mem)->vhost_off);
}

static inline struct sl_stats_route *
sl_stats_routes(void *mem, unsigned worker)
{
	return (struct sl_stats_route *)((char *)sl_stats_worker(mem, worker) +
					 ((struct sl_stats_head *)mem)->route_off);
}

static inline struct sl_stats_authz *
sl_stats_authz(void *mem, unsigned worker)
{
	return (struct sl_stats_authz *)((char *)sl_stats_worker(mem, worker) +
					 ((struct sl_stats_head *)mem)->authz_off);
}

static inline struct sl_stats_authz *
sl_stats_rules(void *mem, unsigned worker)
{
	return (struct sl_stats_authz *)((char *)sl_stats_worker(mem, worker) +
					 ((struct sl_stats_head *)mem)->rule_off);
}

static inline struct sl_stats_rate *
sl_stats_rates(void *mem, unsigned worker)
{
	return (struct sl_stats_rate *)((char *)sl_stats_worker(mem, worker) +
					((struct sl_stats_head *)mem)->rate_off);
}

#endif
