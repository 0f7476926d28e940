/* Route tables → ROUTES, VHOST, SHARD: what is promised about bytes, slots and pattern ids. */
#include "mgmt/shards.h"

#include <errno.h>
#include <time.h>

#include "compiled.h"
#include "files.h"
#include "mgmt/slots.h"

static struct sl_shards *
shards_open(void)
{
	struct sl_shards_conf conf = {.program = SL_COMPILE};
	struct sl_shards *s;

	CU_ASSERT_EQUAL_FATAL(sl_shards_create(&conf, NULL, &s), 0);
	return s;
}

static uint64_t
compiled_cnt(struct sl_shards *s)
{
	struct sl_shards_stats n;

	sl_shards_count(s, &n);
	return n.compiled;
}

static const struct sl_compiled_object *
object(const struct sl_compiled *c, enum sl_obj_kind kind, uint32_t nth)
{
	for (uint32_t i = 0; i < c->cnt; i++) {
		const struct sl_obj_head *h = c->objs[i].bytes;
		if (h->kind == kind && nth-- == 0)
			return &c->objs[i];
	}
	return NULL;
}

static uint32_t
objects(const struct sl_compiled *c, enum sl_obj_kind kind)
{
	uint32_t n = 0;

	while (object(c, kind, n))
		n++;
	return n;
}

static const struct sl_img_vhost *
vhost(const struct sl_compiled *c, const char *name)
{
	for (uint32_t i = 0; object(c, SL_OBJ_VHOST, i); i++) {
		const struct sl_img_vhost *v = object(c, SL_OBJ_VHOST, i)->bytes;
		if (strcmp(v->name, name) == 0)
			return v;
	}
	return NULL;
}

static const struct sl_img_scan *
scans(const struct sl_img_vhost *v)
{
	return (const void *)((const char *)v + v->scan_off);
}

static const struct sl_img_cond *
conds(const struct sl_img_vhost *v)
{
	return (const void *)((const char *)v + v->cond_off);
}

#define HEAD                                                                                       \
	"gateway = { name = \"g\"; };\n"                                                           \
	"network = { addresses = ( { port = \"front\"; address = \"192.0.2.2/24\"; } ); };\n"      \
	"services = ( { name = \"web\"; max_endpoints = 1; }, { name = \"old\"; max_endpoints = "  \
	"1; } );\n"                                                                                \
	"listeners = ( { name = \"edge\"; address = \"203.0.113.10\"; port = 80; protocol = "      \
	"\"tcp\"; "                                                                                \
	"mode = \"http\"; routes = \"edge\"; } );\n"

/* One host with n routes by a header each: numbers [from, from + n). */
static struct sl_conf *
header_conf(const char *kind, const char *end, unsigned from, unsigned n)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f, HEAD "route_tables = ( { name = \"edge\"; hosts = ( { name = \"shop\"; match = "
			"( \"*\" ); "
			"routes = (\n");
	for (unsigned i = 0; i < n; i++)
		fprintf(f,
			"%s{ name = \"r%u\"; headers = ( { name = \"x-env\"; %s = "
			"\"env-%u-%s\"; } ); "
			"service = \"web\"; }\n",
			i ? ", " : "", from + i, kind, from + i, end);
	fprintf(f, "); } ); } );\n");
	fclose(f);
	struct sl_conf *c = conf_of(text);
	free(text);
	return c;
}

static struct sl_conf *
regex_conf(unsigned from, unsigned n)
{
	return header_conf("regex", "[a-f]+", from, n);
}

#define NETWORK "network = { addresses = ( { port = \"front\"; address = \"10.0.2.1/24\"; } ); };\n"

