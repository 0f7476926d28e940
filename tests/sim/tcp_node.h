/* tcp_node — one of our stacks with a worker around it, in virtual time: packet buffers with holders, links, turns.
 *
 * Buffers come from the heap one by one, so that a sanitizer sees every byte beyond.  A buffer that was sent stays held for
 * a while, as in a port's queue, and must not change meanwhile.  What goes wrong is said in `wrong`, once.
 */
#ifndef SL_TESTS_TCP_NODE_H
#define SL_TESTS_TCP_NODE_H

#include "dataplane/tcp/tcp.h"
#include "tests/sim/tcp_link.h"
#include "tests/sim/tcp_user.h"

struct node_conf {
	uint64_t seed;
	uint64_t clock_ns; /* of the worker clock when virtual time is 0 */
	unsigned worker, workers;
	unsigned mtu, tso_max; /* tso_max 0: no TSO */
	bool csum_offload;
	unsigned buffers; /* in the pool */
	double no_buffer; /* chance that there is none all the same */
	uint64_t turn_ns; /* packets wait up to so long for the next turn */
	unsigned hold;    /* sent buffers held, [1, 64] */
	bool check;       /* sl_tcp_check after each turn */
	bool share;       /* buffers can be shared */
	uint32_t half_open_max, seg_cnt, block_cnt, pinned_max, rcv_max, snd_max, timewait_ms;
	uint16_t keepalive_s;
	uint8_t cc, nodelay;
	uint16_t listen_port; /* 0: nobody listens */
};

/* What passes at a node: out: sent; else handed to the stack.  damaged: the link changed it. */
typedef void node_tap_fn(void *ctx, bool out, const uint8_t *ip, unsigned len, bool damaged);

struct node_icmp {
	struct sl_tuple tuple;
	uint32_t seq;
	unsigned mtu;
};

/* A user on one of our streams. */
struct node_user {
	struct tcp_node *node;
	struct tcp_user user;
	struct sl_stream *s; /* NULL: none, or not ours any more */
	bool closed;
	enum sl_stream_end why;
	uint8_t ways; /* of reading and writing, bits */
	uint64_t wake_ns;
};

#define NODE_USERS 8

struct tcp_node {
	struct tcp_world *w;
	struct node_conf conf;
	struct tcp_dice dice;
	struct tcp_link *out;
	node_tap_fn *tap;
	void *tap_ctx;
	struct sl_addr local;
	const struct sl_rss *rss;
	struct sl_tcp *tcp;
	void *mem, *rows;
	struct sl_stats_tcp *stats;
	struct node_user *user[NODE_USERS]; /* accepted ones first come, first served */
	unsigned user_cnt, accepted;
	struct tcp_packet *rx[64];
	unsigned rx_cnt, rx_full;
	struct node_icmp icmp[8];
	unsigned icmp_cnt;
	uint64_t wake_ns;
	bool in_turn;
	/* buffers */
	unsigned held, held_max;
	struct node_held {
		struct node_buf *buf;
		const uint8_t *l3;
		unsigned len;
		uint64_t sum;
	} sent[64];
	unsigned sent_at;
	unsigned refused[SL_DROP_CNT]; /* by parse, of packets not damaged */
	char wrong[200];
};

void node_init(struct tcp_node *n, struct tcp_world *w, const struct node_conf *conf,
	       const char *local);
/* node_fini looks whether everything was given back (*wrong*), and frees. */
void node_fini(struct tcp_node *n);

void node_arrive(void *node, struct tcp_packet *pkt); /* a tcp_event_fn */
/* node_too_big: a router's word (a link_too_big_fn); it takes effect with the next turn. */
void node_too_big(void *node, const uint8_t *ip, unsigned len, unsigned mtu);

/* node_user_init: a user that waits for the next accepted stream (or for node_connect). */
void node_user_init(struct node_user *nu, struct tcp_node *n, const struct user_conf *conf);
/* node_connect opens a stream for nu, at this moment; false: refused (nu->why). */
bool node_connect(struct node_user *nu, const char *remote, uint16_t port);
/* node_isn_clock: what to set clock_ns to, so that a stream for this tuple (as packets arrive) opened at virtual time
 * at_ns has the ISN wanted. */
uint64_t node_isn_clock(const struct node_conf *conf, const char *local,
			const struct sl_tuple *tuple, uint64_t at_ns, uint32_t isn);
/* node_next_port: the port that node_connect would choose. */
uint16_t node_next_port(const struct node_conf *conf, const char *local, const char *remote,
			uint16_t port);

/* node_wake: a turn at that time, or before. */
void node_wake(struct tcp_node *n, uint64_t at_ns);

#endif
