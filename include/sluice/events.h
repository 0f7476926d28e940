/* events — what workers tell the daemon in passing: access-log records (design.md 2.9).
 *
 * A memfd made by the dataplane at boot, sealed against resizing, passed to the daemon open for reading and writing (it
 * writes the tails).  One byte ring per worker: single producer (the worker), single consumer (the daemon).
 *
 *   head (one page) · worker[0] · worker[1] · …       each worker_bytes long, page aligned
 *   a worker's part:  line 0 (page 0): head counter, lost counter     written by the worker
 *                     page 1:          tail counter                    written by the daemon
 *                     page 2 …:        data, `size` bytes, a power of two
 *
 * Records are 8-byte aligned and never wrap: a PAD record fills the rest of the ring before its end.  When there is no room
 * the record is counted as lost and traffic goes on; so it is when no daemon reads.
 * Trust: each side takes the other's numbers for anything.  The worker: a tail that is not in [head - size, head] is taken as
 * a full ring.  The daemon: a head likewise as an empty one; records are copied before they are looked at, and one that is
 * not well-formed ends the reading there: the tail is set to the head.
 * Order: the producer's store-release of head pairs with the consumer's load-acquire; the consumer's release of tail with the
 * producer's acquire.
 */
#ifndef SLUICE_EVENTS_H
#define SLUICE_EVENTS_H

#include "sluice/addr.h"

#define SL_EVENTS_MAGIC 0x54564553u /* "SEVT" */
#define SL_EVENTS_VERSION 3
#define SL_EVENTS_MAX_WORKERS 64

struct sl_events_head {
	uint32_t magic; /* stored last by the creator */
	uint32_t version;
	uint64_t boot_id;
	uint64_t bytes;        /* of the region */
	uint64_t worker_bytes; /* 8192 + size */
	uint32_t worker_off;   /* 4096 */
	uint32_t worker_cnt;   /* [1, SL_EVENTS_MAX_WORKERS] */
	uint32_t size;         /* of each ring's data: a power of two in [4096, 2^28] */
	uint32_t zero;
};

struct sl_events_worker {
	SL_ALIGNED _Atomic uint64_t head; /* bytes ever written */
	_Atomic uint64_t lost;            /* records */
	uint8_t pad[4096 - 16];
	_Atomic uint64_t tail; /* bytes ever read */
	uint8_t pad2[4096 - 8];
	uint8_t data[];
};
static_assert(offsetof(struct sl_events_worker, tail) == 4096, "");
static_assert(offsetof(struct sl_events_worker, data) == 8192, "");

enum sl_event_type { SL_EVENT_PAD = 1, SL_EVENT_ACCESS = 2 };

struct sl_event {
	uint32_t bytes; /* of the record, a multiple of 8, ≥ sizeof(struct sl_event) */
	uint16_t type;  /* enum sl_event_type */
	uint16_t zero;
};

/* Response flags, as Envoy's; X(BIT, sentence).  Several may be set. */
#define SL_RESPONSE_FLAGS(X)                                                                       \
	X(UH, "no endpoint takes requests")                                                        \
	X(UF, "could not connect to an endpoint")                                                  \
	X(UO, "a breaker is open")                                                                 \
	X(NR, "no route")                                                                          \
	X(URX, "no retry left, or none allowed")                                                   \
	X(UT, "no answer in time")                                                                 \
	X(UC, "the endpoint ended the connection")                                                 \
	X(UPE, "the endpoint's answer is not HTTP")                                                \
	X(DC, "the client went away")                                                              \
	X(DPE, "the client's request is not HTTP")                                                 \
	X(SI, "the request stood still too long")                                                  \
	X(LR, "ended by the gateway: operator, restart")                                           \
	X(OM, "no memory")                                                                         \
	X(NC, "the service is not in the table")                                                   \
	X(DT, "request head or body came too slowly")                                              \
	X(RL, "rate limited")                                                                      \
	X(UAEX, "denied")                                                                          \
	X(FI, "fault injected")                                                                    \
	X(DI, "delay injected")

enum sl_rflag_bit {
#define X(BIT, text) SL_RF_BIT_##BIT,
	SL_RESPONSE_FLAGS(X)
#undef X
		SL_RF_CNT
};
enum sl_rflag {
#define X(BIT, text) SL_RF_##BIT = 1 << SL_RF_BIT_##BIT,
	SL_RESPONSE_FLAGS(X)
#undef X
};
const char *sl_rflag_name(unsigned bit); /* "UH" */
const char *sl_rflag_text(unsigned bit);

