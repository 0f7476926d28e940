/* http1 — HTTP/1.x heads, chunked bodies and trailers as bytes: what they say, or why they are refused.
 *
 * Strict (RFC 9112, 9110): what two readers could take for two things is refused, so that nothing ambiguous ever reaches an
 * endpoint.  Bare LF, obs-fold, NUL and other controls, a space before the colon or in a name, an empty name, Content-Length
 * with Transfer-Encoding, two lengths, a name that frames but for "_" in place of "-", a length that is not digits or does not fit, a transfer coding other than one "chunked"
 * at the end, chunked in HTTP/1.0, two Hosts or none (HTTP/1.1), a Host that is not one, a fragment in the target.
 * Three-way: > 0 bytes consumed, SL_PARTIAL, SL_BAD with a reason; the answer does not depend on how the bytes were split.
 * Pure.  Threads: [any].  Nothing is allocated; heads point into the caller's bytes by offset.
 */
#ifndef SL_L7_HTTP1_H
#define SL_L7_HTTP1_H

#include "sluice/image.h"

/* Bytes of somebody else's; .at NULL: there are none at all. */
struct sl_bytes {
	const uint8_t *at;
	uint32_t len;
};

/* X(CODE, status, "metric", "sentence"): why a message is refused. */
#define SL_HTTP_BADS(X)                                                                            \
	X(NONE, 0, "none", "nothing is wrong")                                                     \
	X(LINE, 400, "bad_line", "request or status line is not one")                              \
	X(METHOD, 400, "bad_method", "method is not a token, or too long")                         \
	X(TARGET, 400, "bad_target", "target is not a path, an absolute URI with http, or *")      \
	X(VERSION, 505, "bad_version", "version is not HTTP/1.0 or HTTP/1.1")                      \
	X(NAME, 400, "bad_name",                                                                   \
	  "header name is empty or not a token, or a space stands before the colon")               \
	X(VALUE, 400, "bad_value", "header value holds a control byte")                            \
	X(NEWLINE, 400, "bad_newline", "line ends without CR LF")                                  \
	X(FOLD, 400, "bad_fold", "header line is continued on the next one (obs-fold)")            \
	X(LENGTH, 400, "bad_length",                                                               \
	  "Content-Length is not one number that fits, or stands twice")                           \
	X(BOTH, 400, "bad_framing", "Content-Length stands beside Transfer-Encoding")              \
	X(CODING, 400, "bad_coding", "Transfer-Encoding is not chunked, once, at the end")         \
	X(HOST, 400, "bad_host", "Host is missing, stands twice, or is not a host")                \
	X(CHUNK, 400, "bad_chunk",                                                                 \
	  "chunk size is not one, too long, or its data does not end in CR LF")                    \
	X(TRAILER, 400, "bad_trailer", "trailer is not a header, or one that says how to frame")   \
	X(STATUS, 502, "bad_status", "status code is not three digits from 100 on")                \
	X(TOO_LONG, 431, "head_too_long", "head is longer than the limit")                         \
	X(TOO_MANY, 431, "head_too_many", "head has more lines than the limit")                    \
	X(CONNECTION, 400, "bad_connection",                                                       \
	  "Connection is not a list of names, or names a field that is for all recipients")        \
	X(ALIAS, 400, "bad_alias",                                                                 \
	  "header name is one that frames, or that the gateway writes, with _ in place of -")

enum sl_http_bad {
#define X(CODE, status, metric, text) SL_HTTP_BAD_##CODE,
	SL_HTTP_BADS(X)
#undef X
		SL_HTTP_BAD_CNT
};
unsigned sl_http_bad_status(enum sl_http_bad why); /* of a request */
const char *sl_http_bad_name(enum sl_http_bad why);
const char *sl_http_bad_text(enum sl_http_bad why);

/* Headers that the gateway itself reads or writes; X(ID, "lower-case"). */
#define SL_HTTP_KNOWN(X)                                                                           \
	X(HOST, "host")                                                                            \
	X(CONTENT_LENGTH, "content-length")                                                        \
	X(TRANSFER_ENCODING, "transfer-encoding")                                                  \
	X(CONNECTION, "connection")                                                                \
	X(KEEP_ALIVE, "keep-alive")                                                                \
	X(PROXY_CONNECTION, "proxy-connection")                                                    \
	X(TE, "te")                                                                                \
	X(TRAILER, "trailer")                                                                      \
	X(UPGRADE, "upgrade")                                                                      \
	X(EXPECT, "expect")                                                                        \
	X(COOKIE, "cookie")                                                                        \
	X(X_FORWARDED_FOR, "x-forwarded-for")                                                      \
	X(X_FORWARDED_PROTO, "x-forwarded-proto")                                                  \
	X(X_FORWARDED_HOST, "x-forwarded-host")                                                    \
	X(X_REQUEST_ID, "x-request-id")                                                            \
	X(X_FORWARDED_CLIENT_CERT, "x-forwarded-client-cert")                                      \
	X(USER_AGENT, "user-agent")

enum sl_http_known {
	SL_HTTP_KNOWN_NONE,
#define X(ID, name) SL_HTTP_##ID,
	SL_HTTP_KNOWN(X)
#undef X
		SL_HTTP_KNOWN_CNT
};
/* By name in any case, NONE: not one of these. */
enum sl_http_known sl_http_known(const uint8_t *name, size_t len);
/* sl_http_reserved: a header that operators' edits may not touch: framing, hop-by-hop (RFC 9110, 7.6.1), host. */
bool sl_http_reserved(const uint8_t *name, size_t len);

