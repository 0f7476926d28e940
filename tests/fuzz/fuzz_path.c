/* Paths: the normal form is normal, leads nowhere up and is what a slow reader makes of it; parameters of a query likewise. */
#include <stdio.h>
#include <stdlib.h>

#include "l7/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 512

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static int
code(const char *s)
{
	char digits[3] = {s[1], s[1] ? s[2] : 0, 0};

	if (strspn(digits, "0123456789abcdefABCDEF") != 2)
		return -1;
	return (int)strtoul(digits, NULL, 16);
}

static bool
unreserved(int c)
{
	return c && strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~", c);
}

/* As path.h says it, segment by segment; false: refused. */
static bool
slow(const char *path, uint8_t slash_2f, bool merge, char *out)
{
	char plain[INPUT_MAX + 1], *to = plain, *seg[INPUT_MAX + 1];
	unsigned cnt = 0;

	for (const char *s = path; *s; s++) {
		int c = *s == '%' ? code(s) : -2;
		if (c == -1 || c == 0 || (c == '/' && slash_2f == SL_2F_REJECT))
			return false;
		if (c == -2)
			*to++ = *s;
		else if (unreserved(c) || (c == '/' && slash_2f == SL_2F_DECODE))
			*to++ = (char)c;
		else
			to += sprintf(to, "%%%02X", (unsigned)c);
		s += c == -2 ? 0 : 2;
	}
	*to = 0;
	for (char *s = plain, *end; s; s = end) {
		end = strchr(++s, '/');
		if (end)
			*end = 0;
		bool last = !end, up = strcmp(s, "..") == 0, dots = up || strcmp(s, ".") == 0;
		if (up && cnt-- == 0)
			return false;
		if (!last && (dots || (merge && !*s)))
			continue;
		seg[cnt++] = dots ? s + strlen(s) : s;
	}
	*out = 0;
	for (unsigned i = 0; i < cnt; i++)
		strcat(strcat(out, "/"), seg[i]);
	return true;
}

/* Whether a segment is "." or ".." for whoever takes %2F, %5C and backslashes for slashes, and cuts parameters off. */
static bool
hides_dots(const char *path)
{
	char all[INPUT_MAX + 1];
	char *to = all;

	for (const char *s = path; *s; s++) {
		bool coded = strncmp(s, "%2F", 3) == 0 || strncmp(s, "%5C", 3) == 0;
		*to++ = coded || *s == '\\' ? '/' : *s;
		s += coded ? 2 : 0;
	}
	*to = 0;
	for (char *s = all; s; s = strchr(s, '/')) {
		size_t n = strcspn(++s, ";/");
		if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
			return true;
	}
	return false;
}

static enum sl_path_verdict
normal(const char *path, uint8_t slash_2f, bool merge, char *out)
{
	size_t n = strlen(path);
	uint8_t *in = malloc(n), *ret = malloc(n);
	uint32_t len = 0;

	must(in && ret);
	memcpy(in, path, n);
	enum sl_path_verdict v = sl_path_normalise(in, (uint32_t)n, slash_2f, merge, ret, &len);
	must(v != SL_PATH_CHANGED || (len >= 1 && len <= n));
	if (v == SL_PATH_SAME)
		memcpy(out, in, len = (uint32_t)n);
	else
		memcpy(out, ret, len);
	out[len] = 0;
	free(in);
	free(ret);
	return v;
}

static void
check(const char *path, uint8_t slash_2f, bool merge)
{
	char once[INPUT_MAX + 1], twice[INPUT_MAX + 1], want[2 * INPUT_MAX];
	enum sl_path_verdict v = normal(path, slash_2f, merge, once);
	bool good = slow(path, slash_2f, merge, want) && !hides_dots(want);

	/* What is taken out again by ".." may have hidden dots: refused all the same. */
	must(v == SL_PATH_REFUSED || good);
	if (v == SL_PATH_REFUSED) {
		must(!good || strstr(path, "/..") || strchr(path, '%'));
		return;
	}
	must(strcmp(once, want) == 0);
	must((v == SL_PATH_SAME) == (strcmp(once, path) == 0));
	must(normal(once, slash_2f, merge, twice) == SL_PATH_SAME);
}

/* ---- queries ---- */

static void
form(const char *in, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++) {
		char piece[4] = {in[i], i + 1 < n ? in[i + 1] : 0, i + 2 < n ? in[i + 2] : 0, 0};
		int c = *piece == '%' ? code(piece) : *piece == '+' ? ' ' : -1;
		*out++ = c < 0 ? in[i] : (char)c;
		i += *piece == '%' && c >= 0 ? 2 : 0;
	}
	*out = 0;
}

/* The slow reader's value, or NULL; names of the test have no NUL, so a name that does is never asked for. */
static const char *
slow_find(const char *query, const char *name, char *out)
{
	for (const char *s = query; *s; s += *s == '&') {
		size_t n = strcspn(s, "&"), eq = strcspn(s, "=&");
		char was[INPUT_MAX + 1];
		form(s, eq, was);
		if (n && strcmp(was, name) == 0 && !strstr(s, "%00")) {
			form(s + eq + (eq < n), n - eq - (eq < n), out);
			return out;
		}
		s += n;
	}
	return NULL;
}

static void
check_query(const char *query, const char *name)
{
	size_t n = strlen(query);
	uint8_t *in = malloc(n + 1), *buf = malloc(n + 1);
	char value[INPUT_MAX + 1];
	const uint8_t *got = NULL;
	uint32_t len = 0;

	must(in && buf);
	memcpy(in, query, n);
	bool found = sl_query_find(in, (uint32_t)n, (const uint8_t *)name, (uint32_t)strlen(name),
				   buf, (uint32_t)n, &got, &len);
	const char *want = strstr(query, "%00") ? NULL : slow_find(query, name, value);
	if (!strstr(query, "%00"))
		must(found == (want != NULL) &&
		     (!want || (len == strlen(want) && memcmp(got, want, len) == 0)));
	free(in);
	free(buf);
}

/* Input: a path, then perhaps "?" and a query. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[INPUT_MAX + 2] = "/";

	if (size > INPUT_MAX - 1 || memchr(data, 0, size))
		return 0;
	memcpy(path + 1, data, size);
	path[size + 1] = 0;
	char *query = strchr(path, '?');
	if (query) {
		*query++ = 0;
		check_query(query, "a");
		check_query(query, "a b");
		check_query(query, "");
	}
	for (uint8_t policy = SL_2F_KEEP; policy <= SL_2F_REJECT; policy++) {
		check(path, policy, false);
		check(path, policy, true);
	}
	return 0;
}
