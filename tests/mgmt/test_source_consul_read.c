/* source_consul_read — instances of a service as endpoints, and what is none. */
#include "mgmt/source_consul_read.h"

#include "mgmt/conf_value.h"
#include "tests/suite.h"

#include <errno.h>

static struct sl_source_answer a;
static char why[256];

static int
read_tagged(const char *text, const char *tag)
{
	size_t len = strlen(text);
	uint8_t *guarded = guard_buf(len);

	sl_source_answer_fini(&a);
	memcpy(guarded, text, len);
	int err =
		sl_source_consul_read((char *)guarded, len, "web", tag, 8080, &a, why, sizeof(why));
	guard_free(guarded, len);
	return err;
}

static int
read_text(const char *text)
{
	return read_tagged(text, "");
}

#define NODE "{\"Node\":\"n1\",\"Address\":\"192.0.2.1\",\"Datacenter\":\"dc1\"}"
#define WEB "\"Service\":\"web\",\"ID\":\"web\""
/* One instance: what is in Service behind the names, and the checks. */
#define ONE(service, checks)                                                                       \
	"[{\"Node\":" NODE ",\"Service\":{" WEB service "},\"Checks\":[" checks "]}]"
#define CHECK(id, status) "{\"CheckID\":\"" id "\",\"Status\":\"" status "\"}"

