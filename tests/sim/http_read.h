/* http_read — a reader of HTTP messages that knows nothing of the gateway's: strict, and suspicious of everything that two
 * readers could take for two things.
 */
#ifndef SL_TESTS_HTTP_READ_H
#define SL_TESTS_HTTP_READ_H

#include "sluice/base.h"

enum read_event {
	READ_MORE, /* all bytes used */
	READ_HEAD, /* the head is whole */
	READ_BODY, /* *ret_body, *ret_n: a piece of the body */
	READ_END,  /* the message is whole */
	READ_BAD,  /* r->bad says why */
};

enum read_state { R_HEAD, R_LENGTH, R_SIZE, R_DATA, R_DATA_END, R_TRAILER, R_CLOSE, R_END, R_OVER };

struct http_read {
	bool answer, no_body; /* said before: an answer; one to HEAD */
	uint8_t state;
	char head[8192]; /* as a string, without its empty line */
	unsigned head_len, line_len;
	char line[256];
	/* of the head */
	char method[16], target[128];
	unsigned version, status;
	bool chunked, closes; /* closes: "Connection: close", or HTTP/1.0 */
	bool has_length;
	uint64_t left, moved;
	const char *bad;
};

void read_begin(struct http_read *r, bool answer);
/* read_feed uses up to n bytes; *ret_used of them. */
enum read_event read_feed(struct http_read *r, const uint8_t *bytes, unsigned n, unsigned *ret_used,
			  const uint8_t **ret_body, unsigned *ret_n);
/* read_header: the value of the only line with that name; NULL: none, "\n": several. */
const char *read_header(const struct http_read *r, const char *name, char *value, size_t room);

#endif
