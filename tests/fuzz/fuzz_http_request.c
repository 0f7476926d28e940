/* Request heads: pieces change no answer; what is accepted has one Host and one end, and written anew says the same. */
#include "http_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Input: byte 0 chooses the limits; the rest is what the client sent. */
static void
request(void *ctx, const uint8_t *bytes, uint32_t n, uint32_t from, struct answer *ret)
{
	ret->r = sl_http_request(bytes, n, from, ctx, &ret->head, &ret->why);
	must(ret->r <= 0 || (ret->head.bytes >= bytes && ret->head.bytes <= bytes + 4 &&
			     ret->head.bytes + ret->head.len == bytes + ret->r));
}

/* A target that endpoints may see: no byte that ends a line, a word or a path for anyone. */
static void
target_is_plain(const struct sl_http_head *h, const uint8_t *b)
{
	for (unsigned i = h->path; i < h->path + h->path_len; i++)
		must(b[i] > 0x20 && b[i] < 0x7f && b[i] != '#' && b[i] != '?');
	for (unsigned i = h->query; i < h->query + h->query_len; i++)
		must(b[i] > 0x20 && b[i] < 0x7f && b[i] != '#');
	if (h->method == SL_METHOD_CONNECT)
		must(h->path_len == 0 && h->host_len < h->authority_len);
	else
		must(h->path_len > 0 && (b[h->path] == '/' || h->flags & SL_HEAD_STAR));
	must(!h->query || b[h->query - 1] == '?');
}

static void
host_is_one(const struct sl_http_head *h, const uint8_t *b)
{
	must(lines_of(h, SL_HTTP_HOST) <= 1 &&
	     (h->version == 10 || lines_of(h, SL_HTTP_HOST) == 1));
	must(h->version == 10 || h->host_len > 0);
	must(h->host_len <= 255 && h->host_len <= h->authority_len);
	for (unsigned i = h->host; i < h->host + h->authority_len; i++)
		must(b[i] > 0x20 && b[i] < 0x7f && !strchr("\"#%,/;<>?@\\^`{|}", b[i]));
}

/* Written anew, target as it is. */
static void
again(const struct sl_http_head *h, const uint8_t *b, void *limits)
{
	uint8_t out[4 * INPUT_MAX];
	size_t n = (size_t)((const uint8_t *)memchr(b, '\n', h->len) + 1 - b);

	memcpy(out, b, n);
	n += put_lines(out + n, h, b);
	must(n < sizeof(out));
	struct answer a = parse(request, limits, out, n, 0);
	if (a.r == SL_BAD && a.why == SL_HTTP_BAD_TOO_LONG)
		return; /* for the spaces behind the colons */
	must(a.r == (int)n);
	same_lines(h, b, &a.head, out);
	same_text(b, h->path, h->path_len, out, a.head.path, a.head.path_len);
	same_text(b, h->query, h->query_len, out, a.head.query, a.head.query_len);
	same_text(b, h->host, h->authority_len, out, a.head.host, a.head.authority_len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > INPUT_MAX)
		return 0;
	struct sl_http_limits limits = {
		.max_head = data[0] & 1 ? 1024 : SL_HTTP_HEAD_MAX,
		.max_headers = data[0] & 2 ? 3 : SL_HTTP_HEADERS_MAX,
	};
	/* A head of 1,024 bytes is longer than most inputs: the limit is tried lower than it is ever set. */
	if (data[0] & 4)
		limits.max_head = 64;
	struct answer a = pieces(request, &limits, data + 1, size - 1);
	if (a.r <= 0)
		return 0;
	const uint8_t *b = data + 1 + a.r - a.head.len;
	must(a.head.line_cnt <= limits.max_headers && (uint32_t)a.r <= limits.max_head);
	lines_are_plain(&a.head, b);
	framing_is_one(&a.head);
	must(a.head.body != SL_BODY_CLOSE);
	target_is_plain(&a.head, b);
	host_is_one(&a.head, b);
	again(&a.head, b, &limits);
	return 0;
}
