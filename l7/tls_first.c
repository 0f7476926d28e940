#include "l7/tls_first.h"

#define HANDSHAKE 0x16
#define MAJOR 0x03

enum sl_tls_first
sl_tls_first(struct sl_stream *s)
{
	struct sl_span span[1];
	uint32_t have = sl_stream_readable_bytes(s);

	if (have == 0)
		return sl_stream_ending(s) ? SL_TLS_FIRST_NOTHING : SL_TLS_FIRST_UNKNOWN;
	sl_stream_peek(s, 0, span, 1);
	if (span[0].data[0] != HANDSHAKE)
		return SL_TLS_FIRST_OTHER;
	if (have == 1)
		return sl_stream_ending(s) ? SL_TLS_FIRST_OTHER : SL_TLS_FIRST_UNKNOWN;
	sl_stream_peek(s, 1, span, 1);
	return span[0].data[0] == MAJOR ? SL_TLS_FIRST_HANDSHAKE : SL_TLS_FIRST_OTHER;
}
