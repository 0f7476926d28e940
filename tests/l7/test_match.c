/* Hosts and routes: rows with a reason, what a scan and a long table may cost, and many tables by chance against the slow
 * and simple matcher of route_model. */
#include <errno.h>

#include "l7/match_priv.h"
#include "tests/l7/route_model.h"
#include "tests/suite.h"

struct bed {
	struct sl_test_vhost vhost;
	struct sl_test_vhost_image image;
	struct sl_match *match;
	struct sl_match_scratch scratch;
};

static void
bed_make(struct bed *b, const struct sl_test_http_route *routes, uint32_t cnt)
{
	b->vhost = (struct sl_test_vhost){.routes = routes, .route_cnt = cnt, .delta_every = 3};
	sl_test_vhost_build(&b->vhost, &b->image);
	CU_ASSERT_EQUAL_FATAL(sl_match_create(b->image.img, b->image.dbs, &b->match), 0);
	b->scratch = sl_test_scratch(sl_match_bytes(b->match), b->image.hs);
}

static void
bed_free(struct bed *b)
{
	sl_test_scratch_free(&b->scratch);
	sl_match_destroy(b->match);
	sl_test_vhost_free(&b->image);
}

/* "GET /path?query" with further lines, each with its CR LF. */
static void
request_of(struct sl_model_request *r, const char *line, const char *lines)
{
	snprintf(r->text, sizeof(r->text), "%s HTTP/1.1\r\nHost: h\r\n%s\r\n", line, lines);
	sl_model_request_parse(r);
}

/* ---- rows ---- */

#define ONE(...) SL_TEST_CONDS(__VA_ARGS__)
#define INV .flags = SL_COND_INVERT
#define ICASE .flags = SL_COND_ICASE

static bool
row_holds(const struct sl_test_cond *conds, const char *line, const char *lines)
{
	struct sl_test_http_route route = {.conds = conds};
	struct sl_model_request r;
	struct sl_match_result got;
	struct bed b;

	request_of(&r, line, lines);
	bed_make(&b, &route, 1);
	const char *why = sl_model_compare(&b.vhost, b.match, &b.scratch, &r);
	if (why)
		fprintf(stderr, "%s: %s\n", line, why);
	CU_ASSERT_PTR_NULL(why);
	bool is = sl_match_find(b.match, &r.in, &b.scratch, &got) == 0;
	bed_free(&b);
	return is;
}

