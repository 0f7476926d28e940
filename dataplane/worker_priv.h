/* worker_priv — the inside of struct sl_worker, shared by the files of the pipeline.
 *
 * Walk:  worker.c (turn) → l4.c (burst of packets) → nat.c (halves of nat) → send.c (size, next hop, transmit)
 *                      │ └→ lane.c (most)         └→ fullnat.c (pairs)        └→ tunnel.c (outer header)
 *                      ├→ local.c (ARP, ND, echo)     tally.c (flows on an endpoint)
 *                      ├→ streams.c (TCP that ends here: the stack, the relay) → requests.c (HTTP on it)
 *                      ├→ fragments.c, errors.c (of a flow, and no ordinary packet of it)
 *                      ├→ trial.c (what a table that is tried would do otherwise)
 *                      └→ punt.c (nothing of ours: the kernel's?)
 * Everything here belongs to one worker; nothing is reached from another thread.
 */
#ifndef SL_DATAPLANE_WORKER_PRIV_H
#define SL_DATAPLANE_WORKER_PRIV_H

#include "dataplane/frag.h"
#include "dataplane/shadow.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/worker.h"
#include "l7/relay.h"
#include "lb/encap.h"
#include "lb/rewrite.h"

#define SL_TX_STAGE 64
#define SL_TX_ROUNDS 4    /* of SL_TX_STAGE packets, that a turn takes of another worker's */
#define SL_HELD_MAX 256   /* packets that wait for a neighbour, per worker */
#define SL_HELD_PER_HOP 4 /* of these, for one next hop */
#define SL_HELD_NS 1000000000ull
#define SL_HELD_LOOK_NS 200000ull
#define SL_ROUTES_CACHED 256 /* a power of two */
#define SL_LANES 4096        /* a power of two */
#define SL_ICMP_PER_S 1000   /* answers of one kind */
#define SL_SWEEP_PASS_NS 2000000000ull
#define SL_SWEEP_MIN 16 /* buckets */
#define SL_SWEEP_MAX 256
#define SL_LATER_MAX 256
#define SL_PINS_PER_TURN 64
#define SL_PIN_ALL_NS 1000000000ull
#define SL_TALLIES_PER_TURN 256
#define SL_MSGS_PER_TURN 64

/* When a half tells the other one that it is alive though nothing changed, in seconds: well inside the
 * shortest timeout of its state. */
enum { SL_TELL_UDP_S = 10, SL_TELL_TCP_S = 600 };

struct sl_held {
	struct sl_txd txd;
	struct sl_addr next;
	uint8_t *data;
	uint64_t since_ns;
};

struct sl_route_cached {
	struct sl_addr dst;
	struct sl_addr next;
	uint64_t generation; /* 0: empty */
	uint32_t neigh;
	uint16_t port;
	uint16_t zero;
	uint64_t turn;    /* in which macs was looked up, + 1; 0: never */
	uint8_t macs[12]; /* of a frame to it: next hop's, the port's */
	uint32_t zero2;
};

/* Of an endpoint slot: whose it is, and how many source ports of fullnat are in use towards it. */
struct sl_use {
	uint32_t pairs;
	uint16_t incarnation; /* of conns[] and pairs; 0: nothing counted yet */
	uint16_t service;     /* slot; UINT16_MAX: not known yet */
};

/* What packets of known flows to an endpoint need (lane.h).  One line. */
enum sl_lane_kind {
	SL_LANE_PLAIN,  /* another MAC, nothing else */
	SL_LANE_IPIP4,  /* outer IPv4 header from a fixed source */
	SL_LANE_TUNNEL, /* another tunnel */
};

struct sl_lane {
	SL_ALIGNED uint64_t tag; /* generation and second; 0: empty */
	struct sl_neigh_watch neigh;
	uint64_t src_type;       /* bytes 6–13 of the frame */
	uint64_t admin, passive; /* state words */
	uint16_t slot;
	uint16_t incarnation;
	uint16_t len_max; /* of the frame, before a tunnel's header */
	uint8_t out_port;
	uint8_t kind;                  /* enum sl_lane_kind */
	uint32_t outer_src, outer_dst; /* IPIP4, wire order */
};
static_assert(sizeof(struct sl_lane) == 64, "one line");

