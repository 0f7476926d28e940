#include "l7/relay_hello.h"

#define EAGER                                                                                      \
	2048 /* bytes up to which each piece is looked at, for what shows early to be no hello */

/* The first bytes behind `skip`, at most as many as a hello may have, as one piece: where they lie, or copied. */
static const uint8_t *
gather(struct sl_stream *s, uint32_t skip, uint8_t copy[SL_HELLO_MAX], uint32_t *ret_len)
{
	struct sl_span span[16];
	uint32_t have = sl_stream_readable_bytes(s) - skip, n = 0;

	*ret_len = SL_MIN(have, (uint32_t)SL_HELLO_MAX);
	unsigned cnt = sl_stream_peek(s, skip, span, SL_ARRAY_CNT(span));
	if (cnt && span[0].len >= *ret_len) /* as nearly always */
		return span[0].data;
	while (cnt && n < *ret_len) {
		for (unsigned i = 0; i < cnt && n < *ret_len; i++) {
			uint32_t len = SL_MIN(span[i].len, *ret_len - n);
			memcpy(copy + n, span[i].data, len);
			n += len;
		}
		cnt = sl_stream_peek(s, skip + n, span, SL_ARRAY_CNT(span));
	}
	*ret_len = n;
	return copy;
}

int
sl_relay_hello_read(struct sl_stream *s, uint32_t skip, uint32_t *need, char ret_host[SL_HOST_MAX])
{
	uint8_t copy[SL_HELLO_MAX];
	struct sl_hello h = {0};
	const char *why;
	uint32_t readable = sl_stream_readable_bytes(s), n;

	if (readable <= skip || (readable - skip > EAGER && readable - skip < *need))
		return SL_PARTIAL;
	const uint8_t *bytes = gather(s, skip, copy, &n);
	int got = sl_hello_parse(bytes, n, &h, &why);
	if (got > 0)
		memcpy(ret_host, h.host, sizeof(h.host));
	else if (got == SL_PARTIAL)
		*need = h.need;
	return got;
}

/* What came is read before the end, or it would answer with a RST that overtakes the alert. */
void
sl_relay_hello_unknown(struct sl_stream *s)
{
	static const uint8_t alert[] = {21, 3, 3, 0, 2, 2 /* fatal */, 112 /* unrecognized_name */};

	sl_stream_consume(s, sl_stream_readable_bytes(s));
	sl_stream_write(s, alert, sizeof(alert));
	sl_stream_close(s);
}
