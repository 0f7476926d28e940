/* Time to find a route among 10, 1,000 and 10,000: first, last, none; against a bare scan of the same bytes by the same rules as
 * one database, in slices by turns.  One JSON object a line:
 *
 *   match.<rules>.<routes>.<request>   ns to find; with the scan's ns, their ratio, and 10th and 90th percentile of the slices
 *   match.<rules>.build                ms to build the match of 10,000 routes, databases aside: median of 5
 *   http.match.scan                    worst ratio with 1,000 rules that are regexes
 *   http.match.growth                  worst of: ns with 10,000 routes ÷ ns with 10
 *   http.match.growth.scan             likewise of rules that nothing but a scan tells apart: they grow as Hyperscan does
 */
#include <hs/hs.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/l7/route_image.h"

#define ROUTES_MAX 10000
#define SLICES 201
#define SLICE 500 /* requests */

#define SIZES 3
#define ASKS 3 /* first, last, none */

static const uint32_t sizes[SIZES] = {10, 1000, ROUTES_MAX};

static struct sl_test_http_route route[ROUTES_MAX];
static struct sl_test_cond cond[ROUTES_MAX][3];
static char text[ROUTES_MAX][64], more[ROUTES_MAX][64];

/* What the rules are, and where a scan would look. */
struct rules {
	const char *name;
	const char *path, *header; /* of the i-th request; header: value of x-env */
	bool on_header;            /* a scan looks at x-env */
	bool is_regex;             /* the table's rules are regexes: their database is scanned */
	const char *regex;         /* else: the i-th rule as a regex of the path */
	bool is_scan;              /* find scans, too: what grows is the scan */
	void (*conds)(uint32_t i);
};

static void
conds_path_regex(uint32_t i)
{
	snprintf(text[i], sizeof(text[i]), "/api/v1/svc%u/[a-z]+/[0-9]+", i);
	cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(REGEX, text[i]);
}

/* Begins like all others: nothing but a scan tells. */
static void
conds_path_scan(uint32_t i)
{
	snprintf(text[i], sizeof(text[i]), "/[a-z]+/v1/svc%u/[a-z]+/[0-9]+", i);
	cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(REGEX, text[i]);
}

static void
conds_header_regex(uint32_t i)
{
	snprintf(text[i], sizeof(text[i]), "tenant%u-[a-z]+-[0-9]+", i);
	cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(SEGMENTS, "/api");
	cond[i][1] = (struct sl_test_cond)SL_TEST_HEADER(REGEX, "x-env", text[i]);
}

static void
conds_prefix(uint32_t i)
{
	snprintf(text[i], sizeof(text[i]), "/api/v1/svc%u", i);
	cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(SEGMENTS, text[i]);
}

static void
conds_mix(uint32_t i)
{
	snprintf(text[i], sizeof(text[i]), "/api/v1/svc%u/list/7", i);
	snprintf(more[i], sizeof(more[i]), "tenant%u-east-1", i);
	if (i % 2)
		cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(EXACT, text[i]);
	else
		cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(SEGMENTS, "/api");
	cond[i][1] = (struct sl_test_cond)SL_TEST_HEADER(EXACT, "x-env", more[i]);
}

static const struct rules all_rules[] = {
	{.name = "path_regex",
	 .path = "/api/v1/svc%u/list/7",
	 .header = "tenant-east",
	 .is_regex = true,
	 .conds = conds_path_regex},
	{.name = "header_regex",
	 .path = "/api/v1/list/7",
	 .header = "tenant%u-east-1",
	 .on_header = true,
	 .is_regex = true,
	 .conds = conds_header_regex},
	{.name = "prefix",
	 .path = "/api/v1/svc%u/list/7",
	 .header = "tenant-east",
	 .regex = "/api/v1/svc%u(/.*)?",
	 .conds = conds_prefix},
	{.name = "mix",
	 .path = "/api/v1/svc%u/list/7",
	 .header = "tenant%u-east-1",
	 .regex = "/api/v1/svc%u/list/7",
	 .conds = conds_mix},
	{.name = "path_scan",
	 .path = "/api/v1/svc%u/list/7",
	 .header = "tenant-east",
	 .is_scan = true,
	 .is_regex = true,
	 .conds = conds_path_scan},
};

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

