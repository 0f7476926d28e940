/* http1_bed — messages as rows: bytes, what becomes of them in a line of text, and why. */
#ifndef SL_TESTS_L7_HTTP1_BED_H
#define SL_TESTS_L7_HTTP1_BED_H

#include "../suite.h"
#include "l7/http1.h"

struct bed_row {
	const char *reason, *bytes;
	size_t len;
	const char *want; /* a line of bed_say */
	uint8_t method;   /* of the request that an answer is to */
};
#define ROW(reason, bytes, want)                                                                   \
	{                                                                                          \
		reason, bytes, sizeof(bytes) - 1, want, SL_METHOD_GET                              \
	}
#define ROW_TO(method, reason, bytes, want)                                                        \
	{                                                                                          \
		reason, bytes, sizeof(bytes) - 1, want, SL_METHOD_##method                         \
	}

enum bed_kind { BED_REQUEST, BED_RESPONSE, BED_TRAILERS };

#define BED_TEXT 65536
static const struct sl_http_limits bed_wide = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};

struct bed_answer {
	int r;
	enum sl_http_bad why;
	struct sl_http_head head;
};

static inline struct bed_answer
bed_parse(enum bed_kind kind, uint8_t method, const uint8_t *bytes, size_t n, size_t from,
	  const struct sl_http_limits *limits)
{
	struct bed_answer a;

	memset(&a, 0xaa, sizeof(a));
	a.why = SL_HTTP_BAD_NONE;
	if (kind == BED_REQUEST)
		a.r = sl_http_request(bytes, (uint32_t)n, (uint32_t)from, limits, &a.head, &a.why);
	else if (kind == BED_RESPONSE)
		a.r = sl_http_response(bytes, (uint32_t)n, (uint32_t)from, method, limits, &a.head,
				       &a.why);
	else
		a.r = sl_http_trailers(bytes, (uint32_t)n, (uint32_t)from, &a.head, &a.why);
	return a;
}

/* ---- what was understood, in a line ---- */

static inline void
bed_put(char *out, const char *before, const struct sl_http_head *h, unsigned at, unsigned len)
{
	size_t n = strlen(out);
	snprintf(out + n, BED_TEXT - n, "%s%.*s", before, (int)len, (const char *)h->bytes + at);
}

static inline void
bed_say_body(char *out, const struct sl_http_head *h)
{
	static const char *const flags[] = {"keep",     "upgrade", "continue",
					    "trailers", "abs",     "star"};
	size_t n = strlen(out);

	n += (size_t)snprintf(out + n, BED_TEXT - n, " %u", h->version);
	if (h->body == SL_BODY_LENGTH)
		n += (size_t)snprintf(out + n, BED_TEXT - n, " length=%llu",
				      (unsigned long long)h->length);
	else
		n += (size_t)snprintf(out + n, BED_TEXT - n, " %s",
				      h->body == SL_BODY_NONE      ? "none"
				      : h->body == SL_BODY_CHUNKED ? "chunked"
								   : "close");
	for (unsigned i = 0; i < 6; i++)
		if (h->flags >> i & 1)
			n += (size_t)snprintf(out + n, BED_TEXT - n, " %s", flags[i]);
}

/* "METHOD path[?query] authority[ (host)] version body flags", "status [reason] version body flags", "n lines". */
static inline const char *
bed_say(enum bed_kind kind, const struct bed_answer *a)
{
	static char out[BED_TEXT];
	const struct sl_http_head *h = &a->head;

	out[0] = 0;
	if (a->r == SL_PARTIAL)
		return "partial";
	if (a->r < 0)
		return sl_http_bad_name(a->why);
	if (kind == BED_TRAILERS) {
		snprintf(out, sizeof(out), "%u lines", h->line_cnt);
		return out;
	}
	if (kind == BED_REQUEST) {
		bed_put(out, "", h, 0, h->method_len);
		bed_put(out, " ", h, h->path, h->path_len);
		if (h->query)
			bed_put(out, "?", h, h->query, h->query_len);
		bed_put(out, " ", h, h->host, h->authority_len);
		if (h->host_len != h->authority_len) {
			bed_put(out, " (", h, h->host, h->host_len);
			strcat(out, ")");
		}
	} else {
		snprintf(out, sizeof(out), "%u [", h->status);
		bed_put(out, "", h, h->reason, h->reason_len);
		strcat(out, "]");
	}
	bed_say_body(out, h);
	return out;
}

