/* publish_priv — what the parts of the link to the dataplane have in common.
 *
 *   publish.c           the socket and the phase; to whom a message goes
 *   publish_offer.c     the open offer: its objects, reasons and verdict
 *   publish_question.c  questions and upgrade, and who waits for their answers
 *   publish_queue.c     what waits for the socket
 *   publish_region.c    memory that the dataplane passes: segments, flows, streams, events
 *   publish_secret.c    secrets, and who waits for their answers
 *
 * Each alone writes what struct sl_publish has of it, but for link: what WELCOME said is publish.c's, the segments are
 * publish_region.c's, and publish_offer.c says what has become active.
 */
#ifndef SL_MGMT_PUBLISH_PRIV_H
#define SL_MGMT_PUBLISH_PRIV_H

#include "mgmt/publish.h"

#include <sys/un.h>

#define SL_PUBLISH_TEXT_MAX 1300

enum sl_publish_phase { SL_PUBLISH_OFF, SL_PUBLISH_WAIT, SL_PUBLISH_UP };

struct sl_publish_out;  /* publish_queue.c */
struct sl_publish_wait; /* publish_secret.c */

struct sl_publish_question {
	uint32_t seq; /* 0: free */
	uint64_t deadline;
	sl_publish_explain_fn *fn;    /* of EXPLAIN, or */
	sl_publish_http_fn *http;     /* of EXPLAIN_HTTP, or */
	sl_publish_port_fn *port;     /* of PORTS, or */
	sl_publish_shadow_fn *shadow; /* of SHADOW */
	uint32_t left;                /* of its answer */
	void *ctx;
};

struct sl_publish {
	uv_loop_t *loop;
	struct sl_publish_events ev;
	uint32_t seq; /* of the last message, whichever part it is of */
	struct sl_publish_link link;
	/* publish.c */
	enum sl_publish_phase phase;
	uv_timer_t *timer; /* closed by destroy, freed by its close callback */
	uv_poll_t *poll;
	int sock;
	uint64_t deadline; /* WAIT: WELCOME must be there; OFF: not before */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char trouble[SL_PUBLISH_TEXT_MAX];
	/* publish_queue.c */
	struct {
		struct sl_publish_out *head, **tail;
	} queue;
	/* publish_offer.c: the open offer */
	struct {
		uint64_t generation; /* 0: none is open */
		bool tried;
		const struct sl_compiled *compiled;
		uint32_t *want; /* refs to send, [want_cnt], sent up to want_at */
		uint32_t want_cnt, want_at;
		bool want_closed;
		char *reason[SL_PUBLISH_REASONS];
		unsigned reason_cnt;
		uint32_t objects_sent;
		uint64_t bytes_sent;
	} offer;
	/* publish_question.c */
	struct sl_publish_question questions[SL_PUBLISH_EXPLAINS];
	struct {
		uint32_t seq; /* 0: none is under way */
		uint64_t deadline;
		sl_publish_upgrade_fn *fn;
		void *ctx;
	} upgrade;
	/* publish_secret.c */
	struct {
		struct sl_publish_wait *head, **tail; /* in order of seq */
	} waits;
	/* publish_region.c: the flow region, of the dataplane that said KEEP last */
	struct {
		int fd; /* -1: none */
		uint64_t bytes, id, boot_id;
		unsigned parks;    /* given so often since a dataplane lived long enough */
		uint64_t lived_at; /* when the one that is there will have */
	} flows;
	/* the region of streams; it goes with the link */
	struct {
		int fd; /* -1: none */
		uint64_t bytes;
	} streams;
	bool events; /* EVENTS came, on this link */
};

/* publish.c: what the socket is waited for, when there is more or less to send. */
void sl_publish_update_poll(struct sl_publish *p);

/* publish_offer.c.  What takes a message returns NULL, or what is wrong with it; it is called while the link is up. */
const char *sl_publish_take_want(struct sl_publish *p, const struct sl_ctl_want *m);
const char *sl_publish_take_verdict(struct sl_publish *p, const struct sl_ctl_verdict *m);
/* text is taken over.  False: it is not; the offer of that generation is not open any more, or has enough of them. */
bool sl_publish_keep_reason(struct sl_publish *p, uint64_t generation, char *text);
/* Some of what is wanted: as of sl_publish_send. */
int sl_publish_send_objects(struct sl_publish *p);
bool sl_publish_more_objects(const struct sl_publish *p);
void sl_publish_drop_offer(struct sl_publish *p); /* without a verdict */

