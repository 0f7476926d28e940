/* The boot file: every mistake is told with line, key and what to do, all of them at once. */
#include "dataplane/boot_show.h"
#include "tests/suite.h"

#include <errno.h>

static int
parse(const char *text, struct sl_diag *diag, struct sl_boot *boot)
{
	return sl_boot_parse("boot.conf", text, strlen(text), diag, boot);
}

#define PORTS "ports = ( { name = \"front\"; device = \"veth0\"; } );\n"
#define LEAST "workers = [ 1 ];\n" PORTS

static void
least_file_has_the_documented_defaults(void)
{
	struct sl_diag diag = {0};
	struct sl_boot b = {0};

	CU_ASSERT_EQUAL_FATAL(parse(LEAST, &diag, &b), 0);
	CU_ASSERT_STRING_EQUAL(b.control, "/run/sluice/dataplane.sock");
	CU_ASSERT_STRING_EQUAL(b.daemon_user, "root");
	CU_ASSERT_EQUAL(b.worker_cnt, 1);
	CU_ASSERT_EQUAL(b.workers[0], 1);
	CU_ASSERT_EQUAL(b.main_cpu, -1);
	CU_ASSERT_EQUAL(b.hugepages, SL_HUGE_AUTO);
	CU_ASSERT_EQUAL(b.size_mb, 512);
	CU_ASSERT_EQUAL(b.buffers, 16384);
	CU_ASSERT_EQUAL(b.mbuf_data, 2048);
	CU_ASSERT_EQUAL(b.flows, 1048576);
	CU_ASSERT_EQUAL(b.tcp_streams, 65536);
	CU_ASSERT_EQUAL(b.tcp_timewait, 65536);
	CU_ASSERT_EQUAL(b.http_requests, 16384);
	CU_ASSERT_EQUAL(b.http_pool, 16384);
	CU_ASSERT_EQUAL(b.http_head_mb, 16);
	CU_ASSERT_EQUAL(b.tcp_memory_mb, 64);
	CU_ASSERT_EQUAL(b.tcp_receive_max, 1048576);
	CU_ASSERT_EQUAL(b.tcp_send_max, 1048576);
	CU_ASSERT_EQUAL(b.tls_sessions, 65536);
	CU_ASSERT_EQUAL(b.tls_handshakes, 2048);
	CU_ASSERT_EQUAL(b.tls_threads, 1);
	CU_ASSERT_EQUAL(b.tls_cpu_cnt, 0);
	CU_ASSERT_EQUAL(b.tls_budget_us, 500);
	CU_ASSERT_EQUAL(b.tls_memory_mb, 192);
	CU_ASSERT_EQUAL(b.tls_records, SL_RECORDS_IPSEC_MB);
	CU_ASSERT_FALSE(b.tls_core_dumps);
	CU_ASSERT_STRING_EQUAL(b.tls_key_log, "");
	CU_ASSERT_EQUAL(b.tls_line, 0);
	CU_ASSERT_EQUAL(b.events_kb, 4096);
	CU_ASSERT_EQUAL(b.limits_mb, 16);
	CU_ASSERT_EQUAL(b.power, SL_POWER_POLL);
	CU_ASSERT_FALSE(b.has_rss_key);
	CU_ASSERT_EQUAL(b.port_cnt, 1);
	CU_ASSERT_STRING_EQUAL(b.ports[0].name, "front");
	CU_ASSERT_EQUAL(b.ports[0].driver, SL_DRIVER_AUTO);
	CU_ASSERT_EQUAL(b.ports[0].line, 2);
	sl_boot_fini(&b);
}

