/* A block of 64 bytes becomes a word with a bit for each byte that is a control.  In a head that is right these are the CR and
 * LF that end its lines.
 *
 * Most heads are whole and right.  For them first all line ends are listed, a block at a time and without a branch that
 * depends on where they are, then all lines are read, each without a branch that depends on its name.  Only when something is
 * wrong, or the end is not there yet, lines are read one after the other, which tells the first that is wrong.
 *
 * A name is classed 32 bytes at a time: where it ceases to be a token the colon must stand.  Whoever is near the end loads the
 * last bytes before it and shifts, so that nothing behind `end` is touched.
 */
#include "l7/http1_lines.h"

#include <immintrin.h>

#define CRLF 0x0a0du
#define COLON_SPACE 0x203au

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

/* Tokens but for "_", which is right, but rare, and asked for by sl_http_lines. */
#define CLASS_PLAIN                                                                                \
	0xe8, 0xfc, 0xf8, 0xfc, 0xfc, 0xfc, 0xfc, 0xfc, 0xf8, 0xf8, 0xf4, 0x54, 0xd0, 0x54, 0xf4,  \
		0x50

static const uint8_t plain_row[32] __attribute__((aligned(32))) = {CLASS_PLAIN, CLASS_PLAIN};
static const uint8_t token_row[32] __attribute__((aligned(32))) = {CLASS_TOKEN, CLASS_TOKEN};
static const uint8_t name_row[32] __attribute__((aligned(32))) = {CLASS_NAME, CLASS_NAME};
static const uint8_t high_row[32] __attribute__((aligned(32))) = {CLASS_HIGH, CLASS_HIGH};

/* Bits of the bytes that are not in the class. */
static inline uint32_t
outside(__m256i v, const uint8_t *row)
{
	__m256i low = _mm256_shuffle_epi8(_mm256_load_si256((const __m256i *)row), v);
	__m256i half = _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0f));
	__m256i high = _mm256_shuffle_epi8(_mm256_load_si256((const __m256i *)high_row), half);
	__m256i in = _mm256_and_si256(low, high);

	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(in, _mm256_setzero_si256()));
}

