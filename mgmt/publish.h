/* publish — sluiced's end of the link to the dataplane (include/sluice/ctl.h).
 *
 * Walk:    connect → HELLO/WELCOME → up() → offers, explains → … → down() → connect again, for ever.
 * Connect: tried every SL_PUBLISH_RETRY_MS while the socket is absent or refuses, so that a dataplane is
 *          found within 100 ms; every SL_PUBLISH_BACKOFF_MS after a peer that is not what it should be.
 * Objects: a memfd each, written, sealed four ways, passed, closed.  What the dataplane holds is not
 *          remembered: WANT says it.
 * Flows:   the descriptor of KEEP is held here, across connections; a dataplane that comes without flows, and is another
 *          than the one they are of, gets it in PARKED before anything is offered.  A region that was given
 *          SL_PUBLISH_PARKS times, and no dataplane lived SL_PUBLISH_LIVED_MS with it, is dropped: it may be
 *          what they die of.
 * Streams: the descriptor of STREAMS is held while the link is up; streams end with their dataplane.
 * Events:  the descriptor of EVENTS is passed on; once a connection.
 * Secrets: in order with offers, each answered; those that wait for the socket are asked for when it takes them, so that neither
 *          their bytes nor their descriptors pile up here.
 * Trust:   the peer must run as root or as our own uid; segments are checked (size, seals against
 *          shrinking, heads) before they are used; refs of WANT are checked against the offer.  A peer that
 *          breaks the protocol is disconnected.
 * Threads: [loop].  Never blocks: what does not go out at once waits for POLLOUT.
 */
#ifndef SL_MGMT_PUBLISH_H
#define SL_MGMT_PUBLISH_H

#include "mgmt/compile.h"
#include "sluice/ctl.h"
#include "sluice/state.h"

#include <uv.h>

#define SL_PUBLISH_RETRY_MS 50
#define SL_PUBLISH_BACKOFF_MS 1000
#define SL_PUBLISH_WELCOME_MS 2000
#define SL_PUBLISH_EXPLAIN_MS 10000
#define SL_PUBLISH_EXPLAINS 64 /* questions open at once */
#define SL_PUBLISH_UPGRADE_MS 15000
#define SL_PUBLISH_PARKS 3
#define SL_PUBLISH_LIVED_MS 10000
#define SL_PUBLISH_REASONS 256
#define SL_PUBLISH_SECRET_MS 30000             /* the dataplane may be at a large offer */
#define SL_PUBLISH_GENERATION_MAX (1ull << 62) /* believed of a dataplane: ours go on from there */

struct sl_publish;

/* What is known of a connected dataplane; segments are mapped until down() has returned. */
struct sl_publish_link {
	uint32_t pid;
	uint32_t worker_cnt;
	uint32_t port_cnt;
	uint32_t privileges; /* SL_CTL_PRIVILEGES_* */
	uint64_t boot_id;
	uint64_t generation; /* active there at WELCOME, 0: none */
	struct sl_obj_id root;
	struct sl_state_seg *state; /* room for SL_MAX_ENDPOINTS words */
	const void *stats;          /* passed sl_stats_check */
	size_t stats_bytes;
	char port_name[32][SL_NAME_MAX]; /* [port_cnt], copied from the statistics segment */
};

struct sl_publish_verdict {
	uint64_t generation;
	enum sl_ctl_outcome outcome;
	uint64_t check_ns, build_ns, swap_ns;
	const char *const *reasons; /* [reason_cnt] */
	unsigned reason_cnt;
	uint32_t objects_sent; /* without the root */
	uint64_t bytes_sent;   /* with it */
};

struct sl_publish_taken { /* of TAKEN */
	enum sl_ctl_taken_how how;
	uint64_t kept, expired, lost;
	const char *text;
};

/* Callbacks may call any function below but destroy.  down comes only after up; an offer that is open
 * then has no verdict any more, an open explain gets -EPIPE.  trouble: the reason for which there is no
 * link, whenever it changes. */
struct sl_publish_events {
	void (*up)(void *ctx, const struct sl_publish_link *link);
	void (*down)(void *ctx, const char *why);
	void (*verdict)(void *ctx, const struct sl_publish_verdict *v);
	void (*trouble)(void *ctx, const char *why);
	/* what became of the flows of a dataplane before */
	void (*taken)(void *ctx, const struct sl_publish_taken *t);
	/* the region of EVENTS, after up: NULL, or what is wrong with it; fd stays the link's and is closed after this.  NULL:
	 * nobody reads events */
	const char *(*events)(void *ctx, int fd, uint64_t bytes);
	/* one line for the log */
	void (*say)(void *ctx, const char *line);
	/* the memfd of a secret that sl_publish_secret_later was told of, for the link to close; -errno: there is none (any more) */
	int (*secret)(void *ctx, uint32_t kind, const char *name, uint32_t *ret_bytes);
	/* the dataplane is about to end (why: SL_STOPPING_*), and waits wait_ms for sl_publish_stop.  NULL: it need not */
	void (*stopping)(void *ctx, uint32_t wait_ms, uint32_t why);
	void *ctx;
};

