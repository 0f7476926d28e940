/* A head is read in two steps.  Line by line in the order of the bytes: each whole line is right or is the reason for the
 * refusal, whatever comes behind it.  Then, when the empty line is there, what the lines say together: framing, host,
 * connection.  So the answer for a longer piece follows from that for a shorter one, and a piece only has to be looked at
 * from its first new line on.
 *
 *   METHOD SP target SP HTTP/1.1 CR LF          HTTP/1.1 SP status [ SP reason ] CR LF
 *   *( name ":" OWS value OWS CR LF )
 *   CR LF
 */
#include "l7/http1_lines.h"

#include <arpa/inet.h>

#define METHOD_MAX 32
#define HOST_MAX 255
#define OPTIONS_MAX 64 /* elements in all Connection lines: each is looked for among the lines */
#define LENGTH_DIGITS 19
#define VERSION_LEN 8 /* "HTTP/1.1" */
#define HTTP_1_0 0x302e312f50545448ull
#define HTTP_1_1 0x312e312f50545448ull
#define LINE_MIN 2 /* CR LF */
#define LEAST 12   /* "M / HTTP/1.1" */

static const struct {
	const char *name, *text;
	uint16_t status;
} bads[SL_HTTP_BAD_CNT] = {
#define X(CODE, status, metric, text) [SL_HTTP_BAD_##CODE] = {metric, text, status},
	SL_HTTP_BADS(X)
#undef X
};

unsigned
sl_http_bad_status(enum sl_http_bad why)
{
	return (unsigned)why < SL_HTTP_BAD_CNT ? bads[why].status : 400;
}

const char *
sl_http_bad_name(enum sl_http_bad why)
{
	return (unsigned)why < SL_HTTP_BAD_CNT ? bads[why].name : "unknown";
}

const char *
sl_http_bad_text(enum sl_http_bad why)
{
	return (unsigned)why < SL_HTTP_BAD_CNT ? bads[why].text : "unknown";
}

static int
bad(enum sl_http_bad *ret_why, enum sl_http_bad why)
{
	*ret_why = why;
	return SL_BAD;
}

/* ---- hosts ---- */

static bool
host_v6(const uint8_t *text, uint32_t len)
{
	char word[INET6_ADDRSTRLEN];
	struct in6_addr a;

	if (len == 0 || len >= sizeof(word) || memchr(text, 0, len))
		return false;
	memcpy(word, text, len);
	word[len] = 0;
	return inet_pton(AF_INET6, word, &a) == 1;
}

static bool
port_is(const uint8_t *b, uint32_t p, uint32_t end)
{
	uint32_t v = 0;

	if (p == end || end - p > 5)
		return false;
	for (; p < end; p++) {
		if (b[p] < '0' || b[p] > '9')
			return false;
		v = v * 10 + (b[p] - '0');
	}
	return v <= 65535;
}

/* host [":" port].  Names hold letters, digits and "-._~": neither percent-codes nor sub-delims, which nothing that serves
 * HTTP is called by and which readers do not agree about. */
static bool
authority(const uint8_t *b, uint32_t p, uint32_t end, uint16_t *ret_host_len)
{
	uint32_t e;

	if (p < end && b[p] == '[') {
		const uint8_t *close = memchr(b + p, ']', end - p);
		if (!close || !host_v6(b + p + 1, (uint32_t)(close - b) - p - 1))
			return false;
		e = (uint32_t)(close - b) + 1;
	} else {
		e = sl_http_name_end(b, p, end);
	}
	if (e == p || e - p > HOST_MAX)
		return false;
	if (e < end && (b[e] != ':' || !port_is(b, e + 1, end)))
		return false;
	*ret_host_len = (uint16_t)(e - p);
	return true;
}

/* ---- the request line ---- */

#define BYTES 0x0101010101010101ull