/* TCP that ends here (streams.c). */
struct sl_streams {
	struct sl_relay *relay;
	const struct sl_view *view; /* of this turn */
	uint64_t held_ns;           /* turn in which held was asked for */
	unsigned held;
	uint64_t told_second; /* of the worker's clock, and */
	unsigned told;        /* refusals that were told of in it, or would have been */
};

/* The kernel's share (punt.c). */
struct sl_punt {
	uint64_t spent_ns[SL_VIEW_MAX_PORTS][SL_PUNT_CLASSES]; /* token buckets */
	uint64_t since_ns;                                     /* the first turn */
	unsigned room;                                         /* empty buffers that are out */
	bool put;                                              /* something in this turn */
};

struct sl_tx_stage {
	unsigned cnt;
	struct sl_txd d[SL_TX_STAGE];
};

struct sl_worker {
	struct sl_worker_conf conf;
	/* this turn */
	uint64_t now_ns;
	uint32_t now_q;
	uint32_t free_cnt;
	bool sweeping;                /* messages to ourselves go to later[] */
	bool table_moved;             /* an entry came or went since the burst was looked up */
	uint32_t pair_cnt;            /* fullnat flows in the table */
	struct sl_tcp *tcp;           /* NULL: no TCP ends here */
	struct sl_tls *tls;           /* NULL: no TLS */
	struct sl_requests *requests; /* NULL: no HTTP does */
	struct sl_rates *rates;       /* limits; NULL: none are looked at */
	struct sl_stats_rate *rate_stats;
	uint32_t rate_seen;             /* slot of a limit whose buckets were counted last */
	const struct sl_shadow *shadow; /* tried beside the view of this turn; NULL: nothing is */
	struct sl_stats_worker *stats;
	struct sl_stats_port *port_stats;
	struct sl_stats_listener *listener_stats;
	struct sl_stats_service *service_stats;
	struct sl_stats_endpoint *endpoint_stats;
	/* timers */
	uint64_t swept_ns;
	uint64_t held_look_ns;
	uint64_t neigh_tick_ns;
	uint64_t echo_ns;    /* token bucket: time up to which tokens are spent */
	uint64_t too_big_ns; /* likewise */
	/* the view whose endpoints the tallies are being compared with */
	uint64_t tally_generation;
	uint32_t tally_next;
	/* worker 0: next hops of the view it is pinning */
	uint64_t pin_generation;
	uint64_t pin_all_ns;        /* when all of a view were last begun with */
	uint32_t pin_next, pin_cnt; /* of view->fresh, or of all */
	bool pin_all;
	bool pin_again; /* views came while all were pinned: once more */
	unsigned held_cnt;
	unsigned later_cnt;
	/* fragments */
	struct sl_frag_table *frags; /* behind this struct, in the same memory */
	uint64_t frag_ns;
	struct sl_pkt *late[SL_BURST]; /* later fragments of this burst */
	unsigned late_cnt;
	bool frag_seen; /* this burst has some, or frees some */
	uint32_t bucket_cnt;
	struct sl_punt punt;
	struct sl_worker_port ports[SL_VIEW_MAX_PORTS];
	uint64_t
		mac[SL_VIEW_MAX_PORTS]; /* of the port, as a frame's first eight bytes are loaded */
	struct sl_pkt pkts[SL_BURST];
	void *free_bufs[SL_TX_STAGE];
	struct sl_tx_stage tx[SL_VIEW_MAX_PORTS];
	struct sl_route_cached routes[SL_ROUTES_CACHED];
	struct sl_lane lanes[SL_LANES]; /* by endpoint slot, modulo */
	struct sl_held held[SL_HELD_MAX];
	struct sl_msg later[SL_LATER_MAX];
	struct sl_streams streams;
	uint32_t cursors[SL_CHOOSE_CURSORS];
	uint32_t conns[SL_MAX_ENDPOINTS]; /* flows this worker has on the slot; forward halves */
	struct sl_use use[SL_MAX_ENDPOINTS];
};

static inline bool
sl_pkt_dry(const struct sl_pkt *p)
{
	return p->flags & SL_PKT_DRY;
}

/* ---- l4.c ---- */

/* sl_l4_burst takes n freshly received packets (n ≤ SL_BURST) from parse to transmit. */
void sl_l4_burst(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *pkts, unsigned n);

