/* doctor_tree — a good node's files of /proc and /sys, made below a directory of their own, and changes of them. */
#ifndef SL_TESTS_MGMT_DOCTOR_TREE_H
#define SL_TESTS_MGMT_DOCTOR_TREE_H

#include <errno.h>
#include <ftw.h>
#include <sys/stat.h>

#include "sluice/base.h"
#include "suite.h"

#define FLAGS "fpu tsc constant_tsc nonstop_tsc aes pclmulqdq avx2 bmi2 gfni vaes"
#define CPU "sys/devices/system/cpu/"
#define NODE "sys/devices/system/node/"
#define HUGE "/hugepages/hugepages-2048kB/"
#define PCI "sys/devices/pci0000:3a/0000:3a:00.0/0000:3b:00."
#define BARE "CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
#define LIMITS                                                                                     \
	"Limit                     Soft Limit           Hard Limit           Units\n"              \
	"Max locked memory         unlimited            unlimited            bytes\n"

struct file {
	const char *path, *text; /* "> TARGET": a link */
};

/* Eight CPUs on two nodes, four cores; 2 and 3 work; a NIC of VFIO and an interface of another NIC. */
static const struct file good[] = {
	{"proc/cpuinfo",
	 "processor\t: 0\nflags\t\t: " FLAGS "\nbugs\t\t: none\n\nprocessor\t: 1\n"},
	{"proc/cmdline",
	 "BOOT_IMAGE=/vmlinuz isolcpus=managed_irq,domain,2-3 nohz_full=2-3 rcu_nocbs=2-3 quiet\n"},
	{"proc/interrupts",
	 "           CPU0       CPU1       CPU2       CPU3\n"
	 "  24:         10          0          0          5  PCI-MSI 1-edge      eth1-rx-0\n"
	 " NMI:          1          1          1          1  Non-maskable interrupts\n"},
	{"proc/irq/24/effective_affinity_list", "0\n"},
	{"proc/mounts", "proc /proc proc rw 0 0\nhugetlbfs /dev/hugepages hugetlbfs rw 0 0\n"},
	{"proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"},
	{"proc/net/protocols",
	 "protocol  size sockets\nXDP       1088      0\nTCP       2400      9\n"},
	{"proc/self/status", "Name:\tsluicectl\nCapPrm:\t0\nCapEff:\t0\n"},
	{"proc/self/limits", LIMITS},
	{"proc/self/ns/net", "> net:[1]"},
	{"proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"},
	{"proc/sys/kernel/core_pattern", "core\n"},
	{"proc/sys/net/ipv4/ip_forward", "0\n"},
	{"proc/sys/net/ipv4/conf/all/rp_filter", "0\n"},
	{"proc/sys/net/ipv4/conf/eth1/rp_filter", "0\n"},
	{"proc/sys/net/ipv4/conf/eth1/forwarding", "0\n"},
	{"proc/sys/net/ipv4/conf/front0/rp_filter", "2\n"},
	{"proc/sys/net/ipv4/conf/front0/forwarding", "0\n"},
	{"proc/100/comm", "sluice-dataplan\n"},
	{"proc/100/status",
	 "Name:\tsluice-dataplan\nPPid:\t1\nUid:\t990\t990\t990\t990\nVmSwap:\t       0 kB\n" BARE},
	{"proc/100/limits", LIMITS},
	{"proc/100/ns/net", "> net:[1]"},
	{"proc/100/task/100/comm", "sluice-dataplan\n"},
	{"proc/100/task/100/status", BARE "Cpus_allowed_list:\t0\n"},
	{"proc/100/task/101/comm", "lcore-worker-1\n"},
	{"proc/100/task/101/status", BARE "Cpus_allowed_list:\t2\n"},
	{"proc/100/task/102/comm", "rte-worker-2\n"},
	{"proc/100/task/102/status", BARE "Cpus_allowed_list:\t3\n"},
	{"proc/110/comm", "sluice-dataplan\n"}, /* its own child */
	{"proc/110/status",
	 "Name:\tsluice-dataplan\nPPid:\t100\nUid:\t0\t0\t0\t0\nCapEff:\tffff\n"},
	{"proc/120/comm", "sluice-dataplan\n"}, /* another network namespace's */
	{"proc/120/status", "Name:\tsluice-dataplan\nPPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\tffff\n"},
	{"proc/120/ns/net", "> net:[2]"},
	{"proc/200/comm", "sluiced\n"},
	{"proc/200/status", "Name:\tsluiced\nPPid:\t1\nUid:\t991\t991\t991\t991\n" BARE},
	{"proc/200/limits", LIMITS},
	{"proc/200/ns/net", "> net:[1]"},
	{"proc/200/task/200/status", BARE},
	{"proc/300/comm", "bash\n"},
	{"sys/class/dmi/id/product_name", "Server 9000\n"},
	{CPU "online", "0-7\n"},
	{CPU "isolated", "2-3\n"},
	{CPU "nohz_full", "2-3\n"},
	{CPU "cpu0/topology/thread_siblings_list", "0,4\n"},
	{CPU "cpu1/topology/thread_siblings_list", "1,5\n"},
	{CPU "cpu2/topology/thread_siblings_list", "2,6\n"},
	{CPU "cpu3/topology/thread_siblings_list", "3,7\n"},
	{CPU "cpu4/topology/thread_siblings_list", "0,4\n"},
	{CPU "cpu5/topology/thread_siblings_list", "1,5\n"},
	{CPU "cpu6/topology/thread_siblings_list", "2,6\n"},
	{CPU "cpu7/topology/thread_siblings_list", "3,7\n"},
	{CPU "cpu2/cpufreq/scaling_governor", "performance\n"},
	{CPU "cpu3/cpufreq/scaling_governor", "performance\n"},
	{"sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n"},
	{"sys/devices/system/clocksource/clocksource0/available_clocksource",
	 "tsc hpet acpi_pm \n"},
	{NODE "node0/cpulist", "0,2-4\n"},
	{NODE "node1/cpulist", "1,5-7\n"},
	{NODE "node0" HUGE "nr_hugepages", "1024\n"},
	{NODE "node0" HUGE "free_hugepages", "700\n"},
	{NODE "node1" HUGE "nr_hugepages", "0\n"},
	{NODE "node1" HUGE "free_hugepages", "0\n"},
	{"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "1024\n"},
	{"sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "700\n"},
	{"sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
	{"sys/kernel/iommu_groups/7/devices/0000:3b:00.0",
	 "> ../../../../bus/pci/devices/0000:3b:00.0"},
	{"sys/kernel/iommu_groups/7/devices/0000:3a:00.0",
	 "> ../../../../bus/pci/devices/0000:3a:00.0"},
	{"sys/bus/pci/drivers/vfio-pci/new_id", ""},
	{"sys/bus/pci/devices/0000:3a:00.0/driver", "> ../../../bus/pci/drivers/pcieport"},
	{"sys/bus/pci/devices/0000:3b:00.0",
	 "> ../../../devices/pci0000:3a/0000:3a:00.0/0000:3b:00.0"},
	{"sys/bus/pci/devices/0000:3b:00.1",
	 "> ../../../devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1"},
	{PCI "0/driver", "> ../../../../bus/pci/drivers/vfio-pci"},
	{PCI "0/iommu_group", "> ../../../../kernel/iommu_groups/7"},
	{PCI "0/numa_node", "0\n"},
	{PCI "0/current_link_speed", "8.0 GT/s PCIe\n"},
	{PCI "0/max_link_speed", "8.0 GT/s PCIe\n"},
	{PCI "0/current_link_width", "8\n"},
	{PCI "0/max_link_width", "8\n"},
	{PCI "1/driver", "> ../../../../bus/pci/drivers/ice"},
	{PCI "1/numa_node", "0\n"},
	{PCI "1/net/eth1/carrier", "1\n"},
	{PCI "1/net/eth1/operstate", "up\n"},
	{PCI "1/net/eth1/speed", "25000\n"},
	{PCI "1/net/eth1/duplex", "full\n"},
	{PCI "1/net/eth1/device", "> ../../../0000:3b:00.1"},
	{"sys/class/net/eth1", "> ../../devices/pci0000:3a/0000:3a:00.0/0000:3b:00.1/net/eth1"},
	{"sys/class/net/front0/carrier", "1\n"},
	{"dev/net/tun", ""},
};

#define BOOT                                                                                       \
	"{\"workers\": [2, 3], \"main_cpu\": null, \"memory\": {\"hugepages\": \"auto\", "         \
	"\"size_mb\": 1024}, \"tls\": {\"sessions\": 65536, \"memory_mb\": 192, \"core_dumps\": "  \
	"false}, \"power\": \"poll\", \"privileges\": \"drop\", \"ports\": [{\"name\": "           \
	"\"front\", "                                                                              \
	"\"device\": \"0000:3b:00.0\", \"driver\": \"pci\", \"queues\": null, \"vlan\": null, "    \
	"\"kernel\": \"front0\"}, {\"name\": \"back\", \"device\": \"eth1\", \"driver\": "         \
	"\"af_xdp\", \"queues\": null, \"vlan\": null, \"kernel\": \"\"}]}"

/* ---- trees ---- */

static char top[64];

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st, (void)what, (void)ftw;
	return remove(path);
}

static void
put(const char *path, const char *text)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", top, path);
	nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (!text)
		return;
	for (char *p = strchr(full + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(full, 0755) && errno != EEXIST)
			abort();
		*p = '/';
	}
	if (strncmp(text, "> ", 2) == 0) {
		if (symlink(text + 2, full))
			abort();
		return;
	}
	FILE *f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		abort();
}

static void
make_tree(void)
{
	snprintf(top, sizeof(top), "/tmp/sl-doctor-XXXXXX");
	if (!mkdtemp(top))
		abort();
	for (size_t i = 0; i < SL_ARRAY_CNT(good); i++)
		put(good[i].path, good[i].text);
}

static void
remove_tree(void)
{
	nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
