#include "tests/sim/http_read.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

void
read_begin(struct http_read *r, bool answer)
{
	r->answer = answer;
	r->no_body = false;
	r->state = R_HEAD;
	r->head_len = r->line_len = 0;
	r->status = r->version = 0;
	r->chunked = r->closes = r->has_length = false;
	r->left = r->moved = 0;
	r->bad = NULL;
}

const char *
read_header(const struct http_read *r, const char *name, char *value, size_t room)
{
	size_t n = strlen(name);
	bool found = false;

	for (const char *at = strstr(r->head, "\r\n"); at; at = strstr(at + 2, "\r\n")) {
		if (strncasecmp(at + 2, name, n) || at[2 + n] != ':')
			continue;
		if (found)
			return "\n";
		found = true;
		at += 3 + n;
		at += strspn(at, " \t");
		size_t len = strcspn(at, "\r");
		if (len >= room)
			len = room - 1;
		memcpy(value, at, len);
		value[len] = 0;
	}
	return found ? value : NULL;
}

/* Lines end in CR LF, names are tokens with a colon right behind, nothing is folded, no byte is a control. */
static const char *
lines_bad(const struct http_read *r)
{
	const char *at = strstr(r->head, "\r\n");

	for (unsigned i = 0; i < r->head_len; i++) {
		uint8_t c = (uint8_t)r->head[i];
		if (c == '\n' && (i == 0 || r->head[i - 1] != '\r'))
			return "a bare LF in a head";
		if (c == '\r' && r->head[i + 1] != '\n')
			return "a bare CR in a head";
		if ((c < 32 && c != '\r' && c != '\n' && c != '\t') || c == 127)
			return "a control byte in a head";
	}
	for (; at && at[2]; at = strstr(at + 2, "\r\n")) {
		size_t n = strcspn(at + 2, ":\r");
		if (at[2 + n] != ':' || n == 0)
			return "a header line without a name";
		for (size_t i = 0; i < n; i++)
			if (!isalnum((uint8_t)at[2 + i]) && !strchr("!#$%&'*+-.^_`|~", at[2 + i]))
				return "a header name that is no token";
	}
	return NULL;
}

static const char *
first_line_bad(struct http_read *r)
{
	unsigned major, minor;

	if (r->answer) {
		if (sscanf(r->head, "HTTP/%1u.%1u %3u ", &major, &minor, &r->status) != 3 ||
		    major != 1)
			return "a status line that is none";
	} else if (sscanf(r->head, "%15[A-Z] %127s HTTP/%1u.%1u", r->method, r->target, &major,
			  &minor) != 4 ||
		   major != 1) {
		return "a request line that is none";
	}
	r->version = 10 * major + minor;
	return NULL;
}

static const char *
framing_bad(struct http_read *r)
{
	char value[64], conn[64];
	const char *te = read_header(r, "transfer-encoding", value, sizeof(value));
	const char *close = read_header(r, "connection", conn, sizeof(conn));

	r->closes = close ? strcasecmp(close, "close") == 0 : r->version == 10;
	if (te && strcmp(te, "chunked"))
		return "a transfer coding that is not chunked";
	r->chunked = te;
	const char *cl = read_header(r, "content-length", value, sizeof(value));
	if (cl && te)
		return "a length beside a coding";
	if (cl && (!*cl || strspn(cl, "0123456789") != strlen(cl)))
		return "a length that is none, or two";
	r->has_length = cl;
	r->left = cl ? strtoull(cl, NULL, 10) : 0;
	if (r->chunked && r->version == 10)
		return "chunks in HTTP/1.0";
	if (!r->answer && r->version == 11) {
		const char *host = read_header(r, "host", value, sizeof(value));
		if (!host || *host == '\n')
			return "not one host";
	}
	return NULL;
}

static enum read_event
head_came(struct http_read *r)
{
	bool none = r->no_body;

	r->bad = first_line_bad(r);
	if (!r->bad)
		r->bad = lines_bad(r);
	if (!r->bad)
		r->bad = framing_bad(r);
	if (r->bad)
		return READ_BAD;
	none |= r->answer && (r->status < 200 || r->status == 204 || r->status == 304);
	if (none || (!r->chunked && !r->has_length && !r->answer))
		r->state = R_END;
	else if (r->chunked)
		r->state = R_SIZE;
	else if (r->has_length)
		r->state = r->left ? R_LENGTH : R_END;
	else
		r->state = R_CLOSE;
	return READ_HEAD;
}

/* A byte of a line of a chunked body; whether it is whole (r->line). */
static bool
line_byte(struct http_read *r, char c)
{
	if (r->line_len + 1 >= sizeof(r->line)) {
		r->bad = "a line of a chunked body is too long";
		return false;
	}
	r->line[r->line_len++] = c;
	if (c != '\n')
		return false;
	if (r->line_len < 2 || r->line[r->line_len - 2] != '\r')
		r->bad = "a line of a chunked body ends without CR";
	r->line[r->line_len - SL_MIN(r->line_len, 2u)] = 0;
	r->line_len = 0;
	return true;
}

static void
line_came(struct http_read *r)
{
	char *end;

	if (r->state == R_DATA_END) {
		if (r->line[0])
			r->bad = "no CR LF behind a chunk";
		r->state = R_SIZE;
	} else if (r->state == R_SIZE) {
		r->left = strtoull(r->line, &end, 16);
		if (end == r->line || *end)
			r->bad = "a chunk size that is none";
		r->state = r->left ? R_DATA : R_TRAILER;
	} else if (!r->line[0]) {
		r->state = R_END;
	}
}

static enum read_event
head_byte(struct http_read *r, char c)
{
	if (r->head_len + 1 >= sizeof(r->head)) {
		r->bad = "a head that does not end";
		return READ_BAD;
	}
	r->head[r->head_len++] = c;
	r->head[r->head_len] = 0;
	if (c != '\n' || r->head_len < 4 || memcmp(r->head + r->head_len - 4, "\r\n\r\n", 4))
		return READ_MORE;
	r->head_len -= 2;
	r->head[r->head_len] = 0;
	return head_came(r);
}

enum read_event
read_feed(struct http_read *r, const uint8_t *bytes, unsigned n, unsigned *ret_used,
	  const uint8_t **ret_body, unsigned *ret_n)
{
	unsigned i = 0;

	for (;;) {
		*ret_used = i;
		if (r->state == R_END) {
			r->state = R_OVER;
			return READ_END;
		}
		if (i == n)
			return READ_MORE;
		if (r->state == R_HEAD) {
			enum read_event e = head_byte(r, (char)bytes[i++]);
			*ret_used = i;
			if (e != READ_MORE)
				return e;
		} else if (r->state == R_LENGTH || r->state == R_DATA || r->state == R_CLOSE) {
			unsigned k = r->state == R_CLOSE ? n - i : (unsigned)SL_MIN(n - i, r->left);
			*ret_body = bytes + i;
			*ret_n = k;
			*ret_used = i + k;
			r->moved += k;
			if (r->state != R_CLOSE && (r->left -= k) == 0)
				r->state = r->state == R_LENGTH ? R_END : R_DATA_END;
			return READ_BODY;
		} else if (r->state == R_OVER) {
			r->bad = "bytes behind the end";
			return READ_BAD;
		} else if (line_byte(r, (char)bytes[i++])) {
			line_came(r);
		}
		if (r->bad) {
			*ret_used = i;
			return READ_BAD;
		}
	}
}
