/* http — mode = "http": a client's connection, request by request, each to an endpoint of the service its route names.
 *
 *   accepted ─▶ PROXY header ─▶ TLS handshake (each where the listener says so)
 *                 ▼
 *               head read ─▶ host, path, match ─┬─▶ redirect, direct response, refusal: answered here
 *                 ▲                             └─▶ endpoint asked for ─▶ head sent ─▶ body ─▶ answer ─┐
 *                 └────────────────────── keep-alive, pipelined requests one after the other ──────────┘
 *
 * One exchange at a time on a client's connection; bytes of the next request wait in the receive queue.  Bodies are moved from
 * stream to stream in the buffers they came in; what one side does not take closes the other's window.
 * TLS:     what a client said of itself is asked of the session (sl_tls_info) for each request: identity for routes, access log,
 *          x-forwarded-client-cert.  A connection whose listener wants another protection than it has gets no further request.
 * Owner:   one engine per worker, all memory given at init.  Threads: [worker] after init [main].
 * Tables:  nothing of a view is kept: an exchange copies what it needs of its route (numbers, edits of the answer); services
 *          are found again by slot and incarnation.
 */
#ifndef SL_L7_HTTP_H
#define SL_L7_HTTP_H

#include "l7/relay.h"
#include "l7/site.h"
#include "l7/upstream.h"
#include "sluice/events.h"

/* What a listener of mode HTTP says; pointers are good for this turn. */
struct sl_http_rule {
	uint64_t generation;
	uint32_t listener_slot;
	uint16_t listener_incarnation;
	bool proxy_in;
	uint32_t listener_max; /* connections; 0: no limit */
	uint32_t client_max;   /* likewise, of one client */
	const struct sl_img_prefix *trust;
	uint32_t trust_cnt;
	const struct sl_img_tls_listener *tls; /* NULL: plaintext */
	const struct sl_table *table;
	const struct sl_vhost *vhosts;
	const struct sl_issuer *issuers; /* of tokens, by slot; NULL: there are none */
	const struct sl_authz *authz;    /* [authz_cnt], by slot */
	uint32_t authz_cnt;
	struct sl_match_scratch *scratch; /* this worker's, for the generation's databases */
};

/* What became of a try. */
enum sl_try {
	SL_TRY_OK,      /* an answer below 500, whole or left by its client */
	SL_TRY_5XX,     /* 500 and above but */
	SL_TRY_GATEWAY, /* 502, 503, 504 */
	SL_TRY_LOCAL, /* no answer of the endpoint's: no connection, reset, time-out; or one that broke off */
};

/* What a table would make of a request, in numbers.  Slots: UINT32_MAX: none. */
struct sl_http_outcome {
	uint32_t listener_slot, vhost_slot, route_slot, service_slot;
	uint16_t service_incarnation;
	uint16_t status; /* the gateway's own answer; 0: forwarded */
	bool hashed;
	bool fault; /* one was injected */
	/* a rate limit answered, or chance did what cannot be foreseen: nothing but the route is known */
	bool undecided;
	uint64_t subset, hash;
	char why[64]; /* which rule decided; cut, not always terminated */
};

