/*   PREFIX ─"HTTP/1."─▶ MINOR ─0|1─▶ GAP ─SP─▶ DIGITS ─3 digits─▶ AFTER ─SP─▶ REASON ─LF─┐
 *                                                                   └──CR──▶ LINE_CR ─LF─┤
 *      ┌────────────────────────────────────────────────────────────────────────────────┘
 *      ▼
 *   START ─token─▶ NAME ─':'─▶ VALUE ─CR─▶ LINE_CR ─LF─▶ START ─CR─▶ END_CR ─LF─▶ done
 *
 * A bare LF counts as CR LF.  "Done" with 1xx (but 101) starts over at PREFIX. */
#include "mgmt/answer.h"

enum { PREFIX, MINOR, GAP, DIGITS, AFTER, REASON, LINE_CR, START, NAME, VALUE, END_CR, DONE, BAD };

static const char prefix[] = "HTTP/1.";

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* tchar of RFC 9110, 5.6.2 */
static bool
is_token(uint8_t c)
{
	return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool
is_text(uint8_t c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

static unsigned
line_end(uint8_t c, unsigned here)
{
	if (c == '\r')
		return LINE_CR;
	if (c == '\n')
		return START;
	return is_text(c) ? here : BAD;
}

static unsigned
digit(struct sl_answer *a, uint8_t c)
{
	if (!is_digit(c))
		return BAD;
	a->status = (uint16_t)(a->status * 10 + (c - '0'));
	if (++a->pos < 3)
		return DIGITS;
	return a->status >= 100 && a->status <= 599 ? AFTER : BAD;
}

static unsigned
step(struct sl_answer *a, uint8_t c)
{
	switch (a->state) {
	case PREFIX:
		if (c != (uint8_t)prefix[a->pos])
			return BAD;
		return prefix[++a->pos] ? PREFIX : MINOR;
	case MINOR:
		return c == '0' || c == '1' ? GAP : BAD;
	case GAP:
		a->pos = 0;
		a->status = 0;
		return c == ' ' ? DIGITS : BAD;
	case DIGITS:
		return digit(a, c);
	case AFTER:
		return c == ' ' ? REASON : c == '\r' ? LINE_CR : c == '\n' ? START : BAD;
	case REASON:
		return line_end(c, REASON);
	case LINE_CR:
		return c == '\n' ? START : BAD;
	case START:
		return c == '\r' ? END_CR : c == '\n' ? DONE : is_token(c) ? NAME : BAD;
	case NAME:
		return c == ':' ? VALUE : is_token(c) ? NAME : BAD;
	case VALUE:
		return line_end(c, VALUE);
	case END_CR:
		return c == '\n' ? DONE : BAD;
	default:
		return BAD;
	}
}

static const char *
what_is_bad(unsigned state)
{
	switch (state) {
	case PREFIX:
	case MINOR:
		return "answer does not begin with HTTP/1.0 or HTTP/1.1";
	case GAP:
	case DIGITS:
	case AFTER:
		return "answer has no status code from 100 to 599";
	case LINE_CR:
	case END_CR:
		return "answer has a carriage return without line feed";
	case START:
	case NAME:
		return "answer has a header line that is not \"name: value\"";
	default:
		return "answer has a control character in its head";
	}
}

static void
start_over(struct sl_answer *a)
{
	a->state = PREFIX;
	a->pos = 0;
	a->status = 0;
}

int
sl_answer_feed(struct sl_answer *a, const void *data, size_t len, unsigned *ret_status,
	       const char **ret_why)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		if (a->bytes >= SL_ANSWER_HEAD_MAX) {
			a->state = BAD;
			*ret_why = "answer's head is longer than 8192 bytes";
			return SL_BAD;
		}
		a->bytes++;
		unsigned was = a->state, now = step(a, p[i]);
		a->state = (uint16_t)now;
		if (now == BAD) {
			*ret_why = what_is_bad(was);
			return SL_BAD;
		}
		if (now != DONE)
			continue;
		if (a->status >= 200 || a->status == 101) {
			*ret_status = a->status;
			return (int)i + 1;
		}
		start_over(a);
	}
	return SL_PARTIAL;
}

const char *
sl_answer_end(const struct sl_answer *a)
{
	return a->bytes == 0 ? "connection closed without an answer"
			     : "connection closed in the middle of the answer's head";
}
