/* tcp — a worker's TCP stack, as its worker sees it from below.
 *
 *   worker                                   stack
 *     SYN or segment ── sl_tcp_find ──▶ hit, or a listener takes SYNs ── sl_tcp_input ──▶ state changes, bytes queued
 *     ICMP too big, unreachable ─────── sl_tcp_icmp
 *     end of turn ───────────────────── sl_tcp_run ──▶ timers → events (stream.h) → output ──▶ env.send
 *
 * Pure: packets, time and seed in, packets out.  RFC 9293 with 7323, 2018, 6675, 8985, 5681, 9438, 6298, 5961, 6528, 6191,
 * 4987, 1191, 8201, 6691.
 * Owner:   one per worker, in the caller's memory.  Threads: [worker] after init [main].
 * Limits:  streams, TIME-WAIT entries, segments, memory of payload and pinned packet buffers are all given at init; past
 *          them it refuses (new streams), drops (data out of order, then in order) and counts.
 */
#ifndef SL_DATAPLANE_TCP_TCP_H
#define SL_DATAPLANE_TCP_TCP_H

#include "dataplane/rss.h"
#include "dataplane/tcp/stream.h"
#include "lb/hash.h"
#include "sluice/pkt.h"
#include "sluice/stats.h"

/* A listener's answer to a SYN. */
enum sl_tcp_admit {
	SL_ADMIT_NO,     /* nothing listens there: RST */
	SL_ADMIT_REFUSE, /* a limit: RST, counted as syn_refused */
	SL_ADMIT_YES,
};

struct sl_tcp_accept {
	const struct sl_stream_ops *ops;
	void *user;             /* of the stream; changed by sl_stream_attach in `opened` */
	uint32_t listener_slot; /* label */
	uint32_t service_slot;
	uint16_t keepalive_s; /* 0: none */
	uint8_t cc;           /* enum sl_stream_cc */
	uint8_t nodelay;
};

/* What a segment may leave to the port. */
enum {
	SL_OFFLOAD_CSUM =
		1
		<< 0, /* the TCP checksum field holds the pseudo header's sum: the port finishes it */
	SL_OFFLOAD_TSO = 1 << 1, /* longer than the MTU: the port cuts it into mss pieces */
};

struct sl_tcp_way {
	uint16_t mtu;     /* of the IP packet */
	uint16_t tso_max; /* bytes of payload of one packet with SL_OFFLOAD_TSO; 0: no TSO */
	uint8_t offload;  /* SL_OFFLOAD_* that the port does */
	uint8_t known;    /* 0: no route */
};

/* What the stack needs of the worker.  Called with ctx, and only from input, run and what stream.h offers. */
struct sl_tcp_env {
	void *ctx;
	/* A packet buffer with SL_HEADROOM bytes before *ret_data, room for a frame of the largest MTU; NULL: none.
	 * share: one more holder (NULL: buffers cannot be shared); free drops one.  refs: holders.  held: how many of
	 * the pool are in use, in 1/256 of it, at most 256. */
	void *(*alloc)(void *ctx, uint8_t **ret_data);
	void (*free)(void *ctx, void *buf);
	void (*share)(void *ctx, void *buf);
	unsigned (*refs)(void *ctx, void *buf);
	unsigned (*held)(void *ctx);
	/* way: how packets to dst leave.  send: an IP packet, complete but for the Ethernet header, for which the 14 bytes
	 * before l3 are free; takes over one holder of buf.  offload: SL_OFFLOAD_*; mss: of TSO.  A packet for TSO lies in
	 * one buffer, too: way.tso_max is no more than that holds. */
	struct sl_tcp_way (*way)(void *ctx, const struct sl_addr *dst);
	void (*send)(void *ctx, const struct sl_addr *dst, void *buf, uint8_t *l3, unsigned len,
		     unsigned offload, unsigned mss);
	/* admit: a SYN p (parsed) for no stream; fills *ret_accept on YES.  Also asked when a SYN cookie comes back. */
	enum sl_tcp_admit (*admit)(void *ctx, const struct sl_pkt *p,
				   struct sl_tcp_accept *ret_accept);
};

