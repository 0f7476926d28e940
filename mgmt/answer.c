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

/* ---- the two headers that frame a body ---- */

enum { ANY, LENGTH_NAME, CODING_NAME, LENGTH, LENGTH_DIGITS, LENGTH_END, CODING };

static const char length_name[] = "content-length", coding_name[] = "transfer-encoding",
		  coding[] = "chunked";

static uint8_t
lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* A byte of a header's name, the first with pos 0. */
static void
name_byte(struct sl_answer *a, uint8_t c)
{
	c = lower(c);
	if (a->pos == 0)
		a->field = c == 'c' ? LENGTH_NAME : c == 't' ? CODING_NAME : ANY;
	const char *want = a->field == LENGTH_NAME ? length_name : coding_name;
	if (a->field != ANY && c != (uint8_t)want[a->pos])
		a->field = ANY; /* behind its end, too: a 0 is no byte of a name */
	if (a->field != ANY)
		a->pos++;
	else
		a->pos = 1;
}

static void
name_end(struct sl_answer *a)
{
	bool length = a->field == LENGTH_NAME && !length_name[a->pos];

	a->field = length ? LENGTH : a->field == CODING_NAME && !coding_name[a->pos] ? CODING : ANY;
	a->pos = 0;
	if (length) { /* one of it alone makes sense */
		a->unframed = a->unframed || a->sized;
		a->length = 0;
	}
}

static void
value_byte(struct sl_answer *a, uint8_t c)
{
	bool blank = c == ' ' || c == '\t';

	if (a->field == CODING) {
		if (blank && (a->pos == 0 || !coding[a->pos]))
			return;
		if (coding[a->pos] && lower(c) == (uint8_t)coding[a->pos])
			a->pos++;
		else
			a->unframed = true;
	} else if (a->field == LENGTH || a->field == LENGTH_DIGITS) {
		if (is_digit(c) && a->length < UINT64_MAX / 10 - 1) {
			a->length = a->length * 10 + (c - '0');
			a->field = LENGTH_DIGITS;
		} else if (!blank) {
			a->unframed = true;
		} else if (a->field == LENGTH_DIGITS) {
			a->field = LENGTH_END;
		}
	} else if (a->field == LENGTH_END && !blank) {
		a->unframed = true;
	}
}

static void
value_end(struct sl_answer *a)
{
	if (a->field == CODING) {
		a->unframed = a->unframed || coding[a->pos] || a->chunked;
		a->chunked = true;
	} else if (a->field >= LENGTH) {
		a->unframed = a->unframed || a->field == LENGTH;
		a->sized = true;
	}
	a->field = ANY;
	a->pos = 0;
}

static unsigned
line_end(struct sl_answer *a, uint8_t c, unsigned here)
{
	if (c == '\r' || c == '\n')
		value_end(a);
	else if (here == VALUE && is_text(c))
		value_byte(a, c);
	if (c == '\r')
		return LINE_CR;
	if (c == '\n')
		return START;
	return is_text(c) ? here : BAD;
}

/* ---- the head ---- */

static unsigned
name_step(struct sl_answer *a, uint8_t c)
{
	if (c == ':') {
		name_end(a);
		return VALUE;
	}
	if (!is_token(c))
		return BAD;
	name_byte(a, c);
	return NAME;
}

static unsigned
start_step(struct sl_answer *a, uint8_t c)
{
	if (c == '\r')
		return END_CR;
	if (c == '\n')
		return DONE;
	a->pos = 0;
	return is_token(c) ? name_step(a, c) : BAD;
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
		return line_end(a, c, REASON);
	case LINE_CR:
		return c == '\n' ? START : BAD;
	case START:
		return start_step(a, c);
	case NAME:
		return name_step(a, c);
	case VALUE:
		return line_end(a, c, VALUE);
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
	*a = (struct sl_answer){.bytes = a->bytes};
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
