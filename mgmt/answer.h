/* answer — the status of an HTTP/1 answer, read from its head byte by byte, and how its body is framed.
 *
 * Walk:    health.c feeds what a probed endpoint sends.
 * Threads: [any]. Pure: no buffer, any split of the input gives the same result.
 * Accepts: HTTP/1.0 and HTTP/1.1; CRLF or bare LF (RFC 9112, 2.2); interim 1xx answers before the
 *          final one are passed over.  Refuses: anything else, header lines that are not `token:`,
 *          folded lines, NUL and other control bytes, heads longer than SL_ANSWER_HEAD_MAX together
 *          with the interim ones.
 * Framing: Content-Length and Transfer-Encoding of the final head are read, and matter only to who wants the body (held.h).
 * Not here: the body; a probe that does not want it closes after the head.
 */
#ifndef SL_MGMT_ANSWER_H
#define SL_MGMT_ANSWER_H

#include "sluice/base.h"

#define SL_ANSWER_HEAD_MAX 8192

struct sl_answer {
	uint16_t state; /* of the machine in answer.c */
	uint16_t bytes; /* read so far */
	uint16_t status;
	uint16_t pos;  /* in "HTTP/1.", in the digits, in the name of a header */
	uint8_t field; /* which header this is, of those that frame the body */
	bool chunked;  /* the body is */
	bool sized;    /* the body has `length` bytes */
	bool unframed; /* what stands there about the body makes no sense, or is not known */
	uint64_t length;
};

/* A zeroed struct sl_answer is ready.
 *
 * sl_answer_feed reads data[0, len).  > 0: the head is complete, *ret_status in [100, 599] (101 or
 * a final status); SL_PARTIAL: more is needed; SL_BAD: *ret_why points at a static sentence. */
int sl_answer_feed(struct sl_answer *a, const void *data, size_t len, unsigned *ret_status,
		   const char **ret_why);

/* sl_answer_end says what is missing when the peer closed after SL_PARTIAL: a static sentence. */
const char *sl_answer_end(const struct sl_answer *a);

#endif