struct sl_http_line {
	uint16_t name, name_len;   /* from the head's first byte */
	uint16_t value, value_len; /* without white space around it */
	uint8_t known;             /* enum sl_http_known */
	uint8_t hop;               /* 1: hop-by-hop: it, or named by Connection.  Not passed on */
	uint16_t hash;             /* of the name in lower case (sl_http_name_hash) */
};

uint16_t sl_http_name_hash(const uint8_t *name, size_t len);

enum sl_http_body {
	SL_BODY_NONE,
	SL_BODY_LENGTH,
	SL_BODY_CHUNKED,
	SL_BODY_CLOSE, /* answers: until the end of the connection */
};

enum {
	SL_HEAD_KEEP = 1 << 0,     /* the connection may be used again, as far as this head says */
	SL_HEAD_UPGRADE = 1 << 1,  /* Upgrade with Connection: upgrade */
	SL_HEAD_CONTINUE = 1 << 2, /* Expect: 100-continue */
	SL_HEAD_TRAILERS = 1 << 3, /* TE: trailers */
	SL_HEAD_ABSOLUTE =
		1 << 4, /* target is in absolute form: its authority is `host` (RFC 9112, 3.2.2) */
	SL_HEAD_STAR = 1 << 5, /* target is "*" */
};

struct sl_http_head {
	const uint8_t *bytes; /* first byte of the head */
	uint16_t len;         /* of the head, with its empty line */
	uint8_t version;      /* 10 or 11 */
	uint8_t body;         /* enum sl_http_body */
	uint16_t flags;       /* SL_HEAD_* */
	uint16_t line_cnt;
	uint64_t length; /* SL_BODY_LENGTH: ≥ 0 */
	/* request */
	uint8_t method; /* enum sl_method */
	uint8_t zero;
	uint16_t method_len;       /* at bytes[0] */
	uint16_t path, path_len;   /* as sent, without the query; begins with "/" ("*": STAR) */
	uint16_t query, query_len; /* behind "?"; no "?": query 0 */
	uint16_t host,
		host_len; /* without port, as sent; [v6] with its brackets; 0: none (HTTP/1.0) */
	uint16_t authority_len; /* host with its port */
	/* answer */
	uint16_t status;
	uint16_t reason, reason_len;
	uint8_t first
		[SL_HTTP_KNOWN_CNT]; /* index of the first line of a known header; UINT8_MAX: none */
	struct sl_http_line line[SL_HTTP_HEADERS_MAX];
};

struct sl_http_limits {
	uint32_t max_head;    /* [1024, SL_HTTP_HEAD_MAX] */
	uint32_t max_headers; /* [1, SL_HTTP_HEADERS_MAX] */
};

/* sl_http_request reads a request head at bytes[0, len).  from: bytes of it that an earlier call answered SL_PARTIAL for (0:
 * none), so that a head in small pieces is not read anew each time.  A CR LF before the request line is skipped (RFC 9112,
 * 2.2), at most two: the head's bytes begin behind it; the result counts it.  SL_PARTIAL past the limits is SL_BAD.
 * *ret_head is whole only with > 0. */
int sl_http_request(const uint8_t *bytes, uint32_t len, uint32_t from,
		    const struct sl_http_limits *limits, struct sl_http_head *ret_head,
		    enum sl_http_bad *ret_why);

/* sl_http_response likewise; method: of the request (HEAD has no body, a 2xx to CONNECT neither). */
int sl_http_response(const uint8_t *bytes, uint32_t len, uint32_t from, uint8_t method,
		     const struct sl_http_limits *limits, struct sl_http_head *ret_head,
		     enum sl_http_bad *ret_why);

/* sl_http_find: index of the first line of the name (any case) at or behind `from`; line_cnt: none. */
unsigned sl_http_find(const struct sl_http_head *h, const uint8_t *name, size_t len, uint16_t hash,
		      unsigned from);

/* ---- chunked ---- */

#define SL_CHUNK_LINE_MAX                                                                          \
	256 /* bytes of a chunk-size line with its extensions, which are read over */
#define SL_TRAILERS_MAX 8192 /* bytes of the trailer section */

struct sl_http_chunked {
	uint64_t left; /* bytes of data of the current chunk still to come */
	uint64_t size; /* as far as it was read; 0 at the beginning */
	uint8_t state; /* 0 at the beginning */
	uint8_t zero[3];
	uint32_t line; /* bytes of the line so far */
};

enum sl_chunk_event {
	SL_CHUNK_MORE, /* all bytes used; more are needed */
	SL_CHUNK_SIZE, /* a chunk of `left` ≥ 1 bytes of data begins behind *ret_used: take them by sl_http_chunk_data */
	SL_CHUNK_END, /* the last chunk's line was read; trailers follow: sl_http_trailers */
	SL_CHUNK_BAD,
};

/* sl_http_chunk reads framing only, from where data ended (or the beginning): CR LF behind data, the size line.  It is
 * called while c->left is 0. */
enum sl_chunk_event sl_http_chunk(struct sl_http_chunked *c, const uint8_t *bytes, uint32_t len,
				  uint32_t *ret_used);
static inline void
sl_http_chunk_data(struct sl_http_chunked *c,
		   uint64_t n) /* n ≤ left bytes of data are dealt with */
{
	c->left -= n;
}

/* sl_http_trailers reads the trailer section with its empty line, alike sl_http_request; framing, routing, authentication
 * headers in it are refused (RFC 9110, 6.5.1). */
int sl_http_trailers(const uint8_t *bytes, uint32_t len, uint32_t from,
		     struct sl_http_head *ret_lines, enum sl_http_bad *ret_why);

#endif
