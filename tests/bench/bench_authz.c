/* Time to judge a request by a set of 10 and of 1,000 rules: by the first, by the last, by none.  One JSON object a line:
 *
 *   authz.<rules>.<number>.<request>   ns to judge, median of the slices
 *   authz.growth                       worst of: ns with 1,000 rules ÷ ns with 10
 *   authz.own                          ns to make what rules are asked with (addresses, identity, the path otherwise read)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/view.h"
#include "mgmt/compile.h"

#define RULES_MAX 1000
#define SLICES 101
#define SLICE 1000

static const uint32_t sizes[] = {10, RULES_MAX};

/* A rule, and who asks so that rule i decides. */
struct kind {
	const char *name, *rule; /* of number i */
	const char *target;      /* likewise, as the next; NULL: "/api/v1/list" */
	const char *identity, *source, *header;
};

static const struct kind kinds[] = {
	{.name = "identity",
	 .rule = "action = \"allow\"; identities = ( \"spiffe://td/ns/prod/sa/s%u\" );",
	 .identity = "spiffe://td/ns/prod/sa/s%u"},
	{.name = "identity_path",
	 .rule = "action = \"allow\"; identities = ( \"spiffe://td/ns/n%u/*\" ); paths = ( "
		 "\"/api/*\" ); methods = ( \"GET\" );",
	 .identity = "spiffe://td/ns/n%u/sa/web"},
	{.name = "deny_path",
	 .rule = "action = \"deny\"; paths = ( \"/svc%u/*\" );",
	 .target = "/svc%u/x"},
	{.name = "address",
	 .rule = "action = \"allow\"; addresses = ( \"10.%u.0/24\" );",
	 .source = "10.%u.7"},
	{.name = "header",
	 .rule = "action = \"deny\"; headers = ( { name = \"x-tenant\"; exact = \"t%u\"; } );",
	 .header = "x-tenant: t%u\r\n"},
	{.name = "mix",
	 .rule = "action = \"allow\"; namespaces = ( \"n%u\" ); hosts = ( \"*.example\" ); paths = "
		 "( \"/api/*\", \"/v2/*\" ); not_addresses = ( \"192.168.0.0/16\" );",
	 .identity = "spiffe://td/ns/n%u/sa/web"},
};

static void
die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

static void
put_one(char *to, size_t size, const char *format, unsigned i)
{
	bool dotted = strstr(format, "10.%u") != NULL;
	char number[24];

	const char *at = strstr(format, "%u");

	snprintf(number, sizeof(number), dotted ? "%u.%u" : "%u", dotted ? i / 250 : i, i % 250);
	if (at)
		snprintf(to, size, "%.*s%s%s", (int)(at - format), format, number, at + 2);
	else
		snprintf(to, size, "%s", format);
}

static struct sl_view *
view_of(const struct kind *k, uint32_t cnt, struct sl_compiled **ret_out)
{
	static const struct sl_view_ports ports = {.worker_cnt = 1};
	static char text[1 << 20], rule[512];
	struct sl_diag diag = {0};
	struct sl_conf *c;
	struct sl_slot_map none, map;
	struct sl_view *view;
	size_t n = (size_t)sprintf(
		text, "gateway = { name = \"t\"; }; authorization = ( { name = \"s\"; rules = ( ");

	for (uint32_t i = 0; i < cnt; i++) {
		put_one(rule, sizeof(rule), k->rule, i);
		n += (size_t)sprintf(text + n, "%s{ name = \"r%u\"; %s }\n", i ? ", " : "", i,
				     rule);
	}
	strcpy(text + n, " ); } );");
	if (sl_conf_parse("t", text, strlen(text), &diag, &c))
		die(diag.cnt ? diag.items[0].text : "parse");
	sl_slot_map_init(&none);
	if (sl_compile(c, &none, NULL, NULL, &diag, &map, ret_out))
		die("compile");
	struct sl_object root = {(*ret_out)->root.bytes, (*ret_out)->root.size, NULL};
	struct sl_object objs[8] = {0};
	for (uint32_t i = 0; i < (*ret_out)->cnt; i++)
		objs[i] = (struct sl_object){(*ret_out)->objs[i].bytes, (*ret_out)->objs[i].size,
					     NULL};
	if (sl_view_create(&root, &(*ret_out)->root.id, 1, objs, (*ret_out)->cnt, &ports, &diag,
			   &view))
		die(diag.cnt ? diag.items[0].text : "view");
	sl_conf_free(c);
	sl_slot_map_fini(&map);
	return view;
}

struct asking {
	char head[512], identity[128], source[64];
	struct sl_http_head h;
	struct sl_addr addr;
	struct sl_authz_own own;
	struct sl_match_input in;
};

