/* rig — a gateway in one ordinary process: 1 to 8 workers over in-memory ports, no EAL, time passed in.
 *
 * Tests inject frames and look at what comes out; the simulator puts a virtual network behind it.
 * Single-threaded: workers run one after the other, so a run is a function of its inputs.
 */
#ifndef SL_TESTS_RIG_H
#define SL_TESTS_RIG_H

#include "dataplane/worker.h"
#include "lb/flow_adopt.h"
#include "sluice/streams.h"

#define RIG_PORTS 2
#define RIG_WORKERS 8
#define RIG_FRAME 2048

/* A frame on its way in or out.  Owned by the rig's pool; counted, so that leaks show. */
struct rig_frame {
	struct rig_frame *next;
	uint32_t len;
	uint32_t in_use;  /* holders */
	uint16_t port_in; /* the port that its tag says */
	uint8_t head[SL_HEADROOM];
	uint8_t room[RIG_FRAME];
};

struct rig_conf {
	unsigned workers; /* [1, RIG_WORKERS] */
	uint32_t flows;   /* capacity per worker */
	uint64_t seed;    /* of keys: flow hash, RSS, schedules */
	bool rss; /* ports distribute by the RSS hash themselves; else worker 0 polls both ports */
	uint16_t mtu;    /* 0: 1500 */
	unsigned frames; /* pool size; 0: 8192 */
	unsigned ring;   /* places of each ring; 0: 1024 */
	unsigned tx_max; /* frames a port takes of one burst, the rest is refused; 0: all */
	/* TCP that ends in the gateway: of each worker */
	uint32_t streams;   /* places; 0: off */
	uint32_t half_open; /* before SYN cookies; 0: streams / 4 */
	uint32_t blocks;    /* for copied payload; 0: 2048 */
	uint32_t pinned;    /* buffers kept with payload in them; 0: none */
	/* HTTP on it, of each worker: requests under way; 0: off.  As many connections to endpoints, twice as many of clients */
	uint32_t exchanges;
	int64_t (*wall)(uint64_t now_ns); /* time of the day for tokens; NULL: the kernel's */
	bool rates;           /* limits of requests and connections are looked at; with streams */
	uint32_t events;      /* bytes of the ring of access-log records, a power of two; 0: none */
	uint8_t offload;      /* SL_OFFLOAD_* that ports do in sending: they finish sums, and cut */
	uint32_t kernel_pps;  /* of the exception path of port 0; 0: there is none */
	uint32_t kernel_ring; /* places of each of its rings; 0: 256 */
	bool trunk;           /* what is received on port 0 is told apart by tags: rig_inject_as */
};

/* Called for every frame a port sends; the frame is the callee's until it returns (copy what is kept). */
typedef void rig_sent_fn(void *ctx, unsigned port, const uint8_t *frame, unsigned len);

struct rig;

struct rig *rig_create(const struct rig_conf *conf, rig_sent_fn *sent, void *ctx);
void rig_destroy(struct rig *r);

/* rig_restart kills the gateway between two turns and starts another with `workers` workers on what the flow region held:
 * packets and messages on their way inside are lost, statistics begin anew, neighbours are forgotten, the
 * view stays published.  As dataplane/main.c does it: in place, or dealt when the number changed. */
struct sl_flow_adopted rig_restart(struct rig *r, unsigned workers, uint64_t now_ns);

/* The active view (not owned); NULL: none. */
void rig_publish(struct rig *r, struct sl_view *view);

/* Put a frame on a port; false: pool or queue full. */
bool rig_inject(struct rig *r, unsigned port, const void *frame, unsigned len);
/* … by the device of `port`, with the tag of another port, or with none of ours (SL_PORT_NONE). */
bool rig_inject_as(struct rig *r, unsigned port, unsigned port_in, const void *frame, unsigned len);

/* One turn of every worker at now_ns; what they did.  rig_turn_one: of one of them.  rig_settle turns until nothing is done (at most 1000 turns). */
unsigned rig_turn(struct rig *r, uint64_t now_ns);
void rig_turn_one(struct rig *r, unsigned worker, uint64_t now_ns);
void rig_settle(struct rig *r, uint64_t now_ns);

/* rig_stop: the last turn of every worker: TCP connections are reset. */
void rig_stop(struct rig *r, uint64_t now_ns);

/* rig_report takes the next report of a worker about a failing endpoint; false: none. */
struct sl_outlier_report;
bool rig_report(struct rig *r, struct sl_outlier_report *ret);
/* The region of events, with conf.events; breakers' numbers. */
struct sl_events_head *rig_events(struct rig *r);
struct sl_ledger *rig_ledger(struct rig *r);

/* The region of streams (sluice/streams.h), with conf.streams. */
struct sl_streams_head *rig_streams(struct rig *r);

struct sl_worker *rig_worker(struct rig *r, unsigned i);
struct sl_flow_table *rig_flows(struct rig *r, unsigned i);
struct sl_neigh_table *rig_neigh(struct rig *r);
struct sl_state_word2 *rig_states(struct rig *r);
/* The words of limits that gateways share, with conf.rates; CLOCK_MONOTONIC is an hour behind now_ns. */
struct sl_state_seg *rig_shares(struct rig *r);
const struct sl_rss *rig_rss(const struct rig *r);
const uint8_t *rig_mac(const struct rig *r, unsigned port); /* 02:00:00:00:00:<port> */

/* Sums over workers. */
uint64_t rig_drops(struct rig *r, unsigned reason);
struct sl_stats_worker *rig_stats(struct rig *r, unsigned worker);
void *rig_stats_segment(struct rig *r);

/* Frames not in the pool: 0 when nothing is queued or held. */
unsigned rig_in_use(const struct rig *r);

/* Give the neighbour table an address as if it had answered. */
void rig_neighbour(struct rig *r, unsigned port, const struct sl_addr *addr, const uint8_t mac[6],
		   uint64_t now_ns);

/* The kernel's side of port 0, with conf.kernel_pps: the addresses it has; the next frame given to it of a class (its
 * buffer goes back), false: none; a frame of it, false: no empty buffer was there; how often a worker woke it.
 * rig_kernel_stop: what is in its rings goes back to the pool; no turns afterwards. */
struct rig_kernel_frame {
	unsigned worker, port, len;
	uint8_t bytes[RIG_FRAME];
};
void rig_kernel_has(struct rig *r, const char *const *addrs, unsigned n);
bool rig_kernel_take(struct rig *r, enum sl_punt_class class, struct rig_kernel_frame *ret);
bool rig_kernel_give(struct rig *r, unsigned port, const void *frame, unsigned len);
unsigned rig_kernel_woken(const struct rig *r);
void rig_kernel_stop(struct rig *r);

/* Run explain on the owning worker (as main would) and return its answer. */
struct sl_explained rig_explain(struct rig *r, const struct sl_tuple *t, uint8_t tcp_flags,
				unsigned port, uint64_t now_ns);

#endif