static void
each_condition_holds_as_its_row_says(void)
{
	const struct {
		const struct sl_test_cond *conds;
		const char *line, *lines;
		bool holds;
		const char *reason;
	} rows[] = {
		{ONE(SL_TEST_PATH(EXACT, "/a/b")), "GET /a/b", "", true, "whole path"},
		{ONE(SL_TEST_PATH(EXACT, "/a/b")), "GET /a/b/", "", false,
		 "one segment more, empty"},
		{ONE(SL_TEST_PATH(EXACT, "/a/b")), "GET /a/B", "", false, "case counts"},
		{ONE(SL_TEST_PATH(EXACT, "/a/b", ICASE)), "GET /A/B", "", true, "case does not"},
		{ONE(SL_TEST_PATH(EXACT, "/")), "GET /", "", true, "root"},
		{ONE(SL_TEST_PATH(EXACT, "/")), "GET /a", "", false, "root only"},
		{ONE(SL_TEST_PATH(EXACT, "*")), "OPTIONS *", "", true, "a target that is no path"},
		{ONE(SL_TEST_PATH(SEGMENTS, "/api")), "GET /api", "", true, "the prefix itself"},
		{ONE(SL_TEST_PATH(SEGMENTS, "/api")), "GET /api/", "", true, "below it"},
		{ONE(SL_TEST_PATH(SEGMENTS, "/api")), "GET /api/x/y", "", true, "far below it"},
		{ONE(SL_TEST_PATH(SEGMENTS, "/api")), "GET /apis", "", false, "not by segment"},
		{ONE(SL_TEST_PATH(SEGMENTS, "/api", ICASE)), "GET /API/x", "", true, "any case"},
		{ONE(SL_TEST_PATH(SEGMENTS, "")), "GET /x", "", true, "every path"},
		{ONE(SL_TEST_PATH(SEGMENTS, "")), "OPTIONS *", "", true, "every target"},
		{ONE(SL_TEST_PATH(SEGMENTS, "", INV)), "GET /x", "", false, "no path"},
		{ONE(SL_TEST_PATH(SEGMENTS, "/api", INV)), "GET /apis", "", true, "inverted"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{id}")), "GET /u/7", "", true, "one segment"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{id}")), "GET /u/", "", false,
		 "an empty one is none"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{id}")), "GET /u/7/8", "", false, "two"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{id}/x")), "GET /u/7/x", "", true,
		 "literal behind"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{**}")), "GET /u", "", true, "any number: 0"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{**}")), "GET /u/", "", true, "an empty one"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{r=**}")), "GET /u/1/2/3", "", true, "3"},
		{ONE(SL_TEST_PATH(TEMPLATE, "/u/{r=**}")), "GET /us", "", false, "by segment"},
		{ONE(SL_TEST_PATH(PREFIX, "/ap")), "GET /api", "", true, "by bytes"},
		{ONE(SL_TEST_PATH(SUFFIX, ".php")), "GET /x.php", "", true, "ends so"},
		{ONE(SL_TEST_PATH(SUFFIX, ".php", ICASE)), "GET /x.PhP", "", true, "in any case"},
		{ONE(SL_TEST_PATH(SUFFIX, "/x.php")), "GET /php", "", false,
		 "longer than what is there"},
		{ONE(SL_TEST_PATH(CONTAINS, "b.c")), "GET /abxcd", "", false, "a dot is a dot"},
		{ONE(SL_TEST_PATH(CONTAINS, "b.c")), "GET /ab.cd", "", true, "within"},
		{ONE(SL_TEST_PATH(REGEX, "/a|/b")), "GET /ab", "", false,
		 "whole path, both branches"},
		{ONE(SL_TEST_PATH(REGEX, "/v[0-9]+/x")), "GET /v12/x", "", true, "matches"},
		{ONE(SL_TEST_PATH(REGEX, "/V[0-9]+/x", ICASE)), "GET /v1/X", "", true, "any case"},
		{ONE(SL_TEST_PATH(REGEX, "/v[0-9]+", INV)), "GET /v12/x", "", true,
		 "not the whole"},
		{ONE(SL_TEST_METHODS(1 << SL_METHOD_GET)), "GET /", "", true, "its bit"},
		{ONE(SL_TEST_METHODS(1 << SL_METHOD_GET)), "POST /", "", false, "not its bit"},
		{ONE(SL_TEST_METHODS(1 << SL_METHOD_OTHER)), "BREW /", "", true,
		 "one without a bit"},
		{ONE(SL_TEST_COND_(METHOD, EXACT, .value = "BREW")), "BREW /", "", true, "by text"},
		{ONE(SL_TEST_COND_(METHOD, EXACT, .value = "BREW")), "brew /", "", false,
		 "methods have a case"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "v")), "GET /", "X-A: v\r\n", true,
		 "any case of name"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "v")), "GET /", "X-A: V\r\n", false,
		 "case of value"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "v", ICASE)), "GET /", "X-A: V\r\n", true, "any"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "v")), "GET /", "X-Ab: v\r\n", false,
		 "other name"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "")), "GET /", "", false, "absent is not empty"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "")), "GET /", "X-A:\r\n", true, "empty"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "v", INV)), "GET /", "", true,
		 "absent, inverted"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "v, w")), "GET /",
		 "x-a: v\r\nx-b: 1\r\nX-A: w\r\n", true, "lines of one name are joined"},
		{ONE(SL_TEST_HEADER(EXACT, "x-a", "v")), "GET /", "x-a: v\r\nX-A: w\r\n", false,
		 "the first line is not the value"},
		{ONE(SL_TEST_HEADER(PREFIX, "x-a", "ca")), "GET /", "x-a: canary\r\n", true,
		 "begins"},
		{ONE(SL_TEST_HEADER(PREFIX, "x-a", "")), "GET /", "x-a:\r\n", true, "with nothing"},
		{ONE(SL_TEST_HEADER(PREFIX, "x-a", "")), "GET /", "", false,
		 "absent begins with nothing"},
		{ONE(SL_TEST_HEADER(SUFFIX, "x-a", "ry")), "GET /", "x-a: canary\r\n", true,
		 "ends"},
		{ONE(SL_TEST_HEADER(SUFFIX, "x-a", "canary")), "GET /", "x-a: ry\r\n", false,
		 "short"},
		{ONE(SL_TEST_HEADER(CONTAINS, "x-a", "na")), "GET /", "x-a: canary\r\n", true,
		 "within"},
		{ONE(SL_TEST_HEADER(REGEX, "x-a", "c.*y")), "GET /", "x-a: canary\r\n", true,
		 "matches"},
		{ONE(SL_TEST_HEADER(REGEX, "x-a", "")), "GET /", "x-a:\r\n", true, "empty input"},
		{ONE(SL_TEST_HEADER(REGEX, "x-a", ".*")), "GET /", "", false,
		 "absent matches nothing"},
		{ONE(SL_TEST_HEADER(REGEX, "x-a", ".*", INV)), "GET /", "", true,
		 "so inverted does"},
		{ONE(SL_TEST_HEADER(PRESENT, "x-a", NULL)), "GET /", "x-a:\r\n", true,
		 "empty is there"},
		{ONE(SL_TEST_HEADER(PRESENT, "x-a", NULL, INV)), "GET /", "x-a:\r\n", false,
		 "inverted"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = 1, .hi = 11)), "GET /", "x-a: 10\r\n",
		 true, "in [1, 11)"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = 1, .hi = 11)), "GET /", "x-a: 11\r\n",
		 false, "behind it"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = -9, .hi = 11)), "GET /",
		 "x-a: -9\r\n", true, "negative"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = 1, .hi = 11)), "GET /",
		 "x-a: +007\r\n", true, "sign and zeros"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = -9, .hi = 11)), "GET /", "x-a: -\r\n",
		 false, "a sign is no number"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = -9, .hi = 11)), "GET /",
		 "x-a: 1a\r\n", false, "not a number to its end"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = -9, .hi = 11)), "GET /",
		 "x-a: 18446744073709551617\r\n", false, "1 + 2^64 does not wrap"},
		{ONE(SL_TEST_HEADER(RANGE, "x-a", NULL, .lo = INT64_MIN, .hi = INT64_MAX)), "GET /",
		 "x-a: 9223372036854775808\r\n", false, "does not fit"},
		{ONE(SL_TEST_QUERY(EXACT, "v", "2")), "GET /?a=1&v=2&v=3", "", true,
		 "the first of it"},
		{ONE(SL_TEST_QUERY(EXACT, "v", "3")), "GET /?a=1&v=2&v=3", "", false,
		 "not the second"},
		{ONE(SL_TEST_QUERY(EXACT, "v", "a b")), "GET /?%76=a%20b", "", true, "decoded"},
		{ONE(SL_TEST_QUERY(PRESENT, "v", NULL)), "GET /?v", "", true, "without a value"},
		{ONE(SL_TEST_QUERY(PRESENT, "v", NULL)), "GET /?vv=1", "", false, "another name"},
		{ONE(SL_TEST_QUERY(PRESENT, "v", NULL, INV)), "GET /", "", true, "no query"},
		{ONE(SL_TEST_QUERY(REGEX, "v", "[ab]+")), "GET /?v=%61b", "", true,
		 "decoded first"},
		{ONE(SL_TEST_COOKIE(EXACT, "sid", "1")), "GET /", "Cookie: a=2; sid=1\r\n", true,
		 "second"},
		{ONE(SL_TEST_COOKIE(EXACT, "sid", "1")), "GET /",
		 "Cookie: a=2\r\nCookie: sid=1\r\n", true, "on another line"},
		{ONE(SL_TEST_COOKIE(EXACT, "sid", "1")), "GET /", "Cookie: sid=2; sid=1\r\n", false,
		 "the first counts"},
		{ONE(SL_TEST_COOKIE(EXACT, "sid", "1=2")), "GET /", "Cookie: sid=1=2\r\n", true,
		 "a value may hold ="},
		{ONE(SL_TEST_COOKIE(PRESENT, "sid", NULL)), "GET /", "Cookie: sid\r\n", false,
		 "no ="},
		{ONE(SL_TEST_COOKIE(EXACT, "Sid", "1")), "GET /", "Cookie: sid=1\r\n", false,
		 "names of cookies have a case"},
		{NULL, "GET /x", "", true, "no condition"},
	};

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		bool got = row_holds(rows[i].conds, rows[i].line, rows[i].lines);
		if (got != rows[i].holds)
			fprintf(stderr, "row %zu, %s %s: %s\n", i, rows[i].line, rows[i].lines,
				rows[i].reason);
		CU_ASSERT_EQUAL(got, rows[i].holds);
	}
}

