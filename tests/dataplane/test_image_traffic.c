/* CORS, faults, hedging and cookies of splits in a virtual host: what passes, each mistake, and how they are printed. */
#include "dataplane/image_check.h"
#include "tests/l7/route_image.h"
#include "tests/suite.h"

#include <stdlib.h>

static const struct sl_test_cors cors = {
	.origins = (const char *const[]){"https://a", "https://*.b", NULL},
	.methods = "GET",
	.headers = "x-a",
	.expose = "x-b",
	.max_age_s = 60,
	.credentials = true,
};
static const struct sl_img_fault fault = {.delay_ppm = 5, .delay_ms = 200, .counter = 7};
static const struct sl_test_policy policy = {.cors = &cors,
					     .fault = &fault,
					     .hedge_ms = 50,
					     .hedge_max = 2,
					     .sticky_cookie = "sid",
					     .sticky_ttl_s = 9};
static const struct sl_test_http_route routes[] = {{.policy = &policy}};

struct object {
	struct sl_test_vhost_image v;
	struct sl_img_policy *p;
	struct sl_img_cors *c;
	struct sl_img_fault *f;
	char *strs;
};

static struct object
object(void)
{
	struct object o;

	sl_test_vhost_build(&(struct sl_test_vhost){.routes = routes, .route_cnt = 1}, &o.v);
	char *at = (char *)o.v.img;
	o.p = (void *)(at + o.v.img->policy_off);
	o.c = (void *)(at + o.v.img->cors_off);
	o.f = (void *)(at + o.v.img->fault_off);
	o.strs = at + o.v.img->str_off;
	return o;
}

/* Reasons joined, "" when it is good. */
static const char *
check(const struct object *o)
{
	static char text[4096];
	struct sl_diag diag = {0};

	text[0] = 0;
	sl_image_check(o->v.img, o->v.img->head.size, SL_OBJ_VHOST, NULL, "o", &diag);
	for (unsigned i = 0; i < diag.cnt; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s: %s\n",
			 diag.items[i].path ? diag.items[i].path : "", diag.items[i].text);
	sl_diag_fini(&diag);
	return text;
}

static void
a_good_one_passes(void)
{
	struct object o = object();

	CU_ASSERT_STRING_EQUAL(check(&o), "");
	sl_test_vhost_free(&o.v);
}

#define WITH(change, want)                                                                         \
	do {                                                                                       \
		struct object o = object();                                                        \
		change;                                                                            \
		if (!strstr(check(&o), want))                                                      \
			printf("\nline %d: %s", __LINE__, check(&o));                              \
		CU_ASSERT_PTR_NOT_NULL(strstr(check(&o), want));                                   \
		sl_test_vhost_free(&o.v);                                                          \
	} while (0)

static void
what_is_out_of_range_is_told(void)
{
	WITH(o.p->cors = 2, "policies[0].cors: is 2");
	WITH(o.p->fault = 2, "policies[0].fault: is 2");
	WITH(o.p->hedge_ms = 0, "policies[0].hedge_max: is 2");
	WITH(o.p->hedge_ms = 604800001, "policies[0].hedge_ms: is 604800001");
	WITH(o.p->hedge_max = 8, "policies[0].hedge_max: is 8");
	WITH(o.p->hedge_max = 0, "policies[0].hedge_max: is 0");
	WITH(o.p->zero = 1, "policies[0].zero");
	WITH(o.strs[o.p->sticky_cookie.off] = ';', "policies[0].sticky_cookie");
	WITH(o.p->sticky_cookie.len = 1 << 20, "policies[0].sticky_cookie");
	WITH(o.f->delay_ppm = 1000001, "faults[0].delay_ppm: is 1000001");
	WITH(o.f->delay_ms = 3600001, "faults[0].delay_ms: is 3600001");
	WITH(o.f->abort_ppm = 1000001, "faults[0].abort_ppm: is 1000001");
	WITH(o.f->abort_status = 199, "faults[0].abort_status: is 199");
	WITH(o.f->abort_status = 600, "faults[0].abort_status: is 600");
	WITH(o.f->by_header = 2, "faults[0].by_header: is 2");
	WITH(o.f->zero = 1, "faults[0].zero");
	WITH(o.f->counter = SL_FAULT_COUNTERS, "faults[0].counter");
	WITH(o.c->credentials = 2, "cors[0].credentials: is 2");
	WITH(o.c->origins.len--, "cors[0].origins: does not end with a NUL");
	WITH(o.c->origins.len = 0, "cors[0].origins");
	WITH(o.strs[o.c->methods.off] = '\n', "cors[0].methods");
	WITH(o.strs[o.c->headers.off] = '\r', "cors[0].headers");
	WITH(o.strs[o.c->expose.off] = 1, "cors[0].expose");
	WITH(o.c->expose.off = UINT32_MAX, "cors[0].expose");
	WITH(o.v.img->cors_cnt = 1 << 30, "cors");
	WITH(o.v.img->fault_off = UINT32_MAX - 7, "faults");
}

static void
all_of_it_is_printed(void)
{
	static const char *const lines[] = {
		"traffic of policy 0 cors 0 fault 0 hedge_ms 50 max 2 sticky_cookie \"sid\" ttl_s "
		"9\n",
		"  [0] origins https://a https://*.b methods \"GET\" headers \"x-a\" expose "
		"\"x-b\" "
		"max_age_s 60 credentials\n",
		"  [0] delay_ms 200 per_million 5 max_active 0 counter 7\n",
	};
	struct object o = object();
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	sl_image_dump(o.v.img, o.v.img->head.size, f);
	fclose(f);
	for (unsigned i = 0; i < SL_ARRAY_CNT(lines); i++) {
		if (!strstr(text, lines[i]))
			printf("\nno %sin\n%s", lines[i], text);
		CU_ASSERT_PTR_NOT_NULL(strstr(text, lines[i]));
	}
	free(text);
	sl_test_vhost_free(&o.v);
}

SL_SUITE("image_traffic", SL_TEST(a_good_one_passes), SL_TEST(what_is_out_of_range_is_told),
	 SL_TEST(all_of_it_is_printed))
