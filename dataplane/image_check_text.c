/* Text within objects: where it lies, and what it may be. */
#include "dataplane/image_check_priv.h"

/* ---- characters ---- */

static bool
token_char(uint8_t ch)
{
	return (ch >= '0' && ch <= '9') || ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z') ||
	       (ch && strchr("!#$%&'*+-.^_`|~", ch));
}

bool
sl_look_token(const uint8_t *s, size_t len, bool lower)
{
	for (size_t i = 0; i < len; i++)
		if (!token_char(s[i]) || (lower && s[i] >= 'A' && s[i] <= 'Z'))
			return false;
	return len > 0;
}

bool
sl_look_field_content(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return !len || (s[0] != ' ' && s[0] != '\t' && s[len - 1] != ' ' && s[len - 1] != '\t');
}

bool
sl_look_plain(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((s[i] < 0x20 && s[i] != '\t') || s[i] == 0x7f)
			return false;
	return true;
}

bool
sl_look_lower(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			return false;
	return true;
}

bool
sl_look_path(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7f || s[i] == '?' || s[i] == '#')
			return false;
	return len > 0 && s[0] == '/';
}

bool
sl_look_host_chars(const uint8_t *s, size_t len, bool lower)
{
	for (size_t i = 0; i < len; i++)
		if (!(s[i] >= '0' && s[i] <= '9') && !(s[i] >= 'a' && s[i] <= 'z') &&
		    (lower || !(s[i] >= 'A' && s[i] <= 'Z')) && s[i] != '.' && s[i] != '-' &&
		    s[i] != '_')
			return false;
	return len > 0;
}

bool
sl_look_host_v6(const uint8_t *s, size_t len)
{
	char text[SL_ADDR_STRLEN];
	struct sl_addr a;

	if (len < 4 || len - 2 >= sizeof(text) || s[0] != '[' || s[len - 1] != ']' ||
	    !memchr(s, ':', len))
		return false;
	memcpy(text, s + 1, len - 2);
	text[len - 2] = 0;
	return sl_addr_parse(text, &a) == 0;
}

/* The end of an authority's host: len, or where ":PORT" begins. */
static size_t
port_begins(const uint8_t *s, size_t len)
{
	size_t at = len;

	while (at > 0 && s[at - 1] >= '0' && s[at - 1] <= '9')
		at--;
	return at > 0 && at < len && len - at <= 5 && s[at - 1] == ':' ? at - 1 : len;
}

bool
sl_look_authority(const uint8_t *s, size_t len)
{
	size_t host = port_begins(s, len);

	return sl_look_host_chars(s, host, false) || sl_look_host_v6(s, host);
}

/* ---- strings ---- */

void
sl_look_strings_open(struct sl_look_strings *t, struct sl_look *c, uint32_t bytes, uint32_t off)
{
	*t = (struct sl_look_strings){.c = c, .bytes = bytes};
	t->at = sl_look_open(c, &(struct sl_look_section){"str", bytes, off, 0, SL_OBJ_MAX, 1});
	t->lost = bytes && !t->at;
}

const uint8_t *
sl_look_string(const struct sl_look_strings *t, const char *section, uint32_t i, const char *field,
	       struct sl_img_str s, uint32_t min, uint32_t max)
{
	if (t->lost)
		return NULL;
	if (s.len < min || s.len > max) {
		if (max == 0)
			sl_look_bad(t->c, section, i, field,
				    "has %u bytes, must be empty: nothing reads it here", s.len);
		else
			sl_look_bad(t->c, section, i, field, "has %u bytes, must have [%u, %u]",
				    s.len, min, max);
		return NULL;
	}
	if (s.len == 0) {
		if (s.off)
			sl_look_bad(t->c, section, i, field,
				    "is empty at %u, must be at 0 when empty", s.off);
		return (const uint8_t *)"";
	}
	if (s.off > t->bytes || s.len > t->bytes - s.off) {
		sl_look_bad(t->c, section, i, field, "%u bytes at %u are not within the %u of str",
			    s.len, s.off, t->bytes);
		return NULL;
	}
	return t->at + s.off;
}

void
sl_look_bad_text(struct sl_look *c, const char *section, uint32_t i, const char *field,
		 const uint8_t *s, uint32_t len, const char *why)
{
	char shown[49];
	uint32_t n = SL_MIN(len, 48u);

	for (uint32_t k = 0; k < n; k++)
		shown[k] = (char)(s[k] >= ' ' && s[k] < 0x7f ? s[k] : '?');
	shown[n] = 0;
	sl_look_bad(c, section, i, field, "\"%s%s\" %s", shown, n < len ? "…" : "", why);
}

static int
bytes_cmp(const uint8_t *a, uint32_t a_len, const uint8_t *b, uint32_t b_len)
{
	int d = memcmp(a, b, SL_MIN(a_len, b_len));

	return d ? d : (a_len > b_len) - (a_len < b_len);
}

const uint8_t *
sl_look_string_at(const struct sl_look_strings *t, struct sl_img_str s, uint32_t *ret_len)
{
	bool in = !t->lost && s.off <= t->bytes && s.len <= t->bytes - s.off && s.len;

	*ret_len = in ? s.len : 0;
	return in ? t->at + s.off : (const uint8_t *)"";
}

int
sl_look_string_cmp(const struct sl_look_strings *t, struct sl_img_str a, struct sl_img_str b)
{
	uint32_t a_len, b_len;
	const uint8_t *x = sl_look_string_at(t, a, &a_len), *y = sl_look_string_at(t, b, &b_len);

	return bytes_cmp(x, a_len, y, b_len);
}
