/* probe_tls — TLS of probes: by the settings that a service has for its endpoints (group tls of the table).
 *
 * Walk:    daemon.c makes one of each service that is probed by TLS; health.c shares it between the service's targets; probe.c does a
 *          handshake with each probe: sessions are not resumed, so that every probe judges the endpoint's certificate.
 * Verified: as the dataplane does (l7/tls): the chain against the bundles, then the names; whoever answers with verify = false.
 * Secrets: bundles are read when they are needed first, and again when any certificate was changed.  The key of our own certificate
 *          is read when an endpoint asks for one, and wiped when that probe ends.
 * Cost:    about a millisecond of the loop for a handshake.
 * Threads: [loop].  Sockets are non-blocking; SIGPIPE is ignored.
 */
#ifndef SL_MGMT_PROBE_TLS_H
#define SL_MGMT_PROBE_TLS_H

#include "mgmt/conf.h"

#include <sys/types.h>

#define SL_PROBE_TLS_TEXT 128 /* bytes of a sentence, the terminating 0 included */

/* Where certificates are; all of it lives longer than whoever asks. */
struct sl_probe_secrets {
	/* moves when any certificate or bundle did */
	uint64_t (*version)(void *ctx);
	/* a secret of secrets.h, given back by release: 0 or -errno.  kind: SL_SECRET_PAIR, SL_SECRET_TRUST */
	int (*read)(void *ctx, uint32_t kind, const char *name, void **ret_secret,
		    size_t *ret_bytes);
	void (*release)(void *secret, size_t bytes);
	void *ctx;
};

struct sl_probe_tls;

/* sl_probe_tls_create: NULL: no memory.  t is copied.  http: HTTP/1.1 is asked for unless t says what is. */
struct sl_probe_tls *sl_probe_tls_create(const struct sl_conf_tls *t, bool http,
					 const struct sl_probe_secrets *from);
struct sl_probe_tls *sl_probe_tls_share(struct sl_probe_tls *t); /* t, once more; NULL: NULL */
void sl_probe_tls_drop(struct sl_probe_tls *t);                  /* NULL is accepted */
/* sl_probe_tls_same: both make the same handshakes; NULL: plaintext. */
bool sl_probe_tls_same(const struct sl_probe_tls *a, const struct sl_probe_tls *b);

/* sl_probe_tls_begin: an SSL on the connected socket, for the others; NULL: not for a reason of the endpoint, in text.  host: Host of
 * the request, or "". */
void *sl_probe_tls_begin(struct sl_probe_tls *t, int fd, const char *host,
			 char text[SL_PROBE_TLS_TEXT]);
/* 1: done; 0: wait for the socket; -1: failed, text says why. */
int sl_probe_tls_handshake(void *ssl, char text[SL_PROBE_TLS_TEXT]);
/* > 0: bytes; 0 (recv): the end; -1: wait for the socket; -2: broken, text says how. */
ssize_t sl_probe_tls_send(void *ssl, const void *data, size_t len, char text[SL_PROBE_TLS_TEXT]);
ssize_t sl_probe_tls_recv(void *ssl, void *buf, size_t size, char text[SL_PROBE_TLS_TEXT]);
/* "1.2", "1.3" */
const char *sl_probe_tls_version(void *ssl);
void sl_probe_tls_end(void *ssl); /* NULL is accepted; the socket stays */

#endif
