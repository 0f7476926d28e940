/* relay — mode = "tcp" and "tls-passthrough": a client's stream coupled with a stream to an endpoint.
 *
 *   accepted ─┬─ proxy_in: header read, judged ─┬─ TLS handshake ─▶ endpoint picked ─▶ connecting ─┬─▶ coupled: both ways ─▶ over
 *             └─────────────────────────────────┘                          ▲      (TLS handshake) │
 *                                                                          └── another one, retries ┘ failed
 *
 * tls-passthrough: instead of a handshake the ClientHello is waited for and read, not consumed: its server name says the service, and
 * its bytes go to the endpoint like all others (relay_hello.h); what the service says of TLS is not for them.
 *
 * Back-pressure: what one side does not take stays in the other's receive queue and closes its window.  Half-close is
 * passed on; a reset ends both, and so does an end that TLS did not announce (sl_stream_cut).  While connecting, the client's bytes wait.
 * Bandwidth: a byte that the service has no token for (shape.h) stays in the receive queue, too; PROXY headers that go out are free.
 * Owner:   one relay per worker, its connections in the caller's memory.  Threads: [worker] after init [main].
 * Tables:  nothing of a view is kept: settings are copied when a connection opens.
 */
#ifndef SL_L7_RELAY_H
#define SL_L7_RELAY_H

#include "l7/clients.h"
#include "l7/shape.h"
#include "l7/tls/session.h"

/* Connections of all workers, by slot: shared memory of the process, zeroed.  Counted when a connection opens and ends (not
 * per packet), relaxed: a limit is never exceeded. */
struct sl_relay_limits {
	_Atomic uint32_t listener[SL_MAX_LISTENERS];
	_Atomic uint32_t service[SL_MAX_SERVICES];
	_Atomic uint32_t endpoint[SL_MAX_ENDPOINTS]; /* to it, of mode HTTP, too */
	struct sl_clients clients;                   /* of listeners that limit each client */
	struct sl_shape_words shape; /* of services, modes TCP, PASSTHROUGH and HTTP together */
};

/* Service slot of a rule of mode PASSTHROUGH, before the server name is known. */
#define SL_RELAY_BY_NAME UINT32_MAX

/* What a listener of mode TCP or PASSTHROUGH says; pointers into the view of this turn. */
struct sl_relay_rule {
	uint32_t listener_slot, service_slot;
	uint16_t listener_incarnation, service_incarnation;
	uint32_t listener_max; /* 0: no limit */
	uint32_t client_max;   /* of one client; likewise */
	bool proxy_in;
	const struct sl_img_prefix *trust; /* [trust_cnt] */
	uint32_t trust_cnt;
	const struct sl_img_tls_listener *tls; /* NULL: plaintext */
	const struct sl_img_tcp *tcp;          /* of the service; NULL: by name */
};

enum sl_relay_named {
	SL_RELAY_GONE,   /* the listener is none of mode PASSTHROUGH any more */
	SL_RELAY_NOBODY, /* the name is none of the listener's, which has no service of its own */
	SL_RELAY_OWN,    /* likewise, and it is that service */
	SL_RELAY_NAMED,
};

struct sl_relay_pick {
	struct sl_addr addr; /* where to connect */
	sl_be16 port;
	uint16_t incarnation;
	uint32_t endpoint_slot;
	const struct sl_addr *sources; /* [source_cnt], ≥ 1: to speak from */
	uint32_t source_cnt;
	const struct sl_img_tls_service *tls; /* NULL: plaintext; good for this turn */
	uint32_t endpoint_max; /* connections that the endpoint may have; 0: no limit */
	bool full;             /* nobody, because each has as many as it may */
};

#define SL_RELAY_TRIES 8 /* endpoints of one connection at most */