struct bed {
	struct sl_test_vhost_image image, bare; /* bare: the rules as one database */
	struct sl_match *match;
	struct sl_match_scratch scratch;
};

static void
match_build(struct bed *b, const struct rules *r, uint32_t routes)
{
	double ms[5];

	for (unsigned i = 0; i < SL_ARRAY_CNT(ms); i++) {
		sl_match_destroy(b->match);
		b->match = NULL;
		double start = now_ns();
		if (sl_match_create(b->image.img, b->image.dbs, &b->match)) {
			fprintf(stderr, "bench_match: %s was not built\n", r->name);
			exit(1);
		}
		ms[i] = (now_ns() - start) / 1e6;
	}
	qsort(ms, SL_ARRAY_CNT(ms), sizeof(*ms), by_value);
	if (routes == ROUTES_MAX)
		printf("{\"name\":\"match.%s.build\",\"value\":%.2f,\"unit\":\"ms\"}\n", r->name,
		       ms[SL_ARRAY_CNT(ms) / 2]);
}

static void
bed_make(struct bed *b, const struct rules *r, uint32_t routes)
{
	struct sl_test_vhost v = {.routes = route, .route_cnt = routes};

	memset(cond, 0, sizeof(cond));
	for (uint32_t i = 0; i < routes; i++) {
		r->conds(i);
		route[i] = (struct sl_test_http_route){.conds = cond[i]};
	}
	sl_test_vhost_build(&v, &b->image);
	match_build(b, r, routes);
	b->scratch = sl_test_scratch(sl_match_bytes(b->match), b->image.hs);
	if (r->is_regex)
		return;
	memset(cond, 0, sizeof(cond));
	for (uint32_t i = 0; i < routes; i++) {
		snprintf(text[i], sizeof(text[i]), r->regex, i);
		cond[i][0] = (struct sl_test_cond)SL_TEST_PATH(REGEX, text[i]);
	}
	sl_test_vhost_build(&v, &b->bare);
}

static void
bed_free(struct bed *b, const struct rules *r)
{
	sl_test_scratch_free(&b->scratch);
	sl_match_destroy(b->match);
	sl_test_vhost_free(&b->image);
	if (!r->is_regex)
		sl_test_vhost_free(&b->bare);
}

struct request {
	char bytes[1024], path[64], value[64];
	struct sl_http_head head;
	struct sl_match_input in;
};

static void
request_make(struct request *q, const struct rules *r, uint32_t i)
{
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	enum sl_http_bad why;

	snprintf(q->path, sizeof(q->path), r->path, i);
	snprintf(q->value, sizeof(q->value), r->header, i);
	int n = snprintf(q->bytes, sizeof(q->bytes),
			 "GET %s HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8.5.0\r\n"
			 "Accept: text/html,application/json\r\nAccept-Encoding: gzip, br\r\n"
			 "X-Env: %s\r\nCookie: sid=0123456789abcdef\r\nX-Trace: 1\r\n\r\n",
			 q->path, q->value);
	if (sl_http_request((const uint8_t *)q->bytes, (uint32_t)n, 0, &limits, &q->head, &why) !=
	    n) {
		fprintf(stderr, "bench_match: %s\n", sl_http_bad_text(why));
		exit(1);
	}
	q->in = (struct sl_match_input){.head = &q->head,
					.path = (const uint8_t *)q->path,
					.path_len = (uint32_t)strlen(q->path)};
}

static int
seen(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *ctx)
{
	(void)from, (void)to, (void)flags;
	*(unsigned *)ctx += id;
	return 0;
}

static double
slice_find(struct bed *b, const struct request *q, uint32_t want)
{
	struct sl_match_result got;
	double start = now_ns();

	for (unsigned i = 0; i < SLICE; i++)
		if (sl_match_find(b->match, &q->in, &b->scratch, &got) != want) {
			fprintf(stderr, "bench_match: %s leads to route %u\n", q->bytes, got.route);
			exit(1);
		}
	return (now_ns() - start) / SLICE;
}

static double
slice_scan(const struct sl_test_vhost_image *image, const char *bytes)
{
	unsigned sum = 0, n = (unsigned)strlen(bytes);
	double start = now_ns();

	for (unsigned i = 0; i < SLICE; i++)
		hs_scan(image->dbs[0].base, bytes, n, 0, image->hs, seen, &sum);
	return (now_ns() - start) / SLICE;
}

