/* web — HTTP and HTTPS requests of sluiced to others (libcurl), on the loop: plain ones, long polls and streams.
 *
 * Threads: [loop], no blocking: names are resolved by curl's own means.
 * Limits:  a body beyond max_body ends the request with an error; a line or chunk is passed as it comes.
 *          Headers: 64 KiB.  HTTP/1.1.  Redirects are not followed, cookies not kept, proxies of the environment not used.
 * Errors:  in words that name server and cause ("http://192.0.2.1:2379: cannot connect: Connection refused").
 */
#ifndef SL_MGMT_WEB_H
#define SL_MGMT_WEB_H

#include "sluice/base.h"

#include <uv.h>

#define SL_WEB_TOO_LONG (-1)

struct sl_web;
struct sl_web_call;

struct sl_web_header {
	const char *name, *value;
};

struct sl_web_request {
	const char *method;                  /* "GET" */
	const char *url;                     /* whole */
	const struct sl_web_header *headers; /* [header_cnt] */
	unsigned header_cnt;
	const char *
		bearer_file; /* its first line goes into Authorization: Bearer; NULL, "": none; unreadable: an error */
	const char *
		token_header; /* the token goes into this header instead, alone; NULL: Authorization */
	const void *body;     /* [body_len]; copied */
	size_t body_len;
	const char *ca, *certificate, *key; /* files; NULL, "": the system's bundle, none, none */
	uint32_t connect_ms;                /* 0: 5 s */
	uint32_t total_ms;                  /* 0: none: a stream */
	uint32_t
		silent_ms; /* nothing comes for that long, from the start on: it has failed; 0: never */
	size_t max_body; /* bytes; without `data` the body is kept for `done`; with it 0: no bound */
	/* A stream: each piece as it comes; other than 0 ends the call (done follows, with error "stopped").  NULL: collected. */
	int (*data)(void *ctx, const char *bytes, size_t len);
	/* A header of the answer, lower case; NULL: not asked for. */
	void (*header)(void *ctx, const char *name, const char *value);
	/* Once, from the loop, also after an error; not after sl_web_cancel.  status: 0 with error, or
	 * SL_WEB_TOO_LONG when the body is longer than max_body; body: [len], terminated
	 * with 0, valid during the call, "" with `data`. */
	void (*done)(void *ctx, int status, const char *error, const char *body, size_t len);
	void *ctx;
};

/* 0 or -ENOMEM. */
int sl_web_create(uv_loop_t *loop, struct sl_web **ret_web);
/* Calls under way end without done; handles close in the loop.  It may be called from done and data, and so may cancel. */
void sl_web_destroy(struct sl_web *w);

/* sl_web_start: done is never called from within.  r is copied.  0, -EINVAL (a URL that is not http or https, or has a user in it; a
 * header with control characters) or -ENOMEM.  A body without Content-Type is application/json. */
int sl_web_start(struct sl_web *w, const struct sl_web_request *r, struct sl_web_call **ret_call);
void sl_web_cancel(struct sl_web_call *c);

/* One for all sources of a loop: counted, made by the first. */
struct sl_web *sl_web_get(uv_loop_t *loop);
void sl_web_put(struct sl_web *w);

#endif