/* The lines as "name=value;", those not passed on with "-" before. */
static inline const char *
bed_say_lines(const struct sl_http_head *h)
{
	static char out[BED_TEXT];

	out[0] = 0;
	for (unsigned i = 0; i < h->line_cnt; i++) {
		bed_put(out, h->line[i].hop ? "-" : "", h, h->line[i].name, h->line[i].name_len);
		bed_put(out, "=", h, h->line[i].value, h->line[i].value_len);
		strcat(out, ";");
	}
	return out;
}

/* ---- the same in pieces ---- */

static inline bool
bed_same(const struct bed_answer *a, const struct bed_answer *b)
{
	size_t from = offsetof(struct sl_http_head, len),
	       to = offsetof(struct sl_http_head, first) + SL_HTTP_KNOWN_CNT;

	if (a->r != b->r || a->why != b->why)
		return false;
	return a->r <= 0 || (memcmp((const char *)&a->head + from, (const char *)&b->head + from,
				    to - from) == 0 &&
			     memcmp(a->head.line, b->head.line,
				    a->head.line_cnt * sizeof(a->head.line[0])) == 0);
}

/* Each beginning of the bytes, right before a page that must not be touched, anew and as a continuation of each shorter one
 * that was partial: never another answer than the whole's.  NULL, or what went wrong. */
static inline const char *
bed_pieces(enum bed_kind kind, uint8_t method, const uint8_t *bytes, size_t n,
	   const struct sl_http_limits *limits, unsigned stride)
{
	uint8_t *page = guard_buf(n + 1);
	const char *wrong = NULL;

	memcpy(page + 1, bytes, n);
	struct bed_answer whole = bed_parse(kind, method, page + 1, n, 0, limits), a;
	if (whole.r > 0 && whole.head.bytes + whole.head.len != page + 1 + whole.r)
		wrong = "the head's length is not what was read";
	size_t before = 0; /* length of the last piece that was partial */
	for (size_t k = 0; k <= n && !wrong; k += k < n && k + stride > n ? n - k : stride) {
		uint8_t *at = page + 1 + n - k;
		memcpy(at, bytes, k);
		a = bed_parse(kind, method, at, k, 0, limits);
		bool done = whole.r > 0 && k >= (size_t)whole.r;
		if (a.r == SL_PARTIAL ? done || (k == n && whole.r) : !bed_same(&a, &whole))
			wrong = "a piece has another answer";
		struct bed_answer more = bed_parse(kind, method, at, k, before, limits);
		if (!bed_same(&more, &a))
			wrong = "a piece behind another has another answer";
		if (a.r != SL_PARTIAL)
			continue;
		before = k;
		more = bed_parse(kind, method, bytes, n, k, limits);
		if (!bed_same(&more, &whole))
			wrong = "the rest behind a piece has another answer";
	}
	guard_free(page, n + 1);
	return wrong;
}

/* An answer stays when more follows; and what is far from the end is read in another way than what is near. */
static inline bool
bed_stays(enum bed_kind kind, const struct bed_row *r, const struct bed_answer *a)
{
	size_t n = r->len + 100;
	uint8_t *page = guard_buf(n);

	memset(page, 'x', n);
	memcpy(page, r->bytes, r->len);
	struct bed_answer more = bed_parse(kind, r->method, page, n, 0, &bed_wide);
	guard_free(page, n);
	return a->r == SL_PARTIAL || bed_same(&more, a);
}

static inline void
bed_rows(enum bed_kind kind, const struct bed_row *rows, size_t cnt)
{
	for (size_t i = 0; i < cnt; i++) {
		const struct bed_row *r = &rows[i];
		uint8_t *page = guard_buf(r->len + 1) + 1;
		memcpy(page, r->bytes, r->len);
		struct bed_answer a = bed_parse(kind, r->method, page, r->len, 0, &bed_wide);
		const char *got = bed_say(kind, &a);
		const char *wrong = bed_pieces(kind, r->method, (const uint8_t *)r->bytes, r->len,
					       &bed_wide, 1);
		if (!bed_stays(kind, r, &a))
			wrong = "with more behind it has another answer";
		CU_ASSERT_STRING_EQUAL(got, r->want);
		CU_ASSERT_PTR_NULL(wrong);
		if (strcmp(got, r->want) != 0 || wrong)
			printf("\n  %s: %s, not %s%s%s\n", r->reason, got, r->want,
			       wrong ? "; " : "", wrong ? wrong : "");
		guard_free(page - 1, r->len + 1);
	}
}

#endif
