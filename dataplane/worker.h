/* worker — one polling core as a function: (packets, ticks, tables, seed) → packets.
 *
 * sl_worker_turn runs the loop once: receive → parse → own or hand off → classify → look up or choose →
 * rewrite → transmit → messages → timers.  Everything it touches is passed in: ports through struct sl_io,
 * time as now_ns, tables as a view, randomness as the seed of its configuration.  No EAL below this line;
 * the simulator runs the same code.
 *
 * Owner:   a worker owns its flow table, its statistics region, its cursors.  Other workers reach it only
 *          through single-producer rings: packets (hand-off), packets to send (a port's transmit queue has one
 *          owner), messages.
 * Threads: [worker] for all, except init [main].
 */
#ifndef SL_DATAPLANE_WORKER_H
#define SL_DATAPLANE_WORKER_H

#include "dataplane/neigh.h"
#include "dataplane/path.h"
#include "dataplane/punt.h"
#include "dataplane/rss.h"
#include "dataplane/view.h"
#include "l7/tls/session.h"
#include "lb/flow.h"
#include "sluice/ctl.h"
#include "sluice/events.h"
#include "sluice/pkt.h"
#include "sluice/ring.h"
#include "sluice/stats.h"

#define SL_BURST 32
#define SL_HEADROOM                                                                                \
	64 /* bytes before a received frame that may be written: the largest tunnel header is 52 */

/* A packet on its way out, or between workers. */
struct sl_txd {
	void *buf;
	uint16_t len; /* bytes of the frame from its first byte; the driver cuts the buffer to it */
	uint16_t port;
	uint16_t
		grown; /* the frame begins this many bytes before where it was received; ≤ SL_HEADROOM.  With
			* SL_TXD_AT: `at` says where it begins instead */
	uint8_t offload; /* SL_OFFLOAD_* (tcp/tcp.h) | SL_TXD_AT */
	uint8_t l4_off; /* offload: TCP header, from the frame's first byte; the IP header is at 14 */
	uint16_t mss;   /* SL_OFFLOAD_TSO */
	uint16_t at;    /* SL_TXD_AT: the frame's first byte, from that of the buffer's memory */
	uint32_t zero;
};
#define SL_TXD_AT 0x80

#define SL_PORT_NONE UINT16_MAX

/* What a worker needs of the outside.  Functions are called with the worker's own ctx. */
struct sl_io {
	/* rx fills up to max packets: data, buf, len, port_in, flags (driver's bits), csum_ok; nothing else.
	 * SL_HEADROOM bytes before data are the packet's, too.  port_in: of a trunk the port that the frame's tag says,
	 * or SL_PORT_NONE; else `port`. */
	unsigned (*rx)(void *ctx, unsigned port, struct sl_pkt *pkts, unsigned max);
	/* tx takes packets for one port; those not taken (return value < n: the tail) stay the caller's, who may offer
	 * those with SL_TXD_AT again: others may have grown in their buffers. */
	unsigned (*tx)(void *ctx, unsigned port, const struct sl_txd *pkts, unsigned n);
	/* alloc gives a buffer with room for a frame of the largest MTU, or NULL; *ret_data its first byte,
	 * SL_HEADROOM bytes before which are its, too. */
	void *(*alloc)(void *ctx, uint8_t **ret_data);
	void (*free)(void *ctx, void *const *bufs, unsigned n);
	void *ctx;
	/* For streams; all NULL: no TCP.  A buffer may have several holders: share adds one, free and tx drop one; what is
	 * with a port and has other holders is not written to.  held: of the pool, in 1/256, [0, 256].  offset: of an
	 * address in the buffer from its first byte of memory (struct sl_txd, at). */
	void (*share)(void *ctx, void *buf);
	unsigned (*refs)(void *ctx, void *buf);
	unsigned (*held)(void *ctx);
	unsigned (*offset)(void *ctx, void *buf, const uint8_t *data);
};

struct sl_worker_port {
	uint8_t mac[6];
	uint16_t mtu;      /* of the IP packet */
	bool poll;         /* this worker polls a receive queue of it */
	bool gone;         /* sl_worker_unplug */
	bool trunk;        /* what is received on it is told apart by tags */
	bool rss;          /* what arrives on that queue is already ours: no hash, no hand-off */
	uint8_t tx_worker; /* who sends: this worker, or another over tx_out[] */
	uint8_t offload;   /* SL_OFFLOAD_* that the port does in sending */
	uint16_t tso_max;  /* bytes of payload of one packet for TSO; 0: none */
};

