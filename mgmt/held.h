/* held — whether the body of an HTTP/1 answer holds a text.
 *
 * Walk:    probe.c feeds what comes behind the head (answer.h).
 * Body:    by chunks (their extensions and the trailers passed over), by its length, or to the end of the connection; of it the
 *          first SL_HELD_BODY_MAX bytes are looked at, whatever is said of its size.
 * Threads: [any]. Pure: no buffer, any split of the input gives the same result.
 */
#ifndef SL_MGMT_HELD_H
#define SL_MGMT_HELD_H

#include "mgmt/answer.h"

#define SL_HELD_TEXT_MAX 256
#define SL_HELD_BODY_MAX 65536
#define SL_HELD_LINE_MAX 1024    /* bytes of a chunk's line, and of all trailers */
#define SL_HELD_FRAME_MAX 262144 /* bytes of all that frames chunks */

/* What is looked for, prepared once for many answers. */
struct sl_held_text {
	uint16_t len;
	uint8_t text[SL_HELD_TEXT_MAX];
	uint8_t back[SL_HELD_TEXT_MAX]; /* of Knuth, Morris and Pratt */
};

/* sl_held_prepare: text has 1 to SL_HELD_TEXT_MAX - 1 bytes. */
void sl_held_prepare(struct sl_held_text *t, const char *text);

struct sl_held {
	uint8_t state;   /* of the machine in held.c */
	bool to_end;     /* the body ends with the connection */
	uint16_t line;   /* bytes of this line of chunks */
	uint16_t pos;    /* how much of the text stands at the end of what came */
	uint32_t seen;   /* bytes of the body */
	uint32_t framed; /* bytes around its chunks */
	uint64_t left;   /* of this chunk, or of the body */
};

/* sl_held_begin: behind a head of `status` that asks for no HEAD: 0, or SL_BAD with a static sentence: the head does not say how long
 * the body is. */
int sl_held_begin(struct sl_held *h, const struct sl_answer *a, unsigned status,
		  const char **ret_why);

/* sl_held_feed reads data[0, len): 1: the text is there; SL_PARTIAL: more is needed; SL_BAD with a static sentence: it is not there, or
 * the body is damaged. */
int sl_held_feed(struct sl_held *h, const struct sl_held_text *t, const void *data, size_t len,
		 const char **ret_why);

/* sl_held_end says what is missing when the peer closed after SL_PARTIAL. */
const char *sl_held_end(const struct sl_held *h);

#endif