/* The method at b[0, *ret_len), of a line that has LEAST bytes at least; OTHER: *ret_len is not set. */
static unsigned
method_of(const uint8_t *b, uint32_t *ret_len)
{
	uint64_t word = sl_load64(b), other = word ^ BYTES * ' ';
	uint64_t space =
		(other - BYTES) & ~other & BYTES << 7; /* its lowest bit: the first space */

	if (!space)
		return SL_METHOD_OTHER;
	unsigned n = (unsigned)__builtin_ctzll(space) / 8;
	word &= (1ull << 8 * n) - 1;
	*ret_len = n;
#define X(NAME)                                                                                    \
	{                                                                                          \
		static const char name[8] = #NAME;                                                 \
		if (word == sl_load64(name))                                                       \
			return SL_METHOD_##NAME;                                                   \
	}
	SL_METHODS(X)
#undef X
	return SL_METHOD_OTHER;
}

static bool
is_version(const uint8_t *at)
{
	return memcmp(at, "HTTP/", 5) == 0 && at[5] >= '0' && at[5] <= '9' && at[6] == '.' &&
	       at[7] >= '0' && at[7] <= '9';
}

/* 10, 11 or SL_BAD. */
static int
version_of(const uint8_t *at, uint32_t len, enum sl_http_bad *ret_why)
{
	if (len != VERSION_LEN || !is_version(at))
		return bad(ret_why, SL_HTTP_BAD_LINE);
	uint64_t v = sl_load64(at);
	if (v == HTTP_1_1)
		return 11;
	return v == HTTP_1_0 ? 10 : bad(ret_why, SL_HTTP_BAD_VERSION);
}

/* "http://host:port/path?query": the path may be missing, and is then the second "/" of "//". */
static bool
absolute(struct sl_http_head *h, uint32_t p, uint32_t end)
{
	const uint8_t *b = h->bytes;
	uint32_t scheme = end - p > 7 && sl_http_says(b + p, 7, "http://")    ? 7
			  : end - p > 8 && sl_http_says(b + p, 8, "https://") ? 8
									      : 0;
	uint32_t at = p + scheme, e = at;

	if (!scheme)
		return false;
	while (e < end && b[e] != '/' && b[e] != '?')
		e++;
	if (!authority(b, at, e, &h->host_len))
		return false;
	h->flags |= SL_HEAD_ABSOLUTE;
	h->host = (uint16_t)at;
	h->authority_len = (uint16_t)(e - at);
	if (e == end || b[e] == '?') {
		h->path = (uint16_t)(at - 1);
		h->path_len = 1;
		/* RFC 9112, 3.2.4 */
		if (e == end && h->method == SL_METHOD_OPTIONS)
			h->flags |= SL_HEAD_STAR;
	} else {
		h->path = (uint16_t)e;
		h->path_len = (uint16_t)((h->query ? h->query - 1u : end) - e);
	}
	return true;
}

static bool
target(struct sl_http_head *h, uint32_t p, uint32_t end)
{
	const uint8_t *b = h->bytes;
	uint32_t query;

	if (!sl_http_is_target(b, p, end, &query))
		return false;
	if (query != UINT32_MAX) {
		h->query = (uint16_t)(query + 1);
		h->query_len = (uint16_t)(end - query - 1);
	}
	if (h->method == SL_METHOD_CONNECT) {
		h->host = (uint16_t)p;
		h->authority_len = (uint16_t)(end - p);
		return authority(b, p, end, &h->host_len) && p + h->host_len < end;
	}
	if (sl_unlikely(b[p] != '/' && b[p] != '*'))
		return absolute(h, p, end);
	h->path = (uint16_t)p;
	h->path_len = (uint16_t)((query == UINT32_MAX ? end : query) - p);
	if (b[p] == '/')
		return true;
	h->flags |= SL_HEAD_STAR;
	return end - p == 1 && h->method == SL_METHOD_OPTIONS;
}

/* Where the target ends in the line [0, e), whose method has m bytes; *ret_version: what follows it.  SL_BAD: the line has
 * no such parts. */