static inline uint32_t
outside32(const uint8_t *at, const uint8_t *row)
{
	return outside(_mm256_loadu_si256((const __m256i *)at), row);
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

/* Bits of what no target holds, and of question marks. */
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

/* The last n < 32 bytes before end. */
static inline uint32_t
target_last(const uint8_t *b, uint32_t n, uint32_t end, uint32_t *ret_query)
{
	uint8_t last[32] = {0};
	uint32_t shift = 32 - n, wrong;

	if (sl_likely(end >= 32)) {
		wrong = target32(b + end - 32, ret_query);
	} else {
		memcpy(last + shift, b + end - n, n);
		wrong = target32(last, ret_query);
	}
	*ret_query >>= shift;
	return wrong >> shift;
}

bool
sl_http_is_target(const uint8_t *b, uint32_t p, uint32_t end, uint32_t *ret_query)
{
	uint32_t query = UINT32_MAX, wrong = 0, q;

	for (; end - p >= 32; p += 32) {
		wrong |= target32(b + p, &q);
		if (q && query == UINT32_MAX)
			query = p + (uint32_t)__builtin_ctz(q);
	}
	if (p < end) {
		wrong |= target_last(b, end - p, end, &q);
		if (q && query == UINT32_MAX)
			query = p + (uint32_t)__builtin_ctz(q);
	}
	*ret_query = query;
	return !wrong;
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

/* At 32 − n, ones for n bytes and zeros behind. */
static const uint8_t first_row[64] __attribute__((aligned(64))) = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* The first n (≤ 32) bytes in lower case, zeros behind.  Of tokens no two bytes but the two cases of a letter fall together
 * where a letter or a hyphen comes out. */
static inline __m256i
lower(__m256i v, size_t n)
{
	__m256i in = _mm256_loadu_si256((const __m256i *)(first_row + 32 - n));

	return _mm256_and_si256(_mm256_or_si256(v, _mm256_set1_epi8(0x20)), in);
}

static inline __m256i
lower_at(const uint8_t *name, size_t len)
{
	uint8_t bytes[32] = {0};

	memcpy(bytes, name, SL_MIN(len, sizeof(bytes)));
	return lower(_mm256_loadu_si256((const __m256i *)bytes), SL_MIN(len, sizeof(bytes)));
}

/* Of the first 16 bytes and the length. */
static inline uint16_t
hash_of(__m256i name, size_t len)
{
	__m128i low = _mm256_castsi256_si128(name);
	uint64_t crc = _mm_crc32_u64(len, (uint64_t)_mm_cvtsi128_si64(low));

	return (uint16_t)(_mm_crc32_u64(crc, (uint64_t)_mm_extract_epi64(low, 1)) >> 16);
}

uint16_t
sl_http_name_hash(const uint8_t *name, size_t len)
{
	return hash_of(lower_at(name, len), len);
}

#define HOP                                                                                        \
	(1u << SL_HTTP_TRANSFER_ENCODING | 1u << SL_HTTP_CONNECTION | 1u << SL_HTTP_KEEP_ALIVE |   \
	 1u << SL_HTTP_PROXY_CONNECTION | 1u << SL_HTTP_TE | 1u << SL_HTTP_TRAILER |               \
	 1u << SL_HTTP_UPGRADE)

/* By seven bits of the hash, in which known names differ: what a line of the name has in .known and .hop. */
#define AT(bits, ID) [bits] = SL_HTTP_##ID | (HOP >> SL_HTTP_##ID & 1) << 8
static const uint16_t known_at[128] = {
	AT(1, X_FORWARDED_PROTO),
	AT(6, TRANSFER_ENCODING),
	AT(15, UPGRADE),
	AT(21, CONTENT_LENGTH),
	AT(30, TE),
	AT(36, KEEP_ALIVE),
	AT(37, TRAILER),
	AT(39, HOST),
	AT(42, USER_AGENT),
	AT(46, EXPECT),
	AT(49, COOKIE),
	AT(57, PROXY_CONNECTION),
	AT(63, X_FORWARDED_FOR),
	AT(73, X_FORWARDED_HOST),
	AT(108, CONNECTION),
	AT(110, X_REQUEST_ID),
	AT(121, X_FORWARDED_CLIENT_CERT),
};
#undef AT

static const struct {
	char text[32];
} known[SL_HTTP_KNOWN_CNT] __attribute__((aligned(32))) = {
#define X(ID, name) [SL_HTTP_##ID] = {name},
	SL_HTTP_KNOWN(X)
#undef X
};

/* Of a token: as known_at has it, or 0.  No branch: which names come is by chance. */
static inline uint32_t
known_of(__m256i name, uint16_t hash)
{
	uint32_t at = known_at[hash >> 6 & 127];
	__m256i text = _mm256_load_si256((const __m256i *)known[at & 0xff].text);
	uint32_t differ = ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(text, name));

	/* All ones when nothing differs.  Compilers make a branch of a comparison. */
	return at & (uint32_t)(((uint64_t)differ - 1) >> 32);
}

enum sl_http_known
sl_http_known(const uint8_t *name, size_t len)
{
	if (len < 2 || len > 23 || sl_http_token_end(name, 0, (uint32_t)len) != len)
		return SL_HTTP_KNOWN_NONE;
	__m256i low = lower_at(name, len);
	return (enum sl_http_known)(known_of(low, hash_of(low, len)) & 0xff);
}

bool
sl_http_reserved(const uint8_t *name, size_t len)
{
	return (HOP | 1u << SL_HTTP_HOST | 1u << SL_HTTP_CONTENT_LENGTH) >>
		       sl_http_known(name, len) &
	       1;
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

/* Line at *l, whose name is b[p, p + n) and whose value, white space removed, is b[v, e).  Which known header it is. */
static inline uint32_t
put_line(struct sl_http_line *l, __m256i name, uint32_t p, uint32_t n, uint32_t v, uint32_t e)
{
	static_assert(offsetof(struct sl_http_line, name_len) == 2, "");
	static_assert(offsetof(struct sl_http_line, value) == 4, "");
	static_assert(offsetof(struct sl_http_line, value_len) == 6, "");
	static_assert(offsetof(struct sl_http_line, known) == 8, "");
	static_assert(offsetof(struct sl_http_line, hop) == 9, "");
	static_assert(offsetof(struct sl_http_line, hash) == 10, "");
	uint16_t hash = hash_of(name, n);
	uint32_t at = known_of(name, hash);

	sl_store32(&l->name, p | n << 16);
	sl_store32(&l->value, v | (e - v) << 16);
	sl_store32(&l->known, at | (uint32_t)hash << 16);
	return at & 0xff;
}

static void
add_line(struct sl_http_lines *ls, const uint8_t *b, struct sl_http_head *h, uint32_t cnt,
	 uint32_t p, uint32_t n, uint32_t e)
{
	uint32_t v = p + n + 1;

	while (v < e && is_space(b[v]))
		v++;
	while (e > v && is_space(b[e - 1]))
		e--;
	uint32_t id = put_line(&h->line[cnt], lower_at(b + p, n), p, n, v, e);
	if (ls->cnt[id]++ == 0)
		h->first[id] = (uint8_t)cnt;
}

static inline void
put_end(struct sl_http_head *h, uint32_t cnt)
{
	/* Where all lines are that are not known. */
	h->first[SL_HTTP_KNOWN_NONE] = UINT8_MAX;
	h->line_cnt = (uint16_t)cnt;
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
		uint32_t n = class_end(b, p, end, token_row) - p;
		if (sl_unlikely(n == 0 || b[p + n] != ':')) {
			*ret_why = is_space(b[p]) ? SL_HTTP_BAD_FOLD : SL_HTTP_BAD_NAME;
			return SL_BAD;
		}
		ls->underscored |= memchr(b + p, '_', n) != NULL;
		add_line(ls, b, h, cnt, p, n, e);
		p = e + 2;
	}
	put_end(h, cnt);
	return (int)p + 2;
}

/* ---- heads that are whole ---- */

/* Bits of controls; tabs and bytes from 0x80 on count as such here: they are right, but rare, and left to sl_http_lines. */
static inline uint64_t
odd32(const uint8_t *at)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)at);
	/* One more, and signed, DEL and bytes from 0x80 on are below zero or zero. */
	__m256i next = _mm256_add_epi8(v, _mm256_set1_epi8(1));
	__m256i even = _mm256_cmpgt_epi8(next, _mm256_set1_epi8(0x20));

	return (uint32_t)_mm256_movemask_epi8(even);
}

