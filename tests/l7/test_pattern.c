/* Regexes by themselves: what begins them, what matches; rows, and by chance against Hyperscan. */
#include <hs/hs.h>

#include "l7/pattern.h"
#include "tests/suite.h"

struct row {
	const char *text;
	bool fold;
	const char *literal;
	bool understood;
	const char *reason;
};

static const struct row rows[] = {
	{"/api/v1/[a-z]+", false, "/api/v1/", true, "up to the first set"},
	{"/api/v1", false, "/api/v1", true, "all of it"},
	{"^/api$", false, "/api", true, "anchors say nothing new"},
	{"/a\\.b\\-c.*", false, "/a.b-c", true, "\\ before punctuation"},
	{"/ab?c", false, "/a", true, "b may be missing"},
	{"/ab*", false, "/a", true, "likewise"},
	{"/ab{0,2}", false, "/a", true, "likewise"},
	{"/ab+", false, "/a", true, "b once at least, but what follows is a loop"},
	{"/a|/b", false, "", true, "branches at the top"},
	{"/x(/a|/b)", false, "/x", true, "branches below"},
	{"(?:/a)/b", false, "", true, "groups are not looked into"},
	{"/API/[0-9]", true, "/api/", true, "in lower case"},
	{"/\\w+", false, "/", true, "letters, digits, _"},
	{"/\\d", true, "", false, "may have been \\D"},
	{"[^/]+", false, "", true, "all but /"},
	{"a\\", false, "", false, "nothing behind \\"},
	{"a(b", false, "", false, "open group"},
	{"a)b", false, "", false, "closed, not opened"},
	{"[a", false, "", false, "open set"},
	{"[]a]", false, "", false, "] first"},
	{"[[:alpha:]]", false, "", false, "named sets"},
	{"a**", false, "", false, "two quantities"},
	{"a*+", false, "", false, "possessive"},
	{"a{2", false, "", false, "not a quantity"},
	{"a{3,2}", false, "", false, "upside down"},
	{"(?i)a", false, "", false, "flags"},
	{"a(?=b)", false, "", false, "looks ahead"},
	{"\\Qa|b\\E", false, "", false, "quoting"},
	{"a\\b", false, "", false, "word boundary"},
	{"\\x41", false, "", false, "a byte by number"},
	{"a^b", false, "", false, "an anchor within"},
	{"/u/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", false, "/u/", true,
	 "fits"},
	{"(a{9}){9}", false, "", false, "too many positions"},
	{"x(a{9}){9}", false, "x", false, "begins with x all the same"},
	{"((((((((){99}){99}){99}){99}){99}){99}){99}){99}", false, "", false, "too many steps"},
};

static void
texts_are_read_as_their_rows_say(void)
{
	struct sl_patterns *ps = sl_patterns_create();

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_pattern p;
		size_t n = strlen(rows[i].text);
		uint8_t *g = guard_buf(n);
		memcpy(g, rows[i].text, n);
		CU_ASSERT_EQUAL(sl_patterns_add(ps, g, (uint32_t)n, rows[i].fold, &p), 0);
		guard_free(g, n);
		bool same = p.literal_len == strlen(rows[i].literal) &&
			    memcmp(p.literal, rows[i].literal, p.literal_len) == 0 &&
			    (p.automaton != UINT32_MAX) == rows[i].understood;
		if (!same)
			fprintf(stderr, "%s: \"%.*s\" %d: %s\n", rows[i].text, p.literal_len,
				p.literal, p.automaton != UINT32_MAX, rows[i].reason);
		CU_ASSERT(same);
	}
	sl_patterns_destroy(ps);
}

/* ---- by chance, against Hyperscan ---- */

static uint64_t seed = 1;

static unsigned
pick(unsigned n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)((seed >> 33) % n);
}

static const char *const pieces[] = {
	"a", "b", "ab", "/", "/a", "-", "A", ".", "\\.", "\\d", "\\w", "\\W", "\\D", "[ab]", "[^a]",
	"[a-c]", "[^/]", "[0-9]", "[-a]", "[a-]", "[A-Z0-9_.]", "[\\d.]", "\\-", "1", " ",
	/* not understood, some not even by Hyperscan */
	"^", "$", "\\b", "(?i)b", "]", "}", "\\x61", "[[:digit:]]", "\\s", "(?:", ")", "[b", "\\"};
static const char *const quantities[] = {"*",  "+",  "?",    "{2}", "{0,2}", "{1,}",  "{0}",
					 "*?", "+?", "{,2}", "??",  "*+",    "{2}{2}"};