static void
an_instance_is_an_endpoint(void)
{
	CU_ASSERT_EQUAL_FATAL(read_text(ONE(",\"Address\":\"198.51.100.7\",\"Port\":80,"
					    "\"Meta\":{\"version\":\"v2\",\"canary\":\"\"},"
					    "\"Weights\":{\"Passing\":10,\"Warning\":1}",
					    CHECK("serfHealth", "passing"))),
			      0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
	const struct sl_source_endpoint *e = a.endpoints;
	char addr[SL_ADDR_STRLEN];
	CU_ASSERT_STRING_EQUAL(e->name, "n1");
	CU_ASSERT_STRING_EQUAL(sl_addr_format(&e->addr, addr), "198.51.100.7");
	CU_ASSERT(e->port == 80 && e->weight == 10 && e->percent == 100 && e->priority == 0);
	CU_ASSERT(!e->drain && !e->down);
	CU_ASSERT_STRING_EQUAL(e->locality, "dc1");
	CU_ASSERT_STRING_EQUAL(e->meta, "canary=,version=v2");
	CU_ASSERT(a.left_out == 0 && a.note[0] == 0);
}

static void
without_an_address_it_is_the_nodes_and_without_a_port_the_questions(void)
{
	char addr[SL_ADDR_STRLEN];

	CU_ASSERT_EQUAL_FATAL(read_text(ONE(",\"Address\":\"\",\"Port\":0", "")), 0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
	CU_ASSERT_STRING_EQUAL(sl_addr_format(&a.endpoints[0].addr, addr), "192.0.2.1");
	CU_ASSERT(a.endpoints[0].port == 8080 && a.endpoints[0].weight == UINT16_MAX);
}

static void
checks_say_its_state(void)
{
	static const struct {
		const char *checks;
		bool drain, down;
		uint8_t percent;
	} rows[] = {
		{CHECK("serfHealth", "passing"), false, false, 100},
		{CHECK("serfHealth", "critical"), false, true, 100},
		{CHECK("service:web", "warning"), false, false, 10},
		{CHECK("service:web", "warning") "," CHECK("x", "critical"), false, true, 10},
		{CHECK("_node_maintenance", "critical"), true, false, 100},
		{CHECK("_service_maintenance:web", "critical"), true, false, 100},
		{CHECK("_service_maintenance:web", "critical") "," CHECK("x", "critical"), true,
		 true, 100},
		{CHECK("_service_maintenance", "critical"), false, true, 100},
		{CHECK("_node_maintenance", "passing"), false, false, 100},
		{CHECK("x", "confused"), false, false, 100},
		{"5,null,[],{}", false, false, 100},
	};
	char text[1024];

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		snprintf(text, sizeof(text), "[{\"Node\":%s,\"Service\":{%s,%s},\"Checks\":[%s]}]",
			 NODE, WEB, "\"Weights\":{\"Passing\":10,\"Warning\":1}", rows[i].checks);
		CU_ASSERT_EQUAL_FATAL(read_text(text), 0);
		CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
		CU_ASSERT_EQUAL(a.endpoints[0].drain, rows[i].drain);
		CU_ASSERT_EQUAL(a.endpoints[0].down, rows[i].down);
		CU_ASSERT_EQUAL(a.endpoints[0].percent, rows[i].percent);
	}
	CU_ASSERT_PTR_NOT_NULL(strstr(a.note, "a check's status is \"\""));
}

/* IDs are distinct on a node, nodes within a datacenter. */
static void
names_are_of_node_and_id(void)
{
	CU_ASSERT_EQUAL_FATAL(
		read_text("[{\"Node\":{\"Node\":\"n2\",\"Address\":\"192.0.2.2\"},"
			  "\"Service\":{\"Service\":\"web\",\"ID\":\"web-1\"}},"
			  "{\"Node\":{\"Node\":\"n1\",\"Address\":\"192.0.2.1\"},"
			  "\"Service\":{\"Service\":\"web\",\"ID\":\"web-1\"}},"
			  "{\"Node\":{\"Node\":\"n1\",\"Address\":\"192.0.2.1\"},"
			  "\"Service\":{\"Service\":\"Web\",\"ID\":\"web\",\"Port\":81}},"
			  "{\"Node\":{\"Node\":\"n1\",\"Address\":\"192.0.2.1\"},"
			  "\"Service\":{\"Service\":\"web\",\"ID\":\"a b/ä\",\"Port\":82}}]"),
		0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 4);
	CU_ASSERT_STRING_EQUAL(a.endpoints[0].name, "n1");
	CU_ASSERT_EQUAL(strncmp(a.endpoints[1].name, "n1.a-b-", 7), 0);
	CU_ASSERT_STRING_EQUAL(a.endpoints[2].name, "n1.web-1");
	CU_ASSERT_STRING_EQUAL(a.endpoints[3].name, "n2.web-1");
	for (size_t i = 0; i < a.cnt; i++)
		CU_ASSERT(sl_name_ok(a.endpoints[i].name));
}

static void
what_cannot_be_used_is_left_out_and_named(void)
{
	static const struct {
		const char *text, *note;
	} rows[] = {
		{ONE(",\"Address\":\"web.example\"", ""), "is not an IPv4 or IPv6 address"},
		{ONE(",\"Address\":\"127.0.0.1\"", ""), "is not a unicast address"},
		{ONE(",\"Port\":65536", ""), "has a port that is not 0 to 65535"},
		{ONE(",\"Port\":\"80\"", ""), "has a port that is not 0 to 65535"},
		{ONE(",\"Port\":-1", ""), "has a port that is not 0 to 65535"},
		{ONE(",\"Weights\":{\"Passing\":-1}", ""), "Weights.Passing is not"},
		{ONE(",\"Weights\":{\"Passing\":1,\"Warning\":1.5}", ""), "Weights.Warning is not"},
		{"[{}]", "has no node or no service"},
		{"[[]]", "has no node or no service"},
		{"[null]", "has no node or no service"},
		{"[{\"Node\":{},\"Service\":{\"Service\":\"web\"}}]", "has no address"},
		{"[{\"Node\":" NODE ",\"Service\":{\"Service\":\"shop\"}}]",
		 "is of another service"},
		{"[{\"Node\":" NODE ",\"Service\":{" WEB "},\"Checks\":{}}]", "no list"},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		CU_ASSERT_EQUAL_FATAL(read_text(rows[i].text), 0);
		CU_ASSERT(a.cnt == 0 && a.left_out == 1 && sl_source_answer_useless(&a));
		if (!strstr(a.note, rows[i].note))
			printf("%s\n", a.note);
		CU_ASSERT_PTR_NOT_NULL(strstr(a.note, rows[i].note));
	}
	CU_ASSERT_EQUAL(read_text("[]"), 0);
	CU_ASSERT(a.cnt == 0 && !sl_source_answer_useless(&a));
}

static void
what_is_no_list_of_instances_is_trouble(void)
{
	static const char *const texts[] = {"",
					    "{}",
					    "null",
					    "5",
					    "\"[]\"",
					    "[",
					    "[{]",
					    "[]]",
					    "[1,",
					    "<html>",
					    "[{\"a\":1,\"a\":2}]",
					    "\xff[]"};

	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++) {
		why[0] = 0;
		CU_ASSERT_EQUAL(read_text(texts[i]), -EINVAL);
		CU_ASSERT(why[0] != 0 && a.cnt == 0 && !a.endpoints);
	}
}

