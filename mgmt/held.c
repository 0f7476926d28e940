/*            ┌──────────────── CR LF ────────────────┐
 *   SIZE ─hex─▶ SIZE ─; or blank─▶ EXTENSION ─LF─▶ DATA ─▶ DATA_CR ─▶ DATA_LF
 *     └ size 0 ─▶ TRAILER ─empty line─▶ over
 *   PLAIN: by length or to the end
 *
 * A bare LF counts as CR LF. */
#include "mgmt/held.h"

enum { PLAIN, SIZE, SIZE_CR, EXTENSION, DATA, DATA_CR, DATA_LF, TRAILER, TRAILER_LINE, OVER };

static const char not_there[] = "the answer's body does not hold the text";
static const char damaged[] = "the chunks of the answer's body are damaged";

void
sl_held_prepare(struct sl_held_text *t, const char *text)
{
	size_t len = strnlen(text, SL_HELD_TEXT_MAX - 1), k = 0;

	*t = (struct sl_held_text){.len = (uint16_t)len};
	memcpy(t->text, text, len);
	for (size_t i = 1; i < len; i++) {
		while (k && t->text[i] != t->text[k])
			k = t->back[k - 1];
		k += t->text[i] == t->text[k];
		t->back[i] = (uint8_t)k;
	}
}

int
sl_held_begin(struct sl_held *h, const struct sl_answer *a, unsigned status, const char **ret_why)
{
	bool none = status == 101 || status == 204 || status == 304;

	*h = (struct sl_held){0};
	if (none) {
		*ret_why = not_there;
		return SL_BAD;
	}
	if (a->unframed) {
		*ret_why = "the answer's head does not say how long its body is";
		return SL_BAD;
	}
	h->state = a->chunked ? SIZE : PLAIN;
	h->to_end = !a->chunked && !a->sized;
	h->left = a->chunked ? 0 : a->length;
	if (!a->chunked && a->sized && a->length == 0) {
		*ret_why = not_there;
		return SL_BAD;
	}
	return 0;
}

static int
hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A byte of the body; true: the text is there. */
static bool
look(struct sl_held *h, const struct sl_held_text *t, uint8_t c)
{
	h->seen++;
	while (h->pos && c != t->text[h->pos])
		h->pos = t->back[h->pos - 1];
	h->pos = (uint16_t)(h->pos + (c == t->text[h->pos]));
	return h->pos == t->len;
}

static unsigned
size_end(struct sl_held *h)
{
	return h->line == 0 ? OVER + 1 : h->left ? DATA : TRAILER;
}

/* Of chunks, what is no data: the next state, or OVER + 1: damaged.  line: digits in SIZE, bytes elsewhere. */
static unsigned
frame(struct sl_held *h, uint8_t c)
{
	switch (h->state) {
	case SIZE:
		if (hex(c) >= 0 && h->line < 15) {
			h->left = h->left << 4 | (unsigned)hex(c);
			h->line++;
			return SIZE;
		}
		if (c == '\r')
			return SIZE_CR;
		if (c == '\n')
			return size_end(h);
		return h->line && (c == ';' || c == ' ' || c == '\t') ? EXTENSION : OVER + 1u;
	case SIZE_CR:
		return c == '\n' ? size_end(h) : OVER + 1u;
	case EXTENSION:
		if (c == '\n')
			return size_end(h);
		return ++h->line < SL_HELD_LINE_MAX ? EXTENSION : OVER + 1u;
	case DATA_CR:
		if (c == '\r')
			return DATA_LF;
		/* fall through */
	case DATA_LF:
		h->line = 0;
		h->left = 0;
		return c == '\n' ? SIZE : OVER + 1u;
	case TRAILER:
		if (c == '\n')
			return OVER;
		if (c == '\r')
			return ++h->line < SL_HELD_LINE_MAX ? TRAILER : OVER + 1u;
		/* fall through */
	default: /* TRAILER_LINE */
		if (++h->line >= SL_HELD_LINE_MAX)
			return OVER + 1u;
		return c == '\n' ? TRAILER : TRAILER_LINE;
	}
}

static bool
is_data(const struct sl_held *h)
{
	return h->state == PLAIN || h->state == DATA;
}

/* One byte: 1 there, 0 go on, SL_BAD. */
static int
step(struct sl_held *h, const struct sl_held_text *t, uint8_t c, const char **ret_why)
{
	if (!is_data(h)) {
		unsigned next = frame(h, c);
		if (++h->framed > SL_HELD_FRAME_MAX)
			next = OVER + 1;
		h->state = (uint8_t)SL_MIN(next, (unsigned)OVER);
		*ret_why = next > OVER ? damaged : not_there;
		return next >= OVER ? SL_BAD : SL_PARTIAL;
	}
	if (look(h, t, c))
		return 1;
	*ret_why = not_there;
	if (h->seen >= SL_HELD_BODY_MAX)
		return SL_BAD;
	if (h->to_end || --h->left > 0)
		return SL_PARTIAL;
	if (h->state == PLAIN)
		return SL_BAD;
	h->state = DATA_CR;
	return SL_PARTIAL;
}

int
sl_held_feed(struct sl_held *h, const struct sl_held_text *t, const void *data, size_t len,
	     const char **ret_why)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++) {
		int got = step(h, t, p[i], ret_why);
		if (got != SL_PARTIAL)
			return got;
	}
	return SL_PARTIAL;
}

const char *
sl_held_end(const struct sl_held *h)
{
	return h->to_end ? not_there : "connection closed in the middle of the answer's body";
}