static int
target_end(const uint8_t *b, uint32_t m, uint32_t e, uint8_t *ret_version,
	   enum sl_http_bad *ret_why)
{
	uint32_t v = e - VERSION_LEN;

	if (sl_likely(e >= LEAST && sl_load64(b + v) == HTTP_1_1 && b[v - 1] == ' ' && v - 1 > m)) {
		*ret_version = 11;
		return (int)v - 1;
	}
	const uint8_t *space = memrchr(b, ' ', e);
	v = space ? (uint32_t)(space - b) + 1 : 0;
	if (v <= m + 1)
		return bad(ret_why, SL_HTTP_BAD_LINE);
	int version = version_of(b + v, e - v, ret_why);
	if (version < 0)
		return SL_BAD;
	*ret_version = (uint8_t)version;
	return (int)v - 1;
}

/* The line [0, e) at the beginning of a head. */
static int
request_line(struct sl_http_head *h, uint32_t e, enum sl_http_bad *ret_why)
{
	const uint8_t *b = h->bytes;
	uint32_t m;

	h->method = (uint8_t)(e >= LEAST ? method_of(b, &m) : SL_METHOD_OTHER);
	if (sl_unlikely(h->method == SL_METHOD_OTHER)) {
		m = sl_http_token_end(b, 0, e);
		if (!memchr(b, ' ', e))
			return bad(ret_why, SL_HTTP_BAD_LINE);
		if (b[m] != ' ' || m > METHOD_MAX)
			return bad(ret_why, SL_HTTP_BAD_METHOD);
	}
	h->method_len = (uint16_t)m;
	int end = target_end(b, m, e, &h->version, ret_why);
	if (end < 0)
		return SL_BAD;
	return target(h, m + 1, (uint32_t)end) ? 1 : bad(ret_why, SL_HTTP_BAD_TARGET);
}

/* ---- what the lines say together ---- */

static inline const struct sl_http_line *
known_line(const struct sl_http_head *h, unsigned id)
{
	return h->first[id] == UINT8_MAX ? NULL : &h->line[h->first[id]];
}

/* Whether one of the lines of the known header has the word as an element. */
static bool
lists(const struct sl_http_head *h, unsigned id, const char *word)
{
	for (unsigned i = h->first[id]; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		struct sl_http_list e = {h->bytes, l->value, l->value + l->value_len, 0, 0};
		while (l->known == id && sl_http_list_next(&e))
			if (sl_http_says(h->bytes + e.at, e.len, word))
				return true;
	}
	return false;
}

/* Content-Length: one number, of which all readers think the same. */
static bool
content_length(const uint8_t *text, uint32_t len, uint64_t *ret)
{
	uint64_t v = 0;

	if (len == 0 || len > LENGTH_DIGITS)
		return false;
	for (uint32_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		v = v * 10 + (text[i] - '0'); /* < 10^19 < 2^64 */
	}
	*ret = v;
	return v <= INT64_MAX;
}

/* Length and coding as the lines have them; body becomes LENGTH, CHUNKED or NONE. */
static int
framing(struct sl_http_head *h, const struct sl_http_lines *ls, enum sl_http_bad *ret_why)
{
	const struct sl_http_line *length = known_line(h, SL_HTTP_CONTENT_LENGTH);
	const struct sl_http_line *coding = known_line(h, SL_HTTP_TRANSFER_ENCODING);

	if (sl_likely(!length && !coding))
		return 0;
	if (length && (ls->cnt[SL_HTTP_CONTENT_LENGTH] > 1 ||
		       !content_length(h->bytes + length->value, length->value_len, &h->length)))
		return bad(ret_why, SL_HTTP_BAD_LENGTH);
	if (length && coding)
		return bad(ret_why, SL_HTTP_BAD_BOTH);
	if (coding && (ls->cnt[SL_HTTP_TRANSFER_ENCODING] > 1 || h->version == 10 ||
		       !sl_http_says(h->bytes + coding->value, coding->value_len, "chunked")))
		return bad(ret_why, SL_HTTP_BAD_CODING);
	h->body = coding ? SL_BODY_CHUNKED : SL_BODY_LENGTH;
	return 0;
}

