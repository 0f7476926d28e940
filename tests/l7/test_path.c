/* Paths in one form, and parameters of queries. */
#include "../suite.h"
#include "l7/path.h"

struct row {
	const char *reason, *path;
	/* by policy and merging: the normal form; NULL: refused */
	const char *keep, *decode, *reject, *no_merge;
};
#define ALL(reason, path, normal)                                                                  \
	{                                                                                          \
		reason, path, normal, normal, normal, normal                                       \
	}
#define REFUSED(reason, path)                                                                      \
	{                                                                                          \
		reason, path, NULL, NULL, NULL, NULL                                               \
	}

static const struct row rows[] = {
	ALL("the root", "/", "/"),
	ALL("a path", "/a/b", "/a/b"),
	ALL("a slash at its end", "/a/b/", "/a/b/"),
	ALL("dots within a segment", "/a.b/..c/d../e.", "/a.b/..c/d../e."),
	ALL("a segment that begins with a dot", "/.well-known/x", "/.well-known/x"),
	ALL("three dots", "/.../x", "/.../x"),
	ALL("what URIs do not hold", "/a|b{}\"<>^`", "/a|b{}\"<>^`"),
	ALL("sub-delims and more stay", "/!$&'()*+,;=:@", "/!$&'()*+,;=:@"),
	ALL("case stays", "/A/b", "/A/b"),
	/* codes */
	ALL("a letter in a code", "/%61b", "/ab"),
	ALL("every unreserved one", "/%2D%2E%5F%7E%30%39%41%5A%61%7A", "/-._~09AZaz"),
	ALL("others get upper-case digits", "/%3a%3F%c3%a9", "/%3A%3F%C3%A9"),
	ALL("a code of a percent sign stays, whatever follows", "/%252f%2525", "/%252f%2525"),
	ALL("a control in a code stays one", "/%0d%0a%7f", "/%0D%0A%7F"),
	ALL("a space in a code", "/a%20b", "/a%20b"),
	ALL("plus is no space here", "/a+b", "/a+b"),
	REFUSED("NUL", "/a%00b"),
	REFUSED("a code without digits", "/%"),
	REFUSED("with one", "/%4"),
	REFUSED("with one and a slash", "/%4/"),
	REFUSED("with letters that are none", "/%gg"),
	REFUSED("with the second that is none", "/%4g"),
	REFUSED("percent percent", "/%%41"),
	REFUSED("a broken one behind 40 bytes", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa%"),
	/* dot segments */
	ALL(".", "/.", "/"),
	ALL("./", "/./", "/"),
	ALL("within", "/a/./b", "/a/b"),
	ALL("at the end", "/a/.", "/a/"),
	ALL("..", "/a/..", "/"),
	ALL("../", "/a/../", "/"),
	ALL("up and down", "/a/b/../c", "/a/c"),
	ALL("up twice", "/a/b/../../c", "/c"),
	ALL("up at the end", "/a/b/..", "/a/"),
	ALL("all at once", "/a/b/c/./../../g", "/a/g"),
	ALL("dots in codes", "/a/%2e%2E/b", "/b"),
	ALL("half in codes", "/a/.%2e/b", "/b"),
	ALL("behind 40 bytes", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/../b", "/b"),
	REFUSED("above the root", "/.."),
	REFUSED("above it and on", "/../a"),
	REFUSED("above it later", "/a/../../b"),
	REFUSED("in codes", "/%2e%2e/a"),
	REFUSED("from a dot", "/./../a"),
	/* slashes */
	{"two slashes", "/a//b", "/a/b", "/a/b", "/a/b", "/a//b"},
	{"at the beginning", "//a", "/a", "/a", "/a", "//a"},
	{"alone", "//", "/", "/", "/", "//"},
	{"many", "/a////b///", "/a/b/", "/a/b/", "/a/b/", "/a////b///"},
	{"an empty segment goes before ..", "/a//../b", "/b", "/b", "/b", "/a/b"},
	{"so that .. may be above the root", "//../b", NULL, NULL, NULL, "/b"},
	{"at byte 32 and 33", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa//b",
	 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b",
	 "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/b", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa//b"},
	/* %2F */
	{"a slash in a code", "/a%2fb", "/a%2Fb", "/a/b", NULL, "/a%2Fb"},
	{"in upper case", "/a%2Fb", "/a%2Fb", "/a/b", NULL, "/a%2Fb"},
	{"two", "/a%2f%2Fb", "/a%2F%2Fb", "/a/b", NULL, "/a%2F%2Fb"},
	{"beside one", "/a/%2fb", "/a/%2Fb", "/a/b", NULL, "/a/%2Fb"},
	{"decoded before dots are looked for", "/a/b%2f../c", NULL, "/a/c", NULL, NULL},
	{"a way up in a segment", "/public/..%2fadmin", NULL, "/admin", NULL, NULL},
	{"the same all in codes", "/public/%2e%2e%2fadmin", NULL, "/admin", NULL, NULL},
	{"a dot beside it", "/.%2fadmin", NULL, "/admin", NULL, NULL},
	{"at the end", "/a%2f..", NULL, "/", NULL, NULL},
	{"above the root", "/..%2fa", NULL, NULL, NULL, NULL},
	{"dots of a longer segment", "/a..%2f..b", "/a..%2F..b", "/a../..b", NULL, "/a..%2F..b"},
	/* other slashes */
	ALL("a backslash", "/a\\b", "/a\\b"),
	ALL("in a code", "/a%5cb", "/a%5Cb"),
	REFUSED("a way up behind it", "/a\\..\\b"),
	REFUSED("a way up at the end", "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\.."),
	REFUSED("a way up before it", "/..\\a"),
	REFUSED("in codes", "/a/..%5cb"),
	REFUSED("a way up with a parameter", "/a/..;/b"),
	REFUSED("with a longer one", "/a/..;x=y/b"),
	REFUSED("a dot with a parameter", "/.;/b"),
	ALL("parameters of others", "/a;b=..;c/d", "/a;b=..;c/d"),
	ALL("empty parameters", "/a;;/;", "/a;;/;"),
};

static const char *
normal(const char *path, uint8_t slash_2f, bool merge, bool *ret_same)
{
	static char out[256];
	size_t n = strlen(path);
	uint8_t *in = guard_buf(n), *ret = guard_buf(n);
	uint32_t len = 999;
	const char *got = NULL;

	memcpy(in, path, n);
	enum sl_path_verdict v = sl_path_normalise(in, (uint32_t)n, slash_2f, merge, ret, &len);
	CU_ASSERT(v == SL_PATH_CHANGED ? len <= n : len == 999);
	*ret_same = v == SL_PATH_SAME;
	if (v != SL_PATH_REFUSED) {
		snprintf(out, sizeof(out), "%.*s", v == SL_PATH_SAME ? (int)n : (int)len,
			 (char *)(v == SL_PATH_SAME ? in : ret));
		got = out;
	}
	guard_free(in, n);
	guard_free(ret, n);
	return got;
}

static void
check(const struct row *r, const char *want, uint8_t slash_2f, bool merge)
{
	bool same;
	const char *got = normal(r->path, slash_2f, merge, &same);
	bool right = got && want ? strcmp(got, want) == 0 : got == want;

	CU_ASSERT(right);
	if (!right)
		printf("\n  %s (%s): %s, not %s\n", r->reason, r->path, got ? got : "refused",
		       want ? want : "refused");
	if (got)
		CU_ASSERT_EQUAL(same, strcmp(got, r->path) == 0);
}

static void
paths_have_one_form_or_are_refused(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		check(&rows[i], rows[i].keep, SL_2F_KEEP, true);
		check(&rows[i], rows[i].decode, SL_2F_DECODE, true);
		check(&rows[i], rows[i].reject, SL_2F_REJECT, true);
		check(&rows[i], rows[i].no_merge, SL_2F_KEEP, false);
	}
}

static uint64_t
next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

static void
random_path(uint64_t *seed, char *out, unsigned pieces)
{
	static const char *const from[] = {
		"/",   "/",   "/",   ".",   "..", "a", "bcdefghijklmnopqrstuv",
		"%2e", "%2F", "%41", "%5c", "\\", ";", "%3a",
		"%25", "/..", "/."};

	strcpy(out, "/");
	for (unsigned i = 0; i < pieces; i++)
		strcat(out, from[next(seed) % SL_ARRAY_CNT(from)]);
}

static bool
has_dot_segment(const char *path)
{
	for (const char *s = path; (s = strchr(s, '/')) != NULL; s++) {
		size_t n = strcspn(s + 1, "/");
		if ((n == 1 && s[1] == '.') || (n == 2 && s[1] == '.' && s[2] == '.'))
			return true;
	}
	return false;
}

static void
a_normal_path_is_normal_and_leads_nowhere_up(void)
{
	uint64_t seed = 3;
	unsigned changed = 0;

	for (unsigned i = 0; i < 40000; i++) {
		char path[256], once[256];
		uint8_t slash_2f = (uint8_t)(i % 3);
		bool merge = i / 3 % 2, same;
		random_path(&seed, path, 1 + i % 9);
		const char *got = normal(path, slash_2f, merge, &same);
		if (!got)
			continue;
		changed += !same;
		strcpy(once, got);
		CU_ASSERT_EQUAL(once[0], '/');
		CU_ASSERT(!has_dot_segment(once));
		CU_ASSERT(!merge || !strstr(once, "//"));
		CU_ASSERT(slash_2f == SL_2F_KEEP || !strstr(once, "%2F"));
		got = normal(once, slash_2f, merge, &same);
		CU_ASSERT_PTR_NOT_NULL(got);
		CU_ASSERT(same);
		if (!got || !same)
			printf("\n  %s: %s: %s\n", path, once, got ? got : "refused");
	}
	CU_ASSERT(changed > 5000);
}

/* ---- queries ---- */

static const struct {
	const char *reason, *query, *name, *want; /* NULL: none */
} queries[] = {
	{"the only one", "a=1", "a", "1"},
	{"the last", "a=1&b=2", "b", "2"},
	{"the first of two", "a=1&a=2", "a", "1"},
	{"none of the name", "a=1", "b", NULL},
	{"a name that begins alike", "ab=1&a=2", "a", "2"},
	{"a name that is longer", "a=1", "ab", NULL},
	{"names have a case", "A=1", "a", NULL},
	{"an empty value", "a=&b=1", "a", ""},
	{"no value", "a&b=1", "a", ""},
	{"an equals sign in the value", "a=b=c", "a", "b=c"},
	{"codes", "a=%41%2f%26", "a", "A/&"},
	{"plus is a space", "a=b+c", "a", "b c"},
	{"plus in a code is plus", "a=b%2Bc", "a", "b+c"},
	{"a percent sign alone is itself", "a=100%&b", "a", "100%"},
	{"and so is a code that is none", "a=%zz%4", "a", "%zz%4"},
	{"a code does not go on into the next parameter", "a=%4&1=b", "a", "%4"},
	{"the name in codes", "%61=1", "a", "1"},
	{"a space in the name", "a+b=1", "a b", "1"},
	{"a broken code in the name", "%6=1", "%6", "1"},
	{"empty parameters", "&&a=1&", "a", "1"},
	{"an empty query", "", "a", NULL},
	{"an empty name", "=1", "", "1"},
	{"but not of an empty parameter", "&a", "", NULL},
	{"a semicolon separates nothing", "a=1;b=2", "b", NULL},
};

static void
parameters_are_found_by_name_and_decoded(void)
{
	for (size_t i = 0; i < SL_ARRAY_CNT(queries); i++) {
		size_t n = strlen(queries[i].query), name_len = strlen(queries[i].name);
		uint8_t *query = guard_buf(n), *buf = guard_buf(n), *name = guard_buf(name_len);
		const uint8_t *got = NULL;
		uint32_t len = 0;
		memcpy(query, queries[i].query, n);
		memcpy(name, queries[i].name, name_len);
		bool found = sl_query_find(query, (uint32_t)n, name, (uint32_t)name_len, buf,
					   (uint32_t)n, &got, &len);
		const char *want = queries[i].want;
		bool right = found == (want != NULL) &&
			     (!want || (len == strlen(want) && memcmp(got, want, len) == 0));
		CU_ASSERT(right);
		if (!right)
			printf("\n  %s: %.*s\n", queries[i].reason, (int)len,
			       got ? (char *)got : "");
		guard_free(query, n);
		guard_free(buf, n);
		guard_free(name, name_len);
	}
}

static void
a_value_without_codes_stays_where_it_is(void)
{
	const uint8_t *query = (const uint8_t *)"b=1&a=xyz", *got;
	uint8_t buf[2];
	uint32_t len;

	CU_ASSERT(sl_query_find(query, 9, (const uint8_t *)"a", 1, buf, 0, &got, &len));
	CU_ASSERT_PTR_EQUAL(got, query + 6);
	CU_ASSERT_EQUAL(len, 3);
}

static void
a_value_that_has_no_room_is_none(void)
{
	const uint8_t *query = (const uint8_t *)"a=%41bc", *got;
	uint8_t buf[3];
	uint32_t len;

	CU_ASSERT(sl_query_find(query, 7, (const uint8_t *)"a", 1, buf, 3, &got, &len));
	CU_ASSERT(!sl_query_find(query, 7, (const uint8_t *)"a", 1, buf, 2, &got, &len));
}

SL_SUITE("path", SL_TEST(paths_have_one_form_or_are_refused),
	 SL_TEST(a_normal_path_is_normal_and_leads_nowhere_up),
	 SL_TEST(parameters_are_found_by_name_and_decoded),
	 SL_TEST(a_value_without_codes_stays_where_it_is),
	 SL_TEST(a_value_that_has_no_room_is_none))