static void
own(struct asking *a)
{
	const struct sl_authz_who who = {
		.source = &a->addr,
		.remote = &a->addr,
		.identity = {(const uint8_t *)a->identity, (uint32_t)strlen(a->identity)},
		.host = {a->h.bytes + a->h.host, a->h.host_len},
		.port = 443,
	};

	sl_authz_own(&who, &a->own);
}

/* i UINT32_MAX: whom no rule knows. */
static void
asking_of(const struct kind *k, uint32_t i, struct asking *a)
{
	static const struct sl_http_limits limits = {SL_HTTP_HEAD_MAX, SL_HTTP_HEADERS_MAX};
	unsigned number = i == UINT32_MAX ? 70000 : i;
	char target[128], header[128];
	enum sl_http_bad why;

	put_one(target, sizeof(target), k->target ? k->target : "/api/v1/list", number);
	put_one(header, sizeof(header), k->header ? k->header : "x-tenant: none\r\n", number);
	put_one(a->identity, sizeof(a->identity),
		k->identity ? k->identity : "spiffe://td/ns/x/sa/y", number);
	put_one(a->source, sizeof(a->source),
		k->source && i != UINT32_MAX ? k->source : "198.51.100.7", number);
	int n = snprintf(a->head, sizeof(a->head),
			 "GET %s HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; "
			 "Linux x86_64)\r\n"
			 "Accept: text/html,application/xhtml+xml\r\nAccept-Language: "
			 "en\r\nCookie: a=b; c=d\r\n%s\r\n",
			 target, header);
	if (sl_http_request((const uint8_t *)a->head, (uint32_t)n, 0, &limits, &a->h, &why) <= 0)
		die("head");
	if (sl_addr_parse(a->source, &a->addr))
		die(a->source);
	own(a);
	a->in = (struct sl_match_input){
		.head = &a->h,
		.path = a->h.bytes + a->h.path,
		.path_len = a->h.path_len,
		.identity = (const uint8_t *)a->identity,
		.identity_len = (uint32_t)strlen(a->identity),
		.own = a->own.own,
		.own_cnt = a->own.cnt,
	};
}

static uint64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double
judge_ns(const struct sl_view *v, const struct asking *a, uint32_t want)
{
	static uint8_t buf[512];
	double ns[SLICES];
	struct sl_authz_verdict got;

	for (unsigned s = 0; s < SLICES; s++) {
		uint64_t from = now_ns();
		for (unsigned i = 0; i < SLICE; i++)
			sl_authz_judge(&v->authz[0], &a->in,
				       sl_authz_loose(a->in.path, a->in.path_len, buf),
				       &v->scratch[0], &got);
		ns[s] = (double)(now_ns() - from) / SLICE;
	}
	if (want != UINT32_MAX && got.rule == SL_MATCH_NONE)
		die("another rule decided");
	qsort(ns, SLICES, sizeof(*ns), by_value);
	return ns[SLICES / 2];
}

static double
own_ns(struct asking *a)
{
	uint64_t from = now_ns();

	for (unsigned i = 0; i < 1000000; i++) {
		own(a);
		__asm__ volatile("" : : "r"(a) : "memory");
	}
	return (double)(now_ns() - from) / 1000000;
}

int
main(void)
{
	static const char *const names[] = {"first", "last", "none"};
	struct asking a;
	double worst = 0;

	for (unsigned k = 0; k < SL_ARRAY_CNT(kinds); k++) {
		double small[3];
		for (unsigned s = 0; s < SL_ARRAY_CNT(sizes); s++) {
			struct sl_compiled *out;
			struct sl_view *v = view_of(&kinds[k], sizes[s], &out);
			for (unsigned q = 0; q < 3; q++) {
				uint32_t i = q == 0 ? 0 : q == 1 ? sizes[s] - 1 : UINT32_MAX;
				asking_of(&kinds[k], i, &a);
				double ns = judge_ns(v, &a, i);
				printf("{\"name\": \"authz.%s.%u.%s\", \"value\": %.1f, \"unit\": "
				       "\"ns\"}\n",
				       kinds[k].name, sizes[s], names[q], ns);
				if (s == 0)
					small[q] = ns;
				else
					worst = SL_MAX(worst, ns / small[q]);
			}
			sl_view_destroy(v);
			sl_compiled_free(out);
		}
	}
	printf("{\"name\": \"authz.own\", \"value\": %.1f, \"unit\": \"ns\"}\n", own_ns(&a));
	printf("{\"name\": \"authz.growth\", \"value\": %.2f, \"unit\": \"x\"}\n", worst);
	return 0;
}
