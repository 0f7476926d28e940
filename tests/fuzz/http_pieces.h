/* http_pieces — what the targets of HTTP/1 share: memory of exactly the bytes, and that pieces change no answer. */
#ifndef SL_TESTS_FUZZ_HTTP_PIECES_H
#define SL_TESTS_FUZZ_HTTP_PIECES_H

#include <stdlib.h>

#include "l7/http1.h"

#define INPUT_MAX 1024

static inline void
must(bool holds)
{
	if (!holds)
		abort();
}

struct answer {
	int r;
	enum sl_http_bad why;
	struct sl_http_head head;
};

/* One of the parsers of heads, over bytes[0, n) after `from` of them were partial. */
typedef void parse_fn(void *ctx, const uint8_t *bytes, uint32_t n, uint32_t from,
		      struct answer *ret);

/* In memory of exactly that size, so that the address sanitizer sees a byte read behind it. */
static inline struct answer
parse(parse_fn *fn, void *ctx, const uint8_t *bytes, size_t n, size_t from)
{
	uint8_t *copy = malloc(n ? n : 1);
	struct answer a = {.why = SL_HTTP_BAD_NONE};

	must(copy != NULL);
	if (n)
		memcpy(copy, bytes, n);
	fn(ctx, copy, (uint32_t)n, (uint32_t)from, &a);
	must(a.r >= SL_BAD && a.r <= (int)n);
	must((a.r == SL_BAD) == (a.why != SL_HTTP_BAD_NONE));
	free(copy);
	a.head.bytes = NULL;
	return a;
}

static inline bool
same(const struct answer *a, const struct answer *b)
{
	const struct sl_http_head *x = &a->head, *y = &b->head;

	return a->r == b->r && a->why == b->why &&
	       (a->r <= 0 ||
		(memcmp(x, y, offsetof(struct sl_http_head, first) + sizeof(x->first)) == 0 &&
		 memcmp(x->line, y->line, x->line_cnt * sizeof(x->line[0])) == 0));
}

/* Every piece is partial until the answer is there, and then is the answer; a piece that continues one says the same. */
static inline struct answer
pieces(parse_fn *fn, void *ctx, const uint8_t *bytes, size_t size)
{
	struct answer whole = parse(fn, ctx, bytes, size, 0);
	size_t before = 0;

	for (size_t n = 0; n <= size; n++) {
		struct answer a = parse(fn, ctx, bytes, n, 0);
		struct answer more = parse(fn, ctx, bytes, n, before);
		must(same(&a, &more));
		if (a.r != SL_PARTIAL) {
			must(same(&a, &whole));
			continue;
		}
		must(whole.r <= 0 || n < (size_t)whole.r);
		must(n < size || whole.r == SL_PARTIAL);
		before = n;
	}
	if (whole.r > 0) {
		struct answer last = parse(fn, ctx, bytes, size, before);
		must(same(&last, &whole));
	}
	return whole;
}

/* Names, values and controls, looked at a byte at a time. */
static inline void
lines_are_plain(const struct sl_http_head *h, const uint8_t *bytes)
{
	for (unsigned i = 0; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		const uint8_t *name = bytes + l->name, *value = bytes + l->value;
		must(l->name_len > 0 && l->name + l->name_len < l->value &&
		     l->value + l->value_len <= h->len - 4);
		for (unsigned k = 0; k < l->name_len; k++)
			must(name[k] > 0x20 && name[k] < 0x7f &&
			     !strchr("\"(),/:;<=>?@[\\]{}", name[k]));
		for (unsigned k = 0; k < l->value_len; k++)
			must((value[k] >= 0x20 || value[k] == '\t') && value[k] != 0x7f);
		must(!l->value_len || (value[0] > 0x20 && value[l->value_len - 1] > 0x20));
		must(l->known == sl_http_known(name, l->name_len));
		must(l->hash == sl_http_name_hash(name, l->name_len));
		must(!l->known || h->first[l->known] <= i);
	}
}

static inline unsigned
lines_of(const struct sl_http_head *h, unsigned id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->line_cnt; i++)
		n += h->line[i].known == id;
	return n;
}

/* Whoever goes by the length and whoever goes by the coding see the same end. */
static inline void
framing_is_one(const struct sl_http_head *h)
{
	unsigned length = lines_of(h, SL_HTTP_CONTENT_LENGTH);
	unsigned coding = lines_of(h, SL_HTTP_TRANSFER_ENCODING);

	must(length + coding <= 1);
	must(h->body != SL_BODY_LENGTH || (length == 1 && h->length <= INT64_MAX));
	must(h->body != SL_BODY_CHUNKED || (coding == 1 && h->version == 11));
}

/* The lines anew, with one space and nothing else around values. */
static inline size_t
put_lines(uint8_t *out, const struct sl_http_head *h, const uint8_t *bytes)
{
	size_t n = 0;

	for (unsigned i = 0; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i];
		memcpy(out + n, bytes + l->name, l->name_len);
		n += l->name_len;
		out[n++] = ':';
		out[n++] = ' ';
		memcpy(out + n, bytes + l->value, l->value_len);
		n += l->value_len;
		out[n++] = '\r';
		out[n++] = '\n';
	}
	out[n++] = '\r';
	out[n++] = '\n';
	return n;
}

static inline void
same_text(const uint8_t *a, unsigned at, unsigned n, const uint8_t *b, unsigned b_at, unsigned b_n)
{
	must(n == b_n && memcmp(a + at, b + b_at, n) == 0);
}

static inline void
same_lines(const struct sl_http_head *h, const uint8_t *bytes, const struct sl_http_head *k,
	   const uint8_t *other)
{
	must(h->line_cnt == k->line_cnt);
	for (unsigned i = 0; i < h->line_cnt; i++) {
		const struct sl_http_line *l = &h->line[i], *m = &k->line[i];
		same_text(bytes, l->name, l->name_len, other, m->name, m->name_len);
		same_text(bytes, l->value, l->value_len, other, m->value, m->value_len);
		must(l->known == m->known && l->hop == m->hop && l->hash == m->hash);
	}
	must(h->version == k->version && h->body == k->body && h->flags == k->flags &&
	     h->length == k->length && memcmp(h->first, k->first, sizeof(h->first)) == 0);
}

#endif
