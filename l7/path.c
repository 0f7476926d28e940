/* Most paths are normal: no percent-code, no backslash, no "//", no "/." anywhere.  That is asked of 32 bytes at a time.
 *
 * Others are made so in two passes over the result: codes first, so that "%2e%2e" is "..", then segments, from left to
 * right, each written behind what is left of those before it:
 *
 *   "/a/./b//c/../d/.."   a   .   b   (empty)   c   ..   d   ..     →  "/a/b/"
 *
 * An empty segment goes before ".." is looked at, so "/a//.." is "/" when slashes are merged.
 */
#include "l7/path.h"

#include <immintrin.h>

static int
digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%XX" at in[0, left) stands for; −1: it is none. */
static int
code(const uint8_t *in, uint32_t left)
{
	if (left < 3)
		return -1;
	int high = digit(in[1]), low = digit(in[2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

static bool
is_unreserved(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

/* ---- is it normal ---- */

/* at[0, 33), a path from its "/" or from within: whether nothing in it asks for a closer look. */
static inline bool
plain33(const uint8_t *at, bool merge)
{
	__m256i v = _mm256_loadu_si256((const __m256i *)at);
	__m256i next = _mm256_loadu_si256((const __m256i *)(at + 1));
	__m256i slash = _mm256_set1_epi8('/'), odd = _mm256_cmpeq_epi8(next, _mm256_set1_epi8('.'));

	if (merge)
		odd = _mm256_or_si256(odd, _mm256_cmpeq_epi8(next, slash));
	odd = _mm256_and_si256(odd, _mm256_cmpeq_epi8(v, slash));
	odd = _mm256_or_si256(odd, _mm256_cmpeq_epi8(next, _mm256_set1_epi8('%')));
	odd = _mm256_or_si256(odd, _mm256_cmpeq_epi8(next, _mm256_set1_epi8('\\')));
	return _mm256_testz_si256(odd, odd);
}

static bool
is_plain(const uint8_t *in, uint32_t len, bool merge)
{
	uint8_t all[33] = {0};

	if (len <= sizeof(all)) {
		memcpy(all, in, len);
		return plain33(all, merge);
	}
	for (uint32_t p = 0; p + 33 < len; p += 32)
		if (!plain33(in + p, merge))
			return false;
	return plain33(in + len - 33, merge);
}

/* ---- codes ---- */

/* in without the codes that need not be; UINT32_MAX: refused. */
static uint32_t
decode(const uint8_t *in, uint32_t len, uint8_t slash_2f, uint8_t *out)
{
	static const uint8_t hex[] = "0123456789ABCDEF";
	uint32_t n = 0;

	for (uint32_t i = 0; i < len; i++) {
		if (in[i] != '%') {
			out[n++] = in[i];
			continue;
		}
		int c = code(in + i, len - i);
		if (c <= 0 || (c == '/' && slash_2f == SL_2F_REJECT))
			return UINT32_MAX;
		if (is_unreserved(c) || (c == '/' && slash_2f == SL_2F_DECODE)) {
			out[n++] = (uint8_t)c;
		} else {
			out[n++] = '%';
			out[n++] = hex[c >> 4];
			out[n++] = hex[c & 15];
		}
		i += 2;
	}
	return n;
}

/* ---- segments ---- */

static bool
is_dots(const uint8_t *s, uint32_t len)
{
	return (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.');
}

/* Length of what some endpoints take for a slash, or 0. */
static uint32_t
quasi_slash(const uint8_t *s, uint32_t left)
{
	if (s[0] == '\\')
		return 1;
	return left >= 3 && (memcmp(s, "%2F", 3) == 0 || memcmp(s, "%5C", 3) == 0) ? 3 : 0;
}

/* "..%2Fadmin", "a\..", "..;": one segment here, and elsewhere a way up that no route has seen.  What stands behind ";" is
 * taken for a parameter of the piece before it. */
static bool
hides_dots(const uint8_t *s, uint32_t len)
{
	uint32_t from = 0, i = 0, n = 0;

	while (i < len) {
		uint32_t name = 0;
		bool parameter = false;
		for (n = 0; i < len && !(n = quasi_slash(s + i, len - i)); i++) {
			parameter |= s[i] == ';';
			name += !parameter;
		}
		if (is_dots(s + from, name))
			return true;
		i += n;
		from = i;
	}
	return false;
}

static uint32_t
without_last(const uint8_t *path, uint32_t len)
{
	while (path[--len] != '/')
		;
	return len;
}

/* path[0, len) in place; its length, or UINT32_MAX: refused. */
static uint32_t
segments(uint8_t *path, uint32_t len, bool merge)
{
	uint32_t n = 0;

	for (uint32_t at = 0, e; at < len; at = e) {
		const uint8_t *s = path + at + 1;
		for (e = at + 1; e < len && path[e] != '/'; e++)
			;
		uint32_t s_len = e - at - 1;
		bool dots = is_dots(s, s_len), last = e == len;
		if (dots && s_len == 2 && n == 0)
			return UINT32_MAX;
		if (dots && s_len == 2)
			n = without_last(path, n);
		if (!last && (dots || (merge && s_len == 0)))
			continue;
		if (!dots && hides_dots(s, s_len))
			return UINT32_MAX;
		path[n++] = '/';
		if (!dots) {
			memmove(path + n, s, s_len);
			n += s_len;
		}
	}
	return n;
}

enum sl_path_verdict
sl_path_normalise(const uint8_t *in, uint32_t len, uint8_t slash_2f, bool merge, uint8_t *ret,
		  uint32_t *ret_len)
{
	if (sl_likely(is_plain(in, len, merge)))
		return SL_PATH_SAME;
	uint32_t n = decode(in, len, slash_2f, ret);
	if (n != UINT32_MAX)
		n = segments(ret, n, merge);
	if (n == UINT32_MAX)
		return SL_PATH_REFUSED;
	if (n == len && memcmp(in, ret, n) == 0)
		return SL_PATH_SAME;
	*ret_len = n;
	return SL_PATH_CHANGED;
}

/* ---- query ---- */

/* The byte at in[*i] as a form has it; *i goes on behind it.  A percent sign that begins no code is itself. */
static uint8_t
form_byte(const uint8_t *in, uint32_t len, uint32_t *i)
{
	uint8_t c = in[(*i)++];

	if (c == '+')
		return ' ';
	int v = c == '%' ? code(in + *i - 1, len - *i + 1) : -1;
	if (v < 0)
		return c;
	*i += 2;
	return (uint8_t)v;
}

static bool
is_named(const uint8_t *in, uint32_t len, const uint8_t *name, uint32_t name_len)
{
	uint32_t i = 0, n = 0;

	while (i < len && n < name_len)
		if (form_byte(in, len, &i) != name[n++])
			return false;
	return i == len && n == name_len;
}

bool
sl_query_decode(const uint8_t *in, uint32_t len, uint8_t *buf, uint32_t buf_len,
		const uint8_t **ret, uint32_t *ret_len)
{
	uint32_t n = 0;

	*ret = in;
	*ret_len = len;
	if (!len || (!memchr(in, '%', len) && !memchr(in, '+', len)))
		return true;
	for (uint32_t i = 0; i < len;) {
		if (n == buf_len)
			return false;
		buf[n++] = form_byte(in, len, &i);
	}
	*ret = buf;
	*ret_len = n;
	return true;
}

bool
sl_query_value(const uint8_t *query, uint32_t len, const uint8_t *name, uint32_t name_len,
	       const uint8_t **ret, uint32_t *ret_len)
{
	for (uint32_t at = 0, e, v; at < len; at = e + 1) {
		const uint8_t *amp = memchr(query + at, '&', len - at);
		e = amp ? (uint32_t)(amp - query) : len;
		const uint8_t *eq = memchr(query + at, '=', e - at);
		v = eq ? (uint32_t)(eq - query) : e;
		if (!is_named(query + at, v - at, name, name_len) || e == at)
			continue;
		*ret = query + v + (eq != NULL);
		*ret_len = e - v - (eq != NULL);
		return true;
	}
	return false;
}

bool
sl_query_find(const uint8_t *query, uint32_t len, const uint8_t *name, uint32_t name_len,
	      uint8_t *buf, uint32_t buf_len, const uint8_t **ret, uint32_t *ret_len)
{
	const uint8_t *at;
	uint32_t n;

	return sl_query_value(query, len, name, name_len, &at, &n) &&
	       sl_query_decode(at, n, buf, buf_len, ret, ret_len);
}