struct sl_tcp_conf {
	unsigned worker;          /* whose it is, */
	const struct sl_rss *rss; /* source ports are chosen so that replies arrive at it */
	uint64_t seed;            /* of secrets: ISNs, cookies, hash, ports */
	uint32_t capacity;        /* streams, [16, 2^22] */
	uint32_t timewait_cnt;    /* TIME-WAIT entries, [16, 2^22] */
	uint32_t half_open_max; /* streams in SYN-RECEIVED before SYN cookies; 0: cookies always */
	uint32_t seg_cnt;       /* chunks of payload queued anywhere, [64, 2^24] */
	uint32_t block_cnt;     /* blocks of SL_BLOCK bytes for copied payload, [16, 2^22] */
	uint32_t pinned_max;    /* packet buffers kept with payload in them; 0: all is copied */
	uint32_t rcv_max;     /* bytes of receive window, [4096, 2^24]; begins at 64 KiB or this */
	uint32_t snd_max;     /* bytes written and not acknowledged, likewise */
	uint32_t timewait_ms; /* 2 MSL; 60,000 */
	struct sl_tcp_env env;
	struct sl_stats_tcp *stats;
	void *streams; /* [capacity × sl_tcp_stride()], zeroed, line-aligned: the worker's part of the region */
	void *context; /* sl_tcp_context */
};

/* sl_tcp_bytes: memory for a stack; 0 where a range is not kept.  sl_tcp_init in zeroed, line-aligned memory of that size.
 * sl_tcp_fini gives all buffers back; nothing is sent or called. */
size_t sl_tcp_stride(void);
size_t sl_tcp_bytes(const struct sl_tcp_conf *conf);
struct sl_tcp *sl_tcp_init(void *mem, const struct sl_tcp_conf *conf);
void sl_tcp_fini(struct sl_tcp *t);

/* sl_tcp_begin: the turn's time, before anything else of the turn.  ns, monotonic. */
void sl_tcp_begin(struct sl_tcp *t, uint64_t now_ns);

/* Look-up in steps, so that a burst hides the misses: prefetch for all, then prefetch_entry, then find.  sl_tcp_find: a handle
 * for sl_tcp_input, SL_TCP_NONE: neither stream nor TIME-WAIT. */
#define SL_TCP_NONE UINT32_MAX
uint64_t sl_tcp_hash(const struct sl_tcp *t, const struct sl_tuple *tuple);
void sl_tcp_prefetch(const struct sl_tcp *t, uint64_t hash);
void sl_tcp_prefetch_entry(const struct sl_tcp *t, uint64_t hash);
uint32_t sl_tcp_find(const struct sl_tcp *t, uint64_t hash, const struct sl_tuple *tuple);
bool sl_tcp_empty(
	const struct sl_tcp *t); /* no stream, no TIME-WAIT, no cookie out: find finds nothing */

/* sl_tcp_input takes a parsed TCP segment for us: found (idx), or for a listener or one of our addresses (SL_TCP_NONE).  The
 * checksum is verified here unless the port said it is right (p->csum_ok).  Takes p->buf over. */
void sl_tcp_input(struct sl_tcp *t, struct sl_pkt *p, uint64_t hash, uint32_t idx);

/* sl_tcp_icmp: an error about a segment of ours (tuple: as packets of the stream arrive; seq: of the quoted segment).  too_big:
 * the MTU told (0: not told, RFC 1191 plateaus); else unreachable, hard or soft (RFC 5927: never fatal when established). */
void sl_tcp_icmp(struct sl_tcp *t, const struct sl_tuple *tuple, uint32_t seq, bool too_big,
		 unsigned mtu, bool hard);

/* sl_tcp_run: timers that are due, events, output.  What was done: 0: nothing. */
unsigned sl_tcp_run(struct sl_tcp *t);

/* sl_tcp_each: every stream, for housekeeping; from place `from` on, at most n places; where to go on (0: around). */
typedef void sl_tcp_each_fn(void *ctx, struct sl_stream *s);
uint32_t sl_tcp_each(struct sl_tcp *t, uint32_t from, uint32_t n, sl_tcp_each_fn *fn, void *ctx);

/* sl_tcp_check looks whether everything agrees (lists, sums, memory, timers): NULL, or a sentence.  For tests and fuzzers;
 * walks everything. */
const char *sl_tcp_check(const struct sl_tcp *t);

/* sl_tcp_memory: bytes in use, of what init was given. */
struct sl_tcp_usage {
	uint32_t streams, half_open, timewait;
	uint32_t segs, blocks, pinned;
};
void sl_tcp_usage(const struct sl_tcp *t, struct sl_tcp_usage *ret_usage);

#endif