/* ---- order, prefix, captures ---- */

static void
the_first_route_in_list_order_wins_however_it_is_filed(void)
{
	const struct sl_test_http_route routes[] = {
		{.conds = ONE(SL_TEST_HEADER(REGEX, "x-a", "c.*"), SL_TEST_PATH(SEGMENTS, "/api"))},
		{.conds = ONE(SL_TEST_HEADER(PRESENT, "x-off", NULL, INV),
			      SL_TEST_HEADER(EXACT, "x-b", "1", INV),
			      SL_TEST_QUERY(EXACT, "v", "9"))},
		{.conds = ONE(SL_TEST_PATH(REGEX, "/api/[0-9]+"))},
		{.conds = ONE(SL_TEST_PATH(EXACT, "/api/7"))},
		{.conds = ONE(SL_TEST_METHODS(1 << SL_METHOD_POST))},
		{.conds = ONE(SL_TEST_COOKIE(SUFFIX, "sid", "9"))},
		{.conds = ONE(SL_TEST_PATH(TEMPLATE, "/api/{id}"))},
		{.conds = NULL},
		{.conds = ONE(SL_TEST_PATH(EXACT, "/api/x"))},
	};
	static const struct {
		const char *line, *lines;
		uint32_t route;
		const char *reason;
	} rows[] = {
		{"GET /api/7", "x-a: c\r\n", 0, "regex of a header before an exact path"},
		{"GET /api/7?v=9", "", 1, "inverted ones before everything else"},
		{"GET /api/7?v=9", "x-b: 1\r\n", 2, "regex of a path before the same path, exact"},
		{"POST /api/y", "", 4, "method before template"},
		{"GET /api/y", "Cookie: sid=19\r\n", 5, "suffix before template"},
		{"GET /api/y", "", 6, "template"},
		{"GET /api/x", "", 6, "exact, but later"},
		{"GET /", "", 7, "the one without conditions"},
	};
	struct bed b;

	bed_make(&b, routes, SL_ARRAY_CNT(routes));
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_model_request r;
		struct sl_match_result got;
		request_of(&r, rows[i].line, rows[i].lines);
		CU_ASSERT_PTR_NULL(sl_model_compare(&b.vhost, b.match, &b.scratch, &r));
		sl_match_find(b.match, &r.in, &b.scratch, &got);
		if (got.route != rows[i].route)
			fprintf(stderr, "%s: route %u: %s\n", rows[i].line, got.route,
				rows[i].reason);
		CU_ASSERT_EQUAL(got.route, rows[i].route);
	}
	bed_free(&b);
}

