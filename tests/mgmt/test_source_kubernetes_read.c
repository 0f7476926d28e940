/* source_kubernetes_read — EndpointSlices, lists and events of them, and their union. */
#include "mgmt/source_kubernetes_read.h"

#include "mgmt/conf_value.h"
#include "tests/suite.h"

#include <errno.h>

static struct sl_slice_page page;
static struct sl_slice_event event;
static struct sl_source_answer a;
static char why[256];

static int
read_page(const char *text)
{
	size_t len = strlen(text);
	uint8_t *guarded = guard_buf(len);

	sl_slice_page_fini(&page);
	memcpy(guarded, text, len);
	int err = sl_source_kubernetes_page((char *)guarded, len, "eu", &page, why, sizeof(why));
	guard_free(guarded, len);
	return err;
}

static int
read_event(const char *text)
{
	sl_slice_event_fini(&event);
	return sl_source_kubernetes_event(text, strlen(text), "", &event, why, sizeof(why));
}

/* Items of a page → the union of all of them. */
static int
unite(const char *items, const char *port_name, uint16_t port)
{
	char *text = malloc(strlen(items) + 200);

	sl_source_answer_fini(&a);
	sprintf(text,
		"{\"kind\":\"EndpointSliceList\",\"apiVersion\":\"discovery.k8s.io/v1\","
		"\"metadata\":{\"resourceVersion\":\"7\"},\"items\":[%s]}",
		items);
	int err = read_page(text);
	free(text);
	for (size_t i = 0; !err && i < page.cnt; i++)
		page.slices[i]->next = i + 1 < page.cnt ? page.slices[i + 1] : NULL;
	return err ? err
		   : sl_source_kubernetes_union(page.cnt ? page.slices[0] : NULL, port_name, port,
						&a);
}

#define META(name)                                                                                 \
	"\"metadata\":{\"name\":\"" name                                                           \
	"\",\"labels\":{\"kubernetes.io/service-name\":\"web\"},\"resourceVersion\":\"3\"}"
#define PORTS "\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":8080}]"
#define SLICE(name, endpoints)                                                                     \
	"{" META(name) ",\"addressType\":\"IPv4\"," PORTS ",\"endpoints\":[" endpoints "]}"
#define POD(name, address, more)                                                                   \
	"{\"addresses\":[\"" address "\"],\"targetRef\":{\"kind\":\"Pod\",\"name\":\"" name        \
	"\"}" more "}"

static void
a_slice_makes_endpoints(void)
{
	char addr[SL_ADDR_STRLEN];

	CU_ASSERT_EQUAL_FATAL(
		unite(SLICE("web-1",
			    POD("web-abc", "10.1.0.5",
				",\"conditions\":{\"ready\":true,\"serving\":true,"
				"\"terminating\":false},\"zone\":\"a\",\"nodeName\":\"node-1\","
				"\"hints\":{\"forZones\":[{\"name\":\"a\"},{\"name\":\"b\"}]}")),
		      "", 0),
		0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
	const struct sl_source_endpoint *e = a.endpoints;
	CU_ASSERT_STRING_EQUAL(e->name, "web-abc");
	CU_ASSERT_STRING_EQUAL(sl_addr_format(&e->addr, addr), "10.1.0.5");
	CU_ASSERT(e->port == 8080 && e->weight == UINT16_MAX && e->percent == 100);
	CU_ASSERT(!e->drain && !e->down);
	CU_ASSERT_STRING_EQUAL(e->locality, "eu/a");
	CU_ASSERT_STRING_EQUAL(e->meta, "for-zones=a/b,node=node-1");
	CU_ASSERT_STRING_EQUAL(page.version, "7");
	CU_ASSERT_PTR_NULL(page.more);
	CU_ASSERT_STRING_EQUAL(page.slices[0]->service, "web");
}

static void
conditions_say_its_state(void)
{
	static const struct {
		const char *conditions;
		bool drain, down;
	} rows[] = {
		{"", false, false},
		{",\"conditions\":{}", false, false},
		{",\"conditions\":null", false, false},
		{",\"conditions\":{\"ready\":null}", false, false},
		{",\"conditions\":{\"ready\":true}", false, false},
		{",\"conditions\":{\"ready\":false}", false, true},
		{",\"conditions\":{\"ready\":false,\"serving\":false,\"terminating\":false}", false,
		 true},
		/* on its way out and still able */
		{",\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}", true,
		 false},
		{",\"conditions\":{\"ready\":false,\"serving\":false,\"terminating\":true}", true,
		 true},
		{",\"conditions\":{\"ready\":false,\"terminating\":true}", true, true},
		/* of a service that publishes addresses that are not ready */
		{",\"conditions\":{\"ready\":true,\"serving\":false,\"terminating\":false}", false,
		 false},
		{",\"conditions\":{\"ready\":true,\"serving\":true,\"terminating\":true}", true,
		 false},
		/* whoever manages it says not to use it */
		{",\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":false}", false,
		 true},
	};
	char text[1024];

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		snprintf(text, sizeof(text),
			 "{" META("s") ",\"addressType\":\"IPv4\"," PORTS
				       ",\"endpoints\":[{\"addresses\":[\"10.0.0.1\"]%s}]}",
			 rows[i].conditions);
		CU_ASSERT_EQUAL_FATAL(unite(text, "", 0), 0);
		CU_ASSERT_EQUAL_FATAL(a.cnt, 1);
		CU_ASSERT_EQUAL(a.endpoints[0].drain, rows[i].drain);
		CU_ASSERT_EQUAL(a.endpoints[0].down, rows[i].down);
	}
	CU_ASSERT_STRING_EQUAL(a.endpoints[0].name, "10.0.0.1-8080");
}

