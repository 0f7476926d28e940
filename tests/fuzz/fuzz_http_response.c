/* Answer heads: pieces change no answer; what is accepted has one end, and written anew says the same. */
#include "http_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct how {
	struct sl_http_limits limits;
	uint8_t method;
};

/* Input: byte 0 chooses the limits and the method of the request; the rest is what the endpoint sent. */
static void
response(void *ctx, const uint8_t *bytes, uint32_t n, uint32_t from, struct answer *ret)
{
	struct how *how = ctx;

	ret->r = sl_http_response(bytes, n, from, how->method, &how->limits, &ret->head, &ret->why);
	must(ret->r <= 0 || (ret->head.bytes == bytes && ret->head.len == ret->r));
}

static void
again(const struct sl_http_head *h, const uint8_t *b, struct how *how)
{
	uint8_t out[4 * INPUT_MAX];
	size_t n = (size_t)((const uint8_t *)memchr(b, '\n', h->len) + 1 - b);

	memcpy(out, b, n);
	n += put_lines(out + n, h, b);
	must(n < sizeof(out));
	struct answer a = parse(response, how, out, n, 0);
	if (a.r == SL_BAD && a.why == SL_HTTP_BAD_TOO_LONG)
		return; /* for the spaces behind the colons */
	must(a.r == (int)n && a.head.status == h->status);
	same_lines(h, b, &a.head, out);
	same_text(b, h->reason, h->reason_len, out, a.head.reason, a.head.reason_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > INPUT_MAX)
		return 0;
	struct how how = {
		.limits = {.max_head = data[0] & 1 ? 64 : SL_HTTP_HEAD_MAX,
			   .max_headers = data[0] & 2 ? 3 : SL_HTTP_HEADERS_MAX},
		.method = data[0] & 4   ? SL_METHOD_HEAD
			  : data[0] & 8 ? SL_METHOD_CONNECT
					: SL_METHOD_GET,
	};
	struct answer a = pieces(response, &how, data + 1, size - 1);
	if (a.r <= 0)
		return 0;
	const struct sl_http_head *h = &a.head;
	must(h->status >= 100 && h->status <= 999);
	must(h->line_cnt <= how.limits.max_headers && h->len <= how.limits.max_head);
	lines_are_plain(h, data + 1);
	framing_is_one(h);
	bool bare = h->status < 200 || h->status == 204 || h->status == 304 ||
		    how.method == SL_METHOD_HEAD;
	must(!bare || h->body == SL_BODY_NONE);
	must(h->body != SL_BODY_CLOSE || !(h->flags & SL_HEAD_KEEP));
	again(h, data + 1, &how);
	return 0;
}