/* sl_l4_explain runs one made packet dry. */
void sl_l4_explain(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m);

/* sl_requests_explain answers about a request head: fills q->answer (all but head, worker, text_len), q->text and q->path, or
 * q->why.  view is not NULL. */
void sl_requests_explain(struct sl_worker *w, const struct sl_view *view,
			 struct sl_http_question *q);

/* sl_requests_choose chooses for a request as one that is forwarded is chosen for, and moves nothing; random: drawn for it.
 * UINT32_MAX: nobody, or no such subset.  sl_requests_try: requests are asked of w->shadow, too, or not any more. */
struct sl_choice sl_requests_choose(struct sl_worker *w, const struct sl_view *view,
				    const struct sl_service *svc, uint64_t subset, bool hashed,
				    uint64_t hash, uint64_t random);
void sl_requests_try(struct sl_worker *w);

/* sl_trial_flow: the first packet of a flow, or of a connection that ends here; asked of w->shadow, too, which is not NULL. */
void sl_trial_flow(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p);
/* What the HTTP engine asks of w->shadow (http.h, struct sl_http_env). */
struct sl_http_rule;
struct sl_http_head;
struct sl_http_outcome;
bool sl_trial_rule(void *worker, const struct sl_tuple *tuple, uint8_t drawn,
		   struct sl_http_rule *ret);
const struct sl_img_service *sl_trial_service(void *worker, uint32_t slot, uint16_t incarnation);
void sl_trial_compared(void *worker, const struct sl_tuple *client, const struct sl_http_head *head,
		       const struct sl_http_outcome *now, const struct sl_http_outcome *then);

/* sl_l4_drop settles a packet as dropped: counted, buffer freed. */
void sl_l4_drop(struct sl_worker *w, struct sl_pkt *p, enum sl_drop why);

/* For what is not an ordinary packet of a flow (fragments.c, errors.c):
 *
 * sl_l4_hand_off gives p to its owner.  sl_l4_hop_of_flow: the endpoint of an entry, or NULL: removed, replaced or
 * disabled; *ret_refusal: its state flags.  sl_l4_mode_of_flow: how packets of a forward half leave.  sl_l4_reply_out: how
 * a reply leaves, from the VIP to the client; p->tuple is the reply half's key.
 * sl_l4_choose_again: of a packet without flow, where the first packet of one would be sent, when that depends on nothing
 * but tuple and table (Maglev, source hash; dsr, ipip, gue); NULL: it does not, or nowhere. */
void sl_l4_hand_off(struct sl_worker *w, struct sl_pkt *p, unsigned owner);
struct sl_hop *sl_l4_hop_of_flow(struct sl_worker *w, const struct sl_view *view,
				 const struct sl_flow *f, unsigned *ret_refusal);
uint8_t sl_l4_mode_of_flow(const struct sl_flow *f, const struct sl_hop *hop);
struct sl_tuple sl_l4_reply_out(struct sl_worker *w, const struct sl_pkt *p,
				const struct sl_flow *f);
struct sl_hop *sl_l4_choose_again(struct sl_worker *w, const struct sl_view *view,
				  struct sl_pkt *p);
void sl_l4_count_forward(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p);

static inline unsigned
sl_l4_hops_left(const struct sl_pkt *p)
{
	return p->data[p->l3_off + ((p->flags & SL_PKT_V4) ? 8 : 7)];
}

/* ---- levels.c ---- */

/* sl_levels_look tells ctx of the set, shares included.  sl_levels_ctx: what this worker chooses by from the whole service;
 * dry: nothing is to move.  sl_levels_choose chooses by that.
 * sl_levels_again: nobody was chosen by ctx: measures its shares if that was before this turn, for there may be a panic by now.
 * Whether it did: choose again.
 * sl_levels_panic: whether an endpoint's level in the whole service is in panic: its health then moves no flow. */
struct sl_choose_ctx sl_levels_ctx(struct sl_worker *w, const struct sl_view *view,
				   const struct sl_service *svc, bool dry);
struct sl_choice sl_levels_choose(struct sl_worker *w, const struct sl_view *view,
				  const struct sl_service *svc, const struct sl_tuple *tuple,
				  bool dry);