static void
every_key_arrives(void)
{
	struct sl_diag diag = {0};
	struct sl_boot b = {0};
	const char *text =
		"control = \"/tmp/x.sock\"; daemon_user = \"sluice\"; # 4294967296 in a comment\n"
		"workers = [ 0, 0, 1 ]; main_cpu = 1;\n"
		"memory = { hugepages = \"never\"; size_mb = 128; };\n"
		"buffers = 4096; mbuf_data = 9216; flows = 0x1000; power = \"adaptive\";\n"
		"events_kb = 8; limits_mb = 5;"
		"tls = { sessions = 32; handshakes = 5; threads = 2; cpus = [ 6, 0 ]; budget_us = "
		"77; memory_mb = 99; records = \"openssl\"; core_dumps = true; };"
		"http = { requests = 500; pool = 600; head_mb = 7; }; "
		"tcp = { streams = 1000; timewait = 2000; memory_mb = 3; receive_max = 4096; "
		"send_max = 5000; };\n"
		"rss_key = \"000102030405060708090A0B0c0d0e0f"
		"000102030405060708090a0b0c0d0e0f0001020304050607\";\n"
		"ports = ( { name = \"a\"; device = \"net_pcap0\"; driver = \"vdev\";\n"
		"  args = \"rx_pcap=/x@9999999999.pcap,infinite_rx=1\"; mac = "
		"\"02:00:00:00:0a:Ff\";\n"
		"  mtu = 9000; queues = 3; rss = \"assume\"; },\n"
		"  { name = \"b\"; device = \"0000:00:04.0\"; driver = \"pci\"; } );\n";

	CU_ASSERT_EQUAL_FATAL(parse(text, &diag, &b), 0);
	CU_ASSERT_STRING_EQUAL(b.control, "/tmp/x.sock");
	CU_ASSERT_STRING_EQUAL(b.daemon_user, "sluice");
	CU_ASSERT_EQUAL(b.worker_cnt, 3);
	CU_ASSERT_EQUAL(b.workers[2], 1);
	CU_ASSERT_EQUAL(b.main_cpu, 1);
	CU_ASSERT_EQUAL(b.main_line, 2);
	CU_ASSERT_EQUAL(b.hugepages, SL_HUGE_NEVER);
	CU_ASSERT_EQUAL(b.size_mb, 128);
	CU_ASSERT_EQUAL(b.flows, 4096);
	CU_ASSERT_EQUAL(b.tcp_streams, 1000);
	CU_ASSERT_EQUAL(b.tcp_timewait, 2000);
	CU_ASSERT_EQUAL(b.http_requests, 500);
	CU_ASSERT_EQUAL(b.http_pool, 600);
	CU_ASSERT_EQUAL(b.http_head_mb, 7);
	CU_ASSERT_EQUAL(b.tcp_memory_mb, 3);
	CU_ASSERT_EQUAL(b.tcp_receive_max, 4096);
	CU_ASSERT_EQUAL(b.tcp_send_max, 5000);
	CU_ASSERT_EQUAL(b.tls_sessions, 32);
	CU_ASSERT_EQUAL(b.tls_handshakes, 5);
	CU_ASSERT_EQUAL(b.tls_threads, 2);
	CU_ASSERT_TRUE(b.tls_cpu_cnt == 2 && b.tls_cpus[0] == 6 && b.tls_cpus[1] == 0);
	CU_ASSERT_EQUAL(b.tls_budget_us, 77);
	CU_ASSERT_EQUAL(b.tls_memory_mb, 99);
	CU_ASSERT_EQUAL(b.tls_records, SL_RECORDS_OPENSSL);
	CU_ASSERT_TRUE(b.tls_core_dumps);
	CU_ASSERT_EQUAL(b.tls_line, 5);
	CU_ASSERT_EQUAL(b.events_kb, 8);
	CU_ASSERT_EQUAL(b.limits_mb, 5);
	CU_ASSERT_EQUAL(b.power, SL_POWER_ADAPTIVE);
	CU_ASSERT_TRUE(b.has_rss_key);
	CU_ASSERT_EQUAL(b.rss_key[11], 11);
	CU_ASSERT_EQUAL(b.rss_key[39], 7);
	CU_ASSERT_EQUAL(b.ports[0].driver, SL_DRIVER_VDEV);
	CU_ASSERT_STRING_EQUAL(b.ports[0].args, "rx_pcap=/x@9999999999.pcap,infinite_rx=1");
	CU_ASSERT_EQUAL(b.ports[0].mac[5], 0xff);
	CU_ASSERT_EQUAL(b.ports[0].queues, 3);
	CU_ASSERT_EQUAL(b.ports[0].rss, SL_RSS_ASSUME);
	CU_ASSERT_EQUAL(b.ports[1].driver, SL_DRIVER_PCI);
	sl_boot_fini(&b);
}

