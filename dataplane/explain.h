/* explain — questions of the daemon on their way to the worker that owns the tuple, and back.
 *
 * Owner:   main; one ring each way per worker.  A question about a request is too long for a ring: it stands in a place
 *          of the desk, which the worker reads and writes while it is asked (struct sl_http_question).
 * Threads: [main].
 * Limits:  SL_EXPLAIN_MAX questions at a time, SL_EXPLAIN_HTTP_MAX about requests; one that is not answered within 5 s is
 *          given up.  The place of one about a request stays taken until its worker lets go of it.
 */
#ifndef SL_DATAPLANE_EXPLAIN_H
#define SL_DATAPLANE_EXPLAIN_H

#include "dataplane/ctl_server.h"
#include "dataplane/worker.h"

#define SL_EXPLAIN_MAX 64
#define SL_EXPLAIN_HTTP_MAX 8
#define SL_EXPLAIN_WAIT_NS 5000000000ull

struct sl_explain_desk {
	const struct sl_rss *rss;
	struct sl_ctl_server *server;
	unsigned worker_cnt, port_cnt;
	struct sl_ring *to[SL_VIEW_MAX_WORKERS];   /* struct sl_msg */
	struct sl_ring *from[SL_VIEW_MAX_WORKERS]; /* struct sl_explained */
	uint32_t cookie;                           /* last one given */
	unsigned open_cnt;                         /* of both kinds: answers may come */
	struct {
		uint32_t cookie; /* 0: free */
		uint32_t seq;
		uint64_t peer; /* the connection that asked */
		uint64_t asked_ns;
	} open[SL_EXPLAIN_MAX];
	struct sl_http_question question[SL_EXPLAIN_HTTP_MAX];
	struct {
		uint32_t seq;
		uint32_t worker;
		uint64_t peer; /* 0: given up */
		uint64_t asked_ns;
	} http[SL_EXPLAIN_HTTP_MAX]; /* of question, where that is not FREE */
};

/* sl_explain_ask sends a question on its way.  0, or -errno with *ret_why. */
int sl_explain_ask(struct sl_explain_desk *d, const struct sl_ctl_explain *ask, uint64_t now_ns,
		   const char **ret_why);

/* sl_explain_ask_http likewise for a request head: ask->text_len bytes of text, copied. */
int sl_explain_ask_http(struct sl_explain_desk *d, const struct sl_ctl_explain_http *ask,
			const uint8_t *text, uint64_t now_ns, const char **ret_why);

/* sl_explain_turn passes answers on and gives up old questions.  view: the active one. */
void sl_explain_turn(struct sl_explain_desk *d, const struct sl_view *view, uint64_t now_ns);

#endif
