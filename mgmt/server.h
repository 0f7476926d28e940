/* server — the Unix socket that sluicectl talks to: frames, clients, time limits (api.h has the protocol).
 *
 * Walk:    accept → credentials → frame → JSON → handler → answer → next frame.
 * Threads: [loop].  A slow client costs its own connection and nothing else: reads stop while its
 *          request is worked on, no buffer grows past the frame it announced, and all requests that are
 *          being read hold at most `budget` bytes together.
 * Not here: what a verb means (verbs.h).
 */
#ifndef SL_MGMT_SERVER_H
#define SL_MGMT_SERVER_H

#include "mgmt/api.h"
#include "mgmt/roles.h"
#include "sluice/diag.h"

#include <jansson.h>
#include <uv.h>

struct sl_server;
struct sl_call; /* one request that waits for its answer */

struct sl_server_limits {
	unsigned clients;
	unsigned request_ms; /* first byte to last */
	unsigned answer_ms;  /* until it is read */
	unsigned idle_ms;
	size_t budget;
};
extern const struct sl_server_limits sl_server_limits_default;

/* The handler gets each request of a peer that has a role; body is an object, borrowed until the answer.
 * It calls sl_call_answer exactly once, at once or later. */
typedef void sl_server_fn(void *ctx, struct sl_call *call, const struct sl_peer *peer,
			  json_t *body);

/* sl_server_create replaces a socket file that nobody listens on.  -EADDRINUSE (diag names the pid), −errno. */
int sl_server_create(uv_loop_t *loop, const char *path, const struct sl_roles *roles,
		     const struct sl_server_limits *limits, sl_server_fn *fn, void *ctx,
		     struct sl_diag *diag, struct sl_server **ret_server);
/* sl_server_destroy closes everything and removes the socket file; calls still open may be answered
 * afterwards (into nothing).  The loop must run until idle before it is closed. */
void sl_server_destroy(struct sl_server *s);

/* sl_call_answer takes answer over; NULL: out of memory. */
void sl_call_answer(struct sl_call *call, json_t *answer);

/* sl_call_gone: nobody waits for the answer any more.  Worth asking where an answer costs much; the call must be
 * answered all the same. */
bool sl_call_gone(const struct sl_call *call);

/* sl_call_error makes {"ok": false, …}; verb and hint may be NULL. */
json_t *sl_call_error(const char *verb, const char *code, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