static const struct {
	const char *text;
	const char *message; /* whole, as printed */
} mistakes[] = {
	{"workres = [ 1 ];\n" LEAST, "boot.conf:1: workres: unknown key (did you mean workers?)"},
	{"zzzzzzzzzz = 1;\n" LEAST,
	 "boot.conf:1: zzzzzzzzzz: unknown key (keys here: control, daemon_user, workers, "
	 "main_cpu, memory, buffers, mbuf_data, flows, tcp, http, tls, limits_mb, events_kb, "
	 "power, "
	 "privileges, user, stop_wait_ms, rss_key, ports)"},
	{"workers = [ 1, \"x\" ];\n" PORTS, "boot.conf:1: mismatched element type in array"},
	{PORTS, "boot.conf: workers: is missing"},
	{"workers = [ 1 ];\n", "boot.conf: ports: is missing"},
	{"workers = \"1\";\n" PORTS,
	 "boot.conf:1: workers: must be an array of CPU numbers, not a string (workers = [ 1, "
	 "2 ];)"},
	{"workers = 65;\n" PORTS, "boot.conf:1: workers: 65 is out of range: 1 to 64"},
	{"workers = [ ];\n" PORTS, "boot.conf:1: workers: has 0 workers: 1 to 64 are allowed"},
	{"workers = [ \"a\" ];\n" PORTS,
	 "boot.conf:1: workers[0]: must be an integer, not a string"},
	{"workers = [ -1 ];\n" PORTS, "boot.conf:1: workers[0]: -1 is out of range: 0 to 1023"},
	{LEAST "main_cpu = 1024;", "boot.conf:3: main_cpu: 1024 is out of range: 0 to 1023"},
	{LEAST "flows = 4294967296;", "boot.conf:3: the number 4294967296 does not fit (no value "
				      "here is larger than 2147483647)"},
	{LEAST "flows = 0x100000400;", "boot.conf:3: the number 0x100000400 does not fit (no "
				       "value here is larger than 2147483647)"},
	{LEAST "/* 4294967296\n */ flows = 4294968320L;",
	 "boot.conf:4: the number 4294968320L does not fit (no value here is larger than "
	 "2147483647)"},
	{LEAST "flows = 1000;", "boot.conf:3: flows: 1000 is out of range: 1024 to 134217728"},
	{LEAST "flows = 2048.5;", "boot.conf:3: flows: must be an integer, not a decimal number"},
	{LEAST "tcp = { streams = 15; };",
	 "boot.conf:3: tcp.streams: 15 is out of range: 0, or 16 to 4194304 (0: no TCP)"},
	{LEAST "tcp = { streams = 5000000; };",
	 "boot.conf:3: tcp.streams: 5000000 is out of range: 0 to 4194304"},
	{LEAST "tcp = { timewait = 0; };",
	 "boot.conf:3: tcp.timewait: 0 is out of range: 16 to 4194304"},
	{LEAST "tcp = { memory_mb = 0; };",
	 "boot.conf:3: tcp.memory_mb: 0 is out of range: 1 to 8192"},
	{LEAST "tcp = { receive_max = 4095; };",
	 "boot.conf:3: tcp.receive_max: 4095 is out of range: 4096 to 16777216"},
	{LEAST "tcp = { send_max = 16777217; };",
	 "boot.conf:3: tcp.send_max: 16777217 is out of range: 4096 to 16777216"},
	{LEAST "http = { pool = 15; };",
	 "boot.conf:3: http.pool: 15 is out of range: 16 to 4194304"},
	{LEAST "tcp = { stream = 16; };",
	 "boot.conf:3: tcp.stream: unknown key (did you mean streams?)"},
	{LEAST "tls = { sessions = 15; };",
	 "boot.conf:3: tls.sessions: 15 is out of range: 0, or 16 to 1048576 (0: no TLS)"},
	{LEAST "tls = { threads = 17; };", "boot.conf:3: tls.threads: 17 is out of range: 0 to 16"},
	{LEAST "tls = { handshakes = 0; };",
	 "boot.conf:3: tls.handshakes: 0 is out of range: 1 to 65536"},
	{LEAST "tls = { cpus = 1; };",
	 "boot.conf:3: tls.cpus: must be an array of CPU numbers, not an integer (cpus = [ 1, "
	 "2 ];)"},
	{LEAST "tls = { cpus = [ ]; };", "boot.conf:3: tls.cpus: has 0 CPUs: 1 to 16 are allowed"},
	{LEAST "tls = { cpus = [ 1024 ]; };",
	 "boot.conf:3: tls.cpus[0]: 1024 is out of range: 0 to 1023"},
	{LEAST "tls = { budget_us = 9; };",
	 "boot.conf:3: tls.budget_us: 9 is out of range: 10 to 100000"},
	{LEAST "tls = { memory_mb = 15; };",
	 "boot.conf:3: tls.memory_mb: 15 is out of range: 16 to 65536"},
	{LEAST "tls = { records = \"gnutls\"; };",
	 "boot.conf:3: tls.records: \"gnutls\" is none of ipsec-mb|openssl"},
	{LEAST "tls = { core_dumps = 1; };",
	 "boot.conf:3: tls.core_dumps: must be true or false, not an integer"},
	{LEAST "tls = { core_dump = true; };",
	 "boot.conf:3: tls.core_dump: unknown key (did you mean core_dumps?)"},
#ifdef NDEBUG
	{LEAST "tls = { key_log = \"/tmp/keys\"; };",
	 "boot.conf:3: tls.key_log: secrets of sessions are written by debug builds alone, and "
	 "this is none (leave it out, or build with --buildtype=debug)"},
#else
	{LEAST "tls = { key_log = \"keys\"; };",
	 "boot.conf:3: tls.key_log: \"keys\" is not an absolute path"},
#endif
	{LEAST "events_kb = 6;",
	 "boot.conf:3: events_kb: 6 is neither 0 nor a power of two from 4 to "
	 "262144 (0: no access log)"},
	{LEAST "events_kb = 2;",
	 "boot.conf:3: events_kb: 2 is neither 0 nor a power of two from 4 to "
	 "262144 (0: no access log)"},
	{LEAST "events_kb = 524288;",
	 "boot.conf:3: events_kb: 524288 is out of range: 0 to 262144"},
	{LEAST "power = \"fast\";", "boot.conf:3: power: \"fast\" is none of poll|adaptive"},
	{LEAST "power = true;",
	 "boot.conf:3: power: must be a string, not true or false (write it in \" \")"},
	{LEAST "memory = 5;",
	 "boot.conf:3: memory: must be a group, not an integer ({ key = value; … })"},
	{LEAST "memory = { size = 64; };",
	 "boot.conf:3: memory.size: unknown key (did you mean size_mb?)"},
	{LEAST "memory = { size_mb = 1; };",
	 "boot.conf:3: memory.size_mb: 1 is out of range: 64 to 1048576"},
	{LEAST "control = \"run/x\";", "boot.conf: control: \"run/x\" is not an absolute path"},
	{LEAST "rss_key = \"00\";",
	 "boot.conf:3: rss_key: must be exactly 80 hex digits (leave it out: then it is random at "
	 "each boot)"},
	{"workers = [ 1 ];\nports = ( );", "boot.conf:2: ports: has 0 ports: 1 to 32 are allowed"},
	{"workers = [ 1 ];\nports = ( 5 );",
	 "boot.conf:2: ports[0]: must be a group, not an integer ({ key = value; … })"},
	{"workers = [ 1 ];\nports = ( { name = \"a b\"; device = \"x\"; } );",
	 "boot.conf:2: ports[0].name: \"a b\" is not a name (1 to 63 of letters, digits, . _ -, a "
	 "letter or digit first)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; } );",
	 "boot.conf:2: ports[0].device: is missing"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; mac = \"01:00:00:00:00:00\"; "
	 "} );",
	 "boot.conf:2: ports[0].mac: 01:00:00:00:00:00 is not a unicast MAC address (the first "
	 "byte is even, and not all are 0)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; mac = \"1:2\"; } );",
	 "boot.conf:2: ports[0].mac: \"1:2\" is not a MAC address (six pairs of hex digits: "
	 "02:00:00:00:00:01)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; mtu = 9000; } );",
	 "boot.conf:2: ports[0]: mtu 9000 needs buffers of 9018 bytes, mbuf_data is 2048 (raise "
	 "mbuf_data or lower mtu)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; driver = \"vdev\"; } );",
	 "boot.conf:2: ports[0]: device \"x\" is not the name of a DPDK virtual device (e.g. "
	 "net_pcap0, net_null0, net_memif0, net_tap0)"},
	{"workers = [ 0, 1 ];\nports = ( { name = \"a\"; device = \"x\"; rss = \"assume\"; } );",
	 "boot.conf:2: ports[0]: rss = \"assume\" needs one queue per worker (2), queues is 1 "
	 "(set queues to the number of workers)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; },\n{ name = \"a\"; device = "
	 "\"y\"; } );",
	 "boot.conf:3: ports[1]: name \"a\" is taken by ports[0]"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; },\n{ name = \"b\"; device = "
	 "\"x\"; } );",
	 "boot.conf:3: ports[1]: device \"x\" is taken by ports[0] (ports of one device each have "
	 "a "
	 "vlan of their own)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; vlan = 7; },\n{ name = "
	 "\"b\"; device = \"x\"; vlan = 7; } );",
	 "boot.conf:3: ports[1]: device \"x\" is taken by ports[0] (ports of one device each have "
	 "a "
	 "vlan of their own)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; vlan = 7; },\n{ name = "
	 "\"b\"; device = \"x\"; vlan = 8; queues = 2; } );",
	 "boot.conf:3: ports[1]: driver, queues, rss and args of device \"x\" stand with ports[0], "
	 "its "
	 "first port (leave it out here)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; vlan = 7; mtu = 1400; },\n{ "
	 "name = "
	 "\"b\"; device = \"x\"; vlan = 8; mtu = 1500; } );",
	 "boot.conf:3: ports[1]: mtu 1500 is larger than that of ports[0], the first port of "
	 "device "
	 "\"x\" (raise the first one's, or lower this)"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; kernel = \"k0\"; },\n{ name "
	 "= "
	 "\"b\"; device = \"y\"; kernel = \"k0\"; } );",
	 "boot.conf:3: ports[1]: kernel interface \"k0\" is taken by ports[0]"},
	{"workers = [ 1 ];\nports = ( { name = \"a\"; device = \"x\"; kernel = \"x\"; } );",
	 "boot.conf:2: ports[0]: kernel interface \"x\" cannot be made (a name for a new "
	 "interface: "
	 "letters, digits, . _ -)"},
	{LEAST "privileges = \"none\";", "boot.conf:3: privileges: \"none\" is none of drop|keep"},
	{LEAST "@include \"other.conf\"\n",
	 "boot.conf:3: @include is not taken in a boot file (write the settings into this file)"},
	{LEAST "flows = ;", "boot.conf:3: syntax error"},
};

