/* stream_query — which streams somebody asks about, and the walk through the region (sluice/streams.h) that finds them.
 *
 * Walk:    verb_streams.c makes a filter of a request → pool thread → sl_stream_query_run → verb_streams.c gives names.
 * Threads: [any]. Pure over the region, which the dataplane's workers write meanwhile: a row is copied, and taken only when
 *          its state and tuple are the same before and after.
 * Trust:   none in the region.  Its head is copied once and judged as copied; a row may say anything.
 * Limits:  at most `limit` records are kept.  Without an order the walk ends with the first match beyond the limit; with
 *          one it goes through all and keeps the first of the order.
 * Not here: names.  Listeners and services are matched by slot, endpoints by slot and incarnation.
 */
#ifndef SL_MGMT_STREAM_QUERY_H
#define SL_MGMT_STREAM_QUERY_H

#include "sluice/streams.h"

#include <stdatomic.h>

enum sl_stream_side { SL_SIDE_ANY = 0, SL_SIDE_CLIENT, SL_SIDE_ENDPOINT };

/* Orders, the most first; X(NAME, word). */
#define SL_STREAM_ORDERS(X)                                                                        \
	X(NONE, "none")                                                                            \
	X(AGE, "age")                                                                              \
	X(RTT, "rtt")                                                                              \
	X(CWND, "cwnd")                                                                            \
	X(FLIGHT, "flight")                                                                        \
	X(QUEUE, "queue")                                                                          \
	X(RCVQ, "rcvq")                                                                            \
	X(OOO, "ooo")                                                                              \
	X(RETRANS, "retrans")                                                                      \
	X(IN, "in")                                                                                \
	X(OUT, "out")

enum sl_stream_order {
#define X(NAME, word) SL_STREAM_BY_##NAME,
	SL_STREAM_ORDERS(X)
#undef X
};

struct sl_stream_record {
	struct sl_stream_row row;
	uint32_t place;
	uint32_t worker;
};

/* What is derived of a row; a difference that its fields, each of about the same time, cannot make is 0. */
struct sl_stream_sums {
	uint32_t age_ms;
	uint32_t queued;    /* written and not acknowledged */
	uint32_t in_flight; /* of them sent */
};
struct sl_stream_sums sl_stream_sums(const struct sl_stream_row *r, uint32_t now_ms);

/* A zeroed filter takes every stream. */
struct sl_stream_filter {
	struct sl_addr addr;  /* prefix that holds the peer's or our address */
	uint8_t plen, family; /* family 0: any, then the prefix is not looked at */
	bool with_port;
	uint16_t port;                      /* of either end, host order */
	uint16_t states;                    /* bit per enum sl_stream_state; 0: any */
	uint8_t side;                       /* enum sl_stream_side */
	uint32_t worker, listener, service; /* + 1; 0: any */
	uint32_t retrans;                   /* at least, as queue */
	uint32_t queue;                     /* bytes written and not acknowledged */
	const uint32_t *
		slots; /* [SL_MAX_ENDPOINTS]: the incarnation that is meant, 0: not this slot.  NULL: any */
};

bool sl_stream_filter_takes(const struct sl_stream_filter *f, const struct sl_stream_record *r);

/* The state of the word, SL_STREAM_FREE: none.  The order, -1: none. */
unsigned sl_stream_state_find(const char *name);
int sl_stream_order_find(const char *name);

struct sl_stream_query {
	/* in */
	struct sl_stream_filter filter;
	enum sl_stream_order order;
	uint32_t limit;  /* 0: count only */
	bool pairs;      /* the partner of each, too */
	uint32_t now_ms; /* low bits of CLOCK_MONOTONIC */
	/* out */
	struct sl_stream_record *found; /* [found_cnt], the caller frees both */
	struct sl_stream_record
		*partner; /* pairs: of found[i]; state FREE: it has none, or it is gone */
	uint32_t found_cnt;
	bool more;        /* there are matches beyond the limit */
	uint64_t matched; /* found_cnt; with limit 0 or an order: how many there are */
	uint64_t looked;  /* streams */
	uint64_t skipped; /* changed while they were read, or make no sense */
};

/* sl_stream_query_run: 0; -EINVAL (not a region; *ret_why is a static sentence), -ENOMEM, -ECANCELED. */
int sl_stream_query_run(struct sl_stream_query *q, const void *region, size_t bytes,
			const atomic_bool *cancel, const char **ret_why);

#endif
