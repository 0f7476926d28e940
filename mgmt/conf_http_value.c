/* Texts of route tables: what may stand in a path, a template, a header, a host name. */
#include "mgmt/conf_value.h"

#include <stdio.h>
#include <stdlib.h>

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* digits reads decimal digits without zeros in front, at most max; the first character behind them or NULL. */
static const char *
digits(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;

	if (!is_digit(*s) || (s[0] == '0' && is_digit(s[1])))
		return NULL;
	for (; is_digit(*s); s++) {
		unsigned d = (unsigned)(*s - '0');
		if (v > (max - d) / 10)
			return NULL;
		v = v * 10 + d;
	}
	*ret = v;
	return s;
}

/* ---- numbers ---- */

const char *
sl_value_size(const char *text, uint64_t *ret_bytes)
{
	static const char units[] = "kmg";
	uint64_t v;
	const char *p = digits(text, INT64_MAX, &v), *unit;

	if (!p)
		return "is not a size";
	if (*p) {
		if (!(unit = strchr(units, *p)) || p[1])
			return "is not a size";
		unsigned shift = 10 * (unsigned)(unit - units + 1);
		if (v > (uint64_t)INT64_MAX >> shift)
			return "is out of range";
		v <<= shift;
	}
	*ret_bytes = v;
	return NULL;
}

const char *
sl_value_percent(const char *text, uint32_t *ret_per_million)
{
	uint64_t whole;
	uint32_t v, unit = 10000;
	const char *p = digits(text, 1000, &whole);

	if (!p)
		return "is not a percentage";
	v = (uint32_t)whole * 10000;
	if (*p == '.') {
		if (!is_digit(*++p))
			return "is not a percentage";
		for (; is_digit(*p); p++) {
			if ((unit /= 10) == 0)
				return "has more than 4 decimals";
			v += (uint32_t)(*p - '0') * unit;
		}
	}
	if (*p)
		return "is not a percentage";
	*ret_per_million = v;
	return NULL;
}

/* An integer with or without a sign, of at most 18 digits. */
static const char *
signed_digits(const char *s, int64_t *ret)
{
	uint64_t v;
	bool minus = *s == '-';
	const char *p = digits(s + minus, 999999999999999999u, &v);

	if (p)
		*ret = minus ? -(int64_t)v : (int64_t)v;
	return p;
}

const char *
sl_value_range(const char *text, int64_t *ret_lo, int64_t *ret_hi)
{
	int64_t lo, hi;
	const char *p = signed_digits(text, &lo);

	if (!p || *p != '-' || !(p = signed_digits(p + 1, &hi)) || *p)
		return "is not a range of integers";
	if (hi < lo)
		return "has its lower end last";
	*ret_lo = lo;
	*ret_hi = hi + 1;
	return NULL;
}

/* ---- headers ---- */

const char *
sl_value_token(const char *text)
{
	if (!*text)
		return "is empty";
	for (const char *p = text; *p; p++)
		if (!is_alnum(*p) && *p != '-' && !strchr("!#$%&'*+.^_`|~", *p))
			return "has a character that such a name cannot have";
	return NULL;
}

const char *
sl_value_header_name(const char *text, char *to, size_t size)
{
	const char *why = sl_value_token(text);
	size_t n = strlen(text);

	if (!why && n >= size)
		why = "is too long";
	if (!why)
		memcpy(to, text, n + 1);
	return why;
}

/* Labels of letters, digits, '-' and '_'; or an address in brackets. */
static const char *
origin_host(const char *p, const char **ret_end)
{
	bool label = false;

	if (*p == '[') {
		size_t n = 1 + strspn(p + 1, "0123456789abcdefABCDEF:.");
		*ret_end = p + n + 1;
		return n > 1 && p[n] == ']' ? NULL : "has a host that is none";
	}
	for (; is_alnum(*p) || *p == '-' || *p == '_' || *p == '.'; p++) {
		if (*p == '.' && !label)
			return "has a host that is none";
		label = *p != '.';
	}
	*ret_end = p;
	return label ? NULL : "has a host that is none";
}