/* Fields for all recipients of a message: Connection must not name them (RFC 9110, 7.6.1), and whoever does wants the
 * gateway to lose what the endpoint goes by. */
static bool
is_end_to_end(unsigned id, const uint8_t *name, uint32_t len)
{
	static const char others[][17] = {"authorization", "cache-control", "content-encoding",
					  "content-type",  "set-cookie",    "forwarded"};

	switch (id) {
	case SL_HTTP_HOST:
	case SL_HTTP_CONTENT_LENGTH:
	case SL_HTTP_EXPECT:
	case SL_HTTP_COOKIE:
	case SL_HTTP_X_FORWARDED_FOR:
	case SL_HTTP_X_FORWARDED_PROTO:
	case SL_HTTP_X_FORWARDED_HOST:
	case SL_HTTP_X_FORWARDED_CLIENT_CERT:
	case SL_HTTP_X_REQUEST_ID:
	case SL_HTTP_USER_AGENT:
		return true;
	case SL_HTTP_KNOWN_NONE:
		for (size_t i = 0; i < SL_ARRAY_CNT(others); i++)
			if (sl_http_says(name, len, others[i]))
				return true;
		return false;
	default:
		return false;
	}
}

enum { OPTION_CLOSE = 1, OPTION_KEEP = 2, OPTION_UPGRADE = 4 };

/* One element of Connection: what it asks for, or 0, or SL_BAD. */
static int
option(struct sl_http_head *h, const uint8_t *text, uint32_t len)
{
	unsigned id = sl_http_known(text, len), i = 0;

	if (sl_http_token_end(text, 0, len) != len || is_end_to_end(id, text, len))
		return SL_BAD;
	if (id == SL_HTTP_KEEP_ALIVE)
		return OPTION_KEEP;
	if (id == SL_HTTP_UPGRADE)
		return OPTION_UPGRADE;
	if (id)
		return 0; /* its line is hop-by-hop as it is */
	if (sl_http_says(text, len, "close"))
		return OPTION_CLOSE;
	uint16_t hash = sl_http_name_hash(text, len);
	while ((i = sl_http_find(h, text, len, hash, i)) < h->line_cnt)
		h->line[i++].hop = 1;
	return 0;
}

/* As sl_http_says, of a value, which has no controls: that the bit of case is set leaves no other word the same. */
static inline bool
is_keep_alive(const uint8_t *text, size_t len)
{
	return len == 10 && (sl_load64(text) | BYTES * 0x20) == sl_load64("keep-ali") &&
	       (sl_load16(text + 8) | 0x2020) == sl_load16("ve");
}

static int
options(struct sl_http_head *h, const struct sl_http_lines *ls)
{
	const struct sl_http_line *first = known_line(h, SL_HTTP_CONNECTION);
	unsigned left = OPTIONS_MAX;
	int all = 0;

	if (!first)
		return 0;
	if (sl_likely(ls->cnt[SL_HTTP_CONNECTION] == 1)) {
		const uint8_t *text = h->bytes + first->value;
		if (sl_likely(is_keep_alive(text, first->value_len)))
			return OPTION_KEEP;
		if (sl_http_says(text, first->value_len, "close"))
			return OPTION_CLOSE;
	}
	for (unsigned i = h->first[SL_HTTP_CONNECTION]; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		struct sl_http_list e = {h->bytes, l->value, l->value + l->value_len, 0, 0};
		while (l->known == SL_HTTP_CONNECTION && sl_http_list_next(&e)) {
			int o = left-- ? option(h, h->bytes + e.at, e.len) : SL_BAD;
			if (o < 0)
				return SL_BAD;
			all |= o;
		}
	}
	return all;
}