/* What a worker ends TCP with.  streams 0: it does not, and listeners of mode TCP take nothing. */
struct sl_relay_limits;
struct sl_rates_shared;
struct sl_worker_tcp {
	uint32_t streams; /* places; as struct sl_tcp_conf says (capacity), and so are these: */
	uint32_t timewait_cnt, half_open_max, seg_cnt, block_cnt, pinned_max, rcv_max, snd_max;
	void *places; /* [streams × sl_tcp_stride()], zeroed: its part of the region (streams.h) */
	void *mem;    /* sl_worker_tcp_bytes(), zeroed, line-aligned */
	struct sl_relay_limits *limits; /* shared by all workers */
	struct sl_rates_shared *
		rates; /* likewise; NULL: limits of requests and new connections are not looked at */
};

/* sl_worker_tcp_bytes: memory for stack and relay; 0 where a range is not kept. */
size_t sl_worker_tcp_bytes(const struct sl_worker_tcp *tcp);

/* What a worker ends HTTP with, on the streams of struct sl_worker_tcp.  exchanges 0: it does not. */
struct sl_ledger;
struct sl_outlier_counts;
struct sl_outlier_tally;
struct sl_ewma;
struct sl_worker_http {
	uint32_t conns;                     /* client connections */
	uint32_t exchanges;                 /* requests under way */
	uint32_t pool;                      /* connections to endpoints */
	size_t head_bytes;                  /* for heads under way */
	void *mem;                          /* sl_worker_http_bytes(), zeroed, line-aligned */
	struct sl_ledger *ledger;           /* shared by all workers: breakers */
	struct sl_outlier_counts *outliers; /* likewise: failures in a row */
	struct sl_outlier_tally *tally;     /* its own, or NULL: no rates */
	struct sl_ewma *ewma;               /* its own [SL_MAX_ENDPOINTS], zeroed, or NULL */
	uint32_t *loads
		[64]; /* [worker_cnt] of [SL_MAX_ENDPOINTS]: requests under way; this worker writes its own */
	struct sl_ring *reports;          /* struct sl_outlier_report to main, or NULL */
	int64_t (*wall)(uint64_t now_ns); /* seconds of the epoch then; NULL: the kernel's */
};
size_t sl_worker_http_bytes(const struct sl_worker_http *http);

/* What a worker does TLS with, on the streams of struct sl_worker_tcp.  sessions 0: it does not. */
struct sl_worker_tls {
	uint32_t sessions, handshakes, jobs, keys, peer_kb; /* as struct sl_tls_conf says */
	void *mem; /* sl_tls_bytes(), zeroed, line-aligned, of the vault (vault.h) */
	struct sl_tls_steps steps;
	int64_t (*now_s)(void *ctx); /* seconds of the epoch; ctx of steps */
};

/* Messages between workers (and from main): design.md 2.10. */
enum sl_msg_type {
	SL_MSG_HALF = 1, /* make or refresh the reply half of a nat flow */
	SL_MSG_SEEN = 2, /* the other half saw packets; tcp_flags gathers FIN and RST */
	SL_MSG_END = 3,  /* the other half is gone: drop yours */
	SL_MSG_REFUSE =
		4, /* the reply half could not be made: drop the forward half; why in reason */
	SL_MSG_EXPLAIN = 5, /* main → worker: run `frame` dry; answered through explain_out */
	SL_MSG_NEIGH = 6,   /* to worker 0: resolve addr on port_in */
	SL_MSG_EXPLAIN_HTTP =
		7, /* main → worker: answer questions[slot] (struct sl_http_question) */
};

struct sl_msg {
	uint8_t type;
	uint8_t from; /* worker, or UINT8_MAX: main */
	uint8_t tcp_flags;
	uint8_t reason; /* enum sl_drop */
	uint32_t slot;
	uint16_t incarnation;
	uint8_t state; /* of the half to be made */
	uint8_t zero;
	sl_be16 port;     /* HALF, END of a reply half: the VIP's port */
	uint16_t port_in; /* EXPLAIN */
	uint32_t cookie;  /* EXPLAIN: returned */
	uint32_t zero2;
	struct sl_addr addr;   /* HALF, END of a reply half: the VIP; NEIGH: what to resolve */
	struct sl_tuple tuple; /* key of the half that is meant, as its packets arrive */
	uint8_t pad[8];
};
static_assert(sizeof(struct sl_msg) == 88, "");

/* The answer to EXPLAIN. */
struct sl_explained {
	uint32_t cookie;
	uint32_t worker;
	uint64_t generation;
	struct sl_pkt pkt;   /* as the pipeline left it */
	struct sl_tuple out; /* as it would leave */
	struct sl_addr next; /* next hop */
	struct sl_ctl_level level;
};

/* A question about a request head (ctl.h, EXPLAIN_HTTP).  Main's while FREE and ANSWERED, the worker's while ASKED: the worker's
 * store-release of ANSWERED pairs with main's load-acquire; ASKED goes through the mailbox, which orders it. */