static inline uint64_t
odd64(const uint8_t *at)
{
	return ~(odd32(at) | odd32(at + 32) << 32);
}

static inline uint64_t
odd_last(const uint8_t *b, size_t p, size_t end)
{
	uint8_t last[64];

	if (end >= 64)
		return odd64(b + end - 64) >> (64 - (end - p));
	memset(last, ' ', sizeof(last));
	memcpy(last, b + p, end - p);
	return odd64(last);
}

#define ENDS_MAX (SL_HTTP_HEADERS_MAX + 2) /* start line, empty line */
#define ENDS_ROOM (ENDS_MAX + 64)          /* a block at once */

/* What a block has to know of those before, and what is counted. */
struct ends {
	uint64_t odd, pairs; /* of the block before */
	uint64_t empty;      /* its bit, in the last block: where the head's end is */
	size_t cnt, odd_cnt;
};

/* Lists what stands behind the bits of the word; three at once, since that there are more is rare. */
static inline void
put_starts(uint32_t *to, size_t p, uint64_t word)
{
	for (unsigned i = 0; i < 3; i++, word = _blsr_u64(word))
		*to++ = (uint32_t)(p + 1 + _tzcnt_u64(word));
	for (; sl_unlikely(word); word = _blsr_u64(word))
		*to++ = (uint32_t)(p + 1 + _tzcnt_u64(word));
}

/* The block at p, of which odd are the odd bytes. */
static inline struct ends
ends_block(struct ends s, uint32_t *starts, size_t p, uint64_t odd)
{
	uint64_t pairs = odd & (odd << 1 | s.odd >> 63);
	uint64_t empty = pairs & (pairs << 2 | s.pairs >> 62);

	s.odd = odd;
	s.pairs = pairs;
	s.empty = empty;
	if (sl_unlikely(empty)) {
		odd &= empty ^ (empty - 1);
		pairs &= empty ^ (empty - 1);
	}
	put_starts(starts + s.cnt, p, pairs);
	s.odd_cnt += (size_t)_mm_popcnt_u64(odd);
	s.cnt += (size_t)_mm_popcnt_u64(pairs);
	return s;
}

