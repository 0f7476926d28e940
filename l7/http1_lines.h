/* http1_lines — what http1 shares between its files: lines of a head or a trailer section, lists, tokens.
 *
 * Positions count from `b`, the first byte of the head; nothing at or behind `end` is read.  Private to l7/http1*.c.
 */
#ifndef SL_L7_HTTP1_LINES_H
#define SL_L7_HTTP1_LINES_H

#include "l7/http1.h"

/* sl_http_token_end: position of the first byte in [p, end) that is no tchar (RFC 9110, 5.6.2); end: none. */
uint32_t sl_http_token_end(const uint8_t *b, uint32_t p, uint32_t end);
/* sl_http_name_end: likewise, of what a registered name may hold here: letters, digits, "-._~". */
uint32_t sl_http_name_end(const uint8_t *b, uint32_t p, uint32_t end);
/* sl_http_is_target: whether [p, end) holds what targets hold: 0x21 to 0x7e but "#".  *ret_query: the first "?";
 * UINT32_MAX: none. */
bool sl_http_is_target(const uint8_t *b, uint32_t p, uint32_t end, uint32_t *ret_query);
/* sl_http_line_end: position of the CR of the line that begins at p; SL_PARTIAL (which is no position of a CR that is asked
 * for: start lines are not empty): the line is not whole; SL_BAD: its LF stands alone.  Controls may be in the line. */
int sl_http_line_end(const uint8_t *b, uint32_t p, uint32_t end);

struct sl_http_lines {
	uint32_t max;                   /* header lines that are allowed */
	bool underscored;               /* out: a name has "_" */
	uint8_t cnt[SL_HTTP_KNOWN_CNT]; /* out: lines of each known header; 0 at the beginning */
};

/* sl_http_lines_whole reads the header lines of a head of which nothing was read before, start line and all: bytes of the
 * head, with the position of the CR of the start line, or 0: it is not whole, or not right, which sl_http_lines tells.  b[0] is no line feed. */
int sl_http_lines_whole(struct sl_http_lines *ls, const uint8_t *b, uint32_t end,
			struct sl_http_head *h, uint32_t *ret_start);

/* sl_http_lines reads header lines from p on, as lines cnt, cnt + 1, … of h, to the empty line.  Position behind it,
 * SL_PARTIAL, or SL_BAD with the reason of the first line that is wrong.  Only whole lines are judged. */
int sl_http_lines(struct sl_http_lines *ls, const uint8_t *b, uint32_t p, uint32_t end,
		  uint32_t cnt, struct sl_http_head *h, enum sl_http_bad *ret_why);

/* sl_http_lines_resume: as sl_http_lines, where the lines begin at p and all whole lines that end before `from` were good:
 * they are counted only.  > 0: an empty line was found, and the lines are to be read from p. */
int sl_http_lines_resume(struct sl_http_lines *ls, const uint8_t *b, uint32_t p, uint32_t from,
			 uint32_t end, struct sl_http_head *h, enum sl_http_bad *ret_why);

/* Elements of a comma-separated list (RFC 9110, 5.6.1), empty ones left out, without white space around. */
struct sl_http_list {
	const uint8_t *b;
	uint32_t p, end;
	uint32_t at, len; /* the element */
};
bool sl_http_list_next(struct sl_http_list *l);

/* sl_http_says: whether the text is the lower-case word, in any case. */
static inline bool
sl_http_says(const uint8_t *text, size_t len, const char *word)
{
	if (len != strlen(word))
		return false;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = text[i];
		if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (uint8_t)word[i])
			return false;
	}
	return true;
}

#endif