static void
prefix_and_captures_are_those_of_the_winner(void)
{
	const struct sl_test_http_route routes[] = {
		{.conds = ONE(SL_TEST_PATH(TEMPLATE, "/u/{id}/f/{rest=**}"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/u"), SL_TEST_PATH(SEGMENTS, "/u/no", INV))},
		{.conds = ONE(SL_TEST_PATH(TEMPLATE, "/{a}/{b}/{c}", ICASE))},
	};
	struct sl_model_request r;
	struct sl_match_result got;
	struct bed b;

	bed_make(&b, routes, SL_ARRAY_CNT(routes));
	request_of(&r, "GET /u/jane/f/x/y?q", "");
	CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got), 0);
	CU_ASSERT_EQUAL_FATAL(got.capture_cnt, 2);
	CU_ASSERT_EQUAL(got.prefix, 0);
	CU_ASSERT_NSTRING_EQUAL(r.path + got.capture[0].off, "jane/", got.capture[0].len + 1);
	CU_ASSERT_EQUAL(got.capture[0].len, 4);
	CU_ASSERT_STRING_EQUAL(r.path + got.capture[1].off, "x/y");
	CU_ASSERT_EQUAL(got.capture[1].len, 3);
	request_of(&r, "GET /u/jane/f", "");
	CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got), 0);
	CU_ASSERT_EQUAL(got.capture[1].off, 9);
	CU_ASSERT_EQUAL(got.capture[1].len, 0);
	request_of(&r, "GET /u/jane", "");
	CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got), 1);
	CU_ASSERT_EQUAL(got.prefix, 2);
	CU_ASSERT_EQUAL(got.capture_cnt, 0);
	request_of(&r, "GET /u/no/x", "");
	CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got), 2);
	CU_ASSERT_EQUAL(got.capture_cnt, 3);
	bed_free(&b);
}

/* ---- cost ---- */