static void
every_key_reaches_the_objects(void)
{
	size_t len;
	char *text = file_read(SL_GOLDEN "/http/every-key.conf", &len);
	text = realloc(text, len + sizeof(NETWORK));
	strcpy(text + len, NETWORK);
	struct sl_conf *c = conf_of(text);
	struct sl_shards *s = shards_open();
	struct pushed p = push_with(c, NULL, s), again;

	free(text);
	CU_ASSERT(checks_pass(p.out));
	CU_ASSERT(view_stands(p.out));
	CU_ASSERT_EQUAL(objects(p.out, SL_OBJ_ROUTES), 2);
	CU_ASSERT_EQUAL(objects(p.out, SL_OBJ_VHOST), 2);
	CU_ASSERT_EQUAL(objects(p.out, SL_OBJ_SHARD), 3); /* path, query "a b", cookie Sid */
	const struct sl_img_vhost *shop = vhost(p.out, "shop");
	CU_ASSERT_EQUAL(shop->route_cnt, 8);
	CU_ASSERT_EQUAL(shop->scan_cnt, 3);
	again = push_with(c, &p, s);
	CU_ASSERT(same_bytes(p.out, again.out));
	for (uint32_t i = 0; i < p.out->cnt; i++)
		if (((const struct sl_obj_head *)p.out->objs[i].bytes)->kind >= SL_OBJ_SERVICE)
			CU_ASSERT_PTR_EQUAL(p.out->objs[i].bytes, again.out->objs[i].bytes);
	pushed_fini(&p);
	pushed_fini(&again);
	sl_conf_free(c);
	sl_shards_destroy(s);
}

static void
conditions_and_texts_stand_once(void)
{
	struct sl_conf *c = conf_of(
		HEAD
		"route_tables = ( { name = \"edge\"; hosts = ( { name = \"shop\"; match = ( "
		"\"a.example\" ); routes = ("
		"{ name = \"a\"; prefix = \"/api\"; methods = ( \"GET\" ); service = \"web\"; },"
		"{ name = \"b\"; prefix = \"/api\"; headers = ( { name = \"x\"; exact = \"/api\"; "
		"} ); service = \"old\"; },"
		"{ name = \"c\"; prefix = \"/api\"; methods = ( \"GET\" ); ignore_case = true; "
		"service = \"web\"; } ); } ); } );\n");
	struct pushed p = push(c, NULL);
	const struct sl_img_vhost *v = vhost(p.out, "shop");

	CU_ASSERT(checks_pass(p.out));
	CU_ASSERT(view_stands(p.out));
	CU_ASSERT_EQUAL(v->cond_cnt, 4); /* /api, GET, x, /api in any case */
	CU_ASSERT_EQUAL(v->cond_id_cnt, 6);
	CU_ASSERT_EQUAL(v->str_bytes, strlen("/apix"));
	pushed_fini(&p);
	sl_conf_free(c);
}

static const char *
turned_text(bool turned)
{
	return turned ? HEAD "route_tables = ( { name = \"edge\"; hosts = ( "
			     "{ name = \"b\"; match = ( \"b.*\", \"*.b.example\" ); },"
			     "{ name = \"a\"; match = ( \"a.example\", \"*\" ); routes = ( { name "
			     "= \"z\"; service = \"old\"; } ); } ); },"
			     "{ name = \"dark\"; } );\n"
		      : HEAD "route_tables = ( { name = \"dark\"; }, { name = \"edge\"; hosts = ( "
			     "{ name = \"a\"; match = ( \"*\", \"a.example\" ); routes = ( { name "
			     "= \"z\"; service = \"old\"; } ); },"
			     "{ name = \"b\"; match = ( \"*.b.example\", \"b.*\" ); } ); } );\n";
}

static void
the_order_of_tables_hosts_and_names_means_nothing(void)
{
	struct sl_conf *a = conf_of(turned_text(false)), *b = conf_of(turned_text(true));
	struct pushed pa = push(a, NULL), pb = push(b, NULL);

	CU_ASSERT(same_bytes(pa.out, pb.out));
	CU_ASSERT(checks_pass(pa.out));
	CU_ASSERT(view_stands(pa.out));
	pushed_fini(&pa);
	pushed_fini(&pb);
	sl_conf_free(a);
	sl_conf_free(b);
}