const char *
sl_value_origin(const char *text, char *to, size_t size)
{
	const char *host = strstr(text, "://"), *end;
	uint64_t port = 1;

	if (strlen(text) >= size)
		return "is too long";
	if (strcmp(text, "*") == 0) {
		memcpy(to, text, 2);
		return NULL;
	}
	if (!host || host == text ||
	    (size_t)(host - text) != strspn(text, "abcdefghijklmnopqrstuvwxyz"
						  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
						  "0123456789+-."))
		return "is no origin: it begins with a scheme, as https://";
	host += 3;
	const char *why = origin_host(strncmp(host, "*.", 2) ? host : host + 2, &end);
	if (!why && *end == ':')
		end = digits(end + 1, 65536, &port);
	if (!why && (!end || port == 0))
		why = "has a port that is none";
	if (!why && *end)
		why = *end == '/' ? "has a path, which an origin has not" : "is no origin";
	for (size_t i = 0; !why && i <= strlen(text); i++)
		to[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] | 0x20 : text[i]);
	return why;
}

const char *
sl_value_plain(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if ((*p < ' ' && *p != '\t') || *p == 127)
			return "has a control character";
	return NULL;
}

const char *
sl_value_field(const char *text)
{
	size_t len = strlen(text);
	const char *why = sl_value_plain(text);

	if (why)
		return why;
	if (len && (strchr(" \t", text[0]) || strchr(" \t", text[len - 1])))
		return "has a blank at its beginning or end";
	return NULL;
}

/* ---- paths ---- */

/* What a path may hold (RFC 3986, and what is sent all the same); braces are a template's. */
static const char *
path_characters(const char *text, bool braces)
{
	if (text[0] != '/')
		return "does not start with /";
	for (const char *p = text; *p; p++) {
		if (*p == '?')
			return "has a ?: a path ends before it";
		if (*p <= ' ' || *p >= 127 || *p == '#')
			return "has a character that a path cannot have";
		if (!braces && (*p == '{' || *p == '}'))
			return "has a brace, which is a template's";
	}
	return NULL;
}

const char *
sl_value_route_path(const char *text)
{
	return path_characters(text, false);
}

bool
sl_template_next(const char **at, struct sl_template_part *ret)
{
	const char *open = strchr(*at, '{'), *close = open ? strchr(open, '}') : NULL;

	if (!close)
		return false;
	const char *equals = memchr(open, '=', (size_t)(close - open));
	ret->open = open;
	ret->end = close + 1;
	ret->name = open + 1;
	ret->name_len = (size_t)((equals ? equals : close) - open - 1);
	ret->form = equals;
	*at = close + 1;
	if (ret->name_len == 2 && memcmp(ret->name, "**", 2) == 0) {
		ret->name_len = 0;
		ret->form = "=**}";
	}
	return true;
}

size_t
sl_template_path(const char *text, char *to)
{
	struct sl_template_part part;
	const char *from = text;
	size_t n = 0;

	for (const char *at = text; sl_template_next(&at, &part); from = part.end) {
		memcpy(to + n, from, (size_t)(part.open - from));
		n += (size_t)(part.open - from);
		to[n++] = 'x';
	}
	memcpy(to + n, from, strlen(from));
	return n + strlen(from);
}

/* One {…}, of a template (form taken) or of what is made of one; later: a template's, but not its last segment. */
static const char *
check_part(const struct sl_template_part *p, bool template)
{
	bool rest = p->form && strncmp(p->form, "=**}", 4) == 0;

	if (p->form && (!rest || !template))
		return template ? "has braces that are not {name}, {name=**} or {**}"
				: "has braces that are not {name}";
	if (p->name_len == 0 && (!rest || *p->name == '='))
		return "has braces without a name";
	if (p->name_len > 63)
		return "has a name longer than 63 bytes";
	for (size_t i = 0; i < p->name_len; i++)
		if (!is_alnum(p->name[i]) && p->name[i] != '_' && p->name[i] != '-')
			return "has a name of other than letters, digits, _ and -";
	if (template && p->open[-1] != '/')
		return "has braces that are not a whole segment";
	if (template && *p->end && (*p->end != '/' || rest))
		return rest ? "has segments behind the one that takes all"
			    : "has braces that are not a whole segment";
	return NULL;
}