static int
connection(struct sl_http_head *h, const struct sl_http_lines *ls, enum sl_http_bad *ret_why)
{
	int o = options(h, ls);

	if (o < 0)
		return bad(ret_why, SL_HTTP_BAD_CONNECTION);
	if (!(o & OPTION_CLOSE) && (h->version == 11 || o & OPTION_KEEP))
		h->flags |= SL_HEAD_KEEP;
	/* In HTTP/1.0 Upgrade means nothing (RFC 9110, 7.8).  HTTP/2 is not begun this way (RFC 9113, 3.1): behind a tunnel
	 * the endpoint would read requests that nobody matched. */
	const struct sl_http_line *upgrade = known_line(h, SL_HTTP_UPGRADE);
	if (upgrade && upgrade->value_len && o & OPTION_UPGRADE && h->version == 11 &&
	    !lists(h, SL_HTTP_UPGRADE, "h2c"))
		h->flags |= SL_HEAD_UPGRADE;
	return 0;
}

static int
host(struct sl_http_head *h, const struct sl_http_lines *ls, enum sl_http_bad *ret_why)
{
	const struct sl_http_line *l = known_line(h, SL_HTTP_HOST);
	uint16_t len = 0;

	if (!l)
		return h->version == 10 ? 0 : bad(ret_why, SL_HTTP_BAD_HOST);
	if (ls->cnt[SL_HTTP_HOST] > 1 ||
	    !authority(h->bytes, l->value, (uint32_t)l->value + l->value_len, &len))
		return bad(ret_why, SL_HTTP_BAD_HOST);
	if (h->authority_len)
		return 0; /* the target's wins (RFC 9112, 3.2.2) */
	h->host = l->value;
	h->host_len = len;
	h->authority_len = l->value_len;
	return 0;
}

/* Whether it is a known header but for "_" in place of "-": to endpoints that make variables of names (CGI, WSGI) it is that
 * header.  "User_Agent" is no matter. */
static bool
is_alias(const uint8_t *name, uint32_t len)
{
	uint8_t plain[32];

	if (len > sizeof(plain) || !memchr(name, '_', len))
		return false;
	for (uint32_t i = 0; i < len; i++)
		plain[i] = name[i] == '_' ? '-' : name[i];
	enum sl_http_known id = sl_http_known(plain, len);
	return id != SL_HTTP_KNOWN_NONE && id != SL_HTTP_USER_AGENT;
}

static SL_COLD bool
has_alias(const struct sl_http_head *h)
{
	for (unsigned i = 0; i < h->line_cnt; i++)
		if (is_alias(h->bytes + h->line[i].name, h->line[i].name_len))
			return true;
	return false;
}

static int
request_lines(struct sl_http_head *h, const struct sl_http_lines *ls, enum sl_http_bad *ret_why)
{
	if (sl_unlikely(ls->underscored && has_alias(h)))
		return bad(ret_why, SL_HTTP_BAD_ALIAS);
	if (framing(h, ls, ret_why) || host(h, ls, ret_why) || connection(h, ls, ret_why))
		return SL_BAD;
	if (h->version == 11 && ls->cnt[SL_HTTP_EXPECT] && lists(h, SL_HTTP_EXPECT, "100-continue"))
		h->flags |= SL_HEAD_CONTINUE;
	if (ls->cnt[SL_HTTP_TE] && lists(h, SL_HTTP_TE, "trailers"))
		h->flags |= SL_HEAD_TRAILERS;
	return 0;
}

/* ---- the status line ---- */