/* What stands behind pairs of odd bytes: if each pair is CR LF, which is left to ask, the beginnings of all lines of a head but
 * the first, and of what follows it.  Four odd bytes in a row are its end; the middle pair of these is taken out.  0: it has
 * no end here, too many lines, or there is an odd byte alone.  With a third in a row, of which not all pairs are CR LF, the
 * counts might agree none the less. */
static inline size_t
line_starts(uint32_t *starts, const uint8_t *b, size_t end)
{
	struct ends s = {0};
	size_t p = 0;

	for (; end - p >= 64 && !s.empty && s.cnt <= ENDS_MAX; p += 64)
		s = ends_block(s, starts, p, odd64(b + p));
	if (p < end && !s.empty && s.cnt <= ENDS_MAX)
		s = ends_block(s, starts, p, odd_last(b, p, end));
	if (!s.empty || s.cnt > ENDS_MAX + 1)
		return 0;
	s.cnt--;
	starts[s.cnt - 1] = starts[s.cnt];
	return s.odd_cnt == 2 * s.cnt ? s.cnt : 0;
}

/* The line from p to its CR at e: which known header it is, or −1: it is not right.  near: there may be
 * less than 32 bytes from p to the end. */
static inline int
whole_line(const uint8_t *b, size_t p, size_t e, uint32_t end, bool near, struct sl_http_line *l)
{
	__m256i name;
	size_t n;

	if (near) {
		n = class_end(b, (uint32_t)p, end, plain_row) - p;
		name = lower_at(b + p, n);
	} else {
		name = _mm256_loadu_si256((const __m256i *)(b + p));
		uint32_t m = outside(name, plain_row);
		n = (size_t)_tzcnt_u32(m); /* 32: none */
		name = lower(name, n);
		if (sl_unlikely(!m))
			n = class_end(b, (uint32_t)p + 32, end, plain_row) - p;
	}
	const uint8_t *colon = b + p + n;
	size_t v = p + n + 2;
	if (sl_unlikely(n == 0 || sl_load16(b + e) != CRLF))
		return -1;
	if (sl_unlikely(sl_load16(colon) != COLON_SPACE)) {
		if (*colon != ':')
			return -1;
		v--;
	}
	if (sl_unlikely(b[v] == ' ' || b[e - 1] == ' ')) {
		while (v < e && b[v] == ' ')
			v++;
		while (e > v && b[e - 1] == ' ')
			e--;
	}
	return (int)put_line(l, name, (uint32_t)p, (uint32_t)n, (uint32_t)v, (uint32_t)e);
}

int
sl_http_lines_whole(struct sl_http_lines *ls, const uint8_t *b, uint32_t end,
		    struct sl_http_head *h, uint32_t *ret_start)
{
	uint32_t starts[ENDS_ROOM];
	size_t cnt = line_starts(starts, b, end), i = cnt - 2;

	if (cnt < 2 || i > ls->max)
		return 0;
	size_t first = starts[0], behind = starts[cnt - 1], next = starts[cnt - 2];
	if (sl_load16(b + first - 2) != CRLF || sl_load16(b + behind - 2) != CRLF)
		return 0;
	/* From the last to the first, so that the first of a name is what stays. */
	while (i-- > 0) {
		size_t p = starts[i];
		int id = sl_unlikely(end - p < 32)
				 ? whole_line(b, p, next - 2, end, true, &h->line[i])
				 : whole_line(b, p, next - 2, end, false, &h->line[i]);
		if (sl_unlikely(id < 0))
			return 0;
		h->first[id] = (uint8_t)i;
		ls->cnt[id]++;
		next = p;
	}
	put_end(h, (uint32_t)cnt - 2);
	*ret_start = (uint32_t)first - 2;
	return (int)behind;
}

/* ---- heads that come in pieces ---- */

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
