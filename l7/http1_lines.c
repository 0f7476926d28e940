/* A block of 64 bytes becomes one word: a bit for each byte that is a control other than tab.  In a head that is right these
 * are the CR and LF that end its lines, so the first bit behind the beginning of a line is its end, and a value with a
 * control in it, a bare CR, a bare LF all show as a first bit that is not CR LF.  A name is classed 32 bytes at a time: where
 * it ceases to be a token the colon must stand.
 *
 * Whoever is near the end loads the last bytes before it and shifts, so that nothing behind `end` is touched.
 */
#include "l7/http1_lines.h"

#include <immintrin.h>

#define CRLF 0x0a0du

/* ---- classes of bytes ----
 *
 * A byte is in the class when row[low half] has the bit of its high half; bytes from 0x80 on are in none. */

#define CLASS_TOKEN                                                                                \
	0xe8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xf8, 0xf8, 0xf4, 0x54, 0xd0, 0x54, 0xf4,  \
		0x70
#define CLASS_NAME                                                                                 \
	0xa8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf8, 0xf0, 0x50, 0x50, 0x54, 0xd4,  \
		0x70
#define CLASS_HIGH 1, 2, 4, 8, 16, 32, 64, 128, 0, 0, 0, 0, 0, 0, 0, 0

static const uint8_t token_row[32] __attribute__((aligned(32))) = {CLASS_TOKEN, CLASS_TOKEN};
static const uint8_t name_row[32] __attribute__((aligned(32))) = {CLASS_NAME, CLASS_NAME};
static const uint8_t high_row[32] __attribute__((aligned(32))) = {CLASS_HIGH, CLASS_HIGH};

/* Bits of the bytes at[0, 32) that are not in the class. */
static inline uint32_t
outside32(const uint8_t *at, const uint8_t *row)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)at);
	__m256i low = _mm256_shuffle_epi8(_mm256_load_si256((const __m256i *)row), v);
	__m256i half = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
	__m256i high = _mm256_shuffle_epi8(_mm256_load_si256((const __m256i *)high_row), half);
	__m256i in = _mm256_and_si256(low, high);

	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(in, _mm256_setzero_si256()));
}

static inline uint32_t
class_end(const uint8_t *b, uint32_t p, uint32_t end, const uint8_t *row)
{
	uint8_t last[32] = {0};

	for (; sl_likely(end - p >= 32); p += 32) {
		uint32_t m = outside32(b + p, row);
		if (sl_likely(m))
			return p + (uint32_t)__builtin_ctz(m);
	}
	if (p == end)
		return end;
	uint64_t m;
	if (end >= 32) {
		m = outside32(b + end - 32, row) >> (32 - (end - p));
	} else {
		memcpy(last, b + p, end - p);
		m = outside32(last, row);
	}
	m |= 1ull << (end - p);
	return p + (uint32_t)__builtin_ctzll(m);
}

uint32_t
sl_http_token_end(const uint8_t *b, uint32_t p, uint32_t end)
{
	return class_end(b, p, end, token_row);
}

uint32_t
sl_http_name_end(const uint8_t *b, uint32_t p, uint32_t end)
{
	return class_end(b, p, end, name_row);
}

/* What ends a target, and question marks. */
static inline uint32_t
target32(const uint8_t *at, uint32_t *ret_query)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)at);
	/* Signed: bytes from 0x80 on are below zero. */
	__m256i low = _mm256_cmpgt_epi8(_mm256_set1_epi8(0x21), v);
	__m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));
	__m256i hash = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('#'));

	*ret_query = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('?')));
	return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_or_si256(low, del), hash));
}

uint32_t
sl_http_target_end(const uint8_t *b, uint32_t p, uint32_t end, uint32_t *ret_query)
{
	uint8_t last[32] = {0};
	uint32_t query = UINT32_MAX, q;

	for (; p < end; p += 32) {
		uint32_t n = SL_MIN(end - p, 32u);
		uint64_t stop;
		if (sl_likely(n == 32)) {
			stop = target32(b + p, &q);
		} else {
			memcpy(last, b + p, n);
			stop = target32(last, &q) | 1ull << n;
		}
		if (q && query == UINT32_MAX)
			query = p + (uint32_t)__builtin_ctz(q);
		if (stop) {
			p += (uint32_t)__builtin_ctzll(stop);
			break;
		}
	}
	p = SL_MIN(p, end);
	*ret_query = query < p ? query : UINT32_MAX;
	return p;
}