static int
status_line(struct sl_http_head *h, uint32_t e, enum sl_http_bad *ret_why)
{
	const uint8_t *b = h->bytes;

	if (e < VERSION_LEN + 1 || b[VERSION_LEN] != ' ')
		return bad(ret_why, SL_HTTP_BAD_LINE);
	int version = version_of(b, VERSION_LEN, ret_why);
	if (version < 0)
		return SL_BAD;
	uint32_t p = VERSION_LEN + 1, status = 0;
	for (; p < e && b[p] >= '0' && b[p] <= '9' && p < VERSION_LEN + 4; p++)
		status = status * 10 + (b[p] - '0');
	if (p != VERSION_LEN + 4 || status < 100 || (p < e && b[p] != ' '))
		return bad(ret_why, SL_HTTP_BAD_STATUS);
	/* The space before an empty reason is often left out, and is no matter. */
	h->version = (uint8_t)version;
	h->status = (uint16_t)status;
	h->reason = (uint16_t)SL_MIN(p + 1, e);
	h->reason_len = (uint16_t)(e - h->reason);
	for (p = h->reason; p < e; p++)
		if ((b[p] < 0x20 && b[p] != '\t') || b[p] == 0x7f)
			return bad(ret_why, SL_HTTP_BAD_LINE);
	return 1;
}

/* RFC 9112, 6.3.  Framing of an answer that has no body says what another one would have (HEAD, 304), or is nonsense. */
static int
response_lines(struct sl_http_head *h, const struct sl_http_lines *ls, unsigned method,
	       enum sl_http_bad *ret_why)
{
	bool bare = h->status < 200 || h->status == 204;
	bool tunnel = method == SL_METHOD_CONNECT && h->status / 100 == 2;

	if (framing(h, ls, ret_why) || connection(h, ls, ret_why))
		return SL_BAD;
	if ((bare || tunnel) && h->body == SL_BODY_CHUNKED)
		return bad(ret_why, SL_HTTP_BAD_CODING);
	if (bare && h->length)
		return bad(ret_why, SL_HTTP_BAD_LENGTH);
	if (bare || tunnel || h->status == 304 || method == SL_METHOD_HEAD) {
		h->body = SL_BODY_NONE;
	} else if (h->body == SL_BODY_NONE) {
		h->body = SL_BODY_CLOSE;
		h->flags &= (uint16_t)~SL_HEAD_KEEP;
	}
	return 0;
}

/* ---- heads ---- */

/* What may be read of a head: no more than the limit, empty lines before it left out. */
struct window {
	const uint8_t *bytes;
	uint32_t skip, end, from; /* end, from: as seen from bytes */
	bool full;                /* no more will be looked at */
};

static struct window
window(const uint8_t *bytes, uint32_t len, uint32_t from, uint32_t skip, uint32_t max)
{
	uint32_t end = SL_MIN(len, max);

	return (struct window){bytes + skip, skip, end - skip, from > skip ? from - skip : 0,
			       len >= max};
}

static int
partial(const struct window *w, enum sl_http_bad *ret_why)
{
	return w->full ? bad(ret_why, SL_HTTP_BAD_TOO_LONG) : SL_PARTIAL;
}

static void
head_init(struct sl_http_head *h, const uint8_t *bytes)
{
	memset(h, 0, offsetof(struct sl_http_head, first));
	memset(h->first, UINT8_MAX, sizeof(h->first));
	h->bytes = bytes;
}

typedef int start_line(struct sl_http_head *h, uint32_t e, enum sl_http_bad *ret_why);

/* A head that is whole and has no line that is wrong, the start line aside; 0: it is not so. */
static inline int
read_whole(const struct window *w, start_line *start, struct sl_http_lines *ls,
	   struct sl_http_head *h, enum sl_http_bad *ret_why)
{
	uint32_t e;

	head_init(h, w->bytes);
	*ls = (struct sl_http_lines){.max = ls->max};
	int n = sl_http_lines_whole(ls, w->bytes, w->end, h, &e);
	if (sl_unlikely(n == 0))
		return 0;
	h->len = (uint16_t)n;
	return start(h, e, ret_why) < 0 ? SL_BAD : n;
}

/* Of a head that is not whole, or that has a line that is wrong: which.  > 0: there is none; the lines behind `from` are in h. */
static SL_COLD int
read_lines(const struct window *w, uint32_t from, start_line *start, struct sl_http_lines *ls,
	   struct sl_http_head *h, enum sl_http_bad *ret_why)
{
	int e = sl_http_line_end(w->bytes, 0, w->end);