int sl_publish_create(uv_loop_t *loop, const char *path, const struct sl_publish_events *ev,
		      struct sl_publish **ret_publish);
/* sl_publish_destroy ends the link without callbacks; the loop must run once more before it is closed. */
void sl_publish_destroy(struct sl_publish *p);

/* sl_publish_link: NULL while not connected. */
const struct sl_publish_link *sl_publish_link(const struct sl_publish *p);

/* sl_publish_flows: the flow region of the dataplane, or of the one before while there is none (ctl.h, KEEP), open for
 * reading and sealed against resizing.  False: there is no region.  The descriptor stays the link's: who keeps it for
 * longer than this turn duplicates it. */
bool sl_publish_flows(const struct sl_publish *p, int *ret_fd, uint64_t *ret_bytes);

/* sl_publish_streams: the region of streams (streams.h) of the dataplane that is connected; as above. */
bool sl_publish_streams(const struct sl_publish *p, int *ret_fd, uint64_t *ret_bytes);

/* sl_publish_offer: c stays valid and unchanged until the verdict, down, or another offer.  0, -ENOTCONN. */
int sl_publish_offer(struct sl_publish *p, uint64_t generation, const struct sl_compiled *c);
/* sl_publish_try likewise offers what is to be tried beside the active table, [1, 1000000] of a million: the verdict is TRIED or REFUSED. */
int sl_publish_try(struct sl_publish *p, uint64_t generation, const struct sl_compiled *c,
		   uint32_t sample_ppm);

/* sl_publish_explain asks; fn gets the answer, or NULL with -ETIMEDOUT, -EPIPE, or -EREMOTEIO: the dataplane
 * cannot answer and says why.  0, -ENOTCONN, -EBUSY. */
typedef void sl_publish_explain_fn(void *ctx, int err, const struct sl_ctl_explained *e,
				   const char *why);
int sl_publish_explain(struct sl_publish *p, const struct sl_tuple *tuple, uint8_t tcp_flags,
		       uint32_t port, sl_publish_explain_fn *fn, void *ctx);

/* sl_publish_explain_http likewise about a whole request head of len bytes; behind *e are its text and path (ctl.h).  -EMSGSIZE
 * past SL_CTL_REQUEST_MAX, too. */
typedef void sl_publish_http_fn(void *ctx, int err, const struct sl_ctl_explained_http *e,
				const char *why);
int sl_publish_explain_http(struct sl_publish *p, enum sl_ctl_about about,
			    const struct sl_tuple *tuple, const char *head, size_t len,
			    sl_publish_http_fn *fn, void *ctx);

/* sl_publish_ports asks about a port (its index), with its device's own statistics, or about all (UINT32_MAX).  fn gets each
 * PORT message, the last one flagged, each about a port that link says there is; or once NULL with err, as of explain. */
typedef void sl_publish_port_fn(void *ctx, int err, const struct sl_ctl_port *m, const char *why);
int sl_publish_ports(struct sl_publish *p, uint32_t port, sl_publish_port_fn *fn, void *ctx);

/* sl_publish_shadow asks about what is tried (op: SL_SHADOW_ASK, _END).  fn gets the counts (e NULL), then each of c->example_cnt examples
 * (c NULL); or once err, as of explain: -EREMOTEIO: nothing is tried. */
typedef void sl_publish_shadow_fn(void *ctx, int err, const struct sl_ctl_shadow_counts *c,
				  const struct sl_ctl_shadow_example *e, const char *why);
int sl_publish_shadow(struct sl_publish *p, uint32_t op, sl_publish_shadow_fn *fn, void *ctx);

/* sl_publish_upgrade asks the dataplane to become the program it was started from.  fn gets error 0 and its text, an
 * errno and what is wrong, or err -ETIMEDOUT, -EPIPE.  0, -ENOTCONN, -EBUSY: one is under way. */
typedef void sl_publish_upgrade_fn(void *ctx, int err, int error, const char *text);
int sl_publish_upgrade(struct sl_publish *p, sl_publish_upgrade_fn *fn, void *ctx);

/* sl_publish_stop tells a dataplane that is stopping that it may.  0, -ENOTCONN, -ENOMEM. */
int sl_publish_stop(struct sl_publish *p);

/* Secrets (secrets.h).  fn, which may be NULL, gets the answer: error 0, or an errno and the dataplane's sentence; or err -ETIMEDOUT,
 * -EPIPE: nobody knows whether it was taken.  0, -ENOTCONN, -ENOMEM: then fn is not called.  fd (of sl_memfd_secret) is taken over
 * in any case. */
typedef void sl_publish_secret_fn(void *ctx, uint32_t kind, const char *name, int err, int error,
				  const char *text);
int sl_publish_secret(struct sl_publish *p, uint32_t kind, const char *name, int fd, uint32_t bytes,
		      sl_publish_secret_fn *fn, void *ctx);
int sl_publish_secret_later(struct sl_publish *p, uint32_t kind, const char *name,
			    sl_publish_secret_fn *fn, void *ctx);
int sl_publish_forget(struct sl_publish *p, uint32_t kind, const char *name,
		      sl_publish_secret_fn *fn, void *ctx);

#endif
