/* Placement of workers on machines that are made up. */
#include "dataplane/placement.h"

#include "tests/suite.h"

/* One row per machine: a letter for each CPU says its core, and so its siblings; its node; whether it is isolated (i), usable (.) or
 * not to be used (x). */
struct row {
	const char *cores, *nodes, *kind;
	int main_cpu;
	const char *ports; /* a digit for each port's node, '-' for none */
	unsigned ask;
	const char *want; /* main: workers */
	const char *why;
};

static const struct row rows[] = {
	{"abcd", "0000", "....", -1, "0", 2, "0: 1 2", "the first that are free"},
	{"abcd", "0000", "....", 2, "0", 3, "2: 0 1 3", "main's is said"},
	{"abcd", "0000", "....", -1, "-", 3, "0: 1 2 3", "a port without a node"},
	{"ab", "00", "..", -1, "0", 2, "0: 1", "there is one core beside main's"},
	{"a", "0", ".", -1, "0", 1, "0:", "there is none"},
	{"", "", "", -1, "0", 1, "-1:", "nothing may be used"},
	{"abcdef", "000000", "..ii.i", -1, "0", 3, "0: 2 3 5", "isolated ones first"},
	{"abcdef", "000000", "..ii.i", -1, "0", 4, "0: 2 3 5 1", "then others"},
	{"abcd", "0000", "iiii", -1, "0", 2, "0: 1 2", "all are isolated: main takes one"},
	{"aabbccdd", "00000000", "........", -1, "0", 3, "0: 2 4 6", "siblings: one of a core"},
	{"aabbccdd", "00000000", "........", -1, "0", 4, "0: 2 4 6 1",
	 "main's sibling last: main has little to do"},
	{"aabbccdd", "00000000", "........", -1, "0", 5, "0: 2 4 6 1", "no two of one core"},
	{"abcdabcd", "00000000", "........", -1, "0", 3, "0: 1 2 3", "siblings far apart"},
	{"abcdabcd", "00000000", "....iiii", -1, "0", 3, "0: 5 6 7", "of a core the isolated one"},
	{"abcdefgh", "00001111", "........", -1, "1", 3, "4: 5 6 7", "the port's node"},
	{"abcdefgh", "00001111", "........", -1, "1", 5, "4: 5 6 7 0 1", "then the other"},
	{"abcdefgh", "00001111", ".ii...ii", 0, "1", 3, "0: 6 7 4",
	 "the port's node before isolation on another"},
	{"abcdefgh", "00001111", "........", -1, "011", 2, "4: 5 6", "the node of more ports"},
	{"abcdefgh", "01010101", "........", -1, "1", 3, "1: 3 5 7", "nodes in turn"},
	{"abcd", "0000", "x..x", -1, "0", 1, "1: 2", "some may not be used"},
};

static void
made_up_machines_get_what_they_should(void)
{
	for (unsigned r = 0; r < SL_ARRAY_CNT(rows); r++) {
		static struct sl_machine m;
		struct sl_placement p = {.worker_cnt = rows[r].ask, .main_cpu = rows[r].main_cpu};
		int nodes[8];
		char got[256];
		m = (struct sl_machine){.cpu_cnt = (unsigned)strlen(rows[r].cores), .node_cnt = 2};
		for (unsigned i = 0; i < m.cpu_cnt; i++) {
			const char *first = strchr(rows[r].cores, rows[r].cores[i]);
			m.cpu[i].core = (int16_t)(first - rows[r].cores);
			m.cpu[i].node = (int16_t)(rows[r].nodes[i] - '0');
			m.cpu[i].isolated = rows[r].kind[i] == 'i';
			m.cpu[i].usable = rows[r].kind[i] != 'x';
		}
		p.port_cnt = (unsigned)strlen(rows[r].ports);
		for (unsigned i = 0; i < p.port_cnt; i++)
			nodes[i] = rows[r].ports[i] == '-' ? -1 : rows[r].ports[i] - '0';
		p.port_nodes = nodes;
		unsigned n = sl_placement_choose(&m, &p);
		int at = snprintf(got, sizeof(got), "%d:", p.main_cpu);
		for (unsigned i = 0; i < n; i++)
			at += snprintf(got + at, sizeof(got) - (size_t)at, " %d", p.workers[i]);
		if (strcmp(got, rows[r].want)) {
			printf("  row %u \"%s\": ", r, rows[r].why);
			fputs(got, stdout);
			printf(" in place of %s\n", rows[r].want);
		}
		CU_ASSERT_STRING_EQUAL(got, rows[r].want);
	}
}

static void
lists_of_cpus_are_read(void)
{
	static const struct {
		const char *text;
		bool ok;
		const char *want;
	} lists[] = {
		{"", true, "00000000"},      {"\n", true, "00000000"},
		{"0", true, "10000000"},     {"0-3,6\n", true, "11110010"},
		{"1,3-4", true, "01011000"}, {"7", true, "00000001"},
		{"3-1", false, NULL},        {"a", false, NULL},
		{"1-", false, NULL},         {"1 2", false, NULL},
		{"4000", false, NULL},       {"0-4294967299", false, NULL},
	};

	for (unsigned i = 0; i < SL_ARRAY_CNT(lists); i++) {
		bool flags[SL_MACHINE_CPUS] = {false};
		CU_ASSERT_EQUAL(sl_machine_list(lists[i].text, flags), lists[i].ok);
		for (unsigned k = 0; lists[i].ok && k < 8; k++)
			CU_ASSERT_EQUAL(flags[k], lists[i].want[k] == '1');
	}
}

static void
this_machine_has_a_cpu(void)
{
	static struct sl_machine m;
	unsigned usable = 0;

	sl_machine_read(&m);
	for (unsigned i = 0; i < m.cpu_cnt; i++)
		usable += m.cpu[i].usable;
	CU_ASSERT(usable > 0 && m.node_cnt > 0);
}

SL_SUITE("placement", SL_TEST(made_up_machines_get_what_they_should),
	 SL_TEST(lists_of_cpus_are_read), SL_TEST(this_machine_has_a_cpu))