/* One request.  Slots as in the table, UINT32_MAX: none.  Strings follow in the order of the lengths, cut to the maxima. */
#define SL_ACCESS_STR_MAX 1024 /* bytes of any one string, */
#define SL_ACCESS_WHY_MAX 128  /* and of `why` */
#define SL_ACCESS_TCP 1
struct sl_event_access {
	struct sl_event head;
	uint64_t start_ns;   /* first byte of the request: CLOCK_MONOTONIC of the machine */
	uint64_t generation; /* that the request went by; of a refused head: that it was read by */
	uint64_t bytes_in;   /* of the request's body, as forwarded */
	uint64_t bytes_out;  /* of the answer's body, as sent to the client */
	uint32_t
		first_us; /* first byte of the request → first byte of the answer to the client; UINT32_MAX: none */
	uint32_t last_us; /* → last byte */
	uint32_t
		try_us; /* last try: sent → first byte of the endpoint's answer; UINT32_MAX: none */
	uint32_t flags;                  /* SL_RF_* */
	struct sl_addr client, endpoint; /* endpoint: all 0: none */
	sl_be16 client_port, endpoint_port;
	uint16_t status;          /* to the client; 0: none was sent */
	uint16_t upstream_status; /* of the endpoint; 0: none */
	uint32_t listener_slot, table_slot, vhost_slot, route_slot, service_slot, endpoint_slot;
	uint16_t endpoint_incarnation;
	uint8_t version; /* 10, 11; SL_ACCESS_TCP: no request, but a connection of mode tcp that was refused */
	uint8_t tries; /* 1: no retry; 0: not sent */
	uint8_t worker;
	uint8_t bad; /* enum sl_http_bad (l7/http1.h) of a refused request; else 0 */
	uint16_t method_len, host_len, path_len, agent_len, id_len;
	uint16_t referer_len;
	uint16_t sni_len; /* the server name that the client asked for */
	uint16_t
		identity_len; /* of its verified certificate: the first URI SAN, else the first DNS SAN */
	uint8_t tls_version; /* 0: plaintext; SL_TLS_1_2, SL_TLS_1_3 */
	uint8_t tls_suite;   /* enum sl_suite (l7/tls/record.h) */
	uint8_t tls_resumed;
	uint8_t upstream_tls; /* 1: the last try was by TLS */
	uint8_t zero[4];
	uint16_t why_len; /* which rule, limit, key or fault decided: "shop/deny-admins" */
	/* bytes: method, host, path with query, user-agent, x-request-id, referer, sni, identity, why; padded with 0, at least
	 * to 8 */
};
static_assert(sizeof(struct sl_event_access) % 8 == 0, "");

/* sl_events_bytes: size of a region; 0 where a range is not kept.  sl_events_init lays it out in zeroed memory of that size, magic
 * last.  sl_events_check: whether a mapped region of `bytes` may be walked: 0 or -EINVAL. */
size_t sl_events_bytes(unsigned worker_cnt, uint32_t size);
void sl_events_init(void *mem, unsigned worker_cnt, uint32_t size, uint64_t boot_id);
int sl_events_check(const void *mem, size_t bytes);

static inline struct sl_events_worker *
sl_events_worker(void *mem, unsigned worker)
{
	struct sl_events_head *h = mem;
	return (struct sl_events_worker *)((char *)mem + h->worker_off + worker * h->worker_bytes);
}

/* [worker] sl_events_put: room for a record of `bytes` (a multiple of 8, at most size / 4), or NULL: lost, counted.  The record
 * is there once sl_events_commit was called; nothing is put in between. */
void *sl_events_put(struct sl_events_worker *w, uint32_t size, uint32_t bytes);
void sl_events_commit(struct sl_events_worker *w, uint32_t bytes);

/* [daemon] sl_events_take copies the next record of up to max bytes into buf (8-aligned) and moves the tail: its bytes; 0: none.
 * PADs are passed over.  What is not a record: everything is passed over, -EBADMSG once. */
long sl_events_take(struct sl_events_worker *w, uint32_t size, void *buf, size_t max);

#endif
