/* ctl_server — the dataplane's end of the control socket: who may speak, in what order, and what is
 * answered when it is not so.  What a message means is decided behind struct sl_ctl_ops.
 *
 *   accept ─▶ NEW ──HELLO──▶ OPEN ──anything wrong──▶ BYE, closed
 *              │ a newcomer takes its place   │ a newcomer gets BYE
 *
 * Owner:   one per process.
 * Threads: [main].  Never blocks: what a slow peer does not read is queued, up to SL_CTL_QUEUE_MAX bytes;
 *          past that the connection is closed.
 * Errors:  whatever a peer does, the listening socket and the active generation stay.
 */
#ifndef SL_DATAPLANE_CTL_SERVER_H
#define SL_DATAPLANE_CTL_SERVER_H

#include "sluice/ctl.h"
#include "sluice/diag.h"

#include <poll.h>
#include <sys/types.h>

#define SL_CTL_QUEUE_MAX (4u << 20)
#define SL_CTL_PER_TURN 64 /* messages taken in one turn */
#define SL_CTL_WHY 256     /* bytes of a sentence */

/* What the server asks of the dataplane.  Each may call the sl_ctl_server_… answers below at once or later.
 * Descriptors are the callee's to close. */
struct sl_ctl_ops {
	/* fill generation and root of a WELCOME (the rest stands in the configuration) */
	void (*active)(void *ctx, uint64_t *ret_generation, struct sl_obj_id *ret_root);
	/* an offer; an earlier one that is still open is superseded, its verdict sent by the callee */
	void (*offer)(void *ctx, uint64_t generation, const struct sl_obj_id *root,
		      uint32_t sample_ppm, int fd);
	void (*object)(void *ctx, uint64_t generation, uint32_t ref, int fd);
	/* the daemon went away: an open offer is dropped */
	void (*drop)(void *ctx);
	/* 0, or -errno with *ret_why a static sentence; the answer comes by sl_ctl_server_explained */
	int (*explain)(void *ctx, const struct sl_ctl_explain *ask, const char **ret_why);
	/* likewise for a request head of ask->text_len bytes; the answer comes by sl_ctl_server_explained_http */
	int (*explain_http)(void *ctx, const struct sl_ctl_explain_http *ask, const uint8_t *text,
			    const char **ret_why);
	/* the flow region: a descriptor open for reading (stays the callee's) with bytes and id; -1: none yet */
	int (*flows)(void *ctx, uint64_t *ret_bytes, uint64_t *ret_region);
	/* a parked region; answered by sl_ctl_server_taken */
	void (*parked)(void *ctx, uint64_t bytes, uint64_t region, int fd);
	/* answered by sl_ctl_server_upgraded */
	void (*upgrade)(void *ctx, uint32_t seq);
	/* a secret of a known kind (secrets.h), in locked memory that is cleansed after the call; and one to be forgotten.  0, or
	 * -errno with a sentence */
	int (*secret)(void *ctx, uint32_t kind, const char *name, const void *bytes, size_t n,
		      char ret_text[SL_CTL_WHY]);
	int (*forget)(void *ctx, uint32_t kind, const char *name, char ret_text[SL_CTL_WHY]);
	/* STOP: the daemon has withdrawn what it announced */
	void (*stop)(void *ctx);
	/* about port, or UINT32_MAX: all; answered by sl_ctl_server_port */
	void (*ports)(void *ctx, uint32_t seq, uint32_t port);
	/* what is tried: SL_SHADOW_ASK, _END; answered by sl_ctl_server_shadow, or as explain */
	void (*shadow)(void *ctx, uint32_t seq, uint32_t op);
	/* one line for the log */
	void (*log)(void *ctx, const char *line);
	void *ctx;
};

struct sl_ctl_server_conf {
	const char *path;    /* NULL: no listening socket (tests attach one end of a pair) */
	uid_t daemon_uid;    /* accepted besides root and our own effective uid */
	uint32_t privileges; /* as WELCOME says it (ctl.h); see sl_ctl_server_privileges */
	uint64_t boot_id;
	uint32_t worker_cnt;
	uint32_t port_cnt;
	uint64_t state_bytes;
	uint64_t stats_bytes;
	uint64_t streams_bytes; /* 0: TCP is off, no STREAMS is sent */
	uint64_t events_bytes;  /* 0: there are no events, no EVENTS is sent */
	int state_fd, stats_fd; /* stay the caller's, as */
	int streams_fd;         /* open for reading */
	int events_fd;          /* for reading and writing */
	struct sl_ctl_ops ops;
};

