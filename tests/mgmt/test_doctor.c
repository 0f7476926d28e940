/* A node's findings: a good node, the same broken in one way at a time, and trees of files that are none.  The trees are made
 * here, below a directory of their own; what only system calls tell is set by hand. */
#include "mgmt/doctor.h"
#include "tests/mgmt/doctor_tree.h"
#include "tests/mgmt/files.h"

#include <limits.h>

/* ---- a run ---- */

typedef void change_fn(struct sl_doctor_facts *f);

static struct sl_doctor_facts facts;
static struct sl_doctor_boot boot;
static struct sl_doctor_report report;

/* What the tree cannot tell, as it is on a good node. */
static void
set_live(struct sl_doctor_facts *f)
{
	struct sl_doctor_nic *n = &f->port[1].nic;

	f->time_synced = 1;
	n->has_features = true;
	n->queues = 2;
	f->answered = f->connected = true;
	strcpy(f->version, "1.0");
	f->disk_cnt = 1;
	f->disk[0] = (struct sl_doctor_disk){"/var/lib/sluice", 50000, 60};
	f->running_cnt = 2;
	f->running[0] = (struct sl_doctor_running){"front", "up", 0, 0};
	f->running[1] = (struct sl_doctor_running){"back", "up", 0, 0};
}

static void
run(const char *json, change_fn *change)
{
	boot = (struct sl_doctor_boot){.file = "/etc/sluice/dataplane.conf"};
	if (json)
		CU_ASSERT_TRUE_FATAL(sl_doctor_boot_read(json, strlen(json), &boot));
	sl_doctor_facts_read(top, &boot, &facts);
	CU_ASSERT_FALSE(facts.live);
	if (change) {
		set_live(&facts);
		change(&facts);
	}
	sl_doctor_run(&facts, &boot, &report);
}

static void
done(void)
{
	sl_doctor_report_fini(&report);
	sl_doctor_facts_fini(&facts);
	sl_doctor_boot_fini(&boot);
}

static void
as_is(struct sl_doctor_facts *f)
{
	(void)f;
}

/* All findings as text, to be freed. */
static char *
text_of(const struct sl_doctor_report *r)
{
	char *out = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&out, &len);

	for (unsigned i = 0; i < r->cnt; i++) {
		const struct sl_doctor_finding *d = &r->items[i];
		fprintf(f, "%s | %s | %s%s%s%s%s\n", sl_doctor_state_name(d->state), d->check,
			d->found, d->why ? " | " : "", d->why ? d->why : "",
			d->mend ? " | mend: " : "", d->mend ? d->mend : "");
	}
	fclose(f);
	return out;
}

/* ---- set-ups ---- */

static void
clock_off(struct sl_doctor_facts *f)
{
	f->time_synced = 0;
}
static void
clock_untold(struct sl_doctor_facts *f)
{
	f->time_synced = SL_DOCTOR_UNKNOWN;
}
static void
gro_on(struct sl_doctor_facts *f)
{
	f->port[1].nic.gro = true;
}
static void
lro_on(struct sl_doctor_facts *f)
{
	f->port[1].nic.lro = true;
}
static void
vlan_off(struct sl_doctor_facts *f)
{
	f->port[1].nic.rx_vlan = true;
}
static void
many_queues(struct sl_doctor_facts *f)
{
	f->port[1].nic.queues = 8;
}
static void
features_untold(struct sl_doctor_facts *f)
{
	f->port[1].nic.has_features = false;
}
static void
queues_untold(struct sl_doctor_facts *f)
{
	f->port[1].nic.queues = 0;
}
static void
disk_full(struct sl_doctor_facts *f)
{
	f->disk[0].free_mb = 10;
}
static void
disk_low(struct sl_doctor_facts *f)
{
	f->disk[0].free_percent = 2;
}
static void
disk_untold(struct sl_doctor_facts *f)
{
	f->disk[0].free_mb = -1;
}
static void
no_link(struct sl_doctor_facts *f)
{
	strcpy(f->running[0].link, "down");
}
static void
port_gone(struct sl_doctor_facts *f)
{
	strcpy(f->running[1].link, "gone");
}
static void
port_missed(struct sl_doctor_facts *f)
{
	f->running[1].missed = 7;
}
static void
unconnected(struct sl_doctor_facts *f)
{
	f->connected = false;
}
static void
unanswered(struct sl_doctor_facts *f)
{
	f->answered = false;
}

struct setup {
	const char *path, *text; /* that the tree has in place of the good; path NULL: as it was */
	const char *from, *to;   /* in the boot file's text; NULL: as it was */
	change_fn *change;       /* NULL: nothing more */
	const char *check;
	enum sl_doctor_state state;
	const char *says; /* in found, why or mend */
};