enum sl_question_state { SL_QUESTION_FREE = 0, SL_QUESTION_ASKED = 1, SL_QUESTION_ANSWERED = 2 };
struct sl_http_question {
	_Atomic uint32_t state; /* enum sl_question_state */
	uint32_t len;           /* of request, [1, SL_CTL_REQUEST_MAX] */
	struct sl_tuple tuple;  /* client → listener */
	uint32_t about;         /* enum sl_ctl_about */
	/* the answer: all but head, worker, text_len */
	struct sl_ctl_explained_http answer;
	const char *why;                /* it cannot be answered: a static sentence; else NULL */
	char text[SL_CTL_TEXT_MAX + 1]; /* terminated */
	uint8_t path[SL_CTL_REQUEST_MAX / 2];
	uint8_t request[SL_CTL_REQUEST_MAX];
};

struct sl_clock;
struct sl_worker_conf {
	unsigned id;                        /* [0, worker_cnt) */
	unsigned worker_cnt;                /* [1, 64] */
	unsigned port_cnt;                  /* [1, 32] */
	const struct sl_worker_port *ports; /* copied */
	struct sl_io io;
	const struct sl_rss *rss;
	struct sl_flow_table *flows;  /* or NULL: sl_worker_adopt */
	struct sl_neigh_table *neigh; /* shared; worker 0 writes */
	struct sl_path_table *paths;  /* shared, all write; NULL: routers' errors teach nothing */
	const struct sl_state_word2 *states; /* [SL_MAX_ENDPOINTS] */
	const struct sl_state_seg *shares;   /* of limits; NULL: there are none */
	void *stats;                         /* segment; this worker writes its own region */
	const struct sl_clock *clock;        /* NULL: the time of a turn is all there is (tests) */
	uint64_t seed;
	struct sl_worker_tcp tcp; /* with all of io */
	struct sl_worker_http http;
	struct sl_worker_tls tls;
	/* rings by peer worker; NULL for itself.  in: we take; out: we put */
	struct sl_ring *pkt_in[64], *pkt_out[64]; /* struct sl_pkt: to be processed by the owner */
	struct sl_ring *tx_in[64], *tx_out[64]; /* struct sl_txd: to be sent by the queue's owner */
	struct sl_ring *msg_in[64], *msg_out[64]; /* struct sl_msg */
	struct sl_ring *main_in;                  /* struct sl_msg from main, or NULL */
	struct sl_ring *explain_out;              /* struct sl_explained to main, or NULL */
	struct sl_http_question *questions;       /* of SL_MSG_EXPLAIN_HTTP, or NULL: none come */
	struct sl_events_worker *events;          /* where its access log goes, or NULL: nowhere */
	uint32_t events_size;                     /* of the ring's data */
	struct sl_punt_conf punt;                 /* the kernel's share of the ports */
};

struct sl_worker;

size_t sl_worker_bytes(void);
/* sl_worker_init in zeroed, line-aligned memory of that size.  conf is copied. */
struct sl_worker *sl_worker_init(void *mem, const struct sl_worker_conf *conf);

/* sl_worker_adopt gives it its flow table, between turns, before the first view that it is turned with: conf.flows may
 * be NULL until then.  Counts the flows on each endpoint, has nat halves told anew, and seeds gauges. */
void sl_worker_adopt(struct sl_worker *w, struct sl_flow_table *flows);

/* sl_worker_hand_over: what this port receives is not spread by our key any more (struct sl_worker_port, rss).  As
 * sl_worker_adopt: between turns, before the first view. */
void sl_worker_hand_over(struct sl_worker *w, unsigned port);

/* sl_worker_unplug: ports (bit i) went away, between turns: nothing of struct sl_io is called for them any more, and packets
 * that should leave by them are dropped (PORT_GONE).  They do not come back. */
void sl_worker_unplug(struct sl_worker *w, uint32_t ports);

/* sl_worker_shadow: what is tried beside the view in the turns to come (shadow.h); NULL: nothing. */
struct sl_shadow;
void sl_worker_shadow(struct sl_worker *w, const struct sl_shadow *shadow);

/* One turn.  view NULL: nothing is active yet (packets are dropped: NO_TABLE; ARP waits).  now_ns is monotonic.
 * Returns what was done: packets + messages (0: an empty turn). */
unsigned sl_worker_turn(struct sl_worker *w, const struct sl_view *view, uint64_t now_ns);

/* sl_worker_stop: the last turn: TCP connections are reset, so that nobody waits for one that is gone, and what is staged
 * is sent.  sl_worker_forward sends what other workers still gave us: for queues of ours, after they stopped. */
void sl_worker_stop(struct sl_worker *w, const struct sl_view *view, uint64_t now_ns);
void sl_worker_forward(struct sl_worker *w);

/* sl_worker_fini frees packets the worker still holds (waiting for a neighbour, for a first fragment, or with bytes of a
 * stream). */
void sl_worker_fini(struct sl_worker *w);

#endif