/* publish_question.c.  Messages as of publish_offer.c; one of c and e is NULL. */
const char *sl_publish_take_explained(struct sl_publish *p, const struct sl_ctl_head *h);
const char *sl_publish_take_port(struct sl_publish *p, const struct sl_ctl_port *m);
const char *sl_publish_take_shadow(struct sl_publish *p, const struct sl_ctl_shadow_counts *c,
				   const struct sl_ctl_shadow_example *e);
void sl_publish_take_upgraded(struct sl_publish *p, const struct sl_ctl_upgraded *m);
/* The dataplane cannot answer, and says why. */
void sl_publish_refuse_question(struct sl_publish *p, uint32_t seq, const char *why);
/* err for all whose deadline is at most due, the upgrade last. */
void sl_publish_end_questions(struct sl_publish *p, int err, uint64_t due);

/* publish_queue.c.  fd (-1: none) is taken over, also on failure, -ENOMEM.  later: a SECRET that sl_publish_fetch_secret is asked
 * about when its turn comes. */
int sl_publish_queue(struct sl_publish *p, const void *msg, size_t bytes, int fd);
int sl_publish_queue_later(struct sl_publish *p, const void *msg, size_t bytes, int fd, bool later);
uint32_t sl_publish_next_seq(struct sl_publish *p); /* never 0 */
/* At once, past the queue; fd stays the caller's.  1: sent, 0: the socket takes nothing now, < 0: broken. */
int sl_publish_send(struct sl_publish *p, const void *msg, size_t bytes, int fd);
/* The queue, then objects, as much as the socket takes.  0, < 0: broken. */
int sl_publish_flush(struct sl_publish *p);
bool sl_publish_more(const struct sl_publish *p); /* for sl_publish_flush */
void sl_publish_drop_queue(struct sl_publish *p);

/* publish_region.c.  Messages as of publish_offer.c; *fd is -1 when it was taken over.  What sl_publish_map mapped is for
 * sl_publish_unmap, also when something is wrong; its descriptors stay the caller's. */
const char *sl_publish_map(struct sl_publish_link *l, const struct sl_ctl_welcome *w,
			   const int fds[2]);
void sl_publish_unmap(struct sl_publish *p); /* link is empty afterwards */
const char *sl_publish_take_keep(struct sl_publish *p, const struct sl_ctl_keep *m, int *fd);
const char *sl_publish_take_streams(struct sl_publish *p, const struct sl_ctl_streams *m, int *fd);
const char *sl_publish_take_events(struct sl_publish *p, const struct sl_ctl_events *m, int fd);
void sl_publish_take_taken(struct sl_publish *p, const struct sl_ctl_taken *m);
/* Gives the flows of a dataplane that is gone to the one that link is about, which has none.  Its offer comes behind this. */
void sl_publish_park(struct sl_publish *p);
/* It lives; UINT64_MAX: and ends, but did not die. */
void sl_publish_flows_lived(struct sl_publish *p, uint64_t now);
void sl_publish_drop_flows(struct sl_publish *p);
void sl_publish_end_streams(struct sl_publish *p); /* and events: what goes with the link */

/* publish_secret.c.  fetch: the turn of m has come; *fd, unless an earlier try has got it, and m's bytes are asked for, and the answer
 * is due from now on.  False: it is there no more, and nobody waits for it. */
bool sl_publish_fetch_secret(struct sl_publish *p, struct sl_ctl_secret *m, int *fd);
void sl_publish_take_secret_ack(struct sl_publish *p, const struct sl_ctl_secret_ack *m);
/* err for all whose deadline is at most due; their callbacks may add others. */
void sl_publish_end_waits(struct sl_publish *p, int err, uint64_t due);
void sl_publish_drop_waits(struct sl_publish *p); /* without callbacks */

#endif