bool sl_levels_again(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
		     const struct sl_choose_ctx *ctx);
void sl_levels_look(struct sl_worker *w, const struct sl_view *view, const struct sl_service *svc,
		    const struct sl_set *set, struct sl_choose_ctx *ctx);
bool sl_levels_panic(struct sl_worker *w, const struct sl_view *view, const struct sl_hop *hop);

/* sl_levels_explain says of a choice made by ctx what it was made from. */
struct sl_ctl_level sl_levels_explain(const struct sl_choose_ctx *ctx, unsigned level, bool panic);

/* ---- fragments.c ---- */

/* sl_fragments_triage: a fragment, from a port or another worker, for our MAC.  true: the first of its datagram, to be
 * looked up here; false: settled, or waiting in late[].  sl_fragments_late: after a burst with frag_seen.
 * sl_fragments_tick: each turn. */
bool sl_fragments_triage(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p);
void sl_fragments_late(struct sl_worker *w, const struct sl_view *view);
void sl_fragments_tick(struct sl_worker *w, const struct sl_view *view);
void sl_fragments_init(struct sl_worker *w, void *mem);
void sl_fragments_fini(struct sl_worker *w);

/* ---- errors.c ---- */

/* sl_errors_take settles an ICMP error; false: p is none. */
bool sl_errors_take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p);

/* ---- streams.c ---- */

/* sl_streams_start, sl_streams_end: stack and relay, when the configuration has them. */
void sl_streams_start(struct sl_worker *w);
void sl_streams_end(struct sl_worker *w);

/* sl_streams_begin: first of the turn.  sl_streams_run: timers, events and output, before the flush; what was done.
 * sl_streams_reset: every connection of the relay. */
void sl_streams_begin(struct sl_worker *w, const struct sl_view *view);
unsigned sl_streams_run(struct sl_worker *w);
void sl_streams_reset(struct sl_worker *w);
void sl_streams_gauges(struct sl_worker *w);

/* streams_rules.c: whether a new connection is allowed by the rules of its listener; the same as a question, answered as
 * sl_requests_explain does.  sl_streams_who: who the client's certificate says that it is. */
bool sl_streams_allowed(void *worker, const struct sl_stream *client, bool tls,
			const struct sl_tuple *tuple);
void sl_streams_explain_rules(struct sl_worker *w, const struct sl_view *view,
			      struct sl_http_question *q);
struct sl_rate_who;
void sl_streams_who(const struct sl_stream *client, struct sl_rate_who *who);

/* streams_told.c: a line of the access log for a connection that was refused: of the listener at a place in the view, by rflags, and
 * why ("shop/deny-admins", a limit's name); at most SL_STREAMS_TOLD a second, others are counted.  client: its stream, NULL: there is
 * none yet, or nothing is known of its certificate. */
#define SL_STREAMS_TOLD 100
void sl_streams_told(struct sl_worker *w, uint32_t listener, const struct sl_tuple *tuple,
		     const struct sl_stream *client, uint32_t rflags, const char *set,
		     const char *rule);

/* streams_limits.c: where limits are counted, mem of sl_rates_bytes(); whether a new connection is within the limits of its service; and
 * their housekeeping. */
void sl_streams_limits_start(struct sl_worker *w, void *mem);
bool sl_streams_passes(void *worker, const struct sl_stream *client, bool tls,
		       const struct sl_tuple *tuple, uint32_t service_slot,
		       uint16_t service_incarnation);
void sl_streams_limits_tick(struct sl_worker *w);

/* The place of a service or listener in the turn's view, + 1; 0: it is not there.  Accounts of connections to endpoints. */
uint32_t sl_streams_service(struct sl_worker *w, uint32_t slot);
uint32_t sl_streams_listener(struct sl_worker *w, uint32_t slot);
/* sl_streams_bandwidth: as struct sl_shape_env has it. */
const struct sl_img_bandwidth *sl_streams_bandwidth(void *worker, uint32_t service_slot,
						    uint16_t incarnation);
void sl_streams_began(void *worker, uint32_t endpoint_slot, uint16_t incarnation,
		      uint32_t service_slot);
void sl_streams_ended(void *worker, uint32_t endpoint_slot, uint16_t incarnation, bool failed);