#define P "proc/"
static const struct setup setups[] = {
	/* CPUs */
	{P "cpuinfo", "x\nflags\t: fpu aes pclmulqdq bmi2 avx2x gfni vaes\n", NULL, NULL, NULL,
	 "cpu flags", SL_DOCTOR_ERROR, "lacks AVX2"},
	{P "cpuinfo", "x\nflags\t: fpu\n", NULL, NULL, NULL, "cpu flags", SL_DOCTOR_ERROR,
	 "lacks AVX2, BMI2, AES-NI, PCLMULQDQ"},
	{P "cpuinfo", "x\nflags\t: aes pclmulqdq bmi2 avx2 vaes\n", NULL, NULL, NULL, "cpu flags",
	 SL_DOCTOR_NOTE, "no GFNI"},
	{P "cpuinfo", "x\nflags\t: avx2 constant_tsc\n", NULL, NULL, NULL, "tsc", SL_DOCTOR_WARNING,
	 "not invariant"},
	{P "cpuinfo", "x\nflags\t: avx2 nonstop_tsc\n", NULL, NULL, NULL, "tsc", SL_DOCTOR_ERROR,
	 "not constant"},
	{P "cpuinfo", "x\nflags\t: " FLAGS " hypervisor\n", NULL, NULL, NULL, "virtual machine",
	 SL_DOCTOR_NOTE, "Server 9000"},
	{P "cpuinfo", NULL, NULL, NULL, NULL, "cpu flags", SL_DOCTOR_NOTE, "no flags"},
	{"sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n", NULL, NULL,
	 NULL, "clock source", SL_DOCTOR_WARNING, "echo tsc"},
	{"sys/devices/system/clocksource/clocksource0/available_clocksource", "hpet\n", NULL, NULL,
	 NULL, "clock source", SL_DOCTOR_OK, "tsc"},
	{CPU "online", "0-2,4-7\n", NULL, NULL, NULL, "worker cpus", SL_DOCTOR_ERROR,
	 "CPU 3 not there"},
	{CPU "online", "2-3\n", NULL, NULL, NULL, "worker cpus", SL_DOCTOR_WARNING,
	 "all there are"},
	{NULL, NULL, "[2, 3]", "[2, 2]", NULL, "worker cpus", SL_DOCTOR_WARNING,
	 "2 workers on CPU 2"},
	{P "100/ns/net", "> net:[9]", "[2, 3]", "9", NULL, "worker cpus", SL_DOCTOR_ERROR,
	 "9 workers asked for"},
	{P "100/ns/net", "> net:[9]", "[2, 3]", "2", NULL, "worker cpus", SL_DOCTOR_OK,
	 "chosen at the start"},
	{NULL, NULL, "[2, 3]", "2", NULL, "worker cpus", SL_DOCTOR_OK, "CPU 2-3, of 0-7"},
	{CPU "isolated", "\n", NULL, NULL, NULL, "isolation", SL_DOCTOR_WARNING, "isolcpus=2-3"},
	{CPU "isolated", "3\n", NULL, NULL, NULL, "isolation", SL_DOCTOR_WARNING,
	 "CPU 2 of workers not isolated"},
	{CPU "isolated", "3\n", "\"poll\"", "\"adaptive\"", NULL, "isolation", SL_DOCTOR_NOTE,
	 "CPU 2 of workers"},
	{CPU "isolated", NULL, NULL, NULL, NULL, "isolation", SL_DOCTOR_OK,
	 "2-3"}, /* by the command line */
	{P "100/ns/net", "> net:[9]", "[2, 3]", "3", NULL, "isolation", SL_DOCTOR_WARNING,
	 "isolated CPUs: 2-3"},
	{CPU "nohz_full", "2\n", NULL, NULL, NULL, "isolation", SL_DOCTOR_NOTE,
	 "CPU 3 of workers isolated, without nohz_full"},
	{CPU "cpu3/topology/thread_siblings_list", "2-3\n", NULL, NULL, NULL, "siblings",
	 SL_DOCTOR_WARNING, "CPU 2-3 share"},
	{NULL, NULL, "[2, 3]", "[2, 6]", NULL, "siblings", SL_DOCTOR_WARNING, "CPU 2,6 share"},
	{CPU "cpu3/cpufreq/scaling_governor", "powersave\n", NULL, NULL, NULL, "frequency",
	 SL_DOCTOR_WARNING, "CPU 3: governor powersave"},
	{P "irq/24/effective_affinity_list", "0,3\n", NULL, NULL, NULL, "interrupts",
	 SL_DOCTOR_WARNING, "24 (eth1-rx-0)"},
	{P "irq/24/effective_affinity_list", "2\n", NULL, NULL, NULL, "interrupts", SL_DOCTOR_NOTE,
	 "tells of none"}, /* never came there */
	{P "300/comm", "irqbalance\n", NULL, NULL, NULL, "interrupts", SL_DOCTOR_OK, "none come"},
	/* memory */
	{"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "100\n", NULL, NULL, NULL,
	 "hugepages", SL_DOCTOR_WARNING, "size_mb asks for 1024"},
	{"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "100\n", "auto", "require", NULL,
	 "hugepages", SL_DOCTOR_ERROR, "does not start"},
	{P "100/ns/net", "> net:[9]", "1024", "2000", NULL, "hugepages", SL_DOCTOR_WARNING,
	 "scripts/hugepages 2648"},
	{NULL, NULL, "auto", "never", NULL, "hugepages", SL_DOCTOR_NOTE, "never"},
	{"sys/kernel/mm/hugepages", NULL, NULL, NULL, NULL, "hugepages", SL_DOCTOR_WARNING,
	 "CONFIG_HUGETLBFS"},
	{NULL, NULL, "[2, 3]", "[2, 7]", NULL, "hugepages per node", SL_DOCTOR_WARNING,
	 "node 1 has workers (CPU 7)"},
	{P "mounts", "proc /proc proc rw 0 0\n", NULL, NULL, NULL, "hugetlbfs", SL_DOCTOR_NOTE,
	 "not mounted"},
	{"sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n", NULL, NULL, NULL,
	 "transparent huge", SL_DOCTOR_NOTE, "always"},
	{"sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n", NULL, NULL, NULL,
	 "transparent huge", SL_DOCTOR_NOTE, "never"},
	{P "swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 2097148 0 -2\n", NULL,
	 NULL, NULL, "swap", SL_DOCTOR_WARNING, "2047 MB"},
	{P "100/limits",
	 "Max locked memory         65536                65536                bytes\n", NULL, NULL,
	 NULL, "locked memory", SL_DOCTOR_NOTE, "tls.memory_mb 192"},
	{P "100/ns/net", "> net:[9]", NULL, NULL, NULL, "locked memory", SL_DOCTOR_OK,
	 "without limit"},
	/* ports */
	{"sys/kernel/iommu_groups", NULL, NULL, NULL, NULL, "iommu", SL_DOCTOR_ERROR,
	 "intel_iommu=on"},
	{"sys/kernel/iommu_groups", NULL, "\"pci\"", "\"vdev\"", NULL, "iommu", SL_DOCTOR_OK,
	 "no port needs it"},
	{"sys/kernel/iommu_groups/7/devices/0000:3b:00.1",
	 "> ../../../../bus/pci/devices/0000:3b:00.1", NULL, NULL, NULL, "iommu", SL_DOCTOR_ERROR,
	 "group 7 also has 0000:3b:00.1 (ice)"},
	{"sys/bus/pci/drivers/vfio-pci", NULL, NULL, NULL, NULL, "vfio", SL_DOCTOR_ERROR,
	 "modprobe vfio-pci"},
	{"sys/bus/pci/drivers/vfio-pci", NULL, "\"pci\"", "\"vdev\"", NULL, "vfio", SL_DOCTOR_OK,
	 "no port needs it"},
	{PCI "0/driver", "> ../../../../bus/pci/drivers/ice", NULL, NULL, NULL, "drivers",
	 SL_DOCTOR_ERROR, "bound to ice"},
	{PCI "0/driver", NULL, NULL, NULL, NULL, "drivers", SL_DOCTOR_ERROR, "no driver"},
	{PCI "0/driver", "> ../../../../bus/pci/drivers/igb_uio", NULL, NULL, NULL, "drivers",
	 SL_DOCTOR_WARNING, "any memory"},
	{NULL, NULL, "0000:3b:00.0", "0000:3b:00.7", NULL, "drivers", SL_DOCTOR_ERROR,
	 "no PCI device 0000:3b:00.7"},
	{NULL, NULL, "0000:3b:00.0", "../../../etc", NULL, "drivers", SL_DOCTOR_ERROR,
	 "no PCI device"},
	{"sys/class/net/eth1", NULL, NULL, NULL, NULL, "drivers", SL_DOCTOR_ERROR,
	 "no interface eth1"},
	{PCI "0/numa_node", "1\n", NULL, NULL, NULL, "numa", SL_DOCTOR_WARNING,
	 "port front: node 1, workers on CPU 2-3"},
	{PCI "1/numa_node", "1\n", NULL, NULL, NULL, "numa", SL_DOCTOR_WARNING,
	 "port back: node 1"},
	{PCI "0/numa_node", "-1\n", NULL, NULL, NULL, "numa", SL_DOCTOR_OK, "on the nodes"},
	{PCI "0/current_link_width", "4\n", NULL, NULL, NULL, "pcie", SL_DOCTOR_WARNING,
	 "x4, and can 8.0 GT/s x8"},
	{PCI "0/current_link_speed", "2.5 GT/s PCIe\n", NULL, NULL, NULL, "pcie", SL_DOCTOR_WARNING,
	 "runs at 2.5 GT/s x8"},
	{PCI "0/max_link_speed", "Unknown\n", NULL, NULL, NULL, "pcie", SL_DOCTOR_OK,
	 "do not tell"},
	{PCI "1/net/eth1/carrier", "0\n", NULL, NULL, NULL, "links", SL_DOCTOR_WARNING,
	 "eth1 has no link"},
	{PCI "1/net/eth1/duplex", "half\n", NULL, NULL, NULL, "links", SL_DOCTOR_WARNING,
	 "half duplex"},
	{PCI "1/net/eth1/carrier", NULL, NULL, NULL, NULL, "links", SL_DOCTOR_NOTE,
	 "does not tell"},
	{NULL, NULL, NULL, NULL, gro_on, "offloads", SL_DOCTOR_WARNING, "ethtool -K eth1 gro off"},
	{NULL, NULL, NULL, NULL, lro_on, "offloads", SL_DOCTOR_WARNING, "LRO on"},
	{NULL, NULL, "\"eth1\", \"driver\": \"af_xdp\", \"queues\": null, \"vlan\": null",
	 "\"eth1\", \"driver\": \"af_xdp\", \"queues\": null, \"vlan\": 7", vlan_off, "offloads",
	 SL_DOCTOR_WARNING, "rxvlan off"},
	{NULL, NULL, NULL, NULL, vlan_off, "offloads", SL_DOCTOR_OK, "nothing"}, /* no VLAN */
	{NULL, NULL, NULL, NULL, features_untold, "offloads", SL_DOCTOR_NOTE, "not told"},
	{NULL, NULL, NULL, NULL, many_queues, "queues", SL_DOCTOR_ERROR,
	 "ethtool -L eth1 combined 2"},
	{NULL, NULL, "af_xdp", "auto", many_queues, "queues", SL_DOCTOR_WARNING, "falls back"},
	{NULL, NULL, "af_xdp", "af_packet", many_queues, "queues", SL_DOCTOR_OK,
	 "no port of AF_XDP to look at"},
	{NULL, NULL, NULL, NULL, queues_untold, "queues", SL_DOCTOR_NOTE, "not told"},
	{P "sys/net/ipv4/conf/front0/rp_filter", "1\n", NULL, NULL, NULL, "kernel's share",
	 SL_DOCTOR_WARNING, "rp_filter of front0 is strict"},
	{P "sys/net/ipv4/conf/all/rp_filter", "1\n", NULL, NULL, NULL, "kernel's share",
	 SL_DOCTOR_OK, "nothing"}, /* the larger counts */
	{P "sys/net/ipv4/conf/front0/forwarding", "1\n", NULL, NULL, NULL, "kernel's share",
	 SL_DOCTOR_NOTE, "forwards what comes in by front0"},
	{P "sys/net/ipv4/conf/eth1/forwarding", "1\n", "af_xdp", "af_packet", NULL,
	 "kernel's share", SL_DOCTOR_WARNING, "a second time"},
	{P "sys/net/ipv4/conf/eth1/forwarding", "1\n", NULL, NULL, NULL, "kernel's share",
	 SL_DOCTOR_OK, "nothing"},
	{"dev/net/tun", NULL, NULL, NULL, NULL, "kernel's share", SL_DOCTOR_ERROR, "modprobe tun"},
	{"sys/class/net/front0", NULL, NULL, NULL, NULL, "kernel's share", SL_DOCTOR_WARNING,
	 "no interface front0"},
	{NULL, NULL, NULL, NULL, no_link, "running ports", SL_DOCTOR_WARNING,
	 "port front: no link"},
	{NULL, NULL, NULL, NULL, port_gone, "running ports", SL_DOCTOR_WARNING, "device is gone"},
	{NULL, NULL, NULL, NULL, port_missed, "running ports", SL_DOCTOR_NOTE, "7 packets missed"},
	/* the kernel, and our processes */
	{P "sys/kernel/osrelease", "5.10.0-28-amd64\n", NULL, NULL, NULL, "kernel", SL_DOCTOR_ERROR,
	 "older than 5.11"},
	{P "sys/kernel/osrelease", "six\n", NULL, NULL, NULL, "kernel", SL_DOCTOR_NOTE, "unknown"},
	{P "net/protocols", "protocol\nTCP 1\n", NULL, NULL, NULL, "af_xdp", SL_DOCTOR_ERROR,
	 "a port asks for it"},
	{P "net/protocols", "protocol\nTCP 1\n", "af_xdp", "auto", NULL, "af_xdp",
	 SL_DOCTOR_WARNING, "fall back"},
	{P "net/protocols", "protocol\nTCP 1\n", "af_xdp", "af_packet", NULL, "af_xdp",
	 SL_DOCTOR_OK, "no port"},
	{P "net/protocols", NULL, NULL, NULL, NULL, "af_xdp", SL_DOCTOR_NOTE, "does not tell"},
	{NULL, NULL, NULL, NULL, clock_off, "time", SL_DOCTOR_WARNING, "not synchronised"},
	{NULL, NULL, NULL, NULL, clock_untold, "time", SL_DOCTOR_NOTE, "nobody tells"},
	{P "sys/kernel/core_pattern", "|/usr/lib/collect %p\n", "false", "true", NULL, "core dumps",
	 SL_DOCTOR_WARNING, "|/usr/lib/collect"},
	{P "100/ns/net", "> net:[9]", NULL, NULL, NULL, "dataplane", SL_DOCTOR_NOTE,
	 "none runs here"},
	{P "100/task/102/status", "CapEff:\t0000000000001000\nNoNewPrivs:\t1\nSeccomp:\t2\n", NULL,
	 NULL, NULL, "dataplane", SL_DOCTOR_WARNING, "capabilities 1000"},
	{P "100/status", "PPid:\t1\nUid:\t0\t0\n", NULL, NULL, NULL, "dataplane", SL_DOCTOR_NOTE,
	 "runs as root, without"},
	{P "100/task/102/status", "CapEff:\t0000000000004000\nNoNewPrivs:\t1\nSeccomp:\t2\n", NULL,
	 NULL, NULL, "dataplane", SL_DOCTOR_NOTE, "CAP_IPC_LOCK alone"},
	{P "100/task/101/status", "CapEff:\t0\nNoNewPrivs:\t0\nSeccomp:\t2\n", NULL, NULL, NULL,
	 "dataplane", SL_DOCTOR_WARNING, "no_new_privs 0"},
	{P "100/task/101/status", "CapEff:\t0\nNoNewPrivs:\t1\nSeccomp:\t0\n", NULL, NULL, NULL,
	 "dataplane", SL_DOCTOR_WARNING, "seccomp 0"},
	{P "100/task/101/status", "CapEff:\tff\nNoNewPrivs:\t0\nSeccomp:\t0\n", "drop", "keep",
	 NULL, "dataplane", SL_DOCTOR_NOTE, "privileges = \"drop\""},
	{P "100/status", "PPid:\t1\nUid:\t0\nVmSwap:\t   512 kB\n", NULL, NULL, NULL, "dataplane",
	 SL_DOCTOR_WARNING, "512 KB of it are swapped out"},
	{P "120/ns/net", "> net:[1]", NULL, NULL, NULL, "dataplane", SL_DOCTOR_NOTE,
	 "2 of them run here"},
	{P "200/status", "PPid:\t1\nUid:\t0\t0\n", NULL, NULL, NULL, "daemon", SL_DOCTOR_NOTE,
	 "runs as root"},
	{NULL, NULL, NULL, NULL, unconnected, "daemon", SL_DOCTOR_ERROR, "no connection"},
	{NULL, NULL, NULL, NULL, unanswered, "daemon", SL_DOCTOR_NOTE, "does not answer"},
	{NULL, NULL, NULL, NULL, disk_full, "disk", SL_DOCTOR_ERROR, "10 MB free"},
	{NULL, NULL, NULL, NULL, disk_low, "disk", SL_DOCTOR_WARNING, "(2 %)"},
	{NULL, NULL, NULL, NULL, disk_untold, "disk", SL_DOCTOR_NOTE, "cannot be looked at"},
};