static void
routes_keep_their_slots_and_others_their_objects(void)
{
	struct sl_conf *c = conf_of(turned_text(false));
	struct pushed first = push(c, NULL), second;
	struct sl_conf_table *edge = &c->tables[1];
	struct sl_conf_vhost *a = &edge->vhosts[0];
	struct sl_placed was, is;

	a->routes[0].timeout_ms++;
	strcpy(c->services[1].name, "new");
	strcpy(a->routes[0].targets[0].service, "new");
	second = push(c, &first);
	CU_ASSERT_EQUAL(sl_slot_find_hroute(&first.map, edge, a, &a->routes[0], &was), 0);
	CU_ASSERT_EQUAL(sl_slot_find_hroute(&second.map, edge, a, &a->routes[0], &is), 0);
	CU_ASSERT(was.slot == is.slot && was.incarnation == is.incarnation);
	CU_ASSERT_PTR_EQUAL(vhost(first.out, "b"), vhost(second.out, "b"));
	CU_ASSERT_PTR_NOT_EQUAL(vhost(first.out, "a"), vhost(second.out, "a"));
	for (uint32_t i = 0; i < 2; i++)
		CU_ASSERT_PTR_EQUAL(object(first.out, SL_OBJ_ROUTES, i)->bytes,
				    object(second.out, SL_OBJ_ROUTES, i)->bytes);
	CU_ASSERT(view_stands(second.out));

	strcpy(a->routes[0].name, "y");
	struct pushed third = push(c, &second);
	CU_ASSERT_EQUAL(sl_slot_find_hroute(&third.map, edge, a, &a->routes[0], &is), 0);
	CU_ASSERT(is.slot == was.slot ? is.incarnation != was.incarnation : true);
	CU_ASSERT(view_stands(third.out));
	pushed_fini(&first);
	pushed_fini(&second);
	pushed_fini(&third);
	sl_conf_free(c);
}

/* ---- bases and deltas ---- */

static void
new_patterns_go_to_a_delta_and_the_base_stays(void)
{
	struct sl_shards *s = shards_open();
	struct sl_conf *a = regex_conf(0, 40), *b = regex_conf(5, 40);
	struct pushed first = push_with(a, NULL, s), second;

	const struct sl_img_scan *sc = scans(vhost(first.out, "shop"));
	CU_ASSERT_EQUAL(compiled_cnt(s), 1);
	CU_ASSERT_EQUAL(sc->base_cnt, 40);
	CU_ASSERT_EQUAL(sc->delta_cnt, 0);
	second = push_with(b, &first, s);
	CU_ASSERT_EQUAL(compiled_cnt(s), 2); /* the delta */
	const struct sl_img_scan *now = scans(vhost(second.out, "shop"));
	CU_ASSERT_EQUAL(memcmp(&now->base, &sc->base, sizeof(sc->base)), 0);
	CU_ASSERT_EQUAL(now->base_cnt, 40);
	CU_ASSERT_EQUAL(now->delta_cnt, 5);
	CU_ASSERT_EQUAL(objects(second.out, SL_OBJ_SHARD), 2);
	CU_ASSERT(checks_pass(second.out));
	CU_ASSERT(view_stands(second.out));
	for (uint32_t i = 0; i < 40; i++) /* in list order: 5 … 44 */
		CU_ASSERT((conds(vhost(second.out, "shop"))[i].pattern < 40) == (i < 35));
	CU_ASSERT_EQUAL(second.out->want_cnt, 0);

	/* What is back is found in the base. */
	struct pushed third = push_with(a, &second, s);
	CU_ASSERT_EQUAL(compiled_cnt(s), 2);
	CU_ASSERT_EQUAL(scans(vhost(third.out, "shop"))->delta_cnt, 0);
	pushed_fini(&first);
	pushed_fini(&second);
	pushed_fini(&third);
	sl_conf_free(a);
	sl_conf_free(b);
	sl_shards_destroy(s);
}