/* sl_streams_burst takes packets of known streams out of a burst; how many are left, in order. */
unsigned sl_streams_burst(struct sl_worker *w, struct sl_pkt **pkts, const struct sl_tuple **tuples,
			  unsigned cnt);

/* sl_streams_ends_here: whether p, which is of no flow (p->listener is known), is for the stack rather than for an
 * endpoint: to a listener of mode TCP, or to an address of ours that is nobody's VIP.  sl_streams_take settles such a
 * packet.  sl_streams_explain: a dry one of a known stream; false: it is of none. */
bool sl_streams_ends_here(const struct sl_worker *w, const struct sl_view *view,
			  const struct sl_pkt *p);
void sl_streams_take(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p);
bool sl_streams_explain(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p);

/* ---- requests.c ---- */

struct sl_http_rule;
/* sl_requests_start, sl_requests_end, sl_requests_tick, sl_requests_reset: as those of streams.c, called by these, when the
 * configuration has HTTP.  sl_requests_rule: of a listener of mode HTTP; false: it is none. */
void sl_requests_start(struct sl_worker *w);
void sl_requests_end(struct sl_worker *w);
bool sl_requests_tick(struct sl_worker *w); /* whether requests wait for the next turn */
void sl_requests_reset(struct sl_worker *w);
bool sl_requests_rule(struct sl_worker *w, const struct sl_view *view, uint32_t listener,
		      struct sl_http_rule *ret);
enum sl_tcp_admit sl_requests_admit(struct sl_worker *w, const struct sl_tuple *tuple,
				    struct sl_tcp_accept *ret);

/* sl_streams_error settles an ICMP error (errors.c: read, and ours by its key) when it is about a segment of a stream. */
bool sl_streams_error(struct sl_worker *w, struct sl_pkt *p);

/* ---- nat.c ---- */

/* sl_nat_open makes the reply half of a new nat flow (here or by message) after its forward half `idx` is in
 * the table.  SL_DROP_NONE, or why it cannot be: the caller removes the forward half. */
enum sl_drop sl_nat_open(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p,
			 uint32_t idx);

/* sl_nat_tell_reply / sl_nat_tell_forward: after a packet of a half was seen, tell the other half when the state
 * changed or it was last told long ago. */
void sl_nat_tell_reply(struct sl_worker *w, const struct sl_view *view, const struct sl_pkt *p,
		       bool changed);
void sl_nat_tell_forward(struct sl_worker *w, const struct sl_pkt *p, bool changed);

/* sl_nat_adopt: a flow of an adopted table; the message that made its other half may be lost. */
void sl_nat_adopt(struct sl_flow *f);

/* sl_nat_gone tells the other half that f (with record x if it is a reply half) is expired or gone from our
 * table, unless a live half has taken its place. */
void sl_nat_gone(struct sl_worker *w, const struct sl_view *view, const struct sl_flow *f,
		 const struct sl_xlat *x);

/* sl_nat_evicted counts what an insert took away, and tells its other half. */
void sl_nat_evicted(struct sl_worker *w, const struct sl_view *view,
		    const struct sl_flow_evicted *gone);

/* sl_nat_message applies HALF, SEEN, END or REFUSE. */
void sl_nat_message(struct sl_worker *w, const struct sl_view *view, const struct sl_msg *m);

/* ---- fullnat.c ---- */

#define SL_FULLNAT_TRIES 256

/* sl_fullnat_open finds a source port towards hop's endpoint and puts the pair into the table (dry: finds only).
 * SL_DROP_NONE with the reply half's key, or why it cannot be. */
enum sl_drop sl_fullnat_open(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
			     const struct sl_hop *hop, struct sl_tuple *ret_reply);

/* ---- tally.c: flows on an endpoint (w->conns, gauges) ---- */

/* sl_tally_insert: a flow (of a pair: both halves at once) came into the table; sl_tally_end: f is gone from it.
 * sl_tally_adopt: f was found in an adopted table; sl_tally_view: of a new view a
 * few endpoints each turn: slots with other owners begin at 0, ports are counted for their services. */
void sl_tally_insert(struct sl_worker *w, uint32_t slot, uint16_t incarnation,
		     uint32_t service_slot, bool pair);
