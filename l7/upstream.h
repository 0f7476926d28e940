/* upstream — connections to endpoints, kept for further requests; one pool per worker.
 *
 *   ask ─▶ endpoint picked (env) ─┬─ idle connection to it ─────────────────▶ lent
 *                                 ├─ limits allow another one ─▶ connecting ─▶ lent (ready) ── put ─▶ idle, or closed
 *                                 └─ limit of connections ─▶ pending ─▶ the next one that is put
 * Endpoints of a service with TLS: a connection is lent when its handshake is done, and again only as long as the service says the
 * same of TLS, and, with auto_sni, to requests of the same server name.  A handshake that fails is a connection that failed.
 * A connection is lent to one request at a time.  It is used again only when the user says that its end was clean; what an
 * endpoint says on an idle connection closes it.  Idle ones are used last in, first out.
 * A pooled connection ends when its endpoint is gone, disabled, drained or not taking requests (env.lives), after conn_idle_ms, and
 * after conn_requests requests.
 * Who waits goes first in, first out, and is asked for anew (env.pick) when a connection or a place of the limit is there: policy,
 * hash and avoid hold for him, too.  Where the limit is reached, the longest idle connection to another endpoint makes room; a
 * worker whose own requests do not wait gives its idle ones up for those of others, and one that has some waiting, too, lets
 * go of a connection now and then.
 * The PROXY header (sl_img_tcp.proxy_out) is not sent: requests of many clients share a connection; they have x-forwarded-for.
 * Nothing of a table is kept but numbers.  Owner: one per worker, in the caller's memory.  Threads: [worker] after init.
 * An endpoint has at most tcp->endpoint_connections of all workers: who finds each one full waits, too.
 * Breakers (limits.h): connections, pending.  Requests and retries are the user's to take.
 */
#ifndef SL_L7_UPSTREAM_H
#define SL_L7_UPSTREAM_H

#include "l7/limits.h"
#include "l7/tls/session.h"

struct sl_upstream;
struct sl_up; /* a connection */

enum sl_up_verdict {
	SL_UP_READY, /* lent now: *ret_up */
	SL_UP_WAIT,  /* ready or failed follows, never within the call */
	/* refused: nothing follows */
	SL_UP_NO_SERVICE,
	SL_UP_NO_ENDPOINT,
	SL_UP_OVERFLOW, /* a breaker: connections and pending */
	SL_UP_NO_MEMORY,
	SL_UP_FAILED, /* it could not be connected to, known at once (no route, no port) */
};

/* Where a request is to go, as env.pick answers it; pointers are good until the call into upstream returns. */
struct sl_up_target {
	struct sl_addr addr;
	sl_be16 port;
	uint16_t incarnation;
	uint32_t endpoint_slot;
	const struct sl_addr *sources; /* [source_cnt], ≥ 1 */
	uint32_t source_cnt;
	const struct sl_img_tcp *tcp; /* of the service */
	const struct sl_img_http_service *http;
	const struct sl_img_tls_service *tls; /* with its sans behind it; NULL: plaintext */
	uint64_t generation; /* of the table: tls says the same as long as it is the same */
};

struct sl_up_ask {
	uint32_t service_slot;
	uint16_t service_incarnation;
	uint8_t hashed; /* 1: hash is of what the service hashes on; 0: by chance */
	uint8_t avoid_cnt;
	uint64_t hash;
	uint64_t subset;               /* of the service (sl_choose_subset); 0: the whole */
	const struct sl_tuple *client; /* as its packets arrive; src as the PROXY header says */
	uint32_t avoid[8];             /* endpoint slots tried before */
	/* of the request as the endpoint gets it, without port: the server name with auto_sni.  NULL: none; good until lent,
	 * failed or cancelled */
	const uint8_t *host;
	uint32_t host_len;
};

/* Embedded in what asks; zeroed before the first use.  After a refusal and in `failed`, endpoint_slot and incarnation say who was
 * tried; endpoint_slot UINT32_MAX: nobody.  The other fields are upstream's. */
struct sl_up_ticket {
	struct sl_up_ticket *next, *prev;
	struct sl_up *up; /* the connection that is being made for it */
	uint32_t service_slot;
	uint32_t state;
	uint32_t endpoint_slot;
	uint16_t incarnation;
	uint16_t zero;
	struct sl_up_ask ask;   /* of one that waits in the queue: */
	struct sl_tuple client; /* ask.client */
};