/* ---- controls ---- */

static inline uint32_t
controls32(const uint8_t *at)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)at);
	__m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(v, _mm256_set1_epi8(0x1f)), v);
	__m256i tab = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\t'));
	__m256i del = _mm256_cmpeq_epi8(v, _mm256_set1_epi8(0x7f));

	return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(_mm256_andnot_si256(tab, low), del));
}

static inline uint64_t
controls64(const uint8_t *at)
{
	return controls32(at) | (uint64_t)controls32(at + 32) << 32;
}

/* Where controls are; blocks are looked at one after the other, each once. */
struct controls {
	const uint8_t *b;
	uint32_t end, block;
	uint64_t word; /* of b[block, block + 64) */
};

static inline uint64_t
block_word(const uint8_t *b, uint32_t p, uint32_t end)
{
	uint8_t last[64];
	uint32_t n = end - p;

	if (sl_likely(n >= 64))
		return controls64(b + p);
	if (end >= 64)
		return controls64(b + end - 64) >> (64 - n);
	memset(last, ' ', sizeof(last));
	memcpy(last, b + p, n);
	return controls64(last);
}

/* The first control at or behind p, which never goes back; end: none. */
static inline uint32_t
next_control(struct controls *c, uint32_t p)
{
	if (sl_likely(p - c->block < 64)) {
		uint64_t m = c->word >> (p - c->block);
		if (sl_likely(m))
			return p + (uint32_t)__builtin_ctzll(m);
		p = c->block + 64;
	}
	for (; p < c->end; p += 64) {
		c->word = block_word(c->b, p, c->end);
		c->block = p;
		if (sl_likely(c->word))
			return p + (uint32_t)__builtin_ctzll(c->word);
	}
	return c->end;
}

static inline struct controls
controls_from(const uint8_t *b, uint32_t p, uint32_t end)
{
	return (struct controls){b, end, p, p < end ? block_word(b, p, end) : 0};
}

int
sl_http_line_end(const uint8_t *b, uint32_t p, uint32_t end)
{
	const uint8_t *lf = p < end ? memchr(b + p, '\n', end - p) : NULL;

	if (!lf)
		return SL_PARTIAL;
	return lf > b + p && lf[-1] == '\r' ? (int)(lf - b) - 1 : SL_BAD;
}

/* ---- names ---- */

/* A name as two words of letters in lower case: its first eight bytes and its last eight; a shorter one is filled up. */
struct words {
	uint64_t first, last;
};

#define SPACES                                                                                     \
	0x2020202020202020ull /* OR: upper case becomes lower; between tokens nothing else falls together \
				      * with a letter or a hyphen */

static inline struct words
words_of(const uint8_t *name, size_t len)
{
	struct words w = {0, 0};

	if (len >= 8) {
		w = (struct words){sl_load64(name), sl_load64(name + len - 8)};
	} else {
		memcpy(&w.first, name, len);
		w.last = w.first;
	}
	return (struct words){w.first | SPACES, w.last | SPACES};
}

/* The same within a head, where bytes before the name may be loaded. */
static inline struct words
words_at(const uint8_t *b, uint32_t p, uint32_t n)
{
	if (sl_unlikely(p + n < 8))
		return words_of(b + p, n);
	unsigned shift = n >= 8 ? 0 : 64 - 8 * n;
	uint64_t last = sl_load64(b + p + n - 8) >> shift;
	uint64_t first = sl_load64(b + (n >= 8 ? p : p + n - 8)) >> shift;
	return (struct words){first | SPACES, last | SPACES};
}

/* The factors were searched for so that known names differ in the upper six bits. */
static inline uint16_t
hash_of(struct words w, size_t len)
{
	return (uint16_t)((w.first * 0x88f804b4ade46173ull + w.last * 0x584ab4b0f6c6e80dull +
			   len * 0x9e3779b97f4a7c15ull) >>
			  48);
}

uint16_t
sl_http_name_hash(const uint8_t *name, size_t len)
{
	return len ? hash_of(words_of(name, len), len) : 0;
}