/* While the controller moves an endpoint it may stand in two slices, in one of them as it was. */
static void
slices_that_overlap_make_an_endpoint_once(void)
{
	CU_ASSERT_EQUAL_FATAL(
		unite(SLICE("s1", POD("a", "10.0.0.1", ",\"conditions\":{\"ready\":false}") "," POD(
					  "b", "10.0.0.2", "")) "," SLICE("s2",
									  POD("a", "10.0.0.1", "")),
		      "", 0),
		0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 2);
	CU_ASSERT(!a.endpoints[0].down && strcmp(a.endpoints[0].name, "a") == 0);
	CU_ASSERT(a.left_out == 0 && a.note[0] == 0);
}

/* A pod of a stateful set that came back under its name while the old one is still told. */
static void
of_two_with_one_name_the_one_that_serves_keeps_it(void)
{
	CU_ASSERT_EQUAL_FATAL(
		unite(SLICE("s1",
			    POD("db-0", "10.0.0.1",
				",\"conditions\":{\"terminating\":true}") "," POD("db-0",
										  "10.0.0.9", "")),
		      "", 0),
		0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 2);
	CU_ASSERT_STRING_EQUAL(a.endpoints[0].name, "db-0");
	CU_ASSERT(!a.endpoints[0].drain && a.endpoints[1].drain);
	CU_ASSERT_EQUAL(strncmp(a.endpoints[1].name, "db-0-10.0.0.1-8080-", 19), 0);
}

static void
both_families_of_a_pod_have_names(void)
{
	CU_ASSERT_EQUAL_FATAL(
		unite(SLICE("s4", POD("p", "10.0.0.1", "")) ",{" META(
			      "s6") ",\"addressType\":\"IPv6\"," PORTS
				    ",\"endpoints\":[" POD("p", "2001:db8::1", "") "]}",
		      "", 0),
		0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 2);
	CU_ASSERT_STRING_EQUAL(a.endpoints[0].name, "p");
	CU_ASSERT_STRING_EQUAL(a.endpoints[1].name, "p-ipv6");
}

#define TWO                                                                                        \
	"{" META("s") ",\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"http\",\"port\":80},"      \
		      "{\"name\":\"admin\",\"port\":9000}],\"endpoints\":[" POD("a", "10.0.0.1",   \
										"") "]}"
#define DNS                                                                                        \
	"{" META("s") ",\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"udp\",\"port\":53},"       \
		      "{\"name\":\"tcp\",\"port\":53}],\"endpoints\":[" POD("a", "10.0.0.1",       \
									    "") "]}"

static void
ports_are_chosen_by_name(void)
{
	static const struct {
		const char *slice, *port_name;
		uint16_t port;
		int chosen; /* -1: left out */
	} rows[] = {
		{TWO, "admin", 0, 9000},
		{TWO, "http", 7, 80},
		{TWO, "x", 0, -1},
		{TWO, "", 0, -1},
		{TWO, "", 9000, 9000},
		{TWO, "", 7, -1},
		{DNS, "", 0, 53},
		{DNS, "udp", 0, 53},
		{"{" META("s") ",\"addressType\":\"IPv4\",\"ports\":[],\"endpoints\":[" POD(
			 "a", "10.0.0.1", "") "]}",
		 "", 81, 81},
		{"{" META("s") ",\"addressType\":\"IPv4\",\"ports\":null,\"endpoints\":[" POD(
			 "a", "10.0.0.1", "") "]}",
		 "", 0, 0},
		{"{" META("s") ",\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"h\",\"port\":null}"
			       "],"
			       "\"endpoints\":[" POD("a", "10.0.0.1", "") "]}",
		 "h", 82, 82},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		CU_ASSERT_EQUAL_FATAL(unite(rows[i].slice, rows[i].port_name, rows[i].port), 0);
		CU_ASSERT_EQUAL(a.cnt, rows[i].chosen >= 0);
		CU_ASSERT_EQUAL(a.left_out, rows[i].chosen < 0);
		CU_ASSERT_EQUAL(sl_source_answer_useless(&a), rows[i].chosen < 0);
		if (a.cnt)
			CU_ASSERT_EQUAL(a.endpoints[0].port, rows[i].chosen);
	}
}