struct sl_http_env {
	void *ctx;
	bool (*rule)(void *ctx, const struct sl_tuple *tuple, struct sl_http_rule *ret);
	/* service: settings of a service that is still in the table; NULL: not. */
	const struct sl_img_service *(*service)(void *ctx, uint32_t slot, uint16_t incarnation);
	/* listens: whether the listener is still there, and of mode HTTP. */
	bool (*listens)(void *ctx, uint32_t listener_slot, uint16_t incarnation);
	/* serves: whether an exchange with the endpoint may go on (not removed, not disabled). */
	bool (*serves)(void *ctx, uint32_t endpoint_slot, uint16_t incarnation);
	/* result: of a try, for passive health and balancing; us: from the head sent to that of the answer, or to the failure; 0: it
	 * was not sent. */
	void (*result)(void *ctx, uint32_t service_slot, uint32_t endpoint_slot,
		       uint16_t incarnation, enum sl_try what, uint32_t us);
	/* wall: time of the day in seconds, for tokens; NULL: not known, so no token is good. */
	int64_t (*wall)(void *ctx);
	/* bandwidth: as struct sl_shape_env has it.  NULL: nobody has a limit. */
	const struct sl_img_bandwidth *(*bandwidth)(void *ctx, uint32_t service_slot,
						    uint16_t incarnation);
	/* While sl_http_try says so, or NULL.  tried: whether this request is asked of the table that is tried, too, and its rule;
	 * .table NULL: no listener of it is meant.  drawn: 0: not drawn for yet; else what was said before, 1: it is, 2: it is not.
	 * tried_service: as service, of that table.  compared: what both would make of it. */
	bool (*tried)(void *ctx, const struct sl_tuple *tuple, uint8_t drawn,
		      struct sl_http_rule *ret);
	const struct sl_img_service *(*tried_service)(void *ctx, uint32_t slot,
						      uint16_t incarnation);
	void (*compared)(void *ctx, const struct sl_tuple *client, const struct sl_http_head *head,
			 const struct sl_http_outcome *now, const struct sl_http_outcome *then);
};

struct sl_http_conf {
	uint32_t conns;     /* client connections */
	uint32_t exchanges; /* requests under way, mirrors too */
	uint32_t pool;      /* connections to endpoints */
	size_t head_bytes;  /* memory for heads under way, ≥ 1 MiB */
	uint64_t seed;
	unsigned worker, worker_cnt;
	struct sl_tcp *tcp;
	struct sl_tls *tls;                /* NULL: none in this dataplane */
	struct sl_relay_limits *listeners; /* shared: connections of listeners, bandwidths */
	struct sl_ledger *ledger;          /* shared: breakers of services */
	struct sl_rates *rates;            /* limits, this worker's; NULL: none is looked at */
	struct sl_stats_rate *rate_stats;
	struct sl_http_env env;
	struct sl_upstream_env upstream;
	struct sl_stats_http *stats;
	struct sl_stats_listener *listener_stats;
	struct sl_stats_service *service_stats; /* NULL: none */
	struct sl_stats_vhost *vhost_stats;
	struct sl_stats_route *route_stats;
	struct sl_stats_authz *authz_stats;
	struct sl_stats_authz *authz_rule_stats; /* by slot of a rule */
	struct sl_stats_endpoint *endpoint_stats;
	struct sl_events_worker *events; /* NULL: no access log */
	uint32_t events_size;
};

struct sl_http;

size_t sl_http_bytes(const struct sl_http_conf *conf);
/* mem: zeroed, line-aligned, of that size. */
struct sl_http *sl_http_init(void *mem, const struct sl_http_conf *conf);
void sl_http_fini(struct sl_http *h);
/* sl_http_idle: as sl_upstream_idle. */
const uint32_t *sl_http_idle(const struct sl_http *h);

/* sl_http_admit: of a SYN of `from`. */
enum sl_tcp_admit sl_http_admit(struct sl_http *h, const struct sl_http_rule *rule,
				const struct sl_addr *from, struct sl_tcp_accept *ret);

/* sl_http_tick: housekeeping, each turn, before sl_tcp_run.  Whether requests wait for the next turn. */
bool sl_http_tick(struct sl_http *h);
/* sl_http_try: from now on requests are also asked of a table that is tried (env.tried), or not. */
void sl_http_try(struct sl_http *h, bool on);
/* sl_http_drop_all resets every connection (the gateway stops). */
void sl_http_drop_all(struct sl_http *h);

/* sl_http_explain: what would become of a request head: the code that requests run, without sending and counting.  Fills all but
 * head, worker and endpoint; text and path go to text[0, SL_CTL_TEXT_MAX) and path[0, SL_CTL_REQUEST_MAX / 2).  ask: what
 * upstream would be asked for; .service_slot UINT32_MAX: nothing. */
struct sl_ctl_explained_http;
void sl_http_explain(struct sl_http *h, const struct sl_http_rule *rule,
		     const struct sl_tuple *client, const uint8_t *request, uint32_t len,
		     struct sl_ctl_explained_http *ret, char *text, uint8_t *path,
		     struct sl_up_ask *ret_ask);

#endif
