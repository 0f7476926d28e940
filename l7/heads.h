/* heads — the heads the gateway sends: requests to endpoints, answers to clients, answers of its own.
 *
 * Writes bytes and nothing else; pure.  What goes out is made from what was parsed, line by line: hop-by-hop lines and those
 * named by Connection are left out (RFC 9110, 7.6.1), framing lines are the gateway's own, Host is one line and comes first.
 * A line whose name holds "_" goes as it came.  Each function answers bytes written, or 0: more than max.
 * Threads: [any].
 */
#ifndef SL_L7_HEADS_H
#define SL_L7_HEADS_H

#include "l7/http1.h"

/* Edits of a route, one way (image_http.h).  strs: the object's section `str`. */
struct sl_edits {
	const struct sl_img_edit *edit;
	const uint8_t *strs;
	uint32_t cnt;
};

#define SL_REQUEST_ID_LEN 36
#define SL_REQUEST_ID_MAX 128 /* bytes of a client's own */

struct sl_head_request {
	struct sl_bytes path;   /* as it is to be sent: rewritten or normalised */
	struct sl_bytes query;  /* .at NULL: none, without "?" */
	struct sl_bytes host;   /* authority; .len 0: the request's own */
	struct sl_edits before; /* come before edits */
	struct sl_edits edits;
	struct sl_addr client; /* the client's address: x-forwarded-for gets it */
	uint8_t https;         /* x-forwarded-proto */
	uint8_t xfcc; /* enum sl_xfcc, where the client's certificate was verified; else SANITIZE */
	uint8_t trusted_hops; /* 0: x-forwarded-* of the client are thrown away; else appended to */
	uint8_t upgrade;      /* 1: Connection: upgrade and Upgrade are passed on */
	uint8_t shadow;       /* 1: a mirror's: host gets "-shadow" before its port */
	struct sl_bytes cert; /* what xfcc SET and APPEND write of it (xfcc.h) */
	char request_id
		[SL_REQUEST_ID_LEN]; /* UUID text, used when the client's is not to be kept */
};

/* sl_request_id_ok: whether the request's own x-request-id is kept: one line of 1 to SL_REQUEST_ID_MAX bytes 0x21 to 0x7e. */
bool sl_request_id_ok(const struct sl_http_head *in);

/* sl_head_write_request: "METHOD path HTTP/1.1", Host, the lines, x-forwarded-for, -proto, -host, x-request-id, framing
 * (Content-Length as received, or Transfer-Encoding: chunked), no Connection line unless upgrade.
 * Edits see the lines and the x-… of the gateway, in this order: removing x-forwarded-for keeps the address from the endpoint.
 * x-forwarded-for of a client whose hops are trusted becomes one line that the client's address ends; its -proto and -host pass.
 * x-forwarded-client-cert passes as how->xfcc says, whatever hops are trusted; APPEND makes one line of it.
 * TE does not pass: it would have to be named by a Connection line (RFC 9110, 10.1.4), and trailers pass without it.  Expect
 * passes, from HTTP/1.1.  A request without any authority (HTTP/1.0) gets how->host, or an empty Host (RFC 9112, 3.2). */
uint32_t sl_head_write_request(uint8_t *out, uint32_t max, const struct sl_http_head *in,
			       const struct sl_head_request *how);

struct sl_head_response {
	struct sl_edits edits;
	uint8_t body; /* enum sl_http_body as it will be sent: CHUNKED, LENGTH, NONE, CLOSE */
	uint8_t head_of; /* 1: answer to HEAD, or 304: Content-Length of the endpoint is passed on though no body follows */
	uint8_t version; /* of the client's request: 10: no chunked, Connection: keep-alive is said */
	uint8_t close;   /* 1: Connection: close */
	uint8_t upgrade; /* 1: a 101: Connection: upgrade and Upgrade are passed on */
};

/* sl_head_write_response: "HTTP/1.1 status reason", the lines after edits, framing, Connection.  No Date is added where the
 * endpoint sent none: workers have no clock of the day. */
uint32_t sl_head_write_response(uint8_t *out, uint32_t max, const struct sl_http_head *in,
				const struct sl_head_response *how);

/* An answer of the gateway's own: status line, Content-Length, Content-Type when there is a body, Connection, edits; then the
 * body unless head_only.  location: of a redirect, .len 0: none. */
struct sl_head_local {
	uint16_t status;
	uint8_t version;
	uint8_t close;
	uint8_t head_only; /* answer to HEAD */
	struct sl_bytes body, content_type, location;
	struct sl_edits edits;
};
uint32_t sl_head_write_local(uint8_t *out, uint32_t max, const struct sl_head_local *how);

/* sl_status_text: "Not Found", or "" when it has none here. */
const char *sl_status_text(unsigned status);

/* ---- what a route does to targets ---- */

/* sl_rewrite_path: the route's rewrite of a normalised path into out; 0: more than max.  No rewrite, or "*": a copy.
 * prefix, capture: of the match. */
struct sl_match_result;
uint32_t sl_rewrite_path(uint8_t *out, uint32_t max, const struct sl_img_vhost *v,
			 const struct sl_img_http_route *r, const struct sl_match_result *m,
			 const uint8_t *path, uint32_t len);

/* sl_redirect_location: the absolute URI of a redirect ("scheme://host:port/path?query"); 0: more than max.  Host and scheme that
 * the route does not name are the request's; its port is kept when it names none and both are.  Without any host (HTTP/1.0), a
 * path.  A port that is the scheme's own is left out.  https: the request came by it. */
uint32_t sl_redirect_location(uint8_t *out, uint32_t max, const struct sl_img_vhost *v,
			      const struct sl_img_http_route *r, const struct sl_match_result *m,
			      const struct sl_http_head *h, struct sl_bytes path, bool https);

/* sl_request_id: a UUID (RFC 9562, version 4) from 16 random bytes. */
void sl_request_id(const uint8_t random[16], char ret[SL_REQUEST_ID_LEN]);

#endif