/* The route that a worker finds for a request of any host, "": none. */
static const char *
route_of(const struct sl_view *v, const char *env)
{
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	struct sl_http_head head;
	enum sl_http_bad why;
	char text[256];

	snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nHost: h.example\r\nX-Env: %s\r\n\r\n",
		 env);
	CU_ASSERT_FATAL(sl_http_request((const uint8_t *)text, (uint32_t)strlen(text), 0, &limits,
					&head, &why) > 0);
	const struct sl_match_input in = {
		.head = &head,
		.path = (const uint8_t *)text + head.path,
		.path_len = head.path_len,
	};
	struct sl_match_result got;
	uint32_t host = sl_hosts_find(v->tables[0].hosts, (const uint8_t *)"h.example", 9);
	const struct sl_vhost *vh = &v->vhosts[host];
	uint32_t route = sl_match_find(vh->match, &in, &v->scratch[0], &got);
	const struct sl_img_http_route *r =
		(const void *)((const char *)vh->img + vh->img->route_off);
	return route == SL_MATCH_NONE ? "" : r[route].name;
}

/* By "contains": a regex that is simple enough is not asked of a database. */
static void
a_worker_finds_routes_by_base_and_delta(void)
{
	static const struct {
		const char *env, *route, *reason;
	} rows[] = {
		{"env-5-abc", "r5", "the first, of the base"},
		{"env-39-f", "r39", "the last of the base"},
		{"env-40-a", "r40", "the first of the delta"},
		{"env-44-fade", "r44", "the last of the delta"},
		{"env-3-a", "", "in the base, but dead"},
		{"env-45-a", "", "nowhere"},
		{"env-44", "", "not all of it"},
	};
	struct sl_shards *s = shards_open();
	struct sl_conf *a = header_conf("contains", "", 0, 40);
	struct sl_conf *b = header_conf("contains", "", 5, 40);
	struct pushed first = push_with(a, NULL, s), second = push_with(b, &first, s);
	struct sl_view *v = view_of(second.out);

	CU_ASSERT_PTR_NOT_NULL_FATAL(v);
	CU_ASSERT_EQUAL(scans(vhost(second.out, "shop"))->delta_cnt, 5);
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		const char *got = route_of(v, rows[i].env);
		if (strcmp(got, rows[i].route) != 0)
			printf("\n  %s: \"%s\"", rows[i].reason, got);
		CU_ASSERT_STRING_EQUAL(got, rows[i].route);
	}
	sl_view_destroy(v);
	pushed_fini(&first);
	pushed_fini(&second);
	sl_conf_free(a);
	sl_conf_free(b);
	sl_shards_destroy(s);
}

static void
a_delta_over_its_limit_makes_the_base_anew(void)
{
	static const struct {
		unsigned from, cnt, base, delta;
		const char *reason;
	} rows[] = {
		{0, 10 + SL_DELTA_MAX, 10, SL_DELTA_MAX, "as many as a delta holds"},
		{0, 11 + SL_DELTA_MAX, 11 + SL_DELTA_MAX, 0, "one more"},
	};
	struct sl_shards *s = shards_open();
	struct sl_conf *a = regex_conf(0, 10);
	struct pushed first = push_with(a, NULL, s);

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_conf *b = regex_conf(rows[i].from, rows[i].cnt);
		struct pushed p = push_with(b, &first, s);
		const struct sl_img_scan *sc = scans(vhost(p.out, "shop"));
		if (sc->base_cnt != rows[i].base || sc->delta_cnt != rows[i].delta)
			printf("\n  %s: %u + %u", rows[i].reason, sc->base_cnt, sc->delta_cnt);
		CU_ASSERT(sc->base_cnt == rows[i].base && sc->delta_cnt == rows[i].delta);
		CU_ASSERT(checks_pass(p.out));
		pushed_fini(&p);
		sl_conf_free(b);
	}
	pushed_fini(&first);
	sl_conf_free(a);
	sl_shards_destroy(s);
}