static void
a_database_is_scanned_only_when_a_route_asks_for_it(void)
{
	const struct sl_test_http_route routes[] = {
		{.conds = ONE(SL_TEST_PATH(EXACT, "/a"))},
		{.conds = ONE(SL_TEST_PATH(REGEX, ".[b]+"))},
		{.conds =
			 ONE(SL_TEST_PATH(SEGMENTS, "/c"), SL_TEST_HEADER(REGEX, "x-a", "[0-9]+"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/d"), SL_TEST_HEADER(CONTAINS, "x-a", "7"))},
		{.conds = ONE(SL_TEST_PATH(REGEX, ".[d]+"))},
		{.conds = ONE(SL_TEST_PATH(REGEX, ".[e]+"))},
		{.conds = ONE(SL_TEST_PATH(REGEX, ".[f]+"))},
		{.conds = ONE(SL_TEST_QUERY(REGEX, "q", "[a-z]+-[0-9]+"))},
		{.conds = ONE(SL_TEST_QUERY(REGEX, "q", "x[0-9]+"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/e/e"), SL_TEST_HEADER(REGEX, "x-a", ".1"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/e/e"), SL_TEST_HEADER(REGEX, "x-a", ".2"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/e/e"), SL_TEST_HEADER(REGEX, "x-a", ".3"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/e/e"), SL_TEST_HEADER(REGEX, "x-a", ".4"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/e/e"), SL_TEST_HEADER(REGEX, "x-a", ".5"))},
	};
	static const struct {
		const char *line, *lines;
		uint32_t route, scanned;
		const char *reason;
	} rows[] = {
		{"GET /a?q=a-1", "x-a: 1\r\n", 0, 0, "an exact path before all regexes"},
		{"GET /bb?q=a-1", "x-a: 1\r\n", 1, 2,
		 "base and delta of the path, no query behind it"},
		{"GET /c", "x-a: 7\r\n", 2, 2, "one regex of a header is looked at by itself"},
		{"GET /c", "", SL_MATCH_NONE, 2, "no header"},
		{"GET /d", "x-a: 7\r\n", 3, 4, "a substring is not: base and delta of the header"},
		{"GET /e/e", "x-a: z4\r\n", 12, 2, "four regexes are looked at by themselves"},
		{"GET /e/e", "x-a: z5\r\n", 13, 4, "instead of the fifth, a scan for all"},
		{"GET /x", "x-a: 7\r\n", SL_MATCH_NONE, 2, "no candidate asks for the header"},
		{"GET /x?q=b-2", "", 7, 3, "the query's"},
	};
	struct bed b;

	bed_make(&b, routes, SL_ARRAY_CNT(routes));
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_model_request r;
		struct sl_match_result got;
		request_of(&r, rows[i].line, rows[i].lines);
		CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got), rows[i].route);
		if (got.scanned != rows[i].scanned)
			fprintf(stderr, "%s: %u scans: %s\n", rows[i].line, got.scanned,
				rows[i].reason);
		CU_ASSERT_EQUAL(got.scanned, rows[i].scanned);
	}
	bed_free(&b);
}

#define LONG 10000

/* Routes of one kind, the i-th for /svc<i>/… or a header of that number. */
static void
long_table(unsigned kind, struct sl_test_http_route *route, struct sl_test_cond (*cond)[3],
	   char (*text)[48])
{
	static const char *const form[] = {"/api/svc%u", "svc%u", "/svc%u/{id}/x", "/api/svc%u/b",
					   "user-%u-"};
	memset(cond, 0, LONG * sizeof(*cond));
	for (uint32_t i = 0; i < LONG; i++) {
		snprintf(text[i], sizeof(text[i]), form[kind], i);
		struct sl_test_cond *c = cond[i];
		*c = (struct sl_test_cond)SL_TEST_PATH(SEGMENTS, text[i]);
		if (kind == 1)
			*c = (struct sl_test_cond)SL_TEST_HEADER(EXACT, "x-svc", text[i]);
		else if (kind == 2)
			*c = (struct sl_test_cond)SL_TEST_PATH(TEMPLATE, text[i]);
		else if (kind == 4)
			*c = (struct sl_test_cond)SL_TEST_HEADER(PREFIX, "x-svc", text[i]);
		/* What all routes share is nothing to file them under, be it a path. */
		c[1] = (struct sl_test_cond)SL_TEST_METHODS(1 << SL_METHOD_GET);
		if (kind == 1)
			c[1] = (struct sl_test_cond)SL_TEST_PATH(SEGMENTS, "/api");
		if (kind == 3)
			c[1] = (struct sl_test_cond)SL_TEST_HEADER(EXACT, "x-env", "prod");
		route[i] = (struct sl_test_http_route){.conds = cond[i]};
	}
}

static void
few_routes_are_verified_however_long_the_table(void)
{
	static struct sl_test_http_route route[LONG];
	static struct sl_test_cond cond[LONG][3];
	static char text[LONG][48];

	for (unsigned kind = 0; kind < 5; kind++) {
		struct sl_model_request r;
		struct sl_match_result got;
		struct bed b;
		long_table(kind, route, cond, text);
		bed_make(&b, route, LONG);
		static const uint32_t ask[] = {0, LONG / 2, LONG - 1, LONG};
		for (unsigned i = 0; i < SL_ARRAY_CNT(ask); i++) {
			char line[96], lines[96];
			const char *form = kind == 2   ? "GET /svc%u/7/x"
					   : kind == 3 ? "GET /api/svc%u/b/c"
						       : "GET /api/svc%u/b";
			snprintf(line, sizeof(line), form, ask[i]);
			snprintf(lines, sizeof(lines), "x-env: prod\r\nx-svc: %s%u%s\r\n",
				 kind == 4 ? "user-" : "svc", ask[i], kind == 4 ? "-x" : "");
			request_of(&r, line, lines);
			CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got),
					ask[i] == LONG ? SL_MATCH_NONE : ask[i]);
			if (got.verified > 2)
				fprintf(stderr, "kind %u, %u: %u\n", kind, ask[i], got.verified);
			CU_ASSERT(got.verified <= 2);
		}
		bed_free(&b);
	}
}

/* Literals of 52 lengths, of which 12 are looked up, alike as far as that goes: nearly all would be candidates. */
static void
regexes_that_begin_alike_are_told_apart_by_a_scan(void)
{
	enum { CNT = 800 };
	static struct sl_test_http_route route[CNT];
	static struct sl_test_cond cond[CNT][2];
	static char text[CNT][80];
	struct bed b;

	memset(cond, 0, sizeof(cond));
	for (uint32_t i = 0; i < CNT; i++) {
		snprintf(text[i], sizeof(text[i]), "/s/%0*u/[a-z]+", (int)(6 + i % 52), i);
		cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(REGEX, text[i]);
		route[i] = (struct sl_test_http_route){.conds = cond[i]};
	}
	bed_make(&b, route, CNT);
	for (uint32_t i = 0; i < CNT; i++) {
		struct sl_model_request r;
		struct sl_match_result got;
		char line[96];
		snprintf(line, sizeof(line), "GET /s/%0*u/x", (int)(6 + i % 52), i);
		request_of(&r, line, "");
		CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got), i);
		CU_ASSERT(got.verified <= MATCH_LENS * MATCH_LOOKS);
	}
	bed_free(&b);
}