static const uint8_t known_at[64] = {
	[15] = SL_HTTP_PROXY_CONNECTION,
	[24] = SL_HTTP_X_FORWARDED_PROTO,
	[28] = SL_HTTP_HOST,
	[30] = SL_HTTP_USER_AGENT,
	[35] = SL_HTTP_EXPECT,
	[40] = SL_HTTP_UPGRADE,
	[42] = SL_HTTP_TRANSFER_ENCODING,
	[43] = SL_HTTP_KEEP_ALIVE,
	[44] = SL_HTTP_TE,
	[49] = SL_HTTP_X_REQUEST_ID,
	[52] = SL_HTTP_TRAILER,
	[53] = SL_HTTP_CONTENT_LENGTH,
	[58] = SL_HTTP_X_FORWARDED_HOST,
	[59] = SL_HTTP_COOKIE,
	[61] = SL_HTTP_CONNECTION,
	[62] = SL_HTTP_X_FORWARDED_FOR,
};

static const struct {
	char text[23];
	uint8_t len;
} known[SL_HTTP_KNOWN_CNT] = {
#define X(ID, name) [SL_HTTP_##ID] = {name, sizeof(name) - 1},
	SL_HTTP_KNOWN(X)
#undef X
};

/* Of a token. */
static inline unsigned
known_of(const uint8_t *name, uint32_t n, struct words w, uint16_t hash)
{
	unsigned id = known_at[hash >> 10];

	if (sl_likely(known[id].len != n))
		return SL_HTTP_KNOWN_NONE;
	struct words k = words_of((const uint8_t *)known[id].text, n);
	if (k.first != w.first || k.last != w.last)
		return SL_HTTP_KNOWN_NONE;
	/* The longest have 17 bytes, of which the words leave one out. */
	return n <= 16 || (name[8] | 0x20) == known[id].text[8] ? id : SL_HTTP_KNOWN_NONE;
}

enum sl_http_known
sl_http_known(const uint8_t *name, size_t len)
{
	if (len < 2 || len > 17 || sl_http_token_end(name, 0, (uint32_t)len) != len)
		return SL_HTTP_KNOWN_NONE;
	struct words w = words_of(name, len);
	return known_of(name, (uint32_t)len, w, hash_of(w, len));
}

#define HOP                                                                                        \
	(1u << SL_HTTP_TRANSFER_ENCODING | 1u << SL_HTTP_CONNECTION | 1u << SL_HTTP_KEEP_ALIVE |   \
	 1u << SL_HTTP_PROXY_CONNECTION | 1u << SL_HTTP_TE | 1u << SL_HTTP_TRAILER |               \
	 1u << SL_HTTP_UPGRADE)

bool
sl_http_reserved(const uint8_t *name, size_t len)
{
	return (HOP | 1u << SL_HTTP_HOST | 1u << SL_HTTP_CONTENT_LENGTH) >>
		       sl_http_known(name, len) &
	       1;
}

bool
sl_http_says(const uint8_t *text, size_t len, const char *word)
{
	size_t i = 0;

	for (; i < len && word[i]; i++) {
		uint8_t c = text[i];
		if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != (uint8_t)word[i])
			return false;
	}
	return i == len && !word[i];
}

static bool
same_name(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t x = a[i], y = b[i];
		x = x >= 'A' && x <= 'Z' ? x | 0x20 : x;
		y = y >= 'A' && y <= 'Z' ? y | 0x20 : y;
		if (x != y)
			return false;
	}
	return true;
}

unsigned
sl_http_find(const struct sl_http_head *h, const uint8_t *name, size_t len, uint16_t hash,
	     unsigned from)
{
	for (; from < h->line_cnt; from++) {
		const struct sl_http_line *l = &h->line[from];
		if (l->hash == hash && l->name_len == len &&
		    same_name(h->bytes + l->name, name, len))
			return from;
	}
	return h->line_cnt;
}

/* ---- lines ---- */