static void
a_poor_base_is_wanted_anew_and_then_used(void)
{
	struct sl_shards *s = shards_open();
	struct sl_conf *a = regex_conf(0, 10), *b = regex_conf(1, 10 + SL_DELTA_POOR);
	struct pushed first = push_with(a, NULL, s), second = push_with(b, &first, s), third;

	CU_ASSERT_EQUAL_FATAL(second.out->want_cnt, 1);
	CU_ASSERT_EQUAL(second.out->wants[0].cnt, 10 + SL_DELTA_POOR);
	CU_ASSERT_STRING_EQUAL(second.out->wants[0].scan, "edge/shop/header/x-env");
	CU_ASSERT_EQUAL(sl_shards_compact(s, &second.out->wants[0], NULL), 0);
	CU_ASSERT_EQUAL(compiled_cnt(s), 3);
	third = push_with(b, &second, s);
	CU_ASSERT_EQUAL(compiled_cnt(s), 3);
	const struct sl_img_scan *sc = scans(vhost(third.out, "shop"));
	CU_ASSERT_EQUAL(sc->base_cnt, 10 + SL_DELTA_POOR);
	CU_ASSERT_EQUAL(sc->delta_cnt, 0);
	CU_ASSERT_EQUAL(third.out->want_cnt, 0);
	CU_ASSERT(view_stands(third.out));

	/* The map of the third names the new base: nothing depends on the wish any more. */
	sl_shards_trim(s, &third.map);
	struct pushed fourth = push_with(b, &third, s);
	CU_ASSERT(same_bytes(third.out, fourth.out));
	pushed_fini(&first);
	pushed_fini(&second);
	pushed_fini(&third);
	pushed_fini(&fourth);
	sl_conf_free(a);
	sl_conf_free(b);
	sl_shards_destroy(s);
}

static void
dead_patterns_make_a_base_poor(void)
{
	struct sl_shards *s = shards_open();
	struct sl_conf *a = regex_conf(0, 300), *b = regex_conf(0, 40), *d = regex_conf(0, 50);
	struct pushed first = push_with(a, NULL, s), second = push_with(b, &first, s);
	struct pushed third = push_with(d, &first, s);

	CU_ASSERT_EQUAL(second.out->want_cnt, 1); /* 260 of 300 are dead */
	CU_ASSERT_EQUAL(third.out->want_cnt, 0);  /* 250 are not that many */
	CU_ASSERT_EQUAL(scans(vhost(second.out, "shop"))->base_cnt, 300);
	pushed_fini(&first);
	pushed_fini(&second);
	pushed_fini(&third);
	sl_conf_free(a);
	sl_conf_free(b);
	sl_conf_free(d);
	sl_shards_destroy(s);
}

static void
other_shards_give_the_same_bytes(void)
{
	struct sl_shards *s = shards_open(), *t = shards_open();
	struct sl_conf *a = regex_conf(0, 50);
	struct pushed first = push_with(a, NULL, s), second = push_with(a, NULL, t);

	CU_ASSERT_EQUAL(compiled_cnt(t), 1);
	CU_ASSERT(same_bytes(first.out, second.out));
	pushed_fini(&first);
	pushed_fini(&second);
	sl_conf_free(a);
	sl_shards_destroy(s);
	sl_shards_destroy(t);
}

static void
hosts_with_the_same_patterns_share_a_database(void)
{
	struct sl_conf *c = conf_of(
		HEAD
		"route_tables = ( { name = \"edge\"; hosts = ( { name = \"a\"; match = ( \"*\" ); "
		"routes = ( "
		"{ name = \"r\"; path_regex = \"/v[0-9]+\"; service = \"web\"; } ); }, "
		"{ name = \"b\"; match = ( \"b.example\" ); routes = ( "
		"{ name = \"r\"; path_regex = \"/v[0-9]+\"; service = \"web\"; } ); } ); } );\n");
	struct sl_shards *s = shards_open();
	struct pushed p = push_with(c, NULL, s);

	CU_ASSERT_EQUAL(compiled_cnt(s), 1);
	CU_ASSERT_EQUAL(objects(p.out, SL_OBJ_SHARD), 1);
	CU_ASSERT_EQUAL(p.map.base_cnt, 2);
	CU_ASSERT(checks_pass(p.out));
	CU_ASSERT(view_stands(p.out));
	pushed_fini(&p);
	sl_conf_free(c);
	sl_shards_destroy(s);
}