/* ---- limits ---- */

static void
marks_of_a_generation_long_ago_do_not_count(void)
{
	const struct sl_test_http_route routes[] = {
		{.conds = ONE(SL_TEST_HEADER(EXACT, "x-a", "v"))},
		{.conds = ONE(SL_TEST_PATH(SEGMENTS, "/a"), SL_TEST_HEADER(PRESENT, "x-b", NULL))},
	};
	struct sl_model_request with, without;
	struct sl_match_result got;
	struct bed b;

	request_of(&with, "GET /a", "x-a: v\r\nx-b: 1\r\n");
	request_of(&without, "GET /a", "");
	bed_make(&b, routes, SL_ARRAY_CNT(routes));
	CU_ASSERT_EQUAL(sl_match_find(b.match, &with.in, &b.scratch, &got), 0); /* generation 1 */
	((struct match_mem *)b.scratch.mem)->generation = MARK_GENERATIONS - 1;
	for (unsigned i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(sl_match_find(b.match, &without.in, &b.scratch, &got),
				SL_MATCH_NONE);
	bed_free(&b);
}

/* Templates of six segments that are all literal or wildcard: up to 2^6 ways. */
static int
create_ways(uint32_t cnt)
{
	struct sl_test_cond cond[64][2];
	struct sl_test_http_route route[64];
	char text[64][64];
	struct sl_test_vhost_image image;
	struct sl_match *m = NULL;

	memset(cond, 0, sizeof(cond));
	for (uint32_t i = 0; i < cnt; i++) {
		text[i][0] = '\0';
		for (unsigned bit = 0; bit < 6; bit++)
			strcat(text[i], i >> bit & 1 ? "/{x}" : "/a");
		cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(TEMPLATE, text[i]);
		route[i] = (struct sl_test_http_route){.conds = cond[i]};
	}
	sl_test_vhost_build(&(struct sl_test_vhost){.routes = route, .route_cnt = cnt}, &image);
	int err = sl_match_create(image.img, image.dbs, &m);
	if (!err && cnt == 32) {
		struct sl_match_scratch s = sl_test_scratch(sl_match_bytes(m), NULL);
		struct sl_match_result got;
		struct sl_model_request r;
		request_of(&r, "GET /a/a/a/a/a/a", "");
		CU_ASSERT_EQUAL(sl_match_find(m, &r.in, &s, &got), 0);
		request_of(&r, "GET /b/b/b/b/b/a", "");
		CU_ASSERT_EQUAL(sl_match_find(m, &r.in, &s, &got), 31);
		sl_test_scratch_free(&s);
	}
	sl_match_destroy(m);
	sl_test_vhost_free(&image);
	return err;
}

static void
templates_that_overlap_in_too_many_ways_are_refused(void)
{
	CU_ASSERT_EQUAL(create_ways(32), 0);
	CU_ASSERT_EQUAL(create_ways(33), -E2BIG);
}

static void
a_table_without_routes_matches_nothing(void)
{
	struct sl_model_request r;
	struct sl_match_result got;
	struct bed b;

	bed_make(&b, NULL, 0);
	request_of(&r, "GET /", "");
	CU_ASSERT_EQUAL(sl_match_find(b.match, &r.in, &b.scratch, &got), SL_MATCH_NONE);
	CU_ASSERT_EQUAL(got.route, SL_MATCH_NONE);
	bed_free(&b);
}

/* ---- by chance ---- */

#define TABLES 2500
#define REQUESTS 24
#define SCRATCH_BYTES (1u << 20)

/* One scratch for all tables, whatever their layout; its generations run over within the test. */
static void
any_table_finds_what_the_model_finds(void)
{
	static struct sl_model_table table;
	struct sl_match_scratch scratch = sl_test_scratch(SCRATCH_BYTES, NULL);
	unsigned found = 0, none = 0, bad = 0;

	for (uint32_t seed = 1; seed <= TABLES && bad < 5; seed++) {
		struct sl_model_source s = {.seed = seed * 0x9e3779b97f4a7c15ull};
		struct sl_test_vhost_image image;
		struct sl_match *m;
		if (seed % 500 == 0)
			((struct match_mem *)scratch.mem)->generation = MARK_GENERATIONS - 9;
		sl_model_table(&s, seed % 4 ? 0 : 4, &table);
		sl_test_vhost_build(&table.vhost, &image);
		CU_ASSERT_EQUAL_FATAL(sl_match_create(image.img, image.dbs, &m), 0);
		CU_ASSERT_FATAL(sl_match_bytes(m) <= SCRATCH_BYTES);
		scratch.hs = image.hs;
		for (unsigned i = 0; i < REQUESTS; i++) {
			struct sl_model_request r;
			sl_model_request(&s, &r);
			const char *why = sl_model_compare(&table.vhost, m, &scratch, &r);
			if (why && bad++ < 5)
				fprintf(stderr, "table %u, request %u: %s\n%s", seed, i, why,
					r.text);
			if (sl_model_find(&table.vhost, &r) == SL_MATCH_NONE)
				none++;
			else
				found++;
		}
		sl_match_destroy(m);
		sl_test_vhost_free(&image);
	}
	CU_ASSERT_EQUAL(bad, 0);
	CU_ASSERT(found > TABLES && none > TABLES); /* both are frequent */
	sl_test_scratch_free(&scratch);
}

/* ---- hosts ---- */

static void
hosts_go_by_whole_name_then_suffix_then_prefix_then_any(void)
{
	static const struct sl_test_host host[] = {
		{"shop.example", 1},   {"*.example", 2}, {"*.shop.example", 3}, {"shop.*", 4},
		{"shop.example.*", 5}, {"*", 6},         {"[2001:db8::1]", 7},  {"a.b.*", 8},
	};
	static const struct {
		const char *host;
		uint32_t vhost;
		const char *reason;
	} rows[] = {
		{"shop.example", 1, "whole name before suffix and prefix"},
		{"SHOP.Example", 1, "any case"},
		{"shop.example.", 1, "a trailing dot is ignored"},
		{"shop.example..", 4, "only one; nothing stands behind shop.example."},
		{"www.shop.example", 3, "the longest suffix"},
		{"a.b.shop.example", 3, "suffix before prefix"},
		{"www.example", 2, "shorter suffix"},
		{"example", 6, "something must stand before a suffix"},
		{".example", 6, "something"},
		{"shop.org", 4, "prefix"},
		{"shop.example.org", 5, "the longest prefix"},
		{"shop.", 6, "something must stand behind a prefix"},
		{"shop", 6, "no dot"},
		{"xshop.org", 6, "not within a name"},
		{"a.b.c.d", 8, "prefix of two names"},
		{"[2001:DB8::1]", 7, "an address"},
		{"", 6, "no host"},
		{".", 6, "a dot only"},
	};
	struct sl_test_routes t = {.hosts = host, .host_cnt = SL_ARRAY_CNT(host)};
	uint32_t order[SL_ARRAY_CNT(host)], vhost[SL_ARRAY_CNT(host)];
	struct sl_img_routes *img = sl_test_routes_build(&t, order);
	char longest[300];
	struct sl_hosts *h;

	for (size_t i = 0; i < SL_ARRAY_CNT(host); i++)
		vhost[i] = host[order[i]].vhost;
	CU_ASSERT_EQUAL_FATAL(sl_hosts_create(img, vhost, &h), 0);
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		size_t n = strlen(rows[i].host);
		uint8_t *g = guard_buf(n ? n : 1);
		memcpy(g, rows[i].host, n);
		uint32_t got = sl_hosts_find(h, n ? g : g + 1, (uint32_t)n);
		if (got != rows[i].vhost)
			fprintf(stderr, "%s → %u: %s\n", rows[i].host, got, rows[i].reason);
		CU_ASSERT_EQUAL(got, rows[i].vhost);
		guard_free(g, n ? n : 1);
	}
	memset(longest, 'a', sizeof(longest));
	memcpy(longest + sizeof(longest) - 8, ".example", 8);
	CU_ASSERT_EQUAL(sl_hosts_find(h, (uint8_t *)longest, sizeof(longest)), 6);
	sl_hosts_destroy(h);
	free(img);
}

