/* Bytes make a regex and, behind a newline, a value: what is understood of the regex must match what Hyperscan matches, and
 * begin so.  Regexes are short and without large numbers, which Hyperscan would take minutes for. */
#include <hs/hs.h>
#include <stdio.h>
#include <stdlib.h>

#include "l7/match_bytes.h"
#include "l7/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static int
seen(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	(void)id, (void)from, (void)to, (void)flags;
	*(bool *)ctx = true;
	return 0;
}

/* −1: Hyperscan does not take the regex. */
static int
by_hyperscan(const char *text, bool fold, const char *value, size_t n)
{
	static hs_scratch_t *scratch;
	char whole[128];
	hs_database_t *db = NULL;
	hs_compile_error_t *err = NULL;
	bool matches = false;

	snprintf(whole, sizeof(whole), "%s^(?:%s)\\z", fold ? "(?i)" : "", text);
	hs_compile(whole, HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY | HS_FLAG_DOTALL, HS_MODE_BLOCK,
		   NULL, &db, &err);
	hs_free_compile_error(err);
	if (!db)
		return -1;
	must(hs_alloc_scratch(db, &scratch) == HS_SUCCESS);
	hs_scan(db, value, (unsigned)n, 0, scratch, seen, &matches);
	hs_free_database(db);
	return matches;
}

static bool
begins(const struct sl_pattern *p, const uint8_t *value, size_t n, bool fold)
{
	return n >= p->literal_len && sl_bytes_eq(value, p->literal, p->literal_len, fold);
}

/* No large numbers. */
static bool
is_tame(const char *text)
{
	unsigned digits = 0;

	for (; *text; text++) {
		digits = *text >= '0' && *text <= '9' ? digits + 1 : 0;
		if (digits > 2)
			return false;
	}
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size > 1 ? memchr(data + 1, '\n', size - 1) : NULL;
	char text[41];
	struct sl_pattern p;

	if (!newline || newline - data > 40 || size > 200 ||
	    memchr(data, '\0', (size_t)(newline - data)))
		return 0;
	size_t len = (size_t)(newline - data) - 1, n = size - len - 2;
	bool fold = data[0] & 1;
	memcpy(text, data + 1, len);
	text[len] = '\0';
	struct sl_patterns *ps = sl_patterns_create();
	must(ps && sl_patterns_add(ps, data + 1, (uint32_t)len, fold, &p) == 0);
	const uint8_t *value = newline + 1;
	int want = is_tame(text) ? by_hyperscan(text, fold, (const char *)value, n) : -1;
	if (p.automaton != UINT32_MAX) {
		bool got = sl_patterns_matches(ps, p.automaton, value, (uint32_t)n);
		must(want < 0 || got == want);
	}
	must(want != 1 || begins(&p, value, n, fold));
	sl_patterns_destroy(ps);
	return 0;
}