/* The boot file's text with one place changed, to be freed. */
static char *
changed(const struct setup *s)
{
	const char *at = s->from ? strstr(BOOT, s->from) : NULL;
	char *out;

	if (s->from && !at)
		abort();
	if (!at)
		return strdup(BOOT);
	if (asprintf(&out, "%.*s%s%s", (int)(at - BOOT), BOOT, s->to, at + strlen(s->from)) < 0)
		abort();
	return out;
}

static bool
finds(const struct setup *s)
{
	for (unsigned i = 0; i < report.cnt; i++) {
		const struct sl_doctor_finding *d = &report.items[i];
		if (strcmp(d->check, s->check) == 0 && d->state == s->state &&
		    (strstr(d->found, s->says) || (d->why && strstr(d->why, s->says)) ||
		     (d->mend && strstr(d->mend, s->says))))
			return true;
	}
	return false;
}

static void
a_good_node_has_nothing_but_good_findings(void)
{
	make_tree();
	run(BOOT, as_is);
	char *text = text_of(&report);
	CU_ASSERT_TRUE(golden_is(SL_GOLDEN "/doctor/good.txt", text));
	for (unsigned i = 0; i < report.cnt; i++)
		CU_ASSERT_EQUAL(report.items[i].state, SL_DOCTOR_OK);
	for (const struct sl_doctor_row *row = sl_doctor_rows; row->name; row++) {
		bool there = false;
		for (unsigned i = 0; i < report.cnt; i++)
			there |= strcmp(report.items[i].check, row->name) == 0;
		CU_ASSERT_TRUE(there);
	}
	free(text);
	done();
	remove_tree();
}

