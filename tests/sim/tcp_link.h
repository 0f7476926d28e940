/* tcp_link — virtual time, and links between hosts: loss, bursts of loss, duplication, reordering, corruption, delay,
 * jitter, rate, a queue that is full, an MTU that shrinks.  Everything follows from seeds.
 *
 *   struct tcp_world  the clock and what is to happen
 *   struct tcp_link   one direction; packets are IP packets, copied on sending
 */
#ifndef SL_TESTS_TCP_LINK_H
#define SL_TESTS_TCP_LINK_H

#include "sluice/base.h"

#define TCP_MS 1000000ull
#define TCP_S 1000000000ull

/* ---- chance ---- */

struct tcp_dice {
	uint64_t s;
};

uint64_t dice_next(struct tcp_dice *d);
/* [0, n), n ≥ 1; [a, b]; true once in… */
uint64_t dice_below(struct tcp_dice *d, uint64_t n);
uint64_t dice_range(struct tcp_dice *d, uint64_t a, uint64_t b);
bool dice_chance(struct tcp_dice *d, double p);

/* ---- bytes that are a function of seed and place ---- */

void bytes_fill(uint64_t seed, uint64_t off, uint8_t *to, size_t n);
/* bytes_same: how many of the first bytes are right; n: all. */
size_t bytes_same(uint64_t seed, uint64_t off, const uint8_t *bytes, size_t n);

/* ---- time ---- */

struct tcp_packet {
	unsigned len;
	bool damaged; /* the link changed a byte */
	uint8_t ip[]; /* room for more: link.c */
};

/* What happens: fn owns pkt (NULL: just time). */
typedef void tcp_event_fn(void *ctx, struct tcp_packet *pkt);

struct tcp_event {
	uint64_t at_ns, order;
	tcp_event_fn *fn;
	void *ctx;
	struct tcp_packet *pkt;
};

struct tcp_world {
	uint64_t now_ns, order;
	struct tcp_event *heap;
	unsigned cnt, room;
};

void world_init(struct tcp_world *w, uint64_t now_ns);
void world_fini(struct tcp_world *w);
void world_at(struct tcp_world *w, uint64_t at_ns, tcp_event_fn *fn, void *ctx,
	      struct tcp_packet *pkt);
/* world_step: the next event, in order of time, then of world_at.  false: there is none. */
bool world_step(struct tcp_world *w);

/* ---- a link ---- */

struct link_conf {
	double loss, dup, reorder, corrupt;
	double burst;      /* chance per packet that from it on everything is lost, */
	uint64_t burst_ns; /* for at most so long */
	uint64_t delay_ns;
	uint64_t jitter_ns;   /* of every packet, order kept */
	uint64_t reorder_ns;  /* at most this much later, for those that `reorder` hits */
	uint64_t bits_per_s;  /* 0: no limit */
	unsigned queue_bytes; /* with a rate: what waits beyond is lost; 0: no limit */
	unsigned mtu;         /* of the IP packet; longer ones go to `too_big` */
};

/* The router's answer: the head of the packet that did not fit. */
typedef void link_too_big_fn(void *ctx, const uint8_t *ip, unsigned len, unsigned mtu);

struct tcp_link {
	struct tcp_world *w;
	struct tcp_dice dice;
	struct link_conf conf;
	tcp_event_fn *arrive;
	void *ctx;
	link_too_big_fn *too_big; /* NULL: says nothing */
	void *too_big_ctx;
	uint64_t free_ns, last_ns; /* the wire is free; the last in order arrives */
	uint64_t burst_ns;         /* everything is lost until then */
	uint64_t sent, lost, dup, reordered, damaged, full, oversized;
};

void link_init(struct tcp_link *l, struct tcp_world *w, uint64_t seed, const struct link_conf *conf,
	       tcp_event_fn *arrive, void *ctx);
void link_send(struct tcp_link *l, const uint8_t *ip, unsigned len);

#endif
