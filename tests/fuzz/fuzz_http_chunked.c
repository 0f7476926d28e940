/* Chunked bodies with their trailers: pieces change neither data nor end; a plain reader of what is accepted sees the same
 * data; trailers as heads. */
#include "http_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct body {
	uint8_t data[INPUT_MAX];
	size_t len, used;
	enum sl_chunk_event end;
};

/* One call over the bytes that are there, in memory of exactly their size. */
static enum sl_chunk_event
chunk(struct sl_http_chunked *c, const uint8_t *bytes, size_t n, uint32_t *ret_used)
{
	uint8_t *copy = malloc(n ? n : 1);

	must(copy != NULL);
	memcpy(copy, bytes, n);
	enum sl_chunk_event e = sl_http_chunk(c, copy, (uint32_t)n, ret_used);
	free(copy);
	must(e == SL_CHUNK_BAD || *ret_used <= n);
	must(e != SL_CHUNK_MORE || *ret_used == n);
	must(e == SL_CHUNK_BAD || (e == SL_CHUNK_SIZE) == (c->left > 0));
	must(c->line < SL_CHUNK_LINE_MAX || e == SL_CHUNK_BAD);
	return e;
}

/* bytes[from, to), going on with what c and b are. */
static void
take(struct sl_http_chunked *c, struct body *b, const uint8_t *bytes, size_t to)
{
	while (b->used < to && b->end == SL_CHUNK_MORE) {
		size_t n = to - b->used;
		uint32_t used = 0;
		if (c->left) {
			n = SL_MIN(n, c->left);
			memcpy(b->data + b->len, bytes + b->used, n);
			b->len += n;
			b->used += n;
			sl_http_chunk_data(c, n);
			continue;
		}
		enum sl_chunk_event e = chunk(c, bytes + b->used, n, &used);
		if (e == SL_CHUNK_END || e == SL_CHUNK_BAD)
			b->end = e;
		b->used += e == SL_CHUNK_BAD ? 0 : used;
	}
}

static void
read_body(struct body *b, const uint8_t *bytes, size_t size, size_t split, bool bytewise)
{
	struct sl_http_chunked c = {0};

	b->len = b->used = 0;
	b->end = SL_CHUNK_MORE;
	for (size_t n = 0; bytewise && n < size; n++)
		take(&c, b, bytes, n);
	take(&c, b, bytes, split);
	take(&c, b, bytes, size);
}

/* How a reader would go that knows no extensions but passes over them to the CR LF. */
static void
plain_reader(const struct body *b, const uint8_t *bytes)
{
	size_t at = 0, len = 0;

	for (;;) {
		char size[17] = "";
		size_t digits = 0;
		while (strchr("0123456789abcdefABCDEF", bytes[at + digits]) && bytes[at + digits]) {
			must(digits < 16);
			size[digits] = (char)bytes[at + digits];
			digits++;
		}
		must(digits > 0);
		const uint8_t *lf = memchr(bytes + at, '\n', b->used - at);
		must(lf && lf[-1] == '\r' && memchr(bytes + at, '\r', b->used - at) == lf - 1);
		at = (size_t)(lf + 1 - bytes);
		size_t n = strtoull(size, NULL, 16);
		if (n == 0)
			break;
		must(len + n <= b->len && memcmp(b->data + len, bytes + at, n) == 0);
		len += n;
		at += n;
		must(bytes[at] == '\r' && bytes[at + 1] == '\n');
		at += 2;
	}
	must(at == b->used && len == b->len);
}

static void
trailers(void *ctx, const uint8_t *bytes, uint32_t n, uint32_t from, struct answer *ret)
{
	(void)ctx;
	ret->r = sl_http_trailers(bytes, n, from, &ret->head, &ret->why);
}

static void
read_trailers(const uint8_t *bytes, size_t size)
{
	uint8_t out[4 * INPUT_MAX];
	struct answer a = pieces(trailers, NULL, bytes, size);

	if (a.r <= 0)
		return;
	for (unsigned id = 1; id < SL_HTTP_KNOWN_CNT; id++)
		must(lines_of(&a.head, id) == 0);
	size_t n = put_lines(out, &a.head, bytes);
	struct answer back = parse(trailers, NULL, out, n, 0);
	must(back.r == (int)n);
	same_lines(&a.head, bytes, &back.head, out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct body whole, part;

	if (size > INPUT_MAX)
		return 0;
	read_body(&whole, data, size, size, false);
	for (size_t split = 0; split <= size; split++) {
		read_body(&part, data, size, split, split == size);
		must(part.end == whole.end && part.len == whole.len);
		must(memcmp(part.data, whole.data, whole.len) == 0);
		must(part.end == SL_CHUNK_BAD || part.used == whole.used);
	}
	if (whole.end != SL_CHUNK_END)
		return 0;
	plain_reader(&whole, data);
	read_trailers(data + whole.used, size - whole.used);
	return 0;
}
