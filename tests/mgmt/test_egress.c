/* egress: the table below, and where it leads. */
#include "mgmt/egress.h"
#include "tests/suite.h"

static const char text[] =
	"gateway = { name = \"g\"; }; network = { addresses = ( "
	"{ port = \"front\"; address = \"192.0.2.2/24\"; }, { port = \"back\"; address = "
	"\"10.0.0.1/8\"; }, "
	"{ port = \"near\"; address = \"10.1.0.1/16\"; }, { port = \"six\"; address = "
	"\"2001:db8::2/64\"; } ); "
	"routes = ( { prefix = \"0.0.0.0/0\"; via = \"192.0.2.1\"; }, { prefix = "
	"\"198.51.100.0/24\"; via = "
	"\"10.1.0.9\"; }, { prefix = \"2001:db8:1::/48\"; via = \"2001:db8::1\"; } ); };";

static const struct {
	const char *to, *port; /* NULL: nothing leads there */
} rows[] = {
	{"192.0.2.77", "front"},  {"10.2.3.4", "back"},     {"10.1.3.4", "near"},
	{"203.0.113.9", "front"}, {"198.51.100.7", "near"}, {"198.51.101.7", "front"},
	{"2001:db8::77", "six"},  {"2001:db8:1::5", "six"}, {"2001:db8:2::5", NULL},
};

static void
addresses_leave_by_the_port_that_leads_there(void)
{
	struct sl_conf *c = NULL;

	CU_ASSERT_FATAL(sl_conf_parse("t", text, sizeof(text) - 1, NULL, &c) == 0);
	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_addr to;
		CU_ASSERT_FATAL(sl_addr_parse(rows[i].to, &to) == 0);
		const char *port = sl_egress_port(c, &to);
		if (rows[i].port ? !port || strcmp(port, rows[i].port) : port != NULL) {
			printf("%s: %s\n", rows[i].to, port ? port : "nothing");
			CU_FAIL("row");
		}
	}
	sl_conf_free(c);
}

SL_SUITE("egress", SL_TEST(addresses_leave_by_the_port_that_leads_there))
