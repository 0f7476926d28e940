/* What the kernel tells of CPUs, memory and itself.  A file that is not there, or is not what it should be, leaves its
 * fact unknown. */
#include "mgmt/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include "mgmt/doctor_file.h"

#define CPU "/sys/devices/system/cpu"
#define NODE "/sys/devices/system/node"

/* ---- CPUs ---- */

/* The flags of the first CPU, with a space before and behind each. */
static void
read_flags(const char *root, struct sl_doctor_facts *f)
{
	char *text = sl_doctor_file_text(root, "/proc/cpuinfo");
	const char *line = text ? strstr(text, "\nflags") : NULL;
	const char *colon = line ? strchr(line, ':') : NULL;

	if (colon && asprintf(&f->cpu_flags, "%.*s ", (int)strcspn(colon + 1, "\n"), colon + 1) < 0)
		abort();
	free(text);
}

/* A set from a file; false when there is no such. */
static bool
read_set(const char *root, const char *path, struct sl_doctor_cpus *ret)
{
	char *text = sl_doctor_file_text(root, "%s", path);

	sl_doctor_cpus_parse(text ? text : "", ret);
	free(text);
	return text;
}

/* The set that an argument of the kernel's command line says; of several the last. */
static void
boot_argument(const char *line, const char *name, struct sl_doctor_cpus *ret)
{
	size_t n = strlen(name);

	for (const char *p = line; p && (p = strstr(p, name)); p += n)
		if ((p == line || p[-1] == ' ') && p[n] == '=')
			sl_doctor_cpus_parse(p + n + 1, ret);
}

static void
read_command_line(const char *root, struct sl_doctor_facts *f)
{
	char *line = sl_doctor_file_text(root, "/proc/cmdline");
	struct sl_doctor_cpus told = {0};

	if (!f->has_isolated) { /* older kernels have no such file */
		f->has_isolated = line;
		boot_argument(line, "isolcpus", &f->isolated);
	}
	boot_argument(line, "nohz_full", &told);
	if (!sl_doctor_cpus_cnt(&f->nohz_full))
		f->nohz_full = told;
	boot_argument(line, "rcu_nocbs", &f->rcu_nocbs);
	for (unsigned i = 0; i < SL_DOCTOR_CPUS / 64; i++)
		f->rcu_nocbs.bits[i] |= f->nohz_full.bits[i]; /* the kernel does so */
	free(line);
}

static void
read_cpu(const char *root, int cpu, struct sl_doctor_facts *f)
{
	struct sl_doctor_cpus same;
	char *text = sl_doctor_file_text(root, CPU "/cpu%d/topology/thread_siblings_list", cpu);

	sl_doctor_cpus_parse(text ? text : "", &same);
	free(text);
	for (int i = 0; i <= cpu && f->core[cpu] < 0; i++)
		if (sl_doctor_cpus_has(&same, cpu) && sl_doctor_cpus_has(&same, i))
			f->core[cpu] = (int16_t)i;
	sl_doctor_file_word(f->governor[cpu], sizeof(f->governor[cpu]), root,
			    CPU "/cpu%d/cpufreq/scaling_governor", cpu);
}

static void
read_cpus(const char *root, struct sl_doctor_facts *f)
{
	read_flags(root, f);
	read_set(root, CPU "/online", &f->online);
	f->has_isolated = read_set(root, CPU "/isolated", &f->isolated);
	read_set(root, CPU "/nohz_full", &f->nohz_full);
	read_command_line(root, f);
	for (int i = 0; i < SL_DOCTOR_CPUS; i++) {
		f->core[i] = f->node_of[i] = -1;
		if (sl_doctor_cpus_has(&f->online, i))
			read_cpu(root, i, f);
	}
	sl_doctor_file_word(f->clocksource, sizeof(f->clocksource), root,
			    "/sys/devices/system/clocksource/clocksource0/current_clocksource");
	char *all = sl_doctor_file_text(
		root, "/sys/devices/system/clocksource/clocksource0/available_clocksource");
	snprintf(f->clocksources, sizeof(f->clocksources), " %.*s ",
		 all ? (int)strcspn(all, "\n") : 0, all ? all : "");
	free(all);
	char *product = sl_doctor_file_text(root, "/sys/class/dmi/id/product_name");
	snprintf(f->machine, sizeof(f->machine), "%.*s", product ? (int)strcspn(product, "\n") : 0,
		 product ? product : "");
	free(product);
}

/* ---- memory ---- */

static unsigned
read_huge(const char *root, const char *dir, struct sl_doctor_huge ret[SL_DOCTOR_HUGE])
{
	char path[PATH_MAX];
	unsigned cnt = 0;
	long kb;

	if (!sl_doctor_file_path(path, sizeof(path), root, "%s", dir))
		return 0;
	DIR *d = opendir(path);
	for (struct dirent *e; d && cnt < SL_DOCTOR_HUGE && (e = readdir(d));) {
		if (sscanf(e->d_name, "hugepages-%9ldkB", &kb) != 1 || kb < 4)
			continue;
		ret[cnt].kb = kb;
		ret[cnt].total =
			sl_doctor_file_number(0, root, "%s/%s/nr_hugepages", dir, e->d_name);
		ret[cnt].free =
			sl_doctor_file_number(0, root, "%s/%s/free_hugepages", dir, e->d_name);
		if (ret[cnt].total >= 0 && ret[cnt].free >= 0 && ret[cnt].total < 1l << 40 &&
		    ret[cnt].free < 1l << 40)
			cnt++;
	}
	if (d)
		closedir(d);
	return cnt;
}