static void
every_mistake_has_its_message(void)
{
	for (unsigned i = 0; i < SL_ARRAY_CNT(mistakes); i++) {
		struct sl_diag diag = {0};
		struct sl_boot b = {.flows = 99};
		char text[1024] = "";

		CU_ASSERT_EQUAL(parse(mistakes[i].text, &diag, &b), -EINVAL);
		CU_ASSERT_EQUAL(b.flows, 99);
		CU_ASSERT_TRUE(diag.cnt >= 1);
		if (diag.cnt)
			sl_diag_format(&diag.items[0], text, sizeof(text));
		if (strcmp(text, mistakes[i].message) != 0) {
			printf("row %u\n  is     %s\n  wanted %s\n", i, text, mistakes[i].message);
			CU_FAIL("message differs");
		}
		sl_diag_fini(&diag);
	}
}

static void
memory_for_tls_follows_workers_and_handshakes_where_it_is_left_out(void)
{
	static const struct {
		const char *text;
		int mb;
	} rows[] = {
		{"workers = [ 1, 2, 3 ];\n" PORTS, 64 + 3 * 128},
		{LEAST "tls = { handshakes = 16; };", 65},
		{LEAST "tls = { handshakes = 65536; memory_mb = 16; };", 16},
	};
	for (unsigned i = 0; i < SL_ARRAY_CNT(rows); i++) {
		struct sl_boot b = {0};
		CU_ASSERT_EQUAL_FATAL(parse(rows[i].text, NULL, &b), 0);
		CU_ASSERT_EQUAL(b.tls_memory_mb, rows[i].mb);
		sl_boot_fini(&b);
	}
}

