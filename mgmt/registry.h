/* registry — services that say themselves where they are: registrations, heartbeats, and what is kept of them.
 *
 * Walk:    HTTP (registry_http.h) or a verb → sl_registry_put, … → may this peer? → journal (registry_journal.h) → applied and
 *          answered once it is on disk → the questions that ask for the service are answered anew (source.h).
 * Kept:    all but heartbeats.  What was answered with 2xx is there after a crash.
 * Silence: an endpoint that registered with a TTL and sends no heartbeat for that long is "silent" (down for the roster), and
 *          removed after `remove_after` more, but for the last one of its service.  Only time in which this process ran counts, by the
 *          monotonic clock: neither a clock that is set, nor a daemon that stood still makes anyone silent; after a restart
 *          everybody has a whole TTL, and who was silent stays it until it is heard.
 * Threads: [loop].
 * Limits:  SL_REGISTRY_MAX endpoints, SL_MAX_SERVICE_ENDPOINTS of a service, SL_REGISTRY_WAITING changes under way.
 */
#ifndef SL_MGMT_REGISTRY_H
#define SL_MGMT_REGISTRY_H

#include "mgmt/registry_conf.h"
#include "mgmt/registry_record.h"
#include "mgmt/roles.h"
#include "sluice/diag.h"

#include <uv.h>

#define SL_REGISTRY_MAX SL_MAX_ENDPOINTS
#define SL_REGISTRY_WAITING 16384

struct sl_registry;
struct sl_audit;

/* Who asks: role and uid for a peer of a socket, fits for what `allow` says of it. */
struct sl_registry_who {
	char name[SL_HOST_MAX]; /* user, or the identity of a certificate */
	int64_t uid;            /* -1: by certificate */
	enum sl_role role;      /* NONE: what `allow` says alone */
	uint64_t fits;          /* bit i: row i of conf->allow is about this peer */
};
/* What `allow` says of a peer: sets fits. */
void sl_registry_who_identity(const struct sl_registry_conf *conf, const char *identity,
			      struct sl_registry_who *ret);
void sl_registry_who_peer(const struct sl_registry_conf *conf, const struct sl_peer *peer,
			  struct sl_registry_who *ret);

struct sl_registry_answer {
	unsigned status;         /* as HTTP has them: 200, 201, 204, 400, 403, 404, 429, 500, 503 */
	const char *what;        /* not of 2xx: what is wrong */
	const char *where;       /* "web/web-1" or a key of it */
	const char *hint;        /* what to do; "" */
	const struct json_t *is; /* of 200 and 201: the endpoint as GET shows it; NULL: no memory */
};
/* Valid during the call alone; comes once, from within or later from the loop. */
typedef void sl_registry_fn(void *ctx, const struct sl_registry_answer *a);

struct sl_registry_events {
	void (*say)(void *ctx, const char *line);
	/* A change that was made: reg as it is now, NULL: gone.  silent and heartbeats' hints are changes, too. */
	void (*changed)(void *ctx, const char *service, const char *endpoint,
			const struct sl_registration *reg);
	int64_t (*wall_ms)(
		void); /* for people alone: nothing is decided by it.  NULL: the system's clock */
	void *ctx;
};

/* Reads what is kept below state_dir/registry; notes: what of it was damaged.  conf, audit: outlive it.  0 or -errno with diag. */
int sl_registry_create(uv_loop_t *loop, const struct sl_registry_conf *conf, const char *state_dir,
		       struct sl_audit *audit, const struct sl_registry_events *ev,
		       struct sl_diag *diag, struct sl_diag *notes,
		       struct sl_registry **ret_registry);
/* Not while it is busy; handles close in the loop. */
void sl_registry_destroy(struct sl_registry *r);
/* sl_registry_busy: changes are on their way to the disk. */
bool sl_registry_busy(const struct sl_registry *r);

/* It is the source "registry": ask and drop alone (roster.h); answers go to sink (NULL: nowhere). */
extern const struct sl_source_ops sl_registry_ops;
void sl_registry_link(struct sl_registry *r, const struct sl_source_sink *sink);

/* Changes.  service, endpoint: any text, checked; body: borrowed. */
void sl_registry_put(struct sl_registry *r, const struct sl_registry_who *who, const char *service,
		     const char *endpoint, const struct json_t *body, sl_registry_fn *fn,
		     void *ctx);
/* body: {"percent": N, "drain": BOOL}; what it does not say stays as it is. */
void sl_registry_heartbeat(struct sl_registry *r, const struct sl_registry_who *who,
			   const char *service, const char *endpoint, const struct json_t *body,
			   sl_registry_fn *fn, void *ctx);
/* body: {"on": BOOL, "reason": TEXT} */
void sl_registry_maintain(struct sl_registry *r, const struct sl_registry_who *who,
			  const char *service, const char *endpoint, const struct json_t *body,
			  sl_registry_fn *fn, void *ctx);
void sl_registry_remove(struct sl_registry *r, const struct sl_registry_who *who,
			const char *service, const char *endpoint, sl_registry_fn *fn, void *ctx);

/* sl_registry_show: {"endpoints": [ENDPOINT…], "endpoint_cnt", "silent_cnt"} of what this peer may see, of one service or (NULL) all, by
 * name; NULL: no memory.
 *   ENDPOINT {"service", "endpoint", "address", "port", "weight"?, "priority", "percent", "drain", "locality", "metadata": {},
 *             "ttl_s", "state": "up"|"draining"|"maintenance"|"silent", "by", "since": TIME, "heartbeat": TIME|null,
 *             "silent_since": TIME|null, "maintenance": null|{"by", "since", "reason"}, "asked": BOOL (a table asks for its
 *             service)} */
struct json_t *sl_registry_show(struct sl_registry *r, const struct sl_registry_who *who,
				const char *service);

/* sl_registry_each calls fn for all registrations, in no order. */
void sl_registry_each(struct sl_registry *r,
		      void (*fn)(void *ctx, const struct sl_registration *reg), void *ctx);

/* Why a request came to nothing; requests of HTTP that never got to the registry count, too. */
enum sl_registry_refusal {
	SL_REGISTRY_DENIED,    /* 403 */
	SL_REGISTRY_MALFORMED, /* 400, 405, 413 */
	SL_REGISTRY_UNKNOWN,   /* 404 */
	SL_REGISTRY_BUSY,      /* 429, 503: too many, or no room */
	SL_REGISTRY_DISK,      /* 500: it could not be kept */
	SL_REGISTRY_REFUSALS
};

struct sl_registry_stats {
	uint32_t endpoints, silent, services;
	uint64_t registered, removed, expired, heartbeats;
	uint64_t refused[SL_REGISTRY_REFUSALS];
	uint64_t writes,
		records; /* to the journal: records per write is what group commit brings */
	uint64_t write_errors, journal_bytes;
	bool failing; /* the last write failed */
};
void sl_registry_stats(const struct sl_registry *r, struct sl_registry_stats *ret);

/* sl_registry_refused counts a request that was answered with status, 400 or above, without the registry. */
void sl_registry_refused(struct sl_registry *r, unsigned status);

#endif