static void
tags_choose(void)
{
	const char *text = "[{\"Node\":{\"Node\":\"a\",\"Address\":\"192.0.2.1\"},\"Service\":{"
			   "\"Service\":\"web\",\"Tags\":[\"v1\",5]}},"
			   "{\"Node\":{\"Node\":\"b\",\"Address\":\"192.0.2.2\"},\"Service\":{"
			   "\"Service\":\"web\",\"Tags\":[\"v1\",\"v2\"]}},"
			   "{\"Node\":{\"Node\":\"c\",\"Address\":\"192.0.2.3\"},\"Service\":{"
			   "\"Service\":\"web\",\"Tags\":null}}]";

	CU_ASSERT_EQUAL_FATAL(read_tagged(text, "v2"), 0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
	CU_ASSERT_STRING_EQUAL(a.endpoints[0].name, "b");
	CU_ASSERT(a.left_out == 0);
	CU_ASSERT(read_tagged(text, "v1") == 0 && a.cnt == 2);
	CU_ASSERT(read_tagged(text, "") == 0 && a.cnt == 3);
}

static void
weights_over_the_range_are_scaled_alike(void)
{
	CU_ASSERT_EQUAL_FATAL(
		read_text("[{\"Node\":{\"Node\":\"a\",\"Address\":\"192.0.2.1\"},\"Service\":{"
			  "\"Service\":\"web\",\"Weights\":{\"Passing\":1000}}},"
			  "{\"Node\":{\"Node\":\"b\",\"Address\":\"192.0.2.2\"},\"Service\":{"
			  "\"Service\":\"web\",\"Weights\":{\"Passing\":500}}},"
			  "{\"Node\":{\"Node\":\"c\",\"Address\":\"192.0.2.3\"},\"Service\":{"
			  "\"Service\":\"web\",\"Weights\":{\"Passing\":1}}},"
			  "{\"Node\":{\"Node\":\"d\",\"Address\":\"192.0.2.4\"},\"Service\":{"
			  "\"Service\":\"web\",\"Weights\":{\"Passing\":0,\"Warning\":0}}}]"),
		0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 4);
	CU_ASSERT(a.endpoints[0].weight == 256 && a.endpoints[1].weight == 128);
	CU_ASSERT(a.endpoints[2].weight == 1 && a.endpoints[3].weight == 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(a.note, "weights up to 1000 are scaled to 256"));
}

static void
the_same_place_is_taken_once_in_its_best_state(void)
{
	CU_ASSERT_EQUAL_FATAL(
		read_text("[{\"Node\":{\"Node\":\"a\",\"Address\":\"192.0.2.1\"},\"Service\":{"
			  "\"Service\":\"web\"},\"Checks\":[" CHECK(
				  "x", "critical") "]},"
						   "{\"Node\":{\"Node\":\"b\",\"Address\":\"192.0."
						   "2.1\"},\"Service\":{"
						   "\"Service\":\"web\",\"Port\":8080}}]"),
		0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
	CU_ASSERT(!a.endpoints[0].down && strcmp(a.endpoints[0].name, "b") == 0);
}

static void
localities_come_first_from_the_instance(void)
{
	static const struct {
		const char *node, *service, *locality;
	} rows[] = {
		{"", "", ""},
		{",\"Datacenter\":\"dc1\"", "", "dc1"},
		{",\"Datacenter\":\"d c\"", "", ""},
		{",\"Datacenter\":\"dc1\",\"Locality\":{\"Region\":\"eu\",\"Zone\":\"a\"}", "",
		 "eu/a"},
		{",\"Locality\":{\"Region\":\"eu\",\"Zone\":\"a\"}",
		 ",\"Locality\":{\"Region\":\"us\"}", "us"},
		{",\"Locality\":{\"Region\":\"eu\",\"Zone\":\"\"}", ",\"Locality\":null", "eu"},
		{",\"Locality\":{\"Region\":5,\"Zone\":\"a\"}", "", ""},
	};
	char text[1024];

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		snprintf(text, sizeof(text),
			 "[{\"Node\":{\"Node\":\"a\",\"Address\":\"192.0.2.1\"%s},"
			 "\"Service\":{\"Service\":\"web\"%s}}]",
			 rows[i].node, rows[i].service);
		CU_ASSERT(read_text(text) == 0 && a.cnt == 1);
		CU_ASSERT_STRING_EQUAL(a.endpoints[0].locality, rows[i].locality);
	}
}

static void
metadata_that_is_none_is_told(void)
{
	CU_ASSERT_EQUAL_FATAL(
		read_text(ONE(",\"Meta\":{\"ok\":\"1\",\"a b\":\"x\",\"k\":\"x,y\"}", "")), 0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
	CU_ASSERT_STRING_EQUAL(a.endpoints[0].meta, "ok=1");
	CU_ASSERT_PTR_NOT_NULL(strstr(a.note, "metadata \"a b\" has a character"));
}

static void
more_endpoints_than_a_service_has_are_left_out(void)
{
	enum { CNT = SL_MAX_SERVICE_ENDPOINTS + 10 };
	static char text[CNT * 120];
	size_t at = 0;

	for (unsigned i = 0; i < CNT; i++)
		at += (size_t)snprintf(
			text + at, sizeof(text) - at,
			"%c{\"Node\":{\"Node\":\"n%05u\",\"Address\":\"10.0.%u.%u\"},"
			"\"Service\":{\"Service\":\"web\"}}",
			i ? ',' : '[', i, i / 200, i % 200 + 1);
	text[at] = ']';
	CU_ASSERT_EQUAL(read_text(text), 0);
	CU_ASSERT(a.cnt == SL_MAX_SERVICE_ENDPOINTS && a.left_out == 10);
	CU_ASSERT_STRING_EQUAL(a.endpoints[a.cnt - 1].name, "n16383");
}

static void
the_order_of_instances_does_not_count(void)
{
#define A "{\"Node\":{\"Node\":\"a\",\"Address\":\"192.0.2.1\"},\"Service\":{\"Service\":\"web\"}}"
#define B "{\"Node\":{\"Node\":\"b\",\"Address\":\"192.0.2.2\"},\"Service\":{\"Service\":\"web\"}}"
#define C "{\"Node\":{\"Node\":\"a\",\"Address\":\"192.0.2.3\"},\"Service\":{\"Service\":\"web\"}}"
	CU_ASSERT(read_text("[" A "," B "," C "]") == 0 && a.cnt == 3);
	uint64_t first = sl_source_answer_hash(&a);
	CU_ASSERT(read_text("[" C "," A "," B "," A "]") == 0 && a.cnt == 3);
	CU_ASSERT_EQUAL(sl_source_answer_hash(&a), first);
	CU_ASSERT(read_text("[" C "," A "]") == 0 && a.cnt == 2);
	CU_ASSERT_NOT_EQUAL(sl_source_answer_hash(&a), first);
	CU_ASSERT_STRING_EQUAL(a.endpoints[0].name, "a"); /* the lower address */
	CU_ASSERT_EQUAL(strncmp(a.endpoints[1].name, "a-192.0.2.3-8080-", 17), 0);
}

static void
an_index_is_a_number_of_64_bits(void)
{
	uint64_t n = 7;

	CU_ASSERT(sl_source_consul_index("0", &n) == 0 && n == 0);
	CU_ASSERT(sl_source_consul_index("18446744073709551615", &n) == 0 && n == UINT64_MAX);
	n = 7;
	CU_ASSERT_EQUAL(sl_source_consul_index("18446744073709551616", &n), -1);
	CU_ASSERT_EQUAL(sl_source_consul_index("", &n), -1);
	CU_ASSERT_EQUAL(sl_source_consul_index("-1", &n), -1);
	CU_ASSERT_EQUAL(sl_source_consul_index("1 ", &n), -1);
	CU_ASSERT_EQUAL(n, 7);
	sl_source_answer_fini(&a);
}

SL_SUITE("source_consul_read", SL_TEST(an_instance_is_an_endpoint),
	 SL_TEST(without_an_address_it_is_the_nodes_and_without_a_port_the_questions),
	 SL_TEST(checks_say_its_state), SL_TEST(names_are_of_node_and_id),
	 SL_TEST(what_cannot_be_used_is_left_out_and_named),
	 SL_TEST(what_is_no_list_of_instances_is_trouble), SL_TEST(tags_choose),
	 SL_TEST(weights_over_the_range_are_scaled_alike),
	 SL_TEST(the_same_place_is_taken_once_in_its_best_state),
	 SL_TEST(localities_come_first_from_the_instance), SL_TEST(metadata_that_is_none_is_told),
	 SL_TEST(more_endpoints_than_a_service_has_are_left_out),
	 SL_TEST(the_order_of_instances_does_not_count), SL_TEST(an_index_is_a_number_of_64_bits))