/* Each { has its }, and none is within. */
static bool
braces_pair(const char *text)
{
	bool open = false;

	for (; *text; text++) {
		if (*text != '{' && *text != '}')
			continue;
		if ((*text == '{') == open)
			return false;
		open = !open;
	}
	return !open;
}

static const char *
check_braces(const char *text, bool template)
{
	struct sl_template_part part[SL_TEMPLATE_PARTS + 1];
	unsigned n = 0;

	if (!braces_pair(text))
		return "has a brace without its partner";
	for (const char *at = text, *why; sl_template_next(&at, &part[n]); n++) {
		if ((why = check_part(&part[n], template)))
			return why;
		if (n == SL_TEMPLATE_PARTS)
			return "has more than 16 names";
		for (unsigned i = 0; template && i < n; i++)
			if (part[n].name_len && part[i].name_len == part[n].name_len &&
			    memcmp(part[i].name, part[n].name, part[n].name_len) == 0)
				return "has a name twice";
	}
	return NULL;
}

const char *
sl_value_template(const char *text)
{
	const char *why = path_characters(text, true);

	return why ? why : check_braces(text, true);
}

const char *
sl_value_expansion(const char *text)
{
	const char *why = path_characters(text, true);

	return why ? why : check_braces(text, false);
}

/* ---- hosts ---- */

/* "[2001:db8::1]": the character behind it, or NULL. */
static const char *
bracketed(const char *text)
{
	char host[SL_ADDR_STRLEN];
	const char *close = strchr(text, ']');
	struct sl_addr a;

	if (!close || (size_t)(close - text) > sizeof(host))
		return NULL;
	snprintf(host, sizeof(host), "%.*s", (int)(close - text - 1), text + 1);
	return sl_addr_parse(host, &a) == 0 && !sl_addr_is_v4(&a) ? close + 1 : NULL;
}

const char *
sl_value_authority(const char *text)
{
	const char *p = text;
	uint64_t port;

	if (*p == '[')
		p = bracketed(p);
	else
		while (is_alnum(*p) || (*p && strchr(".-_", *p)))
			p++;
	if (!p || p == text || (*p && *p != ':'))
		return "is not a host name or address";
	if (*p == ':' && (!(p = digits(p + 1, 65535, &port)) || *p || port == 0))
		return "has a port that is not 1 to 65535";
	return NULL;
}

/* Labels of letters, digits, - and _, 1 to 63 bytes each, with dots between them. */
static const char *
check_labels(const char *name, size_t len)
{
	size_t label = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && name[i] != '.') {
			if (!is_alnum(name[i]) && name[i] != '-' && name[i] != '_')
				return name[i] == '*'
					       ? "has a * that is not its whole first or last label"
				       : name[i] == ':'
					       ? "has a port, which is not looked at"
					       : "has a character that a host name cannot have";
			label++;
			continue;
		}
		if (label == 0)
			return "has an empty label";
		if (label > 63)
			return "has a label longer than 63 bytes";
		label = 0;
	}
	return NULL;
}

const char *
sl_value_hostname(const char *text, uint8_t *ret_kind, char ret_name[256])
{
	size_t len = strlen(text);
	bool suffix = len > 1 && strncmp(text, "*.", 2) == 0;
	bool prefix = len > 1 && !suffix && strcmp(text + len - 2, ".*") == 0;
	const char *why = NULL, *end;

	if (len == 0)
		return "is empty";
	if (len > 253)
		return "is longer than 253 bytes";
	if (strcmp(text, "*") == 0) {
		*ret_kind = SL_HOST_ANY;
		ret_name[0] = 0;
		return NULL;
	}
	if (text[0] == '[')
		why = (end = bracketed(text)) && *end == 0 ? NULL
							   : "is not an IPv6 address within []";
	else
		why = check_labels(text + 2 * suffix, len - 2 * suffix - 2 * prefix);
	if (why)
		return why;
	text += suffix;
	len -= suffix + prefix;
	for (size_t i = 0; i < len; i++)
		ret_name[i] = lower(text[i]);
	ret_name[len] = 0;
	*ret_kind = suffix ? SL_HOST_SUFFIX : prefix ? SL_HOST_PREFIX : SL_HOST_EXACT;
	return NULL;
}
