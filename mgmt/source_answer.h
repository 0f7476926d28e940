/* source_answer — the endpoints of an answer while they are read: what cannot be used is left out, the same place is taken
 * once, names become distinct, the order is by name.
 *
 * Threads: [any], one answer per thread.  Pure.
 */
#ifndef SL_MGMT_SOURCE_ANSWER_H
#define SL_MGMT_SOURCE_ANSWER_H

#include "mgmt/source.h"

/* A zeroed one is empty. */
struct sl_source_answer {
	struct sl_source_endpoint *endpoints; /* [cnt] */
	size_t cnt, room;
	uint32_t left_out;
	char note[256]; /* the first thing that is odd, "" */
};

void sl_source_answer_fini(struct sl_source_answer *a);

/* sl_source_answer_add: one more endpoint, zeroed but for weight (the question's) and percent (100); valid until the next.
 * NULL: no memory. */
struct sl_source_endpoint *sl_source_answer_add(struct sl_source_answer *a);

/* sl_source_answer_leave_out: n endpoints that cannot be used, and why: the first reason is the note. */
void sl_source_answer_leave_out(struct sl_source_answer *a, uint32_t n, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Something odd that leaves nothing out. */
void sl_source_answer_note(struct sl_source_answer *a, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* sl_source_answer_finish puts the answer in its final form: of endpoints at one place (address and port, port being that of
 * those without) one, of them the one in the best state; of equal names all but the best get one of their own, made of name
 * and place; SL_MAX_SERVICE_ENDPOINTS at most, in the order of names.  The same for any order of what was added. */
void sl_source_answer_finish(struct sl_source_answer *a, uint16_t port);

/* sl_source_answer_hash: of all that the answer says. */
uint64_t sl_source_answer_hash(const struct sl_source_answer *a);

/* sl_source_answer_useless: there are endpoints, and none can be used: trouble rather than an answer that there are none. */
bool sl_source_answer_useless(const struct sl_source_answer *a);

#endif