static void
endpoints_that_cannot_be_used_are_left_out_and_named(void)
{
	static const struct {
		const char *items, *note;
	} rows[] = {
		{SLICE("s", "{}"), "has no address"},
		{SLICE("s", "5"), "has no address"},
		{SLICE("s", "{\"addresses\":[]}"), "has no address"},
		{SLICE("s", "{\"addresses\":[5]}"), "has no address"},
		{SLICE("s", POD("a", "web.example", "")), "is not an IPv4 or IPv6 address"},
		{SLICE("s", POD("a", "2001:db8::1", "")), "another type than its slice"},
		{SLICE("s", POD("a", "127.0.0.1", "")), "is not a unicast address"},
		{SLICE("s", POD("a", "10.0.0.1", ",\"conditions\":{\"ready\":\"yes\"}")),
		 "neither true nor false"},
		{"{" META("s") ",\"addressType\":\"FQDN\",\"endpoints\":[" POD("a", "x.example",
									       "") "]}",
		 "addresses of type \"FQDN\""},
		{"{" META("s") ",\"endpoints\":[" POD("a", "10.0.0.1", "") "]}",
		 "addresses of type \"\""},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		CU_ASSERT_EQUAL_FATAL(unite(rows[i].items, "", 0), 0);
		CU_ASSERT(a.cnt == 0 && a.left_out == 1 && sl_source_answer_useless(&a));
		if (!strstr(a.note, rows[i].note))
			printf("%s\n", a.note);
		CU_ASSERT_PTR_NOT_NULL(strstr(a.note, rows[i].note));
	}
}