/* Slices of all sizes and of the scans by turns, so that what else the machine does meets all alike. */
struct slices {
	double find[SIZES][SLICES], scan[SIZES][SLICES];
	struct request request[SIZES];
	uint32_t asked[SIZES]; /* route; past the table: none */
};

static void
slices_take(struct bed *bed, const struct rules *r, struct slices *s)
{
	for (unsigned k = 0; k < SIZES; k++)
		request_make(&s->request[k], r, s->asked[k]);
	for (unsigned i = 0; i < SLICES; i++)
		for (unsigned k = 0; k < SIZES; k++) {
			const struct request *q = &s->request[k];
			uint32_t want = s->asked[k] < sizes[k] ? s->asked[k] : SL_MATCH_NONE;
			s->find[k][i] = slice_find(&bed[k], q, want);
			s->scan[k][i] = slice_scan(r->is_regex ? &bed[k].image : &bed[k].bare,
						   r->on_header ? q->value : q->path);
		}
	for (unsigned k = 0; k < SIZES; k++) {
		qsort(s->find[k], SLICES, sizeof(double), by_value);
		qsort(s->scan[k], SLICES, sizeof(double), by_value);
	}
}

static void
slices_print(struct bed *bed, const struct rules *r, const struct slices *s, const char *what)
{
	for (unsigned k = 0; k < SIZES; k++) {
		const double *find = s->find[k], *scan = s->scan[k];
		struct sl_match_result got;
		sl_match_find(bed[k].match, &s->request[k].in, &bed[k].scratch, &got);
		printf("{\"name\":\"match.%s.%" PRIu32 ".%s\",\"value\":%.1f,\"unit\":\"ns\","
		       "\"p10\":%.1f,\"p90\":%.1f,\"scan\":%.1f,\"scan_p10\":%.1f,"
		       "\"scan_p90\":%.1f,\"ratio\":%.2f,\"verified\":%" PRIu32
		       ",\"scanned\":%" PRIu32 "}\n",
		       r->name, sizes[k], what, find[SLICES / 2], find[SLICES / 10],
		       find[SLICES * 9 / 10], scan[SLICES / 2], scan[SLICES / 10],
		       scan[SLICES * 9 / 10], find[SLICES / 2] / scan[SLICES / 2], got.verified,
		       got.scanned);
	}
	fflush(stdout);
}

static void
summary(const char *name, double value)
{
	printf("{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"x\"}\n", name, value);
}

/* bench_match [RULES]: of these only. */
int
main(int argc, char **argv)
{
	static const char *const what[ASKS] = {"first", "last", "none"};
	static struct slices s;
	double worst_ratio = 0, worst_growth = 0, scan_growth = 0;

	for (unsigned k = 0; k < SL_ARRAY_CNT(all_rules); k++) {
		const struct rules *r = &all_rules[k];
		struct bed bed[SIZES] = {0};
		if (argc > 1 && strcmp(argv[1], r->name) != 0)
			continue;
		for (unsigned i = 0; i < SIZES; i++)
			bed_make(&bed[i], r, sizes[i]);
		for (unsigned a = 0; a < ASKS; a++) {
			for (unsigned i = 0; i < SIZES; i++)
				s.asked[i] = a == 0 ? 0 : a == 1 ? sizes[i] - 1 : 99999;
			slices_take(bed, r, &s);
			slices_print(bed, r, &s, what[a]);
			double ratio = s.find[1][SLICES / 2] / s.scan[1][SLICES / 2];
			double growth = s.find[2][SLICES / 2] / s.find[0][SLICES / 2];
			worst_ratio = r->is_regex ? SL_MAX(worst_ratio, ratio) : worst_ratio;
			double *worst = r->is_scan ? &scan_growth : &worst_growth;
			*worst = SL_MAX(*worst, growth);
		}
		for (unsigned i = 0; i < SIZES; i++)
			bed_free(&bed[i], r);
	}
	summary("http.match.scan", worst_ratio);
	summary("http.match.growth", worst_growth);
	summary("http.match.growth.scan", scan_growth);
	return 0;
}