struct sl_relay_env {
	void *ctx;
	/* rule: of the listener that a connection came to (tuple as the client's packets arrive); false: none any more. */
	bool (*rule)(void *ctx, const struct sl_tuple *tuple, struct sl_relay_rule *ret);
	/* pick: an endpoint for client (tuple with the client's address as the PROXY header or the connection says it), none of
	 * avoid[] nor one that is full; false: none (ret->full is written), or the service of rule is not in its slot any more (a header, a connect, take seconds). */
	bool (*pick)(void *ctx, const struct sl_tuple *client, uint32_t service_slot,
		     uint16_t service_incarnation, const uint32_t *avoid, unsigned avoid_cnt,
		     struct sl_relay_pick *ret);
	/* began, ended: a connection on an endpoint slot (from the attempt on), for least_conn and statistics. */
	void (*began)(void *ctx, uint32_t endpoint_slot, uint16_t incarnation,
		      uint32_t service_slot);
	void (*ended)(void *ctx, uint32_t endpoint_slot, uint16_t incarnation, bool failed);
	/* moved: payload towards the endpoint, and from it. */
	void (*moved)(void *ctx, uint32_t endpoint_slot, uint32_t listener_slot, uint64_t to,
		      uint64_t from);
	/* lives: whether a coupled connection may go on: its listener and endpoint are in the table, the endpoint is not
	 * disabled (draining and unhealthy ones keep what they have). */
	bool (*lives)(void *ctx, uint32_t listener_slot, uint16_t listener_incarnation,
		      uint32_t endpoint_slot, uint16_t incarnation);
	/* named: the rule for a server name ("": none), with its service, of the listener that a connection came to; with OWN and NAMED
	 * *ret is written.  May be NULL where no rule is by name. */
	enum sl_relay_named (*named)(void *ctx, const struct sl_tuple *tuple, const char *host,
				     struct sl_relay_rule *ret);
	/* passes: whether a new connection of the client (as in pick; with tls, its stream tells who it is) is within the limits of the
	 * service; asked once, before the first pick.  NULL: all are. */
	bool (*passes)(void *ctx, const struct sl_stream *client, bool tls,
		       const struct sl_tuple *tuple, uint32_t service_slot,
		       uint16_t service_incarnation);
	/* allowed: whether rules of the listener let a new connection through; asked before that, of the same.  NULL: all are. */
	bool (*allowed)(void *ctx, const struct sl_stream *client, bool tls,
			const struct sl_tuple *tuple);
	/* bandwidth: of a service that is still in the table, as struct sl_shape_env has it.  NULL: nobody has a limit. */
	const struct sl_img_bandwidth *(*bandwidth)(void *ctx, uint32_t service_slot,
						    uint16_t incarnation);
};

struct sl_relay_conf {
	uint32_t capacity; /* connections: half of the streams */
	struct sl_tcp *tcp;
	struct sl_tls *tls; /* NULL: none in this dataplane */
	struct sl_relay_limits *limits;
	struct sl_relay_env env;
	struct sl_stats_tcp *stats;
	struct sl_stats_tls *tls_stats; /* may be NULL where no rule is by name */
};

struct sl_relay;

size_t sl_relay_bytes(uint32_t capacity);
struct sl_relay *sl_relay_init(void *mem, const struct sl_relay_conf *conf);
void sl_relay_fini(struct sl_relay *r); /* counts of the limits are given back */

/* sl_relay_admit: what a listener answers to a SYN of `from`, and what the accepted stream is to be (struct sl_tcp_env, admit). */
enum sl_tcp_admit sl_relay_admit(struct sl_relay *r, const struct sl_relay_rule *rule,
				 const struct sl_addr *from, struct sl_tcp_accept *ret);

/* sl_relay_tick: housekeeping, each turn, before sl_tcp_run: a few connections are asked `lives`; all within about two seconds. */
void sl_relay_tick(struct sl_relay *r);

/* sl_relay_drop_all resets every connection (the gateway stops). */
void sl_relay_drop_all(struct sl_relay *r);

#endif