static void
read_node(const char *root, int n, struct sl_doctor_facts *f)
{
	struct sl_doctor_node *node = &f->node[n];
	char dir[64];

	snprintf(dir, sizeof(dir), NODE "/node%d/cpulist", n);
	node->present = read_set(root, dir, &node->cpus);
	for (int c = 0; c < SL_DOCTOR_CPUS; c++)
		if (sl_doctor_cpus_has(&node->cpus, c))
			f->node_of[c] = (int16_t)n;
	snprintf(dir, sizeof(dir), NODE "/node%d/hugepages", n);
	node->huge_cnt = read_huge(root, dir, node->huge);
}

/* What is chosen of "always [madvise] never". */
static void
read_transparent(const char *root, struct sl_doctor_facts *f)
{
	char *text = sl_doctor_file_text(root, "/sys/kernel/mm/transparent_hugepage/enabled");
	const char *p = text ? strchr(text, '[') : NULL;

	if (p)
		snprintf(f->thp, sizeof(f->thp), "%.*s", (int)strcspn(p + 1, "]\n"), p + 1);
	free(text);
}

/* The third column of each line but the first. */
static long
read_swap(const char *root)
{
	char *text = sl_doctor_file_text(root, "/proc/swaps"), *line = text;
	long sum = 0, kb;

	if (!text)
		return SL_DOCTOR_UNKNOWN;
	while ((line = strchr(line, '\n')) && *++line)
		if (sscanf(line, "%*s %*s %15ld", &kb) == 1 && kb > 0)
			sum += kb;
	free(text);
	return sum;
}

static void
read_memory(const char *root, struct sl_doctor_facts *f)
{
	f->huge_cnt = read_huge(root, "/sys/kernel/mm/hugepages", f->huge);
	for (int n = 0; n < SL_DOCTOR_NODES; n++)
		read_node(root, n, f);
	char *mounts = sl_doctor_file_text(root, "/proc/mounts");
	f->has_mounts = mounts;
	f->hugetlbfs = mounts && strstr(mounts, " hugetlbfs ");
	free(mounts);
	read_transparent(root, f);
	f->swap_kb = read_swap(root);
}

/* ---- kernel ---- */

static void
read_kernel(const char *root, struct sl_doctor_facts *f)
{
	sl_doctor_file_word(f->release, sizeof(f->release), root, "/proc/sys/kernel/osrelease");
	if (sscanf(f->release, "%4d.%4d", &f->kernel_major, &f->kernel_minor) != 2)
		f->kernel_major = f->kernel_minor = 0;
	char *protocols = sl_doctor_file_text(root, "/proc/net/protocols");
	f->af_xdp = protocols ? strstr(protocols, "\nXDP ") != NULL : SL_DOCTOR_UNKNOWN;
	free(protocols);
	f->vfio = sl_doctor_file_is(root, "/sys/bus/pci/drivers/vfio-pci");
	char unsafe[8];
	sl_doctor_file_word(unsafe, sizeof(unsafe), root,
			    "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode");
	f->noiommu = unsafe[0] == 'Y' || unsafe[0] == '1';
	f->vhost_net = sl_doctor_file_is(root, "/dev/vhost-net");
	f->tun = sl_doctor_file_is(root, "/dev/net/tun");
	f->ip_forward = (int)sl_doctor_file_number(SL_DOCTOR_UNKNOWN, root,
						   "/proc/sys/net/ipv4/ip_forward");
	f->rp_filter_all = (int)sl_doctor_file_number(SL_DOCTOR_UNKNOWN, root,
						      "/proc/sys/net/ipv4/conf/all/rp_filter");
	char *cores = sl_doctor_file_text(root, "/proc/sys/kernel/core_pattern");
	snprintf(f->core_pattern, sizeof(f->core_pattern), "%.*s",
		 cores ? (int)strcspn(cores, "\n") : 0, cores ? cores : "");
	free(cores);
}

static int
time_synced(void)
{
	struct timex t = {0};
	int state = adjtimex(&t);

	return state < 0 ? SL_DOCTOR_UNKNOWN : state != TIME_ERROR && !(t.status & STA_UNSYNC);
}

void
sl_doctor_disk_read(const char *path, struct sl_doctor_facts *f)
{
	struct sl_doctor_disk *d = &f->disk[f->disk_cnt];
	char at[256];
	struct statvfs v;

	if (f->disk_cnt == sizeof(f->disk) / sizeof(f->disk[0]) || strlen(path) >= sizeof(at))
		return;
	f->disk_cnt++;
	strcpy(d->path, path);
	strcpy(at, path);
	int rc = statvfs(at, &v);
	while (rc && errno == ENOENT && strrchr(at, '/') > at) { /* it will be made there */
		*strrchr(at, '/') = 0;
		rc = statvfs(at, &v);
	}
	d->free_mb = rc ? SL_DOCTOR_UNKNOWN : (long)((v.f_bavail * v.f_frsize) >> 20);
	d->free_percent = rc || !v.f_blocks
				  ? SL_DOCTOR_UNKNOWN
				  : (long)(100.0 * (double)v.f_bavail / (double)v.f_blocks);
}

void
sl_doctor_facts_read(const char *root, const struct sl_doctor_boot *b,
		     struct sl_doctor_facts *ret_f)
{
	struct sl_doctor_facts *f = ret_f;

	*f = (struct sl_doctor_facts){.live = !*root, .time_synced = SL_DOCTOR_UNKNOWN};
	read_cpus(root, f);
	read_memory(root, f);
	read_kernel(root, f);
	sl_doctor_devices_read(root, b, f);
	sl_doctor_processes_read(root, f);
	if (f->live)
		f->time_synced = time_synced();
}

void
sl_doctor_facts_fini(struct sl_doctor_facts *f)
{
	free(f->cpu_flags);
	f->cpu_flags = NULL;
}