/* ---- mistakes ---- */

static void
every_bad_regex_names_its_route(void)
{
	static const char route[] = "regex of route edge/";
	static const char *const want[] = {
		"shop/one: path: \"/a)|(b\": Unmatched parentheses at index 2",
		"shop/three: header x-env: \"(?=x)a\": Zero-width assertions are not supported",
		"shop/two: cookie sid: \"a{1,100000}\": Bounded repeat is too large",
		"zoo/four: path: \"/[a\": Unterminated character class starting at index 1",
	};
	struct sl_conf *c =
		conf_of(HEAD "route_tables = ( { name = \"edge\"; hosts = ( { name = \"shop\"; "
			     "match = ( \"*\" ); routes = (\n"
			     "{ name = \"one\"; path_regex = \"/a)|(b\"; service = \"web\"; },\n"
			     "{ name = \"good\"; path_regex = \"/a(b|c)\"; service = \"web\"; },\n"
			     "{ name = \"two\"; cookies = ( { name = \"sid\"; regex = "
			     "\"a{1,100000}\"; } ); service = \"web\"; },\n"
			     "{ name = \"three\"; headers = ( { name = \"x-env\"; regex = "
			     "\"(?=x)a\"; } ); service = \"web\"; }\n"
			     "); }, { name = \"zoo\"; match = ( \"zoo.example\" ); routes = (\n"
			     "{ name = \"four\"; path_regex = \"/[a\"; service = \"web\"; }\n"
			     "); } ); } );\n");
	struct sl_shards *s = shards_open();
	struct sl_slot_map none;
	struct sl_diag diag = {0};
	struct pushed p;

	sl_slot_map_init(&none);
	CU_ASSERT_EQUAL(sl_compile(c, &none, NULL, s, &diag, &p.map, &p.out), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, SL_ARRAY_CNT(want));
	for (unsigned i = 0; i < SL_ARRAY_CNT(want); i++) {
		bool there = false;
		for (unsigned j = 0; j < diag.cnt; j++)
			there |= strncmp(diag.items[j].text, route, strlen(route)) == 0 &&
				 strcmp(diag.items[j].text + strlen(route), want[i]) == 0 &&
				 diag.items[j].line > 5;
		if (!there)
			printf("\n  not told: %s", want[i]);
		CU_ASSERT(there);
	}
	for (unsigned j = 0; j < diag.cnt; j++)
		if (getenv("SL_SHOW"))
			printf("\n  %d: %s", diag.items[j].line, diag.items[j].text);
	sl_diag_fini(&diag);
	sl_conf_free(c);
	sl_shards_destroy(s);
}

static void
without_shards_a_regex_is_refused(void)
{
	struct sl_conf *c = regex_conf(0, 1);
	struct sl_slot_map none;
	struct sl_diag diag = {0};
	struct pushed p;

	sl_slot_map_init(&none);
	CU_ASSERT_EQUAL(sl_compile(c, &none, NULL, NULL, &diag, &p.map, &p.out), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, 1);
	sl_diag_fini(&diag);
	sl_conf_free(c);
}

/* ---- time ---- */

static double
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* Ten thousand routes of three kinds; `changed` of them go elsewhere. */
static struct sl_conf *
large_conf(unsigned changed)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	fprintf(f, HEAD "route_tables = ( { name = \"edge\"; hosts = ( { name = \"shop\"; match = "
			"( \"*\" ); "
			"routes = (\n");
	for (unsigned i = 0; i < 10000; i++)
		fprintf(f,
			"%s{ name = \"r%u\"; prefix = \"/svc/%u\"; headers = ( { name = "
			"\"x-tenant\"; %s = "
			"\"t%u%s\"; } ); service = \"%s\"; }\n",
			i ? ", " : "", i, i, i % 100 ? "exact" : "regex", i,
			i % 100 ? "" : "-[0-9]+", i < changed ? "old" : "web");
	fprintf(f, "); } ); } );\n");
	fclose(f);
	struct sl_conf *c = conf_of(text);
	free(text);
	return c;
}