/* What is told to who asked, in an event of a stream or in sl_upstream_tick, never inside another call.  ready: up is lent, its
 * stream is attached to conf.stream with the ticket as user.  failed: why is what sl_upstream_ask would have answered; end of the
 * stream where there was one (SL_UP_FAILED); endpoint_slot: as in the ticket. */
struct sl_up_ops {
	void (*ready)(struct sl_up_ticket *t, struct sl_up *up);
	void (*failed)(struct sl_up_ticket *t, enum sl_up_verdict why, enum sl_stream_end end,
		       uint32_t endpoint_slot);
};

struct sl_upstream_env {
	void *ctx;
	/* pick: an endpoint by the service's policy, none of ask->avoid while there is another.  READY: *ret; else NO_SERVICE,
	 * NO_ENDPOINT or, with ret->tcp and ret->http, OVERFLOW: each has as many requests or connections as it may: who asks waits. */
	enum sl_up_verdict (*pick)(void *ctx, const struct sl_up_ask *ask,
				   struct sl_up_target *ret);
	/* lives: whether an idle connection to it may take another request, and whether its service is there. */
	bool (*lives)(void *ctx, uint32_t service_slot, uint32_t endpoint_slot,
		      uint16_t incarnation);
	/* began, ended: a connection on an endpoint (statistics). */
	void (*began)(void *ctx, uint32_t endpoint_slot, uint16_t incarnation,
		      uint32_t service_slot);
	void (*ended)(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, bool failed);
	/* load: a request more (+1) or less (-1) under way on the endpoint, for least_request: from the moment it is
	 * connected to for it. */
	void (*load)(void *ctx, uint32_t endpoint_slot, int by);
};

struct sl_upstream_conf {
	uint32_t capacity; /* connections */
	uint64_t seed;
	struct sl_tcp *tcp;
	struct sl_tls *tls; /* NULL: none in this dataplane */
	struct sl_limits *limits;
	_Atomic uint32_t *
		endpoint_conns; /* [SL_MAX_ENDPOINTS], of all workers and modes; NULL: not counted */
	struct sl_upstream_env env;
	const struct sl_up_ops *ops;
	const struct sl_stream_ops *
		stream; /* of a lent connection; its user is the ticket.  closed calls sl_upstream_gone,
			  * not put */
	struct sl_stats_http *stats;
};

size_t sl_upstream_bytes(uint32_t capacity);
struct sl_upstream *sl_upstream_init(void *mem, const struct sl_upstream_conf *conf);
/* sl_upstream_fini gives the limits' counts back; streams are not touched. */
void sl_upstream_fini(struct sl_upstream *u);

/* sl_upstream_ask: a connection for t.  sl_upstream_cancel: t waits no more (its connection in the making goes to the pool, or to
 * the next who waits). */
enum sl_up_verdict sl_upstream_ask(struct sl_upstream *u, struct sl_up_ticket *t,
				   const struct sl_up_ask *ask, struct sl_up **ret_up);
void sl_upstream_cancel(struct sl_upstream *u, struct sl_up_ticket *t);

/* sl_upstream_put: the request is over.  clean: all of the answer was read and all of the request was sent, both said that the
 * connection goes on: it may be used again.  Else it is reset.
 * sl_upstream_gone: its stream's `closed` was told to the user, who calls this in it: the place is given back. */
void sl_upstream_put(struct sl_upstream *u, struct sl_up *up, bool clean);
void sl_upstream_gone(struct sl_upstream *u, struct sl_up *up);

/* sl_upstream_idle: [SL_MAX_ENDPOINTS]: idle connections by endpoint slot. */
const uint32_t *sl_upstream_idle(const struct sl_upstream *u);

struct sl_stream *sl_up_stream(const struct sl_up *up);
bool sl_up_reused(const struct sl_up *up); /* it has had a request before this one */
uint32_t sl_up_endpoint(const struct sl_up *up);
uint16_t sl_up_incarnation(const struct sl_up *up);

/* sl_upstream_tick: housekeeping, each turn: a few idle connections are asked `lives`; all within about two seconds. */
void sl_upstream_tick(struct sl_upstream *u);
/* sl_upstream_drop_all resets idle connections and those in the making, and forgets who waits; nobody is told (the gateway stops).
 * Lent ones are their users' to put. */
void sl_upstream_drop_all(struct sl_upstream *u);

#endif
