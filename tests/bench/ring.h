/* ring — ports of memory, and behind them a client and a server made of frames.
 *
 *   client ⇄ port 0 ⇄ what is measured ⇄ port 1 ⇄ server
 *
 * A connection: connect, REQUEST bytes, ANSWER bytes and FIN, FIN.  Nothing is ever lost, so the peers need no memory of a
 * connection: the client's ISNs end in 0x00, and the last byte of an acknowledgement says how far it is; the server answers
 * with the numbers it is sent.  Only bulk has state.  With request and answer set, connections stay: REQUEST, ANSWER, REQUEST …  They run between turns, and their work is not measured; a port's
 * work is: taking a burst, and giving back what was sent (as drivers do when they are next called).
 */
#ifndef SL_TESTS_BENCH_RING_H
#define SL_TESTS_BENCH_RING_H

#include "dataplane/worker.h"
#include "tests/bench/conns.h"

#define RING_FRAMES 16384
#define RING_QUEUE 8192
#define RING_MSS 1448 /* with timestamps */
#define RING_BULK 16  /* connections */

/* Lengths are odd multiples of the cache line: frames do not fall on the same sets. */
struct ring_frame {
	struct ring_frame *next;
	uint32_t refs;
	uint8_t zero[52];
	uint8_t head[SL_HEADROOM];
	uint8_t room[1984];
};
static_assert(sizeof(struct ring_frame) == 2112, "");

struct ring_item {
	struct ring_frame *f;
	uint8_t *data;
	uint32_t len;
};

struct ring_queue {
	struct ring_item item[RING_QUEUE];
	unsigned head, tail;
};

struct ring {
	/* how: */
	bool chatty; /* the peers acknowledge as Linux does, else with what they send anyway */
	bool sum;    /* checksums are right in what they send, and not verified by the port */
	bool bulk;   /* the server's answer does not end */
	/* Kept connections: text is asked again and again, one segment each way; what comes to the client is counted as done with each
	 * segment that has bytes.  request.len 0: not. */
	struct {
		const char *text;
		unsigned len;
	} request, answer;
	uint8_t mac[2][6]; /* of what is measured, by port */
	uint8_t vip[4];
	sl_be16 vport;
	/* what came of it */
	uint64_t begun, done, reset, bytes; /* bytes: the client received */
	uint64_t in, out;                   /* frames, to and from what is measured */
	/* inside */
	struct ring_frame *frames, *free;
	unsigned used;
	struct ring_queue rx[2], tx[2], sent;
	uint32_t now_ms;
	struct {
		bool open;
		uint32_t una, nxt, wnd; /* the server's */
		uint32_t ack, ecr;
		sl_be16 sport, dport;
		uint8_t saddr[4], daddr[4];
	} stream[RING_BULK];
	unsigned streams;
	uint8_t odd[1 << 16]; /* by the client's port: one segment is not acknowledged yet */
	struct sl_io io;
};

/* ring_create: big, mapped; fields of `how` are the caller's to set before anything moves. */
struct ring *ring_create(void);

/* ring_begin has the client open n more connections.  ring_peers lets both ends take what was sent and answer; connections
 * that end are followed by others while more is true. */
void ring_begin(struct ring *r, unsigned n);
void ring_peers(struct ring *r, uint64_t now_ns, bool more);

/* A buffer for env of the stack alone; as io of a worker. */
void *ring_alloc(void *ctx, uint8_t **ret_data);
void ring_drop(struct ring *r, struct ring_frame *f);

/* The bytes from `data` in f leave by port; takes one holder over. */
void ring_put(struct ring *r, unsigned port, struct ring_frame *f, uint8_t *data, unsigned len);

#endif
