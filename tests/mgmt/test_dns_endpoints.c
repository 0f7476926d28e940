/* dns_endpoints — names, priorities, weights, order; what is left out. */
#include "mgmt/dns_endpoints.h"

#include "tests/suite.h"

static struct sl_dns_endpoints got;

static struct sl_addr
addr(const char *text)
{
	struct sl_addr a = {{0}};

	CU_ASSERT_FATAL(sl_addr_parse(text, &a) == 0);
	return a;
}

/* "name priority weight, …" */
static const char *
what(void)
{
	static char text[4000];
	size_t n = 0;

	text[0] = 0;
	for (uint32_t i = 0; i < got.cnt; i++)
		n += (size_t)sprintf(text + n, "%s%s %u %u", i ? ", " : "", got.list[i].name,
				     got.list[i].priority, got.list[i].weight);
	return text;
}

static void
from_addrs(const char *const *texts, uint32_t cnt, uint16_t port)
{
	struct sl_addr list[8];

	for (uint32_t i = 0; i < cnt; i++)
		list[i] = addr(texts[i]);
	sl_dns_endpoints_fini(&got);
	CU_ASSERT_FATAL(sl_dns_endpoints_addrs(list, cnt, port, &got) == 0);
}

static void
addresses_have_names_and_an_order(void)
{
	from_addrs((const char *[]){"192.0.2.2", "2001:db8::1", "192.0.2.1"}, 3, 80);
	CU_ASSERT_STRING_EQUAL(
		what(), "192.0.2.1-80 0 65535, 192.0.2.2-80 0 65535, 2001-db8--1-80 0 65535");
	CU_ASSERT(got.list[0].port == 0 && got.list[0].percent == 100 && got.left_out == 0);
	for (uint32_t i = 0; i < got.cnt; i++)
		CU_ASSERT(sl_name_ok(got.list[i].name));
}

static void
addresses_that_nobody_can_have_are_left_out(void)
{
	from_addrs((const char *[]){"127.0.0.1", "224.0.0.1", "0.0.0.0", "::1", "192.0.2.1"}, 5, 0);
	CU_ASSERT_STRING_EQUAL(what(), "192.0.2.1-0 0 65535");
	CU_ASSERT_EQUAL(got.left_out, 4);
	CU_ASSERT_STRING_EQUAL(got.note, "127.0.0.1 is no address that an endpoint can have");
}

/* ---- SRV ---- */

static struct sl_dns_srv
srv(uint16_t priority, uint16_t weight, uint16_t port, const char *target)
{
	struct sl_dns_srv s = {.priority = priority, .weight = weight, .port = port};

	snprintf(s.target, sizeof(s.target), "%s", target);
	return s;
}

/* a has 192.0.2.1, b .2 and 2001:db8::2, c .1 as well, d nothing */
static void
from_srvs(struct sl_dns_srv *srvs, uint32_t cnt)
{
	struct sl_addr list[] = {addr("192.0.2.1"), addr("192.0.2.2"), addr("2001:db8::2")};
	struct sl_dns_target targets[] = {{.host = "a", .addrs = list, .addr_cnt = 1},
					  {.host = "b", .addrs = list + 1, .addr_cnt = 2},
					  {.host = "c", .addrs = list, .addr_cnt = 1},
					  {.host = "d", .addrs = list, .addr_cnt = 0}};
	sl_dns_endpoints_fini(&got);
	CU_ASSERT_FATAL(sl_dns_endpoints_srv(srvs, cnt, targets, SL_ARRAY_CNT(targets), &got) == 0);
}
#define FROM(...)                                                                                  \
	from_srvs((struct sl_dns_srv[]){__VA_ARGS__},                                              \
		  sizeof((struct sl_dns_srv[]){__VA_ARGS__}) / sizeof(struct sl_dns_srv))

static void
priorities_become_dense(void)
{
	FROM(srv(20, 5, 81, "b"), srv(10, 7, 80, "a"), srv(65535, 1, 82, "c"));
	CU_ASSERT_STRING_EQUAL(what(), "a-192.0.2.1-80 0 7, b-192.0.2.2-81 1 5, "
				       "b-2001-db8--2-81 1 5, c-192.0.2.1-82 2 1");
	CU_ASSERT(got.list[0].port == 80 && got.list[3].port == 82);
	for (uint32_t i = 0; i < got.cnt; i++)
		CU_ASSERT(sl_name_ok(got.list[i].name));
}

