/* relay_hello — mode = "tls-passthrough": what the relay reads of a client to know whose connection it is, and what it says when
 * it is nobody's.
 *
 * The ClientHello stays in the stream's receive queue, which holds SL_HELLO_MAX bytes and a PROXY header unless tcp.receive_max of the
 * boot file is less: a longer one than fits does not come, and the time-out ends it.
 * Threads: [worker].
 */
#ifndef SL_L7_RELAY_HELLO_H
#define SL_L7_RELAY_HELLO_H

#include "dataplane/tcp/stream.h"
#include "l7/tls/hello.h"

/* sl_relay_hello_read looks at the readable bytes of s behind the first `skip`, and consumes nothing: > 0 with *ret_host (as sl_hello_parse
 * has it); SL_PARTIAL; SL_BAD.  *need: 0 before the first call for a connection, then kept: a long hello that comes in many pieces is
 * not read again with each. */
int sl_relay_hello_read(struct sl_stream *s, uint32_t skip, uint32_t *need,
			char ret_host[SL_HOST_MAX]);

/* sl_relay_hello_unknown ends s, which its user lets go: the alert unrecognized_name (RFC 6066, 3), then its end. */
void sl_relay_hello_unknown(struct sl_stream *s);

#endif