static void
what_is_broken_in_one_way_is_found(void)
{
	make_tree();
	for (size_t i = 0; i < SL_ARRAY_CNT(setups); i++) {
		const struct setup *s = &setups[i];
		char *json = changed(s);
		if (s->path)
			put(s->path, s->text);
		run(json, s->change ? s->change : as_is);
		if (!finds(s)) {
			char *text = text_of(&report);
			printf("\nset-up %zu (%s, %s): no %s of '%s' that says '%s' in\n%s", i,
			       s->path ? s->path : "", s->to ? s->to : "",
			       sl_doctor_state_name(s->state), s->check, s->says, text);
			free(text);
			CU_FAIL("not found");
		}
		for (unsigned k = 0; k < report.cnt; k++) /* what is bad says how to mend it */
			CU_ASSERT_TRUE(report.items[k].state < SL_DOCTOR_WARNING ||
				       (report.items[k].why && report.items[k].mend));
		done();
		free(json);
		if (!s->path)
			continue;
		put(s->path, NULL);
		for (size_t k = 0; k < SL_ARRAY_CNT(good); k++) /* a directory's whole */
			if (strncmp(good[k].path, s->path, strlen(s->path)) == 0)
				put(good[k].path, good[k].text);
	}
	run(BOOT, as_is); /* all is as it was */
	for (unsigned i = 0; i < report.cnt; i++)
		CU_ASSERT_EQUAL(report.items[i].state, SL_DOCTOR_OK);
	done();
	remove_tree();
}

