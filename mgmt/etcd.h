/* etcd — one etcd cluster, as one of sluiced's sources: requests to the JSON gateway of its servers.
 *
 * A request goes to the server that answered last, and from there to the next ones, until each was asked once; with a user
 * it carries a token, which is fetched anew when etcd does not know it any more.
 * Threads: [loop].
 * Errors:  in words that name the server.
 */
#ifndef SL_MGMT_ETCD_H
#define SL_MGMT_ETCD_H

#include "mgmt/source.h"

/* gRPC's codes that callers look at; all others are just errors. */
enum { SL_ETCD_OK = 0, SL_ETCD_TOO_LONG = 254, SL_ETCD_NOT_FOUND = 5, SL_ETCD_OUT_OF_RANGE = 11 };

struct sl_etcd;
struct sl_etcd_call;

/* error: NULL with code SL_ETCD_OK, and body: [len], terminated, valid during the call; else "" and any code but 0. */
typedef void sl_etcd_fn(void *ctx, unsigned code, const char *error, const char *body, size_t len);

/* conf outlives it.  0 or -ENOMEM. */
int sl_etcd_create(uv_loop_t *loop, const struct sl_source_conf *conf, struct sl_etcd **ret_etcd);
/* Calls under way end without fn. */
void sl_etcd_destroy(struct sl_etcd *e);

/* The server that is asked first now: "http://192.0.2.1:2379". */
const char *sl_etcd_server(const struct sl_etcd *e);
/* The next one is asked first from now on: what this one says cannot be used. */
void sl_etcd_next(struct sl_etcd *e);

/* path: "/v3/kv/range".  body: taken, freed; NULL is -ENOMEM.  fn: once, from the loop, never from within.  0 or -ENOMEM. */
int sl_etcd_ask(struct sl_etcd *e, const char *path, char *body, sl_etcd_fn *fn, void *ctx,
		struct sl_etcd_call **ret_call);
/* A stream: line has each line of the answer, without its end, terminated; a line is as long as a source's answer may be.  fn when it has
 * ended, always with an error.  No time limit: the caller has one. */
int sl_etcd_stream(struct sl_etcd *e, const char *path, char *body,
		   void (*line)(void *ctx, const char *text, size_t len), sl_etcd_fn *fn, void *ctx,
		   struct sl_etcd_call **ret_call);
/* fn and line are not called any more; NULL is accepted. */
void sl_etcd_cancel(struct sl_etcd_call *c);

#endif