	head_init(h, w->bytes);
	*ls = (struct sl_http_lines){.max = ls->max};
	if (e <= 0)
		return e ? bad(ret_why, SL_HTTP_BAD_NEWLINE) : partial(w, ret_why);
	uint32_t p = (uint32_t)e + LINE_MIN;
	if (from <= p && start(h, (uint32_t)e, ret_why) < 0)
		return SL_BAD;
	int n = from > p ? sl_http_lines_resume(ls, w->bytes, p, from, w->end, h, ret_why)
			 : sl_http_lines(ls, w->bytes, p, w->end, 0, h, ret_why);
	h->len = (uint16_t)(n > 0 ? n : 0);
	return n ? n : partial(w, ret_why);
}

/* The start line and the header lines.  > 0: the head is whole, and has that many bytes. */
static inline int
read_head(const struct window *w, start_line *start, struct sl_http_lines *ls,
	  struct sl_http_head *h, enum sl_http_bad *ret_why)
{
	int n;

	if (w->from) {
		if (w->from >= w->end || !memchr(w->bytes + w->from, '\n', w->end - w->from))
			return partial(w, ret_why);
		n = read_lines(w, w->from, start, ls, h, ret_why);
		if (n <= 0)
			return n;
	}
	n = read_whole(w, start, ls, h, ret_why);
	return sl_likely(n) ? n : read_lines(w, 0, start, ls, h, ret_why);
}

/* Empty lines before a request: their bytes, SL_BAD: what follows them cannot be a method. */
static int
empty_lines(const uint8_t *b, uint32_t len, enum sl_http_bad *ret_why)
{
	uint32_t p = 0;

	if (sl_likely(len && b[0] >= 'A' && b[0] <= 'Z'))
		return 0;
	while (p < 2 * LINE_MIN && len - p >= 2 && b[p] == '\r' && b[p + 1] == '\n')
		p += LINE_MIN;
	if (p == len || sl_http_token_end(b, p, p + 1) != p)
		return (int)p;
	if (b[p] == '\n')
		return bad(ret_why, SL_HTTP_BAD_NEWLINE);
	if (b[p] != '\r')
		return bad(ret_why, SL_HTTP_BAD_METHOD);
	if (p + 1 == len)
		return (int)p;
	return bad(ret_why, b[p + 1] == '\n' ? SL_HTTP_BAD_LINE : SL_HTTP_BAD_METHOD);
}

int
sl_http_request(const uint8_t *bytes, uint32_t len, uint32_t from,
		const struct sl_http_limits *limits, struct sl_http_head *ret_head,
		enum sl_http_bad *ret_why)
{
	struct sl_http_lines ls = {.max = limits->max_headers};
	int skip = empty_lines(bytes, len, ret_why);

	if (skip < 0)
		return SL_BAD;
	struct window w = window(bytes, len, from, (uint32_t)skip, limits->max_head);
	int n = read_head(&w, request_line, &ls, ret_head, ret_why);
	if (n <= 0)
		return n;
	return request_lines(ret_head, &ls, ret_why) ? SL_BAD : skip + n;
}

int
sl_http_response(const uint8_t *bytes, uint32_t len, uint32_t from, uint8_t method,
		 const struct sl_http_limits *limits, struct sl_http_head *ret_head,
		 enum sl_http_bad *ret_why)
{
	struct sl_http_lines ls = {.max = limits->max_headers};
	struct window w = window(bytes, len, from, 0, limits->max_head);

	if (len && memcmp(bytes, "HTTP/", SL_MIN(len, 5u)) != 0)
		return bad(ret_why, SL_HTTP_BAD_LINE);
	int n = read_head(&w, status_line, &ls, ret_head, ret_why);
	if (n <= 0)
		return n;
	return response_lines(ret_head, &ls, method, ret_why) ? SL_BAD : n;
}
