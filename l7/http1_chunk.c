/* chunk = size *( BWS ";" BWS name [ BWS "=" BWS value ] ) CR LF data CR LF      (RFC 9112, 7.1)
 *
 * A state a byte; the lines are short.  What stands where nobody expects it is refused, since a reader that passes over it and
 * one that does not would see different bodies: white space behind the size or an extension, a bare CR or LF, a control in a
 * quoted string.
 */
#include "l7/http1_lines.h"

#define SIZE_DIGITS 16

enum {
	SIZE_FIRST,
	SIZE,
	SIZE_SPACE, /* before ";" */
	NAME_FIRST, /* behind ";" */
	NAME,
	NAME_SPACE,  /* before "=" or ";" */
	VALUE_FIRST, /* behind "=" */
	VALUE,
	VALUE_SPACE, /* before ";" */
	QUOTED,
	QUOTED_PAIR, /* behind a backslash */
	QUOTED_END,  /* behind the last quote */
	LINE_LF,
	DATA_CR,
	DATA_LF,
	ENDED,
	WRONG,
};

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
is_token(uint8_t c)
{
	return sl_http_token_end(&c, 0, 1) == 1;
}

static bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool
is_text(uint8_t c)
{
	return c == '\t' || (c >= 0x20 && c != 0x7f);
}

/* Behind a whole size, name, value. */
static unsigned
behind(uint8_t c, unsigned space)
{
	return c == '\r' ? LINE_LF : c == ';' ? NAME_FIRST : is_space(c) ? space : WRONG;
}

static unsigned
size_byte(struct sl_http_chunked *c, uint8_t byte)
{
	int d = digit(byte);

	if (d < 0)
		return c->state == SIZE ? behind(byte, SIZE_SPACE) : WRONG;
	if (c->line >= SIZE_DIGITS || c->size > INT64_MAX >> 4)
		return WRONG;
	c->size = c->size << 4 | (unsigned)d;
	return SIZE;
}

/* The state behind a byte of a chunk's line or of the CR LF before it. */
static unsigned
step(struct sl_http_chunked *c, uint8_t byte)
{
	switch (c->state) {
	case SIZE_FIRST:
	case SIZE:
		return size_byte(c, byte);
	case SIZE_SPACE:
	case VALUE_SPACE:
		return byte == '\r' ? WRONG : behind(byte, c->state);
	case NAME_FIRST:
		return is_token(byte) ? NAME : is_space(byte) ? NAME_FIRST : WRONG;
	case NAME:
		return is_token(byte) ? NAME : byte == '=' ? VALUE_FIRST : behind(byte, NAME_SPACE);
	case NAME_SPACE:
		return byte == '=' ? VALUE_FIRST : byte == '\r' ? WRONG : behind(byte, NAME_SPACE);
	case VALUE_FIRST:
		return is_token(byte)   ? VALUE
		       : byte == '"'    ? QUOTED
		       : is_space(byte) ? VALUE_FIRST
					: WRONG;
	case VALUE:
		return is_token(byte) ? VALUE : behind(byte, VALUE_SPACE);
	case QUOTED:
		return byte == '"'     ? QUOTED_END
		       : byte == '\\'  ? QUOTED_PAIR
		       : is_text(byte) ? QUOTED
				       : WRONG;
	case QUOTED_PAIR:
		return is_text(byte) ? QUOTED : WRONG;
	case QUOTED_END:
		return behind(byte, VALUE_SPACE);
	case DATA_CR:
		return byte == '\r' ? DATA_LF : WRONG;
	case DATA_LF:
		return byte == '\n' ? SIZE_FIRST : WRONG;
	default:
		return WRONG;
	}
}

enum sl_chunk_event
sl_http_chunk(struct sl_http_chunked *c, const uint8_t *bytes, uint32_t len, uint32_t *ret_used)
{
	uint32_t p = 0;

	for (; p < len; p++) {
		if (c->state == LINE_LF && bytes[p] == '\n')
			break;
		bool data = c->state == DATA_CR || c->state == DATA_LF;
		c->state = (uint8_t)step(c, bytes[p]);
		c->line += !data;
		/* Its LF, too, has to have room. */
		if (c->state == WRONG || c->line >= SL_CHUNK_LINE_MAX) {
			c->state = WRONG;
			return SL_CHUNK_BAD;
		}
	}
	*ret_used = p;
	if (p == len)
		return SL_CHUNK_MORE;
	*ret_used = p + 1;
	c->left = c->size;
	c->size = c->line = 0;
	c->state = c->left ? DATA_CR : ENDED;
	return c->left ? SL_CHUNK_SIZE : SL_CHUNK_END;
}

/* ---- trailers ---- */

/* Fields that must be known before the body (RFC 9110, 6.5.1): framing, routing, modifiers, authentication, what the content
 * is.  Those that end with "-" stand for all that begin so. */
static bool
must_be_first(const uint8_t *name, uint32_t len)
{
	static const char *const names[] = {"authorization", "authentication-info",
					    "cache-control", "content-encoding",
					    "content-range", "content-type",
					    "forwarded",     "if-",
					    "max-forwards",  "pragma",
					    "proxy-",        "range",
					    "set-cookie",    "www-authenticate",
					    "x-forwarded-"};

	for (size_t i = 0; i < SL_ARRAY_CNT(names); i++) {
		size_t n = strlen(names[i]);
		bool family = names[i][n - 1] == '-';
		if (len >= n && (family || len == n) && sl_http_says(name, n, names[i]))
			return true;
	}
	/* All that the gateway reads or writes itself. */
	return sl_http_known(name, len) != SL_HTTP_KNOWN_NONE;
}

static int
bad_trailer(enum sl_http_bad *why)
{
	if (*why != SL_HTTP_BAD_TOO_MANY && *why != SL_HTTP_BAD_TOO_LONG)
		*why = SL_HTTP_BAD_TRAILER;
	return SL_BAD;
}

int
sl_http_trailers(const uint8_t *bytes, uint32_t len, uint32_t from, struct sl_http_head *ret_lines,
		 enum sl_http_bad *ret_why)
{
	struct sl_http_lines ls = {.max = SL_HTTP_HEADERS_MAX};
	struct sl_http_head *h = ret_lines;
	uint32_t end = SL_MIN(len, (uint32_t)SL_TRAILERS_MAX);
	int n = 1;

	memset(h, 0, offsetof(struct sl_http_head, first));
	memset(h->first, UINT8_MAX, sizeof(h->first));
	h->bytes = bytes;
	*ret_why = SL_HTTP_BAD_NONE;
	if (from)
		n = sl_http_lines_resume(&ls, bytes, 0, from, end, h, ret_why);
	if (n > 0) {
		ls = (struct sl_http_lines){.max = SL_HTTP_HEADERS_MAX};
		memset(h->first, UINT8_MAX, sizeof(h->first));
		n = sl_http_lines(&ls, bytes, 0, end, 0, h, ret_why);
	}
	if (n == SL_PARTIAL && len >= SL_TRAILERS_MAX) {
		*ret_why = SL_HTTP_BAD_TOO_LONG;
		return SL_BAD;
	}
	if (n <= 0)
		return n ? bad_trailer(ret_why) : SL_PARTIAL;
	for (unsigned i = 0; i < h->line_cnt; i++) {
		if (must_be_first(bytes + h->line[i].name, h->line[i].name_len)) {
			*ret_why = SL_HTTP_BAD_TRAILER;
			return SL_BAD;
		}
	}
	h->len = (uint16_t)n;
	return n;
}