static bool
host_is(const char *match, const char *host)
{
	size_t n = strlen(host), m = strlen(match) - 1;

	if (match[0] == '*')
		return m == 0 || (n > m && strcmp(host + n - m, match + 1) == 0);
	if (match[m] == '*')
		return n > m && strncmp(host, match, m) == 0;
	return strcmp(match, host) == 0;
}

static unsigned
host_kind(const char *match)
{
	if (strcmp(match, "*") == 0)
		return SL_HOST_ANY;
	return match[0] == '*'                   ? SL_HOST_SUFFIX
	       : match[strlen(match) - 1] == '*' ? SL_HOST_PREFIX
						 : SL_HOST_EXACT;
}

static uint32_t
host_model(const struct sl_test_host *host, uint32_t cnt, const char *asked)
{
	uint32_t best = SL_MATCH_NONE;

	for (uint32_t i = 0; i < cnt; i++) {
		if (!host_is(host[i].match, asked))
			continue;
		if (best == SL_MATCH_NONE ||
		    host_kind(host[i].match) < host_kind(host[best].match) ||
		    (host_kind(host[i].match) == host_kind(host[best].match) &&
		     strlen(host[i].match) > strlen(host[best].match)))
			best = i;
	}
	return best == SL_MATCH_NONE ? best : host[best].vhost;
}

