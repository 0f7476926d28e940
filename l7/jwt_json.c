/* One pass, by recursion of at most SL_JSON_DEPTH.  What an object holds twice is looked for when a member is added: among at most
 * SL_JSON_MEMBERS, by length and bytes. */
#include "l7/jwt_json.h"

#include <string.h>

struct reader {
	struct sl_json *j;
	uint8_t *text;
	uint32_t at, len;
};

static enum sl_json_bad read_value(struct reader *r, uint32_t i, unsigned depth);

static void
skip_space(struct reader *r)
{
	while (r->at < r->len && (r->text[r->at] == ' ' || r->text[r->at] == '\t' ||
				  r->text[r->at] == '\n' || r->text[r->at] == '\r'))
		r->at++;
}

static bool
take(struct reader *r, uint8_t c)
{
	if (r->at == r->len || r->text[r->at] != c)
		return false;
	r->at++;
	return true;
}

/* ---- strings ---- */

/* Length of the UTF-8 sequence at s, 0: it is none (RFC 3629). */
static uint32_t
utf8_len(const uint8_t *s, uint32_t left)
{
	uint32_t n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (n == 0 || n > left || s[0] > 0xf4)
		return 0;
	for (uint32_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static uint32_t
utf8_put(uint8_t *to, uint32_t c)
{
	if (c < 0x80) {
		to[0] = (uint8_t)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (uint8_t)(0xc0 | c >> 6);
		to[1] = (uint8_t)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (uint8_t)(0xe0 | c >> 12);
		to[1] = (uint8_t)(0x80 | (c >> 6 & 63));
		to[2] = (uint8_t)(0x80 | (c & 63));
		return 3;
	}
	to[0] = (uint8_t)(0xf0 | c >> 18);
	to[1] = (uint8_t)(0x80 | (c >> 12 & 63));
	to[2] = (uint8_t)(0x80 | (c >> 6 & 63));
	to[3] = (uint8_t)(0x80 | (c & 63));
	return 4;
}

static int
hex_of(uint8_t c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* Four digits, behind "\u"; UINT32_MAX: they are none. */
static uint32_t
read_hex(struct reader *r)
{
	uint32_t c = 0;

	if (r->len - r->at < 4)
		return UINT32_MAX;
	for (unsigned i = 0; i < 4; i++) {
		int d = hex_of(r->text[r->at + i]);
		if (d < 0)
			return UINT32_MAX;
		c = c << 4 | (uint32_t)d;
	}
	r->at += 4;
	return c;
}

static bool
read_code(struct reader *r, uint32_t *ret)
{
	uint32_t c = read_hex(r), low;

	if (c == 0 || c == UINT32_MAX || (c >= 0xdc00 && c <= 0xdfff))
		return false;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (!take(r, '\\') || !take(r, 'u'))
			return false;
		low = read_hex(r);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	*ret = c;
	return true;
}

static bool
read_escape(struct reader *r, uint32_t *to)
{
	static const char from[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	uint32_t c;

	if (r->at == r->len)
		return false;
	uint8_t e = r->text[r->at++];
	if (e == 'u') {
		if (!read_code(r, &c))
			return false;
		*to += utf8_put(r->text + *to, c);
		return true;
	}
	const char *is = e ? strchr(from, e) : NULL;
	if (!is)
		return false;
	r->text[(*to)++] = (uint8_t)meant[is - from];
	return true;
}

/* Behind its first quote, up to behind its last. */
static bool
read_string(struct reader *r, uint16_t *ret_at, uint16_t *ret_len)
{
	uint32_t to = r->at;

	*ret_at = (uint16_t)to;
	while (r->at < r->len) {
		uint8_t c = r->text[r->at];
		if (c == '"') {
			r->at++;
			*ret_len = (uint16_t)(to - *ret_at);
			return true;
		}
		if (c < ' ')
			return false;
		if (c == '\\') {
			r->at++;
			if (!read_escape(r, &to))
				return false;
			continue;
		}
		uint32_t n = utf8_len(r->text + r->at, r->len - r->at);
		if (n == 0)
			return false;
		for (; n; n--)
			r->text[to++] = r->text[r->at++];
	}
	return false;
}

/* ---- numbers and words ---- */

static bool
digits(struct reader *r)
{
	uint32_t from = r->at;

	while (r->at < r->len && r->text[r->at] >= '0' && r->text[r->at] <= '9')
		r->at++;
	return r->at > from;
}

static bool
read_number(struct reader *r)
{
	take(r, '-');
	if (!take(r, '0') && !digits(r))
		return false;
	if (take(r, '.') && !digits(r))
		return false;
	if (take(r, 'e') || take(r, 'E')) {
		if (!take(r, '+'))
			take(r, '-');
		if (!digits(r))
			return false;
	}
	return true;
}

static bool
word(struct reader *r, const char *w)
{
	uint32_t n = (uint32_t)strlen(w);

	if (r->len - r->at < n || memcmp(r->text + r->at, w, n) != 0)
		return false;
	r->at += n;
	return true;
}

/* ---- what holds others ---- */

static enum sl_json_bad
add(struct reader *r, uint32_t *ret_i)
{
	if (r->j->cnt == SL_JSON_VALUES)
		return SL_JSON_MANY;
	*ret_i = r->j->cnt++;
	r->j->value[*ret_i] = (struct sl_json_value){0};
	return SL_JSON_OK;
}

static enum sl_json_bad
read_array(struct reader *r, unsigned depth)
{
	enum sl_json_bad bad;
	uint32_t i;

	skip_space(r);
	if (take(r, ']'))
		return SL_JSON_OK;
	do {
		if ((bad = add(r, &i)) || (bad = read_value(r, i, depth + 1)))
			return bad;
	} while (take(r, ','));
	return take(r, ']') ? SL_JSON_OK : SL_JSON_SYNTAX;
}

static bool
has_member(const struct sl_json *j, uint32_t of, uint32_t i)
{
	const struct sl_json_value *v = &j->value[i];

	for (uint32_t k = of + 1; k < i; k = j->value[k].end)
		if (j->value[k].name_len == v->name_len &&
		    memcmp(j->text + j->value[k].name, j->text + v->name, v->name_len) == 0)
			return true;
	return false;
}

static enum sl_json_bad
read_object(struct reader *r, uint32_t of, unsigned depth)
{
	enum sl_json_bad bad;
	unsigned cnt = 0;
	uint32_t i;

	skip_space(r);
	if (take(r, '}'))
		return SL_JSON_OK;
	do {
		if (cnt++ == SL_JSON_MEMBERS)
			return SL_JSON_MANY;
		if ((bad = add(r, &i)))
			return bad;
		struct sl_json_value *v = &r->j->value[i];
		skip_space(r);
		if (!take(r, '"') || !read_string(r, &v->name, &v->name_len))
			return SL_JSON_SYNTAX;
		if (has_member(r->j, of, i))
			return SL_JSON_DUPLICATE;
		skip_space(r);
		if (!take(r, ':'))
			return SL_JSON_SYNTAX;
		if ((bad = read_value(r, i, depth + 1)))
			return bad;
	} while (take(r, ','));
	return take(r, '}') ? SL_JSON_OK : SL_JSON_SYNTAX;
}

static enum sl_json_bad
read_plain(struct reader *r, struct sl_json_value *v)
{
	if (word(r, "true"))
		v->type = SL_JSON_TRUE;
	else if (word(r, "false"))
		v->type = SL_JSON_FALSE;
	else if (word(r, "null"))
		v->type = SL_JSON_NULL;
	else if (read_number(r))
		v->type = SL_JSON_NUMBER;
	else
		return SL_JSON_SYNTAX;
	return SL_JSON_OK;
}

/* With the white space around it. */
static enum sl_json_bad
read_value(struct reader *r, uint32_t i, unsigned depth)
{
	struct sl_json_value *v = &r->j->value[i];
	enum sl_json_bad bad = SL_JSON_OK;

	skip_space(r);
	v->at = (uint16_t)r->at;
	if (depth > SL_JSON_DEPTH)
		return SL_JSON_DEEP;
	if (take(r, '"')) {
		v->type = SL_JSON_STRING;
		if (!read_string(r, &v->at, &v->len))
			return SL_JSON_SYNTAX;
	} else if (take(r, '{')) {
		v->type = SL_JSON_OBJECT;
		bad = read_object(r, i, depth);
	} else if (take(r, '[')) {
		v->type = SL_JSON_ARRAY;
		bad = read_array(r, depth);
	} else {
		bad = read_plain(r, v);
	}
	if (v->type != SL_JSON_STRING)
		v->len = (uint16_t)(r->at - v->at);
	v->end = (uint16_t)r->j->cnt;
	skip_space(r);
	return bad;
}

enum sl_json_bad
sl_json_read(uint8_t *text, uint32_t len, struct sl_json *ret)
{
	struct reader r = {.j = ret, .text = text, .len = len};
	uint32_t i;

	ret->text = text;
	ret->cnt = 0;
	if (len > UINT16_MAX || add(&r, &i))
		return SL_JSON_MANY;
	enum sl_json_bad bad = read_value(&r, 0, 1);
	return bad == SL_JSON_OK && r.at < len ? SL_JSON_SYNTAX : bad;
}

const struct sl_json_value *
sl_json_member(const struct sl_json *j, uint32_t of, const void *name, uint32_t len)
{
	if (of >= j->cnt || j->value[of].type != SL_JSON_OBJECT)
		return NULL;
	for (uint32_t i = of + 1; i < j->value[of].end; i = j->value[i].end)
		if (j->value[i].name_len == len &&
		    memcmp(j->text + j->value[i].name, name, len) == 0)
			return &j->value[i];
	return NULL;
}