/* Pieces past the first 25 are rare. */
static void
regex_make(char *to, unsigned depth)
{
	unsigned cnt = 1 + pick(4);

	for (unsigned i = 0; i < cnt; i++) {
		if (pick(6) == 0 && depth < 3) {
			to += sprintf(to, pick(2) ? "(" : "(?:");
			regex_make(to, depth + 1);
			to += strlen(to);
			to += sprintf(to, ")");
		} else {
			to += sprintf(to, "%s",
				      pieces[pick(30) ? pick(25) : pick(SL_ARRAY_CNT(pieces))]);
		}
		if (pick(4) == 0)
			to += sprintf(
				to, "%s",
				quantities[pick(9) ? pick(6) : pick(SL_ARRAY_CNT(quantities))]);
		if (pick(9) == 0)
			to += sprintf(to, "|");
	}
	*to = '\0';
}

static void
value_make(char *to)
{
	static const char bytes[] = "aaaabbbc//-A1.\n ";
	unsigned n = pick(9);

	for (unsigned i = 0; i < n; i++)
		to[i] = bytes[pick(sizeof(bytes) - 1)];
	to[n] = '\0';
}

static int
seen(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	(void)id, (void)from, (void)to, (void)flags;
	*(bool *)ctx = true;
	return 0;
}

static hs_database_t *
database_of(const char *text, bool fold)
{
	static char whole[16400];
	hs_database_t *db = NULL;
	hs_compile_error_t *err = NULL;

	snprintf(whole, sizeof(whole), "%s^(?:%s)\\z", fold ? "(?i)" : "", text);
	hs_compile(whole, HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | HS_FLAG_DOTALL, HS_MODE_BLOCK,
		   NULL, &db, &err);
	hs_free_compile_error(err);
	return db;
}

/* What the database matches begins with the literal; the automaton, if any, matches the same values. */
static void
value_try(const struct sl_patterns *ps, const struct sl_pattern *p, const hs_database_t *db,
	  hs_scratch_t *hs, const char *text, bool fold)
{
	char value[16];
	bool want = false;

	value_make(value);
	size_t n = strlen(value);
	hs_scan(db, value, (unsigned)n, 0, hs, seen, &want);
	uint8_t *g = guard_buf(n ? n : 1);
	uint8_t *at = n ? g : g + 1;
	memcpy(at, value, n);
	bool got = want, begins = n >= p->literal_len;
	if (p->automaton != UINT32_MAX)
		got = sl_patterns_matches(ps, p->automaton, at, (uint32_t)n);
	for (unsigned i = 0; begins && i < p->literal_len; i++)
		begins = fold ? (at[i] | (at[i] >= 'A' && at[i] <= 'Z' ? 0x20 : 0)) == p->literal[i]
			      : at[i] == p->literal[i];
	if (got != want || (want && !begins))
		fprintf(stderr, "%s%s of \"%s\": %d, Hyperscan %d; literal \"%.*s\"\n", text,
			fold ? " (any case)" : "", value, got, want, p->literal_len, p->literal);
	CU_ASSERT_EQUAL_FATAL(got, want);
	CU_ASSERT_FATAL(!want || begins);
	guard_free(g, n ? n : 1);
}

static void
any_regex_matches_what_hyperscan_matches(void)
{
	struct sl_patterns *ps = sl_patterns_create();
	unsigned understood = 0, literal = 0;
	hs_scratch_t *hs = NULL;

	for (unsigned i = 0; i < 4000; i++) {
		static char text[16384];
		bool fold = pick(4) == 0;
		struct sl_pattern p;
		regex_make(text, 0);
		hs_database_t *db = database_of(text, fold);
		CU_ASSERT_EQUAL(
			sl_patterns_add(ps, (uint8_t *)text, (uint32_t)strlen(text), fold, &p), 0);
		if (!db)
			continue;
		understood += p.automaton != UINT32_MAX;
		literal += p.literal_len > 0;
		CU_ASSERT_EQUAL_FATAL(hs_alloc_scratch(db, &hs), HS_SUCCESS);
		for (unsigned k = 0; k < 60; k++)
			value_try(ps, &p, db, hs, text, fold);
		hs_free_database(db);
	}
	CU_ASSERT(understood > 2000 && literal > 500);
	hs_free_scratch(hs);
	sl_patterns_destroy(ps);
}

SL_SUITE("pattern", SL_TEST(texts_are_read_as_their_rows_say),
	 SL_TEST(any_regex_matches_what_hyperscan_matches))