static void
each_check_has_a_set_up_that_turns_it_bad(void)
{
	for (const struct sl_doctor_row *row = sl_doctor_rows; row->name; row++) {
		bool bad = strcmp(row->name, "boot file") == 0; /* below */
		for (size_t i = 0; i < SL_ARRAY_CNT(setups); i++)
			bad |= strcmp(setups[i].check, row->name) == 0 &&
			       setups[i].state > SL_DOCTOR_OK;
		if (!bad)
			printf("\n%s never turns bad\n", row->name);
		CU_ASSERT_TRUE(bad);
	}
}

static void
irqbalance_matters_where_workers_are_not_isolated(void)
{
	make_tree();
	put("proc/300/comm", "irqbalance\n");
	put(CPU "isolated", "2\n");
	run(BOOT, as_is);
	CU_ASSERT_TRUE(finds(&(struct setup){.check = "interrupts",
					     .state = SL_DOCTOR_WARNING,
					     .says = "(pid 300) may send more to CPU 3"}));
	done();
	put("sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	put("sys/kernel/iommu_groups", NULL);
	run(BOOT, as_is);
	CU_ASSERT_TRUE(finds(&(struct setup){
		.check = "iommu", .state = SL_DOCTOR_WARNING, .says = "any memory"}));
	done();
	remove_tree();
}

static void
locked_memory_short_before_the_start_is_a_warning(void)
{
	static const struct setup little = {.check = "locked memory",
					    .state = SL_DOCTOR_WARNING,
					    .says = "LimitMEMLOCK"},
				  may = {.check = "locked memory",
					 .state = SL_DOCTOR_OK,
					 .says = "root"};

	make_tree();
	put("proc/100/ns/net", "> net:[9]");
	put("proc/self/limits",
	    "Max locked memory         65536                65536                bytes\n");
	run(BOOT, as_is);
	CU_ASSERT_TRUE(finds(&little));
	done();
	put("proc/self/status", "CapEff:\t0000000000004000\n");
	run(BOOT, as_is);
	CU_ASSERT_TRUE(finds(&may));
	done();
	remove_tree();
}

/* ---- what is none ---- */

static void
an_empty_root_gives_notes_and_no_praise(void)
{
	snprintf(top, sizeof(top), "/tmp/sl-doctor-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(top));
	run(BOOT, NULL);
	char *text = text_of(&report);
	CU_ASSERT_TRUE(golden_is(SL_GOLDEN "/doctor/empty.txt", text));
	free(text);
	done();
	run(NULL, NULL);
	text = text_of(&report);
	CU_ASSERT_TRUE(golden_is(SL_GOLDEN "/doctor/nothing.txt", text));
	free(text);
	done();
	remove_tree();
}

enum hostile { EMPTY, SPARSE, DIGITS, GARBAGE, DIRECTORY, PIPE, DANGLING, CONTROL, HOSTILE_CNT };

static void
put_hostile(const char *path, enum hostile kind)
{
	char full[512];
	uint32_t x = 88172645;

	put(path, kind == CONTROL ? "\033[2J%s%n\nflags: \033[1m\n\t:\n" : "");
	snprintf(full, sizeof(full), "%s/%s", top, path);
	if (kind == DIRECTORY || kind == PIPE || kind == DANGLING)
		unlink(full);
	if (kind == DIRECTORY && mkdir(full, 0755))
		abort();
	if (kind == PIPE && mkfifo(full, 0600))
		abort();
	if (kind == DANGLING && symlink("nowhere", full))
		abort();
	if (kind == SPARSE && truncate(full, 1ll << 34))
		abort();
	FILE *f = kind == DIGITS || kind == GARBAGE ? fopen(full, "w") : NULL;
	for (unsigned i = 0; f && i < 100000; i++) {
		x ^= x << 13, x ^= x >> 17, x ^= x << 5;
		fputc(kind == DIGITS ? "0123456789-,:"[x % (i % 64 ? 10 : 13)] : (int)(x & 255), f);
	}
	if (f)
		fclose(f);
}

static void
files_that_are_none_end_nothing(void)
{
	make_tree();
	for (size_t i = 0; i < SL_ARRAY_CNT(good); i++) {
		for (enum hostile kind = 0; kind < HOSTILE_CNT; kind++) {
			if (strncmp(good[i].text, "> ", 2) == 0 && kind != DANGLING)
				continue;
			put_hostile(good[i].path, kind);
			run(BOOT, as_is);
			CU_ASSERT_TRUE(report.cnt > 20 && report.cnt < 400);
			for (unsigned k = 0; k < report.cnt; k++)
				CU_ASSERT_PTR_NULL(strchr(report.items[k].found, '\033'));
			done();
		}
		put(good[i].path, good[i].text);
	}
	for (enum hostile kind = 0; kind < HOSTILE_CNT; kind++) { /* all at once */
		for (size_t i = 0; i < SL_ARRAY_CNT(good); i++)
			if (strncmp(good[i].text, "> ", 2))
				put_hostile(good[i].path, kind);
		run(BOOT, as_is);
		CU_ASSERT_TRUE(report.cnt > 20);
		done();
	}
	remove_tree();
}

/* ---- the boot file ---- */

/* What is found of the boot file when a program does so. */
static bool
boot_says(const char *script, enum sl_doctor_state state, const char *says)
{
	char program[128], file[128];
	struct setup s = {.check = "boot file", .state = state, .says = says};

	snprintf(program, sizeof(program), "%s/program", top);
	snprintf(file, sizeof(file), "%s/dataplane.conf", top);
	put("program", script);
	put("dataplane.conf", "workers = …\n");
	chmod(program, 0755);
	sl_doctor_boot_run(program, file, &boot);
	sl_doctor_facts_read(top, &boot, &facts);
	sl_doctor_run(&facts, &boot, &report);
	bool yes = finds(&s);
	if (!yes)
		printf("\n%s: %s\n", script, report.items[0].found);
	done();
	return yes;
}

static void
the_dataplane_s_parser_is_asked_and_not_believed(void)
{
	char script[2048];

	make_tree();
	snprintf(script, sizeof(script),
		 "#!/bin/sh\n[ \"$1 $2\" = \"--show-boot -c\" ] || exit 9\necho '%s'\n", BOOT);
	CU_ASSERT_TRUE(boot_says(script, SL_DOCTOR_OK, "2 workers, 2 ports"));
	CU_ASSERT_TRUE(boot_says("#!/bin/sh\nexit 0\n", SL_DOCTOR_WARNING, "printed no boot file"));
	CU_ASSERT_TRUE(boot_says("#!/bin/sh\necho '{}'\n", SL_DOCTOR_WARNING, "keys are missing"));
	CU_ASSERT_TRUE(boot_says("#!/bin/sh\necho '[1]'\n", SL_DOCTOR_WARNING, "keys are missing"));
	CU_ASSERT_TRUE(boot_says("#!/bin/sh\nyes | head -c 3000000\n", SL_DOCTOR_WARNING,
				 "printed more than 1 MiB"));
	CU_ASSERT_TRUE(boot_says("#!/bin/sh\necho 'sluice-dataplane: f:3: x: unknown key' "
				 ">&2\necho 'sluice-dataplane: not started' >&2\nexit 1\n",
				 SL_DOCTOR_ERROR, "f:3: x: unknown key"));
	CU_ASSERT_TRUE(boot_says("#!/bin/sh\nexit 1\n", SL_DOCTOR_ERROR, "does not say why"));
	CU_ASSERT_TRUE(
		boot_says("#!/bin/sh\nkill -9 $$\n", SL_DOCTOR_WARNING, "was ended by Killed"));
	CU_ASSERT_TRUE(boot_says("#!/nowhere\n", SL_DOCTOR_ERROR, "does not say why"));
	sl_doctor_boot_run("/nowhere/sluice-dataplane", "/dev/null", &boot);
	CU_ASSERT_PTR_NOT_NULL(strstr(boot.why, "cannot be run: No such file"));
	sl_doctor_boot_fini(&boot);
	sl_doctor_boot_run("/bin/true", "/nowhere/file", &boot);
	CU_ASSERT_PTR_NOT_NULL(strstr(boot.why, "/nowhere/file: No such file"));
	sl_doctor_boot_fini(&boot);
	remove_tree();
}

static void
hostile_answers_of_the_parser_are_bounded(void)
{
	static const char *const texts[] = {
		"{\"workers\": [], \"ports\": []}",
		"{\"workers\": -1, \"ports\": [1, null, {}]}",
		"{\"workers\": 99999999999, \"ports\": [{\"name\": 7, \"device\": []}], "
		"\"memory\": 3, \"tls\": []}",
		"{\"workers\": [99999, -5, \"x\", 1e9], \"memory\": {\"size_mb\": -7}, \"ports\": "
		"[{\"name\": \"p\", \"device\": \"..\", \"driver\": \"auto\", \"kernel\": "
		"\"../../etc\"}]}",
	};

	make_tree();
	for (size_t i = 0; i < SL_ARRAY_CNT(texts); i++) {
		run(texts[i], as_is);
		CU_ASSERT_TRUE(report.cnt > 20);
		done();
	}
	char many[8192] = "{\"workers\": 1, \"ports\": [";
	for (unsigned i = 0; i < 100; i++)
		snprintf(many + strlen(many), sizeof(many) - strlen(many),
			 "%s{\"name\": \"n\", \"device\": \"d\"}", i ? ", " : "");
	strcat(many, "]}");
	run(many, as_is);
	CU_ASSERT_EQUAL(boot.port_cnt, SL_DOCTOR_PORTS);
	done();
	remove_tree();
}

static void
sets_of_cpus_are_read_and_written(void)
{
	static const struct {
		const char *text, *is;
	} rows[] = {
		{"0-3,8\n", "0-3,8"},
		{"", "none"},
		{"\n", "none"},
		{"7", "7"},
		{"managed_irq,domain,2-3 x", "2-3"},
		{"5-2", "none"},
		{"1023,1024", "1023"},
		{"0-99999999999999999999", "0-1023"},
		{",,,4,,", "4"},
		{"3-,5", "3,5"},
	};
	struct sl_doctor_cpus s;
	char buf[64];

	for (size_t i = 0; i < SL_ARRAY_CNT(rows); i++) {
		sl_doctor_cpus_parse(rows[i].text, &s);
		CU_ASSERT_STRING_EQUAL(sl_doctor_cpus_format(&s, buf, sizeof(buf)), rows[i].is);
	}
	for (int i = 0; i < 1024; i += 2)
		sl_doctor_cpus_add(&s, i);
	sl_doctor_cpus_format(&s, buf, 8);
	CU_ASSERT_TRUE(strlen(buf) < 8);
}

SL_SUITE("doctor", SL_TEST(a_good_node_has_nothing_but_good_findings),
	 SL_TEST(what_is_broken_in_one_way_is_found),
	 SL_TEST(each_check_has_a_set_up_that_turns_it_bad),
	 SL_TEST(irqbalance_matters_where_workers_are_not_isolated),
	 SL_TEST(locked_memory_short_before_the_start_is_a_warning),
	 SL_TEST(an_empty_root_gives_notes_and_no_praise), SL_TEST(files_that_are_none_end_nothing),
	 SL_TEST(the_dataplane_s_parser_is_asked_and_not_believed),
	 SL_TEST(hostile_answers_of_the_parser_are_bounded),
	 SL_TEST(sets_of_cpus_are_read_and_written))
