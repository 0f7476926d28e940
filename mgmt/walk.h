/* walk — questions that are answered by a walk through a region of the dataplane: flows, streams.
 *
 *   waiting ── first of the queue ──▶ running (pool) ── answered
 *      └── its client went away ──▶ answered into nothing, in either place
 *
 * One walk at a time, so that the pool has threads left for pushes; SL_WALK_WAITING wait.  A timer looks for clients that
 * are gone while there is anything in the queue.  The region is mapped read-only for the walk.  Workers are not asked and
 * not held up: they do not know that they are read.
 * Threads: [loop] but for run, which is called in the pool.
 */
#ifndef SL_MGMT_WALK_H
#define SL_MGMT_WALK_H

#include "mgmt/verbs.h"

#include <stdatomic.h>

#define SL_WALK_WAITING 16

struct sl_walk;

/* What is asked about. */
struct sl_walk_kind {
	const char *what; /* "flow", "stream": for messages */
	uint64_t align;   /* the region's size is a multiple of it */
	bool (*region)(const struct sl_publish *p, int *ret_fd, uint64_t *ret_bytes);
	/* run: 0; -EINVAL with *ret_why a static sentence; -ECANCELED soon after w->cancel became true; else -errno */
	int (*run)(struct sl_walk *w, const void *region, size_t bytes, const char **ret_why);
	json_t *(*answer)(const struct sl_walk *w);
	void (*free)(struct sl_walk *w); /* with the struct that w is the first member of */
};

struct sl_walk {
	const struct sl_walk_kind *kind;
	struct sl_verb_run r;
	atomic_bool cancel;
	uint64_t took_ns;
	/* walk.c's */
	uv_work_t work;
	struct sl_walk *next;
	struct sl_walk_queue *queue;
	int fd;
	uint64_t bytes;
	int err;
	const char *why;
};

/* Destroy: the server is gone and the loop was run until sl_walk_queue_busy was false; it must run once more. */
int sl_walk_queue_create(uv_loop_t *loop, struct sl_walk_queue **ret_queue);
void sl_walk_queue_destroy(struct sl_walk_queue *q);
bool sl_walk_queue_busy(const struct sl_walk_queue *q);

/* sl_walk_ask: the walk (kind and r filled, all else zeroed) is the queue's from now on; its call is answered. */
void sl_walk_ask(struct sl_walk *w);

/* sl_walk_refuse answers the call of a walk that shall not begin, and frees it. */
void sl_walk_refuse(struct sl_walk *w, json_t *error);

/* Keys that such questions have in common: NULL, or the error.
 * sl_walk_take_prefix: an address or a prefix (text NULL: nothing is stored); NULL, or what is wrong.
 * sl_walk_take_endpoints: of "service" and "endpoint", *ret_slots [SL_MAX_ENDPOINTS] has the incarnation that is meant, 0:
 * not this slot; NULL when neither is given.  The caller frees it. */
json_t *sl_walk_invalid(const struct sl_verb_run *r, const char *key, const char *why);
const char *sl_walk_take_prefix(const char *text, struct sl_addr *ret_addr, uint8_t *ret_plen,
				uint8_t *ret_family);
json_t *sl_walk_take_endpoints(const struct sl_verb_run *r, uint32_t **ret_slots);

#endif