struct sl_ctl_server;

/* sl_ctl_server_privileges: what WELCOME says of them from now on; nobody was welcomed before. */
void sl_ctl_server_privileges(struct sl_ctl_server *s, uint32_t privileges);

/* sl_ctl_server_create binds and listens.  The socket file of a dead process is replaced; a live one, and
 * anything that is not a socket, is left alone: -EADDRINUSE, -EEXIST or another -errno with the sentence in diag. */
int sl_ctl_server_create(const struct sl_ctl_server_conf *conf, struct sl_diag *diag,
			 struct sl_ctl_server **ret_server);
/* The peer gets BYE "stopping"; the socket file is removed.  NULL is accepted. */
void sl_ctl_server_destroy(struct sl_ctl_server *s);

/* sl_ctl_server_attach takes a connected socket as if it had been accepted; credentials are not asked. */
void sl_ctl_server_attach(struct sl_ctl_server *s, int fd);

/* sl_ctl_server_poll fills what to wait for (2 places), the number filled; sl_ctl_server_turn does all that
 * can be done without waiting: accept, receive, send. */
unsigned sl_ctl_server_poll(const struct sl_ctl_server *s, struct pollfd ret_fds[2]);
void sl_ctl_server_turn(struct sl_ctl_server *s);

/* sl_ctl_server_peer numbers the connection that is open: 0 none, else a number that never comes again. */
uint64_t sl_ctl_server_peer(const struct sl_ctl_server *s);

/* Answers.  Without an open connection they do nothing. */
void sl_ctl_server_want(struct sl_ctl_server *s, uint64_t generation, const uint32_t *refs,
			unsigned cnt);
void sl_ctl_server_reasons(struct sl_ctl_server *s, uint64_t generation,
			   const struct sl_diag *diag);
void sl_ctl_server_verdict(struct sl_ctl_server *s, uint64_t generation,
			   enum sl_ctl_outcome outcome, uint32_t live, const uint64_t times_ns[3]);
/* answer->head is filled here; seq is the asker's */
void sl_ctl_server_explained(struct sl_ctl_server *s, uint32_t seq,
			     struct sl_ctl_explained *answer);
/* answer: all but head and text_len; text is terminated, path has answer->path_len bytes */
void sl_ctl_server_explained_http(struct sl_ctl_server *s, uint32_t seq,
				  const struct sl_ctl_explained_http *answer, const char *text,
				  const uint8_t *path);
/* KEEP with what ops.flows gives; nothing when there is none.  Also sent behind each WELCOME. */
void sl_ctl_server_keep(struct sl_ctl_server *s);
void sl_ctl_server_taken(struct sl_ctl_server *s, enum sl_ctl_taken_how how, uint64_t kept,
			 uint64_t expired, uint64_t lost, const char *text);
/* error: 0 or errno */
void sl_ctl_server_upgraded(struct sl_ctl_server *s, uint32_t seq, int error, const char *text);
/* sl_ctl_server_goodbye is what sl_ctl_server_destroy tells the peer, when it is not "the dataplane is stopping"; a
 * static text. */
void sl_ctl_server_goodbye(struct sl_ctl_server *s, const char *text);
/* STOPPING; why: SL_STOPPING_* */
void sl_ctl_server_stopping(struct sl_ctl_server *s, uint32_t wait_ms, uint32_t why);
/* m: all but head */
void sl_ctl_server_port(struct sl_ctl_server *s, uint32_t seq, struct sl_ctl_port *m);
/* counts, then examples[counts->example_cnt]: all but heads */
void sl_ctl_server_shadow(struct sl_ctl_server *s, uint32_t seq,
			  struct sl_ctl_shadow_counts *counts,
			  struct sl_ctl_shadow_example *examples);
/* an EXPLAIN, EXPLAIN_HTTP, PORTS or SHADOW that cannot be answered: REASON with its seq and generation 0 */
void sl_ctl_server_unexplained(struct sl_ctl_server *s, uint32_t seq, const char *why);

#endif
