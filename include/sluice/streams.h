/* streams — the region in which workers keep their TCP connections, as another process may read it.
 *
 * A memfd made by the dataplane at boot and passed to the daemon open for reading only.  It does not outlive the
 * dataplane: streams end with it.
 *
 *   head (one page) · worker[0] · worker[1] · …      each worker_bytes long, page aligned
 *   a worker's part: capacity places of `stride` bytes; a place begins with struct sl_stream_row, what follows is the
 *   worker's own (dataplane/tcp/tcp_priv.h) and means nothing to a reader
 *
 * Reader: head checked once (sl_streams_check).  A place is free when row.state is SL_STREAM_FREE.  Rows change under
 * the reader: it copies one, and takes it only if state and tuple are the same before and after; each number is whole in
 * itself and of about the same time as the others.
 */
#ifndef SLUICE_STREAMS_H
#define SLUICE_STREAMS_H

#include "sluice/addr.h"

#define SL_STREAMS_MAGIC 0x52545353u /* "SSTR" */
#define SL_STREAMS_VERSION 1
#define SL_STREAMS_MAX_WORKERS 64
#define SL_STREAMS_EPOCH_MS 3600000u /* the workers' time 0 is so long before the machine's */

/* RFC 9293, 3.3.2; X(NAME, word).  TIME-WAIT is kept apart and has no row. */
#define SL_STREAM_STATES(X)                                                                        \
	X(FREE, "free")                                                                            \
	X(SYN_SENT, "syn-sent")                                                                    \
	X(SYN_RECEIVED, "syn-received")                                                            \
	X(ESTABLISHED, "established")                                                              \
	X(FIN_WAIT_1, "fin-wait-1")                                                                \
	X(FIN_WAIT_2, "fin-wait-2")                                                                \
	X(CLOSE_WAIT, "close-wait")                                                                \
	X(CLOSING, "closing")                                                                      \
	X(LAST_ACK, "last-ack")

enum sl_stream_state {
#define X(NAME, word) SL_STREAM_##NAME,
	SL_STREAM_STATES(X)
#undef X
		SL_STREAM_STATE_CNT
};

enum sl_stream_cc { SL_CC_CUBIC = 0, SL_CC_RENO = 1 };

/* row flags */
enum {
	SL_STREAM_OUT = 1 << 0,  /* opened by the gateway, towards an endpoint */
	SL_STREAM_SACK = 1 << 1, /* agreed on */
	SL_STREAM_TS = 1 << 2,
	SL_STREAM_WSCALE = 1 << 3,
	SL_STREAM_RECOVERY = 1 << 4, /* in fast recovery now */
	SL_STREAM_BACKOFF = 1 << 5, /* the last thing that happened was a retransmission time-out */
};

struct sl_stream_row {
	/* line 0: written when the stream opens, and state */
	SL_ALIGNED struct sl_tuple tuple; /* as its packets arrive: src the peer, dst ours */
	uint32_t listener_slot;           /* UINT32_MAX: none; also of the stream to the endpoint */
	uint32_t service_slot;            /* likewise, as the next one */
	uint32_t endpoint_slot;
	uint32_t
		partner; /* place of the stream it is coupled with, in the same worker; UINT32_MAX: none */
	uint32_t
		opened_ms; /* low bits of the worker clock: CLOCK_MONOTONIC + SL_STREAMS_EPOCH_MS */
	uint16_t incarnation; /* of the endpoint */
	uint8_t flags;        /* SL_STREAM_* */
	uint8_t state; /* enum sl_stream_state; stored last when it opens, first when it ends */
	/* line 1: written as it goes */
	uint32_t snd_una; /* RFC 9293 names: oldest byte not acknowledged, */
	uint32_t snd_nxt; /* next to be sent, */
	uint32_t snd_end; /* end of what was written: queued = snd_end - snd_una */
	uint32_t snd_wnd; /* bytes the peer takes */
	uint32_t cwnd;    /* bytes */
	uint32_t srtt_us; /* 0: not measured yet */
	uint32_t rttvar_us;
	uint32_t rcv_wnd;   /* bytes last offered */
	uint32_t rcv_queue; /* bytes in order, not consumed */
	uint32_t ooo;       /* bytes out of order */
	uint32_t retrans;   /* segments retransmitted */
	uint16_t mss;       /* payload of a full segment we send, options taken off */
	uint8_t cc;         /* enum sl_stream_cc */
	uint8_t zero;
	uint64_t bytes_in;  /* in order, since it opened */
	uint64_t bytes_out; /* acknowledged */
};
static_assert(sizeof(struct sl_stream_row) == 128, "two lines");
static_assert(offsetof(struct sl_stream_row, snd_una) == 64, "");

struct sl_streams_head {
	uint32_t magic; /* stored last by the creator */
	uint32_t version;
	uint64_t boot_id;
	uint64_t bytes;        /* of the region */
	uint64_t worker_bytes; /* a multiple of 4096 */
	uint32_t worker_off;   /* of worker[0]: 4096 */
	uint32_t worker_cnt;   /* [1, SL_STREAMS_MAX_WORKERS] */
	uint32_t capacity;     /* places of each worker */
	uint32_t stride; /* bytes of a place, a multiple of 64, ≥ sizeof(struct sl_stream_row) */
	uint64_t zero[2];
};
static_assert(sizeof(struct sl_streams_head) == 64, "one line");

/* sl_streams_bytes: size of a region; 0 where a range is not kept (capacity [1, 2^22], stride as above).
 * sl_streams_init lays it out in zeroed memory of that size and stores the magic last.
 * sl_streams_check: whether a mapped region of `bytes` may be walked: 0 or -EINVAL. */
size_t sl_streams_bytes(unsigned worker_cnt, uint32_t capacity, uint32_t stride);
void sl_streams_init(void *mem, unsigned worker_cnt, uint32_t capacity, uint32_t stride,
		     uint64_t boot_id);
int sl_streams_check(const void *mem, size_t bytes);

/* sl_streams_worker: the places of a worker. */
static inline void *
sl_streams_worker(void *mem, unsigned worker)
{
	struct sl_streams_head *h = mem;
	return (char *)mem + h->worker_off + worker * h->worker_bytes;
}

/* The word, or "unknown". */
const char *sl_stream_state_name(unsigned state);
const char *sl_stream_cc_name(unsigned cc);

#endif
