#include "mgmt/import_words.h"

#include "mgmt/conf_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

const char *
sl_words_name(struct sl_memory *m, const char *text)
{
	uint32_t hash = 2166136261u;
	size_t len = strlen(text);
	char *name = sl_memory_copy(m, *text ? text : "x", *text ? len : 1);

	for (char *p = name; *p; p++) {
		hash = (hash ^ (uint8_t)*p) * 16777619u;
		if (!is_alnum(*p) && *p != '.' && *p != '_' && *p != '-')
			*p = '-';
	}
	if (!is_alnum(name[0]))
		name[0] = 'x';
	if (len >= SL_NAME_MAX)
		snprintf(name + SL_NAME_MAX - 10, 10, "-%08x", hash);
	return name;
}

/* ---- durations ---- */

static const struct {
	const char *unit;
	double ms;
} units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};

bool
sl_words_duration(const char *text, uint64_t *ret_ms)
{
	double ms = 0;

	if (!*text)
		return false;
	while (*text) {
		size_t n = strspn(text, "0123456789."), u = 0, i = 0;
		char number[24], *end;
		if (n == 0 || n >= sizeof(number))
			return false;
		memcpy(number, text, n);
		number[n] = 0;
		double v = strtod(number, &end);
		text += n;
		while (text[u] >= 'a' && text[u] <= 'z')
			u++;
		while (i < SL_ARRAY_CNT(units) &&
		       (strlen(units[i].unit) != u || memcmp(units[i].unit, text, u)))
			i++;
		if (*end || i == SL_ARRAY_CNT(units))
			return false;
		ms += v * units[i].ms;
		text += u;
	}
	if (ms > 1e15)
		return false;
	*ret_ms = (uint64_t)ceil(ms - 1e-9);
	return true;
}

const char *
sl_words_time(struct sl_memory *m, uint64_t ms)
{
	if (ms % 1000)
		return sl_memory_print(m, "%llums", (unsigned long long)ms);
	return sl_memory_print(m, "%llus", (unsigned long long)ms / 1000);
}

/* ---- texts ---- */

const char *
sl_words_escape(struct sl_memory *m, const char *text)
{
	char *out = sl_memory_take(m, 2 * strlen(text) + 1), *p = out;

	for (; *text; text++) {
		if (strchr("\\^$.|?*+()[]{}", *text))
			*p++ = '\\';
		*p++ = *text;
	}
	return out;
}

const char *
sl_words_percent(struct sl_memory *m, const char *text)
{
	char *end;
	double v = strtod(text, &end);

	if (!*text || *end || !(v >= 0) || v > 100)
		return NULL;
	char *s = sl_memory_print(m, "%.4f", v);
	size_t n = strlen(s);
	while (s[n - 1] == '0')
		s[--n] = 0;
	if (s[n - 1] == '.')
		s[n - 1] = 0;
	return s;
}

static int
sextet(char c)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(set, c) : NULL;

	return p ? (int)(p - set) : -1;
}

const char *
sl_words_base64(struct sl_memory *m, const char *text)
{
	size_t len = strlen(text), n = 0;
	uint32_t bits = 0;
	unsigned held = 0;
	char *out = sl_memory_take(m, len + 1);

	for (size_t i = 0; i < len && text[i] != '='; i++) {
		int v = sextet(text[i]);
		if (v < 0)
			return NULL;
		bits = bits << 6 | (uint32_t)v;
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		out[n] = (char)(bits >> held & 255);
		if (!out[n++])
			return NULL;
	}
	return out;
}

const char *
sl_words_show(struct sl_memory *m, const char *text)
{
	char quoted[300];

	sl_value_quote(text, quoted, sizeof(quoted));
	return sl_memory_copy(m, quoted + 1, strlen(quoted) - 2);
}
