/* registry_http — the registry's HTTP API: on a Unix socket, and with client certificates on an address.
 *
 *   PUT    /v1/registry/SERVICE/ENDPOINT              {"address": …} (source.h, and "ttl_s")      201 new, 200
 *   POST   /v1/registry/SERVICE/ENDPOINT/heartbeat    nothing, or {"percent": N, "drain": BOOL}   200; 404: register anew
 *   POST   /v1/registry/SERVICE/ENDPOINT/maintenance  {"on": BOOL, "reason": TEXT}                200
 *   DELETE /v1/registry/SERVICE/ENDPOINT                                                          204
 *   GET    /v1/registry[/SERVICE[/ENDPOINT]]          as registry.h says; one endpoint alone: ENDPOINT
 *   errors {"error": {"what": TEXT, "where": TEXT, "do": TEXT}}: 400, 403, 404, 405, 413, 429, 500, 503
 *
 * Walk:    registry_front.h accepts, says who it is, and for TLS is between → libmicrohttpd → route, rate → registry.h; the
 *          connection is suspended until the disk has the change.
 * Why TLS is not libmicrohttpd's (Debian's build has GnuTLS's): names and files are judged as everywhere else here, by one TLS
 *          library; a client without a good certificate is refused in the handshake; certificates are replaced without a
 *          restart; and a peer has a whole time for what it does, not one that each of its bytes starts anew.
 * Threads: [loop].
 * Limits:  256 connections to each listener, 64 of one address or user but root, 16 KiB of body, 5,000 requests a second of an
 *          identity (a list costs more: one for each ten endpoints), 10 s for a request, 10 s for its answer to be read, 30 s between.
 */
#ifndef SL_MGMT_REGISTRY_HTTP_H
#define SL_MGMT_REGISTRY_HTTP_H

#include "mgmt/registry.h"

struct sl_registry_http;

/* 0 or -errno with diag.  conf and roles outlive it. */
int sl_registry_http_start(uv_loop_t *loop, const struct sl_registry_conf *conf,
			   const struct sl_roles *roles, struct sl_registry *r,
			   void (*say)(void *ctx, const char *line), void *ctx,
			   struct sl_diag *diag, struct sl_registry_http **ret_http);
/* sl_registry_http_end: nobody new, and 503 for whom is there; before the registry is waited for. */
void sl_registry_http_end(struct sl_registry_http *h);
/* Not while the registry is busy; handles close in the loop. */
void sl_registry_http_stop(struct sl_registry_http *h);

#endif