static inline bool
is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* A line that does not end at its first control, e. */
static SL_COLD int
odd_line(const struct sl_http_lines *ls, const uint8_t *b, uint32_t p, uint32_t e, uint32_t end,
	 uint32_t cnt, enum sl_http_bad *ret_why)
{
	const uint8_t *lf = e < end ? memchr(b + e, '\n', end - e) : NULL;

	if (!lf)
		return SL_PARTIAL;
	uint32_t name_end = sl_http_token_end(b, p, end);
	if (lf == b + p || lf[-1] != '\r')
		*ret_why = SL_HTTP_BAD_NEWLINE;
	else if (cnt == ls->max)
		*ret_why = SL_HTTP_BAD_TOO_MANY;
	else if (is_space(b[p]))
		*ret_why = SL_HTTP_BAD_FOLD;
	else if (name_end == p || b[name_end] != ':')
		*ret_why = SL_HTTP_BAD_NAME;
	else
		*ret_why = SL_HTTP_BAD_VALUE;
	return SL_BAD;
}

static inline void
put_line(struct sl_http_lines *ls, struct sl_http_head *h, uint32_t cnt, uint32_t p, uint32_t n,
	 uint32_t e)
{
	const uint8_t *b = h->bytes;
	uint32_t v = p + n + 1;
	struct words w = words_at(b, p, n);
	uint16_t hash = hash_of(w, n);
	unsigned id = known_of(b + p, n, w, hash);

	while (v < e && is_space(b[v]))
		v++;
	while (e > v && is_space(b[e - 1]))
		e--;
	if (id) {
		if (h->first[id] == UINT8_MAX)
			h->first[id] = (uint8_t)cnt;
		ls->twice |= ls->seen & 1u << id;
		ls->seen |= 1u << id;
	}
	h->line[cnt] = (struct sl_http_line){
		.name = (uint16_t)p,
		.name_len = (uint16_t)n,
		.value = (uint16_t)v,
		.value_len = (uint16_t)(e - v),
		.known = (uint8_t)id,
		.hop = HOP >> id & 1,
		.hash = hash,
	};
}

int
sl_http_lines(struct sl_http_lines *ls, const uint8_t *b, uint32_t p, uint32_t end, uint32_t cnt,
	      struct sl_http_head *h, enum sl_http_bad *ret_why)
{
	struct controls c = controls_from(b, p, end);

	for (;; cnt++) {
		uint32_t e = next_control(&c, p);
		if (sl_unlikely(end - e < 2 || sl_load16(b + e) != CRLF))
			return odd_line(ls, b, p, e, end, cnt, ret_why);
		if (e == p)
			break;
		if (sl_unlikely(cnt == ls->max)) {
			*ret_why = SL_HTTP_BAD_TOO_MANY;
			return SL_BAD;
		}
		uint32_t n = sl_http_token_end(b, p, end) - p;
		if (sl_unlikely(n == 0 || b[p + n] != ':')) {
			*ret_why = is_space(b[p]) ? SL_HTTP_BAD_FOLD : SL_HTTP_BAD_NAME;
			return SL_BAD;
		}
		put_line(ls, h, cnt, p, n, e);
		p = e + 2;
	}
	h->line_cnt = (uint16_t)cnt;
	return (int)p + 2;
}

static uint32_t
count_newlines(const uint8_t *b, uint32_t p, uint32_t end)
{
	uint32_t n = 0;

	for (; p < end; p++)
		n += b[p] == '\n';
	return n;
}

int
sl_http_lines_resume(struct sl_http_lines *ls, const uint8_t *b, uint32_t p, uint32_t from,
		     uint32_t end, struct sl_http_head *h, enum sl_http_bad *ret_why)
{
	if (from >= end || !memchr(b + from, '\n', end - from))
		return SL_PARTIAL;
	const uint8_t *lf = from > p ? memrchr(b + p, '\n', from - p) : NULL;
	uint32_t at = lf ? (uint32_t)(lf - b) + 1 : p;
	return sl_http_lines(ls, b, at, end, count_newlines(b, p, at), h, ret_why);
}

bool
sl_http_list_next(struct sl_http_list *l)
{
	while (l->p < l->end && (l->b[l->p] == ',' || is_space(l->b[l->p])))
		l->p++;
	if (l->p == l->end)
		return false;
	const uint8_t *comma = memchr(l->b + l->p, ',', l->end - l->p);
	uint32_t e = comma ? (uint32_t)(comma - l->b) : l->end;
	l->at = l->p;
	l->p = e;
	while (is_space(l->b[e - 1]))
		e--;
	l->len = e - l->at;
	return true;
}