void sl_tally_end(struct sl_worker *w, const struct sl_flow *f);
/* … of a connection of the relay. */
void sl_tally_close(struct sl_worker *w, uint32_t slot, uint16_t incarnation);
void sl_tally_adopt(struct sl_worker *w, const struct sl_flow *f);
void sl_tally_view(struct sl_worker *w, const struct sl_view *view);

/* ---- tunnel.c ---- */

/* sl_tunnel_wrap puts the outer header of mode (SL_FORWARD_IPIP, SL_FORWARD_GUE) towards hop's endpoint. */
void sl_tunnel_wrap(const struct sl_view *view, struct sl_pkt *p, const struct sl_hop *hop,
		    uint8_t mode);

/* ---- send.c ---- */

/* How a packet gets through a port. */
enum sl_fit {
	SL_FIT_WHOLE,
	SL_FIT_PIECES, /* IPv4 without DF: cut */
	SL_FIT_NOT,    /* settled: dropped, the sender told */
};

/* sl_send_fit looks, before anything is rewritten, whether p fits the port; sl_send_fit_hop: whether it gets to hop's
 * endpoint (p->endpoint_slot), in a tunnel when mode says so.  sl_send_tunnel_mtu: what the tunnel's way takes of outer
 * packets: the port's MTU, or less when routers have told. */
enum sl_fit sl_send_fit(struct sl_worker *w, struct sl_pkt *p, unsigned port);
enum sl_fit sl_send_fit_hop(struct sl_worker *w, struct sl_pkt *p, const struct sl_hop *hop,
			    uint8_t mode);
unsigned sl_send_tunnel_mtu(const struct sl_worker *w, const struct sl_hop *hop, uint32_t slot);

/* sl_send_hop: out by an endpoint's hop, in a tunnel when mode says so.  sl_send_routed: out by c, from sl_send_route
 * (NULL: no route).  p fits as fit says.  Both decrement the TTL and set the verdict. */
void sl_send_hop(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
		 struct sl_hop *hop, uint8_t mode, enum sl_fit fit);
struct sl_route_cached *sl_send_route(struct sl_worker *w, const struct sl_view *view,
				      const struct sl_addr *dst);
void sl_send_routed(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p,
		    struct sl_route_cached *c, enum sl_fit fit);

/* sl_send_stage puts a finished frame on the way out of `port`; grown: as in struct sl_txd. */
void sl_send_stage(struct sl_worker *w, unsigned port, void *buf, unsigned len, unsigned grown);

/* sl_send_made sends a packet of the worker's own making out by c: d has buf, at (SL_TXD_AT), len and what the port is to do,
 * port is filled in here; frame: its first byte, complete but for the MACs. */
void sl_send_made(struct sl_worker *w, struct sl_route_cached *c, struct sl_txd d, uint8_t *frame);

/* sl_send_flush sends what is staged; sl_send_forwarded sends what other workers gave us for ports whose queue is
 * ours (the count); sl_send_held looks at waiting packets. */
void sl_send_flush(struct sl_worker *w);
unsigned sl_send_forwarded(struct sl_worker *w);
void sl_send_held(struct sl_worker *w);
void sl_send_free(struct sl_worker *w, void *buf);
void sl_send_free_flush(struct sl_worker *w);

/* sl_send_msg puts a message to worker `to` (not itself); false: its mailbox is full. */
bool sl_send_msg(struct sl_worker *w, unsigned to, struct sl_msg *m);

/* ---- local.c ---- */

/* sl_local_arp_nd: an ARP packet or ND message (worker 0 only).  sl_local_echo: ICMP to a local address. */
void sl_local_arp_nd(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p);
void sl_local_echo(struct sl_worker *w, const struct sl_view *view, struct sl_pkt *p);

/* sl_local_allowed: whether another ICMP answer may be sent now; a token bucket, kept as the time up to which its tokens
 * are spent. */
bool sl_local_allowed(const struct sl_worker *w, uint64_t *spent_ns);

/* sl_local_tick: worker 0's share of neighbour resolution: pins next hops of a new view, asks, ages. */
void sl_local_tick(struct sl_worker *w, const struct sl_view *view);

/* sl_local_want resolves (port, addr), through worker 0. */
void sl_local_want(struct sl_worker *w, unsigned port, const struct sl_addr *addr);

#endif