static void
host_by_chance(struct sl_model_source *s, char *ret, bool pattern)
{
	uint32_t n = 1 + sl_model_pick(s, 4), star = sl_model_pick(s, 3);

	*ret = '\0';
	if (pattern && sl_model_pick(s, 12) == 0) {
		strcpy(ret, "*");
		return;
	}
	if (pattern && star == 1)
		strcat(ret, "*.");
	for (uint32_t i = 0; i < n; i++)
		sprintf(ret + strlen(ret), "%s%c", i ? "." : "", "ab"[sl_model_pick(s, 2)]);
	if (pattern && star == 2)
		strcat(ret, ".*");
}

static void
any_hosts_lead_where_the_model_says(void)
{
	for (uint32_t seed = 1; seed <= 2000; seed++) {
		struct sl_model_source s = {.seed = seed * 0x9e3779b97f4a7c15ull};
		struct sl_test_host host[24];
		char text[24][32], asked[32];
		uint32_t cnt = 0, max = 1 + sl_model_pick(&s, 24);
		for (uint32_t i = 0; i < max; i++) {
			bool twice = false;
			host_by_chance(&s, text[cnt], true);
			for (uint32_t k = 0; k < cnt; k++)
				twice |= strcmp(text[k], text[cnt]) == 0;
			host[cnt] = (struct sl_test_host){text[cnt], 100 + cnt};
			cnt += !twice;
		}
		struct sl_test_routes t = {.hosts = host, .host_cnt = cnt};
		uint32_t order[24], vhost[24];
		struct sl_img_routes *img = sl_test_routes_build(&t, order);
		struct sl_hosts *h = NULL;
		for (uint32_t i = 0; i < cnt; i++)
			vhost[i] = host[order[i]].vhost;
		CU_ASSERT_EQUAL_FATAL(sl_hosts_create(img, vhost, &h), 0);
		for (unsigned i = 0; i < 50; i++) {
			host_by_chance(&s, asked, false);
			uint32_t got = sl_hosts_find(h, (uint8_t *)asked, (uint32_t)strlen(asked));
			CU_ASSERT_EQUAL(got, host_model(host, cnt, asked));
		}
		sl_hosts_destroy(h);
		free(img);
	}
}

SL_SUITE("match", SL_TEST(each_condition_holds_as_its_row_says),
	 SL_TEST(the_first_route_in_list_order_wins_however_it_is_filed),
	 SL_TEST(prefix_and_captures_are_those_of_the_winner),
	 SL_TEST(a_database_is_scanned_only_when_a_route_asks_for_it),
	 SL_TEST(few_routes_are_verified_however_long_the_table),
	 SL_TEST(regexes_that_begin_alike_are_told_apart_by_a_scan),
	 SL_TEST(marks_of_a_generation_long_ago_do_not_count),
	 SL_TEST(templates_that_overlap_in_too_many_ways_are_refused),
	 SL_TEST(a_table_without_routes_matches_nothing),
	 SL_TEST(any_table_finds_what_the_model_finds),
	 SL_TEST(hosts_go_by_whole_name_then_suffix_then_prefix_then_any),
	 SL_TEST(any_hosts_lead_where_the_model_says))
