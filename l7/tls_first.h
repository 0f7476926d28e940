/* tls_first — whether a client's first bytes begin a TLS handshake, where a listener takes both (sl_img_tls_listener.plaintext).
 *
 * A record of type handshake, of any version (RFC 8446, 5.1): 0x16, 0x03.  Anything else is what it is; no request of HTTP begins so.
 * Pure over what is readable; nothing is consumed.  Threads: [worker]. */
#ifndef SL_L7_TLS_FIRST_H
#define SL_L7_TLS_FIRST_H

#include "dataplane/tcp/stream.h"

enum sl_tls_first {
	SL_TLS_FIRST_UNKNOWN, /* too few bytes */
	SL_TLS_FIRST_NOTHING, /* nor will there be more */
	SL_TLS_FIRST_HANDSHAKE,
	SL_TLS_FIRST_OTHER,
};

enum sl_tls_first sl_tls_first(struct sl_stream *s);

#endif