static void
no_streams_turn_tcp_off(void)
{
	struct sl_diag diag = {0};
	struct sl_boot b = {0};

	CU_ASSERT_EQUAL_FATAL(parse(LEAST "tcp = { streams = 0; };", &diag, &b), 0);
	CU_ASSERT_EQUAL(b.tcp_streams, 0);
	sl_boot_fini(&b);
}

static void
all_mistakes_of_a_file_are_told_at_once(void)
{
	struct sl_diag diag = {0};
	struct sl_boot b;
	const char *text =
		"workers = ( 2000, \"x\" );\nflow = 5;\nflows = 5000000000;\n"
		"memory = { hugepages = 1; size_mb = -3; };\n"
		"ports = ( { name = \"a\"; device = \"x\"; mtv = 5; rss = \"no\"; } );\n";

	CU_ASSERT_EQUAL(parse(text, &diag, &b), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, 8);
	sl_diag_fini(&diag);
}

static void
what_is_not_a_text_file_is_refused(void)
{
	struct sl_diag diag = {0};
	struct sl_boot b;

	CU_ASSERT_EQUAL(sl_boot_load("/nonexistent/boot.conf", &diag, &b), -ENOENT);
	CU_ASSERT_EQUAL(sl_boot_load("/tmp", &diag, &b), -EISDIR);
	CU_ASSERT_EQUAL(sl_boot_parse("boot.conf", "a\0b", 3, &diag, &b), -EINVAL);
	CU_ASSERT_EQUAL(diag.cnt, 3);
	sl_diag_fini(&diag);
}