/* Not a measurement: of processor time, and the bound is a hundred times what it takes. */
static void
ten_of_ten_thousand_routes_compile_in_little_time(void)
{
	struct sl_shards *s = shards_open();
	struct sl_conf *a = large_conf(0), *b = large_conf(10);
	struct pushed first = push_with(a, NULL, s);
	double start = now_ms();
	struct pushed second = push_with(b, &first, s);
	double took = now_ms() - start;

	if (getenv("SL_SHOW"))
		printf("\n  %.1f ms", took);
	CU_ASSERT(took < 1000);
	CU_ASSERT_EQUAL(compiled_cnt(s), 1);
	pushed_fini(&first);
	pushed_fini(&second);
	sl_conf_free(a);
	sl_conf_free(b);
	sl_shards_destroy(s);
}

/* No header has the name, but scans, their keys on disk and the checks take it for one. */
static void
identities_by_pattern_are_scanned_like_headers(void)
{
	struct sl_conf *c =
		conf_of(HEAD "route_tables = ( { name = \"edge\"; hosts = ( { name = \"shop\"; "
			     "match = ( \"*\" ); "
			     "routes = ( { name = \"a\"; service = \"web\"; identity = { regex = "
			     "\"spiffe://td/ns/[a-z]+/.*\"; }; }, { name = \"b\"; service = "
			     "\"web\"; identity = { "
			     "contains = \"/prod/\"; }; } ); } ); } );\n");
	struct sl_shards *s = shards_open();
	struct pushed p = push_with(c, NULL, s);
	const struct sl_img_vhost *v = vhost(p.out, "shop");
	struct sl_slot_map loaded;
	struct sl_diag diag = {0};
	char *text;
	size_t len;

	CU_ASSERT(checks_pass(p.out));
	CU_ASSERT(view_stands(p.out));
	CU_ASSERT_EQUAL_FATAL(v->scan_cnt, 1);
	CU_ASSERT_EQUAL(scans(v)[0].field, SL_FIELD_HEADER);
	CU_ASSERT_EQUAL(scans(v)[0].name.len, strlen(SL_IDENTITY_NAME));
	CU_ASSERT_EQUAL_FATAL(sl_slot_map_save(&p.map, &text, &len), 0);
	CU_ASSERT_EQUAL_FATAL(sl_slot_map_load(text, len, &diag, &loaded), 0);
	CU_ASSERT_EQUAL_FATAL(loaded.base_cnt, 1);
	CU_ASSERT_STRING_EQUAL(loaded.bases[0].scan, "edge/shop/header/%3Aidentity");
	sl_slot_map_fini(&loaded);
	sl_diag_fini(&diag);
	free(text);
	pushed_fini(&p);
	sl_conf_free(c);
	sl_shards_destroy(s);
}

SL_SUITE("compile_routes", SL_TEST(every_key_reaches_the_objects),
	 SL_TEST(conditions_and_texts_stand_once),
	 SL_TEST(the_order_of_tables_hosts_and_names_means_nothing),
	 SL_TEST(routes_keep_their_slots_and_others_their_objects),
	 SL_TEST(new_patterns_go_to_a_delta_and_the_base_stays),
	 SL_TEST(a_worker_finds_routes_by_base_and_delta),
	 SL_TEST(a_delta_over_its_limit_makes_the_base_anew),
	 SL_TEST(a_poor_base_is_wanted_anew_and_then_used), SL_TEST(dead_patterns_make_a_base_poor),
	 SL_TEST(other_shards_give_the_same_bytes),
	 SL_TEST(hosts_with_the_same_patterns_share_a_database),
	 SL_TEST(every_bad_regex_names_its_route), SL_TEST(without_shards_a_regex_is_refused),
	 SL_TEST(ten_of_ten_thousand_routes_compile_in_little_time),
	 SL_TEST(identities_by_pattern_are_scanned_like_headers))