static void
weights_keep_their_ratios(void)
{
	FROM(srv(1, 0, 1, "a"), srv(1, 0, 2, "a")); /* all 0 */
	CU_ASSERT_STRING_EQUAL(what(), "a-192.0.2.1-1 0 1, a-192.0.2.1-2 0 1");
	FROM(srv(1, 1, 1, "a"), srv(1, 256, 2, "a")); /* as they are */
	CU_ASSERT_STRING_EQUAL(what(), "a-192.0.2.1-1 0 1, a-192.0.2.1-2 0 256");
	FROM(srv(1, 60000, 1, "a"), srv(1, 30000, 2, "a"), srv(1, 1, 3, "a"));
	CU_ASSERT_STRING_EQUAL(what(),
			       "a-192.0.2.1-1 0 256, a-192.0.2.1-2 0 128, a-192.0.2.1-3 0 1");
	FROM(srv(1, 1, 1, "a"), srv(1, 0, 2, "a")); /* a very small chance */
	CU_ASSERT_STRING_EQUAL(what(), "a-192.0.2.1-1 0 256, a-192.0.2.1-2 0 1");
	FROM(srv(1, 10, 1, "a"), srv(2, 60000, 2, "a")); /* each priority by itself */
	CU_ASSERT_STRING_EQUAL(what(), "a-192.0.2.1-1 0 10, a-192.0.2.1-2 1 256");
}

static void
one_place_is_one_endpoint(void)
{
	FROM(srv(2, 1, 80, "a"), srv(1, 1, 80, "c"), srv(2, 1, 80, "a"));
	CU_ASSERT_STRING_EQUAL(what(), "c-192.0.2.1-80 0 1");
	CU_ASSERT_EQUAL(got.left_out, 2);
	CU_ASSERT_STRING_EQUAL(got.note, "a-192.0.2.1-80 is c-192.0.2.1-80, too");
}

static void
what_leads_nowhere_is_left_out(void)
{
	FROM(srv(1, 1, 80, "d"));
	CU_ASSERT(got.cnt == 0 && got.left_out == 1);
	CU_ASSERT_STRING_EQUAL(got.note, "d has no address");
	FROM(srv(1, 1, 0, "a"));
	CU_ASSERT_STRING_EQUAL(got.note, "a has no port");
	FROM(srv(0, 0, 0, ""));
	CU_ASSERT(got.cnt == 0 && got.left_out == 0);
	CU_ASSERT_STRING_EQUAL(got.note, "DNS says that there is no such service (target \".\")");
	struct sl_dns_srv nine[9];
	for (uint16_t i = 0; i < 9; i++)
		nine[i] = srv((uint16_t)(i + 100), 1, (uint16_t)(i + 1), "a");
	from_srvs(nine, 9);
	CU_ASSERT(got.cnt == 8 && got.left_out == 1);
	CU_ASSERT_STRING_EQUAL(got.note, "a has the priority 108, behind 8 others");
}

static void
the_order_of_records_means_nothing(void)
{
	struct sl_dns_srv list[] = {srv(1, 9, 80, "a"), srv(1, 300, 81, "b"), srv(4, 0, 80, "c"),
				    srv(1, 2, 80, "a"), srv(4, 7, 83, "b")};
	struct sl_dns_endpoints first;

	from_srvs(list, SL_ARRAY_CNT(list));
	CU_ASSERT_FATAL(sl_dns_endpoints_srv(NULL, 0, NULL, 0, &first) == 0);
	CU_ASSERT(!sl_dns_endpoints_same(&got, &first));
	sl_dns_endpoints_fini(&first);
	first = got;
	got = (struct sl_dns_endpoints){0};
	for (unsigned seed = 1; seed < 200; seed++) {
		for (size_t i = SL_ARRAY_CNT(list); i > 1; i--) {
			size_t k = (seed * 2654435761u >> (i * 3)) % i;
			struct sl_dns_srv other = list[k];
			list[k] = list[i - 1];
			list[i - 1] = other;
		}
		from_srvs(list, SL_ARRAY_CNT(list));
		CU_ASSERT(sl_dns_endpoints_same(&got, &first));
	}
	sl_dns_endpoints_fini(&first);
	sl_dns_endpoints_fini(&got);
}

SL_SUITE("dns_endpoints", SL_TEST(addresses_have_names_and_an_order),
	 SL_TEST(addresses_that_nobody_can_have_are_left_out), SL_TEST(priorities_become_dense),
	 SL_TEST(weights_keep_their_ratios), SL_TEST(one_place_is_one_endpoint),
	 SL_TEST(what_leads_nowhere_is_left_out), SL_TEST(the_order_of_records_means_nothing))