/* What is shown of a text, to be freed. */
static char *
shown(const char *text)
{
	struct sl_diag diag = {0};
	struct sl_boot b = {0};
	char *out = NULL;
	size_t len = 0;

	CU_ASSERT_EQUAL_FATAL(parse(text, &diag, &b), 0);
	FILE *f = open_memstream(&out, &len);
	CU_ASSERT_EQUAL(sl_boot_show(&b, f), 0);
	fclose(f);
	sl_boot_fini(&b);
	return out;
}

static void
show_says_what_was_read_in_the_file_s_words(void)
{
	char *s = shown("workers = [ 1, 3 ];\n memory = { hugepages = \"require\"; };\n"
			"tls = { sessions = 0; cpus = [ 2 ]; };\n privileges = \"keep\";\n"
			"ports = ( { name = \"front\"; device = \"e\\\"th\\\\\xc3\xbc\xff\"; "
			"driver = \"pci\"; vlan = 7; mac = \"02:00:00:00:00:0a\"; },\n"
			"{ name = \"back\"; device = \"eth1\"; } );\n");

	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"workers\": [1, 3], \"main_cpu\": null, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "{\"hugepages\": \"require\", \"size_mb\": 512}"));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"tls\": {\"sessions\": 0, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"cpus\": [2], "));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"core_dumps\": false, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"privileges\": \"keep\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"device\": \"e\\\"th\\\\\xc3\xbc\\ufffd\", "
					 "\"driver\": \"pci\", \"mac\": \"02:00:00:00:00:0a\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"vlan\": 7, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"mac\": null, \"mtu\": null, \"queues\": null"));
	free(s);
	s = shown("workers = 2;\n" PORTS);
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"workers\": 2, "));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"rss_key\": false"));
	free(s);
}

static void
show_keeps_secrets(void)
{
	char *s = shown("workers = [ 1 ];\n rss_key = "
			"\"6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a6d5a"
			"6d5a6d5a\";\n"
			"ports = ( { name = \"front\"; device = \"net_memif0\"; driver = \"vdev\"; "
			"args = \"secret=sesame\"; } );\n");

	CU_ASSERT_PTR_NULL(strstr(s, "sesame"));
	CU_ASSERT_PTR_NULL(strstr(s, "6d5a"));
	CU_ASSERT_PTR_NOT_NULL(strstr(s, "\"rss_key\": true"));
	free(s);
}

SL_SUITE("boot", SL_TEST(least_file_has_the_documented_defaults), SL_TEST(every_key_arrives),
	 SL_TEST(every_mistake_has_its_message),
	 SL_TEST(memory_for_tls_follows_workers_and_handshakes_where_it_is_left_out),
	 SL_TEST(no_streams_turn_tcp_off), SL_TEST(all_mistakes_of_a_file_are_told_at_once),
	 SL_TEST(what_is_not_a_text_file_is_refused),
	 SL_TEST(show_says_what_was_read_in_the_file_s_words), SL_TEST(show_keeps_secrets))