static void
hostile_names_become_names(void)
{
	char items[8192], long_name[300];

	memset(long_name, 'n', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = 0;
	snprintf(items, sizeof(items), "%s%s%s%s%s",
		 SLICE("s1", POD("../../etc", "10.0.0.1", ",\"zone\":\"a b\"")) ",",
		 SLICE("s2", POD("a\\u001b[2J", "10.0.0.2", ",\"nodeName\":\"n,m\"")) ",",
		 "{" META("s3") ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":["
				"\"10.0.0.3\"],\"targetRef\":{\"name\":\"",
		 long_name, "\"}}]}");
	CU_ASSERT_EQUAL_FATAL(unite(items, "", 80), 0);
	CU_ASSERT_EQUAL_FATAL(a.cnt, 3);
	for (size_t i = 0; i < a.cnt; i++) {
		CU_ASSERT(sl_name_ok(a.endpoints[i].name));
		CU_ASSERT_STRING_EQUAL(a.endpoints[i].meta, "");
		CU_ASSERT_PTR_NULL(strchr(a.endpoints[i].locality, ' '));
	}
}

static void
pages_lead_on(void)
{
	CU_ASSERT_EQUAL_FATAL(
		read_page("{\"kind\":\"EndpointSliceList\",\"apiVersion\":\"discovery.k8s.io/v1\","
			  "\"metadata\":{\"resourceVersion\":\"12\",\"continue\":\"a+b/=\"},"
			  "\"items\":null}"),
		0);
	CU_ASSERT_EQUAL(page.cnt, 0);
	CU_ASSERT_STRING_EQUAL(page.version, "12");
	CU_ASSERT_STRING_EQUAL(page.more, "a+b/=");
}

#define LIST(metadata, items)                                                                      \
	"{\"kind\":\"EndpointSliceList\",\"apiVersion\":\"discovery.k8s.io/"                       \
	"v1\",\"metadata\":{" metadata "},\"items\":" items "}"
#define VERSION "\"resourceVersion\":\"1\""

static void
what_is_no_list_is_trouble(void)
{
	static const char *const texts[] = {
		"",
		"[]",
		"{}",
		"null",
		"{\"kind\":\"Status\",\"code\":200}",
		"{\"kind\":\"EndpointSliceList\",\"apiVersion\":\"discovery.k8s.io/v1beta1\","
		"\"metadata\":{\"resourceVersion\":\"1\"},\"items\":[]}",
		LIST("", "[]"),
		LIST("\"resourceVersion\":\"\"", "[]"),
		LIST("\"resourceVersion\":7", "[]"),
		LIST(VERSION, "{}"),
		LIST(VERSION, "[{}]"),
		LIST(VERSION, "[5]"),
		LIST(VERSION, "[{\"metadata\":{\"name\":\"a\\nb\"}}]"),
		LIST(VERSION, "[{\"metadata\":{\"name\":\"a\"},\"ports\":[{\"port\":0}]}]"),
		LIST(VERSION, "[{\"metadata\":{\"name\":\"a\"},\"ports\":[{\"port\":65536}]}]"),
		LIST(VERSION, "[{\"metadata\":{\"name\":\"a\"},\"ports\":[{\"port\":\"80\"}]}]"),
		LIST(VERSION, "[]") "x",
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++) {
		why[0] = 0;
		CU_ASSERT_EQUAL(read_page(texts[i]), -EINVAL);
		CU_ASSERT(why[0] != 0 && page.cnt == 0 && !page.slices);
	}
}

#define OBJECT(name)                                                                               \
	"{\"kind\":\"EndpointSlice\"," META(name) ",\"addressType\":\"IPv4\"," PORTS               \
						  ",\"endpoints\":[" POD("a", "10.0.0.1", "") "]}"

static void
events_are_read(void)
{
	CU_ASSERT_EQUAL_FATAL(read_event("{\"type\":\"ADDED\",\"object\":" OBJECT("s") "}"), 0);
	CU_ASSERT(event.kind == SL_SLICE_PUT && event.slice->all.cnt == 1);
	CU_ASSERT_STRING_EQUAL(event.version, "3");
	CU_ASSERT_EQUAL_FATAL(read_event("{\"type\":\"MODIFIED\",\"object\":" OBJECT("s") "}"), 0);
	CU_ASSERT_EQUAL(event.kind, SL_SLICE_PUT);
	CU_ASSERT_EQUAL_FATAL(read_event("{\"type\":\"DELETED\",\"object\":" OBJECT("s") "}"), 0);
	CU_ASSERT(event.kind == SL_SLICE_DELETE && strcmp(event.slice->name, "s") == 0);
	CU_ASSERT_EQUAL_FATAL(read_event("{\"type\":\"BOOKMARK\",\"object\":{\"kind\":"
					 "\"EndpointSlice\",\"metadata\":{\"resourceVersion\":"
					 "\"99\"}}}"),
			      0);
	CU_ASSERT(event.kind == SL_SLICE_BOOKMARK && !event.slice);
	CU_ASSERT_STRING_EQUAL(event.version, "99");
}

static void
errors_are_read_in_both_forms(void)
{
	CU_ASSERT_EQUAL_FATAL(
		read_event("{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,"
			   "\"message\":\"too old\\u001b\"}}"),
		0);
	CU_ASSERT(event.kind == SL_SLICE_ERROR && event.code == 410);
	CU_ASSERT_STRING_EQUAL(event.text, "\"too old\\x1b\"");
	CU_ASSERT_EQUAL_FATAL(read_event("{\"kind\":\"Status\",\"code\":403,\"message\":\"no\"}"),
			      0);
	CU_ASSERT(event.kind == SL_SLICE_ERROR && event.code == 403);
	CU_ASSERT_EQUAL_FATAL(read_event("{\"type\":\"ERROR\",\"object\":5}"), 0);
	CU_ASSERT(event.kind == SL_SLICE_ERROR && event.code == 0);
}

static void
what_is_no_event_is_trouble(void)
{
	static const char *const texts[] = {
		"",
		"{}",
		"[]",
		"{\"type\":\"ADDED\"}",
		"{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\"}}",
		"{\"type\":\"SYNC\",\"object\":" OBJECT("s") "}",
		"{\"type\":\"ADDED\",\"object\":{\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":"
		"\"a\"}}}",
		"{\"type\":\"ADDED\",\"object\":" OBJECT("s"),
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(texts); i++) {
		why[0] = 0;
		CU_ASSERT_EQUAL(read_event(texts[i]), -EINVAL);
		CU_ASSERT(why[0] != 0 && !event.slice);
	}
	sl_slice_page_fini(&page);
	sl_source_answer_fini(&a);
}

SL_SUITE("source_kubernetes_read", SL_TEST(a_slice_makes_endpoints),
	 SL_TEST(conditions_say_its_state), SL_TEST(slices_that_overlap_make_an_endpoint_once),
	 SL_TEST(of_two_with_one_name_the_one_that_serves_keeps_it),
	 SL_TEST(both_families_of_a_pod_have_names), SL_TEST(ports_are_chosen_by_name),
	 SL_TEST(endpoints_that_cannot_be_used_are_left_out_and_named),
	 SL_TEST(hostile_names_become_names), SL_TEST(pages_lead_on),
	 SL_TEST(what_is_no_list_is_trouble), SL_TEST(events_are_read),
	 SL_TEST(errors_are_read_in_both_forms), SL_TEST(what_is_no_event_is_trouble))
